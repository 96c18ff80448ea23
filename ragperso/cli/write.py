"""Surface: ``ragperso write``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import (
    TIMES,
    App,
    Command,
    filters_of,
    stop_on_interrupt,
    tell_notes,
    text_or_stdin,
)

if TYPE_CHECKING:
    from ragperso.types import Answer


@click.command("write", cls=Command)
@click.argument("request")
@click.option("-m", "--model", metavar="NAME", help="A starter, a path of a GGUF, or a pulled hub id.")
@click.option("--since", type=TIMES, metavar="DATE", help="Draw on documents from this day on.")
@click.option("--until", type=TIMES, metavar="DATE", help="Draw on documents before this day.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Draw on documents by metadata.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="At most so many written.")
@click.option("--no-stream", is_flag=True, help="Show the finished draft only.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Say which pieces of your writing were shown as examples."
)
@click.pass_obj
def command(
    app: App,
    request: str,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    where: Sequence[str],
    max_tokens: int | None,
    no_stream: bool,
    verbose: bool,
) -> int:
    """Draft a text in your own manner.

    REQUEST says what to write; - reads it from standard input. Facts come from your documents, the manner
    from your own writing; ragperso style shows it in figures.
    """
    request = text_or_stdin(request, "the request")
    if model is not None:
        app.overrides["generate.model"] = model
    session = app.session()
    draft = show.Draft(enabled=not (no_stream or app.json))
    draft.wait("reading your writing ...")
    with stop_on_interrupt() as is_cancelled:
        try:
            given = session.write(
                request,
                filters=filters_of(since, until, where),
                max_tokens=max_tokens,
                on_text=draft.write,
                is_cancelled=is_cancelled,
            )
        finally:
            draft.wipe()
    tell_notes(session)
    if app.json:
        screen.put_json(shapes.answer(given, explain=verbose))
        return failures.DONE if given.answer else failures.NOTHING
    if given.answer:
        screen.put(screen.fill([(screen.safe(given.answer), "")]))
    else:
        screen.say("the model wrote nothing")
    if verbose:
        screen.put()
        for text in examples(given):
            screen.put(screen.paint(f"  {text}", "dim"))
        screen.put(screen.paint(show.footer(given), "dim"))
    return failures.DONE if given.answer else failures.NOTHING


def examples(given: Answer) -> list[str]:
    """Return which pieces of the person's writing and which passages a draft was shown."""
    if given.prompt is None:
        return []
    lines = []
    for section in given.prompt.sections:
        lead = {"exemplars": "in the manner of ", "passages": "drawing on "}.get(section.name)
        for item in section.items if lead else ():
            name = item.detail if section.name == "exemplars" and item.detail else item.item
            lines.append(f"{lead}{screen.cut_left(screen.line(name), screen.width() - 20)}")
    return lines
