"""The audit shows what was done, never what was said."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from ragperso.privacy import audit
from ragperso.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_events_are_shown_in_order_with_their_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    audit.record(store, "add", NOW, documents=3, chunks=7)
    audit.record(store, "ask", NOW, interaction="I1", chunks=list(range(9)), prompt_sha256="ab" * 32)
    events, _ = store.audit()
    assert audit.render(events) == [
        "    1  2026-03-01 12:00:00  add       chunks=7 documents=3",
        "    2  2026-03-01 12:00:00  ask       chunks=[9] interaction=I1 prompt_sha256=abababababab…",
    ]
    assert audit.is_intact(store)
    store.close()


def test_a_line_that_was_taken_out_shows(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    for number in range(3):
        audit.record(store, "add", NOW, n=number)
    with store.write() as db:
        db.execute("DELETE FROM audit WHERE seq = 2")
    assert not audit.is_intact(store)
    store.close()
