"""Numbers, prices, percentages, dates and times in a text of any of our languages, as values that can be compared.

A figure has one or more readings: "1.234" is 1234 to a German and 1.234 to an American. Two figures agree where they
share a reading. Number words ("two weeks") and calendars other than the Gregorian are not read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from agents.months import MONTHS

# Short names of months that are everyday words of another language: "des 8" is no date in French.
_ALSO_WORDS = frozenset(
    ("ago", "bal", "des", "dub", "led", "lis", "mac", "mar", "marca", "nis", "out", "sau", "set", "tra", "vas")
)

Reading = tuple[str | int | Decimal | None, ...]

_CENTURY = 2000


@dataclass(frozen=True)
class Figure:
    text: str
    start: int
    readings: frozenset[Reading]
    parts: frozenset[Reading] = frozenset()  # what it also says: the number of a price, the days and years of a date

    @property
    def is_price(self) -> bool:
        return any(reading[0] == "amount" and reading[1] != "%" for reading in self.readings)


def plain(text: str) -> str:
    """One form for what can be written in several: decimal digits, full-width signs, spaces; no invisible characters.

    Decimal and thousands marks of Arabic become "." and ",".
    """
    return text if text.isascii() else text.translate(_PLAIN)


_MARKS = {"٫": ".", "٬": ",", "،": ",", "٪": "%", "’": "'", "−": "-", "\u2011": "-", "。": ".\n"}


class Table(dict[int, str]):
    """For ``str.translate``: what a character becomes is found when it is first met. At most all of Unicode."""

    def __init__(self, form: Callable[[str], str]) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, code: int) -> str:
        self[code] = self._form(chr(code))
        return self[code]


def _plain_char(char: str) -> str:
    if char.isascii():
        return char
    if (mark := _MARKS.get(char)) is not None:
        return mark
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    return unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uff5e" or category == "Sc" else char


_PLAIN = Table(_plain_char)


# --- units

# What stands by a number and makes it a price or a percentage; a sign of several currencies means any of them.
_UNITS: dict[str, str] = {
    "EUR": r"€|eur(?:o\w{0,4})?|евро|євро|ευρώ|يورو|یورو|אירו|유로|ユーロ|欧元|歐元|यूरो|ইউরো|ยูโร"
    r"|evro\w?|evr[aiouy]?",
    "USD": r"us-?dollars?|us\$|usd",
    "USD CAD AUD NZD SGD HKD MXN": r"\$|d[oó]l+[aá]r\w{0,4}|доллар\w{0,3}|долар\w{0,3}|δολάρι\w{0,2}|دولار|דולר|달러"
    r"|ドル|डॉलर|ডলার|ดอลลาร์|đô la|美元",
    "GBP": r"£|gbp|pounds? sterling|英镑|英鎊|ポンド|파운드",
    "JPY": r"jpy|yen|円|엔|日元|日圓",
    "JPY CNY": r"¥",
    "CNY": r"cny|rmb|yuan|人民币|위안",
    "CNY TWD": r"元",
    "TWD": r"twd|nt\$|新台幣|新臺幣",
    "SEK": r"sek",
    "NOK": r"nok",
    "DKK": r"dkk",
    "ISK": r"isk",
    "SEK NOK DKK ISK": r"kr|kronor|kroner|króna|krónur",
    "CHF": r"chf|sfr|fr",
    "PLN": r"zł|pln|złot\w{1,4}",
    "CZK": r"kč|czk",
    "HUF": r"ft|huf|forint\w{0,3}",
    "RON": r"lei|leu|ron",
    "BGN": r"лв|bgn|лев(?:а|ове)?",
    "RUB": r"₽|руб(?:\w{1,4})?|rub",
    "UAH": r"₴|грн|гривень|гривн\w|uah",
    "TRY": r"₺|tl|try|lira",
    "INR": r"₹|inr|रुपय\w*|रु|rupees?",
    "INR PKR": r"rs",
    "KRW": r"₩|원|krw",
    "VND": r"₫|đ|vnd|đồng",
    "THB": r"฿|บาท|thb",
    "IDR": r"rp|idr|rupiah",
    "BRL": r"r\$|brl|reais|real",
    "ILS": r"₪|שקל|שקלים|ils|nis",
    "CAD": r"cad|ca\$|c\$",
    "AUD": r"aud|au\$|a\$",
    "%": r"%|per ?cento?|percent\w{0,2}|prozent|pro[cs]ent\w{0,3}|pour cent|por ciento|por cento|процент\w{0,3}"
    r"|відсот\w{0,4}|τοις εκατό|százalék\w{0,3}|la sută|persen|phần trăm|퍼센트|パーセント|प्रतिशत|শতাংশ|เปอร์เซ็นต์"
    r"|אחוז|אחוזים|بالمئة|بالمائة|في المئة|في المائة|درصد",
}
_BEFORE_ONLY: dict[str, str] = {"%": r"yüzde|百分之|ร้อยละ"}


def _pattern(units: list[str]) -> str:
    return "|".join(f"(?:{unit})" for unit in units)


# A word of letters ends where its letters end, unless its script writes words together.
_WORD_END = r"(?![a-zà-žα-ωа-яёіїєґ])"
_AFTER = re.compile(rf"[ -]?(?:({_pattern(list(_UNITS.values()))}){_WORD_END})", re.IGNORECASE)
_BEFORE = re.compile(
    rf"(?:^|(?<![^\W\d_]))({_pattern([*_UNITS.values(), *_BEFORE_ONLY.values()])})\.? ?$", re.IGNORECASE
)
# "5 to 10 €" prices both ends.
_RANGE = re.compile(rf" ?[-–—] ?\d[\d.,]{{0,20}}{_AFTER.pattern}", re.IGNORECASE)
_CODES = [(re.compile(unit, re.IGNORECASE), codes.split()) for codes, unit in [*_UNITS.items(), *_BEFORE_ONLY.items()]]
_UNIT_CHARS_MAX = 20


def _codes(unit: str) -> frozenset[str]:
    return frozenset(code for pattern, codes in _CODES if pattern.fullmatch(unit) for code in codes)


# --- numbers

_LETTER = r"[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff]"
# "F5", "MP3", "iOS17": names, not amounts.
_CODE = re.compile(rf"(?<![^\W_]){_LETTER}+\d(?:{_LETTER}|\d)*", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<!\d)(?:"
    r"(?P<time>\d{1,2}[:h][0-5]\d(?!\d))"
    r"|(?P<spaced>\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?!\d))"
    r"|(?P<marked>\d+(?:[.,']\d+)*)"
    r"|(?P<sign>[¼½¾⅓⅔⅛⅜⅝⅞])"
    r")"
)
_NOON = re.compile(r"(?: ?)(?P<half>[ap])\.? ?m\b", re.IGNORECASE)


# Decimal rounds beyond 28 digits, and two long numbers would be one.
_DIGITS_MAX = 28


def readings_of(number: str) -> frozenset[Reading]:
    """What a written number can mean."""
    if not re.search(r"[.,' ]", number):
        # "007" is a name as much as a number.
        return frozenset({("text", number) if number.startswith("0") and len(number) > 1 else _value(number)})
    found: set[Reading] = {("text", number)}
    if (whole := _grouped(number)) is not None:
        found.add(_value(whole))
    head, mark, tail = _cut_at_last_mark(number)
    if mark in ".," and mark not in head and (plain_head := _grouped(head) or _digits(head)) is not None:
        found.add(_value(f"{plain_head}.{tail}"))
        if mark == "." and len(head) <= 2 and re.fullmatch(r"[0-5]\d", tail) and int(head) < 24:
            found.add(("time", int(head), int(tail)))
    return frozenset(found)


def _value(number: str) -> Reading:
    if len(number) > _DIGITS_MAX:
        return ("text", number)
    return ("number", Decimal(number).normalize())


def _digits(text: str) -> str | None:
    return text if text.isdecimal() else None


def _cut_at_last_mark(number: str) -> tuple[str, str, str]:
    at = max(number.rfind(mark) for mark in ".,' ")
    return number[:at], number[at], number[at + 1 :]


def _grouped(number: str) -> str | None:
    """The digits of a whole number with thousands marks: 1.234.567, 1'234, 1 234, and Indian 12,34,567."""
    if re.fullmatch(r"[1-9]\d{0,2}(?:(?P<mark>[.,' ])\d{3})(?:(?P=mark)\d{3})*", number) or re.fullmatch(
        r"[1-9]\d?(?:,\d{2})+,\d{3}", number
    ):
        return re.sub(r"\D", "", number)
    return None


