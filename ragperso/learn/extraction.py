"""Stage 7, learn: what a model is asked about a short text of the person, and what of its answer counts.

In: a text the person wrote.  Out: its pieces; for each the messages and the grammar a model is bound to; the
claims in its answer.
Never: calls a model, touches the store, takes a word that does not stand in the text.

:mod:`ragperso.claims` has read the text before; a model is asked only about sentences that rules made
nothing of.  It chooses among whole sentences, as a quotation cut out of one can turn it around, and it does
not choose whom "I" means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ragperso.claims import PLAN_DAYS, claims
from ragperso.errors import LearnError
from ragperso.segment import blocks, sentences
from ragperso.tokens import content_words
from ragperso.types import Claim, Message, StatementKind

ME: Final = "me"
KINDS: Final[tuple[StatementKind, ...]] = ("preference", "fact", "plan", "relation", "event")
MAX_ITEMS: Final = 6  # sentences of one piece, and so items of one answer
MAX_CHARS: Final = 240  # of a sentence that is offered; longer ones are seldom one statement
MIN_CHARS: Final = 12
MAX_TEXT_CHARS: Final = 200_000  # of a document; as the rules read
MAX_PIECE_CHARS: Final = 900  # of its sentences together, so that prompt and answer fit 2,048 tokens
MAX_TOKENS: Final = 640  # of an answer: 900 characters are 200 to 450, and 25 around each of six sentences
CERTAINTY: Final = 0.6  # enough to be believed, too little to take the place of what the person told us
# Kept, not believed (memories.MIN_CONFIDENCE).  The starter model picks no better than chance: of 20 fresh
# sentences, half of them lasting, in three orders it took 24 and 11 were (2026-11-24).
CERTAINTY_OF_SMALL_MODELS: Final = 0.4
NEAR: Final = 0.8  # share of content words two statements must have in common to say the same
_MAX_NAMES: Final = 8  # of one sentence
_NOT_ABOUT: Final = "other"  # a way out for the model: what it says of nobody known is left out

# Whoever writes "I" speaks of themselves; a sentence that only has "my" is about what is theirs, and one in
# which somebody else stands before the "I" is about them: "She takes in my parcels when I am away".
_SPEAKS: Final = re.compile(
    r"\b(?:i|i'(?:m|ve|d|ll)|we|we'(?:re|ve|ll)|ich|wir|je|nous|yo|nosotr[oa]s)\b|\bj'(?=\w)", re.IGNORECASE
)
_OTHERS: Final = re.compile(
    r"\b(?:you|he|she|they|it|my|our|his|her|their|er|sie|es|du|ihr|mein\w{0,2}|unser\w{0,2}|sein\w{0,2}|ils?"
    r"|elles?|tu|vous|mon|ma|mes|notre|nos|él|ella|ellos|ellas|mis?|nuestr[oa]s?)\b",
    re.IGNORECASE,
)
# What is imagined, wished, quoted or conditional is no statement, in any language the rules know.
_UNREAL: Final = re.compile(
    r"\b(?:if|unless|whether|would|could|should|might|maybe|perhaps|probably|wish|imagine|suppose|pretend"
    r"|kidding|joke|dream(?:t|ed)?|wenn|falls|ob|wäre|würde|könnte|vielleicht|wahrscheinlich|angenommen"
    r"|si|peut-être|serais|voudrais|imagine|ojalá|quizás?|tal vez)\b|[\"“”„«»]",
    re.IGNORECASE,
)
_STRAIGHT: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})


@dataclass(frozen=True, slots=True)
class Piece:
    """Up to ``MAX_ITEMS`` sentences that a model is asked about, at ``text[start:end]`` each.

    ``subjects`` runs parallel: whom each sentence can be about.  ``end`` is where reading goes on.
    """

    spans: tuple[tuple[int, int], ...]
    quotes: tuple[str, ...] = field(repr=False)  # the sentences, their white space made single
    subjects: tuple[tuple[str, ...], ...] = field(repr=False)
    end: int = 0


def pieces(
    text: str,
    *,
    start: int = 0,
    speaker: str = "",
    people: Collection[str] = (),
    said: datetime | None = None,
) -> Iterator[Piece]:
    """Yield what of ``text`` from ``start`` on is worth asking a model about, in order.

    Left out are sentences the rules have read already or have good reason not to believe, questions, and
    those of nobody: neither the speaker nor one of ``people`` is named in them.
    """
    text = text[:MAX_TEXT_CHARS]
    known = [(claim.start, claim.end) for claim in claims(text, speaker=speaker, said=said, limit=10_000)]
    known.sort()
    names = {name.casefold(): name for name in sorted(people) if name.strip()}
    spans: list[tuple[int, int]] = []
    subjects: list[tuple[str, ...]] = []
    at = 0
    for a, b in _prose(text, start):
        while at < len(known) and known[at][1] <= a:
            at += 1
        if at < len(known) and known[at][0] < b:
            continue
        if whom := _subjects(text[a:b], names, speaker):
            n_chars = sum(end - begin for begin, end in spans)
            if len(spans) == MAX_ITEMS or n_chars + b - a > MAX_PIECE_CHARS:
                yield _piece(text, spans, subjects)
                spans, subjects = [], []
            spans.append((a, b))
            subjects.append(whom)
    if spans:
        yield _piece(text, spans, subjects)


def _piece(text: str, spans: Sequence[tuple[int, int]], subjects: Sequence[tuple[str, ...]]) -> Piece:
    quotes = tuple(" ".join(text[a:b].split()) for a, b in spans)
    return Piece(tuple(spans), quotes, tuple(subjects), spans[-1][1])


def _prose(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of prose: code, tables, headings and quoted lines are nobody's statements."""
    for block in blocks(text):
        if block.end <= start or block.kind not in ("paragraph", "list"):
            continue
        if text.startswith(">", block.start):
            continue
        for a, b in sentences(text, block.start, block.end):
            if a >= start and not text.startswith(">", a):
                yield a, b


