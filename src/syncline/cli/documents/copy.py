"""``syncline copy`` and ``syncline backfill`` where documents are the source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from syncline.cli.boundary import INTERRUPTED, invocation
from syncline.cli.common import print_json, print_table, run, say
from syncline.cli.documents.opening import standing
from syncline.cli.sharing import Sharing
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.cli.progress import Shown
    from syncline.config.documents import Documents
    from syncline.documents.copying import Progress

RATE = 20_000
"""Documents a second by default."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    collections: Sequence[str]
    rate: int | None
    anew: bool
    """Also what was copied before, from the beginning."""
    sweep: bool
    """And tombstones for rows without a document."""
    as_json: bool
    sharing: Sharing = field(default_factory=Sharing)


def copy_documents(documents: Documents, wish: Wish, *, again: str) -> None:
    """Copy, with progress; ``again`` is the command that goes on."""
    then = ", and rows without a document stay until a `syncline backfill` ends" if wish.sweep else ""
    invocation.get().resume = f"what is done stays; `{again}` goes on from here{then}"
    try:
        found, swept = run(_copy(documents.only(wish.collections), wish))
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    if wish.as_json:
        print_json({"tables": [as_dict(one) for one in found]} | ({"swept": swept} if wish.sweep else {}))
        return
    for one in found:
        left = f", {one.left:,} that are refused are left to the worker" if one.left else ""
        before = " before; `--replace` begins anew" if one.before else ""
        say(f"{one.collection}: {one.documents:,} documents copied{before}{left}")
    if wish.sweep:
        say(f"{swept:,} rows without a document are deleted by the worker")
    say("what is written since then is carried by `syncline worker`")


def say_what(documents: Documents, collections: Sequence[str], *, as_json: bool) -> None:
    """Say what a copy would do."""
    rows = run(_prospects(documents.only(collections)))
    if as_json:
        print_json({"tables": rows, "circles": []})
    else:
        print_table(("collection", "documents, about", "note"), [[*row.values()] for row in rows])


def require_one(parallel: int) -> None:
    """Refuse what a copy of documents does not do.

    Raises:
        ConfigError: threads were asked for.

    """
    if parallel != 1:
        raise ConfigError(
            "--parallel: one process copies documents one page after the other", hint="--processes shares them"
        )


async def _copy(documents: Documents, wish: Wish) -> tuple[list[Progress], int]:
    from syncline.cli.documents.sharing import sharing
    from syncline.cli.progress import bars, lines
    from syncline.documents.copying import DocumentCopier
    from syncline.executing.collector import tune_garbage_collection
    from syncline.relay.documents.recovery import sweep
    from syncline.verify.pace import Pace

    tune_garbage_collection()
    rate = RATE if wish.rate is None else wish.rate or None
    pace = Pace(rate)
    with (lines if wish.as_json else bars)(shown) as show:
        async with sharing(documents, wish.sharing, rate) as others, standing(documents) as link:
            copier = DocumentCopier(link, told=show, paced=pace.passed, others=others)
            try:
                found = await copier.run(link.collections, anew=wish.anew)
            finally:
                await copier.close()
            swept = [await sweep(link.source, link.rows, name) for name in link.collections if wish.sweep]
            return found, sum(swept)


async def _prospects(documents: Documents) -> list[dict[str, Any]]:
    from syncline.engines.mongo.stored_marks import StoredMarks

    async with standing(documents) as link:
        stored = StoredMarks(link.database)
        return [
            {"entity": name, "documents": await stored.count(name), "note": "by COPY where there are no rows yet"}
            for name in link.collections
        ]


def shown(progress: Progress) -> Shown:
    """Say how the progress of a collection is shown."""
    from syncline.cli.progress import Shown

    return Shown(
        progress.collection,
        progress.collection,
        done=progress.documents,
        total=progress.total,
        finished=progress.finished,
        waiting=progress.waiting,
        fields=as_dict(progress),
    )


def as_dict(progress: Progress) -> dict[str, Any]:
    """Give the progress of a collection by the names that programs see."""
    return {
        "entity": progress.collection,
        "rows": progress.documents,
        "total": progress.total,
        "left_to_worker": progress.left,
        "finished": progress.finished,
        "before": progress.before,
        "error": None,
    }
