"""Extra keys in the store: put, replaced, removed and embedded anew with their documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from ragperso.index.build import reindex
from ragperso.store import NewDocument, NewKey, Store, embed_hash, embed_text, lead_text
from ragperso.testing import HashEmbedder
from ragperso.types import CORPORA, ChunkSpan, Corpus, Document, DocumentId

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
EMBEDDER = HashEmbedder(16)
TEXT = "I love rye bread. The sky is grey."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def statement(text: str, start: int = 0, kind: str = "preference") -> NewKey:
    return NewKey(kind, start, start + 5, text, embed_hash(text))


def put(
    store: Store, key: str, *keys: NewKey, text: str = TEXT, corpus: Corpus = "documents", title: str = ""
) -> DocumentId:
    """Store a document of one chunk with its keys, all of them embedded."""
    chunk = embed_text(title, (), text)
    texts = {embed_hash(chunk): chunk}
    for one in keys:
        texts[one.embed_hash] = one.text or lead_text(title, text[one.start : one.end])
    number = store.embedder_id(EMBEDDER.fingerprint, name="hash", dim=EMBEDDER.dim)
    store.activate_embedder(number, CORPORA)
    new = NewDocument(
        Document(key, text, source=key, title=title),
        (ChunkSpan(0, len(text), n_tokens=7),),
        (embed_hash(chunk),),
        text,
        "r1",
        keys=keys,
    )
    vectors = {digest: EMBEDDER.embed_query(words) for digest, words in texts.items()}
    (document,) = store.put_documents(corpus, [new], embedder_id=number, vectors=vectors, now=NOW)
    return document


def n_vectors(store: Store) -> int:
    return store.counts()["embeddings"]


def test_keys_are_kept_in_order_and_by_corpus(store: Store) -> None:
    first = put(store, "a", statement("Ana loves rye bread", 0), statement("Ana has two cats", 9, "fact"))
    second = put(store, "b", statement("Ben is tall", 3, "fact"), corpus="history", text="other words")
    assert [row[1:] for row in store.key_rows("documents")] == [(first, "preference", 0), (first, "fact", 9)]
    assert [row[1:] for row in store.key_rows("history")] == [(second, "fact", 3)]
    assert store.counts()["keys"] == 3


def test_keys_have_the_vectors_of_their_texts(store: Store) -> None:
    put(store, "a", statement("Ana loves rye bread"), NewKey("lead", 0, 17, "", embed_hash(TEXT[:17])))
    number = store.embedder_id(EMBEDDER.fingerprint)
    wanted = np.array([row[0] for row in store.key_rows("documents")], np.int64)
    found, rows = store.vectors(number, wanted, of="keys")
    assert found.tolist() == wanted.tolist()
    np.testing.assert_array_equal(rows[0], EMBEDDER.embed_query("Ana loves rye bread"))
    np.testing.assert_array_equal(rows[1], EMBEDDER.embed_query("I love rye bread."))


def test_replacing_a_document_replaces_its_keys_and_their_vectors(store: Store) -> None:
    put(store, "a", statement("Ana loves rye bread"), statement("Ana has two cats"))
    assert n_vectors(store) == 1 + 2
    put(store, "a", statement("Ana has two cats"))
    assert len(store.key_rows("documents")) == 1
    assert n_vectors(store) == 1 + 1
    put(store, "a")
    assert (store.key_rows("documents"), n_vectors(store)) == ([], 1)


def test_removing_a_document_leaves_no_key_and_no_vector(store: Store) -> None:
    first = put(store, "a", statement("Ana loves rye bread"), statement("Ana has two cats"))
    second = put(store, "b", statement("Ana has two cats"), text="other words")
    gone = store.remove_documents([first], answers=True)
    assert gone.embeddings == 2  # the text of a, and rye bread; the cats are b's too
    assert [row[1] for row in store.key_rows("documents")] == [second]
    store.remove_documents([second], answers=True)
    counts = store.counts()
    assert (counts["keys"], counts["embeddings"]) == (0, 0)
    assert store.problems() == []


def test_a_vector_that_a_key_shares_with_a_chunk_stays_for_the_other(store: Store) -> None:
    chunk = put(store, "a", text="Ana has two cats")
    key = put(store, "b", statement("Ana has two cats"), text="other words")
    assert n_vectors(store) == 2
    store.remove_documents([chunk], answers=True)
    assert n_vectors(store) == 2
    store.remove_documents([key], answers=True)
    assert n_vectors(store) == 0


def test_an_id_of_a_key_never_returns(store: Store) -> None:
    document = put(store, "a", statement("Ana has two cats"))
    ((number, *_),) = store.key_rows("documents")
    store.remove_documents([document], answers=True)
    put(store, "a", statement("Ana has two cats"))
    assert store.key_rows("documents")[0][0] > number


def test_reindexing_embeds_keys_as_they_were_embedded_first(store: Store) -> None:
    put(
        store,
        "a",
        statement("Ana loves rye bread"),
        NewKey("lead", 0, 17, "", embed_hash("Bread\nI love rye bread.")),
        title="Bread",
    )
    other = HashEmbedder(8)
    number = store.embedder_id(other.fingerprint, name="other", dim=8)
    assert store.counts_without_vector(number) == 3
    assert [text for _, text in store.texts_without_vector(number, 2)] == [
        f"Bread\n{TEXT}",
        "Ana loves rye bread",
    ]
    assert reindex(store, other, name="other") == 3
    assert store.counts_without_vector(number) == 0
    wanted = np.array([row[0] for row in store.key_rows("documents")], np.int64)
    _, rows = store.vectors(number, wanted, of="keys")
    np.testing.assert_array_equal(rows[0], other.embed_query("Ana loves rye bread"))
    np.testing.assert_array_equal(rows[1], other.embed_query("Bread\nI love rye bread."))


def test_layout_rows_say_where_each_chunk_stands(store: Store) -> None:
    meta = {"session": 4, "speaker": "Ana"}
    text = "Is it late? No."
    new = NewDocument(
        Document("d", text, "row", "d", ts=NOW, meta=meta),
        (ChunkSpan(0, 11, n_tokens=3), ChunkSpan(12, 15, n_tokens=1)),
        (b"1", b"2"),
        "h",
        "r1",
    )
    number = store.embedder_id("e", name="e", dim=2)
    vectors = {b"1": np.ones(2, np.float32), b"2": np.ones(2, np.float32)}
    (document,) = store.put_documents("history", [new], embedder_id=number, vectors=vectors, now=NOW)
    first, second = store.layout_rows("history")
    assert first[1:7] == (document, 0, 3, 0, 11, "it late?")
    assert second[1:7] == (document, 1, 1, 12, 15, "No.")
    assert datetime.fromisoformat(first[7]) == NOW
    assert first[8:] == ("s4\nd", "Ana", "row")  # the conversation of that name in that file
    assert store.layout_rows("documents") == []
    assert list(store.document_texts([document, 99])) == [(document, text)]
