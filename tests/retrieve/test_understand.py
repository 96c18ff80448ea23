"""What a query asks for, before anything is searched."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest

from ragperso.config import Retrieve
from ragperso.retrieve.understand import days_meant, n_words, understand
from ragperso.types import Query

TWO = "Where did I leave the torque wrench and when does the dentist open on Monday?"
LONG = " ".join(["walked along the grey canal"] * 8)  # 40 words
ASKED_AT = datetime(2025, 6, 4, tzinfo=timezone.utc)


def test_a_plain_question_is_searched_as_it_stands() -> None:
    found = understand(Query("Where is the torque wrench?"), Retrieve())
    assert (found.parts, found.preferences, found.phrases, found.is_text) == (
        ("Where is the torque wrench?",), "", (), False,
    )  # fmt: skip


def test_what_is_searched_is_the_question_made_whole() -> None:
    assert understand(Query("and why?", "Which bank? and why?"), Retrieve()).parts == (
        "Which bank? and why?",
    )


def test_two_questions_are_searched_whole_and_each() -> None:
    whole, *parts = understand(Query(TWO), Retrieve()).parts
    assert whole == TWO
    assert parts == ["Where did I leave the torque wrench", "when does the dentist open on Monday?"]
    assert understand(Query(TWO), Retrieve(split=False)).parts == (TWO,)


def test_a_suggestion_is_also_searched_by_what_the_person_likes() -> None:
    query = Query("Can you suggest a dinner for me?")
    assert "dinner" in understand(query, Retrieve()).preferences
    assert understand(query, Retrieve(expand=False)).preferences == ""


def test_phrases_in_quotation_marks_are_meant_to_the_letter() -> None:
    query = Query('Who said "blue heron" or "no"?')
    assert understand(query, Retrieve()).phrases == ("blue heron",)  # two letters are no phrase
    assert understand(query, Retrieve(names=False)).phrases == ()


def test_forty_words_are_a_text_and_hold_no_phrases() -> None:
    assert understand(Query(LONG), Retrieve()).is_text
    assert not understand(Query(LONG.rsplit(" ", 1)[0]), Retrieve()).is_text
    assert understand(Query(f'{LONG} "blue heron"'), Retrieve()).phrases == ()


def test_days_are_read_with_the_day_of_asking_and_the_years_of_the_documents() -> None:
    query = Query("What happened yesterday?", asked_at=ASKED_AT)
    (span,) = days_meant(query, query.text, (2024, 2025), Retrieve())
    assert span.first == span.last == date(2025, 6, 3).toordinal()


@pytest.mark.parametrize(
    ("asked_at", "years", "config"),
    [
        (None, (2024, 2025), Retrieve()),
        (ASKED_AT, None, Retrieve()),
        (ASKED_AT, (2024, 2025), Retrieve(dates=False)),
    ],
)
def test_without_one_of_them_no_day_is_meant(
    asked_at: datetime | None, years: tuple[int, int] | None, config: Retrieve
) -> None:
    query = Query("What happened yesterday?", asked_at=asked_at)
    assert days_meant(query, query.text, years, config) == ()


def test_words_are_counted() -> None:
    assert n_words("Who's there, Ana?") == 4  # Who, s, there, Ana
    assert n_words("?!") == 0


def test_a_long_text_that_asks_for_ideas_is_searched_by_what_it_says() -> None:
    short = "Suggest a dinner for me"
    long = (
        " ".join(["We walked along the river and talked about my old house."] * 5)
        + " Any ideas for my dinner"
    )
    assert understand(Query(short), Retrieve()).preferences
    read = understand(Query(long), Retrieve())
    assert (read.is_text, read.preferences) == (True, "")
