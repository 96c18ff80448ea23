"""Stage 5: what each part did to an answer, with a scorer whose figures are sums done by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ragperso.generate.influence import Measured, measure
from ragperso.types import Message, Scored, Sentence

# Two tokens in the first sentence, three in the second; "ü" and "ß" are two bytes each.
ANSWER = "Grüß Gott. It is red."
TOKENS = ("Grüß", " Gott.", " It", " is", " red.")
FIRST, SECOND = Sentence(0, 10, "1", 1.0), Sentence(11, 21, "2", 1.0)
SECTIONS = (
    ("profile", ["style 1"]),
    ("exemplars", ["exemplar a", "exemplar b"]),
    ("passages", ["[1] a", "[2] b"]),
)
PARTS = [item for _, items in SECTIONS for item in items]

# What each part adds to each token's log-probability, in nats.  [1] spoke against the last token; a and b say
# the same: either will do, so leaving one out costs nothing.
WORTH = {
    "style 1": (0.5, 0.25, 0.0, 0.0, 0.0),
    "[1] a": (2.0, 1.0, 0.0, 0.0, -0.5),
    "[2] b": (0.0, 0.0, 0.0, 0.0, 4.0),
}
EITHER = (0.0, 0.0, 1.5, 0.0, 0.0)
BASE = -8.0


class Adds:
    """Scores by adding what the parts in the message are worth; a run takes as long as it is told to."""

    def __init__(self, seconds: Sequence[float] = ()) -> None:
        self.runs: list[list[str]] = []  # what each run was without
        self.seconds = list(seconds)
        self.time = 100.0

    def clock(self) -> float:
        return self.time

    @staticmethod
    def render(without: frozenset[str]) -> list[Message]:
        return [Message("user", "\n".join(part for part in PARTS if part not in without))]

    def score(self, messages: Sequence[Message], text: str) -> Scored:
        assert text == ANSWER
        shown = messages[0].content.split("\n")
        self.runs.append([part for part in PARTS if part not in shown])
        self.time += self.seconds.pop(0) if self.seconds else 0.0
        logprobs = [BASE] * len(TOKENS)
        for part in shown:
            logprobs = [a + b for a, b in zip(logprobs, WORTH.get(part, (0.0,) * 5), strict=True)]
        if {"exemplar a", "exemplar b"} & set(shown):
            logprobs = [a + b for a, b in zip(logprobs, EITHER, strict=True)]
        ends, at = [], 0
        for token in TOKENS:
            at += len(token.encode())
            ends.append(at)
        return Scored(tuple(logprobs), at, tuple(ends))

    def measure(
        self,
        budget_s: float = 10.0,
        sections: Sequence[tuple[str, Sequence[str]]] = SECTIONS,
        sentences: Sequence[Sentence] = (FIRST, SECOND),
    ) -> Measured:
        return measure(
            ANSWER,
            sentences,
            sections,
            render=self.render,
            score=self.score,
            budget_s=budget_s,
            clock=self.clock,
        )


def test_the_figures_are_what_each_part_adds() -> None:
    found = Adds().measure()
    assert [(p.section, p.item, p.is_section, p.nats, p.by_sentence) for p in found.parts] == [
        ("profile", "style 1", False, 0.75, (0.75, 0.0)),
        ("exemplars", "exemplars", True, 1.5, (0.0, 1.5)),
        ("exemplars", "exemplar a", False, 0.0, (0.0, 0.0)),  # the other one still says it
        ("exemplars", "exemplar b", False, 0.0, (0.0, 0.0)),
        ("passages", "passages", True, 6.5, (3.0, 3.5)),
        ("passages", "[1] a", False, 2.5, (3.0, -0.5)),
        ("passages", "[2] b", False, 4.0, (0.0, 4.0)),
    ]
    assert found.whole.total == 5 * BASE + 0.75 + 2.5 + 4.0 + 1.5
    assert found.n_left == 0


def test_what_stands_last_is_left_out_first() -> None:
    """Each run shares the longest beginning with the one before it, so that the least is read again."""
    scorer = Adds()
    scorer.measure()
    assert scorer.runs == [
        [],
        ["[2] b"],
        ["[1] a"],
        ["exemplar a", "exemplar b"],
        ["exemplar b"],
        ["exemplar a"],
        ["style 1"],
        ["[1] a", "[2] b"],
    ]


def test_there_is_no_run_for_what_has_no_parts() -> None:
    scorer = Adds()
    found = scorer.measure(sections=(("profile", []), ("passages", ["[1] a"]), ("conversation", [])))
    assert scorer.runs == [[], ["[1] a"]]
    assert [(part.item, part.nats) for part in found.parts] == [("[1] a", 2.5)]
    assert Adds().measure(sections=()).parts == ()


def test_a_sentence_without_a_token_of_its_own_has_no_influence() -> None:
    """Blank, or inside one token: the sums of the others stay right."""
    blank, inside = Sentence(10, 11, None, 0.0), Sentence(12, 13, None, 0.0)
    found = Adds().measure(sentences=(FIRST, blank, inside, SECOND))
    assert found.parts[-1].by_sentence == (0.0, 0.0, 0.0, 4.0)
    assert found.parts[0].by_sentence == (0.75, 0.0, 0.0, 0.0)
    assert Adds().measure(sentences=()).parts[-1].by_sentence == ()


def test_what_there_is_no_time_for_has_no_figure() -> None:
    """1 s a run, 4 s in all, 1.3 s kept for the next: the whole, both passages, and no more."""
    scorer = Adds([1.0] * 8)
    found = scorer.measure(budget_s=4.0)
    assert scorer.runs == [[], ["[2] b"], ["[1] a"]]
    assert [(part.item, part.nats, part.by_sentence) for part in found.parts] == [
        ("style 1", None, ()),
        ("exemplars", None, ()),
        ("exemplar a", None, ()),
        ("exemplar b", None, ()),
        ("passages", None, ()),
        ("[1] a", 2.5, (3.0, -0.5)),
        ("[2] b", 4.0, (0.0, 4.0)),
    ]
    assert found.n_left == 5
    assert found.seconds == 3.0


@pytest.mark.parametrize("budget_s", [0.0, -5.0])
def test_one_part_is_measured_however_short_the_time(budget_s: float) -> None:
    scorer = Adds([3.0] * 8)
    found = scorer.measure(budget_s=budget_s)
    assert scorer.runs == [[], ["[2] b"]]
    assert [part.nats for part in found.parts] == [None] * 6 + [4.0]
