"""The clock of this machine as a story sees it: it may jump, ahead and back. Linux only."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

__all__ = ["Clock", "run_under_a_clock"]

_FILE = "ANNOTATOR_TEST_CLOCK"
_SOURCE = Path(__file__).with_name("clock.c")


def run_under_a_clock(folder: Path, *options: str) -> None:
    """Start this program again with a clock that can be moved; what it starts has the same one.

    The files of the clock are in ``folder``; ``options`` are added to those given. Does nothing in
    a program that has such a clock, or where there is no compiler.
    """
    compiler = shutil.which("cc")
    if _FILE in os.environ or compiler is None or sys.platform != "linux":
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # a database server of another user reads the two files
    library, file = folder / "clock.so", folder / "clock"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
    file.write_bytes(struct.pack("q", 0))
    environment = {**os.environ, _FILE: str(file), "LD_PRELOAD": str(library)}
    os.execve(sys.executable, [*sys.orig_argv, *options], environment)  # noqa: S606 - ourselves


class Clock:
    """What the clock of the day is ahead of the right time."""

    def __init__(self) -> None:
        self._file = os.environ.get(_FILE)

    @property
    def can_jump(self) -> bool:
        """Whether this program runs under a clock that can be moved."""
        return self._file is not None

    def set_ahead(self, seconds: int) -> None:
        """Be so much ahead, at once and for all processes; negative: behind."""
        assert self._file is not None
        with Path(self._file).open("r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:8] = struct.pack("q", seconds * 1_000_000_000)
