"""A verdict is kept with what it is evidence about; the person's own words become an exemplar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragperso.errors import WorkspaceError
from ragperso.record.feedback import (
    exemplar_in_force,
    exemplar_of,
    kept_share,
    mark,
    take_back,
)
from ragperso.store import Store
from ragperso.types import ChunkId, Citation, Feedback, Interaction

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ASKED = Interaction("I1", "s", NOW, "When is the tax due?", "When is the tax due?", "In May.", False, "m")


SIGNALS = {
    "1": {"corpus:documents": 1.0, "source:a": 1.0},
    "2": {"corpus:documents": 1.0, "source:b": 1.0},
    "3": {"corpus:history": 1.0},
    "exemplars": {"register:mail": 0.75, "register:note": 0.25},
}


def cited(id: str, *labels: str, task: str = "ask") -> Interaction:
    """An exchange that was shown three passages and cites some."""
    return replace(
        ASKED,
        id=id,
        citations=tuple(Citation(label, "d", 0, 1, ChunkId(1)) for label in labels),
        ledger={"task": task, "signals": SIGNALS},
    )


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
def test_the_models_answer_never_becomes_an_exemplar(verdict: str) -> None:
    assert exemplar_of(ASKED, Feedback("I1", verdict, "", NOW)) is None  # type: ignore[arg-type]
    assert exemplar_of(cited("I1", "1"), Feedback("I1", verdict, "", NOW)) is None  # type: ignore[arg-type]


def test_a_draft_called_good_becomes_an_exemplar_that_says_so() -> None:
    draft = replace(cited("I1", task="write"), query="Tell Ben about May", answer=" Hi Ben, in May. ")
    exemplar = exemplar_of(draft, Feedback("I1", "good", "", NOW))
    assert exemplar is not None
    assert exemplar.text == "Hi Ben, in May."
    assert (exemplar.meta["accepted"], exemplar.meta["register"]) == (
        True,
        "mail",
    )  # most shown were mails
    assert exemplar_of(draft, Feedback("I1", "bad", "", NOW)) is None
    assert exemplar_of(replace(draft, answer=" "), Feedback("I1", "good", "", NOW)) is None


def test_the_last_edit_holds_and_a_draft_only_while_good_is_the_last_word() -> None:
    draft = cited("I1", task="write")
    good, bad = Feedback("I1", "good", "", NOW), Feedback("I1", "bad", "", NOW)
    edit, again = Feedback("I1", "edited", "On 31 May.", NOW), Feedback("I1", "edited", "By May 31.", NOW)
    followed = Feedback("I1", "followed", "", NOW)

    def text(*marks: Feedback) -> str:
        exemplar = exemplar_in_force(draft, marks)
        return exemplar.text if exemplar is not None else ""

    assert text() == ""
    assert text(good) == text(good, followed) == "In May."
    assert text(good, bad) == ""
    assert text(good, edit, bad) == text(edit, good) == "On 31 May."
    assert text(edit, again) == "By May 31."


# ---------------------------------------------------------------- evidence


def test_a_verdict_is_about_what_was_cited_and_the_exemplars(store: Store) -> None:
    store.put_interaction(cited("I2", "1", "3"))
    told = json.loads(mark(store, "I2", "good", "", NOW).detail)
    assert told == {
        "arms": {
            "corpus:documents": 0.5, "source:a": 0.5, "corpus:history": 0.5,
            "register:mail": 0.75, "register:note": 0.25,
        }
    }  # fmt: skip
    assert json.loads(store.feedback("I2")[0].detail) == told


def test_without_citations_it_is_about_all_that_was_shown(store: Store) -> None:
    store.put_interaction(cited("I2"))
    arms = json.loads(mark(store, "I2", "bad", "", NOW).detail)["arms"]
    third = round(1 / 3, 3)
    assert arms["source:a"] == arms["source:b"] == arms["corpus:history"] == third


def test_an_exchange_from_before_signals_were_kept_is_evidence_of_nothing(store: Store) -> None:
    assert json.loads(mark(store, "I1", "good", "", NOW).detail) == {"arms": {}}


def test_an_edit_counts_as_far_as_it_kept_the_answer(store: Store) -> None:
    store.put_interaction(replace(cited("I2", "1"), answer="The tax is due in May."))
    told = json.loads(mark(store, "I2", "edited", "The tax is due in June.", NOW).detail)
    assert told["kept"] == round(2 * 5 / 12, 3)  # five of six words in either


def test_opening_a_citation_prefers_it_to_those_passed_over(store: Store) -> None:
    store.put_interaction(cited("I2", "1", "2"))
    first = json.loads(mark(store, "I2", "followed", "", NOW, labels=["2"]).detail)
    assert first == {"labels": ["2"], "pairs": [{"source:b": 1.0, "source:a": -1.0}]}
    both = json.loads(mark(store, "I2", "followed", "", NOW, labels=["1"]).detail)
    assert both == {"labels": ["1", "2"], "pairs": []}  # nothing was passed over
    assert store.feedback("I2")[1].verdict == "followed"


def test_a_label_that_the_answer_does_not_have_is_refused(store: Store) -> None:
    store.put_interaction(cited("I2", "1"))
    with pytest.raises(WorkspaceError, match="no citation '9'"):
        mark(store, "I2", "followed", "", NOW, labels=["9"])
    with pytest.raises(ValueError):
        mark(store, "I2", "followed", "", NOW)
    with pytest.raises(ValueError):
        mark(store, "I2", "good", "", NOW, labels=["1"])
    assert store.feedback() == []


def test_the_last_mark_is_taken_back_with_its_text_and_the_audit_says_so(store: Store) -> None:
    mark(store, "I1", "good", "", NOW)
    mark(store, "I1", "edited", "On 31 May.", NOW)
    gone = take_back(store, "I1", NOW)
    assert gone is not None
    assert gone.edited == "On 31 May."
    assert [one.verdict for one in store.feedback("I1")] == ["good"]
    assert store.audit()[0][-1].detail == {"interaction": "I1", "verdict": "edited", "taken_back": True}
    assert take_back(store, "I1", NOW) is not None
    assert take_back(store, "I1", NOW) is None
    assert store.audit()[1]


# ---------------------------------------------------------------- corrections


def test_the_kept_share_is_of_both_texts() -> None:
    assert kept_share("a b c d", "a b x d") == 2 * 3 / 8
    assert kept_share("a", "a") == 1.0
    assert kept_share("", "") == 0.0


@pytest.mark.parametrize(
    "text", ["word " * 60_000, "ab " * 50_000 + "\ud800", "\x00" * 300_000, "x" * 300_000]
)
def test_hostile_texts_are_compared_as_far_as_the_first_words(text: str) -> None:
    assert kept_share(text, text) == 1
    assert 0 <= kept_share(text, "word " + text[::-1]) <= 1
