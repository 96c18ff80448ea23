"""Stage 4, assemble: the fixed words of a prompt, and the cleaning of all others.

In: text from anywhere.  Out: the copy of it that a model may read.
Never: changes what is stored or shown; lets content pass for a control token.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ragperso.types import Exemplar, Passage, Turn

SYSTEM_ASK: Final = (
    "You answer questions from a person's own notes. Use only the numbered passages. "
    "Answer in one or two short sentences, in the language of the question."
)
SYSTEM_WRITE: Final = (
    "You write for a person, in that person's own manner: the same greetings, sentence length, punctuation "
    "and tone as in what they wrote before. Write only the text itself. "
    "Take facts only from the request and the passages."
)
# With nothing known of the person it would be odd to speak of their manner.
SYSTEM_PLAIN: Final = (
    "You write the text you are asked for, and only the text itself. "
    "Take facts only from the request and the passages."
)

_LANGUAGES: Final = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}

# Invisible characters that steer a reader without being seen (Trojan Source, tag smuggling): direction
# marks, zero-width spaces, the tag block.  ZWJ and ZWNJ stay: scripts and emoji need them.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# What chat formats reserve: <|...|> of ChatML, Llama 3 and Phi, <start_of_turn> of Gemma, [INST] of Mistral,
# <<SYS>> of Llama 2, <s> and </s>.  A space behind the first bracket makes ordinary text of it.
_MARKER: Final = re.compile(
    r"<(?=\|)|\|(?=>)|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think|tool_call|im_start|im_end)>)|"
    r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])|<(?=</?SYS>>)",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Return the prompt copy of ``text``: NFC, nothing invisible, no chat markers, no runs of blank lines."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    text = _MARKER.sub(lambda match: f"{match.group()} ", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\n(?:[ \t]*\n)+", "\n\n", text).strip()


def render_profile(name: str, languages: Sequence[str], style: Sequence[str], facts: Sequence[str]) -> str:
    """Return the lines about the person, empty when nothing is known."""
    lines = []
    if name:
        named = [_LANGUAGES.get(code, clean(code)) for code in languages]
        spoken = f", who writes {' and '.join(named)}" if named else ""
        lines.append(f"The person is {clean(name)}{spoken}.")
    if style:
        lines.append("How they write: " + " ".join(clean(line) for line in style))
    if facts:
        lines.append("About them:")
        lines.extend(f"- {one_line(fact)}" for fact in facts)
    return "\n".join(lines)


def render_exemplar(exemplar: Exemplar) -> str:
    """Return one sample of the person's writing, with what it answered when that is known."""
    kind = exemplar.register or "text"
    head = f"Sample ({kind}{_date(exemplar.ts, ', ')}):"
    if exemplar.request:
        return f"{head}\nThey were asked: {one_line(exemplar.request)}\nThey wrote:\n{clean(exemplar.text)}"
    return f"{head}\n{clean(exemplar.text)}"


def render_request(exemplar: Exemplar) -> str:
    """Return what a piece of the person's writing answered, as the request of a draft would put it."""
    kind = exemplar.register or "text"
    if not exemplar.request and exemplar.title and kind in ("mail", "mail reply"):
        # What a mail program shows of a mail.  "Write a mail: ..." costs the starter model .5 % more bits.
        return f"Subject: {one_line(exemplar.title)}"
    if not exemplar.request:
        return f"Write a {kind}: {one_line(exemplar.title)}" if exemplar.title else f"Write a {kind}."
    return f"Write a {kind} to this:\n{one_line(exemplar.request)}"


def render_continued(exemplar: Exemplar, frame: str, n_words: int) -> tuple[str, str]:
    """Return a piece as (order to continue its beginning, the rest of it).

    ``frame`` is how the request puts the order, ``n_words`` how long the beginning is that it gives; at most
    half of the piece goes there.
    """
    text = clean(exemplar.text)
    words = list(re.finditer(r"\S+", text))
    cut = words[min(n_words, len(words) // 2)].start() if words else 0
    return f"{frame} {one_line(text[:cut])}", text[cut:]


def render_turn(turn: Turn) -> str:
    """Return one earlier message of the conversation."""
    return f"{'Person' if turn.role == 'user' else 'You'}: {one_line(turn.text)}"


def render_passage(passage: Passage) -> str:
    """Return a numbered passage with its provenance."""
    return f"[{passage.label}] ({passage.provenance})\n{passage.text}"


def provenance(document: str, title: str, headings: Sequence[str], ts: datetime | None, speaker: str) -> str:
    """Return where a passage is from in a few words: title or file, heading, date, speaker."""
    name = title or document.rsplit("/", 1)[-1]
    parts = [one_line(name)]
    if headings and headings[-1] != title:
        parts.append(one_line(headings[-1]))
    if speaker:
        parts.append(one_line(speaker))
    if ts is not None:
        parts.append(ts.date().isoformat())
    return ", ".join(part for part in parts if part)


def render_ask(question: str, passages: Sequence[str], conversation: Sequence[str]) -> str:
    """Return the user message: the question stands before and behind the passages.

    Measured on the starter model: best of the layouts tried; the question in front only is the worst.
    """
    parts = [f"Question: {question}"]
    if conversation:
        parts.append("Conversation so far:\n" + "\n".join(conversation))
    if passages:
        parts.append("Passages from the notes:\n\n" + "\n\n".join(passages))
    parts.append(f"Question: {question}")
    return "\n\n".join(parts)


def render_write(request: str, passages: Sequence[str], asked: str = "") -> str:
    """Return the user message of a draft; ``asked`` is what :func:`render_asked` made."""
    parts = []
    if passages:
        parts.append("Passages from the notes:\n\n" + "\n\n".join(passages))
    parts.append(f"{request}\n{asked}" if asked else request)
    return "\n\n".join(parts)


def render_asked(register: str, to: str, n_words: int) -> str:
    """Return kind, reader and length of a draft on one line, empty when nothing is asked for."""
    kind = f"a {one_line(register)}" if register else ""
    reader = f"to {one_line(to)}" if to else ""
    length = f"about {n_words} words" if n_words else ""
    told = ", ".join(part for part in (" ".join(filter(None, (kind, reader))), length) if part)
    return f"({told})" if told else ""


def one_line(text: str) -> str:
    """Return :func:`clean` text with all white space folded to single spaces."""
    return " ".join(clean(text).split())


def _date(ts: datetime | None, before: str) -> str:
    return f"{before}{ts.date().isoformat()}" if ts is not None else ""
