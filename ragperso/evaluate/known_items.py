"""Surface, evaluate: questions with known answers, made from a person's own documents without a model.

In: a person's session.  Out: :class:`Made`: questions of four types, with the documents they came from.
Never: calls a model, reads another person's documents or the engine's own answers, keeps a question that a
document it was not made from answers as well.

Such a set compares configurations on one's own data; it says little about how hard real questions are, which
use other words than the document.  Source: Azzopardi, de Rijke & Balog 2007, "Building simulated queries for
known-item topics", SIGIR.
"""

from __future__ import annotations

import json
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ragperso.engine import OWN_ANSWERS, Session
from ragperso.errors import IngestError
from ragperso.evaluate.datasets import DOCS, QUERIES, Question
from ragperso.files import write_atomically
from ragperso.segment import sentences
from ragperso.store import ChunkText
from ragperso.tokens import content_words, lexical_tokens, shingles, stemming_language
from ragperso.types import Corpus, DocumentId, StoredDocument

DOCUMENTS: Final = 50  # sampled by default: about 150 questions, an interval of +-.06 around .85
TYPES: Final = ("title", "keywords", "sentence", "entity")

_CORPORA: Final[tuple[Corpus, ...]] = ("documents", "history")  # what a search sees by default
_MIN_TOKENS: Final = 8  # different ones; a shorter document has nothing to ask about
_MAX_GOLD: Final = 5  # an item that stands in more documents than this is not a known one
_NEAR: Final = 0.8  # share of a chunk's word 3-grams that a document holds to count as the same
_KEYWORDS: Final = (3, 4, 5)  # as few as single the document out
_ENTITIES: Final = (2, 3, 4)
_KEPT: Final = 2 / 3  # of the words of a sentence
_SENTENCE_WORDS: Final = range(7, 41)
_PROSE: Final = 0.7  # least share of words among what white space separates in a sentence
_MAX_SENTENCES: Final = 5  # tried, the most distinctive first
_MAX_CHARS: Final = 300  # of a question
_PIECE: Final = 3  # characters of one word where a script writes no spaces

_SPACELESS: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_STOPS: Final = frozenset(".!?:…|")
_RUN: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Made:
    """Questions; how many documents there were, were sampled, and had too many twins to be asked about."""

    user: str
    questions: tuple[Question, ...] = field(repr=False)
    n_documents: int
    n_sampled: int
    n_repeated: int

    @property
    def by_type(self) -> dict[str, int]:
        """How many questions there are of each type."""
        counts = Counter(question.type for question in self.questions)
        return {kind: counts[kind] for kind in TYPES}


@dataclass(slots=True)
class _Draft:
    """A question that may be asked of one document, unless another holds all its ``tokens`` too."""

    type: str
    text: str = field(repr=False)
    tokens: frozenset[str] = field(repr=False)
    is_ambiguous: bool = False


@dataclass(slots=True)
class _Item:
    """A sampled document, the chunk its questions are about, and the documents that repeat that chunk."""

    document: StoredDocument
    language: str
    chunk: ChunkText = field(repr=False)
    drafts: list[_Draft] = field(default_factory=list, repr=False)
    same: list[StoredDocument] = field(default_factory=list)


def make(session: Session, n: int = DOCUMENTS, *, seed: int = 0) -> Made:
    """Return up to four questions about each of ``n`` documents, drawn in turn from every corpus and format.

    ``title`` is the title or the heading of a passage (easy: it is part of the index); ``keywords`` are the
    rarest words of the passage that occur in some other document too; ``sentence`` is its most distinctive
    sentence with a third of the words left out and its two halves swapped; ``entity`` are names and numbers.
    A document that holds the passage too is gold as well.

    Raises: IngestError when the person has no documents.
    """
    chooser = random.Random(seed)
    documents = [
        document
        for corpus in _CORPORA
        for document in session.store.documents(corpus)
        if document.n_chunks and document.meta.get("kind") != OWN_ANSWERS
    ]
    if not documents:
        raise IngestError("there are no documents to ask about", hint="ragperso add PATH")
    frequency: Counter[str] = Counter()
    askable = []
    for document in documents:
        tokens = _tokens(session, document)[1]
        frequency.update(tokens)
        if len(tokens) >= _MIN_TOKENS:
            askable.append(document)
    sampled = _in_turn(askable, chooser)[:n]
    items, labels = _items(session, sampled, chooser)
    rarity = _Rarity(frequency, len(documents))
    for item in items:
        item.drafts = [*_keywords(item, rarity, chooser), *_sentences(item, rarity, chooser),
                       *_entities(item, rarity, chooser)]  # fmt: skip
    _find_same(session, documents, items)
    by_key: dict[tuple[str, str], StoredDocument] = {(d.corpus, d.key): d for d in documents}
    questions = tuple(
        question
        for number, item in enumerate(items, start=1)
        for question in _questions(session.user, number, item, labels, by_key)
    )
    return Made(
        user=session.user,
        questions=questions,
        n_documents=len(documents),
        n_sampled=len(items),
        n_repeated=sum(len(item.same) >= _MAX_GOLD for item in items),
    )


