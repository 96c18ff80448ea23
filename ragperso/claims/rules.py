"""Words: what an English clause fills, by its verb: the rules of english.toml and those that need code."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import Final

from ragperso.claims.clauses import PLAN_DAYS, Item, Rule, end, fill, no, read_rules, undone
from ragperso.claims.verbs import (
    ADVERBS,
    CLOCK,
    DATA,
    DATED,
    EVENT,
    FILLERS,
    MACROS,
    MOMENTS,
    MONTH,
    NOT_NAMES,
    PERSON,
    PET,
    VAGUE,
    N,
    Verb,
    among,
    head,
    is_owned,
    objects,
    phrase,
    read_verb,
    relation_of,
    stem,
    thing,
    token_at,
)


def _by_lemma(name: str) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    for lemma, rule in read_rules(DATA[name], MACROS):
        found[lemma].append(rule)
    return dict(found)


_RULES: Final = _by_lemma("rules")
_BEING: Final = _by_lemma("being")["be"]
_JOB: Final = re.compile(rf"\b{MACROS['job_word']}\b", re.IGNORECASE)
_NOT_JOB: Final = re.compile(rf"\b{MACROS['not_job']}\b", re.IGNORECASE)
_NOT_TRAIT: Final = re.compile(rf"\b{MACROS['not_trait']}\b", re.IGNORECASE)


def meaning(verb: Verb, who: str) -> list[Item]:
    """Return what the clause fills, as if it were neither denied nor over; ``who`` is "" for the speaker."""
    if verb.lemma == "be":
        if verb.is_perfect and "never been to" in verb.words and (where := head(verb.rest)):
            return [Item(f"has never: been to {where}", "no", True)]
        return _being(verb, who)
    if verb.is_ongoing and verb.is_known and verb.lemma not in MOMENTS and _AGAIN.search(verb.words):
        verb.is_ongoing = False  # "I'm eating cake again"
    if verb.lemma == "be called":
        return [Item("name", name)] if (name := phrase(verb.rest, 4)) else []
    if (special := _special(verb, who)) is not None:
        return special
    if (found := _by_rules(_RULES.get(verb.lemma, []), verb, verb.rest, who)) is not None:
        return found
    return [] if verb.is_able or verb.lemma in _TASTES else _fallback(verb)


_AGAIN: Final = re.compile(r"\bagain(?=\W*$|\s*[,.;!])")
_TASTES: Final = among(
    "like love enjoy prefer adore fancy crave favour favor hate dislike despise detest loathe dread"
)


def _by_rules(rules: list[Rule], verb: Verb, rest: str, who: str) -> list[Item] | None:
    rest = rest.strip(" ,").rstrip(".!*_ ")
    for rule in rules:
        if verb.suits(rule.needs, who) and (match := rule.pattern.match(rest)):
            if items := fill(rule, match, FILLERS):
                return items
            if not rule.effects:
                return []
    return None


def _special(verb: Verb, who: str) -> list[Item] | None:
    """Return what the light verbs say, whose meaning is in what follows; None: the rules know."""
    lemma, rest = verb.lemma, verb.rest.strip()
    low = rest.casefold().strip(" .,!*_")
    first = token_at(low, 0)
    is_begun = {
        "begin": True,
        "start": True,
        "take": first == "up",
        "pick": first == "up",
        "get": first == "into",
    }
    is_back = lemma == "go" and re.match(r"back (?:to|on)\b", low) is not None
    is_refused = verb.is_future and verb.is_denied
    if not is_refused and is_begun.get(lemma, is_back):
        if lemma in ("pick", "go") and not verb.is_done:
            return _habit(verb)
        if lemma == "go" and not _GONE_BACK.search(low):
            return []
        return _beginning(verb, re.sub(r"^(?:up|into|back to|back on|to|with)\s+", "", rest), who)
    if (
        (lemma in among("stop quit drop ditch") and not verb.is_future)
        or (lemma in ("give", "cut") and first in ("up", "out"))
        or (lemma == "hand" and first == "in")
    ):
        return _ending(verb, re.sub(r"^(?:up|out|in)(?:\s+|\W*$)(?:on\s+)?", "", rest), who)
    if lemma in ("give", "donate") and verb.is_done and not re.match(r"(?:me|us)\b", low):
        lost = re.match(r"(?:away |back )?((?:my|our|the|his|her) .+?)(?: (?:to|away|back)\b|$)", low)
        return [no("has: " + thing(lost[1]))] if lost and is_owned(lost[1]) else []
    if lemma in ("sell", "pawn", "scrap", "trade") and verb.is_done:
        return [no("has: " + thing(rest))] if is_owned(rest) else []
    if lemma in ("switch", "swap", "change", "replace"):
        return _switching(verb, low)
    if lemma in ("get", "take", "have", "start") and (
        job := re.match(
            r"(?:an? |the |another |my |that |her |his )(?:[\w-]+ ){0,3}?(?:job|position|post|role)\b", low
        )
    ):
        is_new = verb.is_done if lemma != "have" else re.match(r"an? new\b|.*\b(?:at|as|with)\b", low)
        return _new_job(rest) if is_new and job else []
    if lemma == "have" and (people := _people_had(verb, rest, low)) is not None:
        return people
    got_pet = re.match(rf"(?:an?|two|three|our|my|another|the) (?:[\w-]+ ){{0,2}}({PET})\b", low)
    if lemma in ("buy", "adopt", "get", "rescue") and verb.is_done and (pet := got_pet):
        called = re.search(rf"(?:called|named|,)\s+({N})", rest)
        return [Item("pet: " + (called[1].casefold() if called else stem(pet[1])), stem(pet[1]))]
    if (verb.is_future and verb.is_denied and lemma not in among("quit stop give let forget regret lie")) or (
        lemma == "refuse" and first == "to"
    ):
        return _refusing(verb, rest)
    if (
        lemma == "sleep"
        and not verb.is_done
        and (how := re.match(r"(?:much |far )?(better|worse|badly|well) ((?:without|with|on|after) .+)", low))
    ):
        return [Item(f"trait: sleeps {how[1]}", how[2])]
    if (
        lemma in ("go", "wake", "sleep")
        and not verb.is_done
        and not verb.is_able
        and not re.match(r"by\s", low)
    ):
        return _habit(verb) or None
    return None


_GONE_BACK: Final = re.compile(
    r"^back (?:to|on) (?:\w+ing\b|work|school|uni\w*|college|meat|coffee|alcohol|sugar|dairy|cigarettes"
    r"|(?:the|my old) (?:ward|office|gym|stage|job|pill))"
)


def _refusing(verb: Verb, rest: str) -> list[Item]:
    """Read "won't touch anything with a face", "refuse to go to pantomimes" as what one never does."""
    inner = read_verb(rest.partition("to ")[2], 0, len(rest)) if verb.lemma == "refuse" else verb
    if (
        inner is None
        or not inner.lemma.isalpha()
        or inner.lemma in MOMENTS - among("go take get")
        or VAGUE.match(inner.rest)
        or DATED.search(rest)
        or (inner.lemma == "take" and "taking" in verb.words)
    ):
        return []
    key = head(re.sub(r"^\s*(?:to|any|anything)\s", "", inner.rest))
    item = Item(f"does: {inner.lemma} {key}", certainty=0.8) if key else None
    return [undone(item)] if item and verb.lemma == "refuse" else [item] if item else []


# ---------------------------------------------------------------- beginnings and ends


def _gerund(text: str) -> Verb | None:
    """Read "running every day" as the verb it names."""
    read = read_verb(f"I'm {text}", 1, len(text) + 4) if token_at(text.strip(), 0).endswith("ing") else None
    if read is None or not read.is_ongoing:
        return None
    read.is_ongoing = False
    return read


def _act(text: str) -> str:
    """Return the key of "going to the gym", "doing yoga", "running every day"."""
    low = text.casefold().strip()
    if light := re.match(
        r"(?:going|doing|taking|having|getting|making|using|seeing|offering)\s+(?:to|on|for|up)?\s*(.+)", low
    ):
        return head(light[1])
    return stem(token_at(low, 0))


def _ending(verb: Verb, what: str, who: str) -> list[Item]:
    low = what.casefold().rstrip(" .!,")
    if re.match(
        r"(?:my |the |her |his |our )?(?:[\w-]+ )?(?:job|position|notice|resignation|badge|post)\b", low
    ) or (verb.lemma == "quit" and not low):
        company = phrase(low.partition(" at ")[2], 3)
        return [Item(f"left: {company}") if company else no("job"), end("job"), end("employer")]
    if verb.lemma == "drop" and re.match(r"(?:my|the|his|her) \w+ (?:on|in|into|onto|down|off)\b", low):
        return []
    if read := _gerund(what):
        if read.lemma == "work":
            return [no("job"), end("employer", phrase(read.rest.partition(" ")[2], 3))]
        if (
            verb.is_able
            or read.lemma in ("be", "try")
            or read.lemma in MOMENTS - among("take go get keep make like love hate")
        ):
            return []
        return [undone(item) for item in meaning(read, who)] or [
            no("does: " + key) for key in [_act(what)] if key
        ]
    if re.match(r"[A-Z][\w&-]+(?: [A-Z][\w&-]+)?\W*$", what.strip()) and not verb.is_past_only:
        return [no("employer"), end("job"), end("does: " + head(what))]
    if re.match(r"(?:my|our|her|his)\s", low) and is_owned(low):
        return [no("has: " + thing(low))]
    is_one = verb.lemma in ("stop", "drop") and re.match(r"(?:the|an?|this|that)\s", low)
    is_act = bool(is_one) or low.endswith(" off")
    if (
        verb.is_denied
        or is_act
        or VAGUE.match(low)
        or re.match(r"(?:with|by|at|in|to|for|there|when|off|page|chapter|episode)\b", low)
    ):
        return []
    if re.search(r"\b(?:office|factory|company|firm|agency|bank|hospital|restaurant)$", low):
        return [Item("left: " + head(low)), end("job"), end("employer")]
    swapped = re.match(r"(.+?) for (?:the |an? )?(.+)", low)
    if swapped and verb.lemma in ("drop", "ditch"):
        return [no("does: " + head(swapped[1])), Item("does: " + head(swapped[2]))]
    return [no("does: " + key) for key in objects(re.sub(r"^(?:the|my|with)\s", "", low))[:3]]


_STUDIES: Final = re.compile(
    r"(?:a |my |the |her |his )?(?:\w+ )?(?:degree|studies|phd|master'?s|bachelor'?s|training|apprenticeship"
    r"|uni|university|school)\b"
)


def _beginning(verb: Verb, what: str, who: str) -> list[Item]:
    low = what.casefold().rstrip(" .!,")
    lemma = verb.lemma
    is_plan = verb.is_future or (DATED.search(low) and not verb.is_done)
    if verb.is_past_only or (
        lemma in ("start", "begin") and not (verb.is_done or verb.is_ongoing or is_plan)
    ):
        return []
    if is_plan:
        return [Item("plan: start " + head(low), days=PLAN_DAYS)] if head(low) else []
    if re.match(r"(?:a |my |the |this |her |his )?(?:new )?(?:\w+ )?(?:job|position|role|post|gig)\b", low):
        return _new_job(what)
    if found := re.match(r"as (?:an? |the )?([^,;.]{3,40})", low):
        return [Item("job", phrase(found[1])), end("employer")]
    if found := re.match(r"(?:at|with) (?:the )?([A-Z][\w &'-]{1,40}|[a-z ]{3,30})", what):
        place = phrase(found[1], 4)
        is_school = re.search(
            r"\b(?:school|primary|college|uni(?:versity)?|nursery|kindergarten|academy)\b", low
        )
        return [Item("studies" if is_school else "employer", place)] if place else []
    if _STUDIES.match(low):
        return [Item("studies", phrase(low, 6))]
    if re.match(r"(?:an?|my|the) (?:[\w-]+ ){0,2}project\b", low):
        return [Item("working on", phrase(low), days=240)]
    if own := re.match(r"(?:my|our|his|her|their) own (\w+(?: \w+)?)", low):
        return [Item("runs: " + head(own[1]))] if head(own[1]) else []
    if (read := _gerund(what)) is not None:
        if read.lemma in MOMENTS - among("take go get keep make"):
            return []
        found_items = meaning(read, who)
        is_told = (len(low.split()) > 1 or lemma == "take") and not (
            read.rest.strip(" .") and VAGUE.match(read.rest)
        )
        return found_items or [Item("does: " + key, certainty=0.7) for key in [_act(what)] if key and is_told]
    is_course = re.match(
        r"[a-z-]+ (?:classes|lessons|therapy|training|course|medication)|therapy|yoga|pilates|medication", low
    )
    is_taken_up = (
        lemma in ("take", "go")
        or (lemma == "get" and not re.match(r"(?:an?|the|my|his|her|trouble|bed)\b", low))
        or (lemma == "pick" and verb.is_done and PLAYED.match(low))
    )
    if not (is_course or is_taken_up) or VAGUE.match(low):
        return []
    return [Item("does: " + key) for key in objects(low)[:3]]


PLAYED: Final = re.compile(
    r"\w+ing\b|the (?:guitar|piano|violin|cello|flute|drums|accordion|banjo|ukulele)|yoga|chess|tennis|golf"
)


def _new_job(text: str) -> list[Item]:
    """Read "a new job as a nurse at the clinic": it ends the old job and the old employer."""
    low = text.casefold()
    role = re.search(
        r"\b(?:as|being)\s+(?:an? |the )?([^,;.!]{3,40}?)(?=\s(?:at|in|for|with)\s|[,;.!]|$)", low
    )
    before = re.match(
        r"(?:an? |the |my |her |his |that )?(?:new )?(?:(\w+(?: \w+)?) )?(?:job|position|post|role)\b", low
    )
    value = phrase(role[1]) if role else (before[1] or "") if before else ""
    value = (
        ""
        if re.match(r"(?:dream|perfect|great|first|second|real|proper|full[- ]time|part[- ]time)\b", value)
        else value
    )
    place = re.search(r"\b(?:at|with|for|in)\s+(?:the |an? )?([^,;.!]{2,40})", text)
    company = phrase(place[1], 4) if place else ""
    is_time = re.match(rf"(?:last|the end|{MONTH}|\d)", company)
    return [
        Item("job", value if value not in ("", "new", "the", "a new") else "new job"),
        Item("employer", company) if company and not is_time else end("employer"),
    ]


_CHANGED: Final = re.compile(
    r"\b(bank|doctor|dentist|job|phone|number|phone number|gym|school|name|email|address|provider|insurance"
    r"|car"
    r"|religion|surname|major|tutor|course)s?\b"
)


def _switching(verb: Verb, low: str) -> list[Item]:
    """Read "switched banks to Nordea", "swapped Canton for Penarth", "replaced it with a Leaf"."""
    if not verb.is_done or verb.is_denied or re.match(r"(?:off|on)\b", low):
        return []
    found = re.search(r"(?:^|\s)(?:from (.+?) )?(?:to|for|with|by)\s+([^,;.!]+)", low)
    what = re.split(r"(?:^|\s)(?:from|to|for|with|by)\s", low, maxsplit=1)[0].strip() if found else low
    noun = _CHANGED.search(what or low)
    target = phrase(found[2], 4) if found else ""
    if (
        VAGUE.match(target)
        or DATED.search(target)
        or re.match(r"\d|(?:mon|tues|wed|thurs|fri|sat|sun)", target)
    ):
        return []
    if noun and noun[1] == "job":
        return [Item("job", target or "new job"), end("employer")]
    if noun and found and noun[1] in ("course", "tutor"):
        return [Item("course: " + head(found[2])), end("course", head(what))]
    if noun:
        return [Item(noun[1], target) if target else end(noun[1])]
    if found and re.match(r"(?:part[- ]time|full[- ]time|nights|days|four days)", target):
        return [Item("work hours", target)]
    if not (found and target):
        return []
    source = found[1] or what
    if source in ("me", "us", "him", "her", "you"):
        return []
    new = thing(found[2])
    items = [Item("has: car", target)] if new == "car" else [Item("uses: " + head(found[2]))]
    if source and not VAGUE.match(source) and (old := head(source)):
        # What the old thing filled is found among the memories.
        items[0] = replace(items[0], slot=f"swap: {old}", value=target) if new != "car" else items[0]
        items += [end(f"{family}: {old}") for family in ("taste", "drinks", "uses", "plays", "does")]
        items += [end("bank", phrase(source, 3))]
    return items


# ---------------------------------------------------------------- having and being

_NAMED: Final = re.compile(rf"\b(?:called|named|,)\s+({N}(?:(?:,| and|, and) {N})*)")


def _people_had(verb: Verb, rest: str, low: str) -> list[Item] | None:
    """Read "have two sisters", "have a dog called Pip"; None where it is not of people or pets."""
    if verb.is_past and not verb.is_past_only:
        born = re.match(r"(?:an?|our|my|her|his) (?:\w+ )?(?:baby|daughter|son|boy|girl|child|twins)\b", low)
        return [Item("children", phrase(rest, 4))] if born else []
    short = re.split(r"\s(?:who|that|to|at|with|from|in|of)\s", low)[0]
    called = _NAMED.search(rest)
    names = re.findall(N, called[1]) if called else []
    counted = re.match(r"(an?|one|two|three|four|five|six|seven|\d|no|any|another|twin|several)\b", low)
    if counted and (person := re.search(rf"\b({PERSON})\b", short)):
        relation = relation_of(person[1])
        if names:
            return [Item(f"{relation}: {name.casefold()}", relation) for name in names]
        if relation in among("wife husband partner girlfriend boyfriend"):
            return [Item("partner", relation)]
        if relation in among(
            "children child son daughter sister brother sibling siblings twin twins grandchild"
        ):
            key = "children" if relation in ("child", "children") else relation
            return [Item(f"number of {key}", counted[1])]
        if len(short.split()) <= 4 and not EVENT.search(short):
            return [Item(relation)]
    if counted and (pet := re.match(rf"(?:[\w-]+ ){{1,3}}({PET})\b", short)):
        found = [Item(f"pet: {name.casefold()}", stem(pet[1])) for name in names]
        return found or [Item("pet: " + stem(pet[1]), token_at(low, 0))]
    if verb.is_future:
        return [Item("plan: " + head(rest), days=PLAN_DAYS)] if EVENT.search(low) else []
    return None


_QUALITY: Final = ADVERBS - among("back first last each long together kind sort no not never always")


def _being(verb: Verb, who: str) -> list[Item]:
    """Read what someone is, has become or is called."""
    if verb.is_past and not verb.is_past_only and not verb.is_perfect:
        return []
    rest = verb.rest.strip()
    if verb.is_past_only and not verb.is_denied:
        trade = [one for one in _profession(rest, rest.casefold(), who) if one.slot == "job"]
        if trade:  # what somebody was is worth knowing, too
            return [*trade, Item("past job: " + trade[0].value)]
    while (word := token_at(rest, 0)) in _QUALITY or word in ("not", "never", "no"):
        if word == "no" and not re.match(r"no longer\b", rest, re.IGNORECASE):
            break
        verb.is_denied = verb.is_denied or word in ("not", "never")
        verb.is_over = verb.is_over or word == "no"
        rest = rest[len(word) + (7 if word == "no" else 0) :].lstrip(" ,")
    low = rest.casefold().rstrip(" .,!*_")
    if verb.is_future:
        if re.match(r"an? (?:mum|mom|dad|aunt|uncle|grand\w+|father|mother)\b", low):
            return [Item("expecting", phrase(low, 3), days=270)]
        if role := re.match(
            r"(?:an? |the |my |our |[\w' ]{2,20}'s )?((?:\w+ )?(?:bridesmaid|best man|maid of honour"
            r"|witness|god\w+))\b",
            low,
        ):
            return [Item("role: " + role[1])]
        return [Item("plan: birthday", low[:2], days=PLAN_DAYS)] if re.match(r"\d\d\b", low) else []
    if into := re.match(r"\w+ (?:weeks?|months?|days?|years?) into ((?:my|the|her|his) new job.*)", rest):
        return _new_job(into[1])
    if (found := _by_rules(_BEING, verb, rest, who)) is not None:
        return found
    if re.match(r"(?:in|at|on|to|so|too|very|all|more|like|as|not|about|here|there|up|down|out|off)\b", low):
        return []
    if (
        not who
        and not re.match(r"an?\s|the\s", low)
        and not verb.is_denied
        and not verb.words.lstrip().startswith(("we", "both"))
        and (name := re.match(rf"({N}(?: {N})?)(?=\s*(?:[,.!]|$))", rest))
    ):
        return (
            [Item("name", name[1].casefold(), certainty=0.9)] if name[1].split()[0] not in NOT_NAMES else []
        )
    return _profession(rest, low, who)


def _profession(rest: str, low: str, who: str) -> list[Item]:
    noun = re.match(
        r"(an?|the|one of (?:the|two|three)|his|her)\s+(.+)", rest.rstrip(" .,!*_"), re.IGNORECASE
    )
    if noun is None:
        bare = _BARE_JOB.match(low)
        return [Item("job", phrase(low, 4))] if bare and len(low.split()) <= 6 else []
    words = re.split(
        r"\s(?:who|that|which|at|in|for|with|by|from|and|of (?:this|that|my|our|the)|of(?= \w+ of))\s",
        noun[2],
    )
    what = phrase(words[0], 6)
    if re.match(r"(?:freshman|sophomore|junior|senior)$", what):
        return [Item("studies", what)]
    if re.match(r"(?:good|bad|great|gifted|terrible|slow|fast|lazy|bit of|im\w+|better|best)\b", what):
        return []
    if not what or _NOT_TRAIT.search(what) or VAGUE.match(noun[2]):
        return []
    if re.match(r"\w+ (?:generation )?[A-Z]\w+(?:ian|er|an)$", noun[2].strip(" .,!")):
        return []  # "a Californian", "a New Yorker"
    if _is_job(what):
        company = re.search(r"\b(?:at|for|of|with)\s+(?:the )?([A-Z][^,;.!]{1,40})", rest)
        return [Item("job", what)] + ([Item("employer", phrase(company[1], 4))] if company else [])
    if re.match(r"(?:mother|father|mum|dad|aunt|uncle|grandmother|grandfather|parent|owner)\b", what):
        return [Item(what.split()[0] + ": " + (head(noun[2].partition(" of ")[2]) or "yes"))]
    if noun[1] == "the" and not re.search(r"\b(?:only|youngest|oldest|eldest|middle|organi[sz]er)\b", low):
        return []
    if who[:1].isupper():
        return []  # "Kickboxing is a great way": a capital is not yet a person
    return [Item("is: " + head(what), certainty=0.6)]


_BARE_JOB: Final = re.compile(
    r"(?:acting |deputy |assistant |senior |junior |chief |interim |head |co-)*(?:head|director|manager"
    r"|editor|principal|lead|ceo"
    r"|cto|chef|teacher|nurse|engineer|doctor|lawyer|baker|artist|professor)(?: (?:of|at|for|in) .+)?$"
)


def _is_job(what: str) -> bool:
    last = re.split(r" (?:of|at|for|in) ", what)[0]
    return _JOB.search(last, max(0, last.rfind(" "))) is not None and _NOT_JOB.search(last) is None


# ---------------------------------------------------------------- habits


def _habit(verb: Verb) -> list[Item]:
    """Return the habit a clause in the present tense tells of; none without a word for how often."""
    low = verb.rest.casefold().strip(" .,!*_")
    is_daily = verb.lemma in among("get wake go eat start finish sleep") and not verb.is_ongoing
    if verb.is_done or verb.is_future or (verb.is_ongoing and DATED.search(low)):
        return []
    is_new = verb.lemma not in _MUSING | _MOMENTARY and _NOW.search(verb.words) is not None
    is_daily = is_daily or (
        verb.is_third and verb.lemma not in _MOMENTARY | among("arrive land open close begin end")
    )
    if not verb.is_often and not is_new and not (is_daily and CLOCK.search(verb.words)):
        return []
    key = head(re.sub(r"^(?:to the|to|the|for a|for|a|by|at)\s", "", low))
    if verb.lemma in among("read put let set cut hurt quit") and re.search(
        r"\b(?:last|yesterday|ago|this)\b", verb.words
    ):
        return []  # may be past
    if not verb.is_known and not (verb.is_third or len(verb.lemma) > 3):
        return []
    if re.match(r"(?:sure|what|why)\b", low) or re.search(r"\bevery ?time\b", verb.words):
        return []
    if (not key and verb.lemma in among("do get make take go be")) or verb.lemma == "have":
        return []
    return [Item(f"habit: {verb.lemma} {' '.join(key.split()[:2])}".strip())]


_NOW: Final = re.compile(r"(?<!right )(?<!just )(?<!for )(?<!by )\bnow(?=\W*$|\s*[,.;!])")
_MOMENTARY: Final = among(
    "need want go come leave see be get have let look like love hate stop start call miss sound"
)
# Verbs that tell of somebody without an object: "she knits", "the baby crawls".
_ALONE: Final = among(
    "knit swim sing cook drive smoke vape crawl cycle dance paint run jog garden bake read write draw sew"
    " ski surf sail row"
    " fish hunt climb hike box fence stutter stammer snore faint gamble commute freelance"
)
_FOR_SOME_TIME: Final = re.compile(
    r"\b(?:until|till|for the (?:next|rest)|these days|this (?:year|term|season|summer|winter)|since"
    r"|for (?:\w+ ){1,2}(?:weeks|months|years))\b"
)
_RARELY_TOLD: Final = among(
    "stay focus support hit put let set cut hurt shut split underestimate remind share use"
)
_MUSING: Final = among(
    "recommend suggest advise seem need remember keep try end think feel wonder forget want say hope know "
    "tell find thank mean expect believe wish"
)


def _fallback(verb: Verb) -> list[Item]:
    """Read a plain present tense that has no rule of its own as a habit or a trait."""
    low = verb.rest.casefold().strip(" .,!*_")
    if verb.is_perfect and verb.is_denied and "never" in verb.words.split()[:4]:
        is_told = verb.lemma not in among("see hear feel think know meet have say") and not (
            low and VAGUE.match(low)
        )
        is_now = re.search(r"\b(?:so|more|such|that|like this|before in|this)\b", low)
        key = f"has never: {verb.lemma} {head(low)}".strip()
        is_whole = head(low) or verb.lemma in among(
            "fly marry drive swim ski smoke drink dance vote gamble cook"
        )
        return [Item(key, "no", True)] if is_told and not is_now and is_whole else []
    if verb.is_done or verb.is_future or verb.is_modal or verb.is_past_only:
        return []
    if verb.is_ongoing and _FOR_SOME_TIME.search(verb.words) and verb.lemma not in MOMENTS and head(low):
        return [Item(f"doing: {verb.lemma} {head(low)}", days=240)]
    if verb.is_ongoing:
        looked = re.match(
            r"for (an? |my )?(?:\w+ )?(?:job|flat|place|apartment|house|room|work|flatmate|partner|school)\b",
            low,
        )
        return (
            [Item("plan: look " + head(low[4:]), days=PLAN_DAYS)] if verb.lemma == "look" and looked else []
        )
    if re.match(r"each other|like |as ", low):
        return []
    if habit := _habit(verb):
        if verb.lemma in ("forget", "lose", "miss") and re.search(
            r"\b(?:always|never|constantly)\b", verb.words
        ):
            return [Item(f"habit: {verb.lemma} {head(low)}")] if head(low) else []
        return habit if verb.lemma not in _MUSING else []
    if (
        verb.lemma in MOMENTS | _RARELY_TOLD
        or not verb.is_known
        or len(verb.lemma) < 3
        or (VAGUE.match(low) is not None if low else verb.lemma not in _ALONE)
        or (verb.lemma == "read" and not verb.is_third)
        or re.match(r"(?:you|your|me|now|back|off|up|down|out|this|that)\b", low)
        or (len(low.split()) < 2 and not verb.is_denied and not verb.is_third)
    ):
        return []
    return [Item(f"does: {verb.lemma} {' '.join(head(low).split()[:2])}".strip(), certainty=0.6)]


# ---------------------------------------------------------------- kept in the person's words

# What is said to somebody or points at something, and what holds for the moment only.
_POINTS: Final = re.compile(
    r"\b(?:you|your|yours|this|that|these|those|here|there|what|which|how|why|whether|if|someone|somebody"
    r"|something"
    r"|nothing|anything|everything|so|such|too|enough|like (?:an?|the|one)|as|than)\b|^\W*(?:it|them|him"
    r"|her|one|me|us)(?=\W|$)"
)
_OF_THE_MOMENT: Final = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|now|just|already|yet|currently|later|soon|again|finally|at last"
    r"|suddenly"
    r"|almost|nearly|this \w+|last \w+|next \w+|a (?:minute|moment|bit)|at the moment|for once|o'clock"
    r"|morning|afternoon"
    r"|evening|all day|also see|clearly|obviously|officially|legally|basically|practically)\b"
)
_NO_KIND: Final = re.compile(
    r"\W*(?:an? |the )?(?:\w+ ){0,2}?(?:idiot|fool|mess|wreck|\w*model|millionaire|genius|hero|legend|saint"
    r"|king|queen"
    r"|god|goddess|zombie|ghost|vampire|robot|pope|spy|unicorn|wizard|monster|machine|disaster|joke|shame"
    r"|pity|matter|bit|lot"
    r"|minute|hour|day|week|mile|way|size|case|problem|question|fan|member|sign|symptom|result|reason|start"
    r"|thing)\b"
)
_TALK: Final = (
    MOMENTS
    | _TASTES
    | among(
        "live work move apologise appreciate bet check claim count fail find focus follow guarantee hear"
        " imply insist jump mark note offer point"
        " post print recall reckon refuse repeat rest risk second serve set share shout spot stick suspect"
        " talk tend tip touch"
        " welcome wonder write read pick cut put hit let hurt split set save deserve require search type"
        " use change move open close"
        " start stop finish book sign accept confirm attend add order"
    )
)


# What one cannot do for good; "I can't get my card to work" is of the moment.
_BEYOND: Final = among(
    "abide be bake climb cook cope dance deal do draw drink eat get handle live read resist ride sing sit"
    " sleep smell"
    " spell stand stomach swim taste tolerate trust type whistle"
)


def kept(verb: Verb, who: str) -> list[Item]:
    """Return a plain statement of what lasts, which no rule knows, to be kept in the words it was said in.

    A present tense without a word of the moment, a noun one is, what one cannot do, what one has never done.
    """
    low = verb.rest.casefold().strip(" .,!*_")
    if verb.is_modal or verb.is_future or verb.is_past_only or (verb.is_past and not verb.is_perfect):
        return []
    if _OF_THE_MOMENT.search(verb.words) or _POINTS.search(low) or not low:
        return []
    words = low.split()
    if verb.is_perfect:
        is_never = verb.is_denied and re.search(r"\b(?:never|ever|since)\b", verb.words) is not None
        is_told = verb.lemma not in among("see hear feel think know meet have say tell")
        if not (is_never and is_told) and not (verb.lemma == "be" and verb.is_lasting):
            return []
    elif verb.lemma == "be":
        is_kind = re.match(r"(?:an?|one of|the (?:best|worst|only|oldest|youngest|first|last)|no) \w", low)
        if not is_kind or who[:1].isupper() or _NO_KIND.match(low):
            return []
    elif verb.is_ongoing:
        return []
    elif verb.is_able and verb.is_denied and verb.is_over:
        pass  # "I can't sit through a film any more"
    elif verb.is_able:
        is_on = verb.lemma != "get" or re.match(r"on with|used to|by without", low)
        if not (verb.is_denied and verb.lemma in _BEYOND and is_on and words[1:]):
            return []
    elif (
        verb.lemma in _TALK
        or verb.lemma == "do"
        or not (verb.is_known or verb.is_third)
        or (who and not verb.is_third)
        or (len(words) < 2 and not verb.is_denied)
    ):
        return []
    key = " ".join(dict.fromkeys(f"{verb.lemma} {phrase(verb.rest, 4)}".split()))
    return [Item("told: " + key, certainty=0.6)]
