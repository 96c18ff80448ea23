"""Surface: ``ragperso profile``: show, edit, set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from ragperso import shapes
from ragperso.cli import failures, progress, screen
from ragperso.cli.common import App, Family, edit_text, stop_on_interrupt
from ragperso.learn.profile import Entry
from ragperso.types import Fact

KEYS: Final = ("name", "languages", "addresses", "shared")


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
    if known.summary:
        screen.put()
    for line in known.summary:
        screen.put(screen.fill([(screen.line(line.text), "")], indent="  ", first=""))
    if entries:
        screen.put()
    for entry in entries:
        _entry(entry)
    if known.style:
        screen.put()
    for text in known.style:
        screen.put(screen.fill([(screen.line(text), "cyan")], first="   ~  ", indent="      "))


def _entry(entry: Entry) -> None:
    """Print one statement: number, words, whom it is about, how long it held, where it was said."""
    fact = entry.fact
    lead = f"{fact.id:>4}  "
    spans: list[screen.Span] = [("(model) ", "yellow")] if fact.origin == "model" else []
    spans.append((screen.line(fact.text), ""))
    if fact.subject:
        spans.append((f"  [{screen.line(fact.subject)}]", "cyan"))
    spans.append((f"  ({screen.line(entry.origin)}{_held(fact)})", "dim"))
    screen.put(screen.fill(spans, first=lead, indent=" " * len(lead)))


def _held(fact: Fact) -> str:
    """Return when a statement was said and until when it held, as far as that is known."""
    told = f", {fact.at.date()}" if fact.at is not None else ""
    if fact.n_seen > 1:
        told += f", said {fact.n_seen} times"
    if fact.valid_to is not None:
        told += f", until {fact.valid_to.date()}"
    if fact.superseded_by:
        told += f", replaced by {fact.superseded_by}"
    return told


@command.command("history")
@click.argument("about", default="", metavar="[WORD]")
@click.pass_obj
def history(app: App, about: str) -> int:
    """Show all that was ever believed, oldest first.

    WORD narrows it: a person ("sister"), a subject matter ("home", "job"), or a word of the statement.
    """
    found = app.session().profile_history(about)
    if app.json:
        screen.put_json({"facts": [shapes.entry(one) for one in found]})
    elif not found:
        screen.say("nothing of the kind was ever said")
    else:
        for entry in found:
            _entry(entry)
    return failures.DONE if found else failures.NOTHING


@command.command("why")
@click.argument("number", type=int, metavar="N")
@click.pass_obj
def why(app: App, number: int) -> None:
    """Show why a statement is believed: the words, where they stand, and what came before and after."""
    session = app.session()
    found = session.profile_why(number)
    if app.json:
        screen.put_json(
            {
                **shapes.entry(found.entry),
                "passage": found.passage,
                "before": [shapes.entry(one) for one in found.before],
                "after": [shapes.entry(one) for one in found.after],
            }
        )
        return
    _entry(found.entry)
    fact = found.entry.fact
    told = f"about {fact.slot}" if fact.slot else "of no special kind"
    screen.put(screen.paint(f"      {told}; confidence {found.confidence:.2f}", "dim"))
    if found.passage:
        screen.put()
        screen.put(screen.fill([(screen.safe(found.passage), "")], indent="      | ", first="      | "))
    for title, entries in (("it took the place of", found.before), ("its place was taken by", found.after)):
        if entries:
            screen.put()
            screen.put(screen.paint(f"{title}:", "bold"))
            for one in entries:
                _entry(one)


@command.command("refresh")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Stop after so long."
)
@click.pass_obj
def refresh(app: App, seconds: float | None) -> int:
    """Let the model read your own texts for statements that rules missed.

    Needs learn.llm = true. It goes on where it stopped; texts that failed before are tried once more. What a
    small model picks is listed by "profile history" alone: it is not believed.
    """
    session = app.session()
    with stop_on_interrupt() as is_cancelled, progress.counted("reading") as on_progress:
        done = session.refresh_profile(
            seconds=seconds or 0.0, on_progress=on_progress, is_cancelled=is_cancelled
        )
        was_stopped = is_cancelled()
    if app.json:
        screen.put_json(done)
    else:
        told = f"{screen.plural(done['texts'], 'text')} read, {screen.plural(done['facts'], 'new statement')}"
        if done["failed"]:
            told += f", {done['failed']:,} failed"
        screen.put(f"{told}; {done['waiting'] + done['parked']:,} still to read")
        if done["failed"]:
            screen.say("ragperso doctor says why; what failed stays and can be tried again")
    return failures.INTERRUPTED if was_stopped else failures.DONE


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
      ragperso profile set shared yes       (others may write in this one's manner: learn.team)
    """
    session = app.session(create=True)
    if key == "name":
        session.introduce(name=" ".join(values))
    elif key == "languages":
        session.introduce(languages=values)
    elif key == "shared":
        if tuple(values) not in (("yes",), ("no",)):
            raise click.UsageError("shared is yes or no")
        session.share(tuple(values) == ("yes",))
    else:
        session.introduce(addresses=values)
    if app.json:
        screen.put_json({"set": key})
    else:
        screen.put(f"{key}: {screen.line(', '.join(values) if key != 'name' else ' '.join(values))}")
