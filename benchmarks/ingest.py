"""Measure how fast a folder is taken in, against the embedding of the same chunks alone, in one run.

Each round takes the folder into an empty home (read, split, embed, both indexes, store), embeds the same
texts with our embedder alone, and with plain ``SentenceTransformer.encode`` in fp32 (batches of 32, sorted
by length, as it does by itself), in turn.  Prints medians of the ratios of a round, how far our vectors are
from fp32 and how many of its ten nearest chunks each chunk keeps.

``--incremental`` then takes in many small notes, runs again over the unchanged folder, and again after one
note in a hundred was changed, against embedding what changed alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

from ragperso import config as settings
from ragperso import models, samples
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report
from ragperso.segment import sentences
from ragperso.types import Vectors

# Bars of issue 5.
OF_BEST, TIMES_PLAIN, DEVIATION, OVERLAP = 0.90, 2.5, 2e-4, 0.985
UNCHANGED_S, OF_CHANGED, CHANGED_S = 1.0, 1.2, 1.0
TOP = 10


class Noting:
    """An embedder that remembers what it was given."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.texts: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        found: Vectors = self.inner.embed_documents(texts)
        return found


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def whole_folder(folder: Path, plain: Any, batch: int, rounds: int) -> list[str]:
    ends, bests, plains, onlys = [], [], [], []
    first: Any = None
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory() as home,
            Engine(config=harness.settings_for(Config(), Path(home))) as engine,
        ):
            engine.embedder.embed_documents(["warm up"] * 64)  # the way of embedding is chosen and loaded
            noted = Noting(engine.embedder)
            engine._embedder = noted
            session = engine.session("bench")
            spent, first = seconds(lambda s=session: s.add([folder]))
            chunks = {chunk.embed_text for chunk in session.store.chunk_texts("documents")}
            texts = list(dict.fromkeys(noted.texts))
            best, ours = seconds(lambda n=noted, t=texts: n.inner.embed_documents(t))
            only, _ = seconds(lambda n=noted, c=chunks: n.inner.embed_documents(list(c)))
        usual, exact = seconds(
            lambda t=texts: plain.encode(
                t, batch_size=batch, show_progress_bar=False, normalize_embeddings=True
            )
        )
        ends.append(spent)
        bests.append(best)
        plains.append(usual)
        onlys.append(only)
    deviation = float((1 - (ours * exact).sum(axis=1)).max())
    overlap = _overlap(ours, exact)
    of_best = float(np.median(np.array(bests) / ends))
    times = float(np.median(np.array(plains) / ends))
    rows = [
        ["end to end, chunks per second", f"{first.chunks / np.median(ends):.1f}", ""],
        ["texts embedded: chunks, beginnings of documents, statements", f"{len(texts)}", ""],
        ["end to end, seconds", f"{np.median(ends):.2f}", ""],
        ["our embedder alone, the same texts", f"{np.median(bests):.2f}", ""],
        ["our embedder alone, the chunks only", f"{np.median(onlys):.2f}", ""],
        [f"SentenceTransformer.encode({batch}) alone, the same texts", f"{np.median(plains):.2f}", ""],
        ["end to end / our embedder alone", f"{of_best:.2f}", _bar(of_best >= OF_BEST, f">= {OF_BEST}")],
        ["end to end / plain encode", f"{times:.2f}", _bar(times >= TIMES_PLAIN, f">= {TIMES_PLAIN}")],
        [
            "largest cosine distance to fp32",
            f"{deviation:.1e}",
            _bar(deviation <= DEVIATION, f"<= {DEVIATION}"),
        ],
        [f"top {TOP} kept", f"{overlap:.4f}", _bar(overlap >= OVERLAP, f">= {OVERLAP}")],
    ]
    title = f"{folder.name}: {first.added} files, {first.chunks} chunks, {rounds} rounds"
    return report.markdown_table([title, "", "bar"], rows)


