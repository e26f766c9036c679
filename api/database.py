"""Opening a database: tuning SQLite, making or checking the tables, and saying in a sentence what is wrong."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from anyio import CancelScope
from sqlalchemy import URL, Connection, event, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from api.store import StoreError, StoreFull, StoreUnavailable
from api.tables import SCHEMA_VERSION, metadata, schema
from atlas.errors import ConfigError

BUSY_TIMEOUT_MS = 5_000

P = ParamSpec("P")
R = TypeVar("R")


async def open_engine(path: Path | None) -> AsyncEngine:
    """Open the SQLite database at `path`, making it where there is none; None keeps everything in memory.

    Raises ConfigError where the file cannot be used: not writable, not a database, or of another version.
    """
    name = ":memory:" if path is None else str(_prepare(path))
    engine = sqlite_engine(name)
    try:
        async with engine.connect() as conn:
            await (await conn.execution_options(atlas_begin="BEGIN IMMEDIATE")).run_sync(_make_or_check, name)
            await conn.commit()
            # Only now that it is ours: this writes to the file, and SQLite refuses it within a transaction.
            await (await conn.execution_options(atlas_begin=None)).exec_driver_sql("PRAGMA journal_mode=WAL")
    except DBAPIError as exc:
        await engine.dispose()
        raise ConfigError(
            f"the database {name} cannot be used: {exc.orig}. Set another database path, or move that file away."
        ) from exc
    except BaseException:
        await engine.dispose()
        raise
    return engine


def sqlite_engine(name: str) -> AsyncEngine:
    """An engine whose writers take SQLite's lock when they begin, so that none fails half-way for want of it."""
    # A memory database lives in its one connection, which must not be shared by two transactions at once.
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=name),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1 if name == ":memory:" else 4,
        max_overflow=0,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own idea of when to begin stays out of it
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(conn: Connection) -> None:
        statement = conn.get_execution_options().get("atlas_begin", "BEGIN")
        if statement is not None:
            conn.exec_driver_sql(statement)

    return engine


@asynccontextmanager
async def transaction(engine: AsyncEngine, *, write: bool = False) -> AsyncIterator[AsyncConnection]:
    """One transaction. Raises StoreFull or StoreUnavailable for the driver's errors, and IntegrityError as it is."""
    try:
        async with engine.connect() as plain:
            conn = await plain.execution_options(atlas_begin="BEGIN IMMEDIATE" if write else "BEGIN")
            async with conn.begin():
                yield conn
    except IntegrityError:
        raise
    except DBAPIError as exc:
        raise _translate(exc) from exc
    except PoolTimeout as exc:
        raise StoreUnavailable("The database is busy.") from exc


def whole(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Let a transaction end before its cancelled caller goes: cut off half-way it would cost the connection."""

    @wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        task = asyncio.create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with CancelScope(shield=True):
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # nobody is left to be told
            raise

    return run


def _translate(exc: DBAPIError) -> StoreError:
    """The store's error for a driver's."""
    code = getattr(exc.orig, "sqlite_errorcode", None)
    # The primary code is the low byte; PostgreSQL's disk_full is SQLSTATE 53100.
    if (code is not None and code & 0xFF == sqlite3.SQLITE_FULL) or getattr(exc.orig, "sqlstate", None) == "53100":
        return StoreFull("The disk that holds the tasks is full; nothing was kept. Free some space and try again.")
    return StoreUnavailable("The database that holds the tasks cannot be used now.")


def _prepare(path: Path) -> Path:
    """Make the folder and an empty file that only its owner may read: tasks hold prompts and hidden checks."""
    path = path.expanduser().absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as exc:
        raise ConfigError(
            f"the database {path} cannot be written: {exc.strerror}. Set another database path, or fix its folder."
        ) from exc
    return path


def _make_or_check(conn: Connection, name: str) -> None:
    present = set(inspect(conn).get_table_names())
    if not present:
        metadata.create_all(conn)
        conn.execute(schema.insert().values(version=SCHEMA_VERSION))
        return
    if schema.name not in present:
        raise ConfigError(f"the database {name} belongs to another program: set another database path.")
    version = conn.execute(select(schema.c.version)).scalar_one()
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"the database {name} has schema {version}, and this Atlas needs schema {SCHEMA_VERSION}: "
            "set another database path, or move that file away."
        )
