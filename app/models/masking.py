"""Personal data out of what goes to a provider, and back into what comes from it.

Found by their form, and by their checksum where there is one: a number of the same length that is no card stays. A
name or an address has no form: those are not found. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

MASKED_MAX = 1_000  # different data of one question; the rest is masked without a number, and stays out of a reply

_PLACEHOLDER = re.compile(r"\[(?:CARD|IBAN|ID|EMAIL|PHONE)_\d{1,4}\]")
# Between two digits of a number that people write in groups.
_GAP = r"[ \u00a0\u202f.\-]?"


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def iban(text: str) -> bool:
    """ISO 13616: the rest modulo 97 is 1."""
    moved = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _weighted(digits: str, weights: Sequence[int | str]) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(digits, weights, strict=False))


def _cpf(digits: str) -> bool:  # Brazil
    first = _weighted(digits, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(digits, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def _bsn(digits: str) -> bool:  # the Netherlands
    return digits != "0" * 9 and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _pesel(digits: str) -> bool:  # Poland
    return 1 <= int(digits[2:4]) % 20 <= 12 and _weighted(digits, "13791379131") % 10 == 0


def _nir(digits: str) -> bool:  # France: the key is the rest
    return digits[0] in "12" and int(digits[13:]) == 97 - int(digits[:13]) % 97


def _dni(text: str) -> bool:  # Spain
    return text[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:8]) % 23]


def _tckn(digits: str) -> bool:  # Türkiye
    odd, even = sum(map(int, digits[0:9:2])), sum(map(int, digits[1:8:2]))
    tenth = (odd * 7 - even) % 10
    return digits[0] != "0" and int(digits[9]) == tenth and int(digits[10]) == sum(map(int, digits[:10])) % 10


def _rid(text: str) -> bool:  # China
    return "10X98765432"[_weighted(text, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11] == text[17]


def _rrn(digits: str) -> bool:  # Korea, before 2020
    born = 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31
    return born and (11 - _weighted(digits, "234567892345") % 11) % 10 == int(digits[12])


def _personnummer(digits: str) -> bool:  # Sweden
    return 1 <= int(digits[2:4]) <= 12 and luhn(digits)


# Of a digit, or of a letter counted from 0, in the first, third, ... place of an Italian tax code.
_ODD_PLACES = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _codice_fiscale(text: str) -> bool:  # Italy
    values = [int(character) if character.isdigit() else ord(character) - 65 for character in text[:15]]
    total = sum(value if number % 2 else _ODD_PLACES[value] for number, value in enumerate(values))
    return chr(65 + total % 26) == text[15]


@dataclass(frozen=True)
class _Kind:
    name: str
    form: re.Pattern[str]
    is_valid: Callable[[str], bool] = lambda text: True  # of the letters and digits, in capitals


def _grouped(count: int) -> str:
    return rf"\d(?:{_GAP}\d){{{count - 1}}}"


def _kind(name: str, form: str, is_valid: Callable[[str], bool] = lambda text: True) -> _Kind:
    return _Kind(name, re.compile(rf"(?<![\w+]){form}(?!\w)", re.IGNORECASE), is_valid)


# In this order: what an earlier kind has found is not looked at again.
_KINDS = (
    _Kind("EMAIL", re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+\w{2,24}\b")),
    _kind("IBAN", rf"[A-Z]{{2}}\d{{2}}(?:{_GAP}[A-Z0-9]){{11,30}}", iban),
    _kind("CARD", rf"[2-6]\d{{3}}(?:{_GAP}\d){{9,15}}", luhn),
    _kind("ID", r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale),
    _kind("ID", r"\d{17}[\dX]", _rid),
    _kind("ID", _grouped(15), _nir),
    _kind("ID", r"\d{6}-?\d{7}", _rrn),
    _kind("ID", r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", lambda text: _cpf(text) or _pesel(text) or _tckn(text)),
    _kind("ID", r"\d{6}[-+]\d{4}", _personnummer),
    _kind("ID", r"\d{9}", _bsn),
    _kind("ID", r"\d{8}-?[A-Z]", _dni),
    _Kind("PHONE", re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ \u00a0().\-/]{0,2}\d){7,14}(?!\w)")),
    _Kind("PHONE", re.compile(r"(?<![\w+])\(?\d{3}\)?[ .\-]\d{3}[ .\-]\d{4}(?!\w)")),
    _Kind("PHONE", re.compile(r"(?<![\w+])\(?0\d{1,4}\)?[ .\-/]\d{2,4}(?:[ .\-/]?\d{2,4}){1,3}(?!\w)")),
)


@dataclass
class Mask:
    """For the texts of one question: the same datum has the same placeholder in all of them."""

    _placeholders: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def found(self) -> Mapping[str, str]:
        """Each datum as it was first written, and what stands for it."""
        return self._placeholders

    def mask(self, text: str) -> str:
        """``text`` with each datum replaced by ``[EMAIL_1]`` and the like."""
        parts, end = [], 0
        for start, stop, kind in _spans(text):
            parts += [text[end:start], self._placeholder(kind, text[start:stop])]
            end = stop
        return "".join([*parts, text[end:]])

    def unmask(self, text: str) -> str:
        """The data back in their places; a placeholder that was never given out stays."""
        data = {placeholder: datum for datum, placeholder in self._placeholders.items()}
        return _PLACEHOLDER.sub(lambda match: data.get(match[0], match[0]), text)

    def _placeholder(self, kind: str, datum: str) -> str:
        known = self._placeholders.get(datum)
        if known is not None:
            return known
        if len(self._placeholders) >= MASKED_MAX:
            return f"[{kind}]"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        placeholder = self._placeholders[datum] = f"[{kind}_{self._counts[kind]}]"
        return placeholder


def _spans(text: str) -> list[tuple[int, int, str]]:
    """Start, end and kind of each datum, in order, none within another."""
    plain = _with_plain_digits(text)
    taken: list[tuple[int, int, str]] = []
    for kind in _KINDS:
        for match in kind.form.finditer(plain):
            start, stop = match.span()
            is_free = all(stop <= other_start or start >= other_stop for other_start, other_stop, _ in taken)
            if is_free and kind.is_valid(re.sub(r"[\W_]", "", match[0]).upper()):
                taken.append((start, stop, kind.name))
    return sorted(taken)


def _with_plain_digits(text: str) -> str:
    """Of the same length: digits of other scripts as ASCII."""
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.digit(character)) if not character.isascii() and character.isdecimal() else character
        for character in text
    )
