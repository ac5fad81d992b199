"""The candidate of a run against the version in use, and those that were held against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from annotator.domain import LabelSchema
from annotator.errors import CheckpointError
from annotator.services.models.scores import score_version
from annotator.services.models.snapshot import RunPlan
from annotator.store.database import Database
from annotator.store.runs import Run, get_run
from annotator.store.snapshots import get_snapshot
from annotator.store.versions import ModelVersion, active_version, list_versions
from annotator.training import Decision, Evaluation, decide

__all__ = ["Judgement", "judge_candidate"]

_MOST_HELD = 3
_OTHER_SETTINGS = {"seed", "start_from"}  # two runs that differ in these are of one recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision, and the name of the version in use it was made against; None without one."""

    decision: Decision
    against: str | None


def judge_candidate(
    database: Database,
    project_id: int,
    run: Run,
    plan: RunPlan,
    candidate: Evaluation,
    *,
    device: str,
    seed: int,
    least: int,
) -> Judgement:
    """Compare the candidate with the version that is in use now, on the test sentences.

    Raises:
        CheckpointError: if that version cannot be read and the run is not forced.
    """
    with database.read() as session:
        incumbent = active_version(session, project_id)
        held = [] if incumbent is None else list(_held(session, project_id, run, plan, incumbent))
    before: Evaluation | None = None
    others: list[Evaluation] = []
    if incumbent is not None and plan.test:
        try:
            before = score_version(incumbent, plan.test, device=device)
        except CheckpointError:
            if not run.force:  # by force is the way out when it can no longer be read
                raise
        for version in held:
            with suppress(CheckpointError):  # its files are gone: it says nothing
                others.append(score_version(version, plan.test, device=device))
    decision = decide(candidate, before, held=others, rng=np.random.default_rng(seed), least=least)
    return Judgement(decision=decision, against=incumbent.name if incumbent else None)


def _held(
    session: Session, project_id: int, run: Run, plan: RunPlan, incumbent: ModelVersion
) -> Iterator[ModelVersion]:
    """Yield the newest versions of this recipe and these types that ``incumbent`` stood against."""
    since = incumbent.promoted_at or incumbent.created_at
    held = [
        version
        for version in list_versions(session, project_id)
        if version.state == "held" and version.created_at > since
    ]
    for version in held[:_MOST_HELD]:
        schema = get_snapshot(session, version.snapshot_id).schema
        same_labels = _types(schema) == _types(plan.snapshot.schema)
        if same_labels and _recipe(get_run(session, version.run_id)) == _recipe(run):
            yield version


def _types(schema: LabelSchema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return schema.entity_types, schema.relation_types


def _recipe(run: Run) -> dict[str, object]:
    chosen = {name: value for name, value in run.settings.items() if name not in _OTHER_SETTINGS}
    return {**chosen, "is_warm": run.settings.get("start_from") is not None}
