"""Stage 7, learn: how what was claimed becomes what is believed now.

In: the facts known so far, new claims with where and when they were said.  Out: a :class:`Plan` of changes;
the facts of a moment; a summary in a few lines.
Never: touches the store, guesses a value, drops what was once believed (it is closed and dated instead).

Of two facts about one subject and one slot the one said later holds, whichever is read first: a statement
that arrives late is stored as already superseded.  Ties of time go to the later place in the text, then to
the larger value, so that any order of reading ends with the same facts held.  Only "swapped X for Y" and "I
meant Y, not X" are read against what is known by then, and so is whether a place is named again in fewer
words, which is no move.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, TypeAlias

from ragperso.tokens import content_words, shingles
from ragperso.types import Claim, Fact

MIN_CONFIDENCE: Final = 0.5  # below it a fact is kept, but not shown as believed: "maybe", "I think"
EXPLICIT: Final = 0.8  # certainty a mined claim needs to take the place of what the person told us directly
NEAR: Final = 0.8  # share of words two texts must have in common to say the same
FRESH_DAYS: Final = 730  # a fact not said again for two years has lost half of what age can take
MOVE_ENDS: Final = ("lives with", "home detail")  # slots that a new home ends: they were about the old one
_BOSS: Final = "name of my boss"
JOB_ENDS: Final = (_BOSS, "boss", "work hours", "workplace", "working on")  # and a new job


@dataclass(frozen=True, slots=True)
class Said:
    """One claim with the words of its clause, the document it stands in and the time it was said."""

    claim: Claim
    text: str = field(repr=False)
    source: str = ""
    at: datetime | None = None
    origin: Literal["user", "mined", "model"] = "mined"


Action: TypeAlias = Literal["insert", "merge", "supersede", "correct", "close"]


@dataclass(frozen=True, slots=True)
class Change:
    """What to do with one fact; ``fact`` is as it shall stand afterwards.

    An inserted fact has a negative ``id``; ``superseded_by`` may hold such a number until :func:`settle`, or
    the store, has given it a real one.
    """

    action: Action
    fact: Fact


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that make ``known`` hold the new claims; each fact is named once, inserts first."""

    changes: tuple[Change, ...] = ()

    def count(self, action: Action) -> int:
        return sum(1 for change in self.changes if change.action == action)


# ---------------------------------------------------------------- planning


def plan(known: Sequence[Fact], new: Iterable[Said]) -> Plan:
    """Return what the new claims change in what is known; ``known`` must hold closed facts as well.

    The rule for what the person told us directly (origin ``user``): a mined claim takes its place only when
    it is newer, fills the same slot and is explicit (certainty >= EXPLICIT); else it is stored as closed.
    """
    book = _Book(known)
    for said in sorted(
        new, key=lambda said: (instant(said.at), said.source, said.claim.start, said.claim.slot)
    ):
        book.take(said)
    book.sweep()
    return Plan(tuple(book.changes()))


def settle(known: Sequence[Fact], changes: Plan, *, first_id: int = 0) -> list[Fact]:
    """Return the facts after ``changes``, new ones numbered from ``first_id`` (0: after the last known)."""
    facts = {fact.id: fact for fact in known}
    number = first_id or max(facts, default=0) + 1
    numbers: dict[int, int] = {}
    for change in changes.changes:
        if change.fact.id < 0:
            numbers[change.fact.id] = number
            number += 1
    for change in changes.changes:
        fact = change.fact
        fact = replace(
            fact,
            id=numbers.get(fact.id, fact.id),
            superseded_by=numbers.get(fact.superseded_by, fact.superseded_by),
        )
        facts[fact.id] = fact
    return [facts[key] for key in sorted(facts)]


