"""Words: what people say of themselves, as short extra search keys that point at the verbatim text.

"Suggest a dinner for me" shares no word with "I can't stand mushrooms".  :func:`statements` finds such
sentences without a model: preferences, facts, plans, relations and events in the first person, and simple
facts about a named person.  A key is the clause in the third person plus the plain word a question would
use; it is an index entry and never shown as what the person said.

Kinder to recall than the mining of the profile (``learn/profile.py``): a needless key costs a row of the
index, a wrong line of the profile costs trust.  Still nothing from questions, conditions and quotations.
English well; German, French and Spanish their common forms.  Dates are left as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias

from ragperso.segment import blocks, sentences
from ragperso.tokens import detect_language

Kind = Literal["preference", "fact", "plan", "relation", "event"]

MAX_KEY_WORDS: Final = 25  # a longer one says several things and its embedding none of them
MAX_SENTENCE_CHARS: Final = 1_000  # only the start of a longer run is read: lists, logs, text without stops
_MAX_SUBJECTS: Final = 12  # of one sentence that are looked at; keeps hostile text linear
_MIN_WORDS: Final = 3  # of a clause; "I agree" says nothing to search for
_LOOK_CHARS: Final = 160  # of a clause that decide its kind


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said: ``text[start:end]`` is its clause, ``key`` the short text to embed and index."""

    kind: Kind
    start: int
    end: int
    key: str


def statements(
    text: str, *, speaker: str = "", written: date | None = None, language: str | None = None, limit: int = 4
) -> list[Statement]:
    """Return at most ``limit`` statements in text order; spans never overlap.

    ``speaker`` names who "I" is; otherwise a leading ``Name:`` does, and "the person" where there is none.
    What an assistant says of itself is nobody's statement.  ``written`` is accepted for callers that hold
    it: relative dates stay relative here, another module resolves them.
    """
    found: list[Statement] = []
    who, at = speaker, 0
    if label := _LABEL.match(text):
        name = " ".join(label["name"].split())
        is_name = all(word[0].isupper() for word in name.split()) or " " not in name
        if is_name and name.casefold() not in _NO_SPEAKERS and (not speaker or _same(name, speaker)):
            who, at = who or name, label.end()
    if who.casefold() in _MACHINES:
        return []
    is_chat = bool(who)
    if who.casefold() in _ROLES:
        who = ""
    code = language or _language(text)
    if code not in _OWNER:
        return []
    for start, end in _spans(text, at):
        if text.startswith(">", start):
            continue
        for statement in _of_sentence(text, start, min(end, start + MAX_SENTENCE_CHARS), who, code, is_chat):
            if found and statement.start < found[-1].end:
                continue
            found.append(statement)
            if len(found) >= limit:
                return found
    return found


# ---------------------------------------------------------------- who speaks, and in which language

_LABEL: Final = re.compile(r"\s{0,9}(?P<name>[^\W\d_][\w.'-]{0,24}(?: [^\W\d_][\w.'-]{0,24}){0,2}):[ \t\n]")
_NO_SPEAKERS: Final = frozenset(
    "note notes ps p.s edit update todo today yesterday tldr subject re fwd question answer q a warning tip "
    "example summary title date from to cc hinweis frage antwort".split()
)
_ROLES: Final = frozenset("me user human myself ich moi yo".split())
_MACHINES: Final = frozenset("assistant system bot tool chatgpt ai model function".split())

# First-person words of one language only.
_OWN_WORDS: Final = {
    "en": re.compile(r"\bI\b|\b(?:[Mm]y|[Ww]e|[Ww]e're)\b"),
    "de": re.compile(r"\b(?:ich|wir|meine?[mnrs]?)\b", re.IGNORECASE),
    "fr": re.compile(r"\b(?:je|nous|mon|mes)\b|\bj['’](?=\w)", re.IGNORECASE),
    "es": re.compile(
        r"\b(?:yo|mi|mis|soy|estoy|tengo|vivo|trabajo|voy|quiero|fui|ayer|nos|hemos|me (?:gust|encant)\w+)\b"
        r"|amos\b",
        re.IGNORECASE,
    ),
}


def _language(text: str) -> str:
    """Return the language of ``text``: that of its first person, else that of its function words.

    A row of five words has too few function words to tell by, yet says "ich" or "je".
    """
    own = [code for code, words in _OWN_WORDS.items() if words.search(text)]
    if len(own) == 1:
        return own[0]
    if not own and _THIRD_CUE.search(text):
        return "en"  # "Ben is ..." could be Dutch
    return detect_language(text) or (own[0] if own else "en")


def _same(name: str, speaker: str) -> bool:
    left, right = name.casefold(), speaker.casefold()
    return left == right or left.split()[0] == right.split()[0]


