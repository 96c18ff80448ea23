"""Words: what a backend must be able to do.  One to four methods each, no base classes.

A plugin is a class that passes the matching suite in ``tests/contracts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ragperso.types import (
    ChunkId,
    Completion,
    Document,
    Hit,
    Ids,
    Message,
    Prompt,
    Query,
    Ranking,
    Rows,
    Scored,
    Scores,
    Vector,
    Vectors,
)


@runtime_checkable
class Reader(Protocol):
    """Turns one file into documents."""

    def read(self, path: Path, *, key: str) -> Iterable[Document]:
        """Yield the documents of ``path``; the first has ``key`` unless the file is a container.

        Raises: UnreadableDocument, naming the reason; MissingExtra.
        """


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens the way one model does."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return tokens per text, without special tokens."""


@runtime_checkable
class Embedder(Protocol):
    """Turns text into unit vectors; documents and queries may differ."""

    @property
    def fingerprint(self) -> str:
        """Identity of everything that shapes a vector: model hash, dimension, prefixes, pooling."""

    @property
    def dim(self) -> int:
        """Width of a vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens of content one text may have before the model cuts it off."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return tokens per text, without special tokens and without cutting."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), dim) float32, unit rows, in the given order."""

    def embed_query(self, text: str) -> Vector:
        """Return (dim,) float32, unit length."""


@runtime_checkable
class DenseIndex(Protocol):
    """Nearest neighbours by cosine."""

    def add(self, ids: Sequence[ChunkId], vectors: Vectors) -> None:
        """Insert or replace rows."""

    def remove(self, ids: Sequence[ChunkId]) -> int:
        """Forget rows; return how many existed.  Unknown ids are not an error."""

    def search(self, vector: Vector, depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids, cosine descending, equal scores by id."""

    def scores(self, vector: Vector) -> Scores:
        """Return the cosine with every row, by ascending id."""


@runtime_checkable
class LexicalIndex(Protocol):
    """BM25 over tokens."""

    def build(self, ids: Sequence[ChunkId], tokens: Sequence[Sequence[str]]) -> None:
        """Replace the content."""

    def search(self, tokens: Sequence[str], depth: int, allowed: Ids | None = None) -> Ranking:
        """Return at most ``depth`` of the ``allowed`` ids with score > 0, best first, ties by id."""

    def columns(self, tokens: Sequence[str]) -> list[tuple[int, Rows, Scores]]:
        """Return (times in ``tokens``, rows, score of each row) of each known token, rows by ascending id."""

    def ceilings(self, tokens: Sequence[str]) -> list[float]:
        """Return what each distinct token can add at most, times included, best first."""

    def ceiling(self, tokens: Sequence[str]) -> float:
        """Return the score that no chunk can exceed for ``tokens``; unknown ones count as rarest."""

    def save(self, path: Path) -> None:
        """Write to a new or empty directory."""

    def load(self, path: Path) -> None:
        """Replace the content by what :meth:`save` wrote.  Raises: CorruptIndex."""


@runtime_checkable
class Fusion(Protocol):
    """Merges rankings of one query."""

    def fuse(self, rankings: Mapping[str, Ranking], query: Query) -> Ranking:
        """Return the union of all rankings, best first, ties by id."""


@runtime_checkable
class Reranker(Protocol):
    """Reorders hits; finds none."""

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the same hits in a better order, ranks renumbered from 1."""


@runtime_checkable
class Generator(Protocol):
    """Writes a completion."""

    @property
    def name(self) -> str:
        """What a ledger calls this model."""

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and completion may have together."""

    def count_messages(self, messages: Sequence[Message]) -> int:
        """Return the exact tokens of the rendered prompt, template included."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return tokens per text, without special tokens."""

    def generate(
        self,
        prompt: Prompt,
        *,
        owner: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write at most ``max_tokens``; ``on_text`` sees each piece as it comes.

        ``owner`` names the person: nothing cached for one owner may serve another.
        Raises: ModelUnavailable, ContextOverflow, GenerationTimeout.
        """


@runtime_checkable
class Scorer(Protocol):
    """Says how likely a model finds a text; a generator may be one too."""

    def score(self, messages: Sequence[Message], text: str, *, owner: str) -> Scored:
        """Return the log-probability of each token of ``text`` as the answer to ``messages``.

        What ``messages`` shares with the last ones of the same ``owner`` is not read again.
        Raises: ModelUnavailable, ContextOverflow, GenerationTimeout.
        """


@runtime_checkable
class Constrained(Protocol):
    """Writes only what a grammar allows; a generator may be one too."""

    def constrained(
        self,
        messages: Sequence[Message],
        grammar: str,
        *,
        owner: str,
        max_tokens: int,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write at most ``max_tokens`` of what ``grammar`` (GBNF, rule ``root``) allows, the likeliest.

        It may give way to :meth:`Generator.generate` and then ends as cancelled; what it read serves nobody
        afterwards.  Raises: GenerateError for a grammar that cannot be read; ConfigError where the backend
        knows none; ModelUnavailable, ContextOverflow, GenerationTimeout.
        """
