"""ragperso.index.ways: the fastest way that is exact enough, measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ragperso.index import ways
from ragperso.index.embedders import SentenceTransformerEmbedder
from ragperso.types import Vectors
from tests.tiny_bert import tiny_bert

PROBE = ("one", "two")


class Time:
    """A clock that only the ways move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def way(self, seconds: float, *, angle: float = 0.0, first: float = 0.0) -> Callable[[], ways.Encode]:
        """Return a way that takes ``seconds``, the first time ``first`` more, and turns rows by ``angle``."""
        warm = [first]

        def encode(texts: Sequence[str]) -> Vectors:
            self.now += seconds + warm[0]
            warm[0] = 0.0
            return np.tile(np.array([np.cos(angle), np.sin(angle)], np.float32), (len(texts), 1))

        return lambda: encode


@pytest.fixture
def time() -> Time:
    return Time()


def test_the_fastest_is_chosen_and_every_way_reported(time: Time) -> None:
    found = ways.measure(
        {"exact": time.way(0.1), "half": time.way(0.04, first=3.0), "other": time.way(0.05)},
        200,
        probe=PROBE,
        clock=time,
    )
    assert found.way == "half", "warming up does not count"
    assert found.tokens_per_s == pytest.approx({"exact": 2000, "half": 5000, "other": 4000})
    assert found.deviation == pytest.approx({"exact": 0, "half": 0, "other": 0}, abs=1e-7)
    assert found.refused == {}
    assert found.at


def test_a_way_that_is_not_exact_enough_is_refused(time: Time) -> None:
    # 1 - cos of these angles: 1.25e-4 is allowed, 5e-4 is not, nor is the opposite.
    found = ways.measure(
        {
            "exact": time.way(0.1),
            "near": time.way(0.05, angle=0.0158),
            "far": time.way(0.01, angle=0.0316),
            "mad": time.way(0.01, angle=np.pi),
        },
        200,
        probe=PROBE,
        clock=time,
    )
    assert found.way == "near"
    assert found.deviation == pytest.approx({"exact": 0, "near": 1.25e-4, "far": 5e-4, "mad": 2}, abs=1e-5)
    assert set(found.refused) == {"far", "mad"}
    assert set(found.tokens_per_s) == {"exact", "near"}


def test_rows_that_are_no_numbers_are_refused(time: Time) -> None:
    found = ways.measure(
        {
            "exact": time.way(0.1),
            "nan": time.way(0.01, angle=np.nan),
            "wide": lambda: lambda texts: np.ones((len(texts), 3), np.float32),
        },
        200,
        probe=PROBE,
        clock=time,
    )
    assert found.way == "exact"
    assert set(found.refused) == {"nan", "wide"}
    assert set(found.deviation) == {"exact"}, "what is no number is not reported as one"


def test_a_way_that_fails_is_refused_and_the_reference_is_not(time: Time) -> None:
    def broken() -> ways.Encode:
        raise RuntimeError("no such device")

    found = ways.measure({"exact": time.way(0.1), "broken": broken}, 200, probe=PROBE, clock=time)
    assert found.way == "exact"
    assert found.refused == {"broken": "it fails (RuntimeError)"}
    with pytest.raises(RuntimeError):
        ways.measure({"broken": broken, "exact": time.way(0.1)}, 200, probe=PROBE, clock=time)


@pytest.mark.parametrize(("seconds", "way"), [(0.09, "exact"), (0.08, "other")])
def test_a_little_faster_is_not_worth_it(time: Time, seconds: float, way: str) -> None:
    found = ways.measure({"exact": time.way(0.1), "other": time.way(seconds)}, 200, probe=PROBE, clock=time)
    assert found.way == way


def test_the_test_is_short(time: Time) -> None:
    ways.measure({"exact": time.way(0.3), "other": time.way(0.2)}, 200, probe=PROBE, clock=time)
    assert time.now == pytest.approx(1.5), "once to warm up, and rounds until .7 s are full"


