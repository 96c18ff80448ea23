"""A model reads the person's own texts behind the scenes; whatever it does, nothing is lost or invented."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ragperso import health
from ragperso.cli import cli
from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.errors import ConfigError, GenerateError, ModelUnavailable, SchemaTooNew
from ragperso.learn.memories import EXPLICIT
from ragperso.migrations import SCHEMA_VERSION
from ragperso.store import MAX_TRIES, Store
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import Completion, Message

OWES = "I owe the library two old radios."
LOST = "We owe the club two euros."
NOTES = {
    "a.md": f"# Radios\n\nI live in Bonn. {OWES}\n",
    "b.md": f"# Club\n\n{LOST} The bus was late.\n",
    "c.md": "# Bus\n\nThe bus was late.\n",  # nothing to ask about
}


class Picker(EchoGenerator):
    """Picks every sentence it is asked about, and makes one up; ``trouble`` is raised instead."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Exception | None = None
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def constrained(
        self,
        messages: Sequence[Message],
        grammar: str,
        *,
        owner: str,
        max_tokens: int,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        self.asked.append(messages[-1].content)
        while not self.hold.wait(0.01):
            if is_cancelled is not None and is_cancelled():
                return Completion("", self.name, 0, 0, finish_reason="cancelled")
        if self.trouble is not None:
            raise self.trouble
        said = [*messages[-1].content.splitlines(), "I am the emperor of the moon."]
        rows = [{"statement": one, "subject": "me", "kind": "fact"} for one in said]
        return Completion(json.dumps(rows), self.name, 0, 0)


@pytest.fixture
def picker() -> Picker:
    return Picker()


@pytest.fixture
def open_ana(tmp_path: Path, clock: Any, picker: Picker) -> Iterator[Callable[..., Session]]:
    """Return a maker of Ana's session, with ``learn.llm`` on unless told otherwise."""
    made: list[Engine] = []

    def make(*, llm: bool = True, generator: Any = None) -> Session:
        config = Config().replace({"retrieve.min_relevance": 0.05, "learn.llm": llm})
        engine = Engine(
            tmp_path / "home",
            config=config,
            embedder=HashEmbedder(),
            generator=generator or picker,
            now=clock,
        )
        made.append(engine)
        return engine.session("ana")

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def of_model(session: Session) -> list[str]:
    return sorted(fact.text for fact in session.store.facts() if fact.origin == "model")


def settle(session: Session) -> None:
    """Wait until the reading behind the scenes has come to its end."""
    if session._learner is not None:
        session._learner.join(30)
        assert not session._learner.is_alive()


# ---------------------------------------------------------------- what it does


def test_it_is_off_unless_wanted(open_ana: Callable[..., Session], notes: Path, picker: Picker) -> None:
    session = open_ana(llm=False)
    session.add([notes])
    session.ask("I owe the library two radios, where is it?")
    assert session.store.extractions() == (0, [])
    assert list(session.store.rows("extractions")) == []
    assert session._learner is None
    assert not session.learn_later()
    with pytest.raises(ConfigError, match=re.escape("learn.llm")):
        session.refresh_profile()
    assert picker.asked == []


def test_own_texts_are_read_behind_the_scenes(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    assert of_model(session) == [OWES, LOST]  # no emperor, and Bonn is the rules'
    assert [asked.splitlines() for asked in picker.asked] == [[OWES], [LOST]]
    assert session.store.extractions() == (0, [])
    (fact,) = (fact for fact in session.store.facts() if fact.text == OWES)
    assert (
        session.store.text(session.store.documents(keys=[fact.source])[0].id)[fact.start : fact.end] == OWES
    )
    assert fact.confidence < EXPLICIT
    assert "Bonn" in " ".join(fact.text for fact in session.store.facts() if fact.origin == "mined")


def test_what_was_read_is_not_read_again_until_it_changes(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    n_asked = len(picker.asked)
    (notes / "d.md").write_text("The bus was late again.\n", encoding="utf-8")
    session.add([notes])  # looks at what the last add brought, too
    settle(session)
    assert session.refresh_profile()["texts"] == 0
    assert len(picker.asked) == n_asked
    (notes / "b.md").write_text("We owe the club three euros.\n", encoding="utf-8")
    session.add([notes])
    settle(session)
    assert picker.asked[n_asked:] == ["We owe the club three euros."]
    assert of_model(session) == [OWES, "We owe the club three euros."]


def test_questions_are_read_and_answers_are_not(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    picker.asked.clear()
    session.ask("We owe the baker three loaves. When was the bus late?")
    settle(session)
    assert picker.asked == ["We owe the baker three loaves."]
    assert "We owe the baker three loaves." in of_model(session)


def test_others_words_are_not_read(open_ana: Callable[..., Session], tmp_path: Path, picker: Picker) -> None:
    session = open_ana()
    (tmp_path / "mail.eml").write_text(
        f"From: ben@example.org\nTo: ana@example.org\nSubject: Hi\n\n{OWES}\n", encoding="utf-8"
    )
    session.add([tmp_path / "mail.eml"])
    settle(session)
    assert picker.asked == []


def test_the_person_is_believed_before_the_model(open_ana: Callable[..., Session], notes: Path) -> None:
    session = open_ana(llm=False)
    session.remember("I owe the library two old radios")
    session.add([notes])
    session = open_ana()
    session.refresh_profile()
    assert of_model(session) == [LOST]
    (mine,) = (fact for fact in session.store.facts() if "library" in fact.text)
    assert (mine.origin, mine.superseded_by, mine.n_seen) == ("user", 0, 1)


def test_what_the_person_took_out_does_not_come_back(open_ana: Callable[..., Session], notes: Path) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    (number,) = (fact.id for fact in session.store.facts() if fact.text == OWES)
    session.store.remove_facts([number])
    (notes / "a.md").write_text(f"# Again\n\n{OWES}\n", encoding="utf-8")
    session.add([notes])
    settle(session)
    assert of_model(session) == [LOST]


def test_a_small_model_is_heard_and_not_believed(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.is_small = True  # type: ignore[attr-defined]
    session = open_ana()
    session.add([notes])
    settle(session)
    assert of_model(session) == [OWES, LOST]
    assert all("owe" not in fact.text for fact in session.profile().facts)
    assert any(entry.fact.text == OWES for entry in session.profile_history())


# ---------------------------------------------------------------- what can go wrong


def test_three_failed_tries_park_a_text_and_lose_nothing(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.trouble = GenerateError("out of order")
    session = open_ana()
    session.add([notes])
    settle(session)
    for n_tries in range(1, MAX_TRIES + 1):
        waiting, parked = session.store.extractions()
        assert (waiting, parked) == ((2, []) if n_tries < MAX_TRIES else (0, ["out of order"] * 2))
        assert session.learn_later() is (n_tries < MAX_TRIES)
        settle(session)
    picker.trouble = None
    done = session.refresh_profile()
    assert (done["texts"], done["facts"], done["parked"]) == (2, 2, 0)
    assert of_model(session) == [OWES, LOST]


def test_a_reason_holds_no_words_of_the_person(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.trouble = RuntimeError(OWES)  # a plugin's message may quote the prompt
    session = open_ana(llm=False)
    session.add([notes])
    session = open_ana()
    for _ in range(MAX_TRIES):
        session.refresh_profile()
    assert session.store.extractions() == (0, ["RuntimeError"] * 2)
    found = [f for f in health.examine(session.config, user="ana") if "failed three times" in f.message]
    assert [(f.level, f.message) for f in found] == [
        ("note", "the model failed three times on 2 texts: RuntimeError")
    ]


def test_without_a_model_no_text_is_to_blame(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.trouble = ModelUnavailable("no model")
    session = open_ana()
    session.add([notes])
    settle(session)
    assert [row[3] for row in session.store.rows("extractions") if not row[2]] == [0, 0, 0][: len(NOTES)]
    assert any("no model" in note for note in session.take_notes())
    with pytest.raises(ModelUnavailable):
        session.refresh_profile()


def test_a_backend_without_grammars_says_so(open_ana: Callable[..., Session], notes: Path) -> None:
    session = open_ana(generator=EchoGenerator())
    session.add([notes])
    settle(session)
    assert any("grammar" in note for note in session.take_notes())
    with pytest.raises(ConfigError, match="grammar"):
        session.refresh_profile()
    assert session.store.extractions()[0] == len(NOTES)


def test_closing_ends_the_reading_and_the_rest_waits(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.hold.clear()  # a model that takes for ever
    session = open_ana()
    session.add([notes])
    learner = session._learner
    assert learner is not None
    session.engine.close()
    assert not learner.is_alive()
    picker.hold.set()
    again = open_ana()
    assert again.store.extractions()[0] >= 2
    assert of_model(again) == []
    again.refresh_profile()
    assert of_model(again) == [OWES, LOST]


def test_an_erased_person_leaves_no_thread(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    picker.hold.clear()
    session = open_ana()
    session.add([notes])
    learner = session._learner
    assert learner is not None
    session.erase()
    assert not learner.is_alive()


CHILD = """
import os, sys
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.testing import HashEmbedder
from tests.flow.test_extractions import Picker

class Killed(Picker):
    def constrained(self, messages, grammar, **options):
        if self.asked:
            os._exit(9)  # in the middle of the second piece of the text
        return super().constrained(messages, grammar, **options)

config = Config().replace({"learn.llm": True})
engine = Engine(sys.argv[1], config=config, embedder=HashEmbedder(), generator=Killed())
engine.session("ana").refresh_profile()
"""


def test_a_killed_process_goes_on_where_it_stopped(
    open_ana: Callable[..., Session], tmp_path: Path, picker: Picker
) -> None:
    text = " ".join(
        f"We owe the {name} two euros." for name in "club inn zoo pub choir mill farm ferry".split()
    )
    (tmp_path / "debts.md").write_text(text, encoding="utf-8")
    session = open_ana(llm=False)
    session.add([tmp_path / "debts.md"])
    session.engine.close()
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "home")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert killed.returncode == 9
    session = open_ana()
    assert session.store.extractions() == (1, [])
    assert len(of_model(session)) == 6  # of the first piece
    assert session.refresh_profile()["texts"] == 1
    assert picker.asked == ["We owe the farm two euros.\nWe owe the ferry two euros."]
    assert len(of_model(session)) == 8


def test_a_text_that_changes_while_it_is_read_is_read_anew(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    session = open_ana()
    picker.hold.clear()
    (notes / "a.md").unlink()
    session.add([notes])
    while not picker.asked:
        assert session._learner is not None
        assert session._learner.is_alive()
    (notes / "b.md").write_text("We owe the club three euros.\n", encoding="utf-8")
    session.add([notes])
    picker.hold.set()
    settle(session)
    session.refresh_profile()
    assert of_model(session) == ["We owe the club three euros."]
    assert session.store.extractions() == (0, [])


def test_forgetting_empties_the_queue_and_what_came_of_it(
    open_ana: Callable[..., Session], notes: Path, picker: Picker
) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    (source,) = (fact.source for fact in session.store.facts() if fact.text == LOST)
    n_rows = len(list(session.store.rows("extractions")))
    session.forget([source])
    assert len(list(session.store.rows("extractions"))) == n_rows - 1
    assert of_model(session) == [OWES]


# ---------------------------------------------------------------- the store


def test_a_store_without_a_queue_gets_one_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    with store.write() as db:
        db.execute("DROP TABLE extractions")
        db.execute("PRAGMA user_version = 3")
    store.close()
    store = Store(path)
    names = ["document_id", "read_to", "done", "tries", "error", "at"]
    assert store.columns("extractions") == names
    with store.write() as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store.close()
    with pytest.raises(SchemaTooNew):
        Store(path)


def test_two_readers_of_one_text_do_not_count_it_twice(
    open_ana: Callable[..., Session], notes: Path, clock: Any
) -> None:
    session = open_ana(llm=False)
    session.add([notes])
    store = session.store
    assert store.queue_extractions([store.documents()[0].id], clock()) == 1
    assert store.queue_extractions([store.documents()[0].id], clock()) == 0
    one, other = store.next_extraction(), store.next_extraction()
    assert one is not None
    assert other is not None
    rest = store.advance_extraction(one, clock(), read_to=20)
    assert rest is not None
    assert store.advance_extraction(other, clock(), read_to=20) is None
    assert store.next_extraction(skip=[one.document]) is None
    assert store.advance_extraction(rest, clock(), read_to=30, done=True) is not None
    assert store.next_extraction() is None


# ---------------------------------------------------------------- the command


def test_the_command_needs_the_setting_and_says_what_it_did(
    open_ana: Callable[..., Session], notes: Path, tmp_path: Path
) -> None:
    session = open_ana(llm=False)
    session.add([notes])
    session.engine.close()

    def run(*words: str) -> Any:
        line = ["--home", str(tmp_path / "home"), "-u", "ana", "-c", "index.embedder_backend=hash", *words]
        return CliRunner().invoke(cli, line)

    off = run("profile", "refresh")
    assert off.exit_code == 2
    assert "learn.llm" in off.stderr
    on = ["-c", "learn.llm=true", "-c", "generate.backend=extractive", "profile", "refresh"]
    assert "grammar" in run(*on, "--seconds", "5").stderr


def test_the_model_is_named_where_statements_are_shown(
    open_ana: Callable[..., Session], notes: Path, tmp_path: Path
) -> None:
    session = open_ana()
    session.add([notes])
    settle(session)
    session.engine.close()
    line = ["--home", str(tmp_path / "home"), "-u", "ana", "-c", "index.embedder_backend=hash", "profile"]
    shown = CliRunner().invoke(cli, line).stdout
    assert f"(model) {OWES}" in shown
    assert "(model) I live in Bonn" not in shown
