"""HTML as Label Studio's editor hands it to the browser. Pure.

Before a page is shown, the editor takes out its comments, declarations, scripts and frames, and
closes what was left open by rules of its own: those of ``sanitize-html`` and ``htmlparser2``, as
Label Studio 1.23 has them. XPaths name nodes of what is left.
"""

from __future__ import annotations

import re
from collections import Counter
from html import escape, unescape
from typing import Final

__all__ = ["clean_html"]

_TOKEN: Final = re.compile(
    r"""
      <!--(?:-?>|.*?(?:-->|\Z))
    | <!\[CDATA\[.*?(?:\]\]>|\Z)
    | <[!?][^>]*(?:>|\Z)
    | </\s*+(?:(?P<closed>[a-z][^\s>]*)?[^>]*)(?:>|\Z)
    | <(?P<opened>[a-z][^\s/>]*)
      (?P<attributes>(?:
          \s
        | /(?!>)
        | [^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?)?
      )*+)
      (?:(?P<end>/?>)|\Z)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# Their content is text up to the end tag.
_RAW: Final = frozenset({"script", "style", "title"})
_REMOVED: Final = frozenset({"iframe", "script"})
_FOREIGN: Final = frozenset({"math", "svg"})
_INTEGRATION: Final = frozenset(
    ["annotation-xml", "desc", "foreignobject", "mi", "mn", "mo", "ms", "mtext", "title"]
)
_UNCLOSED: Final = frozenset(
    ["area", "base", "basefont", "br", "hr", "img", "input", "link", "meta"]
)
_VOID: Final = _UNCLOSED | frozenset(
    ["col", "command", "embed", "frame", "isindex", "keygen", "param", "source", "track", "wbr"]
)
_CLOSE_P: Final = (
    "address article aside blockquote details div dl fieldset figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 header hr main nav ol p pre section table ul"
)
_CLOSE_FORM: Final = "button datalist input output select textarea"
# The elements that a start tag closes, if they are the innermost ones.
_CLOSES: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(_CLOSE_P.split(), frozenset({"p"})),
    **dict.fromkeys(
        _CLOSE_FORM.split(),
        frozenset(["button", "datalist", "input", "optgroup", "option", "select", "textarea"]),
    ),
    "body": frozenset({"head", "link", "script"}),
    "dd": frozenset({"dd", "dt"}),
    "dt": frozenset({"dd", "dt"}),
    "li": frozenset({"li"}),
    "optgroup": frozenset({"optgroup", "option"}),
    "option": frozenset({"option"}),
    "rp": frozenset({"rp", "rt"}),
    "rt": frozenset({"rp", "rt"}),
    "tbody": frozenset({"tbody", "thead"}),
    "td": frozenset({"td", "th", "thead"}),
    "tfoot": frozenset({"tbody", "thead"}),
    "th": frozenset({"th"}),
    "tr": frozenset({"td", "th", "tr"}),
}


def clean_html(html: str) -> str:
    """Return the HTML that the browser gets; every element that was opened is closed in it."""
    writer = _Writer()
    at = 0
    while (token := _TOKEN.search(html, at)) is not None:
        writer.write(_rewrite(html[at : token.start()]))
        at = token.end()
        if token["closed"]:
            writer.close(token["closed"].lower())
        elif token["opened"] and token["end"]:
            name, is_closed = token["opened"].lower(), token["end"] == "/>"
            writer.open(name, token["attributes"], is_closed=is_closed)
            if name in _RAW and not is_closed:
                end = re.compile(rf"</{name}(?=[\s>])", re.IGNORECASE).search(html, at)
                stop = len(html) if end is None else end.start()
                raw = html[at:stop]
                writer.write(raw if name == "style" else _rewrite(raw))
                at = stop
    writer.write(_rewrite(html[at:]))
    return writer.finish()


def _rewrite(text: str) -> str:
    return escape(unescape(text), quote=False)


class _Writer:
    """Writes balanced tags; ``_open`` has each open element with where it begins."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open: list[tuple[str, int]] = []
        self._n_open: Counter[str] = Counter()
        self._is_foreign: list[bool] = []

    def write(self, text: str) -> None:
        self._parts.append(text)

    def open(self, name: str, attributes: str, *, is_closed: bool) -> None:
        closes = _CLOSES.get(name, frozenset())
        while self._open and self._open[-1][0] in closes:
            self._pop()
        self._open.append((name, len(self._parts)))
        self._n_open[name] += 1
        self._parts.append(f"<{name}{attributes}>")
        if name in _FOREIGN or name in _INTEGRATION:
            self._is_foreign.append(name in _FOREIGN)
        if name in _VOID or (is_closed and self._is_foreign and self._is_foreign[-1]):
            self._pop()

    def close(self, name: str) -> None:
        if (name in _FOREIGN or name in _INTEGRATION) and self._is_foreign:
            self._is_foreign.pop()
        if name in _VOID:
            self._parts.append("<br>" if name == "br" else "")
        elif self._n_open[name]:
            while self._pop() != name:
                pass
        elif name == "p":
            self._parts.append("<p></p>")

    def finish(self) -> str:
        while self._open:
            self._pop()
        return "".join(self._parts)

    def _pop(self) -> str:
        name, begin = self._open.pop()
        self._n_open[name] -= 1
        if name in _REMOVED:
            del self._parts[begin:]
        elif name not in _UNCLOSED:
            self._parts.append(f"</{name}>")
        return name
