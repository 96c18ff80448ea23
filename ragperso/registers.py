"""Words: what kind of text a request asks for, whom it is for, and what kind a given text is.

A register is the kind of text: a person writes a mail to a customer unlike a message to a friend.  Rules and
small tables for English, German, French and Spanish rather than a model.  Each function answers in well under
a millisecond and never raises, whatever the text; a request that names no register gets none, since the
person's most similar pieces then decide better than a guess.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal, get_args

Register = Literal["mail", "mail reply", "post", "note", "chat", "ticket"]
REGISTERS: Final[tuple[Register, ...]] = get_args(Register)  # a letter is a mail; a ticket is a desk's answer

_MAX_CHARS: Final = 4_000  # of a text that are read: greeting, tone and sign-off show within them
_LEAD_CHARS: Final = 300  # of a request: what stands behind is material
_TAIL_CHARS: Final = 400  # of a text, where its sign-off stands
_ADDRESS: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,6}")
_STRAIGHT: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "\r": "\n"})


def fold(value: str) -> str:
    """Return a name or address in the form in which two are compared."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def is_same_kind(a: str, b: str) -> bool:
    """Say whether two registers are one kind of text: a mail and its answer are."""
    return bool(a) and bool(b) and a.split()[0] == b.split()[0]


# ---------------------------------------------------------------- what a request asks for


