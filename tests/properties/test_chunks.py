"""What holds for every document, every counter and every size of chunk."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragperso.ingest.chunker import chunk
from ragperso.types import Document, Format


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def lines_and_words(texts: Sequence[str]) -> list[int]:
    """A counter that is not additive: line breaks between pieces cost, as with byte-level tokenizers."""
    return [len(text.split()) + text.count("\n") for text in texts]


LINES = st.sampled_from(
    [
        "",
        "# Head",
        "## Sub",
        "### Deep **one**",
        "Title\n=====",
        "One two three. Four five six! Seven?",
        "a b c d e f g h i j k l m n o p q r s t",
        "- item one two",
        "  - nested",
        "1. first",
        "| a | b |",
        "|---|---|",
        "```",
        "    indented code",
        "---",
        "> quoted words. And more.",
        "漢字が続く文。次の文です。",
        "x" * 120,
        "Ende\r",
        "👩‍👩‍👧 é\u0301",
    ]
)
TEXTS = st.one_of(st.lists(LINES, max_size=30).map("\n".join), st.text(max_size=200))
FORMATS: list[Format] = ["markdown", "text", "rst", "mail", "code", "row"]


@settings(max_examples=300, deadline=None)
@given(
    text=TEXTS,
    format=st.sampled_from(FORMATS),
    count=st.sampled_from([words, characters, lines_and_words]),
    chunk_tokens=st.integers(1, 40),
    overlap=st.integers(0, 2),
    source=st.sampled_from(["k", "file"]),
    skip=st.integers(0, 10),
)
def test_chunks_are_bounded_ordered_and_complete(
    text: str, format: Format, count, chunk_tokens: int, overlap: int, source: str, skip: int
) -> None:
    start = min(skip, len(text))
    document = Document("k", text, format, source=source, indexed_from=start)
    spans = chunk(document, count=count, chunk_tokens=chunk_tokens, overlap_sentences=overlap)
    covered = [False] * len(text)
    for span in spans:
        piece = text[span.start : span.end]
        assert start <= span.start < span.end <= len(text)
        assert piece == piece.strip()
        assert count([piece]) == [span.n_tokens]
        assert span.n_tokens <= chunk_tokens or len(piece) == 1
        covered[span.start : span.end] = [True] * len(piece)
    for before, after in itertools.pairwise(spans):
        assert before.start < after.start
        assert before.end < after.end
    missing = "".join(
        char if not seen else " " for char, seen in zip(text[start:], covered[start:], strict=True)
    )
    assert re.fullmatch(r"[\s\-=*_#>|+:~`.]*", missing)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, chunk_tokens=st.integers(1, 40))
def test_without_overlap_chunks_do_not_share_text(text: str, chunk_tokens: int) -> None:
    spans = chunk(
        Document("k", text, "markdown"), count=words, chunk_tokens=chunk_tokens, overlap_sentences=0
    )
    assert all(before.end <= after.start for before, after in itertools.pairwise(spans))


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, chunk_tokens=st.integers(4, 40))
@example(text="# Head\n---\n## Sub", chunk_tokens=4)  # a rule under a heading is no text of its own
def test_every_heading_of_a_path_is_a_heading_of_the_text_above(text: str, chunk_tokens: int) -> None:
    spans = chunk(
        Document("k", text, "markdown"), count=words, chunk_tokens=chunk_tokens, overlap_sentences=1
    )
    for span in spans:
        for title in span.headings:
            assert title.split()[0] in text[: span.end]
