"""Stand-off labels: mentions checked against the text, relations between those kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.domain import Entity, Relation
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
    base: int = 0,
) -> tuple[Entity, ...]:
    """Return the mentions that have a place in ``text``, in their order.

    Noted as repaired: offsets in another unit, which are converted, and a quotation that differs
    from the text at its offsets. Noted as lost: a mention whose offsets and quotation cannot both
    be right, and one whose id is taken. See ``settle_spans``.
    """
    by_id: dict[str, Mention] = {}
    for mention in mentions:
        if by_id.setdefault(mention.id, mention) is not mention:
            log.lose(mention.place, f"the id {mention.id} occurs twice; give it its own")
    claimed = [
        ClaimedSpan(id=m.id, start=m.start, end=m.end, mention=m.text) for m in by_id.values()
    ]
    settled = settle_spans(text, claimed, same=same, base=base)
    if settled.counting is not None:
        log.repair(file, f"{len(settled.kept)} mentions were counted in {settled.counting}")
    for span in settled.misfits:
        _lose(by_id[span.id], len(text), log)
    entities = []
    for span in settled.kept:
        mention = by_id[span.id]
        if span.id in settled.differing:
            if mention.n_fragments > 1:
                _lose(mention, len(text), log)
                continue
            reason = f"{mention.id}: its quotation differs from the text; the position was taken"
            log.repair(mention.place, reason)
        entities.append(Entity(id=span.id, type=mention.type, start=span.start, end=span.end))
    return tuple(entities)


def _lose(mention: Mention, length: int, log: ReadLog) -> None:
    where = f"{mention.id} at {mention.start}..{mention.end}"
    log.lose(mention.place, f"{where} {_problem(mention, length)}")


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
