"""From Label Studio's tasks to its predictions: n in, n out, in order, no dangling relations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.errors import InputError, ModelError, OutOfTimeError, StoreError
from annotator.logs import get_logger
from annotator.services.inference.predictions import (
    TextSentence,
    describe_bounds,
    labels_of_task,
    predict_sentences,
    split_text,
    studio_prediction,
    task_confidence,
)
from annotator.store.database import Database
from annotator.store.versions import StoredPrediction
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page, open_page, text_length
from annotator.studio.validation import clean_prediction
from ml_backend.interactive import relate_regions
from ml_backend.models import LoadedModel
from ml_backend.tracebacks import describe_fault

__all__ = ["Job", "answer_interactive", "answer_tasks"]

_log = get_logger("backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all tasks of one request share, such as one model and one labeling configuration.

    ``deadline``, a time of ``time.monotonic``, is when computing ends.
    """

    database: Database
    loaded: LoadedModel
    config: LabelConfig
    max_text_chars: int
    deadline: float | None = None

    @property
    def version(self) -> str:
        """The model version that every answer names."""
        return self.loaded.version.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A task that can be predicted, and the text it shows."""

    task_id: Any
    shown: Page
    sentences: list[TextSentence]
    bounded: str | None


def answer_tasks(job: Job, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``results``, one prediction a task, in order; an empty one where prediction fails.

    ``bounded`` names the tasks whose sentences were cut for their length, if there are any. An
    empty prediction has score 0.

    Raises:
        OutOfTimeError: if the deadline passes before all are predicted.
        ModelError: if the model fails on every task that has text: answers would be made up.
        StoreError: if the database cannot be reached.
    """
    pages = [_open(job, task) for task in tasks]
    found, broken = _predict(job, [page for page in pages if page is not None])
    results = [
        _empty(job) if page is None or id(page) in broken else _answer(job, page, found)
        for page in pages
    ]
    bounded = [
        {"task": page.task_id, "reason": page.bounded} for page in pages if page and page.bounded
    ]
    for one in bounded:
        _log.info("predict.bounded", **one)
    return {"results": results, "bounded": bounded} if bounded else {"results": results}


def answer_interactive(
    job: Job, task: Mapping[str, Any], drawn: Sequence[Any]
) -> dict[str, Any] | None:
    """Return the regions drawn so far with the relations among them; None if there are none."""
    page = _open(job, task)
    if page is None:
        return None
    try:
        result, score = relate_regions(
            job.loaded.predictor,
            drawn,
            text=page.shown,
            sentences=page.sentences,
            config=job.config,
        )
    except Exception as error:  # the request's edge: an odd region must not fail the request
        _log.error("predict.interactive_failed", task=page.task_id, **describe_fault(error))
        return None
    if not result:
        return None
    return _clean(job, page, {"model_version": job.version, "score": score, "result": result})


def _open(job: Job, task: Mapping[str, Any]) -> _Page | None:
    task_id = task.get("id") if isinstance(task.get("id"), int) else None
    try:
        data = task.get("data")
        if text_length(data, job.config) > job.max_text_chars:
            raise InputError(f"the text has more than {job.max_text_chars} characters")
        shown = open_page(data, job.config)
        text = shown.text
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(
                "a lone surrogate, half a character, is in the text; no model reads it"
            )
        is_sentence = isinstance(data, Mapping) and "sent_start" in data
        sentences = split_text(text, is_sentence=is_sentence)
        bounded = describe_bounds(text, is_sentence=is_sentence)
    except Exception as error:  # the request's edge: the other tasks must still be answered
        _log.error("predict.task_refused", task=task_id, **describe_fault(error))
        return None
    return _Page(task_id=task_id, shown=shown, sentences=sentences, bounded=bounded)


def _predict(job: Job, pages: Sequence[_Page]) -> tuple[dict[str, StoredPrediction], set[int]]:
    """Predict all pages at once; if that fails, one by one, so that only the failing are empty."""
    try:
        return _sentences(job, [s for page in pages for s in page.sentences]), set()
    except (StoreError, OutOfTimeError):
        raise
    except Exception as error:  # the request's edge
        _log.error("predict.batch_failed", n_tasks=len(pages), **describe_fault(error))
    found: dict[str, StoredPrediction] = {}
    broken: set[int] = set()
    for page in pages:
        try:
            found.update(_sentences(job, page.sentences))
        except (StoreError, OutOfTimeError):
            raise
        except Exception as error:  # the request's edge
            _log.error("predict.task_failed", task=page.task_id, **describe_fault(error))
            broken.add(id(page))
    if len(broken) == sum(bool(page.sentences) for page in pages):
        raise ModelError(
            f"version {job.version} fails on every task of this request; nothing was predicted, "
            "the backend's log tells more"
        )
    return found, broken


def _sentences(job: Job, sentences: Sequence[TextSentence]) -> dict[str, StoredPrediction]:
    return predict_sentences(
        job.database,
        job.loaded.version.id,
        lambda: job.loaded.predictor,
        sentences,
        deadline=job.deadline,
        on_unstored=lambda error: _log.warning("predict.not_stored", **describe_fault(error)),
    )


def _answer(job: Job, page: _Page, found: Mapping[str, StoredPrediction]) -> dict[str, Any]:
    try:
        prediction = studio_prediction(
            text=page.shown,
            config=job.config,
            version=job.version,
            score=task_confidence(page.sentences, found),
            labels=labels_of_task(page.sentences, found),
        )
        return _clean(job, page, prediction)
    except Exception as error:  # the request's edge
        _log.error("predict.task_failed", task=page.task_id, **describe_fault(error))
        return _empty(job)


def _clean(job: Job, page: _Page, prediction: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = clean_prediction(prediction, text=page.shown, config=job.config)
    if cleaned.dropped:
        _log.error("predict.left_out", task=page.task_id, reasons=list(cleaned.dropped[:10]))
    return cleaned.prediction


def _empty(job: Job) -> dict[str, Any]:
    # Score 0: we are sure of nothing, and the queue shows such a task to a person first.
    return {"model_version": job.version, "score": 0.0, "result": []}
