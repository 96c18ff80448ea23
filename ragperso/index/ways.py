"""Stage 2, index: which way of computing embeds documents fastest on this machine, measured once.

In: the ways there are, each a function from texts to rows.  Out: the fastest whose rows are exact enough.
Never: allows a way by its name, keeps or measures a person's text, decides how questions are embedded.

bfloat16 is three times as fast as float32 on a processor that has it and ten times slower on one that has
not; ONNX Runtime and torch change places from machine to machine.  So a fixed probe is timed, once per
model, machine and versions, and the result is remembered beside the models.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import numpy as np

from ragperso import backends
from ragperso.files import content_hash, write_atomically
from ragperso.types import Vectors

CACHE_FILE: Final = "embedding-ways.json"
FORMAT: Final = 1
# Largest 1 - cosine from float32 that a way may have.  bfloat16 is at 8e-5 and leaves the top 10 the same to
# .99; int8 is at .02 and more (2026-11, all-MiniLM-L6-v2).
MAX_DEVIATION: Final = 2e-4
# A way that is less than this much faster than float32 in torch is not worth a second copy of the weights,
# nor a choice that changes with the noise of a busy machine.
WORTH: Final = 1.15

# Rounds over all ways, the least time of each counts: what else runs on the machine comes and goes.  Together
# they are meant to stay below 1.5 s; on two cores shared with three other jobs it was 4 (2026-11).
_ROUNDS: Final = 4
_ENOUGH_S: Final = 0.7
_REMEMBERED: Final = 64
_PACKAGES: Final = ("torch", "transformers", "sentence-transformers", "onnxruntime", "openvino")

Encode = Callable[[Sequence[str]], Vectors]

# About 800 tokens in eight texts of like length: the shape of a batch of chunks, in several languages, with
# numbers, names and code, because a way may be exact on one kind of text only.
PROBE: Final = tuple(
    text * times
    for text, times in (
        ("The river rose by 40 centimetres overnight, and we moved all the boats to the upper shed. ", 5),
        ("Die Tomaten stehen am Südfenster und brauchen jeden Morgen einen Liter Wasser. ", 4),
        ("J'ai quitté Crédit Rivage pour Banque Verte en juin 2024, après la fermeture. ", 4),
        ("def area(r: float) -> float:\n    return 3.14159 * r ** 2  # in square metres\n", 3),
        ("先週の会議で決まったことを、忘れないうちにここに書いておきます。", 3),
        ("Сестра приезжает в пятницу, надо купить билеты и позвонить врачу. ", 3),
        ("To: Ana <ana@example.org>\nSubject: the lease\n\nPlease sign both copies by Monday. ", 4),
        ("x = 17; y = 4; GmbH & Co. KG; ISBN 978-3-16-148410-0; 09:45; -12.5 C; 1.299,00 EUR. ", 2),
    )
)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the self-test found.

    ``tokens_per_s`` has the ways that were timed, ``deviation`` the largest 1 - cosine of each from float32,
    ``refused`` why the others are not used; ``at`` is the time in ISO 8601.  ``is_rough`` says that the
    machine had other work meanwhile: it is measured again when that is over.
    """

    way: str
    tokens_per_s: Mapping[str, float] = field(default_factory=dict)
    deviation: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    is_rough: bool = False


