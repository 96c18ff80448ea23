"""Ground: from a backend's name in the settings to its class, imported only when it is asked for.

Built-in names come first; then plugins, found as entry points of other installed packages in the groups
``ragperso.readers``, ``ragperso.embedders`` and ``ragperso.generators``.  A plugin cannot replace a
built-in name.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

from ragperso.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import importlib.metadata

Kind = Literal["reader", "embedder", "dense", "lexical", "reranker", "generator"]

_BUILT_IN: Final[dict[Kind, dict[str, str]]] = {
    "reader": {},  # chosen by file suffix in ragperso.ingest.readers; plugins add suffixes
    "embedder": {
        "sentence-transformers": "ragperso.index.embedders:SentenceTransformerEmbedder",
        "hash": "ragperso.testing:HashEmbedder",
    },
    "dense": {"faiss": "ragperso.index.vectors:VectorIndex"},
    "lexical": {
        "bm25s": "ragperso.index.lexical:Bm25sIndex",
        "rank-bm25": "ragperso.index.lexical:RankBm25Index",
    },
    "reranker": {
        "local": "ragperso.retrieve.rerank:load_reranker",  # of the kind that the folder says it is
    },
    "generator": {
        "llama.cpp": "ragperso.generate.llamacpp:LlamaCppGenerator",
        "server": "ragperso.generate.llama_server:ServerGenerator",
        "extractive": "ragperso.generate.extractive:ExtractiveGenerator",
        "echo": "ragperso.testing:EchoGenerator",
    },
}
_GROUPS: Final[dict[Kind, str]] = {
    "reader": "ragperso.readers",
    "embedder": "ragperso.embedders",
    "generator": "ragperso.generators",
}
# Import name -> the extra of this package that installs it.
_EXTRAS: Final = {
    "torch": "embed",
    "transformers": "embed",
    "sentence_transformers": "embed",
    "onnxruntime": "embed",
    "llama_cpp": "llama",
    "jinja2": "llama",
    "huggingface_hub": "hub",
    "watchfiles": "watch",
}
_ANY_EXTRA: Final = "all"


def load(kind: Kind, name: str) -> Any:
    """Return the class that ``name`` stands for.

    Raises: ConfigError, listing the choices; MissingExtra, with the ``pip install`` that helps.
    """
    if target := _BUILT_IN[kind].get(name):
        module, _, attribute = target.partition(":")
        return getattr(require(module), attribute)
    for point in _plugins(kind):
        if point.name == name:
            try:
                return point.load()
            except Exception as exc:
                raise ConfigError(
                    f"the {kind} plugin {name!r} ({point.value}) cannot be loaded: {type(exc).__name__}",
                    hint="upgrade or uninstall the package it comes from",
                ) from exc
    raise ConfigError(
        f"there is no {kind} backend named {name!r}", hint=f"choose one of: {', '.join(names(kind))}"
    )


def names(kind: Kind) -> list[str]:
    """Return every name :func:`load` knows: the built-in ones in order, then plugins by name."""
    found = list(_BUILT_IN[kind])
    return found + sorted({point.name for point in _plugins(kind)} - set(found))


def require(module: str) -> ModuleType:
    """Import and return ``module``.

    Raises: MissingExtra, when a package it needs is not installed; ConfigError, when one is broken.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        package = (exc.name or module).partition(".")[0]
        if package == __package__:
            raise
        raise MissingExtra(package, _EXTRAS.get(package, _ANY_EXTRA)) from exc
    except (ImportError, OSError) as exc:  # a native library that does not fit this machine
        package = module.partition(".")[0]
        raise ConfigError(
            f"the package that {module!r} needs is installed but cannot be loaded",
            hint=f"pip install --force-reinstall 'ragperso[{_EXTRAS.get(package, _ANY_EXTRA)}]'",
        ) from exc


def _plugins(kind: Kind) -> list[importlib.metadata.EntryPoint]:
    if kind not in _GROUPS:
        return []
    import importlib.metadata  # 18 ms, which only those who have plugins need to pay

    return sorted(importlib.metadata.entry_points(group=_GROUPS[kind]), key=lambda point: point.name)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of ``packages`` that are installed, without importing them."""
    import importlib.metadata

    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class _Deferred(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def deferred(module: str) -> Any:
    """Return a stand-in for ``module``, which is imported when something of it is first asked for.

    For what most commands never need.  Importing costs a search more than searching.
    """
    return _Deferred(module)
