"""PubTator: a title, an abstract, mention lines, and relation lines between concepts.

``PMID|t|title``, ``PMID|a|abstract``, ``PMID TAB start TAB end TAB mention TAB type TAB concept``,
``PMID TAB relation TAB concept TAB concept``. Offsets count through both texts with one character
between them. **Relations join concepts of the document, not mentions.**
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_files, read_lines, split_named_by
from annotator.formats.standoff import Link, Mention, place_mentions

__all__ = ["read"]

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,12}")
_NO_CONCEPT = {"", "-", "-1"}
_GAP = "\n\n"  # between title and abstract, so that no sentence spans both


@dataclass(slots=True, kw_only=True)
class _Block:
    """The lines of one document, while they are read."""

    id: str
    place: str
    texts: dict[str, str] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)
    concepts: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by mention id
    links: list[Link] = field(default_factory=list)


def read(path: Path) -> Corpus:
    """Read a file, or every ``.pubtator`` and ``.pubtator.txt`` file in and below a folder.

    The id is the PMID. A relation between two concepts becomes one between mentions only where each
    of the two has exactly one mention in the document; the first concept is the head. All others
    are skipped: the file does not say which mentions they relate.

    A line of no kind above, or outside its document, is lost.

    Raises:
        InputError: if there is no such file.
    """
    root = path if path.is_dir() else path.parent
    log = ReadLog()
    documents: dict[str, Document] = {}
    suffixes = (".pubtator", ".pubtator.txt", ".pubtator.gz", ".pubtator.txt.gz")
    for file in find_files(path, *suffixes):
        split = split_named_by(file, root=root)
        meta: dict[str, Any] = {} if split is None else {"split": split}
        for block in _blocks(file, log):
            document = replace(_build(block, log.of(block.id)), meta=meta)
            log.add(document, documents, place=block.place)
    return Corpus.build("pubtator", documents.values(), log)


def _blocks(source: Path, log: ReadLog) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in read_lines(source, log):
        place = f"{source.name}:{number}"
        if not line.strip():
            continue
        columns = line.split("\t")
        match = _TEXT_LINE.fullmatch(line)
        if match is not None:
            name, kind, text = match.groups()
            if block is None or name != block.id or kind in block.texts:  # or the document again
                if block is not None:
                    yield block
                block = _Block(id=name, place=place)
            block.texts[kind] = text
        elif block is None:
            log.lose(place, "expected 'PMID|t|title' before any other line")
        elif columns[0] != block.id:
            log.of(columns[0]).lose(place, f"expected a line of document {block.id}")
        else:
            with log.of(block.id).forgive(place):
                _read_label(columns, block, place)
    if block is not None:
        yield block


def _read_label(columns: list[str], block: _Block, place: str) -> None:
    if len(columns) >= 5 and all(_NUMBER.fullmatch(column) for column in columns[1:3]):
        name = f"e{len(block.mentions) + 1}"
        block.mentions.append(
            Mention(
                id=name,
                type=columns[4].strip(),
                start=int(columns[1]),
                end=int(columns[2]),
                text=columns[3] or None,
                place=place,
            )
        )
        concept = columns[5].strip() if len(columns) > 5 else ""
        parts = {concept, *re.split(r"[|;,]", concept)} - _NO_CONCEPT  # may be several
        block.concepts[name] = tuple(sorted(parts))
    elif len(columns) >= 4 and all(columns[1:4]) and not _NUMBER.fullmatch(columns[1]):
        name, head, tail = (column.strip() for column in columns[1:4])
        block.links.append(Link(id=name, type=name, head=head, tail=tail, place=place))
    else:
        raise InputError(
            f"{place}: expected 'PMID, start, end, mention, type, concept' or 'PMID, relation, "
            "concept, concept', separated by tabs"
        )


def _build(block: _Block, log: ReadLog) -> Document:
    title, abstract = block.texts.get("t", ""), block.texts.get("a", "")
    mentions = []
    for mention in block.mentions:
        if mention.type:
            mentions.append(mention)
        else:
            log.lose(mention.place, "the mention has no type")
    placed = place_mentions(f"{title}\n{abstract}", mentions, log, file=block.place)
    shift = len(_GAP) - 1
    entities = tuple(
        replace(
            entity,
            start=entity.start + shift * (entity.start > len(title)),
            end=entity.end + shift * (entity.end > len(title)),
        )
        for entity in placed
    )
    text = f"{title}{_GAP}{abstract}" if abstract else title
    if not text.strip():
        log.skip(block.place, f"the document {block.id} holds no text")
    return Document(
        id=block.id, text=text, entities=entities, relations=_relate(block, entities, log)
    )


def _relate(block: _Block, entities: tuple[Entity, ...], log: ReadLog) -> tuple[Relation, ...]:
    n_mentions = Counter(part for parts in block.concepts.values() for part in parts)
    kept = {entity.id for entity in entities}
    owners = {
        part: name
        for name, parts in block.concepts.items()
        for part in parts
        if n_mentions[part] == 1 and name in kept
    }
    relations = []
    for link in block.links:
        counts = n_mentions[link.head], n_mentions[link.tail]
        head, tail = owners.get(link.head), owners.get(link.tail)
        if counts != (1, 1):
            reason = (
                f"joins concepts with {counts[0]} and {counts[1]} mentions; it does not say which"
            )
        elif head is None or tail is None:
            reason = "joins a concept whose mention was left out"
        elif head == tail:
            reason = "joins two concepts of one mention"
        else:
            relations.append(Relation(type=link.type, head=head, tail=tail))
            continue
        log.lose(link.place, f"{link.type} {reason}")
    return tuple(relations)
