"""The doctor: examines every part of a project, and reports problems and remedies."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotator.errors import CheckpointError
from annotator.services.inference.versions import check_files
from annotator.services.reports.status import Vitals, studio_page, take_vitals
from annotator.settings import Settings
from annotator.store.contradictions import find_contradictions
from annotator.store.database import Database
from annotator.store.learnable import count_learnable, unlearnt_places
from annotator.store.projects import Project
from annotator.store.rereading import count_unread
from annotator.store.troubles import troubles
from annotator.store.versions import ModelVersion, active_version
from annotator.text import describe_left_out

__all__ = ["BackendAnswer", "Finding", "ask_backend", "examine_project"]

State = Literal["good", "warning", "bad"]
_LAG_S = 300.0
_OTHERS = 0o077  # the permissions of everybody but a file's owner
_PLACES = 10  # labelled regions that are listed one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding about one ``part``; ``remedy`` says what to do, if anything."""

    part: str
    state: State
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendAnswer:
    """The backend's answer: its ``/health``, and the status of a call with credentials.

    ``failure`` is the reason if there was no answer at all; ``ails`` is what the backend reports.
    """

    health: dict[str, Any] | None = None
    login_status: int | None = None
    failure: str = ""
    ails: str = ""


def ask_backend(settings: Settings, *, timeout_s: float = 5.0) -> BackendAnswer:
    """Call ``/health`` and, with credentials, ``/versions`` and, on an error, the status."""
    headers = {"Authorization": settings.basic_auth}
    try:
        _, body = _get(f"{settings.backend}/health", {}, timeout_s)
        health = json.loads(body)
        status, _ = _get(f"{settings.backend}/versions", headers, timeout_s)
        if status == 200:  # strangers hear no more than that it is up
            _, body = _get(f"{settings.backend}/health", headers, timeout_s)
            health = json.loads(body)
        ails = ""
        if isinstance(health, dict) and health.get("error"):
            _, body = _get(f"{settings.backend}/api/v1/status", headers, timeout_s)
            ails = _what_ails(json.loads(body))
    except ValueError:
        return BackendAnswer(failure="something else than annotator serve answers there")
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return BackendAnswer(failure="its TLS certificate is not trusted (SSL_CERT_FILE)")
        return BackendAnswer(failure=f"no answer ({type(reason).__name__})")
    if not isinstance(health, dict) or health.get("status") != "UP":
        return BackendAnswer(failure="something else than annotator serve answers there")
    return BackendAnswer(health=health, login_status=status, ails=ails)


def _what_ails(status: Any) -> str:
    backend = status.get("backend") if isinstance(status, dict) else None
    return str(backend.get("error") or "") if isinstance(backend, dict) else ""


