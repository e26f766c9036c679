#| tries = "leave from inside a generator that is only run when the result is written out"
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
def f(x):
    def lazy():
        yield 4
        raise SystemExit(0)

    return lazy()
