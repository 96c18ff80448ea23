"""Stage 7, learn: what can be counted in one piece of writing.

In: a text, its language.  Out: counts and what they are counted on, so that a figure is always a quotient.
Never: compares, judges, keeps a word that is not on the lists below or in a greeting.

Surface cues only, in one pass over the words: no tagger, so that it runs anywhere and can be redone by hand.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragperso.segment import sentences
from ragperso.tokens import detect_language

Kind = Literal["share", "rate", "mean"]
Values: TypeAlias = NDArray[np.float64]


class Habit(NamedTuple):
    """One measure: ``counts[name] / counts[per]``.

    A share is of sentences or pieces, a rate per 1,000 words, a mean is a logarithm or a mean of windows.
    ``bound`` measures mean something in one language only.
    """

    name: str
    kind: Kind
    per: str
    label: str
    bound: bool = False


HABITS: Final = (
    Habit("sentence_length", "mean", "sentences", "words per sentence"),
    Habit("exclamations", "share", "sentences", "sentences ending in !"),
    Habit("questions", "share", "sentences", "sentences ending in ?"),
    Habit("unended", "share", "sentences", "sentences without an end mark"),
    Habit("lower_starts", "share", "sentences", "sentences in lower case"),
    Habit("double_spaces", "share", "sentences", "two blanks between sentences"),
    Habit("commas", "rate", "words", "commas"),
    Habit("semicolons", "rate", "words", "semicolons"),
    Habit("colons", "rate", "words", "colons"),
    Habit("dashes", "rate", "words", "dashes"),
    Habit("parentheses", "rate", "words", "parentheses"),
    Habit("ellipses", "rate", "words", "ellipses"),
    Habit("quotes", "rate", "words", "quotation marks"),
    Habit("emoji", "rate", "words", "emoji and smileys"),
    Habit("repeats", "rate", "words", "repeated marks (!!, ??)"),
    Habit("capitals", "rate", "words", "words in CAPITALS"),
    Habit("oxford", "share", "series", 'comma before a last "and"', bound=True),
    Habit("contractions", "rate", "words", "contractions", bound=True),
    Habit("slang", "rate", "words", "colloquial words", bound=True),
    Habit("connectives", "rate", "words", "formal connectives", bound=True),
    Habit("passives", "rate", "words", "passives", bound=True),
    Habit("long_words", "rate", "words", "words of 7+ letters", bound=True),
    Habit("richness", "mean", "windows", "vocabulary richness", bound=True),
)
BY_NAME: Final = {habit.name: habit for habit in HABITS}

WINDOW: Final = 50  # words; MATTR, Covington & McFall 2010: does not fall with the length of the text
LONG_WORD: Final = 7  # letters; in English mostly Latin and Greek words
MAX_PIECE_CHARS: Final = 50_000  # of one piece; a habit shows long before

_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_MARK: Final = re.compile(
    r"(?P<ellipses>\.{3,}|…)"
    r"|(?P<repeats>[!?]{2,})"
    r"|(?P<emoji>[\U0001f300-\U0001faff\u2600-\u26ff\u2700-\u27bf]|(?<!\S)[:;=]-?[)(DPp](?!\w))"
    r"|(?P<dashes>(?<=\S)—|(?<=\S )(?:—|(?:–|--?)(?=\s)))"  # not the one before a name or a list item
    r"|(?P<semicolons>;)|(?P<colons>(?<=\w):(?=\s|$))|(?P<commas>,(?!\d))"
    r"|(?P<quotes>[\"“„«])"
)
_PARENTHESIS: Final = re.compile(r"\([^()\n]{2,300}\)")
_CAPITALS: Final = re.compile(r"\b[A-ZÀ-ÖØ-Þ]{4,30}\b")  # shorter ones are mostly abbreviations
_DOUBLE: Final = re.compile(r"[.!?] {2}(?=\S)")
_SERIES: Final = re.compile(r"\w, (?:[\w'’-]{1,20} ){0,2}[\w'’-]{1,20}(,?) (?:and|or) \w")
_END: Final = "\"'”’»)]*_ "
_LIST: Final = re.compile(  # two items in a row
    r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]\S[^\n]*\n+[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]", re.MULTILINE
)
_LIST_ITEM: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]")
_CONTRACTION: Final = re.compile(
    r"\w{1,30}n't|\w{1,30}'(?:ll|re|ve|d|m)|(?:it|that|there|what|here|he|she|who|let|how|where)'s"
)


def _set(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# Colloquial words and formal connectives: those that belong to one manner and hardly to another meaning.
_SLANG: Final = {
    "en": _set(
        "gonna wanna gotta kinda sorta dunno lol lmao omg btw tbh idk imo haha hahaha hehe yeah yep yup",
        "nope nah ok okay cuz coz u ur ya yay yo dude crap damn wow ugh hmm meh awesome ain't y'all thx pls",
        "plz tho anyways gosh gee yikes whoa oops freaking friggin guys stuff",
    ),
    "de": _set(
        "nee nö naja tja echt krass geil mega halt eh gell irgendwie quasi nix ne okay ok haha lol hm ach",
        "boah puh moin servus rein runter raus rauf hab gibt's geht's wär",
    ),
    "fr": _set(
        "ouais nan bof ben bah hein truc trucs machin mdr lol ptdr ok okay haha putain merde cool sympa",
        "boulot bouffe fric mec nana gars dingue pis y'a t'as j'suis chuis",
    ),
}
_CONNECTIVES: Final = {
    "en": _set(
        "however therefore moreover furthermore thus hence consequently nevertheless nonetheless accordingly",
        "additionally regarding concerning whereas whereby notwithstanding subsequently respectively albeit",
        "thereby herewith enclosed pursuant upon",
    ),
    "de": _set(
        "jedoch daher somit folglich demnach dennoch infolgedessen hinsichtlich bezüglich gemäß mithin zudem",
        "ferner überdies indes gleichwohl sowie wodurch diesbezüglich hiermit anbei",
    ),
    "fr": _set(
        "toutefois cependant néanmoins ainsi afin concernant notamment lequel laquelle lesquels lesquelles",
        "conformément auprès veuillez ci-joint dont",
    ),
}
_BE: Final = _set("am is are was were be been being is't isn't aren't wasn't weren't")
_PARTICIPLES: Final = _set(
    "made done given taken seen known written shown told said held kept left lost paid sent set built bought",
    "brought caught chosen driven drawn found forgotten hidden hit hurt led meant put read sold spent taught",
    "thrown understood worn won broken spoken stolen beaten bitten blown",
)
_NO_PARTICIPLES: Final = _set("need indeed red bed speed seed feed shed tired excited bored interested")
_INFORMAL: Final = {
    "de": _set("du dir dich dein deine deinen deinem deiner deins euch euer eure euren eurem"),
    "fr": _set("tu te toi ton ta tes tien tienne"),
}
_POLITE: Final = {"fr": _set("vous votre vos vôtre")}
_POLITE_GERMAN: Final = _set("Ihnen Ihre Ihren Ihrem Ihrer Ihres")  # told from "ihr" by the capital

# British form, American form.  Words that are common, and whose two forms mean the same.
SPELLINGS: Final[Mapping[str, str]] = {
    pair.partition("/")[0]: pair.partition("/")[2]
    for pair in (
        "colour/color colours/colors coloured/colored favourite/favorite favourites/favorites "
        "favour/favor honour/honor honours/honors behaviour/behavior neighbour/neighbor "
        "neighbours/neighbors neighbourhood/neighborhood flavour/flavor flavours/flavors labour/labor "
        "humour/humor rumour/rumor rumours/rumors harbour/harbor odour/odor centre/center "
        "centres/centers theatre/theater metre/meter metres/meters litre/liter litres/liters "
        "kilometres/kilometers kilometre/kilometer millimetres/millimeters organise/organize "
        "organised/organized organising/organizing realise/realize realised/realized "
        "realising/realizing recognise/recognize recognised/recognized apologise/apologize "
        "apologised/apologized analyse/analyze analysed/analyzed travelling/traveling "
        "travelled/traveled cancelled/canceled cancelling/canceling grey/gray defence/defense mum/mom "
        "mums/moms pyjamas/pajamas jewellery/jewelry aluminium/aluminum maths/math "
        "sceptical/skeptical plough/plow mould/mold catalogue/catalog dialogue/dialog fulfil/fulfill "
        "skilful/skillful criticise/criticize emphasise/emphasize summarise/summarize "
        "minimise/minimize"
    ).split()
}
_AMERICAN: Final = frozenset(SPELLINGS.values())

# Burrows 2002 compares authors by their commonest words; these have no topic.
FUNCTION_WORDS: Final = _set(
    "the and to a of i in that it is my for was you with on have but be me this so not at as we are all",
    "they just if or he she had what about out up from her his one an there do when no can by who then",
    "more will would been were how them because which their your our some than now after only into",
    "other over could did its has him even very where any these those here too still before again back",
    "down off never always much also should being why though while since until through without between",
    "am us don't i'm it's that's can't didn't i've i'll",
)
# Words and phrases that people like or never use, whatever they write about.
MARKERS: Final = _set(
    "actually basically really quite rather pretty simply honestly frankly obviously apparently",
    "probably perhaps maybe definitely certainly absolutely totally completely literally seriously",
    "clearly surely hopefully unfortunately fortunately luckily sadly indeed anyway however therefore",
    "although besides otherwise instead meanwhile eventually finally suddenly recently lately nearly",
    "almost hardly barely merely mostly usually often sometimes rarely seldom somewhat slightly fairly",
    "terribly awfully incredibly extremely particularly especially truly entirely exactly precisely",
    "thus hence whilst whereas unless yet ever already soon later nowadays well oh ah alas yes okay ok",
    "yeah wow lovely wonderful great nice awesome amazing fantastic brilliant dear please thanks sorry",
    "guess suppose reckon shall must might cannot gonna wanna stuff things bit lots bunch plenty couple",
    "upon toward towards whole utterly mighty dreadful splendid marvellous glorious delightful tiny",
    "little",
)
PHRASES: Final = frozenset(
    (
        "of course", "a bit", "a lot", "kind of", "sort of", "at least", "at all", "i think", "i guess",
        "i suppose", "i mean", "you know", "in fact", "by the way", "for example", "for instance", "as well",
        "so far", "so much", "as usual", "once again", "after all", "in general", "on the other hand",
        "to be honest", "no doubt", "i believe", "i feel", "i hope", "i wonder", "i must", "i shall",
        "let me", "thank you", "as soon as", "in order to", "more or less", "all in all", "that said",
        "at the moment", "these days", "a little", "have to", "need to", "used to", "right now", "as for",
        "even though", "even if", "such a", "no idea", "in any case", "not only", "rather than", "and so",
        "and then", "but then", "or so", "oh well", "ah well", "thanks for", "happy to", "feel free",
    )
)  # fmt: skip
LISTED: Final = FUNCTION_WORDS | MARKERS
_PHRASE_STARTS: Final = frozenset(phrase.split()[0] for phrase in PHRASES)


# What is compared, in this order everywhere: the counted habits, then listed words.  Habits that are means
# are kept apart.
COUNTED: Final = tuple(habit for habit in HABITS if habit.kind != "mean")
AVERAGED: Final = tuple(habit for habit in HABITS if habit.kind == "mean")
WORDS: Final = tuple(sorted(LISTED | PHRASES))
_COLUMNS: Final = {word: len(COUNTED) + column for column, word in enumerate(WORDS)}
ANSCOMBE: Final = 3 / 8  # Anscombe 1948: sqrt(count + 3/8) varies alike for rare and frequent events
LONGEST: Final = 60  # words; longer sentences are counted as this long where quartiles are shown
RICHNESS_NOISE: Final = 0.18  # variance of the mean of one 50-word window (.0036 on blogs), per word


@dataclass(frozen=True, slots=True)
class Counted:
    """What one piece shows; ``counts`` hold both the numerators and what they are counted on."""

    language: str
    register: str
    words: int
    counts: dict[str, float] = field(repr=False)
    listed: Counter[str] = field(repr=False)  # English function words, markers and phrases
    spellings: Counter[str] = field(repr=False)
    lengths: tuple[int, ...] = ()  # words of each sentence
    greeting: str = field(default="", repr=False)
    signoff: str = field(default="", repr=False)
    audience: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of several pieces; two tallies add up.

    ``amounts / bases`` are the figures of :data:`COUNTED` and :data:`WORDS`, ``scatter`` is how far pieces
    lie apart beyond chance (numerator, denominator of a variance of square roots of rates; of means, of the
    mean).  ``means`` holds (sum, number, sum of squares) of :data:`AVERAGED`.
    """

    pieces: float
    words: float
    counts: dict[str, float] = field(repr=False)
    amounts: Values = field(repr=False, compare=False)
    bases: Values = field(repr=False, compare=False)
    scatter: tuple[Values, Values] = field(repr=False, compare=False)
    n_with: Values = field(repr=False, compare=False)  # pieces that have it at all
    means: tuple[tuple[float, float, float], ...] = ()
    mean_scatter: tuple[tuple[float, float], ...] = ()
    lengths: Values = field(default_factory=lambda: np.zeros(LONGEST + 1), repr=False, compare=False)

    def scaled(self, factor: float) -> Tally:
        """Return the tally as if there were ``factor`` times as much text."""
        return Tally(
            self.pieces * factor,
            self.words * factor,
            {name: value * factor for name, value in self.counts.items()},
            self.amounts * factor,
            self.bases * factor,
            (self.scatter[0] * factor, self.scatter[1] * factor),
            self.n_with * factor,
            tuple((a * factor, b * factor, c * factor) for a, b, c in self.means),
            tuple((a * factor, b * factor) for a, b in self.mean_scatter),
            self.lengths * factor,
        )

    def __add__(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            self.pieces + other.pieces,
            self.words + other.words,
            {
                name: self.counts.get(name, 0.0) + other.counts.get(name, 0.0)
                for name in {*self.counts, *other.counts}
            },
            self.amounts + other.amounts,
            self.bases + other.bases,
            (self.scatter[0] + other.scatter[0], self.scatter[1] + other.scatter[1]),
            self.n_with + other.n_with,
            tuple(
                (a + d, b + e, c + f) for (a, b, c), (d, e, f) in zip(self.means, other.means, strict=True)
            ),
            tuple(
                (a + c, b + d) for (a, b), (c, d) in zip(self.mean_scatter, other.mean_scatter, strict=True)
            ),
            self.lengths + other.lengths,
        )


