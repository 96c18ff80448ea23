"""Words: text as the words that lexical search, grounding and duplicate detection compare.

Rules, in the order they apply:

1. NFKC; soft hyphens and zero-width characters vanish; English ``'s`` and Romance elisions (``l'``) too.
2. Identifiers (``snake_case``, ``camelCase``, ``C++``, ``.NET``, ``--flag``, ``foo.bar``, paths, ``v1.2.3``,
   addresses, ``#W26``) give themselves whole and also their parts.
3. Scripts without spaces give overlapping character pairs; Han characters each by itself as well, since
   many are words; a run of one character gives that character.
4. Other words are case-folded, dropped if they are stop words, stemmed by Snowball and stripped of accents,
   so that ``Müller`` and ``Muller`` meet.  Outside Latin script the script decides the stemmer.

**Languages.**  A Latin-script word's stem depends on its language, so a document is cut with one language
(:func:`stemming_language`, English when unclear), and a query with *all* languages its corpus was cut with:
:func:`lexical_tokens` returns the union of their stems.  Detection then never has to be right about a query
of three words, and a document cut with the wrong language is still found.
"""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

# Raise whenever the tokens of any text change: indexes made with another version are rebuilt.
TOKENS_VERSION: Final = 1

MAX_TOKEN_CHARS: Final = 64  # of one token; longer ones (hashes, base64) are compared by their start

_STEMMERS: Final = {
    "en": "english",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
}
_SCRIPT_STEMMERS: Final = {"ar": "arabic", "ru": "russian", "el": "greek", "hi": "hindi"}

# English: Lucene's EnglishAnalyzer, all 33.  The others: articles, prepositions, conjunctions and forms of
# "to be" that such analyzers agree on; short, because a dropped word can never be found.
_STOP: Final = {
    "en": "a an and are as at be but by for if in into is it no not of on or such that the their then there "
    "these they this to was will with",
    "de": "aber als am an auch auf aus bei bin bis da das dass dem den der des die du durch ein eine einem "
    "einen einer eines er es für hat ich ihr im in ist ja mit nach nicht noch nur ob oder sie sind so "
    "um  und vom von vor war was wie wir wird zu zum zur über",
    "fr": "au aux avec ce ces cette dans de des du elle en est et eux il ils je la le les leur lui ma mais "
    "me  mes mon ne nos notre nous on ont ou où par pas pour que qui sa se ses son sont sur ta te tes "
    "ton tu  un une vos votre vous y à été",
    "es": "al como con de del el ella en entre era es esta este ha la las le lo los me mi muy más no nos o "
    "para  pero por que se si sin sobre son su sus te un una y ya",
    "it": "a ai al alla che ci con da dal dei del della delle di e gli ha i il in io la le lo ma mi nel "
    "nella  non per più se si sono su sul tra un una uno è",
    "nl": "aan als bij dat de den der die dit door een en er het hij ik in is je maar met naar niet of om "
    "onder  ook op te tot uit van voor was wat wij worden zijn",
    "pt": "a ao aos as com da das de do dos e ela ele em entre era essa esse foi mais mas na nas no nos não "
    "o  os ou para pela pelo por que se sem seu sua são um uma é",
}
# Words that say which language it is, but that someone may search for.
_CUES: Final = {
    "en": "about all also am any because been before can could couldn did didn do does doesn don each from "
    "get  had hadn has hasn have haven he her him his how i isn its just like me more my our out over "
    "she  should so some than them us very wasn we were weren what when where which who why would "
    "wouldn you  your",
    "de": "alle beim dann dein dich diese diesem diesen dieser dieses doch einmal etwas ganz gegen gibt "
    "habe  haben hatte hier ihm ihn ihre immer jetzt kann kein keine können machen man mehr mein "
    "meine mich mir  muss schon sein seine sich uns unser unter viel wann warum weil wenn wer werden "
    "wieder wo wurde  zwischen",
    "fr": "alors aussi avoir bien cela chez comme comment donc encore entre être fait faire faut j'ai les "
    "lequel même moi peu peut plus pourquoi quand quel quelle quoi rien sans si suis tous tout toute "
    "très  trop était",
    "es": "algo antes aunque bien cada casi cómo cuando cuándo cuál desde donde dónde dos él ellos esa eso "
    "estaba esto estos está están fue hace hasta hay mis mucho nada nosotros nuestra nuestro porque "
    "puede  qué quien quién ser siempre soy también tiene todo todos tu uno yo",
    "it": "abbiamo alle anche ancora bene chi come cosa cui dalla degli dell dello dopo dove era essere "
    "fare  fatto hanno ho loro mia mio molto nei nell noi nostra ogni perché poi prima può qual quale "
    "quando  quello questa questo senza sei sempre solo stato sua suo sulla tutti tutto",
    "nl": "alle alleen altijd ben daar dan deze doen dus geen had heb hebben heeft hem hier hoe iets ik jij "
    "kan  kunnen maken meer men mijn moet nu omdat ons onze over veel waar waarom wanneer want waren "
    "we wel  welke werd wie wordt ze zich zij zo zou",
    "pt": "agora ainda antes até bem cada como depois desde dele dela disse dois ela eles então era está "
    "estava  este eu fazer foram há isso isto já lhe meu minha muito mesmo nada nem nosso onde outro "
    "pelos pode  porque qual quando quem sempre ser seus só também tem tinha tudo você",
}
# A letter that (almost) only one of the seven languages writes.
_LETTERS: Final = {"ß": "de", "ä": "de", "ö": "de", "ü": "de", "ñ": "es", "¿": "es", "¡": "es", "ã": "pt"}
_LETTERS_OR: Final = re.compile("[" + "".join(_LETTERS) + "]")

