"""Measure the defaults on all development sets: beside each leg, each fusion and the peers' retrieval.

All see the same chunks and the same vectors in one run, and all are scored by the same functions.
``ragperso`` is what people get, asked end to end as ``ragperso eval`` does; the legs and fusions rank the
same evidence without what surrounds them.  The peers run in environments of their own (benchmarks/peers).
``blogs`` is one pool of 200 people's posts, of which those by the question's author are sought.
``--write`` puts the short table into README.md, between its markers, and everything into
benchmarks/RETRIEVAL.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import common
import legs
import numpy as np
from legs import Bench
from peers import environments

from ragperso import metrics
from ragperso.config import Config
from ragperso.evaluate import harness, report
from ragperso.evaluate.datasets import DataSet, Question
from ragperso.evaluate.harness import Ranked
from ragperso.metrics import Interval
from ragperso.protocols import Fusion
from ragperso.retrieve.adaptive import AdaptiveFusion, load_weights
from ragperso.retrieve.fusion import DENSE, LEXICAL, ReciprocalRankFusion, SingleLeg, WeightedFusion

MAIN: Final[Mapping[str, str]] = {**legs.MAIN, "blogs": "P@5"}
SHOWN: Final = ("hit@1", "hit@5", "R@5", "R@10", "nDCG@10", "MRR")
DEFAULT: Final = "ragperso"
RRF: Final = "rrf"
MARGIN: Final = 0.005  # issue 3: how far below the best leg still counts as level with it
START, END = "<!-- retrieval -->", "<!-- /retrieval -->"
README: Final = common.ROOT / "README.md"
FULL: Final = common.ROOT / "benchmarks" / "RETRIEVAL.md"

HOW_TO_READ: Final = """\
`±` and brackets: 95 % percentile bootstrap over the questions; p: two-sided randomisation test, paired by
question. A document is ranked by its best chunk. Every peer gets the same chunks, the same embedder's
vectors and one index per person. `lexical` and `dense` are the two legs, `rrf` their reciprocal rank fusion
with equal weights (k = 60), `weighted` the mean of their scores, `adaptive` the shipped weights on the
whole query, and `ragperso` all that a search does. The best peer is the one with the highest mean on the
set's metric, of all peers and all their modes."""


@dataclass(frozen=True)
class Measured:
    """The rankings of one set's questions by each label: legs and fusions, then peers, then the default."""

    name: str
    data: DataSet
    rankings: Mapping[str, Sequence[Ranked]]
    peers: tuple[str, ...]  # the labels that are peers

    @property
    def metric(self) -> str:
        return MAIN[self.name]

    @property
    def n_questions(self) -> int:
        return len(self.rankings[DEFAULT])

    def interval(self, label: str) -> Interval:
        return metrics.bootstrap(harness.values_of(self.rankings[label], self.metric), seed=common.SEED)

    def best(self, labels: Sequence[str]) -> str | None:
        """Return the one with the highest main metric, the first of equals; None without any."""
        return max(labels, key=lambda label: self.interval(label).mean, default=None)

    def lead(self, label: str) -> metrics.Difference:
        """Return by how much the default is better than ``label``."""
        return harness.compare(self.rankings[DEFAULT], self.rankings[label], self.metric, seed=common.SEED)

    def n_foreign(self, label: str) -> int:
        """Return how many hits are documents of someone else: each one is a leak."""
        return sum(
            document not in self.data.documents.get(ranked.question.user, ())
            for ranked in self.rankings[label]
            for document, _ in ranked.hits
        )


def fusions() -> dict[str, Fusion | AdaptiveFusion]:
    """Return the legs, the usual fusions and ours, as settings that people can choose."""
    settings = Config().retrieve
    return {
        LEXICAL: SingleLeg(LEXICAL),
        DENSE: SingleLeg(DENSE),
        RRF: ReciprocalRankFusion(settings.rrf_k),
        f"weighted {settings.dense_weight:g}": WeightedFusion(settings.dense_weight),
        "adaptive": AdaptiveFusion(load_weights()),
    }