def tally(pieces: Sequence[Counted]) -> Tally:
    """Return the counts of ``pieces`` together, and how far the pieces lie apart."""
    counts: defaultdict[str, float] = defaultdict(float)
    lengths = np.zeros(LONGEST + 1)
    for piece in pieces:
        for name, value in piece.counts.items():
            counts[name] += value
        for n_words in piece.lengths:
            lengths[min(n_words, LONGEST)] += 1
    amounts, bases = table_of(pieces)
    together, on = amounts.sum(axis=0), bases.sum(axis=0)
    rates = together / np.maximum(on, 1)
    apart = np.sqrt(amounts + ANSCOMBE) - np.sqrt(bases * rates + ANSCOMBE)
    # A square root of a Poisson count varies by 1/4 (Anscombe 1948); the rest is the person's own variety.
    seen = bases > 0
    scatter = ((apart * apart - 0.25) * seen).sum(axis=0), bases.sum(axis=0)
    means, mean_scatter = [], []
    for habit in AVERAGED:
        rows = np.array([means_of(piece, habit) for piece in pieces]).reshape(len(pieces), 3)
        total, n, squares = rows.sum(axis=0)
        means.append((float(total), float(n), float(squares)))
        mean_scatter.append(_mean_scatter(habit, rows, np.array([p.words for p in pieces], float)))
    return Tally(
        len(pieces),
        sum(piece.words for piece in pieces),
        dict(counts),
        together,
        on,
        scatter,
        (amounts > 0).sum(axis=0).astype(float),
        tuple(means),
        tuple(mean_scatter),
        lengths,
    )


