from __future__ import annotations

from datetime import datetime

import pytest
from factories import at
from hypothesis import given
from hypothesis import strategies as st

from annotator.services.triggers import TriggerDecision, is_retrain_due

NO = TriggerDecision(due=False)
YES = TriggerDecision(due=True)
NEWEST = at(0)


def decide(
    n_new: int, n_gold: int = 100, *, quiet_s: float = 60, newest: datetime | None = NEWEST
) -> TriggerDecision:
    return is_retrain_due(
        n_new=n_new,
        n_gold=n_gold,
        newest=newest,
        now=at(quiet_s),
        retrain_after=50,
        retrain_share=0.1,
        debounce_s=5,
    )


@pytest.mark.parametrize(
    ("n_new", "n_gold", "decision"),
    [(0, 0, NO), (49, 49, NO), (50, 50, YES), (50, 1000, NO), (100, 1000, YES), (99, 1000, NO)],
)
def test_a_run_is_due_after_so_many_labels_or_a_share_of_the_gold(
    n_new: int, n_gold: int, decision: TriggerDecision
) -> None:
    assert decide(n_new, n_gold) == decision


def test_labels_that_still_come_in_are_waited_for() -> None:
    assert decide(50, quiet_s=2) == TriggerDecision(due=False, wait_s=3)


def test_a_team_that_never_pauses_gets_its_run_all_the_same() -> None:
    assert decide(99, quiet_s=1).due is False
    assert decide(100, quiet_s=1) == YES


def test_without_a_newest_label_nothing_is_due() -> None:
    assert decide(50, newest=None) == NO


@given(st.integers(0, 500), st.integers(0, 5000), st.floats(0, 100))
def test_the_decision_waits_no_longer_than_it_must(n_new: int, n_gold: int, quiet_s: float) -> None:
    decision = decide(n_new, n_gold, quiet_s=quiet_s)

    assert 0 <= decision.wait_s <= 5
    assert not (decision.due and decision.wait_s)
    assert decide(n_new + 1000, n_gold, quiet_s=100).due is True