# Vowel signs and diacritics: part of a word, but not of \w.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e"
    "\u0eb1-\u0ebc\u0ec8-\u0ecd\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
)
_HAN_RANGES: Final = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_CJK: Final = _HAN_RANGES + "\u3006\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff"
_HANGUL: Final = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
_SPACELESS: Final = (
    "\u0e00-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"  # Thai, Lao, Tibetan, Burmese, Khmer
)
_HAN: Final = re.compile(f"[{_HAN_RANGES}]")

_SURFACE_SOURCE: Final = r"""
    (?: (?<![\w-])--(?=[^\W\d_]) | (?<![\w.\#@/])[\#@.](?=\w) )?    # --flag  #id  @name  .NET
    W+
    (?: (?: :: | [-./\\@:&+~] | (?<=\d),(?=\d{3}(?!\d)) ) W+ )*    # foo.bar  a/b  ana@home  1,000
    (?: \+\+ | \#(?!\w) )?                                          # C++  C#
"""
_ASCII_SURFACE: Final = re.compile(_SURFACE_SOURCE.replace("W+", r"\w+"), re.VERBOSE | re.ASCII)
_SURFACE: Final = re.compile(_SURFACE_SOURCE.replace("W+", rf"[\w{_MARKS}]+"), re.VERBOSE)
_RUN: Final = re.compile(rf"([{_CJK}]+)|([{_HANGUL}]+)|([{_SPACELESS}]+)|[^{_CJK}{_HANGUL}{_SPACELESS}]+")

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_APOSTROPHE: Final = re.compile("[\u2018\u2019\u02bc\u2032\uff07]")
_DASH: Final = re.compile("[\u2010\u2011]")
_ENCLITIC: Final = re.compile(r"(?<=\w)'(?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)
_ELISION: Final = re.compile(
    r"\b(?:l|d|j|m|n|s|t|c|qu|jusqu|lorsqu|puisqu|un|dell|nell|all|dall|sull|quell|gl)'(?=\w)", re.IGNORECASE
)

_SEGMENT: Final = re.compile(r"::|[/\\@:&+~,#]")
_PART: Final = re.compile(r"[-._]")
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+")
_IS_HUMPED: Final = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
_PLURAL_ACRONYM: Final = re.compile(r"[A-Z]{2,}s")
_PLURAL_WITHOUT_VOWEL: Final = re.compile(r"[b-df-hj-np-tv-xz]{2,}(?<!s)s")  # pdfs, which Snowball leaves
_LETTERS_AND_DIGITS: Final = re.compile(r"([^\W\d_]+)(\d+)|(\d+)([^\W\d_]+)")
_WORD: Final = re.compile(rf"[\w{_MARKS}]+")

_ARABIC: Final = re.compile("[\u0600-\u06ff]")
_ARABIC_SIGNS: Final = re.compile("[\u0640\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]")
_ARABIC_LETTERS: Final = str.maketrans("أإآٱىةکی", "اااايهكي")

_CACHED_WORDS: Final = 100_000  # about 30 MB; a person's notes have 20,000 to 60,000 different words
_CACHED_CHARS: Final = 64
_SAMPLE_CHARS: Final = 4_000  # of the start, enough to tell a language


# ---------------------------------------------------------------- tokens for search


def lexical_tokens(text: str, languages: Sequence[str] = ("en",)) -> list[str]:
    """Return the tokens of ``text``, each word under each of ``languages`` in turn, in text order.

    Languages without a Latin-script stemmer (``zh``, ``ar``, unknown ones) count as English.  Equal forms
    of one word are returned once per occurrence.
    """
    known = tuple(dict.fromkeys(code if code in _STEMMERS else "en" for code in languages)) or ("en",)
    cut = _cutter(known)
    if text.isascii():
        surfaces = _ASCII_SURFACE.findall(_ENCLITIC.sub("", text) if "'" in text else text)
    else:
        surfaces = _SURFACE.findall(_normalise(text))
    return list(chain.from_iterable(map(cut.__getitem__, surfaces)))


def document_tokens(text: str) -> list[str]:
    """Return the tokens of ``text`` under its own language; see :func:`stemming_language`."""
    return lexical_tokens(text, (stemming_language(text),))


def stemming_language(text: str) -> str:
    """Return the language whose stemmer cuts the Latin-script words of ``text``; English when unclear."""
    language = detect_language(text)
    return language if language in _STEMMERS else "en"


def detect_language(text: str) -> str:
    """Return ``en de fr es it nl pt zh ja ko ar ru`` or ``""``, from script and function words.

    Reads the first 4,000 characters.  One function word decides if no other language has as many.
    """
    sample = text[:_SAMPLE_CHARS]
    if not sample.isascii():
        sample = _normalise(sample)
        if script := _script(sample):
            return script
    votes: Counter[str] = Counter()
    languages_of = _languages_of_words()
    for word in _WORD.findall(sample.lower()):
        for language in languages_of.get(word, ()):
            votes[language] += 1
    if not sample.isascii():
        # One vote in all, not per letter: a name such as Müller stands in texts of any language.
        votes.update({_LETTERS[letter] for letter in _LETTERS_OR.findall(sample.lower())})
    ranked = votes.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]


