"""Stage 7, learn: what the engine believes of the person, where from, and how the person corrects it.

In: the person's own documents and requests; the edited text of the profile.  Out: dated statements in their
own words with their offsets, a :class:`Profile`, the changes an edit made.
Never: rephrases what is stored, takes a statement from text that the person did not write or that the engine
itself had put before them, drops what was once believed: it is closed, dated and kept.

:mod:`ragperso.claims` reads the statements, :mod:`ragperso.learn.memories` decides what they change.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from ragperso.claims import claims
from ragperso.errors import ConfigError, PrivacyError
from ragperso.files import content_hash
from ragperso.learn import memories
from ragperso.learn.extraction import is_near
from ragperso.learn.ownership import Identity, own_part, register_of
from ragperso.store import FACTS_STALE, Store, replaced_by, storable
from ragperso.types import Claim, DocumentId, Fact, Json, Origin, Profile, StoredDocument, SummaryLine, as_utc

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# ---------------------------------------------------------------- learning


MAX_STATEMENTS: Final = 400  # of one document; a diary of years in one file has about as many


def learn_facts(
    store: Store,
    documents: Iterable[tuple[StoredDocument, str]],
    person: Identity,
    *,
    now: datetime,
    shown: Iterable[str] = (),
) -> int:
    """Store what the person's own documents say of them and of those they know; return how many are new.

    What the person took out does not come back, and nothing is learned from a sentence that merely repeats
    one of ``shown``: answers, and passages that stood in a prompt.
    """
    seen = _Seen(shown)
    said: list[memories.Said] = []
    places: dict[str, DocumentId] = {}
    name = _name(store)
    known = {fact.source for fact in store.facts(repeated=True)}
    for document, text in documents:
        if register_of(document, person) is None:
            # An answer, an exemplar (mined already), or someone else's words.
            if document.key in known:
                store.drop_facts_of(document.id)
            continue
        # A place alone is no key: the same document may be known under another corpus.
        places[document.key] = document.id
        own = own_part(document, text)
        said += _said(store, own, document.key, document.ts or document.added_at, seen, name)
    return len(_apply(store, said, places))


def learn_request(
    store: Store, text: str, document: StoredDocument, *, now: datetime, shown: Iterable[str] = ()
) -> int:
    """Store what a question to the engine says of the person; return how many statements are new.

    ``text`` is the question, with which the exchange's ``document`` begins.
    """
    said = _said(store, text, document.key, now, _Seen(shown), _name(store))
    # Most questions say nothing of who asks: they cost no transaction.
    return len(_apply(store, said, {document.key: document.id})) if said else 0


def learn_extracted(
    store: Store,
    found: Sequence[Claim],
    text: str,
    document: StoredDocument,
    *,
    at: datetime,
    shown: Iterable[str] = (),
) -> int:
    """Store what a model found in a text of the person; return how many statements are new.

    What is known in nearly the same words is not taken a second time: rules and the person are believed
    before a model.
    """
    seen = _Seen(shown)
    known = [fact for fact in _facts(store) if fact.origin != "model" and not fact.superseded_by]
    said = []
    for claim in found:
        words = " ".join(text[claim.start : claim.end].split())
        if seen.holds(words) or store.is_hidden_fact(words):
            continue
        who = claim.subject.casefold()
        if any(fact.subject.casefold() == who and is_near(words, fact.text) for fact in known):
            continue
        said.append(memories.Said(claim, words, document.key, at, "model"))
    return len(_apply(store, said, {document.key: document.id}))


def _name(store: Store) -> str:
    return str(store.profile_values().get("name") or "")


class _Seen:
    """What was shown before, read when the first statement is held against it: mostly there is none."""

    def __init__(self, shown: Iterable[str]) -> None:
        self._texts = shown
        self._shown: memories.Shown | None = None

    def holds(self, words: str) -> bool:
        if self._shown is None:
            self._shown = memories.Shown(self._texts)
        return self._shown.holds(words)


def _said(store: Store, text: str, source: str, at: datetime, seen: _Seen, name: str) -> list[memories.Said]:
    found = []
    for claim in claims(text, speaker=name, said=at, limit=MAX_STATEMENTS):
        words = " ".join(text[claim.start : claim.end].split())
        if words and not seen.holds(words) and not store.is_hidden_fact(words):
            found.append(memories.Said(claim, words, source, at))
    return found


def remember(store: Store, text: str, *, now: datetime, origin: Origin = "user") -> int:
    """Keep a statement that the person made directly; return its number.

    It takes the place of what it contradicts; said again, it is the statement that is there already.
    """
    text = storable(" ".join(text.split()))
    found = claims(text, speaker=_name(store), said=now)
    if len({claim.slot for claim in found}) != 1:
        # No statement that can be contradicted, or several in one: it stands as it is.
        return store.put_fact(text, origin=origin, now=now)
    said = memories.Said(replace(found[0], certainty=1.0), text, "", now, origin)
    numbers = _apply(store, [said], {})
    same = [fact.id for fact in store.facts() if fact.text == text and not fact.source]
    return max([*numbers, *same], default=0) or store.put_fact(text, origin=origin, now=now)


def _apply(store: Store, said: Sequence[memories.Said], places: Mapping[str, DocumentId]) -> list[int]:
    """Write what claims change in what is known; return the numbers of the new statements.

    A clause that was read before is not read again.  What merely repeats a statement is kept beside it, so
    that forgetting one of two documents that say the same leaves what the other says.
    """
    with store.write():
        _weigh_anew(store)
        rows = store.facts(repeated=True)
        spans: dict[tuple[str, bool], list[tuple[int, int]]] = defaultdict(list)
        for row in rows:
            spans[row.source, row.origin == "model"].append((row.start, row.end))
        fresh = [
            one
            for one in map(_storable, said)
            if not one.source
            or not any(
                start < one.claim.end and one.claim.start < end
                for start, end in spans[one.source, one.origin == "model"]
            )
        ]
        if not fresh:
            return []
        visible = {row.id: row for row in rows if row.n_seen}
        details = {_place(_bare(one)): _detail(one.claim) for one in fresh}
        changes = memories.plan(list(visible.values()), fresh).changes
        numbers: dict[int, int] = {}
        for change in changes:
            fact = change.fact
            if fact.id < 0:
                new = replace(fact, superseded_by=0, detail=_detail_of(fact, details))
                numbers[fact.id] = store.add_fact(new, places.get(fact.source))
        for change in changes:
            fact = replace(
                change.fact,
                id=numbers.get(change.fact.id, change.fact.id),
                superseded_by=numbers.get(change.fact.superseded_by, change.fact.superseded_by),
            )
            old = visible.get(fact.id)
            if old is not None and _place(old) != _place(fact):
                # Said again: the number goes on with the newest words, the older ones are kept beside it.
                moved = store.move_fact(fact.id)
                store.change_fact(replace(old, id=moved, n_seen=0, superseded_by=fact.id))
                store.place_fact(fact.id, places.get(fact.source))
            store.change_fact(replace(fact, detail=_detail_of(fact, details) or fact.detail))
        after = store.facts(repeated=True)
        stored = {_place(row) for row in after}
        for one in fresh:
            row = _bare(one)
            twin = _twin_of(row, after)
            if twin and _place(row) not in stored and not row.slot.startswith("swap: "):
                store.add_fact(
                    replace(row, n_seen=0, superseded_by=twin, detail=_detail(one.claim)),
                    places.get(row.source),
                )
        if _comes_late(fresh, rows):
            store.put(FACTS_STALE, "1")
            _weigh_anew(store)
        _correct(store)
    return sorted(numbers.values())


def _comes_late(fresh: Sequence[memories.Said], rows: Iterable[Fact]) -> bool:
    """Say whether a claim is older than one known of its kind: then what was closed by what may be wrong.

    What is held now is right all the same; when the rest was held is not.
    """

    def kind(one: Claim | Fact) -> tuple[str, str]:
        return one.subject.casefold(), one.slot.partition(": ")[0]

    newest: dict[tuple[str, str], datetime] = {}
    for row in rows:
        if row.slot and row.at is not None:
            newest[kind(row)] = max(row.at, newest.get(kind(row), row.at))
    return any(one.at is not None and one.at < newest.get(kind(one.claim), one.at) for one in fresh)


# ---------------------------------------------------------------- weighing anew


def _facts(store: Store) -> list[Fact]:
    """Return the visible statements, once what was removed since no longer closes others."""
    if store.get(FACTS_STALE):
        _weigh_anew(store)
    return store.facts()


def _weigh_anew(store: Store) -> None:
    """Decide again what replaces and ends what, where statements went or were stored by an older version."""
    if not store.get(FACTS_STALE):
        return
    with store.write():
        rows = store.facts(repeated=True)
        for before, after in zip(rows, weighed(rows, _name(store)), strict=True):
            if before != after:
                store.change_fact(after)
        store.drop(FACTS_STALE)


def weighed(rows: Sequence[Fact], name: str = "") -> list[Fact]:
    """Return each row as it stands when these alone were ever said, in the same order.

    ``rows`` must hold the repetitions too.  ``name`` is the person's.
    """
    rows = [_read(row, name) for row in rows]
    first: dict[_Place, int] = {}
    said = []
    for row in rows:
        if row.slot and _place(row) not in first:
            first[_place(row)] = row.id
            said.append(_again(row))
    known = {row.id: row for row in rows}
    done: dict[int, Fact] = {}
    changes = memories.plan((), said).changes
    numbers = {change.fact.id: first[_place(change.fact)] for change in changes}
    for change in changes:
        number = numbers[change.fact.id]
        by = change.fact.superseded_by
        done[number] = replace(
            change.fact,
            id=number,
            superseded_by=numbers.get(by, by),
            detail=known[number].detail,
        )
    known_now = list(done.values())
    for row in rows:
        if row.id in done:
            continue
        twin = _twin_of(row, known_now) if row.slot else 0
        claim = _again(row).claim
        done[row.id] = replace(
            row,
            n_seen=0 if twin else 1,
            superseded_by=twin,
            valid_from=claim.starts or row.at if row.slot else row.valid_from,
            valid_to=claim.ends,
        )
    return _corrected([done[row.id] for row in rows])


def _correct(store: Store) -> None:
    """Write down what edits of the person replace."""
    rows = store.facts(repeated=True)
    for before, after in zip(rows, _corrected(rows), strict=True):
        if before != after:
            store.change_fact(after)


def _corrected(rows: Sequence[Fact]) -> list[Fact]:
    """Let what the person replaced in an edit give way to what they wrote instead, whenever it is read."""
    by: dict[str, Fact] = {}
    for row in rows:
        for digest in replaced_by(row.detail):
            by[digest] = row
    found = []
    for row in rows:
        new = by.get(content_hash(row.text)) if by and row.n_seen else None
        if (
            new is not None
            and new.id != row.id
            and (row.origin != "user" or not row.at or not new.at or row.at <= new.at)
        ):
            # Corrected, so it never held, unlike what merely became otherwise.
            row = replace(row, superseded_by=new.id, valid_to=row.valid_from or row.at)
        found.append(row)
    return found


def _storable(said: memories.Said) -> memories.Said:
    """Return a claim as it will be read back from the store, so that it is known again."""
    claim, at = said.claim, said.at
    at = as_utc(at) if at is not None else None
    claim = replace(
        claim, slot=storable(claim.slot), value=storable(claim.value), subject=storable(claim.subject)
    )
    return replace(said, claim=claim, text=storable(said.text), at=at)


_Place: TypeAlias = tuple[str, int, int, datetime | None, str, str, str, bool]


def _place(fact: Fact) -> _Place:
    """Return what tells one saying from all others; the subject may have become known later."""
    return (
        fact.source, fact.start, fact.end, fact.at, fact.text, fact.slot, fact.value, fact.negated
    )  # fmt: skip


def _twin_of(row: Fact, rows: Iterable[Fact]) -> int:
    """Return the number of the statement that says what ``row`` says, an open one first; 0: none."""

    def key(fact: Fact) -> tuple[str, str, str, bool]:
        value = "" if fact.kind == "plan" else fact.value.casefold()
        return (fact.subject.casefold(), fact.slot, value, fact.negated)

    same = [fact for fact in rows if fact.n_seen and fact.id != row.id and key(fact) == key(row)]
    return (
        max(same, key=lambda fact: (not fact.superseded_by, fact.valid_to is None, fact.id)).id if same else 0
    )


def _bare(said: memories.Said) -> Fact:
    """Return a claim as a statement that nothing else has touched."""
    claim = said.claim
    return Fact(
        0, said.text, said.origin, said.source, claim.start, claim.end, said.at, claim.kind, claim.subject,
        claim.slot, claim.value, claim.negated, claim.certainty, claim.starts or said.at, claim.ends,
    )  # fmt: skip


def _detail(claim: Claim) -> str:
    """Return what a claim says of its own time and certainty, which merging and closing overwrite."""
    told: dict[str, Json] = {"certainty": claim.certainty}
    if claim.starts is not None:
        told["starts"] = claim.starts.isoformat()
    if claim.ends is not None:
        told["ends"] = claim.ends.isoformat()
    if claim.corrects:
        told["corrects"] = True
    return json.dumps(told)


def _detail_of(fact: Fact, details: Mapping[_Place, str]) -> str:
    """Return the detail of the claim a fact was made of; a "swap" has found its slot meanwhile."""
    if found := details.get(_place(fact)):
        return found
    return next((told for place, told in details.items() if place[:5] == _place(fact)[:5]), "")


def _again(row: Fact) -> memories.Said:
    """Return the claim that a row was made of."""
    try:
        told = json.loads(row.detail) if row.detail else {}
        starts, ends = (datetime.fromisoformat(told[k]) if told.get(k) else None for k in ("starts", "ends"))
        certainty = float(told.get("certainty", row.confidence))
        corrects = bool(told.get("corrects"))
    except (ValueError, TypeError, AttributeError):  # written by hand, or damaged
        starts, ends, certainty, corrects = None, None, row.confidence, False
    # What the person also said directly stands in a row of its own.
    origin: Origin = "mined" if row.source and row.origin == "user" else row.origin
    claim = Claim(
        row.start, row.end, row.kind, row.slot, row.value, row.subject, row.negated, corrects, certainty,
        starts, ends,
    )  # fmt: skip
    return memories.Said(claim, row.text, row.source, row.at, origin)


def _read(row: Fact, name: str) -> Fact:
    """Return a row with what its words claim, where that was never read: one of an older version."""
    if row.slot or row.detail:
        return row
    found = claims(row.text, speaker=name, said=row.at)
    if len({claim.slot for claim in found}) != 1:
        return row
    claim = found[0] if row.source else replace(found[0], certainty=1.0)
    return replace(
        row,
        kind=claim.kind,
        subject=claim.subject,
        slot=claim.slot,
        value=claim.value,
        negated=claim.negated,
        confidence=claim.certainty,
        detail=_detail(claim),
    )


# ---------------------------------------------------------------- reading

MAX_FACTS: Final = 40  # of which the prompt's budget keeps the first that fit


def held(store: Store, at: datetime) -> list[Fact]:
    """Return the statements that are believed at ``at``, the person's own first, then newest first."""
    facts = _facts(store)
    ids = {fact.id for fact in memories.current(facts, at)}
    return [fact for fact in facts if fact.id in ids]


