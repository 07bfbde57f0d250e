"""Rounds of damage to documents and their rows: verification finds exactly what was done by hand on either side, under writes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from bson import ObjectId
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.documents.installing import install, plan
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.repairing import DocumentRepairer
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.postgres.documents.definitions import schema
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Inner, Part
from syncline.relay.documents.pump import DocumentPump
from syncline.verify.report import Kind, Verdict, VerifyReport
from tests import engines
from tests.damage.run import DamageError

PART = Part(
    columns={
        "title": Field("text"),
        "n": Field("bigint"),
        "price": Field("numeric"),
        "ratio": Field("double"),
        "done": Field("boolean"),
        "due": Field("timestamptz"),
        "owner": Field("objectid"),
        "in.x": Field("text"),
    },
    arrays={
        "labels": Array(value=Field("text")),
        "steps": Array(part=Part(columns={"what": Field("text")}, arrays={"who": Array(value=Field("bigint"))})),
    },
    objects={"more": Inner(part=Part(columns={"a": Field("bigint")}))},
)
OF_OBJECT_IDS = DocumentMapping(Collection("tasks", part=PART))
OF_ANY_IDS = DocumentMapping(Collection("notes", id="any", part=PART))


class Link:
    """A link of two collections, with its databases."""

    def __init__(self, link: DocumentLink, url: str) -> None:
        self.link, self.url, self.database = link, url, link.database

    def of(self, name: str) -> Any:
        return wrap(self.database[name])

    async def walk(self) -> None:
        for _ in range(3):
            await DocumentPump(self.link.source, self.link.rows, self.link.collections).walk()

    async def verified(self, *names: str, **options: Any) -> VerifyReport:
        verifier = DocumentVerifier(self.link, **{"patience": timedelta(seconds=0.2)} | options)
        try:
            return await verifier.verify(names or self.link.collections)
        finally:
            await verifier.close()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement)


@contextlib.asynccontextmanager
async def linked(mongodb: str, postgresql: str) -> AsyncIterator[Link]:
    """Make the tables of both collections, install, and open the link."""
    mappings = (OF_OBJECT_IDS, OF_ANY_IDS)
    with psycopg.connect(postgresql, autocommit=True) as connection:
        for statement in schema(mappings):
            connection.execute(statement)
    async with opened(Documents(mappings, None, {"source": mongodb, "target": postgresql})) as opening:
        await install(opening, await plan(opening, role=None))
        yield Link(opening, postgresql)


def document(chance: random.Random, id_: Any) -> dict[str, Any]:
    fields = {
        "title": chance.choice(["a", "b\\t", "é\n", "\b\f\r\t\v\\N", ""]),
        "n": chance.choice([1, 2**40, -5]),
        "price": Decimal128(chance.choice(["1.10", "0.0000001", "5"])),
        "ratio": chance.choice([1.5, 5.0, 1e22, -0.0, 0.1]),
        "done": chance.random() < 0.5,
        "due": datetime(2026, 1, 2, 3, 4, 5, chance.choice([0, 500_000, 123_000]), UTC),
        "owner": ObjectId(),
        "in": {"x": "y"},
        "labels": ["p", "q", "r"],
        "steps": [{"what": "w", "who": [1, 2]}, {"what": "v", "who": [3]}],
        "more": {"a": 7},
        "other": {"left": [1, None, "x"]},
    }
    return {
        "_id": id_,
        **{name: value for name, value in fields.items() if name in {"steps", "labels"} or chance.random() < 0.9},
    }


ROWS = "postgres_{0}"
DAMAGES: dict[str, str] = {
    "a text": "UPDATE {t} SET title = 'damaged' WHERE {k}",
    "a text in another case": "UPDATE {t} SET in_x = 'Y' WHERE {k}",
    "a number": "UPDATE {t} SET n = coalesce(n, 0) + 1 WHERE {k}",
    "a scale": "UPDATE {t} SET price = 1.100 WHERE {k}",
    "a double": "UPDATE {t} SET ratio = 0.30000000000000004 WHERE {k}",
    "a boolean": "UPDATE {t} SET done = NOT coalesce(done, false) WHERE {k}",
    "a millisecond": "UPDATE {t} SET due = coalesce(due, now()) + interval '1 ms' WHERE {k}",
    "an id": "UPDATE {t} SET owner = repeat('a', 24) WHERE {k}",
    "a column that is emptied": "UPDATE {t} SET title = CASE WHEN title IS NULL THEN '' END WHERE {k}",
    "the rest": """UPDATE {t} SET rest = '{{"other": 2}}' WHERE {k}""",
    "the rest that is emptied": """UPDATE {t} SET rest = CASE WHEN rest IS NULL THEN '{{"z": 1}}'::jsonb END WHERE {k}""",
    "a row": "DELETE FROM {t} WHERE {k}",
    "a value of an array": "UPDATE {t}_steps_who SET who = who + 1 WHERE {k} AND position_1 = 0 AND position = 1",
    "a value that is missing": "DELETE FROM {t}_steps_who WHERE {k} AND position_1 = 1",
    "a value too many": "INSERT INTO {t}_steps_who SELECT mongo_id, 0, 9, 9 FROM {t} WHERE {k}",
    "an element": "UPDATE {t}_steps SET what = 'damaged' WHERE {k} AND position = 1",
    "an element that is missing": "DELETE FROM {t}_steps WHERE {k} AND position = 1",
    "an element too many": "INSERT INTO {t}_steps SELECT mongo_id, 7 FROM {t} WHERE {k}",
    "a label too many": "INSERT INTO {t}_labels SELECT mongo_id, 7, 'x' FROM {t} WHERE {k}",
    "another position": "UPDATE {t}_labels SET position = 5 WHERE {k} AND position = 1",
    "a document within": "INSERT INTO {t}_more SELECT mongo_id, 8 FROM {t} WHERE {k} "
    "ON CONFLICT (mongo_id) DO UPDATE SET a = 8",
}
"""What becomes of the rows of a document; each is another content."""
FOREIGN: dict[str, Any] = {
    "a field": {"$set": {"title": "changed past the wrapper"}},
    "a type": {"$set": {"n": Int64(3)}},
    "a field that is gone": {"$unset": {"steps": ""}},
    "a new field": {"$set": {"brandNew": 1}},
    "an element": {"$push": {"steps": {"what": "more"}}},
    "a field's order": [{"$replaceWith": {"$mergeObjects": [{"_id": "$_id", "zz": 1}, "$$ROOT"]}}],
    "a delete": None,
}
"""What somebody does to a document who does not know of marks, in place."""


async def filled(link: Link, chance: random.Random, count: int) -> dict[str, list[Any]]:
    ids = {
        "tasks": [ObjectId() for _ in range(count)],
        "notes": [chance.choice([n, f"t{n}", ObjectId(), float(n) + 0.5]) for n in range(count)],
    }
    for name, those in ids.items():
        await link.of(name).insert_many([document(chance, id_) for id_ in those])
    await link.walk()
    return ids


def key(name: str, id_: Any) -> str:
    mapping = OF_OBJECT_IDS if name == "tasks" else OF_ANY_IDS
    return str(mapping.key_of(id_))


async def damaged(link: Link, name: str, id_: Any, what: str) -> Kind:
    """Damage one side; say what is to be found."""
    if what in DAMAGES:
        literal = psycopg.sql.Literal(key(name, id_)).as_string(None)
        link.run(DAMAGES[what].format(t=ROWS.format(name), k=f"mongo_id = {literal}"))
        return Kind.MISSING if what == "a row" else Kind.DIFFERENT
    change = FOREIGN[what.removeprefix("MongoDB: ")]
    bare = link.database[name]
    if change is None:
        await bare.delete_one({"_id": id_})
        return Kind.EXTRA
    assert (await bare.update_one({"_id": id_}, change)).modified_count == 1
    return Kind.DIFFERENT


EVERY = [*DAMAGES, *(f"MongoDB: {name}" for name in FOREIGN)]


NOTHING_WRONG = (
    "UPDATE {t} SET title = title WHERE {k}",
    "UPDATE {t} SET sync_status = 'FAILED', sync_error = 'by hand', last_sync_at = now() WHERE {k}",
    "UPDATE {t}_steps SET what = what WHERE {k}",
)
"""What somebody may do to rows without changing what they say."""
QUIET, BUSY = 24, 40
"""Documents of a collection that are damaged, and those that writers change meanwhile."""
ACTS = 9
"""Of damage, in a collection and round, by default."""


@dataclass
class Outcome:
    """What a run did."""

    rounds: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    found: Counter[Kind] = field(default_factory=Counter)
    harmless: int = 0
    writes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        found = ", ".join(f"{count} {kind.value}" for kind, count in sorted(self.found.items()))
        return (
            f"{self.rounds} rounds in {self.seconds:.0f} s: {self.found.total()} damaged documents found ({found}), of"
            f" {len(self.kinds)} kinds; {self.harmless} harmless edits passed over; {self.writes} writes beside it"
        )


class Rounds:
    """Damage, verification and repair, again and again, beside writers and a pump."""

    def __init__(self, link: Link, seed: int, acts: int) -> None:
        self.outcome = Outcome()
        self._link, self._acts = link, acts
        self._chance = random.Random(seed)
        self._stop = asyncio.Event()
        self._kinds = itertools.cycle(self._chance.sample(EVERY, len(EVERY)))

    async def run(self, count: int, until: Callable[[], bool], told: Callable[[Outcome], None]) -> Outcome:
        """Do so many rounds, or until it is time."""
        began = time.monotonic()
        self._ids = await filled(self._link, self._chance, QUIET + BUSY)
        tasks = [asyncio.create_task(one) for one in (*map(self._write, self._ids), self._carry())]
        try:
            while self.outcome.rounds < count and not until():
                await self._round()
                self.outcome.rounds += 1
                self.outcome.seconds = time.monotonic() - began
                told(self.outcome)
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)
        await self._link.walk()
        if (left := await self._link.verified()).verdict is not Verdict.EQUAL:
            raise DamageError(f"not equal at the end: {left}")
        return self.outcome

    async def _write(self, name: str) -> None:
        chance, of = self._chance, self._link.of(name)
        while not self._stop.is_set():
            id_ = chance.choice(self._ids[name][QUIET:])
            match chance.randrange(4):
                case 0:
                    await of.update_one({"_id": id_}, {"$set": {"n": chance.randrange(9)}})
                case 1:
                    await of.delete_one({"_id": id_})
                case 2:
                    await of.replace_one({"_id": id_}, document(chance, id_), upsert=True)
                case _:
                    await of.update_one({"_id": id_}, {"$push": {"steps": {"what": "x"}}}, upsert=True)
            self.outcome.writes += 1
            await asyncio.sleep(0.002)

    async def _carry(self) -> None:
        async with self._link.link.apart() as apart:
            while not self._stop.is_set():
                await DocumentPump(apart.source, apart.rows, apart.collections).walk()
                await asyncio.sleep(0.005)

    async def _round(self) -> None:
        planted: dict[tuple[str, str], tuple[str, Kind]] = {}
        touched: dict[str, list[Any]] = {}
        for name, those in self._ids.items():
            touched[name] = self._chance.sample(those[:QUIET], self._acts)
            for id_ in touched[name]:
                what = next(self._kinds)
                planted[name, key(name, id_)] = what, await damaged(self._link, name, id_, what)
            for id_ in self._chance.sample([one for one in those[:QUIET] if one not in touched[name]], 2):
                self._harmless(name, id_)
        planted |= self._strangers()
        await self._judge(planted)
        await self._renew(touched)

    def _harmless(self, name: str, id_: Any) -> None:
        self._link.run(self._chance.choice(NOTHING_WRONG).format(t=ROWS.format(name), k=_which(name, id_)))
        self.outcome.harmless += 1

    def _strangers(self) -> dict[tuple[str, str], tuple[str, Kind]]:
        """Insert rows of no document, with a child row, and rows of a key that no document can have."""
        extra, foreign = str(ObjectId()), f"none of ours {self.outcome.rounds}"
        for one in (extra, foreign):
            self._link.run(f"INSERT INTO postgres_tasks (mongo_id) VALUES ('{one}')")
        self._link.run(f"INSERT INTO postgres_tasks_labels VALUES ('{extra}', 0, 'x')")
        return {
            ("tasks", extra): ("rows of no document", Kind.EXTRA),
            ("tasks", foreign): ("rows of no key", Kind.FOREIGN),
        }

    async def _judge(self, planted: dict[tuple[str, str], tuple[str, Kind]]) -> None:
        """Verify, every other time with a repair at once; otherwise a second pass repairs."""
        wanted = {place: kind for place, (_, kind) in planted.items()}
        passes = (
            [DocumentRepairer(self._link.link)]
            if self.outcome.rounds % 2
            else [None, DocumentRepairer(self._link.link)]
        )
        for taker in passes:
            size = self._chance.choice((7, 25, 3000))
            report = await self._link.verified(taker=taker, size=size, patience=timedelta(seconds=60))
            found = {(one.entity, one.key): one for part in report.entities for one in part.findings}
            kinds = {place: one.kind for place, one in found.items()}
            if kinds != wanted:
                raise DamageError(_said(kinds, wanted, planted))
            if blank := [place for place, one in found.items() if one.kind is Kind.DIFFERENT and not one.differences]:
                raise DamageError(f"different, and nothing is said to differ: {blank}")
        self.outcome.kinds.update(what for what, _ in planted.values())
        self.outcome.found.update(wanted.values())

    async def _renew(self, touched: dict[str, list[Any]]) -> None:
        """Have the repairs carried; then write what was damaged anew, so that each kind can be done to it again."""
        self._link.run("DELETE FROM postgres_tasks WHERE mongo_id LIKE 'none of ours%'")
        await self._carried()
        for name, ids in touched.items():
            for id_ in ids:
                await self._link.of(name).replace_one({"_id": id_}, document(self._chance, id_), upsert=True)
        await self._carried()

    async def _carried(self) -> None:
        for name, those in self._ids.items():
            marked = {"_sync.mark": {"$exists": True}, "_id": {"$in": those[:QUIET]}}
            tombstone = {"_sync.deleted": True, "_id": {"$nin": those[QUIET:]}}
            while await self._link.database[name].find_one({"$or": [marked, tombstone]}):
                await asyncio.sleep(0.01)


def _which(name: str, id_: Any) -> str:
    return f"mongo_id = {psycopg.sql.Literal(key(name, id_)).as_string(None)}"


def _said(found: dict[Any, Kind], wanted: dict[Any, Kind], planted: dict[Any, tuple[str, Kind]]) -> str:
    surplus = {place: kind for place, kind in found.items() if place not in wanted}
    missed = {place: planted[place] for place in wanted if place not in found}
    others = {
        place: (planted[place], found[place])
        for place in wanted
        if place in found and found[place] is not wanted[place]
    }
    return f"surplus: {surplus}\nmissed: {missed}\nof another kind: {others}"


async def rounds(
    link: Link,
    *,
    seed: int,
    count: int,
    acts: int = ACTS,
    until: Callable[[], bool] = lambda: False,
    told: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """Do damage, verify, repair, again and again.

    Raises:
        DamageError: with what was surplus or missed.

    """
    return await Rounds(link, seed, acts).run(count, until, told)


def run(count: int, seed: int, *, minutes: float | None = None) -> Outcome:
    """Do so many rounds on servers of their own, or as many as there is time for; print a line now and then."""
    ends = None if minutes is None else time.monotonic() + minutes * 60

    def told(outcome: Outcome) -> None:
        if outcome.rounds % 10 == 0:
            print(outcome, flush=True)  # noqa: T201

    async def work(mongodb: str, postgresql: str) -> Outcome:
        async with linked(mongodb, postgresql) as made:
            return await rounds(
                made, seed=seed, count=count, until=lambda: ends is not None and time.monotonic() > ends, told=told
            )

    with engines.running_mongo() as mongodb, engines.running_postgres() as postgresql:
        outcome = asyncio.run(work(mongodb.url.replace("/?", "/damage?"), postgresql.url))
    print(outcome, flush=True)  # noqa: T201
    return outcome
