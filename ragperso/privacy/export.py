"""Privacy: one portable archive per person, and back, without embedding anything again.

The archive is a ZIP file:

- ``manifest.json``: ``format``, ``version``, ``schema`` of the store, ``user``, ``created``, ``counts`` per
  table, and ``members``: SHA-256 and size of each of the following;
- ``<table>.jsonl`` for each table of the store: the first line is the list of columns, each further line one
  row as a list in that order; bytes are written as ``{"hex": ...}``;
- ``vectors.npy``: the vectors as one (n, dim) float32 matrix, rows in the order of ``embeddings.jsonl``,
  where a row names its place in the matrix.

Nothing in it is code: no pickle, no SQL, no path that is used as one.  Only members with these names are
read.  The hashes find damage; against a forger every row is checked as it goes into a fresh store.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from ragperso.errors import PrivacyError, RagpersoError, SchemaTooNew, WorkspaceError
from ragperso.files import replacing
from ragperso.migrations import SCHEMA_VERSION
from ragperso.store import FACTS_STALE, TABLES, Store
from ragperso.types import CORPORA, UserId
from ragperso.workspace import Workspace, sweep

FORMAT: Final = "ragperso-person"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
VECTORS: Final = "vectors.npy"
MAX_BYTES: Final = 32 << 30  # of everything unpacked; a lifetime of notes is well below it
MAX_RATIO: Final = 200  # of a member above 1 MiB; text packs 3 to 10 times, a bomb a thousand times
MAX_LINE: Final = 256 << 20  # one document is one line
_MIB: Final = 1 << 20
_MAX_ID: Final = 1 << 62
_SINCE: Final = {"keys": 2, "extractions": 4}  # the schema that brought a table that the first had not
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the archive says once, in its manifest, when it was made


# ---------------------------------------------------------------- export


def export_person(store: Store, workspace: Workspace, target: Path, now: datetime) -> dict[str, int]:
    """Write everything of one person to ``target``, whole or not at all; return the rows per table.

    Readable by its owner only.  Other processes can read meanwhile and wait with writing.
    Raises: PrivacyError when ``target`` lies in the person's own folder or cannot be written.
    """
    target = Path(target).absolute()
    if workspace.path.resolve() in target.resolve().parents:
        raise PrivacyError("the archive cannot lie in the folder it is made of", hint="choose another place")
    store.put_audit("export", {"schema": SCHEMA_VERSION}, now)
    try:
        with replacing(target) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive, store.write():
                return _write(store, archive, workspace.user, now)
    except OSError as exc:
        raise PrivacyError(f"{target} cannot be written: {exc.strerror}") from exc


def _write(store: Store, archive: zipfile.ZipFile, user: str, now: datetime) -> dict[str, int]:
    counts: dict[str, int] = {}
    members: dict[str, dict[str, Any]] = {}
    active = store.active_embedder()
    embedder_id, dim = (active[0], active[3]) if active else (0, 0)
    for table in TABLES:
        columns, rows = store.columns(table), store.rows(table)
        if table == "embedders":  # the rest of an unfinished migration starts anew where it is imported
            rows = (row for row in rows if row[0] == embedder_id)
        if table == "embeddings":
            embeddings = _embeddings(store, embedder_id, dim)
            rows = ((number, digest, place) for place, (number, digest, _) in enumerate(embeddings))
        with _member(archive, f"{table}.jsonl", members) as write:
            write(_line(columns))
            counts[table] = 0
            for row in rows:
                write(_line([{"hex": v.hex()} if isinstance(v, bytes) else v for v in row]))
                counts[table] += 1
    with _member(archive, VECTORS, members, packed=False) as write:
        header = io.BytesIO()
        shape = {"descr": "<f4", "fortran_order": False, "shape": (counts["embeddings"], dim)}
        np.lib.format.write_array_header_1_0(header, shape)
        write(header.getvalue())
        for _, _, vector in _embeddings(store, embedder_id, dim):
            write(np.frombuffer(vector, np.float32).astype("<f4").tobytes())
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "schema": SCHEMA_VERSION,
        "user": user,
        "created": now.isoformat(),
        "embedder": {"fingerprint": active[1], "name": active[2], "dim": dim} if active else None,
        "counts": counts,
        "members": members,
    }
    archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), json.dumps(manifest, ensure_ascii=False, indent=1))
    return counts


def _embeddings(store: Store, embedder_id: int, dim: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (embedder, hash, vector) of the active embedder, in a fixed order."""
    for number, digest, vector in store.rows("embeddings"):
        if number == embedder_id and len(vector) == 4 * dim:
            yield number, digest, vector


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str, members: dict[str, dict[str, Any]], *, packed: bool = True
) -> Iterator[Any]:
    """Yield a function that appends bytes to a member; note its hash and size afterwards."""
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with archive.open(info, "w", force_zip64=True) as file:

        def write(data: bytes) -> None:
            nonlocal size
            file.write(data)
            digest.update(data)
            size += len(data)

        yield write
    members[name] = {"sha256": digest.hexdigest(), "bytes": size}