class _Book:
    """Facts by subject and family of slots while a plan is made."""

    def __init__(self, known: Sequence[Fact]) -> None:
        self.before = {fact.id: fact for fact in known}
        self.facts = dict(self.before)
        self.actions: dict[int, Action] = {}
        self.next = -1
        self._corrections: set[int] = set()  # facts that say the one before was wrong
        self.by_subject: dict[str, list[int]] = defaultdict(list)
        self.by_value: dict[tuple[str, str, str, bool], list[int]] = defaultdict(list)
        for fact in known:
            self._file(fact)

    def _file(self, fact: Fact) -> None:
        self.by_subject[fact.subject.casefold()].append(fact.id)
        self.by_value[_same_key(fact)].append(fact.id)

    def take(self, said: Said) -> None:
        """Enter one claim: merge it with the fact that says the same, or insert it."""
        fact = self._resolved(_fact(said, self.next))
        if _is_ending(fact) and any(
            _is_same_place(fact, self.facts[n]) for n in self.by_value[_same_key(fact)]
        ):
            return  # read again
        if not _is_ending(fact) and (twin := self._twin(fact)) is not None:
            self._merge(twin, fact)
            return
        self.next -= 1
        self.facts[fact.id] = fact
        self.actions[fact.id] = "insert"
        if said.claim.corrects:
            self._corrections.add(fact.id)
        self._file(fact)

    def _resolved(self, fact: Fact) -> Fact:
        """Return a fact with what only the memories tell: what "swapped X for Y" filled, whose "Motown" is.

        X is looked for among what is open; the swap takes the slot in which it stood.
        """
        mine = self.by_subject[""]
        if fact.subject and any(
            self.facts[n].slot.startswith("name of my ")
            and self.facts[n].slot.removeprefix("name of my ") in _BELONGINGS
            and self.facts[n].value == fact.subject.casefold()
            for n in mine
        ):
            fact = replace(fact, subject="")
        pet = f"pet: {fact.subject.casefold()}"
        if fact.slot == "dead" and any(self.facts[n].slot == pet for n in mine):
            return replace(fact, subject="", kind="relation", slot=pet, value="no", negated=True)
        family, _, old = fact.slot.partition(": ")
        if family == "correction":
            return self._corrected(fact, old)
        if family != "swap":
            return fact
        rivals = [
            one
            for one in (self.facts[n] for n in self.by_subject[fact.subject.casefold()])
            if not one.negated
            and not one.superseded_by
            and one.valid_to is None
            and _order(one) < _order(fact)
            and (_covers(old, one.value) or _covers(old, one.slot.partition(": ")[2]))
        ]
        if not rivals:
            return replace(fact, slot=f"uses: {fact.value}", value="yes")
        slot, _, thing = max(rivals, key=_order).slot.partition(": ")
        return replace(fact, slot=f"{slot}: {fact.value}", value="yes") if thing else replace(fact, slot=slot)

    def _corrected(self, fact: Fact, wrong: str) -> Fact:
        """Return "I meant Wednesday, not Tuesday" as what it says of the last fact that told of a Tuesday."""
        told = [
            one
            for one in (self.facts[n] for n in self.by_subject[fact.subject.casefold()])
            if wrong in one.text.casefold()
            and not one.superseded_by
            and timedelta(0) <= instant(fact.at) - instant(one.at) <= CORRECTED
        ]
        if not told:
            return fact
        last = max(told, key=_order)
        ends, days = last.valid_to, _days_between(wrong, fact.value)
        value = last.value.replace(wrong, fact.value)
        if last.kind == "plan" and ends is not None and days is not None:
            ends += timedelta(days=days)
        if value == last.value and ends == last.valid_to:
            return fact
        return replace(fact, kind=last.kind, slot=last.slot, value=value, valid_to=ends, confidence=1.0)

    def _twin(self, fact: Fact) -> Fact | None:
        """Return the open fact that says the same; a closed one is an episode of its own."""
        for number in self.by_value[_same_key(fact)]:
            twin = self.facts[number]
            if _is_ending(twin) or (not fact.slot and _overlap(twin.text, fact.text) < NEAR):
                continue
            if fact.kind == "plan":
                if instant(twin.valid_to) == instant(fact.valid_to):
                    return twin
                continue
            if twin.superseded_by == 0 and (twin.valid_to is None or _order(fact) <= _order(twin)):
                return twin
        return None

    def _merge(self, old: Fact, new: Fact) -> None:
        if _is_same_place(old, new):
            return  # read again, not said again
        order = instant(old.at), len(old.text)  # of one time the fuller words stay
        latest = new if (instant(new.at), len(new.text)) > order else old
        merged = replace(
            latest,
            id=old.id,
            origin="user" if "user" in (old.origin, new.origin) else latest.origin,
            confidence=max(old.confidence, new.confidence),
            valid_from=min((old.valid_from, new.valid_from), key=instant),
            valid_to=(new if _order(new) > _order(old) else old).valid_to,
            superseded_by=0 if _order(new) > _order(old) else old.superseded_by,
            n_seen=old.n_seen + new.n_seen,
        )
        self.facts[old.id] = merged
        if self.actions.get(old.id) != "insert":
            self.actions[old.id] = "merge"

    def sweep(self) -> None:
        """Close whatever something said later has ended or replaced.

        Only what was entered or said again is compared, with all of its subject's families: what was known
        before has been compared already.
        """
        touched = set(self.actions)
        names = self._aliases(self.facts.values())
        before = self._aliases(self.before.values())
        groups: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.facts.values():
            who = fact.subject.casefold()
            groups[names.get(who, who)].append(fact)
            if fact.slot == _BOSS and who:
                groups[""].append(fact)  # a new job ends who the boss is
            if names.get(who) != before.get(who):
                touched.add(fact.id)  # a name has become known: its facts meet those of the relation
        for facts in groups.values():
            if any(fact.id in touched for fact in facts):
                self._sweep(sorted(facts, key=_order), touched)

    def _sweep(self, facts: list[Fact], touched: set[int]) -> None:
        """Close facts of one subject, given in the order they were said."""
        everything: dict[str, list[Fact]] = defaultdict(list)
        fresh: dict[str, list[Fact]] = defaultdict(list)
        for fact in facts:
            for family in _families(fact):
                everything[family].append(fact)
                if fact.id in touched:
                    fresh[family].append(fact)
        again = _said_again(facts)
        for fact in facts:
            if fact.superseded_by or _is_ending(fact) or self.facts[fact.id] is not fact:
                continue
            against = everything if fact.id in touched else fresh
            rivals = [
                other
                for family in _families(fact)
                if family in against
                for other in against[family]
                if other.id != fact.id
                and not (other.id in again and fact.slot != other.slot)
                and _beats(other, fact)
            ]
            if not rivals:
                continue
            winner = min(rivals, key=_order)
            since = winner.valid_from or winner.at
            action: Action = "supersede"
            if (winner.negated and not winner.value) or _is_ending(winner):
                action = "close"
            closed = since
            if fact.valid_to is not None and instant(fact.valid_to) < instant(since):
                closed = fact.valid_to
            if winner.id in self._corrections:
                action, closed = "correct", fact.valid_from or fact.at
            self.facts[fact.id] = replace(
                fact,
                valid_to=closed or fact.at,
                superseded_by=0 if action == "close" and closed is not None else winner.id,
            )
            if self.actions.get(fact.id) != "insert":
                self.actions[fact.id] = action

    @staticmethod
    def _aliases(facts: Iterable[Fact]) -> dict[str, str]:
        """Return which word a name goes by: "mara" for the only sister that has a name."""
        named: dict[str, set[str]] = defaultdict(set)
        for fact in facts:
            if fact.slot == "relation" and fact.subject:
                named[fact.value].add(fact.subject.casefold())
            elif fact.kind == "relation" and fact.slot.startswith("name of my "):
                named[fact.slot.removeprefix("name of my ")].add(fact.value.casefold())
        return {
            next(iter(names)): word
            for word, names in sorted(named.items())
            if len(names) == 1 and word not in ("friend", "colleague", "neighbour")
        }

    def changes(self) -> Iterable[Change]:
        """Yield what differs from what was known, inserts first."""
        touched = [fact for fact in self.facts.values() if self.before.get(fact.id) != fact]
        for fact in sorted(touched, key=lambda fact: (fact.id >= 0, abs(fact.id))):
            yield Change(self.actions.get(fact.id, "merge"), fact)


