"""A lease that is held while a block runs, and a database that is away or slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from annotator.errors import LeaseLostError, StoreError
from annotator.jobs.leases import hold_lease
from annotator.jobs.presence import workers_alive
from annotator.store.database import Database
from annotator.store.leases import release_lease, take_lease
from annotator.store.projects import Project, audit
from db.tables import LeaseRow

NAME = "publish:ward"


class AwayDatabase:
    """A database that cannot be reached at times."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    def write(self) -> AbstractContextManager[Session]:
        if self.is_away:
            raise StoreError("database ward: connection refused")
        return self._database.write()

    def guarded(self, check: Callable[[Session], None]) -> Database:
        return self._database.guarded(check)


@pytest.fixture
def away(database: Database) -> AwayDatabase:
    return AwayDatabase(database)


def take(database: Database) -> bool:
    with database.write() as session:
        return take_lease(session, NAME, owner="host:2", lease_s=60)


def test_a_lease_is_kept_over_a_renewal_that_failed(database: Database, away: AwayDatabase) -> None:
    with hold_lease(away, NAME, owner="host:1", lease_s=0.6) as mine:  # type: ignore[arg-type]
        away.is_away = True
        time.sleep(0.3)
        away.is_away = False
        time.sleep(0.6)
        taken = take(database)

    assert (mine is not None, taken) == (True, False)
    assert take(database)


def test_a_block_that_fails_gives_its_lease_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(database, NAME, owner="a", lease_s=60):
        1 / 0  # noqa: B018 - what fails in the block

    assert take(database)


def test_who_comes_second_does_not_give_the_lease_of_the_first_back(database: Database) -> None:
    with hold_lease(database, NAME, owner="host:1", lease_s=60) as first:
        with hold_lease(database, NAME, owner="host:1", lease_s=60) as second:
            pass
        taken = take(database)

    assert (first is None, second is None, taken) == (False, True, False)


class SlowDatabase:
    """A database that keeps every thread but the first waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self) -> AbstractContextManager[Session]:
        time.sleep(0.4 * (threading.current_thread() is not threading.main_thread()))
        return self._database.write()

    def guarded(self, check: Callable[[Session], None]) -> Database:
        return self._database.guarded(check)


def test_a_renewal_under_way_does_not_outlive_its_block(database: Database) -> None:
    slow = SlowDatabase(database)

    with hold_lease(slow, NAME, owner="host:1", lease_s=0.6):  # type: ignore[arg-type]
        time.sleep(0.3)  # the renewal began at 0.2
    time.sleep(0.4)

    assert take(database)


def test_a_block_that_slept_through_its_lease_writes_nothing_and_takes_nothing_back(
    database: Database, away: AwayDatabase, project: Project
) -> None:
    with hold_lease(away, NAME, owner="host:1", lease_s=0.6) as held:  # type: ignore[arg-type]
        away.is_away = True
        time.sleep(0.8)
        other = take(database)
        with database.write() as session:
            release_lease(session, NAME, owner="host:2")
        away.is_away = False
        time.sleep(0.4)  # the next renewal

        assert held is not None
        with pytest.raises(LeaseLostError), held.write() as session:
            audit(session, project.id, actor="host:1", action="too late")

    assert other
    assert take(database)


def test_two_threads_of_one_worker_never_hold_one_lease(database: Database) -> None:
    held: list[bool] = []

    def work() -> None:
        with hold_lease(database, "publish:ward", owner="host:1", lease_s=3) as mine:
            held.append(mine is not None)
            time.sleep(0.3)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(held) == [False, False, True]


def test_a_lease_lives_as_long_as_its_block_and_no_longer(database: Database) -> None:
    with hold_lease(database, "publish:ward", owner="host:1", lease_s=0.3) as mine:
        time.sleep(0.7)
        with hold_lease(database, "publish:ward", owner="host:2", lease_s=0.3) as other:
            assert (mine is None, other is None) == (False, True)

    with hold_lease(database, "publish:ward", owner="host:2", lease_s=0.3) as other:
        assert other


def test_a_worker_is_alive_while_its_lease_runs(database: Database) -> None:
    with database.write() as session:
        take_lease(session, "worker:host:1", owner="host:1", lease_s=20)
    assert workers_alive(database) == ["host:1"]

    with database.write() as session:
        session.execute(update(LeaseRow).values(until=datetime.now(UTC) - timedelta(seconds=1)))
    assert workers_alive(database) == []
