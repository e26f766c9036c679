#| tries = "raise what tells unittest to skip a test"
#| docker = "FAIL"
#| wasm = "FAIL"
#| checks = [{ code = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(2), 4)\n" }]
import unittest


def f(x):
    raise unittest.SkipTest("not today")
