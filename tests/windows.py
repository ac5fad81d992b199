"""Windows that a test compares with ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annotator.model.pieces import PieceSentence, Windows


def without_overlap(sentence: PieceSentence, capacity: int) -> PieceSentence:
    """Cut at word edges into windows that follow each other without any overlap."""
    edges = np.append(sentence.first_piece, len(sentence.ids))
    starts, ends = [0], []
    while not ends or ends[-1] < len(sentence.ids):
        starts.append(int(edges[np.searchsorted(edges, starts[-1] + capacity, side="right") - 1]))
        ends.append(starts[-1])
    owner = np.searchsorted(ends, sentence.first_piece, side="right")
    windows = Windows(start=np.array(starts[:-1]), end=np.array(ends), owner=owner)
    return replace(sentence, windows=windows)
