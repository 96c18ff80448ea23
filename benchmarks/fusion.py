"""Fit the table of ragperso/retrieve/weights.toml and show how it holds on data left out.

The loss is that of a listwise softmax: -log of the share that a question's gold chunks have of exp(score)
over its candidates, averaged over the questions of a set; sets are weighed by WEIGHT, and weights are held
small by RIDGE. ``--write`` replaces the shipped table by the fit on all sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import common
import numpy as np
from legs import MAIN, Bench, Seen
from numpy.typing import NDArray
from scipy.optimize import minimize

from ragperso.evaluate import harness, report
from ragperso.retrieve.adaptive import FEATURES, SHIPPED, AdaptiveFusion, Weights
from ragperso.retrieve.fusion import DENSE, LEXICAL, SingleLeg

Values = NDArray[np.float64]

# Of a set in the loss.  More for sets whose questions a person types, less where two sets hold the same notes
# or one whose questions come from a template.
WEIGHT: Final[Mapping[str, float]] = {
    "notes": 1.0,
    "notes_titles": 0.75,
    "scifact": 3.0,
    "locomo": 1.5,
    "tau2_retail": 0.3,
}
QUESTIONS: Final = 600  # of a set, drawn at random: more change nothing
RIDGE: Final = 2e-2
# Style is for whole texts, which none of these sets asks with: benchmarks/style.py.
FITTED: Final = tuple(name for name in FEATURES if name != "style")
SLOPES: Final = ("dense", "lexical", "passage.lead", "passage.near_lexical", "passage.group_lexical")
STYLE_WEIGHT: Final = 2.0
SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "notes": ("hit@5", "hit@1"),
    "notes_titles": ("hit@1",),
    "scifact": ("nDCG@10",),
    "locomo": ("R@10", "R@5"),
    "tau2_retail": ("hit@1",),
}


def matrix(seen: Seen) -> Values:
    """Return (candidates, FITTED and SLOPES) of one question."""
    evidence = seen.evidence
    columns = [evidence.features[name] for name in FITTED]
    signal = evidence.signals["question_words"]
    columns += [signal * evidence.features[name] for name in SLOPES]
    return np.column_stack(columns).astype(np.float64)


def fit(sets: Mapping[str, Sequence[Seen]]) -> Weights:
    """Return the weights that make the gold of all ``sets`` likeliest."""
    random = np.random.default_rng(common.SEED)
    rows: list[tuple[Values, NDArray[np.bool_], float]] = []
    for name, seen in sets.items():
        usable = [one for one in seen if one.is_gold.any()]
        chosen = random.permutation(len(usable))[:QUESTIONS].tolist()
        rows += [(matrix(usable[i]), usable[i].is_gold, WEIGHT[name] / len(chosen)) for i in chosen]
    stacked = np.concatenate([x for x, _, _ in rows])
    starts = np.cumsum([0, *(len(x) for x, _, _ in rows)])[:-1]
    owner = np.repeat(np.arange(len(rows)), [len(x) for x, _, _ in rows])
    gold = np.concatenate([g for _, g, _ in rows])
    weights = np.array([w for _, _, w in rows])

    def loss(beta: Values) -> tuple[float, Values]:
        scores = stacked @ beta
        scores -= np.maximum.reduceat(scores, starts)[owner]
        likely = np.exp(scores)
        total = np.add.reduceat(likely, starts)
        of_gold = np.add.reduceat(np.where(gold, likely, 0.0), starts)
        of_gold = np.maximum(of_gold, 1e-300)
        value = float((weights * (np.log(total) - np.log(of_gold))).sum() + RIDGE * (beta**2).sum())
        pull = likely / total[owner] - np.where(gold, likely, 0.0) / of_gold[owner]
        return value, stacked.T @ (weights[owner] * pull) + 2 * RIDGE * beta

    found = minimize(loss, np.zeros(stacked.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    beta = [round(float(value), 2) for value in found.x]
    n = len(FITTED)
    return Weights(
        {**dict(zip(FITTED, beta[:n], strict=True)), "style": STYLE_WEIGHT},
        {"question_words": dict(zip(SLOPES, beta[n:], strict=True))},
    )


def cells(seen: Sequence[Seen], fusion: AdaptiveFusion | SingleLeg, name: str) -> str:
    values = harness.values([one.ranked(fusion) for one in seen if one.question.gold])
    return ", ".join(f"{metric} {values[metric].mean():.3f}" for metric in SHOWN[name])


def left_out(sets: Mapping[str, Sequence[Seen]], name: str) -> Weights:
    """Return a fit that never saw ``name``, nor a set with the same documents."""
    return fit({other: seen for other, seen in sets.items() if other[:5] != name[:5]})


def by_person(seen: Sequence[Seen], name: str, sets: Mapping[str, Sequence[Seen]]) -> list[harness.Ranked]:
    """Return rankings by fits on the other half of a set's people, and on all other sets."""
    people = sorted({one.question.user for one in seen})
    ranked: list[harness.Ranked] = []
    for half in (set(people[::2]), set(people[1::2])):
        fitted = fit({**sets, name: [one for one in seen if one.question.user not in half]})
        fusion = AdaptiveFusion(fitted)
        ranked += [one.ranked(fusion) for one in seen if one.question.user in half]
    return ranked


