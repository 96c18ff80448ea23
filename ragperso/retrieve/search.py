"""Stage 3, retrieve: from a query to explained hits.

In: a query, retrievers over one corpus or several, a loader of chunks.  Out: hits, best first, ranks from 1.
Never: ranks what a filter excludes, opens another person's index, generates.

Every retriever is a function ``(depth, allowed) -> Ranking``.  Each is asked to ``depth``; then each is
asked again about the candidates only the others found, so that fusion compares full scores instead of
guessing a missing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from ragperso.config import Retrieve
from ragperso.protocols import Fusion, Reranker
from ragperso.retrieve.diversify import collapse, mmr, renumber
from ragperso.retrieve.relevance import relevance
from ragperso.types import Chunk, ChunkId, Hit, Ids, Leg, Query, Ranking, Vectors

Retriever: TypeAlias = Callable[[int, "Ids | None"], Ranking]

# Hits looked at beyond k, so that collapsing duplicates and reranking still fill k places.
_SPARE: Final = 3


@dataclass(frozen=True, slots=True)
class CorpusSearch:
    """One corpus to search.

    ``ceilings`` gives, for a retriever whose scores depend on its corpus, the score of a perfect match;
    dividing by it makes scores of several corpora comparable (a cosine already is: 1.0).
    """

    retrievers: Mapping[str, Retriever]
    allowed: Ids | None = None
    ceilings: Mapping[str, float] = field(default_factory=dict)


def search(
    query: Query,
    corpora: Sequence[CorpusSearch],
    *,
    k: int,
    config: Retrieve,
    fusion: Fusion,
    load: Callable[[Iterable[ChunkId]], Mapping[ChunkId, Chunk]],
    vectors_of: Callable[[Sequence[ChunkId]], Vectors] | None = None,
    reranker: Reranker | None = None,
) -> list[Hit]:
    """Return at most ``k`` hits over all ``corpora`` as one, by falling fused score; ties by chunk id."""
    scaled: dict[str, Ranking] = {}
    raw: dict[tuple[str, ChunkId], float] = {}
    for corpus in corpora:
        if corpus.allowed is not None and not len(corpus.allowed):
            continue
        for name, ranking in _candidates(corpus, max(config.depth, k)).items():
            ceiling = corpus.ceilings.get(name, 1.0) or 1.0
            scaled.setdefault(name, []).extend((i, score / ceiling) for i, score in ranking)
            raw.update({(name, i): score for i, score in ranking})
    rankings = {name: sorted(rows, key=lambda row: (-row[1], row[0])) for name, rows in scaled.items()}
    best = fusion.fuse(rankings, query)[: k * _SPARE]
    share = {name: dict(ranking) for name, ranking in rankings.items()}
    ranks = {name: {i: n for n, (i, _) in enumerate(rows, start=1)} for name, rows in rankings.items()}
    chunks = load(chunk_id for chunk_id, _ in best)
    hits = []
    for chunk_id, score in best:
        if chunk_id not in chunks:  # removed since the index was read
            continue
        seen_by = [name for name in sorted(rankings) if chunk_id in ranks[name]]
        via = {name: Leg(ranks[name][chunk_id], raw[name, chunk_id]) for name in seen_by}
        likely = relevance({name: share[name][chunk_id] for name in seen_by})
        hits.append(Hit(rank=0, score=score, chunk=chunks[chunk_id], via=via, relevance=likely))
    hits = collapse(hits, similarity=config.collapse_similarity)
    if reranker is not None:
        hits = reranker.rerank(query, hits)
    if config.diversity > 0 and vectors_of is not None and hits:
        hits = mmr(hits, vectors_of([hit.chunk.id for hit in hits]), diversity=config.diversity)
    return renumber(hits[:k])


def _candidates(corpus: CorpusSearch, depth: int) -> dict[str, Ranking]:
    """Return each retriever's ranking of the union of what all of them found to ``depth``."""
    rankings = {name: retrieve(depth, corpus.allowed) for name, retrieve in corpus.retrievers.items()}
    union = {chunk_id for ranking in rankings.values() for chunk_id, _ in ranking}
    for name, retrieve in corpus.retrievers.items():
        missing = union.difference(chunk_id for chunk_id, _ in rankings[name])
        if missing:
            ids = np.array(sorted(missing), np.int64)
            # All of these rank below the depth that was asked for, so appending keeps the order.
            rankings[name] = rankings[name] + retrieve(len(ids), ids)
    return rankings


def question_relevance(hits: Sequence[Hit]) -> float:
    """Return how likely the best of ``hits`` answers the question, 0 when there is none."""
    return max((hit.relevance for hit in hits), default=0.0)
