from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ragperso.ingest.walk import Found, key_of, walk
from ragperso.types import Skipped

MAX = 1_000_000


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def keys(*paths: str | Path, max_file_bytes: int = MAX, follow_hidden: bool = False) -> list[str]:
    found = walk(paths, max_file_bytes=max_file_bytes, follow_hidden=follow_hidden)
    return [item.key for item in found if isinstance(item, Found)]


def skipped(*paths: str | Path, max_file_bytes: int = MAX) -> list[Skipped]:
    return [item for item in walk(paths, max_file_bytes=max_file_bytes) if isinstance(item, Skipped)]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "notes"
    root.mkdir()
    return root


def test_keys_are_the_paths_as_the_person_named_them(notes: Path) -> None:
    write(notes, b_DOT_md="b", sub__a_DOT_md="a", README="read")
    assert keys("notes") == ["notes/README", "notes/b.md", "notes/sub/a.md"]
    assert keys("./notes/sub/", "notes/b.md") == ["notes/sub/a.md", "notes/b.md"]
    assert keys(notes) == [f"{notes}/README", f"{notes}/b.md", f"{notes}/sub/a.md"]
    os.chdir(notes)
    assert keys(".") == ["README", "b.md", "sub/a.md"]


def test_found_carries_size_and_time(notes: Path) -> None:
    write(notes, a_DOT_md="four")
    (found,) = walk(["notes"], max_file_bytes=MAX)
    assert isinstance(found, Found)
    assert (found.size_bytes, found.mtime_ns) == (4, (notes / "a.md").stat().st_mtime_ns)
    assert (found.path, found.root) == (notes / "a.md", notes)


def test_a_file_is_found_once(notes: Path) -> None:
    write(notes, sub__a_DOT_md="a")
    assert keys("notes", "notes/sub", notes / "sub" / "a.md") == ["notes/sub/a.md"]


def test_ignore_files_nest_negate_and_let_ragperso_have_the_last_word(notes: Path) -> None:
    write(notes, a_DOT_log="", b_DOT_log="", keep__a_DOT_log="", build__x_DOT_md="", sub__secret_DOT_md="")
    write(notes, sub__other_DOT_md="", sub__deep__secret_DOT_md="", top_DOT_md="")
    (notes / ".gitignore").write_text("*.log\nbuild/\n!\n# comment\n")
    (notes / "keep" / ".gitignore").write_text("!*.log\n")
    (notes / ".ragpersoignore").write_text("!b.log\n/top.md\n")
    (notes / "sub" / ".ragpersoignore").write_text("/secret.md\n")
    assert keys("notes") == [
        "notes/b.log",
        "notes/keep/a.log",
        "notes/sub/deep/secret.md",
        "notes/sub/other.md",
    ]
    assert keys("notes/build/x.md") == ["notes/build/x.md"]  # named by itself


def test_hidden_and_machine_folders_are_left_out(notes: Path) -> None:
    write(notes, _DOT_git__a_DOT_md="", node_modules__a_DOT_md="", _DOT_obsidian__a_DOT_md="")
    write(notes, _DOT_hidden_DOT_md="", _DOT_h__a_DOT_md="", a_DOT_md="")
    assert keys("notes") == ["notes/a.md"]
    assert keys("notes", follow_hidden=True) == ["notes/.h/a.md", "notes/.hidden.md", "notes/a.md"]


def test_links_are_not_followed_and_loops_end(notes: Path) -> None:
    outside = notes.parent / "outside"
    write(outside, s_DOT_md="secret")
    write(notes, a_DOT_md="a")
    (notes / "loop").symlink_to(notes)
    (notes / "b.md").symlink_to(notes / "a.md")
    (notes / "out.md").symlink_to(outside / "s.md")
    (notes / "out").symlink_to(outside)
    (notes / "self.md").symlink_to(notes / "self.md")
    assert keys("notes") == ["notes/a.md"]
    assert [item.path for item in skipped("notes")] == ["notes/out", "notes/out.md"]
    assert keys("notes/out") == ["notes/out/s.md"]  # a link that is named by itself is meant


def test_what_nothing_can_read_is_silent_in_a_folder_and_named_when_asked_for(notes: Path) -> None:
    (notes / "photo.jpg").write_bytes(b"\xff\xd8\xff\0")
    (notes / "blob").write_bytes(b"\0\1\2")
    os.mkfifo(notes / "pipe.md")
    assert list(walk(["notes"], max_file_bytes=MAX)) == []
    assert skipped("notes/photo.jpg", "notes/pipe.md", "notes/none.md") == [
        Skipped("notes/photo.jpg", "no reader for this kind of file"),
        Skipped("notes/pipe.md", "not a regular file"),
        Skipped("notes/none.md", "no such file or directory"),
    ]


def test_sockets_are_not_opened(notes: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("notes/s.md")
        assert list(walk(["notes"], max_file_bytes=MAX)) == []


def test_large_files_are_named_but_containers_stream(notes: Path) -> None:
    write(notes, a_DOT_md="12345", b_DOT_jsonl="12345")
    assert keys("notes", max_file_bytes=4) == ["notes/b.jsonl"]
    (item,) = skipped("notes", max_file_bytes=4)
    assert item == Skipped("notes/a.md", "larger than 4 bytes (ingest.max_file_bytes)")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_closed_folder_is_named(notes: Path) -> None:
    write(notes, a_DOT_md="a", closed__b_DOT_md="b")
    (notes / "closed").chmod(0)
    try:
        assert keys("notes") == ["notes/a.md"]
        assert [item.path for item in skipped("notes")] == ["notes/closed"]
    finally:
        (notes / "closed").chmod(0o700)


def test_names_that_are_no_text_get_printable_keys_that_differ(notes: Path) -> None:
    for raw in (b"caf\xe9.md", b"caf\xea.md", b"new\nline.md"):
        with open(os.path.join(os.fsencode(notes), raw), "wb") as file:
            file.write(b"x")
    found = keys("notes")
    assert len(set(found)) == 3
    assert all(key.isprintable() and key.endswith(".md") and "\ufffd" in key for key in found)
    assert all(
        item.path.read_text() == "x"
        for item in walk(["notes"], max_file_bytes=MAX)
        if isinstance(item, Found)
    )


def test_ordinary_keys_are_untouched() -> None:
    assert key_of("a/Größe 漢字.md") == "a/Größe 漢字.md"


def test_folders_nest_deeper_than_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1_200):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(tmp_path)
    found = keys("d")
    folder = "d" + "/d" * 1_199
    while folder:  # pytest's own clean-up recurses
        os.rmdir(folder)
        folder = folder.rpartition("/")[0]
    assert found == []
