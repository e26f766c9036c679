#| tries = "have an exception of the network end it"
#| rows = [34]
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "Network is unreachable"
#| wasm_message = "Error"
import socket


def f(x):
    return socket.create_connection(("1.1.1.1", 53), timeout=2)
