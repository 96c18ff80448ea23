"""Measure how a search grows with what one person has: 1,000, 10,000, 100,000 chunks (a million by option).

Texts are of a Zipf vocabulary, five chunks to a document, vectors random unit rows: nothing is easier to find
than it has to be.  ``recall`` compares the first ten with those of an exhaustive search in double precision,
by cosine; ``same hits`` those of the whole hybrid search with what it finds when every row is scored exactly.
``--peers`` also gives the same chunks, vectors and questions to txtai, in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import common
import numpy as np
from latency import QUESTION, fill, texts
from peers import environments

from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.evaluate import harness, report
from ragperso.testing import HashEmbedder
from ragperso.types import Vectors

DIM: Final = 384
PER_DOCUMENT: Final = 5
TOP: Final = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """One size; times in milliseconds beside embedding."""

    n: int
    open_ms: float
    p50: float
    p95: float
    cpu: float
    recall: float
    peers: dict[str, float]


def measure(n: int, options: argparse.Namespace) -> Measured:
    """Build a person of ``n`` chunks where there is none, and search it."""
    home = options.cache / "homes" / f"growth-{n}"
    config = harness.settings_for(Config(), home)
    random = np.random.default_rng(common.SEED)
    with Engine(config=config, embedder=HashEmbedder(DIM)) as engine:
        if not engine.users():
            fill(engine, n, random, per_document=PER_DOCUMENT)
        session = engine.session("bench")
        session.search("kan den")  # brings the index up to date with this version
    questions = texts(options.queries, QUESTION, np.random.default_rng(common.SEED + 1))
    with Engine(config=config, embedder=HashEmbedder(DIM)) as engine:
        session = engine.session("bench", create=False)
        started = time.perf_counter()
        found = session.retrieve(questions[0])
        opened = 1000 * (time.perf_counter() - started) - found.timings_ms["embed"]
        times, cpu = [], []
        for question in questions:
            used = time.process_time()
            found = session.retrieve(question)
            cpu.append(1000 * (time.process_time() - used) - found.timings_ms["embed"])
            times.append(found.timings_ms["retrieve"])
        recall = recall_of(session, questions[: options.checked])
        peers = ask_peers(session, questions, options) if options.peers else {}
    return Measured(
        n, opened, statistics.median(times), float(np.percentile(times, 95)), statistics.median(cpu), recall,
        peers,
    )  # fmt: skip


def all_vectors(session: Session) -> tuple[Any, Vectors]:
    """Return every chunk's id and vector, from the store."""
    active = session.store.active_embedder()
    if active is None:
        raise SystemExit("the home holds no vectors")
    return session.store.vectors(active[0], session.store.chunk_ids("documents"))


def recall_of(session: Session, questions: Sequence[str]) -> float:
    """Return the share of the true ten nearest that the dense leg ranks among its first ten."""
    ids, rows = all_vectors(session)
    index = session._index("documents")
    found = []
    for question in questions:
        vector = session.engine.embedder.embed_query(question)
        exact = np.concatenate(
            [rows[i : i + 50_000].astype(np.float64) @ vector for i in range(0, len(ids), 50_000)]
        )
        true = set(ids[np.argsort(-exact, kind="stable")[:TOP]].tolist())
        own = index.dense.ids[np.argsort(-index.dense.scores(vector), kind="stable")[:TOP]]
        found.append(len(true & set(own.tolist())) / len(true))
    return statistics.mean(found)


def ask_peers(session: Session, questions: Sequence[str], options: argparse.Namespace) -> dict[str, float]:
    """Return the median milliseconds of the peers that are asked, beside embedding."""
    ids, rows = all_vectors(session)
    chunks = {chunk.id: chunk for chunk in session.store.chunk_texts("documents")}
    folder = options.cache / "peers" / f"run-growth-{len(ids)}"
    folder.mkdir(parents=True, exist_ok=True)
    passages = [{"user": "bench", "document": str(i), "text": chunks[i].text} for i in ids.tolist()]
    queries = [{"user": "bench", "id": str(i), "text": text} for i, text in enumerate(questions)]
    for name, lines in (("passages", passages), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(folder / "passages.npy", rows)
    np.save(folder / "queries.npy", np.stack([session.engine.embedder.embed_query(q) for q in questions]))
    out: Path = folder / "txtai-hybrid.jsonl"
    line = environments.run("txtai", "hybrid", folder, out, options.cache, depth=TOP)
    return {"txtai": float(line["query_ms_p50"])}


def plot(measured: Sequence[Measured], path: Path) -> None:
    """Draw the median and the 95th percentile over the size, both logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    sizes = [one.n for one in measured]
    axes.plot(sizes, [one.p50 for one in measured], marker="o", label="p50")
    axes.plot(sizes, [one.p95 for one in measured], marker="o", linestyle=":", label="p95")
    if all(one.peers for one in measured):
        axes.plot(sizes, [one.peers["txtai"] for one in measured], marker="s", label="txtai p50")
    axes.set(xscale="log", yscale="log", xlabel="chunks of one person", ylabel="ms beside embedding")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="chunks")
    options.add_argument("--queries", type=int, default=200)
    options.add_argument("--checked", type=int, default=50, help="questions whose recall is measured")
    options.add_argument("--peers", action="store_true", help="ask txtai the same")
    options.add_argument("--plot", type=Path, metavar="PNG", help="needs matplotlib")
    chosen = options.parse_args()
    measured = [measure(n, chosen) for n in chosen.sizes]
    print(common.describe_run(), "\n")
    rows = [
        [
            f"{one.n:,}",
            *(f"{value:.2f}" for value in (one.open_ms, one.p50, one.p95, one.cpu)),
            f"{one.recall:.3f}",
            *(f"{ms:.2f} ({one.p50 / ms:.2f})" for ms in one.peers.values()),
        ]
        for one in measured
    ]
    head = ["chunks", "first search", "p50", "p95", "CPU p50", f"recall@{TOP}"]
    print(
        "\n".join(report.markdown_table([*head, *(["txtai p50 (ours / it)"] if chosen.peers else [])], rows))
    )
    print(f"\nMilliseconds beside embedding, one thread; medians of {chosen.queries} questions.")
    if chosen.plot is not None:
        plot(measured, chosen.plot)


if __name__ == "__main__":
    main()