# --- dates

_JOIN = r"(?:de |del |of |d')?"
_ORDINAL = r"(?:\.|st|nd|rd|th|er|º|ª|-?го|-?е)?"
_NAME = r"(?P<m>[^\s\d.,;:!?…()（）\[\]<>*\"'“”„«»「」、！？/-]{2,16})"
_YEAR = r"(?P<y>\d{4})(?!\d)"
_DATES = tuple(
    re.compile(rf"(?<![\d.,/-]){pattern}", re.IGNORECASE)
    for pattern in (
        r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})(?!\d)",
        r"(?P<a>\d{1,2})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4}|\d{2})(?!\d|[.,]\d)",
        r"(?P<a>\d{1,2})\. (?P<b>\d{1,2})\. (?P<y>\d{4})(?!\d)",
        r"(?P<a>\d{1,2})(?P<sep>\.)(?P<b>\d{1,2})\.(?!\d)",
        r"(?:(?P<y>\d{4}) ?[年년] ?)?(?P<m>\d{1,2}) ?[月월] ?(?P<d>\d{1,2}) ?[日일号號]",
        r"(?P<y>\d{4}) ?[年년] ?(?P<m>\d{1,2}) ?[月월]",
        r"(?P<d>\d{1,2}) tháng (?P<m>\d{1,2})(?:[, ]+(?:năm )?(?P<y>\d{4}))?(?!\d)",
        rf"(?P<y>\d{{4}})\.? (?:m\. )?{_NAME} (?P<d>\d{{1,2}})(?!\d)",
        rf"(?P<d>\d{{1,2}}){_ORDINAL} ?{_JOIN}{_NAME}\.?,?(?: {_JOIN}{_YEAR})?",
    )
) + tuple(
    re.compile(rf"(?<![^\W\d_]){pattern}", re.IGNORECASE)
    for pattern in (
        rf"{_NAME}\.? (?P<d>\d{{1,2}})(?!\d|[.,:]\d){_ORDINAL}(?:,? {_YEAR})?",
        rf"{_NAME}\.? {_JOIN}{_YEAR}",
    )
)


