"""The layout of a corpus, from rows as the store gives them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from ragperso.index.layout import build, empty
from ragperso.layout import Layout, fold_name

NONE = 5  # the row "no neighbour" of five chunks


def row(
    chunk: int,
    document: int,
    *,
    start: int = 0,
    tail: str = "so.",
    ts: str | None = None,
    thread: object = None,
    speaker: object = None,
) -> tuple[Any, ...]:
    return (chunk, document, 0, 7, start, start + 10, tail, ts, thread, speaker, "row")


def chat() -> Layout:
    """Three turns stored out of time order, then a note of two chunks with a lead and two statements."""
    return build(
        [
            row(2, 10, ts="2025-05-02T10:02:00+00:00", thread="t", speaker="Ana"),
            row(4, 11, ts="2025-05-02T10:00:00+00:00", thread="t", speaker="Ben  K", tail='so?" '),
            row(6, 12, ts="2025-05-03T10:01:00+00:00", thread="t", speaker="ANA", tail="去？"),
            row(7, 13, start=0),
            row(9, 13, start=100, tail="why?"),
        ],
        [(1, 13, "lead", 0), (2, 13, "preference", 105), (3, 12, "fact", 4)],
        {6: [(100, 107), (300, 300)]},
    )


def test_neighbours_stand_in_time_order_and_groups_are_conversations_or_documents() -> None:
    layout = chat()
    # In time: row 1, row 0, row 2; the note: row 3, row 4.
    assert layout.before.tolist() == [1, NONE, 0, NONE, 3]
    assert layout.after.tolist() == [2, 0, NONE, 4, NONE]
    assert layout.group.tolist() == [0, 0, 0, 1, 1]
    assert layout.document.tolist() == [0, 1, 2, 3, 3]
    assert (layout.n_groups, layout.n_documents, len(layout)) == (2, 4, 5)


def test_a_conversation_without_all_its_times_keeps_the_order_it_came_in() -> None:
    layout = build(
        [row(1, 1, ts="2025-05-02", thread=7), row(2, 2, thread=7), row(3, 3, ts="2025-05-01", thread=7)],
        [],
        {},
    )
    assert layout.before.tolist() == [3, 0, 1]


def test_an_empty_name_of_a_conversation_is_none() -> None:
    layout = build([row(1, 1, thread=""), row(2, 2, thread="")], [], {})
    assert layout.group.tolist() == [0, 1]
    assert layout.is_turn.tolist() == [0, 0]


def test_a_document_and_a_conversation_of_one_name_are_two_groups() -> None:
    assert build([row(1, 5), row(2, 6, thread=5)], [], {}).group.tolist() == [0, 1]


def test_speakers_are_folded_and_questions_are_those_of_turns() -> None:
    layout = chat()
    assert layout.speakers == ("ana", "ben k")
    assert layout.speaker.tolist() == [0, 1, 0, -1, -1]
    assert layout.is_turn.tolist() == [1, 1, 1, 0, 0]
    assert layout.asks.tolist() == [0, 1, 1, 0, 0]  # a note that asks is no turn
    assert fold_name(" Ben\t K ") == "ben k"


def test_days_and_spans() -> None:
    layout = chat()
    assert layout.day.tolist() == [date(2025, 5, d).toordinal() for d in (2, 2, 3)] + [0, 0]
    spans = zip(layout.span_row.tolist(), layout.span_first.tolist(), layout.span_last.tolist(), strict=True)
    assert list(spans) == [(2, 100, 107), (2, 300, 300)]


def test_a_lead_points_at_its_document_and_a_statement_at_the_last_chunk_that_begins_before_it() -> None:
    layout = chat()
    assert layout.key_document.tolist() == [3, -1, -1]
    assert layout.key_row.tolist() == [-1, 4, 2]
    assert layout.key_is_personal.tolist() == [0, 1, 1]  # a lead, a preference, a fact


def test_a_key_of_a_document_without_chunks_points_nowhere() -> None:
    layout = build([row(1, 1)], [(1, 9, "lead", 0), (2, 9, "fact", 0)], {})
    assert (layout.key_document.tolist(), layout.key_row.tolist()) == ([-1, -1], [-1, -1])


def test_arrays_bring_back_the_layout() -> None:
    for layout in (chat(), empty()):
        again = Layout.of_arrays(layout.arrays(), list(layout.speakers))
        assert again.speakers == layout.speakers
        for name, array in layout.arrays().items():
            assert getattr(again, name).dtype == array.dtype
            assert getattr(again, name).tolist() == array.tolist()


def test_an_empty_layout_has_nothing() -> None:
    assert (len(empty()), empty().n_groups, empty().n_documents) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tokens", lambda a: a[:-1], "different lengths"),
        ("key_document", lambda a: a[:-1], "different lengths"),
        ("span_last", lambda a: a[:-1], "different lengths"),
        ("before", lambda a: a + 5, "before points outside"),
        ("after", lambda a: a - 3, "after points outside"),
        ("group", lambda a: a + 5, "group points outside"),
        ("key_row", lambda a: a + 3, "key_row points outside"),
        ("key_document", lambda a: a + 1, "key_document points outside"),
        ("span_row", lambda a: a + 3, "span_row points outside"),
        ("speaker", lambda a: a + 2, "speaker points outside"),
        ("day", lambda a: a.astype(np.int64), "day is not the array"),
        ("ids", lambda a: a[:, None], "ids is not the array"),
    ],
)
def test_arrays_that_contradict_themselves_are_refused(
    name: str, change: Callable[[Any], Any], message: str
) -> None:
    arrays = chat().arrays()
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=message):
        Layout.of_arrays(arrays, chat().speakers)
