"""Stage 1, ingest: a document becomes chunks that stand on their own.

In: a ``Document`` and the embedder's token counter.  Out: ``ChunkSpan`` offsets into its text, in order.
Never: changes the text, knows a model, counts one sentence at a time.

Sections come first: a chunk lies under one heading path, and only neighbouring sections too small to mean
anything alone share a chunk, under their common path.  Inside a section paragraphs, lists, tables and code
stay whole while they fit; what does not fit is split into sentences, items, rows or lines, then into words,
then into characters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ragperso.segment import blocks, lines, list_items, sentences
from ragperso.types import ChunkSpan, Document

CHUNKER_VERSION: Final = 2  # raise it when the same document would be cut differently

CountTokens = Callable[[Sequence[str]], list[int]]
_Kind = Literal[
    "heading", "paragraph", "list", "table", "code", "rule", "stanza", "item", "sentence", "line", "cut"
]

# A WordPiece tokenizer calls any word above 100 characters one unknown token, so tokens alone do not
# bound a chunk.  English prose has 4 to 5 characters a token, a padded table about 10.
_MAX_CHARS_PER_TOKEN: Final = 16
_LIKELY_CHARS_PER_TOKEN: Final = 6  # up to here a whole document may well be one chunk
_TINY_SHARE: Final = 4  # a section below chunk_tokens / 4 joins a neighbour
_OVERLAP_SHARE: Final = 3  # repeated sentences take at most chunk_tokens / 3
_RESERVE_SHARE: Final = 8  # kept free for them while packing
_BATCH_CHARS: Final = 1_000_000  # per call of the counter; bounds its memory
_MAX_TITLE_CHARS: Final = 200  # of one heading in a path

_STANZA: Final = re.compile(r"\n[ \t\r]*\n(?=\S)")  # a blank line before something at the margin
_MARKUP_ONLY: Final = re.compile(r"[\s\-=*_#>|+:~`.]*\Z")
_LINK: Final = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,1000}\)")
_PROSE: Final = frozenset(("paragraph", "sentence", "item", "list"))


def chunker_fingerprint(chunk_tokens: int, overlap_sentences: int) -> str:
    """Return the identity of everything here that shapes a chunk."""
    return f"chunker/{CHUNKER_VERSION} tokens={chunk_tokens} overlap={overlap_sentences}"


def chunk(
    document: Document, *, count: CountTokens, chunk_tokens: int, overlap_sentences: int
) -> list[ChunkSpan]:
    """Return the chunks of ``document`` in order; none has more than ``chunk_tokens`` tokens.

    ``count`` returns tokens per text and is called a few times with many texts.  Together the spans hold
    every character from ``indexed_from`` on but white space and lines of mere markup.  One character of
    more tokens than ``chunk_tokens`` still is a chunk.
    """
    sections = _sections(document)
    if not sections:
        return []
    work = _Work(document.text, count, chunk_tokens, overlap_sentences)
    first, last = sections[0].pieces[0].start, sections[-1].pieces[-1].end
    if last - first <= chunk_tokens * _LIKELY_CHARS_PER_TOKEN:
        (n_tokens,) = count([document.text[first:last]])
        if n_tokens <= chunk_tokens:
            return _spans(document.text, [_Draft(first, last, _common_path(sections), n_tokens=n_tokens)])
    work.fit(sections)
    drafts = [draft for group in _groups(sections, chunk_tokens) for draft in work.pack(group)]
    return _spans(document.text, work.settle(drafts))


@dataclass(slots=True)
class _Piece:
    """Text that is not divided further unless it must be; ``tokens`` < 0 until counted.

    ``path`` is that of a heading, which may come to stand before text further down the tree.
    """

    start: int
    end: int
    kind: _Kind
    tokens: int = -1
    path: tuple[str, ...] = ()

    @property
    def n_chars(self) -> int:
        return self.end - self.start


@dataclass(slots=True)
class _Section:
    """The pieces under one heading, the heading first."""

    path: tuple[str, ...]
    pieces: list[_Piece] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @property
    def has_body(self) -> bool:
        return any(piece.kind not in ("heading", "rule") for piece in self.pieces)


@dataclass(slots=True)
class _Draft:
    """A chunk before it is counted whole; ``own`` is where it starts without repeated sentences."""

    start: int
    end: int
    path: tuple[str, ...]
    pieces: list[_Piece] = field(default_factory=list)
    own: int = -1
    n_tokens: int = -1


# ---------------------------------------------------------------- sections


def _sections(document: Document) -> list[_Section]:
    """Return the sections that hold anything, in order."""
    text, start = document.text, document.indexed_from
    if document.format == "code":
        pieces = _trimmed(text, start, len(text), "code")
        return [_Section((), pieces)] if pieces else []
    if document.format == "row" and document.source in ("", document.key):  # a table: one line, one row
        pieces = [_Piece(a, b, "line") for a, b in lines(text, start, len(text))]
        return [_Section((), pieces)] if pieces else []
    found: list[_Section] = [_Section(())]
    stack: list[tuple[int, str]] = []
    for block in blocks(text, start, rst=document.format == "rst"):
        if block.kind == "heading" and document.format != "mail":
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            stack.append((block.level, _title(block.title)))
            found.append(_Section(tuple(title for _, title in stack if title)))
        kind: _Kind = "paragraph" if block.kind == "heading" and document.format == "mail" else block.kind
        found[-1].pieces.append(_Piece(block.start, block.end, kind, path=found[-1].path))
    return _joined_to_children([section for section in found if section.pieces])


def _joined_to_children(sections: list[_Section]) -> list[_Section]:
    """Move headings without text of their own to the first section under them."""
    joined: list[_Section] = []
    for section in sections:
        if joined and not joined[-1].has_body:
            above = joined[-1].path
            if len(section.path) > len(above) and section.path[: len(above)] == above:
                section.pieces[:0] = joined.pop().pieces
        joined.append(section)
    return joined


def _title(text: str) -> str:
    """Return a heading as people read it: without links and emphasis."""
    return " ".join(_LINK.sub(r"\1", text).replace("**", "").replace("`", "").split())[:_MAX_TITLE_CHARS]


def _common_path(sections: Sequence[_Section]) -> tuple[str, ...]:
    paths = [section.path for section in sections if section.has_body] or [s.path for s in sections]
    shortest, longest = min(paths), max(paths)
    n_same = 0
    while n_same < min(len(shortest), len(longest)) and shortest[n_same] == longest[n_same]:
        n_same += 1
    return shortest[:n_same]


def _path_over(pieces: Sequence[_Piece], path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path of a chunk: that of its section, or of its last heading if it holds nothing else."""
    return pieces[-1].path if all(piece.kind in ("heading", "rule") for piece in pieces) else path


