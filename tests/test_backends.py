"""ragperso.backends: every name leads to a class; what is missing is named with its remedy."""

from __future__ import annotations

import sys
import typing
from pathlib import Path

import pytest

from ragperso import backends, config
from ragperso.errors import ConfigError, MissingExtra
from ragperso.index.lexical import Bm25sIndex
from ragperso.testing import HashEmbedder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path, where a test can install a distribution."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, code: str, entry_points: str = "") -> None:
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_names_lead_to_classes() -> None:
    assert backends.load("lexical", "bm25s") is Bm25sIndex
    assert backends.load("embedder", "hash") is HashEmbedder


def test_every_choice_and_default_of_the_settings_is_a_backend() -> None:
    lexical = typing.get_type_hints(config.Index)["lexical"]
    assert set(typing.get_args(lexical)) == set(backends.names("lexical"))
    assert config.Index().embedder_backend in backends.names("embedder")
    assert config.Generate().backend in backends.names("generator")


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ConfigError, match="no lexical backend named 'lucene'") as caught:
        backends.load("lexical", "lucene")
    assert caught.value.hint == "choose one of: bm25s, rank-bm25"


def test_a_plugin_is_found_by_its_entry_point(site: Path) -> None:
    points = "[ragperso.embedders]\nmine = my_plugin:Mine\n"
    install(site, "my_plugin", "class Mine: pass", points)
    assert backends.load("embedder", "mine").__name__ == "Mine"
    assert backends.names("embedder")[-1] == "mine"
    assert "mine" not in backends.names("generator")


def test_a_plugin_cannot_replace_a_built_in_name(site: Path) -> None:
    install(site, "shadow", "class Shadow: pass", "[ragperso.embedders]\nhash = shadow:Shadow\n")
    assert backends.load("embedder", "hash") is HashEmbedder
    assert backends.names("embedder").count("hash") == 1


@pytest.mark.parametrize("code", ["raise RuntimeError('boom')", "import does_not_exist", "Other = 1"])
def test_a_broken_plugin_is_named(site: Path, code: str) -> None:
    install(site, "broken_plugin", code, "[ragperso.generators]\nbroken = broken_plugin:Mine\n")
    sys.modules.pop("broken_plugin", None)
    with pytest.raises(ConfigError, match="'broken'"):
        backends.load("generator", "broken")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "llama_cpp":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "llama_cpp", raising=False)
    with pytest.raises(MissingExtra) as caught:
        backends.require("llama_cpp")
    assert caught.value.package == "llama_cpp"
    assert caught.value.hint == "pip install 'ragperso[llama]'"
    assert isinstance(caught.value, ImportError)


def test_a_package_that_needs_a_missing_one_names_the_missing_one(site: Path) -> None:
    install(site, "needs_more", "import does_not_exist.deeper")
    with pytest.raises(MissingExtra, match="'does_not_exist'"):
        backends.require("needs_more")


def test_a_broken_native_package_is_told_from_a_missing_one(site: Path) -> None:
    install(site, "broken_native", "raise ImportError('libfoo.so: cannot open shared object file')")
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        backends.require("broken_native")
    assert not isinstance(caught.value, MissingExtra)


def test_a_bug_of_our_own_is_not_reported_as_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        backends.require("ragperso.no_such_module")
    assert not isinstance(caught.value, MissingExtra)
