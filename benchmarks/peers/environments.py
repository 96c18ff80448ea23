"""One virtual environment per peer, made from its pinned requirements and kept; and how to run a peer in it.

``run`` is what ``benchmarks/retrieval.py`` calls.  ``python benchmarks/peers/environments.py --check``
makes every environment, runs every mode of every peer on a toy folder and claims what must hold: the
obvious passage first, nothing of another person.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = Path("~/.cache/ragperso-bench").expanduser()  # as benchmarks/common.py

# peer -> its modes; the first is what the script takes without --mode.
PEERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "langchain": ("ensemble",),
        "llamaindex": (
            "reciprocal_rerank",
            "relative_score",
            "dist_based_score",
            "relative_score_60_40",
            "dist_based_score_60_40",
        ),
        "txtai": ("hybrid",),
    }
)

# No hub, no tracing, and one thread as ragperso's own index has, so that timings compare.
OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
N_LINES = 12  # of pip's last words in a message


class PeerError(RuntimeError):
    """A peer could not be compared with; the message holds the command that shows why."""


class EnvironmentUnavailable(PeerError):
    """The peer's packages could not be installed."""


class PeerFailed(PeerError):
    """The peer's script stopped before it had answered."""


def ensure(peer: str, cache: Path = CACHE) -> Path:
    """Return the Python of the peer's environment below ``cache/peers``, made if it is not there as pinned.

    Raises:
        EnvironmentUnavailable: pip or venv failed; the message has the command and their last lines.
    """
    _known(peer)
    folder = cache / "peers" / peer
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = HERE / f"{peer}.txt"
    stamp = folder / "made-from"
    made_from = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == made_from:
        return python
    print(f"making the environment of {peer} in {folder}", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--requirement",
        str(requirements),
    ]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True, env=_environ(), check=False)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-N_LINES:])
            raise EnvironmentUnavailable(
                f"no environment for {peer}: this command failed with {done.returncode}\n"
                f"  {' '.join(command)}\n{last}"
            )
    stamp.write_text(made_from)  # last: what an interrupted pip left is made again
    return python


def run(
    peer: str, mode: str, folder: Path, out: Path, cache: Path = CACHE, *, depth: int = 50
) -> dict[str, Any]:
    """Run one mode of a peer on a folder such as ``exchange`` describes, write ``out``, return its line.

    The line: {"peer", "mode", "index_s", "query_ms_p50", "n_queries"}.

    Raises:
        EnvironmentUnavailable: as ``ensure``.
        PeerFailed: the script's exit status, and the file beside ``out`` that has what it wrote to stderr.
    """
    _known(peer)
    if mode not in PEERS[peer]:
        raise ValueError(f"{peer} has no mode {mode!r}; it has {', '.join(PEERS[peer])}")
    python = ensure(peer, cache)
    script = HERE / f"{peer}_peer.py"
    command = [str(python), str(script), str(folder), str(out), "--depth", str(depth), "--mode", mode]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=_environ(), check=False
    )
    log = out.with_suffix(".log")
    # A traceback may quote people's words: to a file, never into the message.
    log.write_text(done.stderr, encoding="utf-8")
    try:
        if done.returncode:
            raise ValueError
        line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise PeerFailed(
            f"{peer} ({mode}) ended with {done.returncode} and no answer; its stderr is in {log}\n"
            f"  {' '.join(command)}"
        ) from None
    return line


def _known(peer: str) -> None:
    if peer not in PEERS:
        raise ValueError(f"no peer {peer!r}; there are {', '.join(PEERS)}")