def _subjects(sentence: str, names: dict[str, str], speaker: str) -> tuple[str, ...]:
    """Return whom a sentence can be about; none when it is not worth asking."""
    if not MIN_CHARS <= len(sentence) <= MAX_CHARS:
        return ()
    plain = sentence.translate(_STRAIGHT)
    if "?" in plain or _UNREAL.search(plain) or claims(plain, speaker=speaker):
        return ()  # a claim only when it stands alone: the text around it took it back
    speaks = _SPEAKS.search(plain)
    before = plain if speaks is None else plain[: speaks.start()]
    words = set(re.findall(r"\w+", before.casefold()))
    found = [name for folded, name in names.items() if set(folded.split()) <= words]
    if speaks is not None:
        return () if found or _OTHERS.search(before) else (ME,)
    return (*found[:_MAX_NAMES], _NOT_ABOUT) if found else ()


# ---------------------------------------------------------------- what the model is told

_SYSTEM: Final = (
    "You read what a person wrote. List the sentences that tell something lasting about the person: what they"
    " like, own, do, plan, or whom they know. Leave out moods, the weather, work of the day and remarks."
    " Answer with JSON; when no sentence tells anything lasting, answer []."
)
# Invented for this prompt.  The starter model does as the last example did: when that had nothing it never
# found anything, when it was a single sentence it took every text of one sentence (20 sentences, 2026-11-24).
_SHOWN: Final = (
    (
        ("Spent the whole day at my desk.", "Long walks keep me sane, so I go out every evening."),
        '[{"statement":"Long walks keep me sane, so I go out every evening.","subject":"me",'
        '"kind":"preference"}]',
    ),
    (("I opened the ticket and waited.", "We talked for an hour and it got late."), "[]"),
    (
        (
            "I play the cello in a small orchestra.",
            "The bus was late again and I got wet.",
            "My brother Emil and I share a car.",
        ),
        '[{"statement":"I play the cello in a small orchestra.","subject":"me","kind":"fact"},'
        '{"statement":"My brother Emil and I share a car.","subject":"me","kind":"relation"}]',
    ),
)


