"""ragperso: your notes, answered in your own manner, fully local.

>>> from ragperso import Engine
>>> engine = Engine(home="indexes")  # cheap: no model is loaded yet
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragperso.config import Config
    from ragperso.engine import Engine, Session
    from ragperso.errors import RagpersoError
    from ragperso.types import (
        Answer,
        Chunk,
        Citation,
        Document,
        Filters,
        Hit,
        IngestReport,
        Prompt,
        Receipt,
        SearchResult,
    )

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Chunk",
    "Citation",
    "Config",
    "Document",
    "Engine",
    "Filters",
    "Hit",
    "IngestReport",
    "Prompt",
    "RagpersoError",
    "Receipt",
    "SearchResult",
    "Session",
    "__version__",
]

_HOMES = {"Config": "config", "Engine": "engine", "RagpersoError": "errors", "Session": "engine"}


def __getattr__(name: str) -> Any:
    # Lazily, because the command line imports this package too and must print its help at once.
    if name in __all__:
        return getattr(importlib.import_module(f"ragperso.{_HOMES.get(name, 'types')}"), name)
    raise AttributeError(f"module 'ragperso' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
