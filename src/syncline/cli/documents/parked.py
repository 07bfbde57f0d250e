"""``syncline parked`` where documents are the source: what cannot become rows, or what PostgreSQL does not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from syncline.cli.common import print_json, print_table, run, say
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.ports.documents import Failure


def list_rejected(documents: Documents, collection: str | None, *, limit: int, as_json: bool) -> None:
    """List rejected documents with their reasons, those of the way back too."""
    found, total = run(_list(documents, collection, limit))
    if as_json:
        print_json({"records": total, "changes": total, "parked": [_as_dict(one) for one in found]})
        return
    if found:
        shown = [
            (one["collection"], one["mongo_id"], one["attempts"], f"{one['first_at']:%Y-%m-%d %H:%M}", _told(one))
            for one in found
        ]
        print_table(("collection", "_id", "tries", "since", "reason"), shown)
    more = f", {len(found)} shown" if len(found) < total else ""
    say(f"{total} documents are parked{more}" if total else "nothing is parked")


def _told(one: Mapping[str, Any]) -> str:
    return f"on the way back: {one['reason']}" if one["way_back"] else str(one["reason"])


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
    return {**told, "changes": 1, "retry_count": one["attempts"], "way_back": one["way_back"], **times}


async def _list(documents: Documents, collection: str | None, limit: int) -> tuple[Sequence[Mapping[str, Any]], int]:
    from syncline.engines.postgres.documents.coming_back import ComingBack
    from syncline.engines.postgres.documents.keeping import Keeping

    names = [one.collection.name for one in documents.only([collection] if collection else None).mappings]
    kept = Keeping(documents.url("target"))
    try:
        forward = [{**one, "way_back": False} for one in await kept.rejected(collection, limit=limit)]
        back = ComingBack(kept.session)
        found = forward + [_of_way_back(one) for one in await back.failures(names, limit)]
        parked = [one.parked for name, one in (await back.counts() or {}).items() if name in names]
        return found[:limit], await kept.count_rejected(collection) + sum(parked)
    finally:
        await kept.close()


def _of_way_back(one: Failure) -> dict[str, Any]:
    told = {"collection": one.collection, "mongo_id": one.mongo_id, "reason": one.reason, "attempts": one.attempts}
    return {**told, "first_at": one.first_at, "last_at": one.last_at, "way_back": True}


async def _ask(documents: Documents, collection: str | None, ids: Sequence[str] | None) -> int:
    from syncline.engines.postgres.documents.coming_back import ComingBack
    from syncline.engines.postgres.documents.keeping import Keeping

    names = [one.collection.name for one in documents.only([collection] if collection else None).mappings]
    kept = Keeping(documents.url("target"))
    try:
        back = ComingBack(kept.session)
        asked = [await back.again(names, one) for one in (ids if ids is not None else [None])]
        return await kept.ask(collection, ids) + sum(asked)
    finally:
        await kept.close()
