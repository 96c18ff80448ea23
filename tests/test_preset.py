"""Presets as data: found by name or path, checked whole, filled once; what one may not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragperso import preset
from ragperso.config import Config
from ragperso.errors import ConfigError
from ragperso.types import Fact


def write(folder: Path, text: str, **files: str) -> str:
    """Make a preset of ``preset.toml`` and further files; return its name for ``load``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preset.toml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return str(folder)


# ---------------------------------------------------------------- those of the package


def test_the_presets_of_the_package() -> None:
    assert preset.names() == ["domain-writer", "notes", "support-desk", "tutor"]


@pytest.mark.parametrize("name", preset.names())
def test_a_preset_of_the_package_is_small_and_brings_a_sample(name: str) -> None:
    found = preset.load(name)
    assert found.name == name
    assert 20 < len(found.description) < 90  # one line of the list
    # A small model gets worse with a long system text: at most 60 words, 40 in the longest so far.
    assert len(found.ask.split()) <= 60
    assert len(found.write.split()) <= 60
    sample = preset.sample(found)
    assert sample is not None
    assert sample.question.endswith("?")
    assert sample.request
    assert all(path.exists() for path in (*sample.documents, *sample.history, *sample.exemplars))


def test_the_notes_share_the_files_of_the_demo() -> None:
    sample = preset.sample(preset.load("notes"))
    assert sample is not None
    assert sample.folder.parts[-3:] == ("samples", "people", "ana")


# ---------------------------------------------------------------- finding


