"""The seven stages end to end, with two people."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from ragperso.engine import Engine, Session
from ragperso.errors import GenerationCancelled, StaleIndex, UnknownUser
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import CORPORA, Filters
from tests.conftest import ANA_NOTES, write_notes


def test_each_person_is_answered_from_their_own_notes(ana: Session, ben: Session) -> None:
    question = "Which bank did I leave, and which bank account is mine?"
    hers, his = ana.ask(question), ben.ask(question)
    assert "Elster" in hers.answer
    assert "Verte" in his.answer
    assert [Path(c.document).parent.name for c in hers.citations] == ["ana-notes"]
    assert [Path(c.document).parent.name for c in his.citations] == ["ben-notes"]


def test_no_word_of_one_reaches_the_other(ana: Session, ben: Session) -> None:
    for query in ("Elster Bank fees", "knee running", "Tomaten Südfenster"):
        assert not [hit for hit in ben.search(query, k=50) if "ana-notes" in hit.document]
        prompt = ben.prompt(query)
        assert not any("Elster" in m.content or "Tomaten" in m.content for m in prompt.messages[:1])
        assert not [p for p in prompt.passages if "ana-notes" in p.document]


def test_an_answer_is_recorded_before_it_is_returned(
    ana: Session, make_engine: Callable[..., Engine]
) -> None:
    answer = ana.ask("Which bank did I move my account to?")
    elsewhere = make_engine().session("ana", create=False)
    assert elsewhere.interaction(answer.interaction).query == "Which bank did I move my account to?"
    assert elsewhere.search("which bank did I move", corpora=["history"])[0].document.endswith(
        answer.interaction
    )


def test_own_answers_are_history_but_never_evidence(ana: Session) -> None:
    question = "Which bank did I move my account to?"
    ana.ask(question)
    again = ana.ask(question)
    assert not [hit for hit in again.hits if hit.chunk.corpus == "history"]
    assert [h for h in ana.search(question, corpora=["history"]) if h.chunk.corpus == "history"]


def test_a_follow_up_is_searched_with_the_question_it_leans_on(ana: Session) -> None:
    ana.ask("Which bank did I move my account to?", session="s")
    answer = ana.ask("and why?", session="s")
    assert ana.interaction(answer.interaction).resolved == "Which bank did I move my account to? and why?"
    assert answer.hits[0].document.endswith("bank.md")
    alone = ana.ask("and why?", session="other")
    assert ana.interaction(alone.interaction).resolved == "and why?"


def test_what_nothing_answers_is_declined_and_recorded(ana: Session) -> None:
    answer = ana.ask("zzz qqq xyzzy plugh?")
    assert answer.abstained
    assert answer.citations == ()
    assert answer.usage.prompt_tokens == 0
    assert ana.interaction(answer.interaction).abstained


# The note is a source of the answer, and an example for the draft; then the double repeats the request.
@pytest.mark.parametrize(("task", "begins"), [("ask", "# Bank"), ("write", "Which bank")])
def test_a_cancelled_answer_is_raised_as_far_as_it_came_and_not_recorded(
    ana: Session, task: str, begins: str
) -> None:
    question = "Which bank did I move my account to?"
    for n_words, partial in ((0, ""), (2, begins)):
        seen: list[str] = []
        calls = iter([False] * (n_words + 1))  # asked once after the search, then before each word
        with pytest.raises(GenerationCancelled) as caught:
            getattr(ana, task)(
                question, on_text=seen.append, is_cancelled=lambda calls=calls: next(calls, True)
            )
        assert caught.value.partial == "".join(seen) == partial
        assert "Bank" not in str(caught.value)
    assert ana.store.counts()["interactions"] == 0
    assert ana.search(question, corpora=["history"]) == []


def test_who_stops_during_the_search_gets_no_declined_answer_either(ana: Session) -> None:
    with pytest.raises(GenerationCancelled):
        ana.ask("zzz qqq xyzzy plugh?", is_cancelled=lambda: True)
    assert ana.store.counts()["interactions"] == 0


def test_an_empty_person_declines_instead_of_failing(engine: Engine) -> None:
    assert engine.session("nobody").ask("Where do I live?").abstained
    assert engine.session("nobody").search("anything") == []


def test_asking_for_someone_unknown_creates_nothing(engine: Engine) -> None:
    with pytest.raises(UnknownUser):
        engine.session("carol", create=False)
    assert engine.users() == []


def test_unchanged_renamed_changed_and_removed_files(ana: Session, tmp_path: Path) -> None:
    folder = tmp_path / "ana-notes"
    again = ana.add([folder])
    assert (again.unchanged, again.added, again.embedded) == (3, 0, 0)

    (folder / "knee.md").rename(folder / "left-knee.md")
    renamed = ana.add([folder])
    assert (renamed.renamed, renamed.added, renamed.removed, renamed.embedded) == (1, 0, 0, 0)
    assert ana.search("six weeks without running", k=1)[0].document.endswith("left-knee.md")

    (folder / "bank.md").write_text("# Bank\n\nNow it is Tern Bank.\n", encoding="utf-8")
    changed = ana.add([folder])
    assert (changed.modified, changed.unchanged) == (1, 2)
    assert not [h for h in ana.search("Elster", k=9) if "Elster" in h.text]

    (folder / "garten.md").unlink()
    removed = ana.add([folder])
    assert (removed.removed, removed.unchanged) == (1, 2)
    assert not [h for h in ana.search("Tomaten", k=9) if "Tomaten" in h.text]


def test_a_duplicate_costs_no_embedding(ana: Session, tmp_path: Path) -> None:
    (tmp_path / "ana-notes" / "copy.md").write_text(ANA_NOTES["bank.md"], encoding="utf-8")
    report = ana.add([tmp_path / "ana-notes"])
    assert (report.added, report.embedded) == (1, 0)
    hits = ana.search("Elster Bank", k=5)
    assert sum("Elster" in hit.text for hit in hits) == 1  # and is shown once
    assert len(hits[0].duplicates) == 1


def test_a_folder_that_is_not_mounted_removes_nothing(ana: Session, tmp_path: Path) -> None:
    (tmp_path / "ana-notes").rename(tmp_path / "away")
    report = ana.add([tmp_path / "ana-notes"])
    assert report.removed == 0
    assert len(report.skipped) == 1
    assert len(ana.store.documents("documents")) == 3


def test_one_bad_file_is_named_and_the_rest_is_read(ana: Session, tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "more", {"good.md": "A good note about rivers.\n"})
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4 this is not a PDF")
    report = ana.add([folder])
    assert report.added == 1
    assert [Path(s.path).name for s in report.skipped] == ["bad.pdf"]
    assert "good note" not in report.skipped[0].reason
    second = ana.add([folder])
    assert (second.unchanged, len(second.skipped)) == (1, 1)  # named again, not read again


def test_a_dry_run_counts_and_changes_nothing(ana: Session, tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "ana-notes", {"new.md": "A new note.\n"})
    (folder / "bank.md").unlink()
    report = ana.add([folder], dry_run=True)
    assert (report.added, report.removed, report.unchanged, report.embedded) == (1, 1, 2, 0)
    assert len(ana.store.documents("documents")) == 3
    assert ana.add([folder]).added == 1


def test_an_interrupted_add_continues_behind_what_was_committed(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    folder = write_notes(tmp_path / "many", {f"{n:03}.md": f"# Note {n}\n\nWord w{n}.\n" for n in range(60)})
    session = make_engine(ingest__batch_tokens=32).session("ana")

    def stop(progress: object) -> None:
        if progress.done_files == 30:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.add([folder], on_progress=stop)
    kept = len(session.store.documents("documents"))
    assert 20 <= kept < 60
    report = session.add([folder])
    assert report.unchanged == kept
    assert report.added == 60 - kept
    assert session.search("w59", k=1)[0].document.endswith("059.md")


def test_what_an_interrupted_add_stored_is_learned_from_by_the_next(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    notes = {
        f"{n:03}.md": f"I live in town number {n}. It rains there often, and the trams are late.\n"
        for n in range(20)
    }
    folder = write_notes(tmp_path / "journal", notes)
    session = make_engine(ingest__batch_tokens=32).session("ana")

    def stop(progress: object) -> None:
        if progress.done_files == 10:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.add([folder], on_progress=stop)
    assert session.store.counts()["facts"] == 0
    session.add([folder])
    assert session.store.counts()["facts"] == 20


def test_filters_apply_before_ranking(engine: Engine, tmp_path: Path) -> None:
    notes = {
        f"{n}.md": f"---\ndate: 2024-01-{n + 1:02}\ntags: [old]\n---\nThe river walk again.\n"
        for n in range(20)
    }
    notes["new.md"] = "---\ndate: 2025-06-01\ntags: [new, trip]\n---\nA short river walk in June with Mia.\n"
    session = engine.session("ana")
    session.add([write_notes(tmp_path / "walks", notes)])
    recent = Filters(since=datetime(2025, 1, 1, tzinfo=timezone.utc))
    assert [Path(h.document).name for h in session.search("river walk", k=1, filters=recent)] == ["new.md"]
    tagged = Filters(meta={"tags": "trip"})
    assert [Path(h.document).name for h in session.search("river walk", k=5, filters=tagged)] == ["new.md"]


class Damage:
    @staticmethod
    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)

    @staticmethod
    def truncate(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-7])

    @staticmethod
    def remove(path: Path) -> None:
        path.unlink()


@pytest.mark.parametrize("pattern", ["documents.*.layout", "documents.*.bm25", "documents.index.json"])
@pytest.mark.parametrize("damage", [Damage.flip, Damage.truncate, Damage.remove])
def test_a_damaged_index_is_rebuilt_from_the_store_and_said_so(
    ana: Session, make_engine: Callable[..., Engine], pattern: str, damage: Callable[[Path], None]
) -> None:
    ana.search("bank")
    before = [(h.document, round(h.score, 5)) for h in ana.search("account fees")]
    damage(sorted(ana.workspace.path.glob(pattern))[0])
    fresh = make_engine().session("ana", create=False)
    fresh.engine._embedder = Unembeddable()
    after = [(h.document, round(h.score, 5)) for h in fresh.search("account fees")]
    assert after == before
    notes = fresh.take_notes()
    # Without the small file that names the others there is nothing to distrust: built anew in silence.
    assert any("rebuilt" in note for note in notes) or (pattern.endswith("json") and damage is Damage.remove)


class Unembeddable(HashEmbedder):
    """Fails when a document is embedded again; queries work."""

    def embed_documents(self, texts):  # type: ignore[no-untyped-def]
        raise AssertionError("the index was rebuilt by embedding")


def test_an_index_older_than_the_store_catches_up(
    ana: Session, tmp_path: Path, make_engine: Callable[..., Engine]
) -> None:
    ana.search("bank")
    saved = {p: p.read_bytes() for p in ana.workspace.path.rglob("documents.*") if p.is_file()}
    ana.add([write_notes(tmp_path / "late", {"late.md": "A late note about gliders.\n"})])
    for path in ana.workspace.path.rglob("documents.*"):
        if path.is_file():
            path.unlink()
    for path, data in saved.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    fresh = make_engine().session("ana", create=False)
    assert fresh.search("gliders", k=1)[0].document.endswith("late.md")
    assert np.array_equal(fresh._index("documents").dense.ids, fresh.store.chunk_ids("documents"))


def test_another_embedder_is_refused_and_reindex_moves_over(
    ana: Session, make_engine: Callable[..., Engine]
) -> None:
    other = make_engine()
    other._embedder = HashEmbedder(dim=32)
    session = other.session("ana", create=False)
    with pytest.raises(StaleIndex) as caught:
        session.search("bank")
    assert "reindex" in caught.value.hint
    n_embedded = session.reindex()
    assert n_embedded == ana.store.counts()["embeddings"]
    assert session.search("Elster Bank", k=1)[0].document.endswith("bank.md")
    assert session._index("documents").dense.dim == 32


def test_an_interrupted_reindex_serves_the_old_and_continues(
    make_engine: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragperso.index.build._REINDEX_BATCH", 8)
    old = make_engine().session("ana")
    old.add([write_notes(tmp_path / "many", {f"{n}.md": f"Word number w{n} alone.\n" for n in range(40)})])
    new = make_engine()
    new._embedder = HashEmbedder(dim=32)
    session = new.session("ana", create=False)

    def stop(done: int, total: int) -> None:
        assert total == 40
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.reindex(on_progress=stop)
    assert old.search("w7", k=1)[0].document.endswith("/7.md")
    assert session.reindex() == 40 - 16
    assert session.search("w7", k=1)[0].document.endswith("/7.md")


def test_feedback_with_an_edit_becomes_an_exemplar(ana: Session) -> None:
    answer = ana.ask("Which bank did I move my account to?")
    edited = (
        "Elster Bank it is. I moved there in March, the fees at the old place had become silly, so I left."
    )
    ana.feedback(answer.interaction, "edited", edited)
    assert edited in [ana.store.text(d.id) for d in ana.store.documents("exemplars")]
    assert ana.store.feedback(answer.interaction)[0].verdict == "edited"


def test_an_edit_corrects_what_is_held_and_undone_it_corrects_nothing(ana: Session) -> None:
    ana.remember("I live in Leipzig.")

    def held() -> set[str]:
        return {fact.text for fact in ana.profile().facts}

    before = held()
    answer = ana.ask("Which bank did I move my account to?")
    ana.feedback(answer.interaction, "edited", f"{answer.answer} I moved to Graz in April.")
    assert held() == before - {"I live in Leipzig."} | {"I moved to Graz in April."}
    ana.undo_feedback(answer.interaction)
    assert held() == before


def test_what_is_remembered_is_in_the_prompt_and_can_be_taken_back(ana: Session) -> None:
    number = ana.remember("I am allergic to hazelnuts.")
    assert "hazelnuts" in ana.prompt("What bank?").messages[0].content
    ana.forget(facts=[number])
    assert "hazelnuts" not in ana.prompt("What bank?").messages[0].content


def test_export_and_import_need_no_embedding(ana: Session, ben: Session, tmp_path: Path) -> None:
    ana.ask("Which bank did I move my account to?")
    before = [(h.document, round(h.score, 6)) for h in ana.search("bank account")]
    ana.export(tmp_path / "ana.zip")
    engine = ana.engine
    engine.erase("ana")
    assert engine.users() == ["ben"]
    engine._embedder = Unembeddable()
    back = engine.import_person(tmp_path / "ana.zip")
    assert [(h.document, round(h.score, 6)) for h in back.search("bank account")] == before
    assert len(back.store.interactions()) == 1
    assert back.store.problems() == []


def test_a_full_disk_loses_nothing_that_was_stored(ana: Session, tmp_path: Path) -> None:
    """The database may not grow: the add fails in plain words, and everything before it is there."""
    store = ana.store
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = write_notes(tmp_path / "big", {f"{n}.md": f"word{n} " * 3000 for n in range(30)})
    with pytest.raises(Exception, match="disk is full") as caught:
        ana.add([big])
    assert "safe" in str(caught.value)
    assert "Elster" in ana.search("Elster Bank", k=1)[0].text
    assert store.problems() == []
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert ana.add([big]).added + len([d for d in store.documents() if "/big/" in d.key]) >= 30


def test_every_file_of_a_person_is_private_to_the_owner(ana: Session) -> None:
    ana.ask("bank?")
    if os.name == "nt":
        pytest.skip("Windows has no such mode bits")
    for path in ana.workspace.path.rglob("*"):
        if path.is_file() and not path.name.endswith(".lock"):
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_corpora_are_searched_as_one_and_apart(engine: Engine, tmp_path: Path) -> None:
    session = engine.session("ana")
    session.add([write_notes(tmp_path / "d", {"a.md": "Glider flights over the lake.\n"})])
    session.add([write_notes(tmp_path / "h", {"b.md": "We talked about gliders at lunch.\n"})], "history")
    found = {Path(h.document).name for h in session.search("gliders", k=5)}
    assert found == {"a.md", "b.md"}
    assert [Path(h.document).name for h in session.search("glider", corpora=["history"])] == ["b.md"]
    assert set(CORPORA) == {"documents", "history", "exemplars"}


def test_the_engine_is_cheap_until_it_is_used(tmp_path: Path) -> None:
    Engine(tmp_path / "none", embedder=HashEmbedder(), generator=EchoGenerator())
    assert not (tmp_path / "none").exists()


def test_rows_go_to_the_people_they_name_and_the_rest_goes_on(engine: Engine, tmp_path: Path) -> None:
    rows = [
        {"user": "ana", "id": "a1", "text": "The kettle is blue."},
        {"user": "ben", "id": "b1", "text": "The kettle is red."},
        {"user": "  ", "id": "x1", "text": "The kettle is nobody's."},
        {"id": "m1", "text": "The kettle is mine."},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n", encoding="utf-8")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 broken")
    engine.session("me").ask("anything?")  # an exchange without a file: must outlive the add
    reports = engine.add_users([tmp_path / "rows.jsonl", tmp_path / "bad.pdf"], "history")
    assert {name: report.added for name, report in reports.items()} == {"me": 1, "ana": 1, "ben": 1}
    assert len(reports["me"].skipped) == 3  # the bad line, the bad file, the bad name
    assert [h.text for h in engine.session("ben").search("kettle", k=5)] == ["The kettle is red."]
    assert len(engine.session("me").store.documents("history")) == 2
    again = engine.add_users([tmp_path / "rows.jsonl"], "history")
    assert {name: report.unchanged for name, report in again.items()} == {"me": 1, "ana": 1, "ben": 1}
