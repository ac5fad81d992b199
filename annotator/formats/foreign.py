"""JSON of other annotation tools, told apart from ours so that no label is passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from annotator.errors import InputError

__all__ = ["refuse_foreign"]

_OURS = ("entities", "relations")
_ELSEWHERE = {"start_offset", "from_id", "child"}
_LABELS = {
    *("annotation", "annotations", "completions", "denotations", "entity", "ents", "label"),
    *("labels", "mentions", "ner", "ner_tags", "predictions", "relation", "rels", "span", "spans"),
}
_REMEDY = (
    "convert them to entities and relations as docs/reference/formats.md has them, or put what is "
    "no label of a span into meta"
)


def refuse_foreign(value: Mapping[str, Any], *, place: str, ours: Collection[str] = _OURS) -> None:
    """Refuse an object whose labels stand where only another program looks for them.

    ``ours`` are the keys of the labels that are read.

    Raises:
        InputError: naming ``place``, the key, and the program whose format it looks like.
    """
    wanted = {*_LABELS, *_OURS}
    found = next(
        (key for key in value if key not in ours and key.lower() in wanted and value[key]), None
    )
    found = found or next((key for key in _OURS if _is_foreign(value.get(key))), None)
    if found is not None:
        raise InputError(
            f"{place}: {found} holds labels in a form that is not read; this looks like "
            f"{_program(value)}: {_REMEDY}"
        )


def _is_foreign(items: Any) -> bool:
    """Return whether a list of entities or relations is one of another program."""
    if not isinstance(items, list):
        return False
    return any(
        isinstance(item, list)
        or (isinstance(item, dict) and bool(item.keys() & _ELSEWHERE))
        or (isinstance(item, dict) and "label" in item and "type" not in item)
        for item in items
    )


def _program(value: Mapping[str, Any]) -> str:
    entities = value.get("entities")
    first = entities[0] if isinstance(entities, list) and entities else None
    keys = value.keys()
    if keys & {"_input_hash", "_task_hash", "spans"}:
        return "a file of Prodigy"
    if keys & {"data", "annotations", "completions", "predictions"}:
        return "an export of Label Studio"
    if isinstance(first, list) or "ents" in keys:
        return "training data of spaCy"
    if keys & {"label", "labels", "Comments", *_OURS}:
        return "an export of doccano"
    return "a file of another program"
