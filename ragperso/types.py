"""Words: the frozen records that stages hand to each other.

Text of a person is ``field(repr=False)`` everywhere, so that a log line or a traceback that prints a
record shows ids and counts only.  Offsets are Python character offsets, end exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, NewType, TypeAlias

import numpy as np
from numpy.typing import NDArray

ChunkId = NewType("ChunkId", int)
DocumentId = NewType("DocumentId", int)
UserId = NewType("UserId", str)

Vector: TypeAlias = NDArray[np.float32]  # (dim,), unit length
Vectors: TypeAlias = NDArray[np.float32]  # (n, dim), unit rows
Scores: TypeAlias = NDArray[np.float32]  # (n,), one per row of an index; larger is better
Rows: TypeAlias = NDArray[np.int32]  # (n,), positions in an index
Ids: TypeAlias = NDArray[np.int64]  # (n,), sorted ascending where a docstring says so
Ranking: TypeAlias = list[tuple[ChunkId, float]]  # best first; larger is better
Json: TypeAlias = Any  # what json.loads returns

Corpus = Literal["documents", "history", "exemplars"]
CORPORA: tuple[Corpus, ...] = ("documents", "history", "exemplars")

Format = Literal["markdown", "text", "rst", "mail", "code", "row"]
Role = Literal["system", "user", "assistant"]


def as_utc(moment: datetime) -> datetime:
    """Return the time of a record with a zone, so that any two can be compared; a naive one counts as UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


# ---------------------------------------------------------------- 1 ingest


@dataclass(frozen=True, slots=True)
class Document:
    """One thing the person gave us, as a reader returns it.

    ``key`` is what the person calls it (a path, or the id of a row or message) and is unique in its
    corpus.  ``source`` is the file it came from: equal to ``key`` for plain files, the container for
    rows and messages.  ``pages`` are start offsets of pages, in order, when the source has pages.
    ``indexed_from`` is the offset at which indexable text starts (after front matter).
    """

    key: str
    text: str = field(repr=False)
    format: Format = "text"
    source: str = ""
    title: str = field(default="", repr=False)
    ts: datetime | None = None
    meta: Mapping[str, Json] = field(default_factory=dict, repr=False)
    pages: tuple[int, ...] = ()
    indexed_from: int = 0


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the store knows it."""

    id: DocumentId
    corpus: Corpus
    key: str
    source: str
    format: Format
    title: str = field(repr=False)
    ts: datetime | None
    meta: Mapping[str, Json] = field(repr=False)
    n_chunks: int
    n_chars: int
    added_at: datetime


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """Where one chunk lies in its document: ``text[start:end]`` under ``headings``."""

    start: int
    end: int
    headings: tuple[str, ...] = field(default=(), repr=False)
    n_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored chunk; its id is also its id in FAISS and in the lexical index."""

    id: ChunkId
    document_id: DocumentId
    corpus: Corpus
    ordinal: int
    start: int
    end: int
    n_tokens: int
    text: str = field(repr=False)
    headings: tuple[str, ...] = field(default=(), repr=False)
    document: str = ""  # the document's key
    title: str = field(default="", repr=False)
    ts: datetime | None = None
    meta: Mapping[str, Json] = field(default_factory=dict, repr=False)
    page: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file or row that could not be taken in, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ``add`` did; counts are documents."""

    added: int = 0
    modified: int = 0
    removed: int = 0
    unchanged: int = 0
    renamed: int = 0
    skipped: tuple[Skipped, ...] = ()
    chunks: int = 0
    embedded: int = 0
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The counts alone, for an audit."""
        names = ("added", "modified", "removed", "unchanged", "renamed", "chunks", "embedded")
        return {**{name: getattr(self, name) for name in names}, "skipped": len(self.skipped)}

    @property
    def changed(self) -> bool:
        """Whether anything in the store is different now."""
        return bool(self.added or self.modified or self.removed or self.renamed)

    def __add__(self, other: IngestReport) -> IngestReport:
        """Return the report of both runs together."""
        times = {
            name: self.timings_ms.get(name, 0.0) + other.timings_ms.get(name, 0.0)
            for name in {*self.timings_ms, *other.timings_ms}
        }
        return IngestReport(
            added=self.added + other.added,
            modified=self.modified + other.modified,
            removed=self.removed + other.removed,
            unchanged=self.unchanged + other.unchanged,
            renamed=self.renamed + other.renamed,
            skipped=self.skipped + other.skipped,
            chunks=self.chunks + other.chunks,
            embedded=self.embedded + other.embedded,
            timings_ms=times,
        )


