"""LlamaIndex's QueryFusionRetriever over a FAISS vector index and BM25Retriever, without a language model.

Defaults kept: stemmed English BM25 without stop words, equal weights; the modes that end in 60_40 take the
weights of LlamaIndex's own page about score fusion (vector 0.6, BM25 0.4).  ``reciprocal_rerank`` has no
weights.  The FAISS index is by inner product: the L2 index of the FAISS page hands distances on as
similarities, and the fusion, which wants larger to be better, would turn the vectors' ranking upside down.
"""

from __future__ import annotations

from importlib.metadata import version

import bm25s
import exchange
import faiss
from llama_index.core import Settings, StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.retrievers.bm25 import BM25Retriever
from llama_index.vector_stores.faiss import FaissVectorStore

# mode -> (fusion mode, weights of vector and BM25; None: the class's default)
MODES: dict[str, tuple[str, list[float] | None]] = {
    "reciprocal_rerank": ("reciprocal_rerank", None),
    "relative_score": ("relative_score", None),
    "dist_based_score": ("dist_based_score", None),
    "relative_score_60_40": ("relative_score", [0.6, 0.4]),
    "dist_based_score_60_40": ("dist_based_score", [0.6, 0.4]),
}
PASSAGE = "passage"  # the metadata key: a passage's number among the person's


class Given(BaseEmbedding):
    _person: exchange.Person = PrivateAttr()

    def __init__(self, person: exchange.Person) -> None:
        super().__init__(model_name="given")
        self._person = person

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._person.embed_passages(texts).tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._person.embed_query(query).tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def build(person: exchange.Person, n_passages: int, mode: str) -> exchange.Search:
    fusion, weights = MODES[mode]
    nodes = [
        # The number tells equal texts apart; it is kept out of what BM25 and the embedder read.
        TextNode(text=text, metadata={PASSAGE: number}, excluded_embed_metadata_keys=[PASSAGE])
        for number, text in enumerate(person.texts)
    ]
    store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(person.vectors.shape[1]))
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(nodes, storage_context=context, embed_model=Given(person))
    retrievers = [index.as_retriever(similarity_top_k=n_passages)]
    lexical = _lexical(nodes, n_passages)
    if lexical is None:
        weights = None
    else:
        retrievers.append(lexical)
    fused = QueryFusionRetriever(
        retrievers,
        mode=fusion,
        retriever_weights=weights,
        similarity_top_k=n_passages,
        num_queries=1,  # no language model rewrites the question
        use_async=False,  # nothing to wait for: an event loop per question would only add to its time
    )

    def search(text: str) -> exchange.Ranking:
        # With its vector, as LlamaIndex embeds no empty question and FAISS would be handed none.
        asked = QueryBundle(text, embedding=person.embed_query(text).tolist())
        return [(hit.node.metadata[PASSAGE], hit.score or 0.0) for hit in fused.retrieve(asked)]

    return search


def _lexical(nodes: list[TextNode], n_passages: int) -> BM25Retriever | None:
    """Return the BM25 retriever, or nothing where no passage has a word that its tokenizer keeps."""
    try:
        return BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=n_passages)
    except ValueError:  # from bm25s, whose vocabulary may not be empty
        tokens = bm25s.tokenize([node.text for node in nodes], stopwords="en", show_progress=False)
        if any(tokens.ids):
            raise
        return None


if __name__ == "__main__":
    Settings.llm = MockLLM()  # never asked; the default would look for OpenAI
    exchange.main(f"llama-index-core {version('llama-index-core')} QueryFusionRetriever", tuple(MODES), build)
