from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.dates import MAX_SPANS, MONTHS, TimeSpan, distance, question_spans, time_spans

WEDNESDAY = date(2023, 6, 14)  # its week is 12 to 18 June


def said(text: str, anchor: date | None = WEDNESDAY) -> list[tuple[str, str, str]]:
    """Return (words, first day, last day) of each span."""
    return [
        (text[s.start : s.end], date.fromordinal(s.first).isoformat(), date.fromordinal(s.last).isoformat())
        for s in time_spans(text, anchor)
    ]


def days(text: str, anchor: date | None = WEDNESDAY) -> list[str]:
    """Return each span as "first" or "first/last"."""
    return [a if a == b else f"{a}/{b}" for _, a, b in said(text, anchor)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8 May 2023", "2023-05-08"),
        ("8 may 2023", "2023-05-08"),
        ("the 8th of May, 2023", "2023-05-08"),
        ("May 8, 2023", "2023-05-08"),
        ("Sept. 3rd 2022", "2022-09-03"),
        ("3June, 2022", "2022-06-03"),
        ("2023-05-08", "2023-05-08"),
        ("2023-05-08T13:56:00Z", "2023-05-08"),
        ("08.05.2023", "2023-05-08"),
        ("25/12/2023", "2023-12-25"),
        ("12/25/2023", "2023-12-25"),
        ("05/2023", "2023-05-01/2023-05-31"),
        ("2024-02", "2024-02-01/2024-02-29"),
        ("May 2023", "2023-05-01/2023-05-31"),
        ("February of 2023", "2023-02-01/2023-02-28"),
        ("in 2022", "2022-01-01/2022-12-31"),
        ("in the 1990s", "1990-01-01/1999-12-31"),
        ("2019-2021", "2019-01-01/2021-12-31"),
        ("8. Mai 2023", "2023-05-08"),
        ("1er août 2023", "2023-08-01"),
        ("8 de mayo de 2023", "2023-05-08"),
        ("8 maggio 2023", "2023-05-08"),
        ("summer of 2022", "2022-06-01/2022-08-31"),
        ("winter 2022", "2022-12-01/2023-02-28"),
        ("early May 2023", "2023-05-01/2023-05-10"),
        ("mid-May 2023", "2023-05-11/2023-05-20"),
        ("the end of May 2023", "2023-05-21/2023-05-31"),
        ("late 2022", "2022-09-01/2022-12-31"),
        ("first week of August 2023", "2023-08-01/2023-08-07"),
        ("last week of August 2023", "2023-08-25/2023-08-31"),
        ("first weekend of August 2023", "2023-08-05/2023-08-06"),
        ("the second Tuesday of August 2023", "2023-08-08"),
        ("the week before 9 June 2023", "2023-06-02/2023-06-08"),
        ("the week of 23 August 2023", "2023-08-21/2023-08-27"),
        ("two weeks before 11 August 2023", "2023-07-26/2023-07-30"),
        ("the Friday before 15 July", "2023-07-14"),
        ("the Friday after 14 July 2023", "2023-07-21"),
        ("the weekend before 17 July 2023", "2023-07-15/2023-07-16"),
        ("two weekends before 17 July 2023", "2023-07-08/2023-07-09"),
        ("from May to July 2023", "2023-05-01/2023-07-31"),
        ("November to February 2023", "2022-11-01/2023-02-28"),
        ("5-6 November 2022", "2022-11-05/2022-11-06"),
        ("May 3 to 9, 2023", "2023-05-03/2023-05-09"),
        ("between 26 March and 20 April 2023", "2023-03-26/2023-04-20"),
        ("28 December to 3 January 2023", "2022-12-28/2023-01-03"),
        ("since 2019", "2019-01-01/2023-06-14"),
    ],
)
def test_dates_of_the_calendar(text: str, expected: str) -> None:
    assert days(f"It was {text}, they say.") == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yesterday", "2023-06-13"),
        ("the day before yesterday", "2023-06-12"),
        ("last night", "2023-06-13"),
        ("tonight", "2023-06-14"),
        ("tomorrow", "2023-06-15"),
        ("two days ago", "2023-06-12"),
        ("a few days ago", "2023-06-08/2023-06-12"),
        ("a week ago", "2023-06-06/2023-06-08"),
        ("3 weeks ago", "2023-05-21/2023-05-27"),
        ("two months ago", "2023-03-30/2023-04-29"),
        ("ten years ago", "2013-01-01/2013-12-31"),
        ("two weekends ago", "2023-06-03/2023-06-04"),
        ("two Fridays ago", "2023-06-02"),
        ("for two years now", "2021-01-01/2021-12-31"),
        ("last week", "2023-06-05/2023-06-11"),
        ("the week before last", "2023-05-29/2023-06-04"),
        ("last weekend", "2023-06-10/2023-06-11"),
        ("this weekend", "2023-06-17/2023-06-18"),
        ("this month", "2023-06-01/2023-06-30"),
        ("last month", "2023-05-01/2023-05-31"),
        ("next month", "2023-07-01/2023-07-31"),
        ("last year", "2022-01-01/2022-12-31"),
        ("late last year", "2022-09-01/2022-12-31"),
        ("at the end of the month", "2023-06-21/2023-06-30"),
        ("this past week", "2023-06-07/2023-06-14"),
        ("the past few days", "2023-06-08/2023-06-14"),
        ("last summer", "2022-06-01/2022-08-31"),
        ("last winter", "2022-12-01/2023-02-28"),
        ("last spring", "2023-03-01/2023-05-31"),
        ("last fall", "2022-09-01/2022-11-30"),
        ("last Friday", "2023-06-09"),
        ("last Wednesday", "2023-06-07"),
        ("this Friday", "2023-06-16"),
        ("next Friday", "2023-06-23"),
        ("on Friday", "2023-06-16"),
        ("on Monday", "2023-06-12"),
        ("in May", "2023-05-01/2023-05-31"),
        ("in December", "2022-12-01/2022-12-31"),  # 165 days ago; the next one is in 170
        ("on May 3rd", "2023-05-03"),
        ("on the 5th of July", "2023-07-05"),
        ("on the 10th", "2023-06-10"),
        ("last May", "2023-05-01/2023-05-31"),
        ("last July", "2022-07-01/2022-07-31"),
        ("next July", "2023-07-01/2023-07-31"),
        ("this March", "2023-03-01/2023-03-31"),
        ("since March", "2023-03-01/2023-06-14"),
        ("gestern", "2023-06-13"),
        ("vorgestern", "2023-06-12"),
        ("letzte Woche", "2023-06-05/2023-06-11"),
        ("vor drei Tagen", "2023-06-11"),
        ("im Mai", "2023-05-01/2023-05-31"),
        ("am 3. Mai", "2023-05-03"),
        ("letzten Freitag", "2023-06-09"),
        ("letzten Sommer", "2022-06-01/2022-08-31"),
        ("avant-hier", "2023-06-12"),
        ("la semaine dernière", "2023-06-05/2023-06-11"),
        ("il y a trois jours", "2023-06-11"),
        ("en mai", "2023-05-01/2023-05-31"),
        ("le 3 mai", "2023-05-03"),
        ("vendredi dernier", "2023-06-09"),
        ("l'été dernier", "2022-06-01/2022-08-31"),
        ("ayer", "2023-06-13"),
        ("la semana pasada", "2023-06-05/2023-06-11"),
        ("hace tres días", "2023-06-11"),
        ("en mayo", "2023-05-01/2023-05-31"),
        ("el 3 de mayo", "2023-05-03"),
    ],
)
def test_relative_to_the_day_it_was_written(text: str, expected: str) -> None:
    assert days(f"... {text}.") == [expected]
    if text != "since March":
        assert days(f"... {text}.", None) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "May I march with you? March on, may it be the second time.",
        "The cat sat in the sun for a second.",
        "recently",
        "every Friday, and on Sundays",
        "Thanks, May! June and April said hello.",
        "It may 3 times fail; we march 5 miles.",
        "3 Mars bars",
        "on the 5th floor",
        "05/08/2023 is read in two ways",
        "31.04.2023 and 2023-13-40",
        "It cost $2022, or 2,022 in all; version 3.2022.1",
        "Wir sind hier. Wat ligt hier?",
        "Guten Morgen, der Morgen ist schön und am Morgen auch",
        "por la mañana",
    ],
)
def test_words_that_only_look_like_days(text: str) -> None:
    assert days(text) == []


