"""Words: the days that a text or a question speaks of, as spans of whole days.

Relative words are read against an anchor, the day the text was written or the question asked.  No model and
no lookup: a set of words says whether a text can speak of days at all, and patterns run around those words.

**Conventions**, where people differ (a = the anchor, weeks run from Monday to Sunday):

- *last, this, next week, month, year*: the calendar ones.  *The past week*, *the last three months*: so many
  days (7, 30, 365 each) up to a.  *The other day*: the 7 days before a; *a few* are 2 to 6.
- *N days ago*: that day.  *A week ago*: 7 days back, one day of slack; *N weeks ago*: up to 3 days of slack;
  *N months ago*: the same day of that month with 15 days of slack; *N years ago*: that calendar year.
- *Last Friday*: the latest before a.  *This Friday*: that of a's week.  *Next Friday*: that of the next week.
  *On Friday*, *Friday*: the nearest one, the past one of two as near; not *Fridays* and not *every Friday*.
- *The weekend*: Saturday and Sunday; *last*, *this* and *next* are those of the calendar weeks.
- *In May*, *May 3rd*: the occurrence nearest to a, the past one of two as near; in a question each year of
  the person's documents.  *Last May*: the latest that was over before a; *next May*: the first after a.
- *On the 5th*: the nearest 5th.  *For three years now*, *I have had it for three years*: when that began, as
  *three years ago*.
- Seasons are those of the north, in whole months: spring is March to May, *winter 2022* December 2022 to
  February 2023; *last summer* is the latest that was over before a.
- *Early, mid, late May*: days 1-10, 11-20, from 21; of a year or a season: its thirds.  *First week of May*:
  days 1-7; *last week of May*: its last seven days; *first weekend*: the first Saturday and its Sunday.
- *The week before 9 June*: the seven days before; *two weeks before*: as *two weeks ago* seen from there;
  *the Friday before*: the latest one; *the week of 9 June*: its calendar week.
- *Since 2019*: from its first day to a.  *Before*, *until*, *by* and *after May* give May: what is near to
  what was said, not an endless range.
- *05/08/2023* is May in one country and August in another and therefore no date; *13/08/2023* is.

English well; German, French and Spanish their common forms; Italian its dates with a month.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, TypeAlias

from ragperso.tokens import detect_language

Days: TypeAlias = tuple[int, int]  # first and last day, proleptic ordinals

_MONTHS_OF: Final = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
_MORE_MONTHS: Final = {
    "en": "jan:1 feb:2 mar:3 apr:4 jun:6 jul:7 aug:8 sep:9 sept:9 oct:10 nov:11 dec:12",
    "de": "jänner:1 jan:1 feber:2 feb:2 maerz:3 mär:3 mrz:3 apr:4 jun:6 jul:7 aug:8 sep:9 sept:9 okt:10 "
    "nov:11 dez:12",
    "fr": "janv:1 fevrier:2 févr:2 avr:4 juil:7 aout:8 decembre:12 déc:12",
    "es": "setiembre:9",
    "it": "",
}


def _months_of(language: str) -> dict[str, int]:
    found = {name: n for n, name in enumerate(_MONTHS_OF[language].split(), 1)}
    for pair in _MORE_MONTHS[language].split():
        name, _, number = pair.partition(":")
        found[name] = int(number)
    return found


_MONTHS_BY_LANGUAGE: Final = {language: _months_of(language) for language in _MONTHS_OF}
MONTHS: Final = {name: n for months in _MONTHS_BY_LANGUAGE.values() for name, n in months.items()}

MAX_SPANS: Final = (
    200  # found in one text, per year asked for; a chunk has a handful, a calendar has thousands
)
_BEFORE: Final = (
    48  # characters before a word of time that are read: "have been doing that for about three" has 36
)
_AFTER: Final = 24  # and after it: " to September, 2023" has 19
_MOVED: Final = (
    56  # characters before a phrase that can move it: "the second to last Wednesday before the" has 39
)
_FIRST_YEAR, _LAST_YEAR = 1900, 2099  # four digits outside of these are rather a price or a page
_TINY: Final = {"week": 7, "month": 30, "year": 365, "day": 1, "weekend": 7}  # days of a rolling unit


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """The days ``first`` to ``last``, both included, that ``text[start:end]`` speaks of."""

    first: int  # date.toordinal
    last: int
    start: int
    end: int


def time_spans(text: str, anchor: date | datetime | None) -> list[TimeSpan]:
    """Return the spans of days that ``text`` speaks of, in text order; overlapping phrases: the longest.

    ``anchor`` is the day the text was written; without it only days that need none are returned.
    """
    return _spans(text, _Frame(_ordinal(anchor)))


def question_spans(text: str, asked_at: date | datetime, *, years: tuple[int, int]) -> list[TimeSpan]:
    """Return the spans that a question asks about, in text order and by year.

    A day, month or season without a year is meant in every year of ``years``, first and last included: those
    the person's documents lie in.  Relative ones are read against ``asked_at``.
    """
    first, last = sorted(min(max(year, date.min.year), date.max.year) for year in years)
    return _spans(text, _Frame(_ordinal(asked_at), range(first, last + 1)))


def distance(first: int, last: int, spans: Sequence[TimeSpan]) -> int:
    """Return the days between ``first..last`` and the nearest span, 0 when they share a day.

    Raises: ValueError without spans: then there is nothing to be near to.
    """
    if not spans:
        raise ValueError("no spans to measure a distance to")
    return min(max(span.first - last, first - span.last, 0) for span in spans)


def _ordinal(moment: date | datetime | None) -> int | None:
    """Return the day of ``moment``; None when nobody wrote then, as of the years that stand for "unknown"."""
    return moment.toordinal() if moment is not None and 1000 <= moment.year <= 9000 else None


# Days -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frame:
    """What relative words are read against: the anchor, and for questions the years a bare month may mean."""

    anchor: int | None
    years: range | None = None


def _clamp(first: int, last: int) -> Days:
    least, most = date.min.toordinal(), date.max.toordinal()
    return min(max(first, least), most), min(max(last, least), most)


def _month(year: int, month: int, n: int = 1) -> Days:
    """Return ``n`` whole months from ``month`` on, which may lie beyond 1..12."""
    first, after = year * 12 + month - 1, year * 12 + month - 1 + n
    return _first_of(first), _first_of(after) - 1


def _first_of(months: int) -> int:
    """Return the first day of a month counted from the year 0, kept inside the calendar."""
    if months < 12:
        return date.min.toordinal()
    if months >= (date.max.year + 1) * 12:
        return date.max.toordinal()
    return date(months // 12, months % 12 + 1, 1).toordinal()


def _on(year: int, month: int, day: int, until: int | None = None) -> Days | None:
    try:
        first = date(year, month, day).toordinal()
        last = first if until is None else date(year, month, until).toordinal()
    except ValueError:  # 31 April, or 29 February of another year
        return None
    return (first, last) if last >= first else None


def _weekday(days: int) -> int:
    return (days + 6) % 7  # as date.weekday: Monday is 0


def _nearest(candidates: Sequence[Days], anchor: int) -> Days:
    """Return the nearest to ``anchor``; of two as near the past one."""
    return min(candidates, key=lambda c: (max(c[0] - anchor, anchor - c[1], 0), c[0] > anchor))


def _yearless(frame: _Frame, in_year: Callable[[int], Days | None]) -> list[Days]:
    """Return what has no year: for each year of a question, else the occurrence nearest to the anchor."""
    if frame.years is not None:
        return [days for year in frame.years if (days := in_year(year))]
    if frame.anchor is None:
        return []
    year = date.fromordinal(frame.anchor).year
    for reach in (1, 8):  # 8: from one 29 February to the next across 1900
        around = range(max(year - reach, 1), min(year + reach, date.max.year) + 1)
        if found := [days for near in around if (days := in_year(near))]:
            return [_nearest(found, frame.anchor)]
    return []


# A word of time: its kind and a number.  Kinds: day, week, weekend, month, year; "weekday" 0-6; "named"
# months 1-12; "season" by its first month.
_Unit: TypeAlias = tuple[str, int]


def _recurring(unit: _Unit) -> Callable[[int], Days | None]:
    kind, number = unit
    return lambda year: _month(year, number, 3 if kind == "season" else 1)


def _calendar(unit: _Unit, anchor: int, n: int) -> Days:
    """Return the last (n = -1), this (0) or next (1) unit as seen from ``anchor``, or one further away."""
    kind, number = unit
    today = date.fromordinal(anchor)
    monday = anchor - _weekday(anchor) + 7 * n
    if kind == "day":
        return anchor + n, anchor + n
    if kind == "week":
        return monday, monday + 6
    if kind == "weekend":
        return monday + 5, monday + 6
    if kind == "month":
        return _month(today.year, today.month + n)
    if kind == "year":
        return _month(today.year + n, 1, 12)
    if kind == "weekday":
        if n < 0:
            latest = anchor - 1 - (_weekday(anchor) - 1 - number) % 7 + 7 * (n + 1)
            return latest, latest
        return monday + number, monday + number
    in_year = _recurring(unit)
    around = [days for year in range(today.year - 2, today.year + 3) if (days := in_year(year))]
    if n < 0:
        over = [days for days in around if days[1] < anchor]
        return over[max(n, -len(over))] if over else _clamp(0, 0)
    if n > 0:
        return next((days for days in around if days[0] > anchor), _clamp(anchor, anchor))
    return _nearest(around, anchor)


def _shifted(unit: _Unit, anchor: int, least: int, most: int, sign: int) -> Days:
    """Return what lies ``least`` to ``most`` units before (sign -1) or after (1) the anchor, with slack."""

    def one(n: int) -> Days:
        kind = unit[0]
        if kind == "day":
            return anchor + sign * n, anchor + sign * n
        if kind == "week":
            return anchor + sign * 7 * n - min(n, 3), anchor + sign * 7 * n + min(n, 3)
        if kind == "month":
            today = date.fromordinal(anchor)
            first, last = _month(today.year, today.month + sign * n)
            day = min(first + today.day - 1, last)
            return day - 15, day + 15
        return _calendar(unit, anchor, sign * n)

    a, b = one(least), one(most)
    return min(a[0], b[0]), max(a[1], b[1])


def _rolling(unit: _Unit, anchor: int, most: int, sign: int) -> Days:
    length = _TINY.get(unit[0], 90) * most
    return (anchor - length, anchor) if sign < 0 else (anchor, anchor + length)


def _beside(unit: _Unit, days: Days, least: int, most: int, sign: int) -> Days:
    """Return the unit before (sign -1) or after (1) ``days``: "the week before 9 June"."""
    kind, number = unit
    edge = days[0] if sign < 0 else days[1]
    if kind in ("weekday", "weekend"):
        length, number = (2, 5) if kind == "weekend" else (1, number)
        if sign < 0:
            last = edge - 1
            first = last - (_weekday(last) - number - length + 1) % 7 - length + 1 - 7 * (most - 1)
        else:
            first = edge + 1 + (number - _weekday(edge + 1)) % 7 + 7 * (most - 1)
        return first, first + length - 1
    if kind in ("week", "month", "year") and most == 1:
        return (edge - _TINY[kind], edge - 1) if sign < 0 else (edge + 1, edge + _TINY[kind])
    return _shifted(unit, edge, least, most, sign)


# Languages --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Language:
    """The words and the patterns of one language; a rule's kind says how its groups are read."""

    code: str
    days: dict[str, int]  # "yesterday": -1
    units: dict[str, _Unit]
    numbers: dict[str, Days]  # "a few": (2, 6)
    directions: dict[str, int]
    rules: tuple[tuple[str, str], ...]

    @property
    def months(self) -> dict[str, int]:
        return _MONTHS_BY_LANGUAGE[self.code]

    def unit(self, word: str) -> _Unit | None:
        plain = " ".join(word.lower().split()).rstrip(".")
        if found := self.units.get(plain) or self.units.get(plain.removesuffix("s")):
            return found
        month = self.months.get(plain)
        return None if month is None else ("named", month)

    def number(self, word: str | None) -> Days | None:
        if word is None:
            return 1, 1
        plain = " ".join(word.lower().split())
        return (int(plain), int(plain)) if plain.isdecimal() else self.numbers.get(plain)


