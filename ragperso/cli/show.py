"""Surface: hits, answers and ledgers as a person reads them; shared by several commands."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragperso import shapes
from ragperso.cli import screen
from ragperso.cli.screen import Span, paint
from ragperso.tokens import content_words, lexical_tokens, stemming_language
from ragperso.types import Answer, Hit, IngestReport, Prompt, Receipt

if TYPE_CHECKING:
    from ragperso.generate.influence import Why

SNIPPET_CHARS = 280  # three to four lines of 80 columns
NOT_SUPPORTED = "(not in your notes)"
_SHOWN_SKIPS = 20


# ---------------------------------------------------------------- hits


def hits(found: Sequence[Hit], query: str, *, explain: bool) -> None:
    """Print hits: place, heading path and relevance, then a snippet with the query's words marked."""
    language = stemming_language(query)
    wanted = content_words(query, language)  # not "the" and "my"
    for number, hit in enumerate(found):
        if number:
            screen.put()
        _head(hit)
        screen.put(screen.fill(_snippet(hit, wanted, language), indent="    "))
        if explain:
            for text in _explained(hit):
                screen.put(screen.fill([(text, "dim")], indent="      ", first="    "))


def _head(hit: Hit) -> None:
    rank = f"{hit.rank:>2}  "
    relevance = f"{hit.relevance:.2f}"
    room = screen.width() - len(rank) - len(relevance) - 2
    where = shapes.place(screen.line(hit.document), hit.chunk.line, hit.chunk.page)
    where = screen.cut_left(where, room)
    path = heading(hit)
    rest = room - screen.cells(where) - 2
    shown = screen.cut_left(path, rest) if path and rest >= 12 else ""
    used = screen.cells(where) + (2 + screen.cells(shown) if shown else 0)
    screen.put(
        f"{rank}{paint(where, 'bold')}{'  ' if shown else ''}{paint(shown, 'cyan')}"
        f"{' ' * (room - used + 2)}{paint(relevance, 'green')}"
    )


def heading(hit: Hit) -> str:
    """Return the heading path of a hit, or its title, as one line."""
    parts = hit.chunk.headings or ((hit.chunk.title,) if hit.chunk.title else ())
    return screen.line(" > ".join(parts))


def _snippet(hit: Hit, wanted: set[str], language: str) -> list[Span]:
    """Return the part of a hit that says most of what was asked, with those words marked."""
    words = screen.safe(_without_heading(hit)).split()
    found = [bool(wanted.intersection(lexical_tokens(word, (language,)))) for word in words]
    lengths = [len(word) + 1 for word in words]
    begin, best, best_at = 0, -1, (0, len(words))
    total = score = 0
    for end in range(len(words)):  # the window of SNIPPET_CHARS with most marked words, the first of equals
        total += lengths[end]
        score += found[end]
        while total > SNIPPET_CHARS and begin < end:
            total -= lengths[begin]
            score -= found[begin]
            begin += 1
        if score > best:
            best, best_at = score, (begin, end + 1)
    start, stop = best_at
    while stop < len(words) and sum(lengths[start : stop + 1]) <= SNIPPET_CHARS:
        stop += 1
    dots = screen.glyph("…", "...")
    spans: list[Span] = [(f"{dots} ", "dim")] if start else []
    for word, is_found in zip(words[start:stop], found[start:stop], strict=True):
        spans += [(word, "mark" if is_found else ""), (" ", "")]
    if stop < len(words):
        spans.append((dots, "dim"))
    return spans


def _without_heading(hit: Hit) -> str:
    """Return the text of a hit less a Markdown heading that the line above shows already."""
    first, _, rest = hit.text.partition("\n")
    is_shown = first.startswith("#") and hit.chunk.headings[-1:] == (first.strip("# ").strip(),)
    return rest if is_shown and rest.strip() else hit.text


_SHOWN_REASONS = 6  # a line of 80 columns holds no more


