"""Marks move weights only as far as they foretell later marks, and every step can be taken back."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ragperso.learn.weights import (
    BOUND,
    HALF_LIFE_DAYS,
    MIN_MARKS,
    Learned,
    Mark,
    learn,
    marks_of,
    reset,
    reset_at,
    weights_of,
)
from ragperso.store import Store
from ragperso.types import Feedback, Interaction, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def marks(values: list[tuple[str, float]], *, each: timedelta = timedelta(hours=1)) -> list[Mark]:
    return [Mark({arm: 1.0}, value, NOW + n * each) for n, (arm, value) in enumerate(values)]


def consistent(n: int, *, good: str = "source:a", bad: str = "source:b") -> list[Mark]:
    return marks([(good, 1.0) if i % 2 else (bad, 0.0) for i in range(n)])


def passages(given: list[Mark], now: datetime = NOW + DAY) -> Learned:
    return learn(given, now).learned[0]


def test_the_first_mark_moves_its_arm_by_one_newton_step() -> None:
    # Prior variances: source 1, bias 1.5^2 = 2.25; p = 1/2, slope = 1/4, spread = 3.25:
    # w = 1 * (1 - 1/2) / (1 + 3.25 / 4).
    given = [Mark({"source:a": 1.0}, 1.0, NOW)]
    (arm,) = passages(given, NOW).arms
    assert arm.weight == pytest.approx(0.5 / (1 + 3.25 / 4))
    assert (arm.name, arm.n_marks, arm.n_good) == ("source:a", 1.0, 1.0)


def test_a_consistent_preference_is_in_force_and_bounded_on_both_sides() -> None:
    weights = learn(consistent(40), NOW + DAY)
    assert weights.values["source:a"] == pytest.approx(BOUND)
    assert weights.values["source:b"] == pytest.approx(-BOUND)
    assert weights.learned[0].is_in_force
    assert "foretold later marks" in weights.learned[0].reason


def test_too_few_marks_teach_nothing_however_clear() -> None:
    weights = learn(consistent(MIN_MARKS - 1), NOW + DAY)
    assert weights.values == {}
    assert weights.learned[0].reason == "9 marks: 10 are needed before anything is learned"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_someone_who_says_the_same_of_everything_changes_nothing(value: float) -> None:
    given = marks([(f"source:{'abc'[n % 3]}", value) for n in range(60)])
    weights = learn(given, NOW + 3 * DAY)
    assert weights.values == {}
    assert weights.learned[0].reason == "60 marks: no pattern that holds on later marks"


def test_marks_at_random_are_in_force_about_as_seldom_as_the_confidence_says() -> None:
    n_believed = 0
    for seed in range(200):
        draw = random.Random(seed)
        given = marks([(f"source:{draw.choice('ab')}", float(draw.random() < 0.5)) for _ in range(30)])
        n_believed += passages(given).is_in_force
    assert n_believed <= 20  # one-sided 95 %: 10 expected, 20 is three standard deviations more


def test_a_pattern_that_turned_round_is_not_believed_until_it_holds_again() -> None:
    turned = marks(
        [("source:a", 1.0) if n % 2 else ("source:b", 0.0) for n in range(20)]
        + [("source:a", 0.0) if n % 2 else ("source:b", 1.0) for n in range(14)]
    )
    assert passages(turned[:20]).is_in_force
    assert not passages(turned).is_in_force


def test_weights_fade_by_half_in_a_half_life() -> None:
    given = marks([("source:a", 1.0), ("source:b", 0.0)], each=timedelta(0))
    at_once = {arm.name: arm.weight for arm in passages(given, NOW).arms}
    later = {arm.name: arm.weight for arm in passages(given, NOW + timedelta(days=HALF_LIFE_DAYS)).arms}
    assert later["source:a"] == pytest.approx(at_once["source:a"] / 2)
    assert later["source:b"] == pytest.approx(at_once["source:b"] / 2)


def test_marks_far_apart_are_learned_as_the_textbook_says() -> None:
    # One source and the bias, three marks a half-life apart, decayed before each step.
    prior = [1.0, 1.5**2]
    mean, variance = [0.0, 0.0], list(prior)
    for n, value in enumerate((1.0, 1.0, 0.0)):
        if n:
            mean = [m / 2 for m in mean]
            variance = [p - (p - v) / 4 for p, v in zip(prior, variance, strict=True)]
        p = 1 / (1 + math.exp(-sum(mean)))
        slope, spread = p * (1 - p), sum(variance)
        mean = [m + v * (value - p) / (1 + slope * spread) for m, v in zip(mean, variance, strict=True)]
        variance = [v - v * v * slope / (1 + slope * spread) for v in variance]
    each = timedelta(days=HALF_LIFE_DAYS)
    given = marks([("source:a", 1.0), ("source:a", 1.0), ("source:a", 0.0)], each=each)
    (arm,) = passages(given, NOW + 2 * each).arms
    assert arm.weight == pytest.approx(mean[0])


def test_credit_is_shared_by_how_little_is_known_of_each_arm() -> None:
    (source, document) = passages([Mark({"source:a": 1.0, "document:a/x": 1.0}, 1.0, NOW)], NOW).arms
    assert source.weight / document.weight == pytest.approx((1.0 / 0.2) ** 2)  # the prior variances


def test_weights_are_a_function_of_the_marks_alone() -> None:
    given = consistent(30)
    assert learn(given, NOW + DAY) == learn(list(given), NOW + DAY)
    assert learn(given[:-1], NOW + DAY) != learn(
        given, NOW + DAY
    )  # the last mark counts, and can be taken back
    assert learn([], NOW).values == {}


def test_sources_and_registers_are_judged_apart() -> None:
    both = [
        Mark({**one.arms, f"register:{'mail' if n % 3 else 'note'}": 1.0}, one.value, one.at)
        for n, one in enumerate(consistent(30))
    ]
    about_passages, about_exemplars = learn(both, NOW + DAY).learned
    assert about_passages.is_in_force
    assert not about_exemplars.is_in_force


def test_a_clock_that_goes_backwards_and_one_of_centuries_do_no_harm() -> None:
    wild = [
        Mark({"source:a": 1.0}, 1.0, NOW),
        Mark({"source:a": 1.0}, 1.0, NOW - 400 * DAY),
        Mark({"source:a": 1.0}, 0.0, datetime(9000, 1, 1, tzinfo=timezone.utc)),
        Mark({"source:a": 1.0}, 0.0, None),
        Mark({"source:a": 1.0}, 0.0, datetime(2026, 3, 2)),
    ]
    assert all(math.isfinite(arm.weight) for arm in passages(wild).arms)


# ---------------------------------------------------------------- stored marks


def stored(verdict: Verdict, detail: object, n: int = 0, id: str = "") -> Feedback:
    return Feedback(id or f"I{n}", verdict, "", NOW + n * DAY, json.dumps(detail))


def test_good_bad_and_edited_become_marks_and_an_edit_counts_as_far_as_it_kept_the_answer() -> None:
    arms = {"source:a": 1.0}
    given = [
        stored("good", {"arms": arms}, 1),
        stored("bad", {"arms": arms}, 2),
        stored("edited", {"arms": arms, "kept": 0.8}, 3),
    ]
    assert [(m.value, m.is_pair) for m in marks_of(given)] == [(1.0, False), (0.0, False), (0.8, False)]


def test_the_last_verdict_of_an_exchange_counts_and_followed_citations_beside_it() -> None:
    given = [
        stored("good", {"arms": {"source:a": 1.0}}, 1, "I"),
        stored("followed", {"labels": ["2"], "pairs": [{"source:b": 1.0, "source:a": -1.0}]}, 2, "I"),
        stored("bad", {"arms": {"source:a": 1.0}}, 3, "I"),
    ]
    assert [(m.value, m.is_pair) for m in marks_of(given)] == [(1.0, True), (0.0, False)]


@pytest.mark.parametrize(
    "detail",
    ["", "{", "[]", "null", '{"arms": 3}', '{"arms": {"source:a": "x"}}', '{"arms": {"unheard:of": 1}}',
     '{"arms": {"source:a": NaN}}', '{"arms": {"source:a": true}}'],
)  # fmt: skip
def test_marks_without_usable_evidence_do_not_count(detail: str) -> None:
    assert marks_of([Feedback("I", "good", "", NOW, detail)]) == []


def test_followed_citations_alone_teach_what_is_preferred() -> None:
    pair = {"labels": ["2"], "pairs": [{"source:b": 1.0, "source:a": -1.0}]}
    weights = learn(marks_of([stored("followed", pair, n) for n in range(20)]), NOW + 20 * DAY)
    assert weights.values["source:b"] > 0.5
    assert weights.values["source:a"] < -0.5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    for n in range(30):
        store.put_interaction(Interaction(f"I{n}", "s", NOW, "q", "q", "a", False, "m"))
        told = {"arms": {"source:a" if n % 2 else "source:b": 1.0}}
        store.put_feedback(stored("good" if n % 2 else "bad", told, n), NOW + n * DAY)
    yield store
    store.close()


def test_a_reset_stops_old_marks_from_counting_and_is_undone(store: Store) -> None:
    later = NOW + 40 * DAY
    before = weights_of(store, later)
    assert before.values["source:a"] > 0.5
    assert reset(store, later) == later
    assert weights_of(store, later).values == {}
    assert len(store.feedback()) == 30
    assert reset(store, later, undo=True) is None
    assert weights_of(store, later) == before
    assert reset(store, later, undo=True) is None  # there is no other one
    assert reset_at(store) is None
