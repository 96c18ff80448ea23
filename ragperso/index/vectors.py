"""Stage 2, index: exact cosine search over one person's chunks.

In: chunk ids and embeddings.  Out: (chunk_id, cosine) pairs, best first.
Never: sees text, knows people, loads a model.  Derived: rebuilt from the store.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from ragperso.errors import CorruptIndex, DimensionMismatch
from ragperso.types import ChunkId, Ids, Ranking, Scores, Vector, Vectors

# FAISS counts threads per process and an add during a search of the same index segfaults (3 of 3 runs).
_NATIVE: Final = threading.Lock()

# faiss/impl/index_write.cpp, write_index_header: dimension, rows, two unused longs, trained, metric.
_HEADER: Final = struct.Struct("<4siqqqBi")
_COUNT: Final = struct.Struct("<Q")
_MAX_BYTES: Final = 4 << 30  # 2.7 million rows of 384; a person's index is a hundredth of it
_BAND: Final = 1e-6  # float32 rounding of a cosine; scores this close to the last one may be ties of it


class VectorIndex:
    """Inner product of unit rows, so a score is a cosine in [-1, 1].

    Flat rather than HNSW or IVF: a person holds about 10,000 chunks, exact search of which is under a
    millisecond on one thread, and ``remove`` truly forgets: no row stays behind in the file.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))

    def __len__(self) -> int:
        return int(self._rows.ntotal)

    @property
    def ids(self) -> Ids:
        """Ids of all rows, ascending."""
        with _NATIVE:
            return np.sort(faiss.vector_to_array(self._rows.id_map).astype(np.int64))

    def add(self, ids: Sequence[ChunkId], vectors: Vectors) -> None:
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
        _, last = np.unique(numbers[::-1], return_index=True)
        keep = np.sort(len(numbers) - 1 - last)
        with _NATIVE:
            # FAISS keeps both rows of a repeated id.
            self._rows.remove_ids(faiss.IDSelectorBatch(numbers))
            self._rows.add_with_ids(np.ascontiguousarray(unit[keep]), numbers[keep])

    def remove(self, ids: Sequence[ChunkId]) -> int:
        """Forget rows; return how many existed.  Unknown ids are not an error."""
        if not len(ids):
            return 0
        with _NATIVE:
            return int(self._rows.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, np.int64))))

    def search(self, vector: Vector, depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids for one (dim,) query; equal scores in id order.

        The filter is applied before ranking: ids outside ``allowed`` take no place from those inside.
        """
        query = self._unit(np.asarray(vector)[None, :])
        selector = None
        if allowed is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(allowed, np.int64))
        with _NATIVE:
            reachable = self._rows.ntotal if allowed is None else min(len(allowed), self._rows.ntotal)
            if (count := min(depth, reachable)) <= 0:
                return []
            parameters = None if selector is None else faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
            threads = faiss.omp_get_max_threads()
            # Twice the threads cost ten times the time for one query: 8-20 ms against 0.7.
            faiss.omp_set_num_threads(1)
            try:
                # One more than asked for shows whether equal scores straddle the cut.
                scores, ids = self._rows.search(query, min(count + 1, reachable), params=parameters)
                found = [(i, s) for i, s in zip(ids[0].tolist(), scores[0].tolist(), strict=True) if i >= 0]
                if len(found) > count and found[count - 1][1] - found[count][1] <= _BAND:
                    radius = found[count - 1][1] - 2 * _BAND
                    _, scores, ids = self._rows.range_search(query, radius, params=parameters)
                    found = list(zip(ids.tolist(), scores.tolist(), strict=True))
            finally:
                faiss.omp_set_num_threads(threads)
        ranked = sorted(found, key=lambda hit: (-hit[1], hit[0]))
        return [(ChunkId(i), min(1.0, max(-1.0, score))) for i, score in ranked[:count]]

    def scores(self, vector: Vector) -> Scores:
        """Return the cosine of one (dim,) query with every row, parallel to :attr:`ids`.

        One matrix-vector product over FAISS's own memory: as fast as its flat search, which is the same scan,
        and nothing has to be guessed of rows below some depth.
        """
        query = self._unit(np.asarray(vector)[None, :])[0]
        with _NATIVE:
            n_rows = int(self._rows.ntotal)
            if not n_rows:
                return np.zeros(0, np.float32)
            flat: Any = faiss.downcast_index(self._rows.index)
            matrix = faiss.rev_swig_ptr(flat.get_xb(), n_rows * self.dim).reshape(n_rows, self.dim)
            found: Scores = matrix @ query
            ids = faiss.vector_to_array(self._rows.id_map)
        if n_rows > 1 and not (ids[1:] > ids[:-1]).all():
            found = found[np.argsort(ids)]
        return np.clip(found, -1.0, 1.0, out=found)

    def save(self, path: Path) -> None:
        """Write all rows to ``path``, which the caller makes durable and renames into place."""
        with _NATIVE:
            data = faiss.serialize_index(self._rows)
        # Python writes it, not FAISS: a full disk is then an OSError and any path name will do.
        path.write_bytes(data.tobytes())

    @classmethod
    def load(cls, path: Path, dim: int, max_bytes: int = _MAX_BYTES) -> VectorIndex:
        """Return the index that :meth:`save` wrote.

        Raises: CorruptIndex, for anything but a flat index of ``dim`` with distinct ids and finite rows.
        """
        try:
            if path.stat().st_size > max_bytes:
                raise CorruptIndex(f"{path.name} is larger than {max_bytes} bytes")
            data = path.read_bytes()
        except OSError as exc:
            raise CorruptIndex(f"{path.name} cannot be read: {exc.strerror}") from exc
        n_rows = _check_layout(data, dim, path.name)
        try:
            with _NATIVE:
                rows: Any = faiss.deserialize_index(np.frombuffer(data, np.uint8))
                flat = faiss.downcast_index(rows.index)
                ids = faiss.vector_to_array(rows.id_map)
        except (RuntimeError, AttributeError, MemoryError) as exc:
            raise CorruptIndex(f"{path.name} is not a FAISS index") from exc
        if not isinstance(rows, faiss.IndexIDMap2) or not isinstance(flat, faiss.IndexFlatIP):
            raise CorruptIndex(f"{path.name} is another type of index")
        if not (rows.ntotal == flat.ntotal == n_rows and rows.d == flat.d == dim and len(ids) == n_rows):
            raise CorruptIndex(f"{path.name} contradicts itself about its size")
        if n_rows and (ids.min() < 0 or len(np.unique(ids)) != n_rows):
            raise CorruptIndex(f"{path.name} holds repeated or negative ids")
        if n_rows:
            values = faiss.rev_swig_ptr(flat.get_xb(), n_rows * dim)
            # Unit rows have squares that add up to their number, zero rows to less; NaN fails any comparison.
            if not float(np.dot(values, values)) <= n_rows * 1.01:
                raise CorruptIndex(f"{path.name} holds rows that are not unit vectors")
        index = cls(dim)
        index._rows = rows
        return index

    def _unit(self, vectors: Vectors) -> Vectors:
        """Scale rows to length 1; a zero row stays zero: cosine 0, never NaN."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DimensionMismatch(got=int(vectors.shape[-1]) if vectors.ndim else 0, want=self.dim)
        wide = vectors.astype(np.float64)  # the square of 1e20 overflows float32
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ValueError("vectors hold NaN or infinity")
        # Rows that come as unit rows stay bit for bit what the store holds.
        is_unit = np.abs(norms - 1.0) <= _BAND
        return np.ascontiguousarray(wide / np.where(is_unit | (norms == 0), 1.0, norms), dtype=np.float32)


def _check_layout(data: bytes, dim: int, name: str) -> int:
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
