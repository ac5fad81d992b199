"""CoNLL04 as first distributed: ``corp.tsv``, which includes the sentences without relations.

Nine columns per token: sentence id, entity type or ``O``, token index, ``O``, part of speech,
token, ``O``, ``O``, ``O``; then relation lines ``head TAB tail TAB type`` with token indices. An
entity is **one token, its words joined by** ``/``; a comma is written ``COMMA``, brackets ``-LRB-``
and ``-RRB-``.
"""

from __future__ import annotations

from pathlib import Path

from annotator.domain import Document, WordEntity, WordRelation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_file
from annotator.formats.tsv import Block, read_blocks
from annotator.formats.words import join_words

__all__ = ["read"]

_WRITTEN = {("COMMA", ","): ",", ("-LRB-", "-LRB-"): "(", ("-RRB-", "-RRB-"): ")"}


def read(path: Path) -> Corpus:
    """Read ``corp.tsv`` or ``corp.tsv.gz`` (in a folder, the compressed one is preferred).

    A document is a sentence, ``conll04-<id>`` as in the other layouts. Tokens are split at ``/``
    where the part of speech has as many parts; elsewhere (``Energiya/Buran`` as one noun) the token
    stays whole, noted as repaired. ``COMMA``, ``-LRB-`` and ``-RRB-`` become the characters they
    stand for, as in the other layouts.

    A sentence with a line that does not have its columns is lost.

    Raises:
        InputError: if there is no such file.
    """
    packed = path.is_dir() and (path / "corp.tsv.gz").is_file()
    source = find_file(path, "corp.tsv.gz" if packed else "corp.tsv")
    log = ReadLog()
    documents = []
    for block in read_blocks(source, log):
        with log.forgive(block.file):
            documents.append(_build(block, log.of(f"conll04-{block.number}")))
    return Corpus.build("conll04-corp", documents, log)


def _build(block: Block, log: ReadLog) -> Document:
    words: list[str] = []
    entities: list[WordEntity] = []
    places: dict[int, int] = {}  # token index in the file: index in ``entities``
    for i, tag in enumerate(block.tags):
        if tag.startswith(("B-", "I-", "E-", "S-")):
            raise InputError(
                f"{block.file}:{block.line + i}: expected a type or O, found a tag with a prefix; "
                "read the file as bioes"
            )
        parts = _split(block, i, log)
        if tag != "O":
            places[i] = len(entities)
            last = len(words) + len(parts) - 1
            entities.append(WordEntity(type=tag, first=len(words), last=last))
        words += parts
    relations: dict[WordRelation, None] = {}
    for link in block.links:
        if link.head not in places or link.tail not in places:
            reason = f"relation {link.head} -> {link.tail} points at a token that is no entity"
            log.lose(link.place, reason)
            continue
        relation = WordRelation(type=link.type, head=places[link.head], tail=places[link.tail])
        if relation in relations:
            log.skip(link.place, f"relation {link.head} -> {link.tail} repeats an earlier line")
        relations[relation] = None
    return join_words(f"conll04-{block.number}", words, entities, tuple(relations))


def _split(block: Block, i: int, log: ReadLog) -> list[str]:
    word, part_of_speech = block.words[i], block.parts_of_speech[i]
    parts, kinds = word.split("/"), part_of_speech.split("/")
    if len(parts) != len(kinds) or not all(parts):
        if len(parts) > 1 and any(parts):
            reason = (
                f"token {i} of sentence {block.number} stays whole: "
                f"{len(parts)} parts, {len(kinds)} parts of speech"
            )
            log.repair(f"{block.file}:{block.line + i}", reason)
        parts, kinds = [word], [part_of_speech]
    return [_WRITTEN.get((p, kind), p) for p, kind in zip(parts, kinds, strict=True)]
