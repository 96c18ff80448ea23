"""Small corpora as evidence, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragperso.index.layout import build
from ragperso.layout import Layout
from ragperso.retrieve.evidence import Asked, CorpusEvidence, Evidence, Parts, gather
from ragperso.types import Corpus

ASKED = Asked("what?", 1, 1)
USUAL = 0.11**2 * 20  # what the prior adds to the sum of squares


def turn(chunk: int, **more: Any) -> tuple[Any, ...]:
    """A turn of conversation "t" as the store gives it: (id, document, ...)."""
    return (
        chunk, chunk, 0, more.get("tokens", 10), 0, 9, more.get("tail", "so."), more.get("ts"),
        more.get("thread", "t"), more.get("speaker"), "row",
    )  # fmt: skip


def piece(chunk: int, document: int, start: int = 0) -> tuple[Any, ...]:
    """A chunk of a document that is no conversation."""
    return (chunk, document, 0, 10, start, start + 9, "so.", None, None, None, "markdown")


def corpus(
    rows: Sequence[tuple[Any, ...]],
    dense: Sequence[float],
    *,
    words: Sequence[tuple[int, Mapping[int, float]]] = (),
    ceilings: Sequence[float] = (1.0,),
    keys: Sequence[tuple[str, int, float]] = (),
    spans: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    allowed: Sequence[int] | None = None,
    style: Any = None,
    name: Corpus = "documents",
) -> CorpusEvidence:
    """``words`` are (times in the query, row -> score); ``keys`` are (kind, document, cosine)."""
    layout: Layout = build(
        rows, [(i, document, kind, 0) for i, (kind, document, _) in enumerate(keys)], spans or {}
    )
    columns = [
        (n, np.array(sorted(by), np.int32), np.array([by[r] for r in sorted(by)], np.float32))
        for n, by in words
    ]
    return CorpusEvidence(
        name,
        layout,
        np.array(dense, np.float32),
        np.array([cosine for _, _, cosine in keys], np.float32),
        columns,
        ceilings,
        None if allowed is None else np.array(allowed, np.int64),
        style,
    )


def seen(*parts: CorpusEvidence, asked: Asked = ASKED, use: Parts | None = None) -> Evidence:
    return gather(list(parts), asked, use or Parts())
