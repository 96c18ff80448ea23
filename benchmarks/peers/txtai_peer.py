"""txtai's Embeddings with ``hybrid=True``: BM25 beside vectors, half and half.

Defaults kept: BM25 with normalized scores, a convex sum with weight 0.5, ten times the wanted passages from
each leg, FAISS (flat up to 5,000 passages, above that txtai's approximate IVF).
"""

from __future__ import annotations

from importlib.metadata import version

import exchange
import numpy as np
from numpy.typing import NDArray
from txtai.embeddings import Embeddings

MODES = ("hybrid",)


def build(person: exchange.Person, n_passages: int, mode: str) -> exchange.Search:
    is_indexed = False

    def given(texts: list[str]) -> NDArray[np.float32]:  # txtai does not tell a question from a passage
        return (
            np.stack([person.embed_query(text) for text in texts])
            if is_indexed
            else person.embed_passages(texts)
        )

    embeddings = Embeddings(method="external", transform=given, hybrid=True)
    embeddings.index(list(enumerate(person.texts)))
    is_indexed = True
    return lambda text: embeddings.search(text, n_passages)


if __name__ == "__main__":
    exchange.main(f"txtai {version('txtai')} hybrid", MODES, build)
