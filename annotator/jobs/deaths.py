"""Describing how a run's process died, without any document text."""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

from annotator.errors import AnnotatorError

__all__ = ["cause_of", "cause_of_code", "count_oom_kills"]

_VMSTAT = Path("/proc/vmstat")
_TELLING = ("CUDA error", "CUDA out of memory", "MPS backend out of memory", "cuDNN error")


def cause_of(error: BaseException) -> str:
    """Describe the exception that ended a run.

    Our own messages are kept, and the first line of a GPU driver's. Of others only the type and
    the place are kept, since a message may quote document text.
    """
    if isinstance(error, AnnotatorError):
        return str(error)
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    message = str(error).strip()
    if message.startswith(_TELLING):
        return f"{name}: {message.splitlines()[0]}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    last = frames[-1]
    return f"{name} at {Path(last.filename).name}:{last.lineno} in {last.name}"


def cause_of_code(code: int, *, oom_kills: int = 0) -> str:
    """Describe an exit code of ``subprocess``; a negative one is the signal that killed it.

    ``oom_kills`` counts the processes that this machine killed for lack of memory meanwhile.
    """
    if code >= 0:
        return f"its process ended with code {code}"
    cause = f"its process was killed by {signal.Signals(-code).name}"
    if code != -signal.SIGKILL:
        return cause
    if oom_kills:
        return f"{cause}: this machine ran out of memory; lower batch_size or give it more"
    return f"{cause} (out of memory?)"


def count_oom_kills() -> int:
    """Return how many processes this machine has killed for lack of memory since boot."""
    try:
        lines = _VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counts = [int(line.split()[1]) for line in lines if line.startswith("oom_kill ")]
    return counts[0] if counts else 0
