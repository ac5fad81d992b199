"""Fits the temperatures of a model on held-out sentences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from annotator.domain import TaggedSentence
from annotator.model.batch import IGNORED_TAG, Batch, GoldEncoder, collate, plan_batches
from annotator.model.calibration import Calibration, fit_temperature
from annotator.model.candidates import training_candidates
from annotator.model.joint import JointModel, JointOutput
from annotator.model.memory import in_halves
from annotator.model.signals import entropy

__all__ = ["HEADS", "fit_calibration"]

HEADS = ("ner", "re")

_TOKEN_BUDGET = 8_192


def fit_calibration(
    model: JointModel, sentences: Sequence[TaggedSentence], *, heads: Collection[str] = HEADS
) -> Calibration:
    """Fit one temperature a head on ``sentences``, which must not have been trained on.

    A head that is not among ``heads`` keeps its scores as they come. The pairs are those of
    predicted entities, ``NEG`` where one of them is wrong: what the relation head meets in use.
    """
    present = [sentence for sentence in sentences if sentence.words]
    if not present:
        return Calibration()
    gold = GoldEncoder(model.config)
    labels = [gold.encode(sentence) for sentence in present]
    pieces = model.pieces.encode([sentence.words for sentence in present])
    tags: list[tuple[Tensor, Tensor]] = []
    pairs: list[tuple[Tensor, Tensor]] = []
    was_training = model.training
    model.eval()
    with torch.inference_mode():

        def collect(chosen: Sequence[int]) -> None:
            batch = collate(
                [pieces[i] for i in chosen], model.pieces, gold=[labels[i] for i in chosen]
            )
            _collect(model, batch.to(model.device), tags=tags, pairs=pairs)

        for planned in plan_batches([p.cost for p in pieces], token_budget=_TOKEN_BUDGET):
            in_halves(planned.tolist(), collect, device=model.device)
        calibration = _fit(tags, pairs, heads)
    model.train(was_training)
    return calibration


def _collect(
    model: JointModel,
    batch: Batch,
    *,
    tags: list[tuple[Tensor, Tensor]],
    pairs: list[tuple[Tensor, Tensor]],
) -> None:
    output = model.tag(batch, row_budget=_TOKEN_BUDGET)
    if batch.tags is None:
        return
    real = batch.tags != IGNORED_TAG
    labelled = _score_labelled(model, output, batch)
    # Last, so that a batch for which memory does not suffice has left nothing.
    tags.append((output.ner_logits[real].cpu(), batch.tags[real].cpu()))
    if labelled is not None:
        pairs.append((labelled[0].cpu(), labelled[1].cpu()))


def _score_labelled(
    model: JointModel, output: JointOutput, batch: Batch
) -> tuple[Tensor, Tensor] | None:
    if batch.tags is None:
        return None
    candidates = training_candidates(
        predicted=output.tags,
        gold=batch.tags,
        scores=output.ner_logits.softmax(dim=-1).amax(dim=-1),
        choice="predicted",
        limit=model.config.max_candidates,
    )
    scores = model.score_pairs(output.states, candidates)
    if scores is None:
        return None
    scored = replace(
        output, candidates=candidates, pair_logits=scores.logits, pair_mask=scores.mask
    )
    return model.labelled_pairs(scored, batch)


def _fit(
    tags: list[tuple[Tensor, Tensor]], pairs: list[tuple[Tensor, Tensor]], heads: Collection[str]
) -> Calibration:
    ner = relation = 1.0
    if "ner" in heads:
        ner = fit_temperature(torch.cat([p[0] for p in tags]), torch.cat([p[1] for p in tags]))
    logits = torch.cat([p[0] for p in pairs]) if pairs else torch.zeros(0, 1)
    if not len(logits):
        return Calibration(ner_temperature=ner, fitted=True)
    if "re" in heads:
        relation = fit_temperature(logits, torch.cat([p[1] for p in pairs]))
    mean_entropy = float(entropy((logits / relation).log_softmax(dim=-1)).mean())
    return Calibration(
        ner_temperature=ner,
        relation_temperature=relation,
        pair_entropy=mean_entropy,
        fitted=True,
    )
