"""Changing phases: a group of collections at once, forward with evidence, back without; when a change takes effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from syncline.errors import PhaseError, SynclineError
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.standing import Change, Process, Standing, highest

FIRST_PERCENT = 1.0
_POLL_SECONDS = 0.05


class Control:
    """Changes the phases of collections.

    Args:
        mongodb: where they stand in MongoDB, which has the truth up to ``ramp``.
        postgresql: the journal.
        default: the phase of collections that nobody has changed yet, where no process has said it.

    """

    def __init__(self, mongodb: InMongoDB, postgresql: InPostgreSQL, default: Phase) -> None:
        self.mongodb, self.postgresql = mongodb, postgresql
        self._default = Standing(default)

    def standings(self, collections: Sequence[str], *, only_to_show: bool = False) -> dict[str, Standing]:
        """Say where collections stand, by both databases; PostgreSQL may be away.

        Args:
            collections: which ones.
            only_to_show: from live on, too: what MongoDB says may be older then, where that was restored.

        """
        found = highest(self._said(only_to_show=only_to_show))
        default = self._default if all(name in found for name in collections) else self._agreed()
        return {name: found.get(name, default) for name in collections}

    def _agreed(self) -> Standing:
        agreed = self.mongodb.default()
        return Standing(agreed) if agreed else self._default

    def _said(self, *, only_to_show: bool = False) -> list[Mapping[str, Standing]]:
        said = [self.mongodb.read()]
        try:
            said.append(self.postgresql.read())
        except SynclineError:
            if not only_to_show and any(one.phase.postgresql_is_truth for one in said[0].values()):
                raise
        return said

    def forward(self, collections: Sequence[str], percent: float | None) -> Change:
        """Plan the next phase, or a higher percentage of a ramp.

        Raises:
            PhaseError: there is no such step.

        """
        was, at = self._together(collections)
        if at.phase is Phase.RAMP and percent is not None:
            if percent <= at.percent:
                raise PhaseError(
                    f"the ramp is at {at.percent:g} % already", hint="`syncline phase back --percent` lowers it"
                )
            return self._planned(was, Phase.RAMP, percent)
        goal = at.phase.next
        if goal is None:
            raise PhaseError(f"{_named(was)}: {at.phase} is the last phase")
        if percent is not None and goal is not Phase.RAMP:
            raise PhaseError(f"{goal} has no percentage", hint="--percent is for the ramp")
        return self._planned(was, goal, (FIRST_PERCENT if percent is None else percent) if goal is Phase.RAMP else 0.0)

    def backward(self, collections: Sequence[str], percent: float | None) -> Change:
        """Plan the phase before, or a lower percentage of a ramp.

        Raises:
            PhaseError: there is no such step.

        """
        was, at = self._together(collections)
        if percent is not None:
            if at.phase is not Phase.RAMP or percent >= at.percent:
                raise PhaseError(f"{_named(was)}: {at} cannot go back to {percent:g} %")
            return self._planned(was, Phase.RAMP, percent)
        if at.phase.before is None:
            raise PhaseError(f"{_named(was)}: {at.phase} is the first phase")
        return self._planned(was, at.phase.before, 100.0 if at.phase.before is Phase.RAMP else 0.0)

    def _together(self, collections: Sequence[str]) -> tuple[dict[str, Standing], Standing]:
        was = self.standings(collections)
        if len({(one.phase, one.percent) for one in was.values()}) > 1:
            each = ", ".join(f"{name} in {one}" for name, one in was.items())
            raise PhaseError(f"a group goes together, and these are not: {each}", hint="name those that are")
        return was, next(iter(was.values()))

    def _planned(self, was: dict[str, Standing], phase: Phase, percent: float) -> Change:
        if not 0 <= percent <= 100:
            raise PhaseError(f"a ramp reads between 0 and 100 percent, not {percent:g}")
        number = max((one.number for said in self._said() for one in said.values()), default=0) + 1
        becomes = Standing(phase, percent, number)
        return Change(was, {name: replace(becomes) for name in was})

    def advance(self, change: Change, *, reason: str | None = None, against: Sequence[str] = ()) -> Change:
        """Make a change for which there is evidence: both databases must answer.

        Returns:
            The change as it is made, with its number.

        Raises:
            PhaseError: somebody else has changed one of them meanwhile.

        """
        self.postgresql.prepare()
        self.journal()
        return self._made(change, reason, against)

    def take_back(self, change: Change, *, reason: str | None = None) -> Change:
        """Make a change back: the database that has the truth must answer.

        Returns:
            The change as it is made, with its number, and why the journal does not have it yet.

        Raises:
            PhaseError: somebody else has changed one of them meanwhile.

        """
        return self._made(change, reason, ())

    def _made(self, change: Change, reason: str | None, against: Sequence[str]) -> Change:
        """Draw the number where all changes go through one document: who waits for it waits for everybody."""
        becomes = self.mongodb.change(change, highest(self._said()), reason=reason, against=against)
        try:
            self.postgresql.prepare()
            self.journal()
        except SynclineError as error:
            return Change(change.was, becomes, error.message)
        return Change(change.was, becomes)

    def journal(self) -> None:
        """Bring to PostgreSQL what was changed, now and while it was away."""
        entries = self.mongodb.pending()
        self.postgresql.change(self.mongodb.read(), entries)
        self.mongodb.journaled(entries)

    def behind(self, number: int) -> Sequence[Process]:
        """List the processes that may still go by an earlier change."""
        return [one for one in self.mongodb.processes() if one.number < number]

    def wait(self, number: int, told: Callable[[Sequence[Process]], None] = lambda _: None) -> float:
        """Wait until a change is in effect: each process goes by it, or its lease has run out.

        Returns:
            How many seconds that took.

        """
        began = time.monotonic()
        while behind := self.behind(number):
            told(behind)
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began


def _named(was: Mapping[str, Standing]) -> str:
    return ", ".join(was)
