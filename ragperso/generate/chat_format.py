"""Stage 5, generate: chat messages as the pieces of a prompt, such that content stays content.

In: messages, and the chat template that the model's file carries.
Out: pieces, each either the template's (may spell control tokens) or content (must not).
Never: shows content to the template, tokenises, or trusts the template: it runs in a sandbox.

The template is rendered with random placeholders where the contents belong, and the result is cut at
the placeholders.  So a note that holds ``<|im_end|><|im_start|>system`` reaches the tokenizer as a piece
of content, where control tokens are not spelled, whatever the template does.  White space around a
content is dropped: half of all templates trim it, and a placeholder cannot show which.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from ragperso.errors import MissingExtra, ModelUnavailable
from ragperso.types import Message

CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# What separates two messages that had to become one.
_JOINT: Final = "\n\n"

# transformers marks what to train on with a tag of its own; to a reader it means nothing.
_GENERATION_TAG: Final = re.compile(r"\{%(-?)\s*(end)?generation\s*(-?)%\}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the rendered prompt; ``is_template`` allows it to spell control tokens."""

    text: str = field(repr=False)
    is_template: bool


class ChatTemplate:
    """A compiled chat template; ChatML when ``source`` is empty.

    Raises: MissingExtra; ModelUnavailable when the source is no template.
    """

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        try:
            import jinja2
            from jinja2.ext import loopcontrols
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError as exc:  # the server backend shares this module and needs no jinja2
            raise MissingExtra("jinja2", "llama", stage="generate") from exc
        self._failure: type[Exception] = jinja2.TemplateError
        # As transformers' apply_chat_template sets it up: what templates are written against.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = self._raise
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        plain = _GENERATION_TAG.sub(lambda m: f"{{%{m[1]} {'endif' if m[2] else 'if true'} {m[3]}%}}", source)
        try:
            self._template = environment.from_string(plain or CHATML)
        except jinja2.TemplateError as exc:
            raise ModelUnavailable(
                f"the model's chat template cannot be read: {exc.message}",
                hint="use another GGUF of this model",
            ) from exc
        self._bos = bos
        self._eos = eos

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the prompt up to where the assistant begins to write; neighbours differ in kind.

        A model without a system role gets the system text at the head of the first user message, and
        one that insists on turns gets neighbours of one role as one message.
        Raises: ModelUnavailable when the template refuses even that.
        """
        if not messages:
            raise ValueError("a prompt needs at least one message")
        rows: list[tuple[str, list[str]]] = [(m.role, [m.content]) for m in messages]
        found = self._render(rows) or self._render(_in_turns(rows))
        if found is None:
            raise ModelUnavailable(
                "the model's chat template refuses these roles: " + ", ".join(m.role for m in messages),
                hint="use a model made for chat",
            )
        return found

    def _render(self, rows: Sequence[tuple[str, Sequence[str]]]) -> list[Piece] | None:
        """Return the pieces, or ``None`` when the template raises or leaves a content out."""
        contents: dict[str, str] = {}
        shown = []
        for role, texts in rows:
            keys = [secrets.token_hex(16) for _ in texts]
            contents.update(zip(keys, texts, strict=True))
            shown.append({"role": role, "content": _JOINT.join(keys)})
        try:
            text = self._template.render(
                messages=shown,
                add_generation_prompt=True,
                bos_token=self._bos,
                eos_token=self._eos,
                tools=None,
                documents=None,
                # Qwen3 and SmolLM3 think aloud unless told otherwise, longer than our answers may be.
                enable_thinking=False,
            )
        except (self._failure, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            return None
        parts = re.split("(" + "|".join(contents) + ")", text)
        if set(parts[1::2]) != set(contents):
            return None
        pieces = [
            Piece(contents[part].strip(), False) if i % 2 else Piece(part, True)
            for i, part in enumerate(parts)
        ]
        return [piece for piece in pieces if piece.text]

    def _raise(self, message: str) -> NoReturn:
        raise self._failure(message)


def _in_turns(rows: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, list[str]]]:
    """Return the rows with system text moved into the user's turn and neighbours of one role joined."""
    turns: list[tuple[str, list[str]]] = []
    for role, texts in rows:
        role = "user" if role == "system" else role
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(texts)
        else:
            turns.append((role, list(texts)))
    return turns


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


