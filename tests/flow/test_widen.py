"""A passage that breaks off in the middle of a section reaches the prompt with what follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ragperso.engine import Engine
from ragperso.retrieve.understand import is_cut


def test_what_announces_or_does_not_end_is_cut() -> None:
    assert is_cut("Run these commands:")
    assert is_cut("The valve is opened by")
    assert not is_cut("The valve is open.")
    assert not is_cut("`make demo`")


def test_a_passage_takes_along_what_it_announces(make_engine: Callable[..., Engine], tmp_path: Path) -> None:
    lead = " ".join(f"Filler number {n} says nothing at all." for n in range(6))
    steps = "\n".join(f"- turn lever {n} to the left" for n in range(8))
    note = tmp_path / "boiler.md"
    note.write_text(f"# Boiler\n\n{lead}\n\nTo restart the zephyr boiler do this:\n\n{steps}\n")
    engine = make_engine(ingest__chunk_tokens=80, ingest__overlap_sentences=0)
    session = engine.session("ana")
    session.add([note])
    hits = session.search("restart the zephyr boiler")
    cut = next(hit for hit in hits if hit.text.rstrip().endswith("do this:"))
    assert cut is hits[0]
    prompt = session.prompt("restart the zephyr boiler", k=1)
    (passage,) = [p for p in prompt.passages if p.start == cut.chunk.start]
    assert "turn lever 0" in passage.text
    assert passage.text == note.read_text()[passage.start : passage.end]