CORRECTED: Final = timedelta(days=30)  # a correction is of something said this lately
_WEEK: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _days_between(wrong: str, right: str) -> int | None:
    """Return the days from one day of the week to another; None for other words."""
    if wrong not in _WEEK or right not in _WEEK:
        return None
    return _WEEK.index(right) - _WEEK.index(wrong)


_NO_TIME: Final = datetime(1, 1, 1)


def instant(at: datetime | None) -> datetime:
    """Return ``at`` without its zone, in UTC, so that any two can be compared; unknown is oldest."""
    if at is None:
        return _NO_TIME
    if at.tzinfo is None:
        return at
    try:
        return at.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        return at.replace(tzinfo=None)


def _order(fact: Fact) -> tuple[datetime, str, int, str, str]:
    return (instant(fact.at), fact.source, fact.start, fact.slot, fact.value)


def _fact(said: Said, number: int) -> Fact:
    claim = said.claim
    is_ending = claim.negated and claim.ends is not None and claim.kind != "plan" and not claim.starts
    return Fact(
        id=number,
        text=said.text,
        origin=said.origin,
        source=said.source,
        start=claim.start,
        end=claim.end,
        at=said.at,
        kind=claim.kind,
        subject=claim.subject,
        slot=claim.slot,
        value=claim.value,
        negated=claim.negated,
        confidence=claim.certainty,
        valid_from=claim.ends if is_ending else claim.starts or said.at,
        valid_to=claim.ends,
    )


