"""Stage 3, retrieve: say a thing once.

In: hits, best first.  Out: fewer or reordered hits.  Never: brings in a hit that was not found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from ragperso.tokens import jaccard, shingles
from ragperso.types import Hit, Vectors

_SLACK: Final = 0.15  # by which lengths in characters may differ more than sets of word 3-grams
_N_PROBES: Final = 4
_PROBE_CHARS: Final = 20  # about four words: two 3-grams


def collapse(hits: Sequence[Hit], *, similarity: float) -> list[Hit]:
    """Return ``hits`` without those that nearly repeat a better one, which remembers their ids.

    Nearly: Jaccard similarity of word 3-grams at or above ``similarity``.
    Source: Broder 1997, "On the resemblance and containment of documents", section 2.
    """
    kept: list[_Reading] = []
    for reading in map(_Reading, hits):
        for other in kept:
            if reading.may_repeat(other, similarity) and jaccard(reading.grams, other.grams) >= similarity:
                other.duplicates.append(reading.hit.chunk.id)
                break
        else:
            kept.append(reading)
    return [
        dataclasses.replace(one.hit, rank=rank, duplicates=tuple(one.duplicates))
        for rank, one in enumerate(kept, start=1)
    ]


class _Reading:
    """A hit's text, prepared for comparison as far as it comes to that."""

    def __init__(self, hit: Hit) -> None:
        self.hit = hit
        self.duplicates = list(hit.duplicates)
        self._grams: set[int] | None = None
        self.size = len(hit.text)
        self.plain = " ".join(words := hit.text.casefold().split())
        self.words = frozenset(words)
        self.is_ascii = self.plain.isascii()
        room = len(self.plain) - _PROBE_CHARS
        is_long = room >= _N_PROBES * _PROBE_CHARS and self.is_ascii
        starts = [room * i // (_N_PROBES - 1) for i in range(_N_PROBES)] if is_long else []
        probes = [self.plain[start : start + _PROBE_CHARS] for start in starts]
        # The whole words of each, since the first and the last may be cut: that another text has them all is
        # seen in a tenth of the time that looking for the run takes.
        self.probes = [(frozenset(probe.split(" ")[1:-1]), probe) for probe in probes]

    @property
    def grams(self) -> set[int]:
        if self._grams is None:
            self._grams = shingles(self.hit.text)
        return self._grams

    def may_repeat(self, other: _Reading, similarity: float) -> bool:
        """Say whether two texts can be so alike, by what costs little: their lengths and a few probes.

        J(a, b) is at most the smaller over the larger set, and sets of 3-grams grow with the text.  Of texts
        that share nine in ten 3-grams, a run of four words is in both about as often: with none of four
        there, they are not such texts.
        """
        a, b = self.size, other.size
        if (a if a < b else b) < (similarity - _SLACK) * (b if a < b else a):
            return False
        if not self.probes or not other.is_ascii:
            return True
        return any(words <= other.words and probe in other.plain for words, probe in self.probes)


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
    return [
        hit if hit.rank == rank else dataclasses.replace(hit, rank=rank)
        for rank, hit in enumerate(hits, start=1)
    ]
