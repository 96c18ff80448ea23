"""What the right tokens are worth per language: BM25 over the small sets of tests/languages.

    python benchmarks/languages.py
    python benchmarks/languages.py --misses      # and every question whose gold note is not first

Three ways to cut text into words, everything else equal (the same BM25, the same notes and questions):

- *ragperso*: each note under the language it is in, the question under all languages of the notes;
- *words*: lower case, split at white space, as rank-bm25's and LangChain's examples do;
- *English stems*: runs of ``\\w``, lower case, stemmed as English, as bm25s's and LlamaIndex's defaults do.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import Stemmer

from ragperso.index.build import _main_languages
from ragperso.index.lexical import Bm25sIndex
from ragperso.tokens import document_tokens, lexical_tokens, stemming_language
from ragperso.types import ChunkId

SETS: Final = Path(__file__).resolve().parents[1] / "tests" / "languages"
_DEPTH: Final = 50

Tokens = list[str]


class Result(NamedTuple):
    """One question: the rank of its gold note (0 is not found) and what came first instead."""

    query: str
    text: str
    rank: int
    first: str


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def rank(folder: Path, of_notes: Sequence[Tokens], of_questions: Sequence[Tokens]) -> list[Result]:
    """Return one result per question of the set in ``folder``, with its texts already cut into tokens."""
    notes, questions = read(folder / "docs.jsonl"), read(folder / "queries.jsonl")
    index = Bm25sIndex()
    index.build([ChunkId(i + 1) for i in range(len(notes))], of_notes)
    results = []
    for question, tokens in zip(questions, of_questions, strict=True):
        found = [notes[chunk - 1]["id"] for chunk, _ in index.search(tokens, _DEPTH)]
        place = next((i for i, note in enumerate(found, 1) if note in question["gold"]), 0)
        results.append(Result(question["id"], question["text"], place, found[0] if found else ""))
    return results


def by_ragperso(folder: Path) -> list[Result]:
    """Rank as index/build.py cuts notes and engine.py cuts questions."""
    notes = [row["text"] for row in read(folder / "docs.jsonl")]
    languages = _main_languages(Counter(stemming_language(text) for text in notes))
    questions = [row["text"] for row in read(folder / "queries.jsonl")]
    return rank(
        folder, [document_tokens(text) for text in notes], [lexical_tokens(q, languages) for q in questions]
    )


def _same_for_both(cut: Callable[[str], Tokens]) -> Callable[[Path], list[Result]]:
    def ranked(folder: Path) -> list[Result]:
        notes, questions = read(folder / "docs.jsonl"), read(folder / "queries.jsonl")
        return rank(folder, [cut(row["text"]) for row in notes], [cut(row["text"]) for row in questions])

    return ranked


_ENGLISH: Final = Stemmer.Stemmer("english")

WAYS: Final[dict[str, Callable[[Path], list[Result]]]] = {
    "ragperso": by_ragperso,
    "words": _same_for_both(lambda text: text.lower().split()),
    "English stems": _same_for_both(lambda text: _ENGLISH.stemWords(re.findall(r"\w+", text.lower()))),
}


def hit_at_1(results: Sequence[Result]) -> float:
    return sum(result.rank == 1 for result in results) / len(results)


def mrr(results: Sequence[Result]) -> float:
    return sum(1 / result.rank for result in results if result.rank) / len(results)


def table(results: dict[str, dict[str, list[Result]]]) -> str:
    """Return one row per set and one for all questions together; cells are hit@1 / MRR."""
    lines = ["| set | questions | " + " | ".join(WAYS) + " |", "|---|" + "---|" * (1 + len(WAYS))]
    together = {way: [r for by_way in results.values() for r in by_way[way]] for way in WAYS}
    for name, by_way in (*results.items(), ("**all**", together)):
        cells = [f"{hit_at_1(by_way[way]):.3f} / {mrr(by_way[way]):.3f}" for way in WAYS]
        lines.append(f"| {name} | {len(by_way['ragperso'])} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="print each question that ragperso misses")
    options = parser.parse_args()
    folders = sorted(path.parent for path in SETS.glob("*/queries.jsonl"))
    results = {folder.name: {way: ranked(folder) for way, ranked in WAYS.items()} for folder in folders}
    print("hit@1 / MRR of BM25, by how text is cut into words\n")
    print(table(results))
    if options.misses:
        print()
        for name, by_way in results.items():
            for result in by_way["ragperso"]:
                if result.rank != 1:
                    print(
                        f"{name} {result.query} {result.text!r}: rank {result.rank}, first {result.first!r}"
                    )


if __name__ == "__main__":
    main()
