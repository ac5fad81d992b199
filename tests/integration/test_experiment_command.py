"""``annotator experiment`` as a process: results, refusals, and a kill in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, finish_command, start_command
from small_corpora import make_record, write_ade, write_conll04, write_notes

pytestmark = pytest.mark.slow

SMALL = [
    *("--set", "epochs=1", "--set", "min_steps=2", "--set", "batch_size=4", "--set", "hidden=16"),
    *("--set", "width=8", "--set", "label_embedding=4", "--device", "cpu", "--json"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A training file of twenty documents and a test file of two."""
    folder = tmp_path_factory.mktemp("files")
    train = write_notes(folder / "train.jsonl", *map(make_record, range(20)))
    test = write_notes(folder / "test.jsonl", *map(make_record, range(20, 22)))
    return ["jsonl", "--train", str(train), "--test", str(test)]


@pytest.fixture(scope="module")
def long_words(files: list[str], tiny_encoder: Path) -> list[str]:
    """What is asked of an experiment that is long enough to be killed."""
    words = [*files, "--encoder", str(tiny_encoder), "--seeds", "2", *SMALL[4:]]
    return [*words, *("--set", "epochs=40", "--set", "min_steps=0", "--set", "save_every_s=0.05")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, long_words: list[str]) -> dict[str, Any]:
    """The result of the same experiment without a kill."""
    return finish_command(
        start_command("experiment", tmp_path_factory.mktemp("unbroken"), *long_words)
    )


@pytest.fixture
def conll04(tmp_path: Path) -> Path:
    """CoNLL04's layout with ten sentences."""
    return write_conll04(tmp_path / "conll04")


def kill_amid_the_second_run(process: subprocess.Popen[str], out: Path) -> None:
    """Kill the experiment when the second run has saved its state for the first time."""
    deadline = time.monotonic() + 60
    while not list((out / "models").glob("*seed1*.partial")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)  # ends when all that wrote to its pipes have ended
    assert process.returncode == -signal.SIGKILL


def outcome(value: dict[str, Any]) -> list[Any]:
    """What does not depend on the clock."""
    return [
        value["mean"],
        *([run["seed"], run["weights_sha256"], run["ner"], run["re"]] for run in value["runs"]),
    ]


def test_an_experiment_prints_one_object_and_writes_it_down(
    tmp_path: Path, conll04: Path, tiny_encoder: Path
) -> None:
    process = start_command(
        "experiment",
        tmp_path,
        "conll04",
        "--data",
        conll04,
        "--encoder",
        tiny_encoder,
        "--seeds",
        2,
        *SMALL,
    )

    value = finish_command(process)

    assert json.loads((tmp_path / "experiments/conll04/results.json").read_text()) == value
    assert [(run["n_train"], run["n_test"]) for run in value["runs"]] == [(8, 2), (8, 2)]
    assert (value["protocol"], value["seeds"], value["device"]) == ("conll04", [0, 1], "cpu")
    assert value["command"].startswith("annotator experiment conll04 --data")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_a_killed_experiment_goes_on_and_ends_as_an_unbroken_one(
    tmp_path: Path, long_words: list[str], unbroken: dict[str, Any], workers: int
) -> None:
    words = [*long_words, "--out", "o", "--workers", workers]
    kill_amid_the_second_run(start_command("experiment", tmp_path, *words), tmp_path / "o")
    n_done = len(list((tmp_path / "o").glob("runs/*.json")))

    value = finish_command(start_command("experiment", tmp_path, *words))

    assert n_done < 2
    assert outcome(value) == outcome(unbroken)
    assert not list((tmp_path / "o" / "models").iterdir())


# ---- in this process -----------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_a_person_reads_means_and_where_there_is_more(
    annotator: Run, conll04: Path, tiny_encoder: Path
) -> None:
    words = [*SMALL[:-1], "--grid", "dropout=0,0.2", "--calibrate", "--out", "o"]

    ended = annotator("experiment", "conll04", "--data", conll04, "--encoder", tiny_encoder, *words)

    assert ended.code == 0, ended.err
    assert "conll04, runs: 1, on test (strict, micro; ± over seeds and draws)" in ended.out
    assert "chosen: dropout=" in ended.out
    assert "more in o/results.md" in ended.out
    assert ended.err.count("conll04 seed 0: entities F1") == 3


@pytest.mark.usefixtures("here")
def test_results_of_another_version_of_the_program_are_told(
    annotator: Run, conll04: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["experiment", "conll04", "--data", conll04, "--encoder", tiny_encoder, *SMALL]
    annotator(*words)
    monkeypatch.setattr("annotator.__version__", "9.9.9")

    ended = annotator(*words)

    assert "1 of 1 results were there already and are of another version" in ended.err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "folds", "n_test"),
    [
        (["ade", "--folds", "1,3"], [1, 3], 4),
        (["ade", "--group", "pmid", "--folds", "9"], [9], 4),
        (["ade-mixed", "--folds", "0", "--on", "dev"], [0], 7),
    ],
    ids=["papers", "by abstract", "mixed on dev"],
)
def test_folds_are_chosen_by_number(
    annotator: Run, tmp_path: Path, tiny_encoder: Path, words: list[str], folds: Any, n_test: int
) -> None:
    data = write_ade(tmp_path / "ade")

    ended = annotator("experiment", *words, "--data", data, "--encoder", tiny_encoder, *SMALL)

    value = json.loads(ended.out)
    assert [run["fold"] for run in value["runs"]] == folds
    assert value["headline"] == "macro"
    assert value["runs"][0]["n_test"] == n_test


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("folds", "found"), [("4", [0, 1, 2, 3]), ("1,3/4", [1, 3])], ids=["all", "some"]
)
def test_a_file_of_the_users_own_is_cut_into_so_many_folds(
    annotator: Run, files: list[str], tiny_encoder: Path, folds: str, found: list[int]
) -> None:
    words = ["--data", files[2], "--folds", folds, "--limit", 4, "--draws", 2]

    ended = annotator("experiment", "jsonl", *words, "--encoder", tiny_encoder, *SMALL)

    runs = json.loads(ended.out)["runs"]
    assert [(run["fold"], run["draw"], run["n_train"]) for run in runs] == [
        (fold, draw, 4) for fold in found for draw in (0, 1)
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("nope --data .", "no experiment 'nope'; there are conll04"),
        ("conll04", "needs --data DIR"),
        ("conll04 --data absent", "there is no file absent/train.txt"),
        ("conll04 --data . --set speed=1", "there is no option 'speed'; there are"),
        ("conll04 --data . --grid epochs=one", "epochs must be a whole number"),
        ("conll04 --data . --folds 1/5", "cuts its corpus itself"),
        ("ade --data . --folds one", "--folds must name folds as 0,1,2"),
        ("jsonl --data . --folds 3,/5", "--folds must name folds as 0,1,2"),
        ("conll04 --data . --device abacus", "device 'abacus' is not available here"),
        ("conll04 --data . --draws 2", "--draws needs --limit or --fraction"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_trained(
    annotator: Run, here: Path, words: str, reason: str
) -> None:
    ended = annotator("experiment", *words.split())

    assert reason in ended.error
    assert not list(here.iterdir())
