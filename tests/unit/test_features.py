"""What is told of a candidate without running it, against values by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.features import OF_TOKENS, SCALARS, code_tokens, scalars
from atlas.types import Candidate, Completion, Program, Task, TokenLogprob
from costfield.config import TrainConfig
from tests.support.domain import TASK, candidate


def table(*candidates: Candidate, task: Task = TASK) -> list[dict[str, float]]:
    return [dict(zip(SCALARS, row.tolist(), strict=True)) for row in scalars(task, candidates)]


def spread(text: str, cuts: list[int], span: tuple[int, int]) -> Candidate:
    """A candidate whose completion's bytes are cut into tokens at `cuts`."""
    raw = text.encode()
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(raw)), len(raw)]
    tokens = tuple(
        TokenLogprob(token=raw[a:b], logprob=-1.0) for a, b in pairwise(edges) if a < b or not raw
    )
    made = Completion(text=text, finish_reason="stop", logprobs=tokens)
    return Candidate(index=0, round=0, program=Program(source=text[slice(*span)]), completion=made, span=span)


@settings(deadline=None)
@given(st.data())
def test_the_tokens_of_the_code_are_those_that_share_a_byte_with_it(data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet=st.sampled_from("aé漢🙂\n"), min_size=1, max_size=30))
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin + 1, len(text)))
    one = spread(text, data.draw(st.lists(st.integers(1, 100), max_size=20)), (begin, end))
    first, last = len(text[:begin].encode()), len(text[:end].encode())
    expected, at = [], 0
    for i, token in enumerate(one.completion.logprobs or ()):
        if at < last and at + len(token.token) > first:
            expected.append(i)
        at += len(token.token)
    assert list(range(*code_tokens(one).indices(len(one.completion.logprobs or ())))) == expected


def test_a_character_that_two_tokens_share_belongs_to_both() -> None:
    one = spread("```\né\n```", [4, 5, 6, 7], (4, 6))  # é is the bytes 4 and 5
    assert code_tokens(one) == slice(1, 4)


def test_an_answer_cut_inside_a_character_keeps_all_its_tokens() -> None:
    raw = "x = 'é".encode()[:-1]
    made = Completion(
        text=raw.decode("utf-8", "replace"), finish_reason="length",
        logprobs=tuple(TokenLogprob(token=raw[i : i + 1], logprob=-1.0) for i in range(len(raw))),
    )
    one = Candidate(index=0, round=0, program=Program(source="x"), completion=made, span=(0, len(made.text)))
    assert len(raw[code_tokens(one)]) == len(raw)


def test_log_probabilities_are_those_of_the_code_alone() -> None:
    tokens = [b"```\n", *(b"abcd"[i : i + 1] for i in range(4)), b"\n```"]
    own = (-9.0, -0.5, -2.0, -1.0, -0.1, -9.0)
    made = Completion(
        text="```\nabcd\n```", finish_reason="stop",
        logprobs=tuple(TokenLogprob(token=t, logprob=p, second=-3.0) for t, p in zip(tokens, own, strict=True)),
    )
    one = Candidate(index=0, round=0, program=Program(source="abcd"), completion=made, span=(4, 8))
    (row,) = table(one)
    assert row["logprob_mean"] == pytest.approx(-0.9)
    assert row["logprob_min"] == row["logprob_tenth"] == pytest.approx(-2.0)
    assert (row["logprob_first"], row["logprob_last"]) == pytest.approx((-0.5, -0.1))
    assert row["logprob_end"] == pytest.approx((-2.0 - 1.0 - 0.1) / 3)
    assert row["logprob_sum"] == pytest.approx(-3.6)
    assert row["logprob_sure"] == 0.25  # log 0.9 is -0.105
    assert row["prob_mean"] == pytest.approx((0.6065 + 0.1353 + 0.3679 + 0.9048) / 4, abs=1e-4)
    assert row["margin_mean"] == pytest.approx(3 - 0.9)


