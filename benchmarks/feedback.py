"""Simulate people who mark answers: does the prompt move to what they prefer, and does nothing else suffer?

Every note of simonw/til is cut into two halves, every other sentence, which lie in the folders ``a`` and
``b``: two equally good sources on real text.  The questions are the notes' titles.  A simulated person asks
20 of them and marks each answer by the passage it rests on, the first; then 60 other titles are asked with
what was learned.  Counted is how often a half of the preferred folder stands in the prompt (3 passages), how
often first, and by how much the asked note itself is found more or less.  People mark consistently, or with
a share of marks turned round, at random, or everything alike; which folder they prefer is drawn.

Registers need no data: 12 mails and 12 notes with scores of one distribution, of which the best 4 are shown;
a draft is good when most of them are of the preferred register.

``--session N`` does the same with N people through Session.ask and Session.feedback, quoted answers included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeAlias

import common
import numpy as np

from ragperso import metrics
from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.evaluate import harness
from ragperso.evaluate.report import markdown_table
from ragperso.learn.weights import Mark, Weights, learn
from ragperso.retrieve.preference import arms_of_exemplar, arms_of_hit, multiplier, prefer
from ragperso.segment import sentences
from ragperso.types import Exemplar, Hit

HELD_OUT: Final = 60  # questions asked of each person after their marks
PLACES: Final = 3  # assemble.max_passages
START: Final = datetime(2026, 3, 1, tzinfo=timezone.utc)
FOLDERS: Final = ("a", "b")
OWNER: Final = "simonw_til"
LEAST_CHARS: Final = 200  # of a half
POOL: Final = 20  # hits that are reordered: 2 * retrieve.k
NOISES: Final = (0.0, 0.1, 0.2)
REGISTERS: Final = ("mail", "note")
SHOWN: Final = 4  # assemble.max_exemplars
CUTOFFS: Final = (1, 3, 10)

# (is it what they prefer, random) -> good or bad
Marking: TypeAlias = Callable[[bool, np.random.Generator], bool]


@dataclass(frozen=True)
class Asked:
    """One title, the note it is of, and what is found without any preference."""

    title: str
    note: str
    hits: tuple[Hit, ...]


def people() -> dict[str, Marking]:
    """Return the kinds of people by name."""

    def wrong(share: float) -> Marking:
        return lambda is_preferred, random: is_preferred != (random.random() < share)

    return {
        **{f"consistent, {noise:.0%} of marks wrong": wrong(noise) for noise in NOISES},
        "random, half good": lambda _, random: random.random() < 0.5,
        "random, 80 % good": lambda _, random: random.random() < 0.8,
        "everything bad": lambda _, random: False,
        "everything good": lambda _, random: True,
    }


def folder_of(hit: Hit) -> str:
    return hit.document.partition("/")[0]


def note_of(hit: Hit) -> str:
    return hit.document.partition("/")[2]


# ---------------------------------------------------------------- data


def halved_notes(options: argparse.Namespace) -> tuple[Path, list[tuple[str, str]]]:
    """Return a docs.jsonl of the halves of every note, and (title, note) pairs."""
    source = common.folder_of(options, "notes_titles")
    halves = []
    for row in _rows(source / "docs.jsonl"):
        if row["user"] == OWNER:
            spans = sentences(row["text"])
            for n, folder in enumerate(FOLDERS):
                text = "\n".join(row["text"][start:end] for start, end in spans[n::2])
                if len(text) >= LEAST_CHARS:
                    halves.append({"user": "me", "id": f"{folder}/{row['id']}", "text": text})
    path: Path = options.cache / "sets" / "notes_halved" / "docs.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in halves)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")  # a file with a new date is read again by add
    kept = {row["id"] for row in halves}
    asked = [row for row in _rows(source / "queries.jsonl") if row["user"] == OWNER]
    pairs = [(row["text"], row["gold"][0]) for row in asked]
    return path, [(title, note) for title, note in pairs if all(f"{f}/{note}" in kept for f in FOLDERS)]


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def has_both(asked: Asked) -> bool:
    """Say whether both halves of the note were found, so that there is something to prefer."""
    return {folder_of(hit) for hit in asked.hits if note_of(hit) == asked.note} == set(FOLDERS)


# ---------------------------------------------------------------- one person


@dataclass
class Outcome:
    """What the held-out questions of people of one kind showed, before and after their marks."""

    learned: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    inside_before: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    first_before: list[float] = field(default_factory=list)
    change: dict[str, list[float]] = field(default_factory=dict)  # metric -> after - before

    def see(self, asked: Asked, after: Sequence[Hit], preferred: str) -> None:
        """Note what one held-out question found with the marks and without."""
        if has_both(asked):
            halves = [[folder_of(h) for h in hits[:PLACES]] for hits in (asked.hits, after)]
            self.inside_before.append(float(preferred in halves[0]))
            self.inside.append(float(preferred in halves[1]))
            self.first_before.append(float(halves[0][0] == preferred))
            self.first.append(float(halves[1][0] == preferred))
        before_notes, after_notes = (list(dict.fromkeys(map(note_of, hits))) for hits in (asked.hits, after))
        measures = {f"hit@{k}": metrics.hit_at(k) for k in CUTOFFS} | {"nDCG@10": metrics.ndcg_at(10)}
        for name, measure in measures.items():
            gold = {asked.note: 1.0}
            gain = measure(after_notes, gold) - measure(before_notes, gold)
            self.change.setdefault(name, []).append(gain)

    def row(self, name: str) -> list[str]:
        """Return one row of the table."""
        shares = (self.learned, self.inside_before, self.inside, self.first_before, self.first)
        return [name, *map(wilson, shares), *(difference(values) for values in self.change.values())]


HEAD: Final = [
    "person", "learned", f"in {PLACES} places before", "after", "first before", "after",
    *(f"hit@{k}" for k in CUTOFFS), "nDCG@10",
]  # fmt: skip


def live(
    marking: Marking, asked: Sequence[Asked], seed: int, n_marks: int, strength: float, out: Outcome
) -> None:
    """Let one person ask and mark, then ask what was held out."""
    random = np.random.default_rng([common.SEED, seed])
    preferred = FOLDERS[int(random.integers(2))]
    drawn = random.permutation(len(asked)).tolist()
    marks: list[Mark] = []
    weights = Weights()
    now = START
    for i in drawn[:n_marks]:
        now += timedelta(hours=float(random.exponential(12)))
        shown = prefer(asked[i].hits, weights.values, strength)[0]
        is_good = marking(folder_of(shown) == preferred, random)
        marks.append(Mark(arms_of_hit(shown), float(is_good), now))
        weights = learn(marks, now)
    out.learned.append(float(weights.learned[0].is_in_force))
    for i in drawn[n_marks : n_marks + HELD_OUT]:
        out.see(asked[i], prefer(asked[i].hits, weights.values, strength), preferred)


def live_in_session(
    marking: Marking, session: Session, asked: Sequence[Asked], seed: int, n_marks: int, out: Outcome
) -> None:
    """Do the same through the engine: ask, mark what the prompt's first passage is of, search."""
    random = np.random.default_rng([common.SEED, seed])
    preferred = FOLDERS[int(random.integers(2))]
    drawn = random.permutation(len(asked)).tolist()
    n_given = 0
    for i in drawn:
        if n_given == n_marks:
            break
        answer = session.ask(asked[i].title)
        if answer.prompt is None or not answer.prompt.passages:
            continue  # declined: nothing to prefer
        rests_on = answer.citations[0].document if answer.citations else answer.prompt.passages[0].document
        is_good = marking(rests_on.partition("/")[0] == preferred, random)
        session.feedback(answer.interaction, "good" if is_good else "bad")
        n_given += 1
    out.learned.append(float(session.weights().learned[0].is_in_force))
    for i in drawn[-HELD_OUT:]:
        out.see(asked[i], session.search(asked[i].title, k=POOL, corpora=["documents"]), preferred)


