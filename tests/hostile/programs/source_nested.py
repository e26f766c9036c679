#| tries = "be nested deeper than any parser's stack"
#| rows = [33]
#| docker = "SYNTAX"
#| wasm = "SYNTAX"
#| replace = { NESTED = ["(", 50000] }
x = NESTED
