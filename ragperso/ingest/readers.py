"""Stage 1, ingest: which file is read how.

In: a path.  Out: ``Document`` records, and ``Skipped`` for rows and messages that are damaged.
Never: raises anything but ``UnreadableDocument`` and ``UnsupportedFormat``, whatever a file holds; says
what a file holds in a message; lets a plugin replace a reader of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ragperso import backends
from ragperso.config import Ingest
from ragperso.errors import ConfigError, UnreadableDocument, UnsupportedFormat
from ragperso.ingest import notes
from ragperso.ingest.decode import decode, looks_like_text, open_regular, read_bytes, reason_of, storable
from ragperso.ingest.docx import read_docx
from ragperso.ingest.mail import read_eml, read_mbox
from ragperso.ingest.markup import html_to_markdown
from ragperso.ingest.pdf import read_pdf
from ragperso.ingest.rows import read_csv, read_jsonl
from ragperso.types import Document, Skipped

READER_VERSION: Final = 2  # raise it when a file would be read differently
_DEFAULTS: Final = Ingest()
_SNIFF_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost; of containers (JSONL, mbox) what one row or message may."""

    max_file_bytes: int
    max_text_chars: int


_Found = Iterator[Document | Skipped]
_Read = Callable[[Path, str, Limits], _Found]


def read(
    path: Path,
    *,
    key: str,
    max_file_bytes: int = _DEFAULTS.max_file_bytes,
    max_text_chars: int = _DEFAULTS.max_text_chars,
) -> Iterator[Document | Skipped]:
    """Yield the documents of one file.

    A plain file has one, with ``key``.  Rows have their own ids as keys, messages their message ids; both
    have ``key`` as ``source``.  A file without a known suffix is read as text if it is text.

    Raises: UnreadableDocument, UnsupportedFormat; the message names ``key`` and the reason.
    ConfigError, when the plugin for this suffix cannot be used as it is installed.
    """
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix)
    try:
        if reader is None and suffix in _plugin_suffixes():
            reader = _by_plugin
        if reader is None:
            if not is_text(path):
                kind = storable(path.suffix) or "such"
                raise UnsupportedFormat(f"{key}: no reader for {kind} files")
            reader = _plain
        yield from reader(path, key, Limits(max_file_bytes, max_text_chars))
    except (UnsupportedFormat, ConfigError):
        raise
    except UnreadableDocument as exc:
        raise UnreadableDocument(f"{key}: {exc.message}") from exc
    except RecursionError as exc:
        raise UnreadableDocument(f"{key}: nested too deeply") from exc
    except MemoryError as exc:
        raise UnreadableDocument(f"{key}: too large for this machine's memory") from exc
    except Exception as exc:  # a parser met what its authors did not: this file is lost, not the run
        raise UnreadableDocument(f"{key}: damaged ({reason_of(exc)})") from exc


def is_known(name: str) -> bool:
    """Say whether there is a reader for the suffix of ``name``, our own or a plugin's."""
    suffix = Path(name).suffix.lower()
    return suffix in _READERS or suffix in _plugin_suffixes()


def is_container(name: str) -> bool:
    """Say whether files named like this stream, so that limits hold per row or message."""
    return Path(name).suffix.lower() in _CONTAINERS


def is_text(path: Path) -> bool:
    """Say whether a file begins like text.  Raises: UnreadableDocument when it cannot be opened."""
    with open_regular(path) as file:
        return looks_like_text(file.read(_SNIFF_BYTES))


def _text(path: Path, limits: Limits) -> str:
    text = decode(read_bytes(path, limits.max_file_bytes))
    _check_length(text, limits)
    return text


def _check_length(text: str, limits: Limits) -> None:
    if len(text) > limits.max_text_chars:
        raise UnreadableDocument(f"more than {limits.max_text_chars:,} characters (ingest.max_text_chars)")


