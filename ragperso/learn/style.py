"""Stage 7, learn: a measured style card.

In: pieces of the person's own writing.  Out: figures, plain sentences about what is distinctive, and how far
a draft is from them.
Never: says what is common to most people, quotes more than a greeting, guesses from fewer than three pieces.

What is counted stands in ``habits.py``, what is usual in ``background.py``.  Rates are compared as square
roots, in which frequent and rare events vary alike (Anscombe 1948), and every comparison knows its chance
error: a habit is said only when the person lies outside the middle 80 % of people and chance does not
explain it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from ragperso.errors import NotEnoughData
from ragperso.learn import background
from ragperso.learn.background import Background, Usual
from ragperso.learn.habits import (
    ANSCOMBE,
    AVERAGED,
    BY_NAME,
    COUNTED,
    MARKERS,
    PHRASES,
    SPELLINGS,
    WORDS,
    Counted,
    Habit,
    Tally,
    Values,
    count,
    means_of,
    table_of,
    tally,
    within,
)
from ragperso.registers import fold, is_same_audience
from ragperso.types import Distance

MIN_TEXTS: Final = 3
MIN_USES: Final = 2  # a greeting used once is no habit
MAX_PHRASES: Final = 4  # greetings, and as many sign-offs
MAX_SENTENCES: Final = 8
NEVER_EVENTS: Final = 5.0  # that most people would have had, before "never" is said
MOSTLY: Final = 0.5  # share from which a habit without a background is said
FREQUENT_LISTS: Final = 0.2  # of all pieces; a reading of what strikes one, not a measured figure
SURE: Final = 2.0  # standard errors from the middle of people before a habit is said
MIN_LENGTHS: Final = 5  # mails, before their length is said; outside deciles 3 to 7 of mails of others
MIN_FAVOURITE_PIECES: Final = 3
SURE_FAVOURITE: Final = 2.58  # z of the log-odds: 1 % by chance for one word
MAX_FAVOURITES: Final = 5
PRIOR_WORDS: Final = 500  # weight of the background in the log-odds: a word is no favourite from two pages
MIN_SPELLINGS: Final = 3  # words that have two forms, of at least two kinds
MIN_ADDRESS: Final = 6  # forms of "du" and "Sie"
CLEAR: Final = 0.8  # share from which one of two forms is called the person's
SHARED_WORDS: Final = 1_000  # of a shared card: beside 1,000 own words it counts half, beside 9,000 a tenth

# For distances.
PSEUDO_EVENTS: Final = 2.0  # of the background in each rate: a mark never used is rare, not impossible
PSEUDO_PIECES: Final = 10.0  # of the background in the person's scatter
GROUP_PIECES: Final = 10  # before a language's or register's own figures are used for a draft
GROUP_WORDS: Final = 500
MIN_DRAFT_WORDS: Final = 12  # below it nothing is said of a draft
STRIKING: Final = 1.5  # standard deviations of a draft's figure, before it is worth a sentence
MAX_DEVIATIONS: Final = 4

_LANGUAGES: Final = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch",
    "pt": "Portuguese", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ar": "Arabic", "ru": "Russian",
}  # fmt: skip
_CUES: Final = {  # of formality, and which way they point
    "long_words": 1, "connectives": 1, "passives": 1,
    "contractions": -1, "slang": -1, "exclamations": -1, "emoji": -1, "lower_starts": -1, "repeats": -1,
}  # fmt: skip
_INDEX: Final = {name: i for i, name in enumerate([*(habit.name for habit in COUNTED), *WORDS])}
_FORMAL_ADDRESS: Final = {"de": ("du", "Sie"), "fr": ("tu", "vous")}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of someone's own writing, and what is known of it."""

    text: str = field(repr=False)
    register: str = ""
    audience: str = field(default="", repr=False)
    language: str = ""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A greeting or sign-off: how often, in which language if in one, and to whom (most often first)."""

    shape: str = field(repr=False)
    uses: int = 1
    language: str = ""
    audiences: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Favourite:
    """A word the person uses more than others do; ``times`` is how many times as often."""

    word: str = field(repr=False)
    pieces: int
    times: float
    z: float


@dataclass(frozen=True, slots=True)
class StyleCard:
    """How someone writes, in figures.

    ``whole`` counts everything, ``groups`` by language and by (language, register family); measures that
    mean something in one language only are read from the language written most.
    """

    pieces: int
    words: int
    whole: Tally = field(repr=False)
    groups: Mapping[tuple[str, str], Tally] = field(default_factory=dict, repr=False)
    languages: tuple[tuple[str, float], ...] = ()  # share of pieces
    registers: tuple[tuple[str, int, float], ...] = ()  # (register, pieces, median words)
    spellings: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    greetings: tuple[Phrase, ...] = field(default=(), repr=False)
    signoffs: tuple[Phrase, ...] = field(default=(), repr=False)

    @property
    def language(self) -> str:
        """The language written most, empty when unknown."""
        return self.languages[0][0] if self.languages else ""

    @property
    def main(self) -> Tally:
        """What was counted in the language written most."""
        return self.groups.get((self.language, ""), self.whole)

    @property
    def sentence_words(self) -> float:
        """Mean words of a sentence."""
        return self.whole.counts.get("sentence_words", 0.0) / max(
            1.0, self.whole.counts.get("sentences", 0.0)
        )

    @property
    def lists(self) -> float:
        """Share of pieces with a list."""
        return self.whole.counts.get("lists", 0.0) / max(1.0, self.whole.pieces)

    @property
    def contractions(self) -> float | None:
        """Contractions per 1,000 words of English, None without any."""
        english = self.groups.get(("en", ""))
        if english is None or not english.words:
            return None
        return 1000 * english.counts.get("contractions", 0.0) / english.words

    @property
    def richness(self) -> float | None:
        """Share of different words in 50 words (MATTR) of the main language, None without a piece so long."""
        return self.figure("richness")

    @property
    def names(self) -> tuple[str, ...]:
        """The names that :meth:`figure` and :meth:`usual` know."""
        return ("sentence_words", "formality", *(habit.name for habit in HABIT_ROWS))

    def figure(self, name: str) -> float | None:
        """Return a share, a mean, or a rate per 1,000 words; None where there is nothing to count it on."""
        if name == "sentence_words":
            return self.sentence_words if self.whole.counts.get("sentences") else None
        if name == "formality":
            return self.formality
        habit = BY_NAME[name]
        counts = (self.main if habit.bound else self.whole).counts
        if not (on := counts.get(habit.per, 0.0)):
            return None
        value = counts.get(name, 0.0) / on
        return 1000 * value if habit.kind == "rate" else value

    def usual(self, name: str) -> Usual | None:
        """Return what is usual for this mix of registers; None where it was not measured.

        Measures bound to a language have a background in English only; marks and lengths of other
        languages are held against the English one, for want of better.
        """
        is_bound = name == "formality" or BY_NAME.get(name, _ANY).bound
        if is_bound and self.language != background.LANGUAGE:
            return None
        weights: defaultdict[str, float] = defaultdict(float)
        for (_, kind), group in self.groups.items():
            if kind:
                weights[kind] += group.words
        known = background.shipped()
        ranges = [(known[kind].usual(name), weight) for kind, weight in weights.items()] or [
            (known[background.ORDINARY].usual(name), 1.0)
        ]
        total = sum(weight for usual, weight in ranges if usual)
        if not total:
            return None
        low, middle, high = (
            sum(usual[i] * weight for usual, weight in ((_triple(u), w) for u, w in ranges if u)) / total
            for i in range(3)
        )
        factor = 1000 if name in BY_NAME and BY_NAME[name].kind == "rate" else 1
        return Usual(low * factor, middle * factor, high * factor)

    @property
    def formality(self) -> float | None:
        """Mean standard score of nine cues against English blog posts; 0 is an ordinary post.

        For: words of 7+ letters, connectives, passives.  Against: contractions, colloquial words,
        exclamations, emoji, lower-case sentences, repeated marks.  Known only of English.
        """
        return formality_of(self.main) if self.language == background.LANGUAGE else None

    @property
    def sentence_quartiles(self) -> tuple[int, int, int]:
        """Words of a quarter, half and three quarters of the sentences, at most."""
        reached = np.cumsum(self.whole.lengths)
        if not reached[-1]:
            return 0, 0, 0
        low, middle, high = (int(np.searchsorted(reached, q * reached[-1])) for q in (0.25, 0.5, 0.75))
        return low, middle, high

    @property
    def variant(self) -> str:
        """``British`` or ``American`` when the spelling says so clearly, else nothing."""
        british = sum(n for word, n in self.spellings if word in SPELLINGS)
        total = sum(n for _, n in self.spellings)
        if total < MIN_SPELLINGS or len(self.spellings) < 2:
            return ""
        return "British" if british >= CLEAR * total else "American" if british <= (1 - CLEAR) * total else ""

    @property
    def address(self) -> tuple[tuple[str, str, float], ...]:
        """(language, form, share) where "du" and "Sie", "tu" and "vous" were counted often enough."""
        found = []
        for language, (informal, polite) in _FORMAL_ADDRESS.items():
            group = self.groups.get((language, ""))
            if group is None or (n := group.counts.get("address", 0.0)) < MIN_ADDRESS:
                continue
            share = group.counts.get("informal", 0.0) / n
            found.append((language, informal, share) if share >= 0.5 else (language, polite, 1 - share))
        return tuple(found)

    @property
    def favourites(self) -> tuple[Favourite, ...]:
        """The words and phrases that are most the person's own, best first; English only."""
        english = self.groups.get(("en", ""))
        if english is None:
            return ()
        kinds = [(kind, group.words) for (code, kind), group in self.groups.items() if code == "en" and kind]
        return _favourites(english, kinds)

    def table(self) -> list[tuple[str, str, str]]:
        """Return (measure, value, usual range) rows for a screen; no range where none was measured."""
        rows = [("pieces", f"{self.pieces:,}", ""), ("words", f"{self.words:,}", "")]
        low, _, high = self.sentence_quartiles
        rows.append(self._row("words per sentence", "sentence_words", ".1f"))
        rows.append(("half of all sentences", f"{low} to {high} words", ""))
        for register, n, median in self.registers:
            rows.append((f"words per {register}", f"{median:.0f} (of {n})", _usual_length(register)))
        if self.formality is not None:
            rows.append(self._row("formality", "formality", "+.1f"))
        for habit in HABIT_ROWS:
            form = {"share": ".0%", "rate": ".1f", "mean": ".2f"}[habit.kind]
            unit = " per 1,000 words" if habit.kind == "rate" else ""
            if self.figure(habit.name) is not None:
                rows.append(self._row(habit.label + unit, habit.name, form))
        rows.append(("pieces with a list", f"{self.lists:.0%}", ""))
        rows.append(("languages", ", ".join(f"{code} {share:.0%}" for code, share in self.languages), ""))
        if self.variant:
            rows.append(("spelling", self.variant, ""))
        rows.extend(
            (f"address, {_LANGUAGES[language]}", f"{form} {share:.0%}", "")
            for language, form, share in self.address
        )
        rows.extend(
            ("says often", _as_said(f.word), f"{f.times:.0f} times the usual") for f in self.favourites
        )
        for name, phrases in (("greeting", self.greetings), ("sign-off", self.signoffs)):
            rows.extend((name, f"{_flat(p.shape)} ({p.uses})", _to_whom(p)) for p in phrases)
        return rows

    def _row(self, label: str, name: str, form: str) -> tuple[str, str, str]:
        value, usual = self.figure(name), self.usual(name)
        shown = "" if value is None else _plain(value, form)
        return label, shown, f"{_plain(usual.low, form)} to {_plain(usual.high, form)}" if usual else ""


