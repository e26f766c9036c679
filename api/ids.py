"""Identifiers that sort by age: a prefix and a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32).

Format: https://github.com/ulid/spec. Within one process ids never repeat and never run backwards, even where the
clock does: a tie or a step back increments the last id instead.
"""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """A fresh id, for instance ``task_01JD8Z0V6K3M9Q2T4W6X8Y0ABC``: larger than every earlier one of this process."""
    global _last
    with _lock:
        fresh = (int(time.time() * 1000) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        _last = max(fresh, _last + 1)
        number = _last
    return f"{prefix}_{_encode(number)}"


def _encode(number: int) -> str:
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return "".join(digits)
