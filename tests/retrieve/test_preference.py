"""What helped comes earlier, by a bounded step, and nothing is lost."""

from __future__ import annotations

import math

import pytest

from ragperso.retrieve.preference import (
    BOUND,
    arms_of_hit,
    liking,
    multiplier,
    multipliers,
    prefer,
    signals_of,
)
from ragperso.types import (
    Chunk,
    ChunkId,
    DocumentId,
    Exemplar,
    Hit,
    LedgerItem,
    Leg,
    Passage,
    Prompt,
    Section,
)


def hit(number: int, document: str, score: float, **given: object) -> Hit:
    chunk = Chunk(ChunkId(number), DocumentId(number), "documents", 0, 0, 4, 1, "text", document=document)
    fields = {"rank": number, "score": score, "chunk": chunk, "via": {}, **given}
    return Hit(**fields)  # type: ignore[arg-type]


FIVE = [hit(n, f"{'ab'[n % 2]}/{n}.md", score) for n, score in enumerate((5.0, 4.0, 3.0, 2.0, 1.0), start=1)]


def test_arms_of_a_hit_are_its_corpus_folders_document_and_what_gave_the_score() -> None:
    why = {
        "lexical": 2.0,
        "turn.near_lexical": 1.0,
        "dense": 1.0,
        "passage.group_size": -3.0,
        "preference": 9.0,
    }
    arms = arms_of_hit(hit(1, "notes/home/coffee.md", 3.0, why=why))
    assert arms == {
        "corpus:documents": 1.0,
        "document:notes/home/coffee.md": 1.0,
        "source:notes/home": pytest.approx(1 / math.sqrt(2)),
        "source:notes": pytest.approx(1 / math.sqrt(2)),
        "leg:lexical": 0.75,  # (2 + 1) of 4; what was taken off and earlier preferences are no evidence
        "leg:dense": 0.25,
    }


def test_without_reasons_the_legs_share_by_rank_and_without_folders_there_is_no_source() -> None:
    arms = arms_of_hit(hit(1, "coffee.md", 1.0, via={"dense": Leg(1, 0.9), "lexical": Leg(3, 4.0)}))
    assert arms["leg:dense"] == pytest.approx(0.75)  # 1 against 1/3
    assert arms["leg:lexical"] == pytest.approx(0.25)
    assert not [arm for arm in arms if arm.startswith("source:")]


def test_a_hostile_name_stays_short() -> None:
    arms = arms_of_hit(hit(1, "x/" * 150_000 + "\ud800.md", 1.0))
    assert max(map(len, arms)) < 200


def test_without_weights_or_with_the_same_liking_the_list_is_the_very_same() -> None:
    assert prefer(FIVE, {}, 1.0) is FIVE
    assert prefer(FIVE, {"source:a": 0.5}, 0.0) is FIVE
    assert prefer(FIVE, {"corpus:documents": 0.5}, 1.0) is FIVE  # all are of it
    assert prefer(FIVE, {"source:elsewhere": 0.5}, 1.0) is FIVE


def test_a_preferred_source_passes_what_is_little_better() -> None:
    # Quartiles of 1..5 are 2 and 4, so a unit is 2; "a" holds 2 and 4, with +0.3 and "b" with -0.3.
    found = prefer(FIVE, {"source:a": 0.3, "source:b": -0.3}, 1.0)
    assert [(h.chunk.id, h.rank) for h in found] == [(2, 1), (1, 2), (4, 3), (3, 4), (5, 5)]
    assert [h.score for h in found] == pytest.approx([4.6, 4.4, 2.6, 2.4, 0.4])
    assert found[0].why == {"preference": pytest.approx(0.6)}
    assert [h.rank for h in FIVE] == [1, 2, 3, 4, 5]  # the given hits are as they were


def test_no_weight_lifts_past_what_is_far_better() -> None:
    found = prefer(FIVE, {"source:a": 99.0, "source:b": -99.0}, 1.0, scale=1.0)
    # 2 * BOUND = 1.386: it passes what was 1 better, never what was 3 better, and all five are there.
    assert [h.chunk.id for h in found] == [2, 1, 4, 3, 5]
    assert found[0].score == pytest.approx(4.0 + BOUND)
    assert max(h.relevance for h in found) == max(h.relevance for h in FIVE)


def test_equal_scores_go_by_preference_then_as_given() -> None:
    level = [hit(1, "b/1.md", 1.0), hit(2, "a/2.md", 1.0), hit(3, "b/3.md", 1.0), hit(4, "a/4.md", 1.0)]
    assert [h.chunk.id for h in prefer(level, {"source:a": 0.1}, 1.0)] == [2, 4, 1, 3]


def test_signals_name_what_got_into_the_prompt_and_nothing_else() -> None:
    passage = Passage("1", ChunkId(2), "a/2.md", 0, 4, "text")
    mail = Exemplar("m1", "text", register="mail", audience="ben")
    note = Exemplar("n1", "text", register="note")
    items = (LedgerItem("exemplar m1", 3), LedgerItem("exemplar n1", 3))
    prompt = Prompt((), (Section("exemplars", 6, items),), (), 10, 20, "q", (passage,))
    signals = signals_of(prompt, FIVE, [mail, note, Exemplar("dropped", "text", register="post")])
    assert signals == {
        "1": {"corpus:documents": 1.0, "document:a/2.md": 1.0, "source:a": 1.0},
        "exemplars": {
            "register:mail": 0.5, "audience:ben": 0.5, "exemplar:m1": 0.5,
            "register:note": 0.5, "exemplar:n1": 0.5,
        },
    }  # fmt: skip


def test_exemplars_get_multipliers_between_a_half_and_two() -> None:
    weights = {"register:mail": 9.0, "exemplar:x": -0.1, "source:a": 0.5}
    assert multipliers(weights) == {
        "register:mail": pytest.approx(2.0),
        "exemplar:x": pytest.approx(math.exp(-0.1)),
    }
    assert multiplier(Exemplar("x", "", register="mail"), weights) == pytest.approx(2.0)
    assert multiplier(Exemplar("y", "", register="note"), weights) == 1.0
    assert liking({"a": 1.0, "b": 0.5}, {"a": 0.2, "b": 0.2}) == pytest.approx(0.3)
