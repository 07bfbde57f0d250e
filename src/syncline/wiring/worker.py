"""A worker and what it does beside its batches, from settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial

from syncline.backfill.runner import Runner
from syncline.capture.postgres.put_back import put_back
from syncline.config import Settings
from syncline.ending import Group
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.opening import open_source
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import (
    ReverseServesError,
    SourceUnavailableError,
    SynclineError,
    TargetUnavailableError,
    TaskDroppedError,
)
from syncline.model.notice import Notice
from syncline.ports import (
    Plans,
    Source,
    Target,
)
from syncline.postgres.connection import translated
from syncline.relay.worker import Worker
from syncline.telemetry.observer import LoggingObserver, Noticed, Observer
from syncline.verify.continuous import Continuous
from syncline.verify.sides import Sides
from syncline.wiring.sides import inspection, open_ranges, opened_looks, opened_source, written_at

TASK_SECONDS = 1.0
"""How often a worker looks for backfills and sweeps to do."""
REST_SECONDS = 5.0
"""How often one of many looks when there was none for a minute."""
SLOWER = 1.03


def make_worker(
    settings: Settings, target: Target, *, observer: Observer | None = None, one_of_many: bool = False
) -> Worker:
    """Put a worker together; one of many in a process rests while nothing happens."""
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
        background=partial(background, settings, target, most_pause=REST_SECONDS if one_of_many else TASK_SECONDS),
        reinstall=partial(_reinstall, settings) if settings.source.reinstall else None,
        rests=one_of_many,
    )


async def _claim(settings: Settings, target: Target, source: Source) -> None:
    """Have the target note whose tables or collections are the link's, when it is prepared."""
    if isinstance(target, SqlTarget):
        target.source = f"{source.identity.system} {source.identity.started}"
        async with opened_source(settings) as connection:
            theirs = await written_at(connection, settings)
        target.claim_for(source.identity.system, settings.entities, theirs)
    elif isinstance(target, MongoTarget):
        target.claim_for(source.identity.system, settings.entities)


async def background(
    settings: Settings, target: Target, source: Source, plans: Plans, *, most_pause: float = TASK_SECONDS
) -> None:
    """Do what a worker does beside its batches."""
    async with Group() as group:
        group.create_task(_tasks(settings, target, source, plans, most_pause))
        if settings.verify.continuously:
            group.create_task(make_continuous(settings, target, plans, source.worker).run())


async def _tasks(settings: Settings, target: Target, source: Source, plans: Plans, most_pause: float) -> None:
    """Do backfills and sweeps, as they are asked for, on connections of their own while there are any.

    ``most_pause`` is that between two looks at last.
    """
    pause, runner = TASK_SECONDS, None
    held = _Held(source)
    async with contextlib.AsyncExitStack() as connections:
        while True:
            ran, waiting = None, set[str]()
            try:
                tasks = await source.journal.tasks.find()
                waiting = {plans.by_id[task.entity].name for task in tasks if task.entity in plans.by_id}
                if not waiting:
                    runner = None
                    await connections.aclose()
                    await held.end()
                elif runner is None:
                    try:
                        runner = await _runner(settings, target, source, plans, connections)
                    except SourceUnavailableError as error:  # if it is away, that ends the pump by itself
                        await connections.aclose()
                        await held.tell(waiting, error)
                    else:
                        await held.end()
                if runner is not None:
                    ran = await runner.run_next()
                if ran is not None:
                    for name in (Notice.TASK_FAILED, Notice.TASK_HELD):
                        await source.journal.notices.end(name, ran.entity)
            except TargetUnavailableError:
                pass  # the task stays; the pump says what the trouble is
            except SynclineError as error:
                if error.retryable:
                    raise
                # It concerns one entity, and the others go on; or none can begin.
                for entity in {runner.entity} if runner is not None and runner.entity else waiting:
                    await tell_failure(source, entity, error)
            pause = min(pause * SLOWER, most_pause) if ran is None else TASK_SECONDS
            if ran is None:
                await asyncio.sleep(pause)


class _Held:
    """Says of which entities tasks wait because the source has no connection left: all else goes on."""

    def __init__(self, source: Source) -> None:
        self._notices = source.journal.notices
        self._entities: set[str] = set()

    async def tell(self, entities: set[str], error: SynclineError) -> None:
        """Leave the notices, once."""
        for entity in entities - self._entities:
            message = f"{entity}: a backfill or sweep waits for a connection to the source: {error.message}"
            await self._notices.leave(Notice.TASK_HELD, "warning", message, entity=entity)
        self._entities |= entities

    async def end(self) -> None:
        """End them."""
        while self._entities:
            await self._notices.end(Notice.TASK_HELD, self._entities.pop())


async def _runner(
    settings: Settings, target: Target, source: Source, plans: Plans, connections: contextlib.AsyncExitStack
) -> Runner:
    """Make what does tasks, on connections that are opened here."""
    connection = await connections.enter_async_context(opened_source(settings, keyed=True))
    ranges = await open_ranges(settings, connections)
    marking = SqlMarking(connection, source.worker, ranges=ranges)
    return Runner(marking, plans.by_id, target, grace=settings.worker.grace)


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
