"""Who wrote a text, told by character n-grams; shares with intervals that hold for few."""

from __future__ import annotations

import pytest

from ragperso.errors import NotEnoughData
from ragperso.evaluate import authorship

LOUD = [
    "Hi!! The soup was great!! See you on monday!!",
    "Hi!! Could you bring the ladder?? Thanks!!",
    "Hi!! No time today, sorry!! Call me!!",
    "Hi!! The train is late again!! Typical!!",
    "Hi!! Found your keys!! They were in the coat!!",
]
CALM = [
    "Dear all, the soup was served at noon; we thank the kitchen.",
    "Dear all, kindly bring the ladder; it is needed on Monday.",
    "Dear all, the meeting is moved; please note the new hour.",
    "Dear all, the train was late; the delegation arrives at ten.",
    "Dear all, a set of keys was found; it lies at the desk.",
]


def test_each_text_is_known_by_its_manner_not_its_topic() -> None:
    judge = authorship.train({"loud": LOUD, "calm": CALM})
    assert judge.people == ("calm", "loud")
    assert judge.author("Hi!! The desk is at ten, note the new hour!!") == "loud"
    assert judge.author("Dear all, no time today; call me on Monday.") == "calm"


def test_someone_who_wrote_more_is_not_named_more() -> None:
    # 40 texts against 5: without weights even loud's own greeting falls to the many.
    judge = authorship.train({"loud": LOUD, "calm": [f"{text} {i}" for i in range(8) for text in CALM]})
    assert [judge.author(text) for text in LOUD] == ["loud"] * 5
    assert judge.author("Hi") == "loud"


def test_a_text_without_letters_and_a_huge_one_get_an_author() -> None:
    judge = authorship.train({"loud": LOUD, "calm": CALM})
    for text in ("", "\ud800", "x" * 300_000, " " * 300_000):
        assert judge.author(text) in ("loud", "calm")


def test_two_people_with_a_few_texts_are_needed() -> None:
    with pytest.raises(NotEnoughData, match="two people"):
        authorship.train({"loud": LOUD, "calm": CALM[:3]})


def test_no_text_stands_in_the_repr() -> None:
    assert "Dear" not in repr(authorship.train({"loud": LOUD, "calm": CALM}))


def test_wilson_by_hand() -> None:
    # z = 1.96, n = 10, p = .8: centre (.8 + .19208) / 1.384158 = .71674,
    # half 1.96 / 1.384158 * sqrt(.016 + .0096036) = .2266 (the numbers of Brown, Cai & DasGupta's formula 4)
    found = authorship.share(8, 10)
    assert found.share == 0.8
    assert found.low == pytest.approx(0.4902, abs=2e-4)
    assert found.high == pytest.approx(0.9433, abs=2e-4)
    # None right of n: the upper end is z^2 / (n + z^2) = 3.8415 / 11.8415.
    assert authorship.share(0, 8).low == 0.0
    assert authorship.share(0, 8).high == pytest.approx(0.32441, abs=1e-4)
    assert (authorship.share(0, 0).low, authorship.share(0, 0).high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="part"):
        authorship.share(3, 2)
