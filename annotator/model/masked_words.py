"""An encoder with its family's head for guessing hidden words: loss, loading, saving."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModelForMaskedLM

from annotator.errors import ModelError
from annotator.model.encoder import Encoder, quiet
from annotator.model.folder import write_whole
from annotator.model.masking import MaskedBatch

__all__ = ["CARD_FILE", "MaskedWordModel", "save_adapted"]

CARD_FILE = "README.md"


class MaskedWordModel(nn.Module):
    """An encoder with a head that guesses hidden words, always without dropout.

    Lan et al. 2020 (arXiv 1909.11942), section 4.9, found that masked words are learnt better
    without dropout. The encoder's network becomes part of the model.

    Attributes:
        is_fresh: Whether the encoder came without a head, as ``minilm`` does; the head is random.
        loss_before: Held-out loss of the unadapted encoder, kept with the state; NaN until known.

    Raises:
        ModelError: if no network of this family guesses masked words.
    """

    loss_before: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.full, self.is_fresh = _load_with_head(encoder)
        setattr(self.full, self.full.base_model_prefix, encoder.network)
        self.full.tie_weights()
        self.full.eval()
        self.register_buffer("loss_before", torch.tensor(float("nan")))
        self.register_state_dict_post_hook(_leave_out_tied)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_put_back_tied)  # type: ignore[no-untyped-call]

    @property
    def network(self) -> Any:
        """The encoder's network."""
        return self.full.base_model

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.loss_before.device

    @torch.no_grad()
    def start_from_counts(self, counts: NDArray[np.int64]) -> None:
        """Set the bias to the log frequency of each piece, as a starting point for a fresh head."""
        smoothed = torch.from_numpy(counts).double() + 1.0
        self.full.get_output_embeddings().bias.copy_((smoothed / smoothed.sum()).log())

    def loss(
        self, batch: MaskedBatch, *, frozen: bool = False, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the mean cross-entropy over the chosen pieces, in float32.

        Only the chosen positions are projected onto the vocabulary. The batch must be on the
        model's device. With ``frozen`` only the head takes a gradient. ``dtype`` is a reduced
        precision, such as ``torch.bfloat16``.
        """

        def keep_chosen(_network: nn.Module, _inputs: object, output: Any) -> Any:
            states = output.last_hidden_state.flatten(0, 1)[batch.positions]
            output.last_hidden_state = states[None]  # (1, chosen, hidden)
            return output

        self.network.requires_grad_(not frozen)
        with (
            torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None),
            self.network.register_forward_hook(keep_chosen),
            _attention(self.device),
        ):
            logits = self.full(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask
            ).logits
        return functional.cross_entropy(logits[0].float(), batch.targets)


def _attention(device: torch.device) -> AbstractContextManager[None]:
    # The fused kernel's backward pass on a CPU is slower than plain matrix products.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _load_with_head(encoder: Encoder) -> tuple[Any, bool]:
    try:
        with quiet():
            full, report = AutoModelForMaskedLM.from_pretrained(
                encoder.network.name_or_path,
                use_safetensors=True,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"encoder {encoder.name!r} cannot be loaded with a head that guesses masked words "
            f"({type(error).__name__}): choose a BERT or one of its kin"
        ) from error
    return full, bool(report["missing_keys"])


def _leave_out_tied(
    model: MaskedWordModel, state: dict[str, Tensor], prefix: str, _metadata: object
) -> None:
    """Drop the second names of tied weights: safetensors holds a tensor once."""
    for second in model.full.all_tied_weights_keys:
        state.pop(f"{prefix}full.{second}")


def _put_back_tied(
    model: MaskedWordModel, state: dict[str, Tensor], prefix: str, *_more: object
) -> None:
    for second, first in model.full.all_tied_weights_keys.items():
        state[f"{prefix}full.{second}"] = state[f"{prefix}full.{first}"]


def save_adapted(model: MaskedWordModel, encoder: Encoder, folder: Path, *, card: str) -> None:
    """Write encoder, head and card into ``folder``, whole or not at all; replaces an older one.

    ``load_encoder`` reads the folder; the head is kept for further adaptation.

    Raises:
        ModelError: if the folder cannot be written.
    """
    try:
        with write_whole(folder) as aside, quiet():
            model.full.save_pretrained(aside)
            encoder.tokenizer.save_pretrained(aside)
            (aside / CARD_FILE).write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"encoder folder {folder.name} cannot be written ({type(error).__name__}): "
            "check that the disk has room and the folder may be written"
        ) from error
