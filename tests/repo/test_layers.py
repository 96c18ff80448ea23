"""Arrows point down only: surfaces -> engine -> stages -> ground -> words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ragperso"

WORDS = {
    "types",
    "protocols",
    "errors",
    "config",
    "layout",
    "metrics",
    "segment",
    "tokens",
    "statements",
    "questions",
    "dates",
    "claims",
    "registers",
}
GROUND = {"workspace", "store", "migrations", "files", "backends", "models", "preset"}
STAGES = {"ingest", "index", "retrieve", "assemble", "generate", "record", "learn", "privacy"}
SURFACES = {"cli", "evaluate", "shapes", "health", "samples", "testing", "__init__", "__main__"}


def layer(module: str) -> int:
    if module in WORDS:
        return 0
    if module in GROUND:
        return 1
    if module in STAGES:
        return 2
    if module == "engine":
        return 3
    assert module in SURFACES, f"{module} has no layer: add it to this test"
    return 4


def imports(path: Path) -> list[tuple[int, str]]:
    """Return (line, top module below ragperso) of every import, also inside functions."""
    found = []
    checking = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            checking.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in checking:
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            parts = node.module.split(".")
            if parts == ["ragperso"]:
                found += [(node.lineno, alias.name) for alias in node.names]
            elif parts[0] == "ragperso":
                found.append((node.lineno, parts[1]))
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append((node.lineno, "(relative)"))
        elif isinstance(node, ast.Import):
            found += [
                (node.lineno, alias.name.split(".")[1] if "." in alias.name else "(root)")
                for alias in node.names
                if alias.name.split(".")[0] == "ragperso"
            ]
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for line, target in imports(path):
        if target == "__version__":
            continue
        arrow = f"{path.relative_to(PACKAGE)}:{line}: {own} -> {target}"
        assert target not in ("(relative)", "(root)"), f"{arrow}: import the module by its full name"
        if target == own:
            continue
        assert layer(target) <= layer(own), f"{arrow} points up"
        if layer(own) == layer(target) == 2:
            pytest.fail(f"{arrow}: stages are strangers to each other")


def test_every_module_opens_with_a_docstring() -> None:
    missing = [p.name for p in FILES if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert missing == []
