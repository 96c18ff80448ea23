"""What all commands share: help, lazy imports, errors, exit codes, and nothing that commands a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ragperso import errors
from ragperso.cli import STAGES, cli, failures, screen
from tests.cli.conftest import Run, settings_flags

COMMANDS = [name for commands in STAGES.values() for name in commands]
LIGHT = {"numpy", "torch", "faiss", "llama_cpp", "transformers", "sentence_transformers", "rich", "bm25s"}


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ragperso", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_opens_with_its_line_in_the_list(name: str) -> None:
    with click.Context(cli) as ctx:
        command = cli.get_command(ctx, name)
    assert command is not None
    assert (command.help or "").split("\n")[0] == next(c[name] for c in STAGES.values() if name in c)
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    assert "Usage: " in done.output
    assert all(len(line) <= 80 for line in done.output.splitlines())


def test_help_lists_commands_in_the_order_of_the_flow() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    places = [shown.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\nfrom ragperso.cli import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): cli(['--help'])\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "ragperso" in loaded
    assert loaded & LIGHT == set()


def test_status_loads_no_model(people: Run, home: Path) -> None:
    code = (
        "import sys\nfrom ragperso.cli import cli\n"
        f"try: cli(['--home', {str(home)!r}, '-u', 'ana', 'status'])\n"
        "finally: print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded & {"torch", "llama_cpp", "transformers", "sentence_transformers", "rich"} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert "_RAGPERSO_COMPLETE" in done.out


def test_completion_knows_commands_and_options_without_importing_them() -> None:
    with click.Context(cli) as ctx:
        assert [item.value for item in cli.shell_complete(ctx, "er")] == ["erase"]
        assert "--home" in [item.value for item in cli.shell_complete(ctx, "--h")]
    done = program(_RAGPERSO_COMPLETE="bash_complete", COMP_WORDS="ragperso models p", COMP_CWORD="2")
    assert done.stdout.split() == ["plain,pull"]


def test_options_count_before_and_after_the_command(people: Run, home: Path) -> None:
    flags = ["--home", str(home), "-u", "ben", *settings_flags(), "--json"]
    before = CliRunner().invoke(cli, [*flags, "status"])
    after = CliRunner().invoke(cli, ["status", *flags])
    assert before.stdout == after.stdout
    assert '"user": "ben"' in after.stdout


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (errors.RagpersoError("x"), 1),
        (errors.UnknownUser("x"), 1),
        (errors.ConfigError("x"), 2),
        (click.UsageError("x"), 2),
        (errors.ModelUnavailable("x"), 5),
        (errors.MissingExtra("torch", "embed"), 5),
        (errors.MissingExtra("watchfiles", "watch"), 1),
        (errors.WorkspaceLocked("x"), 6),
        (errors.StaleIndex("x"), 6),
        (errors.CorruptIndex("x"), 6),
        (OSError(28, "No space left on device"), 1),
        (KeyError("x"), 1),
    ],
)
def test_exit_codes(exc: Exception, code: int) -> None:
    assert failures.code_of(exc) == code


def test_an_error_is_one_line_with_its_hint(people: Run) -> None:
    done = people("search", "knee", user="nobody")
    assert done.code == 1
    first, second = done.err.splitlines()
    assert first.startswith("error: there is no person 'nobody'")
    assert second.startswith("hint: ragperso add")
    assert done.out == ""


def test_an_error_in_json_has_the_shape_of_the_contract(people: Run) -> None:
    told = people("search", "knee", "--json", user="nobody").error
    assert set(told) == {"type", "stage", "message", "hint"}
    assert (told["type"], told["stage"]) == ("UnknownUser", "workspace")
    usage = people("search", "--json")
    assert (usage.code, usage.error["type"]) == (2, "UsageError")


def test_a_wrong_setting_is_a_usage_error(run: Run) -> None:
    assert run("status", "-c", "retrieve.kk=3").code == 2
    assert "did you mean 'retrieve.k'" in run("status", "-c", "retrieve.kk=3").err
    assert run("status", "-c", "nonsense").code == 2
    assert run("status", "--config", "no-such-file.toml").code == 2


def test_a_missing_model_exits_5_and_names_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.md").write_text("# N\n", encoding="utf-8")
    flags = ("-c", "index.embedder_backend=sentence-transformers", "-c", "index.embedder=org/none")
    done = run("add", str(tmp_path / "n.md"), *flags)
    assert done.code == 5
    assert "ragperso models pull org/none" in done.err


def test_another_embedder_than_the_stored_one_exits_6(people: Run) -> None:
    from ragperso.store import Store
    from ragperso.types import CORPORA

    home = Path(people("status", "--json").json["path"])
    store = Store(home / "store.db")
    store.activate_embedder(store.embedder_id("other/1", name="other", dim=64), CORPORA)
    store.close()
    done = people("search", "knee", "--json")
    assert (done.code, done.error["type"]) == (6, "StaleIndex")
    assert done.error["hint"].startswith("ragperso reindex")


def test_an_unknown_failure_is_called_a_bug_without_quoting_anyone(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragperso.engine import Session

    def broken(*_: object, **__: object) -> None:
        raise KeyError("my secret diary")

    monkeypatch.setattr(Session, "retrieve", broken)
    done = people("search", "knee")
    assert done.code == 1
    assert "bug in ragperso (KeyError" in done.err
    assert "secret" not in done.err
    assert "Traceback" in people("search", "knee", "--debug").err


def test_an_interrupted_add_exits_130_and_says_that_all_is_safe(
    people: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ragperso.engine import Session

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "add", interrupted)
    done = people("add", str(tmp_path / "ana-notes"))
    assert done.code == 130
    assert "run the same command to continue" in done.err
    monkeypatch.setattr(Session, "retrieve", interrupted)
    assert people("search", "knee").code == 130
    assert people("search", "knee", "--json").error["type"] == "Interrupted"


def test_ctrl_c_stops_an_answer_and_keeps_nothing(people: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragperso.engine import Session

    retrieve = Session.retrieve

    def pressed(self: Session, text: str, **rest: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return retrieve(self, text, **rest)

    monkeypatch.setattr(Session, "retrieve", pressed)
    for words in (("ask", "Which bank did I leave?"), ("write", "A note on my bank.")):
        done = people(*words)
        assert (done.code, done.out, done.err) == (130, "", "interrupted\n")
        assert people(*words, "--json").error["type"] == "Interrupted"
    done = people("chat", text="Which bank did I leave?\n/why\n/quit\n")
    assert (done.code, done.out) == (0, "")
    assert done.err == "stopped; nothing was kept\nthere is no answer yet\n"
    assert people("status", "--json").json["interactions"] == 0


# ---------------------------------------------------------------- terminals


def test_control_characters_are_shown_and_never_sent() -> None:
    assert screen.safe("a\x1b[2Jb\x07") == "a\\x1b[2Jb\\x07"
    assert screen.line("one\ntwo\tthree") == "one two three"
    assert screen.safe("\u202eevil\ud800") == "\\u202eevil\\ud800"
    assert screen.safe("Grüße 👩‍🍳 日本") == "Grüße 👩‍🍳 日本"


def test_text_and_names_of_documents_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "title\x1b]0;owned\x07.md").write_text(
        "# H\x1b[31m\n\nA note about zebras\x1b[2J.\n", encoding="utf-8"
    )
    assert run("add", str(evil)).code == 0
    for words in (
        ("search", "zebras", "--explain"),
        ("search", "zebras", "--json"),
        ("ask", "what about zebras?", "--explain"),
        ("prompt", "zebras"),
        ("status",),
    ):
        done = run(*words)
        assert done.code == 0, done.err
        assert not {"\x1b", "\x07", "\x9b"} & set(done.out + done.err), words


def test_a_terminal_without_unicode_does_not_end_the_program(people: Run, home: Path) -> None:
    flags = ["--home", str(home), "-u", "ana", *settings_flags()]
    done = program(*flags, "search", "Tomaten Wasser", "-k", "1", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "S\\xfcdfenster" in done.stdout
    told = program(*flags, "search", "Tomaten", "-k", "1", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "S\\u00fcdfenster" in told.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_a_closed_pipe_is_quiet(people: Run, home: Path) -> None:
    words = " ".join(["--home", str(home), "-u", "ana", *settings_flags(), "status", "--json"])
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m ragperso {words} | true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_wrapping_keeps_words_whole_and_counts_wide_characters_twice() -> None:
    assert screen.fill([("one two three", "")], columns=8) == "one two\nthree"
    assert screen.fill([("日本語", "")], columns=4) == "日本\n語"
    assert screen.fill([("a", ""), (" [1]", "dim")], first="> ", indent="  ", columns=20) == "> a [1]"
    assert screen.fill([("abcdef", "")], columns=4) == "abcd\nef"


def test_json_out_of_reach_of_bidirectional_tricks() -> None:
    assert screen.json_text({"a": "\u202e\x9b"}) == '{\n  "a": "\\u202e\\u009b"\n}'
