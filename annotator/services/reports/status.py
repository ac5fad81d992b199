"""The state of a project: contents, current work, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from annotator.services.models.triggers import count_new_labels
from annotator.settings import Settings
from annotator.store.annotations import correction_totals
from annotator.store.clock import now
from annotator.store.contradictions import find_contradictions
from annotator.store.curve_points import PromotedVersion, promoted_versions
from annotator.store.database import Database
from annotator.store.documents import count_documents, count_sentences
from annotator.store.gold import count_gold
from annotator.store.inbox import count_events, oldest_waiting
from annotator.store.lead_times import fitted_costs
from annotator.store.learnable import count_learnable
from annotator.store.leases import WORKER_LEASE, holders
from annotator.store.origins import stranger_of
from annotator.store.projects import Project, get_project, latest_audit
from annotator.store.pushes import refused_tasks
from annotator.store.rereading import count_issues, count_unread
from annotator.store.runs import Run, list_runs, run_to_json
from annotator.store.selections import queue_head
from annotator.store.tasks import count_tasks
from annotator.store.troubles import troubles
from annotator.store.versions import ModelVersion, active_version, version_to_json
from annotator.studio.connection import describe_stranger

__all__ = [
    "Vitals",
    "accepted_shares",
    "agreement_lines",
    "learning_lines",
    "learning_status",
    "project_status",
    "studio_page",
    "take_vitals",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """The few numbers that show a project's health: cheap enough to read every second.

    Attributes:
        events: Webhook events by state.
        inbox_lag_s: Age of the oldest waiting event, in seconds; 0 if none waits.
        tasks: Tasks by state.
        gold: Sentences of gold by split.
        n_workers: Workers with a heartbeat within their lease.
        n_queued: Training runs that wait.
        run: The newest training run, None before the first.
    """

    events: Mapping[str, int]
    inbox_lag_s: float
    tasks: Mapping[str, int]
    gold: Mapping[str, int]
    n_workers: int
    n_queued: int
    run: Run | None


def take_vitals(database: Database, project: str) -> Vitals:
    """Measure a project.

    Raises:
        StoreError: if the database cannot be reached.
        NotFoundError: if there is no such project.
    """
    with database.read() as session:
        project_id = get_project(session, project).id
        at = now(session)
        oldest = oldest_waiting(session) or at
        runs = list_runs(session, project_id, limit=1)
        return Vitals(
            events=count_events(session),
            inbox_lag_s=max(0.0, (at - oldest).total_seconds()),
            tasks=count_tasks(session, project_id),
            gold=count_gold(session, project_id),
            n_workers=len(holders(session, WORKER_LEASE)),
            n_queued=len(list_runs(session, project_id, states=["queued"], limit=1000)),
            run=runs[0] if runs else None,
        )


def studio_page(settings: Settings, project: Project, task: int | None = None) -> str | None:
    """Return the address of the connected project in Label Studio, or of one of its tasks."""
    if project.studio is None:
        return None
    base = settings.studio_public_url or project.studio.host
    page = f"{base}/projects/{project.studio.project_id}/data"
    return page if task is None else f"{page}?task={task}"


def accepted_shares(session: Session, project_id: int) -> dict[str, float | None]:
    """Return which share of the predicted entities and relations people kept unchanged.

    None where nobody has reviewed any yet. What was accepted in bulk does not count.
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
    """Add a sentence with the fitted costs and their error."""
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


def _studio_to_json(
    session: Session, project: Project, settings: Settings, active: ModelVersion | None
) -> dict[str, Any]:
    """Return the connection; ``stranger`` says that another project was found in its place."""
    link, key = project.studio, stranger_of(session, project.id)
    stranger = link and key is not None and describe_stranger(link.host, link.key, found=key)
    return {
        "connected": link is not None,
        "url": link.host if link else None,
        "page": studio_page(settings, project),
        "project": link.project_id if link else None,
        "pulled_at": project.pulled_at.isoformat() if project.pulled_at else None,
        "stranger": stranger or None,
        "refused": refused_tasks(session, project.id, version=active.name) if active else [],
        "next": _next_to_json(latest_audit(session, project.id, "verify_next")),
    }


def _newest_run(session: Session, project_id: int, *states: str) -> dict[str, Any] | None:
    runs = list_runs(session, project_id, states=states or None, limit=1)
    return run_to_json(runs[0]) if runs else None


