"""HTML as a browser parses it: its text nodes, their XPaths, and their one flat text. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from justhtml import JustHTML

from annotator.errors import TaskFormatError

__all__ = ["HtmlText", "TextNode", "read_html"]

_BREAK: Final = "\n"
_MAX_DEPTH: Final = 200
# A browser puts these on lines of their own.
_BLOCK_NAMES: Final = (
    "address article aside blockquote br caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol "
    "optgroup option p pre section summary table tbody td tfoot th thead title tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
# Their text is not visible on the page, but would count in offsets.
_REFUSED_NAMES: Final = (
    "iframe math noembed noframes noscript script select style svg template textarea"
)
_REFUSED: Final = frozenset(_REFUSED_NAMES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNode:
    """A text node: its XPath below the page's root, its start in the flat text, and its text."""

    path: str
    start: int
    text: str


class HtmlText:
    """The text nodes of a page in their order.

    Attributes:
        nodes: The text nodes that are not empty.
        text: The flat text: the nodes, with a line break between those of different blocks.
        joined: The nodes alone, as Label Studio counts them.
    """

    def __init__(self, parts: list[tuple[str, str, bool]]) -> None:
        self.nodes: list[TextNode] = []
        pieces: list[str] = []
        length, self._globals = 0, [0]
        for path, text, begins_block in parts:
            if begins_block and pieces:
                pieces.append(_BREAK)
                length += len(_BREAK)
            self.nodes.append(TextNode(path=path, start=length, text=text))
            pieces.append(text)
            length += len(text)
            self._globals.append(self._globals[-1] + len(text))
        self.text = "".join(pieces)
        self.joined = "".join(node.text for node in self.nodes)
        self._starts = [node.start for node in self.nodes]

    def node_at(self, offset: int) -> TextNode:
        """Return the node at ``offset``; for a line break between nodes, the node before it."""
        return self.nodes[self._index(offset)]

    def to_global(self, offset: int) -> int:
        """Convert an offset in the flat text to one in ``joined``."""
        index = self._index(offset)
        node = self.nodes[index]
        return self._globals[index] + min(offset - node.start, len(node.text))

    def from_global(self, offset: int, *, is_end: bool) -> int:
        """Convert an offset in ``joined`` to one in the flat text; -1 if it lies outside.

        Where two nodes meet, an end belongs to the first and a start to the second.
        """
        if not 0 <= offset <= self._globals[-1] or not self.nodes:
            return -1
        index = bisect_right(self._globals, offset - 1 if is_end and offset else offset) - 1
        index = min(index, len(self.nodes) - 1)
        return self.nodes[index].start + offset - self._globals[index]

    def _index(self, offset: int) -> int:
        return max(0, bisect_right(self._starts, offset) - 1)


def read_html(html: str) -> HtmlText:
    """Parse a page as a browser parses the content of an element.

    Raises:
        TaskFormatError: if it is nested too deep, or holds an element whose text would count in
            offsets without being visible.
    """
    try:
        root = JustHTML(html, fragment=True, sanitize=False).root
    except (ValueError, RecursionError) as error:
        raise TaskFormatError(f"its HTML cannot be read ({type(error).__name__})") from None
    parts: list[tuple[str, str, bool]] = []
    pending = True
    for path, kind, text in _walk(root, "", 0):
        if kind == "text":
            if text:
                parts.append((path, text, pending))
                pending = False
        else:
            pending = True
    return HtmlText(parts)


def _walk(node: Any, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """Yield text nodes, and an edge at each start and end of a block."""
    if depth > _MAX_DEPTH:
        raise TaskFormatError(f"its HTML is nested deeper than {_MAX_DEPTH}")
    seen: Counter[str] = Counter()
    for child in node.children or ():
        name = str(child.name).lower()
        if name == "#text":
            seen["text()"] += 1
            yield f"{path}/text()[{seen['text()']}]", "text", child.data or ""
            continue
        if name.startswith("#") or name == "!doctype":
            continue
        if name in _REFUSED:
            raise TaskFormatError(f"its HTML holds <{name}>: take it out")
        seen[name] += 1
        is_block = name in _BLOCKS
        if is_block:
            yield path, "edge", ""
        yield from _walk(child, f"{path}/{name}[{seen[name]}]", depth + 1)
        if is_block:
            yield path, "edge", ""
