"""The application, and the server around it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from starlette.types import Lifespan

from api import errors, openapi
from api.config import ApiConfig, base_url, bind, check_config
from api.gate import Gate
from api.ports import OpenSolver
from api.routes import probes, router
from api.service import VERSION, Service, open_service


def create_app(config: ApiConfig, open_solver: OpenSolver) -> FastAPI:
    """The application for any ASGI server: its lifespan opens and closes the service. Raises ConfigError."""
    check_config(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(config, open_solver) as service:
            app.state.service = service
            yield

    return _build(config, lifespan)


def serve(config: ApiConfig, open_solver: OpenSolver, *, on_listening: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then stop in good order; a second signal hurries it.

    `on_listening` is given the base URL once the service is open. Raises ConfigError.
    """
    check_config(config)
    with bind(config) as listening:
        asyncio.run(_serve(config, open_solver, listening, on_listening))


async def _serve(
    config: ApiConfig, open_solver: OpenSolver, listening: socket.socket, on_listening: Callable[[str], None] | None
) -> None:
    app = _build(config)
    server: _Server | None = None
    main = asyncio.current_task()
    stopped_early = False

    def on_signal() -> None:
        nonlocal stopped_early
        if server is not None:
            server.ask_to_stop()
        elif main is not None:
            stopped_early = True
            main.cancel()

    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_, on_signal)
    try:
        async with open_service(config, open_solver) as service:
            app.state.service = service
            server = _Server(app, service)
            if on_listening is not None:
                on_listening(base_url(config, listening))  # connections are queued from here on
            await server.serve(sockets=[listening])
    except asyncio.CancelledError:
        if not stopped_early:
            raise


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to us and telling the service when it begins to stop."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        super().__init__(
            uvicorn.Config(
                app, lifespan="off", log_config=None, server_header=False, proxy_headers=False, ws="none",
                timeout_graceful_shutdown=5,
            )
        )
        self._service = service

    def ask_to_stop(self) -> None:
        """Stop; asked twice, at once."""
        if self.should_exit:
            self.force_exit = True
            self._service.hurry.set()
        self.should_exit = True
        self._service.stop()  # ends streams and waits, for which uvicorn would wait

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _build(config: ApiConfig, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    # No documentation pages: they load scripts from elsewhere. The schema itself is at /openapi.json.
    app = FastAPI(
        title="Atlas", version=VERSION, description="Coding tasks in, checked programs out.", lifespan=lifespan,
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )
    app.include_router(router)
    app.include_router(probes)
    app.add_middleware(Gate, config=config)
    errors.install(app)
    openapi.install(app)
    return app
