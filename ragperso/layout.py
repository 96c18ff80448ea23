"""Words: where each chunk of a corpus stands: its document, its conversation, its neighbours, its day.

A *group* is what is read as one: the turns of one conversation (rows with ``meta.thread`` or
``meta.session``), or else the chunks of one document.  Neighbours are the chunks before and after within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.types import Ids, Rows

LEAD: Final = "lead"  # the kind of key that speaks of a whole document; all others point at a chunk
NO_DAY: Final = 0  # of a chunk without a date: ordinals begin with 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Structure of one corpus; all arrays are (n chunks,) unless they say otherwise."""

    ids: Ids  # ascending
    document: Rows  # documents numbered from 0 in order of their first chunk
    group: Rows  # groups likewise
    before: Rows  # row of the neighbour before; n where there is none
    after: Rows
    is_turn: NDArray[np.float32]  # 1 for the turns of a conversation
    asks: NDArray[np.float32]  # 1 for a turn that ends in a question mark
    tokens: Rows
    speaker: Rows  # position in ``speakers``, -1 for none
    day: Rows  # proleptic ordinal, NO_DAY for none
    speakers: tuple[str, ...]  # folded names
    key_row: Rows  # (n keys,): the row a statement points at; -1 for a lead
    key_document: Rows  # (n keys,): the document of a lead; -1 for a statement
    key_is_personal: NDArray[np.float32]  # (n keys,): 1 for a preference or a fact
    span_row: Rows  # (n spans,): rows whose text speaks of days
    span_first: Rows  # (n spans,): the first such day, and the last
    span_last: Rows
    # What follows from the arrays and is costly: made by whoever needs it first, and kept with them.
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_groups(self) -> int:
        return int(self.group.max()) + 1 if len(self.group) else 0

    @property
    def n_documents(self) -> int:
        return int(self.document.max()) + 1 if len(self.document) else 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written to disk; ``speakers`` goes apart."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], speakers: Sequence[str]) -> Layout:
        """Return the layout that :meth:`arrays` described.  Raises: ValueError when it contradicts itself."""
        for name, kind in _KINDS.items():
            if arrays[name].dtype != kind or arrays[name].ndim != 1:
                raise ValueError(f"{name} is not the array that was saved")
        known: dict[str, Any] = {name: arrays[name] for name in _KINDS}
        layout = cls(**known, speakers=tuple(speakers))
        n = len(layout.ids)
        by_chunk = ("document", "group", "before", "after", "is_turn", "asks", "tokens", "speaker", "day")
        by_key, by_span = ("key_document", "key_is_personal"), ("span_first", "span_last")
        lengths = [(name, n) for name in by_chunk] + [(name, len(layout.key_row)) for name in by_key]
        lengths += [(name, len(layout.span_row)) for name in by_span]
        bounds = [("before", 0, n), ("after", 0, n), ("group", 0, n - 1), ("document", 0, n - 1)]
        bounds += [("key_row", -1, n - 1), ("key_document", -1, layout.n_documents - 1)]
        bounds += [("span_row", 0, n - 1), ("speaker", -1, len(layout.speakers) - 1)]
        if any(len(arrays[name]) != length for name, length in lengths):
            raise ValueError("arrays of different lengths")
        for name, low, high in bounds:
            values = arrays[name]
            if len(values) and not low <= int(values.min()) <= int(values.max()) <= high:
                raise ValueError(f"{name} points outside")
        return layout


_INT: Final = np.dtype(np.int32)
_FLOAT: Final = np.dtype(np.float32)
_KINDS: Final[Mapping[str, np.dtype[Any]]] = {
    "ids": np.dtype(np.int64),
    **dict.fromkeys(("document", "group", "before", "after", "tokens", "speaker", "day"), _INT),
    **dict.fromkeys(("is_turn", "asks", "key_is_personal"), _FLOAT),
    **dict.fromkeys(("key_row", "key_document", "span_row", "span_first", "span_last"), _INT),
}


def fold_name(name: str) -> str:
    """Return a name as two are compared."""
    return " ".join(name.casefold().split())
