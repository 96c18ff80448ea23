"""Surface, evaluate: ask every question of its own person and score what comes back.

In: a data set, an engine.  Out: an :class:`Evaluation`, a :class:`Comparison` of two configurations, and the
rankings they were computed from, also as run files.
Never: shows one person's index another's question, embeds what a home already holds, records an exchange.

A document's score is that of its best chunk (Dai & Callan 2019, "Deeper text understanding for IR", SIGIR,
"MaxP"), so rankings of different chunk sizes compare.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragperso import metrics
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.errors import ConfigError
from ragperso.evaluate.datasets import DataSet, Question
from ragperso.files import write_atomically
from ragperso.metrics import Difference, Interval, Metric, Values
from ragperso.types import Corpus, Hit, IngestReport

DEPTH: Final = 50  # documents per question that are kept and written
CUTOFFS: Final = (1, 5, 10)
ALL: Final = "all"
MAIN: Final = "nDCG@10"  # the metric that a comparison breaks down
RETRIEVAL: Final = ("retrieve", "index", "ingest")  # the sections that change what is found
TAG: Final = "ragperso"  # the name of our runs in TREC files

Group: TypeAlias = Literal["type", "user"]


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
class Declining:
    """How well relevance tells questions that the documents answer from those that they do not.

    ``auroc`` is None unless there are questions of both kinds; the shares are those below ``threshold``, None
    where there is no such question.
    """

    n_answerable: int
    n_unanswerable: int
    threshold: float
    auroc: Interval | None
    declined_answerable: Interval | None
    declined_unanswerable: Interval | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics by question type or person, ``all`` first.

    ``n_unscored`` questions have no gold; ``n_foreign`` hits are of documents that the person does not own:
    anything but 0 is a leak.
    """

    name: str
    n_people: int
    n_documents: int
    n_questions: int
    n_unscored: int
    n_foreign: int
    metrics: Mapping[str, Mapping[str, Interval]]  # group -> metric -> interval
    search_ms: Mapping[str, float]  # p50, p95
    by: Group = "type"
    declining: Declining | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better a second configuration is than a first on the same questions.

    ``settings`` are those that differ, with both values; ``main`` is the metric to break down.
    """

    first: Evaluation
    second: Evaluation
    settings: Mapping[str, tuple[Any, Any]]
    differences: Mapping[str, Mapping[str, Difference]]  # group -> metric -> second - first
    main: str
    n_changed: int  # questions whose ranking is another one


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


# ---------------------------------------------------------------- asking


def run(
    engine: Engine,
    questions: Sequence[Question],
    *,
    depth: int = DEPTH,
    corpora: Sequence[Corpus] | None = ("documents",),
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Ranked]:
    """Search every question as its own person; in the given order.

    ``corpora`` None searches what ``ragperso search`` does.  ``on_progress`` sees (done, all).
    Raises: UnknownUser when a person has no folder.
    """
    found: dict[tuple[str, str], Ranked] = {}
    for user, asked in _by_person(questions):
        session = engine.session(user, create=False)
        for question in asked:
            started = time.perf_counter()
            # As many chunks as each leg proposes: more would change the fusion that people get by default.
            hits = session.search(question.text, k=engine.config.retrieve.depth, corpora=corpora)
            spent = 1000 * (time.perf_counter() - started)
            found[user, question.id] = Ranked(
                question=question,
                hits=tuple(best_per_document(hits)[:depth]),
                # Of as many hits as `ask` looks at before it declines.
                relevance=max((hit.relevance for hit in hits[: engine.config.retrieve.k]), default=0.0),
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


def ask(
    engine: Engine, data: DataSet, *, on_progress: Callable[[int, int], None] | None = None
) -> list[Ranked]:
    """Run the questions of ``data``: over its documents, or over all that a home holds when it has none."""
    corpora: list[Corpus] | None = ["documents"] if data.docs is not None else None
    return run(engine, data.questions, corpora=corpora, on_progress=on_progress)


def differing(first: Config, second: Config) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, with both values; where people live is none of them."""
    found = {}
    for section in dataclasses.fields(first):
        one, other = getattr(first, section.name), getattr(second, section.name)
        for item in dataclasses.fields(one):
            pair = (getattr(one, item.name), getattr(other, item.name))
            if pair[0] != pair[1] and (section.name, item.name) != ("general", "home"):
                found[f"{section.name}.{item.name}"] = pair
    return found


