"""The parts of a corpus index have the same rows, in memory, from disk and while others write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso.engine import Engine, Session
from ragperso.index import build
from ragperso.index.build import CorpusIndex, lexical_text
from ragperso.store import ChunkText

TURNS = [("Ana", "I love rye bread."), ("Ben", "Do you? I met Lena on May 3, 2024."), ("Ana", "Yes.")]


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    session = engine.session("ana")
    add(session, tmp_path, 0)
    return session


def add(session: Session, folder: Path, number: int) -> None:
    rows = [
        {"id": f"{number}-{n}", "text": text, "meta": {"thread": str(number), "speaker": who}}
        for n, (who, text) in enumerate(TURNS)
    ]
    path = folder / f"{number}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    session.add([path])


def fresh(session: Session) -> CorpusIndex:
    return session._index("documents")


def test_layout_vectors_words_and_keys_have_the_same_rows(session: Session, tmp_path: Path) -> None:
    for number in (1, 2):
        add(session, tmp_path, number)
        index = fresh(session)
        n = 3 * (number + 1)
        assert index.layout.ids.tolist() == index.dense.ids.tolist() == index.lexical.ids.tolist()
        assert len(index.layout) == n
        assert len(index.keys) == len(index.layout.key_row) > 0
    session.forget(["1-0"])
    index = fresh(session)
    assert index.layout.ids.tolist() == index.dense.ids.tolist() == index.lexical.ids.tolist()
    assert len(index.keys) == len(index.layout.key_row)
    assert index.layout.group.tolist() == [0] * 3 + [1] * 2 + [2] * 3


def test_days_that_a_text_speaks_of_are_in_the_layout(session: Session) -> None:
    layout = fresh(session).layout
    assert layout.span_row.tolist() == [1]
    assert layout.span_first.tolist() == layout.span_last.tolist() == [739009]  # 2024-05-03


def test_the_layout_is_read_from_disk_as_it_was_built(
    session: Session, make_engine: Callable[..., Engine]
) -> None:
    built = fresh(session)
    index = fresh(make_engine().session("ana", create=False))
    assert index.take_notes() == []
    assert index.layout.speakers == built.layout.speakers == ("ana", "ben")
    for name, array in built.layout.arrays().items():
        assert index.layout.arrays()[name].tolist() == array.tolist()


@pytest.mark.parametrize("pattern", ["documents.*.layout", "documents.*.bm25"])
def test_a_damaged_part_is_rebuilt_and_said_so(
    session: Session, make_engine: Callable[..., Engine], pattern: str
) -> None:
    layout = fresh(session).layout
    (path,) = session.workspace.path.glob(pattern)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    index = fresh(make_engine().session("ana", create=False))
    (note,) = index.take_notes()
    assert "rebuilt" in note
    assert index.layout.arrays()["day"].tolist() == layout.arrays()["day"].tolist()
    assert len(index.keys) == len(layout.key_row)


def test_style_has_the_documents_of_the_layout_though_the_store_went_on(
    session: Session, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    index = fresh(session)
    add(make_engine().session("ana", create=False), tmp_path, 1)
    words, both = index.style.scores(TURNS[0][1])
    assert words.shape == both.shape == (3,) == (index.layout.n_documents,)
    assert words.argmax() == 0


def test_nothing_is_refreshed_while_someone_reads(
    session: Session, make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    index = fresh(session)
    add(make_engine().session("ana", create=False), tmp_path, 1)
    other = threading.Thread(target=fresh, args=(session,))
    with index.steady():
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert len(index.dense) == len(index.layout) == 3
    other.join(30)
    assert len(index.dense) == len(index.layout) == 6


def test_vectors_of_a_small_corpus_are_not_written_twice(
    session: Session, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = fresh(session)
    assert list(session.workspace.path.glob("*.faiss")) == []
    index = fresh(make_engine().session("ana", create=False))
    for one, other in ((built.dense, index.dense), (built.keys, index.keys)):
        assert one.ids.tolist() == other.ids.tolist()
        assert one._rows[1].tobytes() == other._rows[1].tobytes()
    monkeypatch.setattr(build, "SMALL", 2)
    add(session, tmp_path, 1)
    assert len(list(session.workspace.path.glob("documents.*.faiss"))) == 2  # of chunks and of keys
    again = fresh(make_engine().session("ana", create=False))
    assert again.take_notes() == []
    assert again.dense._rows[1].tobytes() == fresh(session).dense._rows[1].tobytes()


def test_an_empty_corpus_has_no_files(session: Session, tmp_path: Path) -> None:
    for number in (0, 1, 2):
        session.forget([f"0-{number}"])
    assert len(fresh(session).layout) == 0
    assert [path.name for path in session.workspace.path.glob("documents*")] == []
    add(session, tmp_path, 1)
    assert len(fresh(session).layout) == 3


def test_one_more_text_does_not_cut_all_others_anew(
    session: Session, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[str] = []

    def counted(chunk: ChunkText) -> str:
        read.append(chunk.key)
        return lexical_text(chunk)

    later = make_engine().session("ana", create=False)
    fresh(later)  # reads the files, and of the tokens none
    monkeypatch.setattr(build, "lexical_text", counted)
    add(later, tmp_path, 1)
    assert len(read) == 3
    # Tokens that cannot be read are made anew.
    (path,) = later.workspace.path.glob("documents.*.tokens")
    path.write_bytes(b"")
    other = make_engine().session("ana", create=False)
    fresh(other)
    read.clear()
    add(other, tmp_path, 2)
    assert len(read) == 9
    assert len(fresh(other).lexical.ids) == 9


def test_an_index_knows_what_it_takes(session: Session, tmp_path: Path) -> None:
    before = fresh(session).nbytes
    assert before > fresh(session).dense.nbytes > 0
    add(session, tmp_path, 1)
    assert fresh(session).nbytes > before


@pytest.mark.parametrize("pattern", ["documents.*[0-9a-f].faiss", "documents.*.keys.faiss"])
def test_damaged_vectors_of_a_large_corpus_are_rebuilt(
    engine: Engine,
    make_engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    pattern: str,
) -> None:
    monkeypatch.setattr(build, "SMALL", 0)
    session = engine.session("ana")
    add(session, tmp_path, 0)
    whole = fresh(session)
    (path,) = session.workspace.path.glob(pattern)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    index = fresh(make_engine().session("ana", create=False))
    (note,) = index.take_notes()
    assert "rebuilt" in note
    assert index.dense._rows[1].tobytes() == whole.dense._rows[1].tobytes()
    assert index.keys._rows[1].tobytes() == whole.keys._rows[1].tobytes()
