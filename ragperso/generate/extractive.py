"""Stage 5, generate: an answer by quoting, without a model.

In: a prompt's question and passages.  Out: the one or two sentences that answer best, as they were written.
Never: puts a word of its own between them, quotes a heading or a rule, or leaves a quote without its place.

Also the fallback of the engine when a model's draft is not supported by the passages.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ragperso import segment
from ragperso.generate.stream import TextStream
from ragperso.tokens import content_words, stemming_language
from ragperso.types import Completion, Message, Passage, Prompt

# One cosine per text, of the question with it.
Similarity: TypeAlias = Callable[[str, Sequence[str]], Sequence[float]]

_QUOTES: Final = 2
_CONTEXT_TOKENS: Final = 1_000_000  # words; nothing is ever cut for length

# Weights of the score, of a sentence against a question; they add up to 1 with and without cosines.
_OVERLAP, _COSINE, _RELEVANCE, _KIND = 0.40, 0.35, 0.10, 0.15
_ELSEWHERE: Final = 0.4  # credit for a question word that stands in the passage, but not in the sentence
# A second sentence must be nearly as good: one right quote reads better than a right and a stray one.
_SECOND_SHARE: Final = 0.85
_SHORTEST_WORDS: Final = 2  # a single word is a label or a stray cell


@dataclass(frozen=True, slots=True)
class Quote:
    """One sentence of a passage: ``passage.text[start:end]``; ``text`` is that without Markdown."""

    label: str
    start: int
    end: int
    text: str = field(repr=False)
    score: float = 0.0


def best_quotes(
    question: str, passages: Sequence[Passage], similarity: Similarity | None = None, n: int = _QUOTES
) -> list[Quote]:
    """Return at most ``n`` sentences that answer ``question``, best first; equal ones in prompt order.

    The second and later are only there when they are nearly as good as the first and say something else.
    """
    candidates = [quote for passage in passages for quote in _candidates(passage)]
    if not candidates:
        return []
    scores = _scores(question, passages, candidates, similarity)
    ranked = sorted(zip(candidates, scores, strict=True), key=lambda pair: -pair[1])  # stable
    best = ranked[0][1]
    chosen: list[Quote] = []
    for quote, score in ranked:
        if len(chosen) == n or score < best * _SECOND_SHARE:
            break
        words = content_words(quote.text)
        if words and all(len(words & content_words(q.text)) * 2 <= len(words) for q in chosen):
            chosen.append(Quote(quote.label, quote.start, quote.end, quote.text, round(score, 3)))
    return chosen


class ExtractiveGenerator:
    """Quotes the passages; ``similarity`` makes it see past the question's own words.

    A token is a word between white space.
    """

    def __init__(self, similarity: Similarity | None = None) -> None:
        self._similarity = similarity

    @property
    def name(self) -> str:
        return "extractive"

    @property
    def context_tokens(self) -> int:
        return _CONTEXT_TOKENS

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def count_messages(self, messages: Sequence[Message]) -> int:
        return sum(self.count([message.content for message in messages]))

    def generate(
        self,
        prompt: Prompt,
        *,
        owner: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write the best quotes in prompt order; empty when there is no passage to quote."""
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        began = time.monotonic()
        quotes = best_quotes(prompt.question, prompt.passages, self._similarity)
        place = {passage.label: i for i, passage in enumerate(prompt.passages)}
        ordered = sorted(quotes, key=lambda quote: (place[quote.label], quote.start))
        words = re.findall(r"\s*\S+", " ".join(quote.text for quote in ordered))
        stream = TextStream(stop, on_text)
        finish: Literal["stop", "length", "cancelled"] = "stop" if len(words) <= max_tokens else "length"
        written = 0
        first_token_ms = 0.0
        for word in words[:max_tokens]:
            if is_cancelled is not None and is_cancelled():
                finish = "cancelled"
                break
            first_token_ms = first_token_ms or (time.monotonic() - began) * 1000
            written += 1
            stream.feed(word)
            if stream.is_stopped:
                finish = "stop"
                break
        return Completion(
            text=stream.finish(),
            model=self.name,
            prompt_tokens=self.count_messages(prompt.messages),
            completion_tokens=written,
            finish_reason=finish,
            first_token_ms=first_token_ms,
            total_ms=(time.monotonic() - began) * 1000,
        )


def _candidates(passage: Passage) -> list[Quote]:
    """Return the sentences worth quoting: whole, not headings, rules, questions or single words."""
    found = []
    blocks = segment.blocks(passage.text)
    headings = [(b.start, b.end) for b in blocks if b.kind in ("heading", "rule")]
    code = [b for b in blocks if b.kind == "code"]
    for start, end in segment.sentences(passage.text):
        if any(a <= start < b for a, b in headings) or any(b.start <= start < b.end for b in code):
            continue
        text = plain(passage.text[start:end])
        if text.endswith(":"):  # the command it announces is the answer
            for block in code:
                if block.start >= end and not passage.text[end : block.start].strip():
                    text, end = f"{text}\n\n{passage.text[block.start : block.end].strip()}", block.end
        if len(re.findall(r"\w+", text)) >= _SHORTEST_WORDS and not text.endswith(("?", "？", "؟")):
            found.append(Quote(passage.label, start, end, text))
    return found


