"""What the model does (tests/model), the relay's own pieces do: walks are replayed step by step, and both are compared.

The model chooses what happens next; ``Reader``, ``Work``, ``Leases``, a source and a target do it. A mutant's
counterexample must come to a step at which the code does something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from syncline.engines.memory.target import MemoryTarget
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.opening import open_source
from syncline.engines.postgres.plans import compile_plans
from syncline.model.mark import Hint, epoch_of, ticket
from syncline.ports import Absence, Acknowledgement, Batch, Beat, Plan, Renewal, Report, Source, Target
from syncline.relay import outranked
from syncline.relay.leases import Leases
from syncline.relay.outcome import Outcome
from syncline.relay.poison import Poison
from syncline.relay.reader import Reader
from syncline.relay.restores import judge_beat
from syncline.relay.work import Work
from syncline.telemetry.observer import NullObserver
from tests import engines
from tests.model.actions_relay import HOPELESS
from tests.model.explorer import explore, first, walk
from tests.model.mutants import mutant
from tests.model.scope import Scope, Step
from tests.model.scopes import SMALL
from tests.model.search import in_words
from tests.model.state import Message, State, exchanged
from tests.relay import ITEM, ITEMS, Relay, relayed, until

HOUR = timedelta(hours=1)
COPY = "in the copy: "
COPIED = (
    "item",
    *(f"syncline.{table}" for table in ("meta", "entity", "lane", "worker", "outbox", "deferred", "parked", "task")),
)
BATCH_MASK = (1 << 31) - 1
RESET = """
    TRUNCATE item; DELETE FROM syncline.task; DELETE FROM syncline.outbox; DELETE FROM syncline.block; DELETE FROM syncline.deferred; DELETE FROM syncline.parked;
    DELETE FROM syncline.worker; UPDATE syncline.lane SET owner = NULL, epoch = 0, confirmed = 0;
    UPDATE syncline.meta SET epoch = 0, beat = 0, confirmed_beat = 0, nonces = '{}', contested = NULL
"""


class Player:
    """A worker of the model, made of the relay's pieces."""

    def __init__(self, source: Source, target: Target, plan: Plan) -> None:
        self.source, self.target, self.plan = source, target, plan
        self.confirmed = 0
        self.crash()

    def crash(self) -> None:
        """Lose all memory."""
        self.leases = Leases(self.source, self.target, None, NullObserver(), name="player", ttl=HOUR)  # type: ignore[arg-type]
        self.reader = Reader(
            self.source,
            {self.plan.id: self.plan},
            self.leases,
            stopped={},
            poison=Poison(),
            range_=(100, 100),
            bytes_in_flight=1 << 20,
        )
        self.works: dict[int, Work] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.failed: set[int] = set()
        self.renewal: Renewal | None = None
        self.found: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        self.announced: set[int] = set()
        self.outranked = outranked.Outranked()
        self.seen, self.lasting, self.over, self.doubting = "", False, "", False
        self.met: Beat | None = None

    async def renew(self) -> Renewal:
        self.renewal = await self.source.journal.lanes.renew(
            name="player", version="", ttl=HOUR, confirmed=self.confirmed, report={}, seen=self.seen
        )
        self.leases._forget_lost(self.renewal)
        return self.renewal

    async def announce(self) -> None:
        self.announced = await self.target.announce(self.taken)

    async def confirm(self) -> None:
        """Confirm, hold: the end of ``Leases._acquire``."""
        sure = await self.source.journal.lanes.confirm({lane: self.taken[lane] for lane in self.announced})
        self.leases.held.update({lane: self.taken[lane] for lane in sure})

    async def acknowledge(self, number: int) -> None:
        """As the pump does it."""
        work = self.works.pop(number)
        outcome = self.outcomes.pop(number, None) or Outcome(work)
        ack = Acknowledgement(leases=work.leases) if number in self.failed else outcome.acknowledgement()
        held = await self.source.marks.acknowledge(ack, grace=HOUR, history=False)
        lost = work.leases.keys() - held
        if lost:
            self.leases.refused(lost)
            keys = [key for touched in work.touched.values() for key, lane in touched.lanes.items() if lane in lost]
            await self.source.marks.add(self.plan.id, keys, Hint.REPAIR)
        again = {one: epoch for one, epoch in outcome.outranked.items() if work.touched[one[0]].lanes[one[1]] in held}
        if again:
            self.leases.outrank({work.touched[one[0]].lanes[one[1]]: epoch for one, epoch in again.items()})
            self.outranked.raised(again)
        self.outranked.settled([one for one in work.records() if one not in outcome.waiting])
        self.reader.release(work)

    def outcome(self, number: int) -> Outcome:
        """What became of a batch so far."""
        return self.outcomes.setdefault(number, Outcome(self.works[number]))

    def read_back(self, number: int) -> None:
        """As the pump takes a report in."""
        outcome = self.outcome(number)
        report = outcome.reports.get(self.plan.id, Report())
        parked, again = self.outranked.judge(self.plan.id, report.outranked)
        outcome.reject(self.plan, parked)
        outcome.outranked |= again
        outcome.waiting |= again.keys() | {(self.plan.id, key) for key in report.unknown}

    def exchanged(self, mine: Beat) -> None:
        """Remember what stands in the target now."""
        self.confirmed, self.lasting = mine.count, True
        if self.met is None or self.met.count <= mine.count:
            self.seen = mine.nonce

    async def ended(self) -> None:
        """As a worker that finds somebody else's target."""
        await self.source.journal.lanes.release(self.leases.held)
        self.crash()


