"""BioC, XML and JSON: documents of passages, with annotations and relations at any level.

A document's text is its passages joined by a blank line, or its sentences joined by a space;
annotations are moved along. The position of an annotation is checked against its ``text``, passage
by passage, because programs count code points, UTF-16 units or bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from annotator.domain import Document, Entity
from annotator.errors import InputError
from annotator.formats.bioc_files import load_documents
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.foreign import refuse_foreign
from annotator.formats.source import find_files, split_named_by
from annotator.formats.standoff import Link, Mention, link_entities, place_mentions

__all__ = ["read"]

_PARTNERS = {"arg2": "arg1", "tail": "head", "object": "subject", "obj": "subj", "target": "source"}


@dataclass(slots=True, kw_only=True)
class _Block:
    """A piece of text with its offset in the source and in our text, and its annotations."""

    text: str
    offset: int
    start: int
    mentions: list[Mention] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A document under construction."""

    id: str
    place: str
    log: ReadLog
    text: str = ""
    blocks: list[_Block] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    relations: list[Mapping[str, Any]] = field(default_factory=list)

    def add_block(self, value: Mapping[str, Any], gap: str) -> _Block:
        """Append the text of a passage or sentence, after ``gap`` if there is text already."""
        text = _string(value, "text", self.place)
        if self.blocks:
            self.text += gap
        block = _Block(text=text, offset=_whole(value, "offset", self.place), start=len(self.text))
        self.blocks.append(block)
        self.text += text
        return block

    def add_annotation(self, value: Mapping[str, Any], block: _Block | None) -> None:
        """Add an annotation to ``block``, or to the block its offset lies in.

        Raises:
            InputError: if it has no type or place, or stands in no text.
        """
        place = f"{self.place}: annotation {value.get('id') or 'without id'}"
        kind = _infon(value, place)
        spans = sorted(
            (offset, offset + _whole(location, "length", place))
            for location in _objects(value, "locations", place)
            for offset in [_whole(location, "offset", place)]
        )
        if kind is None or not spans:
            raise InputError(f"{place}: it has {'no place' if kind else 'no type'}")
        offset = spans[0][0]
        before = [b for b in self.blocks if b.offset <= offset] if block is None else [block]
        if not before:
            raise InputError(f"{place}: it stands in no text")
        owner = before[-1]
        spans = [(start - owner.offset, end - owner.offset) for start, end in spans]
        text = _string(value, "text", place) if value.get("text") else None
        if text is None and len(spans) > 1:
            text = " ".join(owner.text[start:end] for start, end in spans)
        name = str(value.get("id") or "")
        self.ids[name] += 1
        owner.mentions.append(
            Mention(
                id=name,
                type=kind,
                start=spans[0][0],
                end=max(end for _, end in spans),
                place=f"{self.place}, text from {owner.offset} on",
                text=text,
                n_fragments=len(spans),
            )
        )


def read(path: Path) -> Corpus:
    """Read one ``*.xml`` or ``*.json``, or all in and below a folder; the content decides which.

    The id is the document's. In a relation between two annotations the first node is the head,
    unless the roles say otherwise (``Arg1``/``Arg2``, ``head``/``tail``, ``subject``/``object``,
    ``source``/``target``). An annotation with several locations is one span if only white space
    separates them. Lost: other annotations with several locations or none, or without a type;
    relations that do not have two annotations as nodes, such as those between concepts; documents,
    lines and files that are not BioC.

    Raises:
        InputError: if there is no such file, or it holds labels as another program writes them.
    """
    root = path if path.is_dir() else path.parent
    log = ReadLog()
    documents: dict[str, Document] = {}
    for file in find_files(path, ".xml", ".json"):
        split = split_named_by(file, root=root)
        values: list[dict[str, Any]] = []
        with log.forgive(file.name):
            values = load_documents(file, log)
        for i, value in enumerate(values):
            name = value.get("id")
            if type(name) not in (str, int) or name == "":
                log.lose(file.name, f"document {i} has no id")
                continue
            place = f"{file.name}: {name}"
            refuse_foreign(value, place=place, ours=("annotations", "relations"))
            with log.forgive(place):
                document = _build(value, _Draft(id=str(name), place=place, log=log.of(str(name))))
                meta = {} if split is None else {"split": split}
                log.add(replace(document, meta=meta), documents, place=place)
    return Corpus.build("bioc", documents.values(), log)


