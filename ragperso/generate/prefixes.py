"""Stage 5, generate: what the model has read of a person is kept, warm in memory and cold in their folder.

In: a person, the tokens of their prompt and where it may be cut.  Out: a sequence that holds the longest
usable beginning.
Never: shows one person what was read of another, gives llama.cpp bytes that were not verified, fails because
of a file.

A prompt is read piece by piece, cut at fixed places that depend on the prompt alone: the multiples of a
block, and the ends of its stable parts.  A beginning is used again only where both were cut alike up to its
end.  So cold, warm and restored reads give the same numbers to the bit: a piece of another size does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ragperso.errors import ModelUnavailable
from ragperso.generate import native

SUFFIX: Final = ".kv"
MAX_FILES: Final = 2  # per person: the beginning of questions and that of texts to write

_MAGIC: Final = b"ragperso kv 1\n"
_HEAD: Final = struct.Struct("<I32s")  # length and SHA-256 of the description that follows
_MAX_DESCRIPTION: Final = 8_000_000  # bytes: a million tokens
_PIECE: Final = 1 << 18  # bytes read and hashed at once, while they are in the processor's cache
_LEFTOVER_S: Final = 60.0  # a temporary file older than this was left by a process that died


# ---------------------------------------------------------------- where a prompt is cut


def cuts_of(n_tokens: int, boundaries: Iterable[int], block: int) -> list[int]:
    """Return where the pieces of a prompt end: at each multiple of ``block``, each boundary and the end.

    A boundary inside the first block is left out: it would save nothing worth a read of its own.
    """
    wanted = {cut for cut in boundaries if block <= cut < n_tokens}
    return sorted({*range(block, n_tokens, block), *wanted, n_tokens})


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


def shared_cut(
    tokens: Sequence[int], cuts: Sequence[int], ids: Sequence[int], ids_cuts: Sequence[int]
) -> int:
    """Return how many tokens both prompts share up to the last place where both were cut alike.

    Less than all of ``ids``: its last token must be read for what follows it.
    """
    same = common_prefix(tokens, ids)
    found = 0
    for mine, other in zip(cuts, ids_cuts, strict=False):
        if mine != other or mine > same or mine >= len(ids):
            break
        found = mine
    return found


# ---------------------------------------------------------------- files


@dataclass(frozen=True, slots=True)
class Saved:
    """A file whose description is verified; its content is not yet."""

    path: Path
    tokens: tuple[int, ...] = field(repr=False)
    cuts: tuple[int, ...] = field(repr=False)
    head: int
    size: int
    sha256: str
    offset: int


class Files:
    """The beginnings kept in people's folders.

    ``folder`` names a person's, or ``None`` to keep nothing of them; ``fingerprint`` is everything on which
    the numbers depend besides the tokens; at most ``max_bytes`` and :data:`MAX_FILES` per person.
    """

    def __init__(self, folder: Callable[[str], Path | None], fingerprint: str, max_bytes: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self.max_bytes = max_bytes

    def find(self, owner: str, ids: Sequence[int], cuts: Sequence[int]) -> tuple[int, Saved] | None:
        """Return the file with the longest usable beginning, and that length.

        Files that are damaged, cut off, another person's or of other settings are removed.
        """
        best: tuple[int, Saved] | None = None
        for path in self._paths(owner):
            saved = self._described(path, owner)
            if saved is None:
                _remove(path)
                continue
            n = shared_cut(saved.tokens, saved.cuts, ids, cuts)
            if n and (best is None or n > best[0]):
                best = (n, saved)
        return best

    def load(self, saved: Saved, into: memoryview) -> bool:
        """Fill ``into`` from the file; ``False``, and the file is gone, unless every byte is verified."""
        digest = hashlib.sha256()
        try:
            with _opened(saved.path) as file:
                file.seek(saved.offset)
                at = 0
                while at < len(into):
                    piece = into[at : at + _PIECE]
                    n = file.readinto(piece)
                    if not n:
                        break
                    digest.update(piece[:n])
                    at += n
                is_whole = at == len(into) and not file.read(1)
        except OSError:
            is_whole = False
        if not is_whole or digest.hexdigest() != saved.sha256:
            _remove(saved.path)
            return False
        with contextlib.suppress(OSError):
            os.utime(saved.path)  # the file used longest ago makes room
        return True

    def has(self, owner: str, tokens: Sequence[int]) -> bool:
        folder = self._of(owner)
        return folder is not None and (folder / self._name(tokens)).is_file()

    def save(
        self, owner: str, tokens: Sequence[int], cuts: Sequence[int], head: int, body: memoryview
    ) -> bool:
        """Write a beginning; older ones make room.  ``False`` when it does not fit or cannot be written.

        Not synced: after a power cut half a file is found out by its hash, and costs a read of the prompt.
        """
        folder = self._of(owner)
        description = json.dumps(
            {
                "owner": owner,
                "fingerprint": self._fingerprint,
                "tokens": list(tokens),
                "cuts": list(cuts),
                "head": head,
                "size": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
            }
        ).encode()
        size = len(_MAGIC) + _HEAD.size + len(description) + len(body)
        if folder is None or size > self.max_bytes or len(description) > _MAX_DESCRIPTION:
            return False
        temporary = folder / f".{secrets.token_hex(8)}.tmp"
        try:
            # Not its parents: whoever was deleted meanwhile does not come back as a folder.
            folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(folder, size)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + _HEAD.pack(len(description), hashlib.sha256(description).digest()))
                file.write(description)
                file.write(body)
            os.replace(temporary, folder / self._name(tokens))
        except OSError:
            _remove(temporary)
            return False
        return True

    def clear(self, owner: str) -> None:
        """Remove everything kept of ``owner``."""
        folder = self._of(owner)
        if folder is not None:
            clear(folder)

    def _of(self, owner: str) -> Path | None:
        return self._folder(owner) if self.max_bytes > 0 else None

    def _name(self, tokens: Sequence[int]) -> str:
        text = f"{self._fingerprint} {' '.join(map(str, tokens))}"
        return hashlib.sha256(text.encode()).hexdigest()[:32] + SUFFIX

    def _paths(self, owner: str) -> list[Path]:
        folder = self._of(owner)
        return _files(folder) if folder is not None else []

    def _described(self, path: Path, owner: str) -> Saved | None:
        """Return what the file says of itself, ``None`` unless it is whole and meant for here."""
        try:
            with _opened(path) as file:
                size = os.fstat(file.fileno()).st_size
                lead = file.read(len(_MAGIC) + _HEAD.size)
                if not lead.startswith(_MAGIC) or len(lead) < len(_MAGIC) + _HEAD.size:
                    return None
                length, digest = _HEAD.unpack_from(lead, len(_MAGIC))
                if length > min(size, _MAX_DESCRIPTION):
                    return None
                description = file.read(length)
        except OSError:
            return None
        if hashlib.sha256(description).digest() != digest:
            return None
        try:
            found = json.loads(description)
            saved = Saved(
                path,
                tuple(found["tokens"]),
                tuple(found["cuts"]),
                int(found["head"]),
                int(found["size"]),
                str(found["sha256"]),
                len(lead) + length,
            )
            if not all(type(number) is int for number in (*saved.tokens, *saved.cuts)):
                return None
            is_ours = found["owner"] == owner and found["fingerprint"] == self._fingerprint
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        is_whole = saved.size == size - saved.offset and saved.size > 0 and saved.cuts != ()
        return saved if is_ours and is_whole and saved.cuts[-1] == len(saved.tokens) else None

    def _make_room(self, folder: Path, size: int) -> None:
        """Remove the files used longest ago until one of ``size`` bytes fits, and what a crash left."""
        for path in folder.glob(".*.tmp"):
            if time.time() - path.stat().st_mtime > _LEFTOVER_S:
                _remove(path)
        kept = _files(folder)
        while kept and (
            len(kept) >= MAX_FILES or size + sum(path.stat().st_size for path in kept) > self.max_bytes
        ):
            _remove(kept.pop())


def clear(folder: Path) -> None:
    """Remove every beginning kept in ``folder``, and the folder when nothing else is in it."""
    for path in (*_files(folder), *folder.glob(".*.tmp")):
        _remove(path)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder, the one used last first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            found.append((path.lstat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _opened(path: Path) -> Any:
    """Open a file to read, but no link: a link could lead out of the person's folder."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(descriptor, "rb", buffering=0)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


