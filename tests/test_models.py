"""ragperso.models: which file a name means, whether it is the right one, and how it comes from a hub."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragperso import models
from ragperso.errors import ModelUnavailable


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gguf(**texts: str) -> bytes:
    """A GGUF head of version 3 with one u32 before the texts and an array after them."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = text("x.number") + struct.pack("<II", 4, 7)
    for key, value in texts.items():
        keys += text(f"general.{key}") + struct.pack("<I", 8) + text(value)
    keys += text("tokens") + struct.pack("<IIQ", 9, 8, 1) + text("a")
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(texts) + 2) + keys


SAFETENSORS = struct.pack("<Q", 2) + b"{}"
EMBEDDER = {
    "README.md": b"---\nlanguage: en\nlicense: mit\n---\n# Tiny\n",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": SAFETENSORS,
    "tokenizer.json": b"{}",
    "1_Pooling/config.json": b"{}",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


# ---------------------------------------------------------------- starters


@pytest.mark.parametrize("name", ["starter", "all-MiniLM-L6-v2"])
def test_the_starter_embedder_is_found_and_checked(name: str, tmp_path: Path) -> None:
    found = models.resolve(name, "embedder", tmp_path)
    assert found.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (found.name, found.licence, found.kind) == ("all-MiniLM-L6-v2", "apache-2.0", "embedder")
    assert (found.path / "modules.json").is_file()


@pytest.mark.parametrize("name", ["starter", "SmolLM2-135M-Instruct"])
def test_the_starter_generator_is_found_and_checked(name: str, tmp_path: Path) -> None:
    found = models.resolve(name, "generator", tmp_path)
    assert found.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert found.path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert models.gguf_info(found.path)["general.license"] == found.licence == "apache-2.0"


def test_the_code_of_the_starter_packages_is_not_run(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ragperso import models\n"
        f"[models.resolve('starter', k, Path({str(tmp_path)!r})) for k in ('embedder', 'generator')]\n"
        "print([m for m in sys.modules if 'minilm' in m or 'smollm' in m or m in ('llm', 'torch')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A starter package of our own, so that its files can be damaged."""
    package = tmp_path / "site" / "planted_starter"
    write(package, {"__init__.py": b"raise SystemExit('executed')", "tiny.gguf": gguf(name="Tiny")})
    starter = models.Starter(
        name="Tiny",
        kind="generator",
        package="planted_starter",
        folder="",
        licence="mit",
        files={"tiny.gguf": sha256(gguf(name="Tiny"))},
    )
    monkeypatch.setattr(models, "STARTERS", (starter,))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return package


def test_a_changed_starter_is_refused_naming_both_hashes(planted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert models.resolve("starter", "generator", folder).path == planted / "tiny.gguf"
    assert [found.name for found in models.list_models(folder)] == ["Tiny"]
    changed = gguf(name="Evil")
    (planted / "tiny.gguf").write_bytes(changed)
    with pytest.raises(ModelUnavailable) as caught:
        models.resolve("starter", "generator", folder)
    assert sha256(changed)[:12] in str(caught.value)
    assert sha256(gguf(name="Tiny"))[:12] in str(caught.value)
    (planted / "tiny.gguf").unlink()
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        models.resolve("starter", "generator", folder)
    assert models.list_models(folder) == []


def test_a_starter_that_is_not_installed_names_the_install(planted: Path, tmp_path: Path) -> None:
    shutil.rmtree(planted)
    with pytest.raises(ModelUnavailable) as caught:
        models.resolve("starter", "generator", tmp_path)
    assert caught.value.hint == "pip install 'ragperso[starter]'"


# ---------------------------------------------------------------- names


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "my model", EMBEDDER)
    found = models.resolve(str(folder), "embedder", tmp_path / "models")
    assert (found.path, found.licence, found.source) == (folder, "mit", "path")
    assert found.sha256 == sha256(SAFETENSORS)
    file = tmp_path / "x.gguf"
    file.write_bytes(gguf(name="X", license="mit"))
    for name in (str(file), str(write(tmp_path / "one", {"x.gguf": file.read_bytes()}))):
        found = models.resolve(name, "generator", tmp_path / "models")
        assert (found.path.name, found.licence) == ("x.gguf", "mit")


def test_shards_are_one_model(tmp_path: Path) -> None:
    files = {k: v for k, v in EMBEDDER.items() if k != "model.safetensors"}
    parts = {f"model-0000{i}-of-00002.safetensors": bytes([i]) for i in (1, 2)}
    folder = write(tmp_path / "m", {**files, **parts, "model.fp16.safetensors": b"other"})
    assert [path.name for path in models.weights_of(folder)] == sorted(parts)
    first = models.resolve(str(folder), "embedder", tmp_path).sha256
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"changed")
    assert models.resolve(str(folder), "embedder", tmp_path).sha256 != first


def test_a_starter_name_is_not_shadowed_by_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "starter", EMBEDDER)
    monkeypatch.chdir(tmp_path)
    assert models.resolve("starter", "embedder", tmp_path / "models").name == "all-MiniLM-L6-v2"
    assert models.resolve("./starter", "embedder", tmp_path / "models").source == "path"


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("org/some-model", "embedder", "ragperso models pull org/some-model"),
        ("no-such-model", "generator", "ragperso models list"),
        ("SmolLM2-135M-Instruct", "embedder", "ragperso models list"),
        ("../../etc", "embedder", "ragperso models list"),
        ("", "embedder", "ragperso models list"),
        ("a\0b", "embedder", "ragperso models list"),
        ("org/..", "embedder", "ragperso models list"),
        ("x" * 5000, "generator", "ragperso models list"),
    ],
)
def test_an_unknown_name_says_what_to_do(name: str, kind: Any, hint: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        models.resolve(name, kind, tmp_path / "models")
    assert caught.value.hint == hint


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"GGUF", "b.gguf": b"GGUF"}])
def test_a_folder_without_one_gguf_is_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(ModelUnavailable, match="one GGUF file"):
        models.resolve(str(write(tmp_path / "f", files)), "generator", tmp_path / "models")


