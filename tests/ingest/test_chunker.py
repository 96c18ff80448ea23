"""Where chunks begin and end, with one token per word so that the sums are easy to redo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragperso.ingest.chunker import chunk, chunker_fingerprint
from ragperso.types import Document, Format


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def cut(
    text: str, limit: int, *, overlap: int = 0, format: Format = "markdown", source: str = "", start: int = 0
) -> list[tuple[tuple[str, ...], str]]:
    document = Document("k", text, format, source=source, indexed_from=start)
    spans = chunk(document, count=words, chunk_tokens=limit, overlap_sentences=overlap)
    return [(span.headings, text[span.start : span.end]) for span in spans]


def texts(*args: object, **kwargs: object) -> list[str]:
    return [text for _, text in cut(*args, **kwargs)]  # type: ignore[arg-type]


def n_words(n: int, start: int = 0) -> str:
    return " ".join(f"w{i}" for i in range(start, start + n)) + "."


def test_a_short_document_is_one_chunk_under_its_common_path() -> None:
    text = "# Trip\n\n## Train\nAt nine.\n\n## Hotel\nBooked.\n"
    assert cut(text, 50) == [(("Trip",), text.strip())]


def test_sections_have_their_own_chunks_and_paths() -> None:
    body = n_words(9)
    text = f"# Trip\n\nIntro {body}\n\n## Train\n\n{body}\n\n### Back\n\n{body}\n\n## Hotel\n\n{body}"
    assert [(path, body.split()[1]) for path, body in cut(text, 16)] == [
        (("Trip",), "Trip"),
        (("Trip", "Train"), "Train"),
        (("Trip", "Train", "Back"), "Back"),
        (("Trip", "Hotel"), "Hotel"),
    ]


def test_headings_alone_go_with_the_first_text_under_them() -> None:
    text = f"# A\n## B\n\n{n_words(8)}\n\n## C\n\n{n_words(8)}"
    assert cut(text, 14) == [
        (("A", "B"), f"# A\n## B\n\n{n_words(8)}"),
        (("A", "C"), f"## C\n\n{n_words(8)}"),
    ]


def test_tiny_sections_share_a_chunk_under_their_parent() -> None:
    text = f"# A\n\n{n_words(18)}\n\n## B\n\none\n\n## C\n\ntwo\n\n## D\n\nthree\n\n# E\n\n{n_words(18)}"
    assert [path for path, _ in cut(text, 20)] == [("A",), ("A",), ("E",)]
    assert cut(text, 20)[1][1] == "## B\n\none\n\n## C\n\ntwo\n\n## D\n\nthree"


def test_links_and_emphasis_leave_the_path() -> None:
    text = f"# See [the **site**](https://x.org) `now`\n\n{n_words(12)}\n\n# Two\n\n{n_words(12)}"
    assert cut(text, 20)[0][0] == ("See the site now",)


def test_paragraphs_stay_whole_and_long_ones_break_between_sentences() -> None:
    text = f"{n_words(6)}\n\n{n_words(6, 6)}\n\n{n_words(4)} {n_words(4)} {n_words(4)} {n_words(4)}"
    assert texts(text, 10) == [
        n_words(6),
        f"{n_words(6, 6)}\n\n{n_words(4)}",
        f"{n_words(4)} {n_words(4)}",
        n_words(4),
    ]


def test_code_tables_and_lists_stay_whole_when_they_fit() -> None:
    for block in ("```\na b c\n\nd e f\n```", "| a | b |\n|---|---|\n| c | d |", "- a b\n- c d\n  - e f"):
        text = f"{n_words(9)}\n\n{block}\n\n{n_words(9)}"
        assert block in texts(text, 12)


def test_what_does_not_fit_breaks_between_rows_items_and_stanzas() -> None:
    assert texts("| a | b |\n|---|---|\n| c | d |\n| e | f |", 10) == [
        "| a | b |\n|---|---|",
        "| c | d |\n| e | f |",
    ]
    assert texts("- a b c\n- d e f\n- g h i\n- j k l", 8) == ["- a b c\n- d e f", "- g h i\n- j k l"]
    code = "def f():\n    a = 1\n\n    return a\n\ndef g():\n    b = 2\n    return b"
    assert texts(code, 9, format="code") == [code[: code.index("\n\ndef g")], code[code.index("def g") :]]


def test_sentences_repeat_inside_a_section_only() -> None:
    sentences = [n_words(4, 10 * i) for i in range(6)]
    text = f"# A\n\n{' '.join(sentences)}\n\n# B\n\n{n_words(14, 100)}"
    found = cut(text, 18, overlap=1)
    first, second, third = (body for _, body in found)
    last = first.split(". ")[-1]
    assert second.startswith(last)
    assert third.startswith("# B")


def test_front_matter_is_not_indexed() -> None:
    assert texts("---\na: b\n---\ntext", 10, start=13) == ["text"]


def test_a_mail_that_fits_is_one_chunk_and_has_no_headings() -> None:
    assert cut("Hi\n---\n\n# not a heading\n\nBye", 20, format="mail") == [
        ((), "Hi\n---\n\n# not a heading\n\nBye")
    ]


def test_rows_of_a_table_are_never_split_when_they_fit() -> None:
    text = "\n".join(f"a: {i}; b: x. Y z" for i in range(6))
    assert all(
        len(body.split("\n")) == 2 and body.startswith("a: ") for body in texts(text, 13, format="row")
    )


def test_a_row_of_prose_is_cut_like_prose() -> None:
    text = f"{n_words(4)}\n{n_words(4)} {n_words(4)}"
    assert texts(text, 8, format="row", source="file.jsonl") == [f"{n_words(4)}\n{n_words(4)}", n_words(4)]


def test_rst_sections() -> None:
    text = f"Top\n===\n\n{n_words(9)}\n\nSub\n---\n\n{n_words(9)}\n"
    assert [path for path, _ in cut(text, 12, format="rst")] == [("Top",), ("Top", "Sub")]


@pytest.mark.timeout(30)
def test_text_without_spaces_is_cut_by_characters_in_linear_time() -> None:
    """A WordPiece tokenizer counts a megabyte without spaces as one token; no such chunk may result."""
    found = texts("x" * 1_000_000, 100)
    assert "".join(found) == "x" * 1_000_000
    assert max(map(len, found)) <= 1_600
    chinese = "漢字" * 50_000
    spans = chunk(
        Document("k", chinese), count=lambda t: list(map(len, t)), chunk_tokens=100, overlap_sentences=0
    )
    assert all(span.n_tokens <= 100 for span in spans)
    assert sum(span.n_tokens for span in spans) == 100_000


@pytest.mark.timeout(30)
@pytest.mark.parametrize("unit", ["# h\n", "- a\n", "| a |\n", "\n\na", "a\n===\n", "# a\n## b\n"])
def test_many_small_blocks_take_linear_time(unit: str) -> None:
    found = texts(unit * (200_000 // len(unit)), 100, overlap=1)
    assert len(found) > 100


def test_counting_is_done_in_few_calls() -> None:
    calls = 0

    def count(batch: Sequence[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return words(batch)

    text = "\n\n".join(f"# H{i}\n\n{n_words(30)} {n_words(90)} {n_words(90)}" for i in range(200))
    spans = chunk(Document("k", text, "markdown"), count=count, chunk_tokens=100, overlap_sentences=1)
    assert len(spans) > 400
    assert calls <= 6


@pytest.mark.parametrize("text", ["", " \n\t ", "---\n\n***\n", "```\n```"])
def test_nothing_to_index_gives_no_chunks(text: str) -> None:
    assert texts(text, 10) == []


def test_the_fingerprint_names_what_shapes_a_chunk() -> None:
    assert chunker_fingerprint(180, 1) == "chunker/2 tokens=180 overlap=1"
    assert len({chunker_fingerprint(a, b) for a in (1, 2) for b in (0, 1)}) == 4


def test_hostile_strings_are_chunked_without_loss() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "hostile" / "blns.json"
    if not path.exists():
        pytest.skip("the list of hostile strings is not beside this repository")
    for text in json.loads(path.read_text(encoding="utf-8")):
        for format in ("markdown", "rst", "mail", "code", "row"):
            joined = "".join(texts(text, 5, format=format))
            kept = "".join(joined.split())
            assert kept == "".join(text.split()) or not any(char.isalnum() for char in text)