def _months(text: str) -> frozenset[int]:
    if text.isdecimal():
        return frozenset({int(text)} if 1 <= int(text) <= 12 else ())
    name = text.casefold()
    # Hebrew puts its "in" before the month without a space.
    return MONTHS.get(name) or MONTHS.get(name.removeprefix("ב")) or frozenset()


def _days(groups: dict[str, str | None]) -> set[tuple[int | None, int, int | None]]:
    """Every day that a matched date can be."""
    year, day = (int(digits) if (digits := groups.get(name)) else None for name in "yd")
    if year is not None and year < 100:
        year += _CENTURY
    if (first := groups.get("a")) is None:
        return {(year, month, day) for month in _months(groups["m"] or "") if _exists(year, month, day)}
    a, b = int(first), int(groups["b"] or 0)
    orders = {(b, a)} if groups.get("sep") in {".", None} else {(b, a), (a, b)}
    return {(year, month, day) for month, day in orders if _exists(year, month, day)}


def _exists(year: int | None, month: int, day: int | None) -> bool:
    try:
        date(year or _CENTURY, month, 1 if day is None else day)  # 2000 was a leap year
    except ValueError:
        return False
    return True


def _date(match: re.Match[str]) -> Figure | None:
    groups = match.groupdict()
    days = _days(groups)
    if not days:
        return None
    readings: set[Reading] = {("written", *re.findall(r"\w+", match[0].casefold()))}
    parts: set[Reading] = {_value(digits.lstrip("0") or "0") for digits in re.findall(r"\d+", match[0])}
    if len(days) == 1:  # else the day is in doubt, and only the same writing agrees
        ((year, month, day),) = days
        readings.add(("day", year, month, day))
        parts |= {("day", None, month, day), ("day", year, month, None)}
    if not groups.get("y") and (number := re.fullmatch(r"(\d+\.\d+)\.", match[0])):
        readings |= readings_of(number[1])  # "1.2." may be a version at the end of a sentence
    if not groups.get("y") and (groups.get("m") or "").casefold() in _ALSO_WORDS:
        readings |= readings_of(groups["d"] or "")
    return Figure(match[0].strip(" .,"), match.start(), frozenset(readings), frozenset(parts))


