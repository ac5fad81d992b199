"""What is simulated: a pool with known labels, the arms that compete, and the rounds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from annotator.active import get_strategy
from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ConfigError
from annotator.experiments import Benchmark, Options
from annotator.experiments.corpora import learn_schema
from annotator.experiments.planned_runs import choose_parts, digest_sentences
from annotator.experiments.split import draw
from annotator.model import ModelConfig

__all__ = ["FULL", "START", "Arm", "Replay", "SimulatedCorpus", "Start", "queue_arm", "read_arms"]

Start = Literal["random", "diverse"]

#: Names of the two models that all arms of a seed share.
START, FULL = "start", "full"

_DIVERSE = "+diverse"
_PROTOCOL = 1  # raise it when rounds are done differently


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """A strategy, with or without the queue's batch-diversity step.

    ``name`` is that of the strategy, followed by ``+diverse`` if the step is taken.
    """

    strategy: str
    is_diverse: bool = False

    def __post_init__(self) -> None:
        get_strategy(self.strategy)
        if self.is_diverse and self.strategy == "random":
            raise ConfigError("random order has no batch-diversity step: give --strategy random")

    @property
    def name(self) -> str:
        """The name in records and tables."""
        return self.strategy + _DIVERSE * self.is_diverse


def queue_arm(strategy: str) -> Arm:
    """Return the arm that chooses as the queue does with this strategy: with diverse batches."""
    return Arm(strategy, is_diverse=strategy != "random")


def read_arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """Read names such as ``mnlp`` and ``mnlp+diverse``; add random, drop repetitions.

    Raises:
        ConfigError: if there is no such strategy.
    """
    arms = [Arm("random")]
    for name in names:
        arm = Arm(name.removesuffix(_DIVERSE), name.endswith(_DIVERSE))
        arms += [arm] if arm not in arms else []
    return tuple(arms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCorpus:
    """A gold corpus: the pool that is labelled step by step, and the part that is scored."""

    name: str
    pool: tuple[TaggedSentence, ...]
    test: tuple[TaggedSentence, ...]
    schema: LabelSchema

    @classmethod
    def of(
        cls, benchmark: Benchmark, *, fold: int, on: Literal["dev", "test"], limit: int | None
    ) -> SimulatedCorpus:
        """Take one fold of a benchmark; ``limit`` training sentences are the pool (None: all).

        Raises:
            ConfigError: if there is no such fold.
            InputError: if a part is empty or too small.
        """
        folds = {one.index or 0: one for one in benchmark.folds}
        if fold not in folds:
            raise ConfigError(f"{benchmark.name} has no fold {fold}; there are {len(folds)}")
        pool, test = choose_parts(benchmark, folds[fold], on=on)
        schema = learn_schema(pool)
        if limit is not None:
            pool = tuple(pool[i] for i in draw(len(pool), limit=limit, seed=0))
        return cls(name=benchmark.name, pool=pool, test=test, schema=schema)

    @property
    def n_words(self) -> int:
        """Number of words in the pool."""
        return sum(len(sentence.words) for sentence in self.pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a corpus is replayed.

    Attributes:
        shares: Share of the pool's words that is labelled after each round; the first is the start
            that all arms of a seed share.
        start: Whether that start is drawn at random or spread over the embeddings.
        random_share: Share of each round that is drawn at random, as in the queue.
        options: What differs from the defaults of training and model.
        encoder: ``minilm``, a local folder, or a hub id.
        on: Which part is scored.
    """

    shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
    start: Start = "random"
    random_share: float = 0.15
    options: Options = field(default_factory=Options)
    encoder: str = "minilm"
    device: str = "cpu"
    on: Literal["dev", "test"] = "test"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.shares, self.shares[1:], strict=False))
        if len(self.shares) < 2 or not rising or not 0.0 < self.shares[0] < self.shares[-1] < 1.0:
            raise ConfigError(
                "--shares must be two or more rising numbers between 0 and 1, found "
                + ",".join(f"{share:g}" for share in self.shares)
            )
        if not 0.0 <= self.random_share <= 1.0:
            raise ConfigError(f"--random-share must be in [0, 1], found {self.random_share}")
        if self.start not in get_args(Start):
            raise ConfigError(f"--start must be one of {', '.join(get_args(Start))}")

    def digest(self, corpus: SimulatedCorpus) -> str:
        """Return a SHA-256 of what results depend on, without arm, seed, round and version.

        Of settings and model it takes only what differs from the defaults, so that a later version
        with a new setting still reuses results of an earlier one; each record names its version.

        Raises:
            ConfigError: if a setting is out of range.
        """
        ModelConfig(schema=corpus.schema, encoder=self.encoder, **self.options.model)
        self.options.settings(seed=0)
        values: list[Any] = [
            *(_PROTOCOL, corpus.name, self.on, self.device.partition(":")[0], self.encoder),
            *(digest_sentences(corpus.pool), digest_sentences(corpus.test)),
            *(dict(self.options.model), dict(self.options.training)),
            *(self.start, self.random_share, list(self.shares)),
        ]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