def _explained(hit: Hit) -> list[str]:
    legs = [f"{name} #{leg.rank} ({leg.score:.3f})" for name, leg in hit.via.items()]
    lines = [f"{', '.join(legs)}; fused {hit.score:.3f}, relevance {hit.relevance:.2f}, chunk {hit.chunk.id}"]
    if hit.why:
        reasons: dict[str, float] = {}
        for name, value in hit.why.items():  # turn.lexical only corrects lexical
            short = name.rpartition(".")[2]
            reasons[short] = reasons.get(short, 0.0) + value
        most = sorted(reasons.items(), key=lambda item: -abs(item[1]))[:_SHOWN_REASONS]
        lines.append(f"why: {', '.join(f'{name} {value:+.1f}' for name, value in most)}")
    if hit.duplicates:
        lines.append(f"the same text also in chunk {', '.join(map(str, hit.duplicates))}")
    return lines


# ---------------------------------------------------------------- answers


def answer(given: Answer, *, explain: bool = False) -> None:
    """Print an answer with its labels, its sources and what it took."""
    screen.put(screen.fill(answer_spans(given)))
    if given.note:
        screen.put(screen.fill([(f"({given.note})", "dim")]))
    if given.abstained:
        for number, item in enumerate(shapes.closest(given.hits)):
            where = shapes.place(screen.line(item["document"]), item["line"], item["page"])
            lead = " " * 9 if number else "closest: "
            screen.put(paint(f"{lead}{screen.cut_left(where, screen.width() - len(lead))}", "dim"))
    elif given.citations:
        screen.put()
        sources(given)
    screen.put()
    screen.put(paint(footer(given), "dim"))
    if explain and given.prompt is not None:
        screen.put()
        ledger(given.prompt)


def answer_spans(given: Answer) -> list[Span]:
    """Return the answer with a label behind each supported sentence and a mark behind each other."""
    spans: list[Span] = []
    at = 0
    for sentence in given.sentences:
        spans.append((screen.safe(given.answer[at : sentence.end]), ""))
        mark = f"[{sentence.label}]" if sentence.label else NOT_SUPPORTED
        spans.append((f" {mark}", "dim"))
        at = sentence.end
    spans.append((screen.safe(given.answer[at:]), ""))
    return spans


def sources(given: Answer) -> None:
    """Print what each label stands for."""
    for cited in given.citations:
        where = shapes.place(screen.line(cited.document), cited.line, cited.page)
        label = f"[{cited.label}] "
        where = screen.cut_left(where, screen.width() - len(label))
        room = screen.width() - len(label) - screen.cells(where) - 2
        title = screen.cut(screen.line(cited.heading), room) if cited.heading and room >= 8 else ""
        screen.put(f"{paint(label, 'dim')}{where}{'  ' if title else ''}{paint(title, 'cyan')}".rstrip())


def footer(given: Answer) -> str:
    """Return what an answer took, in one line."""
    times = given.timings_ms
    usage = given.usage
    parts = []
    if usage.prompt_tokens:
        cached = f" ({usage.cached_tokens} cached)" if usage.cached_tokens else ""
        parts.append(f"{usage.prompt_tokens} tokens read{cached}, {usage.completion_tokens} written")
    if times.get("first_token"):
        parts.append(f"first token {screen.duration(times['first_token'])}")
    parts.append(f"total {screen.duration(times['total'])}")
    parts.append(given.interaction)
    return screen.cut("; ".join(parts), screen.width())


# ---------------------------------------------------------------- prompts


def ledger(made: Prompt) -> None:
    """Print what went into a prompt, what it cost, and what was left out."""
    screen.put(ledger_text(shapes.prompt(made)))


