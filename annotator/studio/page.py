"""What a task shows, as one flat text, and where its spans lie in Label Studio's own terms. Pure.

Inside this project every offset counts code points of one text. Label Studio counts differently in
each of its tags, so the conversion happens here, at the edge, and nowhere else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from annotator.errors import TaskFormatError
from annotator.studio.config import LabelConfig
from annotator.studio.html import HtmlText, read_html

__all__ = [
    "DialogPage",
    "HtmlPage",
    "Page",
    "PlainPage",
    "as_page",
    "compose_data",
    "open_page",
    "text_length",
]

_BREAK: Final = "\n"


class Page(Protocol):
    """A task's text, and the conversions between its offsets and a region's ``value``."""

    @property
    def text(self) -> str:
        """The flat text; offsets count its code points."""

    def find(self, value: Mapping[str, Any]) -> tuple[int, int]:
        """Return start and end of a region's ``value``, not checked against the text.

        Raises:
            TaskFormatError: if ``value`` does not give them in the terms of its tag.
        """

    def place(self, start: int, end: int) -> dict[str, Any]:
        """Return the ``value`` of a span, without labels; ``0 <= start < end <= len(text)``."""


class PlainPage:
    """A ``<Text>``: its offsets are ours."""

    def __init__(self, text: str) -> None:
        self.text = text

    def find(self, value: Mapping[str, Any]) -> tuple[int, int]:
        """Read ``start`` and ``end``."""
        return _offset(value, "start"), _offset(value, "end")

    def place(self, start: int, end: int) -> dict[str, Any]:
        """Write ``start``, ``end`` and the mention."""
        return {"start": start, "end": end, "text": self.text[start:end]}


class DialogPage:
    """``<Paragraphs>``: turns of a dialog. Offsets are UTF-16 code units within a turn.

    The flat text is the turns, joined by line breaks.
    """

    def __init__(self, turns: Sequence[str]) -> None:
        self.text = _BREAK.join(turns)
        self._turns = list(turns)
        self._starts = [0]
        for turn in self._turns:
            self._starts.append(self._starts[-1] + len(turn) + len(_BREAK))

    def find(self, value: Mapping[str, Any]) -> tuple[int, int]:
        """Read turn numbers ``start`` and ``end`` and the offsets in these turns."""
        return (
            self._flat(value, turn="start", offset="startOffset"),
            self._flat(value, turn="end", offset="endOffset"),
        )

    def place(self, start: int, end: int) -> dict[str, Any]:
        """Write turn numbers, offsets in these turns, and the mention."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        return {
            "start": str(first),
            "end": str(last),
            "startOffset": _to_utf16(self._turns[first], start - self._starts[first]),
            "endOffset": _to_utf16(self._turns[last], end - self._starts[last]),
            "text": self.text[start:end],
        }

    def _flat(self, value: Mapping[str, Any], *, turn: str, offset: str) -> int:
        number = _offset(value, turn)
        if not 0 <= number < len(self._turns):
            raise TaskFormatError(f"names turn {number}, of {len(self._turns)}")
        return self._starts[number] + _from_utf16(self._turns[number], _offset(value, offset))


class HtmlPage:
    """``<HyperText>``: offsets are code points of the concatenated text nodes.

    A region also has XPaths of text nodes with UTF-16 offsets in them. Both are written; the XPaths
    are read only if ``globalOffsets`` is missing. The flat text has an additional line break
    between blocks, which Label Studio shows apart but does not count.
    """

    def __init__(self, html: HtmlText) -> None:
        self._html = html
        self.text = html.text

    def find(self, value: Mapping[str, Any]) -> tuple[int, int]:
        """Read ``globalOffsets``, else the XPaths and the offsets in their nodes."""
        offsets = value.get("globalOffsets")
        if isinstance(offsets, Mapping):
            return (
                self._html.from_global(_offset(offsets, "start"), is_end=False),
                self._html.from_global(_offset(offsets, "end"), is_end=True),
            )
        return (
            self._flat(value, path="start", offset="startOffset"),
            self._flat(value, path="end", offset="endOffset"),
        )

    def place(self, start: int, end: int) -> dict[str, Any]:
        """Write XPaths, offsets in their nodes, ``globalOffsets`` and the mention."""
        first, last = self._html.node_at(start), self._html.node_at(end - 1)
        global_start, global_end = self._html.to_global(start), self._html.to_global(end)
        return {
            "start": first.path,
            "end": last.path,
            "startOffset": _to_utf16(first.text, max(0, start - first.start)),
            "endOffset": _to_utf16(last.text, min(len(last.text), end - last.start)),
            "globalOffsets": {"start": global_start, "end": global_end},
            "text": self._html.joined[global_start:global_end],
        }

    def _flat(self, value: Mapping[str, Any], *, path: str, offset: str) -> int:
        named = value.get(path)
        node = next((n for n in self._html.nodes if n.path == named), None)
        if node is None:
            raise TaskFormatError("names a text node that is not there")
        return node.start + _from_utf16(node.text, _offset(value, offset))


