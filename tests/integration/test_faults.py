"""A short story of kills; ``python -m tests.faults`` tells long ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faults.story import tell_story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHORT_MIN = 1.0


def test_whatever_is_killed_no_label_is_lost_and_no_run_done_twice(tmp_path: Path) -> None:
    told = tell_story(tmp_path, seed=11, minutes=SHORT_MIN)

    assert told["n_versions"] >= 1
    assert told["rounds"] >= 2
    assert told["unknown_requests"] == []


@pytest.mark.postgres
@pytest.mark.nightly
def test_it_holds_on_postgresql_which_throws_everybody_out(
    new_postgres: Callable[[], str], tmp_path: Path
) -> None:
    url = new_postgres()

    told = tell_story(
        tmp_path,
        seed=12,
        minutes=SHORT_MIN,
        database_url=url,
        queue_url=url,
    )

    assert told["database"] == "postgresql"
    assert told["n_versions"] >= 1
