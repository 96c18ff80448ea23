"""Surface: ``ragperso chat``."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from ragperso import shapes
from ragperso.cli import failures, screen, show
from ragperso.cli.common import App, Command, edit_text, stop_on_interrupt, tell_notes
from ragperso.errors import GenerationCancelled, RagpersoError

if TYPE_CHECKING:
    from ragperso.engine import Session
    from ragperso.types import Answer, Verdict

HELP: Final = {
    "/why": "what the model read for the last answer, and what supports each sentence",
    "/sources": "the cited passages in full",
    "/good": "mark the last answer good",
    "/bad": "mark the last answer bad",
    "/edit": "give your own version of the last answer",
    "/new": "begin a new conversation",
    "/help": "show this list",
    "/quit": "leave; so does Ctrl-D",
}


@click.command("chat", cls=Command)
@click.option(
    "--session", "name", default="", metavar="NAME", help="Continue a conversation, or name this one."
)
@click.option("--no-stream", is_flag=True, help="Show checked answers only.")
@click.pass_obj
def command(app: App, name: str, no_stream: bool) -> int:
    """Ask in a conversation, with follow-ups.

    Lines that begin with / are commands; /help lists them. Ctrl-C stops an answer, Ctrl-D leaves.
    """
    session = app.session()
    chat = Chat(session, name or _new_name(), stream=not (no_stream or app.json), as_json=app.json)
    if screen.is_terminal(sys.stdin):
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  gives input() its line editing; nothing is written to disk

        screen.say(f"conversation {screen.line(chat.name)}; /help lists the commands, Ctrl-D leaves")
        turns = session.conversation(chat.name)
        if turns:
            screen.say(f"it goes on after {screen.plural(len(turns) // 2, 'exchange')}")
    while (text := _read()) is not None:
        if text.strip() and not chat.take(text.strip()):
            break
    return failures.DONE


class Chat:
    """One conversation at the terminal."""

    def __init__(self, session: Session, name: str, *, stream: bool, as_json: bool) -> None:
        self.name = name
        self._session = session
        self._stream = stream
        self._as_json = as_json
        self._last: Answer | None = None
        self._commands: dict[str, Callable[[], None]] = {
            "/why": self._why,
            "/sources": self._sources,
            "/good": lambda: self._mark("good"),
            "/bad": lambda: self._mark("bad"),
            "/edit": self._edit,
            "/new": self._new,
            "/help": self._help,
        }

    def take(self, text: str) -> bool:
        """Do what a line says; return whether the conversation goes on."""
        if text in ("/quit", "/exit"):
            return False
        try:
            if not text.startswith("/"):
                self._ask(text)
            elif text in self._commands:
                self._commands[text]()
            else:
                screen.say(f"there is no {screen.line(text.split()[0])}; /help lists the commands")
        except RagpersoError as exc:  # one failure ends no conversation
            told = failures.shape(exc)
            screen.say(f"error: {screen.line(told['message'])}")
            if told["hint"]:
                screen.say(f"hint: {screen.line(told['hint'])}")
        return True

    def _ask(self, text: str) -> None:
        draft = show.Draft(enabled=self._stream)
        draft.wait("reading your notes ...")
        with stop_on_interrupt() as is_cancelled:
            try:
                given = self._session.ask(
                    text, session=self.name, on_text=draft.write, is_cancelled=is_cancelled
                )
            except GenerationCancelled:
                draft.wipe()
                screen.say("stopped; nothing was kept")
                return
            except KeyboardInterrupt:  # pressed twice: wherever it was
                draft.wipe()
                screen.say("stopped")
                return
            draft.wipe()
        self._last = given
        tell_notes(self._session)
        if self._as_json:
            screen.put_json(shapes.answer(given))
        else:
            show.answer(given)
        screen.put()

    def _answered(self) -> Answer | None:
        if self._last is None:
            screen.say("there is no answer yet")
        return self._last

    def _why(self) -> None:
        given = self._answered()
        if given is None:
            return
        if given.prompt is None:
            screen.put("The model was not asked: nothing found was relevant enough.")
            screen.put()
            show.hits(given.hits[:3], given.answer, explain=True)
            return
        for sentence in given.sentences:
            label = f"[{sentence.label}]" if sentence.label else screen.glyph("—", "-")
            text = screen.line(given.answer[sentence.start : sentence.end])
            lead = f"{screen.pad(label, 4)} {sentence.support:.2f}  "
            screen.put(screen.fill([(text, "")], first=lead, indent=" " * len(lead)))
        if given.note:
            screen.put(screen.fill([(f"({given.note})", "dim")]))
        screen.put()
        show.ledger(given.prompt)

    def _sources(self) -> None:
        given = self._answered()
        if given is None or given.prompt is None:
            return
        cited = {citation.label: citation for citation in given.citations}
        for passage in given.prompt.passages:
            if passage.label in cited:
                citation = cited[passage.label]
                where = shapes.place(screen.line(citation.document), citation.line, citation.page)
                screen.put(screen.paint(f"[{passage.label}] {where}", "bold"))
                screen.put(screen.fill([(screen.safe(passage.text), "")], indent="    ", first="    "))
        if not cited:
            screen.say("the last answer cites nothing")

    def _mark(self, verdict: Verdict) -> None:
        given = self._answered()
        if given is not None:
            self._session.feedback(given.interaction, verdict)
            screen.say("noted")

    def _edit(self) -> None:
        given = self._answered()
        if given is None:
            return
        text = edit_text(self._session, given.answer)
        if text is None or text.strip() in ("", given.answer.strip()):
            screen.say("nothing was changed")
            return
        self._session.feedback(given.interaction, "edited", text.strip())
        screen.say("noted; it will be shown as an example of how you say things")

    def _new(self) -> None:
        self.name = _new_name()
        self._last = None
        screen.say(f"conversation {self.name}")

    def _help(self) -> None:
        for name, text in HELP.items():
            screen.put(screen.fill([(text, "")], first=f"{name:<10}", indent=" " * 10))


def _new_name() -> str:
    return f"chat-{secrets.token_hex(3)}"


def _read() -> str | None:
    """Return the next line, or None at its end; at an empty prompt Ctrl-C only begins a new line."""
    is_person = screen.is_terminal(sys.stdin)
    while True:
        try:
            if is_person:
                return input("> ")
            line = sys.stdin.readline()
            return line.rstrip("\n") if line else None
        except EOFError:
            screen.say()
            return None
        except KeyboardInterrupt:
            screen.say()
            if not is_person:
                raise
