"""The DenseIndex contract, run on every backend with cosines worked by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ragperso import backends
from ragperso.errors import DimensionMismatch
from ragperso.protocols import DenseIndex
from ragperso.types import ChunkId


def ids(*numbers: int) -> list[ChunkId]:
    return [ChunkId(number) for number in numbers]


def rows(*values: list[float]) -> Any:
    return np.array(values, np.float32)


@pytest.fixture(params=backends.names("dense"))
def make(request: pytest.FixtureRequest) -> Callable[[int], Any]:
    kind: Callable[[int], Any] = backends.load("dense", request.param)
    return kind


def test_is_a_dense_index(make: Callable[[int], Any]) -> None:
    assert isinstance(make(2), DenseIndex)


def test_a_score_is_the_cosine_whatever_the_length_of_a_row(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(10, 20, 30), rows([3, 4], [0, 5], [-2, 0]))
    # (3, 4) / 5 . (1, 0) = 0.6
    assert index.search(rows([7, 0])[0], 3) == [
        (10, pytest.approx(0.6)),
        (20, pytest.approx(0.0)),
        (30, pytest.approx(-1.0)),
    ]


def test_equal_scores_stand_in_id_order_also_at_the_cut(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(9, 2, 7, 4), rows([1, 1], [1, 1], [1, 1], [1, 0]))
    assert [i for i, _ in index.search(rows([1, 1])[0], 10)] == [2, 7, 9, 4]
    assert [i for i, _ in index.search(rows([1, 1])[0], 2)] == [2, 7]
    assert [i for i, _ in index.search(rows([1, 1])[0], 1)] == [2]
    assert [i for i, _ in index.search(rows([1, 1])[0], 1, np.array([9, 7]))] == [7]


def test_the_filter_comes_before_the_ranking(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(1, 2, 2**40), rows([1, 0], [1, 1], [0, 1]))
    query = rows([1, 0])[0]
    assert [i for i, _ in index.search(query, 1, np.array([2, 2**40, 99]))] == [2]
    assert [i for i, _ in index.search(query, 9, np.array([2**40]))] == [2**40]
    assert index.search(query, 9, np.array([99])) == []
    assert index.search(query, 9, np.array([], np.int64)) == []


def test_adding_an_id_again_replaces_its_row(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(1, 2), rows([1, 0], [0, 1]))
    index.add(ids(1), rows([0, 1]))
    assert index.search(rows([0, 1])[0], 9) == [(1, pytest.approx(1)), (2, pytest.approx(1))]
    index.add(ids(5, 5), rows([1, 0], [0, -1]))
    assert (5, pytest.approx(-1)) in index.search(rows([0, 1])[0], 9), "the last of two rows for one id"
    assert len(index.search(rows([0, 1])[0], 9)) == 3


def test_removed_rows_are_gone_and_unknown_ids_are_no_error(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(1, 2, 3), rows([1, 0], [0, 1], [1, 1]))
    assert index.remove(ids(1, 99)) == 1
    assert index.remove(ids(1)) == 0
    assert index.remove([]) == 0
    assert [i for i, _ in index.search(rows([1, 0])[0], 9)] == [3, 2]


def test_an_empty_index_and_no_depth(make: Callable[[int], Any]) -> None:
    index = make(2)
    assert index.search(rows([1, 0])[0], 5) == []
    assert index.search(rows([1, 0])[0], 5, np.array([1])) == []
    index.add([], np.zeros((0, 2), np.float32))
    index.add(ids(1), rows([1, 0]))
    assert index.search(rows([1, 0])[0], 0) == []


def test_zero_rows_score_zero_and_huge_or_tiny_ones_their_cosine(make: Callable[[int], Any]) -> None:
    index = make(2)
    index.add(ids(1, 2, 3), rows([0, 0], [3e30, 4e30], [3e-30, 4e-30]))
    found = dict(index.search(rows([1, 0])[0], 9))
    assert found == {1: 0.0, 2: pytest.approx(0.6), 3: pytest.approx(0.6)}
    assert index.search(rows([0, 0])[0], 9) == [(1, 0.0), (2, 0.0), (3, 0.0)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_numbers_are_refused_whole(make: Callable[[int], Any], bad: float) -> None:
    index = make(2)
    with pytest.raises(ValueError, match="NaN"):
        index.add(ids(1, 2), rows([1, 0], [bad, 0]))
    with pytest.raises(ValueError, match="NaN"):
        index.search(rows([bad, 0])[0], 5)
    assert index.search(rows([1, 0])[0], 5) == [], "nothing of a refused batch went in"


def test_other_widths_and_counts_are_refused(make: Callable[[int], Any]) -> None:
    index = make(2)
    with pytest.raises(DimensionMismatch, match="3 dimensions where the index has 2"):
        index.add(ids(1), rows([1, 0, 0]))
    with pytest.raises(DimensionMismatch):
        index.search(rows([1])[0], 5)
    with pytest.raises(ValueError, match="1 ids for 2 vectors"):
        index.add(ids(1), rows([1, 0], [0, 1]))
    with pytest.raises(ValueError, match="negative"):
        index.add(ids(-1), rows([1, 0]))


def test_rankings_equal_those_of_plain_numpy(make: Callable[[int], Any]) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(500, 24)).astype(np.float32)
    numbers = rng.permutation(5000)[:500]
    index = make(24)
    index.add(ids(*numbers.tolist()), vectors)
    gone = numbers[:100]
    index.remove(ids(*gone.tolist()))
    allowed = np.sort(numbers[50:300])
    query = rng.normal(size=24).astype(np.float32)
    cosines = vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    kept = [(int(i), float(c)) for i, c in zip(numbers, cosines, strict=True)][100:300]
    expected = sorted(kept, key=lambda hit: -hit[1])[:20]
    found = index.search(query, 20, allowed)
    assert [i for i, _ in found] == [i for i, _ in expected]
    assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-6)


def test_adding_while_others_search_is_safe(make: Callable[[int], Any]) -> None:
    """FAISS itself segfaults here; a crash of this test run is its failure."""
    rng = np.random.default_rng(0)
    index = make(32)
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            index.search(rng.normal(size=32).astype(np.float32), 10)

    readers = [threading.Thread(target=search) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(0, 3000, 100):
        index.add(ids(*range(start, start + 100)), rng.normal(size=(100, 32)).astype(np.float32))
        index.remove(ids(start))
    stop.set()
    for reader in readers:
        reader.join()
    assert len(index.search(np.ones(32, np.float32), 5000)) == 2970
