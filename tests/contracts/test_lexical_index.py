"""The LexicalIndex contract, run on every backend with scores worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragperso import backends
from ragperso.errors import CorruptIndex
from ragperso.index.pack import read_pack, write_pack
from ragperso.protocols import LexicalIndex
from ragperso.tokens import TOKENS_VERSION
from ragperso.types import ChunkId

NAMES = ["bm25s", "rank-bm25"]

# Three chunks of 2, 2 and 5 tokens: N = 3, avgdl = 3.
IDS = [ChunkId(7), ChunkId(3), ChunkId(40)]
TOKENS = [["red", "bike"], ["red", "car"], ["bike", "bike", "old", "rusti", "blue"]]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    kind: Callable[..., Any] = backends.load("lexical", request.param)
    return kind


@pytest.fixture
def index(make: Callable[..., Any]) -> LexicalIndex:
    index: LexicalIndex = make()
    index.build(IDS, TOKENS)
    return index


def test_is_a_lexical_index(index: LexicalIndex) -> None:
    assert isinstance(index, LexicalIndex)


def test_scores_are_those_of_the_formula(index: LexicalIndex) -> None:
    # "bike" is in 2 of 3 chunks: idf = ln(1 + (3 - 2 + 0.5) / (2 + 0.5)) = ln 1.6
    # chunk 40: tf 2, length 5 of 3:  2 / (2 + 1.2 * (0.25 + 0.75 * 5 / 3)) = 2 / 3.8
    # chunk 7:  tf 1, length 2 of 3:  1 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)) = 1 / 1.9
    assert index.search(["bike"], 10) == [
        (7, pytest.approx(math.log(1.6) / 1.9, rel=1e-6)),
        (40, pytest.approx(math.log(1.6) * 2 / 3.8, rel=1e-6)),
    ]


def test_a_token_twice_in_the_query_counts_twice(index: LexicalIndex) -> None:
    (once,) = index.search(["rusti"], 1)
    (twice,) = index.search(["rusti", "rusti"], 1)
    assert twice == (40, pytest.approx(2 * once[1], rel=1e-6))


def test_settings_change_the_scores(make: Callable[..., Any]) -> None:
    index = make(k1=2.0, b=0.0)  # without length: tf / (tf + 2)
    index.build(IDS, TOKENS)
    assert index.search(["bike"], 10) == [
        (40, pytest.approx(math.log(1.6) * 2 / 4, rel=1e-6)),
        (7, pytest.approx(math.log(1.6) * 1 / 3, rel=1e-6)),
    ]


def test_equal_scores_stand_in_id_order_also_at_the_cut(make: Callable[..., Any]) -> None:
    index = make()
    index.build([ChunkId(i) for i in (9, 2, 5, 1)], [["same"], ["same"], ["same"], ["other"]])
    assert [i for i, _ in index.search(["same"], 10)] == [2, 5, 9]
    assert [i for i, _ in index.search(["same"], 2)] == [2, 5]
    assert [i for i, _ in index.search(["same"], 1)] == [2]


def test_the_filter_comes_before_the_ranking(index: LexicalIndex) -> None:
    (best, worse) = index.search(["bike"], 2)
    assert best[0] == 7
    assert index.search(["bike"], 1, np.array([3, 40, 999])) == [worse], "40 takes the one place"
    assert index.search(["bike"], 5, np.array([999])) == []
    assert index.search(["bike"], 5, np.array([], np.int64)) == []


def test_nothing_to_find(index: LexicalIndex) -> None:
    assert index.search([], 10) == []
    assert index.search(["unknown", ""], 10) == []
    assert index.search(["bike"], 0) == []
    assert [i for i, _ in index.search(["unknown", "car"], 10)] == [3]


def test_a_word_in_every_chunk_still_scores_above_zero(make: Callable[..., Any]) -> None:
    index = make()
    index.build([ChunkId(1), ChunkId(2)], [["all"], ["all", "all"]])
    # idf = ln(1 + 0.5 / 2.5) = ln 1.2; rank-bm25's own would be negative
    assert {i for i, score in index.search(["all"], 5) if score > 0} == {1, 2}


@pytest.mark.parametrize("tokens", [[], [[]], [[], []]])
def test_empty_corpora_and_empty_chunks(
    make: Callable[..., Any], tokens: list[list[str]], tmp_path: Path
) -> None:
    index = make()
    assert index.search(["x"], 5) == [], "before any build"
    index.build([ChunkId(i) for i in range(len(tokens))], tokens)
    assert index.search(["x"], 5) == []
    index.save(tmp_path / "empty")
    other = make()
    other.load(tmp_path / "empty")
    assert other.ids.tolist() == list(range(len(tokens)))


def test_an_empty_chunk_counts_but_is_never_found(make: Callable[..., Any]) -> None:
    index = make()
    index.build([ChunkId(1), ChunkId(2)], [["one"], []])
    # N = 2, avgdl = 0.5: ln(1 + 1.5 / 1.5) / (1 + 1.2 * (0.25 + 0.75 * 2)) = ln 2 / 3.1
    assert index.search(["one"], 5) == [(1, pytest.approx(math.log(2) / 3.1, rel=1e-6))]


def test_build_replaces_and_refuses_nonsense(index: LexicalIndex) -> None:
    with pytest.raises(ValueError, match="2 ids for 1"):
        index.build([ChunkId(1), ChunkId(2)], [["a"]])
    with pytest.raises(ValueError, match="twice"):
        index.build([ChunkId(1), ChunkId(1)], [["a"], ["b"]])
    index.build([ChunkId(5)], [["new"]])
    assert index.search(["bike"], 5) == []
    assert [i for i, _ in index.search(["new"], 5)] == [5]


def test_a_saved_index_answers_alike(make: Callable[..., Any], tmp_path: Path) -> None:
    tokens = [["猫", "straße"], ["\ud800", "x" * 64], ["a\u0000b", '"']]
    index = make()
    index.build([ChunkId(2**40), ChunkId(1), ChunkId(2)], tokens)
    index.save(tmp_path / "saved")
    other = make()
    other.load(tmp_path / "saved")
    for row in tokens:
        assert other.search(row, 5) == index.search(row, 5) != []


def test_an_index_of_other_settings_is_refused(
    index: LexicalIndex, make: Callable[..., Any], tmp_path: Path
) -> None:
    index.save(tmp_path / "saved")
    with pytest.raises(CorruptIndex, match="another k1"):
        make(k1=0.9).load(tmp_path / "saved")
    for other in set(NAMES):
        kind = backends.load("lexical", other)
        if not isinstance(index, kind):
            with pytest.raises(CorruptIndex, match="another backend"):
                kind().load(tmp_path / "saved")


def test_tokens_of_another_version_are_refused(
    index: LexicalIndex, make: Callable[..., Any], tmp_path: Path
) -> None:
    write_pack(tmp_path / "saved", {}, {**index._settings(), "tokens": TOKENS_VERSION + 1})  # type: ignore[attr-defined]
    with pytest.raises(CorruptIndex, match="another tokens"):
        make().load(tmp_path / "saved")


def test_any_damage_is_noticed_and_the_old_content_stays(
    index: LexicalIndex, make: Callable[..., Any], tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    index.save(saved)
    keeper = make()
    keeper.build([ChunkId(1)], [["kept"]])
    with pytest.raises(CorruptIndex):
        keeper.load(tmp_path / "absent")
    whole = saved.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (b"", whole[: len(whole) // 2], bytes(flipped), b"[]", b"[" * 100_000):
        saved.write_bytes(damaged)
        with pytest.raises(CorruptIndex):
            keeper.load(saved)
    saved.write_bytes(whole)
    assert [i for i, _ in keeper.search(["kept"], 5)] == [1]
    keeper.load(saved)
    assert [i for i, _ in keeper.search(["car"], 5)] == [3]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("ids", np.array([1.0, 2.0, 3.0], np.float32)),
        ("tokens", np.array([0xFF], np.uint8)),
        ("ids", None),
        ("tokens", None),
    ],
)
def test_a_file_whose_checksum_fits_is_not_believed_either(
    index: LexicalIndex, make: Callable[..., Any], tmp_path: Path, name: str, array: Any
) -> None:
    saved = tmp_path / "saved"
    index.save(saved)
    settings = index._settings()  # type: ignore[attr-defined]
    arrays = read_pack(saved, settings)
    arrays.pop(name)
    write_pack(saved, arrays if array is None else {**arrays, name: array}, settings)
    with pytest.raises(CorruptIndex):
        make().load(saved)


def test_both_backends_agree_on_random_corpora() -> None:
    rng = np.random.default_rng(5)
    words = [f"w{i}" for i in range(60)]
    for _ in range(5):
        n_chunks = int(rng.integers(1, 80))
        tokens = [[words[i] for i in rng.zipf(1.5, rng.integers(0, 40)) % 60] for _ in range(n_chunks)]
        ids = [ChunkId(int(i)) for i in rng.permutation(1000)[:n_chunks]]
        first, second = (backends.load("lexical", name)(k1=0.9, b=0.4) for name in NAMES)
        first.build(ids, tokens)
        second.build(ids, tokens)
        query = [words[i] for i in rng.integers(0, 60, 12)]
        a, b = dict(first.search(query, 1000)), dict(second.search(query, 1000))
        assert a.keys() == b.keys()
        assert all(a[i] == pytest.approx(b[i], rel=1e-5) for i in a)


def test_no_score_exceeds_the_ceiling(make: Callable[..., Any]) -> None:
    index = make()
    index.build(IDS, TOKENS)
    # "bike" in 2 of 3 chunks, twice; "moon" in none: 2 ln(1 + 1.5 / 2.5) + ln(1 + 3.5 / 0.5)
    assert index.ceiling(["bike", "moon", "bike"]) == pytest.approx(2 * math.log(1.6) + math.log(8))
    assert index.ceiling([]) == 0
    many = make()
    many.build([ChunkId(1), ChunkId(2)], [["a"] * 1000, ["b"]])
    ((_, best),) = many.search(["a"], 1)
    assert 0.99 * many.ceiling(["a"]) < best < many.ceiling(["a"])


def test_tokens_of_every_script_are_found_among_many(make: Callable[..., Any]) -> None:
    tokens = ["a", "ab", "b", "b\u0000", "z" * 300, "é", "猫", "\ud800", "\U0001f408", "ﬀ"]
    index = make()
    index.build([ChunkId(i) for i in range(len(tokens))], [[token] for token in tokens])
    for place, token in enumerate(tokens):
        assert [i for i, _ in index.search([token], 9)] == [place]
    for absent in ("", "aa", "c", "zz", "猫猫", "\U0010ffff"):
        assert index.search([absent], 9) == []


def test_columns_add_up_to_the_scores(index: LexicalIndex) -> None:
    tokens = ["bike", "red", "moon", "bike", "old"]
    columns = index.columns(tokens)
    assert [n for n, _, _ in columns] == [2, 1, 1]  # by first occurrence, "moon" is in no chunk
    total = np.zeros(3)
    for n_times, rows, values in columns:
        assert rows.dtype == np.int32
        assert (values > 0).all()
        total[rows] += n_times * values
    by_id = [3, 7, 40]  # rows are in id order, not as they were given
    assert dict(zip(by_id, total.tolist(), strict=True)) == pytest.approx(
        dict(index.search(tokens, 9)), rel=1e-5
    )


def test_a_column_is_what_one_token_adds(index: LexicalIndex) -> None:
    ((n_times, rows, values),) = index.columns(["bike"])
    assert (n_times, rows.tolist()) == (1, [1, 2])
    assert values.tolist() == pytest.approx([math.log(1.6) / 1.9, math.log(1.6) * 2 / 3.8], rel=1e-6)


def test_ceilings_are_idf_times_occurrences_best_first(index: LexicalIndex) -> None:
    # "moon" in none of 3: ln(1 + 3.5 / .5) = ln 8; "bike" in two, twice: 2 ln 1.6; "car" in one
    assert index.ceilings(["bike", "car", "moon", "bike"]) == pytest.approx(
        [math.log(8), math.log(1 + 2.5 / 1.5), 2 * math.log(1.6)]
    )
    assert sum(index.ceilings(["bike", "car"])) == pytest.approx(index.ceiling(["bike", "car"]))


def test_an_empty_index_has_no_columns(make: Callable[..., Any]) -> None:
    index = make()
    assert index.columns(["x"]) == []
    assert index.ceilings([]) == []
    index.build([ChunkId(1)], [[]])
    assert index.columns(["x"]) == []
