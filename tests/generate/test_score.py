"""Stage 5: how likely the real starter model finds a given text, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from ragperso.config import Generate
from ragperso.errors import ContextOverflow, GenerationTimeout, ModelUnavailable
from ragperso.protocols import Scorer
from ragperso.testing import EchoGenerator
from ragperso.types import Message
from tests.generate.test_llamacpp import LONG, cache_dir, generator, gguf, llamacpp, prompt

__all__ = ["cache_dir", "generator", "gguf"]  # fixtures

pytestmark = pytest.mark.model

TEXT = "The key is under the blue pot, as it was last week."
MIXED = "Grüße 🙂, 漢字."


@pytest.fixture
def fresh(gguf: Path, cache_dir: Path) -> Iterator[llamacpp.LlamaCppGenerator]:
    made = llamacpp.LlamaCppGenerator(gguf, Generate(context_tokens=1024), cache_dir=cache_dir)
    yield made
    made.close()


# A batch of a single token goes through another kernel of llama.cpp, whose figures differ by up to .3 nats;
# batches of 4 to 128 give the same bits (measured 2026-11).  So each reading here takes at least this many.
TAIL = 8


def by_definition(
    generator: llamacpp.LlamaCppGenerator, messages: Sequence[Message], text: str
) -> list[float]:
    """Return each token's log-probability from the logits behind everything before it, one reading each."""
    generator.count(["x"])  # the model is there
    model = generator._engine.model
    context = generator._context(model, 1024)
    ids = generator.tokens(messages)
    head, tail = ids[:-TAIL], ids[-TAIL:]
    for start in range(0, len(head), 50):
        context.decode(head[start : start + 50], logits=False)
    found: list[float] = []
    wanted = model.tokenise(text, special=False)
    for i, token in enumerate(wanted):
        assert context.keep(len(head))
        context.decode([*tail, *wanted[:i]])
        row = np.array(context.logits()[: model.n_vocab], np.float64)
        found.append(float(row[token] - row.max() - math.log(np.exp(row - row.max()).sum())))
    context.free()
    return found


@pytest.mark.parametrize("text", [TEXT, MIXED])
def test_the_figures_are_the_logits_behind_each_beginning(
    generator: llamacpp.LlamaCppGenerator, text: str
) -> None:
    scored = generator.score(LONG.messages, text, owner="ana")
    assert scored.logprobs == pytest.approx(by_definition(generator, LONG.messages, text), abs=1e-3)
    assert all(math.isfinite(value) and value < 0 for value in scored.logprobs)


def test_a_text_is_its_beginning_and_the_rest_behind_it(generator: llamacpp.LlamaCppGenerator) -> None:
    """Chain rule: the whole is the first half, and the second half given the first."""
    whole = generator.score(LONG.messages, TEXT, owner="ana")
    first = generator.score(LONG.messages, TEXT[: TEXT.index(", as")], owner="ana")
    n = len(first.logprobs)
    assert first.logprobs == pytest.approx(whole.logprobs[:n], abs=1e-3)
    rest = by_definition(generator, LONG.messages, TEXT)[n:]
    assert first.total + sum(rest) == pytest.approx(whole.total, abs=1e-3)


@pytest.mark.parametrize("text", [TEXT, MIXED, "🙂", " leading", "a\n\nb\n", "<|im_end|>", "x\ud800y"])
def test_ends_are_where_each_token_ends_in_the_bytes(
    generator: llamacpp.LlamaCppGenerator, text: str
) -> None:
    data = text.encode("utf-8", "replace")
    scored = generator.score(LONG.messages, text, owner="ana")
    assert scored.n_bytes == len(data) == scored.ends[-1]
    assert len(scored.ends) == len(scored.logprobs)
    model = generator._engine.model
    pieces = [model.piece(token) for token in model.tokenise(text, special=False)]
    starts = (0, *scored.ends[:-1])
    assert [data[a:b] for a, b in zip(starts, scored.ends, strict=True)] == pieces
    assert scored.bits_per_byte == pytest.approx(-sum(scored.logprobs) / math.log(2) / len(data))


def test_a_text_longer_than_one_block_is_scored_whole(
    generator: llamacpp.LlamaCppGenerator, fresh: llamacpp.LlamaCppGenerator
) -> None:
    """Six blocks of 64 or nine of 40: the same figures."""
    messages = prompt("Count.").messages
    text = "One two three four five six seven eight nine ten. " * 30
    scored = generator.score(messages, text, owner="ana")
    assert len(scored.logprobs) == len(generator._engine.model.tokenise(text, special=False)) > 2 * 128
    fresh._block = 40
    assert fresh.score(messages, text, owner="ana").logprobs == pytest.approx(scored.logprobs, abs=1e-3)


