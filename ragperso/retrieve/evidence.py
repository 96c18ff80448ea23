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

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

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
    cosines = [part.dense[mask] for part, mask in zip(parts, masks, strict=True)]
    seen = np.concatenate(cosines) if cosines else np.zeros(0, np.float32)
    sizes = tuple(len(cosine) for cosine in cosines)
    mean, spread = _spread(seen)
    built = [_Corpus(part, mask, mean, spread) for part, mask in zip(parts, masks, strict=True)]
    best = {
        name: max((float(getattr(one, name)[one.mask].max(initial=0.0)) for one in built), default=0.0)
        for name in ("share", "near_share", "group_share")
    }
    columns = [one.features(best, asked, use) for one in built]
    names = list(columns[0]) if columns else []
    return Evidence(
        ids=np.concatenate(
            [np.zeros(0, np.int64), *(p.layout.ids[mask] for p, mask in zip(parts, masks, strict=True))]
        ),
        corpora=tuple(part.corpus for part in parts),
        sizes=sizes,
        cosine=seen,
        bm25=_joined([one.bm25 for one in built]),
        coverage=_joined([one.share[one.mask] for one in built]),
        near_coverage=_joined([one.near_share[one.mask] for one in built]),
        features={name: _joined([column[name] for column in columns]) for name in names},
        signals={
            "question_words": asked.question_words,
            "best_coverage": best["share"],
        },
        liked=_joined([one.liked() for one in built]) if any(p.liked is not None for p in parts) else None,
    )


