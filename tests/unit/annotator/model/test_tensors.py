"""Tensor code against plain loops on random input, on each device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from annotator.domain import LabelSchema
from annotator.model import ModelConfig
from annotator.model.analysis import score_entities
from annotator.model.batch import IGNORED_TAG
from annotator.model.candidates import (
    CandidateSet,
    candidates_from_spans,
    label_pairs,
    legal_classes,
    pair_mask,
    training_candidates,
)
from annotator.model.config import Candidates
from annotator.model.decoding import decode_constrained, find_spans
from annotator.model.heads import NerHead, RelationHead
from annotator.model.signals import sum_pair_entropy
from annotator.text import decode_bioes, tag_names

SEEDS = range(6)
N_SENTENCES, N_WORDS = 5, 9
SCHEMA = LabelSchema(
    entity_types=("Drug", "Effect", "Dose"),
    relation_types=("causes", "has"),
    pairs=frozenset({("causes", "Drug", "Effect"), ("has", "Drug", "Dose")}),
)
NAMES = tag_names(SCHEMA.entity_types)
VARIANTS: list[dict[str, Any]] = [
    {"projection": projection, "bilinear": bilinear, "label_embedding": embedding}
    for projection in ("two", "shared", "none")
    for bilinear in (True, False)
    for embedding in (3, 0)
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def random_tags(seed: int) -> tuple[Tensor, Tensor]:
    """Legal random tags, and where words are real. Both ``(batch, words)``."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(N_SENTENCES, N_WORDS, len(NAMES), generator=generator)
    lengths = torch.randint(1, N_WORDS + 1, (N_SENTENCES, 1), generator=generator)
    mask = torch.arange(N_WORDS) < lengths
    return decode_constrained(scores, word_mask=mask), mask


def slow_entities(tags: Tensor) -> list[list[tuple[str, int, int]]]:
    """The entities of each sentence, read off the names of the tags."""
    return [
        [(e.type, e.first, e.last) for e in decode_bioes([NAMES[max(tag, 0)] for tag in row])]
        for row in tags.tolist()
    ]


def listed(candidates: CandidateSet) -> list[list[tuple[str, int, int]]]:
    columns = (candidates.mask, candidates.types, candidates.first, candidates.last)
    return [
        [
            (SCHEMA.entity_types[type_], first, last)
            for real, type_, first, last in zip(*rows, strict=True)
            if real
        ]
        for rows in zip(*(column.tolist() for column in columns), strict=True)
    ]