# ---------------------------------------------------------------- words for comparison


def content_words(text: str, language: str | None = None) -> set[str]:
    """Return the stems of ``text`` without function words, for comparing two texts.

    Give both texts the same ``language``: a short one may be detected differently from a long one.
    """
    code = stemming_language(text) if language is None else language
    drop = _function_stems(code if code in _STEMMERS else "en")
    return {token for token in lexical_tokens(text, (code,)) if token not in drop}


def shingles(text: str, n: int = 3) -> set[int]:
    """Return hashes of all runs of ``n`` words; equal across processes.  A shorter text is one run.

    Scripts without spaces count each character as a word.
    Source: Broder 1997, "On the resemblance and containment of documents".
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        words = _WORD.findall(folded)
    else:
        words = [word for run in _WORD.findall(folded) for word in _spaced(run)]
    if not words:
        return set()
    runs = [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]
    return {zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs}


# ---------------------------------------------------------------- from surface form to tokens


class _Cutter(dict[str, tuple[str, ...]]):
    """Maps a surface form to its tokens and remembers: text repeats its words, so lookups do the work."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        super().__init__()
        self._languages = languages
        self._lock = threading.Lock()  # Snowball stemmers are not thread-safe

    def __missing__(self, surface: str) -> tuple[str, ...]:
        with self._lock:
            tokens = tuple(token[:MAX_TOKEN_CHARS] for token in self._cut(surface) if token)
            if len(surface) <= _CACHED_CHARS:
                if len(self) >= _CACHED_WORDS:
                    self.clear()
                self[surface] = tokens
        return tokens

    def _cut(self, surface: str) -> Iterator[str]:
        if surface.isalpha() and surface.isascii():  # nearly every word
            yield from self._word(surface)
            return
        surface = surface.strip("_")  # emphasis in Markdown, or __init__, which "init" should find
        if not any(map(str.isalnum, surface)):
            return
        segments = [part for part in _SEGMENT.split(surface) if part]
        if segments != [surface] or _PART.search(surface):
            yield _fold(surface.casefold().replace(",", ""))  # 1,000 is 1000
        for segment in segments:
            parts = [part for part in _PART.split(segment) if part]
            if segment != surface and len(parts) > 1:
                yield _fold(segment.casefold())
            for part in parts:
                yield from self._word(part)

    def _word(self, word: str) -> Iterator[str]:
        if not word.isascii():
            for match in _RUN.finditer(word):
                if match.lastindex is None:
                    yield from self._stems(match.group())
                else:
                    yield from _pairs(match.group())
            return
        if _IS_HUMPED.search(word) and not _PLURAL_ACRONYM.fullmatch(word):
            for hump in _HUMP.findall(word):
                yield from self._stems(hump)
        elif split := _LETTERS_AND_DIGITS.fullmatch(word):
            yield from filter(None, map(str.casefold, filter(None, split.groups())))
        yield from self._stems(word)

    def _stems(self, word: str) -> Iterator[str]:
        folded = word.casefold()
        script = "" if folded.isascii() else _script_of_word(folded)
        if script:
            if script == "ar":
                folded = _ARABIC_SIGNS.sub("", folded).translate(_ARABIC_LETTERS)
            yield _fold(_stem(script, folded))
            return
        seen = []
        for language in self._languages:
            if folded in _stop_words(language):
                continue
            if not folded.isalpha():
                stem = _fold(folded)
            elif language == "en" and _PLURAL_WITHOUT_VOWEL.fullmatch(folded):
                stem = folded[:-1]
            else:
                stem = _fold(_stem(language, folded))
            if stem not in seen:
                seen.append(stem)
                yield stem


