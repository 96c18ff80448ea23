"""Stage 1, ingest: mail, one message or a mailbox of them.

In: an ``.eml`` or ``.mbox`` file.  Out: one ``Document`` per message: the sender's own words as text, the
words they answer in ``meta["quoted"]``.  Damaged messages are ``Skipped`` by number.
Never: holds a mailbox in memory, opens an attachment.
"""

from __future__ import annotations

import email
import email.header
import email.utils
import re
from collections.abc import Iterator
from datetime import datetime
from email import policy
from email.message import EmailMessage, Message
from pathlib import Path
from typing import BinaryIO, Final

from ragperso.errors import UnreadableDocument
from ragperso.ingest.decode import decode, open_regular, read_bytes, storable
from ragperso.ingest.markup import html_to_markdown
from ragperso.ingest.quotes import take_apart
from ragperso.ingest.times import parse_time
from ragperso.types import Document, Json, Skipped

_ID: Final = re.compile(r"<([^<>\s]{1,500})>")
_FROM_LINE: Final = re.compile(rb"From \S+.*\d{4}")  # "From ana@x Mon May  8 12:00:00 2023"
_ESCAPED_FROM: Final = re.compile(rb">+From ")
_MAX_DEPTH: Final = 40  # of parts inside parts
_MAX_PARTS: Final = 1_000
_MAX_NAMES: Final = 200  # of recipients and attachments that are kept
_MAX_HEADER_CHARS: Final = 2_000


def read_eml(path: Path, *, key: str, max_file_bytes: int, max_text_chars: int) -> Document:
    """Return the one message of ``path``.  Raises: UnreadableDocument."""
    document = _parse(read_bytes(path, max_file_bytes), key, key, max_text_chars)
    if isinstance(document, Skipped):
        raise UnreadableDocument(document.reason)
    return document


def read_mbox(
    path: Path, *, key: str, max_file_bytes: int, max_text_chars: int
) -> Iterator[Document | Skipped]:
    """Yield the messages of a mailbox; copies of one message id count once.  The limits hold per message."""
    seen: set[str] = set()
    number = 0
    with open_regular(path) as file:
        for number, raw in enumerate(_messages(file, max_file_bytes), 1):
            place = f"{key}#{number}"
            if raw is None:
                yield Skipped(place, f"larger than {max_file_bytes:,} bytes (ingest.max_file_bytes)")
                continue
            found = _parse(raw, place, key, max_text_chars)
            if isinstance(found, Document):
                if found.key in seen:  # mailboxes hold a copy per label
                    continue
                seen.add(found.key)
            yield found
    if not number:
        raise UnreadableDocument("not a mailbox")


def _messages(file: BinaryIO, max_bytes: int) -> Iterator[bytes | None]:
    """Yield each message of an mbox file, None for one that is too large."""
    parts: list[bytes] = []
    size = 0
    is_open = False
    after_blank = at_line_start = True
    while line := file.readline(1 << 20):
        if at_line_start and after_blank and line.startswith(b"From ") and _FROM_LINE.match(line[:500]):
            if is_open:
                yield b"".join(parts) if size <= max_bytes else None
            parts, size, is_open = [], 0, True
        elif is_open:
            size += len(line)
            if size <= max_bytes:
                if at_line_start and _ESCAPED_FROM.match(line):
                    line = line[1:]
                parts.append(line)
            else:
                parts.clear()
        elif line.strip():
            return  # text before the first message: not a mailbox
        after_blank = at_line_start and not line.strip()
        at_line_start = line.endswith(b"\n")
    if is_open:
        yield b"".join(parts) if size <= max_bytes else None


def _parse(raw: bytes, place: str, source: str, max_text_chars: int) -> Document | Skipped:
    """Return one message; ``place`` is its key if it has no id of its own."""
    try:
        message = email.message_from_bytes(raw, policy=policy.default)
        return _document(message, place, source, max_text_chars)
    except UnreadableDocument as exc:
        return Skipped(place, exc.message)
    except Exception as exc:  # the parser answers malformed headers with errors of a dozen types
        return Skipped(place, f"malformed message ({type(exc).__name__})")


