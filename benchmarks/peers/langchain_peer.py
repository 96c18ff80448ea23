"""LangChain's EnsembleRetriever over BM25Retriever and FAISS, as its documentation puts them together.

Defaults kept: equal weights, c = 60, BM25 over words split at blanks (case and punctuation stay), a flat L2
index (for unit rows the order of the cosine).  Its BM25 ranks passages that share no word with the
question, too.
"""

from __future__ import annotations

from importlib.metadata import version

import exchange
import numpy as np
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.embeddings import Embeddings

MODES = ("ensemble",)
PASSAGE = "passage"  # the metadata key: a passage's number among the person's


class Given(Embeddings):
    def __init__(self, person: exchange.Person) -> None:
        self.person = person

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.person.embed_passages(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.person.embed_query(text).tolist()


def build(person: exchange.Person, n_passages: int, mode: str) -> exchange.Search:
    numbers = [{PASSAGE: number} for number in range(len(person.texts))]
    store = FAISS.from_texts(person.texts, Given(person), metadatas=numbers)
    retrievers = [store.as_retriever(search_kwargs={"k": n_passages})]
    if any(text.split() for text in person.texts):  # rank_bm25 divides by the number of words it knows
        retrievers.insert(0, BM25Retriever.from_texts(person.texts, metadatas=numbers, k=n_passages))
    # By number: by text, its default, the same words in two documents would be one hit and one document lost.
    ensemble = EnsembleRetriever(
        retrievers=retrievers, weights=[1 / len(retrievers)] * len(retrievers), id_key=PASSAGE
    )

    def search(text: str) -> exchange.Ranking:
        # The ensemble returns an order without scores; 1/rank falls with it.
        return [(hit.metadata[PASSAGE], 1 / rank) for rank, hit in enumerate(ensemble.invoke(text), start=1)]

    return search


if __name__ == "__main__":
    np.seterr(all="ignore")  # rank_bm25 on a question without words
    exchange.main(f"langchain-classic {version('langchain-classic')} EnsembleRetriever", MODES, build)