def _line(values: Sequence[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


# ---------------------------------------------------------------- import


def user_of(archive: Path) -> str:
    """Return the name of the person an archive was made of; it is a proposal, nothing relies on it."""
    with _opened(archive) as file:
        return str(_manifest(file).get("user") or "")


def import_person(
    archive: Path, home: Path, user: UserId, *, replace: bool = False, now: datetime | None = None
) -> dict[str, int]:
    """Bring back what :func:`export_person` wrote, as ``user``; return the rows per table.

    The person appears whole or not at all; indexes are rebuilt from the vectors at first use.
    Raises: PrivacyError when the person exists and holds something, unless ``replace``, or when the archive
    is damaged, too large or not one of ours; SchemaTooNew.
    """
    workspace = Workspace(home, user)
    if workspace.path.is_symlink() or (workspace.exists and not replace and not _is_empty(workspace)):
        raise PrivacyError(
            f"there is a person {str(user)!r} already",
            hint="ragperso --user OTHER import ARCHIVE, or import --replace to put it in their place",
        )
    home.mkdir(parents=True, exist_ok=True)
    staging = home / f".import-{secrets.token_hex(6)}"
    try:
        # Made under its later name inside of the staging folder, and moved into place when it is complete.
        fresh = Workspace(staging, user).open(create=True)
        with _opened(archive) as file:
            counts = _read_into(fresh.store_path, file, now or datetime.now(timezone.utc))
        _put_in_place(fresh, workspace)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts


def _is_empty(workspace: Workspace) -> bool:
    store = Store(workspace.store_path)
    try:
        counts = store.counts()
    finally:
        store.close()
    return not any(n for table, n in counts.items() if table != "audit")


def _put_in_place(fresh: Workspace, workspace: Workspace) -> None:
    """Move a complete person over the one that is there; what was there is wiped afterwards."""
    if workspace.path.exists():
        with workspace.lock():
            pass  # a writer that is at work finishes first
        os.rename(workspace.path, workspace.home / f".erased-{secrets.token_hex(6)}")
    os.rename(fresh.path, workspace.path)
    sweep(workspace.home)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; everything that goes wrong while reading it means that it is damaged."""
    try:
        with zipfile.ZipFile(archive) as file:
            yield file
    except FileNotFoundError as exc:
        raise PrivacyError(f"there is no file {archive}") from exc
    except RagpersoError:
        raise
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise PrivacyError("the disk is full: nothing was imported", hint="free some space") from exc
        raise _damaged() from exc
    # What zipfile, zlib, json, numpy and sqlite3 raise on damaged bytes has no common parent, and reaches
    # from RecursionError ("[[[[...") to NotImplementedError (an unknown compression).
    except Exception as exc:
        raise _damaged() from exc


def _damaged(what: str = "") -> PrivacyError:
    return PrivacyError(
        f"the archive is damaged or not one of ragperso's{f': {what}' if what else ''}",
        hint="make it again with ragperso export",
    )


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(MANIFEST).file_size > _MIB:
        raise _damaged("its manifest is too large")
    manifest = json.loads(archive.read(MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged()
    if int(manifest["version"]) > VERSION or int(manifest["schema"]) > SCHEMA_VERSION:
        raise SchemaTooNew(
            "the archive was written by a newer ragperso", hint="pip install --upgrade ragperso"
        )
    return manifest


def _read_into(path: Path, archive: zipfile.ZipFile, now: datetime) -> dict[str, int]:
    """Fill a fresh store from an archive and check that all of it can be read back."""
    manifest = _manifest(archive)
    tables = [table for table in TABLES if int(manifest["schema"]) >= _SINCE.get(table, 1)]
    members = {name: manifest["members"][name] for name in (*(f"{t}.jsonl" for t in tables), VECTORS)}
    infos = [archive.getinfo(name) for name in members]
    if sum(info.file_size for info in infos) > MAX_BYTES:
        raise PrivacyError(f"the archive unpacks to more than {MAX_BYTES >> 30} GiB")
    if any(info.file_size > _MIB and info.file_size > MAX_RATIO * info.compress_size for info in infos):
        raise _damaged("it unpacks to far more than its size")
    for name, stated in members.items():
        _verify(archive, name, stated)
    store = Store(path)
    try:
        counts = {}
        with store.write():
            for table in tables:
                counts[table] = _read_table(store, archive, table)
        _check(store)
        store.put_audit("import", {"schema": int(manifest["schema"])}, now)
        store.scrub()  # all of it into one file, which is then moved
    except (WorkspaceError, OverflowError) as exc:
        if "disk is full" in str(exc):
            raise
        raise _damaged("a row does not fit") from exc
    finally:
        store.close()
    return counts


def _verify(archive: zipfile.ZipFile, name: str, stated: Mapping[str, Any]) -> None:
    digest, size = hashlib.sha256(), 0
    with archive.open(name) as file:
        while piece := file.read(_MIB):
            digest.update(piece)
            size += len(piece)
    if (digest.hexdigest(), size) != (stated["sha256"], stated["bytes"]):
        raise _damaged(f"{name} differs from its checksum")


def _read_table(store: Store, archive: zipfile.ZipFile, table: str) -> int:
    with archive.open(f"{table}.jsonl") as file:
        lines = _lines(file)
        columns = json.loads(next(lines, b"[]"))
        if not columns or not all(isinstance(column, str) for column in columns):
            raise _damaged(f"{table} has no columns")
        rows = (_row(line, len(columns)) for line in lines)
        if table == "facts" and "slot" not in columns:
            store.put(FACTS_STALE, "1")  # as the migration does: statements of before have no slot yet
        if table != "embeddings":
            return store.put_rows(table, columns, rows)
        with archive.open(VECTORS) as matrix:
            return store.put_rows(table, columns, _with_vectors(rows, matrix))


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE):
        if not line.endswith(b"\n"):
            raise _damaged("a line is cut off or too long")
        yield line


def _row(line: bytes, n: int) -> list[Any]:
    values = [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in json.loads(line)]
    for value in values:
        fits = (
            value is None
            or isinstance(value, (str, bytes))
            or (type(value) is float and math.isfinite(value))
            or (
                type(value) is int and abs(value) < _MAX_ID  # so that ids can still grow
            )
        )
        if not fits:
            raise _damaged("a value is of a wrong type")
    if len(values) != n:
        raise _damaged("a row is too short or too long")
    return values


def _with_vectors(rows: Iterable[list[Any]], matrix: IO[bytes]) -> Iterator[list[Any]]:
    """Yield embeddings rows with their vectors, read one after the other."""
    if np.lib.format.read_magic(matrix) != (1, 0):
        raise _damaged(VECTORS)
    (n, dim), fortran, dtype = np.lib.format.read_array_header_1_0(matrix)
    if fortran or dtype != np.dtype("<f4") or not 0 <= dim <= 65_536:
        raise _damaged(VECTORS)
    place = 0
    for embedder_id, digest, stated in rows:
        raw = matrix.read(4 * dim)
        vector = np.frombuffer(raw, "<f4")
        if stated != place or vector.shape != (dim,) or not np.isfinite(vector).all():
            raise _damaged(VECTORS)
        place += 1
        yield [embedder_id, digest, vector.astype(np.float32).tobytes()]
    if place != n:
        raise _damaged(VECTORS)


def _check(store: Store) -> None:
    """Read back everything the engine will read; a row that cannot be read is a damaged archive."""
    if store.problems():
        raise _damaged("its rows do not belong together")
    if any(document.corpus not in CORPORA for document in store.documents()):
        raise _damaged("it has an unknown corpus")
    lengths = {document.id: len(store.text(document.id)) for document in store.documents()}
    for corpus in CORPORA:
        ids = store.chunk_ids(corpus)
        for start in range(0, len(ids), 500):
            for chunk in store.chunks(ids[start : start + 500].tolist()).values():
                if not 0 <= chunk.start <= chunk.end <= lengths[chunk.document_id]:
                    raise _damaged("a chunk lies outside its document")
    active = store.active_embedder()
    if active is not None:
        for _, _, vector in store.rows("embeddings"):
            if len(vector) != 4 * active[3]:
                raise _damaged("vectors and embedder differ in width")
    store.interactions(limit=-1)
    store.feedback()
    store.facts()
    store.profile_values()
    store.audit()
    if not all(isinstance(highest, int) for _, highest in store.rows("sqlite_sequence")):
        raise _damaged("it has lost count of its ids")