def slow_training(
    predicted: list[tuple[str, int, int]], gold: list[tuple[str, int, int]], choice: Candidates
) -> list[tuple[str, int, int]]:
    """Gold entities, and predicted ones that end at no gold entity's last word."""
    if choice == "gold":
        return gold
    if choice == "predicted":
        return predicted
    taken = {last for _, _, last in gold}
    return sorted(
        [*gold, *(entity for entity in predicted if entity[2] not in taken)], key=lambda e: e[2]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_candidates_are_the_entities_that_plain_decoding_finds(
    devices: torch.device, seed: int
) -> None:
    tags = random_tags(seed)[0].to(devices)

    candidates = candidates_from_spans(tags, find_spans(tags))

    assert listed(candidates) == slow_entities(tags)
    last = candidates.last
    assert torch.equal(candidates.tags, tags.gather(1, last) * candidates.mask)


@pytest.mark.parametrize("choice", ["predicted", "gold", "both"])
@pytest.mark.parametrize("seed", SEEDS)
def test_training_candidates_are_those_of_a_plain_loop(
    devices: torch.device, seed: int, choice: Candidates
) -> None:
    (predicted, mask), (gold, _) = random_tags(seed), random_tags(seed + 100)
    gold = torch.where(mask, decode_constrained(one_hot(gold), word_mask=mask), IGNORED_TAG)

    found = training_candidates(
        predicted=predicted.to(devices),
        gold=gold.to(devices),
        scores=torch.rand(predicted.shape, device=devices),
        choice=choice,
        limit=99,
    )

    pairs = zip(slow_entities(predicted), slow_entities(gold), strict=True)
    expected = [(slow_training(p, g, choice), g) for p, g in pairs]
    assert listed(found) == [entities for entities, _ in expected]
    assert found.right is not None
    is_right = [row[real].tolist() for row, real in zip(found.right, found.mask, strict=True)]
    assert is_right == [[entity in right for entity in entities] for entities, right in expected]


def one_hot(tags: Tensor) -> Tensor:
    return 9.0 * functional.one_hot(tags, len(NAMES)).float()


def slow_pair_labels(
    entities: list[list[tuple[str, int, int]]],
    right: list[list[bool]],
    relations: list[list[int]],
    size: int,
) -> list[list[list[int]]]:
    labels = [[[0] * size for _ in range(size)] for _ in entities]
    for owner, head, tail, label in relations:
        for i, one in enumerate(entities[owner]):
            for j, other in enumerate(entities[owner]):
                gold = right[owner][i] and right[owner][j]
                if gold and (one[2], other[2]) == (head, tail):
                    labels[owner][i][j] = label
    return labels


def random_relations(gold: list[list[tuple[str, int, int]]], seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    pairs = [
        [owner, head[2], tail[2]]
        for owner, entities in enumerate(gold)
        for head in entities
        for tail in entities
        if head != tail
    ]
    labels = torch.randint(0, 3, (len(pairs),), generator=generator).tolist()
    return [[*pair, label] for pair, label in zip(pairs, labels, strict=True) if label]


@pytest.mark.parametrize("choice", ["predicted", "gold", "both"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pair_labels_are_those_of_a_plain_loop(
    devices: torch.device, seed: int, choice: Candidates
) -> None:
    (predicted, _), (gold, _) = random_tags(seed), random_tags(seed + 100)
    relations = random_relations(slow_entities(gold), seed)
    candidates = training_candidates(
        predicted=predicted, gold=gold, scores=torch.rand(gold.shape), choice=choice, limit=99
    ).to(devices)

    rows = torch.tensor(relations, device=devices).reshape(-1, 4)
    labels = label_pairs(candidates, rows, n_words=N_WORDS)

    assert candidates.right is not None
    expected = slow_pair_labels(
        listed(candidates), candidates.right.tolist(), relations, candidates.mask.shape[1]
    )
    assert labels.tolist() == expected


@pytest.mark.parametrize("limit", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_limit_keeps_the_best_candidates_of_a_plain_ranking(
    devices: torch.device, seed: int, limit: int
) -> None:
    (predicted, _), (gold, _) = random_tags(seed), random_tags(seed + 100)
    scores = torch.rand(gold.shape, generator=torch.Generator().manual_seed(seed))

    found = training_candidates(
        predicted=predicted.to(devices),
        gold=gold.to(devices),
        scores=scores.to(devices),
        choice="both",
        limit=limit,
    )

    assert listed(found) == [
        slow_best(slow_training(p, g, "both"), g, row.tolist(), limit)
        for p, g, row in zip(slow_entities(predicted), slow_entities(gold), scores, strict=True)
    ]


def slow_best(
    entities: list[tuple[str, int, int]],
    gold: list[tuple[str, int, int]],
    scores: list[float],
    limit: int,
) -> list[tuple[str, int, int]]:
    ranked = sorted(entities, key=lambda e: (e not in gold, -scores[e[2]]))
    return sorted(ranked[:limit], key=lambda e: e[2])


@pytest.mark.parametrize("legal_pairs", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_pair_mask_is_that_of_a_plain_loop(
    devices: torch.device, seed: int, legal_pairs: bool
) -> None:
    tags = random_tags(seed)[0].to(devices)
    candidates = candidates_from_spans(tags, find_spans(tags))
    config = ModelConfig(schema=SCHEMA, legal_pairs=legal_pairs)

    mask = pair_mask(candidates, legal_classes(config).to(devices))

    allowed = {(head, tail) for _, head, tail in SCHEMA.pairs}
    expected = [
        (owner, i, j)
        for owner, entities in enumerate(slow_entities(tags))
        for i, head in enumerate(entities)
        for j, tail in enumerate(entities)
        if i != j and (not legal_pairs or (head[0], tail[0]) in allowed)
    ]
    assert [tuple(row) for row in mask.nonzero().tolist()] == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_entity_scores_are_the_lowest_of_their_words(devices: torch.device, seed: int) -> None:
    tags = random_tags(seed)[0].to(devices)
    probs = torch.rand(tags.shape, generator=torch.Generator().manual_seed(seed)).to(devices)
    spans = find_spans(tags)
    candidates = candidates_from_spans(tags, spans)

    scores = score_entities(probs, candidates, ends=spans.ends)

    expected = [
        [min(row[first : last + 1].tolist()) for _, first, last in entities]
        for row, entities in zip(probs, slow_entities(tags), strict=True)
    ]
    found = [row[real].tolist() for row, real in zip(scores, candidates.mask, strict=True)]
    assert found == expected


def test_pair_entropy_is_that_of_a_plain_loop(
    devices: torch.device, generator: torch.Generator
) -> None:
    log_probs = torch.randn(2, 3, 3, 4, generator=generator).log_softmax(dim=-1)
    mask = torch.rand(2, 3, 3, generator=generator) < 0.5

    total = sum_pair_entropy(log_probs.to(devices), mask.to(devices))

    expected = [
        sum(
            -float(p.exp() * p) for row, keep in zip(log_probs[b], mask[b], strict=True)
            for pair in row[keep] for p in pair
        )
        for b in range(2)
    ]  # fmt: skip
    assert total.tolist() == pytest.approx(expected, rel=1e-5)


def slow_projection(network: nn.Module, vector: Tensor) -> Tensor:
    """Two layers with ReLU, spelt out; the vector itself where there is no network."""
    if isinstance(network, nn.Identity):
        return vector
    first, second = (layer for layer in network if isinstance(layer, nn.Linear))
    inner = (first.weight @ vector + first.bias).clamp(min=0)
    return (second.weight @ inner + second.bias).clamp(min=0)


def slow_pair_score(head: RelationHead, states: Tensor, tags: Tensor) -> Tensor:
    """Score all pairs of one sentence. Shape ``(candidates, candidates, R + 1)``."""
    form, classes = head.biaffine, range(head.biaffine.n_classes)
    rows = []
    for i in range(len(states)):
        for j in range(len(states)):
            joined = [
                torch.cat((states[n], head.embedding.weight[tags[n]]))
                if head.embedding is not None
                else states[n]
                for n in (i, j)
            ]
            tail_network = head.head_network if head.tail_network is None else head.tail_network
            h = slow_projection(head.head_network, joined[0])
            t = slow_projection(tail_network, joined[1])
            linear = form.linear_head(h) + form.linear_tail(t)
            bilinear = [h @ form.U[:, r] @ t if form.U is not None else 0.0 for r in classes]
            rows.append(torch.stack([linear[r] + bilinear[r] for r in classes]))
    return torch.stack(rows).unflatten(0, (len(states), len(states)))


@pytest.mark.parametrize("options", VARIANTS, ids=name_of)
@torch.no_grad()
def test_relation_head_scores_as_in_a_plain_loop(
    devices: torch.device, generator: torch.Generator, options: dict[str, Any]
) -> None:
    config = ModelConfig(schema=SCHEMA, hidden=6, width=4, **options)
    head = RelationHead(5, config).to(devices, torch.float64).eval()
    states = torch.randn(2, 3, 5, dtype=torch.float64, generator=generator).to(devices)
    tags = torch.randint(0, len(NAMES), (2, 3), generator=generator).to(devices)

    scores = head(states, tags)

    expected = [slow_pair_score(head, s, t) for s, t in zip(states, tags, strict=True)]
    torch.testing.assert_close(scores, torch.stack(expected))


@torch.no_grad()
def test_tag_head_scores_as_in_a_plain_loop(
    devices: torch.device, generator: torch.Generator
) -> None:
    head = NerHead(5, ModelConfig(schema=SCHEMA)).to(devices, torch.float64).eval()
    states = torch.randn(2, 3, 5, dtype=torch.float64, generator=generator).to(devices)

    scores = head(states)

    weight, bias = head.output.weight, head.output.bias
    expected = [[(weight * word).sum(dim=1) + bias for word in sentence] for sentence in states]
    torch.testing.assert_close(scores, torch.stack([torch.stack(row) for row in expected]))
