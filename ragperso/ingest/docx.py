"""Stage 1, ingest: DOCX files by way of HTML.

In: a file.  Out: one ``Document`` of Markdown.
Never: unpacks without counting: every part is measured, piece by piece, before a parser sees it.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.parsers import expat

from ragperso.errors import UnreadableDocument
from ragperso.ingest.decode import read_bytes, storable
from ragperso.ingest.markup import html_to_markdown
from ragperso.ingest.notes import date_in_name, name_of
from ragperso.ingest.times import parse_time
from ragperso.types import Document

_MAX_XML_BYTES: Final = 24_000_000  # unpacked, all parts; mammoth's tree takes about 20 times that
_MAX_RATIO: Final = 200  # unpacked to packed; real documents stay below 30
_RATIO_FROM_BYTES: Final = 1_000_000  # small parts may well be very regular
_MAX_PARTS: Final = 10_000
_MAX_DEPTH: Final = 200  # of XML elements; mammoth recurses
_MAX_ELEMENTS: Final = 1_000_000
_PIECE: Final = 65_536
_XML: Final = re.compile(r"\.(?:xml|rels)\Z", re.IGNORECASE)
_CORE: Final = "docProps/core.xml"
_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_TERMS: Final = "{http://purl.org/dc/terms/}"


def read_docx(path: Path, *, key: str, max_file_bytes: int, max_text_chars: int) -> Document:
    """Return a DOCX as Markdown.  Raises: UnreadableDocument."""
    data = read_bytes(path, max_file_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive)
            core = archive.read(_CORE) if _CORE in archive.namelist() else b""
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError) as exc:
        raise UnreadableDocument("damaged, not a readable DOCX") from exc
    import mammoth  # 70 ms to import

    def without_images(_image: Any) -> list[Any]:
        return []  # the default embeds each as base64

    html = mammoth.convert_to_html(io.BytesIO(data), convert_image=without_images).value
    page = html_to_markdown(html)
    if len(page.text) > max_text_chars:
        raise UnreadableDocument(f"more than {max_text_chars:,} characters (ingest.max_text_chars)")
    properties = _properties(core)
    title = properties.get("title") or page.title or name_of(key)
    ts = date_in_name(key) or parse_time(properties.get("created")) or parse_time(properties.get("modified"))
    meta = {"author": properties["author"]} if properties.get("author") else {}
    return Document(key, storable(page.text), "markdown", key, title, ts, meta)


def _check(archive: zipfile.ZipFile) -> None:
    """Unpack every XML part without keeping it, and refuse bombs of any kind."""
    parts = archive.infolist()
    names = [part.filename for part in parts]
    if "[Content_Types].xml" not in names or not any(name.startswith("word/") for name in names):
        raise UnreadableDocument("not a DOCX")
    if len(parts) > _MAX_PARTS:
        raise UnreadableDocument(f"more than {_MAX_PARTS:,} parts in the archive")
    unpacked = n_elements = 0
    for part in parts:
        if part.flag_bits & 1:
            raise UnreadableDocument("locked with a password")
        if not _XML.search(part.filename):
            continue
        if part.file_size > _MAX_XML_BYTES:
            raise UnreadableDocument("unpacks to more than a document can be (zip bomb)")
        counter = _XmlCounter(_MAX_ELEMENTS - n_elements)
        size = 0
        with archive.open(part) as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                unpacked += len(piece)
                too_dense = size > _RATIO_FROM_BYTES and size > _MAX_RATIO * max(part.compress_size, 1)
                if unpacked > _MAX_XML_BYTES or too_dense:
                    raise UnreadableDocument("unpacks to more than a document can be (zip bomb)")
                counter.feed(piece)
        n_elements += counter.n_elements


class _XmlCounter:
    """Counts elements and their depth while XML streams by; refuses document type declarations."""

    def __init__(self, budget: int) -> None:
        self.n_elements = self.depth = 0
        self.budget = budget
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._open
        self.parser.EndElementHandler = self._close
        self.parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, piece: bytes) -> None:
        try:
            self.parser.Parse(piece, False)
        except expat.ExpatError as exc:
            raise UnreadableDocument("damaged, its XML cannot be read") from exc

    def _open(self, _name: str, _attributes: dict[str, str]) -> None:
        self.n_elements += 1
        self.depth += 1
        if self.depth > _MAX_DEPTH or self.n_elements > self.budget:
            raise UnreadableDocument("XML nested too deeply or with too many elements")

    def _close(self, _name: str) -> None:
        self.depth -= 1

    def _refuse(self, *_: object) -> None:
        raise UnreadableDocument("XML with a document type, which no DOCX has")


def _properties(core: bytes) -> dict[str, str]:
    """Return title, author and dates of the core properties."""
    if not core:
        return {}
    try:
        root = ElementTree.fromstring(core)
    except ElementTree.ParseError:
        return {}
    wanted = {"title": f"{_DC}title", "author": f"{_DC}creator"}
    wanted |= {"created": f"{_TERMS}created", "modified": f"{_TERMS}modified"}
    return {name: storable((root.findtext(tag) or "").strip()) for name, tag in wanted.items()}
