"""``ragperso eval``: how well retrieval does on documents and questions with known answers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from ragperso import config as settings
from ragperso.cli import screen
from ragperso.cli.common import App, Command
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import datasets, harness, report
from ragperso.evaluate.datasets import DataSet

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("eval", cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--run",
    "run_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the ranking of every question, one JSON row each.",
)
@click.option(
    "-k",
    "cutoffs",
    metavar="N",
    type=click.IntRange(1, harness.DEPTH),
    multiple=True,
    help="Cutoff of hit@N, R@N and nDCG@N; repeatable. Default: 1, 5 and 10.",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Ask only N questions, spread evenly.")
@click.option(
    "--keep-home",
    metavar="DIR",
    type=FOLDER,
    help="Keep the indexes here and reuse them; otherwise they are temporary.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Of the bootstrap; default 0.")
@click.pass_obj
def command(
    app: App,
    folder: Path,
    run_file: Path | None,
    cutoffs: tuple[int, ...],
    limit: int | None,
    keep_home: Path | None,
    seed: int,
) -> None:
    """Measure retrieval on questions with known answers.

    DIR holds queries.jsonl, a row per question: {"id", "text", "gold": [document ids], "user"?, "type"?};
    and docs.jsonl: {"id", "text", "user"?, ...}.  Every question sees the documents of its own person
    only.  Without docs.jsonl it is asked of what the home holds already.
    """  # fmt: skip
    config = app.config()
    data = datasets.load(folder, user=config.general.user)
    if limit is not None:
        data = data.limited(limit)
    with _home(data, keep_home, config) as home, Engine(config=harness.settings_for(config, home)) as engine:
        if data.docs is not None:
            screen.say(f"indexing {data.n_documents:,} documents of {len(data.people):,} people ...")
        built = harness.build(engine, data)
        for skipped in built.total.skipped:
            screen.say(f"skipped {screen.line(skipped.path)}: {screen.line(skipped.reason)}")
        rankings = harness.run(engine, data.questions)
    if run_file is not None:
        harness.write_run(run_file, rankings)
    found = harness.score(data, rankings, cutoffs=cutoffs or harness.CUTOFFS, seed=seed)
    if app.json:
        screen.put_json({**report.as_json(found), "build_s": round(built.seconds, 2)})
    else:
        screen.put(screen.safe(report.as_text(found)))


@contextlib.contextmanager
def _home(data: DataSet, kept: Path | None, config: Config) -> Iterator[Path]:
    """Yield where the data set's people live: documents to measure on never enter the person's own home."""
    if kept is not None:
        yield kept
    elif data.docs is None:
        yield settings.home_of(config)
    else:
        with tempfile.TemporaryDirectory(prefix="ragperso-eval-") as folder:
            yield Path(folder)
