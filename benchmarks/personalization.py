"""What a person's own writing is worth: bits per byte of their real texts, and whose their drafts read like.

    .venv/bin/python benchmarks/personalization.py                         # panza and 20 bloggers
    .venv/bin/python benchmarks/personalization.py --sets panza --limit 5  # a look
    .venv/bin/python benchmarks/personalization.py --parts --plot docs/personalization.png

Panza: real mails of three people; the request is the subject, the example pool their other mails.  Blogs: the
request is the beginning of a post, the example pool the blogger's other posts.  Everything goes through
``Session`` with the starter models and the default settings.  "Somebody else" is another person of the same
set, in turn, so their texts teach the format as well as one's own do.  Homes, scores and drafts are kept
below ``--cache``; a score is reused only for the same model, prompt and text.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final

import common

from ragperso.assemble.templates import one_line, render_request
from ragperso.config import Config
from ragperso.engine import Engine
from ragperso.evaluate import personalization, plot, report
from ragperso.evaluate.authorship import Share
from ragperso.evaluate.personalization import NONE, OTHER, OWN, Drafts, Found, Gains, HeldOut, Subject
from ragperso.metrics import Interval
from ragperso.types import Exemplar

# The bars of issue 4: ratios of bits, and how many times as many drafts must be right.
BARS: Final = {"panza": (0.82, 0.89), "blogs": (0.975, 1.0)}
TWICE: Final = 2.0


class Kept(MutableMapping[str, "float | str"]):
    """Scores and drafts in one SQLite file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        self.n_found = self.n_made = 0

    def __getitem__(self, key: str) -> float | str:
        row = self._db.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        self.n_found += 1
        value: float | str = row[0]
        return value

    def __setitem__(self, key: str, value: float | str) -> None:
        self.n_made += 1
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, value))

    def __delitem__(self, key: str) -> None:
        self._db.execute("DELETE FROM kept WHERE key = ?", (key,))

    def __iter__(self) -> Iterator[str]:
        return (row[0] for row in self._db.execute("SELECT key FROM kept"))

    def __len__(self) -> int:
        n: int = self._db.execute("SELECT count(*) FROM kept").fetchone()[0]
        return n


# ---------------------------------------------------------------- the two sets


def asked_of(name: str, row: dict[str, Any]) -> HeldOut:
    """Return one question of a set as a held-out text."""
    if name == "panza":
        mail = Exemplar(id=row["id"], text="", title=row["text"], register="mail")
        return HeldOut(row["id"], render_request(mail), row["answer"].strip(), "mail")
    request = f"Continue this post: {one_line(row['text'])}"
    return HeldOut(row["id"], request, row["answer"].strip(), "post", is_cut=True)