@pytest.mark.parametrize("data", [b"", b"GGUF", b"PK\3\4" + b"\0" * 50, b"GGUF\1\0\0\0" + b"\0" * 50])
def test_what_is_no_gguf_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(ModelUnavailable, match="not a GGUF"):
        models.resolve(str(tmp_path / "x.gguf"), "generator", tmp_path / "models")


def test_a_damaged_gguf_head_gives_what_can_be_read(tmp_path: Path) -> None:
    whole = gguf(name="X", license="mit")
    for end in range(24, len(whole)):
        (tmp_path / "x.gguf").write_bytes(whole[:end])
        assert set(models.gguf_info(tmp_path / "x.gguf")) <= {"general.name", "general.license"}
    (tmp_path / "x.gguf").write_bytes(whole[:24] + b"\xff" * 100)
    assert models.gguf_info(tmp_path / "x.gguf") == {}


def test_pickled_weights_are_no_model(tmp_path: Path) -> None:
    files = {k: v for k, v in EMBEDDER.items() if k != "model.safetensors"}
    folder = write(tmp_path / "m", {**files, "pytorch_model.bin": b"\x80\x04."})
    with pytest.raises(ModelUnavailable, match="pickled"):
        models.resolve(str(folder), "embedder", tmp_path)


# ---------------------------------------------------------------- remembered hashes


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    file, folder = tmp_path / "weights", tmp_path / "models"
    file.write_bytes(b"one")
    assert models.sha256_of(file, folder) == sha256(b"one")
    cache = json.loads((folder / models.VERIFIED).read_text())
    cache[str(file)]["sha256"] = "remembered"
    (folder / models.VERIFIED).write_text(json.dumps(cache))
    assert models.sha256_of(file, folder) == "remembered", "the file was not read again"
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert models.sha256_of(file, folder) == sha256(b"two")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"%s": 3}', b"[" * 100_000])
def test_a_damaged_memory_is_ignored(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    (tmp_path / models.VERIFIED).write_bytes(content.replace(b"%s", str(file).encode()))
    assert models.sha256_of(file, tmp_path) == sha256(b"one")


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert models.sha256_of(file, file / "below-a-file") == sha256(b"one")


# ---------------------------------------------------------------- pulling from a hub


class Hub:
    """The few pages of a hub that a pull asks for, on loopback; ``fail_after`` cuts a download once."""

    commit = "c" * 40

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.lied: dict[str, str] = {}  # file -> the sha256 that the hub states instead
        self.cut_once = 0  # bytes after which the next long answer breaks off
        self.ranges: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def log_message(self, *_: object) -> None:
                pass

            def answer(self, *, body: bool) -> None:
                path = self.path.split("?")[0]
                for repo, files in hub.repos.items():
                    if path.startswith(f"/api/models/{repo}"):
                        return self.reply(json.dumps(hub.info(repo)).encode(), {}, body)
                    prefix = f"/{repo}/resolve/{hub.commit}/"
                    if path.startswith(prefix) and path[len(prefix) :] in files:
                        data = files[path[len(prefix) :]]
                        headers = {"ETag": f'"{sha256(data)}"', "X-Repo-Commit": hub.commit}
                        return self.reply(data, headers, body)
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None

            def reply(self, data: bytes, headers: dict[str, str], body: bool) -> None:
                start = 0
                asked = self.headers.get("Range") if body else None
                if asked:
                    hub.ranges.append(asked)
                    start = int(asked.removeprefix("bytes=").split("-")[0])
                    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self.send_response(206 if asked else 200)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                if body and 0 < hub.cut_once < len(data):
                    self.wfile.write(data[: hub.cut_once])
                    hub.cut_once = 0
                    self.close_connection = True
                elif body:
                    self.wfile.write(data[start:])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def info(self, repo: str) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": self.lied.get(name, sha256(data)), "size": len(data), "pointerSize": 1},
            }
            for name, data in self.repos[repo].items()
        ]
        return {"id": repo, "sha": self.commit, "siblings": siblings, "cardData": {"license": "mit"}}


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def pull(
    url: str, tmp_path: Path, repo: str, kind: str, file: str | None = None, **env: str
) -> dict[str, Any]:
    """Pull in a process of its own, as the command does; the hub library reads its settings at import."""
    code = (
        "import json, sys; from pathlib import Path; from ragperso import models\n"
        "from ragperso.errors import RagpersoError\n"
        "repo, kind, folder, file = json.loads(sys.argv[1])\n"
        "seen = []\n"
        "try:\n"
        "    tell = lambda *a: seen.append(a)\n"
        "    found = models.pull(repo, kind, Path(folder), file=file, on_progress=tell)\n"
        "    print(json.dumps({'path': str(found.path), 'sha256': found.sha256, 'licence': found.licence,\n"
        "                      'source': found.source, 'seen': seen}))\n"
        "except RagpersoError as exc:\n"
        "    print(json.dumps({'error': type(exc).__name__, 'message': exc.message, 'hint': exc.hint}))\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": url, "NO_PROXY": "127.0.0.1", **env}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([repo, kind, str(tmp_path / "models"), file])],
        capture_output=True,
        text=True,
        env={**clean, **home},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_an_embedder_is_pulled_without_pickles_and_code(hub: Hub, tmp_path: Path) -> None:
    hub.repos["org/tiny"] = {
        **EMBEDDER,
        "pytorch_model.bin": b"\x80\x04.",
        "modeling.py": b"boom",
        "onnx/model.onnx": b"x",
        "model.fp16.safetensors": b"half",
        "../escape.json": b"{}",
    }
    answer = pull(hub.url, tmp_path, "org/tiny", "embedder")
    folder = tmp_path / "models" / "org--tiny"
    assert answer["path"] == str(folder)
    assert (answer["sha256"], answer["licence"]) == (sha256(SAFETENSORS), "mit")
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {*EMBEDDER, models.MANIFEST}
    assert answer["seen"][-1][1:] == [sum(map(len, EMBEDDER.values()))] * 2
    found = models.resolve("org/tiny", "embedder", tmp_path / "models")
    assert found.source == f"hub org/tiny@{'c' * 12}"
    assert [m.name for m in models.list_models(tmp_path / "models") if m.source.startswith("hub")] == [
        "org/tiny"
    ]
    assert not list((tmp_path / "models").glob(".pulling-*"))
    with pytest.raises(ModelUnavailable, match="was pulled as embedder"):
        models.resolve("org/tiny", "generator", tmp_path / "models")
    (folder / "tokenizer.json").write_bytes(b"{ }")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json of org/tiny is not the file it should be"):
        models.resolve("org/tiny", "embedder", tmp_path / "models")


