"""THE FLOW.  The only file that knows all seven stages; read this one first.

::

    ingest -> index -> retrieve -> assemble -> generate -> record -> learn

An :class:`Engine` holds what people share: settings and models, loaded at first use.  A :class:`Session`
is one person.  No method takes a user id, so "the wrong user" cannot be written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from ragperso import backends, models
from ragperso import config as settings
from ragperso import preset as presets
from ragperso.assemble.blocks import Entry, Filled, entries_of
from ragperso.assemble.prompt import assemble, passage_item, style_item, turn_item
from ragperso.config import Config
from ragperso.errors import (
    ConfigError,
    GenerationCancelled,
    ModelUnavailable,
    PrivacyError,
    RagpersoError,
    StaleIndex,
    UnknownUser,
    WorkspaceError,
    WorkspaceLocked,
)
from ragperso.generate.monitor import STOPS, Monitor, is_ended
from ragperso.index.build import CorpusIndex, reindex
from ragperso.index.open_people import OpenPeople
from ragperso.preset import Preset
from ragperso.protocols import Constrained, Embedder, Generator, Reranker, Scorer
from ragperso.registers import (
    audience_of_request,
    is_same_kind,
    matter_of_request,
    register_of_request,
)
from ragperso.retrieve import followup, fusion, preference
from ragperso.retrieve.evidence import Asked, CorpusEvidence, Evidence, Parts, gather, years_of
from ragperso.retrieve.search import question_relevance, search
from ragperso.retrieve.understand import Understood, days_meant, is_cut, n_words, understand
from ragperso.store import Extraction, Store
from ragperso.tokens import detect_language, query_tokens
from ragperso.types import (
    CORPORA,
    PERSONAL_PARTS,
    Answer,
    ChunkId,
    Citation,
    Completion,
    Corpus,
    Distance,
    Document,
    DocumentId,
    Exemplar,
    Feedback,
    Filters,
    Hit,
    Ids,
    IngestReport,
    Interaction,
    PersonalPart,
    Profile,
    Prompt,
    Query,
    Receipt,
    Scored,
    SearchResult,
    Sentence,
    Skipped,
    StoredDocument,
    Turn,
    Usage,
    UserId,
    Vector,
    Vectors,
    Verdict,
)
from ragperso.workspace import Workspace, check_user, sweep, users_in

if TYPE_CHECKING:
    from ragperso.assemble import budget as budgets
    from ragperso.assemble import exemplars as exemplar_choice
    from ragperso.generate import declining, extractive, grounding, influence
    from ragperso.ingest import pipeline, readers
    from ragperso.ingest import walk as walking
    from ragperso.ingest.pipeline import Ingester, Prepared, Progress
    from ragperso.learn import exemplars as exemplar_mining
    from ragperso.learn import extraction, habits, ownership, style
    from ragperso.learn import profile as profiles
    from ragperso.learn import weights as feedback_weights
    from ragperso.privacy import erase, export
    from ragperso.record import feedback as feedbacks
    from ragperso.record import interactions
else:
    # A search needs none of them: importing them all would take half of its time.
    budgets = backends.deferred("ragperso.assemble.budget")
    exemplar_choice = backends.deferred("ragperso.assemble.exemplars")
    declining = backends.deferred("ragperso.generate.declining")
    extractive = backends.deferred("ragperso.generate.extractive")
    grounding = backends.deferred("ragperso.generate.grounding")
    influence = backends.deferred("ragperso.generate.influence")
    pipeline = backends.deferred("ragperso.ingest.pipeline")
    readers = backends.deferred("ragperso.ingest.readers")
    walking = backends.deferred("ragperso.ingest.walk")
    exemplar_mining = backends.deferred("ragperso.learn.exemplars")
    extraction = backends.deferred("ragperso.learn.extraction")
    habits = backends.deferred("ragperso.learn.habits")
    ownership = backends.deferred("ragperso.learn.ownership")
    style = backends.deferred("ragperso.learn.style")
    profiles = backends.deferred("ragperso.learn.profile")
    feedback_weights = backends.deferred("ragperso.learn.weights")
    erase = backends.deferred("ragperso.privacy.erase")
    export = backends.deferred("ragperso.privacy.export")
    feedbacks = backends.deferred("ragperso.record.feedback")
    interactions = backends.deferred("ragperso.record.interactions")

_KV = "kv"  # folder of a person: what the model has read of their prompts, with generate.prefix_cache
_Class = TypeVar("_Class")
_UNKEPT = ("close", "close_quietly", "end_learning", "take_notes")  # they open nothing

# What the engine wrote itself is searchable, but never evidence for its next answer.
OWN_ANSWERS = "interaction"
_LEARNED = "learned"  # in the store: when the last add began whose documents were all learned from
_WIDEST_CHUNK = 1.6  # of a passage that was continued, in ingest.chunk_tokens
_BLOCK_CHUNKS = 400  # chunks of documents that a block of a preset may draw on, and exchanges; more never fit
_BLOCK_EXCHANGES = 50
_PROFILE_FACTS = 30  # more never fit assemble.profile_tokens
_PREFERENCE_POOL = 2  # times k hits are reordered by what marks taught
_LEARNER_WAIT_S = 10.0  # for a text that is being read behind the scenes to be put away
_MEASURING = 0.65  # of the time of a "why"; the rest is for what would have been said without
_SHOWN = 50  # exchanges whose answers and passages are recognised when they come back
_CANDIDATES = 40  # exemplars that a search offers to choose from
_COSINE = 0.01  # of the best BM25 score, for a piece of cosine 1: it only orders what words leave equal
_ENOUGH_OF_KIND = 8  # of them of the register asked for; below it the newest of that kind join
_LENGTHS = {"short": 40, "medium": 100, "long": 220}  # words; a choice, see "write --length"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a prompt is for, and what of the person it may use.

    ``without`` names kinds of personalization that are left out, ``hide`` documents that must not be used in
    any way: no passage, exemplar, statement or habit drawn from them.
    """

    task: Literal["ask", "write"] = "ask"
    without: frozenset[PersonalPart] = frozenset()
    hide: frozenset[str] = frozenset()
    register: str = ""
    to: str = ""
    length: int = 0  # words; 0: as the person would


