"""Surface: what ``ragperso doctor`` finds, as a library function, and the repairs that are safe to make.

In: settings.  Out: findings, each with the command that mends it.
Never: changes anything in :func:`examine`; deletes or overwrites in :func:`mend` what cannot be derived anew.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ragperso import backends, models, preset
from ragperso import config as settings
from ragperso.engine import Engine
from ragperso.errors import ConfigError, RagpersoError
from ragperso.generate import selftest
from ragperso.index.build import CorpusIndex
from ragperso.privacy import erase
from ragperso.store import Store
from ragperso.types import CORPORA, UserId
from ragperso.workspace import MANIFEST, Workspace, directory_name

Level = Literal["ok", "note", "problem"]
Repair = Literal["", "sweep", "permissions", "leftovers", "index", "cleaning"]

_NEEDED_PYTHON: Final = (3, 10)
_ERASED: Final = ".erased-*"
_TEMPORARY: Final = ".*.tmp"
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``area`` is ``python``, ``config``, ``models``, ``home`` or a person's name; ``hint`` is the command that
    mends a problem; ``repair`` names what :func:`mend` would do, empty when it would do nothing.
    """

    area: str
    level: Level
    message: str
    hint: str = ""
    repair: Repair = ""
    path: str = ""


def examine(config: settings.Config | None = None, *, user: str | None = None) -> list[Finding]:
    """Return everything looked at: installation, settings, models, home, and one person or all.

    ``config`` None reads the settings in force; when they are invalid the rest is examined with defaults.
    """
    state = Finding("config", "ok", _config_files())
    if config is None:
        try:
            config = settings.load(presets=preset.settings)
        except ConfigError as exc:
            state = _problem("config", exc)
            config = settings.Config()
    found = [*_python(), *_packages(config), state]
    found += _models(config)
    with Engine(config=config) as engine:
        found += _home(engine.home)
        fingerprint = _fingerprint(engine)
        for name in engine.users() if user is None else [UserId(user)]:
            found += _person(engine, name, fingerprint)
    return found


def mend(config: settings.Config, findings: list[Finding]) -> list[Finding]:
    """Make the safe repairs that ``findings`` name; return what was done, or why it could not be."""
    done = []
    for finding in findings:
        if not finding.repair:
            continue
        try:
            done.append(Finding(finding.area, "ok", _repair(config, finding)))
        except (RagpersoError, OSError) as exc:
            message = exc.message if isinstance(exc, RagpersoError) else exc.strerror or type(exc).__name__
            done.append(Finding(finding.area, "problem", f"could not be mended: {message}", finding.hint))
    return done


# ---------------------------------------------------------------- the installation


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < _NEEDED_PYTHON:
        yield Finding("python", "problem", f"Python {version} is too old", "install Python 3.10 or newer")
    else:
        yield Finding("python", "ok", f"Python {version}, {platform.system()} {platform.machine()}")


def _packages(config: settings.Config) -> Iterator[Finding]:
    """Yield the versions of what is installed, and what the settings need that is not."""
    try:
        requires = importlib.metadata.requires("ragperso") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "python", "note", "ragperso runs from a folder; it is not installed", "pip install -e ."
        )
        return
    extras: dict[str, list[str]] = {"": []}
    for line in requires:
        required, condition = _REQUIREMENT.match(line), _EXTRA.search(line)
        if required is not None and required[1] != "ragperso":
            extras.setdefault(condition[1] if condition else "", []).append(required[1])
    yield from _extra("", extras.pop(""), is_needed=True)
    needed = {
        "embed": config.index.embedder_backend == "sentence-transformers",
        "llama": config.generate.backend == "llama.cpp",
        "starter": "starter" in (config.index.embedder, config.generate.model),
    }
    for extra in ("embed", "llama", "starter", "hub", "watch"):
        if extra in extras:
            yield from _extra(extra, extras[extra], is_needed=needed.get(extra, False))


def _extra(extra: str, names: list[str], *, is_needed: bool) -> Iterator[Finding]:
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    # A backport for older Pythons is rightly missing on newer ones.
    missing = [name for name in missing if name != "tomli"]
    if versions and not missing:
        yield Finding("python", "ok", f"{extra or 'base'}: {', '.join(versions)}")
    if missing:
        what = f"ragperso[{extra}]" if extra else "ragperso"
        level: Level = "problem" if is_needed else "note"
        yield Finding("python", level, f"not installed: {', '.join(missing)}", f"pip install '{what}'")


def _config_files() -> str:
    files = [path for path in (settings.user_file(), Path(settings.FILE_NAME)) if path.is_file()]
    return f"valid: {', '.join(map(str, files))}" if files else "defaults; there is no ragperso.toml"


# ---------------------------------------------------------------- models


