"""Words: text as the words that lexical search, grounding and duplicate detection compare.

Rules, in the order they apply:

1. NFKC; soft hyphens and zero-width characters vanish; English ``'s`` and Romance elisions (``l'``) too.
2. Identifiers (``snake_case``, ``camelCase``, ``C++``, ``.NET``, ``--flag``, ``foo.bar``, paths, ``v1.2.3``,
   addresses, ``#W26``) give themselves whole and also their parts.
3. Scripts without spaces give overlapping character pairs; Han characters each by itself as well, since
   many are words; a run of one character gives that character.
   A Korean syllable before a particle (``집에서``) gives itself too.
4. Other words are case-folded, dropped if they are stop words, stemmed and stripped of accents, so that
   ``Müller`` and ``Muller`` meet.  A word that would be stemmed otherwise without its accents gives both
   stems.  Compounds of German, Dutch and the Scandinavian languages give their parts as well.  Outside Latin
   script the script decides the stemmer: Snowball's, or for Arabic the light one of Larkey et al.

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
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import chain
from typing import Any, Final

# Raise whenever the tokens of any text change: indexes made with another version are rebuilt.
TOKENS_VERSION: Final = 2

MAX_TOKEN_CHARS: Final = 64  # of one token; longer ones (hashes, base64) are compared by their start

_STEMMERS: Final = {
    "en": "english",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
    "sv": "swedish",
    "da": "danish",
    "no": "norwegian",
    "fi": "finnish",
    "hu": "hungarian",
    "ro": "romanian",
    "tr": "turkish",
    "pl": "polish",
    "cs": "czech",
}
_SCRIPT_STEMMERS: Final = {"ru": "russian", "el": "greek", "hi": "hindi"}

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
    "ton tu  un une vos votre vous y à",
    "es": "al como con de del el ella en entre era es esta este ha la las le lo los me mi muy más no nos o "
    "para  pero por que se si sin sobre son su sus te un una y ya",
    "it": "a ai al alla che ci con da dal dei del della delle di e gli ha i il in io la le lo ma mi nel "
    "nella  non per più se si sono su sul tra un una uno è",
    "nl": "aan als bij dat de den der die dit door een en er het hij ik in is je maar met naar niet of om "
    "onder  ook op te tot uit van voor was wat wij worden zijn",
    "pt": "a ao aos as com da das de do dos e ela ele em entre era essa esse foi mais mas na nas no nos não "
    "o  os ou para pela pelo por que se sem seu sua são um uma é",
    "sv": "att av de den det du en ett för från han har hon i jag med men och om på sig som till var vi är",
    "da": "af at de den der det du en er et for fra han har hun i jeg med men og om på sig som til var vi",
    "no": "at av de den der det du en er et for fra han har hun i jeg med men og om på seg som til var vi",
    "fi": "ei en että hän ja jos jotka kun minä mutta ne niin nyt ole oli on ovat se sekä sinä tai te tämä",
    "hu": "a az egy és ez ezt fel hogy itt ki már meg mert mint még nem s vagy van volt",
    "ro": "a al ale ar au ca ce cu de din este eu la mai nu o pe pentru prin sau se și sunt un ş o",
    "tr": "bir bu da daha de gibi ile için ki mi mı mu mü ne ve veya şu",
    "pl": "a ale do i ich jak jest na nie o od oraz po się są tak to w z za ze że",
    "cs": "a ale do i jak je jsem jsou k na ne o od po se si s to u v ve z za ze že",
}
_TYPED_WITHOUT: Final = frozenset(("fr", "es", "it", "pt", "ro", "pl", "cs"))  # often without accents
_SCRIPT_STOP: Final = {
    "ru": "а без был была было были в во вот все да для до его ее если еще же за и из или им их к как ко "
    "когда ли мне мы на не него нет но о об он она они от по при с со так то у уже что чтобы это я",
    "ar": "ان او الى التي الذي هذا هذه ذلك عن على في قد كان كانت كل لا لم ما مع من هو هي و يا",
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
    "fr": "alors aussi avoir bien cela chez comme comment donc encore entre être fait faire faut les "
    "lequel même moi peu peut plus pourquoi quand quel quelle quoi rien sans si suis tous tout toute "
    "très  trop était ont c' d' j' l' m' n' qu' s' chez deux trois",
    "es": "algo antes aunque bien cada casi cómo cuando cuándo cuál desde donde dónde dos él ellos esa eso "
    "estaba esto estos está están fue hace hasta hay mis mucho nada nosotros nuestra nuestro porque "
    "puede  qué quien quién ser siempre soy también tiene todo todos tu uno yo",
    "it": "abbiamo alle anche ancora bene chi come cosa cui dalla degli dell dello dopo dove era essere "
    "fare  fatto hanno ho loro mia mio molto nei nell noi nostra ogni perché poi prima può qual quale "
    "quando  quello questa questo senza sei sempre solo stato sua suo sulla tutti tutto c' d' l' un' all' "
    "dell' nell' s' m' t'",
    "nl": "alle alleen altijd ben daar dan deze doen dus geen had heb hebben heeft hem hier hoe iets ik jij "
    "kan  kunnen maken meer men mijn moet nu omdat ons onze over veel waar waarom wanneer want waren "
    "we wel  welke werd wie wordt ze zich zij zo zou elk elke gaat komt ligt liggen staat staan twee",
    "pt": "agora ainda antes até bem cada como depois desde dele dela disse dois ela eles então era está "
    "estava  este eu fazer foram há isso isto já lhe meu minha muito mesmo nada nem nosso onde outro "
    "pelos pode  porque qual quando quem sempre ser seus só também tem tinha tudo você",
    # Of these, no word that is a common English one.
    "sv": "alla allt andra bara blev bli blir där då efter eller finns får fått före hade hur här inte "
    "ligger man mig min mitt mycket måste nu när också oss sedan sin ska skulle så under upp ut utan "
    "vad varje vara vem vid vill våra vår än över",
    "da": "alle andet blev blive bliver dig efter eller gør gøre havde hvad hver hvem hvor hvorfor hvornår "
    "ligger ikke jer kan kun kunne lige man meget mig min mit mod måske nogen noget når nu næste også "
    "os skal skulle sådan uden under ved vil ville være været",
    "no": "alle andre blir ble bli deg dere etter eller få gjøre hadde hva hver hvem hvor hvordan ligger "
    "hvorfor ikke kan kun kunne man meg mellom min mitt mye må når noe noen nå også oss skal skulle "
    "slik uten under ved vil være vært å",
    "fi": "aina ennen ehkä entä häntä joka jonka jälkeen kaikki kanssa koko koska kuin kuka kun kuitenkin "
    "missä mitä mikä milloin minulla minun minut myös pitää pois sen siellä siitä sitten vain "
    "vielä voi vuonna olen olla olisi ollut ovat",
    "hu": "ahol amikor azt azért csak ennek én hogyan hol holnap itt jó kell kellett lehet lesz lett ma meg "
    "minden mi mikor nagy nekem nincs ott pedig sem semmi szerint tegnap után vissza voltak "
    "ő ők így úgy össze új újra",
    "ro": "acest această acum aici aveți avem când că cea cel cine cum dar dacă decât despre două după ei "
    "era  fără fost foarte iar imi încă în între lui mea mereu meu mi noi nostru nimic până sa să "
    "si toate tot trebuie unde va vor",
    "tr": "ama benim bana çok değil diye dün en hangi hem hep her hiç kadar nasıl neden nerede "
    "olan  olarak oldu onun sen sonra var yok yarın zaman şimdi",
    "pl": "aby albo bardzo bez był była było być co czy dla gdy gdzie ich już kiedy kto która który które "
    "ma mam mi mnie może mój moja nad niż nic przed przez przy sobie są tam też tego tej "
    "trzeba tu tylko tym we wszystko",
    "cs": "aby ani ano bez bude byl byla bylo být co což či dnes jako jeho její jen ještě kde kdo když která "
    "které který kdy má mám mi mě můj musíme není něco nebo než od pak podle proč protože "
    "před při tam tak také tím tě třeba už všechno však vždy",
}
# Letters that few of these languages write: the one they speak for most and those they may stand for as well.
_LETTERS: Final = {
    "ß": ("de",),
    "ä": ("de", "sv", "fi"),
    "ö": ("de", "sv", "fi", "hu", "tr"),
    "ü": ("de", "tr", "hu"),
    "ñ": ("es",),
    "¿": ("es",),
    "¡": ("es",),
    "ã": ("pt",),
    "å": ("sv", "no", "da"),
    "ø": ("da", "no"),
    "æ": ("da", "no"),
    "ää": ("fi",),
    "yö": ("fi",),
    "öy": ("fi",),
    "äy": ("fi",),
    "ő": ("hu",),
    "nál": ("hu",),
    "nél": ("hu",),
    "szá": ("hu",),
    "szé": ("hu",),
    "ság": ("hu",),
    "ség": ("hu",),
    "ű": ("hu",),
    "ă": ("ro",),
    "ș": ("ro",),
    "ț": ("ro",),
    "ğ": ("tr",),
    "ş": ("tr", "ro"),
    "ı": ("tr",),
    "ą": ("pl",),
    "ę": ("pl",),
    "ł": ("pl",),
    "ś": ("pl",),
    "ż": ("pl",),
    "č": ("cs",),
    "ě": ("cs",),
    "ř": ("cs",),
    "ů": ("cs",),
    "š": ("cs",),
    "ž": ("cs",),
}
_LETTERS_OR: Final = re.compile("|".join(sorted(_LETTERS, key=len, reverse=True)))
# A function word's vote is divided among the languages that have it.  Whole numbers, so that ties are seen.
_WORD_VOTE: Final = 60
_LETTER_VOTE: Final = 40
_MIN_CUES: Final = (
    30  # one word in so many says the language; prose has one in three, lists of codes have none
)
_LETTER_MAY_VOTE: Final = 30  # for the languages that a letter may stand for
# Two written languages so close that the same words speak for both; either stemmer serves the other's texts.
_TWINS: Final = frozenset(("da", "no"))

# Nouns that everyday compounds end with, so that "Zahnarztrechnung" is found by "Rechnung" and by "Zahnarzt".
# Only heads: a list of first parts would cut "Autor" and "Steuerung".  At least four letters once stemmed.
_HEADS: Final = {
    "de": "abend adresse angebot anlage antrag anzeige apparat arbeit arzt ärztin aufgabe ausgabe ausweis "
    "bahn batterie baum bedarf beitrag beratung bericht besuch betrag bild blatt brief brille brot "
    "bruder buch buchung büro datei daten deckel dienst dose druck drucker ecke erklärung essen fahrt "
    "farbe fehler feier ferien fest filter flasche fleisch flug frage frau freund gang gebühr gehalt "
    "geld gerät geräusch geschäft gesetz glas gruppe hafen halle haus heizung helfer hilfe hose hotel "
    "kabel kaffee karte kasse katze kauf keller kind kissen kiste klasse kleid koffer konto kosten "
    "küche kuchen kunde kurs lampe laden leiter leitung liste lösung mann markt maschine meister messer "
    "miete mittel monat motor mutter nachricht name netz nummer ordner papier pass pause pflege plan "
    "planung platte platz platte post preis problem programm projekt prüfung pumpe raum rechnung recht "
    "regal reise reparatur rezept ring saft salat schaden schein schlüssel schloss schrank schuh schule "
    "seite sendung sitzung sohn spiel sprache stadt stelle steuer straße strom stück stunde suche suppe "
    "tabelle tasche tasse teil telefon termin tisch tochter topf treffen treppe turm urlaub vater "
    "verein vertrag versicherung verwaltung verzeichnis vorstellung wagen wand wasser wechsel wein werk "
    "wohnung wort zahl zahlung zeichnung zeit zeitung zettel zeugnis zimmer zucker zug",
    "nl": "aangifte aanvraag adres afspraak auto bank bedrag belasting beurt bewijs bezoek bloem boek boom "
    "brief broek bril brood buurt code cursus datum deur dienst dier doos druk dokter feest fiets film "
    "fles foto garantie gebouw geld gids groep haven huis huur kaart kaas kamer kant kast keuken kind "
    "klas kleding koffer kosten kraan kussen lamp lasten leraar lijst machine markt meter middel moeder "
    "muur naam nummer oven pakket papier park pas plaats plan plank plant premie prijs probleem punt raam "
    "reis rekening rijbewijs ruimte schema schade schoen school slot sleutel soep spel stad stoel straat "
    "stuk suiker taart tafel tand tas telefoon tijd toets trap trein vader vakantie vergadering "
    "verzekering vlees vloer vraag vriend water week werk wijn winkel woning woord zaak zorg zuster",
    "sv": "adress avgift avtal bank bild biljett bok bolag bord brev bröd bänk dator dörr fest film fisk "
    "flaska fråga fönster förening försäkring golv grupp hus hyra hylla jacka kaka kalender karta klass "
    "kläder kontor konto kort kostnad kurs kvitto kök lampa lista lägenhet läkare lärare maskin matta "
    "medicin möte nummer nyckel packning papper pengar plan plats present pris problem program projekt "
    "rapport recept resa rum räkning salt saft sida skada skatt skola skor soppa språk spel stad stol "
    "stuga städning tand tavla telefon tidning träff tröja uppgift väg vägg väska vatten ägare ärende",
    "da": "adresse aftale bank billede billet bog bord brev brød computer dør fest film fisk flaske forening "
    "forsikring gebyr gruppe gulv hylde jakke kage kalender klasse konto kontor kort kursus kvittering "
    "køkken lampe liste lejlighed læge lærer maskine medicin møde nummer nøgle papir penge plads plan "
    "pris problem program projekt regning rejse rum rapport opskrift skade skat skole sko spil stol "
    "suppe sprog tand taske telefon tøj vand værelse vindue",
    "no": "adresse avtale bank bilde billett bok bord brev brød datamaskin dør fest film fisk flaske "
    "forening forsikring gebyr gruppe gulv hylle jakke kake kalender klasse konto kontor kort kurs "
    "kvittering kjøkken lampe liste leilighet lege lærer maskin medisin møte nummer nøkkel papir "
    "penger plass plan pris problem program prosjekt regning reise rom rapport oppskrift skade skatt "
    "skole sko spill stol suppe språk tann veske telefon vann vindu",
}
_NO_FIRST_PARTS: Final = frozenset(  # prefixes of verbs and nouns: "Ausbildung" is no compound of "Bild"
    "aus ein vor ver auf zer nach über unter ent mit bei gegen zusammen wieder durch emp miss ueber hinter "
    "aan uit door voor onder over tegen toe bij ont her wan vol weg ned upp för från till med mot om ned "
    "efter etter inn opp und fore fra til ind ned sam".split()
)
_MIN_FIRST_CHARS: Final = 3  # of a first part: "Bad" in "Badezimmer" is the shortest that is common
_MAX_PARTS: Final = 4

# Before stemming: inflections that Snowball leaves apart, and endings that people type without accents.
_REWRITES: Final = {
    "es": ((re.compile(r"(?<=..[csgx])ion$"), "ión"),),
    "pt": (
        (re.compile(r"(?<=..)(?:c|ç)(?:ao|oes|ões)$"), "ção"),
        (re.compile(r"(?<=.)(?:ões|oes|ãos|(?<!m)ães)$"), "ão"),
        (re.compile(r"(?<=..)ao$"), "ão"),
        (re.compile(r"(?<=..)[áa]ve(?:l|is)$"), "ável"),
        (re.compile(r"(?<=..)[íi]ve(?:l|is)$"), "ível"),
        (re.compile(r"(?<=..)éis$"), "el"),
        (re.compile(r"(?<=...)ais$"), "al"),
        (re.compile(r"(?<=..)encia(?=s?$)"), "ência"),
        (re.compile(r"(?<=..)ancia(?=s?$)"), "ância"),
    ),
    "nl": ((re.compile(r"(?<=.)(ee|ie)[eë]n$"), r"\1"),),
    "sv": ((re.compile(r"(?<=..[^eu])ena$"), "e"), (re.compile(r"(?<=.[bcdfgkp])el$"), "l")),
}

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
    (?: (?<![\w-])--(?=[^\W\d_]) | (?<![\w.\#@])[\#@.](?=\w) )?     # --flag  #id  @name  .NET  /.env
    W+
    (?: (?: :: | [-./\\@:&+~] | (?<=\d),(?=\d{3}(?!\d)) ) W+ )*    # foo.bar  a/b  ana@home  1,000
    (?: \+\+ | \#(?!\w) )?                                          # C++  C#
"""
_ASCII_SURFACE: Final = re.compile(_SURFACE_SOURCE.replace("W+", r"\w+"), re.VERBOSE | re.ASCII)
_SURFACE: Final = re.compile(_SURFACE_SOURCE.replace("W+", rf"[\w{_MARKS}]+"), re.VERBOSE)
_EAST_ASIAN: Final = re.compile(f"[{_CJK}{_HANGUL}]")
# Where a word of Latin letters touches one of a script without spaces: C#项目, GitHub에서.
_SCRIPT_CHANGE: Final = re.compile(
    rf"(?<=[{_CJK}{_HANGUL}])(?=[A-Za-z0-9.#@-])|(?<=[A-Za-z0-9+#])(?=[{_CJK}{_HANGUL}])"
)
_RUN: Final = re.compile(rf"([{_CJK}]+)|([{_HANGUL}]+)|([{_SPACELESS}]+)|[^{_CJK}{_HANGUL}{_SPACELESS}]+")

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_APOSTROPHE: Final = re.compile("[\u2018\u2019\u02bc\u2032\uff07]")
_DASH: Final = re.compile("[\u2010\u2011]")
_ENCLITIC: Final = re.compile(r"(?<=\w)'(?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)
_ELISION: Final = re.compile(
    r"\b(?:l|d|j|m|n|s|t|c|qu|jusqu|lorsqu|puisqu|un|dell|nell|all|dall|sull|quell|gl)'(?=\w)", re.IGNORECASE
)

_ELIDING: Final = frozenset(("fr", "it"))

_SEGMENT: Final = re.compile(r"::|[/\\@:&+~,#]")
_PART: Final = re.compile(r"[-._]")
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+")
_IS_HUMPED: Final = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
_PLURAL_ACRONYM: Final = re.compile(r"[A-Z]{2,}s")
_PLURAL_WITHOUT_VOWEL: Final = re.compile(r"[b-df-hj-np-tv-xz]{2,}(?<!s)s")  # pdfs, which Snowball leaves
_COMPOUND_WORD: Final = re.compile(r"([A-Za-z]+)-([A-Za-z]+)")  # e-mail and Wi-Fi, also written in one
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:\.\d{3})+")
_VERSION: Final = re.compile(r"v?((\d+\.\d+)(?:\.\d+)*)")
_LETTERS_AND_DIGITS: Final = re.compile(r"([^\W\d_]+)(\d+)|(\d+)([^\W\d_]+)")
_WORD: Final = re.compile(rf"[\w{_MARKS}]+")
_ADDRESS: Final = re.compile(r"[@/\\]|\.[^\W\d_]")
_SHORT_CODE: Final = re.compile(r"[A-Z]{2}\W?")
_ASCII_WORD: Final = re.compile(r"\w+", re.ASCII)
_ELIDED: Final = re.compile(r"\w+\Z")

