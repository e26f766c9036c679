"""The embedded engine's process: llama.cpp behind the OpenAI wire protocol, on a loopback port, with a random key.

A process of its own, so that a native assertion in llama.cpp kills no service. It ends when its standard input does:
a parent that was killed leaves nothing behind.

Beyond the protocol, /v1/chat/completions takes `"states": true` and then returns each choice's states, one a token,
and /v1/atlas/read gives log-probabilities and states of a text that is already there (teacher forcing).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import secrets
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from atlas.llm.decoder import Decoder, TooLong
from atlas.llm.jobs import Choice, Job
from atlas.llm.llamacpp import LlamaError

KEY_VARIABLE = "ATLAS_ENGINE_KEY"


class _Body(BaseModel):
    # As OpenAI-compatible servers do, ignore what is unknown: clients send vendor extensions.
    model_config = ConfigDict(extra="ignore")


class ChatMessage(_Body):
    role: str
    content: str


class ChatBody(_Body):
    messages: list[ChatMessage] = Field(min_length=1)
    n: int = Field(default=1, ge=1, le=128)
    temperature: float = Field(default=1.0, ge=0.0, le=5.0)
    greedy_first: bool = False
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=1024, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool = False
    states: bool = False


class EmbeddingsBody(_Body):
    input: str | list[str]
    encoding_format: str = "float"


class ReadBody(_Body):
    messages: list[ChatMessage] = Field(min_length=1)
    text: str = Field(min_length=1)


class Engine:
    """The decoder, and the wire's view of it."""

    def __init__(self, decoder: Decoder, *, model: str, sha256: str, key: str) -> None:
        self.decoder, self.model, self.sha256, self.key = decoder, model, sha256, key

    async def wait(self, request: Request, job: Job) -> list[Choice]:
        """The job's choices; drops the job as soon as the client has gone."""
        future = asyncio.wrap_future(self.decoder.submit(job))
        try:
            while not future.done():
                await asyncio.wait([future], timeout=0.25)
                if not future.done() and await request.is_disconnected():
                    raise ClientGone
            return future.result()
        finally:
            job.abandoned = True

    async def models(self, request: Request) -> JSONResponse:
        extension = {
            "states": self.decoder.gives_states, "engine": "llama.cpp", "n_embd": self.decoder.n_embd,
            "n_ctx": self.decoder.n_ctx, "slots": self.decoder.slots, "model_sha256": self.sha256,
            "max_embed_tokens": self.decoder.n_ctx,
        }
        entry = {"id": self.model, "object": "model", "owned_by": "local", "atlas": extension}
        return JSONResponse({"object": "list", "data": [entry]})

    async def chat(self, request: Request) -> JSONResponse:
        body = ChatBody.model_validate(await request.json())
        stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
        first = secrets.randbits(31) if body.seed is None else body.seed
        job = Job(
            prompt=self.decoder.vocabulary.prompt_tokens([(m.role, m.content) for m in body.messages]),
            seeds=[(first + i) % 2**63 for i in range(body.n)],
            temperatures=[0.0 if body.greedy_first and i == 0 else body.temperature for i in range(body.n)],
            top_p=body.top_p,
            max_tokens=body.max_tokens,
            stop=tuple(s.encode() for s in stop if s),
            states=body.states,
        )
        choices = await self.wait(request, job)
        usage = {"prompt_tokens": len(job.prompt), "completion_tokens": sum(len(x.pieces) for x in choices)}
        return JSONResponse(
            {
                "id": f"chatcmpl-{secrets.token_hex(12)}", "object": "chat.completion", "model": self.model,
                "choices": [self.choice(x, logprobs=body.logprobs, states=body.states) for x in choices],
                "usage": {**usage, "total_tokens": sum(usage.values())},
            }
        )

    async def read(self, request: Request) -> JSONResponse:
        body = ReadBody.model_validate(await request.json())
        prompt = self.decoder.vocabulary.prompt_tokens([(m.role, m.content) for m in body.messages])
        (choice,) = await self.wait(request, self.forced(prompt, body.text))
        return JSONResponse(self.choice(choice, logprobs=True, states=True))

    async def embeddings(self, request: Request) -> JSONResponse:
        body = EmbeddingsBody.model_validate(await request.json())
        texts = [body.input] if isinstance(body.input, str) else body.input
        data = []
        for index, text in enumerate(texts):
            if not text:
                raise ValueError("a text to embed is empty")
            # A first token is needed to hang the reading on; the end-of-text token stands for no text.
            (choice,) = await self.wait(request, self.forced([self.decoder.vocabulary.end_token], text))
            mean = np.mean(np.stack(choice.states).astype(np.float32), axis=0)
            unit = (mean / np.linalg.norm(mean)).astype("<f4")
            packed = base64.b64encode(unit.tobytes()).decode() if body.encoding_format == "base64" else unit.tolist()
            data.append({"object": "embedding", "index": index, "embedding": packed})
        return JSONResponse({"object": "list", "model": self.model, "data": data})

    def forced(self, prompt: list[int], text: str) -> Job:
        tokens = self.decoder.vocabulary.tokenize(text, special=False)
        return Job(prompt=prompt, seeds=[0], temperatures=[0.0], top_p=1.0, max_tokens=1, states=True, forced=tokens)

    def choice(self, choice: Choice, *, logprobs: bool, states: bool) -> dict[str, Any]:
        """One choice on the wire: an entry of `logprobs.content` and a row of `states` for each token of its text."""
        text = choice.text.decode("utf-8", "replace")
        body: dict[str, Any] = {
            "index": choice.index, "finish_reason": choice.finish_reason,
            "message": {"role": "assistant", "content": text},
        }
        if logprobs:
            columns = zip(choice.pieces, choice.logprobs, choice.seconds, strict=True)
            body["logprobs"] = {"content": [token_body(piece, own, other) for piece, own, other in columns]}
        if states:
            rows = np.stack(choice.states) if choice.states else np.zeros((0, self.decoder.n_embd), np.float16)
            data = base64.b64encode(rows.astype("<f2").tobytes()).decode()
            body["states"] = {"dtype": "float16", "shape": list(rows.shape), "data": data}
        return body

    def app(self) -> Starlette:
        routes = [
            Route("/v1/models", self._guarded(self.models)),
            Route("/v1/chat/completions", self._guarded(self.chat), methods=["POST"]),
            Route("/v1/embeddings", self._guarded(self.embeddings), methods=["POST"]),
            Route("/v1/atlas/read", self._guarded(self.read), methods=["POST"]),
        ]
        return Starlette(routes=routes)

    def _guarded(self, handler: Any) -> Any:
        async def guarded(request: Request) -> JSONResponse:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not secrets.compare_digest(given.encode(), self.key.encode()):
                return problem(401, "the key is missing or wrong")
            try:
                answer: JSONResponse = await handler(request)
            except (ValidationError, ValueError) as exc:
                return problem(400, str(exc))
            except TooLong as exc:
                return problem(400, f"the input is too long: {exc}")
            except LlamaError as exc:
                return problem(500, str(exc))
            except ClientGone:
                return problem(499, "the client has gone")
            return answer

        return guarded


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


