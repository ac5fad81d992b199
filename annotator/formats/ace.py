"""ACE 2004 and 2005 as distributed: per document ``X.sgm`` (text) and ``X.apf.xml`` (stand-off).

Offsets count characters of the ``.sgm`` after every ``<...>`` is removed; ``&amp;`` and the like
are not decoded; ``END`` is inclusive. An entity is the **head** of a mention. The two years name
the arguments of a relation differently; each relation is read by the names it uses.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.markup import parse_xml
from annotator.formats.mentions import same_words
from annotator.formats.source import find_groups, read_bytes, read_text, split_named_by
from annotator.formats.standoff import Link, Mention, link_entities, place_mentions

__all__ = ["read"]

_LABELS = ".apf.xml"
_TEXT = ".sgm"
_TAG = re.compile(r"<[^<>]*>")
_NUMBER = re.compile(r"[0-9]{1,12}")
_ARGUMENTS = {  # element: attribute of the mention, of its place, and the places in order
    "relation_mention_argument": ("REFID", "ROLE", ("Arg-1", "Arg-2")),
    "rel_mention_arg": ("ENTITYMENTIONID", "ARGNUM", ("1", "2")),
}
_DISCOURSE = "DISC"
_OTHER_ELEMENTS = {"timex2": "times", "value": "values", "quantity": "values", "event": "events"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One ``.apf.xml`` file and the notes made while reading it."""

    name: str
    root: Element
    log: ReadLog


def read(path: Path) -> Corpus:
    """Read one document (``X.apf.xml`` or ``X.sgm``), or every document in and below a folder.

    The id is ``X``. Mentions with the same type and head become one entity, noted as repaired.
    Skipped: relations that lost an argument, that become duplicates or join an entity with itself,
    and ``DISC``; also times, values, events and mentions without a head.

    A document whose XML is malformed or unsafe, or lacks an id or offset, is lost.

    Raises:
        InputError: if there is no such file, or two documents have the same name.
    """
    root = path if path.is_dir() else path.parent
    log = ReadLog()
    documents: dict[str, Document] = {}
    for stem, files in find_groups(path, _LABELS, _TEXT).items():
        name = stem.name
        if _LABELS not in files:
            log.skip(files[_TEXT].name, f"there is no {name}{_LABELS} beside it")
            continue
        file = files[_LABELS]
        if name in documents:
            raise InputError(
                f"{file.relative_to(root)}: another document below this folder is named so too; "
                "read one version of the annotation at a time"
            )
        if _TEXT not in files:
            log.lose(file.name, f"there is no {name}{_TEXT} beside it")
            continue
        split = split_named_by(file, root=root)
        meta: dict[str, Any] = {} if split is None else {"split": split}
        with log.forgive(name):
            xml = parse_xml(read_bytes(file), file.name)
            source = _Source(name=file.name, root=xml, log=log.of(name))
            text = _TAG.sub("", read_text(files[_TEXT], log))
            documents[name] = _build(name, text, source, meta)
    return Corpus.build("ace", documents.values(), log)


def _build(name: str, text: str, source: _Source, meta: Mapping[str, Any]) -> Document:
    mentions = list(_mentions(source))
    placed = place_mentions(text, mentions, source.log, file=source.name, same=_same)
    entities, owners = _merge(placed, source)
    relations = link_entities(_links(source), owners, source.log)
    _report_others(source)
    return Document(
        id=name,
        text=text,
        entities=entities,
        relations=_distinct(relations, source),
        meta=meta,
    )


def _same(found: str, mention: str) -> bool:
    """Return whether a slice, in which nothing is decoded, is a mention that the parser decoded."""
    return same_words(found, mention) or same_words(html.unescape(found), mention)


def _mentions(source: _Source) -> Iterator[Mention]:
    for entity in source.root.iter("entity"):
        for mention in entity.iter("entity_mention"):
            name = _attribute(mention, "ID", source)
            charseq = mention.find("head/charseq")
            if charseq is None:
                source.log.lose(source.name, f"mention {name} has no head")
                continue
            yield Mention(
                id=name,
                type=_attribute(entity, "TYPE", source),
                start=_offset(charseq, "START", source),
                end=_offset(charseq, "END", source) + 1,
                place=source.name,
                text=charseq.text or None,
            )


def _merge(
    placed: tuple[Entity, ...], source: _Source
) -> tuple[tuple[Entity, ...], dict[str, str]]:
    """Return one entity per type and span, and the id of the entity that each mention became."""
    kept: dict[tuple[str, int, int], Entity] = {}
    owners: dict[str, str] = {}
    for entity in placed:
        first = kept.setdefault((entity.type, entity.start, entity.end), entity)
        owners[entity.id] = first.id
        if first is not entity:
            reason = f"{entity.id} has the type and head of {first.id}; they were made one"
            source.log.repair(source.name, reason)
    return tuple(kept.values()), owners


def _links(source: _Source) -> Iterator[Link]:
    for relation in source.root.iter("relation"):
        kind = _attribute(relation, "TYPE", source)
        for mention in relation.iter("relation_mention"):
            name = _attribute(mention, "ID", source)
            if kind == _DISCOURSE:
                source.log.skip(source.name, f"relation {name} is {_DISCOURSE}")
                continue
            ends = _arguments(mention, source)
            if len(ends) < 2:
                source.log.lose(source.name, f"relation {name} does not have both its arguments")
                continue
            yield Link(id=name, type=kind, head=ends[0], tail=ends[1], place=source.name)


def _arguments(mention: Element, source: _Source) -> dict[int, str]:
    ends: dict[int, str] = {}
    for element, (reference, place, places) in _ARGUMENTS.items():
        for argument in mention.iter(element):
            role = argument.get(place)
            if role in places:
                ends[places.index(role)] = _attribute(argument, reference, source)
    return ends


def _distinct(relations: tuple[Relation, ...], source: _Source) -> tuple[Relation, ...]:
    kept: dict[Relation, None] = {}
    for relation in relations:
        name = f"{relation.type} from {relation.head} to {relation.tail}"
        if relation.head == relation.tail:
            source.log.lose(source.name, f"{name} joins an entity with itself")
            continue
        if relation in kept:
            source.log.skip(source.name, f"{name} occurs twice")
        kept[relation] = None
    return tuple(kept)


def _report_others(source: _Source) -> None:
    for element, kind in _OTHER_ELEMENTS.items():
        found = list(source.root.iter(element))
        if found:
            first = found[0].get("ID", "no id")
            source.log.skip(source.name, f"{len(found)} {kind} were left out, first {first}")
    n_roles = sum(
        argument.get(place) not in places
        for mention in source.root.iter("relation_mention")
        for element, (_, place, places) in _ARGUMENTS.items()
        for argument in mention.iter(element)
    )
    if n_roles:
        reason = f"{n_roles} arguments that are neither first nor second were left out"
        source.log.skip(source.name, reason)


def _attribute(element: Element, name: str, source: _Source) -> str:
    value = element.get(name)
    if not value:
        raise InputError(f"{source.name}: a {element.tag} has no {name}")
    return value


def _offset(charseq: Element, name: str, source: _Source) -> int:
    value = _attribute(charseq, name, source)
    if not _NUMBER.fullmatch(value):
        raise InputError(f"{source.name}: {name} of a charseq must be a whole number")
    return int(value)
