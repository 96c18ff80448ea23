"""Surface, evaluate: does personalization help the person it serves?

In: sessions, pieces of writing that are held out.  Out: a :class:`Found`: how well the local model predicts
the person's real text with their own writing, with none, with somebody else's; what each part is worth; who
the drafts read like.
Never: shows the model a piece it is measured on, mixes two people in one prompt, records an exchange.

The measure is bits per byte of the real text, teacher-forced: the cross-entropy of the model on what the
person wrote, in a unit that does not depend on the tokenizer (Gao et al. 2020, "The Pile", section 3.1).
Fewer bits mean that the prompt said more about this text.  Every condition scores the same text behind the
same request, so all comparisons are paired.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragperso import metrics, samples
from ragperso.assemble.templates import one_line, render_request
from ragperso.engine import Engine, Session
from ragperso.errors import NotEnoughData
from ragperso.evaluate import authorship
from ragperso.evaluate.authorship import Share
from ragperso.metrics import Interval
from ragperso.segment import sentences
from ragperso.tokens import shingles
from ragperso.types import PERSONAL_PARTS, Exemplar, PersonalPart, Prompt

MIN_PIECES: Final = 8  # below it an interval says nothing a person could use
PIECES: Final = 12  # of one person; with the drafts about two minutes on two cores with the starter model
DRAFTS: Final = 6
MINUTES: Final = 3.0
DRAFT_TOKENS: Final = 96  # enough for a greeting, a few sentences and a sign-off
ALL: Final = "all"
OWN: Final = "own"
NONE: Final = "none"
OTHER: Final = "other"
SEEN: Final = "seen"  # the piece itself may be shown: what a test without holding out would report

_MIN_CHARS: Final = 60  # of a text that is scored; of shorter ones the first word decides
_BEGINNING: Final = 0.4  # of a piece without a request that serves as one
_MAX_BEGINNING: Final = 400  # characters; as long as the requests that exemplars keep
_RUN: Final = 5  # words: shared runs of this length come from the same text, not from the same topic
_REPEATED: Final = 0.3  # share of such runs from which on a document counts as holding the piece
_HABIT: Final = 3  # pieces that hold a run: as learn.exemplars counts boilerplate
_BATCH: Final = 4  # pieces measured together: all their prompts are sorted so that beginnings are shared
_TO_LEARN: Final = (
    20  # pieces a classifier should have of a person; below, only those of the drafts are kept from it
)
_SHARES: Final = (0.5, 0.8)  # of the time budget after which no more pieces, then no more drafts are begun

Values: TypeAlias = NDArray[np.float64]
Memo: TypeAlias = MutableMapping[str, float | str]  # of scores and drafts, by the hash of what made them
Tell: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A real text of the person that the model has to predict; ``hide`` are the documents that hold it."""

    id: str
    request: str = field(repr=False)
    text: str = field(repr=False)
    register: str = ""
    hide: frozenset[str] = frozenset()
    is_cut: bool = False  # nothing asked for it, so its beginning is the request


@dataclass(frozen=True, slots=True)
class Subject:
    """One person to measure, with whom to compare them; the others are met in turn, one per piece."""

    session: Session
    pieces: tuple[HeldOut, ...]
    others: tuple[Session, ...]
    name: str = ""  # what to call them; else the user's

    @property
    def label(self) -> str:
        return self.name or str(self.session.user)


@dataclass(frozen=True, slots=True)
class Gains:
    """Bits per byte under each condition, and the ratios that speak; a ratio below 1 is a gain."""

    n: int
    bits: Mapping[str, Interval]
    own_to_none: Interval
    own_to_other: Interval
    other_to_none: Interval
    below_none: Share  # pieces that own writing makes easier than none does
    below_other: Share


@dataclass(frozen=True, slots=True)
class Worth:
    """What one part adds, in bits per byte; positive means that it helps.

    ``left_out``: everything without it, less everything.  ``alone``: nothing, less it alone.  Both None where
    it changed no prompt.
    """

    part: PersonalPart
    n_changed: int
    left_out: Interval | None
    alone: Interval | None


