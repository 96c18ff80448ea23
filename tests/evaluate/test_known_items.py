"""Questions made from a person's own documents: what they ask, of whom, and what answers them."""

from __future__ import annotations

import json
import random
import stat
import sys

import pytest

from ragperso.errors import IngestError
from ragperso.evaluate import datasets, harness, known_items
from tests.conftest import write_notes

# Words of each note that one other note holds too, so that they are rare and not unique.
NOTES = {
    "ferry.md": (
        "# Ferry to Korsö\n\nThe ferry leaves Korsö harbour at nine and needs a booking for every bicycle. "
        "In summer Captain Lind sells tickets on board, while in winter the kiosk opens on Fridays only. "
        "We paid 48 crowns for two bicycles and a dog.\n"
    ),
    "kiosk.md": (
        "# Kiosk\n\nOur kiosk near the harbour sells bread, milk and lamp oil from seven until noon. "
        "The owner Maja Lind takes orders for cinnamon buns, which arrive with the bicycle courier. "
        "Booking a table outside is possible in summer.\n"
    ),
    "lamp.md": (
        "# Lamp repair\n\nTo repair the oil lamp unscrew the brass collar and soak the wick in vinegar. "
        "A new wick costs 12 crowns at the kiosk, and the collar should be waxed before winter. "
        "The dog must not lick the vinegar.\n"
    ),
}
LETTER = (
    "Dear neighbours, the well pump stops on Monday because the gasket leaks and the motor overheats. "
    "Bring buckets to the chapel where the municipality parks a tanker until Thursday evening."
)


@pytest.fixture
def made_of(engine, tmp_path):
    def make(notes: dict[str, str], n: int = 50, seed: int = 0) -> known_items.Made:
        session = engine.session("ana")
        session.add([write_notes(tmp_path / "notes", notes)])
        return known_items.make(session, n, seed=seed)

    return make


def by_type(made, kind):
    return [question for question in made.questions if question.type == kind]


def test_every_type_is_made_and_its_gold_is_what_a_hit_reports(engine, made_of):
    made = made_of(NOTES)
    assert (made.user, made.n_documents, made.n_sampled, made.n_repeated) == ("ana", 3, 3, 0)
    assert all(count >= 1 for count in made.by_type.values())
    assert sum(made.by_type.values()) == len(made.questions)
    reported = {hit.document for hit in engine.session("ana").search("kiosk harbour lamp ferry", k=50)}
    assert {gold for question in made.questions for gold in question.gold} == reported
    assert len({question.id for question in made.questions}) == len(made.questions)


def test_titles_are_asked_as_they_stand(made_of):
    titles = {question.text for question in by_type(made_of(NOTES), "title")}
    assert titles == {"Ferry to Korsö", "Kiosk", "Lamp repair"}


def test_keywords_are_three_to_five_words_that_other_documents_have_too_and_no_other_has_all(made_of):
    made = made_of(NOTES)
    for question in by_type(made, "keywords"):
        words = question.text.split()
        assert 3 <= len(words) <= 5
        texts = {name: text.casefold() for name, text in NOTES.items()}
        holders = [{n for n, text in texts.items() if word.casefold()[:5] in text} for word in words]
        assert all(len(names) >= 2 for names in holders)
        assert set.intersection(*holders) == {question.gold[0].rpartition("/")[2]}


def test_a_sentence_loses_a_third_of_its_words_and_swaps_its_halves():
    text = "Tomorrow the grey heron lands beside our pond and hunts seven fat goldfish."  # 13 words
    item = item_of(text)
    (draft,) = known_items._sentences(item, known_items._Rarity({}, 1), random.Random(0))
    places = [text.rstrip(".").split().index(word) for word in draft.text.split()]
    assert len(places) == len(set(places)) == 9  # round(2 / 3 * 13)
    later, earlier = places[:5], places[5:]  # of nine the first four stand last
    assert later == sorted(later)
    assert earlier == sorted(earlier)
    assert max(earlier) < min(later)


def test_entities_are_names_inside_sentences_and_numbers():
    item = item_of(
        "We met Maja Lind, Captain of the ship, at 14h30 in Korsö. Nobody else came along that day."
    )
    drafts = list(known_items._entities(item, known_items._Rarity({}, 1), random.Random(0)))
    found = {word for draft in drafts for word in draft.text.split()}
    # "We" and "Nobody" begin sentences; the comma keeps "Captain" apart from "Maja Lind".
    assert found == {"Maja", "Lind", "Captain", "14h30", "Korsö"}
    assert len(drafts) == 3


