"""Words: an English sentence cut into clauses, each with whom it is about and what it fills.

A clause gets a subject (the speaker, "my sister", a name, "she" for whoever was named last) and a verb;
:mod:`ragperso.claims.rules` says what that fills, :mod:`ragperso.claims.loose` reads what is left over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ragperso.claims.clauses import (
    HEDGE,
    MAX_CLAUSES,
    PLAN_DAYS,
    SICK_DAYS,
    Clause,
    Item,
    Scene,
    claim,
    end,
    is_coming,
    no,
    turned,
)
from ragperso.claims.loose import IS_CLEFT, IS_FAVOURITE, effect_on_me, loose_items
from ragperso.claims.rules import kept, meaning
from ragperso.claims.verbs import (
    ADJ,
    ADVERBS,
    CHANGE,
    DATA,
    DATED,
    EVENT,
    FORMS,
    HEALTH,
    LANGUAGE,
    MACROS,
    MOMENTS,
    MONTH,
    NAMES,
    NOT_NAMES,
    PART,
    PERSON,
    PET,
    REGULAR,
    STATES,
    TITLE,
    N,
    Verb,
    among,
    head,
    is_owned,
    phrase,
    place,
    read_verb,
    relation_of,
    stem,
    thing,
    token_at,
    words_of,
)
from ragperso.types import Claim


def sentence(plain: str, scene: Scene) -> Iterator[Claim]:
    """Yield the claims of one English sentence, with their offsets in it."""
    clauses = _clauses(plain, scene)
    for clause in clauses:
        hedged = HEDGE.search(plain, max(0, clause.start - 30), clause.stop) is not None
        certainty = (0.4 if hedged else 1.0) * (1.0 if clause.is_certain else 0.8)
        for item in _read(plain, clause, scene):
            yield claim(item, clause.start, clause.stop, plain, clause.subject, scene, certainty=certainty)
    certainty = 0.4 if HEDGE.search(plain) else 1.0
    at = 0
    for after in [*clauses, None]:
        stop = after.start if after is not None else len(plain)
        for a, b in _left_over(plain, at, stop):
            for _ in range(3):
                found = list(loose_items(plain[a:b], scene))
                opener = None if found else _OPENER.match(plain, a, b)
                if opener is None:
                    break
                a = opener.end()
            for item, c, d, who in found:
                yield claim(item, a + c, a + d, plain, who, scene, certainty=certainty)
        if after is not None:
            at = max(at, after.stop)
    if scene.is_prose and not scene.owner:
        yield from _mentioned(plain, scene)


_KIN_NAMED: Final = re.compile(rf"\b(?:[Mm]y|[Oo]ur) (?:{ADJ})(?P<rel>{PERSON}),? (?P<name>{NAMES})\b(?!')")


def _mentioned(plain: str, scene: Scene) -> Iterator[Claim]:
    """Yield who somebody is that prose speaks of by the way: "a week with my mother Maureen"."""
    for match in _KIN_NAMED.finditer(plain):
        name = match["name"]
        if name.split()[0] not in NOT_NAMES and name not in scene.introduced:
            scene.introduced.add(name)
            item = Item("relation", relation_of(match["rel"]))
            yield claim(item, *match.span(), plain, name, scene, certainty=1.0)


_LOOSE_END: Final = re.compile(
    r"[;:!?…]+(?=\s|$)|\.(?=\s|$)|\s[-–]+\s|—|,?\s(?:so|but|and|because)\s(?=(?:no|the|my|our|it's|her|his"
    r"|it)\b)"
    r"|,\s(?=(?:so|no)\s)"
)


def _left_over(plain: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of ``plain[start:end]`` that no clause has taken."""
    at = start
    if start == 0 and end == len(plain) and ":" in plain[:40]:
        yield 0, end  # "New address: ..."
        at = plain.find(":", 0, 40) + 1
        if end - at > 5 and plain.count(" ", at, end) < 12:
            yield at, end
        return
    for mark in _LOOSE_END.finditer(plain, start, end):
        if mark.start() - at > 5:
            yield at, mark.start()
        at = mark.end()
    if end - at > 5:
        yield at, end


# ---------------------------------------------------------------- subjects

_NAME: Final = rf"(?P<name>,? (?!I\b|I'){NAMES})?,?(?=\s|')"
_ONE: Final = rf"(?P<name>,? (?!I\b|I'){N})?,?(?=\s|')"
_THING_VERBS: Final = DATA["thing_verbs"].replace("\n", "").strip()
_PAIR_VERBS: Final = (
    "are have were got both live moved own bought don't aren't will want had run broke split know".split()
)
_SUBJECTS: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("i", rf"(?:(?:my|our) {ADJ}{PERSON}(?: {N})?|{N}|me) and (?:[Ii]|me|myself)(?=\s)|(?:[Ii]|me) and"
              rf" (?:my {ADJ}{PERSON}|{N})(?=\s)|[Bb]oth of us(?=\s)"),
        ("i", r"(?:[Ii](?=(?:ve|m)\s)|(?:[Ii]|[Ww]e(?!\sall\b))(?=['\s]))"
              r"(?: (?:both|two|personally|myself))?"),
        ("appos", rf"(?P<name>{NAMES}), (?:[Mm]y|[Oo]ur) {ADJ}(?P<rel>{PERSON}|{PET}),"),
        ("name", rf"(?P<name>{NAMES}), the (?:(?:eld|young|old|bigg|small|tall)est|middle one|baby"
         rf"|twin)[^,;.]{{0,20}},"),
        ("pair", rf"(?P<one>(?:(?:[Mm]y|[Oo]ur) {ADJ}{PERSON} )?{N}|[Hh]e|[Ss]he|(?:[Mm]y"
                 rf"|[Oo]ur) {ADJ}{PERSON}) and"
                 rf" (?:(?:my|our|his|her|their|the) {ADJ}{PERSON}|{N})(?=\s(?:{'|'.join(_PAIR_VERBS)})\b)"),
        ("both", rf"(?P<one>{N}) and (?P<two>{N})(?='s\s)"),
        ("kin", rf"(?:[Mm]y|[Oo]ur|[Bb]oth(?: my| our| the)?) (?P<adj>{ADJ})(?P<rel>{PERSON})(?! tongue| "
                rf"language| board"
                rf"| nature| in law)(?:'s (?P<rel2>{ADJ}{PERSON}))?{_NAME}"),
        ("pet", rf"(?:[Mm]y|[Oo]ur|[Tt]he) {ADJ}(?P<rel>{PET}){_ONE}"),
        ("folk", rf"(?:[Tt]he|[Aa]|[Aa]n|[Oo]ne of (?:my|the|our)|[Ss]ome of my|[Tt]wo of my) "
                 rf"{ADJ}(?P<rel>(?!eldest|youngest){PERSON}|(?:woman|man|lady|bloke|guy|couple|family"
                 rf"|student)(?= (?:next door|upstairs|downstairs"
                 rf"|opposite|across)))(?: (?:next door|upstairs|downstairs|opposite))?"
                 rf"(?: of (?:mine|ours))?(?: (?:from|at|in|next) \w+(?: \w+)?)?{_NAME}"),
        ("theirs", rf"(?:[Hh]is|[Hh]er|[Tt]heir) (?P<adj>{ADJ})(?P<rel>{PERSON}|{PET}){_ONE}"),
        ("mine", r"(?:[Mm]y|[Oo]ur) (?P<thing>[^\W\d_][\w'-]*(?: (?!(?:is|are|was|were|has|will|isn't)\b"
                 r"|(?:start|leave"
                 r"|end|come|doe|take|goe|get)s?\b)[\w'-]+){0,4}?)(?=\s+(?:" + _THING_VERBS + r")\b|'s\s)"),
        ("they", r"(?P<pro>[Hh]e|[Ss]he|[Tt]hey)(?=\s|')"),
        ("mum", r"(?P<rel>Mum|Mom|Mama|Dad|Papa|Grandma|Grandpa|Gran|Granny|Nana|Oma|Opa|Mummy|Daddy|Mam"
                r"|Mammy|Nan|Nanna|Grandad|Hubby|mum"
                r"|mom|dad|grandma"
                r"|grandpa|gran)(?=\s|')"),
        ("name", rf"(?:[Oo]ur )?(?P<name>{NAMES})(?: (?:next door|upstairs|downstairs|(?:from|in|at|of) "
                 rf"(?:the |my )?[\w'-]+"
                 r"(?: [\w'-]+)?))??,?(?=\s|')"),
    )
)  # fmt: skip
_ADDITION: Final = re.compile(
    r",? (?:next door|upstairs|downstairs|across the (?:road|street|hall)|(?:from|in|at|of|on) (?:the |my "
    r"|our )?[\w'-]+"
    r"(?: (?!is|has|says|said|moved|hates|loves|takes|keeps)[\w'-]+)?),?(?=[\s'])"
)
_Subject = tuple[str, str, int, "re.Match[str] | None"]


