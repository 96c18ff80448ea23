"""Extra keys point at the person's own words."""

from __future__ import annotations

from typing import Any

import pytest

from ragperso.ingest.keys import LEAD, keys_of
from ragperso.store import embed_hash
from ragperso.types import ChunkSpan, Document

TURN = "I just love pad thai! Did you eat? I have two cats."


def keys(document: Document, *spans: tuple[int, int], max_tokens: int = 256) -> list[Any]:
    chunks = [ChunkSpan(start, end) for start, end in spans or ((0, len(document.text)),)]
    return keys_of(document, chunks, max_tokens=max_tokens)


def turn(text: str = TURN, **meta: Any) -> Document:
    return Document("d1", text, "row", meta=meta)


def test_statements_point_at_the_words_themselves() -> None:
    found = keys(turn(speaker="Ana"))
    assert [(k.kind, TURN[k.start : k.end]) for k in found] == [
        ("preference", "I just love pad thai"),
        ("fact", "I have two cats."),
    ]
    assert found[0].text.startswith("Ana just loves pad thai")
    assert [k.embed_hash for k in found] == [embed_hash(k.text) for k in found]


def test_offsets_count_from_the_beginning_of_the_document() -> None:
    text = f"The sky is grey.\n\n{TURN}"
    (first, _) = [k for k in keys(turn(text), (0, 16), (18, len(text))) if k.kind != LEAD]
    assert text[first.start : first.end] == "I just love pad thai"


def test_only_a_document_of_several_chunks_has_a_lead() -> None:
    document = Document("n.md", "One two.\n\nThree.\n\nFour.", "markdown", title="Walks")
    assert keys(document) == []
    (lead,) = keys(document, (0, 8), (10, 16), (18, 23))
    assert (lead.kind, lead.start, lead.end, lead.text) == (LEAD, 0, 23, "")
    assert lead.embed_hash == embed_hash("Walks\nOne two.\n\nThree.\n\nFour.")


def test_a_lead_begins_with_the_first_chunk_and_ends_where_the_embedder_does() -> None:
    document = Document("n.md", "---\nx\n---\n" + "word " * 100, "markdown")
    (lead,) = keys(document, (10, 200), (200, 510), max_tokens=5)
    assert (lead.start, lead.end) == (10, 10 + 5 * 6)


def test_a_title_that_stands_near_the_top_is_not_said_twice() -> None:
    document = Document("n.md", "# Walks\n\nOne.", "markdown", title="Walks")
    (lead,) = keys(document, (0, 7), (9, 13))
    assert lead.embed_hash == embed_hash("# Walks\n\nOne.")


@pytest.mark.parametrize("kind", ["interaction", "exemplar"])
def test_answers_and_exemplars_state_nothing(kind: str) -> None:
    assert keys(turn(kind=kind, speaker="Ana")) == []


@pytest.mark.parametrize("format", ["code", "rst"])
def test_code_and_manuals_state_nothing_but_have_a_lead(format: Any) -> None:
    document = Document("x", TURN, format)
    assert keys(document) == []
    assert [k.kind for k in keys(document, (0, 21), (22, len(TURN)))] == [LEAD]


def test_a_sentence_that_two_chunks_share_is_one_key() -> None:
    found = keys(turn(), (0, 34), (0, len(TURN)))
    assert [(k.kind, k.start) for k in found] == [(LEAD, 0), ("preference", 0), ("fact", 35)]


def test_what_merely_happened_is_a_key_in_a_conversation_only() -> None:
    text = "I moved my account to Elster Bank."
    assert [k.kind for k in keys(turn(text, thread="t"))] == ["event"]
    assert [k.kind for k in keys(turn(text, session="s"))] == ["event"]
    assert keys(turn(text)) == []


def test_a_turn_has_at_most_four_statements() -> None:
    text = " ".join(f"I love {food}." for food in ("rye bread", "pad thai", "plum cake", "leek soup", "kale"))
    assert [text[k.start : k.end] for k in keys(turn(text))] == [
        "I love rye bread.",
        "I love pad thai.",
        "I love plum cake.",
        "I love leek soup.",
    ]


def test_what_an_assistant_says_is_nobody_s() -> None:
    assert keys(turn(speaker="assistant")) == []


def test_a_speaker_that_is_no_name_is_nobody() -> None:
    (first, _) = keys(turn(speaker=["Ana"]))
    assert first.text.startswith("The person just loves pad thai")


def test_a_key_s_text_is_not_in_its_repr() -> None:
    (first, _) = keys(turn(speaker="Ana"))
    assert "pad thai" not in repr(first)


def test_an_alias_is_a_key_of_the_first_chunk() -> None:
    document = Document(
        "n.md", "# Moka pot\n\nBoil it slowly.", meta={"aliases": ["bialetti", "stovetop espresso"]}
    )
    found = keys_of(document, [ChunkSpan(0, 27)], max_tokens=50)
    assert [(key.kind, key.text, key.start) for key in found] == [
        ("alias", "bialetti", 0),
        ("alias", "stovetop espresso", 0),
    ]