def test_french_hier_is_yesterday_in_french() -> None:
    assert days("Nous avons mangé chez ma sœur hier.") == ["2023-06-13"]


def test_spans_are_in_text_order_and_tell_their_words() -> None:
    text = "We met last week, then on 8 May 2023 and again yesterday."
    assert [words for words, *_ in said(text)] == ["last week", "8 May 2023", "yesterday"]


def test_of_overlapping_phrases_the_longest_wins() -> None:
    assert said("a Friday before 15 July 2023") == [
        ("a Friday before 15 July 2023", "2023-07-14", "2023-07-14")
    ]


def test_a_date_as_near_in_the_past_as_in_the_future_is_the_past_one() -> None:
    assert days("over the weekend", WEDNESDAY) == ["2023-06-10/2023-06-11"]


def test_29_february_is_the_nearest_that_exists() -> None:
    assert days("on February 29", date(2023, 6, 14)) == ["2024-02-29"]


def test_a_day_that_does_not_exist_leaves_its_month() -> None:
    assert days("on 29 February 2023") == ["2023-02-01/2023-02-28"]


def test_a_time_of_day_does_not_matter() -> None:
    late = datetime(2023, 6, 14, 23, 59, tzinfo=timezone.utc)
    assert [s.first for s in time_spans("yesterday", late)] == [date(2023, 6, 13).toordinal()]


