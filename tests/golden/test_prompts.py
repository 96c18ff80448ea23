"""Whole prompts as text files: ``make golden`` rewrites them, people read the diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragperso.engine import Engine, Session
from ragperso.types import Prompt

HERE = Path(__file__).parent

MAIL = """From: Ana Keller <ana@keller.example>
To: Jo <jo@example.org>
Subject: Re: Saturday
Date: Sat, 01 Feb 2025 10:00:00 +0000
Message-ID: <m1@keller.example>
In-Reply-To: <m0@example.org>

Hi Jo,

Saturday does not work. The frame jig arrives in the morning and I have to sign for it.
Sunday after four is fine. Bring the small torque wrench if you still have it.

- Ana

On Fri, 31 Jan 2025, Jo wrote:
> Dinner on Saturday at ours?
"""

BODIES = [
    ("Tubes", "The tubes are here. Two have dents, the other six are fine. I will send photos tonight."),
    ("Invoice", "Paid today. The amount on page two was wrong by nine euros, I took the right one."),
]


@pytest.fixture
def person(engine: Engine, ana: Session, tmp_path: Path) -> Session:
    ana.introduce(name="Ana Keller", languages=["en", "de"], addresses=["ana@keller.example"])
    head, _, _ = MAIL.partition("\n\n")
    head = head.replace("In-Reply-To: <m0@example.org>", "X-First: yes")
    for number, (subject, body) in enumerate(BODIES):
        headers = head.replace("m1@", f"n{number}@").replace("Re: Saturday", subject)
        (tmp_path / f"{number}.eml").write_text(f"{headers}\n\nHi,\n\n{body}\n\n- Ana\n", encoding="utf-8")
    (tmp_path / "re.eml").write_text(MAIL, encoding="utf-8")
    ana.add([tmp_path / "re.eml", tmp_path / "0.eml", tmp_path / "1.eml"])
    ana.remember("I answer mail only in the evening.")
    return ana


def render(prompt: Prompt) -> str:
    lines = []
    for message in prompt.messages:
        lines += [f"======== {message.role}", message.content, ""]
    lines.append("======== ledger")
    for section in prompt.sections:
        lines.append(f"{section.name:<14}{section.tokens:>5}")
        lines += [f"  {item.tokens:>5}  {item.item}" for item in section.items]
    lines += [f"dropped {d.tokens:>5}  {d.item}: {d.reason}" for d in prompt.dropped]
    return "\n".join([*lines, f"total {prompt.tokens} of {prompt.budget_tokens}", ""])


CASES: dict[str, Callable[[Session], Prompt]] = {
    "ask": lambda s: s.prompt("Which bank did I move my account to?"),
    "ask-german": lambda s: s.prompt("Wo stehen die Tomaten?"),
    "ask-follow-up": lambda s: (
        s.ask("Which bank did I move my account to?", session="s"),
        s.prompt("and why?", session="s"),
    )[1],
    "write": lambda s: s.prompt("Write a short mail to Jo: Saturday does not work", task="write"),
}


@pytest.mark.parametrize("name", CASES)
def test_prompt(name: str, person: Session, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = render(CASES[name](person)).replace(str(tmp_path), "TMP")
    path = HERE / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
