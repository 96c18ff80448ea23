"""Surface, evaluate: the fairness check as a file to keep, as JSON and as a short table.

In: a :class:`Check`.  Out: text or JSON values.
Never: computes a measure, quotes a question unless asked to, names what the person's documents know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from ragperso import __version__
from ragperso.evaluate.bias import (
    LEVEL,
    MEASURES,
    MIN_QUESTIONS,
    WORST,
    Check,
    Finding,
    Groups,
    Measured,
    Row,
)
from ragperso.evaluate.report import markdown_table, plain_table
from ragperso.metrics import Interval

SHOWN: Final = ("hits", "order", "top", "declined", "length", "tone")  # on the screen
_TITLES: Final = {measure.name: measure for measure in MEASURES}

LIMITS: Final = (
    "Names and statements were swapped in the questions and in the requests of exemplars, never in the"
    " person's documents. Names and words that the documents know are listed apart and are not judged: there"
    " a change may be right.",
    "A group here is a list of first names or one statement. First names carry class and age as well as"
    " origin, and no list stands for the people who bear them.",
    "Swaps exist for English, German and French questions. Gendered words are turned word by word; German"
    " only from man to woman. There is no swap for people who are neither, for skin colour or for dialect.",
    "Tone is a count of short word lists (warm, cold, hedging, refusing). It hears no irony, no double"
    " negation and no order of words.",
    f"Drafts are judged as the model wrote them, cut at a few dozen tokens, before the engine checks them"
    f" against the passages. Fewer than {MIN_QUESTIONS} questions are shown and not judged.",
    "A seed draws some names and frames out of many. Run it with a few seeds before you believe a small"
    " difference: one that is there shows under most of them.",
    "No difference found is not fairness shown: it may be smaller than the noise, or lie where nothing was"
    " swapped.",
)


def as_json(check: Check, *, at: datetime, show_questions: bool = False) -> dict[str, Any]:
    """Return the whole report."""
    return {
        "kind": "ragperso audit bias",
        "version": __version__,
        "at": at.isoformat(timespec="seconds"),
        "seed": check.seed,
        "level": LEVEL,
        "tests": check.n_tests,
        "correction": "Holm 1979, over all tests of this report",
        "people": [_measured_json(one) for one in check.measured],
        "verdict": verdict(check),
        "beyond_noise": [_finding_json(finding) for finding in check.beyond],
        "findings": [_finding_json(finding) for finding in check.findings],
        "worst": [
            {
                "user": one.user,
                "preset": one.preset,
                "question": row.question,
                **({"text": text} if show_questions else {}),
                "axis": row.axis,
                "group": row.group,
                "reference": row.reference,
                "measure": row.measure,
                "swap": round(row.swap, 4),
                "neutral_swap": round(row.floor, 4),
            }
            for one, row, text in worst(check)
        ],
        "limits": list(LIMITS),
    }


def as_markdown(check: Check, lists: Groups, *, at: datetime, show_questions: bool = False) -> str:
    """Return the report as a file to keep."""
    people = list(dict.fromkeys(one.user for one in check.measured))
    lines = [
        f"# Fairness check of {', '.join(map(_cell, people))}",
        "",
        f"ragperso {__version__}, {at.date().isoformat()}, seed {check.seed}.",
        "",
        "## Verdict",
        "",
        *(f"- {sentence}" for sentence in verdict(check)),
        "",
        "## What was done",
        "",
        *markdown_table(
            ["person", "preset", "questions", "from", "searches", "drafts", "model", "seconds"],
            [
                [
                    _cell(one.user),
                    _cell(one.preset) or "-",
                    f"{one.n_asked} of {len(one.questions)}",
                    _cell(one.source),
                    str(one.n_searches),
                    f"{one.n_drafts} of {one.n_wanted_drafts}" if one.n_wanted_drafts else "none",
                    _cell(one.model) or "-",
                    f"{one.seconds:.0f}",
                ]
                for one in check.measured
            ],
        ),
        "",
        *_swapped(check, lists),
        "",
        "## How to read it",
        "",
        "`swap` is the change when the question is put as the group instead of as the reference. `noise"
        " floor` is the same change when it should not matter: one name for another of the same group, one"
        " neutral statement for another, or a politer wording. A distance (0: nothing changed) is judged by"
        " swap minus floor, a directed measure by group minus reference. A directed measure, and every"
        " statement, must also be out of the floor's reach; for statements that is where 95 % of the pairs of"
        " neutral statements lie. All other intervals are 95 % bootstrap intervals over questions and names."
        " `p` is from turning the signs of whole names or questions; `p (Holm)` is corrected over all"
        f" {check.n_tests:,} tests of this report.",
        "",
    ]
    for one in check.measured:
        own = [f for f in check.findings if (f.user, f.preset) == (one.user, one.preset)]
        where = _cell(one.user) + (f", preset {_cell(one.preset)}" if one.preset else "")
        lines += [f"## Measures: {where}", ""]
        for measure in MEASURES:
            of_measure = [f for f in own if f.measure == measure.name and not f.is_known]
            if of_measure:
                lines += [f"### {measure.title} ({measure.unit})", "", *_table(of_measure), ""]
        known = [f for f in own if f.is_known and f.measure in ("hits", "top", "declined")]
        if known:
            lines += [
                f"### Known in the documents: not judged ({where})",
                "",
                f"{one.n_known_names} names of the lists stand in the documents, so strangers were drawn"
                " without them. Where a question is about a name, a relation or a word that the documents"
                " know, another answer may be the right one.",
                "",
                *_table(known, with_measure=True),
                "",
            ]
    lines += ["## Worst cases", "", "The largest changes beyond their own neutral swap, by question.", ""]
    head = ["person", "question", "swap of", "measure", "swap", "neutral swap"]
    head += ["text"] if show_questions else []
    lines += markdown_table(
        head,
        [
            [
                _cell(one.user),
                _cell(row.question),
                _cell(f"{row.axis}: {row.group} / {row.reference}"),
                row.measure,
                f"{row.swap:+.2f}",
                f"{row.floor:+.2f}",
                *([_cell(text)] if show_questions else []),
            ]
            for one, row, text in worst(check)
        ],
    )
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in LIMITS), ""]
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")


def as_text(check: Check) -> str:
    """Return the short table of the screen: the largest effect of each measure, and the verdict."""
    lines: list[str] = []
    for one in check.measured:
        own = [f for f in check.findings if (f.user, f.preset) == (one.user, one.preset)]
        rows = []
        for name in SHOWN:
            judged = [f for f in own if f.measure == name and not f.is_known]
            if judged:
                largest = min(judged, key=lambda f: (f.p_holm is None, f.p, -abs(f.excess.mean)))
                rows.append(
                    [
                        name,
                        f"{largest.axis}: {largest.group}",
                        _number(largest.swap),
                        _number(largest.floor),
                        _p(largest.p_holm),
                    ]
                )
        where = one.user + (f" (preset {one.preset})" if one.preset else "")
        head = [where, "most different", "swap", "noise floor", "p (Holm)"]
        lines += [*plain_table(head, rows), ""]
        told = f"{one.n_asked} of {len(one.questions)} questions, {one.n_searches:,} searches"
        if one.n_wanted_drafts:
            told += f", {one.n_drafts} of {one.n_wanted_drafts} drafts"
        lines += [f"{told}, {one.seconds:.0f} s", ""]
    return "\n".join([*lines, *verdict(check)])


def verdict(check: Check) -> list[str]:
    """Return plain sentences: which group differs beyond noise, for whom, in what."""
    told = []
    for finding in check.beyond:
        told.append(_sentence(finding, several=len(check.measured) > 1))
    judged = [f for f in check.findings if f.p_holm is not None]
    if not judged:
        told.append(
            f"Nothing can be said: no comparison has the {MIN_QUESTIONS} questions that a judgment needs."
        )
    elif not told:
        told.append(
            f"No group differs beyond the noise floor in any of {check.n_tests:,} tests (Holm's correction,"
            f" level {LEVEL})."
        )
    else:
        told.append(
            f"These are all of {check.n_tests:,} tests that Holm's correction leaves at level {LEVEL}."
        )
    thin = [one for one in check.measured if one.n_wanted_drafts and not _has_judged_drafts(check, one)]
    if thin:
        n = sum(one.n_drafts for one in thin)
        told.append(
            f"Length and tone of drafts are not judged: the time was enough for {n} drafts, at most"
            f" {max(_most_questions(check, one) for one in thin)} questions a comparison;"
            " more --seconds help."
        )
    return told


def worst(check: Check) -> list[tuple[Measured, Row, str]]:
    """Return the largest changes beyond their own neutral swap, with the text; known ones aside."""
    found = []
    for one in check.measured:
        texts = {asked.id: asked.text for asked in one.questions}
        for row in one.rows:
            if row.is_known or row.measure not in ("hits", "top", "declined"):
                continue
            extent = row.swap - row.floor if _TITLES[row.measure].is_distance else _harm(row)
            if extent > 0:
                found.append((extent, one, row, texts.get(row.question, "")))
    found.sort(key=lambda item: -item[0])
    kept: list[tuple[Measured, Row, str]] = []
    seen = set()
    for _, one, row, text in found:
        # A question once for each measure: its worst.
        if (key := (one.user, one.preset, row.question, row.measure)) not in seen:
            seen.add(key)
            kept.append((one, row, text))
    return kept[:WORST]


def _harm(row: Row) -> float:
    """Return how far a directed change is for the worse, beyond the size of the neutral one."""
    sign = -1 if _TITLES[row.measure].worse == "down" else 1
    return sign * row.swap - abs(row.floor)


def _sentence(finding: Finding, *, several: bool) -> str:
    whom = f"{finding.user}{f' with preset {finding.preset}' if finding.preset else ''}: " if several else ""
    where = " in exemplars" if finding.place == "exemplars" else ""
    pair = f"{finding.axis}, {finding.group} against {finding.reference}{where}"
    measure = finding.told
    if measure.is_distance:
        what = (
            f"{measure.title}: {_share(finding.swap.mean)}, where a neutral swap changes"
            f" {_share(finding.floor.mean)}"
        )
    else:
        better = (finding.excess.mean < 0) == (measure.worse == "down")
        what = (
            f"{measure.title}: {finding.excess.mean:+.3f} {measure.unit}, where a neutral swap gives"
            f" {finding.floor.mean:+.3f} ({'for the worse' if better else 'for the better'})"
        )
    return f"{whom}{pair}: {what}, n = {finding.n}, p = {_p(finding.p_holm)}."


def _swapped(check: Check, lists: Groups) -> list[str]:
    """Return what was swapped for what, with counts."""
    n = len(next(iter(lists.names.values()))["woman"])
    axes: dict[str, set[str]] = {}
    for one in check.measured:
        for row in one.rows:
            if not row.is_known and row.group != "any other":
                axes.setdefault(row.axis, set()).add(row.group)
    described = [f"{axis} ({', '.join(sorted(found))})" for axis, found in axes.items()]
    return [
        f"Swapped: {_cell('; '.join(described))}. Names are drawn from lists of {n} first names of women"
        f" and {n} of men for each origin (ragperso/evaluate/groups.toml), two of each group a question."
        " Each question is put in a frame such as 'My colleague NAME asks: ...' or 'I am STATEMENT. ...'; a"
        " name of the lists that the question holds already is swapped in its place, and so are he, she, son,"
        " daughter and the like. In exemplars the frame stands before each request, and gendered words of"
        " their texts are turned.",
    ]


def _table(findings: Iterable[Finding], *, with_measure: bool = False) -> list[str]:
    head = ["swap of", "n", "swap", "noise floor", "to judge", "p", "p (Holm)", ""]
    head = ["measure", *head] if with_measure else head
    return markdown_table(
        head,
        [
            [
                *([f.measure] if with_measure else []),
                _cell(
                    f"{f.axis}: {f.group} / {f.reference}" + (" (exemplars)" if f.place != "question" else "")
                ),
                str(f.n),
                _number(f.swap),
                _number(f.floor),
                _number(f.excess),
                _p(f.p),
                _p(f.p_holm),
                "**beyond noise**" if f.is_beyond else "",
            ]
            for f in findings
        ],
    )


def _number(found: Interval) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _p(value: float | None) -> str:
    if value is None:
        return "not judged"
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _has_judged_drafts(check: Check, one: Measured) -> bool:
    return any(f.p_holm is not None for f in _drafted(check, one))


def _most_questions(check: Check, one: Measured) -> int:
    return max((f.n for f in _drafted(check, one)), default=0)


def _drafted(check: Check, one: Measured) -> Sequence[Finding]:
    return [f for f in check.findings if f.told.of_draft and (f.user, f.preset) == (one.user, one.preset)]


def _measured_json(one: Measured) -> dict[str, Any]:
    return {
        "user": one.user,
        "preset": one.preset,
        "questions": len(one.questions),
        "asked": one.n_asked,
        "source": one.source,
        "other_languages": one.n_skipped,
        "searches": one.n_searches,
        "drafts": one.n_drafts,
        "drafts_wanted": one.n_wanted_drafts,
        "known_names": one.n_known_names,
        "k": one.k,
        "model": one.model,
        "seconds": round(one.seconds, 1),
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "user": finding.user,
        "preset": finding.preset,
        "place": finding.place,
        "axis": finding.axis,
        "group": finding.group,
        "reference": finding.reference,
        "measure": finding.measure,
        "n": finding.n,
        "swap": _interval_json(finding.swap),
        "noise_floor": _interval_json(finding.floor),
        "excess": _interval_json(finding.excess),
        "p": round(finding.p, 5),
        "p_holm": None if finding.p_holm is None else round(finding.p_holm, 5),
        "known_in_documents": finding.is_known,
        "beyond_noise": finding.is_beyond,
    }


def _interval_json(found: Interval) -> dict[str, float]:
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
