"""Stage 5, generate: the few llama.cpp calls we need, each with its return code checked.

In: a GGUF file, token ids.  Out: token ids, bytes, samples.
Never: sees a chat, an owner or a setting; prints llama.cpp's log, unless ``RAGPERSO_DEBUG`` is set.

This is the low-level API on purpose: ``llama_cpp.Llama`` cannot set ``use_extra_bufts`` (which is what
keeps a plain build alive on AMX processors), is not thread-safe and matches prefixes across callers.
Nothing here locks: :mod:`ragperso.generate.llamacpp` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragperso.errors import AdapterMismatch, GenerateError, MissingExtra, ModelUnavailable

# Read by OpenMP when llama.cpp's library loads, so it must be set before.  Threads that wait busily starve
# each other as soon as anything else runs: on two cores with a load of 4, two threads read 25-37 tokens/s
# and wrote 12-37; with this, 154-223 and 56-79.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

try:
    from llama_cpp import llama_cpp as _c
except ImportError as exc:
    raise MissingExtra("llama-cpp-python", "llama", stage="generate") from exc
except (OSError, RuntimeError) as exc:  # what llama_cpp raises when its shared library does not load
    raise ModelUnavailable(
        "the llama.cpp library is installed but does not load",
        hint="pip install --force-reinstall --no-cache-dir llama-cpp-python",
    ) from exc

_GGUF_MAGIC: Final = b"GGUF"
_LOG_ERROR: Final = 4  # GGML_LOG_LEVEL_ERROR in ggml.h
_PIECE_BYTES: Final = 512  # longer pieces are asked for again with the size llama.cpp names

# DRY (Don't Repeat Yourself, llama.cpp PR 9702) rather than a repetition penalty: a penalty on single
# tokens also falls on the second 0 of 100 and on a name said twice, which is what grounded answers are
# made of.  DRY leaves the first ``allowed_length`` repeated tokens alone and then pushes ever harder.
_DRY_MULTIPLIER: Final = 0.8  # DRY's author's recommendation
_DRY_BASE: Final = 1.75  # the same
_DRY_ALLOWED: Final = 8  # tokens; the author says 2, but "on 12 March 2026" is six and may come twice
_TOP_P: Final = 0.95  # llama.cpp's own default
_MIN_P: Final = 0.05  # llama.cpp's own default

_last_error = ""


def _on_log(level: int, text: bytes | None, _: object) -> None:
    global _last_error
    line = (text or b"").decode("utf-8", "replace")
    if level == _LOG_ERROR and line.strip():
        _last_error = line.strip()
    if os.environ.get("RAGPERSO_DEBUG"):
        sys.stderr.write(line)


_log_callback = _c.llama_log_callback(_on_log)  # kept: C holds the pointer for the life of the process
_backend_is_up = False


def _start_backend() -> None:
    global _backend_is_up, _last_error
    _last_error = ""
    _c.llama_log_set(_log_callback, None)
    if not _backend_is_up:
        _c.llama_backend_init()
        _backend_is_up = True


class Model:
    """A loaded GGUF: weights and tokenizer.

    Raises: ModelUnavailable when the file is missing, no GGUF, cut off or of an unknown architecture.
    """

    def __init__(self, path: Path, *, gpu_layers: int, use_extra_bufts: bool) -> None:
        check_file(path)
        _start_backend()
        params = _c.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = use_extra_bufts
        self._pointer: Any = _c.llama_model_load_from_file(os.fsencode(path), params)
        if not self._pointer:
            detail = f" (llama.cpp: {_last_error})" if _last_error else ""
            raise ModelUnavailable(
                f"{path} cannot be loaded{detail}",
                hint="the file may be cut off or need a newer llama.cpp: fetch it again with "
                "`ragperso models pull`, or pip install -U llama-cpp-python",
            )
        self._vocab: Any = _c.llama_model_get_vocab(self._pointer)
        self.size_bytes = int(_c.llama_model_size(self._pointer))
        self.n_ctx_train = int(_c.llama_model_n_ctx_train(self._pointer))
        self.n_vocab = int(_c.llama_vocab_n_tokens(self._vocab))
        self.adds_bos = bool(_c.llama_vocab_get_add_bos(self._vocab))
        self.bos = int(_c.llama_vocab_bos(self._vocab))
        self.eos = int(_c.llama_vocab_eos(self._vocab))
        template = _c.llama_model_chat_template(self._pointer, None)
        self.chat_template = template.decode("utf-8", "replace") if template else ""
        # Keys and values in 16 bits, of every layer; about right also for models that keep less of some.
        n_head = max(1, int(_c.llama_model_n_head(self._pointer)))
        width = int(_c.llama_model_n_embd(self._pointer)) // n_head
        heads = int(_c.llama_model_n_head_kv(self._pointer))
        self.cache_bytes = 4 * int(_c.llama_model_n_layer(self._pointer)) * heads * width  # per token
        # SentencePiece vocabularies put a space before every fragment they are given.
        self.adds_space = (
            _c.llama_vocab_type(self._vocab) == _c.LLAMA_VOCAB_TYPE_SPM
            and self.meta("tokenizer.ggml.add_space_prefix") != "false"
        )

    def meta(self, key: str) -> str:
        """Return one value of the GGUF's metadata, cut at 255 bytes; empty when absent."""
        buffer = ctypes.create_string_buffer(256)
        n = _c.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if n >= 0 else ""

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of ``text``; only with ``special`` can it spell control tokens.

        No BOS is added.  Lone surrogates become ``?``: llama.cpp throws on invalid UTF-8.
        """
        data = text.encode("utf-8", "replace")
        size = len(data) + 2  # byte-level: no token is shorter than a byte; SentencePiece adds a space
        while True:
            buffer = (_c.llama_token * size)()
            n = _c.llama_tokenize(self._vocab, data, len(data), buffer, size, False, special)
            if n >= 0:
                return list(buffer[:n])
            if -n <= size:  # INT32_MIN, or an answer that asking again would not change
                raise GenerateError(f"llama.cpp cannot tokenise a text of {len(data)} bytes")
            size = -n

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return what one token spells; control tokens spell nothing unless ``special``."""
        size = _PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = _c.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def is_end(self, token: int) -> bool:
        """Say whether ``token`` ends a turn, or is a control token, which no text contains."""
        return bool(_c.llama_vocab_is_eog(self._vocab, token)) or self.is_control(token)

    def is_control(self, token: int) -> bool:
        return bool(_c.llama_vocab_is_control(self._vocab, token))

    def is_marker(self, token: int) -> bool:
        """Say whether ``token`` is a control token or one the model's maker added by hand.

        Some GGUFs file their turn markers under the second kind, and ``special=False`` spells those.
        """
        attributes = _c.llama_vocab_get_attr(self._vocab, token)
        return bool(attributes & (_c.LLAMA_TOKEN_ATTR_CONTROL | _c.LLAMA_TOKEN_ATTR_USER_DEFINED))

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._pointer:
            _c.llama_model_free(self._pointer)
            self._pointer = None


