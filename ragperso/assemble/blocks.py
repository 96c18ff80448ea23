"""Stage 4, assemble: the blocks of a preset and the system text they stand in.

In: a preset's blocks with what was gathered for them, its template, the request.  Out: the entries that fit
each block's token limit, what was left out, the system text.
Never: reads a disk, takes content for a template, cuts an entry in two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ragperso import preset
from ragperso.assemble import templates
from ragperso.assemble.budget import Count
from ragperso.preset import Block
from ragperso.tokens import content_words, stemming_language
from ragperso.types import Dropped

MAX_ENTRIES: Final = 400  # of one text; behind so many a glossary is searched, not shown
_MAX_CHARS: Final = 100_000  # of a text that is cut into entries
_TERM: Final = re.compile(r"[^:=\u2013\u2014]{1,80}?(?=\s{0,2}[:=\u2013\u2014]|\s-\s)")
_ITEM: Final = re.compile(r"[ \t]{0,8}(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+")
_FENCE: Final = "---\n"  # around front matter
_MARKUP: Final = str.maketrans("", "", "*_`")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to show in a block: its name in the ledger, its document's key, the number of its fact."""

    item: str
    text: str = field(repr=False)
    source: str = ""
    fact: int = 0


@dataclass(frozen=True, slots=True)
class Filled:
    """A block with everything there is for it, best first."""

    block: Block
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry that goes into the prompt, with its tokens."""

    block: Block
    entry: Entry
    text: str = field(repr=False)
    tokens: int = 0

    @property
    def item(self) -> str:
        return f"{self.block.name}: {self.entry.item}"


def entries_of(text: str, item: str, source: str = "") -> list[Entry]:
    """Return a text as entries: each list item, each line of a table of terms, each paragraph is one.

    Headings and front matter are left out: the block has a title of its own.
    """
    text = text[:_MAX_CHARS]
    if text.startswith(_FENCE) and (end := text.find(f"\n{_FENCE}", len(_FENCE) - 1)) >= 0:
        text = text[end + 1 + len(_FENCE) :]
    return [Entry(item, one, source) for one in islice(_pieces(text), MAX_ENTRIES)]


def _pieces(text: str) -> Iterable[str]:
    run: list[str] = []
    for line in (*text.splitlines(), ""):
        bare = line.strip()
        mark = _ITEM.match(line)
        starts = not bare or bare.startswith("#") or mark is not None
        if starts and run:
            yield " ".join(run)
            run = []
        if mark is not None:
            run.append(line[mark.end() :].strip())
        elif bare and not bare.startswith("#") and set(bare) - set("-=*_ "):
            run.append(bare)


def take(filled: Filled, request: str, count: Count) -> tuple[list[Shown], list[Dropped]]:
    """Return the entries of one block to show, within its limits, and what was left out of it.

    An entry that is too long for what is left is passed over and a shorter one behind it may still be taken.
    """
    block = filled.block
    entries = _fitting(filled.entries, request) if block.pick == "fitting" else list(filled.entries)
    texts = [templates.one_line(entry.text) for entry in entries]
    counts = count([f"- {text}" for text in texts]) if texts else []
    left = block.max_tokens - (count([f"{block.title}:"])[0] if block.title else 0)
    shown: list[Shown] = []
    seen: set[str] = set()
    n_lost = lost = 0
    for entry, text, tokens in zip(entries, texts, counts, strict=True):
        if not text or text in seen:
            continue
        seen.add(text)
        if tokens > left or (block.max_entries and len(shown) >= block.max_entries):
            n_lost += 1
            lost += tokens
            continue
        shown.append(Shown(block, entry, text, tokens))
        left -= tokens
    if not n_lost:
        return shown, []
    limit = f"max_entries ({block.max_entries})" if 0 < block.max_entries <= len(shown) else None
    reason = f"{limit or f'max_tokens ({block.max_tokens})'} of the preset's block is used up"
    return shown, [Dropped(f"{block.name}: {n_lost} {'entry' if n_lost == 1 else 'entries'}", lost, reason)]


def _fitting(entries: Sequence[Entry], request: str) -> list[Entry]:
    """Return the entries whose term the request names: what stands before a colon or dash, else all of it."""
    language = stemming_language(request)
    asked = content_words(request[:_MAX_CHARS], language)
    found = []
    for entry in entries:
        text = entry.text.translate(_MARKUP)
        term = _TERM.match(text)
        words = content_words(term[0] if term else text[:400], language)
        # "Seat tube" is not meant where only a seat is named; an entry without a term is met by one word.
        wanted = min(2, len(words)) if term else 1
        if words and len(words & asked) >= wanted:
            found.append(entry)
    return found


def render(block: Block, texts: Sequence[str], *, with_title: bool = True) -> str:
    """Return a block as the model reads it: a single entry on the line of the title, several as a list."""
    if not texts:
        return ""
    title = f"{templates.one_line(block.title)}:" if block.title and with_title else ""
    if len(texts) == 1:
        return f"{title} {texts[0]}".strip()
    return "\n".join([*([title] if title else []), *(f"- {text}" for text in texts)])


def compose(
    system: str,
    *,
    is_template: bool,
    name: str,
    languages: Sequence[str],
    style: Sequence[str],
    facts: Sequence[str],
    shown: Sequence[Shown],
) -> str:
    """Return the system message: the text with what it places, then what of profile and blocks is left."""
    placed = preset.placed(system) if is_template else set()
    rest_style = [] if "style" in placed else style
    rest_facts = [] if "facts" in placed else facts
    profile = templates.render_profile(name, languages, rest_style, rest_facts)
    grouped: dict[str, tuple[Block, list[str]]] = {}
    for one in shown:
        grouped.setdefault(one.block.name, (one.block, []))[1].append(one.text)
    rest = [render(block, texts) for key, (block, texts) in grouped.items() if key not in placed]
    blocks = ""
    for at, told in enumerate(rest):
        is_apart = at and ("\n" in told or "\n" in rest[at - 1])  # a list wants a blank line on both sides
        blocks += ("\n\n" if is_apart else "\n" if at else "") + told
    if is_template:
        values = {
            "name": templates.one_line(name),
            "profile": profile,
            "style": " ".join(templates.clean(line) for line in style),
            "facts": "\n".join(f"- {templates.one_line(fact)}" for fact in facts),
            "blocks": blocks,
        }
        for key, (block, texts) in grouped.items():
            values[key] = render(block, texts, with_title=False)
        system = preset.fill(system, values)
    parts = [system, "" if "profile" in placed else profile, "" if "blocks" in placed else blocks]
    return "\n\n".join(part for part in parts if part)
