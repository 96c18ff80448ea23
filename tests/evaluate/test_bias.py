"""The fairness check finds a bias that was planted, and none where none was."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ragperso.config import Config
from ragperso.engine import Engine, Session
from ragperso.errors import NotEnoughData, UnreadableDocument
from ragperso.evaluate import bias, bias_report
from ragperso.evaluate.bias import Asked, Check, Edit, Finding
from ragperso.testing import EchoGenerator, HashEmbedder
from ragperso.types import Completion, Message, Prompt, Vector
from tests.conftest import write_notes

NOW = datetime(2026, 11, 24, tzinfo=timezone.utc)
LISTS = bias.groups()
EN, DE, FR = (LISTS.tongues[code] for code in ("en", "de", "fr"))

SUBJECTS = (
    "bread oven flour",
    "bicycle brake cable",
    "garden tomato water",
    "knee doctor running",
    "bank account fees",
    "piano lesson scales",
    "camera lens repair",
    "train ticket refund",
    "kitchen sink plumber",
    "holiday island ferry",
    "library book overdue",
    "winter tyre storage",
    "coffee grinder burr",
    "window paint primer",
    "choir concert programme",
    "laptop battery warranty",
    "dentist crown invoice",
    "cheese market stall",
    "roof tile storm",
    "chess opening gambit",
)
NOTES = {
    f"{text.split()[0]}.md": f"# {text.title()}\n\nThe {text} is what I looked into, and I wrote it down.\n"
    for text in SUBJECTS
}
# Enough of a first person's voice to be mined as exemplars.
WRITTEN = {
    **NOTES,
    **{
        f"post-{n}.md": f"# Post {n}\n\nI went to see the {text} again today, and I must say I liked it. "
        "We talked for an hour, my old neighbour and I, and then I walked home along the river.\n"
        for n, text in enumerate(SUBJECTS[:6])
    },
}
QUESTIONS = [
    Asked(f"q{n}", f"What did I write about the {text}?") for n, text in enumerate(SUBJECTS, start=1)
]


class Partial(HashEmbedder):
    """Sends what certain names ask somewhere else; all other names it does not hear at all."""

    def __init__(self, names: tuple[str, ...], push: float) -> None:
        super().__init__()
        self.names = frozenset(names)
        self.all_names = frozenset(LISTS.all_names())
        self.push = push

    def embed_query(self, text: str) -> Vector:
        words = text.replace(":", " ").replace(",", " ").replace(".", " ").split()
        row = super().embed_query(" ".join(word for word in words if word not in self.all_names))
        if not self.names.isdisjoint(words):
            row = row + np.float32(self.push) * super().embed_query("chess opening gambit roof tile storm")
        unit: Vector = row / np.linalg.norm(row)
        return unit


class Curt(EchoGenerator):
    """Is short and rude to women, wherever in the prompt their names stand."""

    names = frozenset(name for name, (_, gender) in LISTS.all_names().items() if gender == "woman")

    def generate(self, prompt: Prompt, **options: Any) -> Completion:
        done = super().generate(prompt, **options)
        read = " ".join(message.content for message in prompt.messages)
        is_woman = any(name in read for name in self.names)
        polite = "Thanks, I am happy to help. It is good to hear from you, and the answer is this one."
        return dataclasses.replace(done, text="No, that is wrong." if is_woman else polite)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Return a maker of a person with twenty notes, under an embedder and a generator."""
    engines = []

    def make(
        embedder: HashEmbedder | None = None,
        generator: EchoGenerator | None = None,
        notes: dict[str, str] = NOTES,
    ) -> Session:
        config = Config().replace(
            {"retrieve.min_relevance": 0.0, "retrieve.fusion": "dense", "retrieve.k": 5}
        )
        engine = Engine(
            tmp_path / "home",
            config=config,
            embedder=embedder or HashEmbedder(),
            generator=generator or EchoGenerator(),
        )
        engines.append(engine)
        session = engine.session("ana")
        session.add([write_notes(tmp_path / "notes", notes)])
        return session

    yield make
    for engine in engines:
        engine.close()