def _subject(plain: str, at: int, scene: Scene) -> _Subject | None:
    """Return (kind, who, end, match) of the subject at ``at``."""
    for kind, pattern in _SUBJECTS:
        if match := pattern.match(plain, at):
            return _of_kind(kind, match, plain, scene)
    return None


def _of_kind(kind: str, match: re.Match[str], plain: str, scene: Scene) -> _Subject | None:
    stop = match.end()
    if kind == "i":
        return "i", scene.owner, stop, match
    if kind == "mine":
        thing = match["thing"]
        if (
            match.group()[:3].lower() == "our"
            and thing[:1].isupper()
            and " " not in thing
            and thing not in NOT_NAMES
        ):
            return "other", thing, stop, match  # "our Kasia", as in the north of England
        return "mine", scene.owner, stop, match
    if kind == "they":
        return ("other", scene.other, stop, match) if scene.other else None
    if kind == "pair":
        return _pair(match, scene)
    if kind == "both":  # "Ida and Per's son" is not Per's alone
        one, two = match["one"], match["two"]
        if one in NOT_NAMES or two in NOT_NAMES or not _owns(plain, stop):
            return None
        return _owned(plain, stop, f"{one} and {two}")
    if kind == "name":
        return _named(match, plain, scene)
    named = (match.groupdict().get("name") or "").strip(" ,")
    if named and (named.split()[0] in NOT_NAMES or named.isupper()):
        named, stop = "", match.start("name")
    while stop > match.start() and plain[stop - 1] == ",":
        stop -= 1
    relation = relation_of(match["rel"])
    if re.fullmatch("woman|man|lady|bloke|guy|couple|family|student", match["rel"]) and kind == "folk":
        relation = "neighbour"
    if scene.owner and kind in ("kin", "mum", "pet", "folk") and not named:
        # Not to be taken for the relation of whom the memories are about.
        return "none", scene.owner, stop, match
    if kind == "pet" or (kind == "theirs" and re.fullmatch(PET, match["rel"].lower())):
        if plain[stop : stop + 2] == "'s" and _owns(plain, stop):
            return None
        return "pet", named or stem(match["rel"].lower()), stop, match
    if kind == "kin" and match["rel2"]:
        relation = f"{relation}'s {relation_of(match['rel2'].split()[-1])}"
    if kind == "theirs" and scene.other and not named:
        relation = f"{scene.other}'s {relation}"
    if plain[stop : stop + 2] == "'s" and _owns(plain, stop):
        return _owned(plain, stop, named or relation)
    return "other", named or relation, stop, match


def _pair(match: re.Match[str], scene: Scene) -> _Subject | None:
    first = match["one"]
    if first.casefold() in ("he", "she"):
        first = scene.other
    elif kin := re.match(rf"(?:my|our) {ADJ}({PERSON})(?: ({N}))?$", first, re.IGNORECASE):
        first = kin[2] or relation_of(kin[1])
    return ("other", first, match.end(), match) if first and first not in NOT_NAMES else None


def _named(match: re.Match[str], plain: str, scene: Scene) -> _Subject | None:
    words = match["name"].split()
    if (
        words[0].casefold() in FORMS
        or IS_FAVOURITE.match(plain, match.start())
        or IS_CLEFT.match(plain, match.start())
        or effect_on_me(plain[match.start() :])
    ):
        return None
    if (
        words[0] in NOT_NAMES
        or words[0].casefold() in ADVERBS
        or (match["name"].isupper() and len(match["name"]) > 1 and len(words[0]) < 2)
    ):
        return None
    name, stop = match["name"], match.end()
    if len(words) > 1 and words[1] in NOT_NAMES:
        name, stop = words[0], match.start("name") + len(words[0])
    if (plain[stop - 1 : stop] == "," and ", the " not in match.group()) or name in scene.things:
        return None
    if scene.speaker and is_same(name, scene.speaker):
        return "i", scene.owner, stop, match
    if plain[stop : stop + 2] == "'s" and _owns(plain, stop):
        return _owned(plain, stop, name)
    return "other", name, stop, match


def is_same(name: str, speaker: str) -> bool:
    left, right = name.casefold().split(), speaker.casefold().split()
    return left == right or left[:1] == right[:1]


_OWNED_NOUN: Final = re.compile(
    rf"(?:{ADJ}{PERSON}\b|{ADJ}{PET}\b|(?:name|birthday|job|house|flat|wedding|operation|surgery|hip|phone"
    rf"|number|address"
    r"|car|favou?rite|due date|email|mail|baby|exam|boss|school|workshop|class|team|new \w+|\w+ "
    r"(?:operation|surgery"
    r"|appointment|party|play))\b)",
    re.IGNORECASE,
)
_NOT_OWNED: Final = among(
    "a an the in at on from been got my back away off coming our allergic pregnant vegan vegetarian moving "
    "born into not no"
    " one two out over up so too very old here with gone had left scared afraid"
)


def _owns(plain: str, at: int) -> bool:
    """Say whether "'s" at ``at`` is a genitive: "Tom's sister", not "Tom's moving"."""
    low = token_at(plain, at + 3)
    if not low or low.endswith("ing") or low in ADVERBS or low in STATES or low in _NOT_OWNED:
        return False
    return _OWNED_NOUN.match(plain, at + 3) is not None