HABIT_ROWS: Final = tuple(habit for habit in (*COUNTED, *AVERAGED) if habit.name != "sentence_length")
_ANY: Final = Habit("", "mean", "", "")


# ---------------------------------------------------------------- measuring


def measure(texts: Iterable[Piece | str]) -> StyleCard:
    """Return the figures of some pieces of one person's writing.

    Raises: NotEnoughData below three pieces.
    """
    pieces = [piece if isinstance(piece, Piece) else Piece(piece) for piece in texts]
    counted = [
        count(piece.text, piece.register, piece.language, piece.audience)
        for piece in pieces
        if piece.text.strip()
    ]
    if len(counted) < MIN_TEXTS:
        raise NotEnoughData(
            f"{len(counted)} pieces of own writing are too few to measure a style; {MIN_TEXTS} are needed",
            hint="ragperso add --corpus exemplars PATH",
        )
    return card_of(counted)


def card_of(counted: Sequence[Counted]) -> StyleCard:
    """Return the card of pieces that are counted already."""
    groups: defaultdict[tuple[str, str], list[Counted]] = defaultdict(list)
    registers: defaultdict[str, list[int]] = defaultdict(list)
    spellings: Counter[str] = Counter()
    for piece in counted:
        groups[piece.language, ""].append(piece)
        groups[piece.language, background.family(piece.register)].append(piece)
        if piece.register:
            registers["mail" if piece.register == "mail reply" else piece.register].append(piece.words)
        spellings += piece.spellings
    languages = Counter(piece.language for piece in counted)
    tallies: dict[tuple[int, ...], Tally] = {}  # most people have one group only: count it once

    def tallied(members: Sequence[Counted]) -> Tally:
        key = tuple(map(id, members))
        if key not in tallies:
            tallies[key] = tally(members)
        return tallies[key]

    return StyleCard(
        pieces=len(counted),
        words=sum(piece.words for piece in counted),
        whole=tallied(counted),
        groups={key: tallied(members) for key, members in groups.items()},
        languages=tuple((code, n / len(counted)) for code, n in languages.most_common() if code),
        registers=tuple(
            (register, len(sizes), float(np.median(sizes)))
            for register, sizes in sorted(registers.items(), key=lambda item: (-len(item[1]), item[0]))
        ),
        spellings=tuple(spellings.most_common()),
        greetings=_phrases([(piece.greeting, piece.language, piece.audience) for piece in counted]),
        signoffs=_phrases([(piece.signoff, piece.language, piece.audience) for piece in counted]),
    )


