"""A progress bar for a training run, drawn from its row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from annotator.cli.progress import progress_bar

if TYPE_CHECKING:
    from annotator.store.database import Database

__all__ = ["describe_progress", "describe_state", "watch_run"]


def watch_run(database: Database, run_id: int, *, work: Callable[[], Any] | None = None) -> None:
    """Show a run's progress until it has ended.

    ``work`` executes the run in this process, and its error is raised here; None leaves the run to
    a worker.
    """
    from annotator.store.runs import FINISHED, get_run

    failed: list[BaseException] = []

    def _do() -> None:
        try:
            if work is not None:
                work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=_do, name=f"run-{run_id}", daemon=True)
    if work is not None:
        thread.start()
    with progress_bar("train") as advance:
        while True:
            with database.read() as session:
                run = get_run(session, run_id)
            done, total = int(run.progress.get("step", 0)), run.progress.get("n_steps")
            advance(done, total, describe_progress(run.progress) or run.state)
            if failed:
                raise failed[0]
            if run.state in FINISHED:
                break
            time.sleep(0.3)
    if work is not None:
        thread.join()


def describe_state(state: str, *, cancel_requested: bool) -> str:
    """Describe a run's state; one that was asked to stop may take a while to."""
    return "running, asked to stop" if state == "running" and cancel_requested else state


def describe_progress(progress: Mapping[str, Any]) -> str:
    """Describe a run's progress in words; empty before it has begun."""
    phase = progress.get("phase")
    if phase != "train" or "epoch" not in progress:
        return str(phase or "")
    words = [
        f"epoch {progress['epoch']}/{progress['n_epochs']}",
        f"step {progress['step']}/{progress['n_steps']}",
        f"loss {progress['loss']:.3f}",
        f"{progress['words_per_s']} words/s",
        f"{timedelta(seconds=progress['remaining_s'])} left",
    ]
    if progress.get("memory_mb"):
        words.append(f"{progress['memory_mb']} MB")
    if progress.get("n_micro", 1) > 1:
        words.append(f"{progress['n_micro']} micro-batches a step")
    return ", ".join(words)
