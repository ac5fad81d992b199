"""What was labelled last, and how much: the gold that the queue and the triggers look at."""

from __future__ import annotations

from typing import Any

import pytest
from factories import at, make_annotation, make_document
from tiny_bert import TINY_SCHEMA

from annotator.domain import Entity
from annotator.services.intake.documents import store_document
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.documents import sentences_of
from annotator.store.gold import (
    count_gold,
    gold_units,
    newest_gold_sentences,
    newest_gold_texts,
)
from annotator.store.projects import Project, ensure_project
from annotator.store.snapshots import has_same_gold, n_new_sentences, take_snapshot

FIRST, SECOND = "Fever after drug A.", "No rash with drug B."
TEXT = f"{FIRST} {SECOND}"
WHOLE, ONE, TWO = (0, len(TEXT)), (0, len(FIRST)), (len(FIRST) + 1, len(TEXT))


class Ward:
    """A project whose documents all hold ``TEXT``; each annotation is its own unless named."""

    def __init__(self, database: Database, project_id: int) -> None:
        self.database, self.project_id = database, project_id
        self.documents: list[int] = []

    def add(self, name: str, *, split: str = "train") -> int:
        document = make_document(name, TEXT)
        with self.database.write() as session:
            stored, _, _ = store_document(session, self.project_id, document, split=split)
        self.documents.append(stored)
        return stored

    def label(self, document_id: int, external_id: str, **fields: Any) -> None:
        with self.database.write() as session:
            new = make_annotation(
                self.project_id,
                document_id,
                document=make_document("any", TEXT),
                external_id=external_id,
                **fields,
            )
            record_annotation(session, new)

    def sentences(self, limit: int = 99) -> list[tuple[int, int]]:
        """Document and number of the sentences labelled last."""
        with self.database.read() as session:
            found = newest_gold_sentences(session, self.project_id, limit=limit)
            places = {
                sentence.id: (document, i)
                for document in self.documents
                for i, sentence in enumerate(sentences_of(session, document))
            }
        return [places[one] for one in found]

    def texts(self, limit: int = 99) -> list[str]:
        with self.database.read() as session:
            return newest_gold_texts(session, self.project_id, limit=limit)

    def counts(self) -> dict[str, int]:
        with self.database.read() as session:
            return count_gold(session, self.project_id)


@pytest.fixture
def ward(database: Database, project: Project) -> Ward:
    return Ward(database, project.id)


@pytest.fixture
def other(database: Database, project: Project) -> Ward:
    with database.write() as session:
        return Ward(database, ensure_project(session, name="other", unit="sentence").id)


def test_what_was_labelled_last_comes_first(ward: Ward) -> None:
    old, young = ward.add("old"), ward.add("young")
    ward.label(young, "1", region=WHOLE, created_at=at(9))
    ward.label(old, "2", region=TWO, created_at=at(5))
    ward.label(old, "3", region=ONE, created_at=at(5))

    assert ward.sentences() == [(young, 0), (young, 1), (old, 0), (old, 1)]
    assert ward.texts() == [TEXT, FIRST, SECOND]
    assert (ward.sentences(limit=2), ward.texts(limit=2)) == (
        [(young, 0), (young, 1)],
        [TEXT, FIRST],
    )


def test_a_sentence_that_two_people_labelled_is_named_once(ward: Ward) -> None:
    note = ward.add("note")
    ward.label(note, "1", region=ONE)
    ward.label(note, "2", region=ONE, created_at=at(5))

    assert ward.sentences() == [(note, 0)]


def test_a_sentence_that_is_labelled_in_part_is_not_named(ward: Ward) -> None:
    note = ward.add("note")
    ward.label(note, "1", region=(1, WHOLE[1] - 1))
    ward.label(note, "2", region=(0, TWO[0] + 1))

    assert ward.sentences() == [(note, 0)]


def test_held_out_sentences_are_not_named_and_their_texts_are(ward: Ward) -> None:
    held = ward.add("held", split="holdout")
    ward.label(held, "1", region=ONE)

    assert (ward.sentences(), ward.texts()) == ([], [FIRST])


@pytest.mark.parametrize("state", ["skipped", "deleted"])
def test_what_is_no_gold_is_not_named(ward: Ward, state: str) -> None:
    note = ward.add("note")
    ward.label(note, "1", region=ONE)
    ward.label(note, "1", region=ONE, state=state, created_at=at(5))

    assert (ward.sentences(), ward.texts()) == ([], [])


def test_what_another_project_labelled_is_not_ours(ward: Ward, other: Ward) -> None:
    ours, theirs = ward.add("note"), other.add("note")
    ward.label(ours, "1", region=ONE)
    other.label(theirs, "1", region=TWO, created_at=at(5), bulk_created=True)
    other.label(theirs, "2", region=ONE, created_at=at(5), state="skipped")

    assert (ward.sentences(), ward.texts()) == ([(ours, 0)], [FIRST])
    assert ward.counts() == {"train": 1, "holdout": 0, "in_bulk": 0, "skipped": 0}
    with ward.database.read() as session:
        assert [unit.document_id for unit in gold_units(session, ward.project_id)] == [ours]


def test_gold_accepted_in_bulk_is_counted_beside_and_skips_apart(ward: Ward) -> None:
    note, held = ward.add("note"), ward.add("held", split="holdout")
    ward.label(note, "1", region=ONE, bulk_created=True)
    ward.label(note, "2", region=TWO)
    ward.label(note, "3", region=WHOLE, state="skipped", bulk_created=True)
    ward.label(held, "4", region=ONE, bulk_created=True)
    ward.label(held, "5", region=WHOLE, state="skipped")

    assert ward.counts() == {"train": 2, "holdout": 1, "in_bulk": 2, "skipped": 4}


