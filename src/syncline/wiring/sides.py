"""What commands and workers open: targets, sources, replicas, and both sides for a verification."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from syncline.config import Settings
from syncline.engines import opening
from syncline.engines.mongo.clients import Clients
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.copying.copies import SqlCopies
from syncline.engines.postgres.plans import compile_declared
from syncline.engines.postgres.target import claims
from syncline.engines.postgres.target.inspection import SqlInspection
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import (
    CommandNeededError,
    ConfigError,
    SynclineError,
    TargetUnavailableError,
)
from syncline.insight import reach
from syncline.insight.health import DEADLINE, HealthReader
from syncline.journal.notices import leave_notice
from syncline.model.link import Link, entered
from syncline.model.notice import Notice
from syncline.ports import (
    ConfiguredTarget,
    Executor,
    Inspection,
    Plan,
    Plans,
    Same,
    Target,
    require_right_side,
)
from syncline.postgres.connection import Connection, connect, fetch_one, translated
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.loaders import register_loaders
from syncline.postgres.path import pin_path
from syncline.verify.sides import Sides, Step, same_of


def open_target(settings: Settings, clients: Clients | None = None) -> ConfiguredTarget:
    """Make the target, on one of the clients if there are any. Close it when done."""
    return opening.open_target(settings.target, settings.link, writers=settings.worker.writers, clients=clients)


def inspection(target: Target) -> Inspection:
    """Make what verification looks at a target with.

    Raises:
        ConfigError: it cannot be verified.

    """
    if isinstance(target, SqlTarget):
        return SqlInspection(target)
    if isinstance(target, MongoTarget):
        return MongoInspection(target)
    raise ConfigError(f"a {type(target).__name__} cannot be verified", hint="leave `[verify] continuously` off")


@contextlib.asynccontextmanager
async def opened_target(settings: Settings, clients: Clients | None = None) -> AsyncIterator[ConfiguredTarget]:
    """Make the target for a block, on one of the clients if there are any."""
    target = open_target(settings, clients)
    try:
        yield target
    finally:
        await target.close()


async def require_right_side_of(
    settings: Settings, names: Sequence[str], what: str, *, despite: str | None = None
) -> None:
    """Refuse work of the link while its way back serves; a reason to do it all the same leaves a trace.

    Copies, backfills and repairs ask by themselves: for these a command calls this with a reason, to leave the trace.

    Args:
        settings: of the link.
        names: the entities; all when it is empty.
        what: the work, for messages.
        despite: the reason.

    Raises:
        ReverseServesError: it serves one of them.

    """
    entities = [entity for entity in settings.entities if not names or entity.name in names]
    async with opened_target(settings) as target:
        try:
            allowed = await require_right_side(target.reverse, entities, what, despite=despite)
        except TargetUnavailableError:
            return  # whoever does the work asks again
    if allowed:
        async with opened_source(settings) as source:
            told = ", ".join(entity.name for entity in entities)
            message = f"{what} of {told} although {Link(allowed[0].link or '')} serves: {despite}"
            await leave_notice(source, Notice.DESPITE_REVERSE, "info", message)


@contextlib.asynccontextmanager
async def opened_scratchpad(settings: Settings) -> AsyncIterator[MongoTarget]:
    """Make a target for a block in which what does not exist yet can be written and dropped.

    Raises:
        ConfigError: the target has tables, which are their owner's to create and to drop.

    """
    async with opened_target(settings) as target:
        if not isinstance(target, MongoTarget):
            raise ConfigError(
                "a load test needs a MongoDB as a target: a PostgreSQL's tables are for you to create",
                hint="write to a table of your own, and watch `syncline status`",
            )
        yield target


@contextlib.asynccontextmanager
async def opened_source(settings: Settings, *, keyed: bool = False) -> AsyncIterator[Connection]:
    """Open one connection to the source for a block, with our loaders; within it all work is for its link.

    ``keyed`` forbids plans that scan tables.
    """
    seconds = settings.source.connect_timeout.total_seconds()
    connection = await connect(settings.source.url, keyed=keyed, application="syncline", timeout_seconds=seconds)
    try:
        register_loaders(connection.adapters)
        with entered(settings.link):
            await pin_path(connection)
            yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def opened_replica(settings: Settings) -> AsyncIterator[Connection | None]:
    """Open one keyed connection to the replica for a block; ``None`` without ``replica_url``.

    Raises:
        ConfigError: no standby is there.
        SourceUnavailableError: it does not answer.

    """
    if not settings.source.replica_url:
        yield None
        return
    there = replace(settings, source=settings.source.model_copy(update={"url": settings.source.replica_url}))
    async with opened_source(there, keyed=True) as connection:
        standby = False
        if dialect_of(connection) is Dialect.POSTGRESQL:
            (standby,) = await fetch_one(connection, "/* syncline */ SELECT pg_is_in_recovery()")
        if not standby:
            raise ConfigError(
                "replica_url in [source] leads to a server that is no standby",
                hint="name a streaming replica of the primary there, or leave it out",
            )
        yield connection


@contextlib.asynccontextmanager
async def opened_looks(settings: Settings) -> AsyncIterator[tuple[Connection, Connection, bool]]:
    """Open what a verification reads the source with: pages, second looks, and whether pages come from a replica."""
    async with opened_source(settings, keyed=True) as looks, opened_replica(settings) as replica:
        if replica is not None:
            yield replica, looks, True
            return
        async with opened_source(settings, keyed=True) as pages:
            yield pages, looks, False


async def open_ranges(settings: Settings, stack: contextlib.AsyncExitStack) -> Connection | None:
    """Open the replica for finding ranges of keys; one that is away is done without."""
    with contextlib.suppress(SynclineError):
        return await stack.enter_async_context(opened_replica(settings))
    return None


async def same_here(source: Connection, target: Target | None, plan: Plan) -> Same:
    """Say what another process that works for this one must share; without a target: whatever that is."""
    return await same_of(SqlSide(source, source), None if target is None else inspection(target), plan)


async def open_plans(settings: Settings, connection: Connection, *, copying: bool = False) -> Plans:
    """Compile the configured entities against the tables; those that are being copied are problems but for the copy.

    Raises:
        NotInstalledError, VersionError: our own tables are not there, or another version's.

    """
    await reach.check_installed(connection)
    plans = await compile_declared(connection, settings.entities)
    begun = {} if copying else await SqlCopies(connection).all()
    for copy in begun.values():
        if copy.copied_at is None and (plan := plans.by_id.pop(copy.entity, None)) is not None:
            plans.problems[plan.name] = CommandNeededError(
                "its table is being copied",
                hint="`syncline copy` goes on with it, `syncline copy --cancel` gives it up",
            )
    return plans


@contextlib.asynccontextmanager
async def opened_sides(
    settings: Settings, on_progress: Callable[[Step], None] = lambda _: None, *, executor: Executor | None = None
) -> AsyncIterator[tuple[Sides, Plans]]:
    """Open what a verification needs; ``on_progress`` hears how far it is, ``executor`` takes first looks."""
    async with opened_target(settings) as target, opened_looks(settings) as (pages, looks, replica):
        plans = await open_plans(settings, looks)
        side = SqlSide(pages, looks, replica=replica)
        yield Sides(side, inspection(target), on_progress, target.reverse, executor), plans


def make_health(settings: Settings, *, deadline: timedelta = DEADLINE, **options: Any) -> HealthReader:
    """Make what tells the health; ``options`` are those of ``HealthReader``. Close it when done."""

    def open_(limit: timedelta) -> ConfiguredTarget:
        brief = settings.target.model_copy(update={"timeout": limit, "connect_timeout": limit / 2})
        return open_target(replace(settings, target=brief))

    return HealthReader(settings, open_, deadline=deadline, **options)


async def require_no_ring(source: Connection, settings: Settings, target: Target) -> None:
    """See that what the link writes does not come back by a link of another file, for ever.

    Raises:
        UnsuitableTargetError: it would.

    """
    if isinstance(target, SqlTarget) and (theirs := await written_at(source, settings)):
        mine = claims.claim_of(settings.link.tag, "", settings.entities)
        claims.require_no_ring(theirs, mine, await target.system())


async def written_at(source: Connection, settings: Settings) -> list[claims.Claim]:
    """Read what other links have noted that they write in the source's database, but for the link's way back."""
    if dialect_of(source) is not Dialect.POSTGRESQL:
        return []
    with translated():
        found = await claims.claims(source)
    return [one for one in found.values() if one.link != settings.link.reverse]
