#| tries = "start with a mark of byte order in the middle of a line"
#| rows = [33]
#| docker = "SYNTAX"
#| wasm = "SYNTAX"
#| replace = { MARK = ["\uFEFF", 1] }
x = 1 MARK