def _document(message: EmailMessage, place: str, source: str, max_text_chars: int) -> Document | Skipped:
    if not message.keys() or not any(
        message[name] for name in ("From", "Date", "Subject", "Message-ID", "To")
    ):
        return Skipped(place, "not a mail message")
    bodies = _Bodies()
    bodies.visit(message, 0)
    text = bodies.text()
    if len(text) > max_text_chars:
        return Skipped(place, f"more than {max_text_chars:,} characters (ingest.max_text_chars)")
    parts = take_apart(storable(text))
    subject = _header(message, "Subject")
    ids = {name: _ID.findall(_header(message, name)) for name in ("Message-ID", "In-Reply-To", "References")}
    own_id = ids["Message-ID"][0] if ids["Message-ID"] else ""
    answered = ids["In-Reply-To"][0] if ids["In-Reply-To"] else ""
    senders = _addresses(message, "From")
    speaker, sender = senders[0] if senders else ("", "")
    meta: dict[str, Json] = {
        "subject": subject,
        "from": sender,
        "speaker": speaker or sender,
        "to": [address for _, address in _addresses(message, "To")],
        "cc": [address for _, address in _addresses(message, "Cc")],
        "message_id": own_id,
        "in_reply_to": answered,
        "thread": next(iter(ids["References"]), "") or answered or own_id,
        "quoted": parts.quoted,
        "attachments": bodies.attachments,
        "forwarded_from": parts.forwarded_from,
    }
    kept = {name: value for name, value in meta.items() if value not in ("", [], None)}
    return Document(own_id or place, parts.own, "mail", source, subject, _date(message), kept)


def _header(message: Message, name: str) -> str:
    """Return a header as one line of text, decoded as far as it can be."""
    try:
        value = str(message.get(name, ""))
    except Exception:  # policy.default raises IndexError, ValueError and others on malformed values
        raw = dict(message.raw_items()).get(name, "")
        value = _decoded(str(raw))
    return storable(" ".join(value[:_MAX_HEADER_CHARS].split()))


def _decoded(raw: str) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(raw)))
    except Exception:  # an unknown charset or broken base64 in an encoded word
        return raw


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    """Return (display name, address in lower case) of each address."""
    found = email.utils.getaddresses([_header(message, name)])[:_MAX_NAMES]
    return [(shown.strip(), address.strip().lower()) for shown, address in found if "@" in address]


def _date(message: Message) -> datetime | None:
    text = _header(message, "Date")
    try:
        return parse_time(email.utils.parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return parse_time(text)


class _Bodies:
    """Collects what a reader of the message sees, and the names of what is attached."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.attachments: list[str] = []
        self.n_parts = 0

    def text(self) -> str:
        return "\n\n".join(part for part in self.found if part.strip())

    def visit(self, part: Message, depth: int) -> None:
        self.n_parts += 1
        if depth > _MAX_DEPTH or self.n_parts > _MAX_PARTS:
            raise UnreadableDocument("too many parts inside parts")
        kind = part.get_content_type()
        if kind == "message/rfc822" and depth:
            self._attach(part, "forwarded message")
        elif part.is_multipart():
            children = [child for child in part.get_payload() if isinstance(child, Message)]
            if kind == "multipart/alternative":
                self._visit_best(children, depth)
            else:
                for child in children:
                    self.visit(child, depth + 1)
        elif part.get_content_disposition() == "attachment" or part.get_filename():
            self._attach(part, kind)
        elif kind == "text/plain":
            self.found.append(_unwrapped(part, _payload(part)))
        elif kind == "text/html":
            self.found.append(html_to_markdown(_payload(part)).text)
        elif kind.startswith("text/") or depth == 0:
            self._attach(part, kind)

    def _visit_best(self, children: list[Message], depth: int) -> None:
        """Take the plain text of alternatives if it says anything, else the richest."""
        for child in children:
            if child.get_content_type() == "text/plain" and _payload(child).strip():
                self.visit(child, depth + 1)
                return
        for child in reversed(children):
            if child.is_multipart() or child.get_content_type() == "text/html":
                self.visit(child, depth + 1)
                return

    def _attach(self, part: Message, fallback: str) -> None:
        if len(self.attachments) < _MAX_NAMES:
            self.attachments.append(storable(part.get_filename() or fallback)[:_MAX_HEADER_CHARS])


def _payload(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    return decode(data, part.get_content_charset() or "")


def _unwrapped(part: Message, text: str) -> str:
    """Undo the soft line breaks of ``format=flowed`` (RFC 3676)."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    keeps_space = str(part.get_param("delsp", "")).lower() != "yes"
    lines: list[str] = []
    flows = False
    depth = 0
    for line in text.replace("\r\n", "\n").split("\n"):
        body = line.lstrip(">")
        level = len(line) - len(body)
        body = body.removeprefix(" ")  # space-stuffing
        if flows and level == depth and body != "-- ":
            lines[-1] = (lines[-1] if keeps_space else lines[-1][:-1]) + body
        else:
            lines.append(">" * level + (" " if level else "") + body)
        flows = body.endswith(" ") and body != "-- "
        depth = level
    return "\n".join(lines)
