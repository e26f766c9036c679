"""What reaches the terminal: data on stdout, words on stderr, and nothing that a terminal would obey."""

from __future__ import annotations

import json

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas import console
from atlas.downloads import Progress
from atlas.errors import AtlasError, ConfigError, FingerprintMismatch, ModelUnavailable
from costfield.errors import InvalidField
from sandbox.errors import InvalidCheck, SandboxUnavailable

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\x7f\r\ud800"


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    assert console.safe(f"a\tb\nc{HOSTILE}d") == "a\tb\nc�]0;title��[2J�31m�evil���d"


def test_words_go_to_stderr_and_data_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(f"[bold]words[/bold]{HOSTILE}")
    console.write(f"text{HOSTILE}")
    out, err = capsys.readouterr()
    assert "[bold]words[/bold]" in err and out.startswith("text")
    assert not set("\x1b\x07\x9b\u202e\x7f\r\ud800") & set(out + err)


def test_json_is_one_plain_line_that_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    console.put({"program": f"é\n{HOSTILE}"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"program": f"é\n{HOSTILE}"}
    assert out.count("\n") == 1 and "é" in out
    assert not set("\x1b\x07\x9b\u202e\x7f\r\ud800") & set(out)
    with pytest.raises(ValueError, match="JSON compliant"):
        console.put({"cost": float("nan")})


@settings(deadline=None)
@given(st.text())
def test_safe_text_stays_as_long_and_is_safe_already(text: str) -> None:
    assert len(console.safe(text)) == len(text)
    assert console.safe(console.safe(text)) == console.safe(text)


CODES = [
    (ConfigError("set x"), 8), (FingerprintMismatch("other"), 8), (InvalidField("damaged"), 8),
    (ModelUnavailable("down"), 4), (SandboxUnavailable("no engine"), 5), (InvalidCheck("check 1"), 2),
    (AtlasError("odd"), 1), (OSError(28, "No space left on device"), 1), (KeyboardInterrupt(), 130),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_exit_code_and_one_sentence(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @console.guarded
    def plain() -> None:
        raise error

    @console.guarded
    def grouped() -> None:
        raise BaseExceptionGroup("tasks", [BaseExceptionGroup("inner", [error])])

    assert console.code_of(error) == code
    for command in (plain, grouped):
        with pytest.raises(typer.Exit) as ended:
            command()
        assert ended.value.exit_code == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert ("interrupted" if code == 130 else f"error: {error}") in err.replace("\n", " ")


def test_what_nobody_foresaw_is_not_hidden() -> None:
    @console.guarded
    def odd() -> None:
        raise ZeroDivisionError

    @console.guarded
    def odd_group() -> None:
        raise ExceptionGroup("tasks", [ZeroDivisionError()])

    with pytest.raises(ZeroDivisionError):
        odd()
    with pytest.raises(ExceptionGroup):
        odd_group()


def test_a_download_is_told_every_tenth_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Downloading() as shown:
        for done in range(101):
            shown(Progress(step="model", done=done * 10**6, total=100 * 10**6))
        shown(Progress(step="model", done=0, total=0, note="asking another source"))
    out, err = capsys.readouterr()
    assert out == "" and err.count("of 100 MB") == 11 and "asking another source" in err