def _is_ending(fact: Fact) -> bool:
    """Say whether a fact only tells that another is over: it held for no moment."""
    return fact.negated and fact.valid_to is not None and instant(fact.valid_to) <= instant(fact.valid_from)


def _is_same_place(one: Fact, other: Fact) -> bool:
    return (one.source, one.start, one.end, instant(one.at)) == (
        other.source,
        other.start,
        other.end,
        instant(other.at),
    )


# Things that go by a name of their own.
_BELONGINGS: Final = frozenset(
    "boat car bike van camper caravan dinghy house starter sourdough robot plant ship yacht".split()
)


def _same_key(fact: Fact) -> tuple[str, str, str, bool]:
    if fact.slot:
        return (
            fact.subject.casefold(),
            fact.slot,
            fact.value.casefold() if fact.kind != "plan" else "",
            fact.negated,
        )
    return (fact.subject.casefold(), "", " ".join(sorted(content_words(fact.text, "en"))[:3]), fact.negated)


def _families(fact: Fact) -> tuple[str, ...]:
    """Return the families of slots in which a fact can have rivals."""
    family, _, _rest = fact.slot.partition(": ")
    found = [family]
    if family in _ACTIVITY:
        found.append("activity")
    if family == "can":
        found.append("learns")
    if family == "home" and fact.value:
        found += [*MOVE_ENDS, *_FIXTURES]
    if family in ("eats", "diet"):
        found.append("diet")
    if fact.slot in _JOB:
        found += [*JOB_ENDS, "habit", "does", "runs", "member"]
    if fact.slot.startswith("has: "):
        found += ["drives", "habit", "does"]
    if fact.slot == "dead" or (fact.subject and fact.slot not in _FOR_GOOD):
        found.append("life")
    return tuple(dict.fromkeys(found))


# Weekly fixtures that name their place or day belong to the old home: the gym, the choir on Mondays.
_FIXTURES: Final = ("habit", "course", "member", "does", "sings", "has")
_PLACED: Final = re.compile(
    r"\b(?:in|at|near|along|to|by) (?:the )?[A-Z]\w+|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b"
    r"|\b(?:sea|river|lake|park)\b|\b(?:to work|to the office|commut\w+|at weekends)\b|\b(?:rent|for the"
    r" (?:house|flat|room))\b"
)

_COMMUTE: Final = re.compile(
    r"\b(?:to work|to the office|commut\w+|work ?days|(?:early|late|night) shifts?)\b", re.IGNORECASE
)
_RETIRED: Final = frozenset(
    "retired rentner rentnerin pensioniert retraité retraitée jubilado jubilada".split()
)
_JOB: Final = ("job", "employer")
_FOR_GOOD: Final = (
    "relation",
    "birthday",
    "birthplace",
    "origin",
    "grew up",
    "dead",
)  # true of the dead, too

# Slots that tell of the same thing in other words: who gives up drinking coffee no longer "drinks: coffee".
_ACTIVITY: Final = frozenset(
    "does habit plays learns drinks eats smokes taste member course sings practises practices "
    "teaches collects has pet uses takes volunteers runs keeps can".split()
)


def _beats(new: Fact, old: Fact) -> bool:
    """Say whether ``new``, said later, takes away that ``old`` holds."""
    if old.origin == "user" and new.origin != "user" and new.confidence < EXPLICIT:
        return False
    if new.origin == "user" and old.origin != "user" and old.confidence < EXPLICIT and _rivals(new, old):
        return True  # a vague later remark does not unseat what the person told us
    if _order(new) <= _order(old) or new.confidence < MIN_CONFIDENCE:
        return False
    return _rivals(new, old)


# Places and posts that are told of in more words or fewer.
_PLACES: Final = ("home", "job", "employer")


