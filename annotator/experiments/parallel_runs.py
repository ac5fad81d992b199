"""Many runs: one after the other in this process, or several at a time in their own processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait as wait_for_end
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TypeAlias

import torch

from annotator.errors import CancelledError, TrainingError
from annotator.experiments.planned_runs import PlannedRun
from annotator.experiments.run import do_run
from annotator.training import TrainingProgress

__all__ = ["Report", "do_runs", "threads_each"]

_Message: TypeAlias = tuple[int, TrainingProgress]
_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Progress over all runs: what one of them did, and steps done of an estimated total."""

    title: str
    i_run: int
    n_runs: int
    n_done_steps: int
    n_steps: int
    progress: TrainingProgress


class _Tally:
    """Adds up the steps of all runs; runs not started yet count as long as the known ones."""

    def __init__(self, runs: Sequence[PlannedRun], tell: Callable[[Report], None]) -> None:
        self._runs = runs
        self._tell = tell
        self._last: dict[int, TrainingProgress] = {}

    def add(self, i_run: int, progress: TrainingProgress) -> None:
        self._last[i_run] = progress
        n_known = sum(last.n_steps for last in self._last.values())
        self._tell(
            Report(
                title=self._runs[i_run].title,
                i_run=i_run,
                n_runs=len(self._runs),
                n_done_steps=sum(last.step for last in self._last.values()),
                n_steps=round(n_known * len(self._runs) / len(self._last)),
                progress=progress,
            )
        )


def threads_each(n_workers: int) -> int:
    """Return the number of threads per process."""
    return max(1, torch.get_num_threads() // n_workers)


def do_runs(
    runs: Sequence[PlannedRun],
    *,
    out: Path,
    keep_models: bool,
    n_workers: int,
    on_progress: Callable[[Report], None],
    on_result: Callable[[PlannedRun, dict[str, Any]], None],
) -> None:
    """Do ``runs``, ``n_workers`` at a time; each result is saved before ``on_result`` gets it.

    Raises:
        TrainingError: if the process of a run was killed, for lack of memory for example.
    """
    tally = _Tally(runs, on_progress)
    if min(n_workers, len(runs)) <= 1:
        for i, run in enumerate(runs):
            tell = partial(tally.add, i)
            on_result(run, do_run(run, out=out, keep_model=keep_models, on_progress=tell))
        return
    with _open_pool(min(n_workers, len(runs))) as (pool, messages):
        futures = {
            pool.submit(_do_run_apart, i, run, out=out, keep_model=keep_models): run
            for i, run in enumerate(runs)
        }
        _collect(futures, messages, tally, on_result)


def _collect(
    futures: dict[Future[dict[str, Any]], PlannedRun],
    messages: SimpleQueue[_Message],
    tally: _Tally,
    on_result: Callable[[PlannedRun, dict[str, Any]], None],
) -> None:
    left = set(futures)
    while left:
        ended, left = wait(left, timeout=_PAUSE_S, return_when=FIRST_COMPLETED)
        while not messages.empty():
            tally.add(*messages.get())
        for future in ended:
            try:
                result = future.result()
            except BrokenProcessPool as error:
                raise TrainingError(
                    "a process that trained was killed, perhaps by a lack of memory: run the same "
                    "command with fewer --workers; it continues"
                ) from error
            on_result(futures[future], result)


@contextmanager
def _open_pool(n_workers: int) -> Iterator[tuple[ProcessPoolExecutor, SimpleQueue[_Message]]]:
    context = multiprocessing.get_context("spawn")
    messages: SimpleQueue[_Message] = context.SimpleQueue()
    stop = context.Event()
    pool = ProcessPoolExecutor(
        n_workers,
        mp_context=context,
        initializer=_begin_process,
        initargs=(messages, stop, threads_each(n_workers)),
    )
    try:
        yield pool, messages
    except BaseException:
        stop.set()  # each process checks it at its next step
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        messages.close()


# ---- in a process of its own ----------------------------------------------------------------

_links: dict[str, Any] = {}


def _begin_process(messages: SimpleQueue[_Message], stop: Event, n_threads: int) -> None:
    """Set up a process: limit its threads, and end it with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too and sets ``stop``
    torch.set_num_threads(n_threads)
    _links.update(messages=messages, stop=stop)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)


def _do_run_apart(i_run: int, run: PlannedRun, *, out: Path, keep_model: bool) -> dict[str, Any]:
    told_at = 0.0

    def tell(progress: TrainingProgress) -> None:
        nonlocal told_at
        if _links["stop"].is_set():
            raise CancelledError(f"{run.title} was stopped; run the same command to go on")
        if progress.step == progress.n_steps or time.monotonic() - told_at > _PAUSE_S:
            told_at = time.monotonic()
            _links["messages"].put((i_run, progress))

    return do_run(run, out=out, keep_model=keep_model, on_progress=tell)
