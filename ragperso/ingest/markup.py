"""Stage 1, ingest: HTML becomes Markdown that keeps headings, lists, tables and code.

In: the text of a page, of a mail's HTML part, or of a converted DOCX.  Out: ``Page``.
Never: runs scripts, loads anything, keeps text that a reader of the page does not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser

from ragperso.errors import UnreadableDocument
from ragperso.ingest.times import parse_time

_UNSEEN: Final = frozenset(
    """script style nav template noscript head title svg math iframe object embed canvas audio video map
    button select textarea input dialog""".split()
)
_BLOCKS: Final = frozenset(
    """address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table tbody
    tfoot thead tr ul caption""".split()
)
_HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_OWN_BLOCKS_IN_CELL: Final = _HEADINGS | {"ul", "ol", "pre", "blockquote", "table"}
_EMPHASIS: Final = {"b": "**", "strong": "**", "em": "*", "i": "*", "code": "`", "kbd": "`"}
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_DATE_METAS: Final = (
    "article:published_time",
    "date",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "pubdate",
)

_TAG: Final = re.compile(r"<!--|<(/?)([a-zA-Z][^\s/>]{0,40})")
_ENDS: Final = {
    name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "title")
}
_CLOSES_ITSELF: Final = frozenset(
    """area base br col embed hr img input link meta param source track wbr p li td th tr dt dd option tbody
    thead tfoot colgroup""".split()
)
_FORMATTING: Final = frozenset("a b big code em font i nobr s small strike strong tt u".split())
_MAX_DEPTH: Final = 2_000
_MAX_STEPS: Final = 100_000_000  # the parser walks the open elements at each tag, about 5 ns a step


@dataclass(frozen=True, slots=True)
class Page:
    """What an HTML text says."""

    text: str = field(repr=False)
    title: str = field(default="", repr=False)
    ts: datetime | None = None
    meta: dict[str, str] = field(default_factory=dict, repr=False)


def html_to_markdown(html: str) -> Page:
    """Return the visible text of ``html``.  Raises: UnreadableDocument when it is nested to do harm."""
    _check_nesting(html)
    parser = LexborHTMLParser(html)
    writer = _Writer()
    if parser.body is not None:
        _walk(parser.body, writer)
    title = _text_of(parser.css_first("title")) or writer.first_heading
    metas: dict[str, str] = {}
    for node in parser.css("meta[content]"):
        name = node.attributes.get("name") or node.attributes.get("property") or ""
        metas.setdefault(name.lower(), (node.attributes.get("content") or "").strip())
    ts = next((moment for name in _DATE_METAS if (moment := parse_time(metas.get(name)))), None)
    meta = {key: metas[key] for key in ("author", "description") if metas.get(key)}
    return Page(writer.finish(), title, ts, meta)


def _text_of(node: Any) -> str:
    return " ".join(node.text().split()) if node is not None else ""


def _check_nesting(html: str) -> None:
    """Refuse markup on which the parser's time grows with the square of the text.

    Measured on lexbor: 200,000 nested ``<div>`` take 102 s, 300,000 times ``<b></i>`` take 412 s.
    """
    stack: list[str] = []
    n_open: dict[str, int] = {}  # per name, in the stack or among the formatting elements
    n_formatting = steps = position = 0
    while match := _TAG.search(html, position):
        position = match.end()
        if match[2] is None:
            position = html.find("-->", position)
            if position < 0:
                return
            continue
        name = match[2].lower()
        steps += len(stack) + n_formatting
        if match[1]:
            if not n_open.get(name):
                continue
            n_open[name] -= 1
            if name in _FORMATTING:
                # The parser reopens these after the block around them has closed: only their own end counts.
                n_formatting -= 1
                continue
            while (top := stack.pop()) != name:
                n_open[top] -= 1
            continue
        if raw := _ENDS.get(name):
            end = raw.search(html, position)
            if end is None:
                return
            position = end.end()
        elif name in _FORMATTING:
            n_formatting += 1
            n_open[name] = n_open.get(name, 0) + 1
        elif name not in _CLOSES_ITSELF:
            stack.append(name)
            n_open[name] = n_open.get(name, 0) + 1
        if len(stack) + n_formatting > _MAX_DEPTH or steps > _MAX_STEPS:
            raise UnreadableDocument("HTML nested too deeply")


def _walk(body: Any, writer: _Writer) -> None:
    """Visit all nodes under ``body`` without recursion; the tree may be deep."""
    node = body
    depth = 0
    while True:
        is_entered = writer.enter(node)
        child = node.child if is_entered else None
        if child is not None:
            node = child
            depth += 1
            continue
        while True:
            if is_entered:
                writer.leave(node)
            if depth == 0:
                return
            if (following := node.next) is not None:
                node = following
                break
            node = node.parent
            depth -= 1
            is_entered = True


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    is_layout: bool = False  # it arranges a page, its cells are no data


class _Writer:
    """Collects Markdown blocks; text waits in ``inline`` until its block ends."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.inline: list[str] = []
        self.preformatted = 0
        self.prefix = ""  # of the open heading
        self.lists: list[int] = []  # next number of each open list; 0: bullets
        self.marker = ""  # of the item that has begun and has no text yet
        self.in_list = False  # the last block was an item of the open list
        self.tables: list[_Table] = []
        self.quotes = 0
        self.first_heading = ""

    def enter(self, node: Any) -> bool:
        """Take a node's opening; False leaves its content out."""
        tag = node.tag
        if tag == "-text":
            text = node.text_content or ""
            self.inline.append(text if self.preformatted else _SPACES.sub(" ", text))
            return False
        if tag in _UNSEEN or tag[0] in "-!_" or self._is_hidden(node):
            return False
        if tag == "br":
            self.inline.append("\n")
        elif tag == "img":
            self.inline.append(node.attributes.get("alt") or "")
        elif mark := _EMPHASIS.get(tag):
            if not self.preformatted and not self.prefix:
                self.inline.append(mark)
        elif tag in ("td", "th"):
            self._open_cell()
        elif tag in _BLOCKS:
            self._open_block(tag)
        return True

    def _is_hidden(self, node: Any) -> bool:
        attributes = node.attributes
        if not attributes:
            return False
        style = (attributes.get("style") or "").replace(" ", "").lower()
        return "hidden" in attributes or "display:none" in style

    def _open_cell(self) -> None:
        if self._in_data():
            self.inline.clear()
            if not self.tables[-1].rows:
                self.tables[-1].rows.append([])
        else:
            self.flush()

    def _open_block(self, tag: str) -> None:
        if self._in_data() and tag in _OWN_BLOCKS_IN_CELL:
            self._make_layout()
        if self._in_data() and tag not in ("tr", "tbody", "thead", "tfoot", "caption"):
            self.inline.append(" ")
            return
        self.flush()
        if tag in _HEADINGS:
            self.prefix = "#" * int(tag[1]) + " "
        elif tag == "pre":
            self.preformatted += 1
        elif tag in ("ul", "ol"):
            self.lists.append(1 if tag == "ol" else 0)
        elif tag == "li":
            number = self.lists[-1] if self.lists else 0
            if number:
                self.lists[-1] += 1
            self.marker = f"{number}. " if number else "- "
        elif tag == "blockquote":
            self.quotes += 1
        elif tag == "table":
            self.tables.append(_Table())
        elif tag == "tr" and self._in_data():
            self.tables[-1].rows.append([])

    def leave(self, node: Any) -> None:
        tag = node.tag
        if mark := _EMPHASIS.get(tag):
            if not self.preformatted and not self.prefix:
                self.inline.append(mark)
        elif tag in ("td", "th"):
            if self._in_data():
                self.tables[-1].rows[-1:] = [[*(self.tables[-1].rows or [[]])[-1], self._cell()]]
            else:
                self.flush()
        elif tag in _BLOCKS:
            self._close_block(tag)

    def _close_block(self, tag: str) -> None:
        if self._in_data() and tag not in ("table", "tr", "caption"):
            self.inline.append(" ")
            return
        if tag == "tr" and self._in_data():
            return
        if tag == "table" and self.tables:
            self._close_table(self.tables.pop())
            return
        self.flush()
        if tag == "pre":
            self.preformatted -= 1
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            if not self.lists:
                self.marker = ""
                self.in_list = False
        elif tag == "li":
            self.marker = ""
        elif tag == "blockquote":
            self.quotes -= 1

    # -- tables

    def _in_data(self) -> bool:
        return bool(self.tables) and not self.tables[-1].is_layout

    def _cell(self) -> str:
        text = " ".join("".join(self.inline).split()).replace("****", "")
        self.inline.clear()
        return text.replace("|", "\\|")

    def _make_layout(self) -> None:
        """The open table holds blocks: give its cells back as blocks of the page."""
        table = self.tables[-1]
        table.is_layout = True
        pending, self.inline = self.inline, []
        for row in table.rows:
            for cell in row:
                self.inline = [cell]
                self.flush()
        table.rows.clear()
        self.inline = pending
        self.flush()

    def _close_table(self, table: _Table) -> None:
        if table.is_layout:
            self.flush()
            return
        self.inline.clear()
        rows = [row for row in table.rows if any(row)]
        if max((len(row) for row in rows), default=0) < 2:
            for row in rows:
                self.inline = [*row]
                self.flush()
            return
        width = max(len(row) for row in rows)
        shown = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
        shown.insert(1, "|" + " --- |" * width)
        self._put("\n".join(shown))

    # -- blocks

    def flush(self) -> None:
        """End the open block."""
        raw = "".join(self.inline)
        self.inline.clear()
        prefix, self.prefix = self.prefix, ""
        if self.preformatted:
            if raw.strip():
                fence = "```"
                while fence in raw:
                    fence += "`"
                self._put(f"{fence}\n{raw.strip(chr(10))}\n{fence}")
            return
        lines = [" ".join(line.split(" ")).strip() for line in raw.split("\n")]
        text = "\n".join(line for line in lines if line).strip()
        text = _SPACES_INSIDE.sub(" ", text)
        if not text.strip("*`\u00a0 "):
            return
        if prefix:
            text = prefix + text.replace("\n", " ")
            if not self.first_heading:
                self.first_heading = text.lstrip("# ")
        self._put(text)

    def _put(self, block: str) -> None:
        marker, self.marker = self.marker, ""
        depth = len(self.lists)
        if depth:
            indent = "  " * (depth - 1)
            first = indent + (marker or "  ")
            rest = indent + "  "
            shown = block.split("\n")
            block = "\n".join([first + shown[0], *(rest + line for line in shown[1:])])
            is_tight = bool(marker) and self.in_list
            self.in_list = bool(marker)
        else:
            is_tight = False
        if self.quotes:
            block = "\n".join("> " + line for line in block.split("\n"))
        if self.out:
            self.out.append("\n" if is_tight else "\n\n")
        self.out.append(block)

    def finish(self) -> str:
        """Return the Markdown written so far, the end of the page included."""
        self.flush()
        return "".join(self.out)


_SPACES_INSIDE: Final = re.compile(r"[ \u00a0]{2,}")
