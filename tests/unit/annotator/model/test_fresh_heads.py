"""What the heads are before training, and what training adds to them: noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from annotator.domain import LabelSchema
from annotator.model import ModelConfig
from annotator.model.candidates import CandidateSet
from annotator.model.decoding import decode_constrained, find_spans, legal_mask
from annotator.model.heads import Biaffine, NerHead, RelationHead, ShapeEmbedding
from annotator.text import tag_names

NAMES = tag_names(("X", "Y"))


@pytest.fixture(autouse=True)
def seeded() -> Any:
    """The layers draw their weights from the global generator, which is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


def test_shapes_add_nothing_at_first_and_the_shape_of_padding_never() -> None:
    shapes = ShapeEmbedding(4)
    shapes(torch.arange(shapes.num_embeddings)).sum().backward()

    assert not shapes.weight.any()
    assert shapes.weight.grad is not None
    assert shapes.weight.grad.any(dim=1).tolist() == [False, *[True] * 8]


def test_fresh_tag_scores_prefer_no_tag(schema: LabelSchema) -> None:
    head = NerHead(400, ModelConfig(schema=schema)).eval()

    assert head(torch.zeros(1, 1, 400)).tolist() == [[[0.0] * 9]]
    # Glorot & Bengio 2010: uniform up to the root of 6 / (inputs + outputs).
    limit = (6 / 409) ** 0.5
    assert 0.95 * limit < head.output.weight.abs().max() <= limit


def test_fresh_bilinear_form_is_as_small_as_its_width_is_great() -> None:
    form = Biaffine(100, 3).U

    assert form is not None
    assert float(form.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(form.detach().mean()) == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize(("share", "same"), [(0.5, False), (0.0, True)], ids=["half", "none"])
@pytest.mark.parametrize("projection", ["two", "none"])
def test_units_are_dropped_in_training_only(
    schema: LabelSchema, share: float, *, same: bool, projection: Any
) -> None:
    config = ModelConfig(schema=schema, dropout=share, projection=projection, hidden=64, width=32)
    states, tags = torch.randn(1, 4, 16), torch.zeros(1, 4, dtype=torch.int64)
    head, tagger = RelationHead(16, config), NerHead(16, config)

    trained = torch.equal(head(states, tags), head(states, tags))
    tagged = torch.equal(tagger(states), tagger(states))
    head.eval(), tagger.eval()

    assert (trained, tagged) == (same, same)
    assert torch.equal(head(states, tags), head(states, tags))
    assert torch.equal(tagger(states), tagger(states))


@pytest.mark.parametrize(
    ("options", "n_weights"),
    [
        # Joined 5 + 3 wide, hidden 6, m 4, classes 3, tags 9; contexts left out.
        ({}, 27 + 2 * (8 * 6 + 6 + 6 * 4 + 4) + 4 * 3 * 4 + (4 * 3 + 3) + 4 * 3),
        ({"projection": "shared"}, 27 + (8 * 6 + 6 + 6 * 4 + 4) + 48 + 15 + 12),
        ({"projection": "none"}, 27 + 8 * 3 * 8 + (8 * 3 + 3) + 8 * 3),
        ({"bilinear": False}, 27 + 2 * 82 + 15 + 12),
        ({"label_embedding": 0}, 2 * (5 * 6 + 6 + 6 * 4 + 4) + 48 + 15 + 12),
    ],
    ids=["paper", "shared", "none", "linear", "no labels"],
)
def test_the_relation_head_has_the_weights_of_the_paper(
    schema: LabelSchema, options: dict[str, Any], n_weights: int
) -> None:
    sizes = {"hidden": 6, "width": 4, "label_embedding": 3, "context": 0, **options}

    head = RelationHead(5, ModelConfig(schema=schema, **sizes))

    assert sum(weight.numel() for weight in head.parameters()) == n_weights


def test_candidates_are_projected_at_their_last_words_and_padding_is_nought(
    schema: LabelSchema,
) -> None:
    config = ModelConfig(schema=schema, hidden=6, width=4, label_embedding=3)
    head = RelationHead(5, config).eval()
    states = torch.randn(2, 6, 5)
    last = torch.tensor([[1, 4, 5], [3, 0, 0]])
    tags = torch.tensor([[4, 3, 8], [8, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])

    heads, tails = head.project_candidates(
        states, CandidateSet(first=last, last=last, tags=tags, mask=mask)
    )

    for found, plain in zip((heads, tails), head.project(take(states, last), tags), strict=True):
        torch.testing.assert_close(found[mask], plain[mask])
        assert not found[~mask].any()
        assert found.shape == (2, 3, 4)


def take(states: Tensor, words: Tensor) -> Tensor:
    return torch.stack([row[i] for row, i in zip(states, words, strict=True)])


# ------------------------------------------------------------------ decoding at its edges


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tags_are_decoded_from_scores_of_any_type(dtype: torch.dtype) -> None:
    scores = torch.randint(-8, 9, (16, 12, len(NAMES))).to(dtype)  # exact in each type
    mask = torch.ones(16, 12, dtype=torch.bool)

    tags = decode_constrained(scores, word_mask=mask)

    assert tags.dtype == torch.int64
    assert legal_mask(tags).all()
    assert torch.equal(tags, decode_constrained(scores.float(), word_mask=mask))


@pytest.mark.parametrize("n_types", [1, 3])
def test_a_long_sentence_of_illegal_tags_ends_in_one_long_entity(n_types: int) -> None:
    # Inside everywhere: the first and the last word give way.
    scores = torch.zeros(1, 300, 4 * n_types + 1)
    scores[..., 4 * n_types - 2] = 9.0

    tags = decode_constrained(scores, word_mask=torch.ones(1, 300, dtype=torch.bool))

    inside = 4 * n_types - 2
    assert tags.tolist() == [[inside - 1, *[inside] * 298, inside + 1]]


def test_what_is_scored_on_padding_changes_nothing() -> None:
    scores = torch.randn(8, 7, len(NAMES))
    mask = (torch.arange(7) < torch.tensor([7, 1, 3, 2, 5, 6, 4, 1])[:, None]).contiguous()
    loud = torch.where(mask[..., None], scores, torch.full_like(scores, 1e4).cumsum(dim=-1))

    assert torch.equal(
        decode_constrained(loud, word_mask=mask), decode_constrained(scores, word_mask=mask)
    )


def test_padding_of_either_kind_holds_no_entity() -> None:
    # S-X O; B-X E-X; B-X and then padding: -1 as in targets, 0 as from the decoder.
    tags = torch.tensor([[4, 0, -1, -1], [1, 3, -1, -1], [1, -1, -1, -1], [1, 0, 0, 0]])

    spans = find_spans(tags)

    assert spans.ends.tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, False, False],
        [False, False, False, False],
    ]
    assert int(spans.first[1, 1]) == 0
    assert legal_mask(tags).tolist() == [True, True, False, False]
