"""What the benchmarks share: where the data is, an embedder that remembers, and how a run is described."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragperso import config as settings
from ragperso.config import Config
from ragperso.index.embedders import load_embedder
from ragperso.protocols import Embedder
from ragperso.types import Vector, Vectors

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SEED = 7


class RememberingEmbedder:
    """Any embedder, with its vectors kept in one SQLite file, so that a text is embedded once per machine.

    The key is the embedder's fingerprint and the SHA-256 of the text: another model never meets these rows.
    """

    def __init__(self, inner: Embedder, path: Path) -> None:
        self.inner = inner
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def dim(self) -> int:
        return self.inner.dim

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.inner.count(texts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dim), np.float32)
        keys = [self._key("document", text) for text in texts]
        missing = []
        for i, key in enumerate(keys):
            found = self._db.execute("SELECT row FROM vectors WHERE key = ?", (key,)).fetchone()
            if found is None:
                missing.append(i)
            else:
                rows[i] = np.frombuffer(found[0], np.float32)
        if missing:
            rows[missing] = self.inner.embed_documents([texts[i] for i in missing])
            self._keep([(keys[i], rows[i].tobytes()) for i in missing])
        return rows

    def embed_query(self, text: str) -> Vector:
        key = self._key("query", text)
        found = self._db.execute("SELECT row FROM vectors WHERE key = ?", (key,)).fetchone()
        if found is not None:
            row: Vector = np.frombuffer(found[0], np.float32).copy()
            return row
        row = self.inner.embed_query(text)
        self._keep([(key, row.tobytes())])
        return row

    def _key(self, kind: str, text: str) -> bytes:
        whole = f"{self.fingerprint}\x00{kind}\x00{text}"
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()

    def _keep(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
        self._db.execute("COMMIT")


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--data", type=Path, default=DATA, help="folder of the development sets")
    made.add_argument(
        "--cache",
        type=Path,
        default=Path("~/.cache/ragperso-bench").expanduser(),
        help="where vectors and indexes are kept between runs",
    )
    return made


def starter(cache: Path, config: Config | None = None) -> RememberingEmbedder:
    """Return the starter embedder behind the cache."""
    chosen = config or Config()
    inner = load_embedder(chosen.index, settings.models_of(chosen))
    return RememberingEmbedder(inner, cache / "vectors.db")


def folder_of(options: argparse.Namespace, name: str, *, every: bool = False) -> Path:
    """Return the folder of a development set; of ``tau2_retail`` a copy with its first 60 customers.

    Each of its 500 customers has three documents, so building them all measures the disk; ``every`` does.
    """
    folder: Path = options.data / name
    if not (folder / "queries.jsonl").is_file():
        raise SystemExit(f"{folder} is missing: the development sets are not part of this repository")
    if name != "tau2_retail" or every:
        return folder
    few: Path = options.cache / "sets" / name
    few.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    people = sorted({row["user"] for row in rows})[:60]
    for file in ("docs.jsonl", "queries.jsonl"):
        kept = [line for line in (folder / file).open(encoding="utf-8") if json.loads(line)["user"] in people]
        (few / file).write_text("".join(kept), encoding="utf-8")
    return few


def pooled_blogs(options: argparse.Namespace) -> Path:
    """Return a copy of ``blogs`` in which one person owns all posts; gold are those of the question's author.

    Who wrote a post is in neither text nor metadata: only how it is written can tell.
    """
    folder = folder_of(options, "blogs")
    pool: Path = options.cache / "sets" / "blogs_pooled"
    pool.mkdir(parents=True, exist_ok=True)
    posts = _rows(folder / "docs.jsonl")
    of_author: dict[str, list[str]] = {}
    for post in posts:
        of_author.setdefault(post["user"], []).append(post["id"])
    # Without their dates as well: one author's posts are of the same months.
    rows = [{"user": "pool", "id": post["id"], "text": post["text"]} for post in posts]
    _write_rows(pool / "docs.jsonl", rows)
    asked = _rows(folder / "queries.jsonl")
    _write_rows(
        pool / "queries.jsonl",
        [
            {"user": "pool", "id": row["id"], "text": row["text"], "gold": of_author[row["user"]]}
            for row in asked
            if row["type"] == "continue_post"
        ],
    )
    return pool


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, unless the file holds them: a file with a new date is read again by ``add``."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def describe_run() -> str:
    """Return one line that says where and on what a figure was measured."""
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no commit"
    return (
        f"{_processor()}, {os.cpu_count()} logical CPUs, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, commit {commit}, seed {SEED}, "
        f"`{' '.join(['python', *sys.argv])}`"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