class _Corpus:
    """One corpus on the way to its features; arrays are over all its chunks, cut by ``mask`` at the end."""

    def __init__(self, part: CorpusEvidence, mask: NDArray[np.bool_], mean: float, spread: float) -> None:
        self.part = part
        self.layout = part.layout
        self.mask = mask
        self.is_open = bool(mask.all())
        n = len(part.layout)
        self.mean, self.spread = mean, spread
        self.z = ((part.dense - mean) / spread).astype(np.float32)
        if not self.is_open:
            self.z[~mask] = 0.0  # what a filter excludes is no context either
        self.has_turns = bool(n) and bool(part.layout.is_turn.any())
        self.has_groups = part.layout.n_groups < n
        self.neighbours = self._neighbours() if self.has_groups else []
        self._count_words()

    def _neighbours(self) -> list[tuple[Rows, Rows]]:
        """Return (rows k before, rows k after) for k = 1, 2, 3, with n for "none"."""
        n = np.int32(len(self.layout))
        before, after = (np.append(a, n) for a in (self.layout.before, self.layout.after))
        found = [(before, after)]
        for _ in REACH_DENSE[1:]:
            found.append((before[found[-1][0]], after[found[-1][1]]))
        return found

    def _count_words(self) -> None:
        layout, n = self.layout, len(self.layout)
        bm25 = np.zeros(n, np.float32)
        near = np.zeros(n + 1, np.float32)
        group = np.zeros(layout.n_groups, np.float32)
        scratch = np.zeros(n + 1, np.float32)
        in_group = np.zeros(layout.n_groups, np.float32)
        for n_times, rows, values in self.part.columns:
            if not self.is_open:
                kept = self.mask[rows]
                rows, values = rows[kept], values[kept]
            values = n_times * values
            bm25[rows] += values
            if not self.has_groups:
                continue
            touched = [rows]
            scratch[rows] = values
            for (before, after), share in zip(self.neighbours, REACH_LEXICAL, strict=True):
                for place in (after[rows], before[rows]):
                    # No two rows have the same neighbour; the last slot takes those that have none.
                    scratch[place] = np.maximum(scratch[place], share * values)
                    touched.append(place)
            places = np.unique(np.concatenate(touched))
            near[places] += scratch[places]
            scratch[places] = 0.0
            groups = layout.group[rows]
            np.maximum.at(in_group, groups, values)
            groups = np.unique(groups)
            group[groups] += in_group[groups]
            in_group[groups] = 0.0
        ceiling = float(sum(self.part.ceilings[:MAX_CEILING_TOKENS])) or 1.0
        self.bm25 = bm25[self.mask]
        self.share = bm25 / ceiling
        self.near_share = near[:n] / ceiling if self.has_groups else self.share
        self.group_share = (group / ceiling)[layout.group] if self.has_groups else self.share

    def features(self, best: Mapping[str, float], asked: Asked, use: Parts) -> dict[str, Values]:
        """Return every kind of evidence, cut by the mask."""
        layout, z = self.layout, self.z
        zero = np.zeros(len(layout), np.float32)
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
            "group_size": self._group_size() if self.has_groups else zero,
        }
        turns = self._turns(eased, asked, use) if self.has_turns else dict.fromkeys(TURN_KINDS, zero)
        for name, column in passages.items():
            found[f"passage.{name}"] = column * (1 - layout.is_turn) if self.has_turns else column
        for name, column in turns.items():
            found[f"turn.{name}"] = column * layout.is_turn if self.has_turns else column
        if self.is_open:
            return found
        return {name: column[self.mask] for name, column in found.items()}

    def _turns(self, eased: Mapping[str, Values], asked: Asked, use: Parts) -> dict[str, Values]:
        """Return the evidence that only the turns of a conversation have, in the order of TURN_KINDS."""
        layout, z = self.layout, self.z
        zero = np.zeros(len(layout), np.float32)
        near, group = self._dense_context() if use.context else (z, z)
        around = eased if use.context else dict.fromkeys(eased, eased["share"])
        asks = layout.asks * self.mask
        answers = np.append(asks, np.float32(0))[layout.before] if use.context else zero
        tokens = np.minimum(layout.tokens, _MAX_TURN_TOKENS).astype(np.float32)
        speaker = self._speakers(asked.text) if use.names else zero
        length = np.log1p(tokens) - np.float32(_LENGTH_ORIGIN)
        columns = (z, eased["share"], around["near_share"], around["group_share"], near, group, speaker, asks)
        return dict(zip(TURN_KINDS, (*columns, answers, length), strict=True))

    def _group_size(self) -> Values:
        """Return the log of how many chunks each one's group has."""
        sizes = np.bincount(self.layout.group, minlength=1).astype(np.float32)
        return np.asarray(np.log(sizes)[self.layout.group], np.float32)

    def _keys(self) -> tuple[Values, Values]:
        """Return how far the best statement of a chunk beats its own z-score, and the z-score of its lead."""
        layout, z = self.layout, self.z
        keys = (self.part.keys - self.mean) / self.spread
        best = z.copy()
        is_statement = layout.key_row >= 0
        np.maximum.at(best, layout.key_row[is_statement], keys[is_statement])
        leads = np.full(layout.n_documents, np.nan, np.float32)
        is_lead = layout.key_document >= 0
        leads[layout.key_document[is_lead]] = keys[is_lead]
        lead = leads[layout.document]
        return best - z, np.where(np.isnan(lead), z, lead)

    def liked(self) -> Scores:
        """Return the cosine of the best preference each row states, -inf where it states none."""
        best = np.full(len(self.layout), -np.inf, np.float32)
        if self.part.liked is not None:
            states = (self.layout.key_is_personal > 0) & (self.layout.key_row >= 0)
            np.maximum.at(best, self.layout.key_row[states], self.part.liked[states])
        return best[self.mask]

    def _dense_context(self) -> tuple[Values, Values]:
        """Return the weighted mean of the neighbours' z-scores and the best of the group."""
        padded = np.append(self.z, np.float32(0))
        n = len(self.z)
        if not self.neighbours:  # every conversation has one turn
            return np.zeros(n, np.float32), self.z
        total = np.zeros(n, np.float32)
        for (before, after), weight in zip(self.neighbours, REACH_DENSE, strict=True):
            total += np.float32(weight) * (padded[before[:n]] + padded[after[:n]])
        best = np.full(self.layout.n_groups, -9.0, np.float32)
        np.maximum.at(best, self.layout.group[self.mask], self.z[self.mask])
        return total / np.float32(2 * sum(REACH_DENSE)), best[self.layout.group]

    def _speakers(self, text: str) -> Values:
        """Return +.5 for turns of a speaker the query names, -.5 for those of one it does not, else 0."""
        layout = self.layout
        named = np.array([is_named(name, text) for name in layout.speakers], bool)
        if not named.any() or named.all():
            return np.zeros(len(layout), np.float32)
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
            return np.zeros(len(self.layout), np.float32)
        total = np.zeros(self.layout.n_documents, np.float32)
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


def _mask(part: CorpusEvidence) -> NDArray[np.bool_]:
    if part.allowed is None:
        return np.ones(len(part.layout), bool)
    return np.isin(part.layout.ids, part.allowed)


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
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
