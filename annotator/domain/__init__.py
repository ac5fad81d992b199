"""What the project talks about: documents, spans, labels and schemas. Pure values, no I/O."""

from annotator.domain.document import Document, Entity, Relation, Sentence, Token
from annotator.domain.schema import LabelSchema
from annotator.domain.tagged import TaggedSentence, WordEntity, WordRelation

__all__ = [
    "Document",
    "Entity",
    "LabelSchema",
    "Relation",
    "Sentence",
    "TaggedSentence",
    "Token",
    "WordEntity",
    "WordRelation",
]
