"""A look at the target before anything is installed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from syncline.errors import PrivilegeError, TargetError, UnsuitableTargetError

if TYPE_CHECKING:
    from syncline.capture.postgres.install import InstallPlan
    from syncline.config import Settings
    from syncline.postgres.connection import Connection

TARGET_TIMEOUT = timedelta(seconds=2)
"""An installation needs no target, so it does not wait long for one."""


async def look_at_target(settings: Settings, wanted: InstallPlan, source: Connection) -> list[str]:
    """Refuse what the worker would refuse, before anything is changed; a target that is away is only a warning.

    Raises:
        UnsuitableTargetError, PrivilegeError: a place of the target cannot take the records.

    """
    from syncline.config import redact
    from syncline.insight import reach
    from syncline.model.projections import served
    from syncline.wiring.sides import opened_target, require_no_ring

    moment = min(settings.target.connect_timeout, TARGET_TIMEOUT)
    brief = replace(settings, target=settings.target.model_copy(update={"connect_timeout": moment}))
    entities = [served(one) for one in wanted.projections] or settings.entities
    fields = {one.entity.name: one.names for one in wanted.projections}
    try:
        async with opened_target(brief) as target:
            await target.require_suitable(entities, fields=fields, system=await reach.system_of(source))
            await require_no_ring(source, settings, target)
            await target.require_sound_records()
            return await target.remarks([one for one in entities if one.name in wanted.backfill])
    except (UnsuitableTargetError, PrivilegeError):
        raise
    except TargetError as error:
        return [f"the target was not looked at, the worker will look: {redact(error.message)}"]