@dataclass(frozen=True, slots=True)
class Fit:
    """Gains (share of the bits saved) on writing that may be shown and on writing that is held out."""

    seen: Interval
    held_out: Interval
    gap: Interval  # seen - held out, paired

    @property
    def is_overfitted(self) -> bool:
        """Whether it gains on what it has seen, while on new writing there may be no gain at all."""
        return self.gap.low > 0 and self.held_out.low <= 0


@dataclass(frozen=True, slots=True)
class Drafts:
    """Of the drafts made under each condition, those that read most like the person.

    ``real`` is the same for texts the person did write: what the classifier can do at best.  ``chance`` is
    what guessing gets right.
    """

    right: Mapping[str, Share]  # by condition
    real: Share
    chance: float
    authors: Mapping[str, int]  # texts it was trained on, by person


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured.  ``people`` has :data:`ALL` first where there are several."""

    model: str
    people: Mapping[str, Gains]
    others: tuple[str, ...]
    parts: tuple[Worth, ...]
    n_parts: int  # pieces that the parts were measured on
    fit: Fit | None
    drafts: Drafts | None
    drafts_by_person: Mapping[str, Drafts]
    n_wanted: int
    n_cut: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def main(self) -> Gains:
        """The gains of the one person, or of all together."""
        return next(iter(self.people.values()))


# ---------------------------------------------------------------- what is held out


def held_out(session: Session, n: int, *, seed: int = 0) -> tuple[HeldOut, ...]:
    """Return ``n`` pieces of the person's writing, drawn at random, at most one of each document.

    Drafts that the person accepted, and what is not their own, are never among them.
    Raises: NotEnoughData, with the command that helps.
    """
    own = own_pieces(session)
    shuffled = list(own)
    random.Random(seed).shuffle(shuffled)
    sources: set[str] = set()
    found: list[tuple[Exemplar, str, str, bool]] = []
    for piece in shuffled:
        if piece.source and piece.source in sources:
            continue
        asked = _asked(piece)
        if asked is None:
            continue
        sources.add(piece.source)
        found.append((piece, *asked))
    if len(found) < MIN_PIECES:
        raise NotEnoughData(
            f"{len(found)} pieces of writing of {str(session.user)!r} can be held out;"
            f" at least {MIN_PIECES} are needed",
            hint=f"ragperso add --corpus exemplars PATH --user {session.user}"
            "   (mails you sent, posts, notes in your own words)",
        )
    hidden = _holders(session, [piece for piece, *_ in found[:n]])
    return tuple(
        HeldOut(piece.id, request, text, piece.register, hide, is_cut)
        for (piece, request, text, is_cut), hide in zip(found[:n], hidden, strict=True)
    )


def own_pieces(session: Session) -> list[Exemplar]:
    """Return what the person wrote themselves: nothing shared, no draft of the engine."""
    return [p for p in session.pieces() if not p.is_shared and not p.is_accepted]


def _asked(piece: Exemplar) -> tuple[str, str, bool] | None:
    """Return the request of a piece, the text to predict, and whether the piece was cut for it."""
    if piece.request or piece.title:
        return (render_request(piece), piece.text, False) if len(piece.text) >= _MIN_CHARS else None
    split = cut_at(piece.text)
    if split is None:
        return None
    beginning, rest = piece.text[:split], piece.text[split:].strip()
    return f"Continue this {piece.register or 'text'}: {one_line(beginning)}", rest, True


def cut_at(text: str) -> int | None:
    """Return where the beginning of a text ends, behind a sentence if one ends near, else behind a word.

    None for a text that is too short to be cut.
    """
    limit = min(int(_BEGINNING * len(text)), _MAX_BEGINNING)
    if len(text) - limit < _MIN_CHARS or limit < _MIN_CHARS // 2:
        return None
    window = text[: 2 * limit]
    near = [end for _, end in sentences(window)[:-1] if limit // 2 <= end <= limit + limit // 2]
    if near:
        end = min(near, key=lambda end: (abs(end - limit), end))
    else:
        blank = text.find(" ", limit)
        end = blank if 0 <= blank <= 2 * limit else limit
    return end if len(text[end:].strip()) >= _MIN_CHARS else None


def _holders(session: Session, pieces: Sequence[Exemplar]) -> list[frozenset[str]]:
    """Return for each piece the documents that hold its words: its source, and what quotes or repeats it.

    A reply to a held-out mail quotes it, and a note may have been sent as a mail.  What the person writes
    again and again is their manner: it is not what a piece is known by.
    """
    n_with = Counter(gram for piece in session.pieces() for gram in shingles(piece.text, _RUN))
    grams = [{g for g in shingles(piece.text, _RUN) if n_with[g] < _HABIT} for piece in pieces]
    hidden = [{key for key in (p.source, p.id, f"exemplar/{p.id}") if key} for p in pieces]
    by_gram: dict[int, list[int]] = {}
    for i, some in enumerate(grams):
        for gram in some:
            by_gram.setdefault(gram, []).append(i)
    for document in session.store.documents():
        theirs = {g for g in shingles(session.store.text(document.id), _RUN) if n_with[g] < _HABIT}
        common = Counter(i for gram in theirs for i in by_gram.get(gram, ()))
        for i, n in common.items():
            if n >= _REPEATED * min(len(grams[i]), len(theirs)):
                hidden[i].add(document.key)
    return [frozenset(keys) for keys in hidden]


@contextlib.contextmanager
def sample_people(engine: Engine) -> Iterator[tuple[Session, ...]]:
    """Yield the bundled sample people in a temporary home, on the models of ``engine``."""
    with tempfile.TemporaryDirectory(prefix="ragperso-eval-") as home, samples.people() as people:
        config = engine.config.replace({"general.home": home, "learn.mine": True})
        # Not closed, as the models are the other engine's; the sessions are.
        other = Engine(config=config, embedder=engine.embedder, generator=engine.generator, now=engine.now)
        sessions = []
        try:
            for person in people.values():
                session = other.session(person.user)
                sessions.append(session)
                session.introduce(name=person.name, languages=person.languages, addresses=person.addresses)
                session.add(person.documents)
                session.add(person.history, "history")
            yield tuple(sessions)
        finally:
            for session in sessions:
                session.close()


# ---------------------------------------------------------------- measuring


@dataclass(slots=True)
class _Row:
    """One piece and what was measured of it."""

    subject: Subject
    piece: HeldOut
    other: Session
    bits: dict[str, float] = field(default_factory=dict)
    changed: set[PersonalPart] = field(default_factory=set)


def measure(
    subjects: Sequence[Subject],
    *,
    parts: bool = True,
    n_drafts: int = DRAFTS,
    budget_s: float = math.inf,
    seed: int = 0,
    memo: Memo | None = None,
    on_progress: Tell | None = None,
) -> Found:
    """Measure the subjects together; the first thing to go when time runs out are the parts, then drafts.

    ``memo`` keeps scores and drafts between runs: a prompt and a text are scored once.
    Raises: ConfigError where the backend cannot score; ModelUnavailable; NotEnoughData without a piece.
    """
    if not any(subject.pieces for subject in subjects) or not all(subject.others for subject in subjects):
        raise NotEnoughData("there is nothing to measure, or nobody to compare with")
    clock = _Clock(budget_s)
    meter = _Meter(memo if memo is not None else {}, subjects[0].session.engine)
    every = _in_turn(subjects)
    tell = _Teller(on_progress, len(every), parts=parts, n_drafts=n_drafts * len(subjects))
    notes: list[str] = []

    rows: list[_Row] = []
    for batch in _batches(every):
        if clock.is_past(_SHARES[0]) and len(rows) >= MIN_PIECES * len(subjects):
            break
        _measure_main(batch, meter, tell)
        rows += batch
    if len(rows) < len(every):
        notes.append(f"time ran out: {len(rows)} of {len(every)} pieces were measured")

    drafts: dict[str, Drafts] = {}
    together: Drafts | None = None
    if n_drafts > 0:
        try:
            drafts, together, n_done = _measure_drafts(subjects, n_drafts, meter, clock, tell)
        except NotEnoughData as exc:
            notes.append(f"no authorship: {exc.message}")
        else:
            if n_done < n_drafts * len(subjects):
                notes.append(f"{n_done} drafts of each kind were made")

    measured: list[_Row] = []
    if parts:
        for batch in _batches(rows):
            if clock.is_past(1.0):
                break
            _measure_parts(batch, meter, tell)
            measured += batch
        if len(measured) < len(rows):
            notes.append(f"time ran out: the parts were measured on {len(measured)} pieces")
    return Found(
        model=meter.model,
        people=_people(subjects, rows, seed),
        others=tuple(dict.fromkeys(str(s.user) for subject in subjects for s in subject.others)),
        parts=_worths(measured, seed),
        n_parts=len(measured),
        fit=_fit([row for row in rows if row.piece.hide], seed),
        drafts=together,
        drafts_by_person=drafts,
        n_wanted=len(every),
        n_cut=sum(row.piece.is_cut for row in rows),
        seconds=clock.seconds,
        notes=tuple(notes),
    )


def _in_turn(subjects: Sequence[Subject]) -> list[_Row]:
    """Return all pieces, the people in turn, so that a cut-off run has seen everybody."""
    longest = max(len(subject.pieces) for subject in subjects)
    return [
        _Row(subject, subject.pieces[i], subject.others[i % len(subject.others)])
        for i in range(longest)
        for subject in subjects
        if i < len(subject.pieces)
    ]


def _batches(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Yield rows in groups of one person: their prompts begin alike, and a model's cache is one person's."""
    by_user: dict[str, list[_Row]] = {}
    for row in rows:
        group = by_user.setdefault(row.subject.label, [])
        group.append(row)
        if len(group) == _BATCH:
            yield by_user.pop(row.subject.label)
    yield from by_user.values()


