"""Measure what each step of a search takes, at 1,000 and 10,000 chunks, on one thread.

Chunks are drawn from a Zipf vocabulary and vectors at random: times of exact search and of BM25 depend on how
many there are and how often words occur, not on what they mean.  Medians over ``--queries`` questions.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import common
import numpy as np

from ragperso import backends
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report
from ragperso.protocols import Embedder
from ragperso.store import NewDocument, embed_hash
from ragperso.tokens import lexical_tokens
from ragperso.types import ChunkId, ChunkSpan, Document

WORDS = 20_000  # vocabulary
LENGTH = 110  # words per chunk: about 150 tokens
QUESTION = 8  # words
_BATCH = 5_000  # chunks stored in one transaction
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def median_ms(call: Callable[[str], object], questions: Sequence[str]) -> float:
    times = []
    for question in questions:
        started = time.perf_counter()
        call(question)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))


def texts(n: int, length: int, random: np.random.Generator) -> list[str]:
    """Return texts of words whose n-th most frequent occurs as 1/n."""
    odds = 1 / np.arange(1, WORDS + 1)
    drawn = random.choice(WORDS, size=(n, length), p=odds / odds.sum())
    return [" ".join(word_of(word) for word in row) for row in drawn.tolist()]


@functools.cache
def word_of(number: int) -> str:
    """Return a made-up word of one to four syllables, short for small numbers, as frequent words are."""
    syllables = []
    number += 1
    while number:
        number, place = divmod(number, len(_SYLLABLES))
        syllables.append(_SYLLABLES[place])
    return "".join(syllables) + "n"


def fill(
    engine: Engine, n: int, random: np.random.Generator, user: str = "bench", *, per_document: int = 1
) -> list[str]:
    """Store ``n`` chunks of one person, with random vectors, so many per document; return their texts."""
    session = engine.session(user)
    embedder = engine.embedder
    number = session.store.embedder_id(embedder.fingerprint, name="starter", dim=embedder.dim)
    session.store.activate_embedder(number, ("documents", "history", "exemplars"))
    written: list[str] = []
    for start in range(0, n, _BATCH):
        bodies = texts(min(_BATCH, n - start), LENGTH, random)
        rows = random.standard_normal((len(bodies), embedder.dim), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        documents, vectors = [], {}
        for first in range(0, len(bodies), per_document):
            pieces = bodies[first : first + per_document]
            spans, keys, at = [], [], 0
            for body, row in zip(pieces, rows[first : first + per_document], strict=True):
                vectors[embed_hash(body)] = row
                keys.append(embed_hash(body))
                spans.append(ChunkSpan(at, at + len(body), n_tokens=LENGTH))
                at += len(body) + 1
            name = f"d{start + first}"
            document = Document(name, "\n".join(pieces))
            documents.append(
                NewDocument(document, tuple(spans), tuple(keys), content_hash=name, recipe="bench")
            )
        session.store.put_documents(
            "documents", documents, embedder_id=number, vectors=vectors, now=datetime.now(timezone.utc)
        )
        written += bodies
    return written


def measure(n: int, embedder: Embedder, n_queries: int) -> list[str]:
    random = np.random.default_rng(common.SEED)
    with tempfile.TemporaryDirectory() as home:
        config = harness.settings_for(Config(), Path(home))
        with Engine(config=config, embedder=embedder) as engine:
            bodies = fill(engine, n, random)
            session = engine.session("bench")
            questions = texts(n_queries, QUESTION, random)
            session.search(questions[0])  # builds the index
            index = session._index("documents")
            depth = config.retrieve.depth
            vectors = {question: embedder.embed_query(question) for question in questions}
            embed = median_ms(embedder.embed_query, questions)
            dense = median_ms(lambda q: index.dense.search(vectors[q], depth), questions)
            lexical = median_ms(
                lambda q: index.lexical.search(lexical_tokens(q, index.languages), depth), questions
            )
            retrieve = float(np.median([session.retrieve(q).timings_ms["retrieve"] for q in questions]))
            reference = backends.load("lexical", "rank-bm25")()
            reference.build(
                [ChunkId(i) for i in range(n)], [lexical_tokens(body, index.languages) for body in bodies]
            )
            slow = median_ms(lambda q: reference.search(lexical_tokens(q, index.languages), depth), questions)
    rest = max(0.0, retrieve - dense - lexical)
    times = [f"{ms:.2f}" for ms in (embed, dense, lexical, rest, retrieve, slow)]
    return [f"{n:,}", *times, f"{slow / lexical:.0f}"]


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--queries", type=int, default=200)
    options.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000])
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache).inner
    embedder.embed_query("warm up")
    rows = [measure(n, embedder, chosen.queries) for n in chosen.sizes]
    print(common.describe_run(), "\n")
    head = [
        "chunks",
        "embed query",
        "dense",
        "lexical",
        "rest",
        "all but embedding",
        "rank-bm25",
        "rank-bm25 / bm25s",
    ]
    print("\n".join(report.markdown_table(head, rows)))
    print(
        "\nMedian milliseconds; `rest` is fusion, reading 30 chunks, collapsing duplicates and line numbers."
    )


if __name__ == "__main__":
    main()