def _or(words: Sequence[str]) -> str:
    """Return an alternation, longest first, in which any run of a few blanks stands for a blank.

    Words of one first letter share a branch: at most places of a text the pattern then fails at once.
    """
    by_letter: dict[str, list[str]] = {}
    for word in sorted(set(words), key=lambda w: (-len(w), w)):
        rest = re.escape(word[1:]).replace(r"\ ", r"\s{1,3}").replace(r"\-", "[- ]?").replace("'", "['’]")
        by_letter.setdefault(word[0], []).append(rest)
    return "(?:" + "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in by_letter.items()) + ")"


def _table(kind: str, words: str, first: int = 0, step: int = 1) -> dict[str, _Unit]:
    return {
        name: (kind, first + step * n)
        for n, names in enumerate(words.split())
        for name in names.replace("_", " ").split("/")
    }


def _counts(words: str, first: int = 1) -> dict[str, Days]:
    return {name: (n, n) for n, names in enumerate(words.split(), first) for name in names.split("/")}


_FEW: Final = (2, 6)
_S: Final = r"\s{1,3}"
_BARE_EN: Final = "january|february|july|september|october|november|december"  # no names, no other words
_WEEKDAYS_EN: Final = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"

_ENGLISH: Final = _Language(
    code="en",
    days={
        "yesterday": -1,
        "yesterday morning": -1,
        "yesterday evening": -1,
        "day before yesterday": -2,
        "last night": -1,
        "last evening": -1,
        "today": 0,
        "tonight": 0,
        "this morning": 0,
        "this afternoon": 0,
        "this evening": 0,
        "tomorrow": 1,
        "day after tomorrow": 2,
    },
    units={
        **{name: (name, 0) for name in ("day", "week", "weekend", "month", "year")},
        **_table("season", "spring summer autumn/fall winter", 3, 3),
        **_table("weekday", _WEEKDAYS_EN.replace("|", " ")),
        **_table("weekday", "mon tue/tues wed thu/thur/thurs fri"),  # not sat and sun: words of their own
    },
    numbers={
        **_counts("a/an/one two three four five six seven eight nine ten eleven twelve"),
        **dict.fromkeys(("few", "a few", "several", "some", "the few"), _FEW),
        **dict.fromkeys(("couple", "a couple", "couple of", "a couple of"), (2, 3)),
    },
    directions={
        **dict.fromkeys(("last", "past", "previous", "this past", "this last"), -1),
        **dict.fromkeys(("this", "earlier this", "later this", "this coming", "coming", "upcoming"), 0),
        **dict.fromkeys(("next", "this next"), 1),
    },
    rules=(
        ("day", r"(?P<day>{days})"),
        ("ago", rf"(?P<n>{{numbers}}){_S}(?P<unit>{{units}}){_S}(?:ago|back)"),
        ("ahead", rf"(?P<n>{{numbers}}){_S}(?P<unit>{{units}}){_S}from{_S}now"),
        ("ahead", rf"(?<=in )(?P<n>{{numbers}}){_S}(?P<unit>days?|weeks?|months?)(?!{_S}(?:time{_S})?of)"),
        ("named", rf"(?P<dir>{{directions}}){_S}(?P<unit>{{units}}|{{months}})(?!\s{{0,2}}\d)"),
        ("rolling", rf"(?:the|this){_S}(?P<dir>last|past){_S}(?P<unit>day|week|month|year)(?:{_S}or{_S}so)?"),
        ("rolling", rf"(?P<dir>last|past|next|coming){_S}(?P<n>{{numbers}}){_S}(?P<unit>{{units}})"),
        ("again", rf"(?P<unit>{{units}}){_S}(?P<dir>before{_S}last|after{_S}next)"),
        ("ago", rf"(?P<n>{{numbers}}){_S}(?P<unit>{{units}}){_S}now"),
        (
            "ago",
            rf"(?:(?<=\w['’])ve|have|has|been){_S}(?:[^\W\d_]{{1,12}}{_S}){{0,4}}for{_S}"
            rf"(?:(?:about|around|almost|nearly|over){_S})?(?P<n>{{numbers}}){_S}(?P<unit>{{units}})",
        ),
        ("lately", rf"the{_S}other{_S}day"),
        ("nearby", rf"(?:over|on|at|during|for|of|this){_S}(?:the{_S})?(?P<unit>weekend)"),
        (
            "nearby",
            rf"(?:my|your|our|his|her|their|had{_S}an?|such{_S}an?){_S}(?:[^\W\d_]{{1,12}}{_S}){{0,2}}(?P<unit>weekend)",
        ),
        (
            "nearby",
            rf"(?:on|by|until|till|since|from|for){_S}(?P<unit>{_WEEKDAYS_EN}|mon|tues?|wed|thurs?|thu|fri)",
        ),
        ("nearby", rf"(?<!every )(?<!each )(?P<unit>{_WEEKDAYS_EN})"),
        ("current", rf"(?:beginning|start|middle|end){_S}of{_S}the{_S}(?P<unit>week|month|year)"),
        (
            "month",
            rf"(?:in|since|until|till|by|during|through|throughout|around|between|early|mid|late|from|(?:end|beginning|"
            rf"start|middle|half|month|part|rest|weeks?|weekends?|days?){_S}(?:of|in))[ -](?:the{_S})?"
            rf"(?P<name>{{months}})(?!\s{{0,2}}\d)",
        ),
        ("month", rf"(?<!every )(?<!each )(?P<name>{_BARE_EN})(?!\s{{0,2}}\d)"),
        (
            "season",
            rf"(?:(?:in|over|during|through|for|of|since|early|mid|late){_S}(?:the{_S})?)?(?P<unit>spring|summer|autumn|"
            rf"fall|winter)(?:{_S}of)?,?{_S}(?P<year>{{year}})",
        ),
        (
            "season",
            rf"(?:in|over|during|through(?:out)?){_S}(?:the{_S})?(?P<unit>spring|summer|autumn|winter)",
        ),
        ("season", rf"(?:in|over|during|through(?:out)?){_S}the{_S}(?P<unit>fall)"),
    ),
)

