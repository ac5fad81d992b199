"""A project with a tiny model behind a served backend, connected to a real Label Studio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend_world import CONFIG_XML, PASSWORD, World, open_world
from sqlalchemy import select

from annotator.domain import Document
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.connect import connect_project
from annotator.services.sync.pull import reconcile
from annotator.services.sync.webhooks import process_inbox
from annotator.store.gold import gold_units
from annotator.store.projects import Project, get_project
from annotator.studio.client import StudioClient
from db.tables import AnnotationRow
from ml_backend.server import BackendServer

__all__ = ["SPLIT", "Ward", "open_ward"]

SPLIT = SplitRule(holdout_share=0.0, seed=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """One connected project: ours, and number ``number`` of the Label Studio of ``client``."""

    world: World
    client: StudioClient
    number: int

    @property
    def project(self) -> Project:
        """Our project as it is now."""
        with self.world.database.read() as session:
            return get_project(session, self.world.settings.project)

    def tell(self, method: Any, path: str, body: Any = None, **params: Any) -> Any:
        """Call Label Studio as its own pages do."""
        return self.client._api.call(
            method, path, attempt="act as a person", body=body, params=params or None
        )

    def work_off(self) -> None:
        """Work off the events that have arrived; Label Studio sends them before it answers."""
        process_inbox(self.world.database, self.project, split=SPLIT)

    def pull(self) -> None:
        """Look at all of Label Studio."""
        reconcile(self.world.database, self.project, self.client, split=SPLIT, full=True)

    def annotations(self) -> dict[str, tuple[str, bool, bool, str | None]]:
        """Return state, bulk, ground truth and annotator of current annotations by their ids."""
        with self.world.database.read() as session:
            rows = session.scalars(
                select(AnnotationRow).where(
                    AnnotationRow.is_current, AnnotationRow.source == "studio"
                )
            )
            return {
                row.external_id: (row.state, row.bulk_created, row.ground_truth, row.annotator)
                for row in rows
            }

    def gold(self) -> list[Document]:
        """Return the gold."""
        with self.world.database.read() as session:
            return [unit.document for unit in gold_units(session, self.world.project_id)]


@contextmanager
def open_ward(home: Path, client: StudioClient, title: str) -> Iterator[Ward]:
    """Make a Label Studio project and connect a project of ours with it; its backend is served."""
    home.mkdir(parents=True, exist_ok=True)
    with open_world(home) as world:
        server = BackendServer(world.client().application, world.settings)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            number = client.create_project(title, CONFIG_XML).id
            ward = Ward(world=world, client=client, number=number)
            connect_project(
                world.database,
                ward.project,
                client,
                studio_project=number,
                backend_url=f"http://127.0.0.1:{server.port}",
                user=world.settings.backend_user,
                password=PASSWORD,
            )
            yield ward
        finally:
            server.stop()
            thread.join(20)
