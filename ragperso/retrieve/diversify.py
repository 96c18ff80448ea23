"""Stage 3, retrieve: say a thing once.

In: hits, best first.  Out: fewer or reordered hits.  Never: brings in a hit that was not found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ragperso.tokens import shingles
from ragperso.types import ChunkId, Hit, Vectors


def collapse(hits: Sequence[Hit], *, similarity: float) -> list[Hit]:
    """Return ``hits`` without those that nearly repeat a better one, which remembers their ids.

    Nearly: Jaccard similarity of word 3-grams at or above ``similarity``.
    Source: Broder 1997, "On the resemblance and containment of documents", section 2.
    """
    kept: list[tuple[Hit, set[int], list[ChunkId]]] = []
    for hit in hits:
        grams = shingles(hit.text)
        for _, other, duplicates in kept:
            if _can_reach(similarity, grams, other) and _jaccard(grams, other) >= similarity:
                duplicates.append(hit.chunk.id)
                break
        else:
            kept.append((hit, grams, []))
    return renumber([dataclasses.replace(hit, duplicates=tuple(same)) for hit, _, same in kept])


def mmr(hits: Sequence[Hit], vectors: Vectors, *, diversity: float) -> list[Hit]:
    """Reorder by maximal marginal relevance; ``vectors`` are the unit rows of ``hits``, in order.

    Each place goes to the hit with the largest (1 - diversity) * score - diversity * max cosine to those
    already placed; scores are scaled to [0, 1] first.  Ties keep the given order.
    Source: Carbonell & Goldstein 1998, "The use of MMR", SIGIR, section 2.
    """
    if diversity <= 0 or len(hits) < 2:
        return list(hits)
    scores = np.array([hit.score for hit in hits], np.float64)
    span = scores.max() - scores.min()
    scores = (scores - scores.min()) / span if span > 0 else np.ones_like(scores)
    similarity = vectors @ vectors.T
    nearest = np.full(len(hits), -1.0)
    order: list[int] = []
    left = list(range(len(hits)))
    while left:
        gain = (1 - diversity) * scores[left]
        if order:
            gain = gain - diversity * nearest[left]
        best = left[int(np.argmax(gain))]
        order.append(best)
        left.remove(best)
        nearest = np.maximum(nearest, similarity[best])
    return renumber([hits[i] for i in order])


def renumber(hits: Sequence[Hit]) -> list[Hit]:
    """Return ``hits`` with ranks from 1 in the order given."""
    return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1)]


def _can_reach(similarity: float, a: set[int], b: set[int]) -> bool:
    """Say whether the sizes allow it: J(a, b) is at most the smaller over the larger."""
    return min(len(a), len(b)) >= similarity * max(len(a), len(b))


def _jaccard(a: set[int], b: set[int]) -> float:
    if not a or not b:
        return float(a == b)
    return len(a & b) / len(a | b)