def _any(words: str) -> str:
    return "(?:" + "|".join(words.split()) + ")"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_WRITE: Final = _compiled(
    r"\b"
    + _any(
        "writes? draft compose word pen prepare make create produce publish put jot turn send need"
        " schreib[e]? schreiben verfasse[n]? formulier[e]? formulieren entwirf entwerfen erstell[e]? mach[e]?"
        " schick[e]? send[e]? aufsetzen écri[st]? écrivez écrire rédige[rz]? prépare[rz]? fai[st] envoie[sz]?"
        " escrib[ae] escríbe(?:le|me)? escribir redact[ae] redactar prepara haz envía(?:le)? mánda(?:le)?"
    )
    + r"\b"
)
# Someone who begins so wants to be told something, not a text of their own.
_ASKS: Final = _compiled(
    r"[\s¿¡]*"
    + _any(
        "what what's where where's which who who's whom whose when why how did do does"
        " is are was were has have"
        " can't wer wem wen was welche[rsmn]? wann wo wohin woher warum wieso worum wofür womit wie hat"
        r" habe[n]? ist sind kann où quand pourquoi combien quel(?:le)?s? que qu'est-ce est-ce de\squoi qui"
        r" qué cuál(?:es)? cuándo dónde quién(?:es)? cómo cuánto de\squé"
        " summari[sz]e translate shorten explain find show list search check compare quote"
        " read rephrase rewrite shorten"
        r" edit proofread give\sme recommend suggest"
        r" tell\sme look\sup fass[e]? erklär[e]? übersetz[e]? find[e]? zeig[e]? such[e]?"
        r" kürz[e]? vergleich[e]?"
        " résume[rz]? tradui[st] explique[rz]? trouve[rz]? montre[rz]? cherche[rz]?"
        " resum[ae] traduc[ea] explica busca encuentra muestra"
    )
    + r"\b"
)
_POLITE: Final = _compiled(
    r"\s*(?:(?:please|hi|hey|bitte|por favor|s'il (?:te|vous) plaît)[\s,:]+"
    r"|(?:can|could|would|will) you (?:please )?|(?:kannst|könntest) du (?:bitte )?|(?:peux|pourrais)-tu )*"
)
_HOW_TO_ANSWER: Final = _compiled(
    r"\b(?:(?:how|what) (?:should|do|can|could|would|shall) (?:I|we) (?:best )?(?:answer"
    r"|reply|respond|say|write|text|message)"
    r"|(?:was|wie) (?:soll ich )?(?:antworte[n]?|schreibe?|sage)|(?:que|quoi|comment) (?:lui |leur )?répon\w+"
    r"|(?:qué|cómo) (?:le |les )?(?:respond\w|contest\w)\w*)\b"
)
_REPLY: Final = _compiled(
    r"\b"
    + _any(
        r"answer(?:ing)? repl(?:y|ies) respon[ds]e? responses? respond(?:ing)? write\sback get\sback\sto"
        " antwort(?:e|en)? beantwort(?:e|en)?"
        " zurückschreiben réponds répondez répondre réponse respond[ae] responder respuesta"
        " contest[ae] contestar contestación"
    )
    + r"\b"
)
_MAIL_WORD: Final = r"\b(?:e-?mails?|mails?|courriels?|correos?(?: electrónico)?|letter|brief|lettre|carta)\b"
_MAIL_NOUN: Final = _compiled(_MAIL_WORD)
_CHANNEL: Final = _compiled(
    r"\b(?:whats-?app|signal|telegram|slack|discord|messenger|imessage|sms|teams|chat)\b"
)
_DESK: Final = _compiled(
    r"\b(?:tickets?|support|help-?desk|service desk|customers?'?s?|clients?|clientes?"
    r"|clienta|kund(?:e|en|in|innen)"
    r"|kunden(?:anfrage|beschwerde)\w*|case #?\d+|complaint|reclamación|réclamation)\b"
)
_IS_OF_DESK: Final = _compiled(
    r"\b(?:tickets?|support|help-?desk|service desk|case #?\d+|bug report|customers?'?s?|kund(?:e|in))\b"
)
_MAKES_GOOD: Final = _compiled(
    r"\b(?:apologi[sz]e|offer|explain|refund|reassure|propose|entschuldige?|biete|erkläre?"
    r"|excuse-toi|discúlpate|ofréce(?:le)?|explícale)\b"
)
_CUSTOMER_SAYS: Final = _compiled(
    r"\b(?:customer|client|buyer|user|cliente|clienta|acheteur|comprador|compradora"
    r"|kund(?:e|in)|käufer(?:in)?)\b"
    r"(?: (?:m[rs]{1,2}\.?|herr|frau|mme|señora?)? ?[\w-]{1,30})? (?:says?|writes?"
    r"|wants|reports?|asks|complains|claims|can't|cannot|is"
    r"|sagt|schreibt|will|meldet|fragt|beschwert|möchte|dit|écrit|veut|demande|se plaint"
    r"|attend|dice|escribe|quiere|pide|se queja)\b"
)
_TO_CUSTOMER: Final = _compiled(
    r"\s*(?:tell|let|inform|sage?|teile?|informiere?|dis|informe[rz]?|préviens|dile"
    r"|informa|avisa) (?:a |al |au |à la )?"
    r"(?:the |a |our |this |my |der |dem |die |den |unserem |le |la |el )?"
    r"(?:customer|client|cliente|clienta|kund(?:en|in|e))\b"
)
_WHAT_TO_TEXT: Final = _compiled(
    r"'s text\b|\bthe group:|\b(?:should|do|can) i (?:text|message)\b|\bgroup ?chat\b"
    r"|\b(?:in|an) die \w{0,30}gruppe\b"
    r"|\b(?:to|in) the (?:\w+ )?group\b|\ben el grupo\b|\b(?:sur|dans) le groupe\b"
)
_DESK_NUMBER: Final = _compiled(r"\b(?:ticket|case|incident) (?:no\. ?|nr\. ?|#)?\w{0,8}-?\d")
_CUSTOMER: Final = _compiled(r"\b(?:customers?'?s?|kund(?:e|in))\b")
_TELL: Final = _compiled(r"(?:tell|ask|let|sage?|frage?|dis à|demande à|dile a|pregúntale a|avisa a)\b")
_TO_REPLY: Final = _compiled(
    r"(?:^|\b(?:help me(?: to)?|please|bitte|and|let me|i (?:want|need|have) to)\s|[,:.!] )\s*"
    r"(?:answer|reply|respond|write back|antworte|beantworte|réponds|répondez|responde|contesta)\b"
    r"|\b(?:antworten|zurückschreiben)\b"
)
_OF_KNOWLEDGE: Final = _compiled(
    r"\b(?:questions?|quiz|riddle|survey|exam|fragen?|rätsel|preguntas?|devinette)\b"
)
_DESK_HEAD: Final = _compiled(
    r"\s*(?:customer|client|cliente|kund(?:e|in)|kundenanfrage|support request|ticket"
    r"|incidencia)\b[^\n:]{0,40}:"
)
# Nouns of each register as the object of writing; the lookaheads keep out what only looks like one.
_NOUNS: Final[tuple[tuple[Register, re.Pattern[str]], ...]] = (
    (
        "chat",
        _compiled(
            r"\b(?:text|chat|direct|slack|whats-?app|signal|telegram|voice)[- ]?messages?\b"
            r"|\bsms\b|\bdms?\b|\btexto\b"
            r"|\btext (?:to|for)\b(?! (?:speech|the (?:website|page|poster|sign)))|\bmessages? (?:to"
            r"|for)\b|\bmessage à\b|\bmensaje (?:a|para)\b"
            r"|\b(?:kurz|chat)?nachricht(?:en)?\b|'s (?:text|message)\b|\ba (?:quick |short )message\b"
            r"|\ba (?:text|message) (?:saying|telling|asking"
            r"|that|to say|thanking)\b|\bwhats-?app\b"
        ),
    ),
    (
        "post",
        _compiled(
            r"\bblogs?\b|\bblog-?\s?(?:posts?|beitr[aä]ge?|artikel|eintr[aä]ge?)\b|\w{0,20}-posts?\b"
            r"|\bposts?\b(?!\s+(?:office|box|card|code|mortem|it\b))(?<!lamp post)(?<!fence post)"
            r"|\b(?:article|artikel|beitrag|billet|artículo|entrada|column|kolumne|essay|tweet"
            r"|toot|newsletter|review"
            r"|op-ed|magazine|how-to|caption|publicación|publication|instagram|bluesky|substack"
            r"|announcement|ankündigung|long read|product description|facebook"
            r"|linkedin|mastodon|twitter|website|homepage|web-?seite"
            r"|thread (?:for|on|about)|press release|pressemitteilung|communiqué)s?\b|\bpublish something\b"
        ),
    ),
    (
        "mail",
        _compiled(
            _MAIL_WORD + r"(?! (?:address|server|carrier|box))|\bmailen\b"
            r"|\b(?:(?:bewerbungs|begleit|kündigungs|motivations|mahn|an)schreiben|kündigung"
            r"|résiliation|einladung"
            r"|bewerbung|resignation)\b"
        ),
    ),
    (
        "note",
        _compiled(
            r"\bnotes?\b(?! that\b)|\bnotiz(?:en)?\b|\bjournal\b|\bdiary\b|\btagebuch\w{0,20}\b"
            r"|\bmemos?\b|\bminutes\b"
            r"|\bprotokoll\b|\blog(?:buch)? ?(?:entry|eintrag)\b|\bdiario\b|\bapuntes?\b|\bnotas?\b"
            r"|\bcompte rendu\b"
            r"|\b(?:to-?do|check|shopping|einkaufs|packing|pack)[- ]?list[e]?\b|\bmerkzettel\b"
            r"|\breminder\b|\bfor my (?:files|records)\b"
            r"|\bremind (?:\w+ )?(?:me|myself)\b|\bliste de courses\b|\blista de la compra\b"
            r"|\beinkaufsliste\b|\baide-mémoire\b|\bpense-bête\b|\brecordatorio\b|\bwrite-?up of (?:the"
            r"|my|our)\b"
        ),
    ),
)
# What is said to be done is itself the register: "text Mum", "jot down".
_VERBS: Final[tuple[tuple[Register, re.Pattern[str]], ...]] = (
    (
        "chat",
        _compiled(
            r"(?:text|dm|message|whats-?app|ping)\s+(?!of\b|about\b|from\b|in\b|messages?\b)[\w.'-]+\s*"
            r"(?:\b(?:that"
            r"|to|on|and|about|if|saying|thanking)\b|:)"
        ),
    ),
    (
        "mail",
        _compiled(
            r"e-?mail\s+(?!address|server|from\b|about\b)[\w.@'-]+|mail\s+(?!from\b|about\b"
            r"|carrier\b)[\w.@'-]+"
        ),
    ),
    (
        "note",
        _compiled(
            r"(?:jot|write|note|take) (?:\w+ )?down\b|(?:record|save|keep|note) for later\b"
            r"|capture (?:the|my|what|our)\b|merk(?:e)? dir\b|(?:i want|help me) to remember\b"
            r"|dear diary\b|log (?:today|that|my|this)\b|bullet points\b|stichpunkte\b|save (?:this"
            r"|that)\b|make (?:a |me a )?(?:\w+ )?note\b|notiere?\b|halte? (?:\w+ )?fest\b"
            r"|prends note\b|note (?:ce|que|qu'|bien|le|la|les)\b|apunta\b|anota\b|toma nota\b"
            r"|log:|diary\b|journal\b|memo\b|write up my notes"
        ),
    ),
    ("post", _compiled(r"(?:post|publish) (?:on|in|to|about) (?:the |my |our )?\w+|tweet\b|blog\s*:")),
)
_HEADER: Final = re.compile(
    r"^[ \t]{0,4}(?:From|Von|De|Da|Subject|Betreff|Objet|Asunto|To|An|À|Para)[ \t]{0,2}:[ \t]{0,4}\S",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT: Final = _compiled(r"\s*(?:subject|betreff|objet|asunto|re|aw|antw)[ \t]{0,2}:[ \t]{0,4}\S")
_SENDER: Final = re.compile(
    r"^[ \t>]{0,6}(?:From|Von|De|Da)[ \t]{0,2}:[ \t]{0,4}([^\n]{1,200})", re.IGNORECASE | re.MULTILINE
)
_RE: Final = re.compile(
    r"^[ \t]{0,4}(?:(?:subject|betreff|objet|asunto)[ \t]{0,2}:[ \t]{0,4})?(?:(?:fwd?"
    r"|wg|tr):[ \t]{0,4})?(?:re|aw|antw|sv|réf?|rv)"
    r"[ \t]{0,2}(?:\[\d{1,3}\])?[ \t]{0,2}:",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED: Final = re.compile(r'"[^"\n]{0,2000}"|«[^»\n]{0,2000}»|(?<=[\s:])\'[^\'\n]{15,2000}\'(?=[\s.,!?]|$)')
_QUOTE_LINE: Final = re.compile(r"^[ \t]{0,4}>", re.MULTILINE)


def register_of_request(text: str) -> Register | Literal[""]:
    """Return the kind of text that ``text`` asks to be written, empty when it names none.

    A mail that is pasted, alone or behind "answer this", asks for its answer.  A question asks for nothing
    to be written, nor does "note that ..." or "shorten the text".
    """
    text = text[:_MAX_CHARS].translate(_STRAIGHT).lstrip()
    lead = _lead(text)
    polite = _POLITE.match(lead)
    lead = lead[polite.end() if polite else 0 :]
    if _TO_CUSTOMER.match(lead) or _DESK_HEAD.match(text):
        return "ticket"
    asks = _ASKS.match(lead) is not None
    wants_answer = _HOW_TO_ANSWER.search(lead[:_LEAD_CHARS]) is not None
    pasted = _is_pasted_mail(text)
    if (asks or ("?" in lead and not _WRITE.search(lead) and not _REPLY.search(lead))) and not wants_answer:
        return ""
    if _HEADER.match(text) or _RE.match(text):
        return "mail reply"
    replies = wants_answer or _REPLY.search(lead) is not None
    if _CUSTOMER_SAYS.search(lead) and not _MAIL_NOUN.search(lead):
        return "ticket"
    if replies and _DESK.search(lead) and (_IS_OF_DESK.search(lead) or not _MAIL_NOUN.search(lead)):
        return "ticket"
    if _CHANNEL.search(lead) or _WHAT_TO_TEXT.search(lead):
        return "chat"
    if replies and (_MAIL_NOUN.search(lead) or pasted or wants_answer):
        return "mail reply"
    for register, pattern in _VERBS:
        if pattern.match(lead):
            return register
    if _IS_OF_DESK.search(lead) and (
        _MAKES_GOOD.search(lead) or _DESK_NUMBER.search(lead) or (_WRITE.search(lead) and _names_desk(lead))
    ):
        return "ticket"
    head, _, rest = lead.partition(":")
    named = _object_of_writing(head) or (_object_of_writing(lead) if rest else "")
    if not named and pasted:
        return "mail reply"
    if not named and _TELL.match(lead) and _to_whom(lead):
        return "chat"
    if not named and (wants_answer or _TO_REPLY.search(lead)) and not _OF_KNOWLEDGE.search(lead):
        return "mail reply"
    return named


def _lead(text: str) -> str:
    """Return the beginning of a request without what it quotes: its first paragraph."""
    paragraph = text.split("\n\n", 1)[0]
    lines = [line for line in paragraph.split("\n") if not _QUOTE_LINE.match(line)]
    return _QUOTED.sub(" ", " ".join(lines))[:_LEAD_CHARS]


def _is_pasted_mail(text: str) -> bool:
    return bool(
        len(_HEADER.findall(text)) > 1
        or _RE.search(text)
        or _QUOTE_LINE.search(text)
        or _sign_off(text)
        or _CLOSING_NAME.search(text[-_TAIL_CHARS:].rstrip(' \n"'))
    )


def _names_desk(lead: str) -> bool:
    """Say whether a desk's own word stands there: a mail to a customer is a mail."""
    return (
        not _CUSTOMER.search(lead) or re.search(r"ticket|support|help-?desk", lead, re.IGNORECASE) is not None
    )


def _object_of_writing(lead: str) -> Register | Literal[""]:
    """Return the register whose noun comes first behind a verb of writing, else anywhere."""
    if verb := _WRITE.search(lead):
        found = _first_noun(lead[verb.end() :][:120])
        if found or verb.start() < 12:
            return found or _letter_to(lead[verb.end() :])
    return _first_noun(lead)


def _first_noun(text: str) -> Register | Literal[""]:
    best: Register | Literal[""] = ""
    at = len(text) + 1
    for register, pattern in _NOUNS:
        found = pattern.search(text)
        if found and found.start() < at:
            best, at = register, found.start()
    return best


def _letter_to(rest: str) -> Register | Literal[""]:
    """Writing to an address is mail, whatever it is called."""
    return "mail" if _ADDRESS.search(rest) else ""


_CONTINUE: Final = _compiled(
    r"(?P<frame>(?:please |bitte |por favor )?(?:"
    r"(?:continue|finish|complete|extend|go on with|carry on with)(?: writing)? (?:this|the|my|that)"
    r"|(?:schreib[e]?|setz[e]?|führ[e]?) (?:diese[nrs]?|den|die|das|meine?n?)"
    r"|(?:continue|complète|termine|finis) (?:cette?|ce|le|la|mon|ma)"
    r"|(?:continúa|sigue|termina|completa) (?:est[ea]|el|la|mi)"
    r")(?: [\w-]{1,20}){1,3}[ \t]*:)\s*(?P<beginning>\S[\s\S]*)"
)
_MATTER: Final = _compiled(
    r"\b(?:saying|telling|asking|about|on|regarding|concerning|subject|continue|finish|complete|this|über"
    r"|wegen|dass|betreff|propos|sujet|objet|sur|que|sobre|asunto|please|bitte)\b:?|\b(?:a|an|the|my)\b"
)


def continued_in(text: str) -> tuple[str, str]:
    """Return the order to continue a text and the beginning it gives, ("", "") when it is no such request."""
    found = _CONTINUE.match(text.strip())
    return (found["frame"], found["beginning"]) if found else ("", "")


def matter_of_request(text: str) -> str:
    """Return what a request is about: ``text`` without the words that ask for a text of some kind.

    In somebody's own writing "write" and "post" are rare words, which would find the wrong pieces.
    """
    _, beginning = continued_in(text)
    if beginning:
        return beginning
    if subject := _SUBJECT.match(text):
        return text[subject.end() - 1 :]
    lead, rest = text[:_LEAD_CHARS], text[_LEAD_CHARS:]
    for pattern in (_WRITE, *(pattern for _, pattern in _NOUNS), _MATTER):
        lead = pattern.sub(" ", lead)
    matter = (" ".join(lead.split()) + rest).strip(" :.,")
    return matter or text


# ---------------------------------------------------------------- whom it is for

_NAME: Final = (
    r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Herrn?|Frau|M|Mme|Monsieur|Madame|Señora?|Sra?|Don|Doña)\.? )?"
    r"(?:[A-ZÀ-ÖØ-Þ]\. )?[A-ZÀ-ÖØ-Þ][\w-]{1,40}(?: (?:van|von|de|der) )?(?: [A-ZÀ-ÖØ-Þ][\w-]{1,40}){0,2}"
)
_DIRECT: Final = re.compile(  # "Text Mum that", "Schreib Mia auf WhatsApp"
    r"(?i:text|e-?mail|mail|message|dm|ping|tell|ask|send|shoot|answer|thank|invite|let|remind|préviens"
    r"|avertis|avisa a|dile a|dis à|schreibe?|sage?|schicke?|frage?|antworte|mahne"
    r"|lade)"
    rf" ({_NAME})"
)
_TO: Final = re.compile(
    rf"\b(?i:to|an|à|a|para|for|für)\b ({_NAME})|\b(?i:thanking|telling|inviting|asking) ({_NAME})"
    rf"|\b(?i:e-?mail|mail|message|letter|request|question|offer|nachricht|brief|anfrage"
    rf"|courriel|lettre|correo|mensaje|carta)"
    rf" (?i:from|von|de) ({_NAME})"
    rf"|\b({_NAME})'s (?i:e-?mail|mail|message|letter|question|offer)"
)
_TITLED: Final = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Herrn?|Frau|Mme|Monsieur|Madame|Señora?|Sra?)\.? [A-ZÀ-ÖØ-Þ][\w-]{1,40}"
)
_NO_NAME: Final = frozenset(
    """i ticket case monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch
    donnerstag freitag samstag sonntag january february march april may june july august september october
    november december customer client kunde kundin kunden linkedin whatsapp slack signal facebook instagram
    mastodon
    telegram
    blog mail post email dear hi hello""".split()
)
_CLOSING_NAME: Final = re.compile(
    r"\b(?i:regards|best|wishes|thanks|cheers|love|yours|grüßen?|grüsse|gruß|lg|vg"
    r"|cordialement|bises|amicalement"
    rf"|saludos?|abrazo|atentamente)[,.!]?\s+((?:[Tt]he )?{_NAME}(?: (?:and|und|et|y) {_NAME})?)\Z"
)