_KIN_OF: Final = re.compile(rf"{ADJ}(?P<rel>{PERSON}){_ONE}")
_THING_OF: Final = re.compile(r"(?P<thing>[\w'-]+(?: [\w'-]+){0,2}?)(?=\s(?:is|are|was|'s)\b|'s\s)")


def _owned(plain: str, at: int, owner: str) -> _Subject | None:
    """Read "Tom's sister" or "Tom's birthday" behind the owner."""
    if match := _KIN_OF.match(plain, at + 3):
        named = (match["name"] or "").strip(" ,")
        named = "" if named.split(" ")[0] in NOT_NAMES else named
        stop = match.end() if named else match.end("rel")
        while plain[stop - 1] == ",":
            stop -= 1
        return "other", named or f"{owner}'s {relation_of(match['rel'])}", stop, match
    if match := _THING_OF.match(plain, at + 3):
        return "mine", owner, match.end(), match
    return None


# ---------------------------------------------------------------- clauses

_I: Final = r"(?:[Ii]|[Ww]e)(?=['\s])"
_OPENER: Final = re.compile(
    rf"(?:{DATA['openers'].strip()}\n)(?:\s*[,:!.–—-]+\s*|\s+)(?=\S)", re.IGNORECASE | re.VERBOSE
)
# Time and place before the subject: "On weekdays I ...", "Since March, I ...", "At the office we ...".
_LEAD: Final = re.compile(
    rf"(?!(?:after|before|until|till|since|by)\s+(?:{_I}|my|our|he|she|they)\b)"
    "(?:on|in|at|for|every|each|since|from|during|after|before|by|until|till|last|this|next|most|mondays?"
    "|tuesdays?"
    "|wednesdays?|thursdays?|fridays?|saturdays?|sundays?|weekends|mornings|evenings|as of|as a|as an|when "
    "it comes to|with"
    rf"|apart from|besides|\d{{1,2}} (?:years?|months?|weeks?) ago)\b(?! time\b)"
    r"(?![^,;:.]{0,60}?\b(?:is|was|are|were|has|have|had|when|that|if|what|who|where|why|how)\b)"
    rf"[^;:.]{{0,60}}?,?\s+(?={_I}|(?:my|our)\s"
    rf"|(?:he|she|they)(?:'|\s)|the doctor)",
    re.IGNORECASE,
)
# Where a clause may begin, and what ends one though none begins.
_BOUND: Final = re.compile(
    r"[;:!?…()\[\]]+\s*|\.{1,4}\s+|\s?—\s?|\s[-–]+\s|,\s*|\s(?:and|but|so|because|cause|although|though"
    r"|whereas|while|who"
    r"|then|or|plus|except|that)(?=[\s'])\s{0,3}",
    re.IGNORECASE,
)
_STRONG: Final = re.compile(
    r"[;:!?…()\[\]]+(?=\s|$)|\.{2,}|\.(?=\s+\S)|\s?—\s?|\s[-–]+\s|,?\s(?:but|because|cause|although|though"
    r"|whereas|while"
    r"|since(?=\s(?:I|i|we|my)\b)|so(?=\s(?:the|it|that|please|no|don't|you|if|there)\b))\s"
    r"|,\s(?:please|don't|ask|wish|save|send|mail|see|say|so|no\smore|which|where|when|and\s(?:it|the|this"
    r"|that|you|there|then|now)|until|unless|like|as|in\scase"
    r"|of\sall)\s",
    re.IGNORECASE,
)


def _clauses(plain: str, scene: Scene) -> list[Clause]:
    """Return the clauses of a sentence whose subject is known, in order, each with its end."""
    found: list[Clause] = []
    places = {0: (0, "")}
    for bound in _BOUND.finditer(plain):
        places.setdefault(bound.end(), (bound.start(), bound.group().strip().lower()))
        if len(places) > 3 * MAX_CLAUSES:
            break
    done = 0
    for at, (before, bound_word) in places.items():
        if at < done or (clause := _opens(plain, at, scene, found, bound_word)) is None:
            continue
        if found:
            found[-1].stop = min(found[-1].stop, before)
        strong = _STRONG.search(plain, clause.at)
        clause.stop = strong.start() if strong else len(plain)
        done = clause.at
        found.append(clause)
        if len(found) >= MAX_CLAUSES:
            break
    return found


_UNSURE: Final = re.compile(r"apparently|i (?:heard|think|guess|believe|suppose)", re.IGNORECASE)
_MET: Final = re.compile(
    rf"^\W*(?:[Hh]er|[Hh]is|[Tt]heir)(?: first| full)? name(?:'s| is)\s+(?P<name>{NAMES})"
)


def _opens(plain: str, at: int, scene: Scene, found: list[Clause], bound: str) -> Clause | None:
    """Return the clause that begins at ``at``, if one does."""
    begin, certain = at, True
    if bound == "that" and not (found and found[-1].kind == "none"):
        return None
    for _ in range(4):
        opener = _OPENER.match(plain, at)
        if opener is None:
            break
        if opener.group()[:2].lower() in ("i ", "we", "i'") and _subject(plain, opener.end(), scene) is None:
            break  # "I know Morse code", not "I know that I ..."
        at = opener.end()
        certain = certain and _UNSURE.match(opener.group()) is None
    start = at
    if lead := _LEAD.match(plain, at):
        at = lead.end()
    if (met := _MET.match(plain[at : at + 80])) and met["name"] not in NOT_NAMES:
        scene.other = met["name"]
        return None
    if subject := _subject(plain, at, scene):
        return _with_subject(plain, start, subject, certain, scene)
    if not token_at(plain, at):
        return None
    if found and bound in among("and , then who but or plus") and found[-1].kind in ("i", "other", "pet"):
        return _continued(plain, at, scene, found[-1], bound)
    if (begin == 0 or bound[:1] in tuple(".;:!—-(") or at > begin) and not found:
        return _dropped(plain, start, at, scene)
    return None


_FLOOR: Final = re.compile(r",? (?:next door|upstairs|downstairs),?(?=\s)")
_ON_DAYS: Final = re.compile(rf"\s*(?:now |still )?(?:on )?{MACROS['day']}", re.IGNORECASE)
_DOCTOR: Final = re.compile(r"[Tt]he (?:doctor|doc|gp|physio\w*|dentist|optician|surgeon|specialist)\b")
_CALLED: Final = re.compile(rf"\ban? (?:[\w-]+ ){{1,3}}(?:called|named) ({N})\b")
_ABOUT_PEOPLE: Final = among("see meet visit call marry date know help miss hug ring phone talk speak hear")


