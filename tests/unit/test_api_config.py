"""Settings that cannot work or are not safe stop the service with a sentence."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from api.app import create_app
from api.config import ApiConfig, bind, check_config
from atlas.errors import ConfigError
from tests.support.clients import quick
from tests.support.fakes import FakeAtlas, opener

KEY = SecretStr("k" * 24)


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


def test_defaults_are_safe() -> None:
    config = ApiConfig(database_path=None)
    assert config.is_loopback and config.workers == 1 and config.max_runs == 3
