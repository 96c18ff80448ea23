"""Words: what the readers of all languages share: the scene of a text, rules as data, claims made of clauses.

A rule is a line of a TOML file, ``verbs | when | pattern | effects``.  An effect is ``slot = value`` with
holes that the pattern's groups fill: the first letter of a group says how (``{v}`` a noun phrase, ``{o}`` a
list of objects, ...; each reader brings its fillers).  ``-slot`` says that what filled it is over, ``!slot``
that it is empty now, ``%.8`` how certain it is, ``@60`` for how many days it is believed, ``>`` that it is
said of the speaker, and ``none`` that nothing is claimed.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from importlib import resources
from typing import Any, Final

from ragperso.dates import time_spans
from ragperso.types import Claim, StatementKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLAN_DAYS: Final = 60  # an undated plan is believed this long: most are done or dropped in two months
SICK_DAYS: Final = 60  # a broken wrist, a sick leave without an end
PASSING_DAYS: Final = 180  # what holds "at the moment", or until something without a date
AGE_DAYS: Final = 365  # of an age nothing but "a year ago" is known afterwards
MAX_CLAUSES: Final = 16  # of one sentence


@dataclass(slots=True)
class Scene:
    """What is known while reading a text."""

    owner: str  # who "I" is: "" the speaker
    speaker: str
    said: datetime | None
    is_prose: bool = False  # a note, mail or post; else a line of chat, where more may be left out
    other: str = ""  # whom "he" or "she" means: the last one spoken of
    topic: str = ""  # what "it" or "them" means: the last object
    people: set[str] = field(default_factory=set)  # names that the text uses as a person's
    things: set[str] = field(default_factory=set)  # names of a boat, a sourdough
    introduced: set[str] = field(default_factory=set)  # of whom it is said already who they are
    is_fiction: bool = False
    in_quote: bool = False

    def after(self, days: int) -> datetime | None:
        """Return the end of the day ``days`` after the text was written."""
        return midnight(self.said.toordinal() + days, self.said) if self.said else None


def midnight(day: int, said: datetime) -> datetime | None:
    """Return the end of ``day``; None past the calendar."""
    if not 1 <= day + 1 <= date.max.toordinal():
        return None
    return datetime.combine(date.fromordinal(day + 1), time(), said.tzinfo)


@dataclass(slots=True)
class Clause:
    """Where a clause stands and whom it is about; ``at`` is behind the subject."""

    start: int
    at: int
    kind: str  # i, other, pet, mine ("my <thing>"), be (a left out "I'm"), none
    subject: str
    match: re.Match[str] | None
    is_certain: bool = True
    stop: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One slot that a clause fills."""

    slot: str
    value: str = "yes"
    is_denied: bool = False
    closes: bool = False  # says only that something is over or not so; fills nothing
    certainty: float = 1.0
    days: int = 0  # believed this long only
    subject: str | None = None  # another than the clause's

    @property
    def family(self) -> str:
        return self.slot.partition(": ")[0]

    @property
    def kind(self) -> StatementKind:
        if self.family == "plan":
            return "plan"
        if self.family in ("taste", "fear", "affects") or self.slot.startswith("favourite"):
            return "preference"
        return "relation" if _RELATIONAL.match(self.slot) else "fact"


_RELATIONAL: Final = re.compile(
    r"(?:relation|name of my|pet|partner|children|siblings|number of|over with)\b"
)


def no(slot: str) -> Item:
    """Return that a slot is empty now: "no job", "no car"; itself something to know."""
    return Item(slot, "no", True)


def end(slot: str, value: str = "") -> Item:
    """Return that whatever filled a slot is over, and nothing more."""
    return Item(slot, value, True, closes=True)


# ---------------------------------------------------------------- denial and ends

_STATES: Final = frozenset(
    """home job employer studies age name origin partner birthday degree bank""".split()
) | {"lives with", "works in"}


def turned(
    items: Iterable[Item], *, is_denied: bool = False, is_over: bool = False, is_past: bool = False
) -> Iterator[Item]:
    """Turn what a clause would fill round where it is denied, over ("no longer") or of the past only."""
    for item in items:
        if item.closes or item.slot.startswith(("plan", "past job")):
            if not (is_denied or is_over):
                yield item
        elif is_past:
            value = "" if item.value in ("yes", "like", "dislike") else item.value
            yield replace(item, value=value, closes=True)
        elif is_over and not is_denied and item.value == "no":
            yield item
        elif is_over or (is_denied and item.value != "no"):
            yield undone(item, is_over)
        else:
            yield item


