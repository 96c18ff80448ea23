"""Surface: records as the JSON that programs rely on; pure functions from ``types`` to plain dictionaries.

The command line and the HTTP server print the same shapes.  Fields may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragperso.engine import Compared
    from ragperso.generate.influence import Why
    from ragperso.learn.profile import Entry
    from ragperso.learn.style import StyleCard
    from ragperso.models import ModelFile
    from ragperso.types import (
        Answer,
        AuditEvent,
        Citation,
        Distance,
        Hit,
        IngestReport,
        Interaction,
        Profile,
        Prompt,
        Receipt,
        SearchResult,
    )

Shape = dict[str, Any]


def report(done: IngestReport) -> Shape:
    """``add``."""
    return {
        "added": done.added,
        "modified": done.modified,
        "removed": done.removed,
        "unchanged": done.unchanged,
        "renamed": done.renamed,
        "skipped": [{"path": item.path, "reason": item.reason} for item in done.skipped],
        "chunks": done.chunks,
        "embedded": done.embedded,
        "timings_ms": dict(done.timings_ms),
    }


def hit(found: Hit) -> Shape:
    """One hit of ``search``; ``start:end`` are character offsets into the document's text."""
    chunk = found.chunk
    return {
        "rank": found.rank,
        "score": round(found.score, 6),
        "relevance": round(found.relevance, 4),
        "document": chunk.document,
        "chunk": chunk.id,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "corpus": chunk.corpus,
        "title": chunk.title,
        "headings": list(chunk.headings),
        "page": chunk.page,
        "line": chunk.line,
        "ts": time(chunk.ts),
        "meta": dict(chunk.meta),
        "via": {name: {"rank": leg.rank, "score": round(leg.score, 6)} for name, leg in found.via.items()},
        "why": {name: round(value, 3) for name, value in found.why.items()},
        "duplicates": list(found.duplicates),
    }


def search(result: SearchResult) -> Shape:
    """``search``; ``resolved`` is the query as it was understood."""
    return {
        "query": result.query.text,
        "resolved": result.query.search_text,
        "hits": [hit(found) for found in result.hits],
        "timings_ms": dict(result.timings_ms),
    }


def prompt(made: Prompt) -> Shape:
    """``prompt``."""
    return {
        "messages": [{"role": message.role, "content": message.content} for message in made.messages],
        "sections": [
            {
                "name": section.name,
                "tokens": section.tokens,
                "items": [
                    {"item": item.item, "tokens": item.tokens, "detail": item.detail}
                    for item in section.items
                ],
            }
            for section in made.sections
        ],
        "dropped": [
            {"item": gone.item, "tokens": gone.tokens, "reason": gone.reason} for gone in made.dropped
        ],
        "tokens": made.tokens,
        "budget_tokens": made.budget_tokens,
    }


def citation(cited: Citation) -> Shape:
    """What a label in an answer stands for."""
    return {
        "label": cited.label,
        "document": cited.document,
        "start": cited.start,
        "end": cited.end,
        "chunk": cited.chunk,
        "page": cited.page,
        "line": cited.line,
        "heading": cited.heading,
    }


def answer(given: Answer, *, explain: bool = False) -> Shape:
    """``ask`` and ``write``; ``closest`` names the best hits' documents, also when it abstained."""
    usage = given.usage
    shape: Shape = {
        "answer": given.answer,
        "abstained": given.abstained,
        "citations": [citation(cited) for cited in given.citations],
        "sentences": [
            {"start": s.start, "end": s.end, "label": s.label, "support": round(s.support, 4)}
            for s in given.sentences
        ],
        "closest": closest(given.hits),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "timings_ms": dict(given.timings_ms),
        "interaction": given.interaction,
        "model": given.model,
        "note": given.note,
    }
    if given.manner is not None:
        shape["manner"] = distance(given.manner)
        shape["unfounded"] = list(given.unfounded)
    if explain:
        shape["prompt"] = prompt(given.prompt) if given.prompt is not None else None
        shape["hits"] = [hit(found) for found in given.hits]
    return shape


def closest(hits: Sequence[Hit], n: int = 3) -> list[Shape]:
    """The documents of the best hits, each once."""
    best: dict[str, Shape] = {}
    for found in hits:
        if found.document not in best and len(best) < n:
            best[found.document] = {
                "document": found.document,
                "line": found.chunk.line,
                "page": found.chunk.page,
                "relevance": round(found.relevance, 4),
            }
    return list(best.values())


def interaction(kept: Interaction) -> Shape:
    """A stored exchange."""
    return {
        "interaction": kept.id,
        "session": kept.session,
        "asked_at": time(kept.asked_at),
        "query": kept.query,
        "resolved": kept.resolved,
        "answer": kept.answer,
        "abstained": kept.abstained,
        "model": kept.model,
        "citations": [citation(cited) for cited in kept.citations],
        "ledger": kept.ledger,
    }


def profile(known: Profile, entries: Iterable[Entry], addresses: Sequence[str] = ()) -> Shape:
    """``profile show``; ``line`` is null for what the person said directly."""
    return {
        "name": known.name,
        "languages": list(known.languages),
        "addresses": list(addresses),
        "facts": [entry(one) for one in entries],
        "summary": [{"text": line.text, "facts": list(line.facts)} for line in known.summary],
        "style": list(known.style),
    }


