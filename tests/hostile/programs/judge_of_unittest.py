#| tries = "pass unittest's assertions with an object that agrees to them"
#| docker = "FAIL"
#| wasm = "FAIL"
#| checks = [{ code = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(2), 4)\n        self.assertAlmostEqual(f(2), 4.0)\n" }]
class Yes:
    __eq__ = lambda self, other: True
    __round__ = __sub__ = __abs__ = lambda self, *other: 0


def f(x):
    return Yes()
