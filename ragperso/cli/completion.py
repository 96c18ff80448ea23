"""Surface: ``ragperso completion``."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import get_completion_class

from ragperso.cli import screen
from ragperso.cli.common import App, Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the completion script of a shell.

    \b
      bash   eval "$(ragperso completion bash)"     in ~/.bashrc
      zsh    eval "$(ragperso completion zsh)"      in ~/.zshrc
      fish   ragperso completion fish > ~/.config/fish/completions/ragperso.fish
    """
    root = ctx.find_root()
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    script = kind(root.command, {}, "ragperso", "_RAGPERSO_COMPLETE").source()
    if ctx.ensure_object(App).json:
        screen.put_json({"shell": shell, "script": script})
    else:
        screen.put(script)
