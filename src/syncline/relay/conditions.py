"""Notices of conditions: raised while their cause lasts, ended by whoever sees that it is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import get_args

from syncline.errors import CommandNeededError, MappingError
from syncline.model.notice import Notice
from syncline.ports import Journal, Plans
from syncline.relay.pump import Pump
from syncline.relay.restores import Verdict

_CORRECT_IT = "put that right, then run `syncline install`"


class Conditions:
    """Compares what holds now with the open notices, for one session.

    It writes only what differs from the look before; a worker that starts ends what another one has left open.
    """

    def __init__(self, journal: Journal, plans: Plans, pump: Pump) -> None:
        self._notices, self._entities = journal.notices, journal.entities
        self._plans = plans
        self._pump = pump
        self._known: dict[Notice, dict[str, str]] = {}

    def forget(self) -> None:
        """Say everything anew with the next look: the notices may not be those that were left."""
        self._known = {}

    async def look(self, *, without: Collection[int] = ()) -> None:
        """Raise what has come up, end what is over.

        Args:
            without: ids of entities that are not served yet because their installation is under way.

        """
        stopped = await self._stopped(without)
        for entity in stopped.keys() - self._known.get(Notice.ENTITY_STOPPED, {}).keys():
            await self._notices.end(Notice.TASK_FAILED, entity)  # its tasks fail for the same reason, and wait
        await self._hold(Notice.ENTITY_STOPPED, "critical", stopped)
        await self._hold(Notice.COLUMN_NOT_MAPPED, "warning", self._unmapped())
        await self._notices.settle_causes(get_args(Verdict))

    async def _stopped(self, without: Collection[int]) -> dict[str, str]:
        """Say of each entity that is not served why, once: a table that does not fit also shows as marks of nobody."""
        reasons = {name: f"{problem.message}; {_what_next(problem)}" for name, problem in self._plans.problems.items()}
        if self._pump.stopped_entities.keys() - self._plans.by_id.keys():
            names: Mapping[int, str] = await self._entities.names()
        else:
            names = {plan.id: plan.name for plan in self._plans.by_id.values()}
        for entity, reason in self._pump.stopped_entities.items():
            if entity in names and entity not in without:  # else it was uninstalled meanwhile
                reasons.setdefault(names[entity], f"{reason}; {_CORRECT_IT}")
        return {name: f"entity {name} is not served: {reason}" for name, reason in reasons.items()}

    def _unmapped(self) -> dict[str, str]:
        found = {plan.name: plan.projection.unmapped for plan in self._plans.by_id.values()}
        return {
            name: f"entity {name}: columns that are neither included nor excluded: {', '.join(columns)}"
            for name, columns in found.items()
            if columns
        }

    async def _hold(self, name: Notice, severity: str, now: dict[str, str]) -> None:
        if self._known.get(name) == now:
            return
        for entity, message in now.items():
            await self._notices.leave(name, severity, message, entity=entity)
        await self._notices.end_others(name, still=now)
        self._known[name] = now


def _what_next(problem: MappingError) -> str:
    return problem.hint if isinstance(problem, CommandNeededError) and problem.hint else _CORRECT_IT
