"""Surface: ``ragperso forget``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import App, Command, confirm, tell_notes


@click.command("forget", cls=Command)
@click.argument("keys", metavar="[DOCUMENT]...", nargs=-1)
@click.option(
    "--fact", "facts", type=int, multiple=True, metavar="N", help="A statement by its number; repeatable."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(app: App, keys: Sequence[str], facts: Sequence[int], yes: bool) -> int:
    """Remove documents or statements, and every answer drawn from them.

    A DOCUMENT is named as search shows it, by the end of its path, or by a glob in quotes. What is removed is
    gone from every file; the receipt holds no content.
    """
    if not keys and not facts:
        raise click.UsageError("name a document, or a statement with --fact N")
    session = app.session()
    if not yes:
        named = [*(screen.line(key) for key in keys), *(f"statement {number}" for number in facts)]
        if not confirm(f"Forget {', '.join(named)}, and all answers drawn from them?"):
            screen.say("nothing was removed")
            return failures.ERROR
    proof = session.forget(keys, facts=facts)
    tell_notes(session)
    if app.json:
        screen.put_json(shapes.receipt(proof))
    else:
        show.receipt(proof)
    return failures.DONE