def project_status(
    database: Database, project: Project, settings: Settings, *, queue_limit: int = 10
) -> dict[str, Any]:
    """Return the project's state as plain JSON values; never contains document text."""
    with database.read() as session:
        active = active_version(session, project.id)
        gold = count_gold(session, project.id)
        tasks = count_tasks(session, project.id)
        labels = count_new_labels(session, project.id, settings)
        head = (
            queue_head(session, project.id, version_id=active.id, limit=queue_limit)
            if active
            else []
        )
        workers = holders(session, WORKER_LEASE)
        status = {
            "project": project.name,
            "unit": project.unit,
            "documents": count_documents(session, project.id),
            "n_sentences": count_sentences(session, project.id),
            "n_gold": gold["train"] + gold["holdout"],
            "gold": gold,
            "n_gold_sentences": labels.n_gold,
            "n_new_sentences": labels.n_new,
            "retrain_at": labels.needed,
            "n_until_run": labels.n_missing,
            "n_pool": tasks["open"],
            "tasks": tasks,
            "active_version": version_to_json(active) if active else None,
            "last_run": _newest_run(session, project.id),
            "under_way": _newest_run(session, project.id, "running")
            or _newest_run(session, project.id, "queued"),
            "queue": head,
            "learning": learning_status(session, project.id),
            "cost": _cost_to_json(fitted_costs(session, project.id)),
            "inbox": count_events(session),
            "accepted_share": accepted_shares(session, project.id),
            "n_unread": count_unread(session, project.id),
            "label_issues": count_issues(session, project.id),
            "learnable": count_learnable(session, project.id).to_json(),
            "contradictions": find_contradictions(session, project.id).count(),
            "troubles": troubles(session, project.id),
            "worker": {"alive": bool(workers), "owners": workers},
            "label_studio": _studio_to_json(session, project, settings, active),
        }
    return status


_VERSIONS = 10
_SHOWN = 3  # points of the curve, in text

_ADVICE: Final = {
    "stop": "further labelling is unlikely to pay",
    "continue": "go on",
    "unknown": "cannot tell yet whether further labelling pays",
}
_WORTH: Final = {
    "pays": "it pays",
    "no_gain": "it does not pay; random order is as good (strategy = random)",
    "unknown": "cannot tell yet whether it pays",
}


def learning_status(session: Session, project_id: int) -> dict[str, Any]:
    """Return the learning curve, oldest first, and the latest advice, as JSON values.

    Everything was measured when the versions came into use; nothing is computed here.
    """
    versions = promoted_versions(session, project_id, limit=_VERSIONS)
    said: dict[str, Any] = next(
        (v.metrics["queue"] for v in reversed(versions) if "queue" in v.metrics), {}
    )
    agreement = versions[-1].metrics.get("unlabelled") if versions else None
    points = [_point(version) for version in versions]
    return {
        "curve": [point for point in points if point is not None],
        "agreement": agreement,
        "forecast": said.get("forecast"),
        "advice": said.get("advice"),
        "queue": said.get("worth"),
    }


def _point(version: PromotedVersion) -> dict[str, Any] | None:
    scores = version.metrics.get("holdout", {})
    joint, learnt_from = scores.get("joint"), scores.get("learnt_from")
    if not joint or not learnt_from:  # no hold-out, or made before these were kept
        return None
    return {
        "version": version.name,
        "promoted_at": version.promoted_at.isoformat(),
        "words": learnt_from["words"],
        "sentences": learnt_from["sentences"],
        "joint_f1": joint["f1"],
        "interval": [joint["low"], joint["high"]],
        "n_holdout": scores["n_sentences"],
        "words_at_random": _words_at_random(version, learnt_from["words"]),
    }


def _words_at_random(version: PromotedVersion, words: int) -> dict[str, int] | None:
    """Return after how many words random order would have met as many corrections.

    An estimate with the ends of its interval; None where the data are insufficient.
    """
    worth = version.metrics.get("queue", {}).get("worth") or {}
    if worth.get("ratio") is None:
        return None
    chosen = worth["tasks"]["strategy"]["words"]
    return {
        name: round(words + (worth[key] - 1.0) * chosen)
        for name, key in (("estimate", "ratio"), ("low", "low"), ("high", "high"))
    }


def learning_lines(found: Mapping[str, Any]) -> list[str]:
    """Format ``learning_status`` as lines of ``annotator status``."""
    lines = []
    if found["curve"]:
        points = ", ".join(
            f"{p['joint_f1']:.1f} ({p['interval'][0]:.1f}-{p['interval'][1]:.1f}) at "
            f"{p['words']:,} words"
            for p in found["curve"][-_SHOWN:]
        )
        lines.append(f"joint F1       {points}")
    if found["advice"]:
        why = "; ".join(found["advice"]["reasons"])
        lines.append(f"more labels    {_ADVICE[found['advice']['state']]}: {why}")
    if found["queue"]:
        lines.append(
            f"queue          {_WORTH[found['queue']['state']]}: {found['queue']['reason']}"
        )
    return lines


def agreement_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Format a version's agreement with the one before it, for ``annotator models show``."""
    found = metrics.get("unlabelled")
    if found is None:
        return []
    kappas = ", ".join(
        f"{name} {'not defined' if found[key] is None else format(found[key], '.3f')}"
        for name, key in (("word tags", "tags"), ("relations", "pairs"))
    )
    return [
        f"agreement with {found['against']} on {found['n_sentences']} sentences without labels"
        f"{' of the hold-out' if found.get('on') == 'holdout' else ''}: kappa of {kappas}"
    ]
