"""Only what carries a sign of the person's hand counts as theirs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ragperso.learn.ownership import Identity, audience_of, identity, identity_of, register_of
from ragperso.types import DocumentId, StoredDocument

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
ANA = identity(["Ana@Example.org", "ana.k@work.example", "Ana"], ["Ana Keller"])


def document(key: str = "x", format: str = "text", corpus: str = "documents", **more: Any) -> StoredDocument:
    return StoredDocument(
        id=DocumentId(1),
        corpus=corpus,  # type: ignore[arg-type]
        key=key,
        source=more.pop("source", key),
        format=format,  # type: ignore[arg-type]
        title=more.pop("title", ""),
        ts=None,
        meta=more,
        n_chunks=1,
        n_chars=1,
        added_at=NOW,
    )


def mail(sender: Any, **more: Any) -> StoredDocument:
    return document("m", "mail", **{"from": sender, **more})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (mail("Ana Keller <ana@example.org>"), "mail"),
        (mail("ANA@EXAMPLE.ORG"), "mail"),
        (mail(["ana.k@work.example"], to=["jo@x.example", "ana@example.org"]), "mail"),
        (mail("ana@example.org", quoted="Can you come?"), "mail reply"),
        (mail("ana@example.org", subject="AW: Zelt"), "mail reply"),
        (mail("ana@example.org", title="Re: tent"), "mail reply"),
        (document("1", "row", speaker="ana"), "chat"),
        (document("1", "row", speaker="Ana  Keller"), "chat"),
        (document("1", "row", speaker="user"), "chat"),
        (document("1", "row", role="user"), "chat"),
        (document("1", "row", kind="post"), "post"),
        (document("1", "row", kind="letter"), "mail"),
        (document("1", "row", kind="ticket", speaker="Ana Keller"), "ticket"),
        (document("1", "row", kind="ticket", role="agent", author="ana@example.org"), "ticket"),
        (document("1", "row", kind="ticket", **{"from": "Ana <ana@example.org>"}), "ticket"),
        (document("writing/a.docx", "markdown"), "post"),
        (document("/home/ana/Posts/a.md", "markdown"), "post"),
        (document("notes/a.md", "markdown"), "note"),
        (document("notes/a.md", "markdown", author="Ana Keller"), "note"),
        (document("journal/2026.txt"), "note"),
    ],
)
def test_what_the_person_wrote(one: StoredDocument, expected: str) -> None:
    assert register_of(one, ANA) == expected


@pytest.mark.parametrize(
    "one",
    [
        mail("Jo <jo@x.example>"),
        mail("Ana Keller <stranger@evil.example>"),  # a display name proves nothing
        mail('"ana@example.org" <stranger@evil.example>'),
        mail("ana@example.org.evil.example"),
        mail("ana@example.org", to="Ana <ana@example.org>"),  # a common way to forge a sender
        mail(None),
        mail(""),
        document("1", "row", speaker="Jo"),
        document("1", "row", speaker="Anabel"),
        document("1", "row", speaker="Assistant"),
        document("1", "row", role="assistant"),
        document("1", "row"),
        document("1", "row", kind="ticket", speaker="user"),
        document("1", "row", kind="ticket", speaker="me"),
        document("1", "row", kind="ticket", role="agent"),
        document("1", "row", kind="ticket", speaker="Dana", author="Ana Keller"),
        document("writing/a.md", "markdown", author="Someone Else"),
        document("notes/clip.md", "markdown", source="notes/clip.md", url="https://example.org/post"),
        document("notes/paper.pdf"),
        document("notes/page.html", "markdown"),
        document("I1", "text", "history", kind="interaction", speaker="Ana"),
        document("e", "text", "exemplars", speaker="Ana"),
        document("code/main.py", "code"),
    ],
)
def test_what_is_not_theirs(one: StoredDocument) -> None:
    assert register_of(one, ANA) is None


def test_whom_a_document_is_addressed_to() -> None:
    assert audience_of(mail("ana@example.org", to=["Ana <ana@example.org>", "Jo <Jo@X.example>"]), ANA) == (
        "jo@x.example"
    )
    assert audience_of(document("1", "row", to="Jo Brandt"), ANA) == "jo brandt"
    assert audience_of(mail("ana@example.org"), ANA) == ""


def test_an_address_without_an_at_sign_is_a_name() -> None:
    assert ANA.addresses == {"ana@example.org", "ana.k@work.example"}
    assert ANA.names == {"ana", "ana keller", "user", "me"}
    assert (
        identity_of({"name": "Ana Keller", "addresses": ["Ana@Example.org", "ana.k@work.example", "Ana"]})
        == ANA
    )
    assert identity_of({}) == Identity()
