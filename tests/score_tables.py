"""Made-up scores of a model, sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from annotator.training import Counts, Evaluation, LayerEvaluation

__all__ = ["Sentence", "make_scores"]

#: Right, predicted and gold labels of a sentence by type; relation types begin with ``R_``.
Sentence = Mapping[str, tuple[int, int, int]]


def make_scores(
    sentences: Sequence[Sentence], *, groups: Sequence[str] | None = None
) -> Evaluation:
    """Scores of these sentences; by default each is a group of its own."""
    layers = []
    for is_relation in (False, True):
        names = sorted({n for s in sentences for n in s if n.startswith("R_") is is_relation})
        counts = [[s.get(name, (0, 0, 0)) for name in names] for s in sentences]
        layers.append(
            LayerEvaluation(
                names=tuple(names),
                type_counts=np.array(counts, dtype=np.int32).reshape(len(counts), len(names), 3),
                boundary=Counts(),
            )
        )
    given = groups or [f"group {i}" for i in range(len(sentences))]
    return Evaluation(ner=layers[0], re=layers[1], groups=tuple(given))