def _said_again(facts: Sequence[Fact]) -> set[int]:
    """Return which homes and employers, in the order said, name the place of the one before: no change.

    "Leamington" after "Leamington Spa" ends neither the gym nor the job.
    """
    last: dict[str, Fact] = {}
    found = set()
    for fact in facts:
        if fact.slot not in _PLACES or _is_ending(fact) or fact.negated:
            continue
        before = last.get(fact.slot)
        if before and _is_one_place(before, fact):
            found.add(fact.id)
        last[fact.slot] = fact
    return found


def _is_one_place(one: Fact, other: Fact) -> bool:
    return _covers(one.value, other.value) or _covers(other.value, one.value)


def _rivals(new: Fact, old: Fact) -> bool:
    ending = _is_ending(new)
    family, _, thing = new.slot.partition(": ")
    old_family, _, old_thing = old.slot.partition(": ")
    if new.slot == old.slot:
        if old.kind == "plan" and new.kind == "plan":
            return new.negated or _MOVED.search(new.text) is not None
        if ending:
            return not new.value or _shares(new.value, old.value)
        if new.slot == "name" and _shares(new.value, old.value):
            return False  # "Mara" and "Mara Lindner" are one name
        if new.slot in _PLACES and new.negated == old.negated and _is_one_place(new, old):
            return False  # so are "Leamington" and "Leamington Spa"
        return new.value.casefold() != old.value.casefold() or new.negated != old.negated
    if ending and family == old_family and not thing:
        return not new.value or _shares(new.value, f"{old_thing} {old.value}")
    if family == "home" and not new.negated and new.slot != old.slot:
        if new.value and new.value in old.text.casefold():
            return False  # the new choir, joined before the move
        if old_thing.startswith("grow ") or old_thing == "allotment":
            return True  # a garden stays behind
        if old_thing.startswith("bring "):
            return False
        return old.slot in MOVE_ENDS or (old_family in _FIXTURES and _PLACED.search(old.text) is not None)
    if new.slot in _JOB and not ending:
        if new.value in _RETIRED and old_family == "runs":
            return True
        is_of_job = old_family in ("habit", "does") and not old_thing.startswith("bring ")
        if is_of_job and _COMMUTE.search(old.text):
            return True
        if old.slot in JOB_ENDS:
            return "promot" not in new.text.casefold()
        if old_family == "member" and re.search(r"\b(?:team|department|unit)$", old_thing):
            return True
    if family == "can" and not _says_no(new) and old_family == "learns":
        return _covers(thing, old.text)
    if new.slot == "has: licence" and _says_no(new) and old_family == "drives":
        return True
    if new.slot == "dead":
        return old.slot not in _FOR_GOOD
    if family == "has" and new.value == "no" and old_family in ("habit", "does", "drives"):
        return _covers(thing, old.text)
    if old.slot == "diet" and family == "eats" and not _says_no(new):
        return (
            bool(_words(thing) & (_MEAT if old.value.startswith("vegetarian") else _ANIMAL))
            and not old.negated
        )
    if family in _ACTIVITY and old_family in _ACTIVITY and thing and old_thing:
        new_no, old_no = _says_no(new), _says_no(old)
        if new_no and not old_no:
            return _covers(thing, old_thing)
        if old_no and not new_no and family != "taste":
            return _covers(thing, old_thing) or _covers(old_thing, thing)
        return False
    if family == old_family == "plan":
        return _covers(thing, old_thing) and new.negated
    return False


_MOVED: Final = re.compile(
    r"\b(?:moved|postponed|rescheduled|brought forward|pushed|instead|now on|delayed|verschoben"
    r"|reporté|aplazad\w|actually|correction|not)\b",
    re.IGNORECASE,
)
_MEAT: Final = frozenset(
    "meat fish chicken beef pork bacon ham steak sausage salmon tuna lamb prawn burger".split()
)
_ANIMAL: Final = _MEAT | frozenset("cheese milk egg honey butter yoghurt yogurt dairy".split())


def _says_no(fact: Fact) -> bool:
    return fact.negated or fact.value in ("no", "dislike")


def _words(text: str) -> set[str]:
    return {
        word[:-3] if word.endswith("ing") and len(word) > 5 else _ENGLISH.get(word, word.rstrip("s"))
        for word in re.findall(r"\w+", text.casefold())
    }