def _environ() -> dict[str, str]:
    """Return this process's environment without what would let our packages into the peer's Python."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **OFFLINE}


# --- the check ---

DIM: Final = 384  # of the starter embedder
SEED: Final = 7

Row = dict[str, str]

WORDS: Final = {
    "ana": [
        "tomato soup on Monday",
        "the tram to the lake",
        "a blue bicycle",
        "rent is due",
        "piano lessons",
    ],
    "ben": ["goat cheese tart", "a ferry at dawn", "red climbing rope", "dentist in June", "chess problems"],
}


def _toy() -> tuple[list[Row], NDArray[np.float32], list[Row], NDArray[np.float32]]:
    """Return passages and questions with their vectors; a question's id is the document that must come first.

    Beside ana and ben, whose questions are their passages word for word (ana's first is empty): cyd has one
    passage; dot has the same words in two documents, of which the question's vector is the second's.  No
    order is claimed (id "") for eve, whose passages hold no word, and gil, who asks without one: LangChain's
    BM25 ranks all of a person's passages even where none matches.  fay asks with nothing of her own.
    """
    generator = np.random.default_rng(SEED)

    def unit() -> NDArray[np.float32]:
        row: NDArray[np.float32] = generator.standard_normal(DIM).astype(np.float32)
        row /= np.linalg.norm(row)
        return row

    passages: list[Row] = []
    queries: list[Row] = []
    vectors: list[NDArray[np.float32]] = []
    asked: list[NDArray[np.float32]] = []

    def add(user: str, text: str, *, ask: str | None = None) -> None:
        document = f"{user}-{sum(row['user'] == user for row in passages)}"
        passages.append({"user": user, "document": document, "text": text})
        vectors.append(unit())
        if ask is not None:
            queries.append({"user": user, "id": document, "text": ask})
            asked.append(vectors[-1])

    add("ana", "")
    for user, texts in WORDS.items():
        for text in texts:
            add(user, text, ask=text)
    add("cyd", "an only passage", ask="an only passage")
    add("dot", "the same words")
    add("dot", "the same words", ask="the same words")
    add("dot", "and some others")
    for text in ("…", "!!!", "the"):
        add("eve", text)
    queries.append({"user": "eve", "id": "", "text": "…?"})
    asked.append(vectors[-2])
    queries.append({"user": "fay", "id": "", "text": "goat cheese tart"})
    asked.append(unit())
    for text in ("a winter coat", "a summer hat", "some spring rain"):
        add("gil", text)
    queries.append({"user": "gil", "id": "", "text": ""})
    asked.append(vectors[-2])
    return passages, np.stack(vectors), queries, np.stack(asked)


def _many(
    n_passages: int, n_queries: int = 200
) -> tuple[list[Row], NDArray[np.float32], list[Row], NDArray[np.float32]]:
    """Return one person's random passages of 40 words of 5,000, and questions: 8 words of one."""
    generator = np.random.default_rng(SEED)
    words = generator.integers(5000, size=(n_passages, 40))
    vectors = generator.standard_normal((n_passages, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    of = generator.permutation(n_passages)[:n_queries]
    text = [" ".join(f"word{word}" for word in row) for row in words]
    passages = [{"user": "ana", "document": f"ana-{row}", "text": text[row]} for row in range(n_passages)]
    queries = [{"user": "ana", "id": f"ana-{row}", "text": " ".join(text[row].split()[:8])} for row in of]
    return passages, vectors, queries, vectors[of]


def _write(
    folder: Path,
    passages: Sequence[Row],
    vectors: NDArray[np.float32],
    queries: Sequence[Row],
    asked: NDArray[np.float32],
) -> None:
    for name, rows, matrix in (("passages", passages, vectors), ("queries", queries, asked)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        np.save(folder / f"{name}.npy", matrix)


def _claim(out: Path, passages: Sequence[Row], queries: Sequence[Row], depth: int) -> None:
    """Raise AssertionError unless every query is there with documents of its own person only."""
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    if [(row["query"], row["user"]) for row in rows] != [(query["id"], query["user"]) for query in queries]:
        raise AssertionError("the rows are not the queries in their order")
    for row in rows:
        documents = [hit["document"] for hit in row["hits"]]
        own = {passage["document"] for passage in passages if passage["user"] == row["user"]}
        scores = [hit["score"] for hit in row["hits"]]
        for holds, claim in (
            (
                not row["query"] or documents[:1] == [row["query"]],
                f"{row['query']} is not first: {documents[:3]}",
            ),
            (set(documents) <= own, f"{row['user']} was given {sorted(set(documents) - own)}"),
            (
                bool(documents) == bool(own),
                f"{row['user']} was given {len(documents)} of {len(own)} documents",
            ),
            (len(set(documents)) == len(documents) <= depth, f"{row['user']}: a document twice, or too many"),
            (scores == sorted(scores, reverse=True), f"{row['user']}: the scores do not fall"),
        ):
            if not holds:
                raise AssertionError(claim)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--check", action="store_true", help="run all peers on a toy folder and claim what must hold"
    )
    options.add_argument(
        "--passages", type=int, metavar="N", help="also time all peers on one person's N passages"
    )
    options.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    options.add_argument("--cache", type=Path, default=CACHE)
    chosen = options.parse_args()
    sets = []
    if chosen.check:
        sets.append(_toy())
    if chosen.passages:
        sets.append(_many(chosen.passages))
    if not sets:
        options.error("give --check or --passages N, or both")
    for passages, vectors, queries, asked in sets:
        folder = chosen.cache / "peers" / f"check-{len(passages)}"  # kept, for the logs
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, passages, vectors, queries, asked)
        for peer in chosen.peers:
            for mode in PEERS[peer]:
                out = folder / f"{peer}-{mode}.jsonl"
                line = run(peer, mode, folder, out, chosen.cache)
                _claim(out, passages, queries, 50)
                print(json.dumps({"passages": len(passages), **line}), flush=True)


if __name__ == "__main__":
    main()
