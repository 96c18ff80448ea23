from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.ingest.times import parse_time

NOON = "2023-05-08T12:00:00+00:00"
MIDNIGHT = "2023-05-08T00:00:00+00:00"


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("1:56 pm on 8 May, 2023", "2023-05-08T13:56:00+00:00"),
        ("12:09 am on 13 September, 2023", "2023-09-13T00:09:00+00:00"),
        ("8 May 2023", MIDNIGHT),
        ("08,May,2023", MIDNIGHT),
        ("08-May-2023 12:00", NOON),
        ("May 8, 2023", MIDNIGHT),
        ("May 8th, 2023 at 12 pm", NOON),
        ("8. Mai 2023, 14:30 Uhr", "2023-05-08T14:30:00+00:00"),
        ("1er août 2023 à 14h05", "2023-08-01T14:05:00+00:00"),
        ("2023-05-08", MIDNIGHT),
        ("2023-05", "2023-05-01T00:00:00+00:00"),
        ("20230508", MIDNIGHT),
        ("2023/05/08 12:00", NOON),
        ("2023-05-08T12:00:00Z", NOON),
        ("2023-05-08T14:00:00.000+02:00", NOON),
        ("2023-05-08 14:00:00+0200", NOON),
        ("08.05.2023", MIDNIGHT),
        ("08.05.2023 12:00", NOON),
        ("25/12/2023", "2023-12-25T00:00:00+00:00"),
        ("12/25/2023", "2023-12-25T00:00:00+00:00"),
        ("Mon, 8 May 2023 14:00:00 +0200", NOON),
        ("Mon, 08 May 2023 12:00:00 GMT", NOON),
        ("20230508120000Z", NOON),
        ("1683547200", NOON),
        (1683547200, NOON),
        (1683547200.0, NOON),
        (1683547200000, NOON),
        (1683547200000000, NOON),
        (date(2023, 5, 8), MIDNIGHT),
        (datetime(2023, 5, 8, 12), NOON),
        (datetime(2023, 5, 8, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
    ],
    ids=str,
)
def test_known_ways_to_write_a_time(value: object, iso: str) -> None:
    moment = parse_time(value)
    assert moment is not None
    assert moment.isoformat() == iso


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "05/08/2023",
        "2023-13-40",
        "99.99.2023",
        "x" * 10_000,
        None,
        True,
        [],
        {},
        float("nan"),
        1e300,
        "2023",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_time_and_ambiguous_times_are_none(value: object) -> None:
    assert parse_time(value) is None


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[0-9apm:,. +-]{1,30}"), st.floats(), st.integers()))
def test_anything_else_is_none_or_aware(value: object) -> None:
    moment = parse_time(value)
    assert moment is None or moment.utcoffset() == timedelta(0)