def measure(
    ways: Mapping[str, Callable[[], Encode]],
    n_tokens: int,
    *,
    probe: Sequence[str] = PROBE,
    clock: Callable[[], float] = time.perf_counter,
) -> SelfTest:
    """Time every way on ``probe``, which is of ``n_tokens``, and choose; the first way is the reference.

    Making a way is not timed, and one that fails or whose rows are off is refused, not raised; only the
    reference must work.
    """
    reference = next(iter(ways))
    is_rough = is_busy()
    exact: Vectors | None = None
    encoders: dict[str, Encode] = {}
    seconds: dict[str, float] = {}
    deviation: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name, make in ways.items():
        try:
            encode = make()
            began = clock()
            rows = encode(probe)
            seconds[name] = clock() - began
        except Exception as exc:  # each runtime raises classes of its own; the reference goes on without it
            if name == reference:
                raise
            refused[name] = f"it fails ({type(exc).__name__})"
            continue
        exact = rows if exact is None else exact
        off = _deviation(exact, rows)
        if math.isfinite(off):
            deviation[name] = off
        if off <= MAX_DEVIATION:
            encoders[name] = encode
        else:
            refused[name] = "its vectors are not exact enough"
    if len(encoders) > 1:  # the first runs were warm-up, unless a slow model has no time for more
        began = clock()
        for _ in range(_ROUNDS):
            for name, encode in encoders.items():
                start = clock()
                encode(probe)
                seconds[name] = min(seconds[name], clock() - start)
            if clock() - began >= _ENOUGH_S:
                break
    speed = {name: n_tokens / max(seconds[name], 1e-9) for name in encoders}
    best = max(speed, key=lambda name: speed[name])
    return SelfTest(
        way=best if speed[best] >= WORTH * speed[reference] else reference,
        tokens_per_s=speed,
        deviation=deviation,
        refused=refused,
        versions=versions(),
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        is_rough=is_rough,
    )


def is_busy() -> bool:
    """Tell whether others want more than this machine has; False where the system does not say."""
    with contextlib.suppress(OSError, AttributeError):
        return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
    return False


def _deviation(exact: Vectors, rows: Vectors) -> float:
    if exact.shape != rows.shape:
        return math.inf
    off = float((1 - (exact.astype(np.float64) * rows.astype(np.float64)).sum(axis=1)).max())
    return max(0.0, off) if math.isfinite(off) else math.inf


# ---------------------------------------------------------------- memory


def key_of(model: str, device: str, *, has_export: bool) -> str:
    """Return the hash of all that decides which way is best, without importing torch."""
    parts = [FORMAT, model, device, has_export, processor(), os.cpu_count(), threads(), versions()]
    return content_hash(json.dumps(parts, sort_keys=True))


def remembered(models_dir: Path, key: str) -> SelfTest | None:
    """Return what was measured before for this key; None when it was not, or cannot be read."""
    entry = _read(models_dir).get(key)
    if not isinstance(entry, dict) or not isinstance(entry.get("way"), str):
        return None
    return SelfTest(
        way=entry["way"],
        tokens_per_s=_numbers(entry.get("tokens_per_s")),
        deviation=_numbers(entry.get("deviation")),
        refused=_texts(entry.get("refused")),
        versions=_texts(entry.get("versions")),
        at=str(entry.get("at", "")),
        is_rough=bool(entry.get("is_rough")),
    )


def remember(models_dir: Path, key: str, result: SelfTest) -> None:
    """Write the result down; a folder that cannot be written only costs the test again."""
    known = {k: v for k, v in _read(models_dir).items() if k != key}
    kept = dict(list(known.items())[-(_REMEMBERED - 1) :])
    entry = {name: dict(v) if isinstance(v, Mapping) else v for name, v in asdict(result).items()}
    with contextlib.suppress(OSError):
        models_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(models_dir / CACHE_FILE, json.dumps({**kept, key: entry}, indent=1))


def _read(models_dir: Path) -> dict[str, object]:
    try:
        data = json.loads((models_dir / CACHE_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {str(k): float(v) for k, v in value.items() if isinstance(v, int | float)}


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def threads() -> int:
    """Return how many threads torch was told to use, 0 for its own choice; ONNX Runtime is not told."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and len(told) < 4 else 0


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute, of those that are installed."""
    return backends.versions(_PACKAGES)


def processor() -> str:
    """Return the processor's name and feature flags, or its name where the system does not list them."""
    kept = []
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("model name", "flags", "Features")):
                kept.append(line.strip())
            if not line.strip() and kept:  # the first processor stands for all
                break
    if kept:
        return "\n".join(kept)
    import platform  # for the systems that have no such file

    return f"{platform.machine()} {platform.processor()}"
