"""People work, things break, programs are started again; between, everything is counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.checks import Checks
from faults.served_studio import wait_until
from faults.world import FaultWorld

STUCK_S = 600.0  # a program may take minutes to start on a machine with much to do
UP_S = 90.0
ROUNDS_TO_REST = 6


def tell_story(
    folder: Path,
    *,
    seed: int,
    minutes: float,
    database_url: str | None = None,
    queue_url: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Break things for some minutes and return what was done.

    Raises:
        AssertionError: if anything that must hold did not; ``folder`` keeps the logs.
    """
    rng = random.Random(seed)  # noqa: S311 - a story, no secret
    world = FaultWorld(folder, rng, database_url=database_url, queue_url=queue_url)
    checks = Checks(world)
    started, rounds, rests = time.monotonic(), 0, []
    try:
        world.start_missing()
        while time.monotonic() - started < minutes * 60:
            rounds += 1
            what = _play_round(world, rng)
            world.start_missing()
            checks.check_always()
            say(f"{time.monotonic() - started:6.0f} s  round {rounds}: {what}")
            if rounds % ROUNDS_TO_REST == 0:
                rests.append(_rest(world, checks, say))
        rests.append(_rest(world, checks, say))
        return _summary(world, checks, seed=seed, rounds=rounds, rests=rests, started=started)
    finally:
        world.close()


def _play_round(world: FaultWorld, rng: random.Random) -> str:
    """Let people work until something bad has happened: mostly once the programs are at work."""
    if rng.random() < 0.8:
        wait_until(lambda: _work(world, rng, 1.0) or world.are_up(), timeout_s=UP_S, pause_s=0)
    _work(world, rng, rng.uniform(0, 15))
    what = world.strike()
    _work(world, rng, rng.uniform(0, 4))
    return what


def _work(world: FaultWorld, rng: random.Random, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        world.act()
        time.sleep(rng.expovariate(3))


def _rest(world: FaultWorld, checks: Checks, say: Callable[[str], None]) -> float:
    """Wait until all that is left to do is done, and look at everything."""
    world.thaw()
    started = time.monotonic()

    before, since = checks.unrest(), started
    while before:
        time.sleep(0.5)
        world.start_missing()
        now = checks.unrest()
        if now != before:
            before, since = now, time.monotonic()
        stuck = f"nothing moved for {STUCK_S:.0f} s: {'; '.join(now)}"
        assert time.monotonic() - since < STUCK_S, stuck
    checks.check_at_rest()
    rest_s = round(time.monotonic() - started, 1)
    say(f"         at rest after {rest_s} s: everything counts up")
    return rest_s


def _summary(
    world: FaultWorld,
    checks: Checks,
    *,
    seed: int,
    rounds: int,
    rests: list[float],
    started: float,
) -> dict[str, Any]:
    with world.served.lock:
        tasks = list(world.served.studio.tasks(1))
    runs = checks.runs()
    return {
        "seed": seed,
        "database": world.database.engine_name,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "rounds": rounds,
        "faults": dict(world.n_faults),
        "acts": dict(world.n_acts),
        "events": dict(world.served.n_events),
        "n_tasks": len(tasks),
        "n_annotations": sum(len(task["annotations"]) for task in tasks),
        "runs": dict(Counter(run.state for run in runs)),
        "attempts": sum(run.attempts for run in runs),
        "hung": checks.n_hung(),
        "n_versions": len(checks.versions()),
        "rests": len(rests),
        "longest_rest_s": max(rests),
        "unknown_requests": sorted(world.served.unknown),
    }
