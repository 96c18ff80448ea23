"""A LoRA adapter given by the user: loaded, scaled, and without effect when it holds zeros."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragperso import models
from ragperso.config import Generate
from ragperso.errors import AdapterMismatch
from ragperso.generate.llamacpp import LlamaCppGenerator
from ragperso.types import Message, Prompt

pytestmark = pytest.mark.model

RANK, WIDTH = 4, 576  # of SmolLM2-135M's hidden layer
PROMPT = Prompt((Message("user", "Name three colours."),), (), (), 0, 0, "Name three colours.")


def write_adapter(path: Path, b: np.ndarray, *, width: int = WIDTH) -> Path:
    """Write a GGUF adapter for the query projection of the first layer; ``b`` is (width, RANK)."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def string(key: str, value: str) -> bytes:
        return text(key) + struct.pack("<I", 8) + text(value)

    a = np.random.default_rng(0).standard_normal((RANK, width)).astype("<f4")
    tensors = [("blk.0.attn_q.weight.lora_a", a), ("blk.0.attn_q.weight.lora_b", b.astype("<f4"))]
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 4)
    head += string("general.type", "adapter") + string("general.architecture", "llama")
    head += string("adapter.type", "lora")
    head += text("adapter.lora.alpha") + struct.pack("<If", 6, float(RANK))
    offset = 0
    for name, array in tensors:
        rows, columns = array.shape
        head += text(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, offset)
        offset += -(-array.nbytes // 32) * 32
    body = bytes(-len(head) % 32)
    for _, array in tensors:
        body += array.tobytes() + bytes(-array.nbytes % 32)
    path.write_bytes(head + body)
    return path


def greedy(tmp_path: Path, lora: Path | None, scale: float = 1.0) -> str:
    found = models.resolve("starter", "generator", tmp_path / "models")
    settings = Generate(lora=str(lora) if lora else "", lora_scale=scale)
    generator = LlamaCppGenerator(found.path, settings, cache_dir=tmp_path)
    try:
        return generator.generate(PROMPT, owner="ana", max_tokens=24).text
    finally:
        generator.close()


def test_an_adapter_changes_what_is_written_and_its_scale_takes_it_back(tmp_path: Path) -> None:
    strong = write_adapter(tmp_path / "strong.gguf", np.random.default_rng(1).standard_normal((WIDTH, RANK)))
    zeros = write_adapter(tmp_path / "zeros.gguf", np.zeros((WIDTH, RANK)))
    plain = greedy(tmp_path, None)
    assert greedy(tmp_path, zeros) == plain
    assert greedy(tmp_path, strong) != plain
    assert greedy(tmp_path, strong, scale=0.0) == plain


def test_an_adapter_of_another_model_is_refused_in_words(tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other.gguf", np.zeros((128, RANK)), width=128)
    with pytest.raises(AdapterMismatch, match=r"other\.gguf"):
        greedy(tmp_path, other)


def test_the_name_tells_which_adapter_wrote(tmp_path: Path) -> None:
    found = models.resolve("starter", "generator", tmp_path / "models")
    settings = replace(Generate(), lora="/somewhere/mine.gguf")
    assert LlamaCppGenerator(found.path, settings, cache_dir=tmp_path).name.endswith("+mine")
