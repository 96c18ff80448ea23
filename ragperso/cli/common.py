"""Surface: what all commands share: the common options, the settings they make, the person's session."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ragperso import config as settings
from ragperso.cli import screen
from ragperso.errors import ConfigError

if TYPE_CHECKING:
    from ragperso.engine import Engine, Session
    from ragperso.types import Filters

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class App:
    """What the common options said, wherever on the line they stood."""

    home: str | None = None
    user: str | None = None
    config_file: str | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    json: bool = False
    _engine: Engine | None = field(default=None, repr=False)

    def config(self) -> settings.Config:
        """Return the settings in force.  Raises: ConfigError."""
        overrides: dict[str, Any] = dict(self.overrides)
        if self.home is not None:
            overrides["general.home"] = self.home
        if self.user is not None:
            overrides["general.user"] = self.user
        project = None
        if self.config_file is not None:
            project = Path(self.config_file)
            if not project.is_file():
                raise ConfigError(
                    f"there is no file {self.config_file}", hint="give --config an existing file"
                )
        from ragperso import preset  # imports numpy, which --help need not wait for

        return settings.load(overrides=overrides, project=project, presets=preset.settings)

    def engine(self) -> Engine:
        """Return the engine; it is closed when the command ends."""
        if self._engine is None:
            from ragperso.engine import Engine

            self._engine = Engine(config=self.config())
            click.get_current_context().find_root().call_on_close(self._engine.close)
        return self._engine

    def session(self, *, create: bool = False) -> Session:
        """Return the session of the person that ``--user`` or the settings name.

        Raises: UnknownUser unless ``create``.
        """
        return self.engine().session(create=create)


def _collect(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        app = ctx.ensure_object(App)
        if name == "overrides":
            for item in value:
                key, equals, text = item.partition("=")
                if not equals:
                    raise click.BadParameter("write it as section.key=value", ctx=ctx, param=param)
                app.overrides[key.strip()] = text
        elif value is not None and value is not False:
            setattr(app, name, value)

    return callback


def _options() -> list[click.Option]:
    def option(names: Sequence[str], target: str, **kwargs: Any) -> click.Option:
        return click.Option(names, expose_value=False, is_eager=True, callback=_collect(target), **kwargs)

    return [
        option(["-u", "--user"], "user", metavar="NAME", help="The person; default general.user, 'me'."),
        option(["--home"], "home", metavar="DIR", help="Where people live; default ./indexes."),
        option(["--config"], "config_file", metavar="FILE", help="Instead of ./ragperso.toml."),
        option(
            ["-c", "--set"], "overrides", multiple=True, metavar="KEY=VALUE",
            help="Any setting, as section.key=value; repeatable.",
        ),
        option(["--json"], "json", is_flag=True, help="Print JSON."),
        option(["--debug"], "debug", is_flag=True, help="Show the traceback of an error."),
    ]  # fmt: skip


_COMMON = frozenset(option.name for option in _options())


def common_options(function: F) -> F:
    """Add the common options to a group."""
    for option in reversed(_options()):
        function.__dict__.setdefault("__click_params__", []).append(option)
    return function


class Command(click.Command):
    """A command that also takes the common options, which its help lists apart from its own.

    What an argument means stands in the command's docstring; click 8.5 would list it without a word.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                (common if param.name in _COMMON else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        with formatter.section("Common options"):
            formatter.write_dl(common)


class Family(click.Group):
    """A command with subcommands that also takes the common options."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_options())


def filters_of(since: datetime | None, until: datetime | None, where: Sequence[str]) -> Filters | None:
    """Return what ``--since``, ``--until`` and ``--where`` ask for; None when nothing."""
    from ragperso.types import Filters

    meta: dict[str, str] = {}
    for item in where:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise click.UsageError("--where wants key=value, for instance speaker=Ana")
        meta[key.strip()] = value
    if since is None and until is None and not meta:
        return None
    return Filters(since=_aware(since), until=_aware(until), meta=meta)


def _aware(value: datetime | None) -> datetime | None:
    """Return a time without zone as one of this machine's zone."""
    return value.astimezone() if value is not None and value.tzinfo is None else value


TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m", "%Y"])


def filter_options(function: F) -> F:
    """Add ``--corpus``, ``--since``, ``--until`` and ``--where``."""
    corpora = click.option(
        "--corpus",
        "corpora",
        multiple=True,
        type=click.Choice(["documents", "history", "exemplars"]),
        help="Search here only; repeatable. Default: documents and history.",
    )
    since = click.option(
        "--since", type=TIMES, metavar="DATE", help="From this day on: 2026-05-01, 2026-05, 2026."
    )
    until = click.option("--until", type=TIMES, metavar="DATE", help="Before this day.")
    where = click.option("--where", multiple=True, metavar="KEY=VALUE", help="By metadata: speaker=Ana.")
    return corpora(since(until(where(function))))


def text_or_stdin(text: str, what: str) -> str:
    """Return ``text``, or what standard input holds when it is ``-``."""
    if text == "-":
        text = sys.stdin.read()
    # A file name's undecodable byte typed as text is no character; the stages want valid Unicode.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text.strip():
        raise click.UsageError(f"{what} is empty")
    return text.strip()


def confirm(question: str) -> bool:
    """Return whether the person answered yes; asks on stderr."""
    return ask_line(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def ask_line(question: str) -> str:
    """Return a line the person typed.  Raises: UsageError when nobody can."""
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        screen.say()
        raise click.UsageError("nobody is there to answer; --yes answers it beforehand")
    return line.rstrip("\n")


def edit_text(session: Session, text: str) -> str | None:
    """Let the person edit ``text``; return it, or None when nothing was saved.

    The temporary file lies in the person's own folder, under a name that the next write cleans up.
    """
    path = session.workspace.path / f".edit.{secrets.token_hex(4)}.tmp"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        before = path.stat().st_mtime_ns
        click.edit(filename=str(path))
        if path.stat().st_mtime_ns == before:
            return None
        return path.read_text(encoding="utf-8")
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield ``is_cancelled``: true after the first Ctrl-C; a second one interrupts as usual."""
    pressed = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: nothing to catch there
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def tell_notes(session: Session) -> None:
    """Say on stderr what the engine had to mend."""
    for note in session.take_notes():
        screen.say(f"note: {screen.line(note)}")


def prepare_queries(app: App) -> None:
    """Let questions do without torch from now on; said when it takes its seconds, once per model."""
    engine = app.engine()
    look = getattr(engine.embedder, "query_export", None)
    if look is None:
        return
    known = look()
    is_new = known.export is None and not known.failed
    if is_new and not app.json:
        screen.say("preparing quick questions, once for this model ...")
    reason = engine.prepare_queries()
    if reason and is_new and not app.json:
        screen.say(f"questions will load the whole model: {reason}")
