"""A file is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from ragperso.files import content_hash, file_hash, remove_leftovers, replacing, write_atomically


def test_a_file_is_written_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "älter")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o077 == 0
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_error_half_way_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with contextlib.suppress(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def _die_half_way(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_leaves_the_old_file_and_a_rest_that_is_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    process = multiprocessing.get_context("spawn").Process(target=_die_half_way, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    assert remove_leftovers(tmp_path) == 1
    assert os.listdir(tmp_path) == ["a"]


def _write_past_limit(path: Path) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_atomically(path, b"x" * 100_000)
    except OSError:
        os._exit(7)
    os._exit(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_write_that_finds_no_room_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    process = multiprocessing.get_context("spawn").Process(target=_write_past_limit, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == 7
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_hashes_are_sha256_of_utf8_and_a_lone_surrogate_is_no_error(tmp_path: Path) -> None:
    assert content_hash("ä") == content_hash(b"\xc3\xa4") == hashlib.sha256(b"\xc3\xa4").hexdigest()
    assert content_hash("\ud800") != content_hash("\ud801")
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert file_hash(tmp_path / "a") == content_hash(b"x" * 3_000_000)


def test_cleaning_touches_only_rests(tmp_path: Path) -> None:
    for name in ("store.db", ".write.lock", "note.tmp", ".a.12ab34cd.tmp"):
        (tmp_path / name).write_bytes(b"")
    assert remove_leftovers(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == [".write.lock", "note.tmp", "store.db"]
