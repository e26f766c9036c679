#| tries = "be wrong where only a class of tests looks, after a test that passes"
#| checks = [{ code = "def test_one():\n    assert f(1) == 2\nclass TestMore:\n    def test_two(self):\n        assert f(2) == 4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return 2
