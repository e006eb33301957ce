"""HTML as Markdown-like text: headings stay headings, so that articles are cut along them.

What is kept: the text of ``main`` (or the only ``article``, else of ``body``), lists, tables as lines with bars, code
in fences, images' alternative texts, links' texts; of links only mail addresses and telephone numbers, since an
article's other links mean nothing to an embedding model. Content that is hidden at first is kept: help centres fold
answers away. Text that no reader can ever see, without size or in the colour of its background, is dropped, as are
navigation, scripts, styles, buttons and footers.

A page with ``<meta name="robots" content="noindex">`` is skipped, from a folder too: its author says that it should
not be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from agents.hidden import Look
from app.knowledge.article import TITLE_CHARS_MAX, Found, Skipped, Unreadable, document
from app.knowledge.formats.encoding import decoded

# Parsing takes time that grows with the square of the depth: 4 ms at this one.
DEPTH_MAX = 2_000

_DROPPED = frozenset({
    "script", "style", "noscript", "template", "nav", "footer", "button", "select", "input", "textarea", "svg",
    "iframe", "object", "audio", "video", "canvas", "head", "dialog", "datalist",
})  # fmt: skip
_DROPPED_ROLES = frozenset({"navigation", "search", "banner", "contentinfo", "menu", "menubar", "dialog"})
# Only outside the article's own element: within it they are its introduction and its boxes.
_DROPPED_AROUND = frozenset({"header", "aside"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "form", "header", "hr", "li", "main", "ol", "p", "pre", "section", "summary", "table",
    "tbody", "tfoot", "thead", "tr", "ul", "h1", "h2", "h3", "h4", "h5", "h6",
})  # fmt: skip
_NO_CELLS = "h1, h2, h3, h4, h5, h6, ul, ol, table, pre"
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_CHARSET_BYTES = 4_096
_NAMES_A_BLOCK = re.compile(r"</(?:p|div|li|h[1-6]|table|strong|b|a)\s*>|<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)")
# Never nested by who leaves their ends out, or empty.
_FLAT = frozenset({
    "p", "li", "dt", "dd", "td", "th", "tr", "option", "thead", "tbody", "tfoot", "colgroup", "br", "img", "input",
    "hr", "meta", "link", "source", "col", "wbr", "area", "base", "embed", "track", "param", "html", "head", "body",
})  # fmt: skip


@dataclass(frozen=True)
class Page:
    title: str | None
    text: str
    locale: str | None
    canonical: str | None
    indexed: bool


def read(file: Path, document_id: str) -> Iterator[Found]:
    yield found(str(file), file.read_bytes(), {"document_id": document_id, "title": file.stem})


def found(
    place: str, data: bytes, fields: dict[str, str], *, charset: str | None = None, url: str | None = None
) -> Found:
    """The article of a page. ``fields`` hold where the page says nothing; ``url`` goes before the page's own."""
    page = parsed(decoded(data, charset or _declared(data)))
    if not page.indexed:
        return Skipped(place, "asks not to be indexed (meta robots noindex)")
    if not page.text:
        return Unreadable(place, "holds no text: is it made by a script in the browser?")
    own = {"title": page.title, "locale": page.locale, "url": url or page.canonical}
    return document(place, {**fields, **{name: value for name, value in own.items() if value}, "text": page.text})


def parsed(text: str) -> Page:
    """Raises ValueError where it is nested too deeply."""
    _check_depth(text)
    tree = LexborHTMLParser(text)
    root = _article(tree)
    heading = _only(root.css("h1")) if root else None
    # A <title> has the site's name at its end.
    title = _flat(_Writer(heading, without=None, within=True).written()).removeprefix("# ") if heading else ""
    if not title:
        heading = None
        title = _flat(_text_of(tree, "title"))
    html = tree.css_first("html")
    return Page(
        title=title[:TITLE_CHARS_MAX] or None,
        text=_Writer(root, without=heading).written() if root else "",
        locale=((html.attributes.get("lang") if html else None) or "").strip()[:35] or None,
        canonical=_canonical(tree),
        indexed=not any("noindex" in (each.attributes.get("content") or "").lower() for each in _robots(tree)),
    )


def as_text(fragment: str) -> str:
    """A piece of HTML, as help centres export their articles' bodies. Raises as ``parsed``."""
    _check_depth(fragment)
    body = LexborHTMLParser(fragment).body
    return _Writer(body, without=None, within=True).written() if body else ""


def is_html(text: str) -> bool:
    return bool(_NAMES_A_BLOCK.search(text))


def _declared(data: bytes) -> str | None:
    match = _CHARSET.search(data[:_CHARSET_BYTES])
    return match[1].decode("ascii") if match else None


def _check_depth(text: str) -> None:
    """One pass over the tags, whatever they are."""
    depth = end = 0
    while (match := _TAG.search(text, end)) and (end := text.find(">", match.end())) >= 0:
        if match[2].lower() not in _FLAT and text[end - 1] != "/":
            depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > DEPTH_MAX:
            raise ValueError(f"nests more than {DEPTH_MAX:,} elements in each other, which are not read")


def _article(tree: LexborHTMLParser) -> LexborNode | None:
    for selector in ("main", "[role=main]", "article"):
        if node := _only(tree.css(selector)):
            return node
    return tree.body


def _only(nodes: list[LexborNode]) -> LexborNode | None:
    return nodes[0] if len(nodes) == 1 else None


def _text_of(tree: LexborHTMLParser, selector: str) -> str:
    node = tree.css_first(selector)
    return node.text() if node else ""


