"""Neighbours, keys, days and phrases end to end, and that keys stay with their person."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragperso.engine import Engine, Session
from ragperso.privacy.export import import_person
from ragperso.privacy.scan import needles, scan, search
from ragperso.retrieve.search import PHRASE_BONUS
from ragperso.store import Store
from ragperso.testing import HashEmbedder
from ragperso.types import UserId
from ragperso.workspace import Workspace
from tests.conftest import write_notes
from tests.older import make_older

CHAT = [
    ("Ana", "Shall we take the early train on Friday?"),
    ("Ben", "The later one is fine with me."),
    ("Ben", "Did you ever go back to the lighthouse?"),
    ("Ana", "Only once, in April, and it was closed for repairs."),
    ("Ben", "What a pity, the view is great."),
    ("Ana", "By the way, the plumber comes on Tuesday."),
    ("Ben", "Good, then the tap stops dripping."),
    ("Ana", "I hope so, it keeps me awake."),
    ("Ben", "My tent arrived, it is green."),
    ("Ana", "Mine is still at the shop."),
]
LOVES = "I love rye bread with plum jam on winter mornings."
KEY = "Ana loves rye bread with plum jam on winter mornings"


def write_rows(path: Path, turns: list[tuple[str, str]], **more: Any) -> Path:
    rows = [
        {
            "id": f"t{n}",
            "text": text,
            "ts": f"2025-05-02T10:{n:02}:00Z",
            "meta": {"thread": "x", "speaker": who},
        }
        for n, (who, text) in enumerate(turns)
    ]
    path.write_text("".join(json.dumps(row | more) + "\n" for row in rows), encoding="utf-8")
    return path


def key_texts(session: Session) -> list[str]:
    return [row[0] for row in session.store._all("SELECT text FROM keys ORDER BY id")]


@pytest.fixture
def lover(engine: Engine, tmp_path: Path) -> Session:
    """Ana, who said what she loves, and something else."""
    session = engine.session("ana")
    session.add([write_rows(tmp_path / "ana.jsonl", [("Ana", LOVES)])])
    session.add(
        [
            write_notes(
                tmp_path / "notes", {"moon.md": "# Moon\n\nThe moon was full and white over the quay.\n"}
            )
        ]
    )
    return session


# ---------------------------------------------------------------- conversations


@pytest.mark.parametrize("context", [True, False])
def test_an_answer_is_found_by_the_question_before_it(
    make_engine: Callable[..., Engine], tmp_path: Path, context: bool
) -> None:
    session = make_engine(retrieve__context=context).session("ana")
    session.add([write_rows(tmp_path / "chat.jsonl", CHAT)])
    hits = session.search("What did Ana say about the lighthouse?", k=10)
    said = [hit for hit in hits if hit.chunk.meta["speaker"] == "Ana"]
    assert (said[0].document == "t3") is context
    assert ("turn.answers" in said[0].why) is context
    assert said[0].why["turn.speaker"] > 0 > hits[0].why["turn.speaker"]


def test_turns_come_back_after_the_index_was_read_from_disk(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    question = "What did Ana say about the lighthouse?"
    session = make_engine().session("ana")
    session.add([write_rows(tmp_path / "chat.jsonl", CHAT)])
    again = make_engine().session("ana", create=False)
    scores = [(hit.document, hit.score) for hit in session.search(question)]
    assert [(hit.document, hit.score) for hit in again.search(question)] == scores


def test_a_question_about_a_day_finds_what_was_said_then(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    rows = [
        {
            "id": f"d{month}",
            "text": f"Note number {month} about boats.",
            "ts": f"2025-{month:02}-10T10:00:00Z",
        }
        for month in range(1, 7)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    session = make_engine().session("ana")
    session.add([path])
    hit = session.search("Which note about boats is from April 10, 2025?")[0]
    assert hit.document == "d4"
    assert hit.why["date"] > 0


# ---------------------------------------------------------------- keys


def test_a_statement_points_at_the_verbatim_text(lover: Session) -> None:
    hit = lover.search("Ana loves rye bread with plum jam")[0]
    assert hit.text == LOVES
    assert hit.why["statement"] > 0
    assert [text for text in key_texts(lover) if text] == [f"{KEY} (likes, favourite)"]


def test_a_changed_sentence_changes_its_key(lover: Session, tmp_path: Path) -> None:
    lover.add([write_rows(tmp_path / "ana.jsonl", [("Ana", "I hate rye bread.")])])
    (text,) = [text for text in key_texts(lover) if text]
    assert text.startswith("Ana hates rye bread")
    assert [hit.text for hit in lover.search("rye bread", k=1)] == ["I hate rye bread."]


def test_keys_of_one_never_reach_the_other(lover: Session, engine: Engine, tmp_path: Path) -> None:
    ben = engine.session("ben")
    ben.add([write_rows(tmp_path / "ben.jsonl", [("Ben", "I love smoked eel with horseradish on Sundays.")])])
    assert not [text for text in key_texts(lover) if "eel" in text]
    assert not [text for text in key_texts(ben) if "rye" in text]
    for query in ("What does Ben love?", "Ben loves smoked eel", "suggest a dinner for me"):
        assert {hit.text for hit in lover.search(query, k=9)} <= {
            LOVES,
            "# Moon\n\nThe moon was full and white over the quay.",
        }
    sought = needles(
        ["Ben loves smoked eel with horseradish on Sundays", "smoked eel with horseradish on Sundays"]
    )
    assert scan(lover.workspace.path, sought) == {}
    assert scan(ben.workspace.path, sought) != {}


def test_forgetting_leaves_no_key_in_any_file(lover: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragperso.index.build.SMALL", 0)  # the few vectors get a file of their own
    lover._rebuild_indexes()
    vector = HashEmbedder().embed_query(f"{KEY} (likes, favourite)")
    sought = needles([KEY], [vector])
    found = search(lover.workspace.path, sought)
    assert frozenset().union(*found.values()) == {0, 1}  # the store holds both, the index of keys the vector
    assert any(path.name.endswith(".keys.faiss") for path in found)
    lover.forget(["t0"])
    assert scan(lover.workspace.home, sought) == {}
    assert lover.store.counts()["keys"] == 0
    assert lover.store.problems() == []


def test_another_embedder_embeds_the_keys_too(lover: Session, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine._embedder = HashEmbedder(32)
    session = engine.session("ana", create=False)
    n_texts = session.store._one(
        "SELECT count(*) FROM (SELECT embed_hash FROM chunks UNION SELECT embed_hash FROM keys)"
    )
    assert n_texts is not None
    assert session.reindex() == n_texts[0]
    assert session.search("Ana loves rye bread with plum jam")[0].why["statement"] > 0


# ---------------------------------------------------------------- moving and upgrading


def test_an_archive_carries_the_keys(lover: Session, tmp_path: Path) -> None:
    counts = lover.export(tmp_path / "ana.zip")
    assert counts["keys"] == lover.store.counts()["keys"] > 0
    import_person(tmp_path / "ana.zip", tmp_path / "other", UserId("ana"))
    copy = Store(Workspace(tmp_path / "other", UserId("ana")).open(create=False).store_path)
    assert list(copy.rows("keys")) == list(lover.store.rows("keys"))
    numbers = np.array([row[0] for row in copy.key_rows("documents")], np.int64)
    active = copy.active_embedder()
    assert active is not None
    assert copy.vectors(active[0], numbers, of="keys")[0].tolist() == numbers.tolist()
    copy.close()


def test_an_archive_of_the_first_schema_is_read(lover: Session, tmp_path: Path) -> None:
    asked = lover.ask("Who likes plum jam?")
    lover.feedback(asked.interaction, "good")
    lover.remember("I live in Leipzig.")
    lover.export(tmp_path / "ana.zip")
    newer = {"facts": "kind", "feedback": "detail"}  # the first column that came later
    with zipfile.ZipFile(tmp_path / "ana.zip") as new, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        manifest = json.loads(new.read("manifest.json"))
        manifest["schema"] = 1
        for table in ("keys", "extractions"):
            del manifest["members"][f"{table}.jsonl"]
        for name in new.namelist():
            if name in ("keys.jsonl", "extractions.jsonl", "manifest.json"):
                continue
            data = new.read(name)
            if first := newer.get(name.removesuffix(".jsonl")):
                rows = [json.loads(line) for line in data.splitlines()]
                rows = [row[: rows[0].index(first)] for row in rows]
                data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            stated = manifest["members"][name]
            stated["sha256"], stated["bytes"] = hashlib.sha256(data).hexdigest(), len(data)
            old.writestr(name, data)
        old.writestr("manifest.json", json.dumps(manifest))
    counts = import_person(tmp_path / "old.zip", tmp_path / "other", UserId("ana"))
    assert counts["documents"] == 3  # two messages, one exchange
    assert "keys" not in counts
    with contextlib.closing(
        Store(Workspace(tmp_path / "other", UserId("ana")).open(create=False).store_path)
    ) as copy:
        assert [mark.verdict for mark in copy.feedback()] == ["good"]
        assert "I live in Leipzig." in {fact.text for fact in copy.facts()}
        assert copy.get("facts_stale") == "1"


def test_a_store_of_the_first_schema_is_searched_and_gets_its_keys_when_files_are_added_again(
    lover: Session, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    path = lover.store.path
    lover.engine.close()
    make_older(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE sources SET recipe = 'old'")
        db.execute("UPDATE documents SET recipe = 'old'")
    db.close()
    session = make_engine().session("ana", create=False)
    hit = session.search("rye bread with plum jam")[0]
    assert hit.text == LOVES
    assert "statement" not in hit.why
    session.add([tmp_path / "ana.jsonl"])
    assert [text for text in key_texts(session) if text] == [f"{KEY} (likes, favourite)"]
    assert session.search("Ana loves rye bread with plum jam")[0].why["statement"] > 0


# ---------------------------------------------------------------- parts and phrases


def test_two_questions_find_both_answers(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    notes = {f"{n}.md": f"# Sheet {n}\n\nThe torque wrench lies in drawer {n}.\n" for n in range(6)}
    notes["dentist.md"] = "# Dentist\n\nDoctor Vale opens at eight on Mondays.\n"
    session = make_engine().session("ana")
    session.add([write_notes(tmp_path / "notes", notes)])
    question = "Where does the torque wrench lie and when does the dentist open on Monday?"
    scores = {Path(hit.document).name: hit.score for hit in session.search(question, k=3)}
    assert scores["dentist.md"] == 1.0  # the first of its part


def test_a_quoted_phrase_is_found_to_the_letter(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    notes = {
        "a.md": "# Birds\n\nHeron, blue heron, grey heron, blue boat, heron.\n",
        "b.md": "# Walk\n\nWe met an old man who spoke of heron and blue.\n",
        "c.md": "# Late\n\nThe inn was called the Grey Blue Heron House and had no beds.\n",
    }
    folder = write_notes(tmp_path / "notes", notes)
    scores = []
    for names in (True, False):
        session = make_engine(retrieve__names=names).session("ana")
        session.add([folder])
        found = session.search('Where is "grey blue heron" written?')
        scores.append({Path(hit.document).name: hit.score for hit in found})
    lifted, plain = scores
    assert next(iter(lifted)) == "c.md"
    assert lifted == pytest.approx(plain | {"c.md": plain["c.md"] + PHRASE_BONUS})


def test_a_suggestion_is_searched_for_by_what_the_person_likes(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    rows = [
        ("a", "Ana: We talked about a dinner suggestion for the office.", "Ana"),
        ("b", "Ben: The suggestion was a dinner for ten.", "Ben"),
        ("c", "Ben: A dinner for me is no suggestion at all.", "Ben"),
        ("d", "Ana: I love melted cheese.", "Ana"),
    ]
    file = tmp_path / "chat.jsonl"
    file.write_text(
        "".join(
            json.dumps({"id": i, "text": text, "meta": {"session": "s", "speaker": who}}) + "\n"
            for i, text, who in rows
        )
    )
    session = make_engine().session("ana")
    session.add([file])
    # Second place goes to the best of what Ana said she likes, whatever words it shares with the question.
    assert [hit.document for hit in session.search("Suggest a dinner for me", k=2)][1] == "d"
    plain = make_engine(retrieve__expand=False).session("ana", create=False)
    assert "d" not in [hit.document for hit in plain.search("Suggest a dinner for me", k=2)]


def test_a_note_is_found_by_its_tags_and_aliases(ana: Session, tmp_path: Path) -> None:
    note = tmp_path / "moka.md"
    note.write_text("---\ntags: [zephyrbrew]\naliases: [quillpot]\n---\n# Moka\n\nBoil it slowly.\n")
    ana.add([note])
    for word in ("zephyrbrew", "quillpot"):
        hit = ana.search(word, k=1)[0]
        assert hit.document.endswith("moka.md")
        assert hit.via["lexical"].rank == 1
