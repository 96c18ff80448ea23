"""Words: what a text claims of whom, read without a model: the raw material of the profile's memories.

:func:`claims` reads sentence by sentence.  A sentence is cut into clauses; each clause gets a subject, a verb
with its tense and its denial, and the rules of the language's data file say which slot it fills.  What is
asked, imagined, wished, quoted, dreamt, joked or only feared fills none.  :mod:`ragperso.statements` is
kinder: it finds search keys, this finds what may be believed.

In a note, mail or post more is asked of a statement than in a line of chat: it must stand on its own.
English well; German, French and Spanish their common forms.  Linear in the text; never raises on odd text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from ragperso.claims import english, tongues
from ragperso.claims.clauses import AGE_DAYS, PLAN_DAYS, SICK_DAYS, Scene
from ragperso.claims.english import forget_other, is_same, learn_names
from ragperso.claims.verbs import DATA, EVENT, NOT_NAMES, OWNED, relation_of
from ragperso.segment import blocks, sentences
from ragperso.tokens import detect_language
from ragperso.types import Claim

__all__ = ["AGE_DAYS", "MAX_CLAIMS", "PLAN_DAYS", "SICK_DAYS", "claims"]

MAX_CLAIMS: Final = 24  # of one text
MAX_SENTENCE_CHARS: Final = 600  # only the start of a longer run is read
MAX_TEXT_CHARS: Final = 100_000
MAX_SENTENCES: Final = 3_000
MAX_CHAT_CHARS: Final = 280  # a longer text, or one of several paragraphs, is prose


def claims(
    text: str,
    *,
    speaker: str = "",
    said: datetime | None = None,
    language: str | None = None,
    limit: int = MAX_CLAIMS,
) -> list[Claim]:
    """Return at most ``limit`` claims in text order; ``text[start:end]`` is the clause of each.

    ``speaker`` is the name of who wrote the text: its label is dropped and the name means the speaker.  A
    text under another's label ("Tom: ...") claims of that one.  ``said`` resolves "on Friday"; without it a
    plan has no end.  One clause may carry several claims; they share its span.
    """
    owner, at = _speaker(text, speaker)
    if owner is None or speaker.casefold() in _MACHINES or _FICTION_TEXT.match(text, at):
        return []
    if matter := _FRONT_MATTER.match(text):
        at = matter.end()
    is_prose = len(text) - at > MAX_CHAT_CHARS or "\n\n" in text[at:].strip() or matter is not None
    scene = Scene(owner=owner, speaker=speaker, said=said, is_prose=is_prose)
    learn_names(text[at : at + MAX_TEXT_CHARS].translate(_STRAIGHT), scene)
    found: list[list[Claim]] = []
    n_found = 0
    for start, stop in itertools.islice(_spans(text, at), MAX_SENTENCES):
        plain = text[start : min(stop, start + MAX_SENTENCE_CHARS)].translate(_STRAIGHT)
        if mark := _LIST_MARK.match(plain):
            plain, start = plain[mark.end() :], start + mark.end()
        if _JOKE.search(plain):
            if len(plain.split()) <= 5 and found:
                found[-1].clear()  # "Just kidding." takes back the sentence before
            continue
        if _FICTION.search(plain):
            scene.is_fiction = bool(_FICTION_ON.search(plain))
            continue
        if scene.is_prose and plain.isupper() and " " in plain.strip():
            continue  # shouted, or a heading
        if scene.is_fiction and not _FACTUAL.search(plain):
            continue
        if scene.is_prose:
            scene.topic = ""  # what "it" was in the sentence before is anybody's guess
        other = scene.other
        here = list(_of_sentence(plain, start, scene, language, text))
        if scene.is_prose:
            forget_other(plain, other, scene)
        found.append(here)
        n_found += len(here)
        if n_found >= limit:
            break
    flat = {(c.start, c.end, c.subject, c.slot, c.value): c for row in found for c in row}
    return sorted(flat.values(), key=lambda claim: (claim.start, claim.end))[:limit]


# ---------------------------------------------------------------- who speaks, what is read

_LABEL: Final = re.compile(r"\s{0,9}(?P<name>[^\W\d_][\w.'-]{0,24}(?: [^\W\d_][\w.'-]{0,24}){0,2}):[ \t\n]")
_NO_SPEAKERS: Final = frozenset(
    "note notes ps edit update todo today yesterday tldr subject re fwd question answer warning tip "
    "example summary title date"
    " from to cc hinweis frage antwort correction new address home job phone email mail resolution for "
    "payroll reminder news"
    " status plan plans breakfast lunch dinner korrektur nómina result fact confession hobbies allergies "
    "diet languages goal"
    " goals favourite favorite full basics bank name number".split()
)
_ROLES: Final = frozenset("me user human myself ich moi yo".split())
_MACHINES: Final = frozenset("assistant system bot tool chatgpt ai model function".split())
_KIN: Final = frozenset(DATA["kin"].split())
_STRAIGHT: Final = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "\u00a0": " ", "\u202f": " ", "\n": " ", "\t": " ", "\r": " "}
)
_LIST_MARK: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_FRONT_MATTER: Final = re.compile(r"\s{0,9}---[ \t]*\n(?:[^\n]*\n){0,200}?---[ \t]*(?:\n|$)")


def _speaker(text: str, speaker: str) -> tuple[str | None, int]:
    """Return who "I" is ("" the speaker, None a machine) and where what they say begins."""
    label = _LABEL.match(text)
    if label is None:
        return "", 0
    name = " ".join(label["name"].split())
    words = name.split()
    if name.casefold() in _MACHINES:
        return None, 0
    if name.casefold() in _KIN:
        return relation_of(name), label.end()
    if name.casefold() in _ROLES or (speaker and is_same(name, speaker)):
        return "", label.end()
    is_person = (
        len(words) <= 2
        and all(word[:1].isupper() for word in words)
        and words[0].casefold() not in _NO_SPEAKERS
        and words[0] not in NOT_NAMES
        and not re.search(r"[-\d]", name)
        and not EVENT.search(name)
        and not OWNED.search(name)
    )
    return (name, label.end()) if is_person else ("", 0)


def _spans(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of prose: code, tables, headings and quoted lines claim nothing."""
    text = text[:MAX_TEXT_CHARS]
    if "\n" not in text:
        yield from sentences(text, start)
        return
    for block in blocks(text, start):
        if block.kind in ("paragraph", "list") and not text.startswith(">", block.start):
            for a, b in sentences(text, block.start, block.end):
                if not text.startswith(">", a):
                    yield a, b


