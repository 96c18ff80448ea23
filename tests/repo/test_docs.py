"""What the documentation says is what the program does: commands, settings, examples, links, errors."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ragperso import config, errors
from ragperso.cli import cli
from ragperso.cli.eval import Evaluations, of_folder
from ragperso.config import Config
from ragperso.engine import Session
from ragperso.store import TABLES, Store

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "ragperso.toml.example"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTING_LINE = re.compile(r"# [a-z0-9_]+ = ")


def of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page_name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(of(path)) if name == language]


# ---------------------------------------------------------------- generated pages


def test_generated_pages_are_up_to_date() -> None:
    """``make docs`` would change nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "docs/cli.md", "docs/config.md"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run `make docs`\n{done.stdout}{done.stderr}"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield ("ragperso models pull", its command) for everything that can be typed."""

    def below(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=path)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None, f"{path} {name} is listed and does not exist"
                yield from below(child, f"{path} {name}")

    yield from below(cli, "ragperso")


COMMANDS = dict(commands())


def params_of(command: click.Command) -> list[click.Parameter]:
    """Return what a command takes; behind the group ``eval`` stands the command ``eval DIR``."""
    return [*command.params, *(of_folder.params if isinstance(command, Evaluations) else ())]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_and_stands_in_the_docs(path: str) -> None:
    command = COMMANDS[path]
    assert (command.help or "").strip(), f"{path} has no help text"
    page = of(REPOSITORY / "docs" / "cli.md")
    assert f"Usage: {path}" in page
    for param in params_of(command):
        if isinstance(param, click.Option):
            assert param.help, f"{path} {param.opts[0]} has no help text"
            assert any(name in page for name in param.opts)


# ---------------------------------------------------------------- settings


def uncommented() -> str:
    """Return the example with each setting's own comment mark taken away."""
    lines = of(EXAMPLE).splitlines()
    return "\n".join(line[2:] if SETTING_LINE.match(line) else line for line in lines)


def flat(data: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, table in data.items() for key, value in table.items()}


def test_the_example_as_it_is_changes_nothing(tmp_path: Path) -> None:
    assert config.load(environ={}, project=EXAMPLE, user=tmp_path / "none.toml") == Config()


def test_the_example_uncommented_holds_every_key_with_its_default(tmp_path: Path) -> None:
    shown = flat(tomllib.loads(uncommented()))
    assert list(shown) == list(config.keys())
    assert shown == config.keys()
    path = tmp_path / "ragperso.toml"
    path.write_text(uncommented(), encoding="utf-8")
    assert config.load(environ={}, project=path, user=tmp_path / "none.toml") == Config()


def comments_in_config() -> dict[str, str]:
    """Return ``{"section.key": comment}`` for the settings that have one in ``config.py``."""
    found = {}
    for section in dataclasses.fields(Config):
        source = inspect.getsource(type(getattr(Config(), section.name)))
        for key, comment in re.findall(r"^    (\w+): .*?  # (.+)$", source, re.MULTILINE):
            found[f"{section.name}.{key}"] = comment
    return found


def test_the_example_explains_each_key_as_config_py_does() -> None:
    meanings: dict[str, str] = {}
    section, words = "", ""
    for line in of(EXAMPLE).splitlines():
        if line.startswith("["):
            section, words = line.strip("[]"), ""
        elif SETTING_LINE.match(line):
            meanings[f"{section}.{line[2:].partition(' ')[0]}"] = words.strip()
            words = ""
        elif line.startswith("# "):
            words += f" {line[2:]}"
    assert [key for key in config.keys() if not meanings.get(key)] == []  # noqa: SIM118  a function, not a dict
    comments = comments_in_config()
    assert len(comments) > 20  # the pattern above still finds them
    assert {key: text for key, text in comments.items() if text not in meanings[key]} == {}


def test_every_setting_and_its_variable_stand_in_the_docs() -> None:
    page = of(REPOSITORY / "docs" / "config.md")
    for path in config.keys():  # noqa: SIM118  a function, not a dict
        section, _, key = path.partition(".")
        row = f"| `RAGPERSO_{section}_{key}` |".upper()
        assert any(line.startswith(f"| `{key}` |") and line.endswith(row) for line in page.splitlines()), path


# ---------------------------------------------------------------- README


def typed_commands() -> list[tuple[str, str]]:
    """Return (page, command line) for each ``ragperso ...`` in shell blocks, sessions and inline code."""
    found = []
    for path in PAGES:
        lines = [
            line
            for language in ("sh", "console")
            for body in blocks(path, language)
            for line in body.splitlines()
        ]
        prose = FENCE.sub("", of(path))
        lines += re.findall(r"`((?:\$ )?ragperso [^`]+)`", prose)
        found += [
            (page_name(path), line.removeprefix("$ "))
            for line in lines
            if line.removeprefix("$ ").startswith("ragperso ")
        ]
    return found


