"""Words: every setting, one frozen section per stage.

Making a :class:`Config` touches no disk and no model.  :func:`load` reads files and the environment once,
at the surface; each stage then receives its own section.  Order of precedence, strongest first:
overrides (flags) > ``RAGPERSO_<SECTION>_<KEY>`` > project ``ragperso.toml`` > user ``ragperso.toml`` >
the preset that ``general.preset`` names > the defaults below.  An unknown key is refused with its path.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ragperso.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "ragperso.toml"


@dataclass(frozen=True, slots=True)
class General:
    home: str = ""  # where people live; empty: ./indexes if it exists, else the user data directory
    user: str = "me"
    models: str = ""  # where pulled models live; empty: the user data directory
    preset: str = ""  # a kind of use: a name that ragperso presets lists, or a folder of your own


@dataclass(frozen=True, slots=True)
class Ingest:
    chunk_tokens: int = 180  # target; MiniLM reads 256, the heading path needs some of them
    overlap_sentences: int = 1  # repeated at the start of the next chunk of one section
    max_file_bytes: int = 64_000_000
    max_text_chars: int = 20_000_000  # of one document, after unpacking
    follow_hidden: bool = False
    batch_tokens: int = 8_192  # embedded and committed together; what an interruption can cost


@dataclass(frozen=True, slots=True)
class Index:
    embedder: str = "starter"  # starter name, a path, or a hub id that was pulled
    embedder_backend: str = "sentence-transformers"  # or hash, or the name of a plugin
    query_prefix: str = ""
    document_prefix: str = ""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32"] = "auto"  # auto: bfloat16 for documents where it is exact enough
    lexical: Literal["bm25s", "rank-bm25"] = "bm25s"
    k1: float = 1.2  # Robertson & Zaragoza 2009, section 3.2
    b: float = 0.75
    open_bytes: int = 256_000_000  # of the indexes of people who stay open between their searches
    open_people: int = 0  # how many stay open; 0: by how many files the process may have open


@dataclass(frozen=True, slots=True)
class Retrieve:
    k: int = 10
    depth: int = 100  # candidates per leg before a fusion of rankings (rrf, weighted)
    fusion: Literal["adaptive", "weighted", "rrf", "dense", "lexical"] = "adaptive"
    weights: str = (
        ""  # of the adaptive fusion: a TOML file like ragperso/retrieve/weights.toml; empty: that one
    )
    context: bool = True  # adaptive: what the turns around one say, and its whole conversation
    parents: bool = True  # adaptive: what the whole document says, and its beginning
    keys: bool = True  # adaptive: statements of preference, fact, plan and relation, searched beside the text
    names: bool = True  # speakers that are named, phrases in quotation marks
    dates: bool = True  # adaptive: days that the question speaks of
    expand: bool = True  # a suggestion is also searched for by what the person likes
    split: bool = True  # a question of several parts is searched part by part
    dense_weight: float = 0.6  # of the weighted fusion; the lexical leg has the rest
    rrf_k: int = 60  # Cormack, Clarke & Buettcher 2009
    collapse_similarity: float = 0.92  # Jaccard of word 3-grams above which two hits are one
    diversity: float = 0.0  # MMR: 0 keeps the ranking, 1 ignores it
    reranker: str = ""  # folder of a cross-encoder or late-interaction model, or late-interaction:FOLDER
    rerank_ms: float = 300.0  # time the reranker may take: it sizes the pool
    rerank_depth: int = 50  # most hits it looks at
    rerank_weight: float = 0.0  # its share of the score; 0: 1 for a cross-encoder, .8 for late interaction
    preference: float = 1.0  # how far marks may reorder what is found and which exemplars show; 0: not at all
    min_relevance: float = 0.5  # below it a question counts as not answered by the documents


@dataclass(frozen=True, slots=True)
class Assemble:
    budget_tokens: int = 0  # of the whole prompt; 0: what the model's context leaves
    system_tokens: int = 200
    profile_tokens: int = 160
    exemplar_tokens: int = 900  # about ten mails or four posts
    conversation_tokens: int = 200
    passage_tokens: int = 900
    question_tokens: int = 512
    max_passages: int = 3  # small models answer worse from more
    max_exemplars: int = 12  # of a draft, as far as exemplar_tokens has room
    ask_exemplars: int = 0  # of an answer: a small model takes their content for facts
    system: str = ""  # replaces the built-in system text


@dataclass(frozen=True, slots=True)
class Generate:
    backend: str = "llama.cpp"  # or server, extractive, or the name of a plugin
    model: str = "starter"  # starter name, path of a GGUF, or a hub id that was pulled
    max_tokens: int = 128
    temperature: float = 0.0
    draft_temperature: float = 0.7  # of write: at 0 a small model drafts alike for everybody
    seed: int = 0
    context_tokens: int = 4096
    sequences: int = 4  # people kept warm and written for at once; 23 kB a token each with the starter model
    prefix_cache: int = 0  # bytes of read prompts kept in a person's folder; 0: none, they hold words
    threads: int = 0  # 0: all cores to read, and one to write with a model below 256 MB
    gpu_layers: int = 0  # Metal and CUDA: -1 puts every layer on the GPU
    flash_attention: bool = False  # on a CPU it halves decoding speed
    lora: str = ""
    lora_scale: float = 1.0
    url: str = "http://127.0.0.1:8080/v1"  # of the server backend
    api_key: str = ""
    timeout_s: float = 300.0
    max_sentences: int = 3  # an answer is stopped behind so many sentences; 0: no limit
    support: float = 0.0  # least support of a cited sentence; 0: .55, or .8 with a model below 600 MB


@dataclass(frozen=True, slots=True)
class Record:
    history: bool = True  # exchanges become searchable
    follow_up_turns: int = 3  # how far back a follow-up question may refer


@dataclass(frozen=True, slots=True)
class Learn:
    mine: bool = True  # exemplars and facts are mined from the person's own writing after an add
    llm: bool = False  # the model reads the same texts for statements that rules miss
    team: str = ""  # a shared person whose exemplars and style stand in while there is little of one's own
    min_exemplar_chars: int = 80
    max_exemplar_chars: int = 1_600


@dataclass(frozen=True, slots=True)
class Privacy:
    secure_delete: bool = True
    allow_remote: bool = False  # the server backend may be on another machine


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.  ``Config()`` is the shipped default."""

    general: General = field(default_factory=General)
    ingest: Ingest = field(default_factory=Ingest)
    index: Index = field(default_factory=Index)
    retrieve: Retrieve = field(default_factory=Retrieve)
    assemble: Assemble = field(default_factory=Assemble)
    generate: Generate = field(default_factory=Generate)
    record: Record = field(default_factory=Record)
    learn: Learn = field(default_factory=Learn)
    privacy: Privacy = field(default_factory=Privacy)

    def __post_init__(self) -> None:
        _check_ranges(self)

    def replace(self, overrides: Mapping[str, Any]) -> Config:
        """Return a copy with ``{"section.key": value}`` applied; strings are converted.

        Raises: ConfigError, naming the key.
        """
        sections: dict[str, dict[str, Any]] = {}
        for path, value in overrides.items():
            section, _, key = path.partition(".")
            sections.setdefault(section, {})[key] = value
        return _merge(self, sections, origin="override")