# ---------------------------------------------------------------- 3 retrieve


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search may see; applied before ranking, never after.

    ``since`` and ``until`` bound the document's own time (until exclusive); documents without a time
    pass only when neither is given.  ``meta`` wants equality, or membership for list values.
    """

    since: datetime | None = None
    until: datetime | None = None
    documents: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()  # keys of documents that are left out

    @property
    def is_open(self) -> bool:
        return not (self.since or self.until or self.documents or self.meta or self.hidden)


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.  ``text`` is as typed, ``resolved`` stands on its own."""

    text: str = field(repr=False)
    resolved: str = field(default="", repr=False)
    asked_at: datetime | None = None
    filters: Filters = field(default_factory=Filters)

    @property
    def search_text(self) -> str:
        return self.resolved or self.text


@dataclass(frozen=True, slots=True)
class Leg:
    """How one retriever saw a hit; ``rank`` starts at 1."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a query.  ``via`` maps retriever name to :class:`Leg`; ``why`` maps each kind of
    evidence to what it added to the score, largest first (empty for a fusion of rankings)."""

    rank: int
    score: float
    chunk: Chunk
    via: Mapping[str, Leg]
    relevance: float = 0.0  # 0..1: how likely this chunk answers the query
    duplicates: tuple[ChunkId, ...] = ()  # near-duplicates collapsed into this hit
    why: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.chunk.text

    @property
    def document(self) -> str:
        return self.chunk.document


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What retrieval found, the query as it was understood, and what each step took."""

    query: Query
    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]


# ---------------------------------------------------------------- 4 assemble


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Role
    text: str = field(repr=False)
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A piece of the person's own writing, shown for style.

    ``request`` is what it answered (the received mail, the question), empty when unknown.  ``audience`` is
    whom it was written to, folded: an address or a name.
    """

    id: str
    text: str = field(repr=False)
    request: str = field(default="", repr=False)
    register: str = ""
    language: str = ""
    source: str = ""
    ts: datetime | None = None
    title: str = field(default="", repr=False)
    audience: str = field(default="", repr=False)
    is_accepted: bool = False  # a draft of the engine that the person took as it was
    is_shared: bool = False  # not the person's own: the team's, shown while there is little else

    @property
    def item(self) -> str:
        """What a ledger calls it."""
        return f"exemplar {self.id}"


