"""Each part is left out alone, paired with everything, and only where that changes something."""

from __future__ import annotations

import json

import pytest

from ragperso import config
from ragperso.config import Config
from ragperso.evaluate import ablation, datasets, harness, report
from ragperso.evaluate.ablation import COMPONENTS, Component

DOCS = [
    {"user": "ana", "id": "bank", "text": "I moved my account to Elster Bank because of the fees."},
    {"user": "ana", "id": "knee", "text": "The doctor said my left knee needs six weeks without running."},
    {"user": "ben", "id": "bread", "text": "I bake with type 80 flour from the mill."},
    {"user": "ben", "id": "tyres", "text": "Winter tyres go on in October, summer tyres at Easter."},
]
QUERIES = [
    {"user": "ana", "id": "q1", "text": "Elster Bank account fees", "gold": ["bank"], "type": "money"},
    {"user": "ben", "id": "q2", "text": "flour from the mill", "gold": ["bread"], "type": "food"},
    {"user": "ben", "id": "q3", "text": "Elster Bank account fees", "gold": []},
]


@pytest.fixture
def built(tmp_path, make_engine):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in (("docs.jsonl", DOCS), ("queries.jsonl", QUERIES)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    engine = make_engine()
    data = datasets.load(folder)
    harness.build(engine, data)
    return engine, data


def test_components_have_names_of_their_own_and_known_ones_can_be_switched_off():
    names = [component.name for component in COMPONENTS]
    assert len(set(names)) == len(names)
    for component in COMPONENTS:
        if set(component.off) <= set(config.keys()):
            component.without(Config())  # no value is refused


def test_a_component_is_left_out_only_where_that_changes_something():
    dense, lexical, weights = COMPONENTS[:3]
    assert {c.state(Config()) for c in (dense, lexical, weights)} == {"on"}
    one_leg = Config().replace({"retrieve.fusion": "lexical"})
    assert {c.state(one_leg) for c in (dense, lexical, weights)} == {"off already"}
    assert weights.state(Config().replace({"retrieve.fusion": "rrf"})) == "off already"
    diversity = next(c for c in COMPONENTS if c.name == "diversity")
    assert diversity.state(Config().replace({"retrieve.diversity": 0.0})) == "off already"
    assert diversity.state(Config().replace({"retrieve.diversity": 0.3})) == "on"


def test_a_setting_that_this_version_lacks_is_skipped_and_said():
    assert Component("magic", {"retrieve.magic": False}).state(Config()) == "not in this version"
    assert Component("half", {"retrieve.k": 1, "retrieve.magic": 0}).state(Config()) == "not in this version"


def test_worth_is_everything_minus_what_is_left(built):
    """Without any hit beyond none nothing is found: the part that limits to a perfect match is worth 0."""
    engine, data = built
    parts = (
        Component("dense", {"retrieve.fusion": "lexical"}),
        Component("magic", {"retrieve.magic": False}),
        Component("diversity", {"retrieve.diversity": 0.0}),
    )
    seen = []
    found, full = ablation.ablate(
        engine, data, metric="mrr", also=("hit@1", "MRR"), components=parts,
        on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert found.metrics == ("MRR", "hit@1")
    assert (found.full["MRR"].mean, found.n_questions) == (1.0, 2)
    assert found.full_by_group == {"food": 1.0, "money": 1.0}
    (part,) = found.parts
    less = harness.ask(
        type(engine)(config=engine.config.replace({"retrieve.fusion": "lexical"}), embedder=engine.embedder),
        data,
    )
    for name in found.metrics:
        assert part.worth[name] == harness.compare(full, less, name)
    assert part.without.mean == harness.values_of(less, "MRR").mean()
    assert part.n_changed == harness.n_changed(full, less)
    assert found.skipped == {"magic": "not in this version", "diversity": "off already"}
    assert seen == [(i, 6) for i in range(1, 7)]
    assert [r.question for r in full] == list(data.questions)


class Reversing:
    """Embeds so that a question meets the wrong document: what the lexical leg is worth shows."""

    fingerprint, dim, max_tokens = "reversing", 2, 100

    def __init__(self):
        self.n_queries = 0

    def count(self, texts):
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts):
        import numpy as np

        return np.array([[1, 0] if "bank" in t.lower() or "mill" in t else [0, 1] for t in texts], np.float32)

    def embed_query(self, text):
        import numpy as np

        self.n_queries += 1
        return np.array([0, 1], np.float32)


def test_a_leg_that_misleads_is_worth_less_than_nothing(built, tmp_path):
    """The dense leg puts the wrong one of two documents first: rank 2 each, where words alone give rank 1."""
    from ragperso.engine import Engine

    engine, data = built
    embedder = Reversing()
    settings = engine.config.replace({"general.home": str(tmp_path / "other"), "retrieve.dense_weight": 0.9,
                                      "retrieve.fusion": "weighted"})  # fmt: skip
    with Engine(config=settings, embedder=embedder) as other:
        harness.build(other, data)
        parts = (Component("dense", {"retrieve.fusion": "lexical"}),
                 Component("lexical", {"retrieve.fusion": "dense"}))  # fmt: skip
        found, _ = ablation.ablate(other, data, metric="hit@1", also=(), components=parts)
    assert found.full["hit@1"].mean == 0.0
    dense, lexical = found.parts
    assert (dense.without.mean, dense.worth["hit@1"].mean) == (1.0, -1.0)
    assert dense.worth_by_group == {"food": -1.0, "money": -1.0}
    assert (lexical.worth["hit@1"].mean, lexical.n_changed) == (0.0, 0)
    # Three runs, and two different texts asked: the third question repeats the first.
    assert embedder.n_queries == 2


def test_without_gold_or_with_an_unknown_metric_nothing_is_run(built):
    engine, data = built
    with pytest.raises(ValueError, match="no metric"):
        ablation.ablate(engine, data, metric="f1")
    only = datasets.DataSet(data.name, data.docs, data.questions[2:], data.documents)
    with pytest.raises(ValueError, match="no question has gold"):
        ablation.ablate(engine, only)


def test_the_table_fits_eighty_columns_and_says_what_was_skipped(built):
    engine, data = built
    found, _ = ablation.ablate(engine, data)
    text = report.ablation_text(found)
    assert max(map(len, text.splitlines())) <= 80
    assert ["nDCG@10", "by", "type", "food", "money"] in [line.split() for line in text.splitlines()]
    assert "off already:" in text
    told = report.ablation_json(found)
    assert told["metrics"] == ["nDCG@10", "R@10", "hit@1"]
    assert {part["name"] for part in told["components"]} | set(told["skipped"]) == {
        c.name for c in COMPONENTS
    }
    json.dumps(told)
