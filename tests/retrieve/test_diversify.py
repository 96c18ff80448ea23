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


def test_a_long_copy_with_two_words_changed_is_a_copy_in_any_script() -> None:
    # 60 words have 58 3-grams; a changed word at either end changes one: 56 in both, 60 in either, .93.
    for word in ("word", "слово"):
        words = [f"{word}{n}" for n in range(60)]
        changed = ["other", *words[1:-1], "other"]
        assert len(collapse([hit(1, " ".join(words)), hit(2, " ".join(changed))], similarity=0.92)) == 1
        assert len(collapse([hit(1, " ".join(words)), hit(2, " ".join(changed))], similarity=0.94)) == 2


def test_long_texts_of_equal_length_that_share_nothing_stay_apart() -> None:
    texts = [" ".join(f"{word}{n}" for n in range(60)) for word in ("tide", "sand")]
    assert len(collapse([hit(1, texts[0]), hit(2, texts[1])], similarity=0.92)) == 2


def test_texts_of_very_different_length_are_not_compared() -> None:
    # Sets of 3-grams are equal when a text is said twice over, but it is no copy to be hidden.
    words = "one two three " * 3
    assert len(collapse([hit(1, words), hit(2, words * 3)], similarity=0.92)) == 2
    assert len(collapse([hit(1, words), hit(2, words + "one")], similarity=0.92)) == 1


def test_a_hit_that_stood_for_others_still_does() -> None:
    (once,) = collapse([hit(1, LONG), hit(2, LONG)], similarity=0.92)
    (again,) = collapse([once, hit(3, LONG)], similarity=0.92)
    assert again.duplicates == (2, 3)


def test_mmr_prefers_the_different_second() -> None:
    hits = [hit(1, "a", 1.0), hit(2, "b", 0.9), hit(3, "c", 0.5)]
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    # second place: hit 2 gains .5*.8 - .5*1 = -.1, hit 3 gains .5*0 - .5*0 = 0
    assert [h.chunk.id for h in mmr(hits, vectors, diversity=0.5)] == [1, 3, 2]
    assert [h.chunk.id for h in mmr(hits, vectors, diversity=0.0)] == [1, 2, 3]
