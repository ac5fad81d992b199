"""What a task shows, as one flat text, and where its spans lie in Label Studio's own terms. Pure.

Inside this project every offset counts code points of one text. Label Studio counts differently in
each of its tags, so the conversion happens here, at the edge, and nowhere else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, Protocol

from annotator.errors import TaskFormatError
from annotator.studio.config import LabelConfig
from annotator.studio.html import HtmlText, TextNode, read_html
from annotator.studio.task_data import read_field

__all__ = [
    "DialogPage",
    "HtmlPage",
    "Page",
    "PlainPage",
    "as_page",
    "compose_data",
    "open_page",
    "shown_text",
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

    def miscounts(self, value: Mapping[str, Any]) -> bool:
        """Return whether a ``value`` that was found gives its place twice, and differently."""


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

    def miscounts(self, value: Mapping[str, Any]) -> bool:
        """Return False: there are no other offsets."""
        return False


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

    def miscounts(self, value: Mapping[str, Any]) -> bool:
        """Return False: there are no other offsets."""
        return False

    def _flat(self, value: Mapping[str, Any], *, turn: str, offset: str) -> int:
        number = _offset(value, turn)
        if not 0 <= number < len(self._turns):
            raise TaskFormatError(f"names turn {number}, of {len(self._turns)}")
        return self._starts[number] + _from_utf16(self._turns[number], _offset(value, offset))


class HtmlPage:
    """``<HyperText>``: XPaths of text nodes, with offsets of UTF-16 code units in them.

    As in the editor, ``globalOffsets`` count only where an XPath names nothing. The flat text is
    what the page shows, with a line break between blocks.
    """

    def __init__(self, html: HtmlText) -> None:
        self._html = html
        self.text = html.text

    def find(self, value: Mapping[str, Any]) -> tuple[int, int]:
        """Read the XPaths and the offsets in their nodes, else ``globalOffsets``."""
        first, last = self._html.named(value.get("start")), self._html.named(value.get("end"))
        if first is not None and last is not None:
            return (
                self._flat(first, _offset(value, "startOffset")),
                self._flat(last, _offset(value, "endOffset")),
            )
        found = self._counted(value)
        if found is None:
            raise TaskFormatError("names a text node that is not there")
        return found

    def place(self, start: int, end: int) -> dict[str, Any]:
        """Write XPaths, offsets in their nodes, ``globalOffsets`` and the mention."""
        first, last = self._html.node_at(start), self._html.node_at(end - 1)
        begin, stop = min(start - first.start, len(first.text)), end - last.start
        stop = min(stop, len(last.text))
        return {
            "start": first.path,
            "end": last.path,
            "startOffset": _to_utf16(first.text, begin),
            "endOffset": _to_utf16(last.text, stop),
            "globalOffsets": {"start": first.counted + begin, "end": last.counted + stop},
            "text": self.text[start:end],
        }

    def miscounts(self, value: Mapping[str, Any]) -> bool:
        """Return whether ``globalOffsets`` say another place than the XPaths."""
        has_counts = isinstance(value.get("globalOffsets"), Mapping)
        return has_counts and self._counted(value) != self.find(value)

    def _counted(self, value: Mapping[str, Any]) -> tuple[int, int] | None:
        offsets = value.get("globalOffsets")
        if not isinstance(offsets, Mapping):
            return None
        try:
            return self._html.from_counts(_offset(offsets, "start"), _offset(offsets, "end"))
        except TaskFormatError:
            return None

    def _flat(self, node: TextNode, offset: int) -> int:
        return self._html.flat(node, _from_utf16(node.text, offset))


def open_page(data: Any, config: LabelConfig) -> Page:
    """Return the page that a task's ``data`` shows under ``config``.

    Raises:
        TaskFormatError: if the configured field does not hold what its tag needs.
    """
    if not isinstance(data, Mapping):
        raise TaskFormatError(f"data must be an object, found {type(data).__name__}")
    where, value = f"data.{config.text_field}", read_field(data, config.text_field)
    if config.layout == "paragraphs":
        return DialogPage(_turns(value, config, where))
    if not isinstance(value, str):
        raise TaskFormatError(f"{where} must be a text, found {type(value).__name__}")
    if config.layout == "hypertext":
        return HtmlPage(read_html(value, is_inline=config.is_inline))
    return PlainPage(value)


def text_length(data: Any, config: LabelConfig) -> int:
    """Return the length of a task's text with markup, without parsing it; 0 if there is none."""
    value = read_field(data, config.text_field) if isinstance(data, Mapping) else None
    turns = value if isinstance(value, list) and config.layout == "paragraphs" else []
    texts = [turn.get(config.text_key) for turn in turns if isinstance(turn, Mapping)]
    return sum(len(one) for one in (value, *texts) if isinstance(one, str))


def as_page(text: str | Page) -> Page:
    """Return a text as the page of a ``<Text>``, and a page unchanged."""
    return PlainPage(text) if isinstance(text, str) else text


def compose_data(text: str, config: LabelConfig) -> Any:
    """Return what the configured field of a task must hold to show ``shown_text(text)``."""
    if config.layout == "paragraphs":
        return [{config.name_key: "", config.text_key: text}]
    if config.layout == "hypertext":
        shown = escape(shown_text(text, config), quote=False)
        return f'<div style="white-space: pre-wrap">{shown}</div>'
    return text


def shown_text(text: str, config: LabelConfig) -> str:
    """Return ``text`` as a task shows it, of the same length.

    HTML holds no carriage return: it is shown as a blank before a line feed, else as a line feed.
    """
    if config.layout != "hypertext":
        return text
    return text.replace("\r\n", " \n").replace("\r", "\n")


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
