"""Measure ragperso/dates.py: do the days that a turn speaks of meet the days that the answer names?

A temporal question of LoCoMo with one gold turn and an answer that names days is found by the text when a
span of the turn, read against the day it was written, shares a day with a span of the answer; found by the
day when the turn's own day does.  Answers without any days ("four months", a place) are left out.
Also how much text a second is read, with and without dates in it.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Final

import common

from ragperso.dates import TimeSpan, distance, time_spans
from ragperso.ingest.times import parse_time

CHUNK_CHARS: Final = 1_000
LEAST_SECONDS: Final = 1.0  # of measured work per row; a shared machine needs that much to settle
PLAIN: Final = (
    "She put the kettle on and opened the window, for the kitchen had been too warm since the baker started. "
    "Is that a second question about the walk along the river which nobody in the house wants to answer? "
)
MODALS: Final = PLAIN.replace("Is that", "May I ask you, March and April, is that")  # months that are none


def main() -> None:
    """Print both tables."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--misses", type=int, default=0, help="print so many questions whose days do not meet"
    )
    options = parser.parse_args()
    folder = common.folder_of(options, "locomo")
    print(f"{common.describe_run()}\n")
    print_shares(folder, options.misses)
    print_speed(folder)


def print_shares(folder: Path, n_misses: int) -> None:
    """Print for what share of the questions the days of text and answer meet."""
    turns = {(row["user"], row["id"]): row for row in rows(folder / "docs.jsonl")}
    asked = [q for q in rows(folder / "queries.jsonl") if q["type"] == "temporal" and len(q["gold"]) == 1]
    judged = by_text = by_day = by_either = speaks = 0
    misses: list[tuple[str, str, str, str]] = []
    for question in asked:
        turn = turns[question["user"], question["gold"][0]]
        written = parse_time(turn["ts"])
        answer = answer_spans(str(question["answer"]))
        if not answer or written is None:
            continue
        said = time_spans(turn["text"], written)
        day = written.toordinal()
        in_text = any(distance(span.first, span.last, answer) == 0 for span in said)
        on_day = distance(day, day, answer) == 0
        judged, by_text, by_day = judged + 1, by_text + in_text, by_day + on_day
        by_either, speaks = by_either + (in_text or on_day), speaks + bool(said)
        if not in_text and not on_day:
            misses.append((question["text"], str(question["answer"]), str(turn["ts"]), turn["text"]))
    print(f"{len(asked)} temporal questions with one gold turn, {judged} whose answer names days.\n")
    print("| the answer's days meet | questions | share |\n|---|---|---|")
    for name, n in (
        ("a span of the turn's text", by_text),
        ("the turn's own day", by_day),
        ("either", by_either),
    ):
        print(f"| {name} | {n} | {n / judged:.3f} |")
    print(
        f"\nOf the {judged} gold turns, {speaks} speak of any days; of these {by_text / speaks:.3f} meet.\n"
    )
    for miss in misses[:n_misses]:
        print(*miss, sep="\n  ", end="\n\n")


def answer_spans(answer: str) -> list[TimeSpan]:
    """Return the days an answer names; one that is a year and no more is read as "in" that year."""
    text = f"in {answer}" if re.fullmatch(r"\s*\d{4}\s*", answer) else answer
    return time_spans(text, None)


def print_speed(folder: Path) -> None:
    """Print how many megabytes a second are read, in chunks as at indexing."""
    chats = [row["text"] for row in rows(folder / "docs.jsonl")]
    sets = {
        "text without dates": [PLAIN * (CHUNK_CHARS // len(PLAIN))] * 200,
        "its months are none": [MODALS * (CHUNK_CHARS // len(MODALS))] * 100,
        "LoCoMo's turns": chats,
    }
    print("| text | MB/s | spans per 1,000 characters |\n|---|---|---|")
    anchor = parse_time("2023-06-14")
    for name, chunks in sets.items():
        n_bytes = n_spans = 0
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < LEAST_SECONDS:
            for chunk in chunks:
                n_spans += len(time_spans(chunk, anchor))
            n_bytes += sum(len(chunk.encode()) for chunk in chunks)
        print(f"| {name} | {n_bytes / 1e6 / spent:.1f} | {1_000 * n_spans / n_bytes:.2f} |")


def rows(path: Path) -> list[dict[str, object]]:
    """Return the rows of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
