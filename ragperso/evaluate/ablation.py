"""Surface, evaluate: what each part of retrieval is worth, by leaving it out.

In: an engine, a data set.  Out: an :class:`Ablation`: the full configuration against itself without one part,
on the same questions.  Never: builds an index, leaves out two parts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ragperso import config as settings
from ragperso import metrics
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness
from ragperso.evaluate.datasets import DataSet
from ragperso.evaluate.harness import ALL, MAIN, Group, Ranked
from ragperso.metrics import Difference, Interval
from ragperso.protocols import Embedder
from ragperso.types import Vector, Vectors

State = Literal["on", "off already", "not in this version"]


@dataclass(frozen=True, slots=True)
class Component:
    """A part of retrieval and the settings that switch it off.

    ``idle`` names settings with the values under which the part does nothing that could be switched off.
    """

    name: str
    off: Mapping[str, Any]
    idle: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def state(self, config: Config) -> State:
        """Say whether leaving it out of ``config`` would change anything."""
        if not {*self.off, *self.idle} <= settings.keys().keys():
            return "not in this version"
        if any(_value(config, key) in values for key, values in self.idle.items()):
            return "off already"
        return "on" if self.without(config) != config else "off already"

    def without(self, config: Config) -> Config:
        """Return ``config`` with the part switched off."""
        return config.replace(self.off)


_ONE_LEG: Final = {
    "retrieve.fusion": ("dense", "lexical")
}  # there is nothing to fuse, nor a leg to leave out

COMPONENTS: Final[tuple[Component, ...]] = (
    Component("dense", {"retrieve.fusion": "lexical"}, _ONE_LEG),
    Component("lexical", {"retrieve.fusion": "dense"}, _ONE_LEG),
    Component("weights", {"retrieve.fusion": "rrf"}, _ONE_LEG),  # equal weights of ranks instead
    Component("context", {"retrieve.context": False}),
    Component("keys", {"retrieve.keys": False}),
    Component("names", {"retrieve.names": False}),
    Component("dates", {"retrieve.dates": False}),
    Component("parents", {"retrieve.parents": False}),
    Component("expand", {"retrieve.expand": False}),
    Component("split", {"retrieve.split": False}),
    Component("collapse", {"retrieve.collapse_similarity": 1.0}),
    Component("diversity", {"retrieve.diversity": 0.0}),
    Component("reranker", {"retrieve.reranker": ""}),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One component left out.  ``worth`` is the full configuration minus the one without it, by metric."""

    component: Component
    without: Interval  # of the main metric
    worth: Mapping[str, Difference]
    worth_by_group: Mapping[str, float]  # of the main metric
    n_changed: int  # questions whose ranking is another one


@dataclass(frozen=True, slots=True)
class Ablation:
    """The full configuration, and what each component adds; the first of ``metrics`` is the main one."""

    name: str
    metrics: tuple[str, ...]
    full: Mapping[str, Interval]
    full_by_group: Mapping[str, float]
    parts: tuple[Part, ...]
    skipped: Mapping[str, State]
    n_questions: int
    by: Group = "type"


def ablate(
    engine: Engine,
    data: DataSet,
    *,
    metric: str = MAIN,
    also: Sequence[str] = ("R@10", "hit@1"),
    components: Sequence[Component] = COMPONENTS,
    by: Group = "type",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Ablation, list[Ranked]]:
    """Return what each component is worth, and the ranking of the full configuration.

    Every question is embedded once.  ``on_progress`` sees (done, all) over all runs.
    Raises: ValueError for an unknown metric or without a question that has gold.
    """
    names = tuple(dict.fromkeys(harness.metric_named(name)[0] for name in (metric, *also)))
    if not any(question.gold for question in data.questions):
        raise ValueError("no question has gold, so nothing can be compared")
    states = [(component, component.state(engine.config)) for component in components]
    chosen = [component for component, state in states if state == "on"]
    embedder = _RememberedQueries(engine.embedder)
    n_each = len(data.questions)

    def ranked(config: Config, n_before: int) -> list[Ranked]:
        def tell(done: int, _all: int) -> None:
            if on_progress is not None:
                on_progress(n_before * n_each + done, n_each * (1 + len(chosen)))

        # Not closed: the embedder is the caller's, and asking closes the sessions.
        return harness.ask(Engine(config=config, embedder=embedder), data, on_progress=tell)

    full = ranked(engine.config, 0)
    measured = {name: harness.values_of(full, name) for name in names}
    groups = harness.groups_of(full, by)
    parts = []
    for number, component in enumerate(chosen, start=1):
        less = ranked(component.without(engine.config), number)
        values = {name: harness.values_of(less, name) for name in names}
        gaps = measured[names[0]] - values[names[0]]
        parts.append(
            Part(
                component=component,
                without=metrics.bootstrap(values[names[0]], seed=seed),
                worth={name: metrics.compare(measured[name], values[name], seed=seed) for name in names},
                worth_by_group={g: float(gaps[rows].mean()) for g, rows in groups.items() if g != ALL},
                n_changed=harness.n_changed(full, less),
            )
        )
    ablation = Ablation(
        name=data.name,
        metrics=names,
        full={name: metrics.bootstrap(measured[name], seed=seed) for name in names},
        full_by_group={g: float(measured[names[0]][rows].mean()) for g, rows in groups.items() if g != ALL},
        parts=tuple(parts),
        skipped={component.name: state for component, state in states if state != "on"},
        n_questions=len(measured[names[0]]),
        by=by,
    )
    return ablation, full


def _value(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


class _RememberedQueries:
    """An embedder that embeds each question once: a dozen runs ask the same ones."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vector] = {}

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    @property
    def dim(self) -> int:
        return self._embedder.dim

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._embedder.count(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> Vector:
        if text not in self._known:
            self._known[text] = self._embedder.embed_query(text)
        return self._known[text]
