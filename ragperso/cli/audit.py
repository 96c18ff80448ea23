"""Surface: ``ragperso audit``."""

from __future__ import annotations

import click

from ragperso import shapes
from ragperso.cli import failures, screen
from ragperso.cli.common import App, Command
from ragperso.privacy.audit import render


@click.command("audit", cls=Command)
@click.option("-n", "n", type=click.IntRange(min=1), metavar="N", help="The last N events only.")
@click.pass_obj
def command(app: App, n: int | None) -> int:
    """Show what was done to your data.

    Counts and ids only, in a chain of hashes that shows edits.
    """
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