def formality_of(group: Tally) -> float | None:
    """Return the formality of English text, see :attr:`StyleCard.formality`; None without a sentence."""
    ordinary = background.shipped()[background.ORDINARY]
    scores = []
    for name, sign in _CUES.items():
        column = _INDEX[name]
        on = float(group.bases[column])
        if not on:
            return None
        apart = math.sqrt(float(group.amounts[column]) / on) - math.sqrt(ordinary.deciles[name][4])
        scores.append(max(-3.0, min(3.0, sign * apart / math.sqrt(float(ordinary.between[column])))))
    return sum(scores) / len(scores)


def _phrases(used: Iterable[tuple[str, str, str]]) -> tuple[Phrase, ...]:
    uses: Counter[str] = Counter()
    audiences: defaultdict[str, Counter[str]] = defaultdict(Counter)
    languages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for shape, language, audience in used:
        if shape:
            uses[shape] += 1
            languages[shape][language] += 1
            audiences[shape][audience] += bool(audience)
    return tuple(
        Phrase(
            shape,
            n,
            next(iter(languages[shape])) if len(languages[shape]) == 1 else "",
            tuple(name for name, _ in audiences[shape].most_common() if name),
        )
        for shape, n in uses.most_common(MAX_PHRASES)
        if n >= MIN_USES
    )


