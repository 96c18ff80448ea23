"""The public names, what importing costs, and that nothing of the workplace leaks into the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ragperso

REPOSITORY = Path(__file__).resolve().parents[2]


def test_all_is_sorted_closed_and_true() -> None:
    names = [name for name in ragperso.__all__ if not name.startswith("__")]
    assert names == sorted(names)
    assert len(set(ragperso.__all__)) == len(ragperso.__all__)
    for name in ragperso.__all__:
        assert getattr(ragperso, name) is not None
    with pytest.raises(AttributeError):
        ragperso.no_such_name  # noqa: B018


def imported_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {line.split(".")[0] for line in done.stdout.splitlines()}


HEAVY = {
    "torch",
    "faiss",
    "llama_cpp",
    "transformers",
    "sentence_transformers",
    "onnxruntime",
    "bm25s",
    "scipy",
}


def test_importing_the_engine_loads_no_model_runtime() -> None:
    assert imported_by("from ragperso import Engine; Engine(home='nowhere')") & HEAVY == set()


def test_help_loads_neither_numpy_nor_a_model_runtime() -> None:
    code = (
        "import contextlib\nfrom ragperso.cli import main\nsys.argv = ['ragperso', '--help']\n"
        "with contextlib.suppress(SystemExit):\n    main()"
    )
    assert imported_by(code) & (HEAVY | {"numpy", "rich"}) == set()


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert first is not None
    assert first.group(1) in (ragperso.__version__, "Unreleased")
    assert f"## [{ragperso.__version__}]" in changelog


def test_the_samples_hold_what_was_written_for_them_and_nothing_a_run_left() -> None:
    people = REPOSITORY / "ragperso" / "samples" / "people"
    assert sorted(p.name for p in people.iterdir()) == ["ana", "ben", "questions.toml"]
    for person in ("ana", "ben"):
        names = sorted(p.name for p in (people / person).iterdir())
        assert names == ["chat", "mail", "notes", "person.toml", "writing"]
