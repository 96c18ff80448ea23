"""Stage 3, retrieve: make a follow-up question stand on its own before it is searched for.

In: what was typed and the conversation so far.  Out: text to search with.
Never: calls a model, changes what the person is shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ragperso.tokens import content_words
from ragperso.types import Turn

# English, German, French.  Openings that continue something, questions that are one bare word, and words
# that point back.
_BARE: Final = (
    "why|why not|since when|until when|when|where|who|how|how much|how many|how long|how so|"
    "warum|wieso|wann|wo|wer|wie viel|seit wann|pourquoi|quand|où|qui|combien|depuis quand"
)
_POINTS_BACK: Final = (
    "it its that this these those them they their he him his she her hers there one ones another same former "
    "latter else es das dies diese dieser dieses jene jener jenes dort davon damit dafür dazu andere anderer "
    "anderes anderen er ihm ihn ihr ça cela celui celle ceux celles autre autres même là en y il elle lui"
)
_OPENING: Final = re.compile(
    r"^\W*(?:and|or|but|so|also|then|what about|how about|und|oder|aber|dann|was ist mit|wie steht es mit|"
    r"et|ou|mais|alors|puis|qu'en est-il)\b",
    re.IGNORECASE,
)
_BARE_QUESTION: Final = re.compile(rf"^\W*(?:{_BARE})\W*$", re.IGNORECASE)
_REFERENCE: Final = re.compile(rf"\b(?:{'|'.join(_POINTS_BACK.split())})\b", re.IGNORECASE)
# A question this short rarely names its subject; with this many words of its own it does.
_SHORT: Final = 2
_SELF_STANDING: Final = 5


def is_follow_up(text: str) -> bool:
    """Say whether ``text`` leans on what was said before."""
    n_words = len(content_words(text))
    if n_words >= _SELF_STANDING:
        return False
    if n_words == 0 or _OPENING.search(text) or _BARE_QUESTION.search(text):
        return True
    return n_words <= _SHORT and bool(_REFERENCE.search(text))


def resolve(text: str, turns: Sequence[Turn]) -> str:
    """Return ``text`` with the question it leans on in front, or unchanged when it stands alone.

    ``turns`` are oldest first.  A chain of follow-ups reaches back to the question that began it.
    """
    asked = [turn.text for turn in turns if turn.role == "user"]
    if not asked or not is_follow_up(text):
        return text
    chain: list[str] = []
    for earlier in reversed(asked):
        chain.append(earlier)
        if not is_follow_up(earlier):
            break
    return " ".join([*reversed(chain), text])
