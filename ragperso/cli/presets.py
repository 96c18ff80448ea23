"""Surface: ``ragperso presets``: list, show, copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ragperso import preset
from ragperso.cli import screen
from ragperso.cli.common import App, Family
from ragperso.preset import Block, Preset, Sample


@click.group("presets", cls=Family, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List kinds of use, and make your own.

    Without a subcommand it lists them. A preset is a folder of small text files; --set general.preset=NAME
    uses one, by its name or its path.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
@click.pass_obj
def list_(app: App) -> None:
    """List the presets of this package."""
    chosen = app.config().general.preset
    names = preset.names()
    if chosen and chosen not in names:
        names.append(chosen)
    found = {name: preset.load(name) for name in names}
    if app.json:
        rows = [{**_shape(name, one), "default": name == chosen} for name, one in found.items()]
        screen.put_json({"presets": rows})
        return
    marks = {name: "  (default)" if name == chosen else "" for name in names}
    screen.put(
        screen.table([[screen.line(n), screen.line(p.description) + marks[n]] for n, p in found.items()])
    )
    screen.say("hint: ragperso presets show NAME; ragperso --set general.preset=NAME ask QUESTION")


@command.command("show")
@click.argument("name")
@click.pass_obj
def show(app: App, name: str) -> None:
    """Show what a preset sets, says and brings.

    NAME is one of the list, or the path of a folder.
    """
    found = preset.load(name)
    sample = preset.sample(found)
    if app.json:
        screen.put_json(_shape(name, found) | {"sample": _sample_shape(sample)})
        return
    screen.put(f"{screen.paint(screen.line(name), 'bold')}  {screen.line(found.description)}")
    screen.put(f"  {screen.paint(screen.line(str(found.path)), 'dim')}")
    for title, text in (("ask", found.ask), ("write", found.write)):
        screen.put(f"\n{screen.paint(title, 'bold')}")
        lines = text.splitlines() or ["the built-in text"]
        for line in lines:
            screen.put(screen.fill([(screen.line(line), "" if text else "dim")], indent="    ", first="  "))
    if found.blocks:
        screen.put(f"\n{screen.paint('blocks', 'bold')}")
        screen.put(screen.table([[block.name, *_told(block)] for block in found.blocks]))
    if found.settings:
        screen.put(f"\n{screen.paint('settings', 'bold')}")
        for key, value in found.settings.items():
            screen.put(f"  {key} = {screen.line(str(value))}")
    if sample is not None:
        screen.put(f"\n{screen.paint('try it', 'bold')}")
        for line in commands(name, sample):
            screen.put(f"  {screen.line(line)}")


@command.command("copy")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_obj
def copy(app: App, name: str, folder: Path) -> None:
    """Copy a preset into a new folder, to change it.

    NAME is one of the list, or the path of a folder; DIR must not hold anything yet.
    """
    made = preset.copy(name, folder)
    if app.json:
        screen.put_json(_shape(str(folder), made))
        return
    screen.put(f"copied to {screen.line(str(folder))}")
    screen.say(f"hint: edit {screen.line(str(folder / preset.FILE_NAME))}, then")
    screen.say(
        f"hint: ragperso --set general.preset={screen.line(shlex.quote(str(folder.resolve())))} ask QUESTION"
    )


def commands(name: str, sample: Sample) -> list[str]:
    """Return what to type to try a preset on its sample, for a person called ``sample``."""
    who = "-u sample"
    lines = [
        f"ragperso profile set {who} {key} {' '.join(shlex.quote(value) for value in values)}"
        for key, values in (
            ("name", [sample.name] if sample.name else []),
            ("languages", sample.languages),
            ("addresses", sample.addresses),
        )
        if values
    ]
    for corpus, paths in (
        ("documents", sample.documents),
        ("history", sample.history),
        ("exemplars", sample.exemplars),
    ):
        if paths:
            named = " ".join(shlex.quote(str(path)) for path in paths)
            corpora = "" if corpus == "documents" else f" --corpus {corpus}"
            lines.append(f"ragperso add {who}{corpora} {named}")
    lines += [f"ragperso remember {who} {shlex.quote(text)}" for text in sample.remember]
    use = f"--set general.preset={shlex.quote(name)}"
    if sample.question:
        lines.append(f"ragperso ask {who} {use} {shlex.quote(sample.question)}")
    if sample.request:
        lines.append(f"ragperso write {who} {use} {shlex.quote(sample.request)}")
    return lines


def _told(block: Block) -> list[str]:
    sources = [
        *(["its own text"] if block.text else []),
        *_named("documents", (":".join(pair) for pair in block.documents)),
        *_named("facts", (":".join(pair) for pair in block.facts)),
        *_named("exchanges", block.exchanges),
    ]
    limits = [f"{block.max_tokens} tokens", *([f"{block.max_entries} entries"] if block.max_entries else [])]
    if block.pick == "fitting":
        limits.append("what the request names")
    if len(block.tasks) == 1:
        limits.append(f"{block.tasks[0]} only")
    return [screen.line("; ".join(sources)), ", ".join(limits)]


def _named(kind: str, values: Iterable[str]) -> list[str]:
    told = ", ".join(values)
    return [f"{kind} {told}"] if told else []


def _shape(name: str, found: Preset) -> dict[str, Any]:
    return {
        "name": name,
        "title": found.name,
        "description": found.description,
        "path": str(found.path),
        "settings": dict(found.settings),
        "register": found.register,
        "ask": found.ask,
        "write": found.write,
        "blocks": [
            {
                "name": block.name,
                "title": block.title,
                "text": block.text,
                "documents": [":".join(pair) for pair in block.documents],
                "facts": [":".join(pair) for pair in block.facts],
                "exchanges": list(block.exchanges),
                "max_tokens": block.max_tokens,
                "max_entries": block.max_entries,
                "pick": block.pick,
                "tasks": list(block.tasks),
            }
            for block in found.blocks
        ],
    }


def _sample_shape(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {
        "documents": [str(path) for path in sample.documents],
        "history": [str(path) for path in sample.history],
        "exemplars": [str(path) for path in sample.exemplars],
        "remember": list(sample.remember),
        "question": sample.question,
        "request": sample.request,
    }