DRUG = (Entity(id="e", type="Drug", start=0, end=5),)
OLDER, LATER = {"created_at": at(1)}, {"created_at": at(5)}
STAR, BULK, IMPORT = {"ground_truth": True}, {"bulk_created": True}, {"source": "import"}


@pytest.mark.parametrize("region", [ONE, WHOLE], ids=["the same region", "document"])
@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        (OLDER, LATER),
        (LATER, OLDER | STAR),
        (LATER | IMPORT, OLDER),
        (LATER | BULK, OLDER),
        (OLDER | BULK, LATER | IMPORT),
        (LATER | IMPORT, OLDER | STAR | BULK),
        ({}, {}),
    ],
    ids=[
        "later",
        "starred",
        "not imported",
        "not in bulk",
        "by time",
        "star first",
        "stored later",
    ],
)
def test_of_a_text_one_label_is_the_truth_and_all_count_the_same_one(
    ward: Ward, region: tuple[int, int], loser: dict[str, Any], winner: dict[str, Any]
) -> None:
    """The winner labels a sentence, the loser that or the whole document."""
    note = ward.add("note")
    ward.label(note, "1", **({"region": region, "entities": ()} | loser))
    ward.label(note, "2", **({"region": ONE, "entities": DRUG} | winner))

    with ward.database.read() as session:
        units = list(gold_units(session, ward.project_id))
        n_new, n_all, _ = n_new_sentences(session, ward.project_id)
    rest = [] if region == ONE else [(TWO, 0)]
    assert [(u.region, len(u.document.entities)) for u in units] == [(ONE, 1), *rest]
    assert n_new == n_all == len(units) == ward.counts()["train"]


def test_a_document_of_which_each_sentence_was_labelled_counts_no_more(ward: Ward) -> None:
    note = ward.add("note")
    ward.label(note, "1", region=WHOLE, source="import")
    ward.label(note, "2", region=ONE)
    ward.label(note, "3", region=TWO)

    with ward.database.write() as session:
        units = list(gold_units(session, ward.project_id))
        members = {unit.annotation_id: "train" for unit in units}
        taken = take_snapshot(
            session, ward.project_id, schema=TINY_SCHEMA, members=members, n_sentences=2
        )

    assert [unit.region for unit in units] == [ONE, TWO]
    assert ward.counts()["train"] == 2
    with ward.database.read() as session:
        new = n_new_sentences(session, ward.project_id, beyond=taken.id)
        assert new == (0, 2, None)
        assert has_same_gold(session, ward.project_id, taken.id)


def test_an_entity_that_reaches_into_what_is_outranked_goes_with_it(ward: Ward) -> None:
    """The text around it is no text without entities, and is left out as well."""
    note = ward.add("note")
    crossing = (Entity(id="x", type="Drug", start=ONE[1] - 4, end=TWO[0] + 7),)
    inside = (Entity(id="y", type="Drug", start=TWO[1] - 5, end=TWO[1] - 1),)
    ward.label(note, "1", region=WHOLE, source="import", entities=crossing + inside, relations=())
    ward.label(note, "2", region=ONE, entities=())

    with ward.database.read() as session:
        first, rest = gold_units(session, ward.project_id)

    assert (first.region, first.document.entities) == (ONE, ())
    assert rest.region[0] >= TWO[0] + 7
    assert rest.document.mention(rest.document.entities[0]) == TEXT[TWO[1] - 5 : TWO[1] - 1]


def test_gold_comes_by_document_and_place_whenever_it_was_labelled(ward: Ward) -> None:
    first, second = ward.add("first"), ward.add("second")
    ward.label(second, "1", region=ONE)
    ward.label(first, "2", region=TWO)
    ward.label(first, "3", region=ONE)

    with ward.database.read() as session:
        units = list(gold_units(session, ward.project_id))
        ids = [unit.annotation_id for unit in units]
        again = list(gold_units(session, ward.project_id, ids=ids[::-1]))

    expected = [(first, ONE), (first, TWO), (second, ONE)]
    assert [(unit.document_id, unit.region) for unit in units] == expected
    assert again == units


def test_labels_of_another_document_do_not_outrank_ours(ward: Ward, other: Ward) -> None:
    one, two, theirs = ward.add("one"), ward.add("two"), other.add("one")
    ward.label(one, "1", region=ONE)
    ward.label(two, "2", region=ONE, created_at=at(5))
    other.label(theirs, "3", region=ONE, created_at=at(9))

    assert ward.counts()["train"] == 2


@pytest.mark.parametrize("state", ["skipped", "deleted"])
def test_only_gold_outranks_gold(ward: Ward, state: str) -> None:
    note = ward.add("note")
    ward.label(note, "1", region=ONE)
    ward.label(note, "2", region=ONE, created_at=at(5))
    ward.label(note, "2", region=ONE, created_at=at(9), state=state)

    assert ward.counts()["train"] == 1


def test_a_unit_tells_where_its_labels_come_from(ward: Ward) -> None:
    note = ward.add("note", split="holdout")
    ward.label(note, "7", region=TWO, created_at=at(5), source="studio")

    with ward.database.read() as session:
        (unit,) = gold_units(session, ward.project_id)
    assert (unit.document_id, unit.source_document, unit.region) == (note, "note", TWO)
    assert (unit.split, unit.group, unit.source) == ("holdout", "note", "studio")
    assert unit.created_at == at(5)
    assert unit.document.text == SECOND
    assert dict(unit.document.meta) == {
        "sentences": [[0, len(SECOND)]],
        "group": "note",
        "document": "note",
        "start": TWO[0],
        "end": TWO[1],
    }
