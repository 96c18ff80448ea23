"""Two configurations on the same questions, and whether relevance tells what can be answered."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ragperso import metrics
from ragperso.config import Config
from ragperso.errors import ConfigError
from ragperso.evaluate import datasets, harness, report
from ragperso.evaluate.datasets import ADVERSARIAL, DataSet, Question

FIRST = Question("q1", "ana", "?", ("a",), "who")
SECOND = Question("q2", "ana", "?", ("a", "b"), "what")
THIRD = Question("q3", "ben", "?", ("c",), "what")
NO_GOLD = Question("q4", "ben", "?", (), "what")
TRAP = Question("q5", "ben", "?", ("c",), ADVERSARIAL)
DATA = DataSet("set", None, (FIRST, SECOND, THIRD), {})


def ranked(question: Question, documents: str, relevance: float = 0.0) -> harness.Ranked:
    return harness.Ranked(question, tuple((d, 1.0) for d in documents), relevance, 1.0)


OLD = [ranked(FIRST, "xa"), ranked(SECOND, "ab"), ranked(THIRD, "xyz")]
NEW = [ranked(FIRST, "ax"), ranked(SECOND, "ab"), ranked(THIRD, "xcz")]


# ---------------------------------------------------------------- metrics by name, groups


@pytest.mark.parametrize(
    ("typed", "name"), [("ndcg@10", "nDCG@10"), (" R@05 ", "R@5"), ("HIT@1", "hit@1"), ("p@3", "P@3"),
                        ("mrr", "MRR"), ("MAP", "MAP")]
)  # fmt: skip
def test_a_metric_is_found_whatever_the_case(typed, name):
    assert harness.metric_named(typed)[0] == name


@pytest.mark.parametrize("typed", ["", "R", "R@", "R@0", "R@-1", "R@51", "MRR@10", "recall@5", "R@x"])
def test_an_unknown_metric_is_refused(typed):
    with pytest.raises(ValueError, match="no metric has this name"):
        harness.metric_named(typed)


def test_groups_are_types_or_people_and_leave_out_questions_without_gold():
    rankings = [*NEW, ranked(NO_GOLD, "x")]
    by_type = {name: rows.tolist() for name, rows in harness.groups_of(rankings, "type").items()}
    assert by_type == {"all": [True, True, True], "what": [False, True, True], "who": [True, False, False]}
    by_user = {name: rows.tolist() for name, rows in harness.groups_of(rankings, "user").items()}
    assert by_user == {"all": [True, True, True], "ana": [True, True, False], "ben": [False, False, True]}
    assert list(harness.groups_of(NEW[:1], "type")) == ["all"]
    assert harness.groups_of([ranked(NO_GOLD, "x")], "type") == {}


def test_someone_called_all_does_not_replace_the_total():
    everyone = Question("q", "all", "?", ("a",))
    groups = harness.groups_of([*NEW, ranked(everyone, "a")], "user")
    assert groups["all"].sum() == 4
    assert groups["user all"].sum() == 1


def test_precision_is_shown_when_asked_for():
    assert "P@2" not in harness.score(DATA, NEW, cutoffs=(2,)).metrics["all"]
    found = harness.score(DATA, NEW, cutoffs=(2,), also=("P@2",)).metrics["all"]
    # One of two, two of two, one of two.
    assert found["P@2"].mean == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)


# ---------------------------------------------------------------- two configurations


def test_a_comparison_is_second_minus_first_in_every_group():
    found = harness.comparison(DATA, OLD, NEW, settings={"retrieve.k": (1, 2)}, main="MRR", cutoffs=(1,))
    # Reciprocal ranks 1/2, 1, 0 against 1, 1, 1/2.
    assert found.differences["all"]["MRR"].mean == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert found.differences["who"]["MRR"].mean == 1 / 2
    assert found.differences["what"]["MRR"].mean == 1 / 4
    assert found.differences["all"]["hit@1"].mean == pytest.approx(1 / 3)
    assert (found.first.metrics["all"]["hit@1"].mean, found.second.metrics["all"]["hit@1"].mean) == (
        pytest.approx(1 / 3), pytest.approx(2 / 3)
    )  # fmt: skip
    assert (found.n_changed, found.main) == (2, "MRR")
    assert found.differences["all"]["MRR"] == metrics.compare(
        np.array([1, 1, 1 / 2]), np.array([1 / 2, 1, 0])
    )


def test_the_table_of_a_comparison_fits_and_names_the_settings():
    found = harness.comparison(
        DATA, OLD, NEW, settings={"retrieve.names": (True, False)}, main="R@20", thresholds=(0.5, 0.4)
    )
    text = report.comparison_text(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "retrieve.names = false  (first: true)" in text
    assert "R@20 by type" in text
    assert "the ranking of 2 of 3 questions changed" in text
    told = report.comparison_json(found)
    assert told["settings"] == {"retrieve.names": {"first": True, "second": False}}
    # Of all three questions the third gains its one document.
    assert told["second_minus_first"]["all"]["R@20"]["mean"] == 0.3333
    json.dumps(told)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (metrics.Difference(0.25, -0.004, 1.0, 0.14, 9), "+.250 [-.004, +1.000] p=.140"),
        (metrics.Difference(-0.25, -0.5, -0.1, 0.0005, 9), "-.250 [-.500, -.100] p<.001"),
        (metrics.Difference(0.0, 0.0, 0.0, 1.0, 9), "+.000 [+.000, +.000] p=1"),
    ],
)
def test_a_difference_is_written_in_one_piece(found, text):
    assert report.difference(found) == text


def test_differing_names_each_setting_with_both_values():
    other = Config().replace({"retrieve.k": 7, "index.b": 0.5, "general.home": "elsewhere"})
    assert harness.differing(Config(), other) == {"index.b": (0.75, 0.5), "retrieve.k": (10, 7)}


# ---------------------------------------------------------------- declining


def test_declining_counts_adversarial_questions_and_those_without_gold_as_unanswerable():
    """Pairs (.9 .6) (.9 .2) (.4 .6) (.4 .2) (.7 .6) (.7 .2): five of six are ordered right."""
    rankings = [
        ranked(FIRST, "a", 0.9), ranked(SECOND, "a", 0.4), ranked(THIRD, "c", 0.7),
        ranked(NO_GOLD, "c", 0.6), ranked(TRAP, "c", 0.2),
    ]  # fmt: skip
    found = harness.declining(rankings, 0.5)
    assert (found.n_answerable, found.n_unanswerable) == (3, 2)
    assert found.auroc.mean == 5 / 6
    assert found.declined_answerable.mean == 1 / 3
    assert found.declined_unanswerable.mean == 1 / 2
    # Retrieval still counts the adversarial one, whose document was found first.
    assert harness.score(DATA, rankings, threshold=0.5).metrics[ADVERSARIAL]["hit@1"].mean == 1.0


def test_a_relevance_at_the_threshold_is_not_declined():
    assert harness.declining([ranked(FIRST, "a", 0.5)], 0.5).declined_answerable.mean == 0.0


def test_without_unanswerable_questions_there_is_no_auroc():
    found = harness.score(DATA, NEW, threshold=0.5)
    assert found.declining.auroc is None
    assert found.declining.declined_unanswerable is None
    assert "AUROC" not in report.as_text(found)
    assert report.as_json(found)["declining"]["auroc"] is None
    assert harness.score(DATA, NEW).declining is None


def test_the_report_shows_how_well_relevance_tells():
    rankings = [ranked(FIRST, "a", 0.9), ranked(NO_GOLD, "c", 0.2)]
    text = report.as_text(harness.score(DATA, rankings, threshold=0.5))
    assert "AUROC of relevance 1.000 (1.000 - 1.000)" in text
    assert "declined below .500" in text


# ---------------------------------------------------------------- the second engine

DOCS = [
    {"user": "ana", "id": "bank", "text": "I moved my account to Elster Bank because of the fees."},
    {"user": "ben", "id": "bread", "text": "I bake with type 80 flour from the mill."},
]


@pytest.fixture
def built(tmp_path, make_engine):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DOCS), encoding="utf-8")
    query = {"user": "ana", "id": "q", "text": "Elster Bank account", "gold": ["bank"]}
    (folder / "queries.jsonl").write_text(json.dumps(query) + "\n", encoding="utf-8")
    engine = make_engine(**{"index.embedder_backend": "hash", "learn.mine": False})
    data = datasets.load(folder)
    harness.build(engine, data)
    return engine, data


def test_settings_of_retrieval_read_the_same_home(built):
    engine, data = built
    with harness.other_engine(engine, data, engine.config.replace({"retrieve.fusion": "dense"})) as other:
        assert other.home == engine.home
        assert other.embedder is engine.embedder
        (found,) = harness.ask(other, data)
    assert found.hits[0][0] == "bank"
    assert set(harness.differing(engine.config, other.config)) == {"retrieve.fusion"}


def test_settings_of_ingest_get_a_home_of_their_own_that_goes_again(built):
    engine, data = built
    with harness.other_engine(engine, data, engine.config.replace({"ingest.chunk_tokens": 6})) as other:
        home = other.home
        assert home != engine.home
        assert [other.session(u).store.counts()["documents:documents"] for u in ("ana", "ben")] == [1, 1]
        assert other.session("ana").store.counts()["chunks:documents"] > 1
        assert engine.session("ana").store.counts()["chunks:documents"] == 1
        assert harness.ask(other, data)[0].hits[0][0] == "bank"
    assert not home.exists()


def test_a_kept_second_home_stands_beside_the_first_and_is_used_again(built, tmp_path):
    engine, data = built
    homes = []
    for _ in range(2):
        config = engine.config.replace({"index.b": 0.1})
        with harness.other_engine(engine, data, config, kept=engine.home) as other:
            homes.append(other.home)
    assert homes[0] == homes[1] != engine.home
    assert homes[0].parent == engine.home.parent
    assert sorted(other.users()) == ["ana", "ben"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "is the first one"),
        ({"generate.seed": 3}, "generate.seed does not change what is found"),
        ({"general.user": "ben"}, "general.user does not change what is found"),
    ],
)
def test_a_second_configuration_must_differ_in_what_is_found(built, change, reason):
    engine, data = built
    with (
        pytest.raises(ConfigError, match=reason),
        harness.other_engine(engine, data, engine.config.replace(change)),
    ):
        pass


def test_without_documents_there_is_nothing_to_build_a_second_index_from(built):
    engine, data = built
    asked = DataSet(data.name, None, data.questions, {})
    with (
        pytest.raises(ConfigError, match=r"index\.b needs an index of its own"),
        harness.other_engine(engine, asked, engine.config.replace({"index.b": 0.1})),
    ):
        pass
