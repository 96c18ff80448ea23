"""Stage 5, generate: llama.cpp in this process.

In: a prompt and the person it belongs to.  Out: a completion, streamed.
Never: loads a model before it is needed, reuses a cache across persons, prints, or logs text.

One generation at a time; the others wait.  The prompt is read in blocks at fixed positions and only whole
blocks are reused, so that an answer does not depend on what the cache held: a batch of another size gives
slightly different numbers, and greedy decoding turns a tie into another sentence.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from ragperso.config import Generate
from ragperso.errors import ContextOverflow, GenerationTimeout, ModelUnavailable
from ragperso.generate import native
from ragperso.generate.chat_format import ChatTemplate, prompt_tokens
from ragperso.generate.selftest import safe_settings
from ragperso.generate.stream import TextStream
from ragperso.types import Completion, Message, Prompt, Scored

# Tokens read at once, and the grain of reuse.  Measured on 2 cores with the starter model: 64, 128, 256 and
# 512 read equally fast (391-415 tokens/s); 128 notices a cancellation within a third of a second.
_BLOCK_CPU: Final = 128
_BLOCK_GPU: Final = 512
# Below this size one thread writes faster than several, as handing a layer over takes longer than the layer:
# the starter model (94 MB) wrote 95-126 tokens/s with one thread, 56-100 with two.  Reading gains from all.
_SMALL_BYTES: Final = 256_000_000
_TRUSTED_BYTES: Final = 600_000_000  # about a billion parameters in four bits
_SIDE_TOKENS: Final = 2048  # of the context for grammar-bound texts: 47 MB with the starter model
_CLOSE_WAIT_S: Final = 10.0  # for a running generation to notice; then the memory is left to the system

_Finish = Literal["stop", "length", "cancelled"]


class _Engine:
    """The native objects, and the only code that frees them."""

    def __init__(self) -> None:
        self.generating = threading.Lock()  # held through one generation: guards context, owner, cached
        self.loading = threading.Lock()  # held briefly: guards model and template
        self.is_closed = False
        self.model: native.Model | None = None
        self.template: ChatTemplate | None = None
        self.context: native.Context | None = None
        self.side: native.Context | None = None  # for grammar-bound texts; empty between them
        self.n_waiting = 0  # how many want to generate: a grammar-bound text gives way to them
        self.counting = threading.Lock()
        self.owner: str | None = None
        self.cached: list[int] = []  # tokens of whole prompt blocks in the KV cache

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Be counted among those who wait for their turn."""
        with self.counting:
            self.n_waiting += 1
        try:
            yield
        finally:
            with self.counting:
                self.n_waiting -= 1

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold ``generating``."""
        with self.waiting():
            self.generating.acquire()
        try:
            yield
        finally:
            self.generating.release()

    def close(self) -> None:
        """End a running generation and free everything; a second call does nothing."""
        self.is_closed = True
        if not self.generating.acquire(timeout=_CLOSE_WAIT_S):
            return  # freeing memory under a running decode would crash the process
        try:
            with self.loading:
                self.owner, self.cached = None, []
                for context in (self.context, self.side):
                    if context is not None:
                        context.clear()
                        context.free()
                if self.model is not None:
                    self.model.free()
                self.context = self.side = self.model = self.template = None
        finally:
            self.generating.release()


class LlamaCppGenerator:
    """A GGUF model run by llama.cpp.  Making one reads nothing; the first use loads (0.1 s the starter).

    ``cache_dir`` remembers which settings are safe on this machine (:mod:`~ragperso.generate.selftest`).
    """

    def __init__(self, path: Path, settings: Generate, *, cache_dir: Path) -> None:
        self._path = path
        self._settings = settings
        self._cache_dir = cache_dir
        self._block = _BLOCK_GPU if settings.gpu_layers else _BLOCK_CPU
        self._engine = _Engine()
        # Also at interpreter exit, before the modules that the callbacks live in are gone.
        self._finalizer = weakref.finalize(self, self._engine.close)

    @property
    def name(self) -> str:
        lora = f"+{Path(self._settings.lora).stem}" if self._settings.lora else ""
        return f"llama.cpp:{self._path.stem}{lora}"

    @property
    def is_small(self) -> bool:
        """Whether the model is too small to be trusted with more than near quotations."""
        return self._path.stat().st_size < _TRUSTED_BYTES

    @property
    def context_tokens(self) -> int:
        """The smaller of ``generate.context_tokens`` and what the model was trained for."""
        with self._engine.loading:
            model, _ = self._loaded()
            return min(self._settings.context_tokens, model.n_ctx_train)

    def count(self, texts: Sequence[str]) -> list[int]:
        with self._engine.loading:
            model, _ = self._loaded()
            return [len(model.tokenise(text, special=False)) for text in texts]

    def count_messages(self, messages: Sequence[Message]) -> int:
        return len(self.tokens(messages))

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """Return what the model reads; the control tokens in it are the template's alone."""
        with self._engine.loading:
            model, template = self._loaded()
            return prompt_tokens(template.pieces(messages), model)

    def generate(
        self,
        prompt: Prompt,
        *,
        owner: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write at most ``max_tokens``; a cancelled completion holds what was written until then.

        Raises: ModelUnavailable, ContextOverflow (before anything is read), GenerationTimeout,
        AdapterMismatch.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        began = time.monotonic()
        engine = self._engine
        ids = self.tokens(prompt.messages)
        self._check_fit(len(ids), max_tokens)

        should_stop = self._watch(
            began,
            "no complete answer",
            "raise generate.timeout_s, or lower generate.max_tokens",
            is_cancelled,
        )
        with engine.waiting():
            while not engine.generating.acquire(timeout=0.1):
                if should_stop():
                    return Completion("", self.name, len(ids), 0, finish_reason="cancelled")
        try:
            context, model = self._ready()
            n_cached = self._reuse(context, ids, owner)
            stream = TextStream(stop, on_text)
            finish: _Finish = "cancelled"
            written, first_token_ms = 0, 0.0
            if self._read(context, ids, should_stop):
                sampler = native.Sampler(model, temperature=temperature, seed=seed)
                try:
                    while not should_stop():
                        token = sampler.next(context)
                        first_token_ms = first_token_ms or _ms_since(began)
                        if model.is_end(token):
                            finish = "stop"
                            break
                        written += 1
                        stream.feed(model.piece(token))
                        if stream.is_stopped or written == max_tokens:
                            finish = "stop" if stream.is_stopped else "length"
                            break
                        context.decode([token])
                finally:
                    sampler.free()
            return Completion(
                text=stream.finish(),
                model=self.name,
                prompt_tokens=len(ids),
                completion_tokens=written,
                cached_tokens=n_cached,
                finish_reason=finish,
                first_token_ms=first_token_ms,
                total_ms=_ms_since(began),
            )
        finally:
            engine.generating.release()

    def score(self, messages: Sequence[Message], text: str, *, owner: str) -> Scored:
        """Return how likely the model finds ``text`` as its answer to ``messages``.

        Blocks that the prompt shares with the last one of ``owner`` are not read again.
        Raises: ModelUnavailable, ContextOverflow (before anything is read), GenerationTimeout.
        """
        began = time.monotonic()
        engine = self._engine
        prompt = self.tokens(messages)
        with engine.loading:
            model, _ = self._loaded()
            wanted = model.tokenise(text, special=False)
        n_bytes = len(text.encode("utf-8", "replace"))
        if not wanted:
            return Scored((), n_bytes, n_prompt_tokens=len(prompt))
        self._check_fit(len(prompt), len(wanted))

        should_stop = self._watch(began, "a text was not scored", "raise generate.timeout_s")
        with engine.turn():
            context, _ = self._ready()
            n_cached = self._reuse(context, prompt, owner)
            # All but the last token of the prompt: that one predicts the first of the text.
            last = len(prompt) - 1
            ids = [*prompt[last:], *wanted[:-1]]
            logprobs: list[float] = []
            if self._read(context, prompt[:last], should_stop, logits=False):
                for start in range(0, len(ids), self._block):
                    if should_stop():
                        break
                    block = ids[start : start + self._block]
                    logprobs += context.logprobs(block, wanted[start : start + len(block)])
            if len(logprobs) < len(wanted):
                raise ModelUnavailable(f"{self.name} was closed")
            ends = tuple(itertools.accumulate(len(model.piece(token)) for token in wanted))
            return Scored(tuple(logprobs), n_bytes, ends, len(prompt), n_cached)

    def constrained(
        self,
        messages: Sequence[Message],
        grammar: str,
        *,
        owner: str,
        max_tokens: int,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write what a GBNF grammar allows, in a context of its own that is empty before and afterwards.

        So the cache of the person who is served next stays whole.  As soon as somebody else waits it ends
        as cancelled.  Raises: GenerateError for a grammar that cannot be read; ModelUnavailable,
        ContextOverflow, GenerationTimeout.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        began = time.monotonic()
        engine = self._engine
        ids = self.tokens(messages)
        self._check_fit(len(ids), max_tokens, at_most=_SIDE_TOKENS)

        should_stop = self._watch(began, "no complete text", "raise generate.timeout_s", is_cancelled)
        while not engine.generating.acquire(timeout=0.1):
            if should_stop():
                return Completion("", self.name, len(ids), 0, finish_reason="cancelled")
        try:
            finish: _Finish = "cancelled"
            written: list[bytes] = []
            first_token_ms = 0.0
            context, model = self._aside()
            sampler = native.Sampler(model, temperature=0.0, seed=0, grammar=grammar)
            try:
                todo = list(ids)
                while not (should_stop() or engine.n_waiting):
                    context.decode(todo[: self._block], logits=len(todo) <= self._block)
                    todo = todo[self._block :]
                    if todo:
                        continue
                    token = sampler.next(context)
                    first_token_ms = first_token_ms or _ms_since(began)
                    if model.is_end(token):
                        finish = "stop"
                        break
                    written.append(model.piece(token))
                    if len(written) == max_tokens:
                        finish = "length"
                        break
                    todo = [token]
            finally:
                sampler.free()
                context.clear()
            return Completion(
                text=b"".join(written).decode("utf-8", "replace"),
                model=self.name,
                prompt_tokens=len(ids),
                completion_tokens=len(written),
                finish_reason=finish,
                first_token_ms=first_token_ms,
                total_ms=_ms_since(began),
            )
        finally:
            engine.generating.release()

    def _watch(
        self, began: float, what: str, hint: str, is_cancelled: Callable[[], bool] | None = None
    ) -> Callable[[], bool]:
        """Return what says whether to stop: closed or cancelled; past the time limit it raises."""
        limit_s, engine = self._settings.timeout_s, self._engine

        def should_stop() -> bool:
            if time.monotonic() - began > limit_s:
                raise GenerationTimeout(f"{what} within {limit_s:g} s", hint=hint)
            return engine.is_closed or (is_cancelled is not None and is_cancelled())

        return should_stop

    def forget(self, owner: str) -> None:
        """Overwrite what the cache holds of ``owner``; waits for a running generation."""
        engine = self._engine
        with engine.turn():
            if engine.owner == owner and engine.context is not None:
                engine.owner, engine.cached = None, []
                engine.context.clear()

    def close(self) -> None:
        """Free the model; a running generation ends as cancelled.  A second call does nothing."""
        self._finalizer()

    # ---------------------------------------------------------------- under engine.loading

    def _loaded(self) -> tuple[native.Model, ChatTemplate]:
        """Return the model and its template, loaded at the first call."""
        engine = self._engine
        if engine.is_closed:
            raise ModelUnavailable(f"{self.name} was closed")
        if engine.model is None or engine.template is None:
            native.check_file(self._path)
            layers = self._settings.gpu_layers
            safe = safe_settings(self._path, self._cache_dir, gpu_layers=layers)
            model = native.Model(self._path, gpu_layers=layers, use_extra_bufts=safe.use_extra_bufts)
            try:
                engine.template = ChatTemplate(
                    model.chat_template, bos=_spelled(model, model.bos), eos=_spelled(model, model.eos)
                )
            except BaseException:
                model.free()
                raise
            engine.model = model
        return engine.model, engine.template

    # ---------------------------------------------------------------- under engine.generating

    def _ready(self) -> tuple[native.Context, native.Model]:
        """Return the context, made at the first call, and the model."""
        engine = self._engine
        with engine.loading:
            model, _ = self._loaded()
        if engine.context is None:
            context = self._context(model, min(self._settings.context_tokens, model.n_ctx_train))
            try:
                if self._settings.lora:
                    context.set_adapter(Path(self._settings.lora).expanduser(), self._settings.lora_scale)
            except BaseException:
                context.free()
                raise
            engine.context = context
        return engine.context, model

    def _aside(self) -> tuple[native.Context, native.Model]:
        """Return the context for grammar-bound texts, made at the first call, and the model.

        Without the adapter: what is read for facts is not written in anybody's manner.
        """
        engine = self._engine
        with engine.loading:
            model, _ = self._loaded()
        if engine.side is None:
            n_ctx = min(_SIDE_TOKENS, self._settings.context_tokens, model.n_ctx_train)
            engine.side = self._context(model, n_ctx)
        return engine.side, model

    def _context(self, model: native.Model, n_ctx: int) -> native.Context:
        cores = os.cpu_count() or 1
        return native.Context(
            model,
            n_ctx=n_ctx,
            n_batch=self._block,
            threads=self._settings.threads or (1 if model.size_bytes < _SMALL_BYTES else cores),
            batch_threads=self._settings.threads or cores,
            flash_attention=self._settings.flash_attention,
        )

    def _check_fit(self, n_prompt: int, max_tokens: int, *, at_most: int = sys.maxsize) -> None:
        limit = min(self.context_tokens, at_most)
        if n_prompt + max_tokens > limit:
            raise ContextOverflow(
                f"{n_prompt} prompt tokens and {max_tokens} to write exceed the context of {limit}",
                hint="lower generate.max_tokens or assemble.budget_tokens, or raise generate.context_tokens",
            )

    def _reuse(self, context: native.Context, ids: Sequence[int], owner: str) -> int:
        """Cut the cache down to the blocks that ``ids`` shares with it; return how many tokens that is."""
        engine = self._engine
        if engine.owner != owner:
            engine.owner, engine.cached = owner, []
            context.clear()
            return 0
        n = _common_prefix(engine.cached, ids)
        n = min(n, len(ids) - 1) // self._block * self._block  # the last token must be read for its logits
        engine.cached = list(ids[:n]) if context.keep(n) else []
        return len(engine.cached)

    def _read(
        self,
        context: native.Context,
        ids: Sequence[int],
        should_stop: Callable[[], bool],
        *,
        logits: bool = True,
    ) -> bool:
        """Read the rest of the prompt block by block; ``False`` when told to stop."""
        cached = self._engine.cached
        for start in range(len(cached), len(ids), self._block):
            if should_stop():
                return False
            block = ids[start : start + self._block]
            try:
                context.decode(block, logits=logits and start + len(block) == len(ids))
            except BaseException:
                cached.clear()  # a failed decode leaves an empty context
                raise
            if len(block) == self._block:
                cached.extend(block)
        return True


def _spelled(model: native.Model, token: int) -> str:
    """Return a special token as its text; empty when the model has none (-1)."""
    return model.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
