from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bert import EIGHT_SENTENCES

from annotator.bench.growth import GrowthPlan, bench_growth
from annotator.errors import ConfigError
from annotator.experiments import Benchmark, Fold


@pytest.fixture
def benchmark() -> Benchmark:
    train = tuple(
        replace(sentence, id=f"{sentence.id}-{i}") for i in range(2) for sentence in EIGHT_SENTENCES
    )
    fold = Fold(index=0, train=train, dev=EIGHT_SENTENCES, test=())
    return Benchmark(name="tiny", folds=(fold,))


def test_each_variant_is_trained_once_a_size_and_the_first_size_once(
    benchmark: Benchmark, tiny_encoder: Path, tmp_path: Path
) -> None:
    plan = GrowthPlan(sizes=(4, 8, 16), epochs=3, min_steps=6, encoder=str(tiny_encoder))

    value = bench_growth(benchmark, plan, out=tmp_path, report=lambda *_: None)

    rows = [(row["n_sentences"], row["variant"], row["n_steps"]) for row in value["rows"]]
    names = [variant.name for variant in plan.variants]
    assert rows == [
        (4, "scratch", 6),
        *zip([8] * 4, names, [6, 2, 2, 2], strict=True),
        *zip([16] * 4, names, [6, 2, 2, 2], strict=True),
    ]
    assert len({row["weights_sha256"] for row in value["rows"]}) == len(rows)
    assert {row["keep"] for row in value["rows"]} == {None, 0.5, 1.0}
    assert bench_growth(benchmark, plan, out=tmp_path, report=refuse)["rows"] == value["rows"]


def refuse(*_: object) -> None:
    raise AssertionError("something was trained again")


@pytest.mark.parametrize("sizes", [(300,), (300, 200), (300, 300)])
def test_sizes_that_do_not_grow_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="--sizes"):
        GrowthPlan(sizes=sizes)


def test_a_fold_that_is_not_there_is_refused(benchmark: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no fold 3"):
        bench_growth(benchmark, GrowthPlan(fold=3), out=tmp_path, report=lambda *_: None)
