from __future__ import annotations

from typing import Any

import pytest
from factories import make_document
from fake_studio import FakeStudio

from annotator.services.intake.documents import IngestReport, ingest_documents, store_document
from annotator.services.intake.groups import group_stored_documents
from annotator.services.intake.roles import IntakeRules
from annotator.store.database import Database
from annotator.store.documents import find_document, iter_documents
from annotator.store.groups import find_by_bands, group_of
from annotator.store.projects import Project
from annotator.text.duplicates import sketch_texts

WORDS = [f"w{i}" for i in range(60)]
NOTE = " ".join(WORDS)
OTHER = " ".join([*WORDS[:18], *(f"v{i}" for i in range(42))])
# Both are near-duplicates of NOTE, and not of each other.
FRONT = " ".join([*WORDS[:50], *(f"x{i}" for i in range(5))])
BACK = " ".join([*(f"y{i}" for i in range(5)), *WORDS[10:]])
EDITED = " ".join([*WORDS[:-1], "changed"])


def bring(
    database: Database, project: Project, role: Any = "pool", /, share: float = 0.0, **texts: str
) -> IngestReport:
    return ingest_documents(
        database,
        project.id,
        [make_document(name, text) for name, text in texts.items()],
        role=role,
        holdout_share=share,
        seed=1,
        rules=IntakeRules(empty_is_gold=True),
    )


def sides(database: Database, project: Project) -> dict[str, str]:
    with database.read() as session:
        return {d.name: d.split for d in iter_documents(session, project.id)}


def groups(database: Database, project: Project) -> dict[str, str | None]:
    with database.read() as session:
        return {d.name: group_of(session, d.id) for d in iter_documents(session, project.id)}


@pytest.mark.parametrize("first", ["gold", "pool", "holdout"])
@pytest.mark.parametrize("second", ["gold", "pool"])
def test_a_near_duplicate_joins_the_side_of_the_one_stored(
    database: Database, project: Project, first: str, second: str
) -> None:
    bring(database, project, first, a=NOTE)
    before = sides(database, project)["a"]

    report = bring(database, project, second, 0.9 if before == "train" else 0.0, b=EDITED)

    assert sides(database, project) == {"a": before, "b": before}
    assert groups(database, project) == {"a": "a", "b": "a"}
    assert (report.n_duplicates, report.n_moved, report.n_groups) == (1, 0, 1)


def test_near_duplicates_of_one_import_stay_together(database: Database, project: Project) -> None:
    report = bring(database, project, "pool", 0.5, **{f"d{i}": f"{NOTE} {i}" for i in range(250)})

    assert len(set(sides(database, project).values())) == 1
    assert (report.n_duplicates, report.n_groups) == (249, 1)


def test_a_hold_out_takes_its_unlabelled_near_duplicates_along(
    database: Database, project: Project
) -> None:
    bring(database, project, "pool", a=NOTE)

    report = bring(database, project, "holdout", b=EDITED)

    assert sides(database, project) == {"a": "holdout", "b": "holdout"}
    assert (report.n_holdout, report.n_moved, report.kept_out) == (1, 1, ())


def test_what_is_like_learnt_labels_is_not_taken_into_the_hold_out(
    database: Database, project: Project
) -> None:
    bring(database, project, "gold", a=NOTE)

    report = bring(database, project, "holdout", b=EDITED, c=OTHER)

    assert sides(database, project) == {"a": "train", "c": "holdout"}
    assert (report.n_holdout, report.kept_out) == (1, ("b",))


def test_a_text_between_both_sides_takes_the_measure_to_the_learnt(
    database: Database, project: Project
) -> None:
    bring(database, project, "gold", a=FRONT)
    bring(database, project, "holdout", z=BACK)
    assert sides(database, project) == {"a": "train", "z": "holdout"}

    report = bring(database, project, "pool", between=NOTE)

    assert sides(database, project) == dict.fromkeys(("a", "z", "between"), "train")
    assert set(groups(database, project).values()) == {"a"}
    assert (report.n_duplicates, report.n_moved) == (1, 1)


def test_a_source_that_is_like_another_stays_with_it_from_then_on(
    database: Database, project: Project
) -> None:
    bring(database, project, "holdout", a=NOTE)
    documents = [
        make_document("b1", EDITED, group="paper"),
        make_document("b2", "Quite another text about nothing of this at all.", group="paper"),
    ]
    for document in documents:
        ingest_documents(database, project.id, [document], role="pool", holdout_share=0.0, seed=1)

    assert set(groups(database, project).values()) == {"a"}
    assert set(sides(database, project).values()) == {"holdout"}


def test_short_and_empty_texts_are_groups_of_their_own(
    database: Database, project: Project
) -> None:
    report = bring(database, project, a="No complaints.", b="No complaints.", c="", d=" ", e="...")

    assert (report.n_groups, report.n_duplicates) == (5, 0)


def test_an_import_again_moves_nothing(database: Database, project: Project) -> None:
    bring(database, project, "pool", a=NOTE, b=EDITED)

    report = bring(database, project, "gold", 0.9, a=NOTE, b=EDITED)

    assert (report.n_known, report.n_moved, report.n_changed) == (2, 0, 0)
    assert sides(database, project) == {"a": "train", "b": "train"}


def test_documents_of_an_older_program_are_grouped_before_others_come(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        store_document(session, project.id, make_document("old", NOTE), split="train")
        store_document(session, project.id, make_document("odd", EDITED), split="holdout")

    bring(database, project, "pool", 0.9, new=f"{NOTE} {NOTE[:20]}")

    assert set(groups(database, project).values()) == {"old"}
    assert len(set(sides(database, project).values())) == 1
    assert group_stored_documents(database, project.id) == 0


def test_a_task_of_label_studio_joins_its_near_duplicates(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    bring(database, linked, "holdout", a=NOTE)
    task = studio.add_task(text=EDITED)

    pull()

    with database.read() as session:
        stored = {d.name: d.split for d in iter_documents(session, linked.id)}
        assert find_document(session, linked.id, "a") is not None
    assert set(stored.values()) == {"holdout"}
    assert any(name.startswith(f"studio-{task}-") for name in stored)


def test_of_many_notes_with_one_letterhead_the_newest_of_a_band_are_looked_at(
    database: Database, project: Project
) -> None:
    letterhead = " ".join(WORDS)
    notes = {f"n{i}": f"{letterhead} {' '.join(f'{i}x{k}' for k in range(40))}" for i in range(60)}
    bring(database, project, **notes)
    (sketch,) = sketch_texts([notes["n59"]])

    with database.read() as session:
        found = find_by_bands(session, project.id, sketch.bands[:1], most=5)
        everything = find_by_bands(session, project.id, sketch.bands, most=1_000)

    assert len(found) <= 5 < len(everything)
    assert "n59" in {text.group for text in found}


def test_another_project_has_groups_of_its_own(database: Database, project: Project) -> None:
    from annotator.store.projects import ensure_project

    with database.write() as session:
        other = ensure_project(session, name="other", unit="sentence")
    bring(database, project, "holdout", a=NOTE)

    bring(database, other, "pool", a=NOTE)

    assert sides(database, other) == {"a": "train"}
