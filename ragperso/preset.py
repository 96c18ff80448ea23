"""Ground: a preset, which is one kind of use as data: settings, two system texts, blocks of knowledge.

A preset is a folder with a ``preset.toml``.  Those of this package lie in ``ragperso/presets/``; a person's
own lie anywhere and are named by their path.  Nothing of a preset is run: its texts are filled in once, by
name, and it can neither move data nor choose a model.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from ragperso import config
from ragperso.errors import ConfigError
from ragperso.registers import REGISTERS
from ragperso.types import Fact, StatementKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME: Final = "preset.toml"
SHIPPED: Final = Path(__file__).with_name("presets")
SAMPLE: Final = Path("sample") / "sample.toml"
_PEOPLE: Final = Path(__file__).with_name("samples") / "people"

MAX_FILE_BYTES: Final = 256_000  # of each file of a preset; a prompt holds a hundredth of it
DEFAULT_TOKENS: Final = 100  # of a block
MAX_TOKENS: Final = 2_000  # a block as long as that belongs among the documents

Task = Literal["ask", "write"]
Pick = Literal["first", "fitting"]
Mark = Literal["good", "bad", "edited"]
MARKS: Final[tuple[Mark, ...]] = get_args(Mark)
TASKS: Final[tuple[Task, ...]] = get_args(Task)
FIELDS: Final = (
    "name",
    "profile",
    "style",
    "facts",
    "blocks",
)  # what a template may place beside single blocks

# What a preset may set: how to search, assemble, write, record and learn.  Not where data lie, which model
# runs or whether text may leave the machine: a preset may come from a stranger.
_SECTIONS: Final = ("retrieve", "assemble", "generate", "record", "learn")
_WITHHELD: Final = frozenset(
    (
        "retrieve.weights", "retrieve.reranker", "generate.backend", "generate.model",
        "generate.context_tokens", "generate.threads", "generate.gpu_layers", "generate.flash_attention",
        "generate.lora", "generate.lora_scale", "generate.url", "generate.api_key", "generate.timeout_s",
    )
)  # fmt: skip

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PLACE: Final = re.compile(r"\{\{([A-Za-z][\w-]{0,39})\}\}|\{([A-Za-z][\w-]{0,39})\}")
_FACT_KEYS: Final = ("slot", "kind", "says")


@dataclass(frozen=True, slots=True)
class Block:
    """Named knowledge for the system message: where it comes from, and how much of it.

    ``documents`` are (metadata key, value) of the person's own documents; ``facts`` are (slot|kind|says,
    value) of statements about the person; ``exchanges`` are the marks of past exchanges.  With ``fitting``
    only those entries are shown whose term the request names.
    """

    name: str
    title: str = ""
    text: str = field(default="", repr=False)  # the preset's own, with that of its files
    documents: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    exchanges: tuple[Mark, ...] = ()
    max_tokens: int = DEFAULT_TOKENS
    max_entries: int = 0  # 0: as many as fit
    pick: Pick = "first"
    tasks: tuple[Task, ...] = TASKS


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of use.  ``ask`` and ``write`` are templates of the system text; empty: the built-in one."""

    name: str
    description: str
    path: Path
    settings: Mapping[str, Any]  # {"section.key": value}
    ask: str = field(default="", repr=False)
    write: str = field(default="", repr=False)
    blocks: tuple[Block, ...] = ()
    register: str = ""  # of the exemplars to show where the request names none

    def system(self, task: Task) -> str:
        """Return the template of one task."""
        return self.ask if task == "ask" else self.write

    def blocks_of(self, task: Task) -> tuple[Block, ...]:
        """Return the blocks that belong into the prompts of one task."""
        return tuple(block for block in self.blocks if task in block.tasks)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a preset can be tried with: files of an invented person, and what to ask."""

    folder: Path
    name: str = ""
    languages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    documents: tuple[Path, ...] = ()
    history: tuple[Path, ...] = ()
    exemplars: tuple[Path, ...] = ()
    remember: tuple[str, ...] = field(default=(), repr=False)
    question: str = ""
    request: str = ""


# ---------------------------------------------------------------- finding


def names() -> list[str]:
    """Return the presets of this package, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE_NAME}"))


