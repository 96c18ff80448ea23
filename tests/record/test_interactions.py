"""An exchange is kept whole, is found again, and can be continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from ragperso.record.interactions import append, conversation, history_document, new_id
from ragperso.store import NewDocument, Store
from ragperso.types import ChunkId, ChunkSpan, Document, DocumentId, Interaction, Usage

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def exchange(number: int, *, session: str = "s", answer: str = "", abstained: bool = False) -> Interaction:
    return Interaction(
        id=f"I{number}",
        session=session,
        asked_at=NOW + timedelta(minutes=number),
        query=f"question {number}",
        resolved=f"question {number}",
        answer=answer or f"answer {number}",
        abstained=abstained,
        model="m",
        prompt_sha256="ab" * 32,
        chunk_ids=(ChunkId(3),),
        usage=Usage(100, 20, 60),
    )


def chunked(document: Document) -> NewDocument:
    span = ChunkSpan(0, len(document.text), n_tokens=3)
    return NewDocument(document, (span,), (document.key.encode(),), "h", "r1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def record(store: Store, one: Interaction, documents: dict[DocumentId, str] | None = None) -> None:
    history = chunked(history_document(one))
    append(
        store,
        one,
        documents=documents or {},
        history=history,
        vectors={history.embed_hashes[0]: np.ones(4, np.float32)},
        embedder_id=store.embedder_id("test", dim=4),
        now=NOW,
    )


def test_ids_sort_by_time_and_are_easy_to_copy() -> None:
    ids = [new_id(NOW + timedelta(milliseconds=n)) for n in range(300)]
    assert ids == sorted(ids)
    assert {len(i) for i in ids} == {26}
    assert not set("".join(ids)) & set("ILOU")
    assert "".join(ids).isalnum()


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(NOW) for _ in range(1000)}) == 1000


def test_the_first_ten_letters_are_the_time() -> None:
    # The specification's own example: ulid(1469918176385) is 01ARYZ6S41TSV4RRFFQ69G5FAV.
    moment = datetime.fromtimestamp(1469918176.385, timezone.utc)
    assert new_id(moment)[:10] == "01ARYZ6S41"
    assert new_id(moment.replace(tzinfo=None))[:10] == "01ARYZ6S41"
    assert new_id(datetime(1969, 1, 1, tzinfo=timezone.utc))[:10] == "0000000000"


def test_the_history_entry_is_question_then_answer() -> None:
    entry = history_document(exchange(1, answer="  It was March.\n"))
    assert entry.key == "interaction/I1"
    assert entry.text == "question 1\n\nIt was March."
    assert entry.ts == NOW + timedelta(minutes=1)
    assert entry.meta == {"kind": "interaction", "session": "s", "thread": "s"}


def test_a_declined_question_leaves_no_answer_to_be_found() -> None:
    entry = history_document(exchange(1, session="", answer="Your documents do not say.", abstained=True))
    assert entry.text == "question 1"
    assert entry.meta == {"kind": "interaction"}


def test_an_exchange_is_stored_with_its_entry_its_sources_and_its_audit(store: Store) -> None:
    record(store, exchange(1), {DocumentId(7): "notes/a.md"})
    assert store.interactions() == [exchange(1)]
    (entry,) = store.documents("history")
    assert store.text(entry.id) == "question 1\n\nanswer 1"
    assert store.keys_of_answers() == {"notes/a.md"}
    events, intact = store.audit()
    assert intact
    assert events[0].detail == {
        "interaction": "I1",
        "abstained": False,
        "model": "m",
        "prompt_sha256": "ab" * 32,
        "chunks": [3],
        "documents": [7],
        "prompt_tokens": 100,
        "completion_tokens": 20,
    }
    assert "question" not in json.dumps(events[0].detail)


def test_a_failure_leaves_no_part_of_an_exchange(store: Store) -> None:
    record(store, exchange(1))
    before = store.counts()
    with pytest.raises(Exception, match="UNIQUE"):
        record(store, exchange(1))  # the id is taken; its history entry must not have been touched either
    assert store.counts() == before


def test_an_exchange_can_stay_out_of_the_search(store: Store) -> None:
    append(
        store, exchange(1), documents={}, history=None, vectors={}, embedder_id=store.embedder_id("t", dim=4),
        now=NOW,
    )  # fmt: skip
    assert store.documents("history") == []
    assert len(store.interactions()) == 1


def test_a_conversation_is_the_last_exchanges_oldest_first(store: Store) -> None:
    for number in range(1, 5):
        record(store, exchange(number))
    record(store, exchange(9, session="other"))
    record(store, exchange(10, session=""))
    assert [(t.role, t.text) for t in conversation(store, "s", 2)] == [
        ("user", "question 3"),
        ("assistant", "answer 3"),
        ("user", "question 4"),
        ("assistant", "answer 4"),
    ]


@pytest.mark.parametrize(("session", "n"), [("", 3), ("s", 0), ("nobody", 3)])
def test_without_a_session_there_is_no_conversation(store: Store, session: str, n: int) -> None:
    record(store, exchange(1))
    record(store, exchange(2, session=""))
    assert conversation(store, session, n) == []


def test_no_repr_shows_a_word_of_an_exchange() -> None:
    assert "question" not in repr(exchange(1)) + repr(history_document(exchange(1)))


def test_a_conversation_can_end_before_a_moment(store: Store) -> None:
    for number in range(1, 5):
        record(store, exchange(number))
    record(store, exchange(9, session="t"))

    def texts(n_turns: int, minute: int) -> list[str]:
        turns = conversation(store, "s", n_turns, before=NOW + timedelta(minutes=minute))
        return [turn.text for turn in turns if turn.role == "user"]

    assert texts(2, 3) == ["question 1", "question 2"]  # not the third, which was asked at that moment
    assert texts(2, 4) == ["question 2", "question 3"]
    assert texts(9, 99) == ["question 1", "question 2", "question 3", "question 4"]
    assert texts(2, 1) == []
    assert texts(0, 99) == []
