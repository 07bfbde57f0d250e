"""The composition root: settings become objects here, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from syncline.backfill.runner import Runner
from syncline.capture.postgres.put_back import put_back
from syncline.config import Settings
from syncline.copying.copier import Copier
from syncline.copying.pace import Pacing
from syncline.ending import Group
from syncline.engines import opening
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.opening import open_source
from syncline.engines.postgres.copying.carrier import SqlCarrier
from syncline.engines.postgres.copying.copies import SqlCopies
from syncline.engines.postgres.copying.ranges import SqlRanges
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.plans import compile_declared
from syncline.engines.postgres.target import claims
from syncline.engines.postgres.target.inspection import SqlInspection
from syncline.engines.postgres.target.session import connect as connect_target
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import (
    ConfigError,
    ForeignTargetError,
    ReverseServesError,
    SynclineError,
    TargetUnavailableError,
    TaskDroppedError,
)
from syncline.insight import reach
from syncline.insight.health import DEADLINE, HealthReader
from syncline.journal.notices import leave_notice
from syncline.model.link import Link, entered
from syncline.model.notice import Notice
from syncline.ports import (
    ConfiguredTarget,
    Identity,
    Inspection,
    Plans,
    Source,
    Target,
    require_right_side,
    same_system,
)
from syncline.postgres.connection import Connection, connect, fetch_one, identify, translated
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.loaders import register_loaders
from syncline.postgres.path import pin_path
from syncline.relay.worker import Worker
from syncline.telemetry.observer import LoggingObserver, Noticed, Observer
from syncline.verify.continuous import Continuous
from syncline.verify.one_pass import Step
from syncline.verify.sides import Sides


def open_target(settings: Settings) -> ConfiguredTarget:
    """Make the target. Close it when done."""
    return opening.open_target(settings.target, settings.link, writers=settings.worker.writers)


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
async def opened_target(settings: Settings) -> AsyncIterator[ConfiguredTarget]:
    """Make the target for a block."""
    target = open_target(settings)
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
            plans.problems[plan.name] = (
                "its table is being copied; `syncline copy` goes on with it, `syncline copy --cancel` gives it up"
            )
    return plans


@contextlib.asynccontextmanager
async def opened_sides(
    settings: Settings, told: Callable[[Step], None] = lambda _: None
) -> AsyncIterator[tuple[Sides, Plans]]:
    """Open what a verification needs; ``told`` hears how far it is."""
    async with opened_target(settings) as target, opened_looks(settings) as (pages, looks, replica):
        plans = await open_plans(settings, looks)
        yield Sides(SqlSide(pages, looks, replica=replica), inspection(target), told, target.reverse), plans


def make_health(settings: Settings, *, deadline: timedelta = DEADLINE, **options: Any) -> HealthReader:
    """Make what tells the health; ``options`` are those of ``HealthReader``. Close it when done."""

    def open_(limit: timedelta) -> ConfiguredTarget:
        brief = settings.target.model_copy(update={"timeout": limit, "connect_timeout": limit / 2})
        return open_target(replace(settings, target=brief))

    return HealthReader(settings, open_, deadline=deadline, **options)


TASK_SECONDS = 1.0
"""How often a worker looks for backfills and sweeps to do."""


def make_worker(settings: Settings, target: Target, *, observer: Observer | None = None) -> Worker:
    """Put a worker together."""
    observer = observer or LoggingObserver(wants_keys=settings.log.level == "debug")
    said: set[str] = set()

    def differs(difference: str) -> None:
        if difference not in said:
            said.add(difference)
            message = f"{difference}; until then what is installed counts"
            observer.tell(Noticed(Notice.CONFIGURATION_DIFFERS, "warning", message))

    async def compile_(source: Source) -> Plans:
        await _claim(settings, target, source)
        return await source.compile(settings.entities, differs=differs)

    if settings.verify.continuously:
        inspection(target)  # says if it cannot be
    return Worker(
        settings,
        target,
        open_source,
        compile_,
        observer,
        background=partial(_background, settings, target),
        reinstall=partial(_reinstall, settings) if settings.source.reinstall else None,
    )


async def _claim(settings: Settings, target: Target, source: Source) -> None:
    """Have the target note whose tables or collections are the link's, when it is prepared."""
    if isinstance(target, SqlTarget):
        target.source = f"{source.identity.system} {source.identity.started}"
        async with opened_source(settings) as connection:
            theirs = await _written_at(connection, settings)
        target.claim_for(source.identity.system, settings.entities, theirs)
    elif isinstance(target, MongoTarget):
        target.claim_for(source.identity.system, settings.entities)


async def _background(settings: Settings, target: Target, source: Source, plans: Plans) -> None:
    """Do what a worker does beside its batches."""
    async with Group() as group:
        group.create_task(_tasks(settings, target, source, plans))
        if settings.verify.continuously:
            group.create_task(make_continuous(settings, target, plans, source.worker).run())


async def _tasks(settings: Settings, target: Target, source: Source, plans: Plans) -> None:
    """Do backfills and sweeps, as they are asked for."""
    async with opened_source(settings, keyed=True) as connection, contextlib.AsyncExitStack() as stack:
        ranges = await open_ranges(settings, stack)
        runner = Runner(
            SqlMarking(connection, source.worker, ranges=ranges), plans.by_id, target, grace=settings.worker.grace
        )
        while True:
            try:
                ran = await runner.run_next()
                if ran is not None:
                    for name in (Notice.TASK_FAILED, Notice.TASK_HELD):
                        await source.journal.notices.end(name, ran.entity)
            except TargetUnavailableError:
                ran = None  # the task stays; the pump says what the trouble is
            except SynclineError as error:
                if error.retryable:
                    raise
                ran = None  # it concerns one entity: the others go on
                await tell_failure(source, runner.entity, error)
            if ran is None:
                await asyncio.sleep(TASK_SECONDS)


