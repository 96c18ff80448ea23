"""Ground: the schema of ``store.db``, as append-only steps.  A shipped step is never edited."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ragperso.errors import SchemaTooNew

# Ids are AUTOINCREMENT so that an erased id never returns: a chunk's id is also its id in FAISS.
_M001 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE sources (                 -- one row per file, so that an unchanged one costs a stat
  corpus TEXT NOT NULL, path TEXT NOT NULL, root TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  content_hash TEXT NOT NULL, recipe TEXT NOT NULL,   -- recipe: reader and chunker versions
  reason TEXT NOT NULL DEFAULT '',                    -- why it was skipped, empty when it was read
  PRIMARY KEY (corpus, path)
) WITHOUT ROWID;

CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  corpus TEXT NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL,   -- source: sources.path, or ''
  format TEXT NOT NULL, title TEXT NOT NULL, ts TEXT, modified_at TEXT,
  meta TEXT NOT NULL, pages TEXT NOT NULL, indexed_from INTEGER NOT NULL,
  content_hash TEXT NOT NULL, recipe TEXT NOT NULL, text TEXT NOT NULL, added_at TEXT NOT NULL,
  parent_id INTEGER REFERENCES documents(id) ON DELETE CASCADE,    -- what it was mined from
  UNIQUE (corpus, key)
);
CREATE INDEX documents_source ON documents (corpus, source);
CREATE INDEX documents_content ON documents (corpus, content_hash);
CREATE INDEX documents_parent ON documents (parent_id);

CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  corpus TEXT NOT NULL, ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL, n_tokens INTEGER NOT NULL,
  headings TEXT NOT NULL, embed_hash BLOB NOT NULL
);
CREATE INDEX chunks_document ON chunks (document_id, ordinal);
CREATE INDEX chunks_corpus ON chunks (corpus, id);
CREATE INDEX chunks_embed_hash ON chunks (embed_hash);

CREATE TABLE embedders (id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL, dim INTEGER NOT NULL);
CREATE TABLE embeddings (              -- keyed by what was embedded: a copy or a rename costs nothing
  embedder_id INTEGER NOT NULL REFERENCES embedders(id) ON DELETE CASCADE,
  embed_hash BLOB NOT NULL, vector BLOB NOT NULL,
  UNIQUE (embedder_id, embed_hash)
);
CREATE INDEX embeddings_hash ON embeddings (embed_hash);

CREATE TABLE interactions (
  id TEXT PRIMARY KEY, session TEXT NOT NULL, asked_at TEXT NOT NULL,
  query TEXT NOT NULL, resolved TEXT NOT NULL, answer TEXT NOT NULL, abstained INTEGER NOT NULL,
  model TEXT NOT NULL, citations TEXT NOT NULL, prompt_sha256 TEXT NOT NULL,
  chunk_ids TEXT NOT NULL, usage TEXT NOT NULL, ledger TEXT NOT NULL,
  document_id INTEGER REFERENCES documents(id) ON DELETE SET NULL  -- its entry in the history corpus
);
CREATE INDEX interactions_session ON interactions (session, asked_at);
CREATE TABLE interaction_documents (   -- whose words an answer may hold: forgetting one forgets the other
  interaction_id TEXT NOT NULL REFERENCES interactions(id) ON DELETE CASCADE,
  document_id INTEGER NOT NULL, document_key TEXT NOT NULL,
  PRIMARY KEY (interaction_id, document_id)
) WITHOUT ROWID;
CREATE INDEX interaction_documents_document ON interaction_documents (document_id);
CREATE INDEX interaction_documents_key ON interaction_documents (document_key);

CREATE TABLE feedback (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  interaction_id TEXT NOT NULL REFERENCES interactions(id) ON DELETE CASCADE,
  verdict TEXT NOT NULL, edited TEXT NOT NULL, at TEXT NOT NULL
);

CREATE TABLE facts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  text TEXT NOT NULL, origin TEXT NOT NULL,
  document_id INTEGER REFERENCES documents(id) ON DELETE CASCADE,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL, at TEXT NOT NULL,
  hidden INTEGER NOT NULL DEFAULT 0    -- the person took it out; mining does not bring it back
);
CREATE INDEX facts_document ON facts (document_id);
CREATE TABLE profile (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, action TEXT NOT NULL,
  detail TEXT NOT NULL, hash TEXT NOT NULL
);
"""


