"""Embeddings of sentences from a pre-trained encoder, before anything has been learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.domain import LabelSchema, TaggedSentence
from annotator.model.config import ModelConfig
from annotator.model.encoder import load_encoder
from annotator.model.joint import JointModel
from annotator.model.predictor import Predictor

__all__ = ["embed_sentences", "load_untrained"]


def load_untrained(
    encoder: str,
    *,
    device: str | torch.device | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictor:
    """Return an encoder as pre-trained, for ``embed_sentences``; its labels mean nothing.

    Args:
        encoder: As for ``load_encoder``.
        device: Where to compute; None is a CPU.
        options: Of ``ModelConfig``; those on how pieces become words matter.

    Raises:
        ModelError: if the encoder cannot be loaded.
    """
    # One type and no relations: the heads are random and cost next to nothing.
    schema = LabelSchema(entity_types=("any",))
    config = ModelConfig(schema=schema, encoder=encoder, **(options or {}))
    with torch.random.fork_rng(devices=[]):
        return Predictor(JointModel(load_encoder(encoder), config), device=device)


def embed_sentences(
    predictor: Predictor, sentences: Sequence[Sequence[str] | TaggedSentence]
) -> NDArray[np.float32]:
    """Return mean word states, L2-normalised; labels of tagged sentences are ignored.

    Returns:
        Shape ``(sentences, H)``.
    """
    embeddings = [one.embedding for one in predictor.predict(sentences)]
    return np.stack(embeddings) if embeddings else np.zeros((0, predictor.width), np.float32)
