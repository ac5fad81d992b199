"""What a label costs: seconds of an annotator's time."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["AnnotationCost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationCost:
    """Seconds of reading and labelling, linear in what is there (Wei et al. 2019).

    The defaults are an assumption, not a measurement: 200 words a minute to read, two seconds to
    open and submit, some seconds for each label that is checked or drawn.
    """

    sentence_s: float = 2.0
    word_s: float = 0.3
    entity_s: float = 3.0
    relation_s: float = 4.0

    def seconds(
        self, *, sentences: float, words: float, entities: float, relations: float
    ) -> float:
        """Return the seconds that so much takes."""
        return (
            self.sentence_s * sentences
            + self.word_s * words
            + self.entity_s * entities
            + self.relation_s * relations
        )

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return asdict(self)
