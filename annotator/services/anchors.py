"""What is labelled already, as embeddings: a batch should be unlike it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from annotator.model import Predictor
from annotator.services.predict import predict_sentences, to_text_sentences
from annotator.store.database import Database
from annotator.store.gold import newest_gold_sentences
from annotator.store.pool import sentences_by_id

__all__ = ["labelled_embeddings"]

_MOST = 500  # the newest; the time that a ranked batch takes grows with them


def labelled_embeddings(
    database: Database, project_id: int, version_id: int, predictor: Callable[[], Predictor]
) -> NDArray[np.float32]:
    """Return embeddings of the sentences that were labelled last, outside the hold-out.

    Returns:
        Shape ``(sentences, hidden)``, ``(0, 0)`` without any.
    """
    with database.read() as session:
        ids = newest_gold_sentences(session, project_id, limit=_MOST)
        anchors = sentences_by_id(session, ids)
    wanted = to_text_sentences(anchors, region_start=0)
    found = predict_sentences(database, version_id, predictor, wanted)
    rows = [np.frombuffer(p.embedding, dtype=np.float16) for p in found.values()]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), dtype=np.float32)