async def _reinstall(settings: Settings) -> Mapping[str, SynclineError]:
    """Put capture back where somebody has taken it away."""
    wanted = settings.source
    async with opened_source(settings) as connection:
        return await put_back(
            connection,
            settings.entities,
            capture=wanted.capture,
            wake=wanted.wake,
            event_triggers=bool(wanted.event_triggers),
        )


async def require_no_ring(source: Connection, settings: Settings, target: Target) -> None:
    """See that what the link writes does not come back by a link of another file, for ever.

    Raises:
        UnsuitableTargetError: it would.

    """
    if isinstance(target, SqlTarget) and (theirs := await _written_at(source, settings)):
        mine = claims.claim_of(settings.link.tag, "", settings.entities)
        claims.require_no_ring(theirs, mine, await target.system())


async def _written_at(source: Connection, settings: Settings) -> list[claims.Claim]:
    """Read what other links have noted that they write in the source's database, but for the link's way back."""
    if dialect_of(source) is not Dialect.POSTGRESQL:
        return []
    with translated():
        found = await claims.claims(source)
    return [one for one in found.values() if one.link != settings.link.reverse]


async def tell_failure(source: Source, entity: str, error: SynclineError) -> None:
    """Tell operators of a failed task: until the entity's tasks are done, or, if it was dropped, until they say so."""
    if isinstance(error, TaskDroppedError):
        message = f"{entity}: {error.message}; {error.hint}"
        await source.journal.notices.leave(Notice.TASK_DROPPED, "warning", message, entity=entity)
    elif isinstance(error, ReverseServesError):
        message = f"{error.message}; it waits: {error.hint}; `syncline backfill {entity} --cancel` drops it"
        await source.journal.notices.leave(Notice.TASK_HELD, "warning", message, entity=entity)
    else:
        message = f"{entity}: a backfill or sweep failed, and is tried again: {error.message}"
        await source.journal.notices.leave(Notice.TASK_FAILED, "critical", message, entity=entity)


def make_continuous(settings: Settings, target: Target, plans: Plans, worker: str) -> Continuous:
    """Put the verification of a worker together; it has connections of its own."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Sides]:
        with translated():
            async with opened_looks(settings) as (pages, looks, replica):
                yield Sides(SqlSide(pages, looks, replica=replica), inspection(target))

    period = settings.verify.period
    assert period is not None  # noqa: S101  the settings are checked
    return Continuous(plans.by_id, owner=worker, opened=opened, period=period, rate=settings.verify.rate)


def tune_garbage_collection() -> None:
    """Fit the collector to a worker's process.

    Documents are many, short-lived and free of cycles; by default the collector walks them over and over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.asynccontextmanager
async def opened_copier(settings: Settings, pacing: Pacing, **options: Any) -> AsyncIterator[tuple[Copier, Plans]]:
    """Open what copies tables, for a block; ``options`` are those of ``Copier``.

    Raises:
        ConfigError: the target is no PostgreSQL.
        ForeignTargetError: it is another source's copy.

    """
    if not settings.target.in_postgresql:
        raise ConfigError(
            "only tables of a PostgreSQL target are copied; a MongoDB is filled by `syncline backfill`",
            hint='`[target] url = "postgresql://…"`, or run `syncline backfill`',
        )
    schema, wait = settings.target.control_schema, max(1, round(settings.target.connect_timeout.total_seconds()))
    async with opened_target(settings) as target, opened_source(settings, keyed=True) as source:
        plans = await open_plans(settings, source, copying=True)
        identity = await _require_ours(source, target)
        assert isinstance(target, SqlTarget)  # noqa: S101  the settings say so
        target.claim_for(identity.system, settings.entities, await _written_at(source, settings))
        await target.prepare(settings.entities)
        path = await pin_path(source)
        async with await connect_target(settings.target.url, connect_seconds=wait, statement_seconds=86_400) as there:
            ranges = SqlRanges(there, source, schema, link=settings.link.tag)

            def carrier() -> SqlCarrier:
                return SqlCarrier(
                    settings.source.url,
                    settings.target.url,
                    ranges.tables,
                    ranges.binary,
                    schema=schema,
                    link=settings.link.tag,
                    path=path,
                    connect_seconds=wait,
                )

            linked = list(plans.by_id.values())
            yield Copier(SqlCopies(source), ranges, target, carrier, pacing, linked=linked, **options), plans


async def _require_ours(source: Connection, target: Target) -> Identity:
    if dialect_of(source) is not Dialect.POSTGRESQL:
        raise ConfigError("tables are copied from a PostgreSQL only", hint="`syncline backfill` fills the target")
    beat, identity = await target.read_beat(), await identify(source)
    if beat is not None and not same_system(beat.system, identity.system):
        raise ForeignTargetError(
            f"the target is the copy of another source ({beat.system})",
            hint="`syncline adopt` takes it over; `control_schema` in [target] gives each source its own",
        )
    return identity
