"""Labels of one text that do not agree are found."""

from __future__ import annotations

from typing import Any

import pytest
from factories import RASH, at, make_annotation, make_document

from annotator.domain import Entity
from annotator.services.intake.documents import store_document
from annotator.store.annotations import record_annotation
from annotator.store.contradictions import find_contradictions
from annotator.store.database import Database
from annotator.store.projects import Project

TEXT = f"{RASH} It went away."
WHOLE, SENTENCE = (0, len(TEXT)), (0, len(RASH))
DRUG, DOSE = ((Entity(id="e", type=type, start=0, end=7),) for type in ("Drug", "Dose"))
ELSEWHERE = (Entity(id="e", type="Drug", start=22, end=24),)


@pytest.mark.parametrize(
    ("first", "second", "places"),
    [
        ({"region": WHOLE, "source": "import"}, {"region": SENTENCE, "entities": DOSE}, 1),
        ({"region": WHOLE, "source": "import"}, {"region": WHOLE, "entities": DOSE}, 1),
        ({"region": WHOLE}, {"region": SENTENCE, "entities": ()}, 1),
        ({"region": WHOLE, "source": "import"}, {"region": SENTENCE}, 0),
        ({"region": WHOLE, "entities": ELSEWHERE}, {"region": SENTENCE, "entities": ()}, 0),
        ({"region": SENTENCE}, {"region": SENTENCE, "entities": DOSE}, 0),
        ({"region": WHOLE}, {"region": SENTENCE, "entities": (), "state": "skipped"}, 0),
    ],
    ids=["sentence", "import", "emptied", "agree", "elsewhere", "two people", "skipped"],
)
def test_where_annotations_overlap_and_differ(
    database: Database, project: Project, first: Any, second: Any, places: int
) -> None:
    with database.write() as session:
        note, _, _ = store_document(session, project.id, make_document("n", TEXT), split="train")
        for i, fields in enumerate((first, second)):
            given = {"entities": DRUG, "relations": (), "created_at": at(i), **fields}
            record_annotation(
                session, make_annotation(project.id, note, external_id=str(i), **given)
            )

    with database.read() as session:
        found = find_contradictions(session, project.id)

    assert found.places == (("n", 0),) * places
    assert found.count() == {"places": places, "texts": 0}


@pytest.mark.parametrize(("entities", "is_found"), [(DRUG, False), (DOSE, True), ((), True)])
def test_one_text_under_two_names_with_different_labels(
    database: Database, project: Project, entities: tuple[Entity, ...], is_found: bool
) -> None:
    with database.write() as session:
        for name, labels in (("a", DRUG), ("b", entities)):
            document = make_document(name, TEXT, entities=labels)
            note, _, _ = store_document(session, project.id, document, split="train")
            new = make_annotation(project.id, note, document=document, external_id=name)
            record_annotation(session, new)

    with database.read() as session:
        found = find_contradictions(session, project.id)

    assert found.texts == ((("a", "b"),) if is_found else ())
    assert found.documents() == ({"a", "b"} if is_found else set())
