"""The generated parts of these pages: settings from ``ragperso.config``, commands from ``ragperso.cli``.

``make docs`` writes them into ``config.md`` and ``cli.md``; the tests run ``cog --check`` on both.
The words that explain a setting stand once, in ``ragperso.toml.example``.
"""

from __future__ import annotations

import re
import typing
from pathlib import Path

import click

from ragperso.cli import STAGES, cli
from ragperso.config import Config, keys

EXAMPLE = Path(__file__).resolve().parents[1] / "ragperso.toml.example"
COLUMNS = 80
_SETTING = re.compile(r"# ([a-z0-9_]+) = (.+)")


def explained() -> dict[str, tuple[str, str]]:
    """Return ``{"section.key": (default as TOML, meaning)}`` from ``ragperso.toml.example``, in order."""
    found: dict[str, tuple[str, str]] = {}
    section = ""
    words: list[str] = []
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section, words = line.strip("[]"), []
        elif match := _SETTING.fullmatch(line):
            found[f"{section}.{match[1]}"] = (match[2], " ".join(words))
            words = []
        elif line.startswith("# "):
            words.append(line[2:])
        else:
            words = []
    return found


def settings(section: str) -> str:
    """Return one section of the settings as a table."""
    said = explained()
    rows = ["| key | default | meaning | environment |", "|---|---|---|---|"]
    for path in keys():
        name, _, key = path.partition(".")
        if name == section:
            choices = _choices(section, key)
            default, meaning = said[path]
            words = meaning + (f" ({', '.join(f'`{choice}`' for choice in choices)})" if choices else "")
            variable = f"RAGPERSO_{section}_{key}".upper()
            rows.append(f"| `{key}` | `{default}` | {words} | `{variable}` |")
    return "\n".join(rows)


def _choices(section: str, key: str) -> tuple[str, ...]:
    kind = typing.get_type_hints(type(getattr(Config(), section)))[key]
    return typing.get_args(kind)


def commands() -> str:
    """Return the help of every command in the order of the flow; the common options stand at the top only."""
    root = _context(cli, "ragperso", None)
    parts = [_block(cli.get_help(root))]
    for heading, names in STAGES.items():
        parts.append(f"## {heading}")
        for name in names:
            command = cli.get_command(root, name)
            assert command is not None, name
            parts += _pages(command, _context(command, name, root))
    return "\n\n".join(parts)


def _pages(command: click.Command, context: click.Context) -> list[str]:
    help_text = command.get_help(context).partition("\n\nCommon options:")[0]
    pages = [f"### {context.command_path}", _block(help_text)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, name
            pages += _pages(child, _context(child, name, context))
    return pages


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        parent,
        name,
        terminal_width=COLUMNS,
        max_content_width=COLUMNS,
        help_option_names=["-h", "--help"],
    )


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
