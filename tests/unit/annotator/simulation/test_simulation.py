"""Simulations from end to end, with a tiny encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_corpora import make_record, write_notes

from annotator.errors import ConfigError, InputError
from annotator.experiments import Sources, parse_options, read_benchmark
from annotator.simulation import (
    Arm,
    Replay,
    SimulatedCorpus,
    Simulation,
    queue_arm,
    read_arms,
)

pytestmark = pytest.mark.slow

SMALL = [
    *("epochs=1", "min_steps=2", "batch_size=4", "hidden=16", "width=8", "label_embedding=4"),
    *("encoder_lr=1e-3", "head_lr=1e-2"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> SimulatedCorpus:
    """A pool of forty sentences, four to score."""
    train = write_notes(tmp_path / "train.jsonl", *map(make_record, range(20)))
    test = write_notes(tmp_path / "test.jsonl", *map(make_record, range(20, 22)))
    benchmark = read_benchmark("jsonl", Sources(train=train, test=test))
    return SimulatedCorpus.of(benchmark, fold=0, on="test", limit=None)


@pytest.fixture
def replay(tiny_encoder: Path) -> Replay:
    """Three rounds."""
    return Replay(shares=(0.2, 0.4, 0.6), encoder=str(tiny_encoder), options=parse_options(SMALL))


@pytest.fixture
def simulate(
    corpus: SimulatedCorpus, replay: Replay, tmp_path: Path
) -> Callable[..., list[dict[str, Any]]]:
    """Run a simulation and return its records."""

    def run(**more: Any) -> list[dict[str, Any]]:
        given = {
            "arms": read_arms(["mnlp", "joint_rank+diverse"]),
            "seeds": [0],
            "out": tmp_path / "out",
            **more,
        }
        return Simulation(given.pop("corpus", corpus), given.pop("replay", replay), **given).run()

    return run


def without_clock(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in one.items() if k not in ("date", "train_s", "predict_s")}
        for one in records
    ]


def test_each_arm_has_its_rounds_and_shares_start_and_end(
    simulate: Callable[..., list[dict[str, Any]]],
) -> None:
    records = simulate()

    assert [(r["arm"], r["round"]) for r in records] == [
        *(("full", 0), ("joint_rank+diverse", 1), ("joint_rank+diverse", 2), ("mnlp", 1)),
        *(("mnlp", 2), ("random", 1), ("random", 2), ("start", 0)),
    ]


def test_rounds_grow_in_words_to_the_same_budgets(
    simulate: Callable[..., list[dict[str, Any]]], corpus: SimulatedCorpus
) -> None:
    records = simulate()

    longest = max(len(s.words) for s in corpus.pool)
    shares = {("start", 0): 0.2, ("full", 0): 1.0}
    shares |= {(r["arm"], r["round"]): 0.2 * (r["round"] + 1) for r in records if r["round"]}
    for record in records:
        wanted = shares[record["arm"], record["round"]] * corpus.n_words
        assert wanted - 1 <= record["labelled"]["words"] < wanted + longest


def test_bald_is_an_arm_like_others(simulate: Callable[..., list[dict[str, Any]]]) -> None:
    records = simulate(arms=read_arms(["bald", "random"]))

    picked = {r["arm"]: set(r["picked"]) for r in records if r["round"] == 1}
    assert picked["bald"] != picked["random"]


def test_no_sentence_is_labelled_twice(simulate: Callable[..., list[dict[str, Any]]]) -> None:
    records = simulate()

    start = next(r["picked"] for r in records if r["arm"] == "start")
    picked = [r["picked"] for r in records if r["arm"] == "mnlp"]
    together = [*start, *picked[0], *picked[1]]
    assert len(set(together)) == len(together)
    assert records[4]["labelled"]["sentences"] == len(together)


def test_the_test_part_is_never_in_the_pool(corpus: SimulatedCorpus) -> None:
    assert not {s.id for s in corpus.pool} & {s.id for s in corpus.test}


def test_a_diverse_start_is_another_one_and_the_same_every_time(
    simulate: Callable[..., list[dict[str, Any]]], replay: Replay, tmp_path: Path
) -> None:
    def start_of(how: str, out: str) -> list[int]:
        records = simulate(
            arms=[Arm("random")],
            replay=replace(replay, start=how, shares=(0.2, 0.3)),  # type: ignore[arg-type]
            out=tmp_path / out,
        )
        picked: list[int] = next(r["picked"] for r in records if r["arm"] == "start")
        return picked

    spread = start_of("diverse", "a")

    assert spread == start_of("diverse", "b")
    assert spread != start_of("random", "c")


def test_what_departs_from_the_defaults_makes_other_records(
    corpus: SimulatedCorpus, replay: Replay
) -> None:
    others = [
        replace(replay, options=parse_options([*SMALL, "weight_decay=0.2"])),
        replace(replay, start="diverse"),
        replace(replay, random_share=0.5),
        replace(replay, shares=(0.2, 0.5)),
        replace(replay, device="cuda"),
    ]

    digests = {one.digest(corpus) for one in [replay, *others]}
    assert len(digests) == 6
    assert replay.digest(replace(corpus, pool=corpus.pool[1:])) not in digests


class KilledError(Exception):
    """Stands for a signal."""


def test_a_killed_simulation_goes_on_and_ends_as_if_unbroken(
    simulate: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    unbroken = simulate(out=tmp_path / "unbroken")
    told: list[dict[str, Any]] = []

    def kill(record: dict[str, Any]) -> None:
        told.append(record)
        if len(told) == 4:
            raise KilledError

    with pytest.raises(KilledError):
        simulate(on_record=kill)
    resumed = simulate(on_record=told.append)

    assert without_clock(resumed) == without_clock(unbroken)
    assert len(told) == len(unbroken)  # nothing was done twice


def test_what_another_process_holds_is_left_to_it(
    simulate: Callable[..., list[dict[str, Any]]],
    corpus: SimulatedCorpus,
    replay: Replay,
    tmp_path: Path,
) -> None:
    other = Simulation(corpus, replay, arms=[Arm("mnlp")], seeds=[0], out=tmp_path / "out")

    with other.ledger.hold("mnlp-seed0", wait=True):
        records = simulate(arms=read_arms(["mnlp"]))

    assert {r["arm"] for r in records} == {"start", "random", "full"}


def test_an_archive_carries_records_to_another_machine(
    simulate: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    archive = tmp_path / "records.json"
    first = simulate(archive=archive, arms=read_arms(["mnlp"]))
    told: list[dict[str, Any]] = []

    second = simulate(
        archive=archive,
        arms=read_arms(["mnlp"]),
        seeds=[0, 1],
        out=tmp_path / "elsewhere",
        on_record=told.append,
    )

    assert [r for r in second if r["seed"] == 0] == first
    assert {r["seed"] for r in told} == {1}
    assert len(json.loads(archive.read_text())["records"]) == len(second)


def test_an_arm_begins_from_an_archive_without_the_model_of_the_start(
    simulate: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    archive = tmp_path / "records.json"
    simulate(archive=archive, arms=read_arms(["mnlp"]))

    records = simulate(
        archive=archive, arms=read_arms(["mnlp", "entropy"]), out=tmp_path / "elsewhere"
    )

    alone = simulate(arms=read_arms(["entropy"]), out=tmp_path / "alone")
    assert without_clock([r for r in records if r["arm"] == "entropy"]) == without_clock(
        [r for r in alone if r["arm"] == "entropy"]
    )


def test_records_of_other_settings_stay_in_the_archive_and_out_of_the_way(
    simulate: Callable[..., list[dict[str, Any]]], replay: Replay, tmp_path: Path
) -> None:
    archive = tmp_path / "records.json"
    simulate(archive=archive, arms=[Arm("random")])

    others = replace(replay, random_share=0.5)
    records = simulate(archive=archive, arms=[Arm("random")], replay=others)

    assert len(records) == 4
    assert len(json.loads(archive.read_text())["records"]) == 8


def test_a_file_that_is_no_archive_is_refused(
    simulate: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    path = tmp_path / "records.json"
    path.write_text('{"runs": []}')

    with pytest.raises(InputError, match=r"records\.json"):
        simulate(archive=path)


@pytest.mark.parametrize(
    "shares", [(0.5,), (0.2, 0.2), (0.0, 0.5), (0.5, 1.0)], ids=["one", "same", "zero", "all"]
)
def test_shares_must_rise_between_zero_and_one(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="--shares"):
        Replay(shares=shares)


def test_random_is_always_among_the_arms_and_none_is_there_twice() -> None:
    names = [arm.name for arm in read_arms(["mnlp", "random", "mnlp+diverse", "mnlp"])]

    assert names == ["random", "mnlp", "mnlp+diverse"]


@pytest.mark.parametrize(
    ("strategy", "name"), [("mnlp", "mnlp+diverse"), ("random", "random")], ids=["mnlp", "random"]
)
def test_the_arm_of_a_queue_spreads_its_batches(strategy: str, name: str) -> None:
    assert queue_arm(strategy).name == name


@pytest.mark.parametrize("name", ["best", "random+diverse"])
def test_an_arm_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        read_arms([name])


def test_each_round_has_the_error_of_its_score(
    simulate: Callable[..., list[dict[str, Any]]],
) -> None:
    records = simulate(arms=read_arms(["mnlp"]))

    assert all(record["joint_f1_error"] >= 0 for record in records)
