"""One annotation with all that is hard to carry, and what is to be found of it at the other end."""

from __future__ import annotations

from typing import Any

from annotator.domain import Document

__all__ = ["FACTS", "FLAT_FACTS", "RESULT", "TEXT", "facts_of"]

# Line ends of Windows, an emoji of one and one of four code points, and a combining mark.
TEXT = (
    "😀 BP 120/80.\r\nNai\u0308ve patient took aspirin 500 mg; \r\n"
    "severe rash 👩\u200d⚕\ufe0f and itch after ibuprofen."
)

Fact = tuple[Any, ...]


def _region(id: str, mention: str, *labels: str) -> dict[str, Any]:
    start = TEXT.index(mention)
    end = start + len(mention)
    return {
        "id": id,
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "manual",
        "value": {"start": start, "end": end, "text": mention, "labels": list(labels)},
    }


def _link(head: str, tail: str, direction: str, *labels: str) -> dict[str, Any]:
    link = {"type": "relation", "from_id": head, "to_id": tail, "direction": direction}
    return {**link, "labels": list(labels)} if labels else link


#: As the editor submits it; relations stand before their regions here, which it allows.
RESULT: list[dict[str, Any]] = [
    _link("drug", "rash", "right", "causes"),
    _link("itch", "drug", "left", "causes"),
    _link("drug", "naive", "bi", "treats"),
    _link("rash", "itch", "right"),
    _link("drug", "itch", "right", "treats", "causes"),
    _region("drug", "aspirin", "Drug"),
    _region("dose", "aspirin 500 mg", "Drug", "Effect"),
    _region("rash", "severe rash", "Effect"),
    _region("cross", "rash 👩\u200d⚕\ufe0f", "Effect"),
    _region("itch", "itch", "Effect"),
    _region("naive", "Nai\u0308ve", "Effect"),
    _region("face", "😀", "Effect"),
    _region("other", "ibuprofen", "Mystery"),
]

_DRUG, _RASH, _ITCH, _NAIVE = (
    ("Drug", "aspirin"),
    ("Effect", "severe rash"),
    ("Effect", "itch"),
    ("Effect", "Nai\u0308ve"),
)

#: What is flat, has one label and a direction: tags and relation lines can say it.
FLAT_FACTS: frozenset[Fact] = frozenset(
    {
        _ITCH,
        _NAIVE,
        ("Effect", "😀"),
        ("Mystery", "ibuprofen"),
    }
)
#: All of it; both labels of two labels; ``left`` turned around.
FACTS: frozenset[Fact] = FLAT_FACTS | {
    _DRUG,
    _RASH,
    ("Drug", "aspirin 500 mg"),
    ("Effect", "aspirin 500 mg"),
    ("Effect", "rash 👩\u200d⚕\ufe0f"),
    ("causes", _DRUG, _RASH, False),
    ("causes", _DRUG, _ITCH, False),
    ("treats", _DRUG, _ITCH, False),
    ("treats", _DRUG, _NAIVE, True),
    (None, _RASH, _ITCH, False),
}


def facts_of(document: Document) -> frozenset[Fact]:
    """Return what a document says, by type and mention."""
    entities = {e.id: (e.type, document.mention(e)) for e in document.entities}
    relations = {
        (r.type, entities[r.head], entities[r.tail], r.bidirectional) for r in document.relations
    }
    return frozenset(entities.values()) | relations
