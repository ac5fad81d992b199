"""The doctor's check of Label Studio: its set-up, and whether events arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotator.errors import ConfigError, StudioError
from annotator.services.reports.doctor import Finding
from annotator.services.sync.connect import UNCERTAINTY, prove_events
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project, current_schema
from annotator.store.versions import active_version
from annotator.studio.cautions import cautions_of
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import parse_config
from annotator.studio.connection import backends_at, webhook_body, webhooks_of

__all__ = ["examine_studio"]

_TESTED = "1.23"
_AGAIN = "annotator connect again sets it right"


def examine_studio(
    settings: Settings,
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    wait_s: float = 10.0,
) -> Iterator[Finding]:
    """Examine Label Studio's side, and have it send us an event as proof.

    If Label Studio cannot be reached, that is the only finding.
    """
    if project.studio is None:
        yield Finding(
            part="label studio",
            state="warning",
            message="not connected",
            remedy="annotator connect URL --token T --project N",
        )
        return
    number = project.studio.project_id
    try:
        user = client.whoami()
        release = client.version()
        remote = client.project(number)
        backends = backends_at(client.backends(number), settings.backend)
        webhooks = webhooks_of(client.webhooks(number), settings.backend)
    except StudioError as error:
        yield Finding(part="label studio", state="bad", message=str(error))
        return
    yield _release(settings, client.url, release, user)
    yield from _labels(database, project, remote)
    yield _backend(settings, backends)
    yield _webhook(settings, number, webhooks, has_backend=bool(backends))
    yield _order(database, project, remote)
    yield _events(settings, database, client, remote, wait_s)


def _release(settings: Settings, url: str, release: str, user: Mapping[str, Any]) -> Finding:
    who = f"user {user.get('id', 'unknown')}"
    if settings.studio_public_url:
        who += f"; people open it at {settings.studio_public_url}"
    if release.startswith(_TESTED):
        message = f"{url} answers: release {release}, {who}"
        return Finding(part="label studio", state="good", message=message)
    return Finding(
        part="label studio",
        state="warning",
        message=f"{url} answers: release {release}, {who}; tested was {_TESTED}",
        remedy="if something is odd below, try Label Studio 1.23.2",
    )


def _labels(database: Database, project: Project, remote: StudioProject) -> Iterator[Finding]:
    try:
        config = parse_config(remote.config_xml)
    except ConfigError as error:
        yield Finding(part="labels", state="bad", message=str(error))
        return
    there = config.schema
    with database.read() as session:
        ours = current_schema(session, project.id)
    known = set(ours.entity_types) | set(ours.relation_types) if ours else set()
    offered = set(there.entity_types) | set(there.relation_types)
    if known != offered:
        odd = ", ".join(sorted(known ^ offered))
        yield Finding(
            part="labels",
            state="warning",
            message=f"Label Studio's labels differ from the ones we know: {odd}",
            remedy="annotator sync reads them anew",
        )
    else:
        names = ", ".join((*there.entity_types, *there.relation_types))
        yield Finding(part="labels", state="good", message=names)
    for caution in cautions_of(config):
        yield Finding(part="labels", state="warning", message=caution)


def _backend(settings: Settings, backends: list[Mapping[str, Any]]) -> Finding:
    part = "backend there"
    if not backends:
        return Finding(
            part=part,
            state="bad",
            message=f"Label Studio has no backend {settings.backend}",
            remedy="annotator connect makes it",
        )
    state = backends[0].get("state")
    if state != "CO":
        return Finding(
            part=part,
            state="bad",
            message=f"Label Studio cannot reach {settings.backend} (its state there: {state})",
            remedy="is that address right as seen from Label Studio's machine or container? Is "
            "ML_BLOCK_LOCAL_IP=false set there, if the address is a private one?",
        )
    if backends[0].get("auth_method") != "BASIC_AUTH":
        return Finding(
            part=part, state="bad", message="it is there without credentials", remedy=_AGAIN
        )
    if len(backends) > 1:
        return Finding(
            part=part,
            state="warning",
            message=f"it is there {len(backends)} times: each asks for predictions",
            remedy="annotator disconnect, then annotator connect",
        )
    return Finding(part=part, state="good", message=f"number {backends[0].get('id')}, connected")


def _webhook(
    settings: Settings, number: int, webhooks: list[Mapping[str, Any]], *, has_backend: bool
) -> Finding:
    if not webhooks:
        reason = (
            "SSRF_PROTECTION_ENABLED=false is missing where Label Studio runs, if the address is "
            "a private one; then "
        )
        return Finding(
            part="webhook",
            state="bad",
            message=f"Label Studio has none for {settings.backend}: no correction arrives by event",
            remedy=f"{reason if has_backend else ''}annotator connect makes it",
        )
    hook = webhooks[0]
    wanted = webhook_body(
        number,
        backend_url=settings.backend,
        user=settings.backend_user,
        password=settings.backend_password.get_secret_value(),
    )
    wrong = []
    if hook.get("headers") != wanted["headers"]:
        wrong.append("its credentials are missing or others: every event is refused by us")
    missing = sorted(set(wanted["actions"]) - set(hook.get("actions") or ()))
    if missing and not hook.get("send_for_all_actions"):
        wrong.append(f"it does not send {', '.join(missing)}")
    if not hook.get("is_active"):
        wrong.append("it is switched off")
    if not hook.get("send_payload"):
        wrong.append("it sends no content")
    if wrong:
        return Finding(part="webhook", state="bad", message="; ".join(wrong), remedy=_AGAIN)
    if len(webhooks) > 1:
        return Finding(
            part="webhook",
            state="warning",
            message=f"it is there {len(webhooks)} times",
            remedy=_AGAIN,
        )
    message = f"number {hook.get('id')}, with credentials and all {len(wanted['actions'])} actions"
    return Finding(part="webhook", state="good", message=message)


def _order(database: Database, project: Project, remote: StudioProject) -> Finding:
    with database.read() as session:
        version = active_version(session, project.id)
    if remote.sampling != UNCERTAINTY:
        return Finding(
            part="order",
            state="bad",
            message=f"tasks are served by {remote.sampling or 'an unknown rule'}, not in our order",
            remedy=_AGAIN,
        )
    if version is not None and remote.model_version != version.name:
        return Finding(
            part="order",
            state="bad",
            message=f"Label Studio shows {remote.model_version or 'no version'}, the active one is "
            f"{version.name}: tasks come in no order",
            remedy="annotator push pushes its predictions and selects it",
        )
    return Finding(
        part="order",
        state="good",
        message="lowest score first" + (f", by {version.name}" if version else ""),
    )


def _events(
    settings: Settings,
    database: Database,
    client: StudioClient,
    remote: StudioProject,
    wait_s: float,
) -> Finding:
    try:
        arrived = prove_events(database, client, remote.id, wait_s=wait_s, title=remote.title)
    except StudioError as error:
        return Finding(part="events", state="bad", message=str(error))
    if arrived:
        return Finding(part="events", state="good", message="one was sent and has arrived")
    return Finding(
        part="events",
        state="bad",
        message=f"none reached {settings.backend}/webhook within {wait_s:.0f} s",
        remedy="mend what is bad above; if nothing is, start Label Studio with "
        "SSRF_PROTECTION_ENABLED=false, and look at its log. annotator sync loses nothing",
    )
