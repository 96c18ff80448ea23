"""Measure what a person's prompt costs cold, warm and restored from disk, and what several people cost.

The starter model, its default settings; prompts of words drawn at random, as reading does not depend on what
they mean.  Cold, restored, warm and the follow-up of a chat alternate in one run; medians of ``--repeats``.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import common
import numpy as np

from ragperso import config as settings
from ragperso import models
from ragperso.config import Config, Generate
from ragperso.evaluate import report
from ragperso.generate import prefixes
from ragperso.generate.llamacpp import LlamaCppGenerator
from ragperso.types import Completion, Message, Prompt

WORDS = (
    "the of and to a in is was we had that it on for with her his they at from garden letter train winter "
    "kitchen doctor money river morning street window brother market station paper number summer answer"
).split()
PREFIX, WHOLE = 1_000, 1_500  # tokens, as the issue has them
ANSWER = 40  # tokens of the answer that a follow-up question follows
WRITTEN = 64  # tokens for each person of a batch
PEOPLE = (1, 2, 4, 8)


def words(random: np.random.Generator, n: int) -> str:
    return " ".join(random.choice(WORDS, n).tolist())


def chat(*messages: Message) -> Prompt:
    return Prompt(tuple(messages), (), (), 0, 0, "")


class Texts:
    """A person's prompt of 1,500 tokens, the first 1,000 of which stay the same; each common word is one."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self.system = Message("system", words(random, PREFIX - 10))

    def asked(self) -> Prompt:
        return chat(self.system, Message("user", words(self._random, WHOLE - PREFIX - 10)))


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def verdict(value: float, bar: float, *, at_most: bool = True) -> str:
    is_met = value <= bar if at_most else value >= bar
    return f"{'<=' if at_most else '>='} {bar:g}: {'met' if is_met else 'missed'}"


def first_token(generator: LlamaCppGenerator, prompt: Prompt, owner: str, max_tokens: int = 1) -> Completion:
    return generator.generate(prompt, owner=owner, max_tokens=max_tokens)


def measure_reuse(path: Path, chosen: argparse.Namespace, home: Path) -> list[list[str]]:
    """One sequence only, so that whoever comes next evicts who was there."""
    made = Generate(threads=chosen.threads, prefix_cache=128_000_000)
    generator = LlamaCppGenerator(
        path, made, cache_dir=settings.models_of(Config()), prefixes=lambda owner: home / owner / "kv"
    )
    generator.count(["load"])
    restoring: list[float] = []
    restore = prefixes.Slots._restore

    def timed(*args: object) -> None:
        started = time.perf_counter()
        restore(*args)  # type: ignore[arg-type]
        restoring.append(1000 * (time.perf_counter() - started))

    prefixes.Slots._restore = timed  # type: ignore[method-assign,assignment]
    random = np.random.default_rng(common.SEED)
    times: dict[str, list[float]] = {
        "cold": [],
        "restored": [],
        "warm": [],
        "follow-up": [],
        "follow-up cold": [],
    }
    counts: dict[str, tuple[int, int]] = {}
    restored_ms: list[float] = []
    sizes: list[int] = []
    try:
        first_token(generator, chat(Message("user", "Hello.")), "nobody")
        generator._ready()._most = 1  # as `generate.sequences = 1`
        for i in range(chosen.repeats):
            owner, texts = f"p{i}", Texts(random)
            (home / owner).mkdir()
            asked = texts.asked()
            answered = first_token(generator, asked, owner, ANSWER)
            times["cold"].append(answered.first_token_ms)
            counts["cold"] = (answered.prompt_tokens, answered.cached_tokens)
            more = chat(
                *asked.messages, Message("assistant", answered.text), Message("user", words(random, 20))
            )
            done = first_token(generator, more, owner)
            times["follow-up"].append(done.first_token_ms)
            counts["follow-up"] = (done.prompt_tokens, done.cached_tokens)
            again = first_token(generator, texts.asked(), owner)  # the chat's prefix goes to its own file
            times["warm"].append(again.first_token_ms)
            counts["warm"] = (again.prompt_tokens, again.cached_tokens)
            first_token(generator, chat(Message("user", "Hello.")), "nobody")
            sizes.append(max(file.stat().st_size for file in (home / owner / "kv").iterdir()))
            restoring.clear()
            back = first_token(generator, texts.asked(), owner)
            times["restored"].append(back.first_token_ms)
            restored_ms.append(max(restoring))
            counts["restored"] = (back.prompt_tokens, back.cached_tokens)
            generator.forget(owner)
            times["follow-up cold"].append(first_token(generator, more, owner).first_token_ms)
            generator.forget(owner)
    finally:
        prefixes.Slots._restore = restore  # type: ignore[method-assign]
        generator.close()
    ms = {name: median(values) for name, values in times.items()}
    reading = ms["cold"] - ms["warm"]  # what reading the prefix takes
    rows = [["cold", *counts["cold"], ms["cold"], 1.0, ""]]
    for name in ("warm", "restored"):
        ratio = median([a / b for a, b in zip(times[name], times["cold"], strict=True)])
        rows.append([name, *counts[name], ms[name], ratio, verdict(ratio, 0.45)])
    share = median(restored_ms) / reading
    rows.append(
        [f"restoring ({sizes[-1] / 1e6:.0f} MB)", "", "", median(restored_ms), share, verdict(share, 0.01)]
    )
    ratio = median([a / b for a, b in zip(times["follow-up"], times["follow-up cold"], strict=True)])
    rows.append(["follow-up cold", counts["follow-up"][0], 0, ms["follow-up cold"], 1.0, ""])
    rows.append(["follow-up", *counts["follow-up"], ms["follow-up"], ratio, verdict(ratio, 0.2)])
    return [[*map(str, row[:3]), f"{row[3]:.0f}", f"{row[4]:.3f}", str(row[5])] for row in rows]


