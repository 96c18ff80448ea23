"""Surface: ``ragperso reindex``."""

from __future__ import annotations

import time

import click

from ragperso.cli import failures, progress, screen
from ragperso.cli.common import App, Command, tell_notes


@click.command("reindex", cls=Command)
@click.option("--embedder", metavar="NAME", help="A starter, a path, or a hub id that was pulled.")
@click.pass_obj
def command(app: App, embedder: str | None) -> int:
    """Embed everything anew, for instance with another embedder.

    What has a vector already is not embedded again; the old vectors serve until all are there. Without
    --embedder it brings the indexes in line with the embedder of the settings.
    """
    session = app.session()
    started = time.perf_counter()
    try:
        with progress.counted("embedding") as on_progress:
            n_texts = session.reindex(embedder, on_progress=on_progress)
    except KeyboardInterrupt:
        screen.say("interrupted: what was embedded is kept; run the same command to continue")
        return failures.INTERRUPTED
    spent = 1000 * (time.perf_counter() - started)
    tell_notes(session)
    if app.json:
        screen.put_json({"embedded": n_texts, "timings_ms": {"total": round(spent, 1)}})
    else:
        screen.put(f"{screen.plural(n_texts, 'text')} embedded, indexes rebuilt, {screen.duration(spent)}")
        if embedder is not None and embedder != app.config().index.embedder:
            screen.say(
                f"hint: ragperso models default {screen.line(embedder)} --kind embedder makes it the default"
            )
    return failures.DONE
