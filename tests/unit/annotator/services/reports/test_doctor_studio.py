"""The doctor finds what is broken in Label Studio, names it, and says what helps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from factories import TINY_CONFIG_XML
from fake_studio import FakeStudio
from run_world import register

from annotator.errors import StudioError
from annotator.services.reports.doctor import Finding
from annotator.services.reports.doctor_studio import examine_studio
from annotator.services.sync.connect import connect_project
from annotator.services.sync.webhooks import receive_event
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project, get_project
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioProject
from annotator.studio.connection import backend_body, webhook_body


class WholeStudio(FakeStudio):
    """A Label Studio that keeps backends and webhooks, and whose events reach our database."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.deaf = False
        self.release = "1.23.2"
        self.sampling = "Sequential sampling"
        self.backend_rows: list[dict[str, Any]] = []
        self.webhook_rows: list[dict[str, Any]] = []

    def whoami(self) -> dict[str, Any]:
        self._check()
        return {"id": 7, "email": "ward@example.org"}

    def version(self) -> str:
        return self.release

    def project(self, project_id: int) -> StudioProject:
        found = super().project(project_id)
        return StudioProject(
            **{name: getattr(found, name) for name in found.__slots__ if name != "sampling"},
            sampling=self.sampling,
        )

    def update_project(self, project_id: int, **fields: Any) -> StudioProject:
        self.sampling = fields.get("sampling", self.sampling)
        event = {"action": "PROJECT_UPDATED", "project": {"id": project_id}}
        if not self.deaf:
            with self.database.write() as session:
                receive_event(session, event)
        return self.project(project_id)

    def backends(self, project_id: int) -> list[dict[str, Any]]:
        return self.backend_rows

    def webhooks(self, project_id: int) -> list[dict[str, Any]]:
        return self.webhook_rows

    def connect_backend(self, project_id: int, **fields: Any) -> int:
        self.backend_rows = [{"id": 4, "state": "CO", **backend_body(project_id, **fields)}]
        return 4

    def repair_webhook(self, project_id: int, **fields: Any) -> int:
        self.webhook_rows = [{"id": 5, **webhook_body(project_id, **fields)}]
        return 5


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, project="ward", backend_password="hunter2")


@pytest.fixture
def whole(database: Database, project: Project, settings: Settings) -> WholeStudio:
    """A Label Studio that was connected by the product itself, and is well."""
    studio = WholeStudio(database)
    connect_project(
        database,
        project,
        studio,
        studio_project=1,
        backend_url=settings.backend,
        user=settings.backend_user,
        password="hunter2",
        wait_s=0.3,
    )
    return studio


@pytest.fixture
def version(database: Database, project: Project, tiny_model: Path) -> ModelVersion:
    return register(database, project, tiny_model)


def reload(database: Database) -> Project:
    with database.read() as session:
        return get_project(session, "ward")


def there(settings: Settings, database: Database, studio: FakeStudio) -> Mapping[str, Finding]:
    found = examine_studio(settings, database, reload(database), studio, wait_s=0.3)
    return {finding.part: finding for finding in found}


