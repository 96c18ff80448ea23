"""Stage 7, learn: style exemplars from what the person wrote.

In: stored documents with their texts, who the person is.  Out: (source document, exemplar) pairs.
Never: takes a word from received text, a quote, code, a table, or an answer the model wrote.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Final

from ragperso.config import Learn
from ragperso.files import content_hash
from ragperso.learn.ownership import Identity, audience_of, identity, is_machine, own_part, register_of
from ragperso.registers import Register, fold, greeted_in, register_of_text
from ragperso.segment import blocks, sentences
from ragperso.tokens import detect_language, jaccard, shingles
from ragperso.types import Document, DocumentId, StoredDocument, as_utc

MAX_REQUEST_CHARS: Final = 400  # of what an exemplar answers: enough to see what was asked
MAX_PER_DOCUMENT: Final = 12  # so that one long journal does not drown everything else
MAX_PER_NOTE: Final = 2  # notes are many and mostly facts: the two longest runs of prose show the manner
JOIN_WITHIN: Final = timedelta(minutes=10)  # between two chat turns that are one thought
SAME_PIECE: Final = 0.6  # Jaccard of word 3-grams; a template filled in twice lies above, two mails below
BOILERPLATE_CHARS: Final = 40  # shorter repeats are greetings and sign-offs, which are style
BOILERPLATE_DOCUMENTS: Final = 3
MIN_PROSE: Final = 0.7  # share of letters and spaces; below it is measurements, paths, keyboard shortcuts
SHORT_LINE: Final = 50  # characters; a shorter line was broken on purpose, not by a mail client

_LINK: Final = r"!?\[\[[^\[\]|\n]{1,300}\]\]"
_SEE: Final = r"(?:see|siehe|s\.|vgl\.|cf\.|voir|véase|ver)(?: also| auch| aussi| también)?"
_ASIDE: Final = re.compile(
    rf"\s?\({_SEE} {_LINK}\)|[,;]? {_SEE} {_LINK}(?=[.!?]|$)", re.IGNORECASE | re.MULTILINE
)
_POINTER: Final = re.compile(rf"{_SEE} {_LINK}|.{{0,60}}{_LINK}[.!]?\Z", re.IGNORECASE | re.DOTALL)
# Begins with what only the text before it explains.
_LEANING: Final = re.compile(
    r"(?:it|he|she|they|her|his|their|its|this|that|these|those|er|sie|ihre?r?|diese[rs]?"
    r"|ils|elles?|cela|ça|son|sa"
    r"|él|ella|ellos|eso|esto|but|and|also|aber|und|auch|mais|et|pero|y)\b",
    re.IGNORECASE,
)
_MARKUP: Final = (
    (re.compile(r"!\[[^\[\]\n]{0,300}\]\([^)\n]{0,2000}\)"), ""),  # images
    (re.compile(r"!?\[\[(?:[^\[\]|\n]{0,300}\|)?([^\[\]\n]{1,300})\]\]"), r"\1"),  # wiki links
    (re.compile(r"\[([^\[\]\n]{1,300})\]\([^)\n]{0,2000}\)"), r"\1"),
    (re.compile(r"\[\^[^\]\n]{1,40}\]:?"), ""),  # footnotes
    (re.compile(r"<!--.{0,2000}?-->|</?[a-zA-Z][^<>\n]{0,300}>", re.DOTALL), ""),
    (re.compile(r"(\*\*|__)(?=\S)(.{1,500}?)(?<=\S)\1", re.DOTALL), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,300}?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]{1,300}?)(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"`([^`\n]{1,200})`"), r"\1"),
)
_URL: Final = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"(?:(?:subject|from|to|cc|date|betreff|von|an|objet|de|à):[^\n]*\n)+", re.IGNORECASE
)
_QUOTED_LINE: Final = re.compile(r"[ \t]*>")
_QUOTE_MARK: Final = re.compile(r"^[ \t]*> ?", re.MULTILINE)
_SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)
# From here on a mail quotes or forwards: what a mail program writes above it.
_FROM_OTHERS: Final = re.compile(
    r"^[ \t]*(?:On|Am|Le|El)\b(?=[^\n]{0,200}[\d@])[^\n]{3,200}\n?[^\n]{0,120}\b(?:wrote"
    r"|schrieb|a écrit|escribió)\b"
    r"[^\n]{0,100}\n?[^\n]{0,100}:[ \t]*$"
    r"|^[-_ ]{2,40}(?:Original|Forwarded|Ursprüngliche|Weitergeleitete|Message (?:d'origine"
    r"|transféré)|Mensaje)[^\n]{0,60}$"
    r"|^Begin forwarded message:|^Anfang der weitergeleiteten",
    re.MULTILINE,
)
_FRONT_MATTER: Final = re.compile(r"\A---\n.{0,20000}?\n(?:---|\.\.\.)\n", re.DOTALL)
_DEVICE: Final = re.compile(
    r"\n\s{0,4}(?:Sent from (?:my|Mail for)|Get Outlook for"
    r"|Von mein\w+ [^\n]{1,40} gesendet|Gesendet (?:von|mit)"
    r"|Envoyé (?:de|depuis)|Enviado desde)\b[^\n]{0,60}\s*\Z"
)
_TICKET_SUBJECT: Final = re.compile(
    r"\[?(?:ticket|case|anfrage|demande|caso)\b[^\n]{0,20}\d|\[#?\d{2,}\]", re.IGNORECASE
)
_LETTERS: Final = re.compile(r"[^\W\d_]|\s")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A candidate: text as it would be shown, what it answers, and whose words both are.

    ``others`` are the keys of further documents it holds words of: turns joined to it, the turn it answers.
    """

    document: StoredDocument
    register: Register
    text: str = field(repr=False)
    request: str = field(default="", repr=False)
    others: tuple[str, ...] = ()
    audience: str = field(default="", repr=False)
    until: datetime | None = None  # of the last turn joined to it


