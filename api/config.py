"""Settings of the service, and the refusals that protect its user."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from atlas.errors import ConfigError

MIN_KEY_CHARS = 16
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """Settings of the service. Seconds end in `_s`.

    A `database_path` of None keeps all in memory, for trying things out. `allowed_hosts` are names that clients may
    use in the Host header beside the loopback ones; a service bound beyond loopback accepts any name while it is
    empty. A task is begun at most `max_runs` times: once, and again after each crash of the process that had it;
    `lease_s` is how long it waits before that. `overtime_s` is what a solver may take beyond its task's budget, and
    `unwind_s` what it may take to clean up once it was stopped.
    """

    database_path: Path | None
    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[SecretStr, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    workers: int = 1
    max_queued: int = 1_000
    max_body_bytes: int = 8 * 1024 * 1024
    max_wait_s: float = 60.0
    lease_s: float = 15.0
    max_runs: int = 3
    poll_s: float = 1.0
    shutdown_grace_s: float = 5.0
    overtime_s: float = 60.0
    unwind_s: float = 10.0
    ready_timeout_s: float = 30.0
    ready_ttl_s: float = 10.0
    ping_s: float = 15.0

    @property
    def is_loopback(self) -> bool:
        """True where only this machine can connect."""
        return all(ipaddress.ip_address(address).is_loopback for address in _addresses(self.host))


def check_config(config: ApiConfig) -> None:
    """Raise ConfigError for settings that cannot work or are not safe."""
    for number, key in enumerate(config.api_keys, start=1):
        if len(key.get_secret_value()) < MIN_KEY_CHARS:
            raise ConfigError(
                f"API key number {number} has fewer than {MIN_KEY_CHARS} characters: "
                "make one with `openssl rand -hex 24`."
            )
    if not config.api_keys and not config.is_loopback:
        raise ConfigError(
            f"refusing to listen on {config.host!r} without API keys, since whoever reaches it could run code: "
            "set at least one API key, or listen on 127.0.0.1."
        )


def bind(config: ApiConfig) -> socket.socket:
    """The listening socket. Raises ConfigError where the address is taken or is not this machine's."""
    address = _addresses(config.host)[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, config.port), family=family, backlog=512)
    except (OSError, OverflowError) as exc:
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port}: {exc}. Choose another port, or stop what uses this one."
        ) from exc


def base_url(config: ApiConfig, listening: socket.socket) -> str:
    """Where clients on this machine find the service."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{listening.getsockname()[1]}"


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"the host {host!r} is not an address of this machine: {exc}.") from exc
    # IPv4 first: "localhost" may list ::1 ahead of 127.0.0.1, which is what people type.
    return sorted({str(entry[4][0]).split("%")[0] for entry in found}, key=lambda address: ":" in address)
