"""What kind of text is asked for, for whom, and what kind a text is: a labelled set and single cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragperso.registers import (
    REGISTERS,
    audience_of_request,
    continued_in,
    fold,
    greeted_in,
    is_same_audience,
    is_same_kind,
    matter_of_request,
    register_of_place,
    register_of_request,
    register_of_text,
)

SETS = Path(__file__).parent / "registers"
PASTED = "From: Jo Brandt <jo@x.example>\nSubject: Friday\n\nAre you coming?\n\nJo"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SETS / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("part", "most"), [("dev", 0.03), ("held-out", 0.03), ("fresh", 0.15)])
def test_the_labelled_requests_are_told_right(part: str, most: float) -> None:
    """What may be wrong is a little more than what benchmarks/registers.py shows to be."""
    found = rows(f"requests-{part}.jsonl")
    wrong = [row["text"] for row in found if register_of_request(row["text"]) != row["register"]]
    assert len(wrong) <= most * len(found), wrong


@pytest.mark.parametrize("part", ["dev", "held-out"])
def test_the_labelled_pieces_are_told_right(part: str) -> None:
    found = rows(f"pieces-{part}.jsonl")
    wrong = [row["text"] for row in found if register_of_text(row["text"]) != row["register"]]
    assert len(wrong) <= 0.05 * len(found), wrong


def test_the_labelled_set_is_large_and_has_every_register_in_every_part() -> None:
    requests, pieces = [], []
    for part in ("dev", "held-out", "fresh"):
        requests.append(rows(f"requests-{part}.jsonl"))
    for part in ("dev", "held-out"):
        pieces.append(rows(f"pieces-{part}.jsonl"))
    assert sum(map(len, requests)) >= 150
    assert sum(map(len, pieces)) >= 120
    assert all({row["register"] for row in part} == {*REGISTERS, ""} for part in requests + pieces)
    texts = [row["text"] for part in requests for row in part]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("text", "register"),
    [
        (PASTED, "mail reply"),
        (f"Answer this mail:\n\n{PASTED}", "mail reply"),
        ("Re: Friday\n\nCan you come at four? Best, Jo", "mail reply"),
        ("reply to ticket 4711", "ticket"),
        ("Write a mail to a customer in Bern", "mail"),
        ("tell Jo on chat that I am late", "chat"),
        ("What did Jo's mail say?", ""),
        ("note that the deadline moved, when is it now?", ""),
        ("Summarise the text about tides", ""),
        ("What is the message of the book?", ""),
        ("Where is the post office?", ""),
        ("something about rain", ""),
        ("", ""),
    ],
)
def test_the_register_of_a_request(text: str, register: str) -> None:
    assert register_of_request(text) == register


@pytest.mark.parametrize(
    ("text", "audience"),
    [
        ("Write a short mail to Jo declining dinner", "jo"),
        ("Schreib eine Mail an Frau Petzold", "frau petzold"),
        ("Écris un mail à Claire", "claire"),
        ("Escribe un correo para Marta", "marta"),
        ("write to Ben@X.example that it is done", "ben@x.example"),
        (PASTED, "jo@x.example"),
        ("From: Jo Brandt\n\nhello", "jo brandt"),
        ("Answer this mail: Are you coming? Best, Oda", "oda"),
        ("a blog post about steel", ""),
        ("Write a mail on Monday", ""),
    ],
)
def test_whom_a_text_is_for(text: str, audience: str) -> None:
    assert audience_of_request(text) == audience


def test_two_names_of_one_audience() -> None:
    assert is_same_audience("jo", "jo.brandt@kanalpost.example")
    assert is_same_audience("frau petzold", "petzold")
    assert is_same_audience("jo@x.example", "jo@x.example")
    assert not is_same_audience("jo@x.example", "jo@y.example")
    assert not is_same_audience("jo brandt", "jo keller")
    assert not is_same_audience("jo", "joanna@x.example")
    assert not is_same_audience("", "")
    assert not is_same_audience("frau", "herr")


def test_the_greeting_says_whom_a_piece_is_for() -> None:
    assert greeted_in("Hi Jo,\n\nfine.") == "jo"
    assert greeted_in("Sehr geehrte Frau Petzold,\n\nja.") == "frau petzold"
    assert greeted_in("Dear all,\n\nfine.") == ""
    assert greeted_in("The trailer is back.\nAna") == ""


def test_a_place_tells_more_than_the_shape() -> None:
    assert register_of_place("mine/Blog/2026/a.md") == "post"
    assert register_of_place("mine/a.eml") == "mail"
    assert register_of_place("posts.md") == ""  # a file's name is no folder
    assert register_of_text("Frost last night.", "journal/a.md") == "note"
    assert register_of_text("yes, four is fine", "mail/sent.mbox") == "mail reply"


def test_one_kind_of_text() -> None:
    assert is_same_kind("mail", "mail reply")
    assert not is_same_kind("mail", "post")
    assert not is_same_kind("", "")


def test_folding() -> None:
    assert fold("  Ana\u00a0 KELLER ") == "ana keller"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "From: " * 50_000,
        "\n>" * 100_000,
        "Dear " * 60_000,
        "\ud800" * 3_000,
        "to Jo " * 50_000,
        "Jo Brandt " * 30_000,
        '"' * 300_000,
        "On 1 wrote:\n" * 30_000,
        "Hi " + "A" * 300_000 + ",\n\nBest\nJo",
    ],
    ids=lambda text: repr(text[:6]),
)
def test_hostile_text_is_told_something(text: str) -> None:
    assert register_of_request(text) in (*REGISTERS, "")
    assert register_of_text(text) in (*REGISTERS, "")
    assert len(audience_of_request(text)) < 300
    assert len(greeted_in(text)) <= 60


@pytest.mark.parametrize(
    ("text", "frame", "beginning"),
    [
        ("Continue this post: It rained. We", "Continue this post:", "It rained. We"),
        ("Please finish my draft mail:\nDear Jo", "Please finish my draft mail:", "Dear Jo"),
        ("Setz den Beitrag fort: Es hat geregnet", "Setz den Beitrag fort:", "Es hat geregnet"),
        ("Continue ce texte : Il pleut", "Continue ce texte :", "Il pleut"),
        ("Continúa esta nota: Llueve", "Continúa esta nota:", "Llueve"),
        ("Continue this post:", "", ""),
        ("Continue with the plan: we meet at six", "", ""),
        ("Write a post about how we continue this: carefully", "", ""),
        ("", "", ""),
    ],
)
def test_what_is_to_be_continued(text: str, frame: str, beginning: str) -> None:
    assert continued_in(text) == (frame, beginning)


@pytest.mark.parametrize(
    ("text", "matter"),
    [
        ("Write a mail to Jo about the broken gate", "to Jo broken gate"),
        ("Subject: Broken gate", "Broken gate"),
        ("Continue this post: I write about a post", "I write about a post"),
        ("Schreib eine Notiz über das Tor", "eine das Tor"),
        ("Write a mail", "Write a mail"),  # nothing else is left to go by
        ("broken gate", "broken gate"),
        ("", ""),
    ],
)
def test_what_a_request_is_about(text: str, matter: str) -> None:
    assert matter_of_request(text) == matter


@pytest.mark.parametrize("text", ["Continue this " + "a " * 150_000, "about " * 50_000, "\ud800: " * 9])
def test_hostile_requests_have_a_matter(text: str) -> None:
    assert matter_of_request(text)
    assert continued_in(text) == ("", "")
