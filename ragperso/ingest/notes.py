"""Stage 1, ingest: plain files become documents whose text is the file's, character for character.

In: a decoded file.  Out: one ``Document``.
Never: changes a character but NUL and lone surrogates, so that offsets point into the file.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from ragperso.ingest.decode import storable
from ragperso.ingest.times import parse_time
from ragperso.segment import blocks
from ragperso.types import Document, Json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FRONT_MATTER: Final = re.compile(r"(---|\+\+\+)[ \t]*\r?\n")
_YAML_END: Final = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_TOML_END: Final = re.compile(r"^\+\+\+[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_SIMPLE_KEY: Final = re.compile(r"^([A-Za-z][\w -]{0,60}):[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_TAG_SPLIT: Final = re.compile(r"[,\s]+")
_DATED_NAME: Final = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_DATE_KEYS: Final = ("date", "created", "created_at", "published", "datum")
_LIST_KEYS: Final = frozenset(("tags", "aliases", "keywords", "categories"))
_MAX_FRONT_MATTER_CHARS: Final = 65_536
_MAX_META_NODES: Final = 2_000  # YAML aliases can unfold to billions
_MAX_META_DEPTH: Final = 8
_TITLE_CHARS: Final = 65_536  # a title stands near the top


def markdown(text: str, *, key: str) -> Document:
    """Return a note; front matter becomes meta and is not indexed."""
    meta, indexed_from = front_matter(text)
    title = str(meta.pop("title", "") or "") or first_title(text, indexed_from) or name_of(key)
    ts = next((moment for name in _DATE_KEYS if (moment := parse_time(meta.get(name)))), None)
    return Document(
        key, text, "markdown", key, title, ts or date_in_name(key), meta=meta, indexed_from=indexed_from
    )


def rst(text: str, *, key: str) -> Document:
    """Return a reStructuredText file, titled by its first section."""
    title = first_title(text, rst=True) or name_of(key)
    return Document(key, text, "rst", key, title, date_in_name(key))


def plain(text: str, *, key: str) -> Document:
    """Return a text file, titled by its name."""
    return Document(key, text, "text", key, name_of(key), date_in_name(key))


def code(text: str, *, key: str) -> Document:
    """Return a source file, titled by its full name."""
    return Document(key, text, "code", key, PurePosixPath(key).name)


def name_of(key: str) -> str:
    """Return the file name in ``key`` without its suffix: many people title their notes by it."""
    return PurePosixPath(key).stem


def date_in_name(key: str) -> datetime | None:
    """Return the day a daily note is named after."""
    match = _DATED_NAME.search(PurePosixPath(key).name)
    return parse_time(match[1]) if match else None


def front_matter(text: str) -> tuple[dict[str, Json], int]:
    """Return (the keys of YAML or TOML front matter, the offset after it); ({}, 0) when there is none."""
    opened = _FRONT_MATTER.match(text)
    if not opened:
        return {}, 0
    is_toml = opened[1] == "+++"
    end = (_TOML_END if is_toml else _YAML_END).search(
        text, opened.end(), opened.end() + _MAX_FRONT_MATTER_CHARS
    )
    if not end:
        return {}, 0
    source = text[opened.end() : end.start()]
    loaded: object
    try:
        loaded = tomllib.loads(source.replace("\r\n", "\n")) if is_toml else yaml.safe_load(source)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, TypeError, RecursionError, OverflowError):
        # "title: Berlin: a plan" is no YAML, yet what people write.
        loaded = dict(_SIMPLE_KEY.findall(source))
    if not isinstance(loaded, Mapping):
        # A rule, text, another rule: not front matter, and nothing of it may be lost.
        return ({}, end.end()) if loaded is None else ({}, 0)
    if not loaded and source.strip():
        return {}, 0
    budget = itertools.count(1)
    meta = {}
    for name, value in loaded.items():
        kept = plain_json(value, budget)
        if kept is not None:
            name = storable(str(name)).strip().lower()
            meta[name] = _listed(kept) if name in _LIST_KEYS else kept
    return meta, end.end()


def plain_json(value: Any, budget: itertools.count[int], depth: int = 0) -> Json:
    """Return ``value`` in types that JSON has; None for what is empty, too deep or beyond the budget."""
    if next(budget) > _MAX_META_NODES or depth > _MAX_META_DEPTH:
        return None
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {storable(str(k)): plain_json(v, budget, depth + 1) for k, v in _first(value.items())}
    if isinstance(value, (list, tuple, set)):
        return [plain_json(item, budget, depth + 1) for item in _first(value)]
    return storable(str(value))


def _first(items: Any) -> Any:
    return itertools.islice(items, _MAX_META_NODES)


def _listed(value: Json) -> list[str]:
    """Return tags as a list, however they were written; a leading # is no part of a tag."""
    if isinstance(value, str):
        value = _TAG_SPLIT.split(value) if "," not in value else value.split(",")
    elif not isinstance(value, list):
        value = [value]
    return [name for item in value if item is not None and (name := str(item).strip().lstrip("#"))]


def first_title(text: str, start: int = 0, *, rst: bool = False) -> str:
    """Return the first heading of the highest level near the top, empty when there is none."""
    headings = [
        b for b in blocks(text[start : start + _TITLE_CHARS], rst=rst) if b.kind == "heading" and b.title
    ]
    if not headings or (not rst and headings[0].level != 1 and all(b.level != 1 for b in headings)):
        return ""
    return headings[0].title if rst else next(b.title for b in headings if b.level == 1)
