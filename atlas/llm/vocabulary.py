"""A model's text and tokens: tokenising, the chat template, the bytes of a token."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from typing import Any

from atlas.llm.llamacpp import LlamaError


class Vocabulary:
    """Text to tokens and back, for a loaded model. May be used from any thread; it changes nothing in the model."""

    def __init__(self, lib: Any, model: int) -> None:
        self._lib = lib
        self._model = model
        self._vocab = lib.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}
        self.n_tokens: int = lib.llama_vocab_n_tokens(self._vocab)
        self.end_token: int = lib.llama_vocab_eos(self._vocab)

    def ends(self, token: int) -> bool:
        """Whether the model ends its answer with `token`."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`. Control tokens are recognised only with `special`, so that no text can forge one."""
        raw = text.encode("utf-8", "replace")
        buffer = (c.c_int32 * (len(raw) + 8))()
        n = self._lib.llama_tokenize(self._vocab, raw, len(raw), buffer, len(buffer), False, special)
        if n < 0:
            raise LlamaError(f"a text of {len(raw)} bytes could not be tokenised")
        return list(buffer[:n])

    def prompt_tokens(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """The chat template of the model around `messages` (role, content), up to where the assistant begins.

        Contents are tokenised apart from the template and without control tokens: a candidate's output that comes
        back in a prompt cannot end a message or start another.
        """
        marks = [f"\x02{i}\x03" for i in range(len(messages))]
        rendered = self._apply_template([(role, mark) for (role, _), mark in zip(messages, marks, strict=True)])
        tokens: list[int] = []
        for mark, (_, content) in zip(marks, messages, strict=True):
            before, found, rendered = rendered.partition(mark)
            if not found:
                raise LlamaError("the model's chat template drops a message; it cannot be used")
            tokens += self.tokenize(before, special=True) + self.tokenize(content, special=False)
        return tokens + self.tokenize(rendered, special=True)

    def _apply_template(self, messages: Sequence[tuple[str, str]]) -> str:
        class ChatMessage(c.Structure):
            _fields_ = [("role", c.c_char_p), ("content", c.c_char_p)]

        chat = (ChatMessage * len(messages))(*(ChatMessage(r.encode(), t.encode()) for r, t in messages))
        template = self._lib.llama_model_chat_template(self._model, None)
        buffer = c.create_string_buffer(65_536)
        n = self._lib.llama_chat_apply_template(template, chat, len(messages), True, buffer, len(buffer))
        if not 0 < n <= len(buffer):
            raise LlamaError("this model's chat template is not one that llama.cpp knows")
        return buffer.raw[:n].decode()

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for a control token. May be half a character."""
        if token not in self._pieces:
            buffer = c.create_string_buffer(256)
            n = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
            self._pieces[token] = buffer.raw[: max(n, 0)]
        return self._pieces[token]
