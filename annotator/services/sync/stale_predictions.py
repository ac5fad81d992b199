"""Predictions of versions that nobody goes back to: taken away, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.errors import ConfigError
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.prune import (
    delete_predictions,
    forget_pushes,
    parent_predictions,
    pushed_tasks,
    versions_to_prune,
)
from annotator.studio.client import StudioClient

__all__ = ["PruneReport", "prune_predictions"]

_ROWS = 20_000  # a round, of our tables
_ROWS_AT_ONCE = 1_000  # for so long others wait that write
_TASKS = 100  # a round, of Label Studio: two requests each, which others wait for there


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a round took away. ``n_kept`` predictions in Label Studio stand behind an annotation."""

    n_rows: int = 0
    n_tasks: int = 0
    n_kept: int = 0

    @property
    def is_done(self) -> bool:
        """Whether there was nothing left to do."""
        return not self.n_rows and not self.n_tasks


def prune_predictions(
    database: Database, project: Project, client: StudioClient | None, *, keep: int
) -> PruneReport:
    """Take away some of what old versions predicted, here and in Label Studio.

    Kept are the predictions of the version in use and of the versions that were in use before it,
    ``keep`` in all; those of candidates and of versions that run now are not touched. One that an
    annotation in Label Studio began with stays there, because deleting it would cut the link.

    A round does a bounded amount of work, so that it can stand between others; a round that is
    killed is repeated. What is gone is made again if the version is promoted once more.

    Args:
        database: The project's database.
        project: The project.
        client: Its Label Studio; None prunes our tables alone.
        keep: How many versions keep their predictions, at least 1.

    Raises:
        StudioError: if Label Studio cannot be reached.
    """
    if keep < 1:
        raise ConfigError("keep_predictions must be 1 or more: the version in use is never pruned")
    with database.read() as session:
        old = versions_to_prune(session, project.id, keep=keep)
    n_tasks = n_kept = n_rows = 0
    for version in old:
        if client is not None and n_tasks < _TASKS:
            done, kept = _prune_studio(
                database, client, version.id, version.name, most=_TASKS - n_tasks
            )
            n_tasks, n_kept = n_tasks + done, n_kept + kept
        while n_rows < _ROWS:
            with database.write() as session:
                n = delete_predictions(session, version.id, limit=_ROWS_AT_ONCE)
            n_rows += n
            if not n:
                break
    return PruneReport(n_rows=n_rows, n_tasks=n_tasks, n_kept=n_kept)


def _prune_studio(
    database: Database, client: StudioClient, version_id: int, name: str, *, most: int
) -> tuple[int, int]:
    with database.read() as session:
        tasks = pushed_tasks(session, version_id, limit=most)
    kept = 0
    for task_id, studio_id in tasks.items():
        there = client.task(studio_id)  # None: deleted, and its predictions with it
        with database.read() as session:
            parents = parent_predictions(session, task_id)
        for one in (there or {}).get("annotations") or ():
            parents.add(int(one.get("parent_prediction") or 0))
        for prediction in (there or {}).get("predictions") or ():
            if prediction.get("model_version") != name:
                continue
            if int(prediction["id"]) in parents:
                kept += 1
            else:
                client.delete_prediction(int(prediction["id"]))
    with database.write() as session:
        forget_pushes(session, version_id, list(tasks))
    return len(tasks), kept
