"""What a worker does between runs: brings everything up to date from the database alone.

Every step may run twice; the second time it finds its work done. Nothing depends on a message
having arrived.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from annotator.errors import ConfigError, ModelError, StudioError
from annotator.jobs.leases import hold_lease
from annotator.jobs.messages import JobQueue
from annotator.live_settings import LiveSettings
from annotator.logs import get_logger
from annotator.services.inference.compute import make_engine
from annotator.services.inference.versions import load_version
from annotator.services.models.registry import prune_versions, sweep_stale_files
from annotator.services.models.triggers import decide_retrain
from annotator.services.queue.cold_start import is_warmup_due, publish_warmup
from annotator.services.queue.lexicon import warmup_name
from annotator.services.queue.publish import (
    PublishReport,
    is_publish_due,
    order_problem,
    publish_version,
)
from annotator.services.queue.room_settings import queue_settings, split_rule, warmup_of
from annotator.services.sync.identity import open_client
from annotator.services.sync.predictions import prune_predictions
from annotator.services.sync.pull import PullReport, reconcile
from annotator.services.sync.upload import has_uploads, upload_tasks
from annotator.services.sync.webhooks import process_inbox
from annotator.settings import Settings
from annotator.store.clock import ClockWatch, elapsed_s, now
from annotator.store.database import Database
from annotator.store.inbox import delete_events, outdated_events
from annotator.store.projects import Project, get_project
from annotator.store.prune import has_prunable
from annotator.store.pushes import has_unpushed
from annotator.store.runs import list_runs, reap_runs, submit_run
from annotator.store.troubles import Part, note_state, troubles
from annotator.store.versions import ModelVersion, active_version

if TYPE_CHECKING:  # loaded with the first model
    from annotator.model import Predictor
    from annotator.studio.client import StudioClient

__all__ = ["Housekeeper"]

_log = get_logger("jobs")
_AGAIN_S = 2.0
_RECHECK_S = 3600.0  # also what a small step of Label Studio's clock hid is found


@dataclass
class Housekeeper:
    """Looks after one project. Caches the last model it loaded."""

    live: LiveSettings
    database: Database
    queue: JobQueue
    owner: str
    _loaded: tuple[str, Predictor] | None = field(default=None, repr=False)
    _again_at: float = field(default=0.0, repr=False)
    _recheck_at: float = field(default=0.0, repr=False)
    _clock: ClockWatch = field(default_factory=ClockWatch, repr=False)

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.live.current()

    def project(self) -> Project:
        """Read the project as it is now."""
        with self.database.read() as session:
            return get_project(session, self.settings.project)

    def alone(self, what: str) -> AbstractContextManager[Database | None]:
        """Hold the lease ``what`` while the block runs, as ``hold_lease``."""
        return hold_lease(
            self.database,
            f"{what}:{self.settings.project}",
            owner=self.owner,
            lease_s=self.settings.lease_s,
        )

    def tend(self, pull: bool = False) -> None:
        """Reap dead runs, process the inbox, pull if it is time, start what is due."""
        with self.alone("tend") as database:
            if database is None:
                self._look_again()
                return
            self._reap(database)
            project = self.project()
            self._note(database, project, "settings", self.live.problem)
            process_inbox(database, project, split=split_rule(self.settings))
            if project.studio is not None and (pull or self._is_pull_due(database, project)):
                self._pull(database, project)
            self._trigger(database, project)
            self._prune(database, project)
            self._wake(database)

    def _look_again(self) -> None:
        # One reminder is enough, however many events come in while somebody else tends.
        now = time.monotonic()
        if now >= self._again_at:
            self._again_at = now + _AGAIN_S
            self.queue.tend(delay_s=_AGAIN_S)

    def _reap(self, database: Database) -> None:
        with database.write() as session:
            for run_id in reap_runs(session, max_attempts=self.settings.max_attempts):
                _log.warning("run.requeued", run_id=run_id, reason="its worker fell silent")
        with database.read() as session:
            sweep_stale_files(session, self.settings.models_folder)

    def _prune(self, database: Database, project: Project) -> None:
        keep_days = self.settings.keep_events
        with database.read() as session:
            outdated = outdated_events(session, keep_days=keep_days, pulled=project.pulled_event)
        if outdated:
            with database.write() as session:
                delete_events(session, outdated)
        try:
            prune_versions(
                database,
                project.id,
                keep=self.settings.keep_versions,
                models_folder=self.settings.models_folder,
                actor=self.owner,
            )
        except OSError as error:  # a folder that cannot be renamed must not stop the rest
            _log.warning("prune.failed", error=str(error.strerror))

    def _is_pull_due(self, database: Database, project: Project) -> bool:
        if project.pulled_at is None:
            return True
        with database.read() as session:
            return elapsed_s(project.pulled_at, now(session)) >= self.settings.sync_interval_s

    def _pull(self, database: Database, project: Project) -> PullReport | None:
        with database.read() as session:
            if self._clock.has_jumped(now(session)):  # times before may not be those after
                self._recheck_at = 0.0
        recheck = time.monotonic() >= self._recheck_at
        try:
            with self.client(project) as client:
                report = reconcile(
                    database, project, client, split=split_rule(self.settings), recheck=recheck
                )
                self._look_at_order(database, project, client)
        except (StudioError, ConfigError) as error:  # training can go on with what we have
            _log.warning("pull.failed", error=str(error))
            self._note(database, project, "pull", str(error))
            return None
        self._note(database, project, "pull", None)
        if recheck:
            self._recheck_at = time.monotonic() + _RECHECK_S
        _log.info(
            "pull.done",
            n_tasks=report.n_tasks,
            n_news=report.n_news,
            n_problems=len(report.problems),
        )
        return report

    def _note(self, database: Database, project: Project, part: Part, problem: str | None) -> None:
        """Note what fails, and why, where people look."""
        with database.write() as session:
            note_state(session, project.id, part, problem)

    def _look_at_order(self, database: Database, project: Project, client: StudioClient) -> None:
        """Note whether Label Studio serves another order than that of the active version."""
        with database.read() as session:
            active = active_version(session, project.id)
            if active is None or has_unpushed(session, project.id, version_id=active.id):
                return  # it is being pushed, and selected at the end
        remote = client.project(project.link().project_id)
        self._note(database, project, "order", order_problem(remote, active))

    def client(self, project: Project) -> StudioClient:
        """Open a client of the project's Label Studio, once it has proven to be ours."""
        token = self.settings.studio_token.get_secret_value()
        return open_client(self.database, project, token)

    def _trigger(self, database: Database, project: Project) -> None:
        with database.read() as session:  # counting is slow: do not block writers
            _, decision = decide_retrain(session, project.id, self.settings)
        if decision.due:
            self._submit(database, project)
        if decision.wait_s > 0:
            self.queue.tend(delay_s=decision.wait_s + 0.1)

    def _submit(self, database: Database, project: Project) -> None:
        with database.write() as session:
            # A run may have started meanwhile.
            labels, decision = decide_retrain(session, project.id, self.settings)
            running = list_runs(session, project.id, states=("running",))
            # A run that has not taken its snapshot yet will include these labels.
            if not decision.due or any(run.snapshot_id is None for run in running):
                return
            run, is_new = submit_run(session, project.id, trigger=decision.reason or "count")
        if is_new:
            _log.info("run.queued", run_id=run.id, trigger=run.trigger, n_new=labels.n_new)

    def _wake(self, database: Database) -> None:
        project = self.project()
        with database.read() as session:
            waiting = list_runs(session, project.id, states=("queued",))
            running = list_runs(session, project.id, states=("running",))
        if waiting and not running:
            self.queue.submit(waiting[-1].id)
        if project.studio is None:
            self._prune_predictions(database, project, None)
        elif self._is_publish_due(project) or self._is_prune_due(project):
            self.queue.publish()

    def _is_prune_due(self, project: Project) -> bool:
        with self.database.read() as session:
            return has_prunable(session, project.id, keep=self.settings.keep_predictions)

    def _prune_predictions(
        self, database: Database, project: Project, client: StudioClient | None
    ) -> None:
        """Delete some of the old versions' predictions; the next round deletes more."""
        report = prune_predictions(database, project, client, keep=self.settings.keep_predictions)
        if not report.is_done:
            _log.info("predictions.pruned", n_rows=report.n_rows, n_tasks=report.n_tasks)

    def _is_publish_due(self, project: Project) -> bool:
        with self.database.read() as session:
            active = active_version(session, project.id)
            is_other = any(one["part"] == "order" for one in troubles(session, project.id))
        if is_other or is_publish_due(self.database, project, active):
            return True
        name, n = warmup_name(self.settings.home), self.settings.warmup
        return active is None and is_warmup_due(self.database, project.id, name=name, n=n)

    def publish(self) -> PublishReport | None:
        """Upload new documents and push the active version's predictions and order."""
        with self.alone("publish") as database:
            project = self.project()
            if database is None or project.studio is None:
                return None
            with database.read() as session:
                active = active_version(session, project.id)
            try:
                with self.client(project) as client:
                    report = self._publish(database, project, client, active)
            except (StudioError, ConfigError, ModelError) as error:
                _log.warning("publish.failed", error=str(error))
                self._note(database, project, "publish", str(error))
                return None
            self._note(database, project, "publish", None)
        if report is not None:
            _log.info("publish.done", version=report.version, n_pushed=report.n_pushed)
        return report

    def _publish(
        self,
        database: Database,
        project: Project,
        client: StudioClient,
        active: ModelVersion | None,
    ) -> PublishReport | None:
        if has_uploads(database, project):
            # A killed upload may have left tasks behind; learn of them first.
            reconcile(database, project, client, split=split_rule(self.settings))
            upload_tasks(database, project, client)
        if active is None:
            self._warm_up(database, project, client)
            return None
        report = publish_version(
            database,
            project,
            client,
            active,
            lambda: self.predictor(active),
            queue=queue_settings(self.settings),
            engine=make_engine(self.settings, load=self.predictor),
        )
        self._look_at_order(database, project, client)
        self._prune_predictions(database, project, client)
        return report

    def _warm_up(self, database: Database, project: Project, client: StudioClient) -> None:
        try:
            report = publish_warmup(database, project, client, warmup_of(self.settings))
        except ModelError as error:  # people can still label, in no particular order
            _log.warning("warmup.failed", error=str(error))
            return
        if report.n_placed:
            _log.info(
                "warmup.done",
                version=report.name,
                n_placed=report.n_placed,
                n_seeds=report.n_seeds,
                n_regions=report.n_regions,
            )

    def predictor(self, version: ModelVersion) -> Predictor:
        """Return the model of a version, loaded once."""
        if self._loaded is None or self._loaded[0] != version.name:
            predictor = load_version(
                version, device=self.settings.device, precision=self.settings.precision
            )
            self._loaded = (version.name, predictor)
        return self._loaded[1]