def mine(
    documents: Iterable[tuple[StoredDocument, str]],
    *,
    addresses: Collection[str],
    names: Collection[str],
    config: Learn,
) -> list[tuple[DocumentId, Document]]:
    """Return the person's pieces, each with the document it came from, oldest document first.

    Give whole threads at once: what a turn answers is the turn before it.  The same piece always has the
    same key, so mining twice stores it once; of near-duplicates the latest stays.
    """
    person = identity(addresses, names)
    conversations: defaultdict[tuple[str, str], list[tuple[StoredDocument, str]]] = defaultdict(list)
    pieces: list[_Piece] = []
    for document, text in documents:
        if thread := _thread_of(document):
            # A mail's thread is the id of its first message, wherever the messages lie.
            place = "" if document.format == "mail" else document.source
            conversations[place, thread].append((document, text))
        elif register := register_of(document, person):
            pieces.extend(_pieces_of(document, text, register, person, config))
    for turns in conversations.values():
        pieces.extend(_pieces_of_conversation(turns, person, config))
    pieces = _without_boilerplate(pieces, config.min_exemplar_chars)
    kept = _without_repeats(sorted(pieces, key=lambda piece: (_time_of(piece.document), piece.document.id)))
    return [(piece.document.id, _exemplar(piece)) for piece in kept]


def _exemplar(piece: _Piece) -> Document:
    return Document(
        key=f"exemplar/{content_hash(piece.text)[:16]}",
        text=piece.text,
        title=piece.document.title,
        ts=piece.document.ts,
        meta={
            "kind": "exemplar",
            "register": piece.register,
            "language": detect_language(piece.text),
            "audience": piece.audience or greeted_in(piece.text),
            "request": piece.request,
            "source": piece.document.key,
            # Forgetting any of these must take the exemplar along.
            "sources": [piece.document.key, *piece.others],
        },
    )


# ---------------------------------------------------------------- where pieces come from


def _thread_of(document: StoredDocument) -> str:
    meta = document.meta
    own = meta.get("thread") or meta.get("session")
    return str(own or (meta.get("ticket") if meta.get("kind") == "ticket" else "") or "")