def test_what_the_notes_say_is_likelier_than_what_they_do_not(generator: llamacpp.LlamaCppGenerator) -> None:
    told = generator.score(LONG.messages, TEXT, owner="ana")
    other = generator.score(prompt("Where is the key?", "It rained all day.").messages, TEXT, owner="ana")
    assert told.total > other.total + 5


def test_again_it_is_the_same_to_the_bit_and_reads_less(generator: llamacpp.LlamaCppGenerator) -> None:
    generator.forget("ana")
    cold = generator.score(LONG.messages, TEXT, owner="ana")
    warm = generator.score(LONG.messages, TEXT, owner="ana")
    assert cold.n_cached == 0
    assert cold.n_prompt_tokens == len(generator.tokens(LONG.messages))
    assert warm.n_cached == cold.n_prompt_tokens - 1  # all but the token that predicts the first
    assert warm.logprobs == cold.logprobs


def test_one_persons_prompt_is_not_read_for_another(generator: llamacpp.LlamaCppGenerator) -> None:
    generator.score(LONG.messages, TEXT, owner="ana")
    assert generator.score(LONG.messages, TEXT, owner="ben").n_cached == 0
    generator.forget("ben")
    assert generator._engine.batcher.slots.cached("ben") == []
    assert generator.score(LONG.messages, TEXT, owner="ben").n_cached == 0


def test_writing_after_scoring_writes_what_a_fresh_model_writes(
    generator: llamacpp.LlamaCppGenerator, fresh: llamacpp.LlamaCppGenerator
) -> None:
    expected = fresh.generate(LONG, owner="ana", max_tokens=24)
    generator.forget("ana")
    generator.score(LONG.messages, "Purple elephants dance. " * 20, owner="ana")
    done = generator.generate(LONG, owner="ana", max_tokens=24)
    assert done.cached_tokens > 0
    assert done.text == expected.text
    # And the reverse: what was written stays out of a later score.
    assert generator.score(LONG.messages, TEXT, owner="ana").logprobs == (
        fresh.score(LONG.messages, TEXT, owner="ben").logprobs
    )


def test_an_empty_text_has_no_figures(generator: llamacpp.LlamaCppGenerator) -> None:
    scored = generator.score(LONG.messages, "", owner="ana")
    assert (scored.logprobs, scored.ends, scored.n_bytes, scored.total) == ((), (), 0, 0)
    assert scored.bits_per_byte == 0


def test_a_text_that_does_not_fit_is_refused_unread(generator: llamacpp.LlamaCppGenerator) -> None:
    generator.forget("ana")
    with pytest.raises(ContextOverflow) as caught:
        generator.score(LONG.messages, "word " * 1024, owner="ana")
    assert "word word" not in str(caught.value)
    assert generator._engine.batcher.slots.cached("ana") == []


def test_a_text_that_just_fits_is_scored(generator: llamacpp.LlamaCppGenerator) -> None:
    n = 1024 - len(generator.tokens(LONG.messages))
    assert len(generator.score(LONG.messages, " word" * n, owner="ana").logprobs) == n
    with pytest.raises(ContextOverflow):
        generator.score(LONG.messages, " word" * (n + 1), owner="ana")


def test_too_slow_is_an_error_and_leaves_the_model_usable(
    gguf: Path, cache_dir: Path, generator: llamacpp.LlamaCppGenerator
) -> None:
    hurried = llamacpp.LlamaCppGenerator(gguf, Generate(timeout_s=1e-6), cache_dir=cache_dir)
    try:
        with pytest.raises(GenerationTimeout) as caught:
            hurried.score(LONG.messages, TEXT, owner="ana")
        assert "generate.timeout_s" in caught.value.hint
        hurried._settings = Generate()
        again = hurried.score(LONG.messages, TEXT, owner="ana")
    finally:
        hurried.close()
    assert again.logprobs == generator.score(LONG.messages, TEXT, owner="ana").logprobs


def test_a_closed_model_scores_nothing(fresh: llamacpp.LlamaCppGenerator) -> None:
    fresh.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        fresh.score(LONG.messages, TEXT, owner="ana")


def test_who_can_score_is_told_by_having_the_method(generator: llamacpp.LlamaCppGenerator) -> None:
    assert isinstance(generator, Scorer)
    assert not isinstance(EchoGenerator(), Scorer)
