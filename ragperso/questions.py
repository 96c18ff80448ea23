"""Words: what a question asks for: names, quoted words, whose taste it is about, and its parts.

Rules and small tables rather than a model.  Each function answers in microseconds and never raises, whatever
the text; all prefer to say nothing: a query that is searched as it stands loses little, one that was cut in
the wrong place loses its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ragperso.segment import sentences
from ragperso.tokens import detect_language

_MAX_CHARS: Final = 20_000  # of a query that are read; a scenario has about 2,000
_STRAIGHT: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'"})

# ---------------------------------------------------------------- names

_NAME_WORD: Final = re.compile(r"[^\W_][\w+#]*(?:[-.'][^\W_][\w+#]*)*")
_LINKS: Final = frozenset("of de du des la le van von der den del di da el al bin y &".split())
_HONORIFICS: Final = frozenset(
    "dr mr mrs ms prof st mme mlle hr herr frau monsieur madame señor señora sr sra".split()
)
_CALENDAR: Final = frozenset(
    """january february march april may june july august september october november december jan
    feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday
    saturday sunday mon tue wed thu fri sat sun januar februar märz mai juni juli oktober
    dezember montag dienstag mittwoch donnerstag freitag samstag sonntag janvier février mars
    avril juin juillet août septembre octobre novembre décembre lundi mardi mercredi jeudi
    vendredi samedi dimanche enero febrero marzo abril mayo junio julio agosto septiembre
    octubre noviembre diciembre lunes martes miércoles jueves viernes sábado domingo spring
    summer autumn winter""".split()
)
# Words that a sentence begins with in upper case, and "I" with its company.
_STARTERS: Final = frozenset(
    """what when where which who whom whose why how did do does is are was were am can could
    would should will may might must shall has have had if in on at for from to of with
    without about after before during since until while although because as by the a an this
    that these those there here it its he she they we you i my our your his her their me us
    and or but so then also not no yes ok okay please tell show find give list name describe
    explain suggest recommend compare summarize summarise remind help let let's i'm i've i'd
    i'll it's that's what's who's where's when's how's there's here's whats any anything some
    someone something all both each every hi hello hey dear thanks thank according based
    between under over using look search check get make write cancel return change exchange
    book order plan remember did didn't don't doesn't isn't aren't wasn't can't won't
    regarding given considering besides apart compared first second last next today tomorrow
    yesterday now recently wer wen wem wessen wann wo wohin woher warum wieso weshalb wie was
    welche welcher welches welchen welchem hat habe haben ist sind war waren kann können soll
    sollte ich mein meine meiner meinen wir unser der die das den dem des ein eine einen und
    oder aber gibt zeig zeige such finde nenne empfiehl in im am auf bei mit von zu zum zur
    für nach vor seit hatte hast wird werden würde ja nein bitte sag qui quand où pourquoi
    comment quel quelle quels quelles que quoi est-ce combien est sont a ai as avons je j'ai
    mon ma mes le la les un une des du de et ou mais à au aux en dans chez pour avec c'est
    qu'est-ce peux peut montre trouve donne quelqu'un quién quiénes cuándo dónde cómo qué cuál
    cuáles cuánto cuánta por es son está fue hay tengo mi mis el los las una unos con sin y o
    pero en del al para puedes puede muéstrame dime busca""".split()
)
_POSSESSIVE: Final = re.compile(r"'s?$", re.IGNORECASE)
_ARTICLES_DE: Final = frozenset(
    """der die das den dem des ein eine einen einem einer eines kein keine keinen mein meine
    meinen meinem meiner meines dein deine sein seine ihr ihre ihren ihrem unser unsere
    unseren im am zum zur vom beim ins ans welche welcher welches welchen welchem diese dieser
    dieses diesen diesem jeder jede jedes jeden viele alle einige zwei drei vier fünf sechs
    wie viel mehr als und oder pro ohne um gegen zu""".split()
)
_NOUN_END_DE: Final = re.compile(
    r"(?:ung|heit|keit|schaft|tion|tät|tag|zeit|ungen|chen|ismus|geld|haus|essen|arbeit|reise|termin)e?n?s?$"
)


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in ``text``, each once, without possessive endings; ``("Frank Ocean", "Boston")``.

    A name is a run of capitalised words or a word with a capital inside.  The first word of a sentence
    counts only if something else says that it is one; months, weekdays and question words never do.  A
    title in which most words are capitalised says nothing by its capitals.  German, which capitalises
    nouns, gives the words that stand without article.
    """
    plain = text[:_MAX_CHARS].translate(_STRAIGHT)
    tokens = [(m.group(), m.start(), m.end()) for m in _NAME_WORD.finditer(plain)]
    if not tokens:
        return ()
    if len(tokens) > 2 and plain.isupper():
        return ()
    long_words = [word for word, start, _ in tokens if len(word) > 3 and not _begins(plain, start)]
    n_capitals = sum(word[0].isupper() for word in long_words)
    is_title = "?" not in plain and n_capitals > 3 and n_capitals * 4 >= len(long_words) * 3
    is_german = detect_language(plain) == "de"
    inside = {
        _bare(word).casefold()
        for i, (word, start, _) in enumerate(tokens)
        if i and word[0].isupper() and not _begins(plain, start)
    }
    found: list[str] = []
    run: list[str] = []
    run_end = -1

    def close() -> None:
        while run and run[-1].casefold() in _LINKS:
            run.pop()
        if len(run) > 1 and run[0].casefold() in _HONORIFICS:
            del run[0]  # "Dr. Meier" is written "Meier", too
        name = " ".join(run)
        run.clear()
        if name and name not in found:
            found.append(name)

    for i, (word, start, end) in enumerate(tokens):
        gap = plain[run_end:start] if run else ""
        if run and (gap not in (" ", ". ") or (gap == ". " and len(run[-1]) > 3)):
            close()
        bare = _bare(word)
        if _is_name(
            tokens, i, plain, is_title=is_title, is_german=is_german, inside=inside, open_run=bool(run)
        ):
            run.append(bare)
            run_end = end
            if bare != word:
                close()
        elif run and word.casefold() in _LINKS and _capital(tokens, i + 1):
            run.append(word)
            run_end = end
        elif run:
            close()
    close()
    return tuple(found)


