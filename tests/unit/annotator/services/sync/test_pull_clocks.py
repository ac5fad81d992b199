"""Pulls after a clock was wrong: ours, or Label Studio's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import RASH
from fake_studio import FakeStudio, make_region
from reconcile_world import ours, theirs
from shifted_times import shift_times

from annotator.store.clock import now
from annotator.store.database import Database
from annotator.store.projects import Project, get_project, set_pulled

DAY = 86_400.0
DRUG = [make_region("a", 0, 7, "Drug", text=RASH)]
OTHER = [make_region("b", 0, 7, "Effect", text=RASH)]


@pytest.fixture
def studio() -> FakeStudio:
    """Its clock is right at first."""
    return FakeStudio(datetime.now(UTC))


def annotate(studio: FakeStudio, known: int) -> None:
    studio.annotate(studio.add_task(text=f"{RASH} Again."), OTHER)


def change(studio: FakeStudio, known: int) -> None:
    studio.update(known, OTHER)


def delete(studio: FakeStudio, known: int) -> None:
    studio.delete_annotation(known)


def delete_task(studio: FakeStudio, known: int) -> None:
    studio.delete_task(1)


acts = pytest.mark.parametrize("act", [annotate, change, delete, delete_task])


@acts
@pytest.mark.parametrize("by_s", [DAY, -DAY], ids=["we were ahead", "we were behind"])
def test_what_was_done_after_our_clock_was_corrected_is_pulled(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, act: Any, by_s: float
) -> None:
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    pull()
    shift_times(database, by_s)

    act(studio, known)
    pull()

    assert ours(database, linked) == theirs(studio)


@acts
def test_what_was_done_after_label_studios_clock_was_corrected_is_pulled(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, act: Any
) -> None:
    studio.wait(hours=24)
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    pull()
    studio.wait(hours=-24)

    act(studio, known)
    pull()

    assert ours(database, linked) == theirs(studio)


@acts
def test_what_was_done_while_a_small_step_back_was_not_noticed_is_found_by_a_recheck(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, act: Any
) -> None:
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    studio.wait(hours=-24)
    studio.annotate(studio.add_task(text=f"{RASH} Then."), DRUG)
    pull()
    studio.wait(hours=-48)
    act(studio, known)

    report = pull(recheck=True)

    assert report.n_tasks <= 2
    assert ours(database, linked) == theirs(studio)
    assert pull(recheck=True).n_tasks == 0


def test_a_task_that_a_late_event_changed_is_compared_though_our_clock_was_ahead(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Callable[[], Any]
) -> None:
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    pull()
    late = studio.events[-1]
    studio.delete_annotation(known, silent=True)
    pull()
    shift_times(database, DAY)
    late["annotation"]["updated_at"] = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
    studio.events[:] = [late]
    deliver()
    assert ours(database, linked) != theirs(studio)

    pull()

    assert ours(database, linked) == theirs(studio)


def test_a_pull_never_notes_a_time_that_lies_ahead(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.wait(hours=24)
    studio.add_task(text=RASH)
    pull()

    with database.read() as session:
        found = get_project(session, linked.name)
    assert found.pulled_until is not None
    assert found.pulled_at is not None
    assert found.pulled_until <= found.pulled_at


def test_a_pull_does_not_read_again_what_events_changed_before_the_one_before(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Callable[[], Any]
) -> None:
    for i in range(3):
        studio.annotate(studio.add_task(text=f"{RASH} {i}."), DRUG)
    deliver()
    pull()
    shift_times(database, -60.0)  # a minute goes by
    pull()

    assert pull().n_tasks == 0


def test_an_event_that_appears_behind_a_later_number_is_compared_too(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Callable[[], Any]
) -> None:
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    pull()
    late = studio.events[-1]
    studio.delete_annotation(known, silent=True)
    pull()
    with database.write() as session:  # a later number that committed first
        set_pulled(session, linked.id, started=now(session), until=None, event=40)
    late["annotation"]["updated_at"] = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
    studio.events[:] = [late]
    deliver()

    pull()

    assert ours(database, linked) == theirs(studio)


@acts
def test_what_was_done_soon_after_both_clocks_were_corrected_is_pulled_later(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, act: Any
) -> None:
    studio.wait(hours=2)
    known = studio.annotate(studio.add_task(text=RASH), DRUG)
    studio.add_task(text=f"{RASH} Then.")
    pull()
    shift_times(database, 7200.0)
    studio.wait(hours=-2)
    pull()  # both are right again

    studio.wait(hours=-2)
    act(studio, known)
    studio.wait(hours=2)
    studio.add_task(text=f"{RASH} At last.")
    shift_times(database, -7260.0)  # two hours have gone by since
    pull()

    assert ours(database, linked) == theirs(studio)
