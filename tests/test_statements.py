"""What counts as a statement, of which kind, and what its key says; all sentences invented."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.statements import MAX_KEY_WORDS, Kind, statements

SAID: list[tuple[Kind, str]] = [
    ("preference", "I love pad thai."),
    ("preference", "Honestly, I can't stand mushrooms on anything."),
    ("preference", "I'm really into vintage synthesizers these days."),
    ("preference", "My favourite author is Ursula Brandt."),
    ("preference", "I've always been fond of quiet beaches."),
    ("preference", "I'm not a fan of horror films."),
    ("preference", "We prefer trains to planes."),
    ("preference", "Baking bread is my favorite way to unwind."),
    ("preference", "Long swims always calm me down."),
    ("preference", "i don't like olives"),
    ("preference", "I'd rather stay in a cabin than in a hotel."),
    ("fact", "I'm allergic to walnuts."),
    ("fact", "I work as a nurse at the harbour clinic."),
    ("fact", "We live in a small house near Tromsø."),
    ("fact", "I have an old sailing boat."),
    ("fact", "I'm originally from Porto."),
    ("fact", "I play the cello in an amateur orchestra."),
    ("fact", "I was born in Riga."),
    ("fact", "I'm 34 years old."),
    ("fact", "My dog Biscuit is nine."),
    ("fact", "I don't eat meat."),
    ("fact", "I've been working on a documentary about bees."),
    ("fact", "Ben is allergic to nuts."),
    ("fact", "Clara lives in Utrecht."),
    ("plan", "I'm going to repaint the kitchen."),
    ("plan", "Next month I'll start a pottery course."),
    ("plan", "We're planning a trip to Iceland."),
    ("plan", "I want to learn Italian."),
    ("plan", "I signed up for a first aid class."),
    ("plan", "I'm thinking of switching to a four-day week."),
    ("plan", "I can't wait for the regatta."),
    ("plan", "I think I'm going to sell the van."),
    ("plan", "I'd love to visit Kyoto some day."),
    ("plan", "I'm flying to Oslo tomorrow."),
    ("relation", "My sister lives in Ghent with her two boys."),
    ("relation", "My boss Irene wants the report by Friday."),
    ("relation", "My best friend Tomas plays the drums."),
    ("relation", "I have two daughters."),
    ("event", "I went to a jazz festival yesterday."),
    ("event", "Last Friday, I finished my thesis."),
    ("event", "Yesterday we adopted a greyhound."),
    ("event", "Wow, great news! I just bought a cargo bike."),
    ("event", "I won second prize at the chess tournament."),
    ("event", "We visited the glass museum in June."),
    ("event", "I've joined a choir."),
    ("event", "I painted this mural for the school."),
    ("fact", "I'm restoring an old tram with some neighbours."),
    ("event", "I got promoted last week."),
    ("event", "It rained all day, but we climbed the tower anyway."),
    ("preference", "Ich mag scharfes Essen."),
    ("preference", "Meine Lieblingsfarbe ist Türkis."),
    ("preference", "Ich trinke morgens am liebsten grünen Tee."),
    ("fact", "Ich wohne seit drei Jahren in Bremen."),
    ("fact", "Ich bin allergisch gegen Haselnüsse."),
    ("plan", "Ich möchte nächstes Jahr Segeln lernen."),
    ("relation", "Meine Schwester arbeitet bei der Post."),
    ("event", "Gestern habe ich ein Fahrrad gekauft."),
    ("preference", "J'adore les films italiens."),
    ("fact", "Je suis allergique aux arachides."),
    ("plan", "Je vais acheter une nouvelle guitare."),
    ("relation", "Ma sœur habite à Nantes."),
    ("event", "Hier, j'ai visité le musée de la mer."),
    ("preference", "Me encanta la comida coreana."),
    ("fact", "Vivo en Sevilla con dos gatos."),
    ("plan", "Voy a estudiar japonés."),
    ("relation", "Mi hermano trabaja en un banco."),
    ("event", "Ayer compré una tienda de campaña."),
]

NOT_SAID = [
    "Do I like olives?",
    "Should I move to Lisbon next year?",
    "If I move to Lisbon, I'll buy a boat.",
    "I would move to Lisbon if I had the money.",
    'She wrote "I love sailing and I live in Porto" on the wall.',
    "He told me I work too much.",
    "I love it!",
    "I like how you said that.",
    "I think so.",
    "I agree with you.",
    "I'll let you know.",
    "I know what you mean.",
    "I didn't go.",
    "I hope you're well.",
    "I'm so happy for you!",
    "I'm sorry to hear that.",
    "You love pad thai.",
    "The museum is closed on Mondays.",
    "The cat sat on the mat.",
    "Imagine I lived on Mars.",
    "I wish I had a garden.",
    "Thanks, that's great!",
    "Run the command and restart the server.",
    "What I love most?",
    "I can't wait to see what you come up with!",
    "Wohnst du noch in Bremen?",
    "Ich weiß es nicht.",
    "Je ne sais pas.",
    "No sé qué decir.",
    "It is a lovely day.",
    "Learning a language is tough.",
    "Been a while since the last concert.",
    "This book I read reminds me of rain.",
]


@pytest.mark.parametrize(("kind", "text"), SAID, ids=[text for _, text in SAID])
def test_statements_are_found_with_their_kind(kind: Kind, text: str) -> None:
    assert [found.kind for found in statements(text, speaker="Ana")] == [kind]


@pytest.mark.parametrize("text", NOT_SAID)
def test_questions_conditions_quotes_and_talk_are_none(text: str) -> None:
    assert statements(text, speaker="Ana") == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("I love pad thai.", "Ana loves pad thai (likes, favourite)"),
        ("I hate the smell of paint.", "Ana hates the smell of paint (dislikes, hates)"),
        ("Wow, nice! I'm planning a trip to Iceland.", "Ana is planning a trip to Iceland (plans)"),
        ("I've joined a choir.", "Ana has joined a choir"),
        ("My sister gave me my first bike.", "Ana's sister gave Ana their first bike (family)"),
        ("I work as a nurse - what a job!", "Ana works as a nurse (job, work)"),
        ("Last Friday, I finished my thesis.", "Last Friday, Ana finished their thesis"),
        ("Just got a canoe!", "Ana: Just got a canoe"),
        ("Ich mag scharfes Essen.", "Ana mag scharfes Essen (mag gern, Vorliebe)"),
        ("Meine Schwester heißt Ida.", "Anas Schwester heißt Ida"),
        ("J'adore les films italiens.", "Ana adore les films italiens (aime, préféré)"),
        ("Me encanta la comida coreana.", "Ana: le encanta la comida coreana (le gusta, favorito)"),
    ],
)
def test_the_key_is_short_and_in_the_third_person(text: str, key: str) -> None:
    assert [found.key for found in statements(text, speaker="Ana")] == [key]


def test_without_a_speaker_it_is_the_person() -> None:
    (found,) = statements("I love my job at the bakery.")
    assert found.key == "The person loves their job at the bakery (likes, favourite)"


def test_a_label_names_the_speaker_and_is_not_part_of_the_statement() -> None:
    text = "Ben: Sure. I moved to Lyon in May. [shares a photo: a photo of my street]"
    (found,) = statements(text)
    assert text[found.start : found.end] == "I moved to Lyon in May."
    assert found.key == "Ben moved to Lyon in May"
    assert statements(text, speaker="Ben Okafor")[0].key == "Ben Okafor moved to Lyon in May"


def test_a_caption_is_nobodys_word_and_a_link_is() -> None:
    text = "I joined a choir [shares a photo: a photo of my dog]"
    assert [f.key for f in statements(text, speaker="Ana")] == ["Ana joined a choir"]
    text = "I found the trick in [the manual](https://example.org) of the loom."
    assert [text[f.start : f.end] for f in statements(text)] == [text]


def test_a_label_of_several_plain_words_is_no_speaker() -> None:
    (found,) = statements("Lessons from spring: I planted the beans too early.")
    assert found.key == "The person planted the beans too early"


def test_the_span_is_the_clause_with_its_time() -> None:
    text = "It was raining. Last week we went to the zoo, and it was fun."
    (found,) = statements(text, speaker="Ana")
    assert text[found.start : found.end] == "Last week we went to the zoo"


def test_a_question_that_tags_a_statement_does_not_hide_it() -> None:
    (found,) = statements("I love hiking in the Alps, how about you?", speaker="Ana")
    assert found.key == "Ana loves hiking in the Alps (likes, favourite)"


def test_two_clauses_of_one_sentence_are_two_statements() -> None:
    found = statements("I have a dog named Rex and I love hiking with him.", speaker="Ana")
    assert [(f.kind, f.key) for f in found] == [
        ("fact", "Ana has a dog named Rex (pet)"),
        ("preference", "Ana loves hiking with him (likes, favourite)"),
    ]


def test_what_an_assistant_says_of_itself_is_nobodys() -> None:
    assert statements("I love helping with recipes.", speaker="Assistant") == []
    assert statements("assistant: I love helping with recipes.") == []
    assert statements("user: I love spicy recipes.")[0].key.startswith("The person loves")


def test_dropped_subjects_count_in_chats_only() -> None:
    assert [f.kind for f in statements("Finally finished the marathon in Turin!", speaker="Ana")] == ["event"]
    assert statements("Started the server on port 8000.") == []


def test_code_quotes_of_mail_and_headings_say_nothing() -> None:
    text = (
        "# I love lists\n\n```\nI live in a string\n```\n\n> I moved to Lyon last year.\n\nI live in Porto."
    )
    assert [f.key for f in statements(text)] == ["The person lives in Porto (home)"]


def test_limit_keeps_the_first_ones() -> None:
    text = " ".join(f"I bought lamp number {n}." for n in range(9))
    assert len(statements(text)) == 4
    assert [f.start for f in statements(text, limit=2)] == [0, len("I bought lamp number 0. ")]


def test_dates_stay_as_written() -> None:
    text = "I sold the van last week."
    assert statements(text, written=date(2024, 5, 3)) == statements(text)


def test_a_given_language_is_believed_and_unknown_ones_give_nothing() -> None:
    assert statements("Ich mag Oliven sehr.", language="de")[0].kind == "preference"
    assert statements("I love olives a lot.", language="ja") == []


def test_long_clauses_are_cut_in_the_key_only() -> None:
    text = "I bought " + " ".join(f"thing{n}" for n in range(60)) + "."
    (found,) = statements(text, speaker="Ana")
    assert len(found.key.split()) == MAX_KEY_WORDS
    assert text[found.start : found.end] == text


@pytest.mark.parametrize(
    "unit", ["[", "a ", "I ", "my ", '"', "I love ", "ich ", "ich habe ge", "j'ai ", ", I'm ", "gegege"]
)
def test_hostile_text_comes_back(unit: str) -> None:
    """Each took under 2 s per 300 kB when written; a pattern that backtracks would take hours."""
    assert len(statements(unit * (300_000 // len(unit)))) <= 4


@given(st.text(alphabet=st.sampled_from("I'm lovemyich ,.!?\n\"[]-jeé¿’"), max_size=200))
def test_spans_lie_in_the_text_and_never_overlap(text: str) -> None:
    end = 0
    for found in statements(text, speaker="Ana", limit=50):
        assert end <= found.start < found.end <= len(text)
        assert len(found.key.split()) <= MAX_KEY_WORDS + 4  # the words in brackets
        end = found.end
