from __future__ import annotations

from typing import Any

import pytest
from factories import RASH, STUDIO_PROJECT
from fake_studio import FakeStudio, make_link, make_region
from reconcile_world import ours, theirs

from annotator.errors import ConfigError, StudioError
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.pull import reconcile
from annotator.store.database import Database
from annotator.store.documents import hash_text, iter_documents
from annotator.store.gold import gold_units
from annotator.store.projects import Project
from annotator.store.tasks import count_tasks, find_task

OTHER = "Ibuprofen helped with the pain."
RESULT = [
    make_region("a", 0, 7, "Drug", text=RASH),
    make_region("b", 17, 21, "Effect", text=RASH),
    make_link("a", "b", "causes"),
]


def gold(database: Database, project: Project) -> dict[str, list[tuple[str, str]]]:
    with database.read() as session:
        return {
            unit.source_document: [
                (e.type, unit.document.mention(e)) for e in unit.document.entities
            ]
            for unit in gold_units(session, project.id)
        }


def state_of(database: Database, project: Project, studio_id: int) -> str:
    with database.read() as session:
        return find_task(session, project.id, studio_id=studio_id).state


@pytest.fixture
def busy(studio: FakeStudio) -> FakeStudio:
    """A Label Studio in which a lot has happened."""
    tasks = studio.import_tasks(1, [{"text": f"{RASH} Case {i}."} for i in range(6)])
    studio.annotate(tasks[0], RESULT)
    studio.update(studio.annotate(tasks[1], RESULT), RESULT[:1])
    studio.annotate(tasks[2], RESULT, skip=True)
    studio.delete_annotation(studio.annotate(tasks[3], RESULT))
    studio.annotate(tasks[4], RESULT, ground_truth=True)
    studio.annotate(tasks[4], RESULT[:2])
    studio.delete_task(tasks[5])
    return studio


def test_with_every_webhook_lost_a_pull_makes_the_database_equal(
    database: Database, linked: Project, busy: FakeStudio, pull: Any
) -> None:
    report = pull()

    assert ours(database, linked) == theirs(busy)
    assert (report.n_tasks, report.problems) == (5, ())
    with database.read() as session:
        counts = count_tasks(session, linked.id)
    assert counts == {"open": 1, "labelled": 3, "skipped": 1, "deleted": 0}


def test_webhooks_and_a_pull_say_the_same(
    database: Database, linked: Project, busy: FakeStudio, pull: Any, deliver: Any
) -> None:
    deliver()
    before = ours(database, linked)

    report = pull()

    assert before == ours(database, linked) == theirs(busy)
    assert (report.n_news, report.n_deleted_annotations, report.n_deleted_tasks) == (0, 0, 0)


def test_a_second_pull_sees_only_what_changed(busy: FakeStudio, pull: Any) -> None:
    busy.wait(hours=1)
    last = busy.add_task(text=OTHER)
    pull()
    busy.wait(hours=1)
    busy.annotate(4, RESULT)

    report = pull()

    assert (report.n_tasks, report.n_news) == (1, 1)
    assert pull(full=True).n_tasks == last == 6


