"""``ragperso audit bias`` beside the log of ``ragperso audit``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_the_log_is_what_it_was(people: Run) -> None:
    assert [event["action"] for event in people("audit", "--json").json["events"]] == ["add"]
    assert people("audit", "-n", "1").out.count("\n") == 1
    assert people("audit", "-n", "0").code == 2
    assert people("audit", "-n", "1", "bias").code == 2
    assert people("audit", user="nobody").code == 1


def test_the_report_is_a_file_without_text(people: Run, tmp_path: Path) -> None:
    done = people("audit", "bias", "--no-drafts")
    assert done.code == 0
    (report,) = (tmp_path / "work").glob("ragperso-bias-ana-*.md")
    text = report.read_text(encoding="utf-8")
    assert text.startswith("# Fairness check of ana\n")
    assert "## Verdict" in text
    assert "Nothing can be said" in text  # of three questions
    for private in ("Elster", "Garten", "Knee", "What do I know"):
        assert private not in text
    assert f"report: {report.name}" in done.out
    assert people("audit", "bias", "--no-drafts", "--limit", "1").code == 0
    assert len(list((tmp_path / "work").glob("ragperso-bias-ana-*.md"))) == 2  # the first is kept
    assert people("audit", "--json").json["intact"] is True


def test_json_on_the_screen_and_in_the_file_agree(people: Run, tmp_path: Path) -> None:
    out = tmp_path / "bias.json"
    words = ("--no-drafts", "--out", str(out), "--show-questions", "--json", "-c", "retrieve.k=1")
    told = people("audit", "bias", *words).json
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert told.pop("file") == str(out)
    assert told == kept
    assert kept["people"][0]["searches"] > 50
    assert any("What do I know about" in row["text"] for row in kept["worst"])


def test_everyone_is_asked_from_their_own_documents(people: Run, tmp_path: Path) -> None:
    told = people("audit", "bias", "--no-drafts", "--all-people", "--json").json
    assert [(one["user"], one["questions"]) for one in told["people"]] == [("ana", 3), ("ben", 2)]
    assert told["file"].startswith("ragperso-bias-all-")


def test_questions_of_ones_own(people: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("How much water do the tomatoes need?\n", encoding="utf-8")
    told = people("audit", "bias", "--no-drafts", "--questions", str(mine), "--json").json
    assert told["people"][0]["source"] == "mine.txt: 1 questions"
    assert people("audit", "bias", "--questions", str(tmp_path / "none.txt")).code == 2


def test_each_preset_is_measured_under_its_own_settings(people: Run, tmp_path: Path) -> None:
    kind = tmp_path / "narrow"
    assert people("presets", "copy", "notes", str(kind)).code == 0
    toml = kind / "preset.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(f"{text}\n[settings.retrieve]\nk = 2\n", encoding="utf-8")
    presets = ("--preset", str(kind), "--preset", "notes")
    told = people("audit", "bias", "--no-drafts", "--limit", "1", *presets, "--json").json
    assert [(one["preset"], one["k"]) for one in told["people"]] == [("narrow", 2), ("notes", 10)]


def test_an_unknown_preset_is_refused(people: Run) -> None:
    assert people("audit", "bias", "--no-drafts", "--preset", "no-such-preset").code == 2


def test_who_has_nothing_cannot_be_checked(run: Run) -> None:
    run("remember", "I like tea.")
    assert run("audit", "bias", "--no-drafts").code == 2
