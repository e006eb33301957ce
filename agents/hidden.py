"""Text that HTML hides from a reader, while a model reads it: no size, no display, the colour of its background.

By styles in the elements themselves; style sheets are not followed. Mails for many hide a first line on purpose, and
pages fold answers away: whether hidden text matters is the caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from html.parser import HTMLParser

import nh3

from agents.message import DROPPED, HTML_CHARS_MAX, REMEMBERED_MAX, TAG, too_deep

Color = tuple[int, int, int] | None  # None: one that is not read, which is like no other

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_NAMED: dict[str, Color] = {
    "white": _WHITE, "black": _BLACK, "snow": _WHITE, "ivory": _WHITE, "ghostwhite": _WHITE, "floralwhite": _WHITE,
    "azure": _WHITE, "mintcream": _WHITE, "whitesmoke": (245, 245, 245),
}  # fmt: skip
_ALIKE = 16  # of 255, in each of red, green and blue
_HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})\b")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})")
_CLEAR = re.compile(r"\btransparent\b|rgba\([^)]*,\s*0?\.?0+\s*\)")
_SIZE = re.compile(r"(\d{0,9}\.?\d{0,9})(px|pt|em|rem|%)?")
_READABLE_FROM = {"px": 2.0, "pt": 2.0, "em": 0.15, "rem": 0.15, "%": 15.0}
_OPACITY_MIN = 0.05
_LOOKED_AT = frozenset({"style", "hidden", "bgcolor", "color"})
_VOID = frozenset({"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


@dataclass(frozen=True)
class Look:
    """How text looks within an element."""

    color: Color = _BLACK
    background: Color = _WHITE
    is_readable: bool = True  # by its size, which an element within may set again
    is_clear: bool = False
    is_folded: bool = False  # display: none, visibility: hidden

    @property
    def is_invisible(self) -> bool:
        return self.is_clear or not self.is_readable or _alike(self.color, self.background)

    def within(self, given: Mapping[str, str | None]) -> Look:
        """Of an element with these attributes in an element of this look."""
        if not given.keys() & _LOOKED_AT:
            return self
        look = replace(
            self,
            background=_background(given.get("bgcolor") or "", self.background),
            color=_color(given["color"] or "") if given.get("color") else self.color,
            is_folded=self.is_folded or "hidden" in given,
        )
        for declaration in (given.get("style") or "").lower().split(";"):
            name, _, value = declaration.replace("!important", "").partition(":")
            look = look._declared(name.strip(), value.strip())
        return look

    def _declared(self, name: str, value: str) -> Look:
        if name == "color":
            return replace(self, color=self.background if _CLEAR.search(value) else _color(value))
        if name in {"background", "background-color"}:
            return replace(self, background=_background(value, self.background))
        if name == "font-size":
            return replace(self, is_readable=_is_readable(value, self.is_readable))
        if name == "opacity":
            return replace(self, is_clear=self.is_clear or _number(value, 1.0) < _OPACITY_MIN)
        if (name, value) in {("display", "none"), ("visibility", "hidden")}:
            return replace(self, is_folded=True)
        return self


@lru_cache(REMEMBERED_MAX)
def hides_text(html: str) -> bool:
    """Also where it nests too deeply to be looked into. Of its first HTML_CHARS_MAX, which is what is read."""
    html = html[:HTML_CHARS_MAX]
    if too_deep(html):
        return True
    tags = {match[2].lower() for match in TAG.finditer(html)} - DROPPED
    attributes = {"*": {*_LOOKED_AT}}
    finder = _Finder()
    finder.feed(nh3.clean(html, tags=tags, attributes=attributes, clean_content_tags=DROPPED, link_rel=None))
    finder.close()
    return finder.found


class _Finder(HTMLParser):
    """Of well-formed HTML, as nh3 gives it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = False
        self._looks = [Look()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self._looks.append(self._looks[-1].within(dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and len(self._looks) > 1:
            self._looks.pop()

    def handle_data(self, data: str) -> None:
        look = self._looks[-1]
        if (look.is_invisible or look.is_folded) and any(char.isalnum() for char in data):
            self.found = True


def _alike(one: Color, other: Color) -> bool:
    return one is not None and other is not None and all(abs(a - b) <= _ALIKE for a, b in zip(one, other, strict=True))


def _background(value: str, above: Color) -> Color:
    """``above`` shines through where there is none; a picture's colours are not known."""
    if not value or _CLEAR.search(value) or value in {"none", "inherit", "initial"}:
        return above
    return None if "(" in value and "rgb" not in value else _color(value)


def _color(value: str) -> Color:
    value = value.strip().lower()
    if found := _HEX.search(value):
        digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if found := _RGB.search(value):
        return int(found[1]), int(found[2]), int(found[3])
    return next((_NAMED[word] for word in value.split() if word in _NAMED), None)


def _is_readable(value: str, above: bool) -> bool:
    if value == "inherit" or not (size := _SIZE.fullmatch(value)):
        return above if value == "inherit" else True
    return _number(size[1], 1.0) >= _READABLE_FROM.get(size[2], 1.0) and (above or size[2] not in {"em", "%"})


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return otherwise
