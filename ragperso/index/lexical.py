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

import importlib
import io
import json
import logging
import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.errors import CorruptIndex
from ragperso.tokens import TOKENS_VERSION
from ragperso.types import ChunkId, Ids, Ranking

K1: Final = 1.2  # Robertson & Zaragoza 2009, section 3.2
B: Final = 0.75

_META: Final = "meta.json"
_FORMAT: Final = 1


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
        vocabulary: dict[str, int] = {}
        coded = [[vocabulary.setdefault(token, len(vocabulary)) for token in row] for row in ordered]
        if not vocabulary:
            self._matrix = _Matrix(numbers, {}, *_no_postings())
            return
        bm25s = importlib.import_module("bm25s")  # 0.2 s; opening and searching an index do without it
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG for itself
        model = bm25s.BM25(k1=self._k1, b=self._b, method="lucene", csc_backend="numpy")
        scores = model.build_index_from_ids(
            unique_token_ids=range(len(vocabulary)), corpus_token_ids=coded, show_progress=False
        )
        self._matrix = _Matrix(
            numbers,
            vocabulary,
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

    def ceiling(self, tokens: Sequence[str]) -> float:
        """Return the score that no chunk can exceed for ``tokens``; unknown ones count as rarest."""
        matrix = self._matrix
        columns = {token: matrix.vocabulary.get(token) for token in set(tokens)}
        n_with = {
            t: int(matrix.starts[c + 1] - matrix.starts[c]) for t, c in columns.items() if c is not None
        }
        return _ceiling(tokens, n_with, len(matrix.ids))

    def save(self, path: Path) -> None:
        """Write to a new or empty directory."""
        matrix = self._matrix
        arrays: dict[str, NDArray[Any]] = {
            "ids": matrix.ids,
            "values": matrix.values,
            "rows": matrix.rows,
            "starts": matrix.starts,
        }
        files = {f"{name}.npy": _array_bytes(array) for name, array in arrays.items()}
        files["vocabulary.json"] = json.dumps(list(matrix.vocabulary)).encode()
        _write(path, files, {"backend": "bm25s", "k1": self._k1, "b": self._b})

    def load(self, path: Path) -> None:
        """Replace the content by what :meth:`save` wrote with the same settings.  Raises: CorruptIndex."""
        files = _read(path, {"backend": "bm25s", "k1": self._k1, "b": self._b})
        try:
            words = json.loads(files["vocabulary.json"])
            vocabulary = {str(word): column for column, word in enumerate(words)}
            kinds: dict[str, type[np.generic]] = {
                "ids": np.int64,
                "values": np.float32,
                "rows": np.int32,
                "starts": np.int64,
            }
            arrays = {name: _array(files[f"{name}.npy"], kind) for name, kind in kinds.items()}
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            raise CorruptIndex(f"{path.name} cannot be read") from exc
        matrix = _Matrix(arrays["ids"], vocabulary, arrays["values"], arrays["rows"], arrays["starts"])
        if len(vocabulary) != len(words) or not matrix.is_sound():
            raise CorruptIndex(f"{path.name} contradicts itself")
        self._matrix = matrix


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

    def ceiling(self, tokens: Sequence[str]) -> float:
        """Return the score that no chunk can exceed for ``tokens``; unknown ones count as rarest."""
        return _ceiling(tokens, self._n_with, len(self._ids))

    def save(self, path: Path) -> None:
        """Write to a new or empty directory."""
        files = {"ids.npy": _array_bytes(self._ids), "tokens.json": json.dumps(self._tokens).encode()}
        _write(path, files, {"backend": "rank-bm25", "k1": self._k1, "b": self._b})

    def load(self, path: Path) -> None:
        """Replace the content by what :meth:`save` wrote with the same settings.  Raises: CorruptIndex."""
        files = _read(path, {"backend": "rank-bm25", "k1": self._k1, "b": self._b})
        try:
            ids = _array(files["ids.npy"], np.int64)
            tokens = json.loads(files["tokens.json"])
            if not all(isinstance(token, str) for row in tokens for token in row):
                raise TypeError("tokens are text")
            self.build([ChunkId(number) for number in ids.tolist()], tokens)
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            raise CorruptIndex(f"{path.name} cannot be read") from exc


class _Matrix:
    """Scores as columns of a sparse matrix: one column per token, one row per chunk in id order."""

    __slots__ = ("ids", "rows", "starts", "values", "vocabulary")

    def __init__(
        self,
        ids: Ids,
        vocabulary: dict[str, int],
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
        return cls(np.zeros(0, np.int64), {}, *_no_postings())

    def is_sound(self) -> bool:
        """Tell whether every number points to something that exists."""
        n_postings = len(self.values)
        return bool(
            (np.diff(self.ids) > 0).all()
            and len(self.rows) == n_postings
            and len(self.starts) == len(self.vocabulary) + 1
            and self.starts[0] == 0
            and self.starts[-1] == n_postings
            and (np.diff(self.starts) > 0).all()
            and (not n_postings or 0 <= int(self.rows.min()) <= int(self.rows.max()) < len(self.ids))
            and np.isfinite(self.values).all()
        )


def _idf(n_chunks: int, n_with: int) -> float:
    return math.log(1 + (n_chunks - n_with + 0.5) / (n_with + 0.5))


def _ceiling(tokens: Sequence[str], n_with: Mapping[str, int], n_chunks: int) -> float:
    """Sum idf over ``tokens``: the term frequency part of the formula stays below 1."""
    return sum(n * _idf(n_chunks, n_with.get(token, 0)) for token, n in Counter(tokens).items())


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


# ---------------------------------------------------------------- the directory on disk


def _write(path: Path, files: Mapping[str, bytes], settings: Mapping[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    meta = {
        "format": _FORMAT,
        "tokens": TOKENS_VERSION,
        **settings,
        "crc32": {name: zlib.crc32(data) for name, data in files.items()},
    }
    (path / _META).write_text(json.dumps(meta), encoding="utf-8")


def _read(path: Path, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files after checking each against its checksum.

    Whole reads rather than memory maps: a mapped file that is cut short by another process ends this one
    with SIGBUS, and 10,000 chunks are read in milliseconds.
    """
    try:
        meta = json.loads((path / _META).read_bytes())
        if not isinstance(meta, dict) or not isinstance(meta.get("crc32"), dict):
            raise CorruptIndex(f"{path.name} has no usable {_META}")
        wanted = {"format": _FORMAT, "tokens": TOKENS_VERSION, **settings}
        for name, value in wanted.items():
            if meta.get(name) != value:
                raise CorruptIndex(f"{path.name} was built with another {name}")
        files = {}
        for name, checksum in meta["crc32"].items():
            if Path(name).name != name:
                raise CorruptIndex(f"{path.name} names a file outside itself")
            files[name] = (path / name).read_bytes()
            if zlib.crc32(files[name]) != checksum:
                raise CorruptIndex(f"{path.name}/{name} fails its checksum")
    except OSError as exc:
        raise CorruptIndex(f"{path.name} cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise CorruptIndex(f"{path.name} cannot be read") from exc
    return files


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _array(data: bytes, kind: type[np.generic]) -> NDArray[Any]:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != 1:
        raise ValueError("not the array that was saved")
    return array
