"""A generation is stopped when nothing useful will follow."""

from __future__ import annotations

from ragperso.generate.monitor import Monitor


def write(text: str, *, max_sentences: int = 0, size: int = 3) -> tuple[str, Monitor]:
    """Feed ``text`` in pieces until the monitor has enough; return what came through."""
    seen: list[str] = []
    monitor = Monitor(seen.append, None, max_sentences=max_sentences)
    for start in range(0, len(text), size):
        if monitor.is_done():
            break
        monitor.see(text[start : start + size])
    return "".join(seen), monitor


def test_it_stops_behind_the_wanted_number_of_sentences() -> None:
    written, monitor = write("One is here. Two is here. Three is here. Four is here.", max_sentences=2)
    assert monitor.stopped
    assert written.startswith("One is here. Two is here.")
    assert "Three is here" not in written


def test_a_number_with_a_point_is_no_end() -> None:
    text = "It costs 9.90 euros at Dr. Weber's. That is all of it."
    written, _ = write(text, max_sentences=2)
    assert written == text


def test_a_sentence_said_twice_ends_it() -> None:
    written, monitor = write("I like tea. I like tea. I like tea. I like tea. I like tea.")
    assert monitor.stopped
    assert written.count("I like tea.") <= 3


def test_a_phrase_said_three_times_ends_it() -> None:
    written, monitor = write("the setup of the setup of the setup of the setup of the setup of the setup of")
    assert monitor.stopped
    assert len(written) < 60


def test_prose_goes_on() -> None:
    text = "We rode north. The wind was kind. At noon we ate bread, cheese and two apples each."
    written, monitor = write(text)
    assert written == text
    assert not monitor.stopped


def test_the_persons_own_wish_is_not_the_monitors() -> None:
    monitor = Monitor(None, lambda: True, max_sentences=0)
    assert monitor.is_done()
    assert not monitor.stopped


def test_lines_of_code_are_not_counted() -> None:
    text = "Run this:\n\n```\nimport a.\nimport b.\nimport b.\n```\n\nThen wait."
    written, monitor = write(text, max_sentences=2)
    assert written == text
    assert not monitor.stopped
