"""The folder of models: promoting versions by hand, keeping them, and deleting old files."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from annotator.errors import ConflictError, NotFoundError
from annotator.logs import get_logger
from annotator.services.inference.versions import check_files
from annotator.store.database import Database
from annotator.store.projects import audit
from annotator.store.runs import FINISHED, Run, get_run, list_runs
from annotator.store.version_history import versions_before
from annotator.store.versions import (
    ModelVersion,
    activate_version,
    active_version,
    get_version,
    has_version,
    list_versions,
    lock_active_version,
    lock_version,
)

__all__ = [
    "ORIGIN_FILE",
    "drop_asides",
    "folder_of_run",
    "kept_versions",
    "previous_version",
    "promote_version",
    "prune_versions",
    "roll_back",
    "sweep_stale_files",
    "was_made_by",
]

_log = get_logger("services")

ORIGIN_FILE: Final = "run.json"

_OF_A_RUN = re.compile(r"\.{1,2}run-(\d+)-(\d{8}T\d{12})")
_ASIDE = ".pruned-"

# ---------------------------------------------------------------- which version is in use


def promote_version(database: Database, project_id: int, name: str, *, actor: str) -> ModelVersion:
    """Make a version the active one, if its files are those that were registered.

    Raises:
        NotFoundError: if there is no such version.
        CheckpointError: if its files are damaged or deleted; nothing changes then.
    """
    with database.read() as session:
        version = get_version(session, project_id, name)
    check_files(version)
    with database.write() as session:
        before = lock_active_version(session, project_id)
        return _put_into_use(session, project_id, version, before, actor=actor, action="promote")


def roll_back(database: Database, project_id: int, *, actor: str) -> ModelVersion:
    """Go back to the version that was in use before the active one.

    Again, it goes back by one more; never to a version that was rolled back from.

    Raises:
        NotFoundError: if there is none to go back to.
        CheckpointError: if its files are damaged or deleted; nothing changes then.
        ConflictError: if another version came into use meanwhile; nothing changes then.
    """
    with database.read() as session:
        active = active_version(session, project_id)
        version = previous_version(session, project_id)
    check_files(version)
    with database.write() as session:
        before = lock_active_version(session, project_id)
        if _name(before) != _name(active):
            raise ConflictError(
                f"{_name(before) or 'no version'} came into use meanwhile: look with "
                "annotator models, then roll back again if it is the wrong one"
            )
        return _put_into_use(session, project_id, version, before, actor=actor, action="rollback")


def _put_into_use(
    session: Session,
    project_id: int,
    version: ModelVersion,
    before: ModelVersion | None,
    *,
    actor: str,
    action: str,
) -> ModelVersion:
    activate_version(session, project_id, version.id, provisional=version.provisional)
    session.flush()
    if not Path(version.folder).is_dir():  # pruned since the version was read
        check_files(version)
    audit(
        session,
        project_id,
        actor=actor,
        action=action,
        version=version.name,
        before=_name(before),
        by_hand=True,
    )
    return get_version(session, project_id, version.name)


def _name(version: ModelVersion | None) -> str | None:
    return None if version is None else version.name


def previous_version(session: Session, project_id: int) -> ModelVersion:
    """Return the version that a rollback goes back to.

    Raises:
        NotFoundError: if there is none.
    """
    before = versions_before(session, project_id)
    if active_version(session, project_id) is None or not before:
        raise NotFoundError("there is no earlier version to go back to; see annotator models")
    return before[0]


# ---------------------------------------------------------------- files of old versions


def kept_versions(session: Session, project_id: int, *, keep: int) -> set[str]:
    """Return the names of the versions whose files must stay.

    They are the active one, the one that a rollback would choose, candidates not yet decided on,
    those that a waiting run starts from, and the newest ``keep``.
    """
    versions = list_versions(session, project_id)
    kept = {v.name for v in versions[:keep]}
    kept |= {v.name for v in versions if v.state in {"active", "candidate"}}
    with suppress(NotFoundError):
        kept.add(previous_version(session, project_id).name)
    waiting = list_runs(session, project_id, states=("queued", "running"), limit=1000)
    return kept | {str(run.settings.get("start_from")) for run in waiting}


def prune_versions(
    database: Database, project_id: int, *, keep: int, models_folder: Path, actor: str
) -> list[str]:
    """Delete the files of versions not in ``kept_versions``, each with an audit line; return names.

    A folder outside ``models_folder`` is left alone. May be killed at any time: a folder is first
    renamed, within the transaction that records it, and the next call deletes what is left of a
    renamed one.
    """
    pruned: list[str] = []
    _delete_asides(models_folder)
    if len(list(models_folder.glob("*"))) <= keep:
        return pruned
    with database.read() as session:
        kept = kept_versions(session, project_id, keep=keep)
        found = [v for v in list_versions(session, project_id) if v.name not in kept]
    for version in found:
        folder = Path(version.folder)
        if folder.parent != models_folder or not folder.is_dir():
            continue
        if _put_aside(database, project_id, version, keep=keep, actor=actor):
            pruned.append(version.name)
            _log.info("version.pruned", version=version.name)
    _delete_asides(models_folder)
    return pruned


def _delete_asides(models_folder: Path) -> None:
    for aside in models_folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(aside, ignore_errors=True)  # retried next time


def _put_aside(
    database: Database, project_id: int, version: ModelVersion, *, keep: int, actor: str
) -> bool:
    folder = Path(version.folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    with database.write() as session:
        lock_version(session, version.id)  # somebody may be promoting it
        if version.name in kept_versions(session, project_id, keep=keep):
            return False
        audit(
            session, project_id, actor=actor, action="prune", version=version.name, size_bytes=size
        )
        session.flush()
        folder.rename(folder.with_name(_ASIDE + folder.name))
    return True


# ---------------------------------------------------------------- files of runs


def folder_of_run(run: Run) -> str:
    """Return the name of the folder that a run trains in; its state is kept beside it.

    The time distinguishes a run from one with the same number in an earlier database.
    """
    return f".run-{run.id}-{run.created_at:%Y%m%dT%H%M%S%f}"


def drop_asides(folder: Path) -> None:
    """Remove temporary files that a killed process left for ``folder``.

    Only the process that holds the run may call this.
    """
    for path in folder.parent.glob(f".{folder.name}.*"):
        _remove(path)


def was_made_by(run: Run, folder: Path) -> bool:
    """Return whether a model is the result of this very run, not of one with the same number."""
    return _origin(folder).get("submitted_at") == run.created_at.isoformat()


def _origin(folder: Path) -> dict[str, Any]:
    try:
        made = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def sweep_stale_files(session: Session, models: Path) -> list[str]:
    """Remove models and states of runs that have ended for good; return what was removed.

    This includes a model that has its final name, if the run ended before the database had it.
    """
    gone = []
    for path in sorted(models.glob(".*run-*")):
        named = _OF_A_RUN.match(path.name)
        if named is not None and _has_ended(session, int(named[1]), named[0].lstrip(".")):
            _remove(path)
            gone.append(path.name)
    for path in sorted(file.parent for file in models.glob(f"[!.]*/{ORIGIN_FILE}")):
        if _is_nameless(session, path):
            _remove(path)
            gone.append(path.name)
    return gone


def _is_nameless(session: Session, folder: Path) -> bool:
    try:
        run = get_run(session, int(_origin(folder).get("run", 0)))
    except (NotFoundError, TypeError, ValueError):
        return False
    is_its_end = run.state in FINISHED and was_made_by(run, folder)
    return is_its_end and not has_version(session, run.id)


def _has_ended(session: Session, run_id: int, name: str) -> bool:
    try:
        run = get_run(session, run_id)
    except NotFoundError:
        return False  # of another database: not ours to remove
    return run.state in FINISHED and folder_of_run(run).lstrip(".") == name


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