# ---------------------------------------------------------------- what is not meant

# Whole texts that speak as somebody else, and sentences that open or are a tale.
_FICTION_TEXT: Final = re.compile(
    r"\s*(?:please |can you |could you |bitte )?(?:write|translate|rewrite|compose|role-?play|pretend"
    r"|imagine|act as"
    r"|let's (?:pretend|role-?play|imagine)|schreib|übersetze|stell dir vor|écris|traduis|imagine que"
    r"|imaginons|escribe"
    r"|traduce|imagina)\b",
    re.IGNORECASE,
)
_FICTION: Final = re.compile(
    r"\b(?:imagine|imagining|suppose|supposing|pretend(?:ing)?|pretended|hypothetically|in (?:my|a|the|this"
    r"|last night's) "
    r"(?:\w+ )?(?:dream|nightmare|novel|book|story|film|movie|play|game|show|series|episode|poem|song|sketch"
    r"|parallel (?:life|universe|world)|another life|script)|in (?:another|a different|a past|a previous) "
    r"life|dreamt|dreamed"
    r"|dreaming|(?:the|my|her|his|our) (?:main )?(?:character|narrator|protagonist|heroine|hero|lyrics"
    r"|avatar)\b"
    r"|once upon a time|geträumt|träumte|im traum|im roman|im film|im stück|stell dir vor|angenommen"
    r"|dans (?:mon|un|le) (?:rêve|roman|film)|j'ai rêvé|je rêv\w+|imagine que|soñé|soñado|soñaba|en mi sueño"
    r"|en (?:la|una) (?:novela|película)|como dice la canción"
    r"|(?:song|lyrics?|poem|quote|proverb|saying|tweet|meme|sign|headline|t-shirt|slogan) (?:says?|goes"
    r"|reads?)"
    r"|as (?:the saying|they say|the song|the poem) goes|you know what they say)\b",
    re.IGNORECASE,
)
# After these the tale goes on in the next sentences.
_FICTION_ON: Final = re.compile(
    r"\b(?:imagine|suppose|pretend|dreamt|dreamed|in (?:my|a|the) dream|geträumt|soñé|rêvé|character|narrator"
    r"|in the (?:novel|book|story|film|movie|play))\b",
    re.IGNORECASE,
)
_FACTUAL: Final = re.compile(
    r"\b(?:in (?:reality|real life|fact)|for real|irl|seriously|anyway|actually|on a different note|back "
    r"to)\b",
    re.IGNORECASE,
)
_JOKE: Final = re.compile(
    r"\b(?:(?:just |only )?kidding|jk|j/k|joking|(?:just|only|little|bad|my) (?:a )?joke|^\W*joke|(?:it"
    r"|that|this)(?:'s| is| was) (?:just |only )?a joke|lol|lmao|rofl|haha\w*|hehe\w*|just messing|pulling "
    r"your leg|as if"
    r"|yeah,? right|not!|said no one ever|no we didn't|no i (?:didn't|don't)|scherz|war nur spaß|spaß "
    r"beiseite|je plaisante"
    r"|je rigole|es broma|jaja\w+|mdr)\b|[😂🤣😜🙃😉😏]|\s/s(?=\W*$)|\(not\)|;-\)",
    re.IGNORECASE,
)
_IRONY: Final = re.compile(
    r"^\W*(?:oh,? (?:sure|yes|yeah|great|good|joy|how|of course|brilliant|wonderful)|sure,|because i just"
    r"|right,? because"
    r"|great,|wow,|yeah,? sure|obviously i'?m the|no,? of course)\b|\b(?:just|so) LOVE\b"
    r"|\bi (?:do|simply|just) (?:so )?(?:love|adore) "
    r"(?!my\b|our\b|me\b)|^\W*of course i (?:just )?love|^\W*na (?:toll|super|klasse)\b"
    r"|\bthe (?:greatest|best|worst|most \w+|\w+est)\b[^,;.]{0,40}? (?:in the (?:history|world|universe"
    r"|galaxy)|ever|of all"
    r" time|alive|on earth)\b"
    r"|\b(?:my|his|her|our) [\w ]{2,20}(?:is|are) (?:the size of|(?:big|old|long|heavi|wid|loud"
    r"|tall)(?:g?er|i?er) than)"
    r" (?:an?|the) \w+"
    r"|\b(?:million|billion|zillion|thousand) (?:times|years|things)\b"
    r"|\b(?:basically|practically|virtually) (?:an? |the |my |\w+ (?:live|married|own))|\b(?:might as well"
    r"|like a|feel like|feels like"
    r"|it's like)\s(?=\w+\s(?:live|married|own))|\bso oft wie\b",
    re.IGNORECASE,
)
_CONDITION: Final = re.compile(
    r"\b(?:if|unless|whether|wish|wished|as though|in case|supposing|provided|assuming|what if|wenn|falls"
    r"|ob|wäre|hätte|würde"
    r"|könnte|si|ojalá|aurais|serais|voudrais|fuera)\b",
    re.IGNORECASE,
)
# "If you must know", "wants to know whether": no conditions.
_POLITE_IF: Final = re.compile(
    r"\b(?:if (?:you (?:must|want to|wanna|need to|didn't|don't|were|are|'re|ask|remember|wonder)|you're"
    r"|you'd"
    r"|i (?:recall|remember)|anyone|anybody|that helps)|in case (?:you|anyone|anybody|it|someone)"
    r"|(?:know|asks?|asked|see|wonders?|check|sure) (?:me )?(?:if|whether)|, (?:if|unless) "
    r"(?!i\b)\w+)\b[^,;:.]{0,40}",
    re.IGNORECASE,
)
_FIRST_WORD_IF: Final = re.compile(
    r"\W*(?:if|unless|suppose|when|wenn|falls|si|ojalá|i wish|i'd|i would|would)\b", re.IGNORECASE
)
_TAG: Final = re.compile(
    r"[,;.–-] {0,2}(?:and |so |but |und |et |y )?(?:how|how's|what|what's|which|who|when|where|why|do|don't"
    r"|does|did|have"
    r"|haven't|are|aren't|is|can|could|would|right|huh|you|isn't|ok|okay|any|remember|oder|du|was|wie"
    r"|nicht wahr|toi|tu|non"
    r"|verdad|no|tú|qué|mail|send|ring|text|tell|call|please)\b[^,;]{0,90}\?\W{0,9}$",
    re.IGNORECASE,
)
_CAPTION: Final = re.compile(r"\s\[(?!\[)(?![^\]\n]{0,200}\]\()")
_QUOTES: Final = re.compile('["“”„«»]')