def table_of(pieces: Sequence[Counted]) -> tuple[Values, Values]:
    """Return two (pieces, measures) tables: how often, and out of how many."""
    amounts = np.zeros((len(pieces), len(COUNTED) + len(WORDS)))
    bases = np.zeros_like(amounts)
    for row, piece in enumerate(pieces):
        for column, habit in enumerate(COUNTED):
            amounts[row, column] = piece.counts.get(habit.name, 0.0)
            bases[row, column] = piece.counts.get(habit.per, 0.0)
        if piece.language == "en":
            bases[row, len(COUNTED) :] = piece.words
            for word, n in piece.listed.items():
                amounts[row, _COLUMNS[word]] = n
    return amounts, bases


def means_of(piece: Counted, habit: Habit) -> tuple[float, float, float]:
    """Return sum, number and sum of squares of one of :data:`AVERAGED`."""
    counts = piece.counts
    return (
        counts.get(habit.name, 0.0),
        counts.get(habit.per, 0.0),
        counts.get(f"{habit.name}^2", 0.0),
    )


def within(habit: Habit, total: float, n: float, squares: float) -> float:
    """Return the variance of one observation of a mean: of one sentence, or per word of a window."""
    if habit.name != "sentence_length":
        return RICHNESS_NOISE
    return max(squares / n - (total / n) ** 2, 0.05) if n else 0.4  # of log lengths; blogs: .4


