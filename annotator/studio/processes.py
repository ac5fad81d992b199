"""The operating system calls needed to own one server process. POSIX only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import psutil

__all__ = ["end_group", "free_port", "is_free", "is_running", "process_start", "signal_group"]


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on this port."""
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
    """Return whether a process is alive; a zombie is not."""
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process_start(pid: int) -> float | None:
    """Return when a process started, or None if it is gone, to detect a reused process id.

    The value is in seconds since boot, so that adjusting the clock does not change it.
    """
    try:
        return round(float(psutil.Process(pid).create_time() - psutil.boot_time()), 2)
    except psutil.NoSuchProcess:
        return None


def end_group(pid: int, *, timeout_s: float) -> None:
    """End a process and its group: SIGTERM, then SIGKILL after ``timeout_s``.

    The process must have been started as the leader of a session.
    """
    signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    signal_group(pid, signal.SIGKILL)
    while is_running(pid) and time.monotonic() < deadline + timeout_s:
        time.sleep(0.05)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to all of the group that a process leads or led; none left is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
