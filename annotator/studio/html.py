"""HTML as Label Studio shows it: its text nodes, their XPaths, and the text that is seen. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from justhtml import JustHTML

from annotator.errors import TaskFormatError
from annotator.studio.sanitizer import clean_html

__all__ = ["HtmlText", "TextNode", "read_html"]

_BREAK: Final = "\n"
_MARK: Final = "\ufeff"
_MAX_DEPTH: Final = 200
# A browser puts these on lines of their own.
_BLOCK_NAMES: Final = (
    "address article aside blockquote br caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol "
    "optgroup option p pre section summary table tbody td tfoot th thead title tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
# Their text counts in offsets, but nobody sees it, or can select it.
_UNSEEN_NAMES: Final = (
    "audio canvas datalist defs desc metadata noembed noframes noscript rp select style textarea "
    "title video"
)
_UNSEEN: Final = frozenset(_UNSEEN_NAMES.split())
_NOT_DISPLAYED: Final = re.compile(r"(?:^|;)\s*display\s*:\s*none", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNode:
    """A text node: its XPath below the page's root, its text, and whether that is seen.

    ``start`` is where it stands in the seen text, ``counted`` where in Label Studio's counting.
    """

    path: str
    text: str
    is_seen: bool
    start: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What a walk through the page meets."""

    kind: Literal["text", "element", "edge", "break"]
    path: str = ""
    text: str = ""
    is_seen: bool = True


class HtmlText:
    """The text of a page.

    Attributes:
        nodes: The text nodes that are not empty, in their order.
        text: What is seen: the nodes, with a line break between those of different blocks.
    """

    def __init__(self, steps: Iterator[_Step]) -> None:
        self.nodes: list[TextNode] = []
        self._by_path: dict[str, TextNode | int] = {}
        pieces: list[str] = []
        length = counted = 0
        begins_block = True
        for step in steps:
            if step.kind == "edge":
                begins_block = True
            elif step.kind == "break":
                counted += 1
            elif step.kind == "element":
                self._by_path[step.path] = counted
            elif step.text:
                if step.is_seen and begins_block and pieces:
                    pieces.append(_BREAK)
                    length += len(_BREAK)
                node = TextNode(
                    path=step.path,
                    text=step.text,
                    is_seen=step.is_seen,
                    start=length,
                    counted=counted,
                )
                self.nodes.append(node)
                self._by_path[step.path] = node
                counted += len(step.text)
                if step.is_seen:
                    pieces.append(step.text)
                    length += len(step.text)
                    begins_block = False
        self.text = "".join(pieces)
        self._seen = [node for node in self.nodes if node.is_seen]
        self._starts = [node.start for node in self._seen]
        self._counts = [node.counted for node in self.nodes]

    def node_at(self, offset: int) -> TextNode:
        """Return the seen node at ``offset``; for a line break between nodes, the one before it."""
        return self._seen[max(0, bisect_right(self._starts, offset) - 1)]

    def named(self, path: object) -> TextNode | None:
        """Return the text node with this XPath, or the first one of the element with it."""
        found = self._by_path.get(path) if isinstance(path, str) else None
        return self._node_counted(found, is_end=False) if isinstance(found, int) else found

    def from_counts(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the span in the seen text that ``globalOffsets`` stand for, if they do for any.

        They count code points of all text nodes, and each ``<br>`` as one. An end that is in no
        node, but after a ``<br>``, ends with the node of the start.
        """
        first = self._node_counted(start, is_end=False)
        if first is None:
            return None
        last = self._node_counted(end, is_end=True)
        return (
            self.flat(first, start - first.counted),
            self.flat(first, len(first.text))
            if last is None
            else self.flat(last, end - last.counted),
        )

    @staticmethod
    def flat(node: TextNode, offset: int) -> int:
        """Return where ``offset`` of a node is in the seen text; what is unseen has no length."""
        return node.start + offset if node.is_seen else node.start

    def _node_counted(self, count: int, *, is_end: bool) -> TextNode | None:
        """Return the node that holds a count; between two, the earlier for an end."""
        index = bisect_right(self._counts, count - 1 if is_end else count) - 1
        if index < 0:
            return None
        node = self.nodes[index]
        return node if count - is_end < node.counted + len(node.text) else None


def read_html(html: str, *, is_inline: bool = False) -> HtmlText:
    """Parse a page as the browser does: a document in a frame, or the content of a ``<div>``.

    Raises:
        TaskFormatError: if it is nested too deep.
    """
    cleaned = clean_html(html)
    if is_inline and cleaned.startswith(_MARK):
        cleaned = _MARK + cleaned  # the parser drops one, as a browser does in a document only
    try:
        root = JustHTML(
            cleaned, fragment=is_inline, iframe_srcdoc=not is_inline, sanitize=False
        ).root
    except (ValueError, RecursionError) as error:
        raise TaskFormatError(f"its HTML cannot be read ({type(error).__name__})") from None
    return HtmlText(_walk(root if is_inline else _body(root), "", 0, is_seen=True))


def _body(document: Any) -> Any:
    elements = [child for top in document.children or () for child in top.children or ()]
    return next((one for one in elements if one.name == "body"), JustHTML("", fragment=True).root)


def _walk(node: Any, path: str, depth: int, *, is_seen: bool) -> Iterator[_Step]:
    if depth > _MAX_DEPTH:
        raise TaskFormatError(f"its HTML is nested deeper than {_MAX_DEPTH}")
    seen: Counter[str] = Counter()
    for child in node.children or ():
        name = str(child.name).lower()
        if name == "#text":
            seen["text()"] += 1
            at = f"{path}/text()[{seen['text()']}]"
            yield _Step(kind="text", path=at, text=child.data or "", is_seen=is_seen)
            continue
        seen[name] += 1
        below = f"{path}/{name}[{seen[name]}]"
        yield _Step(kind="break" if name == "br" else "element", path=below)
        if name in _BLOCKS:
            yield _Step(kind="edge")
        shown = is_seen and name not in _UNSEEN and _is_displayed(child.attrs or {})
        yield from _walk(child, below, depth + 1, is_seen=shown)
        if name in _BLOCKS:
            yield _Step(kind="edge")


def _is_displayed(attributes: Mapping[str, str | None]) -> bool:
    """Return False for what is hidden; the editor drops a ``hidden`` without a value."""
    style = attributes.get("style") or ""
    return not attributes.get("hidden") and _NOT_DISPLAYED.search(style) is None