def _bare(word: str) -> str:
    return _POSSESSIVE.sub("", word).rstrip(".'")


def _begins(plain: str, start: int) -> bool:
    """Say whether a sentence begins at ``start``."""
    before = plain[max(0, start - 12) : start].rstrip(" \t\"'“„«»*_([¿¡-–—")
    if (
        before.endswith(".")
        and before[:-1].split()[-1:]
        and before[:-1].split()[-1].casefold() in _HONORIFICS
    ):
        return False
    return not before or before[-1] in ".!?:;\n"


def _capital(tokens: Sequence[tuple[str, int, int]], i: int) -> bool:
    if i >= len(tokens):
        return False
    word = tokens[i][0]
    return word[0].isupper() and word.casefold() not in _CALENDAR and _bare(word).casefold() not in _STARTERS


def _is_name(
    tokens: Sequence[tuple[str, int, int]],
    i: int,
    plain: str,
    *,
    is_title: bool,
    is_german: bool,
    inside: set[str],
    open_run: bool,
) -> bool:
    word, start, end = tokens[i]
    bare = _bare(word)
    folded = bare.casefold()
    if not bare or folded in _CALENDAR or (word[0].isdigit() and not open_run):
        return False
    if word[0].isdigit():
        # "Pixel 7", "Apollo 11": a number goes with a name just before it, a year does not.
        return len(bare) <= 2
    has_inner = any(char.isupper() for char in bare[1:]) and any(char.islower() for char in bare)
    if has_inner and folded not in _STARTERS:
        return True
    if not word[0].isupper() or folded in ("i", "ich", "je", "yo") or word.casefold() in _STARTERS:
        return False
    begins = _begins(plain, start)
    if is_title:
        return False
    if bare.isupper() and len(bare) > 1:
        return True  # AWS
    if is_german:
        if begins:
            return folded not in _STARTERS and folded in inside
        before = tokens[i - 1][0].casefold() if i else ""
        if before in _ARTICLES_DE or _NOUN_END_DE.search(folded):
            return False
        # An adjective before it: "grünen Tee".
        return not (
            tokens[i - 1][0][0].islower() and re.search(r"(?:e[nrsm]?|ig|lich)$", before) and len(before) > 4
        )
    if folded in _STARTERS:
        return False
    if not begins:
        return True
    if bare != word and word.casefold() not in _STARTERS:
        return True
    if _capital(tokens, i + 1) and plain[end : tokens[i + 1][1]] == " ":
        return True
    return folded in inside or (i + 1 < len(tokens) and tokens[i + 1][0] in _AFTER_NAME)


# A first word followed by one of these is nearly always somebody: "Ana went", "Rex and".
_AFTER_NAME: Final = frozenset("is was has had did does went said told likes loves lives works".split())

# ---------------------------------------------------------------- quotes

