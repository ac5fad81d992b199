"""What a run's row and log say after each turn of its life, and who holds which lease."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from shifted_times import shift_times
from sqlalchemy.orm import Session

from annotator.errors import LeaseLostError
from annotator.store.database import Database
from annotator.store.leases import holders, release_lease, take_lease
from annotator.store.projects import Project, ensure_project
from annotator.store.run_log import read_run_log
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
    run_to_json,
    submit_run,
)

A, B = "host-a:1", "host-b:2"


class Runs:
    """The runs of one project, each call in a transaction of its own."""

    def __init__(self, database: Database, project_id: int) -> None:
        self.database, self.project_id = database, project_id

    def do(self, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        with self.database.write() as session:
            return call(session, *given, **options)

    def submit(self, **options: Any) -> Run:
        return self.do(submit_run, self.project_id, **{"trigger": "test", **options})[0]

    def claim(self, run: Run, owner: str = A, *, lease_s: float = 60) -> Run | None:
        return self.do(claim_run, run.id, owner=owner, lease_s=lease_s)

    def reap(self, *, max_attempts: int = 3) -> list[int]:
        return self.do(reap_runs, max_attempts=max_attempts)

    def read(self, run: Run) -> Run:
        with self.database.read() as session:
            return get_run(session, run.id)

    def log(self, run: Run) -> list[tuple[str, dict[str, Any]]]:
        with self.database.read() as session:
            return [(event.kind, dict(event.detail)) for event in read_run_log(session, run.id)]


@pytest.fixture
def runs(database: Database, project: Project) -> Runs:
    return Runs(database, project.id)


@pytest.fixture
def began() -> datetime:
    return datetime.now(UTC)


def test_a_new_run_waits_with_nothing_done(runs: Runs, began: datetime) -> None:
    run = runs.submit(settings={"epochs": 3})

    assert (run.state, run.trigger, run.force, run.attempts) == ("queued", "test", False, 0)
    assert (run.owner, run.error, run.snapshot_id) == (None, None, None)
    assert (run.cancel_requested, run.reasons, dict(run.progress)) == (False, (), {})
    assert (run.started_at, run.finished_at) == (None, None)
    assert dict(run.settings) == {"epochs": 3}
    assert began <= run.created_at <= datetime.now(UTC)
    assert runs.read(run) == run
    assert runs.log(run) == [("submitted", {"trigger": "test", "epochs": 3})]


def test_asking_again_puts_the_settings_over_those_that_wait(runs: Runs) -> None:
    first = runs.submit(settings={"epochs": 3, "seed": 1}, force=True)

    again = runs.submit(settings={"epochs": 5})

    assert (again.id, again.force) == (first.id, True)
    assert dict(again.settings) == {"epochs": 5, "seed": 1}
    assert [kind for kind, _ in runs.log(first)] == ["submitted"]


def test_a_run_of_another_project_is_not_the_one_that_waits(runs: Runs) -> None:
    other = Runs(runs.database, runs.do(ensure_project, name="other", unit="sentence").id)

    theirs, mine = other.submit(), runs.submit()

    assert theirs.id != mine.id
    with runs.database.read() as session:
        assert [run.id for run in list_runs(session, runs.project_id)] == [mine.id]


def test_a_claimed_run_knows_its_owner_and_when_it_began(runs: Runs, began: datetime) -> None:
    run = runs.submit()

    claimed = runs.claim(run)

    assert claimed is not None
    assert (claimed.state, claimed.owner, claimed.attempts) == ("running", A, 1)
    assert claimed.started_at is not None
    assert began <= claimed.started_at <= datetime.now(UTC)
    assert runs.read(run) == claimed
    assert runs.log(run)[1:] == [("started", {"attempt": 1, "owner": A})]


@pytest.mark.parametrize("state", ["running", "succeeded", "cancelled"])
def test_only_a_waiting_run_is_claimed(runs: Runs, state: str) -> None:
    run = runs.submit()
    runs.claim(run)
    ends: dict[str, Callable[[], Any]] = {
        "running": lambda: None,
        "succeeded": lambda: runs.do(finish_run, run.id, owner=A, state="succeeded"),
        "cancelled": lambda: runs.do(finish_run, run.id, owner=A, state="cancelled"),
    }
    ends[state]()
    before = runs.read(run)

    assert runs.claim(run, B) is None
    assert runs.read(run) == before


def test_claiming_one_run_leaves_the_others_alone(runs: Runs) -> None:
    first = runs.submit()
    runs.claim(first)
    runs.do(finish_run, first.id, owner=A, state="held")
    second = runs.submit()

    runs.claim(second, B)

    assert (runs.read(first).state, runs.read(second).owner) == ("held", B)


@pytest.mark.parametrize(("lease_s", "is_silent"), [(60, False), (-1, True)])
def test_a_lease_lasts_as_long_as_it_was_taken_for(
    runs: Runs, lease_s: float, *, is_silent: bool
) -> None:
    run = runs.submit()
    runs.claim(run, lease_s=lease_s)

    assert runs.reap() == [run.id] * is_silent


@pytest.mark.parametrize(("lease_s", "is_silent"), [(60, False), (-1, True)])
def test_a_heartbeat_sets_the_lease_anew(runs: Runs, lease_s: float, *, is_silent: bool) -> None:
    run = runs.submit()
    runs.claim(run, lease_s=-lease_s)

    runs.do(heartbeat, run.id, owner=A, lease_s=lease_s)

    assert runs.reap() == [run.id] * is_silent


def test_a_heartbeat_reaches_no_other_run(runs: Runs) -> None:
    first = runs.submit()
    runs.claim(first)
    runs.do(heartbeat, first.id, owner=A, lease_s=60, progress={"step": 1})
    runs.do(finish_run, first.id, owner=A, state="held")
    second = runs.submit()
    runs.claim(second)

    runs.do(heartbeat, second.id, owner=A, lease_s=60, progress={"step": 2})

    assert [dict(runs.read(run).progress) for run in (first, second)] == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("owner", [A, B], ids=["ended", "of another"])
def test_a_heartbeat_of_a_run_that_is_not_ours_is_told_so(runs: Runs, owner: str) -> None:
    run = runs.submit()
    runs.claim(run)
    runs.do(finish_run, run.id, owner=A, state="held")

    with pytest.raises(LeaseLostError, match=f"run {run.id} is no longer held by {owner}"):
        runs.do(heartbeat, run.id, owner=owner, lease_s=60)


def cancel(session: Session, run_id: int) -> None:
    cancel_run(session, run_id)


REAPED: dict[str, tuple[int, bool, dict[str, Any]]] = {
    "tries left": (2, False, {"state": "queued", "error": None, "owner": None}),
    "last try": (
        1,
        False,
        {
            "state": "failed",
            "error": f"its worker {A} fell silent in attempt 1, the last one",
            "owner": None,
        },
    ),
    "cancelled": (2, True, {"state": "cancelled", "error": None, "owner": None}),
    "cancelled in the last try": (1, True, {"state": "cancelled", "error": None, "owner": None}),
}


@pytest.mark.parametrize(("max_attempts", "is_cancelled", "row"), REAPED.values(), ids=REAPED)
def test_what_becomes_of_a_silent_run(
    runs: Runs, began: datetime, max_attempts: int, row: dict[str, Any], *, is_cancelled: bool
) -> None:
    run = runs.submit()
    runs.claim(run, lease_s=-1)
    [runs.do(cancel, run.id) for _ in range(is_cancelled)]

    back = runs.reap(max_attempts=max_attempts)

    found = runs.read(run)
    assert {name: getattr(found, name) for name in row} == row
    assert back == ([run.id] if row["state"] == "queued" else [])
    assert (found.finished_at is not None) == (row["state"] != "queued")
    detail = {"cause": f"its worker {A} fell silent", "attempt": 1, "state": row["state"]}
    assert runs.log(run)[-1] == ("died", detail)
    assert runs.reap(max_attempts=max_attempts) == []


def test_the_last_silence_does_not_hide_how_the_tries_before_died(runs: Runs) -> None:
    run = runs.submit()
    runs.claim(run)
    runs.do(fail_or_requeue, run.id, owner=A, error="killed", max_attempts=2)
    runs.claim(run, B, lease_s=-1)

    runs.reap(max_attempts=2)

    assert runs.read(run).error == (
        f"its worker {B} fell silent in attempt 2, the last one; before that killed"
    )


def test_of_several_runs_the_silent_ones_are_put_back(runs: Runs) -> None:
    names = ("one", "two", "three")
    wards = [
        Runs(runs.database, runs.do(ensure_project, name=n, unit="sentence").id) for n in names
    ]
    submitted = [ward.submit() for ward in wards]
    waiting = runs.submit()
    [runs.claim(run, lease_s=s) for run, s in zip(submitted, (-1, 60, -1), strict=True)]

    assert sorted(runs.reap()) == [submitted[0].id, submitted[2].id]
    assert [runs.read(run).state for run in submitted] == ["queued", "running", "queued"]
    assert runs.read(waiting).attempts == 0


@pytest.mark.parametrize(
    ("turn", "events"),
    [
        (lambda s, i: finish_run(s, i, owner=A, state="held"), [("ended", {"state": "held"})]),
        (
            lambda s, i: finish_run(s, i, owner=A, state="failed", error="no room"),
            [("ended", {"state": "failed", "error": "no room"})],
        ),
        (
            lambda s, i: fail_or_requeue(s, i, owner=A, error="killed", max_attempts=2),
            [("died", {"cause": "killed", "attempt": 1, "state": "queued"})],
        ),
        (
            lambda s, i: release_run(s, i, owner=A),
            [("put back", {"reason": "its worker was asked to stop"})],
        ),
        (lambda s, i: release_run(s, i, owner=B), []),
        (lambda s, i: [cancel_run(s, i), cancel_run(s, i)], [("asked to stop", {})]),
    ],
    ids=["held", "failed", "died", "put back", "not ours to put back", "asked twice to stop"],
)
def test_each_turn_of_a_run_is_logged(
    runs: Runs, turn: Callable[[Session, int], Any], events: list[tuple[str, dict[str, Any]]]
) -> None:
    run = runs.submit()
    runs.claim(run)

    runs.do(turn, run.id)

    assert runs.log(run)[2:] == events


def test_a_waiting_run_that_is_cancelled_is_logged_as_ended(runs: Runs) -> None:
    run = runs.submit()

    cancelled = runs.do(cancel_run, run.id)

    assert cancelled.finished_at is not None
    assert runs.log(run)[1:] == [("ended", {"state": "cancelled"})]


def test_a_run_in_json_says_when_and_how(runs: Runs) -> None:
    run = runs.submit(settings={"start_from": "ward-1"})
    runs.claim(run)
    runs.do(heartbeat, run.id, owner=A, lease_s=60, progress={"step": 3})
    runs.do(finish_run, run.id, owner=A, state="held", reasons=["worse"], error="e")
    row = runs.read(run)

    assert row.started_at is not None
    assert row.finished_at is not None
    assert run_to_json(row) == {
        "id": run.id,
        "state": "held",
        "trigger": "test",
        "attempts": 1,
        "start_from": "ward-1",
        "progress": {"step": 3},
        "cancel_requested": False,
        "reasons": ["worse"],
        "error": "e",
        "created_at": row.created_at.isoformat(),
        "started_at": row.started_at.isoformat(),
        "finished_at": row.finished_at.isoformat(),
    }


# ------------------------------------------------------------------ leases


def take(database: Database, name: str, owner: str, lease_s: float = 60) -> bool:
    with database.write() as session:
        return take_lease(session, name, owner=owner, lease_s=lease_s)


def held(database: Database, prefix: str) -> list[str]:
    with database.read() as session:
        return holders(session, prefix)


def test_taking_a_lease_again_sets_its_end_anew(database: Database) -> None:
    take(database, "tend:a", A, 10)
    shift_times(database, -20)
    before = held(database, "tend:")

    take(database, "tend:a", A, 60)
    shift_times(database, -50)

    assert (before, held(database, "tend:")) == ([], [A])
    shift_times(database, -20)
    assert held(database, "tend:") == []


def test_a_lease_that_ran_out_has_one_new_holder(database: Database) -> None:
    take(database, "tend:a", A, -1)
    take(database, "tend:b", A, 60)

    assert take(database, "tend:a", B, 60)
    assert not take(database, "tend:a", A)
    assert held(database, "tend:") == [B, A]


def test_giving_one_lease_back_keeps_the_others(database: Database) -> None:
    take(database, "tend:a", A)
    take(database, "tend:b", A)

    with database.write() as session:
        release_lease(session, "tend:a", owner=A)

    assert held(database, "tend:") == [A]
    assert take(database, "tend:a", B)
    assert not take(database, "tend:b", B)


def test_signs_in_a_prefix_are_no_wildcards(database: Database) -> None:
    take(database, "a_b", A)
    take(database, "axb", B)

    assert held(database, "a_") == [A]
