"""Stage 5, generate: llama.cpp in this process.

In: a prompt and the person it belongs to.  Out: a completion, streamed.
Never: loads a model before it is needed, reuses a cache across persons, prints, or logs text.

Several people's texts are written in one batch (:mod:`~ragperso.generate.batching`), each in a sequence of
its own, and what was read of a person is kept (:mod:`~ragperso.generate.prefixes`).  A prompt is read in
pieces cut at places that depend on it alone, and only what was cut alike is used again, so that an answer
does not depend on what the cache held: a piece of another size gives slightly different numbers, and greedy
decoding turns a tie into another sentence.
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
from typing import Final

from ragperso.config import Generate
from ragperso.errors import ContextOverflow, GenerationTimeout, ModelUnavailable
from ragperso.files import content_hash
from ragperso.generate import native
from ragperso.generate.batching import Batcher, Finish, Request
from ragperso.generate.chat_format import ChatTemplate, prompt_tokens
from ragperso.generate.prefixes import Files, Slot, Slots, common_prefix, cuts_of
from ragperso.generate.prefixes import clear as clear_prefixes
from ragperso.generate.selftest import safe_settings
from ragperso.models import sha256_of
from ragperso.types import Completion, Message, Prompt, Scored

# Tokens read at once, and the grain of reuse.  Measured on 2 cores with the starter model in one run: 32, 64
# and 128 read 154, 159 and 160 tokens/s; 64 holds up those who write beside it half as long as 128.
_BLOCK_CPU: Final = 64
_BLOCK_GPU: Final = 512
# Below this size one thread writes faster than several, as handing a layer over takes longer than the layer:
# the starter model (94 MB) wrote 95-126 tokens/s with one thread, 56-100 with two.  Reading gains from all.
_SMALL_BYTES: Final = 256_000_000
_TRUSTED_BYTES: Final = 600_000_000  # about a billion parameters in four bits
_SIDE_TOKENS: Final = 2048  # of the context for grammar-bound texts: 47 MB with the starter model
_CACHE_BYTES: Final = 1_000_000_000  # of keys and values of all sequences together
_POLL_S: Final = 0.02  # between two looks for a free sequence
_CLOSE_WAIT_S: Final = 10.0  # for a running generation to notice; then the memory is left to the system


class _Engine:
    """The native objects, and the only code that frees them."""

    def __init__(self) -> None:
        self.batcher = Batcher()
        self.turns = self.batcher.turns  # held through one step: guards the contexts
        self.loading = threading.Lock()  # held briefly: guards model and template
        self.is_closed = False
        self.model: native.Model | None = None
        self.template: ChatTemplate | None = None
        self.side: native.Context | None = None  # for grammar-bound texts; empty between them

    def close(self) -> None:
        """End running generations, save what is worth it and free everything; a second call does nothing."""
        self.is_closed = True
        self.batcher.close()
        if not self.turns.acquire(timeout=_CLOSE_WAIT_S):
            return  # freeing memory under a running decode would crash the process
        try:
            with self.loading:
                self.batcher.end_all()
                slots, self.batcher.slots, self.batcher.model = self.batcher.slots, None, None
                if slots is not None:
                    slots.close()
                if self.side is not None:
                    self.side.clear()
                    self.side.free()
                if self.model is not None:
                    self.model.free()
                self.side = self.model = self.template = None
        finally:
            self.turns.release()


class LlamaCppGenerator:
    """A GGUF model run by llama.cpp.  Making one reads nothing; the first use loads (0.1 s the starter).

    ``cache_dir`` remembers which settings are safe on this machine (:mod:`~ragperso.generate.selftest`).
    ``prefixes`` names the folder in which a person's read prompts are kept, ``None`` for nobody's.
    """

    def __init__(
        self,
        path: Path,
        settings: Generate,
        *,
        cache_dir: Path,
        prefixes: Callable[[str], Path | None] | None = None,
    ) -> None:
        self._path = path
        self._settings = settings
        self._cache_dir = cache_dir
        self._prefixes = prefixes
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
        ids, cuts, stable = self._planned(prompt.messages)
        self._check_fit(len(ids), max_tokens)

        should_stop = self._watch(
            began,
            "no complete answer",
            "raise generate.timeout_s, or lower generate.max_tokens",
            is_cancelled,
        )
        request = Request(
            owner,
            ids,
            cuts,
            stable=stable,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            stop=stop,
            is_shown=on_text is not None,
            should_stop=should_stop,
        )
        if self._is_ready(should_stop):
            self._engine.batcher.run(request, on_text)
        return Completion(
            text=request.stream.text,
            model=self.name,
            prompt_tokens=len(ids),
            completion_tokens=request.n_written,
            cached_tokens=request.n_cached,
            finish_reason=request.finish,
            first_token_ms=(request.first_token_at - began) * 1000 if request.first_token_at else 0.0,
            total_ms=_ms_since(began),
        )

    def score(self, messages: Sequence[Message], text: str, *, owner: str) -> Scored:
        """Return how likely the model finds ``text`` as its answer to ``messages``.

        What the prompt shares with the last one of ``owner`` is not read again.
        Raises: ModelUnavailable, ContextOverflow (before anything is read), GenerationTimeout.
        """
        began = time.monotonic()
        engine = self._engine
        prompt, cuts, stable = self._planned(messages)
        with engine.loading:
            model, _ = self._loaded()
            wanted = model.tokenise(text, special=False)
        n_bytes = len(text.encode("utf-8", "replace"))
        if not wanted:
            return Scored((), n_bytes, n_prompt_tokens=len(prompt))
        self._check_fit(len(prompt), len(wanted))

        should_stop = self._watch(began, "a text was not scored", "raise generate.timeout_s")
        # All but the last token of the prompt: that one predicts the first of the text.
        last = len(prompt) - 1
        ids = [*prompt[last:], *wanted[:-1]]
        cuts = [*(cut for cut in cuts if cut < last), *([last] if last else [])]
        logprobs: list[float] = []
        with self._claimed(owner, prompt, cuts, stable, should_stop) as (slots, slot):
            n_cached = slot.n_cached
            for cut in [cut for cut in cuts if cut > n_cached]:
                if should_stop():
                    break
                slots.read(slot, prompt, cut, logits=False)
            else:
                for start in range(0, len(ids), self._block):
                    if should_stop():
                        break
                    block = ids[start : start + self._block]
                    following = wanted[start : start + len(block)]
                    logprobs += slots.context.logprobs(block, following, sequence=slot.sequence)
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

        So the cache of the person who is served next stays whole.  It begins when nobody is being written
        for, and as soon as somebody else waits it ends as cancelled.  Raises: GenerateError for a grammar
        that cannot be read; ModelUnavailable, ContextOverflow, GenerationTimeout.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        began = time.monotonic()
        engine = self._engine
        ids = self.tokens(messages)
        self._check_fit(len(ids), max_tokens, at_most=_SIDE_TOKENS)

        should_stop = self._watch(began, "no complete text", "raise generate.timeout_s", is_cancelled)
        while not engine.batcher.acquire_idle(should_stop):
            if should_stop():
                return Completion("", self.name, len(ids), 0, finish_reason="cancelled")
            time.sleep(_POLL_S)
        try:
            finish: Finish = "cancelled"
            written: list[bytes] = []
            first_token_ms = 0.0
            context, model = self._aside()
            sampler = native.Sampler(model, temperature=0.0, seed=0, grammar=grammar)
            try:
                todo = list(ids)
                while not (should_stop() or engine.turns.n_waiting):
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
            engine.turns.release()

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
        """Overwrite what the cache holds of ``owner`` and remove their files; waits for their texts."""
        engine = self._engine
        while True:
            with engine.turns.turn():
                slots = engine.batcher.slots
                if slots is None:
                    break
                if not slots.is_busy(owner):
                    slots.forget(owner)
                    return
            time.sleep(_POLL_S)
        folder = self._prefixes(owner) if self._prefixes is not None else None
        if folder is not None:
            clear_prefixes(folder)

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

    def _planned(self, messages: Sequence[Message]) -> tuple[list[int], list[int], int]:
        """Return the tokens, where they are cut, and how many of them are stable.

        Stable is what comes before the last message: it changes with the person, not with the question.
        """
        with self._engine.loading:
            model, template = self._loaded()
            ids = prompt_tokens(template.pieces(messages), model)
            n_system = sum(1 for _ in itertools.takewhile(lambda m: m.role == "system", messages))
            boundaries = []
            for n in sorted({n_system, len(messages) - 1} - {0, len(messages)}):
                with contextlib.suppress(ModelUnavailable):  # a template that refuses a part of a chat
                    part = prompt_tokens(template.pieces(messages[:n]), model)
                    boundaries.append(common_prefix(part, ids))
        cuts = cuts_of(len(ids), boundaries, self._block)
        return ids, cuts, max((cut for cut in boundaries if cut in cuts), default=0)

    # ---------------------------------------------------------------- under engine.turns

    def _is_ready(self, should_stop: Callable[[], bool]) -> bool:
        """See that there is a context; ``False`` when told to stop while others have the engine."""
        engine = self._engine
        if engine.batcher.slots is not None:
            return True
        if not engine.turns.acquire(should_stop=should_stop):
            return False
        try:
            self._ready()
        finally:
            engine.turns.release()
        return True

    def _ready(self) -> Slots:
        """Return the sequences, made at the first call."""
        engine = self._engine
        with engine.loading:
            model, _ = self._loaded()
        if engine.batcher.slots is None:
            n_ctx = min(self._settings.context_tokens, model.n_ctx_train)
            most = min(
                self._settings.sequences,
                _CACHE_BYTES // max(1, n_ctx * model.cache_bytes),
            )
            engine.batcher.model = model
            engine.batcher.slots = Slots(
                lambda n: self._context(model, n_ctx, sequences=n, with_lora=True),
                most,
                self._block,
                self._files(),
            )
        return engine.batcher.slots

    @contextlib.contextmanager
    def _claimed(
        self,
        owner: str,
        ids: Sequence[int],
        cuts: Sequence[int],
        stable: int,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[Slots, Slot]]:
        """Hold the engine and a sequence of ``owner``; wait while all are being written."""
        engine = self._engine
        while True:
            with engine.turns.turn():
                slots = self._ready()
                slot = slots.claim(owner, ids, cuts, stable=stable)
                if slot is not None:
                    try:
                        yield slots, slot
                    except BaseException:
                        slots.drop(slot)
                        raise
                    finally:
                        slot.is_busy = False
                    return
            should_stop()  # raises when it takes too long
            time.sleep(_POLL_S)

    def _files(self) -> Files | None:
        """Return where prefixes are kept, under everything that the numbers depend on."""
        limit = self._settings.prefix_cache
        if self._prefixes is None or limit <= 0:
            return None
        settings = self._settings
        lora = Path(settings.lora).expanduser() if settings.lora else None
        parts = [
            sha256_of(self._path, self._cache_dir),
            f"{sha256_of(lora, self._cache_dir)} {settings.lora_scale!r}" if lora is not None else "",
            f"f16 {settings.flash_attention} {settings.gpu_layers} {settings.threads}",
            f"{settings.context_tokens} {self._block} {os.cpu_count()}",
            f"{safe_settings(self._path, self._cache_dir, gpu_layers=settings.gpu_layers).use_extra_bufts}",
            native.build(),
        ]
        return Files(self._prefixes, content_hash("\n".join(parts)), limit)

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

    def _context(
        self, model: native.Model, n_ctx: int, *, sequences: int = 1, with_lora: bool = False
    ) -> native.Context:
        cores = os.cpu_count() or 1
        context = native.Context(
            model,
            n_ctx=n_ctx,
            n_batch=self._block,
            threads=self._settings.threads or (1 if model.size_bytes < _SMALL_BYTES else cores),
            batch_threads=self._settings.threads or cores,
            flash_attention=self._settings.flash_attention,
            sequences=sequences,
        )
        try:
            if with_lora and self._settings.lora:
                context.set_adapter(Path(self._settings.lora).expanduser(), self._settings.lora_scale)
        except BaseException:
            context.free()
            raise
        return context

    def _check_fit(self, n_prompt: int, max_tokens: int, *, at_most: int = sys.maxsize) -> None:
        limit = min(self.context_tokens, at_most)
        if n_prompt + max_tokens > limit:
            raise ContextOverflow(
                f"{n_prompt} prompt tokens and {max_tokens} to write exceed the context of {limit}",
                hint="lower generate.max_tokens or assemble.budget_tokens, or raise generate.context_tokens",
            )


def _spelled(model: native.Model, token: int) -> str:
    """Return a special token as its text; empty when the model has none (-1)."""
    return model.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
