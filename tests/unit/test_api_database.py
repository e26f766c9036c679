"""SQLite: opened for its owner, refused with a sentence, and survived when its disk is full."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from api.ids import new_id
from api.store import ListQuery, NewTask, StoreFull
from api.store_sql import SqlStore
from atlas.errors import ConfigError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_database_is_made_with_its_folder_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "atlas.db"
    store = await SqlStore.open(path)
    await store.ping()
    assert path.stat().st_mode & 0o077 == 0
    await store.aclose()
    await (await SqlStore.open(path)).aclose()


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, and long enough to be read as one" * 100)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()


def _folder(path: Path) -> None:
    path.mkdir()


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE atlas_schema (version INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO atlas_schema VALUES (999)")
    db.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_garbage, "not a database"), (_foreign, "another program"), (_folder, "written"), (_newer, "schema 999")],
)
async def test_an_unusable_database_is_a_sentence_with_its_path(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "atlas.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ConfigError, match=words) as refused:
        await SqlStore.open(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    if path.is_file() and spoil is not _foreign:
        assert path.read_bytes() == before


async def test_a_file_where_a_folder_is_needed_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="fix its folder"):
        await SqlStore.open(tmp_path / "file" / "atlas.db")


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(tmp_path / "atlas.db" if request.param == "file" else None)
    yield opened
    await opened.aclose()


async def add(store: SqlStore, request: str = "{}") -> str:
    task = NewTask(id=new_id("task"), prompt_start="", language="python", labels={}, request=request)
    return (await store.add(task, max_queued=999))[0].id


async def test_a_full_disk_refuses_the_write_and_is_survived(store: SqlStore) -> None:
    task_id = await add(store)
    await _set_max_pages(store, 40)
    with pytest.raises(StoreFull):
        for _ in range(100):
            await add(store, "x" * 10_000)
    assert (await store.get(task_id)) is not None
    kept, _ = await store.page(ListQuery(limit=100))
    await _set_max_pages(store, 100_000)
    await add(store)
    after, _ = await store.page(ListQuery(limit=100))
    assert len(after) == len(kept) + 1


async def _set_max_pages(store: SqlStore, pages: int) -> None:
    """Make SQLite believe in a disk of so many pages, on every connection."""
    connections = [await store._engine.connect() for _ in range(store._engine.pool.size())]  # type: ignore[attr-defined]
    for connection in connections:
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        await connection.close()


async def test_a_file_in_use_by_another_process_is_waited_for(tmp_path: Path) -> None:
    store = await SqlStore.open(tmp_path / "atlas.db")
    other = sqlite3.connect(tmp_path / "atlas.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.3, other.execute, "COMMIT")
    await add(store)
    other.close()
    await store.aclose()