def check(session: Session, questions: list[Asked] = QUESTIONS, **options: Any) -> Check:
    options.setdefault("drafts", False)
    return bias.judge([bias.measure(session, questions, seconds=None, seed=3, **options)], seed=3)


def places(findings: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.axis, finding.group) for finding in findings}


# ---------------------------------------------------------------- planted


def test_a_planted_bias_is_found_and_nothing_else(person: Callable[..., Session]) -> None:
    turkish = (*LISTS.names["Turkish"]["woman"], *LISTS.names["Turkish"]["man"])
    found = check(person(Partial(turkish, push=1.0)))
    assert places(found.beyond) == {("origin", "Turkish")}
    (hits,) = [finding for finding in found.beyond if finding.measure == "hits"]
    assert hits.excess.low > 0.1
    assert hits.floor.mean == 0  # among themselves the Turkish names are treated alike, and so are the others
    assert any("origin, Turkish against English" in sentence for sentence in bias_report.verdict(found))


def test_without_one_nothing_is_found(person: Callable[..., Session]) -> None:
    # Names move this embedder, each its own way: the floor is well above 0.
    found = check(person(HashEmbedder()))
    judged = [f for f in found.findings if f.measure == "hits" and f.axis == "origin"]
    assert min(finding.floor.mean for finding in judged) > 0.02
    assert found.beyond == ()
    assert "No group differs beyond the noise floor" in bias_report.verdict(found)[0]


def test_one_odd_name_is_not_its_group(person: Callable[..., Session]) -> None:
    found = check(person(Partial((LISTS.names["Turkish"]["woman"][0],), push=1.0)))
    changed = [f for f in found.findings if (f.group, f.measure) == ("Turkish", "hits") and f.swap.mean > 0]
    assert len(changed) == 1
    assert found.beyond == ()


def test_a_tone_towards_women_is_found_in_questions_and_exemplars(person: Callable[..., Session]) -> None:
    session = person(Partial((), push=0.0), Curt(), notes=WRITTEN)
    found = check(session, drafts=True)
    drafted = {(f.place, f.measure) for f in found.beyond if f.axis == "gender"}
    assert drafted == {
        (place, name) for place in ("question", "exemplars") for name in ("tone", "length", "wording")
    }
    (tone,) = [f for f in found.beyond if f.measure == "tone" and f.place == "question"]
    assert tone.excess.mean < -20  # 2 cold of 4 words against 3 warm of 18, both per 100 words
    assert "for the worse" in " ".join(bias_report.verdict(found))


def test_a_name_that_is_odd_in_every_question_counts_once() -> None:
    # Fifteen questions about one odd pair, fifteen about fifteen others that do not differ at all.
    rows = [
        bias.Row("question", "origin", "Turkish", "English", "hits", f"q{n}", unit, swap, (0.0,))
        for n in range(15)
        for unit, swap in (("the odd pair", 1.0), (f"pair {n}", 0.0))
    ]
    measured = bias.Measured("ana", "", tuple(rows), (), "", 10, 15, 0, 0, 0, 0, 0, "", 0.0)
    (finding,) = bias.judge([measured]).findings
    assert finding.swap.mean == 0.5
    assert finding.p == pytest.approx(1 / 2, abs=0.02)  # one coin; fifteen would say 1 / 32768
    assert finding.excess.low == 0  # some resamples of names leave it out


# ---------------------------------------------------------------- what the documents know


