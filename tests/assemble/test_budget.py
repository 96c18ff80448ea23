"""Limits in tokens, and texts cut at the last whole sentence."""

from __future__ import annotations

from ragperso.assemble.budget import clip, split
from ragperso.config import Assemble
from ragperso.testing import WordCounter

count = WordCounter().count


def test_the_total_is_what_the_window_leaves() -> None:
    assert split(Assemble(), context_tokens=2048, max_completion=160).total == 2048 - 160 - 8
    assert split(Assemble(budget_tokens=500), context_tokens=2048, max_completion=160).total == 500
    assert (
        split(Assemble(budget_tokens=9000), context_tokens=2048, max_completion=160).total == 2048 - 160 - 8
    )
    assert split(Assemble(), context_tokens=100, max_completion=160).total == 0


def test_clip_keeps_whole_sentences() -> None:
    text = "One two three. Four five six. Seven eight nine."
    assert clip(text, 9, count) == text
    assert clip(text, 8, count) == "One two three. Four five six."
    assert clip(text, 5, count) == "One two three."


def test_clip_cuts_a_long_sentence_between_words() -> None:
    assert clip("alpha beta gamma delta", 2, count) == "alpha beta"
    assert clip("alpha beta gamma", 0, count) == ""


def test_clip_cuts_between_characters_when_there_are_no_spaces() -> None:
    def characters(texts: list[str]) -> list[int]:
        return [len(t) for t in texts]

    assert clip("x" * 50, 7, characters) == "x" * 7  # type: ignore[arg-type]
