"""Titles of rows: given, or of the file whose path the row is named by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragperso.ingest.readers import read
from ragperso.types import Document

BODY = "It was raining all day, so we stayed in the hut and played cards until the soup was hot."


def title_of(tmp_path: Path, text: str, **row: Any) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "r1", "text": text} | row) + "\n", encoding="utf-8")
    (document,) = read(path, key="rows.jsonl")
    assert isinstance(document, Document)
    assert document.text == text
    return document.title


def test_a_title_that_is_given_stands(tmp_path: Path) -> None:
    assert title_of(tmp_path, f"A day in the hut\n{BODY}", meta={"title": "Huts"}) == "Huts"
    assert title_of(tmp_path, f"# A day\n{BODY}", id="notes/a.md", meta={"title": "Huts"}) == "Huts"


def test_a_row_named_by_a_path_is_titled_as_the_file_would_be(tmp_path: Path) -> None:
    assert title_of(tmp_path, f"# A day\n\n{BODY}", id="notes/2024/hut.md") == "A day"
    assert title_of(tmp_path, BODY, id="notes/2024/Wet days.md") == "Wet days"


@pytest.mark.parametrize("name", ["r1", "and/or", "3/4.5", "https://example.org/a.md", "a/b.m-d"])
def test_other_names_are_no_paths(tmp_path: Path, name: str) -> None:
    assert title_of(tmp_path, BODY, id=name) == ""


def test_the_first_line_of_another_row_is_no_title(tmp_path: Path) -> None:
    assert title_of(tmp_path, f"A day in the hut\n{BODY}") == ""
    assert title_of(tmp_path, f"# A day in the hut\n{BODY}") == ""


@pytest.mark.parametrize("title", ["", " ", 7, None, ["Huts"]])
def test_a_title_that_is_no_text_is_none(tmp_path: Path, title: object) -> None:
    assert title_of(tmp_path, BODY, meta={"title": title}) == ""
    assert title_of(tmp_path, BODY, id="notes/hut.md", meta={"title": title}) == "hut"
