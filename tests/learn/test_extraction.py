"""Of what a model says about a text only the text's own sentences count, about whom they can be about."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from ragperso.claims import PLAN_DAYS
from ragperso.errors import LearnError
from ragperso.learn import extraction
from ragperso.learn.memories import EXPLICIT, MIN_CONFIDENCE

SAID = datetime(2026, 3, 1, tzinfo=timezone.utc)
TEXT = "I was tired.  I owe the\nlibrary two old radios. I opened a window. We owe the club two euros."
RADIOS = "I owe the library two old radios."


def one_piece(text: str = TEXT, **options: object) -> extraction.Piece:
    (piece,) = extraction.pieces(text, **options)  # type: ignore[arg-type]
    return piece


def answer(*rows: tuple[str, str, str]) -> str:
    return json.dumps([{"statement": s, "subject": who, "kind": kind} for s, who, kind in rows])


# ---------------------------------------------------------------- what is asked


def test_a_piece_holds_whole_sentences_with_their_places() -> None:
    piece = one_piece()
    assert piece.quotes[1] == RADIOS
    assert [" ".join(TEXT[a:b].split()) for a, b in piece.spans] == list(piece.quotes)
    assert piece.end == len(TEXT)


@pytest.mark.parametrize(
    "sentence",
    [
        "I live in Bonn.",  # the rules read it
        "Do I like radios from the cellar?",
        "If I had a cellar, I owed the library two old radios.",
        'He said "I owe the library two radios" and left.',
        "The old radios stood in the cellar.",  # nobody's
        "Napoleon owed the library two old radios.",  # nobody the person knows
        "I owe the library " + "very " * 60 + "old radios.",
        "# I owe the library two old radios",
        "> I owe the library two old radios.",
        "    I owe the library two old radios.\n",
    ],
)
def test_a_model_is_not_asked_about(sentence: str) -> None:
    assert list(extraction.pieces(sentence)) == []


def test_what_the_text_takes_back_is_not_offered_on_its_own() -> None:
    assert list(extraction.pieces("I live in Bonn. Just kidding.")) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "She owes the library what I borrowed.",
        "My sister owes the library what I borrowed.",
        "Mara owes the library what I borrowed.",
        "Sie schuldet der Bücherei, was ich geliehen habe.",
    ],
)
def test_nobody_speaks_of_themselves_behind_somebody_else(sentence: str) -> None:
    assert list(extraction.pieces(sentence, people=["Mara"])) == []


def test_somebody_else_is_a_subject_once_the_person_has_said_who_that_is() -> None:
    text = "Mara owes the library two old radios."
    assert list(extraction.pieces(text)) == []
    assert one_piece(text, people=["Mara"]).subjects == (("Mara", "other"),)


def test_pieces_are_bounded_and_reading_goes_on_where_it_stopped() -> None:
    text = " ".join(f"I owe the library radio number {n}." for n in range(20))
    found = list(extraction.pieces(text))
    assert [len(piece.quotes) for piece in found] == [6, 6, 6, 2]
    assert list(extraction.pieces(text, start=found[1].end)) == found[2:]
    long = " ".join(f"I owe the library {'very ' * 40}old radio {n}." for n in range(8))
    assert all(sum(map(len, p.quotes)) <= extraction.MAX_PIECE_CHARS for p in extraction.pieces(long))


@pytest.mark.parametrize(
    "text", ["", "a" * 300_000, "I " * 50_000, "\ud800 I \x00", '"' * 10_000, "I\n" * 20_000]
)
def test_odd_texts_are_read_without_complaint(text: str) -> None:
    for piece in extraction.pieces(text):
        extraction.grammar(piece)
        extraction.messages(piece)


def test_what_is_put_before_the_model_is_no_one_elses_text() -> None:
    told = [message.content for message in extraction.messages(one_piece())]
    assert told[-1].splitlines()[1] == RADIOS


# ---------------------------------------------------------------- what counts


def test_sentences_of_the_text_count_with_their_places() -> None:
    said = answer((" i OWE the  library two old radios.", "me", "preference"))
    (claim,) = extraction.claims_in(said, one_piece(), TEXT, said=SAID)
    assert TEXT[claim.start : claim.end] == "I owe the\nlibrary two old radios."
    assert (claim.kind, claim.subject, claim.slot, claim.value) == ("preference", "", "", "")
    assert MIN_CONFIDENCE <= claim.certainty <= 0.7 < EXPLICIT
    assert extraction.CERTAINTY_OF_SMALL_MODELS < MIN_CONFIDENCE


@pytest.mark.parametrize(
    "row",
    [
        ("I collect stamps in the cellar.", "me", "fact"),  # invented
        ("I owe the library", "me", "fact"),  # cut out of its sentence
        (RADIOS + " " + "I opened a window.", "me", "fact"),
        (RADIOS, "Tom", "fact"),  # not named there
        (RADIOS, "other", "fact"),
        (RADIOS, "me", "secret"),
    ],
)
def test_the_rest_is_dropped(row: tuple[str, str, str]) -> None:
    assert extraction.claims_in(answer(row), one_piece(), TEXT) == []


def test_other_shapes_are_dropped_and_one_sentence_counts_once() -> None:
    piece = one_piece()
    odd = [1, None, [], {}, {"statement": RADIOS}, {"statement": 3, "subject": "me", "kind": "fact"}]
    assert extraction.claims_in(json.dumps(odd), piece, TEXT) == []
    twice = answer((RADIOS, "me", "fact"), (RADIOS, "me", "event"))
    assert [claim.kind for claim in extraction.claims_in(twice, piece, TEXT)] == ["fact"]


def test_a_text_that_changed_meanwhile_gives_nothing() -> None:
    assert extraction.claims_in(answer((RADIOS, "me", "fact")), one_piece(), TEXT.replace("old", "new")) == []


@pytest.mark.parametrize("raw", ["", "[", '[{"statement":"I rest', "{}", '"x"', "none of it"])
def test_an_answer_that_is_no_list_is_an_error_without_its_words(raw: str) -> None:
    with pytest.raises(LearnError) as caught:
        extraction.claims_in(raw, one_piece(), TEXT)
    assert "rest" not in str(caught.value).split()


def test_a_plan_ends_and_stands_beside_other_plans() -> None:
    said = answer((RADIOS, "me", "plan"), ("We owe the club two euros.", "me", "plan"))
    first, second = extraction.claims_in(said, one_piece(), TEXT, said=SAID)
    assert first.ends == SAID + timedelta(days=PLAN_DAYS)
    assert first.slot != second.slot


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (RADIOS, "I owe the library two old radios", True),
        (RADIOS, "I owe the library two old radios and maps", True),
        (RADIOS, "It is over.", False),
        ("I am tired.", "I am tired of old radios.", False),
        (RADIOS, "I keep bees behind the shed.", False),
        ("", "", False),
    ],
)
def test_near_duplicates(one: str, other: str, same: bool) -> None:
    assert extraction.is_near(one, other) is same


def test_reprs_hold_no_text() -> None:
    assert "radios" not in repr(one_piece())
