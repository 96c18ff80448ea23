"""Stage 5: which passage supports a sentence, and what is cut from an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ragperso.generate.grounding import (
    SUPPORT,
    check,
    insert_labels,
    strip_boilerplate,
    strip_echo,
    strip_labels,
    strip_repeats,
    unfounded,
)
from ragperso.types import ChunkId, Passage, Sentence

BANK = (
    "# Changing banks\n\n"
    "I moved my account from Nordwall Bank to Lindenkasse on 3 March 2025 because Nordwall started charging "
    "9.90 euros a month. The new account took forty minutes to open.\n\n"
    "- Business sub-account: 4 euros a month.\n"
    "- My contact at the counter is Erika Sander.\n"
)
RENT = (
    "Ana pays 640 euros a month for the left half of unit 9. Tarek pays 700 euros for the right half, "
    "because of the window. The contract runs until the end of 2028. The heating is not included."
)
KNEE = (
    "On 12 May 2025 Dr. Moll said that my left knee is not torn. The tendon is irritated, because the saddle "
    "sat too low. She told me to raise the saddle by 8 mm and to rest from hills for six weeks."
)
MIETE = (
    "Die Miete für die Werkstatt beträgt seit dem 1. Januar 2026 640 Euro im Monat. "
    "Vorher waren es 590 Euro. Die Heizung kostet im Winter etwa 85 Euro extra. Herr Lobeck raucht nicht."
)
JARDIN = (
    "Le 14 avril, j'ai planté douze tomates et trois courgettes derrière le garage. Le voisin, Monsieur "
    "Perrin, ne supporte pas le bruit de la tondeuse. Le compost arrive en septembre."
)
COFFEE = (
    "I like my coffee black, brewed in a moka pot, with no sugar. I drink two cups a day and nothing after "
    "lunch."
)

PASSAGES = [
    Passage(str(i), ChunkId(i), "note.md", 0, len(text), text)
    for i, text in enumerate((BANK, RENT, KNEE, MIETE, JARDIN, COFFEE), 1)
]

# (question, sentence, the label that supports it).  Each unsupported one has one thing wrong.
SUPPORTED = [
    ("When did I change banks?", "You changed banks in March 2025.", "1"),
    ("When did I change banks?", "You moved your account to Lindenkasse on 3 March 2025.", "1"),
    ("When did I change banks?", "On 2025-03-03 you moved the account to Lindenkasse.", "1"),
    ("Why did I leave Nordwall?", "Because Nordwall began charging 9.90 euros a month.", "1"),
    ("Why did I leave Nordwall?", "Nordwall started charging €9,90 monthly.", "1"),
    ("What does the sub-account cost?", "The business sub-account costs 4 euros a month.", "1"),
    ("Who is my contact?", "Your contact at the counter is Erika Sander.", "1"),
    ("How long did it take?", "Opening the new account took 40 minutes.", "1"),
    ("What does Ana pay?", "Ana pays 640 euros a month.", "2"),
    ("What does Tarek pay?", "Tarek pays 700 euros for the right half.", "2"),
    ("Until when does the contract run?", "The contract runs until the end of 2028.", "2"),
    ("Is heating included?", "No, the heating is not included.", "2"),
    ("What about my knee?", "Your left knee is not torn.", "3"),
    ("What about my knee?", "The tendon is irritated because the saddle was too low.", "3"),
    ("What should I do?", "You should raise the saddle by 8 mm and rest from hills for 6 weeks.", "3"),
    ("Who looked at my knee?", "Dr. Moll said the left knee is not torn.", "3"),
    ("Wie hoch ist die Miete?", "Die Miete für die Werkstatt beträgt 640 Euro im Monat.", "4"),
    ("Wie hoch war die Miete?", "Vorher waren es 590 Euro.", "4"),
    ("Was kostet die Heizung?", "Im Winter kostet die Heizung etwa 85 Euro extra.", "4"),
    ("Raucht der Vermieter?", "Herr Lobeck raucht nicht.", "4"),
    ("Qu'ai-je planté ?", "Tu as planté douze tomates et trois courgettes derrière le garage.", "5"),
    ("Qu'ai-je planté ?", "Tu as planté 12 tomates derrière le garage le 14 avril.", "5"),
    ("Quand arrive le compost ?", "Le compost arrive en septembre.", "5"),
    ("How do I drink my coffee?", "You drink it black, brewed in a moka pot.", "6"),
    ("How much coffee do I drink?", "You drink two cups a day.", "6"),
]
UNSUPPORTED = [
    ("When did I change banks?", "You changed banks in May 2025.", "month"),
    ("When did I change banks?", "You moved your account to Lindenkasse on 13 March 2025.", "day"),
    ("When did I change banks?", "You moved your account to Lindenkasse in March 2024.", "year"),
    ("Where is my account?", "You moved your account from Nordwall Bank to Volksbank.", "name"),
    ("What does the sub-account cost?", "The business sub-account costs 40 euros a month.", "number"),
    ("Who is my contact?", "Your contact at the counter is Maria Weber.", "name"),
    ("What does Ana pay?", "Ana pays 700 euros a month.", "swapped"),
    ("What does Tarek pay?", "Tarek pays 640 euros for the right half.", "swapped"),
    ("Is heating included?", "The heating is included.", "negation"),
    ("Until when does the contract run?", "The contract runs until the end of 2029.", "year"),
    ("What about my knee?", "Your left knee is torn.", "negation"),
    ("What should I do?", "You should raise the saddle by 18 mm.", "number"),
    ("Who looked at my knee?", "The surgeon, Dr. Keller, said the left knee is not torn.", "name"),
    ("What should I do?", "You should swim twice a week and take painkillers.", "invented"),
    ("Wie hoch ist die Miete?", "Die Miete für die Werkstatt beträgt 650 Euro im Monat.", "number"),
    ("Raucht der Vermieter?", "Herr Lobeck raucht.", "negation"),
    ("Wer ist der Vermieter?", "Der Vermieter heißt Herr Krause.", "name"),
    ("Qu'ai-je planté ?", "Tu as planté vingt rosiers devant la maison.", "invented"),
    ("Quand arrive le compost ?", "Le compost arrive en octobre.", "month"),
    ("How do I drink my coffee?", "You drink your coffee with sugar.", "negation"),
    ("What is my dog called?", "Your dog likes long walks along the river.", "invented"),
    ("Where do I live?", "You live in a large city with many museums.", "invented"),
]


def labels(sentence: str, question: str) -> list[str | None]:
    return [s.label for s in check(sentence, PASSAGES, question=question, threshold=SUPPORT)]


@pytest.mark.parametrize(("question", "sentence", "label"), SUPPORTED)
def test_a_true_sentence_is_labelled_with_its_passage(question: str, sentence: str, label: str) -> None:
    assert labels(sentence, question) == [label]


@pytest.mark.parametrize(("question", "sentence", "wrong"), UNSUPPORTED)
def test_a_sentence_with_one_thing_wrong_is_unsupported(question: str, sentence: str, wrong: str) -> None:
    assert labels(sentence, question) == [None]


# ---------------------------------------------------------------- sentences never used for tuning

GARDEN = (
    "The beehive stands at the south fence. Last year it gave 14 kilos of honey, the year before only 6. "
    "Jonas Reuter checks it every second week. We never open it in the rain."
)
PHONE = (
    "My phone contract with Telnova costs 24.50 euros a month and ends on 30 November 2026. "
    "To cancel it, write to them three months before. The old contract cost 31 euros."
)
VELO = (
    "J'ai acheté le vélo de Claire en mai 2023 pour 480 euros. Les freins ont été changés en 2024 par Hugo. "
    "Il n'a pas de porte-bagages."
)
ARZT = (
    "Der Termin bei Frau Dr. Albers ist am 9. Juni um 14:30 Uhr. Ich soll nüchtern kommen und die Impfkarte "
    "mitbringen. Die Praxis liegt im dritten Stock."
)
HELD_OUT_PASSAGES = [
    Passage(str(i), ChunkId(i), "note.md", 0, len(text), text)
    for i, text in enumerate((GARDEN, PHONE, VELO, ARZT), 1)
]
HELD_OUT_SUPPORTED = [
    ("Where is the beehive?", "Your beehive is at the south fence.", "1"),
    ("How much honey was there?", "Last year the hive gave 14 kilos of honey.", "1"),
    ("Who looks after the bees?", "Jonas Reuter checks the beehive every second week.", "1"),
    ("When do we open the hive?", "You never open it when it rains.", "1"),
    ("What does my phone cost?", "Your phone contract with Telnova costs 24.50 euros per month.", "2"),
    ("When does the contract end?", "It ends on 30 November 2026.", "2"),
    ("How do I cancel?", "You have to write to them three months before the end.", "2"),
    ("Combien a coûté le vélo ?", "Tu as acheté le vélo pour 480 euros.", "3"),
    ("Qui a changé les freins ?", "Hugo a changé les freins en 2024.", "3"),
    ("A-t-il un porte-bagages ?", "Le vélo n'a pas de porte-bagages.", "3"),
    ("Wann ist der Termin?", "Der Termin bei Frau Dr. Albers ist am 9. Juni um 14:30 Uhr.", "4"),
    ("Was soll ich mitbringen?", "Du sollst die Impfkarte mitbringen und nüchtern kommen.", "4"),
    ("Wo ist die Praxis?", "Die Praxis liegt im 3. Stock.", "4"),
]
HELD_OUT_UNSUPPORTED = [
    ("How much honey was there?", "Last year the hive gave 24 kilos of honey."),
    ("Who looks after the bees?", "Martin Vogel checks the beehive every second week."),
    ("When do we open the hive?", "You open the beehive in the rain."),
    ("What does my phone cost?", "Your phone contract with Vodamax costs 24.50 euros per month."),
    ("What does my phone cost?", "Your phone contract costs 42.50 euros per month."),
    ("When does the contract end?", "It ends on 30 October 2026."),
    ("Combien a coûté le vélo ?", "Tu as acheté le vélo pour 840 euros."),
    ("Qui a changé les freins ?", "Bernard a changé les freins en 2024, dit Marcel."),
    ("A-t-il un porte-bagages ?", "Le vélo a un porte-bagages."),
    ("Wann ist der Termin?", "Der Termin ist am 9. Juli um 14:30 Uhr."),
    ("Wo ist die Praxis?", "Die Praxis liegt im fünften Stock neben der Apotheke."),
    ("What is the weather like?", "Tomorrow will be sunny with a light wind."),
]


def test_on_sentences_never_used_for_tuning() -> None:
    """Precision 12/12, recall 12/13: "im 3. Stock" is not seen to be "im dritten Stock"."""

    def label(sentence: str, question: str) -> str | None:
        (checked,) = check(sentence, HELD_OUT_PASSAGES, question=question, threshold=SUPPORT)
        return checked.label

    right = [label(sentence, question) == want for question, sentence, want in HELD_OUT_SUPPORTED]
    wrong = [label(sentence, question) for question, sentence in HELD_OUT_UNSUPPORTED]
    assert sum(right) >= 12
    assert wrong == [None] * 12


# ---------------------------------------------------------------- the shape of what check returns


def test_each_sentence_gets_its_own_passage_and_place() -> None:
    answer = "Ana pays 640 euros a month. You like your coffee black. The moon is made of cheese."
    checked = check(answer, PASSAGES, question="?")
    assert [s.label for s in checked] == ["2", "6", None]
    assert [answer[s.start : s.end] for s in checked][1] == "You like your coffee black."
    assert checked[0].support == 1.0


@pytest.mark.parametrize("answer", ["", "  ", "...", "Yes.", "🙂"])
def test_an_answer_that_claims_nothing_has_no_support(answer: str) -> None:
    assert all((s.label, s.support) == (None, 0.0) for s in check(answer, PASSAGES))


def test_without_passages_nothing_is_supported() -> None:
    assert [s.label for s in check("Ana pays 640 euros.", [])] == [None]


def test_equal_passages_are_cited_in_prompt_order() -> None:
    twice = [Passage(label, ChunkId(1), "n.md", 0, 0, "The key is blue.") for label in ("1", "2")]
    assert check("The key is blue.", twice)[0].label == "1"


def test_a_heading_in_the_provenance_helps_but_does_not_suffice() -> None:
    """Price and 2950 are in the sentence, Haferkorn, which counts half, only above it."""
    passage = Passage("1", ChunkId(1), "n.md", 0, 0, "Price: 2,950.", provenance="Order Haferkorn")
    (checked,) = check("The price for Haferkorn is 2950.", [passage])
    assert checked.label == "1"
    assert 0.75 < checked.support < 1.0
    assert check("Haferkorn made an order.", [passage])[0].label is None


def test_similarity_lifts_a_paraphrase_and_cannot_hide_a_wrong_number() -> None:
    def close(claims: Sequence[str], windows: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(claims), len(windows)), 0.8, np.float32)

    passage = [Passage("1", ChunkId(1), "n.md", 0, 0, "The physician was kind on 3 May.")]
    assert check("Your doctor was friendly.", passage)[0].label is None
    # No word in common, cosine at the ceiling: (0 + 1) / 2.
    assert check("Your doctor was friendly.", passage, similarity=close)[0].support == 0.5
    assert check("The physician was kind on 4 May.", passage, similarity=close)[0].support == 0.0


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", ["a" * 20_000, "no " * 3_000, "1 " * 3_000, "not, " * 3_000, "A b. " * 300])
def test_long_odd_answers_are_checked_in_good_time(text: str) -> None:
    checked = check(text, PASSAGES)
    assert "".join(text[s.start : s.end] for s in checked).replace(" ", "") == text.replace(" ", "")
    assert strip_boilerplate(strip_labels(text)) == text.strip()


# ---------------------------------------------------------------- the answer's text


@pytest.mark.parametrize(
    ("draft", "clean"),
    [
        ("You moved in March [1].", "You moved in March."),
        ("You moved in March.[1][2] Yes [1, 3].", "You moved in March. Yes."),
        ("It is blue (Source 2).", "It is blue."),
        ("It is blue [Source: 1] (see notes 1 and 2).", "It is blue."),
        ("Es ist blau (Quelle 1).", "Es ist blau."),
        ("It is 【1†source】 blue.", "It is blue."),
        ("Use `xs[0]` or xs[1].name, and a[2] = 3.", "Use `xs[0]` or xs[1].name, and a[2] = 3."),
        ("In [2024] he wrote [sic] that.", "In [2024] he wrote [sic] that."),
    ],
)
def test_the_models_own_citation_marks_are_removed(draft: str, clean: str) -> None:
    assert strip_labels(draft) == clean


@pytest.mark.parametrize(
    ("draft", "clean"),
    [
        ("Based on your notes, you moved in March.", "You moved in March."),
        ("Sure! Here is the answer: it is blue.", "It is blue."),
        ("Answer: 640 euros.", "640 euros."),
        ("Laut deinen Notizen: am 3. Mai.", "Am 3. Mai."),
        ("Selon tes notes, le 3 mai.", "Le 3 mai."),
        ("It is blue. I hope this helps!", "It is blue."),
        ("It is blue. Let me know if you need more.", "It is blue."),
        ("The answer to his letter came late.", "The answer to his letter came late."),
        ("From the notes I took: nothing.", "From the notes I took: nothing."),
        ("Answer:", "Answer:"),
        ("", ""),
    ],
)
def test_boilerplate_is_removed_and_claims_are_not(draft: str, clean: str) -> None:
    assert strip_boilerplate(draft) == clean


def test_labels_stand_behind_the_sentences_they_support() -> None:
    answer = "One.\nTwo.  Three."
    sentences = [Sentence(0, 4, "1", 1.0), Sentence(5, 9, None, 0.1), Sentence(11, 17, "2", 0.9)]
    assert insert_labels(answer, sentences) == "One. [1]\nTwo.  Three. [2]"


def test_labels_put_in_are_what_strip_takes_out() -> None:
    answer = "Ana pays 640 euros a month. You like your coffee black."
    assert strip_labels(insert_labels(answer, check(answer, PASSAGES))) == answer


def test_a_heading_supports_nothing() -> None:
    passage = Passage("1", ChunkId(1), "n.md", 0, 40, "# The ritual\n\nI drink it black at eight.")
    assert [s.label for s in check("The ritual", [passage])] == [None]


def test_a_question_in_a_passage_supports_nothing() -> None:
    passage = Passage("1", ChunkId(1), "n.md", 0, 40, "What did the doctor say? I could not hear you.")
    assert [s.label for s in check("What did the doctor say?", [passage])] == [None]


def test_repeating_the_question_is_no_answer_but_denying_it_is() -> None:
    passage = Passage(
        "1", ChunkId(1), "n.md", 0, 60, "The alarm of the fridge went off, and I moved the insulin."
    )
    question = "What happened when the alarm of the fridge went off?"
    assert [s.label for s in check("The alarm of the fridge went off.", [passage], question=question)] == [
        None
    ]
    assert [s.label for s in check("I moved the insulin.", [passage], question=question)] == ["1"]


def test_echoes_of_the_instructions_are_dropped_unless_a_passage_says_so_too() -> None:
    told = "The person is Ben Moreau, who writes English. I am allergic to penicillin."
    passage = Passage("1", ChunkId(1), "n.md", 0, 40, "I am allergic to penicillin.")
    answer = "The person is Ben Moreau, who writes English. I am allergic to penicillin."
    assert strip_echo(answer, told, [passage]) == "I am allergic to penicillin."
    assert strip_echo(answer, told, []) == ""


def test_loops_and_cut_ends_are_dropped() -> None:
    assert strip_repeats("It is tea. It is tea! It is milk.") == "It is tea. It is milk."
    assert strip_repeats("It is tea. It is mi", is_cut=True) == "It is tea."
    assert strip_repeats("It is mi", is_cut=True) == "It is mi"


@pytest.mark.parametrize(
    ("draft", "left"),
    [
        ("[4] (brazing notes, 2025-03-28)\n# Brazing\nI use Argenta 56.", "I use Argenta 56."),
        ("The notes say: it is black.", "It is black."),
        ("You: it is black.", "It is black."),
        ("# Heading alone", "# Heading alone"),
    ],
)
def test_copied_heads_of_passages_are_stripped(draft: str, left: str) -> None:
    assert strip_boilerplate(draft) == left


def test_a_block_of_code_is_one_claim_and_keeps_its_lines() -> None:
    passage = Passage(
        "1", ChunkId(1), "n.md", 0, 90, "To see ports run:\n\n```\nlsof -i :8000\nlsof -i :8000\n```"
    )
    answer = "To see ports run:\n\n```\nlsof -i :8000\nlsof -i :8000\n```"
    assert [answer[s.start : s.end] for s in check(answer, [passage])] == [
        "To see ports run:",
        "```\nlsof -i :8000\nlsof -i :8000\n```",
    ]
    assert strip_repeats(answer) == answer


def test_code_is_supported_as_it_stands_or_not_at_all() -> None:
    text = (
        "Use this:\n\n```sql\nselect name from pragma_table_info('docs')\n```\n\nNever select from the table."
    )
    passage = Passage("1", ChunkId(1), "n.md", 0, len(text), text)
    copied = "```\nselect name from pragma_table_info('docs')\n```"
    assert [s.label for s in check(copied, [passage])] == ["1"]
    assert [s.label for s in check("```\nselect table from name\n```", [passage])] == [None]
    assert [s.label for s in check("```\n```", [passage])] == [None]


def test_a_block_that_was_never_closed_goes_with_its_announcement() -> None:
    assert strip_repeats("It works. Here is how:\n\n```python\nimport a") == "It works."
    assert strip_repeats("```python\nimport a") == ""


# ---------------------------------------------------------------- names and numbers without a source

REQUEST = "Write to Tom that the lamp is 2,950 euros and comes on 2026-05-03, by Ana's van."


@pytest.mark.parametrize(
    "draft",
    [
        "Hi Tom,\n\nthe lamp is 2950 euros. It comes on 3 May 2026 with Ana.\n",
        "Dear Tom, it is 2.950 euros. Toms van comes on 03.05.2026.",
        "He said that Ana's van is here.",
        "",
    ],
)
def test_what_the_request_or_a_passage_says_is_founded(draft: str) -> None:
    assert unfounded(draft, [REQUEST]) == []


def test_each_source_counts() -> None:
    draft = "I gave Mika 40 euros and Tom the lamp."
    assert unfounded(draft, [REQUEST, "[1] (cash, 2026)\nMika got 40."]) == []
    assert unfounded(draft, [REQUEST, "[1] (cash)\nMika got some."]) == ["40"]
    assert unfounded(draft, []) == ["Mika", "40", "Tom"]


def test_strange_names_and_numbers_come_in_reading_order_each_once() -> None:
    draft = (
        "Hi Tom,\n\nthe lamp is 2950 euros. Ask Priya at Lamptown before 18:30, or call Priya on 77. "
        "The other 18:30 train is late.\n"
    )
    assert unfounded(draft, [REQUEST]) == ["Priya", "Lamptown", "18:30", "77"]


def test_german_nouns_are_no_names() -> None:
    known = ["Schreibe Frau Petzold einen Dank für das Paket"]
    draft = (
        "Liebe Frau Petzold, danke für das Paket und den Kaffee am Morgen. "
        "Der Schlüssel liegt bei Herrn Krause, die Klingel ist unten. Bis 18 Uhr bin ich da."
    )
    assert unfounded(draft, known) == ["Krause", "18"]


def test_what_begins_a_sentence_is_no_name() -> None:
    assert unfounded("Lamps are here. They shine. Come and see them.", []) == []