_QUOTED: Final = re.compile(
    r"""“([^“”\n]{1,200})”|„([^„“”\n]{1,200})[“”]|«\s?([^«»\n]{1,200}?)\s?»|»([^«»\n]{1,200})«|"([^"\n]{1,200})\""""
    r"""|``?([^`\n]{1,200})``?|「([^「」\n]{1,200})」|『([^『』\n]{1,200})』|‘([^‘’\n]{2,200})’(?!\w)"""
    r"""|(?<![\w'])'([^'\s][^'\n]{1,100}[^'\s])'(?!\w)"""
)


def quoted(text: str) -> tuple[str, ...]:
    """Return the phrases in quotation marks of any style and in backticks, each once, in order."""
    found: dict[str, None] = {}
    for match in _QUOTED.finditer(text[:_MAX_CHARS]):
        phrase = (match.group(match.lastindex or 0)).strip(" ,.;:!?")
        if phrase:
            found[phrase] = None
    return tuple(found)


# ---------------------------------------------------------------- whose taste

_FIRST_PERSON: Final = re.compile(
    r"(?-i:\bI\b)|\bi(?:'m|'ve|'d|'ll)?\b(?= [a-z])|\b(?:my|mine|me|myself|our|ours|us|we)\b"
    r"|\b(?:ich|mein(?:e[mnrs]?)?|mir|mich|uns|unser(?:e[mnrs]?)?|wir)\b"
    r"|\b(?:je|moi|mon|ma|mes|nous|notre|nos)\b|\b(?:j|m)'(?=[^\W\d_])"
    r"|\b(?:yo|mi|mis|mí|conmigo|nosotros|nosotras|nuestr[oa]s?)\b|\bme\b",
    re.IGNORECASE,
)


def is_first_person(text: str) -> bool:
    """Say whether the person who asks speaks of themself: "my", "I", "for me", "mein", "je", "mis"."""
    return bool(_FIRST_PERSON.search(text[:_MAX_CHARS].translate(_STRAIGHT)))


_SUGGESTION: Final = re.compile(
    r"""\b(?:suggest(?:ions?|ed|ing)?|recommend(?:ed|ations?|ing)?|any\ (?:good\ |more\ |other\ )?
        (?:ideas|tips|advice|thoughts)
    |ideas\ for|tips\ (?:for|on)|advice\ (?:for|on)|inspire\ me|surprise\ me|help\ me\ (?:pick|choose|decide
    |find|plan)
    |(?:pick|choose|plan|find)\ (?:me\ |us\ )?(?:an?|some(?:thing)?|somewhere)\b
    |(?:what|where|which|who|how)\ (?:\w+\ ){0,3}(?:should|could|can|might|shall)\ (?:I|we)
    |what's\ (?:a\ )?good|what\ (?:is|are|would\ be)\ (?:a\ |some\ )?(?:good|great|nice|suitable|fun)
    |(?:what|where|which)\ (?:\w+\ ){0,3}would\ (?:you|I|suit|fit)|is\ there\ (?:a\ good|anything|something
    |somewhere)
    |(?:would|might)\ I\ (?:like|enjoy|love)|what\ to\ (?:eat|cook|watch|read|wear|do|buy|get|give|listen
    |play|pack)
    |where\ to\ (?:eat|go|stay|travel|shop)
    |(?:schlag|schlage|schlägst)\b|vorschl[aä]g\w*|vorzuschlagen|empfiehl\w*|empfehl\w*
    |(?:hast\ du\ )?(?:eine\ )?ideen?\ für|tipps\ für
    |(?:was|wo|wohin|welche[nrs]?|wie)\ (?:\w+\ ){0,3}(?:soll|sollte|könnte|kann)\ ich|was\ (?:koche|schenke
    |lese|schaue|mache|esse)\ ich
    |sugg[eè]r\w*|propose\w*|propositions?|recommand\w*|conseill\w*|(?:des\ |une\ )?idées?\ (?:de|pour|d')
    |que\ (?:pourrais|devrais|puis)-je
    |(?:qu'est-ce\ que|quel\w*|où|que)\ (?:\w+\ ){0,2}(?:je\ (?:pourrais|devrais|peux)|(?:pourrais
    |devrais)-je)
    |sugi[eé]r\w*|sugerencias?|recomi[eé]nd\w*|recomend\w*|propón\w*|aconséja\w*|alguna\ idea|ideas\ para
    |(?:qué|dónde|cuál|adónde)\ (?:\w+\ ){0,2}(?:puedo|podría|debería|me\ recomiendas))""",
    re.IGNORECASE | re.VERBOSE,
)


