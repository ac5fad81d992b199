"""Leases under a clock that jumps, and what a holder that lost one may still write."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shifted_times import shift_times
from sqlalchemy import select

from annotator.errors import LeaseLostError
from annotator.store.clock import ClockWatch, elapsed_s, instant, now
from annotator.store.database import Database
from annotator.store.leases import check_lease, holders, release_lease, renew_lease, take_lease
from annotator.store.projects import Project, audit, audit_lines
from annotator.store.runs import check_run, claim_run, get_run, heartbeat, reap_runs, submit_run

A, B, NAME = "host-a:1", "host-b:2", "worker:ward"
HOUR = 3600.0


def take(database: Database, owner: str, *, lease_s: float = 60) -> bool:
    with database.write() as session:
        return take_lease(session, NAME, owner=owner, lease_s=lease_s)


def start_run(database: Database, project: Project) -> int:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner=A, lease_s=60)
    return run.id


def reap(database: Database) -> list[int]:
    with database.write() as session:
        return reap_runs(session, max_attempts=3)


jumps = pytest.mark.parametrize(
    ("by_s", "is_dead"),
    [
        pytest.param(HOUR, True, id="an hour ahead until it was corrected"),
        pytest.param(10.0, True, id="seconds ahead until it was corrected"),
        pytest.param(1.0, False, id="slewed"),
        pytest.param(0.0, False, id="right"),
        pytest.param(-30.0, False, id="half a lease behind until it jumped ahead"),
        pytest.param(-HOUR, True, id="an hour behind until it jumped ahead"),
    ],
)


@jumps
def test_a_jump_of_the_clock_keeps_nothing_of_a_dead_worker(
    database: Database, project: Project, by_s: float, is_dead: bool
) -> None:
    take(database, A)
    run_id = start_run(database, project)

    shift_times(database, by_s)

    with database.read() as session:
        assert holders(session, "worker:") == [A] * (not is_dead)
    assert take(database, B) == is_dead
    assert reap(database) == [run_id] * is_dead


@pytest.mark.parametrize("by_s", [HOUR, -HOUR], ids=["back", "ahead"])
def test_a_jump_of_the_clock_takes_nothing_from_who_renews(
    database: Database, project: Project, by_s: float
) -> None:
    take(database, A)
    run_id = start_run(database, project)
    shift_times(database, by_s)

    with database.write() as session:
        renewed = renew_lease(session, NAME, owner=A, lease_s=60)
        heartbeat(session, run_id, owner=A, lease_s=60)

    assert (renewed, take(database, B), reap(database)) == (True, False, [])


def test_a_lease_that_somebody_had_meanwhile_is_not_renewed(database: Database) -> None:
    take(database, A, lease_s=-1)
    take(database, B)
    with database.write() as session:
        release_lease(session, NAME, owner=B)

    with database.write() as session:
        assert not renew_lease(session, NAME, owner=A, lease_s=60)


def lose_the_lease(database: Database, project: Project) -> Database:
    take(database, A, lease_s=-1)
    held = database.guarded(lambda session: check_lease(session, NAME, owner=A))
    take(database, B)
    return held


def lose_the_lease_to_one_who_is_done(database: Database, project: Project) -> Database:
    held = lose_the_lease(database, project)
    with database.write() as session:
        release_lease(session, NAME, owner=B)
    return held


def lose_the_run(database: Database, project: Project) -> Database:
    run_id = start_run(database, project)
    shift_times(database, -HOUR)
    reap(database)
    return database.guarded(lambda session: check_run(session, run_id, owner=A))


def lose_the_run_to_another_attempt(database: Database, project: Project) -> Database:
    held = lose_the_run(database, project)
    with database.write() as session:
        claim_run(session, 1, owner=B, lease_s=60)
    return held


@pytest.mark.parametrize(
    "lose",
    [
        lose_the_lease,
        lose_the_lease_to_one_who_is_done,
        lose_the_run,
        lose_the_run_to_another_attempt,
    ],
)
def test_who_lost_a_lease_and_wakes_up_writes_nothing(
    database: Database, project: Project, lose: Callable[[Database, Project], Database]
) -> None:
    held = lose(database, project)

    with pytest.raises(LeaseLostError), held.write() as session:
        audit(session, project.id, actor=A, action="too late")

    with database.read() as session:
        assert audit_lines(session, project.id) == []


def test_who_holds_a_lease_writes_even_when_it_has_run_out(
    database: Database, project: Project
) -> None:
    take(database, A, lease_s=-1)
    held = database.guarded(lambda session: check_lease(session, NAME, owner=A))

    with held.write() as session:
        audit(session, project.id, actor=A, action="in time")

    with database.read() as session:
        assert len(audit_lines(session, project.id)) == 1


def test_the_run_that_an_attempt_has_ended_is_still_its_own(
    database: Database, project: Project
) -> None:
    from annotator.store.runs import finish_run

    run_id = start_run(database, project)
    held = database.guarded(lambda session: check_run(session, run_id, owner=A))

    with held.write() as session:
        finish_run(session, run_id, owner=A, state="held")

    with database.read() as session:
        assert get_run(session, run_id).state == "held"


def test_the_time_of_a_session_and_of_a_statement_are_one(database: Database) -> None:
    with database.read() as session:
        at = now(session)
        stated = session.scalars(select(instant(session, after_s=60))).one()

    assert abs(datetime.now(UTC) - at) < timedelta(seconds=5)
    assert timedelta(seconds=55) < stated - at < timedelta(seconds=65)


@pytest.mark.parametrize(
    ("since_s", "expected"), [(-90, 90.0), (0, 0.0), (1, 0.0), (600, float("inf"))]
)
def test_a_time_that_lies_ahead_is_long_past(since_s: float, expected: float) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert elapsed_s(at + timedelta(seconds=since_s), at) == expected


def test_what_is_stored_and_compared_has_the_time_of_the_database(repository: Path) -> None:
    rooms = [repository / "annotator" / room for room in ("store", "jobs")]
    files = [f for room in rooms for f in room.rglob("*.py") if f.name != "clock.py"]

    own = [f.name for f in files if re.search(r"datetime\.now|time\.time\(", f.read_text("utf-8"))]

    assert own == []


@pytest.mark.parametrize(
    ("by_s", "expected"), [(3600, True), (-3600, True), (-5, True), (0.5, False), (0, False)]
)
def test_a_jump_of_the_clock_is_noticed_once(by_s: float, expected: bool) -> None:
    watch = ClockWatch()
    at = datetime.now(UTC)
    watch.has_jumped(at)

    assert watch.has_jumped(at + timedelta(seconds=by_s)) == expected
    assert not watch.has_jumped(at + timedelta(seconds=by_s))
