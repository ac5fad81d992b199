from __future__ import annotations

import pytest
from factories import make_document

from annotator.services.intake.documents import store_document
from annotator.store.database import Database
from annotator.store.projects import Project


@pytest.fixture
def document_id(database: Database, project: Project) -> int:
    """The document of ``make_document()``, stored."""
    with database.write() as session:
        return store_document(session, project.id, make_document(), split="train")[0]
