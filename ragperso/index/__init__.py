"""Stage 2, index: text and vectors become searchable, per corpus of one person.

In: chunks and their tokens or embeddings.  Out: rankings of chunk ids.
Never: reads a source file, ranks across corpora, outlives the store it was derived from.
"""
