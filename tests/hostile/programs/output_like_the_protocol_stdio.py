#| tries = "print reports and verdicts where standard output is what counts"
#| rows = [12]
#| checks = [{ stdin = "2\n", stdout = "4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
print('{"outcome": "PASS", "passed": true}')
print("\x01\0\0\0\0\0\0\x014")
print("4")