def _of_sentence(plain: str, start: int, scene: Scene, language: str | None, text: str) -> Iterator[Claim]:
    if plain.rstrip(" )*_\"'”»").endswith("?"):
        tag = _TAG.search(plain)
        if tag is None:
            return
        plain = plain[: tag.start()]
    if caption := _CAPTION.search(plain):
        plain = plain[: caption.start()]
    plain = _unquoted(plain, scene)
    if _IRONY.search(plain):
        return
    code = language or _language(plain, text)
    plain = _POLITE_IF.sub(lambda m: " " * len(m.group()), plain)
    if found := _CONDITION.search(plain):
        # What stands before a comma and an "if" behind it is a statement of its own.
        cut = max(plain.rfind(mark, 0, found.start()) for mark in ",;:—")
        if cut < 10 or _FIRST_WORD_IF.match(plain):
            return
        plain = plain[:cut]
    if code == "en":
        read = english.sentence(plain, scene)
    elif code in tongues.FILES:
        read = tongues.sentence(plain, scene, code)
    else:
        return
    for claim in read:
        a, b = claim.start, claim.end
        while a < b and plain[a] in " ,;:-–—(*_.":
            a += 1
        while b > a and plain[b - 1] in " ,;:-–—(*_!…":
            b -= 1
        yield replace(claim, start=start + a, end=start + b)


