"""Stage 2, index: keep one person's indexes equal to their store.

In: the store, the active embedder's number.  Out: a :class:`CorpusIndex` per corpus that fits the store.
Never: embeds, decides what is relevant, trusts a file it has not checked.

Files per corpus: ``<corpus>.<generation>-<nonce>.faiss``, ``....bm25/`` and ``....tokens.json``, and
``<corpus>.index.json``, which names them with their SHA-256.  That last file is renamed into place when all
others are on disk, so a crash leaves the old set or the new one.  Whatever does not fit (a checksum, the
ids, the embedder, the tokeniser's version) is rebuilt from the store, without embedding anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ragperso import backends
from ragperso.config import Index
from ragperso.errors import CorruptIndex, WorkspaceLocked
from ragperso.files import file_hash, sync_directory, write_atomically
from ragperso.protocols import Embedder, LexicalIndex
from ragperso.store import ChunkText, Store
from ragperso.tokens import TOKENS_VERSION, lexical_tokens, stemming_language
from ragperso.types import CORPORA, ChunkId, Corpus, Ids
from ragperso.workspace import Workspace

if TYPE_CHECKING:
    from ragperso.index.vectors import VectorIndex  # imports faiss, which opening a store does not need

FORMAT: Final = 1
_REINDEX_BATCH: Final = 256
_ADD_BATCH: Final = 1000  # FAISS grows by reallocation: batches of 1,000 cost 1 ms, single rows 130 ms
_WORD: Final = re.compile(r"[^\W_]+")


class CorpusIndex:
    """The dense and lexical index of one corpus of one person.

    :meth:`refresh` brings it up to date; it is cheap when nothing changed (one row read from SQLite).
    ``notes`` says in plain words what had to be rebuilt and why; reading it empties it.
    """

    def __init__(self, workspace: Workspace, store: Store, corpus: Corpus, config: Index) -> None:
        self.corpus = corpus
        self.lexical: LexicalIndex = _new_lexical(config)
        self.languages: tuple[str, ...] = ("en",)  # whose stemmers a query needs here, most frequent first
        self.generation = -1
        self._workspace = workspace
        self._store = store
        self._config = config
        self._lock = threading.RLock()
        self._dense: VectorIndex | None = None
        # The language of each chunk and then its tokens; kept while this process lives, to update cheaply.
        self._tokens: dict[int, list[str]] | None = None
        self._token_labels = ""
        self._embedder = 0
        self._notes: list[str] = []

    @property
    def dense(self) -> VectorIndex:
        if self._dense is None:
            raise CorruptIndex("the index was not refreshed before use", hint="ragperso doctor")
        return self._dense

    def take_notes(self) -> list[str]:
        """Return what was rebuilt since the last call, and why."""
        with self._lock:
            notes, self._notes = self._notes, []
            return notes

    def refresh(self, *, embedder_id: int, dim: int, persist: bool = True) -> None:
        """Make both indexes equal to the store, reading the files when they fit and writing them when not.

        With ``persist`` off, or while another process writes, the fresh index lives in memory only.
        """
        with self._lock:
            generation = self._store.generation(self.corpus)
            if generation == self.generation and embedder_id == self._embedder and self._dense is not None:
                return
            if embedder_id != self._embedder:
                self._dense = None
            self._embedder = embedder_id
            if self._dense is None and self._load(generation, dim):
                self.generation = generation
                return
            self._update(dim)
            self.generation = generation
            if persist:
                # Whoever holds the lock will write an index at least as fresh.
                with contextlib.suppress(WorkspaceLocked), self._workspace.lock(timeout_s=0, name="index"):
                    self._save()

    def rebuild(self, *, embedder_id: int, dim: int) -> None:
        """Forget the files and what is in memory, and make both indexes anew from the store."""
        with self._lock:
            self._dense, self._tokens, self._embedder = None, None, embedder_id
            self.generation = self._store.generation(self.corpus)
            self._update(dim)
            with self._workspace.lock(name="index"):
                self._save()

    # ------------------------------------------------------------ store -> memory

    def _update(self, dim: int) -> None:
        """Add what the store has more, remove what it has less."""
        ids = self._store.chunk_ids(self.corpus)
        dense = self._dense if self._dense is not None else _vector_index()(dim)
        have = dense.ids
        dense.remove([ChunkId(i) for i in np.setdiff1d(have, ids).tolist()])
        missing = np.setdiff1d(ids, have)
        for start in range(0, len(missing), _ADD_BATCH):
            found, vectors = self._store.vectors(self._embedder, missing[start : start + _ADD_BATCH])
            dense.add([ChunkId(i) for i in found.tolist()], vectors)
        self._dense = dense
        self._update_lexical(ids)

    def _update_lexical(self, ids: Ids) -> None:
        labels = self._labels()
        known = self._tokens if self._tokens is not None and self._token_labels == labels else {}
        wanted = set(ids.tolist())
        tokens = {i: row for i, row in known.items() if i in wanted}
        if len(tokens) < len(wanted):
            # New chunks have the highest ids, so reading starts behind the last known one when it can.
            after = max(tokens, default=0)
            if any(i <= after and i not in tokens for i in wanted):
                after = 0
            for chunk in self._store.chunk_texts(self.corpus, ChunkId(after)):
                if chunk.id in wanted and chunk.id not in tokens:
                    text = lexical_text(chunk)
                    language = stemming_language(text)
                    tokens[chunk.id] = [language, *lexical_tokens(text, (language,))]
        ordered = sorted(tokens)
        self.lexical.build([ChunkId(i) for i in ordered], [tokens[i][1:] for i in ordered])
        self.languages = _main_languages(Counter(row[0] for row in tokens.values()))
        self._tokens, self._token_labels = tokens, labels

    def _labels(self) -> str:
        """Return what, besides a chunk's id, its tokens depend on."""
        return f"{TOKENS_VERSION}:{self._store.get(f'labels:{self.corpus}', '0')}"

    # ------------------------------------------------------------ files

    @property
    def _sidecar(self) -> Path:
        return self._workspace.path / f"{self.corpus}.index.json"

    def _recipe(self) -> dict[str, object]:
        config = self._config
        active = self._store.active_embedder()
        return {
            "format": FORMAT,
            "embedder": active[1] if active else "",
            "lexical": f"{config.lexical};k1={config.k1};b={config.b}",
            "labels": self._labels(),
        }

    def _load(self, generation: int, dim: int) -> bool:
        """Read the files; return whether they fit the store as it is, and keep what is usable if not."""
        if not self._sidecar.exists():
            return False
        try:
            data = json.loads(self._sidecar.read_text(encoding="utf-8"))
            stem = str(data["stem"])
            if not re.fullmatch(rf"{self.corpus}\.\d+-[0-9a-f]{{8}}", stem):
                raise CorruptIndex(f"{self._sidecar.name} names a foreign file")
            if data["recipe"] != self._recipe():
                self._notes.append(f"{self.corpus}: settings or version changed, the index was rebuilt")
                return False
            base = self._workspace.path
            for name, digest in data["files"].items():
                if not name.startswith(stem) or ".." in name or file_hash(base / name) != digest:
                    raise CorruptIndex(f"the checksum of {name} does not match")
            dense = _vector_index().load(base / f"{stem}.faiss", dim)
            lexical = _new_lexical(self._config)
            lexical.load(base / f"{stem}.bm25")
            if data["generation"] != generation:
                # Merely behind the store: what fits is kept, the difference is applied by _update.
                self._tokens = _read_tokens(base / f"{stem}.tokens.json")
                self._token_labels = self._labels()
                self._dense = dense
                return False
            if not np.array_equal(dense.ids, self._store.chunk_ids(self.corpus)):
                raise CorruptIndex(f"{stem}.faiss holds other chunks than the store")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CorruptIndex) as exc:
            reason = str(exc) if isinstance(exc, CorruptIndex) else f"{self._sidecar.name} cannot be read"
            self._notes.append(f"{self.corpus}: {reason}; the index was rebuilt from the store")
            self._dense, self._tokens = None, None
            return False
        self._dense, self.lexical, self.languages = dense, lexical, tuple(data["languages"])
        return True

    def _save(self) -> None:
        base = self._workspace.path
        stem = f"{self.corpus}.{self.generation}-{secrets.token_hex(4)}"
        files: dict[str, str] = {}
        try:
            self.dense.save(base / f"{stem}.faiss")
            self.lexical.save(base / f"{stem}.bm25")
            write_atomically(base / f"{stem}.tokens.json", _token_bytes(self._tokens or {}))
            written = [
                base / f"{stem}.faiss",
                base / f"{stem}.tokens.json",
                *(base / f"{stem}.bm25").iterdir(),
            ]
            for path in written:
                path.chmod(0o600)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                files[path.relative_to(base).as_posix()] = file_hash(path)
            sync_directory(base / f"{stem}.bm25")
            sidecar = {
                "stem": stem,
                "generation": self.generation,
                "recipe": self._recipe(),
                "chunks": len(self.dense),
                "languages": self.languages,
                "files": files,
            }
            write_atomically(self._sidecar, json.dumps(sidecar, indent=1))
        except OSError as exc:
            # A derived file: the answer does not depend on it, the next start rebuilds it.
            self._notes.append(f"{self.corpus}: the index could not be written ({exc.strerror})")
            _remove_set(base, stem)
            return
        remove_unnamed(base, self.corpus, keep=stem)