# Things that a person of several languages gains in one and loses in another.
_ENGLISH: Final = {
    word: english
    for english, words in {
        "car": "auto wagen voiture coche carro",
        "bike": "fahrrad rad vélo bici bicicleta bicycle",
        "licence": "führerschein permis carné carnet",
        "flat": "wohnung appartement piso",
        "dog": "hund chien chienne perro perra",
        "cat": "katze kater chat chatte gato gata",
        "meat": "fleisch viande carne",
        "fish": "fisch poisson pescado",
        "coffee": "kaffee café",
    }.items()
    for word in words.split()
}


def _shares(one: str, other: str) -> bool:
    return bool((_words(one) - _SMALL) & (_words(other) - _SMALL))


_SMALL: Final = frozenset("the a an of in at my i and to for with on".split())


def _covers(general: str, special: str) -> bool:
    """Say whether all words of ``general`` are in ``special``: "coffee" covers "black coffee"."""
    words = _words(general) - _SMALL
    return bool(words) and words <= _words(special)


def _overlap(one: str, other: str) -> float:
    left, right = content_words(one, "en"), content_words(other, "en")
    return len(left & right) / max(1, min(len(left), len(right))) if left and right else 0.0


# ---------------------------------------------------------------- reading


def current(facts: Iterable[Fact], at: datetime) -> list[Fact]:
    """Return the facts believed at ``at``, by number."""
    return [
        fact
        for fact in facts
        if not fact.superseded_by
        and not _is_ending(fact)
        and (fact.valid_to is None or instant(at) < instant(fact.valid_to))
        and instant(fact.at if fact.at else None) <= instant(at)
        and (fact.origin == "user" or fact.confidence >= MIN_CONFIDENCE)
    ]


def unchanged(facts: Iterable[Fact], at: datetime) -> tuple[datetime, datetime]:
    """Return the instants around ``at`` between which :func:`current` gives the same: from, before."""
    edges = {instant(edge) for fact in facts for edge in (fact.at, fact.valid_to) if edge}
    now = instant(at)
    before = max((edge for edge in edges if edge <= now), default=datetime.min)
    return before, min((edge for edge in edges if edge > now), default=datetime.max)


def history(facts: Iterable[Fact], *, slot: str = "", subject: str | None = None) -> list[Fact]:
    """Return all that was ever believed of a slot (and those below it) or a subject, oldest first."""
    return sorted(
        (
            fact
            for fact in facts
            if (not slot or fact.slot == slot or fact.slot.startswith(slot + ": "))
            and (subject is None or fact.subject.casefold() == subject.casefold())
        ),
        key=_order,
    )


def confidence(fact: Fact, at: datetime) -> float:
    """Return how far to trust a fact at ``at``: more for each time it was said, less with age."""
    said_again = 1 - (1 - fact.confidence) * 0.5 ** max(0, fact.n_seen - 1)
    days = max(0.0, (instant(at) - instant(fact.at)) / timedelta(days=1)) if fact.at else 0.0
    fades = 0.0 if fact.origin == "user" else 0.3 * (1 - 0.5 ** (days / FRESH_DAYS))
    return round(said_again * (1 - fades), 3)


# ---------------------------------------------------------------- what the engine itself has said

OWN_SHARE: Final = 0.7  # of a sentence's runs of words that one of our texts must hold
OWN_WORDS: Final = 6  # a shorter sentence says too little to be recognised by


class Shown:
    """The runs of words of recent prompts and answers, to recognise them when they are pasted back."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._runs: dict[int, set[int]] = defaultdict(set)
        self._n = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        self._n += 1
        for run in shingles(text[:20_000], 3):
            self._runs[run].add(self._n)

    def holds(self, text: str) -> bool:
        """Say whether ``text`` merely repeats one text shown before."""
        if len(text.split()) < OWN_WORDS:
            return False
        runs = shingles(text[:20_000], 3)
        hits: dict[int, int] = defaultdict(int)
        for run in runs:
            for number in self._runs.get(run, ()):
                hits[number] += 1
        return max(hits.values(), default=0) >= OWN_SHARE * len(runs)


# ---------------------------------------------------------------- a summary without a model

Group: TypeAlias = Literal["home and work", "people", "tastes", "health", "habits", "plans"]
MAX_TASTES: Final = 12  # of one line; the newest
MAX_OTHER: Final = 8  # verbatim statements of one line


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the summary and the numbers of the facts it rests on."""

    group: Group
    text: str = field(repr=False)
    facts: tuple[int, ...] = ()


_WEAK: Final = ("uses:", "told:")  # beginnings of slots