def test_who_is_known_in_the_documents_is_listed_and_not_judged(person: Callable[..., Session]) -> None:
    notes = {
        **NOTES,
        "fatma.md": "# Fatma\n\nFatma lent me her ladder, and my sister has a Muslim neighbour.\n",
    }
    session = person(Partial((), push=0.0), notes=notes)
    questions = [
        *QUESTIONS,
        Asked("q21", "What did Fatma lend me?"),
        Asked("q22", "Who lives near my sister?"),
    ]
    found = check(session, questions)
    known = {(f.axis, f.group) for f in found.findings if f.is_known}
    assert known == {("name", "a stranger"), ("gender", "she (words)"), ("religion", "Muslim")}
    assert all(f.p_holm is None and not f.is_beyond for f in found.findings if f.is_known)
    assert found.measured[0].n_known_names == 1
    for report in (
        bias_report.as_markdown(found, LISTS, at=NOW),
        json.dumps(bias_report.as_json(found, at=NOW)),
        bias_report.as_text(found),
    ):
        assert "Fatma" not in report
        assert "ladder" not in report


def test_names_that_the_documents_know_are_not_strangers(person: Callable[..., Session]) -> None:
    class Listening(HashEmbedder):
        heard: ClassVar[list[str]] = []

        def embed_query(self, text: str) -> Vector:
            self.heard.append(text)
            return super().embed_query(text)

    known = LISTS.names["Turkish"]["woman"]
    session = person(Listening(), notes={"us.md": f"# Us\n\nThe club: {', '.join(known[:6])} and I.\n"})
    Listening.heard.clear()
    measured = bias.measure(session, QUESTIONS[:6], drafts=False, seconds=None)
    said = " ".join(Listening.heard)
    assert measured.n_known_names == 6
    assert not any(name in said for name in known[:6])
    assert any(name in said for name in known[6:])


def test_a_name_nobody_knows_is_swapped_where_it_stands() -> None:
    edit = Edit(name="Ayşe", gender="woman", old="Emily")
    assert edit.on("What did Emily say? Emily-Ann knows.", EN) == "What did Ayşe say? Ayşe-Ann knows."


def test_nothing_is_recorded(person: Callable[..., Session]) -> None:
    session = person()
    before = (session.store.counts(), session.store.audit())
    measured = bias.measure(session, QUESTIONS[:2], seconds=None)
    assert measured.n_drafts > 0
    assert (session.store.counts(), session.store.audit()) == before


def test_time_that_is_over_leaves_whole_questions(person: Callable[..., Session]) -> None:
    measured = bias.measure(person(), QUESTIONS, drafts=False, seconds=1e-9)
    assert measured.n_asked == 1
    assert {row.question for row in measured.rows} == {"q1"}
    (sentence,) = bias_report.verdict(bias.judge([measured]))
    assert sentence.startswith("Nothing can be said")


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("man", "woman"),
    [
        ("Did he find his book?", "Did she find her book?"),
        ("HE said his son saw Mr Holm.", "SHE said her daughter saw Mrs Holm."),
        ("The book is his.", "The book is hers."),
        ("I saw him at noon.", "I saw her at noon."),
        ("My brother hurt himself.", "My sister hurt herself."),
    ],
)
def test_english_words_turn_both_ways(man: str, woman: str) -> None:
    assert EN.to("woman", man) == woman
    assert EN.to("man", woman) == man
    assert (EN.gender_of(man), EN.gender_of(woman)) == ("man", "woman")


def test_german_and_french_keep_their_articles() -> None:
    assert DE.to("woman", "Hat er meinem Sohn geholfen?") == "Hat sie meiner Tochter geholfen?"
    assert DE.to("man", "Hat sie meiner Tochter geholfen?") == "Hat sie meiner Tochter geholfen?"  # ambiguous
    assert FR.to("woman", "Il connaît mon frère.") == "Elle connaît ma sœur."
    assert FR.to("man", "Elle connaît ma sœur.") == "Il connaît mon frère."


def test_words_of_both_genders_are_left_alone() -> None:
    assert EN.gender_of("Did she call him?") == ""
    assert EN.gender_of("When does the train leave?") == ""


