"""One record explained with its contents compared, as verification compares them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from syncline.config import Settings, redact
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.verification.looks import SqlLooks
from syncline.errors import SynclineError
from syncline.insight.explain import Explanation, explain
from syncline.model.entity import Entity
from syncline.ports import Target
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import dialect_of
from syncline.verify.masking import Mask
from syncline.verify.render import finding_as_dict
from syncline.verify.repair import UNTOUCHED
from syncline.verify.second_look import Looked, SecondLook
from syncline.wiring.sides import inspection, opened_source


async def explain_record(
    settings: Settings, source: Connection, target: Target, entity: Entity, key: str, *, events: int = 10
) -> Explanation:
    """Gather what is known of one record; where nothing waits, compare its contents.

    Args:
        settings: where the source is; contents are read over a connection of their own.
        source: a connection for everything else.
        target: contents are compared where it can be inspected.
        entity: as declared.
        key: as an operator types it.
        events: how many of the newest events of its history.

    Raises:
        KeyFormatError: this cannot be a key of the entity.
        NotInstalledError: the entity is declared, but not installed.

    """
    found = await explain(source, target, entity, key, events=events)
    if found.pending or found.parked or found.target_error:
        return found
    try:
        looked = await _look(settings, target, entity, found.key)
    except SynclineError as error:
        return replace(found, not_compared=redact(error.message))
    return _with(found, looked)


async def _look(settings: Settings, target: Target, entity: Entity, key: str) -> Looked:
    async with opened_source(settings, keyed=True) as connection:
        plan = (await compile_plans(connection, [entity])).named(entity.name)
        name, mask = dialect_of(connection).value, Mask(entity.mask)
        look = SecondLook(SqlLooks(connection), inspection(target), plan, name, mask=mask)
        return await look.look({key: datetime.now(UTC)})


def _with(found: Explanation, looked: Looked) -> Explanation:
    """Say what the look decided; neither equal nor a finding: it is on its way."""
    if looked.findings:
        one = looked.findings[0]
        if one.kind in UNTOUCHED:
            return replace(found, not_compared=one.reason or UNTOUCHED[one.kind])
        return replace(found, equal=False, differences=finding_as_dict(one)["differences"])
    return replace(found, equal=True if found.key in looked.equal else None)
