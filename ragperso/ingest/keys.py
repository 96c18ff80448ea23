"""Stage 1, ingest: extra keys, by which a document is found although its chunks say it otherwise.

In: a document and its chunks.  Out: ``NewKey`` records, not embedded yet.
Never: replaces the words themselves: a key only points at them.  Asks no language model.

Three kinds of key.  An *alias* is another name that front matter gives a note.  The *lead* is the beginning
of a document of several chunks, as far as the embedder reads: what the whole is about (hit@5 of the notes
questions by chunks alone .915, by leads alone .966).  A *statement* is one sentence in which a person says
what they like, have, plan or did, in the third person and short, which is how questions put it ("I just love
pad thai!" - "Ana loves pad thai").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ragperso.layout import LEAD
from ragperso.statements import statements
from ragperso.store import NewKey, embed_hash, labels_of, lead_text
from ragperso.types import ChunkSpan, Document

KEYS_VERSION: Final = 1  # raise it when the same document would get other keys
ALIAS: Final = "alias"

_LEAD_CHARS_PER_TOKEN: Final = 6  # enough for the embedder's window, which cuts at tokens
_MAX_ALIASES: Final = 8
_MAX_STATEMENTS: Final = 4  # of a turn or a chunk
# What someone merely did is told in every essay and manual: worth a key in a conversation only.
_LASTING: Final = frozenset(("preference", "fact", "plan", "relation"))
_SILENT_KINDS: Final = frozenset(("interaction", "exemplar"))  # said elsewhere first


def keys_of(document: Document, spans: Sequence[ChunkSpan], *, max_tokens: int) -> list[NewKey]:
    """Return the keys of ``document`` in text order, the lead first; ``max_tokens`` is of the embedder."""
    found: list[NewKey] = []
    if len(spans) > 1:
        start = spans[0].start
        end = min(spans[-1].end, start + max_tokens * _LEAD_CHARS_PER_TOKEN)
        found.append(
            NewKey(LEAD, start, end, "", embed_hash(lead_text(document.title, document.text[start:end])))
        )
    if spans:
        for alias in labels_of(document.meta, ("aliases",))[:_MAX_ALIASES]:
            found.append(NewKey(ALIAS, spans[0].start, spans[0].end, alias, embed_hash(alias)))
    if document.meta.get("kind") in _SILENT_KINDS or document.format in ("code", "rst"):
        return found
    speaker = document.meta.get("speaker")
    is_turn = bool(speaker or document.meta.get("thread") or document.meta.get("session"))
    written = document.ts.date() if document.ts is not None else None
    covered = 0  # chunks repeat a sentence of the one before
    for span in spans:
        text = document.text[span.start : span.end]
        who = speaker if isinstance(speaker, str) else ""
        for said in statements(text, speaker=who, written=written, limit=_MAX_STATEMENTS):
            start, end = span.start + said.start, span.start + said.end
            if start < covered or not (is_turn or said.kind in _LASTING):
                continue
            covered = end
            found.append(NewKey(said.kind, start, end, said.key, embed_hash(said.key)))
    return found
