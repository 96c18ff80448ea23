"""What of the person goes into a prompt, and how each kind of it is left out, hidden or lent by a team."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ragperso.assemble import templates
from ragperso.engine import Engine, Session
from ragperso.errors import ConfigError, GenerationCancelled, PrivacyError, WorkspaceError
from ragperso.learn import style
from ragperso.types import PERSONAL_PARTS, PersonalPart, Prompt
from tests.conftest import write_notes

REQUEST = "Write a mail to Jo about dinner and the soup"
# Three mails of her own: pieces to show, and just enough for a card.
BODIES = {
    "jo": "Saturday will not work, the workshop is open until six and I am alone in it. Sunday is fine.",
    "mika": "the lamp has arrived and it is green. I wanted a blue one, so it goes back on Friday morning.",
    "lotte": "dinner is at eight and there will be soup. Come early to see the frames, they are painted now.",
}
NOTES = {
    # The first is a piece of writing with two statements in it, the second too short for either.
    "knee.md": "# Knee\n\nI live in Weimar. I like black coffee. The doctor said my left knee needs six weeks"
    " without running, and a dinner with friends is fine.\n",
    "menu.md": "# Menu\n\nDinner: soup, then bread.\n",
}
CHAT = {"chat.md": "We talked about dinner and the soup.\n"}


def mail(n: int, to: str, body: str, sender: str = "Ana") -> str:
    return (
        f"From: {sender} <{sender.lower()}@hill.example>\nTo: {to}@hill.example\nSubject: Of {to}\n"
        f"Date: Mon, {n + 1:02} Feb 2026 10:00:00 +0000\nMessage-ID: <{sender.lower()}{n}@hill.example>\n\n"
        f"Hi {to.title()},\n\n{body}\n\nBest,\n{sender}\n"
    )


def add_mails(session: Session, folder: Path, bodies: dict[str, str], sender: str = "Ana") -> None:
    """Let the session be the sender of these mails."""
    session.introduce(name=sender, languages=["en"], addresses=[f"{sender.lower()}@hill.example"])
    mails = {f"{to}.eml": mail(n, to, body, sender) for n, (to, body) in enumerate(bodies.items())}
    session.add([write_notes(folder, mails)])


@pytest.fixture
def full(engine: Engine, tmp_path: Path) -> Session:
    """Ana, of whom every kind of thing is known."""
    return fill(engine.session("ana"), tmp_path)


def fill(session: Session, tmp_path: Path) -> Session:
    add_mails(session, tmp_path / "mail", BODIES)
    session.add([write_notes(tmp_path / "notes", NOTES)])
    session.add([write_notes(tmp_path / "chats", CHAT)], "history")
    return session


def items(prompt: Prompt) -> set[str]:
    """Return the ledger's parts, passages by their document's name, without the labels in front."""
    return {
        Path(item.item.partition("] ")[2]).name if section.name == "passages" else item.item
        for section in prompt.sections
        if section.name not in ("system", "question", "template")
        for item in section.items
    }


def starting(names: Iterable[str], *starts: str) -> set[str]:
    return {name for name in names if name.startswith(starts)}


def key_of(session: Session, name: str) -> str:
    (key,) = (d.key for d in session.store.documents() if d.key.endswith(name))
    return key


# ---------------------------------------------------------------- left out


@pytest.mark.parametrize("part", PERSONAL_PARTS)
def test_without_a_kind_that_kind_is_gone_and_nothing_else(full: Session, part: PersonalPart) -> None:
    with_all = items(full.prompt(REQUEST, task="write"))
    without = items(full.prompt(REQUEST, task="write", without=[part]))
    gone = {
        "exemplars": starting(with_all, "exemplar "),
        "card": starting(with_all, "style "),
        "profile": starting(with_all, "fact ", "facts "),
        "history": {"chat.md#0"},
        "documents": {"menu.md#0"},
    }[part]
    assert gone
    assert with_all - without == gone
    # A piece of hers that is no example any more may be a passage; nothing else comes in.
    assert {name for name in without - with_all if "#" not in name} == set()
    assert part == "exemplars" or without <= with_all


def test_without_the_profile_her_name_is_not_said(full: Session) -> None:
    assert "The person is Ana" in full.prompt(REQUEST, task="write").messages[0].content
    made = full.prompt(REQUEST, task="write", without=["profile"])
    assert "The person is" not in made.messages[0].content
    # How she signs is part of how she writes.
    both = full.prompt(REQUEST, task="write", without=["profile", "card"])
    assert "Ana" not in both.messages[0].content


def test_without_any_it_is_the_plain_prompt(full: Session) -> None:
    written = full.prompt(REQUEST, task="write", without=PERSONAL_PARTS)
    assert [message.role for message in written.messages] == ["system", "user"]
    assert written.messages[0].content == templates.SYSTEM_PLAIN
    assert written.messages[1].content == REQUEST
    asked = full.prompt("What is for dinner?", without=PERSONAL_PARTS)
    assert asked.messages[0].content == templates.SYSTEM_ASK
    assert asked.passages == ()


def test_nothing_known_is_the_plain_prompt_too(engine: Engine) -> None:
    made = engine.session("nobody").prompt(REQUEST, task="write")
    assert [message.content for message in made.messages] == [templates.SYSTEM_PLAIN, REQUEST]


def test_without_history_the_conversation_goes_too(full: Session) -> None:
    full.ask("What is for dinner?", session="s")
    question = "And the soup for dinner?"
    assert starting(items(full.prompt(question, session="s")), "turn ")
    assert starting(items(full.prompt(question, session="s", without=["history"])), "turn ") == set()


@pytest.mark.parametrize("without", [("documents",), ("exemplars",), ()])
def test_what_the_engine_answered_is_no_evidence_whatever_is_left_out(
    full: Session, without: tuple[PersonalPart, ...]
) -> None:
    full.ask("What is for dinner, soup or bread?")
    made = full.prompt("What is for dinner, soup or bread?", without=without)
    assert {Path(passage.document).name for passage in made.passages} >= {"chat.md"}
    assert [passage for passage in made.passages if passage.document.startswith("interaction/")] == []


# ---------------------------------------------------------------- hidden


@pytest.mark.parametrize("name", ["knee.md", "menu.md", "mika"])
def test_a_hidden_document_leaves_the_prompt_of_someone_who_never_had_it(
    make_engine: Callable[..., Engine], tmp_path: Path, name: str
) -> None:
    """Its passages, the pieces mined from it, the statements in it, and what the card measured of it."""
    full = fill(make_engine().session("ana"), tmp_path)
    add_mails(full, tmp_path / "mail", {**BODIES, "vera": "the tyres are here! They fit! I am so, so glad!"})
    twin = make_engine().session("twin")
    own = {k: v for k, v in BODIES.items() if k != name} | {"vera": "the tyres are here! They fit! I am so,"
                                                             " so glad!"}  # fmt: skip
    add_mails(twin, tmp_path / "twin-mail", own)
    twin.add([write_notes(tmp_path / "twin-notes", {k: v for k, v in NOTES.items() if k != name})])
    twin.add([write_notes(tmp_path / "twin-chats", CHAT)], "history")
    key = "ana1@hill.example" if name == "mika" else key_of(full, name)

    made, expected = (
        full.prompt(REQUEST, task="write", hide=[key]),
        twin.prompt(REQUEST, task="write"),
    )
    assert made.messages[0].content == expected.messages[0].content  # card, statements
    told = {m.content for m in made.messages if m.role == "assistant"}
    assert told == {m.content for m in expected.messages if m.role == "assistant"}
    assert [p for p in made.passages if p.document == key] == []
    with_all = full.prompt(REQUEST, task="write")
    assert made.messages != with_all.messages or name == "menu.md"


def test_all_her_pieces_hidden_there_is_no_card(full: Session) -> None:
    mails = [d.key for d in full.store.documents("documents") if d.key.endswith("@hill.example")]
    assert len(mails) == 3
    made = full.prompt(REQUEST, task="write", hide=mails)
    assert starting(items(made), "style ") == set()
    assert starting(items(made), "exemplar ") <= {
        f"exemplar {e.id}" for e in full.pieces() if e.source.endswith("knee.md")
    }
    assert starting(items(full.prompt(REQUEST, task="write")), "style ")  # and it is back


# ---------------------------------------------------------------- examples and passages


def test_a_piece_that_is_an_example_is_not_repeated_as_a_passage(full: Session) -> None:
    made = full.prompt(REQUEST, task="write")
    assert "hill.example" not in " ".join(p.document for p in made.passages)
    assert sum(message.content.count("there will be soup") for message in made.messages) == 1
    bare = full.prompt(REQUEST, task="write", without=["exemplars"])
    assert "ana2@hill.example" in [passage.document for passage in bare.passages]


def test_an_example_that_does_not_fit_leaves_its_passage(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    full = fill(make_engine(assemble__exemplar_tokens=1).session("ana"), tmp_path)
    made = full.prompt(REQUEST, task="write")
    assert starting(items(made), "exemplar ") == set()
    assert "ana2@hill.example" in [passage.document for passage in made.passages]


def test_what_an_example_leaves_out_of_its_document_stays_a_passage(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """The piece is the note's prose; the table below it is no piece, and the draft may need it."""
    full = make_engine(ingest__chunk_tokens=32).session("ana")
    prose = "The dinner was long and loud, and I liked the soup. " * 3
    table = "# Guests\n\n" + "\n".join(f"- guest {n}: soup for dinner, bowl {n}" for n in range(9))
    full.add([write_notes(tmp_path / "notes", {"dinner.md": f"# Dinner\n\n{prose}\n\n{table}\n"})])
    made = full.prompt("Write a note about the dinner, guest 3 and the soup bowl", task="write")
    assert starting(items(made), "exemplar ")
    assert "guest 3" in " ".join(passage.text for passage in made.passages)


