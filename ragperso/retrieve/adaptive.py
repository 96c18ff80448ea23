"""Stage 3, retrieve: weigh all evidence for a chunk against one another, for this query and this kind of
text.

In: :class:`Evidence`.  Out: one score per row, in log-odds up to a constant; larger is better.
Never: sees text, knows which data set it is, learns while it runs.

    score(chunk) = sum over kinds of evidence of weight(kind, query) * evidence(kind, chunk)
    weight(kind, query) = weight(kind) + sum over signals of slope(kind, signal) * signal(query)

The weights are those of a listwise softmax over all chunks of a person (Cao et al. 2007, "Learning to rank:
from pairwise to listwise approach", ICML, eq. 4, with all gold chunks as the target), fitted by
``benchmarks/fusion.py`` and kept in ``weights.toml`` beside this file, which people can read and replace
(``retrieve.weights``).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ragperso.errors import ConfigError
from ragperso.retrieve.evidence import Evidence, says_nothing
from ragperso.types import Scores

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED: Final = Path(__file__).with_name("weights.toml")
FEATURES: Final = (
    "dense", "lexical", "statement", "date", "style", "passage.lead", "passage.near_lexical",
    "passage.group_lexical", "passage.group_size", "turn.dense", "turn.lexical", "turn.near_lexical",
    "turn.group_lexical", "turn.near_dense", "turn.group_dense", "turn.speaker", "turn.asks", "turn.answers",
    "turn.length",
)  # fmt: skip
SPEAKER: Final = "turn.speaker"
SIGNALS: Final = ("question_words", "best_coverage")


@dataclass(frozen=True, slots=True)
class Weights:
    """The table: a weight per kind of evidence, and how much of it changes with a signal of the query."""

    weights: Mapping[str, float]
    slopes: Mapping[str, Mapping[str, float]]  # signal -> kind of evidence -> slope

    def of(self, name: str, signals: Mapping[str, float]) -> float:
        """Return the weight of one kind of evidence for a query with these signals."""
        changed = sum(slopes.get(name, 0.0) * signals.get(s, 0.0) for s, slopes in self.slopes.items())
        return self.weights.get(name, 0.0) + changed


class AdaptiveFusion:
    """Scores every chunk at once from everything known of it."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def weight(self, name: str, evidence: Evidence) -> float:
        """Return how much one kind of evidence counts for this query."""
        return self._weights.of(name, evidence.signals)

    def scores(self, evidence: Evidence) -> Scores:
        """Return one score per row of ``evidence``."""
        total = np.zeros(len(evidence.ids), np.float32)
        for name, column in evidence.features.items():
            if not says_nothing(column) and (weight := self.weight(name, evidence)):
                total += np.float32(weight) * column
        return total

    def speaker_margin(self, evidence: Evidence, scores: Scores) -> float:
        """Return by how much the best turn of the speakers a query names beats the best of all others.

        Below 0 the query asks of one person what another one said.  0 when it names no speaker.
        """
        named = evidence.features.get(SPEAKER)
        if named is None or says_nothing(named) or not (named > 0).any() or not (named < 0).any():
            return 0.0
        plain = scores - np.float32(self.weight(SPEAKER, evidence)) * named
        return float(plain[named > 0].max() - plain[named < 0].max())


@functools.cache
def load_weights(path: Path = SHIPPED) -> Weights:
    """Read a table of weights.  Raises: ConfigError, naming the file and the key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}", hint="see retrieve.weights") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}", hint=f"edit {path}") from exc
    weights: dict[str, float] = {}
    slopes: dict[str, dict[str, float]] = {}
    for section, table in data.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section!r} stands outside a section", hint=f"edit {path}")
        if section == "signal":
            for signal, row in table.items():
                if signal not in SIGNALS or not isinstance(row, dict):
                    raise ConfigError(
                        f"{path}: there is no signal {signal!r}", hint=f"known: {', '.join(SIGNALS)}"
                    )
                slopes[signal] = {_known(path, k): _number(path, k, v) for k, v in row.items()}
            continue
        for key, value in table.items():
            name = _known(path, key if section == "any" else f"{section}.{key}")
            weights[name] = _number(path, name, value)
    return Weights(weights, slopes)


def _known(path: Path, name: str) -> str:
    if name not in FEATURES:
        raise ConfigError(f"{path}: there is no evidence {name!r}", hint=f"known: {', '.join(FEATURES)}")
    return name


def _number(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e3:
        raise ConfigError(f"{path}: {name} must be a number", hint=f"edit {path}")
    return float(value)
