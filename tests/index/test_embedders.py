"""ragperso.index.embedders: what a folder may hold, what its fingerprint covers, what is loaded when."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ragperso import models
from ragperso.config import Index
from ragperso.errors import ModelUnavailable
from ragperso.index.embedders import BATCH_TOKENS, SentenceTransformerEmbedder, load_embedder
from ragperso.testing import HashEmbedder
from tests.tiny_bert import tiny_bert

pytestmark = pytest.mark.model  # transformers writes the tiny folders


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("complete"), pooling="cls")


@pytest.fixture
def copy(complete: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(complete, tmp_path / "copy"))


def test_a_bare_transformer_is_pooled_by_the_mean(bare: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(bare).eval(), AutoTokenizer.from_pretrained(bare)
    with torch.inference_mode():
        hidden = model(**tokenizer("the red bike", return_tensors="pt")).last_hidden_state[0]
    mean = hidden.mean(0).numpy()
    found = SentenceTransformerEmbedder(bare, device="cpu").embed_query("the red bike")
    assert found == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_stated_pooling_is_used(complete: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(complete).eval(), AutoTokenizer.from_pretrained(complete)
    with torch.inference_mode():
        first = model(**tokenizer("old car", return_tensors="pt")).last_hidden_state[0, 0].numpy()
    found = SentenceTransformerEmbedder(complete, device="cpu").embed_query("old car")
    assert found == pytest.approx(first / np.linalg.norm(first), abs=1e-5)


def test_prefixes_go_before_the_text_and_take_room(bare: Path) -> None:
    plain = SentenceTransformerEmbedder(bare, device="cpu")
    prefixed = SentenceTransformerEmbedder(
        bare, device="cpu", query_prefix="query: ", document_prefix="passage: "
    )
    assert prefixed.embed_query("old car") == pytest.approx(plain.embed_query("query: old car"), abs=1e-6)
    assert prefixed.embed_documents(["old car"])[0] == pytest.approx(
        plain.embed_documents(["passage: old car"])[0], abs=1e-6
    )
    assert plain.max_tokens == 30  # 32 less [CLS] and [SEP]
    assert prefixed.max_tokens == 28  # less "passage" and ":"
    assert prefixed.count(["old car"]) == [2], "a count is of the text alone"
    assert prefixed.fingerprint != plain.fingerprint


def test_prefixes_that_the_folder_states_are_used(copy: Path) -> None:
    silent = SentenceTransformerEmbedder(copy, device="cpu").fingerprint
    stated = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    (copy / "config_sentence_transformers.json").write_text(json.dumps(stated))
    embedder = SentenceTransformerEmbedder(copy, device="cpu")
    explicit = SentenceTransformerEmbedder(copy, query_prefix="query: ", document_prefix="passage: ")
    assert embedder.fingerprint == explicit.fingerprint != silent
    assert embedder.max_tokens == 28
    other = SentenceTransformerEmbedder(copy, device="cpu", query_prefix="old ", document_prefix="old ")
    assert other.embed_query("car") == pytest.approx(other.embed_documents(["car"])[0], abs=1e-6)


def test_the_order_of_long_and_short_texts_is_kept(bare: Path) -> None:
    embedder = SentenceTransformerEmbedder(bare, device="cpu")
    texts = ["red " * n for n in (1, 90, 3, 60, 2, 30) * 30]  # several batches of 2,048 tokens
    rows = embedder.embed_documents(texts)
    alone = [embedder.embed_documents([text])[0] for text in texts[:6]]
    assert sum(min(n, 32) for n in embedder.count(texts)) > BATCH_TOKENS
    for i in range(len(texts)):
        assert rows[i] == pytest.approx(alone[i % 6], abs=1e-5)


def test_the_fingerprint_covers_what_shapes_a_vector(copy: Path, tmp_path: Path) -> None:
    before = SentenceTransformerEmbedder(copy).fingerprint
    elsewhere = Path(shutil.copytree(copy, tmp_path / "elsewhere"))
    assert SentenceTransformerEmbedder(elsewhere).fingerprint == before, "not the place"

    def edit(name: str, change: Callable[[str], str]) -> str:
        original = (copy / name).read_text()
        (copy / name).write_text(change(original))
        try:
            return SentenceTransformerEmbedder(copy).fingerprint
        finally:
            (copy / name).write_text(original)

    assert edit("config.json", lambda text: json.dumps(json.loads(text))) == before, "not white space"
    seen = {
        before,
        edit("config.json", lambda text: text.replace('"gelu"', '"relu"')),
        edit("tokenizer.json", lambda text: text.replace('"bike"', '"bicycle"')),
        edit("1_Pooling/config.json", lambda text: text.replace("cls_token", "max_tokens")),
        edit("modules.json", lambda text: json.dumps(json.loads(text)[:2])),
        edit("tokenizer_config.json", lambda text: text.replace("32", "16")),
        SentenceTransformerEmbedder(tiny_bert(tmp_path / "other", pooling="cls", seed=1)).fingerprint,
    }
    assert len(seen) == 7


def test_width_is_read_from_the_folder(copy: Path) -> None:
    assert SentenceTransformerEmbedder(copy).dim == 16
    two = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(two))
    embedder = SentenceTransformerEmbedder(copy, device="cpu")
    assert embedder.dim == 32
    assert embedder.embed_query("red").shape == (32,)
    newer = {"embedding_dimension": 16, "pooling_mode": ["cls", "mean", "max"]}
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(newer))
    assert SentenceTransformerEmbedder(copy).dim == 48


def test_identity_and_counts_need_no_torch(complete: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ragperso.index.embedders import SentenceTransformerEmbedder\n"
        f"e = SentenceTransformerEmbedder(Path({str(complete)!r}))\n"
        "print(e.fingerprint, e.dim, e.max_tokens, e.count(['the red bike']))\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'faiss') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    embedder = SentenceTransformerEmbedder(complete)
    assert out.splitlines() == [f"{embedder.fingerprint} 16 30 [3]", "[]"]


def test_loading_says_nothing(complete: Path) -> None:
    code = (
        "from pathlib import Path; from ragperso.index.embedders import SentenceTransformerEmbedder\n"
        f"SentenceTransformerEmbedder(Path({str(complete)!r}), device='cpu').embed_query('red')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelUnavailable, match="pickled"):
        SentenceTransformerEmbedder(copy)


def test_a_module_with_pickled_weights_is_refused(copy: Path) -> None:
    (copy / "1_Pooling" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelUnavailable, match="1_Pooling has pickled weights"):
        SentenceTransformerEmbedder(copy)


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("os.system", ""),
        ("sentence_transformers.models.CLIPModel", ""),
        ("my_code.Transformer", ""),
        ("sentence_transformers.models.Transformer", "../outside"),
    ],
)
def test_modules_that_could_run_other_code_are_refused(copy: Path, kind: str, folder: str) -> None:
    modules = json.loads((copy / "modules.json").read_text())
    modules[0].update(type=kind, path=folder)
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelUnavailable, match=r"modules\.json"):
        SentenceTransformerEmbedder(copy)


def test_code_in_the_folder_is_not_run(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text(f"open({str(copy / 'ran')!r}, 'w')")
    SentenceTransformerEmbedder(copy, device="cpu").embed_query("red")
    assert not (copy / "ran").exists()


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"a": 1}'])
def test_damaged_settings_are_named(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    if (name, content) == ("1_Pooling/config.json", b'{"a": 1}'):
        assert SentenceTransformerEmbedder(copy).dim == 16, "defaults are no damage"
        return
    with pytest.raises(ModelUnavailable, match="cannot be used"):
        SentenceTransformerEmbedder(copy)


def test_damaged_weights_are_named_at_first_use(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\0" * 100)
    embedder = SentenceTransformerEmbedder(copy, device="cpu")
    with pytest.raises(ModelUnavailable, match="weights cannot be loaded"):
        embedder.embed_query("red")


def test_the_settings_choose_the_embedder(complete: Path, tmp_path: Path) -> None:
    assert isinstance(load_embedder(Index(embedder_backend="hash"), tmp_path), HashEmbedder)
    by_path = load_embedder(Index(embedder=str(complete), document_prefix="the "), tmp_path)
    assert by_path.dim == 16
    assert by_path.max_tokens == 29
    direct = SentenceTransformerEmbedder(complete, document_prefix="the ")
    assert by_path.fingerprint == direct.fingerprint, "a remembered hash or a fresh one"
    with pytest.raises(ModelUnavailable):
        load_embedder(Index(embedder="org/not-pulled"), tmp_path)


def test_the_starter_knows_meaning(tmp_path: Path) -> None:
    found = models.resolve("starter", "embedder", tmp_path)
    embedder = SentenceTransformerEmbedder(found.path, device="cpu", weights_sha256=found.sha256)
    assert (embedder.dim, embedder.max_tokens) == (384, 254)
    texts = ["The cat sleeps on the sofa.", "The invoice is due in March."]
    assert (
        int(np.argmax(embedder.embed_documents(texts) @ embedder.embed_query("a feline taking a nap"))) == 0
    )
