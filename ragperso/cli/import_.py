"""Surface: ``ragperso import``."""

from __future__ import annotations

from pathlib import Path

import click

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.common import App, Command, tell_notes


@click.command("import", cls=Command)
@click.argument("archive", metavar="FILE.zip", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "name", metavar="USER", help="Under another name.")
@click.option("--replace", is_flag=True, help="Replace a person who is already there.")
@click.pass_obj
def command(app: App, archive: Path, name: str | None, replace: bool) -> None:
    """Bring a person back from an archive.

    Nothing is embedded anew.
    """
    session = app.engine().import_person(archive, name, replace=replace)
    tell_notes(session)
    told = shapes.status(session.status())
    if app.json:
        screen.put_json(told)
        return
    counts = ", ".join(
        f"{part['documents']:,} {corpus}" for corpus, part in told["corpora"].items() if part["documents"]
    )
    screen.put(f"{screen.line(told['user'])} is back: {counts or 'no documents'}")
