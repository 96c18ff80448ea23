"""Stage 2, index: text becomes unit vectors.

In: chunk texts or a question.  Out: float32 rows of length 1, in the given order.
Never: reaches the network, runs code or unpickles weights from a model folder, stores anything.

Identity, width and token counts come from JSON files and the ``tokenizers`` package, in milliseconds; torch
is imported by the first text that has to be embedded.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from ragperso import backends, models
from ragperso.config import Index
from ragperso.errors import MissingExtra, ModelUnavailable
from ragperso.files import file_hash
from ragperso.protocols import Embedder
from ragperso.types import Json, Vector, Vectors

# Padded tokens per forward pass; on two cores 1.3-1.4 times the speed of 32 texts at a time.
BATCH_TOKENS: Final = 2_048
# Weights in bfloat16 embed documents 2.2-2.5 times as fast on a CPU that has it (benchmarks/ingest.py), with
# cosines within 8e-5 of float32.  A folder whose vectors move by more than this bound stays in float32.
_MAX_DEVIATION: Final = 2e-4
_PROBE_TEXTS: Final = 8
_WORTH_TEXTS: Final = 48  # fewer are done before the second copy of the weights is checked
_MODULES: Final = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm")
_UNBOUNDED: Final = 1_000_000  # tokenizers without a limit state 10^30
_FALLBACK_TOKENS: Final = 512  # BERT's, where no file states a limit
# Keys of config.json that say where a file came from, not what it computes.
_NOT_IDENTITY: Final = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


def load_embedder(config: Index, models_dir: Path) -> Embedder:
    """Return the embedder that the settings name; its weights stay on disk until the first text.

    Raises: ModelUnavailable, ConfigError.
    """
    kind = backends.load("embedder", config.embedder_backend)
    embedder: Embedder
    if config.embedder_backend == "hash":
        embedder = kind()
    elif config.embedder_backend != "sentence-transformers":
        embedder = kind(config)  # a plugin's
    else:
        model = models.resolve(config.embedder, "embedder", models_dir)
        embedder = kind(
            model.path,
            device=config.device,
            query_prefix=config.query_prefix,
            document_prefix=config.document_prefix,
            precision=config.precision,
            weights_sha256=model.sha256,
        )
    return embedder


class SentenceTransformerEmbedder:
    """A folder in sentence-transformers layout, or a bare transformer, which is then mean-pooled.

    A prefix left empty is the one the folder states under ``prompts`` (``query``; ``document`` or
    ``passage``), if any.  Safe to share between threads: the model runs under a lock.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "auto",
        query_prefix: str = "",
        document_prefix: str = "",
        precision: str = "auto",
        weights_sha256: str = "",
    ) -> None:
        self._path = path
        self._device = device
        self._lock = threading.Lock()
        self._model: Any = None
        self._fast: Any = None  # the copy in bfloat16, once it was found good
        self._may_be_fast = precision == "auto"
        self._layout = _Layout(path)
        prompts = self._layout.prompts
        self._query_prefix = query_prefix or prompts.get("query", "")
        self._document_prefix = document_prefix or prompts.get("document", "") or prompts.get("passage", "")
        self._tokenizer = _tokenizer(path)
        self._weights_sha256 = weights_sha256
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        if not self._fingerprint:
            weights = self._weights_sha256 or models.combined_hash(
                {name: file_hash(self._path / name) for name in self._layout.weights}
            )
            identity = {
                "weights": weights,
                "tokenizer": file_hash(self._path / "tokenizer.json"),
                "layout": self._layout.identity(),
                "max_length": self._layout.max_length,
                "prefixes": [self._query_prefix, self._document_prefix],
            }
            digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            self._fingerprint = f"st-v1/{self.dim}/{digest[:32]}"
        return self._fingerprint

    @property
    def dim(self) -> int:
        return self._layout.dim

    @property
    def max_tokens(self) -> int:
        room = self._layout.max_length - self._tokenizer.num_special_tokens_to_add(False)
        return max(1, room - self._n_tokens([self._document_prefix])[0])

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._n_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the rows; work is sorted by length and cut into batches of 2,048 padded tokens."""
        rows = np.empty((len(texts), self.dim), np.float32)
        if not texts:
            return rows
        lengths = [min(n, self.max_tokens) for n in self._n_tokens(texts)]
        fixed = self._layout.max_length - self.max_tokens  # special tokens and prefix of each text
        order = sorted(range(len(texts)), key=lambda i: -lengths[i])
        model = self._for_documents(texts)
        start = 0
        while start < len(order):
            size = max(1, BATCH_TOKENS // (lengths[order[start]] + fixed))
            batch = order[start : start + size]
            rows[batch] = self._encode(model, [texts[i] for i in batch], self._document_prefix)
            start += size
        return rows

    def _for_documents(self, texts: Sequence[str]) -> Any:
        """Return the fastest copy of the model that is exact enough for these texts."""
        model = self._loaded()
        if self._fast is None and self._may_be_fast and len(texts) >= _WORTH_TEXTS:
            with self._lock:
                self._may_be_fast = False
                candidate = _in_bfloat16(model)
            if candidate is not None:
                step = len(texts) // _PROBE_TEXTS
                probe = [texts[i * step] for i in range(_PROBE_TEXTS)]
                exact = self._encode(model, probe, self._document_prefix)
                rough = self._encode(candidate, probe, self._document_prefix)
                if float((1 - (exact * rough).sum(axis=1)).max()) <= _MAX_DEVIATION:
                    self._fast = candidate
        return self._fast or model

    def embed_query(self, text: str) -> Vector:
        row: Vector = self._encode(self._loaded(), [text], self._query_prefix)[0]
        return row

    def _n_tokens(self, texts: Sequence[str]) -> list[int]:
        clean = [models.tokenizable(text) for text in texts]
        return [len(found) for found in self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)]

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load(self._path, self._device, self._layout)
            return self._model

    def _encode(self, model: Any, texts: Sequence[str], prefix: str) -> Vectors:
        with self._lock:
            found = model.encode(
                [models.tokenizable(text) for text in texts],
                prompt=prefix or None,
                batch_size=len(texts),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        rows: Vectors = found.float().cpu().numpy()
        if rows.shape != (len(texts), self.dim):
            raise ModelUnavailable(
                f"{self._path.name} gives {rows.shape[-1]} dimensions where its files promise {self.dim}",
                stage="index",
            )
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Vectors = rows / np.maximum(norms, np.float32(1e-12))
        return unit


class _Layout:
    """What the JSON files of a model folder say, read without loading weights."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = models.json_in(path, "config.json", _unusable)
        if not isinstance(self.config, dict) or not isinstance(self.config.get("model_type"), str):
            raise _unusable(path, "config.json does not say what model it is")
        self.modules = self._read_modules()
        folders = [folder for _, folder in self.modules if folder]
        self.weights = [weights.relative_to(path).as_posix() for weights in models.weights_of(path)]
        for folder in folders:
            if any((path / folder).glob("*.bin")) and not any((path / folder).glob("*.safetensors")):
                raise _unusable(path, f"{folder} has pickled weights only, which are never loaded")
        # Of each module folder, its settings; the transformer's own are config.json.
        self.settings = {
            folder: models.json_in(path, f"{folder}/config.json", _unusable) or {} for folder in folders
        }
        self.dim = self._read_dim()
        self.max_length = self._read_max_length()
        stated = models.json_in(path, "config_sentence_transformers.json", _unusable) or {}
        prompts = stated.get("prompts") if isinstance(stated, dict) else None
        self.prompts = {str(k): v for k, v in (prompts or {}).items() if isinstance(v, str)}

    def identity(self) -> Json:
        """Return everything here that shapes a vector, as JSON."""
        own = {key: value for key, value in self.config.items() if key not in _NOT_IDENTITY}
        lower = (models.json_in(self.path, "sentence_bert_config.json", _unusable) or {}).get(
            "do_lower_case", False
        )
        return {"config": own, "modules": self.modules, "settings": self.settings, "lower": lower}

    def _read_modules(self) -> list[tuple[str, str]]:
        """Return (class name, folder) of each step; a bare transformer is pooled by the mean."""
        found = models.json_in(self.path, "modules.json", _unusable)
        if found is None:
            return [("Transformer", ""), ("Pooling", "")]
        modules = []
        for entry in found if isinstance(found, list) else [{}]:
            kind, folder = str(entry.get("type", "")), str(entry.get("path", ""))
            name = kind.rpartition(".")[2]
            if not kind.startswith("sentence_transformers.") or name not in _MODULES:
                raise _unusable(
                    self.path, f"modules.json asks for {name or 'nothing'!r}, which is not supported"
                )
            if folder and not re.fullmatch(r"[\w-]+", folder):
                raise _unusable(self.path, "modules.json names a folder outside the model's own")
            modules.append((name, folder))
        if not modules or modules[0] != ("Transformer", ""):
            raise _unusable(self.path, "modules.json does not start with a transformer in the folder itself")
        return modules

    def _read_dim(self) -> int:
        dim = self.config.get("hidden_size") or self.config.get("dim")  # DistilBERT says dim
        for name, folder in self.modules:
            settings = self.settings.get(folder, {})
            if name == "Pooling" and folder:
                width = settings.get("word_embedding_dimension") or settings.get("embedding_dimension") or dim
                # The older layout has one flag per mode, the newer a name or a list of names.
                modes = settings.get("pooling_mode", "mean")
                flags = [v for k, v in settings.items() if k.startswith("pooling_mode_")]
                n_modes = len(modes) if isinstance(modes, list) else 1
                dim = width * max(1, sum(map(bool, flags)) if flags else n_modes) if width else None
            elif name == "Dense":
                dim = settings.get("out_features")
        if not isinstance(dim, int) or dim < 1:
            raise _unusable(self.path, "no file says how wide its vectors are")
        return dim

    def _read_max_length(self) -> int:
        stated = [
            (models.json_in(self.path, "sentence_bert_config.json", _unusable) or {}).get("max_seq_length"),
            (models.json_in(self.path, "tokenizer_config.json", _unusable) or {}).get("model_max_length"),
            self.config.get("max_position_embeddings"),
        ]
        # sentence-transformers takes its own limit as it stands, else the smaller of the two others.
        limits = [int(n) for n in stated if isinstance(n, int | float) and 0 < n < _UNBOUNDED]
        return min(limits, default=_FALLBACK_TOKENS)


