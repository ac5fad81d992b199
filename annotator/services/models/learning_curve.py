"""Measurements of a version beside its scores, such as its agreement with the one before.

The worker measures everything once, when a version has come into use and the pool is scored, and
stores it with the version; ``annotator status`` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from annotator.active.agreement import Agreement, SeenSentence, compare_models
from annotator.active.forecast import CurvePoint, LearningCurve
from annotator.active.queue_gain import LabelledTask, measure_queue_gain
from annotator.active.stopping import StopRule, advise
from annotator.domain import TaggedSentence, WordEntity, WordRelation
from annotator.store.curve_points import (
    PromotedVersion,
    corrected_tasks,
    promoted_versions,
    shared_predictions,
)
from annotator.store.database import Database
from annotator.store.documents import StoredSentence
from annotator.store.pool import sentences_by_id
from annotator.store.projects import current_schema
from annotator.store.versions import ModelVersion, add_evaluation
from annotator.text import tokenize
from annotator.training import Evaluation
from annotator.training.joint_score import measure_joint

__all__ = ["QUEUE", "STOP_SET", "UNLABELLED", "describe_point", "note_learning"]

#: Splits under which the measurements are stored.
UNLABELLED, QUEUE = "unlabelled", "queue"

STOP_SET = 2_000  # sentences
_VERSIONS = 100  # newest points of the curve, used by the advice


def describe_point(
    scores: Evaluation, train: Sequence[TaggedSentence], *, seed: int
) -> dict[str, Any]:
    """Return a point of the learning curve: joint F1 with its error, and the training set's sizes.

    ``joint`` is None without a hold-out. ``low`` and ``high`` are its 95 % interval over bootstrap
    resamples of the hold-out sentences, ``error`` is the standard error.
    """
    learnt_from = {
        "sentences": len(train),
        "words": sum(len(sentence.words) for sentence in train),
        "entities": sum(len(sentence.entities) for sentence in train),
        "relations": sum(len(sentence.relations) for sentence in train),
    }
    joint = measure_joint(scores, rng=np.random.default_rng(seed))
    return {"joint": joint.to_json() if joint else None, "learnt_from": learnt_from}


def note_learning(database: Database, project_id: int, version: ModelVersion, *, seed: int) -> None:
    """Measure a version that came into use, unless that was done; the pool must be scored.

    Stored as evaluations of the version: its agreement with the one before on unlabelled
    sentences, with the resulting advice; and the gain of the queue's choices so far.
    """
    if QUEUE in version.metrics:
        return
    with database.read() as session:
        versions = promoted_versions(session, project_id, until=version.id, limit=_VERSIONS)
        tasks = list(corrected_tasks(session, project_id))
    compared = _compare(database, project_id, versions[-2:])
    worth = measure_queue_gain(
        [
            LabelledTask(
                document=one.document_id,
                share="strategy" if one.reason == "strategy" else "random",
                words=one.n_words,
                corrections=sum(n for how, n in one.diff.items() if not how.endswith("_kept")),
            )
            for one in tasks
            if one.reason in ("strategy", "random")
        ],
        rng=np.random.default_rng(seed),
    )
    with database.write() as session:
        if compared is not None:
            on, agreement = compared
            add_evaluation(
                session,
                version.id,
                split=UNLABELLED,
                metrics={"against": versions[-2].name, "on": on, **agreement.to_json()},
                n_sentences=agreement.n_sentences,
            )
            session.flush()
        advice = _advise(
            promoted_versions(session, project_id, until=version.id, limit=_VERSIONS),
            has_relations=bool(_relation_types(session, project_id)),
        )
        add_evaluation(
            session,
            version.id,
            split=QUEUE,
            metrics={"worth": worth.to_json(), **advice},
            n_sentences=len(tasks),
        )


def _relation_types(session: Session, project_id: int) -> tuple[str, ...]:
    schema = current_schema(session, project_id)
    return () if schema is None else schema.relation_types


def _compare(
    database: Database, project_id: int, pair: Sequence[PromotedVersion]
) -> tuple[str, Agreement] | None:
    """Compare two versions on unlabelled texts; return the name of that set and the agreement.

    Hold-out texts are a random draw and are used while they have enough words. Of the other
    texts, only those the strategy did not choose are left; they are the fallback.
    """
    if len(pair) < 2:
        return None
    with database.read() as session:
        n_relation_types = len(_relation_types(session, project_id))
        on, seen = "holdout", _see_both(session, project_id, pair, of_holdout=True)
        if sum(old.n_words for old, _ in seen) < StopRule().least_words:
            on, seen = "pool", _see_both(session, project_id, pair, of_holdout=False)
    if not seen:
        return None
    agreement = compare_models(
        [old for old, _ in seen], [new for _, new in seen], n_relation_types=n_relation_types
    )
    return on, agreement


def _see_both(
    session: Session, project_id: int, pair: Sequence[PromotedVersion], *, of_holdout: bool
) -> list[tuple[SeenSentence, SeenSentence]]:
    shared = shared_predictions(
        session,
        project_id,
        before_id=pair[0].id,
        after_id=pair[1].id,
        limit=STOP_SET,
        of_holdout=of_holdout,
    )
    sentences = {
        one.id: one for one in sentences_by_id(session, [one.sentence_id for one in shared])
    }
    seen = [
        [_see(sentences[one.sentence_id], *found) for found in (one.before, one.after)]
        for one in shared
    ]
    return [(old, new) for old, new in seen if old is not None and new is not None]


def _see(
    sentence: StoredSentence, entities: list[Any], relations: list[Any]
) -> SeenSentence | None:
    """Convert a stored prediction from character offsets to words.

    None if it was made over other words: of a document with the same text but other tokens.
    """
    tokens = sentence.tokens or [(t.start, t.end) for t in tokenize(sentence.text)]
    first = {start: i for i, (start, _) in enumerate(tokens)}
    last = {end: i for i, (_, end) in enumerate(tokens)}
    if any(one["start"] not in first or one["end"] not in last for one in entities):
        return None
    return SeenSentence(
        n_words=len(tokens),
        entities=[
            WordEntity(type=one["type"], first=first[one["start"]], last=last[one["end"]])
            for one in entities
        ],
        relations=[
            WordRelation(type=one["type"], head=one["head"], tail=one["tail"]) for one in relations
        ],
    )


def _advise(versions: Sequence[PromotedVersion], *, has_relations: bool) -> dict[str, Any]:
    """Return the advice and the forecast it is based on."""
    points = [
        CurvePoint(
            words=scores["learnt_from"]["words"],
            joint_f1=scores["joint"]["f1"],
            error=scores["joint"]["error"],
        )
        for scores in (one.metrics.get("holdout", {}) for one in versions)
        if scores.get("joint") and scores.get("learnt_from")
    ]
    curve = LearningCurve.fit(points)
    gain = curve.gain(StopRule().growth) if curve else None
    advice = advise(
        gain,
        agreements=[
            Agreement.from_json(one.metrics[UNLABELLED])
            for one in versions
            if UNLABELLED in one.metrics
        ],
        has_relations=has_relations,
    )
    return {"advice": advice.to_json(), "forecast": gain.to_json() if gain else None}
