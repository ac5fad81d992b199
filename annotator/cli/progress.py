"""Progress of long work on stderr: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer

__all__ = ["progress_bar", "say_minutes"]

_EVERY_S = 60.0

Advance = Callable[[int, int | None, str], None]


@contextmanager
def progress_bar(what: str, *, total: int | None = None) -> Iterator[Advance]:
    """Show how far long work is, on stderr.

    Yields:
        A function of (done, total or None, a few words).
    """
    if sys.stderr.isatty():
        with _drawn(what, total) as advance:
            yield advance
        return
    state: list[str] = []

    def note(done: int, total: int | None, words: str = "") -> None:
        share = f"{done} of {total}" if total else str(done)
        state[:] = [f"{share}, {words}" if words else share]

    with say_minutes(lambda: f"{what}: {state[0]}" if state else what):
        yield note


@contextmanager
def say_minutes(describe: Callable[[], str]) -> Iterator[None]:
    """Print a line each minute while the block runs, so that a log shows that work goes on."""
    begun = time.monotonic()
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(_EVERY_S):
            passed = timedelta(seconds=round(time.monotonic() - begun))
            typer.echo(f"{describe()} (after {passed})", err=True)

    thread = threading.Thread(target=say, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _drawn(what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=total, words="")

        def advance(done: int, total: int | None, words: str = "") -> None:
            bar.update(task, completed=done, total=total, words=words)

        yield advance
