"""Follow-ups lean on what was asked; questions that stand alone are left alone."""

from __future__ import annotations

import pytest

from ragperso.retrieve.followup import is_follow_up, resolve
from ragperso.types import Turn

LEANING = [
    "and the other one?",
    "why?",
    "What about my left knee?",
    "und warum?",
    "Et pour le pain ?",
    "Where does she live?",
    "since when?",
    "Und in Leipzig?",
]
STANDING = [
    "When did I change banks?",
    "Who wrote the mail about the invoice from Pieter?",
    "How do I like my coffee?",
    "Wann habe ich die Bank gewechselt?",
    "Quelle farine est-ce que j'utilise pour le levain ?",
    "So how much flour goes into the sourdough starter on Mondays?",
]


@pytest.mark.parametrize("text", LEANING)
def test_leaning_questions_are_recognised(text: str) -> None:
    assert is_follow_up(text)


@pytest.mark.parametrize("text", STANDING)
def test_standing_questions_are_recognised(text: str) -> None:
    assert not is_follow_up(text)


def test_a_follow_up_gets_the_question_it_leans_on() -> None:
    turns = [Turn("user", "When did I change banks?"), Turn("assistant", "In March 2025.")]
    assert resolve("and why?", turns) == "When did I change banks? and why?"


def test_a_chain_reaches_back_to_the_question_that_began_it() -> None:
    turns = [
        Turn("user", "What did the doctor say about my knee?"),
        Turn("assistant", "No running."),
        Turn("user", "since when?"),
        Turn("assistant", "Since May."),
    ]
    resolved = resolve("and the other one?", turns)
    assert resolved == "What did the doctor say about my knee? since when? and the other one?"


def test_without_a_conversation_or_a_need_nothing_changes() -> None:
    assert resolve("and why?", []) == "and why?"
    assert resolve("How do I like my coffee?", [Turn("user", "When did I change banks?")]) == (
        "How do I like my coffee?"
    )
