"""Public doubles: small, honest implementations of the protocols that need no model files.

They are what the tests of this package run on, what a plugin author can test against, and (``HashEmbedder``)
a working choice for machines without torch: ``index.embedder_backend = "hash"``.
"""

from __future__ import annotations

import re
import time
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np

from ragperso.errors import ContextOverflow
from ragperso.types import Completion, Message, Prompt, Vector, Vectors

_WORD: Final = re.compile(r"\w+")
_SENTENCE: Final = re.compile(r".+?(?:[.!?](?=\s|$)|[。！？]|$)", re.DOTALL)
_PIECE: Final = re.compile(r"\s*\S+")
_GRAM: Final = 3  # characters per gram, as in fastText's lower bound (Bojanowski et al. 2017)
_GRAM_WEIGHT: Final = 0.25  # a shared stem counts, a shared word counts more
_SHORT: Final = 3  # letters; such words are mostly function words
_SHORT_WEIGHT: Final = 0.25
_CACHED_WORDS: Final = 50_000


class WordCounter:
    """Counts words between whitespace; a TokenCounter whose sums can be done by eye."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class HashEmbedder:
    """Signed feature hashing of words and their character 3-grams; texts that share words are close.

    Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning", equation 1.
    Knows nothing of meaning: "car" and "vehicle" are strangers.  A text without words gets one fixed row.
    """

    def __init__(self, dim: int = 64, *, max_tokens: int = 256) -> None:
        if dim < 1:
            raise ValueError("dim must be at least 1")
        self._dim = dim
        self._max_tokens = max_tokens
        self._words: dict[str, Vector] = {}

    @property
    def fingerprint(self) -> str:
        return f"hash-v1/{self._dim}"

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return WordCounter().count(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self._dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = self.embed_query(text)
        return rows

    def embed_query(self, text: str) -> Vector:
        total = np.zeros(self._dim, np.float32)
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
            total += self._word(word)
        norm = float(np.linalg.norm(total))
        if norm < 1e-6:
            total[0] = norm = 1.0
        unit: Vector = total / np.float32(norm)
        return unit

    def _word(self, word: str) -> Vector:
        if (known := self._words.get(word)) is not None:
            return known
        row = np.zeros(self._dim, np.float32)
        padded = f"<{word}>"
        grams = [padded[i : i + _GRAM] for i in range(len(padded) - _GRAM + 1)]
        for feature, weight in [(word, 1.0), *((gram, _GRAM_WEIGHT) for gram in grams)]:
            code = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
            row[(code >> 1) % self._dim] += weight if code & 1 else -weight
        if len(word) <= _SHORT and word.isascii():
            row *= _SHORT_WEIGHT
        if len(self._words) >= _CACHED_WORDS:
            self._words.clear()
        self._words[word] = row
        return row


class EchoGenerator:
    """Answers with the first sentence of the most relevant passage, else repeats the question.

    A token is a word between whitespace; each message costs ``PER_MESSAGE`` more, as a chat template would.
    """

    PER_MESSAGE: Final = 4

    def __init__(self, context_tokens: int = 4096) -> None:
        self._context_tokens = context_tokens

    @property
    def name(self) -> str:
        return "echo"

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return WordCounter().count(texts)

    def count_messages(self, messages: Sequence[Message]) -> int:
        return sum(self.count([message.content for message in messages])) + self.PER_MESSAGE * len(messages)

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
        """Write word by word, as a model does; deterministic, so temperature and seed change nothing."""
        began = time.perf_counter()
        prompt_tokens = self.count_messages(prompt.messages)
        if prompt_tokens + max_tokens > self._context_tokens:
            raise ContextOverflow(
                f"{prompt_tokens} prompt tokens and {max_tokens} to write exceed {self._context_tokens}"
            )
        source = prompt.question
        if prompt.passages:
            best = max(prompt.passages, key=lambda passage: passage.relevance)  # the first of equals
            first = _SENTENCE.search(best.text.strip())
            source = first.group() if first else source
        for mark in filter(None, stop):
            source = source.split(mark, 1)[0]
        pieces = _PIECE.findall(source.strip())
        written: list[str] = []
        finish: Literal["stop", "length", "cancelled"] = "stop" if len(pieces) <= max_tokens else "length"
        first_token_ms = 0.0
        for piece in pieces[:max_tokens]:
            if is_cancelled is not None and is_cancelled():
                finish = "cancelled"
                break
            written.append(piece)
            first_token_ms = first_token_ms or (time.perf_counter() - began) * 1000
            if on_text is not None:
                on_text(piece)
        return Completion(
            text="".join(written),
            model=self.name,
            prompt_tokens=prompt_tokens,
            completion_tokens=len(written),
            finish_reason=finish,
            first_token_ms=first_token_ms,
            total_ms=(time.perf_counter() - began) * 1000,
        )
