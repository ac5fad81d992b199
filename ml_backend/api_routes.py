"""The JSON API of the dashboard and of scripts. Never holds document text."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app

from annotator.errors import JobError
from annotator.logs import get_logger
from annotator.services.models.submit import submit_training
from annotator.services.reports.status import project_status
from annotator.store.projects import Project, audit, get_project
from annotator.store.run_log import event_to_json, read_run_log
from annotator.store.runs import get_run, list_runs, run_to_json
from annotator.store.selections import queue_head
from annotator.store.versions import active_version, list_versions, version_to_json
from ml_backend.bodies import check, read_limit, read_object
from ml_backend.context import Backend, current_backend
from ml_backend.openapi import describe_api
from ml_backend.schemas import RunRequest
from ml_backend.tracebacks import describe_fault

__all__ = ["blueprint"]

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
_log = get_logger("backend")


@blueprint.get("/status")
def status() -> dict[str, Any]:
    """Return one look at the project, and what the resident model does."""
    backend = current_backend()
    found = project_status(backend.database, _project(backend), backend.settings)
    return {"ok": True, **found, "backend": backend.models.state()}


@blueprint.get("/runs")
def runs() -> dict[str, Any]:
    """Return the newest training runs."""
    backend = current_backend()
    limit = read_limit(default=20, most=200)
    project = _project(backend)
    with backend.database.read() as session:
        found = list_runs(session, project.id, limit=limit)
    return {"ok": True, "runs": [run_to_json(run) for run in found]}


@blueprint.post("/runs")
def start_run() -> tuple[dict[str, Any], int]:
    """Queue a training run, or return the one that waits already, or say that nothing is new."""
    backend = current_backend()
    wanted = check(RunRequest, read_object())
    project = _project(backend)
    with backend.database.write() as session:
        asked = submit_training(
            session,
            project.id,
            backend.settings,
            trigger="api",
            force=wanted.force,
            again=wanted.again,
            warm=wanted.warm_start,
        )
        run = asked.run
        if asked.is_new or wanted.force:
            audit(
                session,
                project.id,
                actor="api",
                action="retrain",
                run=run.id,
                forced=wanted.force,
            )
    if asked.reason is not None:
        value = {"ok": True, "run": run_to_json(run), "is_new": False, "reason": asked.reason}
        return value, 200
    try:
        backend.queue.submit(run.id)
    except JobError as error:  # the row waits; a worker finds it without a message
        _log.warning("queue.unreachable", **describe_fault(error))
    return {"ok": True, "run": run_to_json(run), "is_new": asked.is_new}, 202


@blueprint.get("/runs/<int(max=2147483647):run_id>")
def run(run_id: int) -> dict[str, Any]:
    """Return one training run."""
    with current_backend().database.read() as session:
        return {"ok": True, "run": run_to_json(get_run(session, run_id))}


@blueprint.get("/runs/<int(max=2147483647):run_id>/log")
def run_log(run_id: int) -> dict[str, Any]:
    """Return what a training run did when."""
    with current_backend().database.read() as session:
        get_run(session, run_id)
        return {"ok": True, "log": [event_to_json(e) for e in read_run_log(session, run_id)]}


@blueprint.get("/versions")
def versions() -> dict[str, Any]:
    """Return all model versions with their scores, newest first."""
    backend = current_backend()
    project = _project(backend)
    with backend.database.read() as session:
        found = list_versions(session, project.id)
    return {"ok": True, "versions": [version_to_json(version) for version in found]}


@blueprint.get("/queue")
def queue() -> dict[str, Any]:
    """Return the tasks that are shown next: ids, score and reason."""
    backend = current_backend()
    limit = read_limit(default=20, most=1000)
    project = _project(backend)
    with backend.database.read() as session:
        active = active_version(session, project.id)
        head = queue_head(session, project.id, version_id=active.id, limit=limit) if active else []
    return {"ok": True, "version": active.name if active else None, "queue": head}


@blueprint.get("/openapi.json")
def openapi() -> dict[str, Any]:
    """Return this description of the backend."""
    return describe_api(current_app)


def _project(backend: Backend) -> Project:
    with backend.database.read() as session:
        return get_project(session, backend.settings.project)
