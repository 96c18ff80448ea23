"""Measure every leg and fusion on the development sets, and how the defaults compare with their neighbours.

All fusions see the same candidates of the same index in one run.  ``--chunks`` also builds indexes with other
chunk sizes, which embeds everything again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import common
from legs import MAIN, Bench, Legs

from ragperso import metrics
from ragperso.config import Config
from ragperso.evaluate import harness, report
from ragperso.protocols import Fusion
from ragperso.retrieve.fusion import DENSE, LEXICAL, ReciprocalRankFusion, SingleLeg, WeightedFusion

SHOWN: Final = ("hit@1", "hit@5", "R@5", "R@10", "nDCG@10", "MRR")
WEIGHTS: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
CHUNKS: Final = (96, 180, 256)


def fusions() -> dict[str, Fusion]:
    settings = Config().retrieve
    return {
        "lexical": SingleLeg(LEXICAL),
        "dense": SingleLeg(DENSE),
        f"rrf k={settings.rrf_k}": ReciprocalRankFusion(settings.rrf_k),
        f"weighted {settings.dense_weight}": WeightedFusion(settings.dense_weight),
    }


def legs_table(legs: Mapping[str, Sequence[Legs]]) -> list[str]:
    """Return every metric of every leg and fusion, with intervals on the set's main one."""
    rows = []
    for name, collected in legs.items():
        for label, fusion in fusions().items():
            measured = harness.values([one.ranked(fusion) for one in collected])
            cells = []
            for metric in SHOWN:
                found = metrics.bootstrap(measured[metric], seed=common.SEED)
                text = report.mean_and_margin(found)
                cells.append(f"**{text}**" if metric == MAIN[name] else text.partition(" ")[0])
            rows.append([name, str(len(collected)), label, *cells])
    return report.markdown_table(["set", "questions", "fusion", *SHOWN], rows)


def against_best_leg(legs: Mapping[str, Sequence[Legs]]) -> list[str]:
    """Return the default's paired difference from each leg on the main metric."""
    rows = []
    *_, default = fusions().values()
    for name, collected in legs.items():
        chosen = [one.ranked(default) for one in collected]
        row = [name, MAIN[name]]
        for leg in (DENSE, LEXICAL):
            other = [one.ranked(SingleLeg(leg)) for one in collected]
            row.append(report.difference(harness.compare(chosen, other, MAIN[name])))
        rows.append(row)
    return report.markdown_table(["set", "metric", "default - dense", "default - lexical"], rows)


def weights_table(legs: Mapping[str, Sequence[Legs]]) -> list[str]:
    """Return the main metric of every set by dense weight."""
    rows = []
    for weight in WEIGHTS:
        row = [str(weight)]
        for name, collected in legs.items():
            measured = harness.values([one.ranked(WeightedFusion(weight)) for one in collected])
            row.append(f"{measured[MAIN[name]].mean():.3f}")
        rows.append(row)
    return report.markdown_table(["dense_weight", *(f"{name} {MAIN[name]}" for name in legs)], rows)


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--sets", nargs="*", default=list(MAIN))
    options.add_argument("--limit", type=int, default=10_000, help="questions of each set")
    options.add_argument("--chunks", action="store_true", help="also compare chunk sizes (embeds again)")
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache)
    print(common.describe_run(), flush=True)
    legs: dict[str, list[Legs]] = {}
    for name in chosen.sets:
        bench = Bench(common.folder_of(chosen, name), chosen.cache, embedder)
        questions = [q for q in bench.data.limited(chosen.limit).questions if q.gold]
        legs[name] = bench.legs(questions)
        bench.close()
    for title, lines in (
        ("Legs and fusions", legs_table(legs)),
        ("The default against either leg, paired", against_best_leg(legs)),
        ("Dense weight", weights_table(legs)),
    ):
        print(f"\n### {title}\n\n" + "\n".join(lines), flush=True)
    if chosen.chunks:
        print("\n### Chunk size\n")
        rows = []
        *_, default = fusions().values()
        for n_tokens in CHUNKS:
            row = [str(n_tokens)]
            for name in chosen.sets:
                config = Config().replace({"ingest.chunk_tokens": n_tokens})
                tag = "" if n_tokens == Config().ingest.chunk_tokens else f"-{n_tokens}"
                bench = Bench(common.folder_of(chosen, name), chosen.cache, embedder, config, tag)
                collected = bench.legs([q for q in bench.data.limited(chosen.limit).questions if q.gold])
                bench.close()
                measured = harness.values([one.ranked(default) for one in collected])
                row.append(f"{measured[MAIN[name]].mean():.3f}")
            rows.append(row)
        print("\n".join(report.markdown_table(["chunk_tokens", *chosen.sets], rows)))


if __name__ == "__main__":
    main()
