"""ragperso.retrieve.rerank: the arithmetic of budget and fusion, and which folders it takes for what."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ragperso import backends, models
from ragperso.errors import ModelUnavailable
from ragperso.retrieve.rerank import (
    BudgetedReranker,
    CrossEncoder,
    LateInteraction,
    _Tokens,
    _Transformer,
    kind_of,
    load_reranker,
    n_reranked,
)
from ragperso.types import Chunk, ChunkId, DocumentId, Hit, Leg, Query
from tests.contracts.test_reranker import colbert, cross_encoder, stanford
from tests.tiny_bert import tiny_bert

QUERY = Query("which car")


def hits(*scores: float) -> list[Hit]:
    """Hits 1, 2, ... with these scores; the text is the number."""
    return [
        Hit(
            rank=i,
            score=score,
            chunk=Chunk(
                id=ChunkId(i), document_id=DocumentId(i), corpus="documents", ordinal=0, start=0, end=1,
                n_tokens=1, text=str(i),
            ),
            via={"dense": Leg(i, score)},
        )
        for i, score in enumerate(scores, start=1)
    ]  # fmt: skip


def order(found: Sequence[Hit]) -> list[int]:
    return [hit.chunk.id for hit in found]


class Slow:
    """A scorer whose every text has ``size`` tokens, of which each takes ``ms``; a clock that it moves."""

    def __init__(self, score: Callable[[str], float], *, ms: float = 1.0, size: int = 10) -> None:
        self.score = score
        self.ms = ms
        self.size = size
        self.now_ms = 0.0
        self.load_ms = 0.0
        self.begin_ms = 0.0
        self.begun = 0
        self.batches: list[int] = []

    def clock(self) -> float:
        return self.now_ms / 1000

    def load(self) -> None:
        self.now_ms += self.load_ms

    def begin(self, query: str, texts: Sequence[str]) -> Slow._Job:
        self.now_ms += self.begin_ms
        self.begun += 1
        return Slow._Job(self, texts)

    class _Job:
        def __init__(self, scorer: Slow, texts: Sequence[str]) -> None:
            self.scorer, self.texts = scorer, texts
            self.sizes = [scorer.size] * len(texts)

        def score(self, start: int, stop: int) -> list[float]:
            self.scorer.batches.append(stop - start)
            self.scorer.now_ms += (stop - start) * self.scorer.size * self.scorer.ms
            return [self.scorer.score(text) for text in self.texts[start:stop]]


def timed(scorer: Slow, budget_ms: float, *, depth: int = 50, weight: float = 1.0) -> BudgetedReranker:
    return BudgetedReranker(scorer, budget_ms=budget_ms, depth=depth, weight=weight, clock=scorer.clock)


# ---------------------------------------------------------------- fusion


def test_alone_it_decides() -> None:
    found = timed(Slow(float), 1e9).rerank(QUERY, hits(0.9, 0.5, 0.4))
    assert order(found) == [3, 2, 1]
    assert [hit.rank for hit in found] == [1, 2, 3]
    assert [hit.via["rerank"] for hit in found] == [Leg(1, 3.0), Leg(2, 2.0), Leg(3, 1.0)]
    # 3, 2, 1 scaled to 1, 1/2, 0, then from [0, 1] to [0.4, 0.9]
    assert [hit.score for hit in found] == pytest.approx([0.9, 0.65, 0.4])


def test_the_first_stage_has_the_rest_of_the_weight() -> None:
    found = timed(Slow(float), 1e9, weight=0.25).rerank(QUERY, hits(1.0, 0.8, 0.0))
    # .25 * (0, 1/2, 1) + .75 * (1, .8, 0)
    assert order(found) == [1, 2, 3]
    assert [hit.score for hit in found] == pytest.approx([0.75, 0.725, 0.25])
    assert [hit.via["rerank"].rank for hit in found] == [3, 2, 1]


def test_without_weight_nothing_moves() -> None:
    found = timed(Slow(float), 1e9, weight=0.0).rerank(QUERY, hits(0.9, 0.5, 0.4))
    assert order(found) == [1, 2, 3]
    assert [hit.score for hit in found] == pytest.approx([0.9, 0.5, 0.4])


def test_ties_keep_their_order() -> None:
    found = timed(Slow(lambda text: float(text == "3")), 1e9).rerank(QUERY, hits(0.9, 0.5, 0.4, 0.1))
    assert order(found) == [3, 1, 2, 4]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_counts_as_the_least(broken: float) -> None:
    found = timed(Slow(lambda text: broken if text == "1" else float(text)), 1e9)
    assert order(found.rerank(QUERY, hits(0.9, 0.5, 0.4))) == [3, 1, 2], "1 ties with the least, 2"


def test_the_weight_is_a_share() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        timed(Slow(float), 1, weight=1.5)


# ---------------------------------------------------------------- budget


def test_below_the_depth_nothing_is_read() -> None:
    found = timed(Slow(float), 1e9, depth=2).rerank(QUERY, hits(0.9, 0.5, 0.4, 0.3))
    assert order(found) == [2, 1, 3, 4]
    assert n_reranked(found) == 2
    assert [hit.score for hit in found] == pytest.approx([0.9, 0.5, 0.4, 0.3])


def test_scores_of_what_was_not_read_stay_below() -> None:
    found = timed(Slow(float), 1e9, depth=2).rerank(QUERY, hits(0.9, 0.5, 0.7))
    assert [hit.score for hit in found] == pytest.approx([0.9, 0.5, 0.5])


def test_the_budget_sizes_the_pool() -> None:
    scorer = Slow(float, ms=1.0, size=300)  # batches: 4 hits, then 3 each, of 300 ms a hit
    ranked = timed(scorer, 3100)
    found = ranked.rerank(QUERY, hits(*(1 / i for i in range(1, 21))))
    assert scorer.batches == [4, 3, 3], "10 hits take 3,000 ms, and 3 more would take 3,900"
    assert order(found) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, *range(11, 21)]
    assert n_reranked(found) == 10
    assert ranked.pace.ms_per_token == pytest.approx(1.0)


def test_a_batch_stays_below_its_tokens_and_holds_one_hit_at_least() -> None:
    scorer = Slow(float, size=2000)
    timed(scorer, 1e9).rerank(QUERY, hits(*(1 / i for i in range(1, 7))))
    assert scorer.batches == [4, 1, 1]


def test_loading_costs_no_budget() -> None:
    scorer = Slow(float, size=10)
    scorer.load_ms = 10_000
    ranked = timed(scorer, 1000)
    assert n_reranked(ranked.rerank(QUERY, hits(*(1 / i for i in range(1, 21))))) == 20


def test_when_two_do_not_fit_none_are_read_and_later_it_tries_again() -> None:
    scorer = Slow(float, ms=10.0)  # a hiccup: the first batch takes 400 ms
    ranked = timed(scorer, 100)
    assert n_reranked(ranked.rerank(QUERY, hits(0.9, 0.5, 0.4, 0.3, 0.2))) == 4
    scorer.ms = 1.0  # from here on, 40 ms
    counts = [n_reranked(ranked.rerank(QUERY, hits(0.9, 0.5, 0.4, 0.3, 0.2))) for _ in range(6)]
    # 10 ms a token, times .7 after each refusal: 400, 280, 196, 137 and at last 96 ms are expected for four.
    # Then four took 40 ms, the average is 2.4 + .3 * (1 - 2.4) = 1.98, and one more hit is expected at 20.
    assert counts == [0, 0, 0, 0, 5, 5]


def test_what_all_hits_share_is_not_done_again_when_it_alone_exceeds_the_budget() -> None:
    scorer = Slow(float)
    scorer.begin_ms = 130
    ranked = timed(scorer, 100)
    counts = []
    for _ in range(4):
        ranked.rerank(QUERY, hits(0.9, 0.5))
        counts.append(scorer.begun)
    assert counts == [1, 1, 2, 2], (
        "130 ms, then .7 * 130 = 91, which may fit, then 91 + .3 * (130 - 91) = 102.7"
    )


@pytest.mark.parametrize(("budget_ms", "depth"), [(0.0, 50), (-1.0, 50), (100.0, 0), (100.0, 1), (100.0, -3)])
def test_no_budget_or_no_depth_reads_nothing(budget_ms: float, depth: int) -> None:
    scorer = Slow(float)
    found = timed(scorer, budget_ms, depth=depth).rerank(QUERY, hits(0.9, 0.5))
    assert (order(found), scorer.batches) == ([1, 2], [])


def test_a_model_that_fails_is_named_with_its_remedy() -> None:
    def fail(text: str) -> float:
        raise IndexError(text)

    with pytest.raises(ModelUnavailable, match=r"failed \(IndexError\)") as caught:
        timed(Slow(fail), 100).rerank(QUERY, hits(0.9, 0.5))
    assert "retrieve.reranker" in caught.value.hint
    assert caught.value.stage == "retrieve"


# ---------------------------------------------------------------- folders

needs_torch = pytest.mark.model


def refused(name: str | Path) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        load_reranker(name).rerank(QUERY, hits(0.9, 0.5))
    assert "retrieve.reranker" in caught.value.hint
    assert caught.value.stage == "retrieve"
    return caught.value


def test_the_backend_is_found_by_name() -> None:
    assert backends.load("reranker", "local") is load_reranker


@pytest.mark.parametrize("prefix", ["", "late-interaction:"])
def test_no_folder(tmp_path: Path, prefix: str) -> None:
    assert "there is no reranker at" in str(refused(f"{prefix}{tmp_path / 'none'}"))
    (tmp_path / "file").write_text("x")
    refused(f"{prefix}{tmp_path / 'file'}")


def test_an_unknown_name_is_no_starter(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load_reranker("late-interaction:nobody/nothing", models_dir=tmp_path)
    assert "retrieve.reranker" in caught.value.hint


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "neither"),
        ({"config.json": "{"}, "damaged"),
        ({"config.json": "[1]"}, "neither"),
        ({"config.json": '{"architectures": ["BertModel"]}'}, "neither"),
        ({"config.json": '{"architectures": ["BertForSequenceClassification"]}'}, "what model"),
        (
            {"config.json": '{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'},
            "safetensors",
        ),
        ({"modules.json": '[{"type": "os.system", "path": ""}]'}, "another package"),
        (
            {"modules.json": '[{"type": "sentence_transformers.models.Transformer", "path": "../x"}]'},
            "outside",
        ),
        ({"modules.json": '[{"type": "sentence_transformers.models.Dense"}]'}, "start with a transformer"),
        ({"modules.json": "[3]"}, "another package"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert reason in str(refused(tmp_path))


@needs_torch
def test_pickled_weights_are_never_loaded(tmp_path: Path) -> None:
    cross_encoder(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "never loaded" in str(refused(tmp_path))


@needs_torch
def test_an_embedder_is_used_only_when_asked(tmp_path: Path) -> None:
    tiny_bert(tmp_path, pooling="cls")
    error = refused(tmp_path)
    assert f"late-interaction:{tmp_path}" in error.hint
    assert n_reranked(load_reranker(f"late-interaction:{tmp_path}").rerank(QUERY, hits(0.9, 0.5))) == 2


@needs_torch
def test_the_kind_is_read_from_the_folder(tmp_path: Path) -> None:
    assert kind_of(cross_encoder(tmp_path / "a")) == "cross-encoder"
    assert kind_of(colbert(tmp_path / "b")) == "late-interaction"
    assert kind_of(stanford(tmp_path / "c")) == "late-interaction"


@needs_torch
def test_a_classifier_of_three_labels_is_no_reranker(tmp_path: Path) -> None:
    assert "3 labels" in str(refused(cross_encoder(tmp_path, n_labels=3)))


@needs_torch
def test_a_head_without_weights_is_refused(tmp_path: Path) -> None:
    cross_encoder(tmp_path / "whole")
    tiny_bert(tmp_path / "headless")
    config = (tmp_path / "whole" / "config.json").read_text()
    (tmp_path / "headless" / "config.json").write_text(config)
    assert "lack 2 parameters" in str(refused(tmp_path / "headless")), "weight and bias of the head"


@needs_torch
def test_an_activation_that_nobody_checked_is_refused(tmp_path: Path) -> None:
    colbert(tmp_path)
    (tmp_path / "1_Dense" / "config.json").write_text('{"activation_function": "torch.hub.load"}')
    assert "activation" in str(refused(tmp_path))


@needs_torch
def test_damaged_weights_are_named(tmp_path: Path) -> None:
    cross_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    assert "cannot be loaded" in str(refused(tmp_path))


# ---------------------------------------------------------------- scores


@needs_torch
def test_a_pair_reads_as_the_tokenizer_writes_it(tmp_path: Path) -> None:
    scorer = CrossEncoder(cross_encoder(tmp_path), device="cpu")
    scorer.load()
    job = scorer.begin("the red bike", ["old car", "the street " * 500])
    # [CLS] the red bike [SEP] would be 5; the template of tiny_bert has no special tokens for pairs.
    assert scorer._transformer.tokenizer.encode("the red bike", "old car").ids == job._pairs[0].ids
    assert job.sizes[1] == 32, "cut to what the model takes"


@needs_torch
def test_a_pair_gets_its_special_tokens(tmp_path: Path) -> None:
    starter = models.resolve("starter", "embedder", tmp_path).path
    transformer = _Transformer(starter, auto_class="AutoModel", device="cpu")
    query, text = transformer.pieces(["which car?", "An old one, in the street."], 512)
    whole = transformer.tokenizer.encode("which car?", "An old one, in the street.")
    assert transformer.joined(query, text) == _Tokens(whole.ids, whole.type_ids)
    assert whole.tokens[0] == "[CLS]"
    assert whole.tokens.count("[SEP]") == 2
    assert [len(one.ids) for one in transformer.pieces(["car " * 9, "unbelievably"], 3)] == [3, 3]


@needs_torch
def test_scores_are_those_of_the_model_alone(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    scorer = CrossEncoder(cross_encoder(tmp_path), device="cpu")
    scorer.load()
    texts = ["old car", "", "a blue bike in the street"]
    job = scorer.begin("the red bike", texts)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        alone = [
            model(input_ids=torch.tensor([pair.ids]), token_type_ids=torch.tensor([pair.types])).logits.item()
            for pair in job._pairs
        ]
    assert job.score(0, 3) == pytest.approx(alone, abs=1e-6), "padding changes nothing"
    assert len(set(alone)) == 3


def by_hand(folder: Path, query: list[int], text: list[int], skipped: set[int]) -> float:
    """Mean over query tokens of the best cosine with a token of the text, one pair at a time."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    dense = folder / "1_Dense" / "model.safetensors"
    weight = load_file(dense)["linear.weight"].numpy() if dense.exists() else np.eye(16)
    rows = []
    with torch.inference_mode():
        for ids in (query, text):
            rows.append(model(torch.tensor([ids])).last_hidden_state[0].numpy() @ weight.T)
    best = []
    for q, asked in zip(rows[0], query, strict=True):
        if asked in skipped:
            continue
        cosines = [
            float(q @ t / np.linalg.norm(q) / np.linalg.norm(t))
            for t, token in zip(rows[1], text, strict=True)
            if token not in skipped
        ]
        best.append(max(cosines))
    return sum(best) / len(best)