def _with_subject(plain: str, start: int, subject: _Subject, certain: bool, scene: Scene) -> Clause | None:
    kind, who, stop, match = subject
    if kind == "none":
        return Clause(start, stop, "none", who, match)
    if kind == "mine":
        return Clause(start, stop, kind, who, match, certain)
    groups = match.groupdict() if match is not None else {}
    if kind == "other" and (floor := _FLOOR.match(plain, stop)):
        stop = floor.end()
    for _ in range(2):
        report = _REPORTS.match(
            plain, stop + len(plain[stop : stop + 3]) - len(plain[stop : stop + 3].lstrip(" ,"))
        )
        if report is not None and kind in ("other", "pet"):
            return _reported(
                plain,
                start,
                report,
                who,
                scene,
                is_doctor=match is not None and _DOCTOR.match(match.group()) is not None,
            )
        read = read_verb(plain, stop, min(len(plain), stop + 200))
        if (
            kind != "other"
            or (read is not None and read.is_verbal)
            or not (more := _ADDITION.match(plain, stop))
        ):
            break
        stop = more.end()
    is_name = kind == "i" and not re.match(r"(?:[Ii]|[Ww]e|[Bb]oth|[Mm]e)\b", match.group() if match else "I")
    if (
        read is None
        or (is_name and not read.is_verbal)
        or (kind != "i" and not read.is_verbal and not _is_many(groups.get("rel")))
    ):
        return None
    if kind == "other" and read.lemma == "be" and _ON_DAYS.match(read.rest):
        return None  # "Choir is on Tuesdays" is about no person
    if kind == "other" and not _agrees(plain, stop, read, groups, who):
        return None
    if kind == "other":
        scene.other = who
    elif kind == "i" and read.lemma in _ABOUT_PEOPLE:
        met = re.search(rf"(?<![.!?] )\b(?!I\b)({N})\b(?!'s)", read.rest[:60])
        if met and met[1] not in NOT_NAMES:
            scene.other = met[1]
    if read.lemma == "be called" and (called := re.match(rf"\s*({N})", read.rest)):
        scene.other = called[1]
    elif called := _CALLED.search(read.rest[:80]):
        scene.other = called[1]  # "Mum has a dog called Pip, he's ..."
    return Clause(start, stop, kind, who, match, certain)


def _is_many(word: str | None) -> bool:
    return word is not None and (
        word in among("kids children parents in-laws") or (word.endswith("s") and word != "boss")
    )


def _agrees(plain: str, stop: int, read: Verb, groups: dict[str, str], who: str) -> bool:
    """Say whether the verb fits one person: "Jonas are", "Jonas hat" are no clauses."""
    is_one = bool(groups.get("name") or (groups.get("pro") or "").lower() in ("he", "she"))
    if not is_one or " and " in who:
        return True
    word = token_at(plain, stop + len(plain[stop:]) - len(plain[stop:].lstrip()))
    if word in among("are 're have were don't aren't haven't"):
        return False
    is_finite = (
        read.is_third or read.is_done or read.is_ongoing or read.is_future or read.is_able or read.is_modal
        or read.is_past_only or read.lemma in ("be", "be called", "born", "quit")
    )  # fmt: skip
    if read.is_known and not is_finite:
        return False
    if read.lemma in among(
        "book walk train ring class hand stand record name plan date count fish time land post shop store"
        " form"
        " tap test type smile rule match mark slice snack shower lock guard guide race rate print press"
        " light tie"
    ) and word.endswith("s"):
        return bool(groups.get("rel"))  # "Fantasy books always ..." is about no person
    is_aux = read.is_future or read.is_able
    return is_aux or not (
        groups.get("name") and not groups.get("rel") and not read.is_known and read.lemma != "born"
    )


_AUXILIARY: Final = among(
    "am is are have has don't doesn't can't can never always no won't will used still usually also now "
    "just only 'm 've was"
)
_NOUN_TOO: Final = among(
    "work love study play dance sport garden light cook need cycle read plan book date coach class cut "
    "milk run share drink"
    " swim fish paint dye sign record ski camp ring train hand stand watch vote visit fancy name count"
)


def _continued(plain: str, at: int, scene: Scene, last: Clause, bound: str) -> Clause | None:
    """Read a clause that goes on with the subject before: "I moved to Lund and work at the library"."""
    if bound == "who":
        person = _last_person(plain, at)
        is_clause = person and read_verb(plain, at, len(plain)) is not None
        return Clause(at, at, "other", person, None, last.is_certain) if is_clause else None
    first = token_at(plain, at)
    form = FORMS.get(first)
    is_base = form is not None and form[1] == "" and first not in among("quit put cut let set hurt")
    if not ((form is not None and form[1] != "ing") or first in _AUXILIARY) or (
        first in _NOUN_TOO and bound in (",", "or", "")
    ):
        return None
    if (last.kind == "i" and ((form and form[1] == "s") or first == "is")) or (last.kind != "i" and is_base):
        return None
    if (is_base or first in among("never always don't have only still")) and re.search(
        r"\b(?:to|can|will|'ll|could|would|should|let's|gonna|must|helps?|lets?|may|might|'d|come|please"
        r"|\w+ing)\b",
        plain[last.start : at],
    ):
        return None  # "to learn and support": one infinitive, two verbs
    read = read_verb(plain, at, len(plain))
    if read is None or not (read.is_known or read.lemma == "be"):
        return None
    if re.match(r"\w+\s(?:is|are|was|isn't|will|can|has|'s)\b", plain[at:]):
        return None
    if (
        bound == ","
        and is_base
        and last.kind == "i"
        and not re.match(r"[^,;.]{3,60}(?:,|\sand)\s", plain[at:])
    ):
        return None
    return Clause(at, at, last.kind, last.subject, None, last.is_certain)


_LAST_PERSON: Final = re.compile(rf"\b(?:(?:my|our|an?|the|one) {ADJ}({PERSON})(?: ({N}))?|({NAMES}))\b")


def _last_person(plain: str, before: int) -> str:
    """Return who "who" means: the last person named before it."""
    best = ""
    for match in _LAST_PERSON.finditer(plain[max(0, before - 80) : before]):
        named = match[2] or match[3] or ""
        if named and named.split()[0] not in NOT_NAMES:
            best = named
        elif match[1]:
            best = relation_of(match[1])
    return best


_REPORTS: Final = re.compile(DATA["reports"].replace("\n", "").replace("<person>", PERSON), re.IGNORECASE)


def _reported(
    plain: str, start: int, report: re.Match[str], who: str, scene: Scene, *, is_doctor: bool
) -> Clause | None:
    """Read what somebody said: about themselves it is theirs, about the speaker it is nobody's claim.

    Except what a doctor says of the speaker's body: "the doctor said my knee has a tear".
    """
    scene.other = who
    subject = _subject(plain, report.end(), scene)
    if subject is None:
        return Clause(start, report.end(), "none", who, None)
    kind, about, stop, match = subject
    nobody = Clause(start, stop, "none", who, match)
    if kind == "none" or re.search(
        r"\b(?:asked|asks|wonder|suggest|recommend|advis|wants me)", report.group().lower()
    ):
        return nobody
    if kind == "mine":
        is_mine = is_doctor and match is not None and PART.search(match["thing"])
        return Clause(start, stop, "mine", scene.owner, match) if is_mine else nobody
    if kind == "i":
        if is_doctor:
            return Clause(report.end(), stop, "i", scene.owner, match)
        if not report.group().rstrip().endswith(":"):
            return nobody
        kind, about = "other", who
    if read_verb(plain, stop, len(plain)) is None:
        return None
    return Clause(report.end(), stop, kind, about, match)


