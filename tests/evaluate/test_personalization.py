"""``ragperso eval personalization``: own writing against none and somebody else's, on what is held out."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from ragperso.cli import cli
from ragperso.cli.eval_personalization import as_text
from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.errors import ConfigError, MissingExtra, NotEnoughData
from ragperso.evaluate import personalization, plot
from ragperso.evaluate.authorship import share
from ragperso.evaluate.personalization import (
    NONE,
    OTHER,
    OWN,
    Drafts,
    Fit,
    Found,
    Gains,
    HeldOut,
    Subject,
    Worth,
    clustered,
    cut_at,
    held_out,
    measure,
    verdict,
)
from ragperso.metrics import Interval
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import PERSONAL_PARTS, Message, Scored

THINGS = (
    "ladder", "kettle", "saddle", "window", "garden", "engine", "basket", "mirror", "carpet", "hammer",
    "lantern", "bucket", "violin", "pillow",
)  # fmt: skip


def loud(thing: str) -> str:
    return (
        f"Heya!! About the {thing}!! It is totally broken, like TOTALLY!! Come round and see it!!"
        " Bring cake!! And the dog!! xoxo, Ana!!"
    )


def calm(thing: str) -> str:
    return (
        f"Dear colleagues, with regard to the {thing} I should like to observe that it remains in good order;"
        " no further steps are required. Respectfully, B. Ferrand"
    )


class PromptScorer(EchoGenerator):
    """A real, tiny language model: letters given the two before them, counted in the prompt it is given.

    Add-one over 256 bytes, so every text has a finite likelihood and a prompt that says nothing costs 8 bits.
    ``n_scored`` counts the calls that reached it.
    """

    def __init__(self) -> None:
        super().__init__(100_000)
        self.n_scored = 0
        self.owners: set[str] = set()

    def score(self, messages: Sequence[Message], text: str, *, owner: str) -> Scored:
        self.n_scored += 1
        self.owners.add(owner)
        seen = "\n".join(message.content for message in messages).encode()
        pairs = Counter(seen[i : i + 2] for i in range(len(seen)))
        triples = Counter(seen[i : i + 3] for i in range(len(seen) - 2))
        body = b"\n\n" + text.encode()
        logprobs = [
            math.log((triples[body[i : i + 3]] * 20 + 1) / (pairs[body[i : i + 2]] * 20 + 256))
            for i in range(len(body) - 2)
        ]
        return Scored(tuple(logprobs), len(body) - 2)


@pytest.fixture
def scorer() -> PromptScorer:
    return PromptScorer()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def pair(home: Path, tmp_path: Path, scorer: PromptScorer, clock: Callable) -> tuple[Session, Session]:  # type: ignore[type-arg]
    """Ana, who is loud, and Ben, who is calm, with fourteen pieces of their own writing each."""
    engine = Engine(home, config=Config(), embedder=HashEmbedder(), generator=scorer, now=clock)
    found = []
    for user, write in (("ana", loud), ("ben", calm)):
        rows = [{"id": f"{user}-{thing}", "text": write(thing)} for thing in THINGS]
        path = tmp_path / f"{user}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        session = engine.session(user)
        session.add([path], "exemplars")
        found.append(session)
    return found[0], found[1]


# ---------------------------------------------------------------- what is held out


def test_held_out_pieces_are_hidden_from_their_own_prompt(pair: tuple[Session, Session]) -> None:
    ana, _ = pair
    pieces = held_out(ana, 8, seed=1)
    assert len({piece.id for piece in pieces}) == 8
    for piece in pieces:
        assert piece.is_cut  # nothing is known that asked for it
        messages = personalization.prompt_of(ana, piece).messages
        thing = piece.id.removeprefix("ana-")
        assert thing in messages[-1].content
        shown = " ".join(message.content for message in messages[:-1])
        assert "Heya" in shown  # other pieces are there
        assert f"About the {thing}" not in shown
        seen = personalization.prompt_of(ana, piece, hold_out=False).messages[:-1]
        assert f"About the {thing}" in " ".join(message.content for message in seen)


def test_a_document_that_quotes_a_piece_is_hidden_with_it(
    pair: tuple[Session, Session], tmp_path: Path
) -> None:
    ana, _ = pair
    quoting = tmp_path / "answer.md"
    quoting.write_text(f"Ben sent this back:\n\n{loud('kettle')}\n\nWhat a letter.", encoding="utf-8")
    unrelated = tmp_path / "kettle-manual.md"
    unrelated.write_text("About the kettle: fill it, switch it on, wait three minutes.", encoding="utf-8")
    ana.add([quoting, unrelated])
    (piece,) = (one for one in held_out(ana, 14) if one.id == "ana-kettle")
    hidden = {Path(key).name for key in piece.hide}
    assert "answer.md" in hidden
    assert "kettle-manual.md" not in hidden
    assert "ana-kettle" in hidden
    assert "ana-ladder" not in hidden  # "It is totally broken" stands in every piece: that is her manner


def test_the_same_seed_holds_out_the_same(pair: tuple[Session, Session]) -> None:
    ana, _ = pair
    assert held_out(ana, 8, seed=3) == held_out(ana, 8, seed=3)
    assert {p.id for p in held_out(ana, 8, seed=3)} != {p.id for p in held_out(ana, 8, seed=4)}


def test_too_few_pieces_say_what_helps(engine: Engine, tmp_path: Path) -> None:
    session = engine.session("cleo")
    path = tmp_path / "one.txt"
    path.write_text(loud("ladder"), encoding="utf-8")
    session.add([path], "exemplars")
    with pytest.raises(NotEnoughData, match="at least 8") as caught:
        held_out(session, 12)
    assert caught.value.hint.startswith("ragperso add --corpus exemplars PATH --user cleo")


def test_a_beginning_ends_behind_a_sentence_where_one_ends_near() -> None:
    # 200 characters: .4 of them is 80; sentences end at 50, 100, 150, 200, of which 100 is within 40 to 120
    # and nearest (20 away, like no other).
    text = ("x" * 48 + ". ") * 4
    assert cut_at(text) == 99
    no_sentences = "word " * 40
    split = cut_at(no_sentences)
    assert split is not None
    assert no_sentences[split] == " "
    assert cut_at("x" * 200) == 80
    assert cut_at("too short to be cut") is None
    assert cut_at(" " * 300_000) is None


# ---------------------------------------------------------------- measuring


def test_own_writing_needs_fewer_bits_than_none_and_than_anothers(
    pair: tuple[Session, Session], scorer: PromptScorer
) -> None:
    ana, ben = pair
    found = measure(
        [Subject(ana, held_out(ana, 8), (ben,)), Subject(ben, held_out(ben, 8), (ana,))], n_drafts=0
    )
    assert list(found.people) == ["all", "ana", "ben"]
    assert found.main.n == 16
    for gains in found.people.values():
        assert gains.own_to_none.high < 0.8
        assert gains.own_to_other.high < 0.8
        assert gains.below_other.n_right == gains.below_other.n == gains.n
    worth = {one.part: one for one in found.parts}
    assert worth["exemplars"].left_out is not None
    assert worth["exemplars"].left_out.low > 0.5
    assert worth["documents"].left_out is None  # there are none, so no prompt changed
    assert found.fit is not None
    assert found.fit.held_out.low > 0.3
    assert not found.fit.is_overfitted
    assert scorer.owners == {"ana", "ben"}
    assert found.drafts is None
    assert list(ana.store.interactions()) == []  # nothing was recorded


def test_swapped_people_lose(pair: tuple[Session, Session]) -> None:
    """With Ben's pieces in Ana's place own writing is the other's, and the figures must turn round."""
    ana, ben = pair
    asked = tuple(HeldOut(p.id, p.request, p.text) for p in held_out(ben, 8))
    found = measure([Subject(ana, asked, (ben,))], parts=False, n_drafts=0)
    assert found.main.own_to_other.low > 1.2
    assert found.main.below_other.n_right == 0
    assert found.fit is None  # nothing was hidden, so nothing can be said of it
    assert "that should not be" in " ".join(verdict(found))


