"""Stage 7, learn: what the engine believes of the person, where from, and how the person corrects it.

In: the person's own documents; the edited text of the profile.  Out: statements with their offsets, a
:class:`Profile`, the changes an edit made.
Never: infers, rephrases, or takes a statement from a question, a condition, a quote or someone else's text.

Mining is a handful of patterns for whole first-person sentences in English, German and French.  They miss
much and are meant to: a wrong belief costs more than a missing one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ragperso.errors import ConfigError
from ragperso.learn.ownership import Identity, register_of
from ragperso.segment import blocks, sentences
from ragperso.store import Store
from ragperso.types import Fact, Json, Profile, StoredDocument

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_FACTS_PER_DOCUMENT: Final = 4
MIN_WORDS: Final = 4
MAX_WORDS: Final = 30  # a longer sentence says several things

# ---------------------------------------------------------------- mining

_EN_THING: Final = (
    r"(?:name|birthday|partner|wife|husband|girlfriend|boyfriend|son|daughter|children|kids|mother|father|mum"
    r"|mom|dad|sister|brother|doctor|dentist|bank|address|phone number|job|employer|boss|landlord"
    r"|neighbou?r|dog|cat|car|bike|blood type|shoe size|mother tongue|native language"
    r"|(?:very )?favou?rite (?:\w+ )?\w+)"
)
_DE_THING: Final = (
    r"(?:Name|Geburtstag|Partner(?:in)?|Frau|Mann|Freund(?:in)?|Sohn|Tochter|Kinder|Mutter|Vater|Schwester"
    r"|Bruder|Arzt|Ärztin|Zahnarzt|Zahnärztin|Bank|Adresse|Telefonnummer|Beruf|Chef(?:in)?|Vermieter(?:in)?"
    r"|Nachbar(?:in)?|Hund|Katze|Auto|Fahrrad|Blutgruppe|Schuhgröße|Muttersprache|Lieblings\w+)"
)
_FR_THING: Final = (
    r"(?:nom|prénom|anniversaire|compagne|compagnon|femme|mari|fils|fille|enfants|mère|père|sœur|frère|médecin"
    r"|dentiste|banque|adresse|numéro de téléphone|métier|chef|patron|propriétaire|voisine?|chien|chat"
    r"|voiture|vélo|groupe sanguin|pointure|langue maternelle|\w+ préférée?)"
)
# After a verb of liking these say nothing on their own: "I like it", "I love how ...".
_EN_VAGUE: Final = (
    r"(?!(?:it|this|that|these|those|them|him|her|you|to (?:think|believe|say|imagine|hear|see|admit)|how"
    r"|when|what|where|the (?:idea|fact|way|thought|sound|look)|your|his|her|their)\b)"
)
_EN_COUNT: Final = r"(?:an?|one|two|three|four|five|six)"
_STATEMENTS: Final = tuple(
    # Written one kind a line; blanks at line ends and begins do not count, blanks inside do.
    re.compile("".join(line.strip() for line in lines.splitlines()), re.IGNORECASE)
    for lines in (
        rf"""
        (?:(?:on|since|in) [^,;:]{{2,40}},? )?(?:
        i(?:'m| am) (?:allergic|intolerant) to \w
        |i (?:live|work) (?:in|at|as|for|near|on|from|with) (?!(?:it|this|that|peace|hope|fear)\b)\w
        |i study \w
        |i(?:'m| am| was) (?:born|raised) (?:in|on) \w
        |i grew up (?:in|on|near) \w
        |i(?:'m| am) (?:\w+ )?(?:vegetarian|vegan|left-handed|right-handed|colou?r-?blind|diabetic|married
            |divorced|widowed|pregnant|retired|self-employed)\b
        |i(?:'m| am) an? (?:[\w-]+ ){{0,2}}(?:vegetarian|vegan|teacher|nurse|doctor|engineer|developer
            |programmer|designer|student|baker|builder|carpenter|pharmacist|dentist|lawyer|writer|journalist
            |translator|librarian|farmer|musician|photographer|architect|accountant|researcher|mechanic)\b
        |i (?:really |always |still |also )?(?:like|love|hate|prefer|dislike) {_EN_VAGUE}\w
        |i (?:always |usually )?(?:drink|eat) (?!(?:it|this|that|them|the)\b)\w
        |i (?:play|speak|own|collect|bank with) (?!(?:it|this|that|them|with|to|up|for|of|the role)\b)\w
        |i (?:have )?(?:moved|switched|changed) (?:to|from|my|banks?|jobs?|house)\b(?! mind)
        |i have {_EN_COUNT} (?:\w+ )?(?:sons?|daughters?|child|children|kids|cats?|dogs?|brothers?
            |sisters?)\b
        |my {_EN_THING}(?: (?:in|on|at|from|of|since|'s) [^,;]{{1,40}}?|'s name)? (?:is|are|was born)
            (?! (?:\w+ing|so|back|still|at|now|here|away|too|very|just|going|in (?:the )?way)\b) \w
        )""",
        rf"""(?:
        ich (?:wohne|lebe|arbeite) (?:(?:seit|jetzt|noch|immer) [^,;]{{1,30}} )?
            (?:in|im|bei|als|am|an|auf|für) \w
        |ich bin (?:allergisch gegen|\w+ allergisch|in \w+ (?:geboren|aufgewachsen))
        |ich bin (?:Vegetarier|Veganer|Linkshänder|Rechtshänder|Diabetiker)(?:in)?\b
        |ich bin (?:verheiratet|geschieden|selbstständig|farbenblind|schwanger)\b
        |ich (?:mag|liebe|hasse|bevorzuge) (?!(?:es|das|dies|ihn|sie|dich|euch|den Gedanken)\b)\w
        |ich (?:trinke|esse|spiele|spreche) (?!(?:es|das|mit|von|über|ihn|sie|gerade)\b)\w
        |ich habe (?:eine?n?|zwei|drei|vier) (?:\w+ )?(?:Kind(?:er)?|Söhne?|Töchter|Tochter|Hunde?|Katzen?
            |Brüder|Bruder|Schwestern?)\b
        |mein(?:e|er)? {_DE_THING} (?:ist|sind|heißt|heißen) \w
        )""",
        rf"""(?:
        j'habite (?:à|au|en|dans|chez|rue|près|depuis)\b
        |je (?:vis|travaille) (?:à|au|en|dans|chez|comme|pour|depuis) \w
        |je suis (?:allergique|intolérante?) (?:à|au|aux) \w
        |je suis (?:née?|mariée?|divorcée?|gaucher|gauchère|végétarien|végétarienne|végane)\b
        |(?:j'aime|j'adore|je déteste|je préfère) (?:bien |beaucoup )?(?!(?:ça|cela|ce|quand|bien|comme
            |penser|croire|l'idée)\b)\w
        |je (?:bois|mange) (?!(?:ça|cela)\b)\w
        |je (?:joue (?:au|du|de)|parle) \w
        |j'ai (?:une?|deux|trois|quatre) (?:\w+ )?(?:enfants?|fils|filles?|chiens?|chats?|frères?|sœurs?)\b
        |j'ai (?:déménagé|changé de) \w
        |(?:mon|ma|mes) {_FR_THING}(?: [^,;.]{{1,30}}?)? (?:est|sont|s'appelle(?:nt)?) \w
        )""",
    )
)
# Denied, imagined, hoped, asked, reported: true of a thought, perhaps not of the person.
_UNSURE: Final = re.compile(
    r"""\b(?:not|never|no\ longer|nothing|nobody|if|unless|would|could|might|may|should|maybe|perhaps|imagine
    |suppose|pretend|wish|probably|used\ to|as\ though|said|says|asked|thought|dreamt|dreamed|joke|joking
    |nicht|nie|niemals|kein\w*|wenn|falls|würde\w*|könnte\w*|hätte\w*|vielleicht|wäre\w*|wohl|früher|sagt|sagte
    |pas|jamais|plus|si|serais|serait|aurais|pourrais|voudrais|aimerais|peut-être|dit|disait|rien|aucune?
    )\b|n't\b|\bn'\w""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTE_MARK: Final = re.compile('["“”„«»]')
_APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'", "\u00a0": " ", "\u202f": " "})
_LIST_MARK: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+")


def mine_facts(document: StoredDocument, text: str, *, is_own: bool) -> list[tuple[str, int, int]]:
    """Return (statement, start, end) of plain first-person sentences; ``text[start:end]`` is its source.

    The statement is the sentence itself on one line.  Answers and exemplars give none: what they say was
    said elsewhere first.
    """
    kind = document.meta.get("kind")
    if not is_own or document.corpus == "exemplars" or kind in ("interaction", "exemplar"):
        return []
    found: list[tuple[str, int, int]] = []
    for block in blocks(text):
        if block.kind not in ("paragraph", "list") or text.startswith(">", block.start):
            continue
        for start, end in sentences(text, block.start, block.end):
            if mark := _LIST_MARK.match(text, start, end):
                start = mark.end()
            if _is_statement(text[start:end]) and not _is_quoted(text, block.start, start):
                found.append((" ".join(text[start:end].split()), start, end))
                if len(found) == MAX_FACTS_PER_DOCUMENT:
                    return found
    return found


def _is_statement(sentence: str) -> bool:
    plain = " ".join(sentence.translate(_APOSTROPHES).split())
    if not MIN_WORDS <= len(plain.split()) <= MAX_WORDS or plain.rstrip(" )*_").endswith(
        ("?", ":", "…", "...")
    ):
        return False
    if _QUOTE_MARK.search(plain) or _UNSURE.search(plain):
        return False
    return any(pattern.match(plain) for pattern in _STATEMENTS)


def _is_quoted(text: str, start: int, end: int) -> bool:
    """Say whether a quotation is open at ``end``: an odd number of quote marks since the block began."""
    return len(_QUOTE_MARK.findall(text, start, end)) % 2 == 1


def learn_facts(
    store: Store, documents: Iterable[tuple[StoredDocument, str]], person: Identity, *, now: datetime
) -> int:
    """Store what the person's own documents say of them; return how many statements are new.

    What the person took out does not come back.
    """
    known = {fact.text for fact in store.facts()}
    n_new = 0
    with store.write():
        for document, text in documents:
            own = register_of(document, person) is not None
            for statement, start, end in mine_facts(document, text, is_own=own):
                if statement in known or store.is_hidden_fact(statement):
                    continue
                known.add(statement)
                at = document.ts or now
                store.put_fact(statement, origin="mined", now=at, document=document.id, start=start, end=end)
                n_new += 1
    return n_new


# ---------------------------------------------------------------- reading

MAX_FACTS: Final = 40  # of which the prompt's budget keeps the first that fit


def load(store: Store, *, max_facts: int = MAX_FACTS, style: Sequence[str] = ()) -> Profile:
    """Return the profile as prompts use it: the person's own statements first, then the newest mined ones."""
    values = store.profile_values()
    return Profile(
        name=str(values.get("name") or ""),
        languages=tuple(str(code) for code in values.get("languages") or ()),
        facts=tuple(store.facts()[:max_facts]),
        style=tuple(style),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement with the place that proves it; ``line`` is 0 when the person said it directly."""

    fact: Fact
    line: int = 0

    @property
    def origin(self) -> str:
        """Return where it comes from, for a screen: ``notes/knee.md:12`` or ``you``."""
        return f"{self.fact.source}:{self.line}" if self.fact.source else "you"


def entries(store: Store) -> list[Entry]:
    """Return every visible statement with its source."""
    facts = store.facts()
    ids = {d.key: d.id for d in store.documents(keys=sorted({f.source for f in facts if f.source}))}
    return [Entry(f, store.line_of(ids[f.source], f.start) if f.source in ids else 0) for f in facts]


# ---------------------------------------------------------------- editing

_HEADER: Final = """\
# What ragperso believes of you.  Change, add or delete lines, then save and close.
# A statement you delete is not mined again.  A new one needs no id:
#
#   [[facts]]
#   text = "I take my tea without milk."

"""
_BARE_KEYS: Final = ("name", "languages", "addresses", "facts")


@dataclass(frozen=True, slots=True)
class _Edit:
    """The profile as a text says it."""

    settings: Mapping[str, Any] = field(repr=False)
    facts: Mapping[int, str] = field(repr=False)
    new: tuple[str, ...] = field(repr=False)


def to_toml(store: Store) -> str:
    """Return the profile as a text to edit."""
    values = store.profile_values()
    lines = [
        _HEADER + f"name = {_toml(str(values.get('name') or ''))}",
        f"languages = {_toml_list(values.get('languages') or ())}",
        f"addresses = {_toml_list(values.get('addresses') or ())}  # mail addresses; names used in chats",
    ]
    for entry in entries(store):
        lines += [
            "",
            f"[[facts]]  # {_comment(entry.origin)}",
            f"id = {entry.fact.id}",
            f"text = {_toml(entry.fact.text)}",
        ]
    return "\n".join(lines) + "\n"


def apply_edit(store: Store, after: str, *, now: datetime, before: str = "") -> dict[str, Json]:
    """Apply to the store exactly what the person changed; return ``settings``, ``added`` and the like.

    ``before`` is the text the person was shown: with it, what was mined meanwhile stays.  Without it the
    store as it is now counts as shown.  Raises: ConfigError naming the line or the key; then nothing changes.
    """
    old, new = _parse(before or to_toml(store)), _parse(after)
    if unknown := sorted(new.facts.keys() - old.facts.keys()):
        raise ConfigError(f"there is no statement with id {unknown[0]}", hint="a new statement needs no id")
    settings = [key for key, value in new.settings.items() if value != old.settings[key]]
    removed = [i for i in old.facts if i not in new.facts]
    changed = [i for i, text in new.facts.items() if text != old.facts[i]]
    done: dict[str, Json] = {
        "settings": settings, "added": len(new.new), "changed": len(changed), "removed": len(removed)
    }  # fmt: skip
    with store.write():
        for key in settings:
            store.put_profile_value(key, new.settings[key] or None)
        store.remove_facts([*removed, *changed])
        for text in (*(new.facts[i] for i in changed), *new.new):
            store.put_fact(text, origin="user", now=now)
        if any(done.values()):
            store.put_audit("profile", done, now)
    return done


def _parse(text: str) -> _Edit:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = re.search(r"at line (\d+)", str(exc))  # otherwise "at end of document"
        line = found.group(1) if found else text.count("\n") + 1
        raise ConfigError(
            f"line {line} of the profile is not valid TOML", hint="ragperso profile edit"
        ) from None
    for key in data:
        if key not in _BARE_KEYS:
            name = repr(key) if key.isidentifier() and len(key) <= 20 else "of such a name"
            raise ConfigError(f"the profile has no setting {name}", hint=f"it knows {', '.join(_BARE_KEYS)}")
    settings: dict[str, Any] = {"name": data.get("name", "")}
    if not isinstance(settings["name"], str):
        raise ConfigError("name must be text in quotes", hint="ragperso profile edit")
    for key in ("languages", "addresses"):
        settings[key] = data.get(key, [])
        if not isinstance(settings[key], list) or not all(isinstance(v, str) for v in settings[key]):
            raise ConfigError(f"{key} must be a list of texts in quotes", hint="ragperso profile edit")
    facts: dict[int, str] = {}
    new: list[str] = []
    rows = data.get("facts", [])
    if not isinstance(rows, list):
        raise ConfigError("facts must be written as [[facts]]", hint="ragperso profile edit")
    for number, row in enumerate(rows, 1):
        statement = row.get("text") if isinstance(row, dict) else None
        if not isinstance(statement, str) or not statement.strip() or row.keys() - {"id", "text"}:
            raise ConfigError(
                f"statement {number} needs a text in quotes and nothing else but its id",
                hint="to remove a statement, delete its lines",
            )
        if "id" not in row:
            new.append(statement.strip())
        elif type(row["id"]) is not int or row["id"] in facts:
            raise ConfigError(f"statement {number} has a wrong or repeated id", hint="a new one needs no id")
        else:
            facts[row["id"]] = statement
    return _Edit(settings, facts, tuple(new))


def _toml(value: str) -> str:
    """Return ``value`` as a TOML basic string: one line, nothing in it can end it."""
    out = []
    for char in value:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif code < 0x20 or 0x7F <= code <= 0x9F or char in "\u2028\u2029":
            out.append(f"\\u{code:04X}")
        else:
            # TOML text is UTF-8, which has no lone surrogates.
            out.append("\ufffd" if 0xD800 <= code <= 0xDFFF else char)
    return '"' + "".join(out) + '"'


def _toml_list(values: Sequence[Any]) -> str:
    return "[" + ", ".join(_toml(str(value)) for value in values) + "]"


def _comment(text: str) -> str:
    """Return ``text`` fit for a TOML comment; a file name may hold a line break."""
    return "".join(char if char.isprintable() else "?" for char in text)
