"""A prompt never exceeds its budget, names all it leaves out and cannot be forged, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from ragperso.assemble.budget import Budget, clip
from ragperso.assemble.prompt import assemble
from ragperso.errors import BudgetTooSmall
from ragperso.testing import WordCounter
from ragperso.types import Chunk, ChunkId, DocumentId, Exemplar, Fact, Hit, Message, Profile, Query, Turn

count = WordCounter().count
TEXT = st.text(st.sampled_from("ab Ü。\n\t<|>[]/._-'\"0\u200b\u202e\ud800") | st.characters(), max_size=200)
PIECE = st.lists(TEXT, max_size=5)


def count_messages(messages: Sequence[Message]) -> int:
    return sum(count([m.content])[0] + 4 for m in messages)


def hit(number: int, text: str) -> Hit:
    chunk = Chunk(ChunkId(number), DocumentId(1), "documents", number, 0, len(text), 1, text, document="n.md")
    return Hit(rank=number + 1, score=1.0, chunk=chunk, via={}, relevance=(number % 4) / 3)


@settings(max_examples=150, deadline=None)
@given(
    question=TEXT,
    passages=PIECE,
    exemplars=PIECE,
    facts=PIECE,
    turns=PIECE,
    total=st.integers(0, 400),
    section=st.integers(0, 80),
)
def test_never_over_budget(
    question: str,
    passages: list[str],
    exemplars: list[str],
    facts: list[str],
    turns: list[str],
    total: int,
    section: int,
) -> None:
    try:
        prompt = assemble(
            Query(question),
            hits=[hit(n, text) for n, text in enumerate(passages)],
            profile=Profile(name="Ana", facts=tuple(Fact(n, text) for n, text in enumerate(facts))),
            exemplars=[Exemplar(str(n), text) for n, text in enumerate(exemplars)],
            turns=[Turn("user", text) for text in turns],
            budget=Budget(total, section, section, section, section, section, section),
            max_passages=3,
            min_relevance=0.3,
            count=count,
            count_messages=count_messages,
        )
    except BudgetTooSmall:
        return
    assert prompt.tokens == count_messages(prompt.messages) <= total
    assert sum(s.tokens for s in prompt.sections) == prompt.tokens
    content = "".join(m.content for m in prompt.messages)
    assert "<|" not in content
    assert "\u202e" not in content
    content.encode("utf-8")
    shown = {item.item for s in prompt.sections for item in s.items}
    dropped = {d.item.removeprefix("the end of ") for d in prompt.dropped}
    for n in range(len(passages)):
        assert any(item.endswith(f"n.md#{n}") for item in shown | dropped)


@settings(max_examples=200, deadline=None)
@given(text=TEXT, limit=st.integers(0, 30))
def test_clip_is_a_beginning_within_the_limit(text: str, limit: int) -> None:
    short = clip(text, limit, count)
    assert text.startswith(short)
    assert count([short])[0] <= limit
