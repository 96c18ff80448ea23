"""Statements are taken only where the person plainly made them, and the person has the last word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ragperso.errors import ConfigError
from ragperso.learn.ownership import identity
from ragperso.learn.profile import apply_edit, entries, learn_facts, load, mine_facts, to_toml
from ragperso.store import NewDocument, Store
from ragperso.types import Document, StoredDocument

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ANA = identity(["ana@example.org"], ["Ana"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def stored(store: Store, key: str, text: str, **meta: Any) -> tuple[StoredDocument, str]:
    document = Document(key=key, text=text, source=key, format="markdown", meta=meta)
    new = NewDocument(document, (), (), "h", "r1")
    store.put_documents("documents", [new], embedder_id=store.embedder_id("t", dim=2), vectors={}, now=NOW)
    return store.documents(keys=[key])[0], text


@pytest.fixture
def one(store: Store) -> StoredDocument:
    return stored(store, "notes/a.md", "")[0]


# ---------------------------------------------------------------- mining


@pytest.mark.parametrize(
    "sentence",
    [
        "I live in Leipzig.",
        "I'm allergic to nickel.",
        "I’m allergic to nickel and dust.",
        "I prefer tea over coffee.",
        "I like my coffee black, with no sugar.",
        "I work as a frame builder.",
        "I'm a hospital pharmacist.",
        "I have two daughters.",
        "I grew up in a small town near Ghent.",
        "I moved my account from Nordwall to Lindenkasse.",
        "In March 2025 I changed banks.",
        "My neighbour on the third floor is Frau Petzold.",
        "My favourite colour is green.",
        "My dog is called Rufus.",
        "Ich wohne seit 2019 in Leipzig.",
        "Ich bin allergisch gegen Nickel.",
        "Ich trinke meinen Kaffee schwarz.",
        "Mein Zahnarzt ist Dr. Lindner.",
        "J'habite à Lyon depuis dix ans.",
        "J’habite à Lyon depuis dix ans.",
        "Je suis allergique aux noix.",
        "Ma compagne s'appelle Camille.",
        "Je préfère le pain de seigle.",
    ],
)
def test_plain_statements_are_taken(one: StoredDocument, sentence: str) -> None:
    assert mine_facts(one, f"Some words first. {sentence} And after.", is_own=True) == [
        (sentence, 18, 18 + len(sentence))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Do I live in Leipzig?",
        "I live in Leipzig?",
        "I don't live in Leipzig.",
        "I do not like black coffee at all.",
        "I never drink coffee at night.",
        "If I live in Leipzig, I need a bike.",
        "I live in Leipzig if all goes well.",
        "I would live in Leipzig at once.",
        "I like the idea of moving away.",
        "I like it when nobody talks.",
        "I love how the light falls.",
        "I live in hope and fear.",
        'Jo said: "I live in Leipzig."',
        "“I live in Leipzig. I like it there a lot,” she wrote.",
        "> I live in Leipzig.",
        "    I live in Leipzig.",
        "```\nI live in Leipzig.\n```",
        "# I live in Leipzig now",
        "| I live in Leipzig | yes |",
        "She lives in Leipzig now.",
        "You live in Leipzig now.",
        "My guess is that it rains.",
        "My mom is back at work now.",
        "Ich wohne nicht in Leipzig.",
        "Ich mag es, wenn niemand redet.",
        "Wenn ich in Leipzig wohne, brauche ich ein Rad.",
        "Je n'habite pas à Lyon.",
        "J'aime quand personne ne parle.",
        "I like " + "very " * 40 + "long sentences.",
        "I live.",
        "",
    ],
)
def test_everything_doubtful_is_left(one: StoredDocument, text: str) -> None:
    assert mine_facts(one, text, is_own=True) == []


def test_what_others_wrote_and_what_the_model_wrote_gives_nothing(store: Store) -> None:
    text = "I live in Leipzig."
    document, _ = stored(store, "a", text)
    assert mine_facts(document, text, is_own=False) == []
    answer, _ = stored(store, "b", text, kind="interaction")
    assert mine_facts(answer, text, is_own=True) == []


def test_a_document_gives_a_few_statements_at_most(one: StoredDocument) -> None:
    text = " ".join(f"I like town number {n} in the north." for n in range(20))
    assert len(mine_facts(one, text, is_own=True)) == 4


def test_a_statement_over_two_lines_is_one_line_with_its_true_place(one: StoredDocument) -> None:
    text = "Note.\n\n- I live in\n  Leipzig now.\n"
    ((statement, start, end),) = mine_facts(one, text, is_own=True)
    assert statement == "I live in Leipzig now."
    assert text[start:end] == "I live in\n  Leipzig now."


def test_learning_adds_each_statement_once_and_nothing_taken_out(store: Store) -> None:
    documents = [
        stored(store, "notes/a.md", "I live in Leipzig. I like rye bread."),
        stored(store, "notes/b.md", "I live in Leipzig."),
        stored(store, "mail", "I live in Rome.", **{"from": "jo@x.example"}),
    ]
    assert learn_facts(store, documents, ANA, now=NOW) == 2
    assert learn_facts(store, documents, ANA, now=NOW) == 0
    store.remove_facts([f.id for f in store.facts() if "rye" in f.text])
    assert learn_facts(store, documents, ANA, now=NOW) == 0
    assert [(f.text, f.origin, f.source) for f in store.facts()] == [
        ("I live in Leipzig.", "mined", "notes/a.md")
    ]


# ---------------------------------------------------------------- reading


def test_the_profile_puts_the_persons_own_words_first(store: Store) -> None:
    learn_facts(store, [stored(store, "notes/a.md", "\n\nI live in Leipzig.")], ANA, now=NOW)
    store.put_fact("Call me Ani.", origin="user", now=NOW - timedelta(days=9))
    store.put_profile_value("name", "Ana Keller")
    store.put_profile_value("languages", ["en", "de"])
    profile = load(store, style=["Sentences are short."])
    assert (profile.name, profile.languages) == ("Ana Keller", ("en", "de"))
    assert [f.text for f in profile.facts] == ["Call me Ani.", "I live in Leipzig."]
    assert profile.style == ("Sentences are short.",)
    assert len(load(store, max_facts=1).facts) == 1
    assert [entry.origin for entry in entries(store)] == ["you", "notes/a.md:3"]
    assert "Leipzig" not in repr(profile)


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
    done = apply_edit(store, to_toml(store), now=NOW)
    assert done == {"settings": [], "added": 0, "changed": 0, "removed": 0}
    assert (store.profile_values(), store.facts(), store.audit()) == (before, facts, audit)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_statements_survive_the_text(store: Store, text: str) -> None:
    number = store.put_fact("old", origin="user", now=NOW)
    shown = to_toml(store)
    store.remove_facts([number])
    store.put_fact(text, origin="user", now=NOW)
    again = to_toml(store)
    assert again != shown
    assert apply_edit(store, again, now=NOW, before=again)["changed"] == 0
    assert [f.text for f in store.facts()] == [text]


def test_an_edit_does_exactly_what_was_changed(store: Store) -> None:
    learn_facts(store, [stored(store, "notes/a.md", "I live in Leipzig. I like rye bread.")], ANA, now=NOW)
    store.put_fact("I keep bees.", origin="user", now=NOW)
    store.put_profile_value("name", "Ana")
    store.put_profile_value("languages", ["en"])
    shown = to_toml(store)
    edited = (
        shown.replace('name = "Ana"', 'name = "Ana Keller"')
        .replace("I like rye bread.", "I like white bread.")
        .replace("[[facts]]  # you\nid = 3\n" + 'text = "I keep bees."\n', "")
    )
    edited += '\n[[facts]]\ntext = "I row on Sundays."\n'
    assert apply_edit(store, edited, now=NOW) == {
        "settings": ["name"],
        "added": 1,
        "changed": 1,
        "removed": 1,
    }
    assert {(f.text, f.origin) for f in store.facts()} == {
        ("I live in Leipzig.", "mined"),
        ("I like white bread.", "user"),
        ("I row on Sundays.", "user"),
    }
    assert store.profile_values() == {"name": "Ana Keller", "languages": ["en"]}
    assert store.is_hidden_fact("I like rye bread.")
    assert "bread" not in str(store.audit()[0][-1].detail)


def test_what_was_mined_during_the_edit_stays(store: Store) -> None:
    shown = to_toml(store)
    store.put_fact("I live in Leipzig.", origin="mined", now=NOW)
    assert apply_edit(store, shown, now=NOW, before=shown)["removed"] == 0
    assert len(store.facts()) == 1
    assert apply_edit(store, shown, now=NOW)["removed"] == 1  # without knowing what was shown


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
    learn_facts(store, [stored(store, key, "I live in Leipzig.")], ANA, now=NOW)
    assert apply_edit(store, to_toml(store), now=NOW)["settings"] == []


def test_hostile_text_takes_no_time(one: StoredDocument) -> None:
    for text in (
        "I like " * 20_000,
        "In " + "a" * 100_000,
        '"' * 100_000,
        "I'm " * 30_000,
        "my name of " * 9_000,
    ):
        mine_facts(one, text, is_own=True)
