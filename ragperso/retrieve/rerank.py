"""Stage 3, retrieve: a local model reorders the best hits.  Off unless ``retrieve.reranker`` names one.

In: a query, hits best first.  Out: the same hits; those the time budget reached in a better order, on top.
Never: drops or brings in a hit, reaches the network, runs code or unpickles weights from a model folder.

Two kinds of model: a cross-encoder reads query and chunk together (Nogueira & Cho 2019, "Passage re-ranking
with BERT"); late interaction compares their token vectors (Khattab & Zaharia 2020, "ColBERT", SIGIR).
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import string
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from tokenizers import Encoding, Tokenizer

from ragperso import backends, models
from ragperso.errors import MissingExtra, ModelUnavailable, RagpersoError
from ragperso.store import embed_text
from ragperso.types import Hit, Json, Leg, Query

RERANK: Final = "rerank"  # the name of this stage's leg in Hit.via
LATE_INTERACTION: Final = "late-interaction:"  # before a path: use any encoder by its token vectors

# retrieve.rerank_ms and rerank_depth, until a caller says otherwise.
BUDGET_MS: Final = 300.0
DEPTH: Final = 50
CROSS_ENCODER_WEIGHT: Final = 1.0  # trained to rank: nothing to add to it
LATE_INTERACTION_WEIGHT: Final = 0.8  # notes are flat from .8 up, LoCoMo from .6 (benchmarks/rerank.py)

_FIRST_BATCH: Final = 4  # hits; small, because the first call does not know yet what a token costs
_BATCH_TOKENS: Final = 1_024  # padded; the budget can be overrun by one such batch, if the pace changes
_ALPHA: Final = 0.3  # of the moving average: about the last five batches count
_MAX_TOKENS: Final = 512  # of a pair or a text; chunks are shorter, and a plugin's text may have no end
_MAX_CHARS: Final = 16 * _MAX_TOKENS  # read of a text; words of more than 16 letters a token are rare
_UNBOUNDED: Final = 1_000_000  # tokenizers without a limit state 10^30
_HINT: Final = "set retrieve.reranker to the folder of a cross-encoder, or to late-interaction:FOLDER"
_LEAST: Final = -1e4  # below every cosine and inside float16

ModelKind = Literal["cross-encoder", "late-interaction"]


def load_reranker(
    name: str | Path,
    *,
    device: str = "auto",
    budget_ms: float = BUDGET_MS,
    depth: int = DEPTH,
    weight: float = 0.0,
    models_dir: Path | None = None,
) -> BudgetedReranker:
    """Return a reranker for what ``retrieve.reranker`` names; its weights stay on disk until the first query.

    ``name`` is a folder: a cross-encoder, a late-interaction model, or, after ``late-interaction:``, any
    encoder.  With ``models_dir`` it may also be a starter's name or a pulled hub id.  ``weight`` 0 takes the
    weight of the kind.  Raises: ModelUnavailable.
    """
    text = str(name)
    asked = text.startswith(LATE_INTERACTION)
    path = Path(text.removeprefix(LATE_INTERACTION)).expanduser()
    if models_dir is not None and not os.path.isdir(path):
        try:
            path = models.resolve(text.removeprefix(LATE_INTERACTION), "embedder", models_dir).path
        except ModelUnavailable as exc:
            raise ModelUnavailable(exc.message, hint=_HINT, stage="retrieve") from exc
    scorer: Scorer
    if asked or kind_of(path) == "late-interaction":
        scorer, usual = LateInteraction(path, device=device), LATE_INTERACTION_WEIGHT
    else:
        scorer, usual = CrossEncoder(path, device=device), CROSS_ENCODER_WEIGHT
    return BudgetedReranker(scorer, budget_ms=budget_ms, depth=depth, weight=weight or usual)


def kind_of(path: Path) -> ModelKind:
    """Return what the JSON files of a folder say it is.

    Raises: ModelUnavailable, also for a plain encoder, which nobody should rerank with unknowingly.
    """
    if not os.path.isdir(path):
        raise ModelUnavailable(f"there is no reranker at {path}", hint=_HINT, stage="retrieve")
    modules = _modules(path)
    stated = _settings(path / (modules[0][1] if modules else ""), "config.json").get("architectures")
    architectures = [str(name) for name in stated] if isinstance(stated, list) else []
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        return "cross-encoder"
    names = [name for name, _ in modules]
    if "HF_ColBERT" in architectures or ("Transformer" in names and "Pooling" not in names):
        return "late-interaction"
    raise ModelUnavailable(
        f"{path} is neither a cross-encoder nor a late-interaction model",
        hint=f"{_HINT}; for an embedder: retrieve.reranker = {LATE_INTERACTION + str(path)!r}",
        stage="retrieve",
    )


def n_reranked(hits: Sequence[Hit]) -> int:
    """Return how many of ``hits`` the reranker got to score, for timings and ``--explain``."""
    return sum(RERANK in hit.via for hit in hits)


# ---------------------------------------------------------------- the budget


class Job(Protocol):
    """One query against its texts, tokenized."""

    @property
    def sizes(self) -> Sequence[int]:
        """Tokens that scoring each text takes."""

    def score(self, start: int, stop: int) -> list[float]:
        """Return the scores of ``texts[start:stop]``; larger is better, any scale."""


class Scorer(Protocol):
    """A model that scores texts for a query."""

    def load(self) -> None:
        """Make ready; does nothing the second time.  Raises: ModelUnavailable, MissingExtra."""

    def begin(self, query: str, texts: Sequence[str]) -> Job:
        """Do what all texts share."""


class Pace:
    """Milliseconds per token, as a moving average of what was spent."""

    def __init__(self) -> None:
        self.ms_per_token = 0.0  # 0: not known yet

    def saw(self, n_tokens: int, ms: float) -> None:
        """Learn from one batch."""
        rate = ms / max(1, n_tokens)
        self.ms_per_token += (rate - self.ms_per_token) * (_ALPHA if self.ms_per_token else 1)

    def doubt(self) -> None:
        """Lower the average after a query it left out, so that one hiccup does not end reranking for good."""
        self.ms_per_token *= 1 - _ALPHA


class BudgetedReranker:
    """Reorders as many of the best hits as ``budget_ms`` allows; the others keep their order below them.

    Over the hits scored, final = weight * reranker's score + (1 - weight) * hit's score, each scaled from its
    range to [0, 1].  ``Hit.score`` is the final score on the scale that the hits came with,
    so it falls with the rank over all hits.  Which batches there are depends on the texts alone, so that
    equally many hits scored give equal results.  Loading does not count as time.  Safe to share between
    threads: the model runs under a lock.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        budget_ms: float = BUDGET_MS,
        depth: int = DEPTH,
        weight: float = 1.0,
        text_of: Callable[[Hit], str] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 0 <= weight <= 1:
            raise ValueError("weight must be between 0 and 1")
        self.pace = Pace()
        self.start = (
            Pace()
        )  # of what all hits share: tokens of all, vectors of the query; counted as one token
        self.budget_ms = budget_ms
        self.depth = depth
        self.weight = weight
        self._scorer = scorer
        self._text_of = text_of or _as_embedded
        self._clock = clock
        self._lock = threading.Lock()

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the same hits, ranks from 1; of those scored, ``via["rerank"]`` has the model's own view."""
        pool = hits[: max(0, self.depth)]
        scores: list[float] = []
        if len(pool) > 1 and self.budget_ms > 0:
            texts = [_clean(self._text_of(hit)) for hit in pool]
            try:
                with self._lock:
                    self._scorer.load()
                    scores = self._scores(_clean(query.search_text), texts)
            except RagpersoError:
                raise
            except Exception as exc:  # a model's own: no room on the device, more positions than it has
                raise ModelUnavailable(
                    f"the reranker failed ({type(exc).__name__})", hint=_HINT, stage="retrieve"
                ) from exc
        top = _merged(pool[: len(scores)], scores, self.weight)
        floor = top[-1].score if top else np.inf
        rest = [dataclasses.replace(hit, score=min(hit.score, floor)) for hit in hits[len(top) :]]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(top + rest, start=1)]

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the scores of the first texts, as many as the budget allows: none, or two and more."""
        started = self._clock()
        if self.start.ms_per_token > self.budget_ms:  # on a machine this busy not even the start fits
            self.start.doubt()
            return []
        job = self._scorer.begin(query, texts)
        self.start.saw(1, 1000 * (self._clock() - started))
        scores: list[float] = []
        for start, stop in _batches(job.sizes):
            n_tokens = (stop - start) * max(job.sizes[start:stop])
            begun = self._clock()
            expected = 1000 * (begun - started) + n_tokens * self.pace.ms_per_token
            if expected > self.budget_ms and (scores or self.pace.ms_per_token):
                break
            scores += job.score(start, stop)
            self.pace.saw(n_tokens, 1000 * (self._clock() - begun))
        if not scores:
            self.pace.doubt()
        return scores


def _batches(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of batches in order: one text, or at most ``_BATCH_TOKENS`` padded tokens."""
    start, stop = 0, min(_FIRST_BATCH, len(sizes))
    while start < stop:
        yield start, stop
        start, longest = stop, 0
        while stop < len(sizes):
            longest = max(longest, sizes[stop])
            if stop > start and (stop + 1 - start) * longest > _BATCH_TOKENS:
                break
            stop += 1


