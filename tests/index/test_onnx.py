"""ragperso.index.onnx: the same rows as torch without torch, and nothing trusted that was not checked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ragperso import models
from ragperso.config import Index
from ragperso.errors import ModelUnavailable
from ragperso.index import onnx
from ragperso.index.embedders import SentenceTransformerEmbedder, load_embedder
from ragperso.types import Vectors
from tests.tiny_bert import tiny_bert

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.model  # transformers writes the tiny folders, torch exports them

TEXTS = [
    "the red bike",
    "",
    "car",
    "the red car stands in the long street " * 40,  # 320 tokens of the 32 that the model takes
    "猫 and \ud800 a lone surrogate",
    "  old \n blue\tbike ",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model pooled by the first token, in sentence-transformers layout."""
    return tiny_bert(tmp_path_factory.mktemp("cls"), pooling="cls")


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory that holds its export."""
    cache = tmp_path_factory.mktemp("models")
    embedder = SentenceTransformerEmbedder(folder, device="cpu", cache_dir=cache)
    assert embedder.prepare_queries(load=True) == ""
    return cache


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "models"))


def by_torch(folder: Path, texts: list[str]) -> Vectors:
    embedder = SentenceTransformerEmbedder(folder, device="cpu")
    return np.stack([embedder.embed_query(text) for text in texts])


def with_file(folder: Path, cache: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder, device="cpu", cache_dir=cache)


def parts_of(folder: Path, cache: Path) -> list[Path]:
    """Return graph and weights of the export."""
    export = with_file(folder, cache).query_export().export
    assert export is not None
    return sorted(export.path.parent.glob(f"{export.path.name}*"))


def test_questions_have_the_rows_of_torch(folder: Path, made: Path) -> None:
    embedder = with_file(folder, made)
    rows = np.stack([embedder.embed_query(text) for text in TEXTS])
    assert embedder._model is None, "torch was not asked"
    assert rows.dtype == np.float32
    assert rows == pytest.approx(by_torch(folder, TEXTS), abs=1e-6)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)


def test_a_bare_transformer_is_pooled_by_the_mean(tmp_path: Path) -> None:
    bare = tiny_bert(tmp_path / "bare")
    embedder = with_file(bare, tmp_path / "models")
    assert embedder.prepare_queries(load=True) == ""
    light = with_file(bare, tmp_path / "models")
    rows = np.stack([light.embed_query(text) for text in TEXTS])
    assert light._model is None
    assert rows == pytest.approx(by_torch(bare, TEXTS), abs=1e-6)


def test_prefixes_need_no_file_of_their_own(folder: Path, made: Path) -> None:
    prefixed = SentenceTransformerEmbedder(
        folder, device="cpu", query_prefix="query: ", document_prefix="passage: ", cache_dir=made
    )
    plain = with_file(folder, made)
    assert prefixed.embed_query("old car") == pytest.approx(plain.embed_query("query: old car"), abs=0)
    assert prefixed.embed_documents(["old car"])[0] == pytest.approx(
        plain.embed_documents(["passage: old car"])[0], abs=1e-6
    )
    assert prefixed._model is None


def test_long_texts_are_cut_where_torch_cuts_them(folder: Path, made: Path) -> None:
    embedder = with_file(folder, made)
    words = ["red", "bike"] * 40
    cut = embedder.embed_query(" ".join(words[:30]))  # 32 less [CLS] and [SEP]
    assert embedder.embed_query(" ".join(words)) == pytest.approx(cut, abs=1e-6)
    # The last word that counts is seen: random weights make little of it, rounding makes less.
    assert abs(embedder.embed_query(" ".join([*words[:29], "street"])) - cut).max() > 1e-5


def test_few_documents_need_no_torch_either(folder: Path, made: Path) -> None:
    embedder = with_file(folder, made)
    rows = embedder.embed_documents(TEXTS)
    assert embedder._model is None
    assert rows == pytest.approx(
        SentenceTransformerEmbedder(folder, device="cpu").embed_documents(TEXTS), abs=1e-6
    )


def test_many_documents_are_worth_torch(folder: Path, made: Path) -> None:
    embedder = with_file(folder, made)
    embedder.embed_documents(["the red bike stands " * 8] * 520)  # 32 tokens each: 16,640
    assert embedder._model is not None


def test_the_fingerprint_does_not_know_of_the_file(folder: Path, made: Path) -> None:
    assert with_file(folder, made).fingerprint == SentenceTransformerEmbedder(folder).fingerprint


def test_the_record_says_what_was_checked(folder: Path, made: Path) -> None:
    graph, weights = parts_of(folder, made)
    record = json.loads((graph.parent / onnx.RECORD).read_text())
    assert set(record["files"]) == {graph.name, weights.name}
    assert record["files"][weights.name] == onnx.file_hash(weights)
    assert 0 <= record["deviation"] <= 1e-5
    assert {"torch", "onnx", "onnxscript", "onnxruntime"} <= set(record["versions"])


def test_nothing_is_exported_while_torch_is_not_in_memory(folder: Path, tmp_path: Path) -> None:
    embedder = with_file(folder, tmp_path)
    assert embedder.prepare_queries() == "torch is not in memory"
    assert embedder._model is None
    assert embedder.query_export() == onnx.Found()


def test_search_imports_no_torch(folder: Path, made: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ragperso.index.embedders import SentenceTransformerEmbedder\n"
        f"e = SentenceTransformerEmbedder(Path({str(folder)!r}), cache_dir=Path({str(made)!r}))\n"
        "e.fingerprint, e.self_test(), e.query_export()\n"
        "print(e.embed_query('the red bike').shape, e.embed_documents(['old car'] * 5).shape)\n"
        "heavy = ('torch', 'transformers', 'sentence_transformers', 'onnx', 'onnxscript', 'faiss')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(16,) (5, 16)", "[]"]
    assert done.stderr == ""


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_file_is_made_again(folder: Path, cache: Path, which: int) -> None:
    path = parts_of(folder, cache)[which]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    embedder = with_file(folder, cache)
    row = embedder.embed_query("the red bike")
    assert embedder._model is not None, "torch answered"
    assert row == pytest.approx(by_torch(folder, ["the red bike"])[0], abs=1e-6)
    notes = embedder.take_notes()
    assert len(notes) == 1
    assert "not the one that was checked" in notes[0]
    assert embedder.take_notes() == []
    assert embedder.prepare_queries() == ""
    again = with_file(folder, cache)
    assert again.embed_query("the red bike") == pytest.approx(row, abs=1e-6)
    assert (again._model, again.take_notes()) == (None, [])


def test_a_file_that_its_record_lies_about_is_no_error(folder: Path, cache: Path) -> None:
    """A hash that fits a file which no runtime can read: the session fails, torch answers."""
    graph = parts_of(folder, cache)[0]
    graph.write_bytes(b"not a graph")
    record = json.loads((graph.parent / onnx.RECORD).read_text())
    record["files"][graph.name] = onnx.file_hash(graph)
    (graph.parent / onnx.RECORD).write_text(json.dumps(record))
    embedder = with_file(folder, cache)
    assert embedder.embed_query("car") == pytest.approx(by_torch(folder, ["car"])[0], abs=1e-6)
    assert "ONNX Runtime cannot use" in embedder.take_notes()[0]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "0" * 64},
        {"format": 0},
        {"files": {"../../../elsewhere/model-0123456789abcdef.onnx": "0" * 64}},
        {"files": {}},
        {"files": ["model.onnx"]},
        {"files": {"model-0123456789abcdef.onnx": "0" * 64}},
        {"deviation": 1.0},
        {"deviation": float("nan")},
        {"deviation": "small"},
    ],
)
def test_a_foreign_record_is_ignored(folder: Path, cache: Path, change: dict[str, object]) -> None:
    record = parts_of(folder, cache)[0].parent / onnx.RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    found = with_file(folder, cache).query_export()
    assert found.export is None
    assert found.note.startswith("the fast copy of the embedder was not used")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"[]", b"\xff\xfe", b'"text"'])
def test_a_damaged_record_is_ignored(folder: Path, cache: Path, content: bytes) -> None:
    (parts_of(folder, cache)[0].parent / onnx.RECORD).write_bytes(content)
    found = with_file(folder, cache).query_export()
    assert (found.export, found.failed) == (None, "")
    assert found.note


# ---------------------------------------------------------------- refusal


def test_rows_that_differ_are_refused_and_that_is_remembered(folder: Path, tmp_path: Path) -> None:
    embedder = with_file(folder, tmp_path)
    identity = embedder._export_identity()

    def another(texts: object) -> Vectors:
        rows = SentenceTransformerEmbedder(folder, device="cpu").embed_documents(list(texts))  # type: ignore[call-overload]
        return np.roll(rows, 1, axis=1)

    found = onnx.make(
        embedder._loaded(),
        tmp_path,
        identity,
        tokenizer=embedder._tokenizer,
        max_length=32,
        pad_id=0,
        reference=another,
    )
    assert found.export is None
    assert "its rows are off by" in found.failed
    assert embedder.prepare_queries() == found.failed, "not tried again"
    assert not list(tmp_path.rglob("*.onnx*"))
    record = onnx.folder_of(tmp_path, identity) / onnx.RECORD
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "versions": {**content["versions"], "torch": "1.0"}}))
    assert onnx.find(tmp_path, identity) == onnx.Found(), "another torch may do better"
    assert embedder.prepare_queries() == ""


def test_a_cache_that_cannot_be_written_is_no_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    embedder = with_file(folder, tmp_path / "models")
    row = embedder.embed_query("car")
    assert "cannot be stored" in embedder.prepare_queries()
    assert embedder.embed_query("car") == pytest.approx(row, abs=0)


POOLED = [("Transformer", ""), ("Pooling", "1_Pooling")]


@pytest.mark.parametrize(
    ("modules", "pooling", "lower", "reason"),
    [
        (POOLED, {}, False, ""),
        ([*POOLED, ("Normalize", "2")], {"pooling_mode_cls_token": True}, False, ""),
        (POOLED, {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, False, ""),
        (POOLED, {"pooling_mode": "mean"}, False, ""),
        (POOLED, {"pooling_mode": ["cls"]}, False, ""),
        (POOLED, {"pooling_mode": ["cls", "mean"]}, False, "its pooling is a combination"),
        (POOLED, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, False, "a combination"),
        (POOLED, {"pooling_mode_lasttoken": True}, False, "its pooling is lasttoken"),
        (POOLED, {"pooling_mode": "weightedmean"}, False, "its pooling is weightedmean"),
        (POOLED, {"include_prompt": False}, False, "leaves the prompt out"),
        (POOLED, {}, True, "lowers the case"),
        ([*POOLED, ("Dense", "2_Dense")], {}, False, "its steps are Transformer, Pooling, Dense"),
        ([("Transformer", "")], {}, False, "its steps are Transformer"),
    ],
)
def test_other_layouts_stay_with_torch(
    modules: list[tuple[str, str]], pooling: dict[str, object], lower: bool, reason: str
) -> None:
    found = onnx.unsupported(modules, {"1_Pooling": pooling}, lower=lower)
    assert (reason in found) if reason else found == ""


def test_a_dense_step_is_still_embedded_by_torch(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    two = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(two))
    embedder = with_file(copy, tmp_path / "models")
    assert "a combination" in embedder.prepare_queries(load=True)
    assert embedder.embed_query("red").shape == (32,)
    assert not (tmp_path / "models" / onnx.FOLDER).exists()


# ---------------------------------------------------------------- several at once


@pytest.mark.timeout(300)  # two imports of torch beside whatever else the machine does
def test_two_processes_at_once_leave_one_good_export(folder: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from ragperso.index.embedders import SentenceTransformerEmbedder\n"
        f"e = SentenceTransformerEmbedder(Path({str(folder)!r}), cache_dir=Path({str(tmp_path)!r}))\n"
        "print(repr(e.prepare_queries(load=True)))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=280) for process in running]
    assert ended == [("''\n", ""), ("''\n", "")], "both have one, and say nothing else"
    embedder = with_file(folder, tmp_path)
    assert embedder.embed_query("car") == pytest.approx(by_torch(folder, ["car"])[0], abs=1e-6)
    assert (embedder._model, embedder.take_notes()) == (None, [])


def test_what_a_killed_process_left_is_swept_later(folder: Path, cache: Path) -> None:
    import os

    graph, weights = parts_of(folder, cache)
    left = [
        graph.with_name(name) for name in ("model-00000000000000aa.onnx", "model-00000000000000aa.onnx.data")
    ]
    fresh = graph.with_name("model-00000000000000bb.onnx")
    for path in (*left, fresh):
        path.write_bytes(b"half")
    for path in (*left, graph, weights):
        os.utime(path, (1, 1))
    onnx._sweep(graph.parent, keep=[graph.name, weights.name])
    assert sorted(p.name for p in graph.parent.glob("model-*")) == sorted(
        [graph.name, weights.name, fresh.name]
    )


# ---------------------------------------------------------------- the real model


def test_the_starter_agrees_with_torch(tmp_path: Path) -> None:
    try:
        models.resolve("starter", "embedder", tmp_path)
    except ModelUnavailable as exc:
        pytest.skip(f"the starter model is not here: {exc.message}")
    embedder = load_embedder(Index(device="cpu"), tmp_path)
    assert isinstance(embedder, SentenceTransformerEmbedder)
    texts = [*TEXTS, "Où ai-je rangé la clé ?", "先週の会議", "we counted and wrote it down, " * 300]
    exact = np.stack([embedder.embed_query(text) for text in texts])
    assert embedder.prepare_queries() == ""
    light = load_embedder(Index(device="cpu"), tmp_path)
    assert isinstance(light, SentenceTransformerEmbedder)
    rows = np.stack([light.embed_query(text) for text in texts])
    assert light._model is None
    assert rows == pytest.approx(exact, abs=1e-6)
    assert light.fingerprint == embedder.fingerprint
    assert light.embed_documents(texts) == pytest.approx(exact, abs=1e-5)
