"""A file of arrays comes back whole or not at all."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from ragperso.errors import CorruptIndex
from ragperso.index.pack import _START, narrow, read_pack, text_array, write_pack

ARRAYS = {
    "a": np.array([1, 2, 300], np.int64),
    "b": np.array([0.5], np.float32),
    "none": np.zeros(0, np.int32),
    "text": text_array("猫".encode()),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_pack(tmp_path / "f", ARRAYS, {"kind": 3})
    return tmp_path / "f"


def with_head(path: Path, **changes: object) -> None:
    """Change the head and make its checksum fit: only what it says is left to refuse it."""
    data = path.read_bytes()
    magic, length, _ = _START.unpack_from(data)
    end = _START.size + length
    head = json.dumps(json.loads(data[_START.size : end]) | changes).encode()
    path.write_bytes(_START.pack(magic, len(head), zlib.crc32(head)) + head + data[end:])


def test_what_was_written_comes_back_and_cannot_be_changed(path: Path) -> None:
    found = read_pack(path, {"kind": 3})
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        name: (array.dtype, array.tolist()) for name, array in ARRAYS.items()
    }
    assert found["text"].tobytes().decode() == "猫"
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0] = 5


def test_other_settings_are_refused(path: Path) -> None:
    with pytest.raises(CorruptIndex, match="another kind"):
        read_pack(path, {"kind": 4})
    with pytest.raises(CorruptIndex, match="another size"):
        read_pack(path, {"kind": 3, "size": 1})
    with pytest.raises(CorruptIndex, match="another kind"):
        read_pack(path, {})


def test_every_flipped_byte_and_every_cut_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(CorruptIndex):
            read_pack(path, {"kind": 3})
        path.write_bytes(whole[:place])
        with pytest.raises(CorruptIndex):
            read_pack(path, {"kind": 3})
    path.unlink()
    with pytest.raises(CorruptIndex, match="cannot be read"):
        read_pack(path, {"kind": 3})


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": ["|O", 0, 1]},  # an object array is a pickle
        {"a": ["<i8", 0, 1 << 40]},
        {"a": ["<i8", 0, -1]},
        {"a": ["<i8", -64, 1]},
        {"a": ["<i8", 1 << 70, 1]},
        {"a": ["<i8", 0]},
        {"a": [["<i8"], 0, 1]},
        {"a": None},
        [],
        None,
    ],
)
def test_a_place_outside_the_file_or_of_another_kind_is_refused(path: Path, arrays: object) -> None:
    with_head(path, arrays=arrays)
    with pytest.raises(CorruptIndex):
        read_pack(path, {"kind": 3})


@pytest.mark.parametrize("settings", [[], None, "x"])
def test_a_head_without_settings_is_refused(path: Path, settings: object) -> None:
    with_head(path, settings=settings)
    with pytest.raises(CorruptIndex):
        read_pack(path, {"kind": 3})


def test_a_head_that_nests_without_end_is_refused(path: Path) -> None:
    data = path.read_bytes()
    head = b"[" * 100_000
    path.write_bytes(_START.pack(data[:8], len(head), zlib.crc32(head)) + head)
    with pytest.raises(CorruptIndex):
        read_pack(path, {"kind": 3})


def test_only_flat_arrays_of_numbers_are_packed(tmp_path: Path) -> None:
    for array in (np.array([{}], dtype=object), np.ones((2, 2), np.float32), np.ones(2, np.float64)):
        with pytest.raises(ValueError, match="cannot be packed"):
            write_pack(tmp_path / "f", {"a": array}, {})


@pytest.mark.parametrize(
    ("top", "kind"),
    [(0, "u1"), (255, "u1"), (256, "u2"), (65_535, "u2"), (65_536, "u4")],
)
def test_numbers_are_narrowed_to_the_smallest_type_that_holds_them(top: int, kind: str) -> None:
    found = narrow(np.array([0, top], np.int64))
    assert found.dtype == np.dtype(kind)
    assert found.tolist() == [0, top]
    assert narrow(np.zeros(0, np.int64)).dtype == np.uint8
