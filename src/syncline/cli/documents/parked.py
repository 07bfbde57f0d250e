"""``syncline parked`` where documents are the source: what cannot become rows, or what PostgreSQL does not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from syncline.cli.common import print_json, print_table, run, say
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config.documents import Documents


def list_rejected(documents: Documents, collection: str | None, *, limit: int, as_json: bool) -> None:
    """List rejected documents with their reasons."""
    found, total = run(_list(documents, collection, limit))
    if as_json:
        print_json({"records": total, "changes": total, "parked": [_as_dict(one) for one in found]})
        return
    if found:
        shown = [
            (one["collection"], one["mongo_id"], one["attempts"], f"{one['first_at']:%Y-%m-%d %H:%M}", one["reason"])
            for one in found
        ]
        print_table(("collection", "_id", "tries", "since", "reason"), shown)
    more = f", {len(found)} shown" if len(found) < total else ""
    say(f"{total} documents are parked{more}" if total else "nothing is parked")


def ask(documents: Documents, collection: str | None, ids: Sequence[str] | None) -> int:
    """Ask a worker to try rejected documents again."""
    return run(_ask(documents, collection, ids))


def refuse_discard() -> NoReturn:
    """Say why a rejected document is not given up.

    Raises:
        SynclineError: always.

    """
    raise SynclineError(
        "a document that was rejected cannot be discarded: its mark stays until it is written, and holds up nothing",
        hint="correct it in MongoDB, or the declaration, or delete it; then `syncline parked retry`",
    )


def _as_dict(one: Mapping[str, Any]) -> dict[str, Any]:
    times = {"parked_at": one["first_at"].isoformat(), "tried_at": one["last_at"].isoformat()}
    told = {"entity": one["collection"], "key": one["mongo_id"], "code": "rejected", "error": one["reason"]}
    return {**told, "changes": 1, "retry_count": one["attempts"], **times}


async def _list(documents: Documents, collection: str | None, limit: int) -> tuple[Sequence[Mapping[str, Any]], int]:
    from syncline.engines.postgres.documents.keeping import Keeping

    documents.only([collection] if collection else None)
    kept = Keeping(documents.url("target"))
    try:
        return await kept.rejected(collection, limit=limit), await kept.count_rejected(collection)
    finally:
        await kept.close()


async def _ask(documents: Documents, collection: str | None, ids: Sequence[str] | None) -> int:
    from syncline.engines.postgres.documents.keeping import Keeping

    documents.only([collection] if collection else None)
    kept = Keeping(documents.url("target"))
    try:
        return await kept.ask(collection, ids)
    finally:
        await kept.close()
