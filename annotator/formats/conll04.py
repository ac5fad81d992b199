"""CoNLL04 in the layout of Bekoulis et al.: ``#doc`` lines and five columns per token.

A document is a sentence. A relation is given on the last token of its head and names the last token
of its tail.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from annotator.domain import Document, WordRelation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_file, read_lines
from annotator.formats.words import join_words
from annotator.text import decode_bioes

__all__ = ["read"]


@dataclass(slots=True, kw_only=True)
class _Block:
    """The lines of one ``#doc``, while they are read."""

    id: str
    place: str
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    links: list[tuple[str, int, str, int]] = field(default_factory=list)  # place, head, type, tail
    is_broken: bool = False


def read(path: Path) -> Corpus:
    """Read ``train.txt``, ``dev.txt`` or ``test.txt`` (in a folder, ``train.txt``).

    The text is the words joined by single spaces; ``meta`` holds ``tokens`` and ``sentences``, so
    that the corpus keeps its own tokens. An ``I-`` without a ``B-`` starts an entity and is
    reported as repaired. Ids are ``conll04-<number of #doc>``.

    A sentence with a line that does not have its columns is lost, and so is a relation that names a
    token that ends no entity.

    Raises:
        InputError: if there is no such file.
    """
    source = find_file(path, "train.txt")
    blocks: list[_Block] = []
    log = ReadLog()
    for number, line in read_lines(source, log):
        place = f"{source.name}:{number}"
        if line.startswith("#doc"):
            blocks.append(_Block(id=line.removeprefix("#doc").strip(), place=place))
        elif line.strip() and not blocks:
            log.lose(place, "expected '#doc <id>' before the first token")
        elif line.strip() and not blocks[-1].is_broken:
            try:
                _read_token(line, blocks[-1], place)
            except InputError as error:
                log.note(error, place)
                blocks[-1].is_broken = True
    seen: set[str] = set()
    documents = []
    for block in (block for block in blocks if not block.is_broken):
        if block.id in seen or not block.id or not block.words:
            log.lose(block.place, "a #doc needs an id of its own and at least one token")
        else:
            seen.add(block.id)
            documents.append(_build(block, log.of(f"conll04-{block.id}")))
    return Corpus.build("conll04", documents, log)


def _read_token(line: str, block: _Block, place: str) -> None:
    columns = line.split("\t")
    if len(columns) != 5:
        raise InputError(
            f"{place}: expected 5 tab-separated columns (index, token, tag, relations, heads), "
            f"found {len(columns)}"
        )
    index, word, tag, names, heads = columns
    if index != str(len(block.words)):
        raise InputError(f"{place}: expected token index {len(block.words)}")
    if not word or any(char.isspace() for char in word):
        raise InputError(f"{place}: a token must not be empty nor hold white space")
    if tag != "O" and tag[:2] not in ("B-", "I-"):
        raise InputError(f"{place}: the tag must be O, or B- or I- with a type")
    block.links += _read_links(names, heads, len(block.words), place)
    block.words.append(word)
    block.tags.append(tag)


def _read_links(names: str, heads: str, i_word: int, place: str) -> list[tuple[str, int, str, int]]:
    try:
        types, ends = ast.literal_eval(names), ast.literal_eval(heads)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(f"{place}: relations and heads must be Python lists") from error
    if not (
        isinstance(types, list)
        and isinstance(ends, list)
        and len(types) == len(ends)
        and all(isinstance(name, str) and name for name in types)
        and all(type(end) is int for end in ends)
    ):
        raise InputError(f"{place}: expected a list of types and one of token indices, as long")
    return [
        (place, i_word, name, end) for name, end in zip(types, ends, strict=True) if name != "N"
    ]


def _build(block: _Block, log: ReadLog) -> Document:
    entities = decode_bioes(block.tags)
    for entity in entities:
        if block.tags[entity.first].startswith("I-"):
            reason = f"document {block.id}: I- without B- at token {entity.first} begins an entity"
            log.repair(block.place, reason)
    by_last = {entity.last: i for i, entity in enumerate(entities)}
    relations = []
    for place, head, name, tail in block.links:
        if head not in by_last or tail not in by_last:
            reason = f"relation {name} from token {head} to {tail} joins no last tokens of entities"
            log.lose(place, reason)
            continue
        relations.append(WordRelation(type=name, head=by_last[head], tail=by_last[tail]))
    return join_words(f"conll04-{block.id}", block.words, entities, relations)
