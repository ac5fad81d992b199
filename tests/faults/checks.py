"""What must hold of a project: at any moment, and when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from reconcile_world import Tasks, ours, theirs
from sqlalchemy import func, select, text
from training_processes import training_processes

from annotator.model import checkpoint_sha256
from annotator.services.inference.versions import load_version
from annotator.store.inbox import count_events
from annotator.store.origins import stranger_of
from annotator.store.projects import get_project
from annotator.store.pushes import unpushed_task_ids
from annotator.store.runs import FINISHED, Run, list_runs
from annotator.store.versions import ModelVersion, active_version, list_versions
from db.tables import AnnotationRow, AuditRow, DocumentRow, EntityRow, RunEventRow
from faults.served_studio import STRANGE
from faults.world import FaultWorld

MANY = 100_000


def _read_or_not(tasks: Tasks) -> Tasks:
    """Count labels that the configuration of now cannot read as submitted, which they are."""
    return {
        number: (
            text,
            state,
            {
                name: (raw, "submitted" if how == "unread" else how, who, starred)
                for name, (raw, how, who, starred) in decided.items()
            },
        )
        for number, (text, state, decided) in tasks.items()
    }


class Checks:
    """Remembers what was there, and looks whether it still is."""

    def __init__(self, world: FaultWorld) -> None:
        self._world = world
        self._revisions: dict[int, Any] = {}
        self._ended: dict[int, tuple[Any, ...]] = {}

    def runs(self) -> list[Run]:
        """All runs."""
        with self._world.database.read() as session:
            return list_runs(session, self._world.project_id, limit=MANY)

    def versions(self) -> list[ModelVersion]:
        """All versions."""
        with self._world.database.read() as session:
            return list_versions(session, self._world.project_id)

    def n_hung(self) -> int:
        """How many attempts were given up since they hung."""
        with self._world.database.read() as session:
            rows = session.scalars(select(RunEventRow).where(RunEventRow.kind == "died"))
            return sum(str(row.detail["cause"]).startswith("it hung") for row in rows)

    def kept(self) -> list[ModelVersion]:
        """The versions whose files nobody has pruned, as the audit trail says."""
        versions = self.versions()
        with self._world.database.read() as session:
            rows = session.scalars(select(AuditRow).where(AuditRow.action == "prune"))
            pruned = {row.detail["version"] for row in rows}
        return [version for version in versions if version.name not in pruned]

    # ------------------------------------------------------------------ at any moment

    def check_always(self) -> None:
        """No revision of a label is gone or changed, no run done twice, no version half there."""
        self._check_labels()
        self._check_runs()
        self._check_versions()

    def _check_labels(self) -> None:
        with self._world.database.read() as session:
            now = {
                row.id: (row.external_id, row.revision, row.state, row.document_id, row.raw)
                for row in session.scalars(select(AnnotationRow))
            }
        gone = {i for i, before in self._revisions.items() if now.get(i) != before}
        assert not gone, f"revisions {sorted(gone)} of annotations are lost or changed"
        self._revisions = now

    def _check_runs(self) -> None:
        runs = self.runs()
        running = [run.id for run in runs if run.state == "running"]
        assert len(running) <= 1, f"runs {running} run at the same time"
        for run in runs:
            ended = (run.state, run.finished_at, run.attempts)
            before = self._ended.get(run.id)
            assert before in (None, ended), f"run {run.id} had ended as {before}, now is {ended}"
            if run.state in FINISHED:
                self._ended[run.id] = ended
                assert run.finished_at is not None, f"run {run.id} ended at no time"
            if run.state == "failed":
                assert run.error, f"run {run.id} failed for no reason"

    def _check_versions(self) -> None:
        with self._world.database.read() as session:
            rows = session.scalars(select(AuditRow).where(AuditRow.action.in_(("promote", "hold"))))
            decided = Counter(row.detail["run"] for row in rows if "run" in row.detail)
        made = Counter(version.run_id for version in self.versions())  # read later: may be more
        assert max(made.values(), default=0) <= 1, f"runs made several versions: {made}"
        assert decided <= made, f"decisions {decided} do not fit versions {made}"
        for version in self.kept():
            folder = Path(version.folder)
            if folder.is_dir() or version in self.kept():  # pruned at this moment
                assert folder.is_dir(), f"{version.name} has no folder"
                assert checkpoint_sha256(folder) == version.sha256, f"{version.name} is damaged"

    # ------------------------------------------------------------------ at rest

    def unrest(self) -> list[str]:
        """Return what is not as it must be in the end; nothing once all work is done."""
        world = self._world
        found = []
        with world.database.read() as session:
            project = get_project(session, "ward")
            active = active_version(session, project.id)
            unpushed = unpushed_task_ids(session, project.id, version_id=active.id if active else 0)
            events = count_events(session)
        waiting = [run.id for run in self.runs() if run.state not in FINISHED]
        if waiting or training_processes(world.home):
            found.append(f"runs {waiting} are under way")
        with world.database.read() as session:
            if stranger_of(session, project.id) is not None:
                found.append("Label Studio is taken for another team's")
        if events.get("new") or events.get("failed"):
            found.append(f"events wait or failed: {events}")
        with world.served.lock:
            if _read_or_not(ours(world.database, project)) != theirs(world.served.studio):
                found.append("labels differ from Label Studio's")
            shown = world.served.studio.model_version
            if active and shown != active.name and self._is_there(active.name):
                found.append("Label Studio shows another version")
        if active and unpushed:
            found.append(f"{len(unpushed)} tasks lack a prediction")
        if any(world.settings.models_folder.glob(".pruned-*")):
            found.append("models are being deleted")
        if active and world.health().get("model_version") != active.name:
            found.append("the backend answers with another version")
        return found

    def _is_there(self, version: str) -> bool:
        """Tell whether Label Studio has predictions of a version, without which it is not shown."""
        tasks = self._world.served.studio.tasks(1)
        return any(p["model_version"] == version for task in tasks for p in task["predictions"])

    def check_at_rest(self) -> None:
        """Everything counts up, on both sides and on the disk."""
        self.check_always()
        self._check_strangers()
        self._check_read()
        self._check_leftovers()
        self._check_active()
        self._check_predictions()
        self._check_file()

    def _check_strangers(self) -> None:
        with self._world.database.read() as session:
            texts = session.scalars(select(DocumentRow.text))
            assert not any(text.startswith(STRANGE) for text in texts), "a stranger's text is here"

    def _check_read(self) -> None:
        """Whatever is drawn as the configuration of now says has been read, whenever it came."""
        xml = self._world.served.studio.config_xml
        name = "note" if 'name="note"' in xml else "text"
        with self._world.database.read() as session:
            for row in session.scalars(select(AnnotationRow).where(AnnotationRow.is_current)):
                drawn = [one for one in row.raw or () if one.get("to_name") == name]
                n = select(func.count()).where(EntityRow.annotation_id == row.id)
                assert not drawn or row.state != "unread", f"annotation {row.id} is not read"
                n_read = session.scalars(n).one()
                assert n_read >= len(drawn), f"annotation {row.id}: {n_read} of {len(drawn)} read"

    def _check_leftovers(self) -> None:
        named = {Path(version.folder).name for version in self.kept()}
        folder = self._world.settings.models_folder
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        assert there == named, f"in models/ but of no version: {sorted(there - named)}"
        with_version = {version.run_id for version in self.versions()}
        for run in self.runs():
            has = run.id in with_version
            assert has == (run.state in {"succeeded", "held"}), f"run {run.id} {run.state}: {has}"

    def _check_active(self) -> None:
        with self._world.database.read() as session:
            active = active_version(session, self._world.project_id)
        promoted = [version for version in self.versions() if version.promoted_at is not None]
        assert bool(promoted) == (active is not None)
        if active is not None:
            load_version(active, device="cpu").predict([["Aspirin", "caused", "a", "rash", "."]])

    def _check_predictions(self) -> None:
        with self._world.served.lock:
            tasks = list(self._world.served.studio.tasks(1))
        for task in tasks:
            seen = Counter(p["model_version"] for p in task["predictions"])
            doubles = {name: n for name, n in seen.items() if n > 1}
            assert not doubles, f"task {task['id']} has doubles of {doubles}"

    def _check_file(self) -> None:
        if self._world.database.engine_name == "sqlite":
            with self._world.database.read() as session:
                assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
                assert session.execute(text("PRAGMA foreign_key_check")).first() is None