def find(name: str) -> Path:
    """Return the folder of a preset: the name of one of this package, or a path.  Raises: ConfigError."""
    if name in names():
        return SHIPPED / name
    path = Path(name).expanduser()
    try:
        if path.name == FILE_NAME and path.is_file():
            return path.parent
        if (path / FILE_NAME).is_file():
            return path
    except (OSError, ValueError):  # a name no file system takes: too long, a null character
        pass
    close = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"ragperso presets lists {', '.join(names())}"
    raise ConfigError(
        f"there is no preset {name[:80]!r}, nor a folder of that name with a {FILE_NAME}", hint=hint
    )


def load(name: str) -> Preset:
    """Return a preset, checked as a whole.  Raises: ConfigError naming the file and the key."""
    folder = find(name)
    table = _Table(folder / FILE_NAME, _toml(folder / FILE_NAME))
    blocks = tuple(_block(folder, key, part) for key, part in table.tables("blocks").items())
    known = (*FIELDS, *(block.name for block in blocks))
    preset = Preset(
        name=table.text("name") or folder.resolve().name,
        description=" ".join(table.text("description").split()),
        path=folder,
        settings=_settings(table),
        ask=_template(folder, table, "ask", known),
        write=_template(folder, table, "write", known),
        blocks=blocks,
        register=table.choice("register", table.text("register"), ("", *REGISTERS)),
    )
    table.done()
    return preset


def settings(name: str) -> Mapping[str, Any]:
    """Return ``{"section.key": value}`` of a preset.  Raises: ConfigError."""
    return load(name).settings


def sample(preset: Preset) -> Sample | None:
    """Return what the preset can be tried with, None when it brings nothing.  Raises: ConfigError."""
    path = preset.path / SAMPLE
    if not path.is_file():
        return None
    table = _Table(path, _toml(path))
    # The sample people of `ragperso demo` are large enough to be worth sharing.
    person = table.text("person")
    if person and not (_NAME.fullmatch(person) and (_PEOPLE / person).is_dir()):
        raise ConfigError(f"{path}: there is no sample person {person[:40]!r}")
    folder = _PEOPLE / person if person else path.parent
    found = Sample(
        folder=folder,
        name=table.text("name"),
        languages=table.texts("languages"),
        addresses=table.texts("addresses"),
        documents=tuple(_inside(folder, p, path) for p in table.texts("documents")),
        history=tuple(_inside(folder, p, path) for p in table.texts("history")),
        exemplars=tuple(_inside(folder, p, path) for p in table.texts("exemplars")),
        remember=table.texts("remember"),
        question=table.text("question"),
        request=table.text("request"),
    )
    table.done()
    return found


