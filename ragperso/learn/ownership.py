"""Stage 7, learn: which documents the person wrote.

In: a stored document's key and metadata, the person's addresses and names.  Out: a register, or nothing.
Never: guesses.  What others wrote must not become the person's voice, so a document without a sign of its
author is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Final

from ragperso.registers import Register, fold
from ragperso.types import Json, StoredDocument

SELF: Final = frozenset({"user", "me"})  # what chat exports call the person
MACHINES: Final = frozenset({"assistant", "chatgpt", "claude", "gemini", "copilot", "bot", "ai", "model"})
_DESK: Final = frozenset({"agent", "support", "staff", "helpdesk"})
_MAIL_KINDS: Final = frozenset({"letter"})
_TICKET_KINDS: Final = frozenset({"ticket", "ticket answer", "support", "case"})
_POST_KINDS: Final = frozenset({"post", "blog", "essay", "article-by-me", "draft"})
_NOTE_KINDS: Final = frozenset({"journal", "diary", "note", "note-by-me"})
_POST_PLACES: Final = frozenset({"writing", "posts", "drafts"})
_NOTE_PLACES: Final = frozenset({"journal", "diary"})
_PLAIN_NOTES: Final = (".md", ".markdown", ".txt", ".rst")  # typed by hand; PDF or HTML is mostly saved
_ELSEWHERE: Final = ("url", "source", "source_url", "link", "canonical", "clipped_from")
_URL: Final = re.compile(r"\s*(?:https?://|www\.)", re.IGNORECASE)
_REPLY: Final = re.compile(r"\s*(?:re|aw|antw|sv|réf?)\s*(?:\[\d+\])?\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells the person's own writing: mail addresses, and names as chats show them; all folded."""

    addresses: frozenset[str] = frozenset()
    names: frozenset[str] = SELF

    def has_address(self, value: Json) -> bool:
        """Say whether a mail header holds one of the person's addresses; display names prove nothing."""
        return not self.addresses.isdisjoint(_addresses_in(value))

    def has_name(self, value: Json) -> bool:
        return isinstance(value, str) and fold(value) in self.names


def identity(addresses: Collection[str], names: Collection[str]) -> Identity:
    """Return who the person is; an "address" without an at sign is a name."""
    given = {fold(value) for value in (*addresses, *names)} - {""}
    return Identity(
        frozenset(v for v in given if "@" in v), frozenset(v for v in given if "@" not in v) | SELF
    )


def identity_of(values: Mapping[str, Json]) -> Identity:
    """Return who the person is by the settings of the profile."""
    addresses, name = values.get("addresses") or [], values.get("name") or ""
    return identity([str(a) for a in addresses], [str(name)])


def own_part(document: StoredDocument, text: str) -> str:
    """Return ``text`` up to where a forwarded mail begins: behind it stand someone else's words."""
    end = document.meta.get("forwarded_from")
    return text[:end] if isinstance(end, int) else text


def register_of(document: StoredDocument, person: Identity) -> Register | None:
    """Return the register of a document the person wrote, None for everything else."""
    meta = document.meta
    kind = fold(str(meta.get("kind") or ""))
    if document.corpus == "exemplars" or kind in ("interaction", "exemplar"):
        return None  # an answer is the model's voice, an exemplar is mined already
    if kind in _TICKET_KINDS:
        return "ticket" if _answers_customer(meta, person) else None
    if document.format == "mail" or "from" in meta:
        if not person.has_address(meta.get("from")) or _is_to_self(meta.get("to"), person):
            return None
        return "mail reply" if _answers_something(document) else "mail"
    if speaker := meta.get("speaker") or meta.get("role"):
        return "chat" if person.has_name(speaker) else None
    if _is_from_elsewhere(meta, person):
        return None
    if kind in _MAIL_KINDS:
        return "mail"
    places = {fold(part) for part in re.split(r"[/\\]", document.source or document.key)[:-1]}
    if kind in _POST_KINDS or places & _POST_PLACES:
        return "post"
    if kind in _NOTE_KINDS or places & _NOTE_PLACES:
        return "note"
    name = (document.source or document.key).lower()
    if document.format in ("markdown", "text") and name.endswith(_PLAIN_NOTES):
        return "note"
    return None


def audience_of(document: StoredDocument, person: Identity) -> str:
    """Return whom a document is addressed to: the first address or name that is not the person's, folded."""
    value = document.meta.get("to") or document.meta.get("audience")
    values = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]
    given = [address for _, address in getaddresses([v for v in values if "@" in v])]
    for address in given or [name for v in values for name in v.split(",")]:
        found = fold(address)
        if found and found not in person.addresses | person.names:
            return found
    return ""


def is_machine(speaker: str) -> bool:
    """Say whether a speaker is an assistant, whose words are no request of anybody's."""
    return fold(speaker) in MACHINES


def _answers_customer(meta: Mapping[str, Json], person: Identity) -> bool:
    """Say whether a turn of a ticket is the person's as the one who answers.

    ``user`` is the customer there.  A desk's role alone names nobody, and the agent a ticket is assigned to
    did not write what the customer says.
    """
    speaker = fold(str(meta.get("speaker") or meta.get("role") or ""))
    authors = [meta.get("author"), meta.get("by"), meta.get("from")]
    if speaker in _DESK:
        authors.append(meta.get("agent"))
    elif speaker:
        return speaker not in SELF and (person.has_name(speaker) or person.has_address(speaker))
    return any(person.has_address(a) or (person.has_name(a) and fold(str(a)) not in SELF) for a in authors)


def _addresses_in(value: Json) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {fold(a) for _, a in getaddresses([v for v in values if isinstance(v, str)]) if a}


def _is_to_self(value: Json, person: Identity) -> bool:
    """A mail "from me to me" is a reminder at best and a forged sender at worst."""
    found = _addresses_in(value)
    return bool(found) and found <= person.addresses


def _answers_something(document: StoredDocument) -> bool:
    meta = document.meta
    return bool(
        meta.get("quoted")
        or meta.get("in_reply_to")
        or _REPLY.match(str(meta.get("subject") or document.title))
    )


def _is_from_elsewhere(meta: Mapping[str, Json], person: Identity) -> bool:
    """Say whether front matter names another author or a web address the text was taken from."""
    authors = meta.get("author") or meta.get("authors") or meta.get("by") or []
    authors = authors if isinstance(authors, list) else [authors]
    if authors and not any(person.has_name(a) or person.has_address(a) for a in authors):
        return True
    return any(_starts_with_url(meta.get(key)) for key in _ELSEWHERE)


def _starts_with_url(value: Json) -> bool:
    values: Iterable[Json] = value if isinstance(value, list) else [value]
    return any(isinstance(v, str) and _URL.match(v) for v in values)
