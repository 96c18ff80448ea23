"""Surface: ``ragperso demo``: the seven stages on the two sample people, told and checked as it goes.

Every number and every answer is made in that run; what the demo claims it also checks, and a claim that does
not hold is said at the end and makes the exit code 1.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ragperso import config as settings
from ragperso import samples, shapes
from ragperso.cli import failures, progress, screen, show
from ragperso.cli.common import App, Command
from ragperso.engine import Engine, Session
from ragperso.privacy import scan
from ragperso.tokens import detect_language
from ragperso.types import CORPORA, Answer, Vector

if TYPE_CHECKING:
    from ragperso.cli.screen import Span

_ANA: Final = "ana"
_BEN: Final = "ben"
_COLUMN: Final = 5  # a name and two blanks
_MAX_TOKENS: Final = 72  # per answer and draft: a demo is short
# Of the questions that both can answer: one whose answers differ in every word, one of taste.
_SHARED: Final = ("When did I change banks, and why?", "How do I like my coffee?")
# What "it" is stands in the question before.
_FOLLOW_UP: Final = {
    "user": _ANA,
    "first": "What did the doctor say about my knee?",
    "then": "Which exercises did the doctor give me for it?",
    "document": "notes/health/knee-exercises.md",
}


@click.command("demo", cls=Command)
@click.option("--keep", is_flag=True, help="Keep the demo's home, to play with it.")
@click.option("--fast", is_flag=True, help="One question and no drafts.")
@click.pass_obj
def command(app: App, keep: bool, fast: bool) -> int:
    """See all seven stages on two sample people, without network.

    Runs with the starter models in a temporary home, which is deleted at the end; --home DIR --keep keeps it.
    """
    if app.json:
        raise click.UsageError("the demo tells a story; ask and search have --json")
    # The demo shows what is shipped: of the person's own settings only the place of the models holds.
    models = app.config().general.models
    models = str(Path(models).expanduser().absolute()) if models else ""
    with _home(app.home, keep) as home, samples.people() as people:
        overrides: dict[str, Any] = {**app.overrides, "general.home": str(home), "general.models": models}
        with Engine(config=settings.Config().replace(overrides)) as engine:
            story = Story(engine, people, is_fast=fast)
            story.tell()
        if keep:
            _tell_kept(home)
    return failures.ERROR if story.broken else failures.DONE


@contextlib.contextmanager
def _home(named: str | None, keep: bool) -> Iterator[Path]:
    """Yield an empty home.  The demo erases a person, so it runs in none where people live."""
    # Absolute, because the story is told from within each person's folder of samples.
    home = Path(named).absolute() if named is not None else Path(tempfile.mkdtemp(prefix="ragperso-demo-"))
    if home.exists() and any(home.iterdir()):
        raise click.UsageError(f"{home} is not empty; the demo needs a home of its own")
    home.mkdir(parents=True, exist_ok=True)
    try:
        yield home
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def _tell_kept(home: Path) -> None:
    screen.put()
    screen.put(f"kept in {screen.line(str(home))}:")
    screen.put(screen.paint(f"  ragperso --home {screen.line(str(home))} -u {_ANA} chat", "cyan"))


class Story:
    """The demo: each stage is a method, in the order of the flow."""

    def __init__(self, engine: Engine, people: Mapping[str, samples.Person], *, is_fast: bool) -> None:
        self.broken: list[str] = []  # claims that did not hold
        self._n_claims = 0
        self._engine = engine
        self._people = people
        self._is_fast = is_fast
        self._asked = samples.questions()
        self._cited: dict[str, str] = {}  # by question: what ana's answer cited
        self._began = time.perf_counter()

    def tell(self) -> None:
        """Run through all stages."""
        screen.put(
            screen.paint("ragperso", "bold") + ": your notes, answered in your own manner, fully local"
        )
        screen.put()
        _say(
            "Two people share this machine: ana builds bicycle frames in Leipzig, ben is a pharmacist in "
            "Lyon who bakes. Each has notes, mails, old chats with an assistant, and texts of their own."
        )
        sessions = {name: self._engine.session(name) for name in (_ANA, _BEN)}
        self._ingest(sessions)
        self._retrieve(sessions)
        self._assemble(sessions)
        self._generate(sessions)
        if not self._is_fast:
            self._write(sessions)
        self._learn(sessions)
        self._erase(sessions)
        self._end()

    # ------------------------------------------------------------ 1-2

    def _ingest(self, sessions: Mapping[str, Session]) -> None:
        _heading("1-2", "ingest, index")
        _command("ragperso add notes mail writing")
        _command("ragperso add chat/history.jsonl --corpus history")
        self._load()
        for name, session in sessions.items():
            person = self._people[name]
            # Who they are comes first, so that their own writing is told from what they received.
            session.introduce(name=person.name, languages=person.languages, addresses=person.addresses)
            with _inside(person.folder), progress.ingest() as on_progress:
                done = session.add(["notes", "mail", "writing"], on_progress=on_progress)
                done += session.add(["chat/history.jsonl"], "history", on_progress=on_progress)
            told = shapes.status(session.status())
            spent = done.timings_ms["chunk_and_embed"]
            rate = 1000 * done.embedded / spent if spent else 0.0
            self._claim(done.added > 0 and not done.skipped, f"every file of {name} was read")
            _row(
                name,
                f"{done.added} documents, {done.chunks} chunks embedded at {rate:,.0f}/s; "
                f"{told['corpora']['exemplars']['documents']} pieces of {name}'s own writing and "
                f"{screen.plural(told['facts'], 'statement')} were found in them",
            )
        self._engine.prepare_queries()  # for those who go on in this home
        screen.put()
        _say("A second time only looks at what changed:")
        for name, session in sessions.items():
            started = time.perf_counter()
            with _inside(self._people[name].folder):
                again = session.add(["notes", "mail", "writing"])
            spent = 1000 * (time.perf_counter() - started)
            self._claim(not again.changed and not again.embedded, f"a second add of {name} changed nothing")
            _row(name, f"{again.unchanged} unchanged, {again.embedded} embedded, {screen.duration(spent)}")

    def _load(self) -> None:
        """Load the embedder and say so: the first text would wait for it without a word."""
        started = time.perf_counter()
        draft = show.Draft()
        draft.wait("loading the embedder ...")
        self._engine.embedder.embed_query("hello")
        draft.wipe()
        _dim(f"(embedder loaded in {screen.duration(1000 * (time.perf_counter() - started))})")

    # ------------------------------------------------------------ 3

    def _retrieve(self, sessions: Mapping[str, Session]) -> None:
        _heading("3", "retrieve")
        question = _SHARED[0]
        _command(f'ragperso search "{question}" -k 1 --explain')
        for name, session in sessions.items():
            result = session.retrieve(question, k=1)
            screen.put(screen.paint(name, "bold"))
            show.hits(result.hits, question, explain=True)
            self._claim(
                bool(result.hits) and all(self._is_own(session, hit.document) for hit in result.hits),
                f"{name} finds {name}'s own notes only",
            )

    # ------------------------------------------------------------ 4

    def _assemble(self, sessions: Mapping[str, Session]) -> None:
        _heading("4", "assemble")
        question = _SHARED[0]
        _command(f'ragperso prompt "{question}"')
        made = sessions[_ANA].prompt(question)
        show.ledger(made)
        self._claim(made.tokens <= made.budget_tokens, "the prompt keeps its budget")

    # ------------------------------------------------------------ 5-6

    def _generate(self, sessions: Mapping[str, Session]) -> None:
        _heading("5-6", "generate, record")
        _say("The same question, two people. Each sentence is checked against the passage it cites.")
        screen.put()
        shared = [asked for asked in self._asked["shared"] if asked["question"] in _SHARED]
        for asked in shared[:1] if self._is_fast else shared:
            _command(f'ragperso ask "{asked["question"]}"')
            texts = set()
            for name, session in sessions.items():
                given = self._ask(session, asked["question"], asked[name]["document"])
                texts.add(given.answer)
            self._claim(len(texts) == len(sessions), "the same question gives different answers")
        if not self._is_fast:
            for asked in self._foreign():
                _command(f'ragperso ask "{asked["question"]}"')
                self._ask(sessions[asked["user"]], asked["question"], asked["document"])
            asked = _FOLLOW_UP
            _say("A follow-up is understood from the conversation:")
            session = sessions[asked["user"]]
            _command("ragperso chat")
            _dim(f"> {asked['first']}")
            self._quietly(session, asked["first"], "demo")
            _dim(f"> {asked['then']}")
            self._ask(session, asked["then"], asked["document"], conversation="demo")
        _say("What the notes do not say is not made up:")
        for question in self._asked["neither"][:1]:
            _command(f'ragperso ask "{question}"')
            for name, session in sessions.items():
                given = session.ask(question)
                _row(name, given.answer)
                self._claim(given.abstained, f"{name}'s notes do not answer that, and the answer says so")

    def _foreign(self) -> Iterator[Mapping[str, Any]]:
        """Yield the first question in another language that each person alone can answer."""
        for name in (_ANA, _BEN):
            yield from [
                asked
                for asked in self._asked["only"]
                if asked["user"] == name and detect_language(asked["question"]) != "en"
            ][:1]

    def _ask(self, session: Session, question: str, document: str, *, conversation: str = "") -> Answer:
        """Ask, show the answer with its sources, and check what it cites."""
        name = str(session.user)
        given = self._quietly(session, question, conversation)
        indent = " " * _COLUMN
        screen.put(screen.fill(show.answer_spans(given), first=_name(name), indent=indent))
        for cited in given.citations:
            where = screen.line(shapes.place(cited.document, cited.line, cited.page))
            screen.put(
                screen.fill([(f"[{cited.label}] {where}", "dim")], first=indent, indent=indent + "    ")
            )
        spent = screen.duration(given.timings_ms["total"])
        _dim(f"{indent}{given.usage.completion_tokens} tokens written, {spent}")
        documents = [cited.document for cited in given.citations]
        self._claim(document in documents, f"{name}'s answer to {question!r} cites {document}")
        self._claim(
            bool(documents) and all(self._is_own(session, cited) for cited in documents),
            f"{name}'s answer to {question!r} cites {name}'s own files",
        )
        screen.put()
        if name == _ANA:
            self._cited[question] = documents[0] if documents else ""
        return given

    def _quietly(self, session: Session, question: str, conversation: str) -> Answer:
        draft = show.Draft()
        draft.wait(f"{session.user} ...")
        try:
            return session.ask(question, session=conversation, max_tokens=_MAX_TOKENS, on_text=draft.write)
        finally:
            draft.wipe()

    def _is_own(self, session: Session, document: str) -> bool:
        """Say whether a document was read from a file in the person's own folder."""
        folder = self._people[str(session.user)].folder
        found = session.store.documents(keys=[document])
        return bool(found) and all(folder in Path(stored.source).parents for stored in found)

    # ------------------------------------------------------------ drafts

    def _write(self, sessions: Mapping[str, Session]) -> None:
        screen.put()
        _say("A draft in the manner of each, from what they wrote before:")
        request = self._asked["drafts"][0]["request"]
        _command(f'ragperso write "{request}"')
        drafts = {}
        for name, session in sessions.items():
            draft = show.Draft()
            draft.wait(f"{name} ...")
            given = session.write(request, max_tokens=_MAX_TOKENS, on_text=draft.write)
            draft.wipe()
            drafts[name] = given.answer
            shown = [s for s in (given.prompt.sections if given.prompt else ()) if s.name == "exemplars"]
            self._claim(bool(shown), f"{name}'s draft was shown {name}'s own writing")
        _columns(drafts)
        self._claim(len(set(drafts.values())) == len(drafts), "the drafts differ")

    # ------------------------------------------------------------ 7

    def _learn(self, sessions: Mapping[str, Session]) -> None:
        _heading("7", "learn")
        _command("ragperso profile")
        for name, session in sessions.items():
            entries = session.profile_entries()[:2]
            self._claim(bool(entries), f"something was learned of {name}")
            for number, entry in enumerate(entries):
                spans: list[Span] = [
                    (screen.line(entry.fact.text), ""),
                    (f"  ({screen.line(entry.origin)})", "dim"),
                ]
                lead = " " * _COLUMN if number else _name(name)
                screen.put(screen.fill(spans, first=lead, indent=" " * _COLUMN))
        screen.put()
        _command("ragperso style")
        cards = {name: _measures(session) for name, session in sessions.items()}
        rows = [
            [measure, *(cards[name].get(measure, "") for name in cards)]
            for measure in cards[_ANA]
            if len({cards[name].get(measure, "") for name in cards}) > 1
        ]
        screen.put(screen.table(rows, head=["", *cards]))
        self._claim(bool(rows), "the two write differently")

    # ------------------------------------------------------------ privacy

    def _erase(self, sessions: Mapping[str, Session]) -> None:
        _heading("8", "and forget")
        _say(f"Everything of {_BEN} goes; everything of {_ANA} stays.")
        _command(f"ragperso erase {_BEN}")
        sought = _needles(sessions[_BEN], kept=sessions[_ANA])
        before = scan.scan(self._engine.home, sought)
        counts = sessions[_ANA].store.counts()
        proof = self._engine.erase(_BEN)
        after = scan.scan(self._engine.home, sought)
        n_before, n_after = max(before.values(), default=0), sum(after.values())
        _row(
            "",
            f"raw bytes before: {n_before:,} of {len(sought.sought):,} texts and vectors of {_BEN} found, "
            f"in {screen.plural(len(before), 'file')}",
        )
        _row("", f"raw bytes after:  {n_after:,} found")
        _row("", f"receipt {proof.id}: {proof.counts.get('files', 0)} files removed, no content kept")
        self._claim(n_before > 0 and n_after == 0, f"no byte of {_BEN} is left")
        self._claim(self._engine.users() == [_ANA], f"{_BEN} is gone")
        self._claim(sessions[_ANA].store.counts() == counts, f"nothing of {_ANA} changed")
        question = _SHARED[0]
        given = self._quietly(sessions[_ANA], question, "")
        screen.put(screen.fill(show.answer_spans(given), first=_name(_ANA), indent=" " * _COLUMN))
        cited = [c.document for c in given.citations]
        self._claim(
            bool(cited) and cited[0] == self._cited.get(question), f"{_ANA} still gets the same answer"
        )

    # ------------------------------------------------------------ the end

    def _claim(self, holds: bool, text: str) -> None:
        self._n_claims += 1
        if not holds:
            self.broken.append(text)

    def _end(self) -> None:
        spent = screen.duration(1000 * (time.perf_counter() - self._began))
        screen.put()
        screen.put(screen.paint(screen.glyph("─", "-") * min(screen.width(), 80), "dim"))
        held = self._n_claims - len(self.broken)
        style: screen.Style = "red" if self.broken else "green"
        screen.put(screen.paint(f"{held} of {self._n_claims} checks of this demo held; {spent}", style))
        for text in self.broken:
            screen.put(screen.fill([(f"did not hold: {text}", "red")], indent="    ", first="  "))
        screen.put()
        screen.put("Try it on your own notes:")
        for text in (
            "ragperso add ~/notes",
            'ragperso ask "what did I decide about ...?"',
            "ragperso chat",
        ):
            screen.put(screen.paint(f"  {text}", "cyan"))


