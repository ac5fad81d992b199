from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from annotator.errors import ConflictError, LeaseLostError, NotFoundError
from annotator.store.database import Database
from annotator.store.leases import holders, release_lease, take_lease
from annotator.store.projects import Project, ensure_project
from annotator.store.runs import (
    Run,
    cancel_run,
    claim_run,
    fail_or_requeue,
    finish_run,
    get_run,
    heartbeat,
    list_runs,
    reap_runs,
    release_run,
    submit_run,
)
from db.tables import TrainingRunRow

A, B = "host-a:1", "host-b:2"


@pytest.fixture
def run_id(database: Database, project: Project) -> int:
    with database.write() as session:
        return submit_run(session, project.id, trigger="test")[0].id


def claim(database: Database, run_id: int, owner: str = A) -> Run | None:
    with database.write() as session:
        return claim_run(session, run_id, owner=owner, lease_s=60)


def read(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return get_run(session, run_id)


def expire(database: Database, run_id: int) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with database.write() as session:
        session.execute(
            update(TrainingRunRow).where(TrainingRunRow.id == run_id).values(lease_until=past)
        )


def reap(database: Database, max_attempts: int = 3) -> list[int]:
    with database.write() as session:
        return reap_runs(session, max_attempts=max_attempts)


def test_asking_twice_for_a_run_queues_one(
    database: Database, project: Project, run_id: int
) -> None:
    with database.write() as session:
        again, is_new = submit_run(session, project.id, trigger="count", force=True)

    assert (again.id, again.trigger, again.force, is_new) == (run_id, "test", True, False)


def test_a_run_under_way_does_not_hinder_the_next_one_from_waiting(
    database: Database, project: Project, run_id: int
) -> None:
    claim(database, run_id)

    with database.write() as session:
        waiting, is_new = submit_run(session, project.id, trigger="count")
        listed = [run.state for run in list_runs(session, project.id)]

    assert (is_new, waiting.state, listed) == (True, "queued", ["queued", "running"])


def test_of_two_owners_one_gets_the_run(database: Database, run_id: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        claimed = list(pool.map(lambda owner: claim(database, run_id, owner), (A, B)))

    won = [run for run in claimed if run is not None]
    assert len(won) == 1
    assert (won[0].state, won[0].attempts) == ("running", 1)


def test_a_project_runs_one_run_at_a_time(
    database: Database, project: Project, run_id: int
) -> None:
    claim(database, run_id, A)
    with database.write() as session:
        second, _ = submit_run(session, project.id, trigger="count")

    assert claim(database, second.id, B) is None
    assert read(database, second.id).state == "queued"


def test_two_projects_run_side_by_side(database: Database, project: Project, run_id: int) -> None:
    with database.write() as session:
        other = ensure_project(session, name="other", unit="sentence")
        second, _ = submit_run(session, other.id, trigger="test")

    assert claim(database, run_id, A) is not None
    assert claim(database, second.id, B) is not None


def test_the_table_itself_refuses_a_second_running_run(
    database: Database, project: Project, run_id: int
) -> None:
    claim(database, run_id)
    row = {
        "project_id": project.id,
        "state": "running",
        "trigger": "test",
        "force": False,
        "attempts": 1,
        "progress": {},
        "cancel_requested": False,
        "settings": {},
        "reasons": [],
        "created_at": datetime.now(UTC),
    }

    with pytest.raises(ConflictError), database.write() as session:
        session.execute(insert(TrainingRunRow), [row])


def test_a_heartbeat_stores_progress_and_extends_the_lease(database: Database, run_id: int) -> None:
    claim(database, run_id)
    expire(database, run_id)

    with database.write() as session:
        cancelled = heartbeat(session, run_id, owner=A, lease_s=60, progress={"step": 3})

    assert not cancelled
    assert reap(database) == []
    assert read(database, run_id).progress == {"step": 3}


def test_a_heartbeat_without_progress_keeps_what_was_there(database: Database, run_id: int) -> None:
    claim(database, run_id)
    with database.write() as session:
        heartbeat(session, run_id, owner=A, lease_s=60, progress={"step": 3})
        heartbeat(session, run_id, owner=A, lease_s=60)

    assert read(database, run_id).progress == {"step": 3}


def test_a_silent_run_is_put_back_and_its_owner_told(database: Database, run_id: int) -> None:
    claim(database, run_id, A)
    expire(database, run_id)

    assert reap(database) == [run_id]

    second = claim(database, run_id, B)
    assert (second.owner, second.attempts) == (B, 2)
    with pytest.raises(LeaseLostError), database.write() as session:
        heartbeat(session, run_id, owner=A, lease_s=60)
    with pytest.raises(LeaseLostError), database.write() as session:
        finish_run(session, run_id, owner=A, state="succeeded")
    with pytest.raises(LeaseLostError), database.write() as session:
        fail_or_requeue(session, run_id, owner=A, error="x", max_attempts=3)
    with database.write() as session:
        release_run(session, run_id, owner=A)
    assert read(database, run_id).state == "running"


def test_a_run_whose_workers_die_every_time_fails_for_good(database: Database, run_id: int) -> None:
    for _ in range(2):
        claim(database, run_id)
        expire(database, run_id)
        reap(database, max_attempts=2)

    run = read(database, run_id)
    assert (run.state, run.attempts, run.owner) == ("failed", 2, None)
    assert run.error == "its worker host-a:1 fell silent in attempt 2, the last one"
    assert run.finished_at is not None


def test_a_living_run_is_not_reaped(database: Database, run_id: int) -> None:
    claim(database, run_id)

    assert reap(database) == []
    assert read(database, run_id).state == "running"


def test_a_death_is_recorded_and_tried_again(database: Database, run_id: int) -> None:
    states = []
    for _ in range(2):
        claim(database, run_id)
        with database.write() as session:
            states.append(fail_or_requeue(session, run_id, owner=A, error="killed", max_attempts=2))

    assert states == ["queued", "failed"]
    assert read(database, run_id).error == "killed"


def test_a_run_given_back_has_not_been_tried(database: Database, run_id: int) -> None:
    claim(database, run_id)
    with database.write() as session:
        release_run(session, run_id, owner=A)

    run = read(database, run_id)
    assert (run.state, run.attempts, run.owner) == ("queued", 0, None)


def test_a_finished_run_forgets_the_error_of_an_earlier_try(
    database: Database, run_id: int
) -> None:
    claim(database, run_id)
    with database.write() as session:
        fail_or_requeue(session, run_id, owner=A, error="killed", max_attempts=2)
    claim(database, run_id)
    with database.write() as session:
        finish_run(session, run_id, owner=A, state="held", reasons=["worse"])

    run = read(database, run_id)
    assert (run.state, run.error, run.reasons) == ("held", None, ("worse",))


def test_cancelling_a_waiting_run_ends_it(database: Database, run_id: int) -> None:
    with database.write() as session:
        assert cancel_run(session, run_id).state == "cancelled"

    assert claim(database, run_id) is None


def test_cancelling_a_running_run_reaches_it_with_the_next_beat(
    database: Database, run_id: int
) -> None:
    claim(database, run_id)
    with database.write() as session:
        asked = cancel_run(session, run_id)
        heard = heartbeat(session, run_id, owner=A, lease_s=60)

    assert (asked.state, asked.cancel_requested, heard) == ("running", True, True)


@pytest.mark.parametrize("end", ["silence", "death"])
def test_a_cancelled_run_that_dies_is_not_tried_again(
    database: Database, run_id: int, end: str
) -> None:
    claim(database, run_id)
    with database.write() as session:
        cancel_run(session, run_id)
    ends = {"silence": lambda: (expire(database, run_id), reap(database)), "death": None}
    ends["death"] = lambda: die(database, run_id)
    ends[end]()

    run = read(database, run_id)
    assert (run.state, run.finished_at is not None) == ("cancelled", True)


def die(database: Database, run_id: int) -> None:
    with database.write() as session:
        fail_or_requeue(session, run_id, owner=A, error="killed", max_attempts=3)


@pytest.mark.parametrize("call", [get_run, cancel_run], ids=["get", "cancel"])
def test_an_unknown_run_is_named(database: Database, call: object) -> None:
    with pytest.raises(NotFoundError, match="no run 404"), database.write() as session:
        call(session, 404)  # type: ignore[operator]


# ------------------------------------------------------------------ leases


def take(database: Database, owner: str, lease_s: float = 60) -> bool:
    with database.write() as session:
        return take_lease(session, "tend:ward", owner=owner, lease_s=lease_s)


def test_a_lease_has_one_holder_until_it_is_given_back(database: Database) -> None:
    first, extended, other = take(database, A), take(database, A), take(database, B)
    with database.write() as session:
        release_lease(session, "tend:ward", owner=B)  # not his
    still = take(database, B)
    with database.write() as session:
        release_lease(session, "tend:ward", owner=A)

    assert (first, extended, other, still, take(database, B)) == (True, True, False, False, True)


def test_a_lease_that_ran_out_is_free(database: Database) -> None:
    take(database, A, lease_s=-1)

    assert take(database, B)


def test_of_many_that_want_a_lease_at_once_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(lambda i: take(database, f"worker-{i}"), range(4)))

    assert sum(won) == 1


def test_holders_are_those_whose_lease_runs(database: Database) -> None:
    with database.write() as session:
        take_lease(session, "worker:a", owner=A, lease_s=60)
        take_lease(session, "worker:b", owner=B, lease_s=-1)
        take_lease(session, "worker_x", owner="other", lease_s=60)
        found = holders(session, "worker:")

    assert found == [A]