def _groups(sections: Sequence[_Section], limit: int) -> list[list[_Section]]:
    """Put tiny sections together with a neighbour under the same parent, if both fit one chunk."""
    groups: list[list[_Section]] = []
    tokens = 0
    for section in sections:
        size = section.tokens
        if groups and tokens + size <= limit and min(tokens, size) * _TINY_SHARE < limit:
            parent = groups[-1][0].path[:-1]
            if section.path[: len(parent)] == parent:
                groups[-1].append(section)
                tokens += size
                continue
        groups.append([section])
        tokens = size
    return groups


# ---------------------------------------------------------------- pieces


def _trimmed(text: str, start: int, end: int, kind: _Kind) -> list[_Piece]:
    part = text[start:end]
    if not (body := part.strip()):
        return []
    lead = start + len(part) - len(part.lstrip())
    return [_Piece(lead, lead + len(body), kind)]


def _finer(text: str, piece: _Piece, limit: int) -> list[_Piece]:
    """Return the parts of a piece at the next finer level that divides it; itself if nothing does."""
    kind, start, end = piece.kind, piece.start, piece.end
    parts: list[_Piece] = []
    if kind == "code":
        kind, last = "stanza", start
        for match in _STANZA.finditer(text, start, end):
            parts += _trimmed(text, last, match.start(), "stanza")
            last = match.end()
        parts += _trimmed(text, last, end, "stanza")
    elif kind == "list":
        kind = "item"
        parts = [_Piece(a, b, "item") for a, b in list_items(text, start, end)]
    elif kind in ("paragraph", "item"):
        kind = "sentence"
        parts = [_Piece(a, b, "sentence") for a, b in sentences(text, start, end)]
    elif kind in ("table", "stanza", "sentence"):
        kind = "line"
        parts = [_Piece(a, b, "line") for a, b in lines(text, start, end)]
    else:
        return _cut(text, piece, limit)
    if len(parts) > 1:
        return parts
    return _finer(text, _Piece(start, end, kind, piece.tokens), limit)


