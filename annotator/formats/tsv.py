"""The lines of the authors' nine-column files, and the labels they encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from annotator.domain import WordEntity, WordRelation
from annotator.errors import InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.source import read_lines
from annotator.text import decode_bioes, encode_bioes

__all__ = ["Block", "Link", "TaggedBlock", "decode_block", "read_blocks"]

_N_TOKEN_COLUMNS = 9
_N_RELATION_COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relation line: word indices of both ends as written, and its line."""

    place: str
    head: int
    tail: int
    type: str


@dataclass(slots=True, kw_only=True)
class Block:
    """One sentence of the file as written. ``number`` is its id, ``line`` its first line.

    ``parts_of_speech`` is the fifth column, ``O`` in files that have none.
    """

    number: str
    file: str
    line: int
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    parts_of_speech: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    is_broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedBlock:
    """A block with the entities and relations it encodes; ``n_unread`` relations have no ends."""

    block: Block
    entities: tuple[WordEntity, ...]
    relations: tuple[WordRelation, ...]
    n_unread: int


def read_blocks(source: Path, log: ReadLog) -> Iterator[Block]:
    """Yield the sentences of a file; the number of columns tells token lines from relation lines.

    A sentence is lost, with its first wrong line noted, if a line has neither nine nor three
    columns, token indices do not count from 0, or its number is repeated.
    """
    block: Block | None = None
    seen: set[str] = set()
    for number, line in read_lines(source, log):
        if not line.strip():
            continue
        columns = line.split("\t")
        is_token = len(columns) == _N_TOKEN_COLUMNS
        if is_token and (block is None or columns[0] != block.number):
            if block is not None and not block.is_broken:
                yield block
            block = Block(number=columns[0], file=source.name, line=number)
        if block is not None and block.is_broken:
            continue
        try:
            _add_line(block, columns, f"{source.name}:{number}", seen)
        except InputError as error:
            log.note(error, source.name)
            if block is not None:
                block.is_broken = True
    if block is not None and not block.is_broken:
        yield block


def _add_line(block: Block | None, columns: list[str], place: str, seen: set[str]) -> None:
    if block is not None and len(columns) == _N_TOKEN_COLUMNS:
        if not block.words and block.number in seen:
            raise InputError(f"{place}: a sentence number comes back after another one")
        seen.add(block.number)
        _add_token(block, columns, place)
    elif block is not None and len(columns) == _N_RELATION_COLUMNS:
        block.links.append(_parse_link(columns, len(block.words), place))
    else:
        raise InputError(
            f"{place}: expected 9 tab-separated columns (a token) or, after a sentence, 3 "
            f"(a relation), found {len(columns)}"
        )


def decode_block(block: Block, log: ReadLog) -> TaggedBlock:
    """Read entities and relations from a block.

    Raises:
        InputError: naming ``file:line``, if a tag is not BIOES.
    """
    try:
        entities = decode_bioes(block.tags)
    except InputError as error:
        raise InputError(f"{block.file}:{block.line}: in this sentence {error}") from error
    legal = encode_bioes(len(block.words), entities)
    changed = [i for i, tag in enumerate(block.tags) if tag != legal[i]]
    for _, run in groupby(enumerate(changed), key=lambda pair: pair[1] - pair[0]):
        first = next(run)[1]
        reason = "the tags do not follow BIOES; an entity was begun or ended where they change"
        log.repair(f"{block.file}:{block.line + first}", reason)
    owners = {i: n for n, e in enumerate(entities) for i in range(e.first, e.last + 1)}
    relations = []
    for link in block.links:
        head, tail = owners.get(link.head), owners.get(link.tail)
        if head is None or tail is None:
            reason = f"relation {link.head} -> {link.tail} points at a token outside any entity"
            log.lose(link.place, reason)
            continue
        if {block.tags[link.head][0], block.tags[link.tail][0]} - {"E", "S"}:
            reason = f"relation {link.head} -> {link.tail} points at a token not tagged E- or S-"
            log.repair(link.place, reason)
        relations.append(WordRelation(type=link.type, head=head, tail=tail))
    return TaggedBlock(
        block=block,
        entities=entities,
        relations=tuple(relations),
        n_unread=len(block.links) - len(relations),
    )


def _add_token(block: Block, columns: list[str], place: str) -> None:
    tag, index, word = columns[1], columns[2], columns[5]
    if block.links:
        raise InputError(f"{place}: a token after the relations of its sentence")
    if index != str(len(block.words)):
        raise InputError(f"{place}: expected token index {len(block.words)}")
    if not word or any(char.isspace() for char in word):
        raise InputError(f"{place}: a token must not be empty nor hold white space")
    block.words.append(word)
    block.tags.append(tag)
    block.parts_of_speech.append(columns[4])


def _parse_link(columns: list[str], n_words: int, place: str) -> Link:
    head, tail, name = columns
    if not (head.isdecimal() and tail.isdecimal() and name):
        raise InputError(f"{place}: expected token index, token index and relation type")
    if max(int(head), int(tail)) >= n_words:
        raise InputError(f"{place}: the relation points past the sentence ({n_words} tokens)")
    return Link(place=place, head=int(head), tail=int(tail), type=name)
