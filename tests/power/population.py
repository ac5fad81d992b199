"""Made-up answers of two models on text without end, so that the true gain of one is known.

What is assumed was fixed before the gate's rule was, so that the rule before it promotes about as
rarely as had been found, and near what is known of real models:

* Groups have nine sentences on average, as the notes have that come with the project. A sentence
  has 3.6 entities and 1.4 relations, as CoNLL04 has; their types have Zipf frequencies.
* The model in use has an entity F1 of about 83 and a relation F1 of about 65.
* Whether a model is right about an item hangs on a latent normal variable: a part is shared by all
  items of a group, a part by those of a sentence, and most is the item's own, the same for both
  models. The rest is a model's own, so that two equally good ones disagree whether they are right
  about 7.5 % of the entities. Two seeds of one recipe do about 5 % on CoNLL04, to judge by how
  their F1 scores differ; models of different labels disagree more.
* Of the entities and relations that are missed, half are found in a wrong way and count as false
  alarms too. There are also false alarms where there is nothing.
* The better model is better by the same shift everywhere: on each type, and on false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annotator.training import Counts, Evaluation, LayerEvaluation
from annotator.training.joint_score import joint_f1

__all__ = ["Answers", "Population"]

ENTITY_TYPES, RELATION_TYPES = 6, 5
SENTENCES_A_GROUP = 9
ENTITIES_A_SENTENCE, SPREAD = 3.6, 5.0  # negative binomial
RELATED = 0.4  # share of entities that begin a relation, where a sentence has two
FALSE_SITES = {"entity": 0.5, "relation": 0.25}  # a sentence; about half of them fool a model
WRONG_WAY = 0.5
# Shares of the variance of the latent variable.
GROUP, SENTENCE, ITEM, MODEL_GROUP, MODEL = 0.08, 0.08, 0.775, 0.005, 0.06
ENTITY_SKILL, RELATION_SKILL, SITE_SKILL = 0.90, 1.15, 0.25


@dataclass(frozen=True)
class _Items:
    """Gold labels, or places where there is none: their sentence, type and latent variables."""

    sentence: NDArray[np.int64]
    type: NDArray[np.int64]
    shared: NDArray[np.float64]
    own: NDArray[np.float64]  # (models, items)
    wrong_way: NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Counts of one model in the whole population, by layer. Shape ``(sentences, types, 3)``."""

    ner: NDArray[np.int32]
    re: NDArray[np.int32]

    @property
    def f1(self) -> float:
        sums = [layer.sum(axis=(0, 1)) for layer in (self.ner, self.re)]
        return float(joint_f1(np.concatenate(sums)))


