"""Marks on the command line: given, shown as weights, taken back."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def asked(people: Run) -> tuple[Run, str]:
    """Ana, and the number of an exchange of hers."""
    number = people("ask", "Which bank did I move my account to?", "--json").json["interaction"]
    return people, number


def test_a_followed_citation_is_noted_and_an_unknown_one_refused(asked: tuple[Run, str]) -> None:
    people, number = asked
    assert people("feedback", number, "--followed", "[1]").out == "noted: followed\n"
    assert people("feedback", number, "--followed", "77").code == 1


def test_the_last_mark_is_taken_back_with_its_exemplar(asked: tuple[Run, str]) -> None:
    people, number = asked

    def n_exemplars() -> int:
        return len(people("search", "Elster", "--corpus", "exemplars", "--json").json["hits"])

    before = n_exemplars()
    people("feedback", number, "--edit", "Elster, since March.")
    assert n_exemplars() == before + 1
    assert people("feedback", number, "--undo").out == "taken back: edited\n"
    assert n_exemplars() == before
    assert people("feedback", number, "--undo", "--json").json == {"interaction": number, "taken_back": None}


def test_weights_say_why_they_are_neutral(asked: tuple[Run, str]) -> None:
    people, number = asked
    people("feedback", number, "good")
    told = people("feedback", "--weights").out
    assert "where passages come from: neutral" in told
    assert "1 mark: 10 are needed before anything is learned" in told
    groups = people("feedback", "--weights", "--json").json["groups"]
    assert [(group["group"], group["in_force"], group["marks"]) for group in groups] == [
        ("passages", False, 1),
        ("exemplars", False, 0),
    ]


def test_a_reset_forgets_marks_until_it_is_undone(asked: tuple[Run, str]) -> None:
    people, number = asked
    people("feedback", number, "good")

    def n_marks() -> int:
        return int(people("feedback", "--weights", "--json").json["groups"][0]["marks"])

    assert people("feedback", "--reset").code == 0
    assert n_marks() == 0
    assert people("feedback", "--reset", "--undo").out == "all marks count\n"
    assert n_marks() == 1


@pytest.mark.parametrize(
    "words", [[], ["--undo"], ["X", "--weights"], ["--weights", "--reset"], ["X", "good", "--undo"], ["X"]]
)
def test_what_does_not_fit_is_refused(people: Run, words: list[str]) -> None:
    assert people("feedback", *words).code == 2
