"""Words: English sentences without a subject of their own: "No more coffee for me", "New address: ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ragperso.claims.clauses import PLAN_DAYS, Item, Scene, fill, is_coming, read_rules
from ragperso.claims.verbs import (
    ADJ,
    DATA,
    EVENT,
    FILLERS,
    MACROS,
    NAMES,
    NOT_NAMES,
    PERSON,
    head,
    objects,
    relation_of,
    stem,
)

Loose = tuple[Item, int, int, str]  # an item, its place, and whom it is about

_RULES: Final = [rule for _, rule in read_rules(DATA["loose"], MACROS)]
_LABELS: Final[dict[str, str]] = DATA["labels"]
_LABEL: Final = re.compile(
    r"^\W*(?P<my>(?:my|our|the)\s)?(?P<new>new |current |updated |changed )?(?P<what>favou?rite [\w ]{2,20}?|"
    + "|".join(f"(?:{words})" for words in _LABELS.values())
    + r")(?: (?:for your lists|is|now|is now|details|from \w+ \d*))*\s*(?P<mark>[:=–-]\s*|is now\s+|is\s+)"
    r"(?P<value>\S.{1,80}?)(?=[.!;]|$|,? (?:ring|please|so|because|but)\b)",
    re.IGNORECASE,
)
# "Seafood gives me a rash", "Loud music bothers me".
_ME_THING: Final = re.compile(
    r"(?P<thing>[^\W\d_][\w' -]{1,50}?)\s+(?:(?:always|really|still|just|usually|never|absolutely|often"
    r"|doesn't|don't"
    r"|does not|do not|also|all)\s){0,2}(?P<verb>gives?|makes?|brings?|bothers?|bores?|scares?|terrif(?:y"
    r"|ies)|disgusts?"
    r"|relaxe?s|calms?|upsets?|triggers?|annoys?|irritates?|drives?|keeps?|fascinates?|helps?|suits?"
    r"|agrees?|disagrees?"
    r"|tastes? (?:like|of) [\w ]{1,20}? to|does nothing for|do nothing for|gets? on)\s+(?:with\s)?(?:me|my "
    r"\w+)\b"
    r"(?P<rest>[^.!?;]{0,80})",
    re.IGNORECASE,
)
_EFFECT: Final = re.compile(
    r"^\W*(?:a |an |the |really |so |bad |terrible )*(?:rash|hives|headaches?|migraines?|heartburn|sick|ill"
    r"|sneeze|panic|itch"
    r"|cough|nauseous|nausea|awake|sane|calm|sleepy|anxious|nervous|dizzy|wheeze|bloated|stomach ?aches?"
    r"|cramps|goosebumps"
    r"|the creeps|creeps|nightmares|shivers|vertigo|wind|palpitations|queasy|happy|gag|shudder|out in|joy"
    r"|energy|hungry|claustrophobic|tingle|close"
    r"|swell|itch|hurt|ache|water|run)\b",
    re.IGNORECASE,
)
_NOT_THING: Final = re.compile(
    r"^(?:its|heaven|god|lord|it|this|that|these|those|they|he|she|you|your|who|what|which|there|here"
    r"|someone|nobody|everyone"
    r"|everybody|people|when|if|please|the (?:news|film|day|book|idea|thought|weather|director|\w+er)|his"
    r"|her|their|my \w+"
    r"|nothing|something)\b",
    re.IGNORECASE,
)


def effect_on_me(text: str) -> re.Match[str] | None:
    """Return what a thing does to the speaker; persons do other things."""
    found = _ME_THING.match(text)
    if found is None or _NOT_THING.match(found["thing"]) or len(found["thing"].split()) > 5:
        return None
    if _EFFECT.match(found["rest"]):
        return found
    if found["verb"].lower().startswith("taste"):
        return found
    one = found["thing"].split()
    is_name = (
        one[0][:1].isupper()
        and not one[-1].endswith(("s", "ing"))
        and (len(one) == 1 or one[-1][:1].isupper())
    )
    is_feeling = re.match(
        r"taste|bother|do|bore|scare|disgust|relax|calm|annoy|irritate|fascinate|suit|agree|get",
        found["verb"].lower(),
    )
    return found if is_feeling and not is_name else None


IS_FAVOURITE: Final = re.compile(
    r"(?P<thing>[^\W_][\w'& -]{1,50}?)\s+(?:is|are|'s|remains?|has become|was and is)\s+(?:\w+ ){0,4}?(?:my"
    r"|our)\s+"
    r"(?:(?:all-time|very|absolute|current|new|go-to|personal)\s)*(?P<what>favou?rites?(?: (?!too|as|one"
    r"|ones|way|ways|so"
    r"|because|to|and|but|since|for|in|at|of|when|right|now|ever|lately|these|i|we|part|parts|thing|things"
    r"|place|time)[\w-]+)"
    r"{0,2}|passions?|hobby|comfort \w+|guilty pleasure|go-to \w+|thing|weakness|colou?r|poison|jam|cup of "
    r"tea|nemesis"
    r"|kryptonite|pet hate|pet peeve|religion|happy place|pride and joy|downfall|undoing|idea of (?:heaven"
    r"|hell|fun)|bane of my life|\w+ of choice)\b",
    re.IGNORECASE,
)
_ROLE_OF: Final = re.compile(
    rf"(?P<name>{NAMES})(?:'s| is)\s+(?:my|our)\s+(?P<adj>{ADJ})(?P<rel>{PERSON}|emergency contact"
    rf"|godmother|godfather"
    r"|best man)\b"
)
_NOT_PLANNED: Final = re.compile(
    r"^\W*(?:see you|talk|speak|call|catch you|let's|let me|please|could|can|would|shall|happy|good|thanks"
    r"|thank|looking"
    r" forward|don't|do|remember|bring|meet me|have a|enjoy|hope|sorry|congrat|ready|who|what|how|any|show"
    r"|send|order|come"
    r"|take|get|make|use|check|tell|ask)\b|\b(?:was|were|had|did|every|you|your|he|she|they|\w{3,}ed)\b",
    re.IGNORECASE,
)


# "Opera is what I like best", "Pratchett is who I go back to".
IS_CLEFT: Final = re.compile(
    r"(?P<thing>[^\W_][\w'& -]{1,50}?)\s+(?:is|are)\s+(?:what|who|where|the (?:one )?thing)\s+(?:i"
    r"|we)(?:'d)?\s+(?:(?:really|always"
    r"|still|would)\s)*(?:like|love|enjoy|prefer|rather|crave|live for|(?:go|come) back to)\b(?!\s(?:about"
    r"|to say))",
    re.IGNORECASE,
)


def loose_items(plain: str, scene: Scene) -> Iterator[Loose]:
    """Yield what a piece of a sentence says though it has no subject or verb of its own."""
    text = plain.strip(" ,-")
    a = plain.find(text)
    for item, who in _loose(text, scene):
        yield item, a, a + len(text), who


def _loose(text: str, scene: Scene) -> Iterator[tuple[Item, str]]:
    if found := list(_labelled(text, scene)):
        yield from ((item, scene.owner) for item in found)
        return
    for rule in _RULES:
        if (scene.is_prose and "chat" in rule.needs) or not (match := rule.pattern.match(text)):
            continue
        if items := fill(rule, match, FILLERS):
            yield from ((item, scene.owner) for item in items)
            return
    if (role := _ROLE_OF.search(text)) and role["name"].split()[0] not in NOT_NAMES:
        scene.other = role["name"]
        scene.people.add(role["name"])
        yield Item("relation", relation_of(role["rel"])), role["name"]
        return
    if (found_fav := IS_FAVOURITE.search(text)) and not _NOT_THING.match(found_fav["thing"]):
        what = found_fav["what"].casefold().replace("favorite", "favourite")
        key = head(found_fav["thing"])
        if re.match(r"favourites? \w", what):
            yield Item("favourite " + stem(what.partition(" ")[2]), key), scene.owner
        elif key:
            is_bad = re.search(r"nemesis|kryptonite|hate|peeve|hell|bane", what)
            yield Item("taste: " + key, "dislike" if is_bad else "like"), scene.owner
        return
    if (cleft := IS_CLEFT.match(text)) and not _NOT_THING.match(cleft["thing"]) and head(cleft["thing"]):
        yield Item("taste: " + head(cleft["thing"]), "like"), scene.owner
        return
    if effect := effect_on_me(text):
        if not re.search(r"\b(?:is|are|was|were|has|have|had|will|and then|just)\b", effect["thing"]):
            key = head(re.sub(r"\b(?:doesn't|don't|really|always)\b", "", effect["thing"]))
            yield Item("affects: " + key, effect["verb"].casefold()[:12], certainty=0.9), scene.owner
        return
    if scene.is_prose or len(text.split()) > 18:
        return
    if (dated := _DATED_EVENT.match(text)) and is_coming(text, scene, is_future=True):
        yield Item("plan: " + head(dated["what"]), days=PLAN_DAYS), scene.owner
    elif _NOT_PLANNED.search(text):
        return
    elif (noun := EVENT.search(text)) and is_coming(text, scene, is_future=False):
        yield Item("plan: " + stem(noun.group().lower()), days=PLAN_DAYS), scene.owner


_DATED_EVENT: Final = re.compile(
    r"(?:the |our |my )?(?P<what>[\w' -]{3,40}?)(?:(?: is|'s| starts| begins) (?:on|at|from)"
    r"|(?: has been| was| is| got) (?:moved|postponed|rescheduled|brought forward|pushed)"
    r"(?: back| forward)? to)\b",
    re.IGNORECASE,
)
_MUST_SAY: Final = frozenset(
    "home phone email job employer bank doctor dentist boss landlord birthday name".split()
)


_STATE: Final = re.compile(r"(?:\w+ed|\w+ing|in|at|on|with|still|gone|back|outside|here)\b", re.IGNORECASE)


def _labelled(text: str, scene: Scene) -> Iterator[Item]:
    match = _LABEL.match(text)
    if match is None:
        return
    what, value = match["what"].casefold(), match["value"]
    slot = next(
        (slot for slot, words in _LABELS.items() if re.fullmatch(words, what)),
        what.replace("favorite", "favourite"),
    )
    is_marked = match["mark"].strip() in tuple(":=–-")
    if not (match["my"] or match["new"] or (is_marked and slot in _MUST_SAY)) and (
        slot in _MUST_SAY or scene.is_prose
    ):
        return
    if slot.endswith(": "):
        yield from (Item(slot + key) for key in objects(value, 5))
        return
    folded = " ".join(value.casefold().split()[:7]).strip(" .,")
    is_digits = len(re.findall(r"\d", value)) >= 5
    is_well_formed = {
        "home": bool(re.search(r"[A-Z]", value)) and not is_digits,
        "phone": is_digits,
        "email": "@" in value,
        "name": bool(re.match(NAMES, value)) and what != "name",
        "bank": bool(re.match(r"[A-Z]", value)) and not is_digits,
        "has: car": not _STATE.match(value),
        "has: bike": not _STATE.match(value),
    }.get(slot, True)
    if is_well_formed:
        yield Item(slot, folded)
