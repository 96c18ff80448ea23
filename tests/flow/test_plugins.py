"""A package of somebody else's brings a reader, an embedder and a generator; nothing of ours changes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.errors import ConfigError
from ragperso.ingest import readers, walk
from ragperso.types import IngestReport

# A note in this format is binary: a NUL, then its text backwards.
CODE = """
from ragperso.errors import UnreadableDocument
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import Document

class Mirror:
    def read(self, path, *, key):
        data = path.read_bytes()
        if data == b"\\0?":
            raise UnreadableDocument("its mirror is broken")
        if data == b"\\0!":
            raise LookupError(path)
        yield Document(key, data[:0:-1].decode() + " \\ud800", title="a \\0 title")

class Narrow(HashEmbedder):
    def __init__(self, settings):
        super().__init__(dim=16)
        self.fingerprint_of = settings.embedder

    @property
    def fingerprint(self):
        return f"narrow/{self.fingerprint_of}"

class Shout(EchoGenerator):
    def __init__(self, settings):
        super().__init__(settings.context_tokens)

    @property
    def name(self):
        return "shout"
"""
POINTS = """
[ragperso.readers]
.mirror = mirror_plugin:Mirror
.md = mirror_plugin:Missing

[ragperso.embedders]
narrow = mirror_plugin:Narrow

[ragperso.generators]
shout = mirror_plugin:Shout
"""
SETTINGS = {
    "index.embedder_backend": "narrow",
    "index.embedder": "any",
    "generate.backend": "shout",
    "generate.context_tokens": 2048,
    "retrieve.min_relevance": 0.05,
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that installs the package as pip would: a module and its metadata on sys.path."""

    def forget() -> None:
        readers._plugin_suffixes.cache_clear()
        readers._plugin.cache_clear()
        sys.modules.pop("mirror_plugin", None)
        importlib.invalidate_caches()  # an import before the folder was made remembers that it is not there

    def write(code: str) -> None:
        site = tmp_path / "site"
        info = site / "mirror_plugin-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (site / "mirror_plugin.py").write_text(code)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mirror-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(POINTS)
        forget()

    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a second version within a second is seen
    yield write
    forget()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "bank.MIRROR").write_bytes(
        b"\0" + b"I left Holm Bank for Elster Bank because of the fees."[::-1]
    )
    (folder / "plain.md").write_text("# Plain\n\nRead by our own reader.\n")
    (folder / "picture.png").write_bytes(b"\0")
    return folder


def skipped(report: IngestReport) -> dict[str, str]:
    return {Path(item.path).name: item.reason for item in report.skipped}


def test_a_package_brings_one_of_each_and_the_settings_choose_them(
    install: Callable[[str], None], tmp_path: Path, notes: Path
) -> None:
    install(CODE)
    with Engine(tmp_path / "home", config=Config().replace(SETTINGS)) as engine:
        session = engine.session("ana")
        report = session.add([notes])
        answer = session.ask("Which bank did I leave, and why?")
        assert (report.added, report.skipped) == (2, ())
        assert answer.answer == "I left Holm Bank for Elster Bank because of the fees."
        assert [Path(cited.document).name for cited in answer.citations] == ["bank.MIRROR"]
        assert (answer.model, engine.generator.context_tokens) == ("shout", 2048)
        assert (engine.embedder.dim, engine.embedder.fingerprint) == (16, "narrow/any")
        assert session.search("Holm Bank")[0].chunk.title == "a \ufffd title"


def test_without_the_package_its_names_and_files_are_unknown(tmp_path: Path, notes: Path) -> None:
    with Engine(tmp_path / "home", config=Config().replace(SETTINGS)) as engine:
        with pytest.raises(ConfigError, match="no embedder backend named 'narrow'") as caught:
            _ = engine.embedder
        assert caught.value.hint == "choose one of: sentence-transformers, hash"
        with pytest.raises(ConfigError, match="no generator backend named 'shout'"):
            _ = engine.generator
    found = walk.walk([notes], max_file_bytes=1000)
    assert [Path(item.path).name for item in found] == ["plain.md"]


def test_a_reader_is_imported_only_for_a_file_of_its_own(install: Callable[[str], None], notes: Path) -> None:
    install(CODE)
    list(readers.read(notes / "plain.md", key="plain.md"))
    assert readers.is_known("bank.mirror")
    assert "mirror_plugin" not in sys.modules
    list(readers.read(notes / "bank.MIRROR", key="bank.MIRROR"))
    assert "mirror_plugin" in sys.modules


def test_what_a_reader_refuses_or_breaks_on_is_skipped_with_a_reason(
    install: Callable[[str], None], tmp_path: Path, notes: Path
) -> None:
    install(CODE)
    (notes / "refused.mirror").write_bytes(b"\0?")
    (notes / "bug.mirror").write_bytes(b"\0!")
    (notes / "long.mirror").write_bytes(b"\0" + 200 * b"x")
    settings = {**SETTINGS, "ingest.max_text_chars": 100}
    with Engine(tmp_path / "home", config=Config().replace(settings)) as engine:
        report = engine.session("ana").add([notes])
    assert report.added == 2
    assert skipped(report) == {
        "refused.mirror": "its mirror is broken",
        "bug.mirror": "damaged (LookupError)",
        "long.mirror": "more than 100 characters (ingest.max_text_chars)",
    }


def test_a_reader_that_cannot_be_imported_costs_its_files_until_it_is_mended(
    install: Callable[[str], None], tmp_path: Path, notes: Path
) -> None:
    with Engine(
        tmp_path / "home", config=Config().replace({**SETTINGS, "index.embedder_backend": "hash"})
    ) as engine:
        session = engine.session("ana")
        install("raise RuntimeError('boom')")
        report = session.add([notes])
        assert report.added == 1
        assert "cannot be loaded: RuntimeError" in skipped(report)["bank.MIRROR"]
        install(CODE)
        report = session.add([notes])
        assert (report.added, report.unchanged, report.skipped) == (1, 1, ())
