"""Stage 5: a build of llama.cpp that crashes is found out in a child process, once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragperso.errors import ModelUnavailable
from ragperso.generate.selftest import CACHE_FILE, safe_settings

DIES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


class Children:
    """Makes command lines of real child processes and counts them; one script per setting."""

    def __init__(self, with_extra_bufts: str, without: str) -> None:
        self.scripts = {True: with_extra_bufts, False: without}
        self.started: list[bool] = []

    def __call__(self, path: Path, use_extra_bufts: bool) -> Sequence[str]:
        self.started.append(use_extra_bufts)
        return [sys.executable, "-c", self.scripts[use_extra_bufts]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_the_default_is_kept_when_its_child_survives(model: Path, tmp_path: Path) -> None:
    children = Children("", DIES)
    assert safe_settings(model, tmp_path, command=children).use_extra_bufts is True
    assert children.started == [True]


def test_a_crash_selects_the_other_setting(model: Path, tmp_path: Path) -> None:
    children = Children(DIES, "")
    settings = safe_settings(model, tmp_path, command=children)
    assert settings.use_extra_bufts is False
    assert "crashed" in settings.reason
    assert children.started == [True, False]


def test_wrong_numbers_count_as_a_crash(model: Path, tmp_path: Path) -> None:
    children = Children("raise SystemExit(4)", "")
    assert safe_settings(model, tmp_path, command=children).use_extra_bufts is False


def test_crashing_both_ways_names_the_rebuild_and_is_not_remembered(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        safe_settings(model, tmp_path, command=Children(DIES, DIES))
    assert "-11" in caught.value.message
    assert "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" in caught.value.hint
    assert safe_settings(model, tmp_path, command=Children("", "")).use_extra_bufts is True


def test_the_verdict_is_remembered_for_the_next_process(model: Path, tmp_path: Path) -> None:
    safe_settings(model, tmp_path, command=Children(DIES, ""))
    again = Children(DIES, DIES)
    assert safe_settings(model, tmp_path, command=again).use_extra_bufts is False
    assert again.started == []


@pytest.mark.parametrize("change", ["model", "gpu_layers"])
def test_another_model_or_setting_is_tested_anew(model: Path, tmp_path: Path, change: str) -> None:
    safe_settings(model, tmp_path, command=Children("", ""))
    if change == "model":
        model.write_bytes(b"GGUF, longer")
    children = Children("", "")
    safe_settings(model, tmp_path, gpu_layers=-1 if change == "gpu_layers" else 0, command=children)
    assert children.started == [True]


def test_a_file_that_cannot_be_loaded_says_nothing_about_the_build(model: Path, tmp_path: Path) -> None:
    children = Children("raise SystemExit(3)", "")
    with pytest.raises(ModelUnavailable, match=r"model\.gguf"):
        safe_settings(model, tmp_path, command=children)
    assert children.started == [True]
    assert not (tmp_path / CACHE_FILE).exists()


@pytest.mark.parametrize("rubbish", ["", "[]", "{", '{"x": "y"}', "\ufeff"])
def test_a_damaged_memory_costs_only_the_test_again(model: Path, tmp_path: Path, rubbish: str) -> None:
    (tmp_path / CACHE_FILE).write_text(rubbish, "utf-8")
    children = Children("", "")
    assert safe_settings(model, tmp_path, command=children).use_extra_bufts is True
    assert children.started == [True]


def test_the_memory_holds_no_path(model: Path, tmp_path: Path) -> None:
    safe_settings(model, tmp_path, command=Children("", ""))
    text = (tmp_path / CACHE_FILE).read_text("utf-8")
    assert list(json.loads(text).values()) == [True]
    assert "model.gguf" not in text


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root writes anywhere")
def test_a_memory_that_cannot_be_written_is_no_failure(model: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert safe_settings(model, locked, command=Children("", "")).use_extra_bufts is True


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"gone\.gguf"):
        safe_settings(tmp_path / "gone.gguf", tmp_path, command=Children("", ""))
