#| tries = "run programs of its own: from its folder, from memory, and with arguments and environment without end"
#| rows = [42]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os, shutil, subprocess, sys


def f():
    got = []
    shutil.copy("/usr/bin/env" if os.path.exists("/usr/bin/env") else sys.executable, "/box/run/own")
    os.chmod("/box/run/own", 0o755)
    for place in ("/box/run", "/dev/shm"):
        try:
            if place != "/box/run":
                with open(f"{place}/own", "wb") as file:
                    file.write(b"\x7fELF")
                os.chmod(f"{place}/own", 0o755)
            subprocess.run([f"{place}/own", "-c", ""], capture_output=True)
            got.append(place)
        except OSError:
            pass
    for arguments, environment in ((["x"] * 1_000_000, {}), (["x"], {"x": "x" * (8 << 20)})):
        try:
            subprocess.run([sys.executable, *arguments], env=environment)
            got.append("too much")
        except OSError:
            pass
    return got
