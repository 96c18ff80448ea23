"""Surface: ``ragperso eval personalization``: does it help the person it serves?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from ragperso.cli import progress, screen
from ragperso.cli.common import App, Command
from ragperso.engine import Engine, Session
from ragperso.errors import MissingExtra, NotEnoughData
from ragperso.evaluate import personalization, plot
from ragperso.evaluate.authorship import Share
from ragperso.evaluate.personalization import ALL, NONE, OTHER, OWN, Found, Gains, Subject
from ragperso.metrics import Interval

_CALLED: Final = {OWN: "own", OTHER: "somebody else's", NONE: "none"}


@click.command("personalization", cls=Command)
@click.option(
    "--pieces",
    metavar="N",
    type=click.IntRange(personalization.MIN_PIECES),
    default=personalization.PIECES,
    help=f"Hold out N pieces of each person, default {personalization.PIECES}.",
)
@click.option(
    "--other",
    "others",
    metavar="NAME",
    multiple=True,
    help="Compare with this person of the home; repeatable. Default: the bundled sample people.",
)
@click.option("--everyone", is_flag=True, help="Measure all people of the home, each against the others.")
@click.option(
    "--drafts",
    metavar="N",
    type=click.IntRange(1),
    default=personalization.DRAFTS,
    help=f"Whose are they? N drafts of each kind, default {personalization.DRAFTS}.",
)
@click.option("--no-drafts", is_flag=True, help="Write no drafts.")
@click.option("--no-parts", is_flag=True, help="Do not measure what each part is worth.")
@click.option(
    "--minutes",
    metavar="N",
    type=click.FloatRange(0, min_open=True),
    default=personalization.MINUTES,
    help=f"Begin nothing new after that, default {personalization.MINUTES:g}; says what was left out.",
)
@click.option(
    "--plot", "picture", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG."
)
@click.option("--seed", metavar="N", type=int, default=0, help="Of the choice of pieces and the intervals.")
@click.pass_obj
def command(
    app: App,
    pieces: int,
    others: Sequence[str],
    everyone: bool,
    drafts: int,
    no_drafts: bool,
    no_parts: bool,
    minutes: float,
    picture: Path | None,
    seed: int,
) -> None:
    """Measure what personalization is worth to you.

    Some pieces of your own writing are hidden, and the local model has to predict them: with the rest of your
    writing, with none, with somebody else's. The fewer bits it needs, the more the prompt knew. A classifier
    then says whom drafts read like. Nothing is recorded and nothing leaves the machine.

    A folder of that name is measured by ragperso eval ./personalization.
    """
    engine = app.engine()
    with _subjects(app, engine, pieces, others, everyone, seed) as subjects:
        screen.say(_plan(subjects, minutes))
        with progress.counted("measuring") as tell:
            found = personalization.measure(
                subjects,
                parts=not no_parts,
                n_drafts=0 if no_drafts else drafts,
                budget_s=60 * minutes,
                seed=seed,
                on_progress=tell,
            )
    if app.json:
        screen.put_json(personalization.as_json(found))
    else:
        screen.put(as_text(found))
    if picture is not None:
        _draw(found, picture)


def _draw(found: Found, picture: Path) -> None:
    try:
        plot.draw(found, picture)
    except MissingExtra as exc:
        # The figures stand above: minutes of measuring are not lost to a picture.
        screen.say(f"no picture: {exc.message}")
        raise
    screen.say(f"drawn to {screen.line(str(picture))}")


@contextlib.contextmanager
def _subjects(
    app: App, engine: Engine, n: int, others: Sequence[str], everyone: bool, seed: int
) -> Iterator[list[Subject]]:
    """Yield whom to measure against whom."""
    if everyone and others:
        raise click.UsageError("--everyone compares each person with all the others: it takes no --other")
    engine.scorer  # noqa: B018  (a backend that cannot score is refused before people are built)
    if everyone:
        yield _everyone(engine, n, seed)
        return
    session = app.session()
    if str(session.user) in others:
        raise click.UsageError("--other is somebody else than --user")
    held = personalization.held_out(session, n, seed=seed)
    if others:
        named = tuple(engine.session(name, create=False) for name in dict.fromkeys(others))
        yield [Subject(session, held, named)]
        return
    screen.say("building the sample people to compare with ...")
    with personalization.sample_people(engine) as people:
        yield [Subject(session, held, people)]


def _everyone(engine: Engine, n: int, seed: int) -> list[Subject]:
    sessions: list[Session] = []
    held = {}
    for name in engine.users():
        session = engine.session(name, create=False)
        try:
            held[name] = personalization.held_out(session, n, seed=seed)
        except NotEnoughData as exc:
            screen.say(f"left out: {screen.line(exc.message)}")
        else:
            sessions.append(session)
    if len(sessions) < 2:
        raise NotEnoughData(
            "--everyone needs two people with writing to hold out",
            hint="ragperso eval personalization   (compares one person with the sample people)",
        )
    return [
        Subject(one, held[one.user], tuple(other for other in sessions if other is not one))
        for one in sessions
    ]


def _plan(subjects: Sequence[Subject], minutes: float) -> str:
    n = sum(len(subject.pieces) for subject in subjects)
    who = screen.line(subjects[0].label) if len(subjects) == 1 else screen.plural(len(subjects), "person")
    others = ", ".join(screen.line(str(other.user)) for other in subjects[0].others[:4])
    against = f" against {others}" if len(subjects) == 1 else ""
    return f"{screen.plural(n, 'piece')} of {who} held out{against}; at most about {minutes:g} min"


# ---------------------------------------------------------------- the screen


def as_text(found: Found) -> str:
    """Return what was found: the sentences first, the tables behind them."""
    blocks = [
        "\n".join(
            screen.fill([(said, "bold" if i == 0 else "")])
            for i, said in enumerate(personalization.verdict(found))
        )
    ]
    blocks.append(_bits_table(found))
    if found.drafts is not None and found.drafts.right[OWN].n:
        blocks.append(_drafts_table(found))
    if any(worth.n_changed for worth in found.parts):
        blocks.append(_parts_table(found))
    if found.fit is not None:
        fit = found.fit
        told = (
            f"with the text itself in reach own saves {_percents(fit.seen)}, held out"
            f" {_percents(fit.held_out)}: {'' if fit.is_overfitted else 'no sign of '}overfitting"
        )
        blocks.append(screen.fill([(told, "")]))
    blocks.append("\n".join(screen.paint(screen.fill([(line, "")]), "dim") for line in _footer(found)))
    return "\n\n".join(blocks)


def _bits_table(found: Found) -> str:
    rows = []
    for name, gains in found.people.items():
        who = "all together" if name == ALL else screen.line(name)
        rows.append(
            [
                screen.cut(who, 20),
                str(gains.n),
                *(f"{gains.bits[kind].mean:.3f}" for kind in (NONE, OTHER, OWN)),
                _saved(gains.own_to_none),
                _saved(gains.own_to_other),
            ]
        )
    head = ["bits per byte", "texts", "none", "other", "own", "saves % of none", "of other's"]
    return screen.table(rows, head=head, right=[1, 2, 3, 4]) + "\n" + _below(found.main)


def _below(gains: Gains) -> str:
    none, other = gains.below_none, gains.below_other
    told = (
        f"own needs fewer bits than none in {none.n_right} of {none.n} texts [{_range(none)}],"
        f" than somebody else's in {other.n_right} [{_range(other)}]"
    )
    return screen.fill([(told, "")])


def _drafts_table(found: Found) -> str:
    rows = []
    groups = [("all together", found.drafts)] if len(found.drafts_by_person) > 1 else []
    groups += [(screen.line(name), drafts) for name, drafts in found.drafts_by_person.items()]
    for who, drafts in groups:
        if drafts is not None:
            rows.append(
                [
                    screen.cut(who, 20),
                    *(_part(drafts.right[kind]) for kind in (NONE, OTHER, OWN)),
                    _part(drafts.real),
                ]
            )
    return screen.table(rows, head=["reads like them", "none", "other", "own", "real texts"])


def _parts_table(found: Found) -> str:
    rows = []
    for worth in found.parts:
        if worth.left_out is None or worth.alone is None:
            rows.append([worth.part, "0", "in no prompt", ""])
        else:
            rows.append([worth.part, str(worth.n_changed), _interval(worth.left_out), _interval(worth.alone)])
    head = ["worth in bits", "prompts", "left out costs", "alone saves"]
    return screen.table(rows, head=head, right=[1])


def _footer(found: Found) -> list[str]:
    told = [
        f"{found.model}; in brackets 95 % intervals, by bootstrap over texts and of shares by Wilson"
        f"; compared with {', '.join(screen.line(name) for name in found.others[:6])}"
        f"; {screen.duration(1000 * found.seconds)}"
    ]
    if found.n_cut:
        n_cut = screen.plural(found.n_cut, "piece")
        told.append(f"{n_cut} had no request: the beginning was given, the rest predicted")
    return told + list(found.notes)


def _interval(found: Interval) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _saved(ratio: Interval) -> str:
    """Return a ratio of bits as the percentage that is saved."""
    return f"{100 * (1 - ratio.mean):.1f} [{100 * (1 - ratio.high):.1f}, {100 * (1 - ratio.low):.1f}]"


def _percents(gain: Interval) -> str:
    return f"{100 * gain.mean:.1f} % [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def _part(found: Share) -> str:
    if not found.n:
        return "-"
    return f"{found.n_right}/{found.n} [{_range(found)}]"


def _range(found: Share) -> str:
    return f"{100 * found.low:.0f}-{100 * found.high:.0f} %"