def asks_suggestion(text: str) -> bool:
    """Say whether ``text`` asks for a suggestion; German, French and Spanish, too."""
    return bool(_SUGGESTION.search(text[:_MAX_CHARS].translate(_STRAIGHT)))


# Topic: (words that name it in any of the four languages, the query for its statements).
# Written by hand from what people say of the topic; not tuned to any data set.
TOPICS: Final[dict[str, tuple[str, str]]] = {
    "food": (
        "food eat dinner lunch breakfast brunch meal dish dessert snack recipe cook bake restaurant cafe "
        "cuisine drink wine beer "
        "coffee supper grocer essen abendessen mittagessen frühstück rezept koch gericht getränk manger "
        "dîner déjeuner repas recette plat "
        "cuisin boire comer cena almuerzo comida receta cocin plato desayuno postre bebida",
        "likes food dinner favourite dish cuisine restaurants allergic diet vegetarian can't eat",
    ),
    "travel": (
        "travel trip vacation holiday destination visit hotel flight city country weekend getaway itinerary "
        "beach urlaub reise "
        "ausflug ferien voyage vacances destination séjour viaje vacaciones destino viajar",
        "likes travel trips favourite places visited wants to visit holidays hotel beach mountains",
    ),
    "music": (
        "music song album band concert playlist artist listen instrument musik lied konzert musique chanson "
        "concert música canción "
        "concierto escuchar",
        "likes music favourite band songs artist concert plays instrument listens to",
    ),
    "films": (
        "movie film series show watch netflix cinema documentary tv serie schauen kino anschauen regarder "
        "cinéma série película "
        "pelicula serie cine",
        "likes movies films favourite series shows watched actor genre",
    ),
    "books": (
        "book novel read author audiobook buch bücher roman lese lesen livre lire roman libro leer novela",
        "likes books reading favourite author novel genre read",
    ),
    "sport": (
        "sport workout exercise gym run marathon yoga hike hiking training fitness cycling swim team "
        "sportart laufen wandern "
        "trainieren courir randonnée entraînement deporte correr entrenamiento",
        "likes sport exercise plays trains running gym hiking favourite team injury",
    ),
    "gifts": (
        "gift present birthday anniversary christmas geschenk schenk geburtstag cadeau offrir anniversaire "
        "regalo regalar cumpleaños",
        "likes favourite hobby wants collects interested in gift birthday",
    ),
    "clothes": (
        "wear clothes outfit shoes dress jacket shirt fashion style anziehen kleid schuhe jacke hose mode "
        "vêtement tenue robe chaussures "
        "porter ropa vestir zapatos vestido",
        "likes to wear clothes favourite colour style shoes size brand",
    ),
    "health": (
        "health sleep stress diet weight doctor medicine pain anxiety relax meditation gesund schlaf "
        "schmerz abnehmen santé dormir "
        "régime stress salud dormir dieta dolor",
        "health condition allergic diet sleep stress exercise doctor medication",
    ),
    "work": (
        "work job career boss colleague interview project productivity office resume cv skill arbeit beruf "
        "bewerbung karriere travail "
        "métier carrière trabajo empleo carrera",
        "works as job career skills goals plans company project",
    ),
    "hobbies": (
        "hobby hobbies free craft game weekend activity activities activity evening fun club class freizeit "
        "hobby spiel unternehmen "
        "loisir activité jeu soirée afición ocio juego actividad actividades",
        "likes enjoys hobby favourite activity games free time wants to try",
    ),
    "pets": (
        "pet dog cat puppy kitten vet haustier hund katze animal chien chat mascota perro gato",
        "has pet dog cat name breed loves animals",
    ),
    "home": (
        "home house apartment room decor furniture garden plant kitchen sofa bedroom wohnung haus zimmer "
        "möbel garten pflanze maison "
        "appartement meuble jardin plante casa piso mueble jardín planta",
        "lives in home house apartment likes decor style colours furniture garden plants",
    ),
}  # fmt: skip
_MIN_STEM: Final = (
    4  # a topic word this long also matches longer words: "cook" in "cooking", not "eat" in "eaten"
)
_WORD: Final = re.compile(r"[^\W_][\w'-]*")


