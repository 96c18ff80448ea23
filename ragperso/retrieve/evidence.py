"""Stage 3, retrieve: everything the indexes of one person say about one query, as numbers per chunk.

In: cosines, BM25 columns and the layout of each corpus.  Out: :class:`Evidence`, one row per chunk of all
corpora.
Never: weighs one kind of evidence against another (``adaptive.py`` does), reads text, sees what a filter
excludes.

Cosines become z-scores over all chunks the query may see: MiniLM's have no fixed zero, and how far a chunk
stands out is what matters.  Their spread is shrunk towards the usual one, since three chunks have none worth
the name. BM25 becomes a share of what a perfect match would have; see :data:`EASE`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.dates import TimeSpan
from ragperso.layout import NO_DAY, Layout, fold_name
from ragperso.types import Corpus, Ids, Rows, Scores

Values = NDArray[np.float32]

USUAL_SPREAD: Final = 0.11  # of MiniLM's cosines of one question with the chunks of one person
SPREAD_WEIGHT: Final = 20  # chunks that this prior is worth
# No chunk answers a claim of twenty words with all of them: the rarest eight count.
MAX_CEILING_TOKENS: Final = 8
# share / best_share ** EASE: with 0 a weak best match stays weak, with 1 it counts as much as a perfect one.
EASE: Final = 0.75
# A word said one, two, three turns away counts so much of one said here.
REACH_LEXICAL: Final = (0.8, 0.65, 0.5)
REACH_DENSE: Final = (1.0, 0.7, 0.5)
DATE_DECAY_DAYS: Final = 7.0
_LENGTH_ORIGIN: Final = 3.5  # log of 32 tokens: a turn of usual length
_MAX_TURN_TOKENS: Final = 90  # beyond it a turn does not become better evidence by being longer
TURN_KINDS: Final = (
    "dense", "lexical", "near_lexical", "group_lexical", "near_dense", "group_dense", "speaker", "asks",
    "answers", "length",
)  # fmt: skip
# A word in more than one row of so many is counted in all rows at once: 80 µs at 10,000, where looking up the
# neighbours of each takes longer.  Of 10, 30 and 100, 30 was fastest at 10,000 and at 100,000 (2026-11-24).
_DENSE: Final = 30
_BLOCK: Final = 32_768  # rows; their sums of one word take 128 kB.  2,048 and 8,192 were slower
_TOGETHER: Final = 1 << 17  # places of the table of rare words: half a megabyte
_STRUCTURE: Final = "evidence"
_ZERO: Final = np.float32(0)
_NO_MARK: Final = 0.4  # the usual share of words that only make a text a question


@dataclass(frozen=True, slots=True)
class CorpusEvidence:
    """What the indexes of one corpus answer; arrays are by ascending chunk id, as its layout.

    ``keys`` are cosines with the extra keys.  ``columns`` and ``ceilings`` are those of the lexical index.
    ``allowed`` holds the ids a filter lets through, None for all.  ``style`` are two similarities per
    document.
    """

    corpus: Corpus
    layout: Layout
    dense: Scores
    keys: Scores
    columns: Sequence[tuple[int, Rows, Scores]]
    ceilings: Sequence[float]
    allowed: Ids | None = None
    style: tuple[Scores, Scores] | None = None
    liked: Scores | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the query, beside its words and meaning, is evidence; see ``understand.py``."""

    text: str = field(repr=False)
    n_words: int = 0
    n_terms: int = 0  # distinct ones that are searched for
    spans: tuple[TimeSpan, ...] = ()

    @property
    def question_words(self) -> float:
        """Share of the words that only make it a question, less the usual; negative for titles and claims."""
        return max(0.0, 1 - self.n_terms / max(1, self.n_words)) - _NO_MARK


@dataclass(frozen=True, slots=True)
class Parts:
    """Which kinds of evidence are looked at; a switch each, for measuring what it is worth."""

    context: bool = True
    parents: bool = True
    keys: bool = True
    names: bool = True
    dates: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """One row per chunk that the query may see, corpora one after the other, ids ascending within each."""

    ids: Ids
    corpora: tuple[Corpus, ...]
    sizes: tuple[int, ...]  # rows of each corpus
    cosine: Scores
    bm25: Scores  # as the index gives it
    coverage: Scores  # bm25 as a share of a perfect match
    near_coverage: Scores  # the same with the words of the neighbours
    features: Mapping[str, Values]  # of AdaptiveFusion, in a fixed order
    signals: Mapping[str, float]
    liked: Scores | None = None  # of the best preference a row states, -inf where it states none


