"""Stand-off labels: mentions checked against the text, relations between those kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.domain import Entity, Relation
from annotator.errors import InputError
from annotator.formats.corpus import ReadLog
from annotator.formats.mentions import ClaimedSpan, same_words, settle_spans

__all__ = ["Link", "Mention", "link_entities", "place_mentions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """An entity as a file has it; ``text`` is the mention the file quotes, None if it quotes none.

    ``start`` and ``end`` cover all its ``n_fragments``.
    """

    id: str
    type: str
    start: int
    end: int
    place: str
    text: str | None = None
    n_fragments: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relation as a file has it; ``head`` and ``tail`` are mention ids."""

    id: str
    type: str
    head: str
    tail: str
    place: str


def place_mentions(
    text: str,
    mentions: Sequence[Mention],
    log: ReadLog,
    *,
    file: str,
    same: Callable[[str, str], bool] = same_words,
) -> tuple[Entity, ...]:
    """Return the mentions that match ``text``, in their order.

    Offsets in another unit are converted and noted as repaired; a mention that does not match the
    text at its offsets is noted as lost.

    Raises:
        InputError: if two mentions share an id.
    """
    by_id: dict[str, Mention] = {}
    for mention in mentions:
        if mention.id in by_id:
            raise InputError(f"{mention.place}: the id {mention.id} occurs twice; give it its own")
        by_id[mention.id] = mention
    claimed = [ClaimedSpan(id=m.id, start=m.start, end=m.end, mention=m.text) for m in mentions]
    settled = settle_spans(text, claimed, same=same)
    if settled.counting is not None:
        log.repair(file, f"{len(settled.kept)} mentions were counted in {settled.counting}")
    for span in settled.misfits:
        mention = by_id[span.id]
        where = f"{mention.id} at {mention.start}..{mention.end}"
        log.lose(mention.place, f"{where} {_problem(mention, len(text))}")
    return tuple(
        Entity(id=span.id, type=by_id[span.id].type, start=span.start, end=span.end)
        for span in settled.kept
    )


def _problem(mention: Mention, length: int) -> str:
    if not 0 <= mention.start < mention.end <= length:
        return f"is not a span of the text (length {length})"
    if mention.n_fragments > 1:
        return f"is discontinuous ({mention.n_fragments} fragments)"
    return "does not hold the mention that came along"


def link_entities(
    links: Iterable[Link], owners: Mapping[str, str], log: ReadLog
) -> tuple[Relation, ...]:
    """Return the relations whose ends were both kept; note the others as lost.

    ``owners`` maps mention ids to the ids of the entities they became.
    """
    relations = []
    for link in links:
        lost = next((end for end in (link.head, link.tail) if end not in owners), None)
        if lost is not None:
            log.lose(link.place, f"relation {link.id}: its argument {lost} was left out or absent")
            continue
        relations.append(Relation(type=link.type, head=owners[link.head], tail=owners[link.tail]))
    return tuple(relations)
