"""Surface: ``ragperso doctor``."""

from __future__ import annotations

import dataclasses
from typing import Final

import click

from ragperso import config as settings
from ragperso import health
from ragperso.cli import failures, screen
from ragperso.cli.common import App, Command
from ragperso.errors import ConfigError

_MARKS: Final[dict[health.Level, tuple[str, str, screen.Style]]] = {
    "ok": ("✓", "ok", "green"),
    "note": ("·", "note", "yellow"),
    "problem": ("✗", "PROBLEM", "red"),
}


@click.command("doctor", cls=Command)
@click.option("--fix", is_flag=True, help="Make the repairs that are safe.")
@click.pass_obj
def command(app: App, fix: bool) -> int:
    """Find what is wrong, and the command that mends it.

    Looks at the installation, the models, and every person, or only the one that --user names.
    """
    config: settings.Config | None = None
    refused: ConfigError | None = None
    try:
        config = app.config()
    except ConfigError as exc:
        refused = exc
    found = health.examine(config, user=app.user)
    done: list[health.Finding] = []
    if fix:
        done = health.mend(config or settings.Config(), found)
        found = health.examine(config, user=app.user) if done else found
    if refused is not None and not any(f.area == "config" and f.level == "problem" for f in found):
        found.insert(0, health.Finding("config", "problem", refused.message, refused.hint))
    problems = [finding for finding in found if finding.level == "problem"]
    if app.json:
        screen.put_json(
            {
                "ok": not problems,
                "findings": [_shape(finding) for finding in found],
                "mended": [_shape(finding) for finding in done],
            }
        )
        return failures.ERROR if problems else failures.DONE
    for finding in done:
        screen.put(f"mended {screen.line(finding.area)}: {screen.line(finding.message)}")
    area = ""
    for finding in found:
        if finding.area != area:
            area = finding.area
            screen.put(screen.paint(screen.line(area), "bold"))
        nice, plain, style = _MARKS[finding.level]
        mark = screen.glyph(nice, plain)
        indent = " " * (3 + screen.cells(mark))
        lead = f"  {screen.paint(mark, style)} "
        screen.put(screen.fill([(screen.line(finding.message), "")], first=lead, indent=indent))
        if finding.hint and finding.level != "ok":
            screen.put(
                screen.fill(
                    [(screen.line(finding.hint), "cyan")], first=indent + "  ", indent=indent + "    "
                )
            )
    screen.put()
    screen.put(screen.plural(len(problems), "problem") if problems else "all is well")
    return failures.ERROR if problems else failures.DONE


def _shape(finding: health.Finding) -> dict[str, str]:
    return dataclasses.asdict(finding)
