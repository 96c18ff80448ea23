"""Stage 1, ingest: rows of JSONL and CSV.

In: a file.  Out: one ``Document`` per row that has an id and a text; a table without them is one document
of one line per row.  Bad rows are ``Skipped`` by ``file:line``.
Never: holds a JSONL file in memory, lets one row end the file.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from ragperso.errors import UnreadableDocument
from ragperso.ingest.decode import decode, open_regular, read_bytes, storable
from ragperso.ingest.notes import date_in_name, first_title, name_of, plain_json
from ragperso.ingest.times import parse_time
from ragperso.types import Document, Json, Skipped

_DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_CHARS: Final = 16_384
_SAMPLE_ROWS: Final = 20
_MAX_ID_CHARS: Final = 1_024
_FILE_PATH: Final = re.compile(r"[^\n:]+/[^\n/:]*[^\s/:.]\.[A-Za-z]\w{0,4}")
_OWN_KEYS: Final = frozenset(("id", "text", "ts", "meta"))


def read_jsonl(
    path: Path, *, key: str, max_file_bytes: int, max_text_chars: int
) -> Iterator[Document | Skipped]:
    """Yield one document per row, its own ``id`` as key; of rows with one id and user the last stands.

    The limits hold per row: the file streams.
    """
    last: dict[tuple[str, str], int] = {}
    with open_regular(path) as file:  # the first pass only finds repeated ids
        for number, row in _json_rows(file, max_file_bytes):
            if isinstance(row, dict) and (identity := _identity(row)):
                last[identity] = number
    with open_regular(path) as file:
        for number, row in _json_rows(file, max_file_bytes):
            place = f"{key}:{number}"
            if isinstance(row, str):
                yield Skipped(place, row)
            elif (identity := _identity(row)) and last.get(identity, number) != number:
                yield Skipped(place, f"line {last[identity]} has the same id and replaces it")
            else:
                yield _document(row, place, key, max_text_chars)


def _json_rows(file: BinaryIO, max_line_bytes: int) -> Iterator[tuple[int, dict[str, Json] | str]]:
    """Yield (line number, row), or why the line is none."""
    for number in itertools.count(1):
        line = file.readline(max_line_bytes + 1)
        if not line:
            return
        if len(line) > max_line_bytes:
            while line and not line.endswith(b"\n"):
                line = file.readline(1 << 20)
            yield number, f"longer than {max_line_bytes:,} bytes (ingest.max_file_bytes)"
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except RecursionError:
            yield number, "JSON nested too deeply"
        except (ValueError, UnicodeDecodeError):
            yield number, "not valid JSON"
        else:
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _identity(row: Mapping[str, Json]) -> tuple[str, str] | None:
    if (name := _name(row.get("id"))) is None:
        return None
    return str(row.get("user") or ""), name


def _name(value: Json) -> str | None:
    """Return an id as text, None when there is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return storable(str(value)).strip() or None


def _document(row: Mapping[str, Json], place: str, source: str, max_text_chars: int) -> Document | Skipped:
    """Return the document of one row, whatever file it came from."""
    text = row.get("text")
    if not isinstance(text, str):
        return Skipped(place, 'no "text"')
    if not text.strip():
        return Skipped(place, "its text is empty")
    if len(text) > max_text_chars:
        return Skipped(place, f"more than {max_text_chars:,} characters (ingest.max_text_chars)")
    name = _name(row.get("id")) or place.replace(":", "#", 1) if row.get("id") is None else _name(row["id"])
    if name is None or len(name) > _MAX_ID_CHARS:
        return Skipped(place, "its id is no text or number, empty, or too long")
    budget = itertools.count(1)
    meta: dict[str, Json] = {}
    own = row.get("meta")
    for part in (own if isinstance(own, dict) else {}, {k: v for k, v in row.items() if k not in _OWN_KEYS}):
        for label, value in part.items():
            if (kept := plain_json(value, budget)) is not None:
                meta[storable(str(label))] = kept
    ts = parse_time(row.get("ts"))
    if ts is None and row.get("ts") not in (None, ""):
        meta["ts"] = plain_json(row["ts"], budget)  # not a time we can read, but the person's own words
    title = meta.get("title")
    if not isinstance(title, str) or not title.strip():
        # A row whose id is a path is a file that someone exported: titled as the file itself would be.
        title = (first_title(text) or name_of(name)) if _FILE_PATH.fullmatch(name) else ""
    return Document(name, storable(text), "row", source, title, ts, meta=meta)


