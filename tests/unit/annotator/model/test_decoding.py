from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from annotator.domain import WordEntity
from annotator.model import JointModel
from annotator.model.decoding import (
    decode_argmax,
    decode_constrained,
    find_spans,
    join_neighbours,
    legal_mask,
)
from annotator.text import decode_bioes, encode_bioes, tag_names

NAMES = tag_names(("X", "Y"))


def is_legal(tags: tuple[int, ...]) -> bool:
    names = [NAMES[tag] for tag in tags]
    try:
        return encode_bioes(len(names), decode_bioes(names)) == names
    except ValueError:
        return False


def brute_force(scores: Tensor) -> list[int]:
    log_probs = scores.log_softmax(dim=-1)
    best, best_tags = -float("inf"), ()
    for tags in itertools.product(range(len(NAMES)), repeat=len(scores)):
        value = float(sum(log_probs[n, tag] for n, tag in enumerate(tags)))
        if value > best and is_legal(tags):
            best, best_tags = value, tags
    return list(best_tags)


def slow_spans(tags: list[int]) -> set[tuple[int, int]]:
    found = set()
    for first, last in itertools.combinations_with_replacement(range(len(tags)), 2):
        names = [NAMES[tag] for tag in tags[first : last + 1]]
        type_ = names[0][2:]
        whole = [f"B-{type_}", *[f"I-{type_}"] * (last - first - 1), f"E-{type_}"]
        if names == (whole if last > first else [f"S-{type_}"]):
            found.add((first, last))
    return found


@pytest.mark.parametrize("n_words", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_constrained_decoding_finds_the_best_legal_sequence(n_words: int, seed: int) -> None:
    scores = torch.randn(n_words, len(NAMES), generator=torch.Generator().manual_seed(seed)) * 2

    tags = decode_constrained(scores[None], word_mask=torch.ones(1, n_words, dtype=torch.bool))

    assert tags[0].tolist() == brute_force(scores)


def test_no_illegal_sequence_leaves_the_constrained_decoder(generator: torch.Generator) -> None:
    scores = torch.randn(64, 20, len(NAMES), generator=generator)
    mask = torch.arange(20) < torch.arange(1, 65)[:, None].clamp(max=20)

    tags = decode_constrained(scores, word_mask=mask)

    assert legal_mask(tags).all()
    assert not tags[~mask].any()


def test_padding_and_neighbours_do_not_change_decoded_tags(generator: torch.Generator) -> None:
    scores = torch.randn(5, 9, len(NAMES), generator=generator)
    mask = torch.arange(9) < torch.tensor([9, 4, 1, 6, 2])[:, None]

    together = decode_constrained(scores, word_mask=mask)

    alone = decode_constrained(scores[1:2, :4], word_mask=mask[1:2, :4])
    assert together[1, :4].tolist() == alone[0].tolist()


def test_argmax_takes_the_best_tag_of_each_word(generator: torch.Generator) -> None:
    scores = torch.randn(3, 5, len(NAMES), generator=generator)

    tags = decode_argmax(scores, word_mask=torch.ones(3, 5, dtype=torch.bool))

    assert torch.equal(tags, scores.argmax(dim=-1))


def test_legal_sequences_are_those_that_encoding_can_yield() -> None:
    sequences = list(itertools.product(range(len(NAMES)), repeat=3))

    found = legal_mask(torch.tensor(sequences))

    assert found.tolist() == [is_legal(tags) for tags in sequences]


def test_spans_are_the_well_formed_entities_of_any_sequence() -> None:
    sequences = list(itertools.product(range(len(NAMES)), repeat=4))

    spans = find_spans(torch.tensor(sequences))

    found = [
        {(int(spans.first[i, n]), int(n)) for n in spans.ends[i].nonzero().flatten()}
        for i in range(len(sequences))
    ]
    assert found == [slow_spans(list(tags)) for tags in sequences]


def test_sentence_without_words_decodes_to_nothing() -> None:
    tags = decode_constrained(torch.zeros(2, 0, 9), word_mask=torch.zeros(2, 0, dtype=torch.bool))

    assert tags.shape == (2, 0)


def _merged(tags: list[str], types: set[str]) -> list[str]:
    """Join side by side entities of ``types``, one by one."""
    words = [list(range(e.first, e.last + 1)) for e in decode_bioes(tags)]
    names = [e.type for e in decode_bioes(tags)]
    for i in range(len(words) - 1, 0, -1):
        if names[i] == names[i - 1] in types and words[i][0] == words[i - 1][-1] + 1:
            words[i - 1 : i + 1] = [words[i - 1] + words[i]]
            del names[i]
    joined = [
        WordEntity(type=name, first=inside[0], last=inside[-1])
        for name, inside in zip(names, words, strict=True)
    ]
    return encode_bioes(len(tags), joined)


@pytest.mark.parametrize("types", [set(), {"X"}, {"X", "Y"}], ids=["none", "one", "both"])
def test_neighbours_of_the_types_asked_for_are_joined(
    types: set[str], generator: torch.Generator
) -> None:
    names = tag_names(["X", "Y"])
    logits = 3 * torch.randn(200, 9, 9, generator=generator)
    tags = decode_constrained(logits, word_mask=torch.ones(200, 9, dtype=torch.bool))

    joined = join_neighbours(tags, joined=torch.tensor([name in types for name in ("X", "Y")]))

    expected = [_merged([names[i] for i in row], types) for row in tags.tolist()]
    assert [[names[i] for i in row] for row in joined.tolist()] == expected
    assert torch.equal(joined, tags) == (not types)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"never_adjacent": ("Drug",)}, ["B-Drug", "E-Drug", "S-Effect", "S-Effect"]),
        ({}, ["S-Drug", "S-Drug", "S-Effect", "S-Effect"]),
        (
            {"never_adjacent": ("Drug",), "decoding": "argmax"},
            ["S-Drug", "S-Drug", "S-Effect", "S-Effect"],
        ),
    ],
    ids=["never adjacent", "may be adjacent", "as in the paper"],
)
def test_a_model_joins_neighbours_of_types_that_have_none(
    build_model: Callable[..., JointModel], options: dict[str, Any], expected: list[str]
) -> None:
    model = build_model(**options)
    drug, effect = (model.config.tags.index(tag) for tag in ("S-Drug", "S-Effect"))
    logits = 5.0 * torch.eye(9)[[drug, drug, effect, effect]][None]

    (tags,) = model.decode_tags(logits, word_mask=torch.ones(1, 4, dtype=torch.bool)).tolist()

    assert [model.config.tags[i] for i in tags] == expected
