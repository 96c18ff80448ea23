"""How alike texts are written, with cosines worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ragperso.index.style import StyleIndex

TEXTS = ["a b", "a b b", "c"]


def test_cosines_by_words_are_those_of_the_formula() -> None:
    # N = 3; a and b are in two texts: idf = ln(4 / 3) + 1; c in one: ln(4 / 2) + 1.
    # "a b" is (1, 1) * idf; "a b b" is (1, 1 + ln 2) * idf; the idf is the same and cancels.
    by_words, _ = StyleIndex(TEXTS).scores("a b")
    twice = 1 + math.log(2)
    assert by_words == pytest.approx(
        [1.0, (1 + twice) / (math.sqrt(2) * math.hypot(1, twice)), 0.0], abs=1e-6
    )


def test_a_pair_counts_beside_its_words_when_two_texts_have_it() -> None:
    # "a b" is a pair of two texts, "b b" of one and is left out: (a, b, ab) = (1, 1, 1) and (1, 1 + ln 2, 1).
    _, by_both = StyleIndex(TEXTS).scores("a b")
    twice = 1 + math.log(2)
    expected = (2 + twice) / (math.sqrt(3) * math.sqrt(2 + twice**2))
    assert by_both == pytest.approx([1.0, expected, 0.0], abs=1e-6)


def test_rare_words_count_more() -> None:
    # c is in one of three texts, a in two: idf ln 2 + 1 against ln(4 / 3) + 1.
    by_words, _ = StyleIndex(["a", "a", "c"]).scores("a c")
    a, c = math.log(4 / 3) + 1, math.log(2) + 1
    assert by_words == pytest.approx([a / math.hypot(a, c)] * 2 + [c / math.hypot(a, c)], abs=1e-6)


def test_the_same_text_scores_one_by_both() -> None:
    texts = ["Well, I say: no!  No - never.", "He came; he saw, he left.", "Well, he never saw me!"]
    index = StyleIndex(texts)
    for place, text in enumerate(texts):
        by_words, by_both = index.scores(text)
        assert by_words[place] == pytest.approx(1.0, abs=1e-6)
        assert by_both[place] == pytest.approx(1.0, abs=1e-6)


def test_an_author_s_other_text_beats_a_stranger_s_on_the_same_subject() -> None:
    ana = "well, i guess the boat was fine... we sailed, and then, well, it rained... so yeah, we left..."
    ben = "The boat was fine. We sailed north. Then it rained. The harbour was full. We left."
    more = "well, the oven broke again... so yeah, i guess we eat out, and then, well, who knows..."
    by_words, by_both = StyleIndex([ana, ben]).scores(more)
    assert by_words[0] > by_words[1]
    assert by_both[0] > by_both[1]


def test_case_and_punctuation_tell_hands_apart() -> None:
    by_words, _ = StyleIndex(["Yes!", "yes..."]).scores("yes...")
    assert by_words == pytest.approx([0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize(
    ("texts", "text"), [([], "a"), ([""], "a"), (["", "  "], ""), (["a"], "zzz"), (["a"], "")]
)
def test_nothing_in_common_scores_zero(texts: list[str], text: str) -> None:
    for scores in StyleIndex(texts).scores(text):
        assert scores.tolist() == [0.0] * len(texts)
        assert scores.dtype == np.float32
