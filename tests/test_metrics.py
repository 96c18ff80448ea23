"""Metrics: against arithmetic a reader can redo, and against trec_eval's own code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso import metrics

RANKING = ["a", "b", "c", "d", "e"]
GOLD = {"b": 1.0, "d": 1.0, "z": 1.0}  # found at ranks 2 and 4; z is never found


def test_hit_is_one_from_the_rank_of_the_first_relevant_document_on():
    assert [metrics.hit_at(k)(RANKING, GOLD) for k in (1, 2, 5)] == [0.0, 1.0, 1.0]


def test_recall_counts_over_all_relevant_documents_also_those_never_found():
    assert [metrics.recall_at(k)(RANKING, GOLD) for k in (1, 2, 4, 10)] == [0, 1 / 3, 2 / 3, 2 / 3]


def test_precision_counts_over_all_places_also_those_left_empty():
    assert [metrics.precision_at(k)(RANKING, GOLD) for k in (1, 2, 4, 10)] == [0, 1 / 2, 2 / 4, 2 / 10]


def test_reciprocal_rank_is_that_of_the_first_relevant_document():
    assert metrics.reciprocal_rank(RANKING, GOLD) == 1 / 2
    assert metrics.reciprocal_rank(RANKING, {"z": 1.0}) == 0.0


def test_average_precision_sums_precision_at_each_relevant_rank():
    assert metrics.average_precision(RANKING, GOLD) == pytest.approx((1 / 2 + 2 / 4) / 3)


def test_ndcg_discounts_by_the_logarithm_of_rank_plus_one():
    ideal = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    found = 1 / math.log2(3) + 1 / math.log2(5)
    assert metrics.ndcg_at(10)(RANKING, GOLD) == pytest.approx(found / ideal)
    # At cutoff 2 the best possible ranking has two relevant documents, not three.
    assert metrics.ndcg_at(2)(RANKING, GOLD) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


def test_ndcg_uses_the_gains_given():
    assert metrics.ndcg_at(2)(["a", "b"], {"a": 1, "b": 3}) == pytest.approx(
        (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    )


def test_a_gain_of_zero_is_not_relevant():
    assert metrics.hit_at(5)(RANKING, {"a": 0.0, "b": 1.0}) == 1.0
    assert metrics.reciprocal_rank(RANKING, {"a": 0.0, "b": 1.0}) == 1 / 2


@pytest.mark.parametrize("gold", [{}, {"a": 0.0}])
def test_a_question_without_relevant_documents_is_refused(gold):
    for metric in (metrics.hit_at(1), metrics.recall_at(1), metrics.ndcg_at(1), metrics.reciprocal_rank,
                   metrics.average_precision):  # fmt: skip
        with pytest.raises(ValueError, match="without relevant documents"):
            metric(RANKING, gold)


def test_a_cutoff_below_one_is_refused():
    for make in (metrics.hit_at, metrics.recall_at, metrics.precision_at, metrics.ndcg_at):
        with pytest.raises(ValueError, match="at least 1"):
            make(0)


def test_all_agree_with_trec_eval_on_random_runs():
    """trec_eval sorts by score itself, so the runs here have falling, distinct scores."""
    ir_measures = pytest.importorskip("ir_measures")
    random = np.random.default_rng(5)
    qrels, run, ours = [], [], {}
    pairs = {
        ir_measures.Success @ 5: metrics.hit_at(5),
        ir_measures.R @ 5: metrics.recall_at(5),
        ir_measures.P @ 5: metrics.precision_at(5),
        ir_measures.nDCG @ 10: metrics.ndcg_at(10),
        ir_measures.RR: metrics.reciprocal_rank,
        ir_measures.AP: metrics.average_precision,
    }
    for number in range(200):
        query = f"q{number}"
        documents = [f"d{i}" for i in random.permutation(40)]
        ranking = documents[: random.integers(1, 30)]
        gold = {d: float(random.integers(1, 4)) for d in documents if random.random() < 0.1} or {"d0": 1.0}
        qrels += [ir_measures.Qrel(query, document, int(gain)) for document, gain in gold.items()]
        run += [ir_measures.ScoredDoc(query, d, 100.0 - rank) for rank, d in enumerate(ranking)]
        ours.update({(str(name), query): metric(ranking, gold) for name, metric in pairs.items()})
    theirs = list(ir_measures.pytrec_eval.iter_calc(list(pairs), qrels, run))
    assert len(theirs) == len(ours) == 200 * len(pairs)
    for found in theirs:
        assert ours[str(found.measure), found.query_id] == pytest.approx(found.value, abs=1e-9)


def test_bootstrap_brackets_the_mean_and_repeats():
    values = np.array([0.0, 1.0] * 50)
    found = metrics.bootstrap(values, seed=3)
    assert found == metrics.bootstrap(values, seed=3)
    assert (found.mean, found.n) == (0.5, 100)
    # The standard error of 100 coin flips is 0.05, so the 95 % interval is about 0.5 +- 0.098.
    assert found.low == pytest.approx(0.402, abs=0.02)
    assert found.high == pytest.approx(0.598, abs=0.02)


def test_bootstrap_of_equal_values_is_a_point():
    found = metrics.bootstrap(np.full(10, 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_bootstrap_narrows_with_confidence():
    values = np.linspace(0, 1, 30)
    wide, narrow = metrics.bootstrap(values), metrics.bootstrap(values, confidence=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_compare_finds_no_difference_between_a_run_and_itself():
    values = np.linspace(0, 1, 20)
    found = metrics.compare(values, values)
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_compare_gives_a_steady_difference_a_small_p_and_is_antisymmetric():
    first, second = np.full(12, 0.75), np.full(12, 0.5)
    found, back = metrics.compare(first, second), metrics.compare(second, first)
    assert (found.mean, back.mean) == (0.25, -0.25)
    # All 12 signs must agree to reach as much: 2 chances in 2^12.
    assert found.p == back.p < 0.01


def test_compare_p_is_the_share_of_sign_assignments_as_large():
    """Gaps 1 and 1: sums are 2, 0, 0, -2, so half of the assignments reach |2|."""
    found = metrics.compare(np.array([1.0, 1.0]), np.array([0.0, 0.0]), resamples=4_000)
    assert found.p == pytest.approx(0.5, abs=0.03)


def test_auroc_by_hand():
    """Pairs (3,2) (3,0) (1,2) (1,0): three of four are ordered right."""
    assert metrics.auroc(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.75
    assert metrics.auroc(np.array([1.0]), np.array([1.0])) == 0.5


def test_the_interval_of_auroc_brackets_it_and_repeats():
    """Of 20 against 20 whose order is right in 3 of 4 pairs; Hanley & McNeil's standard error is .077."""
    positives, negatives = np.repeat([3.0, 1.0], 10), np.repeat([2.0, 0.0], 10)
    found = metrics.bootstrap_auroc(positives, negatives, seed=2)
    assert found == metrics.bootstrap_auroc(positives, negatives, seed=2)
    assert (found.mean, found.n) == (0.75, 40)
    assert found.high - found.mean == pytest.approx(1.96 * 0.077, abs=0.05)
    assert found.mean - found.low == pytest.approx(1.96 * 0.077, abs=0.05)


def test_the_interval_of_a_perfect_auroc_is_a_point():
    found = metrics.bootstrap_auroc(np.array([1.0, 2.0]), np.array([0.0]))
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
)
def test_auroc_is_the_share_of_ordered_pairs(positives, negatives):
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    found = metrics.auroc(np.array(positives, float), np.array(negatives, float))
    assert found == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("call", [
    lambda: metrics.bootstrap(np.array([])),
    lambda: metrics.compare(np.array([]), np.array([])),
    lambda: metrics.auroc(np.array([]), np.array([1.0])),
    lambda: metrics.auroc(np.array([1.0]), np.array([])),
    lambda: metrics.bootstrap_auroc(np.array([]), np.array([1.0])),
])  # fmt: skip
def test_nothing_to_average_is_refused(call):
    with pytest.raises(ValueError, match="no values"):
        call()


def test_runs_of_different_length_are_not_compared():
    with pytest.raises(ValueError, match="same questions"):
        metrics.compare(np.zeros(2), np.zeros(3))
