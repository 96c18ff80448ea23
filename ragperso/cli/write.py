"""Surface: ``ragperso write``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from ragperso.registers import REGISTERS
from ragperso.types import PERSONAL_PARTS

if TYPE_CHECKING:
    from ragperso.engine import Compared
    from ragperso.types import Answer, Distance, PersonalPart


@click.command("write", cls=Command)
@click.argument("request")
@click.option("--to", default="", metavar="NAME", help="Whom it is to; otherwise read from the request.")
@click.option(
    "--register",
    type=click.Choice(REGISTERS),
    help="What kind of text; otherwise from the request.",
)
@click.option("--length", default="", metavar="N|short|medium|long", help="About how many words.")
@click.option(
    "--without",
    type=click.Choice(PERSONAL_PARTS),
    multiple=True,
    help="Leave out a kind of personalization; repeatable.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Draft with and without each kind of personalization; nothing is recorded.",
)
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
    to: str,
    register: str | None,
    length: str,
    without: Sequence[PersonalPart],
    compare: bool,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    where: Sequence[str],
    max_tokens: int | None,
    no_stream: bool,
    verbose: bool,
) -> int:
    """Draft a text in your own manner.

    REQUEST says what to write, or is the mail to answer; - reads it from standard input. Facts come from
    your documents, the manner from your own writing; ragperso style shows it in figures.

    \b
      ragperso write "Decline Saturday's dinner" --to Jo --register mail
      ragperso write - --length short < mail.txt
    """
    if compare and without:
        raise click.UsageError("--compare leaves each kind out in turn: give it without --without")
    request = text_or_stdin(request, "the request")
    if model is not None:
        app.overrides["generate.model"] = model
    session = app.session()
    filters = filters_of(since, until, where)
    wanted: dict[str, Any] = {
        "filters": filters, "max_tokens": max_tokens, "register": register or "", "to": to, "length": length
    }  # fmt: skip
    if compare:
        with stop_on_interrupt() as is_cancelled:
            found = session.compare(request, is_cancelled=is_cancelled, **wanted)
        _compared(app, found)
        return failures.DONE
    draft = show.Draft(enabled=not (no_stream or app.json))
    draft.wait("reading your writing ...")
    with stop_on_interrupt() as is_cancelled:
        try:
            given = session.write(
                request, without=without, on_text=draft.write, is_cancelled=is_cancelled, **wanted
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
    for text in remarks(given):
        screen.say(screen.paint(screen.fill([(text, "")], indent="  ", first=""), "dim", err=True))
    if verbose:
        screen.put()
        for text in examples(given):
            screen.put(screen.paint(f"  {text}", "dim"))
        screen.put(screen.paint(show.footer(given), "dim"))
    else:
        screen.say(screen.paint(given.interaction, "dim", err=True))
    return failures.DONE if given.answer else failures.NOTHING


def remarks(given: Answer) -> list[str]:
    """Return what to look at before a draft is sent: what no source has, and what is unlike the person."""
    found = []
    if given.unfounded:
        words = ", ".join(screen.line(word) for word in given.unfounded[:8])
        found.append(f"check: {words} - in neither your request nor your documents")
    if given.manner is not None and given.manner.is_unlike:
        found += [f"unlike you: {screen.line(text)}" for text in given.manner.deviations[:2]]
    return found


def _compared(app: App, found: Sequence[Compared]) -> None:
    if app.json:
        screen.put_json({"drafts": [shapes.compared(one) for one in found]})
        return
    for number, one in enumerate(found):
        if number:
            screen.put()
        title = "with all of it" if not one.without else f"without {', '.join(one.without)}"
        if len(one.without) == len(PERSONAL_PARTS):
            title = "without any"
        told = f"  {_told(one.manner)}" if one.manner is not None else ""
        screen.put(f"{screen.paint(title, 'bold')}{screen.paint(told, 'dim')}")
        if one.same_as:
            screen.put(screen.paint(f"    the same prompt as {one.same_as}", "dim"))
        else:
            screen.put(screen.fill([(screen.safe(one.text), "")], indent="    "))


def _told(manner: Distance) -> str:
    """Return a distance in a few words."""
    if not manner.usual:
        return ""
    return f"distance {manner.overall:.2f}; nine of ten of your own texts stay below {manner.usual:.2f}"


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
