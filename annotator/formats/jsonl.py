"""The canonical interchange format: one JSON object per line, lossless.

``{"id", "text", "entities": [{"id", "type", "start", "end", "text"}], "relations": [{"type",
"head", "tail"}], "meta": {}}``. Optional: ``"direction": "bi"`` and ``"type": null`` on a relation,
``"score"`` on both. Only ``id`` and ``text`` are required.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotator.domain import Document, Relation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog, WriteReport
from annotator.formats.foreign import refuse_foreign
from annotator.formats.output import OutputFolder
from annotator.formats.source import find_file, read_lines
from annotator.formats.standoff import Mention, place_mentions
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

    Offsets are checked against the mentions, see ``place_mentions``. A line that is not a whole
    document is lost; an entity or relation that is not as described is lost from its document.

    Raises:
        InputError: if there is no such file, or it holds labels as another program writes them.
    """
    source = find_file(path, "gold.jsonl")
    documents: dict[str, Document] = {}
    log = ReadLog()
    for number, line in read_lines(source, log):
        if not line.strip():
            continue
        place = f"{source.name}:{number}"
        value: dict[str, Any] = {}
        with log.forgive(place):
            value = parse_object(line, place=place)
        refuse_foreign(value, place=place)
        if value:
            with log.forgive(place):
                log.add(document_from_json(value, place=place, log=log), documents, place=place)
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


def document_from_json(value: Mapping[str, Any], *, place: str, log: ReadLog) -> Document:
    """Read one canonical object; ``place`` (``file:line``) is for messages.

    What is wrong in an entity or relation is noted in ``log`` and that label left out.

    Raises:
        InputError: if the object as a whole is not a document: a key is missing or of the wrong
            type.
    """
    name, text = _filled(value, "id", place), _get(value, "text", str, place)
    meta = _object(value.get("meta") or {}, f"{place}: meta")
    log = log.of(name)
    mentions: list[Mention] = []
    scores: dict[str, float | None] = {}
    for i, item in enumerate(_list(value, "entities", place)):
        with log.forgive(place):
            mention, score = _mention(item, f"{place}: entity {i}")
            mentions.append(mention)
            scores.setdefault(mention.id, score)
    entities = tuple(
        replace(entity, score=scores[entity.id])
        for entity in place_mentions(text, mentions, log, file=place)
    )
    kept = {entity.id for entity in entities}
    relations = []
    for i, item in enumerate(_list(value, "relations", place)):
        with log.forgive(place):
            relations.append(_relation(item, f"{place}: relation {i}", kept))
    return Document(id=name, text=text, entities=entities, relations=tuple(relations), meta=meta)


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


def _mention(item: Any, place: str) -> tuple[Mention, float | None]:
    value = _object(item, place)
    text = value.get("text")
    if text is not None and not isinstance(text, str):
        raise InputError(f"{place}: text must be a string")
    mention = Mention(
        id=_filled(value, "id", place),
        type=_filled(value, "type", place),
        start=_get(value, "start", int, place),
        end=_get(value, "end", int, place),
        text=text,
        place=place,
    )
    return mention, _score(value, place)


def _relation(item: Any, place: str, entities: Collection[str]) -> Relation:
    value = _object(item, place)
    direction = value.get("direction")
    if direction not in (None, "right", "bi"):
        raise InputError(f'{place}: direction must be "bi" or absent')
    relation = Relation(
        type=None
        if _get(value, "type", (str, type(None)), place) is None
        else _filled(value, "type", place),
        head=_filled(value, "head", place),
        tail=_filled(value, "tail", place),
        bidirectional=direction == "bi",
        score=_score(value, place),
    )
    for end in (relation.head, relation.tail):
        if end not in entities:
            raise InputError(f"{place}: it names entity {end}, which was left out or absent")
    return relation


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
    n_unknown = len(set(value) - _KEYS["document"])
    for key, kind in (("entities", "entity"), ("relations", "relation")):
        items = value.get(key)
        for item in items if isinstance(items, list) else ():
            n_unknown += len(set(item) - _KEYS[kind]) if isinstance(item, dict) else 0
    return n_unknown