def _models(config: settings.Config) -> Iterator[Finding]:
    folder = settings.models_of(config)
    if config.index.embedder_backend == "hash":
        yield Finding("models", "note", "the hash embedder knows words, not meanings")
    elif config.index.embedder_backend != "sentence-transformers":
        yield _backend("embedder", config.index.embedder_backend)
    else:
        yield from _model(config.index.embedder, "embedder", folder)
        yield from _ways(config, folder)
    backend = config.generate.backend
    if backend == "server":
        yield Finding("models", "ok", f"answers come from the server at {config.generate.url}")
    elif backend == "extractive":
        yield Finding("models", "ok", "answers are quotes; no generator is used")
    elif backend != "llama.cpp":
        yield _backend("generator", backend)
    else:
        yield from _model(config.generate.model, "generator", folder)
        yield from _self_test(config, folder)


def _ways(config: settings.Config, folder: Path) -> Iterator[Finding]:
    """Yield how texts and questions are embedded here, and what was measured."""
    try:
        from ragperso.index.embedders import load_embedder

        embedder: Any = load_embedder(config.index, folder)
        tested, found = embedder.self_test(), embedder.query_export()
    except RagpersoError:
        return  # said by the line above
    if tested is None:
        yield Finding("models", "note", "how fast this machine embeds is measured by the first large add")
    else:
        speeds = ", ".join(
            f"{way} {speed:,.0f} tokens/s (off by {tested.deviation.get(way, 0):.0e})"
            for way, speed in sorted(tested.tokens_per_s.items(), key=lambda item: -item[1])
        )
        rough = "; the machine was busy, so it is measured again" if tested.is_rough else ""
        yield Finding("models", "ok", f"texts are embedded by {tested.way}: {speeds}{rough}")
    if found.export is not None:
        off = f"off by {found.export.deviation:.0e}"
        yield Finding("models", "ok", f"questions are embedded by ONNX Runtime without torch ({off})")
    elif found.failed or found.note:
        yield Finding("models", "note", f"questions load the whole model: {found.failed or found.note}")


def _backend(kind: models.Kind, name: str) -> Finding:
    try:
        backends.load(kind, name)
    except RagpersoError as exc:
        return _problem("models", exc)
    return Finding("models", "ok", f"the {kind} is {name}")


def _model(name: str, kind: models.Kind, folder: Path) -> Iterator[Finding]:
    try:
        file = models.resolve(name, kind, folder)
    except RagpersoError as exc:
        yield _problem("models", exc)
        return
    licence = file.licence or "licence not stated"
    # A pulled or packaged file was compared with the hash that came with it; a path has none to compare.
    checked = "" if file.source == "path" else " verified"
    yield Finding("models", "ok", f"{kind} {file.name}: sha256 {file.sha256[:12]}{checked}, {licence}")


def _self_test(config: settings.Config, folder: Path) -> Iterator[Finding]:
    if importlib.util.find_spec("llama_cpp") is None:
        return  # named among the packages already
    try:
        model = models.resolve(config.generate.model, "generator", folder)
        verdict = selftest.safe_settings(model.path, folder, gpu_layers=config.generate.gpu_layers)
    except RagpersoError as exc:
        if exc.stage != "generate" or "self-test" in exc.message or "test prompt" in exc.message:
            yield _problem("models", exc)
        return
    how = (
        "as it is" if verdict.use_extra_bufts else "with its extra buffers off: they crash on this processor"
    )
    yield Finding("models", "ok", f"llama.cpp self-test passed, {how}")


def _fingerprint(engine: Engine) -> str:
    """Return the fingerprint of the embedder in force, empty when it cannot be had (named elsewhere)."""
    try:
        return engine.embedder.fingerprint
    except RagpersoError:
        return ""


# ---------------------------------------------------------------- home