def test_frames_speak_of_the_gender_of_the_name() -> None:
    frame = "{Mr|Mrs} {name} {asks~wonders}, and {he|she} needs it: {question}"
    assert Edit(frame, "Lucy", "woman").on("when?", EN) == "Mrs Lucy asks, and she needs it: when?"
    reworded = Edit(frame, "Simon", "man", is_reworded=True)
    assert reworded.on("when {name}?", EN) == "Mr Simon wonders, and he needs it: when {name}?"


def test_exemplars_are_asked_for_by_someone_else() -> None:
    said = (
        ("system", "S"),
        ("user", "Write a mail."),
        ("assistant", "He sends his best."),
        ("user", "now this"),
    )
    messages = tuple(Message(role, text) for role, text in said)  # type: ignore[arg-type]
    prompt = Prompt(messages, (), (), 0, 99, "now this", task="write")
    edit = Edit("{name} asks: {question}", "Lucy", "woman")
    swapped = bias.swap_exemplars(prompt, edit, EN, words=True)
    assert swapped is not None
    assert [m.content for m in swapped.messages] == [
        "S",
        "Lucy asks: Write a mail.",
        "She sends her best.",
        "now this",
    ]
    kept = bias.swap_exemplars(prompt, edit, EN, words=False)
    assert kept is not None
    assert kept.messages[2].content == "He sends his best."
    assert (
        bias.swap_exemplars(dataclasses.replace(prompt, messages=messages[::3]), edit, EN, words=True) is None
    )


def test_the_lists_are_whole() -> None:
    names = LISTS.all_names()
    assert len(names) == 20 * len(LISTS.names)  # ten of each gender and origin, none of them twice
    for code, tongue in LISTS.tongues.items():
        assert tongue.origin in LISTS.names
        for frame in (*tongue.frames, *tongue.gender_frames, *tongue.statement_frames):
            assert frame.count("{question}") == frame.count("{name}") == 1
        for axis, groups in LISTS.statements.items():
            assert LISTS.references[axis] in (*groups, "neutral")
            assert all(statement.words[code] for statement in groups.values())
    for statement in (s for groups in LISTS.statements.values() for s in groups.values()):
        assert all(word == word.casefold() for word in statement.known_by)


def test_hostile_text_stays_linear() -> None:
    for text in (
        "x" * 300_000,
        "his " * 75_000,
        "mein " * 60_000,
        "\ud800" * 1_000,
        "{question}{a|b}" * 9_000,
    ):
        for tongue in (EN, DE, FR):
            Edit(tongue.gender_frames[0], "Lucy", "woman", words=True).on(text, tongue)
            tongue.nouns_in(text)
        bias.draft_of(text, LISTS.tone["en"])


# ---------------------------------------------------------------- figures


def test_rankings_compare_as_worked_by_hand() -> None:
    assert bias.overlap([1, 2, 3, 4], [4, 1, 9, 8]) == 2 / 4
    assert bias.overlap([], []) == 1
    assert bias.jaccard([1, 2, 3], [3, 4]) == 1 / 4
    assert bias.turned_pairs([1, 2, 3], [3, 1, 2]) == 2 / 3  # (1,3) and (2,3) of three pairs
    assert np.isnan(bias.turned_pairs([1, 2], [2, 3]))
    # Agreement 1 at depth 1 and 1/2 at depth 2: 1/2 * .81 + .1/.9 * (1 * .9 + 1/2 * .81)
    assert bias.rank_biased_overlap([1, 2], [1, 3], p=0.9) == pytest.approx(0.405 + (0.9 + 0.405) / 9)
    assert bias.rank_biased_overlap([1, 2, 3], [1, 2, 3]) == pytest.approx(1)
    assert bias.rank_biased_overlap([1], [2]) == 0


def test_a_draft_in_figures() -> None:
    found = bias.draft_of("Sorry, I cannot say. Maybe it is good!", LISTS.tone["en"])
    assert found.length == 8
    assert found.tone == 100 * (2 - 2) / 8  # good, "!"; sorry, cannot
    assert found.hedges == 100 / 8
    assert found.refused


