#| tries = "reach out by TCP, UDP and names, to the internet, the host and the cloud's metadata"
#| rows = [34, 35]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os, socket


def f():
    got = [name for name in os.listdir("/sys/class/net") if name != "lo"]
    for address in ("1.1.1.1", "169.254.169.254", "172.17.0.1", "192.168.65.7", "10.0.0.1", "100.100.100.200"):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(socket.AF_INET, kind) as one:
                    one.settimeout(1)
                    one.connect((address, 80))
                    one.send(b"x")
                    got.append((address, kind.name))
            except OSError:
                pass
    for address in ("2606:4700:4700::1111", "fe80::1%lo", "fd00:ec2::254"):
        try:
            with socket.socket(socket.AF_INET6) as one:
                one.settimeout(1)
                one.connect((address, 80))
                got.append(address)
        except OSError:
            pass
    for name in ("example.com", "host.docker.internal", "gateway.docker.internal", "metadata.google.internal"):
        try:
            got.append(socket.getaddrinfo(name, 80)[0][4])
        except OSError:
            pass
    return got
