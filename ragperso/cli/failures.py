"""Surface: from what went wrong to one readable line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from ragperso import errors
from ragperso.cli import screen

DONE: Final = 0
ERROR: Final = 1
USAGE: Final = 2
NOTHING: Final = 3  # found nothing, or abstained
SKIPPED: Final = 4
NO_MODEL: Final = 5
UNUSABLE_INDEX: Final = 6  # locked, or needs a rebuild
INTERRUPTED: Final = 130

# Extras whose packages run or fetch models.
_MODEL_EXTRAS: Final = ("embed", "llama", "starter", "hub")


def guard(run: Callable[[], int], words: Sequence[str]) -> int:
    """Return the exit code of ``run``; tell on stderr what it raised.

    ``words`` are the command line: an error may come before ``--json`` or ``--debug`` was parsed.
    """
    as_json = "--json" in words
    screen.prepare()
    try:
        code = run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _closed_pipe()
    except (KeyboardInterrupt, click.Abort, errors.GenerationCancelled):
        if as_json:
            _tell({"type": "Interrupted", "stage": "ragperso", "message": "interrupted", "hint": ""})
        else:
            screen.say("interrupted")
        return INTERRUPTED
    except SystemExit as exc:  # click turns a closed pipe into one
        return exc.code if isinstance(exc.code, int) else ERROR
    except Exception as exc:
        if "--debug" in words or os.environ.get("RAGPERSO_DEBUG"):
            traceback.print_exc()
        told = shape(exc)
        if as_json:
            _tell(told)
        else:
            screen.say(f"{screen.paint('error:', 'red', err=True)} {screen.line(told['message'])}")
            if told["hint"]:
                screen.say(f"hint: {screen.line(told['hint'])}")
        return code_of(exc)


def code_of(exc: Exception) -> int:
    """Return the exit code that an exception stands for."""
    if isinstance(exc, errors.MissingExtra):
        return NO_MODEL if exc.extra in _MODEL_EXTRAS else ERROR
    if isinstance(exc, errors.ModelUnavailable):
        return NO_MODEL
    if isinstance(exc, (errors.WorkspaceLocked, errors.IndexStateError)):
        return UNUSABLE_INDEX
    if isinstance(exc, (errors.ConfigError, click.UsageError)):
        return USAGE
    return ERROR


def shape(exc: Exception) -> dict[str, str]:
    """Return an exception as ``{"type", "stage", "message", "hint"}``, without any text of a person."""
    if isinstance(exc, errors.RagpersoError):
        return {"type": type(exc).__name__, "stage": exc.stage, "message": exc.message, "hint": exc.hint}
    if isinstance(exc, click.UsageError):
        path = exc.ctx.command_path if exc.ctx else "ragperso"
        return {
            "type": "UsageError",
            "stage": "ragperso",
            "message": exc.format_message(),
            "hint": f"{path} --help",
        }
    if isinstance(exc, click.ClickException):
        return {
            "type": type(exc).__name__,
            "stage": "ragperso",
            "message": exc.format_message(),
            "hint": "",
        }
    if isinstance(exc, OSError) and exc.strerror:
        where = f": {os.fspath(exc.filename)!s}" if exc.filename else ""
        return {"type": "OSError", "stage": "ragperso", "message": f"{exc.strerror}{where}", "hint": ""}
    # The message of an unknown exception may quote the person's text; where it came from does not.
    return {
        "type": "Bug",
        "stage": "ragperso",
        "message": f"this is a bug in ragperso ({type(exc).__name__} at {_place(exc)})",
        "hint": "run it again with --debug and report what it shows, without private lines",
    }


def _place(exc: Exception) -> str:
    """Return the innermost line of this package that the exception passed."""
    package = Path(__file__).parents[1]
    place = "an unknown place"
    for frame in traceback.extract_tb(exc.__traceback__):
        path = Path(frame.filename)
        if package in path.parents:
            place = f"{path.relative_to(package.parent).as_posix()}:{frame.lineno}"
    return place


def _tell(told: dict[str, str]) -> None:
    screen.say(screen.json_text({"error": told}))


def _closed_pipe() -> int:
    """Let the interpreter's last flush go nowhere; the reader has seen what it wanted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
