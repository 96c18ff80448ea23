"""Measure many people on one machine: the first search of one who is not open, memory, files, disk.

People of 200 chunks each are copies of a few dozen that are built through the store, with texts of a Zipf
vocabulary and random unit vectors: what opening costs depends on how much there is, not on what it means.
They are asked with the hash embedder of ``ragperso/testing.py``, so that the memory shown is that of the
people and of Python; a model comes on top once.  Popularity is Zipf: the n-th person is asked as often as
1/n.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import common
import numpy as np
from latency import QUESTION, fill, texts

from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report
from ragperso.testing import HashEmbedder
from ragperso.types import UserId
from ragperso.workspace import MANIFEST, directory_name

CHUNKS: Final = 200
PER_DOCUMENT: Final = 5
DIM: Final = 384
TEMPLATES: Final = 24  # distinct people; the others are copies of them
WARM_UP: Final = 3  # first searches that pay for what the process itself needs once


@dataclass(frozen=True, slots=True)
class Home:
    """A home full of people, and what one of them takes on disk."""

    config: Config
    people: tuple[str, ...]
    text_bytes: int  # of one person, on average
    disk_bytes: int


def make(options: argparse.Namespace, n: int) -> Home:
    """Return a home of ``n`` people, built where it is not there yet."""
    base: Path = options.cache / "homes" / f"many-{options.chunks}"
    if options.fresh and base.exists():
        shutil.rmtree(base)
    config = harness.settings_for(Config(), base)
    templates = [f"p{i:05d}" for i in range(min(TEMPLATES, n))]
    random = np.random.default_rng(common.SEED)
    sizes = base / "text_bytes.json"
    known: dict[str, int] = json.loads(sizes.read_text()) if sizes.is_file() else {}
    for user in templates:
        if user not in known:
            with Engine(config=config, embedder=HashEmbedder(DIM)) as engine:
                bodies = fill(engine, options.chunks, random, user, per_document=PER_DOCUMENT)
                engine.session(user).search(bodies[0][:40])
            known[user] = sum(len(body.encode()) for body in bodies)
            sizes.write_text(json.dumps(known))
        else:  # brought up to date with the format of this version
            with Engine(config=config, embedder=HashEmbedder(DIM)) as engine:
                engine.session(user).search("kan den")
    people = [f"p{i:05d}" for i in range(n)]
    stems = {user: _stem(base / user) for user in templates}
    for i, user in enumerate(people[len(templates) :], start=len(templates)):
        source = templates[i % len(templates)]
        target = base / directory_name(UserId(user))
        if (target / MANIFEST).is_file() and _stem(target) == stems[source]:
            continue
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(base / source, target)
        manifest = json.loads((target / MANIFEST).read_text())
        (target / MANIFEST).write_text(json.dumps({**manifest, "user": user}, indent=1))
    disk = [sum(p.stat().st_size for p in (base / user).rglob("*") if p.is_file()) for user in templates]
    return Home(config, tuple(people), int(statistics.mean(known.values())), int(statistics.mean(disk)))


def _stem(folder: Path) -> str:
    """Return which version of its index a person's folder holds; empty when it holds none."""
    path = folder / "documents.index.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def n_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def ask(engine: Engine, user: str, question: str) -> tuple[float, float]:
    """Search as one person; return the milliseconds beside embedding, of the wall and of this process."""
    started, used = time.perf_counter(), time.process_time()
    found = engine.session(user, create=False).retrieve(question)
    spent, cpu = time.perf_counter() - started, time.process_time() - used
    embedding = found.timings_ms["embed"]
    return 1000 * spent - embedding, 1000 * cpu - embedding


def measure(home: Home, options: argparse.Namespace) -> list[str]:
    """Return one row of the table."""
    random = np.random.default_rng(common.SEED)
    questions = texts(200, QUESTION, random)
    n = len(home.people)
    with Engine(config=home.config, embedder=HashEmbedder(DIM)) as engine:
        for user in home.people[-WARM_UP:]:
            ask(engine, user, questions[0])
            engine.session(user, create=False).close()
        gc.collect()
        base = resident_mb()
        order = random.permutation(n)[: options.first]
        first = []
        for i, person in enumerate(order.tolist()):
            user = home.people[person]
            first.append(ask(engine, user, questions[i % len(questions)]))
            engine.session(user, create=False).close()
        odds = 1 / np.arange(1, n + 1)
        drawn = random.choice(n, size=options.searches, p=odds / odds.sum())
        traffic, handles = [], n_handles()
        for i, person in enumerate(drawn.tolist()):
            traffic.append(ask(engine, home.people[person], questions[i % len(questions)]))
            if i % 50 == 0:
                handles = max(handles, n_handles())
        resident = resident_mb()
        handles = max(handles, n_handles())
    asked = len(set(drawn.tolist()))
    wall, cpu = ([pair[i] for pair in first] for i in (0, 1))
    return [
        f"{n:,}",
        *(f"{value:.2f}" for value in (_at(wall, 50), _at(wall, 95), _at(cpu, 50))),
        *(f"{_at([pair[0] for pair in traffic], share):.2f}" for share in (50, 95)),
        f"{asked:,}",
        f"{base:.0f}",
        f"{resident:.0f}",
        f"{handles:,}",
        f"{home.disk_bytes / home.text_bytes:.2f}",
    ]


def _at(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share))


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--people", type=int, nargs="*", default=[10, 100, 1_000], help="up to 10,000")
    options.add_argument("--chunks", type=int, default=CHUNKS, help="of each person")
    options.add_argument("--first", type=int, default=300, help="people whose first search is timed")
    options.add_argument("--searches", type=int, default=3_000, help="searches of the Zipf traffic")
    options.add_argument("--fresh", action="store_true", help="build the people anew")
    chosen = options.parse_args()
    homes = [make(chosen, n) for n in chosen.people]
    rows = [measure(home, chosen) for home in homes]
    print(common.describe_run(), "\n")
    head = [
        "people",
        "first p50",
        "first p95",
        "first CPU p50",
        "traffic p50",
        "traffic p95",
        "people asked",
        "MB before",
        "MB after",
        "files open",
        "disk / text",
    ]
    print("\n".join(report.markdown_table(head, rows)))
    print(
        f"\nMilliseconds beside embedding, files in the page cache; {chosen.chunks} chunks and"
        f" {homes[-1].text_bytes / 1e3:.0f} kB of text each. `first`: opening the person included."
        f" `traffic`: {chosen.searches:,} searches, the n-th person as often as 1/n."
    )


if __name__ == "__main__":
    main()