def test_gains_on_seen_writing_alone_are_called_overfitting(
    pair: tuple[Session, Session], tmp_path: Path
) -> None:
    """Every piece has letters and marks of its own, so that nothing can be learned from the others."""
    _, ben = pair
    random = Random(1)
    rows = []
    for i, mark in enumerate("-+=_*/#%&@^~"):
        letters = random.sample("abcdefghijklmnopqrstuvwxyz", 6)
        words = ["".join(random.choices(letters, k=6)) for _ in range(40)]
        rows.append({"id": f"riddle-{i}", "text": mark.join(words)})
    path = tmp_path / "riddles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    riddler = ben.engine.session("riddler")
    riddler.add([path], "exemplars")
    found = measure([Subject(riddler, held_out(riddler, 12), (ben,))], parts=False, n_drafts=0)
    assert found.fit is not None
    assert found.fit.seen.low > 0
    assert found.fit.held_out.low <= 0
    assert found.fit.is_overfitted
    assert "Warning, overfitting" in " ".join(verdict(found))


def test_a_memo_makes_a_second_run_free(pair: tuple[Session, Session], scorer: PromptScorer) -> None:
    ana, ben = pair
    memo: dict[str, float | str] = {}
    subjects = [Subject(ana, held_out(ana, 8), (ben,))]
    first = measure(subjects, n_drafts=2, memo=memo)
    n = scorer.n_scored
    assert n > 8 * 3
    second = measure(subjects, n_drafts=2, memo=memo)
    assert scorer.n_scored == n
    assert second.people == first.people
    assert "ladder" not in "".join(memo)  # keys are hashes