def item_of(text: str) -> known_items._Item:
    from ragperso.store import ChunkText

    return known_items._Item(document=None, language="en", chunk=ChunkText(1, "key", "", (), text))


def test_a_script_without_spaces_is_cut_into_pieces():
    words = [word.text for word in known_items._words("明日は東京へ行きます。", "ja")]
    assert words == ["明日は", "東京へ", "行きま", "す"]
    assert all(len(word) <= 3 for word in words)


def test_addresses_code_and_markup_are_no_words():
    found = known_items._words("See **the** [docs](https://a.example/x) and `run_it()` or don't!", "en")
    assert [word.text for word in found] == ["See", "the", "and", "or", "don't"]


def test_a_copy_is_gold_as_well_and_a_document_that_says_more(made_of):
    notes = {**NOTES, "letter.md": LETTER, "copy.md": LETTER, "diary.md": f"{LETTER}\n\nI slept badly again."}
    made = made_of(notes)
    golds = [
        {gold.rpartition("/")[2] for gold in question.gold}
        for question in made.questions
        if question.gold[0].endswith(("letter.md", "copy.md")) and question.type != "title"
    ]
    assert golds
    assert all({"letter.md", "copy.md", "diary.md"} == gold for gold in golds)


def test_what_stands_in_too_many_documents_is_not_asked(made_of):
    made = made_of({**NOTES, **{f"copy{i}.md": LETTER for i in range(6)}})
    assert made.n_repeated == 6
    assert {q.gold[0].rpartition("/")[2] for q in made.questions} == set(NOTES)


def test_the_same_seed_makes_the_same_questions(made_of):
    assert made_of(NOTES, seed=1) == made_of(NOTES, seed=1)
    assert made_of(NOTES, seed=1) != made_of(NOTES, seed=2)


def test_as_many_documents_as_asked_for_drawn_from_each_format_in_turn(engine, made_of, tmp_path):
    plain = (
        "The tax office wants form nine before June, with receipts for the greenhouse and the old beehives."
    )
    made = made_of({**NOTES, "tax.txt": plain}, n=2)
    assert made.n_sampled == 2
    assert {question.gold[0].endswith(".txt") for question in made.questions} == {True, False}


def test_only_the_own_documents_are_asked_and_the_engines_answers_never(engine, ana, ben):
    ana.ask("Which bank do I use?")
    made = known_items.make(ana)
    keys = {document.key for document in ana.store.documents("documents")}
    assert made.n_documents == len(keys) == 3
    assert {gold for question in made.questions for gold in question.gold} <= keys


def test_a_person_without_documents_is_told_what_to_do(engine):
    with pytest.raises(IngestError, match="no documents") as caught:
        known_items.make(engine.session("ana"))
    assert caught.value.hint == "ragperso add PATH"


def test_what_is_written_is_read_again_and_most_of_it_found(engine, made_of, tmp_path):
    made = made_of(NOTES)
    path = known_items.write(tmp_path / "new" / "set", made)
    data = datasets.load(path.parent, user="nobody")
    assert data.questions == made.questions
    assert data.docs is None
    found = harness.score(data, harness.ask(engine, data)).metrics
    assert found["title"]["hit@1"].mean == 1.0
    assert found["sentence"]["hit@1"].mean == 1.0
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_questions_that_are_there_are_kept_unless_told(made_of, tmp_path):
    made = made_of(NOTES)
    path = known_items.write(tmp_path / "set", made)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(IngestError, match=r"holds queries\.jsonl already"):
        known_items.write(tmp_path / "set", made)
    assert path.read_text(encoding="utf-8") == "mine"
    known_items.write(tmp_path / "set", made, replace=True)
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["user"] == "ana"


def test_a_folder_with_documents_of_its_own_is_refused(made_of, tmp_path):
    (tmp_path / "docs.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(IngestError, match=r"holds docs\.jsonl"):
        known_items.write(tmp_path, made_of(NOTES), replace=True)


def test_a_repr_shows_no_text(made_of):
    made = made_of(NOTES)
    assert "harbour" not in repr(made)
    assert "harbour" not in repr(item_of("harbour"))