_DROPPED: Final = words_of("dropped")
_BARE_CAN: Final = re.compile(
    "(?:can't|cannot|can not|don't|haven't|am) (?:stand|bear|eat|drink|drive|swim|like|own|have|speak|smoke"
    "|allergic|vegan"
    "|vegetarian|a )",
    re.IGNORECASE,
)
# "Can't sing for toffee", "Never been one for the seaside"; not "Can't find it", which is of the moment.
_BARE_NEVER: Final = re.compile(
    r"(?:can't|cannot) (?:sing|cook|swim|drive|dance|draw|spell|ski|ride|sew|knit|tolerate|abide|sleep|do"
    r" without"
    r"|live without|resist|whistle|type)\b|never (?:been|had|learn(?:ed|t)|eaten|smoked|owned|driven|flown"
    r"|married|drunk) \w",
    re.IGNORECASE,
)
_BARE_STATE: Final = re.compile(
    r"(?:not )?(?:an? )?(?:big |huge |massive )?(?:fan of|into|keen on)\b|(?:allergic to|vegetarian|vegan"
    r"|left-handed|single"
    r"|married|retired|pregnant|lactose intolerant|hooked on|back on|scared of|terrified of)\b",
    re.IGNORECASE,
)
_OTHER_VERB: Final = (
    r"\b(?:is|are|was|'s|isn't|takes|makes|helps|can|will|has|needs|requires|gives|brings|means|keeps|feels"
    r"|does|did|must|would|could"
    r"|might|sounds)\b"
)
_BARE_ING: Final = among("learning studying training living dating building writing renting playing")


def _dropped(plain: str, start: int, at: int, scene: Scene) -> Clause | None:
    """Read a clause whose "I" was left out: "Moved to Graz last week", "Allergic to nuts"."""
    first = token_at(plain, at)
    form = FORMS.get(first)
    mine = Clause(start, at, "i", scene.owner, None)
    if form is not None and form[1] == "ed" and form[0] in CHANGE:
        return mine
    if first in among("just finally recently still no never also already currently now only"):
        read = read_verb(plain, at, len(plain))
        if first == "no" and not re.match(r"no longer\b", plain[at:], re.IGNORECASE):
            return None
        if scene.is_prose and first in ("never", "always", "only"):
            return None  # an order as likely as a habit
        return mine if read and read.is_known and read.lemma in _DROPPED else None
    is_short = (
        len(plain.split()) <= 8
        and re.match(r"\w+ [a-z]", plain[at:])
        and not re.search(_OTHER_VERB, plain[at:])
    )
    if (
        _BARE_CAN.match(plain, at)
        or _BARE_NEVER.match(plain, at)
        or (first in among("love hate prefer adore dislike") and is_short)
        or re.match(r"used to \w", plain[at:], re.IGNORECASE)
    ):
        return mine
    is_ongoing = (
        first in _BARE_ING or re.match(r"working (?:at|for|as)\b", plain[at:], re.IGNORECASE)
    ) and not re.search(_OTHER_VERB, plain[at:])
    return Clause(start, at, "be", scene.owner, None) if is_ongoing or _BARE_STATE.match(plain, at) else None


# ---------------------------------------------------------------- what a clause fills


def _read(plain: str, clause: Clause, scene: Scene) -> Iterator[Item]:
    """Yield the slots a clause fills, as far as they are worth keeping."""
    for item in _all_items(plain, clause, scene):
        if _is_worth(item, plain, clause, scene):
            yield item


def _all_items(plain: str, clause: Clause, scene: Scene) -> Iterator[Item]:
    a, b = clause.start, clause.stop
    if clause.kind == "none":
        return
    if clause.kind == "mine":
        yield from _my_thing(plain, clause, scene)
        return
    text = plain[clause.at : b]
    verb = (
        read_verb(f"I'm {text}", 1, 4 + len(text)) if clause.kind == "be" else read_verb(plain, clause.at, b)
    )
    is_other = clause.kind in ("other", "pet")
    if is_other:
        yield from _introduced(clause, scene)
        if re.search(r"\bput (?:to sleep|down)\b", text):
            yield no("pet: " + clause.subject.casefold())
            return
    if is_other and verb is not None and _is_birth(verb, clause):
        yield Item("born")
        return
    if clause.kind == "i" and (rather := _RATHER.match(text)):
        yield Item("taste: " + head(rather[1]), "like")
        return
    if clause.kind == "i" and (never := _WOULD_NEVER.match(text)):
        yield Item(f"does: {head(never[1])}", "no", True, certainty=0.7)
        return
    if clause.kind == "i" and (would := _WOULD_RATHER.match(text)) and not DATED.search(text):
        yield Item(f"prefers: {head(would[1])}", certainty=0.8)
        return
    if verb is None or verb.is_modal:
        return
    verb.words = f"{plain[a : clause.at][:80]} {verb.words}".strip().lower()
    if is_other and (name := _name_given(verb, clause)):
        is_pet = clause.kind == "pet"
        word = stem(clause.match["rel"].casefold()) if is_pet and clause.match else clause.subject
        slot, value = (f"pet: {name.casefold()}", word) if is_pet else (f"name of my {word}", name.casefold())
        # Who one's doctor is, is one's own affair; of family and the boss it is said of them.
        is_mine = is_pet or word in _SERVICES
        yield Item(slot, value, subject=scene.owner if is_mine else None)
        scene.other = name
        scene.people.add(name)
        return
    if scene.topic and verb.lemma in among("like love enjoy prefer hate dislike dread drink eat sell stand"):
        verb.rest = re.sub(r"^\s*(?:them|it)\b(?!\s(?:when|that|if|how))", " " + scene.topic, verb.rest)
    who = clause.subject if is_other else ""
    found = (
        _planned(plain[a:b], verb, scene)
        or meaning(verb, who)
        or (kept(verb, who) if not scene.is_prose else [])
    )
    items = list(turned(found, is_denied=verb.is_denied, is_over=verb.is_over, is_past=verb.is_past_only))
    for item in items:
        if clause.kind == "pet" and item.slot == "dead":
            item = Item("pet: " + clause.subject.casefold(), "no", True, subject=scene.owner)
        yield item
    if items and ": " in items[-1].slot:
        scene.topic = items[-1].slot.partition(": ")[2]
    elif not items and verb.rest:
        scene.topic = head(verb.rest) or scene.topic


def _introduced(clause: Clause, scene: Scene) -> Iterator[Item]:
    """Yield who a name is, where the subject says both: "my sister Mara"; it is said of Mara."""
    groups = clause.match.groupdict() if clause.match is not None else {}
    named, relation = (groups.get("name") or "").strip(" ,"), groups.get("rel") or ""
    if named and relation and clause.subject == named and named.split()[0] not in NOT_NAMES:
        scene.introduced.add(named)
        is_pet = re.fullmatch(PET, relation.lower())
        yield Item("pet", stem(relation.lower())) if is_pet else Item("relation", relation_of(relation))


