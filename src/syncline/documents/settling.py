"""What became of operations whose process has ended on the way: found by both sides' evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.errors import MappingError
from syncline.ports.document_writes import Action, IntentEnd, OpenIntent
from syncline.ports.documents import Standing

OLD = timedelta(minutes=1)
"""Who has not ended his operation within it has ended himself; if not, what he says later stands."""
_TOGETHER = 500


async def settle_intents(link: DocumentLink, *, older: timedelta = OLD) -> Mapping[IntentEnd, int]:
    """Say of open intents what became of them.

    Returns:
        How many, by what.

    """
    log, counts = MongoIntentLog(link.database), dict.fromkeys(IntentEnd, 0)
    await log.prepare()
    while found := await log.open(older, _TOGETHER):
        ends = await _ends(link, found)
        await log.end({mark: (end, "found by the worker") for mark, end in ends.items()})
        for end in ends.values():
            counts[end] += 1
    return counts


async def _ends(link: DocumentLink, found: Sequence[OpenIntent]) -> Mapping[str, IntentEnd]:
    writes = MongoDocumentWrites(link.database)
    ends = {}
    for one in found:
        if one.collection not in link.collections:
            ends[one.mark] = IntentEnd.UNKNOWN
            continue
        try:
            kept = await link.rows.version(one.collection, one.id)
        except MappingError:  # it is no key of this declaration
            ends[one.mark] = IntentEnd.UNKNOWN
            continue
        ends[one.mark] = concluded(one, await writes.standing(one.collection, one.id), kept)
    return ends


def concluded(intent: OpenIntent, standing: Standing | None, kept: tuple[int, str] | None) -> IntentEnd:
    """Conclude from the versions and marks on both sides, PostgreSQL's read first.

    A version is drawn from the server's clock, so the intent's write, and all that came after it, have one that is no
    lower than the intent's time. A delete in the phase off leaves nothing behind: where there is nothing, nobody knows.
    """
    marks = {standing.mark if standing else None, kept[1] if kept else None}
    if intent.mark in marks:
        return IntentEnd.DONE
    if intent.action is Action.DELETE and standing is None:
        return IntentEnd.UNKNOWN
    newest = max(standing.version if standing else -1, kept[0] if kept else -1)
    return IntentEnd.NOT_DONE if newest < intent.at_version else IntentEnd.UNKNOWN