_GERMAN: Final = _Language(
    code="de",
    days={
        "gestern": -1,
        "gestern abend": -1,
        "gestern morgen": -1,
        "gestern früh": -1,
        "vorgestern": -2,
        "heute": 0,
        "heute morgen": 0,
        "heute früh": 0,
        "morgen": 1,
        "morgen früh": 1,
        "übermorgen": 2,
    },
    units={
        **dict.fromkeys(("tag", "tage", "tagen"), ("day", 0)),
        **dict.fromkeys(("woche", "wochen"), ("week", 0)),
        **dict.fromkeys(("wochenende", "wochenenden"), ("weekend", 0)),
        **dict.fromkeys(("monat", "monats", "monate", "monaten"), ("month", 0)),
        **dict.fromkeys(("jahr", "jahres", "jahre", "jahren"), ("year", 0)),
        **_table("season", "frühling/frühjahr sommer herbst winter", 3, 3),
        **_table("weekday", "montag dienstag mittwoch donnerstag freitag samstag/sonnabend sonntag"),
    },
    numbers={
        **_counts("einem/einer/ein/eine zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"),
        **dict.fromkeys(("ein paar", "einigen", "einige", "wenigen", "paar", "mehreren"), _FEW),
    },
    directions={
        **{
            stem + ending: n
            for n, stems in ((-1, "letzt vorig vergangen"), (0, "dies"), (1, "nächst kommend"))
            for stem in stems.split()
            for ending in ("e", "en", "er", "es", "em")
        },
    },
    rules=(
        ("day", r"(?<!guten )(?<!jeden )(?<!am )(?P<day>{days})"),
        ("ago", rf"(?:vor|seit){_S}(?P<n>{{numbers}}){_S}(?P<unit>{{units}})"),
        ("ahead", rf"in{_S}(?P<n>{{numbers}}){_S}(?P<unit>tagen|woche|wochen|monat|monaten)"),
        ("named", rf"(?P<dir>{{directions}}){_S}(?P<unit>{{units}}|{{months}})(?!\.?\s{{0,2}}\d)"),
        (
            "rolling",
            rf"(?P<dir>letzten|vergangenen|nächsten|kommenden){_S}(?P<n>{{numbers}}){_S}(?P<unit>{{units}})",
        ),
        ("rolling", rf"(?P<dir>letzten|vergangenen|nächsten){_S}(?P<unit>tagen?|wochen|monaten?|jahren?)"),
        ("nearby", rf"(?:am|bis|seit|vom|zum){_S}(?P<unit>wochenende|{{weekdays}})"),
        (
            "month",
            rf"(?:im|seit|ab|bis|vom|von|zum|zwischen|anfang|mitte|ende|(?:woche|wochenende|hälfte){_S}im){_S}"
            rf"(?:monat{_S})?(?P<name>{{months}})(?!\s{{0,2}}\d)",
        ),
        (
            "season",
            rf"(?:(?:im|seit|seit{_S}dem){_S})?(?P<unit>frühling|frühjahr|sommer|herbst|winter){_S}(?P<year>{{year}})",
        ),
        ("season", rf"im{_S}(?P<unit>frühling|frühjahr|sommer|herbst|winter)"),
    ),
)

