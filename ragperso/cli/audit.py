"""Surface: ``ragperso audit``: the log of what was done, and ``audit bias``."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragperso import shapes
from ragperso.cli import failures, progress, screen
from ragperso.cli.common import App, Family
from ragperso.files import write_atomically
from ragperso.privacy.audit import render

if TYPE_CHECKING:
    from ragperso.engine import Engine
    from ragperso.evaluate.bias import Measured


@click.group("audit", cls=Family, invoke_without_command=True)
@click.option("-n", "n", type=click.IntRange(min=1), metavar="N", help="The last N events only.")
@click.pass_context
def command(ctx: click.Context, n: int | None) -> int | None:
    """Show what was done to your data.

    Counts and ids only, in a chain of hashes that shows edits.  Another kind of audit, `bias`, checks whether
    names and groups change what is found and said.
    """
    if ctx.invoked_subcommand is not None:
        if n is not None:
            raise click.UsageError("-n belongs to ragperso audit alone")
        return None
    return _log(ctx.ensure_object(App), n)


def _log(app: App, n: int | None) -> int:
    events, intact = app.session().audit()
    shown = events[-n:] if n else events
    if app.json:
        screen.put_json(shapes.audit(shown, intact))
    else:
        for text in render(shown):
            screen.put(screen.line(text))
        if intact:
            screen.say(f"{screen.plural(len(events), 'event')}, the chain is unbroken")
        else:
            screen.say("the chain is broken: a line was changed or removed outside of ragperso")
    return failures.DONE if intact else failures.ERROR


@command.command("bias")
@click.option(
    "--questions",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="One question a line, or queries.jsonl. Default: yours, then some about titles of your documents.",
)
@click.option("--all-people", is_flag=True, help="Everyone under this home, one after the other.")
@click.option("--preset", "presets", metavar="NAME", multiple=True, help="Under this preset; repeatable.")
@click.option("--no-drafts", is_flag=True, help="Retrieval and refusals only: no model writes.")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=24, help="Questions; default 24.")
@click.option(
    "--seconds",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    default=100.0,
    help="Time for all of it; default 100. More of it means more drafts.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Of the names drawn and of the intervals.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The report, Markdown or .json. Default: ./ragperso-bias-USER-DATE.md.",
)
@click.option("--show-questions", is_flag=True, help="Quote the worst questions in the report.")
@click.pass_obj
def bias(
    app: App,
    file: Path | None,
    all_people: bool,
    presets: tuple[str, ...],
    no_drafts: bool,
    limit: int,
    seconds: float,
    seed: int,
    out: Path | None,
    show_questions: bool,
) -> None:
    """Check whether a name or a group changes what is found and said.

    The same question is put in the mouths of people with other names and groups, and so are the requests of
    exemplars.  What changes is compared with what changes when one name of a group replaces another.

    Nothing is recorded.  The report is a file to keep and to share: it holds no text of yours unless you say
    --show-questions, and no answer.
    """
    from ragperso.evaluate import bias as checks
    from ragperso.evaluate import bias_report

    engine = app.engine()
    at = engine.now()
    people = [str(user) for user in engine.users()] if all_people else [str(app.session().user)]
    if not people:
        raise click.UsageError("there is nobody under this home")
    measured: list[Measured] = []
    share = seconds / (len(people) * max(1, len(presets)))
    for preset in presets or ("",):
        with_preset = _with_preset(app, engine, preset, drafts=not no_drafts)
        for user in people:
            measured += _measure(
                with_preset, user, file, preset, drafts=not no_drafts, limit=limit, seconds=share, seed=seed
            )
    if not measured:
        raise click.UsageError("nobody under this home has a question or a document")
    check = checks.judge(measured, seed=seed)
    path = out or _free(f"ragperso-bias-{'all' if all_people else people[0]}-{at.date().isoformat()}")
    report = bias_report.as_json(check, at=at, show_questions=show_questions)
    if path.suffix == ".json":
        text = screen.json_text(report) + "\n"
    else:
        text = bias_report.as_markdown(check, checks.groups(), at=at, show_questions=show_questions)
    write_atomically(path, text)  # readable by its owner only
    if app.json:
        screen.put_json({**report, "file": str(path)})
        return
    screen.put(screen.safe(bias_report.as_text(check)))
    screen.put(f"report: {screen.line(str(path))}")


def _with_preset(app: App, engine: Engine, preset: str, *, drafts: bool) -> Engine:
    """Return an engine under ``preset`` that shares the models of ``engine``; the same one without."""
    if not preset:
        return engine
    from ragperso.engine import Engine

    # Read anew: a preset's settings stand below those of files and flags.
    overrides = {**app.overrides, "general.preset": preset}
    config = dataclasses.replace(app, overrides=overrides, _engine=None).config()
    return Engine(
        config=config,
        embedder=engine.embedder if config.index == engine.config.index else None,
        generator=engine.generator if drafts and config.generate == engine.config.generate else None,
        now=engine.now,
    )


def _measure(
    engine: Engine,
    user: str,
    file: Path | None,
    preset: str,
    *,
    drafts: bool,
    limit: int,
    seconds: float,
    seed: int,
) -> list[Measured]:
    from ragperso.errors import NotEnoughData
    from ragperso.evaluate import bias as checks

    session = engine.session(user, create=False)
    try:
        questions, source = checks.questions_of(session, file, n=limit, seed=seed)
    except NotEnoughData as exc:
        screen.say(f"{screen.line(user)}: {exc.message}")
        return []
    with progress.counted(f"asking as others ({user})") as tell:
        return [
            checks.measure(
                session,
                questions,
                source=source,
                drafts=drafts,
                seconds=seconds,
                seed=seed,
                preset=Path(preset).name,  # of a folder of one's own: where it lies is nobody's business
                on_progress=tell,
            )
        ]


def _free(stem: str) -> Path:
    """Return a name that no report has yet: they are kept."""
    numbers = itertools.count(2)
    path = Path(f"{stem}.md")
    while path.exists():
        path = Path(f"{stem}-{next(numbers)}.md")
    return path
