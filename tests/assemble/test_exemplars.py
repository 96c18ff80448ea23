"""Exemplars: the wanted register first, never two of a kind."""

from __future__ import annotations

import pytest

from ragperso.assemble.exemplars import choose, register_of
from ragperso.types import Exemplar


def exemplar(number: int, register: str, language: str = "en", text: str = "") -> Exemplar:
    return Exemplar(
        str(number),
        text or f"text number {number} about thing {number} of {register}",
        "",
        register,
        language,
    )


def test_register_comes_before_language_and_rank() -> None:
    given = [exemplar(1, "post"), exemplar(2, "mail reply", "de"), exemplar(3, "mail")]
    chosen = choose(given, n=3, register="mail", language="en")
    assert [e.id for e in chosen] == ["3", "2", "1"]


def test_two_that_say_the_same_teach_once() -> None:
    text = "Thanks for the drawings, I will look at them on Monday and call you after lunch."
    given = [exemplar(1, "mail", text=text), exemplar(2, "mail", text=text + " Bye."), exemplar(3, "mail")]
    assert [e.id for e in choose(given, n=2)] == ["1", "3"]


def test_none_are_made_up() -> None:
    assert choose([], n=4) == []
    assert choose([exemplar(1, "mail")], n=0) == []


@pytest.mark.parametrize(
    ("request_text", "register"),
    [
        ("Write a short mail to Jo", "mail"),
        ("Antworte auf diese E-Mail", "mail"),
        ("a blog post about steel", "post"),
        ("Schreib eine Nachricht an Mia", "chat"),
        ("a note for the workshop", "note"),
        ("something about rain", ""),
    ],
)
def test_the_register_is_read_from_the_request(request_text: str, register: str) -> None:
    assert register_of(request_text) == register