def _measure_main(batch: Sequence[_Row], meter: _Meter, tell: _Teller) -> None:
    jobs: list[tuple[_Row, str, Prompt]] = []
    for row in batch:
        own, piece = row.subject.session, row.piece
        jobs.append((row, OWN, prompt_of(own, piece)))
        jobs.append((row, NONE, prompt_of(own, piece, without=PERSONAL_PARTS)))
        jobs.append((row, OTHER, other_prompt(row.other, piece)))
        if piece.hide:
            jobs.append((row, SEEN, prompt_of(own, piece, hold_out=False)))
    meter.score(jobs, tell)


def _measure_parts(batch: Sequence[_Row], meter: _Meter, tell: _Teller) -> None:
    """Leave each part out, and take each alone; a part that changes no prompt costs nothing."""
    jobs: list[tuple[_Row, str, Prompt]] = []
    for row in batch:
        own, piece = row.subject.session, row.piece
        everything = prompt_of(own, piece).messages
        for part in PERSONAL_PARTS:
            less = prompt_of(own, piece, without=(part,))
            if less.messages == everything:
                row.bits[f"-{part}"] = row.bits[OWN]
                tell.step(2)
                continue
            row.changed.add(part)
            jobs.append((row, f"-{part}", less))
            rest = [name for name in PERSONAL_PARTS if name != part]
            jobs.append((row, f"+{part}", prompt_of(own, piece, without=rest)))
    meter.score(jobs, tell)


