from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES, make_tagged
from torch.nn import functional

from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ShapeError
from annotator.model import JointModel
from annotator.model.batch import Batch, GoldEncoder, collate
from annotator.model.decoding import find_spans

SENTENCES = EIGHT_SENTENCES[:4]


def make_batch(model: JointModel, sentences: tuple[TaggedSentence, ...]) -> Batch:
    gold = GoldEncoder(model.config)
    pieces = model.pieces.encode([sentence.words for sentence in sentences])
    return collate(pieces, model.pieces, gold=[gold.encode(sentence) for sentence in sentences])


def slow_losses(model: JointModel, sentences: tuple[TaggedSentence, ...]) -> tuple[float, float]:
    """The two losses word by word and pair by pair, one sentence at a time; gold candidates."""
    assert model.relation is not None
    gold = GoldEncoder(model.config)
    words, pairs = [], []
    for sentence in sentences:
        labels = gold.encode(sentence)
        batch = collate(model.pieces.encode([sentence.words]), model.pieces)
        states = model.encode(batch)
        scores = model.ner(states)[0]
        words += [
            functional.cross_entropy(scores[n], torch.tensor(tag))
            for n, tag in enumerate(labels.tags.tolist())
        ]
        classes = {(r.head, r.tail): r.type for r in sentence.relations}
        for i, head in enumerate(sentence.entities):
            for j, tail in enumerate(sentence.entities):
                if (head.type, tail.type) != ("Drug", "Effect"):
                    continue
                ends = torch.tensor([[head.last, tail.last]])
                tags = torch.from_numpy(labels.tags)[ends]
                label = model.config.relation_classes.index(classes.get((i, j), "NEG"))
                logits = model.relation(states[0, ends[0]][None], tags)[0, 0, 1]
                pairs.append(functional.cross_entropy(logits, torch.tensor(label)))
    return float(torch.stack(words).mean()), float(torch.stack(pairs).mean())


