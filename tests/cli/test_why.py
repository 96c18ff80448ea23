"""``write --compare`` and what ``why`` refuses, on the command line; tests/flow/test_why.py has the model."""

from __future__ import annotations

from tests.cli.conftest import Run

ECHO = ("-c", "generate.backend=echo")  # repeats a passage or the request
REQUEST = "Write a note to Jo about the bank account"


def test_drafts_are_shown_side_by_side(people: Run) -> None:
    done = people(*ECHO, "write", REQUEST, "--compare", "--json")
    assert done.code == 0
    drafts = done.json["drafts"]
    assert [draft["without"] for draft in drafts] == [
        [], ["exemplars"], ["card"], ["profile"], ["history"], ["documents"],
        ["exemplars", "card", "profile", "history", "documents"],
    ]  # fmt: skip
    assert all(set(d) == {"without", "text", "prompt_tokens", "manner", "same_as"} for d in drafts)
    whole, without_history = drafts[0], drafts[4]
    assert whole["text"]
    assert whole["same_as"] is None
    assert (without_history["text"], without_history["same_as"]) == ("", "the one with all of it")
    assert people("search", "bank", "--corpus", "history", "--json").json["hits"] == []  # nothing recorded


def test_drafts_are_told_apart_by_what_they_are_without(people: Run) -> None:
    told = people(*ECHO, "write", REQUEST, "--compare").out
    assert told.startswith("with all of it")
    assert "\nwithout exemplars\n" in told
    assert "\nwithout any\n" in told
    assert "    the same prompt as the one with all of it\n" in told


def test_a_comparison_is_of_every_kind(people: Run) -> None:
    done = people("write", REQUEST, "--compare", "--without", "card")
    assert done.code == 2
    assert "--compare" in done.err


def test_a_length_that_means_nothing_is_refused(people: Run) -> None:
    assert people("write", REQUEST, "--length", "longish").code == 2


def test_why_needs_a_backend_that_can_tell_and_an_exchange(people: Run) -> None:
    number = people("ask", "Which bank did I move my account to?", "--json").json["interaction"]
    told = people("why", number, "--json")
    assert told.code == 2
    assert told.error["type"] == "ConfigError"
    assert "generate.backend" in told.error["hint"]
    nobody = people("why", "01NOBODY", "--json")
    assert nobody.code == 1
    assert nobody.error["type"] == "WorkspaceError"


def test_ask_explains_without_a_model_too(people: Run) -> None:
    done = people("ask", "Which bank did I move my account to?", "--explain", "--json")
    assert done.code == 0
    assert "why" not in done.json
    assert done.json["prompt"]["sections"]