def prompt_of(
    session: Session,
    piece: HeldOut,
    *,
    without: Collection[PersonalPart] = (),
    hold_out: bool = True,
) -> Prompt:
    """Return the prompt for a piece with everything of the person but ``without`` and the piece itself."""
    return session.prompt(
        piece.request, task="write", without=without, hide=piece.hide if hold_out else frozenset()
    )


def other_prompt(other: Session, piece: HeldOut) -> Prompt:
    """Return the prompt for the same request with everything of somebody else."""
    return other.prompt(piece.request, task="write")


class _Meter:
    """Scores and drafts, remembered by what made them."""

    def __init__(self, memo: Memo, engine: Engine) -> None:
        self._memo = memo
        engine.scorer  # noqa: B018  (refuses a backend that cannot score before anything is read)
        self.model = engine.generator.name

    def score(self, jobs: Iterable[tuple[_Row, str, Prompt]], tell: _Teller) -> None:
        """Put the bits per byte of each job into its row.

        In the order of the prompts' text, so that each shares as much of its beginning as possible with the
        one before, which the model then need not read again.
        """
        for row, condition, prompt in sorted(jobs, key=lambda job: _spelled(job[2])):
            key = self._key(prompt, "score", row.piece.text)
            known = self._memo.get(key)
            if not isinstance(known, float):
                # By the person's own session also for another's prompt: the cache stays one person's.
                known = row.subject.session.score(prompt, row.piece.text).bits_per_byte
                self._memo[key] = known
            row.bits[condition] = known
            tell.step()

    def draft(self, session: Session, prompt: Prompt) -> str:
        """Return what the model writes to ``prompt``."""
        chosen = session.config.generate
        key = self._key(prompt, "draft", str(DRAFT_TOKENS), str(chosen.draft_temperature), str(chosen.seed))
        known = self._memo.get(key)
        if not isinstance(known, str):
            known = session.draft(prompt, max_tokens=DRAFT_TOKENS)
            self._memo[key] = known
        return known

    def _key(self, prompt: Prompt, *more: str) -> str:
        parts = json.dumps([self.model, _spelled(prompt), *more])
        return hashlib.sha256(parts.encode("utf-8")).hexdigest()


