from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from factories import RASH
from fake_studio import FakeStudio, make_link, make_region

from annotator.domain import Entity, Relation
from annotator.services.sync.corrections import Corrections, compare_labels
from annotator.store.annotations import correction_totals, current_revision
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.studio.codec import result_to_labels
from annotator.studio.config import parse_config

NOTHING = dict.fromkeys(Corrections.__slots__, 0)
DRUG = Entity(id="a", type="Drug", start=0, end=7)
RASH_ENTITY = Entity(id="b", type="Effect", start=17, end=21)
CAUSES = Relation(type="causes", head="a", tail="b")


def changed(entity: Entity, **fields: Any) -> Entity:
    values = {"id": entity.id, "type": entity.type, "start": entity.start, "end": entity.end}
    return Entity(**{**values, **fields})


BEFORE = ((DRUG, RASH_ENTITY), (CAUSES,))
CASES = {
    "nothing": (BEFORE, {"entities_kept": 2, "relations_kept": 1}),
    "everything removed": (((), ()), {"entities_removed": 2, "relations_removed": 1}),
    "type": (
        ((changed(DRUG, type="Effect"), RASH_ENTITY), (CAUSES,)),
        {"entities_relabelled": 1, "entities_kept": 1, "relations_kept": 1},
    ),
    "boundary": (
        ((changed(DRUG, end=5), RASH_ENTITY), (CAUSES,)),
        {
            "entities_rebounded": 1,
            "entities_kept": 1,
            "relations_rebounded": 1,
        },
    ),
    "drawn again by hand": (
        (
            (changed(DRUG, id="new"), RASH_ENTITY),
            (Relation(type="causes", head="new", tail="b"),),
        ),
        {"entities_kept": 2, "relations_kept": 1},
    ),
    "one more": (
        ((DRUG, RASH_ENTITY, Entity(id="c", type="Drug", start=8, end=14)), (CAUSES,)),
        {"entities_kept": 2, "entities_added": 1, "relations_kept": 1},
    ),
    "relation of another type": (
        ((DRUG, RASH_ENTITY), (Relation(type="treats", head="a", tail="b"),)),
        {"entities_kept": 2, "relations_relabelled": 1},
    ),
    "relation with a second one": (
        ((DRUG, RASH_ENTITY), (CAUSES, Relation(type="treats", head="a", tail="b"))),
        {"entities_kept": 2, "relations_kept": 1, "relations_added": 1},
    ),
    "one end of the relation removed": (
        ((DRUG,), ()),
        {"entities_kept": 1, "entities_removed": 1, "relations_removed": 1},
    ),
    "relation moved to another entity": (
        (
            (DRUG, RASH_ENTITY, Entity(id="c", type="Effect", start=8, end=14)),
            (Relation(type="causes", head="a", tail="c"),),
        ),
        {
            "entities_kept": 2,
            "entities_added": 1,
            "relations_removed": 1,
            "relations_added": 1,
        },
    ),
    "relation turned around": (
        ((DRUG, RASH_ENTITY), (Relation(type="causes", head="b", tail="a"),)),
        {"entities_kept": 2, "relations_removed": 1, "relations_added": 1},
    ),
}


@pytest.mark.parametrize(("after", "counts"), CASES.values(), ids=CASES.keys())
def test_a_change_is_counted_as_what_it_is(after: Any, counts: dict[str, int]) -> None:
    assert compare_labels(BEFORE, after).to_json() == {**NOTHING, **counts}


def test_two_equal_spans_are_matched_one_to_one() -> None:
    twice = (DRUG, changed(DRUG, id="a2"))
    once = (changed(DRUG, id="new"),)

    counts = compare_labels((twice, ()), (once, ()))

    assert (counts.entities_kept, counts.entities_removed, counts.entities_added) == (1, 1, 0)


def compare_recorded(repository: Path, name: str) -> dict[str, int]:
    folder = repository / "tests" / "contract" / "recorded"
    made = json.loads((folder / "01-project-create.json").read_text(encoding="utf-8"))
    config = parse_config(made["answer"]["label_config"])
    case = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    sides = [
        result_to_labels(result, text=case["task_text"], config=config)
        for result in (case["prediction"]["result"], case["submitted"]["result"])
    ]
    return compare_labels(*((side.entities, side.relations) for side in sides)).to_json()


def test_submitting_unchanged_in_the_browser_keeps_everything(repository: Path) -> None:
    counts = compare_recorded(repository, "38-ui-submit-unchanged")

    assert counts == {**NOTHING, "entities_kept": 4, "relations_kept": counts["relations_kept"]}
    assert counts["relations_kept"] > 0


def test_edits_in_the_browser_are_counted(repository: Path) -> None:
    counts = compare_recorded(repository, "39-ui-submit-edited")

    assert counts == {
        **NOTHING,
        "entities_kept": 4,
        "entities_relabelled": 1,
        "entities_removed": 1,
        "entities_added": 1,
        "relations_kept": 3,
        "relations_removed": 1,
        "relations_added": 1,
    }


def test_corrections_are_stored_with_the_annotation(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    shown = [
        make_region("a", 0, 7, "Effect", text=RASH),
        make_region("b", 8, 14, "Drug", text=RASH),
    ]
    result = [
        make_region("a", 0, 7, "Drug", text=RASH),
        make_region("z", 17, 21, "Effect", text=RASH),
        make_link("a", "z", "causes"),
    ]
    prediction = {"id": 3, "model_version": "ward-1", "result": shown}
    studio.annotate(task, result, prediction=prediction, parent_prediction=3)
    deliver()

    with database.read() as session:
        totals = correction_totals(session, linked.id)
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert (row.parent_version, row.parent_prediction) == ("ward-1", 3)
    expected = ("entities_relabelled", "entities_removed", "entities_added", "relations_added")
    assert totals == {**NOTHING, **dict.fromkeys(expected, 1)}