def load(
    store: Store,
    *,
    now: datetime,
    max_facts: int = MAX_FACTS,
    style: Sequence[str] = (),
    hide: Collection[str] = (),
) -> Profile:
    """Return the profile as prompts use it: what is believed at ``now``, and the same as a summary.

    The person's own statements stand first, then the newest mined ones.  Nothing said in a document of
    ``hide`` counts.
    """
    name, languages = _named(store)
    facts = _facts(store)
    if hide:
        rows = [row for row in store.facts(repeated=True) if row.source not in hide]
        facts = [fact for fact in weighed(rows, name) if fact.n_seen]
    return _profile_of(facts, name, languages, now, max_facts, style)


class Loader:
    """:func:`load` without ``hide``, which looks through the statements only when the answer may differ.

    Looking through 1,000 of them takes about 16 ms, which every prompt would pay.  Not for several threads.
    """

    def __init__(self, store: Store, max_facts: int = MAX_FACTS) -> None:
        self._store = store
        self._max_facts = max_facts
        self._key: tuple[object, ...] = ()
        self._profile = Profile()
        self._from = self._until = datetime.max

    def load(self, now: datetime) -> Profile:
        """Return the profile at ``now``."""
        name, languages = _named(self._store)
        at = memories.instant(now)
        if self._key != self._state(name, languages) or not self._from <= at < self._until:
            facts = _facts(self._store)  # may itself change statements
            self._key = self._state(name, languages)
            self._from, self._until = memories.unchanged(facts, now)
            self._profile = _profile_of(facts, name, languages, now, self._max_facts, ())
        return self._profile

    def _state(self, name: str, languages: tuple[str, ...]) -> tuple[object, ...]:
        store = self._store
        return (
            name,
            languages,
            store.generation("facts"),
            store.generation("documents"),
            store.get(FACTS_STALE),
        )


