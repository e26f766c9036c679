"""The states of one layer in the middle of a model, taken out of llama.cpp's graph while it is computed.

Why not the last layer, which the API hands out by itself: two thirds of the way up, states tell right programs from
wrong ones better (measured in docs/ablations.md).

llama.cpp asks its evaluation callback of every node of the graph whether it is wanted, and stops behind one that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas.llm import llamacpp

FLOAT_BYTES = 4


class NoStates(llamacpp.LlamaError):
    """The graph of this model has no layer of the name that is looked for."""


class Tap:
    """The output of layer `layer` (0 is the first) of up to `rows` tokens of a batch, in the order of the batch.

    Costs a Python call for each node of the graph, and one more wait for the threads where the layer ends.
    """

    def __init__(self, lib: Any, *, layer: int, rows: int, width: int) -> None:
        self._lib = lib
        self._node = b"l_out-%d" % layer  # what llama.cpp's graphs call it, with few exceptions
        self._rows: NDArray[np.float32] = np.zeros((rows, width), np.float32)
        self._expected = self._found = 0
        self._waiting = False
        self.callback = llamacpp.EVAL_CALLBACK(self._visit)
        """For `cb_eval`. It must outlive the context."""

    def open(self, n: int) -> None:
        """Take the states of the `n` tokens of the batch that is decoded next. With none to take it costs less."""
        self._waiting, self._expected, self._found = n > 0, n, 0

    def states(self) -> NDArray[np.float32]:
        """(n, width): those of the batch decoded last, until the next. Raises NoStates where they were not there."""
        self._waiting = False
        if self._found != self._expected:
            raise NoStates(f"llama.cpp computed {self._found} states for {self._expected} tokens")
        return self._rows[: self._found]

    def _visit(self, tensor: int, ask: bool, _: object) -> bool:
        """An exception cannot leave this: llama.cpp called it. A tensor of another shape counts as not found."""
        if ask:
            return self._waiting and self._lib.ggml_get_name(tensor) == self._node
        self._waiting = False
        size = self._lib.ggml_nbytes(tensor)
        if size % (FLOAT_BYTES * self._rows.shape[1]) == 0 and size <= self._rows.nbytes:
            self._lib.ggml_backend_tensor_get(tensor, self._rows.ctypes.data, 0, size)
            self._found = size // (FLOAT_BYTES * self._rows.shape[1])
        return True
