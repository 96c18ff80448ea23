"""How people usually write, in numbers, and how well a style card tells authors apart.

    .venv/bin/python benchmarks/style_card.py            # AUC and thresholds, with the shipped background
    .venv/bin/python benchmarks/style_card.py --write    # make ragperso/learn/background.toml anew

The background is counted on 200 bloggers (posts), 3 people's mail and 20 speakers of LoCoMo (chat, written by
models that play people: weak).  Deciles of mail and chat are pulled towards the posts' as if ten more people
had them.  Only numbers are kept.  For the AUC each blogger's posts are halved at random: a card of one half,
posts of the other half against posts of other bloggers.  The background has seen all 200, so for the check
(--check) it is made of one half of the bloggers and tried on the other.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import common
import numpy as np

from ragperso.learn import background, style
from ragperso.learn.habits import (
    AVERAGED,
    COUNTED,
    WORDS,
    Counted,
    Tally,
    Values,
    count,
    tally,
    within,
)

MAX_PIECES: Final = 60  # of one person: nobody outweighs the others
PULL: Final = 10  # people: how strongly the few of mail and chat are pulled towards the posts
WORD_PULL: Final = 3  # the same for words: "thank you" goes with mail more than with a person
SHORT_WORDS: Final = 40  # of the beginnings that stand for short drafts
N_OTHERS: Final = 400
_SPEAKER: Final = re.compile(r"^([^:\n]{1,40}): ")
_PHOTO: Final = re.compile(r"\[shares[^\]\n]{0,500}\]")

People = Mapping[str, Sequence[Counted]]


# ---------------------------------------------------------------- reading


def texts_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield (person, text) of a data set."""
    with (common.DATA / name / "docs.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text, person = row["text"], row["user"]
            if name == "locomo":
                speaker = _SPEAKER.match(text)
                person = f"{person}/{speaker[1]}" if speaker else person
                text = _PHOTO.sub("", text[speaker.end() :] if speaker else text)
            if name == "panza":
                text = text.partition("\n")[2]  # without the subject
            if text.strip():
                yield person, text


def people_of(name: str, register: str, *, least: int = 10) -> People:
    """Return the counted pieces of everyone with at least ten."""
    found: defaultdict[str, list[Counted]] = defaultdict(list)
    for person, text in texts_of(name):
        if len(found[person]) < MAX_PIECES:
            found[person].append(count(text, register, "en"))
    return {person: pieces for person, pieces in found.items() if len(pieces) >= least}


# ---------------------------------------------------------------- the background


def figures_of(people: People) -> tuple[dict[str, list[float]], list[Tally]]:
    """Return the figures of each person by measure."""
    tallies = [tally(pieces) for pieces in people.values()]
    figures: defaultdict[str, list[float]] = defaultdict(list)
    for one in tallies:
        for habit in (*COUNTED, *AVERAGED):
            if one.counts.get(habit.per):
                figures[habit.name].append(one.counts.get(habit.name, 0.0) / one.counts[habit.per])
        figures["sentence_words"].append(one.counts["sentence_words"] / one.counts["sentences"])
    figures["piece_words"] = [float(piece.words) for pieces in people.values() for piece in pieces]
    return dict(figures), tallies


def apart_of(tallies: Sequence[Tally]) -> tuple[Values, Values, Values, Values]:
    """Return mean rates, decile 9, and the variances of square roots between people and between pieces."""
    amounts, bases = np.array([t.amounts for t in tallies]), np.array([t.bases for t in tallies])
    rates = amounts / np.maximum(bases, 1)
    scatter = sum(t.scatter[0] for t in tallies) / np.maximum(sum(t.scatter[1] for t in tallies), 1)
    scatter = np.maximum(scatter, 1e-6)
    pieces = np.array([[t.pieces] for t in tallies])
    chance = (1 / (4 * np.maximum(bases, 1)) + scatter / pieces).mean(axis=0)
    between = np.maximum(np.sqrt(rates).var(axis=0) - chance, 1e-6)
    return rates.mean(axis=0), np.quantile(rates, 0.9, axis=0), between, scatter


def mean_apart(tallies: Sequence[Tally], i: int) -> tuple[float, float]:
    """Return the variance of a mean between people and between pieces of one person."""
    known = [t for t in tallies if t.means[i][1]]
    above, below = (sum(t.mean_scatter[i][k] for t in known) for k in (0, 1))
    scatter = max(above / below, 1e-5)
    means = np.array([t.means[i][0] / t.means[i][1] for t in known])
    habit = AVERAGED[i]
    chance = np.mean(
        [
            within(habit, *t.means[i]) / (t.means[i][1] if habit.name == "sentence_length" else t.words)
            + scatter / t.pieces
            for t in known
        ]
    )
    return max(float(means.var() - chance), 1e-5), scatter


def made(posts: People, others: Mapping[str, People]) -> dict[str, Any]:
    """Return the background as ``background.toml`` has it."""
    figures, tallies = figures_of(posts)
    rates, highs, between, scatter = apart_of(tallies)
    levels: dict[str, dict[str, Any]] = {}
    for i, habit in enumerate(COUNTED):
        levels[habit.name] = {
            "mean": _short(rates[i]),
            "apart": [_short(between[i]), _short(scatter[i])],
            "deciles": _deciles(figures[habit.name]),
        }
    for i, habit in enumerate(AVERAGED):
        levels[habit.name] = {
            "apart": [_short(v) for v in mean_apart(tallies, i)],
            "deciles": _deciles(figures[habit.name]),
        }
    # The corpus has no two blanks anywhere, nor line breaks: that says nothing about people.
    del levels["double_spaces"]["deciles"]
    levels["sentence_words"] = {"deciles": _deciles(figures["sentence_words"])}
    n = len(COUNTED)
    words = {
        word: [_short(x[n + i]) for x in (np.maximum(rates, 1e-6), highs, between, scatter)]
        for i, word in enumerate(WORDS)
    }
    table: dict[str, Any] = {
        "post": {
            "people": len(tallies),
            "words_counted": int(sum(t.words for t in tallies)),
            "habits": levels,
            "words": words,
        }
    }
    for register, people in others.items():
        seen, few = figures_of(people)
        few_rates, few_highs, _, _ = apart_of(few)
        word_weight = len(few) / (len(few) + WORD_PULL)
        rows = {
            word: [
                _short(word_weight * here[n + i] + (1 - word_weight) * max(there[n + i], 1e-6))
                for here, there in ((few_rates, rates), (few_highs, highs))
            ]
            for i, word in enumerate(WORDS)
        }
        weight = len(few) / (len(few) + PULL)
        pulled: dict[str, dict[str, Any]] = {}
        for name, level in levels.items():
            if "deciles" not in level:
                pulled[name] = {"mean": level["mean"]}
                continue
            deciles = [
                weight * a + (1 - weight) * b
                for a, b in zip(_deciles(seen[name]), level["deciles"], strict=True)
            ]
            pulled[name] = {"deciles": [_short(d) for d in deciles]}
            if "mean" in level:
                mean = float(np.mean(seen[name]))
                pulled[name]["mean"] = _short(weight * mean + (1 - weight) * level["mean"])
        pulled["piece_words"] = {"deciles": _deciles(seen["piece_words"])}
        table[register] = {"people": len(few), "habits": pulled, "words": rows}
    return table


def add_formality(table: dict[str, Any], people: Mapping[str, People], path: Path) -> None:
    """Add the deciles of the formality score, which needs the others to be written."""
    write(table, path)
    use(path)
    for register, group in people.items():
        scores = [style.formality_of(tally(pieces)) for pieces in group.values()]
        own = _deciles([s for s in scores if s is not None])
        if register == "post":
            usual = own
        weight = 1.0 if register == "post" else len(group) / (len(group) + PULL)
        deciles = [_short(weight * a + (1 - weight) * b) for a, b in zip(own, usual, strict=True)]
        table[register]["habits"]["formality"] = {"deciles": deciles}
    write(table, path)
    use(path)


def write(table: Mapping[str, Any], path: Path) -> None:
    """Write the background as TOML."""
    lines = [
        "# How people write, in numbers: benchmarks/style_card.py --write, 2026-11.  No text of anyone.",
        "# post: 200 bloggers, at most 60 posts each, of the Blog Authorship Corpus (Schler et al. 2006),",
        "#   English, 2004: dashes and emoji were rarer then than today.",
        "# mail: 3 people (Panza, IST-DASLab).  chat: the speakers of LoCoMo, by models that play people.",
        "#   Both are weak: pulled towards the posts as if ten more people had their deciles (words: three).",
        "# Per word, per sentence or series; deciles 1 to 9 are of people, those of piece_words of pieces.",
        "# apart: variances of square roots of rates (of means: of the mean) between people, and between",
        "#   pieces of one person beyond chance.  words: rate, decile 9 of people, of posts both variances.",
    ]
    for register, told in table.items():
        lines += ["", f"[en.{register}]", f"people = {told['people']}"]
        if "words_counted" in told:
            lines.append(f"words_counted = {told['words_counted']}")
        lines += ["", f"[en.{register}.habits]"]
        for name, level in told["habits"].items():
            inner = ", ".join(f"{key} = {_toml(value)}" for key, value in level.items())
            lines.append(f"{name} = {{ {inner} }}")
        if "words" in told:
            lines += ["", f"[en.{register}.words]"]
            lines += [f'"{word}" = {_toml(row)}' for word, row in told["words"].items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def use(path: Path) -> None:
    """Let the library read another background."""
    background.SHIPPED = path  # type: ignore[misc]
    background.shipped.cache_clear()


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return f"{value:g}"


def _deciles(values: Iterable[float]) -> list[float]:
    return [_short(v) for v in np.quantile(np.array(list(values)), np.arange(1, 10) / 10)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


# ---------------------------------------------------------------- telling authors apart


def auc(own: Values, others: Values) -> float:
    """Return how often an own value is below another's; ties count half."""
    order = np.sort(others)
    below, upto = np.searchsorted(order, own, "left"), np.searchsorted(order, own, "right")
    return float((len(others) - (below + upto) / 2).mean() / len(others))


def beginning(text: str, n_words: int) -> str:
    """Return the first words of a text."""
    words = list(re.finditer(r"\S+", text))
    return text if len(words) <= n_words else text[: words[n_words - 1].end()]


def tell_apart(names: Sequence[str], texts: Mapping[str, Sequence[str]], language: str = "en") -> None:
    """Print how well distance to a card of one half of the posts finds the other half.

    With another ``language`` than English only marks and lengths count, as for one without a background.
    """
    draw = np.random.default_rng(common.SEED)
    cards, held_out = {}, []
    for name in names:
        order = draw.permutation(len(texts[name])).tolist()
        half = len(order) // 2
        cards[name] = style.measure(style.Piece(texts[name][i], "post", "", language) for i in order[:half])
        held_out += [(name, texts[name][i]) for i in order[half:]]
    chosen = [held_out[i] for i in draw.permutation(len(held_out))[:N_OTHERS].tolist()]
    for title, cut in (("whole posts", 10**6), (f"first {SHORT_WORDS} words", SHORT_WORDS)):
        counted = {id(t): count(beginning(t, cut), "post", language) for _, t in [*held_out, *chosen]}
        scores: dict[str, list[tuple[Values, Values]]] = {"overall": [], "likeness": []}
        lengths: list[tuple[int, float, float, bool]] = []
        for name, card in cards.items():
            own = [style.distance_of(counted[id(t)], card) for n, t in held_out if n == name]
            others = [style.distance_of(counted[id(t)], card) for n, t in chosen if n != name]
            own, others = [d for d in own if d.words >= 20], [d for d in others if d.words >= 20]
            if not own:
                continue
            for key, sign in (("overall", 1), ("likeness", -1)):
                pair = [np.array([sign * getattr(d, key) for d in side]) for side in (own, others)]
                scores[key].append((pair[0], pair[1]))
            lengths += [(d.words, d.overall, d.likeness, True) for d in own]
            lengths += [(d.words, d.overall, d.likeness, False) for d in others]
        print(f"\n{title} as {language}, {len(scores['overall'])} people")
        for key, pairs in scores.items():
            each = np.array([auc(a, b) for a, b in pairs])
            spread = 1.96 * each.std() / np.sqrt(len(each))
            print(f"  AUC {key:9s} {each.mean():.3f} +- {spread:.3f}   deciles of people {_deciles(each)}")
        rows = np.array([(a, b, c, float(d)) for a, b, c, d in lengths])
        for low, high in ((20, 60), (60, 150), (150, 10**9)):
            mine = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
            own_rows, other_rows = mine[mine[:, 3] == 1], mine[mine[:, 3] == 0]
            if len(own_rows) < 50:
                continue
            limit, far = np.quantile(own_rows[:, 2], 0.1), np.quantile(own_rows[:, 1], 0.9)
            beyond, below = (other_rows[:, 1] > far).mean(), (other_rows[:, 2] < limit).mean()
            print(
                f"  {low:3d} to {min(high, 9999):4d} words: n {len(own_rows)},"
                f" overall median {np.median(own_rows[:, 1]):.2f}, decile 9 {far:.2f}"
                f" (others beyond {beyond:.0%}),"
                f" likeness decile 1 {limit:.2f} (others below {below:.0%})"
            )


def main() -> None:
    options = common.parser(__doc__ or "")
    options.add_argument("--write", action="store_true", help="make background.toml anew")
    options.add_argument("--check", action="store_true", help="made of half the bloggers, tried on the rest")
    chosen = options.parse_args()
    print(common.describe_run(), flush=True)
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for person, text in texts_of("blogs"):
        if len(texts[person]) < MAX_PIECES:
            texts[person].append(text)
    names = sorted(person for person, own in texts.items() if len(own) >= 10)
    if chosen.write or chosen.check:
        posts = people_of("blogs", "post")
        drawn = set(np.random.default_rng(common.SEED).permutation(names)[: len(names) // 2].tolist())
        if chosen.check:
            posts = {name: pieces for name, pieces in posts.items() if name in drawn}
            names = [name for name in names if name not in drawn]
        others = {"mail": people_of("panza", "mail"), "chat": people_of("locomo", "chat")}
        path = chosen.cache / "half-background.toml" if chosen.check else background.SHIPPED
        path.parent.mkdir(parents=True, exist_ok=True)
        add_formality(made(posts, others), {"post": posts, **others}, path)
    use(background.SHIPPED)
    formality()
    tell_apart(names, texts)
    tell_apart(names, texts, "de")
    speed([text for name in names for text in texts[name]])


def formality() -> None:
    """Print the median score of people by where they write: it should rise from chat to abstracts."""
    print()
    for name, register in (("locomo", "chat"), ("blogs", "post"), ("panza", "mail"), ("scifact", "post")):
        found = [style.formality_of(tally(pieces)) for pieces in people_of(name, register).values()]
        scores = [score for score in found if score is not None]
        print(f"formality, {name}: median {np.median(scores):+.2f} of {len(scores)} people")


def speed(texts: Sequence[str]) -> None:
    """Print how long 500 pieces of 1,000 characters take."""
    pieces = [text[:1000] for text in texts if len(text) >= 1000][:500]
    times = []
    for _ in range(5):
        began = time.perf_counter()
        card = style.measure(pieces)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    for text in pieces[:100]:
        style.distance(text[:250], card)
    each = (time.perf_counter() - began) / 100
    print(
        f"\n{len(pieces)} pieces measured in {np.median(times):.2f} s; a distance takes {1000 * each:.1f} ms"
    )


if __name__ == "__main__":
    main()
