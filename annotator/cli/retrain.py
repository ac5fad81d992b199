"""``annotator retrain``: a training run now."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from annotator.cli.project import HomeOption, JsonOption, OpenProject, emit, note, open_project
from annotator.cli.watch import watch_run
from annotator.errors import AnnotatorError
from annotator.services.status import run_to_json
from annotator.store.runs import claim_run, get_run, reap_runs, submit_run
from annotator.store.versions import list_versions

__all__ = ["register"]


def retrain(
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; trains here if no worker runs.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Promote the result whatever the gate says; logged.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on all gold, measure it on the hold-out, and promote it if it is better.

    Example: annotator retrain --wait
    """
    from annotator.jobs.queue import JobQueue

    with open_project(home) as opened:
        with opened.database.write() as session:
            run, is_new = submit_run(session, opened.project.id, trigger="command", force=force)
        queue = JobQueue(opened.settings.queue)
        try:
            queue.submit(run.id)
        finally:
            queue.close()
        if not wait:
            state = "queued" if is_new else "waits already"
            emit(
                {"run": run.id, "state": run.state},
                [f"run {run.id} {state}; annotator runs shows it, annotator worker does it"],
                as_json=as_json,
            )
            return
        value = _wait(opened, run.id)
    lines = [f"run {run.id} {value['state']}: {'; '.join(value['reasons']) or value['error']}"]
    if value["metrics"]:
        ner, re = value["metrics"]["ner"]["micro"]["f1"], value["metrics"]["re"]["micro"]["f1"]
        lines.append(
            f"{value['version']} on {value['metrics']['n_sentences']} hold-out sentences: "
            f"entities F1 {ner:.1f}, relations F1 {re:.1f} (strict)"
        )
    emit(value, lines, as_json=as_json)
    if value["state"] not in {"succeeded", "held"}:
        raise typer.Exit(1)


def _wait(opened: OpenProject, run_id: int) -> dict[str, Any]:
    from annotator.jobs.presence import workers_alive

    if workers_alive(opened.database):
        watch_run(opened.database, run_id)
    else:
        note("no worker runs; training here")
        _train_here(opened, run_id)
    with opened.database.read() as session:
        run = get_run(session, run_id)
        versions = [v for v in list_versions(session, opened.project.id) if v.run_id == run_id]
    value = run_to_json(run)
    version = versions[0] if versions else None
    return {
        "run": run_id,
        "state": run.state,
        "version": version.name if version else None,
        "promoted": version is not None and version.state == "active",
        "reasons": value["reasons"],
        "error": run.error,
        "metrics": dict(version.metrics.get("holdout", {})) if version else {},
    }


def _train_here(opened: OpenProject, run_id: int) -> None:
    from annotator.jobs.training import execute_run
    from annotator.jobs.worker import worker_name

    owner = worker_name()
    settings = opened.settings
    while True:
        with opened.database.write() as session:
            reap_runs(session, max_attempts=settings.max_attempts)
            claimed = claim_run(session, run_id, owner=owner, lease_s=settings.lease_s)
        if claimed is not None:
            break
        with opened.database.read() as session:
            run = get_run(session, run_id)
        if run.state != "queued":
            watch_run(opened.database, run_id)
            return
        note("another run is under way; waiting for it")
        time.sleep(2)
    try:
        watch_run(
            opened.database,
            run_id,
            work=lambda: execute_run(settings, opened.database, run_id, owner=owner),
        )
    except AnnotatorError:
        raise
    except BaseException:
        from annotator.store.runs import release_run

        with opened.database.write() as session:
            release_run(session, run_id, owner=owner)
        raise


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("retrain")(retrain)
