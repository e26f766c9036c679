#| tries = "do nothing, in a script of tests that has to run beside the program and is never called there"
#| checks = [{ code = "def test_f():\n    seen = []\n    def note(x):\n        seen.append(x)\n    f(note)\n    assert seen == [1]" }]
#| docker = "FAIL"
#| wasm = "FAIL"
#| integrity = "weak"
def f(note):
    pass
