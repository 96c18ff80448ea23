"""Every number per chunk, by hand."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from ragperso.dates import TimeSpan
from ragperso.retrieve import evidence as module
from ragperso.retrieve.adaptive import FEATURES
from ragperso.retrieve.evidence import Asked, Evidence, Parts, is_named, years_of
from tests.retrieve.evidences import USUAL, corpus, piece, seen, turn

FIVE = [turn(i) for i in range(1, 6)]


def column(evidence: Evidence, name: str) -> list[float]:
    return [float(value) for value in evidence.features[name]]


def spread(*cosines: float) -> float:
    """Return the standard deviation with twenty chunks of the usual one beside them."""
    mean = sum(cosines) / len(cosines)
    return math.sqrt((sum((c - mean) ** 2 for c in cosines) + USUAL) / (len(cosines) + 20))


def z(of: float, *cosines: float) -> float:
    return (of - sum(cosines) / len(cosines)) / spread(*cosines)


# ---------------------------------------------------------------- both legs


def test_cosines_become_z_scores_with_a_shrunken_spread() -> None:
    # mean .3, sum of squares .04 + 0 + .04 = .08; (.08 + 20 * .0121) / 23 = .014
    evidence = seen(corpus([piece(1, 1), piece(2, 2), piece(3, 3)], [0.5, 0.3, 0.1]))
    expected = 0.2 / math.sqrt(0.014)
    assert column(evidence, "dense") == pytest.approx([expected, 0, -expected], abs=1e-4)
    assert evidence.cosine.tolist() == pytest.approx([0.5, 0.3, 0.1])


def test_bm25_becomes_a_share_of_a_perfect_match_and_is_eased() -> None:
    # Row 0: 2 * 1 + .5 = 2.5 of 5; row 1: 2 * .5 = 1 of 5; the best share is .5.
    words = [(2, {0: 1.0, 1: 0.5}), (1, {0: 0.5})]
    evidence = seen(corpus([piece(i, i) for i in (1, 2, 3)], [0.0] * 3, words=words, ceilings=[3.0, 2.0]))
    assert evidence.bm25.tolist() == pytest.approx([2.5, 1.0, 0.0])
    assert evidence.coverage.tolist() == pytest.approx([0.5, 0.2, 0.0])
    assert evidence.signals["best_coverage"] == pytest.approx(0.5)
    assert column(evidence, "lexical") == pytest.approx([0.5 / 0.5**0.75, 0.2 / 0.5**0.75, 0.0])


def test_a_perfect_match_is_one_of_the_eight_rarest_words() -> None:
    evidence = seen(corpus([piece(1, 1)], [0.0], words=[(1, {0: 4.0})], ceilings=[1.0] * 20))
    assert evidence.coverage.tolist() == pytest.approx([4 / 8])


def test_two_corpora_are_one() -> None:
    first = corpus([piece(1, 1), piece(2, 2)], [0.4, 0.2], words=[(1, {0: 1.0})], ceilings=[4.0])
    second = corpus([piece(1, 1)], [0.0], words=[(1, {0: 1.0})], ceilings=[2.0], name="history")
    evidence = seen(first, second)
    assert (evidence.corpora, evidence.sizes) == (("documents", "history"), (2, 1))
    assert evidence.ids.tolist() == [1, 2, 1]
    assert column(evidence, "dense") == pytest.approx(
        [z(c, 0.4, 0.2, 0.0) for c in (0.4, 0.2, 0.0)], abs=1e-5
    )
    # Shares .25 and .5 of the two perfect matches; .5 is the best of all.
    assert column(evidence, "lexical") == pytest.approx([0.25 / 0.5**0.75, 0, 0.5 / 0.5**0.75])


# ---------------------------------------------------------------- neighbours


def test_a_word_of_a_neighbour_counts_less_the_further_away_it_is() -> None:
    evidence = seen(corpus(FIVE, [0.0] * 5, words=[(1, {0: 1.0})]))
    assert evidence.near_coverage.tolist() == pytest.approx([1, 0.8, 0.65, 0.5, 0])
    assert column(evidence, "turn.near_lexical") == pytest.approx([1, 0.8, 0.65, 0.5, 0])
    assert column(evidence, "turn.group_lexical") == pytest.approx([1] * 5)
    assert column(evidence, "passage.near_lexical") == [0] * 5


def test_of_a_word_said_here_and_beside_the_larger_counts_and_two_words_add_up() -> None:
    words = [(1, {0: 0.5, 1: 0.1}), (1, {2: 1.0})]
    evidence = seen(corpus(FIVE[:3], [0.0] * 3, words=words, ceilings=[2.0]))
    # Row 1: max(.1, .8 * .5) + .8 * 1 = 1.2; row 0: .5 + .65; row 2: max(.8 * .1, .65 * .5) + 1.
    assert evidence.near_coverage.tolist() == pytest.approx([1.15 / 2, 1.2 / 2, 1.325 / 2])
    # The conversation holds .5 of the one word and 1 of the other.
    assert column(evidence, "turn.group_lexical")[0] == pytest.approx(0.75 / 0.75**0.75)


def test_another_conversation_is_no_neighbour() -> None:
    rows = [turn(1), turn(2), turn(3, thread="other"), turn(4, thread="other")]
    evidence = seen(corpus(rows, [0.0] * 4, words=[(1, {1: 1.0})]))
    assert evidence.near_coverage.tolist() == pytest.approx([0.8, 1, 0, 0])
    assert column(evidence, "turn.group_lexical") == pytest.approx([1, 1, 0, 0])


def test_the_chunks_of_a_document_are_neighbours_and_no_turns() -> None:
    evidence = seen(corpus([piece(1, 1), piece(2, 1, 50), piece(3, 2)], [0.0] * 3, words=[(1, {0: 1.0})]))
    assert column(evidence, "passage.near_lexical") == pytest.approx([1, 0.8, 0])
    assert column(evidence, "passage.group_lexical") == pytest.approx([1, 1, 0])
    assert column(evidence, "passage.group_size") == pytest.approx([math.log(2)] * 2 + [0])
    assert column(evidence, "turn.near_lexical") == column(evidence, "turn.dense") == [0] * 3


def test_near_dense_is_the_weighted_mean_of_three_on_each_side() -> None:
    cosines = [0.5, 0.1, 0.1, 0.1, 0.2]
    evidence = seen(corpus(FIVE, cosines))
    s = [z(c, *cosines) for c in cosines]
    # 1, .7 and .5 on either side, divided by 2 * 2.2; a place beyond the end counts as 0.
    expected = [
        (s[1] + 0.7 * s[2] + 0.5 * s[3]) / 4.4,
        (s[0] + s[2] + 0.7 * s[3] + 0.5 * s[4]) / 4.4,
        (s[1] + s[3] + 0.7 * (s[0] + s[4])) / 4.4,
    ]
    assert column(evidence, "turn.near_dense")[:3] == pytest.approx(expected, abs=1e-4)
    assert column(evidence, "turn.group_dense") == pytest.approx([max(s)] * 5, abs=1e-4)


def test_conversations_of_one_turn_have_no_context() -> None:
    evidence = seen(corpus([turn(1, thread="a"), turn(2, thread="b")], [0.4, 0.2]))
    assert column(evidence, "turn.near_dense") == [0, 0]
    assert column(evidence, "turn.group_dense") == column(evidence, "dense")


def test_questions_and_their_answers_are_marked() -> None:
    evidence = seen(corpus([turn(1, tail="why?"), turn(2), turn(3)], [0.0] * 3))
    assert column(evidence, "turn.asks") == [1, 0, 0]
    assert column(evidence, "turn.answers") == [0, 1, 0]


def test_length_is_the_log_of_at_most_ninety_tokens() -> None:
    rows = [turn(1, tokens=31), turn(2, tokens=90), turn(3, tokens=500), piece(4, 4)]
    found = column(seen(corpus(rows, [0.0] * 4)), "turn.length")
    assert found == pytest.approx([math.log(32) - 3.5, math.log(91) - 3.5, math.log(91) - 3.5, 0])


# ---------------------------------------------------------------- filters


def test_what_a_filter_excludes_has_no_row_and_is_no_context() -> None:
    words = [(1, {1: 1.0, 2: 0.5})]
    whole = corpus([turn(1), turn(2, tail="why?"), turn(3)], [0.1, 0.9, 0.2], words=words, allowed=[1, 3, 99])
    evidence = seen(whole)
    assert (evidence.ids.tolist(), evidence.sizes) == ([1, 3], (2,))
    assert evidence.bm25.tolist() == [0.0, 0.5]
    # Turn 3 is two away from turn 1; turn 2, which says the word too, is not there.
    assert evidence.near_coverage.tolist() == pytest.approx([0.65 * 0.5, 0.5])
    assert evidence.signals["best_coverage"] == 0.5
    scores = [z(0.1, 0.1, 0.2), z(0.2, 0.1, 0.2)]
    assert column(evidence, "dense") == pytest.approx(scores, abs=1e-5)
    assert column(evidence, "turn.near_dense") == pytest.approx(
        [0.7 * s / 4.4 for s in scores[::-1]], abs=1e-5
    )
    assert column(evidence, "turn.answers") == [0, 0]


def test_an_excluded_turn_lifts_neither_the_best_of_its_group_nor_the_best_share() -> None:
    # Alone in sight of its conversation is a turn below the mean: 0, the mean, must not become its best.
    rows = [turn(1), turn(2), piece(3, 3)]
    evidence = seen(corpus(rows, [0.1, 0.9, 0.5], words=[(1, {0: 1.0}), (1, {2: 0.6})], allowed=[1, 3]))
    assert column(evidence, "turn.group_dense")[0] == pytest.approx(z(0.1, 0.1, 0.5), abs=1e-5)
    words = [(1, {0: 1.0}), (1, {4: 1.0})]
    evidence = seen(corpus(FIVE, [0.0] * 5, words=words, ceilings=[2.0], allowed=[1, 5]))
    # Each has one of the two words, the other is four turns away; turn 3 would have had .65 of both.
    assert column(evidence, "turn.near_lexical") == pytest.approx([0.5 / 0.5**0.75] * 2)


def test_a_filter_that_lets_nothing_through_leaves_no_row() -> None:
    evidence = seen(corpus(FIVE, [0.3] * 5, words=[(1, {0: 1.0})], allowed=[]))
    assert len(evidence.ids) == 0
    assert {len(values) for values in evidence.features.values()} == {0}


# ---------------------------------------------------------------- keys


def test_a_statement_counts_by_how_far_it_beats_its_chunk() -> None:
    cosines = (0.5, 0.3, 0.1)
    keys = [("fact", 1, 0.6), ("preference", 1, 0.7), ("fact", 2, 0.2)]
    evidence = seen(corpus([turn(1), turn(2), turn(3)], cosines, keys=keys))
    # The better of the two beats turn 1 by .2; that of turn 2 is worse than the turn itself.
    assert column(evidence, "statement") == pytest.approx([0.2 / spread(*cosines), 0, 0], abs=1e-5)


def test_a_lead_stands_for_all_chunks_of_its_document_else_each_for_itself() -> None:
    cosines = (0.5, 0.3, 0.1)
    rows = [piece(1, 1), piece(2, 1, 50), piece(3, 2)]
    evidence = seen(corpus(rows, cosines, keys=[("lead", 1, 0.7)]))
    expected = [z(0.7, *cosines)] * 2 + [z(0.1, *cosines)]
    assert column(evidence, "passage.lead") == pytest.approx(expected, abs=1e-5)
    assert column(evidence, "statement") == [0, 0, 0]


# ---------------------------------------------------------------- names and days


def test_a_named_speaker_gains_what_the_other_loses() -> None:
    rows = [turn(1, speaker="Ana Keller"), turn(2, speaker="Ben"), turn(3), piece(4, 4)]
    asked = Asked("What did ANA's sister say?", 5, 3)
    assert column(seen(corpus(rows, [0.0] * 4), asked=asked), "turn.speaker") == [0.5, -0.5, 0, 0]


@pytest.mark.parametrize("text", ["What did she say?", "What did Ana tell Ben?"])
def test_with_none_or_all_named_speakers_say_nothing(text: str) -> None:
    rows = [turn(1, speaker="Ana"), turn(2, speaker="Ben")]
    assert column(seen(corpus(rows, [0.0] * 2), asked=Asked(text, 4, 2)), "turn.speaker") == [0, 0]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("ana keller", "Ask Ana", True),
        ("ana keller", "Ask Keller", False),
        ("ana", "bananas", False),
        ("ana", "Ana’s boat", True),
        ("o'neil", "where is O'Neil?", True),
        ("...", "what ...?", False),
    ],
)
def test_a_name_stands_as_a_word(name: str, text: str, named: bool) -> None:
    assert is_named(name, text) is named


def test_a_date_fades_over_a_week_from_when_it_was_written_or_what_it_tells_of() -> None:
    day = date(2025, 5, 10).toordinal()
    rows = [
        turn(1, ts="2025-05-11T08:00:00"),  # in the span
        turn(2, ts="2025-05-19T23:00:00"),  # 7 days behind it
        turn(3, ts="2025-08-01T08:00:00"),  # tells of a day 3 before it
        turn(4),  # has none
        turn(5, ts="2025-05-05T08:00:00"),  # 5 before the first, but 1 after another span
    ]
    asked = Asked("when?", 1, 1, (TimeSpan(day, day + 2, 0, 1), TimeSpan(day - 8, day - 6, 0, 1)))
    evidence = seen(
        corpus(rows, [0.0] * 5, spans={3: [(day - 100, day - 90), (day + 5, day + 5)]}), asked=asked
    )
    expected = [1, math.exp(-7 / 7), math.exp(-3 / 7), 0, math.exp(-1 / 7)]
    assert column(evidence, "date") == pytest.approx(expected)


def test_the_years_of_layouts_are_those_written_in_or_told_of() -> None:
    told = date(2019, 1, 5).toordinal()
    layouts = [
        corpus([turn(1, ts="2024-05-11T08:00:00"), turn(2)], [0, 0]).layout,
        corpus([turn(1)], [0], spans={1: [(told, told)]}).layout,
    ]
    assert years_of(layouts) == (2019, 2024)
    assert years_of([corpus([turn(1)], [0]).layout]) is None
    assert years_of([]) is None


# ---------------------------------------------------------------- style, signals, switches


def test_style_is_the_sum_of_two_standard_scores_per_document() -> None:
    # (1, 0): mean .5, deviation .5: +1 and -1; (.5, .5): no deviation, 0.
    style = (np.array([1, 0], np.float32), np.array([0.5, 0.5], np.float32))
    rows = [piece(1, 1), piece(2, 1, 50), piece(3, 2)]
    assert column(seen(corpus(rows, [0.0] * 3, style=style)), "style") == pytest.approx([1, 1, -1])


def test_question_words_are_a_share_less_the_usual() -> None:
    assert Asked("q", 8, 2).question_words == pytest.approx(0.75 - 0.4)
    assert Asked("q", 3, 5).question_words == pytest.approx(-0.4)
    assert Asked("q").question_words == pytest.approx(1 - 0.4)


SAME = {  # a part that is off -> evidence -> what it equals instead, None for zero
    "context": {
        "turn.near_lexical": "turn.lexical",
        "turn.group_lexical": "turn.lexical",
        "turn.near_dense": "turn.dense",
        "turn.group_dense": "turn.dense",
        "turn.answers": None,
    },
    "parents": {
        "passage.near_lexical": "passage.lexical",
        "passage.group_lexical": "passage.lexical",
        "passage.lead": "passage.dense",
    },
    "keys": {"statement": None},
    "names": {"turn.speaker": None},
    "dates": {"date": None},
}


def test_a_part_that_is_off_says_nothing_new_and_changes_nothing_else() -> None:
    rows = [
        turn(1, speaker="Ana", tail="no?", ts="2025-05-11T08:00:00"),
        turn(2, speaker="Ben", ts="2025-05-12T08:00:00"),
        piece(3, 3),
        piece(4, 3, 50),
    ]
    part = corpus(
        rows, [0.4, 0.3, 0.2, 0.1], words=[(1, {0: 1.0, 2: 0.5})], keys=[("fact", 1, 0.9), ("lead", 3, 0.8)]
    )
    day = date(2025, 5, 11).toordinal()
    asked = Asked("What did Ana say?", 4, 2, (TimeSpan(day, day, 0, 1),))
    on = seen(part, asked=asked)
    plain = {f"{kind}.{leg}": column(on, leg) for kind in ("turn", "passage") for leg in ("lexical", "dense")}
    is_turn = [1, 1, 0, 0]
    assert [f.name for f in fields(Parts)] == list(SAME)
    for name, same in SAME.items():
        off = seen(part, asked=asked, use=Parts(**{name: False}))
        for feature in on.features:
            if feature not in same:
                assert column(off, feature) == column(on, feature), (name, feature)
                continue
            assert column(on, feature) != column(off, feature), (name, feature)
            instead = same[feature]
            kind = 1 if feature.startswith("turn") else 0
            expected = (
                [v * (t == kind) for v, t in zip(plain[instead], is_turn, strict=True)]
                if instead
                else [0.0] * 4
            )
            assert column(off, feature) == pytest.approx(expected), (name, feature)


@pytest.mark.filterwarnings("error")
def test_the_smallest_corpora_have_every_feature_and_no_nan() -> None:
    nothing = (np.zeros(0, np.float32), np.zeros(0, np.float32))
    one = (np.ones(1, np.float32), np.ones(1, np.float32))
    day = date(2025, 5, 11).toordinal()
    asked = Asked("what did Ana say in May?", 6, 3, (TimeSpan(day, day, 0, 1),))
    for parts, n in (
        ([corpus([], [], style=nothing)], 0),
        ([corpus([turn(1, speaker="Ana")], [0.4], words=[(1, {0: 1.0})], style=one)], 1),
        ([corpus([piece(1, 1)], [0.4], ceilings=[], style=one), corpus([], [], name="history")], 1),
    ):
        evidence = seen(*parts, asked=asked)
        assert set(evidence.features) == set(FEATURES)
        for name, values in evidence.features.items():
            assert values.shape == (n,), name
            assert values.dtype == np.float32, name
            assert np.isfinite(values).all(), name
    assert seen().features == {}
    assert len(seen().ids) == 0


def test_the_question_is_not_in_a_repr() -> None:
    assert "secret" not in repr(Asked("my secret"))


def test_a_word_that_many_rows_have_counts_as_one_that_few_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting in all rows at once is another way to the same numbers, to the last bit."""
    random = np.random.default_rng(3)
    n = 60
    monkeypatch.setattr(module, "_BLOCK", 16)  # several blocks, the last of them short
    rows = [piece(i, int(document)) for i, document in enumerate(np.sort(random.integers(0, 17, n)))]
    words = [
        (times, {int(r): float(random.random()) for r in random.choice(n, size, replace=False)})
        for times, size in ((1, 50), (2, 30), (1, 7), (1, 1))
    ]
    dense = random.standard_normal(n).tolist()
    found = []
    for limit, together in ((10**9, 0), (0, 1000), (0, 130), (0, 1)):
        monkeypatch.setattr(module, "_DENSE", limit)
        monkeypatch.setattr(module, "_TOGETHER", together)
        found.append(seen(corpus(rows, dense, words=words, ceilings=(2.0, 1.0))))
    for other in found[1:]:
        for name, column in found[0].features.items():
            assert column.tobytes() == other.features[name].tobytes()
        assert found[0].bm25.tobytes() == other.bm25.tobytes()
        assert found[0].near_coverage.tobytes() == other.near_coverage.tobytes()
    assert len(set(found[0].near_coverage.tolist())) > 40