def _favourites(english: Tally, kinds: Sequence[tuple[str, float]]) -> tuple[Favourite, ...]:
    """Return words by the log-odds ratio with an informative Dirichlet prior.

    The prior is the background of the registers written in (everyone thanks in mails), worth
    :data:`PRIOR_WORDS` words.  Source: Monroe, Colaresi & Quinn 2008, equations 15-19.
    """
    known = background.shipped()
    usual = known[background.ORDINARY]
    columns = np.array([_INDEX[word] for word in WORDS if word in MARKERS or word in PHRASES])
    n = float(english.words)
    if not n:
        return ()
    # A word said three times in one piece says little more than once: at most two per piece count.
    own = np.minimum(english.amounts[columns], 2 * english.n_with[columns])
    total = sum(words for _, words in kinds)
    rates = sum(
        (known[kind].rates[columns] * (words / total) for kind, words in kinds), np.zeros(len(columns))
    )
    highs = sum(
        (known[kind].highs[columns] * (words / total) for kind, words in kinds), np.zeros(len(columns))
    )
    prior = PRIOR_WORDS * rates
    others = usual.n_words * rates
    odds = np.log((own + prior) / (n + PRIOR_WORDS - own - prior))
    odds -= np.log((others + prior) / (usual.n_words + PRIOR_WORDS - others - prior))
    z = odds / np.sqrt(1 / (own + prior) + 1 / (others + prior))
    found = [
        Favourite(
            WORDS[column - len(COUNTED)],
            int(english.n_with[column]),
            float(own[i] / n / rates[i]),
            float(z[i]),
        )
        for i, column in enumerate(columns.tolist())
        if english.n_with[column] >= MIN_FAVOURITE_PIECES and z[i] >= SURE_FAVOURITE and own[i] / n > highs[i]
    ]
    kept: list[Favourite] = []
    for favourite in sorted(found, key=lambda f: (-f.z, f.word)):
        parts = set(favourite.word.split())
        if not any(parts <= set(other.word.split()) or parts >= set(other.word.split()) for other in kept):
            kept.append(favourite)  # "shall" says nothing beside "I shall"
    return tuple(kept[:MAX_FAVOURITES])


# ---------------------------------------------------------------- in words


def describe(texts: Iterable[Piece | str]) -> tuple[str, ...]:
    """Return a few plain sentences on what is distinctive, for the prompt and for the person.

    Raises: NotEnoughData below three pieces.
    """
    return sentences_about(measure(texts))


def sentences_about(card: StyleCard | None) -> tuple[str, ...]:
    """Return what a style card says in words, the most distinctive first; only what lies outside the usual.

    Nothing is said of fewer than three pieces.
    """
    if card is None or card.pieces < MIN_TEXTS:
        return ()
    others = []
    if card.lists > FREQUENT_LISTS and card.whole.counts.get("lists", 0.0) >= MIN_USES:
        others.append("Likes lists.")
    if (card.figure("double_spaces") or 0.0) >= MOSTLY:
        others.append("Puts two blanks between sentences.")
    if favourites := card.favourites:
        others.append(f"Often says {_series([_quote(_as_said(f.word)) for f in favourites])}.")
    opens, closes = _in_languages(card.greetings, card.language), _in_languages(card.signoffs, card.language)
    if opens or closes:
        both = [f"opens mails {opens}"] * bool(opens) + [f"signs off {closes}"] * bool(closes)
        text = "; ".join(both)
        others.append(f"{text[0].upper()}{text[1:]}.")
    used = [code for code, share in card.languages if code in _LANGUAGES and share >= 0.1]
    british = " (British spelling)" if card.variant == "British" else ""
    if len(used) > 1 or british:
        named = [_LANGUAGES[code] + (british if code == "en" else "") for code in used]
        others.append(f"Writes {_series(named)}.")
    habits = sorted(_habits_of(card), key=lambda found: -found[0])
    return (*(sentence for _, sentence in habits[: MAX_SENTENCES - len(others)]), *others)


