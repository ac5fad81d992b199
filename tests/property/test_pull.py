"""Whatever becomes of the webhooks, a pull makes our database equal to Label Studio's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reconcile_steps import (
    CONFIGS,
    RESULTS,
    TEXTS,
    Annotate,
    Configure,
    Delete,
    DeleteTask,
    Deliver,
    Edit,
    Make,
    Process,
    Pull,
    Replay,
    Star,
    Step,
    Update,
    play,
)
from reconcile_world import ReconcileWorld, ours, theirs

NewDatabase = Callable[[], str]

numbers = st.integers(0, 2)  # few, so that much happens to each
texts = st.integers(0, len(TEXTS) - 1)
results = st.integers(0, len(RESULTS) - 1)
deaths = st.one_of(st.none(), st.none(), st.none(), st.integers(1, 40))

# What makes the next pull look at all tasks, and so hides what others would miss, is rare.
people = st.one_of(
    st.builds(Make, texts),
    st.builds(Annotate, numbers, results, st.integers(1, 3)),
    st.builds(Annotate, numbers, results, skip=st.just(True)),
    st.builds(Update, numbers, results),
    st.builds(Star, numbers, st.booleans()),
    st.builds(Delete, numbers, st.booleans()),
    st.builds(Edit, numbers, texts),
    st.builds(DeleteTask, numbers),
)
configures = st.builds(Configure, st.integers(0, len(CONFIGS) - 1))
work = st.one_of(*[people] * 5, configures)
deliveries = st.builds(Deliver, st.integers(0, 11))
replays = st.builds(Replay, times=st.integers(1, 5), order=st.integers(0, 9))
inbox = st.one_of(deliveries, deliveries, st.builds(Process, deaths))
pulls = st.builds(
    Pull,
    st.sampled_from([False, False, False, True]),
    deaths,
    st.lists(work | inbox, max_size=3).map(tuple),
)
chapters = st.tuples(
    st.lists(work, min_size=3, max_size=8),
    st.lists(inbox | replays, max_size=3),
    st.lists(pulls, max_size=1),
)
opening = st.tuples(st.lists(st.builds(Make, texts), min_size=2, max_size=3))
late = st.tuples(st.lists(pulls, max_size=1), st.lists(inbox | replays, max_size=3))
stories = st.tuples(opening, st.lists(chapters, min_size=1, max_size=4), late).map(
    lambda told: list(chain.from_iterable(chain(told[0], *told[1], told[2])))
)
clocks = st.sampled_from([timedelta(days=-1), timedelta(days=1)])

#: More stories are told where ``make nightly`` asks for them.
AT_NIGHT = "ANNOTATOR_TEST_NIGHT" in os.environ

any_story = given(story=stories, ahead=clocks)
in_any_fixture = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@pytest.fixture(scope="session")
def new_sqlite(empty_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes empty databases with all tables."""
    folder, numbers = tmp_path_factory.mktemp("stories"), count()

    def make() -> str:
        file = folder / f"{next(numbers)}.db"
        shutil.copy(empty_sqlite, file)
        return f"sqlite:///{file}"

    return make


def assert_pull_makes_equal(story: list[Step], *, url: str, ahead: timedelta) -> None:
    world = ReconcileWorld(url, datetime.now(UTC) + ahead)
    play(world, story)
    play(world, [Process()])

    report = world.pull(world.database)

    assert ours(world.database, world.project) == theirs(world.studio)
    assert world.config_xml() == world.studio.config_xml
    assert world.our_gold() == world.their_gold()
    assert report.problems == ()
    again = world.pull(world.database, full=True)
    assert (again.n_news, again.n_deleted_tasks, again.n_deleted_annotations) == (0, 0, 0)
    world.check_history()
    world.database.close()


@any_story
@settings(max_examples=60 if AT_NIGHT else 20, **in_any_fixture)
def test_after_any_story_a_pull_makes_the_database_equal_to_label_studios(
    new_sqlite: NewDatabase, story: list[Step], ahead: timedelta
) -> None:
    assert_pull_makes_equal(story, url=new_sqlite(), ahead=ahead)


@pytest.mark.postgres
@any_story
@settings(max_examples=15, **in_any_fixture)
def test_after_any_story_a_pull_makes_a_postgresql_database_equal(
    empty_postgres: NewDatabase, story: list[Step], ahead: timedelta
) -> None:
    assert_pull_makes_equal(story, url=empty_postgres(), ahead=ahead)
