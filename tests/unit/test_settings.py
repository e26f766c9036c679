"""Who wins where a setting is given twice, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas import settings
from atlas.errors import ConfigError


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test: here/atlas.toml, and home/config.toml as the user's."""
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    for folder in ("here", "home"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(settings, "FILES", (tmp_path / "here/atlas.toml", tmp_path / "home/config.toml"))


def write(tmp_path: Path, *, here: str = "", home: str = "") -> None:
    (tmp_path / "here/atlas.toml").write_text(here, "utf-8")
    (tmp_path / "home/config.toml").write_text(home, "utf-8")


def test_arguments_beat_the_environment_beats_files_beat_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.load().api.port == 8000
    write(tmp_path, home="[api]\nport = 1\n")
    assert settings.load().api.port == 1
    write(tmp_path, home="[api]\nport = 1\n", here="[api]\nport = 2\n")
    assert settings.load().api.port == 2
    monkeypatch.setenv("ATLAS_API__PORT", "3")
    assert settings.load().api.port == 3
    assert settings.load(api={"port": 4}).api.port == 4


def test_files_are_merged_setting_by_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, home="[llm]\nn_ctx = 1024\nslots = 3\n", here="[llm]\nslots = 5\n")
    monkeypatch.setenv("ATLAS_LLM__THREADS", "2")
    llm = settings.load(llm={"max_tokens": 7}).llm
    assert (llm.n_ctx, llm.slots, llm.threads, llm.max_tokens) == (1024, 5, 2, 7)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ATLAS_LLM__BASEURL", "did you mean llm.base_url?"), ("ATLAS_RANKERS", "did you mean ranker?"),
     ("ATLAS_LLM__BASE_URL__X", "is no setting"), ("ATLAS_QWXZ", "is no setting")],
)
def test_a_misspelt_variable_is_refused(name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match=name) as refused:
        settings.load()
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("toml", "words"),
    [("[llm]\nn_cxt = 5\n", "llm.n_cxt.*did you mean llm.n_ctx"), ("[api]\nport = 70000\n", "api.port"),
     ("[sandbox]\nkind = 'none'\n", "sandbox.kind.*docker"), ("[llm\n", r"atlas\.toml cannot be read")],
)
def test_a_file_that_cannot_work_is_refused_with_the_place(toml: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, here=toml)
    with pytest.raises(ConfigError, match=words):
        settings.load()


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "home/config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        settings.load()


def test_a_value_that_is_no_json_where_json_is_needed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_API__API_KEYS", "not json")
    with pytest.raises(ConfigError, match=r'api.*lists are JSON: ATLAS_API__API_KEYS='):
        settings.load()


def test_names_that_other_tools_use_work_where_our_own_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    assert settings.load().llm.api_key is None  # nobody else's key for the embedded engine
    monkeypatch.setenv("OPENAI_BASE_URL", "http://theirs/v1")
    llm = settings.load().llm
    assert llm.base_url == "http://theirs/v1" and llm.api_key and llm.api_key.get_secret_value() == "sk-theirs"
    monkeypatch.setenv("ATLAS_LLM__BASE_URL", "http://ours/v1")
    monkeypatch.setenv("ATLAS_LLM__API_KEY", "sk-ours")
    llm = settings.load().llm
    assert llm.base_url == "http://ours/v1" and llm.api_key and llm.api_key.get_secret_value() == "sk-ours"


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_LLM__API_KEY", "sk-very-secret")
    monkeypatch.setenv("ATLAS_API__API_KEYS", '["key-very-secret"]')
    loaded = settings.load()
    assert loaded.api.api_keys[0].get_secret_value() == "key-very-secret"
    assert "very-secret" not in repr(loaded) + str(loaded) + loaded.model_dump_json()


def test_folders_have_defaults_and_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().cache.name == "atlas" and settings.load().database.name == "atlas.db"
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "c"))
    monkeypatch.setenv("ATLAS_API__DATABASE", str(tmp_path / "d.db"))
    assert settings.load().cache == tmp_path / "c" and settings.load().database == tmp_path / "d.db"


def test_every_name_is_listed() -> None:
    assert {"llm", "llm.base_url", "sandbox.kind", "api.port", "budget.rounds", "ranker"} <= set(settings.names())
