"""A verdict is kept; only the person's own words become an exemplar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragperso.errors import WorkspaceError
from ragperso.record.feedback import exemplar_of, mark
from ragperso.store import Store
from ragperso.types import Feedback, Interaction

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ASKED = Interaction("I1", "s", NOW, "When is the tax due?", "When is the tax due?", "In May.", False, "m")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    store.put_interaction(ASKED)
    yield store
    store.close()


def test_a_mark_is_stored_and_audited_without_its_text(store: Store) -> None:
    mark(store, "I1", "good", "", NOW)
    mark(store, "I1", "edited", "Am 31. Mai, und keinen Tag später.", NOW)
    assert [(f.verdict, f.edited) for f in store.feedback("I1")] == [
        ("good", ""),
        ("edited", "Am 31. Mai, und keinen Tag später."),
    ]
    assert [e.detail for e in store.audit()[0]] == [
        {"interaction": "I1", "verdict": "good"},
        {"interaction": "I1", "verdict": "edited"},
    ]


def test_a_mark_on_nothing_is_refused_and_not_audited(store: Store) -> None:
    with pytest.raises(WorkspaceError, match="I2"):
        mark(store, "I2", "good", "", NOW)
    assert store.audit() == ([], True)


@pytest.mark.parametrize(
    ("verdict", "edited"), [("edited", ""), ("edited", " \n"), ("good", "text"), ("great", "")]
)
def test_a_verdict_and_text_that_do_not_fit_are_a_callers_mistake(
    store: Store, verdict: str, edited: str
) -> None:
    with pytest.raises(ValueError):
        mark(store, "I1", verdict, edited, NOW)  # type: ignore[arg-type]
    assert store.feedback() == []


def test_an_edited_answer_becomes_an_exemplar_of_that_exchange() -> None:
    exemplar = exemplar_of(ASKED, Feedback("I1", "edited", " Am 31. Mai, und keinen Tag später. ", NOW))
    assert exemplar is not None
    assert exemplar.key == "exemplar/I1"
    assert exemplar.text == "Am 31. Mai, und keinen Tag später."
    assert exemplar.ts == NOW
    assert exemplar.meta == {
        "kind": "exemplar",
        "register": "chat",
        "language": "de",
        "request": "When is the tax due?",
        "source": "interaction/I1",
        "sources": ["interaction/I1"],
    }


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_the_models_words_never_become_an_exemplar(verdict: str) -> None:
    assert exemplar_of(ASKED, Feedback("I1", verdict, "", NOW)) is None  # type: ignore[arg-type]
