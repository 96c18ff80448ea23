"""Stage 1, ingest: from paths to stored, embedded documents, touching only what changed.

In: paths, a store, an embedder.  Out: an :class:`IngestReport`; the store holds everything it counts.
Never: deletes what it could not read again, follows a file twice, lets one bad file end the run.

Work is committed in batches of about ``ingest.batch_tokens``: documents, chunks, vectors and the note that
their file was seen go into one transaction, so an interruption costs at most one batch and the next run
continues behind it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from ragperso.config import Ingest
from ragperso.errors import ConfigError, RagpersoError
from ragperso.files import content_hash, file_hash
from ragperso.ingest.chunker import chunk, chunker_fingerprint
from ragperso.ingest.keys import KEYS_VERSION, keys_of
from ragperso.ingest.readers import READER_VERSION, read
from ragperso.ingest.walk import Found, walk
from ragperso.protocols import Embedder
from ragperso.store import (
    EMBED_TEXT_VERSION,
    NewDocument,
    SourceState,
    Store,
    embed_hash,
    embed_text,
    lead_text,
)
from ragperso.types import ChunkSpan, Corpus, Document, IngestReport, Skipped, Vector

_MAX_BATCH_DOCUMENTS: Final = 512  # rows may be tiny: bounds the size of one transaction
_FORGOTTEN: Final = "it was forgotten earlier (add --again takes it back)"
_HEADING_TOKENS: Final = 40  # of the embedder's window kept for title and heading path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is; ``done_bytes`` of ``total_bytes`` of the files that changed."""

    done_files: int
    total_files: int
    done_bytes: int
    total_bytes: int
    chunks: int
    path: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Documents ready to store, with the vectors that the store may not have yet."""

    documents: tuple[NewDocument, ...]
    vectors: Mapping[bytes, Vector]


def recipe(config: Ingest) -> str:
    """Return what, besides a file's bytes, its chunks and vectors depend on."""
    return (
        f"reader={READER_VERSION};{chunker_fingerprint(config.chunk_tokens, config.overlap_sentences)}"
        f";text={EMBED_TEXT_VERSION};keys={KEYS_VERSION}"
    )


def prepare(
    documents: Sequence[Document],
    embedder: Embedder,
    config: Ingest,
    *,
    known: Callable[[Sequence[bytes]], set[bytes]] = lambda _: set(),
    whole: bool = False,
) -> Prepared:
    """Chunk and embed documents; texts whose hash is ``known`` are not embedded again.

    ``whole`` keeps each document one chunk, whatever its length; its vector then speaks of its beginning.
    """
    made_by = recipe(config)
    limit = min(config.chunk_tokens, max(16, embedder.max_tokens - _HEADING_TOKENS))
    new: list[NewDocument] = []
    texts: dict[bytes, str] = {}
    for document in documents:
        if whole:
            (n_tokens,) = embedder.count([document.text])
            spans: tuple[ChunkSpan, ...] = (ChunkSpan(0, len(document.text), n_tokens=n_tokens),)
        else:
            spans = tuple(
                chunk(
                    document,
                    count=embedder.count,
                    chunk_tokens=limit,
                    overlap_sentences=config.overlap_sentences,
                )
            )
        hashes = []
        for span in spans:
            text = embed_text(document.title, span.headings, document.text[span.start : span.end])
            key = embed_hash(text)
            hashes.append(key)
            texts[key] = text
        extra = [] if whole else keys_of(document, spans, max_tokens=embedder.max_tokens)
        for found in extra:
            texts[found.embed_hash] = found.text or lead_text(
                document.title, document.text[found.start : found.end]
            )
        new.append(
            NewDocument(
                document=document,
                spans=spans,
                embed_hashes=tuple(hashes),
                content_hash=document_hash(document),
                recipe=made_by,
                keys=tuple(extra),
            )
        )
    wanted = list(texts.keys() - known(list(texts)))
    vectors: dict[bytes, Vector] = {}
    if wanted:
        vectors = dict(zip(wanted, embedder.embed_documents([texts[key] for key in wanted]), strict=True))
    return Prepared(tuple(new), vectors)


