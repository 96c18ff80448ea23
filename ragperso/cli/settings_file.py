"""Surface: change one setting in a ``ragperso.toml`` and leave every other byte as the person wrote it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

from ragperso.errors import ConfigError
from ragperso.files import write_atomically

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ANY_TABLE: Final = re.compile(r"\s*\[")


def with_setting(text: str, section: str, key: str, value: str) -> str:
    """Return ``text`` with ``key = "value"`` under ``[section]``; comments and other keys stay.

    Raises: ConfigError, when the text is not valid TOML or writes this setting in a way a line edit cannot
    change (over several lines, or dotted).
    """
    _parse(text)
    setting = f"{key} = {_quoted(value)}"
    assignment = re.compile(
        rf"(\s*){re.escape(key)}\s*=\s*(?:\"[^\"\\]*\"|'[^']*'|[^\s#\"'\[{{]+)(\s*(?:#.*)?)$"
    )
    lines = text.splitlines()
    inside, last = False, None
    done = False
    for number, line in enumerate(lines):
        if _ANY_TABLE.match(line):
            table = _TABLE.match(line)
            inside = table is not None and table[1] == section
            last = number if inside else last
        elif inside and line.strip() and not line.lstrip().startswith("#"):
            last = number
            if match := assignment.match(line):
                lines[number] = f"{match[1]}{setting}{match[2]}"
                done = True
    if not done and last is not None:
        lines.insert(last + 1, setting)
    elif not done:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{section}]", setting]
    changed = "\n".join(lines) + "\n"
    # The edit is by lines, the judge of it is a TOML parser.
    before, after = _parse(text), _parse(changed)
    before.setdefault(section, {})[key] = value
    if before != after:
        raise ConfigError(f"{section}.{key} is written in a way that cannot be changed automatically")
    return changed


def write_setting(path: Path, section: str, key: str, value: str) -> None:
    """Change one setting of a file, making the file when there is none.  Raises: ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} cannot be read", hint=f"edit {path}") from exc
    try:
        changed = with_setting(text, section, key, value)
    except ConfigError as exc:
        raise ConfigError(
            f"{path}: {exc.message}", hint=f"write {key} = {_quoted(value)} under [{section}] in {path}"
        ) from exc
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, changed)


def _parse(text: str) -> dict[str, dict[str, object]]:
    try:
        data: dict[str, dict[str, object]] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"it is not valid TOML: {exc}") from exc
    return data


def _quoted(value: str) -> str:
    """Return ``value`` as a TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
