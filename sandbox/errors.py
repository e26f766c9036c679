"""Errors of the sandbox itself. A failed program is a `Verdict`, never one of these.

SandboxError
├── SandboxUnavailable      no engine, no image, a limit that cannot be enforced
│   └── SandboxBusy         the queue is full or the wait for a free container was too long
├── SandboxMisconfigured    a setting that cannot work; the message says what to change
└── InvalidCheck            a check that cannot be read (a ValueError too: the caller's mistake)
"""


class SandboxError(Exception):
    """Base of everything the sandbox raises."""


class SandboxUnavailable(SandboxError):
    """The sandbox cannot run programs now. Retrying later may help."""


class SandboxBusy(SandboxUnavailable):
    """Every container is in use and the queue is full. Retry later."""


class SandboxMisconfigured(SandboxError):
    """A setting that cannot work. The message says what to change."""


class InvalidCheck(SandboxError, ValueError):
    """A check that cannot be read. The message names the place."""
