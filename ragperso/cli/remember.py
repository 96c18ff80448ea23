"""Surface: ``ragperso remember``."""

from __future__ import annotations

import click

from ragperso.cli import screen
from ragperso.cli.common import App, Command, text_or_stdin


@click.command("remember", cls=Command)
@click.argument("text")
@click.pass_obj
def command(app: App, text: str) -> None:
    """Keep a statement about yourself.

    It goes into the profile that every prompt begins with. TEXT - reads standard input.
    """
    number = app.session(create=True).remember(text_or_stdin(text, "the statement"))
    if app.json:
        screen.put_json({"fact": number})
    else:
        screen.put(f"kept as statement {number}; ragperso forget --fact {number} takes it back")
