"""What is believed is dated, replaced and never lost, from the person's words alone; the last word is theirs.

Which sentences are statements is for tests/test_claims.py, what they change for tests/learn/test_memories.py;
here plain ones go through the store.
"""

from __future__ import annotations

import itertools
import random
import weakref
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ragperso.errors import ConfigError, PrivacyError
from ragperso.learn.ownership import identity
from ragperso.learn.profile import (
    Loader,
    apply_edit,
    entries,
    history,
    learn_facts,
    learn_request,
    load,
    reason,
    remember,
    to_toml,
)
from ragperso.store import NewDocument, Store
from ragperso.types import Corpus, Document, DocumentId, Fact, StoredDocument

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ANA = identity(["ana@example.org"], ["Ana"])
NICKEL = "I am allergic to nickel."
LOADERS: weakref.WeakKeyDictionary[Store, Loader] = weakref.WeakKeyDictionary()
LEIPZIG, GRAZ, LINZ = "I live in Leipzig.", "I moved to Graz.", "I moved to Linz."


def day(number: int) -> datetime:
    """Return noon of a day of 2025."""
    return datetime(2025, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=number)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def stored(
    store: Store, key: str, text: str, at: datetime | None = None, corpus: Corpus = "documents", **meta: Any
) -> tuple[StoredDocument, str]:
    document = Document(key=key, text=text, source=f"{key}.md", format="markdown", meta=meta, ts=at)
    new = NewDocument(document, (), (), "h", "r1")
    store.put_documents(corpus, [new], embedder_id=store.embedder_id("t", dim=2), vectors={}, now=NOW)
    return store.documents(corpus, keys=[key])[0], text


def learn(store: Store, *documents: tuple[StoredDocument, str], shown: Sequence[str] = ()) -> int:
    return learn_facts(store, documents, ANA, now=NOW, shown=shown)


def held(store: Store, at: datetime = NOW) -> list[str]:
    """Return what is believed, without the final stop, in alphabetical order.

    One loader lives as long as the store: whatever a test changes, it has to notice.
    """
    profile = load(store, now=at)
    assert LOADERS.setdefault(store, Loader(store)).load(at) == profile
    return sorted(fact.text.rstrip(".") for fact in profile.facts)


def forget(store: Store, *keys: str) -> None:
    store.remove_documents([d.id for d in store.documents(keys=keys)], answers=True)


def fact_of(store: Store, words: str) -> Fact:
    (found,) = [fact for fact in store.facts() if words in fact.text]
    return found


