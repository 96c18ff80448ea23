"""Words: where blocks and sentences begin and end in plain text and Markdown.

Spans are ``(start, end)`` character offsets, trimmed, in order, never overlapping, and together they hold
every character that is not white space.  Rules rather than a model: the stops of Latin, Cyrillic, CJK, Arabic
and Indic scripts, and the abbreviations and ordinals of the larger European languages.  Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "rule"]


class Block(NamedTuple):
    """One block of a text; headings carry their depth (1 is the top) and their bare title."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    title: str = ""


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Return the spans of the blocks of ``text``: paragraphs, whole lists, tables, runs of code."""
    return [(block.start, block.end) for block in blocks(text)]


def sentences(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the spans of the sentences of ``text[start:end]``, as offsets into ``text``.

    A blank line always ends a sentence, a single line break inside a paragraph does not.  Headings, list
    items, rows of tables and lines of code are units of their own.
    """
    part = text[start:end] if start or end is not None else text
    found: list[tuple[int, int]] = []
    for block in blocks(part):
        if block.kind == "paragraph":
            _split(part, block.start, block.end, found)
        elif block.kind == "list":
            for item_start, item_end in list_items(part, block.start, block.end):
                _split(part, item_start, item_end, found)
        elif block.kind in ("table", "code"):
            found.extend(lines(part, block.start, block.end))
        else:
            found.append((block.start, block.end))
    return [(a + start, b + start) for a, b in found] if start else found


def lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the trimmed, not empty lines of ``text[start:end]``."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        line = text[start:stop]
        if body := line.strip():
            lead = start + len(line) - len(line.lstrip())
            yield lead, lead + len(body)
        start = stop + 1


