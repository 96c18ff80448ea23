"""Embed and generate on this machine's GPU and on its CPU, in one run, with the starter models.

    python benchmarks/gpu.py

Needs torch with CUDA or Metal, and llama-cpp-python built for it (CMAKE_ARGS=-DGGML_CUDA=on or
-DGGML_METAL=on).  Prints seconds, ratios and how far the GPU's vectors are from the CPU's.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ragperso import config as settings
from ragperso import models
from ragperso.config import Config, Generate
from ragperso.generate.llamacpp import LlamaCppGenerator
from ragperso.index.embedders import load_embedder
from ragperso.types import Message, Prompt

TEXTS = [
    f"Note {n}. The river rose by {n % 90} centimetres overnight, and we moved the boats. " * 6
    for n in range(400)
]
PROMPT = Prompt((Message("user", " ".join(TEXTS[:12]) + " What happened?"),), (), (), 0, 0, "What happened?")


def embed(device: str) -> tuple[float, np.ndarray]:
    config = Config().replace({"index.device": device})
    embedder = load_embedder(config.index, settings.models_of(config))
    embedder.embed_documents(TEXTS[:64])  # loads, warms up
    began = time.perf_counter()
    rows = embedder.embed_documents(TEXTS)
    return time.perf_counter() - began, rows


def generate(gpu_layers: int, folder: Path) -> tuple[float, float]:
    found = models.resolve("starter", "generator", folder)
    generator = LlamaCppGenerator(found.path, Generate(gpu_layers=gpu_layers), cache_dir=folder)
    generator.generate(PROMPT, owner="warm", max_tokens=4)
    done = generator.generate(PROMPT, owner="measured", max_tokens=64)
    generator.close()
    return done.first_token_ms, (done.total_ms - done.first_token_ms) / max(1, done.completion_tokens)


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
    if not device:
        sys.exit("there is no CUDA or Metal device here; nothing was measured")
    (cpu_s, cpu_rows), (gpu_s, gpu_rows) = embed("cpu"), embed(device)
    deviation = float((1 - (cpu_rows * gpu_rows).sum(axis=1)).max())
    print(f"{device}, torch {torch.__version__}")
    print(f"embed {len(TEXTS)} texts: CPU {cpu_s:.2f} s, GPU {gpu_s:.2f} s, ratio {cpu_s / gpu_s:.1f}, "
          f"largest cosine deviation {deviation:.1e}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        cpu, gpu = generate(0, Path(folder)), generate(-1, Path(folder))
    print(f"first token: CPU {cpu[0]:.0f} ms, GPU {gpu[0]:.0f} ms, ratio {cpu[0] / gpu[0]:.1f}")
    print(f"each further: CPU {cpu[1]:.1f} ms, GPU {gpu[1]:.1f} ms, ratio {cpu[1] / gpu[1]:.1f}")


if __name__ == "__main__":
    main()
