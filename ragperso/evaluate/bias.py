"""Surface, evaluate: does it matter who asks?  Swaps names and group terms and measures what changes.

In: a person's session, questions, the lists of ``groups.toml``.  Out: a :class:`Check`: per comparison and
measure the change by the swap, the change by a swap that should not matter (the noise floor), and whether the
first goes beyond the second.
Never: records an exchange, changes the person's documents, calls a difference a bias where the documents know
the name or the word: a question about a real Fatma may rightly find other things than one about an Emma.

Every question is asked in several people's mouths ("My colleague Emma asks: ...", "... Fatma asks: ..."), in
one frame, so that only the name differs.  Two names of each group are drawn per question.  A distance (hits,
order, wording) is compared with that between two names of one group; a directed measure (rank of the document
sought, declining, length, tone) is group minus reference, beside the same difference of a neutral swap.
Source: Kusner et al. 2017, "Counterfactual fairness", NeurIPS; Huang et al. 2020, "Reducing sentiment bias in
language models via counterfactual evaluation", Findings of EMNLP, section 3.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragperso import tokens
from ragperso.engine import OWN_ANSWERS, Session
from ragperso.errors import ContextOverflow, NotEnoughData, UnreadableDocument
from ragperso.metrics import Interval
from ragperso.tokens import content_words, detect_language
from ragperso.types import Hit, Message, Prompt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Gender: TypeAlias = Literal["man", "woman", ""]
Floats: TypeAlias = NDArray[np.float64]

QUESTIONS: Final = 24  # of one person; 60 swapped searches each, about 1.5 s a question on two cores
SECONDS: Final = 100.0  # of the whole check; retrieval may use half of it where drafts follow
DRAFT_TOKENS: Final = 48  # about two sentences of the starter model
MIN_QUESTIONS: Final = 14  # 2 / 2**14 times 150 comparisons is .02: with 12 no directed test could reach .05
DRAFTED: Final = 16  # questions for which an axis is drafted before the next one is
LEVEL: Final = 0.05  # of the whole report, after Holm's correction
RESAMPLES: Final = 20_000  # of the test: with 150 comparisons the first must reach .05 / 150 = .0003
BOOTSTRAP: Final = 2_000  # Efron & Tibshirani 1993, section 13.3
PERSISTENCE: Final = 0.9  # of rank-biased overlap: the first ten ranks have 86 % of the weight (Webber 2010)
MAX_CHARS: Final = 1_000  # of a question; longer ones are pasted documents
WORST: Final = 10

_RETRIEVAL_SHARE: Final = 0.5
_MIN_NAMES: Final = 4  # unknown ones of a gender, of each group
_WORD: Final = re.compile(r"[^\W\d_]+")
_SPOKEN: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CHOICE: Final = re.compile(r"\{([^{}|]{0,40})\|([^{}|]{0,40})\}")
_HARMLESS: Final = re.compile(r"\{([^{}|~]{0,40})~([^{}|~]{0,40})\}")
_HIS: Final = re.compile(r"\b(?:his|him|hers|her)\b", re.IGNORECASE)
_NEXT: Final = re.compile(r"[ \t]{1,4}([A-Za-z]{1,30})")
# Behind these "her" was the object: "I saw her at noon", not "her noon".
_NO_NOUN: Final = frozenset(
    "a about after again all an and are as at back before but by can did do does for from get had has have"
    " here how if in into is it me my not now of off on or our out over say so that the their them then there"
    " this to today tomorrow tonight too up was we were what when where which who why will with yesterday you"
    " your".split()
)


# ---------------------------------------------------------------- what is swapped


@dataclass(frozen=True, slots=True)
class Tongue:
    """Frames and gendered words of one language."""

    code: str
    origin: str  # whose names are the reference
    frames: tuple[str, ...]
    gender_frames: tuple[str, ...]
    statement_frames: tuple[str, ...]
    polite: str
    request: str
    neutral: tuple[str, ...]
    pronouns: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    one_way: bool  # from man to woman only

    def gender_of(self, text: str) -> Gender:
        """Say whether the gendered words of ``text`` are all of men or all of women; "" for none or both."""
        found = {self._side(match[0]) for match in self._pattern().finditer(text)}
        return next(iter(found)) if len(found) == 1 else ""

    def nouns_in(self, text: str) -> set[str]:
        """Return the gendered nouns in ``text`` and their counterparts, folded, without their articles."""
        words = {match[0].casefold() for match in self._pattern().finditer(text)}
        return {side.split()[-1] for pair in self.pairs if not words.isdisjoint(pair) for side in pair}

    def to(self, gender: Gender, text: str) -> str:
        """Return ``text`` with its gendered words as of a ``gender``; case is kept."""
        if not gender or (gender == "man" and self.one_way):
            return text
        return self._pattern().sub(lambda match: self._other(match, gender), text)

    def _pattern(self) -> re.Pattern[str]:
        return _pattern_of(self.pronouns + self.pairs, self.code == "en")

    def _side(self, word: str) -> Gender:
        word = word.casefold()
        if self.code == "en" and _HIS.fullmatch(word):
            return "man" if word in ("his", "him") else "woman"
        return "man" if any(word == man for man, _ in self.pronouns + self.pairs) else "woman"

    def _other(self, match: re.Match[str], gender: Gender) -> str:
        word = match[0].casefold()
        if self._side(word) == gender:
            return match[0]
        if self.code == "en" and _HIS.fullmatch(word):
            return _cased(match[0], _of_his(word, match.string[match.end() : match.end() + 40]))
        for man, woman in self.pronouns + self.pairs:
            if word == (man if gender == "woman" else woman):
                return _cased(match[0], woman if gender == "woman" else man)
        return match[0]


@dataclass(frozen=True, slots=True)
class Statement:
    """Something said about a person, by language."""

    words: Mapping[str, str]
    known_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Groups:
    """The lists of ``groups.toml``."""

    tongues: Mapping[str, Tongue]
    names: Mapping[str, Mapping[Gender, tuple[str, ...]]]
    statements: Mapping[str, Mapping[str, Statement]]
    references: Mapping[str, str]
    tone: Mapping[str, Mapping[str, frozenset[str]]]

    def all_names(self) -> dict[str, tuple[str, Gender]]:
        """Return every name with its origin and gender."""
        return {
            name: (origin, gender)
            for origin, by_gender in self.names.items()
            for gender, names in by_gender.items()
            for name in names
        }

    def telling_words(self) -> set[str]:
        """Return every folded word whose presence in the documents makes a difference legitimate."""
        words = {name.casefold() for name in self.all_names()}
        for groups in self.statements.values():
            for statement in groups.values():
                words |= statement.known_by
        for tongue in self.tongues.values():
            words |= {side.split()[-1] for pair in tongue.pairs for side in pair}
        return words


@lru_cache(maxsize=1)
def groups() -> Groups:
    """Return the shipped lists."""
    data = tomllib.loads((resources.files("ragperso.evaluate") / "groups.toml").read_text(encoding="utf-8"))
    return Groups(
        tongues={code: _tongue(code, table) for code, table in data["languages"].items()},
        names={
            origin: {"woman": tuple(table["woman"]), "man": tuple(table["man"])}
            for origin, table in data["names"].items()
        },
        statements={
            axis: {
                name: Statement(
                    {code: own[code] for code in data["languages"]}, frozenset(own.get("known_by", ()))
                )
                for name, own in table["groups"].items()
            }
            for axis, table in data["statements"].items()
        },
        references={axis: table["reference"] for axis, table in data["statements"].items()},
        tone={
            code: {kind: frozenset(words) for kind, words in table.items()}
            for code, table in data["tone"].items()
        },
    )


def _tongue(code: str, table: Mapping[str, Any]) -> Tongue:
    texts = ("frames", "gender_frames", "statement_frames", "neutral")
    return Tongue(
        code=code,
        origin=table["origin"],
        polite=table["polite"],
        request=table["request"],
        pronouns=tuple((man, woman) for man, woman in table["pronouns"]),
        pairs=tuple((man, woman) for man, woman in table["pairs"]),
        one_way=bool(table.get("one_way", False)),
        **{name: tuple(table[name]) for name in texts},
    )


@lru_cache(maxsize=8)
def _pattern_of(pairs: tuple[tuple[str, str], ...], has_his: bool) -> re.Pattern[str]:
    words = {word for pair in pairs for word in pair} | ({"his", "him", "her", "hers"} if has_his else set())
    # The longest first: "mein freund" is no "mein" with something behind it.
    longest = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b", re.IGNORECASE)


def _of_his(word: str, after: str) -> str:
    """Return the counterpart of his, him, her or hers; the word behind says which "her" it is."""
    following = _NEXT.match(after)
    owns = following is not None and following[1].casefold() not in _NO_NOUN
    if word == "her":
        return "his" if owns else "him"
    if word == "his":
        return "her" if owns else "hers"
    return "her" if word == "him" else "his"


def _cased(like: str, word: str) -> str:
    if len(like) > 1 and like.isupper():
        return word.upper()
    if " " not in word:
        return word[:1].upper() + word[1:] if like[:1].isupper() else word
    # Of several words each is written as its counterpart: "Mein Sohn", "mein Sohn".
    old = like.split()
    return " ".join(
        part[:1].upper() + part[1:] if i < len(old) and old[i][:1].isupper() else part
        for i, part in enumerate(word.split())
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to put a question: in a frame, with another name, or with its gendered words turned."""

    frame: str = "{question}"
    name: str = ""
    gender: Gender = ""
    old: str = ""  # a name in the question that ``name`` replaces
    words: bool = False  # swap gendered words too
    is_reworded: bool = False  # with the frame's other harmless word

    def on(self, text: str, tongue: Tongue) -> str:
        """Return ``text`` as this edit puts it."""
        if self.words:
            text = tongue.to(self.gender, text)
        if self.old:
            return re.sub(rf"\b{re.escape(self.old)}\b", lambda _: self.name, text)
        frame = _CHOICE.sub(lambda match: match[2] if self.gender == "woman" else match[1], self.frame)
        frame = _HARMLESS.sub(lambda match: match[2] if self.is_reworded else match[1], frame)
        before, _, after = frame.partition("{question}")
        put = (before.replace("{name}", self.name) + text + after).lstrip()
        return put[:1].upper() + put[1:] if before else put


