"""Whether Label Studio serves what was pushed: it is asked for its next task."""

from __future__ import annotations

from annotator.store.database import Database
from annotator.store.projects import Project, audit
from annotator.store.queries import queue_head
from annotator.store.tasks import find_task
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioClient, StudioProject

__all__ = ["verify_next"]

_SAMPLING = "Uncertainty sampling"


def verify_next(
    database: Database, project: Project, client: StudioClient, version: ModelVersion
) -> str | None:
    """Ask Label Studio for its next task and compare it with ours; return what differs, or None.

    The answer stands in the audit trail, and ``annotator status`` shows the newest. Label Studio
    locks the task that it serves for the user of our token, as it does for people, and serves it to
    nobody else for a day: ask when somebody wants to know, not by routine.

    Raises:
        StudioError: if Label Studio cannot be reached.
    """
    if project.studio is None:
        return None
    remote = client.project(project.studio.project_id)
    served = client.next_task(project.studio.project_id)
    studio_id = None if served is None else int(served["id"])
    with database.read() as session:
        head = queue_head(session, project.id, version_id=version.id, limit=1)
        ours = head[0]["task"] if head else None
        known = None if studio_id is None else find_task(session, project.id, studio_id=studio_id)
    problem = None
    if studio_id != ours:
        state = None if known is None else known.state
        problem = f"Label Studio serves task {studio_id}, we would show task {ours}: " + (
            _reason(remote, version, is_open=state == "open", is_served=studio_id is not None)
        )
    with database.write() as session:
        audit(
            session,
            project.id,
            actor="publish",
            action="verify_next",
            version=version.name,
            task=studio_id,
            expected=ours,
            problem=problem,
        )
    return problem


def _reason(remote: StudioProject, version: ModelVersion, *, is_open: bool, is_served: bool) -> str:
    if remote.sampling != _SAMPLING:
        return f"the project's sampling is {remote.sampling!r}; run annotator connect again"
    if remote.model_version != version.name:
        return f"version {remote.model_version!r} is selected there; run annotator push"
    if not is_served:
        return "it has nothing to label for the token's user; run annotator sync"
    if not is_open:
        return "we believe that one to be done; run annotator sync"
    return (
        "the token's user has opened that one before and is served it again, somebody else has "
        "opened ours (both for a day), or tasks wait for a second annotator, which come first"
    )
