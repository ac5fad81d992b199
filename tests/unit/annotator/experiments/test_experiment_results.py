"""Files of finished runs, means over them, and what is measured beside F1."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bert import make_tagged

from annotator.domain import WordEntity, WordRelation
from annotator.errors import ConflictError
from annotator.experiments.record import hold_folder, load_run, save_run, write_atomically
from annotator.experiments.scoring import false_alarms
from annotator.experiments.summary import summarise, table
from annotator.model import SentencePrediction
from annotator.training import measure_calibration

RESULT = {"fingerprint": "f1", "ner": {"micro": {"f1": 81.25}}}

# ---- files of runs -------------------------------------------------------------------------


def test_a_saved_run_is_read_back(tmp_path: Path) -> None:
    save_run(tmp_path / "runs" / "a.json", RESULT)

    assert load_run(tmp_path / "runs" / "a.json", fingerprint="f1") == RESULT
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a.json"]


def test_an_absent_run_is_none(tmp_path: Path) -> None:
    assert load_run(tmp_path / "runs" / "a.json", fingerprint="f1") is None


def test_the_file_of_another_run_is_none(tmp_path: Path) -> None:
    save_run(tmp_path / "a.json", RESULT)

    assert load_run(tmp_path / "a.json", fingerprint="f2") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("81.25", "91.25"),
        lambda _text: "",
        lambda _text: "[]",
        lambda _text: "{}",
        lambda _text: '{"run": [], "sha256": ""}',
        lambda _text: "\x00" * 50,
        lambda _text: "\ufffd\udc80",
    ],
    ids=["half", "changed", "empty", "list", "no keys", "wrong run", "zeros", "not UTF-8"],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "a.json"
    save_run(path, RESULT)
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogateescape"))

    assert load_run(path, fingerprint="f1") is None


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "old")

    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "a", "new \udc80")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_is_for_one_experiment_at_a_time(tmp_path: Path, repository: Path) -> None:
    second = (
        "import sys, pathlib; from annotator.experiments.record import hold_folder\n"
        "with hold_folder(pathlib.Path(sys.argv[1])): pass"
    )

    with hold_folder(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", second, str(tmp_path)],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )

    assert f"{ConflictError.__name__}: another experiment is at work in" in done.stderr


def test_a_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with hold_folder(tmp_path):
        pass

    with hold_folder(tmp_path):
        assert (tmp_path / ".lock").is_file()


# ---- means and tables ----------------------------------------------------------------------


def make_run(
    f1: float, *, seed: int = 0, fold: int | None = None, macro: float = 50.0, **more: Any
) -> dict[str, Any]:
    layer = {
        "micro": {"p": f1, "r": f1, "f1": f1},
        "macro": {"p": macro, "r": macro, "f1": macro},
        "boundary": {"p": f1, "r": f1, "f1": f1},
        "types": {"Drug": {"p": f1, "r": f1, "f1": f1, "n": 5}},
    }
    return {
        **{"seed": seed, "fold": fold, "draw": None, "train_s": 10.0, "words_per_s": 100.0},
        **{"n_train": 1_153, "n_test": 288, "ner": layer, "re": layer},
        **more,
    }


def test_the_mean_and_deviation_of_seeds() -> None:
    summary = summarise([make_run(80.0), make_run(84.0, seed=1)], headline="micro")

    assert (summary["mean"]["ner_f1"], summary["mean"]["re_f1"]) == (82.0, 82.0)
    assert summary["std"]["ner_f1"] == pytest.approx(np.std([80.0, 84.0], ddof=1), abs=1e-4)
    assert summary["std_over"] == "seeds and draws"


def test_the_headline_decides_which_f1() -> None:
    summary = summarise([make_run(80.0, macro=70.0)], headline="macro")

    assert (summary["mean"]["ner_f1"], summary["mean"]["ner_micro_f1"]) == (70.0, 80.0)


def test_folds_are_averaged_before_seeds_are_compared() -> None:
    runs = [
        make_run(f1, seed=seed, fold=fold)
        for seed, fold, f1 in ((0, 0, 70.0), (0, 1, 90.0), (1, 0, 71.0), (1, 1, 91.0))
    ]

    summary = summarise(runs, headline="micro")

    assert summary["mean"]["ner_f1"] == 80.5
    assert summary["std"]["ner_f1"] == pytest.approx(np.std([80.0, 81.0], ddof=1), abs=1e-4)


def test_with_one_seed_the_deviation_is_that_of_folds() -> None:
    summary = summarise([make_run(70.0, fold=0), make_run(90.0, fold=1)], headline="micro")

    assert (summary["std_over"], round(summary["std"]["re_f1"], 2)) == ("folds", 14.14)


def test_one_run_has_no_deviation() -> None:
    assert summarise([make_run(70.0)], headline="micro")["std"]["ner_f1"] == 0.0


def test_speed_is_weighed_by_time() -> None:
    runs = [make_run(1.0), make_run(1.0, seed=1, train_s=30.0, words_per_s=300.0)]

    summary = summarise(runs, headline="micro")

    assert (summary["train_s"], summary["words_per_s"]) == (40.0, 250.0)


def make_value(*runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        **{"protocol": "ade", "headline": "micro", "on": "test", "runs": list(runs), "grid": []},
        **{"encoder": "minilm", "device": "cpu", "left_out": {}, "command": "annotator x"},
        **{"date": "2026-11-22", **summarise(runs, headline="micro"), **more},
    }


def test_the_table_has_a_row_a_run_and_one_of_means() -> None:
    page = table(make_value(make_run(80.0, fold=3), make_run(84.0, fold=4)))

    assert "| fold 3, seed 0 | 1,153 | 288 | 80.00 | 80.00 | 80.00 | 80.00 |" in page
    assert "| mean ± std over folds | | | **82.00** ± 2.83 |" in page
    assert "| Drug | 82.00 | 82.00 |" in page


def test_rows_of_a_table_are_as_wide_as_its_head() -> None:
    page = table(make_value(make_run(80.0)))

    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert widths == {12, 4}


def test_a_grid_is_shown_with_its_choice() -> None:
    row = {"ner_f1": 80.0, "re_f1": 60.0, "joint_f1": 70.0}
    grid = [
        {"choice": {"batch_size": 8, "epochs": 3}, "chosen": False, **row},
        {"choice": {"batch_size": 16, "epochs": 3}, "chosen": True, **row},
    ]

    page = table(make_value(make_run(80.0), grid=grid))

    assert "| batch_size | epochs | dev entities F1 |" in page
    assert "| 8 | 3 | 80.00 | 60.00 | 70.00 |  |" in page
    assert "| 16 | 3 | 80.00 | 60.00 | 70.00 | yes |" in page


def test_what_else_was_measured_is_told() -> None:
    more = {
        "false_alarms": {"n_empty": 5, "entities": 4.0, "relations": 1.0, "sentences": 3.0},
        "ece": {"before": {"ner": 0.2, "re": 0.3}, "after": {"ner": 0.02, "re": 0.03}},
    }

    page = table(make_value(make_run(80.0, **more), left_out={"overlap": 120}))

    assert "4.00 entities, 1.00 relations, 3.00 sentences with at least one prediction." in page
    assert "entities 0.2000 and 0.0200, relations 0.3000 and 0.0300." in page
    assert "neither trained on nor scored: overlap 120." in page


# ---- calibration and false alarms ----------------------------------------------------------

GOLD = make_tagged(
    "aspirin caused rash", ("Drug", 0, 0), ("Effect", 2, 2), relations=(("causes", 0, 1),)
)
EMPTY = make_tagged("the patient went home")


def predict(*entities: tuple[str, int, float], relation: float | None = None) -> SentencePrediction:
    links = (
        () if relation is None else (WordRelation(type="causes", head=0, tail=1, score=relation),)
    )
    return SentencePrediction(
        entities=tuple(WordEntity(type=t, first=n, last=n, score=s) for t, n, s in entities),
        relations=links,
        signals={},
        embedding=np.zeros(1, dtype=np.float32),
    )


def test_sure_and_right_is_calibrated() -> None:
    error = measure_calibration([GOLD], [predict(("Drug", 0, 1.0), ("Effect", 2, 1.0), relation=1)])

    assert error == {"ner": 0.0, "re": 0.0}


def test_sure_and_wrong_is_not_and_a_wrong_entity_makes_its_relation_wrong() -> None:
    error = measure_calibration(
        [GOLD], [predict(("Drug", 0, 1.0), ("Drug", 2, 0.75), relation=0.5)]
    )

    assert error == {"ner": 0.375, "re": 0.5}


def test_nothing_predicted_is_no_error() -> None:
    assert measure_calibration([GOLD], [predict()]) == {"ner": 0.0, "re": 0.0}


def test_false_alarms_are_counted_on_empty_sentences_alone() -> None:
    alarm = predict(("Drug", 0, 0.5), ("Effect", 1, 0.5), relation=0.5)

    counts = false_alarms([GOLD, EMPTY, EMPTY, EMPTY, EMPTY], [alarm, alarm, *[predict()] * 3])

    assert counts == {"n_empty": 4, "entities": 50.0, "relations": 25.0, "sentences": 25.0}


def test_without_empty_sentences_there_is_no_count() -> None:
    assert false_alarms([GOLD], [predict()]) is None


def test_results_are_plain_json() -> None:
    assert json.loads(json.dumps(make_value(make_run(1.0)))) == make_value(make_run(1.0))
