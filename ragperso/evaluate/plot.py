"""Surface, evaluate: what personalization gives as a picture that needs no statistics.

In: a :class:`~ragperso.evaluate.personalization.Found`.  Out: a PNG.
Never: computes a figure, imports matplotlib before it draws.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ragperso.errors import MissingExtra
from ragperso.evaluate.personalization import ALL, NONE, OTHER, OWN, Found, Gains
from ragperso.files import write_atomically

MAX_PEOPLE: Final = 12  # more bars than that nobody reads: the rest are in the average
_COLOURS: Final = {NONE: "#c9ced6", OTHER: "#e0a458", OWN: "#2a6f97"}
_LABELS: Final = {
    NONE: "no personal writing",
    OTHER: "somebody else's writing",
    OWN: "the person's own writing",
}
_INK: Final = "#22303c"
_SOFT: Final = "#6b7785"


def draw(found: Found, path: Path, *, names: Sequence[str] = ()) -> None:
    """Write the picture to ``path``; ``names`` replaces the people's names, in their order.

    Raises: MissingExtra without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra("matplotlib", "bench", stage="evaluate") from exc

    people = list(found.people.items())
    shown = people[: MAX_PEOPLE + (people[0][0] == ALL)]
    labels = _names(shown, names)
    with rc_context({"font.family": "sans-serif", "font.size": 11, "text.color": _INK}):
        # Made without pyplot, which would keep a reference to every figure and may want a display.
        figure = Figure(figsize=(9, 2.5 + 0.95 * len(shown)), dpi=130, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _bars(axes, [gains for _, gains in shown], labels)
        _words(figure, axes, found, n_left_out=len(people) - len(shown))
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
    write_atomically(path, drawn.getvalue())


def title(found: Found) -> str:
    """Return the one sentence that the picture shows."""
    gains = found.main
    own, other = 1 - gains.own_to_none.mean, 1 - gains.other_to_none.mean
    several = len(found.people) > 1
    whose = "People's own writing" if several else "Your own writing"
    texts = "their real texts" if several else "your real texts"
    if round(100 * own) <= 0:
        return f"{whose} does not help the model predict {texts}"
    if gains.own_to_other.high >= 1:
        rest = "but so might anybody's"
    elif round(100 * other) <= 0:
        rest = "somebody else's does not help"
    else:
        rest = f"somebody else's only {100 * other:.0f} %"
    return f"{whose} makes {texts} {100 * own:.0f} % easier to predict, {rest}"


def _names(shown: Sequence[tuple[str, Gains]], names: Sequence[str]) -> list[str]:
    given = list(names)
    labels = []
    for name, gains in shown:
        if name == ALL:
            labels.append(f"all together\n{gains.n} texts")
        else:
            called = given.pop(0) if given else name
            labels.append(f"{called[:24]}\n{gains.n} texts")
    return labels


def _bars(axes: Any, shown: Sequence[Gains], labels: Sequence[str]) -> None:
    """Draw three bars per person, own writing lowest, with the number at the end of each.

    In percent of what the same text needs without: bits per byte differ more between texts than between
    conditions, so intervals of plain bits would overlap where every single text has become easier.
    """
    height = 0.27
    right = 1.0
    for row, gains in enumerate(shown):
        ratios = ((NONE, None), (OTHER, gains.other_to_none), (OWN, gains.own_to_none))
        for place, (name, ratio) in enumerate(ratios):
            y = row + (place - 1) * height
            length = 1.0 if ratio is None else ratio.mean
            label = _LABELS[name] if row == 0 else ""
            axes.barh(y, length, 0.9 * height, color=_COLOURS[name], label=label)
            inside = length
            if ratio is not None:
                axes.plot([ratio.low, ratio.high], [y, y], color=_INK, linewidth=1.4, solid_capstyle="butt")
                inside, right = min(ratio.low, length), max(right, ratio.high)
            is_own = name == OWN
            axes.text(
                inside - 0.01, y, f"{100 * length:.0f} %", ha="right", va="center", fontsize=11,
                color="white" if is_own else _INK, fontweight="bold" if is_own else "normal",
            )  # fmt: skip
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, right + 0.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.axvline(1, color=_SOFT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)


def _words(figure: Any, axes: Any, found: Found, *, n_left_out: int) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT)
    axes.tick_params(axis="y", length=0, colors=_INK)
    axes.tick_params(axis="x", colors=_SOFT)
    axes.set_xlabel("what the model still has to guess of the real text; shorter is better", color=_SOFT)
    tall = figure.get_figheight()
    figure.subplots_adjust(left=0.16, right=0.97, top=1 - 1.25 / tall, bottom=1.12 / tall)
    headline = title(found).replace(", ", ",\n")
    figure.text(0.03, 1 - 0.45 / tall, headline, fontsize=13.5, fontweight="bold", va="center")
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, borderaxespad=0.2,
        handlelength=1.1, columnspacing=1.6, fontsize=10.5,
    )  # fmt: skip
    small = (
        f"{found.main.n} real texts, each hidden from the model ({found.model}). Counted in bits;"
        " 100 % is the model without any\npersonal writing. Thin lines: where the average lies with 95 %"
        " certainty."
    )
    if n_left_out:
        small += f" {n_left_out} more people are in the average only."
    figure.text(0.03, 0.25 / tall, small, fontsize=9, color=_SOFT, va="center")
