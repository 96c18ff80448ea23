"""The style card counts what is there; its sentences say only what is unusual."""

from __future__ import annotations

import pytest

from ragperso.errors import NotEnoughData
from ragperso.learn.style import USUAL, StyleCard, describe, greeting_of, measure, sentences_about, signoff_of

THREE = [
    "Hi Jo,\n\nI can't come! Why not (again)? Well — it rains.\n\nBest, Ana",
    "Hi Milo,\n\nIt works. It really works.\n\nBest, Ana",
    "Ich komme am Freitag. Das Zelt ist nicht trocken.",
]


def test_every_figure_can_be_counted_by_hand() -> None:
    card = measure(THREE)
    # Sentences without greetings and sign-offs: 3 + 2 + 2, of 3 + 3 + 3, 2 + 3, 4 + 5 words.
    assert card.sentence_words == (3 + 3 + 3 + 2 + 3 + 4 + 5) / 7
    assert card.exclamations == 1 / 7
    assert card.questions == 1 / 7
    # All words: 2 + 9 + 2, 2 + 5 + 2, 9; one dash and one parenthesis among them.
    assert card.words == 31
    assert card.dashes == card.parentheses == 1000 / 31
    assert card.contractions == 1000 * 1 / 22  # of the English ones
    assert card.languages == (("en", 2 / 3), ("de", 1 / 3))
    assert card.greetings == (("Hi ...,", 2),)
    assert card.signoffs == (("Best, Ana", 2),)
    assert (card.emoji, card.ellipses, card.lists) == (0, 0, 0)


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "two"], ["one", "two", "  "]])
def test_fewer_than_three_pieces_are_not_enough(texts: list[str]) -> None:
    with pytest.raises(NotEnoughData) as caught:
        measure(texts)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("Hi Jo,\n\nbody", "Hi ...,"),
        ("Hello,\n\nbody", "Hello,"),
        ("Sehr geehrter Herr Haferkorn,\nbody", "Sehr geehrter ...,"),
        ("Chère Madame Aubrac,\n\ncorps", "Chère ...,"),
        ("Jo, my dear, dear Jo,\n\nbody", "NAME, ...,"),
        ("Jo,\n\nbody", "NAME,"),
        ("Hi there is no body", ""),
        ("History teaches us nothing.\n\nMore.", ""),
        ("The box arrived.\n\nIt is bent.", ""),
        ("", ""),
    ],
)
def test_greetings_are_kept_without_the_name(text: str, shape: str) -> None:
    assert greeting_of(text) == shape


@pytest.mark.parametrize(
    ("text", "signoff"),
    [
        ("Body.\n\n– Ana", "– Ana"),
        ("Body.\n\nBien à vous,\nBen Moreau", "Bien à vous,\nBen Moreau"),
        ("Body.\n\nBig hug, Ben", "Big hug, Ben"),
        ("Body.\n\nThat was all.", ""),
        ("Body.\n\n- bread", ""),
        ("Ana", ""),
    ],
)
def test_signoffs_are_short_and_apart(text: str, signoff: str) -> None:
    assert signoff_of(text) == signoff


def card(**figures: float) -> StyleCard:
    """Return a card in the middle of everything but ``figures``."""
    middle = {name: (usual.low + usual.high) / 2 for name, usual in USUAL.items()}
    return StyleCard(**{"pieces": 50, "words": 5000, "lists": 0.0, **middle, **figures})  # type: ignore[arg-type]


def test_the_usual_is_not_worth_a_sentence() -> None:
    assert sentences_about(card()) == ()


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"sentence_words": 7.2}, "Sentences are short, about 7 words."),
        ({"sentence_words": 25.0}, "Sentences are long, about 25 words."),
        ({"exclamations": 0.0}, "Never uses exclamation marks."),
        ({"exclamations": 0.34}, "Uses many exclamation marks: about one in 3 sentences ends with one."),
        ({"questions": 0.3}, "Asks many questions."),
        ({"dashes": 9.0}, "Often sets thoughts off with dashes."),
        ({"parentheses": 12.0}, "Often adds asides in parentheses."),
        ({"ellipses": 30.0}, "Often trails off with an ellipsis..."),
        ({"emoji": 5.0}, "Uses emoji."),
        ({"contractions": 0.0}, 'Seldom uses contractions: "do not" rather than "don\'t".'),
        ({"lists": 0.5}, "Likes lists."),
    ],
)
def test_the_unusual_is_said_plainly(figures: dict[str, float], sentence: str) -> None:
    assert sentences_about(card(**figures)) == (sentence,)


def test_never_is_not_said_from_a_handful_of_words() -> None:
    assert sentences_about(card(exclamations=0.0, words=50)) == ()


def test_a_dash_before_a_name_is_no_habit() -> None:
    assert measure(["Body text.\n\n– Ana", "More text.\n\n– Ana", "- an item\n- another one"]).dashes == 0


def test_the_table_has_a_row_for_every_figure() -> None:
    rows = measure(THREE).table()
    assert ("pieces", "3", "") in rows
    assert ("sentences ending in !", "14%", "2% to 19%") in rows or any(r[0].endswith("in !") for r in rows)
    assert ("greeting", "Hi ..., (2)", "") in rows


def test_no_name_of_another_person_gets_into_the_sentences() -> None:
    said = " ".join(describe([f"Hi {name},\n\nfine.\n\n– Ana" for name in ("Jo", "Jo", "Milo")]))
    assert "Jo" not in said
    assert 'Opens mails with "Hi ...,"' in said


def test_no_word_of_the_person_stands_in_a_repr() -> None:
    assert "Ana" not in repr(measure(THREE))