def ledger_text(shape: Mapping[str, Any]) -> str:
    """Return a ledger as a table; ``shape`` is :func:`shapes.prompt` or a stored ledger."""
    rows = []
    for section in shape["sections"]:
        for number, item in enumerate(section["items"]):
            lead = ["", ""] if number else [section["name"], str(section["tokens"])]
            rows.append([*lead, str(item["tokens"]), _item(item)])
    head = ["section", "tokens", "each", "what"]
    lines = [
        screen.table(rows, head=head, right=[1, 2]),
        paint(f"total {shape['tokens']} of {shape['budget_tokens']} tokens", "bold"),
    ]
    if shape["dropped"]:
        rows = [
            [screen.cut_left(screen.line(gone["item"]), 32), str(gone["tokens"]), screen.line(gone["reason"])]
            for gone in shape["dropped"]
        ]
        lines += ["", screen.table(rows, head=["left out", "tokens", "why"], right=[1])]
    return "\n".join(lines)


def _item(item: Mapping[str, Any]) -> str:
    text = screen.line(str(item["item"]))
    detail = screen.line(str(item.get("detail") or ""))
    room = screen.width() - 34  # what the other columns leave
    text = screen.cut_left(text, room)
    rest = room - screen.cells(text) - 2
    return f"{text}, {screen.cut_left(detail, rest)}" if detail and rest >= 14 else text


# ---------------------------------------------------------------- why

_BAR = 12  # columns of the longest bar
_FELT = 0.3  # nats below which a part did nothing one could tell: reading in other pieces moves it as much


def why(found: Why) -> None:
    """Print each sentence with its passages, what each part did, and the answer without the strongest."""
    answer = found.interaction.answer
    parts = found.measured.parts
    for number, sentence in enumerate(found.sentences):
        mark = f"[{sentence.label}]" if sentence.label else NOT_SUPPORTED
        screen.put(
            screen.fill([(screen.safe(answer[sentence.start : sentence.end]), ""), (f" {mark}", "dim")])
        )
        pushed = [
            (part.by_sentence[number], part.item)
            for part in parts
            if part.by_sentence and not part.is_section and part.by_sentence[number] >= _FELT
        ]
        for nats, item in sorted(pushed, reverse=True)[:3]:
            screen.put(
                paint(
                    f"    {times(nats):>8}  {screen.cut_left(screen.line(item), screen.width() - 14)}", "dim"
                )
            )
    if not found.sentences:
        screen.put(screen.fill([(screen.safe(answer), "")]))
    screen.put()
    most = max((abs(part.nats or 0.0) for part in parts), default=0.0)
    rows = []
    for part in parts:
        name = f"all of {part.section}" if part.is_section else screen.line(part.item)
        bar = ""
        if part.nats is not None and most > 0:
            bar = screen.glyph("█", "#") * round(_BAR * max(0.0, part.nats) / most)
        told = times(part.nats) if part.nats is not None else "no time"
        rows.append([part.section, told, bar, screen.cut_left(name, screen.width() - 14 - _BAR - 16)])
    screen.put(screen.table(rows, head=["section", "likelier", "", "part"], right=[1]))
    notes = ["likelier: how many times as likely the part made this answer; below 1 it spoke for another one"]
    if found.measured.n_left:
        notes.append(
            f"{screen.plural(found.measured.n_left, 'part')} not measured: --seconds gives more time"
        )
    if not found.is_exact:
        notes.append("the profile or a document has changed since: these are the figures of today's prompt")
    for note in notes:
        screen.put(screen.fill([(note, "dim")]))
    if found.left_out:
        screen.put()
        screen.put(paint(f"without {screen.line(found.left_out)}:", "bold"))
        screen.put(screen.fill([(screen.safe(found.counterfactual), "")], indent="    "))


def times(nats: float) -> str:
    """Return an influence as a factor: 2.3 nats are "10x"."""
    if nats > 9.2:
        return ">10000x"
    factor = math.exp(nats)
    return f"{factor:.0f}x" if factor >= 10 else f"{factor:.1f}x" if factor >= 0.95 else f"{factor:.2f}x"