def _spelled(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in prompt.messages]


class _Clock:
    """The time budget."""

    def __init__(self, budget_s: float) -> None:
        self._began = time.monotonic()
        self._budget_s = budget_s

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def is_past(self, share: float) -> bool:
        return self.seconds > share * self._budget_s


class _Teller:
    """Counts steps for a progress bar."""

    def __init__(self, on_progress: Tell | None, n_pieces: int, *, parts: bool, n_drafts: int) -> None:
        self._on_progress = on_progress
        self._total = n_pieces * (4 + (2 * len(PERSONAL_PARTS) if parts else 0)) + 3 * n_drafts
        self._done = 0

    def step(self, n: int = 1) -> None:
        self._done += n
        if self._on_progress is not None:
            self._on_progress(min(self._done, self._total), self._total)


# ---------------------------------------------------------------- whose draft is it


def _measure_drafts(
    subjects: Sequence[Subject], n_drafts: int, meter: _Meter, clock: _Clock, tell: _Teller
) -> tuple[dict[str, Drafts], Drafts, int]:
    """Return the attribution of drafts by person and together, and how many of a kind there are."""
    # A request that quotes the beginning of the text shows the manner to everyone: those come last.
    chosen = {s.label: sorted(s.pieces, key=lambda piece: piece.is_cut)[:n_drafts] for s in subjects}
    tested = {s.label: _tested(s, chosen[s.label]) for s in subjects}
    writers: dict[str, Session] = {subject.label: subject.session for subject in subjects}
    for subject in subjects:
        for other in subject.others:
            if all(session is not other for session in writers.values()):
                name = str(other.user)
                writers[name if name not in writers else f"{name} (sample)"] = other
    texts = {
        name: [
            p.text for p in own_pieces(session) if p.id not in {piece.id for piece in tested.get(name, ())}
        ]
        for name, session in writers.items()
    }
    judge = authorship.train(texts)
    for subject in subjects:
        if subject.label not in judge.people:
            raise NotEnoughData(f"too few pieces of {subject.label!r} are left to learn their manner from")
    right: dict[str, dict[str, list[bool]]] = {s.label: {OWN: [], NONE: [], OTHER: []} for s in subjects}
    n_done = 0
    for i in range(n_drafts):
        for subject in subjects:
            if i >= len(chosen[subject.label]) or clock.is_past(_SHARES[1]):
                continue
            piece, own = chosen[subject.label][i], subject.session
            other = subject.others[i % len(subject.others)]
            for condition, prompt in (
                (OWN, prompt_of(own, piece)),
                (NONE, prompt_of(own, piece, without=PERSONAL_PARTS)),
                (OTHER, other_prompt(other, piece)),
            ):
                author = judge.author(meter.draft(own, prompt))
                right[subject.label][condition].append(author == subject.label)
                tell.step()
            n_done += 1
    real = {s.label: [judge.author(piece.text) == s.label for piece in tested[s.label]] for s in subjects}
    by_person = {
        name: Drafts(
            right={condition: _share(hits) for condition, hits in found.items()},
            real=_share(real[name]),
            chance=1 / len(judge.people),
            authors=judge.n_texts,
        )
        for name, found in right.items()
    }
    together = Drafts(
        right={
            condition: _share([hit for found in right.values() for hit in found[condition]])
            for condition in (OWN, NONE, OTHER)
        },
        real=_share([hit for hits in real.values() for hit in hits]),
        chance=1 / len(judge.people),
        authors=judge.n_texts,
    )
    return by_person, together, n_done