def open_page(data: Any, config: LabelConfig) -> Page:
    """Return the page that a task's ``data`` shows under ``config``.

    Raises:
        TaskFormatError: if the configured field does not hold what its tag needs.
    """
    if not isinstance(data, Mapping):
        raise TaskFormatError(f"data must be an object, found {type(data).__name__}")
    where, value = f"data.{config.text_field}", data.get(config.text_field)
    if config.layout == "paragraphs":
        return DialogPage(_turns(value, config, where))
    if not isinstance(value, str):
        raise TaskFormatError(f"{where} must be a text, found {type(value).__name__}")
    if config.layout == "hypertext":
        return HtmlPage(read_html(value))
    return PlainPage(value)


def text_length(data: Any, config: LabelConfig) -> int:
    """Return the length of a task's text with markup, without parsing it; 0 if there is none."""
    value = data.get(config.text_field) if isinstance(data, Mapping) else None
    turns = value if isinstance(value, list) and config.layout == "paragraphs" else []
    texts = [turn.get(config.text_key) for turn in turns if isinstance(turn, Mapping)]
    return sum(len(one) for one in (value, *texts) if isinstance(one, str))


def as_page(text: str | Page) -> Page:
    """Return a text as the page of a ``<Text>``, and a page unchanged."""
    return PlainPage(text) if isinstance(text, str) else text


def compose_data(text: str, config: LabelConfig) -> Any:
    """Return what the configured field of a task must hold to show ``text``."""
    if config.layout == "paragraphs":
        return [{config.name_key: "", config.text_key: text}]
    if config.layout == "hypertext":
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        # HTML parsing turns every line break into one character; text nodes keep it that way.
        escaped = escaped.replace("\r", "&#13;")
        return f'<div style="white-space: pre-wrap">{escaped}</div>'
    return text


def _turns(value: Any, config: LabelConfig, where: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise TaskFormatError(f"{where} must be a list of turns, found {type(value).__name__}")
    turns = []
    for number, turn in enumerate(value):
        text = turn.get(config.text_key) if isinstance(turn, Mapping) else None
        if not isinstance(text, str):
            raise TaskFormatError(
                f"{where}[{number}].{config.text_key} must be a text, found {type(text).__name__}"
            )
        turns.append(text)
    return turns


def _offset(value: Mapping[str, Any], name: str) -> int:
    """Read an offset; some importers write 5.0 or "5"."""
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if isinstance(found, str) and re.fullmatch(r"[0-9]{1,9}", found):
        return int(found)
    raise TaskFormatError("has offsets that are no whole numbers")


def _to_utf16(text: str, offset: int) -> int:
    """Convert an offset in code points to UTF-16 code units."""
    return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2


def _from_utf16(text: str, offset: int) -> int:
    """Convert an offset in UTF-16 code units to code points.

    Raises:
        TaskFormatError: if it lies outside the text or inside a character.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * offset <= len(units):
        raise TaskFormatError(f"has the offset {offset} in a text of {len(units) // 2} units")
    head = units[: 2 * offset].decode("utf-16-le", "surrogatepass")
    if not text.startswith(head):
        raise TaskFormatError(f"has an offset inside a character: {offset}")
    return len(head)
