"""``ragperso models`` and the careful edit of the person's own settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragperso import config
from ragperso.cli.settings_file import with_setting
from ragperso.errors import ConfigError
from tests.cli.conftest import Run


def test_a_setting_is_added_below_its_table_and_everything_else_stays() -> None:
    text = '# mine\n[index]\nlexical = "bm25s"  # fast\n\n[retrieve]\nk = 5\n'
    assert with_setting(text, "index", "embedder", "org/name") == (
        '# mine\n[index]\nlexical = "bm25s"  # fast\nembedder = "org/name"\n\n[retrieve]\nk = 5\n'
    )


def test_a_setting_is_changed_in_its_line_and_keeps_its_comment() -> None:
    text = '[generate]\n  model = "old"  # try others\n'
    assert with_setting(text, "generate", "model", "new") == '[generate]\n  model = "new"  # try others\n'


def test_a_missing_table_is_made() -> None:
    assert with_setting("", "generate", "model", 'a"b') == '[generate]\nmodel = "a\\"b"\n'
    assert with_setting("[index]\n", "generate", "model", "m") == '[index]\n\n[generate]\nmodel = "m"\n'


@pytest.mark.parametrize("text", ['generate.model = "x"\n', '[generate]\nmodel = """\nx"""\n', "[broken\n"])
def test_what_a_line_edit_cannot_change_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        with_setting(text, "generate", "model", "new")


def test_default_writes_the_users_own_file(run: Run, tmp_path: Path) -> None:
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    told = run("models", "default", str(gguf), "--json").json
    assert told["setting"] == "generate.model"
    assert config.load().generate.model == str(gguf)
    assert run("models", "default", "org/nowhere", "--kind", "embedder").code == 5
    assert run("models", "default", "org/nowhere").code == 2


def test_list_shows_size_hash_and_licence(run: Run) -> None:
    told = run("models", "--json")
    if told.code == 3:
        pytest.skip("the starter models are not installed")
    for model in told.json["models"]:
        assert len(model["sha256"]) == 64
        assert model["size_bytes"] > 0
    assert run("models", "list").out.count("sha256 ") == len(told.json["models"])


def test_pull_fetches_nothing_when_the_hub_is_switched_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = run("models", "pull", "org/name")
    assert done.code == 5
    assert "HF_HUB_OFFLINE" in done.err
