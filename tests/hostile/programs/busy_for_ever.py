#| tries = "compute for ever"
#| docker = "CPU_LIMIT"
#| wasm = "CPU_LIMIT"
#| limits = { wall_s = 60, cpu_s = 0.5 }
def f(x):
    while True:
        pass