# ---------------------------------------------------------------- sequences


@dataclass(slots=True)
class Slot:
    """One sequence of the context, and whose prompt it holds up to the last cut."""

    sequence: int
    owner: str | None = None
    tokens: list[int] = field(default_factory=list, repr=False)
    cuts: list[int] = field(default_factory=list, repr=False)
    stable: int = 0  # tokens worth a file
    is_busy: bool = False
    is_lost: bool = False  # emptied while it was busy
    used: int = 0  # the larger, the later

    @property
    def n_cached(self) -> int:
        return self.cuts[-1] if self.cuts else 0

    def cut(self, n: int) -> None:
        """Know of the first ``n`` tokens only."""
        self.cuts = [cut for cut in self.cuts if cut <= n]
        del self.tokens[self.n_cached :]


class Slots:
    """The sequences of one context, each a person's until it is needed for another.

    ``make`` makes a context of so many sequences.  The first person gets one alone; the second makes it grow
    to ``most``, as every sequence costs its memory from the start (94 MB the starter at 4,096 tokens).
    Not thread-safe: the caller holds the engine.
    """

    def __init__(
        self, make: Callable[[int], native.Context], most: int, block: int, files: Files | None
    ) -> None:
        self._make = make
        self._most = max(1, most)
        self._block = block
        self._files = files
        self._clock = 0
        self.context = make(1)
        self.slots = [Slot(0)]

    def cached(self, owner: str) -> list[int]:
        """Return the longest beginning of a prompt of ``owner`` that is kept warm."""
        return max((slot.tokens for slot in self.slots if slot.owner == owner), key=len, default=[])

    def is_busy(self, owner: str) -> bool:
        return any(slot.is_busy for slot in self.slots if slot.owner == owner)

    def claim(self, owner: str, ids: Sequence[int], cuts: Sequence[int], *, stable: int) -> Slot | None:
        """Return a sequence of ``owner`` that holds the longest usable beginning of ``ids``; mark it busy.

        ``stable`` tokens of it are worth a file when somebody else needs the sequence.
        ``None`` while all sequences are busy.
        """
        slot = self._idle_of(owner, ids, cuts) or self._free(owner)
        if slot is None:
            return None
        self._clock += 1
        slot.used = self._clock
        n = shared_cut(slot.tokens, slot.cuts, ids, cuts)
        if n < slot.stable:
            self._save(slot)
        slot.cut(n if self.context.keep(n, slot.sequence) else 0)
        if slot.n_cached < stable:
            self._restore(slot, owner, ids, cuts)
        slot.stable = min(stable, len(ids))
        slot.is_busy, slot.is_lost = True, False
        return slot

    def read(self, slot: Slot, ids: Sequence[int], cut: int, *, logits: bool) -> None:
        """Read ``ids`` from where the sequence ends up to ``cut``.  Raises: GenerateError."""
        start = slot.n_cached
        try:
            self.context.decode(ids[start:cut], logits=logits, sequence=slot.sequence)
        except BaseException:
            slot.cut(0)
            raise
        slot.tokens.extend(ids[start:cut])
        slot.cuts.append(cut)

    def drop(self, slot: Slot) -> None:
        """Forget what a sequence holds, after an error."""
        self.context.clear(slot.sequence)
        slot.cut(0)

    def forget(self, owner: str) -> None:
        """Overwrite what is kept of ``owner``, and remove their files.

        What is kept of others is set aside meanwhile: llama.cpp can overwrite only everything.
        """
        mine = [slot for slot in self.slots if slot.owner == owner and not slot.is_busy]
        for slot in mine:
            slot.owner, slot.stable = None, 0
            self.drop(slot)
        if mine:
            self._wipe()
        if self._files is not None:
            self._files.clear(owner)

    def close(self) -> None:
        """Save what is worth it, overwrite everything and free the context."""
        for slot in self.slots:
            with contextlib.suppress(Exception):  # nothing that happens here may keep the memory
                self._save(slot)
            slot.owner = None
            slot.cut(0)
        self.context.clear()
        self.context.free()

    # ---------------------------------------------------------------- inside

    def _idle_of(self, owner: str, ids: Sequence[int], cuts: Sequence[int]) -> Slot | None:
        own = [slot for slot in self.slots if slot.owner == owner and not slot.is_busy]
        return max(own, key=lambda slot: shared_cut(slot.tokens, slot.cuts, ids, cuts), default=None)

    def _free(self, owner: str) -> Slot | None:
        """Return a sequence for somebody who has none: an empty one, else the one used longest ago."""
        idle = [slot for slot in self.slots if not slot.is_busy]
        empty = next((slot for slot in idle if slot.owner is None), None)
        if empty is None and len(self.slots) < self._most:
            self._grow()
            empty = next((slot for slot in self.slots if slot.owner is None), None)
        slot = empty or min(idle, key=lambda one: one.used, default=None)
        if slot is None:
            return None
        if slot.owner is not None:
            self._save(slot)
        self.drop(slot)
        slot.owner, slot.stable = owner, 0
        return slot

    def _grow(self) -> None:
        """Move to a context of ``most`` sequences; where that cannot be done, people take turns."""
        try:
            larger = self._make(self._most)
        except ModelUnavailable:  # no memory for it
            self._most = len(self.slots)
            return
        used = [slot for slot in self.slots if self.context.past[slot.sequence]]
        lost = _copy(self.context, larger, used)
        old, self.context = self.context, larger
        if any(slot.is_busy for slot in lost):
            old, self.context = larger, old
            self._most = len(self.slots)
        else:
            for slot in lost:
                slot.cut(0)
            self.slots += [Slot(i) for i in range(len(self.slots), self._most)]
        old.clear()
        old.free()

    def _wipe(self) -> None:
        """Overwrite all that no sequence holds any more."""
        used = [slot for slot in self.slots if self.context.past[slot.sequence]]
        for slot in _copy(self.context, self.context, used):
            slot.cut(0)
            slot.is_lost = slot.is_busy

    def _save(self, slot: Slot) -> None:
        """Write the stable beginning of a sequence to its person's folder, unless it is there.

        Afterwards the sequence holds no more than that.
        """
        n = max((cut for cut in slot.cuts if cut <= slot.stable), default=0)
        if self._files is None or slot.owner is None or n < self._block or slot.is_busy:
            return
        tokens, cuts = slot.tokens[:n], [cut for cut in slot.cuts if cut <= n]
        if self._files.has(slot.owner, tokens):
            return
        past = self.context.past[slot.sequence]
        if self.context.state_bytes(slot.sequence) // max(1, past) * n > self._files.max_bytes:
            return
        if not self.context.keep(n, slot.sequence):
            slot.cut(0)
            return
        slot.cut(n)
        state = self.context.state(slot.sequence)
        if state is not None:
            self._files.save(slot.owner, tokens, cuts, state.head, state.body)

    def _restore(self, slot: Slot, owner: str, ids: Sequence[int], cuts: Sequence[int]) -> None:
        """Load the person's file when it holds a longer beginning than the sequence does."""
        found = self._files.find(owner, ids, cuts) if self._files is not None else None
        if found is None or self._files is None or found[0] <= slot.n_cached:
            return
        n, saved = found
        files = self._files
        state = native.State(
            saved.head,
            memoryview(b""),
            len(saved.tokens),
            size=saved.size,
            fill=lambda into: files.load(saved, into),
        )
        if not self.context.restore(slot.sequence, state):
            _remove(saved.path)
            slot.cut(0)
            return
        slot.tokens, slot.cuts = list(saved.tokens), list(saved.cuts)
        slot.cut(n if self.context.keep(n, slot.sequence) else 0)


def _copy(source: native.Context, target: native.Context, slots: Sequence[Slot]) -> list[Slot]:
    """Copy sequences into an emptied context; return those that llama.cpp did not take over."""
    held = [(slot, source.state(slot.sequence)) for slot in slots]
    target.clear()
    return [slot for slot, state in held if state is None or not target.restore(slot.sequence, state)]
