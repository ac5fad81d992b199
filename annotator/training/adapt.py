"""Adapting an encoder to the text of a domain by guessing hidden words; resumable at any time."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.domain import TaggedSentence
from annotator.errors import ConfigError, TrainingError
from annotator.model.batch import plan_batches
from annotator.model.checkpoint import weights_sha256
from annotator.model.device import computes_bf16
from annotator.model.encoder import Encoder, load_encoder
from annotator.model.masked_words import CARD_FILE, MaskedWordModel, save_adapted
from annotator.model.masking import MaskedBatch, WordMasker
from annotator.model.pieces import PieceSentence
from annotator.training.adapt_card import CARD_TITLE, AdaptationResult, TextSource, write_card
from annotator.training.schedule import plan_epoch
from annotator.training.settings import AdaptationSettings, TrainingSettings
from annotator.training.state import (
    Position,
    RunState,
    drop_state,
    fingerprint,
    load_state,
    save_state,
)

__all__ = ["AdaptationProgress", "AdaptationResult", "adapt"]

_SMOOTHING = 0.95
_LENGTH_NOISE = 0.02  # little, since text is plenty and padding costs time
_MAX_ROWS = 4_096
_STATE_FORMAT = 2  # of the state beside the folder; one of another format is not resumed
_HOLDOUT_STREAM = 2**32  # not used by any epoch or step


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationProgress:
    """State of a run after a step. ``n_steps`` is None where the limit is time, not steps."""

    step: int
    n_steps: int | None
    share: float
    loss: float
    words_per_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    train: list[PieceSentence]
    ids: list[str]  # of ``train``
    held_out: list[PieceSentence]
    n_sentences: int
    n_held_out: int
    n_left_out: int


def adapt(
    sentences: Sequence[TaggedSentence],
    *,
    encoder: str,
    settings: AdaptationSettings,
    folder: Path,
    device: str | torch.device = "cpu",
    on_progress: Callable[[AdaptationProgress], None] | None = None,
    sources: Sequence[TextSource] = (),
) -> AdaptationResult:
    """Adapt ``encoder`` to ``sentences``, labelled or not, and write it to ``folder``.

    ``folder`` can be used as an encoder afterwards. The state is saved beside it at intervals. A
    killed run that is called again with the same arguments resumes from there and, on a CPU, ends
    with the same weights as an unbroken one, unless its limit is a time. Global random state is
    left unchanged.

    Args:
        sentences: What to learn from; repeated and very short ones are skipped.
        encoder: ``minilm``, a local folder, or a hub id.
        settings: Hyper-parameters.
        folder: Where the encoder is written; an older encoder is replaced.
        device: Where to compute.
        on_progress: Called after each step; what it raises stops the run.
        sources: Where the sentences come from, for the card in the folder.

    Raises:
        ConfigError: if ``folder`` holds something else.
        TrainingError: if there is no text to learn from, or the loss is not finite.
        ModelError: if the encoder cannot be loaded, or its family guesses no masked words.
    """
    device, folder = torch.device(device), Path(folder)
    _check_folder(folder)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings.seed)
        parts = load_encoder(encoder)
        base_sha256 = _network_sha256(parts)
        masker = WordMasker(parts, share=settings.mask)
        text = _prepare(sentences, masker, settings)
        model = _build_model(parts, text, masker).to(device)
        arguments = [_STATE_FORMAT, base_sha256, settings.to_json(), device.type]
        digest = fingerprint(sentences, (), arguments=arguments)
        run = _Run(model, text, masker, settings, folder=folder, digest=digest)
        resumed_from = run.position.step
        run.finish(on_progress)
        result = run.result(encoder=encoder, base_sha256=base_sha256, resumed_from=resumed_from)
    save_adapted(model, parts, folder, card=write_card(result, settings=settings, sources=sources))
    drop_state(folder)
    return replace(result, weights_sha256=weights_sha256(folder))


def _check_folder(folder: Path) -> None:
    """Refuse, before hours are spent, to replace anything that is not an adapted encoder."""
    card = folder / CARD_FILE
    is_ours = card.is_file() and card.read_bytes().startswith(CARD_TITLE.encode())
    if not is_ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} holds something other than an adapted encoder and would be replaced; "
            "name a folder that is not there yet"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)


def _prepare(
    sentences: Sequence[TaggedSentence], masker: WordMasker, settings: AdaptationSettings
) -> _Text:
    unique = {s.words: s for s in sentences if len(s.words) >= settings.min_words}
    kept = list(unique.values())
    if not kept:
        raise TrainingError(
            f"there is no text to adapt to: of {len(sentences)} sentences none has "
            f"{settings.min_words} words or more"
        )
    rng = np.random.default_rng([settings.seed, _HOLDOUT_STREAM])
    wanted = min(settings.max_holdout, round(settings.holdout * len(kept)), len(kept) - 1)
    held = set(rng.permutation(len(kept))[:wanted].tolist())
    pieces = masker.encode([sentence.words for sentence in kept])
    usable = [i for i, sentence in enumerate(pieces) if not masker.is_hopeless(sentence)]
    train = [i for i in usable if i not in held]
    if not train:
        raise TrainingError(
            "there is no text to adapt to: the encoder's tokenizer knows no piece of it"
        )
    return _Text(
        train=[pieces[i] for i in train],
        ids=[kept[i].id for i in train],
        held_out=[pieces[i] for i in usable if i in held],
        n_sentences=len(kept) - wanted,
        n_held_out=wanted,
        n_left_out=len(sentences) - len(kept),
    )


def _build_model(encoder: Encoder, text: _Text, masker: WordMasker) -> MaskedWordModel:
    model = MaskedWordModel(encoder)
    if model.is_fresh:
        pieces = np.concatenate([sentence.ids for sentence in text.train])
        model.start_from_counts(np.bincount(pieces, minlength=len(masker.is_special)))
    return model


def _generator(*entropy: int) -> torch.Generator:
    [seed] = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed))


def _network_sha256(encoder: Encoder) -> str:
    digest = hashlib.sha256()
    for name, value in encoder.network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _optimizer(model: MaskedWordModel, settings: AdaptationSettings) -> torch.optim.AdamW:
    """Build AdamW with four groups: head or encoder, with decay (matrices) or without."""
    width = int(model.network.config.hidden_size)
    of_encoder = {id(parameter) for parameter in model.network.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        key = (id(parameter) not in of_encoder, parameter.ndim >= 2)
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "is_head": is_head,
                "peak_lr": settings.head_lr if is_head else settings.encoder_rate(width),
                "weight_decay": settings.weight_decay if is_matrix else 0.0,
            }
            for (is_head, is_matrix), parameters in groups.items()
        ],
        betas=(0.9, 0.98),
        fused=model.device.type in ("cpu", "cuda"),
    )


def _pick_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return bfloat16 if requested, or if ``auto`` and the processor multiplies in it."""
    reduced = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    return torch.bfloat16 if reduced else None


