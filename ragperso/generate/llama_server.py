"""Stage 5, generate: a server that speaks OpenAI's chat protocol: llama-server, Ollama, vLLM, LM Studio.

In: a prompt.  Out: a completion, streamed.
Never: talks to another machine unless ``allow_remote``, follows a redirect, reads a proxy from the
environment, looks a name up that could leave this machine, or repeats what a server said about a prompt.

The standard library's ``http.client`` does all of this with no package to install.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import json
import queue
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from ragperso.errors import ConfigError, ContextOverflow, GenerateError, GenerationTimeout, ModelUnavailable
from ragperso.generate.chat_format import neutralise
from ragperso.generate.stream import TextStream
from ragperso.types import Completion, Message, Prompt

_PROBE_TIMEOUT_S: Final = 5.0  # for the small questions: properties, token counts
_POLL_S: Final = 0.05  # how soon a cancellation is noticed
_MAX_LINE_BYTES: Final = 1 << 20  # of one event; a piece of text has a few hundred
_MAX_BODY_BYTES: Final = 16 << 20
_MESSAGE_TOKENS: Final = 8  # role and markers of one message, in the widest template in use (Llama 3: 6)

_Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Address:
    """Where the server is; ``host`` is a literal address or a name that needs no look-up."""

    host: str
    port: int
    path: str  # of the API, without a slash at the end
    is_tls: bool
    is_local: bool

    @property
    def root(self) -> str:
        """The path of what stands beside the API: llama-server's own routes."""
        return re.sub(r"/v1$", "", self.path)