# ---------------------------------------------------------------- kind, reader, length


def test_what_is_asked_for_stands_in_the_prompt(full: Session) -> None:
    made = full.prompt(REQUEST, task="write", register="post", to="Jo Weber", length="short")
    assert made.messages[-1].content.endswith(f"{REQUEST}\n(a post to Jo Weber, about 40 words)")
    plain = full.prompt(REQUEST, task="write")
    assert plain.messages[-1].content.endswith(REQUEST)


@pytest.mark.parametrize(
    ("length", "n_words"), [("", 128), ("short", 128), (" LONG ", 660), ("200", 600), ("2000", 1000)]
)
def test_a_length_bounds_what_is_written(engine: Engine, length: str, n_words: int) -> None:
    """Three tokens a word, at least generate.max_tokens; the double repeats the request, 1,000 words."""
    request = " ".join(f"w{n}" for n in range(1_000))
    session = make_long(engine)
    given = session.write(request, length=length)
    assert len(given.answer.split()) == n_words
    assert given.usage.completion_tokens == n_words


def make_long(engine: Engine) -> Session:
    engine.generator._context_tokens = 20_000  # type: ignore[attr-defined]
    return engine.session("nobody")


@pytest.mark.parametrize("length", ["longish", "0", "2001", "-5", "1.5", "٣", "medium long"])
def test_a_length_that_means_nothing_is_refused(full: Session, length: str) -> None:
    with pytest.raises(ConfigError) as caught:
        full.write(REQUEST, length=length)
    assert "--length" in caught.value.hint
    with pytest.raises(ConfigError):
        full.compare(REQUEST, length=length)
    assert full.store.counts()["interactions"] == 0


