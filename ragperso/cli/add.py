"""Surface: ``ragperso add``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ragperso import shapes
from ragperso.cli import failures, progress, screen, show
from ragperso.cli.common import App, Command, prepare_queries, tell_notes

if TYPE_CHECKING:
    from ragperso.engine import Session
    from ragperso.types import Corpus, IngestReport


@click.command("add", cls=Command)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--corpus",
    type=click.Choice(["documents", "history", "exemplars"]),
    default="documents",
    help="documents (the default), history (your old chats), exemplars (your own writing).",
)
@click.option("--users", is_flag=True, help="Give each row to the person its 'user' field names.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--again", is_flag=True, help="Take back files that were forgotten.")
@click.option("--watch", is_flag=True, help="Stay and take in changes as they happen.")
@click.pass_obj
def command(
    app: App, paths: Sequence[str], corpus: Corpus, users: bool, dry_run: bool, again: bool, watch: bool
) -> int:
    """Take in files, folders and exports; only what changed is read.

    Files that are gone are removed. Reads Markdown, text, reStructuredText, HTML, PDF, DOCX, CSV, JSONL, mail
    (eml, mbox) and code; respects .gitignore and .ragpersoignore.
    """
    if users:
        if dry_run or again or watch:
            raise click.UsageError("--users goes with none of --dry-run, --again, --watch")
        return _add_users(app, paths, corpus)
    session = app.session(create=True)
    try:
        done = _add(app, session, paths, corpus, dry_run, again)
        if watch and not dry_run:
            _watch(app, session, paths, corpus)
    except KeyboardInterrupt:
        screen.say("interrupted: what was committed is safe; run the same command to continue")
        return failures.INTERRUPTED
    return failures.SKIPPED if done.skipped else failures.DONE


def _add(
    app: App, session: Session, paths: Sequence[str], corpus: Corpus, dry_run: bool, again: bool
) -> IngestReport:
    with progress.ingest() as on_progress:
        done = session.add(paths, corpus, dry_run=dry_run, again=again, on_progress=on_progress)
    tell_notes(session)
    if app.json:
        screen.put_json(shapes.report(done))
    else:
        show.report(done, dry_run=dry_run)
    if done.embedded and not dry_run:
        prepare_queries(app)
    return done


def _add_users(app: App, paths: Sequence[str], corpus: Corpus) -> int:
    reports = app.engine().add_users(paths, corpus)
    if app.json:
        screen.put_json({"users": {name: shapes.report(done) for name, done in reports.items()}})
    else:
        for name, done in reports.items():
            screen.put(screen.paint(screen.line(name), "bold"))
            show.report(done, dry_run=False)
    if any(done.embedded for done in reports.values()):
        prepare_queries(app)
    return failures.SKIPPED if any(done.skipped for done in reports.values()) else failures.DONE


def _watch(app: App, session: Session, paths: Sequence[str], corpus: Corpus) -> None:
    """Add again whenever something below ``paths`` changes, until Ctrl-C.  Raises: MissingExtra."""
    from ragperso.backends import require

    watchfiles = require("watchfiles")
    screen.say("watching; Ctrl-C stops")
    # watchfiles ends quietly at Ctrl-C when it may; there is nothing to continue then.
    for _ in watchfiles.watch(*paths, raise_interrupt=False):
        done = session.add(paths, corpus)
        tell_notes(session)
        if not (done.changed or done.skipped):
            continue
        if app.json:
            screen.put_json(shapes.report(done))
        else:
            show.report(done, dry_run=False)
