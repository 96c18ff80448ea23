"""Stage 1, ingest: the text of a PDF, page by page.

In: a file.  Out: one ``Document`` with the offset of each page.
Never: calls pdfium from two threads, it is not made for that.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, Final

from ragperso.errors import UnreadableDocument
from ragperso.ingest.decode import read_bytes, storable
from ragperso.ingest.notes import date_in_name, name_of
from ragperso.ingest.times import parse_time
from ragperso.types import Document

_LOCK: Final = threading.Lock()
_SPLIT_WORD: Final = re.compile("[\x02\ufffe]\r?\n?")  # pdfium's marks for a hyphen at the end of a line
_MAX_PAGES: Final = 20_000
_PDF_DATE: Final = re.compile(r"D:(\d{8})(\d{6})?")


def read_pdf(path: Path, *, key: str, max_file_bytes: int, max_text_chars: int) -> Document:
    """Return the text of a PDF.  Raises: UnreadableDocument when it is locked, damaged or only images."""
    data = read_bytes(path, max_file_bytes)
    import pypdfium2  # a native library, 70 ms to load

    with _LOCK:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as exc:
            locked = "password" in str(exc).lower()
            raise UnreadableDocument(
                "locked with a password" if locked else "damaged, not a readable PDF"
            ) from exc
        try:
            pages = _pages(pdf, max_text_chars)
            meta = {name: value.strip() for name, value in pdf.get_metadata_dict(skip_empty=True).items()}
            n_pages = len(pdf)
        except pypdfium2.PdfiumError as exc:
            raise UnreadableDocument("damaged, not a readable PDF") from exc
        finally:
            pdf.close()
    if not any(page.strip() for page in pages):
        raise UnreadableDocument(f"no text on {n_pages} pages; a scan needs text recognition first")
    text, starts = _joined(pages)
    stamp = _PDF_DATE.match(meta.get("CreationDate", ""))
    return Document(
        key,
        text,
        "text",
        key,
        storable(meta.get("Title", "")) or name_of(key),
        date_in_name(key) or (parse_time(f"{stamp[1]}{stamp[2] or ''}") if stamp else None),
        meta={"author": storable(meta["Author"])} if meta.get("Author") else {},
        pages=starts,
    )


def _pages(pdf: Any, max_text_chars: int) -> list[str]:
    if len(pdf) > _MAX_PAGES:
        raise UnreadableDocument(f"more than {_MAX_PAGES:,} pages")
    found = []
    n_chars = 0
    for number in range(len(pdf)):
        page = pdf[number]
        text_page = page.get_textpage()
        try:
            n_chars += text_page.count_chars()
            if n_chars > max_text_chars:
                raise UnreadableDocument(f"more than {max_text_chars:,} characters (ingest.max_text_chars)")
            found.append(_clean(text_page.get_text_range()))
        finally:
            text_page.close()
            page.close()
    return found


def _clean(text: str) -> str:
    return storable(_SPLIT_WORD.sub("", text).replace("\r\n", "\n").replace("\r", "\n")).strip()


def _joined(pages: list[str]) -> tuple[str, tuple[int, ...]]:
    """Join pages; a sentence that runs on to the next page stays one paragraph."""
    parts: list[str] = []
    starts: list[int] = []
    position = 0
    for page in pages:
        if parts:
            before = parts[-1].rstrip()
            runs_on = before[-1:].isalnum() or before[-1:] in (",", ";", "-")
            gap = "\n" if runs_on and page[:1].islower() else "\n\n"
            parts.append(gap)
            position += len(gap)
        starts.append(position)
        parts.append(page)
        position += len(page)
    return "".join(parts), tuple(starts)