def gather(parts: Sequence[CorpusEvidence], asked: Asked, use: Parts) -> Evidence:
    """Return the evidence of all corpora as one."""
    masks = [_mask(part) for part in parts]
    seen = _joined([_cut(part.dense, mask) for part, mask in zip(parts, masks, strict=True)])
    mean, spread = _spread(seen)
    built = [_Corpus(part, mask, mean, spread) for part, mask in zip(parts, masks, strict=True)]
    best = {
        name: max((float(_cut(getattr(one, name), one.mask).max(initial=0.0)) for one in built), default=0.0)
        for name in ("share", "near_share", "group_share")
    }
    columns = [one.features(best, asked, use) for one in built]
    names = list(columns[0]) if columns else []
    ids = [_cut(part.layout.ids, mask) for part, mask in zip(parts, masks, strict=True)]
    return Evidence(
        ids=ids[0] if len(ids) == 1 else np.concatenate([np.zeros(0, np.int64), *ids]),
        corpora=tuple(part.corpus for part in parts),
        sizes=tuple(len(one) for one in ids),
        cosine=seen,
        bm25=_joined([_cut(one.bm25, one.mask) for one in built]),
        coverage=_joined([_cut(one.share, one.mask) for one in built]),
        near_coverage=_joined([_cut(one.near_share, one.mask) for one in built]),
        features={name: _joined([column[name] for column in columns]) for name in names},
        signals={
            "question_words": asked.question_words,
            "best_coverage": best["share"],
        },
        liked=_joined([one.liked() for one in built]) if any(p.liked is not None for p in parts) else None,
    )


def nothing(n: int) -> Values:
    """Return ``n`` zeros that take no memory, for a kind of evidence that says nothing."""
    return np.broadcast_to(_ZERO, n)


def says_nothing(column: Values) -> bool:
    """Tell whether a column is one of :func:`nothing`."""
    return column.strides == (0,)


@dataclass(frozen=True, slots=True)
class _Structure:
    """What of a layout every query needs and none changes; see ``Layout.derived``."""

    has_turns: bool
    n_groups: int
    n_documents: int
    neighbours: tuple[tuple[Rows, Rows], ...]  # (rows k before, rows k after) for k = 1, 2, 3; n for "none"
    # Where all groups are runs of rows: what a word counts in the row k behind it, 0 in another group; and
    # where the groups begin.  Else empty.
    shares: tuple[Values, ...]
    starts: Ids
    blocks: tuple[int, ...]  # groups at which blocks of about _BLOCK rows begin, and the number of groups
    group_size: Values  # the log of how many chunks each one's group has
    length: Values
    statements: tuple[NDArray[np.bool_], Rows]  # of the keys: which are statements, and the rows of these
    leads: tuple[NDArray[np.bool_], Rows]  # of the keys: which are leads, and the documents of these

    @classmethod
    def of(cls, layout: Layout) -> _Structure:
        found: _Structure | None = layout.derived.get(_STRUCTURE)
        if found is None:
            found = layout.derived[_STRUCTURE] = cls._made(layout)
        return found

    @classmethod
    def _made(cls, layout: Layout) -> _Structure:
        n, n_groups = len(layout), layout.n_groups
        has_turns = bool(n) and bool(layout.is_turn.any())
        neighbours: list[tuple[Rows, Rows]] = []
        shares: tuple[Values, ...] = ()
        starts = np.zeros(0, np.int64)
        blocks: tuple[int, ...] = ()
        group_size = length = nothing(n)
        if n_groups < n:
            before, after = (np.append(a, np.int32(n)) for a in (layout.before, layout.after))
            neighbours.append((before, after))
            for _ in REACH_DENSE[1:]:
                neighbours.append((before[neighbours[-1][0]], after[neighbours[-1][1]]))
            here = np.arange(n)
            steps = np.diff(layout.group, prepend=-1)
            is_run = (before[:n] == here - 1) | (before[:n] == n)
            if n > len(REACH_DENSE) and is_run.all() and ((steps == 0) | (steps == 1)).all():
                shares = tuple(
                    np.float32(share) * (back[k:n] != n).astype(np.float32)
                    for k, ((back, _), share) in enumerate(zip(neighbours, REACH_LEXICAL, strict=True), 1)
                )
                starts = np.flatnonzero(steps)
                places = np.searchsorted(starts, np.arange(0, n, _BLOCK))
                blocks = (*np.unique(places[places < n_groups]).tolist(), n_groups)
            sizes = np.bincount(layout.group, minlength=1).astype(np.float32)
            group_size = np.asarray(np.log(sizes)[layout.group], np.float32)
        if has_turns:
            tokens = np.minimum(layout.tokens, _MAX_TURN_TOKENS).astype(np.float32)
            length = np.log1p(tokens) - np.float32(_LENGTH_ORIGIN)
        is_statement, is_lead = layout.key_row >= 0, layout.key_document >= 0
        return cls(
            has_turns,
            n_groups,
            layout.n_documents,
            tuple(neighbours),
            shares,
            starts,
            blocks,
            group_size,
            length,
            (is_statement, layout.key_row[is_statement]),
            (is_lead, layout.key_document[is_lead]),
        )