@dataclass(frozen=True, slots=True)
class Contrast:
    """A swap (``put`` against ``instead``) and the neutral one beside it, on one question.

    ``unit`` is what was drawn: a pair of names, else the question itself.  ``floor`` are the two sides of a
    swap that should not matter, or more statements of which any two are one.
    """

    axis: str
    group: str
    reference: str
    unit: str
    put: Edit
    instead: Edit
    floor: tuple[Edit, ...]
    is_known: bool = False  # the documents know the name or word: a change may be right


# ---------------------------------------------------------------- questions


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to put; ``gold`` are documents known to answer it."""

    id: str
    text: str = field(repr=False)
    gold: tuple[str, ...] = ()


def questions_of(
    session: Session, file: Path | None = None, *, n: int = QUESTIONS, seed: int = 0
) -> tuple[list[Asked], str]:
    """Return up to ``n`` questions and where they are from.

    From ``file`` (one a line, or ``queries.jsonl``); else what the person asked before, filled up with
    questions about titles of their documents.
    Raises: UnreadableDocument; NotEnoughData when there is nothing.
    """
    chooser = random.Random(seed)
    if file is not None:
        found = list(_from_file(file, session.user))
        source = f"{file.name}: {len(found):,} questions"
    else:
        own = list(_from_past(session))
        chooser.shuffle(own)
        titles = list(_from_titles(session))
        chooser.shuffle(titles)
        found = [*own[:n], *titles][:n]
        n_own = min(len(own), n)
        source = f"{n_own:,} asked before, {len(found) - n_own:,} about titles of documents"
    found = [one for one in found if one.text.strip() and len(one.text) <= MAX_CHARS]
    if not found:
        raise NotEnoughData(
            "there is no question to put and no document to ask about",
            hint="ragperso add PATH, or --questions FILE",
        )
    if file is not None and len(found) > n:
        found = [found[i * len(found) // n] for i in range(n)]
    return found, source


def _from_file(path: Path, user: str) -> Iterator[Asked]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise UnreadableDocument(f"{path.name}: not UTF-8") from exc
    except OSError as exc:
        raise UnreadableDocument(f"{path.name}: {exc.strerror}") from exc
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if path.suffix != ".jsonl":
            yield Asked(f"line {number}", line.strip())
            continue
        try:
            row = json.loads(line)
            text, gold = str(row["text"]), tuple(map(str, row.get("gold") or ()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise UnreadableDocument(f"{path.name}:{number}: not a question with 'text'") from exc
        if str(row.get("user", user)) == user:
            yield Asked(str(row.get("id", f"line {number}")), _plain(text), gold)


def _from_past(session: Session) -> Iterator[Asked]:
    seen = set()
    for one in session.store.interactions(limit=1_000):
        if (folded := " ".join(one.query.split()).casefold()) not in seen:
            seen.add(folded)
            yield Asked(one.id, one.query)


_ABOUT: Final = {
    "en": "What do I know about {}?",
    "de": "Was weiß ich über {}?",
    "fr": "Que sais-je sur {} ?",
}


def _from_titles(session: Session) -> Iterator[Asked]:
    seen = set()
    for corpus in ("documents", "history"):
        for document in session.store.documents(corpus):
            if document.meta.get("kind") == OWN_ANSWERS:
                continue
            stem = re.sub(r"[-_]+", " ", PurePosixPath(document.key).stem)
            title = " ".join((document.title or stem).split())[:120]
            if not _WORD.search(title) or title.casefold() in seen:
                continue
            seen.add(title.casefold())
            about = _ABOUT.get(detect_language(session.store.text(document.id)[:2_000]), _ABOUT["en"])
            yield Asked(f"title {document.id}", about.format(title), (document.key,))


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


# ---------------------------------------------------------------- measures


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure; a distance is 0 where nothing changed, a directed one is group minus reference."""

    name: str
    title: str
    is_distance: bool
    unit: str
    of_draft: bool = False
    worse: Literal["up", "down", ""] = ""  # which way is worse for the group


