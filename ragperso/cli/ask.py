"""Surface: ``ragperso ask``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import (
    App,
    Command,
    filter_options,
    filters_of,
    stop_on_interrupt,
    tell_notes,
    text_or_stdin,
)
from ragperso.protocols import Scorer

if TYPE_CHECKING:
    from ragperso.types import Corpus


@click.command("ask", cls=Command)
@click.argument("query", metavar="QUESTION")
@click.option("-n", "-k", "k", type=click.IntRange(min=1), metavar="N", help="How many hits to choose from.")
@filter_options
@click.option("-m", "--model", metavar="NAME", help="A starter, a path of a GGUF, or a pulled hub id.")
@click.option("--session", "conversation", default="", metavar="NAME", help="Continue this conversation.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="At most so many written.")
@click.option("--no-stream", is_flag=True, help="Show the checked answer only.")
@click.option(
    "--explain", is_flag=True, help="Add what the model read, and what each part of it did to the answer."
)
@click.pass_obj
def command(
    app: App,
    query: str,
    k: int | None,
    corpora: Sequence[Corpus],
    since: datetime | None,
    until: datetime | None,
    where: Sequence[str],
    model: str | None,
    conversation: str,
    max_tokens: int | None,
    no_stream: bool,
    explain: bool,
) -> int:
    """Answer a question from your documents, with sources.

    QUESTION is what to ask; - reads it from standard input. Each sentence carries the label of the passage
    that supports it.
    """
    query = text_or_stdin(query, "the question")
    if model is not None:
        app.overrides["generate.model"] = model
    session = app.session()
    draft = show.Draft(enabled=not (no_stream or app.json))
    draft.wait("reading your notes ...")
    with stop_on_interrupt() as is_cancelled:
        try:
            given = session.ask(
                query,
                k=k,
                corpora=corpora or None,
                filters=filters_of(since, until, where),
                session=conversation,
                max_tokens=max_tokens,
                on_text=draft.write,
                is_cancelled=is_cancelled,
            )
        finally:
            draft.wipe()
    tell_notes(session)
    measures = explain and not given.abstained and isinstance(session.engine.generator, Scorer)
    if app.json:
        shape = shapes.answer(given, explain=explain)
        why = {"why": shapes.why(session.why(given.interaction))} if measures else {}
        screen.put_json({**shape, **why})
    else:
        show.answer(given, explain=explain)
        if measures:
            screen.put()
            screen.say("measuring what each part did ...")
            show.why(session.why(given.interaction))
    return failures.NOTHING if given.abstained else failures.DONE
