"""A person moves to another home whole; an archive that was tampered with moves nobody."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ragperso.errors import PrivacyError, SchemaTooNew
from ragperso.files import content_hash
from ragperso.privacy.export import export_person, import_person, user_of
from ragperso.store import TABLES, Store
from ragperso.types import UserId
from ragperso.workspace import Workspace, users_in

if TYPE_CHECKING:
    from .conftest import Person

NOW = datetime(2026, 3, 2, tzinfo=timezone.utc)
SEED = 100


def all_rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {table: list(store.rows(table)) for table in TABLES}


def exported(person: Person, target: Path) -> Path:
    export_person(person.store, person.workspace, target, NOW)
    return target


def rewrite(archive: Path, changes: dict[str, bytes | None], *, honest: bool = True) -> Path:
    """Return a copy of ``archive`` with members replaced (None: left out); ``honest`` mends the hashes."""
    forged = archive.with_name("forged.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(forged, "w") as new:
        manifest = json.loads(old.read("manifest.json"))
        for name, data in changes.items():
            if honest and data is not None and name in manifest["members"]:
                manifest["members"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            if name == "manifest.json" and name not in changes:
                data = json.dumps(manifest).encode()
            if data is not None:
                new.writestr(name, data)
    return forged


def lines(archive: Path, table: str) -> list[Any]:
    with zipfile.ZipFile(archive) as file:
        return [json.loads(line) for line in file.read(f"{table}.jsonl").splitlines()]


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


# ---------------------------------------------------------------- the round trip


def test_a_round_trip_brings_back_every_row_and_vector(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    person.put("hostile", 'line\u2028break \0 nul "quote" \\ \U0001f469 <|im_end|> ' + "long " * 3000)
    archive = exported(person, tmp_path / "ana.zip")
    before = all_rows(person.store)
    counts = import_person(archive, tmp_path / "other", UserId("ana"), now=NOW)
    copy = Store(Workspace(tmp_path / "other", UserId("ana")).open(create=False).store_path)
    after = all_rows(copy)
    assert counts == {table: len(rows) for table, rows in before.items()}
    assert after["audit"][:-1] == before["audit"]
    assert after["audit"][-1][2] == "import"
    for table in set(TABLES) - {"audit", "sqlite_sequence"}:
        assert after[table] == before[table], table
    assert copy.audit()[1]
    assert copy.problems() == []
    copy.close()


def test_an_erased_id_stays_erased_after_a_move(make_person: Callable[[str], Person], tmp_path: Path) -> None:
    person = make_person("ana")
    person.put("a", "first")
    last = person.put("b", "last")
    person.store.remove_documents([last], answers=True)
    archive = exported(person, tmp_path / "ana.zip")
    import_person(archive, person.workspace.home, UserId("copy"))
    copy = make_person("copy")
    assert copy.put("c", "new") > last


def test_the_indexes_need_no_embedding_after_a_move(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    import_person(exported(person, tmp_path / "ana.zip"), person.workspace.home, UserId("copy"))
    copy = make_person("copy")
    assert copy.store.counts_without_vector(copy.embedder_id) == 0
    for old, new in zip(
        person.vectors_of("notes/secret.md"), copy.vectors_of("notes/secret.md"), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_an_empty_person_makes_the_trip_too(make_person: Callable[[str], Person], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home", UserId("new")).open(create=True)
    store = Store(workspace.store_path)
    export_person(store, workspace, tmp_path / "new.zip", NOW)
    store.close()
    assert import_person(tmp_path / "new.zip", tmp_path / "other", UserId("x"))["documents"] == 0


def test_the_archive_says_whose_it_is_and_the_importer_decides(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("../Ana")
    archive = exported(person, tmp_path / "ana.zip")
    assert user_of(archive) == "../Ana"
    import_person(archive, tmp_path / "other", UserId("ben"))
    assert users_in(tmp_path / "other") == ["ben"]
    assert archive.stat().st_mode & 0o077 == 0


def test_no_archive_is_made_inside_the_folder_it_is_made_of(make_person: Callable[[str], Person]) -> None:
    person = make_person("ana")
    with pytest.raises(PrivacyError, match="cannot lie in"):
        exported(person, person.workspace.path / "deep" / ".." / "ana.zip")


def test_an_export_that_fails_leaves_no_file(make_person: Callable[[str], Person], tmp_path: Path) -> None:
    person = make_person("ana")
    with pytest.raises(PrivacyError, match="cannot be written"):
        exported(person, tmp_path / "no-such-folder" / "ana.zip")
    assert os.listdir(tmp_path) == ["home"]


# ---------------------------------------------------------------- who is there already


def test_a_person_who_holds_something_is_not_overwritten(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    ana, ben = make_person("ana"), make_person("ben")
    ana.fill(SEED)
    ben.put("mine", "ben's own words")
    archive = exported(ana, tmp_path / "ana.zip")
    with pytest.raises(PrivacyError, match="already") as caught:
        import_person(archive, ana.workspace.home, UserId("ben"))
    assert "--replace" in caught.value.hint
    assert [d.key for d in ben.store.documents()] == ["mine"]
    ben.store.close()
    import_person(archive, ana.workspace.home, UserId("ben"), replace=True)
    assert len(make_person("ben").store.documents()) == 6
    assert sorted(os.listdir(ana.workspace.home)) == ["ana", "ben"]


def test_an_empty_person_is_filled(make_person: Callable[[str], Person], tmp_path: Path) -> None:
    ana = make_person("ana")
    ana.put("a", "words")
    workspace = Workspace(tmp_path / "home", UserId("ben")).open(create=True)
    Store(workspace.store_path).close()
    import_person(exported(ana, tmp_path / "ana.zip"), tmp_path / "home", UserId("ben"))
    assert [d.key for d in make_person("ben").store.documents()] == ["a"]


# ---------------------------------------------------------------- archives not to be trusted


def refused(archive: Path, home: Path) -> PrivacyError:
    """Import ``archive`` expecting refusal, and check that it left nothing behind."""
    before = sorted(os.listdir(home))
    with pytest.raises(PrivacyError) as caught:
        import_person(archive, home, UserId("new"))
    assert sorted(os.listdir(home)) == before
    return caught.value


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    assert "damaged" in refused(tmp_path / "a.zip", tmp_path).message
    assert "no file" in refused(tmp_path / "missing.zip", tmp_path).message


def test_every_flipped_byte_is_noticed_or_harmless(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    person.put("a", "some words of hers")
    raw = exported(person, tmp_path / "ana.zip").read_bytes()
    rng = np.random.default_rng(0)
    target = tmp_path / "flipped.zip"
    for position in rng.integers(0, len(raw), 60).tolist():
        target.write_bytes(raw[:position] + bytes([raw[position] ^ 0x40]) + raw[position + 1 :])
        home = tmp_path / f"h{position}"
        try:
            import_person(target, home, UserId("x"))
        except (PrivacyError, SchemaTooNew):
            assert not home.exists() or os.listdir(home) == []
            continue
        store = Store(Workspace(home, UserId("x")).store_path)
        assert store.text(store.documents()[0].id) == "some words of hers"
        store.close()


def test_a_changed_member_with_its_old_checksum_is_refused(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    archive = exported(person, tmp_path / "ana.zip")
    rows = lines(archive, "profile")
    forged = rewrite(archive, {"profile.jsonl": jsonl([*rows, ["name2", '"x"']])}, honest=False)
    assert "checksum" in refused(forged, tmp_path / "home").message


def forgeries() -> dict[str, Callable[[Path], dict[str, bytes | None]]]:
    def edit(table: str, change: Callable[[list[Any]], Any]) -> Callable[[Path], dict[str, bytes | None]]:
        def made(archive: Path) -> dict[str, bytes | None]:
            rows = lines(archive, table)
            change(rows)
            return {f"{table}.jsonl": jsonl(rows)}

        return made

    def matrix(array: np.ndarray[Any, Any]) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    def at(table: str, column: str, value: Any) -> Callable[[Path], dict[str, bytes | None]]:
        return edit(table, lambda rows: rows[1].__setitem__(rows[0].index(column), value))

    deep = b'["key","value"]\n' + b"[" * 200_000 + b"\n"
    return {
        "missing member": lambda _: {"chunks.jsonl": None},
        "missing vectors": lambda _: {"vectors.npy": None},
        "unknown column": edit(
            "documents", lambda rows: rows[0].__setitem__(0, 'id" ; DROP TABLE chunks --')
        ),
        "no columns": lambda _: {"documents.jsonl": b"7\n"},
        "empty member": lambda _: {"documents.jsonl": b""},
        "row too short": edit("documents", lambda rows: rows[1].pop()),
        "a list where text belongs": at("documents", "text", ["x"]),
        "a number beyond 64 bits": at("documents", "id", 1 << 70),
        "an id that leaves no room": at("documents", "id", (1 << 63) - 1),
        "text for an id": at("documents", "id", "one"),
        "no text": at("documents", "text", None),
        "unknown corpus": at("documents", "corpus", "../../other"),
        "meta that is no JSON": at("documents", "meta", "{"),
        "deep JSON": lambda _: {"profile.jsonl": deep},
        "not UTF-8": lambda _: {"profile.jsonl": b'["key","value"]\n["\xff","1"]\n'},
        "last line cut off": lambda _: {"profile.jsonl": b'["key","value"]\n["name","1"]'},
        "a chunk outside its document": at("chunks", "end", 1 << 40),
        "a chunk before its document": at("chunks", "start", -5),
        "a chunk of no document": at("chunks", "document_id", 999),
        "a repeated key": edit("documents", lambda rows: rows.append(rows[1])),
        "a fact of no document": at("facts", "document_id", 999),
        "an answer with broken citations": at("interactions", "citations", '[{"evil": 1}]'),
        "a time that is none": at("interactions", "asked_at", "yesterday"),
        "a counter that is none": at("sqlite_sequence", "seq", "many"),
        "fewer vectors than rows": lambda _: {"vectors.npy": matrix(np.zeros((1, 64), np.float32))},
        "vectors that are objects": lambda _: {"vectors.npy": matrix(np.array([{}], object))},
        "vectors with an absurd shape": lambda _: {
            "vectors.npy": b"\x93NUMPY\x01\x00F\x00{'descr': '<f4', 'fortran_order': False,"
            b" 'shape': (9999999999, 64), }\n"
        },
        "vectors that are no numbers": lambda _: {
            "vectors.npy": matrix(np.full((8, 64), np.nan, np.float32))
        },
        "vectors of another width": lambda _: {"vectors.npy": matrix(np.zeros((8, 3), np.float32))},
    }


@pytest.mark.parametrize("name", forgeries())
def test_a_forged_archive_is_refused_whole(
    make_person: Callable[[str], Person], tmp_path: Path, name: str
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    archive = exported(person, tmp_path / "ana.zip")
    forged = rewrite(archive, forgeries()[name](archive))
    error = refused(forged, tmp_path / "home")
    assert "damaged" in error.message
    assert "word100x" not in f"{error.message}{error.hint}"


def test_a_bomb_is_refused_before_it_goes_off(make_person: Callable[[str], Person], tmp_path: Path) -> None:
    person = make_person("ana")
    archive = exported(person, tmp_path / "ana.zip")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(30_000_000) if name == "profile.jsonl" else old.read(name))
    assert bomb.stat().st_size < 100_000
    assert "far more than its size" in refused(bomb, tmp_path / "home").message


def test_other_members_are_never_read_or_written(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    archive = exported(person, tmp_path / "ana.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../escaped", b"x")
        file.writestr("store.db", b"x")
    import_person(archive, tmp_path / "other", UserId("ana"))
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_of_a_newer_version_is_refused_with_the_remedy(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    archive = exported(make_person("ana"), tmp_path / "ana.zip")
    with zipfile.ZipFile(archive) as file:
        manifest = json.loads(file.read("manifest.json"))
    for key in ("version", "schema"):
        forged = rewrite(archive, {"manifest.json": json.dumps({**manifest, key: 99}).encode()})
        with pytest.raises(SchemaTooNew) as caught:
            import_person(forged, tmp_path / "other", UserId("ana"))
        assert "upgrade" in caught.value.hint


def test_nothing_in_an_archive_is_compressed_twice_or_unhashed(
    make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    person = make_person("ana")
    person.fill(SEED)
    archive = exported(person, tmp_path / "ana.zip")
    with zipfile.ZipFile(archive) as file:
        manifest = json.loads(file.read("manifest.json"))
        assert set(file.namelist()) == {"manifest.json", *manifest["members"]}
        for name, stated in manifest["members"].items():
            assert content_hash(file.read(name)) == stated["sha256"]
        matrix = np.load(io.BytesIO(file.read("vectors.npy")), allow_pickle=False)
    assert matrix.shape == (manifest["counts"]["embeddings"], 64)
