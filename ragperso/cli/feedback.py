"""Surface: ``ragperso feedback``."""

from __future__ import annotations

from typing import Literal

import click

from ragperso.cli import screen
from ragperso.cli.common import App, Command, text_or_stdin


@click.command("feedback", cls=Command)
@click.argument("interaction", metavar="ID")
@click.argument("verdict", metavar="[good|bad]", required=False, type=click.Choice(["good", "bad"]))
@click.option(
    "--edit", "edited", metavar="TEXT", help="The answer as you would have written it; - reads stdin."
)
@click.pass_obj
def command(app: App, interaction: str, verdict: Literal["good", "bad"] | None, edited: str | None) -> None:
    """Mark an answer good or bad, or give your own version.

    ID stands below every answer. Your own version becomes an example of how you say things.
    """
    if (verdict is None) == (edited is None):
        raise click.UsageError("say good, bad, or --edit TEXT")
    session = app.session()
    if edited is not None:
        session.feedback(interaction, "edited", text_or_stdin(edited, "the edited answer"))
    elif verdict is not None:
        session.feedback(interaction, verdict)
    told = "edited" if verdict is None else verdict
    if app.json:
        screen.put_json({"interaction": interaction, "verdict": told})
    else:
        screen.put(f"noted: {told}")
