"""No name becomes a path, no two people share a folder, and a folder has one writer."""

from __future__ import annotations

import json
import multiprocessing
import os
import unicodedata
from pathlib import Path

import pytest

from ragperso.errors import ConfigError, UnknownUser, WorkspaceError, WorkspaceLocked
from ragperso.types import UserId
from ragperso.workspace import MANIFEST, Workspace, check_user, directory_name, sweep, users_in

STRINGS = Path(__file__).parents[1] / "../shared/data/hostile/blns.json"

HOSTILE = [
    # paths
    "", " ", "\t\n", ".", "..", "...", "/", "//", "\\", "../ben", "..\\ben", "a/../../ben", "/etc/passwd",
    "~", "~root", "C:\\Users", "C:", "ana/", "ana\\", "ana.", "ana ", " ana", ".ana", "-ana", "--help",
    "ana\0", "\0", "ana:stream", "ana|ben", "ana?", "*", "%2e%2e%2f", "$HOME", "`id`", "$(id)", "; rm -rf /",
    # names that a file system or this package keeps for itself
    "con", "CON", "nul", "com1", "lpt9", "aux.txt", ".receipts", ".erased-1", "manifest.json", "store.db",
    "x-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    # one name to some, two to others: case, composition, width, ligatures, look-alikes, invisible marks
    "Ana", "ANA", "ana", "\xe4n\xe4", "a\u0308na\u0308", "\uff41\uff4e\uff41", "\ufb01", "fi", "\xdf", "ss",
    "\u0130", "i\u0307", "\u0131", "I", "\u212a", "K", "\u212b", "\xc5", "\u202eana", "ana\u200b",
    "\ufeffana", "\U0001f469\u200d\U0001f467", "\u7528\u6237", "\ud800",
    # lengths and other languages' special words
    "x" * 48, "x" * 49, "x" * 512, "x" * 513, "\xe4" * 512, "a\nb", "a\rb", "\x1b[31mred", "<script>",
    "' OR 1=1 --", "null", "None", "NaN", "0", "-1", "1e400",
]  # fmt: skip


def hostile_names() -> list[str]:
    names = list(HOSTILE)
    if STRINGS.is_file():
        names += json.loads(STRINGS.read_text(encoding="utf-8"))
    return names


def test_every_hostile_name_is_refused_or_is_a_folder_of_its_own_directly_under_home(tmp_path: Path) -> None:
    homes: dict[str, str] = {}
    for name in hostile_names():
        try:
            user = check_user(name)
        except ConfigError:
            continue
        folder = directory_name(user)
        path = tmp_path / folder
        assert path.parent == tmp_path
        assert os.path.normpath(path) == str(path)
        assert folder not in ("", ".", "..")
        assert folder.isascii()
        # The same folder only for what is the same text to begin with.
        same = unicodedata.normalize("NFKC", folder).casefold()
        assert homes.setdefault(same, user) == user


def test_hostile_names_live_side_by_side_on_a_real_disk(tmp_path: Path) -> None:
    made = {}
    for name in dict.fromkeys(HOSTILE):
        try:
            user = check_user(name)
        except ConfigError:
            continue
        made[user] = Workspace(tmp_path / "home", user).open(create=True)
    assert os.listdir(tmp_path) == ["home"]
    assert users_in(tmp_path / "home") == sorted(made)
    assert len(os.listdir(tmp_path / "home")) == len(made)


@pytest.mark.skipif(not STRINGS.is_file(), reason="the list of naughty strings is not on this machine")
def test_the_list_of_naughty_strings_is_really_used() -> None:
    assert len(hostile_names()) > len(HOSTILE) + 400


@pytest.mark.parametrize("name", ["ana", "b", "0", "a-b_c", "x" * 48])
def test_plain_names_stay_readable(name: str) -> None:
    assert directory_name(check_user(name)) == name


def test_composed_and_decomposed_letters_are_one_person() -> None:
    assert check_user("ána") == check_user("a\u0301na")


def test_nobody_is_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(UnknownUser):
        Workspace(tmp_path / "home", UserId("ana")).open(create=False)
    assert os.listdir(tmp_path) == []


def test_a_person_that_is_a_link_is_refused(tmp_path: Path) -> None:
    Workspace(tmp_path, UserId("ben")).open(create=True)
    (tmp_path / "ana").symlink_to(tmp_path / "ben")
    for create in (False, True):
        with pytest.raises(WorkspaceError, match="link"):
            Workspace(tmp_path, UserId("ana")).open(create=create)


def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    Workspace(tmp_path, UserId("ben")).open(create=True)
    os.rename(tmp_path / "ben", tmp_path / "ana")
    with pytest.raises(WorkspaceError, match="another person"):
        Workspace(tmp_path, UserId("ana")).open(create=True)
    assert users_in(tmp_path) == []


@pytest.mark.parametrize("body", ["", "{", "[]", '{"format": 99, "user": "ana"}', "\x00\xff"])
def test_a_damaged_manifest_is_named(tmp_path: Path, body: str) -> None:
    workspace = Workspace(tmp_path, UserId("ana")).open(create=True)
    (workspace.path / MANIFEST).write_text(body, encoding="utf-8")
    with pytest.raises(WorkspaceError):
        workspace.open(create=False)


def _hold(
    home: Path, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event
) -> None:
    with Workspace(home, UserId("ana")).lock():
        ready.set()
        done.wait(30)


def test_the_lock_keeps_another_process_out_and_falls_with_its_holder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    workspace = Workspace(tmp_path, UserId("ana")).open(create=True)
    holder = context.Process(target=_hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(WorkspaceLocked, match="another process"), workspace.lock(timeout_s=0.1):
        pass
    with workspace.lock(timeout_s=0.1, name="index"):
        pass  # another name is another lock
    holder.kill()
    holder.join(30)
    with workspace.lock(timeout_s=5):
        pass


def test_destroying_leaves_the_others_and_no_rest(tmp_path: Path) -> None:
    ana, ben = (Workspace(tmp_path, UserId(n)).open(create=True) for n in ("ana", "ben"))
    (ana.path / "deep").mkdir()
    (ana.path / "deep" / "words").write_bytes(b"private")
    (ana.path / "link").symlink_to(ben.path / MANIFEST)
    before = (ben.path / MANIFEST).read_bytes()
    assert ana.destroy() == 3  # manifest, lock, words; the link is no file of hers
    assert sorted(os.listdir(tmp_path)) == ["ben"]
    assert (ben.path / MANIFEST).read_bytes() == before


def test_an_interrupted_erasure_is_finished_by_the_sweep(tmp_path: Path) -> None:
    ana = Workspace(tmp_path, UserId("ana")).open(create=True)
    os.rename(ana.path, tmp_path / ".erased-0123456789ab")
    assert not ana.exists
    assert users_in(tmp_path) == []
    assert sweep(tmp_path) == 1
    assert os.listdir(tmp_path) == []
    assert sweep(tmp_path) == 0
    assert sweep(tmp_path / "nowhere") == 0
