"""Surface: ``ragperso models``: list, pull, default."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import click

from ragperso import config as settings
from ragperso import models, shapes
from ragperso.cli import failures, screen
from ragperso.cli.common import App, Family
from ragperso.cli.settings_file import write_setting

_SECTIONS: Final = {"embedder": ("index", "embedder"), "generator": ("generate", "model")}
_KIND = click.Choice(["embedder", "generator"])


@click.group("models", cls=Family, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> int | None:
    """List, fetch and choose models.

    Without a subcommand it lists them.
    """
    code: int | None = ctx.invoke(list_) if ctx.invoked_subcommand is None else None
    return code


@command.command("list")
@click.pass_obj
def list_(app: App) -> int:
    """List the models on this machine."""
    config = app.config()
    found = models.list_models(settings.models_of(config))
    chosen = {"embedder": config.index.embedder, "generator": config.generate.model}
    in_use = [_is(file, chosen[file.kind]) for file in found]
    if app.json:
        rows = [{**shapes.model(file), "default": used} for file, used in zip(found, in_use, strict=True)]
        screen.put_json({"models": rows})
    for file, used in zip(found, in_use, strict=True) if not app.json else ():
        mark = screen.paint("  (default)", "green") if used else ""
        screen.put(f"{screen.paint(screen.line(file.name), 'bold')}  {file.kind}{mark}")
        _detail(file)
    if not found:
        screen.say("no models yet: pip install 'ragperso[starter]', or ragperso models pull REPO")
    return failures.DONE if found else failures.NOTHING


def _is(file: models.ModelFile, name: str) -> bool:
    if name == models.STARTER:
        return any(starter.name == file.name and starter.kind == file.kind for starter in models.STARTERS)
    return name in (file.name, str(file.path))


def _detail(file: models.ModelFile) -> None:
    licence = screen.line(file.licence) or "licence not stated"
    facts = (
        f"{screen.size(file.size_bytes)}, sha256 {file.sha256[:12]}, {licence}, {screen.line(file.source)}"
    )
    screen.put(screen.fill([(facts, "dim")], first="  ", indent="    "))
    screen.put(f"  {screen.paint(screen.line(str(file.path)), 'dim')}")  # whole, to be copied


@command.command("pull")
@click.argument("repo", metavar="REPO")
@click.option("--kind", type=_KIND, help="Default: generator when --file ends in .gguf or REPO in GGUF.")
@click.option("--file", "file", metavar="NAME", help="Which GGUF of several.")
@click.option("--revision", metavar="REV", help="A branch, tag or commit; default: the newest.")
@click.pass_obj
def pull(
    app: App, repo: str, kind: Literal["embedder", "generator"] | None, file: str | None, revision: str | None
) -> None:
    """Fetch a model from the Hugging Face hub.

    The only command that uses the network. Weights are safetensors or GGUF, never pickles; their SHA-256 is
    checked and shown.
    """
    if kind is None:
        is_gguf = file is not None or repo.lower().endswith("gguf")
        kind = "generator" if is_gguf else "embedder"

    def tell(name: str, done: int, total: int) -> None:
        screen.say(f"{screen.line(name)}: {screen.size(done)} of {screen.size(total)}")

    found = models.pull(repo, kind, settings.models_of(app.config()), revision, file, tell)
    if app.json:
        screen.put_json(shapes.model(found))
        return
    screen.put(f"{screen.paint(screen.line(found.name), 'bold')}  {found.kind}")
    screen.put(f"  sha256 {found.sha256}")
    _detail(found)
    screen.say(f"hint: ragperso models default {screen.line(found.name)} --kind {found.kind}")


@command.command("default")
@click.argument("name")
@click.option("--kind", type=_KIND, help="When the name is known as both, or as neither.")
@click.pass_obj
def default(app: App, name: str, kind: Literal["embedder", "generator"] | None) -> None:
    """Choose a model for all your commands.

    Writes it to your own ragperso.toml; every other line of it stays.
    """
    folder = settings.models_of(app.config())
    if kind is None:
        kinds = {file.kind for file in models.list_models(folder) if name in (file.name, str(file.path))}
        if len(kinds) != 1:
            kinds = {"generator"} if Path(name).suffix == ".gguf" else set()
        if not kinds:
            raise click.UsageError("say --kind embedder or --kind generator")
        (kind,) = kinds
    found = models.resolve(name, kind, folder)
    # A path is kept in full: the setting has to hold in every folder.
    value = str(Path(name).expanduser().resolve()) if found.source == "path" else name
    section, key = _SECTIONS[kind]
    path = settings.user_file()
    write_setting(path, section, key, value)
    if app.json:
        screen.put_json({"file": str(path), "setting": f"{section}.{key}", "value": value})
        return
    screen.put(f"{section}.{key} = {screen.line(value)} in {screen.line(str(path))}")
    if kind == "embedder":
        screen.say(f"hint: ragperso reindex --embedder {screen.line(value)} for each person")
