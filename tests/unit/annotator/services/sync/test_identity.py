"""A Label Studio whose database was replaced, restored or moved: whose task 1 is it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from connectable_studio import ConnectableStudio, connect, reload
from factories import LINK, RASH
from fake_studio import FakeStudio, make_region
from run_world import register

from annotator.errors import StudioIdentityError
from annotator.services.reports.status import project_status
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.connect import disconnect_project
from annotator.services.sync.identity import prove_identity
from annotator.services.sync.predictions import open_target, prune_predictions
from annotator.services.sync.pull import reconcile
from annotator.services.sync.upload import upload_tasks
from annotator.services.sync.webhooks import process_inbox, receive_event
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.inbox import count_events
from annotator.store.projects import Project, get_project
from annotator.store.pushes import record_pushes
from annotator.store.tasks import count_tasks, find_task

OTHER_KEY = "1.1700000000"
NOTE = "Ibuprofen helped with the pain."
SPLIT = SplitRule(holdout_share=0.0, seed=1)

Conversation = Callable[[Database, Project, FakeStudio], object]


def pull(database: Database, studio: FakeStudio, **options: Any) -> Any:
    return reconcile(database, reload(database), studio, split=SPLIT, **options)


def texts_with_gold(database: Database, project: Project) -> dict[str, list[str]]:
    with database.read() as session:
        return {
            unit.document.text: [unit.document.mention(e) for e in unit.document.entities]
            for unit in gold_units(session, project.id)
        }


def fill(studio: FakeStudio, *texts: str) -> list[int]:
    """Make a task of each text; people label the first word of each as a drug."""
    tasks = studio.import_tasks(1, [{"text": text} for text in texts])
    for task, text in zip(tasks, texts, strict=True):
        end = text.index(" ")
        studio.annotate(task, [make_region("a", 0, end, "Drug", text=text)])
    return tasks


@pytest.fixture
def known(database: Database, project: Project) -> ConnectableStudio:
    """A Label Studio with two labelled tasks, connected and pulled."""
    studio = ConnectableStudio(database)
    fill(studio, RASH, NOTE)
    connect(database, project, studio)
    pull(database, studio)
    return studio


@pytest.fixture
def replaced(database: Database, known: ConnectableStudio) -> ConnectableStudio:
    """Another team's project behind the same address: three other tasks, one labelled."""
    studio = ConnectableStudio(database, key=OTHER_KEY)
    fill(studio, "Zinc is low.")
    studio.import_tasks(1, [{"text": "Theirs."}, {"text": "Theirs too."}])
    studio.imports.clear()
    studio.calls.clear()
    return studio


CONVERSATIONS: dict[str, Conversation] = {
    "pull": lambda database, project, studio: reconcile(database, project, studio, split=SPLIT),
    "full pull": lambda database, project, studio: reconcile(
        database, project, studio, split=SPLIT, full=True
    ),
    "upload": upload_tasks,
    "publish": open_target,
    "any other": prove_identity,
    "connect again": connect,
}


