"""``annotator retrain``: a training run now."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import OpenProject, emit, note, open_project
from annotator.cli.watch import watch_run
from annotator.errors import LeaseLostError

if TYPE_CHECKING:
    from annotator.services.models.submit import Submission

__all__ = ["retrain"]


_ALREADY = {"queued": "waits already", "running": "trains on these labels already"}
_Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for its end; trains here if no worker runs.")
]
_Force = Annotated[
    bool, typer.Option("--force", help="Promote the result whatever the gate says; logged.")
]
_Again = Annotated[
    bool, typer.Option("--again", help="Train even if nothing is new since the last run.")
]
_WarmStart = Annotated[
    bool,
    typer.Option(
        "--warm-start/--from-scratch",
        help="Start from the version in use, shrunk, with fewer steps.",
    ),
]


def retrain(
    wait: _Wait = False,
    force: _Force = False,
    again: _Again = False,
    warm_start: _WarmStart = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on all gold; promote it if it is no worse.

    The gate compares it with the version in use on the same hold-out sentences: it is promoted if
    it is better, or as good, with 60 %, and no type has surely lost more than 3 points. Else it is
    held; annotator runs show says why, annotator promote puts it into use all the same. With fewer
    hold-out sentences than the setting holdout_least it is promoted unless it is surely worse.

    Example: annotator retrain --wait
    """
    with open_project(home) as opened:
        asked = _submit(opened, force=force, again=again, warm=warm_start)
        run = asked.run
        if asked.reason is not None:
            value = _outcome(opened, run.id)
            value = {**value, "reasons": [asked.reason], "is_new": False}
            emit(value, [asked.reason], as_json=as_json)
            return
        if not wait:
            state = "queued" if asked.is_new else _ALREADY[run.state]
            emit(
                {"run": run.id, "state": run.state, "is_new": asked.is_new},
                [f"run {run.id} {state}; annotator runs shows it, annotator worker does it"],
                as_json=as_json,
            )
            return
        _wait(opened, run.id)
        value = {**_outcome(opened, run.id), "is_new": asked.is_new}
    emit(value, _lines(value), as_json=as_json)
    if value["state"] not in {"succeeded", "held"}:
        raise typer.Exit(1)


def _submit(opened: OpenProject, *, force: bool, again: bool, warm: bool) -> Submission:
    from annotator.jobs.messages import JobQueue
    from annotator.services.models.submit import submit_training
    from annotator.store.runs import reap_runs

    with opened.database.write() as session:
        # A run whose process was killed is queued again: resume it instead of starting another.
        reap_runs(session, max_attempts=opened.settings.max_attempts)
        asked = submit_training(
            session,
            opened.project.id,
            opened.settings,
            trigger="command",
            force=force,
            again=again,
            warm=warm,
        )
    if asked.reason is None:
        queue = JobQueue(opened.settings.queue, secret=opened.settings.queue_secret)
        try:
            queue.submit(asked.run.id)
        finally:
            queue.close()
    return asked


def _lines(value: Mapping[str, Any]) -> list[str]:
    why = "; ".join(value["reasons"]) or value["error"]
    lines = [f"run {value['run']} {value['state']}: {why}"]
    if value["metrics"]:
        ner, re = value["metrics"]["ner"]["micro"]["f1"], value["metrics"]["re"]["micro"]["f1"]
        lines.append(
            f"{value['version']} on {value['metrics']['n_sentences']} hold-out sentences: "
            f"entities F1 {ner:.1f}, relations F1 {re:.1f} (strict)"
        )
    return lines


def _wait(opened: OpenProject, run_id: int) -> None:
    from annotator.jobs.presence import workers_alive

    if workers_alive(opened.database):
        watch_run(opened.database, run_id)
    else:
        _train_here(opened, run_id)


def _outcome(opened: OpenProject, run_id: int) -> dict[str, Any]:
    from annotator.store.runs import get_run
    from annotator.store.versions import list_versions

    with opened.database.read() as session:
        run = get_run(session, run_id)
        versions = [v for v in list_versions(session, opened.project.id) if v.run_id == run_id]
    version = versions[0] if versions else None
    return {
        "run": run_id,
        "state": run.state,
        "version": version.name if version else None,
        "promoted": version is not None and version.state == "active",
        "reasons": list(run.reasons),
        "error": run.error,
        "metrics": dict(version.metrics.get("holdout", {})) if version else {},
    }


def _train_here(opened: OpenProject, run_id: int) -> None:
    """Execute a run as a worker would, up to its last attempt."""
    from annotator.jobs.training import record_crash
    from annotator.store.runs import get_run

    while True:
        owner = _claim(opened, run_id)
        if owner is None:
            return
        note("no worker runs; training here")
        try:
            _train_once(opened, run_id, owner)
            return
        except LeaseLostError:
            raise
        except Exception as error:  # the job runner's edge, as in the worker's child
            state = record_crash(opened.settings, opened.database, run_id, error, owner=owner)
            with opened.database.read() as session:
                run = get_run(session, run_id)
            note(f"attempt {run.attempts} ended: {run.error}")
            if state != "queued":
                return


def _claim(opened: OpenProject, run_id: int) -> str | None:
    """Claim a run, waiting for another in progress; None if somebody else has finished ours."""
    from annotator.jobs.worker import worker_name
    from annotator.store.runs import FINISHED, claim_run, get_run, reap_runs

    owner = f"{worker_name()}/{secrets.token_hex(3)}"
    settings = opened.settings
    is_told = False
    while True:
        with opened.database.write() as session:
            reap_runs(session, max_attempts=settings.max_attempts)
            claimed = claim_run(session, run_id, owner=owner, lease_s=settings.lease_s)
        if claimed is not None:
            return owner
        with opened.database.read() as session:
            run = get_run(session, run_id)
        if run.state in FINISHED:
            return None
        if not is_told:
            is_told = True
            what = "this run" if run.state == "running" else "another run"
            note(f"{what} is under way; waiting for it")
        time.sleep(2)


def _train_once(opened: OpenProject, run_id: int, owner: str) -> None:
    from annotator.jobs.training import execute_run
    from annotator.store.runs import release_run

    try:
        watch_run(
            opened.database,
            run_id,
            work=lambda: execute_run(opened.settings, opened.database, run_id, owner=owner),
        )
    except (KeyboardInterrupt, SystemExit):  # the next attempt resumes here
        with opened.database.write() as session:
            release_run(session, run_id, owner=owner)
        raise
