"""One run: train, score, save the result, and remove the checkpoint."""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import torch
import transformers

import annotator
from annotator.experiments.planned_runs import PlannedRun
from annotator.experiments.record import load_run, save_run
from annotator.experiments.scoring import false_alarms
from annotator.model import Calibration, Predictor
from annotator.training import (
    TrainingProgress,
    TrainingResult,
    evaluate,
    evaluate_given_entities,
    measure_calibration,
    train,
)

__all__ = ["do_run", "finished_run", "forget_run", "run_path", "versions"]

_ROOMS = ("domain", "formats", "model", "text", "training")  # what results depend on


def run_path(out: Path, run: PlannedRun) -> Path:
    """Return the path of the result of ``run``."""
    return out / "runs" / f"{run.key}.json"


def finished_run(out: Path, run: PlannedRun) -> dict[str, Any] | None:
    """Return the result of ``run``; None if it has not finished."""
    return load_run(run_path(out, run), fingerprint=run.fingerprint)


def forget_run(out: Path, run: PlannedRun) -> None:
    """Remove the result of ``run``, its checkpoint, and the remains of an interrupted one."""
    run_path(out, run).unlink(missing_ok=True)
    _remove(out, f"{run.key}*")
    _remove(out, f".{run.key}*")


def _remove(out: Path, pattern: str) -> None:
    for room in ("runs", "models"):
        for path in (out / room).glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """Return a short SHA-256 of the source files that results depend on."""
    digest = hashlib.sha256()
    root = Path(annotator.__file__).parent
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def versions() -> dict[str, str]:
    """Return the versions of what results depend on; ``code`` is a digest of the source files."""
    return {
        "annotator": annotator.__version__,
        "code": _code_digest(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }


def do_run(
    run: PlannedRun,
    *,
    out: Path,
    keep_model: bool,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> dict[str, Any]:
    """Train and score one model and save the result; a killed run is resumed."""
    folder = out / "models" / run.key
    _remove(out, f".{run.key}*")  # temporary files of a killed process
    trained = train(
        run.train,
        schema=run.schema,
        encoder=run.encoder,
        settings=run.settings,
        folder=folder,
        dev=run.held,
        device=run.device,
        on_progress=on_progress,
        options=run.options.model,
    )
    result = _describe(run, trained) | _score(run, folder)
    save_run(run_path(out, run), result)
    if not keep_model:
        shutil.rmtree(folder)
    return result


def _describe(run: PlannedRun, trained: TrainingResult) -> dict[str, Any]:
    return {
        "name": run.name,
        "fold": run.fold,
        "draw": run.draw,
        "seed": run.settings.seed,
        "on": run.on,
        "encoder": run.encoder,
        "device": run.device,
        "settings": run.settings.to_json(),
        "options": dict(run.options.model),
        "fingerprint": run.fingerprint,
        "n_train": len(run.train),
        "n_held": len(run.held),
        "n_test": len(run.scored),
        "n_steps": trained.n_steps,
        "n_epochs": trained.n_epochs,
        "loss": round(trained.loss, 6),
        "train_s": round(trained.train_s, 3),
        "words_per_s": round(trained.words_per_s, 1),
        "left_out": dict(trained.left_out),
        "weights_sha256": trained.weights_sha256,
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _score(run: PlannedRun, folder: Path) -> dict[str, Any]:
    predictor = Predictor.load(folder, device=run.device)
    started = time.monotonic()
    predicted = predictor.predict(run.scored)
    seconds = time.monotonic() - started
    n_words = sum(len(sentence.words) for sentence in run.scored)
    scores: dict[str, Any] = evaluate(run.scored, predicted).to_json()
    scores["re_given_entities"] = evaluate_given_entities(run.scored, predictor).to_json()
    scores["predict_words_per_s"] = round(n_words / max(seconds, 1e-9), 1)
    alarms = false_alarms(run.scored, predicted)
    if alarms is not None:
        scores["false_alarms"] = alarms
    if run.held:
        after = measure_calibration(run.scored, predicted)
        scores["calibration"] = predictor.model.calibration.to_json()
        predictor.model.calibration = Calibration()
        before = measure_calibration(run.scored, predictor.predict(run.scored))
        scores["ece"] = {"before": before, "after": after}
    return scores