_FRENCH: Final = _Language(
    code="fr",
    days={
        "hier": -1,
        "hier soir": -1,
        "avant-hier": -2,
        "aujourd'hui": 0,
        "ce matin": 0,
        "ce soir": 0,
        "cet après-midi": 0,
        "demain": 1,
        "après-demain": 2,
    },
    units={
        **dict.fromkeys(("jour", "jours"), ("day", 0)),
        **dict.fromkeys(("semaine", "semaines"), ("week", 0)),
        **dict.fromkeys(("week-end", "week-ends", "weekend"), ("weekend", 0)),
        "mois": ("month", 0),
        **dict.fromkeys(("an", "ans", "année", "années"), ("year", 0)),
        **_table("season", "printemps été automne hiver", 3, 3),
        **_table("weekday", "lundi mardi mercredi jeudi vendredi samedi dimanche"),
    },
    numbers={
        **_counts("un/une deux trois quatre cinq six sept huit neuf dix onze douze"),
        **dict.fromkeys(("quelques", "plusieurs"), _FEW),
    },
    directions={
        **dict.fromkeys("dernier dernière derniers dernières passé passée".split(), -1),
        **dict.fromkeys("prochain prochaine prochains prochaines".split(), 1),
        **dict.fromkeys(("ce", "cet", "cette"), 0),
    },
    rules=(
        ("day", r"(?P<day>{days})"),
        ("ago", rf"(?:il{_S}y{_S}a|depuis){_S}(?P<n>{{numbers}}){_S}(?P<unit>{{units}})"),
        ("ahead", rf"dans{_S}(?P<n>{{numbers}}){_S}(?P<unit>jours?|semaines?|mois|ans?)"),
        (
            "named",
            rf"(?:(?:la|le){_S}|l['’])?(?P<unit>{{units}}|{{months}}){_S}(?P<dir>derni(?:er|ère)|passée?|prochaine?)",
        ),
        ("named", rf"(?P<dir>ce|cet|cette){_S}(?P<unit>{{units}})(?:-ci)?"),
        (
            "rolling",
            rf"(?:(?P<n>{{numbers}}){_S})?(?P<dir>derni(?:ers|ères)|prochaine?s){_S}(?P<unit>{{units}})",
        ),
        (
            "month",
            rf"(?:en|depuis|de|fin|début|mi|dès|jusqu['’](?:en|à)|mois{_S}de)[ -]"
            rf"(?P<name>{{months}})(?!\s{{0,2}}\d)",
        ),
        (
            "season",
            rf"(?:en{_S}|l['’]|à{_S}l['’]|au{_S}|le{_S})(?P<unit>printemps|été|automne|hiver)(?:{_S}de)?{_S}(?P<year>{{year}})",
        ),
        (
            "season",
            rf"(?:à{_S}l['’]|en{_S}|au{_S})(?P<unit>printemps|automne|hiver)|(?:en|pendant{_S}l['’]|cet){_S}(?P<other>été)",
        ),
    ),
)

_SPANISH: Final = _Language(
    code="es",
    days={
        "ayer": -1,
        "anoche": -1,
        "anteayer": -2,
        "antier": -2,
        "antes de ayer": -2,
        "hoy": 0,
        "esta mañana": 0,
        "esta tarde": 0,
        "esta noche": 0,
        "mañana": 1,
        "pasado mañana": 2,
    },
    units={
        **dict.fromkeys(("día", "días"), ("day", 0)),
        **dict.fromkeys(("semana", "semanas"), ("week", 0)),
        **dict.fromkeys(("fin de semana", "fines de semana", "finde"), ("weekend", 0)),
        **dict.fromkeys(("mes", "meses"), ("month", 0)),
        **dict.fromkeys(("año", "años"), ("year", 0)),
        **_table("season", "primavera verano otoño invierno", 3, 3),
        **_table("weekday", "lunes martes miércoles jueves viernes sábado domingo"),
    },
    numbers={
        **_counts("un/una/uno dos tres cuatro cinco seis siete ocho nueve diez once doce"),
        **dict.fromkeys(("unos", "unas", "algunos", "algunas", "varios", "varias"), _FEW),
        "un par de": (2, 3),
    },
    directions={
        **dict.fromkeys("pasado pasada último última últimos últimas".split(), -1),
        **dict.fromkeys(("este", "esta"), 0),
        **dict.fromkeys(("próximo", "próxima", "próximos", "próximas", "que viene", "que entra"), 1),
    },
    rules=(
        ("day", r"(?<!la )(?<!cada )(?P<day>{days})"),
        ("ago", rf"hace{_S}(?P<n>{{numbers}}){_S}(?P<unit>{{units}})"),
        ("ahead", rf"(?:dentro{_S}de|en){_S}(?P<n>{{numbers}}){_S}(?P<unit>días?|semanas?|mes|meses)"),
        (
            "named",
            rf"(?:(?:el|la){_S})?(?P<unit>{{units}}|{{months}}){_S}"
            rf"(?P<dir>pasad[oa]|próxim[oa]|que{_S}viene|que{_S}entra)",
        ),
        (
            "named",
            rf"(?:(?:el|la){_S})?(?P<dir>pasad[oa]|próxim[oa]|últim[oa]|este|esta){_S}(?P<unit>{{units}}|{{months}})",
        ),
        ("rolling", rf"(?P<dir>últim[oa]s|próxim[oa]s){_S}(?:(?P<n>{{numbers}}){_S})?(?P<unit>{{units}})"),
        (
            "month",
            rf"(?:en|desde|hasta|a{_S}(?:principios|mediados|finales|fines|inicios){_S}de|mes{_S}de){_S}"
            rf"(?P<name>{{months}})(?!\s{{0,2}}\d)",
        ),
        (
            "season",
            rf"(?:en{_S}|desde{_S})?(?:(?:el|la){_S})?(?P<unit>verano|invierno|primavera|otoño){_S}(?:del?{_S})?(?P<year>{{year}})",
        ),
        ("season", rf"en{_S}(?:(?:el|la){_S})?(?P<unit>verano|invierno|primavera|otoño)"),
    ),
)

