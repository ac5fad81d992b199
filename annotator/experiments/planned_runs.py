"""The runs of an experiment, each with a fingerprint of everything its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Literal

from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ConfigError, InputError
from annotator.experiments.corpora import learn_schema
from annotator.experiments.options import Options
from annotator.experiments.protocols import Benchmark, Fold
from annotator.experiments.split import draw, hold_out
from annotator.model import ModelConfig
from annotator.training import TrainingSettings

__all__ = ["On", "Plan", "PlannedRun", "choose_parts", "digest_sentences", "plan_runs"]

On = Literal["dev", "test"]

_CALIBRATION_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run on a benchmark.

    Attributes:
        encoder: ``minilm``, a local folder, or a hub id.
        seeds: One run each.
        folds: None means all.
        on: Which part is scored.
        limit: Train on so many sentences, drawn at random; None means all.
        fraction: Train on this share of the sentences, drawn at random; None means all.
        draws: Number of random draws.
        calibrate: Whether to fit temperatures and measure calibration.
    """

    encoder: str = "minilm"
    device: str = "cpu"
    options: Options = field(default_factory=Options)
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] | None = None
    on: On = "test"
    limit: int | None = None
    fraction: float | None = None
    draws: int = 1
    calibrate: bool = False

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("an experiment needs at least one seed")
        if self.limit is not None and self.fraction is not None:
            raise ConfigError("give either --limit or --fraction, not both")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit must be at least 1, found {self.limit}")
        if self.fraction is not None and not 0.0 < self.fraction <= 1.0:
            raise ConfigError(f"--fraction must be above 0 and at most 1, found {self.fraction}")
        if self.draws < 1:
            raise ConfigError(f"--draws must be at least 1, found {self.draws}")
        if self.draws > 1 and not self.draws_sentences:
            raise ConfigError("--draws needs --limit or --fraction: there is nothing to draw")

    @property
    def draws_sentences(self) -> bool:
        """Whether only part of the training sentences is used."""
        return self.limit is not None or self.fraction is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One model to train and to score.

    Attributes:
        name: The protocol.
        fold: Number of the fold; None where there is only one.
        draw: Number of the draw; None where all sentences are trained on.
        on: Which part is scored.
        held: Sentences on which temperatures are fitted.
        schema: Types of the whole training part.
        fingerprint: SHA-256 of everything the result depends on.
    """

    name: str
    fold: int | None
    draw: int | None
    on: On
    train: tuple[TaggedSentence, ...]
    held: tuple[TaggedSentence, ...]
    scored: tuple[TaggedSentence, ...]
    schema: LabelSchema
    encoder: str
    device: str
    settings: TrainingSettings
    options: Options
    fingerprint: str

    @property
    def key(self) -> str:
        """The name of the run's files."""
        parts = [self.name]
        parts += [f"fold{self.fold}"] if self.fold is not None else []
        parts += [f"draw{self.draw}"] if self.draw is not None else []
        return "-".join([*parts, f"seed{self.settings.seed}", self.fingerprint[:12]])

    @property
    def title(self) -> str:
        """The name of the run in output."""
        words = [self.name]
        words += [f"fold {self.fold}"] if self.fold is not None else []
        words += [f"draw {self.draw}"] if self.draw is not None else []
        return " ".join([*words, f"seed {self.settings.seed}"])


def plan_runs(benchmark: Benchmark, plan: Plan) -> list[PlannedRun]:
    """Return the runs of ``plan``, by fold, draw and seed.

    Raises:
        ConfigError: if a fold does not exist, or a setting is out of range.
        InputError: if a part has no sentence, or too few for a draw.
    """
    runs = []
    settings = [plan.options.settings(seed=seed) for seed in plan.seeds]
    for fold in _choose_folds(benchmark, plan.folds):
        train, scored = choose_parts(benchmark, fold, on=plan.on)
        schema = learn_schema(train)
        config = ModelConfig(schema=schema, encoder=plan.encoder, **plan.options.model)
        for number, drawn in _draws(train, plan):
            kept, held = _hold_out(benchmark, fold, drawn, plan=plan)
            parts = digest_sentences(kept), digest_sentences(held), digest_sentences(scored)
            place = (benchmark.name, fold.index, number, plan.on, plan.device.partition(":")[0])
            runs += [
                PlannedRun(
                    name=benchmark.name,
                    fold=fold.index,
                    draw=number,
                    on=plan.on,
                    train=kept,
                    held=held,
                    scored=scored,
                    schema=schema,
                    encoder=plan.encoder,
                    device=plan.device,
                    settings=chosen,
                    options=plan.options,
                    fingerprint=_fingerprint(place, parts, config.to_json(), chosen.to_json()),
                )
                for chosen in settings
            ]
    return runs


def _choose_folds(benchmark: Benchmark, wanted: Sequence[int] | None) -> list[Fold]:
    if wanted is None:
        return list(benchmark.folds)
    there = {fold.index: fold for fold in benchmark.folds if fold.index is not None}
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        found = f"0 to {len(there) - 1}" if there else "only one division"
        raise ConfigError(
            f"{benchmark.name} has no fold {', '.join(map(str, unknown))}; there is {found}"
        )
    return [there[index] for index in sorted(set(wanted))]


def choose_parts(
    benchmark: Benchmark, fold: Fold, *, on: On
) -> tuple[tuple[TaggedSentence, ...], tuple[TaggedSentence, ...]]:
    """Return the sentences to train on and the sentences to score.

    Raises:
        InputError: if either part is empty.
    """
    both = on == "test" and benchmark.trains_on_dev
    train = fold.train + fold.dev if both else fold.train
    scored = fold.test if on == "test" else fold.dev
    for part, sentences in (("training part", train), (f"{on} part", scored)):
        if not sentences:
            raise InputError(
                f"the {part} of {benchmark.name} has no sentence: the corpus is too small to be cut"
            )
    return train, scored


def _draws(
    train: tuple[TaggedSentence, ...], plan: Plan
) -> Iterator[tuple[int | None, tuple[TaggedSentence, ...]]]:
    if not plan.draws_sentences:
        yield None, train
        return
    limit = plan.limit or max(1, round((plan.fraction or 0.0) * len(train)))
    for number in range(plan.draws):
        yield number, tuple(train[i] for i in draw(len(train), limit=limit, seed=number))


def _hold_out(
    benchmark: Benchmark, fold: Fold, train: tuple[TaggedSentence, ...], *, plan: Plan
) -> tuple[tuple[TaggedSentence, ...], tuple[TaggedSentence, ...]]:
    """Return the sentences left to train on, and those to fit temperatures on."""
    if not plan.calibrate:
        return train, ()
    if plan.on == "test" and not benchmark.trains_on_dev:
        return train, fold.dev
    held = hold_out([sentence.group for sentence in train], share=_CALIBRATION_SHARE)
    if not any(held):
        raise InputError("there is too little to hold out for temperatures: leave --calibrate out")
    return tuple(compress(train, (not out for out in held))), tuple(compress(train, held))


def _fingerprint(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digest_sentences(sentences: Iterable[TaggedSentence]) -> str:
    """Return the SHA-256 of words and labels."""
    digest = hashlib.sha256()
    for sentence in sentences:
        entities = [(e.type, e.first, e.last) for e in sentence.entities]
        relations = [(r.type, r.head, r.tail) for r in sentence.relations]
        digest.update(json.dumps([sentence.words, entities, relations]).encode())
    return digest.hexdigest()
