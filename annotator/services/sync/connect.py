"""Connecting a project to Label Studio: both directions, proven by an event that arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from annotator.domain import LabelSchema
from annotator.errors import ConfigError, StudioError
from annotator.services.sync.configuration import adopt_config
from annotator.services.sync.identity import Decision, adopt_identities, check_decision
from annotator.store.database import Database
from annotator.store.inbox import latest_event_id
from annotator.store.origins import other_origins
from annotator.store.projects import (
    Project,
    StudioLink,
    audit,
    current_schema,
    get_project,
    link_studio,
    save_schema,
    unlink_studio,
)
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import LabelConfig, build_config, parse_config
from annotator.studio.connection import backends_at

__all__ = [
    "UNCERTAINTY",
    "Connection",
    "connect_project",
    "disconnect_project",
    "ensure_studio_project",
    "prove_events",
]

UNCERTAINTY = "Uncertainty sampling"
_NO_EVENT = (
    "project {project} is connected, but no event reached {backend}/webhook within {wait_s:.0f} s; "
    "start Label Studio with SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false if the "
    "backend has a private address, check that annotator serve runs, and connect again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connected project: what was made and what was proven."""

    studio_project: int
    backend: int
    webhook: int
    config: LabelConfig
    event_arrived: bool
    unknown_types: Sequence[str]


def ensure_studio_project(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    title: str,
    named: LabelSchema | None = None,
) -> StudioProject:
    """Create a Label Studio project with the labels of our schema and those ``named`` besides.

    Raises:
        ConfigError: if there is nothing yet to make labels from.
    """
    none = LabelSchema(entity_types=())
    with database.write() as session:
        known = current_schema(session, project.id) or none
        schema = known.merge(named or none)
        if schema.entity_types:
            save_schema(session, project.id, schema)
    if not schema.entity_types:
        raise ConfigError(
            "there are no labels yet to make a Label Studio project from; name them with --entity "
            "and --relation, import gold first, or connect an existing project with --project N"
        )
    unit = cast(Literal["sentence", "document"], project.unit)
    return client.create_project(title, build_config(schema, unit=unit))


def connect_project(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    studio_project: int,
    backend_url: str,
    user: str,
    password: str,
    decision: Decision | None = None,
    wait_s: float = 15.0,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Connection:
    """Connect a Label Studio project with this one; repeating it changes nothing.

    Reads the labels, adds the backend with basic auth, repairs the webhook that Label Studio
    creates without credentials, removes those of an earlier address, sets uncertainty sampling,
    and proves by a round trip that events arrive in our database.

    ``decision`` says what to make of another project in the place of the one we know: with
    ``same``, tasks and annotations that are there as we know them keep their history; with
    ``other`` all that we have stays apart. Either way our labels stay gold.

    Raises:
        StudioIdentityError: if there is another project in that place and no decision.
        ConfigError: if the labeling configuration is of a kind we cannot serve.
        StudioError: if Label Studio cannot be reached, refuses, or cannot reach the backend.
    """
    on_step("reading the project")
    remote = client.project(studio_project)
    check_decision(project, client, remote, decision)
    config, unknown = _link(database, project, client, remote)
    _recognise(database, project, client, config, decision, on_step)
    on_step("connecting the backend")
    title = f"annotator {project.name}"
    login = {"user": user, "password": password}
    backend = client.connect_backend(remote.id, url=backend_url, title=title, **login)
    webhook = client.repair_webhook(remote.id, backend_url=backend_url, **login)
    for url in _earlier_addresses(client, remote.id, title=title, backend_url=backend_url):
        on_step(f"removing what is left of the backend at {url}")
        client.disconnect_backend(remote.id, url)
    on_step("checking that events arrive")
    arrived = prove_events(database, client, remote.id, wait_s=wait_s, sampling=UNCERTAINTY)
    made = {"studio_project": remote.id, "backend": backend, "webhook": webhook}
    with database.write() as session:
        facts = {**made, "key": remote.key, "decision": decision, "event_arrived": arrived}
        audit(session, project.id, actor="connect", action="connect", **facts)
    if not arrived:
        raise StudioError(_NO_EVENT.format(project=remote.id, backend=backend_url, wait_s=wait_s))
    return Connection(**made, config=config, event_arrived=arrived, unknown_types=unknown)


def _link(
    database: Database, project: Project, client: StudioClient, remote: StudioProject
) -> tuple[LabelConfig, list[str]]:
    """Adopt Label Studio's labels; return them, and our entity types that are not among them."""
    config = parse_config(remote.config_xml)
    link = StudioLink(host=client.url, key=remote.key, project_id=remote.id)
    with database.write() as session:
        known = current_schema(session, project.id)
        link_studio(session, project.id, link)
        adopt_config(session, project.id, config)
    before = known.entity_types if known else ()
    return config, [t for t in before if t not in config.schema.entity_types]


def _recognise(
    database: Database,
    project: Project,
    client: StudioClient,
    config: LabelConfig,
    decision: Decision | None,
    on_step: Callable[[str], None],
) -> None:
    """Recognise what we know of the project from another address, or from before a restore."""
    with database.read() as session:
        linked = get_project(session, project.name)
        key = None if decision == "same" else linked.link().key
        former = other_origins(session, project.id, key=key)
    if former and decision != "other":
        n = adopt_identities(database, linked, client, former=former, config=config)
        on_step(f"{n} tasks recognised from before")


def _earlier_addresses(
    client: StudioClient, studio_project: int, *, title: str, backend_url: str
) -> list[str]:
    """Return this project's earlier backend addresses, which would get requests and events too."""
    found = client.backends(studio_project)
    here = backends_at(found, backend_url)
    ours = [one for one in found if one.get("title") == title and one not in here]
    return [str(one["url"]) for one in ours]


def prove_events(
    database: Database, client: StudioClient, studio_project: int, *, wait_s: float, **fields: str
) -> bool:
    """Set ``fields`` of the project, of which Label Studio sends an event; False if none arrives.

    It sends the event whether or not the fields change.
    """
    with database.read() as session:
        before = latest_event_id(session)
    client.update_project(studio_project, **fields)
    deadline = time.monotonic() + wait_s
    while True:
        with database.read() as session:
            if latest_event_id(session) > before:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def disconnect_project(
    database: Database, project: Project, client: StudioClient | None, *, backend_url: str
) -> bool:
    """Remove backend and webhook from Label Studio and forget the link; labels stay.

    Without a ``client`` only the link is forgotten: where another project is in the place of ours.
    Return whether there was a backend or webhook to remove.
    """
    removed = False
    if project.studio is not None and client is not None:
        removed = client.disconnect_backend(project.studio.project_id, backend_url)
    with database.write() as session:
        unlink_studio(session, project.id)
        audit(session, project.id, actor="connect", action="disconnect")
    return removed