HEAD: Final = """\
# How much each kind of evidence counts for a chunk, in units of log-odds; ragperso/retrieve/evidence.py says
# what each one is.  Fitted by `python benchmarks/fusion.py --write`; set retrieve.weights to a copy of this
# file to change it for yourself.
"""
SIGNAL_HEAD: Final = """
# Added to the weight above, times a signal of the query.  question_words is the share of its words that only
# make it a question, less .4: positive in questions, negative in titles and claims.
"""


def to_toml(weights: Weights) -> str:
    """Return the table as it is shipped."""
    text = HEAD
    for section in ("any", "passage", "turn"):
        text += f"\n[{section}]\n"
        for name in FEATURES:
            head, _, tail = name.rpartition(".")
            if (head or "any") == section:
                text += f"{tail} = {weights.weights.get(name, 0.0):.2f}\n"
    for signal, slopes in weights.slopes.items():
        text += f"{SIGNAL_HEAD}[signal.{signal}]\n"
        text += "".join(f'"{name}" = {slope:.2f}\n' for name, slope in slopes.items())
    return text


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--sets", nargs="*", default=list(MAIN))
    options.add_argument("--write", action="store_true", help=f"write the fit to {SHIPPED.name}")
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache)
    print(common.describe_run(), flush=True)
    sets: dict[str, list[Seen]] = {}
    for name in chosen.sets:
        bench = Bench(common.folder_of(chosen, name, every=True), chosen.cache, embedder)
        sets[name] = bench.see([q for q in bench.data.questions if q.gold])
        bench.close()
    everything = fit(sets)
    rows = []
    for name, seen in sets.items():
        rows.append(
            [
                name,
                cells(seen, SingleLeg(DENSE), name),
                cells(seen, SingleLeg(LEXICAL), name),
                cells(seen, AdaptiveFusion(everything), name),
                cells(seen, AdaptiveFusion(left_out(sets, name)), name),
            ]
        )
    head = ["set", "dense", "lexical", "fit on all sets", "fit that left the set out"]
    print("\n### Leave one data set out\n\n" + "\n".join(report.markdown_table(head, rows)), flush=True)
    rows = []
    for name in ("locomo", "tau2_retail"):
        if name in sets:
            values = harness.values(by_person(sets[name], name, sets))
            rows.append([name, ", ".join(f"{m} {values[m].mean():.3f}" for m in SHOWN[name])])
    print("\n### People left out (two halves of a set's people)\n")
    print("\n".join(report.markdown_table(["set", "fit on the other people"], rows)))
    table = to_toml(everything)
    print(f"\n### The table\n\n```toml\n{table}```")
    if chosen.write:
        Path(SHIPPED).write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
