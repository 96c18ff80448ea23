"""The store: transactions, ids, replacement, removal, filters, and a disk that is full."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragperso.errors import SchemaTooNew, WorkspaceError
from ragperso.files import content_hash
from ragperso.store import NewDocument, SourceState, Store
from ragperso.types import (
    ChunkId,
    ChunkSpan,
    Citation,
    Corpus,
    Document,
    DocumentId,
    Fact,
    Feedback,
    Filters,
    Interaction,
    Usage,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
DIM = 4


def digest(text: str) -> bytes:
    return content_hash(text)[:16].encode()


def vector(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(int(content_hash(text)[:8], 16))
    return rng.standard_normal(DIM).astype(np.float32)


def put(
    store: Store,
    key: str,
    text: str,
    *,
    corpus: Corpus = "documents",
    parent: DocumentId | None = None,
    **more: Any,
) -> DocumentId:
    """Store ``text`` with one chunk per paragraph."""
    spans, hashes, vectors, at = [], [], {}, 0
    for part in text.split("\n\n"):
        spans.append(ChunkSpan(at, at + len(part), n_tokens=len(part.split())))
        hashes.append(digest(part))
        vectors[digest(part)] = vector(part)
        at += len(part) + 2
    document = Document(key=key, text=text, source=more.pop("source", key), **more)
    new = NewDocument(document, tuple(spans), tuple(hashes), content_hash(text), "r1", parent=parent)
    embedder = store.embedder_id("test", name="test", dim=DIM)
    (document_id,) = store.put_documents(corpus, [new], embedder_id=embedder, vectors=vectors, now=NOW)
    return document_id


def exchange(number: int, session: str = "s", answer: str = "yes", **more: Any) -> Interaction:
    return Interaction(
        id=f"i{number}",
        session=session,
        asked_at=NOW + timedelta(minutes=number),
        query=f"question {number}",
        resolved=f"question {number}",
        answer=answer,
        abstained=False,
        model="m",
        **more,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


# ---------------------------------------------------------------- transactions


def test_a_failed_transaction_leaves_nothing_not_even_its_inner_ones(store: Store) -> None:
    put(store, "a", "before")
    with contextlib.suppress(RuntimeError), store.write():
        put(store, "b", "inner")
        store.put("setting", "1")
        raise RuntimeError
    assert [d.key for d in store.documents()] == ["a"]
    assert store.get("setting") == ""
    put(store, "c", "after")  # and the connection is usable
    assert [d.key for d in store.documents()] == ["a", "c"]


def test_an_inner_transaction_is_not_final_before_the_outer_one(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "store.db")
    with store.write():
        with store.write():
            store.put("setting", "1")
        assert other.get("setting") == ""
    assert other.get("setting") == "1"
    other.close()


def _write_many(path: Path, writer: int, n: int) -> None:
    store = Store(path)
    for number in range(n):
        put(store, f"{writer}/{number}", f"text {writer} {number}")
    store.close()


def test_four_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "store.db"
    Store(path).close()
    writers = [context.Process(target=_write_many, args=(path, writer, 25)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    assert [process.exitcode for process in writers] == [0, 0, 0, 0]
    store = Store(path)
    assert {d.key for d in store.documents()} == {f"{w}/{n}" for w in range(4) for n in range(25)}
    assert store.generation("documents") == 100
    assert store.problems() == []
    store.close()


def test_what_was_written_is_there_for_a_new_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "store.db"
    process = context.Process(target=_write_and_die, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == -9
    store = Store(path)
    assert [d.key for d in store.documents()] == ["kept"]
    store.close()


def _write_and_die(path: Path) -> None:
    import os
    import signal

    store = Store(path)
    put(store, "kept", "written and acknowledged")
    with store.write():
        put(store, "lost", "not yet acknowledged")
        os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------- ids and replacement


def test_an_id_never_returns(store: Store) -> None:
    first = put(store, "a", "one\n\ntwo")
    chunks = store.chunk_ids("documents").tolist()
    store.remove_documents([first], answers=True)
    second = put(store, "a", "one\n\ntwo")
    assert second > first
    assert min(store.chunk_ids("documents").tolist()) > max(chunks)


def test_a_replaced_document_keeps_its_id_and_its_answers(store: Store) -> None:
    document = put(store, "a", "old text\n\nshared part")
    store.put_interaction(exchange(1), documents={document: "a"})
    assert put(store, "a", "new text\n\nshared part") == document
    assert store.text(document) == "new text\n\nshared part"
    assert len(store.interactions()) == 1
    assert [c.text for c in store.chunks(map(ChunkId, store.chunk_ids("documents"))).values()] == [
        "new text",
        "shared part",
    ]
    assert store.counts()["embeddings"] == 2  # "old text" is gone


def test_replacing_a_document_removes_what_was_mined_from_it(store: Store) -> None:
    document = put(store, "a", "I live in Rome")
    put(store, "exemplar/1", "I live in Rome", corpus="exemplars", parent=document)
    store.put_fact("I live in Rome", origin="mined", now=NOW, document=document)
    put(store, "a", "I live in Oslo")
    assert store.documents("exemplars") == []
    assert store.facts() == []


# ---------------------------------------------------------------- removal


def test_forgetting_removes_answers_children_facts_and_vectors_but_not_shared_ones(store: Store) -> None:
    doomed = put(store, "doomed", "only here\n\nin both")
    kept = put(store, "kept", "in both")
    put(store, "exemplar/1", "mined piece", corpus="exemplars", parent=doomed)
    store.put_fact("mined fact", origin="mined", now=NOW, document=doomed)
    history = put(store, "interaction/i1", "question and answer", corpus="history")
    put(store, "exemplar/i1", "edited answer", corpus="exemplars", parent=history)
    store.put_interaction(exchange(1), documents={doomed: "doomed"}, history=history)
    store.put_interaction(exchange(2), documents={kept: "kept"})
    gone = store.remove_documents([doomed], answers=True)
    assert (gone.documents, gone.chunks, gone.interactions, gone.facts) == (4, 5, 1, 1)
    assert gone.embeddings == 4  # all but "in both"
    assert [d.key for d in store.documents()] == ["kept"]
    assert [i.id for i in store.interactions()] == ["i2"]
    embedder = store.embedder_id("test")
    ids, rows = store.vectors(embedder, store.chunk_ids("documents"))
    assert len(ids) == 1
    np.testing.assert_array_equal(rows[0], vector("in both"))
    assert store.problems() == []


def test_a_file_that_went_away_keeps_its_answers_until_they_are_forgotten(store: Store) -> None:
    document = put(store, "a", "words")
    store.put_interaction(exchange(1), documents={document: "a"})
    store.remove_documents([document], answers=False)
    assert len(store.interactions()) == 1
    assert store.keys_of_answers() == {"a"}
    assert store.remove_answers_about(["a"]).interactions == 1
    assert store.interactions() == []


def test_an_answer_drawn_from_a_forgotten_answer_goes_too(store: Store) -> None:
    document = put(store, "a", "words")
    first = put(store, "interaction/i1", "first", corpus="history")
    store.put_interaction(exchange(1), documents={document: "a"}, history=first)
    second = put(store, "interaction/i2", "second", corpus="history")
    store.put_interaction(exchange(2), documents={first: "interaction/i1"}, history=second)
    assert store.remove_documents([document], answers=True).interactions == 2
    assert store.documents() == []


def test_scrubbing_leaves_no_removed_byte(store: Store, tmp_path: Path) -> None:
    texts = [f"needle number {n} " + "hay " * 50 for n in range(200)]
    ids = [put(store, str(n), text) for n, text in enumerate(texts)]
    store.remove_documents(ids[::2], answers=True)
    store.scrub()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [n for n in range(0, 200, 2) if f"needle number {n} ".encode() in raw] == []
    assert [n for n in range(1, 200, 2) if f"needle number {n} ".encode() not in raw] == []


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"jan", "feb", "undated"}),
        (Filters(since=datetime(2026, 2, 1, tzinfo=timezone.utc)), {"feb"}),
        (Filters(until=datetime(2026, 2, 1, tzinfo=timezone.utc)), {"jan"}),
        (Filters(documents=("jan", "nowhere")), {"jan"}),
        (Filters(hidden=("jan", "nowhere")), {"feb", "undated"}),
        (Filters(hidden=("jan",), documents=("jan", "feb")), {"feb"}),
        (Filters(meta={"tags": "Trip"}), {"jan"}),
        (Filters(meta={"speaker": "ana"}), {"feb"}),
        (Filters(meta={"speaker": "ana", "tags": "trip"}), set()),
        (Filters(meta={"speaker": "' OR 1=1 --"}), set()),
    ],
)
def test_filters(store: Store, filters: Filters, expected: set[str]) -> None:
    put(store, "jan", "one", ts=datetime(2026, 1, 31, 23, 59, tzinfo=timezone.utc), meta={"tags": ["trip"]})
    put(store, "feb", "two", ts=datetime(2026, 2, 1, tzinfo=timezone.utc), meta={"speaker": "Ana"})
    put(store, "undated", "three")
    put(store, "other", "four", corpus="history")
    found = store.chunks(ChunkId(i) for i in store.chunk_ids("documents", filters))
    assert {chunk.document for chunk in found.values()} == expected


def test_a_kind_can_be_left_out(store: Store) -> None:
    put(store, "a", "one", corpus="history", meta={"kind": "interaction"})
    put(store, "b", "two", corpus="history")
    (only,) = store.chunks(map(ChunkId, store.chunk_ids("history", without_kind="interaction"))).values()
    assert only.document == "b"


def test_the_generation_grows_with_every_change_of_its_corpus_only(store: Store) -> None:
    seen = [store.generation("documents")]
    document = put(store, "a", "one")
    seen.append(store.generation("documents"))
    put(store, "a", "two")
    seen.append(store.generation("documents"))
    put(store, "h", "turn", corpus="history")
    assert store.generation("documents") == seen[-1]
    store.remove_documents([document], answers=True)
    seen.append(store.generation("documents"))
    assert seen == sorted(set(seen))


# ---------------------------------------------------------------- round trips


def test_everything_of_an_exchange_comes_back(store: Store) -> None:
    citation = Citation("1", "notes/ä.md", 3, 9, ChunkId(4), page=2, line=7, heading="Knee > Advice")
    asked = exchange(
        1, citations=(citation,), chunk_ids=(ChunkId(4),), usage=Usage(10, 5, 2), ledger={"tokens": 15}
    )
    store.put_interaction(asked)
    store.put_feedback(Feedback("i1", "edited", "better"), NOW)
    assert store.interactions() == [asked]
    assert store.feedback("i1") == [Feedback("i1", "edited", "better", NOW)]
    with pytest.raises(WorkspaceError):
        store.put_feedback(Feedback("nobody", "good"), NOW)


def test_a_fact_that_was_taken_out_leaves_a_hash_only_and_can_be_said_again(
    store: Store, tmp_path: Path
) -> None:
    document = put(store, "a", "I live in Rome. More.")
    number = store.put_fact("I live in Rome.", origin="mined", now=NOW, document=document)
    assert store.remove_facts([number, 999]) == 1
    assert store.facts() == []
    assert store.is_hidden_fact("I live in Rome.")
    store.put_fact("I live in Rome.", origin="user", now=NOW)
    assert [(f.text, f.origin) for f in store.facts()] == [("I live in Rome.", "user")]


def test_every_field_of_a_statement_comes_back(store: Store) -> None:
    document = put(store, "a", "My sister moved to Oslo")
    fact = Fact(
        0, "My sister moved to Oslo", "mined", "a", 0, 23, NOW, "event", "sister", "home", "oslo", True, 0.75,
        NOW - timedelta(days=2), NOW + timedelta(days=2), 7, 3, '{"certainty": 0.75}',
    )  # fmt: skip
    number = store.add_fact(fact, document)
    assert store.facts() == [replace(fact, id=number)]
    changed = replace(fact, id=number, text="t", slot="s", negated=False, valid_to=None, superseded_by=0)
    store.change_fact(changed)
    assert store.facts() == [changed]
    other = put(store, "b", "t")
    moved = store.move_fact(number)
    store.place_fact(number, other)
    assert store.facts() == [replace(changed, source="b"), replace(changed, id=moved)]
    store.place_fact(number, None)
    assert [f.source for f in store.facts()] == ["", "a"]


def test_a_statement_said_directly_twice_is_there_once(store: Store) -> None:
    first = store.put_fact("I keep bees.", origin="mined", now=NOW)
    assert store.put_fact("I keep bees.", origin="user", now=NOW) == first
    assert [f.origin for f in store.facts()] == ["user"]
    store.change_fact(replace(store.facts()[0], superseded_by=9))
    second = store.put_fact("I keep bees.", origin="user", now=NOW)
    assert second != first  # what was replaced is not said by being known


def test_a_repetition_is_shown_on_request_and_goes_with_what_it_repeats(store: Store) -> None:
    document = put(store, "a", "I live in Rome. More.")
    main = store.add_fact(Fact(0, "I live in Rome.", "user", at=NOW))
    again = store.add_fact(
        Fact(0, "I still live in Rome.", "mined", "a", 0, 15, NOW, superseded_by=main, n_seen=0), document
    )
    assert [f.id for f in store.facts()] == [main]
    assert {f.id for f in store.facts(repeated=True)} == {main, again}
    assert store.remove_facts([again]) == 1  # by the number it had before it was said again
    assert store.facts(repeated=True) == []
    assert store.is_hidden_fact("I still live in Rome.")
    assert not store.is_hidden_fact("I live in Rome.")  # nobody but the person said this


def test_what_was_replaced_by_something_gone_is_marked_to_be_weighed_anew(store: Store) -> None:
    for take in ("document", "statement", "new text"):
        document = put(store, take, "I live in Rome. I live in Oslo.")
        store.drop("facts_stale")
        put(store, "unrelated", f"nothing {take}")
        assert store.get("facts_stale") == ""
        number = store.add_fact(Fact(0, "I live in Rome.", "mined", take, 0, 15, NOW), document)
        if take == "document":
            store.remove_documents([document], answers=True)
        elif take == "statement":
            store.remove_facts([number])
        else:
            put(store, take, "I live in Oslo.")
        assert store.get("facts_stale") == "1"
        assert store.facts() == []


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("I live in Rome.", "I live in Rome.", 0),
        ("I live in Rome. Bye.", "Hello! I live in Rome. Hello.", 7),
        ("- I live in Rome\n", "# Me\n\n- I live in Rome\n", 8),
        ("Well, I live in Rome.", "So. Well, I live in Rome!", 10),
        ("I live in Rome. I live in Rome.", "I live in Rome. So. I live in Rome.", 0),
        ("I live in Rome.", "I do not think that I live in Rome.", None),
        ("I live in Rome.", "I live in Rome, they said.", None),
        ("I live in Rome.", "> I live in Rome.", None),
        ("I live in Rome.", "I live in Romeo.", None),
        ("I live in Rome.", "", None),
    ],
)
def test_a_new_text_keeps_what_stands_there_as_before(
    store: Store, old: str, new: str, at: int | None
) -> None:
    document = put(store, "a", old)
    start = old.index("I live in Rome")
    number = store.add_fact(Fact(0, "x", "mined", "a", start, start + 14, NOW, n_seen=2), document)
    later = NOW + timedelta(days=3)
    put(store, "a", new, ts=later)
    assert [(f.id, f.start, f.end, f.at) for f in store.facts()] == (
        [] if at is None else [(number, at, at + 14, NOW)]
    )


def test_the_detail_of_a_mark_and_taking_marks_back(store: Store) -> None:
    store.put_interaction(exchange(1))
    store.put_interaction(exchange(2))
    assert store.feedback_state() == (0, 0)
    assert store.drop_feedback("i1") is None
    marks = [
        Feedback("i1", "good", "", NOW, '{"x": 1}'),
        Feedback("i2", "bad", "", NOW),
        Feedback("i1", "bad", "", NOW),
    ]
    states = []
    for mark in marks:
        store.put_feedback(mark, NOW)
        states.append(store.feedback_state())
    assert store.feedback() == marks
    assert states == [(1, 1), (2, 2), (3, 3)]
    assert store.drop_feedback("i1") == marks[2]
    assert store.feedback() == marks[:2]
    store.put_feedback(marks[2], NOW)
    assert store.feedback_state() == (3, 4)  # as many as before, and yet another state
    assert store.drop_feedback("i1") == marks[2]
    assert store.drop_feedback("i1") == marks[0]
    assert store.drop_feedback("i1") is None
    assert store.feedback() == [marks[1]]


def test_a_moved_file_keeps_chunks_and_vectors(store: Store) -> None:
    put(store, "old.md", "words", source="/old.md")
    before = store.chunk_ids("documents").tolist()
    state = SourceState("/new.md", "/", 5, 1, "h", "r1")
    store.move_source("documents", "/old.md", state, {"old.md": "new.md"})
    assert [(d.key, d.source) for d in store.documents()] == [("new.md", "/new.md")]
    assert store.chunk_ids("documents").tolist() == before
    assert store.sources("documents") == {"/new.md": state}


def test_all_vectors_of_a_corpus_are_those_of_its_ids(store: Store) -> None:
    embedder = store.embedder_id("test", dim=4)
    ids, rows = store.all_vectors(embedder, "documents")
    assert (len(ids), len(rows)) == (0, 0)
    put(store, "a", "one\n\ntwo")
    put(store, "piece", "three", corpus="exemplars")
    put(store, "b", "two")
    ids, rows = store.all_vectors(store.embedder_id("test"), "documents")
    assert ids.tolist() == store.chunk_ids("documents").tolist()
    np.testing.assert_array_equal(rows, np.stack([vector(text) for text in ("one", "two", "two")]))
    same, others = store.vectors(store.embedder_id("test"), ids)
    assert same.tolist() == ids.tolist()
    assert others.tobytes() == rows.tobytes()


def test_an_edited_audit_line_shows(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        store.put_audit("add", {"n": number}, NOW)
    events, intact = store.audit()
    assert [event.detail["n"] for event in events] == [0, 1, 2]
    assert intact
    with store.write() as db:
        db.execute("UPDATE audit SET detail = '{\"n\": 7}' WHERE seq = 2")
    assert not store.audit()[1]


def test_rows_put_back_elsewhere_are_the_same_rows(store: Store, tmp_path: Path) -> None:
    put(store, "a", "one\n\ntwo")
    other = Store(tmp_path / "other.db")
    for table in ("embedders", "documents", "chunks", "embeddings"):
        other.put_rows(table, store.columns(table), list(store.rows(table)))
        assert list(other.rows(table)) == list(store.rows(table))
    other.close()
    with pytest.raises(ValueError, match="not a table"):
        store.put_rows("documents; DROP TABLE chunks", ["id"], [])
    with pytest.raises(ValueError, match="no column"):
        store.put_rows("documents", ['id" --'], [])


def test_text_that_utf8_or_sqlite_cannot_hold_is_kept_in_length(store: Store) -> None:
    hostile = "a\x00b\ud800c\udfffd"
    held = "a\ufffdb\ufffdc\ufffdd"
    document = put(store, "a", hostile, title=hostile, meta={"speaker": hostile, "nul": "\x00"})
    asked = Interaction("i1", hostile, NOW, hostile, hostile, hostile, False, "m", ledger={"x": hostile})
    store.put_interaction(asked)
    store.put_feedback(Feedback("i1", "edited", hostile), NOW)
    store.put_fact(hostile, origin="user", now=NOW)
    store.put_profile_value("name", hostile)
    assert store.text(document) == held
    (chunk,) = store.chunks(ChunkId(i) for i in store.chunk_ids("documents")).values()
    assert (chunk.text, chunk.title) == (held, held)
    (found,) = store.interactions(session=hostile)
    assert (found.query, found.answer, found.session) == (held, held, held)
    assert store.feedback()[0].edited == store.facts()[0].text == held
    assert store.documents(keys=[hostile]) == []


# ---------------------------------------------------------------- what goes wrong


def test_a_full_disk_loses_nothing_that_was_stored(store: Store) -> None:
    put(store, "a", "stored")
    with store._lock:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(WorkspaceError, match="disk is full") as caught:
        put(store, "b", "too much " * 10_000)
    assert "free some space" in caught.value.hint
    assert "too much" not in str(caught.value)
    assert [d.key for d in store.documents()] == ["a"]
    assert store.problems() == []
    with store._lock:
        store._connection.execute("PRAGMA max_page_count = 1000000")
    put(store, "b", "too much " * 10_000)
    assert [d.key for d in store.documents()] == ["a", "b"]


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="99"):
        Store(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database at all " * 100)
    with pytest.raises(WorkspaceError, match="damaged") as caught:
        Store(path)
    assert "doctor" in caught.value.hint


def test_only_the_owner_can_read_the_store(tmp_path: Path) -> None:
    Store(tmp_path / "store.db").close()
    assert (tmp_path / "store.db").stat().st_mode & 0o077 == 0
