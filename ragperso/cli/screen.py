"""Surface: writing for people: safe on any terminal, in 80 columns, coloured only where that is wanted.

Text of documents and names of files may hold control characters that command a terminal; everything
printed passes :func:`safe` or :func:`line`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TextIO

Style = Literal["", "bold", "dim", "red", "green", "yellow", "cyan", "mark"]
Span = tuple[str, Style]  # a piece of text and how it looks

_CODES: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "mark": "1;33",
}  # fmt: skip

# C0 without tab and line feed, DEL and C1 (terminals obey them); marks that reorder or hide text
# (Boucher & Anderson 2021, "Trojan Source"); lone surrogates (undecodable bytes of file names).
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_PAINT: Final = re.compile(r"\x1b\[[\d;]*m")  # what :func:`paint` adds
_MAX_WIDTH: Final = 100  # longer lines are hard to read


# ---------------------------------------------------------------- streams


def prepare() -> None:
    """Let a terminal without some character show its escape instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def put(text: str = "", end: str = "\n") -> None:
    """Print data."""
    sys.stdout.write(text + end)


def say(text: str = "", end: str = "\n") -> None:
    """Print talk: progress, notes, warnings."""
    sys.stdout.flush()  # or the two come out of order where both go to one file
    sys.stderr.write(text + end)
    sys.stderr.flush()


def put_json(value: Any) -> None:
    """Print ``value`` as JSON."""
    put(json_text(value))


def json_text(value: Any) -> str:
    """Return ``value`` as JSON that is as safe for a terminal as for a parser."""
    unicode = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not unicode, indent=2, default=str)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_terminal(stream: TextIO) -> bool:
    """Say whether a person reads ``stream`` on a screen that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Say whether ``stream`` is a terminal whose owner has not asked for plain text (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width() -> int:
    """Return how wide lines may be; 80 where there is no terminal."""
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH))


def glyph(nice: str, plain: str) -> str:
    """Return ``nice`` where the output can show it, else ``plain``."""
    try:
        nice.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain
    return nice


# ---------------------------------------------------------------- text


def safe(text: str) -> str:
    """Return ``text`` with everything that could command a terminal made visible."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n").expandtabs(4))


def line(text: str) -> str:
    """Return ``text`` as one safe line."""
    return safe(" ".join(text.split("\n")).replace("\t", " "))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cells(text: str) -> int:
    """Return how many columns ``text`` takes: East Asian wide characters two, accents and paint none."""
    text = _PAINT.sub("", text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def cut(text: str, columns: int) -> str:
    """Return ``text`` in at most ``columns``, with dots where something is missing."""
    if cells(text) <= columns:
        return text
    dots = glyph("…", "...")
    kept, used = "", cells(dots)
    for char in text:
        used += cells(char)
        if used > columns:
            break
        kept += char
    return kept.rstrip() + dots


def cut_left(text: str, columns: int) -> str:
    """Return the end of ``text`` in at most ``columns``: of a path the end says more."""
    if cells(text) <= columns:
        return text
    dots = glyph("…", "...")
    kept, used = "", cells(dots)
    for char in reversed(text):
        used += cells(char)
        if used > columns:
            break
        kept = char + kept
    return dots + kept


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return ``text`` filled up with blanks to ``columns``."""
    blanks = " " * max(0, columns - cells(text))
    return blanks + text if right else text + blanks


def paint(text: str, style: Style, *, err: bool = False) -> str:
    """Return ``text`` in ``style`` where the stream shows colours, else as it is."""
    if not style or not text or not has_colour(sys.stderr if err else sys.stdout):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def fill(spans: Iterable[Span], *, indent: str = "", first: str | None = None, columns: int = 0) -> str:
    """Return spans wrapped to ``columns`` (default: the screen's); line breaks in them are kept.

    ``first`` replaces the indent of the first line.  Words too long for a line are broken.
    """
    columns = columns or width()
    lines: list[str] = []
    row, used = "", cells(indent if first is None else first)
    start = indent if first is None else first
    blank = False  # whether the next word stands apart from the last

    def flush() -> None:
        nonlocal row, used, start, blank
        lines.append((start + row).rstrip())
        row, used, start, blank = "", cells(indent), indent, False

    for text, style in spans:
        for piece in re.findall(r"\n|[^\S\n]+|\S+", text):
            if piece == "\n":
                flush()
                continue
            if piece.isspace():
                blank = True
                continue
            for word in _breakable(piece, columns - cells(indent)):
                gap = 1 if blank and row else 0
                if row and used + gap + cells(word) > columns:
                    flush()
                    gap = 0
                row += " " * gap + paint(word, style)
                used += gap + cells(word)
                blank = False
    if row or not lines:
        flush()
    return "\n".join(lines)


def _breakable(word: str, columns: int) -> list[str]:
    """Return ``word`` in pieces after which a line may end: wide characters singly, long words cut."""
    if word.isascii() and len(word) <= columns:
        return [word]
    pieces, piece = [], ""
    for char in word:
        is_wide = unicodedata.east_asian_width(char) in "WF"
        if piece and (is_wide or cells(piece) + cells(char) > columns):
            pieces.append(piece)
            piece = ""
        piece += char
    return [*pieces, piece]


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Return rows in columns; the last column is wrapped to the screen, those ``right`` are flush right."""
    everything = [*([list(head)] if head else []), *[list(row) for row in rows]]
    if not everything:
        return ""
    n = len(everything[0])
    widths = [max(cells(row[i]) for row in everything) for i in range(n)]
    lines = []
    for number, row in enumerate(everything):
        style: Style = "bold" if head and number == 0 else ""
        lead = "  ".join(pad(row[i], widths[i], right=i in right) for i in range(n - 1))
        first = f"{lead}  " if n > 1 else ""
        lines.append(fill([(row[-1], style)], indent=" " * cells(first), first=paint(first, style)))
    return "\n".join(lines)


def size(n_bytes: int) -> str:
    """Return a number of bytes for people: ``12 kB``, ``3.4 MB``."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("GB is last")


def duration(ms: float) -> str:
    """Return milliseconds for people: ``4 ms``, ``1.2 s``, ``3 min 5 s``."""
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def plural(n: int, noun: str) -> str:
    """Return ``1 chunk`` or ``2 chunks``."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
