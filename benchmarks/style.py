"""Choose how much the manner of writing counts: the weight ``style`` of ragperso/retrieve/weights.toml.

All posts of 200 bloggers lie in one pool; the beginning of a post that is not in it is the question.
Measured is the share of the first five posts found that are by its author, for each weight.  The weight is
chosen on a random half of the bloggers and shown on the other half.  What someone writes about tells them
apart too: that is the share at weight 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import common
import numpy as np
from legs import Bench, Seen

from ragperso import metrics
from ragperso.evaluate import harness, report
from ragperso.metrics import Values
from ragperso.retrieve.adaptive import AdaptiveFusion, Weights, load_weights
from ragperso.retrieve.fusion import DENSE, LEXICAL, SingleLeg

METRIC: Final = "P@5"  # that of ../shared/data/README.md, .261 there
WEIGHTS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
BAR: Final = 0.35  # issue 3


def with_style(weights: Weights, value: float) -> AdaptiveFusion:
    """Return the fusion that counts manner ``value``, and all else as ``weights`` does."""
    return AdaptiveFusion(dataclasses.replace(weights, weights={**weights.weights, "style": value}))


def shares(seen: Sequence[Seen], fusion: AdaptiveFusion | SingleLeg) -> Values:
    """Return the share by the author among the first five, per question."""
    return harness.values_of([one.ranked(fusion) for one in seen], METRIC)


def halves(authors: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the questions of a random half of the authors, and those of the other half."""
    people = sorted(set(authors))
    drawn = np.random.default_rng(common.SEED).permutation(len(people))[: len(people) // 2]
    chosen = {people[i] for i in drawn.tolist()}
    rows = range(len(authors))
    return [i for i in rows if authors[i] in chosen], [i for i in rows if authors[i] not in chosen]


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--limit", type=int, default=10_000, help="questions, spread over all bloggers")
    chosen = options.parse_args()
    print(common.describe_run(), flush=True)
    bench = Bench(common.pooled_blogs(chosen), chosen.cache, common.starter(chosen.cache))
    seen = bench.see(bench.data.limited(chosen.limit).questions)
    bench.close()
    # Two questions are by the same author exactly when they have the same gold.
    fit, held_out = halves([one.question.gold[0] for one in seen])
    shipped = load_weights()
    measured: Mapping[float, Values] = {
        weight: shares(seen, with_style(shipped, weight)) for weight in WEIGHTS
    }
    best = max(WEIGHTS, key=lambda weight: float(measured[weight][fit].mean()))
    rows = []
    for leg in (DENSE, LEXICAL):
        rows.append(_row(f"{leg} alone", shares(seen, SingleLeg(leg)), fit, held_out))
    for weight, values in measured.items():
        marks = ["best"] if weight == best else []
        marks += ["shipped"] if weight == shipped.weights.get("style") else []
        rows.append(_row(" ".join([f"style {weight:g}", *marks]), values, fit, held_out))
    head = ["ranking", f"chosen on: {METRIC} of {len(fit)}", f"held out: {len(held_out)}", "all"]
    print("\n" + "\n".join(report.markdown_table(head, rows)))
    reached = float(measured[best][held_out].mean())
    print(
        f"\nBest on its half: style {best:g}; on the held-out half it has {reached:.3f},"
        f" {'at or above' if reached >= BAR else 'below'} the bar of {BAR}."
    )
    texts = sum(1 for one in seen if one.evidence.features["style"].any())
    print(f"{texts} of {len(seen)} questions are long enough for manner to be looked at.")


def _row(label: str, values: Values, fit: Sequence[int], held_out: Sequence[int]) -> list[str]:
    parts = (values[list(fit)], values[list(held_out)], values)
    return [label, *(report.mean_and_margin(metrics.bootstrap(part, seed=common.SEED)) for part in parts)]


if __name__ == "__main__":
    main()
