"""What the indexes say about each question, collected once: every fusion then sees the same evidence.

In: a data set and a home that holds it.  Out: per question the evidence of every chunk that any kind of
evidence puts among its first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from common import RememberingEmbedder
from numpy.typing import NDArray

from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.evaluate import datasets, harness
from ragperso.evaluate.datasets import DataSet, Question
from ragperso.protocols import Fusion
from ragperso.retrieve.adaptive import AdaptiveFusion
from ragperso.retrieve.evidence import Evidence
from ragperso.retrieve.search import rankings_of
from ragperso.retrieve.understand import understand
from ragperso.types import ChunkId, Query

# Main metric of each set, with the floors that ../shared/data/README.md gives for it.
MAIN: Final[Mapping[str, str]] = {
    "notes": "hit@5",
    "notes_titles": "hit@1",
    "scifact": "nDCG@10",
    "locomo": "R@10",
    "tau2_retail": "hit@1",
}
DEPTH: Final = 100  # of each kind of evidence


@dataclass(frozen=True)
class Seen:
    """One question, the chunks that matter for it, and their documents, row for row."""

    question: Question
    evidence: Evidence
    documents: tuple[str, ...]

    def ranked(self, fusion: Fusion | AdaptiveFusion) -> harness.Ranked:
        """Return the ranking of documents by their best chunk, as the harness scores it."""
        if isinstance(fusion, AdaptiveFusion):
            scores = fusion.scores(self.evidence)
            order = np.lexsort((self.evidence.ids, -scores))
            pairs = [(self.documents[row], float(scores[row])) for row in order.tolist()]
        else:
            places = {int(i): row for row, i in enumerate(self.evidence.ids.tolist())}
            fused = fusion.fuse(rankings_of(self.evidence, DEPTH), Query(self.question.text))
            pairs = [(self.documents[places[int(i)]], score) for i, score in fused]
        best: dict[str, float] = {}
        for document, score in pairs:
            best.setdefault(document, score)
        return harness.Ranked(self.question, tuple(list(best.items())[: harness.DEPTH]), 0.0, 0.0)

    @property
    def is_gold(self) -> NDArray[np.bool_]:
        gold = set(self.question.gold)
        return np.array([document in gold for document in self.documents], bool)


class Bench:
    """A data set in an index of its own, kept below the cache."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        embedder: RememberingEmbedder,
        config: Config | None = None,
        tag: str = "",
    ) -> None:
        self.data: DataSet = datasets.load(folder)
        home = cache / "homes" / f"{folder.name}{tag}"
        self.engine = Engine(config=harness.settings_for(config or Config(), home), embedder=embedder)
        self.built = harness.build(self.engine, self.data)
        self._documents: dict[str, dict[ChunkId, str]] = {}

    def close(self) -> None:
        self.engine.close()

    def see(
        self,
        questions: Sequence[Question],
        asked_of: Callable[[Question], str] = lambda question: question.user,
    ) -> list[Seen]:
        """Return the evidence for every question, asked of the person that ``asked_of`` names."""
        found: dict[int, Seen] = {}
        people = [asked_of(question) for question in questions]
        for i in sorted(range(len(questions)), key=lambda i: people[i]):
            session = self.engine.session(people[i], create=False)
            found[i] = self._see(session, questions[i])
            if i + 1 < len(people) and people[i + 1] != people[i]:
                session.close()
        for user in set(people):
            self.engine.session(user, create=False).close()
        return [found[i] for i in range(len(questions))]

    def _see(self, session: Session, question: Question) -> Seen:
        query = Query(question.text, asked_at=self.engine.now())
        understood = dataclasses.replace(
            understand(query, self.engine.config.retrieve), parts=(question.text,), preferences=""
        )
        vector = self.engine.embedder.embed_query(question.text)
        (evidence,) = session._evidence(query, understood, [vector], None, ["documents"], False)
        if session.user not in self._documents:
            chunks = session.store.chunk_texts("documents")
            self._documents[session.user] = {chunk.id: chunk.key for chunk in chunks}
        names = self._documents[session.user]
        keys = [names[ChunkId(i)] for i in evidence.ids.tolist()]
        gold = set(question.gold)
        rows = _candidates(evidence, np.array([key in gold for key in keys], bool))
        return Seen(question, _cut(evidence, rows), tuple(keys[row] for row in rows.tolist()))


def _candidates(evidence: Evidence, is_gold: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows that any kind of evidence puts among its first, and all gold ones, ascending."""
    kinds = [column for name, column in evidence.features.items() if name != "passage.group_size"]
    kinds += [evidence.cosine, evidence.coverage, evidence.near_coverage]
    chosen = is_gold.copy()
    for column in kinds:
        if len(column) <= DEPTH:
            chosen[:] = True
        elif column.any():
            chosen[np.argpartition(-column, DEPTH)[:DEPTH]] = True
    return np.flatnonzero(chosen)


def _cut(evidence: Evidence, rows: NDArray[np.int64]) -> Evidence:
    return dataclasses.replace(
        evidence,
        ids=evidence.ids[rows],
        sizes=(len(rows),),
        cosine=evidence.cosine[rows],
        bm25=evidence.bm25[rows],
        coverage=evidence.coverage[rows],
        near_coverage=evidence.near_coverage[rows],
        features={name: column[rows] for name, column in evidence.features.items()},
    )