@needs_torch
def test_late_interaction_is_the_mean_of_best_cosines(tmp_path: Path) -> None:
    scorer = LateInteraction(colbert(tmp_path), device="cpu")
    scorer.load()
    tokenizer = scorer._transformer.tokenizer
    cls, sep, colon = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", ":"))
    q, d = tokenizer.token_to_id("query"), tokenizer.token_to_id("passage")
    red, car, street = (tokenizer.token_to_id(word) for word in ("red", "car", "street"))
    scores = scorer.begin("red car", ["street : car", "red"]).score(0, 2)
    asked = [cls, q, red, car, sep]
    assert scores == pytest.approx(
        [
            by_hand(tmp_path, asked, [cls, d, street, colon, car, sep], {colon}),
            by_hand(tmp_path, asked, [cls, d, red, sep], set()),
        ],
        abs=1e-5,
    )


@needs_torch
def test_a_plain_encoder_is_compared_by_its_words_alone(tmp_path: Path) -> None:
    scorer = LateInteraction(tiny_bert(tmp_path), device="cpu")
    scorer.load()
    ids = [scorer._transformer.tokenizer.token_to_id(word) for word in ("[CLS]", "[SEP]", "old", "car", ":")]
    cls, sep, old, car, colon = ids
    (score,) = scorer.begin("old :", ["old car"]).score(0, 1)
    asked, text = [cls, old, colon, sep], [cls, old, car, sep]
    assert score == pytest.approx(by_hand(tmp_path, asked, text, {cls, sep, colon}), abs=1e-5)


@needs_torch
def test_without_words_the_special_tokens_are_compared(tmp_path: Path) -> None:
    scorer = LateInteraction(tiny_bert(tmp_path), device="cpu")
    scorer.load()
    cls, sep = (scorer._transformer.tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    (score,) = scorer.begin("", [""]).score(0, 1)
    assert score == pytest.approx(by_hand(tmp_path, [cls, sep], [cls, sep], set()), abs=1e-5)


@needs_torch
def test_the_linear_layer_counts(tmp_path: Path) -> None:
    with_layer, stated = colbert(tmp_path / "a"), stanford(tmp_path / "b")
    without = tiny_bert(tmp_path / "c")
    scores = []
    for folder in (with_layer, stated, without):
        scorer = LateInteraction(folder, device="cpu")
        scorer.load()
        scores.append(scorer.begin("old", ["the red bike"]).score(0, 1)[0])
    assert len({round(score, 4) for score in scores}) == 3


@needs_torch
def test_damaged_settings_of_a_layer_do_not_surprise(tmp_path: Path) -> None:
    colbert(tmp_path)
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps([1]))
    assert n_reranked(load_reranker(tmp_path).rerank(QUERY, hits(0.9, 0.5))) == 2
