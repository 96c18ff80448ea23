"""Stage 4, assemble: how many tokens each part of a prompt may cost.

In: settings, the model's window.  Out: limits per section; texts cut to a limit.
Never: counts with anything but the generator's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ragperso.config import Assemble
from ragperso.segment import sentences

Count: TypeAlias = Callable[[Sequence[str]], list[int]]

# Chat markers, labels between the parts, and a tokenizer that merges differently across joins.
_SLACK_TOKENS: Final = 48


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in tokens.  ``total`` is never exceeded; the sections share it in prompt order."""

    total: int
    system: int
    profile: int
    exemplars: int
    conversation: int
    passages: int
    question: int


def split(config: Assemble, *, context_tokens: int, max_completion: int) -> Budget:
    """Return the limits for a model with ``context_tokens`` that will write ``max_completion`` of them."""
    room = max(0, context_tokens - max_completion - 8)
    total = min(config.budget_tokens or room, room)
    return Budget(
        total=total,
        system=config.system_tokens,
        profile=config.profile_tokens,
        exemplars=config.exemplar_tokens,
        conversation=config.conversation_tokens,
        passages=config.passage_tokens,
        question=min(config.question_tokens, max(0, total - _SLACK_TOKENS)),
    )


def clip(text: str, limit: int, count: Count) -> str:
    """Return the longest beginning of ``text`` within ``limit`` tokens that ends with a sentence.

    When not even the first sentence fits it is cut between words, and between characters at the last.
    """
    if limit <= 0:
        return ""
    if count([text])[0] <= limit:
        return text
    ends = [end for _, end in sentences(text)]
    return _longest(text, ends, limit, count) or _longest(text, _word_ends(text), limit, count)


def _word_ends(text: str) -> list[int]:
    ends = [i for i, char in enumerate(text) if char.isspace()]
    return ends if len(ends) > 1 else list(range(1, len(text)))


def _longest(text: str, ends: Sequence[int], limit: int, count: Count) -> str:
    """Return ``text`` up to the last of ``ends`` that fits, by bisection; empty when none does."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if count([text[: ends[middle - 1]]])[0] <= limit:
            low = middle
        else:
            high = middle - 1
    return text[: ends[low - 1]].rstrip() if low else ""