def expand_preferences(text: str) -> str | None:
    """Return a query like the statements that decide a suggestion: what the person likes on that topic.

    None unless ``text`` asks for a suggestion and speaks in the first person.
    """
    if not (asks_suggestion(text) and is_first_person(text)):
        return None
    words = [
        word.casefold().removesuffix("'s") for word in _WORD.findall(text[:_MAX_CHARS].translate(_STRAIGHT))
    ]
    best, most = "", 0
    for topic, (cues, _) in TOPICS.items():
        n_cued = sum(any(_is_cued(word, cue) for cue in _cues(cues)) for word in set(words))
        if n_cued > most:
            best, most = topic, n_cued
    content = [w for w in words if w not in _FUNCTION and w not in _SUGGESTION_WORDS and len(w) > 1]
    wanted = " ".join(dict.fromkeys(content))
    if best:
        return f"{TOPICS[best][1]} {wanted}".strip()
    return f"likes prefers favourite {wanted}".strip()


def _cues(words: str) -> list[str]:
    return words.split()


def _is_cued(word: str, cue: str) -> bool:
    return word == cue or (len(cue) >= _MIN_STEM and word.startswith(cue) and len(word) <= len(cue) + 4)


_SUGGESTION_WORDS: Final = frozenset(
    """suggest suggestion suggestions recommend recommendation recommendations idea ideas tip
    tips advice good great nice some something any help pick choose find should could might
    ideen empfiehl empfehlen vorschlag vorschlagen schlag schlage vor get soll sollte könnte
    propose proposer recommande recommander suggère conseille idée idées devrais pourrais
    sugiere sugiéreme recomienda recomiéndame recomiendas alguna puedo podría debería please
    bitte""".split()
)

# ---------------------------------------------------------------- parts

_FUNCTION: Final = frozenset(
    """a an the this that these those i i'm i've i'd i'll me my mine myself we us our ours you
    your yours he him his she her hers it its they them their one ones there here and or but
    so then also if of in on at to for from with without by about into over as than too very
    just only not no yes did do does done is are was were am be been being has have had can
    could would should will may might must shall what when where which who whom whose why how
    much many long please tell show give let know want wish need like would'd don't didn't
    isn't doesn't can't any some all ich du er sie es wir ihr mich mir mein meine meinen
    meinem meiner dein der die das den dem des ein eine einen und oder aber in im am an auf
    aus bei mit nach von vor zu zum zur für ist sind war waren habe hat hatte haben wann wo
    wer wie was warum welche welcher welches viel viele kann könnte nicht auch bitte je tu il
    elle on nous vous ils elles me moi mon ma mes ton le la les l un une des du de d et ou
    mais à au aux en dans pour avec sur est sont était ai as avons avez ont a quand où qui que
    quoi comment pourquoi quel quelle combien ne pas ce cet cette ces est-ce yo tú él ella
    nosotros me mi mis te tu su sus el los las un una unos y o pero en del al de para por con
    es son era fue está he ha hay qué quién cuándo dónde cómo cuál cuánto no que lo se""".split()
)
_WH: Final = (
    "when where who whom whose why how what which wann wo wohin woher wer wen wem warum wieso wie was "
    "welche[nrms]? "
    "quand où qui pourquoi comment combien quels? quelles? que quoi qu'est-ce cuándo dónde quiénes? por\\ "
    "qué cómo qué "
    "cuál(?:es)? cuánt[oa]s? cuánto"
)
_AUXILIARIES: Final = (
    "did do does is are was were am can could would should will has have had habe hat hatte ist sind war "
    "waren kann "
    "soll est-ce"
)


def _any(words: str) -> str:
    return "(?:" + "|".join(re.split(r"(?<!\\) ", words)) + ")"