def sentences_to(card: StyleCard | None, audience: str) -> tuple[str, ...]:
    """Return how the person opens and closes to ``audience``, an address or a name; nothing where unknown."""
    if card is None or not audience:
        return ()
    opens = [p.shape for p in card.greetings if any(is_same_audience(a, fold(audience)) for a in p.audiences)]
    closes = [p.shape for p in card.signoffs if any(is_same_audience(a, fold(audience)) for a in p.audiences)]
    both = [f"opens {_quote(opens[0])}"] if opens else []
    both += [f"signs off {_quote(closes[0])}"] if closes else []
    return (f"To this reader {' and '.join(both)}.",) if both else ()


def _habits_of(card: StyleCard) -> list[tuple[float, str]]:
    """Return (how far outside, sentence) of each habit that is distinctive."""
    found = []
    for name, (less, more) in _SENTENCES.items():
        value, usual = card.figure(name), card.usual(name)
        if value is None or usual is None or usual.low <= value <= usual.high:
            continue
        template = less if value < usual.low else more
        far, sure = _outside(card, name, value, usual)
        if not template or sure < SURE:
            continue
        if value == 0 and template.startswith("Seldom") and _expected(card, name, usual) >= NEVER_EVENTS:
            far += 1  # a rule strikes more than a tendency
            template = template.replace("Seldom", "Never", 1)
        # Someone terse has few contractions and no slang either; only long words make that formal.
        if name == "formality" and value > 0 and not _is_at_least_usual(card, "long_words"):
            continue
        found.append((far, template.format(value=value, one_in=_one_in(value))))
    return [*found, *_lengths_of(card)]


def _expected(card: StyleCard, name: str, usual: Usual) -> float:
    """Return how often most people would have done it in as much text; 0 where it is no count."""
    if name not in _INDEX:
        return 0.0
    habit = BY_NAME[name]
    bases = (card.main if habit.bound else card.whole).bases
    return float(bases[_INDEX[name]]) * usual.middle / (1000 if habit.kind == "rate" else 1)


def _is_at_least_usual(card: StyleCard, name: str) -> bool:
    value, usual = card.figure(name), card.usual(name)
    return value is not None and usual is not None and value >= usual.middle


def _lengths_of(card: StyleCard) -> Iterator[tuple[float, str]]:
    """Yield how long mails and chat messages are, where they are shorter or longer than most."""
    for register, n, median in card.registers:
        kind = background.family(register)
        if kind == background.ORDINARY or n < MIN_LENGTHS or not median:
            continue
        deciles = background.shipped()[kind].deciles["piece_words"]
        if deciles[2] <= median <= deciles[6]:
            continue
        spread = math.log(deciles[8] / deciles[0]) / 2.56
        name = "Mails" if kind == "mail" else "Chat messages"
        yield abs(math.log(median / deciles[4])) / spread, f"{name} usually have about {median:.0f} words."


def _outside(card: StyleCard, name: str, value: float, usual: Usual) -> tuple[float, float]:
    """Return how far from the middle of people, in standard deviations of people and in standard errors."""
    ordinary = background.shipped()[background.ORDINARY]
    if name == "formality":
        spread = (usual.high - usual.low) / 2.56  # deciles 1 and 9 of a normal distribution
        return abs(value - usual.middle) / spread, math.inf if card.main.words >= GROUP_WORDS else 0.0
    if name == "sentence_words":
        spread = (math.log(usual.high) - math.log(usual.low)) / 2.56
        total = card.whole.means[0]
        chance = within(BY_NAME["sentence_length"], *total) / max(1.0, total[1])
        apart = abs(math.log(value) - math.log(usual.middle))
        scatter = _mean_scatter_of(card.whole, "sentence_length", ordinary) / max(1.0, card.whole.pieces)
        return apart / spread, apart / math.sqrt(chance + scatter)
    habit = BY_NAME[name]
    group = card.main if habit.bound else card.whole
    if habit.kind == "mean":
        total = group.means[[h.name for h in AVERAGED].index(name)]
        chance = within(habit, *total) / max(1.0, group.words)
        chance += _mean_scatter_of(group, name, ordinary) / max(1.0, group.pieces)
        apart = abs(value - usual.middle)
        return apart / math.sqrt(ordinary.means[name][1]), apart / math.sqrt(chance)
    column = _INDEX[name]
    on, factor = float(group.bases[column]), 1000 if habit.kind == "rate" else 1
    apart = abs(math.sqrt(value / factor) - math.sqrt(usual.middle / factor))
    # The same with 3/8 of an event more, so that none seen on little text is no evidence.
    expected = on * usual.middle / factor
    seen = abs(math.sqrt(group.amounts[column] + ANSCOMBE) - math.sqrt(expected + ANSCOMBE))
    scatter = float(_scatter_of(group, ordinary)[column]) / max(1.0, group.pieces)
    return apart / math.sqrt(float(ordinary.between[column])), seen / math.sqrt(0.25 + on * scatter)


