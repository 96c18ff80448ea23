from __future__ import annotations

import email.message
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragperso.errors import UnreadableDocument
from ragperso.ingest.readers import read
from ragperso.types import Document, Skipped

REPLY = """\
From: =?utf-8?q?Ana_M=C3=BCller?= <Ana@Example.org>
To: Ben <ben@example.org>, cy@example.org
Cc: dora@example.org
Subject: Re: =?utf-8?b?R3LDvMOfZQ==?=
Date: Mon, 8 May 2023 14:00:00 +0200
Message-ID: <3@example.org>
In-Reply-To: <2@example.org>
References: <1@example.org> <2@example.org>
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

Ja, sch\xf6n.

Am 08.05.2023 um 10:12 schrieb Ben:
> Kommst du?
--
Ana
""".replace("--\nAna", "-- \nAna").encode("latin-1")


def one(folder: Path, data: bytes, name: str = "m.eml") -> Document:
    path = folder / name
    path.write_bytes(data)
    (found,) = read(path, key=name)
    assert isinstance(found, Document)
    return found


def test_a_reply_is_its_sender_s_words_with_what_they_answer(tmp_path: Path) -> None:
    found = one(tmp_path, REPLY)
    assert (found.text, found.title, found.format) == ("Ja, schön.", "Re: Grüße", "mail")
    assert (found.key, found.source) == ("3@example.org", "m.eml")
    assert found.ts == datetime(2023, 5, 8, 12, tzinfo=timezone.utc)
    assert found.meta == {
        "subject": "Re: Grüße",
        "from": "ana@example.org",
        "speaker": "Ana Müller",
        "to": ["ben@example.org", "cy@example.org"],
        "cc": ["dora@example.org"],
        "message_id": "3@example.org",
        "in_reply_to": "2@example.org",
        "thread": "1@example.org",
        "quoted": "Kommst du?",
    }


def test_plain_text_is_preferred_and_attachments_are_named(tmp_path: Path) -> None:
    message = email.message.EmailMessage()
    message["From"] = "a@example.org"
    message.set_content("plain words")
    message.add_alternative("<p>rich <b>words</b></p>", subtype="html")
    message.add_attachment(b"\0\1", maintype="image", subtype="png", filename="Foto.png")
    found = one(tmp_path, message.as_bytes())
    assert found.text == "plain words"
    assert found.meta["attachments"] == ["Foto.png"]
    assert found.key == "m.eml"  # no message id


def test_html_alone_is_converted(tmp_path: Path) -> None:
    message = email.message.EmailMessage()
    message["From"] = "a@example.org"
    message.set_content("<h1>Hi</h1><p>rich <b>words</b></p>", subtype="html")
    assert one(tmp_path, message.as_bytes()).text == "# Hi\n\nrich **words**"


def test_flowed_lines_are_joined(tmp_path: Path) -> None:
    data = b"From: a@x\nContent-Type: text/plain; format=flowed\n\nOne \ntwo.\nThree.\n"
    assert one(tmp_path, data).text == "One two.\nThree."


def test_a_mailbox_yields_its_messages_and_names_the_bad_ones(tmp_path: Path) -> None:
    lines = [
        b"From ana@example.org Mon May  8 12:00:00 2023",
        b"From: a@example.org",
        b"Message-ID: <1@x>",
        b"",
        b"First.",
        b">From here on",
        b"From this line no message begins",
        b"",
        b"From ana@example.org Mon May  8 12:00:00 2023",
        b"no headers here",
        b"",
        b"From ana@example.org Mon May  8 12:00:00 2023",
        b"From: b@example.org",
        b"Subject: no id",
        b"",
        b"Third.",
        b"",
        b"From ana@example.org Mon May  8 12:00:00 2023",
        b"From: a@example.org",
        b"Message-ID: <1@x>",
        b"",
        b"A copy of the first.",
    ]
    path = tmp_path / "box.mbox"
    path.write_bytes(b"\n".join(lines))
    first, bad, third = read(path, key="box.mbox")
    assert isinstance(first, Document)
    assert (first.key, first.source) == ("1@x", "box.mbox")
    assert first.text == "First.\nFrom here on\nFrom this line no message begins"
    assert bad == Skipped("box.mbox#2", "not a mail message")
    assert isinstance(third, Document)
    assert (third.key, third.text) == ("box.mbox#3", "Third.")


def test_a_mailbox_may_be_larger_than_a_message(tmp_path: Path) -> None:
    head = b"From a@x Mon May  8 12:00:00 2023\nFrom: a@x\nMessage-ID: <%d@x>\n\n%s\n\n"
    path = tmp_path / "box.mbox"
    path.write_bytes(b"".join(head % (n, b"x" * (400 if n == 2 else 50)) for n in range(5)))
    found = list(read(path, key="b", max_file_bytes=300))
    assert [d.key for d in found if isinstance(d, Document)] == ["0@x", "1@x", "3@x", "4@x"]
    assert [d.path for d in found if isinstance(d, Skipped)] == ["b#3"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"From: a@x\n" + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 3_000,
        b"From: a@x\nContent-Type: text/plain\n\n" + bytes(range(256)),
    ],
    ids=["empty", "zeros", "parts in parts", "binary"],
)
def test_malformed_messages_are_refused_with_a_reason(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.eml"
    path.write_bytes(data)
    with pytest.raises(UnreadableDocument, match=r"m\.eml: "):
        list(read(path, key="m.eml"))


@pytest.mark.parametrize(
    "header",
    [
        b"From: \xff\xfe <a@x>",
        b"From: =?nonsense?q?=FF?= <a@x>",
        b"From: a@x\nDate: never",
        b"From: a@x\nDate: Mon, 99 May 99999 99:99:99 +9999",
        b'From: "a@x\nTo: <<<>>>,,;:[]@',
        b"From: a@x\nContent-Type: text/plain; charset=no-such-charset",
        b"From: a@x\nContent-Type: ;;;",
        b"From: a@x\nMessage-ID: <[]@[]:",
        b"From: a@x\nContent-Transfer-Encoding: base64x",
    ],
)
def test_malformed_headers_do_not_lose_the_text(tmp_path: Path, header: bytes) -> None:
    assert "Hello" in one(tmp_path, header + b"\n\nHello there\n").text
