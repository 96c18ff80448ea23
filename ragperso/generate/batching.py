"""Stage 5, generate: several people's texts written in one batch.

In: requests from any thread.  Out: their tokens, as they come.
Never: runs a caller's ``on_text`` in another thread than the caller's, makes people wait for a slow reader,
shows one person's text to another.

One thread at a time steps the model: that of the caller as long as there is one request, a thread of its own
for several.  In a step every text that is being written gets one token, all in one batch,
and one prompt is read one piece further; the prompts take turns.  Prompts are not read in the batch of the
writers: llama.cpp would cut such a batch elsewhere, and what is written would depend on who else is there.
Between two steps others may have the engine, and texts may be cancelled.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from ragperso.errors import GenerateError
from ragperso.generate import native
from ragperso.generate.prefixes import Slot, Slots
from ragperso.generate.stream import TextStream

Finish = Literal["stop", "length", "cancelled"]

_POLL_S: Final = 0.1  # how late a cancellation may be noticed by who waits for a turn
# How long a step waits for people who are still being shown their last token, so that a batch stays whole.
# The shortest step takes about 10 ms; who takes longer is left out of steps until they are done.
_GRACE_S: Final = 0.003


class Turns:
    """A lock that is given in the order of asking; Python's own lets the one who had it have it again."""

    def __init__(self) -> None:
        self._free = threading.Condition()  # re-entrant: a finalizer may close a model at any point
        self._queue: deque[object] = deque()
        self._is_held = False

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    def acquire(self, *, timeout: float | None = None, should_stop: Callable[[], bool] | None = None) -> bool:
        """Wait for the turn; ``False`` after ``timeout`` seconds or as soon as ``should_stop`` says so."""
        ticket = object()
        ends = None if timeout is None else time.monotonic() + timeout
        with self._free:
            self._queue.append(ticket)
        try:
            while True:
                with self._free:
                    if not self._is_held and self._queue[0] is ticket:
                        self._is_held = True
                        return True
                    left = None if ends is None else ends - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    slices = [s for s in (left, _POLL_S if should_stop else None) if s is not None]
                    self._free.wait(min(slices, default=None))
                if should_stop is not None and should_stop():
                    return False
        finally:
            with self._free:
                self._queue.remove(ticket)
                self._free.notify_all()

    def release(self) -> None:
        with self._free:
            self._is_held = False
            self._free.notify_all()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


class Request:
    """One text to write.  ``should_stop`` is asked before every step, in the thread that writes."""

    def __init__(
        self,
        owner: str,
        ids: Sequence[int],
        cuts: Sequence[int],
        *,
        stable: int,
        max_tokens: int,
        temperature: float,
        seed: int,
        stop: Sequence[str],
        is_shown: bool,
        should_stop: Callable[[], bool],
    ) -> None:
        self.owner = owner
        self.ids = ids
        self.cuts = cuts
        self.stable = stable
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.seed = seed
        self.should_stop = should_stop
        self.stream = TextStream(stop, self._show if is_shown else None)
        self.pieces: deque[str] = deque()  # to be shown
        self.wake = threading.Event()  # there is something to be shown, or it is over
        self.is_being_shown = False  # no step until the caller has seen the last token
        self.is_late = False  # took longer than a step would wait for
        self.is_abandoned = False
        self.is_over = False
        self.slot: Slot | None = None
        self.sampler: native.Sampler | None = None
        self.next: int | None = None  # the token to be read in the next step
        self.n_cached = 0
        self.n_written = 0
        self.first_token_at = 0.0  # time.monotonic()
        self.finish: Finish = "cancelled"
        self.error: BaseException | None = None

    def _show(self, text: str) -> None:
        self.pieces.append(text)
        self.is_being_shown = True


