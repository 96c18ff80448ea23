"""Stage 7, learn: a measured style card.

In: pieces of the person's own writing.  Out: figures, and plain sentences about what is distinctive.
Never: says what is common to most people, quotes more than a greeting, guesses from fewer than three pieces.

First step of a longer way: surface habits only, counted, so that every sentence can be checked by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragperso.errors import NotEnoughData
from ragperso.segment import sentences
from ragperso.tokens import detect_language

MIN_TEXTS: Final = 3
MIN_USES: Final = 2  # a greeting used once is no habit


@dataclass(frozen=True, slots=True)
class Usual:
    """The middle 80 % of people; outside of it a figure is distinctive."""

    low: float
    high: float


# Deciles 1 and 9 of :func:`measure` over 200 people with ten posts or more, at most 60 posts each, of the
# Blog Authorship Corpus (Schler et al. 2006), English, measured 2026-11.  Only these numbers are shipped.
# Rates are per 1,000 words.  Dashes and emoji were rarer in 2004 than today: read them as "some", not "many".
USUAL: Final = {
    "sentence_words": Usual(12.6, 20.6),
    "exclamations": Usual(0.015, 0.191),
    "questions": Usual(0.024, 0.121),
    "dashes": Usual(0.0, 1.4),
    "parentheses": Usual(1.3, 8.1),
    "ellipses": Usual(0.7, 19.7),
    "contractions": Usual(6.7, 37.1),
    "emoji": Usual(0.0, 1.1),
}
ENOUGH_WORDS: Final = 300  # below it "never" may be chance: at the median rate it holds one exclamation mark
FREQUENT_LISTS: Final = 0.2  # of all pieces; a reading of what strikes one, not a measured figure

_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CONTRACTION: Final = re.compile(
    r"\b(?:\w+n['’]t|\w+['’](?:ll|re|ve|d|m)|(?:it|that|there|what|here|he|she|who|let|how|where)['’]s)\b",
    re.IGNORECASE,
)
_DASH: Final = re.compile(
    r"(?<=\S)—|(?<=\S )(?:—|(?:–|--)(?=\s))"
)  # not the one before a name or a list item
_PARENTHESIS: Final = re.compile(r"\([^()\n]{2,300}\)")
_ELLIPSIS: Final = re.compile(r"\.{3,}|…")
_EMOJI: Final = re.compile(
    "[\U0001f300-\U0001faff\u2600-\u27bf]|(?<!\\S)[:;=]-?[)(DPp](?!\\w)"  # pictures and typed smileys
)
_END: Final = "\"'”’»)]*_ "
_GREETING: Final = re.compile(
    r"(?P<word>hi|hello|hey|dear|dearest|good (?:morning|evening|afternoon)|hallo|liebe[rs]?|moin|servus"
    r"|guten (?:tag|morgen|abend)|sehr geehrte[rs]?|bonjour|bonsoir|salut|coucou|ch[eè]re?s?"
    r"|hola|querid[oa]|ciao|caro|cara)\b(?P<rest>[^\n]{0,60})",
    re.IGNORECASE,
)
_NAME_FIRST: Final = re.compile(r"[A-ZÀ-ÞŠŽ][\w’'-]{1,20}(?P<rest>, [^\n.!?]{2,50})?[,!]$")
_LIST_ITEM: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]")
_LIST: Final = re.compile(  # two items in a row
    r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]\S.*\n+[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]", re.MULTILINE
)
_LANGUAGES: Final = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch",
    "pt": "Portuguese", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ar": "Arabic", "ru": "Russian",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StyleCard:
    """How someone writes, in figures.

    Shares are of sentences, rates are per 1,000 words; ``contractions`` counts English text only and is
    None without any.  Greetings and sign-offs are those used at least twice, most used first.
    """

    pieces: int
    words: int
    sentence_words: float
    exclamations: float
    questions: float
    dashes: float
    parentheses: float
    ellipses: float
    emoji: float
    lists: float  # share of pieces with a list
    contractions: float | None = None
    languages: tuple[tuple[str, float], ...] = ()
    greetings: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    signoffs: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    def table(self) -> list[tuple[str, str, str]]:
        """Return (measure, value, usual range) rows for a screen; no range where none was measured."""

        def usual(name: str, form: str) -> str:
            known = USUAL.get(name)
            return f"{known.low:{form}} to {known.high:{form}}" if known else ""

        rows = [
            ("pieces", str(self.pieces), ""),
            ("words", str(self.words), ""),
            ("words per sentence", f"{self.sentence_words:.1f}", usual("sentence_words", ".1f")),
            ("sentences ending in !", f"{self.exclamations:.0%}", usual("exclamations", ".0%")),
            ("sentences ending in ?", f"{self.questions:.0%}", usual("questions", ".0%")),
            ("dashes per 1,000 words", f"{self.dashes:.1f}", usual("dashes", ".1f")),
            ("parentheses per 1,000 words", f"{self.parentheses:.1f}", usual("parentheses", ".1f")),
            ("ellipses per 1,000 words", f"{self.ellipses:.1f}", usual("ellipses", ".1f")),
            ("emoji per 1,000 words", f"{self.emoji:.1f}", usual("emoji", ".1f")),
            ("pieces with a list", f"{self.lists:.0%}", ""),
        ]
        if self.contractions is not None:
            rows.append(
                ("contractions per 1,000 words", f"{self.contractions:.1f}", usual("contractions", ".1f"))
            )
        rows.append(("languages", ", ".join(f"{code} {share:.0%}" for code, share in self.languages), ""))
        rows.extend(("greeting", f"{shape} ({n})", "") for shape, n in self.greetings)
        rows.extend(("sign-off", f"{shape} ({n})".replace("\n", " / "), "") for shape, n in self.signoffs)
        return rows


def measure(texts: Iterable[str]) -> StyleCard:
    """Return the figures of some pieces of one person's writing.

    Raises: NotEnoughData below three pieces.
    """
    texts = [text.strip() for text in texts if text.strip()]
    if len(texts) < MIN_TEXTS:
        raise NotEnoughData(
            f"{len(texts)} pieces of own writing are too few to measure a style; {MIN_TEXTS} are needed",
            hint="ragperso add --corpus exemplars PATH",
        )
    greetings = Counter(g for g in map(greeting_of, texts) if g)
    signoffs = Counter(s for s in map(signoff_of, texts) if s)
    endings: Counter[str] = Counter()
    sentence_words: list[int] = []
    languages: Counter[str] = Counter()
    english_words = contractions = 0
    for text in texts:
        for start, end in sentences(text):
            sentence = text[start:end]
            n_words = len(_WORD.findall(sentence))
            if n_words and sentence not in (greeting_line(text), signoff_of(text)):
                sentence_words.append(n_words)
                endings[sentence.rstrip(_END)[-1:]] += 1
        language = detect_language(text)
        languages[language] += 1
        if language == "en":
            english_words += len(_WORD.findall(text))
            contractions += len(_CONTRACTION.findall(text))
    whole = "\n\n".join(texts)
    words = len(_WORD.findall(whole))
    n_sentences = max(1, len(sentence_words))

    def rate(pattern: re.Pattern[str]) -> float:
        return 1000 * len(pattern.findall(whole)) / max(1, words)

    return StyleCard(
        pieces=len(texts),
        words=words,
        sentence_words=sum(sentence_words) / n_sentences,
        exclamations=endings["!"] / n_sentences,
        questions=endings["?"] / n_sentences,
        dashes=rate(_DASH),
        parentheses=rate(_PARENTHESIS),
        ellipses=rate(_ELLIPSIS),
        emoji=rate(_EMOJI),
        lists=sum(1 for text in texts if _LIST.search(text)) / len(texts),
        contractions=1000 * contractions / english_words if english_words else None,
        languages=tuple((code, n / len(texts)) for code, n in languages.most_common() if code),
        greetings=_habits(greetings),
        signoffs=_habits(signoffs),
    )


def describe(texts: Sequence[str]) -> tuple[str, ...]:
    """Return a few plain sentences on what is distinctive, for the prompt and for the person.

    Raises: NotEnoughData below three pieces.
    """
    return sentences_about(measure(texts))


def sentences_about(card: StyleCard) -> tuple[str, ...]:
    """Return what a style card says in words; only what lies outside the usual."""
    said = []
    length = USUAL["sentence_words"]
    if card.sentence_words < length.low:
        said.append(f"Sentences are short, about {card.sentence_words:.0f} words.")
    elif card.sentence_words > length.high:
        said.append(f"Sentences are long, about {card.sentence_words:.0f} words.")
    if card.exclamations == 0 and card.words >= ENOUGH_WORDS:
        said.append("Never uses exclamation marks.")
    elif card.exclamations > USUAL["exclamations"].high:
        said.append(f"Uses many exclamation marks: {_one_in(card.exclamations)} sentences ends with one.")
    if card.questions > USUAL["questions"].high:
        said.append("Asks many questions.")
    if card.dashes > USUAL["dashes"].high:
        said.append("Often sets thoughts off with dashes.")
    if card.parentheses > USUAL["parentheses"].high:
        said.append("Often adds asides in parentheses.")
    if card.ellipses > USUAL["ellipses"].high:
        said.append("Often trails off with an ellipsis...")
    if card.emoji > USUAL["emoji"].high:
        said.append("Uses emoji.")
    if card.contractions is not None and card.contractions < USUAL["contractions"].low:
        said.append('Seldom uses contractions: "do not" rather than "don\'t".')
    if card.lists > FREQUENT_LISTS:
        said.append("Likes lists.")
    if card.greetings:
        said.append(f"Opens mails with {_quoted(card.greetings)}.")
    if card.signoffs:
        said.append(f"Signs off with {_quoted(card.signoffs)}.")
    used = [_LANGUAGES[code] for code, share in card.languages if code in _LANGUAGES and share >= 0.1]
    if len(used) > 1:
        said.append(f"Writes {', '.join(used[:-1])} and {used[-1]}.")
    return tuple(said)


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
    n_words = len(_WORD.findall(last))
    if (
        not body
        or not 1 <= n_words <= 7
        or last.count("\n") > 1
        or last[-1] in ".?!:;"
        or _LIST_ITEM.match(last)
    ):
        return ""
    return last


def _habits(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple((shape, n) for shape, n in counts.most_common(3) if n >= MIN_USES)


def _quoted(habits: Sequence[tuple[str, int]]) -> str:
    return " or ".join('"{}"'.format(shape.replace("\n", " ")) for shape, _ in habits)


def _one_in(share: float) -> str:
    return f"about one in {max(2, round(1 / share))}"
