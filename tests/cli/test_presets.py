"""``ragperso presets``, and what a preset changes for the other commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragperso import config, preset
from ragperso.errors import ConfigError
from tests.cli.conftest import Run

TERMS = "---\nkind: glossary\n---\n- Fee: what Holm Bank took each month\n- Branch: a house with a counter\n"
MINE = """
description = "money"
[settings.assemble]
max_passages = 1
[ask]
text = "Level {level}."
[write]
text = "Plain."
[blocks.level]
facts = ["says:beginner"]
[blocks.glossary]
title = "Glossary"
documents = ["kind:glossary"]
pick = "fitting"
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "preset.toml").write_text(MINE, encoding="utf-8")
    return str(tmp_path / "mine")


def test_the_list_has_one_line_each(run: Run) -> None:
    lines = run("presets").out.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == preset.names()
    told = run("presets", "list", "--json", "-c", "general.preset=tutor").json["presets"]
    assert [(one["name"], one["default"]) for one in told] == [(n, n == "tutor") for n in preset.names()]


def test_show_tells_what_a_preset_brings(run: Run) -> None:
    told = run("presets", "show", "tutor").out
    assert "You explain one step" in told
    assert "facts slot:*level*, says:level" in told
    assert "ragperso ask -u sample --set general.preset=tutor" in told
    shape = run("presets", "show", "tutor", "--json").json
    assert [block["name"] for block in shape["blocks"]] == ["level", "pace", "mistakes"]
    assert len(shape["sample"]["documents"]) == 2


def test_a_copy_can_be_changed_and_used(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "own desk"
    assert run("presets", "copy", "support-desk", str(target)).code == 0
    assert run("presets", "copy", "support-desk", str(target)).code == 2
    assert run("presets", "show", str(target), "--json").json["path"] == str(target)
    assert run("presets", "show", "nothing").code == 2


def test_settings_of_a_preset_are_weaker_than_ones_own(mine: str, tmp_path: Path) -> None:
    own = tmp_path / "ragperso.toml"
    chosen = {"general.preset": mine}

    def passages(text: str, **environ: str) -> int:
        own.write_text(text, encoding="utf-8")
        none = tmp_path / "none.toml"
        loaded = config.load(
            overrides=chosen, environ=environ, project=own, user=none, presets=preset.settings
        )
        return loaded.assemble.max_passages

    assert passages("") == 1
    assert passages("[assemble]\nmax_passages = 2\n") == 2
    assert passages("[assemble]\nmax_passages = 2\n", RAGPERSO_ASSEMBLE_MAX_PASSAGES="5") == 5
    chosen["assemble.max_passages"] = "7"
    assert passages("[assemble]\nmax_passages = 2\n", RAGPERSO_ASSEMBLE_MAX_PASSAGES="5") == 7
    chosen["general.preset"] = "no such"
    with pytest.raises(ConfigError, match="there is no preset"):
        passages("")


def test_a_prompt_holds_the_blocks_of_the_person_and_no_others(
    people: Run, mine: str, tmp_path: Path
) -> None:
    use = ("-c", f"general.preset={mine}")
    (tmp_path / "terms.md").write_text(TERMS, encoding="utf-8")
    people("add", str(tmp_path / "terms.md"))
    people("remember", "I am a beginner with money.")
    told = people("prompt", "What was the fee?", *use, "--json").json
    system = told["messages"][0]["content"]
    assert system.startswith("Level I am a beginner with money..\n\n")
    assert system.endswith("\n\nGlossary: Fee: what Holm Bank took each month")
    assert system.count("beginner") == 1  # said once, not among the facts again
    (section,) = [one for one in told["sections"] if one["name"] == "preset"]
    shown = [one["item"].split("/")[-1] for one in section["items"]]
    assert shown[0].startswith("level: fact ")
    assert shown[1:] == ["terms.md"]
    # The same preset for somebody else: no word of Ana's.
    other = people("prompt", "What was the fee?", *use, "--json", user="ben").json
    assert "beginner" not in other["messages"][0]["content"]
    assert "Glossary" not in other["messages"][0]["content"]


def test_without_a_preset_nothing_changes(people: Run) -> None:
    told = people("prompt", "Which bank?", "--json").json
    assert "preset" not in [one["name"] for one in told["sections"]]


def test_forgetting_a_block_s_document_takes_the_answers_along(
    people: Run, mine: str, tmp_path: Path
) -> None:
    use = ("-c", f"general.preset={mine}")
    (tmp_path / "terms.md").write_text(TERMS, encoding="utf-8")
    people("add", str(tmp_path / "terms.md"))
    question = "Which bank did I leave because of the fee?"
    told = people("prompt", question, *use, "--json").json["sections"]
    shown = {one["name"]: [item["item"].split("/")[-1] for item in one["items"]] for one in told}
    assert shown["preset"] == ["terms.md"]
    assert shown["passages"] == ["bank.md#0"]  # so the terms are behind the answer by their block alone
    people("ask", question, *use)
    key = next(
        one["document"]
        for one in people("search", "fee counter", "--json").json["hits"]
        if one["document"].endswith("terms.md")
    )
    counts = people("forget", key, "--yes", "--json").json["counts"]
    assert counts["interactions"] == 1


def test_edited_answers_are_mistakes_so_far(people: Run, mine: str, tmp_path: Path) -> None:
    (tmp_path / "mine" / "preset.toml").write_text(
        '[blocks.mistakes]\ntitle = "Mistakes"\nexchanges = ["edited"]\n', encoding="utf-8"
    )
    first = people("ask", "Which bank has my account?", "--json").json["interaction"]
    second = people("ask", "Which knee hurts?", "--json").json["interaction"]
    assert people("feedback", first, "--edit", "Elster Bank, since 2025.").code == 0
    people("feedback", second, "good")
    told = people("prompt", "Which bank?", "-c", f"general.preset={mine}", "--json").json
    assert told["messages"][0]["content"].endswith(
        "Mistakes: Which bank has my account? -> Elster Bank, since 2025."
    )
    (section,) = [one for one in told["sections"] if one["name"] == "preset"]
    assert [one["item"] for one in section["items"]] == [f"mistakes: interaction {first}"]
