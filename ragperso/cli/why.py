"""Surface: ``ragperso why``."""

from __future__ import annotations

import click

from ragperso import shapes
from ragperso.cli import screen, show
from ragperso.cli.common import App, Command


@click.command("why", cls=Command)
@click.argument("interaction", metavar="ID")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=8.0,
    metavar="N",
    help="About how long to measure; default 8.",
)
@click.pass_obj
def command(app: App, interaction: str, seconds: float) -> None:
    """Show what each passage, example and statement did to an answer.

    ID stands below every answer. Each part is left out of the prompt in turn: the less likely the answer
    gets, the more it came from that part. Also shows what would have been said without the strongest one.
    """
    session = app.session()
    if not app.json:
        screen.say(f"measuring for about {seconds:g} s ...")
    found = session.why(interaction, budget_s=seconds)
    if app.json:
        screen.put_json(shapes.why(found))
    else:
        show.why(found)