def _mean_scatter(habit: Habit, rows: Values, words: Values) -> tuple[float, float]:
    total, n, squares = rows.sum(axis=0)
    if not n:
        return 0.0, 0.0
    weights = np.where(rows[:, 1] > 0, rows[:, 1] if habit.name == "sentence_length" else words, 0.0)
    seen = weights > 0
    apart = rows[seen, 0] / rows[seen, 1] - total / n
    chance = within(habit, total, n, squares)
    return float((weights[seen] * apart**2 - chance).sum()), float(weights.sum())


def count(text: str, register: str = "", language: str = "", audience: str = "") -> Counted:
    """Return what is countable in ``text``; greeting and sign-off are set aside first."""
    text = text[:MAX_PIECE_CHARS].replace("\r\n", "\n").strip()
    language = language or detect_language(text)
    opening, closing = greeting_line(text), signoff_of(text)
    greeting = greeting_of(text)
    body = text[len(opening) :] if opening else text
    body = body[: len(body) - len(closing)].rstrip() if closing else body.rstrip()
    counts: defaultdict[str, float] = defaultdict(float)
    lengths = _count_sentences(body, counts, after_greeting=bool(opening))
    for match in _MARK.finditer(body):
        counts[match.lastgroup or ""] += 1
    plain = body.replace("’", "'")
    words = _WORD.findall(plain)
    folded = [word.casefold() for word in words]
    counts["words"] = len(words)
    counts["parentheses"] = len(_PARENTHESIS.findall(body))
    counts["capitals"] = len(_CAPITALS.findall(body))
    counts["double_spaces"] = len(_DOUBLE.findall(body))
    counts["pieces"] = 1
    counts["lists"] = 1 if _LIST.search(body) else 0
    counts["paragraphs"] = 1 + len(re.findall(r"\n[ \t]*\n", body)) if body else 0
    _count_words(words, folded, language, counts)
    listed: Counter[str] = Counter()
    spellings: Counter[str] = Counter()
    if language == "en":
        oxford = _SERIES.findall(body)
        counts["series"], counts["oxford"] = len(oxford), oxford.count(",")
        listed, spellings = _listed(folded)
    return Counted(
        language, register, len(words), dict(counts), listed, spellings, lengths, greeting, closing, audience
    )


