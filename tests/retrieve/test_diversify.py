"""Near-duplicates become one; MMR trades score for novelty."""

from __future__ import annotations

import numpy as np

from ragperso.retrieve.diversify import collapse, mmr
from ragperso.types import Chunk, ChunkId, DocumentId, Hit

LONG = "the quick brown fox jumps over the lazy dog and runs along the river until the evening comes"


def hit(number: int, text: str, score: float = 0.0) -> Hit:
    chunk = Chunk(ChunkId(number), DocumentId(number), "documents", 0, 0, len(text), 5, text)
    return Hit(rank=number, score=score, chunk=chunk, via={})


def test_a_copy_is_collapsed_into_the_better_hit() -> None:
    kept = collapse(
        [hit(1, LONG), hit(2, "something else entirely here"), hit(3, LONG + "!")], similarity=0.92
    )
    assert [h.chunk.id for h in kept] == [1, 2]
    assert kept[0].duplicates == (3,)
    assert [h.rank for h in kept] == [1, 2]


def test_texts_that_share_half_their_words_stay_apart() -> None:
    other = LONG.replace("fox", "cat").replace("dog", "cow").replace("river", "road")
    assert len(collapse([hit(1, LONG), hit(2, other)], similarity=0.92)) == 2


def test_short_and_empty_texts_do_not_swallow_each_other() -> None:
    kept = collapse([hit(1, "yes"), hit(2, "no"), hit(3, "yes")], similarity=0.92)
    assert [h.chunk.id for h in kept] == [1, 2]


def test_mmr_prefers_the_different_second() -> None:
    hits = [hit(1, "a", 1.0), hit(2, "b", 0.9), hit(3, "c", 0.5)]
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    # second place: hit 2 gains .5*.8 - .5*1 = -.1, hit 3 gains .5*0 - .5*0 = 0
    assert [h.chunk.id for h in mmr(hits, vectors, diversity=0.5)] == [1, 3, 2]
    assert [h.chunk.id for h in mmr(hits, vectors, diversity=0.0)] == [1, 2, 3]
