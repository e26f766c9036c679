#| tries = "find the engine's socket, credentials, or anything of the host's"
#| rows = [35]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os


def f():
    paths = (
        "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
        "/.dockerenv.d", "/root/.ssh", "/root/.aws", "/root/.docker", "/home", "/var/run/secrets", "/etc/shadow-",
        "/run/secrets", "/etc/kubernetes", "/var/lib/docker", "/host", "/mnt/host", "/proc/1/root/etc",
    )
    got = []
    for path in paths:
        try:
            got += [path] if os.path.isfile(path) or os.listdir(path) else []
        except OSError:
            pass
    secret = ("KEY", "TOKEN", "SECRET", "PASSWORD", "AWS", "GOOGLE", "DOCKER", "ATLAS", "SSH", "KUBERNETES")
    return got + [name for name in os.environ if any(word in name for word in secret)]
