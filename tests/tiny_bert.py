"""A tiny random BERT with a tokenizer, written without any network, and sentences to learn."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging as hf_logging

from annotator.domain import LabelSchema, TaggedSentence, Token, WordEntity, WordRelation

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the", "a", "of", "in", "and", "was", "after", "with", "patient", "induced", "treated",
    "drug", "dose", "pain", "fever", "nausea", "rash", "aspirin", "ibuprofen", "works", "for",
    "lives", "killed", "john", "mary", "smith", "paris", "london", "acme", "york", "new",
)  # fmt: skip
_SUFFIXES = ("##ing", "##ed", "##s", "##in", "##ol", "##ine")


def make_tiny_encoder(folder: Path) -> Path:
    """Write a BERT (hidden 32, 2 layers, 128 positions) with random but fixed weights."""
    characters = [
        *string.ascii_lowercase,
        *string.digits,
        *string.punctuation,
    ]
    pieces = [*_SPECIAL, *characters, *(f"##{c}" for c in characters), *_SUFFIXES, *WORDS]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = BertModel(config)
    folder.mkdir(parents=True, exist_ok=True)
    hf_logging.disable_progress_bar()
    network.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_tagged(
    text: str,
    *entities: tuple[str, int, int],
    relations: tuple[tuple[str, int, int], ...] = (),
    id: str = "s",
) -> TaggedSentence:
    """Build a sentence from words joined by blanks, ``(type, first, last)`` and relations."""
    words = tuple(text.split(" ")) if text else ()
    starts = [len(" ".join(words[:i])) + (i > 0) for i in range(len(words))]
    return TaggedSentence(
        id=id,
        words=words,
        tokens=tuple(
            Token(start=start, end=start + len(word))
            for start, word in zip(starts, words, strict=True)
        ),
        start=0,
        end=len(text),
        entities=tuple(WordEntity(type=t, first=f, last=n) for t, f, n in entities),
        relations=tuple(WordRelation(type=t, head=h, tail=n) for t, h, n in relations),
    )


TINY_SCHEMA = LabelSchema(
    entity_types=("Drug", "Effect"),
    relation_types=("causes", "treats"),
    pairs=frozenset({("causes", "Drug", "Effect"), ("treats", "Drug", "Effect")}),
)

EIGHT_SENTENCES = (
    make_tagged("aspirin induced severe rash .", ("Drug", 0, 0), ("Effect", 2, 3),
                relations=(("causes", 0, 1),), id="s1"),
    make_tagged("fever was treated with ibuprofen .", ("Effect", 0, 0), ("Drug", 4, 4),
                relations=(("treats", 1, 0),), id="s2"),
    make_tagged("the patient lives in paris", id="s3"),
    make_tagged("nausea and pain after aspirin", ("Effect", 0, 0), ("Effect", 2, 2), ("Drug", 4, 4),
                relations=(("causes", 2, 0), ("causes", 2, 1)), id="s4"),
    make_tagged("new drug x9 for pain", ("Drug", 0, 2), ("Effect", 4, 4),
                relations=(("treats", 0, 1),), id="s5"),
    make_tagged("rash", ("Effect", 0, 0), id="s6"),
    make_tagged("john smith works for acme .", id="s7"),
    make_tagged("ibuprofen dose was high , no fever", ("Drug", 0, 0), ("Effect", 6, 6), id="s8"),
)  # fmt: skip
