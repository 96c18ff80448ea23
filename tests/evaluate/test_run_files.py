"""Run files for trec_eval: one word an id, an order that trec_eval keeps, the same figures as ours."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from ragperso.evaluate import harness
from ragperso.evaluate.datasets import DataSet, Question


def ranked(question: Question, *hits: tuple[str, float]) -> harness.Ranked:
    return harness.Ranked(question, tuple(hits), 0.0, 0.0)


def data_of(*questions: Question) -> DataSet:
    return DataSet("set", None, questions, {})


def test_of_one_person_the_id_stands_alone_and_the_score_falls_with_the_rank():
    question = Question("q1", "ana", "?", ("b",))
    rows = list(harness.trec_rows(data_of(question), [ranked(question, ("a", 0.5), ("b", 0.5), ("c", 0.9))]))
    assert rows == [
        "q1 Q0 a 1 1.000000 ragperso",
        "q1 Q0 b 2 0.500000 ragperso",
        "q1 Q0 c 3 0.333333 ragperso",
    ]


def test_of_several_people_the_question_names_its_own_and_every_id_is_one_word():
    questions = (
        Question("my q", "ana/1", "?", ("a note.md", "50%.md")),
        Question("my q", "ben", "?", ("tab\there\n",)),
    )
    data = data_of(*questions)
    assert list(harness.qrels_rows(data)) == [
        "ana%2F1/my%20q 0 a%20note.md 1",
        "ana%2F1/my%20q 0 50%25.md 1",
        "ben/my%20q 0 tab%09here%0A 1",
    ]
    (row,) = harness.trec_rows(data, [ranked(questions[0], ("50%\u2003x/y.md", 1.0))])
    qid, _, document, *_ = row.split()
    assert [unquote(part) for part in qid.split("/")] == ["ana/1", "my q"]
    assert unquote(document) == "50%\u2003x/y.md"


def test_trec_eval_reads_both_files_and_finds_what_we_found(tmp_path: Path):
    """Scores are tied and out of order on purpose: trec_eval goes by them, and we by the rank."""
    ir_measures = pytest.importorskip("ir_measures")
    random = np.random.default_rng(3)
    questions, rankings = [], []
    for number in range(60):
        user = ("ana", "ben")[number % 2]
        documents = [f"a note {i}%" for i in random.permutation(20)]
        gold = tuple(d for d in documents if random.random() < 0.2) or ("a note 0%",)
        question = Question(f"q {number}", user, "?", gold)
        questions.append(question)
        # One in ten found nothing: its lines are missing, and it counts 0.
        kept = documents[: random.integers(1, 20)] if number % 10 else []
        rankings.append(ranked(question, *((d, float(random.integers(0, 3))) for d in kept)))
    data = data_of(*questions)
    harness.write_trec(tmp_path / "run", data, rankings)
    harness.write_qrels(tmp_path / "qrels", data)
    ours = {
        name: harness.values_of(rankings, name).mean() for name in ("nDCG@10", "R@5", "P@5", "hit@1", "MRR")
    }
    measures = dict(
        zip(
            ours,
            (ir_measures.nDCG @ 10, ir_measures.R @ 5, ir_measures.P @ 5, ir_measures.Success @ 1,
             ir_measures.RR),
            strict=True,
        )
    )  # fmt: skip
    theirs = ir_measures.pytrec_eval.calc_aggregate(
        list(measures.values()),
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    for name, measure in measures.items():
        assert theirs[measure] == pytest.approx(ours[name], abs=1e-9), name
