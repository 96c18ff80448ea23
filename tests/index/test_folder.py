"""A folder of arrays comes back whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ragperso.errors import CorruptIndex
from ragperso.index.folder import any_array, array_bytes, array_of, read_folder, write_folder

FILES = {"a.npy": b"\x00\x01", "b.json": b"{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "f", FILES, {"kind": 3})
    return tmp_path / "f"


def meta(folder: Path, **changes: object) -> None:
    data = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(data | changes))


def test_what_was_written_comes_back(folder: Path) -> None:
    assert read_folder(folder, {"kind": 3}) == FILES


def test_files_that_it_does_not_name_are_not_read(folder: Path) -> None:
    (folder / "stray.npy").write_bytes(b"x")
    assert read_folder(folder, {"kind": 3}) == FILES


def test_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(CorruptIndex, match="another kind"):
        read_folder(folder, {"kind": 4})
    with pytest.raises(CorruptIndex, match="another size"):
        read_folder(folder, {"kind": 3, "size": 1})


def test_a_flipped_byte_and_a_missing_file_are_noticed(folder: Path) -> None:
    (folder / "a.npy").write_bytes(b"\x00\x00")
    with pytest.raises(CorruptIndex, match=r"a\.npy fails its checksum"):
        read_folder(folder, {"kind": 3})
    (folder / "a.npy").unlink()
    with pytest.raises(CorruptIndex, match="cannot be read"):
        read_folder(folder, {"kind": 3})


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/x", "..", "", "x\x00y"])
def test_a_name_never_leads_out(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_bytes(b"")
    meta(folder, crc32={name: 0})
    with pytest.raises(CorruptIndex):
        read_folder(folder, {"kind": 3})


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"format": 1, "kind": 3}', '{"crc32": []}', "x\ud800"]
)
def test_a_damaged_table_of_contents_is_an_error(folder: Path, text: str) -> None:
    (folder / "meta.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorruptIndex):
        read_folder(folder, {"kind": 3})


def test_arrays_come_back_and_objects_do_not() -> None:
    assert array_of(array_bytes(np.arange(3)), np.int64).tolist() == [0, 1, 2]
    assert any_array(array_bytes(np.ones((2, 2)))).shape == (2, 2)
    with pytest.raises(ValueError, match="not the array"):
        array_of(array_bytes(np.arange(3)), np.float32)
    with pytest.raises(ValueError, match="not the array"):
        array_of(array_bytes(np.ones((2, 2), np.int64)), np.int64)
    with pytest.raises(ValueError):
        array_bytes(np.array([{}], dtype=object))