def undone(item: Item, is_over: bool = True) -> Item:
    """Return the opposite of an item; of where one lives only that it is not there."""
    if item.family == "taste":
        return replace(item, value="like" if item.value == "dislike" else "dislike")
    if item.slot in (("home", "lives with") if is_over else _STATES) or item.family == "is":
        return replace(item, closes=True, is_denied=True)
    if item.value == "yes" or ": " in item.slot or (is_over and item.slot in ("smokes", "job", "employer")):
        return replace(item, value="no", is_denied=True)
    return replace(item, value=f"{'no' if is_over else 'not'} {item.value}", is_denied=True)


# ---------------------------------------------------------------- rules as data

Filler = Callable[[str], "list[str]"]  # the words of a group -> what may stand in its hole


@dataclass(frozen=True, slots=True)
class Effect:
    slot: str
    value: str = "yes"
    mark: str = ""  # "-" over, "!" empty
    certainty: float = 1.0
    days: int = 0
    is_mine: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    needs: frozenset[str]
    pattern: re.Pattern[str]
    effects: tuple[Effect, ...]


def load(name: str) -> dict[str, Any]:
    """Return a data file of this package."""
    return tomllib.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))


def alternatives(text: str) -> str:
    """Return the lines of a pattern as one."""
    return "".join(line.strip() for line in text.strip().splitlines())


def read_rules(text: str, macros: Mapping[str, str]) -> list[tuple[str, Rule]]:
    """Return (verb, rule) of each line; ``<name>`` in a pattern stands for a macro."""
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        verbs, needs, pattern, effects = (part.strip() for part in line.split(" | "))
        pattern = re.sub(r"(?<!\?P)<(\w+)>", lambda m: macros[m[1]], pattern)
        compiled = re.compile(f"(?:{pattern})", re.IGNORECASE)
        for verb in verbs.split():
            told = effects.replace("{lemma}", verb).split(";")
            rule = Rule(
                frozenset(needs.split()),
                compiled,
                tuple(_effect(effect.strip()) for effect in told if effect.strip() != "none"),
            )
            found.append((verb, rule))
    return found


_EFFECT: Final = re.compile(
    r"(?P<mark>[-!]?)(?P<slot>[^=@%>]+?)(?:\s*=\s*(?P<value>[^@%>]*?))?"
    r"(?:\s*%(?P<sure>\d?\.\d+))?(?:\s*@(?P<days>\d+))?(?P<mine>\s*>)?$"
)


def _effect(text: str) -> Effect:
    found = _EFFECT.match(text)
    assert found is not None, text
    return Effect(
        found["slot"],
        found["value"] if found["value"] is not None else ("" if found["mark"] == "-" else "yes"),
        found["mark"],
        float(found["sure"] or 1),
        int(found["days"] or 0),
        bool(found["mine"]),
    )


_HOLE: Final = re.compile(r"\{(\w+)\}")


def fill(rule: Rule, match: re.Match[str], fillers: Mapping[str, Filler]) -> list[Item]:
    """Return the items of a rule whose pattern has matched; an effect with an empty hole gives none."""
    items = []
    for effect in rule.effects:
        holes = list(dict.fromkeys(_HOLE.findall(f"{effect.slot} {effect.value}")))
        options = [fillers[hole[0]](match[hole]) if match[hole] else [] for hole in holes]
        for values in itertools.product(*options):
            filled = dict(zip(holes, values, strict=True))
            slot, value = (
                _HOLE.sub(lambda m: filled[m[1]], text)  # noqa: B023
                for text in (effect.slot, effect.value)
            )
            if effect.mark:
                item = end(slot, value) if effect.mark == "-" else no(slot)
            else:
                item = Item(slot, value, certainty=effect.certainty, days=effect.days)
            items.append(replace(item, subject="") if effect.is_mine else item)
    return items


# ---------------------------------------------------------------- claims