@pytest.mark.parametrize(("page", "line"), typed_commands())
def test_commands_named_in_the_docs_exist(page: str, line: str) -> None:
    """Options are checked too; what is quoted is the person's own text."""
    words = re.sub(r"\"[^\"]*\"|'[^']*'", "TEXT", line.partition("#")[0]).split()[1:]
    path, options = "ragperso", {name for p in cli.params for name in p.opts}
    while words and not words[0].startswith("-") and f"{path} {words[0]}" in COMMANDS:
        path = f"{path} {words.pop(0)}"
        options |= {name for p in params_of(COMMANDS[path]) for name in (*p.opts, *p.secondary_opts)}
    if words and not words[0].startswith("-") and not path.count(" "):
        pytest.fail(f"{page}: there is no command {words[0]!r}: {line}")
    for word in words:
        if word.startswith("-") and word not in ("-", "--help", "-h"):
            assert word.partition("=")[0] in options, f"{page}: {path} has no option {word}"


def test_make_targets_named_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", of(REPOSITORY / "Makefile"), re.MULTILINE))
    for path in PAGES:
        named = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", of(path), re.MULTILINE))
        assert {one or other for one, other in named} <= targets, page_name(path)


def test_the_python_example_runs(tmp_path: Path) -> None:
    """As it stands in the README; the environment chooses doubles for the two models."""
    (example,) = blocks(REPOSITORY / "README.md", "python")
    environment = {
        **os.environ,
        "RAGPERSO_INDEX_EMBEDDER_BACKEND": "hash",
        "RAGPERSO_GENERATE_BACKEND": "extractive",
        "RAGPERSO_RETRIEVE_MIN_RELEVANCE": "0.2",  # the default is calibrated for a real embedder
    }
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "1 added"
    assert lines[1] == "I drink my coffee black, from a moka pot."
    assert lines[2].startswith("[1] notes/coffee.md:")


def test_python_blocks_elsewhere_are_python() -> None:
    for path in PAGES:
        for body in blocks(path, "python"):
            ast.parse(body)


# ---------------------------------------------------------------- links and names


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", of(path))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{page_name(path)} links to {target}"
        assert file.is_relative_to(REPOSITORY), f"{page_name(path)} links out of the repository: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page_name(path)} links to {target}"


# Absolute paths of a developer's machine.  Written so that this line is none itself.
MACHINE_PATH = re.compile(r"(?<![\w.~:/])/(?:home|Users|root|work|builds|workspace|mnt|tmp)/[\w.]")


@pytest.mark.parametrize("path", [*PAGES, EXAMPLE, REPOSITORY / "Makefile"], ids=page_name)
def test_no_path_of_the_machine_it_was_written_on(path: Path) -> None:
    assert MACHINE_PATH.findall(of(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_nothing_is_left_to_do(path: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|XXX|TBD)\b", of(path)) == []


def test_every_table_and_column_stands_in_the_docs(tmp_path: Path) -> None:
    page = of(REPOSITORY / "docs" / "data-on-disk.md")
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}
    store = Store(tmp_path / "store.db")
    try:
        for table in set(TABLES) - {"sqlite_sequence"}:
            named = re.findall(r"`(\w+)`", rows[table])
            assert [column for column in store.columns(table) if column not in named] == [], table
    finally:
        store.close()


def test_every_function_of_the_life_of_a_question_exists() -> None:
    """``retrieve.search.search`` is a module of the package and a name in it; ``_record`` is a session's."""
    page = of(REPOSITORY / "docs" / "architecture.md")
    steps = page.partition("## The life of one question")[2].partition("\n## ")[0]
    stages = {"retrieve", "assemble", "generate", "record"}
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", steps)
    dotted = [name for name in named if name.split(".")[0] in stages]
    assert len(dotted) > 5
    for name in dotted:
        module, _, attribute = name.rpartition(".")
        if (REPOSITORY / "ragperso" / f"{module.replace('.', '/')}.py").exists():
            assert hasattr(importlib.import_module(f"ragperso.{module}"), attribute), name
        else:
            assert name in config.keys(), name  # noqa: SIM118  a function, not a dict
    for name in re.findall(r"`(_[a-z_]+)`", steps):
        assert hasattr(Session, name), name


def test_every_error_stands_in_the_tree_at_its_place() -> None:
    """The tree in the docstring of ``errors.py`` names each class below its base, and no other."""
    drawn: dict[str, str] = {}
    line_of_descent: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:\|   |    )*)(?:(?:\|--|`--) )?([A-Z]\w+)", line)
        if not match or not re.search(r"Error\(|--", line):
            continue
        depth = 0 if "--" not in line else 1 + len(match[1]) // 4
        name = match[2]
        line_of_descent[depth:] = [name]
        drawn[name] = line_of_descent[depth - 1] if depth else "Exception"
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }
    assert drawn == real
