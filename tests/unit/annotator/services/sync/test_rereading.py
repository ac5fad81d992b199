"""Labels that were read under another configuration, or by another reader, are read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from factories import RASH, TINY_CONFIG_XML
from fake_studio import FakeStudio, make_region
from sqlalchemy import select

from annotator.services.reports.status import project_status
from annotator.settings import Settings
from annotator.store.annotations import current_revision
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project
from annotator.store.snapshots import n_new_sentences
from annotator.store.tasks import find_task
from annotator.studio import codec, reading
from db.tables import AnnotationRow

RENAMED = TINY_CONFIG_XML.replace('toName="text"', 'toName="note"').replace(
    '<Text name="text"', '<Text name="note"'
)
BOTH = [("Drug", "Aspirin"), ("Effect", "rash")]


def regions(to_name: str = "text") -> list[dict[str, Any]]:
    drawn = [
        make_region("a", 0, 7, "Drug", text=RASH),
        make_region("b", 17, 21, "Effect", text=RASH),
    ]
    return [{**one, "to_name": to_name} for one in drawn]


@pytest.fixture
def gold(database: Database, linked: Project) -> Callable[[], list[Any]]:
    """What counts now: the labels of each region."""

    def read() -> list[Any]:
        with database.read() as session:
            return [
                [(e.type, unit.document.mention(e)) for e in unit.document.entities]
                for unit in gold_units(session, linked.id)
            ]

    return read


@pytest.fixture
def status(database: Database, linked: Project, settings: Settings) -> Callable[[], Any]:
    """What ``annotator status`` knows."""
    return lambda: project_status(database, linked, settings)


def revisions(database: Database) -> list[Any]:
    with database.read() as session:
        rows = session.scalars(select(AnnotationRow).order_by(AnnotationRow.id))
        return [(row.revision, row.state, row.is_current) for row in rows]


@pytest.mark.parametrize("full", [False, True], ids=["sync", "sync --full"])
def test_an_annotation_that_came_before_its_configuration_gets_its_labels_by_the_next_pull(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    deliver: Any,
    pull: Any,
    gold: Any,
    status: Any,
    full: bool,
) -> None:
    task = studio.add_task(text=RASH)
    pull()
    studio.configure(RENAMED)
    studio.events.clear()  # the backend is down
    studio.annotate(task, regions("note"))
    deliver()
    before, unread = gold(), status()["n_unread"]

    pull(full=full)

    assert (before, unread) == ([], 1)
    assert (gold(), status()["n_unread"], status()["label_issues"]) == ([BOTH], 0, {})
    assert revisions(database) == [(1, "unread", False), (2, "submitted", True)]
    with database.read() as session:
        assert n_new_sentences(session, linked.id)[0] == 1
        assert find_task(session, linked.id, studio_id=task).state == "labelled"
    pull(full=True)
    assert len(revisions(database)) == 2


def test_labels_that_the_new_configuration_cannot_read_stay_and_are_counted(
    database: Database, studio: FakeStudio, pull: Any, gold: Any, status: Any
) -> None:
    studio.annotate(studio.add_task(text=RASH), regions())
    pull()
    studio.configure(RENAMED)

    pull()
    pull(full=True)

    assert gold() == [BOTH]
    assert status()["label_issues"] == {"unread": 2}
    assert len(revisions(database)) == 1
    studio.configure(TINY_CONFIG_XML)
    pull()
    assert (gold(), status()["label_issues"]) == ([BOTH], {})


def test_an_annotation_that_no_configuration_could_read_is_never_clean_gold(
    studio: FakeStudio, pull: Any, gold: Any, status: Any
) -> None:
    studio.annotate(studio.add_task(text=RASH), regions("elsewhere"))
    studio.annotate(studio.add_task(text="Nothing here."), [])

    pull()

    assert (gold(), status()["n_unread"]) == ([[]], 1)  # nothing found is gold, not read is none


def test_a_choice_about_the_text_is_no_label_that_was_not_read(
    studio: FakeStudio, pull: Any, gold: Any, status: Any
) -> None:
    choice = {
        "from_name": "mood",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["x"]},
    }
    studio.annotate(studio.add_task(text=RASH), [*regions(), choice])

    pull()

    assert (gold(), status()["n_unread"]) == ([BOTH], 0)


@pytest.mark.parametrize("is_there", [True, False], ids=["task there", "task deleted"])
def test_a_later_reader_reads_what_is_stored_without_asking_label_studio(
    database: Database,
    studio: FakeStudio,
    pull: Any,
    gold: Any,
    monkeypatch: pytest.MonkeyPatch,
    is_there: bool,
) -> None:
    task = studio.add_task(text=RASH)
    studio.annotate(task, regions())
    with monkeypatch.context() as earlier:  # a reader of before took all mentions for the first
        earlier.setattr(codec._Reader, "_read_span", lambda _self, _name, _value: (0, 7))
        studio.wait(hours=1)
        pull()
        assert gold() == [[("Drug", "Aspirin"), ("Effect", "Aspirin")]]
    if not is_there:
        studio.delete_task(task)
    monkeypatch.setattr(reading, "READER_VERSION", codec.READER_VERSION + 1)
    asked: list[int] = []
    monkeypatch.setattr(studio, "tasks_of", lambda _project, ids: asked.extend(ids) or iter(()))

    pull()

    assert gold() == [BOTH]
    assert asked == []
    assert revisions(database)[-1] == (2, "submitted", True)


def test_what_was_changed_of_a_prediction_is_compared_anew_with_it(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    pull()
    studio.configure(RENAMED)
    studio.events.clear()
    item = {"task": task, "model_version": "v1", "score": 0.5, "result": regions("note")[:1]}
    studio.push_predictions(1, [item])
    prediction = studio.predictions(task)[0]
    studio.annotate(
        task, regions("note"), parent_prediction=prediction["id"], prediction=prediction
    )
    deliver()

    pull()

    with database.read() as session:
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert (row.state, row.parent_version) == ("submitted", "v1")
        assert (row.diff["entities_kept"], row.diff["entities_added"]) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<View>", "<View><!-- new -->"),
        ('<Label value="Drug"/>', '<Label value="Drug" hotkey="1"/>'),
        ('<Label value="Drug"/>', '<Label value="Drug"/><Label value="Dose"/>'),
    ],
    ids=["a comment", "a key", "a label more"],
)
def test_a_configuration_that_reads_the_same_makes_no_revision(
    database: Database, studio: FakeStudio, pull: Any, gold: Any, old: str, new: str
) -> None:
    studio.annotate(studio.add_task(text=RASH), regions())
    pull()
    studio.configure(TINY_CONFIG_XML.replace(old, new))

    pull()

    assert (gold(), revisions(database)) == ([BOTH], [(1, "submitted", True)])
