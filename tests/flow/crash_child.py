"""Add and forget notes until killed, printing each act once it is acknowledged.  Run by test_crash.py."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.testing import EchoGenerator, HashEmbedder


def main(home: Path, notes: Path, seed: int) -> None:
    chance = random.Random(seed)
    config = Config().replace({"ingest.batch_tokens": 64})
    engine = Engine(home, config=config, embedder=HashEmbedder(), generator=EchoGenerator())
    session = engine.session("ana")
    alive = {d.key for d in session.store.documents("documents")}
    print("ready", flush=True)
    for number in range(10_000):
        act = chance.random()
        if act < 0.55 or not alive:
            name = f"{seed}-{number}.md"
            (notes / name).write_text(
                f"# Note {name}\n\nUnique word w{seed}x{number} stands here.\n", encoding="utf-8"
            )
            session.add([notes / name])
            key = str(notes / name)
            alive.add(key)
            print("added", key, flush=True)
        elif act < 0.75:
            key = chance.choice(sorted(alive))
            print("forgetting", key, flush=True)
            session.forget([key])
            alive.discard(key)
            print("forgot", key, flush=True)
        else:
            answer = session.ask("Which unique word stands here?")
            print("asked", answer.interaction, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