class Replay:
    """Both sides, and players for the model's workers."""

    def __init__(self, relay: Relay, players: Sequence[Player], scope: Scope) -> None:
        self.relay, self.players, self.scope = relay, players, scope
        self.target, self.plan = players[0].target, players[0].plan
        self.keys = range(scope.keys)
        self.lanes = [
            relay.value("SELECT syncline.lane_of(%s::smallint, %s)", self.plan.id, str(key)) for key in self.keys
        ]
        self.payloads: dict[tuple[int, int, int], tuple[str, Any]] = {}
        self.nonces: dict[int, str] = {0: ""}
        self.system = players[0].source.identity.system
        self.copy: Replay | None = None
        """Of the second source."""

    async def begin(self) -> None:
        """Bring both sides to where the model starts."""
        owner, start = self.players[0], first(self.scope)
        self.relay.conn.execute(RESET)
        for key, row in enumerate(start.source.rows):
            if row.value:
                self.relay.sql("INSERT INTO item (id, qty) VALUES (%s, %s)", key, row.version)
        states = await owner.source.records.read(self.plan, [str(key) for key in self.keys])
        await self.target.apply(Batch(ITEM, inserts=states.present(ticket(1, 0))))
        self.relay.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        for player in self.players:
            player.crash()
            player.confirmed = 0
        if self.scope.owner:
            renewal = await owner.renew()
            if self.scope.nonces:
                self.nonces = {0: "", 1: renewal.nonces[0]}
                owner.seen, owner.lasting = renewal.nonces[0], True
            await self.target.beat(self._beat(owner, renewal))
            self.relay.sql("UPDATE syncline.meta SET confirmed_beat = beat")
            owner.confirmed = renewal.beat
            owner.taken = await owner.source.journal.lanes.acquire(sorted(set(self.lanes)), above=0)
            await owner.announce()
            await owner.confirm()

    async def play(self, way: Sequence[Step]) -> None:
        """Do the steps; after each, both sides are what the model says."""
        await self.begin()
        before = first(self.scope)
        done: list[str] = []
        for told, after in way:
            if "it concludes" in str(told[0]):
                return  # what follows a restore has its own tests
            done.append(in_words(told))
            try:
                await self.step(told, before, after)
                found, expected = await self.seen(), self.modelled(after)
                assert found == expected
            except AssertionError as error:
                error.add_note("\n".join(done))
                raise
            before = after

    async def step(self, told: Any, before: State, after: State) -> None:
        words = str(told[0])
        if words.startswith(COPY):
            assert self.copy is not None
            self.copy.nonces = self.nonces
            await self.copy.step((words.removeprefix(COPY), *told[1:]), exchanged(before), exchanged(after))
            found, expected = await self.copy.seen(), self.copy.modelled(exchanged(after))
            assert found == expected
            return
        handler = next(handler for start, handler in HANDLERS if words.startswith(start))
        await handler(self, told, before, after)

    def _beat(self, player: Player, renewal: Renewal) -> Beat:
        if not self.scope.nonces:
            return Beat(renewal.installation, "here", renewal.beat)
        return Beat(renewal.installation, self.system, renewal.beat, "", renewal.nonces[0], "player")

    async def seen(self) -> dict[str, Any]:
        """Read both sides."""
        sql, ids = self.relay.sql, {str(player.source.worker): n for n, player in enumerate(self.players)}
        documents = await self.target.read(ITEM, list(self.keys))
        lane = sql("SELECT owner::text, epoch, confirmed FROM syncline.lane WHERE lane = %s", self.lanes[0])[0]
        return {
            "rows": sql("SELECT id::int, qty FROM item ORDER BY id"),
            "marks": sorted(sql("SELECT key::int, hint::text FROM syncline.waiting")),
            "parked": [key for (key,) in sql("SELECT key::int FROM syncline.parked ORDER BY 1")],
            "deferred": [key for (key,) in sql("SELECT key::int FROM syncline.deferred ORDER BY id")],
            "lane": (ids.get(lane[0], -1), lane[1], lane[2]),
            "epoch": (await self.target.lane_epochs()).get(self.lanes[0], 0),
            "documents": {d["_id"]: (d["qty"], epoch_of(d["_v"]), d["_v"] & BATCH_MASK) for d in documents},
            "held": [player.leases.held.get(self.lanes[0], 0) for player in self.players],
        }

    def modelled(self, state: State) -> dict[str, Any]:
        """Say the same of the model's state."""
        source, target = state.source, state.target
        return {
            "rows": [(key, row.version) for key, row in enumerate(source.rows) if row.value],
            "marks": sorted((mark.key, mark.hint) for mark in source.outbox),
            "parked": [key for key, version in enumerate(source.parked) if version],
            "deferred": [deferred.key for deferred in source.deferred],
            "lane": tuple(source.leases[0]),
            "epoch": target.epochs[0],
            "documents": {key: (d.version, *d.ticket) for key, d in enumerate(target.documents) if d is not None},
            "held": [worker.held[0] for worker in state.workers],
        }

    # -- steps

    async def commit(self, told: Any, before: State, after: State) -> None:
        with self.relay.conn.transaction():
            for key, value in self.scope.script[told[1]]:
                if not value:
                    self.relay.sql("DELETE FROM item WHERE id = %s", key)
                elif before.source.rows[key].value:
                    self.relay.sql("UPDATE item SET qty = %s WHERE id = %s", after.commits, key)
                else:
                    self.relay.sql("INSERT INTO item (id, qty) VALUES (%s, %s)", key, after.commits)

    async def promote(self, told: Any, before: State, after: State) -> None:
        first_of_key = "SELECT min(id) FROM syncline.deferred WHERE key = %s"
        self.relay.sql(f"UPDATE syncline.deferred SET due = '-infinity' WHERE id = ({first_of_key})", str(told[1]))
        assert await self.players[0].source.marks.promote_deferred() == 1

    async def read_marks(self, told: Any, before: State, after: State) -> None:
        player, batch = self.players[told[1]], _new_batch(told[1], before, after)
        player.reader.restart()
        work, _ = await player.reader.next()
        assert work is not None
        assert sorted((int(key), hint) for _, _, _, key, hint, *_ in work.marks) == sorted(
            (m.key, m.hint) for m in batch.marks
        )
        assert work.number == batch.number
        player.works[batch.number] = work

    async def read_states(self, told: Any, before: State, after: State) -> None:
        (batch,) = [b for b in after.workers[told[1]].batches if b not in before.workers[told[1]].batches]
        player = self.players[told[1]]
        work = player.works[batch.number]
        await player.reader.fill(work)
        found = {}
        for _, part in work.writes:
            for kind, items in (("insert", part.inserts), ("update", part.upserts)):
                for state in items:
                    found[state.id] = (kind, state.body["qty"])
                    self._remember(state.id, state.ticket, kind, state)
            for absence in part.deletes:
                found[absence.id] = ("delete", None)
                self._remember(absence.id, absence.ticket, "delete", absence)
        assert found == {w.key: (w.kind, w.version if w.value else None) for w in batch.writes}

    def _remember(self, key: int, number: int, kind: str, payload: Any) -> None:
        self.payloads[key, epoch_of(number), number & BATCH_MASK] = (kind, payload)

    async def execute(self, told: Any, before: State, after: State) -> None:
        message = _gone(before, after)
        kind, payload = self.payloads[message.key, *message.ticket]
        there = before.target.documents[message.key] is not None
        if kind == "insert" and message.kind == "insert" and there:
            return  # ``apply`` goes on with the update by itself; the model has a step for it
        batch = Batch(ITEM)
        if isinstance(payload, Absence):
            batch.deletes.append(payload)
        else:
            (batch.inserts if message.kind == "insert" else batch.upserts).append(payload)
        report = await self.target.apply(batch)
        assert (report.rejected, report.conflicts, report.present) == ([], [], 0)
        epoch, number = message.ticket
        for player in self.players:
            work = player.works.get(number)
            if work is not None and epoch in work.leases.values():
                player.outcome(number).reports.setdefault(self.plan.id, Report()).add(report)

    async def read_back(self, told: Any, before: State, after: State) -> None:
        for old, new in zip(before.workers[told[1]].batches, after.workers[told[1]].batches, strict=True):
            if old is not new:
                self.players[told[1]].read_back(new.number)

    async def forge(self, told: Any, before: State, after: State) -> None:
        assert isinstance(self.target, MemoryTarget)
        forged = after.target.documents[told[1]]
        if forged is None:
            await self.target.apply(Batch(ITEM, deletes=[Absence(str(told[1]), told[1], ticket(HOPELESS + 1, 0))]))
            return
        document = {"_id": told[1], "_originalId": str(told[1]), "qty": forged.version, "_v": ticket(*forged.ticket)}
        self.target.store(ITEM, document)

    async def copied(self, told: Any, before: State, after: State) -> None:
        assert self.copy is not None
        for table in COPIED:
            self.copy.relay.conn.execute(f"DELETE FROM {table}")
            with (
                self.relay.conn.cursor().copy(f"COPY {table} TO STDOUT") as source,
                self.copy.relay.conn.cursor().copy(f"COPY {table} FROM STDIN") as target,
            ):
                for block in source:
                    target.write(block)
        self.copy.relay.conn.execute("UPDATE syncline.worker SET expires_at = '-infinity'")
        self.copy.relay.conn.execute(
            "SELECT setval(oid, 1000000) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'syncline'::regnamespace"
        )
        self.copy.players[0].crash()
        self.copy.players[0].confirmed = 0

    async def fail(self, told: Any, before: State, after: State) -> None:
        (batch,) = [b for b in before.workers[told[1]].batches if b not in after.workers[told[1]].batches]
        self.players[told[1]].failed.add(batch.number)

    async def acknowledge(self, told: Any, before: State, after: State) -> None:
        (batch,) = [b for b in before.workers[told[1]].batches if b not in after.workers[told[1]].batches]
        player = self.players[told[1]]
        await player.acknowledge(batch.number)
        player.failed.discard(batch.number)

    async def renew(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        renewal = await player.renew()
        if "reads the lanes" in told[0]:
            player.found = await self.target.lane_epochs()
        if "beat" in told[0]:
            assert (renewal.beat, renewal.confirmed_beat) == told[2:]
        if after.drawn > before.drawn:
            self.nonces[after.drawn] = renewal.nonces[0]
        if self.scope.nonces:
            assert list(renewal.nonces) == [self.nonces[one] for one in after.source.nonces]

    async def exchange(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        renewal = player.renewal
        assert renewal is not None
        mine = self._beat(player, renewal)
        if self.scope.nonces:
            await self._exchange_nonces(told, after, player, mine)
            return
        found = await (self.target.read_beat() if "reads" in told[0] else self.target.beat(mine))
        assert found is not None
        assert found.count == told[-1]
        verdict = judge_beat(found, mine, renewal.confirmed_beat)
        assert (verdict == "source behind") == (after.workers[told[1]].stage == "in doubt")
        if "tells" in told[0]:
            player.confirmed = max(player.confirmed, renewal.beat)

    async def _exchange_nonces(self, told: Any, after: State, player: Player, mine: Beat) -> None:
        renewal, new = player.renewal, after.workers[told[1]]
        assert renewal is not None
        reads = "reads" in told[0]
        found = await (self.target.read_beat() if reads else self.target.beat(mine, over=player.over))
        assert found is not None
        assert (found.count, found.nonce) == (told[-3], self.nonces[told[-2]])
        player.over, player.met = found.system, found
        verdict = judge_beat(found, mine, renewal.confirmed_beat, nonces=renewal.nonces, lasting=player.lasting)
        assert verdict in {None, "source behind", "forked", "foreign"}
        assert (verdict in {"source behind", "forked"}) == (new.stage == "in doubt")
        assert (verdict == "foreign") == (new.stage == "ended")
        player.doubting = not reads
        if verdict == "foreign":
            await player.ended()
        elif verdict is None and not reads:
            player.exchanged(mine)

    async def doubt(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        assert await player.source.journal.lanes.current_beat() == told[2]
        if not self.scope.nonces:
            return
        renewal = player.renewal
        assert renewal is not None
        mine = replace(self._beat(player, renewal), count=max(renewal.beat, told[2]))
        known = await player.source.journal.lanes.nonces()
        verdict = judge_beat(player.met, mine, renewal.confirmed_beat, nonces=known, lasting=player.lasting)
        assert (verdict == "forked") == (after.workers[told[1]].stage == "ended")
        if verdict == "forked":
            await player.source.journal.lanes.contest("the copy")
            await player.ended()
        elif player.doubting:
            player.exchanged(self._beat(player, renewal))

    async def look(self, told: Any, before: State, after: State) -> None:
        self.players[told[1]].found = await self.target.lane_epochs()

    async def acquire(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        above = max(player.leases._above, *player.found.values(), 0)
        player.taken = await player.source.journal.lanes.acquire(sorted(set(self.lanes)), above=above)
        assert set(player.taken.values()) == ({told[3]} if len(told) > 2 else set())

    async def announce(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        await player.announce()
        if "confirms" in told[0]:
            await player.confirm()

    async def confirm(self, told: Any, before: State, after: State) -> None:
        await self.players[told[1]].confirm()

    async def expire(self, told: Any, before: State, after: State) -> None:
        worker = self.players[told[1]].source.worker
        self.relay.sql("UPDATE syncline.worker SET expires_at = '-infinity' WHERE id = %s", worker)

    async def crash(self, told: Any, before: State, after: State) -> None:
        self.players[told[1]].crash()
        self.players[told[1]].confirmed = 0

    async def stop(self, told: Any, before: State, after: State) -> None:
        player = self.players[told[1]]
        await player.source.journal.lanes.release(player.leases.held)
        player.crash()

    async def nothing(self, told: Any, before: State, after: State) -> None:
        """Only the model takes notice."""


Handler = Callable[[Replay, Any, State, State], Awaitable[None]]
HANDLERS: list[tuple[str, Handler]] = [
    ("transaction {} commits", Replay.commit),
    ("the second delete of key {} falls due", Replay.promote),
    ("worker {} reads marks", Replay.read_marks),
    ("worker {} reads and sends the states", Replay.read_states),
    ("worker {} reads the states", Replay.read_states),
    ("worker {} sends", Replay.nothing),
    ("the target executes", Replay.execute),
    ("{} never arrives", Replay.nothing),
    ("worker {} reads back", Replay.read_back),
    ("somebody ", Replay.forge),
    ("-- a copy of the source is made", Replay.copied),
    ("worker {} reads in the target", Replay.exchange),
    ("worker {} waits in vain", Replay.fail),
    ("worker {} drops a batch", Replay.fail),
    ("worker {} acknowledges", Replay.acknowledge),
    ("worker {} keeps the marks", Replay.acknowledge),
    ("worker {} renews", Replay.renew),
    ("worker {} reads beat", Replay.exchange),
    ("worker {} tells the target beat", Replay.exchange),
    ("worker {} asks the source for its beat", Replay.doubt),
    ("worker {} reads the lanes", Replay.look),
    ("worker {} has its lanes", Replay.nothing),
    ("worker {} acquires", Replay.acquire),
    ("worker {} finds the lanes taken", Replay.acquire),
    ("worker {} announces", Replay.announce),
    ("worker {} confirms", Replay.confirm),
    ("the leases of worker {} expire", Replay.expire),
    ("worker {} crashes", Replay.crash),
    ("worker {} stops", Replay.stop),
]


def _new_batch(number: int, before: State, after: State) -> Any:
    (batch,) = [b for b in after.workers[number].batches if b not in before.workers[number].batches]
    return batch


def _gone(before: State, after: State) -> Message:
    rest = list(after.messages)
    for message in before.messages:
        if message not in rest:
            return message
        rest.remove(message)
    raise AssertionError("no message was executed")


@pytest.fixture
async def pieces(database, monkeypatch):
    monkeypatch.setattr(outranked, "HIGHEST_EPOCH", HOPELESS - 1)
    relay = Relay(database, [ITEM], MemoryTarget())
    with contextlib.closing(relay.conn):
        relay.sql(ITEMS)
        await relay.install()
        sources = [await open_source(database, worker=str(uuid4())) for _ in range(2)]
        plan = (await compile_plans(sources[0].control, [ITEM])).named("item")
        yield relay, sources, plan
        for source in sources:
            await source.close()


@pytest.fixture
async def copy(pieces, postgres):
    """A second source, to become a copy of the first: an installation of its own until then."""
    _, (original, _), _ = pieces
    with engines.fresh_database(postgres.url) as url:
        relay = Relay(url, [ITEM], MemoryTarget())
        with contextlib.closing(relay.conn):
            relay.sql(ITEMS)
            await relay.install()
            source = await open_source(url, worker=original.worker)
            plan = (await compile_plans(source.control, [ITEM])).named("item")
            yield relay, source, plan
            await source.close()


async def replayed(
    pieces: Any,
    target: Target,
    scope: Scope,
    way: Sequence[Step],
    copy: tuple[Relay, Source, Plan] | None = None,
) -> None:
    relay, sources, plan = pieces
    players = [Player(source, target, plan) for source in sources[: scope.workers]]
    replay = Replay(relay, players, scope)
    if copy is not None and scope.copy:
        there, source, its_plan = copy
        replay.copy = Replay(there, [Player(source, target, its_plan)], replace(scope, script=scope.copy_script))
        replay.copy.system = (sources[0] if scope.copy == "twin" else source).identity.system
    await replay.play(way)


WALKS, SECONDS = (
    int(os.environ.get("SYNCLINE_MODEL_WALKS", "8")),
    float(os.environ.get("SYNCLINE_MODEL_SECONDS", "0.8")),
)
"""At most so many walks, or for so long, in each scope."""
WALKED = {
    "forged tickets": replace(
        SMALL["damage, change"], verifies=0, repair=False, damage=2, script=(((0, 2),), ((0, 3),))
    ),
    "late": replace(SMALL["late"], faults=3),
    "late again": replace(SMALL["late again"], faults=3, script=(((0, 2),), ((0, 0),), ((0, 1),))),
    "stop": replace(SMALL["stop"], faults=2, script=(((0, 1),), ((0, 2),), ((0, 0),))),
    "several keys": Scope(keys=3, script=(((0, 1), (1, 1)), ((2, 1), (0, 0)), ((1, 2),)), faults=2),
    "nobody owns": replace(SMALL["start"], faults=2),
    "beats": replace(SMALL["no restore"], exact_beats=False, renewals=6, faults=3, script=(((0, 2),), ((0, 0),))),
}


async def test_walks_of_the_model_are_what_the_code_does(pieces):
    for name, scope in WALKED.items():
        seed, end = 0, time.monotonic() + SECONDS
        while seed < WALKS and (seed < 2 or time.monotonic() < end):
            try:
                await replayed(pieces, MemoryTarget(), scope, list(walk(scope, seed)))
            except Exception as error:
                error.add_note(f"in scope {name!r}, seed {seed}")
                raise
            seed += 1


@pytest.mark.parametrize("name", ["copy", "twin"])
async def test_walks_with_a_copy_of_the_source_are_what_the_code_does(name, pieces, copy):
    scope = replace(SMALL[name], renewals=6)
    for seed in range(WALKS):
        await replayed(pieces, MemoryTarget(), scope, list(walk(scope, seed)), copy)


async def test_walks_with_mongodb(pieces, mongo_url, mongo_db):
    for seed in range(2):
        target = MongoTarget(mongo_url, f"{mongo_db}_{seed}")
        try:
            await replayed(pieces, target, WALKED["late again"], list(walk(WALKED["late again"], seed)))
        finally:
            await target._client.drop_database(f"{mongo_db}_{seed}")
            await target.close()


async def test_a_write_from_before_a_truncate_is_swept(database):
    held, go = asyncio.Event(), asyncio.Event()

    async def hold(batch: Batch) -> None:
        if batch.inserts:
            held.set()
            await go.wait()

    async with relayed(database) as relay, relay.worker():
        relay.target.before_apply = hold
        relay.sql("INSERT INTO item VALUES (1)")
        await asyncio.wait_for(held.wait(), 60)
        relay.sql("TRUNCATE item")
        with contextlib.suppress(TimeoutError):  # a sweep that waits is not done now
            async with asyncio.timeout(3):
                await until(lambda: relay.counts()["task"] == 0)
        go.set()
        await relay.drained(tasks=True, deferred=True)
        assert relay.raw() == []


class Verdicts:
    """In place of ``Restores``: only remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def reconcile(self, verdict: str) -> None:
        self.said.append(verdict)


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_source_that_lost_beats_is_noticed(lost, pieces):
    """Also a single one: the target has a nonce that the restored source has not drawn."""
    relay, (source, _), _ = pieces
    target, verdicts = MemoryTarget(), Verdicts()
    leases = Leases(source, target, verdicts, NullObserver(), name="player", ttl=HOUR)  # type: ignore[arg-type]
    for renewal in range(5):
        if renewal == 5 - lost:
            backup = relay.sql("SELECT beat, confirmed_beat, nonces FROM syncline.meta")[0]
        await leases.renew()
    relay.sql("UPDATE syncline.meta SET beat = %s, confirmed_beat = %s, nonces = %s", *backup)
    after = Leases(source, target, verdicts, NullObserver(), name="player", ttl=HOUR)  # type: ignore[arg-type]
    await after.renew()
    assert verdicts.said == ["source behind"]


MISTAKES = (
    "update without fence",
    "delete without fence",
    "acknowledgement without the lease",
    "two batches of a key",
    "deleted once",
    "refused and silent",
    "stale acknowledged",
    "identity ignored",
    "nonce ignored",
)


async def test_the_code_makes_none_of_the_mutants_mistakes(pieces, copy):
    """At some step of the counterexample the code does something else than the mutant."""
    for name in MISTAKES:
        found = explore(mutant(name))
        assert found.broken
        try:
            await replayed(pieces, MemoryTarget(), found.scope, found.way, copy)
        except AssertionError:
            continue
        pytest.fail(f"the code does what the mutant {name!r} does")