def load(options: argparse.Namespace, name: str) -> tuple[Path, dict[str, list[HeldOut]]]:
    """Return a file of everybody's example texts, and what is held out of each; only of the chosen people."""
    folder = common.folder_of(options, name)
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        asked = [json.loads(line) for line in lines]
    people = sorted({row["user"] for row in asked})
    chosen = set(people[:: max(1, len(people) // options.people)][: options.people])
    held: defaultdict[str, list[HeldOut]] = defaultdict(list)
    for row in asked:
        if row["user"] in chosen and len(held[row["user"]]) < options.limit:
            held[row["user"]].append(asked_of(name, row))
    pool = options.cache / "sets" / f"personal_{name}.jsonl"
    pool.parent.mkdir(parents=True, exist_ok=True)
    with (folder / "docs.jsonl").open(encoding="utf-8") as lines:
        text = "".join(line for line in lines if json.loads(line)["user"] in chosen)
    if not pool.is_file() or pool.read_text(encoding="utf-8") != text:
        pool.write_text(text, encoding="utf-8")
    return pool, dict(held)


def measure(options: argparse.Namespace, name: str) -> Found:
    """Build what is missing and measure one set."""
    pool, held = load(options, name)
    config = Config().replace({"general.home": str(options.cache / "homes" / f"personal_{name}")})
    config = config.replace(dict(options.set))
    kept = Kept(options.cache / "scores.db")
    with Engine(config=config, embedder=common.starter(options.cache, config)) as engine:
        began = time.perf_counter()
        engine.add_users([pool], "exemplars")
        tell(f"{name}: {len(held)} people, built in {time.perf_counter() - began:.0f} s")
        sessions = {user: engine.session(user, create=False) for user in held}
        subjects = [
            Subject(
                sessions[user],
                tuple(pieces),
                tuple(session for other, session in sessions.items() if other != user),
                name=_short(user, i),
            )
            for i, (user, pieces) in enumerate(held.items(), start=1)
        ]
        found = personalization.measure(
            subjects,
            parts=options.parts,
            n_drafts=options.drafts[name],
            seed=common.SEED,
            memo=kept,
            on_progress=_Progress(name),
        )
    tell(f"{name}: {kept.n_made} scores and drafts made, {kept.n_found} known, {found.seconds:.0f} s")
    return found


def _short(user: str, number: int) -> str:
    """Return a name for the table: of bloggers the ids are numbers with age and sign."""
    return user if "." not in user else f"blogger {number}"


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Progress:
    """Says every half minute how far it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said > 30:
            self._said = time.monotonic()
            tell(f"{self._name}: {done} of {total}")


# ---------------------------------------------------------------- tables


def bits_table(found: Found) -> list[str]:
    rows = [
        [
            name,
            str(gains.n),
            *(f"{gains.bits[kind].mean:.3f}" for kind in (NONE, OTHER, OWN)),
            _interval(gains.own_to_none),
            _interval(gains.own_to_other),
            _interval(gains.other_to_none),
            _percent(gains.below_none),
            _percent(gains.below_other),
        ]
        for name, gains in found.people.items()
    ]
    head = ["", "n", "none", "other's", "own", "own / none", "own / other's", "other's / none"]
    return report.markdown_table([*head, "own < none", "own < other's"], rows)


def drafts_table(found: Found) -> list[str]:
    groups: list[tuple[str, Drafts | None]] = [("all", found.drafts), *found.drafts_by_person.items()]
    rows = [
        [name, *(_share(drafts.right[kind]) for kind in (NONE, OTHER, OWN)), _share(drafts.real)]
        for name, drafts in groups
        if drafts is not None and drafts.right[OWN].n
    ]
    return report.markdown_table(["read like the person", "none", "other's", "own", "real texts"], rows)


def parts_table(found: Found) -> list[str]:
    rows = [
        [worth.part, str(worth.n_changed), _gap(worth.left_out), _gap(worth.alone)] for worth in found.parts
    ]
    return report.markdown_table(["part", "prompts changed", "left out costs", "alone saves"], rows)


def bars(name: str, found: Found) -> list[str]:
    """Return what the issue asks for, each with what was measured."""
    gains: Gains = found.main
    of_none, of_other = BARS[name]
    other = "below it with intervals apart" if of_other == 1.0 else f"<= {of_other:g}"
    is_apart = gains.own_to_other.high < 1 if of_other == 1.0 else gains.own_to_other.mean <= of_other
    none = gains.own_to_none.mean
    lines = [
        f"- own / none <= {of_none:g}: {none:.3f}, {_met(none <= of_none)}",
        f"- own / other's {other}: {gains.own_to_other.mean:.3f} (to {gains.own_to_other.high:.3f}),"
        f" {_met(is_apart)}",
    ]
    if found.drafts is not None and found.drafts.right[OWN].n:
        own, without = found.drafts.right[OWN], found.drafts.right[NONE]
        is_twice = own.n_right >= TWICE * without.n_right and own.n_right > 0
        lines.append(
            f"- authorship with own at least twice as often right as with none: {own.n_right} against"
            f" {without.n_right} of {own.n}, {_met(is_twice)}"
        )
    return lines


def _met(is_met: bool) -> str:
    return "met" if is_met else "**not met**"


def _interval(found: Interval) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _gap(found: Interval | None) -> str:
    return "-" if found is None else f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _percent(found: Share) -> str:
    return f"{100 * found.share:.0f} %"


def _share(found: Share) -> str:
    return f"{found.n_right} of {found.n} [{100 * found.low:.0f}, {100 * found.high:.0f}] %"


def show(name: str, found: Found) -> None:
    print(f"\n### {name}\n")
    print(f"{found.model}; 95 % intervals, over people and then their texts\n")
    print("\n".join(bits_table(found)))
    if found.drafts is not None:
        print(
            f"\nWhose it reads like, by character n-grams; guessing gets {found.drafts.chance:.2f} right:\n"
        )
        print("\n".join(drafts_table(found)))
    if found.parts:
        print(f"\nBits per byte, on {found.n_parts} texts:\n")
        print("\n".join(parts_table(found)))
    print("\n" + "\n".join(bars(name, found)))
    for line in (*personalization.verdict(found), *found.notes):
        print(f"\n> {line}")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> None:
    made = common.parser(__doc__.splitlines()[0])
    made.add_argument("--sets", nargs="+", choices=list(BARS), default=list(BARS))
    made.add_argument("--people", type=int, default=20, help="bloggers")
    made.add_argument("--limit", type=int, default=1_000, help="texts of each person")
    made.add_argument("--drafts", type=int, help="of each person and kind; 0 for none (default: 15 and 3)")
    made.add_argument("--parts", action="store_true", help="also leave each part out")
    made.add_argument("--set", nargs="+", default=[], type=lambda item: tuple(item.split("=", 1)))
    made.add_argument("--plot", type=Path, help="draw the first set")
    options = made.parse_args(words)
    usual = {"panza": 15, "blogs": 3}
    options.drafts = usual if options.drafts is None else dict.fromkeys(usual, options.drafts)
    print(common.describe_run())
    for number, name in enumerate(options.sets):
        found = measure(options, name)
        show(name, found)
        if options.plot is not None and number == 0:
            plot.draw(found, options.plot)


if __name__ == "__main__":
    main()