# Below and above the usual; an empty one is not worth a sentence.
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "sentence_words": (
        "Sentences are short, about {value:.0f} words.",
        "Sentences are long, about {value:.0f} words.",
    ),
    "exclamations": (
        "Seldom uses exclamation marks.",
        "Uses many exclamation marks: {one_in} sentences ends with one.",
    ),
    "questions": ("Seldom asks a question.", "Asks many questions."),
    "unended": ("", "Often leaves out the full stop."),
    "lower_starts": ("", "Often begins sentences in lower case."),
    "commas": ("Uses few commas.", "Uses many commas."),
    "semicolons": ("", "Uses semicolons."),
    "colons": ("", "Often uses colons."),
    "dashes": ("", "Often sets thoughts off with dashes."),
    "parentheses": ("Seldom uses parentheses.", "Often adds asides in parentheses."),
    "ellipses": ("", "Often trails off with an ellipsis..."),
    "quotes": ("", "Often uses quotation marks."),
    "emoji": ("", "Uses emoji."),
    "repeats": ("", "Doubles marks, as in !! or ??."),
    "capitals": ("", "Stresses words in CAPITALS."),
    "oxford": (
        'Puts no comma before the last "and" of a list.',
        'Puts a comma before the last "and" of a list.',
    ),
    "contractions": ('Seldom uses contractions: "do not" rather than "don\'t".', "Uses many contractions."),
    "slang": ("", "Uses colloquial words."),
    "connectives": ("", "Uses formal connectives."),
    "passives": ("", "Often uses the passive."),
    "long_words": ("Prefers short words.", "Prefers long words."),
    "richness": ("Repeats the same words.", "Draws on a rich vocabulary."),
    "formality": ("The tone is casual.", "The tone is formal."),
}


# ---------------------------------------------------------------- cold start


def blend(own: StyleCard | None, shared: StyleCard | None) -> StyleCard | None:
    """Return the person's card, filled up with a shared one while there is little of their own.

    The shared one is counted as at most :data:`SHARED_WORDS` words of text, so the person's own wins as it
    grows.  Of lists (greetings, languages, registers) the person's own stand once there are any; a shared
    sign-off is left out, since it has someone else's name in it.
    """
    if own is not None and own.pieces < MIN_TEXTS:
        own = None
    if shared is not None and shared.pieces < MIN_TEXTS:
        shared = None
    if shared is None or own is None:
        return own if shared is None else _nameless(shared)
    shared = _nameless(shared)
    factor = min(1.0, SHARED_WORDS / max(1, shared.words))
    groups = dict(own.groups)
    for key, group in shared.groups.items():
        scaled = group.scaled(factor)
        groups[key] = groups[key] + scaled if key in groups else scaled
    return StyleCard(
        pieces=own.pieces,
        words=own.words,
        whole=own.whole + shared.whole.scaled(factor),
        groups=groups,
        languages=own.languages or shared.languages,
        registers=own.registers or shared.registers,
        spellings=own.spellings or shared.spellings,
        greetings=own.greetings or shared.greetings,
        signoffs=own.signoffs,
    )


def _nameless(card: StyleCard) -> StyleCard:
    return StyleCard(
        pieces=card.pieces,
        words=card.words,
        whole=card.whole,
        groups=card.groups,
        languages=card.languages,
        registers=card.registers,
        spellings=card.spellings,
        greetings=tuple(Phrase(p.shape, p.uses) for p in card.greetings),
    )


# ---------------------------------------------------------------- distance


class _Limit(NamedTuple):
    """For drafts up to ``words``: what nine of ten held-out pieces of the writer's own keep to."""

    words: int
    overall: float
    likeness: float
    likeness_of_marks: float  # where only marks and lengths count: a language without a background


# Measured 2026-11 by benchmarks/style_card.py --check: cards of half the posts of 100 bloggers, held against
# a background of 100 others.  Own posts are nearer than others' (AUC) by likeness in .909 of pairs, by
# overall in .806; of their first 40 words in .826 and .702; by marks and lengths alone, likeness .852 and
# .762.  With these limits 10 % of own pieces count as unlike, and of others' 52 %, 66 % and 81 % by length.
_LIMITS: Final = (
    _Limit(60, 0.62, 1.1, 0.1),
    _Limit(150, 0.79, 1.9, 0.1),
    _Limit(10**9, 0.96, 3.4, 0.55),
)


def distance(text: str | Piece, card: StyleCard) -> Distance:
    """Return how far a draft is from how the person writes, and in what.

    Below 12 words nothing is said.
    """
    piece = text if isinstance(text, Piece) else Piece(text)
    return distance_of(count(piece.text, piece.register, piece.language), card)


