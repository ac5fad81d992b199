from __future__ import annotations

from tiny_bert import make_tagged

from annotator.domain import LabelSchema
from annotator.model import ModelConfig
from annotator.model.targets import GoldEncoder


def test_labels_become_class_numbers(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin induced severe rash",
        ("Drug", 0, 0),
        ("Effect", 2, 3),
        relations=(("treats", 0, 1),),
    )

    labels = GoldEncoder(ModelConfig(schema=schema)).encode(sentence)

    assert labels.tags.tolist() == [4, 0, 5, 7]
    assert labels.relations.tolist() == [[0, 3, 2]]


def test_labels_the_schema_does_not_know_are_left_out_and_counted(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin induced rash",
        ("Gene", 0, 0),
        ("Effect", 2, 2),
        relations=(("causes", 0, 1), ("inhibits", 1, 0)),
    )
    encoder = GoldEncoder(ModelConfig(schema=schema))

    labels = encoder.encode(sentence)

    assert labels.tags.tolist() == [0, 0, 8]
    assert labels.relations.tolist() == []
    assert encoder.left_out == {"entity Gene": 1, "relation causes": 1, "relation inhibits": 1}


def test_second_relation_of_a_pair_is_counted(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin rash",
        ("Drug", 0, 0),
        ("Effect", 1, 1),
        relations=(("causes", 0, 1), ("treats", 0, 1)),
    )
    encoder = GoldEncoder(ModelConfig(schema=schema))

    labels = encoder.encode(sentence)

    assert labels.relations.tolist() == [[0, 1, 1]]
    assert encoder.left_out == {"second or reflexive relation treats": 1}
