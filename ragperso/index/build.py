"""Stage 2, index: keep one person's indexes equal to their store.

In: the store, the active embedder's number.  Out: a :class:`CorpusIndex` per corpus that fits the store.
Never: embeds, decides what is relevant, trusts a file it has not checked.

Files per corpus: ``<corpus>.<generation>-<nonce>.faiss`` with the vectors of chunks, ``....keys.faiss`` with
those of extra keys, ``....bm25``, ``....layout`` and ``....tokens``, and ``<corpus>.index.json``, which names
them with their SHA-256.  That last file is renamed into place when all others are on disk, so a crash leaves
the old set or the new one.  Whatever does not fit (a checksum, the ids, the embedder, the tokeniser's
version) is rebuilt from the store, without embedding anything.  An empty corpus has no files, and a small one
none of vectors: the store holds them as well and gives 200 of them in half a millisecond.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ragperso import backends
from ragperso.config import Index
from ragperso.dates import time_spans
from ragperso.errors import CorruptIndex, WorkspaceLocked
from ragperso.files import file_hash, write_atomically
from ragperso.index import layout as layouts
from ragperso.index.pack import read_pack, text_array, write_pack
from ragperso.index.style import StyleIndex
from ragperso.layout import Layout
from ragperso.protocols import Embedder, LexicalIndex
from ragperso.store import ChunkText, Store
from ragperso.tokens import TOKENS_VERSION, lexical_tokens, stemming_language
from ragperso.types import CORPORA, ChunkId, Corpus, Ids
from ragperso.workspace import Workspace

if TYPE_CHECKING:
    from ragperso.index.vectors import VectorIndex  # imports faiss, which opening a store does not need

FORMAT: Final = 4
_REINDEX_BATCH: Final = 256
_ADD_BATCH: Final = 1000  # FAISS grows by reallocation: batches of 1,000 cost 1 ms, single rows 130 ms
# Rows up to which vectors are read from the store and not written a second time: they are most of what a
# person takes on disk.  At 200 it costs .4 ms of a first search, at 512 about 1.
SMALL: Final = 512
_TOKEN_BYTES: Final = 60  # of memory that one remembered token takes, its place in the list included
_MAX_DAYS: Final = 8  # spans of one chunk: a calendar is not about any of its days
_SPEAKERS: Final = "speakers"
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
        self.layout: Layout = layouts.empty()
        self._lock = threading.RLock()
        self._dense: VectorIndex | None = None
        self._keys: VectorIndex | None = None
        self._style: StyleIndex | None = None
        # Of each chunk its head (language, days it speaks of) and then its tokens; kept while this process
        # lives, to update cheaply.
        self._tokens: dict[int, list[str]] | None = None
        self._token_labels = ""
        self._token_file: tuple[Path, str] | None = None  # where they are on disk, with the checksum
        self._embedder = 0
        self._notes: list[str] = []

    @property
    def dense(self) -> VectorIndex:
        if self._dense is None:
            raise CorruptIndex("the index was not refreshed before use", hint="ragperso doctor")
        return self._dense

    @property
    def keys(self) -> VectorIndex:
        """The extra keys, row for row those of the layout."""
        if self._keys is None:
            raise CorruptIndex("the index was not refreshed before use", hint="ragperso doctor")
        return self._keys

    @property
    def style(self) -> StyleIndex:
        """How the documents of this corpus are written; made when the first long text asks for it.

        It takes about a second per 5,000 documents and most people never search by a whole text, so it is
        neither made with the other indexes nor written to disk.
        """
        with self._lock:
            if self._style is None:
                # By the layout's numbers: the store may have gone on since.
                places = dict(zip(self.layout.ids.tolist(), self.layout.document.tolist(), strict=True))
                rows = self._store.layout_rows(self.corpus)
                numbers = {places[row[0]]: row[1] for row in rows if row[0] in places}
                texts = dict(self._store.document_texts(list(numbers.values())))
                self._style = StyleIndex(
                    [texts.get(numbers.get(place, 0), "") for place in range(self.layout.n_documents)]
                )
            return self._style

    @property
    def nbytes(self) -> int:
        """Bytes of memory that this index takes, roughly; mapped files included."""
        parts = [index.nbytes for index in (self._dense, self._keys) if index is not None]
        parts.append(int(getattr(self.lexical, "nbytes", 0)))
        parts += [array.nbytes for array in self.layout.arrays().values()]
        parts.append(_TOKEN_BYTES * sum(map(len, (self._tokens or {}).values())))
        return sum(parts)

    def steady(self) -> AbstractContextManager[object]:
        """Keep other threads from refreshing meanwhile: only then do the parts have the same rows."""
        return self._lock

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
                self._dense = self._keys = None
            self._style = None
            self._embedder = embedder_id
            if self._dense is None and (self._is_empty(dim) or self._load(generation, dim)):
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
            self._dense = self._keys = self._style = self._tokens = self._token_file = None
            self._embedder = embedder_id
            self.generation = self._store.generation(self.corpus)
            self._update(dim)
            with self._workspace.lock(name="index"):
                self._save()

    # ------------------------------------------------------------ store -> memory

    def _update(self, dim: int) -> None:
        """Add what the store has more, remove what it has less."""
        ids = self._store.chunk_ids(self.corpus)
        self._dense = self._updated(self._dense, dim, ids, "chunks")
        ids = self._dense.ids  # all of them, but for chunks that a damaged store has no vector of
        keys = self._store.key_rows(self.corpus)
        self._keys = self._updated(self._keys, dim, np.array([row[0] for row in keys], np.int64), "keys")
        self._update_lexical(ids)
        known = set(self._keys.ids.tolist())
        spans = {i: found for i, row in (self._tokens or {}).items() if (found := _days(row[0]))}
        wanted = set(ids.tolist())
        self.layout = layouts.build(
            [row for row in self._store.layout_rows(self.corpus) if row[0] in wanted],
            [row for row in keys if row[0] in known],
            spans,
        )

    def _updated(
        self, index: VectorIndex | None, dim: int, ids: Ids, of: Literal["chunks", "keys"]
    ) -> VectorIndex:
        index = index if index is not None else _vector_index()(dim)
        have = index.ids
        index.remove([ChunkId(i) for i in np.setdiff1d(have, ids).tolist()])
        missing = np.setdiff1d(ids, have)
        for start in range(0, len(missing), _ADD_BATCH):
            found, vectors = self._store.vectors(self._embedder, missing[start : start + _ADD_BATCH], of=of)
            index.add([ChunkId(i) for i in found.tolist()], vectors)
        return index

    def _update_lexical(self, ids: Ids) -> None:
        labels = self._labels()
        if self._tokens is None and self._token_file is not None:
            self._tokens = _read_tokens(*self._token_file)
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
                    tokens[chunk.id] = [_head(language, chunk), *lexical_tokens(text, (language,))]
        ordered = sorted(tokens)
        self.lexical.build([ChunkId(i) for i in ordered], [tokens[i][1:] for i in ordered])
        self.languages = _main_languages(Counter(row[0].partition(";")[0] for row in tokens.values()))
        self._tokens, self._token_labels = tokens, labels

    def _labels(self) -> str:
        """Return what, besides a chunk's id, its tokens depend on."""
        return f"{TOKENS_VERSION}:{self._store.get(f'labels:{self.corpus}', '0')}"

    # ------------------------------------------------------------ files

    def _is_empty(self, dim: int) -> bool:
        """Say whether there is nothing to index and no file of it, and be empty then."""
        if self._sidecar.exists() or len(self._store.chunk_ids(self.corpus)):
            return False
        self._dense, self._keys = _vector_index()(dim), _vector_index()(dim)
        self.lexical, self.layout, self.languages = _new_lexical(self._config), layouts.empty(), ("en",)
        self._tokens, self._token_labels = {}, self._labels()
        return True

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
            files = dict(data["files"])
            tokens = f"{stem}.tokens"
            for name, digest in files.items():
                # That of the tokens is seen to when they are read: a search does without them.
                is_ours = name.startswith(stem) and "/" not in name
                if not is_ours or (name != tokens and file_hash(base / name) != digest):
                    raise CorruptIndex(f"the checksum of {name} does not match")
            self._token_file = (base / tokens, str(files[tokens]))
            self._token_labels = self._labels()
            ids = self._store.chunk_ids(self.corpus)
            dense = self._read_vectors(f"{stem}.faiss", files, dim, "chunks")
            keys = self._read_vectors(f"{stem}.keys.faiss", files, dim, "keys")
            if data["generation"] != generation:
                # Merely behind the store: what fits is kept, the difference is applied by _update.
                self._dense, self._keys = dense, keys
                return False
            lexical = _new_lexical(self._config)
            lexical.load(base / f"{stem}.bm25")
            layout = _read_layout(base / f"{stem}.layout")
            if not np.array_equal(dense.ids, ids):
                raise CorruptIndex(f"{stem}.faiss holds other chunks than the store")
            if not np.array_equal(dense.ids, layout.ids) or len(keys) != len(layout.key_row):
                raise CorruptIndex(f"{stem}.layout holds other chunks than {stem}.faiss")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CorruptIndex) as exc:
            reason = str(exc) if isinstance(exc, CorruptIndex) else f"{self._sidecar.name} cannot be read"
            self._notes.append(f"{self.corpus}: {reason}; the index was rebuilt from the store")
            self._dense = self._keys = self._tokens = self._token_file = None
            return False
        self._dense, self._keys, self.lexical, self.layout = dense, keys, lexical, layout
        self.languages = tuple(data["languages"])
        return True

    def _read_vectors(
        self, name: str, files: Mapping[str, str], dim: int, of: Literal["chunks", "keys"]
    ) -> VectorIndex:
        """Return the vectors from their file, or from the store where they have none."""
        if name in files:
            return _vector_index().load(self._workspace.path / name, dim)
        index = _vector_index()(dim)
        ids, vectors = self._store.all_vectors(self._embedder, self.corpus, of=of)
        if len(ids):
            index.add(ids, vectors)
        return index

    def _save(self) -> None:
        base = self._workspace.path
        if not len(self.dense) and not len(self.keys):
            self._sidecar.unlink(missing_ok=True)
            remove_unnamed(base, self.corpus, keep="")
            return
        stem = f"{self.corpus}.{self.generation}-{secrets.token_hex(4)}"
        files: dict[str, str] = {}
        try:
            written = [base / f"{stem}.{name}" for name in ("bm25", "layout", "tokens")]
            self.lexical.save(written[0])
            _write_layout(written[1], self.layout)
            written[2].write_bytes(_token_bytes(self._tokens or {}))
            for index, name in ((self.dense, "faiss"), (self.keys, "keys.faiss")):
                if len(index) > SMALL:
                    written.append(base / f"{stem}.{name}")
                    index.save(written[-1])
            for path in written:
                path.chmod(0o600)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                files[path.name] = file_hash(path)
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
        self._token_file = (base / f"{stem}.tokens", files[f"{stem}.tokens"])
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


