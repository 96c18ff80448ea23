"""Stage 2, index: exact cosine search over one person's chunks.

In: chunk ids and embeddings.  Out: (chunk_id, cosine) pairs, best first.
Never: sees text, knows people, loads a model.  Derived: rebuilt from the store.

Rows lie in one matrix by ascending id.  The file is FAISS's own, so that any FAISS reads it; FAISS itself is
imported only where it is faster (0.2 s, which a small person's first search does without).
"""

from __future__ import annotations

import importlib
import mmap
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragperso.errors import CorruptIndex, DimensionMismatch
from ragperso.types import ChunkId, Ids, Ranking, Scores, Vector, Vectors

# FAISS counts threads per process: two searches at a time would restore each other's number.
_NATIVE: Final = threading.Lock()

# faiss/impl/index_write.cpp, write_index_header: dimension, rows, two unused longs, trained, metric.
_HEADER: Final = struct.Struct("<4siqqqBi")
_COUNT: Final = struct.Struct("<Q")
_UNUSED: Final = 1 << 20  # what FAISS writes for the two unused longs
_INNER_PRODUCT: Final = 0
_MAX_BYTES: Final = 4 << 30  # 2.7 million rows of 384; a person's index is a hundredth of it
_BAND: Final = 1e-6  # float32 rounding of a cosine; scores this close to the last one may be ties of it
# Rows of 384 from which FAISS's scan is faster than that of numpy's OpenBLAS: .27 against .31 ms at 10,000,
# 5.4 against 12.7 at 100,000, where each block of numpy's takes as long (2 cores, 2026-11-24).
_FAISS_FROM: Final = 20_000
_CHECKED: Final = 1 << 22  # values looked at together