def _tested(subject: Subject, chosen: Sequence[HeldOut]) -> Sequence[HeldOut]:
    """Return the pieces that the classifier is not trained on: all held out, where enough others are left."""
    n_left = len(own_pieces(subject.session)) - len(subject.pieces)
    return subject.pieces if n_left >= _TO_LEARN else chosen


def _share(hits: Sequence[bool]) -> Share:
    return authorship.share(sum(hits), len(hits))


# ---------------------------------------------------------------- summing up


def _people(subjects: Sequence[Subject], rows: Sequence[_Row], seed: int) -> dict[str, Gains]:
    by_person = {s.label: [row for row in rows if row.subject is s] for s in subjects}
    by_person = {name: found for name, found in by_person.items() if found}
    everyone = {ALL: list(by_person.values())} if len(by_person) > 1 else {}
    groups: dict[str, list[list[_Row]]] = {**everyone, **{name: [found] for name, found in by_person.items()}}
    return {name: _gains(group, seed) for name, group in groups.items()}


def _gains(groups: Sequence[Sequence[_Row]], seed: int) -> Gains:
    def of(value: Callable[[_Row], float]) -> Interval:
        return clustered([[value(row) for row in group] for group in groups], seed=seed)

    rows = [row for group in groups for row in group]
    return Gains(
        n=len(rows),
        bits={name: of(lambda row, name=name: row.bits[name]) for name in (OWN, NONE, OTHER)},  # type: ignore[misc]
        own_to_none=of(lambda row: _ratio(row, OWN, NONE)),
        own_to_other=of(lambda row: _ratio(row, OWN, OTHER)),
        other_to_none=of(lambda row: _ratio(row, OTHER, NONE)),
        below_none=_share([row.bits[OWN] < row.bits[NONE] for row in rows]),
        below_other=_share([row.bits[OWN] < row.bits[OTHER] for row in rows]),
    )


def _ratio(row: _Row, above: str, below: str) -> float:
    # A text the model knows for certain has no bits to save.
    return row.bits[above] / row.bits[below] if row.bits[below] > 0 else 1.0