def measure_batches(path: Path, chosen: argparse.Namespace) -> list[list[str]]:
    """Everybody's prompt is warm, and nobody's text ends before it has its tokens."""
    made = replace(Generate(threads=chosen.threads), context_tokens=512)
    generator = LlamaCppGenerator(path, made, cache_dir=settings.models_of(Config()))
    generator.count(["load"])
    model = generator._engine.model
    assert model is not None
    model.is_end = lambda token: False  # type: ignore[method-assign]
    random = np.random.default_rng(common.SEED)
    go_on = Message("user", "Go on.")  # all that is read again
    prompts = {f"p{i}": chat(Message("system", words(random, 120)), go_on) for i in range(max(PEOPLE))}
    speeds: dict[int, list[float]] = {n: [] for n in PEOPLE}
    spent: dict[int, list[float]] = {n: [] for n in PEOPLE}
    try:
        first_token(generator, prompts["p0"], "p0")
        generator._ready()._most = max(PEOPLE)  # as `generate.sequences = 8`
        alone = {
            owner: first_token(generator, prompt, owner, WRITTEN).text for owner, prompt in prompts.items()
        }
        n_same = n_all = 0
        for _ in range(chosen.repeats):
            for n in PEOPLE:
                owners = list(prompts)[:n]
                found: dict[str, str] = {}

                def write(owner: str, found: dict[str, str] = found) -> None:
                    found[owner] = first_token(generator, prompts[owner], owner, WRITTEN).text

                threads = [threading.Thread(target=write, args=(owner,)) for owner in owners]
                started, spent_before = time.perf_counter(), time.process_time()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                speeds[n].append(n * WRITTEN / (time.perf_counter() - started))
                spent[n].append(1000 * (time.process_time() - spent_before) / (n * WRITTEN))
                n_same += sum(found[owner] == alone[owner] for owner in owners)
                n_all += n
    finally:
        generator.close()
    rows = []
    for n in PEOPLE:
        ratio = median([a / b for a, b in zip(speeds[n], speeds[1], strict=True)])
        bar = verdict(ratio, 1.7, at_most=False) if n == max(PEOPLE) else ""
        rows.append([str(n), f"{median(speeds[n]):.0f}", f"{ratio:.2f}", f"{median(spent[n]):.1f}", bar])
    rows.append(["same text as alone", f"{n_same} of {n_all}", "", "", ""])
    return rows


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=0, help="generate.threads")
    options.add_argument("--only", choices=("reuse", "batches"))
    chosen = options.parse_args()
    path = models.resolve("starter", "generator", settings.models_of(Config())).path
    print(common.describe_run(), "\n")
    if chosen.only != "batches":
        with tempfile.TemporaryDirectory() as home:
            rows = measure_reuse(path, chosen, Path(home))
        head = ["first token", "prompt tokens", "of them kept", "ms", "ratio", "bar"]
        print("\n".join(report.markdown_table(head, rows)))
        print("\nRatios to cold in the same round; restoring as a share of reading the prefix.\n")
    if chosen.only != "reuse":
        rows = measure_batches(path, chosen)
        print(
            "\n".join(
                report.markdown_table(
                    ["people", "tokens/s together", "to one", "CPU ms a token", "bar"], rows
                )
            )
        )


if __name__ == "__main__":
    main()
