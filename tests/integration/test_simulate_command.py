"""``annotator simulate`` as a process: what it prints and writes, refusals, and a kill."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from command_line import Run, finish_command, start_command
from small_corpora import make_record, write_notes

pytestmark = pytest.mark.slow

SMALL = [
    *("--set", "epochs=1", "--set", "min_steps=2", "--set", "batch_size=4", "--set", "hidden=16"),
    *("--set", "width=8", "--set", "label_embedding=4", "--set", "save_every_s=0.05"),
    *("--shares", "0.2,0.4,0.6", "--seeds", "1", "--device", "cpu", "--json"),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> list[str]:
    """What is asked of a simulation of two strategies on twenty documents."""
    folder = tmp_path_factory.mktemp("files")
    train = write_notes(folder / "train.jsonl", *map(make_record, range(20)))
    test = write_notes(folder / "test.jsonl", *map(make_record, range(20, 22)))
    files = ["jsonl", "--train", str(train), "--test", str(test)]
    return [*files, "-s", "mnlp", "--encoder", str(tiny_encoder), *SMALL]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_simulation_goes_on_and_ends_as_an_unbroken_one(
    tmp_path: Path, words: list[str]
) -> None:
    unbroken = finish_command(start_command("simulate", tmp_path, *words, "--out", "unbroken"))
    process = start_command("simulate", tmp_path, *words, "--out", "o")
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("o/records/*round1.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    n_done = len(list(tmp_path.glob("o/records/*.json")))

    value = finish_command(start_command("simulate", tmp_path, *words, "--out", "o"))

    assert 0 < n_done < 6
    assert value["models"] == {"done": 6, "wanted": 6}
    assert value["strategies"] == unbroken["strategies"]
    assert json.loads((tmp_path / "o/results.json").read_text()) == value
    assert not list((tmp_path / "o/models").iterdir())


@pytest.mark.timeout(300)
def test_it_prints_costs_and_draws_curves_and_keeps_a_summary(
    tmp_path: Path, words: list[str]
) -> None:
    more = ["--archive", "a.json", "--plot", "curves.html", "--summary", "s.json"]

    value = finish_command(start_command("simulate", tmp_path, *words, *more))

    for name in ("random", "mnlp"):
        found = value["strategies"][name]
        assert {"sentences", "words", "entities", "relations", "seconds"} == set(
            found["cost_to"]["0.95"]
        )
        assert len(found["curve"]) == 4
        assert "words" in found["ratio_to_random"]["0.99"]
    assert "<svg" in (tmp_path / "curves.html").read_text()
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["default"] == "mnlp+diverse"
    assert summary["corpora"]["jsonl"]["device"] == "cpu"
    assert len(json.loads((tmp_path / "a.json").read_text())["records"]) == 6


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--shares", "0.2,x"], "--shares"),
        (["--cost", "1,2"], "--cost"),
        (["-s", "best"], "joint_rate"),
        (["--plot", "curves.pdf"], ".png or .html"),
        (["--negatives", "3"], "--negatives"),
    ],
    ids=["shares", "cost", "strategy", "plot", "negatives"],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    annotator: Run, words: list[str], tmp_path: Path, wrong: list[str], told: str
) -> None:
    outcome = annotator("simulate", *words, "--out", str(tmp_path / "out"), *wrong)

    assert told in outcome.error
    assert not (tmp_path / "out").exists()
