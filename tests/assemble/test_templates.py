"""What a model may read: nothing invisible, nothing that passes for a control token."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from ragperso.assemble.templates import clean, one_line, provenance, render_ask
from tests.conftest import SHARED_DATA

MARKERS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<s>",
    "</s>",
]


@pytest.mark.parametrize("marker", MARKERS)
def test_chat_markers_are_broken_and_stay_broken(marker: str) -> None:
    once = clean(f"before {marker} after")
    assert marker not in once
    assert clean(once) == once
    assert marker.upper() not in clean(marker.upper())


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "List<int> x = [1, 2];", "<div>hello</div>", "x || y", "5 <s 6"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_invisible_steering_is_removed_and_joiners_stay() -> None:
    assert clean("pay\u202e100\u202c now\u200b!\U000e0041") == "pay100 now!"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean(family) == family
    assert clean("می\u200cخواهم") == "می\u200cخواهم"


def test_every_naughty_string_is_cleaned_once_and_for_all() -> None:
    path = SHARED_DATA / "hostile" / "blns.json"
    if not path.exists():
        pytest.skip("the hostile strings are not beside this checkout (../shared/data/hostile)")
    for text in json.loads(path.read_text(encoding="utf-8")):
        once = clean(text)
        assert clean(once) == once
        assert "\x00" not in once
        assert "\u202e" not in once


def test_lone_surrogates_do_not_reach_a_tokenizer() -> None:
    clean("bad \ud800 text").encode("utf-8")


def test_provenance_is_short_and_in_order() -> None:
    when = datetime(2025, 3, 4, tzinfo=timezone.utc)
    assert provenance("notes/bank.md", "Bank", ["Bank", "Why"], when, "Ana") == "Bank, Why, Ana, 2025-03-04"
    assert provenance("notes/bank.md", "", [], None, "") == "bank.md"
    assert one_line("a\n b\t c") == "a b c"


def test_the_question_stands_before_and_behind_the_passages() -> None:
    text = render_ask("Where?", ["[1] here"], ["Person: Hello"])
    assert text.startswith("Question: Where?")
    assert text.endswith("Question: Where?")
    assert text.index("Person: Hello") < text.index("[1] here")