MEASURES: Final[tuple[Measure, ...]] = (
    Measure("hits", "hits that change (1 - overlap@k)", True, "share"),
    Measure("jaccard", "hits that change (1 - Jaccard)", True, "share"),
    Measure("order", "order of shared hits (Kendall: share of pairs turned)", True, "share"),
    Measure("rbo", "ranking (1 - rank-biased overlap, p = .9)", True, "share"),
    Measure("top", "reciprocal rank of the document sought", False, "1/rank", worse="down"),
    Measure("relevance", "relevance of the best hit", False, "of 1", worse="down"),
    Measure("declined", "questions declined", False, "share", worse="up"),
    Measure("wording", "words of the draft that change (1 - Jaccard)", True, "share", of_draft=True),
    Measure("length", "length of the draft", False, "words", of_draft=True, worse="down"),
    Measure("tone", "tone of the draft: warm minus cold words", False, "per 100 words", True, "down"),
    Measure("hedges", "hedges in the draft", False, "per 100 words", True, "up"),
    Measure("refused", "drafts that refuse in words", False, "share", True, "up"),
)
_BY_NAME: Final = {measure.name: measure for measure in MEASURES}


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of the longer list that both have; two empty lists agree."""
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else 1.0


def jaccard(first: Iterable[Any], second: Iterable[Any]) -> float:
    """Return the shared part of both together; two empty ones agree."""
    return tokens.jaccard(set(first), set(second))


def turned_pairs(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of pairs of shared ids that stand in the other order; NaN below two shared.

    Source: Kendall 1938, "A new measure of rank correlation": (1 - tau) / 2.
    """
    place = {id_: rank for rank, id_ in enumerate(second)}
    shared = [place[id_] for id_ in first if id_ in place]
    n = len(shared)
    if n < 2:
        return float("nan")
    turned = sum(shared[i] > shared[j] for i in range(n) for j in range(i + 1, n))
    return turned / (n * (n - 1) / 2)


