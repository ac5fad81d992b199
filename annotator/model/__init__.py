"""The joint model of entities and relations: encoder, heads, decoding, calibration, prediction.

Needs torch and transformers; knows no database and no web.
"""

from typing import TYPE_CHECKING

from annotator.lazy import load_when_asked

if TYPE_CHECKING:
    from annotator.model.calibration import Calibration
    from annotator.model.checkpoint import (
        checkpoint_sha256,
        is_checkpoint,
        load_checkpoint,
        save_checkpoint,
    )
    from annotator.model.config import ModelConfig
    from annotator.model.encoder import Encoder, load_encoder
    from annotator.model.joint import JointModel
    from annotator.model.prediction import SentencePrediction
    from annotator.model.predictor import Predictor

__all__ = [
    "Calibration",
    "Encoder",
    "JointModel",
    "ModelConfig",
    "Predictor",
    "SentencePrediction",
    "checkpoint_sha256",
    "is_checkpoint",
    "load_checkpoint",
    "load_encoder",
    "save_checkpoint",
]

__getattr__ = load_when_asked(
    __name__,
    calibration="Calibration",
    checkpoint="checkpoint_sha256 is_checkpoint load_checkpoint save_checkpoint",
    config="ModelConfig",
    encoder="Encoder load_encoder",
    joint="JointModel",
    prediction="SentencePrediction",
    predictor="Predictor",
)
