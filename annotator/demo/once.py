"""The demo with a scripted annotator: twenty labels, a retraining, and a check of each step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from annotator import __version__
from annotator.counted import counted
from annotator.demo.play import N_LABELS, Demo
from annotator.demo.scripted import LabelledTask, label_next
from annotator.errors import JobError, StudioError
from annotator.formats import read_corpus
from annotator.services.archive.export import export_gold
from annotator.services.reports.status import accepted_shares
from annotator.services.sync.connect import UNCERTAINTY
from annotator.store.annotations import studio_annotations
from annotator.store.runs import get_run
from annotator.store.tasks import open_tasks
from annotator.store.versions import ModelVersion, list_versions

__all__ = ["Once"]

_FORMATS = ("bioes", "jsonl", "brat")
_ARRIVE_S = 60.0


@dataclass
class Once:
    """Plays the annotator in a running demo and checks the results.

    ``checks`` maps each step to whether its effect was seen, in Label Studio and in the database.
    """

    demo: Demo
    checks: dict[str, bool] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    def play(self, version: ModelVersion) -> dict[str, Any]:
        """Do everything, resuming an earlier run that was killed; ``version`` is the active one.

        Returns:
            The report; ``ok`` only if the effect of every step was seen.
        """
        demo = self.demo
        with demo.database.read() as session:
            versions = list_versions(session, demo.project().id)
        first = min(versions, key=lambda v: v.id)
        demo.wait_until_published(version)
        self.check_set_up(version)
        demo.say(f"labelling {N_LABELS} tasks in the order Label Studio serves them")
        self.label(version)
        demo.say("waiting for the training that the new labels trigger")
        self.retrain(first)
        self.export()
        return {"ok": all(self.checks.values()), **self.report, "checks": dict(self.checks)}

    def check_set_up(self, version: ModelVersion) -> None:
        """Check project, backend, webhook, predictions and selected version."""
        demo = self.demo
        remote = demo.client.project(demo.studio_project)
        with demo.database.read() as session:
            tasks = open_tasks(session, demo.project().id)
        stored = [p for t in tasks[:5] for p in demo.client.predictions(t.studio_id)]
        webhooks = demo.client.webhooks(demo.studio_project)
        self.checks |= {
            "tasks are in Label Studio": {t.studio_id for t in tasks}
            <= demo.client.task_ids(demo.studio_project),
            "backend is connected": bool(demo.client.backends(demo.studio_project)),
            "webhook carries credentials": any("Authorization" in w["headers"] for w in webhooks),
            "uncertainty sampling is on": remote.sampling == UNCERTAINTY,
            "version is selected": remote.model_version == version.name,
            "predictions are in Label Studio": len(stored) > 0
            and any(p["model_version"] == version.name for p in stored),
        }

    def label(self, version: ModelVersion) -> None:
        """Label what is left of twenty tasks, in the order in which Label Studio serves them."""
        demo = self.demo
        done = self._labelled()
        served: list[LabelledTask] = []
        while len(done) + len(served) < N_LABELS:
            one = label_next(
                demo.client,
                demo.studio_project,
                corpus=demo.corpus,
                config=demo.connection.config,
                version=version.name,
            )
            if one is None:
                raise StudioError("Label Studio serves no further task; make a new --home")
            served.append(one)
            demo.say(
                f"  task {one.task}: {counted(one.n_entities, 'entity')}, "
                f"{counted(one.n_relations, 'relation')}"
            )
        scores = [one.score for one in served if one.score is not None]
        self.report["labelled"] = len(done) + len(served)
        self.checks |= {
            "every served task was pre-annotated": len(scores) == len(served),
            "most uncertain first": scores == sorted(scores),
            "labels arrived in the database": self._wait_for_labels(),
        }

    def _labelled(self) -> dict[str, Any]:
        with self.demo.database.read() as session:
            return studio_annotations(session, self.demo.project().id)

    def _wait_for_labels(self) -> bool:
        deadline = time.monotonic() + _ARRIVE_S
        while time.monotonic() < deadline:
            ours = self._labelled()
            if len(ours) >= N_LABELS:
                return all(self._is_equal(task, a) for task, a in ours.items())
            time.sleep(0.5)
        return False

    def _is_equal(self, studio_task: str, ours: dict[str, Any]) -> bool:
        remote = self.demo.client.task(int(studio_task))
        if remote is None:
            return False
        results = {str(a["id"]): a["result"] for a in remote["annotations"]}
        return bool(results.get(ours["id"]) == ours["raw"])

    def retrain(self, before: ModelVersion) -> None:
        """Wait for the run that the labels trigger, and for its consequences."""
        demo = self.demo
        run_id = demo.wait_for_run(before.run_id)
        active = demo.follow(run_id)
        with demo.database.read() as session:
            run = get_run(session, run_id)
            made = [v for v in list_versions(session, demo.project().id) if v.run_id == run_id]
        if not made:
            raise JobError(f"run {run_id} ended as {run.state} but left no version")
        after = made[0]
        demo.wait_until_published(active)
        self.report |= {
            "run": {"id": run_id, "state": run.state, "reasons": list(run.reasons)},
            "f1_before": _f1(before),
            "f1_after": _f1(after),
            "active_version": active.name,
        }
        self.checks |= {
            "new labels triggered the run": run.trigger == "count",
            "run ended": run.state in {"succeeded", "held"},
            "the better model is in use": active.name
            == (after.name if run.state == "succeeded" else before.name),
            "next task is the most uncertain one": self._is_next_lowest(active),
        }

    def _is_next_lowest(self, active: ModelVersion) -> bool:
        demo = self.demo
        task = demo.client.next_task(demo.studio_project)
        if task is None:
            return False
        shown = [p for p in task["predictions"] if p["model_version"] == active.name]
        with demo.database.read() as session:
            others = [t.studio_id for t in open_tasks(session, demo.project().id)][:40]
        scores = [
            p["score"]
            for other in others
            for p in demo.client.predictions(other)
            if p["model_version"] == active.name
        ]
        return bool(shown) and bool(scores) and shown[0]["score"] <= min(scores)

    def export(self) -> None:
        """Export the gold in three formats and read two of them back."""
        demo = self.demo
        folders, counts = [], {}
        for name in _FORMATS:
            out = demo.home / "exports" / name
            report = export_gold(
                demo.database,
                demo.project().id,
                name=name,
                out=out,
                program_version=__version__,
            )
            folders.append(str(out))
            counts[name] = (report.n_entities, report.n_relations)
        again = {
            "jsonl": read_corpus("jsonl", demo.home / "exports" / "jsonl" / "gold.jsonl").report,
            "bioes": read_corpus("bioes", demo.home / "exports" / "bioes").report,
        }
        with demo.database.read() as session:
            shares = accepted_shares(session, demo.project().id)
        self.report |= {"accepted_share": shares, "exported": folders}
        self.checks["exports read back as they were written"] = all(
            (r.n_entities, r.n_relations) == counts[name] for name, r in again.items()
        )


def _f1(version: ModelVersion) -> dict[str, float]:
    holdout = version.metrics["holdout"]
    return {
        "ner": round(holdout["ner"]["micro"]["f1"], 2),
        "re": round(holdout["re"]["micro"]["f1"], 2),
    }