def _head(language: str, chunk: ChunkText) -> str:
    """Return what is remembered of a chunk beside its tokens: ``en;738611:738617`` (language, days)."""
    spans = [f"{span.first}:{span.last}" for span in time_spans(chunk.text, chunk.ts)]
    return ";".join((language, *spans[:_MAX_DAYS]))


def _days(head: str) -> list[tuple[int, int]]:
    """Return the first and last day of each span in a head."""
    return [(int(first), int(last)) for first, _, last in (s.partition(":") for s in head.split(";")[1:])]


def _write_layout(path: Path, layout: Layout) -> None:
    names = json.dumps(layout.speakers, ensure_ascii=False).encode("utf-8", "replace")
    write_pack(path, {**layout.arrays(), _SPEAKERS: text_array(names)}, {"layout": layouts.FORMAT})


def _read_layout(path: Path) -> Layout:
    arrays = read_pack(path, {"layout": layouts.FORMAT})
    speakers = json.loads(arrays.pop(_SPEAKERS).tobytes())
    return Layout.of_arrays(arrays, speakers)


def _token_bytes(tokens: dict[int, list[str]]) -> bytes:
    # Tokens hold no white space, so one string per chunk is enough and loads five times faster than lists.
    text = json.dumps({str(i): " ".join(row) for i, row in tokens.items()})
    return zlib.compress(text.encode(), 1)  # a third, at 100 MB/s


