"""Measure how fast a folder is taken in, against the embedding of the same chunks alone, in one run.

Prints files and chunks per second end to end, the same chunks through plain ``SentenceTransformer.encode`` in
batches of 32, the ratio, and what a second run over the unchanged folder takes inside the process.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import common

from ragperso import config as settings
from ragperso import models
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--folder", type=Path, help="default: the first notes vault of the data folder")
    options.add_argument("--batch", type=int, default=32, help="texts per batch of the plain encoder")
    chosen = options.parse_args()
    folder = chosen.folder or chosen.data / "notes" / "vaults" / "thoughtbot_til"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing")
    from sentence_transformers import SentenceTransformer

    path = models.resolve("starter", "embedder", settings.models_of(Config())).path
    plain = SentenceTransformer(str(path), device="cpu", local_files_only=True)
    plain.encode(["warm up"])
    with (
        tempfile.TemporaryDirectory() as home,
        Engine(config=harness.settings_for(Config(), Path(home))) as engine,
    ):
        engine.embedder.embed_query("warm up")
        session = engine.session("bench")
        started = time.perf_counter()
        first = session.add([folder])
        spent = time.perf_counter() - started
        texts = [chunk.embed_text for chunk in session.store.chunk_texts("documents")]
        started = time.perf_counter()
        second = session.add([folder])
        again = time.perf_counter() - started
    started = time.perf_counter()
    plain.encode(texts, batch_size=chosen.batch, show_progress_bar=False, normalize_embeddings=True)
    encode = time.perf_counter() - started
    if second.embedded or second.unchanged != first.added:
        raise SystemExit("the second run found changes in an unchanged folder")
    print(common.describe_run(), "\n")
    rows = [
        ["files", f"{first.added}", f"{first.added / spent:.1f} /s"],
        ["chunks, end to end", f"{first.chunks}", f"{first.chunks / spent:.1f} /s"],
        [
            f"chunks, SentenceTransformer.encode({chosen.batch}) alone",
            f"{len(texts)}",
            f"{len(texts) / encode:.1f} /s",
        ],
        [
            "end to end / encode alone, chunks per second",
            "",
            f"{encode / spent * first.chunks / len(texts):.2f}",
        ],
        ["second run, nothing changed", f"{second.unchanged}", f"{again:.3f} s"],
    ]
    print("\n".join(report.markdown_table([folder.name, "n", "rate"], rows)))


if __name__ == "__main__":
    main()
