"""BioC files in one form: XML is converted to the objects of BioC JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from annotator.errors import InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.markup import parse_xml
from annotator.formats.source import read_bytes, read_text
from annotator.formats.strict_json import parse_json

__all__ = ["load_documents"]

_EXPECTED = "a BioC collection: an object with documents, each with passages"
_LISTS = {
    "document": ("passage", "annotation", "relation"),
    "passage": ("sentence", "annotation", "relation"),
    "sentence": ("annotation", "relation"),
}
_NUMBER = re.compile(r"[0-9]{1,12}")


def load_documents(path: Path, log: ReadLog) -> list[dict[str, Any]]:
    """Return the documents of a file; its content decides whether it is XML or JSON.

    JSON may be a collection, a list of collections or documents, one document, or one document or
    collection per line; a line that is no JSON is lost.

    Raises:
        InputError: naming the file and what was expected there.
    """
    raw = read_bytes(path)
    if raw[:64].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<"):
        return [_document(element) for element in _documents(raw, path.name)]
    return _flatten(_parse(read_text(path, log), path.name, log), path.name)


def _documents(raw: bytes, name: str) -> list[Element]:
    root = parse_xml(raw, name)
    documents = root.findall("document")
    if root.tag != "collection" or not documents:
        found = "one without <document>" if root.tag == "collection" else "another element"
        raise InputError(f"{name}: expected a BioC <collection> of documents, found {found}")
    return documents


def _parse(text: str, name: str, log: ReadLog) -> Any:
    lines = [
        (f"{name}:{number}", line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for _, line in lines):
        return parse_json(text, place=name, expected=_EXPECTED)
    values = []
    for place, line in lines:
        with log.forgive(place):
            values.append(parse_json(line, place=place, expected=_EXPECTED))
    return values


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


def _document(element: Element) -> dict[str, Any]:
    return {"id": (element.findtext("id") or "").strip(), **_level(element)}


def _level(element: Element) -> dict[str, Any]:
    """Convert the element of a document, passage or sentence to its JSON object."""
    value: dict[str, Any] = {}
    if element.tag != "document":
        value["offset"] = _number(element.findtext("offset"))
        value["text"] = element.findtext("text")
    for child in _LISTS[element.tag]:
        value[f"{child}s"] = [_CONVERTERS[child](found) for found in element.findall(child)]
    return value


def _annotation(element: Element) -> dict[str, Any]:
    return {
        "id": element.get("id"),
        "infons": _infons(element),
        "text": element.findtext("text"),
        "locations": [
            {key: _number(place.get(key)) for key in ("offset", "length")}
            for place in element.findall("location")
        ],
    }


def _relation(element: Element) -> dict[str, Any]:
    nodes = [
        {"refid": node.get("refid"), "role": node.get("role")} for node in element.findall("node")
    ]
    return {"id": element.get("id"), "infons": _infons(element), "nodes": nodes}


def _infons(element: Element) -> dict[str, str]:
    return {infon.get("key", ""): infon.text or "" for infon in element.findall("infon")}


def _number(digits: str | None) -> int | str | None:
    """Return the number, or what stands in its place: who uses it says what is wrong."""
    return int(digits) if digits and _NUMBER.fullmatch(digits.strip()) else digits


_CONVERTERS = {
    "passage": _level,
    "sentence": _level,
    "annotation": _annotation,
    "relation": _relation,
}
