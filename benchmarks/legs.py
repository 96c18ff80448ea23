"""What each retriever says about each question, collected once: every fusion then sees the same legs.

In: a data set and a home that holds it.  Out: candidates with their cosine and BM25 score per question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common import RememberingEmbedder

from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.evaluate import datasets, harness
from ragperso.evaluate.datasets import DataSet, Question
from ragperso.protocols import Fusion
from ragperso.retrieve.fusion import DENSE, LEXICAL
from ragperso.retrieve.search import search
from ragperso.types import ChunkId, Query, Ranking

# Main metric of each set, with the floors that ../shared/data/README.md gives for it.
MAIN: Final[Mapping[str, str]] = {
    "notes": "hit@5",
    "notes_titles": "hit@1",
    "scifact": "nDCG@10",
    "locomo": "R@10",
    "tau2_retail": "hit@1",
}


@dataclass(frozen=True)
class Legs:
    """One question as the retrievers of one person's documents see it.

    Both rankings hold the union of what either proposed; BM25 leaves out what shares no word.
    """

    question: Question
    dense: Ranking  # cosines
    lexical: Ranking  # BM25 as a share of what a perfect match would have
    documents: Mapping[ChunkId, str]  # of every chunk of this person

    def fused(self, fusion: Fusion) -> list[tuple[str, float]]:
        """Return documents by the score of their best chunk."""
        scores: dict[str, float] = {}
        for chunk_id, score in fusion.fuse(
            {DENSE: self.dense, LEXICAL: self.lexical}, Query(self.question.text)
        ):
            scores.setdefault(self.documents[chunk_id], score)
        return list(scores.items())

    def ranked(self, fusion: Fusion) -> harness.Ranked:
        """Return the ranking as the harness scores it."""
        return harness.Ranked(self.question, tuple(self.fused(fusion)[: harness.DEPTH]), 0.0, 0.0)


class _Recorder:
    """A fusion that keeps what it is given."""

    def __init__(self) -> None:
        self.rankings: dict[str, Ranking] = {}

    def fuse(self, rankings: Mapping[str, Ranking], query: Query) -> Ranking:
        self.rankings = dict(rankings)
        return []


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

    def legs(
        self,
        questions: Sequence[Question],
        asked_of: Callable[[Question], str] = lambda question: question.user,
    ) -> list[Legs]:
        """Return the legs of every question, asked of the person that ``asked_of`` names."""
        found: dict[int, Legs] = {}
        people = [asked_of(question) for question in questions]
        for i in sorted(range(len(questions)), key=lambda i: people[i]):
            session = self.engine.session(people[i], create=False)
            found[i] = self._legs(session, questions[i])
        for user in set(people):
            self.engine.session(user, create=False).close()
        return [found[i] for i in range(len(questions))]

    def _legs(self, session: Session, question: Question) -> Legs:
        query = Query(question.text)
        vector = self.engine.embedder.embed_query(question.text)
        corpus = session._corpus_search("documents", query, vector, "")
        recorder = _Recorder()
        settings = self.engine.config.retrieve
        search(query, [corpus], k=settings.k, config=settings, fusion=recorder, load=lambda _: {})
        if session.user not in self._documents:
            chunks = session.store.chunk_texts("documents")
            self._documents[session.user] = {chunk.id: chunk.key for chunk in chunks}
        return Legs(
            question=question,
            dense=recorder.rankings[DENSE],
            lexical=recorder.rankings[LEXICAL],
            documents=self._documents[session.user],
        )