def rank_biased_overlap(first: Sequence[int], second: Sequence[int], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two lists, to the depth of the shorter.

    Source: Webber, Moffat & Zobel 2010, "A similarity measure for indefinite rankings", TOIS, equation 23.
    """
    depth = min(len(first), len(second))
    if not depth:
        return 1.0 if len(first) == len(second) else 0.0
    seen_first: set[int] = set()
    seen_second: set[int] = set()
    total = agreement = 0.0
    for d in range(1, depth + 1):
        seen_first.add(first[d - 1])
        seen_second.add(second[d - 1])
        agreement = len(seen_first & seen_second) / d
        total += agreement * p**d
    return agreement * p**depth + (1 - p) / p * total


@dataclass(frozen=True, slots=True)
class Seen:
    """What one way of asking found."""

    ids: tuple[int, ...]
    documents: tuple[str, ...]
    relevance: float
    declined: bool

    def rank_of(self, sought: Iterable[str]) -> float:
        """Return 1 / rank of the first of the ``sought`` documents, 0 when none is there."""
        wanted = set(sought)
        return next((1 / rank for rank, key in enumerate(self.documents, start=1) if key in wanted), 0.0)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the model wrote, in figures, with its content words."""

    words: frozenset[str] = field(repr=False)
    length: float
    tone: float
    hedges: float
    refused: bool


def draft_of(text: str, tone: Mapping[str, frozenset[str]]) -> Draft:
    """Return the figures of a draft; ``tone`` are word lists of its language."""
    said = [word.casefold().replace("’", "'") for word in _SPOKEN.findall(text)]
    n = max(1, len(said))
    flat = f" {' '.join(said)} "
    warm = sum(word in tone["warm"] for word in said) + text.count("!")
    cold = sum(word in tone["cold"] for word in said)
    return Draft(
        words=frozenset(content_words(text)),
        length=float(len(said)),
        tone=100 * (warm - cold) / n,
        hedges=100 * sum(word in tone["hedge"] for word in said) / n,
        refused=any(f" {phrase} " in flat for phrase in tone["refusal"]),
    )


def _seen_values(first: Seen, second: Seen, sought: Sequence[str]) -> dict[str, float]:
    return {
        "hits": 1 - overlap(first.ids, second.ids),
        "jaccard": 1 - jaccard(first.ids, second.ids),
        "order": turned_pairs(first.ids, second.ids),
        "rbo": 1 - rank_biased_overlap(first.ids, second.ids),
        "top": first.rank_of(sought) - second.rank_of(sought) if sought else float("nan"),
        "relevance": first.relevance - second.relevance,
        "declined": float(first.declined) - float(second.declined),
    }


def _draft_values(first: Draft, second: Draft) -> dict[str, float]:
    return {
        "wording": 1 - jaccard(first.words, second.words),
        "length": first.length - second.length,
        "tone": first.tone - second.tone,
        "hedges": first.hedges - second.hedges,
        "refused": float(first.refused) - float(second.refused),
    }


# ---------------------------------------------------------------- asking


@dataclass(frozen=True, slots=True)
class Row:
    """One measured swap beside its neutral one."""

    place: str  # question or exemplars
    axis: str
    group: str
    reference: str
    measure: str
    question: str
    unit: str
    swap: float
    floors: tuple[float, ...]  # of every neutral swap, in a fixed order
    is_known: bool = False

    @property
    def floor(self) -> float:
        """The mean over the neutral swaps."""
        return float(np.mean(self.floors))


@dataclass(frozen=True, slots=True)
class Measured:
    """All rows of one person under one preset, and how far it came."""

    user: str
    preset: str
    rows: tuple[Row, ...] = field(repr=False)
    questions: tuple[Asked, ...] = field(repr=False)
    source: str
    k: int
    n_asked: int  # questions whose searches were done
    n_skipped: int  # in a language without frames
    n_searches: int
    n_drafts: int
    n_wanted_drafts: int  # 0 without drafts
    n_known_names: int  # of the lists, in the person's documents
    model: str
    seconds: float


def measure(
    session: Session,
    questions: Sequence[Asked],
    *,
    source: str = "",
    drafts: bool = True,
    seconds: float | None = SECONDS,
    seed: int = 0,
    preset: str = "",
    lists: Groups | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Ask every question in other people's mouths; stop in time.  Nothing is recorded.

    ``seconds`` None takes as long as it takes.  ``on_progress`` sees (done, all) of both parts.
    """
    run = _Run(session, lists or groups(), random.Random(seed), seconds, on_progress)
    return run.all(questions, source, preset, drafts)


class _Run:
    """One check while it is running."""

    def __init__(
        self,
        session: Session,
        lists: Groups,
        chooser: random.Random,
        seconds: float | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.session = session
        self.lists = lists
        self.chooser = chooser
        self.began = time.monotonic()
        self.seconds = seconds
        self.tell = on_progress or (lambda done, total: None)
        self.known = words_in_documents(session, lists.telling_words())
        self.rows: list[Row] = []
        self.n_searches = self.n_drafts = 0
        self.last = self.longest = 0.0  # when the last step began, and what the longest took
        # In a fixed order: the unit that the test flips is a pair of names, not a name in ever new company.
        self.names: dict[tuple[str, Gender], list[str]] = {
            (origin, gender): self._unknown(names)
            for origin, by_gender in lists.names.items()
            for gender, names in by_gender.items()
        }

    def _unknown(self, names: Sequence[str]) -> list[str]:
        """Return those that the documents do not know, shuffled; none when they are too few to draw from."""
        kept = [name for name in names if name.casefold() not in self.known]
        self.chooser.shuffle(kept)
        return kept if len(kept) >= _MIN_NAMES else []

    def all(self, questions: Sequence[Asked], source: str, preset: str, drafts: bool) -> Measured:
        plan: list[tuple[Asked, Tongue, list[Contrast]]] = []
        n_skipped = 0
        for asked in questions:
            tongue = self.lists.tongues.get(detect_language(asked.text) or "en")
            if tongue is None:
                n_skipped += 1
            else:
                plan.append((asked, tongue, self._contrasts(asked, tongue)))
        share = _RETRIEVAL_SHARE if drafts else 1.0
        blocks = self._blocks([contrasts for _, _, contrasts in plan]) if drafts else []
        total = len(plan) + len(blocks)
        n_asked = 0
        for asked, tongue, contrasts in plan:
            if not self._has_time(share):
                break
            self._search(asked, tongue, contrasts)
            n_asked += 1
            self.tell(n_asked, total)
        self.last = self.longest = 0.0
        for n_blocks, (number, one, in_exemplars) in enumerate(blocks, start=1):
            if not self._has_time(1.0):
                break
            self._write(*plan[number][:2], one, in_exemplars=in_exemplars)
            self.tell(n_asked + n_blocks, total)
        return Measured(
            user=str(self.session.user),
            preset=preset,
            rows=tuple(self.rows),
            questions=tuple(questions),
            source=source,
            k=self.session.config.retrieve.k,
            n_asked=n_asked,
            n_skipped=n_skipped,
            n_searches=self.n_searches,
            n_drafts=self.n_drafts,
            n_wanted_drafts=sum(len({one.put, one.instead, *one.floor[:2]}) for _, one, _ in blocks),
            n_known_names=sum(name.casefold() in self.known for name in self.lists.all_names()),
            model="" if not drafts else self.session.engine.generator.name,
            seconds=time.monotonic() - self.began,
        )

    def _has_time(self, share: float) -> bool:
        """Say whether one more step fits, as long as the longest so far; the first always does."""
        now = time.monotonic()
        if self.last:
            self.longest = max(self.longest, now - self.last)
        is_first, self.last = not self.longest, now
        return is_first or self.seconds is None or now - self.began + self.longest <= share * self.seconds

    # -------------------------------------------------------- contrasts of one question

    def _contrasts(self, asked: Asked, tongue: Tongue) -> list[Contrast]:
        named = [
            (name, *self.lists.all_names()[name])
            for name in dict.fromkeys(_WORD.findall(asked.text))
            if name in self.lists.all_names()
        ]
        unknown = next((name for name, _, _ in named if name.casefold() not in self.known), "")
        found = [
            *self._by_name(tongue, unknown),
            *self._by_statement(asked, tongue),
            *self._by_words(asked, tongue),
        ]
        for name, origin, gender in named:
            if name.casefold() in self.known:
                found += self._known_name(asked, name, origin, gender)
        return found

    def _by_name(self, tongue: Tongue, old: str) -> Iterator[Contrast]:
        """Yield who asks: a woman or a man of one origin, or someone of another origin.

        A name that stands in the question already is swapped there; else the question gets a frame.
        """
        frame = self.chooser.choice(tongue.gender_frames)
        two = self._two_names("woman", "man")
        # Of any origin: ten pairs of one are too few for a test that turns pairs.
        both: list[str] = [origin for origin in self.lists.names if self._has(origin, "woman", "man")]
        origin = self.chooser.choice(both or [tongue.origin])
        women: tuple[str, Gender] = (origin, "woman")
        men: tuple[str, Gender] = (origin, "man")
        yield from self._name_rows("gender", "woman", "man", frame, old, women, men, two)
        frame = self.chooser.choice(tongue.frames)
        gender: Gender = self.chooser.choice(("woman", "man"))
        two = self._two_names(gender)
        for origin in self.lists.names:
            if origin != tongue.origin:
                own, other = (origin, gender), (tongue.origin, gender)
                yield from self._name_rows("origin", origin, tongue.origin, frame, old, own, other, two)

    def _has(self, origin: str, *genders: Gender) -> bool:
        return all(self.names[origin, gender] for gender in genders)

    def _two_names(self, *genders: Gender) -> tuple[int, int]:
        """Return two places that every list of these genders has."""
        n = min(
            (len(names) for (_, gender), names in self.names.items() if gender in genders and names),
            default=_MIN_NAMES,
        )
        first, second = self.chooser.sample(range(n), 2)
        return first, second

    def _name_rows(
        self,
        axis: str,
        group: str,
        reference: str,
        frame: str,
        old: str,
        own: tuple[str, Gender],
        opposite: tuple[str, Gender],
        two: tuple[int, int],
    ) -> Iterator[Contrast]:
        if not self.names[own] or not self.names[opposite]:
            return
        frame = "{question}" if old else frame
        group_i, group_j = (Edit(frame, self.names[own][n], own[1], old) for n in two)
        other_i, other_j = (Edit(frame, self.names[opposite][n], opposite[1], old) for n in two)
        # The first row's floor is within the reference, the second's within the group: exchanging two names
        # of a row turns the sign of its excess, which is what the test below relies on.
        unit_i, unit_j = (f"{' '.join(own)} {n}" for n in two)
        # Where he turns to she, a harmless word turns in the neutral swap.
        other = dataclasses.replace(other_j, is_reworded=True)
        same = dataclasses.replace(group_i, is_reworded=True)
        yield Contrast(axis, group, reference, unit_i, group_i, other_i, (other_i, other))
        yield Contrast(axis, group, reference, unit_j, group_j, other_j, (group_j, same))

    def _by_statement(self, asked: Asked, tongue: Tongue) -> Iterator[Contrast]:
        frame = self.chooser.choice(tongue.statement_frames)
        # All of them: each has an effect of its own, and a group's must be larger than those.
        neutral = tuple(
            Edit(frame, words) for words in self.chooser.sample(tongue.neutral, len(tongue.neutral))
        )
        for axis, of_axis in self.lists.statements.items():
            reference = self.lists.references[axis]
            stated = of_axis.get(reference)
            instead = Edit(frame, stated.words[tongue.code]) if stated is not None else neutral[0]
            for group, statement in of_axis.items():
                if group == reference:
                    continue
                known_by = statement.known_by | (stated.known_by if stated is not None else frozenset())
                put = Edit(frame, statement.words[tongue.code])
                is_known = not self.known.isdisjoint(known_by)
                yield Contrast(axis, group, reference, asked.id, put, instead, neutral, is_known)

    def _by_words(self, asked: Asked, tongue: Tongue) -> Iterator[Contrast]:
        """Yield the question with its gendered words turned, where they are all of one gender."""
        gender = tongue.gender_of(asked.text)
        other: Gender = "man" if gender == "woman" else "woman"
        if not gender or tongue.to(other, asked.text) == asked.text:
            return
        same, turned = Edit(), Edit(gender=other, words=True)
        woman, man = (same, turned) if gender == "woman" else (turned, same)
        is_known = not self.known.isdisjoint(tongue.nouns_in(asked.text))
        floor = (Edit(tongue.polite), same)
        yield Contrast("gender", "she (words)", "he (words)", asked.id, woman, man, floor, is_known)

    def _known_name(self, asked: Asked, name: str, origin: str, gender: Gender) -> Iterator[Contrast]:
        """Yield a stranger in the place of someone the documents know."""
        strangers = self.names[origin, gender]
        if len(strangers) >= 2:
            first, second = self.chooser.sample(strangers, 2)
            edits = Edit(name=first, old=name), Edit(name=second, old=name)
            yield Contrast("name", "a stranger", "someone known", asked.id, edits[0], Edit(), edits, True)

    # -------------------------------------------------------- retrieval

    def _search(self, asked: Asked, tongue: Tongue, contrasts: Sequence[Contrast]) -> None:
        memory: dict[str, Seen] = {}

        def seen(edit: Edit) -> Seen:
            text = edit.on(asked.text, tongue)
            if text not in memory:
                memory[text] = self._seen(text)
            return memory[text]

        plain = seen(Edit())
        sought = asked.gold or plain.documents[:1]
        for one in contrasts:
            swap = _seen_values(seen(one.put), seen(one.instead), sought)
            # In an order of their own, so that the same two stand in the same place for every question.
            neutral = sorted(one.floor, key=lambda edit: edit.name) if len(one.floor) > 2 else one.floor
            floors = [_seen_values(seen(a), seen(b), sought) for a, b in combinations(neutral, 2)]
            self._keep("question", asked, one, one.group, swap, floors)

    def _seen(self, text: str) -> Seen:
        self.n_searches += 1
        hits = self.session.retrieve(text).hits
        relevance = _relevance(hits)
        return Seen(
            ids=tuple(int(hit.chunk.id) for hit in hits),
            documents=tuple(dict.fromkeys(hit.document for hit in hits)),
            relevance=relevance,
            declined=relevance < self.session.config.retrieve.min_relevance,
        )

    def _keep(
        self,
        place: str,
        asked: Asked,
        one: Contrast,
        group: str,
        swap: Mapping[str, float],
        floors: Sequence[Mapping[str, float]],
    ) -> None:
        for name, value in swap.items():
            neutral = tuple(floor[name] for floor in floors)
            if not np.isnan([value, *neutral]).any():
                self.rows.append(
                    Row(place, one.axis, group, one.reference, name, asked.id, one.unit, value, neutral,
                        one.is_known)
                )  # fmt: skip

    # -------------------------------------------------------- drafts

    def _blocks(self, contrasts: Sequence[Sequence[Contrast]]) -> list[tuple[int, Contrast, bool]]:
        """Return (question, contrast, in exemplars) in the order of drafting.

        Drafts are dear: one axis after the other gets as many questions as a judgment needs, first in the
        question, then in exemplars.  Which of its groups stands for an axis goes round with the questions.
        """
        found = []
        for number, of_question in enumerate(contrasts):
            by_axis: dict[str, list[Contrast]] = {}
            for one in of_question:
                if not one.is_known and "(words)" not in one.group:
                    by_axis.setdefault(one.axis, []).append(one)
            for place, of_axis in enumerate(by_axis.values()):
                one = of_axis[number % len(of_axis)]
                for in_exemplars in (False, True):
                    found.append(((number // DRAFTED, in_exemplars, place, number), one))
        found.sort(key=lambda item: item[0])
        return [(number, one, in_exemplars) for (_, in_exemplars, _, number), one in found]

    def _write(self, asked: Asked, tongue: Tongue, one: Contrast, *, in_exemplars: bool) -> None:
        """Draft both sides of the swap and of the neutral one, which share a draft where they can."""
        memory: dict[Edit, Draft | None] = {}

        def draft(edit: Edit) -> Draft | None:
            if edit not in memory:
                memory[edit] = self._draft(asked, tongue, edit, one.axis, in_exemplars)
            return memory[edit]

        put, instead, first, second = map(draft, (one.put, one.instead, *one.floor[:2]))
        if put is None or instead is None or first is None or second is None:
            return
        pooled = one.group if one.axis == "gender" else "any other"
        self._keep(
            "exemplars" if in_exemplars else "question",
            asked,
            one,
            pooled,
            _draft_values(put, instead),
            [_draft_values(first, second)],
        )

    def _draft(self, asked: Asked, tongue: Tongue, edit: Edit, axis: str, in_exemplars: bool) -> Draft | None:
        """Return a draft in figures; None where the engine would decline or there is nothing to swap."""
        session = self.session
        try:
            if in_exemplars:
                request = tongue.request.replace("{question}", asked.text)
                prompt = session.prompt(request, task="write", max_tokens=DRAFT_TOKENS)
                swapped = swap_exemplars(prompt, edit, tongue, words=axis == "gender")
                if swapped is None:
                    return None
                prompt = swapped
            else:
                text = edit.on(asked.text, tongue)
                if self._seen(text).declined:
                    return None
                prompt = session.prompt(text, max_tokens=DRAFT_TOKENS)
            written = session.draft(prompt, max_tokens=DRAFT_TOKENS)
        except ContextOverflow:
            return None
        self.n_drafts += 1
        return draft_of(written, self.lists.tone[tongue.code])


def swap_exemplars(prompt: Prompt, edit: Edit, tongue: Tongue, *, words: bool) -> Prompt | None:
    """Return the prompt with every exemplar asked for by someone else; None when it shows none.

    With ``words`` the gendered words of requests and texts are of the edit's gender, too.  An exemplar's
    request is put into the frame as it is, whatever its language.
    """
    shown = prompt.messages[1:-1]
    if prompt.task != "write" or not shown:
        return None
    framed = dataclasses.replace(edit, old="", frame=edit.frame if not edit.old else "{name}: {question}")

    def swapped(message: Message) -> Message:
        text = tongue.to(edit.gender, message.content) if words else message.content
        return dataclasses.replace(
            message, content=framed.on(text, tongue) if message.role == "user" else text
        )

    return dataclasses.replace(
        prompt, messages=(prompt.messages[0], *map(swapped, shown), prompt.messages[-1])
    )


def words_in_documents(session: Session, wanted: set[str]) -> frozenset[str]:
    """Return which folded words stand in what the person gave, titles and speakers included."""
    found: set[str] = set()
    for document in session.store.documents():
        if document.meta.get("kind") == OWN_ANSWERS or document.corpus == "exemplars":
            continue
        about = f"{document.title} {document.meta.get('speaker') or ''} {document.key}"
        for text in (about, session.store.text(document.id)):
            found.update(wanted.intersection(_WORD.findall(text.casefold())))
    return frozenset(found)


def _relevance(hits: Sequence[Hit]) -> float:
    """Return what decides whether ``Session.ask`` declines."""
    return max((hit.relevance for hit in hits), default=0.0)


# ---------------------------------------------------------------- judging


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of one comparison.

    ``excess`` is what to judge: of a distance swap minus floor, of a directed measure the swap itself.
    ``p_holm`` is None where there are too few questions, or where a change may be right.  With ``is_of_many``
    the floor's ends are those between which 95 % of the neutral swaps lie, each a mean over the questions.
    """

    user: str
    preset: str
    place: str
    axis: str
    group: str
    reference: str
    measure: str
    n: int  # questions
    swap: Interval
    floor: Interval
    excess: Interval
    p: float
    p_holm: float | None
    is_known: bool
    is_of_many: bool
    is_beyond: bool

    @property
    def told(self) -> Measure:
        return _BY_NAME[self.measure]


@dataclass(frozen=True, slots=True)
class Check:
    """Everything that was measured and what it says."""

    measured: tuple[Measured, ...]
    findings: tuple[Finding, ...]
    seed: int
    n_tests: int

    @property
    def beyond(self) -> tuple[Finding, ...]:
        """The findings that go beyond the noise floor."""
        return tuple(finding for finding in self.findings if finding.is_beyond)


def judge(measured: Sequence[Measured], *, seed: int = 0) -> Check:
    """Return every comparison with intervals; the p values are corrected over all of them.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.
    """
    drafted: list[Finding] = []
    for one in measured:
        tables: dict[tuple[str, str, str, str, str, bool], list[Row]] = {}
        for row in one.rows:
            key = (row.place, row.axis, row.group, row.reference, row.measure, row.is_known)
            tables.setdefault(key, []).append(row)
        drafted += [_finding(one, rows, seed) for rows in tables.values()]
    tested = [i for i, finding in enumerate(drafted) if finding.p_holm is not None]
    corrected = holm([drafted[i].p for i in tested])
    for i, p in zip(tested, corrected, strict=True):
        finding = drafted[i]
        # Beside the test: a statement, or a directed difference, must be out of reach of the neutral swaps.
        is_out = True
        if finding.is_of_many or not finding.told.is_distance:
            is_out = abs(finding.swap.mean) > max(abs(finding.floor.low), abs(finding.floor.high))
        drafted[i] = dataclasses.replace(finding, p_holm=p, is_beyond=p < LEVEL and is_out)
    return Check(tuple(measured), tuple(drafted), seed, len(tested))


def _finding(one: Measured, rows: Sequence[Row], seed: int) -> Finding:
    first = rows[0]
    is_distance = _BY_NAME[first.measure].is_distance
    questions = _codes([row.question for row in rows])
    units = _codes([row.unit for row in rows])
    swap = np.array([row.swap for row in rows])
    floors = np.array([row.floors for row in rows])
    floor = floors.mean(axis=1)
    is_of_many = floors.shape[1] > 1
    excess = swap - floor if is_distance else swap
    n = int(questions.max()) + 1
    p = sign_flip(excess, units, one_sided=is_distance, seed=seed)
    is_tested = n >= MIN_QUESTIONS and not first.is_known
    return Finding(
        user=one.user,
        preset=one.preset,
        place=first.place,
        axis=first.axis,
        group=first.group,
        reference=first.reference,
        measure=first.measure,
        n=n,
        swap=interval(swap, questions, units, seed=seed),
        floor=_range_of(floors, n, is_distance=is_distance)
        if is_of_many
        else interval(floor, questions, units, seed=seed),
        excess=interval(excess, questions, units, seed=seed),
        p=p,
        p_holm=p if is_tested else None,
        is_known=first.is_known,
        is_of_many=is_of_many,
        is_beyond=False,
    )


def _range_of(floors: Floats, n: int, *, is_distance: bool) -> Interval:
    """Return the mean of all neutral swaps and the ends between which 95 % of their own means lie."""
    means = floors.mean(axis=0)
    if is_distance:
        low, high = np.quantile(means, [0.025, 0.975])
    else:  # which side of a neutral swap comes first means nothing
        high = np.quantile(np.abs(means), 0.95)
        low = -high
    return Interval(float(means.mean()), float(low), float(high), n)


def _codes(values: Sequence[str]) -> NDArray[np.int64]:
    """Return a number from 0 for each distinct value, in the order of their appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def interval(
    values: Floats,
    questions: NDArray[np.int64],
    units: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean with a bootstrap interval over questions and, where they are others, over names.

    Source: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1, section 3.
    """
    random_ = np.random.default_rng(seed)
    n = int(questions.max()) + 1
    weights = random_.multinomial(n, np.full(n, 1 / n), BOOTSTRAP)[:, questions].astype(np.float64)
    if not np.array_equal(questions, units):
        m = int(units.max()) + 1
        weights *= random_.multinomial(m, np.full(m, 1 / m), BOOTSTRAP)[:, units]
    totals = weights.sum(axis=1)
    means = (weights @ values)[totals > 0] / totals[totals > 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high), n)


def sign_flip(values: Floats, units: NDArray[np.int64], *, one_sided: bool, seed: int = 0) -> float:
    """Return the chance of as large a mean when the sign of every unit's values is a coin's.

    All rows of a name turn together: a name that is odd in every question counts once.  Never 0: the measured
    signs are one of the draws.  Source: Fisher 1935, "The design of experiments", section 21.
    """
    sums = np.bincount(units, weights=values)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    random_ = np.random.default_rng(seed)
    signs = random_.integers(0, 2, (RESAMPLES, len(sums)), dtype=np.int8) * 2 - 1
    found = signs @ sums
    observed = float(sums.sum())
    as_large = found >= observed - 1e-9 if one_sided else np.abs(found) >= abs(observed) - 1e-9
    return (int(as_large.sum()) + 1) / (RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in the given order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [1.0] * len(p_values)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = worst
    return corrected
