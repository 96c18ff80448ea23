"""Data sets are read as the contract says, and a bad line is named without its text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragperso.errors import IngestError, UnreadableDocument
from ragperso.evaluate import datasets


def write(folder: Path, name: str, rows: list[object]) -> None:
    text = "".join(row if isinstance(row, str) else f"{json.dumps(row)}\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")


def test_rows_become_questions_and_the_documents_of_each_person(tmp_path):
    write(tmp_path, "docs.jsonl", [
        {"user": "ana", "id": "a1", "text": "x"},
        {"user": "ben", "id": "a1", "text": "y"},
        {"id": 7, "text": "z"},
    ])  # fmt: skip
    write(tmp_path, "queries.jsonl", [
        {"user": "ana", "id": "q1", "text": "who?", "gold": ["a1", "a1"], "type": "who", "answer": 3},
        "\n",
        {"id": "q2", "text": "what?", "gold": [7]},
        {"user": "ben", "id": "q2", "text": "none?"},
    ])  # fmt: skip
    found = datasets.load(tmp_path, user="me")
    assert found.name == tmp_path.name
    assert found.documents == {"ana": {"a1"}, "ben": {"a1"}, "me": {"7"}}
    assert (found.n_documents, found.people) == (3, ("ana", "ben", "me"))
    assert found.questions == (
        datasets.Question("q1", "ana", "who?", ("a1",), "who"),
        datasets.Question("q2", "me", "what?", ("7",), datasets.NO_TYPE),
        datasets.Question("q2", "ben", "none?", (), datasets.NO_TYPE),
    )


def test_without_documents_the_home_is_asked(tmp_path):
    write(tmp_path, "queries.jsonl", [{"id": "q", "text": "t", "gold": ["d"]}])
    found = datasets.load(tmp_path)
    assert (found.docs, found.n_documents, found.people) == (None, 0, ("me",))


def test_a_folder_without_questions_says_what_is_missing(tmp_path):
    with pytest.raises(IngestError, match=r"holds no queries\.jsonl"):
        datasets.load(tmp_path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{secret\n", "not a line of JSON"),
        ('["secret"]\n', "not a JSON object"),
        ({"id": "q", "text": " ", "gold": ["secret"]}, "'text' is missing or empty"),
        ({"id": "", "text": "secret"}, "'id' is missing or empty"),
        ({"id": ["secret"], "text": "secret"}, "'id' is missing or empty"),
        ({"id": "q", "text": "secret", "gold": "secret"}, "'gold' is not a list"),
        ({"id": "first", "text": "secret"}, "its id was used before"),
        ("[" * 100_000 + "\n", "not a line of JSON"),
    ],
)
def test_a_bad_row_is_named_by_line_and_never_quoted(tmp_path, row, reason):
    write(tmp_path, "queries.jsonl", [{"id": "first", "text": "t"}, row])
    with pytest.raises(UnreadableDocument, match=reason) as caught:
        datasets.load(tmp_path)
    assert "queries.jsonl:2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(b'{"id": "q", "text": "\xff"}\n')
    with pytest.raises(UnreadableDocument, match="not UTF-8"):
        datasets.load(tmp_path)


def test_a_limit_takes_questions_from_the_whole_file(tmp_path):
    write(tmp_path, "queries.jsonl", [{"id": i, "text": "t"} for i in range(10)])
    found = datasets.load(tmp_path)
    assert [question.id for question in found.limited(3).questions] == ["0", "3", "6"]
    assert found.limited(10) is found
    with pytest.raises(ValueError, match="at least 1"):
        found.limited(0)


def test_a_repr_shows_no_text(tmp_path):
    write(tmp_path, "queries.jsonl", [{"id": "q", "text": "secret"}])
    found = datasets.load(tmp_path)
    assert "secret" not in repr(found) + repr(found.questions[0])
