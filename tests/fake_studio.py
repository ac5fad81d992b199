"""A Label Studio in memory: what a client sees of it, and what people do in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from factories import LINK, TINY_CONFIG_XML

from annotator.errors import StudioError
from annotator.studio.client import StudioClient, StudioProject

Event = dict[str, Any]
MORNING = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def make_region(id: str, start: int, end: int, label: str, *, text: str) -> dict[str, Any]:
    """Build a region as Label Studio's editor submits it."""
    return {
        "id": id,
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": start, "end": end, "text": text[start:end], "labels": [label]},
    }


def make_link(head: str, tail: str, label: str) -> dict[str, Any]:
    """Build a relation as Label Studio's editor submits it."""
    return {
        "type": "relation",
        "from_id": head,
        "to_id": tail,
        "direction": "right",
        "labels": [label],
    }


class FakeStudio(StudioClient):
    """One project of a Label Studio. Its clock goes on with everything that happens, by ``pace``.

    ``events`` collects the webhook events that it would have sent.
    """

    def __init__(self, now: datetime = MORNING, *, pace: timedelta = timedelta(seconds=1)) -> None:
        self.url = LINK.host
        self.key = LINK.key
        self.config_xml = TINY_CONFIG_XML
        self.model_version = ""
        self.events: list[Event] = []
        self.pushes: list[list[dict[str, Any]]] = []
        self.imports: list[list[dict[str, Any]]] = []
        self.down = False
        self.locked: int | None = None
        self.sampling = "Uncertainty sampling"
        self.refused_tasks: set[int] = set()
        self._tasks: dict[int, dict[str, Any]] = {}
        self._n_annotations = 0
        self._n_predictions = 0
        self._now = now
        self._pace = pace

    # ------------------------------------------------------------------ what a client sees

    def close(self) -> None:
        """Do nothing."""

    @property
    def made_at(self) -> str:
        """When the project was made: the second half of its key."""
        return datetime.fromtimestamp(int(self.key.partition(".")[2]), UTC).isoformat()

    def project(self, project_id: int) -> StudioProject:
        """Return the project."""
        self._check()
        return StudioProject(
            id=project_id,
            key=self.key,
            title="Ward",
            config_xml=self.config_xml,
            sampling=self.sampling,
            model_version=self.model_version,
            task_number=len(self._tasks),
        )

    def tasks(
        self, project_id: int, *, updated_after: datetime | None = None, page_size: int = 100
    ) -> Iterator[dict[str, Any]]:
        """Yield tasks with annotations and predictions, as they are when the first is asked for."""
        self._check()
        yield from [
            copy.deepcopy(task)
            for task in self._tasks.values()
            if updated_after is None or datetime.fromisoformat(task["updated_at"]) > updated_after
        ]

    def tasks_of(self, project_id: int, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield these tasks, each as it is when it is asked for."""
        yield from (task for one in sorted(ids) if (task := self.task(one)))

    def changes(
        self, project_id: int, *, updated_after: datetime | None = None
    ) -> Iterator[list[tuple[int, datetime]]]:
        """Yield pages of two ids and when each task changed last."""
        changed = list(self.tasks(project_id, updated_after=updated_after))
        for i in range(0, len(changed), 2):
            yield [
                (task["id"], datetime.fromisoformat(task["updated_at"]))
                for task in changed[i : i + 2]
            ]

    def task(self, task_id: int) -> dict[str, Any] | None:
        """Return one task, None if it is not there."""
        self._check()
        return copy.deepcopy(self._tasks.get(task_id))

    def task_ids(self, project_id: int) -> set[int]:
        """Return all ids."""
        self._check()
        return set(self._tasks)

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Make tasks; the id of a deleted task is given again, as on SQLite."""
        self._check()
        self.imports.append([dict(data) for data in tasks])
        ids = [self._make(dict(data)) for data in tasks]
        self._emit("TASKS_CREATED", tasks=[self._tasks[i] for i in ids])
        return ids

    def predictions(self, task_id: int) -> list[dict[str, Any]]:
        """Return a task's predictions."""
        self._check()
        return copy.deepcopy(self._tasks[task_id]["predictions"])

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction."""
        self._check()
        for task in self._tasks.values():
            task["predictions"] = [p for p in task["predictions"] if p["id"] != prediction_id]

    def rescore_prediction(self, prediction_id: int, score: float) -> None:
        """Change a prediction's score."""
        self._check()
        for task in self._tasks.values():
            for prediction in task["predictions"]:
                if prediction["id"] == prediction_id:
                    prediction["score"] = score

    def next_task(self, project_id: int) -> dict[str, Any] | None:
        """Serve what somebody opened before, or the lowest score of the selected version."""
        self._check()
        open_tasks = [t for t in self._tasks.values() if not t["annotations"]]
        scored = [
            (p["score"], t["id"])
            for t in open_tasks
            for p in t["predictions"]
            if p["model_version"] == self.model_version
        ]
        first = self.locked or min(scored, default=(0.0, None))[1]
        return None if first is None else self.task(first)

    def push_predictions(self, project_id: int, items: Sequence[Mapping[str, Any]]) -> int:
        """Store predictions, but for those of ``refused_tasks``."""
        self._check()
        self.pushes.append([dict(item) for item in items])
        if any(item["task"] not in self._tasks for item in items):
            raise StudioError("a task is not in this project any more", status=400)
        taken = [item for item in items if item["task"] not in self.refused_tasks]
        for item in taken:
            self._n_predictions += 1
            stored = {"id": self._n_predictions, **item}
            self._tasks[item["task"]]["predictions"].append(stored)
        return len(taken)

    def select_version(self, project_id: int, version: str) -> StudioProject:
        """Select a version."""
        self._check()
        self.model_version = version
        self._emit("PROJECT_UPDATED")
        return self.project(project_id)

    # ------------------------------------------------------------------ what people do

    def wait(self, *, hours: int) -> None:
        """Let nothing happen for some time."""
        self._now += timedelta(hours=hours)

    def add_task(self, **data: Any) -> int:
        """Make one task by hand."""
        return self.import_tasks(LINK.project_id, [data])[0]

    def edit_task(self, task_id: int, **data: Any) -> None:
        """Change a task's data: no event is sent."""
        self._tasks[task_id]["data"].update(data)
        self._touch(task_id)

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its annotations."""
        del self._tasks[task_id]
        self._emit("TASKS_DELETED", tasks=[{"id": task_id}])

    def annotate(
        self, task_id: int, result: list[dict[str, Any]], *, skip: bool = False, **fields: Any
    ) -> int:
        """Submit (or skip) a task."""
        self._n_annotations += 1
        when = self._tick()
        annotation = {
            "id": self._n_annotations,
            "task": task_id,
            "result": copy.deepcopy(result),
            "was_cancelled": skip,
            "ground_truth": False,
            "completed_by": 1,
            "lead_time": 4.5,
            "created_at": when,
            "updated_at": when,
            "parent_prediction": None,
            **fields,
        }
        self._tasks[task_id]["annotations"].append(annotation)
        self._touch(task_id)
        self._emit("ANNOTATION_CREATED", annotation=annotation, task=self._tasks[task_id])
        return self._n_annotations

    def update(self, annotation_id: int, result: list[dict[str, Any]], **fields: Any) -> None:
        """Submit an annotation again."""
        task, annotation = self._find(annotation_id)
        annotation.update(result=copy.deepcopy(result), updated_at=self._tick(), **fields)
        self._touch(task["id"])
        self._emit("ANNOTATION_UPDATED", annotation=annotation, task=task)

    def star(self, annotation_id: int, *, on: bool = True) -> None:
        """Make an annotation the ground truth, or take that back."""
        _, annotation = self._find(annotation_id)
        self.update(annotation_id, annotation["result"], ground_truth=on)

    def configure(self, config_xml: str) -> None:
        """Change the labeling configuration."""
        self.config_xml = config_xml
        self._emit("PROJECT_UPDATED")

    def delete_annotation(self, annotation_id: int, *, silent: bool = False) -> None:
        """Delete an annotation; cancelling a skip does so and sends no event."""
        task, annotation = self._find(annotation_id)
        task["annotations"].remove(annotation)
        self._touch(task["id"])
        if not silent:
            self._emit("ANNOTATIONS_DELETED", annotations=[{"id": annotation_id}])

    # ------------------------------------------------------------------ inside

    def _check(self) -> None:
        if self.down:
            raise StudioError("Label Studio cannot be reached")

    def _tick(self) -> str:
        self._now += self._pace
        return self._now.isoformat().replace("+00:00", "Z")

    def _touch(self, task_id: int) -> None:
        self._tasks[task_id]["updated_at"] = self._tick()

    def _make(self, data: dict[str, Any]) -> int:
        task_id = max(self._tasks, default=0) + 1
        when = self._tick()
        self._tasks[task_id] = {
            "id": task_id,
            "data": data,
            "annotations": [],
            "predictions": [],
            "created_at": when,
            "updated_at": when,
        }
        return task_id

    def _find(self, annotation_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return next(
            (task, annotation)
            for task in self._tasks.values()
            for annotation in task["annotations"]
            if annotation["id"] == annotation_id
        )

    def _emit(self, action: str, **objects: Any) -> None:
        project = {
            "id": LINK.project_id,
            "created_at": self.made_at,
            "title": "Ward",
            "label_config": self.config_xml,
            "token": "invite-secret",
            "task_data_password": "storage-secret",
        }
        self.events.append(copy.deepcopy({"action": action, "project": project, **objects}))
