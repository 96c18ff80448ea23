"""``ragperso eval`` measures, writes its run file, and leaves the person's own home alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ragperso.cli import cli

ROWS = {
    "docs.jsonl": [
        {"user": "ana", "id": "bank", "text": "I moved my account to Elster Bank because of the fees."},
        {"user": "ben", "id": "bread", "text": "I bake with type 80 flour from the mill."},
    ],
    "queries.jsonl": [
        {"user": "ana", "id": "q1", "text": "Elster Bank account fees", "gold": ["bank"]},
        {"user": "ben", "id": "q2", "text": "flour from the mill", "gold": ["bread"]},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in ROWS.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def run(home: Path, *words: str):
    options = ["--home", str(home), "-c", "index.embedder_backend=hash"]
    return CliRunner().invoke(cli, ["eval", *map(str, words), *options], standalone_mode=False)


def test_json_has_every_metric_and_the_home_stays_empty(folder, tmp_path):
    home = tmp_path / "home"
    result = run(home, folder, "--json", "--run", tmp_path / "run.jsonl")
    assert result.exception is None
    found = json.loads(result.stdout)
    assert (found["people"], found["documents"], found["questions"], found["foreign_hits"]) == (2, 2, 2, 0)
    assert found["metrics"]["all"]["hit@1"]["mean"] == 1.0
    assert not home.exists()
    rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["query"], row["hits"][0]["document"]) for row in rows] == [("q1", "bank"), ("q2", "bread")]


def test_a_kept_home_is_reused_and_answers_without_the_documents(folder, tmp_path):
    kept = tmp_path / "kept"
    assert run(tmp_path / "home", folder, "--keep-home", kept).exception is None
    before = {path: path.read_bytes() for path in kept.rglob("*.bm25")}
    assert len(before) >= 2
    assert run(tmp_path / "home", folder, "--keep-home", kept).exception is None
    assert {path: path.read_bytes() for path in kept.rglob("*.bm25")} == before
    (folder / "docs.jsonl").unlink()
    result = run(kept, folder, "-k", "1", "--json")
    assert result.exception is None
    assert json.loads(result.stdout)["metrics"]["all"]["R@1"]["mean"] == 1.0


def test_the_table_goes_to_stdout_and_talk_to_stderr(folder, tmp_path):
    result = run(tmp_path / "home", folder, "--limit", "1")
    assert "1 question of 2 people" in result.stdout
    assert "indexing 2 documents" in result.stderr
    assert "indexing" not in result.stdout
