"""Interactive calls: the relations that the model predicts among the regions a person has drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from annotator.domain import Entity, Relation, Token, WordEntity
from annotator.services.inference.predictions import TextSentence
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page
from annotator.text import tokenize

if TYPE_CHECKING:  # loaded with the first model
    from annotator.model import Predictor

__all__ = ["relate_regions"]


def relate_regions(
    predictor: Predictor,
    drawn: Sequence[Any],
    *,
    text: str | Page,
    sentences: Sequence[TextSentence],
    config: LabelConfig,
) -> tuple[list[dict[str, Any]], float]:
    """Return the drawn regions and relations with predicted relations added, and a score.

    Regions of types that the model does not know, and pairs that a person has already related,
    are left as they are. The score is that of the least certain predicted relation.

    Raises:
        ModelError: if the model cannot be applied.
    """
    labels = result_to_labels(list(drawn), text=text, config=config)
    linked = {frozenset((r.head, r.tail)) for r in labels.relations}
    known = set(predictor.model.config.schema.entity_types)
    predicted: list[Relation] = []
    for sentence in sentences:
        tokens = _tokens(sentence)
        placed = [
            (entity, place)
            for entity in labels.entities
            if entity.type in known and (place := _place(entity, tokens, sentence.start))
        ]
        if len(placed) < 2:
            continue
        found = predictor.predict_relations(
            [sentence.text[t.start : t.end] for t in tokens], [place for _, place in placed]
        )
        predicted += [
            Relation(
                type=r.type, head=placed[r.head][0].id, tail=placed[r.tail][0].id, score=r.score
            )
            for r in found
            if r.type in config.relation_labels
        ]
    new = [r for r in predicted if frozenset((r.head, r.tail)) not in linked]
    score = min((r.score for r in new if r.score is not None), default=1.0)
    result = labels_to_result(
        labels.entities,
        [*labels.relations, *new],
        text=text,
        config=config,
        controls=labels.controls,
    )
    return result, min(max(score, 0.0), 1.0)


def _tokens(sentence: TextSentence) -> tuple[Token, ...]:
    if sentence.tokens:
        return tuple(Token(start=a, end=b) for a, b in sentence.tokens)
    return tokenize(sentence.text)


def _place(entity: Entity, tokens: Sequence[Token], start: int) -> WordEntity | None:
    """Return the words that an entity touches; a mouse rarely stops exactly at a word's edge."""
    inside = [
        i
        for i, token in enumerate(tokens)
        if token.start + start < entity.end and entity.start < token.end + start
    ]
    if not inside:
        return None
    return WordEntity(type=entity.type, first=inside[0], last=inside[-1])