# ---------------------------------------------------------------- telling


def _heading(stage: str, title: str) -> None:
    line = screen.glyph("─", "-")
    text = f"{line * 2} {stage}  {title} "
    screen.put()
    screen.put(screen.paint(text + line * (min(screen.width(), 80) - screen.cells(text)), "bold"))
    screen.put()


def _say(text: str) -> None:
    screen.put(screen.fill([(text, "")]))


def _dim(text: str) -> None:
    screen.put(screen.paint(text, "dim"))


def _command(text: str) -> None:
    screen.put(screen.fill([(text, "cyan")], first="$ ", indent="    "))


def _name(name: str) -> str:
    return screen.paint(screen.pad(name, _COLUMN), "bold")


def _row(name: str, text: str) -> None:
    screen.put(screen.fill([(screen.safe(text), "")], first=_name(name), indent=" " * _COLUMN))


def _columns(texts: Mapping[str, str]) -> None:
    """Print texts side by side under their names."""
    room = (min(screen.width(), 80) - 4 * (len(texts) - 1)) // len(texts)
    blocks = [
        [screen.paint(screen.pad(name, room), "bold"), *_block(text, room)] for name, text in texts.items()
    ]
    height = max(len(block) for block in blocks)
    for number in range(height):
        row = [block[number] if number < len(block) else " " * room for block in blocks]
        screen.put("    ".join(row).rstrip())


