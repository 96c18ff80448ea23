"""Calibrate the relevance of ragperso/retrieve/relevance.py and show how it holds on data left out.

Found: a question asked of its own person whose gold is among the first three documents.  Unanswerable: the
same questions asked of someone else of the set, questions of the other sets, and LoCoMo's adversarial ones,
which ask of one person what another one said.  The fit is a logistic regression on these with every set at
equal weight; each set's figures come from a fit that never saw it.  Own questions that were not found are
measured and not fitted on.  ``--plot`` draws the reliability of the shipped constants (needs matplotlib).
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import common
import numpy as np
from legs import Bench, Seen
from numpy.typing import NDArray

from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report
from ragperso.evaluate.datasets import Question
from ragperso.metrics import auroc
from ragperso.retrieve.adaptive import AdaptiveFusion, load_weights
from ragperso.retrieve.relevance import MAX_MARGIN, probability

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETS: Final = ("notes", "notes_titles", "scifact", "locomo", "tau2_retail")
# How likely a question is answerable before anything is known of it.  Above one half, since people mostly ask
# what they wrote down; 0.6 also is what keeps the declined below 5 % on notes.
PRIOR: Final = 0.6
TOP: Final = 3  # a question counts as answerable when its gold is among so many documents

Values = NDArray[np.float64]
FITTED: Final = ("found", "foreign", "other set", "adversarial")
UNANSWERABLE: Final = ("foreign", "other set", "adversarial")
FEATURES: Final = ("cosine", "coverage", "root of coverage", "root of near coverage", "margin")
SHIPPED: Final = "cosine, root of coverage, margin"
MODELS: Final[dict[str, tuple[str, ...]]] = {
    "cosine": ("cosine",),
    "cosine, root of coverage": ("cosine", "root of coverage"),
    SHIPPED: ("cosine", "root of coverage", "margin"),
    "cosine, root of coverage, root of near coverage, margin": (
        "cosine",
        "root of coverage",
        "root of near coverage",
        "margin",
    ),
}


@dataclass(frozen=True)
class Sample:
    """One question asked of one person."""

    features: Values  # (hits, FEATURES), best hit first
    kind: str  # found, missed, adversarial, foreign, other set


def features(seen: Seen, fused: AdaptiveFusion) -> Values:
    """Return the features of the best hits; a question is as relevant as the best of them."""
    evidence = seen.evidence
    scores = fused.scores(evidence)
    margin = float(np.clip(fused.speaker_margin(evidence, scores), -MAX_MARGIN, MAX_MARGIN))
    rows = []
    for row in np.lexsort((evidence.ids, -scores))[: Config().retrieve.k].tolist():
        cosine, coverage = float(evidence.cosine[row]), max(0.0, float(evidence.coverage[row]))
        near = max(0.0, float(evidence.near_coverage[row]))
        rows.append([cosine, coverage, math.sqrt(coverage), math.sqrt(near), margin])
    return np.array(rows or [[0.0] * len(FEATURES)])


def is_found(seen: Seen, fused: AdaptiveFusion) -> bool:
    """Say whether the gold is among the first documents."""
    return any(document in seen.question.gold for document, _ in seen.ranked(fused).hits[:TOP])


def collect(
    bench: Bench, strangers: Sequence[Question], *, limit: int, random: np.random.Generator
) -> Iterator[Sample]:
    """Yield the samples of one set."""
    fused = AdaptiveFusion(load_weights())
    questions = bench.data.limited(limit).questions
    plain = [q for q in questions if q.type != "adversarial"]
    for seen in bench.see(plain):
        yield Sample(features(seen, fused), "found" if is_found(seen, fused) else "missed")
    for seen in bench.see([q for q in questions if q.type == "adversarial"]):
        yield Sample(features(seen, fused), "adversarial")
    owners = sorted(bench.data.documents)
    if len(owners) > 1:
        other = {q: _other(owners, q.user, random) for q in plain}
        for seen in bench.see(plain, asked_of=other.__getitem__):
            yield Sample(features(seen, fused), "foreign")
    asked = {q: owners[random.integers(len(owners))] for q in strangers}
    for seen in bench.see(list(strangers), asked_of=asked.__getitem__):
        yield Sample(features(seen, fused), "other set")


def _other(owners: Sequence[str], user: str, random: np.random.Generator) -> str:
    others = [name for name in owners if name != user]
    return others[int(random.integers(len(others)))]


# ---------------------------------------------------------------- the fit


def fit(samples: dict[str, list[Sample]], names: Sequence[str], columns: Sequence[int]) -> Values:
    """Return (bias, *coefficients), fitted on the hit that decides: the first, then the one that the fit
    before holds most relevant."""
    used = {name: [s for s in samples[name] if s.kind in FITTED] for name in names}
    # Every set counts the same, and within it the labels as PRIOR says.
    y = np.array([s.kind == "found" for name in names for s in used[name]], float)
    weights = np.concatenate([_balanced(used[name]) for name in names]) / len(names)
    hits = [s.features[:, columns] for name in names for s in used[name]]
    beta = _logistic(np.array([rows[0] for rows in hits]), y, weights)
    for _ in range(3):
        deciding = np.array([rows[int(np.argmax(rows @ beta[1:]))] for rows in hits])
        beta = _logistic(deciding, y, weights)
    return beta


def _balanced(samples: Sequence[Sample]) -> Values:
    is_found = np.array([s.kind == "found" for s in samples])
    n_found = int(is_found.sum())
    return np.where(is_found, PRIOR / max(1, n_found), (1 - PRIOR) / max(1, len(samples) - n_found))


def _logistic(x: Values, y: Values, weights: Values, *, ridge: float = 1e-3) -> Values:
    """Return (bias, *coefficients) of a logistic regression, by Newton's method.

    Source: Hastie, Tibshirani & Friedman 2009, "The elements of statistical learning", section 4.4.1.
    """
    design = np.column_stack([np.ones(len(x)), x])
    beta = np.zeros(design.shape[1])
    penalty = ridge * np.eye(len(beta))
    penalty[0, 0] = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weights * (y - p)) - penalty @ beta
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def probabilities(beta: Values, samples: Sequence[Sample], columns: Sequence[int], *kinds: str) -> Values:
    """Return how likely each question is answered: its most relevant hit, as the engine judges it."""
    logits = np.array(
        [np.max(beta[0] + s.features[:, columns] @ beta[1:]) for s in samples if s.kind in kinds], float
    )
    found: Values = 1 / (1 + np.exp(-logits))
    return found


def show(samples: dict[str, list[Sample]], model: str) -> None:
    """Print each set's figures by a fit on the others, then the constants of the fit on all."""
    columns = [FEATURES.index(name) for name in MODELS[model]]
    rows = []
    for name in samples:
        beta = fit(samples, [other for other in samples if other != name], columns)

        def p(*kinds: str, name: str = name, beta: Values = beta) -> Values:
            return probabilities(beta, samples[name], columns, *kinds)

        own, found = p("found", "missed"), p("found")
        row = [name, str(len(own)), f"{len(found) / len(own):.0%}"]
        row += [f"{auroc(own, p(kind)):.3f}" if len(p(kind)) else "" for kind in UNANSWERABLE]
        row += [f"{np.mean(own < 0.5):.1%}", f"{np.mean(found < 0.5):.1%}"]
        row += [f"{np.mean(p(kind) >= 0.5):.1%}" if len(p(kind)) else "" for kind in UNANSWERABLE]
        rows.append(row)
    head = ["left out", "own", "found", *(f"AUROC {kind}" for kind in UNANSWERABLE)]
    head += ["own declined", "found declined", *(f"{kind} accepted" for kind in UNANSWERABLE)]
    beta = fit(samples, list(samples), columns)
    named = zip(("bias", *MODELS[model]), beta.tolist(), strict=True)
    told = ", ".join(f"{name} {value:+.2f}" for name, value in named)
    print(f"\n### {model}\n\nfit on all sets: {told}\n")
    print("\n".join(report.markdown_table(head, rows)))


