"""Batches: word pieces and gold labels of sentences of similar length, as tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.domain import TaggedSentence
from annotator.errors import ShapeError
from annotator.model.config import ModelConfig
from annotator.model.pieces import PieceSentence, PieceTokenizer
from annotator.text import encode_bioes

__all__ = [
    "IGNORED_TAG",
    "Batch",
    "GoldEncoder",
    "GoldLabels",
    "collate",
    "cut_batches",
    "piece_places",
    "plan_batches",
]

IGNORED_TAG = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldLabels:
    """The labels of one sentence.

    Attributes:
        tags: Tag class of each word. Shape ``(words,)``, int64.
        relations: Last word of the head, last word of the tail, relation class (never 0).
            Shape ``(relations, 3)``, int64.
    """

    tags: NDArray[np.int64]
    relations: NDArray[np.int64]


class GoldEncoder:
    """Converts sentences to the class numbers of one configuration.

    Entities and relations whose type the schema does not have, second relations of one ordered
    pair of entities, and relations from an entity to itself are left out and counted.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._tag_class = {tag: i for i, tag in enumerate(config.tags)}
        self._types = frozenset(config.schema.entity_types)
        self._relation_class = {name: i for i, name in enumerate(config.relation_classes)}
        self.left_out: Counter[str] = Counter()

    def encode(self, sentence: TaggedSentence) -> GoldLabels:
        """Return the class numbers of ``sentence``."""
        known = [entity for entity in sentence.entities if entity.type in self._types]
        self.left_out.update(
            f"entity {entity.type}"
            for entity in sentence.entities
            if entity.type not in self._types
        )
        tags = encode_bioes(len(sentence.words), known)
        return GoldLabels(
            tags=np.array([self._tag_class[tag] for tag in tags], dtype=np.int64),
            relations=self._encode_relations(sentence),
        )

    def _encode_relations(self, sentence: TaggedSentence) -> NDArray[np.int64]:
        triples: dict[tuple[int, int], int] = {}
        for relation in sentence.relations:
            head, tail = sentence.entities[relation.head], sentence.entities[relation.tail]
            label = self._relation_class.get(relation.type, 0)
            pair = (head.last, tail.last)
            if not label or head.type not in self._types or tail.type not in self._types:
                self.left_out[f"relation {relation.type}"] += 1
            elif pair in triples or head.last == tail.last:
                self.left_out[f"second or reflexive relation {relation.type}"] += 1
            else:
                triples[pair] = label
        rows = [(head, tail, label) for (head, tail), label in triples.items()]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)  # (relations, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The tensors of one forward pass. A sentence takes one row of pieces per window.

    Attributes:
        input_ids: Piece ids, padded. Shape ``(rows, pieces)``, int64.
        attention_mask: True where a piece is real. Shape ``(rows, pieces)``, bool.
        shapes: Shape class of each piece's word, 0 for special pieces and padding.
            Shape ``(rows, pieces)``, int64.
        word_piece: Index of a word's first piece in the flattened ``(rows * pieces)``; 0 where
            padded. Shape ``(batch, words)``, int64.
        word_length: Number of pieces of a word; 0 where padded. Shape ``(batch, words)``, int64.
        word_mask: True where a word is real. Shape ``(batch, words)``, bool.
        tags: Gold tag classes, ``IGNORED_TAG`` where padded. Shape ``(batch, words)``, int64.
            None without gold.
        relations: Sentence, last word of head, last word of tail, class.
            Shape ``(relations, 4)``, int64. None without gold.
    """

    input_ids: Tensor
    attention_mask: Tensor
    shapes: Tensor
    word_piece: Tensor
    word_length: Tensor
    word_mask: Tensor
    tags: Tensor | None = None
    relations: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``."""
        return Batch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            attention_mask=self.attention_mask.to(device, non_blocking=True),
            shapes=self.shapes.to(device, non_blocking=True),
            word_piece=self.word_piece.to(device, non_blocking=True),
            word_length=self.word_length.to(device, non_blocking=True),
            word_mask=self.word_mask.to(device, non_blocking=True),
            tags=None if self.tags is None else self.tags.to(device, non_blocking=True),
            relations=(
                None if self.relations is None else self.relations.to(device, non_blocking=True)
            ),
        )

    def hide_words(self, share: float, *, mask_id: int) -> Batch:
        """Return the same batch with a random ``share`` of its words masked, with all their pieces.

        Draws from torch's global generator.
        """
        hidden = (torch.rand(self.word_mask.shape, device=self.word_mask.device) < share).where(
            self.word_mask, False
        )
        places, _ = piece_places(self.word_piece[hidden], self.word_length[hidden])
        ids = self.input_ids.flatten().clone()  # (rows * pieces,)
        ids[places] = mask_id
        return replace(self, input_ids=ids.view_as(self.input_ids))  # (rows, pieces)