def list_items(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the items of a list block, nested ones too, each with its continuation lines."""
    items: list[tuple[int, int]] = []
    fence = ""
    for line_start, line_end in lines(text, start, end):
        line = text[line_start:line_end]
        if opened := _FENCE.match(line):
            if not fence:
                fence = opened.group(1)
            elif line.startswith(fence):
                fence = ""
            items.append((line_start, line_end))
        elif fence or not items or _BULLET.match(line):
            items.append((line_start, line_end))
        else:
            items[-1] = (items[-1][0], line_end)
    return items


# ---------------------------------------------------------------- blocks

_LINE: Final = re.compile(r"[^\n]+\n?|\n")
_ATX: Final = re.compile(r"#{1,6}(?=[ \t]|$)")
_ATX_CLOSE: Final = re.compile(r"(?:^|[ \t])#+$")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})[^`]*$")
_UNORDERED: Final = re.compile(r"[-*+•‣◦](?:[ \t]|$)")
_ORDERED: Final = re.compile(r"(?:\(?[0-9]{1,3}[.)]|\(?[A-Za-z]\))(?:[ \t]|$)")
_ORDERED_FIRST: Final = re.compile(r"\(?[1aA][.)][ \t]")
_BULLET: Final = re.compile(f"{_UNORDERED.pattern}|{_ORDERED.pattern}")
_RULE: Final = re.compile(r"(?:-[ \t]*){3,}$|(?:\*[ \t]*){3,}$|(?:_[ \t]*){3,}$|={3,}$")
_SETEXT: Final = re.compile(r"(?:=+|-{2,})$")
_RST_ADORNMENT: Final = re.compile(r"""([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])\1{2,}$""")
_MAX_STRUCTURE_CHARS: Final = 1_000  # no heading, rule or fence line is longer; keeps the patterns linear


def blocks(text: str, start: int = 0, *, rst: bool = False) -> list[Block]:
    """Return the blocks of ``text[start:]``, outermost structure only.

    A list with its nested items is one block, so is a table and a fenced or indented run of code.
    Headings are Markdown's (``#`` and underlined) or, with ``rst``, reStructuredText's.
    """
    scanner = _Scanner(text, rst=rst)
    for match in _LINE.finditer(text, start):
        scanner.line(match.start(), match.group())
    scanner.close()
    return scanner.found


class _Scanner:
    """Collects blocks from lines; ``kind`` is that of the open block."""

    def __init__(self, text: str, *, rst: bool) -> None:
        self.text = text
        self.rst = rst
        self.found: list[Block] = []
        self.kind: BlockKind | None = None
        self.start = self.end = self.n_lines = 0
        self.fence = ""
        self.blank = True  # the previous line was
        self.styles: list[str] = []  # of rst titles, outermost first

    def close(self) -> None:
        if self.kind is not None:
            self.found.append(Block(self.kind, self.start, self.end))
            self.kind = None

    def take(self, kind: BlockKind, start: int, end: int) -> None:
        """Add one line to the open block, or open one of another kind with it."""
        if self.kind != kind:
            self.close()
            self.kind, self.start, self.n_lines = kind, start, 0
        self.end = end
        self.n_lines += 1

    def line(self, position: int, line: str) -> None:
        body = line.strip()
        if not body:
            self.blank = True
            if self.kind in ("paragraph", "table"):
                self.close()
            return
        start = position + len(line) - len(line.lstrip())
        end = start + len(body)
        indent = start - position if "\t" not in line[: start - position] else 4
        after_blank, self.blank = self.blank, False

        if self.fence:
            self.end = end
            if body.startswith(self.fence) and not body.strip(self.fence[0]):
                self.fence = ""
                if self.kind == "code":
                    self.close()
            return
        if len(body) <= _MAX_STRUCTURE_CHARS and self._structure(body, start, end, indent, after_blank):
            return
        if self.kind == "list":
            # Nested items, indented text and wrapped lines go on; flush text after a blank line does not.
            if not after_blank or indent or _BULLET.match(body):
                self.end = end
                return
            self.close()
        if self._opens_list(body, after_blank):
            self.take("list", start, end)
        elif indent >= 4 and (self.kind == "code" or (after_blank and self.kind is None)):
            self.take("code", start, end)
        else:
            self.take("paragraph", start, end)

    def _structure(self, body: str, start: int, end: int, indent: int, after_blank: bool) -> bool:
        """Take a line that is a heading, rule, fence or row of a table; say whether it was one."""
        first = body[0]
        if self.rst:
            if _RST_ADORNMENT.match(body) and indent == 0:
                self._rst_adornment(first, start, end, after_blank)
                return True
            if first == "+" and body[-1] == "+" and body.strip("+-=") == "":
                self.take("table", start, end)
                return True
        else:
            if first in "`~" and (opened := _FENCE.match(body)):
                self.fence = opened.group(1)
                if self.kind == "list" and indent:
                    self.end = end  # code inside an item stays with its list
                else:
                    self.close()
                    self.take("code", start, end)
                return True
            if indent < 4:
                if first == "#" and (atx := _ATX.match(body)):
                    self.close()
                    title = _ATX_CLOSE.sub("", body[atx.end() :].strip()).strip()
                    self.found.append(Block("heading", start, end, atx.end(), title))
                    return True
                if first in "=-" and self.kind == "paragraph" and self.n_lines == 1 and _SETEXT.match(body):
                    self._underlined(start=self.start, end=end, level=1 if first == "=" else 2)
                    return True
                if first in "-*_=" and _RULE.match(body):
                    self.close()
                    self.found.append(Block("rule", start, end))
                    return True
        if first == "|" and body[-1] == "|" and len(body) > 1:
            self.take("table", start, end)
            return True
        return False

    def _opens_list(self, body: str, after_blank: bool) -> bool:
        if _UNORDERED.match(body):
            return True
        if not _ORDERED.match(body):
            return False
        # As in CommonMark only a first number interrupts a paragraph: a wrapped line may well begin
        # with "3. Mai".
        return after_blank or self.kind != "paragraph" or bool(_ORDERED_FIRST.match(body))

    def _underlined(self, *, start: int, end: int, level: int) -> None:
        """Turn the open one-line paragraph into a heading."""
        title = self.text[self.start : self.end].strip()
        self.kind = None
        self.found.append(Block("heading", start, end, level, title))

    def _rst_adornment(self, mark: str, start: int, end: int, after_blank: bool) -> None:
        """Take a line of punctuation: it underlines a title, or is an overline or a transition."""
        if after_blank or self.kind != "paragraph" or self.n_lines != 1:
            self.close()
            self.found.append(Block("rule", start, end))
            return
        title_start, style = self.start, mark
        if self.found and self.found[-1].kind == "rule":
            rule = self.found[-1]
            between = self.text[rule.end : self.start]
            if between.count("\n") == 1 and self.text[rule.start] == mark:
                self.found.pop()
                title_start, style = rule.start, mark * 2
        if style not in self.styles:
            self.styles.append(style)
        self._underlined(start=title_start, end=end, level=self.styles.index(style) + 1)


# ---------------------------------------------------------------- sentences

# No nested repetition: the pattern never backtracks, whatever the text.
_STOP: Final = re.compile(
    r"""(?P<stop>[.!?…‽]+|[。！？｡．؟۔।॥։]+|(?<=[\u0370-\u03ff\u1f00-\u1fff]);)
        (?P<closers>(?:["'”’“‘«»›)\]}*_`」』）】》〉]|[ \u00a0\u202f]»(?=[\s.,;:]))*(?:\[\^?\w{1,4}\])*)""",
    re.VERBOSE,
)
_WIDE_STOPS: Final = frozenset("。！？｡．")  # scripts that put no space after a stop
_WIDE_LETTER: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff]"
)  # 好!走吧, with the stops of a Latin keyboard
_OTHER_STOPS: Final = frozenset("؟۔।॥։;")  # the last is the Greek question mark
_QUOTE_GOES_ON: Final = frozenset("とってのはがを、，")  # 「...。」と言った is one sentence
_OPENERS: Final = re.compile(r"[\s\"'“„”‚‘’«»‹›(\[{*_`¿¡>–—-]*")
_TOKEN: Final = re.compile(r"[^\s(\[{\"'“„‚‘’«»‹›>*_/]*\Z")
_NEXT_WORD: Final = re.compile(r"\w+")
_ACRONYM: Final = re.compile(r"(?:\w\.)+\w\Z")
_TOKEN_CHARS: Final = 40  # how far back an abbreviation can begin

_CODE_SPAN: Final = re.compile(r"`[^`]{1,200}`")
_DASHES: Final = frozenset("–—-")

# Abbreviations that a sentence does not end with, and that are no words.
_NEVER_LAST: Final = frozenset(
    """dr mr mrs ms messrs prof pp figs eqs vols eds approx cf vs viz resp dept e.g i.e eg ie esp incl
    z.b d.h u.a u.ä o.ä i.d.r z.t s.o s.u v.a o.g m.e u.u i.a d.i a.d b.z.w bzw vgl evtl ggf zzgl inkl exkl
    abb hrn frl dipl geb gest bsp sog allg bes insb einschl zz nrn aufl hrsg
    mme mmes mlle mlles mgr p.ex c.-à-d boul
    sra srta sres dra dras ud uds núm págs p.ej avda ee dl dna
    sig sigg sig.ra sig.na dott dott.ssa prof.ssa avv p.es
    dhr mevr mw drs bijv d.w.z m.b.t t.a.v o.a i.p.v m.n exmo exma profa
    t.ex bl.a f.eks s.k d.v.s dvs mht np ul tzw inż m.in např tzv tj nám mudr esim ks pl pld
    örn bkz doç yrd cad sok mah т.е т.к т.н ул см им проф акад""".split()
)
# The same before a number, while without one they are words that end sentences: "I said no."
_BEFORE_NUMBER: Final = frozenset(
    """no nos nr fig eq sec ch chap cap vol max min mind art abs kap tab tel est ex env ed éd ca pag pág blz
    bd kl klo godz č стр рис гл тел кв n.º par hl ing lfd abt str""".split()
)
# The same before a name and when written as one.
_BEFORE_NAME: Final = frozenset(
    "rev hon gen col capt lt sgt mt ft fr hr me mm ing hl sv sen gov av bd".split()
)
# Abbreviations that may end one: they do when the next word is one that begins sentences.
_SOMETIMES_LAST: Final = frozenset(
    """inc ltd co corp bros jr sr u.s u.k e.u d.c ph.d b.a m.a gmbh ag st ste ave rd al jh jhs jhd
    s.a s.p.a b.v""".split()
)
_ET_CETERA: Final = re.compile(r"т\.[ \u00a0]?[дп]\Z")
_ROMAN: Final = re.compile(r"[IVXLC]+\b")
_STARTERS: Final = frozenset(
    """a an the this that these those it its he she they we you i in on at as but and so then there here when
    what why how who if for from my our his her their not no yes now today after before however
    der die das den dem des ein eine einen es er sie wir ihr ich und aber oder doch dann da dort hier wenn als
    wie was wer warum im am auf aus bei mit nach von vor zu für nicht nein ja heute jetzt so mein meine unser
    le la les l un une des il elle on nous vous ils elles je tu ce cet cette ces mais et ou donc alors quand
    si dans en à au aux pour avec mon ma mes son sa ses notre votre oui non
    el los las una uno él ella ellos pero cuando luego después hoy no sí y lo gli è di che per con poi oggi ma
    quando het een ik hij zij ze wij we maar toen dan nu o os um uma ele ela eles não depois hoje
    det jag han hon vi de den att men och nu sedan jeg hun og så он она они мы я это этот в на но и не потом
    to jest nie ale potem on ona je není potom""".split()
)
_WEEKDAYS: Final = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_MONTHS: Final = frozenset(
    """januar jänner februar feber märz april mai juni juli august september oktober november dezember jan feb
    mär apr jun jul aug sep sept okt nov dez janvier février mars avril juin juillet août octobre décembre
    january february march may june july october december""".split()
)
_AFTER_ORDINAL: Final = _MONTHS | frozenset(
    """jahrhundert jahrhunderts jahrtausend stock stockwerk og ug klasse platz mal tag woche monat quartal
    semester lebensjahr geburtstag jahrestag weltkrieg bundesliga liga halbzeit kapitel auflage etage reihe
    sinfonie symphonie bezirk""".split()
)
_BEFORE_ORDINAL: Final = frozenset(
    "am der die das dem den des im vom zum zur beim bis ab seit jeden jeder jede jedes ersten und".split()
)


def _split(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    """Append the sentences of one block ``text[start:end]``, which is trimmed."""
    # A block that begins in lower case is written so throughout: its sentences do, too.
    lower_style = next((char.islower() for char in text[start : start + 40] if char.isalpha()), False)
    begin = start
    spans = _CODE_SPAN.finditer(text, start, end) if text.find("`", start, end) >= 0 else iter(())
    span = next(spans, None)
    for match in _STOP.finditer(text, start, end):
        stop = match.end()
        while span is not None and span.end() <= match.start():
            span = next(spans, None)
        if span is not None and span.start() < match.start() and stop < span.end():
            continue
        if stop < end and stop > begin and _ends_sentence(text, begin, end, match, lower_style):
            found.append((begin, stop))
            begin = stop
            while begin < end and text[begin].isspace():
                begin += 1
    if begin < end:
        found.append((begin, end))


def _ends_sentence(text: str, begin: int, end: int, match: re.Match[str], lower_style: bool) -> bool:
    stop, closers = match["stop"], match["closers"]
    after = text[match.end()]
    if stop[0] in _WIDE_STOPS:
        return not (closers and after in _QUOTE_GOES_ON) and not (stop == "．" and after.isdigit())
    if not after.isspace():
        return stop[-1] in "!?" and not closers and bool(_WIDE_LETTER.match(after))
    if stop[0] in _OTHER_STOPS:
        return True
    opened = _OPENERS.match(text, match.end(), end)
    position = opened.end() if opened else match.end()
    if position >= end:
        return text[match.end() : end].strip() != ""
    is_lower = text[position].islower()
    if "!" in stop or "?" in stop or "‽" in stop:
        said = opened and not _DASHES.isdisjoint(opened.group())  # —¿Vienes? —preguntó Ana.
        return not (is_lower and (closers or said)) or lower_style
    if len(stop) > 1 or stop == "…":
        return not is_lower
    if is_lower and not lower_style:
        return False
    if closers:
        return True
    return _stop_is_full(text, begin, match.start(), position)


def _stop_is_full(text: str, begin: int, dot: int, position: int) -> bool:
    """Say whether the single ``.`` at ``dot`` ends a sentence rather than an abbreviation or ordinal."""
    back = text[max(begin, dot - _TOKEN_CHARS) : dot]
    found = _TOKEN.search(back)
    token = found.group() if found else ""
    if not token:
        return True
    low = token.lower()
    if low in _SOMETIMES_LAST:
        return _starts(text, position)
    if low in _NEVER_LAST:
        return False
    if low in _BEFORE_NUMBER and (text[position].isdigit() or _ROMAN.match(text, position)):
        return False
    if low in _BEFORE_NAME and (token.istitle() or low == "mm") and text[position].isupper():
        return False
    if len(token) == 1 and token.isalpha():
        if token.isupper():
            return _starts(text, position)  # "J. Smith", but "Plan B. Then"
        # "z. B." and "д. 5", but "5 m. Then" and "в 2024 г. Он"
        return back[:-1].rstrip()[-1:].isdigit() or bool(_ET_CETERA.search(back))
    if _ACRONYM.match(token):
        if low in ("a.m", "p.m"):
            return _word_at(text, position) not in _WEEKDAYS
        return bool(_ET_CETERA.search(low)) or (token[0].isupper() and _starts(text, position))
    if low.endswith("str") and text[position].isdigit():
        return False  # "Hauptstr. 5"
    if token.isdigit() and len(token) <= 2:
        before = back[: -len(token)].split()
        if not before and dot - len(token) == begin:
            return False  # the number of a list item
        if _word_at(text, position) in _AFTER_ORDINAL:
            return False
        return not (before and before[-1].lower() in _BEFORE_ORDINAL)
    return True


def _word_at(text: str, position: int) -> str:
    word = _NEXT_WORD.match(text, position)
    return word.group().lower() if word else ""


def _starts(text: str, position: int) -> bool:
    """Say whether the word at ``position`` is one that begins sentences, and not an initial such as "A."."""
    word = _word_at(text, position)
    is_initial = len(word) == 1 and text[position + 1 : position + 2] == "."
    return word in _STARTERS and not is_initial