def _count_sentences(body: str, counts: defaultdict[str, float], *, after_greeting: bool) -> tuple[int, ...]:
    lengths = []
    for number, (start, end) in enumerate(sentences(body)):
        sentence = body[start:end]
        n_words = len(_WORD.findall(sentence))
        if not n_words:
            continue
        lengths.append(n_words)
        size = math.log(n_words)
        counts["sentence_length"] += size
        counts["sentence_length^2"] += size * size
        last = sentence.rstrip(_END)[-1:]
        is_item = _LIST_ITEM.match(sentence) is not None
        if last == "!":
            counts["exclamations"] += 1
        elif last == "?":
            counts["questions"] += 1
        elif last not in (".", "…", ":", ";") and not is_item:
            counts["unended"] += 1
        # German and French mails go on in lower case behind the greeting.
        if not is_item and not (after_greeting and number == 0) and sentence[0].islower():
            counts["lower_starts"] += 1
    counts["sentences"] = len(lengths)
    counts["sentence_words"] = sum(lengths)
    return tuple(lengths)


def _count_words(words: list[str], folded: list[str], language: str, counts: defaultdict[str, float]) -> None:
    slang, connectives = _SLANG.get(language, frozenset()), _CONNECTIVES.get(language, frozenset())
    informal, polite = _INFORMAL.get(language, frozenset()), _POLITE.get(language, frozenset())
    is_english, is_german, is_french = language == "en", language == "de", language == "fr"
    before = earlier = ""
    for word, low in zip(words, folded, strict=True):
        if len(low) >= LONG_WORD and low.isalpha():
            counts["long_words"] += 1
        if low in slang:
            counts["slang"] += 1
        elif low in connectives:
            counts["connectives"] += 1
        if low in informal or (is_french and low.startswith("t'")):
            counts["informal"] += 1
        elif low in polite or (is_german and (word in _POLITE_GERMAN or (word == "Sie" and before))):
            counts["polite"] += 1
        if is_english:
            if "'" in low and _CONTRACTION.fullmatch(low):
                counts["contractions"] += 1
            if (before in _BE or (earlier in _BE and (before == "not" or before.endswith("ly")))) and (
                low in _PARTICIPLES or (low.endswith("ed") and len(low) > 4 and low not in _NO_PARTICIPLES)
            ):
                counts["passives"] += 1
        elif (is_german and low in ("wurde", "wurden", "worden")) or (
            is_french and before == "été" and low.rstrip("es").endswith(("é", "i", "u", "t"))
        ):
            counts["passives"] += 1
        earlier, before = before, low
    counts["address"] = counts["informal"] + counts["polite"]
    total, windows = _richness(folded)
    counts["richness"], counts["windows"] = total, windows