@functools.cache
def _cutter(languages: tuple[str, ...]) -> _Cutter:
    return _Cutter(languages)


def _normalise(text: str) -> str:
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    text = _DASH.sub("-", _APOSTROPHE.sub("'", text))
    if "'" in text:
        text = _ELISION.sub("", _ENCLITIC.sub("", text))
    return text


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
        return
    for i in range(len(run) - 1):
        yield run[i : i + 2]
    yield from _HAN.findall(run)


def _spaced(word: str) -> Iterator[str]:
    for match in _RUN.finditer(word):
        if match.lastindex is None:
            yield match.group()
        else:
            yield from match.group()


@functools.cache
def _stemmer(name: str) -> Callable[[str], str]:
    import Stemmer  # 5 ms that help and version do without

    stem: Callable[[str], str] = Stemmer.Stemmer(name, 0).stemWord  # no cache of its own: the cutter has one
    return stem


def _stem(language: str, word: str) -> str:
    if len(word) > MAX_TOKEN_CHARS:
        return word[:MAX_TOKEN_CHARS]
    return _stemmer(_STEMMERS.get(language) or _SCRIPT_STEMMERS[language])(word)


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(_STOP[language].split())


@functools.cache
def _function_stems(language: str) -> frozenset[str]:
    words = f"{_STOP[language]} {_CUES[language]}".split()
    return frozenset(token for word in words for token in lexical_tokens(word, (language,)))


@functools.cache
def _languages_of_words() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language in _STEMMERS:
        for word in f"{_STOP[language]} {_CUES[language]}".split():
            if language not in found.get(word, ()):
                found[word] = (*found.get(word, ()), language)
    return found


# ---------------------------------------------------------------- scripts and accents

_SCRIPTS: Final = (
    ("kana", re.compile("[\u3040-\u30ff]")),
    ("han", _HAN),
    ("ko", re.compile(f"[{_HANGUL}]")),
    ("ar", _ARABIC),
    ("ru", re.compile("[\u0400-\u04ff]")),
)
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f]")


def _script(sample: str) -> str:
    """Return the language that the commonest script stands for; empty for Latin and for none known.

    A Han character or syllable says as much as two or three Latin letters.
    """
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS}
    east_asian = counts.pop("kana") + counts["han"]
    counts["han"] = east_asian
    best = max(counts, key=lambda name: counts[name])
    weight = 2 if best in {"han", "ko"} else 1
    if not counts[best] or counts[best] * weight < len(_LATIN.findall(sample)):
        return ""
    if best == "han":
        # Running Japanese is at least a third kana; a Chinese text may quote a word of it.
        return "ja" if len(_SCRIPTS[0][1].findall(sample)) * 8 > east_asian else "zh"
    return best


def _script_of_word(word: str) -> str:
    first = word[0]
    if "\u0400" <= first <= "\u04ff":
        return "ru"
    if "\u0600" <= first <= "\u06ff" or "\u0750" <= first <= "\u077f":
        return "ar"
    if "\u0370" <= first <= "\u03ff" or "\u1f00" <= first <= "\u1fff":
        return "el"
    return "hi" if "\u0900" <= first <= "\u097f" else ""


def _fold(token: str) -> str:
    return token if token.isascii() else token.translate(_accents())


@functools.cache
def _accents() -> dict[int, str | None]:
    """Map Latin and Greek letters to their base, Arabic-Indic digits to ASCII, accents to nothing."""
    table: dict[int, str | None] = dict.fromkeys(range(0x300, 0x370))
    for code in chain(range(0xC0, 0x250), range(0x370, 0x400), range(0x1E00, 0x2000)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base != chr(code):
            table[code] = base
    table.update({ord(old): new for old, new in zip("øđłıħŧ", "odliht", strict=True)})
    table.update({ord("æ"): "ae", ord("œ"): "oe", ord("þ"): "th", ord("ð"): "d", ord("ё"): "е"})
    for zero in (0x660, 0x6F0):
        table.update({zero + digit: str(digit) for digit in range(10)})
    return table