def summary(facts: Iterable[Fact], name: str, at: datetime) -> tuple[Line, ...]:
    """Return what is believed at ``at`` in a few lines about ``name``, built from current facts alone.

    The same facts give the same lines.  Values stand as they were written; what has no phrase of its own is
    given in the person's words.
    """
    held = sorted(current(facts, at), key=_order, reverse=True)
    mine = [fact for fact in held if not fact.subject and fact.kind != "plan"]
    lines: list[Line] = []
    who = name or "The person"

    def add(group: Group, start: str, parts: list[tuple[str, int]], join: str = "; ") -> None:
        parts = list(dict(reversed(parts)).items())[::-1]  # each phrase once
        if parts:
            text = f"{start}{join.join(part for part, _ in parts)}."
            lines.append(Line(group, text, tuple(sorted({number for _, number in parts}))))

    used: set[int] = set()
    phrased: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for fact in mine:
        if found := _phrase(fact):
            group, phrase = found
            phrased[group].append((phrase, fact.id))
            used.add(fact.id)
    add("home and work", f"{who} ", phrased["home"], ", ")
    for feeling in ("like", "dislike"):
        verb = "likes" if feeling == "like" else "dislikes"
        add("tastes", f"{who} {verb} ", phrased[feeling][:MAX_TASTES], ", ")
    add("tastes", "Favourites: ", phrased["favourite"], ", ")
    add("health", f"{who} ", phrased["health"], ", ")
    # What somebody uses or just told says less of them than what they like, left or have.
    rest = sorted((f for f in mine if f.id not in used), key=lambda f: f.slot.startswith(_WEAK))
    phrases: dict[str, list[int]] = {}
    for fact in rest:
        phrases.setdefault(_quoted(fact), []).append(fact.id)
    for phrase, numbers in list(phrases.items())[:MAX_OTHER]:
        # One a line: a prompt may have room for some of them.
        lines.append(Line("habits", f"In their words: {phrase}.", tuple(sorted(numbers))))
    people: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for fact in held:
        if fact.subject and fact.kind != "plan":
            people[fact.subject].append((_quoted(fact), fact.id))
    for subject in sorted(people, key=str.casefold):
        add("people", f"{subject[:1].upper()}{subject[1:]}: ", people[subject][:3])
    plans = [fact for fact in held if fact.kind == "plan" and not fact.negated]
    plans.sort(key=lambda fact: (instant(fact.valid_to), _order(fact)))
    add("plans", "Plans: ", [(_quoted(fact), fact.id) for fact in plans[:MAX_OTHER]])
    return tuple(lines)


def _phrase(fact: Fact) -> tuple[str, str] | None:
    """Return (part of the summary, phrase) of a fact about the person; None: quote it."""
    family, _, thing = fact.slot.partition(": ")
    no = fact.negated or fact.value == "no"
    value = _as_written(fact, fact.value)
    if family == "taste" and fact.value in ("like", "dislike"):
        return fact.value, _as_written(fact, thing)
    if family.startswith("favourite ") and not no:
        return "favourite", f"{family.removeprefix('favourite ')} {value}"
    if no:
        return None
    if family in _HOME_PHRASES:
        return "home", _HOME_PHRASES[family].format(value)
    if family == "allergy":
        return "health", f"is allergic to {_as_written(fact, thing)}"
    if family == "diet":
        return "health", f"is {value}"
    if family == "health" and fact.value == "yes":
        return "health", f"has {_as_written(fact, thing)}"
    return None


_HOME_PHRASES: Final = {
    "home": "lives in {}",
    "job": "works as {}",
    "employer": "works for {}",
    "studies": "studies {}",
    "origin": "comes from {}",
    "birthplace": "was born in {}",
    "age": "is {}",
    "birthday": "has their birthday on {}",
}


def _as_written(fact: Fact, value: str) -> str:
    """Return ``value`` with the capitals it has in the fact's own words."""
    at = fact.text.casefold().find(value.casefold())
    if at < 0 or len(fact.text.casefold()) != len(fact.text):
        return value
    end = at + len(value)
    while end < len(fact.text) and fact.text[end].isalnum():
        end += 1  # the key is a stem: "mushroom" of "mushrooms"
    return fact.text[at:end]


def _quoted(fact: Fact) -> str:
    return '"' + " ".join(fact.text.split()).rstrip(" .!,;") + '"'