def test_a_result_is_remembered_under_its_key(time: Time, tmp_path: Path) -> None:
    found = ways.measure({"exact": time.way(0.1), "half": time.way(0.04)}, 200, probe=PROBE, clock=time)
    key = ways.key_of("model", "auto", has_export=False)
    assert ways.remembered(tmp_path, key) is None
    ways.remember(tmp_path, key, found)
    assert ways.remembered(tmp_path, key) == found
    others = [
        ways.key_of("another", "auto", has_export=False),
        ways.key_of("model", "cpu", has_export=False),
        ways.key_of("model", "auto", has_export=True),
    ]
    assert len({key, *others}) == 4
    assert [ways.remembered(tmp_path, other) for other in others] == [None, None, None]


def test_the_number_of_threads_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for told in ("", "1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        keys.add(ways.key_of("model", "auto", has_export=False))
    assert len(keys) == 3


def test_the_memory_is_bounded(time: Time, tmp_path: Path) -> None:
    found = ways.measure({"exact": time.way(0.1)}, 200, probe=PROBE, clock=time)
    for i in range(70):
        ways.remember(tmp_path, f"key {i}", found)
    known = json.loads((tmp_path / ways.CACHE_FILE).read_text())
    assert list(known) == [f"key {i}" for i in range(6, 70)]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"[]", b'{"key": 1}', b'{"key": {}}', b'{"key": {"way": 3}}', b"\xff"],
)
def test_a_damaged_memory_is_forgotten(time: Time, tmp_path: Path, content: bytes) -> None:
    (tmp_path / ways.CACHE_FILE).write_bytes(content)
    assert ways.remembered(tmp_path, "key") is None
    found = ways.measure({"exact": time.way(0.1)}, 200, probe=PROBE, clock=time)
    ways.remember(tmp_path, "key", found)
    assert ways.remembered(tmp_path, "key") == found


def test_a_folder_that_cannot_be_written_costs_only_the_memory(time: Time, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    found = ways.measure({"exact": time.way(0.1)}, 200, probe=PROBE, clock=time)
    ways.remember(tmp_path / "models", "key", found)
    assert ways.remembered(tmp_path / "models", "key") is None


# ---------------------------------------------------------------- in the embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tiny"), pooling="cls")


FEW = ["the red bike"] * 47
MANY = ["the red bike", "old car"] * 24


@pytest.mark.model
def test_many_documents_measure_this_machine_and_few_do_not(folder: Path, tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(folder, device="cpu", cache_dir=tmp_path)
    embedder.embed_documents(FEW)
    assert embedder.self_test() is None
    rows = embedder.embed_documents(MANY)
    found = embedder.self_test()
    assert found is not None
    assert found.way in found.tokens_per_s
    assert found.deviation[found.way] <= 2e-4
    assert "torch float32" in found.tokens_per_s
    assert found.versions["torch"]
    later = SentenceTransformerEmbedder(folder, device="cpu", cache_dir=tmp_path)
    assert later.self_test() == found
    exact = SentenceTransformerEmbedder(folder, device="cpu", precision="float32").embed_documents(MANY)
    assert (rows * exact).sum(axis=1).min() >= 1 - 2e-4


@pytest.mark.model
def test_what_is_remembered_is_used(folder: Path, tmp_path: Path) -> None:
    """A memory that names float32 where bfloat16 may win, and the other way round, decides without a test."""
    embedder = SentenceTransformerEmbedder(folder, device="cpu", cache_dir=tmp_path)
    for way in embedder._ways():
        ways.remember(tmp_path, embedder._way_key(), ways.SelfTest(way, {way: 1.0}, {way: 0.0}))
        again = SentenceTransformerEmbedder(folder, device="cpu", cache_dir=tmp_path)
        rows = again.embed_documents(MANY)
        found = again.self_test()
        assert found is not None
        assert (found.way, found.at) == (way, ""), "not measured again"
        by_way = embedder._ways()[way]().encode(MANY[:2])
        assert rows[:2] == pytest.approx(by_way, abs=1e-6)


@pytest.mark.model
def test_exact_precision_is_never_measured(folder: Path, tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(folder, device="cpu", precision="float32", cache_dir=tmp_path)
    rows = embedder.embed_documents(MANY)
    assert embedder.self_test() is None
    assert not (tmp_path / ways.CACHE_FILE).exists()
    alone = SentenceTransformerEmbedder(folder, device="cpu").embed_documents(MANY[:2])
    assert rows[:2] == pytest.approx(alone, abs=1e-6)