class VectorIndex:
    """Inner product of unit rows, so a score is a cosine in [-1, 1].

    Flat rather than HNSW or IVF: a person holds about 10,000 chunks, exact search of which is under a
    millisecond on one thread, and ``remove`` truly forgets: no row stays behind in the file.

    Readers see one pair (ids, matrix): a change makes another one, or fills rows behind the last that they
    see, and then swaps it in.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: tuple[Ids, Vectors] = (np.zeros(0, np.int64), np.zeros((0, dim), np.float32))
        self._room: tuple[Ids, Vectors] = self._rows  # the same rows, and space behind them
        self._change = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows[0])

    @property
    def ids(self) -> Ids:
        """Ids of all rows, ascending."""
        return self._rows[0]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the rows take, mapped ones included."""
        return sum(part.nbytes for part in self._room)

    def add(self, ids: Sequence[ChunkId] | Ids, vectors: Vectors) -> None:
        """Insert or replace rows; ``vectors`` is (len(ids), dim), any norm.

        An id given twice keeps its last row.  Raises: DimensionMismatch; ValueError for NaN and infinity.
        """
        numbers = np.asarray(ids, np.int64)
        unit = self._unit(np.asarray(vectors))
        if len(numbers) != len(unit):
            raise ValueError(f"{len(numbers)} ids for {len(unit)} vectors")
        if not len(numbers):
            return
        if numbers.min() < 0:
            raise ValueError("chunk ids are not negative")  # FAISS uses -1 for "no row"
        if not (numbers[1:] > numbers[:-1]).all():
            _, last = np.unique(numbers[::-1], return_index=True)
            keep = len(numbers) - 1 - last  # by ascending id
            numbers, unit = numbers[keep], unit[keep]
        with self._change:
            have, matrix = self._rows
            if len(have) and numbers[0] <= have[-1]:
                stays = ~np.isin(have, numbers)
                numbers = np.concatenate([have[stays], numbers])
                order = np.argsort(numbers)
                whole = numbers[order], np.concatenate([matrix[stays], unit])[order]
                self._rows = self._room = whole
            else:
                self._append(numbers, unit)

    def _append(self, ids: Ids, unit: Vectors) -> None:
        """Add rows behind the last; space for as many again is kept, so that many small adds cost little."""
        (have, matrix), (all_ids, all_rows) = self._rows, self._room
        n, end = len(have), len(have) + len(ids)
        if end > len(all_ids):
            size = end if not n else max(end, n + n // 2)
            all_ids, all_rows = np.zeros(size, np.int64), np.zeros((size, self.dim), np.float32)
            all_ids[:n], all_rows[:n] = have, matrix
        all_ids[n:end], all_rows[n:end] = ids, unit
        self._room = (all_ids, all_rows)
        self._rows = (all_ids[:end], all_rows[:end])

    def remove(self, ids: Sequence[ChunkId]) -> int:
        """Forget rows; return how many existed.  Unknown ids are not an error."""
        if not len(ids):
            return 0
        with self._change:
            have, matrix = self._rows
            stays = ~np.isin(have, np.asarray(ids, np.int64))
            n_gone = len(have) - int(np.count_nonzero(stays))
            if n_gone:
                self._rows = self._room = (have[stays], matrix[stays])
            return n_gone

    def search(self, vector: Vector, depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids for one (dim,) query; equal scores in id order.

        The filter is applied before ranking: ids outside ``allowed`` take no place from those inside.
        """
        query = self._unit(np.asarray(vector)[None, :])
        ids, matrix = self._rows
        if allowed is not None:
            rows = np.flatnonzero(np.isin(ids, allowed))
            ids, matrix = ids[rows], np.ascontiguousarray(matrix[rows])
        count = min(depth, len(ids))
        if count <= 0:
            return []
        faiss: Any = importlib.import_module("faiss")
        # One more than asked for shows whether equal scores straddle the cut.
        wanted = min(count + 1, len(ids))
        with _NATIVE:
            threads = faiss.omp_get_max_threads()
            # Twice the threads cost ten times the time for one query: 8-20 ms against 0.7.
            faiss.omp_set_num_threads(1)
            try:
                scores, places = faiss.knn(query, matrix, wanted, metric=faiss.METRIC_INNER_PRODUCT)
            finally:
                faiss.omp_set_num_threads(threads)
        best, found = scores[0], places[0]
        if len(best) > count and best[count - 1] - best[count] <= _BAND:
            whole = _products(matrix, query[0])
            found = np.flatnonzero(whole >= best[count - 1] - 2 * _BAND)
            best = whole[found]
        order = np.lexsort((ids[found], -best))[:count]
        best = np.clip(best[order], -1.0, 1.0)
        return [(ChunkId(i), s) for i, s in zip(ids[found[order]].tolist(), best.tolist(), strict=True)]

    def scores(self, vector: Vector) -> Scores:
        """Return the cosine of one (dim,) query with every row, parallel to :attr:`ids`.

        One product of the matrix and the query: nothing has to be guessed of rows below some depth.
        """
        query = self._unit(np.asarray(vector)[None, :])[0]
        found = _products(self._rows[1], query)
        return np.clip(found, -1.0, 1.0, out=found)

    def save(self, path: Path) -> None:
        """Write all rows to ``path``, which the caller makes durable and renames into place."""
        ids, matrix = self._rows
        n = len(ids)
        # Python writes it, not FAISS: a full disk is then an OSError and any path name will do.
        with path.open("wb") as file:
            for kind in (b"IxM2", b"IxFI"):
                file.write(_HEADER.pack(kind, self.dim, n, _UNUSED, _UNUSED, 1, _INNER_PRODUCT))
            file.write(_COUNT.pack(n * self.dim))
            file.write(np.ascontiguousarray(matrix).data)
            file.write(_COUNT.pack(n))
            file.write(np.ascontiguousarray(ids).data)

    @classmethod
    def load(cls, path: Path, dim: int, max_bytes: int = _MAX_BYTES) -> VectorIndex:
        """Return the index that :meth:`save` wrote.

        A large file is mapped into memory, not read: it is never changed in place, only replaced.
        Raises: CorruptIndex, for anything but a flat index of ``dim`` with distinct ids and finite rows.
        """
        try:
            size = path.stat().st_size
            if size > max_bytes:
                raise CorruptIndex(f"{path.name} is larger than {max_bytes} bytes")
            data: bytes | mmap.mmap
            # Windows would not let a mapped file be deleted, and a person may be erased at any time.
            if size >= 4 * dim * _FAISS_FROM and sys.platform != "win32":
                with path.open("rb") as file:
                    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                data = path.read_bytes()
        except OSError as exc:
            raise CorruptIndex(f"{path.name} cannot be read: {exc.strerror}") from exc
        n_rows = _check_layout(data, dim, path.name)
        rows_at = 2 * _HEADER.size + _COUNT.size
        ids_at = rows_at + 4 * n_rows * dim + _COUNT.size
        values = np.frombuffer(data, "<f4", n_rows * dim, rows_at)
        # FAISS's head is 90 bytes long, so the rows do not lie at multiples of 4, which numpy is slow with,
        # and FAISS, which scans the mapped ones, is not.
        if not isinstance(data, mmap.mmap):
            values = values.copy()
        ids = np.frombuffer(data, "<i8", n_rows, ids_at).astype(np.int64)
        if n_rows and (ids.min() < 0 or len(np.unique(ids)) != n_rows):
            raise CorruptIndex(f"{path.name} holds repeated or negative ids")
        # Unit rows have squares that add up to their number, zero rows to less; NaN fails any comparison.
        squares = sum(float(part @ part) for part in _pieces(values))
        if not squares <= n_rows * 1.01:
            raise CorruptIndex(f"{path.name} holds rows that are not unit vectors")
        matrix = values.reshape(n_rows, dim)
        if n_rows > 1 and not (ids[1:] > ids[:-1]).all():
            order = np.argsort(ids)
            ids, matrix = ids[order], matrix[order]
        index = cls(dim)
        index._rows = index._room = (ids, matrix)
        return index

    def _unit(self, vectors: Vectors) -> Vectors:
        """Scale rows to length 1; a zero row stays zero: cosine 0, never NaN."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DimensionMismatch(got=int(vectors.shape[-1]) if vectors.ndim else 0, want=self.dim)
        wide = vectors.astype(np.float64)  # the square of 1e20 overflows float32
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        if not np.isfinite(norms).all():
            raise ValueError("vectors hold NaN or infinity")
        # Rows that come as unit rows stay bit for bit what the store holds.
        is_unit = np.abs(norms - 1.0) <= _BAND
        if is_unit.all() and vectors.dtype == np.float32:
            return np.ascontiguousarray(vectors)
        return np.ascontiguousarray(wide / np.where(is_unit | (norms == 0), 1.0, norms), dtype=np.float32)


def _pieces(values: Scores) -> Iterator[Scores]:
    """Yield all of ``values`` as aligned copies."""
    for start in range(0, len(values), _CHECKED):
        yield values[start : start + _CHECKED].copy()


def _products(matrix: Vectors, query: Vector) -> Scores:
    """Return the inner product of every row with ``query``."""
    n_rows, dim = matrix.shape
    if n_rows < _FAISS_FROM or not matrix.flags.c_contiguous:
        return np.asarray(matrix @ query, np.float32)
    faiss: Any = importlib.import_module("faiss")
    found = np.empty(n_rows, np.float32)
    query = np.ascontiguousarray(query, np.float32)
    faiss.fvec_inner_products_ny(
        faiss.swig_ptr(found), faiss.swig_ptr(query), faiss.swig_ptr(matrix), dim, n_rows
    )
    return found


def _check_layout(data: bytes | mmap.mmap, dim: int, name: str) -> int:
    """Return the number of rows after checking that every length in the file adds up to its size.

    FAISS allocates what a header asks for: 3 KB of damage made it take 8.2 GB.
    """
    rows_at = 2 * _HEADER.size + _COUNT.size
    try:
        outer_kind, outer_dim, outer_rows, *_ = _HEADER.unpack_from(data, 0)
        inner_kind, inner_dim, n_rows, *_ = _HEADER.unpack_from(data, _HEADER.size)
        (n_values,) = _COUNT.unpack_from(data, 2 * _HEADER.size)
        if (outer_kind, inner_kind) != (b"IxM2", b"IxFI"):
            raise CorruptIndex(f"{name} is another type of index")
        if not outer_dim == inner_dim == dim:
            raise CorruptIndex(f"{name} has {outer_dim} dimensions, not {dim}")
        ids_at = rows_at + 4 * n_values
        if outer_rows != n_rows or n_values != n_rows * dim or len(data) != ids_at + _COUNT.size + 8 * n_rows:
            raise CorruptIndex(f"{name} contradicts itself about its size")
        (n_ids,) = _COUNT.unpack_from(data, ids_at)
    except struct.error as exc:
        raise CorruptIndex(f"{name} is cut short") from exc
    if n_ids != n_rows:
        raise CorruptIndex(f"{name} contradicts itself about its size")
    return int(n_rows)
