"""One look at a project: what is there, what runs, what comes next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from annotator.services.progress import learning_status
from annotator.settings import Settings
from annotator.store.annotations import correction_totals, count_issues
from annotator.store.database import Database
from annotator.store.documents import count_documents, count_sentences
from annotator.store.gold import count_gold
from annotator.store.inbox import count_events
from annotator.store.lead_times import fitted_costs
from annotator.store.leases import holders
from annotator.store.projects import Project, latest_audit
from annotator.store.queries import queue_head
from annotator.store.run_log import RunEvent
from annotator.store.runs import Run, list_runs
from annotator.store.snapshots import n_new_sentences
from annotator.store.tasks import count_tasks
from annotator.store.versions import ModelVersion, active_version

__all__ = [
    "WORKER_LEASE",
    "accepted_shares",
    "event_to_json",
    "project_status",
    "run_to_json",
    "studio_page",
    "version_to_json",
]

WORKER_LEASE = "worker:"


def studio_page(settings: Settings, project: Project, task: int | None = None) -> str | None:
    """Return where people open the connected project in Label Studio, or one task of it."""
    if project.studio is None:
        return None
    base = settings.studio_public_url or project.studio.host
    page = f"{base}/projects/{project.studio.project_id}/data"
    return page if task is None else f"{page}?task={task}"


def accepted_shares(session: Session, project_id: int) -> dict[str, float | None]:
    """Return which share of the predicted entities and relations people left as they stood.

    None where nobody has looked at one yet. What was accepted in bulk does not count.
    """
    totals = correction_totals(session, project_id)
    shares: dict[str, float | None] = {}
    for kind in ("entities", "relations"):
        kept = totals.get(f"{kind}_kept", 0)
        changed = ("removed", "relabelled", "rebounded")
        shown = kept + sum(totals.get(f"{kind}_{how}", 0) for how in changed)
        shares[kind] = round(kept / shown, 4) if shown else None
    return shares


def _next_to_json(found: tuple[datetime, Any] | None) -> dict[str, Any] | None:
    """Return what Label Studio served when another version was last selected."""
    if found is None:
        return None
    at, detail = found
    return {"at": at.isoformat(), "verified": detail["problem"] is None, **detail}


def _cost_to_json(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Add what was fitted to people's times as a sentence with its error."""
    if value is None:
        return None
    names = {"word_s": "a word", "entity_s": "an entity", "relation_s": "a relation"}
    names["edit_s"] = "a change"
    parts = value["parts"]
    summands = [f"{parts['task_s']:.1f} s"] + [
        f"{parts[key]:.2g} s {name}" for key, name in names.items() if parts[key] > 0
    ]
    people = f"{value['n_people']} {'person' if value['n_people'] == 1 else 'people'}"
    summary = (
        f"about {value['median_s']:.0f} s ({' + '.join(summands)}), off by "
        f"{value['error_s']:.0f} s at the median ({value['constant_error_s']:.0f} s if all took "
        f"the same), from {value['n_timed']} timed annotations of {people}"
    )
    return {**value, "summary": summary}


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a run as plain JSON values."""
    return {
        "id": run.id,
        "state": run.state,
        "trigger": run.trigger,
        "attempts": run.attempts,
        "start_from": run.settings.get("start_from"),
        "progress": dict(run.progress),
        "cancel_requested": run.cancel_requested,
        "reasons": list(run.reasons),
        "error": run.error,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def event_to_json(event: RunEvent) -> dict[str, Any]:
    """Return a line of a run's log as plain JSON values."""
    return {"at": event.at.isoformat(), "kind": event.kind, **event.detail}


def version_to_json(version: ModelVersion) -> dict[str, Any]:
    """Return a model version as plain JSON values."""
    return {
        "name": version.name,
        "state": version.state,
        "provisional": version.provisional,
        "run": version.run_id,
        "sha256": version.sha256,
        "created_at": version.created_at.isoformat(),
        "promoted_at": version.promoted_at.isoformat() if version.promoted_at else None,
        "metrics": dict(version.metrics),
    }


def project_status(
    database: Database, project: Project, settings: Settings, *, queue_limit: int = 10
) -> dict[str, Any]:
    """Return the project's state as plain JSON values; never holds document text."""
    with database.read() as session:
        active = active_version(session, project.id)
        runs = list_runs(session, project.id, limit=1)
        gold = count_gold(session, project.id)
        documents = count_documents(session, project.id)
        tasks = count_tasks(session, project.id)
        n_new, n_gold_sentences, _ = n_new_sentences(session, project.id)
        head = (
            queue_head(session, project.id, version_id=active.id, limit=queue_limit)
            if active
            else []
        )
        workers = holders(session, WORKER_LEASE, now=datetime.now(UTC))
        status = {
            "project": project.name,
            "unit": project.unit,
            "documents": documents,
            "n_sentences": count_sentences(session, project.id),
            "n_gold": gold["train"] + gold["holdout"],
            "gold": gold,
            "n_gold_sentences": n_gold_sentences,
            "n_new_sentences": n_new,
            "retrain_at": max(
                settings.retrain_after, round(settings.retrain_share * n_gold_sentences)
            ),
            "n_pool": tasks["open"],
            "tasks": tasks,
            "active_version": version_to_json(active) if active else None,
            "last_run": run_to_json(runs[0]) if runs else None,
            "queue": head,
            "learning": learning_status(session, project.id),
            "cost": _cost_to_json(fitted_costs(session, project.id)),
            "inbox": count_events(session),
            "accepted_share": accepted_shares(session, project.id),
            "label_issues": count_issues(session, project.id),
            "worker": {"alive": bool(workers), "owners": workers},
            "label_studio": {
                "connected": project.studio is not None,
                "url": project.studio.host if project.studio else None,
                "page": studio_page(settings, project),
                "project": project.studio.project_id if project.studio else None,
                "pulled_at": project.pulled_at.isoformat() if project.pulled_at else None,
                "next": _next_to_json(latest_audit(session, project.id, "verify_next")),
            },
        }
    return status
