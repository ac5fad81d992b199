"""Whether it is time to train again. A pure decision on counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["TriggerDecision", "is_retrain_due"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDecision:
    """``due`` now, or look again in ``wait_s`` seconds because labels still come in."""

    due: bool
    wait_s: float = 0.0


def is_retrain_due(
    *,
    n_new: int,
    n_gold: int,
    newest: datetime | None,
    now: datetime,
    retrain_after: int,
    retrain_share: float,
    debounce_s: float,
) -> TriggerDecision:
    """Decide by ``max(retrain_after, retrain_share * gold)`` new sentences, then a quiet moment.

    Where people label without a pause, twice as many sentences are reason enough.
    """
    needed = max(retrain_after, round(retrain_share * n_gold))
    if n_new < needed or newest is None:
        return TriggerDecision(due=False)
    quiet_s = (now - newest).total_seconds()
    if quiet_s < debounce_s and n_new < 2 * needed:
        return TriggerDecision(due=False, wait_s=debounce_s - quiet_s)
    return TriggerDecision(due=True)
