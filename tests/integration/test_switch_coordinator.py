"""The coordinator, on two servers: killed, frozen, out of time, and finished by anybody."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest

from syncline.ending import end
from syncline.errors import (
    NamedDatabaseUnavailableError,
    PrivilegeError,
    SupersededError,
    SwitchAbortedError,
    SwitchError,
)
from syncline.split.switching.finishing import finish
from syncline.split.switching.gate import GateBusyError, Verb
from syncline.split.switching.journal import Journal
from syncline.split.switching.move import Step
from syncline.split.switching.takeover import watch
from tests.relay import IMPATIENCE, PATIENCE
from tests.switch_stage import AS_LINK, NEW, OLD, address, child, databases, staged

pytestmark = pytest.mark.engines
SHORT = timedelta(milliseconds=300)
GIVE_UP = timedelta(seconds=5)
"""Reached where a mechanism is missing only."""
TAKEN = "UPDATE syncline_gate.journal SET number = number + 1, holder = 'x', held_until = now() + '1 hour'"
"""Another coordinator has the lease."""


@pytest.fixture
def urls(postgres, second_postgres):
    with databases(postgres, second_postgres) as urls:
        yield urls


def write(url: str, n: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO items (writer, n) VALUES (0, %s)", [n])


async def test_a_switch_and_its_way_back_bring_every_write(urls):
    async with staged(urls) as stage:
        write(urls[OLD], 1)
        outcome = await stage.switch(NEW)
        assert (outcome.serving, stage.modes()) == (NEW, "la")
        assert outcome.paused_seconds > 0
        assert [row[1:] for row in stage.rows(NEW)] == [(0, 1)]
        write(urls[NEW], 2)  # its key does not collide: the sequence has gone on
        with pytest.raises(psycopg.errors.SerializationFailure, match="written on the other side"):
            write(urls[OLD], 3)
        assert (await stage.switch(OLD)).serving == OLD
        write(urls[OLD], 4)
        assert stage.modes() == "al"
        assert [row[1:] for row in stage.rows(OLD)] == [(0, 1), (0, 2), (0, 4)]
        acting = [f"close {NEW}", f"open {NEW}", f"close {OLD}", f"close {OLD}", f"open {OLD}", f"close {NEW}"]
        assert stage.link.steps == acting, "off before a side is the link's, on before it opens"
        again = await stage.switch(OLD)
        assert (again.number, again.paused_seconds) == (0, 0.0)


@pytest.mark.parametrize(
    ("step", "back"),
    [*((s, False) for s in Step if s is not Step.ANNOUNCE), *((s, True) for s in (Step.LINK, Step.REVERSE))],
)
async def test_a_coordinator_killed_at_any_step_is_finished_by_another(urls, step, back):
    lease = timedelta(seconds=0.5)
    async with staged(urls, lease=lease) as stage:
        write(urls[OLD], 1)
        if back:
            await stage.switch(NEW)
        goal, other = (OLD, NEW) if back else (NEW, OLD)
        write(urls[other], 2)
        process = await child(urls, goal, step)
        assert await process.wait() == -signal.SIGKILL
        if step in {Step.LINK, Step.DRAIN, Step.OPEN}:
            assert set(stage.modes()) == {"l", "n"}  # nobody may write: the next one ends that
        watching = asyncio.create_task(watch(stage.move, pause=timedelta(seconds=20)))
        while (
            stage.modes() != ("al" if back else "la")
            or stage.one(OLD, "SELECT phase FROM syncline_gate.journal") != goal
        ):
            await asyncio.sleep(0.02)
        assert not await end(watching, seconds=PATIENCE)
        write(urls[goal], 3)
        await stage.quiet()
        assert [row[1:] for row in stage.rows(OLD)] == [(0, 1), (0, 2), (0, 3)]
        assert stage.rows(OLD) == stage.rows(NEW)


@pytest.mark.parametrize("wanted", [NEW, OLD])
async def test_the_next_command_finishes_what_a_dead_one_began(urls, wanted):
    async with staged(urls, lease=timedelta(seconds=0.5)) as stage:
        write(urls[OLD], 1)
        process = await child(urls, NEW, Step.OPEN)
        await process.wait()
        assert (await stage.switch(wanted, give_up=timedelta(seconds=30))).serving == wanted
        assert stage.modes() == ("la" if wanted == NEW else "al")


async def test_a_coordinator_that_was_frozen_before_its_decision_decides_nothing(urls):
    """Its lease has run out, the old side serves again, and then its statement that opens the new one arrives."""
    async with staged(urls, lease=timedelta(seconds=0.5)) as stage:
        process = await child(urls, NEW, Step.OPEN, how="STOP")
        while stage.modes() != "nl":
            await asyncio.sleep(0.01)
        while stage.one(OLD, "SELECT held_until > clock_timestamp() FROM syncline_gate.journal"):
            await asyncio.sleep(0.02)
        assert (await stage.switch(OLD)).serving == OLD
        write(urls[OLD], 1)
        os.kill(process.pid, signal.SIGCONT)
        assert await process.wait() == 0  # it took no further step
        assert stage.modes() == "al"
        await stage.quiet()
        assert stage.rows(OLD) == stage.rows(NEW)


async def test_the_side_that_was_closed_is_opened_by_a_new_number_only(urls):
    """Both gates know the number that turned back before the old side serves again."""
    async with staged(urls) as stage:
        stage.link.fails = "a row differs"
        stage.link.brings = {OLD}  # the old side has the truth: it is opened without a look at what the link has
        with pytest.raises(SwitchError, match="a row differs"):
            await stage.switch(NEW)
        assert (stage.modes(), stage.link.verified) == ("al", 1)
        first = (await stage.gates[OLD].read()).number
        assert (await stage.gates[NEW].read()).number == first
        with pytest.raises(SupersededError):
            await stage.gates[NEW].change(first - 1, Verb.OPEN, SHORT)


async def test_a_writer_that_does_not_end_makes_the_old_side_serve_again(urls):
    async with staged(urls) as stage:
        with psycopg.connect(urls[OLD], application_name="import") as frozen:
            frozen.execute("INSERT INTO items (writer, n) VALUES (0, 1)")
            with pytest.raises(
                SwitchAbortedError, match=rf"primary serves as before.*pid {frozen.info.backend_pid} \(import\)"
            ):
                await stage.switch(NEW, pause=SHORT)
            write(urls[OLD], 2)  # nobody is refused any more, though that one is still open
            assert stage.modes() == "al"
        assert (await stage.switch(NEW)).serving == NEW
        assert [row[1:] for row in stage.rows(NEW)] == [(0, 1), (0, 2)]


async def test_a_link_that_is_not_through_makes_the_old_side_serve_again(urls):
    async with staged(urls) as stage:
        stage.link.paused = True
        write(urls[OLD], 1)
        with pytest.raises(SwitchAbortedError, match="the link was not through"):
            await stage.switch(NEW, pause=SHORT)
        assert (stage.modes(), stage.link.verified) == ("al", 0)
        write(urls[OLD], 2)
        stage.link.paused = False
        await stage.switch(NEW)
        assert [row[1:] for row in stage.rows(NEW)] == [(0, 1), (0, 2)]


async def test_a_wait_whose_cancellation_is_lost_ends_all_the_same(urls, monkeypatch):
    """As drivers lose some when a machine is busy: the lease would be kept for ever, and nobody take over."""

    lost = []

    async def drained(_: str) -> bool:
        try:
            await asyncio.sleep(SHORT.total_seconds())
        except asyncio.CancelledError:
            if lost.append(None) or len(lost) > 1:
                raise
        return False

    async with staged(urls) as stage:
        monkeypatch.setattr(stage.link, "drained", drained)
        async with asyncio.timeout(IMPATIENCE if "SYNCLINE_MUTANT" in os.environ else PATIENCE):
            with pytest.raises(SwitchAbortedError, match="the link was not through"):
                await stage.switch(NEW, pause=SHORT)
        assert stage.modes() == "al"


async def test_a_lease_is_kept_while_a_switch_is_made_ready(urls, monkeypatch):
    until = "SELECT extract(epoch FROM held_until)::float8 FROM syncline_gate.journal"
    async with staged(urls, lease=timedelta(seconds=2)) as stage:

        async def ready(*_: object) -> None:
            first, limit = stage.one(OLD, until), time.monotonic() + PATIENCE
            while stage.one(OLD, until) == first:
                assert time.monotonic() < limit, "nobody keeps the lease"
                await asyncio.sleep(0.05)

        monkeypatch.setattr(stage.link, "ready", ready)
        assert (await stage.switch(NEW)).serving == NEW


async def test_what_fails_while_the_lease_is_lost_is_not_told_as_well(urls, monkeypatch):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    async with staged(urls, lease=timedelta(seconds=0.2)) as stage:

        async def ready(*_: object) -> None:
            with psycopg.connect(urls[OLD]) as connection:
                connection.execute(TAKEN)
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                raise SwitchError("not ready")

        monkeypatch.setattr(stage.link, "ready", ready)
        with pytest.raises(SwitchError, match=r"at work|lost its lease"):
            await stage.switch(NEW, give_up=SHORT)
    gc.collect()
    assert told == []


async def test_a_coordinator_whose_lease_is_gone_closes_nothing(urls, monkeypatch):
    """The next one has noted its number on the goal alone: writers would be refused until it has made ready, too."""
    async with staged(urls) as stage:

        async def learn() -> None:
            with psycopg.connect(urls[OLD]) as connection:
                connection.execute(TAKEN)

        monkeypatch.setattr(stage.link, "learn", learn)
        with pytest.raises(SwitchError, match=r"at work|lost its lease"):
            await stage.switch(NEW, give_up=SHORT)
        assert stage.modes() == "al"


async def test_nothing_is_closed_where_a_gate_is_missing(urls):
    async with staged(urls) as stage:
        with psycopg.connect(urls[NEW], autocommit=True) as connection:
            connection.execute("ALTER TABLE items DISABLE TRIGGER syncline_gate")
        steps = []
        with pytest.raises(SwitchError, match=r"data: public\.items has no gate"):
            await stage.switch(NEW, told=steps.append)
        assert stage.modes() == "al"
        assert Step.CLOSE not in steps


async def test_a_frozen_link_does_not_keep_both_sides_closed(urls):
    """It has passed the gate of the new side, and its server process would wait for ever."""
    async with staged(urls) as stage:
        with psycopg.connect(urls[NEW]) as frozen:
            frozen.execute(AS_LINK, [0])
            frozen.execute("INSERT INTO items VALUES (100, 0, 0)")
            assert (await stage.switch(NEW)).serving == NEW
            with pytest.raises(psycopg.OperationalError):
                frozen.commit()
            with contextlib.suppress(psycopg.Error):
                frozen.close()


async def test_the_other_side_wanted_stops_a_coordinator_before_its_decision(urls):
    async with staged(urls, lease=timedelta(seconds=0.2)) as stage:
        stage.link.paused = True
        write(urls[OLD], 1)
        switching = asyncio.create_task(stage.switch(NEW))
        while stage.modes() != "nl":
            await asyncio.sleep(0.01)
        await stage.move.journal.want(OLD)
        with pytest.raises(SwitchAbortedError, match="primary serves"):
            await switching
        assert stage.modes() == "al"


async def test_a_journal_that_was_set_back_draws_numbers_above_the_gates(urls):
    async with staged(urls) as stage:
        await stage.switch(NEW)
        with psycopg.connect(urls[OLD]) as connection:
            connection.execute("UPDATE syncline_gate.journal SET number = 0, phase_number = 0")
        await stage.switch(OLD)
        assert stage.modes() == "al"


async def test_a_side_that_was_set_back_is_closed_and_never_taken_for_the_truth(urls):
    async with staged(urls) as stage:
        await stage.switch(NEW)
        with psycopg.connect(urls[OLD]) as connection:  # a backup from before the switch
            connection.execute("UPDATE syncline_gate.gate SET mode = 'a', number = 0")
            connection.execute("UPDATE syncline_gate.journal SET number = 0, goal = 'primary', phase = 'primary'")
        write(urls[NEW], 1)
        with pytest.raises(SwitchError, match="primary accepts writes, though data was opened after it"):
            await stage.switch(OLD)
        await stage.switch(NEW)
        assert stage.modes() == "la"
        await stage.switch(OLD)
        assert [row[1:] for row in stage.rows(OLD)] == [(0, 1)]


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("broken"),
        psycopg.errors.UndefinedColumn("no column"),
        PrivilegeError("not the owner"),
        NamedDatabaseUnavailableError("a session was ended"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_fails_before_the_decision_the_old_side_serves_again(urls, failure):
    async with staged(urls) as stage:
        stage.link.fails = failure
        with pytest.raises(SwitchError, match=f"primary serves as before: .*{failure}"):
            await stage.switch(NEW, give_up=GIVE_UP)
        assert stage.modes() == "al"
        assert stage.one(OLD, "SELECT goal FROM syncline_gate.journal") == OLD


async def test_a_failure_that_nobody_has_foreseen_does_not_end_the_watch():
    told, again = [], asyncio.Event()

    async def look() -> None:
        if looks.append(None) or len(looks) > 2:
            again.set()
        raise RuntimeError("broken")

    looks: list[None] = []
    move = SimpleNamespace(look=look, journal=SimpleNamespace(lease=timedelta(milliseconds=30)))
    watching = asyncio.create_task(watch(move, told=told.append))
    await again.wait()
    watching.cancel()
    assert [str(error) for error in told] == ["broken"], "once, as long as it is the same"


async def test_after_the_decision_nothing_turns_back_and_the_way_back_is_made_later(urls):
    async with staged(urls) as stage:
        stage.link.holds = SwitchError("no such table")
        outcome = await stage.switch(NEW, give_up=GIVE_UP)
        assert (outcome.serving, outcome.pending, stage.modes()) == (NEW, "no such table", "na")
        write(urls[NEW], 1)
        stage.link.holds = None
        outcome = await stage.switch(NEW)
        assert (outcome.pending, stage.modes()) == (None, "la")
        await stage.switch(OLD)
        assert [row[1:] for row in stage.rows(OLD)] == [(0, 1)]


async def test_who_holds_a_table_after_the_decision_is_named_and_not_waited_for_for_ever(urls):
    async with staged(urls) as stage:
        stage.link.holds, said = GateBusyError("pid 7 (pg_dump)"), []
        outcome = await stage.switch(NEW, give_up=SHORT, waits=said.append)
        assert "pid 7 (pg_dump)" in outcome.pending
        assert "pid 7 (pg_dump)" in said[0]
        assert (outcome.serving, stage.modes()) == (NEW, "na")


async def test_a_side_that_was_made_ready_and_not_opened_takes_nothing_before_it_is_the_links_again(urls):
    """Its triggers are on: what the link writes meanwhile would meet them a second time."""

    failed = []

    def fail(step: Step) -> None:
        if step is Step.OPEN and not failed:
            failed.append(step)
            raise RuntimeError("broken")

    async with staged(urls) as stage:
        stage.link.holds = SwitchError("somebody holds it")
        with pytest.raises(SwitchError, match="primary serves as before: RuntimeError: broken"):
            await stage.switch(NEW, told=fail)
        assert stage.modes() == "an"
        write(urls[OLD], 1)
        stage.link.holds = None
        await finish(stage.move)
        assert stage.modes() == "al"
        await stage.quiet()
        assert stage.rows(OLD) == stage.rows(NEW)


async def test_a_switch_that_gives_up_before_it_closes_a_side_is_not_done_later(urls):
    async with staged(urls) as stage:
        other = Journal("data", address(urls[OLD]))
        assert await other.acquire(OLD, above=0)
        goal = "SELECT goal FROM syncline_gate.journal"
        with pytest.raises(SwitchError, match="another coordinator is at work") as refused:
            await stage.switch(NEW, give_up=timedelta(0))
        assert (stage.one(OLD, goal), "wanted on" in refused.value.hint) == (OLD, False)
        await other.want(NEW)  # by somebody else, who may have begun: that is not taken back
        with pytest.raises(SwitchError, match="another coordinator is at work") as refused:
            await stage.switch(NEW, give_up=timedelta(0))
        assert (stage.one(OLD, goal), "data is wanted on" in refused.value.hint) == (NEW, True)
        await other.aclose()
