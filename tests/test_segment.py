"""Sentence and block boundaries, each example one that a person would split the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.segment import blocks, paragraphs, sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Dr. Smith paid 3.50 euros.", "He left at 5 p.m.", "Nobody saw him."],
        ["See e.g. the file notes.md or https://example.org/a.b?c=d.", "It helps."],
        ["J. R. R. Tolkien wrote it.", "I read it."],
        ["He said “Stop.”", "Then he left."],
        ["“Really?” she asked.", "“Yes!”", "He nodded."],
        ["(It was late.)", "We slept."],
        ["Well... maybe not.", "Fine…", "Next one."],
        ["The U.S. Army came.", "They left the U.S.", "The rest stayed."],
        ["It was 2023.", "The year began well."],
        ["Bold **end.**", "Next."],
        ["A claim.[1]", "Another.[^note]", "End."],
        ["Am 3. Mai zahlte er 3,50 Euro.", "Dann ging er."],
        ["Das ist z. B. gut, d. h. sehr gut.", "Vgl. Abb. 3 usw.", "Ende."],
        ["Dr. Müller wohnt in der Hauptstr. 5 im 2. Stock.", "Er ist nett."],
        ["Er kam am 12. Dezember.", "Es schneite."],
        ["»Komm!«", "Er kam.", "„Wirklich?“", "Ja."],
        ["M. Dupont est parti.", "Mme Martin reste."],
        ["« Ça va ? »", "Oui.", "Très bien !", "Merci."],
        ["Le 3 mai, p. ex. à midi.", "Il dort."],
        ["今日は晴れです。", "明日は雨？", "わかりません！"],
        ["彼は「行く。」と言った。", "終わり。"],
        ["我今天去了银行。", "你呢？"],
        ["هل أنت بخير؟", "نعم."],
        ["यह पहला है।", "यह दूसरा है।"],
        [
            "i went home. it was nice.".split(". ")[0] + ".",
            "it was nice.",
            "really? yes.".split(" ")[0],
            "yes.",
        ],
    ],
    ids=lambda parts: parts[0][:24],
)
def test_sentences_of_one_paragraph(parts: list[str]) -> None:
    """Joining the sentences with the spaces that people write and splitting again gives them back."""
    wide = any(ord(char) in range(0x3000, 0xA000) for char in parts[0])
    assert split(("" if wide else " ").join(parts)) == parts


@pytest.mark.parametrize(
    ("word", "before"),
    [
        ("No", "No. 5"),
        ("me", "Me Roy"),
        ("art", "Art. 5"),
        ("tab", "Tab. 3"),
        ("min", "min. 10"),
        ("fig", "Fig. 2"),
    ],
)
def test_abbreviations_that_are_words_too_need_what_they_stand_before(word: str, before: str) -> None:
    assert split(f"He said {word}. Then he left.") == [f"He said {word}.", "Then he left."]
    assert split(f"We saw {before} there. Good.") == [f"We saw {before} there.", "Good."]


def test_stops_in_code_spans_end_nothing() -> None:
    assert split("Run `a. B! C` now. Then stop.") == ["Run `a. B! C` now.", "Then stop."]
    assert split("A lone ` is odd. It ends. Here.") == ["A lone ` is odd.", "It ends.", "Here."]


def test_a_blank_line_ends_a_sentence_and_a_line_break_does_not() -> None:
    assert split("One two\nthree. Four\n\nfive") == ["One two\nthree.", "Four", "five"]


def test_windows_line_ends_are_line_ends() -> None:
    assert split("One\r\ntwo.\r\n\r\nThree") == ["One\r\ntwo.", "Three"]


def test_lines_of_lists_tables_and_code_are_units() -> None:
    text = (
        "Buy:\n- milk\n- eggs, many\n  of them\n\n| a | b |\n|---|---|\n\n```py\nx = 1\n\ny = 2\n```\n# End"
    )
    assert split(text) == [
        "Buy:",
        "- milk",
        "- eggs, many\n  of them",
        "| a | b |",
        "|---|---|",
        "```py",
        "x = 1",
        "y = 2",
        "```",
        "# End",
    ]


def test_a_wrapped_ordinal_is_not_a_list() -> None:
    assert split("Wir treffen uns am\n3. Mai in Jena.") == ["Wir treffen uns am\n3. Mai in Jena."]


def test_item_numbers_end_no_sentence() -> None:
    assert split("1. Boil water. Wait.\n2. Pour.") == ["1. Boil water.", "Wait.", "2. Pour."]


def test_blocks_name_their_kind() -> None:
    text = "Title\n=====\n\n## Sub ##\ntext\n\n* * *\n\n1. a\n2. b\n\n    code\n\n    more\n"
    assert [(b.kind, b.level, b.title) for b in blocks(text)] == [
        ("heading", 1, "Title"),
        ("heading", 2, "Sub"),
        ("paragraph", 0, ""),
        ("rule", 0, ""),
        ("list", 0, ""),
    ]
    # Indented text after an item belongs to the item, as in Markdown.
    assert text[blocks(text)[-1].start : blocks(text)[-1].end].endswith("more")
    assert [b.kind for b in blocks("Text:\n\n    code\n\n    more\n\nText")] == [
        "paragraph",
        "code",
        "paragraph",
    ]


def test_a_heading_in_a_fence_is_code() -> None:
    assert [b.kind for b in blocks("~~~\n# no heading\n~~~\n# yes")] == ["code", "heading"]


def test_a_fence_inside_an_item_stays_with_its_list() -> None:
    assert [b.kind for b in blocks("- do:\n  ```\n  # x\n  ```\n- then\n\nText")] == ["list", "paragraph"]


def test_rst_levels_follow_their_first_use() -> None:
    text = "=====\nTitle\n=====\n\nOne\n---\ntext\n\nSub\n~~~\n\nTwo\n---\n"
    assert [(b.level, b.title) for b in blocks(text, rst=True) if b.kind == "heading"] == [
        (1, "Title"),
        (2, "One"),
        (3, "Sub"),
        (2, "Two"),
    ]


def test_paragraphs_are_the_spans_of_blocks() -> None:
    assert paragraphs("ab\ncd\n\n- e\n- f") == [(0, 5), (7, 14)]


@given(st.text(alphabet=st.sampled_from("aB1 .!?\n\t-*#`~|>=\r。」:()é\u2028")), st.booleans())
def test_spans_are_ordered_trimmed_and_complete(text: str, rst: bool) -> None:
    """Every character that is not white space lies in exactly one sentence and one block."""
    for spans in (sentences(text), [(b.start, b.end) for b in blocks(text, rst=rst)]):
        covered = 0
        last = 0
        for start, end in spans:
            assert last <= start < end
            assert text[last:start].strip() == ""
            assert text[start:end] == text[start:end].strip()
            covered, last = covered + end - start, end
        assert text[last:].strip() == ""


@given(st.text(), st.text())
def test_a_part_splits_like_the_part_alone(before: str, text: str) -> None:
    whole = before + text
    assert [whole[a:b] for a, b in sentences(whole, len(before))] == split(text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    [
        "The cat sat. ",
        "word ",
        ".",
        "!) ",
        "a.b. ",
        "#",
        "-",
        "`",
        "```\n",
        "- x\n",
        "| a |\n",
        "» ",
        "[^a]",
        "`a. ",
        "а. ",
        "ά; ",
        "\n",
    ],
)
def test_a_megabyte_loses_no_character(unit: str) -> None:
    """0.1 to 0.7 s measured; where a pattern backtracks it takes minutes and the test times out."""
    text = unit * (1_000_000 // len(unit))
    told = "".join(text[start:end] for start, end in sentences(text))
    assert "".join(told.split()) == "".join(text.split())
