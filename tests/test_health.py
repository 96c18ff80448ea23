"""Doctor finds each kind of damage, names the command that mends it, and mends only what is safe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso import health
from ragperso.config import Config
from ragperso.engine import Session

CONFIG = {"index.embedder_backend": "hash", "generate.backend": "extractive"}


@pytest.fixture
def config(ana: Session, ben: Session) -> Config:
    """The settings of a home in which ana and ben live, with all files closed."""
    home = ana.workspace.home
    ana.close()
    ben.close()
    return Config().replace({**CONFIG, "general.home": str(home)})


def problems(config: Config, **kwargs: str) -> list[health.Finding]:
    return [found for found in health.examine(config, **kwargs) if found.level == "problem"]


def person(config: Config, user: str) -> Path:
    return Path(config.general.home) / user


def mended(config: Config) -> list[health.Finding]:
    """Return the problems that are left after mending."""
    health.mend(config, health.examine(config))
    return problems(config)


def test_a_sound_home_has_no_problem_and_is_not_changed_by_looking(config: Config) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(config.general.home).rglob("*.index.json")}
    assert before
    assert problems(config) == []
    assert {p: p.stat().st_mtime_ns for p in before} == before
    areas = [found.area for found in health.examine(config)]
    assert {"python", "config", "models", "home", "ana", "ben"} <= set(areas)


def test_every_problem_names_a_command(config: Config) -> None:
    (person(config, "ana") / ".x.tmp").write_text("rest")
    (Path(config.general.home) / ".erased-00").mkdir()
    found = problems(config)
    assert len(found) == 2
    assert all(problem.hint for problem in found)


def test_a_damaged_index_is_found_and_rebuilt(config: Config) -> None:
    (file,) = person(config, "ana").glob("documents.*-????????.bm25")
    file.write_bytes(b"garbage")
    (found,) = problems(config)
    assert (found.area, found.repair) == ("ana", "index")
    assert mended(config) == []


def test_leftovers_and_half_erased_folders_are_found_and_removed(config: Config) -> None:
    rest = person(config, "ben") / ".store.db.abcd.tmp"
    rest.write_text("half a file")
    doomed = Path(config.general.home) / ".erased-0123"
    doomed.mkdir()
    (doomed / "store.db").write_text("words of someone")
    assert {found.repair for found in problems(config)} == {"leftovers", "sweep"}
    assert mended(config) == []
    assert not rest.exists()
    assert not doomed.exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_folder_that_others_can_read_is_found_and_closed(config: Config) -> None:
    person(config, "ana").chmod(0o755)
    (found,) = problems(config)
    assert (found.area, found.repair) == ("ana", "permissions")
    assert mended(config) == []
    assert person(config, "ana").stat().st_mode & 0o077 == 0


def test_a_damaged_store_is_named_and_left_alone(config: Config) -> None:
    store = person(config, "ana") / "store.db"
    store.write_bytes(b"not a database" * 100)
    found = problems(config)
    assert [problem.area for problem in found] == ["ana"]
    assert mended(config)[0].area == "ana"
    assert store.read_bytes() == b"not a database" * 100


def test_a_changed_audit_line_is_found(config: Config, ana: Session) -> None:
    import sqlite3

    with sqlite3.connect(person(config, "ana") / "store.db") as db:
        db.execute("UPDATE audit SET detail = '{}' WHERE seq = 1")
    db.close()
    assert ["chain" in found.message for found in problems(config)] == [True]


def test_vectors_of_another_embedder_are_found(config: Config, ana: Session) -> None:
    ana.store.activate_embedder(ana.store.embedder_id("other/1", name="other", dim=64), ("documents",))
    ana.close()
    hints = [found.hint for found in problems(config) if found.area == "ana"]
    assert any(hint.startswith("ragperso reindex") for hint in hints)


def test_only_the_named_person_is_looked_at(config: Config) -> None:
    (person(config, "ana") / ".x.tmp").write_text("rest")
    assert problems(config, user="ben") == []
    assert [found.area for found in problems(config, user="ana")] == ["ana"]
    (found,) = problems(config, user="nobody")
    assert "no person" in found.message


def test_a_missing_model_is_a_problem_with_its_command(config: Config) -> None:
    wrong = config.replace({"index.embedder_backend": "sentence-transformers", "index.embedder": "org/none"})
    found = [problem for problem in problems(wrong) if problem.area == "models"]
    assert [problem.hint for problem in found] == ["ragperso models pull org/none"]


@pytest.mark.parametrize("key", ["index.embedder_backend", "generate.backend"])
def test_a_backend_that_nothing_provides_is_a_problem_that_lists_the_others(config: Config, key: str) -> None:
    found = [problem for problem in problems(config.replace({key: "nosuch"})) if problem.area == "models"]
    assert ["'nosuch'" in problem.message for problem in found] == [True]
    assert found[0].hint.startswith("choose one of: ")


def test_an_invalid_settings_file_is_told_and_the_rest_still_examined(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ragperso.toml").write_text("[retrieve]\nkk = 3\n", encoding="utf-8")
    found = health.examine()
    assert [f.area for f in found if f.level == "problem" and "retrieve.kk" in f.message] == ["config"]
    assert any(f.area == "home" for f in found)


def test_doctor_prints_findings_and_exits_1_while_there_are_problems(
    config: Config, make_engine: Callable[..., object]
) -> None:
    from click.testing import CliRunner

    from ragperso.cli import cli

    flags = ["--home", config.general.home] + [w for k, v in CONFIG.items() for w in ("-c", f"{k}={v}")]
    assert CliRunner().invoke(cli, [*flags, "doctor"]).stdout.endswith("all is well\n")
    (person(config, "ana") / ".x.tmp").write_text("rest")
    sick = CliRunner().invoke(cli, [*flags, "doctor", "--json"])
    assert sick.exit_code == 1
    assert '"repair": "leftovers"' in sick.stdout
    assert CliRunner().invoke(cli, [*flags, "doctor", "--fix"]).exit_code == 0
