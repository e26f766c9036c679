"""Errors of Atlas, by who has to act on them.

AtlasError
├── ConfigError          a setting that cannot work; the process stops at start and the message says what to change
│   └── FingerprintMismatch   the Cost Field was trained on other fingerprints than this service makes
├── ModelError           the language model's server
│   ├── ModelUnavailable      down, refusing, stalled or rate-limited for longer than the retries allow
│   └── ModelReplyError       answered, but with something that is not a completion
├── DownloadError        a model file that could not be fetched; says what was tried and what to do
├── RankingError         fingerprints or costs could not be computed for any candidate
└── SolveInterrupted     a task that infrastructure ended; carries the solution so far

A program that fails is not an error: it is a `Verdict`. Errors of the sandbox itself are `sandbox.errors.SandboxError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atlas.types import Solution


class AtlasError(Exception):
    """Base of everything `atlas` raises."""


class ConfigError(AtlasError):
    """A setting that cannot work. The message says what to change."""


class FingerprintMismatch(ConfigError):
    """Data or artifact made with another fingerprint than the one this process computes."""


class ModelError(AtlasError):
    """The language model's server failed."""


class ModelUnavailable(ModelError):
    """Down, refusing, stalled, or rate-limited for longer than the retries allow.

    `retry_after_s` is what the server asked for, where it did.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelReplyError(ModelError):
    """The server answered with something that is not a completion: HTML, another schema, cut-off JSON."""


class DownloadError(AtlasError):
    """A model file could not be fetched: no source, no room, wrong bytes. The message says what to do."""


class RankingError(AtlasError):
    """No candidate could be ranked."""


class SolveInterrupted(AtlasError):
    """Infrastructure ended a task. `solution` holds what was done until then; `__cause__` says why."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution
