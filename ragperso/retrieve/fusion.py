"""Stage 3, retrieve: merge the rankings of several retrievers into one.

In: rankings by retriever name.  Out: one ranking of their union, best first, ties by id.
Never: drops a candidate, looks at text, knows people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ragperso.config import Retrieve
from ragperso.protocols import Fusion
from ragperso.retrieve.adaptive import AdaptiveFusion, load_weights
from ragperso.types import ChunkId, Query, Ranking

DENSE: Final = "dense"
LEXICAL: Final = "lexical"


class ReciprocalRankFusion:
    """score(c) = sum over rankings of 1 / (k + rank(c)), rank from 1.

    Source: Cormack, Clarke & Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet", SIGIR, eq. 1.
    """

    def __init__(self, k: int = 60) -> None:
        self._k = k

    def fuse(self, rankings: Mapping[str, Ranking], query: Query) -> Ranking:
        scores: dict[ChunkId, float] = {}
        for name in sorted(rankings):  # one order of addition: equal inputs give equal floats
            for rank, (chunk_id, _) in enumerate(rankings[name], start=1):
                scores[chunk_id] = scores.get(chunk_id, 0.0) + 1 / (self._k + rank)
        return _ranked(scores)


class WeightedFusion:
    """score(c) = w * dense(c) + (1 - w) * lexical(c), both scaled to [0, 1] over the candidates.

    Dense cosines are scaled from their range (min-max), since MiniLM's have no fixed floor; BM25 scores
    by their maximum alone, since 0 already means "no word in common".  A leg that found nothing leaves
    its weight to the other.  Source: Bruch, Gai & Ingber 2023, "An analysis of fusion functions for
    hybrid retrieval", TOIS (convex combination, section 4.1).
    """

    def __init__(self, dense_weight: float = 0.6) -> None:
        self._dense_weight = dense_weight

    def fuse(self, rankings: Mapping[str, Ranking], query: Query) -> Ranking:
        dense = dict(rankings.get(DENSE, []))
        lexical = dict(rankings.get(LEXICAL, []))
        weight = 1.0 if not lexical else 0.0 if not dense else self._dense_weight
        low = min(dense.values(), default=0.0)
        span = max(dense.values(), default=0.0) - low
        top = max(lexical.values(), default=0.0)
        scores = {}
        for chunk_id in dense.keys() | lexical.keys():
            # All cosines equal, or a single candidate: the leg has no opinion, every candidate gets its best.
            d = 0.0 if chunk_id not in dense else 1.0 if span <= 0 else (dense[chunk_id] - low) / span
            x = 0.0 if top <= 0 else lexical.get(chunk_id, 0.0) / top
            scores[chunk_id] = weight * d + (1 - weight) * x
        return _ranked(scores)


class SingleLeg:
    """The ranking of one retriever as it is, for measuring what fusion is worth."""

    def __init__(self, name: str) -> None:
        self._name = name

    def fuse(self, rankings: Mapping[str, Ranking], query: Query) -> Ranking:
        return list(rankings.get(self._name, []))


def from_config(config: Retrieve) -> Fusion | AdaptiveFusion:
    """Return the fusion that the settings name.  Raises: ConfigError for an unusable table of weights."""
    if config.fusion == "adaptive":
        return AdaptiveFusion(
            load_weights(Path(config.weights).expanduser()) if config.weights else load_weights()
        )
    if config.fusion == "rrf":
        return ReciprocalRankFusion(config.rrf_k)
    if config.fusion == "weighted":
        return WeightedFusion(config.dense_weight)
    return SingleLeg(config.fusion)


def _ranked(scores: Mapping[ChunkId, float]) -> Ranking:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
