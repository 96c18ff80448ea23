"""Stage 1, ingest: what the person gave us becomes documents, and documents become chunks.

In: paths.  Out: ``Document`` records with exact text, and ``ChunkSpan`` offsets into it.
Never: opens a store, knows a model (a token counter is handed in), follows a link out of a folder,
lets one bad file end a run.

``walk`` finds files, ``readers`` turns one file into documents, ``chunker`` cuts a document.
"""