def test_a_loader_looks_again_when_a_time_passes_and_only_then(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    loader = Loader(store)
    assert [fact.text for fact in loader.load(day(60)).facts] == [GRAZ]
    assert loader.load(day(61)) is loader.load(day(400))
    assert loader.load(day(49)).facts == ()
    assert loader.load(day(50)).facts != ()
    store.put_profile_value("name", "Ana")
    assert loader.load(day(60)).summary[0].text == "Ana lives in Graz."


# ---------------------------------------------------------------- learning


def test_a_statement_keeps_its_words_its_place_and_its_time(store: Store) -> None:
    text = f"A few words first.\n\n{NICKEL} And after."
    assert learn(store, stored(store, "notes/a.md", text, day(3))) == 1
    (fact,) = store.facts()
    assert text[fact.start : fact.end] == fact.text == NICKEL
    assert (fact.origin, fact.source, fact.at, fact.valid_from) == ("mined", "notes/a.md", day(3), day(3))
    assert (fact.valid_to, fact.superseded_by, fact.n_seen) == (None, 0, 1)
    assert [(entry.origin, entry.line) for entry in entries(store)] == [("notes/a.md:3", 3)]
    assert "nickel" not in repr(fact)


def test_a_document_without_a_date_counts_as_said_when_it_was_added(store: Store) -> None:
    learn(store, stored(store, "notes/a.md", NICKEL))
    assert store.facts()[0].at == NOW


def test_the_newer_holds_and_the_older_is_kept_and_dated(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    assert held(store) == ["I moved to Graz"]
    old, new = history(store, "home")
    assert (old.fact.text, old.fact.valid_to, old.fact.superseded_by) == (
        LEIPZIG,
        day(50),
        new.fact.id,
    )
    assert [entry.fact.text for entry in entries(store, at=NOW)] == [GRAZ]
    assert len(entries(store)) == 2
    assert load(store, now=NOW).summary[0].text == "The person lives in Graz."


def test_the_order_of_reading_does_not_matter(store: Store, tmp_path: Path) -> None:
    said = [
        ("a", LEIPZIG, 0),
        ("b", GRAZ, 50),
        ("c", LINZ, 90),
        ("d", "I live in Leipzig.", 20),
        ("e", NICKEL, 5),
    ]
    outcomes = set()
    for n, order in enumerate(random.Random(5).sample(list(itertools.permutations(said)), 12)):
        other = Store(tmp_path / f"{n}.db")
        for key, text, at in order:
            learn(other, stored(other, key, text, day(at)))
        outcomes.add(
            tuple((f.text, f.at, f.valid_to, f.n_seen) for f in sorted(other.facts(), key=lambda f: f.text))
        )
        other.close()
    assert outcomes == {
        (
            ("I am allergic to nickel.", day(5), None, 1),
            ("I live in Leipzig.", day(20), day(50), 2),
            ("I moved to Graz.", day(50), day(90), 1),
            ("I moved to Linz.", day(90), None, 1),
        )
    }


def test_reading_again_says_nothing_again(store: Store) -> None:
    documents = [
        stored(store, "a", LEIPZIG, day(0)),
        stored(store, "b", f"{GRAZ} {NICKEL}", day(50)),
        stored(store, "c", NICKEL, day(60)),
    ]
    assert learn(store, *documents) == 3
    before = store.facts(repeated=True)
    assert learn(store, *documents) == 0
    assert store.facts(repeated=True) == before
    assert fact_of(store, "nickel").n_seen == 2


def test_what_was_taken_out_does_not_come_back(store: Store) -> None:
    documents = [stored(store, "a", f"{NICKEL} {LEIPZIG}", day(0)), stored(store, "b", NICKEL, day(9))]
    learn(store, *documents)
    assert store.remove_facts([fact_of(store, "nickel").id]) == 1
    assert learn(store, *documents) == 0
    assert learn(store, stored(store, "c", f"Hello. {NICKEL}", day(70))) == 0
    forget(store, "b")
    assert held(store) == ["I live in Leipzig"]
    with store.write() as db:
        assert "nickel" not in str(db.execute("SELECT * FROM facts").fetchall())


def test_received_forwarded_and_generated_text_gives_nothing(store: Store) -> None:
    own = f"{LEIPZIG}\n\n"
    mine = {"from": "ana@example.org", "forwarded_from": len(own)}
    assert learn(
        store,
        stored(store, "mail/1", GRAZ, day(90), **{"from": "jo@x.example"}),
        stored(store, "history/1", LINZ, day(91), kind="interaction"),
        stored(store, "exemplar/1", LINZ, day(92), "exemplars"),
        stored(store, "mail/2", own + NICKEL, day(3), **mine),
    ) == 1  # fmt: skip
    assert [(fact.text, fact.source) for fact in store.facts()] == [(LEIPZIG, "mail/2")]


def test_a_document_that_turns_out_to_be_someone_elses_loses_its_statements(store: Store) -> None:
    document, text = stored(store, "chat", f"Ana: {NICKEL}", day(0), speaker="Ana")
    learn(store, (document, text))
    assert held(store) == ["I am allergic to nickel"]
    other = stored(store, "chat", f"Ana: {NICKEL}", day(0), speaker="Jo")
    learn(store, other)
    assert store.facts(repeated=True) == []


def test_answers_and_passages_that_are_pasted_back_are_not_learned(store: Store) -> None:
    shown = "I am allergic to nickel and to the dust of old books."
    assert learn(store, stored(store, "a", f"{shown} {LEIPZIG}", day(0)), shown=[f"It says: {shown}"]) == 1
    assert held(store) == ["I live in Leipzig"]


def test_a_question_is_learned_from_too(store: Store) -> None:
    text = "I moved to Graz. Where do I register?"
    document, _ = stored(store, "history/i1", text + "\n\nAt the town hall.", day(60), "history")
    learn(store, stored(store, "a", LEIPZIG, day(0)))
    assert learn_request(store, text, document, now=day(60)) == 1
    assert held(store) == ["I moved to Graz"]
    assert learn_request(store, text, document, now=day(60)) == 0
    pasted = "I moved to Graz with my two old cats last week."
    assert (
        learn_request(store, pasted, stored(store, "h", pasted, corpus="history")[0], now=NOW, shown=[pasted])
        == 0
    )


def test_odd_text_and_times_without_a_zone_are_known_again(store: Store) -> None:
    text = "I like \ud800coffee\x00. I live in Leipzig."
    document, _ = stored(store, "history/i1", text, corpus="history")
    for _n in range(2):
        learn_request(store, text, document, now=datetime(2025, 1, 1))
        remember(store, "I play the \udfffviolin.", now=datetime(2025, 1, 1))
        assert len(store.facts(repeated=True)) == 3


def test_hostile_text_takes_no_time(store: Store) -> None:
    for n, text in enumerate(
        ("I like " * 20_000, "In " + "a" * 100_000, '"' * 100_000, "I'm " * 30_000, "my name of " * 9_000)
    ):
        learn(store, stored(store, f"{n}", text))
        learn(store, stored(store, f"{n}", f"Hello. {text}"))


def test_others_facts_are_about_them(store: Store) -> None:
    learn(store, stored(store, "a", f"{LEIPZIG} My sister lives in Rome.", day(0)))
    assert [(f.subject, f.value) for f in store.facts() if f.slot == "home"] == [
        ("", "leipzig"),
        ("sister", "rome"),
    ]
    assert [entry.fact.text for entry in history(store, "sister")] == ["My sister lives in Rome."]


# ---------------------------------------------------------------- remembering


def test_what_is_remembered_replaces_what_was_mined(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)))
    number = remember(store, "I moved to\n Graz.", now=NOW)
    assert held(store) == ["I moved to Graz"]
    old, new = history(store, "home")
    assert (new.fact.id, new.fact.text, new.fact.origin, new.fact.source) == (number, GRAZ, "user", "")
    assert old.fact.superseded_by == number
    assert store.remove_facts([number]) == 1
    assert held(store) == ["I live in Leipzig"]


