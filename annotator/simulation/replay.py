"""A simulation from end to end: the start that arms share, their rounds, the full-data model.

The unit of work is one arm of one seed. Each finished round is a record, so a killed simulation
resumes where it was, and processes started with the same command share the work: each takes units
that no other one holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotator.active.spread import spread_order
from annotator.model import Predictor
from annotator.model.untrained import embed_sentences, load_untrained
from annotator.simulation.arms import FULL, START, Arm, Replay, SimulatedCorpus
from annotator.simulation.ledger import Ledger
from annotator.simulation.picks import pick_next, take_words
from annotator.simulation.rounds import count_labels, do_round
from annotator.simulation.scores import PoolScores
from annotator.training import TrainingProgress

__all__ = ["Report", "Simulation"]

_BALD_PASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Progress of a simulation: models trained of those needed, and what the current one does."""

    title: str
    n_done: int
    n_models: int
    progress: TrainingProgress


class Simulation:
    """Arms over seeds on one corpus.

    Args:
        corpus: The corpus to replay.
        replay: How to replay it.
        arms: The arms to compare.
        seeds: One start, one full-data model and one trajectory per arm each.
        out: Folder of records, which several processes may share.
        archive: A file whose finished records are reused, and which is kept up to date.
        on_progress: Called after each step.
        on_record: Called with the record of each finished round.
    """

    def __init__(
        self,
        corpus: SimulatedCorpus,
        replay: Replay,
        *,
        arms: Sequence[Arm],
        seeds: Sequence[int],
        out: Path,
        archive: Path | None = None,
        on_progress: Callable[[Report], None] = lambda _report: None,
        on_record: Callable[[dict[str, Any]], None] = lambda _record: None,
    ) -> None:
        self.corpus, self.replay = corpus, replay
        self.arms, self.seeds = tuple(arms), tuple(seeds)
        self.ledger = Ledger(out / "records", digest=replay.digest(corpus), archive=archive)
        self._bald_passes = _BALD_PASSES if Arm("bald") in arms or Arm("bald", True) in arms else 0
        self._out = out
        self._tell, self._on_record = on_progress, on_record
        self._started: dict[int, PoolScores] = {}

    @property
    def n_models(self) -> int:
        """Number of models that all arms and seeds need."""
        return len(self.seeds) * (2 + len(self.arms) * (len(self.replay.shares) - 1))

    def run(self) -> list[dict[str, Any]]:
        """Do what is left and no other process is doing; return all records."""
        for seed in self.seeds:
            for arm in (self.arms[0], None, *self.arms[1:]):
                name = FULL if arm is None else arm.name
                with self.ledger.hold(f"{name}-seed{seed}", wait=False) as is_mine:
                    if is_mine and arm is None:
                        self._finish_full(seed)
                    elif is_mine and arm is not None:
                        self._follow(arm, seed)
        return self.records()

    def records(self) -> list[dict[str, Any]]:
        """Return the finished records of these arms and seeds."""
        wanted = {arm.name for arm in self.arms} | {START, FULL}
        return [
            record
            for record in self.ledger.records()
            if record["arm"] in wanted and record["seed"] in self.seeds
        ]

    def _finish_full(self, seed: int) -> None:
        if self.ledger.find(FULL, seed, 0) is None:
            everything = list(range(len(self.corpus.pool)))
            record, _ = self._round(FULL, seed, 0, everything)
            self._keep(record)

    def _follow(self, arm: Arm, seed: int) -> None:
        """Do the rounds of one arm, from the start that all arms of the seed share."""
        last = len(self.replay.shares) - 1
        labelled: list[int] = self._start(seed)["picked"]
        picked: list[int] | None = None
        for i_round in range(1, last + 1):
            record = self.ledger.find(arm.name, seed, i_round)
            if record is None:
                if picked is None:
                    scores = self._scores_of_start(seed, labelled)
                    picked = self._pick(arm, seed, i_round, labelled, scores)
                record = self._finish(arm, seed, i_round, labelled, picked)
            labelled = labelled + record["picked"]
            picked = record.get("next")

    def _finish(
        self, arm: Arm, seed: int, i_round: int, labelled: list[int], picked: list[int]
    ) -> dict[str, Any]:
        """Train with the picked sentences, and choose the next round by that model."""
        known = labelled + picked
        record, model = self._round(arm.name, seed, i_round, known)
        record["picked"] = picked
        record["profile"] = count_labels([self.corpus.pool[i] for i in picked])
        if i_round + 1 < len(self.replay.shares):
            scores = PoolScores.of(model.predict(self.corpus.pool))
            record["next"] = self._pick(arm, seed, i_round + 1, known, scores)
        return self._keep(record)

    def _start(self, seed: int) -> dict[str, Any]:
        with self.ledger.hold(f"{START}-seed{seed}", wait=True):
            found = self.ledger.find(START, seed, 0)
            if found is not None:
                return found
            picked = take_words(self._start_order(seed), self.corpus.pool, self._n_words(0))
            record, model = self._round(START, seed, 0, picked)
            PoolScores.of(model.predict(self.corpus.pool)).save(self._scores_path(seed))
            return self._keep({**record, "picked": picked})

    def _start_order(self, seed: int) -> list[int]:
        rng = np.random.default_rng([seed, 0])
        n = len(self.corpus.pool)
        if self.replay.start == "random":
            return [int(i) for i in rng.permutation(n)]
        n_start = max(1, round(self.replay.shares[0] * n))
        untrained = load_untrained(
            self.replay.encoder, device=self.replay.device, options=self.replay.options.model
        )
        order = spread_order(embed_sentences(untrained, self.corpus.pool), n_start, rng=rng)
        return [int(i) for i in order]

    def _scores_of_start(self, seed: int, labelled: list[int]) -> PoolScores:
        """Return the scores of the start's model, which is trained again if they were not kept."""
        if seed not in self._started:
            with self.ledger.hold(f"{START}-seed{seed}", wait=True):
                scores = PoolScores.load(self._scores_path(seed))
                if scores is None:
                    _, model = self._round(START, seed, 0, labelled)
                    scores = PoolScores.of(model.predict(self.corpus.pool))
                    scores.save(self._scores_path(seed))
            self._started = {seed: scores}
        return self._started[seed]

    def _round(
        self, name: str, seed: int, i_round: int, labelled: list[int]
    ) -> tuple[dict[str, Any], Predictor]:
        n_done = len(self.records())

        def tell(progress: TrainingProgress) -> None:
            title = f"{self.corpus.name} {name} seed {seed} round {i_round}"
            self._tell(
                Report(title=title, n_done=n_done, n_models=self.n_models, progress=progress)
            )

        key = f"{self.ledger.digest[:12]}-{name}-seed{seed}-round{i_round}"
        record, model = do_round(
            self.corpus,
            self.replay,
            labelled,
            seed=seed,
            folder=self._out / "models" / key,
            bald_passes=self._bald_passes,
            on_progress=tell,
        )
        counts = count_labels([self.corpus.pool[i] for i in labelled])
        return {"arm": name, "seed": seed, "round": i_round, "labelled": counts, **record}, model

    def _keep(self, record: dict[str, Any]) -> dict[str, Any]:
        self.ledger.keep(record)
        self._on_record(record)
        return record

    def _pick(
        self, arm: Arm, seed: int, i_round: int, labelled: list[int], scores: PoolScores
    ) -> list[int]:
        known = sum(len(self.corpus.pool[i].words) for i in labelled)
        return pick_next(
            arm,
            self.corpus.pool,
            scores,
            labelled=labelled,
            n_words=self._n_words(i_round) - known,
            random_share=self.replay.random_share,
            rng=np.random.default_rng([seed, i_round]),
        )

    def _n_words(self, i_round: int) -> int:
        """Return the number of labelled words after a round."""
        return round(self.replay.shares[i_round] * self.corpus.n_words)

    def _scores_path(self, seed: int) -> Path:
        name = f"{self.ledger.digest[:12]}-seed{seed}-bald{self._bald_passes}.npz"
        return self._out / "scores" / name
