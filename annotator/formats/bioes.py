"""The authors' BIOES layout (Giorgi et al. 2019): nine columns per token, then relation lines.

A token line is ``sentence number, tag, token index, O, O, token, O, O, O``, tab-separated. After
the tokens come a blank line, one line ``head TAB tail TAB type`` per relation, where both ends are
the **last** token of an entity, and a blank line. A sentence without relations thus ends in two
blank lines.

``gold.sentences.jsonl`` beside ``gold.tsv`` holds what tags cannot: texts, offsets and ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from annotator.domain import Document, TaggedSentence, WordRelation
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog, WriteReport
from annotator.formats.output import OutputFolder
from annotator.formats.sidecar import describe_document, describe_sentence, read_sidecar
from annotator.formats.source import find_file
from annotator.formats.tsv import Block, TaggedBlock, decode_block, read_blocks
from annotator.formats.words import join_words
from annotator.text import AlignmentIssue, align_document, encode_bioes

__all__ = ["read", "read_documents", "write"]


def write(
    documents: Iterable[Document], out: Path, *, splits: Mapping[str, str] | None = None
) -> WriteReport:
    """Write ``gold.tsv`` and ``gold.sentences.jsonl``, and a pair for each split.

    Each label that tags over words cannot express is left out and reported as an issue. Sentences
    are numbered through the whole export; a split keeps the numbers.

    Raises:
        InputError: if two documents share an id or a type holds a tab or a line break.
    """
    issues: list[AlignmentIssue] = []
    n_documents = n_sentences = n_entities = n_relations = 0
    with OutputFolder(out, splits=splits) as output:
        output.append("gold.tsv", "", document_id="")
        output.append("gold.sentences.jsonl", "", document_id="")
        for document in documents:
            split = output.admit(document)
            alignment = align_document(document)
            tsv = "".join(
                _format_sentence(sentence, number)
                for number, sentence in enumerate(alignment.sentences, start=n_sentences)
            )
            sidecar = describe_document(document) + "".join(
                describe_sentence(document, sentence, drawn, number)
                for number, (sentence, drawn) in enumerate(
                    zip(alignment.sentences, alignment.drawn, strict=True), start=n_sentences
                )
            )
            for stem in ("gold", split) if split else ("gold",):
                output.append(f"{stem}.tsv", tsv, document_id=document.id)
                output.append(f"{stem}.sentences.jsonl", sidecar, document_id=document.id)
            issues += alignment.issues
            n_documents += 1
            n_sentences += len(alignment.sentences)
            n_entities += sum(len(sentence.entities) for sentence in alignment.sentences)
            n_relations += sum(len(sentence.relations) for sentence in alignment.sentences)
    return WriteReport(
        files=output.files,
        n_documents=n_documents,
        n_sentences=n_sentences,
        n_entities=n_entities,
        n_relations=n_relations,
        issues=tuple(issues),
    )


def read(path: Path) -> Corpus:
    """Read a ``.tsv`` in this layout, or the ``gold.tsv`` of a folder.

    With ``<stem>.sentences.jsonl`` beside it, documents get back their text, offsets and ids; tags
    and relations are taken from the ``.tsv``. Without it each sentence is a document whose id is
    its number and whose text is its words joined by single spaces.

    A sentence with a line that is not as described is lost.

    Illegal tag sequences are read leniently and reported as repaired. So are relations that point
    into an entity instead of at its last token; those that point at no entity are skipped.

    Raises:
        InputError: if there is no such file, or naming ``file:line``, if it and the ``.jsonl``
            beside it contradict each other.
    """
    log = ReadLog()
    return Corpus.build("bioes", read_documents(find_file(path, "gold.tsv"), log), log)


def read_documents(source: Path, log: ReadLog) -> tuple[Document, ...]:
    """Read the documents of one ``.tsv``, as ``read`` does."""
    blocks = _decoded_blocks(source, log)
    sidecar = source.with_name(f"{source.name.removesuffix('.tsv')}.sentences.jsonl")
    if sidecar.is_file() and sidecar != source:
        return read_sidecar(sidecar, tuple(blocks), log)
    return tuple(_bare_documents(blocks, log))


def _decoded_blocks(source: Path, log: ReadLog) -> Iterator[TaggedBlock]:
    for block in read_blocks(source, log):
        try:
            tagged = decode_block(block, log)
        except InputError as error:
            log.note(error, block.file)
        else:
            yield tagged


def _bare_documents(blocks: Iterable[TaggedBlock], log: ReadLog) -> Iterator[Document]:
    for tagged in blocks:
        block: Block = tagged.block
        log.unread[block.number] += tagged.n_unread
        yield join_words(block.number, block.words, tagged.entities, tagged.relations)


def _format_sentence(sentence: TaggedSentence, number: int) -> str:
    tags = encode_bioes(len(sentence.words), sentence.entities)
    rows = [
        f"{number}\t{tag}\t{i}\tO\tO\t{word}\tO\tO\tO"
        for i, (tag, word) in enumerate(zip(tags, sentence.words, strict=True))
    ]
    links = [_format_relation(sentence, relation) for relation in sentence.relations]
    _check_types((entity.type for entity in sentence.entities), sentence.id)
    _check_types((relation.type for relation in sentence.relations), sentence.id)
    return "\n".join([*rows, "", *links, "", ""])


def _format_relation(sentence: TaggedSentence, relation: WordRelation) -> str:
    head = sentence.entities[relation.head].last
    tail = sentence.entities[relation.tail].last
    return f"{head}\t{tail}\t{relation.type}"


def _check_types(names: Iterable[str], sentence_id: str) -> None:
    if any(char in name for name in names for char in "\t\n\r"):
        raise InputError(
            f"sentence {sentence_id!r}: a type holds a tab or a line break, which this format "
            "cannot say; rename the type"
        )
