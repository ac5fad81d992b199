"""Pushing what Label Studio lacks: late tasks, refused ones, those of a former configuration."""

from __future__ import annotations

from typing import Any

import pytest
from factories import TINY_CONFIG_XML
from fake_studio import FakeStudio
from sqlalchemy import func, select

from annotator.errors import StudioError
from annotator.services.queue import publish
from annotator.services.queue.order import order_tasks
from annotator.services.queue.publish import (
    is_publish_due,
)
from annotator.services.reports.status import project_status
from annotator.services.sync.upload import upload_tasks
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.pushes import forget_refusals
from annotator.store.tasks import task_by_id
from annotator.store.versions import ModelVersion
from db.tables import QueryLogRow


def test_a_refused_prediction_is_set_aside_and_holds_up_nothing(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    settings: Settings,
    version: ModelVersion,
    push: Any,
) -> None:
    upload_tasks(database, pool, studio)
    studio.refused_tasks = {2}

    reports = [push(), push()]

    counts = {task_id: len(studio.predictions(task_id)) for task_id in studio.task_ids(1)}
    assert counts == {1: 1, 2: 0, 3: 1, 4: 1}
    assert [report.n_pushed for report in reports] == [3, 0]
    assert reports[0].selected
    assert not is_publish_due(database, pool, version)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(QueryLogRow)) == 1
    assert project_status(database, pool, settings)["label_studio"]["refused"] == [2]
    with database.write() as session:
        forget_refusals(session, pool.id)
    studio.refused_tasks = set()
    assert push().n_pushed == 1


def test_a_task_that_is_gone_from_label_studio_holds_up_nothing(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    studio.delete_task(3)

    assert push().n_pushed == 3
    assert push().n_pushed == 0


def test_refused_one_and_all_predictions_are_an_error(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    studio.refused_tasks = {1, 2, 3, 4}

    for _ in range(2):
        with pytest.raises(StudioError, match=r"refuses all 4 .*; run annotator connect again"):
            push()

    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(QueryLogRow)) == 0


def test_a_task_that_comes_after_the_scoring_waits_for_the_next_push(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    push: Any,
    pull: Any,
    monkeypatch: Any,
) -> None:
    upload_tasks(database, pool, studio)

    def order_late(*arguments: Any, **options: Any) -> Any:
        studio.add_task(text="One more note about aspirin.")
        pull()
        return order_tasks(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "order_tasks", order_late)
        first = push()

    assert (first.n_pushed, push().n_pushed) == (4, 1)


def test_tasks_that_come_late_stand_where_their_usefulness_puts_them(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    late = {
        studio.add_task(text=f"One more note about drug {i} and its harm to number {i}.")
        for i in range(7)
    }
    pull()
    wanted: list[bool] = []

    def remember(*arguments: Any, **options: Any) -> Any:
        order = order_tasks(*arguments, **options)
        with database.read() as session:
            ids = [task_by_id(session, i).studio_id for i in order.task_ids.tolist()]
        wanted.extend(one in late for one in ids)
        return order

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "order_tasks", remember)
        push()

    scores = {i: studio.predictions(i)[0]["score"] for i in studio.task_ids(1)}
    served = [task_id in late for task_id in sorted(scores, key=scores.__getitem__)]
    assert served == wanted
    assert len(set(scores.values())) == len(scores)


def test_predictions_that_name_tags_of_a_former_configuration_are_replaced(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    before = {i: studio.predictions(i)[0]["score"] for i in studio.task_ids(1)}
    renamed = TINY_CONFIG_XML.replace('name="text" value', 'name="note" value')
    studio.configure(renamed.replace('toName="text"', 'toName="note"'))
    pull()

    push()

    found = {i: studio.predictions(i) for i in studio.task_ids(1)}
    regions = [r for (one,) in found.values() for r in one["result"] if r["type"] != "relation"]
    assert len(found) == len(before) == 4
    assert regions
    assert {region["to_name"] for region in regions} == {"note"}
    assert push().n_pushed == 0