def _worths(rows: Sequence[_Row], seed: int) -> tuple[Worth, ...]:
    found = []
    for part in PERSONAL_PARTS if rows else ():
        changed = [row for row in rows if part in row.changed]
        if not changed:
            found.append(Worth(part, 0, None, None))
            continue
        left_out = _by_person(rows, lambda row, part=part: row.bits[f"-{part}"] - row.bits[OWN])  # type: ignore[misc]
        alone = _by_person(
            rows,
            lambda row, part=part: row.bits[NONE] - row.bits.get(f"+{part}", row.bits[NONE]),  # type: ignore[misc]
        )
        found.append(Worth(part, len(changed), clustered(left_out, seed=seed), clustered(alone, seed=seed)))
    return tuple(found)


def _fit(rows: Sequence[_Row], seed: int) -> Fit | None:
    if not rows:
        return None
    seen = _by_person(rows, lambda row: 1 - _ratio(row, SEEN, NONE))
    held = _by_person(rows, lambda row: 1 - _ratio(row, OWN, NONE))
    gaps = [[a - b for a, b in zip(one, two, strict=True)] for one, two in zip(seen, held, strict=True)]
    return Fit(clustered(seen, seed=seed), clustered(held, seed=seed), clustered(gaps, seed=seed))


def _by_person(rows: Sequence[_Row], value: Callable[[_Row], float]) -> list[list[float]]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.subject.label, []).append(value(row))
    return list(groups.values())


def clustered(groups: Sequence[Sequence[float]], *, seed: int = 0) -> Interval:
    """Return the mean over all values with a bootstrap interval that draws people, then their pieces.

    Pieces of one person are alike, so drawing pieces alone would make the interval of several people too
    narrow.  Of one person it is the plain bootstrap over pieces.
    Source: Davison & Hinkley 1997, "Bootstrap methods and their application", section 3.8.
    """
    arrays = [np.asarray(group, np.float64) for group in groups if len(group)]
    if not arrays:
        raise ValueError("there are no values to average")
    if len(arrays) == 1:
        return metrics.bootstrap(arrays[0], seed=seed)
    draw = np.random.default_rng(seed)
    means = np.empty(metrics.RESAMPLES)
    for i in range(metrics.RESAMPLES):
        chosen = [arrays[k] for k in draw.integers(0, len(arrays), len(arrays))]
        drawn = [one[draw.integers(0, len(one), len(one))] for one in chosen]
        means[i] = np.concatenate(drawn).mean()
    everything = np.concatenate(arrays)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(everything.mean()), float(low), float(high), len(everything))


# ---------------------------------------------------------------- in words


def verdict(found: Found) -> list[str]:
    """Return what was found in sentences for people who know nothing of bits."""
    gains = found.main
    whose, texts = ("Your own writing", "your texts") if len(found.people) == 1 else ("Own writing", "texts")
    own, other = 1 - gains.own_to_none.mean, 1 - gains.other_to_none.mean
    said = [
        f"{whose} makes {texts} {_easier(own)} for the model to predict; somebody else's {_easier(other)}.",
    ]
    about = gains.own_to_other
    if about.high < 1:
        said.append(
            f"It is about {'you' if len(found.people) == 1 else 'the person'}: with own writing it needs"
            f" {_percent(1 - about.mean)} fewer bits than with somebody else's"
            f" (between {_percent(1 - about.high)} and {_percent(1 - about.low)})."
        )
    elif about.low > 1:
        said.append("Somebody else's writing does better than own writing: that should not be.")
    else:
        said.append(
            "Whether it is about the person cannot be told from so little: the difference to somebody else's"
            f" writing lies between {_signed(1 - about.high)} and {_signed(1 - about.low)}."
        )
    if gains.own_to_none.high >= 1:
        said.append("The gain over no personalization is within chance.")
    said += [*_said_of_drafts(found.drafts, one=len(found.people) == 1), *_said_of_parts(found)]
    if found.fit is not None and found.fit.is_overfitted:
        said.append(
            f"Warning, overfitting: on writing it has seen the gain is {_percent(found.fit.seen.mean)}, on"
            f" held-out writing {_percent(found.fit.held_out.mean)}, which may be nothing. It repeats what"
            " was written rather than how."
        )
    return said


