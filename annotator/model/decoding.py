"""From tag scores to tags, and from tags to spans, for a whole batch at once.

Tag classes are those of ``annotator.text.tag_names``: 0 is ``O``; type ``t`` has ``B- I- E- S-``
at ``1 + 4t`` to ``4 + 4t``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Spans",
    "decode_argmax",
    "decode_constrained",
    "find_spans",
    "join_neighbours",
    "legal_mask",
]

_BEGIN, _INSIDE, _END, _SINGLE = 0, 1, 2, 3
_IMPOSSIBLE = -1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The well-formed entities of a batch of tag sequences, marked at their last words.

    Attributes:
        ends: True at the last word of an entity. Shape ``(batch, words)``, bool.
        first: First word of the entity that ends here; meaningless elsewhere.
            Shape ``(batch, words)``, int64.
    """

    ends: Tensor
    first: Tensor


def _tag_kind(tags: Tensor) -> Tensor:
    """Return 0..3 for B I E S, negative for O and padding; shape as given."""
    return torch.where(tags > 0, (tags - 1) % 4, -1)


def _continues(tags: Tensor) -> Tensor:
    """Return where a word continues the entity of the word before. Shape as ``tags``, bool."""
    kind, type_ = _tag_kind(tags), (tags - 1).div(4, rounding_mode="floor")
    open_before = (kind == _BEGIN) | (kind == _INSIDE)
    goes_on = (kind == _INSIDE) | (kind == _END)
    joined = torch.zeros_like(goes_on)
    joined[:, 1:] = goes_on[:, 1:] & open_before[:, :-1] & (type_[:, 1:] == type_[:, :-1])
    return joined


def find_spans(tags: Tensor) -> Spans:
    """Find the entities ``S-X`` and ``B-X I-X* E-X``; ill-formed sequences yield none.

    ``tags`` are tag classes, shape ``(batch, words)``, int64; padding is ``O`` or negative.
    """
    kind, joined = _tag_kind(tags), _continues(tags)
    index = torch.arange(tags.shape[1], device=tags.device).expand_as(tags)  # (batch, words)
    first = torch.where(joined, torch.zeros_like(index), index).cummax(dim=1).values
    begins_well = kind.gather(1, first) == _BEGIN  # (batch, words)
    ends = (kind == _SINGLE) | ((kind == _END) & joined & begins_well)
    return Spans(ends=ends, first=first)


def legal_mask(tags: Tensor) -> Tensor:
    """Return which sequences are legal BIOES. ``tags`` ``(batch, words)`` -> ``(batch,)``, bool."""
    kind, joined = _tag_kind(tags), _continues(tags)
    open_ = (kind == _BEGIN) | (kind == _INSIDE)
    must_join = (kind == _INSIDE) | (kind == _END)
    closed_next = torch.ones_like(open_)
    closed_next[:, :-1] = ~joined[:, 1:]
    return ~((must_join & ~joined) | (open_ & closed_next)).any(dim=1)  # (batch,)


def decode_argmax(logits: Tensor, *, word_mask: Tensor) -> Tensor:
    """Take the best tag of each word on its own, as in the paper; padding becomes ``O``.

    Args:
        logits: Tag scores. Shape ``(batch, words, 4 * types + 1)``.
        word_mask: True where a word is real. Shape ``(batch, words)``, bool.

    Returns:
        Tag classes. Shape ``(batch, words)``, int64.
    """
    return logits.argmax(dim=-1) * word_mask  # (batch, words)


def decode_constrained(logits: Tensor, *, word_mask: Tensor) -> Tensor:
    """Find the best legal BIOES sequence of each sentence (Viterbi).

    If the best tags of the single words form a legal sequence they are the answer; only the other
    sentences are searched. Time is O(words * types), not types squared, because all tags that
    close an entity have the same successors.

    Args:
        logits: Tag scores. Shape ``(batch, words, 4 * types + 1)``; any float type.
        word_mask: True where a word is real, padding on the right. Shape ``(batch, words)``, bool.

    Returns:
        Tag classes, ``O`` where padded. Shape ``(batch, words)``, int64.
    """
    tags = decode_argmax(logits, word_mask=word_mask)
    if tags.shape[1] == 0:
        return tags
    illegal = (~legal_mask(tags)).nonzero().squeeze(1)  # (illegal sentences,)
    if illegal.numel():
        mask = word_mask[illegal]  # (illegal sentences, words)
        longest = int(mask.sum(dim=1).max())
        scores = logits[illegal, :longest].float().log_softmax(dim=-1)
        tags[illegal, :longest] = _search(scores, mask[:, :longest])
    return tags