_LANGUAGES: Final = (_ENGLISH, _GERMAN, _FRENCH, _SPANISH)

# Words of other meanings that are a month only with a capital letter, and one that is one only without:
# "3 Mars bars".  With a year beside them any spelling will do.
_WITH_CAPITAL: Final = frozenset("may march mar jan sept mon wed thu fri sat sun".split())
_WITHOUT_CAPITAL: Final = frozenset(("mars",))

_YEAR: Final = r"(?:19|20)\d\d"
_DAY: Final = r"3[01]|[12]\d|0?[1-9]"
_TO: Final = r"\s{0,2}(?:-|–|—|to|until|till|through|bis|au|à|al|a)\s{0,2}"
_AND: Final = r"\s{0,2}(?:-|–|—|to|until|till|through|bis|au|à|al|a|and|und|et|y)\s{0,2}"
_NTH: Final = r"(?:st|nd|rd|th|er|re|º|\.)?"
_ANY_MONTH: Final = _or(list(MONTHS))
_NO_NUMBER: Final = r"(?<![\w.,:/$€£#-])"  # not the end of "1.5", "3/4", "$12" or "v2-3"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


# Dates that need no language: kind and pattern.
_DATES: Final = tuple(
    (kind, _compile(pattern))
    for kind, pattern in (
        (
            "date",
            rf"{_NO_NUMBER}(?P<day>{_DAY}){_NTH}(?:{_AND}(?P<until>{_DAY}){_NTH})?[\s-]{{0,3}}(?:(?:of|de|di)\s{{1,2}})?"
            rf"(?P<name>{_ANY_MONTH})(?!\w)\.?(?:[\s,.-]{{0,3}}(?:(?:of|del?)\s{{1,2}})?(?P<year>{_YEAR})(?!\d))?",
        ),
        (
            "date",
            rf"(?P<name>{_or(list(_MONTHS_BY_LANGUAGE['en']))})\.?\s{{0,2}}(?P<day>{_DAY})(?:st|nd|rd|th)?(?!\w|[.:/]\d|\s?%)"
            rf"(?:{_AND}(?P<until>{_DAY})(?:st|nd|rd|th)?(?!\w|[.:/]\d|\s?[ap]\.?m\b))?"
            rf"(?:\s{{0,2}},?\s{{0,2}}(?P<year>{_YEAR})(?!\d))?",
        ),
        ("date", rf"(?P<name>{_ANY_MONTH})\.?(?:[\s,.-]{{0,3}}|\s(?:of|del?|di)\s)(?P<year>{_YEAR})"),
        (
            "months",
            rf"(?P<between>between\s|zwischen\s|entre\s)?(?P<name>{_ANY_MONTH})(?:{_TO}|\s(?P<and>and|und|et|y)\s)"
            rf"(?P<last>{_ANY_MONTH})(?!\s{{0,2}}\d\d?(?!\d))(?:[\s,.]{{1,2}}(?:del?\s)?(?P<year>{_YEAR}))?",
        ),
        (
            "date",
            rf"{_NO_NUMBER}(?P<year>{_YEAR})([-/])(?P<month>1[0-2]|0?[1-9])\2(?P<day>{_DAY})(?:T[\d:]{{4,8}}Z?)?(?![-/])",
        ),
        ("date", rf"{_NO_NUMBER}(?P<year>{_YEAR})-(?P<month>1[0-2]|0[1-9])(?![-/])"),
        ("date", rf"{_NO_NUMBER}(?P<day>{_DAY})\.\s?(?P<month>1[0-2]|0?[1-9])\.\s?(?P<year>{_YEAR})"),
        (
            "ordinal",  # not "on the 5th floor"
            rf"(?:on|since|until|till|by|from){_S}the{_S}(?P<day>{_DAY})(?:st|nd|rd|th)"
            rf"(?=\s*(?:[.,;:!?)]|\Z)|\s+(?:and|but|or|so|to|at|in|with|for|after|before|because|when|while|as|i|we|it|he|she|"
            rf"they|was|is)\b)",
        ),
        ("slashes", rf"{_NO_NUMBER}(?P<day>{_DAY})/(?P<month>{_DAY})/(?P<year>{_YEAR})(?!/)"),
        ("date", rf"{_NO_NUMBER}(?P<month>1[0-2]|0[1-9])[/.](?P<year>{_YEAR})(?![/.]\d)"),
        ("years", rf"{_NO_NUMBER}(?P<year>{_YEAR}){_TO}(?P<last>{_YEAR})(?![-/.,]\d)"),
        (
            "years",
            rf"(?:in|since|from|until|till|by|during|year|of|around|circa|before|after|early|mid|late|en|depuis|desde|"
            rf"hasta|de|del|año|année|seit|ab|bis|vor|nach|jahre?|anfang|mitte|ende|début|fin|nel|dal)[\s-]{{1,2}}(?:the\s)?"
            rf"(?P<year>{_YEAR})(?P<decade>s)?(?![-/.,:]\d|\s?[%$€£])",
        ),
    )
)


def _patterns(language: _Language) -> tuple[tuple[str, re.Pattern[str]], ...]:
    plural = "s?" if language.code == "en" else ""
    slots = {
        "days": f"(?:{_or(list(language.days))})",
        "units": f"(?:{_or(list(language.units))}){plural}",
        "weekdays": _or([word for word, unit in language.units.items() if unit[0] == "weekday"]),
        "months": f"(?:{_or(list(language.months))})",
        "numbers": rf"(?:{_or(list(language.numbers))}|\d{{1,3}})",
        "directions": f"(?:{_or(list(language.directions))})",
        "year": _YEAR,
    }
    found = []
    for kind, rule in language.rules:
        for slot, words in slots.items():
            rule = rule.replace(f"{{{slot}}}", words)
        found.append((kind, _compile(rule)))
    return tuple(found)


