"""Stage 1, ingest: what the sender of a mail wrote, apart from what was quoted and signed.

In: the text of a mail.  Out: ``Parts``.
Never: drops text; what is not the sender's own is returned beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_QUOTED: Final = re.compile(r"[ \t]{0,3}>")
_MARKS: Final = re.compile(r"^[ \t]{0,3}(?:>[ \t]?)+")
_WROTE: Final = (
    r"(?:wrote|writes|schrieb(?:en|st)?|a écrit|a ecrit|écrivait|escribió|ha scritto|schreef|skrev"
    r"|napisał\(?a?\)?)"
)
# "On Mon, 8 May 2023 at 10:12, Ana <a@x> wrote:", "Am 08.05.23 um 10:12 schrieb Ana:", "Ana schrieb am ...:"
_ATTRIBUTION: Final = re.compile(
    rf"(?:(?:On|Am|Le|El|Il|Op|Den|W dniu|At|In)\b.{{3,250}}?\b{_WROTE}\b.{{0,120}}"
    rf"|\S.{{0,120}}\b{_WROTE}\b.{{0,120}}"
    r"|(?:Quoting|Zitat von)\b.{3,200}"
    r"|\d{4}-\d\d-\d\d .{3,150}<\S+@\S+>)"
    r"\s?[:：]\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_DATED: Final = re.compile(r"\d{1,2}[:.h]\d{2}|\d{4}|<\S+@\S+>|\d{1,2}[./]\d{1,2}")
_ORIGINAL: Final = re.compile(
    r"[-_ ]{2,}\s*(?:Original Message|Original-?Nachricht|Ursprüngliche Nachricht|Message d'origine"
    r"|Message original|Mensaje original"
    r"|Messaggio originale|Oorspronkelijk bericht|Reply message)\s*[-_ ]{2,}\Z",
    re.IGNORECASE,
)
_FORWARDED: Final = re.compile(
    r"(?:[-_ ]{2,}\s*(?:Forwarded message|Weitergeleitete Nachricht|Message transféré|Forwarded by .{0,80}"
    r"|Mensaje reenviado)\s*[-_ ]{2,}"
    r"|Begin forwarded message:|Anfang der weitergeleiteten (?:Nachricht|E-Mail):"
    r"|Début du message (?:réexpédié|transféré)\s?:)\Z",
    re.IGNORECASE,
)
_FROM: Final = re.compile(r"\*{0,2}(?:From|Von|De|Da|Van)\s?:\*{0,2}\s*\S", re.IGNORECASE)
_SENT: Final = re.compile(
    r"\*{0,2}(?:Sent|Gesendet|Envoyé|Date|Datum|Enviado|Inviato|Verzonden)\s?:\*{0,2}\s*\S", re.IGNORECASE
)
_TO: Final = re.compile(
    r"\*{0,2}(?:To|An|À|A|Para|Aan|Subject|Betreff|Objet|Asunto|Oggetto|Onderwerp)\s?:\*{0,2}", re.IGNORECASE
)
_SIGNATURE: Final = re.compile(r"--[ \t]*\Z")
_DEVICE: Final = re.compile(
    r"(?:Sent from (?:my|Mail for|Outlook|Yahoo|Proton)\b.{0,60}|Get Outlook for .{0,40}"
    r"|Von mei(?:nem|ner) .{1,40} gesendet\.?"
    r"|Gesendet (?:von|mit|aus)\b.{0,60}|Envoyé (?:de|depuis)\b.{0,60}|Enviado (?:desde|do)\b.{0,60}"
    r"|Inviato da\b.{0,60}|Verzonden vanaf\b.{0,60})\Z",
    re.IGNORECASE,
)
_MAX_LINE_CHARS: Final = 400  # no attribution or header line is longer
_ATTRIBUTION_LINES: Final = 3  # over which mail programs wrap one
_HEADER_LINES: Final = 6  # of Outlook, within which From, Sent and To stand
_SIGNATURE_LINES: Final = 20  # a longer rest under "-- " is text


@dataclass(frozen=True, slots=True)
class Parts:
    """One mail taken apart; ``forwarded_from`` is where in ``own`` a forwarded mail begins."""

    own: str = field(repr=False)
    quoted: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    forwarded_from: int | None = None


def take_apart(text: str) -> Parts:
    """Return the sender's own words, the words they answer (without marks), and the signature.

    A forwarded mail stays in ``own``: it is what the mail brings, and no other copy need exist.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    own: list[str] = []
    quoted: list[str] = []
    forwarded: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        if _QUOTED.match(lines[index]):
            index = _take_quote(lines, index, quoted)
        elif not line or len(line) > _MAX_LINE_CHARS:
            own.append(lines[index])
            index += 1
        elif _FORWARDED.match(line):
            forwarded = lines[index:]
            break
        elif _ORIGINAL.match(line) or _opens_outlook_header(lines, index):
            quoted += [*([""] if quoted else []), *(_MARKS.sub("", rest) for rest in lines[index:])]
            break
        elif n_lines := _attribution(lines, index):
            index += n_lines
            begun = _skip_blank(lines, index)
            if begun < len(lines) and not _QUOTED.match(lines[begun]):  # quoted without marks, to the end
                quoted += [*([""] if quoted else []), *lines[index:]]
                break
        else:
            own.append(lines[index])
            index += 1
    body, signature = _without_signature(own)
    result = _joined(body)
    start = None
    if forwarded:
        start = len(result) + 2 if result else 0
        result = "\n\n".join(part for part in (result, _joined(forwarded)) if part)
    return Parts(result, _joined(quoted), _joined(signature), start)


