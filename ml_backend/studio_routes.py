"""Label Studio's own endpoints, as its connector and its webhooks call them."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, g

from annotator.errors import ConfigError, JobError
from annotator.logs import get_logger
from annotator.services.models.submit import submit_training
from annotator.services.sync.webhooks import receive_event
from annotator.store.projects import StudioLink, audit, current_config_xml, get_project
from annotator.store.versions import list_versions
from annotator.studio.config import LabelConfig
from annotator.studio.connection import is_same_project
from annotator.studio.page import text_length
from ml_backend.bodies import check, read_object
from ml_backend.context import Backend, current_backend
from ml_backend.errors import refuse
from ml_backend.models import LoadedModel
from ml_backend.predictions import Job, answer_interactive, answer_tasks
from ml_backend.schemas import PredictRequest, SetupRequest, WebhookRequest
from ml_backend.tracebacks import describe_fault

__all__ = ["blueprint"]

blueprint = Blueprint("studio", __name__)
_log = get_logger("backend")


@blueprint.get("/health")
def health() -> dict[str, Any]:
    """Tell that we are up, and those with credentials what the model is doing.

    Touches neither model nor database.
    """
    if not g.is_known:
        return {"status": "UP"}
    state = current_backend().models.state()
    error = "the active version cannot be used; see /api/v1/status" if state["error"] else None
    return {
        "status": "UP",
        "model_version": state["version"],
        "loading": state["loading"],
        "error": error,
    }


@blueprint.post("/setup")
def setup() -> dict[str, Any]:
    """Tell the version that ``/predict`` answers with. Loads, resets and keeps nothing."""
    backend = current_backend()
    wanted = check(SetupRequest, read_object())
    if wanted.label_config:
        try:
            backend.read_config(wanted.label_config)
        except ConfigError as error:
            _log.warning("setup.config_unusable", reason=str(error))
    loaded = backend.models.current()
    return {"model_version": loaded.version.name if loaded else None}


@blueprint.post("/predict")
def predict() -> dict[str, Any]:
    """Predict tasks: one result a task, in their order, all under one version."""
    backend = current_backend()
    payload = read_object()
    _check_size(backend, payload.get("tasks"))
    wanted = check(PredictRequest, payload)
    job = Job(
        database=backend.database,
        loaded=_loaded(backend),
        config=_config(backend, wanted.label_config),
        max_text_chars=backend.settings.max_text_chars,
        deadline=time.monotonic() + backend.settings.max_predict_s,
    )
    _check_texts(job, wanted)
    if not backend.slots.acquire(blocking=False):
        refuse(
            503,
            "busy",
            f"{backend.settings.threads} predictions are under way already (setting threads)",
            headers={"Retry-After": "1"},
        )
    try:
        if len(wanted.tasks) == 1 and wanted.drawn:
            related = answer_interactive(job, wanted.tasks[0], wanted.drawn)
            if related is not None:
                return {"results": [related]}
        return answer_tasks(job, wanted.tasks)
    finally:
        backend.slots.release()


@blueprint.post("/webhook")
def webhook() -> tuple[dict[str, Any], int]:
    """Store an event, and answer; the worker does the work."""
    backend = current_backend()
    payload = read_object()
    event = check(WebhookRequest, payload)
    if event.action == "START_TRAINING":
        return _start_training(backend, event)
    with backend.database.write() as session:
        is_new = receive_event(session, payload)
    backend.waker.wake()
    return {"status": "ok", "new": is_new}, 201 if is_new else 200


@blueprint.get("/versions")
def versions() -> dict[str, Any]:
    """List the names of all versions, newest first."""
    backend = current_backend()
    with backend.database.read() as session:
        project = get_project(session, backend.settings.project)
        return {"versions": [v.name for v in list_versions(session, project.id)]}


def _start_training(backend: Backend, event: WebhookRequest) -> tuple[dict[str, Any], int]:
    with backend.database.write() as session:
        project = get_project(session, backend.settings.project)
        if project.studio is not None and not _is_from(event, project.studio):
            _log.warning(
                "training.other_project", studio_project=event.project and event.project.id
            )
            return {"status": "ignored"}, 200
        asked = submit_training(session, project.id, backend.settings, trigger="studio")
        run = asked.run
        if asked.is_new:
            audit(session, project.id, actor="studio", action="retrain", run=run.id)
    if asked.reason is not None:
        _log.info("training.nothing_new", run_id=run.id, version=asked.same_as)
        backend.waker.wake()  # an event may have been lost: the worker pulls
        return {"status": "nothing_new", "job": str(run.id), "detail": asked.reason}, 200
    try:
        backend.queue.submit(run.id)
    except JobError as error:  # the row waits; a worker finds it without a message
        _log.warning("queue.unreachable", **describe_fault(error))
    return {"status": "ok", "job": str(run.id)}, 201


def _is_from(event: WebhookRequest, link: StudioLink) -> bool:
    """Return whether the event is about our project; another server may reuse its number."""
    if event.project is None:
        return True
    return is_same_project(event.project.model_dump(), link.key)


def _loaded(backend: Backend) -> LoadedModel:
    loaded = backend.models.current()
    if loaded is not None:
        return loaded
    state = backend.models.state()
    if state["error"]:
        refuse(503, "model_failed", "the active version cannot be used; see /api/v1/status")
    if state["loading"]:
        refuse(
            503,
            "model_loading",
            f"version {state['loading']} is loading",
            headers={"Retry-After": "5"},
        )
    refuse(
        503,
        "no_model",
        "no model is active yet: the first one comes of the first training run (annotator retrain)",
        headers={"Retry-After": "60"},
    )


def _config(backend: Backend, xml: str | None) -> LabelConfig:
    if not xml:
        with backend.database.read() as session:
            project = get_project(session, backend.settings.project)
            xml = current_config_xml(session, project.id)
    if not xml:
        refuse(400, "config_missing", "label_config is missing, and none is stored")
    try:
        return backend.read_config(xml)
    except ConfigError as error:
        refuse(400, "config_unusable", str(error))


def _check_size(backend: Backend, tasks: Any) -> None:
    """Refuse too many tasks before looking at each of them."""
    most = backend.settings.max_tasks
    if isinstance(tasks, list) and len(tasks) > most:
        refuse(413, "too_many_tasks", f"{len(tasks)} tasks, more than max_tasks = {most}")


def _check_texts(job: Job, wanted: PredictRequest) -> None:
    """Refuse a request if every task is too long; one among others is answered empty."""
    lengths = [text_length(task.get("data"), job.config) for task in wanted.tasks]
    if lengths and min(lengths) > job.max_text_chars:
        refuse(
            413,
            "text_too_long",
            f"a text of {max(lengths)} characters, more than max_text_chars = {job.max_text_chars}",
        )
