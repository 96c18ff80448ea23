"""Stage 2, index: text becomes unit vectors.

In: chunk texts or a question.  Out: float32 rows of length 1, in the given order.
Never: reaches the network, runs code or unpickles weights from a model folder, stores anything.

Identity, width and token counts come from JSON files and the ``tokenizers`` package, in milliseconds.  A
question, or a few documents, go through the model's ONNX file once there is one (:mod:`ragperso.index.onnx`);
torch is imported by the first text that needs it.  Which way takes many documents is measured once per
machine (:mod:`ragperso.index.ways`).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import importlib.util
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from ragperso import backends, models
from ragperso.config import Index
from ragperso.errors import MissingExtra, ModelUnavailable
from ragperso.files import file_hash
from ragperso.index import onnx, ways
from ragperso.index.ways import SelfTest
from ragperso.protocols import Embedder
from ragperso.types import Json, Vector, Vectors

# Padded tokens per forward pass; on two cores 1.3-1.4 times the speed of 32 texts at a time.
BATCH_TOKENS: Final = 2_048
# A GPU wants more at a time; not measured here, where there was none.
_GPU_BATCH_TOKENS: Final = 16_384
_WORTH_TEXTS: Final = 48  # fewer are done before the ways of this machine are measured
# Tokens that ONNX Runtime takes while torch and its kin are imported (5 s, 3,000 a second on two cores): a
# process that embeds no more than this is done before torch would have begun.
_LIGHT_TOKENS: Final = 16_384
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
            cache_dir=models_dir,
        )
    return embedder


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to embed documents: texts without prefix to unit rows, and how many padded tokens at a time."""

    encode: ways.Encode
    batch_tokens: int = BATCH_TOKENS