def _is_birth(verb: Verb, clause: Clause) -> bool:
    """Say whether "her little girl arrived on Monday" tells of a birth."""
    match = clause.match
    if match is None or verb.lemma not in ("arrive", "come") or not verb.is_done:
        return False
    relation = match.groupdict().get("rel") or ""
    is_child = re.fullmatch(r"baby|girl|boy|daughter|son|twins", relation) is not None
    return is_child and not match.group().lower().startswith("a ")


_RATHER: Final = re.compile(
    r"\s?(?:'d| would) (?:always |much )?rather (?:have |eat |drink |get )?((?!be\b)[^,;.]{3,40}?) than\b"
)
# "I'd rather sit near the door", "I'd always pick the aisle": of habits, not of tonight.
_WOULD_RATHER: Final = re.compile(
    r"\s?(?:'d| would) (?:(?:always |much |far )?(?:rather|sooner) (?=(?:sit|sleep|walk|stand|work|read"
    r"|write|cycle"
    r"|live|travel|have|be [\w-]+ed)\b)|always (?=(?:pick|choose|take|go for|order|have|prefer)\b))"
    r"(?!.*\b(?:than|tonight|today|now|this|that|it|you|your)\b)([^,;.]{4,40})",
    re.IGNORECASE,
)
_WOULD_NEVER: Final = re.compile(
    r"\s?(?:'d| would) never (?:again )?(?=(?:go|eat|live|work|buy|own|wear|drive|fly|vote|move|drink|take"
    r"|touch|use"
    r"|smoke|marry|teach|get|keep)\b)(?!.*\b(?:you|your|that|this|it|so|such|if|but)\b)([^,;.]{6,40})",
    re.IGNORECASE,
)
_SERVICES: Final = among(
    "doctor dentist therapist physio psychologist psychiatrist dermatologist cardiologist gynaecologist "
    "orthodontist optician vet lawyer accountant hairdresser barber teacher tutor coach trainer landlord "
    "babysitter childminder nanny cleaner plumber mechanic surgeon midwife"
)
_CREED: Final = re.compile(MACROS["creed"], re.IGNORECASE)


def _name_given(verb: Verb, clause: Clause) -> str:
    """Return the name that "my dog is called Pip", "my neighbour is Frau Petzold" gives."""
    groups = clause.match.groupdict() if clause.match is not None else {}
    if not groups.get("rel") or groups.get("name"):
        return ""
    if verb.lemma == "be called":
        found = re.match(rf"\s*({NAMES})", verb.rest)
    elif verb.lemma == "be" and not verb.is_done and clause.kind == "pet":
        found = _CALLED.search(verb.rest[:60])
    elif verb.lemma == "be" and not verb.is_done and clause.kind == "other":
        found = _CALLED.match(verb.rest.strip()) or re.match(
            rf"\s*(?:now |still |called )?({NAMES})(?=\s*(?:[,.!;]|$|on |at |from ))", verb.rest
        )
    else:
        return ""
    name = found[1].split(" and ")[0] if found else ""
    if name.split(" ")[0] in NOT_NAMES or _CREED.match(name) or LANGUAGE.match(name):
        return ""
    return name


# A statement that is kept needs a slot that lasts; what hangs on its sentences does only in a line of chat.
_WEAK: Final = among("does habit is affects gets skill trait keeps can runs has") | {
    "has never",
    "working on",
    "home detail",
}
_PERSONAL: Final = among("allergy diet age birthday birthplace speaks expecting dead nickname") | {
    "family status"
}
_NEEDS_ME: Final = re.compile(r"\b(?:a|per|every) (?:year|month|week|day)\b", re.IGNORECASE)
_HANGS: Final = re.compile(
    r"^\W*(?:it|them|that|this|him|her(?!\sown\b)|these|those|so|one(?=[\s,.]*$)|which|what|how|when"
    r"|whether|if)\b",
    re.IGNORECASE,
)


def _is_worth(item: Item, plain: str, clause: Clause, scene: Scene) -> bool:
    """Say whether an item is worth keeping as a memory.

    In prose a named subject must be known as a person, a plain present needs a word for how often, and the
    words must be understood without the sentence before.
    """
    if clause.subject in scene.things:
        return False
    if not scene.is_prose:
        return True
    text = plain[clause.at : clause.stop]
    verb = read_verb(plain, clause.at, clause.stop)
    if (
        verb is not None
        and _HANGS.match(verb.rest)
        and item.family not in ("home", "job")
        and not item.closes
    ):
        return False
    if item.family in ("does", "is") and item.certainty < 1:
        return _NEEDS_ME.search(text) is not None and not clause.subject
    if item.family == "habit" and not REGULAR.search(plain[clause.start : clause.stop]):
        return False
    if item.family == "habit" and verb is not None and not verb.is_known:
        return False
    if clause.kind != "other" or item.slot in ("relation", "pet"):
        return not (clause.kind == "pet" and item.family in _WEAK)
    is_person = not clause.subject[:1].isupper() or clause.subject in scene.people or " " in clause.subject
    return is_person or item.family in _PERSONAL


# ---------------------------------------------------------------- plans

_REGULAR: Final = re.compile(
    r"\b(?:every|each|always|usually|(?:mon|tues|wednes|thurs|fri|satur|sun)days|weekends|day (?:mornings"
    r"|evenings"
    r"|afternoons|nights))\b",
    re.IGNORECASE,
)
_COMING: Final = among(
    "have fly leave start begin move run play travel go get take come sit be return arrive finish marry "
    "visit meet present"
    " perform see open land drive host light teach march work become sail open close"
)
_NO_PLANS: Final = MOMENTS - among(
    "have hang go come get take put make leave begin start sit stand call bring stop end play be"
) | among("confirm send reply answer check bring write email text call ring")
_UNDATED: Final = re.compile(
    rf"\b(?:on|in|from|at|by|next|this|the|for|to|until)?\s*(?:\d{{1,2}}(?:st|nd|rd|th)?(?: of)? "
    rf"{MONTH}(?: \d{{4}})?"
    rf"|{MONTH}(?: \d{{1,4}})?|{MACROS['day']}|tomorrow|tonight|week(?:end)?|month|\d{{4}}|the "
    rf"\d{{1,2}}(?:st|nd|rd|th))\b.*$",
    re.IGNORECASE,
)


_AN_EVENT: Final = re.compile(
    rf"\s*(?:an?|my|the|our|another|two) (?:[\w-]+ ){{0,3}}{MACROS['event']}\b", re.IGNORECASE
)


def _plan(text: str, days: int = PLAN_DAYS) -> list[Item]:
    key = head(_UNDATED.sub("", text)) or head(text)
    return [Item("plan: " + key, days=days)] if key else []


