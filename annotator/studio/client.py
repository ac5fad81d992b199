"""A client for the parts of Label Studio's API that the annotator needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final

from annotator.errors import StudioError
from annotator.studio.connection import (
    backend_body,
    backends_at,
    project_key,
    webhook_body,
    webhooks_of,
)
from annotator.studio.refusals import WEBHOOK_REFUSED, is_private_address, without_credentials
from annotator.studio.task_list import LONG_TIMEOUT_S, list_tasks
from annotator.studio.transport import StudioTransport

__all__ = ["StudioClient", "StudioProject"]

_IDS_PER_PAGE: Final = 10_000
_TASKS_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioProject:
    """A Label Studio project. ``key`` is the name by which it identifies itself to backends."""

    id: int
    key: str
    title: str
    config_xml: str
    sampling: str
    model_version: str
    task_number: int


class StudioClient:
    """A client of one Label Studio as one user.

    Every failure is a ``StudioError`` that says what was tried, the HTTP status and what to do; it
    holds neither the token nor document text. Calls that are safe to repeat are tried three times.

    Args:
        url: Address of Label Studio, with a path prefix if it has one.
        token: A personal access token or a legacy token.
        timeout_s: For one ordinary call; imports and pushes get at least 300 s.

    Raises:
        StudioError: if the address is not http(s), the token is malformed or has expired.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0) -> None:
        self._api = StudioTransport(url, token, timeout_s=timeout_s)
        self.url = self._api.url

    def __repr__(self) -> str:
        return f"StudioClient(url={self.url!r})"

    def __enter__(self) -> StudioClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._api.close()

    # ------------------------------------------------------------------ server and project

    def whoami(self) -> dict[str, Any]:
        """Return the user to whom the token belongs."""
        return self._api.call_object("GET", "api/current-user/whoami", attempt="check the token")

    def version(self) -> str:
        """Return the release of Label Studio, for example ``1.23.2``."""
        answer = self._api.call_object("GET", "api/version", attempt="read the version")
        return str(answer.get("release", "unknown"))

    def project(self, project_id: int) -> StudioProject:
        """Return one project."""
        return _project(
            self._api.call_object(
                "GET", f"api/projects/{project_id}", attempt=f"read project {project_id}"
            )
        )

    def create_project(self, title: str, config_xml: str) -> StudioProject:
        """Create a project with a labeling configuration; titles need 3 characters or more."""
        body = {"title": title, "label_config": config_xml, "show_collab_predictions": True}
        return _project(
            self._api.call_object("POST", "api/projects", attempt="create a project", body=body)
        )

    def update_project(self, project_id: int, **fields: Any) -> StudioProject:
        """Set fields of a project by Label Studio's own names (``sampling``, ``title``, ...)."""
        what = f"set {', '.join(sorted(fields))} of project {project_id}"
        path = f"api/projects/{project_id}"
        return _project(
            self._api.call_object("PATCH", path, attempt=what, body=fields, repeatable=True)
        )

    def select_version(self, project_id: int, version: str) -> StudioProject:
        """Make the label stream show the stored predictions of ``version`` and order by them."""
        return self.update_project(project_id, model_version=version)

    def delete_project(self, project_id: int) -> None:
        """Permanently delete a project with its tasks and annotations."""
        self._api.call(
            "DELETE", f"api/projects/{project_id}", attempt=f"delete project {project_id}"
        )

    # ------------------------------------------------------------------ tasks and annotations

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Import tasks, given as their ``data``, and return their ids in the same order.

        Raises:
            StudioError: also if Label Studio made fewer tasks than it was given.
        """
        if not tasks:
            return []
        what = f"import {len(tasks)} tasks into project {project_id}"
        answer = self._api.call_object(
            "POST",
            f"api/projects/{project_id}/import",
            attempt=what,
            params={"return_task_ids": "true"},
            body=[{"data": dict(data)} for data in tasks],
            timeout_s=LONG_TIMEOUT_S,
        )
        ids = answer.get("task_ids")
        if not isinstance(ids, list) or len(ids) != len(tasks):
            n_made = len(ids) if isinstance(ids, list) else answer.get("task_count", "an unknown")
            raise self._api.error(
                what, f"it reports {n_made} tasks; look at the project before trying"
            )
        return [int(one) for one in ids]

    def tasks(
        self, project_id: int, *, updated_after: datetime | None = None, page_size: int = 100
    ) -> Iterator[dict[str, Any]]:
        """Yield tasks with annotations, predictions and drafts, by ascending id.

        Pages follow the id, so that tasks made or deleted meanwhile shift nothing. With
        ``updated_after`` (aware), only tasks changed later are yielded. Adding or deleting an
        annotation is a change; deleted tasks do not appear, see ``task_ids``.
        """
        # No "include" here: it would also strip the annotations of their results.
        params = {"fields": "all", "page_size": page_size}
        yield from list_tasks(self._api, project_id, params=params, updated_after=updated_after)

    def tasks_of(self, project_id: int, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield these tasks as ``tasks`` does, skipping those that do not exist.

        Ids close together are read in pages, others one by one.
        """
        wanted = sorted(set(ids))
        params = {"fields": "all", "page_size": _TASKS_PER_PAGE}
        for i in range(0, len(wanted), _TASKS_PER_PAGE):
            part = set(wanted[i : i + _TASKS_PER_PAGE])
            if max(part) - min(part) < 2 * len(part):
                span = range(min(part), max(part) + 1)
                pages = list_tasks(self._api, project_id, params=params, ids=span)
                yield from (task for task in pages if int(task["id"]) in part)
            else:
                yield from (found for one in sorted(part) if (found := self.task(one)))

    def changes(
        self, project_id: int, *, updated_after: datetime | None = None
    ) -> Iterator[list[tuple[int, datetime]]]:
        """Yield the ids of tasks and when each last changed, in large pages, without contents.

        ``updated_after`` is as for ``tasks``.
        """
        params = {"fields": "task_only", "include": "id,updated_at", "page_size": _IDS_PER_PAGE}
        tasks = list_tasks(self._api, project_id, params=params, updated_after=updated_after)
        while page := list(islice(tasks, _IDS_PER_PAGE)):
            try:
                found = [(int(t["id"]), datetime.fromisoformat(t["updated_at"])) for t in page]
            except (KeyError, TypeError, ValueError):
                what = f"list what changed in project {project_id}"
                raise self._api.error(what, "a task of the answer has no id or no time") from None
            yield found

    def task_ids(self, project_id: int) -> set[int]:
        """Return the ids of all tasks of a project, without their contents."""
        params = {"fields": "task_only", "include": "id", "page_size": _IDS_PER_PAGE}
        return {int(task["id"]) for task in list_tasks(self._api, project_id, params=params)}

    def task(self, task_id: int) -> dict[str, Any] | None:
        """Return one task with its annotations and predictions, None if it does not exist."""
        path, what = f"api/tasks/{task_id}", f"read task {task_id}"
        answer: dict[str, Any] | None = self._api.call("GET", path, attempt=what, missing_ok=True)
        return answer

    def next_task(self, project_id: int) -> dict[str, Any] | None:
        """Return the task that the label stream shows this user next, None if none is left.

        Label Studio locks the task for the user, as it does in the browser.
        """
        path, what = f"api/projects/{project_id}/next", f"read the next task of {project_id}"
        answer: dict[str, Any] | None = self._api.call("GET", path, attempt=what, missing_ok=True)
        if answer is None:
            self.project(project_id)  # 404 means nothing to label, or no such project
        return answer

    def predictions(self, task_id: int) -> list[dict[str, Any]]:
        """Return the stored predictions of one task."""
        what = f"read the predictions of task {task_id}"
        return self._api.call_list("GET", "api/predictions", attempt=what, params={"task": task_id})

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete one stored prediction; an annotation that began with it loses that link."""
        what = f"delete prediction {prediction_id}"
        self._delete(f"api/predictions/{prediction_id}/", attempt=what)

    def rescore_prediction(self, prediction_id: int, score: float) -> None:
        """Set the score, and so the place in the order, of a stored prediction, if it exists."""
        self._api.call(
            "PATCH",
            f"api/predictions/{prediction_id}/",
            attempt=f"rescore prediction {prediction_id}",
            body={"score": score},
            repeatable=True,
            missing_ok=True,
        )

    def push_predictions(self, project_id: int, items: Sequence[Mapping[str, Any]]) -> int:
        """Store predictions (``task``, ``score``, ``model_version``, ``result``) in one request.

        Returns:
            How many were stored. Label Studio silently drops invalid ones, so fewer than given
            means that some were invalid. A push is never retried, since it would store duplicates.
        """
        if not items:
            return 0
        what = f"push {len(items)} predictions to project {project_id}"
        answer = self._api.call_object(
            "POST",
            f"api/projects/{project_id}/import/predictions",
            attempt=what,
            body=[dict(item) for item in items],
            timeout_s=LONG_TIMEOUT_S,
        )
        created = answer.get("created")
        if not isinstance(created, int):
            raise self._api.error(what, "the answer does not say how many were stored")
        return created

    def create_annotation(self, task_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add an annotation (``result``, ``was_cancelled``, ...) to a task."""
        what = f"annotate task {task_id}"
        path = f"api/tasks/{task_id}/annotations/"
        return self._api.call_object("POST", path, attempt=what, body=dict(body))

    # ------------------------------------------------------------------ backend and webhook

    def backends(self, project_id: int) -> list[dict[str, Any]]:
        """Return the ML backends of a project; Label Studio first calls the ``/setup`` of each."""
        what = f"list the backends of project {project_id}"
        return self._api.call_list("GET", "api/ml", attempt=what, params={"project": project_id})

    def webhooks(self, project_id: int) -> list[dict[str, Any]]:
        """Return the webhooks of a project."""
        what = f"list the webhooks of project {project_id}"
        return self._api.call_list(
            "GET", "api/webhooks/", attempt=what, params={"project": project_id}
        )

    def connect_backend(
        self, project_id: int, *, url: str, user: str, password: str, title: str
    ) -> int:
        """Connect an ML backend with basic auth, or update the one with that url; return its id.

        Label Studio creates a webhook without credentials with it: call ``repair_webhook``.
        """
        body = backend_body(project_id, url=url, user=user, password=password, title=title)
        existing = backends_at(self.backends(project_id), url)
        what = f"connect {without_credentials(url)} to project {project_id}"
        if existing:
            backend_id = int(existing[0]["id"])
            self._api.call_object(
                "PATCH", f"api/ml/{backend_id}", attempt=what, body=body, repeatable=True
            )
            return backend_id
        try:
            answer = self._api.call_object("POST", "api/ml", attempt=what, body=body)
        except StudioError as error:
            # It makes the backend before the webhook: a backend that exists was allowed.
            let_through = is_private_address(str(error)) and backends_at(
                self.backends(project_id), url
            )
            if let_through:
                raise self._api.error(what, WEBHOOK_REFUSED) from None
            raise
        return int(answer["id"])

    def repair_webhook(self, project_id: int, *, backend_url: str, user: str, password: str) -> int:
        """Set the credentials and actions of the backend's webhook, creating it if it is missing.

        Returns:
            The id of the one webhook that is left for this backend.
        """
        body = webhook_body(project_id, backend_url=backend_url, user=user, password=password)
        what = f"set up the webhook of {without_credentials(backend_url)} in project {project_id}"
        existing = webhooks_of(self.webhooks(project_id), backend_url)
        for double in existing[1:]:
            self._delete(f"api/webhooks/{int(double['id'])}/", attempt=what)
        if not existing:
            try:
                made = self._api.call_object("POST", "api/webhooks/", attempt=what, body=body)
            except StudioError as error:
                if is_private_address(str(error)):  # the backend's address was accepted
                    raise self._api.error(what, WEBHOOK_REFUSED) from None
                raise
            return int(made["id"])
        webhook_id = int(existing[0]["id"])
        path = f"api/webhooks/{webhook_id}/"
        self._api.call_object("PATCH", path, attempt=what, body=body, repeatable=True)
        return webhook_id

    def disconnect_backend(self, project_id: int, backend_url: str) -> bool:
        """Remove a backend and its webhook; return whether there was anything to remove."""
        what = f"disconnect {without_credentials(backend_url)} from project {project_id}"
        backends = backends_at(self.backends(project_id), backend_url)
        for backend in backends:
            self._delete(f"api/ml/{int(backend['id'])}", attempt=what)
        webhooks = webhooks_of(self.webhooks(project_id), backend_url)
        for webhook in webhooks:
            self._delete(f"api/webhooks/{int(webhook['id'])}/", attempt=what)
        return bool(backends or webhooks)

    def _delete(self, path: str, *, attempt: str) -> None:
        """Delete something; if it is already gone, do nothing."""
        self._api.call("DELETE", path, attempt=attempt, repeatable=True, missing_ok=True)


def _project(answer: Mapping[str, Any]) -> StudioProject:
    return StudioProject(
        id=int(answer["id"]),
        key=project_key(answer) or "",
        title=str(answer.get("title") or ""),
        config_xml=str(answer.get("label_config") or ""),
        sampling=str(answer.get("sampling") or ""),
        model_version=str(answer.get("model_version") or ""),
        task_number=int(answer.get("task_number") or 0),
    )