def _pieces_of(
    document: StoredDocument, text: str, register: Register, person: Identity, config: Learn
) -> Iterator[_Piece]:
    """Yield the pieces of a document that stands alone."""
    if register in ("mail", "mail reply", "ticket"):
        own = own_part(document, text)
        found = _cut(clean_mail(own), config)[:1]  # a mail is one piece; the rest of a long one is a text
        subject = str(document.meta.get("subject") or document.title)
        if found and _TICKET_SUBJECT.search(subject[:200]) and register_of_text(found[0]) == "ticket":
            register = "ticket"  # a customer's mail has the number as well, but not the desk's phrases
    elif register == "chat":
        found = _cut(_tidy(text), config)
    else:
        runs = list(_runs(_FRONT_MATTER.sub("", text, count=1), lists=register == "post"))
        if register == "note":
            # Behind the first run stand sections: some only finish what their heading began.
            runs = runs[:1] + [run for run in runs[1:] if not _leans(run)]
        found = [piece for run in runs for piece in _cut(run, config)]
    found = [piece for piece in found if _is_prose(piece)]
    if register == "note":
        longest = sorted(found, key=len, reverse=True)[:MAX_PER_NOTE]
        found = [piece for piece in found if piece in longest]
    request = _request_in(str(document.meta.get("quoted") or ""))
    for piece in found[:MAX_PER_DOCUMENT]:
        yield _Piece(document, register, piece, request, audience=audience_of(document, person))


def _pieces_of_conversation(
    turns: Sequence[tuple[StoredDocument, str]], person: Identity, config: Learn
) -> Iterator[_Piece]:
    """Yield the person's turns of one thread with what they answer; turns in a row are one piece.

    What someone said is answered once: what the person adds hours later is no second answer to it.
    """
    turns = sorted(turns, key=lambda turn: (_time_of(turn[0]), turn[0].id))
    heard = _Heard()
    mails = {str(d.meta.get("message_id") or d.key): (d, text) for d, text in turns}
    speakers = {
        fold(str(d.meta.get("speaker") or "")) for d, _ in turns if register_of(d, person) is None
    } - {""}
    partner = next(iter(speakers)) if len(speakers) == 1 else ""
    last: _Piece | None = None
    for document, text in turns:
        register, moment = register_of(document, person), _time_of(document)
        if register == "chat":
            if last is not None and last.until is not None and moment - last.until <= JOIN_WITHIN:
                others = (*last.others, document.key)
                joined = f"{last.text}\n{_tidy(text)}"
                last = replace(last, text=joined, others=others, until=moment)
                continue
            if last is not None:
                yield from _checked(last, config)
            request, others = heard.answered()
            last = _Piece(document, register, _tidy(text), request, others, heard.speaker or partner, moment)
            continue
        if last is not None:
            yield from _checked(last, config)
            last = None
        if register is None:
            heard.add(document, text, moment)
            continue
        for piece in _pieces_of(document, text, register, person, config):
            if register in ("mail reply", "ticket"):
                piece = _with_request(piece, mails, heard, person)
            yield piece
        heard.answered()
    if last is not None:
        yield from _checked(last, config)


class _Heard:
    """What was said last in a thread by someone else, not yet answered."""

    def __init__(self) -> None:
        self.speaker = ""
        self._said: list[str] = []
        self._keys: tuple[str, ...] = ()
        self._until: datetime | None = None

    def add(self, document: StoredDocument, text: str, moment: datetime) -> None:
        """Hear a turn; turns of one speaker that follow at once are one question."""
        meta = document.meta
        speaker = fold(str(meta.get("speaker") or meta.get("role") or ""))
        in_a_row = speaker == self.speaker and self._until is not None and moment - self._until <= JOIN_WITHIN
        if not in_a_row or document.format == "mail" or "from" in meta:
            self.answered()
        self.speaker, self._until = speaker, moment
        if is_machine(speaker):
            return  # what a model said is no request of anybody's
        self._said.append(text)
        self._keys = (*self._keys, document.key)

    def answered(self) -> tuple[str, tuple[str, ...]]:
        """Return what was asked with the documents it stands in, and forget it."""
        request = _request_in("\n".join(self._said))
        keys = self._keys if request else ()
        self._said, self._keys = [], ()
        return request, keys


