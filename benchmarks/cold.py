"""Measure a cold process from its start to printed hits: ragperso, with and without its export, and others.

One sample person is taken in once; each peer keeps the same texts in its own index, with the same model.
Then every command is started ``--rounds`` times, in turn, so that what else the machine does meets all of
them.  Prints medians of wall time and of processor time, and the bars of the issue as met or missed.  Peers
are measured where their environment exists already (``benchmarks/peers/environments.py`` makes them); torch
and sentence-transformers, which those lack, they take from this environment.  Also one query, warm, by ONNX
Runtime and by ``SentenceTransformer.encode``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import common
import numpy as np

from ragperso import models, samples
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import harness, report
from ragperso.index.embedders import SentenceTransformerEmbedder

QUESTION = "when did I move my bank account"
PEERS = ("langchain", "llamaindex")
BARS = (  # what is measured, over what (empty: seconds), at most
    ("ragperso search", "", 1.2),
    ("ragperso search", "sentence-transformers script", 0.2),
    ("ragperso search", "langchain script", 0.1),
    ("ragperso search", "llamaindex script", 0.1),
    ("ragperso --help", "", 0.3),
    ("one query, onnxruntime", "one query, sentence-transformers", 0.4),
)

MINIMAL = """
import sys, json, numpy as np
from sentence_transformers import SentenceTransformer
folder, model, question = sys.argv[1:]
texts = json.load(open(f"{folder}/texts.json", encoding="utf-8"))
rows = np.load(f"{folder}/rows.npy")
model = SentenceTransformer(model, device="cpu", local_files_only=True)
row = model.encode(question, normalize_embeddings=True)
scores = rows @ row
for i in np.argsort(-scores)[:10]:
    print(f"{scores[i]:.2f}", texts[i][:60])
"""

# The rest of both scripts is what each project's documentation shows for a saved index.
LANGCHAIN = """
import sys, json, os
folder, model, question, ours = sys.argv[1:]
sys.path.append(ours)
from langchain_community.vectorstores import FAISS
from langchain_core.embeddings import Embeddings
from sentence_transformers import SentenceTransformer
class Local(Embeddings):
    def __init__(self):
        self.model = SentenceTransformer(model, device="cpu", local_files_only=True)
    def embed_documents(self, texts):
        return self.model.encode(texts, normalize_embeddings=True).tolist()
    def embed_query(self, text):
        return self.model.encode(text, normalize_embeddings=True).tolist()
kept = f"{folder}/langchain"
if not os.path.isdir(kept):
    FAISS.from_texts(json.load(open(f"{folder}/texts.json", encoding="utf-8")), Local()).save_local(kept)
store = FAISS.load_local(kept, Local(), allow_dangerous_deserialization=True)
for hit, score in store.similarity_search_with_score(question, k=10):
    print(f"{score:.2f}", hit.page_content[:60])
"""

LLAMAINDEX = """
import sys, json, os
folder, model, question, ours = sys.argv[1:]
sys.path.append(ours)
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import TextNode
from sentence_transformers import SentenceTransformer
class Local(BaseEmbedding):
    _model = PrivateAttr()
    def __init__(self):
        super().__init__(model_name="local")
        self._model = SentenceTransformer(model, device="cpu", local_files_only=True)
    def _get_text_embedding(self, text):
        return self._model.encode(text, normalize_embeddings=True).tolist()
    def _get_query_embedding(self, text):
        return self._get_text_embedding(text)
    async def _aget_query_embedding(self, text):
        return self._get_text_embedding(text)
Settings.embed_model = Local()
kept = f"{folder}/llamaindex"
if not os.path.isdir(kept):
    texts = json.load(open(f"{folder}/texts.json", encoding="utf-8"))
    VectorStoreIndex([TextNode(text=text) for text in texts]).storage_context.persist(kept)
index = load_index_from_storage(StorageContext.from_defaults(persist_dir=kept))
for hit in index.as_retriever(similarity_top_k=10).retrieve(question):
    print(f"{hit.score:.2f}", hit.text[:60])
