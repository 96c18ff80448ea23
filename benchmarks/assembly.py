"""Measure what a prompt costs beside retrieval, and how long ``why`` takes.

The person has ``--pieces`` mails, put together at random from the sentences of the sample people, and
``--facts`` statements about themselves: more than the prompt has room for, all of which is looked through.
Medians over the sample questions and drafts, on the starter models, every prompt for the first time; ``why``
is asked of the sample person ana with all her documents.
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import common
import numpy as np

from ragperso import samples
from ragperso.config import Config
from ragperso.engine import Engine, Session, _Wanted
from ragperso.evaluate import harness, report
from ragperso.segment import sentences
from ragperso.store import NewDocument, embed_hash
from ragperso.types import ChunkSpan, Document, Fact

BAR_MS = 20.0  # issue 4
BAR_WHY_S = 10.0
SENTENCES = 6  # per mail: about 80 words
_STEPS = ("_exemplars", "_blocks", "_profile", "_card", "_alike_in_words", "_assemble")


def words_of(person: samples.Person) -> list[str]:
    """Return the sentences of a sample person's notes and texts."""
    found = []
    for path in sorted([*person.folder.glob("notes/*/*.md"), *person.folder.glob("writing/*.md")]):
        text = path.read_text(encoding="utf-8")
        found += [text[a:b] for a, b in sentences(text) if 20 < b - a < 200]
    return found


def fill(session: Session, lines: Sequence[str], n_pieces: int, n_facts: int) -> None:
    """Store mails with vectors, and statements."""
    random = np.random.default_rng(common.SEED)
    embedder, began = session.engine.embedder, datetime(2024, 1, 1, tzinfo=timezone.utc)
    number = session.store.embedder_id(embedder.fingerprint, name="starter", dim=embedder.dim)
    session.store.activate_embedder(number, ("documents", "history", "exemplars"))
    documents = []
    for i in range(n_pieces):
        said = " ".join(lines[j] for j in random.choice(len(lines), SENTENCES, replace=False))
        text = f"Hi {('Jo', 'Lotte', 'Mika')[i % 3]},\n\n{said}\n\nBest,\nAna"
        told = {"kind": "exemplar", "register": "mail", "language": "en", "source": f"mail/{i}"}
        meta: dict[str, Any] = {**told, "sources": [f"mail/{i}"]}
        documents.append(Document(f"exemplar/{i}", text, ts=began + timedelta(days=i), meta=meta))
    rows = embedder.embed_documents([document.text for document in documents])
    keys = [embed_hash(document.text) for document in documents]
    session.store.put_documents(
        "exemplars",
        [
            NewDocument(d, (ChunkSpan(0, len(d.text), n_tokens=120),), (key,), content_hash=d.key, recipe="b")
            for d, key in zip(documents, keys, strict=True)
        ],
        embedder_id=number,
        vectors=dict(zip(keys, rows, strict=True)),
        now=began,
    )
    with session.store.write():
        for i in range(n_facts):
            thing = f"{'liking' if i % 2 else 'place'} number {i}"
            at = began + timedelta(hours=i)
            kind: Any = "preference" if i % 2 else "fact"
            session.store.add_fact(
                Fact(0, f"I like {thing}.", "mined", at=at, kind=kind, slot=f"taste: {thing}", value=thing)
            )


def asked() -> dict[str, list[str]]:
    """Return the sample questions and drafts."""
    told = samples.questions()
    drafts = [one["request"] if isinstance(one, dict) else str(one) for one in told["drafts"]]
    return {"write": drafts, "ask": [str(one["question"]) for one in told["shared"]]}


def assemble_ms(session: Session, task: Any, requests: Sequence[str]) -> list[float]:
    """Return per request the time of everything behind the search for passages."""
    times = []
    wanted, limit = _Wanted(task), session.config.generate.max_tokens
    for request in requests:
        found = session._find(request, None, None, None, "", wanted)
        started = time.perf_counter()
        session._assemble(session._materials(found, "", wanted, limit))
        times.append(1000 * (time.perf_counter() - started))
    return times


def steps(session: Session, requests: Sequence[str]) -> list[list[str]]:
    """Return where the time of drafts goes; a profiler runs along, so the sums are larger than the times."""
    profiler = cProfile.Profile()
    for request in requests:
        found = session._find(request, None, None, None, "", _Wanted("write"))
        profiler.enable()
        session._assemble(session._materials(found, "", _Wanted("write"), 128))
        profiler.disable()
    table: Any = pstats.Stats(profiler)
    return [
        [name[1:], f"{1000 * row[3] / len(requests):.2f}"]
        for name in _STEPS
        for (file, _, function), row in table.stats.items()
        if function == name and file.endswith("engine.py")
    ]


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--pieces", type=int, default=500)
    options.add_argument("--facts", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=8.0, help="what why may take; 0 leaves it out")
    chosen = options.parse_args()
    print(common.describe_run(), "\n", flush=True)
    requests = asked()
    with tempfile.TemporaryDirectory() as home, samples.people() as people:
        config = harness.settings_for(Config(), Path(home))
        with Engine(config=config) as engine:
            ana = people["ana"]
            bench = engine.session("bench")
            bench.add(ana.documents)
            fill(bench, words_of(ana) + words_of(people["ben"]), chosen.pieces, chosen.facts)
            for task, ones in requests.items():
                bench.prompt(ones[0], task="write" if task == "write" else "ask")  # loads what is loaded once
            rows = []
            for task, ones in requests.items():
                times = assemble_ms(bench, task, ones)
                rows.append(
                    [task, str(len(ones)), *(f"{value:.1f}" for value in (np.median(times), max(times)))]
                )
            head = ["task", "prompts", "assembly, median", "most"]
            print("\n".join(report.markdown_table(head, rows)))
            print(
                f"\nMilliseconds beside the search for passages, with that for exemplars; bar {BAR_MS:g}.\n"
            )
            told = ["step of a draft, under a profiler", "ms"]
            print("\n".join(report.markdown_table(told, steps(bench, requests["write"]))), flush=True)
            if chosen.seconds > 0:
                session = engine.session("ana")
                session.introduce(name=ana.name, languages=ana.languages, addresses=ana.addresses)
                session.add(ana.documents)
                why(session, requests["ask"], chosen.seconds)


def why(session: Session, questions: Sequence[str], budget_s: float) -> None:
    rows = []
    for question in questions[:5]:
        answer = session.ask(question)
        if answer.abstained or answer.prompt is None:
            continue
        started, worked = time.perf_counter(), time.process_time()
        found = session.why(answer.interaction, budget_s=budget_s)
        spent, worked = time.perf_counter() - started, time.process_time() - worked
        measured = found.measured
        n_parts = len(measured.parts)
        rows.append(
            [
                str(answer.prompt.tokens),
                str(n_parts),
                str(n_parts - measured.n_left),
                f"{measured.seconds:.1f}",
                f"{spent:.1f}",
                f"{worked:.1f}",
                "yes" if found.is_exact else "no",
            ]
        )
    head = ["prompt tokens", "parts", "measured", "seconds of it", "why, seconds", "of CPU", "same prompt"]
    print("\n" + "\n".join(report.markdown_table(head, rows)))
    print(f"\n`why` with --seconds {budget_s:g}; bar {BAR_WHY_S:g} s.")


if __name__ == "__main__":
    main()
