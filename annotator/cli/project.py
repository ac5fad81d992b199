"""What every command needs: the open project, and output for people and machines."""

from __future__ import annotations

import gc
import json
import resource
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from annotator.errors import ConfigError, NotFoundError
from annotator.settings import Settings, load_settings

if TYPE_CHECKING:  # report a wrong folder, and show help, before loading anything heavy
    from annotator.formats import ReadReport
    from annotator.model import Predictor
    from annotator.store.database import Database
    from annotator.store.projects import Project
    from annotator.store.versions import ModelVersion

__all__ = [
    "OpenProject",
    "command_line",
    "emit",
    "note",
    "note_unreadable",
    "open_project",
    "open_studio",
    "settle_process",
]

_SHOWN = 10  # most faults of a file that are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProject:
    """An open project: settings, database, and the project's row."""

    settings: Settings
    database: Database
    project: Project

    def reload(self) -> Project:
        """Read the project's row again."""
        from annotator.store.projects import get_project

        with self.database.read() as session:
            return get_project(session, self.settings.project)

    def version(self, name: str | None = None) -> ModelVersion:
        """Return a model version by name, or the active one.

        Raises:
            NotFoundError: if there is none.
        """
        from annotator.store.versions import active_version, get_version

        with self.database.read() as session:
            if name is not None:
                return get_version(session, self.project.id, name)
            active = active_version(session, self.project.id)
        if active is None:
            raise NotFoundError("there is no active model; run annotator retrain --wait")
        return active

    def predictor_of(self, version: ModelVersion) -> Callable[[], Predictor]:
        """Return a function that loads the model of a version on its first call, and caches it."""

        @cache
        def load() -> Predictor:
            from annotator.services.inference.versions import load_version

            return load_version(
                version, device=self.settings.device, precision=self.settings.precision
            )

        return load


@contextmanager
def open_project(home: Path | None, **overrides: Any) -> Iterator[OpenProject]:
    """Open the project in ``home`` and bring its tables up to date.

    Do so before importing anything heavy: a folder that is no project is then reported at once.
    """
    settings = load_settings(home, **overrides)

    from annotator.store.database import Database
    from annotator.store.projects import get_project

    database = Database(settings.database)
    try:
        database.upgrade()
        with database.read() as session:
            project = get_project(session, settings.project)
        yield OpenProject(settings=settings, database=database, project=project)
    finally:
        database.close()


@contextmanager
def open_studio(opened: OpenProject) -> Iterator[Any]:
    """Open a client of the connected Label Studio, once it has proven to be ours.

    Raises:
        ConfigError: if the project is not connected.
        StudioIdentityError: if another project answers there.
        StudioError: if Label Studio cannot be reached or refuses.
    """
    from annotator.services.sync.identity import open_client

    token = opened.settings.studio_token.get_secret_value()
    if opened.project.studio is None or not token:
        raise ConfigError("the project is not connected; run annotator connect URL --token T")
    with open_client(opened.database, opened.project, token) as client:
        yield client


def emit(value: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print a result: JSON on one line for machines, lines for people."""
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else "\n".join(lines))


def command_line() -> str:
    """Return the running command, quoted for a shell."""
    return shlex.join(["annotator", *sys.argv[1:]])


def settle_process() -> None:
    """Prepare this process and its children for long runs with clinical text in memory.

    Core dumps are disabled, so that a crash writes no memory to a file. Existing objects are left
    out of garbage collection: the imports alone are some 400,000 objects. Scanning them takes a
    third of a second, every few thousand events, in which nothing is answered and locks are held.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    gc.freeze()


def note(text: str) -> None:
    """Print a message for people to stderr, apart from the result."""
    typer.echo(text, err=True)


def note_unreadable(report: ReadReport) -> None:
    """Say on stderr what could not be read of a file, and where."""
    faults = [item for item in report.skipped if item.unreadable]
    for item in faults[:_SHOWN]:
        note(f"warning: not read: {item.place}: {item.reason}")
    if len(faults) > _SHOWN:
        note(f"warning: not read: and {len(faults) - _SHOWN} more")