def messages(piece: Piece) -> tuple[Message, ...]:
    """Return what the model reads."""
    turns = [Message("system", _SYSTEM)]
    for shown, answer in _SHOWN:
        turns += [Message("user", "\n".join(shown)), Message("assistant", answer)]
    return (*turns, Message("user", "\n".join(piece.quotes)))


def grammar(piece: Piece) -> str:
    """Return the GBNF that an answer about ``piece`` keeps to: its sentences in order, each at most once.

    Bounded by construction: nothing in it repeats.
    """
    n = len(piece.quotes)
    rules = ['root ::= "[" list0? "]"']
    for i, (quote, whom) in enumerate(zip(piece.quotes, piece.subjects, strict=True)):
        rest = f" | list{i + 1}" if i + 1 < n else ""
        more = f' ("," list{i + 1})?' if i + 1 < n else ""
        rules.append(f"list{i} ::= item{i}{more}{rest}")
        subjects = " | ".join(_literal(_json(name)) for name in whom)
        begin = _literal('{"statement":' + _json(quote) + ',"subject":')
        middle, end = _literal(',"kind":'), _literal("}")
        rules.append(f"item{i} ::= {begin} ({subjects}) {middle} kind {end}")
    rules.append("kind ::= " + " | ".join(_literal(_json(kind)) for kind in KINDS))
    return "\n".join(rules)


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    """Return ``text`` as a GBNF string; what is not plain ASCII is written by its number."""
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0x20 <= code < 0x7F:
            out.append(char)
        elif 0xD800 <= code <= 0xDFFF:
            out.append("\\uFFFD")  # no UTF-8 text has one
        else:
            out.append(f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}")
    return '"' + "".join(out) + '"'


# ---------------------------------------------------------------- what counts of its answer


def claims_in(
    answer: str, piece: Piece, text: str, *, said: datetime | None = None, certainty: float = CERTAINTY
) -> list[Claim]:
    """Return the claims of an answer whose words stand in ``text``, in the piece it was asked about.

    What was not said there, is about somebody who is not named there, or has no kind, is dropped: nothing is
    invented.  Raises: LearnError when the answer is no JSON list, as one that was cut off.
    """
    try:
        rows = json.loads(answer)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise LearnError("the model's answer is not what was asked for", hint="ragperso profile refresh")
    places = {_fold(quote): i for i, quote in enumerate(piece.quotes)}
    found: dict[int, Claim] = {}
    for row in rows[:MAX_ITEMS]:
        told = row if isinstance(row, dict) else {}
        statement, subject, kind = (told.get(key) for key in ("statement", "subject", "kind"))
        i = places.get(_fold(statement)) if isinstance(statement, str) else None
        if i is None or i in found or kind not in KINDS or subject not in piece.subjects[i]:
            continue
        start, end = piece.spans[i]
        if subject == _NOT_ABOUT or _fold(text[start:end]) != _fold(piece.quotes[i]):
            continue
        is_plan = kind == "plan"
        found[i] = Claim(
            start,
            end,
            kind,
            # Without a slot two plans would be one, and the newer would end the older.
            slot=f"plan: {_fold(piece.quotes[i])}" if is_plan else "",
            value="",
            subject="" if subject == ME else str(subject),
            certainty=certainty,
            ends=_after(said) if is_plan else None,
        )
    return [found[i] for i in sorted(found)]


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def _after(said: datetime | None) -> datetime | None:
    """Return until when an undated plan is believed; None past the calendar."""
    try:
        return said + timedelta(days=PLAN_DAYS) if said is not None else None
    except OverflowError:
        return None


def is_near(one: str, other: str) -> bool:
    """Say whether nearly all that one statement says is in the other."""
    left, right = content_words(one, "en"), content_words(other, "en")
    fewer = min(len(left), len(right))
    if fewer < 2:  # one word in common says little: "I am tired"
        return bool(left) and left == right
    return len(left & right) >= NEAR * fewer
