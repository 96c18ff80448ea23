"""Schema steps run once, together, and never on a newer store."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragperso import migrations
from ragperso.errors import SchemaTooNew
from ragperso.migrations import MIGRATIONS, SCHEMA_VERSION, migrate
from ragperso.store import NewDocument, Store
from ragperso.types import Document, Feedback, Interaction
from tests.older import make_older

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def open_database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_a_new_store_gets_every_step_and_then_none(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.db")
    assert migrate(connection) == len(MIGRATIONS)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert {"documents", "chunks", "embeddings", "interactions", "facts", "audit"} <= tables(connection)
    assert migrate(connection) == 0
    connection.close()


def test_a_step_that_fails_undoes_the_steps_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half_way (x)")
        raise sqlite3.OperationalError("no")

    connection = open_database(tmp_path / "a.db")
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, broken))
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert tables(connection) == set()
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    monkeypatch.undo()
    assert migrate(connection) == len(MIGRATIONS)
    connection.close()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.db")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(SchemaTooNew) as caught:
        migrate(connection)
    assert "upgrade" in caught.value.hint
    assert tables(connection) == set()
    connection.close()


def test_ids_of_documents_and_chunks_are_never_reused(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.db")
    migrate(connection)
    for table in ("documents", "chunks", "facts"):
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        assert "AUTOINCREMENT" in sql
    connection.close()


def test_a_store_of_the_first_schema_gets_keys_and_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = open_database(tmp_path / "a.db")
    monkeypatch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 1)
    assert migrate(connection) == 1
    assert "keys" not in tables(connection)
    connection.execute("INSERT INTO meta (key, value) VALUES ('setting', 'kept')")
    monkeypatch.undo()
    assert migrate(connection) == SCHEMA_VERSION - 1
    assert "keys" in tables(connection)
    assert connection.execute("SELECT value FROM meta WHERE key = 'setting'").fetchone() == ("kept",)
    names = [row[1] for row in connection.execute("PRAGMA table_info(keys)")]
    assert names == ["id", "document_id", "corpus", "kind", "start", "end", "text", "embed_hash"]
    connection.close()


@pytest.mark.parametrize("schema", [1, 2])
def test_an_older_store_keeps_its_statements_and_marks(tmp_path: Path, schema: int) -> None:
    store = Store(tmp_path / "store.db")
    document = Document(key="a", text="I live in Leipzig. More.", source="a.md")
    (number,) = store.put_documents(
        "documents",
        [NewDocument(document, (), (), "h", "r1")],
        embedder_id=store.embedder_id("t", dim=2),
        vectors={},
        now=NOW,
    )
    store.put_fact("I live in Leipzig.", origin="mined", now=NOW, document=number, start=0, end=18)
    store.put_fact("Call me Ani.", origin="user", now=NOW)
    hidden = store.put_fact("More.", origin="mined", now=NOW, document=number, start=19, end=24)
    store.remove_facts([hidden])
    store.put_interaction(Interaction("i1", "s", NOW, "q", "q", "a", False, "m"))
    store.put_feedback(Feedback("i1", "edited", "better"), NOW)
    facts, marks = store.facts(), store.feedback()
    store.close()
    make_older(store.path, schema)
    old = sqlite3.connect(store.path)
    assert "slot" not in [row[1] for row in old.execute("PRAGMA table_info(facts)")]
    old.close()
    with contextlib.closing(Store(store.path)) as again:
        assert again.facts() == facts
        assert again.feedback() == marks
        assert again.is_hidden_fact("More.")
        assert again.get("facts_stale") == "1"  # the first who reads them weighs them anew
        assert [
            (f.kind, f.slot, f.valid_from, f.valid_to, f.superseded_by, f.n_seen) for f in again.facts()
        ] == [("fact", "", None, None, 0, 1)] * 2


def test_a_new_store_has_nothing_to_weigh_anew(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path / "store.db")) as store:
        assert store.get("facts_stale") == ""
