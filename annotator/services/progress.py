"""What was measured of the last versions, read for ``annotator status`` and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.orm import Session

from annotator.store.learning import PromotedVersion, promoted_versions

__all__ = ["agreement_lines", "learning_lines", "learning_status"]

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
    """Return the learning curve, oldest first, and what was last said of it, as JSON values.

    Everything was measured when the versions went into use; nothing is computed here.
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

    An estimate, with the ends of its interval; None where it cannot be told.
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
    """Return what ``learning_status`` says, in the lines of ``annotator status``."""
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
    """Return how a version agrees with the one before it, for ``annotator models show``."""
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