def write(folder: Path, made: Made, *, replace: bool = False) -> Path:
    """Write ``queries.jsonl`` into ``folder``, which is made when missing; return its path.

    Only its owner can read it: it quotes the documents.  Raises: IngestError when there is one already and
    not ``replace``, and when the folder has documents of its own, which would be searched instead.
    """
    check_target(folder, replace=replace)
    folder.mkdir(parents=True, exist_ok=True)
    rows = (
        {"user": q.user, "id": q.id, "text": q.text, "gold": list(q.gold), "type": q.type}
        for q in made.questions
    )
    path = folder / QUERIES
    write_atomically(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    return path


def check_target(folder: Path, *, replace: bool) -> None:
    """Raise what :func:`write` would, before the work is done."""
    if folder.exists() and not folder.is_dir():
        raise IngestError(f"{folder} is a file", hint="name a folder")
    if (folder / DOCS).exists():
        raise IngestError(
            f"{folder} holds {DOCS}, and these questions are about what the home holds",
            hint="name another folder",
        )
    if (folder / QUERIES).exists() and not replace:
        raise IngestError(f"{folder} holds {QUERIES} already", hint="--force replaces it")


# ---------------------------------------------------------------- which documents


def _in_turn(documents: Sequence[StoredDocument], chooser: random.Random) -> list[StoredDocument]:
    """Return ``documents`` shuffled, one of each corpus and format in turn: ten notes among a thousand mails
    are asked about, too."""
    kinds: dict[tuple[str, str], list[StoredDocument]] = {}
    for document in documents:
        kinds.setdefault((document.corpus, document.format), []).append(document)
    for kind in sorted(kinds):
        chooser.shuffle(kinds[kind])
    longest = max(map(len, kinds.values()), default=0)
    return [kinds[kind][i] for i in range(longest) for kind in sorted(kinds) if i < len(kinds[kind])]


def _items(
    session: Session, sampled: Sequence[StoredDocument], chooser: random.Random
) -> tuple[list[_Item], dict[str, list[tuple[str, str]]]]:
    """Return the sampled documents with a chunk each, and which documents have each title or heading."""
    wanted = {(document.corpus, document.key) for document in sampled}
    chunks: dict[tuple[str, str], list[ChunkText]] = {}
    labels: dict[str, dict[tuple[str, str], None]] = {}
    for corpus in _CORPORA:
        for chunk in session.store.chunk_texts(corpus):
            place = (corpus, chunk.key)
            for label in (chunk.title, *chunk.headings):
                labels.setdefault(_label(label), {})[place] = None
            if place in wanted:
                chunks.setdefault(place, []).append(chunk)
    items = []
    for document in sampled:
        language = stemming_language(session.store.text(document.id))
        found = chunks.get((document.corpus, document.key), [])
        long = [c for c in found if len(content_words(c.text, language)) >= _MIN_TOKENS]
        # With no chunk long enough the longest has most to ask about.
        if long or found:
            chunk = chooser.choice(long) if long else max(found, key=lambda c: len(c.text))
            items.append(_Item(document, language, chunk))
    return items, {label: list(places) for label, places in labels.items()}


def _find_same(session: Session, documents: Iterable[StoredDocument], items: Sequence[_Item]) -> None:
    """Note in each item which other documents repeat its chunk, and which drafts others answer as well."""
    grams = [shingles(item.chunk.text) for item in items]
    words = [frozenset(lexical_tokens(item.chunk.text, (item.language,))) for item in items]
    for document in documents:
        text, tokens = _tokens(session, document)
        theirs: set[int] | None = None
        for item, own_grams, own_words in zip(items, grams, words, strict=True):
            if document.id == item.document.id:
                continue
            if own_words and len(own_words & tokens) >= _NEAR * len(own_words):
                theirs = shingles(text) if theirs is None else theirs
                # Containment rather than resemblance: the other document may say more beside it.
                # Source: Broder 1997, "On the resemblance and containment of documents", section 2.
                if own_grams and len(own_grams & theirs) >= _NEAR * len(own_grams):
                    item.same.append(document)
                    continue
            for draft in item.drafts:
                draft.is_ambiguous = draft.is_ambiguous or draft.tokens <= tokens


def _tokens(session: Session, document: StoredDocument) -> tuple[str, frozenset[str]]:
    """Return a document's text and its tokens with those of its title."""
    text = session.store.text(document.id)
    return text, frozenset(lexical_tokens(f"{document.title}\n{text}", (stemming_language(text),)))


# ---------------------------------------------------------------- questions


def _questions(
    user: str,
    number: int,
    item: _Item,
    labels: Mapping[str, Sequence[tuple[str, str]]],
    by_key: Mapping[tuple[str, str], StoredDocument],
) -> Iterator[Question]:
    """Yield the questions about one document: of each type the first draft that only it answers."""
    if len(item.same) >= _MAX_GOLD:
        return
    gold = [item.document, *item.same]
    for title in (item.chunk.title, *reversed(item.chunk.headings)):
        places = labels.get(_label(title), ())
        namesakes = [by_key[place] for place in places if place in by_key]
        together = _distinct([*gold, *namesakes])
        if content_words(title, item.language) and len(together) <= _MAX_GOLD:
            yield _question(user, number, "title", " ".join(title.split()), together)
            break
    asked = set()
    for draft in item.drafts:
        if draft.type not in asked and not draft.is_ambiguous:
            asked.add(draft.type)
            yield _question(user, number, draft.type, draft.text, gold)


def _question(user: str, number: int, kind: str, text: str, gold: Sequence[StoredDocument]) -> Question:
    keys = tuple(dict.fromkeys(document.key for document in gold))
    return Question(f"{number:03d}-{kind}", user, text[:_MAX_CHARS], keys, kind)


def _distinct(documents: Iterable[StoredDocument]) -> list[StoredDocument]:
    found: dict[DocumentId, StoredDocument] = {}
    for document in documents:
        found.setdefault(document.id, document)
    return list(found.values())


def _label(title: str) -> str:
    return " ".join(title.split()).casefold()


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text with its tokens, empty for a function word.

    ``starts``: it begins a sentence or what follows a colon, so that a capital says nothing.  ``is_apart``:
    punctuation or something that is no word stands before it.
    """

    text: str
    tokens: frozenset[str]
    starts: bool
    is_apart: bool = True


class _Rarity:
    """How rare words are among the person's documents."""

    def __init__(self, frequency: Mapping[str, int], n_documents: int) -> None:
        self._frequency = frequency
        self._n_documents = n_documents

    def documents(self, tokens: Iterable[str]) -> int:
        """Return how many documents hold the rarest of ``tokens``."""
        return min((self._frequency.get(token, 0) for token in tokens), default=0)

    def idf(self, tokens: Iterable[str]) -> float:
        """Source: Spärck Jones 1972, "A statistical interpretation of term specificity"."""
        return math.log(self._n_documents / max(1, self.documents(tokens)))


def _keywords(item: _Item, rarity: _Rarity, chooser: random.Random) -> Iterator[_Draft]:
    words: dict[frozenset[str], _Word] = {}
    for start, end in sentences(item.chunk.text):
        for word in _words(item.chunk.text[start:end], item.language):
            is_plain = any(map(str.isalpha, word.text)) and len(word.text) >= 3
            # In one document only it is a slip or a code as often as a word that someone would recall.
            if word.tokens and is_plain and rarity.documents(word.tokens) >= 2:
                words.setdefault(word.tokens, word)
    rarest = sorted(words.values(), key=lambda word: rarity.documents(word.tokens))  # ties in text order
    yield from _of_first(_KEYWORDS, "keywords", rarest, chooser)


def _sentences(item: _Item, rarity: _Rarity, chooser: random.Random) -> Iterator[_Draft]:
    found: list[tuple[float, list[_Word]]] = []
    for start, end in sentences(item.chunk.text):
        words = _words(item.chunk.text[start:end], item.language)
        content = [word for word in words if word.tokens]
        # Where many pieces are no words it is code, or a table of links.
        is_prose = len(words) >= _PROSE * len(item.chunk.text[start:end].split())
        if is_prose and len(words) in _SENTENCE_WORDS and len(content) >= 4:
            found.append((sum(rarity.idf(word.tokens) for word in content) / len(content), words))
    found.sort(key=lambda pair: -pair[0])
    for _, words in found[:_MAX_SENTENCES]:
        kept = sorted(chooser.sample(range(len(words)), round(_KEPT * len(words))))
        half = len(kept) // 2
        chosen = [words[i] for i in (*kept[half:], *kept[:half])]
        tokens = frozenset().union(*(word.tokens for word in chosen))
        if tokens:
            yield _Draft("sentence", " ".join(word.text for word in chosen), tokens)


def _entities(item: _Item, rarity: _Rarity, chooser: random.Random) -> Iterator[_Draft]:
    found: dict[str, _Word] = {}
    for start, end in sentences(item.chunk.text):
        words = _words(item.chunk.text[start:end], item.language)
        if 2 * sum(word.text[0].isupper() for word in words) > len(words):
            continue  # a heading in capitals: they say nothing there
        name: list[_Word] = []
        for word in [*words, _Word("", frozenset(), True)]:
            is_name = bool(word.tokens) and word.text[0].isupper() and not word.starts
            if name and (word.is_apart or not is_name):
                text = " ".join(part.text for part in name)
                found.setdefault(text, _Word(text, frozenset().union(*(p.tokens for p in name)), False))
                name = []
            if is_name:
                name.append(word)
            elif word.tokens and len(word.text) >= 2 and any(map(str.isdigit, word.text)):
                found.setdefault(word.text, word)
    rarest = sorted(found.values(), key=lambda word: rarity.documents(word.tokens))
    if any(map(str.isalpha, "".join(word.text for word in rarest[: _ENTITIES[0]]))):
        yield from _of_first(_ENTITIES, "entity", rarest, chooser)


def _of_first(
    sizes: Iterable[int], kind: str, words: Sequence[_Word], chooser: random.Random
) -> Iterator[_Draft]:
    """Yield a question of the first words for each size that there are words for; their order is chance."""
    for size in sizes:
        if size <= len(words):
            chosen = list(words[:size])
            chooser.shuffle(chosen)
            tokens = frozenset().union(*(word.tokens for word in chosen))
            yield _Draft(kind, " ".join(word.text for word in chosen), tokens)


def _words(text: str, language: str) -> list[_Word]:
    """Return the words of a sentence without addresses, code and markup.

    Where a script writes no spaces a run is cut into pieces of three characters.
    """
    found: list[_Word] = []
    starts = is_apart = True
    for piece in text.split():
        if _SPACELESS.search(piece):
            for run in _RUN.findall(piece):
                parts = [run[i : i + _PIECE] for i in range(0, len(run), _PIECE)]
                found += [_Word(part, frozenset(content_words(part, language)), True) for part in parts]
            starts = is_apart = True
            continue
        bare = _bare(piece)
        if bare and all(map(_is_of_word, bare)):
            tokens = frozenset(content_words(bare, language))
            found.append(_Word(bare, tokens, starts, is_apart or not piece.startswith(bare)))
            starts, is_apart = piece[-1] in _STOPS, not piece.endswith(bare)
        else:  # a list mark, a dash, an address, code
            starts, is_apart = starts or not bare, True
    return found


def _bare(piece: str) -> str:
    """Return ``piece`` without punctuation at its ends."""
    start, end = 0, len(piece)
    while start < end and not _is_letter(piece[start]):
        start += 1
    while end > start and not _is_letter(piece[end - 1]):
        end -= 1
    return piece[start:end]


def _is_letter(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def _is_of_word(char: str) -> bool:
    return char in "-'’" or _is_letter(char)