def _said_of_drafts(drafts: Drafts | None, *, one: bool) -> list[str]:
    if drafts is None or not drafts.right[OWN].n:
        return []
    own, none, other = (drafts.right[name] for name in (OWN, NONE, OTHER))
    whose = "the person" if one else "the right person"
    said = [
        f"Of {own.n} drafts made with own writing a classifier takes {own.n_right} for {whose}'s; of as many"
        f" made without, {none.n_right}; with somebody else's, {other.n_right}. Of real texts by {whose} it"
        f" knows {drafts.real.n_right} of {drafts.real.n}."
    ]
    if own.n_right <= none.n_right:
        said.append("So the drafts do not show whose they are: those without are taken for theirs as often.")
    return said


def _said_of_parts(found: Found) -> list[str]:
    helping = [w for w in found.parts if w.left_out is not None and w.left_out.low > 0]
    hurting = [w for w in found.parts if w.left_out is not None and w.left_out.high < 0]
    said = []
    if helping:
        best = max(helping, key=lambda worth: worth.left_out.mean if worth.left_out else 0.0)
        said.append(f"What helps most is {_NAMES[best.part]}.")
    said += [f"Without {_NAMES[worth.part]} it would do better." for worth in hurting]
    return said


_NAMES: Final[Mapping[PersonalPart, str]] = {
    "exemplars": "the examples of own writing",
    "card": "the style card",
    "profile": "the profile",
    "history": "the history",
    "documents": "the documents",
}


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _signed(value: float) -> str:
    return f"{100 * value:+.0f} %"


def _easier(gain: float) -> str:
    return f"{_percent(abs(gain))} {'easier' if round(100 * gain) >= 0 else 'harder'}"


def as_json(found: Found) -> dict[str, Any]:
    """Return everything measured, with four digits."""
    return {
        "model": found.model,
        "others": list(found.others),
        "pieces": {"wanted": found.n_wanted, "measured": found.main.n, "cut": found.n_cut},
        "people": {name: _gains_json(gains) for name, gains in found.people.items()},
        "parts": {
            "pieces": found.n_parts,
            "worth": {
                worth.part: {
                    "changed": worth.n_changed,
                    "left_out": _interval_json(worth.left_out),
                    "alone": _interval_json(worth.alone),
                }
                for worth in found.parts
            },
        },
        "overfitting": None
        if found.fit is None
        else {
            "warning": found.fit.is_overfitted,
            "seen": _interval_json(found.fit.seen),
            "held_out": _interval_json(found.fit.held_out),
            "gap": _interval_json(found.fit.gap),
        },
        "authorship": _drafts_json(found.drafts),
        "authorship_by_person": {n: _drafts_json(drafts) for n, drafts in found.drafts_by_person.items()},
        "verdict": verdict(found),
        "notes": list(found.notes),
        "seconds": round(found.seconds, 1),
    }


def _gains_json(gains: Gains) -> dict[str, Any]:
    return {
        "pieces": gains.n,
        "bits_per_byte": {name: _interval_json(interval) for name, interval in gains.bits.items()},
        "own_to_none": _interval_json(gains.own_to_none),
        "own_to_other": _interval_json(gains.own_to_other),
        "other_to_none": _interval_json(gains.other_to_none),
        "own_below_none": _share_json(gains.below_none),
        "own_below_other": _share_json(gains.below_other),
    }


def _drafts_json(drafts: Drafts | None) -> dict[str, Any] | None:
    if drafts is None:
        return None
    return {
        "right": {name: _share_json(found) for name, found in drafts.right.items()},
        "real": _share_json(drafts.real),
        "chance": round(drafts.chance, 4),
        "trained_on": dict(drafts.authors),
    }


def _interval_json(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    found = dataclasses.asdict(interval)
    return {name: round(value, 4) for name, value in found.items()}


def _share_json(found: Share) -> dict[str, Any]:
    return {"right": found.n_right, "of": found.n, "low": round(found.low, 4), "high": round(found.high, 4)}
