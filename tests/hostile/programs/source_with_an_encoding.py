#| tries = "name an encoding that does not exist, which a text that is read already has no use for"
#| rows = [33]
#| docker = "PASS"
#| wasm = "PASS"
# -*- coding: no-such-encoding -*-
def f(x):
    return 4