def audience_of_request(text: str) -> str:
    """Return whom the text asked for is to be written to, folded: an address or a name; empty when unsaid.

    Of a pasted mail it is the sender, by its header or else by the name under it.
    """
    text = text[:_MAX_CHARS].translate(_STRAIGHT).lstrip()
    if sender := _SENDER.search(text):
        value = sender.group(1)
        if found := _ADDRESS.search(value):
            return fold(found.group())
        return fold(value.split("<")[0].strip(" \"'"))
    lead = _lead(text)
    polite = _POLITE.match(lead)
    lead = lead[polite.end() if polite else 0 :]
    if found := _ADDRESS.search(lead):
        return fold(found.group())
    if name := _to_whom(lead):
        return fold(name)
    return fold(_signed(text))


def _to_whom(lead: str) -> str:
    direct = _DIRECT.match(lead)
    found = [direct.group(1)] if direct else []
    found += [next(filter(None, match.groups())) for match in _TO.finditer(lead)]
    found += _TITLED.findall(lead)
    for name in found:
        name = name.removesuffix("'s")
        if fold(name).split()[0] not in _NO_NAME and not (name.isupper() and len(name) > 1):
            return name
    return ""


# ---------------------------------------------------------------- two audiences

_TITLES: Final = frozenset(
    """mr mrs ms dr prof herr herrn frau m mme mlle monsieur madame señor señora sr sra don doña dear hi hello
    hallo liebe lieber cher chère hola the""".split()
)
_WORD: Final = re.compile(r"[^\W\d_]+")


