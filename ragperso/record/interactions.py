"""Stage 6, record: keep each exchange, and make it findable later.

In: an interaction, the documents its answer drew on, its history entry chunked and embedded.
Out: rows in the store, the turns of a conversation.
Never: embeds, calls a model, writes half an exchange, puts content into the audit.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np

from ragperso.store import NewDocument, Store
from ragperso.types import Document, DocumentId, Interaction, Json, Turn, as_utc

# Crockford's base 32: no I, L, O, U, so an id read aloud or copied from a screen stays itself.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_BITS: Final = 48  # milliseconds, enough until the year 10889
_RANDOM_BITS: Final = 80


def new_id(now: datetime) -> str:
    """Return a fresh id of 26 characters that sorts by time, to the millisecond.

    Source: the ULID specification, github.com/ulid/spec.  A naive time counts as UTC.
    """
    milliseconds = max(0, round(as_utc(now).timestamp() * 1000))
    number = (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    n_digits = (_TIME_BITS + _RANDOM_BITS + 4) // 5
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(n_digits)))


def history_key(interaction_id: str) -> str:
    """Return the key of an exchange in the history corpus."""
    return f"interaction/{interaction_id}"


def history_document(interaction: Interaction) -> Document:
    """Return the exchange as it is searched: the question, a blank line, the answer.

    One that was declined keeps its question only: "your documents do not say" would otherwise be found
    again as if it were knowledge.
    """
    parts = [interaction.query.strip()]
    if not interaction.abstained:
        parts.append(interaction.answer.strip())
    meta: dict[str, Json] = {"kind": "interaction"}
    if interaction.session:
        meta |= {"session": interaction.session, "thread": interaction.session}
    return Document(
        key=history_key(interaction.id),
        text="\n\n".join(part for part in parts if part),
        ts=interaction.asked_at,
        meta=meta,
    )


def append(
    store: Store,
    interaction: Interaction,
    *,
    documents: Mapping[DocumentId, str],
    history: NewDocument | None,
    vectors: Mapping[bytes, np.ndarray[Any, np.dtype[np.float32]]],
    embedder_id: int,
    now: datetime,
) -> None:
    """Store an exchange, its history entry and its audit event; all of it is on disk, or nothing.

    ``documents`` (id: key) are those whose words the answer may hold: forgetting one takes the answer
    along.  ``history`` is :func:`history_document`, chunked; None keeps the exchange out of the search.
    """
    with store.write():
        entry: DocumentId | None = None
        if history is not None:
            (entry,) = store.put_documents(
                "history", [history], embedder_id=embedder_id, vectors=vectors, now=now
            )
        store.put_interaction(interaction, documents=documents, history=entry)
        store.put_audit(
            "ask",
            {
                "interaction": interaction.id,
                "abstained": interaction.abstained,
                "model": interaction.model,
                "prompt_sha256": interaction.prompt_sha256,
                "chunks": [int(chunk) for chunk in interaction.chunk_ids],
                "documents": sorted(int(document) for document in documents),
                "prompt_tokens": interaction.usage.prompt_tokens,
                "completion_tokens": interaction.usage.completion_tokens,
            },
            now,
        )


def conversation(store: Store, session: str, n_turns: int, *, before: datetime | None = None) -> list[Turn]:
    """Return the last ``n_turns`` exchanges of ``session`` (``before`` a moment) as turns, oldest first.

    Each gives the question and, when there is one, the answer.  Without a session there is no
    conversation: single questions do not see each other.
    """
    if not session or n_turns <= 0:
        return []
    turns = []
    found = store.interactions(session=session, limit=n_turns if before is None else -1)
    if before is not None:
        found = [one for one in found if one.asked_at < before][:n_turns]
    for one in reversed(found):
        turns.append(Turn("user", one.query, one.asked_at))
        if one.answer:
            turns.append(Turn("assistant", one.answer, one.asked_at))
    return turns
