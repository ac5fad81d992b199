"""The head that guesses hidden words, and an encoder with it: loss, loading, saving."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModelForMaskedLM

from annotator.errors import ModelError
from annotator.model.encoder import Encoder, quiet, save_whole_encoder
from annotator.model.folder import write_whole
from annotator.model.masking import MaskedBatch

__all__ = [
    "CARD_FILE",
    "HEAD_FILE",
    "MaskedWordHead",
    "MaskedWordModel",
    "load_head_weights",
    "save_adapted",
]

HEAD_FILE = "masked_word_head.safetensors"
CARD_FILE = "README.md"

_INIT_STD = 0.02
# Where families of encoders keep the transform, its normalisation and the bias of the pieces.
_KNOWN_HEADS = (
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions"),
    ("lm_head.dense", "lm_head.layer_norm", "lm_head"),
    ("vocab_transform", "vocab_layer_norm", "vocab_projector"),
    ("predictions.dense", "predictions.LayerNorm", "predictions"),
)


class MaskedWordHead(nn.Module):
    """Scores every piece of the vocabulary for a state; the output matrix is the embedding's.

    Args:
        width: Width of the encoder's states.
        n_pieces: Size of the vocabulary.
        embedding_width: Width of the embedding.
        eps: Of the normalisation.
        activation: Name of the function between the two.
    """

    def __init__(
        self,
        width: int,
        n_pieces: int,
        *,
        embedding_width: int,
        eps: float = 1e-12,
        activation: str = "gelu",
    ) -> None:
        from transformers.activations import ACT2FN  # importing it makes a folder

        super().__init__()
        self.activation = ACT2FN[activation]
        self.dense = nn.Linear(width, embedding_width)
        self.norm = nn.LayerNorm(embedding_width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(n_pieces))
        nn.init.normal_(self.dense.weight, std=_INIT_STD)
        nn.init.zeros_(self.dense.bias)

    def forward(self, states: Tensor, embedding: Tensor) -> Tensor:
        """Return the scores of all pieces.

        Args:
            states: Shape ``(chosen, hidden)``.
            embedding: The encoder's piece embedding. Shape ``(vocabulary, embedding)``.

        Returns:
            Shape ``(chosen, vocabulary)``.
        """
        hidden = self.norm(self.activation(self.dense(states)))
        return functional.linear(hidden, embedding, self.bias)

    @torch.no_grad()
    def start_from_counts(self, counts: NDArray[np.int64]) -> None:
        """Let the bias be the log frequency of each piece, so that a fresh head begins there."""
        smoothed = torch.from_numpy(counts).double() + 1.0
        self.bias.copy_((smoothed / smoothed.sum()).log())


class MaskedWordModel(nn.Module):
    """An encoder with a head that guesses hidden words, always without dropout.

    Lan et al. 2020 (arXiv 1909.11942), section 4.9, found masked words to be learnt better
    without dropout.

    Args:
        encoder: What is adapted.
        head_weights: Weights of a trained head by the names of ``MaskedWordHead``; None starts a
            fresh one.
    """

    def __init__(self, encoder: Encoder, head_weights: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network = encoder.network.eval()
        embedding = self.embedding
        self.head = MaskedWordHead(
            encoder.width,
            embedding.shape[0],
            embedding_width=embedding.shape[1],
            eps=float(getattr(self.network.config, "layer_norm_eps", 1e-12)),
            activation=str(getattr(self.network.config, "hidden_act", "gelu")),
        )
        if head_weights is not None:
            self.head.load_state_dict(head_weights)
        self.loss_before: Tensor  # held-out loss of the unadapted encoder, kept with the state
        self.register_buffer("loss_before", torch.tensor(float("nan")))

    @property
    def embedding(self) -> Tensor:
        """The piece embedding. Shape ``(vocabulary, embedding)``."""
        weight: Tensor = self.network.get_input_embeddings().weight
        return weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.bias.device

    def loss(
        self, batch: MaskedBatch, *, frozen: bool = False, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the mean cross-entropy over the chosen pieces, in float32.

        Only the chosen positions are projected onto the vocabulary.

        Args:
            batch: The batch, on the model's device.
            frozen: The encoder takes no gradient, only the head does.
            dtype: Reduced precision, such as ``torch.bfloat16``.
        """
        learning = torch.is_grad_enabled() and not frozen
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            with torch.set_grad_enabled(learning), _attention(self.device):
                states = self.network(
                    input_ids=batch.input_ids, attention_mask=batch.attention_mask
                ).last_hidden_state
            embedding = self.embedding if learning else self.embedding.detach()
            logits = self.head(states.flatten(0, 1)[batch.positions], embedding)
        return functional.cross_entropy(logits.float(), batch.targets)


def _attention(device: torch.device) -> AbstractContextManager[None]:
    # The fused kernel's backward pass on a CPU is slower than plain matrix products.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def load_head_weights(encoder: Encoder) -> dict[str, Tensor] | None:
    """Load the head that belongs to ``encoder``, by the names of ``MaskedWordHead``.

    Returns:
        None if the encoder came without one, as ``minilm`` does.

    Raises:
        ModelError: if the file of the head is damaged.
    """
    if encoder.name == "minilm":
        return None
    own = Path(encoder.name) / HEAD_FILE
    if own.is_file():
        try:
            return load_file(own)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{HEAD_FILE} of encoder {own.parent.name} is truncated or damaged: adapt again, "
                "or remove the file to begin with a fresh head"
            ) from error
    return _load_foreign_head(encoder)


def _load_foreign_head(encoder: Encoder) -> dict[str, Tensor] | None:
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            full, report = AutoModelForMaskedLM.from_pretrained(
                encoder.name,
                use_safetensors=True,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, ImportError):
        return None  # a family of encoders that was never trained with masked words
    weights: dict[str, Any] = full.state_dict()
    for dense, norm, bias in _KNOWN_HEADS:
        names = {
            "dense.weight": f"{dense}.weight",
            "dense.bias": f"{dense}.bias",
            "norm.weight": f"{norm}.weight",
            "norm.bias": f"{norm}.bias",
            "bias": f"{bias}.bias",
        }
        if set(names.values()) <= weights.keys() - set(report["missing_keys"]):
            return {ours: weights[theirs].clone() for ours, theirs in names.items()}
    return None


def save_adapted(model: MaskedWordModel, encoder: Encoder, folder: Path, *, card: str) -> None:
    """Write encoder, head and card into ``folder``, whole or not at all; replaces an older one.

    ``load_encoder`` takes the folder; the head is there for adapting further.

    Raises:
        ModelError: if the folder cannot be written.
    """
    head = {name: value.detach().cpu() for name, value in model.head.state_dict().items()}
    try:
        with write_whole(folder) as aside:
            save_whole_encoder(encoder, aside)
            save_file(head, aside / HEAD_FILE, metadata={"format": "pt"})
            (aside / CARD_FILE).write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"encoder folder {folder.name} cannot be written ({type(error).__name__}): "
            "check that the disk has room and the folder may be written"
        ) from error
