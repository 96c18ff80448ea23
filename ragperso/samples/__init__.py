"""Data: two sample people, written for this project, and the questions they are asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Person:
    """A sample person: who they are and where their files lie."""

    user: str
    name: str
    languages: tuple[str, ...]
    addresses: tuple[str, ...]
    folder: Path

    @property
    def documents(self) -> list[Path]:
        """Their notes, mails and own writing."""
        return [self.folder / name for name in ("notes", "mail", "writing")]

    @property
    def history(self) -> list[Path]:
        """Their old chats with an assistant."""
        return [self.folder / "chat" / "history.jsonl"]


@contextmanager
def people() -> Iterator[dict[str, Person]]:
    """Yield the sample people by user name; their files exist as long as the context."""
    with resources.as_file(resources.files(__name__) / "people") as folder:
        found = {}
        for path in sorted(folder.glob("*/person.toml")):
            told = _read(path)
            found[path.parent.name] = Person(
                user=path.parent.name,
                name=told["name"],
                languages=tuple(told["languages"]),
                addresses=tuple(told["addresses"]),
                folder=path.parent,
            )
        yield found


def questions() -> dict[str, Any]:
    """Return the sample questions: ``shared``, ``only``, ``followups``, ``drafts``, ``neither``."""
    path = resources.files(__name__) / "people" / "questions.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
