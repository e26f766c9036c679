"""What a reply means, and that a reply which is none is said to be so in printable words."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atlas.errors import ModelReplyError
from atlas.llm import replies, wire
from atlas.protocols import Capabilities, Sampling
from atlas.types import Message

SAMPLING = Sampling(n=2, temperature=0.7, seed=100, max_tokens=8)
FULL = Capabilities(model="m", n=True, logprobs=True, embeddings=True, states=True, seeds=True)


def entry(text: str, logprob: float, *others: float, data: bytes | None = None) -> dict[str, Any]:
    top = [{"token": "?", "logprob": other} for other in others]
    return {
        "token": text,
        "bytes": list(text.encode() if data is None else data),
        "logprob": logprob,
        "top_logprobs": top,
    }


def choice(text: str, index: int = 0, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish, "message": {"role": "assistant", "content": text}, **more}


def reply(*choices: dict[str, Any], prompt: int = 5, completion: int = 3) -> replies.ChatReply:
    body = {"choices": choices, "usage": {"prompt_tokens": prompt, "completion_tokens": completion}, "new_field": 1}
    return replies.parse(replies.ChatReply, json.dumps(body).encode(), url="http://host/v1/chat")


def states(rows: int, width: int, **changes: Any) -> dict[str, Any]:
    data = np.arange(rows * width, dtype="<f2").tobytes()
    return {"dtype": "float16", "shape": [rows, width], "data": base64.b64encode(data).decode(), **changes}


def test_choices_come_in_the_order_of_their_index_with_their_seeds() -> None:
    made = wire.completions(reply(choice("b", 1), choice("a", 0, None)), SAMPLING, seed=100, states=False)
    assert [(c.text, c.seed, c.finish_reason) for c in made] == [("a", 100, "unknown"), ("b", 101, "stop")]
    assert made[0].logprobs is None and made[0].states is None and made[0].temperature == 0.7


def test_only_the_first_of_all_choices_can_be_the_likeliest() -> None:
    first = replace(SAMPLING, greedy_first=True)
    made = wire.completions(reply(choice("a", 0), choice("b", 1)), first, seed=100, states=False)
    later = wire.completions(reply(choice("a", 0)), first, start=2, seed=102, states=False)
    assert [c.temperature for c in (*made, *later)] == [0.0, 0.7, 0.7]


def test_no_seed_is_claimed_where_none_was_sent() -> None:
    (made,) = wire.completions(reply(choice("a")), SAMPLING, seed=None, states=False)
    assert made.seed is None


def test_a_choice_that_said_nothing_is_an_empty_text() -> None:
    (made,) = wire.completions(reply(choice(None)), SAMPLING, seed=1, states=False)  # type: ignore[arg-type]
    assert made.text == ""


def test_token_bytes_and_runner_up() -> None:
    content = [
        entry("é", -0.1, -0.1, -3.0),  # the likeliest was drawn
        entry("�", -2.0, -0.2, -2.0, data=b"\xf0\x9f"),  # half a character; another one was likelier
        entry("x", -9.0, -0.2, -0.4),  # drawn from outside of the likeliest two
        entry("y", -0.7, -0.7, -0.7),  # a tie
        {"token": "z", "logprob": -0.3},  # neither bytes nor others
    ]
    (made,) = wire.completions(reply(choice("…", logprobs={"content": content})), SAMPLING, seed=1, states=False)
    assert made.logprobs is not None
    assert [(t.token, t.second) for t in made.logprobs] == [
        ("é".encode(), -3.0),
        (b"\xf0\x9f", -0.2),
        (b"x", -0.2),
        (b"y", -0.7),
        (b"z", None),
    ]


def test_impossible_runner_up_is_left_out() -> None:
    content = [{**entry("a", -0.1), "top_logprobs": [{"logprob": -0.1}, {"logprob": None}]}]
    (made,) = wire.completions(reply(choice("a", logprobs={"content": content})), SAMPLING, seed=1, states=False)
    assert made.logprobs is not None and made.logprobs[0].second is None


@pytest.mark.parametrize(("finish", "kept"), [("stop", 1), ("length", 2)])
def test_the_end_of_generation_is_no_part_of_the_answer(finish: str, kept: int) -> None:
    content = [entry("a", -0.1), entry("", -0.2)]
    (made,) = wire.completions(
        reply(choice("a", 0, finish, logprobs={"content": content})), SAMPLING, seed=1, states=False
    )
    assert made.logprobs is not None and len(made.logprobs) == kept


def test_states_belong_to_tokens() -> None:
    content = [entry("a", -0.1), entry("b", -0.1)]
    chosen = choice("ab", logprobs={"content": content}, states=states(2, 3))
    (made,) = wire.completions(reply(chosen), SAMPLING, seed=1, states=True)
    assert made.states is not None and made.states.dtype == np.float16
    assert made.states.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_states_of_an_empty_answer() -> None:
    chosen = choice("", logprobs={"content": []}, states=states(0, 3))
    (made,) = wire.completions(reply(chosen), SAMPLING, seed=1, states=True)
    assert made.states is not None and made.states.shape == (0, 3)


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (None, "sent none"),
        (states(3, 3), "3 states for 2 tokens"),
        (states(2, 3, shape=[2, 4]), "12 bytes"),
        (states(2, 3, data="***"), "base64"),
        (states(2, 1, data=base64.b64encode(np.array([1, np.nan], "<f2").tobytes()).decode()), "finite"),
    ],
)
def test_states_that_do_not_fit_are_refused(sent: Any, complaint: str) -> None:
    chosen = choice("ab", logprobs={"content": [entry("a", -0.1), entry("b", -0.1)]}, states=sent)
    with pytest.raises(ModelReplyError, match=complaint):
        wire.completions(reply(chosen), SAMPLING, seed=1, states=True)


@pytest.mark.parametrize(
    ("reported", "entries", "expected"),
    [
        (3, [3, 4], 7),  # llama.cpp: only the first choice is reported
        (7, [3, 4], 7),
        (9, [3, 4], 9),  # entries may leave tokens out
        (10**9, [3, 4], 7),  # more than max_tokens allows
        (0, [3, 4], 7),
        (5, None, 5),  # nothing to count
    ],
)
def test_completion_tokens_count_every_choice(reported: int, entries: list[int] | None, expected: int) -> None:
    counts = entries or [0, 0]
    content = [None if entries is None else {"content": [entry("a", -0.1)] * count} for count in counts]
    made = reply(*(choice("a", i, logprobs=c) for i, c in enumerate(content)), prompt=11, completion=reported)
    usage = wire.usage(made, max_tokens=8)
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, expected)


def test_an_answer_that_is_said_to_have_cost_nothing_is_refused() -> None:
    with pytest.raises(ModelReplyError, match="reports 0 tokens"):
        wire.usage(reply(choice("text"), completion=0), max_tokens=8)
    assert wire.usage(reply(choice(""), completion=0), max_tokens=8).completion_tokens == 0


def test_payload_says_everything_a_server_might_default_otherwise() -> None:
    messages = [Message(role="user", content="hi")]
    body = wire.chat_payload(messages, SAMPLING, capabilities=FULL, start=1, n=2, states=True)
    assert body == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.7, "top_p": 1.0,
        "max_tokens": 8, "n": 2, "logprobs": True, "top_logprobs": 2, "seed": 101, "states": True,
    }  # fmt: skip


def test_payload_leaves_out_what_the_server_cannot_take() -> None:
    poor = Capabilities(model="m", n=False, logprobs=False, embeddings=False, states=False, seeds=False)
    body = wire.chat_payload([], SAMPLING, capabilities=poor, start=0, n=1, states=False)
    assert sorted(body) == ["max_tokens", "messages", "model", "temperature", "top_p"]


@pytest.mark.parametrize("packed", [True, False])
def test_vectors_in_both_encodings(packed: bool) -> None:
    data = np.array([0.25, -1.5], dtype="<f4")
    sent = base64.b64encode(data.tobytes()).decode() if packed else data.tolist()
    parsed = replies.parse(replies.EmbeddingsReply, json.dumps({"data": [{"embedding": sent}]}).encode(), url="u")
    made = wire.vector(parsed)
    assert made.dtype == np.float32 and made.tolist() == [0.25, -1.5]


@pytest.mark.parametrize("sent", ["", [], "AAA=", "AA==", [1e999], base64.b64encode(b"\0\0\xc0\x7f").decode()])
def test_vectors_that_are_none(sent: Any) -> None:
    with pytest.raises(ModelReplyError):
        wire.vector(
            replies.parse(replies.EmbeddingsReply, json.dumps({"data": [{"embedding": sent}]}).encode(), url="u")
        )


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<!doctype html><p>Hello", "an HTML page"),
        (b"", "an empty body"),
        (b'{"choices":[{"mess', r"\(whole\) JSON"),
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', "choices"),
        (b'{"choices":[{"message":{"content":"a"}}]}', "usage"),
        (b'{"choices":[{"message":{"content":7}}],"usage":{"prompt_tokens":1}}', "message.content"),
        (b'{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":-1}}', "prompt_tokens"),
        (b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}', "message"),
        (b'["choices"]', "another schema"),
        (b'{"error":"boom"}', "boom"),
        (b"\xff\xfe\x00", "JSON"),
        (
            b'{"choices":[{"message":{"content":""},"logprobs":{"content":[{"token":"a","logprob":NaN}]}}],'
            b'"usage":{"prompt_tokens":1}}',
            "logprob",
        ),
    ],
)
def test_what_is_no_completion_is_named(body: bytes, complaint: str) -> None:
    with pytest.raises(ModelReplyError, match=complaint) as caught:
        replies.parse(replies.ChatReply, body, url="http://host/v1/chat/completions")
    assert "http://host/v1/chat/completions" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_excerpts_are_short_printable_and_keep_the_key() -> None:
    body = b"\x1b[31mred\x07 key=sk-secret\r\n\t" + "näh\u202e ".encode() + b"x" * 10_000
    shown = replies.excerpt(body, secret="sk-secret")
    assert "sk-secret" not in shown and "[key]" in shown
    assert shown.isprintable() and len(shown) < 250


def test_a_key_is_found_before_the_excerpt_is_cut() -> None:
    shown = replies.excerpt(b"x" * 195 + b"sk-secret", secret="sk-secret")
    assert "sk-se" not in shown


@pytest.mark.parametrize(
    "message",
    [
        "input (801 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
        "the input is too long: 1 prompt tokens and 5001 more do not fit the context of 4096",
        "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
        "request (10030 tokens) exceeds the available context size (1024 tokens), try increasing it",
        "Input length 9000 is longer than the maximum",
        "the input length exceeds the context length",
    ],
)
def test_too_long_in_the_words_of_several_servers(message: str) -> None:
    assert replies.says_too_long(message)


@pytest.mark.parametrize(
    "message", ["boom", "Input content cannot be empty", "Invalid API Key", "the model is loading"]
)
def test_other_refusals_are_not_too_long(message: str) -> None:
    assert not replies.says_too_long(message) and not replies.says_never(message)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"m","code":1}}', b"m"),
        (b'{"error":"m"}', b"m"),
        (b'{"detail":"m"}', b"m"),
        (b'{"message":"m"}', b"m"),
        (b'{"detail":[{"loc":[]}]}', b'{"detail":[{"loc":[]}]}'),
        (b"[1]", b"[1]"),
        (b"plain", b"plain"),
        (b'{"error":{}}', b'{"error":{}}'),
    ],
)
def test_the_sentence_within_an_error(body: bytes, text: bytes) -> None:
    assert replies.error_text(body) == text
