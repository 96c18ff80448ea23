"""The parts of a corpus index have the same rows, in memory, from disk and while others write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso.engine import Engine, Session
from ragperso.index.build import CorpusIndex

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


@pytest.mark.parametrize("pattern", ["documents.*.layout/day.npy", "documents.*.keys.faiss"])
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