_ASKS_AT_START: Final = re.compile(rf"\W*(?:{_any(_WH)}|{_any(_AUXILIARIES)})\b", re.IGNORECASE)
# A second question begins: "... and how much did it cost", "... and did they call".
_AND_QUESTION: Final = re.compile(
    rf",?;?\s(?:and|und|et|y|as well as)\s(?:then\s|also\s|auch\s|aussi\s|también\s)?"
    # "was" is also German for "what"; "order a card and have it sent" asks for one thing.
    rf"(?!was\s(?!hat|habe|ist|sind|war|kostet)|have\sit\b)"
    rf"(?=(?:(?:in|at|on|to|for|with|from|since|by)\s)?{_any(_WH)}\s\S+\s\w|was\s(?:hat|habe|ist|sind|war"
    rf"|kostet?e?)\s"
    rf"|(?:cuánt[oa]s?|cuándo|dónde|quién|cómo)\s\w"
    rf"|{_any(_AUXILIARIES)}\s(?:i|we|he|she|they|it|you|the|my|our|there|this|that|ich|wir|er|sie|es"
    rf"|(?-i:[A-Z])\w+)\b)",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(
    r"\W*(?:(?:hi|hello|hey|please|also|then|and|first|second|finally|next|lastly|plus|now|after that"
    r"|afterwards|so|ok|okay|thanks"
    r"|bitte|dann|außerdem|und|s'il te plaît|puis|ensuite|et|por favor|luego|después|además"
    r"|y)\b[\s,:!.]*){0,4}",
    re.IGNORECASE,
)
_POLITE: Final = re.compile(
    r"(?:(?:can|could|would|will) you (?:please )?(?:also )?(?:help me (?:to )?)?|i(?:'d"
    r"| would) (?:also )?like (?:you )?to (?:also )?|i (?:also )?(?:want|need|wish) (?:you )?to "
    r"|you(?:'d| would) (?:also )?like to |you (?:also )?(?:want|need|wish) to (?:also )?|help me (?:to )?"
    r"|i'm looking to |(?:he|she|they) (?:also )?wants? to "
    r"|kannst du (?:bitte )?|könntest du (?:bitte )?|ich möchte |peux-tu |pouvez-vous |je voudrais |puedes "
    r"|podrías |quiero |quisiera )",
    re.IGNORECASE,
)
# What people tell an assistant to do; followed by its object, so that nouns of the same form do not count.
_TASKS: Final = (
    "cancel return exchange change update modify order reorder refund replace remove delete add send "
    "forward email mail call text "
    "book reserve schedule reschedule move rename find show list give tell look check compare contrast "
    "summari[sz]e explain remind "
    "translate draft write reply confirm track pay transfer buy get set turn create share upload print "
    "download apply split "
    "suggest recommend search pull verify know ask see "
    "storniere kündige bestelle schicke sende ändere zeige finde suche vergleiche erkläre buche schreibe "
    "annule renvoie change commande envoie montre trouve cherche compare explique réserve écris "
    "cancela devuelve cambia pide envía muestra busca compara explica reserva escribe"
)
_OBJECT: Final = (
    r"(?:the|an?|my|our|your|his|her|their|this|that|these|those|all|both|it|them|me|us|him|any|some|every"
    r"|each|two|three|back|for|up|if|how"
    r"|what|which|when|where|whether|about|out|to|den|die|das|der|meine?n?|mir|le|la|les|l'|un|une|mon|ma"
    r"|mes|moi|el|los|las|una|mi|mis|me"
    r"|[#\d])"
)
_TASK: Final = re.compile(rf"{_any(_TASKS)}\s(?={_OBJECT}\b|[#\d\"“])", re.IGNORECASE)
_AND_TASK: Final = re.compile(
    rf"(?:\s*[,;]\s*(?:and|und|et|y)?\s*(?:then\s|also\s|finally\s|dann\s|auch\s|puis\s|luego\s)?|\s(?:and"
    rf"|und|et|y|then|puis|luego)\s(?:then\s|also\s|finally\s|dann\s)?)"
    rf"(?:to\s)?(?={_any(_TASKS)}\s{_OBJECT}\b)",
    re.IGNORECASE,
)
# "compare my notes on A, B and C": a head that is shared by each item.
_HEAD: Final = re.compile(
    r"\W*(?:please )?(?:(?:can|could|would) you (?:please )?)?(?P<verb>compare|contrast|summari[sz]e"
    r"|show(?: me)?|find(?: me)?|list|look up|pull up|gather|collect"
    r"|give me|tell me|vergleiche|zeige?(?: mir)?|finde|fasse|compare[rz]?|montre(?:-moi)?|trouve|résume"
    r"|compara|muéstrame|busca|resume"
    r"|what (?:do|did|have) (?:I|we|my \w+) (?:\w+ )?(?:know|note|noted|write|written|say|said|save|saved))\b"
    r"(?P<rest>[^\n]{0,120}?\b(?P<link>on|about|of|for|between|from|regarding|über|zu|von|zwischen|sur|entre"
    r"|sobre|de)\s)?",
    re.IGNORECASE,
)
_ITEMS: Final = re.compile(
    r"\s*,\s*(?:and\s|or\s|und\s|oder\s|et\s|ou\s|y\s|o\s)?|\s(?:and|or|und|oder|et|ou|y|o|versus|vs\.?)\s",
    re.IGNORECASE,
)
_MAX_ITEM_WORDS: Final = 6  # a longer one is a clause
_LEANS: Final = re.compile(
    r"\b(?:it|its|they|them|their|those|these|one|ones|he|him|his|she|her|there(?! (?:is|are|was|were))"
    r"|es|ihn|ihm|sie|ihnen|dort|davon|il|elle|ils|elles|lui|leur|y|ça|lo|los|ella|él|ellos|allí|eso)\b",
    re.IGNORECASE,
)
# Questions that ask nothing one could look up: they go with what was said before.
_GENERIC: Final = re.compile(
    r"\W*(?:(?:so|and|but|please|also)\W+)?(?:why|how|what|when|really|right|ok(?:ay)?|any ideas?|huh|no|yes"
    r"|thanks?(?: you)?|hello|hi|hey)?"
    r"\W*(?:(?:can|could|would|will) (?:you|someone|anyone|i|we)(?: please)? (?:help|assist|explain|do|check"
    r"|advise|tell|fix|look|get|sort|please)\b.*"
    r"|what(?:'s| is| are)?(?: \w+)? (?:going on|happening|wrong|up|the (?:problem|issue|matter|deal|reason)"
    r"|next|gives)\b.*"
    r"|what (?:should|can|do|must|could) (?:i|we|be) (?:do|done)\b.*|what happened\b.*"
    r"|how (?:do|can|should|could|would|did) (?:i|we|you|this|that|it) (?:do|fix|solve|proceed|resolve"
    r"|happen|work)\b.*|how (?:are you|come)\b.*"
    r"|is (?:this|that|it|there) (?:\w+ )?(?:possible|ok(?:ay)?|normal|right|true|correct|a (?:way|problem)"
    r"|something|anything)\b.*"
    r"|(?:do|did) (?:you|i) (?:know|understand|need|have)\b.*|why (?:is|was|did|does|has|would|are"
    r"|not)\b.{0,60}\b(?:this|that|it|so|happen\w*|not)\b.*)?\W*",
    re.IGNORECASE,
)
_MAX_SENTENCE_CHARS: Final = 1_000  # a longer one is no sentence that somebody asks
_LONG_WORDS: Final = 60  # more words than this is a scenario or a pasted text
_PASTED_SHARE: Final = (
    0.25  # of its sentences at least must ask or instruct, or a long text is one pasted whole
)
_MIN_WORDS: Final = 3
_STANDS_ALONE: Final = 6  # content words of a part that needs none from before, pronoun or not
_INFORMATIVE: Final = 3  # content words of a sentence that is worth a search


def split_parts(text: str, limit: int = 30) -> tuple[str, ...]:
    """Return the searches a query asks for, in order, at most ``limit``; ``(text,)`` when it is one.

    Splits questions joined by "and", tasks in a row, an enumeration under a shared head and the sentences
    of a scenario that asks for several things.  A part that leans on an earlier one by a pronoun carries
    its content words.  Claims, titles and pasted texts stay whole.
    """
    body = text[:_MAX_CHARS].strip()
    if body.count(" ") < _MIN_WORDS:
        return (text,)
    spans = sentences(body)
    parts: list[str] = []
    if len(spans) == 1:
        parts = _split_sentence(body)
    elif spans:
        parts = _split_sentences([body[start:end] for start, end in spans])
    parts = list(dict.fromkeys(parts))[:limit]
    return tuple(parts) if len(parts) > 1 else (text,)


def _split_sentence(sentence: str) -> list[str]:
    """Return the parts of one sentence, itself when it is one."""
    sentence = " ".join(sentence.split())
    if len(sentence) > _MAX_SENTENCE_CHARS:
        return [sentence]
    lead = _LEAD.match(sentence)
    start = lead.end() if lead else 0
    asks = sentence.endswith("?") or _ASKS_AT_START.match(sentence, start) is not None
    polite = _POLITE.match(sentence, start)
    task_start = polite.end() if polite else start
    is_task = _TASK.match(sentence, task_start) is not None
    if items := _items(sentence):
        return items
    if is_task and len(parts := _cut(sentence, _AND_TASK, task_start)) > 1:
        return _carry(parts)
    if (asks or polite) and len(parts := _cut(sentence, _AND_QUESTION, start)) > 1:
        return _carry(parts)
    return [sentence]


def _cut(sentence: str, joint: re.Pattern[str], start: int) -> list[str]:
    """Cut at each joint whose left side is a whole request or question."""
    parts: list[str] = []
    begin = 0
    first = start
    for match in joint.finditer(sentence, start):
        piece = sentence[first : match.start()]
        if len(piece.split()) < _MIN_WORDS or not _content(piece):
            continue
        parts.append(sentence[begin : match.start()].strip(" ,;"))
        begin = first = match.end()
    if len(sentence[begin:].split()) < 2 and parts:
        parts[-1] = f"{parts[-1]} {sentence[begin:]}".strip()
    else:
        parts.append(sentence[begin:].strip(" ,;"))
    return parts


def _content(text: str) -> list[str]:
    """Return the words of ``text`` that say what it is about, as written, each once."""
    words = _WORD.findall(text.translate(_STRAIGHT))
    return list(dict.fromkeys(word for word in words if word.casefold() not in _FUNCTION))


def _carry(parts: Sequence[str]) -> list[str]:
    """Prefix each part that leans on what was asked before with the content words of that."""
    carried: list[str] = []
    subject: list[str] = []
    for part in parts:
        own = _content(part)
        pronoun = _LEANS.search(part)
        # "return the chair because it squeaks": what stands before the pronoun is what it means.
        leans = pronoun is not None and len(_content(part[: pronoun.start()])) < _INFORMATIVE
        if subject and len(own) < _STANDS_ALONE and (leans or len(own) < 2):
            known = {word.casefold() for word in own}
            prefix = " ".join(word for word in subject if word.casefold() not in known)
            carried.append(f"{prefix} {part}".strip())
        else:
            carried.append(part)
            subject = own or subject
    return carried


def _items(sentence: str) -> list[str]:
    """Return head + item for each item of "compare my notes on A, B and C"; empty when it is none."""
    head = _HEAD.match(sentence)
    if head is None:
        return []
    is_comparison = head["verb"].casefold().startswith(("compar", "contrast", "vergleich"))
    tail = sentence[head.end() :].rstrip(" ?.!")
    tail = re.sub(r"^\s*both\s", "", tail, flags=re.IGNORECASE)
    items = [item.strip(" ,") for item in _ITEMS.split(tail)]
    if len(items) < (2 if is_comparison and head["link"] else 3):
        return []
    if not head["link"] and not is_comparison:
        return []
    if any(not item or len(item.split()) > _MAX_ITEM_WORDS or not _content(item) for item in items):
        return []
    if "," not in tail and len(items) > 2:
        return []
    shared = sentence[: head.end()].strip()
    return [f"{shared} {item}" for item in items]


def _split_sentences(found: Sequence[str]) -> list[str]:
    """Return the parts of a text of several sentences; none when it is one search."""
    n_words = sum(len(sentence.split()) for sentence in found)
    asking = [_asks(sentence) for sentence in found]
    n_tasks = sum(kind == "task" for kind in asking)
    n_asks = n_tasks + sum(kind == "question" for kind in asking)
    if n_words > _LONG_WORDS:
        if not n_tasks or n_asks < max(2, _PASTED_SHARE * len(found)):
            return []
        worth = [s for s, kind in zip(found, asking, strict=True) if kind or _is_informative(s)]
    else:
        if n_asks == 0:
            return []
        worth = [s for s, kind in zip(found, asking, strict=True) if kind]
    if n_asks == 1 and n_words <= _LONG_WORDS:
        # One question after its background is one search, unless it joins several itself.
        parts = _split_sentence(worth[0])
        return parts if len(parts) > 1 else []
    parts = []
    for sentence in worth:
        parts += _split_sentence(sentence)
    return _carry(parts)


def _asks(sentence: str) -> str:
    """Return "task", "question" or "" for a sentence; a question without content of its own is none."""
    plain = " ".join(sentence.split()).translate(_STRAIGHT)
    lead = _LEAD.match(plain)
    start = lead.end() if lead else 0
    polite = _POLITE.search(plain, start)
    if polite and _TASK.match(plain, polite.end()):
        return "task" if not _GENERIC.fullmatch(plain) and _is_informative(plain, 2) else ""
    if _TASK.match(plain, start):
        return "task" if _is_informative(plain, 2) else ""
    if plain.rstrip("\"'”») ").endswith("?"):
        return "question" if _is_informative(plain, 2) and not _GENERIC.fullmatch(plain) else ""
    return ""


def _is_informative(sentence: str, n: int = _INFORMATIVE) -> bool:
    return len(_content(sentence)) >= n and not _SMALL_TALK.match(sentence)


_SMALL_TALK: Final = re.compile(
    r"\W*(?:thanks?\b|thank you|hi\b|hello\b|hey\b|dear\b|please help|i hope|have a (?:nice|great)"
    r"|best regards|kind regards|you are (?:a |an )?(?:very |quite |rather )?(?:polite|impatient"
    r"|friendly|calm|nice|shy|private|detail)|be (?:polite|brief|concise)|you (?:don't|do not) (?:know"
    r"|remember))",
    re.IGNORECASE,
)