def _overlap(ours: Vectors, exact: Vectors) -> float:
    near = [np.argsort(-(rows @ rows.T), axis=1)[:, 1 : TOP + 1] for rows in (ours, exact)]
    return float(np.mean([len(set(a) & set(b)) / TOP for a, b in zip(*near, strict=True)]))


def incremental(n_files: int, cache: Path) -> list[str]:
    """Return the table of a folder of small notes: taken in, unchanged, and one in a hundred changed."""
    config = Config()
    with tempfile.TemporaryDirectory() as place, samples.people() as people:
        lines = list(_lines([one.folder for one in people.values()]))
        folder = Path(place) / "notes"
        folder.mkdir()
        random = np.random.default_rng(common.SEED)
        for i in range(n_files):
            text = " ".join(lines[j] for j in random.choice(len(lines), 4, replace=False))
            (folder / f"note{i:05}.md").write_text(f"# Note {i}\n\n{text}\n", encoding="utf-8")
        config = harness.settings_for(config, Path(place) / "home")
        with Engine(config=config, embedder=common.starter(cache, config)) as engine:
            built, first = seconds(lambda: engine.session("bench").add([folder]))
        with Engine(config=config) as engine:
            engine.embedder.embed_documents(["warm up"] * 64)
            session = engine.session("bench")
            same, second = seconds(lambda: session.add([folder]))
            before = {chunk.embed_text for chunk in session.store.chunk_texts("documents")}
            for i in range(0, n_files, 100):
                path = folder / f"note{i:05}.md"
                path.write_text(path.read_text(encoding="utf-8") + f"\nChanged {i}.\n", encoding="utf-8")
            spent, third = seconds(lambda: session.add([folder]))
            texts = [
                c.embed_text for c in session.store.chunk_texts("documents") if c.embed_text not in before
            ]
            encode, _ = seconds(lambda: engine.embedder.embed_documents(texts))
    if second.unchanged != first.added or second.embedded or third.modified != len(range(0, n_files, 100)):
        raise SystemExit("the runs found other changes than were made")
    limit = OF_CHANGED * encode + CHANGED_S
    rows = [
        ["first run, vectors known", f"{built:.1f} s", ""],
        ["unchanged", f"{same:.2f} s", _bar(same < UNCHANGED_S, f"< {UNCHANGED_S:g} s")],
        [f"{third.modified} changed", f"{spent:.2f} s", _bar(spent <= limit, f"<= {limit:.2f} s")],
        ["of it embedding what changed, alone", f"{encode:.2f} s", ""],
    ]
    return report.markdown_table([f"{n_files} notes", "", "bar"], rows)


def _lines(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*.md")):
            text = path.read_text(encoding="utf-8")
            yield from (text[a:b] for a, b in sentences(text) if 20 < b - a < 200)


def _bar(is_met: bool, bar: str) -> str:
    return f"{bar}: {'met' if is_met else '**not met**'}"


def arguments() -> argparse.Namespace:
    options = common.parser(__doc__ or "")
    options.add_argument("--folder", type=Path, help="default: the first notes vault of the data folder")
    options.add_argument("--batch", type=int, default=32, help="texts per batch of the plain encoder")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--incremental", type=int, metavar="FILES", nargs="?", const=5_000, default=0)
    return options.parse_args()


def main() -> None:
    chosen = arguments()
    folder = chosen.folder or chosen.data / "notes" / "vaults" / "thoughtbot_til"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing")
    print(common.describe_run(), "\n", flush=True)
    if chosen.rounds:
        from sentence_transformers import SentenceTransformer

        path = models.resolve("starter", "embedder", settings.models_of(Config())).path
        plain = SentenceTransformer(str(path), device="cpu", local_files_only=True)
        plain.encode(["warm up"])
        print("\n".join(whole_folder(folder, plain, chosen.batch, chosen.rounds)), flush=True)
    if chosen.incremental:
        print("\n" + "\n".join(incremental(chosen.incremental, chosen.cache)))


if __name__ == "__main__":
    main()
