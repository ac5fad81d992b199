"""The words of a text, the attention among them, and the heads worth showing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.errors import InputError
from annotator.model.attention import HeadWeight, Pattern, WordAttention, attend, find_heads
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceTokenizer
from annotator.text import tokenize

__all__ = ["PATTERN_WORDS", "AttentionView", "Panel", "view_attention"]

PATTERN_WORDS: Mapping[Pattern, str] = {
    "next": "the next word",
    "previous": "the previous word",
    "self": "the word itself",
    "last": "the last word",
    "end": "the separator at the end",
}
_MAX_LABEL = 24
# What no page or picture can show: control characters and lone surrogates.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One heat map: layer and head counted from 1; ``reason`` is '' if the user asked for it."""

    layer: int
    head: int
    reason: str = ""

    @property
    def title(self) -> str:
        """The name of the head."""
        return f"layer {self.layer}, head {self.head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionView:
    """The attention of one encoder over the words of one text.

    Attributes:
        source: The model version or encoder.
        words: The words, as labels that can be displayed.
        patterns: The heads that follow each pattern most strongly, strongest first.
    """

    source: str
    words: tuple[str, ...]
    attention: WordAttention
    patterns: Mapping[Pattern, tuple[HeadWeight, ...]]

    @property
    def n_layers(self) -> int:
        """The number of layers of the encoder."""
        return int(self.attention.end.shape[0])

    @property
    def n_heads(self) -> int:
        """The number of heads per layer."""
        return int(self.attention.end.shape[1])

    @property
    def column_labels(self) -> tuple[str, ...]:
        """The labels of the columns that ``columns`` returns."""
        return ("(start)", *self.words, "(end)")

    def columns(self) -> NDArray[np.float32]:
        """Return what is drawn: dropped attention to the start, attention among words, to the end.

        Returns:
            Shape ``(layers, heads, words, 1 + words + 1)``. Without its first and last column, a
            row sums to 1.
        """
        attention = self.attention
        drawn: NDArray[np.float32] = torch.cat(
            [attention.start[..., None], attention.weights, attention.end[..., None]], dim=-1
        ).numpy()
        return drawn

    def pattern_panels(self) -> tuple[Panel, ...]:
        """Return the strongest head of each pattern, as in Figure 2 of the paper."""
        return tuple(
            Panel(
                layer=best[0].layer,
                head=best[0].head,
                reason=f"looks at {PATTERN_WORDS[pattern]} ({best[0].weight:.2f})",
            )
            for pattern, best in self.patterns.items()
        )

    def head_panel(self, *, layer: int, head: int) -> Panel:
        """Return one head, layer and head counted from 1.

        Raises:
            InputError: if there is no such head.
        """
        if not (1 <= layer <= self.n_layers and 1 <= head <= self.n_heads):
            raise InputError(
                f"there is no layer {layer}, head {head}: the encoder has {self.n_layers} layers "
                f"of {self.n_heads} heads, counted from 1"
            )
        return Panel(layer=layer, head=head)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the weights themselves."""
        return {
            "source": self.source,
            "n_words": len(self.words),
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "patterns": {
                pattern: [
                    {"layer": one.layer, "head": one.head, "weight": round(one.weight, 4)}
                    for one in best
                ]
                for pattern, best in self.patterns.items()
            },
        }


def view_attention(
    text: str, encoder: Encoder, *, source: str, max_pieces: int | None = None
) -> AttentionView:
    """Compute what the heads of ``encoder`` attend to in ``text``, read in one window.

    Args:
        text: A sentence, or as much as fits into one window.
        encoder: Pre-trained, or a trained model's ``encoder_parts``.
        source: The name to show for it.
        max_pieces: The longest window; None is the encoder's own limit.

    Raises:
        InputError: if there are fewer than two words, or more than fit into one window.
        ModelError: if the encoder does not return attention between all pieces.
    """
    words = [text[token.start : token.end] for token in tokenize(text)]
    attention = attend(encoder, PieceTokenizer(encoder, max_pieces=max_pieces), words)
    return AttentionView(
        source=source,
        words=tuple(_label(word) for word in words),
        attention=attention,
        patterns=find_heads(attention),
    )


def _label(word: str) -> str:
    shown = _UNSHOWN.sub("\ufffd", word)
    return shown if len(shown) <= _MAX_LABEL else shown[: _MAX_LABEL - 1] + "…"
