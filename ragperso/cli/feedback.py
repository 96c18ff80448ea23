"""Surface: ``ragperso feedback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from ragperso.cli import screen
from ragperso.cli.common import App, Command, text_or_stdin

if TYPE_CHECKING:
    from ragperso.learn.weights import Arm, Learned, Weights

_SHOWN_ARMS = 12  # of each group
_NAMES = {"passages": "where passages come from", "exemplars": "which exemplars are shown"}


@click.command("feedback", cls=Command)
@click.argument("interaction", metavar="[ID]", required=False)
@click.argument("verdict", metavar="[good|bad]", required=False, type=click.Choice(["good", "bad"]))
@click.option(
    "--edit", "edited", metavar="TEXT", help="The answer as you would have written it; - reads stdin."
)
@click.option(
    "--followed", "labels", metavar="LABEL", multiple=True, help="A citation you opened; repeatable."
)
@click.option("--undo", is_flag=True, help="Take back the last mark of ID, or the last --reset.")
@click.option("--weights", "shows_weights", is_flag=True, help="What your marks taught, and from how many.")
@click.option("--reset", is_flag=True, help="Let the marks so far count no more; --reset --undo brings back.")
@click.pass_obj
def command(
    app: App,
    interaction: str | None,
    verdict: Literal["good", "bad"] | None,
    edited: str | None,
    labels: tuple[str, ...],
    undo: bool,
    shows_weights: bool,
    reset: bool,
) -> None:
    """Mark an answer good or bad, give your own version, or say which citations you opened.

    ID stands below every answer. Your own version, and a draft you call good, becomes an example of how you
    say things. Marks move what is found and shown a little, for you alone.
    """
    labels = tuple(label.strip().strip("[]") for label in labels)
    about_all = shows_weights or reset
    if about_all != (interaction is None) or (shows_weights and (reset or undo)):
        raise click.UsageError("say an ID and what you think of it, or --weights, or --reset, alone")
    told = [verdict is not None, edited is not None, bool(labels), undo]
    if about_all and any(told[:3]):
        raise click.UsageError("--weights and --reset are about all marks")
    if interaction is not None and sum(told) != 1:
        raise click.UsageError("say good, bad, --edit TEXT, --followed LABEL or --undo")
    session = app.session()
    if shows_weights:
        _show(app, session.weights())
    elif reset:
        since = session.reset_weights(undo=undo)
        _say(app, {"marks_count_from": since.isoformat() if since else None}, _counted(since is None))
    elif interaction is not None and undo:
        gone = session.undo_feedback(interaction)
        taken = gone.verdict if gone is not None else None
        _say(app, {"interaction": interaction, "taken_back": taken}, f"taken back: {taken or 'nothing'}")
    elif interaction is not None:
        said: Literal["good", "bad", "edited", "followed"]
        said = verdict or ("followed" if labels else "edited")
        text = text_or_stdin(edited, "the edited answer") if edited is not None else ""
        session.feedback(interaction, said, text, labels=labels)
        _say(app, {"interaction": interaction, "verdict": said}, f"noted: {said}")


def _counted(all_count: bool) -> str:
    return (
        "all marks count" if all_count else "the marks so far count no more; --reset --undo brings them back"
    )


def _say(app: App, data: dict[str, object], text: str) -> None:
    if app.json:
        screen.put_json(data)
    else:
        screen.put(text)


def _show(app: App, weights: Weights) -> None:
    if app.json:
        screen.put_json({"groups": [_shape(group) for group in weights.learned]})
        return
    for number, group in enumerate(weights.learned):
        if number:
            screen.put()
        state = "in force" if group.is_in_force else "neutral"
        screen.put(f"{_NAMES[group.group]}: {state}")
        screen.put(screen.fill([(group.reason, "dim")], indent="  ", first="  "))
        if group.is_in_force:
            for arm in group.arms[:_SHOWN_ARMS]:
                if arm.name in weights.values:
                    screen.put(f"  {_words(arm)}")


def _words(arm: Arm) -> str:
    """Return one arm as a line: by how much, what, and on what evidence."""
    kind, _, name = arm.name.partition(":")
    good = f"{arm.n_good / arm.n_marks:.0%} good of {screen.plural(round(arm.n_marks), 'mark')}"
    return f"{arm.weight:+.2f}  {kind} {screen.line(name)}  ({good})"


def _shape(group: Learned) -> dict[str, object]:
    return {
        "group": group.group,
        "in_force": group.is_in_force,
        "reason": group.reason,
        "marks": group.n_marks,
        "gain": round(group.gain, 4),
        "gain_se": round(group.gain_se, 4) if group.gain_se < 1e9 else None,
        "arms": [
            {
                "arm": a.name,
                "weight": round(a.weight, 4),
                "marks": round(a.n_marks, 2),
                "good": round(a.n_good, 2),
            }
            for a in group.arms
        ],
    }
