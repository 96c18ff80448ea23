"""``ragperso eval``: how well retrieval does on documents and questions with known answers."""

from __future__ import annotations

import contextlib
import importlib
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ragperso import config as settings
from ragperso.cli import progress, screen
from ragperso.cli.common import App, Command, Family
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import ablation, datasets, harness, known_items, report
from ragperso.evaluate.datasets import DataSet
from ragperso.evaluate.harness import Built, Comparison, Group, Ranked

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


def _metric(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return harness.metric_named(value)[0]
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def _pairs(_ctx: click.Context, _param: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    """Return ``a.b=1,c.d=2`` as settings; a comma that no ``key=`` follows belongs to the value."""
    found = {}
    for text in value:
        for item in re.split(r",(?=\s*\w+\.\w+\s*=)", text):
            key, equals, own = item.partition("=")
            if not equals:
                raise click.BadParameter("write it as section.key=value")
            found[key.strip()] = own
    return found


class _OfFolder(Command):
    """The measurement of a folder, whose help also names the other ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Other measurements"):
            formatter.write_dl([(f"{name} ...", line) for name, line in _OTHERS.items()])
        super().format_options(ctx, formatter)


class Evaluations(Family):
    """``eval DIR``, and measurements that have a name of their own.

    Words that begin with none of these names are those of ``eval DIR``, as they always were: a folder called
    like a measurement is ``./personalization``.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if self._first(args) in _OTHERS:
            return super().make_context(info_name, args, parent, **extra)
        return of_folder.make_context(info_name, args, parent, **extra)

    def _first(self, args: Sequence[str]) -> str:
        """Return the first word that is neither an option nor the value of one."""
        takes_value = {
            name: not (param.is_flag or param.count)
            for param in of_folder.params
            if isinstance(param, click.Option)
            for name in (*param.opts, *param.secondary_opts)
        }
        words = iter(args)
        for word in words:
            if word == "--":
                return ""  # what follows is no name of a measurement
            if not word.startswith("-") or word == "-":
                return word
            if takes_value.get(word):
                next(words, None)
        return ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_OTHERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _OTHERS:
            return None
        found: click.Command = importlib.import_module(f"ragperso.cli.eval_{cmd_name}").command
        return found

    def get_help(self, ctx: click.Context) -> str:
        # Of the pages in docs/: a context of the group is made for them by hand.
        return of_folder.get_help(_of_folder_context(ctx))


def _of_folder_context(ctx: click.Context) -> click.Context:
    return click.Context(
        of_folder,
        ctx.parent,
        ctx.info_name,
        terminal_width=ctx.terminal_width,
        max_content_width=ctx.max_content_width,
        help_option_names=ctx.help_option_names,
    )


_OTHERS: Final = {"personalization": "What is it worth to you? See ragperso eval personalization -h."}


@click.command("eval", cls=_OfFolder)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.argument("n", metavar="[N]", required=False, type=click.IntRange(1))
@click.option(
    "--make-questions",
    is_flag=True,
    help="Write DIR/queries.jsonl instead: questions about N of your documents, default 50.",
)
@click.option("--force", is_flag=True, help="Let --make-questions replace questions that are there.")
@click.option(
    "--compare",
    "second",
    metavar="KEY=VALUE,...",
    multiple=True,
    callback=_pairs,
    help="Also measure with these settings, and the paired difference; repeatable.",
)
@click.option("--ablate", is_flag=True, help="Switch each part of retrieval off in turn: what is it worth?")
@click.option(
    "--metric",
    metavar="NAME",
    default=harness.MAIN,
    callback=_metric,
    help=f"Of --ablate and --compare: nDCG@N, R@N, hit@N, P@N, MRR or MAP; default {harness.MAIN}.",
)
@click.option("--by", type=click.Choice(["type", "user"]), default="type", help="Groups; default type.")
@click.option("--precision", is_flag=True, help="Show P@N too, the share of the first N that is gold.")
@click.option("--run", "run_file", metavar="FILE", type=FILE, help="Write every ranking, one JSON row each.")
@click.option(
    "--trec",
    "trec_file",
    metavar="FILE",
    type=FILE,
    help="Write every ranking as a TREC run. Its score is 1/rank, so that trec_eval keeps our order. White "
    "space in ids is percent-encoded; with several people a question is user/id.",
)
@click.option(
    "--qrels",
    "qrels_file",
    metavar="FILE",
    type=FILE,
    help="Write the gold as TREC qrels: trec_eval -c QRELS RUN.",
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
@click.option("--seed", metavar="N", type=int, default=0, help="Of the bootstrap and of --make-questions.")
@click.pass_obj
def of_folder(
    app: App,
    folder: Path,
    n: int | None,
    make_questions: bool,
    force: bool,
    second: Mapping[str, str],
    ablate: bool,
    metric: str,
    by: Group,
    precision: bool,
    run_file: Path | None,
    trec_file: Path | None,
    qrels_file: Path | None,
    cutoffs: tuple[int, ...],
    limit: int | None,
    keep_home: Path | None,
    seed: int,
) -> None:
    """Measure retrieval on questions with known answers.

    DIR holds queries.jsonl, a row per question: {"id", "text", "gold": [document ids], "user"?, "type"?};
    and docs.jsonl: {"id", "text", "user"?, ...}.  Every question sees the documents of its own person
    only.  Without docs.jsonl it is asked of what the home holds already.

    No questions yet?  --make-questions makes some from your documents.  Questions without gold, and those
    of type "adversarial", should be declined: how well relevance tells them apart is shown as AUROC.

    With --compare and --ablate the files hold the rankings of the configuration in force.
    """  # fmt: skip
    if make_questions:
        _make_questions(app, folder, n or known_items.DOCUMENTS, force=force, seed=seed)
        return
    if n is not None or force:
        raise click.UsageError("N and --force go with --make-questions")
    if second and ablate:
        raise click.UsageError("--compare and --ablate are two measurements: one at a time")
    if not folder.is_dir():
        raise click.UsageError(f"there is no folder {folder}")
    config = app.config()
    data = datasets.load(folder, user=config.general.user)
    if limit is not None:
        data = data.limited(limit)
    if ablate and not any(question.gold for question in data.questions):
        raise click.UsageError("--ablate needs questions with gold")
    cutoffs = cutoffs or harness.CUTOFFS
    also = [f"P@{k}" for k in sorted(set(cutoffs))] if precision else []
    options: dict[str, Any] = {"cutoffs": cutoffs, "also": also, "seed": seed, "by": by}
    with _home(data, keep_home, config) as home, Engine(config=harness.settings_for(config, home)) as engine:
        built = _build(engine, data)
        found: dict[str, Any] = {}
        tables: list[str] = []
        if ablate:
            with progress.counted("asking") as tell:
                parts, rankings = ablation.ablate(
                    engine, data, metric=metric, by=by, seed=seed, on_progress=tell
                )
            found["ablation"] = report.ablation_json(parts)
            tables.append(report.ablation_text(parts))
        else:
            rankings = _ask(engine, data)
        if second:
            compared = _compare(engine, data, rankings, config.replace(second), keep_home, metric, options)
            found["comparison"] = report.comparison_json(compared)
            tables.append(report.comparison_text(compared))
    _write_files(data, rankings, run_file, trec_file, qrels_file)
    scored = harness.score(data, rankings, threshold=config.retrieve.min_relevance, **options)
    if app.json:
        screen.put_json({**report.as_json(scored), "build_s": round(built.seconds, 2), **found})
    else:
        screen.put(screen.safe("\n\n".join([report.as_text(scored), *tables])))


command = Evaluations("eval", help=of_folder.help)


def _build(engine: Engine, data: DataSet) -> Built:
    if data.docs is not None:
        screen.say(f"indexing {data.n_documents:,} documents of {len(data.people):,} people ...")
    built = harness.build(engine, data)
    for skipped in built.total.skipped:
        screen.say(f"skipped {screen.line(skipped.path)}: {screen.line(skipped.reason)}")
    return built


def _compare(
    engine: Engine,
    data: DataSet,
    rankings: Sequence[Ranked],
    config: Config,
    kept: Path | None,
    metric: str,
    options: Mapping[str, Any],
) -> Comparison:
    """Ask the same questions under ``config``."""
    with harness.other_engine(engine, data, config, kept=kept) as other:
        return harness.comparison(
            data,
            rankings,
            _ask(other, data),
            main=metric,
            settings=harness.differing(engine.config, other.config),
            thresholds=(engine.config.retrieve.min_relevance, other.config.retrieve.min_relevance),
            **options,
        )


def _ask(engine: Engine, data: DataSet) -> list[Ranked]:
    with progress.counted("asking") as tell:
        return harness.ask(engine, data, on_progress=tell)


def _write_files(
    data: DataSet, rankings: Sequence[Ranked], run: Path | None, trec: Path | None, qrels: Path | None
) -> None:
    if run is not None:
        harness.write_run(run, rankings)
    if trec is not None:
        harness.write_trec(trec, data, rankings)
    if qrels is not None:
        harness.write_qrels(qrels, data)


def _make_questions(app: App, folder: Path, n: int, *, force: bool, seed: int) -> None:
    """Write questions about the person's own documents and say how to ask them."""
    known_items.check_target(folder, replace=force)
    made = known_items.make(app.session(), n, seed=seed)
    path = known_items.write(folder, made, replace=force)
    words = ["ragperso", *(["--home", app.home] if app.home is not None else []), "eval", str(folder)]
    then = shlex.join(words)
    if app.json:
        screen.put_json(
            {
                "file": str(path),
                "user": made.user,
                "documents": made.n_documents,
                "sampled": made.n_sampled,
                "repeated": made.n_repeated,
                "questions": len(made.questions),
                "by_type": made.by_type,
                "next": then,
            }
        )
        return
    screen.put(
        f"{screen.plural(len(made.questions), 'question')} about {made.n_sampled:,} of"
        f" {screen.plural(made.n_documents, 'document')} of {screen.line(made.user)}"
    )
    notes = {
        "title": "easy: titles and headings are part of the index",
        "keywords": "rare words of one passage",
        "sentence": "a sentence with words left out and its halves swapped",
        "entity": "names and numbers of one passage",
    }
    screen.put(
        screen.table([(kind, str(count), notes[kind]) for kind, count in made.by_type.items()], right=[1])
    )
    if made.n_repeated:
        screen.put(f"{screen.plural(made.n_repeated, 'document')} left out: too many others repeat them")
    screen.put(f"written to {screen.line(str(path))}, which quotes the documents")
    screen.put(f"next: {screen.line(then)}")


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
