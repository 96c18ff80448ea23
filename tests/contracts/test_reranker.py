"""The Reranker contract, run on tiny folders of every layout that a reranker comes in, and on the starter."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso.protocols import Reranker
from ragperso.retrieve.rerank import BudgetedReranker, load_reranker, n_reranked
from ragperso.types import Chunk, ChunkId, DocumentId, Hit, Leg, Query
from tests.tiny_bert import tiny_bert

TEXTS = [
    "the red bike",
    "",
    "the red car stands in the long street " * 40,
    "猫 and \ud800 a lone surrogate",
    "... !!! ...",
    "old blue car",
    "[" * 300_000,
    "the red bike",
]


def hit(i: int, text: str) -> Hit:
    chunk = Chunk(
        id=ChunkId(i), document_id=DocumentId(i), corpus="documents", ordinal=0, start=0, end=len(text),
        n_tokens=len(text.split()), text=text, document=f"{i}.md",
    )  # fmt: skip
    return Hit(rank=i, score=1 / i, chunk=chunk, via={"dense": Leg(i, 1 / i)}, relevance=0.5)


HITS = [hit(i, text) for i, text in enumerate(TEXTS, start=1)]


def cross_encoder(folder: Path, *, n_labels: int = 1, seed: int = 0) -> Path:
    """Write a tiny BERT with a classification head."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tiny_bert(folder, seed=seed)
    torch.manual_seed(seed)
    config = BertConfig.from_pretrained(folder, num_labels=n_labels)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def colbert(folder: Path, *, kind: str = "pylate.models.Dense.Dense", transformer: str = "") -> Path:
    """Write a tiny BERT with a linear layer of 4 dimensions behind it, the way PyLate does."""
    import torch
    from safetensors.torch import save_file

    tiny_bert(folder / transformer)
    (folder / "1_Dense").mkdir()
    torch.manual_seed(1)
    save_file({"linear.weight": torch.randn(4, 16)}, folder / "1_Dense" / "model.safetensors")
    settings = {
        "in_features": 16,
        "out_features": 4,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (folder / "1_Dense" / "config.json").write_text(json.dumps(settings))
    modules = [
        {"idx": 0, "name": "0", "path": transformer, "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": kind},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"query_prefix": "query ", "document_prefix": "passage ", "skiplist_words": [":"]})
    )
    return folder


def stanford(folder: Path) -> Path:
    """Write a tiny BERT and its linear layer in one file, the way Stanford's ColBERT does."""
    import torch
    from safetensors.torch import load_file, save_file

    tiny_bert(folder)
    tensors = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    weights = {f"bert.{key}": value for key, value in tensors.items()} | {"linear.weight": torch.randn(4, 16)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    return folder


Maker = Callable[[Path, float], BudgetedReranker]
MAKERS: dict[str, Maker] = {
    "cross-encoder": lambda folder, ms: load_reranker(cross_encoder(folder), device="cpu", budget_ms=ms),
    "two labels": lambda folder, ms: load_reranker(
        cross_encoder(folder, n_labels=2), device="cpu", budget_ms=ms, weight=0.5
    ),
    "pylate": lambda folder, ms: load_reranker(str(colbert(folder)), device="cpu", budget_ms=ms),
    "sentence-transformers": lambda folder, ms: load_reranker(
        colbert(folder, kind="sentence_transformers.models.Dense", transformer="0_Transformer"),
        device="cpu",
        budget_ms=ms,
    ),
    "stanford": lambda folder, ms: load_reranker(stanford(folder), device="cpu", budget_ms=ms),
    "encoder": lambda folder, ms: load_reranker(
        f"late-interaction:{tiny_bert(folder)}", device="cpu", budget_ms=ms
    ),
    "embedder": lambda folder, ms: load_reranker(
        f"late-interaction:{tiny_bert(folder, pooling='cls')}", device="cpu", budget_ms=ms, weight=1.0
    ),
    "starter": lambda folder, ms: load_reranker(
        "late-interaction:starter", device="cpu", budget_ms=ms, models_dir=folder
    ),
}
AMPLE_MS = 1e9
pytestmark = pytest.mark.model


@pytest.fixture(scope="module", params=list(MAKERS))
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[float], BudgetedReranker]:
    return lambda ms: MAKERS[request.param](tmp_path_factory.mktemp("reranker"), ms)


