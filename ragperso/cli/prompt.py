"""Surface: ``ragperso prompt``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import click

from ragperso import shapes
from ragperso.cli import screen, show
from ragperso.cli.common import App, Command, filter_options, filters_of, tell_notes, text_or_stdin

if TYPE_CHECKING:
    from ragperso.types import Corpus


@click.command("prompt", cls=Command)
@click.argument("query")
@click.option("-n", "-k", "k", type=click.IntRange(min=1), metavar="N", help="How many hits to choose from.")
@filter_options
@click.option("--task", type=click.Choice(["ask", "write"]), default="ask", help="Default: ask.")
@click.option("--session", "conversation", default="", metavar="NAME", help="Continue this conversation.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Room kept for the answer.")
@click.pass_obj
def command(
    app: App,
    query: str,
    k: int | None,
    corpora: Sequence[Corpus],
    since: datetime | None,
    until: datetime | None,
    where: Sequence[str],
    task: Literal["ask", "write"],
    conversation: str,
    max_tokens: int | None,
) -> None:
    """Show what the model would read, and what each part costs.

    QUERY is what to ask; - reads it from standard input. Nothing is generated or recorded.
    """
    query = text_or_stdin(query, "the query")
    session = app.session()
    made = session.prompt(
        query,
        k=k,
        corpora=corpora or None,
        filters=filters_of(since, until, where),
        session=conversation,
        task=task,
        max_tokens=max_tokens,
    )
    tell_notes(session)
    if app.json:
        screen.put_json(shapes.prompt(made))
        return
    for message in made.messages:
        screen.put(screen.paint(f"--- {message.role}", "cyan"))
        screen.put(screen.fill([(screen.safe(message.content), "")]))
    screen.put(screen.paint("---", "cyan"))
    show.ledger(made)