class Batcher:
    """Steps the model for all requests.  ``slots`` must be there before the first."""

    def __init__(self) -> None:
        self.turns = Turns()  # held through a step, and by who else uses the context
        self.model: native.Model | None = None
        self.slots: Slots | None = None
        self.is_closed = False
        self._news = threading.Condition()  # guards what follows; re-entered when garbage is collected
        self._requests: list[Request] = []
        self._stepper: threading.Thread | None = None  # who steps the model

    @property
    def is_busy(self) -> bool:
        return bool(self._requests)

    def run(self, request: Request, on_text: Callable[[str], None] | None) -> None:
        """Write one text to its end; ``on_text`` is called in this thread.  Raises what ended it."""
        with self._news:
            if self.is_closed:
                return
            self._requests.append(request)
            # Handing each token over to another thread costs one text alone 2 % of its time.
            is_alone = len(self._requests) == 1 and not self._is_stepped
            if is_alone:
                self._stepper = threading.current_thread()
            else:
                self._start()
            self._news.notify_all()
        try:
            if is_alone:
                self._step_alone(request, on_text)
            while not request.is_over:
                request.wake.wait()
                request.wake.clear()
                self._deliver(request, on_text)
            self._deliver(request, on_text)
        except BaseException:
            with self._news:
                request.is_abandoned = True
                self._news.notify_all()
            raise
        if request.error is not None:
            raise request.error

    def acquire_idle(self, should_stop: Callable[[], bool]) -> bool:
        """Take the turn if nobody is being written for."""
        if self.is_busy or not self.turns.acquire(should_stop=should_stop):
            return False
        is_free = not self.is_busy  # asked again: somebody may have come meanwhile
        if not is_free:
            self.turns.release()
        return is_free

    def close(self) -> None:
        """End all texts as cancelled, at the next step."""
        with self._news:
            self.is_closed = True
            self._news.notify_all()

    def end_all(self) -> None:
        """End all texts as cancelled.  The caller has the turn."""
        for request in list(self._requests):
            self._end(request)

    @property
    def _is_stepped(self) -> bool:
        return self._stepper is not None and self._stepper.is_alive()  # not after a fork

    def _start(self) -> None:
        if not self._is_stepped:
            self._stepper = threading.Thread(target=self._loop, name="ragperso-writer", daemon=True)
            self._stepper.start()

    def _step_alone(self, request: Request, on_text: Callable[[str], None] | None) -> None:
        """Step the model in the caller's thread until the text is over or somebody else comes.

        Not while ``on_text`` runs: who comes then must not wait for it.
        """
        me = threading.current_thread()
        try:
            while not request.is_over:
                with self._news:
                    if len(self._requests) > 1 or self._stepper not in (None, me):
                        break
                    self._stepper = me
                if self.turns.acquire(should_stop=self._is_nobody_left):
                    try:
                        self._step()
                    except BaseException as exc:  # an interrupt from the keyboard, between any two lines
                        self._fail(request, self.slots, exc)
                        raise
                    finally:
                        self.turns.release()
                request.wake.clear()
                with self._news:
                    self._stepper = None
                    if len(self._requests) > 1:
                        self._start()
                try:
                    self._deliver(request, on_text)
                except BaseException as exc:
                    with self.turns.turn():
                        self._end(request, error=exc)
                    raise
        finally:
            with self._news:
                if self._stepper is me:
                    self._stepper = None
                if self._requests:
                    self._start()

    def _deliver(self, request: Request, on_text: Callable[[str], None] | None) -> None:
        while request.pieces:
            piece = request.pieces.popleft()
            if on_text is not None:
                on_text(piece)
        if request.is_being_shown:
            with self._news:
                request.is_being_shown = request.is_late = False
                self._news.notify_all()

    # ---------------------------------------------------------------- in the thread that writes

    def _loop(self) -> None:
        while self._has_work():
            if not self.turns.acquire(should_stop=self._is_nobody_left):
                continue
            try:
                self._step()
            except BaseException as exc:  # no caller may wait for a thread that is gone
                for request in list(self._requests):
                    self._fail(request, self.slots, exc)
            finally:
                self.turns.release()

    def _has_work(self) -> bool:
        """Wait until a step can do something; ``False`` when nobody is left."""
        with self._news:
            while True:
                if not self._requests:
                    self._stepper = None
                    return False
                if self.is_closed or any(_can_go_on(request) for request in self._requests):
                    break
                self._news.wait()
            slow = [r for r in self._requests if r.is_being_shown and not (r.is_late or r.is_abandoned)]
            if slow and not self.is_closed:
                self._news.wait_for(lambda: not any(r.is_being_shown for r in slow), _GRACE_S)
                for request in slow:
                    request.is_late = request.is_being_shown
        return True

    def _is_nobody_left(self) -> bool:
        """End those who no longer want to wait for a turn; say whether that was everybody."""
        for request in list(self._requests):
            if request.slot is None:
                self._end_stopped(request)
        return not self._requests

    def _step(self) -> None:
        for request in list(self._requests):
            self._end_stopped(request)
        slots, model = self.slots, self.model
        if self.is_closed or slots is None or model is None:
            return
        for request in list(self._requests):
            if request.slot is not None and request.slot.is_lost:
                self._fail(request, slots, GenerateError("llama.cpp lost a sequence that was being written"))
        self._admit(slots, model)
        writing = [r for r in self._requests if r.next is not None and _can_go_on(r)]
        self._write(writing[: slots.context.n_batch], slots, model)
        self._read(slots, model)

    def _end_stopped(self, request: Request) -> None:
        if request.is_being_shown and not (request.is_abandoned or self.is_closed):
            return
        try:
            should_stop = self.is_closed or request.is_abandoned or request.should_stop()
        except BaseException as exc:  # the caller's callback, or too late
            self._end(request, error=exc)
        else:
            if should_stop:
                self._end(request, "cancelled")

    def _admit(self, slots: Slots, model: native.Model) -> None:
        """Give sequences to those who wait, in the order in which they came."""
        for request in [r for r in self._requests if r.slot is None]:
            try:
                slot = slots.claim(request.owner, request.ids, request.cuts, stable=request.stable)
                if slot is None:
                    return
                request.slot, request.n_cached = slot, slot.n_cached
                request.sampler = native.Sampler(model, temperature=request.temperature, seed=request.seed)
            except Exception as exc:
                self._end(request, error=exc)

    def _write(self, requests: Sequence[Request], slots: Slots, model: native.Model) -> None:
        """Read the last token of each text, and pick its next."""
        tokens = {r.slot.sequence: r.next for r in requests if r.slot is not None and r.next is not None}
        if not tokens:
            return
        try:
            slots.context.decode_each(tokens)
        except GenerateError as exc:
            for request in requests:
                self._fail(request, slots, exc)
            return
        for i, request in enumerate(requests):
            self._take(request, i, slots, model)

    def _read(self, slots: Slots, model: native.Model) -> None:
        """Read one piece of the prompt whose turn it is."""
        request = next((r for r in self._requests if r.slot is not None and r.next is None), None)
        if request is None or request.slot is None:
            return
        cut = next(cut for cut in request.cuts if cut > request.slot.n_cached)
        is_last = cut == len(request.ids)
        try:
            slots.read(request.slot, request.ids, cut, logits=is_last)
        except GenerateError as exc:
            self._end(request, error=exc)
            return
        if is_last:
            self._take(request, -1, slots, model)
        with self._news:
            if request in self._requests:  # behind the others
                self._requests.remove(request)
                self._requests.append(request)

    def _take(self, request: Request, i: int, slots: Slots, model: native.Model) -> None:
        """Pick the next token of a text and show what it spells."""
        assert request.sampler is not None
        token = request.sampler.next(slots.context, i)
        request.first_token_at = request.first_token_at or time.monotonic()
        if model.is_end(token):
            self._end(request, "stop")
            return
        request.n_written += 1
        request.next = token
        request.stream.feed(model.piece(token))
        if request.stream.is_stopped or request.n_written == request.max_tokens:
            self._end(request, "stop" if request.stream.is_stopped else "length")
        elif request.pieces:
            request.wake.set()

    def _fail(self, request: Request, slots: Slots | None, error: BaseException) -> None:
        if request.slot is not None and slots is not None:
            slots.drop(request.slot)
        self._end(request, error=error)

    def _end(
        self, request: Request, finish: Finish = "cancelled", error: BaseException | None = None
    ) -> None:
        """Free what a request holds and tell its caller."""
        with self._news:
            if request in self._requests:
                self._requests.remove(request)
        if request.slot is not None:
            request.slot.is_busy = False
        if request.sampler is not None:
            request.sampler.free()
        request.finish, request.error = finish, error
        if error is None:
            request.stream.finish()
        request.is_over = True
        request.wake.set()


def _can_go_on(request: Request) -> bool:
    return request.is_abandoned or not request.is_being_shown