StatementKind = Literal["preference", "fact", "plan", "relation", "event"]
Origin = Literal["user", "mined", "model"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing a text says of its speaker or of someone the speaker knows; ``text[start:end]`` is its
    clause.

    ``slot`` names what it is about, such as ``home``, ``job``, ``name of my sister`` or ``taste: coffee``: of
    two claims with one subject and one slot the newer holds.  ``value`` is what it says of it, folded; with
    ``ends`` alone the claim says that something held before is over.
    """

    start: int
    end: int
    kind: StatementKind
    slot: str = field(repr=False)
    value: str = field(repr=False)
    subject: str = field(default="", repr=False)  # "" is who speaks; else a name, or "sister", "boss"
    negated: bool = False
    corrects: bool = False  # "actually", "I meant": what was said before was wrong, not merely older
    certainty: float = 1.0  # 0..1
    starts: datetime | None = None  # from when it holds, where the text says so
    ends: datetime | None = None  # until when, where the text says so or a plan's day passes


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement the engine believes, in the words it was said in, with where it came from.

    It holds from ``valid_from`` to ``valid_to`` (None: still); ``superseded_by`` is the number of the
    statement that took its place, which stays readable.
    """

    id: int
    text: str = field(repr=False)
    origin: Origin = "user"
    source: str = ""  # document key, or "" when the person said so directly
    start: int = 0
    end: int = 0
    at: datetime | None = None  # when it was said
    kind: StatementKind = "fact"
    subject: str = field(default="", repr=False)  # "" is the person; else whom they said it about
    slot: str = field(default="", repr=False)
    value: str = field(default="", repr=False)
    negated: bool = False
    confidence: float = 1.0
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    superseded_by: int = 0
    n_seen: int = 1  # times it was said; 0: a repetition, kept so that forgetting the other leaves this one
    detail: str = field(default="", repr=False)  # what its own words say of time, as JSON; learn/profile.py

    @property
    def item(self) -> str:
        """What a ledger calls it."""
        return f"fact {self.id}"

    def holds(self, at: datetime) -> bool:
        """Say whether it is believed of the moment ``at``."""
        return not self.superseded_by and (self.valid_to is None or at < self.valid_to)


PersonalPart = Literal["exemplars", "card", "profile", "history", "documents"]
PERSONAL_PARTS: tuple[PersonalPart, ...] = ("exemplars", "card", "profile", "history", "documents")


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One line of the profile's summary and the numbers of the statements it rests on."""

    text: str = field(repr=False)
    facts: tuple[int, ...] = ()

    @property
    def item(self) -> str:
        """What a ledger calls it."""
        return f"facts {'+'.join(map(str, self.facts))}"


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of the person, for the stable part of the prompt."""

    name: str = field(default="", repr=False)
    languages: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = field(default=(), repr=False)
    style: tuple[str, ...] = field(default=(), repr=False)  # sentences about how the person writes
    summary: tuple[SummaryLine, ...] = field(default=(), repr=False)  # the facts in fewer words


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message as the model reads it."""

    role: Role
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit as it stands in the prompt, under a short citation label such as ``1``."""

    label: str
    chunk_id: ChunkId
    document: str
    start: int
    end: int
    text: str = field(repr=False)
    provenance: str = field(default="", repr=False)
    relevance: float = 0.0


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """One thing that went into a section and what it cost."""

    item: str
    tokens: int
    detail: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the prompt, in prompt order."""

    name: str
    tokens: int
    items: tuple[LedgerItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that was found but left out, and why."""

    item: str
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads, and the account of it.

    The system message of an answer depends on the person only, not on the question: it is the part worth
    keeping in a model's cache.
    """

    messages: tuple[Message, ...]
    sections: tuple[Section, ...]
    dropped: tuple[Dropped, ...]
    tokens: int
    budget_tokens: int
    question: str = field(repr=False)
    passages: tuple[Passage, ...] = field(default=(), repr=False)
    task: Literal["ask", "write"] = "ask"


# ---------------------------------------------------------------- 5 generate


@dataclass(frozen=True, slots=True)
class Completion:
    """What a generator wrote.  Times are milliseconds since the call."""

    text: str = field(repr=False)
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    finish_reason: Literal["stop", "length", "cancelled"] = "stop"
    first_token_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer at ``answer[start:end]``, checked against the passages.

    ``label`` names the passage that supports it; ``None`` marks it unsupported.
    """

    start: int
    end: int
    label: str | None
    support: float


@dataclass(frozen=True, slots=True)
class Citation:
    """A label used in an answer and what it stands for."""

    label: str
    document: str
    start: int
    end: int
    chunk: ChunkId
    page: int | None = None
    line: int | None = None
    heading: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one exchange."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a draft is from a style card.

    ``overall`` is the mean distance of its figures in standard deviations of the person's own pieces, each
    figure weighted by how well a text of that length shows it; nine of ten own pieces stay below ``usual``.
    ``likeness`` is the logarithm of how much likelier the figures and common words are for the person than
    for others; ``is_unlike`` when it is lower than in nine of ten own pieces.  ``deviations`` say what
    differs most, as sentences to the person.
    """

    overall: float
    likeness: float
    words: int
    usual: float
    is_unlike: bool = False
    deviations: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``ask`` returns: text, evidence, cost, and the id it was recorded under."""

    answer: str = field(repr=False)
    abstained: bool
    citations: tuple[Citation, ...]
    sentences: tuple[Sentence, ...]
    usage: Usage
    timings_ms: Mapping[str, float]
    interaction: str
    prompt: Prompt | None = field(default=None, repr=False)
    hits: tuple[Hit, ...] = field(default=(), repr=False)
    model: str = ""
    note: str = ""  # what the engine did with the draft, e.g. replaced an unsupported one
    manner: Distance | None = None  # of a draft: how far it is from how the person writes
    unfounded: tuple[str, ...] = field(default=(), repr=False)  # names and numbers that no source has


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely a model finds a given text behind a prompt, token by token (teacher forcing).

    ``logprobs`` are natural logarithms, one per token of the text, ``ends`` where in its UTF-8 bytes each
    token ends; ``n_bytes`` is its length.
    """

    logprobs: tuple[float, ...]
    n_bytes: int
    ends: tuple[int, ...] = ()
    n_prompt_tokens: int = 0
    n_cached: int = 0

    @property
    def total(self) -> float:
        """Log-likelihood of the whole text in nats."""
        return sum(self.logprobs)

    @property
    def bits_per_byte(self) -> float:
        """Bits the model needs per byte of the text: comparable between models; less is better."""
        return -self.total / math.log(2) / max(1, self.n_bytes)


# ---------------------------------------------------------------- 6 record

Verdict = Literal["good", "bad", "edited", "followed"]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One stored exchange."""

    id: str
    session: str
    asked_at: datetime
    query: str = field(repr=False)
    resolved: str = field(repr=False)
    answer: str = field(repr=False)
    abstained: bool
    model: str
    citations: tuple[Citation, ...] = ()
    prompt_sha256: str = ""
    chunk_ids: tuple[ChunkId, ...] = ()
    usage: Usage = field(default_factory=Usage)
    ledger: Json = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A mark the person gave an interaction; ``edited`` is their own version of the answer."""

    interaction: str
    verdict: Verdict
    edited: str = field(default="", repr=False)
    at: datetime | None = None
    detail: str = field(default="", repr=False)  # what it is evidence about, as JSON; see record/feedback.py


# ---------------------------------------------------------------- privacy


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit: what was done, with counts and ids, never with content."""

    seq: int
    at: datetime
    action: str
    detail: Mapping[str, Json]
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that something was removed; holds counts and hashes, no content."""

    id: str
    at: datetime
    action: Literal["forget", "erase"]
    counts: Mapping[str, int]
    subject_sha256: str  # salted, so that it proves only to who knows the subject and the salt
    salt: str