def _markdown(path: Path, key: str, limits: Limits) -> _Found:
    yield notes.markdown(_text(path, limits), key=key)


def _plain(path: Path, key: str, limits: Limits) -> _Found:
    yield notes.plain(_text(path, limits), key=key)


def _rst(path: Path, key: str, limits: Limits) -> _Found:
    yield notes.rst(_text(path, limits), key=key)


def _code(path: Path, key: str, limits: Limits) -> _Found:
    yield notes.code(_text(path, limits), key=key)


def _html(path: Path, key: str, limits: Limits) -> _Found:
    page = html_to_markdown(_text(path, limits))
    if not page.text:
        raise UnreadableDocument("a page without text")
    ts = notes.date_in_name(key) or page.ts
    yield Document(key, page.text, "markdown", key, page.title or notes.name_of(key), ts, page.meta)


def _pdf(path: Path, key: str, limits: Limits) -> _Found:
    yield read_pdf(path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars)


def _docx(path: Path, key: str, limits: Limits) -> _Found:
    yield read_docx(path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars)


def _eml(path: Path, key: str, limits: Limits) -> _Found:
    yield read_eml(path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars)


def _mbox(path: Path, key: str, limits: Limits) -> _Found:
    yield from read_mbox(
        path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars
    )


def _csv(path: Path, key: str, limits: Limits) -> _Found:
    yield from read_csv(
        path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars
    )


def _jsonl(path: Path, key: str, limits: Limits) -> _Found:
    yield from read_jsonl(
        path, key=key, max_file_bytes=limits.max_file_bytes, max_text_chars=limits.max_text_chars
    )


@functools.cache  # a walk asks for every file
def _plugin_suffixes() -> frozenset[str]:
    return frozenset(backends.names("reader"))


@functools.cache
def _plugin(suffix: str) -> Any:
    return backends.load("reader", suffix)


def _by_plugin(path: Path, key: str, limits: Limits) -> _Found:
    """Yield what another package's reader finds, held to the limits and the characters of our own."""
    reader = _plugin(path.suffix.lower())()
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limits.max_file_bytes:
            raise UnreadableDocument(f"larger than {limits.max_file_bytes:,} bytes (ingest.max_file_bytes)")
    for found in reader.read(path, key=key):
        _check_length(found.text, limits)
        json.dumps(dict(found.meta), ensure_ascii=False).encode()  # raises what the store would raise
        yield dataclasses.replace(
            found,
            key=storable(found.key),
            text=storable(found.text),
            source=key,
            title=storable(found.title),
        )


_CONTAINERS: Final = frozenset((".jsonl", ".ndjson", ".mbox"))
_SOURCE_SUFFIXES: Final = """
    .py .pyi .js .mjs .cjs .jsx .ts .tsx .java .kt .kts .scala .c .h .cc .cpp .cxx .hpp .hh .cs .go .rs .rb
    .php .pl .pm .swift .m .mm .lua .r .jl .hs .ml .ex .exs .erl .clj .el .lisp .vim .sh .bash .zsh .fish .ps1
    .bat .sql .css .scss .less .vue .svelte .json .yaml .yml .toml .ini .cfg .conf .xml .gradle .cmake .mk .tf
    .proto .graphql .dockerfile
""".split()
_READERS: Final[dict[str, _Read]] = {
    **dict.fromkeys(_SOURCE_SUFFIXES, _code),
    **dict.fromkeys((".md", ".markdown", ".mdx"), _markdown),
    **dict.fromkeys((".txt", ".text", ".log", ".org", ".tex", ".adoc"), _plain),
    **dict.fromkeys((".rst", ".rest"), _rst),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _html),
    **dict.fromkeys((".csv", ".tsv"), _csv),
    **dict.fromkeys((".jsonl", ".ndjson"), _jsonl),
    ".pdf": _pdf,
    ".docx": _docx,
    ".eml": _eml,
    ".mbox": _mbox,
}
