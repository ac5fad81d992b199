"""From documents with character spans to sentences with word spans, and back.

Labels that a flat sequence of tags and one directed relation per pair cannot express are left out
of the sentences, each named in an ``AlignmentIssue``; the document itself keeps everything. An edge
that a hand drew beside a word is moved to the word, in the sentences alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from annotator.domain import (
    Document,
    Entity,
    LabelSchema,
    Relation,
    Sentence,
    TaggedSentence,
    Token,
    WordEntity,
    WordRelation,
)
from annotator.text.segmentation import Segmentation, segment_document
from annotator.text.snap import snap_span

__all__ = ["Alignment", "AlignmentIssue", "IssueKind", "align_document", "to_entities"]

IssueKind = Literal[
    "overlap",
    "off_token_edge",
    "crosses_sentence",
    "several_labels",
    "relation_across_sentences",
    "relation_unlabelled",
    "relation_bidirectional",
    "relation_lost_entity",
    "duplicate_relation",
    "unusable_meta",
    "not_expressible",
]


# Relations that somebody drew between two kept entities; not learnt, their pair must not be taken
# for one without a relation.
_UNLEARNT = frozenset({"relation_unlabelled", "relation_bidirectional"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentIssue:
    """Something a format or the model cannot express, and why. Never holds text.

    ``item_id`` is an entity id, ``relations[i]`` for the document's i-th relation, or the key of
    ``meta`` that could not be used (``unusable_meta``: our own splitter was used instead).
    ``not_expressible`` is for what one file format alone cannot say.
    """

    kind: IssueKind
    document_id: str
    item_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The sentences of one document, and one issue per label left out of them.

    ``drawn`` holds, for each sentence, the document's entities that its entities are made of, in
    the same order. ``n_finished`` relations have the only type that the schema allows.
    """

    sentences: tuple[TaggedSentence, ...]
    issues: tuple[AlignmentIssue, ...]
    drawn: tuple[tuple[Entity, ...], ...] = ()
    n_finished: int = 0

    @property
    def n_snapped(self) -> int:
        """How many entities have edges that were moved to words."""
        return sum(
            (entity.start, entity.end) != (s.tokens[item.first].start, s.tokens[item.last].end)
            for s, entities in zip(self.sentences, self.drawn, strict=True)
            for item, entity in zip(s.entities, entities, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """An entity on token edges: its sentence and its words in that sentence."""

    entity: Entity
    i_sentence: int
    word_entity: WordEntity


def align_document(
    document: Document, *, group: str | None = None, schema: LabelSchema | None = None
) -> Alignment:
    """Split, tokenise and map the labels of ``document`` to words.

    ``meta["tokens"]`` and ``meta["sentences"]`` (lists of ``[start, end]``) replace the tokenizer
    and the splitter. Of overlapping entities the longest is kept, of equally long ones the earlier;
    of several labels on one span the first. Sentences that a kept entity reaches over are joined. A
    relation without a type gets the one that ``schema`` allows between its entities, if it allows
    just one. Each label left out is one issue; nothing raises.

    ``group`` names what must stay on one side of a split; None means ``meta["group"]`` or else the
    document id. Sentence ids are ``<document id>#<i>``; entities are in order of position.
    """
    segmentation, unusable = segment_document(document)
    issues = [
        AlignmentIssue(kind="unusable_meta", document_id=document.id, item_id=key, detail=why)
        for key, why in unusable
    ]
    incomplete: set[int] = set()
    own_tokens = "tokens" not in document.meta or "tokens" in dict(unusable)
    crossing = _crossing_spans(document, segmentation, trim=own_tokens)
    segmentation = segmentation.joined_over(crossing)
    placed = _place_entities(document, segmentation, issues, incomplete, trim=own_tokens)
    kept = _keep_flat(document, placed, issues)
    finished = _finish_relations(document, schema)
    n_finished = sum(
        new.type != old.type for new, old in zip(finished, document.relations, strict=True)
    )
    document = replace(document, relations=finished)
    name = group or str(document.meta.get("group") or document.id)
    return Alignment(
        sentences=_build_sentences(document, segmentation, kept, issues, incomplete, group=name),
        issues=tuple(issues),
        drawn=tuple(
            tuple(item.entity for item in items) for items in _by_sentence(kept, segmentation)
        ),
        n_finished=n_finished,
    )


def _crossing_spans(
    document: Document, segmentation: Segmentation, *, trim: bool
) -> list[tuple[int, int]]:
    """Return the first and last token of the entities to keep, if one is in two sentences."""
    ends = [sentence.end for sentence in segmentation.sentences]
    if all(bisect_right(ends, e.start) == bisect_left(ends, e.end) for e in document.entities):
        return []
    whole = replace(
        segmentation,
        sentences=(Sentence(start=0, end=len(document.text)),),
        token_sentences=(0,) * len(segmentation.tokens),
        first_tokens=(0,),
    )
    kept = _keep_flat(document, _place_entities(document, whole, [], set(), trim=trim), [])
    return [(item.word_entity.first, item.word_entity.last) for item in kept.values()]


def _place_entities(
    document: Document,
    segmentation: Segmentation,
    issues: list[AlignmentIssue],
    incomplete: set[int],
    *,
    trim: bool,
) -> list[_Placed]:
    starts = [token.start for token in segmentation.tokens]
    ends = [token.end for token in segmentation.tokens]
    sentences = segmentation.token_sentences
    placed = []
    for entity in document.entities:
        span = snap_span(
            document.text, entity.start, entity.end, starts=starts, ends=ends, trim=trim
        )
        if span is None or sentences[span[0]] != sentences[span[1]]:
            touched = sentences[bisect_right(ends, entity.start) : bisect_left(starts, entity.end)]
            incomplete.update(touched)
            kind, detail = _edge_problem(entity, span, touched)
            issues.append(
                AlignmentIssue(kind=kind, document_id=document.id, item_id=entity.id, detail=detail)
            )
            continue
        i_sentence = sentences[span[0]]
        offset = segmentation.first_tokens[i_sentence]
        word_entity = WordEntity(type=entity.type, first=span[0] - offset, last=span[1] - offset)
        placed.append(_Placed(entity=entity, i_sentence=i_sentence, word_entity=word_entity))
    return placed


def _edge_problem(
    entity: Entity, span: tuple[int, int] | None, touched: Sequence[int]
) -> tuple[IssueKind, str]:
    where = f"{entity.start}..{entity.end}"
    if not touched:
        return "off_token_edge", f"{where} holds no token"
    if span is None:
        return "off_token_edge", f"{where} cuts a token"
    return "crosses_sentence", f"{where} reaches from sentence {touched[0]} to {touched[-1]}"


def _finish_relations(document: Document, schema: LabelSchema | None) -> tuple[Relation, ...]:
    if schema is None:
        return document.relations
    types = {entity.id: entity.type for entity in document.entities}
    return tuple(
        relation
        if relation.type is not None
        else replace(relation, type=schema.only_type(types[relation.head], types[relation.tail]))
        for relation in document.relations
    )


def _keep_flat(
    document: Document, placed: list[_Placed], issues: list[AlignmentIssue]
) -> dict[str, _Placed]:
    """Return the kept entities by id; longest first, so that no two kept overlap."""
    owners: dict[tuple[int, int], _Placed] = {}
    kept: dict[str, _Placed] = {}
    for item in sorted(placed, key=lambda p: (p.entity.start - p.entity.end, p.entity.start)):
        words = range(item.word_entity.first, item.word_entity.last + 1)
        other = next(
            (owners[item.i_sentence, i] for i in words if (item.i_sentence, i) in owners), None
        )
        if other is None:
            kept[item.entity.id] = item
            owners.update(((item.i_sentence, i), item) for i in words)
            continue
        same_span = other.word_entity.first == item.word_entity.first and (
            other.word_entity.last == item.word_entity.last
        )
        relabelled = same_span and other.entity.type != item.entity.type
        verb = "has the span of" if same_span else "overlaps"
        issues.append(
            AlignmentIssue(
                kind="several_labels" if relabelled else "overlap",
                document_id=document.id,
                item_id=item.entity.id,
                detail=f"{item.entity.start}..{item.entity.end} {verb} "
                f"{other.entity.id}, which is kept",
            )
        )
    return kept


def _by_sentence(kept: dict[str, _Placed], segmentation: Segmentation) -> list[list[_Placed]]:
    """Return the kept entities of each sentence, in order of position."""
    found: list[list[_Placed]] = [[] for _ in segmentation.sentences]
    for item in sorted(kept.values(), key=lambda item: item.word_entity.first):
        found[item.i_sentence].append(item)
    return found


def _build_sentences(
    document: Document,
    segmentation: Segmentation,
    kept: dict[str, _Placed],
    issues: list[AlignmentIssue],
    incomplete: set[int],
    *,
    group: str,
) -> tuple[TaggedSentence, ...]:
    by_sentence = _by_sentence(kept, segmentation)
    ranks = {item.entity.id: rank for items in by_sentence for rank, item in enumerate(items)}
    relations = _place_relations(document, kept, ranks, issues, incomplete)
    sentences = []
    for i, span in enumerate(segmentation.sentences):
        tokens = segmentation.sentence_tokens(i)
        sentences.append(
            TaggedSentence(
                id=f"{document.id}#{i}",
                words=tuple(document.text[token.start : token.end] for token in tokens),
                tokens=tokens,
                start=span.start,
                end=span.end,
                entities=tuple(item.word_entity for item in by_sentence[i]),
                relations=tuple(relations.get(i, ())),
                group=group,
                is_complete=i not in incomplete,
            )
        )
    return tuple(sentences)


def _place_relations(
    document: Document,
    kept: dict[str, _Placed],
    ranks: dict[str, int],
    issues: list[AlignmentIssue],
    incomplete: set[int],
) -> dict[int, list[WordRelation]]:
    relations: dict[int, list[WordRelation]] = {}
    seen: set[tuple[str | None, str, str]] = set()
    for i, relation in enumerate(document.relations):
        problem = _relation_problem(relation, kept, seen)
        if problem is not None:
            if problem in _UNLEARNT:
                incomplete.update(_common_sentence(relation, kept))
            issues.append(
                AlignmentIssue(
                    kind=problem,
                    document_id=document.id,
                    item_id=f"relations[{i}]",
                    detail=f"{relation.type} from {relation.head} to {relation.tail}",
                )
            )
            continue
        seen.add((relation.type, relation.head, relation.tail))
        relations.setdefault(kept[relation.head].i_sentence, []).append(
            WordRelation(
                type=str(relation.type), head=ranks[relation.head], tail=ranks[relation.tail]
            )
        )
    return relations


def _common_sentence(relation: Relation, kept: dict[str, _Placed]) -> set[int]:
    """Return the sentence of both ends, or nothing: across sentences no pair is learnt."""
    ends = {kept[end].i_sentence for end in (relation.head, relation.tail) if end in kept}
    return ends if len(ends) == 1 and {relation.head, relation.tail} <= kept.keys() else set()


def _relation_problem(
    relation: Relation, kept: dict[str, _Placed], seen: set[tuple[str | None, str, str]]
) -> IssueKind | None:
    if relation.type is None:
        return "relation_unlabelled"
    if relation.bidirectional:
        return "relation_bidirectional"
    if relation.head not in kept or relation.tail not in kept:
        return "relation_lost_entity"
    if kept[relation.head].i_sentence != kept[relation.tail].i_sentence:
        return "relation_across_sentences"
    if (relation.type, relation.head, relation.tail) in seen:
        return "duplicate_relation"
    return None


def to_entities(
    tokens: Sequence[Token],
    word_entities: Sequence[WordEntity],
    word_relations: Sequence[WordRelation] = (),
    *,
    prefix: str = "e",
) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
    """Map labels over the words of one sentence back to document offsets.

    ``tokens`` have offsets into the document. Ids are ``<prefix>1``, ``<prefix>2``, …; give each
    sentence of a document its own prefix. Entities keep their order; scores are kept.
    """
    entities = tuple(
        Entity(
            id=f"{prefix}{n}",
            type=item.type,
            start=tokens[item.first].start,
            end=tokens[item.last].end,
            score=item.score,
        )
        for n, item in enumerate(word_entities, start=1)
    )
    relations = tuple(
        Relation(
            type=item.type,
            head=entities[item.head].id,
            tail=entities[item.tail].id,
            score=item.score,
        )
        for item in word_relations
    )
    return entities, relations