"""


def prepare(folder: Path) -> SentenceTransformerEmbedder:
    """Take in a sample person, write texts and rows for the others, return the embedder with its export."""
    config = harness.settings_for(Config(), folder / "home")
    config = config.replace({"general.models": str(folder / "models")})
    with samples.people() as people, Engine(config=config) as engine:
        session = engine.session("ana")
        session.add(people["ana"].documents)
        texts = [chunk.embed_text for chunk in session.store.chunk_texts("documents")]
        embedder = engine.embedder
        if not isinstance(embedder, SentenceTransformerEmbedder):
            raise SystemExit("the settings name another embedder; there is nothing to export")
        session.search(QUESTION)  # writes the indexes
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        np.save(folder / "rows.npy", embedder.embed_documents(texts))
    reason = embedder.prepare_queries(load=True)
    if reason:
        raise SystemExit(f"there is no export: {reason}")
    return embedder


def commands(folder: Path, model: Path, cache: Path) -> dict[str, list[str]]:
    """Return name -> command line of every cold process."""
    python = sys.executable
    search = [python, "-m", "ragperso", "search", QUESTION, "--home", str(folder / "home"), "-u", "ana"]
    given = [str(folder), str(model), QUESTION]
    found = {
        "ragperso search": [*search, "-c", f"general.models={folder / 'models'}"],
        "ragperso search, no export": [*search, "-c", f"general.models={folder / 'none'}"],
        "sentence-transformers script": [python, "-c", MINIMAL, *given],
        "ragperso --help": [python, "-m", "ragperso", "--help"],
    }
    for peer, script in zip(PEERS, (LANGCHAIN, LLAMAINDEX), strict=True):
        theirs = cache / "peers" / peer / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if theirs.exists():
            ours = sysconfig.get_paths()["purelib"]
            found[f"{peer} script"] = [str(theirs), "-c", script, *given, ours]
        else:
            print(f"{peer}: not measured, there is no environment in {theirs.parents[1]}", file=sys.stderr)
    return found


def start(name: str, command: Sequence[str]) -> tuple[float, float]:
    """Return seconds of wall time and of processor time of one process, which must print something."""
    environ = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if "ragperso" in name:
        environ["PYTHONPATH"] = str(common.ROOT)
    else:
        environ.pop("PYTHONPATH", None)
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    spent = time.perf_counter() - began
    after = os.times()
    if done.returncode or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise RuntimeError(f"{name} ended with {done.returncode}: {last}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return spent, cpu


def warm(embedder: SentenceTransformerEmbedder, model: Path, n: int) -> dict[str, float]:
    """Return median seconds of one query by each, three blocks in turn: threads of one still spin for a while
    behind its last question."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    ways = {
        "one query, onnxruntime": embedder.embed_query,
        "one query, sentence-transformers": lambda text: plain.encode(text, normalize_embeddings=True),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(3):
        for name, way in ways.items():
            for i in range(n // 3 + 5):
                began = time.perf_counter()
                way(f"{QUESTION}, question {block} {i}")
                if i >= 5:
                    times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def bars(medians: Mapping[str, float]) -> list[list[str]]:
    """Return a row per bar: what, the figure, the bar, met or missed."""
    rows = []
    for what, over, most in BARS:
        if what not in medians or (over and over not in medians):
            rows.append([f"{what} / {over}", "not measured", f"<= {most}", ""])
            continue
        figure = medians[what] / medians[over] if over else medians[what]
        shown = f"{figure:.3f}" if over else f"{figure:.2f} s"
        rows.append(
            [f"{what} / {over}" if over else what, shown, f"<= {most}", "met" if figure <= most else "missed"]
        )
    return rows


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--rounds", type=int, default=5, help="how often each process is started")
    options.add_argument("--queries", type=int, default=100, help="warm queries of each kind")
    options.add_argument("--no-peers", action="store_true", help="without LangChain and LlamaIndex")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embedder = prepare(folder)
        model = models.resolve("starter", "embedder", folder / "models").path
        cold = commands(folder, model, Path(os.devnull) if chosen.no_peers else chosen.cache)
        for label in list(cold):  # the first start fills the disk cache and builds what a peer keeps
            try:
                start(label, cold[label])
            except RuntimeError as exc:
                print(f"not measured: {exc}", file=sys.stderr)
                del cold[label]
        times: dict[str, list[tuple[float, float]]] = {label: [] for label in cold}
        for _ in range(max(1, chosen.rounds)):
            for label, command in cold.items():
                times[label].append(start(label, command))
        medians = {label: statistics.median(wall for wall, _ in found) for label, found in times.items()}
        medians |= warm(embedder, model, chosen.queries)
    print(common.describe_run(), "\n")
    ours = medians.get("ragperso search", float("nan"))
    rows = []
    for label, found in times.items():
        walls, cpus = [wall for wall, _ in found], [cpu for _, cpu in found]
        rows.append(
            [
                label,
                f"{medians[label]:.2f}",
                f"{min(walls):.2f}-{max(walls):.2f}",
                f"{statistics.median(cpus):.2f}",
                f"{ours / medians[label]:.3f}",
            ]
        )
    head = ["cold process to printed hits", "median s", "range s", "CPU s", "ragperso search / this"]
    print("\n".join(report.markdown_table(head, rows)), "\n")
    rows = [[label, f"{1000 * s:.2f}"] for label, s in medians.items() if label.startswith("one query")]
    print("\n".join(report.markdown_table([f"warm, {chosen.queries} questions", "median ms"], rows)), "\n")
    print("\n".join(report.markdown_table(["bar", "here", "bar is", ""], bars(medians))))


if __name__ == "__main__":
    main()
