from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_bert import EIGHT_SENTENCES, make_tagged

from annotator.domain import TaggedSentence
from annotator.model import Calibration, Predictor
from annotator.model.joint import JointModel
from annotator.training import measure_calibration, split_holdout
from annotator.training.reliability import choose_calibration

Make = Callable[..., list[TaggedSentence]]
DRUGS = ("aspirin", "codeine", "insulin", "warfarin", "ibuprofen")


def notes(n: int, *, group: Callable[[int], str] = str, wrong: int = 0) -> list[TaggedSentence]:
    """Sentences of one drug and one effect; every ``wrong``-th has them the other way round."""
    found = []
    for i in range(n):
        types = ("Effect", "Drug") if wrong and i % wrong == 0 else ("Drug", "Effect")
        sentence = make_tagged(
            f"{DRUGS[i % 5]} caused rash .",
            (types[0], 0, 0),
            (types[1], 2, 2),
            relations=(("causes", 0, 1),) if types[0] == "Drug" else (),
            id=f"s{i}",
        )
        found.append(TaggedSentence(**{**_fields(sentence), "group": group(i)}))
    return found


def _fields(sentence: TaggedSentence) -> dict[str, object]:
    names = ("id", "words", "tokens", "start", "end", "entities", "relations")
    return {name: getattr(sentence, name) for name in names}


@pytest.fixture(scope="module")
def confident(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], JointModel]:
    """Loads a model that is always sure of itself."""
    from tiny_bert import TINY_SCHEMA, make_tiny_encoder

    from annotator.training import TrainingSettings, train

    folder = tmp_path_factory.mktemp("model")
    train(
        notes(20),
        schema=TINY_SCHEMA,
        encoder=str(make_tiny_encoder(folder / "encoder")),
        settings=TrainingSettings(
            epochs=25, min_steps=0, batch_size=4, encoder_lr=1e-3, head_lr=3e-3
        ),
        folder=folder / "model",
        options={"hidden": 48, "width": 32, "label_embedding": 8},
    )
    return lambda: Predictor.load(folder / "model", device="cpu").model


def test_a_head_that_is_too_sure_is_cooled_and_more_honest_on_other_sentences(
    confident: Callable[[], JointModel],
) -> None:
    model = confident()
    dev, test = notes(60, wrong=3), notes(63, wrong=3)[3:]

    chosen = choose_calibration(model, dev)

    before = measure_calibration(test, Predictor(model).predict(test))
    model.calibration = chosen
    after = measure_calibration(test, Predictor(model).predict(test))
    assert chosen.ner_temperature > 1.5
    assert after["ner"] < before["ner"] - 0.1


def test_a_head_with_few_predictions_keeps_its_scores(
    confident: Callable[[], JointModel],
) -> None:
    chosen = choose_calibration(confident(), notes(8, wrong=2))

    assert (chosen.ner_temperature, chosen.relation_temperature) == (1.0, 1.0)
    assert chosen.fitted


def test_a_temperature_that_helps_one_half_alone_is_not_kept(
    confident: Callable[[], JointModel],
) -> None:
    # One half is all right, the other all wrong: what is fitted on one misleads on the other.
    halves = notes(40, group=lambda i: "g0")
    other = notes(40, group=lambda i: "g1", wrong=1)

    chosen = choose_calibration(confident(), [*halves, *other])

    assert chosen.ner_temperature == 1.0


@pytest.mark.parametrize("sentences", [[], notes(1)], ids=["none", "one"])
def test_too_few_sentences_to_judge_leave_the_temperatures_alone(
    confident: Callable[[], JointModel], sentences: list[TaggedSentence]
) -> None:
    chosen = choose_calibration(confident(), sentences)

    assert (chosen.ner_temperature, chosen.relation_temperature) == (1.0, 1.0)


def test_choosing_leaves_the_model_as_it_was(confident: Callable[[], JointModel]) -> None:
    model = confident().train()
    before = model.calibration
    state = torch.get_rng_state()

    first = choose_calibration(model, notes(40, wrong=3))
    again = choose_calibration(model, notes(40, wrong=3))

    assert first == again
    assert model.calibration == before
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0, 20.0])
def test_no_temperature_changes_what_is_predicted(
    confident: Callable[[], JointModel], temperature: float
) -> None:
    model = confident()
    sentences = [*notes(5), *EIGHT_SENTENCES]
    plain = Predictor(model).predict(sentences)

    model.calibration = Calibration(
        ner_temperature=temperature, relation_temperature=1 / temperature, fitted=True
    )
    warm = Predictor(model).predict(sentences)

    assert [_labels(one) for one in warm] == [_labels(one) for one in plain]


def _labels(prediction: object) -> list[tuple[object, ...]]:
    entities = [(e.type, e.first, e.last) for e in prediction.entities]
    return [*entities, *((r.type, r.head, r.tail) for r in prediction.relations)]


# ---- the parts of the hold-out -------------------------------------------------------------


def test_dev_and_test_share_no_group_and_lose_no_sentence() -> None:
    sentences = notes(300, group=lambda i: f"g{i // 4}")

    dev, test = split_holdout(sentences)

    assert {s.group for s in dev}.isdisjoint(s.group for s in test)
    assert sorted(s.id for s in (*dev, *test)) == sorted(s.id for s in sentences)
    assert 60 <= len(dev) <= 140


def test_a_group_stays_in_its_part_whatever_comes_later() -> None:
    few, many = notes(150), notes(400)

    parts = [{s.group for s in split_holdout(some)[0]} for some in (few, many)]

    assert parts[0] == parts[1] & {s.group for s in few}


@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_tiny_hold_out_only_judges(n: int) -> None:
    dev, test = split_holdout(notes(n))

    assert (len(dev), len(test)) == (0, n)


def test_a_hold_out_of_one_document_only_judges() -> None:
    dev, test = split_holdout(notes(200, group=lambda _i: "one"))

    assert (len(dev), len(test)) == (0, 200)


def test_log_loss_of_sure_and_wrong_is_finite() -> None:
    from annotator.training.reliability import _Items

    assert np.isfinite(_Items(scores=[1.0, 0.0], right=[False, True]).log_loss())
