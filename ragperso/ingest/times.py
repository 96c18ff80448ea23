"""Stage 1, ingest: times as people and programs write them.

In: whatever stood in a date field.  Out: an aware datetime in UTC, or None.
Never: guesses between day and month.
"""

from __future__ import annotations

import email.utils
import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

from ragperso.dates import MONTHS
from ragperso.types import as_utc

_ISO: Final = re.compile(
    r"(\d{4})(?:([-/.]?)(\d{1,2})\2(\d{1,2})|-(\d{2}))"
    r"(?:[T\s,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?)?\Z",
    re.IGNORECASE,
)
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T?(\d{2})(\d{2})(\d{2})?(Z|[+-]\d{2}'?:?(?:\d{2})?'?)?\Z")
_NUMERIC: Final = re.compile(r"(?<!\d)(\d{1,2})([./])(\d{1,2})\2(\d{4})(?!\d)")
_DAY_MONTH: Final = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|\.)?[\s,-]+(?:of\s+|de\s+)?([^\W\d_]{3,10})\.?[\s,-]+(?:de\s+)?"
    r"(\d{4})(?!\d)"
)
_MONTH_DAY: Final = re.compile(
    r"(?<![^\W\d_])([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)", re.IGNORECASE
)
_CLOCK: Final = re.compile(r"(?<!\d)(\d{1,2})(?:[:h](\d{2}))(?::(\d{2}))?\s*([ap]\.?m\b)?", re.IGNORECASE)
_HOUR: Final = re.compile(r"(?<!\d)(\d{1,2})\s*([ap])\.?m\b", re.IGNORECASE)
_MAX_CHARS: Final = 80  # no date is longer; keeps the patterns cheap on hostile fields
_EPOCH_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # ns, us, ms; otherwise seconds


def parse_time(value: object) -> datetime | None:
    """Return ``value`` as an aware datetime in UTC, None when it is no time or an ambiguous one.

    Takes ISO 8601, RFC 2822, epoch numbers (s, ms, us, ns), "8 May 2023", "May 8, 2023", "8. Mai 2023",
    "08.05.2023", each with a clock time before or after.  Without a zone the time counts as UTC.
    """
    try:
        return _parse(value)
    except (
        ValueError,
        OverflowError,
        OSError,
        TypeError,
        IndexError,
    ):  # OSError: beyond the C library's years
        return None


def _parse(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _epoch(float(value))
    if not isinstance(value, str) or not 4 <= len(text := value.strip()) <= _MAX_CHARS:
        return None
    if match := _ISO.match(text):
        year, _, month, day, only_month, *clock, zone = match.groups()
        if only_month is None and int(year) > 2200:
            return None
        return _at(int(year), int(month or only_month), int(day or 1), *_clock(*clock), _zone(zone))
    if match := _COMPACT.match(text):
        year, month, day, hour, minute, second, zone = match.groups()
        return _at(int(year), int(month), int(day), *_clock(hour, minute, second, None), _zone(zone))
    if re.fullmatch(r"\d{9,19}(?:\.\d+)?", text):
        return _epoch(float(text))
    if found := _spoken_date(text):
        (year, month, day), rest = found
        if re.search(r"[+-]\d{4}\b|\bGMT|\bUTC|\b[ECMP][SD]T\b", rest):
            parsed = email.utils.parsedate_to_datetime(text)  # RFC 2822 with its zone
            return _utc(parsed)
        return _at(year, month, day, *_spoken_clock(rest), timezone.utc)
    return None


def _utc(moment: datetime) -> datetime:
    return as_utc(moment).astimezone(timezone.utc)


def _epoch(number: float) -> datetime | None:
    for least, per_second in _EPOCH_UNITS:
        if abs(number) >= least:
            number /= per_second
            break
    return datetime.fromtimestamp(number, timezone.utc)


def _at(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int, zone: timezone
) -> datetime:
    return datetime(year, month, day, hour, minute, min(second, 59), micro, zone).astimezone(timezone.utc)


def _clock(
    hour: str | None, minute: str | None, second: str | None, fraction: str | None
) -> tuple[int, int, int, int]:
    return int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0")[:6])


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return timezone.utc
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]))
    return timezone(offset if text[0] == "+" else -offset)


def _spoken_date(text: str) -> tuple[tuple[int, int, int], str] | None:
    """Return ((year, month, day), the rest of the text)."""
    if match := _NUMERIC.search(text):
        first, mark, second = int(match[1]), match[2], int(match[3])
        if mark == "/" and first <= 12 and second <= 12 and first != second:
            return None  # 05/08/2023 is May in one country and August in another
        day, month = (second, first) if mark == "/" and second > 12 else (first, second)
    elif (match := _DAY_MONTH.search(text)) and match[2].lower() in MONTHS:
        day, month = int(match[1]), MONTHS[match[2].lower()]
    elif (match := _MONTH_DAY.search(text)) and match[1].lower() in MONTHS:
        day, month = int(match[2]), MONTHS[match[1].lower()]
        return (int(match[3]), month, day), text[: match.start()] + " " + text[match.end() :]
    else:
        return None
    year = int(match[4] if match.re is _NUMERIC else match[3])
    return (year, month, day), text[: match.start()] + " " + text[match.end() :]


def _spoken_clock(text: str) -> tuple[int, int, int, int]:
    """Return (hour, minute, second, microsecond) named in ``text``, midnight when none is."""
    half = ""
    if match := _CLOCK.search(text):
        hour, minute, second, half = int(match[1]), int(match[2]), int(match[3] or 0), (match[4] or "")
    elif match := _HOUR.search(text):
        hour, minute, second, half = int(match[1]), 0, 0, match[2]
    else:
        return 0, 0, 0, 0
    if half:
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return hour, minute, second, 0
