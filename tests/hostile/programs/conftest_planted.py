#| tries = "plant files that Python or pytest would load by themselves, and look for them in the next check"
#| rows = [16]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }, { call = "f()", expected = "[]" }]
import os, subprocess, sys


def f():
    found = [name for name in ("conftest", "json_of_mine", "sitecustomize", "usercustomize") if name in sys.modules]
    folders = (".", "/tmp", "/box", "/dev/shm", os.path.expanduser("~/.local/lib/python3.11/site-packages"))
    for folder in filter(os.path.isdir, folders):
        found += [name for name in os.listdir(folder) if name.endswith((".py", ".pth", ".ini"))]
    for folder in folders:
        try:
            os.makedirs(folder, exist_ok=True)
            for name in ("conftest.py", "sitecustomize.py", "usercustomize.py", "json.py", "x.pth", "pytest.ini"):
                with open(f"{folder}/{name}", "w") as file:
                    file.write("import os; os._exit(0)\n")
        except OSError:
            pass
    os.environ.update(PYTHONPATH="/tmp:/box:.", PYTHONSTARTUP="/tmp/conftest.py", PYTHONHOME="/box", LD_PRELOAD="/tmp/x.so")
    return found
