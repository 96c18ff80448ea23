"""Stage 3, retrieve: reorder hits with a local cross-encoder.  Off unless ``retrieve.reranker`` names one."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragperso.errors import MissingExtra, ModelUnavailable
from ragperso.types import Hit, Query


class CrossEncoderReranker:
    """Scores (query, chunk) pairs with any sentence-transformers cross-encoder folder.

    Raises: ModelUnavailable, when the folder is not there; nothing is ever downloaded.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        if not path.is_dir():
            raise ModelUnavailable(
                f"there is no reranker at {path}", hint="set retrieve.reranker to a folder"
            )
        self._path = path
        self._device = device
        self._model: Any = None
        self._lock = threading.Lock()

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the same hits by falling cross-encoder score; ties keep their order."""
        if len(hits) < 2:
            return list(hits)
        with self._lock:
            model = self._load()
            scores = model.predict(
                [(query.search_text, hit.text) for hit in hits], show_progress_bar=False
            ).tolist()
        order = sorted(range(len(hits)), key=lambda i: (-scores[i], i))
        return [
            dataclasses.replace(hits[i], rank=rank, score=float(scores[i]))
            for rank, i in enumerate(order, start=1)
        ]

    def _load(self) -> Any:
        if self._model is None:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            try:
                from sentence_transformers import CrossEncoder  # seconds of imports: only when used
            except ImportError as exc:
                raise MissingExtra("sentence-transformers", "embed", stage="retrieve") from exc
            self._model = CrossEncoder(
                str(self._path), device=self._device, trust_remote_code=False, local_files_only=True
            )
        return self._model
