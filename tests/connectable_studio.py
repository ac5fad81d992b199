"""A Label Studio in memory that a project can be connected to."""

from __future__ import annotations

from typing import Any

from factories import LINK, STUDIO_PROJECT
from fake_studio import FakeStudio

from annotator.services.sync.connect import Connection, connect_project
from annotator.services.sync.identity import Decision
from annotator.services.sync.webhooks import receive_event
from annotator.store.database import Database
from annotator.store.projects import Project, get_project
from annotator.studio.client import StudioProject

BACKEND = "http://127.0.0.1:9090"


class ConnectableStudio(FakeStudio):
    """A Label Studio whose webhook reaches our database, unless ``deaf``."""

    def __init__(self, database: Database, *, deaf: bool = False, key: str = LINK.key) -> None:
        super().__init__()
        self.key = key
        self.database = database
        self.deaf = deaf
        self.calls: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def create_project(self, title: str, config_xml: str) -> StudioProject:
        self.config_xml = config_xml
        return self.project(1)

    def backends(self, project_id: int) -> list[dict[str, Any]]:
        return self.rows

    def connect_backend(self, project_id: int, **fields: Any) -> int:
        self.calls.append(f"backend {fields['url']} {fields['user']} {fields['password']}")
        return 4

    def repair_webhook(self, project_id: int, **fields: Any) -> int:
        self.calls.append(f"webhook {fields['backend_url']} {fields['user']} {fields['password']}")
        return 5

    def update_project(self, project_id: int, **fields: Any) -> StudioProject:
        self.calls.append(f"set {fields}")
        event = {"action": "PROJECT_UPDATED", "project": {**STUDIO_PROJECT, "id": project_id}}
        if not self.deaf:
            with self.database.write() as session:
                receive_event(session, event)
        return self.project(project_id)

    def disconnect_backend(self, project_id: int, backend_url: str) -> bool:
        self.calls.append(f"disconnect {backend_url}")
        return True


def connect(
    database: Database, project: Project, studio: FakeStudio, decision: Decision | None = None
) -> Connection:
    """Connect as ``annotator connect`` does."""
    return connect_project(
        database,
        project,
        studio,
        studio_project=1,
        backend_url=BACKEND,
        user="annotator",
        password="hunter2",
        decision=decision,
        wait_s=0.3,
    )


def reload(database: Database) -> Project:
    """Return the project as it is now."""
    with database.read() as session:
        return get_project(session, "ward")