def problem(status: int, message: str) -> JSONResponse:
    """An error as OpenAI-compatible servers write it."""
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": status}}, status)


def token_body(piece: bytes, own: float, other: float) -> dict[str, Any]:
    """One generated token on the wire, with the likelier of itself and the likeliest other one first."""
    top = [{"token": "", "logprob": value} for value in (max(own, other), min(own, other))]
    return {"token": piece.decode("utf-8", "replace"), "bytes": list(piece), "logprob": own, "top_logprobs": top}


def _end_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def main() -> None:
    """Serve until standard input ends. Prints one line, `ready PORT`, once requests are answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--sha256", default="")
    parser.add_argument("--n-ctx", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--library", type=Path)
    options = parser.parse_args()
    key = os.environ.pop(KEY_VARIABLE)
    try:
        decoder = Decoder(
            options.model, n_ctx=options.n_ctx, slots=options.slots, threads=options.threads, library=options.library
        )
    except LlamaError as exc:
        sys.exit(str(exc))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    engine = Engine(decoder, model=options.name, sha256=options.sha256, key=key)
    server = uvicorn.Server(uvicorn.Config(engine.app(), log_level="warning", access_log=False, lifespan="off"))
    threading.Thread(target=decoder.run, daemon=True).start()
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    sys.stdout.write(f"ready {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
