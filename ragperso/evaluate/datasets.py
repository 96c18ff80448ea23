"""Surface, evaluate: documents and questions with judgments, as ``docs.jsonl`` and ``queries.jsonl``.

In: a folder.  Out: a :class:`DataSet`.  Never: keeps the documents' text, writes anything.

One JSON object a line.  Documents: ``{"user"?, "id", "text", ...}``, read by the engine as any other file;
questions: ``{"user"?, "id", "text", "gold": [document ids], "type"?, ...}``.  Rows without ``user`` belong to
one default person.  Without ``docs.jsonl`` the questions are about what a home already holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ragperso.errors import IngestError, UnreadableDocument

DOCS: Final = "docs.jsonl"
QUERIES: Final = "queries.jsonl"
NO_TYPE: Final = "untyped"
ADVERSARIAL: Final = "adversarial"  # LoCoMo's word: the documents are about it and do not answer it


@dataclass(frozen=True, slots=True)
class Question:
    """What one person asks, and the ids of the documents of theirs that answer it."""

    id: str
    user: str
    text: str = field(repr=False)
    gold: tuple[str, ...] = ()
    type: str = NO_TYPE

    @property
    def is_answerable(self) -> bool:
        """Whether an engine that declines this question is wrong."""
        return bool(self.gold) and self.type != ADVERSARIAL


@dataclass(frozen=True, slots=True)
class DataSet:
    """Questions, and the ids of everyone's documents; ``docs`` is None when a home holds them already."""

    name: str
    docs: Path | None
    questions: tuple[Question, ...] = field(repr=False)
    documents: Mapping[str, frozenset[str]] = field(repr=False)  # person -> ids

    @property
    def n_documents(self) -> int:
        return sum(len(ids) for ids in self.documents.values())

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone who asks or owns something, by name."""
        return tuple(sorted({*self.documents, *(question.user for question in self.questions)}))

    def limited(self, n: int) -> DataSet:
        """Return the set with at most ``n`` questions, spread evenly over the file."""
        if n < 1:
            raise ValueError("a limit must be at least 1")
        total = len(self.questions)
        if n >= total:
            return self
        return replace(self, questions=tuple(self.questions[i * total // n] for i in range(n)))


def load(folder: Path, *, user: str = "me") -> DataSet:
    """Read a data set; rows without ``user`` get ``user``.

    Raises: IngestError without ``queries.jsonl``; UnreadableDocument, naming file, line and reason.
    """
    if not (folder / QUERIES).is_file():
        raise IngestError(
            f"{folder} holds no {QUERIES}",
            hint='write one question a line into it: {"id", "text", "gold": [document ids]}',
        )
    docs = folder / DOCS
    documents: dict[str, set[str]] = {}
    if docs.is_file():
        for where, row in _rows(docs):
            documents.setdefault(str(row.get("user", user)), set()).add(_text(row, "id", where))
    questions = tuple(_questions(folder / QUERIES, user))
    return DataSet(
        name=folder.resolve().name,
        docs=docs if docs.is_file() else None,
        questions=questions,
        documents={name: frozenset(ids) for name, ids in documents.items()},
    )


def _questions(path: Path, user: str) -> Iterator[Question]:
    seen: set[tuple[str, str]] = set()
    for where, row in _rows(path):
        gold = row.get("gold", [])
        if not isinstance(gold, list) or any(isinstance(item, (list, dict)) for item in gold):
            raise UnreadableDocument(f"{where}: 'gold' is not a list of document ids")
        question = Question(
            id=_text(row, "id", where),
            user=str(row.get("user", user)),
            text=_text(row, "text", where),
            gold=tuple(dict.fromkeys(str(item) for item in gold)),
            type=str(row.get("type") or NO_TYPE),
        )
        if (question.user, question.id) in seen:
            raise UnreadableDocument(f"{where}: its id was used before")
        seen.add((question.user, question.id))
        yield question


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, row) for every line that is not empty."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                where = f"{path.name}:{number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as exc:
                    raise UnreadableDocument(f"{where}: not a line of JSON") from exc
                if not isinstance(row, dict):
                    raise UnreadableDocument(f"{where}: not a JSON object")
                yield where, row
    except UnicodeDecodeError as exc:
        raise UnreadableDocument(f"{path.name}: not UTF-8") from exc


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    # A number is a fine id; a missing or blank one is not.
    if value is None or isinstance(value, (list, dict, bool)) or not str(value).strip():
        raise UnreadableDocument(f"{where}: {key!r} is missing or empty")
    return str(value)