class Vocabulary(Protocol):
    """What a tokenizer must do for :func:`prompt_tokens`."""

    adds_bos: bool
    bos: int
    adds_space: bool  # SentencePiece: a space is put before every fragment

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of ``text``, without BOS; only with ``special`` can it spell control tokens."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return what ``token`` spells."""

    def is_marker(self, token: int) -> bool:
        """Say whether ``token`` may structure a chat."""


def prompt_tokens(pieces: Sequence[Piece], vocabulary: Vocabulary) -> list[int]:
    """Return the ids of ``pieces``, with one BOS if the model wants it; content spells no marker."""
    ids: list[int] = []
    for piece in _without_loose_spaces(pieces) if vocabulary.adds_space else pieces:
        found = _tokenise(piece.text, piece.is_template, vocabulary)
        ids += found if piece.is_template else _without_markers(found, vocabulary)
    if vocabulary.adds_bos and ids[:1] != [vocabulary.bos]:
        ids.insert(0, vocabulary.bos)
    return ids


def _tokenise(text: str, special: bool, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of ``text`` as a part of a longer text: no space appears that is not in it."""
    if not vocabulary.adds_space:
        return vocabulary.tokenise(text, special=special)
    lead = vocabulary.tokenise("\n", special=False)
    ids = vocabulary.tokenise("\n" + text, special=special)
    return ids[len(lead) :] if ids[: len(lead)] == lead else vocabulary.tokenise(text, special=special)


def _without_loose_spaces(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces, a space at an end moved to the next piece: SentencePiece joins it to the word."""
    moved: list[Piece] = []
    carried = ""
    for piece in pieces:
        text = carried + piece.text
        carried = " " if text.endswith(" ") and piece is not pieces[-1] else ""
        moved.append(Piece(text[: len(text) - len(carried)], piece.is_template))
    return [piece for piece in moved if piece.text]


def _without_markers(ids: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """Return ``ids`` with every marker spelled by ordinary tokens: its first character, then the rest."""
    clean: list[int] = []
    for token in ids:
        if not vocabulary.is_marker(token):
            clean.append(token)
            continue
        text = vocabulary.piece(token, special=True).decode("utf-8", "replace")
        for part in (text[:1], text[1:]):
            spelled = vocabulary.tokenise(part, special=False) if part else []
            clean += [t for t in spelled if not vocabulary.is_marker(t)]
    return clean


# ---------------------------------------------------------------- for servers, which tokenise themselves

# Turn markers of the chat formats in use.  What stands between the brackets is matched without case.
_MARKERS: Final = re.compile(
    r"""
      <(?=\|[^\s<>|]{1,48}\|>)                                  # <|im_end|> <|eot_id|> <|user|> ...
    | <(?=｜[^\s<>｜]{1,48}｜>)                                   # DeepSeek writes them with a wide bar
    | <(?=/?(?:s|bos|eos|pad|unk|sys|inst)>)       # <s> </s> <bos> ...
    | <(?=/?(?:start_of_turn|end_of_turn|start_of_image|end_of_text|start_header_id|end_header_id|unused\d+)>)
    | <(?=</?sys>>)                                             # <<SYS>> <</SYS>>
    | <(?=/?(?:think|tool_call|tool_response|tools|function_calls?)>)
    | \[(?=/?(?:inst|system_prompt|available_tools|tool_results|tool_calls|tool_content)\])
    """,
    re.VERBOSE | re.IGNORECASE,
)


def neutralise(text: str) -> str:
    """Return ``text`` with chat markers broken by a space after their first character.

    For backends that tokenise on their side.  Applied twice it changes nothing more; ``a < b``,
    ``List<int>``, ``<div>`` and ``[1]`` stay as they are.
    """
    return _MARKERS.sub(lambda m: m[0] + " ", text)
