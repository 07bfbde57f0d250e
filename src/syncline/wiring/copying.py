"""What copies the tables of a link, from settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from syncline.config import Settings
from syncline.copying.copier import Copier
from syncline.copying.pace import Pacing
from syncline.engines.postgres.copying.carrier import SqlCarrier
from syncline.engines.postgres.copying.copies import SqlCopies
from syncline.engines.postgres.copying.ranges import SqlRanges
from syncline.engines.postgres.target.session import connect as connect_target
from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import (
    ConfigError,
    ForeignTargetError,
)
from syncline.ports import (
    Executor,
    Identity,
    Plans,
    Target,
    same_system,
)
from syncline.ports.copying import Carrier
from syncline.postgres.connection import Connection, identify
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.path import pin_path
from syncline.wiring.carrying import DistantCarrier
from syncline.wiring.sides import open_plans, opened_source, opened_target, same_here, written_at


@contextlib.asynccontextmanager
async def opened_copier(
    settings: Settings, pacing: Pacing, *, executor: Executor | None = None, **options: Any
) -> AsyncIterator[tuple[Copier, Plans]]:
    """Open what copies tables, for a block; ``options`` are those of ``Copier``, ``executor`` carries ranges over.

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
        target.claim_for(identity.system, settings.entities, await written_at(source, settings))
        await target.prepare(settings.entities)
        path = await pin_path(source)
        async with await connect_target(settings.target.url, connect_seconds=wait, statement_seconds=86_400) as there:
            ranges = SqlRanges(there, source, schema, link=settings.link.tag)

            loop = asyncio.get_running_loop()

            def carrier() -> Carrier:
                if executor is not None:
                    return DistantCarrier(executor, loop, pacing.rate, partial(same_here, source, target))
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

            if executor is not None:
                options["parallel"] = executor.width
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
