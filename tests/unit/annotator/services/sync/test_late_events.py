"""What a pull puts right of what late events have said, and of what happened while it looked.

A task made an hour later keeps a pull, which looks at what has changed, from the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from factories import RASH, STUDIO_PROJECT
from fake_studio import FakeStudio, make_region
from reconcile_world import ours, theirs

from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project

OTHER = "Ibuprofen helped with the pain."
RESULT = [make_region("a", 0, 7, "Drug", text=RASH)]


def gold(database: Database, project: Project) -> dict[str, list[str]]:
    with database.read() as session:
        return {
            unit.source_document: [unit.document.mention(e) for e in unit.document.entities]
            for unit in gold_units(session, project.id)
        }


def slow_clock(*, hours: int) -> SimpleNamespace:
    """Make a clock on which some hours go by between two looks."""
    looks = count(step=3600 * hours)
    return SimpleNamespace(monotonic=lambda: next(looks))


def test_an_annotation_heard_of_after_it_was_deleted_goes_with_the_next_pull(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    annotation = studio.annotate(task, RESULT)
    late = studio.events[-1]
    studio.delete_annotation(annotation)
    studio.wait(hours=1)
    studio.add_task(text=OTHER)
    pull()
    studio.events[:] = [late]
    deliver()
    assert ours(database, linked)[task][1] == "labelled"

    report = pull()

    assert ours(database, linked) == theirs(studio)
    assert (report.n_tasks, report.n_deleted_annotations) == (1, 1)


def test_a_task_whose_id_was_given_again_comes_back_after_a_late_event(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    studio.delete_task(studio.add_task(text=RASH))
    late = studio.events[-1]
    task = studio.add_task(text=OTHER)
    studio.wait(hours=1)
    studio.add_task(text=RASH)
    pull()
    studio.events[:] = [late]
    deliver()
    assert task not in ours(database, linked)

    pull()

    assert ours(database, linked) == theirs(studio)


def test_a_late_event_does_not_bring_an_old_text_back_for_long(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    studio.annotate(task, RESULT)
    studio.edit_task(task, text=OTHER)
    studio.wait(hours=1)
    studio.add_task(text=RASH)
    pull()
    deliver()

    pull()

    assert ours(database, linked) == theirs(studio)


def test_an_edited_task_that_was_believed_deleted_keeps_its_labels(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    studio.annotate(task, RESULT)
    pull()
    before = gold(database, linked)
    event = {"action": "TASKS_DELETED", "tasks": [{"id": task}], "project": STUDIO_PROJECT}
    studio.events[:] = [event]
    deliver()
    studio.edit_task(task, text=OTHER)

    pull()

    assert ours(database, linked) == theirs(studio)
    assert gold(database, linked) == before


def test_the_annotation_submitted_last_counts_although_nothing_in_it_changed(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    first = studio.annotate(task, RESULT)
    studio.annotate(task, [], completed_by=2)
    pull()
    assert list(gold(database, linked).values()) == [[]]
    studio.update(first, RESULT)

    pull()

    assert list(gold(database, linked).values()) == [["Aspirin"]]


def test_a_configuration_that_comes_during_a_pull_asks_for_another_look(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    studio.add_task(text=RASH, note=OTHER)
    studio.wait(hours=1)
    studio.add_task(text=OTHER, note=RASH)

    def configure(done: int) -> None:
        studio.configure(studio.config_xml.replace("$text", "$note"))
        deliver()

    pull(on_progress=configure)

    assert pull().n_tasks == 2
    assert ours(database, linked) == theirs(studio)


def test_a_change_during_a_long_pull_is_seen_by_the_next(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = studio.add_task(text=RASH)
    second = studio.add_task(text=OTHER)
    read = studio.tasks

    def read_slowly(project_id: int, **options: Any) -> Iterator[dict[str, Any] | None]:
        yield next(read(project_id, **options))
        studio.annotate(first, RESULT)
        studio.wait(hours=1)
        studio.annotate(second, [])
        yield studio.task(second)

    with monkeypatch.context() as patch:
        patch.setattr(studio, "tasks", read_slowly)
        patch.setattr("annotator.services.sync.pull.time", slow_clock(hours=2))
        pull()

    pull()

    assert ours(database, linked) == theirs(studio)
