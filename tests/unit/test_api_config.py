"""Settings that cannot work or are not safe stop the service with a sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.app import create_app
from api.config import ApiConfig, bind, check_config
from api.store_sql import SqlStore
from atlas.errors import ConfigError
from tests.support.clients import quick
from tests.support.fakes import FakeAtlas, opener

KEY = SecretStr("k" * 24)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    check_config(quick(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_beyond_loopback_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="API key"):
        check_config(quick(host=host))
    check_config(quick(host=host, api_keys=(KEY,)))


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="number 2") as refused:
        check_config(quick(api_keys=(KEY, SecretStr("hunter2"))))
    assert "hunter2" not in str(refused.value)


def test_an_application_is_not_made_with_unsafe_settings() -> None:
    with pytest.raises(ConfigError):
        create_app(quick(host="0.0.0.0"), opener(FakeAtlas()))


def test_keys_do_not_show_in_a_printed_configuration() -> None:
    assert "kkkk" not in repr(quick(api_keys=(KEY,)))


def test_an_unknown_host_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="not an address"):
        bind(quick(host="no host"))


@pytest.mark.anyio
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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_garbage, "not a database"), (_foreign, "another program"), (_folder, "written"), (_newer, "schema 999")],
)
async def test_an_unusable_database_is_a_sentence_with_its_path(tmp_path: Path, spoil: object, words: str) -> None:
    path = tmp_path / "atlas.db"
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ConfigError, match=words) as refused:
        await SqlStore.open(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    if path.is_file() and spoil is not _foreign:
        assert path.read_bytes() == before


@pytest.mark.anyio
async def test_a_file_where_a_folder_is_needed_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="fix its folder"):
        await SqlStore.open(tmp_path / "file" / "atlas.db")


def test_defaults_are_safe() -> None:
    config = ApiConfig(database_path=None)
    assert config.is_loopback and config.workers == 1 and config.max_runs == 3
