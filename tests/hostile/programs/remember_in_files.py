#| tries = "remember in files which check it is in: every folder, name and link that can be written"
#| rows = [28, 43]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "'new'" }, { call = "f()", expected = "'new'" }]
import os

PLACES = ("/box", "/box/run", ".", "/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp", "/run", "/run/lock", "/dev", "/proc/self")


def f():
    known = "new"
    for place in PLACES:
        for kind in (os.mkdir, lambda path: open(path, "x").close(), lambda path: os.symlink("x", path)):
            path = f"{place}/.remember-{PLACES.index(place)}"
            try:
                if os.path.lexists(path) and kind is os.mkdir:
                    known = f"known from {path}"
                kind(path)
            except OSError:
                pass
    return known
