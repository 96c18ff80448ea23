"""Stage 7, learn: how most people write, in numbers.

In: ``background.toml`` beside this file, made by ``benchmarks/style_card.py --write``.  Out: what is usual.
Never: holds a sentence of anyone; a word on the lists of ``habits.py`` has a rate, nothing else has.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragperso.learn.habits import COUNTED, WORDS, Values

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED: Final = Path(__file__).with_name("background.toml")
LANGUAGE: Final = "en"  # the only one there is data for; marks and lengths of others are held against it
ORDINARY: Final = "post"  # the register that all others are measured from
_FAMILIES: Final = {"mail": "mail", "mail reply": "mail", "chat": "chat"}


@dataclass(frozen=True, slots=True)
class Usual:
    """The middle 80 % of people; outside of it a figure is distinctive."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Background:
    """What is usual in one register: deciles by measure, and for a comparison of two texts the rates.

    Arrays are in the order of ``COUNTED`` and ``WORDS``.  ``between`` and ``scatter`` are variances of
    square roots of rates, between people and between pieces of one person.
    """

    people: int
    deciles: Mapping[str, tuple[float, ...]]
    rates: Values
    highs: Values  # decile 9
    between: Values
    scatter: Values
    n_words: int  # that the rates of words were counted on
    means: Mapping[str, tuple[float, float, float]]  # of AVERAGED: middle, variance between, scatter

    def usual(self, name: str) -> Usual | None:
        """Return what is usual of a measure, None where nobody measured it."""
        known = self.deciles.get(name)
        return Usual(known[0], known[4], known[8]) if known else None


def family(register: str) -> str:
    """Return the register whose background a register is held against: ``mail``, ``chat`` or ``post``."""
    return _FAMILIES.get(register, ORDINARY)


@functools.cache
def shipped() -> Mapping[str, Background]:
    """Return the background by register."""
    told = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))[LANGUAGE]
    return {register: _read(told[register], told[ORDINARY]) for register in told}


def _read(told: Mapping[str, Any], ordinary: Mapping[str, Any]) -> Background:
    levels = {**ordinary["habits"], **told["habits"]}
    # Of words in other registers only the rates are known.
    words = {word: (*told["words"][word][:2], *row[2:]) for word, row in ordinary["words"].items()}
    rows = [
        (
            levels[h.name]["mean"],
            levels[h.name].get("deciles", [0.0])[-1],
            *ordinary["habits"][h.name]["apart"],
        )
        for h in COUNTED
    ] + [tuple(words[word]) for word in WORDS]
    rates, highs, between, scatter = np.array(rows, float).T
    return Background(
        people=told["people"],
        deciles={name: tuple(level["deciles"]) for name, level in levels.items() if "deciles" in level},
        rates=rates,
        highs=highs,
        between=between,
        scatter=scatter,
        n_words=ordinary["words_counted"],
        means={
            name: (levels[name]["deciles"][4], *ordinary["habits"][name]["apart"])
            for name in ("sentence_length", "richness")
        },
    )
