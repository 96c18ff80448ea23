"""The judge of benchmarks/memories.py on six rows, worked out by hand; the shipped lives are well made."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.memories import Found, Gold, Row, Verdict, is_named, judge, load_life, truths_of, wilson

LIVES = sorted(Path(__file__).parent.glob("*.jsonl"))
TRAPS = {
    "joke", "irony", "hyperbole", "hypothetical", "question", "quote", "dream", "politeness", "smalltalk",
    "wish", "event",
}  # fmt: skip


def row(
    name: str, text: str, *claims: tuple[str, str, str, bool], speaker: str = "me", about: str = ""
) -> Row:
    """Return a row; a claim is (truth, names with commas, phrase, is_current), optional with a "?"."""
    golds = []
    for truth, names, phrase, is_current in claims:
        start = text.index(phrase)
        end = start + len(phrase)
        golds.append(
            Gold(truth.rstrip("?"), tuple(names.split(",")), start, end, is_current, truth.endswith("?"))
        )
    return Row(name, datetime(2025, 1, 1), speaker, text, tuple(golds), about=about)


ROWS = [
    row(
        "a",
        "I live in Ulm and I cycle.",
        ("ulm", "me", "I live in Ulm", False),
        ("bike", "me", "I cycle", True),
    ),
    row("b", "I live in Bern now.", ("bern", "me", "I live in Bern", True)),
    row(
        "c",
        "Ann hates tea, I love it.",
        ("ann", "sister,Ann", "Ann hates tea", True),
        ("tea", "me", "I love it", True),
    ),
    row("d", "I ski.", ("ski", "Bo", "I ski", True), speaker="Bo"),
    row("e", "Sold the car. I am the king of France.", ("car?", "me", "Sold the car", True)),
    row("f", "He is a vampire.", about="boss"),
]


def find(name: str, phrase: str, subject: str = "", is_current: bool = True) -> Found:
    text = next(one.text for one in ROWS if one.id == name)
    start = text.index(phrase)
    return Found(name, start, start + len(phrase), subject, is_current)


def counts(verdict: Verdict) -> tuple[int, int, int, int, int]:
    return (
        verdict.n_right,
        verdict.n_judged,
        len(verdict.stale),
        len(verdict.invented),
        len(verdict.wrong_person),
    )


def test_a_perfect_memory_has_one_and_one() -> None:
    found = [
        find("a", "I live in Ulm", is_current=False),
        find("a", "I cycle"),
        find("b", "I live in Bern now"),
        find("c", "Ann hates tea", "sister"),
        find("c", "I love it"),
        find("d", "I ski", "Bo"),
    ]
    verdict = judge(ROWS, found)
    assert counts(verdict) == (5, 5, 0, 0, 0)
    assert (verdict.precision, verdict.recall, verdict.missed) == (1.0, 1.0, ())


def test_precision_and_recall_by_hand() -> None:
    found = [
        find("a", "I live in Ulm"),  # stale
        find("a", "I cycle"),  # right
        find("e", "I am the king of France"),  # invented
        find("c", "Ann hates tea", "Ann"),  # right, by the name
    ]
    verdict = judge(ROWS, found)
    assert counts(verdict) == (2, 4, 1, 1, 0)
    assert verdict.precision == 2 / 4
    # Truths that hold: bike, bern, ann, tea, ski.  The car is optional, Ulm is over.
    assert truths_of(ROWS) == ["bike", "bern", "ann", "tea", "ski"]
    assert verdict.recall == 2 / 5
    assert verdict.missed == ("bern", "tea", "ski")
    assert [mistake.text for mistake in verdict.stale + verdict.invented] == [
        "I live in Ulm",
        "I am the king of France",
    ]


@pytest.mark.parametrize(
    ("found", "n_wrong"),
    [
        (find("c", "Ann hates tea"), 1),  # hers, said of me
        (find("c", "I love it", "sister"), 1),  # mine, said of her
        (find("d", "I ski"), 1),  # another speaker's "I"
        (find("a", "I live in Ulm", "Ann", is_current=False), 1),  # what is over can be read as well
        (find("f", "a vampire"), 1),  # a row about someone else
        (find("f", "a vampire", "boss"), 0),  # invented, but of whom it is about
        (find("e", "I am the king of France"), 0),  # invented, but of me
        (find("e", "Sold the car", "Ann"), 1),
    ],
)
def test_the_wrong_person_is_counted(found: Found, n_wrong: int) -> None:
    verdict = judge(ROWS, [found])
    assert len(verdict.wrong_person) == n_wrong
    assert (verdict.n_right, verdict.n_judged) == (0, int(found.is_current))


def test_one_statement_of_two_people_takes_the_part_of_its_subject() -> None:
    whole = ROWS[2].text
    assert counts(judge(ROWS, [("c", 0, len(whole), "me", True)])) == (1, 1, 0, 0, 0)


def test_an_optional_statement_is_neither_right_nor_wrong() -> None:
    assert counts(judge(ROWS, [find("e", "Sold the car")])) == (0, 0, 0, 0, 0)


def test_a_span_that_grazes_a_phrase_is_about_something_else() -> None:
    text = ROWS[0].text
    start = text.index("Ulm") + 2
    assert counts(judge(ROWS, [("a", start, start + 12, "", True)])) == (
        1,
        1,
        0,
        0,
        0,
    )  # "m and I cycl" is the bike
    assert counts(judge(ROWS, [("a", start, start + 8, "", True)])) == (
        0,
        1,
        0,
        1,
        0,
    )  # "m and I " is neither


def test_a_name_is_folded_and_may_have_its_relation_beside_it() -> None:
    assert is_named("My sister Ann", ("sister", "Ann"))
    assert is_named("", ("me",))
    assert is_named("SISTER", ("Ann", "sister"))
    assert not is_named("sister", ("me", "Ann"))
    assert not is_named("sister Bo", ("sister", "Ann"))


def test_wilson_meets_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263 gives .2553 to .3662, 0 of 20 gives 0 to .1611.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("path", LIVES, ids=lambda path: path.stem)
def test_a_life_is_well_made(path: Path) -> None:
    life = load_life(path)  # which refuses a phrase that is not verbatim
    rows = life.rows
    assert len(rows) >= 300
    assert len({one.id for one in rows}) == len(rows)
    times = [one.at for one in rows]
    assert times == sorted(times)
    assert times[-1] <= life.end
    assert timedelta(days=700) <= times[-1] - times[0] <= timedelta(days=760)
    claims = [claim for one in rows for claim in one.claims]
    assert all(one.trap in TRAPS for one in rows if not one.claims)
    assert not [one.id for one in rows if one.claims and one.trap]
    for name, share, least, most in (
        ("rows with statements", sum(bool(one.claims) for one in rows) / len(rows), 0.45, 0.65),
        ("statements of others", sum(not claim.is_mine for claim in claims) / len(claims), 0.2, 0.45),
        ("statements that are over", sum(not claim.is_current for claim in claims) / len(claims), 0.2, 0.4),
        ("rows in other languages", sum(one.language != "en" for one in rows) / len(rows), 0.12, 0.2),
        ("turns of other speakers", sum(one.speaker != "me" for one in rows) / len(rows), 0.08, 0.2),
        ("optional statements", sum(claim.is_optional for claim in claims) / len(claims), 0.0, 0.08),
    ):
        assert least <= share <= most, (name, share)
    assert min(Counter(one.trap for one in rows if one.trap).values()) >= 2, "a kind of trap is hardly there"
    assert len(truths_of(rows)) >= 100


@pytest.mark.parametrize("path", LIVES, ids=lambda path: path.stem)
def test_a_truth_holds_or_not_and_has_one_subject(path: Path) -> None:
    holds: dict[str, set[bool]] = defaultdict(set)
    subjects: dict[str, set[bool]] = defaultdict(set)
    for one in load_life(path).rows:
        for claim in one.claims:
            holds[claim.truth].add(claim.is_current)
            subjects[claim.truth].add(claim.is_mine)
            assert not [n for n in claim.names if n == ""]
    assert [truth for truth, said in holds.items() if len(said) > 1] == []
    assert [truth for truth, said in subjects.items() if len(said) > 1] == []


def test_a_phrase_that_is_not_verbatim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "life.jsonl"
    claim = {"truth": "ulm", "subject": "me", "phrase": "I live in Bonn", "current": True}
    line = {
        "id": "1",
        "ts": "2025-01-01T08:00:00",
        "speaker": "me",
        "text": "I live in Ulm",
        "claims": [claim],
    }
    path.write_text(
        json.dumps({"end": "2025-01-02T00:00:00", "name": "Ida"}) + "\n" + json.dumps(line) + "\n",
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="not once in its row"):
        load_life(path)
