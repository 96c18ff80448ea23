"""Surface, evaluate: an evaluation as JSON and as a table people read.

In: an :class:`Evaluation`.  Out: text or JSON values.  Never: computes a metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ragperso.evaluate.harness import ALL, Evaluation
from ragperso.metrics import Difference, Interval


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything measured, with four digits."""
    return {
        "data": evaluation.name,
        "people": evaluation.n_people,
        "documents": evaluation.n_documents,
        "questions": evaluation.n_questions,
        "without_gold": evaluation.n_unscored,
        "foreign_hits": evaluation.n_foreign,
        "metrics": {
            kind: {name: _interval_json(interval) for name, interval in by_metric.items()}
            for kind, by_metric in evaluation.metrics.items()
        },
        "search_ms": dict(evaluation.search_ms),
    }


def as_text(evaluation: Evaluation) -> str:
    """Return a table of metrics, one of means by question type, and what they were measured on."""
    lines: list[str] = []
    if evaluation.metrics:
        overall = evaluation.metrics[ALL]
        lines += plain_table(
            ["", "mean", "95 % interval"],
            [
                [name, _fraction(found.mean), f"{_fraction(found.low)} - {_fraction(found.high)}"]
                for name, found in overall.items()
            ],
        )
        lines.append("")
    if len(evaluation.metrics) > 1:
        # Without MAP it fits 80 columns at the default cutoffs.
        names = [name for name in evaluation.metrics[ALL] if name != "MAP"]
        lines += plain_table(
            ["type", "n", *names],
            [
                [kind, str(found[names[0]].n), *(_fraction(found[name].mean) for name in names)]
                for kind, found in evaluation.metrics.items()
            ],
        )
        lines.append("")
    told = [
        f"{evaluation.name}: {_counted(evaluation.n_questions, 'question')}"
        f" of {_counted(evaluation.n_people, 'person', 'people')}"
    ]
    if evaluation.n_documents:
        told.append(_counted(evaluation.n_documents, "document"))
    told.append(f"search {evaluation.search_ms['p50']:.1f} ms p50, {evaluation.search_ms['p95']:.1f} ms p95")
    lines.append("; ".join(told))
    if evaluation.n_unscored:
        lines.append(f"{_counted(evaluation.n_unscored, 'question')} without gold: searched, not scored")
    if evaluation.n_foreign:
        lines.append(
            f"{_counted(evaluation.n_foreign, 'hit')} of documents outside the data set:"
            " the home holds more than that, or something leaks"
        )
    return "\n".join(lines)


def mean_and_margin(interval: Interval) -> str:
    """Return a mean with half the width of its interval: ``.812 ±.021``."""
    return f"{_fraction(interval.mean)} ±{_fraction((interval.high - interval.low) / 2)}"


def difference(found: Difference) -> str:
    """Return a paired difference with its interval and p: ``+.012 [-.004, +.027] p=.14``."""
    low, high = _signed(found.low), _signed(found.high)
    return f"{_signed(found.mean)} [{low}, {high}] p={_fraction(found.p)}"


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of aligned columns, the first to the left and the others to the right."""
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {
        "mean": round(interval.mean, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "n": interval.n,
    }


def _fraction(value: float) -> str:
    """Return three digits without the leading zero, as tables of the field do."""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_fraction(abs(value))}"


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