def document_hash(document: Document) -> str:
    """Return a hash of everything of a document that is stored, its key and source aside."""
    rest = [document.format, document.title, str(document.ts), document.indexed_from, list(document.pages)]
    meta = json.dumps(dict(document.meta), sort_keys=True, ensure_ascii=False, default=str)
    return content_hash("\x00".join((json.dumps(rest, ensure_ascii=False), meta, document.text)))


class Ingester:
    """One run of ``add`` for one person and corpus."""

    def __init__(
        self,
        store: Store,
        corpus: Corpus,
        embedder: Embedder,
        embedder_id: int,
        config: Ingest,
        *,
        now: Callable[[], datetime],
        dry_run: bool = False,
        is_forgotten: Callable[[str, str], bool] = lambda _path, _hash: False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._store = store
        self._corpus = corpus
        self._embedder = embedder
        self._embedder_id = embedder_id
        self._config = config
        self._recipe = recipe(config)
        self._now = now
        self._dry_run = dry_run
        self._is_forgotten = is_forgotten
        self._on_progress = on_progress
        self._counts: Counter[str] = Counter()
        self._skipped: list[Skipped] = []
        self._batch: list[Document] = []
        self._batch_chars = 0
        self._batch_modified: dict[str, datetime] = {}
        self._batch_sources: list[SourceState] = []
        self._embed_ms = 0.0

    # ------------------------------------------------------------ entry points

    def add_paths(self, paths: Sequence[str | Path]) -> IngestReport:
        """Bring the corpus up to date with ``paths``; counts in the report are documents."""
        started = time.perf_counter()
        known = self._store.sources(self._corpus)
        found, blocked = self._walk(paths)
        scanned = time.perf_counter()
        seen = {str(item.path) for item in found}
        gone = self._gone(paths, known, seen, blocked)
        changed: list[tuple[Found, SourceState | None]] = []
        unchanged: list[str] = []
        for item in found:
            state = known.get(str(item.path))
            if state is not None and self._is_same_stat(item, state):
                unchanged.append(state.path)
                if state.reason:
                    self._skipped.append(Skipped(item.key, state.reason))
            else:
                changed.append((item, state))
        self._counts["unchanged"] += self._store.count_documents(self._corpus, unchanged)
        self._read_changed(changed, gone, known)
        self._flush()
        for path in gone:
            self._remove_source(path)
        return self._report(started, scanned)

    def add_documents(self, documents: Iterable[Document | Skipped], *, source: str) -> IngestReport:
        """Store documents that were read already, replacing all that ``source`` gave before."""
        started = time.perf_counter()
        self._take(documents, source, modified=None)
        self._flush()
        return self._report(started, started)

    # ------------------------------------------------------------ planning

    def _walk(self, paths: Sequence[str | Path]) -> tuple[list[Found], list[Path]]:
        """Return the files and the folders that could not be looked into."""
        found: list[Found] = []
        blocked: list[Path] = []
        items = walk(
            [Path(p) for p in paths],
            max_file_bytes=self._config.max_file_bytes,
            follow_hidden=self._config.follow_hidden,
        )
        for item in items:
            if isinstance(item, Found):
                found.append(item)
            else:
                self._skipped.append(item)
                blocked.append(Path(item.path).absolute())
        return found, blocked

    def _gone(
        self,
        paths: Sequence[str | Path],
        known: Mapping[str, SourceState],
        seen: set[str],
        blocked: Sequence[Path],
    ) -> dict[str, SourceState]:
        """Return known files below ``paths`` that are not there any more.

        Not those below a folder that could not be read: a disk that is not mounted removes nothing.
        """
        roots = [root for root in map(_absolute, paths) if root.is_dir()]
        gone = {}
        for path, state in known.items():
            where = Path(path)
            if path in seen or not any(root in where.parents for root in roots):
                continue
            if any(folder == where or folder in where.parents for folder in blocked):
                continue
            gone[path] = state
        return gone

    def _is_same_stat(self, item: Found, state: SourceState) -> bool:
        return (item.size_bytes, item.mtime_ns, self._recipe) == (
            state.size_bytes,
            state.mtime_ns,
            state.recipe,
        )

    def _read_changed(
        self,
        changed: Sequence[tuple[Found, SourceState | None]],
        gone: dict[str, SourceState],
        known: Mapping[str, SourceState],
    ) -> None:
        by_hash = {state.content_hash: path for path, state in gone.items() if not state.reason}
        total_bytes = sum(item.size_bytes for item, _ in changed)
        done_bytes = 0
        for n_done, (item, state) in enumerate(changed):
            self._progress(n_done, len(changed), done_bytes, total_bytes, item.key)
            done_bytes += item.size_bytes
            try:
                digest = file_hash(item.path)
            except OSError as exc:
                self._skipped.append(Skipped(item.key, exc.strerror or "it cannot be read"))
                continue
            fresh = SourceState(
                str(item.path), str(item.root), item.size_bytes, item.mtime_ns, digest, self._recipe
            )
            if self._is_forgotten(fresh.path, digest):
                self._skipped.append(Skipped(item.key, _FORGOTTEN))
                continue
            if state is not None and (state.content_hash, state.recipe) == (digest, self._recipe):
                self._counts["unchanged"] += self._store.count_documents(self._corpus, [state.path])
                self._remember(dataclasses.replace(fresh, reason=state.reason))
                if state.reason:
                    self._skipped.append(Skipped(item.key, state.reason))
                continue
            if state is None and digest in by_hash and gone[by_hash[digest]].recipe == self._recipe:
                self._rename(by_hash.pop(digest), item, fresh, gone)
                continue
            self._read_file(item, fresh)
        self._progress(len(changed), len(changed), total_bytes, total_bytes, "")

    # ------------------------------------------------------------ one file

    def _read_file(self, item: Found, fresh: SourceState) -> None:
        modified = datetime.fromtimestamp(item.mtime_ns / 1e9, timezone.utc)
        before = len(self._skipped)
        try:
            documents = read(
                item.path,
                key=item.key,
                max_file_bytes=self._config.max_file_bytes,
                max_text_chars=self._config.max_text_chars,
            )
            self._take(documents, fresh.path, modified=modified)
        except RagpersoError as exc:
            # What an earlier version of the file gave stays: a damaged save must not lose it.
            reason = exc.message.removeprefix(f"{item.key}: ").removeprefix(f"{item.path}: ")
            self._skipped.append(Skipped(item.key, reason))
            if not isinstance(exc, ConfigError):  # a plugin that is mended reads it the next time
                self._remember(dataclasses.replace(fresh, reason=reason))
            return
        bad_rows = self._skipped[before:]
        if not bad_rows:
            self._batch_sources.append(fresh)
        # A file with bad rows is read again next time, so that its rows are named again: cheap, since
        # its good rows are recognised by hash.

    def _take(
        self, documents: Iterable[Document | Skipped], source: str, *, modified: datetime | None
    ) -> None:
        """Queue what is new of one file's documents and remove what it no longer holds."""
        old = self._store.content_hashes(self._corpus, source)
        seen: set[str] = set()
        for group in _groups(documents, _MAX_BATCH_DOCUMENTS):
            fresh: list[Document] = []
            for item in group:
                if isinstance(item, Skipped):
                    self._skipped.append(item)
                elif item.key in seen:
                    self._skipped.append(
                        Skipped(item.key, "its id occurs twice in one file; the last counts")
                    )
                    fresh = [d for d in fresh if d.key != item.key] + [item]
                else:
                    seen.add(item.key)
                    fresh.append(item)
            # One message or row may have been forgotten out of a file that still has it.
            for document in [d for d in fresh if self._is_forgotten(d.key, "")]:
                self._skipped.append(Skipped(document.key, _FORGOTTEN))
                fresh.remove(document)
            present = self._store.document_hashes(self._corpus, [d.key for d in fresh])
            for document in fresh:
                document = dataclasses.replace(document, source=source)
                state = present.get(document.key)
                if state is not None and state == (document_hash(document), self._recipe, source):
                    self._counts["unchanged"] += 1
                    continue
                self._counts["added" if state is None else "modified"] += 1
                self._queue(document, modified)
        removed = [key for key in old if key not in seen]
        if removed:
            self._counts["removed"] += len(removed)
            if not self._dry_run:
                ids = [d.id for d in self._store.documents(self._corpus, keys=removed)]
                self._store.remove_documents(ids, answers=False)

    def _rename(self, old: str, item: Found, fresh: SourceState, gone: dict[str, SourceState]) -> None:
        """Carry documents over to the new name of their file; nothing is chunked or embedded again."""
        state = gone.pop(old)
        documents = self._store.document_keys(self._corpus, old)
        if len(documents) == 1:
            # A plain file's key is its name; rows and messages keep their own ids.
            (key,) = documents
            names = {key: item.key} if Path(key).name == Path(old).name else {key: key}
        else:
            names = {key: key for key in documents}
        self._counts["renamed"] += len(documents)
        if not self._dry_run:
            self._store.move_source(self._corpus, state.path, fresh, names)

    def _remove_source(self, path: str) -> None:
        keys = self._store.document_keys(self._corpus, path)
        self._counts["removed"] += len(keys)
        if self._dry_run:
            return
        with self._store.write():
            ids = [d.id for d in self._store.documents(self._corpus, keys=keys)]
            self._store.remove_documents(ids, answers=False)
            self._store.drop_source(self._corpus, path)

    # ------------------------------------------------------------ batches

    def _queue(self, document: Document, modified: datetime | None) -> None:
        if self._dry_run:
            return
        self._batch.append(document)
        self._batch_chars += len(document.text)
        if modified is not None:
            self._batch_modified[document.key] = modified
        # Four characters a token is near enough to size a batch; it bounds memory, not quality.
        if self._batch_chars >= 4 * self._config.batch_tokens or len(self._batch) >= _MAX_BATCH_DOCUMENTS:
            self._flush()

    def _remember(self, state: SourceState) -> None:
        if not self._dry_run:
            self._batch_sources.append(state)

    def _flush(self) -> None:
        """Chunk, embed and commit what is queued."""
        documents, sources = self._batch, self._batch_sources
        if self._dry_run or not (documents or sources):
            return
        started = time.perf_counter()
        prepared = prepare(
            documents,
            self._embedder,
            self._config,
            known=lambda hashes: self._store.known_hashes(self._embedder_id, hashes),
        )
        self._embed_ms += 1000 * (time.perf_counter() - started)
        new = [
            dataclasses.replace(d, modified_at=self._batch_modified.get(d.document.key))
            for d in prepared.documents
        ]
        self._store.put_documents(
            self._corpus,
            new,
            embedder_id=self._embedder_id,
            vectors=prepared.vectors,
            sources=sources,
            now=self._now(),
        )
        self._counts["chunks"] += sum(len(d.spans) for d in new)
        self._counts["embedded"] += len(prepared.vectors)
        self._batch, self._batch_sources, self._batch_modified, self._batch_chars = [], [], {}, 0

    # ------------------------------------------------------------ telling

    def _progress(self, done: int, total: int, done_bytes: int, total_bytes: int, path: str) -> None:
        if self._on_progress is not None and total:
            self._on_progress(Progress(done, total, done_bytes, total_bytes, self._counts["chunks"], path))

    def _report(self, started: float, scanned: float) -> IngestReport:
        finished = time.perf_counter()
        counts = self._counts
        return IngestReport(
            added=counts["added"],
            modified=counts["modified"],
            removed=counts["removed"],
            unchanged=counts["unchanged"],
            renamed=counts["renamed"],
            skipped=tuple(self._skipped),
            chunks=counts["chunks"],
            embedded=counts["embedded"],
            timings_ms={
                "scan": round(1000 * (scanned - started), 1),
                "chunk_and_embed": round(self._embed_ms, 1),
                "total": round(1000 * (finished - started), 1),
            },
        )


def _absolute(path: str | Path) -> Path:
    """Return ``path`` as the walker names it: absolute, links kept."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def _groups(items: Iterable[Document | Skipped], size: int) -> Iterator[list[Document | Skipped]]:
    group: list[Document | Skipped] = []
    for item in items:
        group.append(item)
        if len(group) >= size:
            yield group
            group = []
    if group:
        yield group
