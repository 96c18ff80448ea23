"""Surface: ``ragperso style``."""

from __future__ import annotations

from typing import Final

import click

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.common import App, Command

_PHRASES: Final = ("says often", "greeting", "sign-off")  # words, not figures: a table of their own


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
    rows = [[name, screen.line(value), screen.line(usual)] for name, value, usual in card.table()]
    figures = [row for row in rows if row[0] not in _PHRASES]
    screen.put(screen.table(figures, head=["measure", "yours", "of most people"]))
    if phrases := [row for row in rows if row[0] in _PHRASES]:
        screen.put()
        screen.put(screen.table(phrases))
    said = session.profile().style
    if said:
        screen.put()
    for text in said:
        screen.put(screen.fill([(screen.line(text), "cyan")], indent="  ", first=""))
