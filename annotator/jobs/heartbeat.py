"""Keeping a run alive while it trains: its lease, its progress and its log."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from annotator.errors import CancelledError, LeaseLostError, StoreError
from annotator.logs import get_logger
from annotator.store.clock import now
from annotator.store.database import Database
from annotator.store.run_log import log_run
from annotator.store.runs import heartbeat

__all__ = ["Heartbeat", "Milestones", "StallWatch"]

_log = get_logger("jobs")
_LEAST_S = 5.0

#: What happened, when (monotonic seconds), and its numbers.
Line = tuple[str, float, dict[str, Any]]


class Milestones:
    """Picks from a run's progress what goes into its log: phases, epochs, smaller batches.

    Two logged epochs are at least ``least_s`` apart, since a run on few sentences has hundreds.
    ``clock`` returns monotonic seconds.
    """

    def __init__(
        self, *, least_s: float = _LEAST_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._least_s, self._clock = least_s, clock
        self._noted_at = clock()
        self._last: Mapping[str, Any] = {}

    def take(self, progress: Mapping[str, Any]) -> list[Line]:
        """Return the log lines for ``progress``, mostly none."""
        last, self._last = self._last, progress
        lines = []
        phase = progress.get("phase")
        began = phase != last.get("phase")
        ended = began or progress.get("epoch", 0) > last.get("epoch", 0)
        if last.get("phase") == "train" and ended:
            now = self._clock()
            if began or now - self._noted_at >= self._least_s:
                self._noted_at = now
                lines.append(_line("epoch", last))
        if began:
            lines.append(_line(str(phase), _beginning(progress)))
        elif progress.get("n_micro", 1) > last.get("n_micro", 1):
            lines.append(_line("out of memory", {"n_micro": progress["n_micro"]}))
        return lines


def _beginning(progress: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("n_epochs", "n_steps", "resumed_from", "n_micro")
    if progress.get("phase") == "train":
        return {key: progress[key] for key in kept if progress.get(key)}
    return dict(progress)


def _line(kind: str, detail: Mapping[str, Any]) -> Line:
    left_out = ("phase", "n_reports")
    return kind, time.monotonic(), {k: v for k, v in detail.items() if k not in left_out}


_LOOK_S = 60.0  # a look takes no longer; more is that the looker was frozen


class StallWatch:
    """Tells how long a run has made no progress while somebody looked.

    A process that was itself frozen meanwhile has seen no hang. ``pause_s`` is the time between
    two looks; ``clock`` returns monotonic seconds.
    """

    def __init__(
        self, stall_s: float, *, pause_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stall_s, self._most_s, self._clock = stall_s, 2 * pause_s, clock
        self._looked_at, self._silent_s = clock(), 0.0
        self._last: Mapping[str, Any] = {}

    def find(self, progress: Mapping[str, Any] | None, *, looking_s: float = 0.0) -> str | None:
        """Return that and where a run hangs, if it does; None as progress is that it is unknown.

        ``looking_s`` is what the look itself took, as where the run holds the database's lock: all
        of it counts.
        """
        at = self._clock()
        waited_s = at - self._looked_at - looking_s
        self._silent_s += min(waited_s, self._most_s) + min(looking_s, _LOOK_S)
        self._looked_at = at
        if progress is not None and progress != self._last:
            self._last, self._silent_s = dict(progress), 0.0
        if self._silent_s <= self._stall_s:
            return None
        return f"it hung: no progress for {self._silent_s:.0f} s (stall_s) in {self._place()}"

    def _place(self) -> str:
        if "step" in self._last:
            return f"step {self._last['step']} of {self._last.get('n_steps', '?')}"
        return f"phase {self._last.get('phase', 'start')}"


class Heartbeat:
    """Keeps a run's lease alive from a thread, and stores its progress and its log.

    A run that could not renew its lease within ``lease_s`` is over: another worker may have taken
    it. The lease of one without progress for ``stall_s`` is not renewed; ``on_stall`` is told why.
    """

    def __init__(
        self,
        database: Database,
        run_id: int,
        *,
        owner: str,
        lease_s: float,
        stall_s: float = math.inf,
        on_stall: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        self._database = database
        self._run_id = run_id
        self._owner = owner
        self._lease_s = lease_s
        self._pause_s = min(2.0, lease_s / 4)
        self._watch = StallWatch(stall_s, pause_s=self._pause_s)
        self._on_stall = on_stall
        self._milestones = Milestones()
        self._progress: Mapping[str, Any] | None = None
        self._lines: list[Line] = []
        self._n_reports = 0
        self._ended: BaseException | None = None
        self._alive_at = time.monotonic()
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heart-{run_id}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._alive_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def report(self, progress: Mapping[str, Any]) -> None:
        """Store progress at the next beat, or at once where a phase begins.

        Raises:
            CancelledError: if somebody asked the run to stop.
            LeaseLostError: if another worker holds the run, or may hold it by now.
        """
        lines = self._milestones.take(progress)
        self._n_reports += 1
        self._progress = {**progress, "n_reports": self._n_reports}
        if lines:
            self._lines += lines
            self._write()
        silent_s = time.monotonic() - self._alive_at
        if self._ended is None and silent_s > self._lease_s:
            self._ended = LeaseLostError(
                f"run {self._run_id} could not tell the database for {silent_s:.0f} s that it is "
                "alive; another worker may do it now"
            )
        if self._ended is not None:
            raise self._ended

    def _beat(self) -> None:
        while not self._stop.wait(self._pause_s) and not isinstance(self._ended, LeaseLostError):
            stall = self._watch.find(self._progress)
            if stall is not None:
                self._ended = LeaseLostError(f"run {self._run_id} was given up: {stall}")
                self._on_stall(stall)
                return
            self._write()

    def _write(self) -> None:
        with self._turn:
            lines, progress = list(self._lines), self._progress
            try:
                with self._database.write() as session:
                    cancelled = heartbeat(
                        session,
                        self._run_id,
                        owner=self._owner,
                        lease_s=self._lease_s,
                        progress=progress,
                    )
                    for kind, ticks, detail in lines:
                        ago = timedelta(seconds=time.monotonic() - ticks)
                        log_run(session, self._run_id, kind, at=now(session) - ago, **detail)
            except LeaseLostError as error:
                self._ended = error
            except StoreError as error:
                _log.warning("heartbeat.failed", run_id=self._run_id, error=str(error))
            else:
                del self._lines[: len(lines)]
                self._alive_at = time.monotonic()
                if cancelled and self._ended is None:
                    self._ended = CancelledError(f"run {self._run_id} was cancelled")
