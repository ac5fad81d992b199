"""The result of an adaptation, and its card for people; neither contains any text."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from annotator.training.settings import AdaptationSettings

__all__ = ["CARD_TITLE", "AdaptationResult", "TextSource", "write_card"]

CARD_TITLE = "# An encoder adapted to text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """Where text comes from.

    Attributes:
        name: Name of the file or folder, without its parent folders.
        format: Format it was read in.
        sha256: Of the file; of a folder, over the names and hashes of its files in order.
    """

    name: str
    format: str
    sha256: str
    n_documents: int
    n_sentences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationResult:
    """The result of a run.

    Attributes:
        encoder: Name of the encoder that was adapted.
        base_sha256: SHA-256 of its weights.
        weights_sha256: SHA-256 of the file of the adapted weights.
        n_sentences: Sentences learnt from.
        n_left_out: Sentences skipped: repeated, or too short.
        n_words: Words read in all steps.
        loss_before: Mean loss on hidden words of the held-out sentences; for a fresh head, after
            its warm-up and before the encoder changed. NaN if nothing was held out.
        loss_after: The same at the end.
        train_s: Seconds spent in steps.
        words_per_s: Words per second in steps.
        resumed_from: Step from which an interrupted run resumed; 0 for a fresh one.
        fresh_head: Whether the encoder came without a head for hidden words.
        precision: ``fp32`` or ``bf16``, in which the encoder computed.
    """

    folder: Path
    encoder: str
    base_sha256: str
    weights_sha256: str
    n_sentences: int
    n_held_out: int
    n_left_out: int
    n_steps: int
    n_words: int
    loss_before: float
    loss_after: float
    train_s: float
    words_per_s: float
    resumed_from: int
    fresh_head: bool
    precision: str

    @property
    def perplexity_before(self) -> float:
        """``loss_before`` as a perplexity: the number of equally likely pieces to choose from."""
        return math.exp(self.loss_before)

    @property
    def perplexity_after(self) -> float:
        """``loss_after`` as a perplexity."""
        return math.exp(self.loss_after)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what was not measured is None."""
        values = {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "folder": str(self.folder),
            "perplexity_before": self.perplexity_before,
            "perplexity_after": self.perplexity_after,
        }
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in values.items()
        }


def write_card(
    result: AdaptationResult, *, settings: AdaptationSettings, sources: Sequence[TextSource]
) -> str:
    """Return the card of an adapted encoder, in Markdown."""
    rows = [
        f"| {source.name} | {source.format} | {source.n_documents:,} | {source.n_sentences:,} | "
        f"`{source.sha256}` |"
        for source in sources
    ]
    table = ["| file | format | documents | sentences | SHA-256 |", "|---|---|---|---|---|", *rows]
    held_out = (
        "Nothing was held out, so nothing was measured."
        if math.isnan(result.loss_after)
        else f"| | loss | perplexity |\n|---|---|---|\n"
        f"| before | {result.loss_before:.3f} | {result.perplexity_before:.1f} |\n"
        f"| after | {result.loss_after:.3f} | {result.perplexity_after:.1f} |"
    )
    return _CARD.format(
        encoder=result.encoder,
        base_sha256=result.base_sha256,
        sources="\n".join(table if rows else ["Not recorded."]),
        n_sentences=result.n_sentences,
        n_held_out=result.n_held_out,
        n_left_out=result.n_left_out,
        min_words=settings.min_words,
        head="a fresh head" if result.fresh_head else "the head it came with",
        n_steps=result.n_steps,
        n_words=result.n_words,
        precision=result.precision,
        held_out=held_out,
        settings=json.dumps(settings.to_json(), indent=2),
    )


_CARD = (
    f"{CARD_TITLE}\n"
    + """
Made from the encoder `{encoder}` (SHA-256 over its weights `{base_sha256}`) by `annotator adapt`:
masked words were guessed in the text below, with {head}. Name this folder as the encoder of a
project to train from it.

**As confidential as the text.** The folder holds no text, but weights can remember rare words and
phrases of what they were trained on. Do not give it to anybody who may not read the text.

## Text

{sources}

Learnt from {n_sentences:,} different sentences; {n_held_out:,} more were held out. {n_left_out:,}
were passed over: they repeat another or have fewer than {min_words} words.

## Result

{n_steps:,} steps over {n_words:,} words, in {precision}. The loss is the mean over the hidden words
of the held-out sentences; *before* is that of the encoder as it came, its head warmed up if it
was fresh.

{held_out}

## Settings

```json
{settings}
```
"""
)