@contextlib.contextmanager
def other_engine(
    engine: Engine, data: DataSet, config: Config, *, kept: Path | None = None
) -> Iterator[Engine]:
    """Yield an engine under ``config`` that holds the same documents as ``engine``.

    Where only ``retrieve.*`` differs it reads the same indexes.  Else it gets a home of its own, built from
    the documents of ``data``: temporary, or beside ``kept`` under a name made of its settings.  Vectors are
    taken along when the embedder is the same.

    Raises: ConfigError for a setting that retrieval does not read, when nothing differs, and when a second
    index is needed and ``data`` has no documents.
    """
    changed = differing(engine.config, settings_for(config, engine.home))
    if not changed:
        raise ConfigError("the second configuration is the first one")
    for key in changed:
        if key.partition(".")[0] not in RETRIEVAL:
            raise ConfigError(
                f"{key} does not change what is found",
                hint=f"compare settings of {', '.join(f'{name}.*' for name in RETRIEVAL)}",
            )
    if all(key.startswith("retrieve.") for key in changed):
        # Not closed: the embedder is the other engine's, and `run` closes the sessions.
        yield Engine(config=settings_for(config, engine.home), embedder=engine.embedder)
        return
    if data.docs is None:
        raise ConfigError(
            f"{next(key for key in changed if not key.startswith('retrieve.'))} needs an index of its own,"
            " and there are no documents to make it from",
            hint="without docs.jsonl compare retrieve.* settings",
        )
    with contextlib.ExitStack() as stack:
        if kept is None:
            parent = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ragperso-eval-")))
            home = parent / "home"
        else:
            own = sorted((key, pair[1]) for key, pair in changed.items() if not key.startswith("retrieve."))
            digest = hashlib.sha256(repr(own).encode("utf-8", "replace")).hexdigest()[:8]
            home = kept.with_name(f"{kept.name}-{digest}")
        second = stack.enter_context(Engine(config=settings_for(config, home)))
        if not home.exists() and second.embedder.fingerprint == engine.embedder.fingerprint:
            for user in engine.users():
                engine.session(user).close()
            shutil.copytree(engine.home, home)
        build(second, data)
        yield second


# ---------------------------------------------------------------- scoring


def score(
    data: DataSet,
    rankings: Sequence[Ranked],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    also: Sequence[str] = (),
    seed: int = 0,
    by: Group = "type",
    threshold: float | None = None,
) -> Evaluation:
    """Return metrics with 95 % intervals, over all questions with gold and by type or person.

    ``also`` names further metrics.  ``threshold`` is the relevance below which a question counts as declined;
    None leaves that out.
    """
    measured = values(rankings, cutoffs=cutoffs, also=also)
    groups = groups_of(rankings, by)
    n_scored = sum(1 for ranked in rankings if ranked.question.gold)
    times = np.array([ranked.search_ms for ranked in rankings]) if rankings else np.zeros(1)
    return Evaluation(
        name=data.name,
        n_people=len(data.people),
        n_documents=data.n_documents,
        n_questions=len(rankings),
        n_unscored=len(rankings) - n_scored,
        n_foreign=sum(
            document not in data.documents.get(ranked.question.user, ())
            for ranked in rankings
            for document, _ in ranked.hits
        )
        if data.docs is not None
        else 0,
        metrics={
            group: {name: metrics.bootstrap(row[chosen], seed=seed) for name, row in measured.items()}
            for group, chosen in groups.items()
        },
        search_ms={name: round(float(np.percentile(times, q)), 2) for name, q in (("p50", 50), ("p95", 95))},
        by=by,
        declining=None if threshold is None else declining(rankings, threshold, seed=seed),
    )


