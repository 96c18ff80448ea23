"""Stage 3, retrieve: from a query to explained hits.

In: evidence per part of a query, a loader of chunks.  Out: hits, best first, ranks from 1.
Never: ranks what a filter excludes, opens another person's index, generates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragperso.config import Retrieve
from ragperso.protocols import Fusion, Reranker
from ragperso.retrieve.adaptive import AdaptiveFusion
from ragperso.retrieve.diversify import collapse, mmr, renumber
from ragperso.retrieve.evidence import Evidence, says_nothing
from ragperso.retrieve.fusion import DENSE, LEXICAL
from ragperso.retrieve.relevance import relevance
from ragperso.types import Chunk, ChunkId, Hit, Leg, Query, Ranking, Scores, Vectors

# Hits looked at beyond k, so that collapsing duplicates still fills k places.
_SPARE: Final = 5
_MOST: Final = 3  # times k, after which fewer than k hits are returned
# A phrase in quotation marks is meant to the letter: worth more than anything that can be said for another
# chunk.
PHRASE_BONUS: Final = 5.0
_BLOCK: Final = 64  # scores looked at together for a bound
_SHOWN: Final = 0.05  # contributions below it explain nothing


def search(
    query: Query,
    parts: Sequence[Evidence],
    *,
    k: int,
    config: Retrieve,
    fusion: Fusion | AdaptiveFusion,
    load: Callable[[Iterable[ChunkId]], Mapping[ChunkId, Chunk]],
    vectors_of: Callable[[Sequence[ChunkId]], Vectors] | None = None,
    reranker: Reranker | None = None,
    phrases: Sequence[str] = (),
) -> list[Hit]:
    """Return at most ``k`` hits by falling fused score; ties by chunk id.

    ``parts`` are the evidence for the whole query and, when it asks for several things, for each of them:
    then the best of each part come first, in turn, and a hit's score is 1 / its best rank.
    """
    if not parts or not len(parts[0].ids):
        return []
    pool = max(_MOST * k, config.rerank_depth if reranker is not None else 0)
    scored = [_scored(evidence, query, config, fusion) for evidence in parts]
    liked = parts[0].liked
    if liked is not None and np.isfinite(liked).any():
        parts, scored = [*parts, parts[0]], [*scored, liked]
    order, scores, best_part = _merged(parts[0], scored, pool)
    explain = [_Explainer(e, fusion, by) for e, by in zip(parts, scored, strict=True)]
    hits: list[Hit] = []
    wanted = max(k, config.rerank_depth) if reranker is not None else k
    step = len(order) if reranker is not None or phrases else wanted + _SPARE
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        ids = [ChunkId(i) for i in parts[0].ids[rows].tolist()]
        chunks = load(ids)
        for number, one in enumerate(explain):
            one.look_at(rows if len(explain) == 1 else rows[best_part[rows] == number])
        for row, chunk_id in zip(rows.tolist(), ids, strict=True):
            chunk = chunks.get(chunk_id)
            if chunk is not None:  # else it was removed since the index was read
                hits.append(explain[best_part[row]].hit(row, float(scores[row]), chunk))
        hits = _with_phrases(hits, phrases)
        hits = collapse(hits, similarity=config.collapse_similarity)
        if len(hits) >= wanted:
            break
    if reranker is not None:
        hits = reranker.rerank(query, hits)
    if config.diversity > 0 and vectors_of is not None and hits:
        hits = mmr(hits, vectors_of([hit.chunk.id for hit in hits]), diversity=config.diversity)
    return renumber(hits[:k])


def question_relevance(hits: Sequence[Hit]) -> float:
    """Return how likely the best of ``hits`` answers the question, 0 when there is none."""
    return max((hit.relevance for hit in hits), default=0.0)


def rankings_of(evidence: Evidence, depth: int) -> dict[str, Ranking]:
    """Return each leg's ranking of the union of what either has among its first ``depth``.

    BM25 comes as a share of a perfect match, so that corpora compare; it leaves out what shares no word.
    """
    ids = evidence.ids
    legs = {DENSE: evidence.cosine, LEXICAL: evidence.coverage}
    found = {DENSE: _best(ids, legs[DENSE], depth), LEXICAL: _best(ids, legs[LEXICAL], depth)}
    found[LEXICAL] = found[LEXICAL][legs[LEXICAL][found[LEXICAL]] > 0]
    union = np.union1d(found[DENSE], found[LEXICAL])
    rankings: dict[str, Ranking] = {}
    for name, scores in legs.items():
        rows = union if name == DENSE else union[scores[union] > 0]
        rows = rows[np.lexsort((ids[rows], -scores[rows]))]
        rankings[name] = [
            (ChunkId(i), score) for i, score in zip(ids[rows].tolist(), scores[rows].tolist(), strict=True)
        ]
    return rankings


def _scored(evidence: Evidence, query: Query, config: Retrieve, fusion: Fusion | AdaptiveFusion) -> Scores:
    """Return a score per row; -inf for rows that a fusion of rankings did not see."""
    if isinstance(fusion, AdaptiveFusion):
        return fusion.scores(evidence)
    scores = np.full(len(evidence.ids), -np.inf, np.float32)
    places = {int(i): row for row, i in enumerate(evidence.ids.tolist())}
    for chunk_id, score in fusion.fuse(rankings_of(evidence, config.depth), query):
        scores[places[int(chunk_id)]] = score
    return scores


def _merged(
    whole: Evidence, scored: Sequence[Scores], pool: int
) -> tuple[NDArray[np.int64], Scores, NDArray[np.int64]]:
    """Return (rows in order, score per row, which part speaks for each row)."""
    first = np.zeros(len(whole.ids), np.int64)
    if len(scored) == 1:
        return _best(whole.ids, scored[0], pool), scored[0], first
    rank = np.full(len(whole.ids), np.inf)
    for number, scores in enumerate(scored):
        rows = _best(whole.ids, scores, pool)
        places = np.arange(1, len(rows) + 1, dtype=np.float64)
        better = places < rank[rows]
        rank[rows[better]] = places[better]
        first[rows[better]] = number
    rows = np.flatnonzero(np.isfinite(rank))
    order = rows[np.lexsort((whole.ids[rows], first[rows], rank[rows]))][:pool]
    return order, np.asarray(1 / rank, np.float32), first


def _best(ids: NDArray[np.int64], scores: Scores, depth: int) -> NDArray[np.int64]:
    """Return the rows of the ``depth`` best finite scores, best first, ties by id."""
    rows = np.flatnonzero(scores >= _bound(scores, depth))
    rows = rows[np.isfinite(scores[rows])]
    if len(rows) > depth:
        values = scores[rows]
        last = np.partition(values, len(values) - depth)[len(values) - depth]
        rows = rows[values >= last]  # with all that equal the last one in
    return rows[np.lexsort((ids[rows], -scores[rows]))][:depth]


def _bound(scores: Scores, depth: int) -> float:
    """Return a number that at least ``depth`` of many scores reach, without sorting them all.

    So many blocks have a best score at or above it.  Of 100,000 it leaves some hundred to look at.
    """
    n_blocks = len(scores) // _BLOCK
    if n_blocks <= depth or depth <= 0:
        return -np.inf
    best = scores[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK).max(axis=1)
    return float(np.partition(best, n_blocks - depth)[n_blocks - depth])


def _ranks(scores: Scores, rows: NDArray[np.int64]) -> list[int]:
    """Return for each row 1 + how many rows score more; cheaper than sorting all for the few shown."""
    return [1 + int(np.count_nonzero(scores > score)) for score in scores[rows]]


class _Explainer:
    """Makes hits that say how each retriever saw them and what counted."""

    def __init__(self, evidence: Evidence, fusion: Fusion | AdaptiveFusion, scores: Scores) -> None:
        self._evidence = evidence
        self._margin = fusion.speaker_margin(evidence, scores) if isinstance(fusion, AdaptiveFusion) else 0.0
        self._weights: dict[str, float] = {}
        if isinstance(fusion, AdaptiveFusion):
            columns = evidence.features.items()
            weights = {name: fusion.weight(name, evidence) for name, c in columns if not says_nothing(c)}
            self._weights = {name: weight for name, weight in weights.items() if weight}
        self._ranks: dict[int, tuple[int, int]] = {}
        self._parts: dict[int, dict[str, float]] = {}

    def look_at(self, rows: NDArray[np.int64]) -> None:
        """Prepare the hits of ``rows``: ranks and contributions of all at once."""
        evidence = self._evidence
        ranks = zip(_ranks(evidence.cosine, rows), _ranks(evidence.coverage, rows), strict=True)
        self._ranks.update(zip(rows.tolist(), ranks, strict=True))
        columns = {n: (w, evidence.features[n][rows].tolist()) for n, w in self._weights.items()}
        for place, row in enumerate(rows.tolist()):
            self._parts[row] = {name: weight * values[place] for name, (weight, values) in columns.items()}

    def hit(self, row: int, score: float, chunk: Chunk) -> Hit:
        evidence = self._evidence
        cosine, coverage = float(evidence.cosine[row]), float(evidence.coverage[row])
        by_cosine, by_coverage = self._ranks[row]
        via = {DENSE: Leg(by_cosine, cosine)}
        if coverage > 0:
            via[LEXICAL] = Leg(by_coverage, float(evidence.bm25[row]))
        shown = [(name, value) for name, value in self._parts[row].items() if abs(value) >= _SHOWN]
        return Hit(
            rank=0,
            score=score,
            chunk=chunk,
            via=via,
            relevance=relevance(evidence, row, self._margin),
            why=dict(sorted(shown, key=lambda item: -abs(item[1]))),
        )


def _with_phrases(hits: Sequence[Hit], phrases: Sequence[str]) -> list[Hit]:
    """Lift the hits that hold a quoted phrase to the letter; the others keep their order below."""
    if not phrases:
        return list(hits)
    wanted = [" ".join(phrase.casefold().split()) for phrase in phrases]

    def n_held(hit: Hit) -> int:
        text = " ".join(f"{hit.chunk.title} {hit.text}".casefold().split())
        return sum(phrase in text for phrase in wanted)

    lifted = [dataclasses.replace(hit, score=hit.score + PHRASE_BONUS * n_held(hit)) for hit in hits]
    return sorted(lifted, key=lambda hit: -hit.score)