def join_neighbours(tags: Tensor, *, joined: Tensor) -> Tensor:
    """Make one entity of those of one type that follow each other without a word between them.

    Args:
        tags: Tag classes, legal BIOES. Shape ``(batch, words)``, int64.
        joined: True for the types that this is done for. Shape ``(types,)``, bool.

    Returns:
        Tag classes. Shape ``(batch, words)``, int64.
    """
    kind, type_ = _tag_kind(tags), (tags - 1).div(4, rounding_mode="floor")
    begins = (kind == _BEGIN) | (kind == _SINGLE)
    ends = (kind == _END) | (kind == _SINGLE)
    link = torch.zeros_like(begins)  # True where the entity goes on that ends a word before
    link[:, 1:] = ends[:, :-1] & begins[:, 1:] & (type_[:, 1:] == type_[:, :-1])
    link &= joined[type_.clamp(min=0)]
    followed = torch.zeros_like(link)
    followed[:, :-1] = link[:, 1:]
    begins, ends = begins & ~link, ends & ~followed
    closing = torch.where(begins, _SINGLE, _END)
    kind = torch.where(ends, closing, torch.where(begins, _BEGIN, _INSIDE))
    return torch.where(tags > 0, 4 * type_ + 1 + kind, tags)


def _search(scores: Tensor, word_mask: Tensor) -> Tensor:
    """Run Viterbi forwards and backwards. ``(batch, words, tags)`` -> ``(batch, words)``."""
    n_sentences, n_words, n_tags = scores.shape
    padding = torch.full((n_tags,), _IMPOSSIBLE, device=scores.device)
    padding[0] = 0.0
    scores = torch.where(word_mask[..., None], scores, padding)  # (batch, words, tags)
    typed = scores[..., 1:].reshape(n_sentences, n_words, -1, 4)  # (batch, words, types, 4)
    n_types = typed.shape[2]
    whole, end = typed[..., _SINGLE], typed[..., _END]  # (batch, words, types) each
    closing = torch.cat((scores[..., :1], whole, end), dim=2)  # (batch, words, 1 + 2 * types)
    closed = scores.new_zeros(n_sentences)  # (batch,)
    open_ = scores.new_full((n_sentences, n_types), _IMPOSSIBLE)  # (batch, types)
    closed_choice = []  # 0 is O, then S- of each type, then E- of each type
    begin_choice = []  # True where the open state of a type begins here
    for n in range(n_words):
        outside = closed[:, None].expand(-1, 1 + n_types)  # (batch, 1 + types)
        before = torch.cat((outside, open_), dim=1)  # (batch, 1 + 2 * types)
        begin = closed[:, None] + typed[:, n, :, _BEGIN]  # (batch, types)
        inside = open_ + typed[:, n, :, _INSIDE]  # (batch, types)
        begin_choice.append(begin >= inside)
        open_ = torch.maximum(begin, inside)
        closed, choice = (before + closing[:, n]).max(dim=1)  # (batch,) each
        closed_choice.append(choice)
    closed_choices = torch.stack(closed_choice, dim=1)  # (batch, words)
    begin_choices = torch.stack(begin_choice, dim=1)  # (batch, words, types)
    return _trace(closed_choices, begin_choices)


def _trace(closed_choice: Tensor, begin_choice: Tensor) -> Tensor:
    """Follow the choices back from the closed state after the last word.

    Args:
        closed_choice: Best way into the closed state. Shape ``(batch, words)``, int64.
        begin_choice: True where the open state begins. Shape ``(batch, words, types)``, bool.
    """
    n_sentences, n_words, n_types = begin_choice.shape
    tags = torch.zeros_like(closed_choice)
    inside_of = closed_choice.new_full((n_sentences, 1), -1)  # type of the open state, -1 closed
    for n in range(n_words - 1, -1, -1):
        choice = closed_choice[:, n : n + 1]  # (batch, 1)
        is_end = choice > n_types
        is_single = (choice > 0) & ~is_end
        type_ = torch.where(is_end, choice - 1 - n_types, choice - 1)
        closed_tag = torch.where(is_end, 4 * type_ + 3, torch.where(is_single, 4 * type_ + 4, 0))
        begins = begin_choice[:, n].gather(1, inside_of.clamp(min=0))  # (batch, 1)
        open_tag = 4 * inside_of + torch.where(begins, 1, 2)
        is_open = inside_of >= 0
        tags[:, n : n + 1] = torch.where(is_open, open_tag, closed_tag)
        after_closed = torch.where(is_end, type_, -1)
        after_open = torch.where(begins, -1, inside_of)
        inside_of = torch.where(is_open, after_open, after_closed)
    return tags