# ---------------------------------------------------------------- reports


def report(done: IngestReport, *, dry_run: bool) -> None:
    """Print what an ``add`` did, and each skipped path with its reason."""
    counts = [("added", done.added), ("modified", done.modified), ("removed", done.removed)]
    if done.renamed:
        counts.append(("renamed", done.renamed))
    counts += [("unchanged", done.unchanged), ("skipped", len(done.skipped))]
    summary = ", ".join(f"{n:,} {name}" for name, n in counts)
    screen.put(f"{'would be: ' if dry_run else ''}{summary}")
    if not dry_run:
        total = sum(done.timings_ms.get(name, 0.0) for name in ("total", "learn_and_index"))
        spent = done.timings_ms.get("chunk_and_embed", 0.0)
        rate = f", {1000 * done.chunks / spent:,.0f} chunks/s" if done.chunks and spent > 0 else ""
        screen.put(
            paint(
                f"{screen.plural(done.chunks, 'chunk')} made, {done.embedded:,} embedded{rate}, "
                f"{screen.duration(total)} in all",
                "dim",
            )
        )
    skipped(done.skipped)


def skipped(items: Sequence[Any]) -> None:
    """Say which files were skipped and why; of very many only the first."""
    for item in items[:_SHOWN_SKIPS]:
        screen.say(f"skipped: {screen.line(item.path)}: {screen.line(item.reason)}")
    if len(items) > _SHOWN_SKIPS:
        screen.say(f"... and {len(items) - _SHOWN_SKIPS:,} more; --json lists all")


def receipt(proof: Receipt) -> None:
    """Print the proof of a removal."""
    counts = ", ".join(f"{n:,} {name}" for name, n in proof.counts.items())
    screen.put(f"{proof.action}: {counts or 'nothing was there'}")
    screen.put(paint(f"receipt {proof.id}, {proof.at:%Y-%m-%d %H:%M:%S %Z}, holds no content", "dim"))


# ---------------------------------------------------------------- drafts


class Draft:
    """The model's words while they come, on stderr, wiped when the checked answer replaces them.

    Does nothing where stderr and stdout are not both a terminal.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.is_live = enabled and screen.is_terminal(sys.stderr) and screen.is_terminal(sys.stdout)
        self._word = ""
        self._column = 0
        self._rows = 0
        self._begun = False

    def wait(self, text: str) -> None:
        """Show one line until the first word comes."""
        if self.is_live:
            screen.say(paint(text, "dim", err=True), end="\r")

    def write(self, text: str) -> None:
        """Show the next piece of the draft, wrapped between words."""
        if not self.is_live:
            return
        if not self._begun:
            self._begun = True
            screen.say("\x1b[K", end="")
        for char in screen.safe(text):
            if char.isspace():
                self._put(char)
            else:
                self._word += char

    def _put(self, blank: str) -> None:
        word, self._word = self._word, ""
        room = screen.width()
        length = screen.cells(word)
        if self._column and self._column + length > room:
            self._newline()
        screen.say(paint(word, "dim", err=True), end="")
        self._column += length
        while self._column > room:  # the terminal itself broke a long word
            self._column -= room
            self._rows += 1
        if blank == "\n":
            self._newline()
        elif self._column and self._column < room:
            screen.say(" ", end="")
            self._column += 1

    def _newline(self) -> None:
        screen.say()
        self._rows += 1
        self._column = 0

    def wipe(self) -> None:
        """Take the draft off the screen; one that has scrolled stays, followed by a line."""
        if not self.is_live:
            return
        if self._word:
            self._put("")
        if self._rows >= shutil.get_terminal_size((80, 24)).lines - 1:
            screen.say(paint("\n\nchecked:", "dim", err=True))
        else:
            up = f"\x1b[{self._rows}A" if self._rows else ""
            screen.say(f"\r{up}\x1b[J", end="")
        self._column = self._rows = 0
        self._begun = False
