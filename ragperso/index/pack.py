"""Stage 2, index: arrays in one file that is checked before it is believed.

In: arrays by name, the settings they were made with.  Out: the same arrays, read-only views of one buffer.
Never: unpickles, believes a length that the file does not have.

One file, since each one more costs a person who is opened a tenth of a millisecond: a directory of twenty
``.npy`` files took 4 ms to read.  Layout: magic, length and checksum of the head; the head, JSON, with the
settings, the place of each array and the checksum of them all; then the arrays, each at a multiple of 64.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragperso.errors import CorruptIndex

_MAGIC: Final = b"RPPACK01"
_START: Final = struct.Struct("<8sII")
_ALIGN: Final = 64
_KINDS: Final = frozenset(("|u1", "<u2", "<u4", "<i4", "<i8", "<f4"))


def write_pack(path: Path, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
    """Write one-dimensional ``arrays`` and the ``settings`` to be wanted when they are read."""
    parts, places, at = [], {}, 0
    for name, array in arrays.items():
        kind = array.dtype.newbyteorder("<").str
        if kind not in _KINDS or array.ndim != 1:
            raise ValueError(f"{name} cannot be packed")
        data = np.ascontiguousarray(array, kind).tobytes()
        data += bytes(-len(data) % _ALIGN)
        places[name] = [kind, at, len(array)]
        parts.append(data)
        at += len(data)
    body = b"".join(parts)
    head = {"settings": dict(settings), "arrays": places, "crc32": zlib.crc32(body), "bytes": len(body)}
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + _START.size) % _ALIGN)
    path.write_bytes(_START.pack(_MAGIC, len(text), zlib.crc32(text)) + text + body)


def read_pack(path: Path, settings: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the arrays after checking all of the file.  Raises: CorruptIndex.

    A whole read rather than a memory map: a mapped file that is cut short by another process ends this one
    with SIGBUS, and what is packed for 10,000 chunks is read in milliseconds.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise CorruptIndex(f"{path.name} cannot be read: {exc.strerror}") from exc
    try:
        magic, length, checksum = _START.unpack_from(data)
        text = data[_START.size : _START.size + length]
        if magic != _MAGIC or len(text) != length or zlib.crc32(text) != checksum:
            raise CorruptIndex(f"{path.name} has no usable head")
        head = json.loads(text)
        for name in (*settings, *head["settings"]):
            if head["settings"].get(name) != settings.get(name):
                raise CorruptIndex(f"{path.name} was built with another {name}")
        start = _START.size + length
        if len(data) - start != head["bytes"] or zlib.crc32(memoryview(data)[start:]) != head["crc32"]:
            raise CorruptIndex(f"{path.name} fails its checksum")
        found = {}
        for name, (kind, at, n) in head["arrays"].items():
            if kind not in _KINDS or n < 0 or at < 0:
                raise CorruptIndex(f"{path.name} holds what is no array")
            found[name] = np.frombuffer(data, kind, n, start + at)
    except (
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as exc:
        raise CorruptIndex(f"{path.name} cannot be read") from exc
    return found


def text_array(data: bytes) -> NDArray[np.uint8]:
    """Return bytes as they are packed."""
    return np.frombuffer(data, np.uint8)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers from 0 on in the smallest type that holds them all."""
    top = int(values.max()) if len(values) else 0
    kind = np.uint8 if top < 1 << 8 else np.uint16 if top < 1 << 16 else np.uint32
    return values.astype(kind)
