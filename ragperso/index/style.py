"""Stage 2, index: how documents are written, for finding those in the manner of a given text.

In: texts.  Out: per document, how alike it is written.  Never: stems, folds case or drops a function word:
these are what a hand is known by.  Derived, and in memory only.

A document is a vector of its words and punctuation marks as they stand, and another that also has each pair
of neighbours; weights are (1 + ln tf) * idf, rows have unit length, similarity is the cosine.  Source: Salton
& Buckley 1988, "Term-weighting approaches in automatic text retrieval" (ltc.ltc); words and pairs with
punctuation as marks of authorship: Stamatatos 2009, "A survey of modern authorship attribution methods",
section 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragperso.types import Scores

_TOKEN: Final = re.compile(r"\w+|[^\w\s]+")
_MAX_TOKENS: Final = 20_000  # of one document; its manner shows long before
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class _Terms:
    """Weights by term: those of term i are ``values[starts[i]:starts[i + 1]]``, of the same ``rows``."""

    codes: NDArray[np.int64]  # (n terms,), ascending
    idf: NDArray[np.float64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: NDArray[np.float32]


class StyleIndex:
    """Similarity of manner to every one of ``texts``, which are numbered in the order given."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._n = len(texts)
        self._vocabulary: dict[str, int] = {}
        coded = [
            np.fromiter(
                (
                    self._vocabulary.setdefault(t, len(self._vocabulary))
                    for t in _TOKEN.findall(text)[:_MAX_TOKENS]
                ),
                np.int64,
            )
            for text in texts
        ]
        lengths = np.array([len(row) for row in coded], np.int64)
        rows = np.repeat(np.arange(self._n), lengths)
        words = np.concatenate(coded) if coded else np.zeros(0, np.int64)
        inside = rows[1:] == rows[:-1]
        pairs = self._pair(words[:-1], words[1:])[inside]
        # A pair that occurs in one document only compares it with none.
        paired_rows, paired = _shared(rows[1:][inside], pairs)
        self._words = _terms(rows, words, self._n)
        self._both = _terms(np.concatenate([rows, paired_rows]), np.concatenate([words, paired]), self._n)

    def scores(self, text: str) -> tuple[Scores, Scores]:
        """Return the cosines by words and by words with pairs, both (n documents,)."""
        found = [self._vocabulary.get(token, _UNKNOWN) for token in _TOKEN.findall(text)[:_MAX_TOKENS]]
        words = np.array(found, np.int64)
        pairs = self._pair(words[:-1], words[1:])[(words[:-1] >= 0) & (words[1:] >= 0)]
        words = words[words >= 0]
        return self._cosines(self._words, words), self._cosines(self._both, np.concatenate([words, pairs]))

    def _pair(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a code for each pair that no word and no other pair has."""
        n = len(self._vocabulary)
        return (first + 1) * n + second

    def _cosines(self, terms: _Terms, codes: NDArray[np.int64]) -> Scores:
        scores = np.zeros(self._n, np.float32)
        wanted, counts = np.unique(codes, return_counts=True)
        if not len(wanted) or not len(terms.codes):
            return scores
        places = np.minimum(np.searchsorted(terms.codes, wanted), len(terms.codes) - 1)
        known = terms.codes[places] == wanted
        places, weights = places[known], (1 + np.log(counts[known])) * terms.idf[places[known]]
        length = float(np.sqrt((weights**2).sum())) or 1.0
        for place, weight in zip(places.tolist(), (weights / length).tolist(), strict=True):
            part = slice(terms.starts[place], terms.starts[place + 1])
            scores[terms.rows[part]] += np.float32(weight) * terms.values[part]
        return scores


def _shared(rows: NDArray[np.int64], codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the occurrences of codes that occur in two rows at least."""
    if not len(codes):
        return rows, codes
    found, inverse = np.unique(codes, return_inverse=True)
    order = np.argsort(inverse, kind="stable")  # within a code the rows stay ascending
    by_code, by_row = inverse[order], rows[order]
    starts = np.searchsorted(by_code, np.arange(len(found)))
    ends = np.append(starts[1:], len(by_code)) - 1
    kept = (by_row[starts] != by_row[ends])[inverse]
    return rows[kept], codes[kept]


def _terms(rows: NDArray[np.int64], codes: NDArray[np.int64], n: int) -> _Terms:
    if not len(codes):
        none = np.zeros(0, np.int64)
        return _Terms(
            none, np.zeros(0), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
        )
    order = np.lexsort((rows, codes))
    rows, codes = rows[order], codes[order]
    first = np.append(True, (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1]))
    places = np.flatnonzero(first)
    counts = np.diff(np.append(places, len(codes)))
    rows, codes = rows[places], codes[places]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    n_with = np.diff(np.append(starts, len(codes)))
    idf = np.log((1 + n) / (1 + n_with)) + 1
    values = (1 + np.log(counts)) * np.repeat(idf, n_with)
    lengths = np.sqrt(np.bincount(rows, values**2, minlength=n))
    values = values / np.maximum(lengths, 1e-12)[rows]
    return _Terms(
        codes[starts], idf, np.append(starts, len(codes)), rows.astype(np.int32), values.astype(np.float32)
    )
