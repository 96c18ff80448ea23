"""From evidence to hits: order, ties, phrases, parts, and chunks that are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from ragperso.config import Retrieve
from ragperso.retrieve.adaptive import AdaptiveFusion, Weights
from ragperso.retrieve.evidence import Evidence
from ragperso.retrieve.fusion import SingleLeg, WeightedFusion
from ragperso.retrieve.search import PHRASE_BONUS, question_relevance, rankings_of, search
from ragperso.types import Chunk, ChunkId, DocumentId, Hit, Query

BY_SCORE = AdaptiveFusion(Weights({"dense": 1.0}, {}))


def evidence(
    scores: Sequence[float],
    *,
    cosine: Sequence[float] | None = None,
    coverage: Sequence[float] | None = None,
    **more: Sequence[float],
) -> Evidence:
    """Chunks 1, 2, 3...; ``scores`` are their "dense" evidence."""
    n = len(scores)

    def column(values: Sequence[float] | None) -> Any:
        return np.array(values if values is not None else [0.0] * n, np.float32)

    shares = column(coverage)
    features = {"dense": column(scores)} | {name: column(values) for name, values in more.items()}
    return Evidence(
        np.arange(1, n + 1), ("documents",), (n,), column(cosine), 10 * shares, shares, shares, features, {}
    )


class Shelf:
    """A loader of chunks that remembers what it was asked for."""

    def __init__(self, texts: dict[int, str] | None = None, gone: Sequence[int] = ()) -> None:
        self.texts = texts or {}
        self.gone = gone
        self.loaded: list[int] = []

    def __call__(self, ids: Iterable[ChunkId]) -> dict[ChunkId, Chunk]:
        wanted = [int(i) for i in ids]
        self.loaded += wanted
        return {ChunkId(i): self.chunk(i) for i in wanted if i not in self.gone}

    def chunk(self, number: int) -> Chunk:
        text = self.texts.get(number, f"text {number} of its own")
        return Chunk(ChunkId(number), DocumentId(number), "documents", 0, 0, len(text), 5, text)


def found(
    *parts: Evidence, k: int = 10, shelf: Shelf | None = None, fusion: Any = BY_SCORE, **more: Any
) -> list[Hit]:
    config = more.pop("config", Retrieve())
    return search(Query("q"), parts, k=k, config=config, fusion=fusion, load=shelf or Shelf(), **more)


def ids(hits: Sequence[Hit]) -> list[int]:
    return [int(hit.chunk.id) for hit in hits]


def test_hits_come_by_falling_score_and_equal_ones_by_id() -> None:
    hits = found(evidence([1.0, 3.0, 2.0, 3.0]))
    assert ids(hits) == [2, 4, 3, 1]
    assert [hit.score for hit in hits] == [3.0, 3.0, 2.0, 1.0]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]


def test_ties_at_the_cut_are_broken_by_id() -> None:
    assert ids(found(evidence([1.0] * 40), k=2)) == [1, 2]


def test_without_parts_or_chunks_there_are_no_hits() -> None:
    assert found() == found(evidence([])) == []
    assert question_relevance([]) == 0.0


def test_a_chunk_that_was_removed_meanwhile_is_skipped() -> None:
    hits = found(evidence([3.0, 2.0, 1.0]), k=2, shelf=Shelf(gone=[1]))
    assert ids(hits) == [2, 3]
    assert [hit.rank for hit in hits] == [1, 2]


def test_no_more_chunks_are_loaded_than_are_needed() -> None:
    shelf = Shelf()
    assert len(found(evidence([float(-i) for i in range(100)]), k=3, shelf=shelf)) == 3
    assert shelf.loaded == list(range(1, 3 + 5 + 1))


def test_duplicates_collapse_and_others_fill_their_places() -> None:
    same = "the same nine words stand here in every copy"
    shelf = Shelf(dict.fromkeys(range(1, 7), same))
    hits = found(evidence([float(-i) for i in range(20)]), k=3, shelf=shelf)
    assert ids(hits) == [1, 7, 8]
    assert hits[0].duplicates == tuple(range(2, 7))


def test_a_hit_says_what_counted_largest_first() -> None:
    fusion = AdaptiveFusion(Weights({"dense": 1.0, "date": 2.0, "style": -1.0, "lexical": 1.0}, {}))
    (hit,) = found(evidence([0.5], date=[1.0], style=[0.75], lexical=[0.04]), fusion=fusion)
    assert list(hit.why.items()) == [("date", 2.0), ("style", -0.75), ("dense", 0.5)]  # .04 explains nothing
    assert hit.score == pytest.approx(2.0 - 0.75 + 0.5 + 0.04)


def test_a_hit_says_how_each_leg_saw_it() -> None:
    first, second = found(evidence([2.0, 1.0], cosine=[0.3, 0.6], coverage=[0.0, 0.2]))
    assert {name: (leg.rank, leg.score) for name, leg in first.via.items()} == {
        "dense": (2, pytest.approx(0.3))
    }
    assert {name: (leg.rank, leg.score) for name, leg in second.via.items()} == {
        "dense": (1, pytest.approx(0.6)),
        "lexical": (1, pytest.approx(2.0)),  # as BM25 gives it: ten times the share, here
    }
    assert question_relevance([first, second]) == max(first.relevance, second.relevance)


def test_a_quoted_phrase_lifts_what_holds_it_to_the_letter() -> None:
    shelf = Shelf({3: "They met at the Blue\n Heron twice", 4: "blue and heron"})
    hits = found(evidence([4.0, 3.0, 2.0, 1.0]), shelf=shelf, phrases=["blue heron"])
    assert ids(hits) == [3, 1, 2, 4]
    assert hits[0].score == 2.0 + PHRASE_BONUS
    hits = found(evidence([4.0, 3.0, 2.0, 1.0]), shelf=shelf, phrases=["blue heron", "twice"])
    assert hits[0].score == 2.0 + 2 * PHRASE_BONUS


def test_a_phrase_is_looked_for_beyond_the_first_k() -> None:
    shelf = Shelf({30: "the blue heron"})
    hits = found(evidence([-i / 10 for i in range(40)]), k=10, shelf=shelf, phrases=["blue heron"])
    assert ids(hits) == [30, *range(1, 10)]
    assert hits[0].score == pytest.approx(PHRASE_BONUS - 2.9)


def test_several_parts_take_turns() -> None:
    whole = evidence([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    first = evidence([0.0, 0.0, 0.0, 9.0, 8.0, 0.0])
    second = evidence([7.0, 0.0, 0.0, 0.0, 0.0, 9.0])
    hits = found(whole, first, second)
    # Places: whole 1 2 3 4 5 6; first 4 5 1 2 3 6; second 6 1 2 3 4 5.  Best ones: 1, 4, 6 are first once,
    # 2 and 5 second once, 3 third; equal places by the part, the whole query before its parts.
    assert ids(hits) == [1, 4, 6, 2, 5, 3]
    assert [hit.score for hit in hits] == pytest.approx([1, 1, 1, 1 / 2, 1 / 2, 1 / 3])
    assert hits[1].why == {"dense": 9.0}  # as the part saw it that found it


@pytest.mark.parametrize(("name", "order"), [("dense", [2, 1, 3]), ("lexical", [3, 1])])
def test_a_single_leg_ranks_alone(name: str, order: list[int]) -> None:
    seen = evidence([0.0] * 3, cosine=[0.5, 0.9, 0.1], coverage=[0.2, 0.0, 0.7])
    hits = found(seen, fusion=SingleLeg(name))
    assert ids(hits) == order
    assert hits[0].why == {}


def test_legs_rank_the_union_of_what_either_found_within_its_depth() -> None:
    seen = evidence([0.0] * 4, cosine=[0.9, 0.8, 0.1, 0.0], coverage=[0.0, 0.1, 0.5, 0.0])
    assert rankings_of(seen, 1) == {
        "dense": [(1, pytest.approx(0.9)), (3, pytest.approx(0.1))],
        "lexical": [(3, 0.5)],
    }


def test_the_weighted_fusion_ranks_a_handful_of_chunks() -> None:
    seen = evidence([0.0] * 3, cosine=[0.8, 0.5, 0.2], coverage=[0.0, 0.8, 0.4])
    hits = found(seen, fusion=WeightedFusion(0.6))
    # .6 * 1; .6 * .5 + .4 * 1; .6 * 0 + .4 * .5
    assert [(int(h.chunk.id), h.score) for h in hits] == [
        (2, pytest.approx(0.7)),
        (1, pytest.approx(0.6)),
        (3, pytest.approx(0.2)),
    ]
    (alone,) = found(evidence([0.0], cosine=[0.3]), fusion=WeightedFusion(0.6))
    assert alone.score == 1.0


def test_a_fusion_of_rankings_drops_what_no_leg_reached() -> None:
    seen = evidence([0.0] * 5, cosine=[0.5, 0.4, 0.3, 0.2, 0.1])
    assert ids(found(seen, fusion=SingleLeg("dense"), config=Retrieve(depth=2))) == [1, 2]


def test_diversity_reorders_by_the_vectors_of_the_hits() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    hits = found(
        evidence([1.0, 0.9, 0.5]),
        config=Retrieve(diversity=0.5),
        vectors_of=lambda wanted: rows[[int(i) - 1 for i in wanted]],
    )
    assert ids(hits) == [1, 3, 2]
