"""The scanner finds what is there, in every form it promises, and nothing that is not."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ragperso.privacy.scan import needles, scan, search

TEXT = "The left knee of Dr. Ämilia Sommerfeld hurts on stairs since late March, says nobody else."


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        TEXT.upper().encode(),
        TEXT.lower().encode("utf-16-le"),
        b"\x01" + TEXT.encode("utf-16-be"),
        base64.b64encode(TEXT.encode()),
        base64.b64encode(b"x" + TEXT.encode()),
        base64.b64encode(b"xy" + TEXT.encode() + b"tail"),
        base64.encodebytes(b"header " * 9 + TEXT.encode()),
    ],
    ids=["utf-8", "upper", "utf-16-le", "utf-16-be", "base64", "base64+1", "base64+2", "mime"],
)
@pytest.mark.parametrize("lead", [0, 1, 2, 3, 7, 4_194_280])
def test_a_text_is_found_in_every_form_and_place(tmp_path: Path, raw: bytes, lead: int) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"\x00" * lead + raw + b"\x00" * 9)
    assert scan(tmp_path, needles([TEXT])) == {path: 1}


def test_a_vector_is_found_as_float32_and_float16(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3, 384)).astype(np.float32)
    (tmp_path / "a.faiss").write_bytes(b"head" + rows[0].tobytes())
    (tmp_path / "b.npy").write_bytes(b"odd" + rows[1].astype(np.float16).tobytes())
    (tmp_path / "c").write_bytes(rng.standard_normal((9, 384)).astype(np.float32).tobytes())
    found = search(tmp_path, needles(["not there at all, not one word of it"], rows))
    assert found == {tmp_path / "a.faiss": frozenset({1}), tmp_path / "b.npy": frozenset({2})}


def test_long_texts_in_a_database_are_all_found_also_in_its_log(tmp_path: Path) -> None:
    texts = [" ".join(f"doc{d} token{d}q{n}" for n in range(50 * (d + 1))) for d in range(60)]
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (?)", [(text,) for text in texts])
    found = search(tmp_path, needles(texts))
    assert found[tmp_path / "a.db-wal"] == frozenset(range(60))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert search(tmp_path, needles(texts)) == {tmp_path / "a.db": frozenset(range(60))}
    connection.close()


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"The left knee of Dr. nobody hurts on stairs, says somebody.")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert scan(tmp_path, needles([TEXT])) == {}
    assert scan(tmp_path, needles([])) == {}
    assert scan(tmp_path / "nowhere", needles([TEXT])) == {}


def test_texts_too_short_to_prove_anything_are_named(tmp_path: Path) -> None:
    sought = needles(["ok", TEXT, "", "exactly12chr"])
    assert sought.skipped == {0, 2}
    assert sought.sought == {1, 3}


def test_words_that_another_text_keeps_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(TEXT)
    assert scan(tmp_path, needles([TEXT], kept=[f"I quote: {TEXT}"])) == {}
    assert scan(tmp_path, needles([TEXT], kept=["something else"])) == {tmp_path / "a": 1}


def test_a_text_without_spaces_is_found(tmp_path: Path) -> None:
    text = "左膝は三月の末から階段で痛みます。医者は六週間の休養を勧めました。"
    (tmp_path / "a").write_text(f"前置き{text}後書き")
    assert scan(tmp_path, needles([text])) == {tmp_path / "a": 1}


def test_a_text_broken_over_lines_is_found_as_it_stands(tmp_path: Path) -> None:
    text = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine"
    (tmp_path / "a").write_text(text)
    assert scan(tmp_path, needles([text])) == {tmp_path / "a": 1}


def test_many_needles_in_many_bytes_take_seconds_at_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "big").write_bytes(rng.integers(0, 256, 16 << 20, np.uint8).tobytes())
    texts = [f"word{n}a word{n}b word{n}c word{n}d word{n}e word{n}f word{n}g word{n}h" for n in range(2000)]
    (tmp_path / "small").write_text(texts[1234])
    assert scan(tmp_path, needles(texts)) == {tmp_path / "small": 1}
