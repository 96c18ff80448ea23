"""Measure what a reranker is worth: quality with and without, hits reached and milliseconds, by time budget.

The first stage is searched once a question; every budget then reorders the same hits.  Without a path
the starter embedder reranks by its token vectors, since no reranker ships with the starter models.  Wins: the
paired interval of the difference in nDCG@10 lies above 0.  Hits reached depend on what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import common
import numpy as np
from legs import Bench

from ragperso import config as settings
from ragperso.config import Config
from ragperso.evaluate import harness, report
from ragperso.evaluate.datasets import Question
from ragperso.retrieve.rerank import LATE_INTERACTION, load_reranker, n_reranked
from ragperso.types import Hit, Query

# Questions of each set: a reranker reads thousands of texts for them.
SETS: Final = {"notes": 59, "scifact": 100, "locomo": 150}
SHOWN: Final = ("nDCG@10", "R@10")
WARM_UP: Final = 5  # questions, for the pace to be learned; not timed

Found = tuple[Question, list[Hit]]


def first_stage(bench: Bench, questions: Sequence[Question], depth: int) -> list[Found]:
    """Return every question with its best hits before reranking."""
    found = []
    for question in sorted(questions, key=lambda question: question.user):
        session = bench.engine.session(question.user, create=False)
        found.append((question, session.search(question.text, k=depth, corpora=["documents"])))
    return found


def ranked(found: Sequence[Found]) -> list[harness.Ranked]:
    return [
        harness.Ranked(question, tuple(harness.best_per_document(hits)[: harness.DEPTH]), 0.0, 0.0)
        for question, hits in found
    ]


def row_of(
    label: str, found: Sequence[Found], before: Sequence[Found], spent_ms: Sequence[float]
) -> list[str]:
    measured = harness.values(ranked(found))
    cells = [label, *(f"{measured[metric].mean():.3f}" for metric in SHOWN)]
    if not spent_ms:
        return [*cells, "", "", "", "", ""]
    gain = harness.compare(ranked(found), ranked(before), SHOWN[0])
    sizes = [n_reranked(hits) for _, hits in found]
    wins = "wins" if gain.low > 0 else "loses" if gain.high < 0 else "no difference"
    return [
        *cells,
        report.difference(gain),
        wins,
        f"{np.median(sizes):.0f}",
        f"{np.median(spent_ms):.0f}",
        f"{np.percentile(spent_ms, 95):.0f}",
    ]


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--reranker", default=f"{LATE_INTERACTION}starter", help="as retrieve.reranker")
    options.add_argument("--sets", nargs="*", default=list(SETS))
    options.add_argument("--budgets", nargs="*", type=float, default=[100.0, 300.0, 1000.0], help="ms")
    options.add_argument("--weights", nargs="*", type=float, default=[0.0], help="0: that of the kind")
    options.add_argument("--depth", type=int, default=50, help="most hits looked at")
    options.add_argument("--limit", type=int, default=10_000, help="questions of each set")
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache)
    print(common.describe_run(), flush=True)
    columns = ["reranked", *SHOWN, f"difference in {SHOWN[0]}", "verdict", "hits p50", "ms p50", "ms p95"]
    for name in chosen.sets:
        bench = Bench(common.folder_of(chosen, name), chosen.cache, embedder, None, "-rerank")
        limit = min(chosen.limit, SETS.get(name, chosen.limit))
        questions = [question for question in bench.data.limited(limit).questions if question.gold]
        before = first_stage(bench, questions, chosen.depth)
        bench.close()
        rows = [row_of("no", before, before, [])]
        for weight in chosen.weights:
            for budget_ms in chosen.budgets:
                reranker = load_reranker(
                    chosen.reranker,
                    budget_ms=budget_ms,
                    depth=chosen.depth,
                    weight=weight,
                    models_dir=settings.models_of(Config()),
                )
                for question, hits in before[:WARM_UP]:
                    reranker.rerank(Query(question.text), hits)
                after, spent_ms = [], []
                for question, hits in before:
                    started = time.perf_counter()
                    reordered = reranker.rerank(Query(question.text), hits)
                    spent_ms.append(1000 * (time.perf_counter() - started))
                    after.append((question, reordered))
                label = f"{budget_ms:.0f} ms, weight {reranker.weight:g}"
                rows.append(row_of(label, after, before, spent_ms))
        print(f"\n### {name}: {len(questions)} questions, {chosen.reranker}\n")
        print("\n".join(report.markdown_table(columns, rows)), flush=True)


if __name__ == "__main__":
    main()
