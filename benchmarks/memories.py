"""Measure the memories on a scripted life: is what is believed at its end true, and of the right person?

A life is JSONL: first ``{"end": ..., "name": ...}``, then a row per note, mail or chat turn with the
statements a careful reader finds in it (``claims``: who it is about, the words, whether it still holds at the
end).  Rows without any are jokes, questions, quotes, wishes and the like (``trap`` says which).  Issue 4 asks
for precision and recall of .9 for what is currently true and nothing attributed to the wrong person.

:func:`judge` and what it needs know nothing of ragperso; :func:`remember` runs it as the engine does.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple

ME: Final = "me"
LIFE: Final = Path(__file__).resolve().parents[1] / "tests" / "lives" / "mara.jsonl"
BAR: Final = 0.9  # issue 4
Z95: Final = 1.959964  # two-sided 95 %
# A clause may lose its "and" or gain its "finally"; a span that only grazes a phrase is about something else.
LEAST_SHARED: Final = 0.5  # of the shorter of span and phrase


@dataclass(frozen=True, slots=True)
class Gold:
    """One statement of a row.  ``names`` are the words for its subject that count as right.

    ``is_optional`` marks statements a memory may as well leave out: mere endings ("sold the Skoda"), which a
    good one spends on closing an older fact.  Found they are neither right nor wrong, missed not missed.
    """

    truth: str
    names: tuple[str, ...]
    start: int
    end: int
    is_current: bool
    is_optional: bool = False

    @property
    def is_mine(self) -> bool:
        return self.names[0] == ME


@dataclass(frozen=True, slots=True)
class Row:
    """One text of a life.  ``about`` names whom a row without statements speaks of, if not of the speaker."""

    id: str
    at: datetime
    speaker: str
    text: str
    claims: tuple[Gold, ...] = ()
    trap: str = ""
    language: str = "en"
    about: str = ""

    @property
    def is_mine(self) -> bool:
        return self.speaker == ME and not self.about


@dataclass(frozen=True, slots=True)
class Life:
    """Whose life it is, when it ends, and its texts in order of time."""

    name: str
    end: datetime
    rows: tuple[Row, ...]


class Found(NamedTuple):
    """One statement of a memory: ``row.text[start:end]``; subject "" or "me" is the life's owner."""

    row: str
    start: int
    end: int
    subject: str
    is_current: bool


class Mistake(NamedTuple):
    """A found statement that is not right, with the words it stands in."""

    row: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What :func:`judge` found.  ``stale``: stated, but over by the end; ``invented``: not stated at all."""

    n_right: int
    n_judged: int
    n_recalled: int
    n_truths: int
    stale: tuple[Mistake, ...]
    invented: tuple[Mistake, ...]
    wrong_person: tuple[Mistake, ...]
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        return self.n_right / self.n_judged if self.n_judged else 0.0

    @property
    def recall(self) -> float:
        return self.n_recalled / self.n_truths if self.n_truths else 0.0


def judge(rows: Sequence[Row], found: Iterable[Found | tuple[str, int, int, str, bool]]) -> Verdict:
    """Judge what a memory believes at the end of a life.

    Precision is over the found statements said to be current: right when one overlaps a stated phrase that
    still holds and names its subject.  The wrong person is counted over all found ones, current or not, since
    what is over can still be read: a phrase is met, but under another subject's name; or something in another
    speaker's row, or in a row about someone else, is said of the owner though no statement about the owner is
    there.  Such a one is not right either.  Recall is over the distinct truths that hold at the end.

    Raises: KeyError for a row id that the life does not have.
    """
    by_id = {row.id: row for row in rows}
    recalled: set[str] = set()
    stale, invented, wrong = [], [], []
    n_right = n_judged = 0
    for one in map(Found._make, found):
        row = by_id[one.row]
        met = [gold for gold in row.claims if _overlaps(one, gold)]
        of_subject = [gold for gold in met if is_named(one.subject, gold.names)]
        mistake = Mistake(row.id, one.subject or ME, row.text[one.start : one.end])
        if (met and not of_subject) or (not met and _fold(one.subject) == ME and not row.is_mine):
            wrong.append(mistake)
            n_judged += one.is_current
            continue
        if not one.is_current:
            continue
        if any(gold.is_current and not gold.is_optional for gold in of_subject):
            recalled.update(gold.truth for gold in of_subject if gold.is_current and not gold.is_optional)
            n_right += 1
        elif any(gold.is_optional for gold in of_subject):
            continue
        elif of_subject:
            stale.append(mistake)
        else:
            invented.append(mistake)
        n_judged += 1
    truths = truths_of(rows)
    return Verdict(
        n_right=n_right,
        n_judged=n_judged,
        n_recalled=len(recalled),
        n_truths=len(truths),
        stale=tuple(stale),
        invented=tuple(invented),
        wrong_person=tuple(wrong),
        missed=tuple(truth for truth in truths if truth not in recalled),
    )


def truths_of(rows: Iterable[Row]) -> list[str]:
    """Return what holds at the end, each truth once, in the order of first mention."""
    return list(
        dict.fromkeys(c.truth for row in rows for c in row.claims if c.is_current and not c.is_optional)
    )


def is_named(subject: str, names: Sequence[str]) -> bool:
    """Say whether ``subject`` is one of the names; "my sister Inga" is, where both words are names."""
    folded = _fold(subject)
    known = {_fold(name) for name in names}
    return folded in known or all(word in known for word in folded.split())


def wilson(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.  Source: Wilson 1927, equation 1 solved for p."""
    if not n:
        return 0.0, 1.0
    share, square = n_right / n, Z95 * Z95
    middle = share + square / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    whole = 1 + square / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def load_life(path: Path) -> Life:
    """Return a life.

    Raises: ValueError when a phrase is not once and verbatim in its row.
    """
    with path.open(encoding="utf-8") as lines:
        first, *rest = [json.loads(line) for line in lines if line.strip()]
    return Life(first["name"], _time(first["end"]), tuple(_row(row) for row in rest))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(
        id=raw["id"],
        at=_time(raw["ts"]),
        speaker=raw["speaker"],
        text=raw["text"],
        claims=tuple(_gold(raw["text"], claim) for claim in raw["claims"]),
        trap=raw.get("trap", ""),
        language=raw.get("lang", "en"),
        about=raw.get("about", ""),
    )


