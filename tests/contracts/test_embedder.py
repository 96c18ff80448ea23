"""The Embedder contract, run on the double, on tiny folders in three layouts, and on the starter model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ragperso import models
from ragperso.index.embedders import SentenceTransformerEmbedder
from ragperso.protocols import Embedder, TokenCounter
from ragperso.testing import HashEmbedder
from tests.tiny_bert import tiny_bert

TEXTS = [
    "the red bike",
    "",
    "the red car stands in the long street " * 40,
    "猫 and \ud800 a lone surrogate",
    "a",
    "the red bike",
]


def _bare(folder: Path) -> Embedder:
    return SentenceTransformerEmbedder(tiny_bert(folder))


def _cls(folder: Path) -> Embedder:
    return SentenceTransformerEmbedder(tiny_bert(folder, pooling="cls"), document_prefix="the red ")


def _starter(folder: Path) -> Embedder:
    found = models.resolve("starter", "embedder", folder)
    return SentenceTransformerEmbedder(found.path, device="cpu", weights_sha256=found.sha256)


MAKERS: dict[str, Callable[[Path], Embedder]] = {
    "hash": lambda folder: HashEmbedder(),
    "bare": _bare,
    "cls": _cls,
    "starter": _starter,
}


@pytest.fixture(
    scope="module",
    params=["hash", *(pytest.param(name, marks=pytest.mark.model) for name in ("bare", "cls", "starter"))],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return MAKERS[request.param](tmp_path_factory.mktemp("embedder"))


def test_is_an_embedder_and_a_token_counter(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, TokenCounter)
    assert embedder.dim >= 1
    assert embedder.max_tokens >= 1
    assert embedder.fingerprint == embedder.fingerprint.strip() != ""


def test_rows_are_unit_float32_in_the_given_order(embedder: Embedder) -> None:
    rows = embedder.embed_documents(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.dim)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    assert rows[0] == pytest.approx(rows[5], abs=1e-5), "the same text, in another batch or not"
    for i, text in enumerate(TEXTS):
        assert embedder.embed_documents([text])[0] == pytest.approx(rows[i], abs=1e-4)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.dim)
    assert embedder.count([]) == []


def test_a_query_is_one_unit_row(embedder: Embedder) -> None:
    row = embedder.embed_query("the red bike")
    assert row.shape == (embedder.dim,)
    assert row.dtype == np.float32
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    assert embedder.embed_query("the red bike") == pytest.approx(row, abs=0), "and the same each time"


def test_a_query_is_nearest_to_the_text_it_repeats(embedder: Embedder) -> None:
    texts = ["the red bike", "old street car", "a long blue stand"]
    cosines = embedder.embed_documents(texts) @ embedder.embed_query("old street car")
    assert int(np.argmax(cosines)) == 1


def test_counting_neither_cuts_nor_adds_special_tokens(embedder: Embedder) -> None:
    assert embedder.count(["", "the", "the red bike"]) == [0, 1, 3]
    assert embedder.count(["the red " * 2000]) == [4000]
    assert embedder.count(["\ud800"])[0] >= 0