# --- all of them


def figures(text: str) -> Iterator[Figure]:
    """Every figure of a text that went through ``plain``, dates first."""
    for pattern in _DATES:
        spans = []
        for match in pattern.finditer(text):
            if (found := _date(match)) is not None:
                yield found
                spans.append(match.span())
        text = _blanked(text, spans)
    codes = [match for match in _CODE.finditer(text) if not _codes(re.split(r"\d", match[0])[0])]
    yield from (Figure(m[0], m.start(), frozenset({("text", m[0].casefold())})) for m in codes)
    yield from _amounts(_blanked(text, [match.span() for match in codes]))


def _amounts(text: str) -> Iterator[Figure]:
    used = 0  # a sign behind one number does not stand before the next
    for match in _NUMBER.finditer(text):
        readings = _number_readings(match)
        start, end = match.span()
        half = _NOON.match(text, end)
        if half:
            readings = _clock(match, half["half"]) or readings
            end = half.end()
        before = _BEFORE.search(text[max(used, start - _UNIT_CHARS_MAX) : start])
        after = _AFTER.match(text, end)
        units = (_codes(before[1]) if before else frozenset()) | (_codes(after[1]) if after else frozenset())
        start -= len(before[0]) if before else 0
        used = after.end() if after else end
        priced = _priced(units, readings)
        if not units and (other := _RANGE.match(text, end)):
            parts = _priced(_codes(other[1]), readings)
        else:
            parts = _parts(match) | readings
        yield Figure(text[start:used].strip(), start, priced or readings, parts)


def _priced(units: frozenset[str], readings: frozenset[Reading]) -> frozenset[Reading]:
    return frozenset(("amount", unit, *reading) for unit in units for reading in readings)


def _number_readings(match: re.Match[str]) -> frozenset[Reading]:
    if match["time"]:
        hour, minute = re.split(r"[:h]", match[0])
        return frozenset({("time", int(hour), int(minute))})
    if match["sign"]:
        return frozenset({("text", match[0])})
    return readings_of(match[0])


def _parts(match: re.Match[str]) -> frozenset[Reading]:
    """ "5 100" may be two numbers."""
    return frozenset(r for piece in match[0].split(" ") for r in readings_of(piece)) if match["spaced"] else frozenset()


def _clock(match: re.Match[str], half: str) -> frozenset[Reading] | None:
    hour, _, minute = str(match[0]).replace(".", ":").partition(":")
    if not hour.isdecimal() or not 1 <= int(hour) <= 12 or not (minute or "0").isdecimal():
        return None
    return frozenset({("time", int(hour) % 12 + (12 if half in "pP" else 0), int(minute or 0))})


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + "\n" * (end - start) + text[end:]
    return text
