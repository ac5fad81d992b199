"""Settings of a program that runs on while its project's files are changed."""

from __future__ import annotations

import os
import threading
from typing import Final

from annotator.errors import ConfigError
from annotator.settings import CONFIG_FILE, SECRETS_FILE, Settings, load_settings

__all__ = ["LiveSettings"]

#: What a program is built on when it starts; the rest may change while it runs.
_FIXED: Final = (
    *("project", "unit", "database_url", "queue_url", "device", "precision", "engine"),
    *("processes", "ray_address", "gpu_memory_share", "host", "port", "threads", "max_body_mb"),
    *("lease_s", "log_json", "backend_user", "backend_password", "api_token"),
)


class LiveSettings:
    """The settings of a project's folder as they are now. Threads may share it.

    ``problem`` says what of the files is not in force: a mistake in them, or a change that only a
    restart brings; None if all is.
    """

    def __init__(self, settings: Settings) -> None:
        self._start = self._now = settings
        self._fixed = {name: getattr(settings, name) for name in _FIXED}
        self._lock = threading.Lock()
        self._seen = self._look()
        self._plain = self._read()
        self.problem: str | None = None

    def current(self) -> Settings:
        """Return the settings, read anew if a file has changed."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._reload()
            return self._now

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(
            _signature(str(self._start.home / name)) for name in (CONFIG_FILE, SECRETS_FILE)
        )

    def _read(self) -> Settings | None:
        try:
            return load_settings(self._start.home)
        except ConfigError as error:
            self.problem = str(error)
            return None

    def _reload(self) -> None:
        self.problem = None
        plain = self._read()
        if plain is None:
            return
        before = self._plain or self._start
        late = [name for name in _FIXED if getattr(plain, name) != getattr(before, name)]
        if late:
            self.problem = f"{', '.join(late)} changed: restart the program to use the new value"
        # Those given on the command line stay too.
        self._now = plain.model_copy(update=self._fixed)


def _signature(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called for each request
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
