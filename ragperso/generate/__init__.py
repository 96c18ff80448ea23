"""Stage 5, generate: a completion for a prompt, and the check of each of its sentences.

In: a :class:`~ragperso.types.Prompt`.
Out: a :class:`~ragperso.types.Completion`, and sentences labelled with the passage that supports them.
Never: retrieves, records, or lets what one person's prompt left in a cache serve another.

Backends are loaded by name (``llamacpp``, ``llama_server``, ``extractive``), so nothing is imported here.
"""
