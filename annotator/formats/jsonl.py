"""The canonical interchange format: one JSON object per line, lossless.

``{"id", "text", "entities": [{"id", "type", "start", "end", "text"}], "relations": [{"type",
"head", "tail"}], "meta": {}}``. Optional: ``"direction": "bi"`` and ``"type": null`` on a relation,
``"score"`` on both. Only ``id`` and ``text`` are required.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog, WriteReport
from annotator.formats.mentions import ClaimedSpan, reconcile_spans
from annotator.formats.output import OutputFolder
from annotator.formats.source import find_file, read_lines
from annotator.formats.strict_json import parse_json
from annotator.text import count_words

__all__ = ["document_from_json", "document_to_json", "parse_object", "read", "write"]

_KEYS = {
    "document": {"id", "text", "entities", "relations", "meta"},
    "entity": {"id", "type", "start", "end", "text", "score"},
    "relation": {"type", "head", "tail", "direction", "score"},
}


def read(path: Path) -> Corpus:
    """Read a ``.jsonl`` or ``.jsonl.gz`` file, or the ``gold.jsonl`` of a folder.

    Offsets are checked against the mentions; where all of a document's mentions match in UTF-16
    units or with CR LF counted as one, the offsets are converted and reported as repaired.

    Raises:
        InputError: naming ``file:line`` and what was expected there.
    """
    source = find_file(path, "gold.jsonl")
    documents: dict[str, Document] = {}
    log = ReadLog()
    for number, line in read_lines(source):
        if not line.strip():
            continue
        place = f"{source.name}:{number}"
        value = parse_object(line, place=place)
        document, counting = document_from_json(value, place=place)
        if document.id in documents:
            raise InputError(f"{place}: document id {document.id} occurs twice; ids must be unique")
        documents[document.id] = document
        if counting is not None:
            reason = f"{len(document.entities)} entities were counted in {counting}"
            log.repair(place, reason)
        n_unknown = _count_unknown_keys(value)
        if n_unknown:
            reason = f"{n_unknown} keys that this format does not have were left out; use meta"
            log.skip(place, reason)
    return Corpus.build("jsonl", documents.values(), log)


def write(
    documents: Iterable[Document], out: Path, *, splits: Mapping[str, str] | None = None
) -> WriteReport:
    """Write ``gold.jsonl``, and ``<split>.jsonl`` for each split, in the order given.

    Raises:
        InputError: if two documents share an id, or text or ``meta`` cannot be written as JSON.
    """
    n_documents = n_sentences = n_entities = n_relations = 0
    with OutputFolder(out, splits=splits) as output:
        output.append("gold.jsonl", "", document_id="")
        for document in documents:
            split = output.admit(document)
            line = _dump(document)
            output.append("gold.jsonl", line, document_id=document.id)
            if split is not None:
                output.append(f"{split}.jsonl", line, document_id=document.id)
            n_documents += 1
            n_sentences += len(count_words(document))
            n_entities += len(document.entities)
            n_relations += len(document.relations)
    return WriteReport(
        files=output.files,
        n_documents=n_documents,
        n_sentences=n_sentences,
        n_entities=n_entities,
        n_relations=n_relations,
    )


def document_to_json(document: Document) -> dict[str, Any]:
    """Return the canonical object of one document, keys in fixed order."""
    entities = []
    for entity in document.entities:
        value: dict[str, Any] = {
            "id": entity.id,
            "type": entity.type,
            "start": entity.start,
            "end": entity.end,
            "text": document.mention(entity),
        }
        entities.append(_with_score(value, entity.score))
    relations = []
    for relation in document.relations:
        value = {"type": relation.type, "head": relation.head, "tail": relation.tail}
        if relation.bidirectional:
            value["direction"] = "bi"
        relations.append(_with_score(value, relation.score))
    return {
        "id": document.id,
        "text": document.text,
        "entities": entities,
        "relations": relations,
        "meta": dict(document.meta),
    }


def document_from_json(value: Mapping[str, Any], *, place: str) -> tuple[Document, str | None]:
    """Read one canonical object; ``place`` (``file:line``) is for messages.

    Returns:
        The document, and the unit its offsets were counted in if they had to be converted.

    Raises:
        InputError: if a key is missing or of the wrong type, an offset or mention does not fit, or
            a relation names an entity that is not there.
    """
    text = _get(value, "text", str, place)
    entities = [
        _object(item, f"{place}: entity {i}")
        for i, item in enumerate(_list(value, "entities", place))
    ]
    claimed = [_claimed_span(item, f"{place}: entity {i}") for i, item in enumerate(entities)]
    try:
        spans, counting = reconcile_spans(text, claimed)
        document = Document(
            id=_filled(value, "id", place),
            text=text,
            entities=tuple(
                Entity(
                    id=span.id,
                    type=_filled(item, "type", f"{place}: entity {i}"),
                    start=span.start,
                    end=span.end,
                    score=_score(item, f"{place}: entity {i}"),
                )
                for i, (item, span) in enumerate(zip(entities, spans, strict=True))
            ),
            relations=tuple(
                _relation(item, f"{place}: relation {i}")
                for i, item in enumerate(_list(value, "relations", place))
            ),
            meta=_object(value.get("meta") or {}, f"{place}: meta"),
        )
    except InputError as error:
        if str(error).startswith(place):
            raise
        raise type(error)(f"{place}: {error}") from error
    return document, counting


def parse_object(line: str, *, place: str) -> dict[str, Any]:
    """Parse one line of strict JSON: an object, finite numbers, no lone surrogates.

    Raises:
        InputError: naming ``place`` and, for broken JSON, the column.
    """
    return _object(parse_json(line, place=place, expected="one complete object a line"), place)


def _dump(document: Document) -> str:
    try:
        return json.dumps(document_to_json(document), ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"document {document.id!r}: meta and scores must be plain, finite JSON values"
        ) from error


def _with_score(value: dict[str, Any], score: float | None) -> dict[str, Any]:
    return value if score is None else {**value, "score": score}


def _claimed_span(item: Mapping[str, Any], place: str) -> ClaimedSpan:
    mention = item.get("text")
    if mention is not None and not isinstance(mention, str):
        raise InputError(f"{place}: text must be a string")
    return ClaimedSpan(
        id=_filled(item, "id", place),
        start=_get(item, "start", int, place),
        end=_get(item, "end", int, place),
        mention=mention,
    )


def _relation(item: Any, place: str) -> Relation:
    value = _object(item, place)
    direction = value.get("direction")
    if direction not in (None, "right", "bi"):
        raise InputError(f'{place}: direction must be "bi" or absent')
    return Relation(
        type=None
        if _get(value, "type", (str, type(None)), place) is None
        else _filled(value, "type", place),
        head=_filled(value, "head", place),
        tail=_filled(value, "tail", place),
        bidirectional=direction == "bi",
        score=_score(value, place),
    )


def _score(item: Mapping[str, Any], place: str) -> float | None:
    score = item.get("score")
    if score is None:
        return None
    if type(score) not in (int, float) or not 0 <= score <= 1:
        raise InputError(f"{place}: score must be a number from 0 to 1")
    return float(score)


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{place}: expected an object, found {type(value).__name__}")
    return value


def _list(value: Mapping[str, Any], key: str, place: str) -> list[Any]:
    items = value.get(key)
    if items is None:
        return []
    if not isinstance(items, list):
        raise InputError(f"{place}: {key} must be a list, found {type(items).__name__}")
    return items


def _get(value: Mapping[str, Any], key: str, kind: Any, place: str) -> Any:
    if key not in value:
        raise InputError(f"{place}: the key {key} is missing")
    found = value[key]
    if not isinstance(found, kind) or isinstance(found, bool):
        wanted = "a whole number" if kind is int else "a string"
        raise InputError(f"{place}: {key} must be {wanted}, found {type(found).__name__}")
    return found


def _filled(value: Mapping[str, Any], key: str, place: str) -> str:
    found: str = _get(value, key, str, place)
    if not found:
        raise InputError(f"{place}: {key} must not be empty")
    return found


def _count_unknown_keys(value: Mapping[str, Any]) -> int:
    return (
        len(set(value) - _KEYS["document"])
        + sum(len(set(item) - _KEYS["entity"]) for item in value.get("entities") or ())
        + sum(len(set(item) - _KEYS["relation"]) for item in value.get("relations") or ())
    )