class Population:
    """Sentences in groups, and what models of any skill answer there.

    Model 0 is the one in use; the others are candidates.
    """

    def __init__(self, n_groups: int, *, seed: int, n_models: int = 2) -> None:
        self.rng = np.random.default_rng(seed)
        self.n_models = n_models
        sizes = 1 + self.rng.poisson(SENTENCES_A_GROUP - 1, n_groups)
        self.group_of = np.repeat(np.arange(n_groups), sizes)
        self.first = np.concatenate([[0], np.cumsum(sizes)])
        self._group = self.rng.normal(0, np.sqrt(GROUP), n_groups)
        self._model_group = self.rng.normal(0, np.sqrt(MODEL_GROUP), (n_models, n_groups))
        self._sentence = self.rng.normal(0, np.sqrt(SENTENCE), len(self.group_of))
        rate = self.rng.gamma(SPREAD, ENTITIES_A_SENTENCE / SPREAD, len(self.group_of))
        n_entities = self.rng.poisson(rate)
        self.entities = self._items(n_entities, ENTITY_TYPES)
        self.ends, self.relations = self._relations(n_entities)
        self.false_entities = self._sites("entity", ENTITY_TYPES)
        self.false_relations = self._sites("relation", RELATION_TYPES)

    def _items(self, counts: NDArray[np.int64], n_types: int) -> _Items:
        n = int(counts.sum())
        sentence = np.repeat(np.arange(len(counts)), counts)
        group = self.group_of[sentence]
        zipf = 1 / np.arange(1, n_types + 1)
        return _Items(
            sentence=sentence,
            type=self.rng.choice(n_types, n, p=zipf / zipf.sum()),
            shared=self._group[group]
            + self._sentence[sentence]
            + self.rng.normal(0, np.sqrt(ITEM), n),
            own=self._model_group[:, group]
            + self.rng.normal(0, np.sqrt(MODEL), (self.n_models, n)),
            wrong_way=self.rng.random(n) < WRONG_WAY,
        )

    def _relations(self, n_entities: NDArray[np.int64]) -> tuple[NDArray[np.int64], _Items]:
        n = np.where(n_entities > 1, self.rng.binomial(n_entities, RELATED), 0)
        items = self._items(n, RELATION_TYPES)
        first = np.concatenate([[0], np.cumsum(n_entities)])[items.sentence]
        many = n_entities[items.sentence]
        head = self.rng.integers(0, many)
        tail = (head + self.rng.integers(1, np.maximum(many, 2))) % many
        return np.stack([first + head, first + tail]), items

    def _sites(self, kind: str, n_types: int) -> _Items:
        return self._items(self.rng.poisson(FALSE_SITES[kind], len(self.group_of)), n_types)

    def answer(self, model: int, shift: float = 0.0) -> Answers:
        """Return what a model answers, better by ``shift`` than the one in use."""

        def right(items: _Items, skill: float) -> NDArray[np.bool_]:
            return np.asarray(items.shared + items.own[model] + skill + shift > 0)

        found = right(self.entities, ENTITY_SKILL)
        linked = right(self.relations, RELATION_SKILL) & found[self.ends].all(axis=0)
        return Answers(
            ner=self._count(
                self.entities, found, self.false_entities, right(self.false_entities, SITE_SKILL)
            ),
            re=self._count(
                self.relations,
                linked,
                self.false_relations,
                right(self.false_relations, SITE_SKILL),
            ),
        )

    def _count(
        self,
        gold: _Items,
        found: NDArray[np.bool_],
        sites: _Items,
        silent: NDArray[np.bool_],
    ) -> NDArray[np.int32]:
        n_types = ENTITY_TYPES if gold is self.entities else RELATION_TYPES
        counts = np.zeros((len(self.group_of), n_types, 3), dtype=np.int32)
        where = gold.sentence, gold.type
        np.add.at(counts, (*where, 0), found)
        np.add.at(counts, (*where, 1), found | gold.wrong_way)
        np.add.at(counts, (*where, 2), 1)
        np.add.at(counts, (sites.sentence, sites.type, 1), ~silent)
        return counts

    @cached_property
    def in_use(self) -> Answers:
        """The answers of the model in use."""
        return self.answer(0)

    def candidate(self, gain: float, model: int = 1) -> Answers:
        """Return the answers of a model whose joint F1 is ``gain`` points higher, by bisection."""
        low, high = -1.0, 1.0
        for _ in range(14):
            middle = (low + high) / 2
            if self.answer(model, middle).f1 - self.in_use.f1 < gain:
                low = middle
            else:
                high = middle
        return self.answer(model, (low + high) / 2)

    def draw(self, n_sentences: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw a hold-out by group: the sentences of random groups, the last one cut short."""
        picked: list[NDArray[np.int64]] = []
        n = 0
        while n < n_sentences:
            group = int(rng.integers(len(self.first) - 1))
            picked.append(np.arange(self.first[group], self.first[group + 1]))
            n += len(picked[-1])
        return np.concatenate(picked)[:n_sentences]

    def score(self, answers: Answers, sentences: NDArray[np.int64]) -> Evaluation:
        """Return the scores of a model on a hold-out, as an evaluation gives them."""
        layers = [
            LayerEvaluation(
                names=tuple(f"{kind}{i}" for i in range(counts.shape[1])),
                type_counts=counts[sentences],
                boundary=Counts(),
            )
            for kind, counts in (("E", answers.ner), ("R", answers.re))
        ]
        groups = tuple(map(str, self.group_of[sentences]))
        return Evaluation(ner=layers[0], re=layers[1], groups=groups)
