"""Forgetting, erasing, moving and accounting from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_forget_asks_first_and_leaves_a_receipt(people: Run) -> None:
    refused = people("forget", "knee.md", text="n\n")
    assert (refused.code, refused.out) == (1, "")
    assert people("status", "--json").json["corpora"]["documents"]["documents"] == 3
    done = people("forget", "knee.md", text="y\n")
    assert done.code == 0
    assert "receipt" in done.out
    assert people("status", "--json").json["corpora"]["documents"]["documents"] == 2
    assert people("status", "--json", user="ben").json["corpora"]["documents"]["documents"] == 2


def test_a_question_that_nobody_answers_is_a_usage_error(people: Run) -> None:
    assert people("forget", "knee.md", text="").code == 2
    assert people("forget").code == 2
    assert people("forget", "no-such-note.md", "--yes").code == 1


def test_forgotten_files_come_back_only_with_again(people: Run, tmp_path: Path) -> None:
    people("forget", "knee.md", "--yes")
    notes = str(tmp_path / "ana-notes")
    assert people("add", notes).code == 4
    assert people("add", notes, "--again", "--json").json["added"] == 1


def test_erase_wants_the_name_and_spares_the_other(people: Run, home: Path) -> None:
    assert people("erase", "ben", text="bn\n").code == 1
    assert (home / "ben").is_dir()
    done = people("erase", "ben", "--json", text="ben\n")
    assert done.json["action"] == "erase"
    assert not (home / "ben").exists()
    assert people("erase", "ben", "--yes").code == 1
    assert people("status", "--json").json["corpora"]["documents"]["documents"] == 3


def test_export_and_import_move_a_person(people: Run, tmp_path: Path) -> None:
    archive = tmp_path / "ana.zip"
    told = people("export", str(archive), "--json").json
    assert told["size_bytes"] == archive.stat().st_size
    assert people("export", str(archive)).code == 2  # it exists
    came = people("import", str(archive), "--as", "anna", "--json").json
    assert (came["user"], came["corpora"]["documents"]["documents"]) == ("anna", 3)
    assert "knee.md" in people("search", "six weeks knee", "-k", "1", user="anna").out
    assert people("import", str(archive), "--as", "ben").code == 1  # somebody lives there


def test_audit_lists_what_was_done_and_judges_the_chain(people: Run) -> None:
    people("remember", "I take my tea without milk.")
    told = people("audit", "--json").json
    assert told["intact"] is True
    assert [event["action"] for event in told["events"]][-1] == "remember"
    shown = people("audit", "-n", "1")
    assert "remember" in shown.out
    assert "tea" not in shown.out
    assert len(shown.out.splitlines()) == 1
