"""Sentences, tokens, BIOES tags and the alignment of documents to them. Pure; needs no torch."""

from annotator.text.alignment import (
    Alignment,
    AlignmentIssue,
    IssueKind,
    align_document,
    to_entities,
)
from annotator.text.bioes import decode_bioes, encode_bioes, tag_names
from annotator.text.left_out import describe_left_out
from annotator.text.segmentation import (
    MAX_WORDS,
    Segmentation,
    count_length_cuts,
    count_words,
    segment_document,
)
from annotator.text.sentences import split_sentences
from annotator.text.tokens import tokenize

__all__ = [
    "MAX_WORDS",
    "Alignment",
    "AlignmentIssue",
    "IssueKind",
    "Segmentation",
    "align_document",
    "count_length_cuts",
    "count_words",
    "decode_bioes",
    "describe_left_out",
    "encode_bioes",
    "segment_document",
    "split_sentences",
    "tag_names",
    "to_entities",
    "tokenize",
]