@dataclass(frozen=True, slots=True)
class _Materials:
    """Everything a prompt is assembled from; the same materials give the same prompt."""

    found: SearchResult
    wanted: _Wanted
    hits: tuple[Hit, ...]
    profile: Profile
    exemplars: tuple[Exemplar, ...]
    blocks: tuple[Filled, ...]  # of the preset
    turns: tuple[Turn, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One draft of a comparison; ``same_as`` names another one that had the very same prompt."""

    without: tuple[PersonalPart, ...]
    text: str = dataclasses.field(repr=False)
    prompt_tokens: int = 0
    manner: Distance | None = None
    same_as: str = ""


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
        self.config = settings.load(presets=presets.settings) if config is None else config
        if home is not None:
            self.config = self.config.replace({"general.home": str(home)})
        self.home = settings.home_of(self.config)
        self.now = now
        self._embedder = embedder
        self._generator = generator
        self._reranker: Reranker | None = None
        self._preset: Preset | None = None
        self._sessions: dict[UserId, Session] = {}
        self._open: OpenPeople[UserId] = OpenPeople(
            self.config.index.open_bytes, self.config.index.open_people
        )
        self._lock = threading.RLock()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every store and free the models; a second call does nothing."""
        for session in list(self._sessions.values()):
            session.end_learning()  # before the lock, which its thread may want
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

    @contextlib.contextmanager
    def _using(self, session: Session) -> Iterator[None]:
        """Keep a person open meanwhile, and close afterwards those there is no room for."""
        with self._open.using(session.user, lambda: session.nbytes):
            yield
        self._open.make_room(self._close_quietly)

    def _close_quietly(self, user: UserId) -> bool:
        """Close someone who is not in use; they open again at their next call."""
        session = self._sessions.get(user)
        return session is None or session.close_quietly()

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
        for item in walking.walk(
            [Path(p) for p in paths], max_file_bytes=limits.max_file_bytes, follow_hidden=False
        ):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            try:
                for row in readers.read(
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

    def prepare_queries(self) -> str:
        """Make, once per model and machine, what lets a question be embedded without loading torch.

        Takes about ten seconds when there is something to make, else milliseconds; nothing is made where
        torch was not needed yet.  Returns why it cannot be, empty when it is there.
        """
        prepare = getattr(self.embedder, "prepare_queries", None)
        return str(prepare()) if prepare is not None else ""

    @property
    def generator(self) -> Generator:
        """The generator that the settings name.  Raises: ModelUnavailable, MissingExtra, ConfigError."""
        with self._lock:
            if self._generator is None:
                self._generator = self._load_generator()
            return self._generator

    @property
    def scorer(self) -> Scorer:
        """The generator, where it can say how likely a text is.  Raises: ConfigError where it cannot."""
        generator = self.generator
        if not isinstance(generator, Scorer):
            raise ConfigError(
                f"the backend {self.config.generate.backend!r} cannot say how likely a text is",
                hint="ragperso --set generate.backend=llama.cpp ...",
            )
        return generator

    @property
    def constrained(self) -> Constrained:
        """The generator, where a grammar can bind it.  Raises: ConfigError where none can."""
        generator = self.generator
        if not isinstance(generator, Constrained):
            raise ConfigError(
                f"the backend {self.config.generate.backend!r} cannot be bound to a grammar",
                hint="set generate.backend to llama.cpp, or learn.llm to false",
            )
        return generator

    @property
    def preset(self) -> Preset | None:
        """The preset that the settings name, None when they name none.  Raises: ConfigError."""
        with self._lock:
            if self._preset is None and self.config.general.preset:
                self._preset = presets.load(self.config.general.preset)
            return self._preset

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
            return _as_generator(kind(found.path, chosen, cache_dir=folder, prefixes=self._prefixes))
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

    def _prefixes(self, user: str) -> Path | None:
        """Return where the read prompts of a person may be kept, None for nobody's."""
        workspace = Workspace(self.home, UserId(user))
        return workspace.path / _KV if workspace.exists else None

    def _forget_cache(self, user: str) -> None:
        """Drop what the model has read for a person, in memory and on disk."""
        forget = getattr(self._generator, "forget", None)
        if forget is not None:
            forget(user)
        shutil.rmtree(Workspace(self.home, UserId(user)).path / _KV, ignore_errors=True)


def _kept_open(session: type[_Class]) -> type[_Class]:
    """Let every public method keep its person open while it runs, since others may ask for the room."""

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def kept(self: Session, *args: Any, **named: Any) -> Any:
            with self.engine._using(self):
                return method(self, *args, **named)

        return kept

    for name, method in list(vars(session).items()):
        if not name.startswith("_") and inspect.isfunction(method) and name not in _UNKEPT:
            if inspect.isgeneratorfunction(method):
                raise TypeError(f"{name} would run after it was let go")
            setattr(session, name, wrapped(method))
    return session


@_kept_open
class Session:
    """One person: everything the engine does, for them alone."""

    def __init__(self, engine: Engine, workspace: Workspace) -> None:
        self.engine = engine
        self.user = workspace.user
        self.workspace = workspace
        self._store: Store | None = None
        self._indexes: dict[Corpus, CorpusIndex] = {}
        self._notes: list[str] = []
        self._entries: dict[tuple[tuple[str, str], ...], tuple[tuple[int, ...], list[Entry]]] = {}
        self._weights: tuple[object, feedback_weights.Weights] | None = None
        self._counted: dict[str, habits.Counted] = {}
        self._pieces: tuple[int, list[Exemplar]] | None = None
        self._learner: threading.Thread | None = None  # reads what waits for a model
        self._learner_ends = threading.Event()
        self._last_query: tuple[tuple[str, str], Vector] | None = None
        self._own_card: tuple[int, style.StyleCard | None] | None = None
        self._known: profiles.Loader | None = None
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
        self.end_learning()
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._known = self._pieces = self._own_card = self._weights = None
        self._indexes.clear()
        self._entries.clear()
        self._counted.clear()
        self.engine._open.closed(self.user)

    def close_quietly(self) -> bool:
        """Close what can be opened again at the next call; False, and nothing is closed, while in use."""
        if self._learner is not None and self._learner.is_alive():
            return False
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._close()
        finally:
            self._lock.release()
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the open indexes take, roughly."""
        return sum(index.nbytes for index in list(self._indexes.values()))

    def take_notes(self) -> list[str]:
        """Return what the engine had to mend since the last call, in plain words."""
        notes, self._notes = self._notes, []
        for index in self._indexes.values():
            notes.extend(index.take_notes())
        take = getattr(self.engine._embedder, "take_notes", None)
        return notes + (list(take()) if take is not None else [])

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
            if dry_run:
                return report
            report = self._finish_add(corpus, report, began)
        self.learn_later()
        return report

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
        return pipeline.Ingester(
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
        if report.modified or report.removed:
            self.engine._forget_cache(self.user)  # it may hold words that are gone
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
        own_answers: bool | None = None,
    ) -> SearchResult:
        """Return hits with the query as it was understood and the time each step took.

        The engine's own answers are among them where a corpus is named, or as ``own_answers`` says.
        """
        query = self._understand(text, session, filters)
        return self._retrieve(query, k or self.config.retrieve.k, corpora, own_answers=own_answers)

    def _understand(self, text: str, session: str, filters: Filters | None) -> Query:
        turns = interactions.conversation(self.store, session, self.config.record.follow_up_turns)
        return Query(
            text=text,
            resolved=followup.resolve(text, turns),
            asked_at=self.engine.now(),
            filters=filters or Filters(),
        )

    def _retrieve(
        self, query: Query, k: int, corpora: Sequence[Corpus] | None, *, own_answers: bool | None = None
    ) -> SearchResult:
        """Return the best hits; own answers are among them where a corpus is named, or as told."""
        if not query.text.strip():
            raise WorkspaceError(
                "the query is empty", stage="retrieve", hint="ragperso search 'what to find'"
            )
        if self.store.active_embedder() is None:
            return _nothing_found(query)
        started = time.perf_counter()
        config = self.config.retrieve
        understood = understand(query, config)
        vectors = [self._embedded(part) for part in understood.parts]
        liked = self._embedded(understood.preferences) if understood.preferences else None
        embedded = time.perf_counter()
        weights = self.weights().values if config.preference > 0 else {}
        own = bool(corpora) if own_answers is None else own_answers
        found = search(
            query,
            self._evidence(query, understood, vectors, liked, corpora, own),
            k=_PREFERENCE_POOL * k if weights else k,
            config=config,
            fusion=fusion.from_config(config),
            load=self.store.chunks,
            vectors_of=self._vectors_of,
            reranker=self.engine._reranker_in_use(),
            phrases=understood.phrases,
        )
        found = list(preference.prefer(found, weights, config.preference))[:k]
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

    def _embedded(self, text: str) -> Vector:
        """Return the vector of a query; exemplars are searched with the words that passages were."""
        key = (self.engine.embedder.fingerprint, text)
        known = self._last_query
        if known is None or known[0] != key:
            known = self._last_query = (key, self.engine.embedder.embed_query(text))
        return known[1]

    def _evidence(
        self,
        query: Query,
        understood: Understood,
        vectors: Sequence[Vector],
        liked: Vector | None,
        corpora: Sequence[Corpus] | None,
        own_answers: bool,
    ) -> list[Evidence]:
        """Return what the indexes say about each part of a query."""
        config = self.config.retrieve
        hidden = "" if own_answers else OWN_ANSWERS
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
        without: Collection[PersonalPart] = (),
        hide: Collection[str] = (),
        register: str = "",
        to: str = "",
        length: str = "",
    ) -> Prompt:
        """Return what the model would read, with its ledger; nothing is generated or recorded.

        ``without`` leaves kinds of personalization out; ``hide`` names documents of which nothing may be
        used, neither passages nor exemplars, statements or habits: so a text is held out.
        """
        wanted = _Wanted(task, frozenset(without), frozenset(hide), register, to, _words_of(length))
        limit = self._limit(max_tokens, wanted)
        found = self._find(text, k, corpora, filters, session, wanted)
        return self._assemble(self._materials(found, session, wanted, limit))

    def _limit(self, max_tokens: int | None, wanted: _Wanted) -> int:
        """Return how many tokens may be written: as asked, else what the wanted length needs."""
        usual = self.config.generate.max_tokens
        return max_tokens or (max(usual, 3 * wanted.length) if wanted.length else usual)

    def _find(
        self,
        text: str,
        k: int | None,
        corpora: Sequence[Corpus] | None,
        filters: Filters | None,
        session: str,
        wanted: _Wanted,
    ) -> SearchResult:
        """Retrieve for a prompt, from what it may use.

        Own answers are no evidence, whichever corpus is left; only who names a corpus wants them.
        """
        filters = filters or Filters()
        if wanted.hide:
            filters = dataclasses.replace(filters, hidden=tuple(sorted(wanted.hide)))
        own = bool(corpora)
        if wanted.without:
            corpora = [c for c in corpora or ("documents", "history") if c not in wanted.without]
            if not corpora:
                return _nothing_found(self._understand(text, session, filters))
        return self.retrieve(text, k=k, corpora=corpora, filters=filters, session=session, own_answers=own)

    def _materials(self, found: SearchResult, session: str, wanted: _Wanted, max_tokens: int) -> _Materials:
        """Return what a prompt is made of: the person's part and what was found."""
        exemplars = self._exemplars(found.query, wanted)
        blocks = self._blocks(wanted)
        keep = self.config.record.follow_up_turns if "history" not in wanted.without else 0
        return _Materials(
            found=found,
            wanted=wanted,
            # Of a draft, what is shown as an example leaves its place to the next ones.
            hits=tuple(
                self._whole(found.hits, (1 + (wanted.task == "write")) * self.config.assemble.max_passages)
            ),
            profile=self._profile(wanted),
            exemplars=tuple(exemplars),
            blocks=tuple(blocks),
            turns=tuple(interactions.conversation(self.store, session, keep)),
            max_tokens=max_tokens,
        )

    def _assemble(self, made_of: _Materials, labels: Mapping[ChunkId, str] | None = None) -> Prompt:
        chosen = self.config.assemble
        generator = self.engine.generator
        likely = self.config.retrieve.min_relevance
        wanted = made_of.wanted
        kind = self.engine.preset
        return assemble(
            made_of.found.query,
            hits=made_of.hits,
            profile=made_of.profile,
            exemplars=made_of.exemplars,
            turns=made_of.turns,
            budget=budgets.split(
                chosen, context_tokens=generator.context_tokens, max_completion=made_of.max_tokens
            ),
            max_passages=chosen.max_passages,
            # A draft may go without sources; what is put beside it has to be about it.
            min_relevance=likely if wanted.task == "write" else 0.5 * likely,
            count=generator.count,
            count_messages=generator.count_messages,
            system=chosen.system,
            task=wanted.task,
            register=wanted.register,
            to=wanted.to,
            n_words=wanted.length,
            labels=labels,
            template=kind.system(wanted.task) if kind is not None else "",
            preset=made_of.blocks,
        )

    def _blocks(self, wanted: _Wanted) -> list[Filled]:
        """Return the preset's blocks with everything there is for them."""
        kind = self.engine.preset
        if kind is None:
            return []
        found = []
        for block in kind.blocks_of(wanted.task):
            entries = entries_of(block.text, "of the preset")
            if block.documents and "documents" not in wanted.without:
                entries += self._labelled(block.documents, wanted.hide)
            if block.facts and "profile" not in wanted.without:
                now = self.engine.now()
                entries += [
                    Entry(fact.item, fact.text, fact.source, fact.id)
                    for fact in profiles.held(self.store, now)
                    if fact.source not in wanted.hide and presets.is_meant(fact, block.facts)
                ]
            if block.exchanges and "history" not in wanted.without:
                entries += self._marked(block.exchanges, wanted.hide)
            found.append(Filled(block, tuple(entries)))
        return found

    def _labelled(self, labels: Sequence[tuple[str, str]], hide: Collection[str]) -> list[Entry]:
        """Return documents with one of the labels as entries, the newest first, then undated by name."""
        corpora: tuple[Corpus, ...] = ("documents", "history")
        # Looking through 5,000 documents takes 13 ms: once, as long as nothing changes.
        state = tuple(self.store.generation(corpus) for corpus in corpora)
        known = self._entries.get(tuple(labels))
        if known is not None and known[0] == state and not hide:
            return known[1]
        ids: set[DocumentId] = set()
        for corpus in corpora:
            for key, value in labels:
                # What the engine said is no knowledge, whatever its label.
                filters = Filters(meta={key: value}, hidden=tuple(sorted(hide)))
                chunks = self.store.chunk_ids(corpus, filters, without_kind=OWN_ANSWERS)[:_BLOCK_CHUNKS]
                ids |= {chunk.document_id for chunk in self.store.chunks(chunks.tolist()).values()}
        documents = self.store.documents(ids=sorted(ids))
        documents.sort(key=lambda d: (-d.ts.timestamp() if d.ts else 0.0, d.key))
        found = [entry for d in documents for entry in entries_of(self.store.text(d.id), d.key, d.key)]
        if not hide:
            self._entries[tuple(labels)] = (state, found)
        return found

    def _marked(self, marks: Collection[str], hide: Collection[str]) -> list[Entry]:
        """Return exchanges whose last mark is one of ``marks`` as entries, the newest first."""
        last = {mark.interaction: mark for mark in self.store.feedback() if mark.verdict != "followed"}
        found = []
        for mark in sorted(last.values(), key=lambda mark: mark.interaction, reverse=True)[:_BLOCK_EXCHANGES]:
            key = interactions.history_key(mark.interaction)
            if mark.verdict in marks and key not in hide:
                (stored,) = self.store.interactions(id=mark.interaction)
                text = f"{stored.query} -> {mark.edited}" if mark.edited else stored.query
                found.append(Entry(f"interaction {mark.interaction}", text, key))
        return found

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

    def _exemplars(self, query: Query, wanted: _Wanted) -> list[Exemplar]:
        """Return the pieces of the person's own writing to show.

        For a draft those of the kind, the reader and the topic that the request asks for; for an answer none
        unless ``assemble.ask_exemplars`` says so: a small model takes their content for facts.
        """
        chosen = self.config.assemble
        n = chosen.max_exemplars if wanted.task == "write" else chosen.ask_exemplars
        if n < 1 or "exemplars" in wanted.without:
            return []
        usual = self.engine.preset.register if self.engine.preset is not None else ""
        register = wanted.register or register_of_request(query.text) or usual
        own = self._exemplar_hits(query, wanted.hide, register)
        team = self._team()
        shared = team._exemplar_hits(query, frozenset(), register) if team is not None else []
        hidden = self._hidden_pieces(wanted.hide)
        kind = [e for e in self.pieces() if not register or is_same_kind(e.register, register)]
        picked = exemplar_choice.explain(
            [e for e, _ in own],
            n=n,
            scores=[score for _, score in own],
            register=register,
            audience=wanted.to or audience_of_request(query.text),
            language=detect_language(query.text),
            now=query.asked_at,
            weights=preference.multipliers(self.weights().values, self.config.retrieve.preference),
            shared=[dataclasses.replace(e, is_shared=True) for e, _ in shared],
            shared_scores=[score for _, score in shared],
            n_own=sum(1 for e in kind if e.id not in hidden),
        )
        return [one.exemplar for one in picked]

    def _exemplar_hits(
        self, query: Query, hide: frozenset[str], register: str
    ) -> list[tuple[Exemplar, float]]:
        """Return exemplars near a request with the score of the search, none drawn from ``hide``.

        Those of the register asked for may not be among the nearest: where there are few, all are offered.
        """
        if self.store.active_embedder() is None or not self.store.generation("exemplars"):
            return []
        found = {piece.id: (piece, score) for piece, score in self._alike_in_words(query, hide)}
        if register and sum(is_same_kind(e.register, register) for e, _ in found.values()) < _ENOUGH_OF_KIND:
            hidden = self._hidden_pieces(hide)
            lowest = min((score for _, score in found.values()), default=0.0)
            for piece in reversed(self.pieces()):  # the newest first
                if is_same_kind(piece.register, register) and piece.id not in hidden:
                    found.setdefault(piece.id, (piece, lowest))
                    if len(found) > 2 * _CANDIDATES:
                        break
        return list(found.values())

    def _alike_in_words(self, query: Query, hide: frozenset[str]) -> list[tuple[Exemplar, float]]:
        """Return the pieces whose words are nearest to what is asked for, with their BM25 score, best first.

        By words and not by the fusion that passages are found with: on 36 mails of panza the pieces found so
        took .813 of the bits of no pieces, those of the fusion .830, of a fusion with one fifth of cosine
        .826.  The cosine orders what has equally many words in common, above all none.
        """
        index = self._index("exemplars")
        hidden = tuple(sorted(self._hidden_exemplars(hide)))
        allowed = self.store.chunk_ids("exemplars", Filters(hidden=hidden)) if hidden else None
        tokens = query_tokens(matter_of_request(query.search_text), index.languages)
        vector = self._embedded(query.search_text)
        with index.steady():
            ids = index.layout.ids
            scores = np.zeros(len(ids), np.float32)
            for n_times, rows, values in index.lexical.columns(tokens):
                scores[rows] += n_times * values
            scores += _COSINE * max(1.0, float(scores.max(initial=0.0))) * index.dense.scores(vector)
        if allowed is not None:
            scores = np.where(np.isin(ids, allowed), scores, -np.inf)
        best = np.argsort(-scores, kind="stable")[:_CANDIDATES]
        chunks = self.store.chunks(ChunkId(int(ids[row])) for row in best if np.isfinite(scores[row]))
        pieces = {piece.id: piece for piece in self.pieces()}
        found: dict[str, tuple[Exemplar, float]] = {}
        for row in best:
            chunk = chunks.get(ChunkId(int(ids[row])))
            piece = pieces.get(chunk.document.removeprefix("exemplar/")) if chunk is not None else None
            if piece is not None:
                found.setdefault(piece.id, (piece, float(scores[row])))
        return list(found.values())

    def _hidden_exemplars(self, hide: frozenset[str]) -> set[str]:
        """Return the keys of the exemplars that hold words of hidden documents, and the hidden keys."""
        if not hide:
            return set()
        pieces = self.store.documents("exemplars")
        return set(hide) | {d.key for d in pieces if not hide.isdisjoint(d.meta.get("sources") or ())}

    def _hidden_pieces(self, hide: frozenset[str]) -> set[str]:
        """Return the ids of those exemplars, as :meth:`pieces` has them."""
        return {key.removeprefix("exemplar/") for key in self._hidden_exemplars(hide)}

    def _team(self) -> Session | None:
        """Return the person whose exemplars and card stand in while there is little of one's own.

        Only one who is marked as shared serves others: ``ragperso profile set shared yes --user TEAM``.
        """
        name = self.config.learn.team
        if not name or name == self.user:
            return None
        try:
            team = self.engine.session(name, create=False)
        except UnknownUser as exc:
            raise ConfigError(
                f"learn.team names {name!r}, and there is nobody of that name", hint="empty learn.team"
            ) from exc
        if team.store.profile_values().get("shared") is not True:
            raise PrivacyError(
                f"{name!r} is not shared, so nothing of theirs is shown to others",
                stage="assemble",
                hint=f"ragperso profile set shared yes --user {name}, or empty learn.team",
            )
        return team

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
        without: Collection[PersonalPart] = (),
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
        wanted = _Wanted("ask", frozenset(without))
        found = self._find(text, k, corpora, filters, session, wanted)  # 3
        _stop_if(is_cancelled)
        if question_relevance(found.hits) < self.config.retrieve.min_relevance:
            return self._record(found, session, started, text=declining.sentence(text), abstained=True)
        before = time.perf_counter()
        made_of = self._materials(found, session, wanted, limit)
        prompt = self._assemble(made_of)  # 4
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
            made_of=made_of,
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
        register: str = "",
        to: str = "",
        length: str = "",
        without: Collection[PersonalPart] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        """Draft a text in the person's manner, from exemplars of their writing; recorded like an answer.

        ``register`` is the kind of text and ``to`` its reader, both else read from the request; ``length`` is
        "short", "medium", "long" or a number of words.  Sentences are checked against the passages, and the
        draft against the person's style card.
        Raises: GenerationCancelled, as :meth:`ask` does; ConfigError for an unknown length.
        """
        started = time.perf_counter()
        wanted = _Wanted("write", frozenset(without), frozenset(), register, to, _words_of(length))
        limit = self._limit(max_tokens, wanted)
        found = self._find(request, None, None, filters, "", wanted)
        _stop_if(is_cancelled)
        before = time.perf_counter()
        made_of = self._materials(found, "", wanted, limit)
        prompt = self._assemble(made_of)
        assembled = _ms(time.perf_counter() - before)
        completion = self._generate(prompt, limit, on_text, is_cancelled)
        text = _clean_draft(completion)
        answer = self._record(
            found,
            "",
            started,
            text=text,
            sentences=self._checked(text, prompt) if prompt.passages else (),
            prompt=prompt,
            made_of=made_of,
            completion=completion,
            assemble_ms=assembled,
        )
        return dataclasses.replace(
            answer,
            manner=self.manner(text, register=register or register_of_request(request)),
            unfounded=tuple(grounding.unfounded(text, _known_to(prompt))),
        )

    def compare(
        self,
        request: str,
        *,
        filters: Filters | None = None,
        max_tokens: int | None = None,
        register: str = "",
        to: str = "",
        length: str = "",
        is_cancelled: Callable[[], bool] | None = None,
    ) -> list[Compared]:
        """Draft with everything, without each kind of personalization, and without any; nothing is recorded.

        A kind that changes nothing in the prompt is not drafted again.  Parameters as :meth:`write`.
        """
        kinds: list[tuple[PersonalPart, ...]] = [(), *((part,) for part in PERSONAL_PARTS), PERSONAL_PARTS]
        limit = self._limit(max_tokens, _Wanted(length=_words_of(length)))
        drafted: dict[str, str] = {}
        found = []
        for without in kinds:
            _stop_if(is_cancelled)
            prompt = self.prompt(
                request,
                filters=filters,
                task="write",
                max_tokens=max_tokens,
                without=without,
                register=register,
                to=to,
                length=length,
            )
            name = "the one with all of it" if not without else f"the one without {', '.join(without)}"
            if (same := drafted.get(digest := _prompt_hash(prompt))) is not None:
                found.append(Compared(without, "", prompt.tokens, same_as=same))
                continue
            drafted[digest] = name
            text = self._drafted(prompt, limit, is_cancelled)
            manner = self.manner(text, register=register or register_of_request(request))
            found.append(Compared(without, text, prompt.tokens, manner))
        return found

    def draft(self, prompt: Prompt, *, max_tokens: int | None = None) -> str:
        """Return what the model writes to ``prompt``, cleaned as :meth:`write` does; nothing is recorded."""
        return self._drafted(prompt, max_tokens or self.config.generate.max_tokens, None)

    def _drafted(self, prompt: Prompt, limit: int, is_cancelled: Callable[[], bool] | None) -> str:
        return _clean_draft(self._generate(prompt, limit, None, is_cancelled))

    def score(self, prompt: Prompt, text: str) -> Scored:
        """Return how likely the model finds ``text`` as its answer to ``prompt``.

        Raises: ConfigError where the backend cannot tell; ContextOverflow.
        """
        return self.engine.scorer.score(prompt.messages, text, owner=self.user)

    def manner(self, text: str, *, register: str = "") -> Distance | None:
        """Return how far a text is from how the person writes, None while too little of theirs is known."""
        card = self._card()
        if card is None or card.pieces < style.MIN_TEXTS:
            return None
        return style.distance(style.Piece(text, register), card)

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
            temperature=chosen.temperature if prompt.task == "ask" else chosen.draft_temperature,
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
        made_of: _Materials | None = None,
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
            ledger=_ledger(prompt, made_of),
        )
        history: Prepared | None = None
        if self.config.record.history:
            history = pipeline.prepare(
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
        self._learn_from(interaction)
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
        facts = {number for item in items for number in _facts_in(item)}
        keys += [fact.source for fact in self.store.facts() if fact.source and str(fact.id) in facts]
        # A block of a preset says in the detail where each of its entries is from.
        for section in prompt.sections if prompt else ():
            if section.name == "preset":
                keys += [item.detail for item in section.items if item.detail]
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

    def feedback(
        self, interaction: str, verdict: Verdict, edited: str = "", *, labels: Sequence[str] = ()
    ) -> None:
        """Mark an exchange good, bad, edited, or name the citations that were followed.

        An edited answer becomes an exemplar of how the person would have said it, a draft marked good one of
        how they let it stand.  Marks move the person's own weights once they foretell later marks.
        """
        feedbacks.mark(self.store, interaction, verdict, edited, self.engine.now(), labels=labels)
        self._renew_exemplar(interaction)

    def undo_feedback(self, interaction: str) -> Feedback | None:
        """Take back the last mark of an exchange and what it taught; return it, None when there is none."""
        self.interaction(interaction)  # Raises: WorkspaceError when there is none
        gone = feedbacks.take_back(self.store, interaction, self.engine.now())
        if gone is not None:
            self.engine._forget_cache(self.user)
            self._renew_exemplar(interaction)
        return gone

    def _renew_exemplar(self, interaction: str) -> None:
        """Let the exemplar of an exchange be the one that its marks leave."""
        (stored,) = self.store.interactions(id=interaction)
        exemplar = feedbacks.exemplar_in_force(stored, self.store.feedback(interaction))
        key = f"exemplar/{interaction}"
        old = self.store.documents("exemplars", keys=[key])
        if old and (exemplar is None or self.store.text(old[0].id) != exemplar.text):
            self.store.remove_documents([old[0].id], answers=False)
            old = []
        if exemplar is not None and not old:
            parents = self.store.documents("history", keys=[interactions.history_key(interaction)])
            self._store_exemplars([(parents[0].id if parents else None, exemplar)])
            if self.config.learn.mine and not exemplar.meta.get("accepted"):
                self._learn_from_edit(stored, key)

    def _learn_from_edit(self, stored: Interaction, key: str) -> None:
        """Learn what the person put into an answer of the engine: it corrects what is held of them.

        What they left as the engine wrote it teaches nothing.  Undone, it goes with the exemplar.
        """
        for document in self.store.documents("exemplars", keys=[key]):
            shown = itertools.chain([stored.answer], self._shown())
            text = self.store.text(document.id)
            profiles.learn_request(self.store, text, document, now=self.engine.now(), shown=shown)

    def weights(self) -> feedback_weights.Weights:
        """Return what the person's marks taught of sources and exemplars, and why it is in force or not."""
        now = self.engine.now()
        key = (*self.store.feedback_state(), self.store.get(feedback_weights.RESETS), now.date())
        known = self._weights
        if known is None or known[0] != key:
            known = self._weights = (key, feedback_weights.weights_of(self.store, now))
        return known[1]

    def reset_weights(self, *, undo: bool = False) -> datetime | None:
        """Let the marks so far count no more, or take that back; return from when on marks count."""
        return feedback_weights.reset(self.store, self.engine.now(), undo=undo)

    def conversation(self, session: str, n_turns: int = 100) -> list[Turn]:
        """Return the turns of one conversation, oldest first."""
        return interactions.conversation(self.store, session, n_turns)

    def interaction(self, id: str) -> Interaction:
        """Return one stored exchange.  Raises: WorkspaceError when there is none."""
        found = self.store.interactions(id=id)
        if not found:
            raise WorkspaceError(f"there is no interaction {id!r}", hint="ragperso search --corpus history")
        return found[0]

    def why(self, id: str, *, budget_s: float = 8.0) -> influence.Why:
        """Return what each passage, exemplar and statement did to an answer, and what it would be without.

        Measured by leaving parts out of the prompt and asking how likely the same answer still is; about
        ``budget_s`` seconds are spent, and what there was no time for says so.
        Raises: WorkspaceError for an unknown or declined exchange; ConfigError where the backend cannot tell.
        """
        asked = self.interaction(id)
        if asked.ledger is None or not asked.answer.strip():
            raise WorkspaceError(
                f"nothing was written in {id!r}: it was declined, from what was found alone",
                stage="generate",
                hint="ragperso search --explain 'QUESTION'",
            )
        started = time.monotonic()
        made_of = self._materials_of(asked)
        prompt = self._assemble(made_of)
        labels = {passage.chunk_id: passage.label for passage in prompt.passages}
        made_of, unseen = _as_shown(made_of, prompt)

        def changed(without: frozenset[str]) -> Prompt:
            return self._assemble(_left_out(made_of, without | unseen, labels), labels)

        sentences = self._checked(asked.answer, prompt) if prompt.passages else []
        parts = ("profile", "preset", "exemplars", "conversation", "passages")
        measured = influence.measure(
            asked.answer,
            sentences,
            [(s.name, [item.item for item in s.items]) for s in prompt.sections if s.name in parts],
            render=lambda without: changed(without).messages,
            score=lambda messages, text: self.engine.scorer.score(messages, text, owner=self.user),
            budget_s=_MEASURING * budget_s - (time.monotonic() - started),
        )
        most = max(
            (part for part in measured.parts if part.nats is not None and not part.is_section),
            key=lambda part: part.nats or 0.0,
            default=None,
        )
        otherwise = ""
        if most is not None:
            less = changed(frozenset([most.item]))
            try:
                draft = self._generate(
                    less, made_of.max_tokens, None, lambda: time.monotonic() - started > budget_s
                )
            except GenerationCancelled as stopped:
                otherwise = grounding.strip_repeats(grounding.strip_labels(stopped.partial), is_cut=True)
            else:
                # Checked as the answer was.
                otherwise = self._grounded(draft, less)[0] if less.task == "ask" else _clean_draft(draft)
        return influence.Why(
            interaction=asked,
            prompt=prompt,
            is_exact=_prompt_hash(prompt) == asked.prompt_sha256,
            sentences=tuple(sentences),
            measured=measured,
            left_out=most.item if most is not None and otherwise else "",
            counterfactual=otherwise,
        )

    def _materials_of(self, asked: Interaction) -> _Materials:
        """Return what the prompt of a stored exchange was made of, as far as it is still there."""
        told = asked.ledger.get("wanted") or {}
        wanted = _Wanted(
            task="write" if asked.ledger.get("task") == "write" else "ask",
            without=frozenset(told.get("without") or ()),
            register=str(told.get("register") or ""),
            to=str(told.get("to") or ""),
            length=int(told.get("length") or 0),
        )
        items = {i["item"] for section in asked.ledger["sections"] for i in section["items"]}
        query = Query(asked.query, asked.resolved, asked.asked_at)
        chunks = self.store.chunks(asked.chunk_ids)
        hits = [
            Hit(rank, 0.0, chunks[number], {}, relevance=1.0)
            for rank, number in enumerate(asked.chunk_ids, start=1)
            if number in chunks
        ]
        team = self._team()
        pieces = {e.item: e for e in (team.pieces() if team is not None else ())}
        pieces |= {e.item: e for e in self.pieces()}
        shown = [i["item"] for s in asked.ledger["sections"] if s["name"] == "exemplars" for i in s["items"]]
        n_turns = self.config.record.follow_up_turns if "history" not in wanted.without else 0
        found = SearchResult(query, tuple(hits), {})
        made_of = _Materials(
            found=found,
            wanted=wanted,
            hits=tuple(
                whole if hit.chunk.id in (told.get("continued") or ()) else hit
                for hit, whole in zip(hits, self._whole(hits, len(hits)), strict=True)
            ),
            # What the exchange itself taught was not known when it was asked.
            profile=self._profile(
                dataclasses.replace(wanted, hide=frozenset([interactions.history_key(asked.id)]))
            ),
            exemplars=tuple(pieces[name] for name in shown if name in pieces),
            blocks=tuple(self._blocks(wanted)),
            turns=tuple(interactions.conversation(self.store, asked.session, n_turns, before=asked.asked_at)),
            max_tokens=int(told.get("max_tokens") or self.config.generate.max_tokens),
        )
        # What stands in a prompt made of all this today but did not stand in that one.
        told_then = {number for item in items for number in _facts_in(item)}
        extra = {
            i.item
            for section in self._assemble(made_of).sections
            for i in section.items
            if (section.name == "preset" or _is_personal(i.item)) and told_then.isdisjoint(_facts_in(i.item))
        }
        return _left_out(made_of, frozenset(extra - items), {})

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
        n_facts = profiles.learn_facts(
            self.store, documents, person, now=self.engine.now(), shown=self._shown()
        )
        if self.config.learn.llm:
            own = [document.id for document, _ in documents if ownership.register_of(document, person)]
            self.store.queue_extractions(own, self.engine.now())
        return {"exemplars": n_exemplars, "facts": n_facts}

    def _shown(self) -> Iterator[str]:
        """Yield what the engine lately put before the person: pasted back, it is no news of them."""
        recent = self.store.interactions(limit=_SHOWN)
        yield from (one.answer for one in recent)
        passages = self.store.chunks({chunk for one in recent for chunk in one.chunk_ids})
        yield from (chunk.text for chunk in passages.values())

    def _learn_from(self, interaction: Interaction) -> None:
        """Learn what a question says of the person who asked it."""
        if not self.config.learn.mine or (interaction.ledger or {}).get("task") == "write":
            return  # a request for a draft says what the draft shall say
        key = interactions.history_key(interaction.id)
        for document in self.store.documents("history", keys=[key]):
            text = interaction.query.strip()
            profiles.learn_request(self.store, text, document, now=interaction.asked_at, shown=self._shown())
            if self.config.learn.llm:
                self.store.queue_extractions([document.id], self.engine.now())
                self.learn_later()

    def learn_later(self) -> bool:
        """Let the model read what waits for it, one text at a time behind the scenes; say whether it does.

        With ``learn.llm`` alone.  It gives way to answers; what it has not read at the end waits on.
        """
        if not self.config.learn.llm:
            return False
        with self._lock:
            if self._learner is not None and self._learner.is_alive():
                return True
            if self.store.next_extraction() is None:
                return False
            self._learner_ends = ends = threading.Event()
            self._learner = threading.Thread(
                target=self._learn_behind, args=(ends,), name="ragperso-learn", daemon=True
            )
            self._learner.start()
            return True

    def end_learning(self) -> None:
        """Stop reading behind the scenes; what was not read waits on.  A second call does nothing."""
        self._learner_ends.set()
        learner, self._learner = self._learner, None
        if learner is not None and learner is not threading.current_thread():
            learner.join(_LEARNER_WAIT_S)

    def _learn_behind(self, ends: threading.Event) -> None:
        try:
            while not ends.is_set():
                # Whoever closes the engine holds its lock while this thread is waited for.
                if self.engine._lock.acquire(timeout=0.1):
                    try:
                        model = self.engine.constrained
                    finally:
                        self.engine._lock.release()
                    self._extract(model, ends.is_set)
                    return
        except RagpersoError as exc:
            if not ends.is_set():
                self._notes.append(f"the model does not read for facts: {exc.message}")

    def refresh_profile(
        self,
        *,
        seconds: float = 0.0,
        on_progress: Callable[[int, int], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> dict[str, int]:
        """Let the model read what it has not read, for ``seconds`` at most (0: all); return counts.

        ``texts`` were read and gave ``facts``, ``failed`` could not be read this time, ``waiting`` are still
        to be read, ``parked`` failed three times; these are tried once more.  ``on_progress`` sees (done,
        all).  Raises: ConfigError unless ``learn.llm``, or where no grammar can bind the backend;
        ModelUnavailable, MissingExtra.
        """
        if not self.config.learn.llm:
            raise ConfigError(
                "the model reads nothing for facts: learn.llm is off",
                hint="ragperso --set learn.llm=true profile refresh",
            )
        self.end_learning()
        person = ownership.identity_of(self.store.profile_values())
        own = [d.id for d in self.store.documents() if ownership.register_of(d, person)]
        self.store.queue_extractions(own, self.engine.now())
        ends = time.monotonic() + seconds if seconds > 0 else float("inf")

        def should_stop() -> bool:
            return time.monotonic() > ends or (is_cancelled is not None and is_cancelled())

        done = self._extract(self.engine.constrained, should_stop, parked=True, on_progress=on_progress)
        waiting, parked = self.store.extractions()
        return {**done, "waiting": waiting, "parked": len(parked)}

    def _extract(
        self,
        model: Constrained,
        should_stop: Callable[[], bool],
        *,
        parked: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, int]:
        """Read what waits until all is read or ``should_stop``; a text that fails waits for another day.

        What no text is to blame for is raised: no model, a closed store.
        """
        store = self.store
        counts = {"texts": 0, "facts": 0, "failed": 0}
        failed: set[int] = set()
        waiting, left = store.extractions()
        total = waiting + (len(left) if parked else 0)
        try:
            while not should_stop():
                if (one := store.next_extraction(skip=failed, parked=parked)) is None:
                    break
                try:
                    is_read, n_facts = self._extract_from(one, model, should_stop)
                except (ConfigError, ModelUnavailable, WorkspaceError):
                    raise
                except Exception as exc:  # a plugin's may be anything; its message may quote the text
                    reason = exc.message if isinstance(exc, RagpersoError) else type(exc).__name__
                    store.fail_extraction(one, reason, self.engine.now())
                    failed.add(one.document)
                    counts["failed"] += 1
                    continue
                counts["texts"] += is_read
                counts["facts"] += n_facts
                if on_progress is not None:
                    on_progress(counts["texts"], total)
        finally:
            if counts["texts"] or counts["failed"]:
                store.put_audit("extract", counts, self.engine.now())
        return counts

    def _extract_from(
        self, one: Extraction, model: Constrained, should_stop: Callable[[], bool]
    ) -> tuple[bool, int]:
        """Read one text piece by piece; return whether to its end, and how many statements are new.

        What a piece gave and how far the text is read are one transaction: a crash loses no more than the
        piece it fell into, and nothing is learned twice.
        """
        store, n_facts = self.store, 0
        name = str(store.profile_values().get("name") or "")
        people = {fact.subject for fact in store.facts() if fact.subject and fact.origin != "model"}
        is_small = getattr(model, "is_small", False)
        certainty = extraction.CERTAINTY_OF_SMALL_MODELS if is_small else extraction.CERTAINTY
        for document in store.documents(ids=[one.document]):
            text = self._own_words(document)
            said = document.ts or document.added_at
            shown = list(self._shown())  # of one text: each of its pieces is held against it
            for piece in extraction.pieces(text, start=one.read_to, speaker=name, people=people, said=said):
                if should_stop():
                    return False, n_facts
                completion = model.constrained(
                    extraction.messages(piece),
                    extraction.grammar(piece),
                    owner=self.user,
                    max_tokens=extraction.MAX_TOKENS,
                    is_cancelled=should_stop,
                )
                if completion.finish_reason == "cancelled":
                    return False, n_facts  # gave way, or is to end
                found = extraction.claims_in(completion.text, piece, text, said=said, certainty=certainty)
                with store.write():
                    rest = store.advance_extraction(one, self.engine.now(), read_to=piece.end)
                    if rest is None:
                        return False, n_facts
                    n_facts += profiles.learn_extracted(store, found, text, document, at=said, shown=shown)
                one = rest
        is_read = store.advance_extraction(one, self.engine.now(), read_to=one.read_to, done=True) is not None
        return is_read, n_facts

    def _own_words(self, document: StoredDocument) -> str:
        """Return what of a stored document the person wrote: a note, the question of an exchange."""
        if document.meta.get("kind") == OWN_ANSWERS:
            asked = self.store.interactions(id=document.key.removeprefix(interactions.history_key("")))
            return asked[0].query.strip() if asked else ""
        if not ownership.register_of(document, ownership.identity_of(self.store.profile_values())):
            return ""
        return ownership.own_part(document, self.store.text(document.id))

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
        prepared = pipeline.prepare(
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
        return self._profile(_Wanted())

    def _profile(self, wanted: _Wanted) -> Profile:
        """Return the part of the profile that a prompt may use."""
        card = None if "card" in wanted.without else self._card(wanted.hide)
        sentences = style.sentences_about(card) + style.sentences_to(card, wanted.to)
        if "profile" in wanted.without:
            return Profile(style=sentences)
        now = self.engine.now()
        if wanted.hide:
            known = profiles.load(self.store, now=now, max_facts=_PROFILE_FACTS, hide=wanted.hide)
        else:
            with self._lock:
                if self._known is None:
                    self._known = profiles.Loader(self.store, _PROFILE_FACTS)
                known = self._known.load(now)
        return dataclasses.replace(known, style=sentences)

    def pieces(self) -> list[Exemplar]:
        """Return the pieces of the person's own writing that drafts can be shown, oldest first."""
        generation = self.store.generation("exemplars")
        with self._lock:
            if self._pieces is None or self._pieces[0] != generation:
                found = [
                    exemplar_choice.exemplar_from(d.key, self.store.text(d.id), d.meta, d.title, d.ts)
                    for d in self.store.documents("exemplars")
                ]
                self._pieces = (generation, found)
            return self._pieces[1]

    def _card(self, hide: frozenset[str] = frozenset()) -> style.StyleCard | None:
        """Return the measured card, filled up with the team's while there is little of the person's own.

        Drafts the person accepted are left out: they are the model's words.
        """
        own = self._measured(hide)
        team = self._team()
        return own if team is None else style.blend(own, team._card())

    def _measured(self, hide: frozenset[str]) -> style.StyleCard | None:
        """Return the card of the person's own pieces, kept while they stay the same."""
        generation = self.store.generation("exemplars")
        known = self._own_card
        if known is not None and known[0] == generation and not hide:
            return known[1]
        hidden = self._hidden_pieces(hide)
        counted = []
        for piece in self.pieces():
            if piece.is_accepted or piece.id in hidden:
                continue
            if piece.id not in self._counted:
                self._counted[piece.id] = habits.count(
                    piece.text, piece.register, piece.language, piece.audience
                )
            counted.append(self._counted[piece.id])
        card = style.card_of(counted) if len(counted) >= style.MIN_TEXTS else None
        if not hide:
            self._own_card = (generation, card)  # of 500 pieces it takes 13 ms
        return card

    def style(self) -> style.StyleCard:
        """Return the measured habits of the person's writing.  Raises: NotEnoughData."""
        card = self._card()
        # Too few: the error says how many there are.
        return card if card is not None else style.measure(p.text for p in self.pieces() if not p.is_accepted)

    def profile_entries(self) -> list[profiles.Entry]:
        """Return every statement about the person with the place that proves it."""
        return profiles.entries(self.store, at=self.engine.now())

    def profile_history(self, about: str = "") -> list[profiles.Entry]:
        """Return all that was ever believed, oldest first; of a slot, a person or a word alone."""
        return profiles.history(self.store, about)

    def profile_why(self, number: int) -> profiles.Reason:
        """Return why a statement is believed.  Raises: PrivacyError when there is none of that number."""
        return profiles.reason(self.store, number, now=self.engine.now())

    def share(self, is_shared: bool) -> None:
        """Let others write in this one's manner (``learn.team``), or no longer: a desk, never a customer."""
        self.store.put_profile_value("shared", is_shared or None)
        self.store.put_audit("share", {"shared": is_shared}, self.engine.now())

    def profile_toml(self) -> str:
        """Return the profile as the text that ``profile edit`` opens."""
        return profiles.to_toml(self.store, now=self.engine.now())

    def edit_profile(self, after: str, *, before: str = "") -> Mapping[str, object]:
        """Apply what changed between :meth:`profile_toml` and its edited copy.  Raises: ConfigError."""
        self.engine._forget_cache(self.user)
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
        number = profiles.remember(self.store, text, now=self.engine.now())
        self.store.put_audit("remember", {"fact": number}, self.engine.now())
        return number

    # ------------------------------------------------------------ privacy, health

    def forget(self, keys: Sequence[str] = (), *, facts: Sequence[int] = ()) -> Receipt:
        """Remove documents or facts from every file, and every answer that drew on them.

        Raises: PrivacyError for an unknown key, WorkspaceLocked.
        """
        self.engine._forget_cache(self.user)
        proof = erase.forget(
            self.store,
            self.workspace,
            keys=keys,
            facts=facts,
            now=self.engine.now(),
            rebuild=self._rebuild_indexes,
        )
        profiles.held(self.store, self.engine.now())  # what a forgotten statement had replaced holds again
        return proof

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


def _nothing_found(query: Query) -> SearchResult:
    return SearchResult(query, (), {"embed": 0.0, "retrieve": 0.0, "total": 0.0})


def _clean_draft(completion: Completion) -> str:
    """Return what a model wrote without the loops that a small one falls into."""
    return grounding.strip_repeats(completion.text, is_cut=completion.finish_reason == "length")


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


def _ledger(prompt: Prompt | None, made_of: _Materials | None = None) -> dict[str, Any] | None:
    """Return what went into a prompt without its text, as kept for ``/why`` and for marks given later."""
    if prompt is None:
        return None
    told: dict[str, Any] = {
        "task": prompt.task,
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
    if made_of is not None:
        told["signals"] = preference.signals_of(prompt, made_of.hits, made_of.exemplars)
        told["wanted"] = {
            "without": sorted(made_of.wanted.without),
            "register": made_of.wanted.register,
            "to": made_of.wanted.to,
            "length": made_of.wanted.length,
            "max_tokens": made_of.max_tokens,
            "continued": _continued(made_of),
        }
    return told


def _continued(made_of: _Materials) -> list[int]:
    """Return the chunks whose passages go on where the chunk breaks off."""
    ends = {hit.chunk.id: hit.chunk.end for hit in made_of.found.hits}
    return [int(hit.chunk.id) for hit in made_of.hits if hit.chunk.end != ends.get(hit.chunk.id)]


def _left_out(made_of: _Materials, items: frozenset[str], labels: Mapping[ChunkId, str]) -> _Materials:
    """Return the same materials without the parts that a ledger calls by these names."""
    if not items:
        return made_of
    known = made_of.profile
    return dataclasses.replace(
        made_of,
        hits=tuple(
            hit for hit in made_of.hits if passage_item(labels.get(hit.chunk.id, ""), hit) not in items
        ),
        exemplars=tuple(e for e in made_of.exemplars if e.item not in items),
        blocks=tuple(
            dataclasses.replace(
                filled,
                entries=tuple(e for e in filled.entries if f"{filled.block.name}: {e.item}" not in items),
            )
            for filled in made_of.blocks
        ),
        turns=tuple(t for i, t in enumerate(made_of.turns, 1) if turn_item(i, t) not in items),
        profile=dataclasses.replace(
            known,
            style=tuple(line for i, line in enumerate(known.style, 1) if style_item(i) not in items),
            # Where there is a summary it stands for the facts, also when none of its lines is left.
            facts=() if known.summary else tuple(fact for fact in known.facts if fact.item not in items),
            summary=tuple(line for line in known.summary if line.item not in items),
        ),
    )


def _as_shown(made_of: _Materials, prompt: Prompt) -> tuple[_Materials, frozenset[str]]:
    """Return the materials with the passages as a prompt shows them, and the names of parts it has not.

    What did not fit would else come in where another part is left out, and be counted as its influence.
    """
    texts = {passage.chunk_id: passage.text for passage in prompt.passages}
    hits = tuple(
        dataclasses.replace(hit, chunk=dataclasses.replace(hit.chunk, text=texts[hit.chunk.id]))
        for hit in made_of.hits
        if hit.chunk.id in texts
    )
    known = made_of.profile
    names = {
        *(style_item(i) for i in range(1, len(known.style) + 1)),
        *(fact.item for fact in known.facts),
        *(line.item for line in known.summary),
        *(exemplar.item for exemplar in made_of.exemplars),
        *(turn_item(i, turn) for i, turn in enumerate(made_of.turns, 1)),
    }
    shown = {item.item for section in prompt.sections for item in section.items}
    return dataclasses.replace(made_of, hits=hits), frozenset(names - shown)


def _facts_in(item: str) -> list[str]:
    """Return the numbers of the statements that an item of a ledger stands for."""
    kind, _, numbers = item.partition(" ")
    return numbers.split("+") if kind in ("fact", "facts") else []


def _is_personal(item: str) -> bool:
    return item.startswith(("style ", "fact ", "facts "))


def _known_to(prompt: Prompt) -> list[str]:
    """Return the texts a draft may take facts from: request, passages, and what is said of the person."""
    return [message.content for message in prompt.messages if message.role != "assistant"]


def _words_of(length: str) -> int:
    """Return a length as words; 0 when none is given.  Raises: ConfigError for one that means nothing."""
    length = length.strip().lower()
    if not length:
        return 0
    if length in _LENGTHS:
        return _LENGTHS[length]
    if length.isascii() and length.isdigit() and 0 < int(length) <= 2_000:
        return int(length)
    raise ConfigError(
        f"the length must be {', '.join(_LENGTHS)} or a number of words up to 2000, not {length[:20]!r}",
        hint="ragperso write --length short 'REQUEST'",
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
