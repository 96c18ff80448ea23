"""Whole prompts of each shipped preset on its own sample; ``make golden`` rewrites them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso import preset
from ragperso.engine import Engine, Session
from ragperso.preset import SHIPPED, Sample
from tests.golden.test_prompts import render

HERE = Path(__file__).parent
CASES = [(name, task) for name in preset.names() for task in preset.TASKS]


def settle(session: Session, sample: Sample) -> None:
    """Give a person what the sample brings."""
    session.introduce(name=sample.name, languages=sample.languages, addresses=sample.addresses)
    session.add(sample.documents)
    if sample.history:
        session.add(sample.history, corpus="history")
    if sample.exemplars:
        session.add(sample.exemplars, corpus="exemplars")
    for text in sample.remember:
        session.remember(text)


@pytest.mark.parametrize(("name", "task"), CASES, ids=[f"{name}-{task}" for name, task in CASES])
def test_preset(
    name: str,
    task: preset.Task,
    make_engine: Callable[..., Engine],
    request: pytest.FixtureRequest,
) -> None:
    kind = preset.load(name)
    sample = preset.sample(kind)
    assert sample is not None
    settings = {key.replace(".", "__"): value for key, value in kind.settings.items()}
    session = make_engine(**settings, general__preset=name).session("sample")
    settle(session, sample)
    text = render(session.prompt(sample.question if task == "ask" else sample.request, task=task))
    text = text.replace(str(SHIPPED.parent), "PACKAGE")
    path = HERE / f"preset-{name}-{task}.txt"
    if request.config.getoption("--rewrite-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
