"""Stage 4, assemble: choose which of the person's own pieces to show.

In: candidates with the score retrieval gave them, what the request asks for.  Out: a few, different from each
other, each with what spoke for it.  Never: takes a shared piece where the person's own writing suffices.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ragperso.registers import (
    greeted_in,
    is_same_audience,
    is_same_kind,
    register_of_text,
)
from ragperso.tokens import detect_language, shingles
from ragperso.types import Exemplar, Json, as_utc

# What a piece may gain.  The kind of text outweighs all else together, also when marks double the rest, since
# how a text sounds depends on what it is more than on what it is about.  Set by that order, not fitted;
# benchmarks/registers.py counts how many chosen pieces are of the register asked for.
REGISTER: Final = 16.0
NEAR_REGISTER: Final = 0.9  # of it, for a mail where an answer is asked for, or the reverse
LANGUAGE: Final = 3.0  # French mails beside an English request made the starter model mix both
# Of the best candidate of the search; the worst gets nothing.  With 1 instead, 15 mails of panza took .829 of
# the bits of no exemplars, with 3 they took .817.
TOPIC: Final = 3.0
AUDIENCE: Final = 0.8
RECENCY: Final = 0.3  # of a piece of today
PAIR: Final = 0.3  # what it answers is known, so it shows input and output
TO_A_MACHINE: Final = -0.5  # people instruct an assistant as they would write to nobody else
ACCEPTED: Final = -6.0  # a draft taken as it was comes behind own writing, before own writing of another kind
ALIKE: Final = 1.0  # taken off for having all words of a piece that is shown already
HALF_LIFE_DAYS: Final = 365.0
MARKS: Final = (0.5, 2.0)  # bounds of what the person's marks multiply by
SHARED_K: Final = 4.0  # own pieces of the kind asked for at which shared ones have half the places
ENOUGH: Final = 4  # fitting pieces from which on none of another kind or language joins them
MIX_DEPTH: Final = 10  # candidates whose registers decide where the request names none

_SUBJECT: Final = re.compile(
    r"\s{0,9}(?:subject|betreff|objet|asunto)[ \t]{0,2}:(?P<subject>[^\n]{0,300})\n", re.IGNORECASE
)
_TOO_ALIKE: Final = 0.5  # share of common word 3-grams: two such pieces teach the same habit
_CONSIDERED: Final = 3  # times n candidates that are compared with each other
_COMPARED_CHARS: Final = 2_000
_ENOUGH_WORDS: Final = 6
_FUNCTION_WORD_CHARS: Final = 3  # most words up to here say nothing of the topic
_MACHINES: Final = frozenset(("assistant", "chatgpt", "claude", "gemini", "copilot", "bot", "ai"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """An exemplar to show; ``why`` maps what spoke for or against it to what that added to ``score``."""

    exemplar: Exemplar
    score: float
    why: Mapping[str, float]


def exemplar_from(
    key: str, text: str, meta: Mapping[str, Json], title: str = "", ts: datetime | None = None
) -> Exemplar:
    """Return a stored piece as a record.

    What was mined says its register; a file that was added by hand is told by where it lay and its shape.
    A subject line at the head of one is its title, not its text.
    """
    register = str(meta.get("register") or "")
    if not register and (meta.get("quoted") or meta.get("in_reply_to")):
        register = "mail reply"
    register = register or register_of_text(text, key)
    if head := _SUBJECT.match(text):
        title, text = head["subject"].strip(), text[head.end() :].strip() or text
    to = meta.get("audience") or meta.get("to") or ""
    return Exemplar(
        id=key.removeprefix("exemplar/"),
        text=text,
        request=str(meta.get("request") or ""),
        register=register,
        language=str(meta.get("language") or "") or detect_language(text),
        source=str(meta.get("source") or ""),
        ts=ts,
        title=title,
        audience=str(to[0] if isinstance(to, list) and to else to or "").casefold(),
        is_accepted=bool(meta.get("accepted")),
        is_shared=bool(meta.get("shared")),
    )


def explain(
    candidates: Sequence[Exemplar],
    *,
    n: int,
    scores: Sequence[float] = (),
    register: str = "",
    audience: str = "",
    language: str = "",
    now: datetime | None = None,
    weights: Mapping[str, float] | None = None,
    shared: Sequence[Exemplar] = (),
    shared_scores: Sequence[float] = (),
    n_own: int | None = None,
    half_life_days: float = HALF_LIFE_DAYS,
) -> list[Chosen]:
    """Return at most ``n``, best first; equal scores in the order given.

    ``scores`` are those of the search, one per candidate, larger is closer; only their order and spread
    matter.  Without them the candidates count as given best first.  Where ``register`` is empty, the mix of
    the closest candidates decides.  ``weights`` are the person's marks, ``register:mail`` and
    ``exemplar:<id>``: those of registers count where the request names none.

    ``shared`` are the team's; their part of the ``n`` places is ``SHARED_K / (n_own + SHARED_K)``, rounded,
    where ``n_own`` is how many pieces of the kind asked for the person has (if not given, counted among the
    candidates), and they fill what own pieces leave.
    """
    if n < 1:
        return []
    marks = weights or {}
    now = now or max((as_utc(e.ts) for e in (*candidates, *shared) if e.ts), default=None)
    wanted = _Wanted(register, audience, language, now, half_life_days, marks)
    own = _scored(candidates, scores, wanted)
    team = _scored(shared, shared_scores, wanted)
    if n_own is None:
        n_own = sum(1 for e in candidates if not register or is_same_kind(e.register, register))
    n_team = min(len(team), int(n * SHARED_K / (max(0, n_own) + SHARED_K) + 0.5)) if team else 0
    chosen = _fitting(_diverse(own, n - n_team, []), wanted)
    chosen += _fitting(_diverse(team, n - len(chosen), chosen), wanted, len(chosen))
    return sorted(chosen, key=lambda c: c.exemplar.is_shared)  # own first, each best first


def choose(candidates: Sequence[Exemplar], *, n: int, **wanted: Any) -> list[Exemplar]:
    """Return the exemplars that :func:`explain` chooses, which see."""
    return [one.exemplar for one in explain(candidates, n=n, **wanted)]


def _fitting(chosen: list[Chosen], wanted: _Wanted, n_before: int = 0) -> list[Chosen]:
    """Drop pieces of another kind or language once enough fit: they would teach the wrong habits."""

    def fits(one: Chosen) -> bool:
        is_kind = not wanted.register or is_same_kind(one.exemplar.register, wanted.register)
        return is_kind and (not wanted.language or one.exemplar.language in ("", wanted.language))

    fitting = [one for one in chosen if fits(one)]
    missing = max(0, ENOUGH - n_before - len(fitting))
    others = [one for one in chosen if not fits(one)][:missing]
    return [one for one in chosen if one in fitting or one in others]


@dataclass(frozen=True, slots=True)
class _Wanted:
    register: str
    audience: str
    language: str
    now: datetime | None
    half_life_days: float
    marks: Mapping[str, float]


def _scored(candidates: Sequence[Exemplar], scores: Sequence[float], wanted: _Wanted) -> list[Chosen]:
    if not candidates:
        return []
    scores = scores or range(len(candidates), 0, -1)
    low, spread = min(scores), max(scores) - min(scores)
    topics = [(score - low) / spread if spread else 0.0 for score in scores]
    mix = {} if wanted.register else _mix(candidates, topics)
    found = []
    for exemplar, topic in zip(candidates, topics, strict=True):
        why = {
            "register": REGISTER * _register(exemplar, wanted, mix),
            "language": LANGUAGE * (bool(wanted.language) and exemplar.language == wanted.language),
            "topic": TOPIC * topic,
            "audience": AUDIENCE * _is_for(exemplar, wanted.audience),
            "recency": RECENCY * _recency(exemplar, wanted),
            "pair": PAIR * bool(exemplar.request),
        }
        multiplier = _bounded(wanted.marks.get(f"exemplar:{exemplar.id}", 1.0))
        why["marks"] = (multiplier - 1) * (sum(why.values()) - why["register"])
        why["accepted"] = ACCEPTED * exemplar.is_accepted
        why["to a machine"] = TO_A_MACHINE * (exemplar.audience in _MACHINES)
        why = {name: value for name, value in why.items() if value}
        found.append(Chosen(exemplar, sum(why.values()), why))
    return sorted(found, key=lambda c: -c.score)


def _register(exemplar: Exemplar, wanted: _Wanted, mix: Mapping[str, float]) -> float:
    if wanted.register:
        if exemplar.register == wanted.register:
            return 1.0
        return NEAR_REGISTER if is_same_kind(exemplar.register, wanted.register) else 0.0
    marked = _bounded(wanted.marks.get(f"register:{exemplar.register}", 1.0))
    return mix.get(exemplar.register, 0.0) * marked


def _mix(exemplars: Sequence[Exemplar], topics: Sequence[float]) -> dict[str, float]:
    """Return the part of each register among the closest candidates, the closer the more."""
    closest = sorted(range(len(exemplars)), key=lambda i: -topics[i])[:MIX_DEPTH]
    votes: defaultdict[str, float] = defaultdict(float)
    for rank, i in enumerate(closest, 1):
        if exemplars[i].register:
            votes[exemplars[i].register] += 1 / rank
    total = sum(votes.values())
    return {register: vote / total for register, vote in votes.items()}


def _is_for(exemplar: Exemplar, audience: str) -> bool:
    if not audience:
        return False
    return is_same_audience(exemplar.audience, audience) or is_same_audience(
        greeted_in(exemplar.text), audience
    )


def _recency(exemplar: Exemplar, wanted: _Wanted) -> float:
    if exemplar.ts is None or wanted.now is None:
        return 0.0
    days = max(0.0, (as_utc(wanted.now) - as_utc(exemplar.ts)).total_seconds() / 86_400)
    return float(0.5 ** (days / max(1e-6, wanted.half_life_days)))


def _bounded(value: float) -> float:
    return min(max(value, MARKS[0]), MARKS[1]) if value == value else 1.0


# ---------------------------------------------------------------- different from each other


def _diverse(ranked: Sequence[Chosen], n: int, shown: Sequence[Chosen]) -> list[Chosen]:
    """Return ``n`` of ``ranked``, each time the one whose score less its likeness to those shown is largest.

    Source: Carbonell & Goldstein 1998, maximal marginal relevance.
    """
    if n < 1:
        return []
    words: dict[str, frozenset[str]] = {}
    grams: dict[str, set[int]] = {}
    left = list(ranked)
    found: list[Chosen] = []
    likeness: dict[str, float] = {}
    for one in shown:
        _see(one, left[: _CONSIDERED * n], words, likeness)
    while left and len(found) < n:
        # Only the first few can win: the rest lie further behind than any likeness takes off.
        best = max(left[: _CONSIDERED * n], key=lambda c: c.score - ALIKE * likeness.get(c.exemplar.id, 0.0))
        left.remove(best)
        if any(_repeats(best, other, words, grams) for other in (*shown, *found)):
            continue
        found.append(best)
        _see(best, left[: _CONSIDERED * n], words, likeness)
    return found


def _see(
    one: Chosen, left: Sequence[Chosen], words: dict[str, frozenset[str]], likeness: dict[str, float]
) -> None:
    mine = _words(one, words)
    for other in left:
        theirs = _words(other, words)
        common = len(mine & theirs) / min(len(mine), len(theirs)) if mine and theirs else 0.0
        likeness[other.exemplar.id] = max(likeness.get(other.exemplar.id, 0.0), common)


def _repeats(
    one: Chosen, other: Chosen, words: dict[str, frozenset[str]], grams: dict[str, set[int]]
) -> bool:
    a, b = _words(one, words), _words(other, words)
    if min(len(a), len(b)) >= _ENOUGH_WORDS and len(a & b) < _TOO_ALIKE / 2 * min(len(a), len(b)):
        return False  # texts with half their 3-grams in common share more words than that
    return _alike(_grams(one, grams), _grams(other, grams)) >= _TOO_ALIKE


def _words(one: Chosen, seen: dict[str, frozenset[str]]) -> frozenset[str]:
    id = one.exemplar.id
    if id not in seen:
        words = one.exemplar.text[:_COMPARED_CHARS].casefold().split()
        seen[id] = frozenset(word for word in words if len(word) > _FUNCTION_WORD_CHARS)
    return seen[id]


def _grams(one: Chosen, seen: dict[str, set[int]]) -> set[int]:
    id = one.exemplar.id
    if id not in seen:
        seen[id] = shingles(one.exemplar.text[:_COMPARED_CHARS])
    return seen[id]


def _alike(a: set[int], b: set[int]) -> float:
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0
