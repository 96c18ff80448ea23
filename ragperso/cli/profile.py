"""Surface: ``ragperso profile``: show, edit, set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.common import App, Family, edit_text

KEYS: Final = ("name", "languages", "addresses")


@click.group("profile", cls=Family, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> int | None:
    """Show or change what the engine believes of you.

    Without a subcommand it shows the profile.
    """
    code: int | None = ctx.invoke(show) if ctx.invoked_subcommand is None else None
    return code


@command.command("show")
@click.pass_obj
def show(app: App) -> None:
    """Show what is believed, each statement with its source."""
    session = app.session()
    known, entries = session.profile(), session.profile_entries()
    if app.json:
        screen.put_json(shapes.profile(known, entries))
        return
    if known.name:
        screen.put(screen.paint(screen.line(known.name), "bold"))
    if known.languages:
        screen.put(f"languages: {screen.line(', '.join(known.languages))}")
    if not entries:
        screen.say("no statements yet: ragperso remember 'TEXT', or ragperso add your own notes and mails")
    for entry in entries:
        lead = f"{entry.fact.id:>4}  "
        origin = screen.line(entry.origin)
        spans: list[screen.Span] = [(screen.line(entry.fact.text), ""), (f"  ({origin})", "dim")]
        screen.put(screen.fill(spans, first=lead, indent=" " * len(lead)))
    for text in known.style:
        screen.put(screen.fill([(screen.line(text), "cyan")], first="   ~  ", indent="      "))


@command.command("edit")
@click.pass_obj
def edit(app: App) -> None:
    """Open the profile in your editor ($EDITOR)."""
    session = app.session()
    before = session.profile_toml()
    after = edit_text(session, before)
    changes = session.edit_profile(after, before=before) if after is not None else {}
    if app.json:
        screen.put_json(changes)
        return
    told = [f"{name} {_told(value)}" for name, value in changes.items() if value]
    screen.put("; ".join(told) or "nothing was changed")


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@command.command("set")
@click.argument("key", type=click.Choice(KEYS))
@click.argument("values", nargs=-1, required=True)
@click.pass_obj
def set_(app: App, key: str, values: Sequence[str]) -> None:
    """Say who you are, so that your own writing is told from what you received.

    \b
      ragperso profile set name "Ana Keller"
      ragperso profile set languages en de
      ragperso profile set addresses ana@mail.example Ana
    """
    session = app.session(create=True)
    if key == "name":
        session.introduce(name=" ".join(values))
    elif key == "languages":
        session.introduce(languages=values)
    else:
        session.introduce(addresses=values)
    if app.json:
        screen.put_json({"set": key})
    else:
        screen.put(f"{key}: {screen.line(', '.join(values) if key != 'name' else ' '.join(values))}")