def _take_quote(lines: list[str], index: int, quoted: list[str]) -> int:
    if quoted:
        quoted.append("")
    while index < len(lines) and _QUOTED.match(lines[index]):
        quoted.append(_MARKS.sub("", lines[index]))
        index += 1
    return index


def _skip_blank(lines: list[str], index: int) -> int:
    while index < len(lines) and not lines[index].strip():
        index += 1
    return index


def _attribution(lines: list[str], index: int) -> int:
    """Return over how many lines an attribution ("... wrote:") runs from ``index``; 0 when there is none."""
    joined = ""
    for n_lines in range(1, _ATTRIBUTION_LINES + 1):
        if index + n_lines > len(lines) or not (line := lines[index + n_lines - 1].strip()):
            return 0
        joined = f"{joined} {line}".strip()
        if len(joined) > _MAX_LINE_CHARS:
            return 0
        if line[-1] not in ":：" or not _ATTRIBUTION.match(joined):
            continue
        following = _skip_blank(lines, index + n_lines)
        is_marked = following < len(lines) and bool(_QUOTED.match(lines[following]))
        # "As Ana wrote:" may well introduce the sender's own text; a date or address gives the program away.
        return n_lines if is_marked or (_DATED.search(joined) and following < len(lines)) else 0
    return 0


def _opens_outlook_header(lines: list[str], index: int) -> bool:
    line = lines[index].strip()
    if set(line) <= {"_", "-"} and len(line) >= 10:
        index = _skip_blank(lines, index + 1)
    if index >= len(lines) or not _FROM.match(lines[index].strip()[:_MAX_LINE_CHARS]):
        return False
    rest = [line.strip()[:_MAX_LINE_CHARS] for line in lines[index + 1 : index + _HEADER_LINES]]
    return any(_SENT.match(line) for line in rest) and any(_TO.match(line) for line in rest)


def _without_signature(lines: list[str]) -> tuple[list[str], list[str]]:
    for index, line in enumerate(lines):
        if _SIGNATURE.match(line) and len(lines) - index <= _SIGNATURE_LINES:
            head, tail = _without_device(lines[:index])
            return head, [*tail, *lines[index + 1 :]]
    return _without_device(lines)


def _without_device(lines: list[str]) -> tuple[list[str], list[str]]:
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    if end and len(lines[end - 1]) <= _MAX_LINE_CHARS and _DEVICE.match(lines[end - 1].strip()):
        return lines[: end - 1], [lines[end - 1]]
    return lines, []


_BLANK_LINES: Final = re.compile(r"\n{3,}")


def _joined(lines: list[str]) -> str:
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n ")