def _spans(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of prose: code, tables and headings say nothing of anyone."""
    if "\n" not in text:
        yield from sentences(text, start)
        return
    for block in blocks(text, start):
        if block.kind in ("paragraph", "list") and not text.startswith(">", block.start):
            yield from sentences(text, block.start, block.end)


# ---------------------------------------------------------------- clauses

_STRAIGHT: Final = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "\u00a0": " ", "\n": " ", "\t": " "}
)
_QUOTES: Final = re.compile('["“”„«»]')
_LIST_MARK: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_CONDITION: Final = re.compile(
    r"\b(?:if|unless|imagine|suppose|pretend|wish|whether|as though"
    r"|wenn|falls|angenommen|ob|hypothetisch|si|imaginons|imagina|ojalá)\b",
    re.IGNORECASE,
)
# A question that only tags a statement: "I love hiking, do you?"
_TAG: Final = re.compile(
    r"[,;.–-] {0,2}(?:and |so |but |und |et |y )?(?:how|how's|what|what's|which|who|when|where|why|do|don't"
    r"|does|did|have|are"
    r"|is|can|could|would|right|huh|you|isn't|ok|okay|any|oder|du|was|wie|nicht wahr|toi|tu|non|verdad|no|tú"
    r"|qué)\b"
    r"[^,;]{0,90}\?\W{0,9}$",
    re.IGNORECASE,
)


# "[shares a photo: ...]" is not the person's word; "[a link](...)" is.
_CAPTION: Final = re.compile(r"\s\[(?![^\]\n]{0,200}\]\()")


def _of_sentence(text: str, start: int, end: int, who: str, code: str, is_chat: bool) -> Iterator[Statement]:
    if mark := _LIST_MARK.match(text, start, end):
        start = mark.end()
    plain = text[start:end].translate(_STRAIGHT)
    if plain.rstrip(" )*_\"'”»").endswith("?"):
        tag = _TAG.search(plain)
        if tag is None:
            return
        plain = plain[: tag.start()]
    if caption := _CAPTION.search(plain):
        plain = plain[: caption.start()]
    has_quotes = '"' in plain or _QUOTES.search(plain) is not None
    if not has_quotes and "\n" not in text and _QUOTES.search(text, max(0, start - 400), start):
        opened = len(_QUOTES.findall(text, max(0, start - 400), start)) % 2 == 1
        if opened:
            return
    for kind, a, b, tag_words in _CLAUSES[code](plain, is_chat):
        if has_quotes and len(_QUOTES.findall(plain, 0, a)) % 2 == 1:
            continue
        clause = plain[a:b]
        if _CONDITION.search(plain, max(0, a - 200), b):
            continue
        trimmed = clause.rstrip(" ,;:-–—(*_")
        lead = len(trimmed) - len(trimmed.lstrip(" ,;:-–—(*_"))
        key = _key(trimmed[lead:], who, code, kind, tag_words)
        yield Statement(kind, start + a + lead, start + a + len(trimmed), key)


def _key(clause: str, who: str, code: str, kind: Kind, tag_words: str) -> str:
    """Return the clause as a short text about ``who``: see the module."""
    if code == "en":
        said = _third_person(clause)
        name, own = (who, who + ("'" if who.endswith("s") else "'s")) if who else ("the person", "their")
    else:
        said = clause
        name, own = _NAMES[code]
        if who:
            name, own = who, _NAMED_OWNER[code].format(who)
        for pattern, replacement in _OWNER[code]:
            said = pattern.sub(replacement, said)
    if code == "en" and "\x00" in said.partition("\x01")[0]:
        own = "their"  # "Ana sold their boat": the name has been said
    said = said.replace("\x01", own, 1).replace("\x01", "their" if code == "en" else own)
    said = said.replace("\x00", name)
    words = said.split()
    said = " ".join(words[:MAX_KEY_WORDS]).rstrip(" ,;:.!…")
    if name not in said and own not in said:
        said = f"{name}: {said}"
    said = said[:1].upper() + said[1:]
    tags = tag_words or _KIND_WORDS[code].get(kind, "")
    return f"{said} ({tags})" if tags else said


# The words a question would use for what no statement calls so.
_KIND_WORDS: Final[dict[str, dict[Kind, str]]] = {
    "en": {"preference": "likes, favourite", "plan": "plans"},
    "de": {"preference": "mag gern, Vorliebe", "plan": "Pläne"},
    "fr": {"preference": "aime, préféré", "plan": "projets"},
    "es": {"preference": "le gusta, favorito", "plan": "planes"},
}
_NAMES: Final = {
    "de": ("die Person", "ihre"),
    "fr": ("la personne", "sa"),
    "es": ("la persona", "su"),
}
_NAMED_OWNER: Final = {"de": "{}s", "fr": "{} son", "es": "{} su"}

# ---------------------------------------------------------------- English

_SUBJECT: Final = re.compile(r"(?<![\w'])(?:[Ii]|[Ww]e)(?:'(?P<aux>m|ve|d|ll|re))? +(?=[\w'])")
_MY: Final = re.compile(r"(?<![\w'])(?:[Mm]y|[Oo]ur) +(?=\w)")
# What may stand between the subject and its verb.
_ADVERBS: Final = frozenset(
    """really just always still also actually absolutely totally definitely recently finally
    already even only truly usually often sometimes generally mostly personally literally
    honestly kinda sorta quite currently now both all so too simply particularly especially
    genuinely normally typically mainly rarely very pretty deeply do probably lately
    occasionally once then basically obviously completely secretly first last quickly soon
    long regularly myself ever mainly currently""".split()
)
_BOUNDARY: Final = re.compile(
    r"""(?:^|[,;:.!?()\[\]*_—–…"“”-]|\b(?:and|but|so|because|then|also|cause|though|although|anyway|anyways
    |plus|yet|well|yeah|yep|yes|no|oh|wow|actually|honestly|currently|lately|recently|yesterday|today|tomorrow
    |tonight|now|sometimes|usually|personally|finally|thanks|sorry|luckily|unfortunately|fortunately|nowadays
    |later|(?:I|we)[ ](?:just[ ])?(?:think|guess|believe|feel[ ]like|know)(?:[ ]that)?|hey
    |[Gg]uess[ ]what))\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_TIME_PHRASE: Final = re.compile(
    r"""^\s*(?:(?:and|but|so|well|yeah|oh)\s+)?(?:
    (?:last|this|next|every|each|some|one|the\ (?:other|next|first|last|following))\s
        (?:\w+\s)?(?:weeks?|weekends?|months?|years?|days?|mornings?|afternoons?
        |evenings?|nights?|times?|summer|winter
        |spring|autumn|fall|season|semester|\w+day|january|february|march|april|may|june|july|august
        |september|october|november|december|christmas|holidays?|term)(?:\s\w+){0,2}
    |(?:on|in|at|during|over|after|before|for|since|once|two|three
        |a\ (?:few|couple|while|long|week|month|year)
        |earlier|back|early|late|around|as|yesterday|tomorrow|today)\s+\w[^,;:?!]{0,40})\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_PUNCTUATION: Final = re.compile(r"[,;:.!?()\[\]—–…]|\s-\s|\b(?:and|but|because)\s")
_CLAUSE_END: Final = re.compile(
    r"""[;:?!…—](?=\s|$)|\s(?:-+|–)\s|\s\(|,?\ but\b
    |,\ (?:so|which|and\ (?:so|now|then|the|all|everyone))\b
    |\ so\ (?:I|we|it|that's|if|you)\b
    |(?:,|,?\ and)\ (?:I|i|we|my|our|it|it's|you|you're|they|he|she|that|this|that's|there|how|what|let|hope
    |maybe
        |do|are|right|huh|haha|lol|don't|isn't)\b(?!\ (?:of|for)\b)
    |,?\ (?:I|we)(?:'\w+)?\ (?:think|guess|mean|hope)\b""",
    re.VERBOSE,
)
_WORDS: Final = re.compile(r"[\w'’-]+")

_PREFERENCE_VERBS: Final = frozenset(
    """like love hate prefer enjoy adore dislike despise detest loathe favor favour cherish fancy
    liked loved hated preferred enjoyed adored disliked crave treasure""".split()
)
_DISLIKES: Final = frozenset("hate dislike despise detest loathe hated disliked".split())
# Objects that say nothing on their own: "I love it", "I like how you ...".
_VAGUE: Final = frozenset(
    "it it's this that these those them him her you how when what where your his their us that's".split()
)
_FACT_VERBS: Final = frozenset(
    """live work study play speak own collect eat drink run teach practice practise write
    volunteer use drive take make cook bake paint draw sing dance read swim hike cycle garden
    coach raise attend follow watch listen meditate train sleep wear keep grow smoke do go
    manage lead commute ride design code build breed foster suffer struggle rent share spend
    know belong come grew lived worked studied owned taught moonlight freelance train
    specialise specialize subscribe bank""".split()
)
# Some of them only with these words: "I know how to weld", not "I know you".
_FACT_WITH: Final = {
    verb: frozenset(words.split())
    for verb, words in {
        "know": "how",
        "come": "from",
        "belong": "to",
        "take": "my medication classes lessons pills insulin pictures photos care a the",
        "do": "yoga pilates karate volunteer my a some lots crossfit pottery freelance",
        "go": "to hiking running camping swimming climbing fishing for on every there",
        "use": "a my the",
        "suffer": "from",
        "struggle": "with",
        "keep": "a my bees chickens",
        "spend": "my most time a",
        "share": "a",
        "lead": "a",
        "make": "my a",
        "follow": "a the",
        "bank": "with at",
        "build": "a",
    }.items()
}
_PARTICIPLES: Final = frozenset(
    """been gone done seen met taken made bought sold won lost found started begun finished
    become gotten read written built run moved tried visited joined learned learnt taught
    studied worked lived played loved liked enjoyed wanted decided planned known owned had
    raised grown traveled travelled adopted drawn painted spent dreamt dreamed quit broken
    hurt set signed booked""".split()
)
_EVENT_VERBS: Final = frozenset(
    """went bought sold got took made met won lost found began became left ran rode drove flew
    gave built broke fell caught wrote drew sang swam taught came chose ate drank spent paid
    hurt quit read put sent brought held stole hung dug led set hit beat grew saw had did
    hosted picked""".split()
)
# Verbs in -ed, and others, that tell of a thought or of talk rather than of something that took place.
_NO_EVENTS: Final = frozenset(
    """thought felt guessed hoped agreed needed heard said told knew wondered asked wanted meant
    figured noticed seemed appreciated assumed supposed expected mentioned believed forgot
    remembered understood imagined doubted called talked replied answered wished cared minded
    stayed indeed need feed seed speed bleed exceed proceed succeed worried tired excited
    interested promised""".split()
)
_PLAN_VERBS: Final = frozenset("want wanna plan hope intend aim need hoped planned wanted gonna".split())
_WEAK_VERBS: Final = frozenset(
    """know say admit tell ask thank hear see let keep try be think believe understand make
    remember show check send share give add agree support never always do have miss hold wait
    get cheer pass bet mention inform""".split()
)
_COPULA_PLANS: Final = frozenset(
    "going gonna planning hoping thinking considering aiming looking excited about trying intending saving "
    "preparing training dreaming contemplating determined set".split()
)
_COPULA_PREFERENCES: Final = frozenset("into fond obsessed crazy keen passionate interested hooked".split())
_COPULA_FACTS: Final = frozenset(
    """allergic intolerant vegetarian vegan pescatarian left-handed right-handed colorblind
    colourblind diabetic married single divorced widowed engaged pregnant retired unemployed
    self-employed jewish muslim christian catholic hindu buddhist atheist transgender trans
    gay lesbian bisexual bilingual dyslexic asthmatic autistic gluten-free lactose based from
    scared afraid terrified responsible sober adopted employed disabled deaf blind native
    fluent originally lactose-intolerant sensitive""".split()
)
# "I'm <...>ing" that tells of a mood or of talk, not of what the person does.
_NO_ONGOING: Final = frozenset(
    """saying wondering feeling telling asking kidding joking talking guessing wishing loving enjoying wanting
    rooting cheering sending glad being sharing believing trusting agreeing counting referring assuming
    letting seeing hearing""".split()
)
_PASSIVES: Final = frozenset(
    """born raised diagnosed promoted hired fired accepted invited selected nominated chosen
    awarded injured admitted elected offered laid given asked featured married trained named
    robbed hospitalized rejected""".split()
)
_NO_POSSESSIONS: Final = frozenset(
    """question feeling idea look great good nice blast fun time chat point doubt clue hunch
    problem lot wonderful amazing safe lovely fantastic blessed bit hard different similar few
    some ton talk word""".split()
)
_COUNTS: Final = frozenset(
    "a an one two three four five six seven eight nine ten some several many lots no any my 2 3 4 5 6 7 8 9 "
    "10"
    " both multiple".split()
)
_FAMILY: Final = frozenset(
    """wife husband partner spouse girlfriend boyfriend fiance fiancé fiancée fiancee son sons
    daughter daughters child children kid kids baby mother mom mum mama father dad papa
    parents parent sister sisters brother brothers sibling siblings twin aunt uncle cousin
    cousins niece nephew grandma grandpa grandmother grandfather grandparents gran granny nana
    grandson granddaughter grandkids family stepmother stepfather stepson stepdaughter in-laws
    mother-in-law father-in-law brother-in-law sister-in-law ex ex-wife ex-husband""".split()
)
_WORK_PEOPLE: Final = frozenset(
    "boss manager colleague colleagues coworker coworkers co-worker co-workers supervisor employer team "
    "mentor "
    "client clients "
    "assistant landlord landlady teacher professor coach tutor therapist doctor dentist".split()
)
_FRIENDS: Final = frozenset(
    "friend friends buddy buddies bestie roommate roommates flatmate flatmates neighbor neighbors neighbour "
    "neighbours crush teammate teammates bandmate bandmates classmate classmates".split()
)
_PETS: Final = frozenset(
    "dog dogs cat cats pet pets puppy pup pups kitten kittens turtle turtles hamster rabbit bunny parrot "
    "horse horses "
    "fish snake lizard guinea".split()
)
_THINGS: Final = frozenset(
    """name birthday job work career company business shop store studio office salary degree
    major school university college thesis house home apartment flat place garden hometown
    country car bike motorcycle van boat truck phone laptop bank address height weight age
    doctor dentist shoe size diet condition diagnosis allergy asthma back knee ankle shoulder
    leg heart blood surgery operation wedding anniversary band book novel blog channel podcast
    exam interview routine nationality religion roots heritage language nickname specialty
    collection guitar piano violin camera instrument""".split()
)
_KINSHIP_ADJECTIVES: Final = frozenset(
    """older younger elder big little oldest youngest eldest best close closest good old new dear
    late twin half step great first second third whole entire two three four own former
    childhood high school college gaming soccer basketball work wonderful amazing lovely sweet
    adorable precious""".split()
)
_VERBISH: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|had|lives?|works?|loves?|likes?|hates?|got|gave|said|told|moved|died"
    r"|passed|made|came"
    r"|bought|went|taught|plays?|helps?|helped|started|started|studies|calls?|called|runs?|owns?|broke"
    r"|visited|enjoys?"
    r"|prefers?|and (?:I|we)|wants?|just|recently|always|will|used|needs?|loved|'s|'re|took|takes|turns"
    r"|turned|does"
    r"|suffers?|makes|keeps?|gets?|sent|won|lost|grew|graduated|joined|encouraged|supports?|supported|ate"
    r"|eats?"
    r"|hurts?|died|speaks?|retired|married|adopted|recommended|introduced|gives|inspired|inspires|surprised"
    r"|comes)\b"
)
_FAVOURITE: Final = re.compile(
    r"\b(?:is|are|was|were|be|been|become|became|becoming|'s|'re) (?:\w+ly |always |also |still |now "
    r"|probably |just |such |really ){0,3}"
    r"(?:a |(?:one|some|two) of )?(?:my|our) (?:(?:all-time|absolute|personal|new|very|biggest|greatest"
    r"|go-to|number|one"
    r"|main|secret|true|happy|all|time) ){0,3}"
    r"(?:favou?rites?|passions?|hobby|hobbies|go-to|place|escape|comfort|weakness|obsession|guilty pleasure"
    r"|jam|thing)\b"
    r"|\b(?:is|are|was|has been|'s|'s been|have been) (?:\w+ ){0,2}(?:a |an )?(?:big |huge |great |true "
    r"|major )?(?:passion of mine"
    r"|favou?rites? of mine|(?:hobby|hobbies|dream) of mine|(?:my|our) thing)\b"
)
_AFFECTS_ME: Final = re.compile(
    r"\b(?:(?:always|really|also|just|truly|has|have|been|'s) ){0,3}(?:helping|helped|means (?:a lot|so much"
    r"|everything|the world) to|helps?|keeps?|makes?|calms?|inspires?|motivates?|relaxes|relax|brings?|gives?"
    r"|cheers?|soothes?|recharges?|scares?|bores?|grosses|stresses|fascinates?) (?:me|us)\b"
)
_PRONOUN_SUBJECT: Final = re.compile(
    r"\W*(?:(?:and|but|so|yeah|yes|well|oh|wow)\W+)?(?:it|that|this|they|you|he|she|your|these|those|which"
    r"|what|who|there|all|his|her|their)\b",
    re.IGNORECASE,
)
_DROPPED: Final = re.compile(
    r"""(?:(?:Oh|Yeah|Yep|Yes|Nah|Nope|Wow|Well|So|And|Hey)\W+)?
    (?:(?:just|finally|recently|also|really|totally|definitely|still|already|currently)\ )*
    (?P<verb>gonna|planning|hoping|thinking|looking\ forward|can't\ wait|can't\ stand|went|bought|finished
    |started|made|took
    |met|visited|joined|signed|won|tried|adopted|moved|graduated|booked|got|saw|been|had|working|studying|love
    |loved|enjoy|hate|learning|reading|playing|used\ to|spent|ran|attended|volunteered)\ (?=\S)""",
    re.IGNORECASE | re.VERBOSE,
)
_THIRD: Final = re.compile(
    r"""(?P<name>[A-Z][a-zà-öø-ÿ]+(?:\ [A-Z][a-zà-öø-ÿ]+)?)(?:\ (?:also|really|always|still|just|only))?
    (?:(?:'s|\ is|\ was)\ (?:also\ |really\ |severely\ )?(?:allergic|intolerant|vegetarian|vegan|pescatarian
    |diabetic|married|divorced
        |pregnant|retired|left-handed|born|from|engaged|\d{1,2}\b|(?:an?|my|our)\ \w+|turning\ \d+|into\ \w)
    |\ (?:lives|works|plays|speaks|teaches|owns|collects|loves|likes|hates|prefers|enjoys|adores
    |dislikes)\ (?!it\b|this\b|that\b|you\b)\w
    |\ (?:doesn't|does\ not|can't|never)\ (?:eat|eats|drink|drinks|like|drive|swim|have)\ \w
    |\ has\ (?:an?|two|three|four|no)\ \w+
    |\ (?:moved|switched)\ (?:to|from)\ \w)""",
    re.VERBOSE,
)
_THIRD_CUE: Final = re.compile(
    r"[a-z](?:'s|’s| is| was| lives| works| plays| speaks| teaches| owns| collects| loves| likes"
    r"| hates| prefers"
    r"| enjoys| adores| dislikes| doesn| does not| can't| never| has| moved| switched)\b"
)
_NOT_NAMES: Final = frozenset(
    """It That This There Here He She They You What Who Which Where When How Why The These Those
    Everyone Everything Nobody Someone Something Anything Life Nature Love Music Art Work
    Today Tomorrow Yesterday Each One All Some Nothing Everybody Anyone Another Other Such
    Then Now And But So Yes No Yeah Well Oh Wow Maybe Not Time Home Family Today Lunch Dinner
    Breakfast Education Health Your His Her Their Its Only Just Let Monday Tuesday Wednesday
    Thursday Friday Saturday Sunday Python Code Data""".split()
)


def _english(plain: str, is_chat: bool) -> Iterator[tuple[Kind, int, int, str]]:
    """Yield (kind, start, end, words for the key) of the clauses of one English sentence, in order."""
    claims: list[tuple[Kind, int, int, str]] = []
    if not _FIRST_PERSON.search(plain):
        claims += _unspoken(plain, is_chat)
        yield from (claim for claim in claims if _is_worth(plain, claim))
        return
    n_subjects = 0
    for match in _SUBJECT.finditer(plain):
        n_subjects += 1
        if n_subjects > _MAX_SUBJECTS:
            break
        begin = _clause_start(plain, match.start())
        if begin < 0:
            continue
        words = _words(plain, match.end())
        if judged := _predicate(match["aux"] or "", words):
            claims.append((judged[0], begin, _clause_end(plain, match.end()), judged[1]))
    for match in _MY.finditer(plain):
        n_subjects += 1
        if n_subjects > 2 * _MAX_SUBJECTS:
            break
        begin = _clause_start(plain, match.start())
        if begin >= 0 and (judged := _possessed(plain, match.end())):
            claims.append((judged[0], begin, _clause_end(plain, match.end()), judged[1]))
    if (" me" in plain or " us" in plain or " m" in plain or " our" in plain) and not claims:
        claims += _about_me(plain)
    claims = claims or _unspoken(plain, is_chat)
    claims.sort(key=lambda claim: claim[1])
    yield from (claim for claim in claims if _is_worth(plain, claim))


_FIRST_PERSON: Final = re.compile(r"\b(?:[Ii]|[Ww]e|[Mm]y|[Oo]ur|me|us|mine)\b")


_IS_SUBJECT: Final = re.compile(
    r"\b(?:is|are|was|were|has|can|will|takes?|helps?|makes?|brings?|gives?)\b|'s\b"
)


def _unspoken(plain: str, is_chat: bool) -> list[tuple[Kind, int, int, str]]:
    """Return what a sentence says whose "I" was dropped, or whose subject is somebody by name."""
    if is_chat and (dropped := _DROPPED.match(plain)):
        verb = dropped["verb"].lower()
        if verb.endswith("ing") and _IS_SUBJECT.search(plain, dropped.end(), dropped.end() + 80):
            return []  # "Learning a language is tough"
        aux = "m" if verb.endswith("ing") or verb in ("gonna", "looking forward") else ""
        aux = "ve" if verb == "been" else aux
        if judged := _predicate(aux, _words(plain, dropped.start("verb"))):
            return [(judged[0], 0, _clause_end(plain, dropped.end()), judged[1])]
    elif (third := _THIRD.match(plain)) and third["name"].split()[0] not in _NOT_NAMES:
        return [("fact", 0, _clause_end(plain, third.end()), _topic(_words(plain, third.end("name"))))]
    return []


def _is_worth(plain: str, claim: tuple[Kind, int, int, str]) -> bool:
    clause = plain[claim[1] : claim[2]]
    return len(clause.split()) >= _MIN_WORDS and not _is_empty(clause)


def _words(plain: str, at: int) -> list[str]:
    return _WORDS.findall(plain[at : at + _LOOK_CHARS].lower())


def _clause_start(plain: str, at: int) -> int:
    """Return where the clause whose subject stands at ``at`` begins, its time phrase included.

    -1 when it is no main clause: "he said I ...", "what I ...".
    """
    before = plain[max(0, at - 80) : at]
    if _BOUNDARY.search(before):
        # "Last Friday, I ...": the phrase before the comma says when.
        head = before.rstrip(" ,")
        if before.rstrip().endswith(","):
            last = 0
            for last_match in _PUNCTUATION.finditer(head):
                last = last_match.end()
            if _TIME_PHRASE.match(head[last:]) or head[last:].strip().lower() in _LONE_TIMES:
                return at - len(before) + last + (len(head[last:]) - len(head[last:].lstrip()))
        if (word := before.split()[-1:]) and word[0].lower() in _LONE_TIMES:
            return at - len(before) + before.rindex(word[0])
        return at
    last = 0
    for last_match in _PUNCTUATION.finditer(before):
        last = last_match.end()
    if (last or at <= 80) and _TIME_PHRASE.match(before[last:]):
        return at - len(before) + last + (len(before[last:]) - len(before[last:].lstrip()))
    return -1


_LONE_TIMES: Final = frozenset("yesterday today tomorrow tonight recently lately currently".split())


def _clause_end(plain: str, at: int) -> int:
    found = _CLAUSE_END.search(plain, at)
    end = found.start() if found else len(plain)
    return end if end - at > 4 else len(plain)


_EMPTY_WORDS: Final = frozenset(
    """i i'm i've i'd i'll we we're we've me my it it's its this that these those them him her
    you your he she they a an the to of in on at for with and or so too very really just all
    some any much more lot lots one thing things do did doing done have has had having be been
    being is are was were am get got getting go going went make made love like want hope plan
    enjoy can't can will would there here now then time back up out about what how always
    never still also definitely stuff something anything everything way""".split()
)


def _is_empty(clause: str) -> bool:
    """Say whether no word of ``clause`` could be searched for: "I love it so much", "I did that too"."""
    return all(word in _EMPTY_WORDS for word in _WORDS.findall(clause.lower()))


def _predicate(aux: str, words: list[str]) -> tuple[Kind, str] | None:
    """Return the kind of "I<'aux> <words>" and the words for its key; None where it states none."""
    denied = False
    i = 0
    while i < len(words) and (words[i] in _ADVERBS or words[i] in ("not", "never")):
        denied = denied or words[i] in ("not", "never")
        # "do" is an adverb only before a verb: "I do love it", not "I do yoga".
        if words[i] == "do" and (words[i + 1 : i + 2] or [""])[0] not in _PREFERENCE_VERBS:
            break
        i += 1
    rest = words[i:]
    if len(rest) < 2:
        return None
    verb, after = rest[0], rest[1]
    if aux in ("m", "re") or verb in ("am", "are", "was", "were", "wasn't", "aren't"):
        if aux not in ("m", "re"):
            denied = denied or verb.endswith("n't")
            return _copula(rest[1:], past=verb.startswith(("wa", "we")), denied=denied)
        return _copula(rest, past=False, denied=denied)
    if aux == "ve" or (verb in ("have", "haven't", "had") and _is_perfect(rest[1:])):
        return _perfect(rest if aux == "ve" else rest[1:], denied or verb == "haven't")
    if aux == "d" or verb in ("would", "wouldn't"):
        tail = rest if aux == "d" else rest[1:]
        tail = [w for w in tail[:3] if w not in _ADVERBS] + tail[3:]
        if tail[:1] and tail[0] in ("love", "like", "prefer", "rather", "hate"):
            if tail[0] == "rather":
                return "preference", ""
            if tail[1:2] == ["to"] and (tail[2:3] or ["see"])[0] not in _WEAK_VERBS:
                return "plan", "would like, plans"
        return None
    if aux == "ll" or verb in ("will", "won't"):
        tail = [w for w in (rest if aux == "ll" else rest[1:]) if w not in _ADVERBS]
        if (
            verb == "won't"
            or denied
            or not tail
            or (tail[0] in _WEAK_VERBS and not (tail[0] == "be" and len(tail) > 2))
        ):
            return None
        if tail[0] == "be" and not tail[1].endswith("ing"):
            return None
        return ("plan", "") if len(tail) > 1 else None
    if verb in ("can't", "cannot", "couldn't"):
        if after in ("stand", "bear"):
            return ("preference", "dislikes, hates") if _says(rest[2:]) else None
        if after == "wait" and verb != "couldn't":
            weak = (
                rest[2:3] == ["to"]
                and rest[3:4]
                and rest[3] in _WEAK_VERBS
                and {"you", "your", "it", "how"} & set(rest)
            )
            return None if weak or len(rest) < 4 else ("plan", "plans, looking forward")
        if after in (
            "eat",
            "drink",
            "have",
            "tolerate",
            "swim",
            "drive",
            "cook",
            "digest",
            "speak",
        ) and _says(rest[2:]):
            return "fact", _topic(rest[1:])
        return None
    if verb in ("don't", "dont", "didn't", "do") and after in _PREFERENCE_VERBS | _ADVERBS | _FACT_VERBS | {
        "have",
        "like",
    }:
        k = 1
        while k < len(rest) - 1 and rest[k] in _ADVERBS:
            k += 1
        if rest[k] in _PREFERENCE_VERBS:
            return ("preference", "dislikes" if verb != "do" else "") if _says(rest[k + 1 :]) else None
        if verb in ("don't", "dont") and rest[k] in (
            "eat",
            "drink",
            "own",
            "speak",
            "play",
            "smoke",
            "drive",
            "cook",
            "work",
            "live",
        ):
            return ("fact", _topic(rest[k:])) if rest[k + 1 :] or rest[k] == "smoke" else None
        if (
            verb in ("don't", "dont")
            and rest[k] == "have"
            and rest[k + 1 : k + 2]
            and rest[k + 1] in ("any", "a", "kids", "children")
        ):
            return (
                ("fact", _topic(rest[k + 1 :]))
                if len(rest) > k + 2 and rest[k + 2] not in _NO_POSSESSIONS
                else None
            )
        if verb != "do":
            return None
    if verb in _PREFERENCE_VERBS:
        tags = "dislikes, hates" if verb in _DISLIKES else ("dislikes" if denied else "")
        return ("preference", tags) if _says(rest[1:]) else None
    if verb == "fell" and rest[1:3] == ["in", "love"]:
        return "preference", ""
    if verb in ("wanna", "gonna") or (verb in _PLAN_VERBS and after == "to"):
        tail = rest[1:] if verb in ("wanna", "gonna") else rest[2:]
        tail = [w for w in tail if w not in _ADVERBS]
        return ("plan", "") if len(tail) > 1 and tail[0] not in _WEAK_VERBS else None
    if verb in ("signed", "registered", "enrolled", "applied", "booked"):
        return "plan", "plans, signed up" if verb != "booked" else "plans, booked"
    if verb == "decided" and after == "to":
        return "plan", ""
    if (verb == "looking" and after == "forward") or verb in ("planning", "hoping", "thinking"):
        return _copula(rest, past=False, denied=False)
    if verb == "used" and after == "to":
        return "fact", ""
    if verb in ("have", "got", "has", "had") and after in _COUNTS and not denied:
        return _has(verb, rest[1:])
    if verb in _FACT_VERBS and not (verb in _FACT_WITH and after not in _FACT_WITH[verb]):
        if (
            after in _VAGUE
            or (verb == "work" and after in ("it", "hard"))
            or (verb == "watch" and after == "out")
        ):
            return None
        return "fact", _topic(rest)
    if verb == "grew" and after == "up":
        return "fact", "home, childhood"
    if (
        not denied
        and (verb in _EVENT_VERBS or (verb.endswith("ed") and len(verb) > 4))
        and verb not in _NO_EVENTS
    ):
        # "I made this painting ..." names a thing, "I made this" does not.
        shown = after in ("this", "that", "these", "those") and len(rest) > 4
        return ("event", "") if _says(rest[2:] if shown else rest[1:]) else None
    return None


def _says(words: list[str]) -> bool:
    """Say whether an object names something: not "it", not "how you see it"."""
    k = 0
    while k < len(words) and words[k] in _ADVERBS:
        k += 1
    if k >= len(words) or words[k] in _VAGUE:
        return False
    if (
        words[k] == "the"
        and words[k + 1 : k + 2]
        and words[k + 1] in ("idea", "fact", "way", "thought", "sound", "look")
    ):
        return False
    if (
        words[k] == "to"
        and words[k + 1 : k + 2]
        and words[k + 1] in ("think", "believe", "say", "hear", "admit", "see")
    ):
        return False
    return any(word not in _EMPTY_WORDS for word in words[k:])


def _copula(rest: list[str], *, past: bool, denied: bool) -> tuple[Kind, str] | None:
    while rest and (rest[0] in _ADVERBS or rest[0] == "not"):
        denied = denied or rest[0] == "not"
        rest = rest[1:]
    if len(rest) < 1:
        return None
    head, tail = rest[0], rest[1:]
    if head in ("a", "an", "such") and tail:
        near = rest[1:6]
        if {"fan", "lover", "enthusiast", "fanatic", "sucker", "aficionado"} & set(near):
            return "preference", "dislikes" if denied else ""
        if tail[0] in ("bit", "little", "lot", "tad", "fool", "mess", "wreck", "firm") or len(tail) < 1:
            return None
        return "fact", _topic(tail)
    if head == "the" and tail:
        return ("fact", "") if len(tail) > 1 and not past else None
    if head in _COPULA_PREFERENCES and tail:
        return (
            ("preference", "dislikes" if denied else "")
            if _says(tail[1:] if tail[0] in ("of", "with", "about", "in", "on") else tail)
            else None
        )
    if past:
        if head in _PASSIVES:
            return ("fact", "home, birth") if head in ("born", "raised") else ("event", "")
        if head in ("in", "at", "on") and tail and tail[0] not in ("awe", "shock", "tears", "fact", "love"):
            return ("event", "") if _says(tail) else None
        if head == "out" or (head.endswith("ing") and head not in _NO_ONGOING | _COPULA_PLANS):
            return ("event", "") if _says(tail) else None
        return ("fact", "") if head in _COPULA_FACTS else None
    if head in _COPULA_FACTS:
        return "fact", _topic(rest)
    if head.isdigit() and tail and (tail[0] in ("years", "year", "yrs", "now") or len(head) == 2):
        return "fact", "age"
    if denied:
        return None
    if head in _COPULA_PLANS and tail:
        if head == "going" and tail[0] == "to":
            tail = [w for w in tail[1:] if w not in _ADVERBS]
            return ("plan", "") if tail and (tail[0] not in _WEAK_VERBS or len(tail) > 3) else None
        if head == "gonna":
            return ("plan", "") if tail[0] not in _WEAK_VERBS or len(tail) > 3 else None
        if head == "thinking" and tail[0] not in ("of", "about"):
            return None
        if head == "looking" and tail[0] not in ("for", "forward", "to", "into"):
            return None
        if (
            head == "looking"
            and tail[0] == "forward"
            and tail[1:3] in (["to", "it"], ["to", "hearing"], ["to", "seeing"])
        ):
            return None
        if head in ("excited", "about", "determined", "set") and tail[0] not in ("to", "about", "for"):
            return None
        if head == "excited" and tail[1:2] and tail[1] in _WEAK_VERBS | _VAGUE:
            return None
        if head == "trying" and tail[0] == "to" and tail[1:2] and tail[1] in _WEAK_VERBS:
            return None
        return ("plan", "") if _says(tail) or len(tail) > 2 else None
    if head.endswith("ing") and head not in _NO_ONGOING and tail:
        kind: Kind = "plan" if _FUTURE.search(" ".join(tail)) else "fact"
        return (kind, _topic(rest) if kind == "fact" else "") if _says(tail) else None
    if head in ("out", "back") and tail:
        return None
    if head in ("in", "at", "on") and tail:
        return (
            ("fact", "")
            if tail[0] not in ("love", "awe", "shock", "tears", "fire", "it", "board", "the") and _says(tail)
            else None
        )
    if head.endswith("ing") and tail and _FUTURE.search(" ".join(tail)):
        return "plan", ""
    return None


_FUTURE: Final = re.compile(
    r"\b(?:next|tomorrow|tonight|soon|upcoming|this (?:weekend|week|summer|winter|fall|autumn|spring|month"
    r"|year|friday"
    r"|saturday|sunday)|later (?:this|today)|in (?:a few|two|three|january|february|march|april|june|july"
    r"|august|september"
    r"|october|november|december))\b"
)


def _is_perfect(rest: list[str]) -> bool:
    rest = [w for w in rest[:4] if w not in _ADVERBS and w not in ("never", "not")]
    return bool(rest) and (rest[0] in _PARTICIPLES or (rest[0].endswith("ed") and len(rest[0]) > 4))


def _perfect(rest: list[str], denied: bool) -> tuple[Kind, str] | None:
    while rest and (rest[0] in _ADVERBS or rest[0] in ("never", "not")):
        denied = denied or rest[0] in ("never", "not")
        rest = rest[1:]
    if len(rest) < 2:
        return None
    head, tail = rest[0], rest[1:]
    if head in _PREFERENCE_VERBS:
        return ("preference", "dislikes" if denied else "") if _says(tail) else None
    if head == "got":
        return _has("got", tail) if tail[0] in _COUNTS else None
    if head == "been":
        tail = [w for w in tail if w not in _ADVERBS]
        if not tail or tail[:2] == ["a", "while"]:
            return None
        if tail[0] == "to":
            return "event", ""
        if tail[0] in _COPULA_PREFERENCES:
            return "preference", ""
        if tail[0] in ("thinking", "planning", "wanting", "hoping", "dreaming", "considering", "looking"):
            return ("plan", "") if _says(tail[1:]) and len(tail) > 2 else None
        if tail[0].endswith("ing"):
            return (
                ("fact", _topic(tail))
                if _says(tail[1:]) and tail[0] not in ("wondering", "meaning", "having")
                else None
            )
        if (
            tail[0] in ("a", "an", "married", "together", "vegetarian", "vegan", "in", "friends")
            or tail[0] in _COPULA_FACTS
        ):
            return "fact", _topic(tail)
        return None
    if head in ("known", "had"):
        return ("fact", "") if _says(tail) and tail[0] in _COUNTS | {"known", "each", "my", "the"} else None
    if head in _NO_EVENTS and head != "wanted":
        return None
    if head == "wanted":
        return ("plan", "") if tail[0] == "to" else None
    if denied and head not in ("tried", "seen", "gone", "read", "visited", "played", "eaten"):
        return None
    if head in _PARTICIPLES or (head.endswith("ed") and len(head) > 4):
        return ("event", "") if _says(tail) else None
    return None


def _has(verb: str, rest: list[str]) -> tuple[Kind, str] | None:
    """Judge "I have a ...", "I've got two ..."."""
    near = rest[:5]
    if rest[1:2] and rest[1] in _NO_POSSESSIONS and not (set(near) & (_PETS | _FAMILY)):
        return ("event", "") if verb in ("had", "got") and len(rest) > 4 and _says(rest) else None
    if verb in ("had", "got"):
        # "I got a dog" took place and tells of a dog.
        return ("event", _topic(rest)) if _says(rest) else None
    if set(near) & _FAMILY:
        return "relation", "family"
    return ("fact", _topic(rest)) if _says(rest) else None


def _possessed(plain: str, at: int) -> tuple[Kind, str] | None:
    """Judge "My ..." from what follows."""
    look = plain[at : at + _LOOK_CHARS]
    words = [word.removesuffix("'s") for word in _WORDS.findall(look.lower())]
    if len(words) < 3:
        return None
    near = words[:4]
    if any(word.startswith(("favorite", "favourite")) for word in near):
        return "preference", ""
    k = 0
    while k < 3 and k < len(words) - 2 and words[k] in _KINSHIP_ADJECTIVES:
        k += 1
    head = words[k]
    if head in ("dream", "goal", "plan", "plans", "aim", "resolution") and _VERBISH.search(look):
        return "plan", "plans, goal"
    if head in ("hobby", "hobbies", "passion", "interests", "love", "interest") and _VERBISH.search(look):
        return "preference", "likes, hobby"
    if head in ("mother", "native", "first") and words[k + 1] in ("tongue", "language"):
        return "fact", "language"
    if not _VERBISH.search(look[:90]):
        return None
    if head in _FAMILY:
        return "relation", "family"
    if head in _FRIENDS:
        return "relation", "friend"
    if head in _WORK_PEOPLE:
        return "relation", "work" if head not in ("doctor", "dentist", "therapist") else "health"
    if head in _PETS:
        return "fact", "pet"
    if head in _THINGS or words[k + 1] in _THINGS:
        return "fact", _topic(words[k : k + 3])
    return None


def _about_me(plain: str) -> list[tuple[Kind, int, int, str]]:
    """Return clauses whose subject is a thing: "Running is my escape", "Painting calms me"."""
    found = _FAVOURITE.search(plain) or _AFFECTS_ME.search(plain)
    if found is None:
        return []
    begin = 0
    for mark in _SENTENCE_PART.finditer(plain, 0, found.start()):
        begin = mark.end()
    subject = plain[begin : found.start()].strip()
    is_pronoun = bool(_PRONOUN_SUBJECT.match(subject)) or not subject
    if is_pronoun and not (found.re is _FAVOURITE and _says(_words(plain, found.end()))):
        return []
    if subject.count(" ") > 9 or subject.endswith(","):
        return []  # "Sure, keep me posted"
    return [("preference", begin, _clause_end(plain, found.end()), "")]


_SENTENCE_PART: Final = re.compile(r"[;:!?—]\s|\s[-–]\s|, (?:and|but|so) ")

_TOPICS: Final = {
    word: topic
    for topic, words in {
        "job, work": "work works worked working job career company business employer office salary teacher "
        "nurse doctor engineer "
        "developer programmer designer freelance freelancer manager lawyer accountant baker carpenter chef "
        "writer journalist "
        "employed unemployed retired self-employed teach teaches intern",
        "home": "live lives lived living home house apartment flat moved moving hometown rent from based",
        "health": "allergic allergy allergies intolerant diabetic asthma asthmatic surgery diagnosis knee "
        "ankle medication pregnant "
        "dyslexic suffer suffers insulin therapy",
        "food, diet": "vegetarian vegan pescatarian gluten-free lactose lactose-intolerant eat eats drink "
        "drinks meat cook bake diet",
        "pet": " ".join(sorted(_PETS)),
        "family": "married divorced widowed engaged single wife husband kids children son daughter sister "
        "brother twins",
        "studies": "study studies studied studying student degree university college major phd",
        "hobby": "play plays collect collects hike paint swim cycle garden ride sing dance",
        "language": "speak speaks fluent bilingual",
        "birthday": "birthday born",
        "car": "car drive",
    }.items()
    for word in words.split()
}


def _topic(words: list[str]) -> str:
    """Return the plain word for what the first of ``words`` are about; empty when none is known."""
    for word in words[:6]:
        if topic := _TOPICS.get(word):
            return topic
    return ""


_PRONOUNS: Final = re.compile(
    r"(?<![\w'])(?:(?P<be>I'm|I am|we're|we are)|(?P<have>I've|I have|we've|we have)|(?P<will>I'll|we'll)"
    r"|(?P<would>I'd|we'd)|(?P<dont>I don't|we don't)|(?P<havent>I haven't|we haven't)"
    r"|(?P<i>I|we)|(?P<my>my|our|mine|ours)|(?P<self>myself"
    r"|ourselves)"
    r"|(?P<me>me|us))(?![\w'])",
    re.IGNORECASE,
)
_PRONOUN_FORMS: Final = {
    "be": "\x00 is",
    "have": "\x00 has",
    "will": "\x00 will",
    "would": "\x00 would",
    "dont": "\x00 doesn't",
    "havent": "\x00 hasn't",
    "i": "\x00",
    "my": "\x01",
    "self": "themself",
    "me": "\x00",
}
_AGREES: Final = re.compile(
    "(\x00(?: (?:"
    + "|".join(sorted(_ADVERBS - {"do"}))
    + r"))*) (love|like|hate|prefer|enjoy|adore|dislike|live|work|play|speak|own|collect|eat|drink|run|use"
    r"|drive|take|make|cook|bake|paint|draw|sing|dance|read|want|plan|hope|need|write"
    r"|volunteer|ride|share|keep|come)(?= )"
)


def _third_person(clause: str) -> str:
    """Return an English clause with its first person replaced: by \\x00 for "I", \\x01 for "my"."""
    said = _PRONOUNS.sub(lambda found: _PRONOUN_FORMS[found.lastgroup or "i"], clause)
    return _AGREES.sub(r"\1 \2s", said) if "\x00" in said else said


# ---------------------------------------------------------------- German, French, Spanish

_Clauses: TypeAlias = Iterator[tuple[Kind, int, int, str]]
_Finder: TypeAlias = Callable[[str, bool], _Clauses]


def _forms(opening: str, table: dict[Kind, str]) -> re.Pattern[str]:
    """Compile one alternation with a group for each kind; blanks at the ends of lines do not count."""
    kinds = "|".join(
        f"(?P<{kind}>{''.join(line.strip() for line in lines.splitlines())})" for kind, lines in table.items()
    )
    return re.compile(f"{opening}(?:{kinds})", re.IGNORECASE)


_VAGUE_DE: Final = r"(?!(?:es|das|dies\w*|ihn|sie|dich|euch|wenn|wie|dass)\b)"
_GERMAN: Final = _forms(
    r"(?:^|(?<=[,;:!.(–-] )|(?<=\bund )|(?<=\baber )|(?<=\bja )|(?<=\balso )"
    r"|(?<=\bdenn ))(?:[a-zäöüA-ZÄÖÜ][\wäöüß]* ){0,4}?",
    {
        "preference": rf"""
            (?:ich|wir) (?:mag|mögen|liebe|lieben|hasse|hassen|bevorzuge|bevorzugen
            |genieße) (?:\w+ )?{_VAGUE_DE}\w\w
            |(?:mag|liebe|hasse|bevorzuge) ich (?:\w+ )?{_VAGUE_DE}\w\w
            |(?:ich|wir) (?:esse|trinke|spiele|höre|lese|koche|sehe|gehe|reise|schwimme|tanze
            |laufe)n? (?:\w+ ){{0,5}}?(?:gern\b|gerne|lieber|am liebsten)
            |am liebsten \w+ ich\b
            |ich (?:stehe|steh) (?:\w+ )?auf \w
            |ich (?:kann|halte) [^,.;]{{2,50}} nicht (?:ausstehen|leiden|aus\b)
            |mein(?:e|er|en|em)? lieblings\w+(?: \w+)? (?:ist|sind|war|heißt)
            |ich bin (?:ein )?(?:\w+ )?(?:fan|liebhaber\w*)""",
        "plan": r"""
            (?:ich|wir) (?:will|wollen|möchte|möchten|plane|planen|hoffe|hoffen|beabsichtige) (?!(?:nicht|dir
            |euch|nur|wissen|sagen)\b)\w+ \w
            |(?:will|möchte|wollen|möchten|werde|werden) (?:ich|wir) (?!(?:nicht|dir|euch|nur|wissen
            |sagen)\b)\w+ \w
            |(?:ich|wir) (?:werde|werden) (?!(?:nicht|dir|euch|nur)\b)\w+ \w
            |(?:ich habe|wir haben|ich hab) (?:\w+ ){0,2}vor\b,?
            |(?:ich freue mich|wir freuen uns|ich freu mich) (?:\w+ )?auf (?!dich|euch|dein)\w
            |(?:ich habe mich|ich hab mich) [^,.;]{2,50} angemeldet
            |ich überlege,? \w
            |(?:morgen|übermorgen|nächste\w? \w+|am wochenende) \w+ (?:ich|wir) \w""",
        "relation": r"""
            (?:mein(?:e|er|en|em)?|unser(?:e|er|en|em)?) (?:\w+ )?(?:frau|mann|partner(?:in)?|freund(?:in|e)?
            |sohn|söhne|tochter|töchter|kinder|kind|mutter|vater|mama|papa|eltern|schwester|bruder
            |geschwister|oma|opa|tante|onkel|cousine?|nachbar(?:in|n)?|chef(?:in)?|kolleg(?:e|in|en)
            |mitbewohner(?:in)?|arzt|ärztin|familie) (?!und ich nicht)\w+""",
        "fact": r"""
            ich (?:wohne|lebe|arbeite|studiere|lerne|unterrichte|besitze|sammle|spreche) (?!(?:es|das
            |gerade nicht)\b)\w
            |(?:wohne|lebe|arbeite|studiere|lerne) ich \w
            |wir (?:wohnen|leben|arbeiten) \w
            |ich bin (?:\w+ )?(?:allergisch|vegetarier|veganer|linkshänder|rechtshänder|diabetiker
            |verheiratet|geschieden|ledig|single|schwanger|farbenblind|selbstständig|verlobt|in rente
            |\d{1,2} jahre|\w+ allergisch|geboren|aus \w|in \w+ (?:geboren|aufgewachsen))
            |ich bin (?:von beruf )?(?:eine? )?(?:lehrer|ärztin|arzt|ingenieur|krankenpfleger
            |krankenschwester|student|entwickler|programmierer|bäcker|tischler|anwalt|anwältin|autor
            |verkäufer|designer|architekt|schreiner|koch|köchin)(?:in)?\b
            |ich bin (?:gegen \w+ )?allergisch
            |ich vertrage (?:\w+ )?keine?n? \w
            |ich (?:esse|trinke) (?:\w+ )?kein\w* \w
            |(?:ich habe|ich hab|wir haben) (?:eine?n?|zwei|drei|vier|keine?n?) (?!(?:frage|idee|ahnung
            |problem|bisschen|zeit|lust)\b)\w[^,.;]{0,30}$
            |(?:ich habe|ich hab|wir haben) (?:eine?n?|zwei|drei|vier) (?:\w+ )?(?:kind\w*|söhne|tochter
            |töchter|hunde?|katzen?|brüder|bruder|schwestern?|auto|garten|haus|wohnung|allergie)\b
            |ich (?:spiele|fahre) (?!(?:es|das|mit dem gedanken)\b)\w
            |mein(?:e|er)? (?:\w+ )?(?:name|geburtstag|hund|katze|auto|fahrrad|blutgruppe|schuhgröße
            |muttersprache|wohnung|haus|adresse|job|beruf|firma|knie|rücken) \w+""",
        "event": r"""
            (?:(?:ich|wir) (?:habe|hab|haben|bin|sind)|(?:habe|hab|haben|bin|sind) (?:ich|wir)) (?!nicht\b
            |nie\b)[^,.;!?]{2,90}?\b(?:ge\w{2,20}(?:t|en)|\w{2,20}ge\w{2,20}(?:t|en)|\w+iert|be(?:sucht
            |kommen|gonnen|endet|standen|stellt|zahlt)|ver(?:kauft|loren|bracht|letzt)|unternommen|entdeckt
            |adoptiert|erreicht|übernommen|umgezogen)\b
            |(?:ich war|wir waren|war ich|waren wir) (?:\w+ ){0,3}(?:in|im|bei|beim|am|auf|auf dem|zum
            |mit) \w""",
    },
)
_VAGUE_FR: Final = r"(?!(?:ça|cela|ce|quand|comme|penser|croire|l'idée|te|vous|que|savoir)\b)"
_FRENCH: Final = _forms(
    r"(?:^|(?<=[,;:!.(–-] )|(?<=\bet )|(?<=\bmais )|(?<=\bcar )|(?<=\balors )|(?<=\boui ))(?:(?:hier|demain"
    r"|aujourd'hui|moi|en fait|finalement|le \w+|la semaine \w+|en \w+|samedi|dimanche|lundi|mardi|mercredi"
    r"|jeudi|vendredi|l'année \w+|ce \w+|cet \w+|oui|non|bon|donc|depuis \w+ \w+|pendant \w+ \w+),? ){0,2}",
    {
        "preference": rf"""
            (?:j'aime|j'adore|je déteste|je préfère|j'apprécie|je n'aime pas|j'aime pas|nous aimons
            |nous adorons|on adore|on aime
            |j'ai horreur) (?:bien |beaucoup |vraiment |trop |pas |surtout |de |du )?{_VAGUE_FR}\w
            |je ne supporte pas {_VAGUE_FR}\w
            |je (?:suis|reste) (?:\w+ )?(?:fan|passionnée?|amateur|accro|fou|folle) (?:de|d'|du|des|par|à)
            |(?:mon|ma|mes) \w+ (?:préférée?s?|favorite?s?|favori) (?:est|sont|c'est|reste)""",
        "plan": r"""
            (?:je vais|nous allons|on va) (?!(?:bien|mal|pas|te|vous|voir|essayer|être)\b)\w+er? \w
            |(?:je vais|nous allons|on va) (?:prendre|faire|partir|lire|suivre|apprendre|construire|vendre
            |courir|acheter|mettre|venir)\b
            |(?:je veux|je voudrais|j'aimerais|je compte|j'espère|j'envisage de|je pense|nous voulons
            |je souhaite) (?!(?:pas|savoir|que|dire)\b)(?:\w+er|\w+ir|\w+re|d'?\w+)\b \w
            |(?:je prévois|j'ai prévu|nous avons prévu|j'ai l'intention|j'ai hâte|j'ai décidé) (?:de|d')
            |je me suis inscrite? \w
            |je pars \w""",
        "relation": r"""
            (?:mon|ma|mes|notre|nos) (?:\w+ )?(?:femme|mari|compagne|compagnon|copine|copain|fils|filles?
            |enfants?|mère|père|maman|papa|parents|sœurs?|soeurs?|frères?|grand-mère|grand-père|tante|oncle
            |cousine?s?|voisine?s?|chef|cheffe|patronne?|collègues?|amie?s?|colocataires?|médecin
            |famille) (?:\w+ )?(?:\w+)""",
        "fact": r"""
            j'habite (?:à|au|en|dans|chez|rue|près|depuis)\b
            |(?:je vis|je travaille|je bosse|nous vivons|nous habitons) (?:à|au|en|dans|chez|comme|pour
            |depuis) \w
            |(?:je suis|j'étais) (?:\w+ment )?(?:allergique|intolérante?|née?|mariée?|divorcée?|célibataire
            |gaucher|gauchère|végétarien\w*|végane|diabétique|enceinte|retraitée?|originaire|daltonien\w*
            |infirmier|infirmière|professeure?|prof|médecin|ingénieure?|étudiante?|développeu\w+|enseignante?
            |avocate?|boulang\w+|journaliste|traduct\w+|architecte|comptable)\b
            |(?:je bois|je mange|je ne mange pas|je ne bois pas) (?!(?:ça|cela)\b)\w
            |(?:je joue (?:au|du|de|à)|je parle|j'étudie|j'apprends|j'enseigne|je collectionne|je fais (?:du
            |de la|de l')) ?\w
            |(?:j'ai|nous avons) (?:une?|deux|trois|quatre|\d{1,2}) (?!(?:question|idée|problème|peu
            |doute)\b)\w
            |(?:mon|ma|mes) (?:nom|prénom|anniversaire|chien|chienne|chat|chatte|voiture|vélo|métier|travail
            |maison|appartement|langue maternelle|pointure|groupe sanguin|adresse) \w+""",
        "event": r"""
            (?:j'ai|nous avons|on a) (?:enfin |déjà |récemment |aussi |beaucoup |juste )?(?:\w{2,20}é|pris
            |fait|vu|lu|reçu|perdu|vendu|appris|couru|fini|suivi|écrit|construit|rendu|mis|offert|découvert
            |rencontré) (?!(?:que|ça|cela|quand)\b)\w
            |(?:je suis|nous sommes|on est) (?:enfin |déjà |récemment )?(?:allée?s?|partie?s?|venue?s?
            |tombée?s?|arrivée?s?|montée?s?|rentrée?s?|devenue?s?|sortie?s?|restée?s?|retournée?s?) \w
            |(?:je me suis|nous nous sommes) (?!inscrit)\w+é?e?s? \w""",
    },
)
_SPANISH: Final = _forms(
    r"(?:^|(?<=[,;:!.(–¡-] )|(?<=¡)|(?<=\by )|(?<=\bpero )|(?<=\bporque )|(?<=\bsí ))(?:(?:yo|a mí|ayer"
    r"|mañana|hoy|la semana \w+|el \w+|el mes \w+|el año \w+|este \w+|esta \w+|en \w+|anoche|también|siempre"
    r"|últimamente|además|bueno|pues),? ){0,3}",
    {
        "preference": r"""
            (?:no )?(?:me|nos) (?:gustan?|encantan?|fascinan?|chiflan?|apasionan?
            |flipan?) (?:mucho |más |muchísimo )?(?!(?:eso|esto|que|cómo|cuando|la idea)\b)\w
            |(?:amo|adoro|odio|detesto|prefiero|disfruto|no soporto|no aguanto) (?!(?:eso|esto|que|cuando
            |cómo|lo)\b)\w
            |(?:mi|mis) \w+(?: \w+)? (?:favorit[oa]s?|preferid[oa]s?) (?:es|son|era)
            |soy (?:muy |un |una )?(?:fan|aficionad[oa]|amante|fanátic[oa])""",
        "plan": r"""
            (?:voy a|vamos a) (?!(?:ver|intentar|decir|ser)\b)\w+r \w
            |(?:quiero|queremos|quisiera|pienso|espero|planeo|tengo pensado|tengo ganas de|me gustaría
            |nos gustaría|estoy pensando en|estoy planeando) (?!(?:que|saber|decir)\b)\w+ \w
            |(?:me apunté|me inscribí|me he apuntado|me he inscrito) \w
            |(?:he|hemos) decidido \w""",
        "relation": r"""
            (?:mi|mis|nuestr[oa]s?) (?:\w+ )?(?:mujer|esposa|marido|esposo|pareja|novi[oa]|hij[oa]s?|niñ[oa]s
            |madre|padre|mamá|papá|padres|herman[oa]s?|abuel[oa]s?|tí[oa]|prim[oa]s?|vecin[oa]s?|jef[ea]
            |compañer[oa]s?|amig[oa]s?|médic[oa]|familia|suegr[oa]) \w+""",
        "fact": r"""
            (?:vivo|trabajo|estudio|vivimos|trabajamos) (?:en|como|para|con|de|desde|a|medicina|derecho) \w
            |(?:estudio|enseño|hablo|colecciono|conduzco) \w
            |soy (?:\w+mente )?(?:alérgic[oa]|vegetarian[oa]|vegan[oa]|intolerante|diabétic[oa]|zurd[oa]
            |celíac[oa]|casad[oa]|solter[oa]|divorciad[oa]|de \w|profesora?|enfermer[oa]|médic[oa]
            |ingenier[oa]|estudiante|abogad[oa]|arquitect[oa]|panader[oa]|periodista|programadora?
            |traductora?)
            |estoy (?:casad[oa]|divorciad[oa]|embarazada|jubilad[oa]|aprendiendo|estudiando|trabajando
            |viviendo|leyendo|escribiendo)\b
            |(?:nací|crecí|me crié) en \w
            |(?:tengo|tenemos) (?:alergia|un[oa]?|dos|tres|cuatro|\d{1,2}) (?!(?:pregunta|duda|idea|problema
            |poco|rato)\b)\w
            |no (?:como|bebo|tengo|tomo) (?!(?:idea|ganas|tiempo|claro|eso|nada)\b)\w
            |(?:juego al|juego a|toco|practico) \w
            |(?:mi|mis) (?:nombre|cumpleaños|perr[oa]|gat[oa]|coche|carro|bicicleta|trabajo|casa|piso|empresa
            |idioma|lengua|talla|dirección) \w+""",
        "event": r"""
            (?:fui|fuimos|compré|compramos|empecé|empezamos|visité|visitamos|adopté|adoptamos|terminé
            |terminamos|gané|ganamos|conocí|conocimos|viajé|viajamos|me mudé|nos mudamos|aprendí|vendí|perdí
            |encontré|me casé|nos casamos|corrí|hice|hicimos|vi|vimos|leí|escribí|recibí|cociné|planté|tomé
            |cambié|comencé|me gradué|me uní|estuve|estuvimos|celebramos|celebré) (?!(?:que|eso|esto|lo)\b)\w
            |(?:he|hemos) (?:ya |también )?(?:\w+ado|\w+ido|hecho|visto|escrito|roto|puesto|vuelto) (?!(?:que
            |eso|mucho en ti)\b)\w""",
    },
)


def _by_forms(pattern: re.Pattern[str], dislikes: re.Pattern[str], word: str) -> _Finder:
    def find(plain: str, is_chat: bool) -> _Clauses:
        n_found = 0
        for match in pattern.finditer(plain):
            end = _OTHER_END.search(plain, match.end())
            stop = end.start() if end else len(plain)
            kind: Kind = match.lastgroup  # type: ignore[assignment]  # the group is named by its kind
            clause = plain[match.start() : stop]
            if len(clause.split()) < _MIN_WORDS or _OTHER_UNSURE.search(clause):
                continue
            yield kind, match.start(), stop, word if kind == "preference" and dislikes.search(clause) else ""
            n_found += 1
            if n_found >= _MAX_SUBJECTS:
                return

    return find


_OTHER_END: Final = re.compile(
    r"[;:?!…—](?=\s|$)|\s[-–]+\s|\s\(|,? (?:aber|mais|pero)\b|,? (?:und|et|y) (?:ich|wir|je|j'|nous|yo|mi"
    r"|mein)\b|, (?:und|so|et|y) "
)
_OTHER_UNSURE: Final = re.compile(
    r"\b(?:würde\w*|könnte\w*|hätte\w*|wäre\w*|vielleicht|sagt|sagte|serais|serait|aurais|aurait|pourrais"
    r"|peut-être"
    r"|disait|quizás|tal vez|podría|dijo|sería|habría)\b",
    re.IGNORECASE,
)

_CLAUSES: Final[dict[str, _Finder]] = {
    "en": _english,
    "de": _by_forms(
        _GERMAN, re.compile(r"\b(?:hass\w+|nicht|kein\w*)\b", re.IGNORECASE), "mag nicht, Abneigung"
    ),
    "fr": _by_forms(
        _FRENCH, re.compile(r"\b(?:déteste|horreur|ne supporte|pas)\b", re.IGNORECASE), "n'aime pas, déteste"
    ),
    "es": _by_forms(_SPANISH, re.compile(r"\b(?:no|odio|detesto)\b", re.IGNORECASE), "no le gusta, odia"),
}
# First person to third: \x00 stands for the person, \x01 for what is theirs.
_OWNER: Final[dict[str, tuple[tuple[re.Pattern[str], str], ...]]] = {
    "en": (),
    "de": (
        (
            re.compile(r"\b(?:habe|hab) ich\b|\bich (?:habe|hab)\b|\bwir haben\b|\bhaben wir\b", re.I),
            "\x00 hat",
        ),
        (re.compile(r"\bbin ich\b|\bich bin\b|\bwir sind\b|\bsind wir\b", re.I), "\x00 ist"),
        (re.compile(r"\b(?:ich|wir)\b", re.I), "\x00"),
        (re.compile(r"\b(?:mein|unser)(?:e[nmrs]?)?\b", re.I), "\x01"),
        (re.compile(r"\b(?:mich|mir|uns)\b", re.I), "sich"),
    ),
    "fr": (
        (re.compile(r"\bj'ai\b|\bnous avons\b|\bon a\b", re.I), "\x00 a"),
        (re.compile(r"\bje suis\b|\bnous sommes\b|\bon est\b", re.I), "\x00 est"),
        (re.compile(r"\bje me suis\b", re.I), "\x00 s'est"),
        (re.compile(r"\bje vais\b|\bnous allons\b|\bon va\b", re.I), "\x00 va"),
        (re.compile(r"\bj'", re.I), "\x00 "),
        (re.compile(r"\b(?:je|nous|moi)\b", re.I), "\x00"),
        (re.compile(r"\b(?:mon|ma|mes|notre|nos)\b", re.I), "\x01"),
        (re.compile(r"\bme\b|\bm'(?=\w)", re.I), "se "),
    ),
    "es": (
        (re.compile(r"\b(?:me|nos) (?=gust|encant|fascin|apasion|chifl|flip)", re.I), "le "),
        (re.compile(r"\b(?:a mí|yo|nosotros)\b", re.I), "\x00"),
        (re.compile(r"\b(?:mi|mis|nuestr[oa]s?)\b", re.I), "\x01"),
        (re.compile(r"\b(?:me|nos)\b", re.I), "se"),
    ),
}