def test_remembered_twice_is_one_statement(store: Store) -> None:
    for text in (GRAZ, "Call me Ani.", "I live in Leipzig and I am allergic to nickel."):
        assert remember(store, text, now=NOW) == remember(store, text, now=NOW + timedelta(days=1))
    assert len(store.facts()) == 3


def test_what_cannot_be_contradicted_stands_as_it_was_said(store: Store) -> None:
    number = remember(store, "Call me Ani.", now=NOW)
    assert [(f.id, f.text, f.slot) for f in store.facts()] == [(number, "Call me Ani.", "")]
    store.remove_facts([number])
    assert store.facts(repeated=True) == []


def test_what_the_person_also_said_directly_outlives_the_document(store: Store) -> None:
    number = remember(store, LEIPZIG, now=day(0))
    learn(store, stored(store, "a", LEIPZIG, day(10)))
    (fact,) = store.facts()
    assert (fact.id, fact.n_seen, fact.origin, fact.source) == (number, 2, "user", "a")
    forget(store, "a")
    assert held(store) == ["I live in Leipzig"]
    (fact,) = store.facts()
    assert (fact.text, fact.n_seen, fact.origin, fact.source, fact.at) == (LEIPZIG, 1, "user", "", day(0))


# ---------------------------------------------------------------- forgetting