def groups_of(rankings: Sequence[Ranked], by: Group) -> dict[str, NDArray[np.bool_]]:
    """Return which of the questions with gold belong to each group: all of them, then by name.

    One group alone is ``all`` and not named again; without gold there is none.
    """
    scored = [ranked.question for ranked in rankings if ranked.question.gold]
    names = [question.type if by == "type" else question.user for question in scored]
    groups = {ALL: np.ones(len(names), bool)} if names else {}
    if len(set(names)) > 1:
        # A person or type called "all" must not replace the total.
        groups.update(
            {f"{by} {n}" if n == ALL else n: np.array([m == n for m in names]) for n in sorted(set(names))}
        )
    return groups


def declining(rankings: Sequence[Ranked], threshold: float, *, seed: int = 0) -> Declining:
    """Return how relevance separates questions with an answer from those without."""
    yes = np.array([r.relevance for r in rankings if r.question.is_answerable], np.float64)
    no = np.array([r.relevance for r in rankings if not r.question.is_answerable], np.float64)

    def share_below(relevances: Values) -> Interval | None:
        if not len(relevances):
            return None
        return metrics.bootstrap((relevances < threshold).astype(np.float64), seed=seed)

    return Declining(
        n_answerable=len(yes),
        n_unanswerable=len(no),
        threshold=threshold,
        auroc=metrics.bootstrap_auroc(yes, no, seed=seed) if len(yes) and len(no) else None,
        declined_answerable=share_below(yes),
        declined_unanswerable=share_below(no),
    )


def values(
    rankings: Sequence[Ranked], *, cutoffs: Sequence[int] = CUTOFFS, also: Sequence[str] = ()
) -> dict[str, Values]:
    """Return each metric's value per question with gold, in order."""
    return {name: _per_question(rankings, metric) for name, metric in metrics_for(cutoffs, also).items()}


def values_of(rankings: Sequence[Ranked], metric: str) -> Values:
    """Return one metric's value per question with gold, in order.  Raises: ValueError for an unknown name."""
    return _per_question(rankings, metric_named(metric)[1])


def _per_question(rankings: Sequence[Ranked], metric: Metric) -> Values:
    return np.array(
        [
            metric([document for document, _ in ranked.hits], dict.fromkeys(ranked.question.gold, 1.0))
            for ranked in rankings
            if ranked.question.gold
        ],
        np.float64,
    )


_AT: Final[Mapping[str, Callable[[int], Metric]]] = {
    "hit": metrics.hit_at,
    "R": metrics.recall_at,
    "P": metrics.precision_at,
    "nDCG": metrics.ndcg_at,
}
_WHOLE: Final[Mapping[str, Metric]] = {"MRR": metrics.reciprocal_rank, "MAP": metrics.average_precision}


def metric_named(name: str) -> tuple[str, Metric]:
    """Return a metric and its name as we write it: ``nDCG@10``, ``R@5``, ``MRR``; case does not matter.

    Raises: ValueError for an unknown name.
    """
    kind, _, cutoff = name.strip().partition("@")
    for known, metric in _WHOLE.items():
        if not cutoff and kind.casefold() == known.casefold():
            return known, metric
    for known, metric_at in _AT.items():
        if kind.casefold() == known.casefold() and cutoff.isdecimal() and 1 <= int(cutoff) <= DEPTH:
            return f"{known}@{int(cutoff)}", metric_at(int(cutoff))
    raise ValueError(f"no metric has this name; known are {', '.join(f'{k}@N' for k in _AT)}, MRR and MAP")


def metrics_for(cutoffs: Sequence[int], also: Sequence[str] = ()) -> dict[str, Metric]:
    """Return the metrics by name; nDCG is taken at the deepest cutoff.  ``also`` names others."""
    ordered = sorted(set(cutoffs))
    return {
        **{f"hit@{k}": metrics.hit_at(k) for k in ordered},
        **{f"R@{k}": metrics.recall_at(k) for k in ordered},
        f"nDCG@{ordered[-1]}": metrics.ndcg_at(ordered[-1]),
        "MRR": metrics.reciprocal_rank,
        "MAP": metrics.average_precision,
        **dict(metric_named(name) for name in also),
    }


def compare(first: Sequence[Ranked], second: Sequence[Ranked], metric: str, *, seed: int = 0) -> Difference:
    """Return how much better ``first`` is than ``second`` on one metric over the same questions."""
    _check_same(first, second)
    return metrics.compare(values_of(first, metric), values_of(second, metric), seed=seed)