def _home(home: Path) -> Iterator[Finding]:
    if not home.is_dir():
        yield Finding("home", "note", f"{home} does not exist yet", "ragperso add PATH")
        return
    yield Finding("home", "ok", str(home.resolve()))
    rests = [path for path in home.glob(_ERASED) if path.is_dir()]
    if rests:
        yield Finding(
            "home",
            "problem",
            f"{len(rests)} erasures were interrupted; what is left is still on disk",
            "ragperso doctor --fix",
            repair="sweep",
        )
    for path in sorted(home.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if not (path / MANIFEST).is_file():
            yield Finding("home", "note", f"{path} is no person: it has no {MANIFEST}", f"look into {path}")
    if not os.access(home, os.W_OK):
        yield Finding("home", "problem", f"{home} cannot be written to", f"chmod u+w {home}")


# ---------------------------------------------------------------- people


def _person(engine: Engine, name: UserId, fingerprint: str) -> Iterator[Finding]:
    try:
        workspace = Workspace(engine.home, name).open(create=False)
        with contextlib.closing(Store(workspace.store_path)) as store:
            found = list(_stored(engine.config, workspace, store, fingerprint))
    except RagpersoError as exc:
        yield _problem(str(name), exc)
        return
    found += _folder(workspace)
    yield from found
    if all(finding.level == "ok" for finding in found):
        yield Finding(str(name), "ok", "store, audit and indexes are sound")


def _stored(
    config: settings.Config, workspace: Workspace, store: Store, fingerprint: str
) -> Iterator[Finding]:
    name = str(workspace.user)
    for text in store.problems():
        yield Finding(
            name,
            "problem",
            f"the store is damaged: {text}",
            f"ragperso import BACKUP.zip --as {name} --replace",
        )
    if not store.audit()[1]:
        yield Finding(
            name, "problem", "the audit's chain is broken: a line was changed or removed", "ragperso audit"
        )
    if erase.is_unfinished(store):
        yield Finding(
            name,
            "problem",
            "something was forgotten, but its traces in freed space are not overwritten yet",
            "ragperso doctor --fix",
            repair="cleaning",
        )
    waiting, parked = store.extractions()
    if waiting and config.learn.llm:
        yield Finding(
            name, "note", f"{waiting} texts wait for the model", f"ragperso profile refresh --user {name}"
        )
    for reason, n in Counter(parked).most_common(3):
        yield Finding(
            name,
            "note",
            f"the model failed three times on {n} texts: {reason}",
            f"ragperso profile refresh --user {name}",
        )
    active = store.active_embedder()
    if active is None:
        return
    number, made_by, embedder, dim = active
    missing = store.counts_without_vector(number)
    if missing:
        yield Finding(name, "problem", f"{missing} chunks have no vector", f"ragperso reindex --user {name}")
    if fingerprint and fingerprint != made_by:
        yield Finding(
            name,
            "problem",
            f"the vectors were made by {embedder!r}, the settings name {config.index.embedder!r}",
            f"ragperso reindex --embedder {config.index.embedder} --user {name}",
        )
    for corpus in CORPORA:
        index = CorpusIndex(workspace, store, corpus, config.index)
        index.refresh(embedder_id=number, dim=dim, persist=False)
        for note in index.take_notes():
            message = note.replace("; the index was rebuilt from the store", "").replace(
                ", the index was rebuilt", ""
            )
            yield Finding(
                name, "problem", f"index: {message}", f"ragperso doctor --fix --user {name}", repair="index"
            )


def _folder(workspace: Workspace) -> Iterator[Finding]:
    name = str(workspace.user)
    if workspace.path.name != directory_name(workspace.user):
        yield Finding(
            name, "problem", f"{workspace.path} has the wrong name for {name!r}", "restore its name"
        )
    rests = list(workspace.path.glob(_TEMPORARY))
    if rests:
        yield Finding(
            name,
            "problem",
            f"{len(rests)} temporary files of a killed process",
            f"ragperso doctor --fix --user {name}",
            repair="leftovers",
        )
    if os.name == "posix":
        open_paths = [
            path
            for path in (workspace.path, *workspace.path.rglob("*"))
            if not path.is_symlink() and _is_open(path)
        ]
        # Inside a closed folder nobody else can reach a file, whatever its own mode says.
        if workspace.path in open_paths:
            yield Finding(
                name,
                "problem",
                f"other users of this computer can read {workspace.path}",
                f"chmod -R go= {workspace.path}",
                repair="permissions",
            )


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


# ---------------------------------------------------------------- repairs


def _repair(config: settings.Config, finding: Finding) -> str:
    """Make one repair and return what was done.  Raises: RagpersoError, OSError."""
    with Engine(config=config) as engine:
        if finding.repair == "sweep":
            return f"{engine.sweep()} interrupted erasures finished"
        session = engine.session(finding.area, create=False)
        workspace, store = session.workspace, session.store
        if finding.repair == "permissions":
            workspace.path.chmod(0o700)
            return f"{workspace.path} is closed to others"
        if finding.repair == "leftovers":
            with workspace.lock():
                return f"{workspace.clean()} temporary files removed"
        active = store.active_embedder()

        def rebuild() -> None:
            for corpus in CORPORA if active is not None else ():
                index = CorpusIndex(workspace, store, corpus, config.index)
                index.rebuild(embedder_id=active[0], dim=active[3])  # type: ignore[index]

        if finding.repair == "cleaning":
            return f"{erase.finish(store, workspace, rebuild=rebuild)} removals cleaned up"
        with workspace.lock():
            rebuild()
        return "indexes rebuilt from the store"


def _problem(area: str, exc: RagpersoError) -> Finding:
    return Finding(area, "problem", exc.message, exc.hint)
