"""What each room takes from the settings; a room is imported only when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.model import Predictor
    from annotator.services.queue.cold_start import Warmup
    from annotator.services.queue.order import QueueSettings
    from annotator.services.sync.annotations import SplitRule
    from annotator.settings import Settings

__all__ = ["queue_settings", "split_rule", "warmup_of"]


def queue_settings(settings: Settings) -> QueueSettings:
    """Return the settings of the queue."""
    from annotator.services.queue.order import QueueSettings

    return QueueSettings(
        strategy=settings.strategy,
        batch=settings.batch,
        random_share=settings.random_share,
        per_document=settings.per_document,
        seed=settings.seed,
        warmup=settings.warmup,
    )


def warmup_of(settings: Settings) -> Warmup:
    """Return how the first tasks are chosen while there is no model."""
    from annotator.services.queue.cold_start import Warmup
    from annotator.services.queue.lexicon import load_lexicon, warmup_name

    def load() -> Predictor:
        from annotator.model.device import pick_device
        from annotator.model.untrained import load_untrained

        return load_untrained(settings.encoder, device=pick_device(settings.device))

    return Warmup(
        n=settings.warmup,
        name=warmup_name(settings.home),
        seed=settings.seed,
        encoder=load,
        lexicon=lambda: load_lexicon(settings.home),
    )


def split_rule(settings: Settings) -> SplitRule:
    """Return how documents from Label Studio are drawn into the hold-out."""
    from annotator.services.sync.annotations import SplitRule

    return SplitRule(holdout_share=settings.holdout_share, seed=settings.seed)