def comparison(
    data: DataSet,
    first: Sequence[Ranked],
    second: Sequence[Ranked],
    *,
    settings: Mapping[str, tuple[Any, Any]],
    main: str = MAIN,
    thresholds: tuple[float, float] | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
    also: Sequence[str] = (),
    seed: int = 0,
    by: Group = "type",
) -> Comparison:
    """Return both evaluations and ``second - first`` on every metric, paired by question."""
    _check_same(first, second)
    name = metric_named(main)[0]
    also = (*also, name)
    old, new = (values(run, cutoffs=cutoffs, also=also) for run in (first, second))
    evaluations = [
        score(data, run, cutoffs=cutoffs, also=also, seed=seed, by=by, threshold=threshold)
        for run, threshold in zip((first, second), thresholds or (None, None), strict=True)
    ]
    return Comparison(
        first=evaluations[0],
        second=evaluations[1],
        settings=settings,
        differences={
            group: {
                metric: metrics.compare(new[metric][rows], old[metric][rows], seed=seed) for metric in new
            }
            for group, rows in groups_of(first, by).items()
        },
        main=name,
        n_changed=n_changed(first, second),
    )


def n_changed(first: Sequence[Ranked], second: Sequence[Ranked]) -> int:
    """Return how many questions have the documents in another order."""
    return sum(
        [document for document, _ in one.hits] != [document for document, _ in other.hits]
        for one, other in zip(first, second, strict=True)
    )


def _check_same(first: Sequence[Ranked], second: Sequence[Ranked]) -> None:
    if [r.question for r in first] != [r.question for r in second]:
        raise ValueError("a paired comparison needs both runs on the same questions")


# ---------------------------------------------------------------- run files


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


def write_trec(path: Path, data: DataSet, rankings: Iterable[Ranked]) -> None:
    """Write the ranking as a TREC run; see :func:`trec_rows`."""
    write_atomically(path, "".join(f"{row}\n" for row in trec_rows(data, rankings)))


def write_qrels(path: Path, data: DataSet) -> None:
    """Write the gold of every question as TREC qrels, under the ids of :func:`trec_rows`."""
    write_atomically(path, "".join(f"{row}\n" for row in qrels_rows(data)))


def trec_rows(data: DataSet, rankings: Iterable[Ranked]) -> Iterator[str]:
    """Yield ``qid Q0 docid rank score tag``, best first.

    The score is 1 / rank and not the engine's: trec_eval orders by score, breaks ties by id and ignores the
    rank, so equal scores, and those that a reordering left behind, would be another ranking.
    White space, control characters and ``%`` in ids are percent-encoded; with several people in ``data`` the
    qid is ``user/id``, and a ``/`` in the user is encoded too.
    """
    for ranked in rankings:
        for rank, (document, _) in enumerate(ranked.hits, start=1):
            yield f"{_qid(data, ranked.question)} Q0 {_encoded(document)} {rank} {1 / rank:.6f} {TAG}"


def qrels_rows(data: DataSet) -> Iterator[str]:
    """Yield ``qid 0 docid 1`` for each gold document."""
    for question in data.questions:
        for document in question.gold:
            yield f"{_qid(data, question)} 0 {_encoded(document)} 1"


_NOT_IN_TREC: Final = re.compile(r"[\s%\x00-\x1f\x7f]")


def _encoded(name: str, also: str = "") -> str:
    """Return ``name`` as one word; ``urllib.parse.unquote`` gives it back."""
    found = _NOT_IN_TREC.sub(lambda match: _percent(match[0]), name)
    return found.replace(also, _percent(also)) if also else found


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8"))


def _qid(data: DataSet, question: Question) -> str:
    own = _encoded(question.id)
    return f"{_encoded(question.user, also='/')}/{own}" if len(data.people) > 1 else own


def _by_person(questions: Sequence[Question]) -> Iterator[tuple[str, list[Question]]]:
    """Yield each person with all their questions, so that every index is opened once."""
    ordered = sorted(questions, key=lambda question: question.user)
    for user, asked in groupby(ordered, key=lambda question: question.user):
        yield user, list(asked)