def test_a_path_names_a_preset_of_ones_own(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", 'description = "one  line"\n[ask]\ntext = "Hello."\n')
    for name in (folder, f"{folder}/preset.toml"):
        found = preset.load(name)
        assert (found.name, found.description, found.ask, found.write) == ("mine", "one line", "Hello.", "")


def test_a_shipped_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tutor", "")
    monkeypatch.chdir(tmp_path)
    assert preset.load("tutor").path == preset.SHIPPED / "tutor"
    assert preset.load("./tutor").path.resolve() == tmp_path / "tutor"


@pytest.mark.parametrize("name", ["tuter", "no/such/folder", "x" * 5_000, "nul\0l", "", "..", "\ud800"])
def test_an_unknown_name_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(ConfigError) as told:
        preset.load(name)
    assert told.value.hint
    assert len(told.value.message) < 300


def test_a_typo_is_answered_with_the_name_that_was_meant() -> None:
    with pytest.raises(ConfigError) as told:
        preset.load("suport-desk")
    assert told.value.hint == "did you mean 'support-desk'?"


# ---------------------------------------------------------------- settings


def test_settings_are_those_of_ragperso_toml(tmp_path: Path) -> None:
    name = write(tmp_path, "[settings.retrieve]\nk = 4\nmin_relevance = 0\n[settings.learn]\nmine = false\n")
    assert preset.settings(name) == {"retrieve.k": 4, "retrieve.min_relevance": 0, "learn.mine": False}
    config = Config().replace(preset.settings(name))
    assert (config.retrieve.k, config.retrieve.min_relevance, config.learn.mine) == (4, 0.0, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[settings.retrieve]\nkk = 4\n", "unknown setting 'retrieve.kk'"),
        ("[settings.nothing]\nk = 4\n", "unknown setting 'nothing'"),
        ("[settings.retrieve]\nk = 0\n", "retrieve.k must be above 0"),
        ("[settings.retrieve]\nk = true\n", "retrieve.k must be a whole number"),
        ('[settings.retrieve]\nk = "4"\n', "no text is wanted here"),
        ("[settings]\nk = 4\n", "wants a table"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_path(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"preset\.toml") as error:
        preset.load(write(tmp_path, text))
    assert told in error.value.message


@pytest.mark.parametrize(
    "setting",
    [
        "privacy.allow_remote = true",
        "general.home = '/'",
        "general.preset = 'tutor'",
        "generate.url = 'http://x'",
        "generate.model = 'm.gguf'",
        "generate.lora = 'a'",
        "index.embedder = 'm'",
        "retrieve.reranker = 'm'",
        "retrieve.weights = 'w.toml'",
        "ingest.follow_hidden = true",
    ],
)
def test_a_preset_moves_no_data_and_chooses_no_model(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"a preset may not set {setting.split()[0]}"):
        preset.load(write(tmp_path, f"settings.{setting}\n"))


# ---------------------------------------------------------------- blocks


def test_a_block_says_where_it_comes_from_and_how_much(tmp_path: Path) -> None:
    text = """
        [blocks.glossary]
        title = "Glossary"
        text = "Own: words."
        file = ["terms.md"]
        documents = "kind:glossary"
        facts = ["slot:level", "kind:plan"]
        exchanges = ["edited", "bad"]
        pick = "fitting"
        max_tokens = 50
        max_entries = 3
        tasks = ["write"]
    """
    (block,) = preset.load(write(tmp_path, text, terms_md="\ufeffPatina: age.\n")).blocks
    assert block == preset.Block(
        name="glossary",
        title="Glossary",
        text="Own: words.\n\nPatina: age.",
        documents=(("kind", "glossary"),),
        facts=(("slot", "level"), ("kind", "plan")),
        exchanges=("edited", "bad"),
        max_tokens=50,
        max_entries=3,
        pick="fitting",
        tasks=("write",),
    )
    assert preset.load(str(tmp_path)).blocks_of("ask") == ()
    assert "words" not in repr(block)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "it needs text, file, documents, facts or exchanges"),
        ("facts = ['level']", "is not one of slot:..., kind:..., says:..."),
        ("facts = ['kind:wish']", "'wish' is not one of"),
        ("documents = ['glossary']", "is not key:value"),
        ("exchanges = ['followed']", "is not one of good, bad, edited"),
        ("text = 'a'\nmax_tokens = 0", "wants a whole number from 1 to 2000"),
        ("text = 'a'\nmax_tokens = true", "wants a whole number"),
        ("text = 'a'\npick = 'best'", "is not one of first, fitting"),
        ("text = 'a'\ntasks = ['chat']", "is not one of ask, write"),
        ("text = 3", "wants text in quotes"),
        ("text = 'a'\nmax_token = 3", "unknown key"),
    ],
)
def test_a_wrong_block_is_refused_by_its_key(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"\[blocks\.b\]") as error:
        preset.load(write(tmp_path, f"[blocks.b]\n{line}\n"))
    assert told in error.value.message


def test_an_unknown_key_is_answered_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        preset.load(write(tmp_path, "[blocks.b]\ntext = 'a'\nmax_tokns = 3\n"))
    assert told.value.hint == "did you mean 'max_tokens'?"


@pytest.mark.parametrize("name", ["profile", "blocks", "A", "'two words'", "'1'"])
def test_a_block_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot have one called"):
        preset.load(write(tmp_path, f"[blocks.{name}]\ntext = 'a'\n"))


def test_which_facts_a_block_means() -> None:
    level = Fact(1, "My Spanish level is A2.", slot="my spanish level")
    pace = Fact(2, "I go slowly, one rule a day.")
    plan = Fact(3, "I will sit the exam in June.", kind="plan")
    others = Fact(4, "Jo's level is C1.", subject="Jo", slot="level")

    def meant(*wanted: tuple[str, str]) -> list[int]:
        return [fact.id for fact in (level, pace, plan, others) if preset.is_meant(fact, wanted)]

    assert meant(("slot", "*level*")) == [1]
    assert meant(("slot", "level")) == []
    assert meant(("says", "Slowly")) == [2]
    assert meant(("says", "slow")) == []  # a word, not a part of one
    assert meant(("kind", "plan"), ("says", "level")) == [1, 3]
    assert meant(("slot", "*")) == [1]  # an empty slot is no slot


# ---------------------------------------------------------------- templates