@pytest.mark.parametrize("talk", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_with_a_replaced_label_studio_every_conversation_ends_before_anything_is_done(
    database: Database, replaced: ConnectableStudio, talk: Conversation
) -> None:
    project = reload(database)
    before = texts_with_gold(database, project)

    with pytest.raises(StudioIdentityError, match=r"--same.*--other"):
        talk(database, project, replaced)

    assert (
        texts_with_gold(database, project)
        == before
        == {
            RASH: ["Aspirin"],
            NOTE: ["Ibuprofen"],
        }
    )
    assert (replaced.imports, replaced.pushes, replaced.calls) == ([], [], [])
    assert reload(database).studio == LINK


def test_status_tells_of_the_stranger_until_ours_is_back(
    database: Database, known: ConnectableStudio, replaced: ConnectableStudio, settings: Settings
) -> None:
    def told() -> Any:
        return project_status(database, reload(database), settings)["label_studio"]["stranger"]

    before = told()
    with pytest.raises(StudioIdentityError) as caught:
        pull(database, replaced)
    during = told()
    pull(database, known)

    assert (before, during, told()) == (None, str(caught.value), None)


def test_events_of_a_replaced_label_studio_are_ignored(
    database: Database, known: ConnectableStudio, replaced: ConnectableStudio
) -> None:
    process_inbox(database, reload(database), split=SPLIT)
    before = texts_with_gold(database, reload(database))
    keyless = {**replaced.events[0], "project": {"id": 1}}
    for event in [*replaced.events, keyless]:
        with database.write() as session:
            receive_event(session, event)

    report = process_inbox(database, reload(database), split=SPLIT)

    assert report.n_ignored == len(replaced.events) + 1
    assert texts_with_gold(database, reload(database)) == before
    with database.read() as session:
        assert count_events(session)["failed"] == 0


@pytest.mark.parametrize("decision", ["same", "other"])
def test_whatever_somebody_says_of_a_replaced_label_studio_gold_stays_and_numbers_do_not_collide(
    database: Database, replaced: ConnectableStudio, decision: Any
) -> None:
    connect(database, reload(database), replaced, decision=decision)
    pull(database, replaced, full=True)
    pull(database, replaced, full=True)

    project = reload(database)
    assert texts_with_gold(database, project) == {
        RASH: ["Aspirin"],
        NOTE: ["Ibuprofen"],
        "Zinc is low.": ["Zinc"],
    }
    with database.read() as session:
        shown = find_task(session, project.id, studio_id=1)
        assert (shown.text, shown.state) == ("Zinc is low.", "labelled")
        assert count_tasks(session, project.id) == {
            "open": 2, "labelled": 1, "skipped": 0, "deleted": 2,
        }  # fmt: skip


def test_the_same_texts_under_the_same_numbers_without_labels_take_no_label_away(
    database: Database, known: ConnectableStudio
) -> None:
    again = ConnectableStudio(database, key=OTHER_KEY)
    again.import_tasks(1, [{"text": RASH}, {"text": NOTE}])

    connect(database, reload(database), again, decision="same")
    pull(database, again, full=True)

    assert texts_with_gold(database, reload(database)) == {RASH: ["Aspirin"], NOTE: ["Ibuprofen"]}


@pytest.mark.parametrize("how", ["restored", "moved", "disconnected meanwhile"])
def test_a_restored_or_moved_project_is_recognised_with_the_history_of_its_labels(
    database: Database, known: ConnectableStudio, how: str
) -> None:
    project = reload(database)
    with database.read() as session:
        tasks = [find_task(session, project.id, studio_id=i).id for i in (1, 2)]
    if how == "disconnected meanwhile":
        disconnect_project(database, project, known, backend_url="http://b")
    if how == "restored":
        known.key = OTHER_KEY
    else:
        known.url = "http://moved"

    connect(database, reload(database), known, decision="same" if how == "restored" else None)
    news = pull(database, known, full=True).n_news
    known.delete_annotation(1)
    pull(database, known, full=True)

    assert news == 0
    assert texts_with_gold(database, project) == {NOTE: ["Ibuprofen"]}
    with database.read() as session:
        assert [find_task(session, project.id, studio_id=i).id for i in (1, 2)] == tasks
        states = [find_task(session, project.id, studio_id=i).state for i in (1, 2)]
    assert states == ["open", "labelled"]


def test_going_back_to_the_former_label_studio_finds_all_as_it_was(
    database: Database, known: ConnectableStudio, replaced: ConnectableStudio
) -> None:
    connect(database, reload(database), replaced, decision="other")
    pull(database, replaced, full=True)
    connect(database, reload(database), known, decision="other")

    report = pull(database, known, full=True)

    assert report.n_news == 0
    with database.read() as session:
        project = get_project(session, "ward")
        assert find_task(session, project.id, studio_id=1).text == RASH
        assert find_task(session, project.id, studio_id=1).state == "labelled"


def test_predictions_of_the_former_label_studio_are_not_pruned_in_the_present_one(
    database: Database,
    known: ConnectableStudio,
    replaced: ConnectableStudio,
    tiny_model: Path,
) -> None:
    old, _ = (register(database, reload(database), tiny_model, name=name) for name in ("v1", "v2"))
    with database.write() as session:
        project = get_project(session, "ward")
        task = find_task(session, project.id, studio_id=1)
        record_pushes(session, project.id, version_id=old.id, scores={task.id: 0.5})
    item = {"model_version": old.name, "score": 0.1, "result": [], "task": 1}
    replaced.push_predictions(1, [item])
    connect(database, reload(database), replaced, decision="other")

    report = prune_predictions(database, reload(database), replaced, keep=1)

    assert (report.n_tasks, len(replaced.predictions(1))) == (1, 1)


def test_disconnecting_from_a_replaced_label_studio_touches_nothing_there(
    database: Database, replaced: ConnectableStudio
) -> None:
    removed = disconnect_project(database, reload(database), None, backend_url="http://b")

    assert (removed, replaced.calls, reload(database).studio) == (False, [], None)
    assert len(texts_with_gold(database, reload(database))) == 2
