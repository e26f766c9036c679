"""What stands for a candidate, and the id that names everything which shapes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atlas import fingerprint
from atlas.errors import ConfigError
from atlas.features import SCALARS
from atlas.fingerprint import ModelFingerprinter, fingerprint_id, pool, read_program, render
from atlas.types import Program, TokenLogprob
from tests.support.domain import CAN, TASK, ScriptLLM, candidate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def llm(**can: object) -> ScriptLLM:
    return ScriptLLM(rounds=[[]], capabilities=replace(CAN, **can))  # type: ignore[arg-type]


def test_the_id_changes_with_every_ingredient(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {fingerprint_id(model="m", source="states")}
    ids |= {fingerprint_id(model="other", source="states"), fingerprint_id(model="m", source="embeddings")}
    changes = {"PROMPT_VERSION": "next", "FINGERPRINT_VERSION": 99, "SCALARS": (*SCALARS, "more")}
    for name, value in changes.items():
        with monkeypatch.context() as patched:
            patched.setattr(fingerprint, name, value)
            ids.add(fingerprint_id(model="m", source="states"))
    assert len(ids) == 6
    assert fingerprint_id(model="m", source="states") == fingerprint_id(model="m", source="states")


def test_the_id_is_that_of_the_weights_where_they_are_known() -> None:
    of_name = ModelFingerprinter.best(llm(model_sha256=None, model="a")).id
    assert of_name != ModelFingerprinter.best(llm(model_sha256=None, model="b")).id
    one, two = (ModelFingerprinter.best(llm(model=name, model_sha256="f" * 64)).id for name in ("a", "b"))
    assert one == two != of_name
    assert one.startswith("fp4-states-")


def test_the_richest_source_is_taken() -> None:
    sources = [
        ModelFingerprinter.best(llm(states=states, embeddings=embeddings)).source
        for states, embeddings in ((True, True), (False, True), (False, False))
    ]
    assert sources == ["states", "embeddings", "none"]


def test_pooling_is_the_mean_over_the_codes_tokens() -> None:
    one = replace(candidate("aaaabbbbcccc"), span=(4, 12))
    states = one.completion.states
    assert states is not None
    np.testing.assert_allclose(pool(one), states[1:3].astype(np.float32).mean(axis=0))
    assert pool(one).dtype == np.float32


SPOILT = {
    "no states": {"states": None},
    "no tokens": {"logprobs": None},
    "fewer states than tokens": {"states": np.zeros((1, 2), np.float16)},
    "more states than tokens": {"states": np.zeros((9, 2), np.float16)},
    "not finite": {"states": np.full((2, 2), np.inf, np.float16)},
    "tokens of another text": {"logprobs": (TokenLogprob(token=b"", logprob=0.0),), "states": np.zeros((0, 2))},
}


@pytest.mark.parametrize("name", SPOILT)
async def test_states_that_do_not_cover_the_code_are_an_error_of_that_candidate(name: str) -> None:
    bad, good = candidate("aaaabbbb", **SPOILT[name]), candidate("ccccdddd", 1)
    with pytest.raises(ValueError, match="states"):
        pool(bad)
    first, second = await ModelFingerprinter.best(llm()).fingerprints(TASK, [bad, good])
    assert "states" in first.problem and first.embedding.shape == (0,) and len(first.scalars) == len(SCALARS)
    assert not second.problem and second.embedding.shape == (2,)


async def test_a_text_too_long_to_embed_is_an_error_of_that_candidate_and_never_clipped() -> None:
    maker = ModelFingerprinter.best(llm(states=False, embeddings=True))
    first, second = await maker.fingerprints(TASK, [candidate("LONG"), candidate("x = 1", 1)])
    assert first.problem == "too long" and not second.problem
    assert second.embedding[0] == len(render(TASK, Program(source="x = 1")))


async def test_without_states_and_embeddings_the_scalars_stand_alone() -> None:
    (one,) = await ModelFingerprinter.best(llm(states=False)).fingerprints(TASK, [candidate("x = 1")])
    assert one.embedding.shape == (0,) and not one.problem
    assert one.scalars[SCALARS.index("chars")] == 5


def test_the_rendered_text_holds_task_and_whole_program() -> None:
    source = "```\n" + "x = 1\n" * 5_000
    text = render(TASK, Program(source=source))
    assert "Double x." in text and source in text and "left out" not in text


async def test_a_foreign_program_is_read_as_if_the_model_had_answered_with_it() -> None:
    source = "# a`b``c\nx = 'é'\n"
    one = await read_program(llm(), TASK, Program(source=source), index=3)
    assert one.index == 3 and one.completion.logprobs
    assert one.completion.text[slice(*one.span)] == source
    without = await read_program(llm(states=False), TASK, Program(source=source))
    assert without.completion.logprobs is None and without.completion.text[slice(*without.span)] == source


async def test_a_foreign_program_that_is_too_long_says_so() -> None:
    with pytest.raises(ConfigError, match="does not fit the model"):
        await read_program(llm(), TASK, Program(source="LONG"))
