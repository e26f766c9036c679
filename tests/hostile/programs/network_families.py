#| tries = "open sockets of every other family, and raw ones"
#| rows = [34]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import socket


def f():
    got = []
    for family in range(3, 46):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            if family == socket.AF_INET6 and kind != socket.SOCK_RAW:
                continue
            try:
                socket.socket(family, kind).close()
                got.append((family, kind.name))
            except OSError:
                pass
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
            got.append("raw")
        except OSError:
            pass
    return got
