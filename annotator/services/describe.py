"""All there is to know about a model version, from its labels to its last audit line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from annotator.services.status import run_to_json, version_to_json
from annotator.store.database import Database
from annotator.store.projects import audit_lines
from annotator.store.runs import get_run
from annotator.store.snapshots import get_snapshot, snapshot_sources
from annotator.store.versions import get_version

__all__ = ["describe_version"]


def describe_version(database: Database, project_id: int, name: str) -> dict[str, Any]:
    """Return a version as plain JSON values; never holds document text.

    Beside what a list of versions has: ``snapshot`` (what it learnt from, by source and side),
    ``run``, ``made`` (the run's own file), ``files`` (None once they are deleted), ``card``, and
    ``audit``.

    Raises:
        NotFoundError: if there is no such version.
    """
    with database.read() as session:
        version = get_version(session, project_id, name)
        run = get_run(session, version.run_id)
        snapshot = get_snapshot(session, version.snapshot_id)
        sources = snapshot_sources(session, version.snapshot_id)
        lines = [
            line
            for line in audit_lines(session, project_id)
            if name in (line["detail"].get("version"), line["detail"].get("before"))
        ]
    folder = Path(version.folder)
    return {
        **version_to_json(version),
        "snapshot": {
            "id": snapshot.id,
            "digest": snapshot.digest,
            "n_annotations": len(snapshot.members),
            "n_sentences": snapshot.n_sentences,
            "sources": sources,
            "entity_types": list(snapshot.schema.entity_types),
            "relation_types": list(snapshot.schema.relation_types),
        },
        "run_details": {**run_to_json(run), "force": run.force, "settings": dict(run.settings)},
        "made": _read_json(folder / "run.json"),
        "files": _files(folder),
        "card": _read_text(folder / "README.md"),
        "audit": lines,
    }


def _files(folder: Path) -> dict[str, Any] | None:
    if not folder.is_dir():
        return None
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return {"folder": str(folder), "n": len(sizes), "size_bytes": sum(sizes)}


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # deleted, or of a version that was made elsewhere
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