def _merged(hits: Sequence[Hit], scores: Sequence[float], weight: float) -> list[Hit]:
    """Return ``hits`` by falling final score; ties keep their order."""
    if not hits:
        return []
    own = np.array(scores, np.float64)
    finite = np.isfinite(own)
    own[~finite] = own[finite].min() if finite.any() else 0.0
    first = np.array([hit.score for hit in hits], np.float64)
    final = weight * _scaled(own) + (1 - weight) * _scaled(first)
    ranks = np.empty(len(hits), np.int64)
    ranks[np.argsort(-own, kind="stable")] = np.arange(1, len(hits) + 1)
    low, span = float(first.min()), float(first.max() - first.min())
    return [
        dataclasses.replace(
            hits[i],
            score=low + span * float(final[i]),
            via={**hits[i].via, RERANK: Leg(int(ranks[i]), float(own[i]))},
        )
        for i in np.argsort(-final, kind="stable")
    ]


def _scaled(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scale from the range to [0, 1]; equal scores have no opinion: all 0."""
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)


# ---------------------------------------------------------------- the models


@dataclasses.dataclass(frozen=True, slots=True)
class _Tokens:
    """One input of a transformer."""

    ids: list[int]
    types: list[int]


class _Transformer:
    """Tokenizer and weights of a folder; raises ModelUnavailable at once for what its files rule out."""

    def __init__(self, path: Path, *, auto_class: str, device: str) -> None:
        self.path = path
        self._auto_class = auto_class
        self._device = device
        config = _settings(path, "config.json")
        if not isinstance(config.get("model_type"), str):
            raise _unusable(path, "config.json does not say what model it is")
        self.config = config
        try:
            self.weights = models.weights_of(path)
        except ModelUnavailable as exc:
            raise _unusable(path, exc.message) from exc
        try:
            self.tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        except Exception as exc:  # the Rust library raises Exception itself
            raise _unusable(path, "tokenizer.json is missing or damaged") from exc
        self.max_tokens = self._read_max_tokens()
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.model: Any = None
        self.torch: Any = None
        self._takes: frozenset[str] = frozenset()

    def load(self) -> list[str]:
        """Read the weights; return the names of parameters that the files do not hold."""
        # Read when the libraries are imported.  From a folder they open no connection: a second lock.
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        try:
            self.torch = backends.require("torch")
            transformers = backends.require("transformers")
            logging = backends.require("transformers.utils.logging")
        except MissingExtra as exc:
            exc.stage = "retrieve"
            raise
        logging.set_verbosity_error()  # what is missing is checked below, by name
        logging.disable_progress_bar()
        try:
            model, report = getattr(transformers, self._auto_class).from_pretrained(
                str(self.path),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
            self.model = model.float().to(self._chosen_device()).eval()
        except Exception as exc:  # safetensors, transformers and torch each have their own
            raise _unusable(self.path, f"its weights cannot be loaded ({type(exc).__name__})") from exc
        self._takes = frozenset(inspect.signature(self.model.forward).parameters)
        return [str(key) for key in report["missing_keys"]]

    def pieces(self, texts: Sequence[str], limit: int) -> list[Encoding]:
        """Return the first ``limit`` tokens of each text, without special ones.

        What is cut off is cut off the text: the tokenizer's own truncation keeps it in further encodings, and
        those of a long query and a long text multiply (10 s for 300 kB of "[" as a query).
        """
        found: list[Encoding] = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for i, one in enumerate(found):
            if len(one.ids) > limit:
                end = one.offsets[limit - 1][1]
                found[i] = self.tokenizer.encode(texts[i][:end], add_special_tokens=False)
                found[i].truncate(limit)  # a word that lost its end may fall into more tokens
        return found

    def joined(self, piece: Encoding, pair: Encoding | None = None) -> _Tokens:
        """Return one input or a pair of them with its special tokens."""
        found = self.tokenizer.post_process(piece, pair)
        return _Tokens(found.ids, found.type_ids)

    def forward(self, batch: Sequence[_Tokens]) -> tuple[Any, Any]:
        """Return the model's output and the (n, longest) ids, padded on the right."""
        longest = max(1, *(len(one.ids) for one in batch))
        pad = self.config.get("pad_token_id")
        ids = np.full((len(batch), longest), pad if isinstance(pad, int) else 0, np.int64)
        types = np.zeros_like(ids)
        mask = np.zeros_like(ids)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)] = one.ids
            types[row, : len(one.ids)] = one.types
            mask[row, : len(one.ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        if self.config.get("type_vocab_size", 2) < 2:  # RoBERTa has one type only
            del inputs["token_type_ids"]
        device = self.model.device
        with self.torch.inference_mode():
            found = self.model(
                **{k: self.torch.from_numpy(v).to(device) for k, v in inputs.items() if k in self._takes}
            )
        return found, ids

    def _chosen_device(self) -> str:
        if self._device != "auto":
            return self._device
        torch = self.torch
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    def _read_max_tokens(self) -> int:
        positions = self.config.get("max_position_embeddings")
        if isinstance(positions, int) and "roberta" in self.config["model_type"]:
            positions -= 2  # it counts positions from its padding id + 1
        stated = [
            positions,
            _settings(self.path, "sentence_bert_config.json").get("max_seq_length"),
            _settings(self.path, "tokenizer_config.json").get("model_max_length"),
        ]
        limits = [int(n) for n in stated if isinstance(n, int | float) and 0 < n < _UNBOUNDED]
        return max(8, min([_MAX_TOKENS, *limits]))  # with less than 8 nothing is left beside special tokens


class CrossEncoder:
    """Any transformer with a classification head of one score, or of two labels of which the second is "yes".

    The score is the logit: a sigmoid keeps the order and flattens the ends.
    """

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        modules = _modules(path)
        folder = path / modules[0][1] if modules else path
        self._transformer = _Transformer(
            folder, auto_class="AutoModelForSequenceClassification", device=device
        )
        self._loaded = False

    def load(self) -> None:
        if self._loaded:
            return
        missing = self._transformer.load()
        path, n_labels = self._transformer.path, self._transformer.model.config.num_labels
        if missing:
            raise _unusable(path, f"its weights lack {len(missing)} parameters")
        if n_labels > 2:
            raise _unusable(path, f"it chooses among {n_labels} labels, which is no ranking")
        self.begin("a", ["a", "a b c"]).score(0, 2)  # the first pass starts threads and fills caches
        self._loaded = True

    def begin(self, query: str, texts: Sequence[str]) -> Job:
        return _PairJob(self._transformer, query, texts)


class _PairJob:
    def __init__(self, transformer: _Transformer, query: str, texts: Sequence[str]) -> None:
        self._transformer = transformer
        room = transformer.max_tokens - transformer.tokenizer.num_special_tokens_to_add(True)
        (asked,) = transformer.pieces([query], max(1, room // 2))
        found = transformer.pieces(texts, max(1, room - len(asked.ids)))
        self._pairs = [transformer.joined(asked, one) for one in found]
        self.sizes = [len(pair.ids) for pair in self._pairs]

    def score(self, start: int, stop: int) -> list[float]:
        output, _ = self._transformer.forward(self._pairs[start:stop])
        logits = output.logits.float().cpu().numpy().reshape(stop - start, -1)
        scores: list[float] = (logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)).tolist()
        return scores


class LateInteraction:
    """A transformer compared token by token: the mean over query tokens of the best cosine in the text.

    Reads three layouts: modules.json with a transformer and linear layers behind it (sentence-transformers,
    PyLate), Stanford's ColBERT, and any plain encoder or embedder, of which only the transformer is used.
    Punctuation of texts is not compared, and with a model that was not trained for this nothing but words.
    A query is not padded with [MASK]; where a folder asks for it, real tokens have the same vectors without,
    unless they attend to the padding.
    Source: Khattab & Zaharia 2020, "ColBERT", SIGIR, equation 3 (a sum there).
    """

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        if not os.path.isdir(path):
            raise ModelUnavailable(f"there is no reranker at {path}", hint=_HINT, stage="retrieve")
        modules = _modules(path)
        names = [name for name, _ in modules]
        folder = path / modules[0][1] if modules else path
        self._transformer = _Transformer(folder, auto_class="AutoModel", device=device)
        architectures = self._transformer.config.get("architectures") or []
        self._is_stanford = "HF_ColBERT" in architectures and not modules
        self._layers: list[Any] = []
        self._dense: list[tuple[Path, Json]] = []
        if "Pooling" not in names:  # what follows a pooling takes one row a text
            for name, where in modules[1:]:
                if name == "Dense":
                    self._dense.append((path / where, _dense_settings(path, where)))
                elif name not in ("Normalize", "MultiVectorMask"):
                    raise _unusable(path, f"modules.json asks for {name!r}, which is not supported")
        self._is_trained = self._is_stanford or (bool(modules) and "Pooling" not in names)
        query, text, skipped = self._read_markers(path)
        self._query_marker = self._marker(query)
        self._text_marker = self._marker(text)
        found = {self._transformer.tokenizer.token_to_id(word) for word in skipped}
        if not self._is_trained:  # its special tokens gather the text instead of standing for a word
            found.update(self._transformer.tokenizer.encode("").ids)
        unknown = self._transformer.tokenizer.token_to_id(
            str(getattr(self._transformer.tokenizer.model, "unk_token", None) or "[UNK]")
        )
        self._skipped = np.array(sorted(i for i in found if i is not None and i != unknown), np.int64)
        self._loaded = False

    def load(self) -> None:
        if self._loaded:
            return
        transformer = self._transformer
        missing = [key for key in transformer.load() if "pooler" not in key]
        if missing:
            raise _unusable(transformer.path, f"its weights lack {len(missing)} parameters")
        self._layers = [self._linear(where, settings) for where, settings in self._dense]
        if self._is_stanford:
            self._layers = [self._linear(transformer.path, {})]
        self.begin("a", ["a", "a b c"]).score(0, 2)  # see CrossEncoder.load
        self._loaded = True

    def begin(self, query: str, texts: Sequence[str]) -> Job:
        return _MaxSimJob(self, query, texts)

    def tokens(self, texts: Sequence[str], *, is_query: bool) -> list[_Tokens]:
        """Return token ids, with the marker of their side behind the first special token, if there is one."""
        marker, prefix = self._query_marker if is_query else self._text_marker
        transformer = self._transformer
        room = transformer.max_tokens - transformer.tokenizer.num_special_tokens_to_add(False)
        limit = max(1, room - (marker is not None))
        found = [transformer.joined(one) for one in transformer.pieces([prefix + t for t in texts], limit)]
        if marker is None:
            return found
        return [
            _Tokens([*one.ids[:1], marker, *one.ids[1:]], [*one.types[:1], 0, *one.types[1:]])
            for one in found
        ]

    def vectors(self, batch: Sequence[_Tokens], *, is_query: bool) -> tuple[Any, Any]:
        """Return (n, longest, dim) unit rows and the (n, longest) mask of those to compare, as tensors."""
        torch = self._transformer.torch
        output, ids = self._transformer.forward(batch)
        with torch.inference_mode():
            rows = output[0]
            for layer in self._layers:
                rows = layer(rows)
            rows = torch.nn.functional.normalize(rows, dim=-1)
        kept = np.zeros(ids.shape, bool)
        for row, one in enumerate(batch):
            kept[row, : len(one.ids)] = True
        if not (is_query and self._is_trained):  # a trained one uses all of a query
            worded = kept & ~np.isin(ids, self._skipped)
            kept = np.where(worded.any(axis=1, keepdims=True), worded, kept)  # a text of nothing but dots
        return rows, torch.from_numpy(kept).to(rows.device)

    def _marker(self, prefix: str) -> tuple[int | None, str]:
        """Return what marks a side: the id of a token of its own, else a prefix of the text."""
        tokenizer = self._transformer.tokenizer
        for token in (prefix, prefix.strip()):
            found: int | None = tokenizer.token_to_id(token) if token else None
            if found is not None:
                return found, ""
        return None, prefix

    def _read_markers(self, path: Path) -> tuple[str, str, list[str]]:
        """Return query prefix, text prefix and the tokens of texts that are not compared."""
        skipped: Json = list(string.punctuation)  # what Stanford's and PyLate's models are trained with
        if self._is_stanford:
            stated = _settings(path, "artifact.metadata")
            if stated.get("mask_punctuation") is False:
                skipped = []
            return (
                str(stated.get("query_token_id", "[unused0]")),
                str(stated.get("doc_token_id", "[unused1]")),
                skipped,
            )
        stated = _settings(path, "config_sentence_transformers.json")
        prompts = stated["prompts"] if isinstance(stated.get("prompts"), dict) else {}
        query = stated.get("query_prefix") or prompts.get("query") or ""
        text = stated.get("document_prefix") or prompts.get("document") or prompts.get("passage") or ""
        masks = [where for name, where in _modules(path) if name == "MultiVectorMask" and where]
        skipped = stated.get("skiplist_words", skipped)
        if masks:
            skipped = _settings(path / masks[0], "config.json").get("skiplist_words", [])
        return str(query), str(text), [str(word) for word in skipped or []]

    def _linear(self, folder: Path, settings: Json) -> Any:
        """Return the function of one linear layer, from a folder's safetensors."""
        torch = self._transformer.torch
        tensors: dict[str, Any] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with backends.require("safetensors").safe_open(str(file), framework="pt") as opened:
                wanted = {"linear.weight", "linear.bias", "residual.weight"} & set(opened.keys())
                tensors.update({key: opened.get_tensor(key).float() for key in wanted})
        if "linear.weight" not in tensors:
            raise _unusable(folder, "its linear layer has no weights in safetensors")
        tensors = {key: value.to(self._transformer.model.device) for key, value in tensors.items()}
        activation = _ACTIVATIONS[_activation(settings)]
        linear = torch.nn.functional.linear

        def apply(rows: Any) -> Any:
            found = linear(rows, tensors["linear.weight"], tensors.get("linear.bias"))
            if activation:
                found = getattr(torch, activation)(found)
            if settings.get("use_residual"):
                found = found + (
                    linear(rows, tensors["residual.weight"]) if "residual.weight" in tensors else rows
                )
            return found

        return apply


class _MaxSimJob:
    def __init__(self, model: LateInteraction, query: str, texts: Sequence[str]) -> None:
        self._model = model
        self._texts = model.tokens(texts, is_query=False)
        self.sizes = [len(text.ids) for text in self._texts]
        rows, mask = model.vectors(model.tokens([query], is_query=True), is_query=True)
        self._query = rows[0][mask[0]]  # (tokens, dim)

    def score(self, start: int, stop: int) -> list[float]:
        rows, mask = self._model.vectors(self._texts[start:stop], is_query=False)
        cosines = (rows @ self._query.T).masked_fill(~mask[:, :, None], _LEAST)  # (n, text, query)
        scores: list[float] = cosines.amax(dim=1).mean(dim=1).float().cpu().numpy().tolist()
        return scores


# ---------------------------------------------------------------- the folders


_ACTIVATIONS: Final = {"Identity": "", "Tanh": "tanh", "ReLU": "relu"}


def _activation(settings: Json) -> str:
    return str(settings.get("activation_function", "Identity")).rpartition(".")[2]


def _dense_settings(path: Path, where: str) -> Json:
    settings = _settings(path / where, "config.json")
    if _activation(settings) not in _ACTIVATIONS:
        raise _unusable(path, f"{where} has an activation that is not supported")
    return settings


def _modules(path: Path) -> list[tuple[str, str]]:
    """Return (class name, folder) of each step of modules.json, none without it."""
    found = models.json_in(path, "modules.json", _unusable)
    modules = []
    for entry in found if isinstance(found, list) else []:
        step = entry if isinstance(entry, dict) else {}
        kind, folder = str(step.get("type", "")), str(step.get("path", ""))
        if not kind.startswith(("sentence_transformers.", "pylate.")):
            raise _unusable(path, "modules.json asks for code of another package")
        if folder and not re.fullmatch(r"[\w-]+", folder):
            raise _unusable(path, "modules.json names a folder outside the model's own")
        modules.append((kind.rpartition(".")[2], folder))
    if modules and modules[0][0] != "Transformer":
        raise _unusable(path, "modules.json does not start with a transformer")
    return modules


def _settings(path: Path, name: str) -> dict[str, Json]:
    """Return the object in a file, empty when there is none."""
    found = models.json_in(path, name, _unusable)
    return found if isinstance(found, dict) else {}


def _unusable(path: Path, reason: str) -> ModelUnavailable:
    return ModelUnavailable(f"the reranker in {path} cannot be used: {reason}", hint=_HINT, stage="retrieve")


def _as_embedded(hit: Hit) -> str:
    """Return what the embedder read of the chunk: where it stands, then what it says."""
    return embed_text(hit.chunk.title, hit.chunk.headings, hit.text)


def _clean(text: str) -> str:
    """Cut what no model reads, and replace what the tokenizer refuses."""
    return models.tokenizable(text[:_MAX_CHARS])
