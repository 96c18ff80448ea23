"""The commands of the flow on two people: what they print, in which shape, with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_add_counts_documents_and_a_second_add_changes_nothing(run: Run, tmp_path: Path) -> None:
    notes = tmp_path / "n"
    notes.mkdir()
    (notes / "a.md").write_text("# A\n\nOne.\n", encoding="utf-8")
    (notes / "b.md").write_text("# B\n\nTwo.\n", encoding="utf-8")
    first = run("add", str(notes), "--json")
    assert first.code == 0
    assert {name: first.json[name] for name in ("added", "modified", "removed", "unchanged")} == {
        "added": 2,
        "modified": 0,
        "removed": 0,
        "unchanged": 0,
    }
    assert first.json["skipped"] == []
    assert first.json["chunks"] == 2
    assert first.json["timings_ms"]["total"] > 0
    assert run("add", str(notes)).out.startswith("0 added, 0 modified, 0 removed, 2 unchanged, 0 skipped\n")


def test_add_names_what_it_skipped_and_exits_4(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 not really")
    done = run("add", str(tmp_path / "bad.pdf"))
    assert done.code == 4
    assert "bad.pdf" in done.err
    assert "1 skipped" in done.out
    told = run("add", str(tmp_path / "bad.pdf"), "--json").json
    assert [Path(item["path"]).name for item in told["skipped"]] == ["bad.pdf"]
    assert told["skipped"][0]["reason"]


def test_dry_run_says_what_would_change_and_changes_nothing(people: Run, tmp_path: Path) -> None:
    (tmp_path / "ana-notes" / "new.md").write_text("# New\n", encoding="utf-8")
    assert "would be: 1 added" in people("add", "--dry-run", str(tmp_path / "ana-notes")).out
    assert people("status", "--json").json["corpora"]["documents"]["documents"] == 3


def test_users_gives_each_row_to_its_person(run: Run, tmp_path: Path) -> None:
    rows = [{"user": "ana", "id": "a1", "text": "Apples."}, {"user": "ben", "id": "b1", "text": "Bread."}]
    file = tmp_path / "docs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    told = run("add", "--users", str(file), "--json").json["users"]
    assert {user: report["added"] for user, report in told.items()} == {"ana": 1, "ben": 1}
    assert run("add", "--users", "--watch", str(file)).code == 2


def test_search_finds_own_notes_only_in_the_shape_of_the_contract(people: Run) -> None:
    for user, bank in (("ana", "Elster Bank"), ("ben", "Banque Verte")):
        told = people(
            "search", "why did I move my account to another bank", "-k", "1", "--json", user=user
        ).json
        assert set(told) >= {"query", "hits", "timings_ms"}
        (hit,) = told["hits"]
        assert hit["rank"] == 1
        assert bank in hit["text"]
        assert set(hit["via"]) == {"dense", "lexical"}
        assert all(set(leg) == {"rank", "score"} for leg in hit["via"].values())
        text = Path(hit["document"]).read_text(encoding="utf-8")
        assert text[hit["start"] : hit["end"]] == hit["text"]


def test_search_shows_place_and_legs_and_exits_3_without_hits(people: Run) -> None:
    done = people("search", "six weeks knee", "-n", "1", "--explain")
    assert done.code == 0
    assert "knee.md:" in done.out
    assert "dense #1" in done.out
    assert "lexical #1" in done.out
    nothing = people("search", "six weeks knee", "--where", "speaker=Nobody")
    assert (nothing.code, nothing.out) == (3, "")
    assert people("search", "knee", "--min-relevance", "1", "--json").json["hits"] == []


def test_search_reads_the_query_from_stdin(people: Run) -> None:
    assert "knee.md" in people("search", "-", text="six weeks knee\n").out
    assert people("search", "-", text=" \n").code == 2


def test_search_in_a_time_that_no_document_has_finds_nothing(people: Run) -> None:
    assert people("search", "knee", "--until", "1990").code == 3
    assert people("search", "knee", "--since", "yesterday").code == 2


def test_prompt_shows_the_messages_and_a_ledger_that_adds_up(people: Run) -> None:
    told = people("prompt", "what about my knee?", "--json").json
    assert [message["role"] for message in told["messages"]] == ["system", "user"]
    assert sum(section["tokens"] for section in told["sections"]) == told["tokens"] <= told["budget_tokens"]
    shown = people("prompt", "what about my knee?").out
    assert "--- system" in shown
    assert f"total {told['tokens']} of {told['budget_tokens']} tokens" in shown


def test_ask_answers_each_person_from_their_own_notes(people: Run) -> None:
    for user, bank, other in (("ana", "Elster", "Verte"), ("ben", "Verte", "Elster")):
        told = people("ask", "Which bank did I move my account to?", "--json", user=user).json
        assert bank in told["answer"]
        assert other not in json.dumps(told)
        assert told["abstained"] is False
        assert {"label", "document", "start", "end"} <= set(told["citations"][0])
        assert set(told["usage"]) == {"prompt_tokens", "completion_tokens", "cached_tokens"}
        assert set(told["timings_ms"]) == {"embed", "retrieve", "assemble", "first_token", "total"}
        assert told["interaction"]


def test_ask_prints_labels_and_sources_without_colours(people: Run) -> None:
    done = people("ask", "Which bank did I move my account to?", "--explain")
    assert done.code == 0
    assert "[1] " in done.out
    assert "bank.md:" in done.out
    assert "passages" in done.out
    assert "\x1b" not in done.out + done.err


def test_ask_declines_with_exit_3_and_names_the_closest(people: Run) -> None:
    flags = ("-c", "retrieve.min_relevance=1")
    done = people("ask", "Who painted the kitchen?", *flags)
    assert done.code == 3
    assert "closest: " in done.out
    told = people("ask", "Who painted the kitchen?", "--json", *flags)
    assert (told.code, told.json["abstained"], told.json["citations"]) == (3, True, [])


def test_chat_answers_and_obeys_its_commands(people: Run) -> None:
    lines = (
        "Which bank did I move my account to?\n/why\n/sources\n/good\n/nonsense\n/help\n/quit\nnever read\n"
    )
    done = people("chat", "--session", "s1", text=lines)
    assert done.code == 0
    assert "Elster Bank" in done.out
    assert "passages" in done.out  # /why
    assert "noted" in done.err
    assert "there is no /nonsense" in done.err
    assert "/sources" in done.out  # /help
    assert "never read" not in done.out
    assert people("status", "--json").json["interactions"] == 1


def test_chat_remembers_the_conversation_across_calls(people: Run) -> None:
    people("ask", "Which bank did I move my account to?", "--session", "s1")
    told = people("prompt", "and why?", "--session", "s1", "--json").json
    assert "conversation" in [section["name"] for section in told["sections"]]
    alone = people("prompt", "and why?", "--json").json
    assert "conversation" not in [section["name"] for section in alone["sections"]]


def test_write_drafts_and_says_what_it_was_shown(people: Run) -> None:
    done = people("write", "a line about my bank", "-v", "--without", "exemplars")
    assert done.code == 0
    assert "drawing on " in done.out
    assert "in the manner of" not in done.out
    # What is shown as an example is not shown as a source as well, and only sources are extracted from.
    shown = people("write", "a line about my bank", "-v")
    assert "bank.md" in shown.out.split("in the manner of")[1]
    assert "drawing on " not in shown.out
    assert people("write", "a line about my bank", "--json").json["interaction"]


def test_feedback_marks_an_exchange(people: Run) -> None:
    number = people("ask", "Which bank did I move my account to?", "--json").json["interaction"]
    assert people("feedback", number, "good").out == "noted: good\n"
    edited = people("feedback", number, "--edit", "-", "--json", text="Elster, since March.\n")
    assert edited.json == {"interaction": number, "verdict": "edited"}
    assert people("feedback", number).code == 2
    assert people("feedback", "no-such-id", "bad").code == 1


def test_remember_then_profile_then_forget_the_statement(people: Run) -> None:
    number = people("remember", "I take my tea without milk.", "--json").json["fact"]
    people("profile", "set", "name", "Ana", "Keller")
    shown = people("profile").out
    assert "Ana Keller" in shown
    assert "I take my tea without milk." in shown
    told = people("profile", "show", "--json").json
    assert [fact["text"] for fact in told["facts"] if fact["id"] == number] == ["I take my tea without milk."]
    assert people("profile", "--json", user="ben").json["facts"] == []
    receipt = people("forget", "--fact", str(number), "--yes", "--json").json
    assert receipt["counts"]["facts"] == 1
    assert number not in [fact["id"] for fact in people("profile", "--json").json["facts"]]


def test_what_was_believed_can_be_read_and_asked_about(people: Run, tmp_path: Path) -> None:
    for name, text in (("a", "I live in Leipzig."), ("b", "I moved to Graz.")):
        path = tmp_path / "life" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Diary\n\nIt rained. {text} I slept.\n", encoding="utf-8")
        os.utime(path, (1_700_000_000 + 10_000 * ord(name),) * 2)
    people("add", str(tmp_path / "life"))
    held = [fact["text"] for fact in people("profile", "--json").json["facts"]]
    assert "I moved to Graz." in held
    assert "I live in Leipzig." not in held
    assert "lives in Graz" in people("profile").out

    old, new = people("profile", "history", "home", "--json").json["facts"]
    assert (old["text"], new["text"]) == ("I live in Leipzig.", "I moved to Graz.")
    assert (old["superseded_by"], old["valid_to"]) == (new["id"], new["valid_from"])
    assert (new["superseded_by"], new["valid_to"], new["line"]) == (None, None, 3)
    told = people("profile", "history", "leipzig").out
    assert "I live in Leipzig." in told
    assert f"replaced by {new['id']}" in told
    nothing = people("profile", "history", "zeppelin")
    assert (nothing.code, nothing.out) == (3, "")

    why = people("profile", "why", str(new["id"]))
    assert "It rained. I moved to Graz. I slept." in why.out
    assert "it took the place of:" in why.out
    assert "I live in Leipzig." in why.out
    asked = people("profile", "why", str(old["id"]), "--json").json
    assert [fact["id"] for fact in asked["after"]] == [new["id"]]
    assert asked["before"] == []
    assert "It rained." in asked["passage"]
    unknown = people("profile", "why", "999")
    assert (unknown.code, unknown.out) == (1, "")
    assert "profile history" in unknown.err

    people("forget", "b.md", "--yes")
    assert "I live in Leipzig." in [fact["text"] for fact in people("profile", "--json").json["facts"]]
    assert people("profile", "history", "--json", user="ben").json["facts"] == []


def test_a_person_can_be_shared_and_no_longer(people: Run) -> None:
    assert people("profile", "set", "shared", "yes").out == "shared: yes\n"
    assert people("profile", "set", "shared", "no", "--json").json == {"set": "shared"}
    wrong = people("profile", "set", "shared", "maybe")
    assert (wrong.code, "yes or no" in wrong.err) == (2, True)


def test_profile_edit_applies_what_the_editor_saved(
    people: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text(
        '#!/bin/sh\nsleep 0.05\nsed -i \'s/^name = .*/name = "Ana K."/\' "$1"\n', encoding="utf-8"
    )
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    assert people("profile", "edit").code == 0
    assert people("profile", "--json").json["name"] == "Ana K."
    assert not list((tmp_path / "home" / "ana").glob(".*.tmp"))
    monkeypatch.setenv("EDITOR", "true")
    assert people("profile", "edit").out == "nothing was changed\n"


def test_style_needs_some_writing_and_then_shows_figures(people: Run, tmp_path: Path) -> None:
    assert people("style", user="ben").code == 1
    for number in range(3):
        path = tmp_path / "own" / f"{number}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Piece {number}. Short. Very short.\n", encoding="utf-8")
    people("add", "--corpus", "exemplars", str(tmp_path / "own"), user="cleo")
    assert people("style", "--json", user="cleo").json["pieces"] == 3
    assert "words per sentence" in people("style", user="cleo").out


def test_status_tells_one_person_and_all(people: Run) -> None:
    told = people("status", "--json").json
    assert told["corpora"]["documents"] == {"documents": 3, "chunks": 3}
    assert told["embedder"]["dim"] == 64
    assert told["size_bytes"] > 0
    everyone = people("status", "--all", "--json").json["users"]
    assert [(p["user"], p["corpora"]["documents"]["documents"]) for p in everyone] == [("ana", 3), ("ben", 2)]
    assert "ben" in people("status", "--all").out
    assert people("status", user="nobody").code == 1


def test_reindex_embeds_nothing_twice(people: Run) -> None:
    told = people("reindex", "--json").json
    assert told["embedded"] == 0
    assert "0 texts embedded" in people("reindex").out


def test_demo_refuses_a_home_where_somebody_lives(people: Run, home: Path) -> None:
    done = people("demo", "--home", str(home))
    assert done.code == 2
    assert (home / "ana" / "store.db").is_file()
    assert (home / "ben" / "store.db").is_file()


def test_demo_says_which_of_its_claims_did_not_hold(run: Run) -> None:
    done = run(
        "demo", "--fast", "--home", "demo-home", "-c", "retrieve.min_relevance=1"
    )  # declines everything
    assert done.code == 1
    assert "did not hold: ana's answer to" in done.out
    assert "ben is gone" not in done.out  # this claim held
    assert not Path("demo-home").exists()


@pytest.mark.model
@pytest.mark.timeout(600)
def test_demo_holds_every_claim_on_the_real_models(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ragperso", "demo", "--fast"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []
