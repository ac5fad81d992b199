"""What the tests of publishing share: how the queue is made, and the texts of the pool."""

from __future__ import annotations

from annotator.services.queue.order import QueueSettings

QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)
TEXTS = (
    "Aspirin induced severe rash . Fever was treated with ibuprofen .",
    "The patient lives in paris. Nausea and pain after aspirin.",
)