def is_same_audience(a: str, b: str) -> bool:
    """Say whether two audiences are one: equal, or one's name is within the other's name or address."""
    if not a or not b:
        return False
    if a == b:
        return True
    if "@" in a and "@" in b:
        return False
    one, other = _name_words(a), _name_words(b)
    return bool(one) and bool(other) and (one <= other or other <= one)


def _name_words(audience: str) -> set[str]:
    return set(_WORD.findall(fold(audience[:200].split("@")[0]))) - _TITLES


def greeted_in(text: str) -> str:
    """Return whom the first line of a text greets, folded; empty when it greets nobody by name."""
    line = text[:200].translate(_STRAIGHT).lstrip().split("\n", 1)[0]
    if not (_GREETING.match(line) or _BARE_NAME.match(line)):
        return ""
    line = _SALUTATION.sub("", line).strip(" ,.!:;")
    return fold(line) if len(line) <= 60 and not _TO_ALL.match(line) else ""


# ---------------------------------------------------------------- what a text is

_SALUTATION: Final = _compiled(
    r"\s*(?:hi|hello|hey|hiya|dear(?:est)?|good (?:morning|evening|afternoon|day)|moin"
    r"|hallo|guten (?:tag|morgen|abend)"
    r"|liebe[rs]?|sehr geehrte[rs]?|servus|bonjour|bonsoir|salut|cher|chère|chers|chères"
    r"|hola|estimad[oa]s?|querid[oa]s?"
    r"|muy (?:señor|señora)\w*|buen[oa]s (?:días|tardes|noches))\b"
)
_TO_ALL: Final = _compiled(
    r"\s*(?:there|all|both|everyone|sir|madam|team|zusammen|ihr|alle|à tous|les|tod[oa]s|damen)\b"
)
_GREETING: Final = _compiled(
    rf"(?:{_SALUTATION.pattern}|\s*(?:madame|monsieur|mesdames|messieurs)\b)[^\n.?]{{0,60}}(?:[,!:.]"
    rf"|\Z|(?=\n))\s*\Z"
)
_BARE_NAME: Final = re.compile(
    r"\s*[A-ZÀ-ÖØ-Þ][\w-]{1,30}(?: [A-ZÀ-ÖØ-Þ][\w-]{1,30})?, ?(?:[^\n.?!]{0,60}[,!])?\s*\Z"
)
_SIGN_OFF: Final = _compiled(
    r"\s*(?:(?:(?:very |kind(?:est)? |best |warm(?:est)? |many |with )?(?:regards|wishes)"
    r"|best|all the best|cheers|thanks|thank you"
    r"|many thanks|love|yours(?: \w+)?|(?:yours )?(?:sincerely|faithfully|truly)|see you"
    r"|take care|big hug|xx?"
    r"|(?:(?:mit )?(?:freundlichen?|besten?|herzlichen?|lieben?|schönen?|viele[n]?) )?gr(?:ü"
    r"|ue)(?:ße?n?|sse?n?)|gru(?:ß|ss)|lg|vg|mfg|bis dann|deine?|ihre?"
    r"|(?:bien )?(?:cordialement|amicalement|chaleureusement|sincèrement)|bien à (?:vous"
    r"|toi)|bises|à (?:bientôt|dimanche|demain|samedi)"
    r"|(?:un )?(?:saludos?|abrazos?|beso)(?: cordial(?:es)?)?|atentamente|cordialmente)[\s,.!:-]*"
    r"[^\n]{0,40})\Z"
)
_NAME_LINE: Final = re.compile(
    r"\s*(?:[-–—*]\s*)?(?:[A-ZÀ-ÖØ-Þ][\w.'-]{0,30})(?: [A-ZÀ-ÖØ-Þ][\w.'-]{0,30}){0,2}\s*\Z"
)
_TO_DESK: Final = (  # what a desk says to a customer; two points make a ticket
    (
        2,
        _compiled(
            r"\b(?:thank(?:s| you) for (?:contacting|reaching out|getting in touch|writing to us"
            r"|your patience)|danke, dass sie sich"
            r"|(?:d'avoir|avoir) contacté|gracias por (?:ponerse en contacto|contactar|escribirnos))"
        ),
    ),
    (
        2,
        _compiled(
            r"\b(?:customer (?:care|service|support)|support team|from support|kundenservice"
            r"|kundendienst|service client(?:s|èle)?|équipe support"
            r"|atención al cliente|equipo de soporte|(?:your|ihr) \w{1,20}[ -]team)\b"
        ),
    ),
    (
        2,
        _compiled(
            r"\b(?:(?:this|your|the|das|ihr|ce|votre|su|el) (?:support )?ticket|ticket #?\d+|case #?\d{2,})\b"
        ),
    ),
    (2, _compiled(r"\bvielen dank für ihre anfrage|we have received your request\b")),
    (
        1,
        _compiled(
            r"\b(?:(?:so |very |'m |am |are )sorry (?:to hear|that|for the|about)|apologi[sz]e"
            r"|apologies for|i understand how"
            r"|tut (?:mir|uns) (?:sehr )?leid|entschuldigen sie|(?:nous sommes |suis )?désolée?s?"
            r"|lamentamos|sentimos|disculpe)\b"
        ),
    ),
    (
        1,
        _compiled(
            r"\b(?:refund(?:ed)?|replacement|reimburse\w*|erstattung|ersatz(?:teil)?|remboursement"
            r"|reembolso|free of charge|kostenlos|sin coste"
            r"|in the post for you|serial number|seriennummer|numéro de (?:suivi|série)|sendungsnummer)\b"
        ),
    ),
    (
        1,
        _compiled(
            r"\b(?:your (?:order|parcel|account|refund|purchase)|(?:under|for|with) order #?\d+"
            r"|ihre[rn]? bestellung|votre (?:commande|colis)|(?:su|del) pedido|la commande \d+)"
        ),
    ),
    (
        1,
        _compiled(
            r"\b(?:let (?:us|me) know (?:if|whether)|anything else (?:we|i) can|not hesitate to"
            r"|further questions|weiteren fragen|zur verfügung|bescheid\b"
            r"|n'hésitez pas|a su disposición|(?:business|working) days|werktagen|jours ouvrés"
            r"|reply to this (?:ticket|message)"
            r"|(?:an )?update that fixes|our engineers|settings >)"
        ),
    ),
)
_ANSWERS: Final = _compiled(
    r"\b(?:thank(?:s| you)(?: (?:so|very) much)? for (?:your|the) (?:\w+ )?(?:e?-?mail"
    r"|message|note|letter|reply|answer|question|offer|quick)|thank(?:s| you) for getting back"
    r"|(?:to|as for|about|regarding) your (?:\w+ )?question|you (?:asked|wrote|were asking)"
    r"|(?:late|slow) reply|your (?:offer|question|suggestion)"
    r"|danke für (?:deine|ihre|den|die|eure) (?:\w+ )?(?:mail|e-mail|nachricht|vorschlag"
    r"|antwort|frage|angebot)|dank für (?:deine|ihre) (?:mail|e-mail|nachricht|antwort)"
    r"|zu (?:deiner|ihrer) (?:\w+ )?frage|das klingt gut"
    r"|merci (?:pour|de) (?:votre|ton|ta|vos) (?:message|mail|courriel|retour|réponse"
    r"|proposition)|votre question"
    r"|gracias por (?:tu|su) (?:correo|mensaje|mail|respuesta|propuesta)|(?:respecto a"
    r"|sobre) (?:tu|su) pregunta)\b"
)
_YES_NO: Final = _compiled(
    r"\s*(?:yes|no|ja|nein|oui|non|sí|si|yep|nope|of course|natürlich|bien sûr|claro|gern)\b\s*[,.!:-]"
)
_POST_SAYS: Final = _compiled(
    r"(?:^|\s)#[^\W\d]\w{2,30}|\b(?:this|in this|cet|dans cet|ce|diesem|esta|este) (?:post"
    r"|article|blog|billet|beitrag|artikel|entrada|artículo)\b|\bin the comments\b"
    r"|\bsubscribe\b"
)
_CHATTY: Final = _compiled(
    r"(?:\bha(?:ha)+\b|\bja(?:ja)+\b|\bl+o+l\b|\bmdr\b|\bomg\b|\bok(?:ay)?\b|\byeah\b"
    r"|\bnope\b|\bnah\b|\bvale\b|\bnö\b|\bjo\b|\bklar\b|\bsorry\b|\bthx\b|\bno worries\b"
    r"|\bhey\b"
    r"|!!|\?\?|\s[xX]{1,3}\Z|[\U0001F300-\U0001FAFF\u2600-\u27BF]|:[-']?[)(DP])"
)
_YOU: Final = _compiled(
    r"\b(?:you|your|u|du|dir|dich|dein\w*|ihr|euch|tu|te|toi|vous|tú|ti|mándame|empezad|commence)\b"
)
_ME_NOW: Final = _compiled(
    r"\b(?:i'm|i'll|i bring|can i|on my way|on it|give me|call me|bin|hab|komme?|bring\w*"
    r"|j'arrive|j'ai|llego|ya salgo|voy|running late|see you)\b"
)
_ANSWERING: Final = _compiled(
    r"\s*(?:wow|thanks|thank you|yeah|yep|yes|no|nope|hey|hi|aw+|cool|sounds|that's"
    r"|sure|great|congrats|glad|nice|true|totally"
    r"|absolutely|oh|of course|ja|nein|danke|genau|stimmt|super|ach|oui|non|merci|ouais"
    r"|bof|sí|gracias|claro|genial|qué)\b"
)
_NOTE_HEAD: Final = _compiled(
    r"\s*(?:#{1,6} |[-*] |todo\b|\d{4}-\d\d-\d\d|[^\W\d_][\w /'-]{1,30}(?:, [^:\n]{1,20})?: ?\S"
    r"|\d{1,2}\.\d{1,2}\.|meeting\b|besprechung\b|réunion\b)"
)
_NOTED: Final = _compiled(
    r"\b(?:today|heute|aujourd'hui|hoy|next:|source:|last done|ask|must|chez|bei|en casa de)\b|(?:^|\n)[-*] "
)
_CODE_LINE: Final = re.compile(
    r"\s*(?:(?:def|class|import|from|for|while|if|return|print|const|let|var|function"
    r"|#include|SELECT)\b.*[({:;]|.*[{};]\s*$|import \w+|\|.*\|)"
)
_LETTER: Final = re.compile(r"[^\W\d_]|\s")
_PLACES: Final[tuple[tuple[Register, frozenset[str]], ...]] = (
    (
        "mail",
        frozenset(("mail", "mails", "email", "emails", "sent", "letters", "briefe", "courriels", "correo")),
    ),
    ("ticket", frozenset(("tickets", "ticket", "support", "helpdesk"))),
    ("chat", frozenset(("chat", "chats", "messages", "whatsapp", "slack", "signal"))),
    (
        "post",
        frozenset(
            ("post", "posts", "blog", "writing", "drafts", "articles", "essays", "newsletter", "newsletters")
        ),
    ),
    ("note", frozenset(("note", "notes", "journal", "diary", "notizen", "tagebuch"))),
)
_POST_CHARS: Final = 330  # a note of one thought is shorter, a post rarely is (dev half of tests/registers)
_CHAT_CHARS: Final = 240