def _block(text: str, room: int) -> list[str]:
    return [screen.pad(row, room) for row in screen.fill([(screen.safe(text), "")], columns=room).split("\n")]


def _measures(session: Session) -> dict[str, str]:
    """Return a style card as rows by measure; of several greetings only the most used."""
    rows: dict[str, str] = {}
    for measure, value, _ in session.style().table():
        rows.setdefault(measure, screen.line(value))
    return {measure: value for measure, value in rows.items() if measure not in ("pieces", "words")}


# ---------------------------------------------------------------- checking


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Be in ``folder`` as the person would be, so that documents are called ``notes/knee.md``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _needles(session: Session, *, kept: Session) -> scan.Needles:
    """Return what to look for in raw bytes: every text and vector of a person but what the other also has.

    Both may have asked the same, and both been told that their documents do not say.
    """
    shared = {vector.tobytes() for vector in _vectors(kept)}
    vectors = [vector for vector in _vectors(session) if vector.tobytes() not in shared]
    return scan.needles(_texts(session), vectors, kept=_texts(kept))


def _vectors(session: Session) -> list[Vector]:
    active = session.store.active_embedder()
    rows: list[Vector] = []
    if active is None:
        return rows
    for corpus in CORPORA:
        rows.extend(session.store.vectors(active[0], session.store.chunk_ids(corpus))[1])
    return rows


def _texts(session: Session) -> list[str]:
    return [session.store.text(d.id) for corpus in CORPORA for d in session.store.documents(corpus)]
