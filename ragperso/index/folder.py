"""Stage 2, index: a directory of arrays that is checked before it is believed.

In: bytes by file name, the settings they were made with.  Out: the same bytes.
Never: unpickles, follows a name out of its directory.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.errors import CorruptIndex

_META: Final = "meta.json"
_FORMAT: Final = 1


def write_folder(path: Path, files: Mapping[str, bytes], settings: Mapping[str, Any]) -> None:
    """Write ``files``, and one that names them with their checksums and the ``settings`` to be wanted."""
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    meta = {
        "format": _FORMAT,
        **settings,
        "crc32": {name: zlib.crc32(data) for name, data in files.items()},
    }
    (path / _META).write_text(json.dumps(meta), encoding="utf-8")


def read_folder(path: Path, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files after checking each against its checksum.  Raises: CorruptIndex.

    Whole reads rather than memory maps: a mapped file that is cut short by another process ends this one
    with SIGBUS, and 10,000 chunks are read in milliseconds.
    """
    try:
        meta = json.loads((path / _META).read_bytes())
        if not isinstance(meta, dict) or not isinstance(meta.get("crc32"), dict):
            raise CorruptIndex(f"{path.name} has no usable {_META}")
        wanted = {"format": _FORMAT, **settings}
        for name, value in wanted.items():
            if meta.get(name) != value:
                raise CorruptIndex(f"{path.name} was built with another {name}")
        files = {}
        for name, checksum in meta["crc32"].items():
            if Path(name).name != name:
                raise CorruptIndex(f"{path.name} names a file outside itself")
            files[name] = (path / name).read_bytes()
            if zlib.crc32(files[name]) != checksum:
                raise CorruptIndex(f"{path.name}/{name} fails its checksum")
    except OSError as exc:
        raise CorruptIndex(f"{path.name} cannot be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise CorruptIndex(f"{path.name} cannot be read") from exc
    return files


def array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def any_array(data: bytes) -> NDArray[Any]:
    """Return the array in ``data``.  Raises: ValueError for anything but one of numbers."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("not the array that was saved")
    return array


def array_of(data: bytes, kind: type[np.generic]) -> NDArray[Any]:
    """Return the one-dimensional array of ``kind`` in ``data``.  Raises: ValueError for any other."""
    array = any_array(data)
    if array.dtype != kind or array.ndim != 1:
        raise ValueError("not the array that was saved")
    return array