_RULES: Final = {language.code: (language, _patterns(language)) for language in _LANGUAGES}

# A cue is a word of time with what it calls for: "year", "month" and "nth" for the dates, a language's code
# for its units and days, its code and a plus for its rules with a month.
_SPELLED: Final = tuple(rule for rule in _DATES if "name" in rule[1].groupindex)
_NUMBERED: Final = tuple(rule for rule in _DATES if "year" in rule[1].groupindex and rule not in _SPELLED)
_ORDINAL: Final = tuple(rule for rule in _DATES if rule[0] == "ordinal")


def _calls() -> dict[str, tuple[tuple[_Language | None, str, re.Pattern[str]], ...]]:
    found: dict[str, tuple[tuple[_Language | None, str, re.Pattern[str]], ...]] = {
        "month": tuple((None, *rule) for rule in _SPELLED),
        "year": tuple((None, *rule) for rule in _NUMBERED),
        "nth": tuple((None, *rule) for rule in _ORDINAL),
    }
    for code, (language, rules) in _RULES.items():
        found[code] = tuple((language, *rule) for rule in rules if rule[0] != "month")
        found[code + "+"] = tuple((language, *rule) for rule in rules if rule[0] in ("month", "named"))
    return found


_CALLS: Final = _calls()


def _cue_words() -> dict[str, frozenset[str]]:
    """Return the words one of which stands in every phrase, as written, with the languages to try."""
    found: dict[str, set[str]] = {str(year): {"year", "month"} for year in range(_FIRST_YEAR, _LAST_YEAR + 1)}
    more = {"fr": "dernier dernière derniers dernières prochain prochaine il hier midi aujourd"}
    for language in _LANGUAGES:
        words = set(more.get(language.code, "").split())
        for phrase in (*language.units, *language.days):
            words.update(re.findall(r"[^\W\d_]{3,}", phrase))
        words -= {
            "last",
            "this",
            "the",
            "before",
            "after",
            "day",
            "ante",
            "antes",
            "ayer de",
            "esta",
            "cet",
            "avant",
        }
        words |= {"day"} if language.code == "en" else set()
        if language.code == "en":
            words |= {f"{word}s" for word in language.units}
        for word in words:
            for spelled in {word, word.capitalize(), word.upper()}:
                found.setdefault(spelled, set()).add(language.code)
    for code, months in _MONTHS_BY_LANGUAGE.items():
        for word in months:
            for spelled in {word, word.capitalize(), word.upper()} - (_WITH_CAPITAL & {word}):
                found.setdefault(spelled, set()).add("month")
                if code in _RULES:
                    found[spelled].add(code + "+")
    for word in _WITH_CAPITAL:
        found.pop(word, None)
    for word in ("st", "nd", "rd", "th"):
        found.setdefault(word, set()).add("nth")
    return {word: frozenset(codes) for word, codes in found.items()}


_CUES: Final = _cue_words()
_WORDS: Final = re.compile(r"[^\W\d_]+|\d+")

# What stands before a span and moves or narrows it.
_PARTS: Final = {
    word: n
    for n, words in enumerate(
        (
            "early beginning start anfang début principios inicios",
            "mid middle mitte mi mediados",
            "late end ende fin finales fines",
        )
    )
    for word in words.split()
}
_NTHS: Final = {
    word: n
    for n, words in (
        (1, "first 1st erste ersten première premier primera primer"),
        (2, "second 2nd zweite zweiten deuxième segunda segundo"),
        (3, "third 3rd dritte dritten troisième tercera tercer"),
        (4, "fourth 4th vierte vierten quatrième cuarta cuarto"),
        (-1, "last final letzte letzten dernière dernier última último"),
    )
    for word in words.split()
}
_SIDES: Final = {
    **dict.fromkeys(("before", "prior to", "vor", "avant", "antes de", "antes del"), -1),
    **dict.fromkeys(("of", "du", "del", "vom"), 0),
    **dict.fromkeys(("after", "following", "nach", "après", "después de", "después del"), 1),
}
_ALL_UNITS: Final = _or([word for language in _LANGUAGES for word in language.units])
_ALL_NUMBERS: Final = _or([word for language in _LANGUAGES for word in language.numbers])
_THE: Final = rf"(?:(?:the|dem|der|den|le|la|el){_S}|l['’])?"
_PART: Final = re.compile(
    rf"(?<!\w)(?P<part>{_or(list(_PARTS))})(?!\w)[\s-]{{0,3}}(?:(?:of|in|im|de|du|del){_S})?{_THE}\Z",
    re.IGNORECASE,
)
_NTH_OF: Final = re.compile(
    rf"(?<!\w)(?P<nth>{_or(list(_NTHS))}){_S}(?:few{_S}|two{_S})?(?P<unit>{_ALL_UNITS})s?{_S}(?:of|in|im|de|du|del){_S}{_THE}\Z",
    re.IGNORECASE,
)
_BESIDE: Final = re.compile(
    rf"(?<!\w)(?:(?P<n>{_ALL_NUMBERS}|\d{{1,2}}){_S})?(?P<unit>{_ALL_UNITS})s?{_S}(?P<side>{_or(list(_SIDES))}){_S}{_THE}\Z",
    re.IGNORECASE,
)
_SINCE: Final = re.compile(rf"(?<!\w)(?:since|seit|depuis|desde){_S}{_THE}\Z", re.IGNORECASE)
_MOVERS: Final = frozenset(
    word
    for phrase in (
        *_PARTS,
        *_SIDES,
        *"of in im de du del the dem der den le la el since seit depuis desde l".split(),
    )
    for word in phrase.split()
)
_LAST_WORD: Final = re.compile(r"(\w+)[\s'’-]{0,3}\Z")
_RANGE: Final = re.compile(rf"{_AND}(?:(?:the|dem|le|el){_S})?\Z", re.IGNORECASE)
_BETWEEN: Final = re.compile(
    rf"(?<!\w)(?:between|zwischen|entre){_S}(?:(?:the|dem|le|el){_S})?\Z", re.IGNORECASE
)


# Reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """A phrase and the days it may mean; a yearless one without an anchor means none until joined."""

    start: int
    end: int
    days: tuple[Days, ...]
    kind: str  # of the unit: day, week, month, year, ...
    year: int | None = None  # of a calendar date
    in_year: Callable[[int], Days | None] | None = None  # of a calendar date: how it reads in a year


