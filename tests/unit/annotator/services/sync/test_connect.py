from __future__ import annotations

import pytest
from connectable_studio import BACKEND, ConnectableStudio, connect, reload
from factories import LINK, TINY_CONFIG_XML

from annotator.errors import ConfigError, StudioError
from annotator.services.sync.connect import disconnect_project, ensure_studio_project
from annotator.store.database import Database
from annotator.store.projects import Project, current_schema, ensure_project


def test_connecting_joins_both_directions_and_proves_it(
    database: Database, project: Project
) -> None:
    studio = ConnectableStudio(database)

    connection = connect(database, project, studio)

    assert (connection.backend, connection.webhook, connection.event_arrived) == (4, 5, True)
    assert studio.calls == [
        f"backend {BACKEND} annotator hunter2",
        f"webhook {BACKEND} annotator hunter2",
        "set {'sampling': 'Uncertainty sampling'}",
    ]
    assert reload(database).studio == LINK
    assert connect(database, project, studio).event_arrived


def test_what_is_left_of_an_earlier_address_is_removed(
    database: Database, project: Project
) -> None:
    studio = ConnectableStudio(database)
    studio.rows = [
        {"title": "annotator ward", "url": "http://127.0.0.1:9091"},
        {"title": "annotator ward", "url": f"{BACKEND}/"},
        {"title": "annotator ward-8", "url": "http://127.0.0.1:9092"},
    ]

    connect(database, project, studio)

    removed = [call for call in studio.calls if call.startswith("disconnect")]
    assert removed == ["disconnect http://127.0.0.1:9091"]


def test_labels_that_label_studio_lacks_are_told(database: Database, project: Project) -> None:
    studio = ConnectableStudio(database)
    studio.config_xml = TINY_CONFIG_XML.replace('<Label value="Effect"/>', "")

    connection = connect(database, project, studio)

    assert connection.unknown_types == ["Effect"]
    with database.read() as session:
        schema = current_schema(session, project.id)
    assert schema is not None
    assert schema.entity_types == ("Drug",)


def test_events_that_do_not_arrive_are_an_error_with_the_remedy(
    database: Database, project: Project
) -> None:
    with pytest.raises(StudioError, match="SSRF_PROTECTION_ENABLED=false") as caught:
        connect(database, project, ConnectableStudio(database, deaf=True))

    assert "hunter2" not in str(caught.value)


def test_disconnecting_removes_both_and_keeps_labels(database: Database, project: Project) -> None:
    studio = ConnectableStudio(database)
    connect(database, project, studio)

    assert disconnect_project(database, reload(database), studio, backend_url=BACKEND)

    assert studio.calls[-1] == f"disconnect {BACKEND}"
    assert reload(database).studio is None
    assert not disconnect_project(database, reload(database), studio, backend_url=BACKEND)


def test_a_new_label_studio_project_has_our_labels(database: Database, project: Project) -> None:
    studio = ConnectableStudio(database)

    made = ensure_studio_project(database, project, studio, title="Ward")

    assert all(f'value="{name}"' in made.config_xml for name in ("Drug", "Effect", "causes"))


def test_without_labels_there_is_no_project_to_make(database: Database) -> None:
    with database.write() as session:
        bare = ensure_project(session, name="bare", unit="sentence")

    with pytest.raises(ConfigError, match="import gold first"):
        ensure_studio_project(database, bare, ConnectableStudio(database), title="Ward")