def _named(store: Store) -> tuple[str, tuple[str, ...]]:
    values = store.profile_values()
    return str(values.get("name") or ""), tuple(str(code) for code in values.get("languages") or ())


def _profile_of(
    facts: Sequence[Fact],
    name: str,
    languages: tuple[str, ...],
    now: datetime,
    max_facts: int,
    style: Sequence[str],
) -> Profile:
    believed = {fact.id for fact in memories.current(facts, now)}
    facts = [fact for fact in facts if fact.id in believed]
    lines = memories.summary(facts, name, now)
    return Profile(
        name=name,
        languages=languages,
        facts=tuple(facts[:max_facts]),
        style=tuple(style),
        summary=tuple(SummaryLine(line.text, line.facts) for line in lines),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement with the place that proves it; ``line`` is 0 when the person said it directly."""

    fact: Fact
    line: int = 0

    @property
    def origin(self) -> str:
        """Return where it comes from, for a screen: ``notes/knee.md:12`` or ``you``."""
        return f"{self.fact.source}:{self.line}" if self.fact.source else "you"


def entries(store: Store, *, at: datetime | None = None) -> list[Entry]:
    """Return every visible statement with its source, superseded ones too; with ``at`` what is held then."""
    facts = _facts(store) if at is None else held(store, at)
    ids = {d.key: d.id for d in store.documents(keys=sorted({f.source for f in facts if f.source}))}
    return [Entry(f, store.line_of(ids[f.source], f.start) if f.source in ids else 0) for f in facts]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement is believed: the sentences around it, and what it replaced or was replaced by."""

    entry: Entry
    confidence: float
    passage: str = field(default="", repr=False)
    before: tuple[Entry, ...] = ()
    after: tuple[Entry, ...] = ()


_AROUND: Final = 200  # characters shown on either side of a statement


def reason(store: Store, number: int, *, now: datetime) -> Reason:
    """Return why a statement is or was believed.  Raises: PrivacyError when there is none of that number."""
    found = {entry.fact.id: entry for entry in entries(store)}
    if number not in found:
        raise PrivacyError(f"there is no statement {number}", stage="learn", hint="ragperso profile history")
    entry = found[number]
    passage = ""
    for document in store.documents(keys=[entry.fact.source]) if entry.fact.source else ():
        text = store.text(document.id)
        passage = text[max(0, entry.fact.start - _AROUND) : entry.fact.end + _AROUND].strip()
    return Reason(
        entry,
        memories.confidence(entry.fact, now),
        passage,
        tuple(one for one in found.values() if one.fact.superseded_by == number),
        tuple(one for one in found.values() if one.fact.id == entry.fact.superseded_by),
    )


def history(store: Store, about: str = "") -> list[Entry]:
    """Return all that was ever believed, oldest first; of ``about`` alone: a slot, a subject, or a word."""
    wanted = about.casefold().strip()
    found = [
        entry
        for entry in entries(store)
        if not wanted
        or wanted in (entry.fact.slot.casefold(), entry.fact.subject.casefold())
        or entry.fact.slot.casefold().startswith(f"{wanted}:")
        or wanted in entry.fact.text.casefold()
    ]
    order = {fact.id: n for n, fact in enumerate(memories.history(e.fact for e in found))}
    return sorted(found, key=lambda entry: order[entry.fact.id])


# ---------------------------------------------------------------- editing

_HEADER: Final = """\
# What ragperso believes of you.  Change, add or delete lines, then save and close.
# A statement you delete is not mined again.  A new one needs no id:
#
#   [[facts]]
#   text = "I take my tea without milk."

"""
_BARE_KEYS: Final = ("name", "languages", "addresses", "facts")


@dataclass(frozen=True, slots=True)
class _Edit:
    """The profile as a text says it."""

    settings: Mapping[str, Any] = field(repr=False)
    facts: Mapping[int, str] = field(repr=False)
    new: tuple[str, ...] = field(repr=False)


def to_toml(store: Store, *, now: datetime) -> str:
    """Return what is believed at ``now`` as a text to edit."""
    values = store.profile_values()
    lines = [
        _HEADER + f"name = {_toml(str(values.get('name') or ''))}",
        f"languages = {_toml_list(values.get('languages') or ())}",
        f"addresses = {_toml_list(values.get('addresses') or ())}  # mail addresses; names used in chats",
    ]
    for entry in entries(store, at=now):
        lines += [
            "",
            f"[[facts]]  # {_comment(entry.origin)}",
            f"id = {entry.fact.id}",
            f"text = {_toml(entry.fact.text)}",
        ]
    return "\n".join(lines) + "\n"


def apply_edit(store: Store, after: str, *, now: datetime, before: str = "") -> dict[str, Json]:
    """Apply to the store exactly what the person changed; return ``settings``, ``added`` and the like.

    ``before`` is the text the person was shown: with it, what was mined meanwhile stays.  Without it the
    store as it is now counts as shown.  Raises: ConfigError naming the line or the key; then nothing changes.
    """
    old, new = _parse(before or to_toml(store, now=now)), _parse(after)
    if unknown := sorted(new.facts.keys() - old.facts.keys()):
        raise ConfigError(f"there is no statement with id {unknown[0]}", hint="a new statement needs no id")
    settings = [key for key, value in new.settings.items() if value != old.settings[key]]
    removed = [i for i in old.facts if i not in new.facts]
    changed = [i for i, text in new.facts.items() if text != old.facts[i]]
    done: dict[str, Json] = {
        "settings": settings, "added": len(new.new), "changed": len(changed), "removed": len(removed)
    }  # fmt: skip
    with store.write():
        for key in settings:
            store.put_profile_value(key, new.settings[key] or None)
        store.remove_facts(removed)
        for i in changed:
            _replace(store, i, new.facts[i], now)
        for text in new.new:
            remember(store, text, now=now)
        if any(done.values()):
            store.put_audit("profile", done, now)
    return done


def _replace(store: Store, number: int, text: str, now: datetime) -> None:
    """Let a statement give way to what the person wrote in its place; it stays readable, as corrected.

    It is known by the hash of its words, so that it also gives way when its document is read again.
    """
    rows = store.facts(repeated=True)
    texts = {row.text for row in rows if number in (row.id, row.superseded_by if not row.n_seen else 0)}
    new = remember(store, text, now=now)
    (fact,) = [row for row in store.facts() if row.id == new]
    told = json.loads(fact.detail) if fact.detail else {}
    told["replaces"] = sorted({*replaced_by(fact.detail), *map(content_hash, texts - {fact.text})})
    store.change_fact(replace(fact, detail=json.dumps(told)))
    _correct(store)


def _parse(text: str) -> _Edit:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = re.search(r"at line (\d+)", str(exc))  # otherwise "at end of document"
        line = found.group(1) if found else text.count("\n") + 1
        raise ConfigError(
            f"line {line} of the profile is not valid TOML", hint="ragperso profile edit"
        ) from None
    for key in data:
        if key not in _BARE_KEYS:
            name = repr(key) if key.isidentifier() and len(key) <= 20 else "of such a name"
            raise ConfigError(f"the profile has no setting {name}", hint=f"it knows {', '.join(_BARE_KEYS)}")
    settings: dict[str, Any] = {"name": data.get("name", "")}
    if not isinstance(settings["name"], str):
        raise ConfigError("name must be text in quotes", hint="ragperso profile edit")
    for key in ("languages", "addresses"):
        settings[key] = data.get(key, [])
        if not isinstance(settings[key], list) or not all(isinstance(v, str) for v in settings[key]):
            raise ConfigError(f"{key} must be a list of texts in quotes", hint="ragperso profile edit")
    facts: dict[int, str] = {}
    new: list[str] = []
    rows = data.get("facts", [])
    if not isinstance(rows, list):
        raise ConfigError("facts must be written as [[facts]]", hint="ragperso profile edit")
    for number, row in enumerate(rows, 1):
        statement = row.get("text") if isinstance(row, dict) else None
        if not isinstance(statement, str) or not statement.strip() or row.keys() - {"id", "text"}:
            raise ConfigError(
                f"statement {number} needs a text in quotes and nothing else but its id",
                hint="to remove a statement, delete its lines",
            )
        if "id" not in row:
            new.append(statement.strip())
        elif type(row["id"]) is not int or row["id"] in facts:
            raise ConfigError(f"statement {number} has a wrong or repeated id", hint="a new one needs no id")
        else:
            facts[row["id"]] = statement
    return _Edit(settings, facts, tuple(new))


def _toml(value: str) -> str:
    """Return ``value`` as a TOML basic string: one line, nothing in it can end it."""
    out = []
    for char in value:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif code < 0x20 or 0x7F <= code <= 0x9F or char in "\u2028\u2029":
            out.append(f"\\u{code:04X}")
        else:
            # TOML text is UTF-8, which has no lone surrogates.
            out.append("\ufffd" if 0xD800 <= code <= 0xDFFF else char)
    return '"' + "".join(out) + '"'


def _toml_list(values: Sequence[Any]) -> str:
    return "[" + ", ".join(_toml(str(value)) for value in values) + "]"


def _comment(text: str) -> str:
    """Return ``text`` fit for a TOML comment; a file name may hold a line break."""
    return "".join(char if char.isprintable() else "?" for char in text)