def copy(name: str, target: Path) -> Preset:
    """Copy a preset into the new folder ``target`` and return the copy.  Raises: ConfigError."""
    source = load(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is there already", hint="name a new folder")
    try:
        shutil.copytree(
            source.path, target, ignore=shutil.ignore_patterns("__pycache__", ".*"), dirs_exist_ok=True
        )
    except OSError as exc:
        raise ConfigError(f"{target} cannot be written: {exc.strerror or type(exc).__name__}") from exc
    return load(str(target / FILE_NAME))


def is_meant(fact: Fact, wanted: Sequence[tuple[str, str]]) -> bool:
    """Say whether a statement is one a block asks for: of such a slot or kind, or with such a word in it.

    A slot may hold ``*``.  Statements about others are never meant.
    """
    if fact.subject:
        return False
    for key, value in wanted:
        if key == "kind" and fact.kind == value:
            return True
        if key == "slot" and fact.slot and fnmatch.fnmatchcase(fact.slot.casefold(), value.casefold()):
            return True
        if key == "says" and value.casefold() in re.findall(r"\w+", fact.text.casefold()):
            return True
    return False


# ---------------------------------------------------------------- templates


def placed(template: str) -> set[str]:
    """Return the names that stand in braces in a template; ``{{so}}`` is text."""
    return {match[2] for match in _PLACE.finditer(template) if match[2]}


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return ``template`` with each ``{name}`` replaced once; ``{{name}}`` becomes ``{name}``.

    A value is put in as it is and never read as a template.  A line whose names are all without a value is
    left out, so "Level: {level}" does not stand there empty.
    """
    kept = []
    for line in template.split("\n"):
        here = placed(line)
        if here and not any(values.get(name) for name in here):
            continue
        kept.append(_PLACE.sub(lambda m: f"{{{m[1]}}}" if m[1] else values.get(m[2], ""), line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _template(folder: Path, table: _Table, task: Task, known: Iterable[str]) -> str:
    part = table.table(task)
    text, name = part.text("text"), part.text("file")
    if text and name:
        raise part.wrong("file", "give text or file, not both")
    where = f"{table.path} [{task}]"
    if name:
        path = _inside(folder, name, table.path)
        text, where = _read(path), str(path)
    part.done()
    if unknown := sorted(placed(text) - set(known)):
        close = difflib.get_close_matches(unknown[0], list(known), n=1)
        names_known = ", ".join(f"{{{name}}}" for name in known)
        hint = f"did you mean {{{close[0]}}}?" if close else f"it knows {names_known}"
        raise ConfigError(f"{where}: unknown placeholder {{{unknown[0]}}}", hint=hint)
    return text.strip()


# ---------------------------------------------------------------- reading


def _settings(table: _Table) -> dict[str, Any]:
    """Return the settings of a preset; each is one a preset may set, of its type and in its range."""
    found: dict[str, Any] = {}
    known = config.keys()
    sections = {path.partition(".")[0] for path in known}
    for section, part in table.tables("settings").items():
        for key, value in part.rest().items():
            path = f"{section}.{key}"
            if section in sections and (section not in _SECTIONS or path in _WITHHELD):
                raise ConfigError(
                    f"{table.path}: a preset may not set {path}", hint=f"set {path} in your own ragperso.toml"
                )
            if isinstance(value, str) and path in known and not isinstance(known[path], str):
                raise part.wrong(key, "no text is wanted here")  # files convert nothing, flags do
            found[path] = value
    try:
        config.Config().replace(found)
    except ConfigError as exc:
        raise ConfigError(f"{table.path}: [settings] {exc.message}", hint=exc.hint) from exc
    return found


def _block(folder: Path, name: str, part: _Table) -> Block:
    if not _NAME.fullmatch(name) or name in FIELDS:
        raise ConfigError(
            f"{part.path}: [blocks] cannot have one called {name[:40]!r}",
            hint=f"small letters, digits and hyphens, and none of {', '.join(FIELDS)}",
        )
    own = [part.text("text"), *(_read(_inside(folder, file, part.path)) for file in part.texts("file"))]
    found = Block(
        name=name,
        title=" ".join(part.text("title").split()),
        text="\n\n".join(text.strip() for text in own if text.strip()),
        documents=tuple(part.pair("documents", one) for one in part.texts("documents")),
        facts=tuple(part.pair("facts", one, _FACT_KEYS) for one in part.texts("facts")),
        exchanges=tuple(part.choice("exchanges", one, MARKS) for one in part.texts("exchanges")),
        max_tokens=part.number("max_tokens", DEFAULT_TOKENS, 1, MAX_TOKENS),
        max_entries=part.number("max_entries", 0, 0, 1_000),
        pick=part.choice("pick", part.text("pick") or "first", get_args(Pick)),
        tasks=tuple(part.choice("tasks", one, TASKS) for one in part.texts("tasks")) or TASKS,
    )
    part.done()
    for key, value in found.facts:
        if key == "kind":
            part.choice("facts", value, get_args(StatementKind))
    if not (found.text or found.documents or found.facts or found.exchanges):
        raise part.wrong("", "it needs text, file, documents, facts or exchanges")
    return found


_Check: TypeAlias = Callable[[Any], bool]


class _Table:
    """One table of a TOML file: each key is taken once, by type, and what nobody took is refused."""

    def __init__(self, path: Path, data: Mapping[str, Any], name: str = "") -> None:
        self.path = path
        self._data = dict(data)
        self._name = name
        self._known: list[str] = []

    def text(self, key: str) -> str:
        return str(self._take(key, "", lambda v: isinstance(v, str), "text in quotes"))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; a single one may stand without brackets."""
        value = self._take(key, [], lambda v: isinstance(v, str) or _is_texts(v), "a text or a list of texts")
        return (value,) if isinstance(value, str) else tuple(value)

    def number(self, key: str, default: int, low: int, high: int) -> int:
        wanted = f"a whole number from {low} to {high}"
        return int(self._take(key, default, lambda v: type(v) is int and low <= v <= high, wanted))

    def table(self, key: str) -> _Table:
        data = self._take(key, {}, lambda v: isinstance(v, dict), "a table")
        return _Table(self.path, data, f"{self._name}.{key}".lstrip("."))

    def tables(self, key: str) -> dict[str, _Table]:
        """Return the tables below ``key`` by name."""
        outer = self.table(key)
        return {name: outer.table(name) for name in list(outer._data)}

    def rest(self) -> dict[str, Any]:
        return self._data

    def pair(self, key: str, value: str, known: Sequence[str] = ()) -> tuple[str, str]:
        """Return ``kind:glossary`` as its two halves."""
        left, colon, right = (part.strip() for part in value.partition(":"))
        if not colon or not left or not right or (known and left not in known):
            example = f"one of {', '.join(f'{one}:...' for one in known)}" if known else "key:value"
            raise self.wrong(key, f"{value[:40]!r} is not {example}")
        return left, right

    def choice(self, key: str, value: str, choices: Sequence[Any]) -> Any:
        if value not in choices:
            raise self.wrong(key, f"{value[:40]!r} is not one of {', '.join(choices)}")
        return value

    def wrong(self, key: str, why: str) -> ConfigError:
        where = " ".join(part for part in (f"[{self._name}]" if self._name else "", key) if part)
        return ConfigError(f"{self.path}: {where}: {why}", hint="docs/presets.md explains every key")

    def done(self) -> None:
        """Raise ConfigError when a key is left that nobody knows."""
        for key in self._data:
            close = difflib.get_close_matches(key, self._known, n=1)
            error = self.wrong(key[:40], "unknown key")
            raise ConfigError(error.message, hint=f"did you mean {close[0]!r}?" if close else error.hint)

    def _take(self, key: str, default: Any, is_right: _Check, wanted: str) -> Any:
        self._known.append(key)
        value = self._data.pop(key, default)
        if not is_right(value):
            raise self.wrong(key, f"wants {wanted}")
        return value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}", hint=f"edit {path}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path} is nested too deeply", hint=f"edit {path}") from exc


def _inside(folder: Path, name: str, path: Path) -> Path:
    """Return a file of a preset.  One outside its folder is refused: a preset brings along what it reads."""
    found = folder / name
    try:
        is_inside = found.resolve().is_relative_to(folder.resolve())
        if is_inside and found.exists():
            return found
    except (OSError, ValueError, RuntimeError):  # a name too long, a null character, a loop of links
        is_inside = True
    why = "is not there" if is_inside else "lies outside the preset's folder"
    raise ConfigError(f"{path}: {name[:80]!r} {why}", hint=f"put it into {folder}")


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is no file", hint=f"look into {path.parent}")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes", hint="add it as a document")
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror or type(exc).__name__}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from exc
