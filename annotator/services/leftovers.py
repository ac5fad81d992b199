"""What runs leave in the folder of models when they are cut off, and when it may go."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.store.runs import FINISHED, Run, get_run

__all__ = ["drop_asides", "folder_of_run", "sweep_leftovers"]

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


def sweep_leftovers(session: Session, models: Path) -> list[str]:
    """Remove models and states of runs that have ended and will not go on.

    Returns:
        The names of what was removed.
    """
    gone = []
    for path in sorted(models.glob(".*run-*")):
        named = _OF_A_RUN.match(path.name)
        if named is not None and _has_ended(session, int(named[1]), named[0].lstrip(".")):
            _remove(path)
            gone.append(path.name)
    return gone


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