@pytest.fixture(scope="module")
def reranker(make: Callable[[float], BudgetedReranker]) -> BudgetedReranker:
    return make(AMPLE_MS)


def test_is_a_reranker(reranker: BudgetedReranker) -> None:
    assert isinstance(reranker, Reranker)


def test_gives_back_the_same_hits_with_ranks_from_one(reranker: BudgetedReranker) -> None:
    found = reranker.rerank(Query("the old car"), HITS)
    assert [one.rank for one in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {one.chunk.id: one.text for one in found} == {one.chunk.id: one.text for one in HITS}
    assert all(one.relevance == 0.5 and one.via["dense"] for one in found)
    assert n_reranked(found) == len(HITS)
    assert sorted(one.via["rerank"].rank for one in found) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_scores_fall_and_stay_on_the_scale_they_came_with(reranker: BudgetedReranker) -> None:
    scores = [one.score for one in reranker.rerank(Query("the old car"), HITS)]
    assert scores == sorted(scores, reverse=True)
    assert 1 / 8 <= scores[-1] <= scores[0] <= 1


def test_equal_texts_get_equal_scores_and_keep_their_order(reranker: BudgetedReranker) -> None:
    found = reranker.rerank(Query("the old car"), [HITS[0], HITS[7], HITS[5]])
    twins = [one for one in found if one.text == "the red bike"]
    assert [one.chunk.id for one in twins] == [1, 8]
    assert twins[0].via["rerank"].score == pytest.approx(twins[1].via["rerank"].score, abs=1e-5)


def test_is_deterministic_also_across_loads(
    reranker: BudgetedReranker, make: Callable[[float], BudgetedReranker]
) -> None:
    first = reranker.rerank(Query("the old car"), HITS)
    assert reranker.rerank(Query("the old car"), HITS) == first
    assert make(AMPLE_MS).rerank(Query("the old car"), HITS) == first


def test_a_tiny_budget_gives_all_hits_back_and_the_unread_ones_in_order(
    make: Callable[[float], BudgetedReranker],
) -> None:
    hurried = make(1e-6)
    many = [dataclasses.replace(hit(i, f"the car {i}"), score=1 / i) for i in range(1, 11)]
    first = hurried.rerank(Query("the old car"), many)
    assert n_reranked(first) == 4, "the first call learns from one small batch"
    assert {one.chunk.id for one in first[:4]} == {1, 2, 3, 4}
    assert [one.chunk.id for one in first[4:]] == [5, 6, 7, 8, 9, 10]
    again = hurried.rerank(Query("the old car"), many)
    assert n_reranked(again) == 0, "now it knows that not even two fit"
    assert [one.chunk.id for one in again] == list(range(1, 11))
    assert [one.rank for one in again] == list(range(1, 11))


def test_nothing_and_one_are_given_back(reranker: BudgetedReranker) -> None:
    assert reranker.rerank(Query("the old car"), []) == []
    assert reranker.rerank(Query("the old car"), [HITS[2]]) == [dataclasses.replace(HITS[2], rank=1)]


@pytest.mark.parametrize("text", ["", "\ud800", "[" * 300_000, "a " * 150_000, "?!"])
def test_any_query_is_answered(reranker: BudgetedReranker, text: str) -> None:
    assert len(reranker.rerank(Query(text), HITS)) == len(HITS)


def test_threads_may_share_it(reranker: BudgetedReranker) -> None:
    short = [HITS[0], HITS[1], HITS[4], HITS[5]]
    queries = ["the old car", "a red bike", "long street", "blue"]
    alone = [reranker.rerank(Query(text), short) for text in queries]
    together: list[list[Hit]] = [[] for _ in queries]

    def ask(i: int) -> None:
        together[i] = reranker.rerank(Query(queries[i]), short)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(queries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
