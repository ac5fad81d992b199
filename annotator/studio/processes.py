"""The little that is needed of the operating system to own one server process. POSIX only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import psutil

__all__ = ["end_group", "free_port", "is_free", "is_running", "process_start"]


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
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process_start(pid: int) -> float | None:
    """Return what tells this process from a later one with the same number, None if it is gone.

    It counts in seconds since the machine started: a clock that is set right does not change it.
    """
    try:
        return round(float(psutil.Process(pid).create_time() - psutil.boot_time()), 2)
    except psutil.NoSuchProcess:
        return None


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
