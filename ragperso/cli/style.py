"""Surface: ``ragperso style``."""

from __future__ import annotations

import click

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.common import App, Command


@click.command("style", cls=Command)
@click.pass_obj
def command(app: App) -> None:
    """Show how you write, in figures.

    Measured on your own writing: mails you sent, your turns in chats, what you added as exemplars.
    """
    session = app.session()
    card = session.style()
    if app.json:
        screen.put_json(shapes.style(card))
        return
    rows = [[name, screen.line(value), usual] for name, value, usual in card.table()]
    screen.put(screen.table(rows, head=["measure", "yours", "of most people"]))
    said = session.profile().style
    if said:
        screen.put()
    for text in said:
        screen.put(screen.fill([(screen.line(text), "cyan")]))
