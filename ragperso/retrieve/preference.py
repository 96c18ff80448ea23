"""Stage 3, retrieve: what the person's marks have shown to help comes a little earlier.

In: hits, best first; weights of arms, as ``learn/weights.py`` derives them.  Out: the same hits, reordered.
Never: drops a hit, lifts one past another that is far better, changes how likely a hit answers.

An *arm* is one thing that a prompt may draw on, as ``kind:name``: ``corpus:history``, ``source:notes/home``,
``document:notes/home/coffee.md``, ``leg:lexical`` (the share of the score that one kind of evidence gave),
``register:mail``, ``audience:...``, ``exemplar:...``.  :func:`signals_of` says what a prompt drew on, so
that a mark given later is evidence about them; :func:`prefer` and :func:`multipliers` apply what was learnt.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from ragperso.types import Exemplar, Hit, Prompt

BOUND: Final = math.log(2)  # of all arms of one hit together: its odds are at most doubled or halved
PREFERENCE: Final = "preference"  # its name in Hit.why
EXEMPLARS: Final = "exemplars"  # in the signals, beside the labels of the passages
_FOLDERS: Final = 3  # levels of a document's folders that are arms; the outer ones are mostly all the same
_MAX_NAME: Final = 160  # characters of an arm's name


def arms_of_hit(hit: Hit) -> dict[str, float]:
    """Return the arms of one hit with their shares.

    The folders of a document share one arm's worth (shares 1 / sqrt(n), so that their squares add up to 1);
    the legs share theirs by what each added to the score, or by 1 / rank when it is a fusion of rankings.
    """
    return _place_of(hit) | _legs_of(hit)


def _place_of(hit: Hit) -> dict[str, float]:
    chunk = hit.chunk
    arms = {_arm("corpus", chunk.corpus): 1.0, _arm("document", chunk.document): 1.0}
    sources = _sources(hit)
    arms.update(dict.fromkeys((_arm("source", s) for s in sources), len(sources) ** -0.5 if sources else 0.0))
    return arms


def _legs_of(hit: Hit) -> dict[str, float]:
    gave: dict[str, float] = {}
    for name, value in hit.why.items():
        if value > 0 and name != PREFERENCE:
            gave[_leg(name)] = gave.get(_leg(name), 0.0) + value
    if not gave:
        gave = {name: 1 / max(1, leg.rank) for name, leg in hit.via.items()}
    total = sum(gave.values())
    return {_arm("leg", name): value / total for name, value in gave.items()}


def signals_of(
    prompt: Prompt, hits: Sequence[Hit], exemplars: Sequence[Exemplar] = ()
) -> dict[str, dict[str, float]]:
    """Return the arms behind each passage of a prompt by its label, and those behind its exemplars together.

    ``hits`` and ``exemplars`` are what the prompt was made from; what did not get into it is left out.
    """
    found = {hit.chunk.id: hit for hit in hits}
    signals = {
        passage.label: {arm: round(share, 3) for arm, share in arms_of_hit(found[passage.chunk_id]).items()}
        for passage in prompt.passages
        if passage.chunk_id in found
    }
    items = {item.item for section in prompt.sections for item in section.items}
    shown = [exemplar for exemplar in exemplars if exemplar.item in items]
    arms: dict[str, float] = {}
    for exemplar in shown:
        for arm in arms_of_exemplar(exemplar):
            arms[arm] = arms.get(arm, 0.0) + 1 / len(shown)
    if arms:
        signals[EXEMPLARS] = {arm: round(share, 3) for arm, share in arms.items()}
    return signals


def arms_of_exemplar(exemplar: Exemplar) -> list[str]:
    """Return the arms of one exemplar."""
    named = (
        ("register", exemplar.register), ("audience", exemplar.audience), ("exemplar", exemplar.id),
    )  # fmt: skip
    return [_arm(kind, name) for kind, name in named if name]


def prefer(
    hits: Sequence[Hit], weights: Mapping[str, float], strength: float, *, scale: float = 0.0
) -> Sequence[Hit]:
    """Return ``hits`` reordered by score + strength * scale * (sum of share * weight, within +-BOUND).

    ``scale`` is one unit of log-odds in scores of this kind; 0 takes the distance between the quartiles of
    this list, which an outstanding first hit does not stretch.  A hit passes another only if that was better
    by less than 2 * strength * scale * BOUND.  What was added stands in ``Hit.why`` as ``preference``.  Equal
    scores go by preference, then as given.  Without weights, or when all hits are preferred alike, ``hits``
    itself is returned.
    """
    if not weights or strength <= 0 or len(hits) < 2:
        return hits
    counts_legs = any(arm.startswith("leg:") for arm in weights)
    liked = [liking(_place_of(hit) | (_legs_of(hit) if counts_legs else {}), weights) for hit in hits]
    if max(liked) - min(liked) < 1e-9:
        return hits
    unit = strength * (scale if scale > 0 else _quartile_distance([hit.score for hit in hits]))
    scores = [hit.score + unit * value for hit, value in zip(hits, liked, strict=True)]
    order = sorted(range(len(hits)), key=lambda i: (-scores[i], -liked[i], i))
    return [
        dataclasses.replace(hits[i], rank=rank, score=scores[i], why=_with(hits[i].why, unit * liked[i]))
        for rank, i in enumerate(order, start=1)
    ]


def multipliers(weights: Mapping[str, float], strength: float = 1.0) -> dict[str, float]:
    """Return what to multiply an exemplar's score with, by arm: 1/2 to 2; arms that are missing count 1.

    For an exemplar with several arms, multiply with :func:`multiplier`, which keeps the product in bounds.
    """
    return {
        arm: math.exp(strength * _bounded(weight))
        for arm, weight in weights.items()
        if arm.partition(":")[0] in ("register", "audience", "exemplar") and weight
    }


def multiplier(exemplar: Exemplar, weights: Mapping[str, float], strength: float = 1.0) -> float:
    """Return what to multiply the score of one exemplar with, 1/2 to 2; 1 when nothing is known."""
    return math.exp(strength * liking(dict.fromkeys(arms_of_exemplar(exemplar), 1.0), weights))


def liking(arms: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the log-odds that arms with these shares add, within +-BOUND."""
    return _bounded(sum(share * weights.get(arm, 0.0) for arm, share in arms.items()))


