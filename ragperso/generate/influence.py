"""Stage 5, generate: what each part of a prompt did to the answer.

In: an answer, the parts of its prompt, a way to render the prompt without some of them, a scorer.
Out: per part, how much less likely the answer is when the part is left out.
Never: writes text, guesses a figure it had no time to measure.

Influence is the log-likelihood of the answer under the whole prompt less that without the part, in nats: 2.3
says that the answer is ten times likelier with the part.  Leave-one-out is exact for one part and blind to
two that say the same: either is missed little while the other stands.  Source: Cohen-Wang et al. 2024,
"ContextCite", arXiv 2409.00729, section 3 (the log-probability drop of an ablated context).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragperso.types import Interaction, Message, Prompt, Scored, Sentence

_SAFETY: Final = 1.3  # a run may take so much longer than the one before it
_LEAST: Final = 0.2  # of what was expected: a run that shared nearly all is no measure of the next


@dataclass(frozen=True, slots=True)
class Influence:
    """What one part, or a whole section, did to the answer and to each of its sentences; in nats.

    ``nats`` is None where the time did not suffice.
    """

    item: str
    section: str
    nats: float | None = None
    by_sentence: tuple[float, ...] = ()
    is_section: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """The influence of every part, in prompt order, sections before their parts."""

    whole: Scored
    parts: tuple[Influence, ...]
    seconds: float = 0.0

    @property
    def n_left(self) -> int:
        """Parts that there was no time for."""
        return sum(1 for part in self.parts if part.nats is None)


@dataclass(frozen=True, slots=True)
class Why:
    """Why an answer reads as it does.

    ``is_exact`` says whether ``prompt`` is the very prompt it was written to; otherwise the profile, a
    document or a setting has changed since, and the figures are those of the prompt as it would be today.
    ``counterfactual`` is what the model writes without the part named ``left_out``, the one with most
    influence; it ends where the time did.
    """

    interaction: Interaction
    prompt: Prompt
    is_exact: bool
    sentences: tuple[Sentence, ...]
    measured: Measured
    left_out: str = ""
    counterfactual: str = field(default="", repr=False)


def measure(
    answer: str,
    sentences: Sequence[Sentence],
    sections: Sequence[tuple[str, Sequence[str]]],
    *,
    render: Callable[[frozenset[str]], Sequence[Message]],
    score: Callable[[Sequence[Message], str], Scored],
    budget_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Return the influence of each part within about ``budget_s`` seconds; the first two runs are always
    made.

    ``sections`` are (name, parts) in prompt order; ``render`` returns the prompt without the named parts.
    What stands last is left out first: each run then shares the longest beginning with the one before it,
    which the scorer need not read again.  A section of several parts is measured as one before its parts are,
    the last section behind all else: where time is short, what each passage did says more.
    """
    began = clock()
    whole = score(render(frozenset()), answer)
    expected = clock() - began
    spans = [_tokens_of(whole, answer, sentence) for sentence in sentences]
    found: dict[tuple[str, str, bool], Influence] = {}

    def run(section: str, item: str, without: frozenset[str], *, is_section: bool) -> None:
        nonlocal expected
        key = (section, item, is_section)
        spent = clock() - began
        if found and spent + _SAFETY * expected > budget_s:
            found[key] = Influence(item, section, is_section=is_section)
            return
        started = clock()
        changed = score(render(without), answer)
        expected = max(clock() - started, _LEAST * expected)
        losses = [a - b for a, b in zip(whole.logprobs, changed.logprobs, strict=True)]
        by_sentence = tuple(sum(losses[first:last]) for first, last in spans)
        found[key] = Influence(item, section, sum(losses), by_sentence, is_section)

    named = [(name, list(items)) for name, items in sections if items]
    last_first = named[::-1]
    for name, items in last_first[:1]:  # the passages: what an answer is mostly made of
        for item in reversed(items):
            run(name, item, frozenset([item]), is_section=False)
    for name, items in last_first[1:]:
        if len(items) > 1:
            run(name, name, frozenset(items), is_section=True)
    for name, items in last_first[1:]:
        for item in reversed(items):
            run(name, item, frozenset([item]), is_section=False)
    if last_first and len(last_first[0][1]) > 1:
        name, items = last_first[0]
        run(name, name, frozenset(items), is_section=True)
    order = [
        (name, item, is_section)
        for name, items in named
        for item, is_section in [*([(name, True)] if len(items) > 1 else []), *((i, False) for i in items)]
    ]
    return Measured(whole, tuple(found[key] for key in order), clock() - began)


def _tokens_of(scored: Scored, answer: str, sentence: Sentence) -> tuple[int, int]:
    """Return the range of tokens that ends inside the sentence."""
    first = len(answer[: sentence.start].encode("utf-8", "replace"))
    last = len(answer[: sentence.end].encode("utf-8", "replace"))
    inside = [i for i, end in enumerate(scored.ends) if first < end <= last]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)