def _load(path: Path, device: str, layout: _Layout) -> Any:
    """Import torch and read the weights, from this folder only."""
    # Read when the libraries are imported.  From a folder they open no connection; this is the second lock.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        torch = backends.require("torch")
        sentence_transformers = backends.require("sentence_transformers")
        transformers_logging = backends.require("transformers.utils.logging")
    except MissingExtra as exc:
        exc.stage = "index"
        raise
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)  # it warns of mean pooling, our intent
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        model = sentence_transformers.SentenceTransformer(
            str(path),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as exc:  # safetensors, transformers and torch each have their own
        raise _unusable(path, f"its weights cannot be loaded on {device} ({type(exc).__name__})") from exc
    model.max_seq_length = layout.max_length
    model.default_prompt_name = None  # prefixes are given per call
    return model.eval()


def _in_bfloat16(model: Any) -> Any:
    """Return a copy of ``model`` with weights in bfloat16, None where this machine gains nothing by it."""
    torch = backends.require("torch")
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if str(model.device) != "cpu" or not has_it():
        return None
    return copy.deepcopy(model).to(torch.bfloat16)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    except Exception as exc:  # the Rust library raises Exception itself
        raise _unusable(path, "tokenizer.json is missing or damaged") from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unusable(path: Path, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"the embedder in {path} cannot be used: {reason}", hint="ragperso models list", stage="index"
    )