def _gold(text: str, raw: Mapping[str, Any]) -> Gold:
    phrase = raw["phrase"]
    if text.count(phrase) != 1:
        raise ValueError(f"the phrase of truth {raw['truth']} is not once in its row")
    start = text.index(phrase)
    names = (raw["subject"], *raw.get("aliases", ()))
    return Gold(raw["truth"], names, start, start + len(phrase), raw["current"], raw.get("optional", False))


def _overlaps(one: Found, gold: Gold) -> bool:
    shared = min(one.end, gold.end) - max(one.start, gold.start)
    return shared > 0 and shared >= LEAST_SHARED * min(one.end - one.start, gold.end - gold.start)


def _fold(subject: str) -> str:
    words = " ".join(subject.casefold().split()).removeprefix("my ")
    return words if words and words not in ("i", "myself", "self") else ME


# ---------------------------------------------------------------- ragperso on a life


def remember(life: Life) -> list[Found]:
    """Return what ragperso believes at the end of a life, and what it believed before, read text by text.

    A turn of another speaker is read under the speaker's label, as in the file of a chat: only so can it be
    known that "I" is someone else and "you" may be the owner.
    """
    from ragperso.claims import claims
    from ragperso.learn.memories import Said, current, plan, settle
    from ragperso.types import Fact

    facts: list[Fact] = []
    labels = {row.id: "" if row.speaker == ME else f"{row.speaker}: " for row in life.rows}
    for row in life.rows:
        text = labels[row.id] + row.text
        said = [
            Said(claim, text[claim.start : claim.end], source=row.id, at=row.at)
            for claim in claims(text, speaker=life.name, said=row.at)
        ]
        facts = settle(facts, plan(facts, said))
    held = {fact.id for fact in current(facts, life.end)}
    return [
        Found(
            fact.source,
            max(0, fact.start - len(labels[fact.source])),
            fact.end - len(labels[fact.source]),
            fact.subject,
            fact.id in held,
        )
        for fact in facts
    ]


def main() -> None:
    """Print the table of one life, and with ``--errors`` its mistakes."""
    import common  # pulls in ragperso, which the judge does without

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("life", nargs="?", type=Path, default=LIFE, help="JSONL as described in this file")
    parser.add_argument("--errors", action="store_true", help="print every mistake")
    options = parser.parse_args()
    life = load_life(options.life)
    found = remember(life)
    verdict = judge(life.rows, found)
    print(f"{common.describe_run()}\n")
    print(
        f"{options.life.stem}: {len(life.rows)} rows, {verdict.n_truths} truths that hold at the end,"
        f" {len(found)} statements found, {sum(one.is_current for one in found)} of them believed then.\n"
    )
    print("| | value | 95 % | of | bar |\n|---|---|---|---|---|")
    for name, n_right, n in (
        ("precision", verdict.n_right, verdict.n_judged),
        ("recall", verdict.n_recalled, verdict.n_truths),
    ):
        low, high = wilson(n_right, n)
        share = n_right / n if n else 0.0
        print(f"| {name} | {share:.3f} | {low:.3f} to {high:.3f} | {n_right}/{n} | {BAR} |")
    low, high = wilson(len(verdict.wrong_person), len(found))
    print(f"| wrong person | {len(verdict.wrong_person)} | {low:.3f} to {high:.3f} | {len(found)} | 0 |")
    if options.errors:
        print_errors(life, verdict)


def print_errors(life: Life, verdict: Verdict) -> None:
    """Print the mistakes by kind, each with its row."""
    by_id = {row.id: row for row in life.rows}
    for title, mistakes in (
        ("Wrong person", verdict.wrong_person),
        ("Over by the end", verdict.stale),
        ("Not stated", verdict.invented),
    ):
        print(f"\n## {title}: {len(mistakes)}\n")
        for one in mistakes:
            row = by_id[one.row]
            kind = row.trap or "statement"
            print(f"- {one.row} ({kind}) of {one.subject}: [{one.text}]\n  {row.speaker}: {row.text}")
    print(f"\n## Missed: {len(verdict.missed)}\n")
    for truth in verdict.missed:
        for row in life.rows:
            for claim in row.claims:
                if claim.truth == truth:
                    print(f"- {truth} of {claim.names[0]}, {row.id}: {row.text[claim.start : claim.end]}")


if __name__ == "__main__":
    main()
