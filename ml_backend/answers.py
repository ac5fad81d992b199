"""The shapes of answers, for the OpenAPI document; a test checks every answer against them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Failure",
    "Health",
    "Predictions",
    "Queue",
    "Received",
    "RunFound",
    "RunLog",
    "RunQueued",
    "Runs",
    "Setup",
    "Status",
    "VersionNames",
    "Versions",
]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(_Answer):
    """What the backend and its model are doing; without credentials ``status`` alone."""

    status: Literal["UP"]
    model_version: str | None = Field(None, description="The version that answers.")
    loading: str | None = Field(None, description="The version that is being loaded.")
    error: str | None = Field(None, description="Why the active version cannot be used.")


class Setup(_Answer):
    """The version that ``/predict`` answers with; null before the first model."""

    model_version: str | None


class Prediction(_Answer):
    """One task's regions and relations, as Label Studio takes them."""

    model_version: str
    score: float = Field(ge=0, le=1, description="Low scores are shown first.")
    result: list[dict[str, Any]]


class Predictions(_Answer):
    """One prediction a task, in their order."""

    results: list[Prediction]


class Received(_Answer):
    """An event is stored, or a training run is queued."""

    status: Literal["ok", "ignored", "nothing_new"]
    new: bool | None = Field(None, description="False if the event was known.")
    job: str | None = Field(None, description="The number of the training run.")
    detail: str | None = Field(None, description="Why no run was started.")


class VersionNames(_Answer):
    """The names of all versions, newest first."""

    versions: list[str]


class _Found(_Answer):
    ok: Literal[True]


class Run(_Answer):
    """A training run."""

    id: int
    state: Literal["queued", "running", "succeeded", "held", "failed", "cancelled"]
    trigger: str
    attempts: int
    start_from: str | None = Field(description="The version it started from, if from one.")
    progress: dict[str, Any]
    cancel_requested: bool
    reasons: list[str]
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class Runs(_Found):
    """Training runs, newest first."""

    runs: list[Run]


class RunFound(_Found):
    """One training run."""

    run: Run


class RunQueued(RunFound):
    """The training run that waits."""

    is_new: bool = Field(description="False if one waited already, or nothing is new.")
    reason: str | None = Field(None, description="Why there is no run to wait for.")


class RunEvent(BaseModel):
    """A line of a run's log: what happened, and its numbers."""

    model_config = ConfigDict(frozen=True, extra="allow")

    at: str
    kind: str


class RunLog(_Found):
    """What a training run did when, in order."""

    log: list[RunEvent]


class Version(_Answer):
    """A version of the model."""

    name: str
    state: Literal["candidate", "active", "held", "retired"]
    provisional: bool
    run: int | None
    sha256: str
    created_at: str
    promoted_at: str | None
    metrics: dict[str, Any]


class Versions(_Found):
    """Model versions with their scores, newest first."""

    versions: list[Version]


class QueuedTask(_Answer):
    """A task that Label Studio shows soon."""

    task: int = Field(description="Its id in Label Studio.")
    id: int
    document: str
    score: float
    reason: str | None


class Queue(_Found):
    """The tasks that are shown next, and the version that ordered them."""

    version: str | None
    queue: list[QueuedTask]


class ModelState(_Answer):
    """What the resident model does."""

    version: str | None
    loading: str | None
    error: str | None


class Status(_Found):
    """One look at the project; never holds document text."""

    model_config = ConfigDict(frozen=True, extra="allow")

    project: str
    unit: Literal["sentence", "document"]
    n_gold: int
    n_pool: int
    active_version: Version | None
    last_run: Run | None
    under_way: Run | None = Field(description="The run that trains, or else the one that waits.")
    queue: list[QueuedTask]
    worker: dict[str, Any]
    label_studio: dict[str, Any]
    backend: ModelState


class Failure(_Answer):
    """What every failure looks like."""

    ok: Literal[False]
    error: str = Field(description="What was expected, what was found, and what to do.")
    code: str = Field(description="For programs.")
    errors: list[dict[str, Any]]
    request_id: str