def _planned(text: str, verb: Verb, scene: Scene) -> list[Item]:
    """Return the plan of a clause that speaks of a coming day."""
    rest, lemma = verb.rest, verb.lemma
    if lemma in ("book", "reserve") and verb.is_done and not verb.is_denied:
        return (
            _plan(rest) if re.match(r"\s*(?:an?|the|my|our|two|three|some|tickets?|flights?)\b", rest) else []
        )
    if (
        verb.is_done
        or verb.is_past_only
        or verb.is_modal
        or (lemma in ("get", "have") and HEALTH.search(rest))
    ):
        return []
    if verb.is_able or (lemma in ("have", "be") and re.match(r"\s*(?:to|able to)\b", rest)):
        return []
    is_future = verb.is_ongoing or verb.is_future
    coming = is_coming(text, scene, is_future=is_future) if scene.said else DATED.search(text) is not None
    coming = coming and not _REGULAR.search(text)
    if lemma == "plan":
        return _plan(re.sub(r"^\s*(?:to|on|for)\s", "", rest))
    wanted = (
        re.match(r"\s*to ([a-z]+)\b(.*)", rest) if lemma == "want" and coming and not verb.is_denied else None
    )
    if wanted:
        return (
            _plan(re.sub(r"\b(?:to|in|for|with) ", "", f"{wanted[1]} {wanted[2]}", count=1))
            if wanted[1] in _COMING and re.match(r" [a-z]", wanted[2])
            else []
        )
    coming = coming and not re.match(r"\s*(?:cold|hot|late|low|high)\b", rest)
    if coming and not verb.is_denied and lemma not in _NO_PLANS and (is_future or lemma in _COMING):
        is_away = re.search(
            r"\b(?:away|abroad|off|on (?:holiday|leave|vacation|tour))\b|\b(?:in|at) (?:the )?[A-Z]|\bfrom\b",
            text,
        )
        if lemma == "be" and re.match(r"\s*on [£$€]?\d", rest):
            return []  # "I'm on 43,000 from March": the pay
        if (lemma == "be" and not is_away and not EVENT.search(rest)) or _HANGS.match(rest):
            return []
        if (
            lemma in ("have", "get", "take")
            and not _AN_EVENT.match(rest)
            and not re.search(rf"\b(?:{PERSON}|over|round|married|engaged|operated)\b", rest)
        ):
            return []
        is_from = re.match(r"\W*from\b", text, re.IGNORECASE)  # "From May I'm a nurse": a job
        if not is_future and (lemma in among("live work teach become") or (lemma == "be" and is_from)):
            return []
        what = head(_UNDATED.sub("", rest))
        key = what if lemma == "have" and what else " ".join(dict.fromkeys(f"{lemma} {what}".split()))
        return [Item("plan: " + key, days=PLAN_DAYS)]
    is_meant = "going to" in verb.words or "gonna" in verb.words or lemma in ("marry", "retire", "adopt")
    if verb.is_future and not verb.is_denied and is_meant and lemma in among(
        "be have marry move retire study start visit run fly work teach become quit adopt buy"
    ):  # fmt: skip
        is_told = lemma not in ("be", "have") or EVENT.search(rest) or re.search(
            r"\b(?:baby|mum|mom|dad|aunt|uncle|operated|surgery)\b", rest
        )  # fmt: skip
        return [Item(f"plan: {lemma} {head(rest)}".strip(), days=PLAN_DAYS)] if is_told else []
    if verb.is_ongoing and lemma in ("book", "sign", "register"):
        return _plan(re.sub(r"^\s*(?:up\s)?(?:for|on|in)?\s", "", rest))
    return []


# ---------------------------------------------------------------- "my <thing> is ..."

_STOP_MINE: Final = words_of("stop_mine")
_OF_NOW: Final = re.compile(rf"^\W*(?:{DATA['of_now'].replace(chr(10), '')})", re.IGNORECASE)
_MY_SLOTS: Final[dict[str, str]] = DATA["my_slots"]
_SORE: Final = re.compile(
    r"\W*(?:has |is |have |been )*(?:an? |still |really )*(?:\w+ ){0,2}?(?:broken|sprained|torn|fractured"
    r"|injured|swollen|inflamed"
    r"|irritated|bad|weak|out|gone|shot|knackered|no (?:use|good)|useless|rubbish|dodgy|playing up|worn"
    r"|done for|frozen|stiff|sore|dislocated|strained|bruised|infected|in plaster|in a cast"
    r"|tear|rupture"
    r"|fracture|sprain|inflammation|injury)\b",
    re.IGNORECASE,
)
_WORN: Final = re.compile(
    r"\W*(?:\w+ ){0,2}?(?:gone|shot|knackered|no (?:use|good)|useless|rubbish|dodgy|worn|weak|stiff|done"
    r" for)\b"
)
_WELL: Final = re.compile(
    r"\W*(?:is |has |fully |all |quite |much |a lot |so |far |finally |completely )*(?:healed|fine|better"
    r"|ok|okay|back to normal|good as new"
    r"|mended)\b",
    re.IGNORECASE,
)


def _my_thing(plain: str, clause: Clause, scene: Scene) -> Iterator[Item]:
    """Read "my <thing> is ..."."""
    verb = read_verb(plain, clause.at, clause.stop)
    if clause.match is None or verb is None or verb.is_modal:
        return
    name = re.sub(
        r"^(?:(?:new|current|own|main|actual|usual|latest)\s)+", "", clause.match["thing"].casefold()
    )
    noun, raw = name.split()[-1], clause.match["thing"].split()[-1]
    text = plain[clause.start : clause.stop]
    low = verb.rest.casefold().strip()
    if (part := PART.search(name)) and not verb.is_future:
        if _WELL.match(low) and not verb.is_denied:
            yield no("health: " + part.group().lower())
        elif _SORE.match(low) and not verb.is_past:
            days = 0 if _WORN.match(low) else SICK_DAYS
            yield Item("health: " + part.group().lower(), phrase(low, 5) or "bad", days=days)
        return
    if HEALTH.search(name) and verb.lemma == "be" and not verb.is_past:
        yield from turned([Item("health: " + head(name))], is_denied=verb.is_denied, is_over=verb.is_over)
        return
    is_set = not verb.is_done or re.search(
        r"\b(?:moved|postponed|rescheduled|pushed|brought forward)\b", verb.words
    )
    if is_set and is_coming(text, scene, is_future=False) and noun not in ("birthday", "name"):
        if not re.search(r"\b(?:every|always|worst|usually)\b", text):
            yield Item("plan: " + head(name), phrase(_UNDATED.sub("", verb.rest), 4) or "yes", days=PLAN_DAYS)
        return
    is_favourite = re.search(r"favou?rite|comfort|go-to|signature", name)
    if (
        (noun in _STOP_MINE and not is_favourite and not re.search(r"@|\d{4}", verb.rest))
        or verb.is_ongoing
        or verb.is_future
    ):
        return
    owned = re.match(rf"{ADJ}({PERSON}|{PET})'s (\w+)", name)
    if owned and owned[2] in ("name", "birthday", "job", "number"):
        word = relation_of(owned[1])
        if owned[2] == "name":
            yield Item(f"name of my {word}", phrase(verb.rest, 3))
        else:
            yield Item(owned[2], phrase(verb.rest), subject=word)
        return
    if (
        EVENT.search(name)
        and not verb.is_often
        and not re.search(r"birthday|favou?rite|doctor|dentist|physio|class(?:es)?$", name)
    ):
        return
    if verb.is_past or verb.is_past_only:
        is_lost = verb.lemma == "die" or re.match(
            r"(?:stolen|sold|scrapped|totalled|written off|wrecked)\b", low
        )
        if is_lost and is_owned(name):
            yield no("has: " + thing(name))
        elif verb.lemma == "change":
            yield end(noun)
        return
    if verb.lemma == "be called":
        yield Item(f"name of my {stem(noun)}", phrase(verb.rest, 4))
    elif verb.lemma == "be" and not verb.is_perfect and (not raw[:1].isupper() or LANGUAGE.match(raw)):
        yield from turned(
            _my_thing_is(verb, name, low, clause.subject, scene),
            is_denied=verb.is_denied,
            is_over=verb.is_over,
        )
    elif verb.is_perfect:
        if re.search(r"\b(?:gone|cleared|returned)\b", verb.words) and HEALTH.search(name):
            item = Item("health: " + head(name))
            yield item if verb.is_denied else no(item.slot)
    elif HEALTH.search(name):
        yield Item("health: " + head(name))
    elif raw[:1].isupper() and not LANGUAGE.match(raw) and verb.lemma != "have":
        return  # "my lodger Kev works at ...": a name behind an unknown word may be a person's
    elif not scene.is_prose and (verb.is_third or verb.is_often) and (low or verb.lemma in ("hurt", "burn")):
        is_counted = re.match(r"(?:my|an?|no|\d|about|half|two|three)\b", low)
        if (
            verb.is_often
            or is_counted
            or verb.lemma
            not in among("need take get go come have run keep mean make help give look feel seem turn")
        ):
            yield Item(name, phrase(verb.words, 6) or "so", certainty=0.8)
    elif verb.lemma in among("end start begin run") and re.match(r"(?:at|on|from|until|out)\b", low):
        yield Item(name, phrase(verb.words, 6) or "so", certainty=0.8)