def test_one_gguf_of_several_is_chosen_by_name(hub: Hub, tmp_path: Path) -> None:
    small, large = gguf(name="small"), gguf(name="large")
    hub.repos["org/tiny-GGUF"] = {"q4.gguf": small, "q8.gguf": large, "README.md": b""}
    answer = pull(hub.url, tmp_path, "org/tiny-GGUF", "generator")
    assert answer["message"] == "org/tiny-GGUF holds 2 GGUF files: q4.gguf, q8.gguf"
    assert answer["hint"] == "ragperso models pull org/tiny-GGUF --file q4.gguf"
    answer = pull(hub.url, tmp_path, "org/tiny-GGUF", "generator", "q8.gguf")
    assert Path(answer["path"]).read_bytes() == large
    answer = pull(hub.url, tmp_path, "org/tiny-GGUF", "generator", "q4.gguf")
    assert models.resolve("org/tiny-GGUF", "generator", tmp_path / "models").sha256 == sha256(small)
    assert not (tmp_path / "models" / "org--tiny-GGUF" / "q8.gguf").exists(), (
        "a new pull replaces the old one"
    )


def test_a_file_that_is_not_what_the_hub_promised_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.repos["org/tiny"] = dict(EMBEDDER)
    hub.lied["model.safetensors"] = "0" * 64
    answer = pull(hub.url, tmp_path, "org/tiny", "embedder")
    assert (answer["error"], "arrived damaged" in answer["message"]) == ("ModelUnavailable", True)
    with pytest.raises(ModelUnavailable):
        models.resolve("org/tiny", "embedder", tmp_path / "models")
    hub.lied.clear()
    assert "path" in pull(hub.url, tmp_path, "org/tiny", "embedder"), "the next pull mends it"


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "embedder", "no embedder with safetensors"),
        ({"config.json": b"{}"}, "generator", "no GGUF file"),
        ({"m-00001-of-00002.gguf": b"GGUF"}, "generator", "one part of a split model"),
        ({"fake.gguf": b"<html>"}, "generator", "not a GGUF file"),
    ],
)
def test_a_repository_without_a_usable_model_is_refused(
    hub: Hub, tmp_path: Path, files: dict[str, bytes], kind: str, message: str
) -> None:
    hub.repos["org/odd"] = files
    answer = pull(hub.url, tmp_path, "org/odd", kind)
    assert answer["error"] == "ModelUnavailable"
    assert message in answer["message"]
    assert not (tmp_path / "models" / "org--odd").exists()


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    whole = gguf(name="long") + bytes(12_000_000)  # the hub library writes pieces of 10 MB
    hub.repos["org/long"] = {"m.gguf": whole}
    hub.cut_once = 11_000_000
    answer = pull(hub.url, tmp_path, "org/long", "generator")
    if "error" in answer:  # the hub library may also try again by itself
        answer = pull(hub.url, tmp_path, "org/long", "generator")
    assert answer["sha256"] == sha256(whole)
    assert hub.cut_once == 0
    assert hub.ranges
    assert all(int(asked.removeprefix("bytes=").split("-")[0]) > 0 for asked in hub.ranges)


