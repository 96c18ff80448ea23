"""Stage 5: an answer by quoting the passages."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ragperso.generate.extractive import ExtractiveGenerator, best_quotes, plain
from ragperso.types import ChunkId, Passage, Prompt

BANK = """# Changing banks

I moved my account to Lindenkasse in March 2025. The branch has a blue door.

- Business account: **4 euros** a month.
- Contact: Erika Sander.
"""
TRIP = "Wir waren im Oktober im Harz. In Braunlage haben wir im Gasthof Tannenblick übernachtet."


def passage(label: str, text: str, relevance: float = 0.5) -> Passage:
    return Passage(label, ChunkId(int(label)), f"{label}.md", 0, len(text), text, relevance=relevance)


def asked(question: str, *passages: Passage) -> Prompt:
    return Prompt((), (), (), 0, 0, question, passages)


@pytest.mark.parametrize(
    ("question", "label", "quote"),
    [
        ("When did I change banks?", "1", "I moved my account to Lindenkasse in March 2025."),
        ("How much is the business account?", "1", "Business account: 4 euros a month."),
        ("Who is my contact?", "1", "Contact: Erika Sander."),
        ("What colour is the door of the branch?", "1", "The branch has a blue door."),
        ("Wo haben wir übernachtet?", "2", "In Braunlage haben wir im Gasthof Tannenblick übernachtet."),
    ],
)
def test_the_sentence_that_answers_is_quoted(question: str, label: str, quote: str) -> None:
    best = best_quotes(question, [passage("1", BANK), passage("2", TRIP)])[0]
    assert (best.label, best.text) == (label, quote)


def test_a_quote_names_its_place_in_the_original() -> None:
    best = best_quotes("How much is the business account?", [passage("1", BANK)])[0]
    assert BANK[best.start : best.end] == "- Business account: **4 euros** a month."


def test_headings_rules_and_single_words_are_never_quoted() -> None:
    text = "# Banks and accounts\n\n---\n\nBanks\n\nNothing else here."
    quotes = best_quotes("Which banks and accounts?", [passage("1", text)], n=9)
    assert [quote.text for quote in quotes] == ["Nothing else here."]


def test_similarity_finds_what_shares_no_word() -> None:
    text = "The car is green. The physician was kind."

    def doctors(question: str, texts: Sequence[str]) -> list[float]:
        return [0.9 if "physician" in text else 0.1 for text in texts]

    assert (
        best_quotes("How was my doctor?", [passage("1", text)], doctors)[0].text == "The physician was kind."
    )


def test_a_second_quote_must_say_something_else() -> None:
    passages = [passage("1", "The key is under the pot."), passage("2", "The key is under the pot!")]
    assert [quote.label for quote in best_quotes("Where is the key?", passages)] == ["1"]


def test_relevance_decides_between_equals() -> None:
    passages = [passage("1", "The key is red.", 0.2), passage("2", "The key is blue.", 0.9)]
    assert best_quotes("What colour is the key?", passages, n=1)[0].label == "2"


@pytest.mark.parametrize("text", ["", "\n\n", "# Only a heading", "word"])
def test_nothing_to_quote_is_no_quote(text: str) -> None:
    assert best_quotes("What?", [passage("1", text)]) == []


def test_without_passages_the_text_is_empty() -> None:
    done = ExtractiveGenerator().generate(asked("What?"), owner="ana", max_tokens=9)
    assert (done.text, done.completion_tokens, done.finish_reason) == ("", 0, "stop")


def test_a_question_without_words_is_no_error() -> None:
    assert ExtractiveGenerator().generate(asked("???", passage("1", BANK)), owner="ana", max_tokens=9).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- [ ] buy **milk**", "buy milk"),
        (
            "3. see [the list](https://x.y/z) and [[packing-list|what I carry]]",
            "see the list and what I carry",
        ),
        ("> quoted\n> text", "quoted text"),
        ("| cheese | 4 |", "cheese · 4"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("_really_ *so*", "really so"),
        ("`a_b` stays", "`a_b` stays"),
    ],
)
def test_plain_drops_marks_and_keeps_words(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_sentence_that_announces_a_command_is_quoted_with_it() -> None:
    text = (
        "# Ports\n\nTo see who listens on a port, run:\n\n```\nlsof -i :8000\n```\n\nIt works on macOS too."
    )
    passage = Passage("1", ChunkId(1), "ports.md", 0, len(text), text)
    (quote,) = best_quotes("How do I see who listens on a port?", [passage], n=1)
    assert quote.text == "To see who listens on a port, run:\n\n```\nlsof -i :8000\n```"
    assert text[quote.start : quote.end].endswith("```")
