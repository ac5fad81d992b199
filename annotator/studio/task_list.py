"""Label Studio's list of tasks, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from annotator.errors import InputError
from annotator.studio.transport import StudioTransport

__all__ = ["LONG_TIMEOUT_S", "list_tasks"]

LONG_TIMEOUT_S: Final = 300.0


def list_tasks(
    api: StudioTransport,
    project_id: int,
    *,
    params: Mapping[str, Any],
    updated_after: datetime | None = None,
    ids: range | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield tasks by ascending id; each request starts after the last id seen.

    ``params`` says what of a task to return, and how many tasks a request. ``updated_after``
    (aware) limits to tasks changed later, ``ids`` to a range of ids of step 1.

    Raises:
        InputError: if ``updated_after`` has no time zone.
        StudioError: if Label Studio does not answer with a page of tasks.
    """
    what = f"list the tasks of project {project_id}"
    items = []
    if updated_after is not None:
        items.append(_filter("updated_at", "Datetime", _studio_time(updated_after)))
    if ids is not None:
        items.append(_filter("id", "Number", ids.stop, operator="less"))
    last_id = 0 if ids is None else ids.start - 1
    while True:
        query = {
            "filters": {
                "conjunction": "and",
                "items": [*items, _filter("id", "Number", last_id)],
            },
            "ordering": ["tasks:id"],
        }
        answer = api.call_object(
            "GET",
            "api/tasks",
            attempt=what,
            params={**params, "project": project_id, "query": json.dumps(query)},
            timeout_s=LONG_TIMEOUT_S,
        )
        page, total = answer.get("tasks"), answer.get("total")
        if not isinstance(page, list) or not isinstance(total, int):
            raise api.error(what, "the answer is not a page of tasks")
        yield from page
        if not page or len(page) >= total:
            return
        last_id = max(int(task["id"]) for task in page)


def _filter(
    field: str, kind: str, value: int | str, *, operator: str = "greater"
) -> dict[str, Any]:
    name = f"filter:tasks:{field}"
    return {"filter": name, "operator": operator, "type": kind, "value": value}


def _studio_time(moment: datetime) -> str:
    """Format a time for the task filter, which answers HTTP 500 without microseconds."""
    if moment.tzinfo is None:
        raise InputError("updated_after must carry a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
