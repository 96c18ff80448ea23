"""Relevance is a probability that grows with either leg."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.retrieve.relevance import BIAS, COSINE, COVERAGE, relevance

unit = st.floats(0, 1)


def test_the_logit_is_linear_in_cosine_and_in_the_root_of_coverage():
    likely = relevance({"dense": 0.5, "lexical": 0.25})
    assert math.log(likely / (1 - likely)) == pytest.approx(BIAS + COSINE * 0.5 + COVERAGE * 0.5)


def test_a_retriever_that_did_not_see_the_hit_counts_zero():
    assert relevance({"dense": 0.4}) == relevance({"dense": 0.4, "lexical": 0.0})
    assert relevance({}) == relevance({"dense": 0.0, "lexical": 0.0}) < 0.01


@given(unit, unit, unit, unit)
def test_more_of_either_is_never_less_relevant(cosine, more_cosine, share, more_share):
    low = {"dense": min(cosine, more_cosine), "lexical": min(share, more_share)}
    high = {"dense": max(cosine, more_cosine), "lexical": max(share, more_share)}
    assert 0 < relevance(low) <= relevance(high) < 1


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
    assert (relevance({"dense": cosine, "lexical": share}) >= 0.5) is answers
