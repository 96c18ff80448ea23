"""Stage 2, index: the layout of a corpus from the rows of the store.

In: rows of the store.  Out: a :class:`ragperso.layout.Layout`, arrays parallel to the chunks in id order.
Never: holds text, scores anything.  Derived: rebuilt from the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from ragperso.layout import LEAD, NO_DAY, Layout, fold_name

FORMAT: Final = 1
PERSONAL: Final = frozenset(("preference", "fact"))  # what decides a suggestion: tastes, allergies
_QUESTION_MARKS: Final = ("?", "？", "؟", ";")  # the last is the Greek one
_CLOSERS: Final = " \t\r\n\"'”’»)]*_"


def empty() -> Layout:
    """Return the layout of a corpus without chunks."""
    return build([], [], {})


def build(
    chunks: Sequence[tuple[Any, ...]],
    keys: Iterable[tuple[int, int, str, int]],
    spans: Mapping[int, Sequence[tuple[int, int]]],
) -> Layout:
    """Return the layout of the rows of ``Store.layout_rows`` and ``Store.key_rows``.

    ``spans`` maps a chunk id to the days, first and last, that its text speaks of.
    """
    n = len(chunks)
    ids = np.fromiter((row[0] for row in chunks), np.int64, n)
    documents: dict[int, int] = {}
    groups: dict[tuple[str, object], int] = {}
    speakers: dict[str, int] = {}
    document, group, tokens, speaker, day = (np.zeros(n, np.int32) for _ in range(5))
    is_turn, asks = np.zeros(n, np.float32), np.zeros(n, np.float32)
    members: dict[int, list[tuple[str, int]]] = {}
    rows_of: dict[int, list[tuple[int, int]]] = {}  # document id -> (start, row), ascending
    for row, (_, number, _, n_tokens, start, _, tail, ts, thread, said_by, _) in enumerate(chunks):
        document[row] = documents.setdefault(number, len(documents))
        conversation = str(thread) if thread not in (None, "") else None
        key = ("thread", conversation) if conversation is not None else ("document", number)
        group[row] = groups.setdefault(key, len(groups))
        members.setdefault(int(group[row]), []).append((ts or "", row))
        rows_of.setdefault(number, []).append((start, row))
        tokens[row] = n_tokens
        name = fold_name(said_by) if isinstance(said_by, str) else ""
        speaker[row] = speakers.setdefault(name, len(speakers)) if name else -1
        day[row] = datetime.fromisoformat(ts).toordinal() if ts else NO_DAY
        is_turn[row] = conversation is not None
        asks[row] = conversation is not None and str(tail).rstrip(_CLOSERS).endswith(_QUESTION_MARKS)
    before, after = np.full(n, n, np.int32), np.full(n, n, np.int32)
    for found in members.values():
        # In time order where every turn has a time, else as they came; equal times keep their order.
        order = [row for _, row in (sorted(found) if all(ts for ts, _ in found) else found)]
        before[order[1:]], after[order[:-1]] = order[:-1], order[1:]
    key_rows = list(keys)
    key_row, key_document = (np.full(len(key_rows), -1, np.int32) for _ in range(2))
    liked = np.zeros(len(key_rows), np.float32)
    for i, (_, number, kind, start) in enumerate(key_rows):
        if kind == LEAD:
            key_document[i] = documents.get(number, -1)
        else:
            key_row[i] = _row_at(rows_of.get(number, ()), start)
            liked[i] = kind in PERSONAL
    flat = [
        (i, first, last) for i, chunk_id in enumerate(ids.tolist()) for first, last in spans.get(chunk_id, ())
    ]
    span_row, span_first, span_last = (
        np.fromiter((item[column] for item in flat), np.int32, len(flat)) for column in range(3)
    )
    return Layout(
        ids, document, group, before, after, is_turn, asks, tokens, speaker, day, tuple(speakers),
        key_row, key_document, liked, span_row, span_first, span_last,
    )  # fmt: skip


def _row_at(rows: Sequence[tuple[int, int]], offset: int) -> int:
    """Return the row of the last chunk that begins at or before ``offset``; -1 when there is none."""
    found = -1
    for start, row in rows:
        if start > offset:
            break
        found = row
    return found