def _spans(text: str, frame: _Frame) -> list[TimeSpan]:
    words = _WORDS.findall(text)
    if _CUES.keys().isdisjoint(words):
        return []
    found: list[_Found] = []
    for start, end, calls in _windows(text):
        found += _read(text, start, end, calls, frame)
        if len(found) > MAX_SPANS:
            break
    found = _join(text, _longest(found)[:MAX_SPANS])
    found = _longest([_move(text, phrase, frame) for phrase in found])
    return [TimeSpan(*_clamp(*days), f.start, f.end) for f in found for days in f.days]


def _windows(text: str) -> Iterator[tuple[int, int, set[str]]]:
    """Yield the stretches around words of time with what these call for; a phrase lies inside of one."""
    start = end = -1
    calls: set[str] = set()
    for match in _WORDS.finditer(text):
        here = _CUES.get(match.group())
        if here is None:
            continue
        low = _boundary(text, match.start() - _BEFORE)
        if low >= end:
            if calls:
                yield start, end, calls
            start, calls = low, set()
        end, calls = _boundary(text, match.end() + _AFTER), calls | here
    if calls:
        yield start, end, calls


def _boundary(text: str, at: int) -> int:
    """Return ``at``, moved out of a word: a pattern takes the end of its stretch for the end of a word."""
    at = min(max(at, 0), len(text))
    while 0 < at < len(text) and (text[at - 1].isalnum() and text[at].isalnum()) and at % 64:
        at += 1
    return at


def _read(text: str, start: int, end: int, calls: set[str], frame: _Frame) -> Iterator[_Found]:
    for call in sorted(calls):
        for language, kind, pattern in _CALLS[call]:
            for match in pattern.finditer(text, start, end):
                if found := _phrase(kind, match, language, frame) if language else _date(kind, match, frame):
                    yield found


def _absolute(
    frame: _Frame,
    start: int,
    end: int,
    year: int | None,
    kind: str,
    in_year: Callable[[int], Days | None],
) -> _Found | None:
    if year is None:
        return _Found(start, end, tuple(_yearless(frame, in_year)), kind, None, in_year)
    days = in_year(year)
    return _Found(start, end, (days,), kind, year, in_year) if days else None


def _is_month(name: str, year: int | None) -> bool:
    plain = name.lower()
    if year is not None:
        return True
    return not (
        (plain in _WITH_CAPITAL and name[0].islower()) or (plain in _WITHOUT_CAPITAL and name[0].isupper())
    )