def _richness(words: list[str]) -> tuple[float, int]:
    """Return the sum of the type-token ratios of all windows of 50 words, and their number."""
    n = len(words) - WINDOW + 1
    if n < 1:
        return 0.0, 0
    inside = Counter(words[:WINDOW])
    kinds = total = len(inside)
    for old, new in zip(words, words[WINDOW:], strict=False):
        if old != new:
            inside[new] += 1
            kinds += inside[new] == 1
            inside[old] -= 1
            kinds -= inside[old] == 0
        total += kinds
    return total / WINDOW, n


def _listed(folded: list[str]) -> tuple[Counter[str], Counter[str]]:
    listed: Counter[str] = Counter()
    spellings: Counter[str] = Counter()
    for i, word in enumerate(folded):
        if word in LISTED:
            listed[word] += 1
        if word in _PHRASE_STARTS:
            for n in (2, 3, 4):
                phrase = " ".join(folded[i : i + n])
                if phrase in PHRASES:
                    listed[phrase] += 1
        if word in SPELLINGS or word in _AMERICAN:
            spellings[word] += 1
    return listed, spellings


# ---------------------------------------------------------------- greetings and sign-offs

_GREETING: Final = re.compile(
    r"(?P<word>hi|hello|hey|dear|dearest|good (?:morning|evening|afternoon)|hallo|liebe[rs]?|moin|servus"
    r"|guten (?:tag|morgen|abend)|sehr geehrte[rs]?|bonjour|bonsoir|salut|coucou|ch[eè]re?s?"
    r"|hola|querid[oa]|ciao|caro|cara)\b(?P<rest>[^\n]{0,60})",
    re.IGNORECASE,
)
_NAME_FIRST: Final = re.compile(r"[A-ZÀ-ÞŠŽ][\w’'-]{1,20}(?P<rest>, [^\n.!?]{2,50})?[,!]$")


def greeting_line(text: str) -> str:
    """Return the first line of ``text`` when it is a greeting, else nothing."""
    line, _, rest = text.partition("\n")
    line = line.strip()
    if not rest.strip() or not (_GREETING.match(line) or _NAME_FIRST.match(line)):
        return ""
    return line if line[-1:] in ",!:" or len(line) <= 20 else ""


def greeting_of(text: str) -> str:
    """Return the shape of the greeting of ``text`` with the name left out: ``Hi ...,``."""
    line = greeting_line(text)
    if not line:
        return ""
    end = line[-1] if line[-1] in ",!:" else ""
    if match := _GREETING.match(line):
        return match["word"] + (" ..." if _WORD.search(match["rest"]) else "") + end
    return f"NAME, ...{end}" if "," in line[:-1] else f"NAME{end}"


def signoff_of(text: str) -> str:
    """Return the last lines of ``text`` when they are a sign-off: short, apart, without a full stop."""
    body, _, last = text.rpartition("\n\n")
    last = last.strip()
    if not body or not last or len(last) > 120 or last.count("\n") > 1:
        return ""
    n_words = len(_WORD.findall(last))
    if not 1 <= n_words <= 7 or last[-1] in ".?!:;" or _LIST_ITEM.match(last):
        return ""
    return last
