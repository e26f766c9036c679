"""Opening a database: tuning SQLite, making or checking the tables, and saying in a sentence what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from api.store_sql import SqlStore
from api.tables import SCHEMA_VERSION, metadata, schema
from atlas.errors import ConfigError

BUSY_TIMEOUT_MS = 5_000


async def open_store(path: Path | None) -> SqlStore:
    """Open the SQLite database at `path`, making it where there is none; None keeps everything in memory.

    Raises ConfigError where the file cannot be used: not writable, not a database, or of another version.
    """
    name = ":memory:" if path is None else str(_prepare(path))
    engine = sqlite_engine(name)
    try:
        async with engine.connect() as conn:
            await (await conn.execution_options(atlas_write=True)).run_sync(_make_or_check, name)
            await conn.commit()
    except DBAPIError as exc:
        await engine.dispose()
        raise ConfigError(
            f"the database {name} cannot be used: {exc.orig}. Set another database path, or move that file away."
        ) from exc
    except BaseException:
        await engine.dispose()
        raise
    return SqlStore(engine)


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
        for pragma in ("journal_mode=WAL", f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("atlas_write") else "BEGIN")

    return engine


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