def _unquoted(plain: str, scene: Scene) -> str:
    """Blank what stands in quotation marks; a long quotation may run over several sentences.

    A title in quotes after "is called" is a name, so quotations of one or two words stay.
    """
    out = list(plain)
    opened = 0 if scene.in_quote else -1
    for mark in _QUOTES.finditer(plain):
        if opened >= 0:
            if scene.in_quote or plain.count(" ", opened, mark.start()) > 1:
                out[opened : mark.end()] = " " * (mark.end() - opened)
            else:
                out[opened] = out[mark.start()] = " "
            opened, scene.in_quote = -1, False
        else:
            opened = mark.start()
    if opened >= 0:
        scene.in_quote = len(plain) - opened > 3
        out[opened:] = " " * (len(plain) - opened)
    return "".join(out)


_OWN_WORDS: Final = {
    "en": re.compile(r"\b(?:I|[Mm]y|[Ww]e|I'm|i'm|i've|i|our|is|the|for me)\b"),
    "de": re.compile(r"\b(?:ich|wir|meine?[mnrs]?|unsere?[mnrs]?|ist|keine?n?)\b", re.IGNORECASE),
    "fr": re.compile(r"\b(?:je|nous|mon|ma|est|suis|maman|elle|avons|avec)\b|\b[jJ]'(?=\w)", re.IGNORECASE),
    "es": re.compile(
        r"\b(?:yo|mi|mis|soy|estoy|tengo|vivo|trabajo|voy|quiero|nos|hemos|hablo|fumo|bebo|juego|toco|odio"
        r"|prefiero|puedo|estudio|aprendo|nací|crecí|dejé|vendí|compré|desde|está|tiene|vive|según|también"
        r"|colecciono|duermo|mía|me (?:gust|encant|llam|mud)\w+)\b|\bya no\b",
        re.IGNORECASE,
    ),
}


def _language(plain: str, text: str) -> str:
    own = {code: len(words.findall(plain)) for code, words in _OWN_WORDS.items()}
    best = max(own.values())
    tops = [code for code, n in own.items() if n == best] if best else []
    if len(tops) == 1:
        return tops[0]
    return detect_language(plain) or detect_language(text) or (tops[0] if tops else "en")
