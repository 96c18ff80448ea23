"""Stage 4, assemble: the prompt and the account of it.

In: a query, hits, exemplars, a profile, the conversation, limits, a token counter.  Out: a :class:`Prompt`.
Never: reads a disk, calls a model, exceeds the budget, leaves something out without saying so.

Order: system text, profile, blocks of the preset, exemplars (the same for every question of a person, so a
model's cache of them stays good) -- then the conversation, the passages and the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ragperso.assemble import blocks, templates
from ragperso.assemble.blocks import Filled, Shown
from ragperso.assemble.budget import Budget, Count, clip
from ragperso.errors import BudgetTooSmall
from ragperso.preset import fill
from ragperso.registers import continued_in
from ragperso.types import (
    ChunkId,
    Dropped,
    Exemplar,
    Hit,
    LedgerItem,
    Message,
    Passage,
    Profile,
    Prompt,
    Query,
    Section,
    Turn,
)

# Of a passage's words: what is cut from a piece to show it is a heading or a signature.
_REPEATED: Final = 0.8

CountMessages = Callable[[Sequence[Message]], int]


@dataclass(slots=True)
class _Part:
    """One thing that may go into the prompt."""

    item: str
    text: str
    tokens: int
    detail: str = ""
    passage: Passage | None = None
    exemplar: Exemplar | None = None
    fact: int = 0
    shown: Shown | None = None


@dataclass(slots=True)
class _Draft:
    """The prompt while it is being fitted."""

    task: Literal["ask", "write"]
    system: str
    question: str
    name: str
    languages: tuple[str, ...]
    asked: str = ""  # of a draft: kind, reader and length, as a line behind the request
    is_template: bool = False  # whether the system text says where the profile and the blocks stand
    style: list[_Part] = field(default_factory=list)
    facts: list[_Part] = field(default_factory=list)
    blocks: list[_Part] = field(default_factory=list)
    exemplars: list[_Part] = field(default_factory=list)
    turns: list[_Part] = field(default_factory=list)
    passages: list[_Part] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def messages(self) -> tuple[Message, ...]:
        head = blocks.compose(
            self.system,
            is_template=self.is_template,
            name=self.name,
            languages=self.languages,
            style=[p.text for p in self.style],
            facts=[p.text for p in self.facts],
            shown=[p.shown for p in self.blocks if p.shown is not None],
        )
        shown = [part.exemplar for part in self.exemplars if part.exemplar is not None]
        passages = [part.text for part in self.passages]
        if self.task == "write":
            # As turns that already happened: a small model goes on in the manner of its "own" answers, where
            # samples described in the system text leave it cold.
            turns: list[Message] = []
            frame, beginning = continued_in(self.question)
            for exemplar in reversed(shown):  # the best stands next to the request, where it counts most
                if frame:  # 20 posts of blogs took .962 of the bits of no exemplars so, .972 as whole posts
                    asked, written = templates.render_continued(exemplar, frame, len(beginning.split()))
                else:
                    asked, written = templates.render_request(exemplar), templates.clean(exemplar.text)
                turns += [Message("user", asked), Message("assistant", written)]
            return (
                Message("system", head),
                *turns,
                Message("user", templates.render_write(self.question, passages, self.asked)),
            )
        samples = [templates.render_exemplar(exemplar) for exemplar in shown]
        system = "\n\n".join([head, *samples])
        user = templates.render_ask(self.question, passages, [p.text for p in self.turns])
        return (Message("system", system), Message("user", user))

    def drop_weakest(self) -> bool:
        """Take out the part that is missed least; return whether there was one."""
        # The last passage is the least relevant; the last that stays is worth more than any exemplar.
        for parts, keep in (
            (self.turns, 0),
            (self.passages, 1),
            (self.exemplars, 0),
            (self.facts, 0),
            (self.style, 0),
            (self.blocks, 0),
            (self.passages, 0),
        ):
            if len(parts) > keep:
                part = parts.pop(0) if parts is self.turns else parts.pop()  # the oldest turn goes first
                self.dropped.append(Dropped(part.item, part.tokens, "the prompt's token budget is full"))
                return True
        return False


def assemble(
    query: Query,
    *,
    hits: Sequence[Hit],
    profile: Profile,
    exemplars: Sequence[Exemplar],
    turns: Sequence[Turn],
    budget: Budget,
    max_passages: int,
    min_relevance: float,
    count: Count,
    count_messages: CountMessages,
    system: str = "",
    task: Literal["ask", "write"] = "ask",
    register: str = "",
    to: str = "",
    n_words: int = 0,
    labels: Mapping[ChunkId, str] | None = None,
    template: str = "",
    preset: Sequence[Filled] = (),
) -> Prompt:
    """Return a prompt of at most ``budget.total`` tokens, template included.

    ``labels`` are those of passages that had some before; others are numbered in order.  ``system`` is taken
    as it is; ``template``, used where there is none, may place the profile and the blocks of a preset.

    Raises: BudgetTooSmall, when the system text and the question alone do not fit.
    """
    built_in = templates.SYSTEM_ASK
    if task == "write":
        is_known = exemplars or profile.name or profile.facts or profile.style or preset
        built_in = templates.SYSTEM_WRITE if is_known else templates.SYSTEM_PLAIN
    draft = _Draft(
        task=task,
        system=clip(templates.clean(system or template) or built_in, budget.system, count),
        is_template=bool(template and not system),
        question=clip(templates.clean(query.text), budget.question, count),
        asked=templates.render_asked(register, to, n_words),
        name=templates.one_line(profile.name),
        languages=profile.languages,
    )
    question_is_cut = count([templates.clean(query.text)])[0] > budget.question
    if question_is_cut:
        lost = count([templates.clean(query.text)])[0] - count([draft.question])[0]
        draft.dropped.append(
            Dropped("the question's end", lost, "it is longer than assemble.question_tokens")
        )
    for filled in preset:
        _take_block(draft, filled, query.text, count)
    _take_profile(draft, profile, budget.profile, count)
    _take(draft, draft.exemplars, _exemplar_parts(exemplars, count), budget.exemplars, "exemplar_tokens")
    _take(draft, draft.turns, _turn_parts(turns, count), budget.conversation, "conversation_tokens")
    draft.turns.reverse()  # chosen newest first, told oldest first
    if task == "write":  # an answer needs them as passages, to cite them
        hits = _without_repeats(draft, hits, count)
    _take_passages(draft, hits, budget.passages, max_passages, min_relevance, count, labels or {})
    messages = draft.messages()
    while (tokens := count_messages(messages)) > budget.total:
        if not draft.drop_weakest():
            raise BudgetTooSmall(
                f"the system text and the question need {tokens} tokens, the budget has {budget.total}",
                hint="raise assemble.budget_tokens or generate.context_tokens, or ask a shorter question",
            )
        messages = draft.messages()
    passages = tuple(p.passage for p in draft.passages if p.passage is not None)
    return Prompt(
        messages=messages,
        sections=_ledger(draft, tokens, count),
        dropped=tuple(draft.dropped),
        tokens=tokens,
        budget_tokens=budget.total,
        question=query.text,
        passages=passages,
        task=task,
    )


def _take(draft: _Draft, taken: list[_Part], parts: Sequence[_Part], limit: int, key: str) -> None:
    """Move parts into ``taken`` while they fit ``limit`` tokens; a part that does not fit is named."""
    left = limit
    for part in parts:
        if part.tokens <= left:
            taken.append(part)
            left -= part.tokens
        else:
            draft.dropped.append(Dropped(part.item, part.tokens, f"assemble.{key} ({limit}) is used up"))


def _take_profile(draft: _Draft, profile: Profile, limit: int, count: Count) -> None:
    style = [_part(style_item(n), line, count) for n, line in enumerate(profile.style, start=1)]
    _take(draft, draft.style, style, limit, "profile_tokens")
    left = limit - sum(part.tokens for part in draft.style)
    told = {part.fact for part in draft.blocks if part.fact}  # once is enough
    if profile.summary:
        facts = [
            _part(line.item, line.text, count) for line in profile.summary if not told.issuperset(line.facts)
        ]
    else:
        facts = [
            _part(fact.item, fact.text, count, detail=fact.source)
            for fact in profile.facts
            if fact.id not in told
        ]
    _take(draft, draft.facts, facts, left, "profile_tokens")


def _take_block(draft: _Draft, filled: Filled, request: str, count: Count) -> None:
    shown, dropped = blocks.take(filled, request, count)
    for one in shown:
        part = _Part(one.item, one.text, one.tokens, detail=one.entry.source, fact=one.entry.fact, shown=one)
        draft.blocks.append(part)
    draft.dropped.extend(dropped)


def _exemplar_parts(exemplars: Sequence[Exemplar], count: Count) -> list[_Part]:
    parts = []
    for exemplar in exemplars:
        part = _part(exemplar.item, templates.render_exemplar(exemplar), count, exemplar.source)
        part.exemplar = exemplar
        parts.append(part)
    return parts


def _turn_parts(turns: Sequence[Turn], count: Count) -> list[_Part]:
    """Return turns newest first, so that the newest are kept."""
    newest = list(enumerate(turns, start=1))[::-1]
    return [_part(turn_item(n, turn), templates.render_turn(turn), count) for n, turn in newest]


def _without_repeats(draft: _Draft, hits: Sequence[Hit], count: Count) -> list[Hit]:
    """Leave out what stands in the prompt already: as an entry of a block or as an example."""
    entries = {part.detail for part in draft.blocks} - {""}
    shown = [part.exemplar for part in draft.exemplars if part.exemplar is not None]
    left = []
    for hit in hits:
        if hit.document not in entries and not _stands_in(hit, shown):
            left.append(hit)
            continue
        (tokens,) = count([templates.clean(hit.text)])
        item = f"{hit.document}#{hit.chunk.ordinal}"
        draft.dropped.append(Dropped(item, tokens, "it stands in the prompt already"))
    return left


def _stands_in(hit: Hit, exemplars: Sequence[Exemplar]) -> bool:
    """Say whether an exemplar was drawn from the hit's document and has nearly all of its words.

    An exemplar is often a part of its document only: what stands in the rest is not told by it.
    """
    words = set(hit.text.split())
    return any(
        len(words & set(exemplar.text.split())) >= _REPEATED * len(words)
        for exemplar in exemplars
        if hit.document in (exemplar.source, exemplar.id)
    )


def _take_passages(
    draft: _Draft,
    hits: Sequence[Hit],
    limit: int,
    max_passages: int,
    min_relevance: float,
    count: Count,
    labels: Mapping[ChunkId, str],
) -> None:
    left = limit
    for hit in hits:
        item = f"{hit.document}#{hit.chunk.ordinal}"
        text = templates.clean(hit.text)
        (tokens,) = count([text])
        if len(draft.passages) >= max_passages:
            draft.dropped.append(Dropped(item, tokens, f"assemble.max_passages ({max_passages}) is reached"))
            continue
        if hit.relevance < min_relevance:
            reason = f"its relevance {hit.relevance:.2f} is below {min_relevance:.2f}"
            draft.dropped.append(Dropped(item, tokens, reason))
            continue
        label = labels.get(hit.chunk.id, str(len(draft.passages) + 1))
        where = templates.provenance(
            hit.document,
            hit.chunk.title,
            hit.chunk.headings,
            hit.chunk.ts,
            str(hit.chunk.meta.get("speaker") or ""),
        )

        def passage(text: str, label: str = label, hit: Hit = hit, where: str = where) -> Passage:
            return Passage(
                label, hit.chunk.id, hit.document, hit.chunk.start, hit.chunk.end, text, where, hit.relevance
            )

        frame = count([templates.render_passage(passage(""))])[0]
        if frame + tokens > left:
            text = clip(text, left - frame, count)
            if not text:
                reason = f"assemble.passage_tokens ({limit}) is used up"
                draft.dropped.append(Dropped(item, tokens, reason))
                continue
            lost = tokens - count([text])[0]
            draft.dropped.append(Dropped(f"the end of {item}", lost, f"assemble.passage_tokens ({limit})"))
        rendered = templates.render_passage(passage(text))
        part = _part(passage_item(label, hit), rendered, count, detail=f"relevance {hit.relevance:.2f}")
        part.passage = passage(text)
        draft.passages.append(part)
        left -= part.tokens


def _ledger(draft: _Draft, tokens: int, count: Count) -> tuple[Section, ...]:
    """Return the sections in prompt order; their tokens add up to the prompt's.

    What the chat template and the joins between the parts cost stands in a section of its own.
    """
    asked = 2 if draft.task == "ask" else 1  # the question stands before and behind the passages
    text = fill(draft.system, {}) if draft.is_template else draft.system
    system, question = count([text, draft.question])
    rows = [
        ("system", [LedgerItem("system text", system)]),
        ("profile", [LedgerItem(p.item, p.tokens, p.detail) for p in (*draft.style, *draft.facts)]),
        ("preset", _by_source(draft.blocks)),
        ("exemplars", [LedgerItem(p.item, p.tokens, p.detail) for p in draft.exemplars]),
        ("conversation", [LedgerItem(p.item, p.tokens, p.detail) for p in draft.turns]),
        ("passages", [LedgerItem(p.item, p.tokens, p.detail) for p in draft.passages]),
        ("question", [LedgerItem("question" + (" (twice)" if asked == 2 else ""), asked * question)]),
    ]
    sections = [Section(name, sum(i.tokens for i in items), tuple(items)) for name, items in rows if items]
    rest = tokens - sum(section.tokens for section in sections)
    return (*sections, Section("template", rest, (LedgerItem("chat template and labels", rest),)))


def _by_source(parts: Sequence[_Part]) -> list[LedgerItem]:
    """Return one line for all entries of a block that have one source."""
    found: dict[str, LedgerItem] = {}
    for part in parts:
        before = found[part.item].tokens if part.item in found else 0
        found[part.item] = LedgerItem(part.item, before + part.tokens, part.detail)
    return list(found.values())


def passage_item(label: str, hit: Hit) -> str:
    """Return what a ledger calls a passage."""
    return f"[{label}] {hit.document}#{hit.chunk.ordinal}"


def style_item(n: int) -> str:
    """Return what a ledger calls the ``n``-th sentence about the person's manner."""
    return f"style {n}"


def turn_item(n: int, turn: Turn) -> str:
    """Return what a ledger calls the ``n``-th turn of the conversation."""
    return f"turn {n} ({turn.role})"


def _part(item: str, text: str, count: Count, detail: str = "") -> _Part:
    return _Part(item, text, count([text])[0], detail)
