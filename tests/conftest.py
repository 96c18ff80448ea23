"""Always two people, so that leakage has somewhere to show; a fixed clock; no network but loopback."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.testing import EchoGenerator, HashEmbedder

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
SAMPLES = REPOSITORY / "ragperso" / "samples" / "people"

ANA_NOTES = {
    "bank.md": (
        "# Bank\n\nI moved my account from Holm Bank to Elster Bank in March 2025 because of the fees.\n"
    ),
    "knee.md": "# Knee\n\nThe doctor said my left knee needs six weeks without running.\n",
    "garten.md": (
        "# Garten\n\nDie Tomaten stehen am Südfenster und brauchen jeden Morgen einen Liter Wasser.\n"
    ),
}
BEN_NOTES = {
    "bank.md": "# Bank\n\nI left Credit Rivage for Banque Verte in June 2024 after they closed the branch.\n",
    "bread.md": "# Bread\n\nI bake with type 80 flour from the mill in Bourg.\n",
}


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.value = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        self.value += timedelta(seconds=1)
        return self.value


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to connect to {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the developer's own config, people and models out of the tests."""
    for name in list(os.environ):
        if name.startswith("RAGPERSO_"):
            monkeypatch.delenv(name)
    base = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(base / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_engine(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Engine]]:
    """Return a maker of engines on one home, with doubles for the models; all are closed at the end."""
    made: list[Engine] = []

    def make(**overrides: Any) -> Engine:
        # The threshold is calibrated for a real embedder; HashEmbedder's cosines are lower.
        overrides.setdefault("retrieve__min_relevance", 0.05)
        config = Config().replace({key.replace("__", "."): value for key, value in overrides.items()})
        engine = Engine(
            tmp_path / "home", config=config, embedder=HashEmbedder(), generator=EchoGenerator(), now=clock
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()


def write_notes(folder: Path, notes: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in notes.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def ana(engine: Engine, tmp_path: Path) -> Session:
    """Ana, with three notes, one of them German."""
    session = engine.session("ana")
    session.add([write_notes(tmp_path / "ana-notes", ANA_NOTES)])
    return session


@pytest.fixture
def ben(engine: Engine, tmp_path: Path) -> Session:
    """Ben, with two notes, one on the same subject as one of Ana's."""
    session = engine.session("ben")
    session.add([write_notes(tmp_path / "ben-notes", BEN_NOTES)])
    return session


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden prompts anew")


def pytest_unconfigure() -> None:
    """Close what llama_cpp opens at import and leaves to the interpreter's end, which then complains."""
    utils = sys.modules.get("llama_cpp._utils")
    for name in ("outnull_file", "errnull_file"):
        if utils is not None:
            getattr(utils, name).close()