def measure(name: str, chosen: argparse.Namespace, embedder: common.RememberingEmbedder) -> Measured:
    """Return every ranking of one set's questions with gold."""
    folder = common.pooled_blogs(chosen) if name == "blogs" else common.folder_of(chosen, name, every=True)
    bench = Bench(folder, chosen.cache, embedder)
    limit = min(chosen.limit, chosen.blogs) if name == "blogs" else chosen.limit
    questions = [question for question in bench.data.limited(limit).questions if question.gold]
    seen = bench.see(questions)
    rankings: dict[str, Sequence[Ranked]] = {
        label: [one.ranked(fusion) for one in seen] for label, fusion in fusions().items()
    }
    del seen  # of all blogs it is half a gigabyte, which the peers can use
    found = harness.run(bench.engine, questions)
    peers = ask_peers(name, bench, questions, chosen.cache) if chosen.peers else {}
    bench.close()
    return Measured(name, bench.data, {**rankings, **peers, DEFAULT: found}, tuple(peers))


# ---------------------------------------------------------------- peers


def ask_peers(
    name: str, bench: Bench, questions: Sequence[Question], cache: Path
) -> dict[str, Sequence[Ranked]]:
    """Return the rankings of every mode of every peer; one that cannot run is named on stderr."""
    folder = cache / "peers" / f"run-{name}"  # kept, for the logs
    folder.mkdir(parents=True, exist_ok=True)
    export(bench, questions, folder)
    found: dict[str, Sequence[Ranked]] = {}
    for peer, modes in environments.PEERS.items():
        for mode in modes:
            out = folder / f"{peer}-{mode}.jsonl"
            try:
                line = environments.run(peer, mode, folder, out, cache, depth=harness.DEPTH)
            except environments.PeerError as exc:
                print(f"{name}: {exc}", file=sys.stderr, flush=True)
                continue
            print(f"{name}: {json.dumps(line)}", file=sys.stderr, flush=True)
            found[f"{peer} {mode}"] = answers(out, questions, float(line["query_ms_p50"] or 0.0))
    return found


def export(bench: Bench, questions: Sequence[Question], folder: Path) -> None:
    """Write what benchmarks/peers/exchange.py reads: chunks as the embedder read them, and its vectors."""
    passages: list[dict[str, Any]] = []
    vectors = []
    for user in sorted({question.user for question in questions}):
        session = bench.engine.session(user, create=False)
        embedder = session.store.active_embedder()
        if embedder is not None:
            chunks = list(session.store.chunk_texts("documents"))
            ids, rows = session.store.vectors(embedder[0], np.array([chunk.id for chunk in chunks], np.int64))
            if len(ids) != len(chunks):
                raise SystemExit(f"{bench.data.name}: {len(chunks) - len(ids)} chunks have no vector")
            passages += [{"user": user, "document": chunk.key, "text": chunk.embed_text} for chunk in chunks]
            vectors.append(rows)
        session.close()
    asked = [{"user": q.user, "id": q.id, "text": q.text} for q in questions]
    for name, lines in (("passages", passages), ("queries", asked)):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    np.save(folder / "passages.npy", np.concatenate(vectors))
    np.save(folder / "queries.npy", np.stack([bench.engine.embedder.embed_query(q.text) for q in questions]))


def answers(path: Path, questions: Sequence[Question], search_ms: float) -> list[Ranked]:
    """Read what a peer found.  Raises: ValueError unless it answered these questions in this order."""
    found = []
    with path.open(encoding="utf-8") as lines:
        for question, line in zip(questions, lines, strict=True):
            row = json.loads(line)
            if (row["user"], row["query"]) != (question.user, question.id):
                raise ValueError(f"{path.name} answers {row['query']}, asked was {question.id}")
            hits = tuple((hit["document"], hit["score"]) for hit in row["hits"])
            found.append(Ranked(question, hits, 0.0, search_ms))
    return found


# ---------------------------------------------------------------- tables


def full_table(one: Measured) -> list[str]:
    """Return every metric of every ranking of one set, and the default's lead over each."""
    names = SHOWN if one.metric in SHOWN else (one.metric, *SHOWN)
    rows = []
    for label, rankings in one.rankings.items():
        values = harness.values(rankings, also=(one.metric,))
        cells = []
        for metric in names:
            found = values[metric]
            if metric == one.metric:
                interval = metrics.bootstrap(found, seed=common.SEED)
                cells.append(f"**{report.mean_and_margin(interval)}**")
            else:
                cells.append(_digits(float(found.mean())))
        lead = "" if label == DEFAULT else report.difference(one.lead(label))
        rows.append([label, *cells, str(one.n_foreign(label)), lead])
    return report.markdown_table(["ranking", *names, "others' hits", f"ragperso - it, {one.metric}"], rows)


