"""All that is known of one document: as it is stored, its version and mark, its rows, and why it is parked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncline.documents.asking import asked_for
from syncline.documents.judging import State, judged
from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.stored_marks import StoredMarks, taken_apart
from syncline.engines.postgres.documents.keys import key_text
from syncline.engines.postgres.documents.reading import Record, RowsSeen
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import shown_key
from syncline.model.extended import extended
from syncline.model.json_names import Verbatim
from syncline.model.strict_bson import decoded, encoded
from syncline.verify.report import Kind

_SAID = {
    State.EQUAL: "Both sides are equal.",
    State.WAITING: "It is on its way: the document is marked, and a worker carries it.",
    State.PARKED: "It is parked: it was rejected as it is, and its mark stays.",
    State.MOVED: "It changes at this moment: look again.",
}
_WAITS_BACK = "Its rows are on their way back to MongoDB: a worker brings them there while PostgreSQL is the truth."
_PARKED_BACK = "Its rows are parked on their way back: MongoDB, or the mapping, did not take them"
_DIVERGENT = {
    Kind.MISSING: "PostgreSQL lacks it, and nothing is on its way: `syncline repair` marks it.",
    Kind.EXTRA: "There are rows of it and no document: `syncline repair` has them deleted.",
    Kind.DIFFERENT: "The rows differ, and nothing is on its way: `syncline repair` marks the document.",
    Kind.UNREADABLE: "It cannot become rows, and is not marked: correct the document, or the declaration.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What both sides have."""

    collection: str
    key: str
    verdict: str
    document: Mapping[str, Any] | None
    """Without our field."""
    version: int | None
    mark: str
    deleted: bool
    """There is a tombstone."""
    there: Mapping[str, Any] | None
    """Version, mark and whether it is deleted, as PostgreSQL keeps them."""
    rows: Mapping[str, Sequence[Mapping[str, str | None]]]
    """By table."""
    differences: Sequence[Mapping[str, Any]]
    rejected: str
    """Why."""

    def as_dict(self) -> dict[str, Any]:
        """Give it by the names that programs see."""
        return {
            "entity": self.collection,
            "key": self.key,
            "verdict": self.verdict,
            "document": extended(self.document),
            "version": self.version,
            "mark": self.mark or None,
            "tombstone": self.deleted,
            "kept": self.there,
            "rows": Verbatim(self.rows),
            "differences": self.differences,
            "parked": self.rejected or None,
        }


async def explained(link: DocumentLink, collection: str, key: str) -> Explanation:
    """Read both sides of a document, and judge.

    Raises:
        KeyFormatError: the text is no key of the collection.

    """
    mapping = link.mapping(collection)
    id_ = asked_for(mapping, key)
    stored, rows = StoredMarks(link.database), RowsSeen(link.documents.url("target"), link.mappings)
    text, name = key_text(mapping, id_), encoded({"_id": id_})
    try:
        first = (await stored.of(collection, [id_])).get(name)
        record = (await rows.records(collection, [text]))[text] if text is not None else None
        back = await rows.coming_of(collection, text) if text is not None else None
        raw = (await stored.of(collection, [id_])).get(name)
        shown = shown_key(id_)
        rejected = (await rows.rejected(collection, [shown])).get(shown)
    finally:
        await rows.close()
    look = judged(mapping, id_, text, raw, record, rejected, moved=first != raw)
    said = _DIVERGENT[look.finding.kind] if look.finding else _SAID[look.state]
    if raw is None and not (record and (record.there or record.version)):
        said = "Neither side has it."
    if back is not None and (back.waits or back.error is not None):
        said = _WAITS_BACK if back.waits else f"{_PARKED_BACK}: {back.error}"
    body, state = (b"", None) if raw is None else taken_apart(id_, raw)
    fields = look.finding.differences if look.finding else ()
    return Explanation(
        collection,
        key,
        said,
        decoded(body) if state is not None else None,
        None if state is None or state[0] < 0 else state[0],
        "" if state is None else state[1],
        raw is not None and state is None,
        _kept(record),
        _rows(mapping, record),
        [{"field": one.field, "source": extended(one.source), "target": extended(one.target)} for one in fields],
        rejected[1] if rejected else "",
    )


def _kept(record: Record | None) -> Mapping[str, Any] | None:
    if record is None or record.version is None:
        return None
    version, mark, deleted = record.version
    return {"version": version, "mark": mark or None, "deleted": deleted}


def _rows(mapping: DocumentMapping, record: Record | None) -> dict[str, list[dict[str, str | None]]]:
    if record is None:
        return {}
    return {
        str(table.name): [
            dict(zip((column.name for column in table.columns), row, strict=True))
            for row in sorted(found, key=lambda row: [one or "" for one in row])
        ]
        for table, found in zip(mapping.tables, record.texts, strict=True)
    }
