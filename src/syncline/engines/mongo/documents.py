"""Documents as they are written: a state's body, and our fields behind it."""

from __future__ import annotations

from collections.abc import Iterable

from bson import json_util

from syncline.ports import Batch, Document, State


def documents(batch: Batch, states: Iterable[State]) -> list[Document]:
    """Make the documents of a batch's states of their bodies, which are not copied: they have our fields afterwards."""
    source, read_at = batch.source, batch.read_at
    made = []
    for key, _, ticket, document in states:
        document["_originalId"] = key
        document["_source"] = source
        document["_syncedAt"] = read_at
        document["_v"] = ticket
        made.append(document)
    return made


def as_json(batch: Batch) -> dict[str, str]:
    """Give a batch's documents as JSON, by key; one that is too deep for the encoder is left out."""
    texts = {}
    for document in documents(batch, batch.states):
        try:
            texts[document["_originalId"]] = json_util.dumps(document)
        except Exception:  # noqa: BLE001, S112  it is written already: nothing may stop its acknowledgement
            continue
    return texts
