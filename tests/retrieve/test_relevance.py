"""Relevance is a probability that grows with either leg."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.retrieve.relevance import BIAS, COSINE, COVERAGE, MARGIN, MAX_MARGIN, probability

unit = st.floats(0, 1)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_the_logit_is_linear_in_cosine_root_of_coverage_and_margin():
    assert logit(probability(0.5, 0.25)) == pytest.approx(BIAS + COSINE * 0.5 + COVERAGE * 0.5)
    more = logit(probability(0.5, 0.25, -1.5)) - logit(probability(0.5, 0.25))
    assert more == pytest.approx(-1.5 * MARGIN)


def test_a_margin_beyond_the_largest_says_no_more():
    assert probability(0.3, 0.1, -50.0) == probability(0.3, 0.1, -MAX_MARGIN)
    assert probability(0.3, 0.1, 50.0) == probability(0.3, 0.1, MAX_MARGIN)


@given(unit, unit, unit, unit)
def test_more_of_either_is_never_less_relevant(cosine, more_cosine, share, more_share):
    low = probability(min(cosine, more_cosine), min(share, more_share))
    high = probability(max(cosine, more_cosine), max(share, more_share))
    assert 0 < low <= high < 1


@pytest.mark.parametrize(
    ("cosine", "share", "answers"),
    [
        (0.44, 0.18, True),  # a short question that shares one of its words with its note
        (0.45, 0.0, False),  # a French question against another French text: close by language alone
        (0.12, 0.0, False),
        (0.30, 0.45, True),  # names and numbers found, though the embedder sees little
    ],
)
def test_at_one_half_language_alone_is_not_an_answer(cosine, share, answers):
    assert (probability(cosine, share) >= 0.5) is answers
