"""Words: how good a ranking is.  Pure functions over document ids; every formula names its source.

``ranking`` lists document ids, best first, each at most once; ``gold`` maps the relevant ones to their gain
(1 for plain relevance).  A question without gold has no value: these functions refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Gold: TypeAlias = Mapping[str, float]  # document -> gain; only gains above 0 count as relevant
Values: TypeAlias = NDArray[np.float64]  # (n questions,)
Metric: TypeAlias = Callable[[Sequence[str], Gold], float]

RESAMPLES: Final = 2_000  # Efron & Tibshirani 1993, section 13.3: at least 1,000 for percentile intervals


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the percentile bootstrap interval around it."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better a first run is than a second on the same questions.

    ``p`` is the two-sided randomisation test of no difference.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


# ---------------------------------------------------------------- one question


def hit_at(k: int) -> Metric:
    """Return a metric: 1 when any relevant document is among the first ``k`` ("success@k"), else 0."""
    _check_cutoff(k)

    def metric(ranking: Sequence[str], gold: Gold) -> float:
        relevant = _relevant(gold)
        return float(any(document in relevant for document in ranking[:k]))

    return metric


def recall_at(k: int) -> Metric:
    """Return a metric: the share of the relevant documents among the first ``k``.

    Source: Manning, Raghavan & Schütze 2008, "Introduction to information retrieval", section 8.3.
    """
    _check_cutoff(k)

    def metric(ranking: Sequence[str], gold: Gold) -> float:
        relevant = _relevant(gold)
        return sum(document in relevant for document in ranking[:k]) / len(relevant)

    return metric


def precision_at(k: int) -> Metric:
    """Return a metric: the share of the first ``k`` places that hold a relevant document.

    Source: Manning, Raghavan & Schütze 2008, section 8.4.
    """
    _check_cutoff(k)

    def metric(ranking: Sequence[str], gold: Gold) -> float:
        relevant = _relevant(gold)
        return sum(document in relevant for document in ranking[:k]) / k

    return metric


def ndcg_at(k: int) -> Metric:
    """Return a metric: sum of gain / log2(rank + 1) to ``k``, over that of the best possible ranking.

    Linear gains and this discount are trec_eval's.
    Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", TOIS, eq. 2 with
    the discount of Burges et al. 2005.
    """
    _check_cutoff(k)

    def metric(ranking: Sequence[str], gold: Gold) -> float:
        relevant = _relevant(gold)
        found = [relevant.get(document, 0.0) for document in ranking[:k]]
        ideal = sorted(relevant.values(), reverse=True)[:k]
        return _discounted(found) / _discounted(ideal)

    return metric


def reciprocal_rank(ranking: Sequence[str], gold: Gold) -> float:
    """Return 1 / rank of the first relevant document, 0 when there is none.

    Source: Voorhees 1999, "The TREC-8 question answering track report", section 3.
    """
    relevant = _relevant(gold)
    for rank, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / rank
    return 0.0


def average_precision(ranking: Sequence[str], gold: Gold) -> float:
    """Return the mean, over all relevant documents, of the precision at each one's rank; 0 where not found.

    Source: Buckley & Voorhees 2000, "Evaluating evaluation measure stability", SIGIR, section 2.
    """
    relevant = _relevant(gold)
    n_found = 0
    total = 0.0
    for rank, document in enumerate(ranking, start=1):
        if document in relevant:
            n_found += 1
            total += n_found / rank
    return total / len(relevant)


def _relevant(gold: Gold) -> dict[str, float]:
    relevant = {document: gain for document, gain in gold.items() if gain > 0}
    if not relevant:
        raise ValueError("a question without relevant documents cannot be scored")
    return relevant


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _check_cutoff(k: int) -> None:
    if k < 1:
        raise ValueError("a cutoff must be at least 1")


# ---------------------------------------------------------------- many questions


Z95: Final = 1.959964  # standard deviations that hold the middle 95 % of a normal distribution


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``n``; of nothing it is everything.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22;
    recommended for small n by Brown, Cai & DasGupta 2001.
    """
    if not n:
        return 0.0, 1.0
    square = Z95 * Z95
    middle = share + square / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    whole = 1 + square / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def bootstrap(
    values: Values, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the mean of ``values`` with its percentile bootstrap interval; seeded, so it repeats.

    Raises: ValueError when there are no values.  Source: Efron & Tibshirani 1993, "An introduction to the
    bootstrap", section 13.3.
    """
    values = _as_values(values)
    low, high = _percentiles(values, confidence, resamples, seed)
    return Interval(float(values.mean()), low, high, len(values))


def compare(
    first: Values, second: Values, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return mean(first - second) over the same questions, its bootstrap interval and the chance of as much.

    Each resample of the test swaps the two runs on a random half of the questions; p counts those with at
    least the measured difference, itself included, so it is never 0.
    Source: Smucker, Allan & Carterette 2007, "A comparison of statistical significance tests for information
    retrieval evaluation", CIKM, section 3.1.
    """
    first, second = _as_values(first), _as_values(second)
    if len(first) != len(second):
        raise ValueError("a paired comparison needs both runs on the same questions")
    gaps = first - second
    low, high = _percentiles(gaps, confidence, resamples, seed)
    random = np.random.default_rng(seed)
    observed = abs(gaps.sum())
    n_as_large = 0
    for _ in range(resamples):
        swapped = np.where(random.random(len(gaps)) < 0.5, -gaps, gaps)
        n_as_large += abs(swapped.sum()) >= observed - 1e-12  # sums in another order differ in the last bits
    return Difference(float(gaps.mean()), low, high, (n_as_large + 1) / (resamples + 1), len(gaps))


def auroc(positives: Values, negatives: Values) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve", Radiology, section 3
    (the Mann-Whitney statistic).
    """
    positives, negatives = _as_values(positives), _as_values(negatives)
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    not_above = np.searchsorted(ordered, positives, side="right")
    return float((below + not_above).sum() / 2 / (len(positives) * len(negatives)))


def bootstrap_auroc(
    positives: Values,
    negatives: Values,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return :func:`auroc` with its percentile bootstrap interval; each side is resampled by itself."""
    positives, negatives = _as_values(positives), _as_values(negatives)
    random = np.random.default_rng(seed)
    found = np.empty(resamples)
    for i in range(resamples):
        chosen = random.integers(0, len(positives), len(positives))
        others = random.integers(0, len(negatives), len(negatives))
        found[i] = auroc(positives[chosen], negatives[others])
    low, high = np.quantile(found, _tails(confidence))
    n = len(positives) + len(negatives)
    return Interval(auroc(positives, negatives), float(low), float(high), n)


def _as_values(values: Values) -> Values:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError("there are no values to average")
    return values


def _percentiles(values: Values, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    tails = _tails(confidence)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    for i in range(resamples):  # one at a time: a matrix of all resamples would be large for large sets
        means[i] = values[random.integers(0, len(values), len(values))].mean()
    low, high = np.quantile(means, tails)
    return float(low), float(high)


def _tails(confidence: float) -> list[float]:
    if not 0 < confidence < 1:
        raise ValueError("confidence lies between 0 and 1")
    return [(1 - confidence) / 2, (1 + confidence) / 2]
