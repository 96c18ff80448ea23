"""kill -9 at random moments: no acknowledged write is lost, and the next start mends itself."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import CORPORA

CHILD = Path(__file__).with_name("crash_child.py")


class Ledger:
    """What the child said it had done, over all rounds."""

    def __init__(self) -> None:
        self.added: set[str] = set()
        self.forgotten: set[str] = set()
        self.asked: set[str] = set()

    def read(self, line: str) -> None:
        act, _, what = line.strip().partition(" ")
        if act == "added":
            self.added.add(what)
        elif act == "forgetting":  # from here on until it is acknowledged it may be there or not
            self.added.discard(what)
        elif act == "forgot":
            self.forgotten.add(what)
        elif act == "asked":
            self.asked.add(what)


def run_until_killed(home: Path, notes: Path, seed: int, ledger: Ledger) -> None:
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(home), str(notes), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    # After some acknowledged acts and a moment into the next, whatever the speed of the machine.
    chance = random.Random(seed)
    n_acts = chance.randrange(5)
    began = time.monotonic()
    timer: threading.Timer | None = None
    seen = 0
    while True:
        if seen >= n_acts and timer is None:
            pace = (time.monotonic() - began) / max(1, seen)
            timer = threading.Timer(chance.random() * max(pace, 0.05), child.kill)
            timer.start()
        line = child.stdout.readline()
        if not line:
            break
        if line.endswith("\n"):
            ledger.read(line)
            seen += 1
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    assert timer is not None
    timer.join()


def check(home: Path, ledger: Ledger) -> None:
    """Everything acknowledged is there, nothing forgotten is, and every index equals the store."""
    engine = Engine(home, config=Config(), embedder=HashEmbedder(), generator=EchoGenerator())
    try:
        session = engine.session("ana")
        assert session.store.problems() == []
        stored = {d.key for d in session.store.documents("documents")}
        assert ledger.added <= stored, "an acknowledged document was lost"
        assert not ledger.forgotten & stored, "a forgotten document came back"
        _, is_intact = session.store.audit()
        assert is_intact
        for corpus in CORPORA:
            if session.store.active_embedder() is None:
                continue
            index = session._index(corpus)
            assert np.array_equal(index.dense.ids, session.store.chunk_ids(corpus))
        if stored:
            key = sorted(stored)[0]
            (document,) = session.store.documents("documents", keys=[key])
            word = session.store.text(document.id).split()[5]  # "# Note NAME Unique word W stands here."
            assert session.search(word, k=1)[0].document == key
    finally:
        engine.close()


def torture(tmp_path: Path, rounds: int) -> Ledger:
    home, notes = tmp_path / "home", tmp_path / "notes"
    notes.mkdir()
    ledger = Ledger()
    for seed in range(rounds):
        run_until_killed(home, notes, seed, ledger)
        check(home, ledger)
    return ledger


@pytest.mark.timeout(300)
def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    ledger = torture(tmp_path, 20)
    assert ledger.added | ledger.forgotten, "the child was always killed before it had done anything"


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_kill_9_two_hundred_times(tmp_path: Path) -> None:
    ledger = torture(tmp_path, 200)
    assert ledger.added
    assert ledger.forgotten
