#| tries = "raise the wanted exception before the check"
#| checks = [{ call = "f(2)", expected = "ValueError", compare = "raises" }]
#| docker = "ERROR"
#| wasm = "ERROR"
raise ValueError
