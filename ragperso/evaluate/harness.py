"""Surface, evaluate: ask every question of its own person and score what comes back.

In: a data set, an engine.  Out: an :class:`Evaluation`, and the rankings it was computed from.
Never: shows one person's index another's question, embeds what a home already holds, records an exchange.

A document's score is that of its best chunk (Dai & Callan 2019, "Deeper text understanding for IR", SIGIR,
"MaxP"), so rankings of different chunk sizes compare.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragperso import metrics
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate.datasets import DataSet, Question
from ragperso.files import write_atomically
from ragperso.metrics import Difference, Interval, Metric, Values
from ragperso.types import Hit, IngestReport

DEPTH: Final = 50  # documents per question that are kept and written
CUTOFFS: Final = (1, 5, 10)
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one question found: documents with scores, best first."""

    question: Question
    hits: tuple[tuple[str, float], ...]
    relevance: float  # how likely the engine holds the question answered
    search_ms: float


@dataclass(frozen=True, slots=True)
class Built:
    """What making the indexes took."""

    reports: Mapping[str, IngestReport] = field(repr=False)
    seconds: float

    @property
    def total(self) -> IngestReport:
        return sum(self.reports.values(), IngestReport())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics by question type, ``all`` first.

    ``n_unscored`` questions have no gold; ``n_foreign`` hits are of documents that the person does not own:
    anything but 0 is a leak.
    """

    name: str
    n_people: int
    n_documents: int
    n_questions: int
    n_unscored: int
    n_foreign: int
    metrics: Mapping[str, Mapping[str, Interval]]  # type -> metric -> interval
    search_ms: Mapping[str, float]  # p50, p95


def settings_for(config: Config, home: Path | None = None) -> Config:
    """Return ``config`` for measuring: nothing is mined, and people live under ``home`` when given."""
    overrides: dict[str, Any] = {"learn.mine": False}
    if home is not None:
        overrides["general.home"] = str(home)
    return config.replace(overrides)


def build(engine: Engine, data: DataSet) -> Built:
    """Bring the engine's home up to date with the documents; only what is new is embedded."""
    started = time.perf_counter()
    reports = engine.add_users([data.docs]) if data.docs is not None else {}
    return Built(reports, time.perf_counter() - started)


def run(
    engine: Engine,
    questions: Sequence[Question],
    *,
    depth: int = DEPTH,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Ranked]:
    """Search every question as its own person; in the given order.

    ``on_progress`` sees (done, all).  Raises: UnknownUser when a person has no folder.
    """
    found: dict[tuple[str, str], Ranked] = {}
    for user, asked in _by_person(questions):
        session = engine.session(user, create=False)
        for question in asked:
            started = time.perf_counter()
            # As many chunks as each leg proposes: more would change the fusion that people get by default.
            hits = session.search(question.text, k=engine.config.retrieve.depth, corpora=["documents"])
            spent = 1000 * (time.perf_counter() - started)
            found[user, question.id] = Ranked(
                question=question,
                hits=tuple(best_per_document(hits)[:depth]),
                relevance=max((hit.relevance for hit in hits), default=0.0),
                search_ms=spent,
            )
            if on_progress is not None:
                on_progress(len(found), len(questions))
        session.close()  # hundreds of people would otherwise hold thousands of open files
    return [found[question.user, question.id] for question in questions]


def best_per_document(hits: Iterable[Hit]) -> list[tuple[str, float]]:
    """Return (document, score of its best chunk), in the order in which the documents first appear."""
    scores: dict[str, float] = {}
    for hit in hits:
        scores.setdefault(hit.document, hit.score)
    return list(scores.items())


def score(
    data: DataSet, rankings: Sequence[Ranked], *, cutoffs: Sequence[int] = CUTOFFS, seed: int = 0
) -> Evaluation:
    """Return metrics with 95 % intervals, over all questions with gold and by type."""
    measured = values(rankings, cutoffs=cutoffs)
    kinds = [ranked.question.type for ranked in rankings if ranked.question.gold]
    groups = {ALL: np.ones(len(kinds), bool)}
    if len(set(kinds)) > 1:
        groups.update({kind: np.array([k == kind for k in kinds]) for kind in sorted(set(kinds))})
    times = np.array([ranked.search_ms for ranked in rankings]) if rankings else np.zeros(1)
    return Evaluation(
        name=data.name,
        n_people=len(data.people),
        n_documents=data.n_documents,
        n_questions=len(rankings),
        n_unscored=len(rankings) - len(kinds),
        n_foreign=sum(
            document not in data.documents.get(ranked.question.user, ())
            for ranked in rankings
            for document, _ in ranked.hits
        )
        if data.docs is not None
        else 0,
        metrics={
            kind: {name: metrics.bootstrap(row[chosen], seed=seed) for name, row in measured.items()}
            for kind, chosen in groups.items()
            if kinds
        },
        search_ms={name: round(float(np.percentile(times, q)), 2) for name, q in (("p50", 50), ("p95", 95))},
    )


def values(rankings: Sequence[Ranked], *, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, Values]:
    """Return each metric's value per question with gold, in order."""
    scored = [ranked for ranked in rankings if ranked.question.gold]
    return {
        name: np.array(
            [
                metric([document for document, _ in ranked.hits], dict.fromkeys(ranked.question.gold, 1.0))
                for ranked in scored
            ],
            np.float64,
        )
        for name, metric in metrics_for(cutoffs).items()
    }


def metrics_for(cutoffs: Sequence[int]) -> dict[str, Metric]:
    """Return the metrics by name; nDCG is taken at the deepest cutoff."""
    ordered = sorted(set(cutoffs))
    return {
        **{f"hit@{k}": metrics.hit_at(k) for k in ordered},
        **{f"R@{k}": metrics.recall_at(k) for k in ordered},
        f"nDCG@{ordered[-1]}": metrics.ndcg_at(ordered[-1]),
        "MRR": metrics.reciprocal_rank,
        "MAP": metrics.average_precision,
    }


def compare(first: Sequence[Ranked], second: Sequence[Ranked], metric: str) -> Difference:
    """Return how much better ``first`` is than ``second`` on one metric over the same questions."""
    if [r.question for r in first] != [r.question for r in second]:
        raise ValueError("a paired comparison needs both runs on the same questions")
    cutoff = metric.rpartition("@")[2]
    cutoffs = [int(cutoff)] if cutoff.isdecimal() else CUTOFFS
    return metrics.compare(values(first, cutoffs=cutoffs)[metric], values(second, cutoffs=cutoffs)[metric])


def write_run(path: Path, rankings: Iterable[Ranked]) -> None:
    """Write one row a question: ``{"query", "user", "hits": [{"document", "score"}]}``, best first."""
    write_atomically(path, "".join(f"{row}\n" for row in run_rows(rankings)))


def run_rows(rankings: Iterable[Ranked]) -> Iterator[str]:
    """Yield the lines of a run file."""
    for ranked in rankings:
        row = {
            "query": ranked.question.id,
            "user": ranked.question.user,
            "hits": [{"document": document, "score": score} for document, score in ranked.hits],
        }
        yield json.dumps(row, ensure_ascii=False)


def _by_person(questions: Sequence[Question]) -> Iterator[tuple[str, list[Question]]]:
    """Yield each person with all their questions, so that every index is opened once."""
    ordered = sorted(questions, key=lambda question: question.user)
    for user, asked in groupby(ordered, key=lambda question: question.user):
        yield user, list(asked)
