from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factories import at
from hypothesis import given
from hypothesis import strategies as st

from annotator.services.models.triggers import TriggerDecision, is_retrain_due, last_cron_time

NO = TriggerDecision(due=False)
COUNT = TriggerDecision(due=True, reason="count")
SHARE = TriggerDecision(due=True, reason="share")
NEWEST = at(0)


def decide(
    n_new: int,
    n_gold: int = 100,
    *,
    quiet_s: float = 60,
    newest: datetime | None = NEWEST,
    **options: Any,
) -> TriggerDecision:
    return is_retrain_due(
        n_new=n_new,
        needed=max(50, round(0.1 * n_gold)),
        by_share=round(0.1 * n_gold) > 50,
        newest=newest,
        now=at(quiet_s),
        debounce_s=5,
        **options,
    )


@pytest.mark.parametrize(
    ("n_new", "n_gold", "decision"),
    [
        (0, 0, NO),
        (49, 49, NO),
        (50, 50, COUNT),
        (50, 1000, NO),
        (100, 1000, SHARE),
        (99, 1000, NO),
    ],
)
def test_a_run_is_due_after_so_many_labels_or_a_share_of_the_gold(
    n_new: int, n_gold: int, decision: TriggerDecision
) -> None:
    assert decide(n_new, n_gold) == decision


def test_labels_that_still_come_in_are_waited_for() -> None:
    assert decide(50, quiet_s=2) == TriggerDecision(due=False, wait_s=3)


def test_a_label_whose_time_lies_ahead_is_not_waited_for() -> None:
    assert decide(50, quiet_s=-86_400) == COUNT
    waits = decide(10, quiet_s=-86_400, oldest=at(0), retrain_after_hours=24, retrain_least=10)
    assert waits == TriggerDecision(due=True, reason="age")


def test_a_team_that_never_pauses_gets_its_run_all_the_same() -> None:
    assert decide(99, quiet_s=1).due is False
    assert decide(100, quiet_s=1) == COUNT


def test_without_a_newest_label_nothing_is_due() -> None:
    assert decide(50, newest=None) == NO


@given(st.integers(0, 500), st.integers(0, 5000), st.floats(0, 100))
def test_the_decision_waits_no_longer_than_it_must(n_new: int, n_gold: int, quiet_s: float) -> None:
    decision = decide(n_new, n_gold, quiet_s=quiet_s)

    assert 0 <= decision.wait_s <= 5
    assert not (decision.due and decision.wait_s)
    assert decide(n_new + 1000, n_gold, quiet_s=100).due is True


@pytest.mark.parametrize(
    ("waited_h", "n_new", "due"),
    [(23.9, 10, False), (24.0, 10, True), (1000.0, 9, False), (24.0, 49, True)],
)
def test_a_label_waits_for_so_many_hours_at_most(waited_h: float, n_new: int, due: bool) -> None:
    decision = decide(
        n_new,
        quiet_s=waited_h * 3600,
        oldest=at(0),
        retrain_after_hours=24,
        retrain_least=10,
    )

    assert decision == TriggerDecision(due=due, reason="age" if due else None)


def test_without_hours_a_label_waits_for_ever() -> None:
    assert decide(10, quiet_s=1e7, oldest=at(0)) == NO


@pytest.mark.parametrize(("n_at_cron", "due"), [(0, False), (9, False), (10, True)])
def test_what_lay_there_at_a_moment_of_cron_starts_a_run(n_at_cron: int, due: bool) -> None:
    decision = decide(12, n_at_cron=n_at_cron, retrain_least=10)

    assert decision == TriggerDecision(due=due, reason="cron" if due else None)


def test_a_run_by_age_or_cron_waits_for_a_quiet_moment_too() -> None:
    assert decide(12, quiet_s=2, n_at_cron=12) == TriggerDecision(due=False, wait_s=3)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ((25, 3, 0, 0), (25, 3, 0)),
        ((25, 3, 0, 59), (25, 3, 0)),
        ((25, 2, 59, 59), (24, 3, 0)),
        ((26, 1, 0, 0), (25, 3, 0)),
    ],
)
def test_the_last_moment_of_cron_is_never_in_the_future(
    now: tuple[int, ...], last: tuple[int, ...]
) -> None:
    found = last_cron_time("0 3 * * *", datetime(2026, 11, *now, 999_999, tzinfo=UTC))  # type: ignore[arg-type, misc]

    assert found == datetime(2026, 11, *last, tzinfo=UTC)  # type: ignore[arg-type, misc]
