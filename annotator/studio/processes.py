"""The little that is needed of the operating system to own one server process. POSIX only."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

__all__ = ["end_group", "free_port", "is_free", "is_running", "process_start"]

_PROC: Final = Path("/proc")


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str) -> int:
    """Return a port that a server could listen on now."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that ended and waits for its parent does not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    fields = _stat_fields(pid)
    if fields:
        return fields[0] != "Z"
    with contextlib.suppress(ChildProcessError):  # without /proc: ask as its parent, if we are
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    return True


def process_start(pid: int) -> str | None:
    """Return what tells this process from a later one with the same number, None if unknown."""
    fields = _stat_fields(pid)
    if len(fields) > 19:
        return fields[19]  # ticks since the machine started
    program = shutil.which("ps")
    if program is None:
        return None
    shown = subprocess.run(  # noqa: S603 - a fixed program and a number, no shell
        [program, "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None


def end_group(pid: int, *, timeout_s: float) -> None:
    """End a process that leads its own group, and the group: SIGTERM, then SIGKILL.

    Args:
        pid: The process; it was started as the leader of a session.
        timeout_s: How long it may take to end by itself.
    """
    _signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_group(pid, signal.SIGKILL)
    while is_running(pid) and time.monotonic() < deadline + timeout_s:
        time.sleep(0.05)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` from the state on, none where there is no /proc."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return line.rpartition(")")[2].split()
