"""Ground: ``store.db``, the truth about one person.  Indexes, profile views and receipts derive from it.

One connection, one lock: safe to use from several threads of a process.  Several processes may use one
store: every write is a short ``BEGIN IMMEDIATE`` transaction that waits its turn (a deferred one fails
under contention: 1,040 of 1,200 measured with four writers).  What :meth:`Store.write` has left is on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ragperso.errors import WorkspaceError, WorkspaceLocked
from ragperso.files import content_hash
from ragperso.migrations import migrate
from ragperso.types import (
    AuditEvent,
    Chunk,
    ChunkId,
    ChunkSpan,
    Citation,
    Corpus,
    Document,
    DocumentId,
    Fact,
    Feedback,
    Filters,
    Ids,
    Interaction,
    Json,
    Origin,
    StoredDocument,
    Usage,
    Vectors,
    as_utc,
)

BUSY_TIMEOUT_S: Final = 30.0
_BATCH: Final = 500  # host parameters per statement; SQLite before 3.32 takes 999

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

# What makes up a person, in an order in which every row finds those it refers to.  ``sqlite_sequence``
# remembers the highest id ever given, so that an erased one stays erased after a move.
TABLES: Final = (
    "meta", "sources", "documents", "chunks", "keys", "embedders", "embeddings", "interactions",
    "interaction_documents", "feedback", "facts", "extractions", "profile", "audit", "sqlite_sequence",
)  # fmt: skip

_FACT_FIELDS: Final = (
    "text", "origin", "start", "end", "at", "kind", "subject", "slot", "value", "negated", "confidence",
    "valid_from", "valid_to", "superseded_by", "n_seen", "detail",
)  # fmt: skip
FACTS_STALE: Final = "facts_stale"  # in meta: statements went, so what they closed has to be weighed anew
_FACT_TIMES: Final = ("at", "valid_from", "valid_to")

_DOCUMENT = "d.id, d.corpus, d.key, d.source, d.format, d.title, d.ts, d.meta, d.added_at, length(d.text)"
_CHUNK = (
    'c.id, c.document_id, c.corpus, c.ordinal, c.start, c."end", c.n_tokens, c.headings,'
    ' substr(d.text, c.start + 1, c."end" - c.start), d.key, d.title, d.ts, d.meta, d.pages'
)


@dataclass(frozen=True, slots=True)
class SourceState:
    """What was last seen of one file."""

    path: str
    root: str
    size_bytes: int
    mtime_ns: int
    content_hash: str
    recipe: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewKey:
    """An extra key ready to be stored; ``text`` is what was embedded, empty for the words it points at."""

    kind: str
    start: int
    end: int
    text: str = field(repr=False)
    embed_hash: bytes


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document ready to be stored: chunked and embedded.

    ``embed_hashes`` runs parallel to ``spans``; vectors are given apart, keyed by hash, because several
    chunks may share one.
    """

    document: Document
    spans: tuple[ChunkSpan, ...]
    embed_hashes: tuple[bytes, ...]
    content_hash: str
    recipe: str
    modified_at: datetime | None = None
    parent: DocumentId | None = None
    keys: tuple[NewKey, ...] = ()


# Of a queue's row: it still waits, and for the text it was taken with.
_SAME_TEXT: Final = (
    "document_id = ? AND done = 0 AND (SELECT added_at FROM documents WHERE id = document_id) = ?"
)
MAX_TRIES: Final = 3  # failed ones after which a text is left until the person asks for it


@dataclass(frozen=True, slots=True)
class Extraction:
    """A document that a model is to read for statements, from ``read_to`` on.

    ``version`` tells the document's text apart from one that has taken its place meanwhile.
    """

    document: DocumentId
    read_to: int
    tries: int
    version: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a removal took with it; counts only."""

    documents: int = 0
    chunks: int = 0
    embeddings: int = 0
    interactions: int = 0
    facts: int = 0


@dataclass(frozen=True, slots=True)
class ChunkText:
    """What the indexes read of a chunk."""

    id: ChunkId
    key: str
    title: str = field(repr=False)
    headings: tuple[str, ...] = field(repr=False)
    text: str = field(repr=False)
    ts: datetime | None = None
    labels: tuple[str, ...] = field(default=(), repr=False)  # tags and aliases of the front matter

    @property
    def embed_text(self) -> str:
        return embed_text(self.title, self.headings, self.text)


EMBED_TEXT_VERSION: Final = 1


def embed_text(title: str, headings: Sequence[str], text: str) -> str:
    """Return what an embedder reads of a chunk: where it stands, then what it says.

    The title is left out when the heading path already begins with it.
    """
    path = [part for part in (title, *headings) if part]
    if len(path) > 1 and path[0] == path[1]:
        path = path[1:]
    return f"{' > '.join(path)}\n{text}" if path else text


_LABEL_KEYS: Final = ("tags", "aliases", "keywords", "categories")
_MAX_LABELS: Final = 40  # of a document; more are a list, not labels


def labels_of(meta: Mapping[str, Json], keys: Sequence[str] = _LABEL_KEYS) -> tuple[str, ...]:
    """Return the tags and aliases that ``meta`` gives a document, each once."""
    found: list[str] = []
    for key in keys:
        value = meta.get(key)
        found += [
            str(v) for v in (value if isinstance(value, list) else [value]) if isinstance(v, (str, int))
        ]
    return tuple(dict.fromkeys(label.strip() for label in found if label.strip()))[:_MAX_LABELS]


def lead_text(title: str, text: str) -> str:
    """Return what an embedder reads of the beginning of a document, which mostly holds its title."""
    return embed_text("" if title in text[:LEAD_TITLE_CHARS] else title, (), text)


LEAD_TITLE_CHARS: Final = 300  # a title this near the top need not be said twice


def embed_hash(text: str) -> bytes:
    """Return the key under which the vector of an :func:`embed_text` is kept: 128 bits of SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


