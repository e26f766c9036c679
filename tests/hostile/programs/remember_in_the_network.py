#| tries = "remember in ports that stay taken for a while after a connection"
#| rows = [43]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "'new'" }, { call = "f()", expected = "'new'" }]
import socket


def f():
    server = socket.socket()
    try:
        server.bind(("127.0.0.1", 4321))
    except OSError:
        return "known"
    server.listen()
    one = socket.create_connection(("127.0.0.1", 4321))
    other, _ = server.accept()
    other.close()
    one.close()
    return "new"