def test_no_time_measures_the_least_and_says_so(pair: tuple[Session, Session]) -> None:
    ana, ben = pair
    found = measure([Subject(ana, held_out(ana, 12), (ben,))], budget_s=0.0)
    assert found.main.n == 8
    assert found.parts == ()
    assert found.drafts is not None
    assert found.drafts.right[OWN].n == 0
    assert "time ran out: 8 of 12 pieces were measured" in found.notes


def test_drafts_are_judged_by_a_classifier_that_knows_the_people(pair: tuple[Session, Session]) -> None:
    """The echo repeats the request, which is the beginning of the person's own text: always theirs."""
    ana, ben = pair
    found = measure([Subject(ana, held_out(ana, 8), (ben,))], parts=False, n_drafts=3)
    assert found.drafts is not None
    # Of 14 only 6 are not held out, too few to learn from: just the pieces of the 3 drafts are kept from it.
    assert found.drafts.authors == {"ana": 11, "ben": 14}
    assert found.drafts.chance == 0.5
    assert found.drafts.real == share(3, 3)
    assert found.drafts.right[OWN] == share(3, 3)


def test_a_backend_that_cannot_score_is_refused(engine: Engine, pair: tuple[Session, Session]) -> None:
    ana, ben = pair
    pieces = held_out(ana, 8)
    mute = engine.session("ana")  # on an EchoGenerator
    with pytest.raises(ConfigError, match="cannot say how likely"):
        measure([Subject(mute, pieces, (ben,))])


# ---------------------------------------------------------------- summing up


def test_people_are_drawn_before_their_pieces() -> None:
    # Two people whose pieces are all alike: drawing pieces alone would give about .5 +- .07, as their
    # standard error is .5 / sqrt(200) = .035; drawing people gives 0, .5 or 1, so the interval is everything.
    found = clustered([[0.0] * 100, [1.0] * 100])
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.0, 1.0, 200)
    one = clustered([[1.0, 1.0, 1.0]])
    assert (one.low, one.high) == (1.0, 1.0)
    with pytest.raises(ValueError, match="no values"):
        clustered([])


def interval(mean: float, half: float = 0.01) -> Interval:
    return Interval(mean, mean - half, mean + half, 20)


def found_of(
    own: float, other: float, *, half: float = 0.01, fit: Fit | None = None, people: Sequence[str] = ("ana",)
) -> Found:
    gains = Gains(
        n=20,
        bits={NONE: interval(1.5), OTHER: interval(1.5 * other), OWN: interval(1.5 * own)},
        own_to_none=interval(own, half),
        own_to_other=interval(own / other, half),
        other_to_none=interval(other, half),
        below_none=share(19, 20),
        below_other=share(18, 20),
    )
    drafts = Drafts(
        right={OWN: share(5, 6), NONE: share(2, 6), OTHER: share(0, 6)},
        real=share(11, 12),
        chance=1 / 3,
        authors={"ana": 20},
    )
    return Found(
        model="tiny",
        people=dict.fromkeys(people, gains),
        others=("ben",),
        parts=(),
        n_parts=0,
        fit=fit,
        drafts=drafts,
        drafts_by_person={"ana": drafts},
        n_wanted=20,
        n_cut=0,
        seconds=1.0,
    )


def test_the_verdict_says_it_in_plain_words() -> None:
    said = verdict(found_of(0.82, 0.94))
    assert said[0] == (
        "Your own writing makes your texts 18 % easier for the model to predict; somebody else's 6 % easier."
    )
    # .82 / .94 = .872
    assert said[1].startswith("It is about you: with own writing it needs 13 % fewer bits")
    assert "takes 5 for the person's; of as many made without, 2" in said[2]


def test_a_difference_within_chance_is_not_called_one() -> None:
    said = " ".join(verdict(found_of(0.97, 0.975, half=0.05)))
    assert "cannot be told from so little" in said
    assert "The gain over no personalization is within chance." in said
    assert "It is about you" not in said
    assert "3 % harder" in verdict(found_of(1.03, 0.99))[0]


