"""Two processes on one person: they wait for each other, or say clearly why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragperso.engine import Session
from ragperso.errors import WorkspaceLocked
from ragperso.workspace import Workspace

WRITER = """
import sys
from pathlib import Path
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.testing import EchoGenerator, HashEmbedder
home, notes = Path(sys.argv[1]), Path(sys.argv[2])
engine = Engine(home, config=Config(), embedder=HashEmbedder(), generator=EchoGenerator())
session = engine.session("ana")
for path in sorted(notes.glob("*.md")):
    session.add([path])
    session.ask("what stands here?")
engine.close()
"""


def test_three_writers_at_once_lose_nothing(ana: Session, tmp_path: Path) -> None:
    children = []
    for writer in range(3):
        notes = tmp_path / f"writer{writer}"
        notes.mkdir()
        for number in range(5):
            (notes / f"{number}.md").write_text(
                f"# W{writer} {number}\n\nWord q{writer}z{number}.\n", encoding="utf-8"
            )
        command = [sys.executable, "-c", WRITER, str(ana.engine.home), str(notes)]
        children.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for child in children:
        _, errors = child.communicate(timeout=100)
        assert child.returncode == 0, errors
    keys = [d.key for d in ana.store.documents("documents")]
    assert len([k for k in keys if "/writer" in k]) == 15
    assert len(ana.store.interactions(limit=100)) == 15
    assert ana.search("q2z4", k=1)[0].document.endswith("writer2/4.md")
    assert ana.store.problems() == []


def test_a_held_lock_is_named_with_the_remedy(ana: Session) -> None:
    other = Workspace(ana.engine.home, ana.user)
    with ana.workspace.lock(), pytest.raises(WorkspaceLocked) as caught, other.lock(timeout_s=0.1):
        pass
    assert "'ana'" in caught.value.message
    assert "wait" in caught.value.hint
