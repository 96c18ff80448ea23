"""Words: German, French and Spanish sentences, their common forms.

One table a language: the words that fill a slot, in first and third person alike.  Whom it is about is read
from the clause's subject; denial and "no longer" are words of their own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ragperso.claims.clauses import (
    HEDGE,
    MAX_CLAUSES,
    Item,
    Rule,
    Scene,
    alternatives,
    claim,
    fill,
    load,
    read_rules,
    turned,
)
from ragperso.claims.verbs import NAMES, NOT_NAMES, N, among, stem
from ragperso.dates import time_spans
from ragperso.types import Claim

FILES: Final = {"de": "german.toml", "fr": "french.toml", "es": "spanish.toml"}
_WORDS: Final = "[^,;.!?]{2,60}"
_MACROS: Final = {"v": f"(?P<v>{_WORDS})", "o": f"(?P<o>{_WORDS})"}


@dataclass(frozen=True, slots=True)
class _Tongue:
    split: re.Pattern[str]
    first: re.Pattern[str]  # a clause of the speaker
    kin: re.Pattern[str]  # "meine Schwester (Inga)"
    possessive: re.Pattern[str]
    third: re.Pattern[str]  # a name, and a verb of the third person
    pronoun: re.Pattern[str]  # "sie", "elle"
    denied: re.Pattern[str]
    over: re.Pattern[str]
    often: re.Pattern[str]
    unsure: re.Pattern[str]
    past: re.Pattern[str]  # past only: "früher", "quand j'étais"
    habit: re.Pattern[str]  # the verb of a clause of the speaker
    not_habits: re.Pattern[str]
    relations: dict[str, str]
    rules: tuple[Rule, ...]


@functools.cache
def _tongue(code: str) -> _Tongue:
    data: dict[str, Any] = load(FILES[code])
    kin = "|".join(sorted(data["relations"], key=lambda word: -len(word)))

    def words(name: str, form: str = r"\b(?:{})\b") -> re.Pattern[str]:
        return re.compile(form.format(alternatives(data[name])), re.IGNORECASE)

    return _Tongue(
        split=words("split", "{}"),
        first=words("first"),
        kin=re.compile(
            rf"(?:{alternatives(data['mine'])}(?P<rel>{kin})|\b(?P<own>{data['parents']}))(?: "
            rf"(?P<name>(?-i:[A-ZÀ-Ý]\w+)))?\b",
            re.IGNORECASE,
        ),
        possessive=words("possessives", r"\W*(?:{})\b"),
        third=re.compile(rf"\W*(?P<name>{NAMES}) (?i:{alternatives(data['third'])})\b"),
        pronoun=words("pronoun", r"\W*(?:{})\b"),
        denied=words("denied"),
        over=words("over", "{}"),
        often=words("often"),
        unsure=words("unsure"),
        past=words("past"),
        habit=words("habit", "{}"),
        not_habits=words("not_habits", "(?:{})"),
        relations=data["relations"],
        rules=tuple(rule for _, rule in read_rules(data["rules"], _MACROS)),
    )


def sentence(plain: str, scene: Scene, code: str) -> Iterator[Claim]:
    """Yield the claims of one German, French or Spanish sentence."""
    tongue = _tongue(code)
    at = 0
    if source := _ACCORDING.match(plain):
        scene.other = source[1]
    ends = [*tongue.split.finditer(plain)][: 2 * MAX_CLAUSES]
    for n, stop in enumerate([*(mark.start() for mark in ends), len(plain)]):
        part, begin = plain[at:stop], at
        at = ends[n].end() if n < len(ends) else len(plain)
        if len(part.split()) < 2 or tongue.unsure.search(part):
            if kin := tongue.kin.match(part.strip()):
                scene.other = kin["name"] or tongue.relations[(kin["rel"] or kin["own"]).casefold()]
            continue
        who = _who(part, plain, tongue, scene)
        if who is None:
            continue
        certainty = 0.4 if HEDGE.search(part) else 1.0
        for item in _items(part, tongue, is_mine=who == scene.owner, is_prose=scene.is_prose):
            yield claim(item, begin, stop, plain, who, scene, certainty=certainty)


def _who(part: str, plain: str, tongue: _Tongue, scene: Scene) -> str | None:
    """Return whom a clause is about, a word or a name; None nobody known."""
    kin, first = tongue.kin.search(part), tongue.first.search(part)
    if kin and kin.start() <= 14 and (first is None or kin.start() < first.start()):
        if scene.owner and not kin["name"]:
            return None
        scene.other = kin["name"] or tongue.relations[(kin["rel"] or kin["own"]).casefold()]
        return scene.other
    if first or tongue.possessive.match(part):
        return scene.owner
    if (
        (named := tongue.third.match(part))
        and named["name"].split()[0] not in NOT_NAMES
        and named["name"] not in scene.things
    ):
        scene.other = named["name"]
        return scene.other
    if tongue.pronoun.match(part):
        if (later := re.search(rf",\s({N})\s*[,.!]", plain)) and later[1] not in NOT_NAMES:
            scene.other = later[1]  # "Elle déteste l'ail, Solène"
        return scene.other or None
    return scene.other if _ACCORDING.match(plain) and scene.other else None


_ACCORDING: Final = re.compile(rf"\W*(?i:según|selon|laut)\s({N}),")


_DISLIKE: Final = re.compile(
    r"\b(?:hass\w+|verabscheu\w+|leiden|ausstehen|déteste\w*|horreur|supporte\w*|odi[oa]|detest[oa]"
    r"|soport[oa]|aguanto)\b",
    re.IGNORECASE,
)
# What the verb itself denies, so that "nicht" and "pas" do not turn it.
_DENYING: Final = re.compile(r"\b(?:supporte|soport|aguant|leiden|ausstehen|vertr[aä]g)", re.IGNORECASE)


def _items(part: str, tongue: _Tongue, *, is_mine: bool, is_prose: bool) -> Iterator[Item]:
    is_over, is_denied = bool(tongue.over.search(part)), bool(tongue.denied.search(part))
    is_past = bool(tongue.past.search(part))
    taken = 0
    for rule in tongue.rules:
        found = rule.pattern.search(part)
        if found is None:
            continue
        for item in fill(rule, found, FILLERS):
            if item.family == "plan":
                if is_denied or is_past or not time_spans(part, datetime(2024, 1, 1)):
                    continue
            elif "~" in item.slot:
                kin = tongue.kin.search(part)
                if kin is None or not kin["rel"]:
                    continue
                item = replace(item, slot=item.slot.replace("~", tongue.relations[kin["rel"].casefold()]))
            if item.family == "taste" and _DISLIKE.search(part):
                item = replace(item, value="dislike")
            keeps = _DENYING.search(part) and item.family in ("taste", "allergy")
            yield from turned([item], is_denied=is_denied and not keeps, is_over=is_over, is_past=is_past)
            taken += 1
        if taken >= 2 or (taken and rule.effects[0].slot.startswith(("name", "has", "does"))):
            return
    is_told = tongue.often.search(part) or (is_over and not is_prose)
    if taken or is_past or not is_told or (is_prose and (not is_mine or part != part.lstrip())):
        return
    verb = tongue.habit.match(part)
    word = next((group for group in verb.groups() if group), "").casefold() if verb else ""
    if word and not tongue.not_habits.fullmatch(word):
        yield from turned([Item("habit: " + word)], is_denied=is_denied, is_over=is_over)


# ---------------------------------------------------------------- values

_TAIL: Final = re.compile(
    r"\s(?:seit|ab|wenn|weil|dass|damit|und ich|depuis|parce|quand|si|et je|desde|porque|cuando|y me|y no"
    r"|mehr|plus|pas|jamais"
    r"|ahora|jetzt|maintenant|am liebsten|sehr|wirklich|nicht|mit meine[rmn]|avec m\w+|con mi)\b.*$",
    re.IGNORECASE,
)
_ARTICLES: Final = re.compile(
    r"^(?:(?:der|die|das|den|dem|des|ein|eine|einen|einem|einer|kein|keine|keinen|mein|meine|la|le|les|l'"
    r"|un|une|du|de|des|d'"
    r"|el|los|las|una|en|mi|mis|sehr|lieber|auch|gern|gerne|noch|toujours|encore|mucho|más|nada|bien"
    r"|beaucoup|pas|plus|que|nur"
    r"|immer|überhaupt|seit \w+|übrigens|leider|zum)\s+|(?:l'|d'))+",
    re.IGNORECASE,
)
_EMPTY: Final = "es das ihn sie dich euch ça cela ce te vous que eso esto lo"


def _value(text: str) -> str:
    text = _TAIL.sub("", " " + text.strip())
    text = _ARTICLES.sub("", text.strip() + " ").strip(" ,.;:!?*_'").casefold()
    return "" if text in among(_EMPTY) else " ".join(text.split()[:5])


def _objects(text: str) -> list[str]:
    parts = re.split(r",\s|\s(?:und|oder|et|ni|y|o)\s", _value(text))[:4]
    found = (" ".join(stem(word) for word in _value(part).split()[:3]) for part in parts)
    return [one for one in found if one]


FILLERS: Final = {
    "v": lambda text: [value] if (value := _value(text)) else [],
    "o": _objects,
    "w": lambda text: [text.casefold()],
}
