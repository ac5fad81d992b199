"""The utility of labelling open tasks, and the seconds that weigh it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotator.active.cost import AnnotationCost
from annotator.active.lead_time import LEAST_TIMED, CostFit, TimedLabels, fit_cost
from annotator.services.inference.predictions import predict_sentences, to_text_sentences
from annotator.store.database import Database
from annotator.store.gold import newest_gold_sentences
from annotator.store.lead_times import (
    LeadTime,
    count_lead_times,
    fitted_costs,
    keep_costs,
    lead_times,
)
from annotator.store.pool import sentences_by_id
from annotator.store.projects import project_unit
from annotator.store.versions import ModelVersion

if TYPE_CHECKING:  # nothing heavy is loaded before there is something to predict
    from annotator.model import Predictor
    from annotator.services.inference.compute import Engine

__all__ = ["labelled_embeddings", "ranking_cost", "refresh_costs", "score_open_tasks"]

_LABELLED = 500  # the newest; the time for a ranked batch grows with them
_NEWEST = 2000  # people get faster, and models need fewer corrections
_LEAST_EXPLAINED = 0.1
_EDITS = ("relabelled", "rebounded", "removed", "added")


def labelled_embeddings(
    database: Database, project_id: int, version_id: int, predictor: Callable[[], Predictor]
) -> NDArray[np.float32]:
    """Return embeddings of the most recently labelled sentences outside the hold-out.

    Returns:
        Shape ``(sentences, hidden)``, ``(0, 0)`` without any.
    """
    with database.read() as session:
        ids = newest_gold_sentences(session, project_id, limit=_LABELLED)
        anchors = sentences_by_id(session, ids)
    wanted = to_text_sentences(anchors, region_start=0)
    found = predict_sentences(database, version_id, predictor, wanted)
    rows = [np.frombuffer(p.embedding, dtype=np.float16) for p in found.values()]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), dtype=np.float32)


def score_open_tasks(
    database: Database,
    project_id: int,
    version: ModelVersion,
    predictor: Callable[[], Predictor],
    *,
    strategy: str,
    labelled: NDArray[np.float32],
    engine: Engine | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Predict and score the sentences of open tasks not scored yet; return how many there were.

    ``engine`` computes; None computes in this process with ``predictor``. The other arguments and
    errors are those of ``score_pool``.
    """
    from annotator.services.inference.compute import LocalEngine
    from annotator.services.inference.scoring import score_pool

    return score_pool(
        engine or LocalEngine(load=lambda _version: predictor()),
        database,
        project_id,
        version,
        strategy=strategy,
        labelled=labelled,
        cost=ranking_cost(database, project_id, version),
        on_progress=on_progress,
    )


def refresh_costs(database: Database, project_id: int) -> bool:
    """Refit and store the costs if the timed annotations have changed; return whether they did.

    ``annotator.store.lead_times.fitted_costs`` reads them; nothing is stored about single people.
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
    """Return the seconds that weigh a version's utilities; None to leave them unweighted.

    These are the figures known when the version was made, and stay fixed: utilities of one version
    are compared with each other, whenever they were stored. None where the figures explain next to
    nothing, and where a task is a document, which is opened once for many sentences.
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
