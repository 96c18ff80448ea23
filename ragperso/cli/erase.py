"""Surface: ``ragperso erase``."""

from __future__ import annotations

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import App, Command, ask_line


@click.command("erase", cls=Command)
@click.argument("person", metavar="USER")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(app: App, person: str, yes: bool) -> int:
    """Remove a person and everything of theirs.

    The receipt that stays holds counts and a salted hash, no content.
    """
    engine = app.engine()
    name = screen.line(engine.session(person, create=False).user)
    if not yes and ask_line(f"This removes everything of {name}. Type the name to go on: ").strip() != person:
        screen.say("that is another name; nothing was removed")
        return failures.ERROR
    proof = engine.erase(person)
    if app.json:
        screen.put_json(shapes.receipt(proof))
    else:
        show.receipt(proof)
    return failures.DONE
