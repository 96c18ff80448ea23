"""Surface: ``ragperso status``."""

from __future__ import annotations

from typing import Any

import click

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.common import App, Command

_SHOWN = 10


@click.command("status", cls=Command)
@click.option("--all", "everyone", is_flag=True, help="Every person under this home.")
@click.pass_obj
def command(app: App, everyone: bool) -> None:
    """Show what is stored and indexed.

    Loads no model.
    """
    engine = app.engine()
    if not everyone:
        told = shapes.status(app.session().status())
        if app.json:
            screen.put_json(told)
        else:
            _show(told)
        return
    people = [shapes.status(engine.session(name, create=False).status()) for name in engine.users()]
    if app.json:
        screen.put_json({"home": str(engine.home), "users": people})
        return
    if not people:
        screen.say(f"nobody lives in {screen.line(str(engine.home))} yet; ragperso add PATH begins")
        return
    rows = [
        [
            screen.cut(screen.line(told["user"]), 24),
            *(f"{told['corpora'][corpus]['documents']:,}" for corpus in told["corpora"]),
            f"{sum(part['chunks'] for part in told['corpora'].values()):,}",
            screen.size(told["size_bytes"]),
        ]
        for told in people
    ]
    head = ["person", "documents", "history", "exemplars", "chunks", "on disk"]
    screen.put(screen.table(rows, head=head, right=[1, 2, 3, 4]))


def _show(told: dict[str, Any]) -> None:
    embedder = told["embedder"]
    made_by = f"{embedder['name']} ({embedder['dim']} dimensions)" if embedder else "none yet"
    screen.put(f"{screen.paint(screen.line(told['user']), 'bold')}  {screen.line(told['path'])}")
    rows = [[name, f"{part['documents']:,}", f"{part['chunks']:,}"] for name, part in told["corpora"].items()]
    screen.put(screen.table(rows, head=["corpus", "documents", "chunks"], right=[1, 2]))
    screen.put(
        f"{screen.plural(told['interactions'], 'exchange')}, {screen.plural(told['facts'], 'statement')}"
    )
    screen.put(f"embedder {screen.line(made_by)}; {screen.size(told['size_bytes'])} on disk")
    skipped = told["skipped"]
    if skipped:
        screen.put(screen.plural(len(skipped), "skipped file") + ":")
    for item in skipped[:_SHOWN]:
        screen.put(
            screen.fill(
                [(f"{screen.line(item['path'])}: {screen.line(item['reason'])}", "")],
                indent="    ",
                first="  ",
            )
        )
    if len(skipped) > _SHOWN:
        screen.put(f"  ... and {len(skipped) - _SHOWN:,} more; --json lists all")
