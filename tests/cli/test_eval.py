"""``ragperso eval`` at the command line: compare, ablate, files for trec_eval, questions of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

DOCS = [
    {"user": "ana", "id": "bank", "text": "I moved my account to Elster Bank because of the fees."},
    {"user": "ana", "id": "knee", "text": "The doctor said my left knee needs six weeks without running."},
    {"user": "ben", "id": "bread", "text": "I bake with type 80 flour from the mill."},
]
QUERIES = [
    {"user": "ana", "id": "q1", "text": "Elster Bank account fees", "gold": ["bank"], "type": "money"},
    {"user": "ben", "id": "q2", "text": "flour from the mill", "gold": ["bread"], "type": "food"},
    {"user": "ben", "id": "q3", "text": "quantum chromodynamics lattice", "gold": []},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in (("docs.jsonl", DOCS), ("queries.jsonl", QUERIES)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_json_tells_what_could_be_declined(run: Run, folder: Path) -> None:
    found = run("eval", str(folder), "--json").json
    assert found["declining"]["threshold"] == 0.05
    assert found["declining"]["auroc"]["mean"] == 1.0
    assert found["declining"]["answerable"]["questions"] == 2
    assert found["declining"]["unanswerable"]["questions"] == 1
    assert "comparison" not in found
    assert "ablation" not in found


def test_compare_prints_both_and_the_difference(run: Run, folder: Path) -> None:
    words = ("eval", str(folder), "--compare", "retrieve.fusion=lexical, retrieve.k=3")
    found = run(*words, "--json", "--metric", "r@3").json["comparison"]
    assert found["settings"] == {
        "retrieve.fusion": {"first": found["settings"]["retrieve.fusion"]["first"], "second": "lexical"},
        "retrieve.k": {"first": 10, "second": 3},
    }
    assert found["main"] == "R@3"
    assert found["second"]["metrics"]["all"]["R@3"]["mean"] == 1.0
    assert found["second_minus_first"]["food"]["R@3"] == {"mean": 0, "low": 0, "high": 0, "p": 1, "n": 1}
    done = run(*words)
    assert "second - first [95 % interval]" in done.out
    assert "indexing 3 documents" in done.err


def test_compare_builds_a_second_index_where_it_must(run: Run, folder: Path) -> None:
    words = ("eval", str(folder), "--json", "--compare", "ingest.chunk_tokens=6", "--compare", "index.b=0.2")
    found = run(*words).json["comparison"]
    assert set(found["settings"]) == {"ingest.chunk_tokens", "index.b"}
    assert found["second"]["questions"] == 3


def test_ablate_prints_what_each_part_is_worth(run: Run, folder: Path) -> None:
    found = run("eval", str(folder), "--ablate", "--json", "--by", "user").json
    assert found["by"] == "user"
    assert found["ablation"]["full_by_user"] == {"ana": 1.0, "ben": 1.0}
    assert {"dense", "lexical"} <= {part["name"] for part in found["ablation"]["components"]}
    assert "worth [95 % interval]" in run("eval", str(folder), "--ablate").out


def test_files_for_trec_eval(run: Run, folder: Path, tmp_path: Path) -> None:
    trec, qrels = tmp_path / "run.trec", tmp_path / "qrels"
    assert run("eval", str(folder), "--trec", str(trec), "--qrels", str(qrels), "--precision").code == 0
    assert qrels.read_text(encoding="utf-8") == "ana/q1 0 bank 1\nben/q2 0 bread 1\n"
    rows = [line.split() for line in trec.read_text(encoding="utf-8").splitlines()]
    assert ["ana/q1", "Q0", "bank", "1", "1.000000", "ragperso"] in rows
    assert {row[2] for row in rows if row[0].startswith("ben/")} == {"bread"}


def test_precision_is_shown_when_asked(run: Run, folder: Path) -> None:
    assert "P@5" not in run("eval", str(folder)).out
    assert "P@5" in run("eval", str(folder), "--precision").out
    found = run("eval", str(folder), "--precision", "-k", "2", "--json").json
    assert found["metrics"]["all"]["P@2"]["mean"] == 0.5  # one document each, in two places


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--compare", "retrieve.k"), "section.key=value"),
        (("--compare", "retrieve.nothing=1"), "unknown setting"),
        (("--compare", "retrieve.k=10"), "is the first one"),
        (("--compare", "generate.seed=7"), "does not change what is found"),
        (("--compare", "retrieve.k=3", "--ablate"), "one at a time"),
        (("--metric", "f1"), "no metric has this name"),
        (("7",), "go with --make-questions"),
        (("--force",), "go with --make-questions"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    run: Run, folder: Path, words: tuple[str, ...], reason: str
) -> None:
    done = run("eval", str(folder), *words)
    assert (done.code, done.out) == (2, "")
    assert reason in done.err


def test_ablate_without_gold_is_refused(run: Run, folder: Path) -> None:
    (folder / "queries.jsonl").write_text(json.dumps(QUERIES[2]) + "\n", encoding="utf-8")
    done = run("eval", str(folder), "--ablate")
    assert (done.code, done.out) == (2, "")
    assert "needs questions with gold" in done.err


def test_a_missing_folder_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    done = run("eval", str(tmp_path / "none"))
    assert done.code == 2
    assert "there is no folder" in done.err


def test_questions_of_ones_own_are_made_and_then_asked(people: Run, tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "mine"
    made = people("eval", "--make-questions", str(folder), "2", "--json").json
    assert (made["user"], made["documents"], made["sampled"]) == ("ana", 3, 2)
    assert made["by_type"]["title"] == 2
    assert made["next"] == f"ragperso --home {home} eval {folder}"
    # As Ben: the rows name Ana, and it is her documents that are searched.
    found = people("eval", str(folder), "--json", user="ben").json
    assert (found["people"], found["documents"], found["questions"]) == (1, 0, made["questions"])
    assert found["metrics"]["all" if len(found["metrics"]) == 1 else "title"]["hit@1"]["mean"] == 1.0


def test_made_questions_are_told_in_words_and_never_overwritten_unasked(people: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    done = people("eval", "--make-questions", str(folder))
    assert "easy: titles and headings are part of the index" in done.out
    assert "next: ragperso" in done.out
    before = (folder / "queries.jsonl").read_bytes()
    again = people("eval", "--make-questions", str(folder), "1")
    assert again.code == 1
    assert "--force replaces it" in again.err
    assert (folder / "queries.jsonl").read_bytes() == before
    assert people("eval", "--make-questions", str(folder), "1", "--force").code == 0
    assert len((folder / "queries.jsonl").read_bytes()) < len(before)


def test_questions_for_a_person_who_is_not_there_make_nobody(run: Run, tmp_path: Path, home: Path) -> None:
    done = run("eval", "--make-questions", str(tmp_path / "mine"), user="cleo")
    assert done.code == 1
    assert not (tmp_path / "mine").exists()
    assert not home.exists()
