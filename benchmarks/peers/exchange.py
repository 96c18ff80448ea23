"""What the peer scripts share: the folder they read, the vectors they look up, the rows they write.

A script runs in its peer's own environment, so this file knows numpy and the standard library and nothing of
ragperso.  Every person gets an index of their own, and no two are alive at once.

IN: ``passages.jsonl`` rows {"user", "document", "text"} with ``passages.npy`` (n, dim) float32 unit rows
parallel to it; ``queries.jsonl`` rows {"user", "id", "text"} with ``queries.npy``.  OUT: rows {"query",
"user", "hits": [{"document", "score"}]} in the order of the queries.  One JSON line on stdout says what ran
and how long it took.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A passage of a person by its number among theirs, and the peer's score for it; best first.
Ranking = Sequence[tuple[int, float]]
Search = Callable[[str], Ranking]

# Passages asked of each retriever per document wanted: several passages of one document may stand high.
PASSAGES_PER_DOCUMENT = 2


class Person:
    """One person's passages and questions, and their vectors as a peer's embedding class asks for them."""

    def __init__(self, documents: list[str], texts: list[str], vectors: NDArray[np.float32]) -> None:
        self.documents = documents
        self.texts = texts
        self.vectors = vectors  # (n, dim), parallel to texts
        self._queries: dict[str, NDArray[np.float32]] = {}
        rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(text, []).append(row)
        # The same words may stand in two contexts and so have two vectors: each asking takes the next one.
        self._rows: dict[str, Iterator[int]] = {text: cycle(found) for text, found in rows.items()}

    def add_query(self, text: str, vector: NDArray[np.float32]) -> None:
        self._queries[text] = vector

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the given rows of these passages, (n, dim) float32; equal texts take theirs in turn."""
        if any(text not in self._rows for text in texts):
            raise LookupError("asked to embed a passage that is none of this person's")
        return self.vectors[[next(self._rows[text]) for text in texts]]

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the given row of this question, (dim,) float32."""
        if text not in self._queries:
            raise LookupError("asked to embed a question that is none of this person's")
        return self._queries[text]


# person, passages wanted (never more than the person has), mode -> how to search.
Build = Callable[[Person, int, str], Search]


def main(label: str, modes: Sequence[str], build: Build) -> None:
    """Read the command line, answer every query from its person's own index, write OUT, print the line."""
    options = argparse.ArgumentParser(description=label)
    options.add_argument("folder", type=Path, metavar="IN")
    options.add_argument("out", type=Path, metavar="OUT.jsonl")
    options.add_argument("--depth", type=int, default=50, help="documents per query")
    options.add_argument("--mode", choices=modes, default=modes[0])
    chosen = options.parse_args()
    people, queries = _read(chosen.folder)
    asked: dict[str, list[int]] = {}
    for number, query in enumerate(queries):
        asked.setdefault(query["user"], []).append(number)
    hits: list[list[dict[str, Any]]] = [[] for _ in queries]
    index_s = 0.0
    query_ms: list[float] = []
    for user, numbers in asked.items():
        person = people.get(user)
        if person is None:  # nothing to find: a person without passages
            continue
        wanted = min(chosen.depth * PASSAGES_PER_DOCUMENT, len(person.texts))
        start = time.perf_counter()
        search = build(person, wanted, chosen.mode)
        index_s += time.perf_counter() - start
        for number in numbers:
            start = time.perf_counter()
            ranking = search(queries[number]["text"])
            query_ms.append(1000 * (time.perf_counter() - start))
            hits[number] = _documents(person, ranking, chosen.depth)
    with chosen.out.open("w", encoding="utf-8") as out:
        for query, found in zip(queries, hits, strict=True):
            row = {"query": query["id"], "user": query["user"], "hits": found}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    line = {
        "peer": label,
        "mode": chosen.mode,
        "index_s": round(index_s, 4),
        "query_ms_p50": round(float(np.median(query_ms)), 3) if query_ms else None,
        "n_queries": len(queries),
    }
    print(json.dumps(line), flush=True)


def _documents(person: Person, ranking: Ranking, depth: int) -> list[dict[str, Any]]:
    """Return the documents of a ranking of passages, each once at its best passage, best first."""
    best: dict[str, float] = {}
    for passage, score in ranking:
        best.setdefault(person.documents[passage], float(score))
    return [{"document": document, "score": score} for document, score in list(best.items())[:depth]]


def _read(folder: Path) -> tuple[dict[str, Person], list[dict[str, str]]]:
    passages, vectors = _rows(folder, "passages")
    queries, query_vectors = _rows(folder, "queries")
    of_user: dict[str, list[int]] = {}
    for row, passage in enumerate(passages):
        of_user.setdefault(passage["user"], []).append(row)
    people = {
        user: Person(
            [passages[row]["document"] for row in rows],
            [passages[row]["text"] for row in rows],
            vectors[rows],
        )
        for user, rows in of_user.items()
    }
    for query, vector in zip(queries, query_vectors, strict=True):
        if query["user"] in people:
            people[query["user"]].add_query(query["text"], vector)
    return people, queries


def _rows(folder: Path, name: str) -> tuple[list[dict[str, str]], NDArray[np.float32]]:
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    vectors = np.load(folder / f"{name}.npy").astype(np.float32, copy=False)
    if len(rows) != len(vectors):
        raise ValueError(f"{name}: {len(rows)} rows but {len(vectors)} vectors")
    return rows, vectors
