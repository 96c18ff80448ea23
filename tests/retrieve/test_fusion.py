"""Fusion, with sums the reader can redo."""

from __future__ import annotations

import pytest

from ragperso.config import Retrieve
from ragperso.retrieve.adaptive import AdaptiveFusion
from ragperso.retrieve.fusion import ReciprocalRankFusion, SingleLeg, WeightedFusion, from_config
from ragperso.types import ChunkId, Query

QUERY = Query("q")


def ranking(*rows: tuple[int, float]) -> list[tuple[ChunkId, float]]:
    return [(ChunkId(i), score) for i, score in rows]


def test_rrf_adds_one_over_sixty_plus_rank_from_one() -> None:
    fused = ReciprocalRankFusion(60).fuse(
        {"dense": ranking((1, 0.9), (2, 0.8), (3, 0.7)), "lexical": ranking((3, 5.0), (4, 2.0))}, QUERY
    )
    assert fused[0] == (3, 1 / (60 + 3) + 1 / (60 + 1))
    assert fused[1] == (1, 1 / 61)
    assert [i for i, _ in fused] == [3, 1, 2, 4]  # 2 and 4 both have 1/62: the smaller id first


def test_weighted_scales_cosines_by_their_range_and_bm25_by_its_maximum() -> None:
    fused = dict(
        WeightedFusion(0.6).fuse(
            {"dense": ranking((1, 0.8), (2, 0.5), (3, 0.2)), "lexical": ranking((2, 8.0), (3, 4.0))}, QUERY
        )
    )
    assert fused[ChunkId(1)] == pytest.approx(0.6 * 1.0)
    assert fused[ChunkId(2)] == pytest.approx(0.6 * 0.5 + 0.4 * 1.0)
    assert fused[ChunkId(3)] == pytest.approx(0.6 * 0.0 + 0.4 * 0.5)


def test_a_leg_that_found_nothing_leaves_its_weight_to_the_other() -> None:
    fused = WeightedFusion(0.6).fuse({"dense": ranking((1, 0.9), (2, 0.1)), "lexical": []}, QUERY)
    assert fused == [(1, 1.0), (2, 0.0)]
    fused = WeightedFusion(0.6).fuse({"dense": [], "lexical": ranking((7, 3.0), (8, 1.5))}, QUERY)
    assert fused == [(7, 1.0), (8, 0.5)]


@pytest.mark.parametrize("fusion", [ReciprocalRankFusion(), WeightedFusion(), SingleLeg("dense")])
def test_nothing_in_nothing_out(fusion: WeightedFusion) -> None:
    assert fusion.fuse({}, QUERY) == []
    assert fusion.fuse({"dense": [], "lexical": []}, QUERY) == []


def test_the_settings_choose_the_fusion() -> None:
    assert isinstance(from_config(Retrieve()), AdaptiveFusion)
    assert isinstance(from_config(Retrieve(fusion="weighted")), WeightedFusion)
    assert isinstance(from_config(Retrieve(fusion="rrf")), ReciprocalRankFusion)
    lexical = from_config(Retrieve(fusion="lexical"))
    assert lexical.fuse({"dense": ranking((1, 0.9)), "lexical": ranking((2, 3.0))}, QUERY) == [(2, 3.0)]
