"""Privacy: the audit, a chain of events without content.

Each event carries the SHA-256 of the one before it, so an edited, deleted or swapped line shows.  It is not
a witnessed log: whoever owns the file can cut its end off or write the whole chain anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ragperso.store import Store
from ragperso.types import AuditEvent, Json


def record(store: Store, action: str, now: datetime, **detail: Json) -> None:
    """Append an event; give counts, ids and hashes only."""
    store.put_audit(action, detail, now)


def is_intact(store: Store) -> bool:
    """Say whether every event still follows from the one before it."""
    return store.audit()[1]


def render(events: Sequence[AuditEvent]) -> list[str]:
    """Return one line per event: when, what, the counts."""
    return [
        f"{event.seq:>5}  {event.at:%Y-%m-%d %H:%M:%S}  {event.action:<9} "
        + " ".join(f"{key}={_short(value)}" for key, value in event.detail.items())
        for event in events
    ]


def _short(value: Json) -> str:
    if isinstance(value, list) and len(value) > 5:
        return f"[{len(value)}]"
    text = str(value)
    return text if len(text) <= 32 else f"{text[:12]}…"
