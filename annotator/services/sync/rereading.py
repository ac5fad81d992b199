"""Reading labels again where another reader or another configuration has read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from annotator.services.sync.annotations import issues_to_json, reading_state, shift
from annotator.store.annotations import NewAnnotation
from annotator.store.database import Database
from annotator.store.rereading import StaleAnnotation, settle, stale_annotations, take_over
from annotator.studio.codec import result_to_labels
from annotator.studio.config import LabelConfig
from annotator.studio.page import PlainPage
from annotator.studio.reading import reader_of

__all__ = ["reread_annotations"]

_AT_ONCE = 100


def reread_annotations(
    database: Database,
    project_id: int,
    config: LabelConfig,
    *,
    look_at: Callable[[Iterable[int]], None],
) -> int:
    """Read again, with today's reader and configuration, what others have read.

    The raw result is stored, and so is the text of a ``<Text>``. For what is not (other pages, and
    the prediction that an annotation began with) ``look_at`` is given ids of tasks to read from
    Label Studio. What cannot be read again stays as it was read. Return how many annotations have
    other labels now; those of ``look_at`` are not counted.
    """
    reader, after, n_news = reader_of(config), 0, 0
    while True:
        with database.read() as session:
            stale = stale_annotations(
                session, project_id, reader=reader, after=after, limit=_AT_ONCE
            )
        if not stale:
            return n_news
        after = stale[-1].id
        look_at(sorted({one.studio_task or 0 for one in stale if _is_there(one, config)}))
        with database.write() as session:
            for one in stale:
                if config.layout == "text" and not _is_there(one, config):
                    n_news += take_over(session, one.id, _read(one, config, reader))
            settle(session, [one.id for one in stale], reader=reader)


def _is_there(stale: StaleAnnotation, config: LabelConfig) -> bool:
    """Return whether Label Studio has what reading needs and we have not."""
    needs_more = config.layout != "text" or stale.decision.diff is not None
    return needs_more and stale.studio_task is not None


def _read(stale: StaleAnnotation, config: LabelConfig, reader: str) -> NewAnnotation:
    decision = stale.decision
    labels = result_to_labels(decision.raw, text=PlainPage(stale.text), config=config)
    return replace(
        decision,
        state=reading_state(decision.state, labels),
        entities=tuple(shift(e, decision.region[0]) for e in labels.entities),
        relations=labels.relations,
        issues=issues_to_json(labels),
        read_by=reader,
    )
