"""A progress bar for a training run, drawn from its row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from annotator.cli.project import progress_bar
from annotator.store.database import Database
from annotator.store.runs import FINISHED, get_run

__all__ = ["watch_run"]


def watch_run(database: Database, run_id: int, *, work: Callable[[], Any] | None = None) -> None:
    """Show a run's progress until it has ended.

    Args:
        database: The project's database.
        run_id: The run.
        work: Does the run in this process; without it a worker does. Its error is raised here.
    """
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
            advance(done, total, _words(run.state, run.progress))
            if failed:
                raise failed[0]
            if run.state in FINISHED:
                break
            time.sleep(0.3)
    if work is not None:
        thread.join()


def _words(state: str, progress: Any) -> str:
    if progress.get("phase") != "train":
        return str(progress.get("phase", state))
    return f"epoch {progress['epoch']}/{progress['n_epochs']}, loss {progress['loss']:.3f}"
