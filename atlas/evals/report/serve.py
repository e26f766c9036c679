"""`atlas eval view`: one page on this machine's loopback, and nothing else."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The page's own policy names the hash of its style; a browser holds to both."""


def server(page: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of `page` at `/`, bound to loopback; port 0 takes a free one. The caller runs and closes it.

    Raises OSError where the port is taken.
    """
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "atlas", ""

        def do_GET(self) -> None:
            self._answer(body)

        def do_HEAD(self) -> None:
            self._answer(b"")

        def _answer(self, content: bytes) -> None:
            # A page elsewhere whose name was made to mean 127.0.0.1 asks under its own name, and is turned away.
            here = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}  # type: ignore[attr-defined]
            if self.headers.get("Host") not in here:
                self.send_error(HTTPStatus.FORBIDDEN, "asked under another name")
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self.send_response(HTTPStatus.OK)
                for name, value in HEADERS.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal belongs to the command."""

    return ThreadingHTTPServer((HOST, port), Handler)