def test_what_changed_a_moment_ago_is_read_once(
    busy: FakeStudio, pull: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull()
    read: list[int] = []
    tasks_of = busy.tasks_of

    def watched(project_id: int, ids: list[int]) -> Any:
        read.extend(ids)
        return tasks_of(project_id, ids)

    monkeypatch.setattr(busy, "tasks_of", watched)

    reports = [pull(), pull()]

    assert [report.n_tasks for report in reports] == [0, 0]
    assert read == []


def test_an_annotation_that_vanished_without_an_event_is_deleted(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    skipped = studio.annotate(task, RESULT, skip=True)
    deliver()
    studio.delete_annotation(skipped, silent=True)

    report = pull()

    assert report.n_deleted_annotations == 1
    assert state_of(database, linked, task) == "open"


def test_tasks_that_are_gone_are_marked_and_their_labels_stay(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    studio.annotate(task, RESULT)
    pull()
    studio.delete_task(task)

    report = pull()

    assert report.n_deleted_tasks == 1
    assert state_of(database, linked, task) == "deleted"
    assert list(gold(database, linked).values()) == [[("Drug", "Aspirin"), ("Effect", "rash")]]


def test_a_task_wrongly_believed_deleted_comes_back(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    pull()
    event = {"action": "TASKS_DELETED", "tasks": [{"id": task}], "project": STUDIO_PROJECT}
    studio.events.append(event)
    deliver()
    assert state_of(database, linked, task) == "deleted"

    pull()

    assert state_of(database, linked, task) == "open"


def test_an_annotation_wrongly_believed_deleted_comes_back(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    annotation = studio.annotate(task, RESULT)
    event = {"annotations": [{"id": annotation}], "project": STUDIO_PROJECT}
    studio.events.append({"action": "ANNOTATIONS_DELETED", **event})
    deliver()
    assert state_of(database, linked, task) == "open"

    pull()

    assert state_of(database, linked, task) == "labelled"
    assert len(gold(database, linked)) == 1


def test_tasks_made_while_a_pull_looks_for_missing_ones_are_not_missing(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    first = studio.add_task(text=RASH)
    look = studio.task_ids

    def look_late(project_id: int) -> set[int]:
        seen = look(project_id)
        with database.write() as session:
            from annotator.store.tasks import add_task

            document = next(iter_documents(session, linked.id))
            add_task(session, linked.id, studio_id=900, document_id=document.id, sentence_id=None)
        return seen

    studio.task_ids = look_late  # type: ignore[method-assign]

    assert pull().n_deleted_tasks == 0
    assert state_of(database, linked, first) == "open"


def test_labels_stay_with_the_text_that_was_edited_away(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    annotation = studio.annotate(task, RESULT)
    pull()
    before = gold(database, linked)
    studio.edit_task(task, text=OTHER)

    pull()

    assert gold(database, linked) == before
    with database.read() as session:
        assert find_task(session, linked.id, studio_id=task).text == OTHER
    studio.update(annotation, [make_region("a", 0, 9, "Drug", text=OTHER)])
    pull()
    after = gold(database, linked)
    assert after == {f"studio-1-{hash_text(OTHER)[:8]}": [("Drug", "Ibuprofen")]}


def test_an_edited_hold_out_text_stays_held_out(
    database: Database, linked: Project, studio: FakeStudio
) -> None:
    task = studio.add_task(text=RASH)
    reconcile(database, linked, studio, split=SplitRule(holdout_share=0.99, seed=1))
    studio.edit_task(task, text=OTHER)

    reconcile(database, linked, studio, split=SplitRule(holdout_share=0.0, seed=1))

    with database.read() as session:
        splits = {d.text: d.split for d in iter_documents(session, linked.id)}
    assert splits == {RASH: "holdout", OTHER: "holdout"}


def test_a_name_that_another_text_has_loses_no_label(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    for text in (RASH, OTHER):
        task = studio.add_task(text=text, doc_id="note-1")
        studio.annotate(task, [make_region("a", 0, 7, "Drug", text=text)])

    report = pull()

    assert report.problems == ()
    assert set(gold(database, linked)) == {"note-1", f"studio-2-{hash_text(OTHER)[:8]}"}


def test_a_task_of_one_sentence_finds_its_place_in_the_document(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    from factories import make_document

    from annotator.services.intake.documents import store_document

    text = f"{OTHER} {RASH}"
    with database.write() as session:
        store_document(session, linked.id, make_document("note-1", text), split="train")
    start = len(OTHER) + 1
    task = studio.add_task(text=RASH, doc_id="note-1", sent_start=start)
    studio.annotate(task, RESULT)

    pull()

    with database.read() as session:
        (unit,) = gold_units(session, linked.id)
    assert (unit.source_document, unit.region) == ("note-1", (start, len(text)))
    assert unit.document.mention(unit.document.entities[1]) == "rash"


def test_a_task_that_cannot_be_read_is_named_and_the_others_go_on(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.add_task(image="x.png")
    studio.add_task(text="broken \ud83d")
    task = studio.add_task(text=RASH)

    report = pull()

    assert [problem[:6] for problem in report.problems] == ["task 1", "databa"]
    assert state_of(database, linked, task) == "open"


def test_a_task_that_cannot_be_read_does_not_hold_back_the_next_pull(
    linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.add_task(image="x.png")
    studio.wait(hours=1)
    studio.add_task(text=RASH)
    pull()

    assert pull().n_tasks == 0
    studio.edit_task(1, text=OTHER)
    assert (pull().n_tasks, pull().problems) == (1, ())


def test_a_new_text_field_makes_the_next_pull_read_all_tasks(
    linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    studio.add_task(note=RASH)
    studio.wait(hours=1)
    studio.add_task(text=RASH)
    assert len(pull().problems) == 1
    studio.config_xml = studio.config_xml.replace("$text", "$note")
    studio.select_version(1, "v1")
    deliver()

    report = pull()

    assert (report.n_tasks, report.n_news, len(report.problems)) == (2, 1, 1)


def test_what_was_pulled_before_label_studio_went_down_is_kept(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    tasks = [studio.add_task(text=f"{RASH} {i}") for i in range(3)]
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        studio.down = done == 2
        raise_if(studio.down)

    with pytest.raises(StudioError):
        pull(on_progress=stop)

    assert seen == [1, 2]
    studio.down = False
    assert pull().n_news == 1
    assert [state_of(database, linked, task) for task in tasks] == ["open"] * 3


def raise_if(down: bool) -> None:
    if down:
        raise StudioError("gone")


def test_a_project_that_is_not_connected_cannot_pull(
    database: Database, project: Project, studio: FakeStudio
) -> None:
    with pytest.raises(ConfigError, match="annotator connect"):
        reconcile(database, project, studio, split=SplitRule(holdout_share=0, seed=1))