def _scores(
    question: str, passages: Sequence[Passage], candidates: Sequence[Quote], similarity: Similarity | None
) -> list[float]:
    whole = {p.label: f"{p.provenance}\n{p.text}" for p in passages}
    language = {p.label: stemming_language(p.text) for p in passages}
    around = {label: content_words(text, language[label]) for label, text in whole.items()}
    asked = {label: content_words(question, code) for label, code in language.items()}
    relevance = {p.label: p.relevance for p in passages}
    words = [content_words(q.text, language[q.label]) for q in candidates]
    seen = Counter(word for found in words for word in found)
    cosines = similarity(question, [q.text for q in candidates]) if similarity is not None else None
    wanted = _kind_of(question)
    scores = []
    for i, (quote, found) in enumerate(zip(candidates, words, strict=True)):
        got = total = 0.0
        for word in asked[quote.label]:
            weight = math.log(1 + len(candidates) / max(seen[word], 0.5))
            total += weight
            got += weight * (1.0 if word in found else _ELSEWHERE if word in around[quote.label] else 0.0)
        overlap = got / total if total else 0.0
        kind = float(wanted is not None and bool(wanted.search(quote.text)))
        cosine = overlap if cosines is None else max(float(cosines[i]), 0.0)
        scores.append(
            _OVERLAP * overlap + _COSINE * cosine + _RELEVANCE * relevance[quote.label] + _KIND * kind
        )
    return scores


# ---------------------------------------------------------------- what kind of answer is asked for

_MONTH: Final = (
    r"jan(?:uar|uary|vier)|feb(?:ruar|ruary)|février|march|märz|mars|april|avril|may|mai|june?|juni|juin|"
    r"july?|juli|juillet|august|août|sept(?:ember|embre)|o[ck]tob(?:er|re)|nov(?:ember|embre)|de[cz]ember|décembre"
)
_TIME: Final = re.compile(
    rf"\b(?:{_MONTH}|(?:19|20)\d\d|\d{{1,2}}:\d\d|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)\b",
    re.IGNORECASE,
)
_AMOUNT: Final = re.compile(r"\d")
_PERSON: Final = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|Mme|Monsieur|Madame)\b|\w[,;]?\s+[A-ZÄÖÜÉ][\w'’-]+"
)
_ASKS_TIME: Final = re.compile(
    r"\b(?:when|since when|what (?:day|date|time|year)|wann|seit wann|quand|depuis quand)\b", re.IGNORECASE
)
_ASKS_AMOUNT: Final = re.compile(
    r"\b(?:how (?:much|many|long|old|far|high|big|heavy|often)|what (?:price|amount|number|size)|"
    r"wie ?(?:viele?|lange?|alt|weit|hoch|groß|schwer|oft|teuer)|combien)\b",
    re.IGNORECASE,
)
_ASKS_PERSON: Final = re.compile(r"\b(?:who|whom|whose|wer|wem|wen|wessen|qui)\b", re.IGNORECASE)
_KINDS: Final = ((_ASKS_TIME, _TIME), (_ASKS_AMOUNT, _AMOUNT), (_ASKS_PERSON, _PERSON))


def _kind_of(question: str) -> re.Pattern[str] | None:
    """Return what an answer to ``question`` should contain: a time, an amount, a person; or nothing known."""
    return next((answer for asks, answer in _KINDS if asks.search(question)), None)


def answers_kind(question: str, text: str) -> bool:
    """Say whether ``text`` has what ``question`` asks for: a time, an amount, a person; true when unclear."""
    wanted = _kind_of(question)
    return wanted is None or wanted.search(text) is not None


# ---------------------------------------------------------------- from Markdown to a line one reads

# List and task marks, quote marks, links, emphasis, the bars of a table, line breaks.
_PLAIN: Final = (
    (
        re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?", re.MULTILINE),
        "",
    ),  # list and task marks
    (re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE), ""),
    (re.compile(r"!?\[\[(?:[^\[\]|\n]*\|)?([^\[\]|\n]*)\]\]"), r"\1"),  # [[note|shown]]
    (re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)"), r"\1"),  # [shown](url)
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)"), r"\1"),
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"[ \t]*\|[ \t]*"), " · "),
    (re.compile(r"\s+"), " "),
)


def plain(text: str) -> str:
    """Return ``text`` on one line without Markdown's marks; the words stay as they are."""
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text.strip()
