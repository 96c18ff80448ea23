"""Run every benchmark of speed, one after the other, and put their bars into one table.

    .venv/bin/python benchmarks/speed.py                 # prints; about half an hour on two quiet cores
    .venv/bin/python benchmarks/speed.py --write         # also into benchmarks/SPEED.md
    .venv/bin/python benchmarks/speed.py --only cold ingest

Each command runs in a process of its own and prints its own tables; a line that names a bar says ``met`` or
``not met`` and is repeated in the summary.  A command that fails is named with its last line.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import common

HERE: Final = Path(__file__).resolve().parent
COMMANDS: Final = {
    "ingest": "ingest.py --incremental",
    "cold": "cold.py",
    "latency": "latency.py --queries 100",
    "growth": "growth.py",
    "people": "many_people.py",
    "generation": "generation.py",
    "assembly": "assembly.py",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command printed and how it ended."""

    name: str
    command: str
    output: str
    seconds: float
    error: str = ""

    @property
    def bars(self) -> list[str]:
        """The lines that say whether a bar is met."""
        return [line for line in self.output.splitlines() if line.rstrip(" |").endswith(("met", "met**"))]


def run(name: str) -> Ran:
    words = shlex.split(COMMANDS[name])
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(HERE / words[0]), *words[1:]], capture_output=True, text=True, cwd=HERE.parent
    )
    spent = time.perf_counter() - started
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    error = "" if done.returncode == 0 else f"ended with {done.returncode}: {lines[-1]}"
    return Ran(name, f"python benchmarks/{COMMANDS[name]}", done.stdout.strip(), spent, error)


def told(runs: list[Ran]) -> str:
    """Return the whole report in Markdown: the summary, then what each command printed."""
    lines = ["# Speed", "", common.describe_run(), "", "| measured | bar and figure |", "|---|---|"]
    for ran in runs:
        for bar in ran.bars or [ran.error or "no bar"]:
            lines.append(
                f"| {ran.name} | {' · '.join(c.strip() for c in bar.strip('|- ').split('|') if c.strip())} |"
            )
    for ran in runs:
        body = ran.output.partition("\n")[2].strip() if ran.output.startswith("AMD") else ran.output
        lines += ["", f"## {ran.name}", "", f"`{ran.command}`, {ran.seconds:.0f} s", "", body or ran.error]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = common.parser(__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    runs = []
    for name in chosen.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        runs.append(run(name))
    text = told(runs)
    print(text)
    if chosen.write:
        (HERE / "SPEED.md").write_text(text, encoding="utf-8")
    if any(ran.error for ran in runs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
