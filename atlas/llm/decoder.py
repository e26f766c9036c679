"""Continuous batching over llama.cpp in one thread: several completions of several prompts, decoded together.

Siblings share their prompt's cells (`llama_memory_seq_cp`), so n completions cost one prefill. Each generated token's
log-probability at temperature 1 and its state two thirds up the layers come out of the pass that generates it. Nothing
here is asynchronous or knows HTTP: `submit` may be called from any thread, `run` is the loop of one thread.
"""

from __future__ import annotations

import ctypes as c
import queue
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atlas.llm import llamacpp
from atlas.llm.jobs import Choice, Job
from atlas.llm.llamacpp import LlamaError
from atlas.llm.sampling import draw, log_probability
from atlas.llm.tap import NoStates, Tap
from atlas.llm.vocabulary import Vocabulary

BATCH = 512
SCORED_AT_ONCE = 64
"""Tokens read with outputs in one call: each needs a row of logits, 0.6 MB at a vocabulary of 152k."""


class TooLong(LlamaError):
    """Prompt and answer together do not fit the context."""


class Decoder:
    """A loaded model with one context of `n_ctx` cells shared by `slots` sequences.

    Raises LlamaError where the file cannot be loaded or the context cannot be made.
    """

    def __init__(self, model: Path, *, n_ctx: int, slots: int, threads: int, library: Path | None = None) -> None:
        self._lib = llamacpp.load_library(library)
        self._quiet = llamacpp.LOG_CALLBACK(lambda *_: None)
        self._lib.llama_log_set(self._quiet, None)
        self._lib.llama_backend_init()
        self._model = self._lib.llama_model_load_from_file(str(model).encode(), self._lib.llama_model_default_params())
        if not self._model:
            raise LlamaError(f"{model} cannot be loaded as a GGUF model")
        self.n_ctx = min(n_ctx, self._lib.llama_model_n_ctx_train(self._model))
        self.slots = slots
        self.n_embd: int = self._lib.llama_model_n_embd(self._model)
        layer = 2 * self._lib.llama_model_n_layer(self._model) // 3
        self._tap = Tap(self._lib, layer=layer, rows=BATCH, width=self.n_embd)
        self._context = self._open_context(threads)
        self._memory = self._lib.llama_get_memory(self._context)
        self.vocabulary = Vocabulary(self._lib, self._model)
        self._batch = self._lib.llama_batch_init(BATCH, 0, 1)
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._jobs: deque[Job] = deque()
        self._active: list[tuple[Job, Choice]] = []
        # One spare sequence per slot holds the prompts whose completions have not all been admitted yet.
        self._free = deque(range(2 * slots))
        self._reserved = 0
        self._stopped = False
        self.gives_states = self._probe_states()
        """False for the few architectures whose layers llama.cpp's graph does not name."""

    def _open_context(self, threads: int) -> c.c_void_p:
        params = self._lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = self.n_ctx, BATCH, BATCH
        params.n_seq_max = 2 * self.slots
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified, params.cb_eval = True, c.cast(self._tap.callback, c.c_void_p)
        context = self._lib.llama_init_from_model(self._model, params)
        if not context:
            raise LlamaError(f"no memory for a context of {self.n_ctx} tokens; lower llm.n_ctx")
        return c.c_void_p(context)

    def _probe_states(self) -> bool:
        try:
            self._decode([(0, 0, 0, True)], states=True)
        except NoStates:
            return False
        finally:
            self._lib.llama_memory_clear(self._memory, True)
        return True

    # -- the queue -------------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> Future[list[Choice]]:
        """Queue `job`.

        Raises TooLong where it can never fit, ValueError where it asks for states and there are none, LlamaError once
        the decoder was stopped.
        """
        if self._stopped:
            raise LlamaError("the engine was stopped")
        if not self.gives_states and (job.states or job.forced is not None):
            raise ValueError("llama.cpp does not name this model's layers, so there are no states to give")
        need = len(job.prompt) + job.answer_tokens
        if need > self.n_ctx:
            raise TooLong(
                f"{len(job.prompt)} prompt tokens and {job.answer_tokens} more do not fit the context of {self.n_ctx}"
            )
        drawn = zip(job.seeds, job.temperatures, strict=True)
        job.choices = [
            Choice(index=i, rng=np.random.default_rng(seed), temperature=temperature)
            for i, (seed, temperature) in enumerate(drawn)
        ]
        job.waiting = deque(job.choices)
        self._inbox.put(job)
        return job.done

    def stop(self) -> None:
        """Make `run` return after the step it is in; jobs that are not done fail with LlamaError."""
        self._stopped = True
        self._inbox.put(None)

    def run(self) -> None:
        """The loop: take in jobs, admit completions while cells and sequences last, decode one token for each."""
        while self._take_in():
            try:
                self._drop_abandoned()
                self._admit()
                if self._active:
                    self._step()
            except LlamaError as exc:
                self._fail(exc)
        while not self._inbox.empty():
            if (job := self._inbox.get()) is not None:
                self._jobs.append(job)
        self._fail(LlamaError("the engine was stopped"))

    def _fail(self, exc: LlamaError) -> None:
        """Fail every job that was begun or waits, and start from an empty context."""
        for job in {id(j): j for j in [*self._jobs, *(j for j, _ in self._active)]}.values():
            job.done.set_exception(exc)
        self._jobs.clear()
        self._active.clear()
        self._lib.llama_memory_clear(self._memory, True)
        self._free, self._reserved = deque(range(2 * self.slots)), 0

    def _take_in(self) -> bool:
        """Move what was submitted to the line; wait only where there is nothing else to do. False once stopped."""
        while True:
            try:
                job = self._inbox.get(block=not self._jobs and not self._active)
            except queue.Empty:
                return True
            if job is None:
                return False
            self._jobs.append(job)

    def _drop_abandoned(self) -> None:
        for job, choice in [(j, x) for j, x in self._active if j.abandoned]:
            self._release(job, choice)
        for job in [j for j in self._jobs if j.abandoned]:
            self._jobs.remove(job)
            self._forget_prompt(job)

    # -- admission -------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._jobs and self._free:
            job = self._jobs[0]
            fresh = job.sequence < 0
            need = job.answer_tokens + (len(job.prompt) if fresh else 0)
            if self._reserved + need > self.n_ctx or len(self._active) >= self.slots:
                return
            if fresh:
                if len(self._free) < 2:
                    return
                self._prefill(job)
            if job.forced is not None:
                self._read(job)
                self._jobs.popleft()  # not before: a job that fails must be found by `_fail`
                job.done.set_result(job.choices)
                continue
            self._start(job, job.waiting.popleft())
            if not job.waiting:
                self._jobs.popleft()
                self._forget_prompt(job)

    def _prefill(self, job: Job) -> None:
        job.sequence = self._free.popleft()
        self._reserved += len(job.prompt)
        for start in range(0, len(job.prompt), BATCH):
            part = job.prompt[start : start + BATCH]
            end = start + len(part) == len(job.prompt)
            self._decode([(t, start + i, job.sequence, end and i == len(part) - 1) for i, t in enumerate(part)])
        job.logits = self._rows(self._lib.llama_get_logits(self._context), 1, self.vocabulary.n_tokens)[0].copy()

    def _start(self, job: Job, choice: Choice) -> None:
        choice.sequence = self._free.popleft()
        self._reserved += job.answer_tokens
        self._lib.llama_memory_seq_cp(self._memory, job.sequence, choice.sequence, -1, -1)
        choice.position = len(job.prompt)
        self._active.append((job, choice))
        assert job.logits is not None
        self._sample(job, choice, job.logits)

    def _forget_prompt(self, job: Job) -> None:
        if job.sequence < 0:
            return
        self._lib.llama_memory_seq_rm(self._memory, job.sequence, -1, -1)
        self._free.append(job.sequence)
        # Cells that siblings still share are freed with the last of them; counting them as free at once would let
        # the next prompt overrun the context, so they stay reserved until then.
        job.sequence = -1
        if not any(j is job for j, _ in self._active):
            self._reserved -= len(job.prompt)

    def _release(self, job: Job, choice: Choice) -> None:
        self._active = [(j, x) for j, x in self._active if x is not choice]
        self._lib.llama_memory_seq_rm(self._memory, choice.sequence, -1, -1)
        self._free.append(choice.sequence)
        self._reserved -= job.answer_tokens
        if job.sequence < 0 and not any(j is job for j, _ in self._active):
            self._reserved -= len(job.prompt)
        if choice.finish_reason and all(x.finish_reason for x in job.choices):
            job.done.set_result(job.choices)

    # -- decoding --------------------------------------------------------------------------------------------------

    def _decode(self, items: Sequence[tuple[int, int, int, bool]], *, states: bool = False) -> NDArray[np.float32]:
        """Decode (token, position, sequence, wants output) for each item. Raises LlamaError.

        Returns the state of each (n, n_embd), valid until the next call, or none (0, n_embd) where not asked for.
        """
        self._tap.open(len(items) if states else 0)
        batch = self._batch
        batch.n_tokens = len(items)
        for i, (token, position, sequence, output) in enumerate(items):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, sequence, int(output)
        status = self._lib.llama_decode(self._context, batch)
        if status != 0:
            raise LlamaError(f"llama.cpp could not decode a batch of {len(items)} tokens (status {status})")
        return self._tap.states()

    def _rows(self, pointer: c._Pointer[c.c_float], n: int, width: int) -> NDArray[np.float32]:
        """The first n rows (n, width) of a buffer that llama.cpp owns until the next decode."""
        return np.ctypeslib.as_array(pointer, (n, width))

    def _step(self) -> None:
        active = list(self._active)
        wanted = any(job.states for job, _ in active)
        states = self._decode([(x.last, x.position, x.sequence, True) for _, x in active], states=wanted)
        logits = self._rows(self._lib.llama_get_logits(self._context), len(active), self.vocabulary.n_tokens)
        for row, (job, choice) in enumerate(active):
            choice.position += 1
            if job.states:
                choice.states.append(states[row].astype(np.float16))
            if choice.closing:
                self._finish(job, choice, choice.closing)
            else:
                self._sample(job, choice, logits[row])

    def _sample(self, job: Job, choice: Choice, logits: NDArray[np.float32]) -> None:
        token, logprob, second = draw(logits, choice.temperature, job.top_p, choice.rng)
        if self.vocabulary.ends(token):
            self._finish(job, choice, "stop")
            return
        choice.last = token
        choice.pieces.append(self.vocabulary.piece(token))
        choice.logprobs.append(logprob)
        choice.seconds.append(second)
        if choice.cut_at(job.stop):
            choice.closing = "stop"
        elif len(choice.pieces) >= job.max_tokens:
            choice.closing = "length"
        if choice.closing and (not job.states or len(choice.states) >= len(choice.pieces)):
            self._finish(job, choice, choice.closing)

    def _finish(self, job: Job, choice: Choice, reason: str) -> None:
        choice.finish_reason = reason
        self._release(job, choice)

    def _read(self, job: Job) -> None:
        """Teacher forcing: the log-probability and the state of each token of `job.forced`."""
        assert job.forced is not None and job.logits is not None
        choice, previous = job.choices[0], job.logits
        for start in range(0, len(job.forced), SCORED_AT_ONCE):
            part = job.forced[start : start + SCORED_AT_ONCE]
            base = len(job.prompt) + start
            states = self._decode([(t, base + i, job.sequence, True) for i, t in enumerate(part)], states=True)
            logits = self._rows(self._lib.llama_get_logits(self._context), len(part), self.vocabulary.n_tokens)
            for i, token in enumerate(part):
                logprob, second = log_probability(previous, token)
                choice.pieces.append(self.vocabulary.piece(token))
                choice.logprobs.append(logprob)
                choice.seconds.append(second)
                choice.states.append(states[i].astype(np.float16))
                previous = logits[i] if i + 1 < len(part) else logits[i].copy()
        choice.finish_reason = "stop"
        self._forget_prompt(job)