def entry(one: Entry) -> Shape:
    """One statement; ``subject`` is empty for the person, ``valid_to`` null while it holds."""
    fact = one.fact
    return {
        "id": fact.id,
        "text": fact.text,
        "origin": fact.origin,
        "source": fact.source,
        "start": fact.start,
        "end": fact.end,
        "line": one.line or None,
        "at": time(fact.at),
        "kind": fact.kind,
        "subject": fact.subject,
        "slot": fact.slot,
        "value": fact.value,
        "confidence": fact.confidence,
        "times_said": fact.n_seen,
        "valid_from": time(fact.valid_from),
        "valid_to": time(fact.valid_to),
        "superseded_by": fact.superseded_by or None,
    }


def style(card: StyleCard) -> Shape:
    """``style``; shares are of sentences, rates per 1,000 words, null where there was nothing to count on.

    ``usual`` is the middle 80 % of people, null where it was not measured; ``audiences`` are whom a greeting
    or sign-off was used with.
    """
    figures = {name: card.figure(name) for name in card.names}
    ranges = {name: card.usual(name) for name in card.names}
    return {
        "pieces": card.pieces,
        "words": card.words,
        "sentence_words": card.sentence_words,
        **{
            name: figures[name] or 0.0
            for name in ("exclamations", "questions", "dashes", "parentheses", "ellipses", "emoji")
        },
        "lists": card.lists,
        "contractions": card.contractions,
        "figures": {
            name: {
                "value": value,
                "usual": [known.low, known.high] if (known := ranges[name]) is not None else None,
            }
            for name, value in figures.items()
        },
        "languages": [{"language": code, "share": share} for code, share in card.languages],
        "registers": [
            {"register": register, "pieces": n, "median_words": words}
            for register, n, words in card.registers
        ],
        "spelling": card.variant or None,
        "favourites": [{"word": f.word, "pieces": f.pieces, "times_usual": f.times} for f in card.favourites],
        "greetings": [
            {"greeting": p.shape, "uses": p.uses, "audiences": list(p.audiences)} for p in card.greetings
        ],
        "signoffs": [
            {"signoff": p.shape, "uses": p.uses, "audiences": list(p.audiences)} for p in card.signoffs
        ],
    }


def distance(far: Distance) -> Shape:
    """How far a draft is from the style card; ``usual`` bounds nine of ten of the person's own pieces."""
    return {
        "overall": far.overall,
        "usual": far.usual,
        "likeness": far.likeness,
        "words": far.words,
        "unlike": far.is_unlike,
        "deviations": list(far.deviations),
    }


def compared(one: Compared) -> Shape:
    """One draft of ``write --compare``."""
    return {
        "without": list(one.without),
        "text": one.text,
        "prompt_tokens": one.prompt_tokens,
        "manner": distance(one.manner) if one.manner is not None else None,
        "same_as": one.same_as or None,
    }


def why(found: Why) -> Shape:
    """``why``; influence is in nats: how much likelier the part made the answer, null where not measured."""
    return {
        "interaction": found.interaction.id,
        "query": found.interaction.query,
        "answer": found.interaction.answer,
        "exact": found.is_exact,
        "sentences": [
            {"start": s.start, "end": s.end, "label": s.label, "support": round(s.support, 4)}
            for s in found.sentences
        ],
        "parts": [
            {
                "item": part.item,
                "section": part.section,
                "whole_section": part.is_section,
                "influence": round(part.nats, 3) if part.nats is not None else None,
                "by_sentence": [round(value, 3) for value in part.by_sentence],
            }
            for part in found.measured.parts
        ],
        "loglikelihood": round(found.measured.whole.total, 3),
        "seconds": round(found.measured.seconds, 2),
        "without": {"item": found.left_out, "answer": found.counterfactual} if found.left_out else None,
    }


def receipt(proof: Receipt) -> Shape:
    """``forget`` and ``erase``."""
    return {
        "receipt": proof.id,
        "at": time(proof.at),
        "action": proof.action,
        "counts": dict(proof.counts),
        "subject_sha256": proof.subject_sha256,
        "salt": proof.salt,
    }


def audit(events: Iterable[AuditEvent], intact: bool) -> Shape:
    """``audit``; ``intact`` tells whether the chain of hashes is unbroken."""
    return {
        "intact": intact,
        "events": [
            {
                "seq": event.seq,
                "at": time(event.at),
                "action": event.action,
                "detail": dict(event.detail),
                "hash": event.hash,
            }
            for event in events
        ],
    }


def model(file: ModelFile) -> Shape:
    """One model of ``models list``."""
    return {
        "name": file.name,
        "kind": file.kind,
        "path": str(file.path),
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "licence": file.licence,
        "source": file.source,
    }


def status(told: Mapping[str, Any]) -> Shape:
    """``status`` of one person, with documents and chunks by corpus."""
    counts: Mapping[str, int] = told["counts"]
    return {
        "user": str(told["user"]),
        "path": str(told["path"]),
        "embedder": told["embedder"],
        "corpora": {
            corpus: {
                "documents": counts.get(f"documents:{corpus}", 0),
                "chunks": counts.get(f"chunks:{corpus}", 0),
            }
            for corpus in ("documents", "history", "exemplars")
        },
        "interactions": counts.get("interactions", 0),
        "facts": counts.get("facts", 0),
        "size_bytes": told["bytes"],
        "skipped": list(told["skipped"]),
    }


def time(value: datetime | None) -> str | None:
    """A time as ISO 8601."""
    return value.isoformat() if value is not None else None


def place(document: str, line: int | None, page: int | None) -> str:
    """Where something stands, as an editor opens it: ``notes/knee.md:12``, ``scan.pdf, page 3``."""
    if page:
        return f"{document}, page {page}"
    return f"{document}:{line}" if line else str(document)
