from __future__ import annotations

import pytest

from ragperso.ingest.quotes import take_apart


@pytest.mark.parametrize(
    ("text", "own", "quoted"),
    [
        (
            "Yes.\n\nOn Mon, 8 May 2023, Ana <ana@x.org> wrote:\n> Come?\n> When?",
            "Yes.",
            "Come?\nWhen?",
        ),
        (
            "Ja, gern.\n\nAm 08.05.2023 um 10:12 schrieb Ana Müller <ana@x.org>:\n\n> Kommst du?\n",
            "Ja, gern.",
            "Kommst du?",
        ),
        ("Oui.\n\nLe 8 mai 2023 à 10:12, Ana a écrit :\n> Tu viens ?", "Oui.", "Tu viens ?"),
        (
            "Sure.\n\nOn Monday, 8 May 2023 at 10:12,\nAna Maria von Example\n<ana@x.org> wrote:\n> Hm?",
            "Sure.",
            "Hm?",
        ),
        (
            "> One?\n\nFirst answer.\n\n> > Two?\n\nSecond answer.",
            "First answer.\n\nSecond answer.",
            "One?\n\nTwo?",
        ),
        (
            "Ok.\n\n-----Original Message-----\nFrom: Ana\nHello",
            "Ok.",
            "-----Original Message-----\nFrom: Ana\nHello",
        ),
        (
            "Passt.\n__________\nVon: Ana <a@x>\nGesendet: Montag\nAn: Ben\nBetreff: Re\n\nHi",
            "Passt.",
            "__________\nVon: Ana <a@x>\nGesendet: Montag\nAn: Ben\nBetreff: Re\n\nHi",
        ),
        ("Ok.\n\nOn 8 May 2023 Ana wrote:\n\nNo marks here.", "Ok.", "No marks here."),
        ("As Goethe wrote:\nEverything is hard.", "As Goethe wrote:\nEverything is hard.", ""),
        ("From: here to there\nwe walked.", "From: here to there\nwe walked.", ""),
    ],
)
def test_own_words_and_the_words_they_answer(text: str, own: str, quoted: str) -> None:
    parts = take_apart(text)
    assert (parts.own, parts.quoted) == (own, quoted)


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("Hi.\n-- \nAna\n+49 123", "Ana\n+49 123"),
        ("Hi.\n\nSent from my iPhone", "Sent from my iPhone"),
        ("Hi.\n\nVon meinem iPhone gesendet", "Von meinem iPhone gesendet"),
        ("Hi.\n\nEnvoyé de mon iPhone\n\n", "Envoyé de mon iPhone"),
        ("Hi.\n-- \nAna\n\nOn 8 May 2023, Ben wrote:\n> x", "Ana"),
    ],
)
def test_signatures_are_cut(text: str, signature: str) -> None:
    parts = take_apart(text)
    assert (parts.own, parts.signature) == ("Hi.", signature)


def test_a_forwarded_mail_stays_and_is_marked() -> None:
    parts = take_apart("FYI\n\n---------- Forwarded message ---------\nFrom: Bahn\nYour ticket")
    assert parts.forwarded_from is not None
    assert parts.own[: parts.forwarded_from].strip() == "FYI"
    assert parts.own[parts.forwarded_from :].endswith("Your ticket")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit", ["> ", "On ", "a wrote ", ">\n", "On a\n", "-", "From: a\n", "Am 1 schrieb \n"]
)
def test_half_a_megabyte_loses_no_word(unit: str) -> None:
    """Well under a second; where a pattern backtracks it takes minutes and the test times out."""
    text = unit * (500_000 // len(unit))
    parts = take_apart(text)
    assert f"{parts.own} {parts.quoted}".split() == text.replace(">", " ").split()