def test_what_the_server_does_not_give_is_nan_and_not_zero() -> None:
    none, empty = candidate("x = 1", logprobs=None), candidate("x = 1", logprobs=())
    for row in table(none, empty):
        assert all(np.isnan(row[name]) for name in OF_TOKENS)
        assert not np.isnan(row["agreement"])
    alone = candidate("ab", logprobs=(TokenLogprob(token=b"ab", logprob=-1.0),))
    (row,) = table(alone)
    assert np.isnan(row["margin_mean"]) and row["logprob_mean"] == -1
    assert all(np.isnan(row[name]) for name in TrainConfig().relative), "agreement with nobody is no agreement"


def test_agreement_is_the_mean_jaccard_similarity_to_the_siblings() -> None:
    a, b, c = candidate("x = 1", 0), candidate("x = 2", 1), candidate("print(x)", 2)
    first, second, third = table(a, b, c)
    # {x = 1} and {x = 2}: 2 of 4; {x = 1} and {print ( x )}: 1 of 6.
    assert first["agreement"] == pytest.approx((2 / 4 + 1 / 6) / 2)
    assert second["agreement"] == pytest.approx(first["agreement"])
    assert third["agreement"] == pytest.approx(1 / 6)


def test_copies_are_siblings() -> None:
    a, b = candidate("x = 1", 0, copies=3), candidate("x = 2", 1)
    first, second = table(a, b)
    assert first["agreement"] == pytest.approx((2 * 1 + 1 * 0.5) / 3)
    assert second["agreement"] == pytest.approx(0.5)
    assert (first["copies"], second["copies"]) == pytest.approx((2 / 3, 0))


def test_a_program_with_other_names_has_the_same_shape() -> None:
    one = candidate("def f(xs):\n    '''Doc.'''\n    total = 0\n    for x in xs:\n        total += x\n    return total")
    same = candidate("def f(a: list) -> int:\n    s = 0\n    for n in a:\n        s += n\n    return s", 1)
    other = candidate("def f(xs):\n    return sum(xs)", 2)
    rows = table(one, same, other)
    assert [row["same_shape"] for row in rows] == [0.5, 0.5, 0.0]
    assert rows[0]["shape_agreement"] == rows[1]["shape_agreement"] > 0.5 > rows[2]["shape_agreement"] > 0


def test_names_that_no_one_defines_are_counted_and_the_entry_point_is_looked_for() -> None:
    good, bad, broken = (
        candidate("import math\ndef f(x):\n    return math.sqrt(x)"),
        candidate("def g(x):\n    return math.sqrt(x) + y"), candidate("def f(:"),
    )
    first, second, third = table(good, bad, broken)
    assert (first["parses"], first["undefined_names"], first["entry_point"]) == (1, 0, 1)
    assert (second["parses"], second["undefined_names"], second["entry_point"]) == (1, 2, 0)
    assert (third["parses"], third["entry_point"]) == (0, 0) and np.isnan(third["undefined_names"])
    (lambda_,) = table(candidate("f = lambda x: x"))
    assert lambda_["entry_point"] == 1


def test_other_languages_have_no_syntax_tree_here() -> None:
    (row,) = table(candidate("echo 1"), task=Task(id="t", prompt="p", language="bash"))
    assert np.isnan([row["parses"], row["undefined_names"], row["entry_point"]]).all()
    assert (row["chars"], row["lines"]) == (6, 0)


DEEP = {
    "minus": "-" * 5_000 + "1", "sum": "1" + "+1" * 20_000, "attributes": "a" + ".b" * 20_000,
    "calls": "f" + "()" * 20_000, "brackets": "[" * 500, "not": "x = " + "not " * 3_000 + "1",
    "blocks": "".join(" " * i + "if x:\n" for i in range(99)) + " " * 99 + "pass",
    "strings": "x = (" + "'a'\n" * 5_000 + ")", "null": "x = 1\x00", "warns": "x = '\\d'",
}


@pytest.mark.parametrize("name", DEEP)
def test_no_program_is_too_deep_or_too_odd(name: str) -> None:
    rows = scalars(TASK, [candidate(DEEP[name]), candidate("x = 1", 1)])
    assert rows.shape == (2, len(SCALARS)) and rows.dtype == np.float32
    assert np.isfinite(rows[:, SCALARS.index("agreement")]).all()


def test_no_candidates_make_an_empty_table() -> None:
    assert scalars(TASK, []).shape == (0, len(SCALARS))
