"""The bundled sample corpus is what its guidelines and the demo promise."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from annotator.domain import Document, Entity, LabelSchema, Relation
from annotator.text import split_sentences

SCHEMA = LabelSchema(
    entity_types=("Drug", "Dose", "Adverse-Effect", "Condition", "Procedure"),
    relation_types=("has-dose", "causes", "treats", "performed-for"),
    pairs=frozenset(
        {
            ("has-dose", "Drug", "Dose"),
            ("causes", "Drug", "Adverse-Effect"),
            ("treats", "Drug", "Condition"),
            ("performed-for", "Procedure", "Condition"),
        }
    ),
)


def _document(row: dict[str, Any]) -> Document:
    return Document(
        id=row["id"],
        text=row["text"],
        entities=tuple(
            Entity(id=entity["id"], type=entity["type"], start=entity["start"], end=entity["end"])
            for entity in row["entities"]
        ),
        relations=tuple(
            Relation(type=relation["type"], head=relation["head"], tail=relation["tail"])
            for relation in row["relations"]
        ),
        meta=row["meta"],
    )


def _entities_by_sentence(document: Document) -> list[set[str]]:
    """Ids of the entities that lie wholly inside each sentence."""
    return [
        {
            entity.id
            for entity in document.entities
            if sentence.start <= entity.start and entity.end <= sentence.end
        }
        for sentence in split_sentences(document.text)
    ]


@pytest.fixture(scope="module")
def rows(repository: Path) -> list[dict[str, Any]]:
    content = (repository / "annotator" / "sample" / "notes.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()]


@pytest.fixture(scope="module")
def notes(rows: list[dict[str, Any]]) -> list[Document]:
    return [_document(row) for row in rows]


def test_sample_has_at_least_48_notes_with_unique_ids(notes: list[Document]) -> None:
    ids = {note.id for note in notes}

    assert len(ids) == len(notes) >= 48


def test_sample_names_a_different_kind_for_every_note(notes: list[Document]) -> None:
    kinds = {note.meta["kind"] for note in notes}

    assert len(kinds) == len(notes)


def test_every_slice_of_the_sample_equals_its_mention(rows: list[dict[str, Any]]) -> None:
    wrong = [
        (row["id"], entity["id"])
        for row in rows
        for entity in row["entities"]
        if row["text"][entity["start"] : entity["end"]] != entity["text"]
    ]

    assert wrong == []


def test_no_entity_of_the_sample_cuts_a_word(notes: list[Document]) -> None:
    cut = [
        (note.id, entity.id)
        for note in notes
        for entity in note.entities
        for edge in (entity.start, entity.end)
        if re.fullmatch(r"\w\w", note.text[max(0, edge - 1) : edge + 1])
    ]

    assert cut == []


def test_entities_of_the_sample_do_not_overlap(notes: list[Document]) -> None:
    ordered = [sorted(note.entities, key=lambda entity: entity.start) for note in notes]
    overlaps = [
        (left.id, right.id)
        for entities in ordered
        for left, right in pairwise(entities)
        if right.start < left.end
    ]

    assert overlaps == []


def test_sample_uses_exactly_the_declared_schema(notes: list[Document]) -> None:
    used = LabelSchema.from_documents(notes)

    assert set(used.entity_types) == set(SCHEMA.entity_types)
    assert used.pairs == SCHEMA.pairs


@pytest.mark.parametrize("name", SCHEMA.entity_types)
def test_entity_type_occurs_at_least_40_times_in_the_sample(
    notes: list[Document], name: str
) -> None:
    counts = Counter(entity.type for note in notes for entity in note.entities)

    assert counts[name] >= 40


@pytest.mark.parametrize("name", SCHEMA.relation_types)
def test_relation_type_occurs_at_least_25_times_in_the_sample(
    notes: list[Document], name: str
) -> None:
    counts = Counter(relation.type for note in notes for relation in note.relations)

    assert counts[name] >= 25


def test_no_relation_of_the_sample_occurs_twice(notes: list[Document]) -> None:
    keys = [(note.id, link.type, link.head, link.tail) for note in notes for link in note.relations]

    assert len(set(keys)) == len(keys)


def test_every_relation_of_the_sample_lies_inside_one_sentence(notes: list[Document]) -> None:
    across = [
        (note.id, link.head, link.tail)
        for note in notes
        for link in note.relations
        if not any({link.head, link.tail} <= ids for ids in _entities_by_sentence(note))
    ]

    assert across == []


def test_no_two_notes_of_the_sample_share_a_sentence_of_five_words(notes: list[Document]) -> None:
    sentences = {
        (note.id, tuple(re.findall(r"\w+", note.text[span.start : span.end].lower())))
        for note in notes
        for span in split_sentences(note.text)
    }

    n_notes = Counter(words for _, words in sentences if len(words) >= 5)

    assert n_notes.most_common(1)[0][1] == 1


def test_sample_has_at_least_320_sentences(notes: list[Document]) -> None:
    n_sentences = sum(len(split_sentences(note.text)) for note in notes)

    assert n_sentences >= 320


def test_at_least_15_percent_of_the_sentences_hold_no_entity(notes: list[Document]) -> None:
    is_empty = [not ids for note in notes for ids in _entities_by_sentence(note)]

    assert sum(is_empty) / len(is_empty) >= 0.15
