from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES

from annotator.model import Calibration, JointModel
from annotator.model.analysis import analyse, relate, score_entities
from annotator.model.batch import Batch, collate
from annotator.model.candidates import CandidateSet, candidates_from_spans
from annotator.model.decoding import find_spans
from annotator.model.signals import SIGNALS, word_signals


@pytest.fixture
def model(build_model: Callable[..., JointModel]) -> JointModel:
    """A calibrated model that finds entities and relations."""
    found = build_model(legal_pairs=False)
    assert found.relation is not None
    assert found.relation.biaffine.U is not None
    found.relation.biaffine.U.data.mul_(15.0)
    found.ner.output.weight.data.mul_(2.0)
    found.calibration = Calibration(
        ner_temperature=0.6, relation_temperature=1.7, pair_entropy=0.9, fitted=True
    )
    return found


@pytest.fixture
def batch(model: JointModel) -> Batch:
    words = [list(sentence.words) * 2 for sentence in EIGHT_SENTENCES]
    return collate(model.pieces.encode(words), model.pieces)


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


@torch.no_grad()
@pytest.mark.parametrize("max_scores", [1, 1 << 24], ids=["head by head", "at once"])
def test_relation_is_as_sure_as_its_pair_and_no_surer_than_either_entity(
    model: JointModel,
    batch: Batch,
    monkeypatch: pytest.MonkeyPatch,
    generator: torch.Generator,
    max_scores: int,
) -> None:
    monkeypatch.setattr("annotator.model.analysis._MAX_PAIR_SCORES", max_scores)
    output = model.tag(batch)
    candidates = candidates_from_spans(output.tags, find_spans(output.tags))
    sure = torch.rand(candidates.mask.shape, generator=generator)

    found = relate(model, output.states, candidates, scores=sure)

    scores = model.score_pairs(output.states, candidates)
    assert scores is not None
    probs = (scores.logits / 1.7).softmax(dim=-1)
    own = {
        (b, i, j, int(probs[b, i, j].argmax())): float(probs[b, i, j].max())
        for b, i, j in scores.mask.nonzero().tolist()
        if probs[b, i, j].argmax() > 0
    }
    weaker = {(b, i, j, r): float(min(sure[b, i], sure[b, j])) for b, i, j, r in own}
    assert 5 < sum(own[row] < weaker[row] for row in own) < len(own) - 5
    rows = [tuple(row) for row in found.index.tolist()]
    assert dict(zip(rows, found.score.tolist(), strict=True)) == pytest.approx(
        {row: min(own[row], weaker[row]) for row in own}, rel=1e-4
    )


@torch.no_grad()
def test_signals_and_scores_of_entities_are_those_of_calibrated_tags(
    model: JointModel, batch: Batch
) -> None:
    analysis = analyse(model, batch)

    output = model.tag(batch)
    log_probs = (output.ner_logits / 0.6).log_softmax(dim=-1)
    n_entities = analysis.candidates.mask.sum(dim=1)
    expected = word_signals(
        log_probs,
        word_mask=batch.word_mask,
        pair_entropy=analysis.relations.entropy,
        n_pairs=analysis.relations.n_pairs,
        n_predicted=n_entities * (n_entities - 1),
        hidden_pair_entropy=0.9,
        has_relations=True,
    )
    assert expected["hidden_pairs"].max() > 0.1
    torch.testing.assert_close(analysis.signals, torch.stack([expected[n] for n in SIGNALS], dim=1))
    probs = log_probs.exp().gather(2, output.tags[..., None]).squeeze(2)
    slow = torch.tensor(slow_scores(probs, analysis.candidates))
    torch.testing.assert_close(analysis.entity_scores, slow)


@torch.no_grad()
def test_embedding_is_the_direction_of_the_mean_over_real_words(
    model: JointModel, batch: Batch
) -> None:
    analysis = analyse(model, batch)

    states = model.encode(batch)
    means = [row[real].mean(dim=0) for row, real in zip(states, batch.word_mask, strict=True)]
    torch.testing.assert_close(analysis.embedding, torch.stack([m / m.norm() for m in means]))
