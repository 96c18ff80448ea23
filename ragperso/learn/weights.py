"""Stage 7, learn: what a person's marks say about which sources, legs, registers and exemplars help.

In: marks, oldest first, each with the arms it is evidence about; the time.  Out: a weight per arm, in
log-odds, and in plain words why it is in force or not.
Never: stores a weight, reads a text, mixes two people, removes an arm, believes a pattern that did not
foretell later marks.

Weights are a pure function of (marks, now): taking back a mark, or forgetting its exchange, takes back all it
taught.  Two groups are learned apart, where passages came from and which exemplars were shown:

    P(good) = sigmoid(bias + sum over arms of share(arm) * w(arm)),   w ~ N(0, PRIOR_SD)

* Update, one mark at a time: one Newton step on the posterior with a diagonal covariance, which shares a mark
  among its arms by share and by how little is known of each.  Few marks move a weight little; the bias takes
  what is the same for all arms.
  Source: Spiegelhalter & Lauritzen 1990, "Sequential updating of conditional probabilities on directed
  graphical structures", Networks 20; in batches Chapelle & Li 2011, "An empirical evaluation of Thompson
  sampling", NIPS, algorithm 3.  With the exact posterior the total log loss exceeds that of the best fixed
  weights by O(log n) only (Kakade & Ng 2004, "Online bounds for Bayesian algorithms", NIPS); this is its
  Gaussian approximation, so nothing relies on that bound: the check below does.
* Decay: between marks mean and variance return to the prior, with HALF_LIFE_DAYS; what is not said again
  fades and can be learned anew.
* Bounds: |w| <= BOUND, one doubling or halving of the odds.  No arm is removed, so each still gets marks.
* Held-out check (walk forward): before a mark is learned it is predicted twice, by the arms, and by the same
  arms without their names ("some source"), which learn as fast but cannot tell one from another.  A group's
  weights are in force only while names gain more log loss per mark than CONFIDENCE standard errors.  Someone
  who calls everything bad is foretold as well without names: nothing changes for them.
  Source: Dawid 1984, "The prequential approach", JRSS A 147; the statistic is that of Diebold & Mariano 1995,
  "Comparing predictive accuracy", JBES 13.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from ragperso.store import Store
from ragperso.types import Feedback, Json, as_utc

BOUND: Final = math.log(2)
HALF_LIFE_DAYS: Final = 90.0  # a season: a choice, not a measurement
# Standard deviations of the prior: of .7, 1 and 1.5 for source and register, 1 and .7 were as good on
# simulated people with one or two marks in ten wrong, 1.5 worse (benchmarks/feedback.py, 2026-11-24).  The
# documents and legs are many and each is seldom marked: they move less, so that their source moves.
PRIOR_SD: Final[Mapping[str, float]] = {
    "corpus": 0.7, "source": 1.0, "document": 0.2, "leg": 0.2,
    "register": 1.0, "audience": 0.7, "exemplar": 0.2,
}  # fmt: skip
_BIAS: Final = ""  # an arm of every verdict: how often this person says good at all
_BIAS_SD: Final = 1.5
MIN_MARKS: Final = 10  # of a group, before anything may be in force
CONFIDENCE: Final = 1.645  # standard errors: one-sided 95 %
_LEAST: Final = 0.05  # a smaller weight changes no ranking and explains nothing

Group: TypeAlias = Literal["passages", "exemplars"]
GROUPS: Final[Mapping[str, Group]] = {
    "corpus": "passages", "source": "passages", "document": "passages", "leg": "passages",
    "register": "exemplars", "audience": "exemplars", "exemplar": "exemplars",
}  # fmt: skip
RESETS: Final = "weights_from"  # in the store: a JSON list of moments; marks before the last do not count


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece of evidence: how good (0 to 1) what drew on these arms was.

    In a pair the arms are differences, the preferred one less the other, and ``value`` is 1.
    """

    arms: Mapping[str, float] = field(repr=False)
    value: float
    at: datetime | None = None
    is_pair: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """What is known of one arm: its weight and how many marks, of which how many good, it shared in."""

    name: str = field(repr=False)
    weight: float
    n_marks: float
    n_good: float


