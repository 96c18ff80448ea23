"""Stage 2, index: an embedder as an ONNX file, so that a question is embedded without torch.

In: the loaded model of a folder, once; later texts.  Out: the file, with what was checked of it; unit rows.
Never: stands in for torch where the rows differ, uses a file whose SHA-256 is not the noted one.

A question takes a quarter of the time that sentence-transformers takes, and a process that only asks starts
without importing torch.  The file is made by torch's exporter from the model in memory; the older exporter
(``dynamo=False``) gives rows that are silently wrong by .05.  The weights lie in a second file beside the
graph: a session maps them into memory (.05 s, 106 MB) where one file is parsed and copied (.15 s, 191 MB).
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import json
import logging
import os
import re
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ragperso import backends, models
from ragperso.files import content_hash, file_hash, write_atomically
from ragperso.types import Json, Vector, Vectors

Float = TypeVar("Float", bound="np.floating[Any]")

FOLDER: Final = "onnx"  # below the models
RECORD: Final = "export.json"
FORMAT: Final = 1
# 1 - cosine between torch and the file, both in float32: 2e-7 measured, so more is another computation.
MAX_DEVIATION: Final = 1e-5
# Empty, short, long past any limit, padded, in scripts with and without spaces: where exporters and
# tokenizers differ from the original, if anywhere.  Fixed, so that the check says the same on every machine.
PROBES: Final = (
    "",
    "bike",
    "  When did I move my account, and why?\n",
    "Die Tomaten stehen am Südfenster und brauchen jeden Morgen einen Liter Wasser.",
    "Où ai-je rangé la clé de la cave ?",
    "先週の会議で何が決まりましたか。",
    "Сколько недель без бега?",
    "متى موعد طبيب الأسنان؟",
    "def area(r):\n\treturn 3.14159 * r ** 2  # 🙂",
    "The river rose by forty centimetres overnight, and we moved the boats to the upper shed. " * 5,
    "We counted, wrote down, and counted again: nothing of it was lost on the way. " * 600,
)

# Of a question: 2.6 ms for 4.1 with one on two quiet cores (on busy ones it was 11.7 for 7.0).
QUERY_THREADS: Final = 2
_MAX_WEIGHTS: Final = 1_900_000_000  # bytes; larger ones were not tried
_NEEDED: Final = ("onnx", "onnxscript", "onnxruntime")  # to make one; to use one the last is enough
_NAME: Final = re.compile(r"model-[0-9a-f]{16}\.onnx(\.data)?")
_STALE_S: Final = 3_600.0  # what other processes left is swept when none can still be writing it
_LOGGERS: Final = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")
_POOLINGS: Final = ("cls", "mean")
_INPUTS: Final = ("input_ids", "attention_mask")
_OUTPUT: Final = "rows"


@dataclass(frozen=True, slots=True)
class Export:
    """A checked file: ``deviation`` is the largest 1 - cosine from torch; ``versions`` made it.

    ``path`` is the graph, whose weights lie beside it.
    """

    path: Path
    deviation: float
    made_at: str
    versions: Mapping[str, str] = field(default_factory=dict)

    def is_current(self) -> bool:
        """Tell whether the runtime that was checked is the one installed now."""
        return self.versions.get("onnxruntime") == _versions().get("onnxruntime")


@dataclass(frozen=True, slots=True)
class Found:
    """What is on disk for one model: a file to use, or why there is none.

    ``failed`` is why making one failed with the versions installed now; ``note`` what had to be ignored.
    """

    export: Export | None = None
    failed: str = ""
    note: str = ""


def identity_of(weights: str, tokenizer: str, layout: Json, max_length: int) -> str:
    """Return the hash of all that shapes the file or its check; prefixes are text and do not."""
    parts = {
        "weights": weights,
        "tokenizer": tokenizer,
        "layout": layout,
        "max_length": max_length,
        "format": FORMAT,
    }
    return content_hash(json.dumps(parts, sort_keys=True))


def folder_of(models_dir: Path, identity: str) -> Path:
    """Return where the file of a model is kept."""
    return models_dir / FOLDER / identity[:32]


def is_usable() -> bool:
    """Tell whether ONNX Runtime is installed, without importing it."""
    return importlib.util.find_spec("onnxruntime") is not None


def unsupported(modules: Sequence[tuple[str, str]], settings: Mapping[str, Any], *, lower: bool) -> str:
    """Return why a folder with these steps stays with torch; empty when it need not."""
    kinds = [name for name, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return f"its steps are {', '.join(kinds)}"
    if lower:
        return "it lowers the case itself"
    pooling = settings.get(modules[1][1]) or {}
    if pooling.get("include_prompt") is False:
        return "its pooling leaves the prompt out"
    mode = pooling_of(pooling)
    return "" if mode in _POOLINGS else f"its pooling is {mode or 'a combination'}"


def pooling_of(settings: Mapping[str, Any]) -> str:
    """Return the one mode of a pooling step, empty for several.  The older layout has a flag per mode."""
    flags = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    stated = settings.get("pooling_mode", "mean")
    modes = stated if isinstance(stated, list) else [stated]
    if flags and "pooling_mode" not in settings:
        modes = [re.sub(r"_tokens?$", "", flag.removeprefix("pooling_mode_")) for flag in flags]
    return str(modes[0]) if len(modes) == 1 else ""


# ---------------------------------------------------------------- the file on disk


def find(models_dir: Path, identity: str) -> Found:
    """Return the checked export of a model, or why there is none.  Never raises for what is on disk."""
    folder = folder_of(models_dir, identity)
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except FileNotFoundError:
        return Found()
    except (OSError, ValueError, RecursionError):
        return Found(note=_ignored("its record cannot be read"))
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("model") != identity:
        return Found(note=_ignored("its record is of another model or version"))
    versions = record.get("versions")
    versions = {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
    if "failed" in record:
        # Another torch or ONNX may do better; the same ones will not.
        return Found(failed=str(record["failed"])[:300] if versions == _versions() else "")
    files, deviation = record.get("files"), record.get("deviation")
    if not isinstance(files, dict) or not _are_files(files):
        return Found(note=_ignored("its record is damaged"))
    if not isinstance(deviation, float) or not 0 <= deviation <= MAX_DEVIATION:
        return Found(note=_ignored("its record states no deviation that is allowed"))
    for name, expected in files.items():
        try:
            # Remembered by size, time and inode: 90 MB need not be read for each question.
            actual = models.sha256_of(folder / name, models_dir)
        except OSError:
            return Found(note=_ignored("a file is missing"))
        if actual != expected:
            return Found(note=_ignored("a file is not the one that was checked"))
    return Found(Export(folder / min(files, key=len), deviation, str(record.get("made_at", "")), versions))


def _are_files(files: Mapping[str, Any]) -> bool:
    """Tell whether these are names and hashes of a graph and its weights, and of nothing elsewhere."""
    return (
        len({name.removesuffix(".data") for name in files}) == 1
        and all(_NAME.fullmatch(name) and isinstance(sha256, str) for name, sha256 in files.items())
        and any(name.endswith(".onnx") for name in files)
    )


def make(
    model: Any,
    models_dir: Path,
    identity: str,
    *,
    tokenizer: Tokenizer,
    max_length: int,
    pad_id: int,
    reference: Callable[[Sequence[str]], Vectors],
) -> Found:
    """Export ``model``, check it against ``reference`` and keep it; a failure is kept with its reason.

    ``model`` is a loaded SentenceTransformer of transformer and pooling; ``reference`` gives its rows.
    About 8 s (all-MiniLM-L6-v2).  Two processes at once each write files of their own name, which nobody
    reads before the record names them; the record written last decides.
    """
    folder = folder_of(models_dir, identity)
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return Found(failed=f"not installed: {', '.join(missing)}")
    graph = folder / f"model-{secrets.token_hex(8)}.onnx"
    is_kept = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _export(model, graph)
            encoder = OnnxQueryEncoder(graph, tokenizer, max_length=max_length, pad_id=pad_id)
            deviation = deviation_of(encoder, reference)
            if not deviation <= MAX_DEVIATION:  # NaN is refused too
                raise _Refused(f"its rows are off by {deviation:.1e}")
        except OSError:
            raise
        except Exception as exc:  # exporters and runtimes raise classes of their own
            reason = str(exc) if isinstance(exc, _Refused) else f"the exporter failed ({type(exc).__name__})"
            _note(folder, identity, {"failed": reason})
            return Found(failed=reason)
        written = [path for path in (graph, _data_of(graph)) if path.is_file()]
        for path in written:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        files = {path.name: file_hash(path) for path in written}
        _note(folder, identity, {"files": files, "deviation": deviation})
        is_kept = True
        _sweep(folder, keep=files)
    except OSError as exc:  # a full or read-only disk: nothing is remembered, the next time may do better
        return Found(failed=f"it cannot be stored: {exc.strerror or type(exc).__name__}")
    finally:
        if not is_kept:
            for path in (graph, _data_of(graph)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
    return find(models_dir, identity)


def deviation_of(encoder: OnnxQueryEncoder, reference: Callable[[Sequence[str]], Vectors]) -> float:
    """Return the largest 1 - cosine between two ways, texts taken alone and padded in one batch."""
    expected = np.concatenate([reference([text]) for text in PROBES]).astype(np.float64)
    alone = np.stack([encoder.encode(text) for text in PROBES]).astype(np.float64)
    together = encoder.encode_batch(PROBES).astype(np.float64)
    if alone.shape != expected.shape:
        raise _Refused(f"its rows are {alone.shape[-1]} wide")
    off = [1 - (unit(rows) * unit(expected)).sum(axis=1) for rows in (alone, together)]
    return float(max(0.0, np.max(off)))


class _Refused(Exception):
    """The file was made and is not good enough, or the model cannot be one; the message is the reason."""


def _export(model: Any, path: Path) -> None:
    """Write transformer and pooling of a SentenceTransformer as one graph, any batch and length."""
    import torch  # weight

    if sum(p.numel() * p.element_size() for p in model.parameters()) > _MAX_WEIGHTS:
        raise _Refused("its weights are more than one ONNX file holds")
    if any(p.dtype != torch.float32 for p in model.parameters()):
        raise _Refused("its weights are not float32")

    class Whole(torch.nn.Module):  # type: ignore[misc]  # of a package that mypy skips
        def __init__(self) -> None:
            super().__init__()
            self.transformer = model[0].auto_model
            self.pooling = model[1]

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            pooled = self.pooling({"token_embeddings": hidden, "attention_mask": attention_mask})
            found: torch.Tensor = pooled["sentence_embedding"]
            return found

    whole = Whole().eval()
    if next(model.parameters()).device.type != "cpu":
        whole = copy.deepcopy(whole).to("cpu")
    # Two rows of unlike length: a size of 1 would be taken for a constant.
    ids = torch.full((2, 7), 5, dtype=torch.int64)
    mask = torch.ones((2, 7), dtype=torch.int64)
    mask[1, 4:] = 0
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _silent(), torch.no_grad():
        program = torch.onnx.export(
            whole,
            (ids, mask),
            dynamo=True,
            dynamic_shapes=dict.fromkeys(_INPUTS, any_size),
            input_names=list(_INPUTS),
            output_names=[_OUTPUT],
            verbose=False,
        )
        if program is None:
            raise _Refused("the exporter returned nothing")
        program.save(str(path), external_data=True)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter's warnings about its own insides off the person's screen."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _data_of(graph: Path) -> Path:
    return graph.with_name(f"{graph.name}.data")


def _note(folder: Path, identity: str, what: dict[str, Any]) -> None:
    """Write down what came of it; a failure never replaces another process's success."""
    if "failed" in what:
        with contextlib.suppress(OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            known = json.loads((folder / RECORD).read_bytes())
            if known.get("model") == identity and all((folder / name).is_file() for name in known["files"]):
                return
    record = {
        "format": FORMAT,
        "model": identity,
        **what,
        "versions": _versions(),
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    write_atomically(folder / RECORD, json.dumps(record, indent=1))


def _sweep(folder: Path, *, keep: Collection[str]) -> None:
    """Remove what killed or slower processes left, once it is too old to be in the making."""
    old = time.time() - _STALE_S
    for path in folder.iterdir():
        is_ours = path.name.endswith(".tmp") or _NAME.fullmatch(path.name)
        if is_ours and path.name not in keep:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < old:
                    path.unlink()


def _versions() -> dict[str, str]:
    return backends.versions(("torch", "transformers", "sentence-transformers", *_NEEDED))


def _ignored(reason: str) -> str:
    return f"the fast copy of the embedder was not used: {reason}; it is made again at the next add"


# ---------------------------------------------------------------- using it


class OnnxQueryEncoder:
    """Rows of an exported file; agrees with the model it was made from to 1e-6.

    0 threads take every core, for many texts at once.
    Safe to share between threads.
    """

    def __init__(
        self,
        path: Path,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        pad_id: int = 0,
        threads: int = QUERY_THREADS,
    ) -> None:
        onnxruntime = backends.require("onnxruntime")

        # Windows builds send usage events unless told not to; elsewhere this does nothing.
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: what goes wrong is raised as well
        if threads:
            # The higher levels cost .05 s at each start and win nothing for one text.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._pad_id = pad_id

    def encode(self, text: str) -> Vector:
        """Return the unit row of one text, cut at the model's length."""
        row: Vector = self.encode_batch([text])[0]
        return row

    def encode_batch(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows of ``texts`` in one pass, padded to the longest."""
        ids, mask = tokens_of(self._tokenizer, texts, max_length=self._max_length, pad_id=self._pad_id)
        found = self._session.run([_OUTPUT], dict(zip(_INPUTS, (ids, mask), strict=True)))[0]
        return unit(np.asarray(found, np.float32))


class OpenVinoEncoder:
    """Rows of an exported file by OpenVINO in bfloat16, for many texts at once.

    Raises: ValueError where the processor has no bfloat16; float32 is no faster here than ONNX Runtime.
    Safe to share between threads: one request runs at a time.
    """

    def __init__(self, path: Path, tokenizer: Tokenizer, *, max_length: int, pad_id: int = 0) -> None:
        openvino = importlib.import_module("openvino")  # optional, and weight
        core = openvino.Core()
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ValueError("this processor has no bfloat16")
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
        self._model = core.compile_model(str(path), "CPU", settings)
        self._lock = threading.Lock()
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._pad_id = pad_id

    def encode_batch(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows of ``texts`` in one pass, padded to the longest."""
        ids, mask = tokens_of(self._tokenizer, texts, max_length=self._max_length, pad_id=self._pad_id)
        with self._lock:
            found = np.array(self._model(dict(zip(_INPUTS, (ids, mask), strict=True)))[0], np.float32)
        return unit(found)


def tokens_of(
    tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int, pad_id: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return ids and mask (len(texts), longest) int64, with special tokens and cut as transformers does.

    ``tokenizer`` neither cuts nor pads: it is the one that counts, and is read from disk only once.
    """
    room = max(0, max_length - tokenizer.num_special_tokens_to_add(False))
    clean = [models.tokenizable(text) for text in texts]
    rows = []
    for encoding in tokenizer.encode_batch(clean, add_special_tokens=False):
        encoding.truncate(room)
        rows.append(tokenizer.post_process(encoding, None, True).ids)
    width = max(1, max(map(len, rows), default=1))
    ids = np.full((len(rows), width), pad_id, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def unit(rows: NDArray[Float]) -> NDArray[Float]:
    """Return the rows with length 1; a row of zeros stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[Float] = rows / np.maximum(norms, np.float32(1e-12))
    return found