def m001_first_schema(connection: sqlite3.Connection) -> None:
    """Documents, chunks, vectors, interactions, facts, audit."""
    for statement in _M001.split(";\n"):
        if statement.strip():
            connection.execute(statement)


_M002 = """
CREATE TABLE keys (                    -- short texts that are embedded and point at a document's own words
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  corpus TEXT NOT NULL, kind TEXT NOT NULL,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL,      -- the words it points at
  text TEXT NOT NULL, embed_hash BLOB NOT NULL         -- text: what was embedded; '' is the words themselves
);
CREATE INDEX keys_document ON keys (document_id);
CREATE INDEX keys_corpus ON keys (corpus, id);
CREATE INDEX keys_embed_hash ON keys (embed_hash);
"""


def m002_keys(connection: sqlite3.Connection) -> None:
    """Extra keys; documents stored before get theirs when their file is next added."""
    for statement in _M002.split(";\n"):
        if statement.strip():
            connection.execute(statement)


_M003 = """
ALTER TABLE facts ADD COLUMN kind TEXT NOT NULL DEFAULT 'fact';
ALTER TABLE facts ADD COLUMN subject TEXT NOT NULL DEFAULT '';     -- '' is the person
ALTER TABLE facts ADD COLUMN slot TEXT NOT NULL DEFAULT '';        -- of one slot the newest holds
ALTER TABLE facts ADD COLUMN value TEXT NOT NULL DEFAULT '';
ALTER TABLE facts ADD COLUMN negated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE facts ADD COLUMN confidence REAL NOT NULL DEFAULT 1.0;
ALTER TABLE facts ADD COLUMN valid_from TEXT;
ALTER TABLE facts ADD COLUMN valid_to TEXT;                        -- NULL: it still holds
ALTER TABLE facts ADD COLUMN superseded_by INTEGER NOT NULL DEFAULT 0;
ALTER TABLE facts ADD COLUMN n_seen INTEGER NOT NULL DEFAULT 1;     -- 0: repeats the one in superseded_by
ALTER TABLE facts ADD COLUMN detail TEXT NOT NULL DEFAULT '';      -- what its own words say, as JSON
CREATE INDEX facts_superseded ON facts (superseded_by);
ALTER TABLE feedback ADD COLUMN detail TEXT NOT NULL DEFAULT '';   -- what it is evidence about, as JSON
"""


def m003_memories(connection: sqlite3.Connection) -> None:
    """When a statement holds and what took its place; what a mark is evidence about."""
    for statement in _M003.splitlines():
        if statement.strip():
            connection.execute(statement)
    # Statements of before have no slot yet: the next one to read them weighs them anew.
    connection.execute(
        "INSERT OR REPLACE INTO meta SELECT 'facts_stale', '1' WHERE EXISTS (SELECT 1 FROM facts)"
    )


_M004 = """
CREATE TABLE extractions (             -- what a model has been asked about, or is to be (learn.llm)
  document_id INTEGER PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE,
  read_to INTEGER NOT NULL DEFAULT 0,  -- how far it has been read
  done INTEGER NOT NULL DEFAULT 0,     -- kept, so that the same text is not read twice
  tries INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',   -- failed ones, and why the last did
  at TEXT NOT NULL                     -- of the last change of this row
);
"""


def m004_extractions(connection: sqlite3.Connection) -> None:
    """The texts that wait for a model."""
    for statement in _M004.split(";\n"):
        if statement.strip():
            connection.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_first_schema,
    m002_keys,
    m003_memories,
    m004_extractions,
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the schema up to date in one IMMEDIATE transaction; return how many steps ran.

    Raises: SchemaTooNew, when a newer ragperso wrote the store.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"the store has schema {version}, this ragperso knows {SCHEMA_VERSION}",
                hint="pip install --upgrade ragperso",
            )
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return SCHEMA_VERSION - int(version)