@torch.no_grad()
def test_losses_equal_a_plain_loop_over_words_and_pairs(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model(candidates="gold", context=0)
    batch = make_batch(model, SENTENCES)

    losses = model.losses(model(batch), batch, relation_weight=0.25)

    ner, relation = slow_losses(model, SENTENCES)
    assert float(losses.ner) == pytest.approx(ner, rel=1e-4)
    assert float(losses.relation) == pytest.approx(relation, rel=1e-4)
    assert float(losses.total) == pytest.approx(ner + 0.25 * relation, rel=1e-4)


@torch.no_grad()
def test_padding_and_order_of_a_batch_change_no_output(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model(candidates="gold")

    together = model(make_batch(model, SENTENCES))
    turned = model(make_batch(model, SENTENCES[::-1]))
    alone = model(make_batch(model, SENTENCES[:1]))

    n_words, n_entities = len(SENTENCES[0].words), len(SENTENCES[0].entities)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(together.ner_logits, turned.ner_logits.flip(0), **close)
    torch.testing.assert_close(together.ner_logits[0, :n_words], alone.ner_logits[0], **close)
    torch.testing.assert_close(
        together.pair_logits[0, :n_entities, :n_entities], alone.pair_logits[0], **close
    )


def test_gradients_reach_every_weight(build_model: Callable[..., JointModel]) -> None:
    model = build_model(candidates="gold")
    batch = make_batch(model, SENTENCES)

    model.losses(model(batch), batch, relation_weight=1.0).total.backward()

    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_relation_the_schema_forbids_counts_as_negative(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model(candidates="gold")
    forbidden = make_tagged(
        "rash aspirin", ("Effect", 0, 0), ("Drug", 1, 1), relations=(("causes", 0, 1),)
    )
    batch = make_batch(model, (forbidden,))

    losses = model.losses(model(batch), batch, relation_weight=1.0)

    assert float(losses.relation.detach()) < 10.0


def test_schema_without_relations_has_no_relation_head(
    build_model: Callable[..., JointModel],
) -> None:
    model = build_model(schema=LabelSchema(entity_types=("Drug", "Effect")))
    batch = make_batch(model, SENTENCES)

    losses = model.losses(model(batch), batch, relation_weight=1.0)

    assert model.relation is None
    assert float(losses.relation) == 0.0


def test_loss_without_gold_is_refused(build_model: Callable[..., JointModel]) -> None:
    model = build_model()
    batch = collate(model.pieces.encode([["rash"]]), model.pieces)

    with pytest.raises(ShapeError, match="gold"):
        model.losses(model(batch), batch, relation_weight=1.0)


@torch.no_grad()
def test_rows_taken_in_parts_give_the_same_states(build_model: Callable[..., JointModel]) -> None:
    model = build_model(max_pieces=16)
    batch = collate(model.pieces.encode([["rash", "fever"] * 60]), model.pieces)

    whole, parts = model.encode(batch), model.encode(batch, row_budget=40)

    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rows_are_read_within_the_budget(build_model: Callable[..., JointModel]) -> None:
    model = build_model(max_pieces=16)
    batch = collate(model.pieces.encode([["rash", "fever"] * 60]), model.pieces)
    sizes: list[int] = []
    model.encoder.embeddings.register_forward_hook(
        lambda _module, _inputs, states: sizes.append(states.shape[0] * states.shape[1])
    )

    model.encode(batch, row_budget=40)

    assert sum(sizes) == batch.input_ids.numel()
    assert max(sizes) <= 40


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_states_of_padding_are_zero(build_model: Callable[..., JointModel], pooling: str) -> None:
    model = build_model(pooling=pooling)
    batch = make_batch(model, SENTENCES)

    states = model.encode(batch)

    assert not states[~batch.word_mask].any()
    assert states[batch.word_mask].any(dim=1).all()


@torch.no_grad()
def test_state_of_a_word_is_that_of_its_first_piece_where_asked_for(
    build_model: Callable[..., JointModel],
) -> None:
    first, mean = build_model(pooling="first"), build_model(pooling="mean")
    words = [["ibuprofenine", "rash"]]
    batch = collate(first.pieces.encode(words), first.pieces)
    n_pieces = int(batch.word_length[0, 0])

    states = first.encode(batch)[0]

    pieces = first.encoder(
        inputs_embeds=first.encoder.get_input_embeddings()(batch.input_ids),
        attention_mask=batch.attention_mask,
    ).last_hidden_state[0]
    assert n_pieces > 1
    torch.testing.assert_close(states[0], pieces[1])
    torch.testing.assert_close(mean.encode(batch)[0, 0], pieces[1 : 1 + n_pieces].mean(dim=0))


@torch.no_grad()
@pytest.mark.parametrize(("decoding", "differs"), [("argmax", False), ("constrained", True)])
def test_tags_are_decoded_as_the_configuration_says(
    build_model: Callable[..., JointModel], decoding: str, differs: bool
) -> None:
    model = build_model(decoding=decoding)
    batch = make_batch(model, SENTENCES)

    output = model.tag(batch)

    best = output.ner_logits.argmax(dim=-1) * batch.word_mask
    assert bool((output.tags != best).any()) is differs


@pytest.mark.parametrize("choice", ["predicted", "gold", "both"])
def test_pairs_of_training_are_those_of_the_configured_candidates(
    build_model: Callable[..., JointModel], choice: str
) -> None:
    model = build_model(candidates=choice)
    batch = make_batch(model, SENTENCES)

    output = model(batch)

    assert batch.tags is not None
    assert output.candidates is not None
    kept = {"predicted": output.tags, "gold": batch.tags, "both": batch.tags}[choice]
    ends = find_spans(kept).ends.sum(dim=1)
    n_found = output.candidates.mask.sum(dim=1)
    assert (n_found > ends).any() if choice == "both" else torch.equal(n_found, ends)


def test_special_pieces_and_padding_learn_no_shape(build_model: Callable[..., JointModel]) -> None:
    model = build_model()
    batch = make_batch(model, SENTENCES)

    model.losses(model(batch), batch, relation_weight=1.0).total.backward()

    assert model.shape is not None
    assert model.shape.weight.grad is not None
    assert not model.shape.weight.grad[0].any()
    assert model.shape.weight.grad[1].any()