def distance_of(draft: Counted, card: StyleCard) -> Distance:
    """Return the distance of a draft that is counted already."""
    if draft.words < MIN_DRAFT_WORDS:
        return Distance(0.0, 0.0, draft.words, 0.0)
    group, usual = _group_for(draft, card)
    is_known = draft.language == background.LANGUAGE
    z, weights, likeness = _compared(draft, group, usual, is_known=is_known)
    is_shown = np.array([name in BY_NAME for name in _NAMES])
    shown = weights * is_shown
    overall = float((np.abs(z) * shown).sum() / max(1e-9, float(shown.sum())))
    total = float(likeness.sum())
    limit = next(limit for limit in _LIMITS if draft.words <= limit.words)
    low = limit.likeness if is_known else limit.likeness_of_marks
    deviations = [
        sentence
        for i in np.argsort(-np.abs(z) * shown, kind="stable").tolist()
        if shown[i] > 0 and abs(z[i]) >= STRIKING and (sentence := _deviation(_NAMES[i], draft, group))
    ]
    said = [*_phrase_deviations(draft, card), *deviations][:MAX_DEVIATIONS]
    return Distance(overall, total, draft.words, limit.overall, total < low, tuple(said))


_NAMES: Final = (*_INDEX, *(habit.name for habit in AVERAGED))


def _group_for(draft: Counted, card: StyleCard) -> tuple[Tally, Background]:
    """Return what a draft is held against: the narrowest group with enough text, and its background."""
    kind = background.family(draft.register)
    known = background.shipped()[kind]
    keys = [(draft.language, kind), (draft.language, "")] if draft.register else [(draft.language, "")]
    for key in keys:
        group = card.groups.get(key)
        if group is not None and group.pieces >= GROUP_PIECES and group.words >= GROUP_WORDS:
            return group, known
    return card.groups.get((draft.language, ""), card.whole), known


def _compared(
    draft: Counted, group: Tally, usual: Background, *, is_known: bool
) -> tuple[Values, Values, Values]:
    """Return standard scores against ``group``, weights, and log-likelihood ratios, one per measure.

    A weight is the share of people's differences in what a text of this length varies by (reliability).
    Measures bound to a language count only when the draft is in the language of the background.
    """
    amounts, bases = (table[0] for table in table_of([draft]))
    pseudo = PSEUDO_EVENTS / np.maximum(usual.rates, 1e-7)
    rates = (group.amounts + PSEUDO_EVENTS) / (group.bases + pseudo)
    root = np.sqrt(amounts + ANSCOMBE)
    own = root - np.sqrt(bases * rates + ANSCOMBE)
    others = root - np.sqrt(bases * usual.rates + ANSCOMBE)
    own_variance = 0.25 + bases * _scatter_of(group, usual)
    others_variance = 0.25 + bases * (usual.scatter + usual.between)
    weights = bases * usual.between / others_variance
    found = [own / np.sqrt(own_variance)], [weights], [_ratio(own, own_variance, others, others_variance)]
    for i, habit in enumerate(AVERAGED):
        total, n, _ = means_of(draft, habit)
        have, on, squares = group.means[i]
        middle, between, scatter = usual.means[habit.name]
        if not n or not on:
            rows = np.zeros(3)
        else:
            chance = within(habit, have, on, squares) / (
                n if habit.name == "sentence_length" else draft.words
            )
            varies = np.array([chance + _mean_scatter_of(group, habit.name, usual)])
            varies_others = np.array([chance + scatter + between])
            apart, apart_others = np.array([total / n - have / on]), np.array([total / n - middle])
            rows = np.concatenate(
                [
                    apart / np.sqrt(varies),
                    between / varies_others,
                    _ratio(apart, varies, apart_others, varies_others),
                ]
            )
        for column, value in zip(found, rows, strict=True):
            column.append(np.array([value]))
    z, weight, ratio = (np.concatenate(column) for column in found)
    if not is_known:
        unbound = np.array([name in BY_NAME and not BY_NAME[name].bound for name in _NAMES])
        weight, ratio = weight * unbound, ratio * unbound
    return z, weight, ratio


def _ratio(own: Values, own_variance: Values, others: Values, others_variance: Values) -> Values:
    """Return log-likelihood ratios of two normal distributions; a single measure adds at most 3."""
    ratio: Values = (others**2 / others_variance + np.log(others_variance)) / 2
    ratio -= (own**2 / own_variance + np.log(own_variance)) / 2
    return np.clip(ratio, -3.0, 3.0)


def _scatter_of(group: Tally, usual: Background) -> Values:
    """Return the person's own variance between pieces, pulled towards the usual one."""
    above, below = group.scatter
    average = below / max(1.0, group.pieces)
    pulled = (above + PSEUDO_PIECES * average * usual.scatter) / np.maximum(
        below + PSEUDO_PIECES * average, 1e-9
    )
    return np.where(below > 0, np.maximum(pulled, usual.scatter / 10), usual.scatter)