def test_a_value_is_put_in_once_and_never_read_as_a_template() -> None:
    values = {"name": "{facts} {{name}} \\1 $name", "facts": "SECRET"}
    assert preset.fill("For {name}.", values) == "For {facts} {{name}} \\1 $name."


def test_doubled_braces_are_text_and_other_braces_stay() -> None:
    assert preset.fill('{{name}} is {name}: {"a": {}} {1} { name }', {"name": "Ana"}) == (
        '{name} is Ana: {"a": {}} {1} { name }'
    )
    assert preset.placed("{{name}} {facts} { blocks }") == {"facts"}


def test_a_line_without_any_of_its_values_is_left_out() -> None:
    template = "You teach.\n\nLevel: {level}\n\n{name}, {pace}\nOne step."
    assert preset.fill(template, {"pace": "slow"}) == "You teach.\n\n, slow\nOne step."
    assert preset.fill(template, {}) == "You teach.\n\nOne step."


def test_an_unknown_placeholder_is_refused_with_its_file(tmp_path: Path) -> None:
    text = "[ask]\nfile = 'ask.txt'\n[blocks.level]\ntext = 'A2'\n"
    with pytest.raises(ConfigError, match=r"ask\.txt: unknown placeholder {levle}") as told:
        preset.load(write(tmp_path, text, ask_txt="Level {level}, {levle}"))
    assert told.value.hint == "did you mean {level}?"
    with pytest.raises(ConfigError, match=r"preset\.toml \[write\]: unknown placeholder {Name}"):
        preset.load(write(tmp_path, "[write]\ntext = '{Name}'\n"))


def test_text_or_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not both"):
        preset.load(write(tmp_path, "[ask]\ntext = 'a'\nfile = 'ask.txt'\n", ask_txt="b"))


# ---------------------------------------------------------------- hostile folders


@pytest.mark.parametrize("file", ["../secret.txt", "/etc/hostname", "gone.txt", "x" * 5_000, "a\\u0000b"])
def test_a_preset_reads_its_own_files_only(tmp_path: Path, file: str) -> None:
    (tmp_path / "secret.txt").write_text("SECRET", encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        preset.load(write(tmp_path / "p", f'[ask]\nfile = "{file}"\n'))
    assert "SECRET" not in told.value.message


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET", encoding="utf-8")
    name = write(tmp_path / "p", "[blocks.b]\nfile = 'b.txt'\n")
    (tmp_path / "p" / "b.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ConfigError, match="lies outside"):
        preset.load(name)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"[ask",
        b"a = " + b"[" * 20_000,
        b"x = 1\n",
        b"name = 1\n",
        b"ask = 'text'\n",
        b"blocks = []\n",
        b"#" * (preset.MAX_FILE_BYTES + 1),
    ],
    ids=["utf-16", "toml", "nested", "key", "type", "table", "list", "large"],
)
def test_a_broken_preset_is_a_config_error_that_names_the_file(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "preset.toml").write_bytes(raw)
    with pytest.raises(ConfigError, match=r"preset\.toml"):
        preset.load(str(tmp_path))


def test_hostile_templates_are_filled() -> None:
    """Quadratic work would run into the time limit of the suite."""
    template = "{" * 100_000 + "{name}" + "{a" * 50_000
    assert len(preset.fill(template, {"name": "x" * 300_000})) == 100_000 + 300_000 + 100_000


# ---------------------------------------------------------------- copying


def test_a_copy_is_a_preset_of_ones_own(tmp_path: Path) -> None:
    made = preset.copy("tutor", tmp_path / "mine")
    assert made.path == tmp_path / "mine"
    (tmp_path / "mine" / "ask.txt").write_text("Ask back. {level}", encoding="utf-8")
    changed = preset.load(str(tmp_path / "mine"))
    assert changed.ask == "Ask back. {level}"
    assert changed.blocks == preset.load("tutor").blocks
    assert preset.sample(changed) is not None
    with pytest.raises(ConfigError, match="is there already"):
        preset.copy("tutor", tmp_path / "mine")