HEDGE: Final = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|might|not sure|no idea|allegedly|presumably"
    r"|i (?:think|guess|suppose|believe|doubt)|i'm (?:thinking|considering|toying)|vielleicht"
    r"|wahrscheinlich|peut-être|quizás|tal vez|a lo mejor|mal sehen|wohl)\b",
    re.IGNORECASE,
)
CORRECTS: Final = re.compile(
    r"\b(?:actually|correction|i meant?|scratch that|my mistake|i misspoke|i mistyped|typo|i was wrong"
    r"|i got (?:that|it) wrong|not what i said|turns out|korrektur|ich meinte|genauer gesagt|je voulais dire"
    r"|en fait|quise decir|en realidad)\b|,? not (?!me\b|you\b|him\b|her\b|us\b|only|just|sure|to|a |the |in "
    r"|at |for )\w+\W*$",
    re.IGNORECASE,
)
_PASSING: Final = re.compile(
    r"\b(?:at the moment|right now|(?<!just )for now|for the (?:moment|time being)|temporarily|this (?:term"
    r"|year|season|semester|month|week"
    r"|time|summer|winter)|until|till|zurzeit|zur zeit|momentan|vorerst|en ce moment|pour l'instant|por ahora"
    r"|de momento)\b",
    re.IGNORECASE,
)
_SINCE: Final = re.compile(r"\b(?:since|from|as of|starting)\s*(?:the\s)?\s*$", re.IGNORECASE)
UNTIL: Final = re.compile(
    r"\b(?:until|till|through|by|bis|jusqu'(?:au|à|en)|hasta)\s*(?:the\s)?(?:end of\s)?$", re.IGNORECASE
)


def claim(item: Item, a: int, b: int, plain: str, subject: str, scene: Scene, *, certainty: float) -> Claim:
    """Return the claim that ``plain[a:b]`` makes of ``subject``."""
    starts, ends = (None, scene.said) if item.closes else _when(plain[a:b], item, scene)
    return Claim(
        start=a,
        end=b,
        kind=item.kind,
        slot=item.slot.strip(" :"),
        value=item.value,
        subject=subject if item.subject is None else item.subject,
        negated=item.is_denied or item.closes,
        corrects=CORRECTS.search(plain) is not None,
        certainty=round(item.certainty * certainty, 2),
        starts=starts,
        ends=ends,
    )


def _when(text: str, item: Item, scene: Scene) -> tuple[datetime | None, datetime | None]:
    """Return from when and until when a claim holds, as far as its clause says."""
    said = scene.said
    if said is None or item.slot in ("relation", "pet") or item.slot.startswith("name of"):
        return None, None
    starts = ends = None
    today = said.toordinal()
    for span in time_spans(text, said):
        before = text[max(0, span.start - 14) : span.start]
        inside = text[span.start : span.end]
        is_end = UNTIL.search(before)
        if is_end and is_end.group().lower().startswith("by") and item.kind != "plan":
            continue
        if is_end or re.match(r"(?:until|till|bis|hasta)\b", inside, re.IGNORECASE):
            day = next_year(span.last, today)  # "until January", said in May
            ends = midnight(span.last if day is None else day, said)
        elif item.kind == "plan":
            day = span.last if span.last >= today else next_year(span.last, today)
            ends = midnight(day, said) if day is not None else ends
        elif _SINCE.search(before) or re.match(r"since\b", inside, re.IGNORECASE) or span.first <= today:
            starts = starts or midnight(span.first - 1, said)
    if ends is None and (item.days or _PASSING.search(text)):
        ends = scene.after(item.days or PASSING_DAYS)
        if item.is_denied:
            starts = starts or midnight(today - 1, said)  # no mere ending: "no sugar until the wedding"
    return starts, ends


def next_year(day: int, today: int) -> int | None:
    """Return the day a year on for one that has passed within the year: "on 9 November", said in December."""
    return day + 365 if today - 365 <= day < today - 31 else (day if day >= today - 31 else None)


def is_coming(text: str, scene: Scene, *, is_future: bool) -> bool:
    """Say whether a text names a day after the one it was written on, other than as an end."""
    if scene.said is None:
        return False
    today = scene.said.toordinal()
    return any(
        (span.last > today or (is_future and (next_year(span.last, today) or 0) > today))
        and not UNTIL.search(text[max(0, span.start - 14) : span.start])
        for span in time_spans(text, scene.said)
    )