def combined(samples: dict[str, list[Sample]]) -> None:
    """Print, per set, the AUROC between all own questions and all unanswerable ones together."""
    columns = [FEATURES.index(name) for name in MODELS[SHIPPED]]
    rows = []
    for name, found in samples.items():
        beta = fit(samples, [other for other in samples if other != name], columns)
        own = probabilities(beta, found, columns, "found", "missed")
        no = probabilities(beta, found, columns, *UNANSWERABLE)
        shipped = [_shipped(s) for s in found if s.kind in ("found", "missed")]
        shipped_no = [_shipped(s) for s in found if s.kind in UNANSWERABLE]
        strange = probabilities(beta, found, columns, "foreign", "adversarial")
        close = f"{auroc(own, strange):.3f}" if len(strange) else ""
        cells = [f"{auroc(own, no):.3f}", close, f"{auroc(np.array(shipped), np.array(shipped_no)):.3f}"]
        rows.append([name, str(len(own)), str(len(no)), *cells, f"{np.mean(np.array(shipped) < 0.5):.1%}"])
    head = ["set", "own", "unanswerable", "AUROC, left out", "AUROC foreign + adversarial, left out"]
    head += ["AUROC, shipped", "own declined, shipped"]
    print("\n### All kinds of unanswerable questions together\n")
    print("\n".join(report.markdown_table(head, rows)))


# ---------------------------------------------------------------- the sample people, not fitted on


