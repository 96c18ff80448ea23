"""What is forgotten is in no file any more, and nothing else is missing."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ragperso.errors import PrivacyError, UnknownUser, WorkspaceError, WorkspaceLocked
from ragperso.privacy import erase
from ragperso.privacy.scan import needles, scan, search
from ragperso.types import UserId
from ragperso.workspace import Workspace

if TYPE_CHECKING:
    from .conftest import Person

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SEED = 100


def forget(person: Person, *keys: str, facts: tuple[int, ...] = ()) -> erase.Receipt:
    return erase.forget(person.store, person.workspace, keys=keys, facts=facts, now=NOW, rebuild=person.index)


def test_forgetting_leaves_no_byte_where_all_were_found_before(
    make_person: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragperso.index.build.SMALL", 0)  # the few vectors get a file of their own
    person = make_person("ana")
    person.fill(SEED)
    doomed = ["notes/secret.md", "exemplar/1", "interaction/I001"]
    sought = needles(person.secret_texts(SEED), [v for key in doomed for v in person.vectors_of(key)])
    home = person.workspace.home
    before = search(home, sought)
    assert frozenset().union(*before.values()) == sought.sought == frozenset(range(7 + 5))
    assert any(path.suffix == ".faiss" for path in before)
    receipt = forget(person, "notes/secret.md")
    assert scan(home, sought) == {}
    assert (receipt.counts["documents"], receipt.counts["interactions"]) == (3, 1)
    assert person.store.problems() == []


def test_forgetting_leaves_all_the_rest(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    forget(person, "notes/secret.md")
    assert [d.key for d in person.store.documents()] == [
        "notes/plain.md",
        "notes/deep/plain-too.md",
        "interaction/I002",
    ]
    assert [i.id for i in person.store.interactions()] == ["I002"]
    assert [f.text for f in person.store.facts()] == ["I like my own words."]
    assert set(person.store.sources("documents")) == {
        "/home/ana/notes/plain.md",
        "/home/ana/notes/deep/plain-too.md",
    }


def test_the_other_person_keeps_every_byte(make_person: Callable[[str], Person]) -> None:
    ana, ben = make_person("ana"), make_person("ben")
    ana.fill(SEED)
    ben.fill(SEED + 50)
    ben.store.scrub()
    before = {path: path.read_bytes() for path in ben.workspace.path.rglob("*") if path.is_file()}
    forget(ana, "notes/secret.md")
    ana.store.close()
    erase.erase(ana.workspace, NOW)
    assert {path: path.read_bytes() for path in ben.workspace.path.rglob("*") if path.is_file()} == before


def test_an_answer_to_a_document_that_is_long_gone_can_be_forgotten(
    make_person: Callable[[str], Person],
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    person.store.remove_documents([person.ids["notes/secret.md"]], answers=False)
    assert len(person.store.interactions()) == 2
    assert forget(person, "notes/secret.md").counts["interactions"] == 1
    assert [i.id for i in person.store.interactions()] == ["I002"]


def test_an_exemplar_that_quotes_a_forgotten_document_goes_too(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    received = "Could you please bring the green tent along on Friday evening?"
    person.put("mail-1", received)
    reply = person.put("mail-2", "Yes, and the pegs as well.")
    meta = {"request": received, "sources": ["mail-2", "mail-1"]}
    for key, sources in (("exemplar/2", meta), ("exemplar/3", {"sources": ["mail-2"]})):
        person.put(key, f"Yes {key}", corpus="exemplars", source="", parent=reply, meta=sources)
    person.index()
    sought = needles([received])
    assert scan(person.workspace.path, sought)
    assert forget(person, "mail-1").counts["documents"] == 2
    assert scan(person.workspace.path, sought) == {}
    assert [d.key for d in person.store.documents("exemplars")] == ["exemplar/1", "exemplar/3"]
    assert not erase.is_forgotten(person.store, "exemplar/2")  # it may be mined again, without the request


def test_a_statement_is_forgotten_by_its_number(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    mined = next(f for f in person.store.facts() if f.origin == "mined")
    receipt = forget(person, facts=(mined.id,))
    assert receipt.counts["facts"] == 1
    assert [f.origin for f in person.store.facts()] == ["user"]
    with pytest.raises(PrivacyError, match=f"no statement {mined.id}"):
        forget(person, facts=(mined.id,))


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("notes/plain.md", ["notes/plain.md"]),
        ("plain.md", ["notes/plain.md"]),
        ("/home/ana/notes/plain.md", ["notes/plain.md"]),
        ("deep/plain-too.md", ["notes/deep/plain-too.md"]),
        ("notes/*.md", ["notes/deep/plain-too.md", "notes/plain.md", "notes/secret.md"]),
        ("*plain*", ["notes/deep/plain-too.md", "notes/plain.md"]),
        ("I002", ["interaction/I002"]),
        ("box.mbox", ["mail-1", "mail-2"]),
        ("/mail/box.mbox", ["mail-1", "mail-2"]),
        ("mail-1", ["mail-1"]),
    ],
)
def test_what_a_name_means(make_person: Callable[[str], Person], pattern: str, expected: list[str]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    for number in (1, 2):
        person.put(f"mail-{number}", f"mail {number}", source="/mail/box.mbox")
    assert sorted(erase.match_keys(person.store, [pattern, pattern])) == expected


@pytest.mark.parametrize(
    "pattern", ["nothing.md", "", "ain.md", "nothing*", "../notes/plain.md", "/", "' OR 1"]
)
def test_an_unknown_name_removes_nothing(make_person: Callable[[str], Person], pattern: str) -> None:
    person = make_person("ana")
    person.fill(SEED)
    with pytest.raises(PrivacyError, match="there is no document") as caught:
        forget(person, "notes/plain.md", pattern)
    assert caught.value.hint
    assert len(person.store.documents()) == 6
    assert not (person.workspace.home / ".receipts").exists()


def test_a_name_that_could_mean_two_files_removes_neither(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    for folder in ("a", "b"):
        person.put(f"{folder}/same.md", folder)
    with pytest.raises(PrivacyError, match="could mean 2 documents"):
        forget(person, "same.md")
    assert len(person.store.documents()) == 2


# ---------------------------------------------------------------- staying forgotten


def test_a_forgotten_file_stays_out_until_it_is_asked_for(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    files = {name: tmp_path / "notes" / name for name in ("a.md", "b.md")}
    (tmp_path / "notes").mkdir()
    for name, path in files.items():
        path.write_text(f"text of {name}")
        person.put(f"notes/{name}", f"text of {name}", source=str(path))
    digests = {name: person.store.sources("documents")[str(p)].content_hash for name, p in files.items()}
    forget(person, "notes/a.md")
    a, b = str(files["a.md"]), str(files["b.md"])
    assert erase.is_forgotten(person.store, a, "other content")  # edited since
    assert erase.is_forgotten(person.store, "/elsewhere/copy.md", digests["a.md"])  # renamed
    assert erase.is_forgotten(person.store, "notes/a.md")
    assert not erase.is_forgotten(person.store, b, digests["b.md"])
    assert b"a.md" not in person.workspace.store_path.read_bytes()  # only hashes are kept
    assert erase.unforget(person.store, [tmp_path / "notes"]) == 3
    assert not erase.is_forgotten(person.store, a, digests["a.md"])
    assert not erase.is_forgotten(person.store, "notes/a.md")


def test_forgetting_one_message_does_not_shut_out_its_mailbox(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    for number in (1, 2):
        person.put(f"mail-{number}", f"mail {number}", source="/mail/box.mbox")
    digest = person.store.sources("documents")["/mail/box.mbox"].content_hash
    forget(person, "mail-1")
    assert erase.is_forgotten(person.store, "mail-1")
    assert not erase.is_forgotten(person.store, "/mail/box.mbox", digest)
    assert not erase.is_forgotten(person.store, "mail-2")
    erase.unforget(person.store, ["/mail/box.mbox"])
    assert not erase.is_forgotten(person.store, "mail-1")


# ---------------------------------------------------------------- receipts


def test_the_receipt_proves_its_subject_and_holds_no_content(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    receipt = forget(person, "secret.md")
    assert erase.proves(receipt, "notes/secret.md")
    assert not erase.proves(receipt, "notes/plain.md")
    (path,) = (person.workspace.home / ".receipts").iterdir()
    assert path.name == f"{receipt.id}.json"
    assert path.stat().st_mode & 0o077 == 0
    body = path.read_text()
    assert "secret" not in body
    assert "ana" not in body
    assert set(json.loads(body)) == {"id", "at", "action", "counts", "subject_sha256", "salt"}
    assert erase.receipts(person.workspace.home) == [receipt]
    other = forget(person, "plain.md")
    assert other.salt != receipt.salt


def test_the_audit_names_the_receipt_and_not_the_document(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    receipt = forget(person, "secret.md")
    events, intact = person.store.audit()
    assert intact
    assert events[-1].action == "forget"
    assert events[-1].detail["receipt"] == receipt.id
    assert "secret" not in json.dumps([event.detail for event in events])


# ---------------------------------------------------------------- trouble half-way


def test_cleaning_that_was_interrupted_is_taken_up_again(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    sought = needles(person.secret_texts(SEED), person.vectors_of("notes/secret.md"))

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase.forget(person.store, person.workspace, keys=["secret.md"], now=NOW, rebuild=killed)
    assert scan(person.workspace.path, sought)  # the old indexes are still there
    assert erase.is_unfinished(person.store)
    assert erase.receipts(person.workspace.home) == []  # nothing false is claimed
    assert erase.finish(person.store, person.workspace, rebuild=person.index) == 1
    assert scan(person.workspace.path, sought) == {}
    assert len(erase.receipts(person.workspace.home)) == 1
    assert not erase.is_unfinished(person.store)
    assert erase.finish(person.store, person.workspace, rebuild=killed) == 0


def test_no_room_for_cleaning_is_said_and_mended_later(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(PrivacyError, match="is forgotten and will not be found") as caught:
        erase.forget(person.store, person.workspace, keys=["secret.md"], now=NOW, rebuild=full)
    assert "doctor" in caught.value.hint
    assert "notes/secret.md" not in {d.key for d in person.store.documents()}
    assert erase.finish(person.store, person.workspace, rebuild=person.index) == 1


def _forget_without_room(home: Path) -> None:
    """Try to forget in a process whose files may not grow beyond 8 KiB."""
    import resource
    import signal

    from ragperso.store import Store

    workspace = Workspace(home, UserId("ana")).open(create=False)
    store = Store(workspace.store_path)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    try:
        erase.forget(store, workspace, keys=["secret.md"], now=NOW, rebuild=lambda: None)
    except WorkspaceError:
        os._exit(7)
    os._exit(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_disk_too_full_to_forget_loses_nothing(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    person.fill(SEED)
    person.store.scrub()
    counts = person.store.counts()
    process = multiprocessing.get_context("spawn").Process(
        target=_forget_without_room, args=(person.workspace.home,)
    )
    process.start()
    process.join(30)
    assert process.exitcode == 7
    assert person.store.counts() == counts
    assert person.store.problems() == []
    assert not erase.is_forgotten(person.store, "notes/secret.md")
    assert not erase.is_unfinished(person.store)
    assert erase.receipts(person.workspace.home) == []
    forget(person, "secret.md")  # with room again


def test_forgetting_waits_for_a_writer(
    make_person: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    other = Workspace(person.workspace.home, UserId("ana"))
    lock = Workspace.lock
    monkeypatch.setattr(Workspace, "lock", lambda self: lock(self, timeout_s=0.1))
    with lock(other), pytest.raises(WorkspaceLocked):
        forget(person, "secret.md")
    assert len(person.store.documents()) == 6


# ---------------------------------------------------------------- erase


def test_erasing_leaves_nothing_but_a_receipt(make_person: Callable[[str], Person]) -> None:
    person = make_person("Ana Ändersson")
    person.fill(SEED)
    home = person.workspace.home
    sought = needles([*person.secret_texts(SEED), "Ana Ändersson likes", "I like my own words."])
    assert scan(home, sought)
    person.store.close()
    receipt = erase.erase(person.workspace, NOW)
    assert os.listdir(home) == [".receipts"]
    assert scan(home, sought) == {}
    assert erase.proves(receipt, "Ana Ändersson")
    assert receipt.counts["documents:documents"] == 3
    assert receipt.counts["files"] >= 2
    assert b"ndersson" not in (home / ".receipts" / f"{receipt.id}.json").read_bytes()
    with pytest.raises(UnknownUser):
        Workspace(home, UserId("Ana Ändersson")).open(create=False)


def test_a_person_with_a_damaged_store_can_be_erased(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, UserId("ana")).open(create=True)
    workspace.store_path.write_bytes(b"not a database " * 100)
    assert erase.erase(workspace, NOW).counts == {"files": 3}  # manifest, lock, store
    assert os.listdir(tmp_path) == [".receipts"]
