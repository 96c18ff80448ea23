"""Each language finds its own notes: lexical search and sentence splitting on small hand-written sets.

A set is a folder with docs.jsonl and queries.jsonl, cut and searched as index/build.py and engine.py do.
A question counts as answered if its gold note comes first among notes that share words with it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ragperso.index.build import _main_languages
from ragperso.index.lexical import Bm25sIndex
from ragperso.segment import sentences
from ragperso.tokens import detect_language, document_tokens, lexical_tokens, stemming_language
from ragperso.types import ChunkId

HERE = Path(__file__).parent

# What is known to go wrong, by set and question.  A miss that is mended must leave this list.
KNOWN_MISSES = {
    ("code", "q2"): "the other note has all three words in prose, and words know no neighbours",
    ("latin_de", "q12"): "Snowball leaves 'blühend' apart from 'blühen' and 'Krokusse' from 'Krokus'",
    ("latin_fr", "q11"): "Snowball leaves 'oublient' apart from 'oublié'",
    ("latin_fr", "q12"): "irregular: 'repeinte' of 'repeindre'",
    ("latin_hu", "q1"): "Snowball stems 'szomszéd' and 'szomszédnál' apart",
    ("latin_nl", "q1"): "Snowball stems 'fiets' and 'fietsen' apart",
}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


SETS = {path.parent.name: path.parent for path in sorted(HERE.glob("*/queries.jsonl"))}
QUESTIONS = [(name, row["id"]) for name, folder in SETS.items() for row in read(folder / "queries.jsonl")]
SENTENCES = read(HERE / "sentences.jsonl")


def first_hits(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return the first note and the gold ones of each question of a set."""
    notes = read(SETS[name] / "docs.jsonl")
    languages = _main_languages(Counter(stemming_language(note["text"]) for note in notes))
    index = Bm25sIndex()
    index.build([ChunkId(i) for i in range(len(notes))], [document_tokens(note["text"]) for note in notes])
    found = {}
    for question in read(SETS[name] / "queries.jsonl"):
        hits = index.search(lexical_tokens(question["text"], languages), 1)
        found[question["id"]] = (notes[hits[0][0]]["id"] if hits else "", question["gold"])
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, tuple[str, list[str]]]]:
    return {name: first_hits(name) for name in SETS}


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=lambda part: part)
def test_the_gold_note_comes_first(
    found: dict[str, dict[str, tuple[str, list[str]]]], name: str, question: str
) -> None:
    first, gold = found[name][question]
    if reason := KNOWN_MISSES.get((name, question)):
        assert first not in gold, f"mended, take it off the list: {reason}"
    else:
        assert first in gold


def test_known_misses_are_questions() -> None:
    assert set(KNOWN_MISSES) <= set(QUESTIONS)


@pytest.mark.parametrize("name", SETS)
def test_sets_are_sound(name: str) -> None:
    """Ids are unique, gold notes exist, and there is something to confuse them with."""
    notes, questions = read(SETS[name] / "docs.jsonl"), read(SETS[name] / "queries.jsonl")
    ids = [note["id"] for note in notes]
    assert len(set(ids)) == len(ids) >= 7
    assert len({question["id"] for question in questions}) == len(questions) >= 6
    assert all(set(question["gold"]) <= set(ids) for question in questions)


@pytest.mark.parametrize("name", [name for name in SETS if name.startswith(("latin_", "cjk_"))])
def test_most_notes_are_taken_for_what_they_are(name: str) -> None:
    language = name.split("_")[1]
    detected = Counter(detect_language(note["text"]) for note in read(SETS[name] / "docs.jsonl"))
    close = {"no": {"da", "no"}}.get(language, {language})  # Danish and Norwegian stem alike
    assert sum(detected[code] for code in close) * 4 >= sum(detected.values()) * 3


@pytest.mark.parametrize("case", SENTENCES, ids=lambda case: f"{case['language']}-{case['text'][:20]}")
def test_sentences(case: dict[str, Any]) -> None:
    text = case["text"]
    assert [text[start:end] for start, end in sentences(text)] == case["sentences"]


def test_sentence_cases_are_many_and_lose_nothing() -> None:
    assert len(SENTENCES) >= 60
    for case in SENTENCES:
        assert "".join("".join(case["sentences"]).split()) == "".join(case["text"].split())