def smoke(embedder: common.RememberingEmbedder) -> None:
    """Print how the shipped constants judge the sample people's questions."""
    folder = common.ROOT / "ragperso" / "samples" / "people"
    script = tomllib.loads((folder / "questions.toml").read_text(encoding="utf-8"))
    rows = []
    with tempfile.TemporaryDirectory() as home:
        engine = Engine(config=harness.settings_for(Config(), Path(home)), embedder=embedder)
        with engine:
            for person in ("ana", "ben"):
                engine.session(person).add([folder / person])
            asked: list[tuple[str, str, bool]] = []
            for person in ("ana", "ben"):
                asked += [(question, person, False) for question in script["neither"]]
                asked += [(item["question"], person, True) for item in script["shared"]]
                asked += [(item["question"], person, person == item["user"]) for item in script["only"]]
            for question, person, is_known in asked:
                hits = engine.session(person).search(question)
                likely = max((hit.relevance for hit in hits), default=0.0)
                top = hits[0].via if hits else {}
                cosine = f"{top['dense'].score:.2f}" if "dense" in top else ""
                verdict = "" if (likely >= 0.5) == is_known else "WRONG"
                rows.append([question, person, "yes" if is_known else "no", cosine, f"{likely:.2f}", verdict])
    rows.sort(key=lambda row: (row[2], -float(row[4])))
    print("\n### Sample people, shipped constants (not fitted on)\n")
    print("\n".join(report.markdown_table(["question", "asked of", "known", "cosine", "P", ""], rows)))


def plot(samples: dict[str, list[Sample]], path: Path) -> None:
    """Draw how often a question is answerable by what the shipped constants say of it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6))
    edges = np.linspace(0, 1, 11)
    everything: list[tuple[float, bool, float]] = []
    for name, found in samples.items():
        judged = [(_shipped(s), s.kind in ("found", "missed")) for s in found]
        n_yes = sum(yes for _, yes in judged) or 1
        n_no = len(judged) - n_yes or 1
        weighed = [(p, yes, PRIOR / n_yes if yes else (1 - PRIOR) / n_no) for p, yes in judged]
        everything += weighed
        left.plot(*_reliability(weighed, edges), "o-", alpha=0.55, markersize=3, label=name)
    left.plot(*_reliability(everything, edges), "ko-", linewidth=2, label="all sets, equal weight")
    left.plot([0, 1], [0, 1], ":", color="gray")
    left.set(xlabel="relevance of the question", ylabel="share that is answerable", title="Reliability")
    left.legend(fontsize=7)
    own = [p for found in samples.values() for p in map(_shipped, (s for s in found if s.kind == "found"))]
    right.hist(own, edges, alpha=0.6, density=True, label="answerable, gold in the first 3")
    for kind in UNANSWERABLE:
        values = [_shipped(s) for found in samples.values() for s in found if s.kind == kind]
        right.hist(values, edges, histtype="step", linewidth=1.8, density=True, label=kind)
    right.axvline(Config().retrieve.min_relevance, color="gray", linestyle=":")
    right.set(xlabel="relevance of the question", ylabel="density", title="Kinds of questions")
    right.legend(fontsize=7, loc="upper center")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    error = sum(
        abs(a - b) * w
        for a, b, w in zip(*_reliability(everything, edges), _mass(everything, edges), strict=True)
    )
    print(f"\nexpected calibration error of the shipped constants, sets at equal weight: {error:.3f}")


def _shipped(sample: Sample) -> float:
    return max(probability(row[0], row[1], row[4]) for row in sample.features.tolist())


def _reliability(
    judged: Sequence[tuple[float, bool, float]], edges: Values
) -> tuple[list[float], list[float]]:
    x, y = [], []
    for low, high in itertools.pairwise(edges.tolist()):
        inside = [(p, yes, w) for p, yes, w in judged if low <= p < high or p == high == 1.0]
        if total := sum(w for _, _, w in inside):
            x.append(sum(p * w for p, _, w in inside) / total)
            y.append(sum(w for _, yes, w in inside if yes) / total)
    return x, y


def _mass(judged: Sequence[tuple[float, bool, float]], edges: Values) -> list[float]:
    total = sum(w for _, _, w in judged)
    inside = [
        sum(w for p, _, w in judged if low <= p < high or p == high == 1.0)
        for low, high in itertools.pairwise(edges.tolist())
    ]
    return [mass / total for mass in inside if mass]


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--limit", type=int, default=300, help="questions of each set")
    options.add_argument("--sets", nargs="*", default=list(SETS))
    options.add_argument("--plot", type=Path, metavar="PNG", help="draw the calibration")
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache)
    random = np.random.default_rng(common.SEED)
    benches = {
        name: Bench(common.folder_of(chosen, name, every=True), chosen.cache, embedder)
        for name in chosen.sets
    }
    samples: dict[str, list[Sample]] = {}
    for name, bench in benches.items():
        # notes and notes_titles are the same notes, so neither is strange to the other.
        strange = [b for other, b in benches.items() if other[:5] != name[:5]]
        pool = [question for b in strange for question in b.data.limited(40).questions]
        strangers = [pool[i] for i in random.permutation(len(pool))[:100]]
        samples[name] = list(collect(bench, strangers, limit=chosen.limit, random=random))
        bench.close()
    print(common.describe_run())
    for model in MODELS:
        show(samples, model)
    combined(samples)
    if chosen.plot:
        plot(samples, chosen.plot)
    smoke(embedder)


if __name__ == "__main__":
    main()