# ---------------------------------------------------------------- registers


def draft(weights: Weights, random: np.random.Generator) -> list[Exemplar]:
    """Return the exemplars that a prompt would show, the best by score * multiplier."""
    pool = [
        (Exemplar(f"{register}{n}", "", register=register), float(random.lognormal(0, 0.3)))
        for register in REGISTERS
        for n in random.choice(200, 12, replace=False).tolist()
    ]
    pool.sort(key=lambda one: -one[1] * multiplier(one[0], weights.values))
    return [exemplar for exemplar, _ in pool[:SHOWN]]


def live_in_registers(marking: Marking, seed: int, n_marks: int) -> tuple[bool, list[float], list[float]]:
    """Return whether a register was learned, and of 20 drafts after the marks whether the preferred one is
    among the exemplars, and whether most are of it."""
    random = np.random.default_rng([common.SEED, seed, 1])
    preferred = REGISTERS[int(random.integers(2))]
    weights = Weights()
    marks: list[Mark] = []
    now = START
    for _ in range(n_marks):
        now += timedelta(hours=float(random.exponential(12)))
        shown = draft(weights, random)
        n_liked = sum(e.register == preferred for e in shown)
        likes = n_liked > SHOWN / 2 or (n_liked == SHOWN / 2 and random.random() < 0.5)
        arms: dict[str, float] = {}
        for exemplar in shown:
            for arm in arms_of_exemplar(exemplar):
                arms[arm] = arms.get(arm, 0.0) + 1 / SHOWN
        marks.append(Mark(arms, float(marking(likes, random)), now))
        weights = learn(marks, now)
    later = [sum(e.register == preferred for e in draft(weights, random)) for _ in range(20)]
    is_learned = weights.learned[1].is_in_force
    return is_learned, [float(n > 0) for n in later], [float(n > SHOWN / 2) for n in later]