@pytest.mark.parametrize(
    ("seen", "held", "gap", "is_overfitted"),
    [
        (0.40, 0.01, 0.39, True),  # gains only on what it has seen
        (0.40, 0.15, 0.25, False),  # more on what it has seen, yet a real gain on the rest
        (0.02, 0.01, 0.01, False),  # nothing anywhere
    ],
)
def test_overfitting_is_a_gain_on_seen_writing_only(
    seen: float, held: float, gap: float, is_overfitted: bool
) -> None:
    fit = Fit(interval(seen, 0.02), interval(held, 0.02), interval(gap, 0.02))
    assert fit.is_overfitted is is_overfitted
    assert ("Warning, overfitting" in " ".join(verdict(found_of(0.9, 0.95, fit=fit)))) is is_overfitted


def test_the_screen_holds_every_table_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = replace(
        found_of(0.82, 0.94, fit=Fit(interval(0.4), interval(0.18), interval(0.22)), people=("all", "ana")),
        parts=(
            Worth("exemplars", 12, interval(0.149, 0.1), interval(0.188, 0.13)),
            Worth("card", 0, None, None),
        ),
        notes=("time ran out: 8 of 12 pieces were measured",),
    )
    lines = as_text(found).split("\n")
    assert max(map(len, lines)) <= 80
    for row in (
        "all together      20  1.500  1.410  1.230  18.0 [17.0, 19.0]  12.8 [11.8, 13.8]",
        "exemplars           12  0.149 [0.049, 0.249]  0.188 [0.058, 0.318]",
        "card                 0  in no prompt",
        "time ran out: 8 of 12 pieces were measured",
    ):
        assert row in [line.rstrip() for line in lines]
    assert "no sign of overfitting" in " ".join(lines)
    assert (
        json.loads(json.dumps(personalization.as_json(found)))["people"]["ana"]["own_to_none"]["mean"] == 0.82
    )


# ---------------------------------------------------------------- the picture


def test_the_picture_is_a_png_whose_title_is_the_finding(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = found_of(0.82, 0.94, people=["all", *(f"person {i}" for i in range(14))])
    path = tmp_path / "drawn.png"
    plot.draw(found, path)
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
    assert width == 1170  # 9 inches of 130 dots
    assert height == pytest.approx(130 * (2.5 + 0.95 * 13), abs=1)  # everybody together, and 12 of the 14
    assert plot.title(found_of(0.82, 0.94)) == (
        "Your own writing makes your real texts 18 % easier to predict, somebody else's only 6 %"
    )
    assert plot.title(found_of(1.01, 0.99)).endswith("does not help the model predict your real texts")
    assert plot.title(found_of(0.9, 0.9)).endswith("but so might anybody's")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtra) as caught:
        plot.draw(found_of(0.8, 0.9), tmp_path / "drawn.png")
    assert caught.value.hint == "pip install 'ragperso[bench]'"


# ---------------------------------------------------------------- the command


def run(home: Path, *words: str, backend: str = "extractive") -> tuple[int, str, str]:
    settings = ["-c", "index.embedder_backend=hash", "-c", f"generate.backend={backend}"]
    done = CliRunner().invoke(cli, ["--home", str(home), *settings, "eval", *words])
    return done.exit_code, done.stdout, done.stderr


def test_a_folder_called_like_the_measurement_is_still_a_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "personalization"
    folder.mkdir()
    (folder / "docs.jsonl").write_text(
        '{"id": "bank", "text": "Elster Bank account fees"}\n', encoding="utf-8"
    )
    (folder / "queries.jsonl").write_text(
        '{"id": "q", "text": "Elster Bank fees", "gold": ["bank"]}\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    for words in (["./personalization"], ["--limit", "1", str(folder)], ["--", "personalization"]):
        code, out, err = run(home, *words)
        assert (code, "nDCG@10" in out) == (0, True), err
    # The value of an option is no name of a measurement.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    code, out, err = run(home, "--keep-home", "personalization", str(folder))
    assert (code, "nDCG@10" in out) == (0, True), err
    assert (elsewhere / "personalization").is_dir()


def test_the_command_refuses_a_backend_that_cannot_score(pair: tuple[Session, Session], home: Path) -> None:
    code, out, err = run(home, "--json", "personalization", "-u", "ana")
    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["type"] == "ConfigError"
    assert "llama.cpp" in json.loads(err)["error"]["hint"]


def test_help_of_both_names_both() -> None:
    told = CliRunner().invoke(cli, ["eval", "--help"]).stdout
    assert "Usage: ragperso eval [OPTIONS] DIR [N]" in told.replace("cli eval", "ragperso eval")
    assert "personalization" in told
    assert "--pieces N" in CliRunner().invoke(cli, ["eval", "personalization", "-h"]).stdout


def test_every_part_has_a_name_in_the_verdict() -> None:
    assert set(personalization._NAMES) == set(PERSONAL_PARTS)
