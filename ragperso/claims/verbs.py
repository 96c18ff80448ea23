"""Words: the English verb of a clause, its tense and its denial, and the phrases behind it as values."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ragperso.claims.clauses import alternatives, load

DATA: Final[dict[str, Any]] = load("english.toml")


def words_of(name: str) -> frozenset[str]:
    """Return a list of words of the data file."""
    return frozenset(DATA[name].split())


@functools.cache
def among(words: str) -> frozenset[str]:
    """Return the words of a text as a set, made once: short lists stand where they are used."""
    return frozenset(words.split())


def _longest(words: str) -> str:
    return "(?:" + "|".join(sorted(words.split(), key=lambda word: -len(word))) + ")"


PERSON: Final = _longest(DATA["kin"] + " " + DATA["folk"])
PET: Final = _longest(DATA["pets"])
ADJ: Final = rf"(?:(?:{alternatives(DATA['adj'])})[\s-]){{0,3}}"
N: Final = r"[A-ZÀ-ÖØ-Þ][\w-]{0,24}"  # one word of a name
TITLE: Final = (
    r"(?:Mr|Mrs|Ms|Dr|Miss|Madame|Monsieur|Frau|Herr|Don|Doña|Señora?|Aunt|Uncle|Auntie|Prof|[Pp]rofessor"
    r"|Doctor|Father|Sister)\.? "
)
NAMES: Final = rf"(?:{TITLE})?{N}(?: (?:von |van |de )?{N})?"
NOT_NAMES: Final = words_of("not_names")
CANON: Final[dict[str, str]] = DATA["canon"]
MACROS: Final = {
    "person": PERSON,
    "pet": PET,
    "adj": ADJ,
    "name": f"(?-i:{NAMES})",
    "det": r"(?:an?|the|my|our|his|her|their|some)\s",
    "my": r"(?:my|our|his|her|their)\s",
    "num": r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b",
    "end": r"(?=\s*(?:[,;.!)]|$))",
    "day": r"(?:mon|tues|wednes|thurs|fri|satur|sun)day",
    "month": "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)",
    "someone": rf"(?:(?:[\w-]+ ){{0,3}}?(?:{PERSON}|{PET}|people|others|strangers|students|family)\b"
    rf"[^,;.]{{0,30}}|(?-i:{NAMES}))",
} | {
    name: f"(?:{alternatives(DATA[name])})"
    for name in (
        "cars health part languages owned event job_word not_job not_trait creed status body diets".split()
    )
}
MONTH: Final = MACROS["month"]
LANGUAGE: Final = re.compile(rf"\b{MACROS['languages']}\b", re.IGNORECASE)
EVENT: Final = re.compile(rf"\b{MACROS['event']}\b", re.IGNORECASE)
OWNED: Final = re.compile(rf"\b{MACROS['owned']}\b", re.IGNORECASE)
HEALTH: Final = re.compile(rf"\b{MACROS['health']}\b", re.IGNORECASE)
PART: Final = re.compile(rf"\b{MACROS['part']}\b", re.IGNORECASE)
FREQUENT: Final = re.compile(rf"\b(?:{alternatives(DATA['frequent'])})\b", re.IGNORECASE)
# In prose "still" and "only" do not make a habit.
REGULAR: Final = re.compile(
    rf"\b(?:{alternatives(DATA['frequent']).replace('still|only|nothing but|', '')})\b", re.IGNORECASE
)
# A time of day makes a habit of getting up, not of a train.
CLOCK: Final = re.compile(
    r"\b(?:at|from) (?:\w+ ){0,2}?(?:five|six|seven|eight|nine|ten|eleven|noon|midnight|dawn"
    r"|\d{1,2}(?::\d\d)?)\b",
    re.IGNORECASE,
)
DATED: Final = re.compile(
    r"\b(?:tomorrow|tonight|on <day>|next (?:week|month|year|\w+day)|this (?:weekend|\w+day|summer|autumn"
    r"|winter|spring)|<month> \d|\d{1,2}(?:st|nd|rd|th)?(?: of)? <month>|in (?:two|three|four|a|\d+) (?:days"
    r"|weeks|months|week|month|fortnight)|(?:in|from) <month>|(?:on|from|until|till|by) the"
    r" \d{1,2}(?:st|nd|rd|th))\b".replace("<day>", MACROS["day"]).replace("<month>", MONTH),
    re.IGNORECASE,
)

# ---------------------------------------------------------------- forms

ADVERBS: Final = words_of("adverbs")
LEMMAS: Final = words_of("lemmas")
STATES: Final = words_of("states")
MOMENTS: Final = words_of("moments")
CHANGE: Final = words_of("change")
_IRREGULAR: Final = {
    form: lemma
    for lemma, *forms in (entry.split() for entry in DATA["irregular"].split(";"))
    for form in forms
}
_PAST_FORMS: Final = frozenset(_IRREGULAR) - among(
    "has goes does quit put let set cut read hurt hit split knit run cost bet shut dying lying"
)


def _forms_of(lemma: str) -> Iterator[tuple[str, str]]:
    """Yield (form, kind) of a regular verb: s, ed, ing."""
    if lemma.endswith("y") and lemma[-2] not in "aeou":
        yield lemma[:-1] + "ies", "s"
        yield lemma[:-1] + "ied", "ed"
    else:
        yield lemma + ("es" if lemma.endswith(("s", "sh", "ch", "x", "o")) else "s"), "s"
    stem = lemma[:-1] if lemma.endswith("e") and not lemma.endswith("ee") else lemma
    for base in (stem, lemma + lemma[-1]):
        yield base + "ing", "ing"
        yield base + "ed", "ed"


FORMS: Final = {form: (lemma, kind) for lemma in LEMMAS for form, kind in _forms_of(lemma)}
FORMS.update({lemma: (lemma, "") for lemma in LEMMAS})
FORMS.update({form: (lemma, "ed") for form, lemma in _IRREGULAR.items() if form in _PAST_FORMS})
FORMS.update({"has": ("have", "s"), "goes": ("go", "s"), "does": ("do", "s"), "dying": ("die", "ing")})


@dataclass(slots=True)
class Verb:
    """What a clause says after its subject."""

    lemma: str = ""
    rest: str = ""  # behind the verb, as written
    is_past: bool = False
    is_perfect: bool = False
    is_ongoing: bool = False
    is_future: bool = False
    is_denied: bool = False
    is_over: bool = False  # "no longer", "any more"
    is_past_only: bool = False  # "used to"
    is_able: bool = False  # "can"
    is_modal: bool = False  # "would", "might": nothing is claimed
    is_known: bool = True  # the verb is one of the table
    is_third: bool = False  # "lives": an s
    words: str = ""  # the whole of it with what stands before, lower case

    @property
    def is_done(self) -> bool:
        return self.is_past or self.is_perfect

    @property
    def is_often(self) -> bool:
        return FREQUENT.search(self.words) is not None

    @property
    def is_lasting(self) -> bool:
        """Say whether a perfect tells of what still is: "I've been working at", "I've had asthma since"."""
        return self.is_perfect and (self.is_ongoing or _LASTING.search(self.words) is not None)

    @property
    def is_verbal(self) -> bool:
        """Say whether what follows a noun can be its verb: "Jonas hates", not "Jonas hat"."""
        return (
            self.lemma in ("be", "be called", "born")
            or self.is_third
            or self.is_done
            or self.is_future
            or self.is_able
            or self.is_ongoing
            or self.is_modal
            or self.is_past_only
            or (self.is_known and self.lemma in among("have live love hate quit like eat work own play"))
        )

    def suits(self, needs: frozenset[str], who: str) -> bool:
        """Say whether the verb has the form that a rule needs; without a word for it not "can ..."."""
        return all(self._has(need, who) for need in needs) and (
            not self.is_able or not needs.isdisjoint(("can", "may"))
        )

    def _has(self, need: str, who: str) -> bool:
        if need == "now":
            return not self.is_future and (not self.is_done or self.is_lasting)
        if need == "done":
            return self.is_done
        if need == "perf":
            return self.is_perfect
        if need == "ing":
            return self.is_ongoing
        if need == "simple":
            return not self.is_ongoing
        if need == "still":
            return not self.is_future and not self.is_past
        if need == "been":  # a passive: "has been made", "was laid off"
            return re.search(r"\b(?:been|got|was|were)\b", self.words) is not None
        if need == "lately":
            return re.search(r"(?<!right )\bnow\b", self.words) is not None
        if need == "can":
            return self.is_able
        if need == "not":
            return self.is_denied
        if need == "often":
            return self.is_often
        if need == "regular":
            return REGULAR.search(self.words) is not None
        if need == "me":
            return not who
        if need == "they":
            return bool(who)
        return True


_LASTING: Final = re.compile(
    r"\b(?:since|always|(?:for )?(?:[\w-]+ ){0,2}(?:years|months|weeks|ages|decades)(?! (?:ago|late"
    r"|early)))\b"
)
_OVER: Final = re.compile(r"\b(?:any ?more|any longer|no longer|no more|not .{1,30} again)\b", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[^\W_][\w'-]*|'\w+")
_BE: Final = among("am m is are 'm 're isn't aren't ain't be 's")
_WAS: Final = among("was were wasn't weren't")
_MODALS: Final = among(
    "would wouldn't could couldn't should shouldn't might may must mustn't ought 'd shall needn't gotta wanna"
    " better"
)
_PASSIVE: Final = {
    **{word: FORMS.get(word, (word, ""))[0] for word in (
        "promoted hired fired diagnosed transferred accepted born raised laid offered made"
        " appointed elected".split()
    )},
    **dict.fromkeys(("named", "christened", "called"), "be called"),
    "sacked": "fire",
    "born": "born",
}  # fmt: skip
_NOT_ING: Final = (
    "nothing something anything everything amazing morning evening interesting boring king wedding"
)


def token_at(plain: str, at: int) -> str:
    """Return the word that begins at ``at``, lower case; empty where none does."""
    found = _TOKEN.match(plain, at)
    return found.group().lower() if found else ""


def read_verb(plain: str, at: int, end: int) -> Verb | None:
    """Read the verb that begins at ``at``; None where there is none."""
    tokens = list(_first(_TOKEN.finditer(plain, at, end), 18))
    if not tokens or plain[at : tokens[0].start()].strip(" ,*_"):
        return None
    return _Reader(plain, at, end, tokens).read()


def _first(found: Iterator[re.Match[str]], n: int) -> Iterator[re.Match[str]]:
    for _, match in zip(range(n), found, strict=False):
        yield match


class _Reader:
    """One reading of a verb, token by token."""

    def __init__(self, plain: str, at: int, end: int, tokens: list[re.Match[str]]) -> None:
        self.plain, self.end, self.tokens = plain, end, tokens
        self.words = [token.group().lower() for token in tokens]
        self.verb = Verb(words=plain[at:end].lower())
        self.verb.is_over = bool(_OVER.search(self.verb.words))

    def word(self, i: int) -> str:
        return self.words[i] if i < len(self.words) else ""

    def skip(self, i: int) -> int:
        """Pass adverbs; "never" and "not" deny."""
        while self.word(i) in ADVERBS:
            if self.word(i) in ("never", "not", "hardly", "barely", "rarely", "seldom"):
                self.verb.is_denied = True
            if self.word(i) == "no" and self.word(i + 1) != "longer":
                break
            i += 1
        return i

    def done(self, i: int, lemma: str) -> Verb:
        self.verb.lemma = lemma
        self.verb.rest = self.plain[self.tokens[i].end() : self.end] if i < len(self.words) else ""
        if lemma == "have" and self.word(i + 1) == "no":
            self.verb.is_denied = True
        return self.verb

    def main(self, i: int) -> Verb | None:
        """Read the main verb at ``i``."""
        i, verb = self.skip(i), self.verb
        word = self.word(i)
        if not word:
            return None
        if found := FORMS.get(word):
            lemma, kind = found
            if kind == "ed" and word not in LEMMAS and not verb.is_perfect:
                verb.is_past = True
            verb.is_third = verb.is_third or kind == "s"
            return self.done(i, lemma)
        verb.is_known = False
        if word.endswith("ed") and len(word) > 4 and not verb.is_perfect:
            verb.is_past = True
        is_third = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "this", "us", "ways"))
        verb.is_third = verb.is_third or is_third
        if verb.is_ongoing and word.endswith("ing"):
            return self.done(i, word[:-3])
        return self.done(i, word[:-1] if is_third else word)

    def read(self) -> Verb | None:
        i, verb = self.skip(0), self.verb
        word, after = self.word(i), self.word(i + 1)
        if not word:
            return None
        if word in among("don't doesn't didn't dont doesnt didnt do does did"):
            is_aux = word not in ("do", "does", "did") or after == "not" or (
                after in LEMMAS and after not in among("work sport dance paint light")
            )  # fmt: skip
            if not is_aux:
                return self.main(i)
            verb.is_denied = verb.is_denied or "n" in word[2:] or after == "not"
            read = self.main(i + 1)
            if read:
                read.is_past, read.is_third = word.startswith("did"), True
            return read
        if word in ("will", "'ll", "won't", "gonna"):
            return self._future(i)
        if word in ("can", "can't", "cannot", "cant"):
            verb.is_able, verb.is_denied = True, word != "can" or verb.is_denied
            return self.main(i + 1)
        if word in _MODALS:
            verb.is_modal = True
            return self.main(i + 1)
        if word == "used" and after == "to":
            verb.is_past_only = True
            return self.done(i + 2, "be") if self.word(i + 2) == "be" else self.main(i + 2)
        if word in among("have has 've haven't hasn't 's ve"):
            denied_before = verb.is_denied
            if (read := self._have(i)) is not None:
                return read
            if word != "'s":
                return None
            verb.is_denied = denied_before
        if word in _BE or word in _WAS:
            return self._be(i)
        if word == "had":
            if FORMS.get(after, ("", ""))[1] == "ed":
                return None  # "had moved": a tale
            verb.is_past = True
            return self.done(i, "have")
        return self.main(i)

    def _future(self, i: int) -> Verb | None:
        self.verb.is_future = True
        self.verb.is_denied = self.word(i) == "won't"
        i = self.skip(i + 1)
        if self.word(i) == "be":
            after = self.skip(i + 1)
            return self.main(after) if self.word(after).endswith("ing") else self.done(i, "be")
        return self.main(i)

    def _have(self, i: int) -> Verb | None:
        """Read "have" and "'s" as a perfect or as the verb of having; None for "'s" that is "is"."""
        verb, word = self.verb, self.word(i)
        after = self.skip(i + 1)
        verb.is_denied = verb.is_denied or word.endswith("n't")
        then = self.word(after)
        if then == "to" and word != "'s":
            verb.is_modal = True
            return self.main(after + 1)
        if then == "got":
            follow = self.word(after + 1)
            if follow == "to":
                verb.is_modal = True
                return self.main(after + 2)
            if FORMS.get(follow, ("", ""))[1] == "ed" or follow in ("rid", "engaged", "used"):
                verb.is_perfect = True
                return self.done(after, "get")
            verb.is_third = word in ("has", "'s")
            return self.done(after, "have")
        is_part = (
            FORMS.get(then, ("", ""))[1] == "ed"
            or then in among("quit become run come put set cut had been split hurt read let hit shut")
            or (word != "'s" and then.endswith("ed") and len(then) > 4)
        )
        is_gone = then == "gone" and self.word(after + 1) in among(
            "back to into over through off on out and up"
        )
        if is_part and (is_gone or not (word == "'s" and then in STATES)):
            verb.is_perfect = True
            if then != "been":
                return self.done(after, "have") if then == "had" else self.main(after)
            at = self.skip(after + 1)
            if self.word(at).endswith("ing") and len(self.word(at)) > 4:
                verb.is_ongoing = True
                return self.main(at)
            if FORMS.get(self.word(at), ("", ""))[1] == "ed" and self.word(at) not in STATES:
                return self.main(at)  # "has been promoted"
            return self.done(after, "be")
        if word == "'s" or (word == "'ve" and then not in among("a an two three four no five")):
            return None
        verb.is_third = word == "has"
        return self.done(i, "have")

    def _be(self, i: int) -> Verb | None:
        verb, last = self.verb, i
        verb.is_denied = verb.is_denied or self.word(i).endswith("n't")
        verb.is_past = self.word(i) in _WAS
        i = self.skip(i + 1)
        then, follow = self.word(i), self.word(i + 2)
        if then == "going" and self.word(i + 1) == "to" and (follow in LEMMAS or follow == "be"):
            verb.is_future = True
            return self.done(i + 2, "be") if follow == "be" else self.main(i + 2)
        if then == "gonna" or (then == "about" and self.word(i + 1) == "to"):
            verb.is_future = True
            return self.main(i + (1 if then == "gonna" else 2))
        if then.endswith("ing") and len(then) > 4 and then not in among(_NOT_ING):
            verb.is_ongoing = True
            return self.main(i)
        if then in _PASSIVE:
            verb.is_perfect = _PASSIVE[then] != "be called"
            return self.done(i, _PASSIVE[then])
        verb.lemma = "be"
        verb.rest = self.plain[self.tokens[last].end() : self.end]
        return verb


# ---------------------------------------------------------------- values

_TAIL: Final = re.compile(
    rf"(?:\s(?:{alternatives(DATA['tail']).replace('<month>', MONTH).replace('<day>', MACROS['day'])})\b"
    r"|\s*[,;!?()\[\]:—]|\.(?=\s|$)|\s[-–]\s).*$",
    re.IGNORECASE | re.DOTALL,
)
_DETS: Final = re.compile(rf"^(?:(?:{alternatives(DATA['determiners'])})\s+)+", re.IGNORECASE)
VAGUE: Final = re.compile(rf"^\W*(?:(?:{alternatives(DATA['vague'])})\b|$)", re.IGNORECASE)
_EMPTY: Final = among(
    "it that this them thing things stuff one ones lot bit way time idea something nothing anything "
    "everything"
    " him her you me us minute few couple some more lot"
)
_POINTING: Final = re.compile(
    r"\b(?:this|these|that|those|them|him|her|it|you|your|they're|it's|he's|she's|here|there)\b"
)
_NOT_PLACE: Final = re.compile(rf"^(?:{alternatives(DATA['not_places'])})\b", re.IGNORECASE)
_ABOUT: Final = re.compile(
    r"^\W*(?:both my |both |all )?(?:to (?:go |be )?|going |eating |drinking |the (?:taste|smell) of |most "
    r"|all |any |both |either )"
)


def phrase(text: str, most: int = 5) -> str:
    """Return what a phrase names: lower case, without articles and what follows; empty when it is vague."""
    text = _TAIL.sub("", " " + text.strip(" ,;:.!*_"))
    text = _DETS.sub("", text.strip().casefold() + " ").strip(" ,.;:!?*_'")
    found = [word.strip(".,;:!?()*_'") for word in text.split()[:most]]
    found = [word for word in found if word]
    return "" if all(word in _EMPTY for word in found) else " ".join(found)


def stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("oes", "sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "betes")) and len(word) > 3:
        return word[:-1]
    return word


def head(text: str) -> str:
    """Return the key of an object: its first words, folded to a stem, so that "cats" is "cat"."""
    short = re.split(
        r"\s(?:with|without|in|at|on|from|for|of the|to|by|as|than|and|or|that)\s",
        phrase(text, 6),
        maxsplit=1,
    )[0]
    return " ".join(stem(word) for word in short.split()[:4])


def objects(text: str, most: int = 4) -> list[str]:
    """Return the objects of "jazz, blues and old films"."""
    text = _ABOUT.sub("", text)
    text = re.split(
        r",\s(?=(?:they|it|he|she|i|we|that|this|so|especially|which)\b)|\s(?:because|but|when|although|while"
        r"|since|more than|so much|any ?more|except)\b",
        text,
        maxsplit=1,
        flags=re.IGNORECASE,
    )[0]
    parts = re.split(r",?\s(?:and|or|nor)\s|,\s", text)[:most]
    # "24 degrees and sulks below 20": what follows is a verb, not a second thing.
    is_list = len(parts) > 1 and all(0 < len(part.split()) <= 4 for part in parts)
    kept = parts[:1] + [
        part
        for part in parts[1:]
        if FORMS.get(token_at(part, 0), ("", ""))[1] != "s"
        and not re.search(r"\s(?:below|above|under|over|until|like)\s", part)
        and not re.match(
            r"\s*(?:haven't|hasn't|have|has|don't|never|not|always|doctor|pray|please|sorry|thanks|wish|god"
            r"|judge)\b",
            part,
            re.IGNORECASE,
        )
    ]
    heads = dict.fromkeys(head(part) for part in (kept if is_list else [text]))
    return [
        one
        for one in heads
        if one
        and not _POINTING.search(one)
        and not re.fullmatch(
            r"(?!(?:lily|jelly|\w*fly|italy|sicily|family)$)\w+ly|not \w+|sorry|yes|no|always|never|too"
            r"|though|please|people",
            one,
        )
        and not one.startswith(("i ", "we ", "my ", "you ", "he ", "she "))
    ]


def place(text: str) -> str:
    """Return a place one lives in; empty for "in peace", "in fear"."""
    if _NOT_PLACE.match(text.strip()):
        return ""
    short = re.split(
        r"\s(?:with|near|next to|together|because|and|as|for)\s", f" {text.strip()}", maxsplit=1
    )[0]
    return phrase(short if re.search(r"[A-Z]", short) else text)


_CARS: Final = re.compile(rf"\b(?:{alternatives(DATA['cars'])})\b")


def thing(text: str) -> str:
    """Return the key of a thing owned: the general noun where one is said, else the head."""
    low = " " + re.split(r"\s(?:to|for|with|from|because|so|at|on|in)\s", text.casefold().strip(" ,.!"))[0]
    if found := OWNED.search(low):
        word = stem(found.group())
        return CANON.get(word, word)
    if _CARS.search(low):
        return "car"
    if found := re.search(rf"\b({PET})\b", low):
        return "pet " + stem(found.group())
    return head(text)


def is_owned(text: str) -> bool:
    """Say whether it is a thing worth knowing of: a car or a piano, not a sofa."""
    what = thing(text)
    return OWNED.search(what) is not None or what.startswith("pet ")


def relation_of(word: str) -> str:
    return CANON.get(word.casefold(), word.casefold())


def _one(value: str) -> list[str]:
    return [value] if value else []


def _folded(text: str) -> str:
    return CANON.get(text.casefold(), stem(text.casefold()).replace("-", " "))


FILLERS: Final = {
    "v": lambda text: [] if VAGUE.match(text) else _one(phrase(text)),
    "h": lambda text: [] if VAGUE.match(text) else _one(head(text)),
    "o": lambda text: [] if VAGUE.match(text) else objects(text),
    "p": lambda text: _one(place(text)),
    "t": lambda text: _one(thing(text)),
    "k": lambda text: _one(_folded(text.strip())),
    "n": lambda text: _one(text.strip(" ,.").casefold()),
    "r": lambda text: _one(relation_of(text)),
    "l": lambda text: [found.group().casefold() for found in LANGUAGE.finditer(text)][:5],
}