class Store:
    """The database of one person."""

    def __init__(self, path: Path, *, secure_delete: bool = True) -> None:
        """Open or create ``path``.

        Raises: SchemaTooNew; WorkspaceError when the file is not a database or the disk is full.
        """
        self.path = path
        self._lock = threading.RLock()
        try:
            # Private from the start: SQLite gives its log and shared memory the mode of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as exc:
            raise WorkspaceError(f"{path} cannot be opened: {exc.strerror}", hint="ragperso doctor") from exc
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",  # an acknowledged write also survives a power cut
                "foreign_keys = ON",
                f"secure_delete = {'ON' if secure_delete else 'OFF'}",  # the default differs by build
                "temp_store = MEMORY",  # no copy of a person's text in the system's temp folder
            ):
                self._connection.execute(f"PRAGMA {pragma}")
            migrate(self._connection)
        except sqlite3.DatabaseError as exc:
            raise _explain(exc, path) from exc

    def close(self) -> None:
        """Close the database; SQLite then folds its write-ahead log into the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run one IMMEDIATE transaction: all of it is on disk afterwards, or none.

        Nests: an inner use joins the outer transaction.  Raises: WorkspaceLocked, WorkspaceError.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.OperationalError):  # SQLite may have rolled back
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as exc:
                raise _explain(exc, self.path) from exc

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        parameters = [storable(value) if isinstance(value, str) else value for value in parameters]
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.DatabaseError as exc:
                raise _explain(exc, self.path) from exc

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        rows = self._all(sql, parameters)
        return rows[0] if rows else None

    def _in(self, sql: str, values: Iterable[Any], before: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run ``sql`` with ``{}`` filled by batches of ``values``; yield all rows."""
        values = list(values)
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            yield from self._all(sql.format(",".join("?" * len(batch))), (*before, *batch))

    # ------------------------------------------------------------ settings of the store itself

    def get(self, key: str, default: str = "") -> str:
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return default if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def settings(self, prefix: str) -> dict[str, str]:
        """Return the settings whose key begins with ``prefix``."""
        rows = self._all("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
        return {row[0]: row[1] for row in rows}

    def drop(self, key: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM meta WHERE key = ?", (key,))

    def generation(self, corpus: Corpus | Literal["facts"]) -> int:
        """Return a number that grows with every change to the chunks of ``corpus``, or to the statements."""
        return int(self.get(f"generation:{corpus}", "0"))

    def _bump(self, corpus: str) -> None:
        with self.write() as db:
            db.execute(
                "INSERT INTO meta VALUES (?, '1') ON CONFLICT (key)"
                " DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
                (f"generation:{corpus}",),
            )

    # ------------------------------------------------------------ sources

    def sources(self, corpus: Corpus) -> dict[str, SourceState]:
        """Return every file known to ``corpus`` by its absolute path."""
        rows = self._all(
            "SELECT path, root, size_bytes, mtime_ns, content_hash, recipe, reason FROM sources"
            " WHERE corpus = ?",
            (corpus,),
        )
        return {row[0]: SourceState(*row) for row in rows}

    def put_source(self, corpus: Corpus, state: SourceState) -> None:
        """Remember a file as seen."""
        with self.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    corpus,
                    state.path,
                    state.root,
                    state.size_bytes,
                    state.mtime_ns,
                    state.content_hash,
                    state.recipe,
                    state.reason,
                ),
            )

    def drop_source(self, corpus: Corpus, path: str) -> None:
        """Forget that a file was seen; its documents are removed apart."""
        with self.write() as db:
            db.execute("DELETE FROM sources WHERE corpus = ? AND path = ?", (corpus, path))

    def move_source(self, corpus: Corpus, old: str, new: SourceState, keys: Mapping[str, str]) -> None:
        """Give the documents of file ``old`` their new file and keys; chunks and vectors stay."""
        with self.write() as db:
            self.drop_source(corpus, old)
            self.put_source(corpus, new)
            for before, after in keys.items():
                db.execute(
                    "UPDATE documents SET key = ?, source = ? WHERE corpus = ? AND key = ?",
                    (after, new.path, corpus, before),
                )
            self.put(f"labels:{corpus}", str(int(self.get(f"labels:{corpus}", "0")) + 1))
            self._bump(corpus)  # the file name is part of what the lexical index reads

    # ------------------------------------------------------------ documents and chunks

    def put_documents(
        self,
        corpus: Corpus,
        documents: Sequence[NewDocument],
        *,
        embedder_id: int,
        vectors: Mapping[bytes, np.ndarray[Any, np.dtype[np.float32]]],
        sources: Sequence[SourceState] = (),
        now: datetime,
    ) -> list[DocumentId]:
        """Insert or replace documents with chunks, vectors and seen files, all in one transaction."""
        ids: list[DocumentId] = []
        with self.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)",
                [
                    (embedder_id, key, np.ascontiguousarray(row, np.float32).tobytes())
                    for key, row in vectors.items()
                ],
            )
            for new in documents:
                document_id = self._put_document(corpus, new, now)
                ids.append(document_id)
                db.executemany(
                    "INSERT INTO chunks"
                    ' (document_id, corpus, ordinal, start, "end", n_tokens, headings, embed_hash)'
                    " VALUES (?,?,?,?,?,?,?,?)",
                    [
                        (
                            document_id,
                            corpus,
                            ordinal,
                            span.start,
                            span.end,
                            span.n_tokens,
                            json.dumps(span.headings, ensure_ascii=False),
                            key,
                        )
                        for ordinal, (span, key) in enumerate(zip(new.spans, new.embed_hashes, strict=True))
                    ],
                )
                db.executemany(
                    'INSERT INTO keys (document_id, corpus, kind, start, "end", text, embed_hash)'
                    " VALUES (?,?,?,?,?,?,?)",
                    [
                        (document_id, corpus, k.kind, k.start, k.end, storable(k.text), k.embed_hash)
                        for k in new.keys
                    ],
                )
            for state in sources:
                self.put_source(corpus, state)
            if documents:
                self._bump(corpus)
        return ids

    def _put_document(self, corpus: Corpus, new: NewDocument, now: datetime) -> DocumentId:
        """Insert a document, or replace the one with its key under the same id, so that what refers to it
        (answers drawn from it) still does; its chunks and all that was mined from it go."""
        doc = new.document
        values = {
            "source": doc.source,
            "format": doc.format,
            "title": storable(doc.title),
            "ts": _iso(doc.ts),
            "modified_at": _iso(new.modified_at),
            "meta": _json(dict(doc.meta)),
            "pages": json.dumps(doc.pages),
            "indexed_from": doc.indexed_from,
            "content_hash": new.content_hash,
            "recipe": new.recipe,
            "text": storable(doc.text),
            "added_at": _iso(now),
            "parent_id": new.parent,
        }
        with self.write() as db:
            row = db.execute(
                "SELECT id FROM documents WHERE corpus = ? AND key = ?", (corpus, doc.key)
            ).fetchone()
            if row is None:
                columns = ", ".join(values)
                cursor = db.execute(
                    f"INSERT INTO documents (corpus, key, {columns}) VALUES (?, ?{', ?' * len(values)})",
                    (corpus, doc.key, *values.values()),
                )
                return DocumentId(int(cursor.lastrowid or 0))
            children = [r[0] for r in db.execute("SELECT id FROM documents WHERE parent_id = ?", row)]
            self._remove(children, answers=False)
            hashes = {
                r[0]
                for table in ("chunks", "keys")
                for r in db.execute(f"SELECT embed_hash FROM {table} WHERE document_id = ?", row)
            }
            db.execute("DELETE FROM chunks WHERE document_id = ?", row)
            db.execute("DELETE FROM keys WHERE document_id = ?", row)
            self._keep_facts(int(row[0]), storable(doc.text))
            kept = {*new.embed_hashes, *(key.embed_hash for key in new.keys)}
            self._drop_orphans(hashes - kept)
            assignments = ", ".join(f"{column} = ?" for column in values)
            db.execute(f"UPDATE documents SET {assignments} WHERE id = ?", (*values.values(), row[0]))
            return DocumentId(int(row[0]))

    def content_hashes(self, corpus: Corpus, source: str) -> dict[str, tuple[str, str]]:
        """Return ``{key: (content hash, recipe)}`` of the documents that came from one file."""
        rows = self._all(
            "SELECT key, content_hash, recipe FROM documents WHERE corpus = ? AND source = ?",
            (corpus, source),
        )
        return {key: (digest, recipe) for key, digest, recipe in rows}

    def document_keys(self, corpus: Corpus, source: str) -> list[str]:
        """Return the keys of the documents that came from one file, in the order they were added."""
        rows = self._all(
            "SELECT key FROM documents WHERE corpus = ? AND source = ? ORDER BY id", (corpus, source)
        )
        return [row[0] for row in rows]

    def count_documents(self, corpus: Corpus, sources: Sequence[str]) -> int:
        """Return how many documents came from these files."""
        row = self._one(
            "SELECT count(*) FROM documents WHERE corpus = ? AND source IN (SELECT value FROM json_each(?))",
            (corpus, json.dumps(list(sources))),
        )
        return int(row[0]) if row else 0

    def document_hashes(self, corpus: Corpus, keys: Iterable[str]) -> dict[str, tuple[str, str, str]]:
        """Return ``{key: (content hash, recipe, source)}`` for those of ``keys`` that exist."""
        rows = self._in(
            "SELECT key, content_hash, recipe, source FROM documents WHERE corpus = ? AND key IN ({})",
            keys,
            (corpus,),
        )
        return {key: (digest, recipe, source) for key, digest, recipe, source in rows}

    def documents(
        self,
        corpus: Corpus | None = None,
        *,
        keys: Sequence[str] | None = None,
        ids: Sequence[int] | None = None,
        added_since: datetime | None = None,
    ) -> list[StoredDocument]:
        """Return documents in the order they were added."""
        where, parameters = ["1"], []  # type: tuple[list[str], list[Any]]
        if corpus is not None:
            where.append("d.corpus = ?")
            parameters.append(corpus)
        if keys is not None:
            where.append("d.key IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps([storable(key) for key in keys]))
        if added_since is not None:
            where.append("d.added_at >= ?")
            parameters.append(_iso(added_since))
        if ids is not None:
            where.append("d.id IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps([int(i) for i in ids]))
        rows = self._all(
            f"SELECT {_DOCUMENT}, (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)"
            f" FROM documents d WHERE {' AND '.join(where)} ORDER BY d.id",
            parameters,
        )
        return [
            StoredDocument(
                id=DocumentId(row[0]),
                corpus=row[1],
                key=row[2],
                source=row[3],
                format=row[4],
                title=row[5],
                ts=_time(row[6]),
                meta=json.loads(row[7]),
                added_at=_time(row[8]) or datetime.now(timezone.utc),
                n_chars=row[9],
                n_chunks=row[10],
            )
            for row in rows
        ]

    def text(self, document: DocumentId) -> str:
        """Return the whole text of one document, empty when there is none."""
        row = self._one("SELECT text FROM documents WHERE id = ?", (document,))
        return "" if row is None else str(row[0])

    def chunks(self, ids: Iterable[ChunkId]) -> dict[ChunkId, Chunk]:
        """Return the chunks that exist among ``ids``."""
        found: dict[ChunkId, Chunk] = {}
        sql = f"SELECT {_CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id IN ({{}})"
        for row in self._in(sql, map(int, ids)):  # SQLite takes a numpy integer for a blob
            pages = json.loads(row[13])
            found[ChunkId(row[0])] = Chunk(
                id=ChunkId(row[0]),
                document_id=DocumentId(row[1]),
                corpus=row[2],
                ordinal=row[3],
                start=row[4],
                end=row[5],
                n_tokens=row[6],
                headings=tuple(json.loads(row[7])),
                text=row[8],
                document=row[9],
                title=row[10],
                ts=_time(row[11]),
                meta=json.loads(row[12]),
                page=sum(1 for start in pages if start <= row[4]) or None if pages else None,
            )
        return found

    def chunk_after(self, chunk: Chunk) -> Chunk | None:
        """Return the next chunk of the same document, None behind the last."""
        row = self._one(
            "SELECT id FROM chunks WHERE document_id = ? AND ordinal > ? ORDER BY ordinal LIMIT 1",
            (chunk.document_id, chunk.ordinal),
        )
        return None if row is None else self.chunks([ChunkId(row[0])]).get(ChunkId(row[0]))

    def lines_of(self, ids: Iterable[ChunkId]) -> dict[ChunkId, int]:
        """Return the line number, from 1, at which each chunk begins."""
        sql = (
            "SELECT c.id, substr(d.text, 1, c.start) FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.id IN ({})"
        )
        return {ChunkId(row[0]): str(row[1]).count("\n") + 1 for row in self._in(sql, map(int, ids))}

    def line_of(self, document: DocumentId, offset: int) -> int:
        """Return the line number, from 1, of a character offset in a document."""
        row = self._one("SELECT substr(text, 1, ?) FROM documents WHERE id = ?", (offset, document))
        return 1 if row is None else str(row[0]).count("\n") + 1

    def chunk_ids(self, corpus: Corpus, filters: Filters | None = None, *, without_kind: str = "") -> Ids:
        """Return the ids of ``corpus``, ascending, that pass ``filters``.

        A document without a time of its own counts with its file's.  ``without_kind`` leaves out
        documents whose ``meta.kind`` it is.
        """
        where, parameters = ["c.corpus = ?"], [corpus]  # type: tuple[list[str], list[Any]]
        filters = filters or Filters()
        if filters.since is not None:
            where.append("coalesce(d.ts, d.modified_at) >= ?")
            parameters.append(_iso(filters.since))
        if filters.until is not None:
            where.append("coalesce(d.ts, d.modified_at) < ?")
            parameters.append(_iso(filters.until))
        if filters.documents:
            where.append("d.key IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps([storable(key) for key in filters.documents]))
        if filters.hidden:
            where.append("d.key NOT IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps([storable(key) for key in filters.hidden]))
        for key, value in filters.meta.items():
            # A list such as tags matches when it holds the value; json_each walks both kinds.
            where.append(
                "EXISTS (SELECT 1 FROM json_each(d.meta) m WHERE m.key = ? AND (lower(m.value) = lower(?) OR"
                " (m.type = 'array' AND EXISTS (SELECT 1 FROM json_each(m.value) v"
                " WHERE lower(v.value) = lower(?)))))"
            )
            parameters.extend((key, value, value))
        if without_kind:
            where.append("coalesce(json_extract(d.meta, '$.kind'), '') <> ?")
            parameters.append(without_kind)
        join = "" if len(where) == 1 else "JOIN documents d ON d.id = c.document_id"
        rows = self._all(
            f"SELECT c.id FROM chunks c {join} WHERE {' AND '.join(where)} ORDER BY c.id", parameters
        )
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def chunk_texts(self, corpus: Corpus, after: ChunkId | None = None) -> Iterator[ChunkText]:
        """Yield what the indexes read of each chunk of ``corpus``, ids ascending."""
        last = int(after or 0)
        sql = (
            "SELECT c.id, d.key, d.title, c.headings,"
            ' substr(d.text, c.start + 1, c."end" - c.start), d.ts, d.meta'
            " FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.corpus = ? AND c.id > ? ORDER BY c.id LIMIT 2000"
        )
        while rows := self._all(sql, (corpus, last)):
            for row in rows:
                headings = tuple(json.loads(row[3]))
                labels = labels_of(json.loads(row[6]))
                yield ChunkText(ChunkId(row[0]), row[1], row[2], headings, row[4], _time(row[5]), labels)
            last = rows[-1][0]

    def document_texts(self, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Yield (id, whole text) of documents, in no order."""
        sql = "SELECT id, text FROM documents WHERE id IN ({})"
        yield from self._in(sql, ids)

    def layout_rows(self, corpus: Corpus) -> list[tuple[Any, ...]]:
        """Return (chunk id, document id, ordinal, tokens, start, end, last characters, time, session,
        speaker, format) of every chunk of ``corpus``, ids ascending: where each one stands."""
        return self._all(
            'SELECT c.id, c.document_id, c.ordinal, c.n_tokens, c.start, c."end",'
            ' substr(d.text, max(c.start, c."end" - 8) + 1, min(8, c."end" - c.start)), d.ts,'
            # A mail thread runs through many files; "session 1" of another export is another conversation.
            " coalesce('t' || json_extract(d.meta, '$.thread'),"
            " 's' || json_extract(d.meta, '$.session') || char(10) || d.source),"
            " json_extract(d.meta, '$.speaker'), d.format"
            " FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.corpus = ? ORDER BY c.id",
            (corpus,),
        )

    def key_rows(self, corpus: Corpus) -> list[tuple[int, int, str, int]]:
        """Return (key id, document id, kind, start) of every key of ``corpus``, ids ascending."""
        return self._all(
            "SELECT id, document_id, kind, start FROM keys WHERE corpus = ? ORDER BY id", (corpus,)
        )

    # ------------------------------------------------------------ embedders and vectors

    def embedder_id(self, fingerprint: str, *, name: str = "", dim: int = 0) -> int:
        """Return the number of an embedder, registering it when it is new and ``dim`` is given."""
        row = self._one("SELECT id FROM embedders WHERE fingerprint = ?", (fingerprint,))
        if row is not None:
            return int(row[0])
        with self.write() as db:
            db.execute(
                "INSERT OR IGNORE INTO embedders (fingerprint, name, dim) VALUES (?, ?, ?)",
                (fingerprint, name, dim),
            )
        return self.embedder_id(fingerprint)

    def active_embedder(self) -> tuple[int, str, str, int] | None:
        """Return (id, fingerprint, name, dim) of the embedder the indexes use; None before the first add."""
        row = self._one(
            "SELECT e.id, e.fingerprint, e.name, e.dim FROM embedders e"
            " JOIN meta m ON m.key = 'embedder' AND m.value = CAST(e.id AS TEXT)"
        )
        return None if row is None else (row[0], row[1], row[2], row[3])

    def vectors(
        self, embedder_id: int, ids: Ids, *, of: Literal["chunks", "keys"] = "chunks"
    ) -> tuple[Ids, Vectors]:
        """Return the ids that have a vector, in the given order, and their (n, dim) rows."""
        rows: dict[int, bytes] = {}
        sql = (
            # CROSS JOIN keeps the order: without statistics SQLite would scan all embeddings for each batch.
            f"SELECT c.id, e.vector FROM {of} c CROSS JOIN embeddings e"
            " ON e.embedder_id = ? AND e.embed_hash = c.embed_hash WHERE c.id IN ({})"
        )
        for chunk_id, vector in self._in(sql, [int(i) for i in ids], (embedder_id,)):
            rows[chunk_id] = vector
        kept = [int(i) for i in ids if int(i) in rows]
        if not kept:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        # One copy out of SQLite's bytes into a writable matrix.
        matrix = np.frombuffer(b"".join(rows[i] for i in kept), np.float32).reshape(len(kept), -1)
        return np.array(kept, np.int64), matrix

    def all_vectors(
        self, embedder_id: int, corpus: Corpus, *, of: Literal["chunks", "keys"] = "chunks"
    ) -> tuple[Ids, Vectors]:
        """Return the ids of ``corpus`` that have a vector, ascending, and their (n, dim) rows.

        In half the time of :meth:`vectors`; what SQLite has read of them is not kept in memory twice.
        """
        rows = self._all(
            f"SELECT c.id, e.vector FROM {of} c CROSS JOIN embeddings e"
            " ON e.embedder_id = ? AND e.embed_hash = c.embed_hash WHERE c.corpus = ? ORDER BY c.id",
            (embedder_id, corpus),
        )
        self._all("PRAGMA shrink_memory")
        if not rows:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        matrix = np.frombuffer(b"".join([row[1] for row in rows]), np.float32).reshape(len(rows), -1)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows)), matrix

    def known_hashes(self, embedder_id: int, hashes: Iterable[bytes]) -> set[bytes]:
        """Return those of ``hashes`` that already have a vector."""
        return {
            row[0]
            for row in self._in(
                "SELECT embed_hash FROM embeddings WHERE embedder_id = ? AND embed_hash IN ({})",
                hashes,
                (embedder_id,),
            )
        }

    def texts_without_vector(self, embedder_id: int, limit: int) -> list[tuple[bytes, str]]:
        """Return up to ``limit`` (embed hash, text to embed) that ``embedder_id`` has not embedded yet."""
        missing = (
            "NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.embedder_id = ? AND e.embed_hash = x.embed_hash)"
        )
        rows = self._all(
            'SELECT x.embed_hash, d.title, x.headings, substr(d.text, x.start + 1, x."end" - x.start)'
            f" FROM chunks x JOIN documents d ON d.id = x.document_id WHERE {missing}"
            " GROUP BY x.embed_hash ORDER BY x.id LIMIT ?",
            (embedder_id, limit),
        )
        found = [(row[0], embed_text(row[1], json.loads(row[2]), row[3])) for row in rows]
        if len(found) < limit:
            rows = self._all(
                'SELECT x.embed_hash, x.text, d.title, substr(d.text, x.start + 1, x."end" - x.start)'
                f" FROM keys x JOIN documents d ON d.id = x.document_id WHERE {missing}"
                " GROUP BY x.embed_hash ORDER BY x.id LIMIT ?",
                (embedder_id, limit - len(found)),
            )
            found += [(row[0], row[1] or lead_text(row[2], row[3])) for row in rows]
        return list(dict(found).items())

    def counts_without_vector(self, embedder_id: int) -> int:
        """Return how many distinct texts ``embedder_id`` has not embedded yet."""
        row = self._one(
            "SELECT count(*) FROM (SELECT embed_hash FROM chunks UNION SELECT embed_hash FROM keys) x"
            " WHERE NOT EXISTS"
            " (SELECT 1 FROM embeddings e WHERE e.embedder_id = ? AND e.embed_hash = x.embed_hash)",
            (embedder_id,),
        )
        return int(row[0]) if row else 0

    def put_vectors(
        self, embedder_id: int, vectors: Mapping[bytes, np.ndarray[Any, np.dtype[np.float32]]]
    ) -> None:
        """Add vectors of chunks that are stored already."""
        with self.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)",
                [(embedder_id, k, np.ascontiguousarray(v, np.float32).tobytes()) for k, v in vectors.items()],
            )

    def activate_embedder(self, embedder_id: int, corpora: Sequence[Corpus]) -> None:
        """Make an embedder the one the indexes use and drop the vectors of all others."""
        with self.write() as db:
            self.put("embedder", str(embedder_id))
            db.execute("DELETE FROM embedders WHERE id <> ?", (embedder_id,))  # cascades to its vectors
            for corpus in corpora:
                self._bump(corpus)

    # ------------------------------------------------------------ removal

    def remove_documents(self, ids: Sequence[DocumentId], *, answers: bool) -> Forgotten:
        """Remove documents with their chunks, vectors, facts and what was mined from them.

        ``answers`` also removes every answer that was written from them, as forgetting demands; a file
        that merely went away keeps the conversation about it.
        """
        with self.write():
            return self._remove([int(i) for i in ids], answers=answers)

    def remove_answers_about(self, keys: Sequence[str]) -> Forgotten:
        """Remove answers written from documents called ``keys``, also where those are long gone."""
        with self.write() as db:
            rows = db.execute(
                "SELECT DISTINCT interaction_id FROM interaction_documents"
                " WHERE document_key IN (SELECT value FROM json_each(?))",
                (json.dumps([storable(key) for key in keys]),),
            ).fetchall()
            return self._remove_interactions([row[0] for row in rows])

    def keys_of_answers(self) -> set[str]:
        """Return the keys of all documents that answers were written from, also of those long gone."""
        return {row[0] for row in self._all("SELECT DISTINCT document_key FROM interaction_documents")}

    def _remove(self, ids: Sequence[int], *, answers: bool) -> Forgotten:
        if not ids:
            return Forgotten()
        with self.write() as db:
            doomed, fresh = set(ids), set(ids)
            while fresh:
                rows = self._all(
                    "SELECT id FROM documents WHERE parent_id IN (SELECT value FROM json_each(?))",
                    (json.dumps(sorted(fresh)),),
                )
                fresh = {row[0] for row in rows} - doomed
                doomed |= fresh
            placed = (json.dumps(sorted(doomed)),)
            among = "IN (SELECT value FROM json_each(?))"
            gone = Forgotten()
            if answers:
                rows = db.execute(
                    f"SELECT interaction_id FROM interaction_documents WHERE document_id {among}"
                    f" UNION SELECT id FROM interactions WHERE document_id {among}",
                    (*placed, *placed),
                ).fetchall()
                gone = self._remove_interactions([row[0] for row in rows])
            (n_facts,) = db.execute(
                f"SELECT count(*) FROM facts WHERE n_seen > 0 AND document_id {among}", placed
            ).fetchone()
            (n_placed,) = db.execute(
                f"SELECT count(*) FROM facts WHERE document_id {among}", placed
            ).fetchone()
            chunks = db.execute(
                f"SELECT corpus, embed_hash FROM chunks WHERE document_id {among}", placed
            ).fetchall()
            keys = db.execute(f"SELECT embed_hash FROM keys WHERE document_id {among}", placed).fetchall()
            # Counted first: rows that go by cascade are not in SQLite's own count.
            (n_documents,) = db.execute(f"SELECT count(*) FROM documents WHERE id {among}", placed).fetchone()
            db.execute(f"DELETE FROM documents WHERE id {among}", placed)
            if n_placed:
                self.put(FACTS_STALE, "1")
                self._bump("facts")
            n_embeddings = self._drop_orphans({row[1] for row in chunks} | {row[0] for row in keys})
            for corpus in {row[0] for row in chunks}:
                self._bump(corpus)
            return Forgotten(
                documents=n_documents + gone.documents,
                chunks=len(chunks) + gone.chunks,
                embeddings=n_embeddings + gone.embeddings,
                interactions=gone.interactions,
                facts=n_facts + gone.facts,
            )

    def _remove_interactions(self, ids: Sequence[str]) -> Forgotten:
        """Remove exchanges and their entries in the history corpus."""
        if not ids:
            return Forgotten()
        with self.write() as db:
            entries = [
                row[0]
                for row in self._in(
                    "SELECT document_id FROM interactions WHERE document_id IS NOT NULL AND id IN ({})", ids
                )
            ]
            db.executemany("DELETE FROM interactions WHERE id = ?", [(i,) for i in ids])
            rest = self._remove(entries, answers=True)
            return replace(rest, interactions=rest.interactions + len(ids))

    def _drop_orphans(self, hashes: Iterable[bytes]) -> int:
        """Delete vectors that no chunk and no key uses any more; return how many."""
        hashes = list(hashes)
        used = {
            row[0]
            for table in ("chunks", "keys")
            for row in self._in(f"SELECT DISTINCT embed_hash FROM {table} WHERE embed_hash IN ({{}})", hashes)
        }
        gone = [(h,) for h in hashes if h not in used]
        with self.write() as db:
            before = db.total_changes
            db.executemany("DELETE FROM embeddings WHERE embed_hash = ?", gone)
            return db.total_changes - before

    def scrub(self) -> None:
        """Leave no removed byte in the database file or its log.

        ``secure_delete`` zeroes freed cells, but rebalanced pages may keep copies; rewriting the file and
        emptying the log removes them.  Raises: WorkspaceLocked while another process reads the log.
        """
        with self._lock:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("VACUUM")
                (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise sqlite3.OperationalError("database is locked")
            except sqlite3.DatabaseError as exc:
                raise _explain(exc, self.path) from exc

    # ------------------------------------------------------------ interactions

    def put_interaction(
        self,
        interaction: Interaction,
        *,
        documents: Mapping[DocumentId, str] | None = None,
        history: DocumentId | None = None,
    ) -> None:
        """Store one exchange and which documents (id: key) its answer may hold words of."""
        with self.write() as db:
            db.execute(
                "INSERT INTO interactions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    interaction.id,
                    storable(interaction.session),
                    _iso(interaction.asked_at),
                    storable(interaction.query),
                    storable(interaction.resolved),
                    storable(interaction.answer),
                    int(interaction.abstained),
                    interaction.model,
                    _json([_citation_json(c) for c in interaction.citations]),
                    interaction.prompt_sha256,
                    json.dumps(interaction.chunk_ids),
                    json.dumps(
                        [
                            interaction.usage.prompt_tokens,
                            interaction.usage.completion_tokens,
                            interaction.usage.cached_tokens,
                        ]
                    ),
                    _json(interaction.ledger),
                    history,
                ),
            )
            db.executemany(
                "INSERT OR IGNORE INTO interaction_documents VALUES (?, ?, ?)",
                [(interaction.id, d, key) for d, key in (documents or {}).items()],
            )

    def interactions(
        self, *, session: str | None = None, id: str | None = None, limit: int = 100
    ) -> list[Interaction]:
        """Return the latest exchanges, newest first."""
        where, parameters = ["1"], []  # type: tuple[list[str], list[Any]]
        if session is not None:
            where.append("session = ?")
            parameters.append(session)
        if id is not None:
            where.append("id = ?")
            parameters.append(id)
        rows = self._all(
            "SELECT id, session, asked_at, query, resolved, answer, abstained, model, citations,"
            f" prompt_sha256, chunk_ids, usage, ledger FROM interactions WHERE {' AND '.join(where)}"
            " ORDER BY asked_at DESC, rowid DESC LIMIT ?",
            (*parameters, limit),
        )
        return [
            Interaction(
                id=row[0],
                session=row[1],
                asked_at=_time(row[2]) or datetime.now(timezone.utc),
                query=row[3],
                resolved=row[4],
                answer=row[5],
                abstained=bool(row[6]),
                model=row[7],
                citations=tuple(Citation(**c) for c in json.loads(row[8])),
                prompt_sha256=row[9],
                chunk_ids=tuple(json.loads(row[10])),
                usage=Usage(*json.loads(row[11])),
                ledger=json.loads(row[12]),
            )
            for row in rows
        ]

    def put_feedback(self, feedback: Feedback, now: datetime) -> None:
        """Add a mark to an exchange.  Raises: WorkspaceError when there is no such exchange."""
        with self.write() as db:
            if not db.execute("SELECT 1 FROM interactions WHERE id = ?", (feedback.interaction,)).fetchone():
                raise WorkspaceError(
                    f"there is no interaction {feedback.interaction!r}",
                    hint="ragperso search --corpus history",
                )
            db.execute(
                "INSERT INTO feedback (interaction_id, verdict, edited, at, detail) VALUES (?, ?, ?, ?, ?)",
                (
                    feedback.interaction,
                    feedback.verdict,
                    storable(feedback.edited),
                    _iso(now),
                    storable(feedback.detail),
                ),
            )

    def feedback_state(self) -> tuple[int, int]:
        """Return (number of marks, id of the last): different whenever the marks are."""
        row = self._one("SELECT count(*), coalesce(max(id), 0) FROM feedback")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def drop_feedback(self, interaction: str) -> Feedback | None:
        """Take back the last mark of an exchange; return it, None when there is none."""
        with self.write() as db:
            marks = self.feedback(interaction)
            if not marks:
                return None
            db.execute(
                "DELETE FROM feedback WHERE id = (SELECT max(id) FROM feedback WHERE interaction_id = ?)",
                (interaction,),
            )
            return marks[-1]

    def feedback(self, interaction: str | None = None) -> list[Feedback]:
        """Return marks, oldest first."""
        rows = self._all(
            "SELECT interaction_id, verdict, edited, at, detail FROM feedback"
            " WHERE ? IS NULL OR interaction_id = ? ORDER BY id",
            (interaction, interaction),
        )
        return [Feedback(row[0], row[1], row[2], _time(row[3]), row[4]) for row in rows]

    # ------------------------------------------------------------ profile

    def put_fact(
        self,
        text: str,
        *,
        origin: Origin,
        now: datetime,
        document: DocumentId | None = None,
        start: int = 0,
        end: int = 0,
    ) -> int:
        """Add a statement about the person unless the same text is there (also hidden); return its id."""
        text = storable(text)
        with self.write() as db:
            old = db.execute(
                "SELECT id FROM facts WHERE text = ? AND superseded_by = 0 AND valid_to IS NULL", (text,)
            ).fetchone()
            if old is not None:
                if origin == "user":  # said again by the person: it is theirs and visible
                    db.execute("UPDATE facts SET hidden = 0, origin = 'user' WHERE id = ?", old)
                    self._bump("facts")
                return int(old[0])
            return self.add_fact(Fact(0, text, origin, "", start, end, now), document)

    def add_fact(self, fact: Fact, document: DocumentId | None = None) -> int:
        """Add a statement with all its fields but ``id`` and ``source``; return its number.

        ``document`` is where it was said; forgetting that takes the statement along.
        """
        with self.write() as db:
            self._bump("facts")
            names = ", ".join(f'"{name}"' for name in _FACT_FIELDS)
            cursor = db.execute(
                f"INSERT INTO facts (document_id, {names}) VALUES (?{', ?' * len(_FACT_FIELDS)})",
                (document, *_fact_values(fact)),
            )
            return int(cursor.lastrowid or 0)

    def change_fact(self, fact: Fact) -> None:
        """Replace every field but the source of the statement with ``fact.id``."""
        with self.write() as db:
            self._bump("facts")
            assignments = ", ".join(f'"{name}" = ?' for name in _FACT_FIELDS)
            db.execute(f"UPDATE facts SET {assignments} WHERE id = ?", (*_fact_values(fact), fact.id))

    def move_fact(self, number: int) -> int:
        """Give a statement's row to a new number, and return it: the old one is free for other words.

        The old row keeps its number and belongs to no document until :meth:`place_fact`.
        """
        with self.write() as db:
            self._bump("facts")
            names = ", ".join(f'"{name}"' for name in (*_FACT_FIELDS, "document_id", "hidden"))
            cursor = db.execute(
                f"INSERT INTO facts ({names}) SELECT {names} FROM facts WHERE id = ?", (number,)
            )
            return int(cursor.lastrowid or 0)

    def place_fact(self, number: int, document: DocumentId | None) -> None:
        """Say in which document a statement stands, None for what the person said directly."""
        with self.write() as db:
            self._bump("facts")
            db.execute("UPDATE facts SET document_id = ? WHERE id = ?", (document, number))

    def facts(self, *, repeated: bool = False) -> list[Fact]:
        """Return the visible statements, superseded ones too, the person's own first, then newest first.

        ``repeated`` adds the rows that say again what another one says.
        """
        names = ", ".join(f'f."{name}"' for name in _FACT_FIELDS)
        rows = self._all(
            f"SELECT f.id, coalesce(d.key, ''), {names} FROM facts f"
            " LEFT JOIN documents d ON d.id = f.document_id WHERE f.hidden = 0 AND (f.n_seen > 0 OR ?)"
            " ORDER BY f.origin <> 'user', f.at DESC, f.id",
            (repeated,),
        )
        found = []
        for number, source, *values in rows:
            told = dict(zip(_FACT_FIELDS, values, strict=True))
            for name in _FACT_TIMES:
                told[name] = _time(told[name])
            told["negated"] = bool(told["negated"])
            found.append(Fact(id=number, source=source, **told))
        return found

    def remove_facts(self, ids: Sequence[int]) -> int:
        """Delete what the person said directly and hide what was mined; return how many were there.

        Whatever repeats a statement goes with it, and what the person had replaced by it in an edit.  A mined
        one keeps no text but a hash, so that mining the same document does not bring it back.
        """
        n_removed = 0
        with self.write() as db:
            left = list(ids)
            while left:
                number = left.pop()
                rows = db.execute(
                    "SELECT id, origin, document_id, text, detail, superseded_by, n_seen FROM facts"
                    " WHERE hidden = 0 AND (id = ? OR superseded_by = ?)",
                    (number, number),
                ).fetchall()
                chosen = [row for row in rows if row[0] == number]
                if not chosen:
                    continue
                if chosen[0][6] == 0:  # a repetition by now: take what it repeats
                    left.append(chosen[0][5])
                    chosen = []
                else:
                    n_removed += 1
                    replaced = replaced_by(chosen[0][4])
                    left += [r[0] for r in rows if r[0] != number and r[6] and content_hash(r[3]) in replaced]
                    chosen += [r for r in rows if r[0] != number and r[6] == 0]
                for row in chosen:
                    if row[1] == "user" and row[2] is None:
                        db.execute("DELETE FROM facts WHERE id = ?", (row[0],))
                    else:
                        db.execute(
                            "UPDATE facts SET hidden = 1, text = ?, subject = '', slot = '', value = '',"
                            " detail = '' WHERE id = ?",
                            (content_hash(row[3]), row[0]),
                        )
            if n_removed:
                self.put(FACTS_STALE, "1")
                self._bump("facts")
        return n_removed

    def drop_facts_of(self, document: DocumentId) -> None:
        """Delete the visible statements of a document that turned out not to be the person's own."""
        with self.write() as db:
            if db.execute("DELETE FROM facts WHERE document_id = ? AND hidden = 0", (document,)).rowcount:
                self.put(FACTS_STALE, "1")
                self._bump("facts")

    def _keep_facts(self, document: int, text: str) -> None:
        """Move the statements of a document to where its new text has their words; drop the others.

        What still stands there keeps its number and its time: a note that is edited says nothing anew.
        """
        with self.write() as db:
            (old,) = db.execute("SELECT text FROM documents WHERE id = ?", (document,)).fetchone()
            rows = db.execute(
                'SELECT id, start, "end" FROM facts WHERE document_id = ? AND hidden = 0', (document,)
            ).fetchall()
            if rows:
                self._bump("facts")
            for number, start, end in rows:
                at = _kept_at(old, text, start, end)
                if at is None:
                    db.execute("DELETE FROM facts WHERE id = ?", (number,))
                    self.put(FACTS_STALE, "1")
                else:
                    db.execute(
                        'UPDATE facts SET start = ?, "end" = ? WHERE id = ?', (at, at + end - start, number)
                    )

    def is_hidden_fact(self, text: str) -> bool:
        """Say whether the person took this statement out."""
        return (
            self._one("SELECT 1 FROM facts WHERE hidden = 1 AND text = ?", (content_hash(text),)) is not None
        )

    # ------------------------------------------------------------ texts that wait for a model

    def queue_extractions(self, documents: Iterable[DocumentId], now: datetime) -> int:
        """Let a model read these documents some time; return how many are new to the queue.

        One that is waiting, or was read as it is now, stays as it is; a changed text is read anew.
        """
        with self.write() as db:
            before = db.total_changes
            db.executemany(
                "INSERT INTO extractions (document_id, at) VALUES (?, ?) ON CONFLICT (document_id) DO UPDATE"
                " SET read_to = 0, done = 0, tries = 0, error = '', at = excluded.at"
                " WHERE at < (SELECT added_at FROM documents WHERE id = document_id)",
                [(int(document), _iso(now)) for document in documents],
            )
            return db.total_changes - before

    def next_extraction(self, *, skip: Iterable[int] = (), parked: bool = False) -> Extraction | None:
        """Return what to read next: fewest failures first, then the longest waiting.

        ``parked`` takes those that failed ``MAX_TRIES`` times as well.
        """
        row = self._one(
            "SELECT e.document_id, e.read_to, e.tries, d.added_at FROM extractions e"
            " JOIN documents d ON d.id = e.document_id WHERE e.done = 0 AND (e.tries < ? OR ?)"
            " AND e.document_id NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY e.tries, e.at, e.document_id LIMIT 1",
            (MAX_TRIES, int(parked), json.dumps([int(number) for number in skip])),
        )
        return None if row is None else Extraction(DocumentId(row[0]), *row[1:])

    def advance_extraction(
        self, one: Extraction, now: datetime, *, read_to: int, done: bool = False
    ) -> Extraction | None:
        """Note how far a text has been read; return the rest to read.

        None, and nothing noted, when it was forgotten, replaced or read on by another process meanwhile:
        what was found in it does not count then.  Share a :meth:`write` with what was found.
        """
        with self.write() as db:
            cursor = db.execute(
                "UPDATE extractions SET read_to = ?, done = ?, tries = 0, error = '', at = ?"
                f" WHERE {_SAME_TEXT} AND read_to = ?",
                (read_to, int(done), _iso(now), int(one.document), one.version, one.read_to),
            )
            return replace(one, read_to=read_to, tries=0) if cursor.rowcount else None

    def fail_extraction(self, one: Extraction, error: str, now: datetime) -> None:
        """Note a failed try and its reason, which must hold no text of the person."""
        with self.write() as db:
            db.execute(
                f"UPDATE extractions SET tries = tries + 1, error = ?, at = ? WHERE {_SAME_TEXT}",
                (storable(error), _iso(now), int(one.document), one.version),
            )

    def extractions(self) -> tuple[int, list[str]]:
        """Return how many texts wait for a model, and the reason for each that is parked."""
        rows = self._all("SELECT tries, error FROM extractions WHERE done = 0 ORDER BY document_id")
        parked = [str(error) for tries, error in rows if tries >= MAX_TRIES]
        return len(rows) - len(parked), parked

    # ------------------------------------------------------------ settings of the profile

    def profile_values(self) -> dict[str, Json]:
        """Return the settings of the profile: name, languages, addresses."""
        return {row[0]: json.loads(row[1]) for row in self._all("SELECT key, value FROM profile")}

    def put_profile_value(self, key: str, value: Json) -> None:
        """Set or, with None, remove one setting of the profile."""
        with self.write() as db:
            if value is None:
                db.execute("DELETE FROM profile WHERE key = ?", (key,))
            else:
                db.execute(
                    "INSERT OR REPLACE INTO profile VALUES (?, ?)",
                    (key, _json(value)),
                )

    # ------------------------------------------------------------ audit and health

    def put_audit(self, action: str, detail: Mapping[str, Json], now: datetime) -> None:
        """Append one event, chained to the last by SHA-256.  Never give it content."""
        with self.write() as db:
            last = db.execute("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
            body = json.dumps(dict(detail), ensure_ascii=False, sort_keys=True)
            at = _iso(now) or ""
            digest = content_hash("\n".join((last[0] if last else "", at, action, body)))
            db.execute(
                "INSERT INTO audit (at, action, detail, hash) VALUES (?, ?, ?, ?)", (at, action, body, digest)
            )

    def audit(self) -> tuple[list[AuditEvent], bool]:
        """Return all events, oldest first, and whether their chain of hashes is unbroken."""
        events, previous, intact = [], "", True
        for seq, at, action, body, digest in self._all(
            "SELECT seq, at, action, detail, hash FROM audit ORDER BY seq"
        ):
            intact &= digest == content_hash("\n".join((previous, at, action, body)))
            previous = digest
            when = _time(at) or datetime.now(timezone.utc)
            events.append(AuditEvent(seq, when, action, json.loads(body), digest))
        return events, intact

    def counts(self) -> dict[str, int]:
        """Return how many rows each table holds, documents and chunks by corpus as ``documents:history``."""
        found: dict[str, int] = {}
        for table in ("documents", "chunks"):
            for corpus, n in self._all(f"SELECT corpus, count(*) FROM {table} GROUP BY corpus"):
                found[f"{table}:{corpus}"] = n
        for table in ("sources", "keys", "embeddings", "interactions", "feedback", "facts", "audit"):
            row = self._one(f"SELECT count(*) FROM {table}")
            found[table] = int(row[0]) if row else 0
        return found

    # ------------------------------------------------------------ a portable copy

    def columns(self, table: str) -> list[str]:
        """Return the column names of ``table``, in order; empty when there is no such table."""
        return [row[0] for row in self._all("SELECT name FROM pragma_table_info(?)", (table,))]

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield every row of one of :data:`TABLES` in a fixed order.

        Hold :meth:`write` around several tables, so that they belong to one moment.
        """
        _check_table(table)
        if table in ("meta", "sources", "interaction_documents", "profile"):  # small, and without a rowid
            yield from self._all(f"SELECT * FROM {table} ORDER BY 1, 2")
            return
        last = -1
        while found := self._all(
            f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 500", (last,)
        ):
            yield from (row[1:] for row in found)  # in pages: all documents need not fit into memory
            last = found[-1][0]

    def put_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert rows as :meth:`rows` gave them, ids included; return how many.

        Raises: ValueError for a column that ``table`` has not; WorkspaceError for a row that does not fit.
        """
        _check_table(table)
        if unknown := set(columns) - set(self.columns(table)):
            raise ValueError(f"{table} has no column {sorted(unknown)[0]!r}")
        names = ", ".join(f'"{column}"' for column in columns)
        if table == "sqlite_sequence":  # made by SQLite with the first id; no unique key to replace by
            with self.write() as db:
                db.execute("DELETE FROM sqlite_sequence")
        with self.write() as db:
            before = db.total_changes
            db.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", rows)
            return db.total_changes - before

    def problems(self) -> list[str]:
        """Return what is wrong with the database itself; empty when it is sound."""
        found = [str(row[0]) for row in self._all("PRAGMA integrity_check(5)") if row[0] != "ok"]
        if self._all("PRAGMA foreign_key_check"):
            found.append("rows refer to rows that are gone")
        return found


def storable(text: str) -> str:
    """Return ``text`` with what UTF-8 and SQLite cannot hold (lone surrogates, NUL) replaced one for one.

    Such text comes from damaged files and from arguments on the command line; offsets stay as they are.
    In a comparison SQLite would end it at the NUL and take "a\\0b" for "a".
    """
    return _UNSTORABLE.sub("\ufffd", text)


def replaced_by(detail: str) -> frozenset[str]:
    """Return the hashes of the texts that a statement replaced in an edit; see ``learn/profile.py``."""
    try:
        told = json.loads(detail) if detail else {}
    except ValueError:
        return frozenset()
    found = told.get("replaces") if isinstance(told, dict) else None
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _kept_at(old: str, new: str, start: int, end: int) -> int | None:
    """Return where ``old[start:end]`` begins in ``new``, in the same sentence as before; None: nowhere."""
    first = max(old.rfind(mark, 0, start) for mark in ".!?\n") + 1
    first += len(old[first:start]) - len(old[first:start].lstrip())
    # The last character may be the full stop itself.
    ends = [at for mark in ".!?\n" if (at := old.find(mark, max(first, end - 1))) >= 0]
    sentence = old[first : min(ends, default=len(old))].rstrip()
    if not sentence:
        return None
    whole = rf"(?:\A|(?<=[.!?\n]))[^\S\n]*({re.escape(sentence)})\s*(?=[.!?\n]|\Z)"
    found = [match.start(1) for match in re.finditer(whole, new)]
    return min(found, key=lambda place: abs(place - first)) + start - first if found else None


def _fact_values(fact: Fact) -> list[Any]:
    values = []
    for name in _FACT_FIELDS:
        value = getattr(fact, name)
        if name in _FACT_TIMES:
            value = _iso(value)
        elif isinstance(value, str):
            value = storable(value)
        values.append(value)
    return values


def _json(value: Json) -> str:
    return storable(json.dumps(value, ensure_ascii=False, default=str))


def _check_table(table: str) -> None:
    if table not in TABLES:
        raise ValueError(f"{table!r} is not a table of a person")


def _citation_json(citation: Citation) -> dict[str, Json]:
    return {
        "label": citation.label,
        "document": citation.document,
        "start": citation.start,
        "end": citation.end,
        "chunk": citation.chunk,
        "page": citation.page,
        "line": citation.line,
        "heading": citation.heading,
    }


def _iso(value: datetime | None) -> str | None:
    """Return UTC in one fixed form, so that text order is time order; naive times count as UTC."""
    if value is None:
        return None
    return as_utc(value).astimezone(timezone.utc).isoformat(timespec="microseconds")


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _explain(exc: sqlite3.DatabaseError, path: Path) -> WorkspaceError:
    """Return what a SQLite error means for the person, with the remedy."""
    text = str(exc)
    if "locked" in text or "busy" in text:
        return WorkspaceLocked(
            f"{path} is in use by another process (waited {BUSY_TIMEOUT_S:.0f} s)",
            hint="wait for it to finish, or stop it, and run the command again",
        )
    if "full" in text:
        return WorkspaceError(
            f"the disk is full: nothing more could be written to {path}; what was stored is safe",
            hint="free some space and run the command again; it continues where it stopped",
        )
    if "not a database" in text or "malformed" in text:
        return WorkspaceError(
            f"{path} is damaged: {text}", hint="ragperso doctor, or ragperso import a backup"
        )
    return WorkspaceError(f"{path}: {text}", hint="ragperso doctor")
