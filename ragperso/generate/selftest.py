"""Stage 5, generate: find out, in a child process, how this build of llama.cpp runs without crashing.

In: a GGUF file.  Out: the settings under which a child process read a batch and wrote a token.
Never: decodes in this process.

Why: the plain source build of llama-cpp-python dies of SIGSEGV on processors with AMX as soon as a batch
holds more than one token (llama.cpp issue 20824).  A crash cannot be caught, so a child takes the risk,
once per build, machine and model file; the verdict is remembered in a small JSON file.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ragperso.errors import ModelUnavailable
from ragperso.files import content_hash, write_atomically

CACHE_FILE: Final = "llama-selftest.json"
REBUILD: Final = (
    "rebuild it: CMAKE_ARGS=\"-DLLAVA_BUILD=OFF -DCMAKE_C_FLAGS='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16' "
    "-DCMAKE_CXX_FLAGS='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'\" "
    "pip install --force-reinstall --no-cache-dir llama-cpp-python"
)

_BATCH: Final = 32  # tokens; two are enough to crash, a full tile makes it certain
_TIMEOUT_S: Final = 300.0  # a model of tens of GB from a cold disk
_REMEMBERED: Final = 64  # verdicts kept; one per model file and build

# What the child reports.  Death by signal is a negative return code, or 0xC0000000 and up on Windows.
_OK: Final = 0
_UNUSABLE: Final = 3  # the file cannot be loaded: no verdict on the build
_WRONG: Final = 4  # it ran, but the numbers are not numbers


@dataclass(frozen=True, slots=True)
class Settings:
    """How to load models: ``use_extra_bufts`` as llama.cpp's default has it, or without."""

    use_extra_bufts: bool
    reason: str


Command = Callable[[Path, bool], Sequence[str]]


def safe_settings(
    path: Path, cache_dir: Path, *, gpu_layers: int = 0, command: Command | None = None
) -> Settings:
    """Return settings under which ``path`` was seen to run; from memory when nothing has changed.

    ``command`` makes the child's command line from the model and ``use_extra_bufts``.
    Raises: ModelUnavailable when no setting works, with the rebuild command, or when the file is at fault.
    """
    key = _identity(path, gpu_layers)
    cache = cache_dir / CACHE_FILE
    known = _remembered(cache)
    verdict = known.get(key)
    if verdict is not None:
        return Settings(bool(verdict), "remembered")
    command = command or _command(gpu_layers)
    for use_extra_bufts, reason in (
        (True, "the default runs"),
        (False, "the default crashed in a child process"),
    ):
        code = _run(command(path, use_extra_bufts))
        if code == _UNUSABLE:
            raise ModelUnavailable(
                f"llama.cpp cannot load {path}",
                hint="the file may be damaged: fetch it again with `ragperso models pull`",
            )
        if code == _OK:
            _remember(cache, known, key, use_extra_bufts)
            return Settings(use_extra_bufts, reason)
    raise ModelUnavailable(
        f"this build of llama.cpp crashes when it runs {path.name}: the self-test in a child process ended "
        f"with code {code}",
        hint=REBUILD,
    )


def _command(gpu_layers: int) -> Command:
    def command(path: Path, use_extra_bufts: bool) -> Sequence[str]:
        flags = [str(int(use_extra_bufts)), str(gpu_layers)]
        return [sys.executable, "-m", "ragperso.generate.selftest", str(path), *flags]

    return command


def _run(command: Sequence[str]) -> int:
    """Return the child's exit code."""
    package = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (package, inherited)))}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_TIMEOUT_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired as exc:
        raise ModelUnavailable(
            f"the model did not answer a test prompt within {_TIMEOUT_S:.0f} s", hint="choose a smaller model"
        ) from exc


def _identity(path: Path, gpu_layers: int) -> str:
    """Return a hash of everything that decides whether it crashes: build, processor, model file."""
    try:
        model = path.stat()
    except OSError as exc:
        raise ModelUnavailable(
            f"{path} cannot be read: {exc.strerror}", hint="see `ragperso models list`"
        ) from exc
    return content_hash(
        json.dumps([_build(), _processor(), model.st_size, model.st_mtime_ns, path.name, gpu_layers])
    )


def _build() -> list[object]:
    """Return what tells one build of llama-cpp-python from another, without importing it."""
    found: list[object] = []
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found.append(importlib.metadata.version("llama-cpp-python"))
    spec = importlib.util.find_spec("llama_cpp")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in sorted((Path(folder) / "lib").glob("*")):
            status = library.stat()
            found.append([library.name, status.st_size, status.st_mtime_ns])
    return found


def _processor() -> str:
    """Return the processor's feature flags, or its name where the system does not list them."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _remembered(cache: Path) -> dict[str, bool]:
    try:
        data = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in data.items() if isinstance(v, bool)} if isinstance(data, dict) else {}


def _remember(cache: Path, known: dict[str, bool], key: str, use_extra_bufts: bool) -> None:
    """Write the verdict down; a read-only cache only costs the test again."""
    kept = dict(list(known.items())[-(_REMEMBERED - 1) :])
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps({**kept, key: use_extra_bufts}))


def _main(path: str, use_extra_bufts: str, gpu_layers: str) -> int:
    """Be the child: load, read a batch, write a token.  A crash here is the answer."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file in the person's folder
    from ragperso.generate import native  # llama_cpp: weight, and the parent must not load it

    try:
        model = native.Model(Path(path), gpu_layers=int(gpu_layers), use_extra_bufts=use_extra_bufts == "1")
        context = native.Context(
            model,
            n_ctx=4 * _BATCH,
            n_batch=_BATCH,
            threads=1,
            batch_threads=os.cpu_count() or 1,
            flash_attention=False,
        )
    except ModelUnavailable:
        return _UNUSABLE
    context.decode([(7 * i) % model.n_vocab for i in range(_BATCH)])
    context.decode([0])
    logits = context.logits()
    finite = all(abs(logits[i]) < float("inf") for i in range(model.n_vocab))
    context.free()
    model.free()
    return _OK if finite else _WRONG


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
