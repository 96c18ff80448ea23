"""Surface: ``ragperso export``."""

from __future__ import annotations

from pathlib import Path

import click

from ragperso.cli import screen
from ragperso.cli.common import App, Command


@click.command("export", cls=Command)
@click.argument("target", metavar="FILE.zip", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@click.pass_obj
def command(app: App, target: Path, replace: bool) -> None:
    """Write everything of a person to one archive.

    Vectors are included, so importing embeds nothing. The archive is not encrypted.
    """
    if target.exists() and not replace:
        raise click.UsageError(f"{target} exists; --replace overwrites it")
    counts = dict(app.session().export(target))
    if app.json:
        screen.put_json({"file": str(target), "size_bytes": target.stat().st_size, "counts": counts})
        return
    screen.put(f"{screen.line(str(target))}: {screen.size(target.stat().st_size)}")
    rows = [[name, f"{n:,}"] for name, n in counts.items() if n]
    screen.put(screen.table([[n, name] for name, n in rows], right=[0]))
