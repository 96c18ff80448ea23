"""Stage 5: what a person sees of a stream is whole characters that add up to the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.generate.stream import TextStream


def test_half_a_character_waits_for_its_other_half() -> None:
    seen: list[str] = []
    stream = TextStream(on_text=seen.append)
    for byte in "né".encode():
        stream.feed(bytes([byte]))
    assert seen == ["n", "é"]
    assert stream.finish() == "né"


def test_half_a_character_at_the_end_is_dropped() -> None:
    stream = TextStream()
    stream.feed("né".encode()[:-1])
    assert stream.finish() == "n"


def test_a_stop_string_is_cut_even_across_pieces_and_never_shown() -> None:
    seen: list[str] = []
    stream = TextStream(("\nQuestion:",), seen.append)
    for piece in ("Tea.", "\nQues", "tion", ": more"):
        stream.feed(piece)
    assert stream.is_stopped
    assert stream.finish() == "Tea."
    assert "".join(seen) == "Tea."


def test_what_only_looked_like_a_stop_string_is_shown() -> None:
    stream = TextStream(("END",))
    for piece in ("the E", "N", "E"):
        stream.feed(piece)
    assert stream.finish() == "the ENE"


def test_the_earliest_of_several_stops_counts() -> None:
    stream = TextStream(("b", "a"))
    stream.feed("xxaxxb")
    assert stream.finish() == "xx"


def test_an_empty_stop_string_stops_nothing() -> None:
    stream = TextStream(("",))
    stream.feed("x")
    assert stream.finish() == "x"


@given(st.text(), st.lists(st.integers(1, 5)), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_pieces_add_up_to_the_text_up_to_the_first_stop(text: str, sizes: list[int], stop: list[str]) -> None:
    seen: list[str] = []
    stream = TextStream(stop, seen.append)
    data = text.encode("utf-8", "replace")
    at = 0
    for size in [*sizes, len(data) + 1]:
        stream.feed(data[at : at + size])
        at += size
    whole = stream.finish()
    assert "".join(seen) == whole == whole.strip()
    assert not any(mark in whole for mark in stop)
    if not any(mark in text.lstrip() for mark in stop):
        assert whole == data.decode("utf-8").strip()


@pytest.mark.parametrize("text", ["  a b  ", "\n\n", ""])
def test_white_space_at_the_ends_is_dropped(text: str) -> None:
    stream = TextStream()
    for c in text:
        stream.feed(c)
    assert stream.finish() == text.strip()
