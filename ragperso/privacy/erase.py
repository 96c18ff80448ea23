"""Privacy: take documents, statements or a whole person out of every file, and leave a receipt.

In: keys, a store, a way to rebuild the indexes.  Out: a receipt that holds counts and a salted hash.
Never: leaves an answer that was drawn from what is forgotten, says done before it is.

Forgetting is one transaction, then cleaning: the indexes are rewritten, the database is compacted, its log
emptied.  What is still to be cleaned is noted in that transaction, so that after a crash or on a full disk
:func:`finish` takes it up again.
"""

from __future__ import annotations

import fnmatch
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

from ragperso.errors import PrivacyError, RagpersoError
from ragperso.files import content_hash, file_hash, write_atomically
from ragperso.store import Forgotten, Store
from ragperso.types import CORPORA, Corpus, Receipt, StoredDocument
from ragperso.workspace import RECEIPTS, Workspace

_TOMBSTONE: Final = "forgotten:"
_PENDING: Final = "cleaning:"  # followed by the id of a receipt that is not yet true

_LOCK_BLOCKS_RENAME: Final = os.name == "nt"  # Windows renames no folder in which a file is open


# ---------------------------------------------------------------- forget


def match_keys(store: Store, patterns: Sequence[str]) -> list[str]:
    """Return the keys that ``patterns`` mean, each once, in order.

    A pattern is a key, a source file (then all its documents), the end of exactly one of either
    (``coffee.md`` for ``notes/home/coffee.md``), or a glob.  Keys that only old answers still name count.
    Raises: PrivacyError for one that means nothing, or several files where one was named.
    """
    sources: dict[str, str] = dict.fromkeys(sorted(store.keys_of_answers()), "")
    sources.update({document.key: document.source for document in store.documents()})
    found: dict[str, None] = {}
    for pattern in patterns:
        found.update(dict.fromkeys(_match(pattern, sources)))
    return list(found)


def _match(pattern: str, sources: Mapping[str, str]) -> list[str]:
    if pattern in sources:
        return [pattern]
    path = os.path.abspath(os.path.expanduser(pattern)) if pattern else ""
    if keys := [key for key, source in sources.items() if source and source in (pattern, path)]:
        return keys
    if any(char in pattern for char in "*?["):
        keys = [key for key in sources if fnmatch.fnmatchcase(key, pattern)]
    else:
        end = "/" + pattern.lstrip("/")
        ends = {
            source if source.endswith(end) else key
            for key, source in sources.items()
            if pattern and (key.endswith(end) or source.endswith(end))
        }
        if len(ends) > 1:
            raise PrivacyError(
                f"{pattern!r} could mean {len(ends)} documents", hint="give more of the path, or a glob"
            )
        keys = [key for key, source in sources.items() if {key, source} & ends]
    if not keys:
        raise PrivacyError(
            f"there is no document {pattern!r}", hint="ragperso search WORDS shows documents by their names"
        )
    return keys


def forget(
    store: Store,
    workspace: Workspace,
    *,
    keys: Sequence[str] = (),
    facts: Sequence[int] = (),
    now: datetime,
    rebuild: Callable[[], None],
) -> Receipt:
    """Remove documents and statements, and every answer drawn from the documents, from all files.

    ``rebuild`` writes all indexes anew and deletes their old files; it must not take the "write" lock.
    A forgotten file is not taken in again by ``add`` (see :func:`is_forgotten`).  Raises: PrivacyError for
    an unknown key or number; WorkspaceError on a full disk, when nothing was removed; PrivacyError when all
    was removed but its traces could not yet be cleaned up.
    """
    if not keys and not facts:
        raise PrivacyError("there is nothing named to forget", hint="ragperso forget KEY, or --fact NUMBER")
    with workspace.lock():
        names = match_keys(store, keys)
        known = {fact.id for fact in store.facts()}
        if unknown := [number for number in facts if number not in known]:
            raise PrivacyError(f"there is no statement {unknown[0]}", hint="ragperso profile")
        documents = store.documents(keys=names)
        # An exemplar may also hold what it answered, or turns joined to it: words of other documents.
        holders = [
            exemplar
            for exemplar in store.documents("exemplars")
            if not set(names).isdisjoint(exemplar.meta.get("sources") or ())
        ]
        subject = "\n".join([*sorted(names), *(f"fact {number}" for number in sorted(set(facts)))])
        with store.write():
            _bury(store, documents)
            gone = _sum(
                store.remove_documents([d.id for d in (*documents, *holders)], answers=True),
                store.remove_answers_about(names),
            )
            n_facts = store.remove_facts(list(dict.fromkeys(facts)))
            counts = {f.name: getattr(gone, f.name) for f in fields(gone)}
            counts["facts"] += n_facts
            receipt = _receipt("forget", subject, counts, now)
            store.put_audit("forget", {"receipt": receipt.id, **counts}, now)
            store.put(_PENDING + receipt.id, _to_json(receipt))
        finish(store, workspace, rebuild=rebuild, locked=True)
    return receipt


def is_unfinished(store: Store) -> bool:
    """Say whether traces of something forgotten still wait to be cleaned up."""
    return bool(store.settings(_PENDING))


def finish(store: Store, workspace: Workspace, *, rebuild: Callable[[], None], locked: bool = False) -> int:
    """Clean up after what was forgotten, and write its receipts; return how many.

    Harmless when there is nothing to do.  ``locked`` says that the caller holds the write lock.
    Raises: PrivacyError when the disk is too full for it; it can be called again.
    """
    if not is_unfinished(store):
        return 0
    if not locked:
        with workspace.lock():
            return finish(store, workspace, rebuild=rebuild, locked=True)
    pending = store.settings(_PENDING)
    try:
        rebuild()
        workspace.clean()
        store.scrub()
        for body in pending.values():
            _write_receipt(workspace.home, _from_json(body))
        with store.write():
            for key in pending:
                store.drop(key)
    except (OSError, RagpersoError) as exc:
        raise PrivacyError(
            "it is forgotten and will not be found again, but its traces in freed space could not be"
            " overwritten yet",
            hint="free some disk space, let other processes end, and run ragperso doctor to finish it",
        ) from exc
    return len(pending)