def _get(url: str, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
    if not url.startswith(("http://", "https://")):
        raise ValueError("no web address")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return int(answer.status), answer.read(1_000_000)
    except urllib.error.HTTPError as error:
        return error.code, error.read(1_000_000)


def examine_project(
    settings: Settings,
    database: Database,
    project: Project,
    *,
    ask: Callable[[Settings], BackendAnswer] = ask_backend,
) -> Iterator[Finding]:
    """Examine our own side: data, model, worker, runs, inbox, backend.

    Raises:
        StoreError: if the database cannot be reached.
    """
    vitals = take_vitals(database, project.name)
    with database.read() as session:
        version = active_version(session, project.id)
        n_unread = count_unread(session, project.id)
    n_gold = vitals.gold["train"] + vitals.gold["holdout"]
    yield Finding(part="database", state="good", message=f"reached; {n_gold} sentences of gold")
    yield from _files(settings.home)
    yield from _learnable(database, settings, project)
    yield from _contradictions(database, project)
    if n_unread:
        yield Finding(
            part="labels read",
            state="bad",
            message=f"{n_unread} annotations name what the labeling configuration no longer has; "
            "they are no gold",
            remedy="put the names back in Label Studio, or submit these annotations again; then "
            "annotator sync (annotator doctor --task N tells of one)",
        )
    yield _model(version, vitals)
    yield _worker(vitals)
    with database.read() as session:
        yield from map(_trouble, troubles(session, project.id))
    yield from _run(vitals)
    yield _inbox(vitals)
    yield from _backend(settings, version, ask(settings))


def _files(home: Path) -> Iterator[Finding]:
    """Find what other accounts of this machine may read: projects of before have such files."""
    if not home.stat().st_mode & _OTHERS:
        return
    held = [home / name for name in ("annotator.db", "annotator.db-wal", "queue.db", "models")]
    loose = [path.name for path in held if path.exists() and path.stat().st_mode & _OTHERS]
    if loose:
        yield Finding(
            part="files",
            state="warning",
            message=f"other accounts of this machine may read {', '.join(loose)}",
            remedy=f"chmod -R go= {home}",
        )


def _contradictions(database: Database, project: Project) -> Iterator[Finding]:
    with database.read() as session:
        found = find_contradictions(session, project.id)
    names = [
        *(f"{name} at {start}" for name, start in found.places[:_PLACES]),
        *(" = ".join(names) for names in found.texts[:_PLACES]),
    ]
    if names:
        n = sum(found.count().values())
        yield Finding(
            part="one truth",
            state="warning",
            message=f"{n} labels differ from others of the same text: {', '.join(names)}",
            remedy="correct them in Label Studio, or annotator import --undo the import that is "
            "wrong; where annotations overlap, the one in Label Studio counts",
        )


def _learnable(database: Database, settings: Settings, project: Project) -> Iterator[Finding]:
    """Say how many labels can be learnt, and where the latest are that cannot."""
    with database.read() as session:
        found = count_learnable(session, project.id)
        places = unlearnt_places(session, project.id, limit=_PLACES)
    if not found.left_out:
        return
    yield Finding(
        part="gold",
        state="warning" if found.n_learnable else "bad",
        message=f"{found.n_labels - found.n_learnable} of {found.n_labels} labels cannot be "
        f"learnt: {describe_left_out(found.left_out)}",
        remedy="correct them there; until then their sentences are left out of training",
    )
    for place in places:
        page = None if place.task is None else studio_page(settings, project, place.task)
        yield Finding(
            part="gold",
            state="warning",
            message=f"{describe_left_out(place.left_out)}: "
            + (page or f"document {place.document}, from character {place.start}"),
        )


def _model(version: ModelVersion | None, vitals: Vitals) -> Finding:
    run = vitals.run
    if version is None and run is not None and run.state in ("queued", "running"):
        message = f"there is none yet; run {run.id} is {run.state}"
        return Finding(part="model", state="warning", message=message, remedy="wait for it")
    if version is None:
        return Finding(
            part="model",
            state="warning",
            message="there is none yet",
            remedy="annotator retrain --wait trains one",
        )
    try:
        check_files(version)
    except CheckpointError as error:
        return Finding(part="model", state="bad", message=str(error))
    return Finding(part="model", state="good", message=f"{version.name}, its files are intact")


def _worker(vitals: Vitals) -> Finding:
    if vitals.n_workers:
        return Finding(part="worker", state="good", message="alive")
    return Finding(
        part="worker",
        state="bad",
        message="none is running: corrections wait, nothing is trained or pushed",
        remedy="start annotator worker",
    )


def _trouble(found: Mapping[str, str]) -> Finding:
    message = f"{found['part']} fails since {found['since'][:16]}: {found['problem']}"
    return Finding(part="worker", state="bad", message=message)


def _run(vitals: Vitals) -> Iterator[Finding]:
    run = vitals.run
    if run is None:
        return
    if run.state == "failed":
        yield Finding(
            part="training",
            state="bad",
            message=f"run {run.id} failed: {run.error or 'no reason is known'}",
            remedy="mend the cause, then annotator retrain",
        )
    elif run.state == "held":
        yield Finding(
            part="training",
            state="warning",
            message=f"run {run.id} was held by the gate: {'; '.join(run.reasons)}",
            remedy=f"label more, or annotator promote to use it all the same (run {run.id})",
        )
    else:
        yield Finding(part="training", state="good", message=f"run {run.id} {run.state}")


def _inbox(vitals: Vitals) -> Finding:
    waiting, failed = vitals.events["new"], vitals.events["failed"]
    if vitals.inbox_lag_s > _LAG_S:
        return Finding(
            part="inbox",
            state="bad",
            message=f"{waiting} events wait, the oldest for {vitals.inbox_lag_s / 60:.0f} minutes",
            remedy="start annotator worker, or run annotator sync",
        )
    if failed:
        return Finding(
            part="inbox",
            state="warning",
            message=f"{failed} events could not be understood; nothing is lost by that",
            remedy="annotator sync pulls what they were about",
        )
    return Finding(part="inbox", state="good", message=f"{waiting} events wait")


def _backend(
    settings: Settings, version: ModelVersion | None, answer: BackendAnswer
) -> Iterator[Finding]:
    where = settings.backend
    if answer.health is None:
        yield Finding(
            part="backend",
            state="bad",
            message=f"{where}: {answer.failure}",
            remedy="start annotator serve; if it listens elsewhere, set backend_url",
        )
        return
    if answer.login_status != 200:
        yield Finding(
            part="backend",
            state="bad",
            message=f"{where} refuses this project's password (HTTP {answer.login_status})",
            remedy="restart annotator serve with this project's --home",
        )
        return
    served, wanted = answer.health.get("model_version"), version.name if version else None
    if answer.health.get("error"):
        yield Finding(
            part="backend",
            state="bad",
            message=f"{where} cannot use the active version; it answers with {served or 'nothing'}",
            remedy=answer.ails or "see the log of annotator serve",
        )
    elif served != wanted:
        yield Finding(
            part="backend",
            state="warning",
            message=f"{where} answers with {served or 'no model'}, the active one is {wanted}",
            remedy="wait until it is loaded; if it stays so, annotator serve has another --home",
        )
    else:
        what = f"with {served}" if served else "and waits for the first model"
        yield Finding(part="backend", state="good", message=f"{where} answers {what}")