def _date(kind: str, match: re.Match[str], frame: _Frame) -> _Found | None:
    """Return the calendar date of a match of ``_DATES``, None when the words only look like one."""
    said = match.groupdict()
    year = int(said["year"]) if said.get("year") else None
    start, end = match.span()
    if kind == "years":
        first = int(said["year"])
        last = int(said.get("last") or (first + 9 if said.get("decade") else first))
        if last < first or (said.get("decade") and first % 10):
            return None
        whole = (_month(first, 1)[0], _month(last, 12)[1])
        only = first if first == last else None
        in_year: Callable[[int], Days | None] = lambda at: _month(at, 1, 12)  # noqa: E731
        return _Found(match.start("year"), end, (whole,), "year", only, in_year if only else None)
    if kind == "ordinal":
        if frame.anchor is None:
            return None
        months = date.fromordinal(frame.anchor).year * 12 + date.fromordinal(frame.anchor).month - 1
        around = [
            days
            for at in range(max(months - 2, 12), months + 3)
            if (days := _on(at // 12, at % 12 + 1, int(said["day"])))
        ]
        return _Found(match.start("day"), end, (_nearest(around, frame.anchor),), "day")
    if kind == "months":
        if said["and"] and not said["between"]:
            return None
        if not (_is_month(said["name"], year) and _is_month(said["last"], year)):
            return None
        month, n = MONTHS[said["name"].lower()], MONTHS[said["last"].lower()]
        n = (n - month) % 12 + 1
        over = n - 1 + month > 12  # "November to February 2023" ends in that year
        return _absolute(
            frame, match.start("name"), end, year, "months", lambda at: _month(at - over, month, n)
        )
    if said.get("name"):
        if not _is_month(said["name"], year):
            return None
        month = MONTHS[said["name"].lower()]
    else:
        month = int(said["month"])
    day = int(said["day"]) if said.get("day") else None
    if kind == "slashes":
        assert day is not None
        if day <= 12 and month <= 12 and day != month:
            return None
        day, month = (month, day) if month > 12 else (day, month)
    if not 1 <= month <= 12:
        return None
    if day is None:
        return _absolute(frame, start, end, year, "month", lambda at: _month(at, month))
    until = int(said["until"]) if said.get("until") else None
    return _absolute(frame, start, end, year, "day", lambda at: _on(at, month, day, until))


def _phrase(kind: str, match: re.Match[str], language: _Language, frame: _Frame) -> _Found | None:
    """Return the days of a match of a language's rules, None when it has none without more to go by."""
    said = match.groupdict()
    start, end = match.span()
    if kind == "month":
        if not _is_month(said["name"], None):
            return None
        month = language.months[said["name"].lower()]
        return _absolute(frame, match.start("name"), end, None, "month", lambda at: _month(at, month))
    word = said.get("unit") or said.get("other") or ""
    unit = language.unit(word) if word else ("day", 0)
    if kind == "season":
        if unit is None:
            return None
        start = match.start("unit" if said.get("unit") else "other")
        year = int(said["year"]) if said.get("year") else None
        return _absolute(frame, start, end, year, "season", _recurring(unit))
    if unit is None or frame.anchor is None:
        return None
    if unit[0] == "named" and not _is_month(word, None):
        return None
    anchor, number = frame.anchor, language.number(said.get("n"))
    if number is None or number[1] > 200:  # keeps the arithmetic inside the calendar
        return None
    direction = _direction(said.get("dir"), language)
    if kind == "day":
        spoken = " ".join(said["day"].lower().split())
        if spoken == "hier" and detect_language(match.string) != "fr":
            return None  # "here" in German and Dutch
        if spoken == "morgen" and not said["day"].islower():
            return None  # "der Morgen"
        at = anchor + language.days[spoken.replace("’", "'")]
        days = (at, at)
    elif kind in ("ago", "ahead"):
        if unit[0] in ("season", "named"):
            return None
        days = _shifted(unit, anchor, *number, -1 if kind == "ago" else 1)
    elif kind == "named":
        if unit[0] == "day" and direction != 0:
            return None  # "the last day"
        if (
            said["dir"].lower().endswith("past")
            and language.code == "en"
            and unit[0] in ("week", "month", "year")
        ):
            days = _rolling(unit, anchor, 1, -1)
        else:
            days = _calendar(unit, anchor, direction)
    elif kind == "rolling":
        if said.get("n") is None and word.lower().endswith(("n", "s")):
            number = _FEW  # "les derniers jours", "den letzten Wochen"
        days = _rolling(unit, anchor, number[1], direction or 1)
    elif kind == "again":
        days = _calendar(unit, anchor, -2 if "last" in said["dir"].lower() else 2)
    elif kind == "lately":
        days = (anchor - 7, anchor - 1)
    elif kind == "nearby":
        if word.lower() in _WITH_CAPITAL and word[0].islower():
            return None
        around = [_calendar(unit, anchor - shift, 0) for shift in (7, 0, -7)]
        days = _nearest(around, anchor)
        start = match.start("unit")
    else:
        days = _calendar(unit, anchor, 0)
        start = match.start("unit")
    return _Found(start, end, (_clamp(*days),), "month" if unit[0] == "named" else unit[0])


def _direction(word: str | None, language: _Language) -> int:
    return 0 if word is None else language.directions.get(" ".join(word.lower().split()), 0)


def _longest(found: Sequence[_Found]) -> list[_Found]:
    """Return the phrases in text order; of overlapping ones the longest, then one that has days."""
    kept: list[_Found] = []
    for phrase in sorted(found, key=lambda f: (f.start, f.start - f.end, not f.days)):
        while kept and phrase.start < kept[-1].end:
            if kept[-1].end - kept[-1].start >= phrase.end - phrase.start:
                break
            kept.pop()
        else:
            kept.append(phrase)
    return kept


def _join(text: str, found: Sequence[_Found]) -> list[_Found]:
    """Return the phrases with ranges as one: "8 May to 3 June 2023"; one year serves both."""
    kept: list[_Found] = []
    for phrase in found:
        if kept and phrase.in_year and kept[-1].in_year and phrase.start - kept[-1].end <= 12:
            before = kept[-1]
            gap = text[before.end : phrase.start].lower()
            is_and = not {"and", "und", "et", "y"}.isdisjoint(gap.split())
            if (
                _RANGE.match(gap)
                and (not is_and or _BETWEEN.search(text, max(before.start - 20, 0), before.start))
                and (days := _hull(before, phrase))
            ):
                kept[-1] = _Found(before.start, phrase.end, days, "range")
                continue
        kept.append(phrase)
    return kept


def _hull(a: _Found, b: _Found) -> tuple[Days, ...]:
    assert a.in_year
    assert b.in_year
    found = []
    if a.year is not None and b.year is None:
        ends = [
            days for year in (a.year, a.year + 1) if (days := b.in_year(year)) and days[1] >= a.days[0][0]
        ]
        return ((a.days[0][0], ends[0][1]),) if ends else ()
    for last in b.days:
        if a.year is not None:
            begins = [days[0] for days in a.days]
        else:
            year = date.fromordinal(last[1]).year
            begins = [days[0] for at in (year, max(year - 1, 1)) if (days := a.in_year(at))]
        if begins := [first for first in begins if first <= last[1]]:
            found.append((begins[0], last[1]))
    return tuple(found)


def _move(text: str, phrase: _Found, frame: _Frame) -> _Found:
    """Return the phrase with what moves it in front: "early", "the week before", "since"."""
    for _ in range(2):  # "since the end of May", "the Friday before the first weekend of May"
        low, at = max(phrase.start - _MOVED, 0), phrase.start
        word = _LAST_WORD.search(text, max(at - 14, 0), at)
        if word is None or word[1].lower() not in _MOVERS:
            break
        if (match := _NTH_OF.search(text, low, at)) and phrase.kind in ("month", "year", "season"):
            nth, unit = _NTHS[match["nth"].lower()], _unit_of(match["unit"])
            days = tuple(_nth(days, nth, unit) for days in phrase.days)
            phrase = replace(phrase, start=match.start(), days=days, kind=unit[0], in_year=None)
        elif match := _BESIDE.search(text, low, at):
            moved = _beside_of(match, phrase)
            if moved is None:
                break
            phrase = moved
        elif (match := _PART.search(text, low, at)) and phrase.kind in ("week", "month", "year", "season"):
            part = _PARTS[match["part"].lower()]
            days = tuple(_third(days, phrase.kind, part) for days in phrase.days)
            phrase = replace(phrase, start=match.start(), days=days, in_year=None)
        elif (match := _SINCE.search(text, low, at)) and frame.anchor is not None:
            today = frame.anchor
            days = tuple((first, max(last, today)) for first, last in phrase.days)
            phrase = replace(phrase, start=match.start(), days=days, in_year=None)
            break
        else:
            break
    return phrase


def _unit_of(word: str) -> _Unit:
    return next(unit for language in _LANGUAGES if (unit := language.unit(word)))


def _beside_of(match: re.Match[str], phrase: _Found) -> _Found | None:
    unit = _unit_of(match["unit"])
    if unit[0] == "season":
        return None
    sides = _SIDES[" ".join(match["side"].lower().split())]
    if sides == 0:
        if match["n"] or unit[0] not in ("week", "weekend") or phrase.kind not in ("day", "weekday"):
            return None
        days = tuple(
            (first - _weekday(first), first - _weekday(first) + 6)
            if unit[0] == "week"
            else _nearest([_calendar(unit, first + shift, 0) for shift in (-7, 0, 7)], first)
            for first, _ in phrase.days
        )
    else:
        spoken = match["n"]
        number = (1, 1)
        if spoken:
            number = next((n for language in _LANGUAGES if (n := language.number(spoken))), (1, 1))
        days = tuple(_clamp(*_beside(unit, days, *number, sides)) for days in phrase.days)
    return replace(phrase, start=match.start(), days=days, kind=unit[0], in_year=None)


def _third(days: Days, kind: str, part: int) -> Days:
    first, last = days
    if kind == "month":
        edges = (first, first + 10, first + 20, last + 1)
    else:
        length = last - first + 1
        edges = (first, first + length // 3, first + 2 * length // 3, last + 1)
    return edges[part], edges[part + 1] - 1


def _nth(days: Days, nth: int, unit: _Unit) -> Days:
    """Return the nth unit inside ``days``, the last one for -1: "first weekend of August"."""
    first, last = days
    kind, number = unit
    if kind in ("weekend", "weekday"):
        length, number = (2, 5) if kind == "weekend" else (1, number)
        if nth < 0:
            begin = last - (_weekday(last) - number) % 7
        else:
            begin = first + (number - _weekday(first)) % 7 + 7 * (nth - 1)
        return begin, begin + length - 1
    if kind == "month":
        at = date.fromordinal(first if nth > 0 else last)
        return _month(at.year, at.month + (nth - 1 if nth > 0 else 0))
    length = 7 if kind in ("week", "day") else last - first + 1  # "the first few days": within its first week
    return (last - length + 1, last) if nth < 0 else (first + length * (nth - 1), first + length * nth - 1)
