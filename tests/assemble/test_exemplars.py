"""Exemplars: the wanted register first, never two of a kind, and each says why it was chosen."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ragperso.assemble import exemplars
from ragperso.assemble.exemplars import choose, exemplar_from, explain
from ragperso.types import Exemplar

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
WORDS = "lathe canal brass plum tent hinge torch rope kiln ferry crane olive pump zinc quilt harp".split()


def exemplar(number: int, register: str, language: str = "en", text: str = "", **more: Any) -> Exemplar:
    return Exemplar(
        id=str(number),
        text=text or f"{WORDS[number % 16]} {WORDS[(number * 5 + 3) % 16]} number{chr(97 + number)}",
        register=register,
        language=language,
        **more,
    )


def ids(chosen: list[Exemplar]) -> list[str]:
    return [e.id for e in chosen]


def test_register_comes_before_language_and_rank() -> None:
    given = [exemplar(1, "post"), exemplar(2, "mail reply", "de"), exemplar(3, "mail")]
    assert ids(choose(given, n=3, register="mail", language="en")) == ["3", "2", "1"]


def test_two_that_say_the_same_teach_once() -> None:
    text = "Thanks for the drawings, I will look at them on Monday and call you after lunch."
    given = [exemplar(1, "mail", text=text), exemplar(2, "mail", text=text + " Bye."), exemplar(3, "mail")]
    assert ids(choose(given, n=2)) == ["1", "3"]


def test_none_are_made_up() -> None:
    assert choose([], n=4) == []
    assert choose([exemplar(1, "mail")], n=0) == []
    assert ids(choose([exemplar(1, "mail")], n=4)) == ["1"]


def test_each_choice_says_what_spoke_for_it() -> None:
    year_old = NOW - timedelta(days=365)
    one = exemplar(1, "mail", request="Well?", audience="jo@x.example", ts=year_old)
    (best, other) = explain(
        [exemplar(2, "post", "de"), one],
        n=2,
        scores=[0.2, 0.6],
        register="mail",
        audience="jo",
        language="en",
        now=NOW,
    )
    assert best.exemplar is one
    assert best.why == {
        "register": exemplars.REGISTER,
        "language": exemplars.LANGUAGE,
        "topic": exemplars.TOPIC,
        "audience": exemplars.AUDIENCE,
        "recency": pytest.approx(exemplars.RECENCY / 2),
        "pair": exemplars.PAIR,
    }
    assert best.score == pytest.approx(sum(best.why.values()))
    assert (other.score, other.why) == (0.0, {})


def test_the_greeting_stands_for_an_audience_that_was_never_stored() -> None:
    old = exemplar(1, "mail", text="Hi Jo,\n\nthe lathe is here.")
    given = [exemplar(2, "mail"), old]
    assert ids(choose(given, n=1, scores=[0.5, 0.5], register="mail", audience="jo@x.example")) == ["1"]


def test_without_a_register_the_closest_candidates_decide() -> None:
    given = [exemplar(n, "chat") for n in range(3)] + [exemplar(n, "post") for n in range(3, 9)]
    scores = [0.9, 0.8, 0.7, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert ids(choose(given, n=3, scores=scores)) == ["0", "1", "2"]
    # Marks move it: posts twice as welcome, chats half.
    marks = {"register:post": 2.0, "register:chat": 0.5}
    assert {e.register for e in choose(given, n=3, scores=scores, weights=marks)} == {"post"}
    # What the request says outranks them.
    assert ids(choose(given, n=3, scores=scores, weights=marks, register="chat")) == ["0", "1", "2"]


def test_marks_of_an_exemplar_are_bounded_and_never_outweigh_the_register() -> None:
    given = [exemplar(1, "mail", "de"), exemplar(2, "mail"), exemplar(3, "post", request="x")]
    marks = {"exemplar:3": 1e9, "exemplar:2": float("nan"), "exemplar:1": -4.0}
    asked = {"n": 3, "scores": [0.1, 0.1, 0.9], "register": "mail", "language": "en"}
    chosen = explain(given, weights=marks, **asked)  # type: ignore[arg-type]
    assert [c.exemplar.id for c in chosen] == ["2", "1", "3"]
    plain = explain(given, **asked)[2]  # type: ignore[arg-type]
    assert chosen[2].why["marks"] == pytest.approx(plain.score)  # doubled, not more
    assert "marks" not in chosen[0].why  # no number is no mark


def test_an_accepted_draft_comes_behind_own_writing_of_the_kind_and_before_another_kind() -> None:
    given = [exemplar(1, "mail", is_accepted=True), exemplar(2, "mail"), exemplar(3, "post")]
    assert ids(choose(given, n=3, scores=[0.9, 0.1, 0.9], register="mail")) == ["2", "1", "3"]


def test_what_was_said_to_an_assistant_comes_behind_what_was_said_to_people() -> None:
    given = [exemplar(1, "chat", audience="assistant"), exemplar(2, "chat", audience="jo")]
    assert ids(choose(given, n=2, scores=[0.5, 0.5], register="chat")) == ["2", "1"]


def test_likeness_costs_less_than_the_register_and_more_than_nothing() -> None:
    alike = [
        exemplar(1, "mail", text="lathe canal brass plum tent hinge torch"),
        exemplar(2, "mail", text="torch hinge tent plum brass canal lathe"),  # the same words, no 3-gram
        exemplar(3, "mail", text="kiln ferry crane olive pump zinc quilt"),
        exemplar(4, "post"),
    ]
    chosen = choose(alike, n=4, scores=[0.9, 0.8, 0.7, 0.5], register="mail")
    assert ids(chosen) == ["1", "3", "2", "4"]


@pytest.mark.parametrize(("n_own", "n_team"), [(0, 4), (1, 3), (4, 2), (12, 1), (28, 1), (29, 0), (100, 0)])
def test_the_teams_pieces_make_way_for_own_ones(n_own: int, n_team: int) -> None:
    """With K = 4: 4 * 4 / (28 + 4) = .5, which is rounded up; of 29 it is less."""
    own = [exemplar(n, "mail") for n in range(8)]
    team = [exemplar(n, "mail", is_shared=True) for n in range(8, 14)]
    chosen = choose(own, n=4, register="mail", shared=team, n_own=n_own)
    assert [e.is_shared for e in chosen] == [False] * (4 - n_team) + [True] * n_team


def test_the_team_fills_what_own_pieces_leave() -> None:
    team = [exemplar(n, "ticket", is_shared=True) for n in range(8, 14)]
    # Fifty posts say nothing of how to answer a ticket.
    own = [exemplar(n, "post") for n in range(6)]
    assert all(e.is_shared for e in choose(own, n=3, register="ticket", shared=team))
    assert len(choose(own[:1], n=4, register="post", shared=team, n_own=1_000)) == 4


def test_the_order_given_does_not_matter_where_scores_differ() -> None:
    given = [exemplar(n, "mail") for n in range(10)]
    scores = [n / 10 for n in range(10)]
    forth = choose(given, n=4, scores=scores, register="mail", now=NOW)
    back = choose(given[::-1], n=4, scores=scores[::-1], register="mail", now=NOW)
    assert ids(forth) == ids(back)


def stored(text: str, key: str, **meta: Any) -> Exemplar:
    return exemplar_from(key, text, meta)


def test_a_mined_piece_keeps_what_mining_knew() -> None:
    meta = {"register": "chat", "language": "fr", "request": "Quoi ?", "audience": "camille", "source": "c1"}
    assert stored("oui", "exemplar/ab", **meta) == Exemplar(
        "ab", "oui", "Quoi ?", "chat", "fr", "c1", audience="camille"
    )


def test_a_file_that_was_added_by_hand_is_told_by_its_shape_or_place() -> None:
    mail = stored("Hi Jo,\n\nthe trailer is back where it was.\n\nBest,\nAna", "mine/one.txt")
    assert (mail.register, mail.language, mail.audience) == ("mail", "en", "")
    assert stored("Frost last night.", "blog/frost.md").register == "post"
    answer = stored("Four is fine.", "m1", quoted="> Four?", to=["Jo@X.example"])
    assert (answer.register, answer.audience) == ("mail reply", "jo@x.example")