# ---------------------------------------------------------------- tables


def wilson(values: Sequence[float]) -> str:
    """Return a share with its 95 % interval, as if all questions were independent; those of one person are
    not, so with wrong marks it is somewhat too narrow."""
    n = len(values)
    if not n:
        return "-"
    share = sum(values) / n
    low, high = metrics.wilson(share, n)
    return f"{share:.3f} [{low:.3f}, {high:.3f}]"


def difference(values: Sequence[float]) -> str:
    """Return a mean change with its 95 % bootstrap interval."""
    interval = metrics.bootstrap(np.array(values), seed=common.SEED)
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def speed() -> str:
    """Return what deriving weights from 1,000 marks and applying them take, the best of 20 runs."""
    random = np.random.default_rng(common.SEED)
    marks = []
    for n in range(1_000):
        arms = {"corpus:documents": 1.0, "source:notes": 0.7, "register:mail": 0.5, "register:note": 0.5}
        for i in random.integers(500, size=2).tolist():
            arms |= {f"document:notes/{i % 12}/{i}.md": 0.5, f"source:notes/{i % 12}": 0.35}
        arms |= {f"leg:{leg}": 0.25 for leg in ("lexical", "dense", "lead", "statement")}
        arms |= {f"exemplar:{i}": 0.25 for i in random.integers(50, size=4).tolist()}
        marks.append(Mark(arms, float(random.random() < 0.5), START + timedelta(hours=7 * n)))

    def best(function: Callable[[], object]) -> float:
        spent = []
        for _ in range(20):
            began = time.perf_counter()
            function()
            spent.append(1000 * (time.perf_counter() - began))
        return min(spent)

    return f"weights from 1,000 marks {best(lambda: learn(marks, START + timedelta(days=300))):.1f} ms"


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--people", type=int, default=100, help="simulated people of each kind")
    options.add_argument("--strength", type=float, default=1.0, help="retrieve.preference")
    options.add_argument("--marks", type=int, default=20, help="marks of each person")
    options.add_argument("--session", type=int, default=0, help="people of each kind through the engine")
    chosen = options.parse_args()
    print(common.describe_run(), flush=True)
    docs, pairs = halved_notes(chosen)
    embedder = common.starter(chosen.cache)
    home = chosen.cache / "homes" / "notes_halved"
    config = harness.settings_for(Config(), home)
    with Engine(config=config, embedder=embedder) as engine:
        engine.add_users([docs])
        session = engine.session("me")
        asked = [
            Asked(title, note, tuple(session.search(title, k=POOL, corpora=["documents"])))
            for title, note in pairs
        ]
    kinds = people()
    rows = []
    for name, marking in kinds.items():
        out = Outcome()
        for seed in range(chosen.people):
            live(marking, asked, seed, chosen.marks, chosen.strength, out)
        rows.append(out.row(name))
    print(f"\nSources, {len(asked)} titles, {chosen.people} people of each kind\n")
    print("\n".join(markdown_table(HEAD, rows)), flush=True)
    rows = []
    for name, marking in kinds.items():
        lives = [live_in_registers(marking, seed, chosen.marks) for seed in range(chosen.people)]
        inside = [value for _, values, _ in lives for value in values]
        most = [value for _, _, values in lives for value in values]
        rows.append([name, wilson([float(learned) for learned, _, _ in lives]), wilson(inside), wilson(most)])
    print(f"\nRegisters, {SHOWN} exemplars, {chosen.people} people of each kind\n")
    print("\n".join(markdown_table(["person", "learned", "in the prompt", "most of it"], rows)), flush=True)
    print(f"\n{speed()}", flush=True)
    if chosen.session:
        rows = []
        overrides = {"generate.backend": "extractive", "record.history": False}
        for name, marking in kinds.items():
            out = Outcome()
            for seed in range(chosen.session):
                copy = chosen.cache / "homes" / "notes_halved_person"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(home, copy)  # without anyone's marks
                settings = config.replace({**overrides, "general.home": str(copy)})
                with Engine(config=settings, embedder=embedder) as engine:
                    live_in_session(marking, engine.session("me"), asked, seed, chosen.marks, out)
            rows.append(out.row(name))
        print(f"\nThrough the engine, {chosen.session} people of each kind\n")
        print("\n".join(markdown_table(HEAD, rows)))


if __name__ == "__main__":
    main()