def _main_languages(counts: Counter[str]) -> tuple[str, ...]:
    """Return the languages of at least one chunk in a hundred, at most four; English when there is none."""
    enough = sum(counts.values()) / 100
    return tuple(name for name, n in counts.most_common(4) if n >= enough) or ("en",)


def remove_unnamed(base: Path, corpus: Corpus, *, keep: str) -> None:
    """Delete index files of ``corpus`` that the sidecar does not name."""
    for path in base.glob(f"{corpus}.*-*"):
        if not path.name.startswith(f"{keep}."):
            _remove(path)


def _remove_set(base: Path, stem: str) -> None:
    for path in base.glob(f"{stem}.*"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _token_bytes(tokens: dict[int, list[str]]) -> bytes:
    # Tokens hold no white space, so one string per chunk is enough and loads five times faster than lists.
    return json.dumps({str(i): " ".join(row) for i, row in tokens.items()}, ensure_ascii=False).encode()


def _read_tokens(path: Path) -> dict[int, list[str]]:
    return {int(i): row.split() for i, row in json.loads(path.read_text(encoding="utf-8")).items()}


def _vector_index() -> type[VectorIndex]:
    kind: type[VectorIndex] = backends.load("dense", "faiss")
    return kind


def _new_lexical(config: Index) -> LexicalIndex:
    kind = backends.load("lexical", config.lexical)
    index: LexicalIndex = kind(k1=config.k1, b=config.b)
    return index


def lexical_text(chunk: ChunkText) -> str:
    """Return what the lexical index reads of a chunk: its file's name, title, headings and text."""
    name = " ".join(_WORD.findall(chunk.key.rsplit("/", 1)[-1].rsplit(".", 1)[0])) if "/" in chunk.key else ""
    return "\n".join(part for part in (name, chunk.title, *chunk.headings, chunk.text) if part)


def reindex(
    store: Store,
    embedder: Embedder,
    *,
    name: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Embed every stored chunk with ``embedder``, then switch the indexes over; return how many it embedded.

    Batches are committed as they come, so an interrupted run continues where it stopped; until the switch
    the old vectors stay and serve.  ``on_progress`` sees (done, all).
    """
    embedder_id = store.embedder_id(embedder.fingerprint, name=name, dim=embedder.dim)
    n_all = store.counts_without_vector(embedder_id)
    n_done = 0
    while batch := store.chunks_without_vector(embedder_id, _REINDEX_BATCH):
        rows = embedder.embed_documents([chunk.embed_text for _, chunk in batch])
        store.put_vectors(embedder_id, {key: row for (key, _), row in zip(batch, rows, strict=True)})
        n_done += len(batch)
        if on_progress is not None:
            on_progress(n_done, max(n_all, n_done))
    store.activate_embedder(embedder_id, CORPORA)
    return n_done