def _bounded(value: float) -> float:
    return max(-BOUND, min(BOUND, value))


def _with(why: Mapping[str, float], amount: float) -> dict[str, float]:
    """Return ``why`` with what the preference added, largest first."""
    parts = {**why, PREFERENCE: why.get(PREFERENCE, 0.0) + amount}
    return dict(sorted(parts.items(), key=lambda item: -abs(item[1])))


def _quartile_distance(scores: Sequence[float]) -> float:
    """Return the distance between the quartiles, linear between scores; all lists here are short."""
    ordered = sorted(scores)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return at(0.75) - at(0.25)


def _sources(hit: Hit) -> list[str]:
    """Return the folders of a document, inner first, or the source that its metadata name."""
    named = hit.chunk.meta.get("source")
    if isinstance(named, str) and named:
        return [named]
    folders = hit.chunk.document[-4 * _MAX_NAME :].split("/")[:-1]
    paths = ["/".join(folders[: n + 1]) for n in range(len(folders))]
    return [path for path in reversed(paths) if path.strip("./")][:_FOLDERS]


def _leg(name: str) -> str:
    """Return the kind of evidence without the kind of text: ``turn.near_lexical`` is lexical evidence."""
    short = name.rpartition(".")[2]
    return short.removeprefix("near_").removeprefix("group_")


def _arm(kind: str, name: str) -> str:
    return f"{kind}:{name[-_MAX_NAME:]}"
