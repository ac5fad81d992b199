"""One round: train on the labelled sentences, score the test part."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from annotator.domain import TaggedSentence
from annotator.experiments.run import versions
from annotator.model import Predictor, SentencePrediction
from annotator.simulation.arms import Replay, SimulatedCorpus
from annotator.training import TrainingProgress, evaluate, train
from annotator.training.joint_score import measure_joint

__all__ = ["count_labels", "do_round"]


def do_round(
    corpus: SimulatedCorpus,
    replay: Replay,
    labelled: Sequence[int],
    *,
    seed: int,
    folder: Path,
    bald_passes: int = 0,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> tuple[dict[str, Any], Predictor]:
    """Train from the pre-trained encoder on some sentences of the pool, and score the test part.

    A killed training resumes from its last saved state. ``labelled`` are indices into the pool;
    ``folder`` holds the checkpoint for as long as it is needed; ``bald_passes`` is as in
    ``Predictor``.

    Returns:
        Scores and how they were made, and the model.
    """
    trained = train(
        [corpus.pool[i] for i in labelled],
        schema=corpus.schema,
        encoder=replay.encoder,
        settings=replay.options.settings(seed=seed),
        folder=folder,
        device=replay.device,
        on_progress=on_progress,
        options=replay.options.model,
    )
    started = time.monotonic()
    predictor = Predictor.load(folder, device=replay.device, bald_passes=bald_passes)
    predicted = predictor.predict(corpus.test)
    record = {
        **_score(corpus.test, predicted, seed=seed),
        "n_steps": trained.n_steps,
        "train_s": round(trained.train_s, 1),
        "predict_s": round(time.monotonic() - started, 1),
        "device": torch.device(replay.device).type,
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    shutil.rmtree(folder)
    return record, predictor


def _score(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction], *, seed: int
) -> dict[str, float | None]:
    found = evaluate(gold, predicted)
    joint = measure_joint(found, rng=np.random.default_rng(seed))
    ner, re = found.ner.micro.f1, found.re.micro.f1
    return {
        "ner_f1": round(ner, 4),
        "re_f1": round(re, 4),
        "joint_f1": round((ner + re) / 2, 4),
        "joint_f1_error": round(joint.error, 4) if joint else None,
    }


def count_labels(sentences: Sequence[TaggedSentence]) -> dict[str, int]:
    """Count sentences, words, entities, relations, and sentences without entities."""
    return {
        "sentences": len(sentences),
        "words": sum(len(sentence.words) for sentence in sentences),
        "entities": sum(len(sentence.entities) for sentence in sentences),
        "relations": sum(len(sentence.relations) for sentence in sentences),
        "empty": sum(not sentence.entities for sentence in sentences),
    }
