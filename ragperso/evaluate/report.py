"""Surface, evaluate: what was measured as JSON and as tables people read.

In: an :class:`Evaluation`, :class:`Comparison`, :class:`Ablation`.  Out: text or JSON values.
Never: computes a metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ragperso.evaluate.ablation import Ablation
from ragperso.evaluate.harness import ALL, Comparison, Declining, Evaluation
from ragperso.metrics import Difference, Interval

_COLUMNS: Final = 80


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
        "by": evaluation.by,
        "declining": None if evaluation.declining is None else _declining_json(evaluation.declining),
    }


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Return both evaluations and every paired difference; positive means that the second is better."""
    return {
        "settings": {key: {"first": pair[0], "second": pair[1]} for key, pair in found.settings.items()},
        "main": found.main,
        "changed_rankings": found.n_changed,
        "second": as_json(found.second),
        "second_minus_first": {
            group: {name: _difference_json(gap) for name, gap in by_metric.items()}
            for group, by_metric in found.differences.items()
        },
    }


def ablation_json(found: Ablation) -> dict[str, Any]:
    """Return what each component is worth: the full configuration minus the one without it."""
    return {
        "metrics": list(found.metrics),
        "questions": found.n_questions,
        "full": {name: _interval_json(interval) for name, interval in found.full.items()},
        f"full_by_{found.by}": _rounded(found.full_by_group),
        "components": [
            {
                "name": part.component.name,
                "off": dict(part.component.off),
                "without": _interval_json(part.without),
                "worth": {name: _difference_json(gap) for name, gap in part.worth.items()},
                f"worth_by_{found.by}": _rounded(part.worth_by_group),
                "changed_rankings": part.n_changed,
            }
            for part in found.parts
        ],
        "skipped": dict(found.skipped),
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
        # Without MAP it fits 80 columns at the default cutoffs; precision takes the place of hits.
        names = [name for name in evaluation.metrics[ALL] if name != "MAP"]
        if any(name.startswith("P@") for name in names):
            names = [name for name in names if not name.startswith("hit@")]
        lines += plain_table(
            [evaluation.by, "n", *names],
            [
                [kind, str(found[names[0]].n), *(_fraction(found[name].mean) for name in names)]
                for kind, found in evaluation.metrics.items()
            ],
        )
        lines.append("")
    if evaluation.declining is not None:
        lines += [*_declining_lines(evaluation.declining), ""]
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


def comparison_text(found: Comparison) -> str:
    """Return a table of every metric under both configurations, and one of the main metric by group."""
    lines = ["second configuration:"]
    lines += [
        f"  {key} = {_value(new)}  (first: {_value(old)})" for key, (old, new) in found.settings.items()
    ]
    lines.append("")
    head = ["first", "second", "second - first [95 % interval]"]
    if found.differences:
        first, second = found.first.metrics[ALL], found.second.metrics[ALL]
        lines += plain_table(
            ["", *head],
            [
                [name, _fraction(first[name].mean), _fraction(second[name].mean), difference(gap)]
                for name, gap in found.differences[ALL].items()
            ],
        )
        lines.append("")
    if len(found.differences) > 1:
        lines += plain_table(
            [f"{found.main} by {found.first.by}", "n", *head],
            [
                [
                    group,
                    str(gaps[found.main].n),
                    _fraction(found.first.metrics[group][found.main].mean),
                    _fraction(found.second.metrics[group][found.main].mean),
                    difference(gaps[found.main]),
                ]
                for group, gaps in found.differences.items()
            ],
        )
        lines.append("")
    if found.second.declining is not None:
        lines += ["second:", *_declining_lines(found.second.declining), ""]
    times = [f"{evaluation.search_ms['p50']:.1f}" for evaluation in (found.first, found.second)]
    lines.append(
        f"the ranking of {found.n_changed:,} of {_counted(found.first.n_questions, 'question')} changed;"
        f" search {times[0]} and {times[1]} ms p50"
    )
    return "\n".join(lines)


def ablation_text(found: Ablation) -> str:
    """Return a table of what each component is worth, and one by group where that fits 80 columns."""
    main, *others = found.metrics
    lines = plain_table(
        ["left out", main, "worth [95 % interval]", *others, "moved"],
        [
            [
                "nothing",
                _fraction(found.full[main].mean),
                "",
                *(_fraction(found.full[m].mean) for m in others),
                "",
            ],
            *(
                [
                    part.component.name,
                    _fraction(part.without.mean),
                    difference(part.worth[main]),
                    *(_gap_and_margin(part.worth[metric]) for metric in others),
                    str(part.n_changed),
                ]
                for part in found.parts
            ),
        ],
    )
    groups = list(found.full_by_group)
    if groups:
        by_group = plain_table(
            [f"{main} by {found.by}", *groups],
            [
                ["nothing", *(_fraction(found.full_by_group[group]) for group in groups)],
                *(
                    [part.component.name, *(_signed(part.worth_by_group[group]) for group in groups)]
                    for part in found.parts
                ),
            ],
        )
        if max(map(len, by_group)) <= _COLUMNS:
            lines += ["", *by_group]
        else:
            lines += ["", f"by {found.by} there are too many columns: --json has them"]
    lines += [
        "",
        "worth: all parts together minus all but this one, on the same "
        f"{_counted(found.n_questions, 'question')};",
        "moved: rankings that differ; each p stands alone",
    ]
    for state in sorted(set(found.skipped.values())):
        names = ", ".join(name for name, own in found.skipped.items() if own == state)
        lines.append(f"{state}: {names}")
    return "\n".join(lines)


def mean_and_margin(interval: Interval) -> str:
    """Return a mean with half the width of its interval: ``.812 ±.021``."""
    return f"{_fraction(interval.mean)} ±{_fraction((interval.high - interval.low) / 2)}"


def difference(found: Difference) -> str:
    """Return a paired difference with its interval and p: ``+.012 [-.004, +.027] p=.140``."""
    low, high = _signed(found.low), _signed(found.high)
    # It is never 0: with 2,000 resamples the least is .0005.
    chance = "<.001" if found.p < 0.001 else "=1" if found.p >= 1 else f"={_fraction(found.p)}"
    return f"{_signed(found.mean)} [{low}, {high}] p{chance}"


def _gap_and_margin(found: Difference) -> str:
    return f"{_signed(found.mean)} ±{_fraction((found.high - found.low) / 2)}"


def _declining_lines(found: Declining) -> list[str]:
    rows = (
        ("answerable", found.n_answerable, found.declined_answerable),
        ("unanswerable", found.n_unanswerable, found.declined_unanswerable),
    )
    lines = plain_table(
        ["questions", "n", f"declined below {_fraction(found.threshold)}", "95 % interval"],
        [
            [name, f"{n:,}", _fraction(share.mean), f"{_fraction(share.low)} - {_fraction(share.high)}"]
            for name, n, share in rows
            if share is not None
        ],
    )
    if found.auroc is not None:
        low, high = _fraction(found.auroc.low), _fraction(found.auroc.high)
        lines.append(f"AUROC of relevance {_fraction(found.auroc.mean)} ({low} - {high})")
    return lines


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


def _difference_json(found: Difference) -> dict[str, Any]:
    return {
        "mean": round(found.mean, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "p": round(found.p, 4),
        "n": found.n,
    }


def _declining_json(found: Declining) -> dict[str, Any]:
    return {
        "threshold": found.threshold,
        "auroc": None if found.auroc is None else _interval_json(found.auroc),
        "answerable": _share_json(found.n_answerable, found.declined_answerable),
        "unanswerable": _share_json(found.n_unanswerable, found.declined_unanswerable),
    }


def _share_json(n: int, share: Interval | None) -> dict[str, Any]:
    return {"questions": n, "declined": None if share is None else _interval_json(share)}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _value(value: Any) -> str:
    """Return a setting as one types it."""
    return str(value).lower() if isinstance(value, bool) else str(value) or "(empty)"


def _fraction(value: float) -> str:
    """Return three digits without the leading zero, as tables of the field do."""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_fraction(abs(value))}"


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
