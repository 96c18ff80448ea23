"""The style card counts what is there; its sentences say only what is unusual; a draft is held against it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from ragperso import shapes
from ragperso.errors import NotEnoughData
from ragperso.learn import background, habits
from ragperso.learn.habits import count, greeting_of, signoff_of
from ragperso.learn.style import (
    MAX_SENTENCES,
    Piece,
    StyleCard,
    blend,
    describe,
    distance,
    measure,
    sentences_about,
    sentences_to,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

THREE = [
    "Hi Jo,\n\nI can't come! Why not (again)? Well — it rains.\n\nBest, Ana",
    "Hi Milo,\n\nIt works. It really works.\n\nBest, Ana",
    "Ich komme am Freitag. Das Zelt ist nicht trocken.",
]


def pieces(text: str, n: int = 20, **known: str) -> list[Piece]:
    return [Piece(text, **known) for _ in range(n)]


def plain(*, n: int = 12, end: str = ".") -> str:
    """Return five sentences of ``n`` words; most of them are on no list."""
    words = (
        "The copper kettle sat near the window while rain fell over our garden and the cat slept on it all"
    )
    return " ".join([" ".join(words.split()[:n]) + end] * 5)


# ---------------------------------------------------------------- counting


def test_every_figure_can_be_counted_by_hand() -> None:
    card = measure(THREE)
    # Greetings and sign-offs are set aside: 3 + 2 + 2 sentences, of 3 + 3 + 3, 2 + 3, 4 + 5 words.
    assert card.words == 23
    assert card.sentence_words == 23 / 7
    assert card.sentence_quartiles == (3, 3, 4)
    assert card.figure("exclamations") == card.figure("questions") == 1 / 7
    assert card.figure("dashes") == card.figure("parentheses") == 1000 / 23
    assert card.contractions == 1000 * 1 / 14  # of the English ones
    assert card.languages == (("en", 2 / 3), ("de", 1 / 3))
    assert [(p.shape, p.uses, p.language) for p in card.greetings] == [("Hi ...,", 2, "en")]
    assert [(p.shape, p.uses) for p in card.signoffs] == [("Best, Ana", 2)]
    assert (card.figure("emoji"), card.figure("ellipses"), card.lists) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "name", "n"),
    [
        ("so i went home. it was late. Then rain.", "lower_starts", 2),
        (
            "Liebe Jo,\n\nes regnet. Ich bleibe.",
            "lower_starts",
            0,
        ),  # behind a greeting that is how it is done
        ("Come in.  Sit down.  Eat.", "double_spaces", 2),
        ("Red, green; blue: so it was.", "commas", 1),
        ("Red, green; blue: so it was.", "semicolons", 1),
        ("At 9:14 there is one: this.", "colons", 1),
        ("It cost 1,000 euros.", "commas", 0),
        ("No way!! Really?! Yes!", "repeats", 2),
        ("I am NEVER in the USA.", "capitals", 1),  # short ones are abbreviations
        ("Well... no… yes.", "ellipses", 2),
        ("Fine :) and \U0001f600 too.", "emoji", 2),
        ("It was not made here and is quickly painted.", "passives", 2),
        ("We are tired and it is red.", "passives", 0),
        ("Yeah, that stuff is gonna work.", "slang", 3),
        ("However, it works; therefore we stay.", "connectives", 2),
        ("Bread, milk, and eggs or tea, jam, and cake.", "oxford", 2),
        ("I brought bread, milk and eggs home.", "series", 1),
        ("A sentence\n\nAnother without\n\nAnd a third.", "unended", 2),
        ("- bread\n- milk\n\nThat is all.", "lists", 1),
        ("- bread\n- milk\n\nThat is all.", "unended", 0),
    ],
)
def test_marks_and_words_are_counted(text: str, name: str, n: int) -> None:
    assert count(text).counts.get(name, 0) == n


@pytest.mark.parametrize(
    ("text", "language", "informal", "polite"),
    [
        ("Hast du dein Rad? Kommen Sie, wenn Sie Ihre Zeit haben. Sie regnet.", "de", 2, 3),
        ("Tu viens ? T'as ton sac. Je vous attends avec votre vélo.", "fr", 3, 2),
        ("You and your bike.", "en", 0, 0),
    ],
)
def test_familiar_and_polite_address_are_told_apart(
    text: str, language: str, informal: int, polite: int
) -> None:
    counts = count(text, language=language).counts
    # "Kommen Sie", "wenn Sie" and "Ihre"; a "Sie" behind a full stop counts too, it is not "she" for certain.
    assert (counts["informal"], counts["polite"]) == (informal, pytest.approx(polite, abs=1))


def test_series_are_those_of_english() -> None:
    assert "series" not in count("Bread, milk, and jam.", language="de").counts
    assert count("Bread, milk, and jam.", language="en").counts["series"] == 1


def test_a_mail_and_a_reply_are_mails() -> None:
    replies = [Piece("one two three", "mail reply"), Piece("one two", "mail reply"), Piece("one", "mail")]
    assert measure(replies).registers == (("mail", 3, 2.0),)


def test_richness_does_not_fall_with_length() -> None:
    words = [f"w{i}" for i in range(60)]
    varied, twice = " ".join(words), " ".join(words + words)
    assert count(varied).counts["richness"] == 11  # 11 windows of 50 different words
    for text in (varied, twice):
        counts = count(text).counts
        assert counts["richness"] / counts["windows"] == 1
    assert count("so " * 50).counts["richness"] == 1 / 50


def test_one_habit_is_not_counted_on_words_of_another_language() -> None:
    card = measure(
        [*pieces("I can't. I won't.", 5, language="en"), *pieces("Ich komme nicht heim.", 9, language="de")]
    )
    assert card.contractions == 500
    assert card.figure("contractions") == 0  # German is the language written most
    assert card.usual("contractions") is None  # and has no background
    assert card.usual("exclamations") is not None


@pytest.mark.parametrize(
    ("words", "variant"),
    [
        ("colour centre grey", "British"),
        ("color center gray", "American"),
        ("colour center grey", ""),  # two of three are not clear
        ("colour colour colour colour", ""),  # one word may be a name
        ("colour grey", ""),
    ],
)
def test_a_spelling_is_named_only_when_it_is_clear(words: str, variant: str) -> None:
    texts = [f"The {word} was there." for word in words.split()]
    assert measure([*texts, *["It rained."] * 3]).variant == variant


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


def test_greetings_know_with_whom() -> None:
    to_jo, to_boss = "Hi Jo,\n\nfine.\n\n– A", "Dear Ms. Weiss,\n\nfine.\n\nBest regards, Ana"
    card = measure(
        [*pieces(to_jo, 3, audience="jo@b.example"), *pieces(to_boss, 2, audience="carla@w.example")]
    )
    assert [(p.shape, p.uses, p.audiences) for p in card.greetings] == [
        ("Hi ...,", 3, ("jo@b.example",)),
        ("Dear ...,", 2, ("carla@w.example",)),
    ]
    told = ('To this reader opens "Dear ...," and signs off "Best regards, Ana".',)
    assert sentences_to(card, "carla@w.example") == sentences_to(card, "Carla") == told
    assert sentences_to(card, "milo@c.example") == sentences_to(card, "") == sentences_to(None, "Carla") == ()


def test_a_dash_before_a_name_is_no_habit() -> None:
    assert (
        measure(["Body text.\n\n– Ana", "More text.\n\n– Ana", "- an item\n- another one"]).figure("dashes")
        == 0
    )


# ---------------------------------------------------------------- the background


def test_the_background_holds_numbers_only() -> None:
    text = background.SHIPPED.read_text(encoding="utf-8")
    registers = tomllib.loads(text)["en"]
    assert set(registers) == {"post", "mail", "chat"}
    assert set(registers["post"]["words"]) == set(habits.WORDS)  # no word that is not on the lists
    for told in registers.values():
        assert set(told["habits"]) <= {h.name for h in habits.HABITS} | {
            "sentence_words", "piece_words", "formality",
        }  # fmt: skip
        for level in told["habits"].values():
            deciles = level.get("deciles", [])
            assert deciles == sorted(deciles)
    assert not any(isinstance(v, str) for row in registers["post"]["words"].values() for v in row)


def test_the_usual_is_that_of_the_registers_written_in() -> None:
    mails, posts = pieces(plain(), 3, register="mail"), pieces(plain(), 6, register="post")
    mail, post, both = (low_of(measure(group)) for group in (mails, posts, [*mails, *posts]))
    assert mail != post
    assert both == pytest.approx((mail + 2 * post) / 3)


def low_of(card: StyleCard) -> float:
    usual = card.usual("exclamations")
    assert usual is not None
    return usual.low


# ---------------------------------------------------------------- in words


def said_of(*texts: str, n: int = 20) -> tuple[str, ...]:
    return sentences_about(measure([Piece(text, "post", "", "en") for text in texts for _ in range(n)]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (plain(n=5), "Sentences are short, about 5 words."),
        (plain(n=20).replace(".", " and the cat slept on."), "Sentences are long, about 25 words."),
        (plain(end="!"), "Uses many exclamation marks: about one in 2 sentences ends with one."),
        (plain(), "Never uses exclamation marks."),
        (plain(end="?"), "Asks many questions."),
        (plain() + " It rained — as ever — and — well — stopped.", "Often sets thoughts off with dashes."),
        (plain() + " It rained (as ever) and stopped (for once).", "Often adds asides in parentheses."),
        (plain() + " So... it rained... and then... it stopped.", "Often trails off with an ellipsis..."),
        (plain() + " It rained \U0001f327.", "Uses emoji."),
        (plain(), 'Never uses contractions: "do not" rather than "don\'t".'),
        (plain() + " We can't, won't and don't; they'd say it's what I've said.", "Uses many contractions."),
        (plain() + "\n\n- bread\n- milk", "Likes lists."),
        (plain() + " The colour of the centre was grey.", "Writes English (British spelling)."),
    ],
)  # fmt: skip
def test_the_unusual_is_said_plainly(text: str, sentence: str) -> None:
    card = measure(pieces(text, 30, register="post", language="en"))
    everything = [found for _, found in habits_of(card)]
    assert sentence in everything or sentence in sentences_about(card)


def habits_of(card: StyleCard) -> list[tuple[float, str]]:
    from ragperso.learn.style import _habits_of

    return _habits_of(card)


def test_never_is_not_said_from_a_handful_of_words() -> None:
    said = said_of("The box came. It is bent. We keep it.", n=3)
    assert not [sentence for sentence in said if sentence.startswith(("Never", "Seldom"))]


def test_the_most_distinctive_comes_first() -> None:
    card = measure(pieces(plain(n=5, end="!!!"), 30, register="post", language="en"))
    found = habits_of(card)
    far = {sentence: value for value, sentence in found}
    said = [sentence for sentence in sentences_about(card) if sentence in far]
    assert [far[s] for s in said] == sorted((far[s] for s in said), reverse=True)
    assert len(sentences_about(card)) <= MAX_SENTENCES


def test_how_far_is_counted_in_spreads_of_people() -> None:
    card = measure(pieces(plain(), 30, register="post", language="en"))
    usual = card.usual("exclamations")
    assert usual is not None
    spread = math.sqrt(background.shipped()["post"].between[0])  # exclamations are the first that is counted
    far = {sentence: value for value, sentence in habits_of(card)}
    # Zero in 150 sentences is a rule: one spread more.
    assert far["Never uses exclamation marks."] == pytest.approx(1 + math.sqrt(usual.middle) / spread)
    card = measure(pieces(plain(end="!"), 30, register="post", language="en"))
    far = {sentence: value for value, sentence in habits_of(card)}
    many = far["Uses many exclamation marks: about one in 2 sentences ends with one."]
    assert many == pytest.approx((1 - math.sqrt(usual.middle)) / spread)


def test_someone_terse_is_not_called_formal() -> None:
    terse = "The box was sent and was bent and made flat. We keep it. It was put there upon the shelf."
    formality = measure(pieces(terse, 40, language="en")).formality
    assert formality is not None
    assert formality > 0.7  # beyond decile 9: there is no slang, no mark, no contraction
    said = [sentence for _, sentence in habits_of(measure(pieces(terse, 40, language="en")))]
    assert "The tone is formal." not in said
    formal = (
        "Furthermore, considerable attention was subsequently devoted to regional development. Consequently, "
        "additional investigations regarding environmental consequences were commissioned."
    )
    card = measure(pieces(formal, 40, language="en"))
    assert "The tone is formal." in [sentence for _, sentence in habits_of(card)]
    assert card.formality is not None
    assert card.formality > 1


def test_favourites_are_words_of_manner_used_in_several_pieces() -> None:
    often = f"{plain()} I shall rather stay, of course."
    card = measure([*pieces(often, 6, language="en"), *pieces(plain(), 6, language="en")])
    assert {f.word for f in card.favourites} == {"i shall", "of course", "rather"}
    assert all(f.pieces == 6 and f.times > 5 for f in card.favourites)
    # A phrase stands for its words, a subject for nothing, two pieces for too little.
    assert "shall" not in {f.word for f in card.favourites}
    assert "kettle" not in {f.word for f in card.favourites}
    assert measure([*pieces(often, 2, language="en"), *pieces(plain(), 9, language="en")]).favourites == ()
    assert any('"I shall"' in sentence for sentence in sentences_about(card))


def test_a_word_that_one_in_ten_says_more_is_no_favourite() -> None:
    # "maybe" in 45 of 36,000 words: nearly twice the mean of people, not more than decile 9 of them.
    maybe = plain().replace("kettle", "kettle maybe", 1)
    card = measure([*pieces(maybe, 45, language="en"), *pieces(plain(), 555, language="en")])
    column = len(habits.COUNTED) + habits.WORDS.index("maybe")
    usual = background.shipped()["post"]
    assert usual.rates[column] < 45 / card.words < usual.highs[column]
    assert card.favourites == ()


def test_the_log_odds_are_those_of_monroe() -> None:
    card = measure(pieces("Nearly there.", 10, language="en"))
    (favourite,) = card.favourites
    usual = background.shipped()["post"]
    rate = float(usual.rates[len(habits.COUNTED) + habits.WORDS.index("nearly")])
    own, prior, others = 10 + 500 * rate, 500 * rate, usual.n_words * rate + 500 * rate
    assert prior < own
    odds = math.log(own / (20 + 500 - own)) - math.log(others / (usual.n_words + 500 - others))
    assert favourite.z == pytest.approx(odds / math.sqrt(1 / own + 1 / others))


def test_no_name_of_another_person_gets_into_the_sentences() -> None:
    texts = [
        Piece(f"Hi {name},\n\nfine.\n\n– Ana", "mail", f"{name}@b.example") for name in ("Jo", "Jo", "Milo")
    ]
    said = " ".join(describe(texts))
    assert "Jo" not in said
    assert 'Opens mails with "Hi ...,"; signs off with "– Ana".' in said


def test_greetings_of_another_language_are_said_to_be_so() -> None:
    english, french = "Hello,\n\nit works.\n\nBye, Ben", "Chère Anne,\n\nça marche.\n\nBises, Ben"
    said = describe([*pieces(english, 4, language="en"), *pieces(french, 2, language="fr")])
    opens = 'Opens mails with "Hello,", in French with "Chère ...,"'
    assert f'{opens}; signs off with "Bye, Ben", in French with "Bises, Ben".' in said
    assert "Writes English and French." in said


def test_the_table_has_a_row_for_every_figure_and_fits() -> None:
    rows = measure([Piece(text, "mail", "jo@b.example") for text in THREE]).table()
    assert ("pieces", "3", "") in rows
    (ending,) = [row for row in rows if row[0] == "sentences ending in !"]
    assert ending[1] == "14%"
    assert " to " in ending[2]
    assert ("greeting", "Hi ..., (2)", "to jo@b.example") in rows
    labels = " ".join(row[0] for row in rows)
    unseen = {"richness", "oxford"}  # too little text for a window, no series
    assert all((habit.label in labels) != (habit.name in unseen) for habit in habits.HABITS)
    figures = [row for row in rows if row[0] not in ("greeting", "sign-off", "says often")]
    assert max(map(len, (row[0] for row in figures))) + max(len(row[1]) for row in figures) + 20 <= 80


def test_no_word_of_the_person_stands_in_a_repr() -> None:
    card = measure([Piece(text, "mail", "jo@b.example") for text in THREE])
    for shown in (repr(card), repr(card.greetings), repr(Piece("Ana")), repr(distance(plain(), card))):
        assert not [word for word in ("Ana", "jo@", "Hi") if word in shown]


def test_the_shape_keeps_its_old_names_and_adds_ranges() -> None:
    shape = shapes.style(measure(THREE))
    assert shape["dashes"] == 1000 / 23
    assert shape["contractions"] == 1000 / 14
    assert shape["greetings"] == [{"greeting": "Hi ...,", "uses": 2, "audiences": []}]
    low, high = shape["figures"]["exclamations"]["usual"]
    assert 0 < low < high < 1


# ---------------------------------------------------------------- drafts


def letters(sentence: str, n: int = 30) -> StyleCard:
    return measure(pieces(sentence, n, register="mail", language="en"))


TERSE = (
    "The box is here. Two tubes are bent. I keep four. Send two more. No rush. The courier knows the ramp."
)
EFFUSIVE = (
    "Oh, what a wonderful morning it was, with the sun on the river and bread in the oven (rye, naturally)! "
    "I can't tell you how happy I am — we're dancing round the kitchen, and it's all because of your letter!"
)


@pytest.mark.parametrize(("own", "other"), [(TERSE, EFFUSIVE), (EFFUSIVE, TERSE)])
def test_a_draft_is_nearer_to_its_writer(own: str, other: str) -> None:
    card = letters(own)
    near, far = distance(Piece(own, "mail", "", "en"), card), distance(Piece(other, "mail", "", "en"), card)
    assert near.overall < far.overall
    assert near.likeness > 0 > far.likeness
    assert (near.is_unlike, far.is_unlike) == (False, True)
    assert near.deviations == ()
    assert far.deviations


def test_the_deviations_are_plain_sentences_with_both_figures() -> None:
    said = distance(Piece(EFFUSIVE, "mail", "", "en"), letters(TERSE)).deviations
    # 20 + 20 words in two sentences; 4 + 4 + 3 + 3 + 2 + 5 = 21 words in six.
    assert "Sentences average 20 words, yours 4." in said
    assert "Contractions: 3, in as many words you use about 0.0." in said
    shouted = distance(Piece(TERSE.replace(".", "!"), "mail", "", "en"), letters(TERSE)).deviations
    assert shouted == ("Sentences ending in !: 100%, yours 0%.",)


def test_greeting_signoff_and_spelling_of_a_draft_are_checked() -> None:
    card = letters(f"Hi Jo,\n\n{TERSE} The colour is grey, the centre too.\n\n– Ana")
    said = distance(f"Dear Jo,\n\n{TERSE} I like the color.\n\nBest regards,\nAna", card).deviations
    assert 'It opens with "Dear ...,", you with "Hi ...,".' in said
    assert 'It ends with "Best regards, Ana", you with "– Ana".' in said
    assert 'It spells "color"; you write British English.' in said
    assert distance(f"Hi Milo,\n\n{TERSE}\n\n– Ana", card).deviations == ()


def test_nothing_is_said_of_a_draft_of_a_few_words() -> None:
    far = distance("Oh what a wonderful morning!!!", letters(TERSE))
    assert (far.words, far.overall, far.is_unlike, far.deviations) == (5, 0.0, False, ())


def test_a_mark_used_in_every_second_piece_only_is_no_surprise_when_absent() -> None:
    steady = measure(pieces(f"{plain()} Yes! Good!", 20, language="en"))
    moody = measure(
        [*pieces(f"{plain()} {'Yes! ' * 4}", 10, language="en"), *pieces(plain(), 10, language="en")]
    )
    draft = Piece(plain(n=10), language="en")
    z = [abs(z_of(draft, card, "exclamations")) for card in (steady, moody)]
    assert z[1] < z[0]


def z_of(piece: Piece, card: StyleCard, name: str) -> float:
    from ragperso.learn.style import _NAMES, _compared, _group_for

    draft = count(piece.text, piece.register, piece.language)
    return float(_compared(draft, *_group_for(draft, card), is_known=True)[0][_NAMES.index(name)])


def test_a_german_draft_is_held_against_german_pieces() -> None:
    german = "Das Rad ist fertig. Es steht hier. Ich habe Zeit. Die Kette ist neu. Das Licht geht auch."
    card = measure([*pieces(EFFUSIVE, 40, language="en"), *pieces(german, 40, language="de")])
    assert not distance(Piece(german, language="de"), card).is_unlike
    long = (
        "Ich hoffe sehr, dass es dir gut geht und dass wir uns, wenn es warm ist, endlich wieder hier sehen!"
    )
    assert "Sentences average 20 words, yours 4." in distance(Piece(long, language="de"), card).deviations


def test_marks_alone_are_compared_in_a_language_without_a_background() -> None:
    german = "Das Rad ist gut. Es steht hier. Ich habe Zeit. Die Tür ist zu. Das Licht geht auch."
    card = measure(pieces(german, 40, language="de"))
    long = "Rahmenbau dauert. Werkstatt bleibt geschlossen. Fahrradkette erneuern. Lieferung verspätet sich. "
    said = distance(Piece(long + "Kundschaft wartet trotzdem.", language="de"), card).deviations
    assert not [sentence for sentence in said if sentence.startswith("Words")]


def test_a_few_mails_are_not_yet_how_someone_writes_mails() -> None:
    mails, posts = pieces(EFFUSIVE * 6, 3, register="mail", language="en"), pieces(TERSE, 40, language="en")
    draft = Piece(TERSE, "mail", "", "en")
    assert not distance(draft, measure([*mails, *posts])).is_unlike
    assert distance(draft, measure([*mails * 4, *posts])).is_unlike


def test_a_greeting_is_compared_with_those_of_its_language() -> None:
    card = measure(pieces(f"Hi Jo,\n\n{TERSE}", 20, language="en"))
    german = "Liebe Jo,\n\ndas Rad ist fertig und steht hier. Ich habe am Freitag Zeit. Die Kette ist neu."
    assert not [said for said in distance(german, card).deviations if said.startswith("It opens")]


# ---------------------------------------------------------------- cold start


def test_the_own_card_wins_as_it_grows() -> None:
    shared = measure(pieces(plain(end="!"), 40, language="en"))
    shares = []
    for n in (3, 30, 300):
        mixed = blend(measure(pieces(plain(end="."), n, language="en")), shared)
        assert mixed is not None
        assert mixed.pieces == n
        shares.append(mixed.figure("exclamations"))
    # Shared: 1,000 words, all with a mark.  Own: 60 words a piece, none with one.
    assert shares == pytest.approx([1000 / 1180, 1000 / 2800, 1000 / 19000])


def test_without_one_of_the_two_the_other_stands() -> None:
    own, shared = measure(pieces(TERSE, 3)), measure(pieces(EFFUSIVE, 3))
    assert blend(None, None) is None
    assert blend(own, None) is own
    mixed = blend(None, shared)
    assert mixed is not None
    assert mixed.words == shared.words


def test_nobody_else_signs_for_the_person() -> None:
    shared = measure(pieces(f"Dear Ms. Weiss,\n\n{TERSE}\n\nBest, Carla", 5, audience="w@x.example"))
    own = measure(pieces(TERSE, 3))
    for mixed in (blend(None, shared), blend(own, shared)):
        assert mixed is not None
        assert [p.shape for p in mixed.greetings] == ["Dear ...,"]
        assert "Carla" not in " ".join(sentences_about(mixed))
        assert sentences_to(mixed, "w@x.example") == ()


def test_nothing_is_said_of_nobody() -> None:
    assert sentences_about(None) == ()


# ---------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000, "a-" * 100_000, "(" * 300_000, "." * 300_000, "\ud800 hi " * 3_000, "n't" * 90_000,
        "and a, b, " * 30_000, "- a\n" * 60_000, "\n\n" * 90_000 + "a", "\x00" * 1_000,
        "Hi " + "x" * 90_000 + ",\n\nb",
    ],
)  # fmt: skip
def test_hostile_text_is_measured_like_any_other(text: str) -> None:
    card = measure([text] * 3)
    assert card.pieces == 3
    for known in (card, letters(TERSE)):
        far = distance(text, known)
        assert np.isfinite([far.overall, far.likeness]).all()
    assert all(isinstance(sentence, str) for sentence in sentences_about(card))
    assert strings(card.table())


def strings(rows: Sequence[tuple[str, str, str]]) -> bool:
    return all(len(row) == 3 and all(isinstance(cell, str) for cell in row) for row in rows)
