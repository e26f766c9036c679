"""The only place that talks to a Docker engine: docker-py's low-level client, in worker threads.

A client is a `requests.Session` and not safe to share, so every worker thread has its own. Calls are plain request and
answer; a container's stream is handed out as a socket and read elsewhere, so nothing here blocks for long.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from sandbox.errors import SandboxMisconfigured, SandboxUnavailable

T = TypeVar("T")
CALL_SECONDS = 60
REMOVALS = 3
"""Tries to remove a container; the engine itself waits some seconds in each."""
ONE_CALL_EACH = {"Connection": "close"}
"""docker-py keeps a connection for each of the last 25 addresses, and every container has addresses of its own."""
OOM_SECONDS = 1.0
"""How long the engine may take to note why a container died."""
HOW_TO_FIX = (
    "No Docker engine answers at {host}: {reason}. Start one (Debian: `apt install docker.io` and "
    "`systemctl start docker`, or `dockerd &` as root), add this user to the group docker, or point DOCKER_HOST at "
    "an engine that runs."
)


def connect(host: str | None = None, version: str = "auto", timeout: float = CALL_SECONDS) -> docker.APIClient:
    """A client for the engine at `host` (a DOCKER_HOST value), by default the one that the environment names.

    Raises:
        SandboxUnavailable: no engine answers there; the message says how to fix it.
    """
    shown = host or "the address that DOCKER_HOST names"
    try:
        settings = {"base_url": host} if host else kwargs_from_env()  # refuses DOCKER_CERT_PATH without certificates
        shown = settings.get("base_url") or "unix:///var/run/docker.sock"
        if shown.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as knock:  # docker-py leaves its own socket open where nobody answers
                knock.connect(shown.removeprefix("unix://"))
        client = docker.APIClient(version=version, timeout=timeout, **settings)
        client.headers.update(ONE_CALL_EACH)
        if version == "auto":
            client.ping()
    except (DockerException, RequestException, OSError) as error:
        raise SandboxUnavailable(HOW_TO_FIX.format(host=shown, reason=_root_cause(error))) from error
    return client


def docker_status(host: str | None = None) -> str:
    """Empty where a Docker engine answers, else one sentence with the reason and the fix."""
    try:
        connect(host, timeout=5).close()
    except SandboxUnavailable as error:
        return str(error)
    return ""


def _root_cause(error: BaseException) -> str:
    """What the engine itself said, or else the innermost exception."""
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation).strip()
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__


class Engine:
    """One Docker engine, for asyncio. Every method raises SandboxUnavailable where the engine does not do it."""

    def __init__(self, host: str | None = None, workers: int = 4) -> None:
        self._host = host
        client = connect(host)
        self._version: str = client.api_version
        client.close()
        self._clients: list[docker.APIClient] = []
        self._local = threading.local()
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="docker")

    def client(self) -> docker.APIClient:
        """This thread's own client."""
        if not hasattr(self._local, "client"):
            self._local.client = connect(self._host, self._version)
            self._clients.append(self._local.client)
        client: docker.APIClient = self._local.client
        return client

    async def call(self, work: Callable[[docker.APIClient], T]) -> T:
        """Run `work` with a client in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._guarded, work)

    def _guarded(self, work: Callable[[docker.APIClient], T]) -> T:
        try:
            return work(self.client())
        except (DockerException, RequestException, OSError) as error:
            raise SandboxUnavailable(f"The Docker engine refused: {_root_cause(error)}") from error

    async def info(self) -> dict[str, Any]:
        """What the engine says of itself."""
        return dict(await self.call(lambda client: client.info()))

    async def is_podman(self) -> bool:
        """Whether Podman answers in Docker's name."""
        components = (await self.call(lambda client: client.version())).get("Components") or []
        return any("podman" in str(component.get("Name")).lower() for component in components)

    async def image_id(self, tag: str) -> str:
        """Content hash of an image that the engine holds."""
        return str(await self.call(lambda client: client.inspect_image(tag)["Id"]))

    async def create(self, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Create a container; (id, warnings). A warning is a limit that this engine will not enforce."""

        def work(client: docker.APIClient) -> tuple[str, list[str]]:
            made = client.create_container(**config, host_config=client.create_host_config(**host_config))
            return made["Id"], made.get("Warnings") or []

        return await self.call(work)

    async def attach(self, container: str) -> socket.socket:
        """Attach to stdin, stdout and stderr of a container that has not been started; a non-blocking socket."""
        return await self.call(lambda _client: _attach(connect(self._host, self._version), container))

    async def start(self, container: str) -> None:
        """Start a created container."""
        await self.call(lambda client: client.start(container))

    async def remove(self, container: str) -> None:
        """Kill and remove a container; content where it is gone, or going, already."""

        await self.call(lambda client: remove_container(client, container))

    async def labelled(self, label: str) -> dict[str, dict[str, str]]:
        """Containers, in any state, that carry `label` ("key" or "key=value"): id -> labels."""
        found = await self.call(lambda client: client.containers(all=True, filters={"label": label}))
        return {item["Id"]: item["Labels"] for item in found}

    async def was_oom_killed(self, container: str, since: float) -> bool:
        """Whether the engine noted an out-of-memory kill in a container that has just died."""

        def work(client: docker.APIClient) -> bool:
            filters = {"container": container, "event": ["oom", "die"]}
            events = client.events(since=f"{since:.9f}", until=f"{time.time() + OOM_SECONDS:.9f}", filters=filters)
            try:
                return b'"oom"' in next(iter(events), b"")
            finally:
                events.close()

        return await self.call(work)

    def close(self) -> None:
        """Close every connection. The engine object is of no use afterwards."""
        self._workers.shutdown(wait=True)
        for client in self._clients:
            client.close()


def remove_container(client: docker.APIClient, container: str) -> None:
    """Kill and remove a container; content where it is gone, or going, already."""
    for left in reversed(range(REMOVALS)):
        try:
            client.remove_container(container, force=True, v=True)
            return
        except NotFound:
            return
        except APIError as error:
            if error.status_code == 409:  # its removal is in progress
                return
            if not (left and error.is_server_error()):  # a busy engine gives up on a container that is still dying
                raise


def _attach(client: docker.APIClient, container: str) -> socket.socket:
    """Take the raw socket out of docker-py's response. `client` must not be used again: its connection is no HTTP."""
    stream = client.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    inner = getattr(stream, "_sock", stream)
    try:
        if type(inner) is not socket.socket:
            raise SandboxMisconfigured(
                f"This engine is reached through {type(inner).__name__}; the sandbox speaks to unix:// and plain "
                "tcp:// engines only. Forward its socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock host`) and set "
                "DOCKER_HOST=unix:///tmp/docker.sock."
            )
        plain = socket.socket(fileno=os.dup(inner.fileno()))
        plain.setblocking(False)
        return plain
    finally:
        inner.close()
        stream.close()
        client.close()