def piece_places(first: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """List the indices of the pieces of some words in the flattened rows, word by word.

    Args:
        first: Index of each word's first piece. Shape ``(words,)``, int64.
        length: Number of pieces of each word. Shape ``(words,)``, int64.

    Returns:
        The indices, shape ``(pieces,)``, and where each word begins in them, shape ``(words,)``.
    """
    offsets = length.cumsum(0) - length  # (words,)
    within = torch.arange(int(length.sum()), device=first.device)  # (pieces,)
    return within + (first - offsets).repeat_interleave(length), offsets


def cut_batches(
    order: NDArray[np.int64], costs: NDArray[np.int64], *, token_budget: int, batch_size: int
) -> list[NDArray[np.int64]]:
    """Cut ``order`` into consecutive batches of bounded size and padded cost.

    A batch has at most ``batch_size`` sentences, and their number times their greatest cost is at
    most ``token_budget`` pieces; a sentence that costs more than that is a batch by itself.

    ``order`` holds indices of sentences, shape ``(sentences,)``; ``costs`` is indexed by them.
    """
    batches: list[NDArray[np.int64]] = []
    start, longest = 0, 0
    for i, cost in enumerate(costs[order].tolist()):
        longest = max(longest, cost)
        count = i - start + 1
        if count > 1 and (count > batch_size or count * longest > token_budget):
            batches.append(order[start:i])
            start, longest = i, cost
    if start < len(order):
        batches.append(order[start:])
    return batches


def plan_batches(
    costs: Sequence[int], *, token_budget: int, batch_size: int = 1024
) -> list[NDArray[np.int64]]:
    """Group sentences for inference: longest first, batches of at most ``token_budget`` pieces."""
    array = np.array(costs, dtype=np.int64)
    order = np.argsort(-array, kind="stable").astype(np.int64)
    return cut_batches(order, array, token_budget=token_budget, batch_size=batch_size)


def collate(
    sentences: Sequence[PieceSentence],
    tokenizer: PieceTokenizer,
    *,
    gold: Sequence[GoldLabels] | None = None,
) -> Batch:
    """Put tokenised sentences, and their labels if given, into the tensors of one batch.

    Raises:
        ShapeError: if there are not as many labels as sentences or words.
    """
    n_special = len(tokenizer.prefix) + len(tokenizer.suffix)
    windows = [sentence.windows for sentence in sentences]
    lengths = np.concatenate([one.end - one.start for one in windows]) + n_special  # (rows,)
    width = int(lengths.max())
    ids, shapes = _fill_rows(sentences, tokenizer, lengths)
    word_piece, word_length = _place_words(sentences, n_prefix=len(tokenizer.prefix), width=width)
    counts = np.array([sentence.n_words for sentence in sentences])  # (batch,)
    word_mask = np.arange(word_piece.shape[1]) < counts[:, None]  # (batch, words)
    tags, relations = (None, None) if gold is None else _collate_gold(gold, counts)
    return Batch(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(np.arange(width) < lengths[:, None]),  # (rows, pieces)
        shapes=torch.from_numpy(shapes),
        word_piece=torch.from_numpy(word_piece),
        word_length=torch.from_numpy(word_length),
        word_mask=torch.from_numpy(word_mask),
        tags=tags,
        relations=relations,
    )


def _fill_rows(
    sentences: Sequence[PieceSentence], tokenizer: PieceTokenizer, lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return piece ids and shape classes, one row per window, each ``(rows, pieces)``."""
    n_prefix, n_suffix = len(tokenizer.prefix), len(tokenizer.suffix)
    ids = np.full((len(lengths), int(lengths.max())), tokenizer.pad_id, dtype=np.int64)
    shapes = np.zeros_like(ids)
    ids[:, :n_prefix] = tokenizer.prefix
    i_row = 0
    for sentence in sentences:
        windows = sentence.windows
        for start, end in zip(windows.start.tolist(), windows.end.tolist(), strict=True):
            stop = n_prefix + end - start
            ids[i_row, n_prefix:stop] = sentence.ids[start:end]
            shapes[i_row, n_prefix:stop] = sentence.shapes[start:end]
            ids[i_row, stop : stop + n_suffix] = tokenizer.suffix
            i_row += 1
    return ids, shapes


def _place_words(
    sentences: Sequence[PieceSentence], *, n_prefix: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``word_piece`` and ``word_length`` of a batch with rows of ``width`` pieces."""
    n_words = max(sentence.n_words for sentence in sentences)
    word_piece = np.zeros((len(sentences), n_words), dtype=np.int64)
    word_length = np.zeros_like(word_piece)
    first_row = 0
    for i, sentence in enumerate(sentences):
        owner = sentence.windows.owner
        within = n_prefix + sentence.first_piece - sentence.windows.start[owner]  # (words,)
        word_piece[i, : sentence.n_words] = (first_row + owner) * width + within
        word_length[i, : sentence.n_words] = np.diff(sentence.first_piece, append=len(sentence.ids))
        first_row += len(sentence.windows.start)
    return word_piece, word_length


def _collate_gold(gold: Sequence[GoldLabels], counts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    found = [len(labels.tags) for labels in gold]
    if found != counts.tolist():
        raise ShapeError("the gold labels do not have as many words as the sentences of the batch")
    tags = np.full((len(gold), int(counts.max())), IGNORED_TAG, dtype=np.int64)
    for i, labels in enumerate(gold):
        tags[i, : len(labels.tags)] = labels.tags
    n_relations = [len(labels.relations) for labels in gold]
    owners = np.repeat(np.arange(len(gold)), n_relations)  # (relations,)
    triples = np.concatenate([labels.relations for labels in gold])  # (relations, 3)
    rows = np.concatenate([owners[:, None], triples], axis=1).astype(np.int64)  # (relations, 4)
    return torch.from_numpy(tags), torch.from_numpy(rows)
