"""Privacy: look for known words and vectors in the raw bytes of every file.

In: texts and vectors that must (or must not) be there, a folder.  Out: which files hold which of them.
Never: trusts a file's format, follows a link, prints what it looks for.

A text is looked for by runs of six of its inner words, without regard to case, in UTF-8, UTF-16 and base64;
a vector by pieces of its float32 and float16 bytes.  Compressed or encrypted bytes are not seen through.
"""

from __future__ import annotations

import base64
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragperso.types import Vectors

WORDS: Final = 6  # per run: long enough to be the person's own, short enough to lie within a database page
WINDOWS: Final = 5  # runs per text, spread over it: SQLite cuts long text into pages of 4,096 bytes
MIN_CHARS: Final = 12  # a shorter text is found everywhere and proves nothing
MAX_CHARS: Final = 160  # per run; "words" of a text without spaces may be long
BASE64_CHARS: Final = 36
VECTOR_BYTES: Final = 48  # per piece of a vector: 12 float32 values do not repeat by chance

_ANCHOR: Final = 8  # bytes; every pattern begins with one, which is looked up for all positions at once
_TABLE_BITS: Final = 20
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing, Knuth, TAOCP vol. 3, section 6.4
_BLOCK: Final = 4 << 20
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Needles:
    """What to look for: byte patterns, each with the number of the text or vector it comes from.

    Texts are numbered from 0, vectors go on after them.  ``folded`` patterns are compared with lower-cased
    bytes.  ``skipped`` texts were too short to look for.
    """

    n: int
    folded: tuple[tuple[bytes, int], ...] = field(repr=False)
    exact: tuple[tuple[bytes, int], ...] = field(repr=False)
    skipped: frozenset[int] = frozenset()

    @property
    def sought(self) -> frozenset[int]:
        """Return the numbers of all that is looked for."""
        return frozenset(range(self.n)) - self.skipped


def needles(
    texts: Iterable[str], vectors: Vectors | Sequence[NDArray[np.float32]] = (), *, kept: Iterable[str] = ()
) -> Needles:
    """Return the patterns of ``texts`` and of the rows of ``vectors``.

    ``kept`` are texts that may stay: a run of words that stands in one of them is not looked for.
    """
    stays = "\n".join(_fold(text) for text in kept)
    folded: dict[tuple[bytes, int], None] = {}
    exact: dict[tuple[bytes, int], None] = {}
    skipped = set()
    texts = list(texts)
    for number, text in enumerate(texts):
        runs = [run for run in _runs(text) if not stays or _fold(run) not in stays]
        if not runs:
            skipped.add(number)
        for run in runs:
            for form in (run, run.lower(), run.upper()):
                for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                    folded[form.encode(encoding, "surrogatepass").lower(), number] = None
            for pattern in _base64_forms(run.encode("utf-8", "surrogatepass")):
                exact[pattern, number] = None
    for number, row in enumerate(vectors, len(texts)):
        for kind in (np.float32, np.float16):
            raw = np.ascontiguousarray(row, kind).tobytes()
            for start in _spread(len(raw) - VECTOR_BYTES, WINDOWS):
                piece = raw[start - start % 4 : start - start % 4 + VECTOR_BYTES]
                if len(set(piece)) > 4:  # a run of zeros is everywhere
                    exact[piece, number] = None
    return Needles(len(texts) + len(vectors), tuple(folded), tuple(exact), frozenset(skipped))


def scan(directory: Path, sought: Needles) -> dict[Path, int]:
    """Return how many different needles each file below ``directory`` holds, files without any left out."""
    return {path: len(found) for path, found in search(directory, sought).items()}


def search(directory: Path, sought: Needles) -> dict[Path, frozenset[int]]:
    """Return the numbers of the needles that each file below ``directory`` holds.

    A file that vanishes or cannot be read during the search counts as empty.
    """
    folded, exact = _Matcher(sought.folded), _Matcher(sought.exact)
    found: dict[Path, frozenset[int]] = {}
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            hits: set[int] = set()
            for block in _blocks(path, max(folded.longest, exact.longest)):
                exact.search(block, hits)
                folded.search(block.lower(), hits)
            if hits:
                found[path] = frozenset(hits)
    return found


class _Matcher:
    """Finds any of many patterns: one table lookup per byte, a comparison where it strikes."""

    def __init__(self, patterns: Sequence[tuple[bytes, int]]) -> None:
        self.longest = max((len(pattern) for pattern, _ in patterns), default=0)
        self._by_anchor: defaultdict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        for pattern, number in patterns:
            self._by_anchor[pattern[:_ANCHOR]].append((pattern, number))
        self._table = np.zeros(1 << _TABLE_BITS, np.bool_)
        anchors = np.frombuffer(b"".join(self._by_anchor), "<u8")
        self._table[_slots(anchors)] = True

    def search(self, block: bytes, hits: set[int]) -> None:
        """Add to ``hits`` the numbers of all patterns in ``block``."""
        if not self._by_anchor:
            return
        for shift in range(_ANCHOR):  # eight aligned views see every position once
            n = (len(block) - shift) // _ANCHOR
            if n <= 0:
                return
            view = np.frombuffer(block, "<u8", n, shift)
            for index in np.flatnonzero(self._table[_slots(view)]).tolist():
                position = shift + index * _ANCHOR
                for pattern, number in self._by_anchor.get(block[position : position + _ANCHOR], ()):
                    if number not in hits and block.startswith(pattern, position):
                        hits.add(number)


def _slots(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    slots: NDArray[np.uint64] = (values * _MIX) >> np.uint64(64 - _TABLE_BITS)
    return slots


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces that overlap by one byte less than the longest pattern."""
    tail = b""
    try:
        with path.open("rb") as file:
            while piece := file.read(_BLOCK):
                yield tail + piece
                tail = (tail + piece)[-(overlap - 1) :] if overlap > 1 else b""
    except OSError:
        return


def _runs(text: str) -> list[str]:
    """Return up to :data:`WINDOWS` runs of inner words, verbatim, each on one line where possible."""
    words = list(_WORD.finditer(text))
    if len(words) >= WORDS + 2:
        words = words[1:-1]
    runs = []
    for first in _spread(len(words) - WORDS, WINDOWS):
        run = words[first : first + WORDS]
        runs.append(text[run[0].start() : run[-1].end()][:MAX_CHARS] if run else "")
    if any("\n" not in run for run in runs):
        runs = [run for run in runs if "\n" not in run]  # a JSON copy writes line breaks otherwise
    return [run for run in dict.fromkeys(runs) if len(run) >= MIN_CHARS]


def _spread(last: int, n: int) -> list[int]:
    """Return up to ``n`` positions from 0 to ``last``, evenly spaced."""
    if last <= 0:
        return [0]
    return sorted({round(i * last / (n - 1)) for i in range(n)})


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of both ends of ``raw``, wherever it lies in groups of three bytes.

    Two short pieces rather than one long one, because mail breaks base64 after 76 characters.
    """
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        # Only characters whose six bits all come from ``raw``.
        pure = encoded[-(-8 * lead // 6) : 8 * (lead + len(raw)) // 6]
        yield pure[:BASE64_CHARS]
        yield pure[-BASE64_CHARS:]


def _fold(text: str) -> str:
    return text.lower()
