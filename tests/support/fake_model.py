"""What the fake model server answers: a pure model of a server's habits, good and bad, without any I/O."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

STATE_WIDTH = 8
VECTOR_WIDTH = 16
_WORDS = "amber birch cedar delta ember fjord grove haven islet jetty knoll lagoon mesa north ocean prairie".split()

Answer = Callable[[Sequence[dict[str, str]], int], str]
"""(messages, seed) -> text of one choice."""


@dataclass(kw_only=True)
class FakeModel:
    """The habits of a server.

    `usage`: all = every choice counted; one = only the first, as llama.cpp does; huge = a lie; missing = none at all.
    `n`: twins = every choice gets the same seed. `embeddings`: clip = long texts are cut without a word, as some do.
    `answer` writes the text of each choice; by default, words that depend on prompt and seed.
    """

    api_key: str | None = "sk-fake-0123456789"
    model: str = "fake-model"
    more_models: tuple[str, ...] = ()
    slots: int = 4
    n_ctx: int = 2048
    n: Literal["honour", "ignore", "refuse", "twins"] = "honour"
    logprobs: Literal["give", "omit", "refuse"] = "give"
    seeds: Literal["take", "refuse"] = "take"
    usage: Literal["all", "one", "huge", "missing"] = "one"
    embeddings: Literal["give", "missing", "unsupported", "float_only", "clip"] = "give"
    max_embed_tokens: int = 64
    states: bool = False
    seconds_per_token: float = 0.0
    answer: Answer | None = None

    def route(self, path: str, authorization: str | None, body: Any) -> tuple[int, Any, float]:
        """Status, JSON and seconds of thought."""
        if self.api_key is not None and authorization != f"Bearer {self.api_key}":
            return 401, _error(401, "Invalid API Key"), 0.0
        if path == "/v1/models":
            return 200, {"object": "list", "data": [self._entry(name) for name in (self.model, *self.more_models)]}, 0.0
        if path == "/v1/chat/completions":
            return self._chat(body)
        if path == "/v1/embeddings" and self.embeddings != "missing":
            return self._embeddings(body)
        if path == "/v1/atlas/read" and self.states:
            return self._reading(body)
        return 404, _error(404, "File Not Found"), 0.0

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": name, "object": "model", "aliases": [f"alias-of-{name}"]}
        if self.states:
            entry["atlas"] = {
                "states": True,
                "engine": "fake 1",
                "n_embd": STATE_WIDTH,
                "model_sha256": hashlib.sha256(name.encode()).hexdigest(),
                "max_embed_tokens": self.max_embed_tokens,
            }
        return entry

    def _chat(self, body: dict[str, Any]) -> tuple[int, Any, float]:
        asked = body.get("n", 1)
        refusal = self._refusal(body, asked)
        if refusal:
            return 400, _error(400, refusal), 0.0
        n = asked if self.n in ("honour", "twins") else 1
        seed = body.get("seed", random.randrange(2**31))
        seeds = [seed if self.n == "twins" else seed + i for i in range(n)]
        if body.get("temperature") == 0:
            seeds = [0] * n  # whatever is asked for: the likeliest tokens are the same for every seed
        elif body.get("greedy_first") and self.states:
            seeds[0] = 0
        choices = [self._choice(body, seeds[i], i) for i in range(n)]
        tokens = [choice.pop("count") for choice in choices]
        reply: dict[str, Any] = {"object": "chat.completion", "model": self.model, "choices": choices}
        if self.usage != "missing":
            completion = {"all": sum(tokens), "one": tokens[0], "huge": 10**9}[self.usage]
            reply["usage"] = {"prompt_tokens": _prompt_tokens(body), "completion_tokens": completion}
        return 200, reply, self.seconds_per_token * max(tokens)

    def _refusal(self, body: dict[str, Any], asked: int) -> str | None:
        if asked > 1 and self.n == "refuse":
            return "Unrecognized request argument supplied: n"
        if self.n == "honour" and asked > self.slots:
            return f"Field 'n': Value must be between 1 <= value <= {self.slots}, but got {asked}"
        if body.get("logprobs") and self.logprobs == "refuse":
            return "logprobs are not supported by this model"
        if "seed" in body and self.seeds == "refuse":
            return "Unrecognized request argument supplied: seed"
        if _prompt_tokens(body) > self.n_ctx:
            return f"request ({_prompt_tokens(body)} tokens) exceeds the available context size ({self.n_ctx} tokens)"
        return None

    def _choice(self, body: dict[str, Any], seed: int, index: int) -> dict[str, Any]:
        text = (self.answer or _babble)(body["messages"], seed)
        for stop in body.get("stop", ()):
            text = text.partition(stop)[0]
        return self._worded(text, body, seed, index)

    def _worded(self, text: str, body: dict[str, Any], seed: int, index: int) -> dict[str, Any]:
        tokens, finish = _tokens(text), "stop"
        if len(tokens) >= body["max_tokens"]:
            tokens, finish = tokens[: body["max_tokens"]], "length"
        choice: dict[str, Any] = {
            "index": index,
            "finish_reason": finish,
            "message": {"role": "assistant", "content": "".join(tokens)},
            "count": len(tokens) + (finish == "stop"),
        }
        if body.get("logprobs") and self.logprobs == "give":
            content = [_entry_of(token, f"{seed} {place}") for place, token in enumerate(tokens)]
            if finish == "stop" and not self.states:
                content.append(_entry_of("", f"{seed} end"))  # llama.cpp lists the end-of-generation token
            choice["logprobs"] = {"content": content}
        if body.get("states") and self.states:
            rows = np.array([_numbers(f"{t} {i}", STATE_WIDTH) for i, t in enumerate(tokens)], dtype="<f2")
            data = base64.b64encode(rows.tobytes()).decode()
            choice["states"] = {"dtype": "float16", "shape": [len(tokens), STATE_WIDTH], "data": data}
        return choice

    def _reading(self, body: dict[str, Any]) -> tuple[int, Any, float]:
        total = _prompt_tokens(body) + len(_tokens(body["text"]))
        if total > self.n_ctx:
            return 400, _error(400, f"the input is too long: {total} tokens do not fit {self.n_ctx}"), 0.0
        forced = {"messages": body["messages"], "max_tokens": total, "logprobs": True, "states": True}
        choice = self._worded(body["text"], forced, 0, 0)
        del choice["count"]
        return 200, choice, 0.0

    def _embeddings(self, body: dict[str, Any]) -> tuple[int, Any, float]:
        if self.embeddings == "unsupported":
            return 500, _error(500, "this model does not support embeddings"), 0.0
        if self.embeddings == "float_only" and body.get("encoding_format") == "base64":
            return 400, _error(400, "encoding_format must be float"), 0.0
        tokens = _tokens(body["input"])
        if len(tokens) > self.max_embed_tokens and self.embeddings == "clip":
            tokens = tokens[: self.max_embed_tokens]
        if len(tokens) > self.max_embed_tokens:
            return 500, _error(500, f"input ({len(tokens)} tokens) is too large to process."), 0.0
        if not tokens:
            return 400, _error(400, "Input content cannot be empty"), 0.0
        vector = np.sum([_numbers(token, VECTOR_WIDTH) for token in tokens], axis=0).astype("<f4")
        vector /= np.linalg.norm(vector)
        sent: Any = vector.tolist()
        if body.get("encoding_format") == "base64":
            sent = base64.b64encode(vector.tobytes()).decode()
        usage = {"prompt_tokens": len(tokens), "total_tokens": len(tokens)}
        return 200, {"object": "list", "data": [{"index": 0, "embedding": sent}], "usage": usage}, 0.0


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "error"}}


def _babble(messages: Sequence[dict[str, str]], seed: int) -> str:
    """Twenty to eighty words that depend on the prompt and the seed."""
    rng = random.Random(json.dumps([list(messages), seed]))
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(20, 80)))


def _tokens(text: str) -> list[str]:
    """Pieces of up to five characters that join to `text`; blanks go with what follows them."""
    return re.findall(r"\s*\S{1,5}|\s+", text)


def _prompt_tokens(body: dict[str, Any]) -> int:
    return sum(len(_tokens(message["content"])) + 4 for message in body["messages"])


def _numbers(text: str, count: int) -> list[float]:
    rng = random.Random(text)
    return [rng.gauss(0.0, 1.0) for _ in range(count)]


def _entry_of(token: str, salt: str) -> dict[str, Any]:
    """One log-probability entry; one in four tokens is not the likeliest."""
    rng = random.Random(salt + token)
    logprob = -rng.random() * 0.6
    other = -0.7 - rng.random() if rng.random() < 0.75 else logprob / 2
    chosen = {"token": token, "bytes": list(token.encode()), "logprob": logprob}
    rival = {"token": "<rival>", "bytes": list(b"<rival>"), "logprob": other}
    return {**chosen, "top_logprobs": sorted([chosen, rival], key=lambda t: -t["logprob"])}
