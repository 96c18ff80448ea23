"""Stage 4, assemble: choose which of the person's own pieces to show.

In: exemplars, best match first.  Out: a few of them, different from each other.  Never: another's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ragperso.tokens import shingles
from ragperso.types import Exemplar

_TOO_ALIKE: Final = 0.5  # share of common word 3-grams: two such pieces teach the same habit


_REGISTERS: Final = (
    (
        "mail",
        re.compile(r"\b(?:e-?mails?|mails?|courriels?|reply|antworte?|réponds|réponse)\b", re.IGNORECASE),
    ),
    ("post", re.compile(r"\b(?:posts?|blog|article|artikel|beitrag|billet)\b", re.IGNORECASE)),
    ("chat", re.compile(r"\b(?:chat|message|text|nachricht|sms|message[sr]?)\b", re.IGNORECASE)),
    ("note", re.compile(r"\b(?:notes?|notiz|journal|diary|tagebuch)\b", re.IGNORECASE)),
)


def register_of(request: str) -> str:
    """Return the kind of text a request names: mail, post, chat, note, or empty."""
    for register, pattern in _REGISTERS:
        if pattern.search(request):
            return register
    return ""


def choose(
    candidates: Sequence[Exemplar], *, n: int, register: str = "", language: str = ""
) -> list[Exemplar]:
    """Return at most ``n``: those of the wanted register first, then of the language, then as given.

    Register matters more than topic for how a text sounds.
    """
    ranked = sorted(
        enumerate(candidates),
        key=lambda item: (
            register != "" and register not in item[1].register,
            language != "" and item[1].language != language,
            item[0],
        ),
    )
    kept: list[tuple[Exemplar, set[int]]] = []
    for _, exemplar in ranked:
        if len(kept) >= n:
            break
        grams = shingles(exemplar.text)
        if all(_alike(grams, other) < _TOO_ALIKE for _, other in kept):
            kept.append((exemplar, grams))
    return [exemplar for exemplar, _ in kept]


def _alike(a: set[int], b: set[int]) -> float:
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0