def _sum(first: Forgotten, second: Forgotten) -> Forgotten:
    return Forgotten(*(getattr(first, f.name) + getattr(second, f.name) for f in fields(first)))


# ---------------------------------------------------------------- what stays forgotten


def _bury(store: Store, documents: Sequence[StoredDocument]) -> None:
    """Note by hash what is being forgotten, and drop the files it came from from the list of seen ones.

    Documents are remembered by name.  A file that goes as a whole is also remembered by content, so that
    a renamed copy stays out; short rows and messages are not, because others may say the same.
    """
    doomed = {int(document.id) for document in documents}
    for document in documents:
        store.put(_tombstone(document.key), content_hash(document.source or document.key))
    for corpus in CORPORA:
        seen = store.sources(corpus)
        for source in {d.source for d in documents if d.corpus == corpus and d.source}:
            if _is_whole(store, corpus, source, doomed):
                store.put(_tombstone(source), content_hash(source))
                if source in seen:
                    store.put(_tombstone(seen[source].content_hash), content_hash(source))
            store.drop_source(corpus, source)


def _is_whole(store: Store, corpus: Corpus, source: str, doomed: set[int]) -> bool:
    keys = store.document_keys(corpus, source)
    return {document.id for document in store.documents(corpus, keys=keys)} <= doomed


def is_forgotten(store: Store, name: str, digest: str = "") -> bool:
    """Say whether a file (by absolute path and content hash) or a document (by key) was forgotten earlier."""
    return any(store.get(_tombstone(value)) for value in (name, digest) if value)


def unforget(store: Store, paths: Iterable[str | Path]) -> int:
    """Let files, or all files below folders, be taken in again; return how many notes were dropped."""
    notes = store.settings(_TOMBSTONE)
    if not notes:
        return 0
    doomed: set[str] = set()
    for given in paths:
        top = Path(os.path.abspath(os.path.expanduser(given)))
        for path in [top, *(p for p in top.rglob("*") if p.is_file())] if top.is_dir() else [top]:
            doomed |= {key for key, source in notes.items() if source == content_hash(str(path))}
            doomed.add(_tombstone(str(path)))
            if path.is_file():
                doomed.add(_tombstone(file_hash(path)))
    with store.write():
        for key in doomed & notes.keys():
            store.drop(key)
    return len(doomed & notes.keys())


def _tombstone(value: str) -> str:
    return _TOMBSTONE + content_hash(value)


# ---------------------------------------------------------------- erase


def erase(workspace: Workspace, now: datetime) -> Receipt:
    """Delete a person's folder with everything in it; the receipt stays beside it.

    The store must be closed in this process.  Waits for a writer to finish; one that comes later finds no
    such person.  Works on a full disk, and on a damaged store, which then has nothing to count.
    """
    counts: dict[str, int] = {}
    with workspace.lock():
        try:
            store = Store(workspace.store_path)
        except RagpersoError:
            pass  # nothing to count does not mean nothing to delete
        else:
            counts = store.counts()
            store.close()
        if not _LOCK_BLOCKS_RENAME:
            counts["files"] = workspace.destroy()
    if _LOCK_BLOCKS_RENAME:
        counts["files"] = workspace.destroy()
    receipt = _receipt("erase", workspace.user, counts, now)
    _write_receipt(workspace.home, receipt)
    return receipt


# ---------------------------------------------------------------- receipts


def proves(receipt: Receipt, subject: str) -> bool:
    """Say whether a receipt is about ``subject``: a user name, or the sorted keys, one a line."""
    return secrets.compare_digest(receipt.subject_sha256, content_hash(f"{receipt.salt}\n{subject}"))


def receipts(home: Path) -> list[Receipt]:
    """Return the receipts under ``home``, oldest first."""
    found = [_from_json(path.read_text(encoding="utf-8")) for path in (home / RECEIPTS).glob("*.json")]
    return sorted(found, key=lambda receipt: (receipt.at, receipt.id))


def _receipt(
    action: Literal["forget", "erase"], subject: str, counts: Mapping[str, int], now: datetime
) -> Receipt:
    salt = secrets.token_hex(16)
    return Receipt(
        id=f"{now:%Y%m%d}-{secrets.token_hex(6)}",
        at=now,
        action=action,
        counts=dict(counts),
        subject_sha256=content_hash(f"{salt}\n{subject}"),
        salt=salt,
    )


def _write_receipt(home: Path, receipt: Receipt) -> None:
    folder = home / RECEIPTS
    folder.mkdir(mode=0o700, exist_ok=True)
    write_atomically(folder / f"{receipt.id}.json", _to_json(receipt))


def _to_json(receipt: Receipt) -> str:
    at = receipt.at if receipt.at.tzinfo else receipt.at.replace(tzinfo=timezone.utc)
    return json.dumps(
        {
            "id": receipt.id,
            "at": at.isoformat(),
            "action": receipt.action,
            "counts": dict(receipt.counts),
            "subject_sha256": receipt.subject_sha256,
            "salt": receipt.salt,
        },
        indent=1,
    )


def _from_json(body: str) -> Receipt:
    data = json.loads(body)
    return Receipt(**{**data, "at": datetime.fromisoformat(data["at"])})
