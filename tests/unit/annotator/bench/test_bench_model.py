from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.bench.model import ModelBenchPlan, bench_model
from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError

pytestmark = pytest.mark.slow

RATIOS = ("score_vs_encoder", "train_vs_encoder", "reduced_vs_fp32")


def make_documents(n_documents: int, *, labelled: bool = True) -> list[Document]:
    """Notes of one sentence; every number in them is another."""
    return [
        Document(
            id=f"d{i}",
            text=f"Patient {i} took aspirin and had a rash .",
            entities=(
                Entity(id="e1", type="Drug", start=(at := len(f"Patient {i} took ")), end=at + 7),
                Entity(id="e2", type="Effect", start=at + 18, end=at + 22),
            )
            if labelled
            else (),
            relations=(Relation(type="causes", head="e1", tail="e2"),) if labelled else (),
        )
        for i in range(n_documents)
    ]


def run(documents: list[Document], encoder: Path, model: Path | None = None) -> dict[str, Any]:
    plan = ModelBenchPlan(
        encoder=str(encoder), n_sentences=20, n_rounds=1, device=torch.device("cpu"), model=model
    )
    return bench_model(documents, plan, report=lambda *_: None)


def test_all_ratios_come_with_what_they_were_measured_on(tiny_encoder: Path) -> None:
    found = run(make_documents(60), tiny_encoder)

    assert all(found[name] > 0 for name in RATIOS)
    assert abs(found["reduced_f1_change"]) <= 100
    assert (found["n_sentences"], found["n_labelled"]) == (20, 20)
    assert found["device"] == "cpu"
    assert {"torch", "transformers", "python", "annotator"} == set(found["versions"])
    assert set(found["sentences_per_s"]) == {
        "encoder_fp32", "scoring_fp32", "encoder_bf16", "scoring_bf16", "pieces"
    }  # fmt: skip


def test_a_given_model_is_measured_on_all_documents(tiny_encoder: Path, tiny_model: Path) -> None:
    found = run(make_documents(60), tiny_encoder, tiny_model)

    assert found["n_labelled"] == 60
    assert found["f1"]["fp32"]["ner"] > 0


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        pytest.param(make_documents(9), "too few", id="too few"),
        pytest.param(make_documents(60, labelled=False), "no entities", id="no labels"),
    ],
)
def test_documents_that_cannot_be_measured_with_are_refused(
    documents: list[Document], reason: str, tiny_encoder: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        run(documents, tiny_encoder)
