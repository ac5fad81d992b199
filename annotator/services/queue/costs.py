"""What a label costs in this project: seconds, fitted to how long people took."""

from __future__ import annotations

from typing import Any

from annotator.active.cost import AnnotationCost
from annotator.active.lead_time import LEAST_TIMED, CostFit, TimedLabels, fit_cost
from annotator.store.database import Database
from annotator.store.lead_times import (
    LeadTime,
    count_lead_times,
    fitted_costs,
    keep_costs,
    lead_times,
)
from annotator.store.projects import project_unit
from annotator.store.versions import ModelVersion

__all__ = ["ranking_cost", "refresh_costs"]

_NEWEST = 2000  # people get faster, and models need fewer corrections
_LEAST_EXPLAINED = 0.1
_EDITS = ("relabelled", "rebounded", "removed", "added")


def refresh_costs(database: Database, project_id: int) -> bool:
    """Fit the figures anew if there are other timed annotations than last time, and keep them.

    ``annotator.store.lead_times.fitted_costs`` gives them back; nothing is kept of single people.

    Returns:
        True if there are new figures.
    """
    with database.read() as session:
        n_found = count_lead_times(session, project_id)
        known = fitted_costs(session, project_id)
        if n_found < LEAST_TIMED or (known is not None and known["n_found"] == n_found):
            return False
        found = lead_times(session, project_id, limit=_NEWEST)
    fit = fit_cost([_timed(one) for one in found])
    if fit is None:
        return False
    with database.write() as session:
        keep_costs(session, project_id, {"n_found": n_found, **_to_json(fit)})
    return True


def _option(cost: AnnotationCost) -> str:
    return ",".join(f"{figure:.3g}" for figure in cost.to_json().values())


def ranking_cost(
    database: Database, project_id: int, version: ModelVersion
) -> AnnotationCost | None:
    """Return the seconds that weigh a version's utilities; None to leave them as they are.

    They are those that were known when the version was made, and stay so: utilities of one
    version are compared with each other, whenever they were stored. None where they explain
    next to nothing, and where a task is a document, which is opened once for many sentences.
    """
    with database.read() as session:
        known = fitted_costs(session, project_id, before=version.created_at)
        unit = project_unit(session, project_id)
    is_of_use = known is not None and known["explained"] >= _LEAST_EXPLAINED
    if known is None or not is_of_use or unit != "sentence":
        return None
    figures = map(float, known["option"].split(","))
    return AnnotationCost(**dict(zip(AnnotationCost.__slots__, figures, strict=True)))


def _timed(one: LeadTime) -> TimedLabels:
    edits = {"entities": one.n_entities, "relations": one.n_relations}  # all drawn by hand
    if one.diff is not None:
        edits = {k: sum(int(one.diff.get(f"{k}_{how}", 0)) for how in _EDITS) for k in edits}
    return TimedLabels(
        words=one.n_words,
        entities=one.n_entities,
        relations=one.n_relations,
        entity_edits=edits["entities"],
        relation_edits=edits["relations"],
        seconds=one.lead_time_s,
        annotator=one.annotator,
    )


def _to_json(fit: CostFit) -> dict[str, Any]:
    parts = ("task_s", "word_s", "entity_s", "relation_s", "edit_s")
    return {
        "n_timed": fit.n,
        "n_people": len(fit.factors),
        "median_s": round(fit.median_s, 2),
        "error_s": round(fit.error_s, 2),
        "constant_error_s": round(fit.constant_error_s, 2),
        "explained": round(fit.explained, 4),
        "parts": {name: round(getattr(fit, name), 4) for name in parts},
        "option": _option(fit.cost),
    }