class SentenceTransformerEmbedder:
    """A folder in sentence-transformers layout, or a bare transformer, which is then mean-pooled.

    A prefix left empty is the one the folder states under ``prompts`` (``query``; ``document`` or
    ``passage``), if any.  ``cache_dir`` is where the ONNX file and the self-test of this machine are kept;
    without one there is no file, and the self-test lasts as long as the process.
    Safe to share between threads: the model runs under a lock.
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
        cache_dir: Path | None = None,
    ) -> None:
        self._path = path
        self._device = device
        self._precision = precision
        self._cache_dir = cache_dir
        self._lock = threading.RLock()
        self._model: Any = None
        self._way: _Way | None = None  # the one for documents, once it was chosen in this process
        self._self_test: SelfTest | None = None
        self._light: onnx.OnnxQueryEncoder | None = None
        self._light_is_known = False
        self._light_tokens = 0
        self._notes: list[str] = []
        self._layout = _Layout(path)
        prompts = self._layout.prompts
        self._query_prefix = query_prefix or prompts.get("query", "")
        self._document_prefix = document_prefix or prompts.get("document", "") or prompts.get("passage", "")
        self._tokenizer = _tokenizer(path)
        self._weights_sha256 = weights_sha256
        self._tokenizer_sha256 = ""
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        if not self._fingerprint:
            weights, tokenizer = self._hashes()
            identity = {
                "weights": weights,
                "tokenizer": tokenizer,
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
        """Return the rows; work is sorted by length and cut into batches by padded tokens."""
        rows = np.empty((len(texts), self.dim), np.float32)
        if not texts:
            return rows
        fixed = self._layout.max_length - self.max_tokens  # special tokens and prefix of each text
        lengths = [min(n, self.max_tokens) + fixed for n in self._n_tokens(texts)]
        order = sorted(range(len(texts)), key=lambda i: -lengths[i])
        way = self._for_documents(len(texts), sum(lengths))
        start = 0
        while start < len(order):
            size = max(1, way.batch_tokens // lengths[order[start]])
            batch = order[start : start + size]
            rows[batch] = way.encode([texts[i] for i in batch])
            start += size
        return rows

    def embed_query(self, text: str) -> Vector:
        light = self._light_encoder()
        if light is not None:
            try:
                return light.encode(self._query_prefix + text)
            except Exception as exc:  # the runtime's own classes; torch can do what it could not
                self._give_up_light(exc)
        row: Vector = self._encode(self._loaded(), [text], self._query_prefix)[0]
        return row

    def take_notes(self) -> list[str]:
        """Return in plain words what was found damaged and worked around; a second call returns nothing."""
        notes, self._notes = self._notes, []
        return notes

    # ------------------------------------------------------------ questions without torch

    def prepare_queries(self, *, load: bool = False) -> str:
        """Make the ONNX file that answers questions without torch; return why there is none, else "".

        Takes about 8 s, once per model and machine; remembered also when it failed.  Without ``load``
        nothing is done while torch is not in memory, for then nothing was missing it.
        """
        reason = self._no_light()
        if reason or self._cache_dir is None:
            return reason
        found = onnx.find(self._cache_dir, self._export_identity())
        is_current = found.export is not None and found.export.is_current()
        if is_current or found.failed:
            return found.failed
        if self._model is None and not load:
            return "" if found.export is not None else "torch is not in memory"
        with self._lock:
            model = self._loaded()
            found = onnx.make(
                model,
                self._cache_dir,
                self._export_identity(),
                tokenizer=self._tokenizer,
                max_length=self._layout.max_length,
                pad_id=self._layout.pad_id,
                reference=lambda texts: self._encode(model, texts, ""),
            )
            self._light, self._light_is_known = None, False
        return found.failed or ("" if found.export is not None else found.note)

    def query_export(self) -> onnx.Found:
        """Return the file that answers questions, or why torch does; imports no torch."""
        reason = self._no_light()
        if reason or self._cache_dir is None:
            return onnx.Found(failed=reason)
        return onnx.find(self._cache_dir, self._export_identity())

    def _no_light(self) -> str:
        """Return why this folder's questions stay with torch, before anything is looked for on disk."""
        if self._cache_dir is None:
            return "there is no folder to keep it in"
        if not onnx.is_usable():
            return "not installed: onnxruntime"
        return onnx.unsupported(self._layout.modules, self._layout.settings, lower=self._layout.lower)

    def _light_encoder(self) -> onnx.OnnxQueryEncoder | None:
        if not self._light_is_known:
            with self._lock:
                if not self._light_is_known:
                    self._light = self._open_light()
                    self._light_is_known = True
        return self._light

    def _open_light(self) -> onnx.OnnxQueryEncoder | None:
        if self._no_light() or self._cache_dir is None:
            return None
        found = onnx.find(self._cache_dir, self._export_identity())
        if found.note:
            self._notes.append(found.note)
        if found.export is None:
            return None
        try:
            return self._encoder_of(found.export.path, onnx.QUERY_THREADS)
        except Exception as exc:  # the runtime's own classes, and packages that do not fit this machine
            self._give_up_light(exc)
            return None

    def _encoder_of(self, path: Path, threads: int) -> onnx.OnnxQueryEncoder:
        return onnx.OnnxQueryEncoder(
            path,
            self._tokenizer,
            max_length=self._layout.max_length,
            pad_id=self._layout.pad_id,
            threads=threads,
        )

    def _give_up_light(self, exc: Exception) -> None:
        self._light, self._light_is_known = None, True
        self._notes.append(f"ONNX Runtime cannot use its copy of the embedder ({type(exc).__name__})")

    def _export_identity(self) -> str:
        return onnx.identity_of(*self._hashes(), self._layout.identity(), self._layout.max_length)

    # ------------------------------------------------------------ ways for documents

    def self_test(self) -> SelfTest | None:
        """Return what was measured on this machine, None before the first large add; imports no torch."""
        if self._self_test is None and self._cache_dir is not None:
            # The newest is of all ways; before the first large add after the export there is the older one.
            keys = (self._way_key(), self._way_key(has_export=False))
            found = (ways.remembered(self._cache_dir, key) for key in keys)
            return next((one for one in found if one is not None), None)
        return self._self_test

    def _known_way(self) -> SelfTest | None:
        """Return what was measured of exactly the ways that there are now."""
        if self._self_test is None and self._cache_dir is not None:
            self._self_test = ways.remembered(self._cache_dir, self._way_key())
        return self._self_test

    def _for_documents(self, n_texts: int, n_tokens: int) -> _Way:
        """Return how to embed these; imports torch only where it pays."""
        if self._way is not None:
            return self._way
        if self._model is None and self._light_tokens + n_tokens <= _LIGHT_TOKENS:
            light = self._light_encoder()
            if light is not None:
                self._light_tokens += n_tokens
                return _Way(self._light_documents)
        with self._lock:
            if self._way is None:
                self._way = self._chosen_way(n_texts)
            return self._way or self._exact_way()

    def _chosen_way(self, n_texts: int) -> _Way | None:
        """Return the fastest way, measured now when it never was; None to stay exact for these few."""
        if self._precision != "auto":
            return self._exact_way()
        if n_texts < _WORTH_TEXTS:
            return None
        known = self._known_way()
        if known is not None and known.way.startswith("onnx") and self._model is None:
            with contextlib.suppress(Exception):  # torch can do what the runtime could not
                return self._onnx_way()
        makers = self._ways()
        made: dict[str, _Way] = {}
        is_due = known is not None and known.is_rough and not ways.is_busy()
        if known is None or is_due or known.way not in makers:
            known = ways.measure(
                {name: functools.partial(_made, make, made, name) for name, make in makers.items()},
                sum(min(n, self.max_tokens) for n in self._n_tokens(ways.PROBE)),
            )
            self._self_test = known
            if self._cache_dir is not None:
                ways.remember(self._cache_dir, self._way_key(), known)
        try:
            return made.get(known.way) or makers[known.way]()
        except Exception:  # remembered, but no longer possible: a library or a device is gone
            return self._exact_way()

    def _ways(self) -> dict[str, Callable[[], _Way]]:
        """Return the ways that this machine may have, the exact one first; loads the model."""
        model = self._loaded()
        kind = model.device.type
        found: dict[str, Callable[[], _Way]] = {f"{_runtime(kind)} float32": self._exact_way}
        if kind != "cpu":
            found[f"{_runtime(kind)} float16"] = functools.partial(self._torch_way, "float16")
        elif _has_bfloat16():
            found["torch bfloat16"] = functools.partial(self._torch_way, "bfloat16")
        if kind == "cpu" and self.query_export().export is not None:
            found["onnxruntime float32"] = self._onnx_way
            if importlib.util.find_spec("openvino") is not None:
                found["openvino bfloat16"] = self._openvino_way
        return found

    def _exact_way(self) -> _Way:
        model = self._loaded()
        return _Way(functools.partial(self._documents_by, model), _batch_tokens(model))

    def _torch_way(self, dtype: str) -> _Way:
        torch = backends.require("torch")
        with self._lock:
            model = copy.deepcopy(self._loaded()).to(getattr(torch, dtype))
        return _Way(functools.partial(self._documents_by, model), _batch_tokens(model))

    def _onnx_way(self) -> _Way:
        export = self.query_export().export
        if export is None:
            raise ModelUnavailable("the ONNX file is gone", stage="index")
        encoder = self._encoder_of(export.path, threads=ways.threads())
        return _Way(lambda texts: encoder.encode_batch([self._document_prefix + text for text in texts]))

    def _openvino_way(self) -> _Way:
        export = self.query_export().export
        if export is None:
            raise ModelUnavailable("the ONNX file is gone", stage="index")
        encoder = onnx.OpenVinoEncoder(
            export.path, self._tokenizer, max_length=self._layout.max_length, pad_id=self._layout.pad_id
        )
        return _Way(lambda texts: encoder.encode_batch([self._document_prefix + text for text in texts]))

    def _light_documents(self, texts: Sequence[str]) -> Vectors:
        light = self._light_encoder()
        if light is not None:
            try:
                return light.encode_batch([self._document_prefix + text for text in texts])
            except Exception as exc:  # as for a question
                self._give_up_light(exc)
        return self._documents_by(self._loaded(), texts)

    def _documents_by(self, model: Any, texts: Sequence[str]) -> Vectors:
        return self._encode(model, texts, self._document_prefix)

    def _way_key(self, *, has_export: bool | None = None) -> str:
        if has_export is None:
            has_export = self.query_export().export is not None
        return ways.key_of(self._export_identity(), self._device, has_export=has_export)

    # ------------------------------------------------------------ tokens and weights

    def _hashes(self) -> tuple[str, str]:
        """Return the hashes of weights and tokenizer."""
        self._weights_sha256 = self._weights_sha256 or models.combined_hash(
            {name: file_hash(self._path / name) for name in self._layout.weights}
        )
        self._tokenizer_sha256 = self._tokenizer_sha256 or file_hash(self._path / "tokenizer.json")
        return self._weights_sha256, self._tokenizer_sha256

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
        return onnx.unit(rows)


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
        sentence_bert = models.json_in(path, "sentence_bert_config.json", _unusable) or {}
        self.lower = sentence_bert.get("do_lower_case", False)
        pad = self.config.get("pad_token_id")
        self.pad_id = pad if isinstance(pad, int) and pad >= 0 else 0

    def identity(self) -> Json:
        """Return everything here that shapes a vector, as JSON."""
        own = {key: value for key, value in self.config.items() if key not in _NOT_IDENTITY}
        return {"config": own, "modules": self.modules, "settings": self.settings, "lower": self.lower}

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


def _made(make: Callable[[], _Way], made: dict[str, _Way], name: str) -> ways.Encode:
    """Make a way for the self-test and keep it, so that the one chosen need not be made again."""
    made[name] = make()
    return made[name].encode


def _has_bfloat16() -> bool:
    """Tell whether this processor computes in bfloat16; elsewhere torch imitates it, ten times slower."""
    torch = backends.require("torch")
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(has_it())


def _runtime(device: str) -> str:
    return "torch" if device == "cpu" else f"torch {device}"


def _batch_tokens(model: Any) -> int:
    return BATCH_TOKENS if model.device.type == "cpu" else _GPU_BATCH_TOKENS


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
