from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from annotator.store.database import Database
from annotator.store.inbox import delete_events, finish_event, outdated_events, store_event
from db.tables import WebhookEventRow

DAY = timedelta(days=1)


@pytest.fixture
def events(database: Database) -> list[int]:
    """Six events: handled in each way, one that waits, one of today, and the newest."""
    states = ["done", "failed", "ignored", "new", "done", "done"]
    with database.write() as session:
        for i, state in enumerate(states):
            payload = {"task": {"data": {"text": "a note"}}}
            store_event(
                session, action="A", studio_project_id=5, dedupe_key=str(i), payload=payload
            )
            if state != "new":
                finish_event(session, i + 1, state=state)
        ids = list(session.scalars(select(WebhookEventRow.id).order_by(WebhookEventRow.id)))
        before = WebhookEventRow.received_at
        for i, days in ((0, 40), (1, 31), (2, 31), (3, 40), (4, 29), (5, 40)):
            when = session.scalar(select(before).where(WebhookEventRow.id == ids[i]))
            assert when is not None
            session.execute(
                update(WebhookEventRow)
                .where(WebhookEventRow.id == ids[i])
                .values(received_at=when - days * DAY)
            )
    return ids


@pytest.mark.parametrize(
    ("pulled", "outdated"), [(6, [0, 1, 2]), (0, [1, 2])], ids=["pulled", "to be pulled"]
)
def test_handled_events_are_outdated_after_their_days(
    database: Database, events: list[int], pulled: int, outdated: list[int]
) -> None:
    with database.read() as session:
        found = outdated_events(session, keep_days=30, pulled=pulled)

    assert sorted(found) == [events[i] for i in outdated]


def test_the_text_of_deleted_events_is_gone(database: Database, events: list[int]) -> None:
    with database.write() as session:
        delete_events(session, outdated_events(session, keep_days=30, pulled=6))

    with database.read() as session:
        left = list(session.scalars(select(WebhookEventRow.id).order_by(WebhookEventRow.id)))
    assert left == events[3:]