def _cut(text: str, piece: _Piece, limit: int) -> list[_Piece]:
    """Cut a piece without structure into about equal parts, between words where there are any."""
    n_parts = max(
        2, math.ceil(1.1 * piece.tokens / limit), math.ceil(piece.n_chars / (limit * _MAX_CHARS_PER_TOKEN))
    )
    size = max(1, math.ceil(piece.n_chars / n_parts))
    parts: list[_Piece] = []
    position = piece.start
    while position < piece.end:
        stop = min(position + size, piece.end)
        if stop < piece.end:
            stop = _cut_point(text, position, stop)
        parts += _trimmed(text, position, stop, "cut")
        position = stop
    return parts


def _cut_point(text: str, start: int, stop: int) -> int:
    """Return a place at or before ``stop`` that parts no word, or at least no character."""
    floor = stop - (stop - start) // 2
    space = max(text.rfind(" ", floor, stop), text.rfind("\n", floor, stop))
    if space > start:
        return space
    for place in range(stop, max(start, stop - 8), -1):
        if (
            not unicodedata.combining(text[place])
            and text[place] not in "\u200d\ufe0f"
            and text[place - 1] != "\u200d"
        ):
            return place
    return stop


class _Work:
    """One document being cut."""

    def __init__(self, text: str, count: CountTokens, limit: int, overlap: int) -> None:
        self.text = text
        self.count = count
        self.limit = limit
        self.overlap = overlap
        self.max_chars = limit * _MAX_CHARS_PER_TOKEN

    def count_all(self, spans: Sequence[tuple[int, int]]) -> Iterator[int]:
        """Yield tokens per span, counted in batches of bounded size."""
        batch: list[str] = []
        n_chars = 0
        for start, end in spans:
            batch.append(self.text[start:end])
            n_chars += end - start
            if n_chars >= _BATCH_CHARS:
                yield from self.count(batch)
                batch, n_chars = [], 0
        if batch:
            yield from self.count(batch)

    def measure(self, pieces: Sequence[_Piece]) -> None:
        """Count pieces that are short enough to be worth it."""
        todo = [piece for piece in pieces if piece.tokens < 0 and piece.n_chars <= self.max_chars]
        for piece, n_tokens in zip(todo, self.count_all([(p.start, p.end) for p in todo]), strict=True):
            piece.tokens = n_tokens

    def is_too_long(self, piece: _Piece) -> bool:
        return piece.n_chars > 1 and (piece.n_chars > self.max_chars or piece.tokens > self.limit)

    def fit(self, sections: Sequence[_Section]) -> None:
        """Divide pieces until each fits a chunk, one batch of counting per level."""
        while True:
            self.measure([piece for section in sections for piece in section.pieces])
            found = False
            for section in sections:
                if any(self.is_too_long(piece) for piece in section.pieces):
                    found = True
                    section.pieces = [
                        part
                        for piece in section.pieces
                        for part in (
                            _finer(self.text, piece, self.limit) if self.is_too_long(piece) else [piece]
                        )
                    ]
            if not found:
                return

    def pack(self, group: Sequence[_Section]) -> Iterator[_Draft]:
        """Yield the chunks of sections that belong together, of about equal size."""
        path = _common_path(group)
        pieces = [piece for section in group for piece in section.pieces]
        n_chars = pieces[-1].end - pieces[0].start
        total = sum(piece.tokens for piece in pieces)
        if total <= self.limit and n_chars <= self.max_chars:
            yield _Draft(pieces[0].start, pieces[-1].end, path, pieces)
            return
        room = self.limit - (self.limit // _RESERVE_SHARE if self.overlap else 0)
        target = total / math.ceil(total / room) if total else room
        todo = deque(pieces)
        taken: list[_Piece] = []
        tokens = 0
        previous: _Draft | None = None
        while todo:
            piece = todo.popleft()
            is_full = (
                tokens + piece.tokens > room or piece.end - taken[0].start > self.max_chars
                if taken
                else False
            )
            if is_full and all(p.kind == "heading" for p in taken):
                # A heading does not stand alone: the piece under it gives way, but no sentence is cut.
                parts = _finer(self.text, piece, self.limit)
                if len(parts) > 1 and parts[0].kind != "cut":
                    self.measure(parts)
                    todo.extendleft(reversed(parts))
                    continue
            if taken and (is_full or tokens + piece.tokens / 2 > target):
                previous = self._draft(taken, path, previous)
                yield previous
                taken, tokens = [], 0
            taken.append(piece)
            tokens += piece.tokens
        yield self._draft(taken, path, previous)

    def _draft(self, pieces: list[_Piece], path: tuple[str, ...], previous: _Draft | None) -> _Draft:
        draft = _Draft(pieces[0].start, pieces[-1].end, _path_over(pieces, path), pieces, own=pieces[0].start)
        if previous and self.overlap and previous.pieces[-1].kind in _PROSE and pieces[0].kind in _PROSE:
            begun = max(previous.own, 0)
            repeated = sentences(self.text, begun, previous.end)[-self.overlap :]
            if repeated[0][0] > begun:
                draft.start = repeated[0][0]
        return draft

    def settle(self, drafts: list[_Draft]) -> list[_Draft]:
        """Count each chunk as a whole; drop repeated sentences or divide where the sum of parts misled."""
        settled: list[_Draft] = []
        todo = drafts
        while todo:
            unsure = [
                d for d in todo if d.n_tokens < 0 and (len(d.pieces) > 1 or d.start != d.pieces[0].start)
            ]
            for draft, n_tokens in zip(
                unsure, self.count_all([(d.start, d.end) for d in unsure]), strict=True
            ):
                draft.n_tokens = n_tokens
            again: list[_Draft] = []
            is_changed = False
            for draft in todo:
                if draft.n_tokens < 0:
                    draft.n_tokens = draft.pieces[0].tokens
                own = draft.pieces[0].start
                if draft.start < own and (
                    draft.n_tokens > self.limit
                    or (draft.n_tokens - sum(p.tokens for p in draft.pieces)) * _OVERLAP_SHARE > self.limit
                ):
                    draft.start, draft.n_tokens = own, -1
                    is_changed = True
                    again.append(draft)
                elif draft.n_tokens > self.limit and len(draft.pieces) > 1:
                    middle = len(draft.pieces) // 2
                    is_changed = True
                    for half in (draft.pieces[:middle], draft.pieces[middle:]):
                        again.append(_Draft(half[0].start, half[-1].end, _path_over(half, draft.path), half))
                else:
                    again.append(draft)
            todo = again if is_changed else []
            settled = again
        return settled


def _spans(text: str, drafts: Sequence[_Draft]) -> list[ChunkSpan]:
    return [
        ChunkSpan(draft.start, draft.end, draft.path, draft.n_tokens)
        for draft in drafts
        if not _MARKUP_ONLY.match(text, draft.start, draft.end)
    ]