_ARABIC: Final = re.compile("[\u0600-\u06ff]")
_ARABIC_SIGNS: Final = re.compile("[\u0640\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]")
_ARABIC_LETTERS: Final = str.maketrans("أإآٱىةکیؤئ", "اااايهكيوي")
_ARABIC_TANWIN: Final = re.compile("(?:\u064bا|ا\u064b)$")
_ARABIC_ARTICLE: Final = re.compile("(?:[وف]?(?:بال|كال|لل|ال))(?=...)")
_ARABIC_SUFFIX: Final = re.compile("(?<=..)(?:ها|ان|ات|ون|ين|يه|ه|ي)$")
# Particles that Korean writes onto the word before them; longer ones first.
_KOREAN_PARTICLE: Final = re.compile(
    "(?:에서는|에서도|으로는|에서|에게|한테|까지|부터|으로|처럼|보다|하고|이나|이랑|이다|입니다|마다|조차|밖에"
    "|은|는|이|가|을|를|의|에|로|와|과|도|만|나|랑)$"
)

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
        if "'" in text:
            text = _ENCLITIC.sub("", text)
            if not _ELIDING.isdisjoint(known):
                text = _ELISION.sub("", text)
        surfaces = _ASCII_SURFACE.findall(text)
    else:
        surfaces = _SURFACE.findall(_normalise(text))
    return list(chain.from_iterable(map(cut.__getitem__, surfaces)))


