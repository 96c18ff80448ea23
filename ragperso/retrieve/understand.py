"""Stage 3, retrieve: what a query asks for, before anything is searched.

In: a query, the years the documents lie in.  Out: the texts to search with, the days meant, quoted phrases.
Never: calls a model, adds a fact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ragperso.config import Retrieve
from ragperso.dates import TimeSpan, question_spans
from ragperso.questions import expand_preferences, quoted, split_parts
from ragperso.types import Query

MAX_PARTS: Final = 30  # a whole customer scenario
_WORD: Final = re.compile(r"\w+")
# From here on a text, not a question: what is written like it is meant as much as what it is about.
_LONG_WORDS: Final = 40
_MIN_PHRASE_CHARS: Final = 3
_ANNOUNCES: Final = (":", "：", ",", ";", "，", "、")
_ENDS: Final = tuple(".!?…。！？؟।)]}>|`\"'”’»*_")


@dataclass(frozen=True, slots=True)
class Understood:
    """``parts`` are searched each and merged; the first is the whole query.

    ``preferences`` is a text like the statements that decide a suggestion, empty when none is asked for.
    """

    parts: tuple[str, ...] = field(repr=False)
    preferences: str = field(default="", repr=False)
    phrases: tuple[str, ...] = field(default=(), repr=False)
    is_text: bool = False


def understand(query: Query, config: Retrieve) -> Understood:
    """Return what ``query`` asks for."""
    text = query.search_text
    parts = split_parts(text, MAX_PARTS) if config.split else (text,)
    is_text = len(parts) == 1 and n_words(text) >= _LONG_WORDS
    phrases = (
        tuple(p for p in quoted(text) if len(p) >= _MIN_PHRASE_CHARS) if config.names and not is_text else ()
    )
    return Understood(
        parts=(text,) if len(parts) == 1 else (text, *parts),
        # A long text that also asks for ideas is searched by what it says.
        preferences=(expand_preferences(text) or "") if config.expand and not is_text else "",
        phrases=phrases,
        is_text=is_text,
    )


def days_meant(
    query: Query, text: str, years: tuple[int, int] | None, config: Retrieve
) -> tuple[TimeSpan, ...]:
    """Return the days ``text`` speaks of, for documents that lie in ``years`` (first, last)."""
    if not config.dates or years is None or query.asked_at is None:
        return ()
    return tuple(question_spans(text, query.asked_at, years=years))


def n_words(text: str) -> int:
    """Return how many words ``text`` has."""
    return len(_WORD.findall(text))


def is_cut(passage: str) -> bool:
    """Say whether a passage breaks off: it announces something, or ends without the end of a sentence."""
    text = passage.rstrip()
    return text.endswith(_ANNOUNCES) or not text.endswith(_ENDS)
