"""The requests of Label Studio, made from sentences: tasks, predictions to make, events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotator.domain import Document
from annotator.studio.config import LabelConfig
from annotator.text import segment_document

__all__ = ["Traffic", "sentence_texts"]

_CREATED = "2026-01-01T00:00:00.000000Z"
_PROJECT = {"id": 1, "title": "Bench", "created_at": _CREATED}
_KEY = "1.1767225600"


def sentence_texts(documents: Sequence[Document]) -> list[str]:
    """Return the texts of all sentences in order, without repetitions."""
    found = [
        document.text[s.start : s.end]
        for document in documents
        for s in segment_document(document)[0].sentences
    ]
    return [text for text in dict.fromkeys(found) if text.strip()]


class Traffic:
    """Makes request bodies; texts are used in turn.

    Args:
        texts: Sentences, at least one.
        config_xml: The labeling configuration sent with every request.
        config: The same, parsed.
    """

    def __init__(self, texts: Sequence[str], *, config_xml: str, config: LabelConfig) -> None:
        self.texts = texts
        self._xml = config_xml
        self._config = config

    def setup(self) -> dict[str, Any]:
        """Return the body of ``/setup``."""
        return {
            "project": _KEY,
            "schema": self._xml,
            "hostname": "http://127.0.0.1:8080",
            "access_token": "not-a-token",
            "extra_params": None,
        }

    def predict(self, texts: Sequence[str], *, drawn: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the body of ``/predict`` for one task per text."""
        context = {"result": list(drawn)} if drawn else None
        return {
            "tasks": [self._task(i + 1, text) for i, text in enumerate(texts)],
            "project": _KEY,
            "label_config": self._xml,
            "params": {"login": None, "password": None, "context": context},
        }

    def event(self, number: int) -> dict[str, Any]:
        """Return the event of a submitted annotation, the same for the same number."""
        text = self.texts[number % len(self.texts)]
        when = (
            f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z"
        )
        annotation = {
            "id": number + 1,
            "task": number + 1,
            "project": 1,
            "result": self.regions(text),
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": when,
            "updated_at": when,
            "lead_time": 12.5,
            "prediction": {},
            "completed_by": 1,
            "parent_prediction": None,
        }
        return {
            "action": "ANNOTATION_CREATED",
            "project": {**_PROJECT, "label_config": self._xml, "token": "not-a-token"},
            "annotation": annotation,
            # Texts repeat, tasks must not: each ends in a number.
            "task": self._task(number + 1, f"{text} {number + 1}"),
        }

    def regions(self, text: str) -> list[dict[str, Any]]:
        """Return the first two words of a text as drawn regions."""
        words = text.split()[:2]
        starts = [text.index(words[0])]
        starts += [text.index(word, starts[0] + len(words[0])) for word in words[1:]]
        return [
            {
                "id": f"r{i}",
                "from_name": self._config.control_name,
                "to_name": self._config.text_name,
                "type": "labels",
                "value": {
                    "start": start,
                    "end": start + len(word),
                    "text": word,
                    "labels": [self._config.labels[i % len(self._config.labels)]],
                },
            }
            for i, (start, word) in enumerate(zip(starts, words, strict=True))
        ]

    def _task(self, number: int, text: str) -> dict[str, Any]:
        return {
            "id": number,
            "data": {self._config.text_field: text, "sent_start": 0, "doc_id": f"bench-{number}"},
            "meta": {},
            "project": 1,
            "is_labeled": False,
            "overlap": 1,
            "annotations": [],
            "predictions": [],
            "created_at": _CREATED,
            "updated_at": _CREATED,
        }