def load(
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    project: Path | None = None,
    user: Path | None = None,
    presets: Callable[[str], Mapping[str, Any]] | None = None,
) -> Config:
    """Return the settings in force; missing files are fine.

    ``project`` defaults to ``./ragperso.toml``, ``user`` to the platform's config directory.  ``presets``
    gives the settings of the preset of a name: :func:`ragperso.preset.settings`.
    Raises: ConfigError, naming the file or variable and the key.
    """
    environ = os.environ if environ is None else environ
    layers = [(_read(path), str(path)) for path in (user or user_file(), project or Path(FILE_NAME))]
    layers.append((_from_environment(environ), "environment"))

    def over(config: Config) -> Config:
        for data, origin in layers:
            config = _merge(config, data, origin=origin)
        return config.replace(overrides or {})

    config = over(Config())
    if presets is None or not config.general.preset:
        return config
    return over(Config().replace(presets(config.general.preset)))


def user_file() -> Path:
    """Return the path of the person's own config file, which need not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("ragperso", appauthor=False)) / FILE_NAME


def home_of(config: Config) -> Path:
    """Return the directory that holds all people: config > ./indexes > the user data directory."""
    if config.general.home:
        return Path(config.general.home).expanduser()
    local = Path("indexes")
    if local.is_dir():
        return local
    import platformdirs

    return Path(platformdirs.user_data_dir("ragperso", appauthor=False)) / "indexes"


def models_of(config: Config) -> Path:
    """Return the directory that holds pulled models."""
    if config.general.models:
        return Path(config.general.models).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("ragperso", appauthor=False)) / "models"


def keys() -> dict[str, Any]:
    """Return ``{"section.key": default}`` for every setting, in file order."""
    default = Config()
    return {
        f"{section.name}.{item.name}": getattr(getattr(default, section.name), item.name)
        for section in dataclasses.fields(default)
        for item in dataclasses.fields(getattr(default, section.name))
    }


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        data = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}", hint=f"edit {path}") from exc
    for name, table in data.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name!r} stands outside a section", hint=f"edit {path}")
    return data


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    # The two short names of CONTRACT.md; the long ones also work.
    for short, key in (("RAGPERSO_HOME", "home"), ("RAGPERSO_USER", "user")):
        if environ.get(short):
            found.setdefault("general", {})[key] = environ[short]
    for path in keys():
        section, _, key = path.partition(".")
        name = f"RAGPERSO_{section}_{key}".upper()
        if name in environ:
            found.setdefault(section, {})[key] = environ[name]
    return found


def _merge(config: Config, data: Mapping[str, Mapping[str, Any]], *, origin: str) -> Config:
    changed: dict[str, Any] = {}
    for name, table in data.items():
        section = getattr(config, name, None) if name in Config.__dataclass_fields__ else None
        if section is None:
            raise _unknown(name, Config.__dataclass_fields__, origin)
        hints = typing.get_type_hints(type(section))
        values = {}
        for key, value in table.items():
            if key not in hints:
                raise _unknown(f"{name}.{key}", [f"{name}.{known}" for known in hints], origin)
            values[key] = _convert(value, hints[key], f"{name}.{key}", origin)
        changed[name] = dataclasses.replace(section, **values)
    return dataclasses.replace(config, **changed)


def _unknown(path: str, known: typing.Iterable[str], origin: str) -> ConfigError:
    import difflib

    close = difflib.get_close_matches(path, list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see docs/config.md for every key"
    return ConfigError(f"unknown setting {path!r} ({origin})", hint=hint)


def _convert(value: Any, kind: Any, path: str, origin: str) -> Any:
    """Return ``value`` as ``kind``; strings come from flags and the environment."""
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ConfigError(f"{path} must be one of {', '.join(choices)} ({origin})")
        return value
    if isinstance(value, str) and kind is not str:
        text = value.strip().lower()
        try:
            if kind is bool:
                return {"1": True, "true": True, "yes": True, "on": True}.get(text) or {
                    "0": False,
                    "false": False,
                    "no": False,
                    "off": False,
                }[text]
            return kind(text.replace("_", ""))
        except (KeyError, ValueError) as exc:
            raise ConfigError(f"{path} must be {_name(kind)} ({origin})") from exc
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{path} must be {_name(kind)} ({origin})")
    return value


def _name(kind: Any) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]


def _check_ranges(config: Config) -> None:
    """Refuse values that no stage can work with."""
    shares = ("retrieve.dense_weight", "retrieve.collapse_similarity", "retrieve.diversity", "index.b")
    positive = (
        "ingest.chunk_tokens",
        "ingest.max_file_bytes",
        "ingest.max_text_chars",
        "ingest.batch_tokens",
        "retrieve.k",
        "retrieve.depth",
        "retrieve.rrf_k",
        "assemble.max_passages",
        "generate.max_tokens",
        "generate.context_tokens",
        "generate.timeout_s",
        "generate.sequences",
    )

    def value(path: str) -> Any:
        section, _, key = path.partition(".")
        return getattr(getattr(config, section), key)

    for path in (*shares, "retrieve.min_relevance", "retrieve.rerank_weight", "generate.support"):
        if not 0.0 <= value(path) <= 1.0:
            raise ConfigError(f"{path} must lie between 0 and 1")
    for path in positive:
        if not value(path) > 0:
            raise ConfigError(f"{path} must be above 0")
    for path in (
        "index.k1",
        "generate.temperature",
        "generate.draft_temperature",
        "generate.prefix_cache",
        "index.open_bytes",
        "index.open_people",
        "assemble.budget_tokens",
        "ingest.overlap_sentences",
        "retrieve.rerank_ms",
        "retrieve.rerank_depth",
        "retrieve.preference",
    ):
        if value(path) < 0:
            raise ConfigError(f"{path} must not be negative")
