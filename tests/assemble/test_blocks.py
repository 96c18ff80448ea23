"""Blocks of a preset: cut into entries, chosen, fitted, and placed in the system text."""

from __future__ import annotations

from typing import Any

import pytest

from ragperso.assemble.blocks import Entry, Filled, Shown, compose, entries_of, render, take
from ragperso.preset import Block
from ragperso.testing import WordCounter
from ragperso.types import Dropped

count = WordCounter().count
GLOSSARY = """---
kind: glossary
---
# Terms

- **Patina**: the surface that age gave a metal
- Seat tube: the tube that holds the post,
  and the derailleur
- Maker - who made it

| not a list: stays a line

Provenance: who owned it.
---
"""


def texts(text: str) -> list[str]:
    return [entry.text for entry in entries_of(text, "x")]


def block(**changes: Any) -> Block:
    return Block(**{"name": "glossary", "title": "Glossary", "text": "x", "max_tokens": 100, **changes})


def filled(*entries: str, **changes: Any) -> Filled:
    return Filled(block(**changes), tuple(Entry(f"e{n}", text) for n, text in enumerate(entries, 1)))


# ---------------------------------------------------------------- entries


def test_items_and_paragraphs_are_entries_headings_and_front_matter_are_not() -> None:
    assert texts(GLOSSARY) == [
        "**Patina**: the surface that age gave a metal",
        "Seat tube: the tube that holds the post, and the derailleur",
        "Maker - who made it",
        "| not a list: stays a line",
        "Provenance: who owned it.",
    ]


def test_a_text_without_any_entry_gives_none() -> None:
    assert texts("") == texts("# Title\n\n---\n") == []
    assert texts("---\nnever closed: yes") == ["never closed: yes"]


# ---------------------------------------------------------------- choosing


def test_entries_are_taken_while_they_fit_and_the_rest_is_counted() -> None:
    # "Glossary:" is one word, "- a b c" four: two entries fit.
    shown, dropped = take(filled("a b c", "d e f", "g h i", max_tokens=10), "", count)
    assert [(one.item, one.text, one.tokens) for one in shown] == [
        ("glossary: e1", "a b c", 4),
        ("glossary: e2", "d e f", 4),
    ]
    assert dropped == [Dropped("glossary: 1 entry", 4, "max_tokens (10) of the preset's block is used up")]


def test_a_long_entry_is_passed_over_for_a_shorter_one() -> None:
    shown, dropped = take(filled("a b c d e f g h", "i", max_tokens=4), "", count)
    assert [one.text for one in shown] == ["i"]
    assert dropped[0].tokens == 9


def test_the_number_of_entries_may_be_limited() -> None:
    shown, dropped = take(filled("a", "b", "c", max_entries=1), "", count)
    assert [one.text for one in shown] == ["a"]
    assert dropped == [Dropped("glossary: 2 entries", 4, "max_entries (1) of the preset's block is used up")]


def test_what_is_said_twice_is_shown_once() -> None:
    shown, dropped = take(filled("a  b", "a b", ""), "", count)
    assert [one.text for one in shown] == ["a b"]
    assert dropped == []


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("Describe the patina, please", ["Patina: age"]),
        ("Patinas everywhere", ["Patina: age"]),  # by stem
        ("How long is the seat tube?", ["Seat tube: holds the post"]),
        ("Where is my seat?", []),  # one word of a term of two is another thing
        ("The post of the metal", []),  # words of the explanation are not the term
        ("Is there a dent?", ["No term here, only a dent"]),
        ("", []),
    ],
)
def test_fitting_shows_the_terms_that_the_request_names(request_: str, expected: list[str]) -> None:
    given = filled("Patina: age", "Seat tube: holds the post", "No term here, only a dent", pick="fitting")
    shown, dropped = take(given, request_, count)
    assert [one.text for one in shown] == expected
    assert dropped == []


# ---------------------------------------------------------------- placing


def said(*pairs: tuple[Block, str]) -> list[Shown]:
    return [Shown(one, Entry("e", text), text, 1) for one, text in pairs]


def system(text: str, *, is_template: bool = True, shown: list[Shown] | None = None, **changes: Any) -> str:
    known: dict[str, Any] = {"name": "Ana", "languages": ("en",), "style": ["Short."], "facts": ["I bake."]}
    return compose(text, is_template=is_template, shown=shown or [], **{**known, **changes})


LEVEL = block(name="level", title="Level")
GUIDE = block(name="guide", title="Guide")
PROFILE = "The person is Ana, who writes English.\nHow they write: Short.\nAbout them:\n- I bake."


def test_one_entry_stands_behind_its_title_several_are_a_list() -> None:
    assert render(LEVEL, ["A2"]) == "Level: A2"
    assert render(GUIDE, ["one", "two"]) == "Guide:\n- one\n- two"
    assert render(GUIDE, ["one", "two"], with_title=False) == "- one\n- two"
    assert render(block(title=""), ["one"]) == "one"
    assert render(GUIDE, []) == ""


def test_profile_and_blocks_follow_where_the_text_does_not_place_them() -> None:
    shown = said((LEVEL, "A2"), (GUIDE, "one"), (GUIDE, "two"))
    assert system("You teach.", shown=shown) == (
        f"You teach.\n\n{PROFILE}\n\nLevel: A2\n\nGuide:\n- one\n- two"
    )
    assert system("You teach.", shown=[]) == f"You teach.\n\n{PROFILE}"


def test_a_text_places_what_it_names_and_the_rest_follows() -> None:
    shown = said((LEVEL, "A2"), (GUIDE, "one"))
    assert system("{name} is at {level}.\n{blocks}\n{facts}", shown=shown) == (
        "Ana is at A2.\nGuide: one\n- I bake.\n\n"
        "The person is Ana, who writes English.\nHow they write: Short."
    )
    assert system("A\n{profile}\nB", shown=[]) == f"A\n{PROFILE}\nB"


def test_only_a_template_is_filled() -> None:
    assert (
        system("Say {name} and {{name}}.", is_template=False)
        == f"Say {{name}} and {{{{name}}}}.\n\n{PROFILE}"
    )


def test_content_is_never_taken_for_a_template() -> None:
    shown = said((LEVEL, "{facts} {guide}"), (GUIDE, "x"))
    told = system("{level}", name="{blocks}", facts=["{style}"], style=[], shown=shown)
    assert told.splitlines()[0] == "{facts} {guide}"
    assert "The person is {blocks}," in told
    assert "- {style}" in told


# ---------------------------------------------------------------- hostile text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000, "- " * 150_000, "\n" * 300_000, "a\n" * 150_000, " " * 300_000, "\ud800: " * 75_000,
        "---\n" * 75_000,
    ],
    ids=["word", "items", "lines", "rows", "blanks", "surrogates", "fences"],
)  # fmt: skip
def test_hostile_text_stays_linear_and_raises_nothing(text: str) -> None:
    """Quadratic work would run into the time limit of the suite."""
    entries = entries_of(text, "x")
    assert len(entries) <= 400
    for pick in ("first", "fitting"):
        shown, _ = take(Filled(block(pick=pick), tuple(entries)), text, count)
        compose(text, is_template=True, name="a", languages=(), style=(), facts=(), shown=shown)
