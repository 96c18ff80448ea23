"""A person with documents, mined pieces, answers, statements and indexes on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragperso.config import Index
from ragperso.files import content_hash
from ragperso.index.build import CorpusIndex
from ragperso.record.interactions import append, history_document
from ragperso.store import NewDocument, SourceState, Store, embed_hash
from ragperso.testing import HashEmbedder
from ragperso.types import (
    CORPORA,
    ChunkSpan,
    Corpus,
    Document,
    DocumentId,
    Feedback,
    Interaction,
    UserId,
)
from ragperso.workspace import Workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
DIM = 64


def filler(seed: int, n_words: int) -> str:
    """Return words that no other seed has, so that a find proves where it comes from."""
    return " ".join(f"word{seed}x{n} is {chr(97 + n % 26) * 3}" for n in range(n_words))


class Person:
    """One person's workspace and store, filled by hand."""

    def __init__(self, home: Path, user: str) -> None:
        self.workspace = Workspace(home, UserId(user)).open(create=True)
        self.store = Store(self.workspace.store_path)
        self.embedder = HashEmbedder(DIM)
        self.embedder_id = self.store.embedder_id(self.embedder.fingerprint, name="hash", dim=DIM)
        self.store.activate_embedder(self.embedder_id, CORPORA)
        self.ids: dict[str, DocumentId] = {}
        self.n_asked = 0

    def put(
        self,
        key: str,
        text: str,
        *,
        corpus: Corpus = "documents",
        source: str | None = None,
        parent: DocumentId | None = None,
        meta: dict[str, Any] | None = None,
    ) -> DocumentId:
        source = f"/home/{self.workspace.user}/{key}" if source is None else source
        new, vectors = self.prepare(Document(key=key, text=text, source=source, meta=meta or {}), parent)
        seen = [SourceState(source, "/home", len(text), 1, content_hash(text), "r1")] if source else []
        (document_id,) = self.store.put_documents(
            corpus, [new], embedder_id=self.embedder_id, vectors=vectors, sources=seen, now=NOW
        )
        self.ids[key] = document_id
        return document_id

    def prepare(
        self, document: Document, parent: DocumentId | None = None
    ) -> tuple[NewDocument, dict[bytes, Any]]:
        spans, hashes, parts, at = [], [], [], 0
        for part in document.text.split("\n\n"):
            spans.append(ChunkSpan(at, at + len(part), n_tokens=len(part.split())))
            hashes.append(embed_hash(part))
            parts.append(part)
            at += len(part) + 2
        rows = self.embedder.embed_documents(parts)
        digest = content_hash(document.text)
        new = NewDocument(document, tuple(spans), tuple(hashes), digest, "r1", parent=parent)
        return new, dict(zip(hashes, rows, strict=True))

    def ask(self, question: str, answer: str, keys: list[str]) -> Interaction:
        """Record an answer drawn from ``keys``."""
        self.n_asked += 1
        asked = Interaction(
            id=f"I{self.n_asked:03}",
            session="s",
            asked_at=NOW + timedelta(minutes=self.n_asked),
            query=question,
            resolved=question,
            answer=answer,
            abstained=False,
            model="m",
        )
        new, vectors = self.prepare(history_document(asked))
        append(
            self.store,
            asked,
            documents={self.ids[key]: key for key in keys},
            history=new,
            vectors=vectors,
            embedder_id=self.embedder_id,
            now=NOW,
        )
        self.ids[new.document.key] = self.store.documents("history", keys=[new.document.key])[0].id
        return asked

    def index(self) -> None:
        """Write the real indexes, as the engine does after a removal."""
        for corpus in CORPORA:
            CorpusIndex(self.workspace, self.store, corpus, Index()).rebuild(
                embedder_id=self.embedder_id, dim=DIM
            )

    def fill(self, seed: int) -> None:
        """Store three documents, an exemplar, two answers, statements and settings."""
        self.put("notes/secret.md", f"{filler(seed, 2000)}\n\n{filler(seed + 1, 40)}")
        self.put("notes/plain.md", filler(seed + 2, 60))
        self.put("notes/deep/plain-too.md", filler(seed + 3, 60))
        secret = self.ids["notes/secret.md"]
        self.put("exemplar/1", filler(seed + 4, 30), corpus="exemplars", source="", parent=secret)
        self.ask(filler(seed + 5, 5), filler(seed + 6, 30), ["notes/secret.md"])
        self.ask(filler(seed + 7, 5), filler(seed + 8, 30), ["notes/plain.md"])
        self.store.put_feedback(Feedback("I001", "edited", filler(seed + 9, 30)), NOW)
        statement = filler(seed + 10, 4)
        self.store.put_fact(statement, origin="mined", now=NOW, document=secret, start=0, end=9)
        self.store.put_fact("I like my own words.", origin="user", now=NOW)
        self.store.put_profile_value("name", "Ana Ändersson")
        self.store.put_profile_value("languages", ["en", "de"])
        self.index()

    def secret_texts(self, seed: int) -> list[str]:
        """Return all texts that must go with ``notes/secret.md``."""
        return [filler(seed + n, 2000 if n == 0 else 30) for n in (0, 1, 4, 5, 6, 9, 10)]

    def vectors_of(self, key: str) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        """Return the vectors of one document's chunks."""
        corpus = self.store.documents(keys=[key])[0].corpus
        ids = [
            i
            for i, chunk in self.store.chunks(self.store.chunk_ids(corpus).tolist()).items()
            if chunk.document == key
        ]
        return list(self.store.vectors(self.embedder_id, np.array(ids, np.int64))[1])


@pytest.fixture
def make_person(tmp_path: Path) -> Iterator[Callable[[str], Person]]:
    """Return a maker of people under one home."""
    made: list[Person] = []

    def make(user: str) -> Person:
        made.append(Person(tmp_path / "home", user))
        return made[-1]

    yield make
    for person in made:
        person.store.close()