def lead_table(measured: Sequence[Measured]) -> list[str]:
    """Return the default's lead over the best leg and the best peer, and whether it is at least level."""
    rows = []
    for one in measured:
        row = [one.name, one.metric]
        best = [(one.best((LEXICAL, DENSE)), MARGIN), (one.best(one.peers), 0.0)]
        for label, margin in best:
            if label is None:
                row += ["", "", ""]
            else:
                lead = one.lead(label)
                row += [label, report.difference(lead), "yes" if lead.mean >= -margin else "**no**"]
        rows.append(row)
    head = [
        "set",
        "metric",
        "best leg",
        "lead",
        f"within {MARGIN} or above",
        "best peer",
        "lead",
        "level or above",
    ]
    return report.markdown_table(head, rows)


def short_table(measured: Sequence[Measured]) -> list[str]:
    """Return the table of README.md: the main metric of every set."""
    rows = []
    for one in measured:
        peer = one.best(one.peers)
        own = one.interval(DEFAULT)
        rows.append(
            [
                one.name,
                f"{one.n_questions:,}",
                one.metric,
                *(_digits(one.interval(label).mean) for label in (LEXICAL, DENSE, RRF)),
                "" if peer is None else f"{_digits(one.interval(peer).mean)} ({peer.replace('_', ' ')})",
                f"**{_digits(own.mean)}** [{_digits(own.low)}, {_digits(own.high)}]",
            ]
        )
    return report.markdown_table(
        ["set", "questions", "metric", "BM25 leg", "dense leg", "equal RRF", "best peer", "ragperso"], rows
    )


def _digits(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


# ---------------------------------------------------------------- writing


def write_readme(lines: Sequence[str], path: Path = README) -> bool:
    """Replace what stands between the markers; False, and said on stderr, when one of them is missing."""
    text = path.read_text(encoding="utf-8")
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    for marker, found in ((START, start), (END, end)):
        if not found:
            print(f"{path.name} has no {marker}: its table is not written", file=sys.stderr)
            return False
    path.write_text("\n".join([head + start, *lines, end + tail]), encoding="utf-8")
    return True


def main() -> int:
    options = common.parser(__doc__ or "")
    options.add_argument("--sets", nargs="*", default=list(MAIN), choices=list(MAIN))
    options.add_argument("--limit", type=int, default=10_000, help="questions of each set, spread over it")
    # LangChain's BM25 reads every chunk for every word: 1.4 s a question among the posts, 37 minutes for all.
    options.add_argument("--blogs", type=int, default=10_000, help="questions of blogs, where that is fewer")
    options.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="run the peers")
    options.add_argument("--write", action="store_true", help=f"write to {README.name} and {FULL.name}")
    chosen = options.parse_args()
    embedder = common.starter(chosen.cache)
    run = common.describe_run()
    print(run, flush=True)
    measured: list[Measured] = []
    sections: list[str] = []
    for name in chosen.sets:
        one = measure(name, chosen, embedder)
        measured.append(one)
        own = [f"### {name}: {one.n_questions:,} questions, {one.data.n_documents:,} documents", ""]
        own += [*full_table(one), ""]
        print("\n" + "\n".join(own), end="", flush=True)
        sections += own
    short, leads = short_table(measured), lead_table(measured)
    top = ["### In short", "", *short, "", "### Against the best leg and the best peer", "", *leads, ""]
    print("\n" + "\n".join(top))
    if not chosen.write:
        return 0
    head = ["# Retrieval on the development sets", "", f"{run}.", "", HOW_TO_READ, ""]
    FULL.write_text("\n".join([*head, *top, *sections]).rstrip() + "\n", encoding="utf-8")
    return 0 if write_readme(["", *short, "", f"{run}.", ""]) else 1


if __name__ == "__main__":
    sys.exit(main())