@dataclass(frozen=True, slots=True)
class Learned:
    """What the marks of one group taught, whether it is in force, and why."""

    group: Group
    is_in_force: bool
    reason: str
    n_marks: int
    gain: float  # mean per mark, in nats; above 0 the arms predict later marks
    gain_se: float
    arms: tuple[Arm, ...]  # heaviest first


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights in force (empty: neutral), and the account of them."""

    values: Mapping[str, float] = field(default_factory=dict, repr=False)
    learned: tuple[Learned, ...] = ()


# ---------------------------------------------------------------- from the store to marks


def marks_of(feedback: Iterable[Feedback], since: datetime | None = None) -> list[Mark]:
    """Return the evidence in stored marks, in their order; those before ``since`` do not count.

    Of one exchange the last verdict counts, and the last word on what was followed.  An edit counts as good
    as far as it kept the answer.
    """
    last: dict[tuple[str, bool], Feedback] = {}
    for one in feedback:
        if since is not None and one.at is not None and as_utc(one.at) < as_utc(since):
            continue
        key = (one.interaction, one.verdict == "followed")
        last.pop(key, None)  # so that the order is that of the last word
        last[key] = one
    return [mark for one in last.values() for mark in _evidence(one)]


def _evidence(feedback: Feedback) -> Iterator[Mark]:
    try:
        told = json.loads(feedback.detail) if feedback.detail else {}
    except ValueError:
        told = {}
    if not isinstance(told, Mapping):
        return
    if feedback.verdict == "followed":
        for pair in _list(told.get("pairs")):
            if arms := _numbers(pair):
                yield Mark(arms, 1.0, feedback.at, is_pair=True)
    elif arms := _numbers(told.get("arms")):
        kept = told.get("kept")
        half = kept if isinstance(kept, float) and 0 <= kept <= 1 else 0.5
        yield Mark(arms, {"good": 1.0, "bad": 0.0}.get(feedback.verdict, half), feedback.at)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _numbers(value: Json) -> dict[str, float]:
    """Return the arms of a stored mark that this version knows, with shares it can use."""
    if not isinstance(value, Mapping):
        return {}
    return {
        arm: share
        for arm, share in value.items()
        # NaN is in no range, and a truth value is no share.
        if arm[: arm.find(":")] in GROUPS and type(share) in (float, int) and -1 <= share <= 1
    }


def weights_of(store: Store, now: datetime) -> Weights:
    """Return the weights of the person whose store this is."""
    return learn(marks_of(store.feedback(), reset_at(store)), now)


def reset_at(store: Store) -> datetime | None:
    """Return the moment before which marks do not count; None when all do."""
    moments = _resets(store)
    return moments[-1] if moments else None


def reset(store: Store, now: datetime, *, undo: bool = False) -> datetime | None:
    """Let marks before ``now`` not count, or take the last reset back; return the moment now in force.

    The marks stay in the store.  To undo without a reset changes nothing.
    """
    with store.write():
        moments = [*_resets(store), now] if not undo else _resets(store)[:-1]
        store.put(RESETS, json.dumps([as_utc(moment).isoformat() for moment in moments]))
        store.put_audit("weights", {"reset": not undo}, now)
    return moments[-1] if moments else None


def _resets(store: Store) -> list[datetime]:
    return [datetime.fromisoformat(moment) for moment in json.loads(store.get(RESETS) or "[]")]


# ---------------------------------------------------------------- from marks to weights


def learn(marks: Sequence[Mark], now: datetime) -> Weights:
    """Return the weights that ``marks``, oldest first, justify at the moment ``now``."""
    learned = tuple(_learn(group, marks, now) for group in ("passages", "exemplars"))
    values = {
        arm.name: arm.weight
        for one in learned
        if one.is_in_force
        for arm in one.arms
        if abs(arm.weight) >= _LEAST
    }
    return Weights(values, learned)


class _Belief:
    """What is believed of one arm, a Gaussian kept undecayed, and what it was seen with.

    With g = 2^-(half-lives since the start): mean = m * g, variance = prior - c * g^2.  So nothing has to be
    touched while time passes.
    """

    __slots__ = ("c", "kind", "m", "n_good", "n_marks", "prior")

    def __init__(self, arm: str) -> None:
        self.kind = arm.partition(":")[0]
        self.prior = (PRIOR_SD[self.kind] if arm != _BIAS else _BIAS_SD) ** 2
        self.m = self.c = self.n_marks = self.n_good = 0.0


class _Decay:
    """The factor g at a moment.  A clock that went backwards stands still here."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._half_lives = 0.0

    def at(self, moment: datetime) -> float:
        days = (as_utc(moment) - self._start).total_seconds() / 86_400
        self._half_lives = max(self._half_lives, days / HALF_LIFE_DAYS)
        return float(2.0 ** -min(self._half_lives, 400.0))  # its square is still a number