@dataclass(frozen=True, slots=True)
class State:
    """What the cache holds of one sequence, as llama.cpp writes it.

    ``body`` leaves out what depends on the context: which sequence it was, among how many.  Instead of it
    ``fill`` may write its ``size`` bytes where llama.cpp reads them, and say whether they are right.
    """

    head: int
    body: memoryview = field(repr=False)
    n_tokens: int
    size: int = 0
    fill: Callable[[memoryview], bool] | None = field(default=None, repr=False)


# A sequence's state begins with a mark, its number and how many sequences there are; then comes for each of
# those how many tokens follow, which is 0 for all but one (llama-kv-cache.cpp, state_write).  Of each token
# it tells the position, the number of sequences it is in, and that sequence; then come keys and values.
_STATE_LEAD: Final = struct.Struct("=3I")
_COUNT: Final = struct.Struct("=I")
_CELL_BYTES: Final = 12


class Context:
    """The working memory of ``sequences`` sequences: KV cache, adapter and compute buffers.

    ``past[i]`` tokens are in the cache of sequence ``i``; ``n_ctx`` have room in each.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_batch: int,
        threads: int,
        batch_threads: int,
        flash_attention: bool,
        sequences: int = 1,
    ) -> None:
        self._model = model
        params = _c.llama_context_default_params()
        params.n_ctx = n_ctx * sequences
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = sequences
        # A part of the cache for each: in a shared one the numbers depend on what the others hold.
        params.kv_unified = False
        params.n_threads = threads  # to write
        params.n_threads_batch = batch_threads  # to read
        params.flash_attn_type = (
            _c.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else _c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        _start_backend()
        self._pointer: Any = _c.llama_init_from_model(model._pointer, params)
        if not self._pointer:
            detail = f" (llama.cpp: {_last_error})" if _last_error else ""
            raise ModelUnavailable(
                f"llama.cpp cannot make a context of {sequences} x {n_ctx} tokens{detail}",
                hint="lower generate.context_tokens",
            )
        self._memory: Any = _c.llama_get_memory(self._pointer)
        self._batch: Any = _c.llama_batch_init(n_batch, 0, 1)
        self.n_batch = n_batch
        self.past = [0] * sequences

    @property
    def n_past(self) -> int:
        """How many tokens all sequences hold."""
        return sum(self.past)

    def decode(self, tokens: Sequence[int], *, logits: bool = True, sequence: int = 0) -> None:
        """Read at most ``n_batch`` tokens; ``logits`` are wanted of the last one only.

        After an error the sequence is empty.
        """
        self._decode(tokens, sequence, first_wanted=len(tokens) - 1 if logits else len(tokens))

    def decode_each(self, tokens: Mapping[int, int]) -> None:
        """Read one token for each sequence; the logits are numbered in the order given.

        After an error these sequences are empty.
        """
        self._check(len(tokens))
        batch = self._batch
        for i, (sequence, token) in enumerate(tokens.items()):
            self._put(i, token, self.past[sequence], sequence, is_wanted=True)
        batch.n_tokens = len(tokens)
        self._run(dict.fromkeys(tokens, 1))

    def logprobs(self, tokens: Sequence[int], following: Sequence[int], *, sequence: int = 0) -> list[float]:
        """Read ``tokens``; return the log-probability of ``following`` (natural logarithm).

        ``following`` are the tokens that come behind the last ``len(following)`` of ``tokens``, each given
        all before it.  After an error the sequence is empty.
        """
        n = len(following)
        self._decode(tokens, sequence, first_wanted=len(tokens) - n)
        # One float per token of the vocabulary and wanted position; copied, as the next decode reuses it.
        rows = np.stack(
            [
                np.ctypeslib.as_array(
                    _c.llama_get_logits_ith(self._pointer, len(tokens) - n + i), (self._model.n_vocab,)
                )
                for i in range(n)
            ]
        )
        top = rows.max(axis=1)
        total = np.log(np.exp(rows - top[:, None]).sum(axis=1, dtype=np.float64)) + top
        chosen = rows[np.arange(n), np.asarray(following)]
        return [float(value) for value in chosen - total]

    def _decode(self, tokens: Sequence[int], sequence: int, *, first_wanted: int) -> None:
        self._check(len(tokens))
        for i, token in enumerate(tokens):
            self._put(i, token, self.past[sequence] + i, sequence, is_wanted=i >= first_wanted)
        self._batch.n_tokens = len(tokens)
        self._run({sequence: len(tokens)})

    def _check(self, n: int) -> None:
        if not 0 < n <= self.n_batch:  # more would be written behind the batch's end
            raise ValueError(f"{n} tokens in a batch of at most {self.n_batch}")

    def _put(self, i: int, token: int, position: int, sequence: int, *, is_wanted: bool) -> None:
        batch = self._batch
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = is_wanted

    def _run(self, counts: Mapping[int, int]) -> None:
        if code := _c.llama_decode(self._pointer, self._batch):
            for sequence in counts:
                self.clear(sequence)
            n = sum(counts.values())
            raise GenerateError(f"llama.cpp failed to decode a batch of {n} tokens (code {code})")
        for sequence, n in counts.items():
            self.past[sequence] += n

    def keep(self, n_tokens: int, sequence: int = 0) -> bool:
        """Drop all but the first ``n_tokens`` of a sequence; ``False`` (and empty) when the model cannot."""
        past = self.past[sequence]
        if 0 < n_tokens <= past and _c.llama_memory_seq_rm(self._memory, sequence, n_tokens, -1):
            self.past[sequence] = n_tokens
            return True
        self.clear(sequence)  # recurrent models cannot forget a part
        return n_tokens == 0

    def clear(self, sequence: int | None = None) -> None:
        """Forget everything, and overwrite it; of one ``sequence`` only forget."""
        if sequence is None:
            _c.llama_memory_clear(self._memory, True)
            self.past = [0] * len(self.past)
        else:
            _c.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            self.past[sequence] = 0

    def state_bytes(self, sequence: int) -> int:
        """Return how many bytes the state of a sequence takes."""
        return int(_c.llama_state_seq_get_size(self._pointer, sequence))

    def state(self, sequence: int) -> State | None:
        """Return what the cache holds of a sequence; ``None`` when it is empty or of unknown form."""
        size, n_sequences, n_tokens = self.state_bytes(sequence), len(self.past), self.past[sequence]
        start = _STATE_LEAD.size + _COUNT.size * sequence
        end = size - _COUNT.size * (n_sequences - 1 - sequence)
        if not n_tokens or end < start + _COUNT.size:
            return None
        buffer = (ctypes.c_uint8 * size)()
        if _c.llama_state_seq_get_data(self._pointer, buffer, size, sequence) != size:
            return None
        view = memoryview(buffer).cast("B")
        head, _, streams = _STATE_LEAD.unpack_from(view)
        others = bytes(view[_STATE_LEAD.size : start]) + bytes(view[end:])
        body = view[start:end]
        if streams != n_sequences or any(others) or not _is_body(body, n_tokens):
            return None
        return State(head, body, n_tokens)

    def restore(self, sequence: int, state: State) -> bool:
        """Make a sequence what it was; ``False`` (and empty) when llama.cpp does not take the bytes.

        Sizes, counts and positions are checked before llama.cpp sees them: one below zero would stay in its
        cache for good.  It checks layers, types and widths; the numbers themselves nobody can.
        """
        self.clear(sequence)
        size = state.size or len(state.body)
        start, padding = _STATE_LEAD.size, _COUNT.size * (len(self.past) - 1)
        limit = _c.llama_n_ctx_seq(self._pointer)
        if not 0 < state.n_tokens <= limit or size <= _COUNT.size or not 0 <= state.head < 1 << 32:
            return False
        whole = start + size + padding
        buffer = (ctypes.c_uint8 * whole)()
        view = memoryview(buffer).cast("B")
        _STATE_LEAD.pack_into(view, 0, state.head, sequence, len(self.past))
        body = view[start : start + size]
        if state.fill is None:
            body[:] = state.body
        elif not state.fill(body):
            return False
        if not _is_body(body, state.n_tokens):
            return False
        taken = _c.llama_state_seq_set_data(self._pointer, buffer, whole, sequence)
        first = _c.llama_memory_seq_pos_min(self._memory, sequence)
        last = _c.llama_memory_seq_pos_max(self._memory, sequence)
        if taken != whole or (first, last) != (0, state.n_tokens - 1):
            self.clear(sequence)
            return False
        self.past[sequence] = state.n_tokens
        return True

    def logits(self, i: int = -1) -> Any:
        """Return a pointer to ``n_vocab`` floats: of the last decoded token, or the ``i``-th of a batch."""
        return _c.llama_get_logits_ith(self._pointer, i)

    def set_adapter(self, path: Path, scale: float) -> None:
        """Put a LoRA on the model.  Raises: AdapterMismatch.  The model frees it."""
        check_file(path)
        adapter = _c.llama_adapter_lora_init(self._model._pointer, os.fsencode(path))
        if not adapter:
            detail = f" (llama.cpp: {_last_error})" if _last_error else ""
            raise AdapterMismatch(
                f"{path} is no LoRA adapter for this model{detail}",
                hint="set generate.lora to an adapter made for generate.model, or to nothing",
            )
        adapters = (_c.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(scale)
        if _c.llama_set_adapters_lora(self._pointer, adapters, 1, scales):
            raise AdapterMismatch(f"llama.cpp refused the adapter {path}")

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._pointer:
            _c.llama_batch_free(self._batch)
            _c.llama_free(self._pointer)
            self._pointer = None


class Sampler:
    """Picks the next token: the likeliest at temperature 0, else by chance that ``seed`` fixes.

    With a ``grammar`` (GBNF, rule ``root``) only of those that it allows.
    Raises: GenerateError when llama.cpp cannot read the grammar.
    """

    def __init__(self, model: Model, *, temperature: float, seed: int, grammar: str | None = None) -> None:
        params = _c.llama_sampler_chain_default_params()
        self._pointer: Any = _c.llama_sampler_chain_init(params)
        if grammar is not None:
            self._bind(model, grammar)
        else:  # what a grammar makes the model repeat is no loop
            self._add(
                _c.llama_sampler_init_dry(
                    model._vocab, _DRY_MULTIPLIER, _DRY_BASE, _DRY_ALLOWED, -1, (ctypes.c_char_p * 0)(), 0
                )
            )
        if temperature <= 0:
            self._add(_c.llama_sampler_init_greedy())
            return
        self._add(_c.llama_sampler_init_top_p(_TOP_P, 1))
        self._add(_c.llama_sampler_init_min_p(_MIN_P, 1))
        self._add(_c.llama_sampler_init_temp(temperature))
        self._add(_c.llama_sampler_init_dist(seed & 0xFFFFFFFF))

    def _bind(self, model: Model, grammar: str) -> None:
        """Put the grammar first, so that nothing is picked that it does not allow: llama.cpp aborts on it.

        A NUL would end the C string, and of an empty one llama.cpp makes a grammar that allows everything.
        """
        data = grammar.encode("utf-8", "replace")
        pointer = None
        if data.strip() and b"\0" not in data:
            pointer = _c.llama_sampler_init_grammar(model._vocab, data, b"root")
        if not pointer:
            self.free()
            raise GenerateError(f"llama.cpp cannot read the grammar of {len(data)} bytes")
        self._add(pointer)

    def _add(self, sampler: Any) -> None:
        if not sampler:
            raise GenerateError("llama.cpp could not make a sampler")
        _c.llama_sampler_chain_add(self._pointer, sampler)

    def next(self, context: Context, i: int = -1) -> int:
        """Pick by the logits of the last decoded token, or by those of the ``i``-th of a batch."""
        return int(_c.llama_sampler_sample(self._pointer, context._pointer, i))

    def free(self) -> None:
        if self._pointer:
            _c.llama_sampler_free(self._pointer)
            self._pointer = None


def _is_body(body: memoryview, n_tokens: int) -> bool:
    """Say whether the state of a sequence holds the tokens 0 to ``n_tokens``, each in one sequence."""
    if len(body) <= _COUNT.size + _CELL_BYTES * n_tokens or _COUNT.unpack_from(body) != (n_tokens,):
        return False
    cells = np.frombuffer(body, "=i4", count=3 * n_tokens, offset=_COUNT.size).reshape(n_tokens, 3)
    return bool((cells[:, 0] == np.arange(n_tokens)).all() and (cells[:, 1] == 1).all())


def build() -> str:
    """Return what tells this build of llama.cpp on this processor from others that count differently."""
    library = Path(str(getattr(_c._lib, "_name", "")))
    with contextlib.suppress(OSError):
        status = library.stat()
        size = f"{status.st_size} {status.st_mtime_ns}"
        return f"{importlib.metadata.version('llama-cpp-python')} {size} {_system_info()}"
    return f"{importlib.metadata.version('llama-cpp-python')} {_system_info()}"


def _system_info() -> str:
    return str(_c.llama_print_system_info().decode("utf-8", "replace"))


def check_file(path: Path) -> None:
    """Refuse what is no GGUF before llama.cpp sees it.  Raises: ModelUnavailable."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as exc:
        raise ModelUnavailable(
            f"{path} cannot be read: {exc.strerror}",
            hint="see `ragperso models list`, and set generate.model to one of them or to a GGUF file",
        ) from exc
    if magic != _GGUF_MAGIC:
        raise ModelUnavailable(
            f"{path} is not a GGUF file",
            hint="set generate.model to a GGUF file, or to a name from `ragperso models list`",
        )
