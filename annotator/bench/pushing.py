"""Pushing many predictions to a real Label Studio: killed in the middle, resumed, repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from annotator.bench.clock import Report
from annotator.bench.machine import describe_machine
from annotator.bench.served import ServedProject, open_served
from annotator.bench.traffic import sentence_texts
from annotator.domain import Document
from annotator.errors import JobError
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.connect import connect_project, ensure_studio_project
from annotator.settings import write_secrets
from annotator.store.pushes import has_pushes
from annotator.store.versions import ModelVersion, active_version
from annotator.studio.client import StudioClient
from annotator.studio.server import RunningStudio, StudioServer

__all__ = ["PushBenchPlan", "bench_push"]

_PUSH_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushBenchPlan:
    """What to measure.

    Attributes:
        encoder: The encoder of the model that predicts.
        n_tasks: Number of tasks, of one sentence each.
        studio_venv: A virtual environment that has (or gets) Label Studio.
    """

    encoder: str
    n_tasks: int
    studio_venv: Path | None


def bench_push(
    documents: Sequence[Document], plan: PushBenchPlan, *, home: Path, report: Report
) -> dict[str, Any]:
    """Upload and push, kill the push, push again, count what Label Studio has, and roll back.

    The model learns from the labelled ``documents``; the tasks are their sentences, each with a
    number appended. ``home`` is an empty or missing folder.

    Raises:
        StudioError: if Label Studio cannot be installed, started or used.
        JobError: if a process ends in error.
    """
    machine = describe_machine(torch.device("cpu"))
    server = StudioServer(home / "label-studio", port=0, venv=plan.studio_venv)
    report("start Label Studio", 0, 1)
    server.install()
    studio = server.start()
    try:
        with open_served(home / "project", documents, encoder=plan.encoder) as served:
            report("train a small model", 0, 1)
            served.train_first()
            with StudioClient(studio.url, studio.token) as client:
                number = _connect(served, client, studio)
                _fill(served, documents, plan.n_tasks)
                report("push until it is killed", 0, 1)
                killed_s = _push_until_killed(served)
                report("push", 0, 1)
                rest_s = _push(served, "push-rest")
                report("push again", 0, 1)
                again_s = _push(served, "push-again")
                found = _count(served, client, number)
                report("train another version, go back to the first", 0, 1)
                back = _roll_back(served, client, number)
    finally:
        server.stop()
    return {
        "n_tasks": plan.n_tasks,
        "killed_after_s": round(killed_s, 1),
        "rest_s": round(rest_s, 1),
        "again_s": round(again_s, 1),
        **found,
        **back,
        "encoder": plan.encoder,
        **machine,
    }


def _connect(served: ServedProject, client: StudioClient, studio: RunningStudio) -> int:
    caller = served.serve()
    made = ensure_studio_project(served.database, served.project, client, title="Bench")
    write_secrets(
        served.settings.home,
        {"studio_url": studio.url, "studio_token": studio.token, "studio_project": made.id},
    )
    connect_project(
        served.database,
        served.project,
        client,
        studio_project=made.id,
        backend_url=f"http://{caller.host}:{caller.port}",
        user=caller.user,
        password=caller.password,
    )
    return made.id


def _fill(served: ServedProject, documents: Sequence[Document], n_tasks: int) -> None:
    """Store ``n_tasks`` documents of one sentence each in the pool."""
    # With a number appended a text must still be one sentence, or it makes two tasks.
    stems = [text.rstrip(". ") for text in sentence_texts(documents)]
    sentences = [stem for stem in stems if len(sentence_texts([_numbered(stem, 10, "x")])) == 1]
    pool = [_numbered(sentences[i % len(sentences)], i, f"bench-{i}") for i in range(n_tasks)]
    ingest_documents(
        served.database,
        served.project.id,
        pool,
        role="pool",
        holdout_share=0.0,
        seed=served.settings.seed,
        actor="bench",
    )


def _numbered(stem: str, number: int, name: str) -> Document:
    return Document(id=name, text=f"{stem} {number}.")


def _push_until_killed(served: ServedProject) -> float:
    """Push in a separate process, killed once Label Studio has the first predictions."""
    version = _active(served)
    started = time.monotonic()
    served.commands.start("push", "push")
    while time.monotonic() - started < _PUSH_S:
        served.commands.check("backend")
        with served.database.read() as session:
            if has_pushes(session, version.id):
                served.commands.kill("push")
                return time.monotonic() - started
        time.sleep(0.02)
    raise JobError(f"nothing was pushed within an hour; see {served.commands.logs}")


def _push(served: ServedProject, name: str) -> float:
    started = time.monotonic()
    served.commands.run(name, "push")
    return time.monotonic() - started


def _roll_back(served: ServedProject, client: StudioClient, number: int) -> dict[str, Any]:
    """Publish another version and roll back to the one before, with a worker running."""
    first = _active(served).name
    served.train_again()
    another_s = _push(served, "push-another")
    served.commands.start("worker", "worker")
    _wait(served, lambda: b"worker.started" in (served.commands.logs / "worker.log").read_bytes())
    started = time.monotonic()
    served.commands.run("rollback", "rollback")
    _wait(served, lambda: client.project(number).model_version == first)
    back_s = time.monotonic() - started
    predictions = [len(task["predictions"]) for task in client.tasks(number)]
    return {
        "another_s": round(another_s, 1),
        "rollback_s": round(back_s, 1),
        "n_predictions_rolled_back": sum(predictions),
        "rolled_back": client.project(number).model_version == first,
    }


def _wait(served: ServedProject, is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PUSH_S
    while not is_there():
        served.commands.check()
        if time.monotonic() > deadline:
            raise JobError(f"the worker did nothing for an hour; see {served.commands.logs}")
        time.sleep(0.1)


def _count(served: ServedProject, client: StudioClient, number: int) -> dict[str, Any]:
    tasks = list(client.tasks(number))
    places = {(str(task["data"]["doc_id"]), task["data"]["sent_start"]) for task in tasks}
    predictions = [len(task["predictions"]) for task in tasks]
    return {
        "n_tasks_there": len(tasks),
        "n_tasks_double": len(tasks) - len(places),
        "n_predictions_there": sum(predictions),
        "n_without_prediction": predictions.count(0),
        "n_predictions_double": sum(n - 1 for n in predictions if n > 1),
        "selected": client.project(number).model_version == _active(served).name,
    }


def _active(served: ServedProject) -> ModelVersion:
    with served.database.read() as session:
        version = active_version(session, served.project.id)
    if version is None:
        raise JobError(f"no model came of the training run; see {served.commands.logs}")
    return version