def _my_thing_is(verb: Verb, name: str, low: str, who: str, scene: Scene) -> Iterator[Item]:
    value, noun = phrase(verb.rest, 6), name.split()[-1]
    if found := re.match(r"(?:all-time |very |absolute |current |new )*favou?rite\s+(.+)", name):
        if value:
            yield Item("favourite " + stem(found[1]), value)
        return
    if noun == "birthday":
        day = re.sub(r"^(?:on|the|is|in)\s+", "", low)
        yield Item("birthday", phrase(re.sub(r"^(?:on |the )+", "", re.split(r"[,;]", day)[0])) or low[:30])
        return
    if noun == "name":
        if called := re.match(rf"\s*({NAMES})", verb.rest):
            is_theirs = bool(who) and who[:1].islower()
            slot = f"name of my {who}" if is_theirs else name
            yield Item(slot, called[1].casefold(), subject="" if is_theirs else None)
        return
    is_with = re.match(r"(?:with|at)\s+(?:the )?(.+)", low)
    if noun in among("account bank contract insurance pension") and is_with:
        yield Item("bank" if noun in ("account", "bank") else noun, phrase(is_with[1], 4))
        return
    if (
        _OF_NOW.match(verb.rest)
        or not value
        or len(low.split()) > 14
        or re.match(r"(?:on )?(?:no|not)\b", low)
    ):
        return
    if noun in ("boss", "landlord") or re.fullmatch(PERSON, noun):
        yield Item(relation_of(noun), value)
        return
    slot = _MY_SLOTS.get(noun, name)
    if noun == "number" and not re.search(r"phone|mobile|cell|new|^number", name):
        slot = name
    if slot == "home":
        if found := re.match(r"(?:\w+ ){0,2}?(?:in|at|on|near)\s+(.+)", low):
            yield Item("home", place(found[1]))
    elif slot in ("phone", "email") and not is_valid(slot, value):
        if re.match(r"(?:an? |still an? )", low):
            yield Item("has: " + slot, value)
    elif is_valid(slot, value) and not (scene.is_prose and slot == name and noun not in _KNOWN_THINGS):
        yield Item(slot, value)


_KNOWN_THINGS: Final = among(
    "size employer bank doctor dentist hobby tongue hours diet allergy religion surname nickname team "
    "instrument password"
    " provider insurance school"
)


def is_valid(slot: str, value: str) -> bool:
    """Say whether a value can stand in a slot that has a form: a phone number has digits."""
    if slot == "phone":
        return len(re.findall(r"\d", value)) >= 5
    return slot != "email" or "@" in value


_MENTION: Final = re.compile(rf"\b(?:{PERSON}|{NAMES})\b")
_THEY: Final = re.compile(r"\b(?:he|she|they|his|her|him|them)\b", re.IGNORECASE)


def forget_other(plain: str, before: str, scene: Scene) -> None:
    """After a sentence of prose: let "she" mean nobody where that is no longer plain.

    That is when the sentence speaks of another one, or neither of who was meant nor of "her".
    """
    other = scene.other
    if not other:
        return
    mentions = [found.group() for found in _MENTION.finditer(plain)]
    people = [
        word for word in mentions if word in scene.people or word.casefold() in _KIN or word[:1].islower()
    ]
    is_named = any(word in other or other in word for word in mentions)
    has_rival = any(word not in other and other not in word and word[:1].isupper() for word in people)
    if has_rival or (other == before and not is_named and not _THEY.search(plain)):
        scene.other = ""


_KIN: Final = words_of("kin")

# What the readers of a text look for before its clauses: persons and things by name.
_PERSON_NAMED: Final = re.compile(
    rf"\b(?:(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|the|a) {ADJ}{PERSON},? |{TITLE})({NAMES})|\b({NAMES}),? (?:my"
    rf"|our) {ADJ}{PERSON}\b"
    rf"|\b({N})(?:'s)? (?:and (?:I|his|her)\b|says?\b|said\b|told\b|thinks?\b|asked\b|laughed\b|wants\b"
    rf"|promised\b|lives\b)"
)
_THING_NAMED: Final = re.compile(
    rf"\b(?:my|our) (?!{ADJ}(?:{PERSON}|{PET})\b)(?:[\w-]+ ){{0,2}}(?:starter|boat|bike|car|van|robot|plant"
    rf"|house|tree|oven|guitar"
    rf"|sourdough|printer|tractor|cactus|bot|laptop|hoover|camper|caravan|dinghy),? ({N})\b"
)


def learn_names(text: str, scene: Scene) -> None:
    """Note which names of a text are a person's, and which a thing's: "my sourdough starter Gaston"."""
    for match in _PERSON_NAMED.finditer(text[:20_000]):
        named = match[1] or match[2] or match[3]
        if named.split()[0] not in NOT_NAMES:
            scene.people.update((named, named.split()[0], match.group() if match[1] else named))
    for match in _THING_NAMED.finditer(text[:20_000]):
        scene.things.add(match[1])
