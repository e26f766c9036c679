"""llama.cpp's C API, as far as generation needs it, through the shared library that the `xllamacpp` wheel carries.

Why not the wheel's own server: it does not hand out a state of each generated token, and a second pass to embed a
candidate costs a third of generating it. The C API gives states away with the generation.

The structs below mirror `llama.h` of the pinned release (`PINNED`); `Library` checks known default values at load, so
that another release is refused instead of misread.
"""

from __future__ import annotations

import ctypes as c
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

PINNED = "2026.10.11549"


class LlamaError(Exception):
    """llama.cpp refused something: a file it cannot read, a context it cannot make, a batch it cannot decode."""


class ModelParams(c.Structure):
    """`struct llama_model_params`."""

    _fields_ = [
        ("devices", c.c_void_p), ("tensor_buft_overrides", c.c_void_p), ("n_gpu_layers", c.c_int32),
        ("split_mode", c.c_int32), ("load_mode", c.c_int32), ("lazy_mode", c.c_int32), ("main_gpu", c.c_int32),
        ("tensor_split", c.c_void_p), ("progress_callback", c.c_void_p), ("progress_user_data", c.c_void_p),
        ("kv_overrides", c.c_void_p), ("vocab_only", c.c_bool), ("check_tensors", c.c_bool),
        ("use_extra_bufts", c.c_bool), ("no_host", c.c_bool), ("no_alloc", c.c_bool), ("load_mtp", c.c_bool),
    ]


class ContextParams(c.Structure):
    """`struct llama_context_params`."""

    _fields_ = [
        ("n_ctx", c.c_uint32), ("n_batch", c.c_uint32), ("n_ubatch", c.c_uint32), ("n_seq_max", c.c_uint32),
        ("n_rs_seq", c.c_uint32), ("n_outputs_max", c.c_uint32), ("n_outputs_max_per_seq", c.c_uint32),
        ("n_threads", c.c_int32), ("n_threads_batch", c.c_int32), ("ctx_type", c.c_int32),
        ("rope_scaling_type", c.c_int32), ("pooling_type", c.c_int32), ("attention_type", c.c_int32),
        ("flash_attn_type", c.c_int32), ("rope_freq_base", c.c_float), ("rope_freq_scale", c.c_float),
        ("yarn_ext_factor", c.c_float), ("yarn_attn_factor", c.c_float), ("yarn_beta_fast", c.c_float),
        ("yarn_beta_slow", c.c_float), ("yarn_orig_ctx", c.c_uint32), ("defrag_thold", c.c_float),
        ("cb_eval", c.c_void_p), ("cb_eval_user_data", c.c_void_p), ("type_k", c.c_int32), ("type_v", c.c_int32),
        ("moe_cache_size", c.c_size_t), ("abort_callback", c.c_void_p), ("abort_callback_data", c.c_void_p),
        ("embeddings", c.c_bool), ("offload_kqv", c.c_bool), ("no_perf", c.c_bool), ("op_offload", c.c_bool),
        ("swa_full", c.c_bool), ("kv_unified", c.c_bool), ("samplers", c.c_void_p), ("n_samplers", c.c_size_t),
        ("ctx_other", c.c_void_p),
    ]


class Batch(c.Structure):
    """`struct llama_batch`."""

    _fields_ = [
        ("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p), ("pos", c.POINTER(c.c_int32)),
        ("n_seq_id", c.POINTER(c.c_int32)), ("seq_id", c.POINTER(c.POINTER(c.c_int32))),
        ("logits", c.POINTER(c.c_int8)),
    ]


LOG_CALLBACK = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
EVAL_CALLBACK = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_bool, c.c_void_p)
"""`ggml_backend_sched_eval_callback`: (tensor, ask, user data) -> wanted, if it asks, else whether to go on."""

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [LOG_CALLBACK, c.c_void_p]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (c.c_void_p, [c.c_char_p, ModelParams]),
    "llama_init_from_model": (c.c_void_p, [c.c_void_p, ContextParams]),
    "llama_model_get_vocab": (c.c_void_p, [c.c_void_p]),
    "llama_model_n_embd": (c.c_int32, [c.c_void_p]),
    "llama_model_n_layer": (c.c_int32, [c.c_void_p]),
    "llama_model_n_ctx_train": (c.c_int32, [c.c_void_p]),
    "llama_model_chat_template": (c.c_char_p, [c.c_void_p, c.c_char_p]),
    "llama_vocab_n_tokens": (c.c_int32, [c.c_void_p]),
    "llama_vocab_eos": (c.c_int32, [c.c_void_p]),
    "llama_vocab_is_eog": (c.c_bool, [c.c_void_p, c.c_int32]),
    "llama_tokenize": (
        c.c_int32, [c.c_void_p, c.c_char_p, c.c_int32, c.POINTER(c.c_int32), c.c_int32, c.c_bool, c.c_bool]
    ),
    "llama_token_to_piece": (c.c_int32, [c.c_void_p, c.c_int32, c.c_char_p, c.c_int32, c.c_int32, c.c_bool]),
    "llama_get_memory": (c.c_void_p, [c.c_void_p]),
    "llama_memory_seq_rm": (c.c_bool, [c.c_void_p, c.c_int32, c.c_int32, c.c_int32]),
    "llama_memory_seq_cp": (None, [c.c_void_p, c.c_int32, c.c_int32, c.c_int32, c.c_int32]),
    "llama_memory_clear": (None, [c.c_void_p, c.c_bool]),
    "llama_batch_init": (Batch, [c.c_int32, c.c_int32, c.c_int32]),
    "llama_decode": (c.c_int32, [c.c_void_p, Batch]),
    "llama_get_logits": (c.POINTER(c.c_float), [c.c_void_p]),
    "llama_chat_apply_template": (c.c_int32, [c.c_char_p, c.c_void_p, c.c_size_t, c.c_bool, c.c_char_p, c.c_int32]),
    "ggml_get_name": (c.c_char_p, [c.c_void_p]),
    "ggml_nbytes": (c.c_size_t, [c.c_void_p]),
    "ggml_backend_tensor_get": (None, [c.c_void_p, c.c_void_p, c.c_size_t, c.c_size_t]),
}


def load_library(path: Path | None = None) -> Any:
    """Open the wheel's shared library, declare the functions above, and prove that the structs fit it.

    `path` is another libllama.so of the same release, built for this machine's processor or accelerator: the wheel's
    uses AVX2 and no more. Raises LlamaError.
    """
    try:
        lib = c.CDLL(str(path or _wheel_library()))
    except OSError as exc:
        raise LlamaError(f"the llama.cpp library cannot be loaded: {exc}") from exc
    for name, (restype, argtypes) in _FUNCTIONS.items():
        function = getattr(lib, name, None)
        if function is None:
            raise LlamaError(f"this library is not llama.cpp of xllamacpp {PINNED}: it has no {name}")
        function.restype, function.argtypes = restype, argtypes
    context = lib.llama_context_default_params()
    seen = (context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max, context.type_k, context.type_v,
            context.offload_kqv, context.embeddings)
    if seen != (512, 2048, 512, 1, 1, 1, True, False):
        raise LlamaError(f"this llama.cpp has another parameter layout than that of xllamacpp {PINNED}: {seen}")
    return lib


def _wheel_library() -> Path:
    version = importlib.metadata.version("xllamacpp")
    if version != PINNED:
        raise LlamaError(f"xllamacpp {version} is installed; Atlas needs {PINNED}: pip install xllamacpp=={PINNED}")
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None and spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("xllamacpp*.so")
    return path
