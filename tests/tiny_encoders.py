"""Tiny random encoders of many families, each with its kind of tokenizer; no network is asked."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_bert import WORDS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedConfig, PreTrainedTokenizerFast
from transformers.utils import logging as hf_logging

N_POSITIONS = 128
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_XLNET = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
_SIGNS = (*string.ascii_lowercase, *string.digits, *string.punctuation)
_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How to build one kind of encoder.

    Attributes:
        network: Name of the model class.
        config: Name of its configuration class.
        tokenizer: Builds the tokenizer.
        shape: Arguments of the configuration.
        offset: Positions that the family does not use for pieces.
    """

    network: str
    config: str
    tokenizer: Callable[[], Any]
    shape: dict[str, Any]
    offset: int = 0


def _wordpieces(special: Sequence[str], *, cased: bool = False) -> dict[str, int]:
    signs = (*_SIGNS, *string.ascii_uppercase) if cased else _SIGNS
    words = (*WORDS, *(word.title() for word in WORDS)) if cased else WORDS
    pieces = [*special, *signs, *(f"##{sign}" for sign in signs), "##ing", "##ed", "##s", *words]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def _unigrams(special: Sequence[str]) -> list[tuple[str, float]]:
    pieces = dict.fromkeys(special, 0.0) | {"▁": -4.0} | dict.fromkeys(_SIGNS, -8.0)
    return list((pieces | {f"▁{word}": -3.0 for word in WORDS}).items())


def _byte_pairs(special: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Bytes, and every beginning of every word after a blank."""
    merges = [
        (f"Ġ{word[:i]}", word[i]) for word in WORDS for i in range(len(word))
    ]  # left to right
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    return {p: i for i, p in enumerate(dict.fromkeys(pieces))}, list(dict.fromkeys(merges))


def _bert(**options: Any) -> Any:
    cased = options.get("do_lower_case") is False
    return transformers.BertTokenizer(vocab=_wordpieces(_BERT, cased=cased), **options)


def _mpnet() -> Any:
    special = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
    return transformers.MPNetTokenizer(vocab=_wordpieces(special))


def _roberta() -> Any:
    vocabulary, merges = _byte_pairs(_ROBERTA)
    return transformers.RobertaTokenizer(vocab=vocabulary, merges=merges)


def _deberta() -> Any:
    vocabulary, merges = _byte_pairs(_BERT)
    return transformers.DebertaTokenizer(vocab=vocabulary, merges=merges)


def _modernbert() -> Any:
    vocabulary, merges = _byte_pairs(_BERT)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _wrapped(tokenizer, ("[CLS]", 2), ("[SEP]", 3))


def _normalising() -> Any:
    """A sentence-piece tokenizer that rewrites the text: NFKC, lower case, one blank for many."""
    tokenizer = Tokenizer(models.Unigram(_unigrams(_BERT), unk_id=1))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return _wrapped(tokenizer, ("[CLS]", 2), ("[SEP]", 3))


def _wrapped(tokenizer: Tokenizer, cls: tuple[str, int], sep: tuple[str, int]) -> Any:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls[0]} $A {sep[0]}",
        pair=f"{cls[0]} $A {sep[0]} $B {sep[0]}",
        special_tokens=[cls, sep],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _deberta_v2() -> Any:
    return transformers.DebertaV2Tokenizer(vocab=_unigrams(_BERT), unk_id=1)


def _xlnet() -> Any:
    return transformers.XLNetTokenizer(vocab=_unigrams(_XLNET))


def _albert() -> Any:
    special = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    return transformers.AlbertTokenizer(vocab=_unigrams(special))


def _xlm_roberta() -> Any:
    return transformers.XLMRobertaTokenizer(vocab=_unigrams(_ROBERTA))


_RELATIVE = {"relative_attention": True, "position_biased_input": False, "type_vocab_size": 0}

FAMILIES: dict[str, Family] = {
    "bert": Family(network="BertModel", config="BertConfig", tokenizer=_bert, shape=_SHAPE),
    "bert-cased": Family(
        network="BertModel",
        config="BertConfig",
        tokenizer=lambda: _bert(do_lower_case=False),
        shape=_SHAPE,
    ),
    "bert-normalising": Family(
        network="BertModel", config="BertConfig", tokenizer=_normalising, shape=_SHAPE
    ),
    "distilbert": Family(
        network="DistilBertModel",
        config="DistilBertConfig",
        tokenizer=_bert,
        shape={"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    ),
    "electra": Family(
        network="ElectraModel",
        config="ElectraConfig",
        tokenizer=_bert,
        shape={**_SHAPE, "embedding_size": 16},
    ),
    "mpnet": Family(
        network="MPNetModel",
        config="MPNetConfig",
        tokenizer=_mpnet,
        shape=_SHAPE,
        offset=2,
    ),
    "roberta": Family(
        network="RobertaModel",
        config="RobertaConfig",
        tokenizer=_roberta,
        shape=_SHAPE,
        offset=2,
    ),
    "xlm-roberta": Family(
        network="XLMRobertaModel",
        config="XLMRobertaConfig",
        tokenizer=_xlm_roberta,
        shape=_SHAPE,
        offset=2,
    ),
    "deberta": Family(
        network="DebertaModel",
        config="DebertaConfig",
        tokenizer=_deberta,
        shape={**_SHAPE, **_RELATIVE, "pos_att_type": ["c2p", "p2c"]},
    ),
    "deberta-v3": Family(
        network="DebertaV2Model",
        config="DebertaV2Config",
        tokenizer=_deberta_v2,
        shape={
            **_SHAPE,
            **_RELATIVE,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
    ),
    "xlnet": Family(
        network="XLNetModel",
        config="XLNetConfig",
        tokenizer=_xlnet,
        shape={"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    ),
    "albert": Family(
        network="AlbertModel",
        config="AlbertConfig",
        tokenizer=_albert,
        shape={**_SHAPE, "embedding_size": 16},
    ),
    "modernbert": Family(
        network="ModernBertModel",
        config="ModernBertConfig",
        tokenizer=_modernbert,
        shape={**_SHAPE, "local_attention": 16},
    ),
    "squeezebert": Family(
        network="SqueezeBertModel",
        config="SqueezeBertConfig",
        tokenizer=_bert,
        shape={**_SHAPE, "embedding_size": 32},
    ),
    "fnet": Family(
        network="FNetModel",
        config="FNetConfig",
        tokenizer=_bert,
        shape={"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64},
    ),
    "convbert": Family(
        network="ConvBertModel",
        config="ConvBertConfig",
        tokenizer=_bert,
        shape={**_SHAPE, "embedding_size": 32},
    ),
    "bart": Family(
        network="BartModel",
        config="BartConfig",
        tokenizer=_roberta,
        shape={
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
        },
    ),
}


def make_family(name: str, folder: Path, **shape: Any) -> Path:
    """Write an encoder of a family, with random but fixed weights and 128 usable positions."""
    family = FAMILIES[name]
    tokenizer = family.tokenizer()
    tokenizer.model_max_length = N_POSITIONS
    special = {
        key: getattr(tokenizer, key)
        for key in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    }
    known: dict[str, Any] = {"vocab_size": len(tokenizer), **special, **family.shape}
    positions = {"max_position_embeddings": N_POSITIONS + family.offset} if name != "xlnet" else {}
    config: PreTrainedConfig = getattr(transformers, family.config)(
        **{**known, **positions, **shape}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(transformers, family.network)(config)
    folder.mkdir(parents=True, exist_ok=True)
    hf_logging.disable_progress_bar()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
