"""Two people behind the real command line, without model files: hash embeddings, quoted answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ragperso.cli import cli
from tests.conftest import ANA_NOTES, BEN_NOTES, write_notes

# The threshold is calibrated for a real embedder; HashEmbedder's cosines are lower.
SETTINGS = (
    "index.embedder_backend=hash",
    "generate.backend=extractive",
    "retrieve.min_relevance=0.05",
)


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        told: dict[str, str] = json.loads(self.err)["error"]
        return told


Run = Callable[..., Done]


def settings_flags(settings: Sequence[str] = SETTINGS) -> list[str]:
    return [word for setting in settings for word in ("-c", setting)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs ``ragperso WORDS`` on one temporary home."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*words: str, user: str = "ana", text: str | None = None) -> Done:
        line = ["--home", str(home), "-u", user, *settings_flags(), *words]
        done = CliRunner().invoke(cli, line, input=text)
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def people(run: Run, tmp_path: Path) -> Run:
    """Ana and Ben with their notes; return the runner."""
    for user, notes in (("ana", ANA_NOTES), ("ben", BEN_NOTES)):
        assert run("add", str(write_notes(tmp_path / f"{user}-notes", notes)), user=user).code == 0
    return run
