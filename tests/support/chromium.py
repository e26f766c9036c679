"""A real browser for tests: headless Chromium, spoken to over its DevTools pipe, which needs no package.

https://chromedevtools.github.io/devtools-protocol/: JSON messages ended by a null byte, on file descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)


@dataclass(kw_only=True)
class Page:
    """An open tab. `requests`, `complaints`: every address that it asked for, and what its console said so far."""

    to: BinaryIO
    out: BinaryIO
    session: str = ""
    sent: int = 0
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: bool = False

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; what happens meanwhile is noted."""
        self.sent += 1
        message: dict[str, Any] = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while (answer := self._read()).get("id") != self.sent:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Go to `url` and wait until it and all that it asks for is loaded."""
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._note(self._read())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """The whole page as a picture."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self.out.read(1)) not in (b"\0", b""):
            data += byte
        if not data:
            raise RuntimeError("chromium ended")
        message: dict[str, Any] = json.loads(data)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Page.javascriptDialogOpening":
                self.complaints.append(json.dumps(params)[:500])
            case "Page.loadEventFired":
                self.loaded = True


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A page of a fresh browser whose profile lies in `profile`; both are gone at the end."""
    program = shutil.which("chromium")
    assert program is not None
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()
    # Python hands descriptors on under their own numbers; bash puts them where Chromium looks for them.
    place = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        ["bash", "-c", place, "bash", program, *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(theirs_in, theirs_out),
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with open(ours_out, "wb") as to, open(ours_in, "rb") as out:
            page = Page(to=to, out=out)
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                page.call(f"{domain}.enable")
            yield page
    finally:
        process.kill()
        process.wait()


def _pipe() -> tuple[int, int]:
    """The two ends of a pipe under numbers of 10 and more, out of the way of 3 and 4."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
