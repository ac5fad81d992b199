"""What runs leave in the folder of models when they are cut off, and when it may go."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.store.runs import FINISHED, Run, get_run
from annotator.store.versions import has_version

__all__ = ["ORIGIN_FILE", "drop_asides", "folder_of_run", "sweep_leftovers", "was_made_by"]

ORIGIN_FILE = "run.json"

_OF_A_RUN = re.compile(r"\.{1,2}run-(\d+)-(\d{8}T\d{12})")


def folder_of_run(run: Run) -> str:
    """Return the name of the folder that a run trains in; its state lies beside it.

    The time tells a run from one of the same number in a database that was there before.
    """
    return f".run-{run.id}-{run.created_at:%Y%m%dT%H%M%S%f}"


def drop_asides(folder: Path) -> None:
    """Remove what a process that was killed was writing aside for ``folder``.

    Only who holds the run may do this.
    """
    for path in folder.parent.glob(f".{folder.name}.*"):
        _remove(path)


def was_made_by(run: Run, folder: Path) -> bool:
    """Tell whether a model is the result of this run, and of no other of the same number."""
    return _origin(folder).get("submitted_at") == run.created_at.isoformat()


def _origin(folder: Path) -> dict[str, Any]:
    try:
        made = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def sweep_leftovers(session: Session, models: Path) -> list[str]:
    """Remove models and states of runs that have ended and will not go on.

    Also a model under its last name, where the run ended before the database named it.

    Returns:
        The names of what was removed.
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