class _Run:
    """A model in training, at a position that can be saved and restored."""

    def __init__(
        self,
        model: MaskedWordModel,
        text: _Text,
        masker: WordMasker,
        settings: AdaptationSettings,
        *,
        folder: Path,
        digest: str,
    ) -> None:
        self.model, self.text, self.masker, self.settings = model, text, masker, settings
        self.optimizer = _optimizer(model, settings)
        self._folder, self._digest = folder, digest
        self._dtype = _pick_dtype(settings.precision, model.device)
        self._costs = np.array([sentence.cost for sentence in text.train], np.int64)
        self._words = np.array([sentence.n_words for sentence in text.train], np.int64)
        self._head_share = settings.head_share if model.is_fresh else 0.0
        self._n_steps = self._count_steps()
        self._limit_s = 60.0 * (settings.minutes or 0.0)
        self._step_s = 0.0
        self._state = RunState(model=model, optimizer=self.optimizer)
        self.position = load_state(folder, self._state, digest=digest)

    @property
    def words_per_s(self) -> float:
        """Words per second so far."""
        return self.position.n_words / max(self.position.elapsed_s, 1e-9)

    @property
    def share(self) -> float:
        """Fraction of the run that is done, in [0, 1]."""
        if self._n_steps is None:
            return min(1.0, self.position.elapsed_s / self._limit_s)
        return self.position.step / self._n_steps

    def finish(self, on_progress: Callable[[AdaptationProgress], None] | None) -> None:
        """Take all remaining steps."""
        saved_at = time.monotonic()
        for chosen in self._batches(skip=self.position.step):
            if self.share >= 1.0:
                break
            frozen = self.share < self._head_share
            if not frozen and torch.isnan(self.model.loss_before):
                self.model.loss_before.fill_(self.evaluate())
            self._step(chosen, frozen=frozen)
            if time.monotonic() - saved_at >= self.settings.save_every_s:
                save_state(self._folder, self._state, position=self.position, digest=self._digest)
                saved_at = time.monotonic()
            if on_progress is not None:
                on_progress(self._progress())

    def result(self, *, encoder: str, base_sha256: str, resumed_from: int) -> AdaptationResult:
        """Measure the held-out loss and describe the run; the weights are yet to be written."""
        return AdaptationResult(
            folder=self._folder,
            encoder=encoder,
            base_sha256=base_sha256,
            weights_sha256="",
            n_sentences=self.text.n_sentences,
            n_held_out=self.text.n_held_out,
            n_left_out=self.text.n_left_out,
            n_steps=self.position.step,
            n_words=self.position.n_words,
            loss_before=float(self.model.loss_before),
            loss_after=self.evaluate(),
            train_s=self.position.elapsed_s,
            words_per_s=self.words_per_s,
            resumed_from=resumed_from,
            fresh_head=self.model.is_fresh,
            precision="fp32" if self._dtype is None else "bf16",
        )

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the mean loss on held-out sentences, always with the same words hidden."""
        held_out = self.text.held_out
        if not held_out:
            return math.nan
        generator = _generator(self.settings.seed, _HOLDOUT_STREAM, 1)
        costs = [sentence.cost for sentence in held_out]
        total, n_chosen = 0.0, 0
        for chosen in plan_batches(costs, token_budget=self.settings.batch_pieces):
            batch = self.masker.collate([held_out[i] for i in chosen], generator)
            batch = batch.to(self.model.device)
            count = len(batch.targets)
            total += float(self.model.loss(batch, dtype=self._dtype)) * count
            n_chosen += count
        return total / n_chosen

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        plan = TrainingSettings(
            seed=self.settings.seed,
            batch_size=_MAX_ROWS,
            max_batch_pieces=self.settings.batch_pieces,
        )
        return plan_epoch(self._costs, plan, epoch=epoch, blur=_LENGTH_NOISE)

    def _count_steps(self) -> int | None:
        if self.settings.minutes is not None:
            return None
        if self.settings.steps is not None:
            return self.settings.steps
        return sum(len(self._epoch(epoch)) for epoch in range(self.settings.epochs))

    def _batches(self, *, skip: int) -> Iterator[NDArray[np.int64]]:
        epoch = 0
        while True:
            batches = self._epoch(epoch)
            yield from batches[skip:]
            skip = max(0, skip - len(batches))
            epoch += 1

    def _step(self, chosen: NDArray[np.int64], *, frozen: bool) -> None:
        started = time.monotonic()
        before = self.position
        generator = _generator(self.settings.seed, before.step, 0)
        batch = self.masker.collate([self.text.train[i] for i in chosen], generator)
        loss = self._learn(batch.to(self.model.device), chosen, frozen=frozen)
        gain = 1 - _SMOOTHING if before.step else 1.0
        took = time.monotonic() - started
        self._step_s += (took - self._step_s) * (0.1 if self._step_s else 1.0)
        self.position = Position(
            step=before.step + 1,
            loss=before.loss + gain * (loss - before.loss),
            elapsed_s=before.elapsed_s + took,
            n_words=before.n_words + int(self._words[chosen].sum()),
        )

    def _learn(self, batch: MaskedBatch, chosen: NDArray[np.int64], *, frozen: bool) -> float:
        half = 0.0 if self._n_steps is None else 0.5 / self._n_steps
        share = self.share + half
        for group in self.optimizer.param_groups:
            factor = self.settings.rate_factor(
                share, head_share=self._head_share, is_head=group["is_head"]
            )
            group["lr"] = group["peak_lr"] * factor
        mean = self.model.loss(batch, frozen=frozen, dtype=self._dtype)
        loss = float(mean.detach())
        if not math.isfinite(loss):
            ids = ", ".join(self.text.ids[i] for i in chosen)
            raise TrainingError(
                f"the loss is {loss} in step {self.position.step + 1}, at sentences {ids}: "
                "lower --lr, or use --precision fp32"
            )
        self.optimizer.zero_grad(set_to_none=True)
        mean.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        return loss

    def _progress(self) -> AdaptationProgress:
        if self._n_steps is not None:
            remaining = (self._n_steps - self.position.step) * self._step_s
        else:
            remaining = self._limit_s - self.position.elapsed_s
        return AdaptationProgress(
            step=self.position.step,
            n_steps=self._n_steps,
            share=self.share,
            loss=self.position.loss,
            words_per_s=self.words_per_s,
            remaining_s=max(0.0, remaining),
        )