def test_what_connect_made_is_well(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    found = there(settings, database, whole)

    assert {finding.state for finding in found.values()} == {"good"}
    assert list(found) == ["label studio", "labels", "backend there", "webhook", "order", "events"]


def test_an_unconnected_project_is_told_how_to_connect(
    settings: Settings, database: Database, project: Project
) -> None:
    (found,) = there(settings, database, WholeStudio(database)).values()

    assert found.state == "warning"
    assert found.remedy.startswith("annotator connect")


def test_label_studio_that_is_down_is_the_only_finding(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.down = True

    (found,) = there(settings, database, whole).values()

    assert (found.part, found.state) == ("label studio", "bad")


@pytest.mark.parametrize(
    ("change", "part", "state", "says"),
    [
        ({"headers": {}}, "webhook", "bad", "credentials are missing"),
        ({"headers": {"Authorization": "Basic b3RoZXI="}}, "webhook", "bad", "or others"),
        ({"actions": ["TASKS_CREATED"]}, "webhook", "bad", "does not send ANNOTATIONS_CREATED"),
        ({"is_active": False}, "webhook", "bad", "switched off"),
        ({"send_payload": False}, "webhook", "bad", "no content"),
    ],
)
def test_a_webhook_that_is_not_as_it_should_be_is_named(
    settings: Settings,
    database: Database,
    whole: WholeStudio,
    change: dict[str, Any],
    part: str,
    state: str,
    says: str,
) -> None:
    whole.webhook_rows[0].update(change)

    found = there(settings, database, whole)[part]

    assert (found.state, says in found.message) == (state, True)
    assert "annotator connect" in found.remedy
    assert "hunter2" not in found.message


@pytest.mark.parametrize(
    ("change", "says", "remedy"),
    [
        ({"state": "DI"}, "cannot reach", "ML_BLOCK_LOCAL_IP=false"),
        ({"auth_method": "NONE"}, "without credentials", "annotator connect"),
    ],
)
def test_a_backend_that_is_not_as_it_should_be_is_named(
    settings: Settings,
    database: Database,
    whole: WholeStudio,
    change: dict[str, Any],
    says: str,
    remedy: str,
) -> None:
    whole.backend_rows[0].update(change)

    found = there(settings, database, whole)["backend there"]

    assert found.state == "bad"
    assert says in found.message
    assert remedy in found.remedy


def test_a_backend_without_a_webhook_names_the_setting_that_causes_it(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.webhook_rows.clear()

    assert "SSRF_PROTECTION_ENABLED=false" in there(settings, database, whole)["webhook"].remedy

    whole.backend_rows.clear()
    found = there(settings, database, whole)
    assert "SSRF" not in found["webhook"].remedy
    assert found["backend there"].remedy == "annotator connect makes it"


def test_doubles_are_told(settings: Settings, database: Database, whole: WholeStudio) -> None:
    whole.backend_rows *= 2
    whole.webhook_rows *= 2

    found = there(settings, database, whole)

    assert found["backend there"].state == found["webhook"].state == "warning"
    assert "2 times" in found["backend there"].message


def test_events_that_do_not_arrive_are_told(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.deaf = True

    found = there(settings, database, whole)["events"]

    assert found.state == "bad"
    assert "annotator sync loses nothing" in found.remedy


def test_an_order_that_is_not_ours_is_told(
    settings: Settings, database: Database, whole: WholeStudio, version: ModelVersion
) -> None:
    whole.sampling = "Uniform sampling"
    assert "Uniform" in there(settings, database, whole)["order"].message
    assert whole.sampling == "Uniform sampling"  # looking changes nothing
    whole.sampling = "Uncertainty sampling"

    whole.model_version = "annotator ward"  # what connecting a backend sets: its title
    found = there(settings, database, whole)["order"]
    assert found.state == "bad"
    assert "annotator push" in found.remedy

    whole.model_version = "v1"
    assert there(settings, database, whole)["order"].state == "good"


def test_labels_that_differ_are_named(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.config_xml = TINY_CONFIG_XML.replace("Effect", "Symptom")

    found = there(settings, database, whole)["labels"]

    assert found.state == "warning"
    assert "Effect, Symptom" in found.message


def test_a_control_whose_answers_are_not_taken_over_is_told(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    choices = '<Choices name="sure" toName="text" perRegion="true"><Choice value="no"/></Choices>'
    whole.config_xml = TINY_CONFIG_XML.replace("</View>", f"{choices}</View>")

    found = there(settings, database, whole)["labels"]

    assert found.state == "warning"
    assert '<Choices name="sure"> asks about single regions' in found.message


def test_a_configuration_that_cannot_be_served_is_told(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.config_xml = '<View><Image name="i" value="$i"/></View>'

    assert there(settings, database, whole)["labels"].state == "bad"


def test_the_address_of_peoples_browsers_is_told(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    public = settings.model_copy(update={"studio_public_url": "https://studio.example"})

    found = there(public, database, whole)

    assert "people open it at https://studio.example" in found["label studio"].message


def test_another_release_is_told(
    settings: Settings, database: Database, whole: WholeStudio
) -> None:
    whole.release = "1.11.0"

    found = there(settings, database, whole)["label studio"]

    assert found.state == "warning"
    assert "1.11.0" in found.message


def test_what_fails_during_the_proof_is_told(
    settings: Settings, database: Database, whole: WholeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_fields: Any) -> None:
        raise StudioError("this user may not do that")

    monkeypatch.setattr(whole, "update_project", refuse)

    assert there(settings, database, whole)["events"].message == "this user may not do that"