def register_of_place(path: str) -> Register | Literal[""]:
    """Return the register that a folder of ``path``, or a mail file's suffix, stands for."""
    *folders, name = re.split(r"[/\\]", path[-1_000:].casefold())
    if name.endswith((".eml", ".mbox")):
        return "mail"
    for folder in reversed(folders):
        for register, names in _PLACES:
            if folder in names:
                return register
    return ""


def register_of_text(text: str, place: str = "") -> Register | Literal[""]:
    """Return the kind of text that ``text`` is by its shape; ``place`` is where it lay, which may tell more.

    Empty for what is no prose.  The shape decides between a mail and an answer, and whether what lies among
    mails answers a customer.
    """
    whole = text
    text = text[:_MAX_CHARS].translate(_STRAIGHT).strip()
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or not _is_prose(text, lines):
        return ""
    lies = register_of_place(place) if place else ""
    if lies and lies != "mail":
        return lies
    has_header = bool(_SUBJECT.match(text)) or (
        bool(_HEADER.match(text)) and len(_HEADER.findall(text[:600])) > 1
    )
    points = sum(value for value, pattern in _TO_DESK if pattern.search(text))
    if points >= 2 and not has_header:
        return "ticket"
    greets = bool(_GREETING.match(lines[0]) or _BARE_NAME.match(lines[0])) and len(lines) > 1
    signs = _sign_off(whole[-_TAIL_CHARS:].translate(_STRAIGHT))
    if (
        has_header
        or lies == "mail"
        or (greets and (signs or len(text) > 60))
        or (signs and len(lines) > 1 and len(text) > 80)
    ):
        return "mail reply" if _is_answer(text, lines, greets=greets) else "mail"
    if _POST_SAYS.search(text):
        return "post"
    return _of_plain(text, lines)