def _with_request(
    piece: _Piece, mails: Mapping[str, tuple[StoredDocument, str]], heard: _Heard, person: Identity
) -> _Piece:
    """Return an answer with what it answers: the message it names, what it quotes, what came before."""
    named = str(piece.document.meta.get("in_reply_to") or "")
    speaker = heard.speaker
    request, keys = heard.answered()
    if named:
        answered = mails.get(named)
        is_own = answered is not None and register_of(answered[0], person) is not None
        if (
            answered is not None
            and is_own
            and (not piece.request or _begins_alike(piece.request, answered[1]))
        ):
            return replace(piece, request="")  # a word added to one's own mail
        request, keys = (_request_in(answered[1]), (answered[0].key,)) if answered else ("", ())
    audience = piece.audience or speaker
    if piece.request:
        return replace(piece, audience=audience)
    return replace(piece, request=request, others=keys if request else (), audience=audience)


def _begins_alike(quote: str, text: str) -> bool:
    """Say whether a quote is of this text."""
    return "".join(quote[:60].split())[:40] in "".join(clean_mail(text).split())


def _checked(piece: _Piece, config: Learn) -> Iterator[_Piece]:
    for text in _cut(piece.text, config)[:1]:
        if _is_prose(text):
            yield replace(piece, text=text)


# ---------------------------------------------------------------- what a piece is


def clean_mail(text: str) -> str:
    """Return the body of a mail: header lines, quotes, forwards and signature cut, wrapped lines joined."""
    text = text.replace("\r\n", "\n").strip("\n")
    text = _HEADER.sub("", text, count=1) if _HEADER.match(text) else text
    if others := _FROM_OTHERS.search(text):
        text = text[: others.start()]
    if signature := _SIGNATURE.search(text):
        text = text[: signature.start()]
    lines = [line for line in text.split("\n") if not _QUOTED_LINE.match(line)]
    return _tidy(_DEVICE.sub("", "\n".join(lines)))


def _leans(run: str) -> bool:
    """Say whether a run of prose begins with what only the text before it explains."""
    first = next(iter(sentences(run[:300])), (0, 0))
    return len(run[first[0] : first[1]].split()) <= 2 or _LEANING.match(run) is not None


def _without_pointers(text: str) -> str:
    """Return prose without the sentences and asides that only send the reader to another note."""
    if "[[" not in text:
        return text
    text = _ASIDE.sub("", text)
    kept = [text[a:b] for a, b in sentences(text) if not _POINTER.match(text[a:b])]
    return " ".join(kept)


def _runs(text: str, *, lists: bool) -> Iterator[str]:
    """Yield the unbroken runs of prose of a Markdown or plain text, paragraphs a blank line apart.

    ``lists`` keeps a list that prose leads to.  Headings, tables, code, quotes and bare links break a run.
    """
    run: list[str] = []
    for block in blocks(text):
        body = text[block.start : block.end]
        keep = block.kind == "paragraph" or (lists and block.kind == "list" and bool(run))
        if keep and not _QUOTED_LINE.match(body):
            body = _tidy(body if block.kind == "list" else _without_pointers(body))
            if len(_URL.sub("", body)) >= len(body) / 2 and body:
                run.append(body)
                continue
        if run:
            yield "\n\n".join(run)
        run = []
    if run:
        yield "\n\n".join(run)


