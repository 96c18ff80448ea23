"""Surface: ``ragperso search``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import App, Command, filter_options, filters_of, tell_notes, text_or_stdin

if TYPE_CHECKING:
    from ragperso.types import Corpus


@click.command("search", cls=Command)
@click.argument("query")
@click.option("-n", "-k", "k", type=click.IntRange(min=1), metavar="N", help="How many hits.")
@filter_options
@click.option("--min-relevance", type=click.FloatRange(0, 1), default=0.0, metavar="X", help="0 to 1.")
@click.option("--explain", is_flag=True, help="Say how each hit was found.")
@click.pass_obj
def command(
    app: App,
    query: str,
    k: int | None,
    corpora: Sequence[Corpus],
    since: datetime | None,
    until: datetime | None,
    where: Sequence[str],
    min_relevance: float,
    explain: bool,
) -> int:
    """Find passages by words and meaning.

    QUERY is what to find; - reads it from standard input.
    """
    query = text_or_stdin(query, "the query")
    session = app.session()
    result = session.retrieve(query, k=k, corpora=corpora or None, filters=filters_of(since, until, where))
    hits = tuple(hit for hit in result.hits if hit.relevance >= min_relevance)
    tell_notes(session)
    if app.json:
        screen.put_json(shapes.search(dataclasses.replace(result, hits=hits)))
    elif hits:
        show.hits(hits, query, explain=explain)
        if explain:
            times = ", ".join(f"{name} {screen.duration(ms)}" for name, ms in result.timings_ms.items())
            screen.put()
            screen.put(screen.paint(times, "dim"))
    else:
        screen.say("nothing found")
    return failures.DONE if hits else failures.NOTHING
