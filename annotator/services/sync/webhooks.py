"""Webhook events: stored at once and without secrets, processed later, each once."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import (
    AnnotatorError,
    ConflictError,
    LeaseLostError,
    StoreError,
    TaskFormatError,
)
from annotator.logs import get_logger
from annotator.services.sync.annotations import (
    SplitRule,
    page_of,
    record_studio_annotation,
    resolve_task,
)
from annotator.services.sync.configuration import adopt_config
from annotator.store.annotations import mark_deleted, task_of_annotation
from annotator.store.database import Database
from annotator.store.inbox import (
    StoredEvent,
    done_events,
    finish_event,
    new_events,
    store_event,
)
from annotator.store.projects import (
    Project,
    StudioLink,
    current_config_xml,
)
from annotator.store.tasks import mark_tasks_deleted, refresh_state, task_by_id
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.connection import is_same_project

__all__ = ["InboxReport", "process_inbox", "receive_event", "touched_tasks"]

_log = get_logger("inbox")
_CHUNK = 50
_TRIES = 3
_GAP_S = 0.002  # between events; twice a writer's retry interval
# The useful fields of the project row, which also holds tokens and passwords.
_PROJECT_KEYS = ("id", "title", "label_config", "created_at", "model_version", "sampling")


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxReport:
    """What a pass over the inbox did."""

    n_done: int = 0
    n_failed: int = 0
    n_ignored: int = 0


def receive_event(session: Session, payload: Mapping[str, Any]) -> bool:
    """Store an event; False if it is a repeat.

    Raises:
        TaskFormatError: if it names no action.
    """
    action = payload.get("action")
    if not isinstance(action, str) or not action:
        raise TaskFormatError("an event needs a text in action")
    project = payload.get("project")
    kept = {key: value for key, value in payload.items() if key != "project"}
    studio_project_id = None
    if isinstance(project, Mapping):
        kept["project"] = {key: project[key] for key in _PROJECT_KEYS if key in project}
        if isinstance(project.get("id"), int):
            studio_project_id = project["id"]
    return store_event(
        session,
        action=action,
        studio_project_id=studio_project_id,
        dedupe_key=_dedupe_key(action, kept),
        payload=kept,
    )


def _dedupe_key(action: str, payload: Mapping[str, Any]) -> str:
    # Label Studio sends no event id: the same action on the same objects at the same time is one.
    # (Two servers may use the same ids for projects and objects.)
    # Objects without a time may be others of the same id, so those events are never repeats.
    keys = ("annotation", "annotations", "task", "tasks")
    objects = [one for key in keys for one in _identities(payload.get(key))]
    project = payload.get("project")
    whose = project if isinstance(project, Mapping) else {}
    subject: Any = [action, objects, whose.get("id"), whose.get("created_at")]
    if not objects or any(at is None for _, at in objects):
        subject.append(secrets.token_hex(16))
    return hashlib.sha256(json.dumps(subject, sort_keys=True, default=str).encode()).hexdigest()


def _identities(value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [
        (one.get("id"), one.get("updated_at")) if isinstance(one, Mapping) else (one, None)
        for one in values
    ]


def process_inbox(database: Database, project: Project, *, split: SplitRule) -> InboxReport:
    """Process waiting events, each in its own transaction.

    An event that cannot be understood is kept as ``failed`` with the reason; nothing is lost,
    because the pull brings the same state.

    Raises:
        StoreError: if the database fails; the events wait for the next pass.
    """
    counts = {"done": 0, "failed": 0, "ignored": 0}
    while True:
        with database.read() as session:
            events = new_events(session, limit=_CHUNK)
            config_xml = current_config_xml(session, project.id)
        if not events:
            return InboxReport(**{f"n_{key}": n for key, n in counts.items()})
        config = parse_config(config_xml) if config_xml else None
        for event in events:
            time.sleep(_GAP_S)  # lets others take SQLite's write lock
            state = _process(database, project, event, config, split)
            counts[state] += 1
            if event.action == "PROJECT_UPDATED" and state == "done":
                break  # the configuration may have changed


def _process(
    database: Database,
    project: Project,
    event: StoredEvent,
    config: LabelConfig | None,
    split: SplitRule,
) -> str:
    reason = ""
    for _ in range(_TRIES):
        try:
            with database.write() as session:
                state = _apply(session, project, event, config, split)
                finish_event(session, event.id, state=state)
                return state
        except ConflictError as error:  # another program wrote it first; it exists now
            reason = str(error)
            continue
        except AnnotatorError as error:
            if isinstance(error, LeaseLostError) or type(error) is StoreError:
                raise  # not the event's fault
            reason = str(error)
        except Exception as error:  # an event is a job: a failing one must not block the others
            _log.exception("event.crashed", event_id=event.id, action=event.action)
            reason = f"unexpected {type(error).__name__}"
        break
    with database.write() as session:
        finish_event(session, event.id, state="failed", error=reason)
    return "failed"


def _apply(
    session: Session,
    project: Project,
    event: StoredEvent,
    config: LabelConfig | None,
    split: SplitRule,
) -> str:
    link = project.studio
    payload, action = event.payload, event.action
    if link is None or config is None or not _is_about(event, link):
        return "ignored"
    if action in {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"}:
        _apply_annotations(session, project.id, payload, config, split)
    elif action == "ANNOTATIONS_DELETED":
        for item in _objects(payload, "annotations"):
            external_id = str(item.get("id"))
            task_id = task_of_annotation(session, project.id, external_id=external_id)
            mark_deleted(session, project.id, external_id=external_id, at=event.received_at)
            if task_id is not None:
                refresh_state(session, task_id)
    elif action == "TASKS_CREATED":
        for task in _objects(payload, "tasks"):
            resolve_task(session, project.id, task, config=config, split=split)
    elif action == "TASKS_DELETED":
        ids = [t["id"] for t in _objects(payload, "tasks") if isinstance(t.get("id"), int)]
        mark_tasks_deleted(session, project.id, ids)
    elif action == "PROJECT_UPDATED":
        _apply_config(session, project.id, payload)
    else:
        return "ignored"
    return "done"


def _is_about(event: StoredEvent, link: StudioLink) -> bool:
    """Return whether an event is for our project; another Label Studio may have the same number."""
    return is_same_project(event.payload.get("project"), link.key)


def touched_tasks(session: Session, project_id: int, *, after: int, since: datetime) -> set[int]:
    """Return Label Studio's ids of the tasks that events have changed here.

    An event may have been late: its content must be compared with Label Studio. Which events is as
    for ``done_events``.
    """
    touched: set[Any] = set()
    for event in done_events(session, after=after, since=since):
        if event.action == "ANNOTATIONS_DELETED":  # names no task
            ids = [str(item.get("id")) for item in _objects(event.payload, "annotations")]
            found = [task_of_annotation(session, project_id, external_id=id) for id in ids]
            touched |= {task_by_id(session, id).studio_id for id in found if id is not None}
        elif event.action != "PROJECT_UPDATED":
            key = "tasks" if event.action in {"TASKS_CREATED", "TASKS_DELETED"} else "task"
            touched |= {item.get("id") for item in _objects(event.payload, key)}
    return {studio_id for studio_id in touched if isinstance(studio_id, int)}


def _apply_annotations(
    session: Session,
    project_id: int,
    payload: Mapping[str, Any],
    config: LabelConfig,
    split: SplitRule,
) -> None:
    tasks = {t.get("id"): t for t in _objects(payload, "task")}
    for annotation in _objects(payload, "annotation"):
        owner = tasks.get(annotation.get("task"))
        if owner is None:
            raise TaskFormatError(
                f"event names task {annotation.get('task')} for annotation "
                f"{annotation.get('id')} but does not bring it; the next pull will"
            )
        task = resolve_task(session, project_id, owner, config=config, split=split)
        prediction = annotation.get("prediction")
        record_studio_annotation(
            session,
            project_id,
            task,
            annotation,
            page=page_of(owner, config),
            config=config,
            prediction=prediction if isinstance(prediction, Mapping) else None,
        )


def _apply_config(session: Session, project_id: int, payload: Mapping[str, Any]) -> None:
    project = payload.get("project")
    xml = project.get("label_config") if isinstance(project, Mapping) else None
    if isinstance(xml, str) and xml != current_config_xml(session, project_id):
        adopt_config(session, project_id, parse_config(xml))


def _objects(payload: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = payload.get(key)
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, Mapping) for item in values):
        raise TaskFormatError(f"an event's {key} must be an object or a list of objects")
    return [item for item in values if isinstance(item, Mapping)]