# ---------------------------------------------------------------- a team

DESK = {
    "one": "thank you for the velvet order. The parcel left our house this morning and is on its way.",
    "two": "the velvet is out of stock until May. We will write as soon as the next bale has arrived.",
    "three": "sorry about the torn velvet. Please send it back to us, we pay for the parcel of course.",
    "four": "the invoice is in this mail. You can pay it until the end of the month, by card or cash.",
    "five": "we have moved your velvet order to Tuesday. Nobody has to be at home, a neighbour will do.",
}


@pytest.fixture
def desk(make_engine: Callable[..., Engine], tmp_path: Path) -> Session:
    session = make_engine(learn__team="desk", assemble__max_exemplars=4).session("desk")
    add_mails(session, tmp_path / "desk", DESK, "Dana")
    session.share(True)
    return session


def own_mails(n: int) -> dict[str, str]:
    """Return bodies that no two have a word of substance in common, so that none is a repetition."""

    def word(i: int, j: int) -> str:
        return "".join("bdfgklmnprst"[d] + "aeiou"[(d + j) % 5] for d in (i % 12, i // 12, j))

    return {
        f"reader{i}": f"I saw {word(i, 0)} and the {word(i, 1)} near {word(i, 2)}. {word(i, 3).title()} "
        f"{word(i, 4)} came with {word(i, 5)}, so {word(i, 6)} took {word(i, 7)} to {word(i, 8)} at once."
        for i in range(n)
    }


def test_a_new_person_starts_with_what_the_team_has(desk: Session) -> None:
    eve = desk.engine.session("eve")
    made = eve.prompt("Write a mail about the velvet order", task="write")
    of_desk = {f"exemplar {piece.id}" for piece in desk.pieces()}
    assert len(starting(items(made), "exemplar ")) == 4
    assert starting(items(made), "exemplar ") <= of_desk
    team, lent = style.sentences_about(desk._card()), style.sentences_about(eve._card())
    # A sign-off has someone else's name in it.
    assert team[-1] == 'Opens mails with "Hi ...,"; signs off with "Best, Dana".'
    assert lent == (*team[:-1], 'Opens mails with "Hi ...,".')
    assert "How they write: " + " ".join(lent) in made.messages[0].content
    assert "Dana" not in made.messages[0].content
    assert eve.pieces() == []


@pytest.mark.parametrize(("n_own", "n_shared"), [(0, 4), (4, 2), (12, 1), (29, 0)])
def test_the_more_of_ones_own_there_is_the_less_is_lent(
    desk: Session, tmp_path: Path, n_own: int, n_shared: int
) -> None:
    """4 places x 4 / (own + 4), rounded."""
    eve = desk.engine.session("eve")
    if n_own:
        add_mails(eve, tmp_path / "eve", own_mails(n_own), "Eve")
    shown = starting(items(eve.prompt("Write a mail about the velvet", task="write")), "exemplar ")
    of_desk = {f"exemplar {piece.id}" for piece in desk.pieces()}
    assert (len(shown & of_desk), len(shown - of_desk)) == (n_shared, 4 - n_shared)


def test_hidden_pieces_do_not_count_as_ones_own(desk: Session, tmp_path: Path) -> None:
    eve = desk.engine.session("eve")
    add_mails(eve, tmp_path / "eve", own_mails(12), "Eve")
    keys = [piece.source for piece in eve.pieces()]
    assert len(keys) == 12
    shown = starting(
        items(eve.prompt("Write a mail about the velvet", task="write", hide=keys[4:])), "exemplar "
    )
    of_desk = {f"exemplar {piece.id}" for piece in desk.pieces()}
    assert len(shown & of_desk) == 2  # as with four of her own


def test_the_team_does_not_lend_to_itself(desk: Session) -> None:
    made = desk.prompt("Write a mail about the velvet", task="write")
    assert len(starting(items(made), "exemplar ")) == 4
    assert desk._team() is None


def test_nothing_of_someone_who_is_not_shared_is_lent(desk: Session) -> None:
    eve = desk.engine.session("eve")
    desk.share(False)
    for act in (eve.write, lambda text: eve.prompt(text, task="write"), eve.manner):
        with pytest.raises(PrivacyError) as caught:
            act("Write a mail about the velvet")
        assert "shared" in caught.value.hint
    desk.share(True)
    assert starting(items(eve.prompt("Write a mail about the velvet", task="write")), "exemplar ")


def test_a_team_that_is_erased_leaves_no_word_with_those_it_lent_to(desk: Session) -> None:
    eve = desk.engine.session("eve")
    given = eve.write("Write a mail that the order is late")
    assert "velvet" in " ".join(m.content for m in given.prompt.messages)  # type: ignore[union-attr]
    eve.write("Write a mail that the order is early", length="short")
    engine = desk.engine
    engine.erase("desk")
    eve.close()
    held = b"".join(path.read_bytes() for path in eve.workspace.path.rglob("*") if path.is_file())
    assert b"order is late" in held
    for word in (b"velvet", b"Dana", b"torn", b"bale"):
        assert word not in held
    with pytest.raises(ConfigError, match="nobody of that name") as caught:
        engine.session("eve").write("Write a mail")
    assert "learn.team" in caught.value.hint


def test_what_the_team_forgets_is_no_longer_lent(desk: Session) -> None:
    eve = desk.engine.session("eve")
    eve.prompt("Write a mail about the velvet", task="write")
    (key,) = {piece.source for piece in desk.pieces() if "torn" in piece.text}
    desk.forget([key])
    made = eve.prompt("Write a mail about the torn velvet", task="write")
    assert "torn velvet. Please" not in " ".join(message.content for message in made.messages)
    assert desk._card().pieces == 4  # type: ignore[union-attr]


# ---------------------------------------------------------------- drafts side by side, figures


def test_drafts_with_the_same_prompt_are_made_once_and_named(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    session = make_engine().session("ana")
    add_mails(session, tmp_path / "mail", BODIES)  # no history, no statements
    found = session.compare(REQUEST)
    assert [one.without for one in found] == [(), *((part,) for part in PERSONAL_PARTS), PERSONAL_PARTS]
    by_part: dict[Any, Any] = {one.without: one for one in found}
    assert by_part[("history",)].same_as == "the one with all of it"
    assert by_part[("history",)].text == ""
    assert by_part[("exemplars",)].same_as == ""
    assert by_part[("exemplars",)].text
    assert by_part[()].prompt_tokens > by_part[("exemplars",)].prompt_tokens
    assert session.store.counts()["interactions"] == 0


def test_of_someone_unknown_all_drafts_are_one(engine: Engine) -> None:
    first, *others = engine.session("nobody").compare(REQUEST)
    assert first.text == REQUEST
    assert {one.same_as for one in others} == {"the one with all of it"}


def test_a_comparison_can_be_stopped_inside_a_draft(full: Session) -> None:
    asked = iter([False] * 3)  # before the first draft, then before each of its words
    with pytest.raises(GenerationCancelled) as caught:
        full.compare(REQUEST, is_cancelled=lambda: next(asked, True))
    assert len(caught.value.partial.split()) == 2


def test_a_backend_that_cannot_tell_says_so(full: Session) -> None:
    given = full.write(REQUEST)
    assert given.prompt is not None
    for act in (lambda: full.score(given.prompt, "x"), lambda: full.why(given.interaction)):  # type: ignore[arg-type]
        with pytest.raises(ConfigError) as caught:
            act()
        assert "generate.backend" in caught.value.hint


def test_a_declined_exchange_has_no_why(full: Session) -> None:
    declined = full.ask("zzz qqq xyzzy plugh?")
    assert declined.abstained
    with pytest.raises(WorkspaceError) as caught:
        full.why(declined.interaction)
    assert "search --explain" in caught.value.hint
    with pytest.raises(WorkspaceError):
        full.why("01NOBODY")


def test_a_draft_says_how_far_it_is_from_her(full: Session) -> None:
    long = (
        "Hello dear friend! " * 3 + "It is, honestly, the most wonderful dinner that anybody ever saw! " * 4
    )
    far, near = full.manner(long), full.manner(BODIES["jo"] + " " + BODIES["mika"])
    assert far is not None
    assert near is not None
    assert far.overall > near.overall
    assert full.engine.session("nobody").manner(long) is None


def test_the_card_follows_what_is_added_and_forgotten(full: Session, tmp_path: Path) -> None:
    assert full.style().pieces == 4
    add_mails(full, tmp_path / "mail", {**BODIES, "vera": "the tyres are here and they fit. I am glad of it,"
                                        " so come and see them when you have the time."})  # fmt: skip
    assert full.style().pieces == 5
    full.forget([key_of(full, "knee.md")])
    assert full.style().pieces == 4


@pytest.mark.parametrize("how", ["forget", "edit", "removed", "modified", "undo"])
def test_what_the_model_has_read_goes_when_something_of_the_person_does(
    full: Session, tmp_path: Path, how: str
) -> None:
    asked = full.ask("What did the doctor say about the knee?").interaction
    full.feedback(asked, "good")
    kept = full.workspace.path / "kv" / "old.kv"
    kept.parent.mkdir()
    kept.write_bytes(b"words")
    if how == "forget":
        full.forget([key_of(full, "menu.md")])
    elif how == "edit":
        full.edit_profile(full.profile_toml())
    elif how == "undo":
        full.undo_feedback(asked)
    else:
        path = tmp_path / "notes" / "menu.md"
        path.unlink() if how == "removed" else path.write_text("# Menu\n\nBread.\n", encoding="utf-8")
        full.add([tmp_path / "notes"])
    assert not kept.exists()


def test_someone_who_is_not_in_use_is_closed_for_room_and_opens_again(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = make_engine(index__open_people=1)
    notes = {f"{name}.md": f"# {name}\n\nThe lamp of {name} is green.\n" for name in ("ana", "ben")}
    for name in ("ana", "ben"):
        engine.session(name).add([write_notes(tmp_path / name, {f"{name}.md": notes[f"{name}.md"]})])
    ana, ben = engine.session("ana"), engine.session("ben")
    for session, name in ((ana, "ana"), (ben, "ben"), (ana, "ana")):
        (hit,) = session.search("lamp", k=1)
        assert hit.document.endswith(f"{name}.md")
    assert ana._store is not None
    assert ben._store is None