def _of_plain(text: str, lines: list[str]) -> Register:
    """Tell chat, note and post apart, which greet nobody."""
    if len(text) < _CHAT_CHARS and _chat_points(text, lines) > _note_points(text, lines):
        return "chat"
    n_paragraphs = text.count("\n\n") + 1
    if len(text) >= _POST_CHARS or (n_paragraphs > 2 and len(text) >= 200):
        in_lists = sum(1 for line in lines if re.match(r"\s*(?:[-*•]|\d{1,2}[.)])\s", line))
        if in_lists * 2 < len(lines):
            return "post"
    return "note"


def _chat_points(text: str, lines: list[str]) -> int:
    points = 2 * bool(_CHATTY.search(text)) + 2 * bool(_YOU.search(text)) + bool(_ME_NOW.search(text))
    points += 2 * bool(_ANSWERING.match(text)) + ("!" in text)
    points += text[0].islower() + (text[-1] not in ".:;)" and len(lines) == 1) + ("?" in text)
    return points + (len(text) <= 40)


def _note_points(text: str, lines: list[str]) -> int:
    points = 2 * bool(_NOTE_HEAD.match(text)) + bool(_NOTED.search(text)) + (len(lines) > 2)
    return points + (text[-1] == "." and len(text) > 45) + (len(text) > 120)