def test_the_test_turns_the_signs_of_units() -> None:
    ones = np.ones(6)
    # Three units of two rows: of the 8 sign patterns one has as large a sum, of both tails two.
    units = np.array([0, 0, 1, 1, 2, 2])
    assert bias.sign_flip(ones, units, one_sided=True) == pytest.approx(1 / 8, abs=0.01)
    assert bias.sign_flip(ones, units, one_sided=False) == pytest.approx(2 / 8, abs=0.01)
    assert bias.sign_flip(ones, np.zeros(6, np.int64), one_sided=False) == 1
    assert bias.sign_flip(np.zeros(6), units, one_sided=True) == 1


def test_holm_takes_the_smallest_times_their_number() -> None:
    assert bias.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert bias.holm([]) == []


def test_an_interval_of_two_questions_reaches_both() -> None:
    questions = np.array([0, 1])
    found = bias.interval(np.array([0.0, 1.0]), questions, questions)
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.0, 1.0, 2)


# ---------------------------------------------------------------- questions


def test_questions_come_from_a_file_or_the_past_or_titles(
    person: Callable[..., Session], tmp_path: Path
) -> None:
    session = person()
    lines = tmp_path / "mine.txt"
    lines.write_text("What about bread?\n\nAnd the bank?\n" + "x" * 2_000 + "\n", encoding="utf-8")
    found, _ = bias.questions_of(session, lines)
    assert [(one.id, one.text) for one in found] == [
        ("line 1", "What about bread?"),
        ("line 3", "And the bank?"),
    ]
    rows = tmp_path / "queries.jsonl"
    rows.write_text(
        '{"id": "a", "text": "One?", "gold": ["bread.md"]}\n{"id": "b", "text": "Two?", "user": "ben"}\n',
        encoding="utf-8",
    )
    assert bias.questions_of(session, rows)[0] == [Asked("a", "One?", ("bread.md",))]
    rows.write_text('{"id": "a"}\n', encoding="utf-8")
    with pytest.raises(UnreadableDocument, match=r"queries\.jsonl:1"):
        bias.questions_of(session, rows)
    session.ask("When did I water the tomatoes?")
    found, source = bias.questions_of(session, n=3)
    assert found[0].text == "When did I water the tomatoes?"
    assert source == "1 asked before, 2 about titles of documents"
    assert found[1].text.startswith("What do I know about ")
    assert len(found[1].gold) == 1


def test_nobody_without_anything_can_be_checked(engine: Engine) -> None:
    with pytest.raises(NotEnoughData):
        bias.questions_of(engine.session("nobody"))


def test_other_languages_are_counted_and_left_out(person: Callable[..., Session]) -> None:
    questions = [Asked("es", "¿Dónde está el libro que me dejó la biblioteca?"), QUESTIONS[0]]
    measured = bias.measure(person(), questions, drafts=False, seconds=None)
    assert (measured.n_skipped, measured.n_asked) == (1, 1)


# ---------------------------------------------------------------- the report


def test_the_report_quotes_questions_only_when_asked(person: Callable[..., Session]) -> None:
    turkish = (*LISTS.names["Turkish"]["woman"], *LISTS.names["Turkish"]["man"])
    found = check(person(Partial(turkish, push=1.0)))
    silent, open_ = (
        bias_report.as_markdown(found, LISTS, at=NOW, show_questions=show) for show in (False, True)
    )
    assert "What did I write" not in silent
    assert "What did I write about the" in open_
    assert "| q" in silent  # worst cases by id
    for heading in ("## Verdict", "## What was done", "## Worst cases", "## Limits", "Holm"):
        assert heading in silent
    told = bias_report.as_json(found, at=NOW)
    assert {(row["axis"], row["group"]) for row in told["beyond_noise"]} == {("origin", "Turkish")}
    assert all("text" not in row for row in told["worst"])
    assert told["tests"] == sum(row["p_holm"] is not None for row in told["findings"])
