"""The adaptive fusion is a sum that can be redone, from a table that people can edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragperso.config import Retrieve
from ragperso.errors import ConfigError
from ragperso.retrieve.adaptive import FEATURES, SHIPPED, SIGNALS, AdaptiveFusion, Weights, load_weights
from ragperso.retrieve.evidence import Evidence
from ragperso.retrieve.fusion import from_config
from tests.retrieve.evidences import corpus, piece, seen, turn


def evidence(features: dict[str, list[float]], **signals: float) -> Evidence:
    n = len(next(iter(features.values())))
    none = np.zeros(n, np.float32)
    columns = {name: np.array(values, np.float32) for name, values in features.items()}
    return Evidence(np.arange(1, n + 1), ("documents",), (n,), none, none, none, none, columns, signals)


def table(folder: Path, text: str) -> Path:
    path = folder / "w.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_score_is_the_sum_of_weight_times_evidence() -> None:
    fusion = AdaptiveFusion(Weights({"dense": 2.0, "turn.asks": -0.5, "date": 9.0}, {}))
    found = fusion.scores(evidence({"dense": [1.0, -1.0], "turn.asks": [0.0, 1.0], "lexical": [5.0, 7.0]}))
    assert found.tolist() == [2.0 * 1, 2.0 * -1 - 0.5 * 1]  # lexical has no weight, date no column


def test_a_slope_changes_a_weight_with_the_signal_of_the_query() -> None:
    fusion = AdaptiveFusion(Weights({"dense": 2.0}, {"question_words": {"dense": 3.0, "lexical": -1.0}}))
    asked = evidence({"dense": [1.0], "lexical": [4.0]}, question_words=0.5)
    assert fusion.weight("dense", asked) == 2.0 + 3.0 * 0.5
    assert fusion.weight("lexical", asked) == -1.0 * 0.5
    assert fusion.weight("date", asked) == 0
    assert fusion.scores(asked).tolist() == [3.5 * 1 - 0.5 * 4]
    assert fusion.scores(evidence({"dense": [1.0]})).tolist() == [2.0]  # without the signal


def test_the_shipped_table_names_only_evidence_and_signals_that_there_are() -> None:
    shipped = load_weights()
    assert set(seen(corpus([turn(1), piece(2, 2)], [0.1, 0.2])).features) == set(FEATURES)
    assert {"dense", "lexical"} <= set(shipped.weights) <= set(FEATURES)
    assert set(shipped.slopes) <= set(SIGNALS)


def test_the_settings_name_another_table(tmp_path: Path) -> None:
    path = table(tmp_path, "[any]\nlexical = 1\n[turn]\nasks = -2\n[signal.question_words]\n'turn.asks' = 4")
    assert load_weights(path) == Weights(
        {"lexical": 1.0, "turn.asks": -2.0}, {"question_words": {"turn.asks": 4.0}}
    )
    fusion = from_config(Retrieve(weights=str(path)))
    assert isinstance(fusion, AdaptiveFusion)
    assert fusion.scores(evidence({"dense": [9.0], "lexical": [3.0]})).tolist() == [3.0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[any]\ndence = 1", "no evidence 'dence'"),
        ("[turn]\nlead = 1", "no evidence 'turn.lead'"),
        ("[chat]\nasks = 1", "no evidence 'chat.asks'"),
        ("[any]\ndense = 'much'", "dense must be a number"),
        ("[any]\ndense = true", "dense must be a number"),
        ("[any]\ndense = nan", "dense must be a number"),
        ("[any]\ndense = inf", "dense must be a number"),
        ("[turn]\nasks = [1]", "turn.asks must be a number"),
        ("[signal.moon]\ndense = 1", "no signal 'moon'"),
        ("[signal]\nquestion_words = 1", "no signal 'question_words'"),
        ("[signal.question_words]\nmoon = 1", "no evidence 'moon'"),
        ("[signal.question_words]\ndense = ''", "dense must be a number"),
        ("dense = 1", "'dense' stands outside a section"),
        ("[any", "is not valid TOML"),
    ],
)
def test_a_table_with_a_mistake_is_refused_by_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_weights(path)
    assert str(path) in caught.value.message
    assert named in caught.value.message
    assert caught.value.hint


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_weights(tmp_path / "absent.toml")
    (tmp_path / "w.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_weights(tmp_path / "w.toml")
    assert SHIPPED.is_file()
