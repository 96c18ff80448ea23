"""ragperso.index.vectors: what the FAISS file holds, and what is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from ragperso.errors import CorruptIndex, DimensionMismatch
from ragperso.index.vectors import VectorIndex
from ragperso.types import ChunkId


def ids(*numbers: int) -> list[ChunkId]:
    return [ChunkId(number) for number in numbers]


@pytest.fixture
def index() -> VectorIndex:
    index = VectorIndex(3)
    index.add(ids(30, 10, 20), np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32))
    return index


def test_ids_are_sorted_and_counted(index: VectorIndex) -> None:
    assert index.ids.tolist() == [10, 20, 30]
    assert index.ids.dtype == np.int64
    assert len(index) == 3
    assert VectorIndex(3).ids.tolist() == []


def test_a_saved_index_answers_alike_and_can_be_changed(index: VectorIndex, tmp_path: Path) -> None:
    path = tmp_path / "naïve 猫.faiss"
    index.save(path)
    loaded = VectorIndex.load(path, 3)
    query = np.array([1, 0.5, 0], np.float32)
    assert loaded.search(query, 9) == index.search(query, 9)
    loaded.remove(ids(30))
    loaded.add(ids(5), np.array([[0, 0, 2]], np.float32))
    assert loaded.ids.tolist() == [5, 10, 20]


def test_an_empty_index_round_trips(tmp_path: Path) -> None:
    VectorIndex(3).save(tmp_path / "empty")
    assert len(VectorIndex.load(tmp_path / "empty", 3)) == 0


def test_removed_rows_leave_no_bytes_in_the_file(tmp_path: Path) -> None:
    index = VectorIndex(8)
    secret = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]], np.float32)
    secret /= np.linalg.norm(secret)
    index.add(
        ids(1, 2, 3), np.vstack([np.eye(8, dtype=np.float32)[:1], secret, np.eye(8, dtype=np.float32)[1:2]])
    )
    index.save(tmp_path / "before")
    needle = secret.tobytes()[4:20]
    assert needle in (tmp_path / "before").read_bytes()
    index.remove(ids(2))
    index.save(tmp_path / "after")
    assert needle not in (tmp_path / "after").read_bytes()


def test_another_dimension_or_size_is_refused(index: VectorIndex, tmp_path: Path) -> None:
    path = tmp_path / "index"
    index.save(path)
    with pytest.raises(CorruptIndex, match="3 dimensions, not 4"):
        VectorIndex.load(path, 4)
    with pytest.raises(CorruptIndex, match="larger than 50 bytes"):
        VectorIndex.load(path, 3, max_bytes=50)
    with pytest.raises(CorruptIndex, match="cannot be read"):
        VectorIndex.load(tmp_path / "absent", 3)


def test_other_kinds_of_index_are_refused(tmp_path: Path) -> None:
    flat = faiss.IndexFlatIP(3)
    others = {
        "bare": flat,
        "l2": faiss.IndexIDMap2(faiss.IndexFlatL2(3)),
        "hnsw": faiss.IndexIDMap2(faiss.IndexHNSWFlat(3, 4)),
    }
    for name, other in others.items():
        (tmp_path / name).write_bytes(faiss.serialize_index(other).tobytes())
        with pytest.raises(CorruptIndex):
            VectorIndex.load(tmp_path / name, 3)


def test_repeated_ids_and_long_rows_are_refused(tmp_path: Path) -> None:
    raw = faiss.IndexIDMap2(faiss.IndexFlatIP(2))
    raw.add_with_ids(np.eye(2, dtype=np.float32), np.array([4, 4]))
    (tmp_path / "twice").write_bytes(faiss.serialize_index(raw).tobytes())
    with pytest.raises(CorruptIndex, match="repeated"):
        VectorIndex.load(tmp_path / "twice", 2)
    for value in (2.0, np.nan, np.inf):
        raw = faiss.IndexIDMap2(faiss.IndexFlatIP(2))
        raw.add_with_ids(np.array([[value, 0]], np.float32), np.array([4]))
        (tmp_path / "long").write_bytes(faiss.serialize_index(raw).tobytes())
        with pytest.raises(CorruptIndex, match="unit"):
            VectorIndex.load(tmp_path / "long", 2)


def test_a_file_cut_anywhere_is_refused(index: VectorIndex, tmp_path: Path) -> None:
    path = tmp_path / "index"
    index.save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptIndex):
            VectorIndex.load(path, 3)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptIndex):
        VectorIndex.load(path, 3)


def test_a_flipped_byte_is_refused_or_leaves_a_sound_index(index: VectorIndex, tmp_path: Path) -> None:
    """A change in a value cannot be seen without a checksum; one in a length or an id type must be."""
    path = tmp_path / "index"
    index.save(path)
    whole = path.read_bytes()
    n_refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x80
        path.write_bytes(bytes(damaged))
        try:
            loaded = VectorIndex.load(path, 3)
        except CorruptIndex:
            n_refused += 1
        else:
            assert len(loaded) == 3
            assert len(loaded.search(np.array([1, 0, 0], np.float32), 9)) == 3
    assert n_refused > 40  # every byte of the lengths, types and signs of ids


def test_a_header_that_asks_for_gigabytes_allocates_nothing(index: VectorIndex, tmp_path: Path) -> None:
    path = tmp_path / "index"
    index.save(path)
    damaged = bytearray(path.read_bytes())
    for offset in (8, 8 + 37):  # the row counts of both headers
        struct.pack_into("<q", damaged, offset, 2**31)
    path.write_bytes(bytes(damaged))
    with pytest.raises(CorruptIndex):
        VectorIndex.load(path, 3)


def test_searching_does_not_change_the_number_of_threads(index: VectorIndex) -> None:
    before = faiss.omp_get_max_threads()
    index.search(np.ones(3, np.float32), 2)
    assert faiss.omp_get_max_threads() == before


def test_importing_it_needs_no_model_library() -> None:
    code = "import sys, ragperso.index.vectors, ragperso.index.lexical; print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "transformers", "sentence_transformers", "bm25s", "rank_bm25"):
        assert f"'{heavy}'" not in out


def test_scores_are_those_of_the_search_by_ascending_id(index: VectorIndex) -> None:
    assert index.scores(np.array([3, 4, 0], np.float32)).tolist() == pytest.approx([0.8, 0.0, 0.6])
    assert VectorIndex(3).scores(np.array([1, 0, 0], np.float32)).shape == (0,)


def test_scores_stay_by_id_after_removals_and_additions_out_of_order() -> None:
    rng = np.random.default_rng(4)
    index = VectorIndex(5)
    index.add(ids(9, 3, 7, 1), rng.standard_normal((4, 5)).astype(np.float32))
    index.remove(ids(3, 9))
    index.add(ids(8, 2, 7), rng.standard_normal((3, 5)).astype(np.float32))
    query = rng.standard_normal(5).astype(np.float32)
    assert index.ids.tolist() == [1, 2, 7, 8]
    found = dict(zip(index.ids.tolist(), index.scores(query).tolist(), strict=True))
    assert found == pytest.approx(dict(index.search(query, 9)), abs=1e-6)


def test_scores_refuse_another_width(index: VectorIndex) -> None:
    with pytest.raises(DimensionMismatch):
        index.scores(np.zeros(4, np.float32))


def test_faiss_reads_the_file_as_it_reads_its_own(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    theirs = faiss.read_index(str(tmp_path / "index"))
    assert faiss.vector_to_array(theirs.id_map).tolist() == [10, 20, 30]
    raw = faiss.IndexIDMap2(faiss.IndexFlatIP(3))
    raw.add_with_ids(np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]], np.float32), np.array([10, 20, 30]))
    assert (tmp_path / "index").read_bytes() == faiss.serialize_index(raw).tobytes()


def test_a_large_file_is_mapped_and_answers_and_changes_alike(tmp_path: Path) -> None:
    n = 20_000
    rows = np.random.default_rng(6).standard_normal((n, 4)).astype(np.float32)
    index = VectorIndex(4)
    index.add(ids(*range(n)), rows)
    index.save(tmp_path / "large")
    mapped = VectorIndex.load(tmp_path / "large", 4)
    assert not mapped._rows[1].flags.writeable
    query = np.array([0.5, -0.5, 0.5, 0.5], np.float32)
    assert mapped.scores(query).tobytes() == index.scores(query).tobytes()
    exact = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ query
    assert mapped.scores(query) == pytest.approx(exact, abs=1e-6)
    assert mapped.search(query, 5) == index.search(query, 5)
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "other").replace(tmp_path / "large")  # what was mapped stays what it was
    assert mapped.search(query, 5) == index.search(query, 5)
    mapped.add(ids(n), query[None])
    assert mapped.search(query, 1)[0][0] == n
    assert mapped.remove(ids(n, 0)) == 2
    assert len(mapped) == n - 1


def test_rows_added_one_by_one_do_not_change_what_a_reader_holds(index: VectorIndex) -> None:
    held = index._rows
    before = held[1].copy()
    for number in range(40, 60):
        index.add(ids(number), np.array([[0, 0, 1]], np.float32))
    assert held[0].tolist() == [10, 20, 30]
    assert held[1].tobytes() == before.tobytes()
    assert index.ids.tolist() == [10, 20, 30, *range(40, 60)]
    index.remove(ids(59))
    index.add(ids(60), np.array([[0, 1, 0]], np.float32))
    assert index.ids.tolist() == [10, 20, 30, *range(40, 59), 60]
    assert index.scores(np.array([0, 1, 0], np.float32)).tolist() == [1.0, *[0.0] * 21, 1.0]


def test_adding_and_asking_small_people_does_without_faiss() -> None:
    code = (
        "import sys, numpy as np; from ragperso.index.vectors import VectorIndex; index = VectorIndex(2);"
        "index.add([1], np.ones((1, 2), np.float32)); index.scores(np.ones(2, np.float32));"
        "print('faiss' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