def query_tokens(text: str, languages: Sequence[str] = ("en",)) -> list[str]:
    """Return the tokens of a question without the words that only make it one ("when did ... go to").

    Such words are in every conversation and in no answer: leaving them out takes BM25 on LoCoMo from R@10
    .571 to .632 and changes it little elsewhere (SciFact, notes).  A text of nothing else keeps them all.
    """
    tokens = lexical_tokens(text, languages)
    language = detect_language(text)
    drop = _question_stems(language if language in languages else languages[0] if languages else "en")
    return [token for token in tokens if token not in drop] or tokens


def document_tokens(text: str) -> list[str]:
    """Return the tokens of ``text`` under its own language; see :func:`stemming_language`."""
    return lexical_tokens(text, (stemming_language(text),))


def stemming_language(text: str) -> str:
    """Return the language whose stemmer cuts the Latin-script words of ``text``; English when unclear."""
    language = detect_language(text)
    return language if language in _STEMMERS else "en"


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of a language with a stemmer, or of zh, ja or ko, or ``""`` when unclear.

    Decided by script, function words and letters of the first 4,000 characters; the most votes win.
    """
    sample = text[:_SAMPLE_CHARS]
    if not sample.isascii():
        sample = _plain(sample)
        if script := _script(sample):
            return script
    language = _voted(sample.lower())
    if language in ("", "en"):
        return language
    # The "com" of an address and the "CA" of a place are no words of Portuguese and Romanian.
    words = sample.split()
    kept = [word for word in words if not _ADDRESS.search(word)]
    if not sample.isupper():
        kept = [word for word in kept if not _SHORT_CODE.fullmatch(word)]
    return language if len(kept) == len(words) else _voted(" ".join(kept).lower())


def _voted(sample: str) -> str:
    """Return the language that most function words and letters of a lower-case ``sample`` speak for."""
    votes: dict[str, int] = defaultdict(int)
    cues = _languages_of_words()
    words = (_ASCII_WORD if sample.isascii() else _WORD).findall(sample)
    if "'" in sample:
        words += (
            f"{found.group()}'" for part in sample.split("'")[:-1] if (found := _ELIDED.search(part[-8:]))
        )
    for word in filter(cues.__contains__, words):
        for language in cues[word]:
            votes[language] += _WORD_VOTE // len(cues[word])
    if not sample.isascii():
        # Not per occurrence: a name such as Müller stands in texts of any language.
        for letter in set(_LETTERS_OR.findall(sample)):
            for language in _LETTERS[letter]:
                votes[language] += _LETTER_VOTE if language == _LETTERS[letter][0] else _LETTER_MAY_VOTE
    most = max(votes.values(), default=0)
    if most * _MIN_CUES < len(words) * _WORD_VOTE:
        return ""
    best = [language for language, vote in votes.items() if vote == most]
    return best[0] if len(best) == 1 or (best and _TWINS.issuperset(best)) else ""


# ---------------------------------------------------------------- words for comparison


def content_words(text: str, language: str | None = None) -> set[str]:
    """Return the stems of ``text`` without function words, for comparing two texts.

    Give both texts the same ``language``: a short one may be detected differently from a long one.
    """
    code = stemming_language(text) if language is None else language
    drop = _function_stems(code if code in _STEMMERS else "en")
    return {token for token in lexical_tokens(text, (code,)) if token not in drop}


def jaccard(a: Set[Any], b: Set[Any]) -> float:
    """Return the shared part of both sets together; two empty ones agree."""
    return len(a & b) / len(a | b) if a or b else 1.0


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
        if joined := _COMPOUND_WORD.fullmatch(surface):
            yield from self._stems("".join(joined.groups()))
        elif segments != [surface] or _PART.search(surface):
            yield _fold(surface.casefold().replace(",", ""))  # 1,000 is 1000
            yield from _as_number(surface)
        for segment in segments:
            parts = [part for part in _PART.split(segment) if part]
            if segment != surface and len(parts) > 1:
                yield _fold(segment.casefold())
            for part in parts:
                yield from self._word(part)

    def _word(self, word: str) -> Iterator[str]:
        if not word.isascii():
            for match in _RUN.finditer(word):
                run = match.group()
                if match.lastindex is None:
                    yield from self._word(run) if run.isascii() else self._stems(run)
                else:
                    yield from _pairs(run)
                    if match.lastindex == 2:
                        yield from _before_particle(run)
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
        if script == "ar":
            yield from _arabic_stems(folded)
            return
        if script:
            folded = folded.replace("ё", "е")
            if folded not in _script_stop_words(script):
                yield _fold(_stem(script, folded))
            return
        if not folded.isalpha():
            if any(folded not in _stop_words(language) for language in self._languages):
                yield _fold(folded)
            return
        seen = []
        for language in self._languages:
            if folded in _stop_words(language):
                continue
            for stem in _latin_stems(language, folded):
                if stem not in seen:
                    seen.append(stem)
                    yield stem


@functools.cache
def _cutter(languages: tuple[str, ...]) -> _Cutter:
    return _Cutter(languages)


def _plain(text: str) -> str:
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _DASH.sub("-", _APOSTROPHE.sub("'", text))


def _normalise(text: str) -> str:
    text = _plain(text)
    if "'" in text:
        text = _ELISION.sub("", _ENCLITIC.sub("", text))
    return _SCRIPT_CHANGE.sub(" ", text) if _EAST_ASIAN.search(text) else text


def _as_number(surface: str) -> Iterator[str]:
    """Yield other ways to write a number: 1.200 is 1200, v2.14.3 is 2.14.3 and belongs to 2.14."""
    if _THOUSANDS.fullmatch(surface):
        yield surface.replace(".", "")
    elif version := _VERSION.fullmatch(surface.lower()):
        yield from (form for form in dict.fromkeys(version.groups()) if form != surface)


def _before_particle(run: str) -> Iterator[str]:
    """Yield the syllable that a Korean particle stands after; longer words share their pairs anyway."""
    if 2 <= len(run) <= 4 and (particle := _KOREAN_PARTICLE.search(run)) and particle.start() == 1:
        yield run[0]


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

    if name not in Stemmer.algorithms():  # Czech and Polish came with Snowball 3.1
        return str
    stem: Callable[[str], str] = Stemmer.Stemmer(name, 0).stemWord  # no cache of its own: the cutter has one
    return stem


def _latin_stems(language: str, word: str) -> Iterator[str]:
    """Yield the stems of a case-folded word, then those of its parts if it is a compound."""
    if language == "en" and _PLURAL_WITHOUT_VOWEL.fullmatch(word):
        yield word[:-1]
        return
    if language == "tr":
        word = word.replace("i\u0307", "i")  # what case folding makes of İ
    for pattern, replacement in _REWRITES.get(language, ()):
        word, n_changed = pattern.subn(replacement, word, count=1)
        if n_changed:
            break
    stem = _stem(language, word)
    yield _fold(stem)
    if not word.isascii():
        yield _fold(_stem(language, _fold(word)))
    if language in _HEADS:
        yield from _compound_parts(language, stem, _MAX_PARTS)


def _compound_parts(language: str, stem: str, n_parts: int) -> Iterator[str]:
    """Yield the head of a compound and the stem of what comes before it, which may be one in turn."""
    heads = _head_stems(language)
    for length in range(len(stem) - _MIN_FIRST_CHARS, 3, -1):
        head = stem[-length:]
        first = stem[:-length]
        if head not in heads or first in _NO_FIRST_PARTS:
            continue
        yield _fold(heads[head])
        before = _stem(language, first)
        yield _fold(before)
        if n_parts > 2:
            yield from _compound_parts(language, before, n_parts - 1)
        return


@functools.cache
def _head_stems(language: str) -> dict[str, str]:
    """Map what a head is stemmed to at the end of a long word to what it is stemmed to alone."""
    words = _HEADS[language].casefold().split()
    alone = [_stem(language, word) for word in words]
    # Snowball cuts "-ung" off "Zahnarztrechnung" and not off "Rechnung"; but "zeit" stays that of "Zeit".
    within = [_stem(language, f"haupt{word}")[len("haupt") :] for word in words]
    found = {**dict(zip(within, alone, strict=True)), **{stem: stem for stem in alone}}
    return {ending: stem for ending, stem in found.items() if len(ending) > 3}


def _arabic_stems(word: str) -> Iterator[str]:
    """Yield the stem of an Arabic word, and what is left without a preposition or "and" written onto it.

    Source: light10 of Larkey, Ballesteros & Connell 2007, "Light stemming for Arabic information retrieval";
    here a bare w- is only taken off in addition, since many words begin with it.
    """
    word = _ARABIC_SIGNS.sub("", _ARABIC_TANWIN.sub("", word)).translate(_ARABIC_LETTERS)
    if word in _script_stop_words("ar"):
        return
    bare = _ARABIC_ARTICLE.sub("", word, count=1) if _ARABIC_ARTICLE.match(word) else word
    stem = bare
    for _ in range(2):  # an ending on an ending, as in -atuha
        stem = _ARABIC_SUFFIX.sub("", stem)
    if len(stem) > 4 and stem[-1] == "ا":
        stem = stem[:-1]
    yield _fold(stem)
    if bare == word and len(stem) > 3 and (stem[0] in "وبل" or (stem[0] in "فك" and len(stem) > 4)):
        yield _fold(stem[1:])


def _stem(language: str, word: str) -> str:
    if len(word) > MAX_TOKEN_CHARS:
        return word[:MAX_TOKEN_CHARS]
    return _stemmer(_STEMMERS.get(language) or _SCRIPT_STEMMERS[language])(word)


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    words = _STOP[language].split()
    if language in _TYPED_WITHOUT:
        words += [_fold(word) for word in words]
    return frozenset(words)


@functools.cache
def _script_stop_words(script: str) -> frozenset[str]:
    return frozenset(_SCRIPT_STOP.get(script, "").split())


@functools.cache
def _function_stems(language: str) -> frozenset[str]:
    words = [word for word in f"{_STOP[language]} {_CUES[language]}".split() if not word.endswith("'")]
    return frozenset(token for word in words for token in lexical_tokens(word, (language,)))


# Asked with, and rarely asked about; the cues of each language hold the other question words.
_ASKING: Final = (
    "do did does done doing has have had having is was were what which who whom whose when where why how"
    " many much long often go goes got get gets going"
)


@functools.cache
def _question_stems(language: str) -> frozenset[str]:
    if language not in _STEMMERS:
        return frozenset()
    if language != "en":
        return _function_stems(language)
    return _function_stems("en") | frozenset(lexical_tokens(_ASKING, ("en",)))


@functools.cache
def _languages_of_words() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language in _STEMMERS:
        for word in f"{_STOP[language]} {_CUES[language]}".split():
            # A lone "a" or "s" is a size, an option or an article of any of them.
            if language not in found.get(word, ()) and not (len(word) == 1 and word.isascii()):
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
