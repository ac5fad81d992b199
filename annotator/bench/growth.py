"""What a warm start is worth while labels grow: scores and seconds against training anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from annotator.bench.clock import Report
from annotator.bench.machine import describe_machine
from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ConfigError
from annotator.experiments import Benchmark
from annotator.experiments.corpora import learn_schema
from annotator.experiments.split import draw
from annotator.model import Predictor
from annotator.training import TrainingSettings, WarmStart, evaluate, train
from annotator.training.state import fingerprint

__all__ = ["GrowthPlan", "Variant", "bench_growth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to make the next model of a growing project.

    Attributes:
        name: What it is called.
        share: Share of the epochs and of the least steps of a default run.
        keep: How much of the model before is kept; None begins from the pre-trained encoder.
    """

    name: str
    share: float
    keep: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPlan:
    """What to train.

    Attributes:
        sizes: Gold sentences of one training run after the other, growing.
        fold: Fold of the corpus; its dev part is scored and never trained on.
        keep: How much of the model before the shrunk warm starts keep.
        share: Share of the steps that a short run takes.
        epochs: Epochs of a whole run.
        min_steps: Least steps of a whole run.
        encoder: ``minilm``, a local folder, or a hub id.
        seed: Of the draw and of each run.
        device: Where to compute.
    """

    sizes: tuple[int, ...] = (300, 600, 1200)
    fold: int = 0
    keep: float = 0.5
    share: float = 1 / 3
    epochs: int = 12
    min_steps: int = 600
    encoder: str = "minilm"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or list(self.sizes) != sorted(set(self.sizes)):
            raise ConfigError("--sizes needs two growing numbers or more, such as 300,600,1200")
        if not 0.0 < self.share <= 1.0:
            raise ConfigError(f"--share must be in (0, 1], found {self.share}")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The ways that are compared; the first one is what a run does by itself."""
        return (
            Variant(name="scratch", share=1.0, keep=None),
            Variant(name="scratch_short", share=self.share, keep=None),
            Variant(name="warm_short", share=self.share, keep=self.keep),
            Variant(name="warm_short_unshrunk", share=self.share, keep=1.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """A model of the chain, and its row of the table."""

    folder: Path
    row: dict[str, Any]


def bench_growth(
    benchmark: Benchmark, plan: GrowthPlan, *, out: Path, report: Report
) -> dict[str, Any]:
    """Train each variant on each size, a warm one from its own model of the size before.

    The first size is trained once, from the pre-trained encoder; all variants go on from there.
    Seconds are those of the processor, so that other programs do not count. What is finished in
    ``out`` is not done again.

    Raises:
        ConfigError: if the corpus has no such fold.
        InputError: if it has too few sentences.
    """
    fold = next((fold for fold in benchmark.folds if fold.index == plan.fold), None)
    if fold is None:
        raise ConfigError(f"{benchmark.name} has no fold {plan.fold}")
    schema = learn_schema(fold.train)
    rows: list[dict[str, Any]] = []
    n_runs = 1 + len(plan.variants) * (len(plan.sizes) - 1)
    last: dict[str, _Trained] = {}
    for size in plan.sizes:
        chosen = [fold.train[k] for k in draw(len(fold.train), limit=size, seed=plan.seed)]
        for variant in plan.variants if rows else plan.variants[:1]:
            trained = _one(
                chosen,
                fold.dev,
                schema=schema,
                plan=plan,
                variant=variant,
                before=last.get(variant.name),
                out=out,
                report=partial(_tell, report, variant.name, len(rows), n_runs),
            )
            rows.append(trained.row)
            last |= {v.name: trained for v in ([variant] if last else plan.variants)}
    return {
        "rows": rows,
        "corpus": benchmark.name,
        "n_dev": len(fold.dev),
        **{key: value for key, value in asdict(plan).items() if key not in ("sizes", "device")},
        **describe_machine(torch.device(plan.device)),
    }


def _tell(report: Report, name: str, n_done: int, n_runs: int, step: int, n_steps: int) -> None:
    report(f"{name}, run {n_done + 1} of {n_runs}", n_done * n_steps + step, n_runs * n_steps)


def _one(
    sentences: Sequence[TaggedSentence],
    dev: Sequence[TaggedSentence],
    *,
    schema: LabelSchema,
    plan: GrowthPlan,
    variant: Variant,
    before: _Trained | None,
    out: Path,
    report: Callable[[int, int], None],
) -> _Trained:
    settings = TrainingSettings(
        epochs=max(1, round(plan.epochs * variant.share)),
        min_steps=round(plan.min_steps * variant.share),
        seed=plan.seed,
    )
    start = None
    if before is not None and variant.keep is not None:
        start = WarmStart(folder=before.folder, keep=variant.keep)
    origin = [plan.encoder, settings.to_json(), plan.device, start and start.fingerprint()]
    key = fingerprint(sentences, dev, arguments=origin)[:12]
    folder = out / f"{len(sentences)}-{variant.name}-{key}"
    row_file = folder.with_name(f"{folder.name}.json")
    if row_file.is_file():
        return _Trained(folder=folder, row=json.loads(row_file.read_text(encoding="utf-8")))
    began = time.process_time()
    result = train(
        sentences,
        schema=schema,
        encoder=plan.encoder,
        settings=settings,
        folder=folder,
        device=plan.device,
        on_progress=lambda progress: report(progress.step, progress.n_steps),
        start=start,
    )
    seconds = time.process_time() - began
    scores = evaluate(dev, Predictor.load(folder, device=plan.device).predict(dev)).to_json()
    row = {
        "n_sentences": len(sentences),
        "variant": variant.name,
        "keep": start.keep if start else None,
        "n_epochs": result.n_epochs,
        "n_steps": result.n_steps,
        # A run that was interrupted: the rest, and the steps before at its rate.
        "train_cpu_s": round(
            seconds * result.n_steps / max(1, result.n_steps - result.resumed_from), 1
        ),
        "weights_sha256": result.weights_sha256,
        "ner_macro_f1": round(scores["ner"]["macro"]["f1"], 2),
        "ner_micro_f1": round(scores["ner"]["micro"]["f1"], 2),
        "re_f1": round(scores["re"]["micro"]["f1"], 2),
    }
    row_file.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return _Trained(folder=folder, row=row)
