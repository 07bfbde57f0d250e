"""Copies tables: marks wait, ranges are carried over, the table is declared copied, and its marks are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from syncline.backfill.latency import Latency
from syncline.copying.order import Order, joined, ordered
from syncline.copying.pace import Pacing
from syncline.copying.progress import Progress, Prospect, Sizes
from syncline.copying.strain import Strain
from syncline.errors import CopyError, RejectedRowError, SynclineError, TargetGateError, TargetRefusedError
from syncline.model.entity import TableName
from syncline.ports import Plan, Target, require_right_side
from syncline.ports.copying import (
    Carrier,
    Copied,
    Copies,
    Copy,
    Range,
    RangeLostError,
    Ranges,
)

LOOK_SECONDS = 0.25
"""Between two looks at how long the source takes."""
RETRIES = 5
FIRST_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class _Table:
    plan: Plan
    name: str
    """In the target."""
    copy: Copy
    ranges: Sequence[Range]
    progress: Progress


@dataclass(slots=True)
class Copier:
    """Copies tables of one link.

    Args:
        copies: the source's memory.
        ranges: the target's.
        target: announces epochs, so that nothing that was read before is written later.
        carrier: makes what carries ranges over, for one thread.
        pacing: shared by all threads.
        parallel: ranges at a time.
        on_progress: called with the progress of a table; must be quick.
        linked: every entity of the link.

    """

    copies: Copies
    ranges: Ranges
    target: Target
    carrier: Callable[[], Carrier]
    pacing: Pacing
    parallel: int = 1
    sizes: Sizes = field(default_factory=Sizes)
    on_progress: Callable[[Progress], None] = lambda _: None
    latency: Latency = field(default_factory=Latency)
    linked: Sequence[Plan] = ()

    async def prospects(self, plans: Sequence[Plan]) -> tuple[list[Prospect], Order]:
        """Look at both sides of tables, in the order in which they are to be copied; nothing is changed.

        Raises:
            UnsuitableTargetError, PrivilegeError: a table cannot be written.

        """
        known = await self.copies.all()
        found = {}
        for plan in plans:
            destination = await self.ranges.describe(plan)
            copy = known.get(plan.id)
            begun = copy if copy is not None and copy.copied_at is None else None
            layout = await self.copies.layout(plan, range_rows=self.sizes.rows, range_bytes=self.sizes.bytes)
            empty = await self.ranges.is_empty(plan)
            found[destination.name] = Prospect(plan, destination, begun, empty, layout)
        order = ordered({name: one.destination.parents for name, one in found.items()})
        return [found[name] for name in order.names], order

    async def run(self, plans: Sequence[Plan], *, replace: bool = False, despite: str | None = None) -> list[Progress]:
        """Copy tables; those whose copy was begun before go on.

        A table of which a row is refused stops, and the others go on. Tables that foreign keys join are declared copied
        together: a row that was deleted meanwhile, but to which a copied one refers, can go only after that one.

        Args:
            plans: the entities.
            replace: delete what is in their tables of the target, and begin all of them anew: where a delete takes rows
                of another table along, no range of that one is done any more.
            despite: an operator's reason to copy although the link's way back serves.

        Raises:
            ReverseServesError: it serves, and there is no reason.
            CopyError: a table of the target is not empty, or another one refers to it; or tables of a begun copy that
                foreign keys join with these are not among them.
            SynclineError: a side cannot be reached, or refuses to work; run it again, and it goes on.

        """
        await require_right_side(self.target.reverse, [plan.entity for plan in plans], "a copy", despite=despite)
        await self.ranges.prepare()
        known = await self.copies.all()
        wanted = [plan for plan in plans if replace or _is_due(known.get(plan.id))]
        prospects, _ = await self.prospects(wanted)
        self._require_whole(prospects, known)
        if replace:
            await self.ranges.require_unreferred([one.plan for one in prospects])
        else:
            _require_empty([one for one in prospects if one.copy is None and not one.empty])
        await self._begin([one.plan for one in prospects if one.copy is None or replace])
        tables = await self._laid(prospects, replace=replace)
        groups = joined({one.destination.name: one.destination.parents for one in prospects})
        for table in tables:
            await self._copy(table)
            group = [one for one in tables if any({one.name, table.name} <= names for names in groups)]
            if table is group[-1]:
                await self._declare(group)
        return [table.progress for table in tables]

    async def cancel(self, plans: Sequence[Plan]) -> list[str]:
        """Give up the copies of tables that were begun: their changes are applied again, whatever the target holds.

        Those that have only waited to be declared with others are declared; the names are of the others.
        """
        await self.ranges.prepare()
        known = await self.copies.all()
        begun = [plan for plan in plans if plan.id in known and known[plan.id].copied_at is None]
        whole = [known[plan.id] for plan in begun if await self._left(known[plan.id]) == 0]
        given_up = [plan for plan in begun if known[plan.id] not in whole]
        if given_up:
            for plan in given_up:
                await self.ranges.forget(known[plan.id])  # whoever is at one of these ranges is shut out
            await self.copies.give_up([plan.id for plan in given_up])
        if whole and await self.copies.declare(whole):
            for copy in whole:
                await self.ranges.forget(copy)
        return [plan.name for plan in given_up]

    async def _left(self, copy: Copy) -> int | None:
        """Count ranges that are not done, as the target knows it; ``None``: it has none of this copy."""
        ranges = await self.ranges.of(copy)
        return sum(not part.done for part in ranges) if ranges else None

    def _require_whole(self, prospects: Sequence[Prospect], known: Mapping[int, Copy]) -> None:
        """See that no table is declared while another one that a foreign key joins with it is still being copied."""
        mine = {one.plan.id for one in prospects}
        begun = {
            str(TableName.parse(plan.entity.collection)): plan.name
            for plan in self.linked
            if plan.id in known and known[plan.id].copied_at is None and plan.id not in mine
        }
        near = {name for one in prospects for name in one.destination.parents | one.destination.children}
        if missing := sorted(begun[name] for name in near & begun.keys()):
            raise CopyError(
                f"{', '.join(missing)}: being copied, too, and joined by foreign keys with what is to be copied",
                hint=f"copy them together: name {', '.join(missing)} as well, or no entity, which means all",
            )

    async def _begin(self, plans: Sequence[Plan]) -> None:
        """Have marks wait, and see that no batch that was read before is written any more."""
        above = max((await self.target.lane_epochs()).values(), default=0)
        if plans:
            epochs = await self.copies.begin(plans, above=above)
        elif any(copy.copied_at is None and not copy.fenced for copy in (await self.copies.all()).values()):
            epochs = await self.copies.take_lanes(above=above)
        else:
            return
        await self.target.announce(epochs)
        waiting = [one.entity for one in (await self.copies.all()).values() if one.copied_at is None]
        await self.copies.fenced(waiting)

    async def _laid(self, prospects: Sequence[Prospect], *, replace: bool) -> list[_Table]:
        """Find the ranges of each table, and lay those of copies that begin: in one transaction, children first."""
        known = await self.copies.all()
        tables, new = [], []
        for one in prospects:
            copy = known[one.plan.id]
            ranges = await self.ranges.of(copy)
            if not ranges:
                new.append((one, copy))
            progress = Progress(one.plan.name, total=one.layout.rows)
            tables.append(_Table(one.plan, one.destination.name, copy, ranges, progress))
        if new and not replace:
            await self._require_still_empty([one for one, _ in new])
        await self.ranges.lay([(copy, one.plan, one.bounds) for one, copy in reversed(new)], replace=replace)
        for table in tables:
            table.ranges = table.ranges or await self.ranges.of(table.copy)
            _count(table)
        return tables

    async def _require_still_empty(self, begun: Sequence[Prospect]) -> None:
        filled = [one for one in begun if not await self.ranges.is_empty(one.plan)]
        if filled:
            await self.copies.give_up([one.plan.id for one in begun])
            _require_empty(filled)

    async def _copy(self, table: _Table) -> None:
        try:
            await self._carry_all(table)
        except RejectedRowError as error:
            table.progress.error = error
            self.on_progress(table.progress)

    async def _declare(self, group: Sequence[_Table]) -> None:
        """Declare tables copied, in one transaction; while one of them cannot be copied, none."""
        names = ", ".join(table.plan.name for table in group)
        if refused := [table for table in group if table.progress.error is not None]:
            for table in group:
                table.progress.held = "" if table in refused else ", ".join(one.plan.name for one in refused)
            return
        if any([await self._left(table.copy) for table in group]):  # whoever has lost a range to another does not know
            raise CopyError(
                f"{names}: another copier has taken a range over, and it is not done",
                hint="run `syncline copy` again: it goes on",
            )
        if not await self.copies.declare([table.copy for table in group]):
            raise CopyError(
                f"{names}: the copy was given up, or begun anew, by somebody else meanwhile",
                hint="`syncline copy --replace` begins anew",
            )
        for table in group:
            await self.ranges.forget(table.copy)
            table.progress.finished = True
            self.on_progress(table.progress)

    async def _carry_all(self, table: _Table) -> None:
        """Carry a table's ranges over by as many threads as there may be; after an error no further one is begun."""
        left = [part for part in reversed(table.ranges) if not part.done]
        self.on_progress(table.progress)
        watching = asyncio.create_task(self._watch(table))
        watching.add_done_callback(lambda _: left.clear())
        try:
            threads = [self._carry(table, left) for _ in range(min(self.parallel, len(left)))]
            errors = [one for one in await asyncio.gather(*threads, return_exceptions=True) if one is not None]
        finally:
            watching.cancel()
            (failed,) = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(failed, Exception):
            errors.append(failed)
        for error in sorted(errors, key=lambda one: isinstance(one, RejectedRowError)):
            raise error

    async def _carry(self, table: _Table, left: list[Range]) -> None:
        carrier = self.carrier()
        try:
            while left:
                await self._carry_one(table, left.pop(), carrier)
        except BaseException:
            left.clear()
            raise
        finally:
            carrier.close()

    async def _carry_one(self, table: _Table, part: Range, carrier: Carrier) -> None:
        for tries in range(RETRIES):
            try:
                copied = await self._carried(table, part, carrier)
            except RangeLostError:
                copied = Copied(0, 0)  # somebody else has done it
            except SynclineError as error:
                if not _may_pass(error) or tries + 1 == RETRIES:
                    raise
                table.progress.waiting = f"tries again: {error.message}"
                self.on_progress(table.progress)
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**tries)
                continue
            table.progress.add(copied)
            self.on_progress(table.progress)
            return

    async def _carried(self, table: _Table, part: Range, carrier: Carrier) -> Copied:
        """Carry in a thread; whoever is cancelled waits until it has rolled back: it uses connections of its own."""
        progress, passed = table.progress, 0

        def tell(rows: int, size: int) -> None:
            nonlocal passed
            passed += rows
            progress.passed += rows  # for a display: threads share it without a lock
            self.pacing.passed(rows, size)

        running = asyncio.ensure_future(asyncio.to_thread(carrier.carry, table.plan, part, tell))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.pacing.stop()
            await asyncio.wait({running})
            running.exception()
            raise
        finally:
            progress.passed -= passed

    async def _watch(self, table: _Table) -> None:
        """Look how long the source takes, and tell how far the copy is."""
        strain = Strain(self.copies, table.copy, self.latency)
        while True:
            if self.pacing.rate is not None:
                self.pacing.heed(strained=await strain.lasts())
                table.progress.waiting = "lets the source recover" if self.pacing.slowed else ""
            self.on_progress(table.progress)
            await asyncio.sleep(LOOK_SECONDS)


def _may_pass(error: SynclineError) -> bool:
    """Tell whether a moment's wait may help: a gate is asked anew with each try."""
    return isinstance(error, TargetGateError) or (error.retryable and not isinstance(error, TargetRefusedError))


def _is_due(copy: Copy | None) -> bool:
    return copy is None or copy.copied_at is None


def _require_empty(filled: Sequence[Prospect]) -> None:
    if filled:
        names = ", ".join(one.destination.name for one in filled)
        raise CopyError(
            f"not empty in the target: {names}",
            hint="empty it, or `--replace`, which deletes what is there (also what a worker has brought: it "
            "comes again); or `syncline backfill`, which writes over it",
        )


def _count(table: _Table) -> None:
    progress = table.progress
    progress.ranges = len(table.ranges)
    progress.done = sum(part.done for part in table.ranges)
    progress.rows = sum(part.rows for part in table.ranges if part.done)
