"""THE FLOW.  The only file that knows all seven stages; read this one first.

::

    ingest -> index -> retrieve -> assemble -> generate -> record -> learn

An :class:`Engine` holds what people share: settings and models, loaded at first use.  A :class:`Session`
is one person.  No method takes a user id, so "the wrong user" cannot be written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ragperso import backends, models
from ragperso import config as settings
from ragperso.assemble import budget as budgets
from ragperso.assemble import exemplars as exemplar_choice
from ragperso.assemble.prompt import assemble
from ragperso.config import Config
from ragperso.errors import (
    ConfigError,
    GenerationCancelled,
    PrivacyError,
    RagpersoError,
    StaleIndex,
    WorkspaceError,
    WorkspaceLocked,
)
from ragperso.generate import declining, extractive, grounding
from ragperso.generate.monitor import STOPS, Monitor, is_ended
from ragperso.index.build import CorpusIndex, reindex
from ragperso.ingest.pipeline import Ingester, Prepared, Progress, prepare
from ragperso.ingest.readers import read
from ragperso.ingest.walk import walk
from ragperso.learn import exemplars as exemplar_mining
from ragperso.learn import ownership, style
from ragperso.learn import profile as profiles
from ragperso.privacy import erase, export
from ragperso.protocols import Embedder, Generator, Reranker
from ragperso.record import feedback as feedbacks
from ragperso.record import interactions
from ragperso.retrieve import followup, fusion
from ragperso.retrieve.evidence import Asked, CorpusEvidence, Evidence, Parts, gather, years_of
from ragperso.retrieve.search import question_relevance, search
from ragperso.retrieve.understand import Understood, days_meant, is_cut, n_words, understand
from ragperso.store import Store
from ragperso.tokens import detect_language, query_tokens
from ragperso.types import (
    CORPORA,
    Answer,
    ChunkId,
    Citation,
    Completion,
    Corpus,
    Document,
    DocumentId,
    Exemplar,
    Filters,
    Hit,
    Ids,
    IngestReport,
    Interaction,
    Profile,
    Prompt,
    Query,
    Receipt,
    SearchResult,
    Sentence,
    Skipped,
    Turn,
    Usage,
    UserId,
    Vector,
    Vectors,
    Verdict,
)
from ragperso.workspace import Workspace, check_user, sweep, users_in

# What the engine wrote itself is searchable, but never evidence for its next answer.
OWN_ANSWERS = "interaction"
_LEARNED = "learned"  # in the store: when the last add began whose documents were all learned from
_WIDEST_CHUNK = 1.6  # of a passage that was continued, in ingest.chunk_tokens
_PROFILE_FACTS = 30  # more never fit assemble.profile_tokens


class Engine:
    """What all people share.  Cheap to make: no model is loaded and no folder is touched.

    ``embedder`` and ``generator`` replace those that the settings name.  Use as a context manager, or call
    :meth:`close`.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        config: Config | None = None,
        embedder: Embedder | None = None,
        generator: Generator | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.config = settings.load() if config is None else config
        if home is not None:
            self.config = self.config.replace({"general.home": str(home)})
        self.home = settings.home_of(self.config)
        self.now = now
        self._embedder = embedder
        self._generator = generator
        self._reranker: Reranker | None = None
        self._sessions: dict[UserId, Session] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every store and free the models; a second call does nothing."""
        with self._lock:
            for session in list(self._sessions.values()):
                session.close()
            self._sessions.clear()
            for model in (self._generator, self._embedder):
                close = getattr(model, "close", None)
                if close is not None:
                    close()

    # ------------------------------------------------------------ people

    def session(self, user: str | None = None, *, create: bool = True) -> Session:
        """Return the session of one person, default ``general.user``.

        Raises: ConfigError for an unusable name; UnknownUser unless ``create``.
        """
        name = check_user(self.config.general.user if user is None else user)
        with self._lock:
            if name not in self._sessions:
                workspace = Workspace(self.home, name).open(create=create)
                self._sessions[name] = Session(self, workspace)
            return self._sessions[name]

    def users(self) -> list[UserId]:
        """Return everyone who has a folder under this home."""
        return users_in(self.home)

    def add_users(self, paths: Sequence[str | Path], corpus: Corpus = "documents") -> dict[str, IngestReport]:
        """Add rows to the people their ``user`` field names; rows without one go to ``general.user``.

        A file that cannot be read and a row whose name cannot be a person's are skipped, with the reason, in
        the report of ``general.user``.
        """
        rows: dict[tuple[str, str], list[Document]] = {}
        skipped: list[Skipped] = []
        limits = self.config.ingest
        for item in walk([Path(p) for p in paths], max_file_bytes=limits.max_file_bytes, follow_hidden=False):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            try:
                for row in read(
                    item.path,
                    key=item.key,
                    max_file_bytes=limits.max_file_bytes,
                    max_text_chars=limits.max_text_chars,
                ):
                    if isinstance(row, Skipped):
                        skipped.append(row)
                    else:
                        rows.setdefault((self._owner_of(row), str(item.path)), []).append(row)
            except RagpersoError as exc:
                skipped.append(Skipped(item.key, exc.message))
        reports = {self.config.general.user: IngestReport(skipped=tuple(skipped))} if skipped else {}
        for (owner, source), documents in rows.items():
            try:
                was_open = check_user(owner) in self._sessions
            except ConfigError as exc:
                report = IngestReport(skipped=tuple(Skipped(d.key, exc.message) for d in documents))
                owner = self.config.general.user
            else:
                session = self.session(owner)
                report = session._add_documents(documents, corpus, source)
                if not was_open:
                    session.close()  # ten thousand people are more than a process may have files
            reports[owner] = reports[owner] + report if owner in reports else report
        return reports

    def _owner_of(self, row: Document) -> str:
        name = row.meta.get("user")
        return self.config.general.user if name is None else str(name)

    def erase(self, user: str) -> Receipt:
        """Remove a person and everything of theirs; return the receipt, which holds no content.

        Raises: UnknownUser; WorkspaceLocked while another process writes.
        """
        name = check_user(user)
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is not None:
                session.close()
            workspace = Workspace(self.home, name).open(create=False)
            self._forget_cache(name)
            return erase.erase(workspace, now=self.now())

    def import_person(self, archive: Path, user: str | None = None, *, replace: bool = False) -> Session:
        """Bring back what :meth:`Session.export` wrote, under ``user`` or the archive's own name."""
        with self._lock:
            name = check_user(export.user_of(archive) if user is None else user)
            session = self._sessions.pop(name, None)
            if session is not None:
                session.close()
            export.import_person(archive, self.home, name, replace=replace)
            return self.session(name, create=False)

    def sweep(self) -> int:
        """Finish erasures that a crash interrupted; return how many folders went."""
        return sweep(self.home)

    # ------------------------------------------------------------ models

    @property
    def embedder(self) -> Embedder:
        """The embedder that the settings name.  Raises: ModelUnavailable, MissingExtra."""
        with self._lock:
            if self._embedder is None:
                from ragperso.index.embedders import load_embedder

                self._embedder = load_embedder(self.config.index, settings.models_of(self.config))
            return self._embedder

    @property
    def generator(self) -> Generator:
        """The generator that the settings name.  Raises: ModelUnavailable, MissingExtra, ConfigError."""
        with self._lock:
            if self._generator is None:
                self._generator = self._load_generator()
            return self._generator

    def _load_generator(self) -> Generator:
        chosen = self.config.generate
        kind = backends.load("generator", chosen.backend)
        if chosen.backend == "extractive":
            return _as_generator(kind(self._question_similarity))
        if chosen.backend == "echo":
            return _as_generator(kind(chosen.context_tokens))
        if chosen.backend == "server":
            return _as_generator(
                kind(
                    chosen.url,
                    chosen.model if chosen.model != "starter" else "",
                    api_key=chosen.api_key,
                    timeout_s=chosen.timeout_s,
                    allow_remote=self.config.privacy.allow_remote,
                    context_tokens=chosen.context_tokens,
                )
            )
        if chosen.backend == "llama.cpp":
            folder = settings.models_of(self.config)
            found = models.resolve(chosen.model, "generator", folder)
            return _as_generator(kind(found.path, chosen, cache_dir=folder))
        return _as_generator(kind(chosen))  # a plugin's

    def _reranker_in_use(self) -> Reranker | None:
        with self._lock:
            if self._reranker is None and self.config.retrieve.reranker:
                chosen = self.config.retrieve
                self._reranker = backends.load("reranker", "local")(
                    chosen.reranker,
                    device=self.config.index.device,
                    budget_ms=chosen.rerank_ms,
                    depth=chosen.rerank_depth,
                    weight=chosen.rerank_weight,
                    models_dir=settings.models_of(self.config),
                )
            return self._reranker

    def similarity(
        self, queries: Sequence[str], texts: Sequence[str]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return cosines (len(queries), len(texts)) by the engine's embedder."""
        rows = self.embedder.embed_documents([*queries, *texts])
        return np.asarray(rows[: len(queries)] @ rows[len(queries) :].T, np.float32)

    def _question_similarity(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(cosine) for cosine in self.similarity([question], texts)[0]] if texts else []

    def _forget_cache(self, user: str) -> None:
        forget = getattr(self._generator, "forget", None)
        if forget is not None:
            forget(user)


class Session:
    """One person: everything the engine does, for them alone."""

    def __init__(self, engine: Engine, workspace: Workspace) -> None:
        self.engine = engine
        self.user = workspace.user
        self.workspace = workspace
        self._store: Store | None = None
        self._indexes: dict[Corpus, CorpusIndex] = {}
        self._notes: list[str] = []
        self._lock = threading.RLock()

    @property
    def config(self) -> Config:
        return self.engine.config

    @property
    def store(self) -> Store:
        """The person's database, opened at first use."""
        with self._lock:
            if self._store is None:
                self._store = Store(
                    self.workspace.store_path, secure_delete=self.config.privacy.secure_delete
                )
                self._finish_forgetting(self._store)
            return self._store

    def _finish_forgetting(self, store: Store) -> None:
        """Clean up behind a removal that a crash cut short; whoever holds the lock now will do it else."""
        if not erase.is_unfinished(store):
            return
        try:
            with self.workspace.lock(timeout_s=0):
                erase.finish(store, self.workspace, rebuild=self._rebuild_indexes, locked=True)
            self._notes.append("a removal that was interrupted has been finished")
        except (PrivacyError, WorkspaceLocked) as exc:
            self._notes.append(f"a removal is not finished yet: {exc.message}")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None
            self._indexes.clear()

    def take_notes(self) -> list[str]:
        """Return what the engine had to mend since the last call, in plain words."""
        notes, self._notes = self._notes, []
        for index in self._indexes.values():
            notes.extend(index.take_notes())
        return notes

    # ------------------------------------------------------------ 1-2 ingest, index

    def add(
        self,
        paths: Sequence[str | Path],
        corpus: Corpus = "documents",
        *,
        dry_run: bool = False,
        again: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IngestReport:
        """Bring ``corpus`` up to date with files and folders; only what changed is read and embedded.

        ``again`` takes back files that were forgotten.  What was committed before an exception, Ctrl-C
        included, stays; the next call continues behind it.  Raises: StaleIndex, WorkspaceLocked.
        """
        with self.workspace.lock():
            began = self.engine.now()
            self.workspace.clean()
            if again and not dry_run:
                erase.unforget(self.store, paths)
            run = self._ingester(corpus, dry_run=dry_run, on_progress=on_progress)
            report = run.add_paths(paths)
            return report if dry_run else self._finish_add(corpus, report, began)

    def _add_documents(
        self, documents: Iterable[Document | Skipped], corpus: Corpus, source: str
    ) -> IngestReport:
        with self.workspace.lock():
            began = self.engine.now()
            report = self._ingester(corpus).add_documents(documents, source=source)
            return self._finish_add(corpus, report, began)

    def _ingester(
        self,
        corpus: Corpus,
        *,
        dry_run: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Ingester:
        return Ingester(
            self.store,
            corpus,
            self.engine.embedder,
            self._embedder_id(register=True),
            self.config.ingest,
            now=self.engine.now,
            dry_run=dry_run,
            is_forgotten=lambda path, digest: erase.is_forgotten(self.store, path, digest),
            on_progress=on_progress,
        )

    def _finish_add(self, corpus: Corpus, report: IngestReport, began: datetime) -> IngestReport:
        """Learn from what came in and refresh the indexes."""
        started = time.perf_counter()
        if report.changed:
            self.store.put_audit("add", {"corpus": corpus, **report.counts}, self.engine.now())
            if self.config.learn.mine and corpus != "exemplars":
                # From the last add that came to its end: what an interrupted one stored is not learned yet.
                mark = self.store.get(_LEARNED)
                self.learn(since=datetime.fromisoformat(mark) if mark else None)
                self.store.put(_LEARNED, began.isoformat())
            for name in CORPORA:
                self._index(name)
        spent = round(1000 * (time.perf_counter() - started), 1)
        return dataclasses.replace(report, timings_ms={**report.timings_ms, "learn_and_index": spent})

    def reindex(
        self, embedder: str | None = None, *, on_progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Embed everything with another embedder, or mend the indexes; return how many texts it embedded.

        Resumable: vectors are kept as they come and the old ones serve until all are there.
        """
        with self.workspace.lock():
            target = self.engine
            if embedder is not None:
                target = Engine(self.engine.home, config=self.config.replace({"index.embedder": embedder}))
            n_embedded = reindex(
                self.store,
                target.embedder,
                name=embedder or self.config.index.embedder,
                on_progress=on_progress,
            )
            self.store.scrub()  # the old vectors are personal data too
            self._rebuild_indexes()
            self.store.put_audit("reindex", {"texts": n_embedded}, self.engine.now())
            return n_embedded

    def _embedder_id(self, *, register: bool = False) -> int:
        """Return the number of the embedder in force, which must be the one the vectors came from."""
        embedder = self.engine.embedder
        active = self.store.active_embedder()
        if active is None:
            if not register:
                return 0
            name = self.config.index.embedder
            number = self.store.embedder_id(embedder.fingerprint, name=name, dim=embedder.dim)
            self.store.activate_embedder(number, CORPORA)
            return number
        if active[1] != embedder.fingerprint:
            raise StaleIndex(
                f"the vectors of {str(self.user)!r} were made by {active[2]!r}, not by the embedder"
                f" configured now ({self.config.index.embedder!r})",
                hint=f"ragperso reindex --embedder {self.config.index.embedder} --user {self.user}",
            )
        return active[0]

    def _index(self, corpus: Corpus) -> CorpusIndex:
        """Return the index of ``corpus``, equal to the store."""
        with self._lock:
            if corpus not in self._indexes:
                self._indexes[corpus] = CorpusIndex(self.workspace, self.store, corpus, self.config.index)
            index = self._indexes[corpus]
            index.refresh(embedder_id=self._embedder_id(), dim=self.engine.embedder.dim)
            return index

    # ------------------------------------------------------------ 3 retrieve

    def search(
        self,
        text: str,
        *,
        k: int | None = None,
        corpora: Sequence[Corpus] | None = None,
        filters: Filters | None = None,
    ) -> list[Hit]:
        """Return the best ``k`` hits, by default from documents and history, own answers aside."""
        return list(self.retrieve(text, k=k, corpora=corpora, filters=filters).hits)

    def retrieve(
        self,
        text: str,
        *,
        k: int | None = None,
        corpora: Sequence[Corpus] | None = None,
        filters: Filters | None = None,
        session: str = "",
    ) -> SearchResult:
        """Return hits with the query as it was understood and the time each step took."""
        query = self._understand(text, session, filters)
        return self._retrieve(query, k or self.config.retrieve.k, corpora)

    def _understand(self, text: str, session: str, filters: Filters | None) -> Query:
        turns = interactions.conversation(self.store, session, self.config.record.follow_up_turns)
        return Query(
            text=text,
            resolved=followup.resolve(text, turns),
            asked_at=self.engine.now(),
            filters=filters or Filters(),
        )

    def _retrieve(self, query: Query, k: int, corpora: Sequence[Corpus] | None) -> SearchResult:
        if not query.text.strip():
            raise WorkspaceError(
                "the query is empty", stage="retrieve", hint="ragperso search 'what to find'"
            )
        if self.store.active_embedder() is None:
            return SearchResult(query, (), {"embed": 0.0, "retrieve": 0.0, "total": 0.0})
        started = time.perf_counter()
        config = self.config.retrieve
        understood = understand(query, config)
        vectors = [self.engine.embedder.embed_query(part) for part in understood.parts]
        liked = self.engine.embedder.embed_query(understood.preferences) if understood.preferences else None
        embedded = time.perf_counter()
        found = search(
            query,
            self._evidence(query, understood, vectors, liked, corpora),
            k=k,
            config=config,
            fusion=fusion.from_config(config),
            load=self.store.chunks,
            vectors_of=self._vectors_of,
            reranker=self.engine._reranker_in_use(),
            phrases=understood.phrases,
        )
        lines = self.store.lines_of(hit.chunk.id for hit in found)
        hits = tuple(
            dataclasses.replace(hit, chunk=dataclasses.replace(hit.chunk, line=lines.get(hit.chunk.id)))
            for hit in found
        )
        finished = time.perf_counter()
        return SearchResult(
            query,
            hits,
            {
                "embed": _ms(embedded - started),
                "retrieve": _ms(finished - embedded),
                "total": _ms(finished - started),
            },
        )

    def _evidence(
        self,
        query: Query,
        understood: Understood,
        vectors: Sequence[Vector],
        liked: Vector | None,
        corpora: Sequence[Corpus] | None,
    ) -> list[Evidence]:
        """Return what the indexes say about each part of a query."""
        config = self.config.retrieve
        hidden = "" if corpora else OWN_ANSWERS
        names: Sequence[Corpus] = corpora or ("documents", "history")
        # A corpus that holds nothing costs nothing.
        indexes = [self._index(name) for name in names if self.store.generation(name)]
        indexes = [index for index in indexes if len(index.layout)]
        allowed: list[Ids | None] = [
            self.store.chunk_ids(index.corpus, query.filters, without_kind=hidden)
            if not query.filters.is_open or (hidden and index.corpus == "history")
            else None
            for index in indexes
        ]
        use = Parts(config.context, config.parents, config.keys, config.names, config.dates)
        found = []
        with contextlib.ExitStack() as held:
            # In one order, so that no two searches wait for each other.
            for index in sorted(indexes, key=lambda one: one.corpus):
                held.enter_context(index.steady())
            years = years_of([index.layout for index in indexes])
            likings = [index.keys.scores(liked) if liked is not None else None for index in indexes]
            for text, vector in zip(understood.parts, vectors, strict=True):
                evidence = []
                n_terms = 0
                for index, ids, liking in zip(indexes, allowed, likings, strict=True):
                    tokens = query_tokens(text, index.languages)
                    n_terms = max(n_terms, len(set(query_tokens(text, index.languages[:1]))))
                    keys = index.keys.scores(vector)
                    if liking is not None:
                        is_liked = index.layout.key_is_personal > 0
                        keys[is_liked] = np.maximum(keys[is_liked], liking[is_liked])
                    evidence.append(
                        CorpusEvidence(
                            index.corpus,
                            index.layout,
                            index.dense.scores(vector),
                            keys,
                            index.lexical.columns(tokens),
                            index.lexical.ceilings(tokens),
                            ids,
                            index.style.scores(text) if understood.is_text else None,
                            liking,
                        )
                    )
                asked = Asked(text, n_words(text), n_terms, days_meant(query, text, years, config))
                found.append(gather(evidence, asked, use))
        return found

    def _vectors_of(self, ids: Sequence[ChunkId]) -> Vectors:
        return self.store.vectors(self._embedder_id(), np.array(ids, np.int64))[1]

    # ------------------------------------------------------------ 4 assemble

    def prompt(
        self,
        text: str,
        *,
        k: int | None = None,
        corpora: Sequence[Corpus] | None = None,
        filters: Filters | None = None,
        session: str = "",
        task: Literal["ask", "write"] = "ask",
        max_tokens: int | None = None,
    ) -> Prompt:
        """Return what the model would read, with its ledger; nothing is generated or recorded."""
        found = self.retrieve(text, k=k, corpora=corpora, filters=filters, session=session)
        return self._assemble(found, task, session, max_tokens or self.config.generate.max_tokens)

    def _assemble(
        self, found: SearchResult, task: Literal["ask", "write"], session: str, max_tokens: int
    ) -> Prompt:
        chosen = self.config.assemble
        generator = self.engine.generator
        likely = self.config.retrieve.min_relevance
        return assemble(
            found.query,
            hits=self._whole(found.hits, chosen.max_passages),
            profile=self.profile(),
            exemplars=self._exemplars(found.query, task),
            turns=interactions.conversation(self.store, session, self.config.record.follow_up_turns),
            budget=budgets.split(chosen, context_tokens=generator.context_tokens, max_completion=max_tokens),
            max_passages=chosen.max_passages,
            # A draft may go without sources; what is put beside it has to be about it.
            min_relevance=likely if task == "write" else 0.5 * likely,
            count=generator.count,
            count_messages=generator.count_messages,
            system=chosen.system,
            task=task,
        )

    def _whole(self, hits: Sequence[Hit], n: int) -> list[Hit]:
        """Return ``hits`` with the first ``n`` continued where their chunk breaks off inside a section.

        The next chunk of the document is taken along if it stands under the same headings, is no hit itself,
        and both together are not much longer than a chunk may be.
        """
        if not self.config.retrieve.parents:
            return list(hits)
        limit = _WIDEST_CHUNK * self.config.ingest.chunk_tokens
        taken = {hit.chunk.id for hit in hits}
        widened: list[Hit] = []
        for rank, hit in enumerate(hits):
            chunk = hit.chunk
            following = self.store.chunk_after(chunk) if rank < n and is_cut(chunk.text) else None
            if (
                following is not None
                and following.id not in taken
                and following.headings == chunk.headings
                and chunk.n_tokens + following.n_tokens <= limit
            ):
                end = max(chunk.end, following.end)
                text = self.store.text(chunk.document_id)[chunk.start : end]
                n_tokens = chunk.n_tokens + following.n_tokens
                chunk = dataclasses.replace(chunk, end=end, text=text, n_tokens=n_tokens)
                hit = dataclasses.replace(hit, chunk=chunk)
            widened.append(hit)
        return widened

    def _exemplars(self, query: Query, task: Literal["ask", "write"]) -> list[Exemplar]:
        """Return the pieces of the person's own writing to show.

        For a draft those closest to the request; for an answer none unless ``assemble.ask_exemplars`` says
        so: a small model takes their content for facts.
        """
        n = self.config.assemble.max_exemplars if task == "write" else self.config.assemble.ask_exemplars
        if n < 1 or self.store.active_embedder() is None or not self.store.generation("exemplars"):
            return []
        hits = self._retrieve(query, 4 * n, ["exemplars"]).hits
        candidates = [
            Exemplar(
                id=hit.document.removeprefix("exemplar/"),
                text=hit.text,
                request=str(hit.chunk.meta.get("request") or ""),
                title=hit.chunk.title,
                register=str(hit.chunk.meta.get("register") or ""),
                language=str(hit.chunk.meta.get("language") or ""),
                source=str(hit.chunk.meta.get("source") or ""),
                ts=hit.chunk.ts,
            )
            for hit in hits
        ]
        language = detect_language(query.text)
        return exemplar_choice.choose(
            candidates, n=n, register=exemplar_choice.register_of(query.text), language=language
        )

    # ------------------------------------------------------------ 3-6 ask, write

    def ask(
        self,
        text: str,
        *,
        k: int | None = None,
        corpora: Sequence[Corpus] | None = None,
        filters: Filters | None = None,
        session: str = "",
        max_tokens: int | None = None,
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        """Answer from the person's own documents, with citations; recorded before it is returned.

        Declines (``abstained``) without calling the model when nothing found is relevant enough, and
        quotes instead when nothing of the model's draft is supported.  ``on_text`` sees the raw draft.
        Raises: GenerationCancelled, with what had been written, once ``is_cancelled``; nothing is recorded.
        """
        started = time.perf_counter()
        limit = max_tokens or self.config.generate.max_tokens
        found = self.retrieve(text, k=k, corpora=corpora, filters=filters, session=session)  # 3
        _stop_if(is_cancelled)
        if question_relevance(found.hits) < self.config.retrieve.min_relevance:
            return self._record(found, session, started, text=declining.sentence(text), abstained=True)
        before = time.perf_counter()
        prompt = self._assemble(found, "ask", session, limit)  # 4
        assembled = _ms(time.perf_counter() - before)
        completion = self._generate(prompt, limit, on_text, is_cancelled)  # 5
        answer, checked, note = self._grounded(completion, prompt)
        return self._record(  # 6
            found,
            session,
            started,
            text=answer,
            sentences=checked,
            prompt=prompt,
            completion=completion,
            assemble_ms=assembled,
            note=note,
        )

    def write(
        self,
        request: str,
        *,
        filters: Filters | None = None,
        max_tokens: int | None = None,
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        """Draft a text in the person's manner, from exemplars of their writing; recorded like an answer.

        Raises: GenerationCancelled, as :meth:`ask` does.
        """
        started = time.perf_counter()
        limit = max_tokens or self.config.generate.max_tokens
        found = self.retrieve(request, filters=filters)
        _stop_if(is_cancelled)
        before = time.perf_counter()
        prompt = self._assemble(found, "write", "", limit)
        assembled = _ms(time.perf_counter() - before)
        completion = self._generate(prompt, limit, on_text, is_cancelled)
        return self._record(
            found,
            "",
            started,
            text=grounding.strip_repeats(completion.text, is_cut=completion.finish_reason == "length"),
            prompt=prompt,
            completion=completion,
            assemble_ms=assembled,
        )

    def _generate(
        self,
        prompt: Prompt,
        max_tokens: int,
        on_text: Callable[[str], None] | None,
        is_cancelled: Callable[[], bool] | None,
    ) -> Completion:
        chosen = self.config.generate
        sentences = chosen.max_sentences if prompt.task == "ask" else 0
        monitor = Monitor(on_text, is_cancelled, max_sentences=sentences)
        completion = self.engine.generator.generate(
            prompt,
            owner=self.user,
            max_tokens=max_tokens,
            temperature=chosen.temperature,
            seed=chosen.seed,
            stop=STOPS[prompt.task],
            on_text=monitor.see,
            is_cancelled=monitor.is_done,
        )
        if monitor.stopped:
            return dataclasses.replace(completion, finish_reason="length")
        if completion.finish_reason == "cancelled":
            raise GenerationCancelled(completion.text)
        return completion

    def _grounded(self, draft: Completion, prompt: Prompt) -> tuple[str, list[Sentence], str]:
        """Return the answer to give, its sentences checked, and what was done to the draft."""
        answer = grounding.strip_boilerplate(grounding.strip_labels(draft.text))
        answer = grounding.strip_echo(answer, prompt.messages[0].content, prompt.passages)
        is_cut = draft.finish_reason == "length"
        answer = grounding.strip_repeats(answer, is_cut=is_cut)
        if is_cut and not is_ended(answer):
            answer = ""  # one sentence that never came to its end: a loop, or a list without one
        sentences = self._checked(answer, prompt)
        said = [answer[s.start : s.end] for s in sentences if s.label]
        supported = " ".join(said) if 2 * len(said) >= len(sentences) else ""
        if supported and extractive.answers_kind(prompt.question, supported):
            return answer, sentences, ""
        quotes = extractive.best_quotes(
            prompt.question, prompt.passages, self.engine._question_similarity, n=1
        )
        quoted = " ".join(quote.text for quote in quotes)
        if supported and not extractive.answers_kind(prompt.question, quoted):
            return answer, sentences, ""
        if not quoted:
            return answer, sentences, "nothing in the passages supports this answer"
        reason = "did not answer the question" if supported else "was not supported"
        note = f"the model's draft {reason}; this is quoted instead"
        return quoted, self._checked(quoted, prompt), note

    def _checked(self, text: str, prompt: Prompt) -> list[Sentence]:
        """Return the sentences of ``text``, each with the passage that supports it."""
        return grounding.check(
            text,
            prompt.passages,
            question=prompt.question,
            similarity=self.engine.similarity,
            threshold=self._support(),
        )

    def _support(self) -> float:
        """Return the least support of a cited sentence."""
        if self.config.generate.support > 0:
            return self.config.generate.support
        is_small = getattr(self.engine.generator, "is_small", False)
        return grounding.SUPPORT_OF_SMALL_MODELS if is_small else grounding.SUPPORT

    # ------------------------------------------------------------ 6 record

    def _record(
        self,
        found: SearchResult,
        session: str,
        started: float,
        *,
        text: str,
        abstained: bool = False,
        sentences: Sequence[Sentence] = (),
        prompt: Prompt | None = None,
        completion: Completion | None = None,
        assemble_ms: float = 0.0,
        note: str = "",
    ) -> Answer:
        now = self.engine.now()
        citations = self._citations(sentences, prompt, found.hits)
        usage = Usage()
        if completion is not None:
            usage = Usage(completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens)
        passages = prompt.passages if prompt is not None else ()
        shown = {hit.chunk.id: hit.chunk for hit in found.hits}
        documents = {
            shown[p.chunk_id].document_id: shown[p.chunk_id].document for p in passages if p.chunk_id in shown
        }
        interaction = Interaction(
            id=interactions.new_id(now),
            session=session,
            asked_at=now,
            query=found.query.text,
            resolved=found.query.search_text,
            answer=text,
            abstained=abstained,
            model=completion.model if completion is not None else "",
            citations=tuple(citations),
            prompt_sha256=_prompt_hash(prompt),
            chunk_ids=tuple(p.chunk_id for p in passages),
            usage=usage,
            ledger=_ledger(prompt),
        )
        history: Prepared | None = None
        if self.config.record.history:
            history = prepare(
                [interactions.history_document(interaction)], self.engine.embedder, self.config.ingest
            )
        interactions.append(
            self.store,
            interaction,
            documents=documents | self._personal_sources(prompt, session),
            history=history.documents[0] if history else None,
            vectors=history.vectors if history else {},
            embedder_id=self._embedder_id(register=True),
            now=now,
        )
        first_token = 0.0
        if completion is not None:
            first_token = round(found.timings_ms["total"] + assemble_ms + completion.first_token_ms, 1)
        return Answer(
            answer=text,
            abstained=abstained,
            citations=tuple(citations),
            sentences=tuple(sentences),
            usage=usage,
            timings_ms={
                "embed": found.timings_ms["embed"],
                "retrieve": found.timings_ms["retrieve"],
                "assemble": assemble_ms,
                "first_token": first_token,
                "total": _ms(time.perf_counter() - started),
            },
            interaction=interaction.id,
            prompt=prompt,
            hits=found.hits,
            model=interaction.model,
            note=note,
        )

    def _personal_sources(self, prompt: Prompt | None, session: str) -> dict[DocumentId, str]:
        """Return the documents behind the exemplars, facts and earlier turns that a prompt showed.

        Forgetting one of them takes along what was written from it.
        """
        items = [item.item for section in (prompt.sections if prompt else ()) for item in section.items]
        keys = [
            f"exemplar/{item.removeprefix('exemplar ')}" for item in items if item.startswith("exemplar ")
        ]
        facts = {item.removeprefix("fact ") for item in items if item.startswith("fact ")}
        keys += [fact.source for fact in self.store.facts() if fact.source and str(fact.id) in facts]
        if any(item.startswith("turn ") for item in items):
            earlier = self.store.interactions(session=session, limit=self.config.record.follow_up_turns)
            keys += [interactions.history_key(one.id) for one in earlier]
        return {d.id: d.key for d in self.store.documents(keys=keys)} if keys else {}

    def _citations(
        self, sentences: Sequence[Sentence], prompt: Prompt | None, hits: Sequence[Hit]
    ) -> list[Citation]:
        if prompt is None:
            return []
        used = {sentence.label for sentence in sentences if sentence.label}
        chunks = {hit.chunk.id: hit.chunk for hit in hits}
        return [
            Citation(
                label=passage.label,
                document=passage.document,
                start=passage.start,
                end=passage.end,
                chunk=passage.chunk_id,
                page=chunks[passage.chunk_id].page,
                line=chunks[passage.chunk_id].line,
                heading=" > ".join(chunks[passage.chunk_id].headings),
            )
            for passage in prompt.passages
            if passage.label in used and passage.chunk_id in chunks
        ]

    def feedback(self, interaction: str, verdict: Verdict, edited: str = "") -> None:
        """Mark an exchange; an edited answer becomes an exemplar of how the person would have said it."""
        mark = feedbacks.mark(self.store, interaction, verdict, edited, self.engine.now())
        (stored,) = self.store.interactions(id=interaction)
        exemplar = feedbacks.exemplar_of(stored, mark)
        if exemplar is not None:
            parents = self.store.documents("history", keys=[interactions.history_key(interaction)])
            self._store_exemplars([(parents[0].id if parents else None, exemplar)])

    def conversation(self, session: str, n_turns: int = 100) -> list[Turn]:
        """Return the turns of one conversation, oldest first."""
        return interactions.conversation(self.store, session, n_turns)

    def interaction(self, id: str) -> Interaction:
        """Return one stored exchange.  Raises: WorkspaceError when there is none."""
        found = self.store.interactions(id=id)
        if not found:
            raise WorkspaceError(f"there is no interaction {id!r}", hint="ragperso search --corpus history")
        return found[0]

    # ------------------------------------------------------------ 7 learn

    def learn(self, *, since: datetime | None = None) -> dict[str, int]:
        """Mine exemplars and facts from what the person wrote; return how many of each are new.

        ``since`` looks only at documents stored at or after that time.
        """
        person = ownership.identity_of(self.store.profile_values())
        documents = [
            (document, self.store.text(document.id))
            for document in self.store.documents(added_since=since)
            if document.corpus != "exemplars"
        ]
        mined = exemplar_mining.mine(
            documents, addresses=person.addresses, names=person.names, config=self.config.learn
        )
        n_exemplars = self._store_exemplars(mined)
        n_facts = profiles.learn_facts(self.store, documents, person, now=self.engine.now())
        return {"exemplars": n_exemplars, "facts": n_facts}

    def _store_exemplars(self, mined: Iterable[tuple[DocumentId | None, Document]]) -> int:
        """Store exemplars that are not there yet; return how many."""
        mined = list(mined)
        known = self.store.document_hashes("exemplars", [document.key for _, document in mined])
        fresh = [
            (parent, document)
            for parent, document in mined
            if document.key not in known and not erase.is_forgotten(self.store, document.key)
        ]
        if not fresh:
            return 0
        embedder_id = self._embedder_id(register=True)
        prepared = prepare(
            [document for _, document in fresh],
            self.engine.embedder,
            self.config.ingest,
            whole=True,  # an exemplar is shown whole or not at all
            known=lambda hashes: self.store.known_hashes(embedder_id, hashes),
        )
        self.store.put_documents(
            "exemplars",
            [
                dataclasses.replace(new, parent=parent)
                for new, (parent, _) in zip(prepared.documents, fresh, strict=True)
            ],
            embedder_id=embedder_id,
            vectors=prepared.vectors,
            now=self.engine.now(),
        )
        return len(fresh)

    def profile(self) -> Profile:
        """Return what the engine believes of the person, with sources and how they write."""
        return profiles.load(self.store, max_facts=_PROFILE_FACTS, style=self._style_sentences())

    def _style_sentences(self) -> tuple[str, ...]:
        texts = [self.store.text(d.id) for d in self.store.documents("exemplars")]
        return style.describe(texts) if len(texts) >= style.MIN_TEXTS else ()

    def style(self) -> style.StyleCard:
        """Return the measured habits of the person's writing.  Raises: NotEnoughData."""
        return style.measure(self.store.text(d.id) for d in self.store.documents("exemplars"))

    def profile_entries(self) -> list[profiles.Entry]:
        """Return every statement about the person with the place that proves it."""
        return profiles.entries(self.store)

    def profile_toml(self) -> str:
        """Return the profile as the text that ``profile edit`` opens."""
        return profiles.to_toml(self.store)

    def edit_profile(self, after: str, *, before: str = "") -> Mapping[str, object]:
        """Apply what changed between :meth:`profile_toml` and its edited copy.  Raises: ConfigError."""
        return profiles.apply_edit(self.store, after, now=self.engine.now(), before=before)

    def introduce(
        self, *, name: str = "", languages: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> None:
        """Say who the person is, so that their own writing is told from what they received."""
        for key, value in (("name", name), ("languages", list(languages)), ("addresses", list(addresses))):
            if value:
                self.store.put_profile_value(key, value)

    def remember(self, text: str) -> int:
        """Keep a statement the person made about themselves; return its number."""
        if not text.strip():
            raise PrivacyError("there is nothing to remember", stage="learn", hint="ragperso remember 'TEXT'")
        number = self.store.put_fact(" ".join(text.split()), origin="user", now=self.engine.now())
        self.store.put_audit("remember", {"fact": number}, self.engine.now())
        return number

    # ------------------------------------------------------------ privacy, health

    def forget(self, keys: Sequence[str] = (), *, facts: Sequence[int] = ()) -> Receipt:
        """Remove documents or facts from every file, and every answer that drew on them.

        Raises: PrivacyError for an unknown key, WorkspaceLocked.
        """
        self.engine._forget_cache(self.user)
        return erase.forget(
            self.store,
            self.workspace,
            keys=keys,
            facts=facts,
            now=self.engine.now(),
            rebuild=self._rebuild_indexes,
        )

    def _rebuild_indexes(self) -> None:
        """Write every index anew, so that no removed word or vector stays in a file."""
        active = self.store.active_embedder()
        if active is None:
            return
        for corpus in CORPORA:
            index = CorpusIndex(self.workspace, self.store, corpus, self.config.index)
            index.rebuild(embedder_id=active[0], dim=active[3])
            self._indexes[corpus] = index

    def erase(self) -> Receipt:
        """Remove this person; the session cannot be used afterwards."""
        return self.engine.erase(self.user)

    def export(self, target: Path) -> Mapping[str, int]:
        """Write everything of this person to one archive; vectors are included."""
        return export.export_person(self.store, self.workspace, target, now=self.engine.now())

    def audit(self) -> tuple[list[Any], bool]:
        """Return what was done to this person's data and whether that record is unbroken."""
        return self.store.audit()

    def status(self) -> dict[str, Any]:
        """Return what is stored and indexed; loads no model."""
        active = self.store.active_embedder()
        return {
            "user": self.user,
            "path": str(self.workspace.path),
            "embedder": {"name": active[2], "dim": active[3]} if active else None,
            "counts": self.store.counts(),
            "bytes": sum(p.stat().st_size for p in self.workspace.path.rglob("*") if p.is_file()),
            "skipped": [
                {"path": state.path, "reason": state.reason}
                for corpus in CORPORA
                for state in self.store.sources(corpus).values()
                if state.reason
            ],
        }


def _stop_if(is_cancelled: Callable[[], bool] | None) -> None:
    """Raise GenerationCancelled once the caller has asked to stop."""
    if is_cancelled is not None and is_cancelled():
        raise GenerationCancelled


def _as_generator(model: Any) -> Generator:
    generator: Generator = model
    return generator


def _prompt_hash(prompt: Prompt | None) -> str:
    if prompt is None:
        return ""
    digest = hashlib.sha256()
    for message in prompt.messages:
        digest.update(f"{message.role}\x00{message.content}\x00".encode("utf-8", "replace"))
    return digest.hexdigest()


def _ledger(prompt: Prompt | None) -> dict[str, Any] | None:
    """Return what went into a prompt without its text, as kept for ``/why``."""
    if prompt is None:
        return None
    return {
        "tokens": prompt.tokens,
        "budget_tokens": prompt.budget_tokens,
        "sections": [
            {
                "name": section.name,
                "tokens": section.tokens,
                "items": [{"item": i.item, "tokens": i.tokens} for i in section.items],
            }
            for section in prompt.sections
        ],
        "dropped": [dataclasses.asdict(item) for item in prompt.dropped],
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
