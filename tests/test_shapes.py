"""Records become the JSON of CONTRACT.md, field by field."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from ragperso import shapes
from ragperso.types import (
    Answer,
    AuditEvent,
    Chunk,
    ChunkId,
    Citation,
    DocumentId,
    Dropped,
    Hit,
    IngestReport,
    LedgerItem,
    Leg,
    Message,
    Prompt,
    Query,
    Receipt,
    SearchResult,
    Section,
    Sentence,
    Skipped,
    Usage,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def hit(document: str = "notes/knee.md", rank: int = 1, relevance: float = 0.75) -> Hit:
    chunk = Chunk(
        ChunkId(7),
        DocumentId(3),
        "documents",
        0,
        10,
        14,
        2,
        "knee",
        ("Health",),
        document,
        "Knee",
        NOON,
        line=3,
    )
    via = {"dense": Leg(1, 0.5), "lexical": Leg(2, 3.25)}
    return Hit(rank, 0.9, chunk, via, relevance, (ChunkId(9),))


def test_a_report_lists_counts_and_every_skipped_path() -> None:
    report = IngestReport(2, 1, 0, 5, 0, (Skipped("a.pdf", "encrypted"),), 4, 3, {"total": 1.5})
    assert shapes.report(report) == {
        "added": 2,
        "modified": 1,
        "removed": 0,
        "unchanged": 5,
        "renamed": 0,
        "skipped": [{"path": "a.pdf", "reason": "encrypted"}],
        "chunks": 4,
        "embedded": 3,
        "timings_ms": {"total": 1.5},
    }


def test_a_search_has_the_fields_of_the_contract() -> None:
    told = shapes.search(SearchResult(Query("q", "q of what"), (hit(),), {"total": 2.0}))
    assert set(told) == {"query", "resolved", "hits", "timings_ms"}
    assert (told["query"], told["resolved"]) == ("q", "q of what")
    found = told["hits"][0]
    assert {name: found[name] for name in ("rank", "score", "document", "chunk", "start", "end", "text")} == {
        "rank": 1,
        "score": 0.9,
        "document": "notes/knee.md",
        "chunk": 7,
        "start": 10,
        "end": 14,
        "text": "knee",
    }
    assert found["via"] == {"dense": {"rank": 1, "score": 0.5}, "lexical": {"rank": 2, "score": 3.25}}
    assert found["ts"] == "2026-03-01T12:00:00+00:00"
    json.dumps(told)


def test_a_prompt_keeps_messages_sections_and_what_was_dropped() -> None:
    prompt = Prompt(
        (Message("system", "s"), Message("user", "u")),
        (Section("passages", 5, (LedgerItem("[1] a.md#0", 5, "relevance 0.75"),)),),
        (Dropped("b.md#0", 9, "no room"),),
        5,
        100,
        "q",
    )
    assert shapes.prompt(prompt) == {
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "sections": [
            {
                "name": "passages",
                "tokens": 5,
                "items": [{"item": "[1] a.md#0", "tokens": 5, "detail": "relevance 0.75"}],
            }
        ],
        "dropped": [{"item": "b.md#0", "tokens": 9, "reason": "no room"}],
        "tokens": 5,
        "budget_tokens": 100,
    }


def test_an_answer_explains_itself_only_when_asked() -> None:
    answer = Answer(
        "It is fine. Really.",
        False,
        (Citation("1", "notes/knee.md", 10, 14, ChunkId(7), line=3, heading="Health"),),
        (Sentence(0, 11, "1", 0.8), Sentence(12, 19, None, 0.1)),
        Usage(100, 5, 60),
        {"total": 9.0},
        "id1",
        hits=(hit(),),
    )
    told = shapes.answer(answer)
    assert told["citations"] == [
        {
            "label": "1",
            "document": "notes/knee.md",
            "start": 10,
            "end": 14,
            "chunk": 7,
            "page": None,
            "line": 3,
            "heading": "Health",
        }
    ]
    assert told["sentences"][1] == {"start": 12, "end": 19, "label": None, "support": 0.1}
    assert told["usage"] == {"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 60}
    assert "prompt" not in told
    assert shapes.answer(answer, explain=True)["hits"][0]["chunk"] == 7


def test_the_closest_documents_come_once_each_best_first() -> None:
    hits = [hit("a.md"), hit("a.md", 2), hit("b.md", 3), hit("c.md", 4), hit("d.md", 5)]
    assert [item["document"] for item in shapes.closest(hits)] == ["a.md", "b.md", "c.md"]
    assert [item["document"] for item in shapes.closest(hits, n=1)] == ["a.md"]


def test_places_open_in_an_editor() -> None:
    assert shapes.place("a.md", 3, None) == "a.md:3"
    assert shapes.place("a.pdf", 3, 2) == "a.pdf, page 2"
    assert shapes.place("chat-1", None, None) == "chat-1"


def test_receipts_and_audits_hold_no_content() -> None:
    receipt = Receipt("r1", NOON, "forget", {"documents": 1}, "abc", "salt")
    assert shapes.receipt(receipt) == {
        "receipt": "r1",
        "at": "2026-03-01T12:00:00+00:00",
        "action": "forget",
        "counts": {"documents": 1},
        "subject_sha256": "abc",
        "salt": "salt",
    }
    told = shapes.audit([AuditEvent(1, NOON, "add", {"added": 2}, "h")], True)
    assert told == {
        "intact": True,
        "events": [
            {
                "seq": 1,
                "at": "2026-03-01T12:00:00+00:00",
                "action": "add",
                "detail": {"added": 2},
                "hash": "h",
            }
        ],
    }


def test_status_tells_every_corpus_even_an_empty_one() -> None:
    told = shapes.status(
        {
            "user": "ana",
            "path": "/h/ana",
            "embedder": None,
            "counts": {"documents:documents": 2, "chunks:documents": 5, "facts": 1},
            "bytes": 10,
            "skipped": [],
        }
    )
    assert told["corpora"] == {
        "documents": {"documents": 2, "chunks": 5},
        "history": {"documents": 0, "chunks": 0},
        "exemplars": {"documents": 0, "chunks": 0},
    }
    assert (told["interactions"], told["facts"]) == (0, 1)