def test_a_question_means_a_bare_month_in_every_year_of_the_documents() -> None:
    spans = question_spans("What did I cook in May?", WEDNESDAY, years=(2021, 2023))
    assert [date.fromordinal(s.first) for s in spans] == [date(y, 5, 1) for y in (2021, 2022, 2023)]
    assert {(s.start, s.end) for s in spans} == {(19, 22)}


def test_a_question_has_its_own_year_and_its_own_day() -> None:
    asked = question_spans("Who called last week, who on May 3, 2020?", WEDNESDAY, years=(2021, 2023))
    assert [date.fromordinal(s.first) for s in asked] == [date(2023, 6, 5), date(2020, 5, 3)]
    before = question_spans("the Friday before 15 July", WEDNESDAY, years=(2022, 2023))
    assert [date.fromordinal(s.first) for s in before] == [date(2022, 7, 8), date(2023, 7, 14)]


def test_distance_is_to_the_nearest_span() -> None:
    spans = [TimeSpan(100, 110, 0, 1), TimeSpan(200, 200, 2, 3)]
    assert [distance(*days, spans) for days in ((105, 105), (111, 115), (90, 98), (195, 197), (0, 999))] == [
        0,
        1,
        2,
        3,
        0,
    ]
    with pytest.raises(ValueError):
        distance(1, 2, [])


def test_months_are_shared_by_five_languages() -> None:
    assert [MONTHS[name] for name in ("may", "mai", "mayo", "maggio", "märz", "août", "dicembre")] == [
        5,
        5,
        5,
        5,
        3,
        8,
        12,
    ]


@pytest.mark.parametrize("unit", "[|a |May |2023-|1 |last |the week before |5 May to |been for ".split("|"))
def test_hostile_text_is_read_in_bounded_steps(unit: str) -> None:
    """Not timed: a pattern that backtracks over 300,000 characters runs into the timeout of the test."""
    text = unit * (300_000 // len(unit))
    assert len(time_spans(text, WEDNESDAY)) <= MAX_SPANS


WORDS = st.sampled_from(
    "last next this week weekend Friday May 3 29 February 2023 since the before of two few years ago 999 "
    "winter first on in early to and between 05.05.2023 vor Tagen hace años l'été dernier".split()
)


@given(
    st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=60),
    st.sampled_from([date.min, date(1900, 3, 1), WEDNESDAY, date.max, None]),
)
def test_any_text_gives_ordered_days_of_the_calendar(text: str, anchor: date | None) -> None:
    end = 0
    for span in time_spans(text, anchor):
        assert date.min.toordinal() <= span.first <= span.last <= date.max.toordinal()
        assert end <= span.start < span.end <= len(text)
        end = span.end
    for span in question_spans(text, anchor or WEDNESDAY, years=(2020, 2024)):
        assert span.first <= span.last
