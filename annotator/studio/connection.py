"""What connecting a backend means in Label Studio's terms: one ML backend and one webhook. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

__all__ = [
    "WEBHOOK_ACTIONS",
    "backend_body",
    "backends_at",
    "describe_stranger",
    "is_same_project",
    "project_key",
    "webhook_body",
    "webhooks_of",
]

WEBHOOK_ACTIONS: Final = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)


def project_key(project: Mapping[str, Any]) -> str | None:
    """Return Label Studio's key of a project for backends: its id and when it was made.

    The id alone is not unique: two servers may both have a project 1. None if the row lacks either.
    """
    try:
        made = datetime.fromisoformat(str(project["created_at"]))
        return f"{int(project['id'])}.{int(made.timestamp())}"
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def is_same_project(project: Any, key: str) -> bool:
    """Return whether a row of Label Studio's projects is the one with this key."""
    return isinstance(project, Mapping) and project_key(project) == key


def describe_stranger(host: str, key: str, *, found: str) -> str:
    """Say that another project answers in the place of the one with ``key``, and what decides."""
    number = key.partition(".")[0]
    again = f"annotator connect {host} --token T --project {number}"
    return (
        f"another project answers at {host}/projects/{number}: its key is {found or 'missing'}, "
        f"that of ours is {key}. Was Label Studio's database replaced? Nothing is read from it and "
        f"nothing is sent. If it is the same project, restored or moved: {again} --same. If it is "
        f"another one, which shall have our texts from now on: {again} --other"
    )


def backend_body(
    project_id: int, *, url: str, user: str, password: str, title: str
) -> dict[str, Any]:
    """Return the complete body that creates or changes an ML backend.

    A change must repeat the url, the project and the credentials, or Label Studio fails.
    """
    return {
        "project": project_id,
        "url": url.rstrip("/"),
        "title": title,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": user,
        "basic_auth_pass": password,
    }


def webhook_body(project_id: int, *, backend_url: str, user: str, password: str) -> dict[str, Any]:
    """Return the complete body that creates or changes the webhook of a backend.

    An omitted list of actions is reset to empty, and without the header every event is lost.
    """
    pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {
        "project": project_id,
        "url": _webhook_url(backend_url),
        "headers": {"Authorization": f"Basic {pair}"},
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": list(WEBHOOK_ACTIONS),
        "is_active": True,
    }


def backends_at(backends: Iterable[Mapping[str, Any]], url: str) -> list[Mapping[str, Any]]:
    """Return the ML backends with this address, ignoring a trailing slash."""
    wanted = url.rstrip("/")
    return [one for one in backends if str(one.get("url", "")).rstrip("/") == wanted]


def webhooks_of(webhooks: Iterable[Mapping[str, Any]], backend_url: str) -> list[Mapping[str, Any]]:
    """Return the webhooks that serve the backend with this address."""
    wanted = _webhook_url(backend_url)
    return [one for one in webhooks if one.get("url") == wanted]


def _webhook_url(backend_url: str) -> str:
    return f"{backend_url.rstrip('/')}/webhook"
