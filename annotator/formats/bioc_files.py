"""BioC files in one form: XML is converted to the objects of BioC JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from annotator.errors import InputError
from annotator.formats.markup import parse_xml
from annotator.formats.source import read_text
from annotator.formats.strict_json import parse_json

__all__ = ["load_documents"]

_EXPECTED = "a BioC collection: an object with documents, each with passages"
_LISTS = {
    "document": ("passage", "annotation", "relation"),
    "passage": ("sentence", "annotation", "relation"),
    "sentence": ("annotation", "relation"),
}
_NUMBER = re.compile(r"[0-9]{1,12}")


def load_documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a file; its content decides whether it is XML or JSON.

    JSON may be a collection, a list of collections or documents, one document, or one document or
    collection per line.

    Raises:
        InputError: naming the file and what was expected there.
    """
    with path.open("rb") as stream:
        start = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        return [_document(element, path.name) for element in _root(path).iter("document")]
    text = read_text(path).removeprefix("\ufeff")
    return _flatten(_parse(text, path.name), path.name)


def _root(path: Path) -> Element:
    root = parse_xml(path)
    if root.tag != "collection":
        raise InputError(f"{path.name}: expected a BioC <collection>, found another element")
    return root


def _parse(text: str, name: str) -> Any:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        return [
            parse_json(line, place=f"{name}:{number}", expected=_EXPECTED)
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip()
        ]
    return parse_json(text, place=name, expected=_EXPECTED)


def _flatten(value: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(value, dict) and "passages" in value:
        return [value]
    if isinstance(value, dict):
        inside = value.get("documents", value.get("PubTator3"))
        if not isinstance(inside, list):
            raise InputError(f"{name}: expected {_EXPECTED}")
        value = inside
    if not isinstance(value, list):
        raise InputError(f"{name}: expected {_EXPECTED}")
    return [document for item in value for document in _flatten_one(item, name)]


def _flatten_one(item: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(item, dict):
        raise InputError(f"{name}: expected {_EXPECTED}")
    return _flatten(item, name)


def _document(element: Element, name: str) -> dict[str, Any]:
    return {"id": (element.findtext("id") or "").strip(), **_level(element, name)}


def _level(element: Element, name: str) -> dict[str, Any]:
    """Convert the element of a document, passage or sentence to its JSON object."""
    value: dict[str, Any] = {}
    if element.tag != "document":
        value["offset"] = _whole(element.findtext("offset"), "offset", name)
        value["text"] = element.findtext("text")
    for child in _LISTS[element.tag]:
        value[f"{child}s"] = [_CONVERTERS[child](found, name) for found in element.findall(child)]
    return value


def _annotation(element: Element, name: str) -> dict[str, Any]:
    return {
        "id": element.get("id"),
        "infons": _infons(element),
        "text": element.findtext("text"),
        "locations": [
            {key: _whole(place.get(key), key, name) for key in ("offset", "length")}
            for place in element.findall("location")
        ],
    }


def _relation(element: Element, name: str) -> dict[str, Any]:
    nodes = [
        {"refid": node.get("refid"), "role": node.get("role")} for node in element.findall("node")
    ]
    return {"id": element.get("id"), "infons": _infons(element), "nodes": nodes}


def _infons(element: Element) -> dict[str, str]:
    return {infon.get("key", ""): infon.text or "" for infon in element.findall("infon")}


def _whole(digits: str | None, key: str, name: str) -> int:
    if digits is None or not _NUMBER.fullmatch(digits.strip()):
        raise InputError(f"{name}: {key} must be a whole number")
    return int(digits)


_CONVERTERS = {
    "passage": _level,
    "sentence": _level,
    "annotation": _annotation,
    "relation": _relation,
}