class _Corpus:
    """One corpus on the way to its features; arrays are over all its chunks, cut by ``mask`` at the end."""

    def __init__(
        self, part: CorpusEvidence, mask: NDArray[np.bool_] | None, mean: float, spread: float
    ) -> None:
        self.part = part
        self.layout = part.layout
        self.mask = mask
        self.fixed = _Structure.of(part.layout)
        n = len(part.layout)
        self.mean, self.spread = mean, spread
        self.z = ((part.dense - mean) / spread).astype(np.float32, copy=False)
        if mask is not None:
            self.z[~mask] = 0.0  # what a filter excludes is no context either
        self.has_turns = self.fixed.has_turns
        self.has_groups = self.fixed.n_groups < n
        self.neighbours = self.fixed.neighbours
        self._count_words()

    def _count_words(self) -> None:
        layout, n = self.layout, len(self.layout)
        bm25 = np.zeros(n, np.float32)
        near = np.zeros(n + 1, np.float32)
        group = np.zeros(self.fixed.n_groups, np.float32)
        frequent: list[tuple[Rows, Values]] = []
        rare: list[tuple[Rows, Values]] = []
        for n_times, rows, values in self.part.columns:
            if self.mask is not None:
                kept = self.mask[rows]
                rows, values = rows[kept], values[kept]
            if len(rows):
                is_frequent = bool(self.fixed.shares) and len(rows) * _DENSE > n
                word = (rows, values if n_times == 1 else n_times * values)
                (frequent if is_frequent else rare).append(word)
        together = max(1, _TOGETHER // (n + 1))
        for first in range(0, len(rare), together):
            self._count_rare(rare[first : first + together], bm25, near, group)
        if frequent:
            self._count_everywhere(frequent, bm25, near[:n], group)
        ceiling = float(sum(self.part.ceilings[:MAX_CEILING_TOKENS])) or 1.0
        self.bm25 = bm25
        self.share = bm25 / ceiling
        self.near_share = near[:n] / ceiling if self.has_groups else self.share
        self.group_share = (group / ceiling)[layout.group] if self.has_groups else self.share

    def _count_rare(
        self, words: Sequence[tuple[Rows, Values]], bm25: Values, near: Values, group: Values
    ) -> None:
        """Count words that few rows have, a line of one table for each, by looking up their neighbours."""
        n, n_words = len(self.layout), len(words)
        rows = np.concatenate([rows for rows, _ in words])
        values = np.concatenate([values for _, values in words])
        line = np.repeat(np.arange(n_words), [len(rows) for rows, _ in words])
        table = np.zeros(n_words * (n + 1), np.float32)
        at = line * (n + 1)
        table[at + rows] = values
        lines = table.reshape(n_words, n + 1)
        for one in lines:  # one after the other: a sum in another order has other last bits
            bm25 += one[:n]
        if not self.has_groups:
            return
        for (before, after), share in zip(self.neighbours, REACH_LEXICAL, strict=True):
            less = share * values
            for place in (after.take(rows) + at, before.take(rows) + at):
                # No two rows have the same neighbour; the last place of a line takes those that have none.
                table[place] = np.maximum(table.take(place), less)
        for one in lines:
            near += one
        n_groups = self.fixed.n_groups
        best = np.zeros(n_words * n_groups, np.float32)
        _add_best(best, self.layout.group.take(rows) + line * n_groups, values)
        for one in best.reshape(n_words, n_groups):
            group += one

    def _count_everywhere(
        self, words: Sequence[tuple[Rows, Values]], bm25: Values, near: Values, group: Values
    ) -> None:
        """Count words that many rows have, in all rows at once: the same sums, without looking places up.

        Block by block, all words of one after the other, so that a block stays in the processor's cache.
        """
        starts = self.fixed.starts
        for first, last in itertools.pairwise(self.fixed.blocks):
            begin = int(starts[first])
            end = int(starts[last]) if last < len(starts) else len(self.layout)
            n = end - begin
            said, best, beside = (np.empty(n, np.float32) for _ in range(3))
            shares = [share[begin : end - k] for k, share in enumerate(self.fixed.shares, 1)]
            for rows, values in words:
                here = slice(*np.searchsorted(rows, (begin, end)).tolist())
                said[:] = 0.0
                said[rows[here] - begin] = values[here]
                bm25[begin:end] += said
                best[:] = said
                for k, share in enumerate(shares[: n - 1], 1):
                    less = beside[: n - k]
                    np.multiply(said[: n - k], share, out=less)
                    np.maximum(best[k:], less, out=best[k:])
                    np.multiply(said[k:], share, out=less)
                    np.maximum(best[: n - k], less, out=best[: n - k])
                near[begin:end] += best
                group[first:last] += np.maximum.reduceat(said, starts[first:last] - begin)

    def features(self, best: Mapping[str, float], asked: Asked, use: Parts) -> dict[str, Values]:
        """Return every kind of evidence, cut by the mask."""
        layout, z = self.layout, self.z
        zero = nothing(len(layout))
        eased = {name: getattr(self, name) / (best[name] ** EASE if best[name] > 0 else 1.0) for name in best}
        said, lead = self._keys()
        found: dict[str, Values] = {
            "dense": z,
            "lexical": eased["share"],
            "statement": said if use.keys else zero,
            "date": self._dates(asked.spans) if use.dates and asked.spans else zero,
            "style": self._style(),
        }
        whole = eased if use.parents else dict.fromkeys(eased, eased["share"])
        passages = {
            "lead": lead if use.parents else z,
            "near_lexical": whole["near_share"],
            "group_lexical": whole["group_share"],
            "group_size": self.fixed.group_size,
        }
        turns = self._turns(eased, asked, use) if self.has_turns else dict.fromkeys(TURN_KINDS, zero)
        for name, column in passages.items():
            found[f"passage.{name}"] = column * (1 - layout.is_turn) if self.has_turns else column
        for name, column in turns.items():
            found[f"turn.{name}"] = (
                column * layout.is_turn if self.has_turns and not says_nothing(column) else column
            )
        if self.mask is None:
            return found
        return {name: _cut(column, self.mask) for name, column in found.items()}

    def _turns(self, eased: Mapping[str, Values], asked: Asked, use: Parts) -> dict[str, Values]:
        """Return the evidence that only the turns of a conversation have, in the order of TURN_KINDS."""
        layout, z = self.layout, self.z
        zero = nothing(len(layout))
        near, group = self._dense_context() if use.context else (z, z)
        around = eased if use.context else dict.fromkeys(eased, eased["share"])
        asks = layout.asks if self.mask is None else layout.asks * self.mask
        answers = np.append(asks, np.float32(0))[layout.before] if use.context else zero
        speaker = self._speakers(asked.text) if use.names else zero
        length = self.fixed.length
        columns = (z, eased["share"], around["near_share"], around["group_share"], near, group, speaker, asks)
        return dict(zip(TURN_KINDS, (*columns, answers, length), strict=True))

    def _keys(self) -> tuple[Values, Values]:
        """Return how far the best statement of a chunk beats its own z-score, and the z-score of its lead."""
        layout, z = self.layout, self.z
        if not len(layout.key_row):
            return nothing(len(layout)), z
        keys = (self.part.keys - self.mean) / self.spread
        best = z.copy()
        is_statement, rows = self.fixed.statements
        np.maximum.at(best, rows, keys[is_statement])
        leads = np.full(self.fixed.n_documents, np.nan, np.float32)
        is_lead, documents = self.fixed.leads
        leads[documents] = keys[is_lead]
        lead = leads[layout.document]
        return best - z, np.where(np.isnan(lead), z, lead)

    def liked(self) -> Scores:
        """Return the cosine of the best preference each row states, -inf where it states none."""
        best = np.full(len(self.layout), -np.inf, np.float32)
        if self.part.liked is not None:
            states = (self.layout.key_is_personal > 0) & (self.layout.key_row >= 0)
            np.maximum.at(best, self.layout.key_row[states], self.part.liked[states])
        return _cut(best, self.mask)

    def _dense_context(self) -> tuple[Values, Values]:
        """Return the weighted mean of the neighbours' z-scores and the best of the group."""
        padded = np.append(self.z, np.float32(0))
        n = len(self.z)
        if not self.neighbours:  # every conversation has one turn
            return np.zeros(n, np.float32), self.z
        total = np.zeros(n, np.float32)
        for (before, after), weight in zip(self.neighbours, REACH_DENSE, strict=True):
            total += np.float32(weight) * (padded[before[:n]] + padded[after[:n]])
        best = np.full(self.fixed.n_groups, -9.0, np.float32)
        np.maximum.at(best, _cut(self.layout.group, self.mask), _cut(self.z, self.mask))
        return total / np.float32(2 * sum(REACH_DENSE)), best[self.layout.group]

    def _speakers(self, text: str) -> Values:
        """Return +.5 for turns of a speaker the query names, -.5 for those of one it does not, else 0."""
        layout = self.layout
        named = np.array([is_named(name, text) for name in layout.speakers], bool)
        if not named.any() or named.all():
            return nothing(len(layout))
        weights = np.append(np.where(named, np.float32(0.5), np.float32(-0.5)), np.float32(0))
        return np.asarray(weights[layout.speaker], np.float32)  # -1, no speaker, is the last

    def _dates(self, spans: Sequence[TimeSpan]) -> Values:
        """Return exp(-days / 7), days from those asked for to the nearest it was written on or tells of."""
        layout = self.layout
        gap = _gaps(layout.day, layout.day, spans)
        gap[layout.day == NO_DAY] = np.inf
        np.minimum.at(gap, layout.span_row, _gaps(layout.span_first, layout.span_last, spans))
        return np.asarray(np.exp(-gap / np.float32(DATE_DECAY_DAYS)), np.float32)

    def _style(self) -> Values:
        if self.part.style is None or not len(self.layout):
            return nothing(len(self.layout))
        total = np.zeros(self.fixed.n_documents, np.float32)
        for similarity in self.part.style:
            total += (similarity - similarity.mean()) / max(float(similarity.std()), 1e-3)
        return np.asarray(total[self.layout.document], np.float32)


def years_of(layouts: Sequence[Layout]) -> tuple[int, int] | None:
    """Return the first and the last year that documents were written in or speak of, None without any."""
    days = [
        part
        for layout in layouts
        for part in (layout.day[layout.day != NO_DAY], layout.span_first, layout.span_last)
        if len(part)
    ]
    if not days:
        return None
    first, last = (min(int(p.min()) for p in days), max(int(p.max()) for p in days))
    return date.fromordinal(max(1, first)).year, date.fromordinal(last).year


def is_named(name: str, text: str) -> bool:
    """Say whether a speaker's name, or its first word, stands in ``text`` as a word."""
    words = f" {' '.join(_words(text))} "
    folded = " ".join(_words(name))
    if not folded:
        return False
    return f" {folded} " in words or f" {folded.split()[0]} " in words


def _words(text: str) -> Iterable[str]:
    plain = fold_name(text).replace("'s", " ").replace("’s", " ")
    return "".join(char if char.isalnum() else " " for char in plain).split()


def _gaps(first: Rows, last: Rows, spans: Sequence[TimeSpan]) -> NDArray[np.float32]:
    """Return the days between [first, last] and the nearest span, 0 where they overlap."""
    gap = np.full(len(first), np.inf, np.float32)
    for span in spans:
        apart = np.maximum(np.maximum(first - span.last, span.first - last), 0)
        gap = np.minimum(gap, apart.astype(np.float32))
    return gap


def _add_best(total: Values, groups: Rows, values: Values) -> None:
    """Add the largest of ``values`` of each group to its place in ``total``."""
    steps = np.diff(groups)
    if (steps >= 0).all():  # the rows of a document follow one another
        starts = np.concatenate([[0], np.flatnonzero(steps) + 1])
        total[groups[starts]] += np.maximum.reduceat(values, starts)
        return
    order = np.argsort(groups, kind="stable")
    _add_best(total, groups[order], values[order])


def _mask(part: CorpusEvidence) -> NDArray[np.bool_] | None:
    """Return which rows the query may see, None for all."""
    if part.allowed is None:
        return None
    mask = np.isin(part.layout.ids, part.allowed)
    return None if mask.all() else mask


def _cut(column: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
    if mask is None:
        return column
    return nothing(int(np.count_nonzero(mask))) if says_nothing(column) else column[mask]


def _spread(cosines: Scores) -> tuple[float, float]:
    """Return the mean and the shrunken standard deviation."""
    if not len(cosines):
        return 0.0, USUAL_SPREAD
    n = len(cosines)
    variance = (n * float(cosines.var()) + SPREAD_WEIGHT * USUAL_SPREAD**2) / (n + SPREAD_WEIGHT)
    return float(cosines.mean()), math.sqrt(variance)


def _joined(arrays: Sequence[Values]) -> Values:
    if len(arrays) == 1:
        return arrays[0]
    if arrays and all(map(says_nothing, arrays)):
        return nothing(sum(map(len, arrays)))
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