def test_forgetting_the_newer_document_lets_the_older_statement_hold_again(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    forget(store, "b")
    assert held(store) == ["I live in Leipzig"]
    (fact,) = store.facts()
    assert (fact.valid_to, fact.superseded_by) == (None, 0)


def test_forgetting_the_middle_of_three_lets_the_last_replace_the_first(store: Store) -> None:
    learn(
        store,
        *(stored(store, k, t, day(d)) for k, t, d in (("a", LEIPZIG, 0), ("b", GRAZ, 50), ("c", LINZ, 90))),
    )
    forget(store, "b")
    assert held(store) == ["I moved to Linz"]
    old, new = history(store, "home")
    assert (old.fact.valid_to, old.fact.superseded_by) == (day(90), new.fact.id)


def test_forgetting_what_ended_a_statement_lets_it_hold_again(store: Store) -> None:
    learn(
        store,
        stored(store, "a", "I play the violin.", day(0)),
        stored(store, "b", "I no longer play the violin.", day(50)),
    )
    assert "I play the violin" not in held(store)
    forget(store, "b")
    assert held(store) == ["I play the violin"]


def test_forgetting_one_of_two_that_say_the_same_leaves_the_other(store: Store) -> None:
    learn(store, stored(store, "a", f"Hello.\n{LEIPZIG}", day(0)), stored(store, "b", LEIPZIG, day(50)))
    (fact,) = store.facts()
    assert (fact.source, fact.n_seen, fact.valid_from) == ("b", 2, day(0))
    forget(store, "b")
    assert held(store) == ["I live in Leipzig"]
    (fact,) = store.facts()
    assert (fact.source, fact.start, fact.at, fact.n_seen) == ("a", 7, day(0), 1)
    forget(store, "a")
    assert store.facts(repeated=True) == held(store) == []


def test_the_older_of_two_that_say_the_same_can_be_forgotten(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", LEIPZIG, day(50)))
    number = store.facts()[0].id
    forget(store, "a")
    assert held(store) == ["I live in Leipzig"]
    (fact,) = store.facts()
    assert (fact.id, fact.source, fact.n_seen, fact.valid_from) == (number, "b", 1, day(50))


def test_a_plan_keeps_its_own_end_when_what_moved_it_is_forgotten(store: Store) -> None:
    first = "I have a dentist appointment on 20 January 2025."
    moved = "My dentist appointment was moved to 25 January 2025."
    learn(store, stored(store, "a", first, day(0)))
    end = store.facts()[0].valid_to
    assert end is not None
    assert end.date().isoformat() in ("2025-01-20", "2025-01-21")
    learn(store, stored(store, "b", moved, day(5)))
    forget(store, "b")
    assert len(held(store, day(10))) == 1
    (fact,) = store.facts()
    assert (fact.valid_to, fact.superseded_by) == (end, 0)
    assert held(store, day(30)) == []


def test_what_is_hidden_from_a_prompt_changes_nothing_in_it(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    before = store.facts()
    profile = load(store, now=NOW, hide=["b"])
    assert [fact.text for fact in profile.facts] == [LEIPZIG]
    assert profile.summary[0].text == "The person lives in Leipzig."
    assert load(store, now=NOW, hide=["a", "b"]).facts == ()
    assert store.facts() == before


def test_an_edited_note_says_nothing_anew_where_its_words_stay(store: Store) -> None:
    learn(store, stored(store, "a", f"{LEIPZIG} {NICKEL}", day(0)), stored(store, "b", GRAZ, day(50)))
    number = fact_of(store, "nickel").id
    text = f"A new first line.\n\n{NICKEL} I play the violin. {LEIPZIG}"
    assert learn(store, stored(store, "a", text, day(80)), shown=[NICKEL]) == 1  # the violin
    assert held(store) == ["I am allergic to nickel", "I moved to Graz", "I play the violin"]
    fact = fact_of(store, "nickel")
    assert (fact.id, fact.at, text[fact.start : fact.end]) == (number, day(0), NICKEL)


def test_an_edited_note_loses_what_it_no_longer_says(store: Store) -> None:
    learn(store, stored(store, "a", f"{NICKEL} {LEIPZIG}", day(0)))
    learn(store, stored(store, "a", f"It is not true that {NICKEL} {GRAZ}", day(0)))
    assert held(store) == ["I moved to Graz"]
    assert len(store.facts(repeated=True)) == 1


def test_statements_of_an_older_store_take_part(store: Store) -> None:
    """Before schema 3 there were words and a place alone."""
    document, _ = stored(store, "a", f"{LEIPZIG} More.", day(0))
    store.put_fact(LEIPZIG, origin="mined", now=day(0), document=document.id, start=0, end=len(LEIPZIG))
    store.put_fact("I am a nurse.", origin="user", now=day(1))
    store.put_fact("Call me Ani.", origin="user", now=day(1))
    store.put("facts_stale", "1")  # as the migration does
    assert held(store) == ["Call me Ani", "I am a nurse", "I live in Leipzig"]
    assert {fact.slot for fact in store.facts()} == {"home", "job", ""}
    assert learn(store, (document, f"{LEIPZIG} More."), stored(store, "b", GRAZ, day(50))) == 1
    assert held(store) == ["Call me Ani", "I am a nurse", "I moved to Graz"]


# ---------------------------------------------------------------- reading


def test_the_profile_puts_the_persons_own_words_first(store: Store) -> None:
    learn(store, stored(store, "notes/a.md", f"\n\n{NICKEL}"))
    remember(store, "Call me Ani.", now=NOW - timedelta(days=9))
    store.put_profile_value("name", "Ana Keller")
    store.put_profile_value("languages", ["en", "de"])
    profile = load(store, now=NOW, style=["Sentences are short."])
    assert (profile.name, profile.languages) == ("Ana Keller", ("en", "de"))
    assert [fact.text for fact in profile.facts] == ["Call me Ani.", NICKEL]
    assert profile.style == ("Sentences are short.",)
    assert [line.text for line in profile.summary if "nickel" in line.text] == [
        "Ana Keller is allergic to nickel."
    ]
    assert len(load(store, now=NOW, max_facts=1).facts) == 1
    assert [entry.origin for entry in entries(store)] == ["you", "notes/a.md:3"]
    assert "nickel" not in repr(profile)


def test_a_moment_before_something_was_said_knows_nothing_of_it(store: Store) -> None:
    learn(store, stored(store, "a", NICKEL, day(10)))
    assert held(store, day(9)) == []
    assert held(store, day(11)) == ["I am allergic to nickel"]


def test_history_can_be_of_a_slot_a_person_or_a_word(store: Store) -> None:
    learn(
        store,
        stored(store, "a", f"{LEIPZIG} I like coffee. My sister lives in Rome.", day(0)),
        stored(store, "b", GRAZ, day(50)),
    )
    found = {
        about: [e.fact.text for e in history(store, about)]
        for about in ("home", "Sister", "taste", "LEIP", "x")
    }
    assert found == {
        "home": [LEIPZIG, "My sister lives in Rome.", GRAZ],
        "Sister": ["My sister lives in Rome."],
        "taste": ["I like coffee."],
        "LEIP": [LEIPZIG],
        "x": [],
    }
    assert len(history(store)) == 4


def test_a_reason_shows_the_words_around_and_what_was_replaced(store: Store) -> None:
    text = f"We packed all week. {GRAZ} It rained."
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", text, day(50)))
    found = reason(store, fact_of(store, "Graz").id, now=NOW)
    assert found.passage == text
    assert [entry.fact.text for entry in found.before] == [LEIPZIG]
    assert found.after == ()
    assert 0.5 < found.confidence <= 1
    old = reason(store, fact_of(store, "Leipzig").id, now=NOW)
    assert ([e.fact.text for e in old.after], old.before) == ([GRAZ], ())
    direct = reason(store, remember(store, "Call me Ani.", now=NOW), now=NOW)
    assert (direct.passage, direct.confidence, direct.entry.origin) == ("", 1.0, "you")
    assert "packed" not in repr(found)
    with pytest.raises(PrivacyError) as caught:
        reason(store, 99, now=NOW)
    assert caught.value.hint


# ---------------------------------------------------------------- editing

HOSTILE = [
    'a "quoted" \\ word', "'''", '"""', "line\nbreak\r\n", "tab\t", "nul-like \x01\x1f\x7f",
    "a\u2028b\u0085c", "ünï 用户 👩‍👧", "# no comment", "]] [[facts]]", "\\u0041", "text = 1",
    " leading and trailing ",
]  # fmt: skip


def test_an_untouched_text_changes_nothing(store: Store) -> None:
    for text in HOSTILE:
        store.put_fact(text, origin="user", now=NOW)
    store.put_profile_value("name", HOSTILE[0])
    store.put_profile_value("languages", HOSTILE)
    store.put_profile_value("addresses", HOSTILE[:3])
    before, facts, audit = store.profile_values(), store.facts(), store.audit()
    done = apply_edit(store, to_toml(store, now=NOW), now=NOW)
    assert done == {"settings": [], "added": 0, "changed": 0, "removed": 0}
    assert (store.profile_values(), store.facts(), store.audit()) == (before, facts, audit)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_statements_survive_the_text(store: Store, text: str) -> None:
    number = store.put_fact("old", origin="user", now=NOW)
    shown = to_toml(store, now=NOW)
    store.remove_facts([number])
    store.put_fact(text, origin="user", now=NOW)
    again = to_toml(store, now=NOW)
    assert again != shown
    assert apply_edit(store, again, now=NOW, before=again)["changed"] == 0
    assert [f.text for f in store.facts()] == [text]


def test_only_what_is_held_is_there_to_edit(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    shown = to_toml(store, now=NOW)
    assert "Graz" in shown
    assert "Leipzig" not in shown
    assert apply_edit(store, shown, now=NOW)["removed"] == 0
    assert len(store.facts()) == 2


def test_an_edit_does_exactly_what_was_changed(store: Store) -> None:
    learn(store, stored(store, "notes/a.md", f"{NICKEL} I like rye bread.", day(0)))
    number = remember(store, "I keep bees.", now=NOW)
    store.put_profile_value("name", "Ana")
    store.put_profile_value("languages", ["en"])
    shown = to_toml(store, now=NOW)
    edited = (
        shown.replace('name = "Ana"', 'name = "Ana Keller"')
        .replace("I like rye bread.", "I like white bread.")
        .replace(f'[[facts]]  # you\nid = {number}\ntext = "I keep bees."\n', "")
    )
    edited += '\n[[facts]]\ntext = "I row on Sundays."\n'
    assert apply_edit(store, edited, now=NOW) == {
        "settings": ["name"],
        "added": 1,
        "changed": 1,
        "removed": 1,
    }
    assert held(store) == ["I am allergic to nickel", "I like white bread", "I row on Sundays"]
    assert {f.text for f in store.facts()} == {
        NICKEL, "I like rye bread.", "I like white bread.", "I row on Sundays."
    }  # fmt: skip
    assert store.profile_values() == {"name": "Ana Keller", "languages": ["en"]}
    assert "bread" not in str(store.audit()[0][-1].detail)


def edit(store: Store, old: str, new: str) -> None:
    shown = to_toml(store, now=NOW)
    assert shown.count(old) == 1
    apply_edit(store, shown.replace(old, new), now=NOW, before=shown)


@pytest.mark.parametrize(
    ("old", "new"), [(LEIPZIG, "I live in Graz."), ("I like rye bread.", "Call me Ani.")]
)
def test_what_was_corrected_is_kept_dated_and_does_not_come_back(store: Store, old: str, new: str) -> None:
    """Whether or not the new words are about the same thing."""
    document = stored(store, "a", old, day(0))
    learn(store, document)
    edit(store, old, new)
    assert held(store) == [new.rstrip(".")]
    before, after = fact_of(store, old), fact_of(store, new)
    assert (before.superseded_by, before.valid_to) == (after.id, day(0))  # it was never true
    assert [e.fact.text for e in reason(store, after.id, now=NOW).before] == [old]
    learn(store, document)
    assert held(store) == [new.rstrip(".")]
    learn(store, stored(store, "a", f"Another beginning, and then. Well.\n\n{old}", day(400)))
    learn(store, stored(store, "b", old, day(30)))
    assert held(store) == [new.rstrip(".")]
    store.put("facts_stale", "1")
    assert held(store) == [new.rstrip(".")]
    assert [fact.text for fact in load(store, now=NOW, hide=["b"]).facts] == [new]


def test_a_statement_that_was_edited_and_then_deleted_leaves_nothing(store: Store) -> None:
    document = stored(store, "a", "I like rye bread.", day(0))
    learn(store, document)
    edit(store, "I like rye bread.", "I like white bread.")
    edit(store, "I like white bread.", "I like black bread.")
    (number,) = (fact.id for fact in load(store, now=NOW).facts)
    shown = to_toml(store, now=NOW)
    cut = shown[: shown.index("[[facts]]  # you\nid")]
    assert apply_edit(store, cut, now=NOW, before=shown)["removed"] == 1
    assert held(store) == store.facts() == []
    learn(store, document)
    assert store.facts() == []
    assert number


def test_deleting_lines_takes_a_statement_out_for_good(store: Store) -> None:
    documents = stored(store, "a", NICKEL, day(0)), stored(store, "b", NICKEL, day(9))
    learn(store, *documents)
    shown = to_toml(store, now=NOW)
    apply_edit(store, shown[: shown.index("[[facts]]  # b")], now=NOW, before=shown)
    assert store.is_hidden_fact(NICKEL)
    learn(store, *documents)
    assert store.facts(repeated=True) == []


def test_what_was_mined_during_the_edit_stays(store: Store) -> None:
    shown = to_toml(store, now=NOW)
    store.put_fact(LEIPZIG, origin="mined", now=NOW)
    assert apply_edit(store, shown, now=NOW, before=shown)["removed"] == 0
    assert len(store.facts()) == 1
    assert apply_edit(store, shown, now=NOW)["removed"] == 1  # without knowing what was shown


def test_what_was_said_again_during_the_edit_can_still_be_deleted(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)))
    shown = to_toml(store, now=NOW)
    learn(store, stored(store, "b", LEIPZIG, day(50)))
    apply_edit(store, shown[: shown.index("[[facts]]  # a")], now=NOW, before=shown)
    assert store.facts(repeated=True) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "Ana"\nlanguages = [', "line 2"),
        ("name = Ana", "line 1"),
        ('name = "Ana', "TOML"),
        ("name = 7", "name must be"),
        ('languages = "en"', "languages must be"),
        ("addresses = [1]", "addresses must be"),
        ("nmae = 'x'", "no setting"),
        ("facts = 3", r"\[\[facts\]\]"),
        ("[[facts]]\nid = 1", "statement 1"),
        ('[[facts]]\ntext = ""', "statement 1"),
        ('[[facts]]\ntext = "a"\ncolour = 1', "statement 1"),
        ('[[facts]]\nid = 99\ntext = "a"', "no statement with id 99"),
        ('[[facts]]\nid = 1\ntext = "a"\n[[facts]]\nid = 1\ntext = "b"', "repeated id"),
        ('[[facts]]\nid = true\ntext = "a"', "statement 1"),
        ("name = 'a'\nname = 'b'", "line 2"),
    ],
)
def test_a_broken_text_changes_nothing_and_names_the_place(store: Store, text: str, message: str) -> None:
    store.put_fact("I keep bees.", origin="user", now=NOW)
    store.put_profile_value("name", "Ana")
    with pytest.raises(ConfigError, match=message) as caught:
        apply_edit(store, text, now=NOW)
    assert caught.value.hint
    assert [f.text for f in store.facts()] == ["I keep bees."]
    assert store.profile_values() == {"name": "Ana"}


def test_a_file_name_cannot_break_out_of_its_comment(store: Store) -> None:
    key = 'notes/a\nname = "Evil"\n.md'
    learn(store, stored(store, key, NICKEL))
    assert "Evil" in to_toml(store, now=NOW)
    assert apply_edit(store, to_toml(store, now=NOW), now=NOW)["settings"] == []


def test_damaged_details_are_read_as_none(store: Store) -> None:
    learn(store, stored(store, "a", LEIPZIG, day(0)), stored(store, "b", GRAZ, day(50)))
    for detail in ("{", "[1]", '{"starts": 7, "certainty": "x"}', '{"replaces": 3}', "null"):
        with store.write() as db:
            db.execute("UPDATE facts SET detail = ?", (detail,))
        store.put("facts_stale", "1")
        assert [fact.text for fact in load(store, now=NOW).facts] == [GRAZ]
        assert DocumentId(1)