def _is_prose(text: str, lines: list[str]) -> bool:
    n_code = sum(1 for line in lines if _CODE_LINE.match(line[:300]))
    if n_code * 2 >= len(lines) and len(lines) > 1:
        return False
    return len(text) < 20 or len(_LETTER.findall(text)) >= 0.65 * len(text)


def _is_answer(text: str, lines: list[str], *, greets: bool) -> bool:
    body = " ".join(lines[1 if greets else 0 :])[:400]
    return bool(_RE.search(text[:400]) or _ANSWERS.search(body) or _YES_NO.match(body))


def _sign_off(text: str) -> bool:
    """Say whether a text ends as a mail does."""
    lines = [line for line in text[-_TAIL_CHARS:].split("\n") if line.strip()][-3:]
    return any(_SIGN_OFF.match(line) for line in lines[-3:]) or (
        len(lines) > 1 and bool(_NAME_LINE.match(lines[-1])) and lines[-1].lstrip()[:1] in "-–—"
    )


def _signed(text: str) -> str:
    """Return the name under a pasted mail."""
    text = text[-_TAIL_CHARS:].rstrip(' \n"')
    if found := _CLOSING_NAME.search(text):
        return found.group(1)
    line = text.rsplit("\n", 1)[-1]
    return line.strip(" -–—") if "\n" in text and _NAME_LINE.match(line) else ""
