"""Surface: the command line.  One file per command, listed in the order of the flow.

Command files are imported when their command runs, so ``ragperso --help`` imports no numpy, torch or faiss.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from ragperso import __version__
from ragperso.cli import failures
from ragperso.cli.common import App, common_options

# Heading -> (command, what it does).  The same line opens the command's own help; a test compares them.
STAGES: Final[dict[str, dict[str, str]]] = {
    "Begin here": {
        "demo": "See all seven stages on two sample people, without network.",
    },
    "1-2  Ingest, index": {
        "add": "Take in files, folders and exports; only what changed is read.",
        "reindex": "Embed everything anew, for instance with another embedder.",
    },
    "3  Retrieve": {
        "search": "Find passages by words and meaning.",
    },
    "4  Assemble": {
        "prompt": "Show what the model would read, and what each part costs.",
    },
    "5-6  Generate, record": {
        "ask": "Answer a question from your documents, with sources.",
        "chat": "Ask in a conversation, with follow-ups.",
        "write": "Draft a text in your own manner.",
        "why": "Show what each passage, example and statement did to an answer.",
        "feedback": "Mark an answer good or bad, give your own version, or say which citations you opened.",
    },
    "7  Learn": {
        "remember": "Keep a statement about yourself.",
        "profile": "Show or change what the engine believes of you.",
        "style": "Show how you write, in figures.",
    },
    "Privacy": {
        "forget": "Remove documents or statements, and every answer drawn from them.",
        "erase": "Remove a person and everything of theirs.",
        "export": "Write everything of a person to one archive.",
        "import": "Bring a person back from an archive.",
        "audit": "Show what was done to your data.",
    },
    "Tools": {
        "status": "Show what is stored and indexed.",
        "doctor": "Find what is wrong, and the command that mends it.",
        "models": "List, fetch and choose models.",
        "presets": "List kinds of use, and make your own.",
        "eval": "Measure retrieval on questions with known answers.",
        "completion": "Print the completion script of a shell.",
    },
}


class FlowGroup(click.Group):
    """A group whose commands stand in the order of the flow and are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in STAGES.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        # "import" is a keyword, so its file has another name.
        file = "import_" if cmd_name == "import" else cmd_name
        command: click.Command = importlib.import_module(f"ragperso.cli.{file}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what may follow; from the table, because a press of Tab is no time to import commands."""
        lines = {name: line for commands in STAGES.values() for name, line in commands.items()}
        found = [
            CompletionItem(name, help=line) for name, line in lines.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in STAGES.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()), col_max=12)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code; every failure becomes one readable line."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        words = list(sys.argv[1:] if args is None else args)

        def run() -> int:
            result = super(FlowGroup, self).main(
                words, prog_name or "ragperso", complete_var, standalone_mode=False, **extra
            )
            return result if isinstance(result, int) else 0

        sys.exit(failures.guard(run, words))


@click.group(
    cls=FlowGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 nothing found, 4 files were skipped, 5 model missing, "
    "6 locked or index needs rebuild, 130 interrupted.",
)
@click.version_option(__version__, message="ragperso %(version)s")
@common_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Your notes, answered in your own manner, fully local.

    ingest > index > retrieve > assemble > generate > record > learn
    """
    ctx.ensure_object(App)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program ``ragperso`` with ``args``, default those of the command line."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or tokenizers warns after every fork
    cli(args)
    raise AssertionError("cli exits")
