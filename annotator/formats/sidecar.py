"""``*.sentences.jsonl``: what a BIOES file cannot say about its sentences.

One object per line. ``{"document": {"id", "text", "meta"}}`` comes before its sentences, each
``{"sentence": {"number", "id", "document_id", "start", "end", "tokens", "entities"}}`` with
``tokens`` as ``[start, end]`` in the document and ``entities`` as ``[first word, last word, id]``,
followed by ``start, end`` in the document where an entity was drawn beside its words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from annotator.domain import Document, Entity, Relation, TaggedSentence, Token, WordEntity
from annotator.errors import AnnotatorError, InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.jsonl import parse_object
from annotator.formats.source import read_lines
from annotator.formats.tsv import TaggedBlock
from annotator.text import to_entities

__all__ = ["describe_document", "describe_sentence", "read_sidecar"]


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A document while its sentences are collected."""

    id: str
    text: str
    meta: dict[str, Any]
    entities: list[Entity] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def add(
        self, entities: Iterable[Entity], relations: Iterable[Relation], ids: Sequence[str]
    ) -> None:
        """Add the labels of one sentence under ``ids`` ("" for a new one)."""
        names: dict[str, str] = {}
        for entity, wanted in zip(entities, ids, strict=True):
            names[entity.id] = self._name(wanted)
            self.entities.append(
                Entity(id=names[entity.id], type=entity.type, start=entity.start, end=entity.end)
            )
        self.relations += [
            Relation(type=relation.type, head=names[relation.head], tail=names[relation.tail])
            for relation in relations
        ]

    def _name(self, wanted: str) -> str:
        name, n = wanted, len(self.entities)
        while not name or name in self.taken:
            n += 1
            name = f"e{n}"
        self.taken.add(name)
        return name


def describe_document(document: Document) -> str:
    """Return the line of a document.

    Raises:
        InputError: if ``meta`` is not plain, finite JSON.
    """
    value = {"id": document.id, "text": document.text, "meta": dict(document.meta)}
    try:
        return json.dumps({"document": value}, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"document {document.id!r}: meta must be plain, finite JSON values"
        ) from error


def describe_sentence(
    document: Document, sentence: TaggedSentence, drawn: Sequence[Entity], number: int
) -> str:
    """Return the line of a sentence that has ``number`` in the BIOES file.

    ``drawn`` are the document's entities that the sentence's are made of, in their order.
    """
    value = {
        "number": number,
        "id": sentence.id,
        "document_id": document.id,
        "start": sentence.start,
        "end": sentence.end,
        "tokens": [[token.start, token.end] for token in sentence.tokens],
        "entities": [
            [item.first, item.last, entity.id, *_edges_beside(entity, item, sentence)]
            for item, entity in zip(sentence.entities, drawn, strict=True)
        ],
    }
    return json.dumps({"sentence": value}, ensure_ascii=False) + "\n"


def _edges_beside(entity: Entity, item: WordEntity, sentence: TaggedSentence) -> tuple[int, ...]:
    drawn = (entity.start, entity.end)
    words = (sentence.tokens[item.first].start, sentence.tokens[item.last].end)
    return () if drawn == words else drawn


def read_sidecar(path: Path, blocks: Sequence[TaggedBlock], log: ReadLog) -> tuple[Document, ...]:
    """Join the sentences of a BIOES file with their sidecar.

    A sentence that is only in the sidecar is noted as lost, with its labels.

    Raises:
        InputError: naming ``file:line``, if a line is not as described above, or a sentence of the
            BIOES file is not in the sidecar or has different words.
    """
    drafts: dict[str, _Draft] = {}
    waiting = {tagged.block.number: tagged for tagged in blocks}
    for number, line in read_lines(path, log):
        if not line.strip():
            continue
        place = f"{path.name}:{number}"
        value = parse_object(line, place=place)
        try:
            if "document" in value:
                _begin_document(value["document"], drafts)
            else:
                _place_sentence(value["sentence"], drafts, waiting, log, place)
        except AnnotatorError as error:
            raise InputError(f"{place}: {error}") from error
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{place}: not a document or sentence as this file has them"
            ) from error
    if waiting:
        block = next(iter(waiting.values())).block
        raise InputError(f"{block.file}:{block.line}: this sentence is not in {path.name}")
    return tuple(_finish(draft) for draft in drafts.values())


def _begin_document(value: dict[str, Any], drafts: dict[str, _Draft]) -> None:
    draft = _Draft(id=value["id"], text=value["text"], meta=dict(value["meta"]))
    if not isinstance(draft.id, str) or not isinstance(draft.text, str) or draft.id in drafts:
        raise InputError("a document needs an id of its own and a text, both strings")
    drafts[draft.id] = draft


def _place_sentence(
    value: dict[str, Any],
    drafts: dict[str, _Draft],
    waiting: dict[str, TaggedBlock],
    log: ReadLog,
    place: str,
) -> None:
    tagged = waiting.pop(str(value["number"]), None)
    draft = drafts[value["document_id"]]
    if tagged is None:
        n_entities = len(value["entities"])  # its relations are not known
        log.of(draft.id).lose(place, "the sentence is not in the BIOES file", n_labels=n_entities)
        return
    log.unread[draft.id] += tagged.n_unread
    tokens = tuple(Token(start=start, end=end) for start, end in value["tokens"])
    if [draft.text[token.start : token.end] for token in tokens] != tagged.block.words:
        raise InputError(
            f"the words of this sentence are not those at {tagged.block.file}:{tagged.block.line}"
        )
    drawn = {(first, last): (str(name), edges) for first, last, name, *edges in value["entities"]}
    entities, relations = to_entities(tokens, tagged.entities, tagged.relations)
    known = [drawn.get((e.first, e.last), ("", [])) for e in tagged.entities]
    entities = tuple(
        _as_drawn(entity, edges, draft.text)
        for entity, (_, edges) in zip(entities, known, strict=True)
    )
    draft.add(entities, relations, [name for name, _ in known])


def _as_drawn(entity: Entity, edges: Sequence[int], text: str) -> Entity:
    if not edges:
        return entity
    start, end = edges
    if not 0 <= start < end <= len(text):
        raise InputError(f"an entity at {start}..{end} of a text of {len(text)} characters")
    return replace(entity, start=start, end=end)


def _finish(draft: _Draft) -> Document:
    return Document(
        id=draft.id,
        text=draft.text,
        entities=tuple(draft.entities),
        relations=tuple(draft.relations),
        meta=draft.meta,
    )