def _robots(tree: LexborHTMLParser) -> list[LexborNode]:
    return [each for each in tree.css("meta[name]") if (each.attributes.get("name") or "").lower() == "robots"]


def _canonical(tree: LexborHTMLParser) -> str | None:
    link = tree.css_first("link[rel=canonical]")
    address = (link.attributes.get("href") if link else None) or ""
    return address if address.startswith(("http://", "https://")) else None


def _flat(text: str) -> str:
    return " ".join(text.split())


Mark = Literal["enter", "leave"]


@dataclass
class _Writer:
    """Goes through the tree once, without recursion, and gathers lines."""

    root: LexborNode
    without: LexborNode | None
    within: bool = False  # the whole is the article's: nothing stands around it
    _blocks: list[str] = field(default_factory=list)
    _inline: list[str] = field(default_factory=list)
    _lists: list[int | None] = field(default_factory=list)  # the number of the last item; None: bullets
    _item: str = ""  # what goes before the next line
    _kind: str = ""  # of the last block: lines of one list, and rows of one table, stand close
    _pre: int = 0
    _row: bool = False  # within a table's row that becomes one line
    _cells: int = 0
    # A style sheet may set another background: only one that is named within counts.
    _looks: list[Look] = field(default_factory=lambda: [Look(background=None)])

    def written(self) -> str:
        self.within = self.within or self.root.tag != "body"
        for mark, node in self._walk():
            if mark == "enter":
                self._enter(node)
            else:
                self._leave(node)
        self._end_block()
        return "\n\n".join(self._blocks).strip()

    def _walk(self) -> Iterator[tuple[Mark, LexborNode]]:
        stack: list[tuple[Mark, LexborNode]] = [("enter", self.root)]
        while stack:
            mark, node = stack.pop()
            if mark == "enter" and node is not self.root and self._is_dropped(node):
                continue
            yield mark, node
            if mark == "enter":
                stack.append(("leave", node))
                child = node.last_child
                while child is not None:
                    stack.append(("enter", child))
                    child = child.prev

    def _is_dropped(self, node: LexborNode) -> bool:
        if node.is_text_node:
            return False
        tag = node.tag
        if tag is None or tag.startswith("-") or tag in _DROPPED or (tag in _DROPPED_AROUND and not self.within):
            return True
        if self.without is not None and tag == "h1" and node.mem_id == self.without.mem_id:
            return True
        return (node.attributes.get("role") or "").lower() in _DROPPED_ROLES

    def _enter(self, node: LexborNode) -> None:
        tag, look = node.tag, self._looks[-1]
        self._looks.append(look if node.is_text_node else look.within(node.attributes))
        if node.is_text_node:
            text = "" if look.is_invisible else node.text_content or ""
            self._inline.append(text if self._pre else re.sub(r"\s+", " ", text))
            return
        if tag in _BLOCKS:
            self._between_blocks()
        if tag == "br":
            self._inline.append(" " if self._row else "\n")
        elif tag == "img" and (alt := _flat(node.attributes.get("alt") or "")):
            self._inline.append(f" {alt} ")
        elif tag == "pre":
            self._pre += 1
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._item = self._next_item()
        elif tag == "tr":
            # Tables that lay a page out hold headings and lists: their cells are no cells.
            self._row, self._cells = node.css_first(_NO_CELLS) is None, 0
        elif tag in {"td", "th"}:
            self._cells += 1
            if self._row:
                self._inline.append(" | " if self._cells > 1 else "")
            else:
                self._end_block()

    def _leave(self, node: LexborNode) -> None:
        self._looks.pop()
        tag = node.tag or ""
        if tag in _HEADINGS:
            self._end_heading(_HEADINGS[tag])
        elif tag == "pre":
            self._end_block()
            self._pre -= 1
        elif tag == "tr":
            self._end_block()
            self._row = False
        elif tag in _BLOCKS:
            self._between_blocks()
        if tag == "li":
            self._item = ""
        elif tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
        elif tag == "a":
            self._end_link(node.attributes.get("href") or "")

    def _next_item(self) -> str:
        indent = "  " * (len(self._lists) - 1)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _end_link(self, address: str) -> None:
        scheme, _, rest = address.partition(":")
        name = rest.partition("?")[0].strip()
        if scheme.lower() in {"mailto", "tel"} and name and name not in "".join(self._inline):
            self._inline.append(f" ({name})")

    def _end_heading(self, level: int) -> None:
        text = _flat("".join(self._inline))
        self._inline.clear()
        if text:
            self._add("", f"{'#' * level} {text}")

    def _between_blocks(self) -> None:
        if self._row:
            self._inline.append(" ")
        else:
            self._end_block()

    def _end_block(self) -> None:
        text = "".join(self._inline)
        self._inline.clear()
        if not text.strip():
            return
        if self._pre:
            self._add("", _fenced(text))
            return
        lines = [_flat(line) for line in text.split("\n")]
        # "# " at the start of a line would be read as a heading.
        body = "\n".join(re.sub(r"^(#{1,6}\s)", r"\\\1", line) for line in lines if line)
        item, self._item = self._item, ""
        self._add("item" if item else "row" if self._row else "", item + body)

    def _add(self, kind: str, block: str) -> None:
        if kind and kind == self._kind:
            self._blocks[-1] += f"\n{block}"
        else:
            self._blocks.append(block)
        self._kind = kind


def _fenced(text: str) -> str:
    text = text.strip("\n")
    return text if "```" in text or "~~~" in text else f"```\n{text}\n```"
