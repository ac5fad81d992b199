"""The number format of the encoder: measured on this machine, held to a bound.

The name of a processor does not tell whether bf16 is fast on it. So the encoder is run on a short
built-in batch in fp32 and in bf16, and bf16 is used only if it is clearly faster and the resulting
tags stay close to those of fp32. The speed of a format depends on the shape of the encoder: it is
measured once per process. Its accuracy depends on the weights: it is measured for each model.

int8 is not offered: plain torch's API for it, ``torch.ao.quantization``, is deprecated.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from annotator.errors import ConfigError
from annotator.model.batch import Batch, collate
from annotator.model.joint import JointModel

__all__ = [
    "ChosenPrecision",
    "Measure",
    "Precision",
    "PrecisionTrial",
    "Timer",
    "choose_precision",
    "measure_precision",
    "reduce_encoder",
]

Precision = Literal["auto", "fp32", "bf16"]
ChosenPrecision = Literal["fp32", "bf16"]

_MIN_GAIN = 1.2  # less is not worth another rounding, and may be noise
_MAX_DRIFT = 0.01
_MIN_AGREEMENT = 0.98
_BUDGET_S = 0.4
_HOPELESS = 2.0  # bf16 without hardware for it is many times slower: do not wait for it

_PROBE = (
    "The patient was started on warfarin for atrial fibrillation and developed a rash after two "
    "days of treatment with amoxicillin 500 mg .",
    "No fever , chest pain or shortness of breath was reported by the wife of the patient when "
    "she was phoned on Monday .",
    "Acute renal failure in a 62-year-old man from Leeds was attributed to the combination of "
    "ibuprofen and lisinopril .",
    "John Smith , who works for the Acme Company in New York , said that the talks in Paris had "
    "ended without a result .",
    "Blood cultures grew Staphylococcus aureus ; vancomycin 1 g i.v. every 12 h was continued for "
    "a total of 14 days .",
    "Severe hypoglycaemia induced by glibenclamide was treated with intravenous dextrose and "
    "resolved within a few hours .",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionTrial:
    """fp32 and bf16 compared on one batch.

    Attributes:
        fp32_s: Seconds of a forward pass of the encoder in fp32.
        bf16_s: The same in bf16; infinite if it cannot be run or was given up.
        drift: Change of a word's tag probabilities, as total variation distance in [0, 1],
            averaged over words; NaN if bf16 is not faster anyway.
        agreement: Fraction of words with the same best tag; NaN likewise.
    """

    fp32_s: float
    bf16_s: float
    drift: float
    agreement: float

    @property
    def is_faster(self) -> bool:
        """Whether bf16 is fast enough to be used."""
        return self.bf16_s * _MIN_GAIN <= self.fp32_s

    @property
    def is_close(self) -> bool:
        """Whether bf16 stays within the bound."""
        return self.drift <= _MAX_DRIFT and self.agreement >= _MIN_AGREEMENT


Measure = Callable[[JointModel, nn.Module], PrecisionTrial]
Timer = Callable[[JointModel, nn.Module, Batch], tuple[float, float]]

_timings: dict[tuple[object, ...], tuple[float, float]] = {}
_timings_lock = threading.Lock()


def reduce_encoder(model: JointModel) -> nn.Module:
    """Return a copy of the encoder in bf16, for inference; the model's own is unchanged."""
    with torch.no_grad():
        reduced = copy.deepcopy(model.encoder).to(torch.bfloat16)
    return cast(nn.Module, reduced.eval().requires_grad_(False))


def choose_precision(
    model: JointModel, precision: Precision, *, measure: Measure | None = None
) -> tuple[ChosenPrecision, nn.Module | None]:
    """Choose the precision of a model on its device.

    The model must be in evaluation mode. ``fp32`` and ``bf16`` are used as given; ``auto`` is
    measured by ``measure``, where None is ``measure_precision``.

    Returns:
        The precision, and the encoder in bf16 or None.

    Raises:
        ConfigError: if there is no such precision.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"precision must be auto, fp32 or bf16, found {precision!r}")
    if precision == "fp32" or (precision == "auto" and model.device.type not in ("cpu", "cuda")):
        return "fp32", None
    reduced = reduce_encoder(model)
    if precision == "auto":
        trial = (measure or measure_precision)(model, reduced)
        if not (trial.is_faster and trial.is_close):
            return "fp32", None
    return "bf16", reduced


def measure_precision(
    model: JointModel, reduced: nn.Module, *, timer: Timer | None = None
) -> PrecisionTrial:
    """Run the built-in batch through both encoders; well under two seconds.

    Args:
        model: The model, in evaluation mode.
        reduced: From ``reduce_encoder``.
        timer: Returns the seconds of a pass in fp32 and in bf16; None measures them, once per
            process for encoders of one shape on one device.
    """
    words = [sentence.split(" ") for sentence in _PROBE]
    batch = collate(model.pieces.encode(words), model.pieces).to(model.device)
    with torch.inference_mode():
        fp32_s, bf16_s = (timer or _time_once)(model, reduced, batch)
        if bf16_s * _MIN_GAIN > fp32_s:
            return PrecisionTrial(fp32_s=fp32_s, bf16_s=bf16_s, drift=math.nan, agreement=math.nan)
        full = _tag_probs(model, batch, None)
        near = _tag_probs(model, batch, reduced)
    drift = (full - near).abs().sum(dim=-1) / 2  # (batch, words)
    same = full.argmax(dim=-1) == near.argmax(dim=-1)  # (batch, words)
    return PrecisionTrial(
        fp32_s=fp32_s,
        bf16_s=bf16_s,
        drift=float(drift[batch.word_mask].mean()),
        agreement=float(same[batch.word_mask].float().mean()),
    )


def _tag_probs(model: JointModel, batch: Batch, network: nn.Module | None) -> Tensor:
    logits = model.ner(model.encode(batch, network=network))
    probs: Tensor = (logits / model.calibration.ner_temperature).softmax(dim=-1)
    return probs


def _time_once(model: JointModel, reduced: nn.Module, batch: Batch) -> tuple[float, float]:
    """Time both encoders, or return the earlier result for an encoder of this shape."""
    config, device = model.encoder_parts.network.config, model.device
    threads = torch.get_num_threads()
    layers = getattr(config, "num_hidden_layers", None)
    key = (type(model.encoder), config.hidden_size, layers, str(device), threads)
    with _timings_lock:
        if key not in _timings:
            _timings[key] = _time_both(model.encoder, reduced, batch)
        return _timings[key]


def _time_both(full: nn.Module, reduced: nn.Module, batch: Batch) -> tuple[float, float]:
    short = slice(0, 1)
    first = [_seconds(network, batch, short) for network in (full, reduced) for _ in range(2)]
    if first[3] > _HOPELESS * first[1]:
        return first[1], first[3]
    rows = slice(0, max(2, int(_BUDGET_S / first[1])))  # fewer for a large encoder
    best = [math.inf, math.inf]
    ends_at = time.perf_counter() + _BUDGET_S
    while True:  # alternating, so that a busy machine slows both
        for i, network in enumerate((full, reduced)):
            best[i] = min(best[i], _seconds(network, batch, rows))
        if time.perf_counter() >= ends_at:
            return best[0], best[1]


def _seconds(network: nn.Module, batch: Batch, rows: slice) -> float:
    on_gpu = batch.input_ids.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(batch.input_ids.device)
    started = time.perf_counter()
    network(input_ids=batch.input_ids[rows], attention_mask=batch.attention_mask[rows])
    if on_gpu:
        torch.cuda.synchronize(batch.input_ids.device)
    return time.perf_counter() - started