def _cut(text: str, config: Learn) -> list[str]:
    """Return ``text`` as pieces of at most ``max_exemplar_chars``, cut between paragraphs, else sentences.

    A rest that is too short to stand alone is left out.
    """
    units: list[tuple[str, str]] = []  # (what joins it to the unit before, text)
    for paragraph in re.split(r"\n{2,}", text):
        if len(paragraph) <= config.max_exemplar_chars:
            units.append(("\n\n", paragraph))
        else:
            units += [
                ("\n\n" if i == 0 else " ", paragraph[start:end])
                for i, (start, end) in enumerate(sentences(paragraph))
            ]
    pieces, current = [], ""
    for joint, unit in units:
        joined = f"{current}{joint}{unit}" if current else unit
        if len(joined) > config.max_exemplar_chars:
            pieces.append(current)
            joined = unit
        current = joined
    pieces.append(current)
    return [p for p in pieces if config.min_exemplar_chars <= len(p) <= config.max_exemplar_chars]


def _tidy(text: str) -> str:
    """Return ``text`` without markup and with the lines of each paragraph joined that were only wrapped."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    paragraphs = []
    for paragraph in re.split(r"\n[ \t]*\n", text.strip()):
        lines = [line.rstrip() for line in paragraph.split("\n")]
        joined = lines[0].strip()
        for before, line in pairwise(lines):
            wrapped = len(before) >= SHORT_LINE and not _starts_item(line)
            joined += (" " if wrapped else "\n") + line.strip()
        paragraphs.append(joined)
    return "\n\n".join(p for p in paragraphs if p.strip())


def _starts_item(line: str) -> bool:
    return re.match(r"\s*(?:[-*+•]|\d{1,3}[.)])\s", line) is not None


def _is_prose(text: str) -> bool:
    return len(_LETTERS.findall(text)) >= MIN_PROSE * len(text)


def _request_in(text: str) -> str:
    """Return the beginning of what was answered, on one line, cut after a sentence or a word."""
    text = text[: 10 * MAX_REQUEST_CHARS]
    unquoted = _QUOTE_MARK.sub("", text) if _QUOTE_MARK.match(text) else text
    text = " ".join(clean_mail(unquoted).split())
    if len(text) <= MAX_REQUEST_CHARS:
        return text
    ends = [end for _, end in sentences(text[:MAX_REQUEST_CHARS])[:-1]]
    if ends:
        return text[: ends[-1]]
    return text[:MAX_REQUEST_CHARS].rsplit(" ", 1)[0] + " …"


def _time_of(document: StoredDocument) -> datetime:
    return as_utc(document.ts or document.added_at)


# ---------------------------------------------------------------- what repeats


def _without_boilerplate(pieces: Sequence[_Piece], min_chars: int) -> list[_Piece]:
    """Drop longer paragraphs that stand word for word in several documents: footers, disclaimers."""
    seen: Counter[str] = Counter()
    for piece in pieces:
        seen.update({p for p in piece.text.split("\n\n") if len(p) >= BOILERPLATE_CHARS})
    often = {paragraph for paragraph, n in seen.items() if n >= BOILERPLATE_DOCUMENTS}
    kept = []
    for piece in pieces:
        text = "\n\n".join(p for p in piece.text.split("\n\n") if p not in often)
        if len(text) >= min_chars:
            kept.append(replace(piece, text=text))
    return kept


def _without_repeats(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Keep of near-duplicate pieces the last one; order stays.

    Two sets with a Jaccard of at least t share one of the first ``(1 - t) n + 1`` grams of each in any common
    order; the rarest come first, so few pairs are ever compared.
    Source: Chaudhuri, Ganti & Kaushik 2006, "A primitive operator for similarity joins"; exact.
    """
    all_grams = [shingles(piece.text) for piece in pieces]
    n_with = Counter(gram for grams in all_grams for gram in grams)
    by_gram: defaultdict[int, list[int]] = defaultdict(list)
    kept: list[int] = []
    for index in reversed(range(len(pieces))):
        grams = all_grams[index]
        ordered = sorted(grams, key=lambda gram: (n_with[gram], gram))
        prefix = ordered[: len(ordered) - ceil(SAME_PIECE * len(ordered)) + 1]
        near = {other for gram in prefix for other in by_gram[gram]}
        if any(jaccard(grams, all_grams[other]) >= SAME_PIECE for other in near):
            continue
        kept.append(index)
        for gram in prefix:
            by_gram[gram].append(index)
    return [pieces[index] for index in reversed(kept)]