def test_unknown_repositories_and_silent_hubs_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    answer = pull(hub.url, tmp_path, "org/absent", "embedder")
    assert answer["message"].startswith("the hub has no org/absent")
    hub.server.shutdown()
    hub.server.server_close()
    answer = pull(hub.url, tmp_path, "org/absent", "embedder")
    assert answer["error"] == "ModelUnavailable"
    assert "could not be fetched" in answer["message"]
    assert "check the connection" in answer["hint"]


def test_an_offline_setting_is_obeyed(hub: Hub, tmp_path: Path) -> None:
    hub.repos["org/tiny"] = dict(EMBEDDER)
    answer = pull(hub.url, tmp_path, "org/tiny", "embedder", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in answer["message"]


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "a b", "https://host/x", "-x/y"])
def test_what_is_no_hub_id_reaches_no_network(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="not a hub id"):
        models.pull(name, "embedder", tmp_path)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{}",
        b'{"repo": "org/t", "revision": "c", "licence": "", "kind": "embedder", "files": {"../../x": {}}}',
        json.dumps(
            {
                "repo": "org/t",
                "revision": "c",
                "licence": "",
                "kind": "embedder",
                "files": {"../m.safetensors": {"sha256": "0", "size": 1}},
            }
        ).encode(),
    ],
)
def test_a_damaged_manifest_is_refused(manifest: bytes, tmp_path: Path) -> None:
    write(tmp_path / "org--t", {models.MANIFEST: manifest})
    with pytest.raises(ModelUnavailable, match="damaged"):
        models.resolve("org/t", "embedder", tmp_path)
    assert all(found.name != "org/t" for found in models.list_models(tmp_path))
