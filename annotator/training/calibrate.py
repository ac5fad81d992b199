"""Fitting the temperatures of a model on held-out sentences."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from annotator.domain import TaggedSentence
from annotator.model.batch import IGNORED_TAG, Batch, GoldEncoder, collate, plan_batches
from annotator.model.calibration import Calibration, fit_temperature
from annotator.model.joint import JointModel
from annotator.model.memory import in_halves
from annotator.model.signals import entropy

__all__ = ["HEADS", "fit_calibration"]

HEADS = ("ner", "re")

_TOKEN_BUDGET = 8_192


def fit_calibration(
    model: JointModel, sentences: Sequence[TaggedSentence], *, heads: Collection[str] = HEADS
) -> Calibration:
    """Fit one temperature per head on ``sentences``, which must not have been trained on.

    A head not in ``heads`` keeps its scores unscaled. The pairs are those of predicted entities,
    ``NEG`` where one of them is wrong: what the relation head meets in use.
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
    scored = model.relate_training(output, batch.tags, choice="predicted")
    labelled = model.labelled_pairs(scored, batch)
    # Last, so that a batch that runs out of memory leaves nothing behind.
    tags.append((output.ner_logits[real].cpu(), batch.tags[real].cpu()))  # (words, 4 * types + 1)
    if labelled is not None:
        pairs.append((labelled[0].cpu(), labelled[1].cpu()))


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    logits = torch.cat([part[0] for part in parts])  # (items, classes)
    classes = torch.cat([part[1] for part in parts])  # (items,)
    return logits, classes


def _fit(
    tags: list[tuple[Tensor, Tensor]], pairs: list[tuple[Tensor, Tensor]], heads: Collection[str]
) -> Calibration:
    ner = relation = 1.0
    if "ner" in heads:
        ner = fit_temperature(*_joined(tags))
    if not any(len(labels) for _, labels in pairs):
        return Calibration(ner_temperature=ner, fitted=True)
    logits, classes = _joined(pairs)
    if "re" in heads:
        relation = fit_temperature(logits, classes)
    mean_entropy = float(entropy((logits / relation).log_softmax(dim=-1)).mean())
    return Calibration(
        ner_temperature=ner,
        relation_temperature=relation,
        pair_entropy=mean_entropy,
        fitted=True,
    )
