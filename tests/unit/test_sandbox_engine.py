"""An engine that cannot be asked; removing a container from one that is busy, has forgotten it, or refuses."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests import Response

from sandbox.engine import REMOVALS, docker_status, remove_container


class Client:
    """Answers each removal with the next of the given errors."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    def remove_container(self, container: str, **options: Any) -> None:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


def error(status: int) -> APIError:
    response = Response()
    response.status_code = status
    return APIError("refused", response=response)


@pytest.mark.parametrize(
    "answers", [(None,), (NotFound("gone"),), (error(409),), (error(500), error(500), None), (error(500), NotFound(""))]
)
def test_a_container_that_is_gone_or_dying_is_removed(answers: tuple[Exception | None, ...]) -> None:
    client = Client(*answers)
    remove_container(client, "name")  # type: ignore[arg-type]
    assert not client.answers


@pytest.mark.parametrize("answers", [(error(400),), tuple(error(500) for _ in range(REMOVALS))])
def test_an_engine_that_keeps_refusing_is_heard(answers: tuple[Exception, ...]) -> None:
    client = Client(*answers)
    with pytest.raises(APIError):
        remove_container(client, "name")  # type: ignore[arg-type]
    assert not client.answers


def test_certificates_that_are_not_there_are_a_reason_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nowhere")
    assert "certificate" in docker_status() and "DOCKER_HOST" in docker_status()