def parse_url(url: str, *, allow_remote: bool) -> _Address:
    """Return the address in ``url``.  Raises: ConfigError when it is malformed, or remote and not allowed."""
    hint = "generate.url should look like http://127.0.0.1:8080/v1"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError("generate.url is not a URL", hint=hint) from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("generate.url must begin with http:// or https:// and name a host", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise ConfigError("generate.url must not hold a password", hint="put the key into generate.api_key")
    host = parts.hostname
    is_local = _is_loopback(host)
    if not is_local and not allow_remote:
        raise ConfigError(
            f"generate.url names another machine ({host}), and prompts hold your notes",
            hint="use http://127.0.0.1:..., or set privacy.allow_remote = true if that is what you want",
        )
    is_tls = parts.scheme == "https"
    return _Address(host, port or (443 if is_tls else 80), parts.path.rstrip("/"), is_tls, is_local)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True  # never looked up: see _Connection
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Connection(http.client.HTTPConnection):
    """A connection straight to the address: ``localhost`` is 127.0.0.1 or ::1, whatever a resolver says."""

    def __init__(self, address: _Address, timeout_s: float) -> None:
        super().__init__(address.host, address.port, timeout=timeout_s)
        self._address = address

    def connect(self) -> None:
        hosts = ("127.0.0.1", "::1") if self._address.host == "localhost" else (self._address.host,)
        for i, host in enumerate(hosts):
            try:
                self.sock = socket.create_connection((host, self.port), self.timeout)
                break
            except OSError:
                if i == len(hosts) - 1:
                    raise
        if self._address.is_tls:
            self.sock = ssl.create_default_context().wrap_socket(
                self.sock, server_hostname=self._address.host
            )


class ServerGenerator:
    """A model behind ``url``.  Making one sends nothing.

    ``model`` may be empty: then the first one the server lists.  ``context_tokens`` is what to assume when
    the server does not say; a smaller answer of the server wins (Ollama cuts prompts without a word).

    Token counts are exact with llama-server (``/tokenize``), else an estimate that errs upwards; see
    :attr:`is_exact`.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        api_key: str = "",
        timeout_s: float = 300.0,
        allow_remote: bool = False,
        context_tokens: int = 4096,
    ) -> None:
        self._address = parse_url(url, allow_remote=allow_remote)
        self._model = model
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._configured_context = context_tokens
        self._lock = threading.Lock()
        self._known_context: int | None = None
        self._can_tokenise: bool | None = None
        self._can_template: bool | None = None
        self._last_owner: str | None = None
        self._salt = secrets.token_bytes(16)

    @property
    def name(self) -> str:
        return f"server:{self._model or 'default'}"

    @property
    def is_exact(self) -> bool:
        """Whether token counts come from the model's tokenizer; asks the server once."""
        return self._server_count("") is not None

    @property
    def context_tokens(self) -> int:
        """What the server allows, or the configured size where it does not say; asked once."""
        with self._lock:
            if self._known_context is None:
                found = self._ask_context()
                self._known_context = (
                    min(found, self._configured_context) if found else self._configured_context
                )
            return self._known_context

    def count(self, texts: Sequence[str]) -> list[int]:
        counts = []
        for text in texts:
            exact = self._server_count(text)
            counts.append(estimate(text) if exact is None else exact)
        return counts

    def count_messages(self, messages: Sequence[Message]) -> int:
        if (exact := self._server_count_messages(messages)) is not None:
            return exact
        return sum(self.count([neutralise(m.content) for m in messages])) + _MESSAGE_TOKENS * (
            len(messages) + 1
        )

    def generate(
        self,
        prompt: Prompt,
        *,
        owner: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write at most ``max_tokens``; a cancelled completion holds what was written until then.

        ``cached_tokens`` is 0 on the first call for an owner, whatever the server says: the number would
        tell one person how much of another's prompt is like their own.
        Raises: ModelUnavailable, ContextOverflow, GenerationTimeout.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        return self._write(
            prompt.messages,
            {"temperature": temperature, "seed": seed, **({"stop": list(stop)} if stop else {})},
            owner=owner,
            max_tokens=max_tokens,
            stop=stop,
            on_text=on_text,
            is_cancelled=is_cancelled,
        )

    def constrained(
        self,
        messages: Sequence[Message],
        grammar: str,
        *,
        owner: str,
        max_tokens: int,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Write what a GBNF grammar allows; of the servers in use llama-server alone can.

        Raises: ConfigError when it is another one, which would write what it likes; GenerateError for an
        empty grammar; ModelUnavailable (also for a grammar the server refuses), GenerationTimeout.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        if not grammar.strip():
            raise GenerateError("an empty grammar allows nothing")
        if not isinstance(
            _field(self._probe("GET", f"{self._address.root}/props"), "default_generation_settings"), dict
        ):
            raise ConfigError(
                "the server at generate.url cannot be bound to a grammar",
                hint="start llama-server there, or set generate.backend to llama.cpp",
            )
        return self._write(
            messages,
            {"temperature": 0.0, "seed": 0, "grammar": grammar},
            owner=owner,
            max_tokens=max_tokens,
            is_cancelled=is_cancelled,
        )

    def _write(
        self,
        messages: Sequence[Message],
        options: Mapping[str, Any],
        *,
        owner: str,
        max_tokens: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Completion:
        """Send one request and read its answer as it comes."""
        began = time.monotonic()
        body: dict[str, Any] = {
            "model": self._model_name(),
            "messages": [{"role": m.role, "content": neutralise(m.content)} for m in messages],
            "max_tokens": max_tokens,
            **options,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._address.is_local:
            # Nothing that one person's prompt left in the server's cache may serve another: llama-server
            # is told not to reuse, vLLM gets a salt per person.  Others ignore both.
            body["cache_prompt"] = False
            body["cache_salt"] = hashlib.sha256(self._salt + owner.encode("utf-8", "replace")).hexdigest()
        with self._lock:
            is_same_owner, self._last_owner = self._last_owner == owner, owner

        stream = TextStream(stop, on_text)
        usage: Mapping[str, Any] = {}
        finish: Literal["stop", "length", "cancelled"] | None = None
        n_pieces, first_token_ms = 0, 0.0
        request = _Streaming(self._address, self._headers(), f"{self._address.path}/chat/completions", body)
        try:
            for event in request.events(began + self._timeout_s, is_cancelled):
                if isinstance(event.get("usage"), dict):
                    usage = event["usage"]
                text, reason = _delta(event)
                if text:
                    first_token_ms = first_token_ms or (time.monotonic() - began) * 1000
                    n_pieces += 1
                    stream.feed(text)
                if reason:
                    finish = "length" if reason == "length" else "stop"
                if stream.is_stopped:
                    finish = "stop"
                    break
        finally:
            request.close()
        if request.was_cancelled:
            finish = "cancelled"
        if finish is None:
            raise ModelUnavailable(
                "the server's answer broke off", hint="look at the server's log, then ask again"
            )
        details = usage.get("prompt_tokens_details")
        cached = _integer(details.get("cached_tokens")) if isinstance(details, dict) else 0
        prompt_tokens = _integer(usage.get("prompt_tokens"))
        return Completion(
            text=stream.finish(),
            model=self.name,
            prompt_tokens=prompt_tokens or self.count_messages(messages),
            completion_tokens=_integer(usage.get("completion_tokens")) or n_pieces,
            cached_tokens=cached if is_same_owner else 0,
            finish_reason=finish,
            first_token_ms=first_token_ms,
            total_ms=(time.monotonic() - began) * 1000,
        )

    # ---------------------------------------------------------------- what the server can tell

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return headers

    def _model_name(self) -> str:
        """Return the configured model, or the first the server lists; asked once."""
        if not self._model:
            rows = self._rows(f"{self._address.path}/models", "data")
            names = [row["id"] for row in rows if isinstance(row.get("id"), str)]
            if not names:
                raise ModelUnavailable(
                    "the server lists no model", hint="set generate.model to the server's name for it"
                )
            self._model = names[0]
        return self._model

    def _ask_context(self) -> int:
        """Return the tokens of one sequence: llama-server's, vLLM's or Ollama's word for it; 0 if none."""
        properties = self._probe("GET", f"{self._address.root}/props")
        if found := _integer(_field(_field(properties, "default_generation_settings"), "n_ctx")):
            return found
        rows = self._rows(f"{self._address.path}/models", "data")
        rows += self._rows(f"{self._address.root}/api/ps", "models")
        for row in rows:
            if self._model in ("", row.get("id"), row.get("name"), row.get("model")):
                found = _integer(row.get("max_model_len")) or _integer(row.get("context_length"))
                if found:
                    return found
        return 0

    def _rows(self, path: str, key: str) -> list[dict[str, Any]]:
        """Return the objects that a listing holds under ``key``."""
        rows = _field(self._probe("GET", path), key)
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _server_count(self, text: str) -> int | None:
        if self._can_tokenise is False:
            return None
        answer = self._probe("POST", f"{self._address.root}/tokenize", {"content": text})
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        self._can_tokenise = isinstance(tokens, list)
        return len(tokens) if isinstance(tokens, list) else None

    def _server_count_messages(self, messages: Sequence[Message]) -> int | None:
        if self._can_template is False or self._can_tokenise is False:
            return None
        rows = [{"role": m.role, "content": neutralise(m.content)} for m in messages]
        answer = self._probe("POST", f"{self._address.root}/apply-template", {"messages": rows})
        rendered = answer.get("prompt") if isinstance(answer, dict) else None
        self._can_template = isinstance(rendered, str)
        if not isinstance(rendered, str):
            return None
        body = {"content": rendered, "add_special": True, "parse_special": True}
        answer = self._probe("POST", f"{self._address.root}/tokenize", body)
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        return len(tokens) if isinstance(tokens, list) else None

    def _probe(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of a small request, ``None`` for any answer but 200.

        Raises: ModelUnavailable when there is no server at all.
        """
        connection = _Connection(self._address, _PROBE_TIMEOUT_S)
        try:
            data = None if body is None else _encode(body)
            connection.request(method, path or "/", data, self._headers())
            with connection.getresponse() as response:
                raw = response.read(_MAX_BODY_BYTES)
            return json.loads(raw) if response.status == 200 else None
        except TimeoutError:
            return None  # busy, not absent: the estimate will do
        except OSError as exc:
            raise _absent(self._address) from exc
        except (http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


# ---------------------------------------------------------------- one streamed request


class _Streaming:
    """A request whose answer is read by a thread, so that a silent server cannot delay a cancellation."""

    def __init__(
        self, address: _Address, headers: Mapping[str, str], path: str, body: Mapping[str, Any]
    ) -> None:
        self.was_cancelled = False
        self._address = address
        self._connection = _Connection(address, _PROBE_TIMEOUT_S)
        self._found: queue.SimpleQueue[_Event | Exception | None] = queue.SimpleQueue()
        self._request = (path, _encode(body), dict(headers))
        self._is_closed = False
        self._socket: socket.socket | None = None  # the connection forgets its own once it has the answer
        self._reader = threading.Thread(target=self._read, name="ragperso-server", daemon=True)

    def events(self, deadline: float, is_cancelled: Callable[[], bool] | None) -> Iterator[_Event]:
        """Yield the server's events.  Raises: GenerationTimeout and what a bad answer means."""
        self._reader.start()
        while True:
            if is_cancelled is not None and is_cancelled():
                self.was_cancelled = True
                return
            if time.monotonic() > deadline:
                raise GenerationTimeout(
                    "the server took longer than generate.timeout_s",
                    hint="raise generate.timeout_s, or lower generate.max_tokens",
                )
            try:
                found = self._found.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, Exception):
                raise found
            yield found

    def close(self) -> None:
        """Hang up, which also wakes the reading thread."""
        self._is_closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the server was faster
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader.is_alive():
            self._reader.join(_PROBE_TIMEOUT_S)

    def _read(self) -> None:
        path, data, headers = self._request
        try:
            self._connection.connect()
            # Kept here too, as the connection forgets it once the answer has begun.  It waits for ever:
            # the deadline is kept by events(), which hangs up.
            self._socket = self._connection.sock
            self._socket.settimeout(None)
            if self._is_closed:
                return
            self._connection.request("POST", path, data, headers)
            with self._connection.getresponse() as response:
                self._read_answer(response)
            self._found.put(None)
        except GenerateError as exc:
            self._found.put(exc)
        except (OSError, ValueError, http.client.HTTPException) as exc:
            if not self._is_closed:
                failure = _absent(self._address)
                failure.__cause__ = exc
                self._found.put(failure)
        finally:
            self._connection.close()
            if self._socket is not None:
                self._socket.close()

    def _read_answer(self, response: http.client.HTTPResponse) -> None:
        if response.status != 200:
            raise _refusal(response.status, response.read(_MAX_BODY_BYTES))
        if "event-stream" not in (response.getheader("Content-Type") or ""):  # a server that does not stream
            self._found.put(_event(response.read(_MAX_BODY_BYTES).decode("utf-8", "replace")))
            return
        for data in sse(iter(lambda: response.readline(_MAX_LINE_BYTES), b"")):
            if data == "[DONE]":
                return
            self._found.put(_event(data))


def sse(lines: Iterator[bytes]) -> Iterator[str]:
    """Yield the data of each server-sent event; comments, names, ids and empty events are passed over.

    Source: WHATWG HTML, 9.2.6 "Interpreting an event stream".
    """
    data: list[str] = []
    for raw in lines:
        if not raw.endswith((b"\n", b"\r")) and len(raw) >= _MAX_LINE_BYTES:
            raise ModelUnavailable("the server sent an event of more than a mebibyte")
        for line in raw.decode("utf-8", "replace").rstrip("\r\n").split("\r"):
            if not line:
                if data:
                    yield "\n".join(data)
                data = []
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
    if data:  # not by the book, but servers that end without the blank line mean what they sent
        yield "\n".join(data)


def _event(data: str) -> _Event:
    try:
        event = json.loads(data)
    except ValueError as exc:
        raise ModelUnavailable("the server's answer is not JSON") from exc
    if not isinstance(event, dict):
        raise ModelUnavailable("the server's answer is not an object")
    if event.get("error"):
        raise _refusal(_integer(_field(event["error"], "code")) or 500, data.encode())
    return event


def _delta(event: _Event) -> tuple[str, str]:
    """Return the text and the finish reason of one event, streamed or whole."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("delta") or choice.get("message") or {}
    text = message.get("content") if isinstance(message, dict) else None
    reason = choice.get("finish_reason")
    return (text if isinstance(text, str) else ""), (reason if isinstance(reason, str) else "")


def _refusal(status: int, raw: bytes) -> GenerateError:
    """Return what an error answer means; the server's own words may quote the prompt and are not kept."""
    try:
        error = _field(json.loads(raw), "error")
    except ValueError:
        error = None
    codes = {str(_field(error, key)) for key in ("code", "type")}
    words = str(_field(error, "message") or error or "").lower()
    if codes & {"context_length_exceeded", "exceed_context_size_error"} or (
        status in (400, 413) and "context" in words and re.search("length|size|exceed", words)
    ):
        return ContextOverflow(
            "the server's context is too small for this prompt",
            hint="start the server with a larger context (llama-server -c, OLLAMA_CONTEXT_LENGTH), "
            "or lower generate.context_tokens",
        )
    hints = {
        401: "set generate.api_key",
        403: "set generate.api_key",
        404: "check generate.url (it usually ends in /v1) and that the server has generate.model",
        429: "the server is busy: ask again later",
        503: "the server is still loading its model: ask again later",
    }
    if 300 <= status < 400:
        return ModelUnavailable(
            f"the server redirects (HTTP {status}), and redirects are not followed",
            hint="set generate.url to where the server really is",
        )
    return ModelUnavailable(
        f"the server refused (HTTP {status})", hint=hints.get(status, "look at the server's log")
    )


def _absent(address: _Address) -> ModelUnavailable:
    return ModelUnavailable(
        f"no model server answers at {address.host}:{address.port}",
        hint="start one (llama-server -m MODEL.gguf, or ollama serve) and check generate.url",
    )


def _encode(body: Mapping[str, Any]) -> bytes:
    # ASCII: lone surrogates from odd files travel as \ud800 rather than raise.
    return json.dumps(body, ensure_ascii=True).encode("ascii")


def _field(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


# ---------------------------------------------------------------- counting without the tokenizer

# A word, with the space before it; one more ASCII character; anything else.
_UNIT: Final = re.compile(r"[ ]?([A-Za-z]?[a-z]+)|([\x00-\x7f])|([^\x00-\x7f])", re.DOTALL)
_LETTERS_PER_TOKEN: Final = 2  # of a word; English averages 4 to 5, other languages 2 to 3


def estimate(text: str) -> int:
    """Return how many tokens ``text`` has at most, for the tokenizers in use.

    Words count a token per two letters begun; capitals, digits, marks and other spaces one each; and what
    is not ASCII its UTF-8 bytes, the most that a byte-level tokenizer can make of it.  Random small letters
    can take more; a server that then runs out of context says so.
    """
    total = 0
    for word, ascii_character, other in _UNIT.findall(text):
        if word:
            total += -(-len(word) // _LETTERS_PER_TOKEN)
        elif ascii_character:
            total += 1
        else:
            total += len(other.encode("utf-8", "replace"))
    return total