def _read_tokens(path: Path, digest: str) -> dict[int, list[str]] | None:
    """Return the tokens that were written, None when the file is gone or damaged: they are made anew then."""
    try:
        if file_hash(path) != digest:
            return None
        rows = json.loads(zlib.decompress(path.read_bytes()))
        return {int(i): row.split(" ") for i, row in rows.items()}
    except (OSError, ValueError, AttributeError, zlib.error):
        return None


def _vector_index() -> type[VectorIndex]:
    kind: type[VectorIndex] = backends.load("dense", "faiss")
    return kind


def _new_lexical(config: Index) -> LexicalIndex:
    kind = backends.load("lexical", config.lexical)
    index: LexicalIndex = kind(k1=config.k1, b=config.b)
    return index


def lexical_text(chunk: ChunkText) -> str:
    """Return what the lexical index reads of a chunk: file name, title, tags, aliases, headings, text."""
    name = " ".join(_WORD.findall(chunk.key.rsplit("/", 1)[-1].rsplit(".", 1)[0])) if "/" in chunk.key else ""
    return "\n".join(part for part in (name, chunk.title, *chunk.labels, *chunk.headings, chunk.text) if part)


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
    while batch := store.texts_without_vector(embedder_id, _REINDEX_BATCH):
        rows = embedder.embed_documents([text for _, text in batch])
        store.put_vectors(embedder_id, {key: row for (key, _), row in zip(batch, rows, strict=True)})
        n_done += len(batch)
        if on_progress is not None:
            on_progress(n_done, max(n_all, n_done))
    store.activate_embedder(embedder_id, CORPORA)
    return n_done