def _learn(group: Group, marks: Sequence[Mark], now: datetime) -> Learned:
    start = min((as_utc(mark.at) for mark in marks if mark.at is not None), default=as_utc(now))
    decay = _Decay(start)
    bias, bias_alone = _Belief(_BIAS), _Belief(_BIAS)
    beliefs: dict[str, _Belief | None] = {}  # None: an arm of the other group
    nameless: dict[str, _Belief] = {}
    gains: list[float] = []
    n = 0
    for mark in marks:
        value = mark.value
        shown: list[tuple[_Belief, float]] = []
        squares: dict[str, float] = {}
        for arm, share in mark.arms.items():
            if arm in beliefs:
                belief = beliefs[arm]
            else:
                belief = beliefs[arm] = _Belief(arm) if GROUPS[arm.partition(":")[0]] == group else None
            if belief is None:
                continue
            shown.append((belief, share))
            squares[belief.kind] = squares.get(belief.kind, 0.0) + share * share
            belief.n_marks += abs(share)
            belief.n_good += share * value if share > 0 else share * (value - 1)
        if not shown:
            continue
        n += 1
        g = decay.at(mark.at or start)
        without_names = math.log(2)
        if not mark.is_pair:
            # One arm per kind, with the prior variance of its arms together.
            alone = [(nameless.setdefault(k, _Belief(k)), math.sqrt(square)) for k, square in squares.items()]
            without_names = _update([*alone, (bias_alone, 1.0)], value, g)
            shown.append((bias, 1.0))
        gains.append(without_names - _update(shown, value, g))
    mean, se = _mean_and_error(gains)
    is_in_force = n >= MIN_MARKS and mean > CONFIDENCE * se
    g = decay.at(now)
    arms = [
        Arm(arm, max(-BOUND, min(BOUND, belief.m * g)), belief.n_marks, belief.n_good)
        for arm, belief in beliefs.items()
        if belief is not None
    ]
    arms.sort(key=lambda arm: (-abs(arm.weight), arm.name))
    return Learned(group, is_in_force, _reason(n, mean, se), n, mean, se, tuple(arms))


def _update(shown: Sequence[tuple[_Belief, float]], value: float, g: float) -> float:
    """Return the log loss of predicting ``value`` from arms with shares, then learn it."""
    mean = spread = 0.0
    pushes = []
    for belief, share in shown:
        push = (belief.prior - belief.c * g * g) * share  # covariance of this arm and the whole
        mean += belief.m * share
        spread += push * share
        pushes.append(push)
    mean *= g
    # The prediction averages over the belief: MacKay 1992, "The evidence framework applied to classification
    # networks".
    loss = _log_loss(mean / math.sqrt(1 + math.pi * spread / 8), value)
    p = 1 / (1 + math.exp(-max(-30.0, min(30.0, mean))))
    slope = p * (1 - p)
    step = (value - p) / (1 + slope * spread) / g
    shrink = slope / (1 + slope * spread) / (g * g)
    for (belief, _), push in zip(shown, pushes, strict=True):
        belief.m += push * step
        belief.c += push * push * shrink
    return loss


def _log_loss(logit: float, value: float) -> float:
    return math.log1p(math.exp(-abs(logit))) + max(logit, 0.0) - value * logit


def _mean_and_error(gains: Sequence[float]) -> tuple[float, float]:
    """Return the mean gain and its standard error; infinite below two gains."""
    n = len(gains)
    if n < 2:
        return 0.0, math.inf
    mean = sum(gains) / n
    return mean, math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (n - 1) / n)


def _reason(n: int, mean: float, se: float) -> str:
    marks = f"{n} mark" + ("" if n == 1 else "s")
    if n < MIN_MARKS:
        return f"{marks}: {MIN_MARKS} are needed before anything is learned"
    if mean > CONFIDENCE * se:
        better = math.exp(mean) - 1
        return f"{marks}: the pattern also foretold later marks, {better:.0%} better than none"
    return f"{marks}: no pattern that holds on later marks"