def _build(value: Mapping[str, Any], draft: _Draft) -> Document:
    for passage in _objects(value, "passages", draft.place):
        _add_passage(passage, draft)
    _add_annotations(value, None, draft)
    draft.relations += _objects(value, "relations", draft.place)
    if not draft.blocks:
        draft.log.skip(draft.place, "the document holds no text")
    taken = set(draft.ids)
    entities: list[Entity] = []
    for block in draft.blocks:
        mentions = [_name(mention, draft, taken) for mention in block.mentions]
        file = f"{draft.place}, text from {block.offset} on"
        for entity in place_mentions(block.text, mentions, draft.log, file=file, base=block.offset):
            start, end = entity.start + block.start, entity.end + block.start
            entities.append(replace(entity, start=start, end=end))
    owners = {entity.id: entity.id for entity in entities}
    return Document(
        id=draft.id,
        text=draft.text,
        entities=tuple(entities),
        relations=link_entities(_links(draft), owners, draft.log),
    )


def _add_passage(passage: Mapping[str, Any], draft: _Draft) -> None:
    sentences = _objects(passage, "sentences", draft.place)
    whole = draft.add_block(passage, "\n\n") if passage.get("text") else None
    owners = [(passage, whole)]
    gap = "\n\n"
    for sentence in sentences:
        if whole is not None or not sentence.get("text"):
            owners.append((sentence, whole))
        else:
            owners.append((sentence, draft.add_block(sentence, gap)))
            gap = " "
    for item, block in owners:
        _add_annotations(item, block, draft)
        draft.relations += _objects(item, "relations", draft.place)


def _add_annotations(value: Mapping[str, Any], block: _Block | None, draft: _Draft) -> None:
    for annotation in _objects(value, "annotations", draft.place):
        with draft.log.forgive(draft.place):
            draft.add_annotation(annotation, block)


def _name(mention: Mention, draft: _Draft, taken: set[str]) -> Mention:
    """Give a mention a unique id where the file has none."""
    if mention.id and draft.ids[mention.id] == 1:
        return mention
    n = len(taken)
    while (name := f"e{n}") in taken:
        n += 1
    taken.add(name)
    reason = f"an annotation without an id of its own ({mention.id!r}) is now {name}"
    draft.log.repair(mention.place, reason)
    return replace(mention, id=name)


def _links(draft: _Draft) -> Iterator[Link]:
    for value in draft.relations:
        name = str(value.get("id") or "without id")
        kind = _infon(value, draft.place)
        nodes = _objects(value, "nodes", draft.place)
        if kind is None or len(nodes) != 2:
            reason = f"joins {len(nodes)} annotations, not two" if kind else "has no type"
            draft.log.lose(draft.place, f"relation {name} {reason}")
            continue
        roles = [str(node.get("role") or "").lower() for node in nodes]
        ends = [str(node.get("refid") or "") for node in nodes]
        if _PARTNERS.get(roles[0]) == roles[1]:
            ends.reverse()
        yield Link(id=name, type=kind, head=ends[0], tail=ends[1], place=draft.place)


def _infon(value: Mapping[str, Any], place: str) -> str | None:
    infons = value.get("infons") or {}
    if not isinstance(infons, dict):
        raise InputError(f"{place}: infons must be an object")
    kind = infons.get("type") or infons.get("relation")
    return kind if isinstance(kind, str) else None


def _objects(value: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    values = value.get(key) or []
    if not isinstance(values, list) or not all(isinstance(item, dict) for item in values):
        raise InputError(f"{place}: {key} must be a list of objects")
    return values


def _string(value: Mapping[str, Any], key: str, place: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise InputError(f"{place}: {key} must be a string")
    return found


def _whole(value: Mapping[str, Any], key: str, place: str) -> int:
    found = value.get(key)
    if type(found) is not int or found < 0:
        raise InputError(f"{place}: {key} must be a whole number from 0")
    return found