# ---------------------------------------------------------------- CSV


def read_csv(
    path: Path, *, key: str, max_file_bytes: int, max_text_chars: int
) -> Iterator[Document | Skipped]:
    """Yield one document per row if the header names ``id`` and ``text``, else one for the whole table."""
    text = decode(read_bytes(path, max_file_bytes))
    if len(text) > max_text_chars:
        raise UnreadableDocument(f"more than {max_text_chars:,} characters (ingest.max_text_chars)")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = ((reader.line_num, row) for row in reader if any(cell.strip() for cell in row))
        _, header = next(rows, (0, []))
        names = [cell.strip() for cell in header]
        lowered = [name.lower() for name in names]
        if "id" in lowered and "text" in lowered:
            yield from _row_documents(rows, names, key, max_text_chars)
            return
        has_header = _is_header(names)
        every = rows if has_header else itertools.chain([(1, header)], rows)
        lines = [_line(names if has_header else [], row) for _, row in every]
    except csv.Error as exc:
        raise UnreadableDocument(f"not a readable table, near line {reader.line_num}") from exc
    if has_header and not lines:
        lines = ["; ".join(names)]
    if not any(lines):
        raise UnreadableDocument("empty")
    yield Document(
        key, "\n".join(lines), "row", key, name_of(key), date_in_name(key), meta={"columns": names}
    )


def _row_documents(
    rows: Iterator[tuple[int, list[str]]], names: Sequence[str], key: str, max_text_chars: int
) -> Iterator[Document | Skipped]:
    labels = [name.lower() if name.lower() in (*_OWN_KEYS, "title", "user") else name for name in names]
    found: dict[str, tuple[int, dict[str, Json]]] = {}
    for number, cells in rows:
        row = {label: cell for label, cell in zip(labels, cells, strict=False) if label and cell}
        row.pop("meta", None)
        name = row.get("id", "").strip()
        if not name:
            yield Skipped(f"{key}:{number}", "no id")
            continue
        if name in found:
            before, _ = found.pop(name)
            yield Skipped(f"{key}:{before}", f"line {number} has the same id and replaces it")
        found[name] = (number, row)
    for number, row in found.values():
        yield _document(row, f"{key}:{number}", key, max_text_chars)


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts the first rows into the most columns of one number.

    The standard library's sniffer guesses letters on short tables.
    """
    sample = text[:_SAMPLE_CHARS]
    if len(text) > _SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            rows = list(
                itertools.islice(
                    csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _SAMPLE_ROWS
                )
            )
        except csv.Error:
            continue
        widths = [len(row) for row in rows if row]
        if not widths or (width := max(widths, key=widths.count)) < 2:
            continue
        score = widths.count(width) / len(widths) * (1 + width / 1_000)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _is_header(names: Sequence[str]) -> bool:
    """Say whether a first row names columns: short, different, none a number."""
    named = [name for name in names if name]
    return (
        len(named) == len(names)
        and len(set(named)) == len(named)
        and all(
            len(name) <= 80 and not name.replace(".", "").replace(",", "").lstrip("-+").isdigit()
            for name in named
        )
    )


def _line(names: Sequence[str], cells: Sequence[str]) -> str:
    parts = []
    for index, cell in enumerate(cells):
        value = " ".join(cell.split())
        if value:
            parts.append(f"{names[index]}: {value}" if index < len(names) else value)
    return "; ".join(parts)
