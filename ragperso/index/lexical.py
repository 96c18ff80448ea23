"""Stage 2, index: BM25 over one person's chunks, by two libraries with one formula.

In: chunk ids and their tokens.  Out: (chunk_id, score) pairs, score > 0, best first.
Never: cuts text into tokens, knows people, unpickles.  Derived: rebuilt from the store.

The formula of both is Lucene's with exact document lengths::

    score(q, d) = sum over t in q of  idf(t) * tf(t, d) / (tf(t, d) + k1 * (1 - b + b * |d| / avgdl))
    idf(t)      = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5))

A token that occurs twice in the query counts twice.
Source: Kamphuis, de Vries, Boytsov & Lin 2020, "Which BM25 do you mean?", table 1, "Lucene (accurate)".
"""

from __future__ import annotations

import bisect
import importlib
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.errors import CorruptIndex
from ragperso.index.pack import narrow, read_pack, text_array, write_pack
from ragperso.tokens import TOKENS_VERSION
from ragperso.types import ChunkId, Ids, Ranking, Rows, Scores

K1: Final = 1.2  # Robertson & Zaragoza 2009, section 3.2
B: Final = 0.75


class Bm25sIndex:
    """BM25 with every token's score per chunk computed at build time by bm25s (Lù 2024, arXiv 2407.03618).

    The sparse matrix is read directly rather than through ``BM25.retrieve``: that takes the same 0.1 ms over
    10,000 chunks but leaves the order of equal scores open, and opening an index needs no bm25s this way.
    Instances are read by many threads; ``build`` and ``load`` swap the content in one assignment.
    """

    def __init__(self, k1: float = K1, b: float = B) -> None:
        self._k1 = k1
        self._b = b
        self._matrix = _Matrix.empty()

    def __len__(self) -> int:
        return len(self._matrix.ids)

    @property
    def ids(self) -> Ids:
        """Ids of all chunks, ascending."""
        return self._matrix.ids

    def build(self, ids: Sequence[ChunkId], tokens: Sequence[Sequence[str]]) -> None:
        """Replace the content; a chunk without tokens is known but never found."""
        numbers, ordered = _in_id_order(ids, tokens)
        numbered: dict[str, int] = {}
        coded = [[numbered.setdefault(token, len(numbered)) for token in row] for row in ordered]
        if not numbered:
            self._matrix = _Matrix(numbers, _Vocabulary.of(()), *_no_postings())
            return
        # Columns in the order of the tokens' bytes, so that one is found without a table of them all.
        names = sorted(numbered, key=_bytes_of)
        places = dict(zip(names, range(len(names)), strict=True))
        place_of = [places[token] for token in numbered]
        coded = [[place_of[number] for number in row] for row in coded]
        bm25s = importlib.import_module("bm25s")  # 0.2 s; opening and searching an index do without it
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG for itself
        model = bm25s.BM25(k1=self._k1, b=self._b, method="lucene", csc_backend="numpy")
        scores = model.build_index_from_ids(
            unique_token_ids=range(len(names)), corpus_token_ids=coded, show_progress=False
        )
        self._matrix = _Matrix(
            numbers,
            _Vocabulary.of(names),
            np.asarray(scores["data"], np.float32),
            np.asarray(scores["indices"], np.int32),
            np.asarray(scores["indptr"], np.int64),
        )

    def search(self, tokens: Sequence[str], depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids with score > 0, best first, ties by id."""
        matrix = self._matrix
        scores = np.zeros(len(matrix.ids), np.float32)
        for token, n_times in Counter(tokens).items():
            if (column := matrix.vocabulary.get(token)) is None:
                continue
            start, end = matrix.starts[column], matrix.starts[column + 1]
            # Rows of one column are distinct, so += through an index array adds each once.
            scores[matrix.rows[start:end]] += n_times * matrix.values[start:end]
        return _best(matrix.ids, scores, depth, allowed)

    def columns(self, tokens: Sequence[str]) -> list[tuple[int, Rows, Scores]]:
        """Return (times in ``tokens``, rows, score of each row) of each known token."""
        matrix = self._matrix
        found = []
        for token, n_times in Counter(tokens).items():
            if (column := matrix.vocabulary.get(token)) is not None:
                part = slice(matrix.starts[column], matrix.starts[column + 1])
                found.append((n_times, matrix.rows[part], matrix.values[part]))
        return found

    def ceilings(self, tokens: Sequence[str]) -> list[float]:
        """Return what each distinct token can add at most, best first; unknown ones count as rarest."""
        matrix = self._matrix
        columns = {token: matrix.vocabulary.get(token) for token in set(tokens)}
        n_with = {
            t: int(matrix.starts[c + 1] - matrix.starts[c]) for t, c in columns.items() if c is not None
        }
        return _ceilings(tokens, n_with, len(matrix.ids))

    def ceiling(self, tokens: Sequence[str]) -> float:
        """Return the score that no chunk can exceed for ``tokens``."""
        return sum(self.ceilings(tokens))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the content takes."""
        return self._matrix.nbytes

    def save(self, path: Path) -> None:
        """Write a new file."""
        matrix = self._matrix
        arrays: dict[str, NDArray[Any]] = {
            "ids": matrix.ids,
            "tokens": text_array(matrix.vocabulary.text),
            "lengths": narrow(np.diff(matrix.vocabulary.ends, prepend=0)),
            "values": matrix.values,
            "rows": narrow(matrix.rows),
            "counts": narrow(np.diff(matrix.starts)),
        }
        write_pack(path, arrays, self._settings())

    def load(self, path: Path) -> None:
        """Replace the content by what :meth:`save` wrote with the same settings.  Raises: CorruptIndex."""
        found = read_pack(path, self._settings())
        try:
            ids, values = _of(found, "ids", np.int64), _of(found, "values", np.float32)
            vocabulary = _Vocabulary(found["tokens"].tobytes(), np.cumsum(found["lengths"], dtype=np.int64))
            counts = found["counts"]
            starts = np.zeros(len(counts) + 1, np.int64)
            np.cumsum(counts, out=starts[1:], dtype=np.int64)
            matrix = _Matrix(ids, vocabulary, values, found["rows"].astype(np.int32), starts)
        except (KeyError, TypeError, ValueError) as exc:
            raise CorruptIndex(f"{path.name} cannot be read") from exc
        if not matrix.is_sound():
            raise CorruptIndex(f"{path.name} contradicts itself")
        self._matrix = matrix

    def _settings(self) -> dict[str, Any]:
        return {"tokens": TOKENS_VERSION, "backend": "bm25s", "k1": self._k1, "b": self._b}


class RankBm25Index:
    """The same scores by rank-bm25, whose few lines are the reference; it scans every chunk per query.

    Its own idf can be negative and is floored (Trotman et al. 2014); here it is given Lucene's, divided by
    the (k1 + 1) that its term frequency part carries and Lucene dropped.
    """

    def __init__(self, k1: float = K1, b: float = B) -> None:
        self._k1 = k1
        self._b = b
        self._ids: Ids = np.zeros(0, np.int64)
        self._tokens: list[list[str]] = []
        self._model: Any = None
        self._n_with: Mapping[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        """Ids of all chunks, ascending."""
        return self._ids

    def build(self, ids: Sequence[ChunkId], tokens: Sequence[Sequence[str]]) -> None:
        """Replace the content; a chunk without tokens is known but never found."""
        numbers, ordered = _in_id_order(ids, tokens)
        model = None
        self._n_with = {}
        if any(ordered):
            rank_bm25 = importlib.import_module("rank_bm25")
            model = rank_bm25.BM25Okapi(ordered, k1=self._k1, b=self._b)
            n_with = Counter(token for row in ordered for token in set(row))
            model.idf = {t: _idf(len(ordered), df) / (self._k1 + 1) for t, df in n_with.items()}
            self._n_with = n_with
        self._ids, self._tokens, self._model = numbers, ordered, model

    def search(self, tokens: Sequence[str], depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids with score > 0, best first, ties by id."""
        if self._model is None:
            return []
        # In the order of first occurrence, as the other backend adds: sums of equal terms are then equal.
        known = [token for token, n in Counter(tokens).items() if token in self._model.idf for _ in range(n)]
        scores = self._model.get_scores(known)
        return _best(self._ids, scores.astype(np.float32), depth, allowed)

    def columns(self, tokens: Sequence[str]) -> list[tuple[int, Rows, Scores]]:
        """Return (times in ``tokens``, rows, score of each row) of each known token."""
        found = []
        for token, n_times in Counter(tokens).items():
            if self._model is not None and token in self._model.idf:
                scores = np.asarray(self._model.get_scores([token]), np.float32)
                rows = np.flatnonzero(scores > 0).astype(np.int32)
                found.append((n_times, rows, scores[rows]))
        return found

    def ceilings(self, tokens: Sequence[str]) -> list[float]:
        """Return what each distinct token can add at most, best first; unknown ones count as rarest."""
        return _ceilings(tokens, self._n_with, len(self._ids))

    def ceiling(self, tokens: Sequence[str]) -> float:
        """Return the score that no chunk can exceed for ``tokens``."""
        return sum(self.ceilings(tokens))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the content takes, roughly: it is lists of tokens."""
        return self._ids.nbytes + 64 * sum(map(len, self._tokens))

    def save(self, path: Path) -> None:
        """Write a new file."""
        arrays: dict[str, NDArray[Any]] = {
            "ids": self._ids,
            "tokens": text_array(json.dumps(self._tokens).encode()),
        }
        write_pack(path, arrays, self._settings())

    def load(self, path: Path) -> None:
        """Replace the content by what :meth:`save` wrote with the same settings.  Raises: CorruptIndex."""
        found = read_pack(path, self._settings())
        try:
            ids = _of(found, "ids", np.int64)
            tokens = json.loads(found["tokens"].tobytes())
            if not all(isinstance(token, str) for row in tokens for token in row):
                raise TypeError("tokens are text")
            self.build([ChunkId(number) for number in ids.tolist()], tokens)
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            raise CorruptIndex(f"{path.name} cannot be read") from exc

    def _settings(self) -> dict[str, Any]:
        return {"tokens": TOKENS_VERSION, "backend": "rank-bm25", "k1": self._k1, "b": self._b}


_MOST_ASKED: Final = 256


class _Vocabulary:
    """Tokens in the order of their bytes, one after the other in one string, found by bisection.

    A table of them took most of the time of opening a person, and most of the memory.
    """

    __slots__ = ("_asked", "ends", "text")

    def __init__(self, text: bytes, ends: NDArray[np.int64]) -> None:
        self.text = text
        self.ends = ends  # (n,): token i is text[ends[i - 1]:ends[i]]
        self._asked: dict[str, int | None] = {}  # of late: a query asks for its tokens two or three times

    @classmethod
    def of(cls, names: Sequence[str]) -> _Vocabulary:
        """Return the vocabulary of tokens in order."""
        parts = [_bytes_of(name) for name in names]
        return cls(b"".join(parts), np.cumsum([len(part) for part in parts], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> bytes:
        start = self.ends[place - 1] if place else 0
        return self.text[start : self.ends[place]]

    def get(self, token: str) -> int | None:
        """Return the place of a token, None where there is none."""
        try:
            return self._asked[token]
        except KeyError:
            wanted = _bytes_of(token)
        at = bisect.bisect_left(self, wanted)
        place = at if at < len(self.ends) and self[at] == wanted else None
        if len(self._asked) >= _MOST_ASKED:
            self._asked = {}
        self._asked[token] = place
        return place

    def is_sound(self) -> bool:
        """Tell whether the lengths add up."""
        return int(self.ends[-1]) == len(self.text) if len(self.ends) else not self.text


class _Matrix:
    """Scores as columns of a sparse matrix: one column per token, one row per chunk in id order."""

    __slots__ = ("ids", "rows", "starts", "values", "vocabulary")

    def __init__(
        self,
        ids: Ids,
        vocabulary: _Vocabulary,
        values: NDArray[np.float32],
        rows: NDArray[np.int32],
        starts: NDArray[np.int64],
    ) -> None:
        self.ids = ids
        self.vocabulary = vocabulary
        self.values = values  # (n_postings,), column after column
        self.rows = rows  # (n_postings,)
        self.starts = starts  # (n_tokens + 1,): column i is values[starts[i]:starts[i + 1]]

    @classmethod
    def empty(cls) -> _Matrix:
        return cls(np.zeros(0, np.int64), _Vocabulary.of(()), *_no_postings())

    @property
    def nbytes(self) -> int:
        arrays = (self.ids, self.vocabulary.ends, self.values, self.rows, self.starts)
        return len(self.vocabulary.text) + sum(array.nbytes for array in arrays)

    def is_sound(self) -> bool:
        """Tell whether every number points to something that exists."""
        n_postings = len(self.values)
        return bool(
            (np.diff(self.ids) > 0).all()
            and len(self.rows) == n_postings
            and len(self.starts) == len(self.vocabulary) + 1
            and self.vocabulary.is_sound()
            and self.starts[0] == 0
            and self.starts[-1] == n_postings
            and (np.diff(self.starts) > 0).all()
            and (not n_postings or 0 <= int(self.rows.min()) <= int(self.rows.max()) < len(self.ids))
            and np.isfinite(self.values).all()
        )


def _bytes_of(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")


def _of(arrays: Mapping[str, NDArray[Any]], name: str, kind: type[np.generic]) -> NDArray[Any]:
    if arrays[name].dtype != kind:
        raise ValueError(f"{name} is not the array that was saved")
    return arrays[name]


def _idf(n_chunks: int, n_with: int) -> float:
    return math.log(1 + (n_chunks - n_with + 0.5) / (n_with + 0.5))


def _ceilings(tokens: Sequence[str], n_with: Mapping[str, int], n_chunks: int) -> list[float]:
    """Return idf per distinct token, times included: the term frequency part of the formula stays below 1."""
    return sorted(
        (n * _idf(n_chunks, n_with.get(token, 0)) for token, n in Counter(tokens).items()), reverse=True
    )


def _no_postings() -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    return np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64)


def _in_id_order(ids: Sequence[ChunkId], tokens: Sequence[Sequence[str]]) -> tuple[Ids, list[list[str]]]:
    """Return both sorted by id, so that row order is tie order."""
    if len(ids) != len(tokens):
        raise ValueError(f"{len(ids)} ids for {len(tokens)} token lists")
    numbers = np.asarray(ids, np.int64)
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    if (np.diff(numbers) == 0).any():
        raise ValueError("a chunk id occurs twice")
    return numbers, [list(tokens[i]) for i in order.tolist()]


def _best(ids: Ids, scores: NDArray[np.float32], depth: int, allowed: Ids | None) -> Ranking:
    """Return the ``depth`` best of ``allowed`` with score > 0; ``ids`` is ascending."""
    if depth <= 0:
        return []
    if allowed is None:
        found = np.flatnonzero(scores > 0)
    else:
        wanted = np.unique(allowed)
        rows = np.searchsorted(ids, wanted)
        inside = rows < len(ids)
        rows = rows[inside][ids[rows[inside]] == wanted[inside]]
        found = rows[scores[rows] > 0]
    values = scores[found]
    if len(found) > depth:
        # Keep all that equal the last one in, so that ties at the cut are broken by id as well.
        last = np.partition(values, len(values) - depth)[len(values) - depth]
        kept = values >= last
        found, values = found[kept], values[kept]
    order = np.lexsort((found, -values))[:depth]
    return [(ChunkId(i), s) for i, s in zip(ids[found[order]].tolist(), values[order].tolist(), strict=True)]