def _mean_scatter_of(group: Tally, name: str, usual: Background) -> float:
    above, below = group.mean_scatter[[habit.name for habit in AVERAGED].index(name)]
    if not below:
        return usual.means[name][2]
    average = below / max(1.0, group.pieces)
    pulled = (above + PSEUDO_PIECES * average * usual.means[name][2]) / (below + PSEUDO_PIECES * average)
    return max(pulled, usual.means[name][2] / 10)


def _deviation(name: str, draft: Counted, group: Tally) -> str:
    """Return what differs in one measure, as a sentence to the person."""
    counts, own = draft.counts, group.counts
    if name == "sentence_length":
        here = counts["sentence_words"] / max(1.0, counts["sentences"])
        there = own["sentence_words"] / max(1.0, own["sentences"])
        return f"Sentences average {here:.0f} words, yours {there:.0f}."
    habit = BY_NAME[name]
    n, on = counts.get(name, 0.0), counts.get(habit.per, 0.0)
    rate = own.get(name, 0.0) / max(1.0, own.get(habit.per, 0.0))
    label = f"{habit.label[0].upper()}{habit.label[1:]}"
    if habit.kind == "share":
        return f"{label}: {n / max(1.0, on):.0%}, yours {rate:.0%}."
    if habit.kind == "rate":
        return f"{label}: {n:.0f}, in as many words you use about {rate * on:.1f}."
    more = n / max(1.0, on) > rate
    return "The words are more varied than yours." if more else "Words are repeated more than you do."


def _phrase_deviations(draft: Counted, card: StyleCard) -> list[str]:
    """Return what is wrong with the greeting, the sign-off and the spelling of a draft."""
    found = []
    for used, phrases, verb in (
        (draft.greeting, card.greetings, "opens with"),
        (draft.signoff, card.signoffs, "ends with"),
    ):
        own = [p for p in phrases if p.language in (draft.language, "")]
        if used and used not in [p.shape for p in own] and sum(p.uses for p in own) >= MIN_TEXTS:
            found.append(f"It {verb} {_quote(used)}, you with {_quoted(own)}.")
    is_british = card.variant == "British"
    foreign = [word for word in draft.spellings if (word in SPELLINGS) != is_british]
    if card.variant and foreign:
        found.append(f"It spells {_quote(foreign[0])}; you write {card.variant} English.")
    return found


# ---------------------------------------------------------------- small words


def _triple(usual: Usual) -> tuple[float, float, float]:
    return usual.low, usual.middle, usual.high


def _usual_length(register: str) -> str:
    usual = background.shipped()[background.family(register)].usual("piece_words")
    if usual is None or background.family(register) == background.ORDINARY:
        return ""  # a mined post or note is cut to the length of an exemplar
    return f"{usual.low:.0f} to {usual.high:.0f}"


def _plain(value: float, form: str) -> str:
    text = f"{value:{form}}"
    return text.replace("-0.0", "0.0") if float(text.rstrip("%")) == 0 and form != "+.1f" else text


def _flat(shape: str) -> str:
    return shape.replace("\n", " / ")


def _to_whom(phrase: Phrase) -> str:
    named = phrase.audiences[:2]
    more = len(phrase.audiences) - len(named)
    return f"to {', '.join(named)}{f' and {more} more' if more else ''}" if named else ""


def _quote(text: str) -> str:
    return '"{}"'.format(text.replace("\n", " "))


def _quoted(phrases: Sequence[Phrase]) -> str:
    return _series([_NAMED.get(phrase.shape, _quote(phrase.shape)) for phrase in phrases], "or")


# Shapes of greetings that are only a name.
_NAMED: Final = {
    "NAME,": "the name alone",
    "NAME!": 'the name and a "!"',
    "NAME, ...,": "the name and an epithet",
    "NAME, ...!": "the name and an epithet",
}


def _in_languages(phrases: Sequence[Phrase], main: str) -> str:
    """Return greetings or sign-offs in words, by language where it is another than the main one."""
    by_language: defaultdict[str, list[Phrase]] = defaultdict(list)
    for phrase in phrases:
        by_language[phrase.language if phrase.language in _LANGUAGES else main].append(phrase)
    parts = []
    for language in sorted(by_language, key=lambda code: code != main):
        where = f"in {_LANGUAGES[language]} " if language != main and language in _LANGUAGES else ""
        parts.append(f"{where}with {_quoted(by_language[language][:2])}")
    return ", ".join(parts)


def _as_said(word: str) -> str:
    return f"I{word[1:]}" if word == "i" or word.startswith(("i ", "i'")) else word


def _series(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _one_in(share: float) -> str:
    return f"about one in {max(2, round(1 / share))}" if share else ""
