"""SpERT JSON: one list of sentences, each with tokens, entities and relations over them.

``{"tokens": [...], "entities": [{"type", "start", "end"}], "relations": [{"type", "head",
"tail"}], "orig_id"}``; ``start`` and ``end`` count tokens, the end exclusive; ``head`` and ``tail``
count entities. Entities may overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotator.domain import Document, WordEntity, WordRelation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.foreign import refuse_foreign
from annotator.formats.source import find_file, read_text
from annotator.formats.strict_json import parse_json
from annotator.formats.words import join_words

__all__ = ["read"]

_KEYS = {"tokens", "entities", "relations", "orig_id"}


def read(path: Path) -> Corpus:
    """Read one ``*.json`` (in a folder, ``train.json``).

    A document is a sentence, ``spert-<orig_id>``, its text the tokens joined by single spaces;
    ``meta`` keeps the corpus's tokens. Where ``orig_id`` is repeated (it names an abstract in some
    corpora) the later ones are ``spert-<orig_id>-2`` and so on, and all share a ``group``; where
    there is none the id is ``spert-n<index in the list>``. Repeated entities and relations, and
    keys of other programs, are left out and reported. A sentence that is not as described is lost.

    Raises:
        InputError: if there is no such file, it is no list, or it holds labels as another program
            writes them.
    """
    source = find_file(path, "train.json")
    log = ReadLog()
    items = _parse(source, log)
    names = [_name(item, i) for i, item in enumerate(items)]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    ranks: Counter[str] = Counter()
    documents: dict[str, Document] = {}
    for i, (item, name) in enumerate(zip(items, names, strict=True)):
        place = f"{source.name}: sentence {i}"
        ranks[name] += 1
        document_id = name if ranks[name] == 1 else f"{name}-{ranks[name]}"
        with log.forgive(place):
            document = _build(item, document_id, place, log)
            if name in repeated:
                document = replace(document, meta={**document.meta, "group": name})
            log.add(document, documents, place=place)
    n_unknown = sum(len(set(item) - _KEYS) for item in items if isinstance(item, dict))
    if n_unknown:
        reason = f"{n_unknown} keys beside tokens, entities, relations and orig_id were left out"
        log.skip(source.name, reason)
    return Corpus.build("spert", documents.values(), log)


def _parse(source: Path, log: ReadLog) -> list[Any]:
    value = parse_json(read_text(source, log), place=source.name, expected="one list of sentences")
    if not isinstance(value, list):
        raise InputError(f"{source.name}: expected a list, found {type(value).__name__}")
    for i, item in enumerate(value):
        if isinstance(item, dict):
            refuse_foreign(item, place=f"{source.name}: sentence {i}")
    return value


def _name(item: Any, i: int) -> str:
    name = item.get("orig_id") if isinstance(item, dict) else None
    return f"spert-n{i}" if name is None else f"spert-{name}"


def _build(item: Any, document_id: str, place: str, log: ReadLog) -> Document:
    if not isinstance(item, dict):
        raise InputError(f"{place}: expected an object")
    if type(item.get("orig_id")) not in (int, str, type(None)) or item.get("orig_id") == "":
        raise InputError(f"{place}: orig_id must be a whole number or a string")
    words = item.get("tokens")
    if not isinstance(words, list) or not words or not all(_is_word(word) for word in words):
        raise InputError(f"{place}: tokens must be a list of strings without white space")
    entities: list[WordEntity] = []
    places: list[int] = []  # index in ``entities`` of the file's i-th entity
    for n, value in enumerate(_objects(item, "entities", place)):
        entity = _entity(value, len(words), f"{place}, entity {n}")
        if entity in entities:
            reason = f"entity {n} of {document_id} repeats an earlier one"
            log.skip(place, reason)
        else:
            entities.append(entity)
        places.append(entities.index(entity))
    relations: dict[WordRelation, None] = {}
    for n, value in enumerate(_objects(item, "relations", place)):
        relation = _relation(value, places, f"{place}, relation {n}")
        if relation in relations:
            reason = f"relation {n} of {document_id} repeats an earlier one"
            log.skip(place, reason)
        relations[relation] = None
    return join_words(document_id, words, entities, tuple(relations))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not any(char.isspace() for char in value)


def _objects(item: Mapping[str, Any], key: str, place: str) -> Sequence[Mapping[str, Any]]:
    values = item.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InputError(f"{place}: {key} must be a list of objects")
    return values


def _entity(value: Mapping[str, Any], n_words: int, place: str) -> WordEntity:
    start, end = _index(value, "start", place), _index(value, "end", place)
    if not start < end <= n_words:
        raise InputError(
            f"{place}: expected 0 <= start < end <= {n_words} (the number of tokens; the end is "
            f"exclusive), found {start}..{end}"
        )
    return WordEntity(type=_type(value, place), first=start, last=end - 1)


def _relation(value: Mapping[str, Any], places: Sequence[int], place: str) -> WordRelation:
    head, tail = _index(value, "head", place), _index(value, "tail", place)
    if max(head, tail) >= len(places):
        raise InputError(
            f"{place}: relation from entity {head} to {tail} of {len(places)} entities"
        )
    return WordRelation(type=_type(value, place), head=places[head], tail=places[tail])


def _index(value: Mapping[str, Any], key: str, place: str) -> int:
    found = value.get(key)
    if type(found) is not int or found < 0:
        raise InputError(f"{place}: {key} must be a whole number from 0")
    return found


def _type(value: Mapping[str, Any], place: str) -> str:
    found = value.get("type")
    if not isinstance(found, str) or not found:
        raise InputError(f"{place}: type must be a string that is not empty")
    return found
