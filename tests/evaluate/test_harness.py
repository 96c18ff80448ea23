"""Every question is asked of its own person, and the figures can be redone by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ragperso.config import Config
from ragperso.errors import UnknownUser
from ragperso.evaluate import datasets, harness, report

DOCS = [
    {"user": "ana", "id": "bank", "text": "I moved my account to Elster Bank because of the fees."},
    {"user": "ana", "id": "knee", "text": "The doctor said my left knee needs six weeks without running."},
    {"user": "ana", "id": "bike", "text": "Chain and cassette were replaced in spring."},
    {"user": "ben", "id": "bank", "text": "I left Credit Rivage after they closed the branch."},
    {"user": "ben", "id": "bread", "text": "I bake with type 80 flour from the mill."},
]
QUERIES = [
    {"user": "ana", "id": "q1", "text": "Elster Bank account fees", "gold": ["bank"], "type": "money"},
    {"user": "ben", "id": "q2", "text": "flour from the mill", "gold": ["bread"], "type": "food"},
    {"user": "ana", "id": "q3", "text": "left knee doctor", "gold": ["knee", "not-there"], "type": "health"},
    {"user": "ben", "id": "q4", "text": "left knee doctor", "gold": []},
]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in (("docs.jsonl", DOCS), ("queries.jsonl", QUERIES)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def measured(folder, make_engine):
    engine = make_engine()
    data = datasets.load(folder)
    built = harness.build(engine, data)
    return data, built, harness.run(engine, data.questions), engine


def test_rankings_come_in_the_order_of_the_questions_and_hold_own_documents_only(measured):
    data, _, rankings, _ = measured
    assert [ranked.question for ranked in rankings] == list(data.questions)
    owned = {"ana": {"bank", "knee", "bike"}, "ben": {"bank", "bread"}}
    for ranked in rankings:
        documents = [document for document, _ in ranked.hits]
        assert set(documents) <= owned[ranked.question.user]
        assert len(documents) == len(set(documents))
        scores = [score for _, score in ranked.hits]
        assert scores == sorted(scores, reverse=True)
    assert [ranked.hits[0][0] for ranked in rankings[:3]] == ["bank", "bread", "knee"]


def test_scores_are_those_of_the_documents_found(measured):
    """Two questions are answered first, the third finds one of its two documents, the fourth has no gold."""
    data, _, rankings, _ = measured
    found = harness.score(data, rankings, cutoffs=(1, 5))
    overall = found.metrics["all"]
    assert overall["hit@1"].mean == 1.0
    assert overall["R@1"].mean == overall["R@5"].mean == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert overall["MRR"].mean == 1.0
    assert {kind: by["R@5"].mean for kind, by in found.metrics.items() if kind != "all"} == {
        "money": 1.0, "food": 1.0, "health": 0.5
    }  # fmt: skip
    assert (found.n_questions, found.n_unscored, found.n_people, found.n_documents) == (4, 1, 2, 5)
    assert found.n_foreign == 0


def test_a_hit_outside_the_persons_documents_is_counted(measured):
    data, _, rankings, _ = measured
    leaked = [
        harness.Ranked(ranked.question, (("bread", 1.0),), 0.0, 1.0)
        for ranked in rankings
        if ranked.question.user == "ana"
    ]
    assert harness.score(data, leaked).n_foreign == 2


def test_a_second_build_of_the_same_home_embeds_nothing(measured):
    data, built, _, engine = measured
    assert built.total.embedded == 5 + 1  # five texts and one statement: who bakes with that flour
    again = harness.build(engine, data)
    assert (again.total.embedded, again.total.unchanged, again.total.added) == (0, 5, 0)


def test_a_person_without_a_folder_is_an_error_and_gets_none(measured):
    _, _, _, engine = measured
    with pytest.raises(UnknownUser):
        harness.run(engine, [datasets.Question("q", "cleo", "anything")])
    assert engine.users() == ["ana", "ben"]


def test_asking_records_nothing(measured):
    _, _, _, engine = measured
    store = engine.session("ana").store
    assert store.counts()["interactions"] == 0
    assert {event.action for event in store.audit()[0]} == {"add"}


class Listing:
    """An engine whose every search returns the same hits."""

    def __init__(self, config, hits):
        self.config, self.hits, self.asked = config, hits, []

    def session(self, user, *, create):
        return self

    def search(self, text, *, k, corpora):
        self.asked.append((k, corpora))
        return self.hits

    def close(self):
        pass


def test_relevance_is_that_of_the_hits_which_an_answer_would_look_at():
    relevances = {"a": 0.2, "b": 0.3, "c": 0.9}
    found = [SimpleNamespace(document=d, score=1.0, relevance=r) for d, r in relevances.items()]
    engine = Listing(Config().replace({"retrieve.k": 2, "retrieve.depth": 20}), found)
    question = datasets.Question("q", "ana", "?", ("c",))
    (ranked,) = harness.run(engine, [question])
    assert ranked.relevance == 0.3
    assert [document for document, _ in ranked.hits] == ["a", "b", "c"]


def test_a_set_without_documents_is_asked_of_all_that_a_search_sees():
    engine = Listing(Config().replace({"retrieve.depth": 20}), [])
    asked = datasets.DataSet("set", None, (datasets.Question("q", "ana", "?", ("c",)),), {})
    harness.ask(engine, asked)
    harness.ask(engine, dataclasses.replace(asked, docs=Path("docs.jsonl")))
    assert engine.asked == [(20, None), (20, ["documents"])]


def test_a_long_document_counts_once_with_its_best_chunk():
    class Found:
        def __init__(self, document: str, score: float) -> None:
            self.document, self.score = document, score

    hits = [Found("a", 0.9), Found("b", 0.8), Found("a", 0.7), Found("c", 0.1)]
    assert harness.best_per_document(hits) == [("a", 0.9), ("b", 0.8), ("c", 0.1)]


def test_run_files_hold_one_row_a_question_best_first(measured, tmp_path):
    _, _, rankings, _ = measured
    harness.write_run(tmp_path / "run.jsonl", rankings)
    rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["query"], row["user"]) for row in rows] == [
        ("q1", "ana"), ("q2", "ben"), ("q3", "ana"), ("q4", "ben")
    ]  # fmt: skip
    assert rows[0]["hits"][0] == {"document": "bank", "score": rankings[0].hits[0][1]}


def test_runs_are_compared_question_by_question(measured):
    _, _, rankings, _ = measured
    worse = [harness.Ranked(r.question, r.hits[1:], r.relevance, r.search_ms) for r in rankings]
    found = harness.compare(rankings, worse, "hit@1")
    # The first hit was the only relevant one found, so dropping it costs all of the 1.0.
    assert (found.mean, found.n) == (1.0, 3)
    with pytest.raises(ValueError, match="same questions"):
        harness.compare(rankings, rankings[1:], "MRR")


def test_the_report_fits_eighty_columns_and_says_what_was_not_scored(measured):
    data, _, rankings, _ = measured
    text = report.as_text(harness.score(data, rankings))
    assert max(map(len, text.splitlines())) <= 80
    assert "1 question without gold: searched, not scored" in text
    assert "leaks" not in text
    assert "4 questions of 2 people; 5 documents" in text


def test_the_json_report_carries_every_metric_with_its_interval(measured):
    data, _, rankings, _ = measured
    found = report.as_json(harness.score(data, rankings, cutoffs=(3,)))
    assert set(found["metrics"]["all"]) == {"hit@3", "R@3", "nDCG@3", "MRR", "MAP"}
    assert found["metrics"]["health"]["R@3"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1}
    json.dumps(found)


def test_questions_without_any_gold_are_run_but_not_scored(measured):
    data, _, rankings, _ = measured
    found = harness.score(data, rankings[3:])
    assert (found.metrics, found.n_unscored) == ({}, 1)
    assert "1 question without gold" in report.as_text(found)
