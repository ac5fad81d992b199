from __future__ import annotations

import torch

from annotator.model.analysis import score_entities
from annotator.model.candidates import CandidateSet, candidates_from_spans
from annotator.model.decoding import find_spans


def slow_scores(probs: torch.Tensor, candidates: CandidateSet) -> list[list[float]]:
    return [
        [
            float(probs[i, candidates.first[i, k] : candidates.last[i, k] + 1].min())
            if candidates.mask[i, k]
            else 0.0
            for k in range(candidates.mask.shape[1])
        ]
        for i in range(len(probs))
    ]


def test_entity_is_as_sure_as_its_least_sure_tag(generator: torch.Generator) -> None:
    tags = torch.tensor([[4, 1, 2, 3, 0, 8], [0, 0, 5, 7, 0, 0], [0, 0, 0, 0, 0, 0]])
    probs = torch.rand(3, 6, generator=generator)
    spans = find_spans(tags)
    candidates = candidates_from_spans(tags, spans)

    scores = score_entities(probs, candidates, ends=spans.ends)

    torch.testing.assert_close(scores, torch.tensor(slow_scores(probs, candidates)))
